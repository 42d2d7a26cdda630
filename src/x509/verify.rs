//! Signatures by aws-lc-rs (SLH-DSA: by slh-dsa), and the path rules of CA certificates and CRLs.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::certificate::{Signed, read_certificate};
use super::crl::read_crl;
use super::error::{Error, PathFault};
use super::fields::{CertFields, CrlFields, key_usage};
use super::key::{KeyKind, PublicKey};
use super::slh_dsa;
use crate::algorithm::{PostQuantum, SignatureAlgorithm};

/// Verifies `signature` over `message`. The table below is the whole of what is accepted: no SHA-1, no MD5, no RSA under
/// 2,048 bits, no algorithm of another kind of key.
pub fn verify_signature(
    spki: &[u8],
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    let key = PublicKey::from_spki(spki)?;
    if let (KeyKind::PostQuantum(set), SignatureAlgorithm::PostQuantum(by)) = (key.kind(), algorithm)
        && set == by
        && set.is_slh_dsa()
    {
        return slh_dsa::verify(set, key.bits(), message, signature).ok_or(Error::Signature);
    }
    let by = table(key.kind(), algorithm)
        .ok_or_else(|| Error::AlgorithmOfKey { key: key.kind().to_string(), signature: algorithm.name() })?;
    UnparsedPublicKey::new(by, key.bits()).verify(message, signature).map_err(|_| Error::Signature)
}

