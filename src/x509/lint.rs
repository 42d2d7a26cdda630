//! What RFC 5280 wants of certificates and CRLs beyond what can be read at all: the readers refuse whatever is no strict DER
//! (lengths, integers, unused bits, defaults written out, forms of times, empty lists, an extension twice), this judges what
//! the fields then say. It knows neither the hierarchy nor a request, so that no mistake made there is made here again.

use std::collections::BTreeSet;

use super::certificate::read_tbs_certificate;
use super::crl::read_tbs_crl;
use super::der;
use super::error::Error;
use super::extensions::{
    AUTHORITY_KEY_IDENTIFIER, BASIC_CONSTRAINTS, DELTA_CRL_INDICATOR, EXT_KEY_USAGE, ISSUING_DISTRIBUTION_POINT,
    KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_IDENTIFIER,
};
use super::fields::{CertFields, CrlFields, GeneralName, key_usage};
use super::key::{KeyKind, PublicKey};
use super::name;
use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;

/// Octets of a serial number as this program draws it: 01 to 7f, then 16 random ones.
const SERIAL: usize = 17;
/// Octets of a key identifier: the longest digest. RFC 5280 names no bound.
const MAX_KEY_IDENTIFIER: usize = 64;
/// Extensions that are critical where they stand in a CA's certificate (RFC 5280 §4.2.1.9, §4.2.1.10, §4.2.1.11, §4.2.1.14),
/// keyUsage in every one (§4.2.1.3 only says "should").
const MUST_BE_CRITICAL: [&str; 5] = [BASIC_CONSTRAINTS, KEY_USAGE, "2.5.29.30", "2.5.29.36", "2.5.29.54"];

