//! The ledger as `policy` asks it.

use std::cell::RefCell;

use crate::digest::Digest;
use crate::ledger::{Entries, Ledger};
use crate::policy::{KeyFacts, Known, NameFacts};
use crate::weak_keys::BlockLists;
use crate::x509::PublicKey;

use super::{Context, Error};

/// The ledger's memory at a time, seconds since the epoch, and the lists of compromised keys. The judge of a request has no word for a
/// log that cannot be read: what went wrong is kept, and ends the plan ([`KnownInLedger::failed`]).
pub(super) struct KnownInLedger<'l> {
    ledger: &'l Ledger,
    log: &'l dyn Entries,
    lists: &'l BlockLists,
    now: i64,
    failure: RefCell<Option<Error>>,
}

impl<'l> KnownInLedger<'l> {
    pub(super) fn new(context: &Context<'l>) -> KnownInLedger<'l> {
        let Context { ledger, log, block_lists, now, .. } = *context;
        KnownInLedger { ledger, log, lists: block_lists, now, failure: RefCell::default() }
    }

    /// What was judged since the last call was judged on answers.
    pub(super) fn failed(&self) -> Result<(), Error> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn answer<T, E: Into<Error>>(&self, asked: Result<Option<T>, E>) -> Option<T> {
        asked.unwrap_or_else(|failure| {
            self.failure.borrow_mut().get_or_insert(failure.into());
            None
        })
    }
}

impl Known for KnownInLedger<'_> {
    fn key(&self, spki: &Digest) -> Option<KeyFacts> {
        let holder = self.answer(self.ledger.key_holder(self.log, spki))?;
        Some(KeyFacts {
            whose: holder.whose,
            requester: holder.requester,
            names: holder.names,
            compromised: holder.compromised,
        })
    }

    fn blocked(&self, key: &PublicKey) -> Option<String> {
        let list = self.answer(self.lists.find(key))?;
        Some(list.to_string_lossy().into_owned())
    }

    fn serial_known(&self, serial: &[u8]) -> bool {
        self.answer(self.ledger.serial_known(self.log, serial).map(Some)).unwrap_or(true)
    }

    fn name(&self, name: &str) -> Option<NameFacts> {
        let holder = self.answer(self.ledger.name_holder(self.log, name, self.now))?;
        Some(NameFacts { request: holder.request, requester: holder.requester })
    }
}
