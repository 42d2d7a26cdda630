//! `adopt-certificate`: the certificate that an external issuer has made for a CA of this station. From then on the CA issues under it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::audit::entry::{Body, CertificateAdopted, Decision};
use crate::cbor::Bytes;
use crate::config::Ca;
use crate::digest::Digest;
use crate::ledger::Ledger;
use crate::policy::{CaKey, ExternalContext, Returned, judge_adopted};
use crate::report::terminal::pairs;
use crate::text::{escape, hex, hex_groups, line, shell, utc};
use crate::{policy, tbs, x509};

use super::change::{Decided, Outcome, Wanted, decide, resume};
use super::station::Station;
use super::{Answer, Failure, Globals};

/// Gives a CA the certificate that its external issuer has made.
#[derive(Args)]
#[command(
    after_help = "For a CA with `issuer = \"external\"` whose request is on record (the act `csr` of a ceremony). Without approvals it writes the \
    statement that the quorum signs.\n\nExample:\n  \
    coldroot adopt-certificate issuing.pem --ca issuing --reason \"from the root\" --operator carol --witness dave\n  \
    coldroot approve out/adopt-certificate-3f2a9c01.statement --person alice --key SSHKEY\n  \
    coldroot adopt-certificate issuing.pem --ca issuing --reason \"from the root\" --operator carol --witness dave \\\n    \
    --approval out/adopt-certificate-3f2a9c01.statement.alice.sig --approval out/adopt-certificate-3f2a9c01.statement.bob.sig"
)]
pub struct CertificateArgs {
    /// The certificate, DER or PEM; in PEM those above it may stand behind it, its issuer's first
    #[arg(value_name = "CERTIFICATE")]
    pub certificate: PathBuf,
    /// The CA that it is for
    #[arg(long, value_name = "CA")]
    pub ca: String,
    #[command(flatten)]
    pub decided: Decided,
}

/// Octets of a file of certificates.
const MAX_FILE: u64 = 128 << 10;
/// Octets of a certificate and those above it together: they stand in one entry of the log.
const MAX_CHAIN: usize = 48 << 10;

pub fn adopt_certificate(globals: &Globals, args: CertificateArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    super::recognise::must_be_regular(&args.certificate)?;
    let ca = external(&station, &args.ca)?;
    let (mut log, ledger) = station.open_log()?;
    // A certificate from outside is hostile input: it is parsed inside, when the gate runs already.
    let gate = if args.decided.approval.is_empty() { None } else { Some(station.start_gate()?) };
    let declared = ca.issuer_certificate.as_ref().map(|issuer| station.dir.join(&issuer.path));
    let inputs = args.decided.approval.iter().chain([&args.certificate]).chain(&declared).map(PathBuf::as_path);
    station.enter_sandbox(&inputs.collect::<Vec<_>>(), None)?;
    let octets = super::recognise::read_octets(&args.certificate, MAX_FILE)?;
    let ders = x509::certificate_ders(&octets).map_err(|e| {
        let what = format!("{} is no certificate: {e}", crate::text::path(&args.certificate));
        Failure::refused(what, "give the certificate that the external issuer has made, DER or PEM")
    })?;
    let (der, given) = ders.split_first().ok_or_else(|| Failure::refused("there is no certificate", "give one"))?;
    let on_record = ledger.cas.get(&ca.id).map(|(index, _)| log.entry(*index)).transpose()?.map(|entry| entry.body);
    if let Some(Body::CertificateAdopted(made)) = on_record
        && made.der.as_slice() == der
    {
        if let Some(gate) = gate {
            resume(&station, &mut log, gate)?;
        }
        return Ok(adopted(&station, &made));
    }
    let above = above(ca, declared_issuer(&station, ca)?, given)?;
    let length = above.iter().map(Vec::len).sum::<usize>() + der.len();
    if length > MAX_CHAIN {
        let what = format!("the certificates have {length} octets together, more than {MAX_CHAIN}");
        return Err(Failure::refused(what, "leave out those above the issuer's that others have anyway"));
    }
    let made = judged(&station, &ledger, ca, (der, &above), args.decided.decision(&ledger))?;
    let wanted = Wanted {
        body: Body::CertificateAdopted(made.clone()),
        artefacts: Vec::new(),
        adopted: None,
        command: format!(
            "coldroot --station {} adopt-certificate {} --ca {}",
            shell(&station.dir),
            shell(&args.certificate),
            shell(&ca.id)
        ),
        inputs: Vec::new(),
        gate,
    };
    match decide(&station, &mut log, &ledger, &args.decided, wanted)? {
        Outcome::Statement(answer) => Ok(answer),
        Outcome::Made => Ok(adopted(&station, &made)),
    }
}

fn external<'s>(station: &'s Station, id: &str) -> Result<&'s Ca, Failure> {
    let all: Vec<&Ca> = station.hierarchy.cas.iter().filter(|ca| ca.is_external()).collect();
    if let Some(ca) = all.iter().find(|ca| ca.id == id) {
        return Ok(ca);
    }
    let known: Vec<&str> = all.iter().map(|ca| ca.id.as_str()).collect();
    let hint = match known.as_slice() {
        [] => "the hierarchy declares none: see `issuer = \"external\"` of [[ca]]".into(),
        known => format!("--ca {}", known.join(", --ca ")),
    };
    Err(Failure::refused(format!("`{}` is no CA that an external issuer certifies", escape(id)), hint))
}

