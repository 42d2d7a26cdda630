//! The CAs that a plan can issue under, and their keys.

use std::collections::{BTreeMap, BTreeSet};

use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::config::{Ca, Hierarchy, Profile};
use crate::ledger::Ledger;
use crate::plan::KeyRef;
use crate::policy::{CaKey, IssuerFacts};
use crate::{tbs, x509};

use super::{Context, Error, refused};

/// The keys on record that were not destroyed, by id.
pub(super) fn recorded_keys(ledger: &Ledger) -> BTreeMap<String, KeyRef> {
    let key = |(id, k): (&String, &crate::audit::entry::KeyGenerated)| {
        (id.clone(), key_ref(id, &k.token, &k.label, &k.cka_id, k.algorithm, &k.spki))
    };
    ledger.keys.iter().filter(|(id, _)| !ledger.destroyed.contains(*id)).map(key).collect()
}

pub(super) fn key_ref(
    key: &str,
    token: &str,
    label: &str,
    cka_id: &Bytes,
    algorithm: KeyAlgorithm,
    spki: &Bytes,
) -> KeyRef {
    KeyRef {
        key: key.into(),
        token: token.into(),
        label: label.into(),
        cka_id: cka_id.clone(),
        algorithm,
        spki: spki.clone(),
    }
}

/// The profile of a CA.
pub(super) fn profile_of<'a>(context: &Context<'a>, ca: &Ca) -> Result<&'a Profile, Error> {
    let profile = context.hierarchy.profile(&ca.profile);
    profile.ok_or(Error::Ca { ca: ca.id.clone(), what: "names no declared profile" })
}

/// What is judged of a key that signs.
pub(super) fn ca_key(key: &KeyRef) -> CaKey<'_> {
    CaKey { spki: &key.spki, algorithm: key.algorithm }
}

/// The keys of the hierarchy's CAs, which no request may hold.
pub(super) fn ca_keys<'k>(
    hierarchy: &'k Hierarchy,
    keys: &'k BTreeMap<String, KeyRef>,
) -> impl Iterator<Item = (&'k str, &'k [u8])> {
    hierarchy.cas.iter().filter_map(|ca| keys.get(&ca.key).map(|key| (ca.id.as_str(), key.spki.as_slice())))
}

/// The certificates of CAs that this plan can issue under: those on record, and those planned before in the same plan.
pub(super) struct Issuers {
    keys: BTreeMap<String, KeyRef>,
    recorded: BTreeMap<String, Bytes>,
    /// The certificates above those that were adopted.
    above: BTreeMap<String, Vec<Bytes>>,
    /// CAs whose request is on record.
    asked: BTreeSet<String>,
    /// Those whose certificate is revoked.
    revoked: BTreeSet<String>,
    pub(super) facts: BTreeMap<String, IssuerFacts>,
}

impl Issuers {
    pub(super) fn new(context: &Context, keys: BTreeMap<String, KeyRef>) -> Result<Issuers, Error> {
        let cas = context.ledger.cas.iter();
        let recorded: BTreeMap<String, Bytes> = cas.map(|(ca, (_, der))| (ca.clone(), der.clone())).collect();
        let mut revoked = BTreeSet::new();
        // What an external issuer has made it revokes itself.
        for (ca, der) in recorded.iter().filter(|(ca, _)| !context.ledger.above.contains_key(*ca)) {
            let Ok(fields) = x509::read_certificate(der) else { continue };
            let issued = context.ledger.issued(context.log, &fields.serial)?;
            if issued.is_some_and(|issued| issued.revoked.is_some()) {
                revoked.insert(ca.clone());
            }
        }
        let above = context.ledger.above.clone();
        let asked = context.ledger.csrs.keys().cloned().collect();
        Ok(Issuers { keys, recorded, above, asked, revoked, facts: BTreeMap::new() })
    }

    /// A key on record, by its id.
    pub(super) fn key_of(&self, id: &str) -> Option<&KeyRef> {
        self.keys.get(id)
    }

    pub(super) fn key(&self, ca: &Ca) -> Result<KeyRef, Error> {
        self.keys.get(&ca.key).cloned().ok_or(Error::Ca {
            ca: ca.id.clone(),
            what: "has no key; generate it first (one that was destroyed signs nothing more)",
        })
    }

    /// The key that signs a CA's certificate: its issuer's, a root's own.
    pub(super) fn signer(&self, context: &Context, ca: &Ca) -> Result<KeyRef, Error> {
        let issuer = context.hierarchy.ca(&ca.issuer);
        self.key(issuer.ok_or(Error::Ca { ca: ca.id.clone(), what: "names no declared issuer" })?)
    }

    /// Facts of an issuing CA, judged once: its certificate against its own issuer's and against the key in the token.
    pub(super) fn facts(&mut self, context: &Context, id: &str) -> Result<IssuerFacts, Error> {
        if let Some(facts) = self.facts.get(id) {
            return Ok(facts.clone());
        }
        let unknown = |ca: &str| match context.hierarchy.ca(ca).is_some_and(Ca::is_external) {
            true => Error::External { ca: ca.into(), asked: self.asked.contains(ca) },
            false => Error::Ca { ca: ca.into(), what: "has no certificate yet; issue it first" },
        };
        let (Some(ca), Some(der)) = (context.hierarchy.ca(id), self.recorded.get(id)) else { return Err(unknown(id)) };
        let mut chain = vec![der.as_slice()];
        let mut at = ca;
        while !at.is_root() && !at.is_external() {
            let above = context.hierarchy.ca(&at.issuer).zip(self.recorded.get(&at.issuer));
            let (parent, der) =
                above.ok_or(Error::Ca { ca: id.into(), what: "has an issuer without a certificate" })?;
            chain.push(der);
            at = parent;
        }
        chain.extend(
            self.above.get(&at.id).filter(|_| at.is_external()).into_iter().flatten().map(|der| der.as_slice()),
        );
        let (key, subject) = (self.key(ca)?, tbs::name(&ca.subject));
        let facts = IssuerFacts::from_certificate((&chain, at.is_external()), ca, &subject, ca_key(&key), context.now)
            .map_err(|r| refused(id, r))?;
        self.facts.insert(id.into(), facts.clone());
        Ok(facts)
    }

    /// Facts of a CA that is to certify something: a revoked one, or one below it, certifies nothing more.
    pub(super) fn certifying(&mut self, context: &Context, id: &str) -> Result<IssuerFacts, Error> {
        let facts = self.facts(context, id)?;
        let mut at = context.hierarchy.ca(id);
        while let Some(ca) = at {
            if self.revoked.contains(&ca.id) {
                return Err(Error::Ca { ca: ca.id.clone(), what: "is revoked and certifies nothing more" });
            }
            at = if ca.is_root() { None } else { context.hierarchy.ca(&ca.issuer) };
        }
        Ok(facts)
    }
}