/// What is wrong with a certificate or CRL that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lint {
    #[error("{0}")]
    Unreadable(#[from] Error),
    #[error("its serial number has {0} octets and not {SERIAL}")]
    Serial(usize),
    #[error("it ends before it begins")]
    Times,
    #[error("its {0} is an empty name")]
    NoName(&'static str),
    #[error("in its {name} the value of {attribute} {what}")]
    Attribute { name: &'static str, attribute: String, what: &'static str },
    #[error("it is signed by {0}, which is not what its signer signs with")]
    Algorithm(&'static str),
    #[error("it is self-issued and its key is not the one that signs")]
    SelfIssued,
    #[error("its {0} is missing")]
    Missing(&'static str),
    #[error("its {0} is empty or too long")]
    KeyIdentifier(&'static str),
    #[error("extension {0} must be critical")]
    NotCritical(String),
    #[error("extension {0} must not be critical")]
    Critical(String),
    #[error("its {what} stands twice in its {list}")]
    Twice { list: &'static str, what: String },
    #[error("the key usage {usage:#06x} does not fit {key}")]
    KeyUsage { usage: u16, key: String },
    #[error("its {0} belongs to CAs alone")]
    NotCa(&'static str),
    #[error("the alternative name `{0}` is malformed")]
    AlternativeName(String),
    #[error("its {0} holds what is no absolute URI")]
    Uri(&'static str),
    #[error("an entry is dated after thisUpdate")]
    EntryDate,
    #[error("an entry is of the reason removeFromCRL, which belongs to delta CRLs")]
    RemoveFromCrl,
}

/// Judges a TBSCertificate whose signer's key is `signer`, with this SubjectPublicKeyInfo.
pub fn lint_certificate(tbs: &[u8], signer: KeyAlgorithm, signer_spki: &[u8]) -> Result<CertFields, Lint> {
    let fields = read_tbs_certificate(tbs)?;
    if fields.serial.len() != SERIAL {
        return Err(Lint::Serial(fields.serial.len()));
    }
    if fields.not_after < fields.not_before {
        return Err(Lint::Times);
    }
    if fields.signature != signer.signs_with() {
        return Err(Lint::Algorithm(fields.signature.name()));
    }
    judge_names(&fields)?;
    let self_issued = fields.issuer == fields.subject;
    if self_issued && fields.spki.as_slice() != signer_spki {
        return Err(Lint::SelfIssued);
    }
    judge_usage(&fields, PublicKey::from_spki(&fields.spki)?.kind())?;
    judge_identifiers(&fields, self_issued)?;
    judge_critical(&fields)?;
    judge_lists(&fields)?;
    Ok(fields)
}

/// Judges a TBSCertList.
pub fn lint_crl(tbs: &[u8], signer: KeyAlgorithm) -> Result<CrlFields, Lint> {
    let fields = read_tbs_crl(tbs)?;
    if fields.next_update <= fields.this_update {
        return Err(Lint::Times);
    }
    if fields.signature != signer.signs_with() {
        return Err(Lint::Algorithm(fields.signature.name()));
    }
    name_form("issuer", &fields.issuer, false)?;
    key_identifier("authority key identifier", fields.aki.as_ref())?;
    // RFC 5280 §5.2.4, §5.2.5: these two are critical, nothing else is.
    let critical = |oid: &str| fields.critical.iter().any(|other| other == oid);
    for oid in [DELTA_CRL_INDICATOR, ISSUING_DISTRIBUTION_POINT] {
        if fields.others.iter().any(|other| other == oid) && !critical(oid) {
            return Err(Lint::NotCritical(oid.into()));
        }
    }
    let known = |oid: &&String| [DELTA_CRL_INDICATOR, ISSUING_DISTRIBUTION_POINT].contains(&oid.as_str());
    if let Some(oid) = fields.critical.iter().find(|oid| !known(oid)) {
        return Err(Lint::Critical(oid.clone()));
    }
    let mut serials = BTreeSet::new();
    for entry in &fields.revoked {
        if !serials.insert(entry.serial.as_slice()) {
            return Err(Lint::Twice { list: "entries", what: "a serial number".into() });
        }
        if entry.date > fields.this_update {
            return Err(Lint::EntryDate);
        }
        if entry.reason == Some(8) && !critical(DELTA_CRL_INDICATOR) {
            return Err(Lint::RemoveFromCrl);
        }
    }
    Ok(fields)
}

/// RFC 5280 §4.1.2.4, §4.1.2.6: an issuer has a name, a subject may have its names in subjectAltName alone, which is then critical;
/// no CA is without.
fn judge_names(fields: &CertFields) -> Result<(), Lint> {
    name_form("issuer", &fields.issuer, false)?;
    name_form("subject", &fields.subject, fields.ca.is_none())?;
    let critical = fields.critical.iter().any(|oid| oid == SUBJECT_ALT_NAME);
    match fields.subject.as_slice() == [0x30, 0] {
        true if fields.san.is_empty() => Err(Lint::NoName("subject")),
        true if !critical => Err(Lint::NotCritical(SUBJECT_ALT_NAME.into())),
        false if critical => Err(Lint::Critical(SUBJECT_ALT_NAME.into())),
        _ => Ok(()),
    }
}

/// Types of strings and their bounds (RFC 5280 appendix A.1).
fn name_form(which: &'static str, der: &[u8], may_be_empty: bool) -> Result<(), Lint> {
    let attributes = name::attributes(der)?;
    if attributes.is_empty() && !may_be_empty {
        return Err(Lint::NoName(which));
    }
    for attribute in attributes {
        if let Some(what) = attribute_fault(&attribute) {
            return Err(Lint::Attribute { name: which, attribute: attribute.kind, what });
        }
    }
    Ok(())
}

fn attribute_fault(attribute: &name::Attribute<'_>) -> Option<&'static str> {
    // DirectoryString. Teletex, BMP and Universal strings stand in the names of old CAs, which must be taken over as they are.
    const DIRECTORY: &[u8] = &[der::UTF8_STRING, der::PRINTABLE_STRING, der::T61_STRING, der::BMP_STRING, 0x1c];
    const PRINTABLE: &[u8] = &[der::PRINTABLE_STRING];
    const IA5: &[u8] = &[der::IA5_STRING];
    let (types, most) = match attribute.kind.as_str() {
        "2.5.4.6" => (PRINTABLE, 2),                                         // countryName
        "2.5.4.5" | "2.5.4.46" => (PRINTABLE, 64),                           // serialNumber, dnQualifier
        "0.9.2342.19200300.100.1.25" => (IA5, 63),                           // domainComponent: a label (RFC 4519 §2.4)
        "1.2.840.113549.1.9.1" => (IA5, 255),                                // emailAddress
        "2.5.4.3" | "2.5.4.10" | "2.5.4.11" | "2.5.4.12" => (DIRECTORY, 64), // CN, O, OU, title
        "2.5.4.7" | "2.5.4.8" | "2.5.4.65" => (DIRECTORY, 128),              // L, ST, pseudonym
        "2.5.4.4" | "2.5.4.41" | "2.5.4.42" | "2.5.4.43" | "2.5.4.44" => (DIRECTORY, 32_768), // X520name
        _ => return None,
    };
    let value = &attribute.value;
    let printable = |octet: &u8| octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(octet);
    let characters = match value.tag {
        der::UTF8_STRING => String::from_utf8_lossy(value.content).chars().count(),
        der::BMP_STRING => value.content.len() / 2,
        0x1c => value.content.len() / 4,
        _ => value.content.len(),
    };
    if !types.contains(&value.tag) {
        Some("is no string of the type that belongs there")
    } else if characters == 0 {
        Some("is empty")
    } else if characters > most || attribute.kind == "2.5.4.6" && characters != most {
        Some("has not the length that is allowed")
    } else if value.tag == der::PRINTABLE_STRING && !value.content.iter().all(printable) {
        Some("has characters that a PrintableString has not")
    } else {
        None
    }
}

/// keyUsage against basicConstraints (RFC 5280 §4.2.1.3, §4.2.1.9) and against the key (RFC 3279 §2.3, RFC 5480 §3, RFC 8410 §5,
/// RFC 9881 §5, RFC 9909 §6).
fn judge_usage(fields: &CertFields, key: KeyKind) -> Result<(), Lint> {
    let usage = fields.key_usage;
    let signs = usage & key_usage::KEY_CERT_SIGN != 0;
    match fields.ca {
        Some(_) if !signs => return Err(Lint::Missing("keyCertSign")),
        None if signs => return Err(Lint::NotCa("keyCertSign")),
        None if fields.constraints.extensions().iter().any(|(_, stands)| *stands) => {
            return Err(Lint::NotCa("nameConstraints, policyConstraints or inhibitAnyPolicy"));
        }
        _ => {}
    }
    const KEY_AGREEMENT: u16 = 0x0010;
    const DATA_ENCIPHERMENT: u16 = 0x0008;
    const ENCIPHER_OR_DECIPHER_ONLY: u16 = 0x0180;
    let never = match key {
        KeyKind::Rsa { .. } => KEY_AGREEMENT | ENCIPHER_OR_DECIPHER_ONLY,
        KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => key_usage::KEY_ENCIPHERMENT | DATA_ENCIPHERMENT,
        KeyKind::Ed25519 | KeyKind::PostQuantum(_) => {
            key_usage::KEY_ENCIPHERMENT | DATA_ENCIPHERMENT | KEY_AGREEMENT | ENCIPHER_OR_DECIPHER_ONLY
        }
    };
    // The last two say how a key agrees, and nothing without keyAgreement.
    let alone = usage & ENCIPHER_OR_DECIPHER_ONLY != 0 && usage & KEY_AGREEMENT == 0;
    match usage & never != 0 || alone {
        true => Err(Lint::KeyUsage { usage, key: key.to_string() }),
        false => Ok(()),
    }
}

/// RFC 5280 §4.2.1.1, §4.2.1.2: who is above, in all that are not self-signed; who it is itself, in every CA's.
fn judge_identifiers(fields: &CertFields, self_issued: bool) -> Result<(), Lint> {
    if fields.ca.is_some() || fields.ski.is_some() {
        key_identifier("subject key identifier", fields.ski.as_ref())?;
    }
    if !self_issued || fields.aki.is_some() {
        key_identifier("authority key identifier", fields.aki.as_ref())?;
    }
    match self_issued && fields.aki.is_some() && fields.aki != fields.ski {
        true => Err(Lint::SelfIssued),
        false => Ok(()),
    }
}

fn key_identifier(which: &'static str, octets: Option<&Bytes>) -> Result<(), Lint> {
    match octets {
        None => Err(Lint::Missing(which)),
        Some(octets) if (1..=MAX_KEY_IDENTIFIER).contains(&octets.len()) => Ok(()),
        Some(_) => Err(Lint::KeyIdentifier(which)),
    }
}

/// What must be critical is, and nothing else but a subjectAltName, which is judged with the subject, and extKeyUsage (§4.2.1.12
/// leaves it to the issuer).
fn judge_critical(fields: &CertFields) -> Result<(), Lint> {
    let critical = |oid: &str| fields.critical.iter().any(|other| other == oid);
    let must = |oid: &str| match oid {
        KEY_USAGE => fields.key_usage != 0,
        BASIC_CONSTRAINTS => fields.ca.is_some(),
        other => fields.constraints.extensions().iter().any(|(oid, stands)| *oid == other && *stands),
    };
    if let Some(oid) = MUST_BE_CRITICAL.into_iter().find(|oid| must(oid) && !critical(oid)) {
        return Err(Lint::NotCritical(oid.into()));
    }
    let may = |oid: &str| MUST_BE_CRITICAL.contains(&oid) || oid == SUBJECT_ALT_NAME || oid == EXT_KEY_USAGE;
    match fields.critical.iter().find(|oid| !may(oid)) {
        Some(oid) => Err(Lint::Critical(oid.clone())),
        None => Ok(()),
    }
}

/// Lists name nothing twice (RFC 5280 §4.2.1.4 for policies), names and places have a form.
fn judge_lists(fields: &CertFields) -> Result<(), Lint> {
    let policies: Vec<&str> = fields.policies.iter().map(|policy| policy.oid.as_str()).collect();
    let purposes: Vec<&str> = fields.eku.iter().map(String::as_str).collect();
    for (list, members) in [("certificatePolicies", policies), ("extKeyUsage", purposes)] {
        if let Some(twice) = twice(&members) {
            return Err(Lint::Twice { list, what: (*twice).to_owned() });
        }
    }
    if let Some(twice) = twice(&fields.san) {
        return Err(Lint::Twice { list: "subjectAltName", what: name::general_name_text(twice) });
    }
    if let Some(bad) = fields.san.iter().find(|name| !well_formed(name)) {
        return Err(Lint::AlternativeName(name::general_name_text(bad)));
    }
    let cps = fields.policies.iter().filter_map(|policy| policy.cps.as_ref());
    for (what, mut uris) in [
        ("cRLDistributionPoints", fields.crl_urls.iter().collect::<Vec<_>>()),
        ("authorityInfoAccess", fields.issuer_urls.iter().collect()),
        ("certificatePolicies", cps.collect()),
    ] {
        if uris.drain(..).any(|uri| !absolute(uri)) {
            return Err(Lint::Uri(what));
        }
    }
    match fields.others.iter().any(|other| [AUTHORITY_KEY_IDENTIFIER, SUBJECT_KEY_IDENTIFIER].contains(&&*other.oid)) {
        true => Err(Lint::KeyIdentifier("key identifier's extension")),
        false => Ok(()),
    }
}

fn twice<T: Ord>(members: &[T]) -> Option<&T> {
    let mut seen = BTreeSet::new();
    members.iter().find(|member| !seen.insert(*member))
}

/// RFC 5280 §4.2.1.6. Whether a name is lawful for a profile is the named checks' matter; this is the form that any reader expects.
fn well_formed(name: &GeneralName) -> bool {
    let label = |label: &str| (1..=63).contains(&label.len());
    match name {
        // A space is no part of the preferred name syntax, " " alone is forbidden by name.
        GeneralName::Dns(text) => text.len() <= 253 && text.split('.').all(label) && !text.contains(' '),
        GeneralName::Srv(text) => text.starts_with('_') && text.contains('.') && text.split('.').all(label),
        GeneralName::Email(text) | GeneralName::Utf8Mailbox(text) => {
            text.rsplit_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty())
        }
        GeneralName::Uri(text) => absolute(text),
        GeneralName::Ip(octets) => matches!(octets.len(), 4 | 16),
        GeneralName::XmppAddr(text) => !text.is_empty(),
        GeneralName::Other(_) => true,
    }
}

/// A scheme (RFC 3986 §3.1), something behind it, and no space or control character.
fn absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let lawful = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(lawful)
        && !rest.is_empty()
        && rest.chars().all(|c| c.is_ascii_graphic())
}