/// The certificate of a CA's external issuer that the hierarchy declares, DER; compared with the declared SHA-256.
pub(super) fn declared_issuer(station: &Station, ca: &Ca) -> Result<Option<Vec<u8>>, Failure> {
    let Some(declared) = &ca.issuer_certificate else { return Ok(None) };
    let path = station.dir.join(&declared.path);
    let shown = crate::text::path(&path);
    let hint = format!("put the certificate with SHA-256 {} there, PEM or DER", declared.sha256);
    super::recognise::must_be_regular(&path).map_err(|e| e.next(&hint))?;
    let octets = super::recognise::read_octets(&path, MAX_FILE)?;
    let der = x509::certificate_der(&octets)
        .map_err(|e| Failure::refused(format!("{shown} is no certificate: {e}"), &hint))?;
    match Digest::of(&der) == declared.sha256 {
        true => Ok(Some(der)),
        false => Err(Failure::refused(format!("{shown} is not the certificate that the hierarchy declares"), hint)),
    }
}

/// The certificates above a CA's, its issuer's first: the declared one, and what the file has behind the CA's own.
fn above(ca: &Ca, declared: Option<Vec<u8>>, given: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Failure> {
    match (declared, given) {
        (Some(declared), []) => Ok(vec![declared]),
        (Some(declared), [first, ..]) if declared != *first => Err(Failure::refused(
            format!("the second certificate of the file is not the declared one of the issuer of CA `{}`", ca.id),
            "give the CA's own certificate first, then its issuer's, then that one's",
        )),
        (None, []) => Err(Failure::refused(
            format!("the certificate of the issuer of CA `{}` is neither declared nor in the file", ca.id),
            "append it to the file, in PEM; or declare it: `issuer-certificate` and `issuer-sha256` of [[ca]]",
        )),
        (_, given) => Ok(given.to_vec()),
    }
}

/// What the log will say of the certificate.
fn judged(
    station: &Station,
    ledger: &Ledger,
    ca: &Ca,
    (der, above): (&[u8], &[Vec<u8>]),
    decision: Decision,
) -> Result<CertificateAdopted, Failure> {
    let missing = |what: &str, hint: &str| Failure::refused(format!("CA `{}` {what}", ca.id), hint);
    let no_key = || missing("has no key yet", "make it by a ceremony: `generate-key`, then `csr`");
    let key = ledger.keys.get(&ca.key).ok_or_else(no_key)?;
    let no_profile = || missing("names no declared profile", "coldroot check hierarchy.toml");
    let profile = station.hierarchy.profile(&ca.profile).ok_or_else(no_profile)?;
    let (subject, constraints) = (tbs::name(&ca.subject), tbs::constraints(&ca.limits));
    let context = ExternalContext {
        profile,
        ca,
        environment: station.hierarchy.environment,
        subject: &subject,
        constraints: &constraints,
        key: CaKey { spki: &key.spki, algorithm: key.algorithm },
        now: station.now(),
    };
    let csr = ledger.csrs.get(&ca.id);
    let before = ledger.cas.get(&ca.id).map(|(_, der)| der);
    let returned = Returned {
        certificate: der,
        above,
        csr: csr.map(|csr| csr.as_slice()),
        before: before.map(|der| der.as_slice()),
    };
    let (fields, differs) = judge_adopted(&context, &returned).map_err(refused)?;
    Ok(CertificateAdopted {
        ca: ca.id.clone(),
        csr: csr.map(|csr| Digest::of(csr)).unwrap_or_default(),
        der: Bytes::from(der),
        above: above.iter().map(|der| Bytes::from(der.as_slice())).collect(),
        replaces: before.map(|der| Digest::of(der)),
        not_before: fields.not_before,
        not_after: fields.not_after,
        differs,
        decision,
    })
}

fn refused(r: policy::Refused) -> Failure {
    // The check's advice is the hint, not a part of the reason.
    let wrong = r.reason.strip_suffix(&format!("; {}", r.check.mend())).unwrap_or(&r.reason);
    Failure::refused(format!("check `{}` failed: {wrong}", r.check), r.check.mend())
}

fn adopted(station: &Station, made: &CertificateAdopted) -> Answer {
    let serial = x509::read_certificate(&made.der).map_or_else(|e| e.to_string(), |fields| hex(&fields.serial));
    let before =
        made.replaces.map_or("none".into(), |before| format!("{}, which stays on record", hex_groups(&before.0)));
    let differs = if made.differs.is_empty() {
        "in nothing".into()
    } else {
        made.differs.iter().map(|differs| line(differs)).collect::<Vec<_>>().join("\n")
    };
    let text = format!(
        "CA `{}` has its certificate: what it issues from now on stands under it.\n\n{}\n  next: its first CRL, if none is out: coldroot --station {} plan --crl {}\n",
        escape(&made.ca),
        pairs(&[
            ("serial", serial.clone()),
            ("valid until", utc(made.not_after)),
            ("SHA-256", hex_groups(&Digest::of(&made.der).0)),
            ("certificate before", before),
            ("narrower than declared", differs),
        ]),
        shell(&station.dir),
        shell(&made.ca),
    );
    let json = json!({
        "ca": made.ca, "serial": serial, "not-after": utc(made.not_after), "sha256": Digest::of(&made.der).hex(),
        "replaces": made.replaces.map(|before| before.hex()), "differs": made.differs,
    });
    Answer::new(text, json)
}

/// The declared certificates of external issuers that the acts of a ceremony are judged by.
pub(super) fn issuers<'a>(
    station: &Station,
    cas: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut found = BTreeMap::new();
    for ca in cas.filter_map(|id| station.hierarchy.ca(id)) {
        found.extend(declared_issuer(station, ca)?.map(|der| (ca.id.clone(), der)));
    }
    Ok(found)
}
