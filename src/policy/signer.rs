//! Certificates for keys that are no CA's and no requester's: the station's audit key, and keys that sign CRLs (RFC 5280 §4.2.1.3).

use super::authority::lifetime;
use super::check::{Check, Refused};
use super::issuer::IssuerFacts;
use super::leaf::judge_key;
use super::scope::judge_scope;
use super::seen::Seen;
use crate::cbor::Bytes;
use crate::config::{Base, Profile};
use crate::x509::fields::{CertFields, Constraints, key_usage};

/// A signer to be certified.
pub struct SignerContext<'a> {
    /// By which plan and log know it.
    pub id: &'a str,
    pub profile: &'a Profile,
    pub issuer: &'a IssuerFacts,
    /// The declared subject, encoded.
    pub subject: &'a [u8],
    /// SubjectPublicKeyInfo, whole DER.
    pub spki: &'a [u8],
    /// notBefore, seconds since the epoch.
    pub sign_from: i64,
}

/// Judges a signer and says what its certificate will be: one key usage, no purpose, no CA.
pub fn signer_fields(
    context: &SignerContext<'_>,
    serial: [u8; 17],
    seen: &mut Seen<'_>,
) -> Result<CertFields, Refused> {
    let whose = |r: Refused| Refused { reason: format!("signer `{}`: {}", context.id, r.reason), ..r };
    judged(context, serial, seen).map_err(whose)
}

fn judged(context: &SignerContext<'_>, serial: [u8; 17], seen: &mut Seen<'_>) -> Result<CertFields, Refused> {
    let SignerContext { profile, issuer, .. } = context;
    let usage = match profile.base {
        Base::AuditSigner => key_usage::DIGITAL_SIGNATURE,
        Base::CrlSigner => key_usage::CRL_SIGN,
        _ => return Err(Refused::new(Check::Profile, format!("profile `{}` is none for signers", profile.id))),
    };
    let key = judge_key(context.spki, &profile.keys)?;
    seen.judge_signer_key(&key, context.id)?;
    seen.judge_serial(&serial)?;
    let not_after = lifetime(context.sign_from, Some(profile.validity), Some(issuer.fields()))?;
    let fields = CertFields {
        serial: Bytes::from(serial.to_vec()),
        signature: issuer.signature(),
        issuer: issuer.fields().subject.clone(),
        not_before: context.sign_from,
        not_after,
        subject: Bytes::from(context.subject),
        spki: Bytes::from(context.spki),
        ca: None,
        key_usage: usage,
        eku: Vec::new(),
        san: Vec::new(),
        ski: Some(key.identifier()),
        aki: Some(issuer.ski().clone()),
        crl_urls: issuer.crl_urls().to_vec(),
        issuer_urls: issuer.issuer_urls().to_vec(),
        policies: profile.policies.clone(),
        constraints: Constraints::default(),
        critical: ["2.5.29.15", "2.5.29.19"].map(String::from).to_vec(),
        others: Vec::new(),
    };
    judge_scope(issuer.path(), &fields)?;
    seen.take(&key, &format!("request {}", context.id), serial);
    Ok(fields)
}
