//! The judgement of a release: every part stands in its log, once, and verifies up to the root.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::audit::{self, Log, View};
use crate::cbor;
use crate::config::EXTERNAL;
use crate::digest::Digest;
use crate::ledger::Ledger;
use crate::text::escape;
use crate::{change, x509};

use super::read::{Findings, Release, Trust};
use super::write::each_part;
use super::*;

/// The parts that the log gives for this release, by the digest of what stands in the container; taken out as they are met.
type OnRecord = BTreeSet<Digest>;

/// Judges a release against its own log, and both against what the reader knows from elsewhere.
pub(super) fn judge(release: &Release, log: &Path, trust: &Trust) -> Result<Findings, Error> {
    let failed = |check: &'static str, what: String| Error::Check { check, what };
    let report = audit::check::check(log, trust.verifier_key).map_err(|e| failed("log", e.to_string()))?;
    let log = Log::read(log)?;
    change::judge_log(&log, &report.changes).map_err(|e| failed("changes", e.to_string()))?;
    let genesis = log.genesis()?;
    let ledger = crls::check(&log)?;
    let mut record = on_record(release, &log, &ledger)?;
    if genesis.origin != release.head.origin {
        return Err(failed("origin", "the log is of another origin than the release".into()));
    }
    let mut compared = vec!["verifier key".to_string()];
    let mut not_compared = Vec::new();
    match trust.hierarchy {
        None => not_compared.push("hierarchy and approvals (give --hierarchy)".to_string()),
        Some(h) if h.digest != release.head.hierarchy => {
            let what = format!(
                "the release was made under the hierarchy with SHA-256 {}, not under the one given",
                release.head.hierarchy
            );
            return Err(failed("hierarchy", what));
        }
        Some(h) => {
            approved::check(release, &log, &ledger, h)?;
            compared.push("hierarchy, approvals".into());
        }
    }
    let mut findings = Findings {
        release: release.head.release,
        cas: 0,
        certificates: 0,
        crls: 0,
        refused: 0,
        revoked: 0,
        keys: 0,
        key_acts: 0,
        csrs: 0,
        log: report,
        compared: Vec::new(),
        not_compared: Vec::new(),
    };
    let cas = chain(release, &record, trust, &mut compared, &mut not_compared)?;
    findings.cas = cas.len() as u64;
    release.parts(|part| judge_part(part, &mut record, &cas, trust.now, &mut findings))?;
    if !record.is_empty() {
        return Err(failed(
            "counts",
            format!("the release does not hold what the log says its plan came to: {} missing", record.len()),
        ));
    }
    (findings.compared, findings.not_compared) = (compared, not_compared);
    Ok(findings)
}

fn on_record(release: &Release, log: &View, ledger: &Ledger) -> Result<OnRecord, Error> {
    let plan = &release.head.plan;
    let end = ledger.plans.get(plan).and_then(|state| state.end.as_ref());
    if end.is_none_or(|(_, end)| (end.release, end.manifest) != (release.head.release, release.manifest)) {
        return Err(Error::Check {
            check: "manifest-on-record",
            what: "no end entry of the log vouches for this manifest".into(),
        });
    }
    let mut record = OnRecord::new();
    each_part(log, ledger, plan, 0..log.size(), |part| {
        record.insert(of_part(&part)?);
        Ok(())
    })?;
    Ok(record)
}

fn of_part(part: &Part) -> Result<Digest, Error> {
    let damaged = |e: cbor::Error| Error::Damaged { path: "release.cbor".into(), cause: e.to_string() };
    Ok(Digest::of(&cbor::to_vec(part).map_err(damaged)?))
}

/// The CAs of the release, each verified under its issuer, up to one of the roots that the reader gave.
fn chain(
    release: &Release,
    record: &OnRecord,
    trust: &Trust,
    compared: &mut Vec<String>,
    not_compared: &mut Vec<String>,
) -> Result<BTreeMap<String, Bytes>, Error> {
    let failed = |check: &'static str, what: String| Error::Check { check, what };
    let mut cas: BTreeMap<String, Bytes> = BTreeMap::new();
    let mut parents: Vec<(String, String, Vec<Bytes>)> = Vec::new();
    release.parts(|part| {
        let recorded = record.contains(&of_part(&part)?);
        if let Part::Ca { ca, parent, der, above, .. } = part {
            if !recorded {
                let what = format!("the log does not have the certificate of CA `{}` as it stands here", escape(&ca));
                return Err(failed("on-record", what));
            }
            parents.push((ca.clone(), parent, above));
            cas.insert(ca, der);
        }
        Ok(())
    })?;
    let mut reached = BTreeSet::new();
    for (ca, parent, above) in &parents {
        let shown = escape(ca);
        if parent == EXTERNAL {
            let root = external(cas.get(ca), above, trust.roots)
                .map_err(|(check, what)| failed(check, format!("CA `{shown}`: {what}")))?;
            reached.extend(root);
            continue;
        }
        let link = cas.get(ca).zip(cas.get(parent));
        let (der, issuer) = link.ok_or_else(|| failed("chain", format!("the issuer of CA `{shown}` is missing")))?;
        x509::verify_ca(der, issuer).map_err(|e| failed("chain", format!("CA `{shown}`: {e}")))?;
        if ca == parent && !trust.roots.is_empty() {
            let root = trust.roots.iter().position(|root| root == der.as_slice());
            let given = if trust.roots.len() == 1 { "the one given" } else { "one of those given" };
            let other = || failed("root", format!("the root `{shown}` of this release is not {given}"));
            reached.insert(root.ok_or_else(other)?);
        }
    }
    match trust.roots.len() {
        0 => not_compared.push("root (give --root)".into()),
        _ if cas.is_empty() => not_compared.push("root (no CA stands in this release)".into()),
        given => {
            compared.push(if given == 1 { "root".into() } else { format!("{} of {given} roots", reached.len()) });
            let unused = (0..).zip(trust.roots).filter(|(n, _)| !reached.contains(n));
            not_compared.extend(unused.map(|(_, root)| {
                format!("the root with SHA-256 {} (no CA of this release leads to it)", Digest::of(root))
            }));
        }
    }
    Ok(cas)
}

