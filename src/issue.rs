//! The second half of the road: has an approved plan carried out, verifies every result, and hands it to the record.
//!
//! ```text
//! chunk:  ask the gate for at most CHUNK items        nothing on disk: a cut loses signatures that nobody has seen
//!         verify each (other libraries than wrote it)  nothing on disk
//!         entries in plan order → tail                 a torn entry is cut off at the next opening
//!         fsync                                        the chunk is issued; a resumed run goes on after it
//! ```
//! How far a plan got is the count of its entries. The next chunk is signed while this one is verified and recorded; what
//! was signed but not recorded is discarded, and the same TBS is asked for again.

pub mod recorded;

use std::collections::BTreeMap;
use std::sync::mpsc;

use crate::audit::Log;
use crate::audit::entry::{
    Body, CertificateIssued, CrlIssued, CsrMade, Entry, KeyBackedUp, KeyDestroyed, KeyGenerated, KeyProven,
    KeyRestored, Revoked, WrappingKeyGenerated,
};
use crate::cbor::Bytes;
use crate::digest::Digest;
use crate::plan::{
    Backup, Certificate, Crl, Csr, Deed, GenerateKey, GenerateWrappingKey, Item, KeyAct, Kind, Plan, Revoke,
};
use crate::text::hex;
use crate::{audit, plan, tbs, x509};

/// Items per request to the gate. Small enough that a progress bar moves with RSA-4096 keys, large enough that the
/// process boundary and the fsync cost nothing.
const CHUNK: usize = 256;

/// Who carries items out: the gate.
pub trait Signer: Send {
    type Error: std::error::Error + Send + 'static;
    /// Outcomes in the order asked.
    fn carry_out(&mut self, items: Vec<u64>) -> Result<Vec<Outcome>, Self::Error>;
}

/// What an item came to, as the gate says.
pub enum Outcome {
    Signature(Vec<u8>),
    Key(KeyMade),
    WrappingKey(WrappingKeyMade),
    BackedUp(KeyWrapped),
    Restored(KeyBack),
    Destroyed(KeyGone),
    /// Nothing is signed for it.
    Noted,
}

/// A key pair as the token reports it.
pub struct KeyMade {
    pub label: String,
    pub cka_id: Bytes,
    pub algorithm: crate::algorithm::KeyAlgorithm,
    pub spki: Bytes,
    pub attributes: Vec<String>,
    pub adopted: bool,
}

/// A wrapping key as the token reports it.
pub struct WrappingKeyMade {
    pub check_value: Option<Bytes>,
    pub attributes: Vec<String>,
    pub adopted: bool,
}

/// A key that was wrapped, and has signed as it was unwrapped again.
pub struct KeyWrapped {
    pub mechanism: String,
    pub wrapped: Bytes,
    pub check_value: Option<Bytes>,
    pub signature: Bytes,
}

/// A key that is back in its token, and has signed there.
pub struct KeyBack {
    pub attributes: Vec<String>,
    pub adopted: bool,
    pub signature: Bytes,
}

/// A key that is gone, with what the token held before and afterwards, a line for each object.
pub struct KeyGone {
    pub found: bool,
    pub before: Vec<String>,
    pub after: Vec<String>,
}

/// Why a run stopped. Everything recorded before stays valid.
#[derive(Debug, thiserror::Error)]
pub enum Error<E: std::error::Error + 'static> {
    #[error(transparent)]
    Signer(E),
    #[error("the plan cannot be read: {0}")]
    Plan(#[from] plan::Error),
    #[error("the log cannot be written: {0}")]
    Log(#[from] audit::Error),
    #[error("item {item} is not what was planned: {what}")]
    NotAsPlanned { item: u64, what: String },
}

impl<E: std::error::Error + 'static> Error<E> {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NotAsPlanned { .. } => {
                Some("nothing of this item was recorded or released; the token or its module answered wrongly: probe it before you go on".into())
            }
            _ => Some("run the same command again: it goes on where it stopped".into()),
        }
    }
}

/// What results are compared with, besides the plan.
struct Judge<'a> {
    issuers: &'a mut BTreeMap<String, Bytes>,
    /// What the plan revokes, which its CRLs must say.
    revoked: Vec<Revoke>,
}

