//! The fields of certificates and CRLs as values: what a plan intends and what a reader finds, in one type, so that
//! "every field is as planned" is one comparison.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::name::holder_names;

use crate::algorithm::SignatureAlgorithm;
use crate::cbor::{self, Bytes};
use crate::digest::{Digest, Hasher};

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
    /// nameConstraints, policyConstraints and inhibitAnyPolicy: what a CA's certificate leaves to those below it.
    #[serde(default, skip_serializing_if = "Constraints::is_empty")]
    pub constraints: Constraints,
    /// Dotted OIDs of the extensions marked critical, sorted as text.
    pub critical: Vec<String>,
    /// The extensions that no field above holds, sorted by their OID as text. A certificate of ours has those of its profile.
    pub others: Vec<OtherExtension>,
}

/// What a request of ours asks for (RFC 2986 §4.1; RFC 2985 §5.4.2), made twice as [`CertFields`] are. Stored in plans: a change
/// needs a new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RequestFields {
    /// The subject Name, whole DER.
    pub subject: Bytes,
    /// SubjectPublicKeyInfo, whole DER.
    pub spki: Bytes,
    /// The extensions asked for, as in [`CertFields`].
    pub ca: Option<CaConstraint>,
    pub key_usage: u16,
    pub eku: Vec<String>,
    pub ski: Option<Bytes>,
    pub policies: Vec<Policy>,
    #[serde(default, skip_serializing_if = "Constraints::is_empty")]
    pub constraints: Constraints,
    pub critical: Vec<String>,
    /// Those that no field above holds: a request of ours has none.
    pub others: Vec<OtherExtension>,
}

impl RequestFields {
    /// The fields of a certificate that says what is asked for, and nothing else: issuer, serial number and validity are blank.
    pub fn as_certificate(&self) -> CertFields {
        CertFields {
            serial: Bytes::default(),
            signature: SignatureAlgorithm::EcdsaSha256,
            issuer: Bytes::default(),
            not_before: 0,
            not_after: 0,
            subject: self.subject.clone(),
            spki: self.spki.clone(),
            ca: self.ca,
            key_usage: self.key_usage,
            eku: self.eku.clone(),
            san: Vec::new(),
            ski: self.ski.clone(),
            aki: None,
            crl_urls: Vec::new(),
            issuer_urls: Vec::new(),
            policies: self.policies.clone(),
            constraints: self.constraints.clone(),
            critical: self.critical.clone(),
            others: self.others.clone(),
        }
    }
}

/// Said of what looks like a certificate for browsers, and is none.
pub const NO_SCTS: &str = "not for browser trust: no SCTs";

impl CertFields {
    /// Whether an end entity's certificate claims a policy of the CA/Browser Forum and has no SCT (RFC 6962 §3.3), which browsers
    /// want to see.
    pub fn lacks_scts(&self) -> bool {
        let reserved = self.policies.iter().any(|policy| policy.oid.starts_with("2.23.140.1."));
        let scts = self.others.iter().any(|other| other.oid == "1.3.6.1.4.1.11129.2.4.2");
        self.ca.is_none() && reserved && !scts
    }
}

/// An extension as it is: never critical in a certificate of ours, since nobody would have to understand it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OtherExtension {
    /// Dotted.
    pub oid: String,
    /// The octets inside extnValue.
    pub value: Bytes,
}

impl OtherExtension {
    /// The TLS feature extension with status_request (RFC 7633 §4.2.3.1, "must-staple"): the server has to send a stapled answer.
    pub fn must_staple() -> OtherExtension {
        OtherExtension { oid: super::TLS_FEATURE.into(), value: Bytes::from(&b"\x30\x03\x02\x01\x05"[..]) }
    }
}

/// basicConstraints of a CA (RFC 5280 §4.2.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaConstraint {
    pub path_len: Option<u32>,
}

