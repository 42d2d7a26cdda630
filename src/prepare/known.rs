//! The ledger as `policy` asks it.

use std::cell::RefCell;

use crate::digest::Digest;
use crate::ledger::{self, Entries, Ledger};
use crate::policy::{KeyFacts, Known, NameFacts};

/// The ledger's memory at a time, seconds since the epoch. The judge of a request has no word for a log that cannot be
/// read: what went wrong is kept, and ends the plan ([`KnownInLedger::failed`]).
pub(super) struct KnownInLedger<'l> {
    ledger: &'l Ledger,
    log: &'l dyn Entries,
    now: i64,
    failure: RefCell<Option<ledger::Error>>,
}

impl<'l> KnownInLedger<'l> {
    pub(super) fn new(ledger: &'l Ledger, log: &'l dyn Entries, now: i64) -> KnownInLedger<'l> {
        KnownInLedger { ledger, log, now, failure: RefCell::default() }
    }

    /// What was judged since the last call was judged on answers.
    pub(super) fn failed(&self) -> Result<(), ledger::Error> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn answer<T>(&self, asked: Result<Option<T>, ledger::Error>) -> Option<T> {
        asked.unwrap_or_else(|failure| {
            self.failure.borrow_mut().get_or_insert(failure);
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

    fn serial_known(&self, serial: &[u8]) -> bool {
        self.answer(self.ledger.serial_known(self.log, serial).map(Some)).unwrap_or(true)
    }

    fn name(&self, name: &str) -> Option<NameFacts> {
        let holder = self.answer(self.ledger.name_holder(self.log, name, self.now))?;
        Some(NameFacts { request: holder.request, requester: holder.requester })
    }
}