/// A result that every check has passed; only this room makes one, and only such a result can be recorded.
struct Verified(Body);

/// Carries the items from number `from` to the end of the plan out. `issuers` holds the certificates of CAs already on
/// record, by CA id; those made here are added. `progress` hears the number of items on record.
pub fn carry_out<S: Signer>(
    plan: &mut Plan,
    from: u64,
    issuers: &mut BTreeMap<String, Bytes>,
    log: &mut Log,
    clock: &(impl Fn() -> i64 + ?Sized),
    signer: &mut S,
    mut progress: impl FnMut(u64),
) -> Result<(), Error<S::Error>> {
    let items = plan.head().items;
    let mut judge = Judge { issuers, revoked: revoked(plan)? };
    if plan.head().kind == Kind::Keys {
        // Each key is on record before the next is made.
        for n in from..items {
            let outcomes = signer.carry_out(vec![n]).map_err(Error::Signer)?;
            record(plan, &[n], outcomes, &mut judge, log, clock)?;
            progress(n + 1);
        }
        return Ok(());
    }
    let chunks =
        (from..items).step_by(CHUNK).map(move |first| (first..items.min(first + CHUNK as u64)).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        let (to, signed) = mpsc::sync_channel(1);
        scope.spawn(move || {
            for numbers in chunks {
                let outcomes = signer.carry_out(numbers.clone());
                let failed = outcomes.is_err();
                if to.send((numbers, outcomes)).is_err() || failed {
                    break;
                }
            }
        });
        for (numbers, outcomes) in signed {
            record(plan, &numbers, outcomes.map_err(Error::Signer)?, &mut judge, log, clock)?;
            progress(numbers.last().map_or(from, |n| n + 1));
        }
        Ok(())
    })
}

/// Every revocation of the plan.
fn revoked(plan: &mut Plan) -> Result<Vec<Revoke>, plan::Error> {
    let mut revoked = Vec::new();
    if plan.head().counts.iter().any(|count| count.act == "revoke") {
        for n in 0..plan.head().items {
            if let Item::Revoke(revoke) = plan.item(n)? {
                revoked.push(revoke);
            }
        }
    }
    Ok(revoked)
}

/// Verifies all of a chunk, then records it, then flushes.
fn record<E: std::error::Error>(
    plan: &mut Plan,
    numbers: &[u64],
    outcomes: Vec<Outcome>,
    judge: &mut Judge,
    log: &mut Log,
    clock: &(impl Fn() -> i64 + ?Sized),
) -> Result<(), Error<E>> {
    if outcomes.len() != numbers.len() {
        let item = numbers.first().copied().unwrap_or(0);
        return Err(Error::NotAsPlanned { item, what: "the gate answered for other items than asked".into() });
    }
    let mut verified = Vec::with_capacity(numbers.len());
    for (n, outcome) in numbers.iter().zip(outcomes) {
        let wrong = |what: String| Error::NotAsPlanned { item: *n, what };
        let (artefacts, body) = verify(plan.digest(), *n, plan.item(*n)?, outcome, judge, clock()).map_err(wrong)?;
        // Artefacts lie on disk before the entry that names them.
        for artefact in artefacts {
            log.put_artefact(&artefact)?;
        }
        verified.push(body);
    }
    for Verified(body) in verified {
        log.append(&Entry::new(clock(), body))?;
    }
    Ok(log.sync()?)
}

