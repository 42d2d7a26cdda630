//! Certificates, CRLs and requests for people, every field; for machines the names besides as they are, whole.

use serde_json::{Value, json};

use crate::cli::{Answer, Failure};
use crate::report::sheet::Sheet;
use crate::report::terminal::{Table, human_count};
use crate::text::{escape, hex, hex_groups, utc};
use crate::x509;
use crate::x509::fields::{CertFields, Constraints, CrlFields, GeneralName, NO_SCTS, Policy, RequestFields, Subtree};

/// What a request of ours asks for: the fields that it shares with a certificate.
pub(super) fn request_rows(f: &RequestFields) -> Vec<(&'static str, String)> {
    const SHARED: [&str; 9] = [
        "subject",
        "public key",
        "CA",
        "key usage",
        "extended usage",
        "subject key id",
        "policies",
        "constraints",
        "critical",
    ];
    let rows = certificate_rows(&f.as_certificate());
    rows.into_iter().filter(|(name, _)| SHARED.contains(name)).collect()
}

/// Every field of a certificate, in words.
pub(super) fn certificate_rows(f: &CertFields) -> Vec<(&'static str, String)> {
    let key = x509::PublicKey::from_spki(&f.spki).map_or_else(|e| e.to_string(), |k| k.kind().to_string());
    let key = format!("{key}\nSHA-256 {}", hex_groups(&crate::digest::Digest::of(&f.spki).0));
    let list = |items: &[String]| if items.is_empty() { "none".to_string() } else { items.join("\n") };
    let policies: Vec<String> = f.policies.iter().map(policy).collect();
    let ca = match &f.ca {
        None => "no".to_string(),
        Some(c) => c.path_len.map_or("yes, no path length limit".into(), |n| format!("yes, path length {n}")),
    };
    let others: Vec<String> = f.others.iter().map(|e| format!("{} {}", extension(&e.oid), hex(&e.value))).collect();
    let octets = |o: &Option<crate::cbor::Bytes>| o.as_ref().map_or("none".to_string(), |b| hex(b));
    vec![
        ("subject", x509::name_text(&f.subject)),
        ("issuer", x509::name_text(&f.issuer)),
        ("serial", hex(&f.serial)),
        ("valid from", utc(f.not_before)),
        ("valid until", utc(f.not_after)),
        ("names", list(&names(&f.san))),
        ("public key", key),
        ("signature", f.signature.name().to_string()),
        ("CA", ca),
        ("key usage", key_usage(f.key_usage)),
        ("extended usage", list(&f.eku.iter().map(|oid| eku(oid)).collect::<Vec<_>>())),
        ("subject key id", octets(&f.ski)),
        ("authority key id", octets(&f.aki)),
        ("CRL at", list(&f.crl_urls.iter().map(|u| escape(u)).collect::<Vec<_>>())),
        ("issuer cert at", list(&f.issuer_urls.iter().map(|u| escape(u)).collect::<Vec<_>>())),
        ("policies", list(&policies)),
        ("constraints", list(&constraints(&f.constraints))),
        ("critical", list(&f.critical.iter().map(|oid| extension(oid)).collect::<Vec<_>>())),
        ("other extensions", list(&others)),
        ("browser trust", browser_trust(f).into()),
    ]
}

/// `show` of a certificate, the first of so many in its file.
pub(super) fn certificate(der: &[u8], of: usize) -> Result<Answer, Failure> {
    let failed = |e: x509::Error| Failure::refused(e.to_string(), "");
    let json = certificate_json(&x509::read_certificate(der).map_err(failed)?);
    Ok(Answer::of(certificate_sheet(der, of).map_err(failed)?, json))
}

/// A certificate's fields and its digest.
pub fn certificate_sheet(der: &[u8], of: usize) -> Result<Sheet, x509::Error> {
    let fields = x509::read_certificate(der)?;
    let title = if of > 1 { format!("Certificate, the first of {of} in the file") } else { "Certificate".into() };
    Ok(Sheet::new(title).facts(&certificate_rows(&fields)).digest("SHA-256", &crate::digest::Digest::of(der)))
}

/// `show` of a CRL.
pub(super) fn crl(der: &[u8], rows: usize) -> Result<Answer, Failure> {
    let fields = x509::read_crl(der).map_err(|e| Failure::refused(e.to_string(), ""))?;
    Ok(Answer::of(
        crl_sheet(Sheet::new("CRL"), &fields, rows),
        json!({ "number": fields.number, "entries": fields.revoked.len(), "this-update": utc(fields.this_update), "next-update": utc(fields.next_update), "signature": fields.signature.name() }),
    ))
}

pub(super) fn certificate_json(f: &CertFields) -> Value {
    json!({
        "subject": x509::name_text(&f.subject), "issuer": x509::name_text(&f.issuer), "serial": hex(&f.serial),
        "not-before": utc(f.not_before), "not-after": utc(f.not_after), "names": names(&f.san), "subject-alt-name": f.san,
        "ca": f.ca, "key-usage": key_usage(f.key_usage), "extended-key-usage": f.eku,
        "spki-sha256": crate::digest::Digest::of(&f.spki).hex(), "crl-urls": f.crl_urls, "issuer-urls": f.issuer_urls,
        "policies": f.policies, "constraints": f.constraints, "subject-key-id": f.ski.as_ref().map(|b| hex(b)),
        "authority-key-id": f.aki.as_ref().map(|b| hex(b)), "others": others_json(f), "signature": f.signature.name(), "critical": f.critical,
    })
}

