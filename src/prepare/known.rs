//! The ledger as `policy` asks it.

use crate::digest::Digest;
use crate::ledger::Ledger;
use crate::policy::{KeyFacts, Known, NameFacts};

/// The ledger's memory at a time, seconds since the epoch.
pub(super) struct KnownInLedger<'l>(pub &'l Ledger, pub i64);

impl Known for KnownInLedger<'_> {
    fn key(&self, spki: &Digest) -> Option<KeyFacts> {
        let holder = self.0.key_holder(spki)?;
        Some(KeyFacts {
            whose: holder.whose.clone(),
            requester: holder.requester,
            names: holder.names,
            compromised: holder.compromised,
        })
    }

    fn serial_known(&self, serial: &[u8]) -> bool {
        self.0.issued(serial).is_some()
    }

    fn name(&self, name: &str) -> Option<NameFacts> {
        let holder = self.0.name_holder(name, self.1)?;
        Some(NameFacts { request: holder.request.clone(), requester: holder.requester })
    }
}