/// Judges what an item came to: the artefacts that its entry names, and the entry.
fn verify(
    plan: Digest,
    n: u64,
    item: Item,
    outcome: Outcome,
    judge: &mut Judge,
    now: i64,
) -> Result<(Vec<Vec<u8>>, Verified), String> {
    let (artefacts, body) = match (item, outcome) {
        (Item::GenerateKey(planned), Outcome::Key(made)) => (vec![], key(plan, n, planned, made)?),
        (Item::Certificate(planned), Outcome::Signature(s)) => {
            (vec![], certificate(plan, n, *planned, &s, judge.issuers, now)?)
        }
        (Item::GenerateWrappingKey(planned), Outcome::WrappingKey(made)) => {
            let GenerateWrappingKey { key, token, label, cka_id } = planned;
            let WrappingKeyMade { check_value, attributes, adopted } = made;
            let made =
                WrappingKeyGenerated { plan, item: n, key, token, label, cka_id, check_value, attributes, adopted };
            (vec![], Body::WrappingKeyGenerated(made))
        }
        (Item::KeyAct(act), outcome) => key_act(plan, n, *act, outcome)?,
        (Item::Revoke(r), Outcome::Noted) => {
            let (ca, serial, reason, date) = (r.ca, r.serial, r.reason, r.date);
            (vec![], Body::Revoked(Revoked { plan, item: n, ca, serial, reason, date }))
        }
        (Item::Crl(planned), Outcome::Signature(s)) => crl(plan, n, *planned, &s, judge)?,
        (Item::Csr(planned), Outcome::Signature(s)) => (vec![], csr(plan, n, *planned, &s)?),
        _ => return Err("the gate answered with another kind of result".into()),
    };
    Ok((artefacts, Verified(body)))
}

fn key(plan: Digest, item: u64, planned: GenerateKey, made: KeyMade) -> Result<Body, String> {
    if made.label != planned.label || made.cka_id != planned.cka_id || made.algorithm != planned.algorithm {
        return Err("the token made a key of another name or kind".into());
    }
    x509::PublicKey::from_spki(&made.spki).map_err(|e| format!("its public half is not usable: {e}"))?;
    Ok(Body::KeyGenerated(KeyGenerated {
        plan,
        item,
        key: planned.key,
        token: planned.token,
        label: made.label,
        cka_id: made.cka_id,
        algorithm: made.algorithm,
        spki: made.spki,
        attributes: made.attributes,
        adopted: made.adopted,
    }))
}

/// What an act on a key came to: the artefacts that must lie on disk before its entry, and the entry.
fn key_act(plan: Digest, item: u64, act: KeyAct, outcome: Outcome) -> Result<(Vec<Vec<u8>>, Body), String> {
    let KeyAct { key, deed } = act;
    let spki = Digest::of(&key.spki);
    let proven = |text: &[u8], signature: &[u8]| {
        x509::verify_signature(&key.spki, key.algorithm.signs_with(), text, signature)
            .map_err(|e| format!("the proof of key `{}`: {e}", key.key))
            .map(|()| Digest::of(signature))
    };
    match (deed, outcome) {
        (Deed::Prove { text }, Outcome::Signature(value)) => {
            let signature = proven(&text, &value)?;
            let (key, token) = (key.key, key.token);
            Ok((vec![value], Body::KeyProven(KeyProven { plan, item, key, token, spki, signature })))
        }
        (Deed::Backup { wrapping, text }, Outcome::BackedUp(made)) => {
            let signature = proven(&text, &made.signature)?;
            let wrapping_key = wrapping.key.clone();
            let backup = Backup {
                key: key.key.clone(),
                label: key.label,
                cka_id: key.cka_id,
                algorithm: key.algorithm,
                spki,
                wrapping,
                check_value: made.check_value,
                mechanism: made.mechanism.clone(),
                wrapped: made.wrapped,
            };
            let file = backup.encode().map_err(|e| format!("its backup cannot be stored: {e}"))?;
            let body = Body::KeyBackedUp(KeyBackedUp {
                plan,
                item,
                key: key.key,
                token: key.token,
                spki,
                wrapping_key,
                mechanism: made.mechanism,
                backup: Digest::of(&file),
                signature,
            });
            Ok((vec![file, made.signature.into_vec()], body))
        }
        (Deed::Restore { backup, text, .. }, Outcome::Restored(back)) => {
            let signature = proven(&text, &back.signature)?;
            let (key, token, adopted) = (key.key, key.token, back.adopted);
            let attributes = back.attributes;
            let body =
                Body::KeyRestored(KeyRestored { plan, item, key, token, spki, backup, attributes, adopted, signature });
            Ok((vec![back.signature.into_vec()], body))
        }
        (Deed::Destroy { .. }, Outcome::Destroyed(gone)) => {
            let mut inventory = String::from("coldroot-inventory-v0\n");
            for (when, lines) in [("before", &gone.before), ("after", &gone.after)] {
                inventory.extend(lines.iter().map(|line| format!("{when} {line}\n")));
            }
            let inventory = inventory.into_bytes();
            let body = Body::KeyDestroyed(KeyDestroyed {
                plan,
                item,
                key: key.key,
                token: key.token,
                label: key.label,
                cka_id: key.cka_id,
                spki,
                found: gone.found,
                inventory: Digest::of(&inventory),
            });
            Ok((vec![inventory], body))
        }
        _ => Err("the gate answered with another kind of result".into()),
    }
}

