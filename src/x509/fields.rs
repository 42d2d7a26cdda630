//! The fields of certificates and CRLs as values: what a plan intends and what a reader finds, in one type, so that
//! "every field is as planned" is one comparison.

use serde::{Deserialize, Serialize};

use crate::algorithm::SignatureAlgorithm;
use crate::cbor::Bytes;

/// Every field of a certificate that coldroot issues (RFC 5280 §4.1, §4.2). Made twice, by hands that do not share code:
/// by `policy` from the request and the profile, and by `x509` from the DER. Stored in plans: a change needs a new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CertFields {
    /// Content octets of the INTEGER, big-endian, 1 to 20 of them, top bit clear.
    pub serial: Bytes,
    pub signature: SignatureAlgorithm,
    /// The issuer Name, whole DER.
    pub issuer: Bytes,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub not_before: i64,
    pub not_after: i64,
    /// The subject Name, whole DER.
    pub subject: Bytes,
    /// SubjectPublicKeyInfo, whole DER.
    pub spki: Bytes,
    /// basicConstraints: `None` when cA is FALSE or the extension is absent.
    pub ca: Option<CaConstraint>,
    /// keyUsage, bit 0 (digitalSignature) as 0x0001 up to decipherOnly as 0x0100; 0 when the extension is absent.
    pub key_usage: u16,
    /// extKeyUsage as dotted object identifiers, in the order of the certificate.
    pub eku: Vec<String>,
    /// subjectAltName in the order of the certificate.
    pub san: Vec<GeneralName>,
    /// subjectKeyIdentifier, the octets inside.
    pub ski: Option<Bytes>,
    /// authorityKeyIdentifier's keyIdentifier, the octets inside; the other two fields are never used.
    pub aki: Option<Bytes>,
    /// URIs of cRLDistributionPoints (fullName only).
    pub crl_urls: Vec<String>,
    /// authorityInfoAccess, id-ad-caIssuers URIs.
    pub issuer_urls: Vec<String>,
    /// certificatePolicies.
    pub policies: Vec<Policy>,
    /// Dotted OIDs of the extensions marked critical, sorted as text.
    pub critical: Vec<String>,
    /// Dotted OIDs of extensions that no field above holds, sorted as text. A certificate of ours has none.
    pub others: Vec<String>,
}

/// basicConstraints of a CA (RFC 5280 §4.2.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaConstraint {
    pub path_len: Option<u32>,
}

/// One subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum GeneralName {
    /// dNSName (RFC 5280 §4.2.1.6): A-labels.
    Dns(String),
    /// otherName id-on-dnsSRV 1.3.6.1.5.5.7.8.7, IA5String `_service.name` (RFC 4985).
    Srv(String),
    /// otherName id-on-xmppAddr 1.3.6.1.5.5.7.8.5, UTF8String (RFC 6120 §13.7.1.4).
    XmppAddr(String),
    Email(String),
    Uri(String),
    /// 4 or 16 octets.
    Ip(Bytes),
    /// Any other form: the whole GeneralName in DER.
    Other(Bytes),
}

/// One PolicyInformation: the OID and, where there is one, the CPS URI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Policy {
    pub oid: String,
    pub cps: Option<String>,
}

/// Every field of a CRL that coldroot issues (RFC 5280 §5.1, §5.2). Stored in plans: a change needs a new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CrlFields {
    pub signature: SignatureAlgorithm,
    pub issuer: Bytes,
    pub this_update: i64,
    pub next_update: i64,
    /// cRLNumber.
    pub number: u64,
    pub aki: Option<Bytes>,
    pub revoked: Vec<Revoked>,
    /// As in [`CertFields`].
    pub critical: Vec<String>,
    pub others: Vec<String>,
}

/// One entry of revokedCertificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Revoked {
    pub serial: Bytes,
    pub date: i64,
    /// reasonCode; `None` when absent, never `Some(0)` (RFC 5280 §5.3.1).
    pub reason: Option<u8>,
}

/// Key usage bits as [`CertFields::key_usage`] holds them (RFC 5280 §4.2.1.3).
pub mod key_usage {
    pub const DIGITAL_SIGNATURE: u16 = 0x0001;
    pub const KEY_ENCIPHERMENT: u16 = 0x0004;
    pub const KEY_CERT_SIGN: u16 = 0x0020;
    pub const CRL_SIGN: u16 = 0x0040;
}
