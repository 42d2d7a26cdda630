//! Cross-certificates: another certificate for a CA that has one, by another issuer (RFC 5280 §3.2). Key, name, key identifier and
//! constraints are those of the certificate that is crossed; nobody says them a second time, so none can differ.

use super::authority::{ca_critical, judge_link, lifetime};
use super::cabf;
use super::check::{Check, Refused};
use super::issuer::{CaKey, IssuerFacts};
use super::leaf::judge_quality;
use super::scope::judge_scope;
use super::seen::Seen;
use crate::cbor::Bytes;
use crate::config::Validity;
use crate::config::cabf::Kind;
use crate::text;
use crate::x509::fields::{CertFields, key_usage};
use crate::x509::{PublicKey, read_certificate, verify_ca};

/// A certificate to be crossed.
pub struct CrossContext<'a> {
    /// The id by which the plan and the log know what comes of it.
    pub id: &'a str,
    /// The certificate, DER.
    pub crossed: &'a [u8],
    /// Its issuer's, unless it is self-signed.
    pub above: Option<&'a [u8]>,
    /// The CA of this hierarchy whose certificate it is: id, declared subject, and key on record.
    pub own: Option<(&'a str, &'a [u8], CaKey<'a>)>,
    pub issuer: &'a IssuerFacts,
    pub days: u32,
    /// Declared purposes; empty: those of the certificate.
    pub eku: &'a [String],
    /// notBefore, seconds since the epoch.
    pub sign_from: i64,
    /// How long it may be signed from then on.
    pub window_hours: u32,
}

/// Judges a certificate that is to be crossed, and says what the new one will be. Issuer, serial number, validity, authority key
/// identifier, CRL and issuer URLs and purposes are new; all else is taken over.
pub fn cross_fields(context: &CrossContext<'_>, serial: [u8; 17], seen: &mut Seen<'_>) -> Result<CertFields, Refused> {
    let refuse =
        |check: Check, wrong: String| Refused::new(check, format!("cross-certificate `{}`: {wrong}", context.id));
    let crossed = |wrong: String| refuse(Check::CrossedCertificate, format!("the certificate to be crossed {wrong}"));
    let found = read_certificate(context.crossed).map_err(|e| crossed(format!("cannot be read: {e}")))?;
    judge_own(context, &found)?;
    let above = match context.above {
        Some(above) => above,
        None if found.issuer == found.subject => context.crossed,
        None => return Err(crossed("is not self-signed; its issuer's is needed to verify it".into())),
    };
    verify_ca(context.crossed, above).map_err(|e| crossed(format!("does not verify: {e}")))?;
    if context.sign_from < found.not_before || context.sign_from > found.not_after {
        let (from, to) = (text::utc(found.not_before), text::utc(found.not_after));
        return Err(crossed(format!("is valid from {from} to {to}")));
    }
    if let Some(other) = found.others.first() {
        return Err(crossed(format!("has the extension {}, which would be lost", other.oid)));
    }
    let ski = found.ski.clone().ok_or_else(|| crossed("has no subject key identifier".into()))?;
    let key = PublicKey::from_spki(&found.spki).map_err(|e| refuse(Check::KeyEncoding, e.to_string()))?;
    judge_quality(&key)?;
    seen.judge_ca_key(&key, context.own.map_or(context.id, |(id, ..)| id))?;
    seen.judge_serial(&serial)?;
    let path_len = found.ca.and_then(|ca| ca.path_len);
    judge_link(context.id, path_len, &found.subject, context.issuer.fields(), &key)?;
    if let Some(more) = context.eku.iter().find(|oid| !found.eku.is_empty() && !found.eku.contains(oid)) {
        return Err(crossed(format!("is not for {more}")));
    }
    let not_after = lifetime(context.sign_from, Some(Validity::days(context.days)), Some(context.issuer.fields()))?;
    let fields = CertFields {
        serial: Bytes::from(serial.to_vec()),
        signature: context.issuer.signature(),
        issuer: context.issuer.fields().subject.clone(),
        not_before: context.sign_from,
        not_after,
        subject: found.subject,
        spki: found.spki,
        ca: found.ca,
        key_usage: found.key_usage | key_usage::KEY_CERT_SIGN,
        eku: if context.eku.is_empty() { found.eku } else { context.eku.to_vec() },
        san: found.san,
        ski: Some(ski),
        aki: Some(context.issuer.ski().clone()),
        crl_urls: context.issuer.crl_urls().to_vec(),
        issuer_urls: context.issuer.issuer_urls().to_vec(),
        policies: found.policies,
        critical: ca_critical(&found.constraints),
        constraints: found.constraints,
        others: Vec::new(),
    };
    judge_scope(context.issuer.path(), &fields)?;
    if context.issuer.cabf() {
        let signed_until = context.sign_from + i64::from(context.window_hours) * 3_600;
        cabf::judge(&format!("cross-certificate `{}`: it", context.id), Kind::CrossCa, &fields, signed_until)?;
    }
    seen.take(&key, context.id, serial);
    Ok(fields)
}

/// A CA of this hierarchy is crossed by its own name and key: another tool once bound an unrelated key to a CA's name.
fn judge_own(context: &CrossContext<'_>, found: &CertFields) -> Result<(), Refused> {
    let Some((ca, subject, key)) = context.own else { return Ok(()) };
    let refuse = |check: Check, wrong: &str| {
        Err(Refused::new(check, format!("cross-certificate `{}`: the certificate {wrong} of CA `{ca}`", context.id)))
    };
    if found.spki.as_slice() != key.spki {
        return refuse(Check::IssuerKey, "to be crossed does not have the key");
    }
    if found.subject.as_slice() != subject {
        return refuse(Check::IssuerName, "to be crossed does not have the subject");
    }
    Ok(())
}