/// A certificate under a reserved policy of the CA/Browser Forum looks like one for browsers.
fn browser_trust(f: &CertFields) -> &'static str {
    if f.lacks_scts() { NO_SCTS } else { "not claimed" }
}

fn others_json(f: &CertFields) -> Value {
    f.others.iter().map(|e| json!({ "oid": e.oid, "value": hex(&e.value) })).collect()
}

/// A CRL's fields and its entries.
pub fn crl_sheet(sheet: Sheet, f: &CrlFields, rows: usize) -> Sheet {
    let sheet = sheet.facts(&crl_rows(f));
    if f.revoked.is_empty() {
        return sheet;
    }
    let mut table = Table::new(&["serial", "revoked", "reason"]).limit(rows);
    for r in &f.revoked {
        table.row([hex(&r.serial), utc(r.date), r.reason.map_or("-".into(), |r| r.to_string())]);
    }
    sheet.table(table)
}

/// The fields of a CRL, its entries counted.
pub(super) fn crl_rows(f: &CrlFields) -> Vec<(&'static str, String)> {
    vec![
        ("issuer", x509::name_text(&f.issuer)),
        ("number", f.number.to_string()),
        ("this update", utc(f.this_update)),
        ("next update", utc(f.next_update)),
        ("signature", f.signature.name().to_string()),
        ("revoked", human_count(f.revoked.len() as u64)),
    ]
}

/// Subject alternative names for people.
pub fn names(san: &[GeneralName]) -> Vec<String> {
    san.iter().map(x509::general_name_text).collect()
}

/// What a CA's certificate leaves to those below it, a line for each limit.
fn constraints(c: &Constraints) -> Vec<String> {
    let names = |what: &'static str, list: &[Subtree]| -> Vec<String> {
        list.iter().map(|base| format!("{what} {}", base.text())).collect()
    };
    let counts = [
        ("an acceptable policy is wanted", c.require_explicit_policy),
        ("no policy is mapped", c.inhibit_policy_mapping),
        ("anyPolicy stands for none", c.inhibit_any_policy),
    ];
    let count = |(what, skipped): (&str, Option<u32>)| Some(format!("{what} after {} further certificates", skipped?));
    let mut lines = [names("permitted", &c.permitted), names("excluded", &c.excluded)].concat();
    lines.extend(counts.into_iter().filter_map(count));
    lines
}

fn key_usage(bits: u16) -> String {
    const NAMES: [&str; 9] = [
        "digitalSignature",
        "nonRepudiation",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];
    let set: Vec<&str> =
        NAMES.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { "none".into() } else { set.join(", ") }
}

/// A policy, and where its practice statement is found.
pub(super) fn policy(p: &Policy) -> String {
    p.cps.as_ref().map_or_else(|| p.oid.clone(), |cps| format!("{} ({})", p.oid, escape(cps)))
}

pub(super) fn extension(oid: &str) -> String {
    let name = match oid {
        x509::TLS_FEATURE => "TLS feature",
        "2.5.29.14" => "subjectKeyIdentifier",
        "2.5.29.15" => "keyUsage",
        "2.5.29.17" => "subjectAltName",
        "2.5.29.19" => "basicConstraints",
        "2.5.29.30" => "nameConstraints",
        "2.5.29.36" => "policyConstraints",
        "2.5.29.54" => "inhibitAnyPolicy",
        "2.5.29.35" => "authorityKeyIdentifier",
        "2.5.29.37" => "extKeyUsage",
        _ => return escape(oid),
    };
    name.into()
}

pub(super) fn eku(oid: &str) -> String {
    match oid {
        "1.3.6.1.5.5.7.3.1" => "serverAuth".into(),
        "1.3.6.1.5.5.7.3.2" => "clientAuth".into(),
        other => escape(other),
    }
}

pub(super) fn request(der: &[u8]) -> Result<Answer, Failure> {
    let request =
        x509::Request::parse(der).map_err(|e| Failure::refused(e.to_string(), e.hint().unwrap_or_default()))?;
    let possession = request.verify_possession().map_or_else(|e| format!("no: {e}"), |()| "yes".into());
    let key = x509::PublicKey::from_spki(&request.spki).map_or_else(|e| e.to_string(), |k| k.kind().to_string());
    let wanted = names(request.san.as_deref().unwrap_or_default());
    let sheet = Sheet::new("Certificate request").facts(&[
        ("subject", x509::name_text(&request.subject)),
        ("names", if wanted.is_empty() { "none".into() } else { wanted.join("\n") }),
        ("public key", key),
        ("signed by its key", possession.clone()),
    ]);
    Ok(Answer::of(
        sheet,
        json!({
            "subject": x509::name_text(&request.subject), "names": wanted, "subject-alt-name": request.san,
            "possession": possession,
        }),
    ))
}