fn table(key: KeyKind, algorithm: SignatureAlgorithm) -> Option<&'static dyn VerificationAlgorithm> {
    use SignatureAlgorithm as A;
    Some(match (key, algorithm) {
        (KeyKind::EcdsaP256, A::EcdsaSha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (KeyKind::EcdsaP256, A::EcdsaSha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (KeyKind::EcdsaP256, A::EcdsaSha512) => &signature::ECDSA_P256_SHA512_ASN1,
        (KeyKind::EcdsaP384, A::EcdsaSha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (KeyKind::EcdsaP384, A::EcdsaSha384) => &signature::ECDSA_P384_SHA384_ASN1,
        (KeyKind::EcdsaP384, A::EcdsaSha512) => &signature::ECDSA_P384_SHA512_ASN1,
        (KeyKind::EcdsaP521, A::EcdsaSha256) => &signature::ECDSA_P521_SHA256_ASN1,
        (KeyKind::EcdsaP521, A::EcdsaSha384) => &signature::ECDSA_P521_SHA384_ASN1,
        (KeyKind::EcdsaP521, A::EcdsaSha512) => &signature::ECDSA_P521_SHA512_ASN1,
        (KeyKind::Rsa { bits: 2048..=8192, .. }, A::RsaSha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa { bits: 2048..=8192, .. }, A::RsaSha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa { bits: 2048..=8192, .. }, A::RsaSha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        (KeyKind::Rsa { bits: 2048..=8192, .. }, A::RsaPssSha256) => &signature::RSA_PSS_2048_8192_SHA256,
        (KeyKind::Rsa { bits: 2048..=8192, .. }, A::RsaPssSha384) => &signature::RSA_PSS_2048_8192_SHA384,
        (KeyKind::Rsa { bits: 2048..=8192, .. }, A::RsaPssSha512) => &signature::RSA_PSS_2048_8192_SHA512,
        (KeyKind::PostQuantum(PostQuantum::MlDsa44), A::PostQuantum(PostQuantum::MlDsa44)) => &signature::ML_DSA_44,
        (KeyKind::PostQuantum(PostQuantum::MlDsa65), A::PostQuantum(PostQuantum::MlDsa65)) => &signature::ML_DSA_65,
        (KeyKind::PostQuantum(PostQuantum::MlDsa87), A::PostQuantum(PostQuantum::MlDsa87)) => &signature::ML_DSA_87,
        (KeyKind::Ed25519, A::Ed25519) => &signature::ED25519,
        _ => return None,
    })
}

/// The raw TBS bytes of a Certificate or CertificateList.
pub fn tbs_of(der: &[u8]) -> Result<&[u8], Error> {
    Ok(Signed::split(der, "certificate or CRL")?.tbs)
}

/// The AlgorithmIdentifier (whole DER) and the signature of a Certificate or CertificateList.
pub fn signature_of(der: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let signed = Signed::split(der, "certificate or CRL")?;
    Ok((signed.algorithm, signed.signature))
}

/// Verifies a CA certificate under its issuer's, or a root under itself (both arguments the same): the signature, and the
/// rules of RFC 5280 §6.1.3, §6.1.4 that concern one link. webpki takes no CA as an end entity, so these rules are our own.
/// The issuer is judged by its own call. Returns what the certificate says.
pub fn verify_ca(certificate: &[u8], issuer_certificate: &[u8]) -> Result<CertFields, Error> {
    let fields = read_certificate(certificate)?;
    let issuer = read_certificate(issuer_certificate)?;
    link(&fields.issuer, fields.aki.as_deref(), &issuer, certificate == issuer_certificate)?;
    understood(&fields.critical, fields.others.iter().map(|other| &other.oid))?;
    let constraint = fields.ca.ok_or(PathFault::SubjectNotCa)?;
    if fields.key_usage & key_usage::KEY_CERT_SIGN == 0 {
        return Err(PathFault::SubjectNotCa.into());
    }
    if issuer.key_usage & key_usage::KEY_CERT_SIGN == 0 {
        return Err(PathFault::KeyUsage("keyCertSign").into());
    }
    if certificate != issuer_certificate {
        // A certificate with the issuer's own name would be self-issued, and uncounted in path lengths: none of ours is.
        if fields.subject == fields.issuer {
            return Err(PathFault::IssuerName.into());
        }
        if let Some(limit) = issuer.ca.and_then(|ca| ca.path_len)
            && constraint.path_len.is_none_or(|own| own >= limit)
        {
            return Err(PathFault::PathLength(limit).into());
        }
    }
    if certificate != issuer_certificate
        && let Some(outside) = issuer.constraints.outside(&fields.subject, &fields.san)
    {
        return Err(PathFault::NameConstraints(outside).into());
    }
    if fields.not_before > fields.not_after
        || fields.not_before < issuer.not_before
        || fields.not_after > issuer.not_after
    {
        return Err(PathFault::Validity.into());
    }
    signed_by(certificate, &issuer)?;
    Ok(fields)
}

/// Verifies a CA certificate as the last one above ours: a root under itself, any other by what it says of itself, since nothing
/// here vouches for it but those who name it. Returns what it says.
pub fn verify_anchor(certificate: &[u8]) -> Result<CertFields, Error> {
    let fields = read_certificate(certificate)?;
    if fields.issuer == fields.subject {
        return verify_ca(certificate, certificate);
    }
    understood(&fields.critical, fields.others.iter().map(|other| &other.oid))?;
    if fields.ca.is_none() {
        return Err(PathFault::NotCa.into());
    }
    match fields.key_usage & key_usage::KEY_CERT_SIGN {
        0 => Err(PathFault::KeyUsage("keyCertSign").into()),
        _ => Ok(fields),
    }
}

/// Verifies a CA certificate by an external issuer under the certificates above it, the issuer's first, each under the next one. Returns
/// what it says.
pub fn verify_external<A: AsRef<[u8]>>(certificate: &[u8], above: &[A]) -> Result<CertFields, Error> {
    let missing = Error::Missing { part: "chain", field: "issuer's certificate" };
    let chain: Vec<&[u8]> = [certificate].into_iter().chain(above.iter().map(AsRef::as_ref)).collect();
    for pair in chain.windows(2) {
        if let [below, issuer] = pair {
            verify_ca(below, issuer)?;
        }
    }
    verify_anchor(above.last().ok_or(missing)?.as_ref())?;
    read_certificate(certificate)
}

/// Verifies a CRL under the certificate of the CA that issued it (RFC 5280 §6.3.3; no indirect CRLs). Returns what it says.
pub fn verify_crl(crl: &[u8], issuer_certificate: &[u8]) -> Result<CrlFields, Error> {
    let fields = read_crl(crl)?;
    let issuer = read_certificate(issuer_certificate)?;
    // RFC 5280 §5.2.1: a CRL always names the key, a root's too.
    link(&fields.issuer, fields.aki.as_deref(), &issuer, false)?;
    understood(&fields.critical, fields.others.iter())?;
    if issuer.key_usage & key_usage::CRL_SIGN == 0 {
        return Err(PathFault::KeyUsage("cRLSign").into());
    }
    signed_by(crl, &issuer)?;
    Ok(fields)
}

/// The issuer is a CA, its subject is the issuer name, and its key identifier is the one named; only a self-signed
/// certificate may leave that out (RFC 5280 §4.2.1.1).
pub(super) fn link(
    name: &[u8],
    key_identifier: Option<&Vec<u8>>,
    issuer: &CertFields,
    self_signed: bool,
) -> Result<(), PathFault> {
    if name != issuer.subject.as_slice() {
        return Err(PathFault::IssuerName);
    }
    let named = match key_identifier {
        Some(named) => issuer.ski.as_ref().is_some_and(|ski| ski.as_slice() == named.as_slice()),
        None => self_signed,
    };
    if !named {
        return Err(PathFault::KeyIdentifier);
    }
    if issuer.ca.is_none() { Err(PathFault::NotCa) } else { Ok(()) }
}

/// RFC 5280 §4.2: who does not understand a critical extension refuses the certificate.
pub(super) fn understood<'a>(
    critical: &[String],
    mut others: impl Iterator<Item = &'a String>,
) -> Result<(), PathFault> {
    match others.find(|oid| critical.contains(oid)) {
        Some(oid) => Err(PathFault::Critical(oid.clone())),
        None => Ok(()),
    }
}

fn signed_by(der: &[u8], issuer: &CertFields) -> Result<(), Error> {
    let signed = Signed::split(der, "certificate or CRL")?;
    verify_signature(&issuer.spki, signed.signature_algorithm()?, signed.tbs, signed.signature)
}
