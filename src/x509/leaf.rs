//! End-entity certificates, judged by rustls-webpki. For SLH-DSA, which it does not know, it is lent the verification by slh-dsa.

use std::time::Duration;

use pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::aws_lc_rs as algorithms;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::certificate::read_certificate;
use super::error::{Error, PathFault};
use super::fields::{CertFields, Subtree, key_usage};
use super::slh_dsa::Lent;
use super::verify::{link, understood};
use super::{CLIENT_AUTH, OCSP_SIGNING, SERVER_AUTH};
use crate::algorithm::PostQuantum;

/// What CAs of ours sign with: each kind of key with the digest of its strength (see `KeyAlgorithm::signs_with`).
static ACCEPTED: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    algorithms::ED25519,
    algorithms::ML_DSA_44,
    algorithms::ML_DSA_65,
    algorithms::ML_DSA_87,
    &Lent(PostQuantum::SlhDsaSha2_128s),
    &Lent(PostQuantum::SlhDsaSha2_128f),
    &Lent(PostQuantum::SlhDsaSha2_192s),
    &Lent(PostQuantum::SlhDsaSha2_192f),
    &Lent(PostQuantum::SlhDsaSha2_256s),
    &Lent(PostQuantum::SlhDsaSha2_256f),
    &Lent(PostQuantum::SlhDsaShake128s),
    &Lent(PostQuantum::SlhDsaShake128f),
    &Lent(PostQuantum::SlhDsaShake192s),
    &Lent(PostQuantum::SlhDsaShake192f),
    &Lent(PostQuantum::SlhDsaShake256s),
    &Lent(PostQuantum::SlhDsaShake256f),
];

/// Verifies an end-entity certificate at a time (seconds since the epoch) with the issuing CA as trust anchor: signature, dates
/// and purpose by rustls-webpki; and, since webpki ignores them in an anchor, the issuer's key usage and validity, the
/// key identifiers and the constraints on names by rules of our own. The purposes must have serverAuth or clientAuth, beside
/// whatever the profile says
/// (the caller compares them with the plan). Returns what the certificate says.
pub fn verify_leaf(certificate: &[u8], issuer_certificate: &[u8], time_unix: i64) -> Result<CertFields, Error> {
    let fields = read_certificate(certificate)?;
    verify_below(certificate, issuer_certificate, fields, time_unix, purpose)
}

/// Verifies the certificate of a signer of checkpoints or CRLs in the same way. It has no purpose of TLS, no alternative name, and one
/// key usage: digitalSignature or cRLSign (RFC 5280 §4.2.1.3).
pub fn verify_signer(certificate: &[u8], issuer_certificate: &[u8], time_unix: i64) -> Result<CertFields, Error> {
    let fields = read_certificate(certificate)?;
    if !is_signer(&fields) {
        return Err(PathFault::NotSigner.into());
    }
    // webpki takes a certificate without the extension for any purpose: which one it is asked about says nothing.
    verify_below(certificate, issuer_certificate, fields, time_unix, |_| Ok(("a signer", KeyUsage::client_auth())))
}

/// Verifies whatever stands below a CA and is none, as what it is.
pub fn verify_end_entity(certificate: &[u8], issuer_certificate: &[u8], time_unix: i64) -> Result<CertFields, Error> {
    match is_signer(&read_certificate(certificate)?) {
        true => verify_signer(certificate, issuer_certificate, time_unix),
        false => verify_leaf(certificate, issuer_certificate, time_unix),
    }
}

fn is_signer(fields: &CertFields) -> bool {
    let alone = [key_usage::DIGITAL_SIGNATURE, key_usage::CRL_SIGN].contains(&fields.key_usage);
    alone && fields.eku.is_empty() && fields.san.is_empty()
}

/// The purpose that webpki is asked about, in words and as its own.
type Asked = Result<(&'static str, KeyUsage), PathFault>;

fn verify_below(
    certificate: &[u8],
    issuer_certificate: &[u8],
    fields: CertFields,
    time_unix: i64,
    asked: fn(&[String]) -> Asked,
) -> Result<CertFields, Error> {
    let issuer = read_certificate(issuer_certificate)?;
    link(&fields.issuer, fields.aki.as_deref(), &issuer, false)?;
    understood(&fields.critical, fields.others.iter().map(|other| &other.oid))?;
    if fields.ca.is_some() {
        return Err(PathFault::LeafIsCa.into());
    }
    if issuer.key_usage & key_usage::KEY_CERT_SIGN == 0 {
        return Err(PathFault::KeyUsage("keyCertSign").into());
    }
    if fields.not_before < issuer.not_before || fields.not_after > issuer.not_after {
        return Err(PathFault::Validity.into());
    }
    if let Some(outside) = issuer.constraints.outside(&fields.subject, &fields.san) {
        return Err(PathFault::NameConstraints(outside).into());
    }
    // Under a constraint of another form than these webpki refuses every name of that form, within or not.
    let known = |base: &Subtree| matches!(base, Subtree::Dns(_) | Subtree::Ip(_));
    let judged_by_webpki = issuer.constraints.permitted.iter().chain(&issuer.constraints.excluded).all(known);
    let refuse = |usage: &'static str, cause: webpki::Error| PathFault::Webpki { usage, cause: cause.to_string() };
    let issuer = CertificateDer::from(issuer_certificate);
    let mut anchor = anchor_from_trusted_cert(&issuer).map_err(|e| refuse("a trust anchor", e))?;
    if !judged_by_webpki {
        anchor.name_constraints = None;
    }
    let certificate = CertificateDer::from(certificate);
    let leaf = EndEntityCert::try_from(&certificate).map_err(|e| refuse("an end entity", e))?;
    let seconds = u64::try_from(time_unix).map_err(|_| PathFault::Validity)?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    // One signature verification: webpki is asked about one purpose, the other is read.
    let (usage, wanted) = asked(&fields.eku)?;
    leaf.verify_for_usage(ACCEPTED, std::slice::from_ref(&anchor), &[], time, wanted, None, None)
        .map_err(|e| refuse(usage, e))?;
    Ok(fields)
}

/// anyExtendedKeyUsage (RFC 5280 §4.2.1.12).
const ANY_PURPOSE: &str = "2.5.29.37.0";

/// What webpki is asked about, which takes a certificate without the extension, or with anyExtendedKeyUsage, for any purpose:
/// such a one is refused here, and so is one that would speak for its CA.
fn purpose(eku: &[String]) -> Asked {
    let has = |wanted: &str| eku.iter().any(|oid| oid == wanted);
    if has(ANY_PURPOSE) || has(OCSP_SIGNING) {
        return Err(PathFault::Purposes);
    }
    match (has(SERVER_AUTH), has(CLIENT_AUTH)) {
        (true, _) => Ok(("serverAuth", KeyUsage::server_auth())),
        (false, true) => Ok(("clientAuth", KeyUsage::client_auth())),
        (false, false) => Err(PathFault::Purposes),
    }
}
