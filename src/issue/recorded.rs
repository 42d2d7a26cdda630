//! What of a plan is on record when a run begins. Entries that no checkpoint covers yet are no more than octets in a directory,
//! and the next checkpoint seals them: so a run that goes on believes none of them, and judges each as it would its own result.

use std::collections::BTreeMap;

use super::{Judge, KeyBack, KeyGone, KeyMade, KeyWrapped, Outcome, Verified, WrappingKeyMade, revoked, verify};
use crate::audit::entry::Body;
use crate::audit::{self, View};
use crate::cbor::Bytes;
use crate::digest::Digest;
use crate::plan::{self, Backup, Plan};
use crate::text::escape;
use crate::x509;

/// Something on record is not what its plan came to, or not what a CA would have signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the plan cannot be read: {0}")]
    Plan(#[from] plan::Error),
    #[error("the log cannot be read: {0}")]
    Log(#[from] audit::Error),
    #[error("log entry {index} is not what the plan came to: {what}")]
    Entry { index: u64, what: String },
    #[error("the certificate of CA `{ca}` on record does not verify: {what}")]
    Chain { ca: String, what: String },
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> String {
        "nobody but coldroot writes to the audit directory: stop, and compare it with its copies, `coldroot check DIR --against COPY`"
            .into()
    }
}

/// Judges every entry of a plan from `since`, the index of its start, to the end of the log: items, and unless it was voided the
/// refusals. `issuers` holds the certificates of CAs on record, by CA id. `progress` hears the number of items judged.
pub fn judge(
    plan: &mut Plan,
    log: &View,
    since: u64,
    mut issuers: BTreeMap<String, Bytes>,
    mut progress: impl FnMut(u64),
) -> Result<(), Error> {
    let (digest, refusals) = (plan.digest(), plan.refusals()?);
    let mut refusals = refusals.iter();
    let mut judge = Judge { issuers: &mut issuers, revoked: revoked(plan)? };
    let (mut items, mut void) = (0, false);
    for entry in log.entries(since..log.size()) {
        let (index, entry, _) = entry?;
        let differs = |what: String| Error::Entry { index, what };
        match &entry.body {
            Body::Void(ended) if ended.plan == digest => void = true,
            Body::Refused { plan, request, check, reason } if *plan == digest && !void => {
                if refusals.next().is_none_or(|r| (&r.request, &r.check, &r.reason) != (request, check, reason)) {
                    return Err(differs(format!("request `{}` was refused otherwise", escape(request))));
                }
            }
            body => {
                let Some((n, outcome)) = outcome(body, &digest, log).map_err(differs)? else { continue };
                let item = plan.item(n)?;
                let (_, Verified(wanted)) =
                    verify(digest, n, item, outcome, &mut judge, entry.time).map_err(differs)?;
                if wanted != *body {
                    return Err(differs(format!("it says something else of item {n}")));
                }
                items += 1;
                progress(items);
            }
        }
    }
    Ok(())
}

/// Verifies every CA on record under its issuer: once a run, before anything is signed. `issuers` names the issuer of each, `above` what
/// stands above those whose issuer is not of this hierarchy.
pub fn chain(
    cas: &BTreeMap<String, (u64, Bytes)>,
    issuers: &BTreeMap<String, String>,
    above: &BTreeMap<String, Vec<Bytes>>,
) -> Result<(), Error> {
    for (ca, (_, der)) in cas {
        let judged = match (cas.get(issuers.get(ca).unwrap_or(ca)), above.get(ca)) {
            (Some((_, issuer)), _) => x509::verify_ca(der, issuer).map(drop).map_err(|e| e.to_string()),
            (None, Some(above)) => x509::verify_external(der, above).map(drop).map_err(|e| e.to_string()),
            (None, None) => Err("its issuer's is not on record".into()),
        };
        judged.map_err(|what| Error::Chain { ca: escape(ca), what })?;
    }
    Ok(())
}

/// The item and the outcome that an entry of the plan tells of; `None`: it is not about an item of it.
fn outcome(body: &Body, plan: &Digest, log: &View) -> Result<Option<(u64, Outcome)>, String> {
    let artefact = |digest: &Digest| log.artefact(digest).map_err(|e| e.to_string());
    let signature = |der: &[u8]| x509::signature_of(der).map(|(_, value)| value.to_vec()).map_err(|e| e.to_string());
    Ok(Some(match body {
        Body::Certificate(c) if c.plan == *plan => (c.item, Outcome::Signature(signature(&c.der)?)),
        Body::Csr(c) if c.plan == *plan => (c.item, Outcome::Signature(signature(&c.der)?)),
        Body::Crl(c) if c.plan == *plan => (c.item, Outcome::Signature(signature(&artefact(&c.crl)?)?)),
        Body::Revoked(r) if r.plan == *plan => (r.item, Outcome::Noted),
        Body::KeyGenerated(k) if k.plan == *plan => {
            let (label, cka_id, spki) = (k.label.clone(), k.cka_id.clone(), k.spki.clone());
            let (algorithm, attributes, adopted) = (k.algorithm, k.attributes.clone(), k.adopted);
            (k.item, Outcome::Key(KeyMade { label, cka_id, algorithm, spki, attributes, adopted }))
        }
        Body::WrappingKeyGenerated(k) if k.plan == *plan => {
            let (check_value, attributes, adopted) = (k.check_value.clone(), k.attributes.clone(), k.adopted);
            (k.item, Outcome::WrappingKey(WrappingKeyMade { check_value, attributes, adopted }))
        }
        Body::KeyProven(k) if k.plan == *plan => (k.item, Outcome::Signature(artefact(&k.signature)?)),
        Body::KeyBackedUp(k) if k.plan == *plan => {
            let backup = Backup::decode(&artefact(&k.backup)?).ok_or("its backup cannot be read")?;
            let Backup { mechanism, wrapped, check_value, .. } = backup;
            let signature = artefact(&k.signature)?.into();
            (k.item, Outcome::BackedUp(KeyWrapped { mechanism, wrapped, check_value, signature }))
        }
        Body::KeyRestored(k) if k.plan == *plan => {
            let (attributes, adopted) = (k.attributes.clone(), k.adopted);
            (k.item, Outcome::Restored(KeyBack { attributes, adopted, signature: artefact(&k.signature)?.into() }))
        }
        Body::KeyDestroyed(k) if k.plan == *plan => {
            let inventory = String::from_utf8(artefact(&k.inventory)?).map_err(|_| "its inventory is no text")?;
            let lines =
                |when: &str| inventory.lines().filter_map(|line| line.strip_prefix(when)).map(str::to_owned).collect();
            (k.item, Outcome::Destroyed(KeyGone { found: k.found, before: lines("before "), after: lines("after ") }))
        }
        _ => return Ok(None),
    }))
}
