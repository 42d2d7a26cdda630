//! The memory of keys, names and serial numbers: nothing is numbered twice, and what belongs to one requester goes to no
//! other.

use std::collections::{HashMap, HashSet};

use super::check::{Check, Refused};
use crate::config::KeyReuse;
use crate::digest::Digest;
use crate::text::escape;
use crate::weak_keys::modulus_digest;
use crate::x509::PublicKey;

/// What the ledger remembers of earlier plans.
pub trait Known {
    /// Whose certificates hold the key with this digest (SHA-256 of the SubjectPublicKeyInfo).
    fn key(&self, spki_digest: &Digest) -> Option<KeyFacts>;
    /// Whether a certificate with this serial number (content octets) was ever planned.
    fn serial_known(&self, serial: &[u8]) -> bool;
    /// The list of compromised keys that this one stands in, by its file.
    fn blocked(&self, key: &PublicKey) -> Option<String>;
    /// Who holds a valid certificate with this name (lower-case).
    fn name(&self, name: &str) -> Option<NameFacts>;
}

/// The holder of a certified key.
#[derive(Clone, Debug)]
pub struct KeyFacts {
    /// A CA by its bare id, or `request ID`.
    pub whose: String,
    /// The tag of who asked; `None` for CAs.
    pub requester: Option<Digest>,
    /// Digest of the names that the newest certificate holds.
    pub names: Digest,
    pub compromised: bool,
}

/// The holder of a name.
#[derive(Clone, Debug)]
pub struct NameFacts {
    pub request: String,
    pub requester: Option<Digest>,
}

/// What a request asks the memory for.
pub struct Requested<'a> {
    pub key: &'a PublicKey,
    pub reuse: KeyReuse,
    /// The tag of who asks.
    pub requester: Digest,
    /// Digest of the names that the certificate will hold.
    pub names: Digest,
}

/// What is known of keys, names and serials: the ledger's memory, the CAs' own keys, and what this plan has taken so far.
pub struct Seen<'a> {
    known: &'a dyn Known,
    /// The CAs' keys, by digest, with the CA's id.
    cas: HashMap<Digest, String>,
    keys: HashMap<Digest, String>,
    serials: HashSet<[u8; 17]>,
    /// Keys that the bundle itself calls compromised.
    compromised: HashSet<Digest>,
    /// Moduli, by their digest, that share a prime with another one.
    shared: HashSet<Digest>,
    /// Names of this plan: the request and the tag of who asked.
    names: HashMap<String, (String, Digest)>,
}

