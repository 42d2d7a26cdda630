//! CA certificates and CRLs.

use std::collections::BTreeSet;

use super::cabf;
use super::check::{Check, Refused};
use super::issuer::{CaKey, IssuerFacts};
use super::leaf::judge_quality;
use super::scope::judge_scope;
use super::seen::Seen;
use crate::cbor::Bytes;
use crate::config;
use crate::config::{Base, Ca, Profile, Validity};
use crate::text;
use crate::x509::PublicKey;
use crate::x509::fields::{CaConstraint, CertFields, Constraints, CrlFields, Revoked, key_usage};

const DAY: i64 = 86_400;
/// 9999-12-31T23:59:59Z, the last time that a certificate can name.
const LAST_TIME: i64 = 253_402_300_799;

/// A CA to be certified.
pub struct CaContext<'a> {
    pub profile: &'a Profile,
    pub ca: &'a Ca,
    /// The declared subject, encoded.
    pub subject: &'a [u8],
    /// What it is declared to leave to those below it, encoded.
    pub constraints: &'a Constraints,
    /// Its key in the token.
    pub key: CaKey<'a>,
    /// `None` for a root.
    pub issuer: Option<&'a IssuerFacts>,
    /// notBefore, seconds since the epoch.
    pub sign_from: i64,
}

/// Judges a CA and says what its certificate will be.
pub fn ca_fields(context: &CaContext<'_>, serial: [u8; 17], seen: &mut Seen<'_>) -> Result<CertFields, Refused> {
    let ca = context.ca;
    let refuse = |check: Check, wrong: String| Refused::new(check, format!("CA `{}`: {wrong}", ca.id));
    let wanted = if context.issuer.is_some() { Base::Intermediate } else { Base::Root };
    if context.profile.base != wanted || ca.is_root() != context.issuer.is_none() {
        return Err(refuse(Check::Profile, format!("profile `{}` does not fit", context.profile.id)));
    }
    let declared = context.key;
    let key = PublicKey::from_spki(declared.spki).map_err(|e| refuse(Check::KeyEncoding, e.to_string()))?;
    if key.algorithm() != Some(declared.algorithm.shown()) {
        return Err(refuse(Check::KeyType, format!("it has {}, where {} is declared", key.kind(), declared.algorithm)));
    }
    judge_quality(&key)?;
    seen.judge_ca_key(&key, &ca.id)?;
    seen.judge_serial(&serial)?;
    if let Some(issuer) = context.issuer {
        if issuer.ca() != ca.issuer {
            let wrong = format!("its issuer is `{}`, not `{}`", ca.issuer, issuer.ca());
            return Err(refuse(Check::IssuerCertificate, wrong));
        }
        judge_link(&ca.id, context.profile.path_len, context.subject, issuer.fields(), &key)?;
    }
    let not_after = lifetime(context.sign_from, ca.days.map(Validity::days), context.issuer.map(IssuerFacts::fields))?;
    let fields = CertFields {
        serial: Bytes::from(serial.to_vec()),
        signature: context.issuer.map_or(declared.algorithm.signs_with(), IssuerFacts::signature),
        issuer: Bytes::from(context.issuer.map_or(context.subject, |issuer| issuer.fields().subject.as_slice())),
        not_before: context.sign_from,
        not_after,
        subject: Bytes::from(context.subject),
        spki: Bytes::from(declared.spki),
        ca: Some(CaConstraint { path_len: context.profile.path_len }),
        key_usage: key_usage::KEY_CERT_SIGN | key_usage::CRL_SIGN,
        eku: ca.limits.eku.clone(),
        san: Vec::new(),
        ski: Some(key.identifier()),
        // A root names nobody above itself (RFC 5280 §4.2.1.1).
        aki: context.issuer.map(|issuer| issuer.ski().clone()),
        crl_urls: context.issuer.map(|issuer| issuer.crl_urls().to_vec()).unwrap_or_default(),
        issuer_urls: context.issuer.map(|issuer| issuer.issuer_urls().to_vec()).unwrap_or_default(),
        policies: context.profile.policies.clone(),
        constraints: context.constraints.clone(),
        critical: ca_critical(context.constraints),
        others: Vec::new(),
    };
    if let Some(issuer) = context.issuer {
        judge_scope(issuer.path(), &fields)?;
    }
    if context.issuer.map_or(ca.cabf(), IssuerFacts::cabf) {
        config::cabf::ca_name(&ca.subject)
            .map_err(|wrong| refuse(Check::CabfCaName, format!("its subject {wrong}")))?;
        let signed_until = context.sign_from + i64::from(context.profile.window_hours) * 3_600;
        cabf::judge(&format!("CA `{}`: its certificate", ca.id), ca.cabf_kind(), &fields, signed_until)?;
    }
    seen.take(&key, &ca.id, serial);
    Ok(fields)
}

/// All of a CA's extensions that are critical, sorted.
pub(super) fn ca_critical(constraints: &Constraints) -> Vec<String> {
    let own = ["2.5.29.15", "2.5.29.19"].into_iter();
    let more = constraints.extensions().into_iter().filter(|(_, stands)| *stands).map(|(oid, _)| oid);
    own.chain(more).map(String::from).collect()
}