/// nameConstraints (RFC 5280 §4.2.1.10), policyConstraints (§4.2.1.11) and inhibitAnyPolicy (§4.2.1.14); all of them critical.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Constraints {
    /// permittedSubtrees, in the order of the certificate.
    pub permitted: Vec<Subtree>,
    /// excludedSubtrees.
    pub excluded: Vec<Subtree>,
    /// How many further certificates may stand in a path before each must have an acceptable policy.
    pub require_explicit_policy: Option<u32>,
    /// How many may before policies are mapped no more.
    pub inhibit_policy_mapping: Option<u32>,
    /// How many may before anyPolicy stands for none.
    pub inhibit_any_policy: Option<u32>,
}

/// The base of a GeneralSubtree; minimum is 0 and maximum absent, as RFC 5280 wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subtree {
    /// dNSName: this host and all below it; empty: every name.
    Dns(String),
    /// rfc822Name: a mailbox, a host, or with a dot in front all hosts below it.
    Email(String),
    /// directoryName: a Name, whole DER; all that begin with its RDNs.
    Directory(Bytes),
    /// iPAddress: 4 octets and their mask, or 16.
    Ip(Bytes),
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
    /// rfc822Name (RFC 5280 §4.2.1.6).
    Email(String),
    /// otherName id-on-SmtpUTF8Mailbox 1.3.6.1.5.5.7.8.9, UTF8String (RFC 9598 §3).
    Utf8Mailbox(String),
    Uri(String),
    /// 4 or 16 octets.
    Ip(Bytes),
    /// Any other form: the whole GeneralName in DER.
    Other(Bytes),
}

/// One digest for the names of a certificate, whatever their order: SHA-256 over the deterministic CBOR of its
/// subjectAltName, sorted, each once, then of the names of its holder ([`holder_names`]) in the same way: a subject without
/// alternative names counts as well.
pub fn names_digest(subject: &[u8], san: &[GeneralName]) -> Digest {
    let names: BTreeSet<&GeneralName> = san.iter().collect();
    let holders: BTreeSet<String> =
        holder_names(subject, san).into_iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut hasher = Hasher::default();
    // A name is text or octets, which always encode.
    names.iter().filter_map(|name| cbor::to_vec(name).ok()).for_each(|bytes| hasher.update(&bytes));
    holders.iter().filter_map(|name| cbor::to_vec(name).ok()).for_each(|bytes| hasher.update(&bytes));
    hasher.finish()
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

/// Reasons of a revocation (RFC 5280 §5.3.1): the lasting ones, by number and name. `unspecified` is told by absence, 7 is
/// unused, 8 belongs to delta CRLs, and a hold (6) could not be lifted in time by an offline signer.
pub const REASONS: [(u8, &str); 7] = [
    (1, "key-compromise"),
    (2, "ca-compromise"),
    (3, "affiliation-changed"),
    (4, "superseded"),
    (5, "cessation-of-operation"),
    (9, "privilege-withdrawn"),
    (10, "aa-compromise"),
];
/// The name of a revocation without a reasonCode.
pub const UNSPECIFIED: &str = "unspecified";

/// The name of a reasonCode; of its absence too.
pub fn reason_name(reason: Option<u8>) -> &'static str {
    let known = |code| REASONS.into_iter().find(|(number, _)| *number == code);
    reason.and_then(known).map_or(UNSPECIFIED, |(_, name)| name)
}

/// The reasonCode of this name: `Some(None)` for `unspecified`, `None` for a name that is no lasting reason.
pub fn reason_code(name: &str) -> Option<Option<u8>> {
    match name {
        UNSPECIFIED => Some(None),
        _ => REASONS.into_iter().find(|(_, known)| *known == name).map(|(number, _)| Some(number)),
    }
}

/// Key usage bits as [`CertFields::key_usage`] holds them (RFC 5280 §4.2.1.3).
pub mod key_usage {
    pub const DIGITAL_SIGNATURE: u16 = 0x0001;
    pub const KEY_ENCIPHERMENT: u16 = 0x0004;
    pub const KEY_CERT_SIGN: u16 = 0x0020;
    pub const CRL_SIGN: u16 = 0x0040;
}