/// A CA whose certificate an external issuer has made: it verifies up to the last one above it, which is a root given or was made by it.
/// Gives the number of that root.
fn external(der: Option<&Bytes>, above: &[Bytes], roots: &[Vec<u8>]) -> Result<Option<usize>, (&'static str, String)> {
    let chain = |e: x509::Error| ("chain", e.to_string());
    let (der, last) = der.zip(above.last()).ok_or(("chain", "no certificate above it is here".to_string()))?;
    x509::verify_external(der, above).map_err(chain)?;
    let self_issued = x509::read_certificate(last).is_ok_and(|f| f.issuer == f.subject);
    let leads_to = |root: &Vec<u8>| root == last.as_slice() || (!self_issued && x509::verify_ca(last, root).is_ok());
    match roots.iter().position(leads_to) {
        None if !roots.is_empty() => {
            let given = if roots.len() == 1 {
                "neither the root given nor by it"
            } else {
                "none of the roots given nor by one"
            };
            Err(("root", format!("the last certificate above it is {given}")))
        }
        root => Ok(root),
    }
}

/// Judges a part: it must be one that the log gives, and stands here once; certificates and CRLs are verified.
fn judge_part(
    part: Part,
    record: &mut OnRecord,
    cas: &BTreeMap<String, Bytes>,
    now: i64,
    findings: &mut Findings,
) -> Result<(), Error> {
    let failed = |check: &'static str, what: String| Error::Check { check, what };
    if !record.remove(&of_part(&part)?) {
        let what = format!("the log does not have {} as it stands here, or it stands here twice", shown(&part));
        return Err(failed("on-record", what));
    }
    match part {
        Part::Ca { .. } => {}
        Part::Certificate { request, ca, der, .. } => {
            let shown = escape(&request);
            let issuer = cas.get(&ca).ok_or_else(|| failed("chain", format!("`{shown}`: its CA is missing")))?;
            // A release stays good after its certificates have expired: they are judged at the nearest day of their lives.
            let at = x509::read_certificate(&der).map_or(now, |f| now.clamp(f.not_before, f.not_after));
            x509::verify_end_entity(&der, issuer, at).map_err(|e| failed("certificate", format!("`{shown}`: {e}")))?;
            findings.certificates += 1;
        }
        Part::Crl { ca, der, .. } => {
            let shown = escape(&ca);
            let issuer = cas.get(&ca).ok_or_else(|| failed("chain", format!("the CRL's CA `{shown}` is missing")))?;
            x509::verify_crl(&der, issuer).map_err(|e| failed("crl", format!("of CA `{shown}`: {e}")))?;
            findings.crls += 1;
        }
        Part::Refused(_) => findings.refused += 1,
        Part::Revoked { .. } => findings.revoked += 1,
        Part::Csr { ca, der, .. } => {
            let shown = escape(&ca);
            let verified = x509::Request::parse(&der).and_then(|request| request.verify_possession());
            verified.map_err(|e| failed("csr", format!("the request of CA `{shown}`: {e}")))?;
            findings.csrs += 1;
        }
        Part::Key { .. } => findings.keys += 1,
        Part::KeyAct { .. } => findings.key_acts += 1,
    }
    Ok(())
}

fn shown(part: &Part) -> String {
    match part {
        Part::Ca { ca, .. } => format!("the certificate of CA `{}`", escape(ca)),
        Part::Certificate { request, .. } => format!("the certificate of `{}`", escape(request)),
        Part::Crl { ca, number, .. } => format!("CRL {number} of CA `{}` as the newest,", escape(ca)),
        Part::Refused(refusal) => format!("the refusal of `{}`", escape(&refusal.request)),
        Part::Revoked { serial, .. } => format!("the revocation of serial {}", crate::text::hex(serial)),
        Part::Csr { ca, .. } => format!("the request of CA `{}`", escape(ca)),
        Part::Key { key, .. } => format!("the key `{}`", escape(key)),
        Part::KeyAct { act, key, .. } => format!("the act `{}` on key `{}`", escape(act), escape(key)),
    }
}