/// What one CA may certify of another.
pub(super) fn judge_link(
    ca: &str,
    path_len: Option<u32>,
    subject: &[u8],
    issuer: &CertFields,
    key: &PublicKey,
) -> Result<(), Refused> {
    let refuse = |check: Check, wrong: String| Refused::new(check, format!("CA `{ca}`: {wrong}"));
    if issuer.spki.as_slice() == key.spki() {
        return Err(refuse(Check::CaKeyReuse, "its key is its issuer's".into()));
    }
    if issuer.subject.as_slice() == subject {
        return Err(refuse(Check::IssuerName, "its subject is its issuer's".into()));
    }
    if let Some(limit) = issuer.ca.and_then(|ca| ca.path_len)
        && path_len.is_none_or(|own| own >= limit)
    {
        let own = path_len.map_or("no path length".into(), |own| format!("path length {own}"));
        return Err(refuse(Check::PathLength, format!("it would have {own} under an issuer with path length {limit}")));
    }
    Ok(())
}

/// notAfter of a certificate of this validity, which must lie inside the issuer's validity. Both ends are included
/// (RFC 5280 §4.1.2.5), so a certificate of one day ends a second before the same time of the next day.
///
/// `None`: no well-defined expiration date, which is the last time there is.
pub(super) fn lifetime(from: i64, validity: Option<Validity>, issuer: Option<&CertFields>) -> Result<i64, Refused> {
    let end = validity.map_or(Some(LAST_TIME), |validity| from.checked_add(validity.seconds() - 1));
    let Some(not_after) = end.filter(|end| from >= 0 && *end >= from && *end <= LAST_TIME) else {
        let validity = validity.map_or("no end".into(), |validity| validity.to_string());
        return Err(Refused::new(Check::Validity, format!("{validity} from {} cannot be written", text::utc(from))));
    };
    if let Some(issuer) = issuer
        && (from < issuer.not_before || not_after > issuer.not_after)
    {
        let wrong = format!(
            "the certificate would be valid from {} to {}, its issuer is from {} to {}",
            text::utc(from),
            text::utc(not_after),
            text::utc(issuer.not_before),
            text::utc(issuer.not_after)
        );
        return Err(Refused::new(Check::ValidityInIssuer, wrong));
    }
    Ok(not_after)
}

/// A full CRL to be issued.
pub struct CrlContext<'a> {
    pub issuer: &'a IssuerFacts,
    pub number: u64,
    /// The number of this CA's last CRL, planned ones included.
    pub last_number: Option<u64>,
    /// Seconds since the epoch.
    pub this_update: i64,
    pub days: u32,
    /// The CA issues certificates for end entities.
    pub of_end_entities: bool,
}

/// Judges a full CRL and says what it will be. `revoked` is written in the order given.
pub fn crl_fields(context: &CrlContext<'_>, revoked: Vec<Revoked>) -> Result<CrlFields, Refused> {
    let issuer = context.issuer;
    let refuse = |check: Check, wrong: String| Refused::new(check, format!("CRL of CA `{}`: {wrong}", issuer.ca()));
    if let Some(last) = context.last_number
        && context.number <= last
    {
        return Err(refuse(Check::CrlNumber, format!("number {} does not follow {last}", context.number)));
    }
    let this_update = context.this_update;
    if this_update < issuer.fields().not_before || this_update > issuer.fields().not_after {
        return Err(refuse(
            Check::CrlTimes,
            format!("thisUpdate {} is outside the CA's validity", text::utc(this_update)),
        ));
    }
    let next_update =
        this_update.checked_add(i64::from(context.days) * DAY).filter(|end| *end > this_update && *end <= LAST_TIME);
    let Some(next_update) = next_update else {
        return Err(refuse(Check::CrlTimes, format!("{} days cannot be written", context.days)));
    };
    let mut serials = BTreeSet::new();
    for entry in &revoked {
        let shown = text::hex(&entry.serial);
        if entry.serial.is_empty()
            || entry.serial.len() > 20
            || entry.serial.first().is_some_and(|first| *first >= 0x80)
        {
            return Err(refuse(Check::CrlEntry, format!("serial `{shown}` is not lawful")));
        }
        if !serials.insert(entry.serial.as_slice()) {
            return Err(refuse(Check::CrlEntry, format!("serial `{shown}` stands twice")));
        }
        if entry.date > this_update {
            return Err(refuse(Check::CrlEntry, format!("serial `{shown}` is revoked after thisUpdate")));
        }
        // 0 is told by absence, 7 is unused, 8 belongs to delta CRLs; a hold (6) is never for a CA (RFC 5280 §5.3.1), and an
        // offline signer could not lift it in time.
        if let Some(reason) = entry.reason
            && !matches!(reason, 1..=5 | 9 | 10)
        {
            return Err(refuse(Check::CrlEntry, format!("serial `{shown}` has the reason {reason}")));
        }
    }
    let fields = CrlFields {
        signature: issuer.signature(),
        issuer: issuer.fields().subject.clone(),
        this_update,
        next_update,
        number: context.number,
        aki: Some(issuer.ski().clone()),
        revoked,
        critical: Vec::new(),
        others: Vec::new(),
    };
    if issuer.cabf() {
        cabf::judge_crl(issuer.ca(), &fields, context.of_end_entities)?;
    }
    Ok(fields)
}