fn certificate(
    plan: Digest,
    item: u64,
    planned: Certificate,
    signature: &[u8],
    issuers: &mut BTreeMap<String, Bytes>,
    now: i64,
) -> Result<Body, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let der = tbs::assemble(&planned.tbs, planned.fields.signature, signature);
    if planned.tbs.len() > x509::MAX_TBS {
        return Err(format!("its TBS has {} octets, more than {}", planned.tbs.len(), x509::MAX_TBS));
    }
    if x509::tbs_of(&der).map_err(|e| text(&e))? != planned.tbs.as_slice() {
        return Err("its TBS is not the planned one".into());
    }
    if x509::read_certificate(&der).map_err(|e| text(&e))? != planned.fields {
        return Err("a field read back differs from the plan".into());
    }
    let is_root = planned.subject_ca.as_ref() == Some(&planned.ca);
    let issuer = match is_root {
        true => Bytes::from(der.clone()),
        false => issuers.get(&planned.ca).cloned().ok_or("its issuer's certificate is not on record")?,
    };
    match &planned.subject_ca {
        Some(ca) => {
            x509::verify_ca(&der, &issuer).map_err(|e| text(&e))?;
            issuers.insert(ca.clone(), Bytes::from(der.clone()));
        }
        None if planned.act == "signer" => {
            x509::verify_signer(&der, &issuer, now).map_err(|e| text(&e))?;
        }
        None => {
            x509::verify_leaf(&der, &issuer, now).map_err(|e| text(&e))?;
        }
    }
    Ok(Body::Certificate(CertificateIssued {
        plan,
        item,
        ca: planned.ca,
        subject_ca: planned.subject_ca,
        request: planned.request,
        profile: planned.profile,
        requester: planned.requester,
        der: Bytes::from(der),
    }))
}

fn csr(plan: Digest, item: u64, planned: Csr, signature: &[u8]) -> Result<Body, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let by = planned.signer.algorithm.signs_with();
    let der = tbs::assemble(&planned.tbs, by, signature);
    if x509::tbs_of(&der).map_err(|e| text(&e))? != planned.tbs.as_slice() {
        return Err("what was signed is not the planned request".into());
    }
    if x509::verify_request(&der, by).map_err(|e| text(&e))? != planned.fields {
        return Err("a field read back differs from the plan".into());
    }
    Ok(Body::Csr(CsrMade { plan, item, ca: planned.ca, der: Bytes::from(der) }))
}

fn crl(plan: Digest, item: u64, planned: Crl, signature: &[u8], judge: &Judge) -> Result<(Vec<Vec<u8>>, Body), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let der = tbs::assemble(&planned.tbs, planned.fields.signature, signature);
    if x509::tbs_of(&der).map_err(|e| text(&e))? != planned.tbs.as_slice() {
        return Err("its TBS is not the planned one".into());
    }
    if x509::read_crl(&der).map_err(|e| text(&e))? != planned.fields {
        return Err("a field read back differs from the plan".into());
    }
    let stands = |r: &&Revoke| {
        planned.fields.revoked.iter().any(|e| (&e.serial, e.reason, e.date) == (&r.serial, r.reason, r.date))
    };
    if let Some(missing) = judge.revoked.iter().find(|r| r.ca == planned.ca && !stands(r)) {
        return Err(format!("serial {} is revoked by this plan and does not stand on it", hex(&missing.serial)));
    }
    let issuer = judge.issuers.get(&planned.ca).ok_or("its issuer's certificate is not on record")?;
    x509::verify_crl(&der, issuer).map_err(|e| text(&e))?;
    let body = Body::Crl(CrlIssued {
        plan,
        item,
        ca: planned.ca,
        number: planned.fields.number,
        this_update: planned.fields.this_update,
        next_update: planned.fields.next_update,
        crl: Digest::of(&der),
    });
    Ok((vec![der], body))
}