impl<'a> Seen<'a> {
    /// `ca_keys`: the public keys (SubjectPublicKeyInfo) of every CA of the hierarchy that has one, with the CA's id.
    pub fn new<'k>(known: &'a dyn Known, ca_keys: impl IntoIterator<Item = (&'k str, &'k [u8])>) -> Seen<'a> {
        let cas = ca_keys.into_iter().map(|(id, spki)| (Digest::of(spki), id.to_owned())).collect();
        let (keys, serials, compromised, shared, names) = Default::default();
        Seen { known, cas, keys, serials, compromised, shared, names }
    }

    /// These keys (digests of their SubjectPublicKeyInfo) get no certificate from this plan: it revokes one for each of them.
    pub fn compromised(mut self, keys: impl IntoIterator<Item = Digest>) -> Seen<'a> {
        self.compromised.extend(keys);
        self
    }

    /// These moduli ([`modulus_digest`]) share a prime with another one: their private keys are anybody's.
    pub fn shared(mut self, moduli: impl IntoIterator<Item = Digest>) -> Seen<'a> {
        self.shared.extend(moduli);
        self
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

    /// Names of a requester: held by nobody else, neither on record nor in this plan. `ceded`: names for which a validator
    /// says that they have changed hands.
    pub(super) fn judge_names(&self, names: &[String], requester: Digest, ceded: &[String]) -> Result<(), Refused> {
        for name in names {
            let shown = escape(name);
            if let Some((other, whose)) = self.names.get(name)
                && *whose != requester
            {
                let wrong =
                    format!("request `{}` of this batch asks for `{shown}` for another requester", escape(other));
                return Err(Refused::new(Check::NameHolder, wrong));
            }
            if let Some(holder) = self.known.name(name)
                && holder.requester != Some(requester)
                && !ceded.iter().any(|ceded| ceded.eq_ignore_ascii_case(name))
            {
                let wrong = format!("`{shown}` stands in a valid certificate of another requester");
                return Err(Refused::new(Check::NameHolder, wrong));
            }
        }
        Ok(())
    }

    /// A requester's key: none of a CA's, not twice in this plan, not compromised, and new unless its holder renews.
    pub(super) fn judge_leaf_key(&self, asked: &Requested<'_>) -> Result<(), Refused> {
        let digest = asked.key.digest();
        if let Some(ca) = self.cas.get(&digest) {
            return Err(Refused::new(Check::CaKeyReuse, format!("the key is the CA `{}`'s own", escape(ca))));
        }
        if let Some(other) = self.keys.get(&digest) {
            let wrong = format!("the same key stands in request `{}` of this batch", escape(other));
            return Err(Refused::new(Check::DuplicateKey, wrong));
        }
        if self.compromised.contains(&digest) {
            let wrong = "this bundle has a certificate with this key revoked: keyCompromise";
            return Err(Refused::new(Check::CompromisedKey, wrong));
        }
        self.judge_blocked(asked.key)?;
        if asked.key.modulus().is_some_and(|modulus| self.shared.contains(&modulus_digest(modulus))) {
            // Whose the other one is is not said to a requester, who could compute its private key.
            let wrong =
                "the key's modulus shares a prime with that of another key, so that both private keys can be computed";
            return Err(Refused::new(Check::SharedFactor, wrong));
        }
        let Some(holder) = self.known.key(&digest) else { return Ok(()) };
        if holder.compromised {
            return Err(Refused::new(Check::CompromisedKey, "a certificate with this key was revoked: keyCompromise"));
        }
        let wrong = match asked.reuse {
            KeyReuse::Never => format!("the key was certified before, for `{}`", escape(&holder.whose)),
            KeyReuse::SameRequester if holder.requester != Some(asked.requester) => {
                "the key was certified before, for another requester".into()
            }
            KeyReuse::SameRequester if holder.names != asked.names => {
                format!("the key was certified before, for `{}`, with other names", escape(&holder.whose))
            }
            KeyReuse::SameRequester => return Ok(()),
        };
        Err(Refused::new(Check::DuplicateKey, wrong))
    }

    /// A CA's key: no other CA's, and no requester's. The same CA may get another certificate for it.
    pub(super) fn judge_ca_key(&self, key: &PublicKey, ca: &str) -> Result<(), Refused> {
        self.judge_holder(key, ca, &format!("CA `{ca}`"))
    }

    /// A signer's key, known by its id as requests are; in the same way.
    pub(super) fn judge_signer_key(&self, key: &PublicKey, id: &str) -> Result<(), Refused> {
        self.judge_holder(key, &format!("request {id}"), "the signer")
    }

    fn judge_holder(&self, key: &PublicKey, whose: &str, shown: &str) -> Result<(), Refused> {
        let digest = key.digest();
        self.judge_blocked(key)?;
        let known = self.known.key(&digest);
        if known.as_ref().is_some_and(|holder| holder.compromised) {
            let wrong = format!("a certificate with the key of {shown} was revoked: keyCompromise");
            return Err(Refused::new(Check::CompromisedKey, wrong));
        }
        let known = known.map(|holder| holder.whose);
        let holders = [self.cas.get(&digest), self.keys.get(&digest), known.as_ref()];
        match holders.into_iter().flatten().find(|holder| holder.as_str() != whose) {
            Some(holder) => {
                Err(Refused::new(Check::CaKeyReuse, format!("the key of {shown} is already `{}`'s", escape(holder))))
            }
            None => Ok(()),
        }
    }

    /// A key that others have published as compromised is nobody's.
    fn judge_blocked(&self, key: &PublicKey) -> Result<(), Refused> {
        match self.known.blocked(key) {
            Some(list) => {
                let wrong = format!("the key stands in the list of compromised keys `{}`", escape(&list));
                Err(Refused::new(Check::BlockedKey, wrong))
            }
            None => Ok(()),
        }
    }

    /// Remembers what a judged item takes.
    pub(super) fn take(&mut self, key: &PublicKey, holder: &str, serial: [u8; 17]) {
        self.keys.insert(key.digest(), holder.to_owned());
        self.serials.insert(serial);
    }

    /// Remembers who asked for these names.
    pub(super) fn take_names(&mut self, names: &[String], request: &str, requester: Digest) {
        for name in names {
            self.names.insert(name.clone(), (request.to_owned(), requester));
        }
    }
}
