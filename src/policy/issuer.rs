//! The CA that signs: its certificate against the CAs above it, its declaration, and the key in the token.

use super::check::{Check, Refused};
use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::cbor::Bytes;
use crate::config::Ca;
use crate::text;
use crate::x509::fields::{CertFields, key_usage};
use crate::x509::{PublicKey, name_text, verify_anchor, verify_ca};

/// The key of a CA: its public half, and how the hierarchy declares it. The declaration says what the key itself does not:
/// by which padding an RSA key signs.
#[derive(Clone, Copy, Debug)]
pub struct CaKey<'a> {
    /// SubjectPublicKeyInfo, whole DER.
    pub spki: &'a [u8],
    pub algorithm: KeyAlgorithm,
}

/// What the certificates and CRLs of a CA take from it. Made only by the functions below, so every one was judged.
#[derive(Clone, Debug)]
pub struct IssuerFacts {
    ca: String,
    certificate: Option<Vec<u8>>,
    fields: CertFields,
    /// What its certificate says, and those above it, the root last.
    path: Vec<CertFields>,
    key: PublicKey,
    signature: SignatureAlgorithm,
    ski: Bytes,
    crl_urls: Vec<String>,
    issuer_urls: Vec<String>,
    root: bool,
    cabf: bool,
}

impl IssuerFacts {
    /// Judges a CA that has its certificate. `chain` is its certificate and those above it, the root last; `subject` the
    /// declared subject, encoded; `key` the key in the token; `at` the time of signing, seconds since the epoch. `external`: the
    /// last one is no CA's of this hierarchy, and need not be a root.
    pub fn from_certificate(
        (chain, external): (&[&[u8]], bool),
        ca: &Ca,
        subject: &[u8],
        key: CaKey<'_>,
        at: i64,
    ) -> Result<IssuerFacts, Refused> {
        let refuse = |wrong: String| Refused::new(Check::IssuerCertificate, format!("CA `{}`: {wrong}", ca.id));
        let Some((own, above)) = chain.split_first() else {
            return Err(refuse("has no certificate yet".into()));
        };
        let mut path = Vec::new();
        for (i, certificate) in chain.iter().enumerate() {
            let verified = match chain.get(i + 1) {
                Some(issuer) => verify_ca(certificate, issuer),
                None if external => verify_anchor(certificate),
                None => verify_ca(certificate, certificate),
            };
            let fields = verified.map_err(|e| refuse(format!("certificate {} of its chain: {e}", i + 1)))?;
            if at < fields.not_before || at > fields.not_after {
                let (from, to) = (text::utc(fields.not_before), text::utc(fields.not_after));
                return Err(refuse(format!("certificate {} of its chain is valid from {from} to {to}", i + 1)));
            }
            path.push(fields);
        }
        if above.is_empty() != ca.is_root() {
            return Err(refuse("the length of its chain does not fit its declared issuer".into()));
        }
        IssuerFacts::judge(path, Some(own.to_vec()), ca, subject, key)
    }

    /// Judges a CA whose certificate stands earlier in the same plan: the fields of that item, its issuer, `None` for a root,
    /// and the key that will sign.
    pub fn planned(
        fields: &CertFields,
        issuer: Option<&IssuerFacts>,
        ca: &Ca,
        subject: &[u8],
        key: CaKey<'_>,
    ) -> Result<IssuerFacts, Refused> {
        let above = issuer.map(|issuer| issuer.path.clone()).unwrap_or_default();
        IssuerFacts::judge([vec![fields.clone()], above].concat(), None, ca, subject, key)
    }

    fn judge(
        path: Vec<CertFields>,
        certificate: Option<Vec<u8>>,
        ca: &Ca,
        subject: &[u8],
        declared: CaKey<'_>,
    ) -> Result<IssuerFacts, Refused> {
        let refuse = |check: Check, wrong: String| Refused::new(check, format!("CA `{}`: {wrong}", ca.id));
        let wanted = key_usage::KEY_CERT_SIGN | key_usage::CRL_SIGN;
        let fields =
            path.first().ok_or_else(|| refuse(Check::IssuerCertificate, "has no certificate yet".into()))?.clone();
        if fields.ca.is_none() || fields.key_usage & wanted != wanted {
            return Err(refuse(
                Check::IssuerCertificate,
                "its certificate is no CA's that signs certificates and CRLs".into(),
            ));
        }
        if fields.subject.as_slice() != subject {
            let (found, declared) = (name_text(&fields.subject), name_text(subject));
            return Err(refuse(
                Check::IssuerName,
                format!("its certificate names `{found}`, the hierarchy declares `{declared}`"),
            ));
        }
        if fields.spki.as_slice() != declared.spki {
            return Err(refuse(Check::IssuerKey, "the key in its certificate is not the key that would sign".into()));
        }
        let key = PublicKey::from_spki(declared.spki).map_err(|e| refuse(Check::IssuerKey, e.to_string()))?;
        if key.algorithm() != Some(declared.algorithm.shown()) {
            let wrong = format!("it holds {}, where {} is declared", key.kind(), declared.algorithm);
            return Err(refuse(Check::IssuerKey, wrong));
        }
        let ski = fields.ski.clone().ok_or_else(|| {
            refuse(
                Check::IssuerCertificate,
                "its certificate has no subject key identifier (RFC 5280 section 4.2.1.2)".into(),
            )
        })?;
        Ok(IssuerFacts {
            ca: ca.id.clone(),
            certificate,
            key,
            signature: declared.algorithm.signs_with(),
            ski,
            crl_urls: ca.crl_urls.clone(),
            issuer_urls: ca.issuer_urls.clone(),
            root: ca.is_root(),
            cabf: ca.cabf(),
            fields,
            path,
        })
    }

    /// The CA's id in the hierarchy.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Its certificate in DER; `None` while it is only planned.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// What its certificate says.
    pub fn fields(&self) -> &CertFields {
        &self.fields
    }

    /// What its certificate says, and those above it, the root last.
    pub(super) fn path(&self) -> &[CertFields] {
        &self.path
    }

    /// Its public key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The one algorithm it signs with.
    pub fn signature(&self) -> SignatureAlgorithm {
        self.signature
    }

    /// Whether it keeps the Baseline Requirements in what it issues.
    pub fn cabf(&self) -> bool {
        self.cabf
    }

    pub(super) fn is_root(&self) -> bool {
        self.root
    }

    pub(super) fn ski(&self) -> &Bytes {
        &self.ski
    }

    pub(super) fn crl_urls(&self) -> &[String] {
        &self.crl_urls
    }

    pub(super) fn issuer_urls(&self) -> &[String] {
        &self.issuer_urls
    }
}
