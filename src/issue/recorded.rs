//! What of a plan is on record when a run begins. Entries that no checkpoint covers yet are no more than octets in a directory,
//! and the next checkpoint seals them: so a run that goes on believes none of them, and judges each as it would its own result.

use std::collections::BTreeMap;

use super::{Judge, KeyBack, KeyGone, KeyMade, KeyWrapped, Outcome, Verified, WrappingKeyMade, revoked, verify};
use crate::audit::entry::{Body, KeyGenerated};
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

/// The CAs on record: the newest certificate of each, who has issued it, and what stands above those whose issuer is not of this
/// hierarchy.
pub struct Cas<'a> {
    pub newest: &'a BTreeMap<String, (u64, Bytes)>,
    pub issuers: &'a BTreeMap<String, String>,
    pub above: &'a BTreeMap<String, Vec<Bytes>>,
}

/// What is on record when a run begins has been judged. Nothing is carried out, and no plan is ended, without one; only
/// [`judge`] makes it.
pub struct Judged {
    /// The certificates of CAs, by CA id.
    pub(super) issuers: BTreeMap<String, Bytes>,
    keys: Vec<KeyGenerated>,
}

impl Judged {
    /// The keys that are on record of the plan. Their public halves were drawn by the token, so no plan says what they are: only the
    /// token can tell whether they are its own.
    pub fn keys(&self) -> &[KeyGenerated] {
        &self.keys
    }
}

/// Judges the CAs, and of a plan that has begun every entry from `since`, the index of its start, to the end of the log: items, and
/// unless it was voided the refusals. `progress` hears the number of items judged.
pub fn judge(
    plan: &mut Plan,
    log: &View,
    cas: &Cas,
    since: Option<u64>,
    progress: impl FnMut(u64),
) -> Result<Judged, Error> {
    chain(cas)?;
    let issuers = cas.newest.iter().map(|(ca, (_, der))| (ca.clone(), der.clone())).collect();
    let mut judged = Judged { issuers, keys: Vec::new() };
    if let Some(since) = since {
        entries(plan, log, since, &mut judged, progress)?;
    }
    Ok(judged)
}

fn entries(
    plan: &mut Plan,
    log: &View,
    since: u64,
    judged: &mut Judged,
    mut progress: impl FnMut(u64),
) -> Result<(), Error> {
    let (digest, refusals) = (plan.digest(), plan.refusals()?);
    let mut refusals = refusals.iter();
    let mut judge = Judge { issuers: &mut judged.issuers, revoked: revoked(plan)? };
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
                if let Body::KeyGenerated(key) = wanted {
                    judged.keys.push(key);
                }
                items += 1;
                progress(items);
            }
        }
    }
    Ok(())
}

/// Verifies every CA on record under its issuer: once a run, before anything is signed.
fn chain(cas: &Cas) -> Result<(), Error> {
    for (ca, (_, der)) in cas.newest {
        let judged = match (cas.newest.get(cas.issuers.get(ca).unwrap_or(ca)), cas.above.get(ca)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tbs;
    use crate::x509::fields::{CaConstraint, CertFields, Constraints, key_usage};
    use crate::x509::forge::{Key, cn};

    /// A CA's certificate by this key, which need not be its issuer's.
    fn ca((id, key): (&str, &Key), (issuer, aki): (&str, Option<&Key>), by: &Key) -> (u64, Bytes) {
        let identifier = |key: &Key| x509::PublicKey::from_spki(&key.spki()).unwrap().identifier();
        let fields = CertFields {
            serial: Bytes::from([1, 2, 3]),
            signature: by.algorithm(),
            issuer: cn(issuer).into(),
            not_before: 1_780_000_000,
            not_after: 1_880_000_000,
            subject: cn(id).into(),
            spki: key.spki().into(),
            ca: Some(CaConstraint { path_len: None }),
            key_usage: key_usage::KEY_CERT_SIGN | key_usage::CRL_SIGN,
            eku: vec![],
            san: vec![],
            ski: Some(identifier(key)),
            aki: aki.map(identifier),
            crl_urls: vec![],
            issuer_urls: vec![],
            policies: vec![],
            constraints: Constraints::default(),
            critical: vec!["2.5.29.15".into(), "2.5.29.19".into()],
            others: vec![],
        };
        let tbs = tbs::certificate(&fields).unwrap();
        (7, Bytes::from(tbs::assemble(&tbs, by.algorithm(), &by.sign(&tbs))))
    }

    #[test]
    fn p02_a_ca_on_record_that_does_not_verify_is_named() {
        let [root, middle, stranger] = [Key::p256(), Key::p256(), Key::p256()];
        let good = BTreeMap::from([
            ("root".to_string(), ca(("root", &root), ("root", None), &root)),
            ("middle".to_string(), ca(("middle", &middle), ("root", Some(&root)), &root)),
        ]);
        let issuers =
            BTreeMap::from([("root", "root"), ("middle", "root")].map(|(a, b)| (a.to_string(), b.to_string())));
        let chain = |newest: &_, above: &_| chain(&Cas { newest, issuers: &issuers, above });
        let above = BTreeMap::new();
        chain(&good, &above).unwrap();

        let with = |id: &str, der| BTreeMap::from_iter(good.clone().into_iter().chain([(id.to_string(), der)]));
        let wrong = [
            ("middle", with("middle", ca(("middle", &middle), ("root", Some(&root)), &stranger))),
            ("root", with("root", ca(("root", &root), ("root", None), &stranger))),
            ("middle", with("root", ca(("root", &stranger), ("root", None), &stranger))),
        ];
        for (id, cas) in wrong {
            let said = chain(&cas, &above).unwrap_err();
            assert!(matches!(&said, Error::Chain { ca, .. } if ca == id), "{id}: {said}");
        }
        let orphan = BTreeMap::from([("middle".to_string(), good["middle"].clone())]);
        assert!(chain(&orphan, &above).unwrap_err().to_string().ends_with("its issuer's is not on record"));
        let above = BTreeMap::from([("middle".to_string(), vec![good["root"].1.clone()])]);
        chain(&orphan, &above).unwrap();
        let above =
            BTreeMap::from([("middle".to_string(), vec![ca(("root", &stranger), ("root", None), &stranger).1])]);
        assert!(chain(&orphan, &above).is_err());
    }
}
