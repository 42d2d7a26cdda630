//! Which entries of the log tell of a thing.

use std::collections::BTreeSet;

use crate::digest::Hasher;

/// What is looked for. Stored as the first octet of a [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    /// A certificate, by the content octets of its serial number.
    Serial,
    /// The certificates with a key, by the SHA-256 of its SubjectPublicKeyInfo.
    Key,
    /// The certificates with a name, in lower case.
    Name,
    /// The answers to a request, by its id: certificates and refusals.
    Request,
    /// The revocation of a certificate, by its serial number.
    Revoked,
    /// The revocations that call a key compromised.
    Compromised,
}

impl Thing {
    const fn octet(self) -> u8 {
        match self {
            Thing::Serial => 1,
            Thing::Key => 2,
            Thing::Name => 3,
            Thing::Request => 4,
            Thing::Revoked => 5,
            Thing::Compromised => 6,
        }
    }
}

/// A thing, as it is looked up: its kind, then the first 15 octets of the SHA-256 over kind and thing. Two things with one
/// key are not to be had by chance; an answer looks into the entry all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub [u8; 16]);

impl Key {
    pub(super) fn of(thing: Thing, what: &[u8]) -> Key {
        let mut hasher = Hasher::default();
        hasher.update(&[thing.octet()]);
        hasher.update(what);
        let mut key = [0; 16];
        let octets = std::iter::once(thing.octet()).chain(hasher.finish().0);
        key.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        Key(key)
    }
}

/// The places of things: pairs of a key and an entry's index.
#[derive(Default)]
pub(super) struct Places {
    recent: BTreeSet<(Key, u64)>,
}

impl Places {
    pub(super) fn insert(&mut self, key: Key, index: u64) {
        self.recent.insert((key, index));
    }

    /// Is there a place of this among those not yet stored?
    pub(super) fn is_recent(&self, key: &Key) -> bool {
        self.recent.range((*key, 0)..=(*key, u64::MAX)).next().is_some()
    }

    /// The entries that tell of a thing, in their order.
    pub(super) fn of(&self, key: &Key) -> Vec<u64> {
        self.recent.range((*key, 0)..=(*key, u64::MAX)).map(|(_, index)| *index).collect()
    }
}
