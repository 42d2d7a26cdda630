//! What an item came to, judged before it is recorded: against the plan, and by other libraries than wrote it.

use std::collections::BTreeMap;

use super::{KeyMade, Outcome, WrappingKeyMade};
use crate::audit::entry::{
    Body, CertificateIssued, CrlIssued, CsrMade, KeyBackedUp, KeyDestroyed, KeyGenerated, KeyProven, KeyRestored,
    Revoked, WrappingKeyGenerated,
};
use crate::cbor::Bytes;
use crate::digest::Digest;
use crate::plan::{Backup, Certificate, Crl, Csr, Deed, GenerateKey, GenerateWrappingKey, Item, KeyAct, Revoke};
use crate::text::hex;
use crate::{tbs, x509};

/// What results are compared with, besides the plan.
pub(super) struct Judge<'a> {
    pub(super) issuers: &'a mut BTreeMap<String, Bytes>,
    /// What the plan revokes, which its CRLs must say.
    pub(super) revoked: Vec<Revoke>,
}

/// A result that every check has passed; only this room makes one, and only such a result can be recorded.
pub(super) struct Verified(pub(super) Body);

/// Judges what an item came to: the artefacts that its entry names, and the entry.
pub(super) fn verify(
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
