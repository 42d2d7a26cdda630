//! The memory of keys and serial numbers, so that nothing is certified or numbered twice.

use std::collections::{HashMap, HashSet};

use super::check::{Check, Refused};
use crate::digest::Digest;
use crate::text::escape;
use crate::x509::PublicKey;

/// What the ledger remembers of earlier plans.
pub trait Known {
    /// Who holds a certificate for the key with this digest (SHA-256 of the SubjectPublicKeyInfo): a request's or CA's id.
    fn key_known(&self, spki_digest: &Digest) -> Option<String>;
    /// Whether a certificate with this serial number (content octets) was ever planned.
    fn serial_known(&self, serial: &[u8]) -> bool;
}

/// What is known of keys and serials: the ledger's memory, the CAs' own keys, and what this plan has taken so far.
pub struct Seen<'a> {
    known: &'a dyn Known,
    /// The CAs' keys, by digest, with the CA's id.
    cas: HashMap<Digest, String>,
    keys: HashMap<Digest, String>,
    serials: HashSet<[u8; 17]>,
}

impl<'a> Seen<'a> {
    /// `ca_keys`: the public keys (SubjectPublicKeyInfo) of every CA of the hierarchy that has one, with the CA's id.
    pub fn new<'k>(known: &'a dyn Known, ca_keys: impl IntoIterator<Item = (&'k str, &'k [u8])>) -> Seen<'a> {
        let cas = ca_keys.into_iter().map(|(id, spki)| (Digest::of(spki), id.to_owned())).collect();
        Seen { known, cas, keys: HashMap::new(), serials: HashSet::new() }
    }

    /// A serial number: positive, without a leading zero octet, never used.
    pub(super) fn judge_serial(&self, serial: &[u8; 17]) -> Result<(), Refused> {
        let [first, ..] = serial;
        if !(0x01..=0x7f).contains(first) {
            return Err(Refused::new(Check::Serial, "the serial number's first octet is not 01 to 7f"));
        }
        if self.serials.contains(serial) || self.known.serial_known(serial) {
            return Err(Refused::new(Check::Serial, "the serial number was used before"));
        }
        Ok(())
    }

    /// A requester's key: none of a CA's, never certified, not twice in this plan.
    pub(super) fn judge_leaf_key(&self, key: &PublicKey) -> Result<(), Refused> {
        let digest = key.digest();
        if let Some(ca) = self.cas.get(&digest) {
            return Err(Refused::new(Check::CaKeyReuse, format!("the key is the CA `{}`'s own", escape(ca))));
        }
        if let Some(other) = self.keys.get(&digest) {
            return Err(Refused::new(
                Check::DuplicateKey,
                format!("the same key stands in request `{}` of this batch", escape(other)),
            ));
        }
        if let Some(other) = self.known.key_known(&digest) {
            return Err(Refused::new(
                Check::DuplicateKey,
                format!("the key was certified before, for `{}`", escape(&other)),
            ));
        }
        Ok(())
    }

    /// A CA's key: no other CA's, and no requester's. The same CA may get another certificate for it.
    pub(super) fn judge_ca_key(&self, key: &PublicKey, ca: &str) -> Result<(), Refused> {
        let digest = key.digest();
        let known = self.known.key_known(&digest);
        let holders = [self.cas.get(&digest), self.keys.get(&digest), known.as_ref()];
        match holders.into_iter().flatten().find(|holder| holder.as_str() != ca) {
            Some(holder) => {
                Err(Refused::new(Check::CaKeyReuse, format!("the key of CA `{ca}` is already `{}`'s", escape(holder))))
            }
            None => Ok(()),
        }
    }

    /// Remembers what a judged item takes.
    pub(super) fn take(&mut self, key: &PublicKey, holder: &str, serial: [u8; 17]) {
        self.keys.insert(key.digest(), holder.to_owned());
        self.serials.insert(serial);
    }
}
