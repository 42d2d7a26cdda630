//! What a plan holds. Stored types: a change needs a new version.

use serde::{Deserialize, Serialize};

use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::cbor::Bytes;
use crate::config::{Backup, Environment};
use crate::digest::Digest;
use crate::x509::fields::{CertFields, CrlFields, RequestFields};

use super::keys::{Deed, GenerateWrappingKey, KeyAct};
use super::lint::Linted;

/// The head of a plan: what the statement is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Head {
    pub kind: Kind,
    /// The hierarchy's name, origin, environment and the digest of its file.
    pub name: String,
    pub origin: String,
    pub environment: Environment,
    pub hierarchy: Digest,
    /// The number of the last release when the plan was made; this plan's release is the next one.
    pub release_before: u64,
    /// Window, seconds since the epoch: signing starts and resumes only inside it.
    pub sign_from: i64,
    pub sign_until: i64,
    /// The bundle this plan answers.
    pub bundle: Option<BundleRef>,
    /// Key plans: the digest of the dry run of the certificate plan on throw-away keys.
    pub dry_run: Option<Digest>,
    /// SHA-256 of each list of compromised keys by which keys were judged, in the hierarchy's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block_lists: Vec<Digest>,
    /// Keys on record that share a prime with one asked for, so that they are no secret either; for people (`certificate
    /// SERIAL`, `CA ID`), the first [`MAX_BROKEN`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken_keys: Vec<String>,
    /// What linters said of the items, one for each that was asked; of a key plan, what they said of its dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lints: Vec<Linted>,
    /// Random, so that two plans never share a digest.
    pub nonce: Bytes,
    pub items: u64,
    pub refused: u64,
    /// One line of the statement for each act, CA and profile.
    pub counts: Vec<Count>,
}

/// So many broken keys are named in a plan.
pub const MAX_BROKEN: usize = 1_000;

/// Keys first, then what they sign: two plans, never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Keys,
    Certificates,
}

/// Which bundle a plan answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BundleRef {
    pub desk: String,
    pub sequence: u64,
    pub digest: Digest,
}

/// How many items one act has for one CA and profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Count {
    /// `generate-key`, `root`, `intermediate`, `cross-certificate`, `csr`, `signer`, `batch`, `revoke`, `crl`, `key-proof`, `backup-key`, `restore-key`
    /// or `destroy-key`.
    pub act: String,
    /// The signing CA, for `csr` the one that asks; for acts on keys the key's id.
    pub ca: String,
    /// The profile, and where the key comes from a file its SHA-256; for `generate-key` and `key-proof` the algorithm, for `revoke` the reason, for `crl` the CRL number, for
    /// `backup-key` the wrapping key, for `restore-key` the backup, for `destroy-key` what is in force.
    pub detail: String,
    pub count: u64,
}

/// One thing that the gate does when asked for it by number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Item {
    GenerateKey(GenerateKey),
    Certificate(Box<Certificate>),
    Revoke(Revoke),
    Crl(Box<Crl>),
    Csr(Box<Csr>),
    GenerateWrappingKey(GenerateWrappingKey),
    KeyAct(Box<KeyAct>),
}

/// A key pair to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GenerateKey {
    /// Ids of the hierarchy.
    pub key: String,
    pub token: String,
    pub label: String,
    /// CKA_ID, 16 random octets drawn when the plan was made.
    pub cka_id: Bytes,
    pub algorithm: KeyAlgorithm,
    pub backup: Backup,
}

/// The key that signs an item: all of it must match what the token holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyRef {
    pub key: String,
    pub token: String,
    pub label: String,
    pub cka_id: Bytes,
    pub algorithm: KeyAlgorithm,
    /// SubjectPublicKeyInfo, whole DER.
    pub spki: Bytes,
}

/// A certificate to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Certificate {
    /// `root`, `intermediate`, `cross-certificate`, `signer` or `batch`.
    pub act: String,
    /// The issuing CA.
    pub ca: String,
    /// The CA that is certified, for `root` and `intermediate`; for `cross-certificate` the id of what comes of it.
    pub subject_ca: Option<String>,
    /// The request's id, for `batch`; for `signer` the signer's.
    pub request: Option<String>,
    pub profile: String,
    /// Who asked, as the log knows requesters: a keyed digest ([`crate::digest::Tagger`]).
    pub requester: Option<Digest>,
    /// SHA-256 of the file, an artefact, from which the key was taken: the certificate that is crossed, a CA's request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<Digest>,
    pub signer: KeyRef,
    /// The exact bytes to be signed (RFC 5280 §4.1.1.1).
    pub tbs: Bytes,
    /// What the bytes mean, as `policy` decided it; compared with what `x509` reads from them.
    pub fields: CertFields,
}

/// A certificate to be revoked. Nothing is signed for it alone: it stands on the CRL of its CA in the same plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Revoke {
    /// The CA that issued it.
    pub ca: String,
    /// Content octets of the serial number.
    pub serial: Bytes,
    /// reasonCode; `None` for unspecified (RFC 5280 §5.3.1).
    pub reason: Option<u8>,
    /// revocationDate, seconds since the epoch.
    pub date: i64,
}

/// A CRL to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Crl {
    pub ca: String,
    pub signer: KeyRef,
    /// The exact bytes to be signed (RFC 5280 §5.1.1.1).
    pub tbs: Bytes,
    pub fields: CrlFields,
}

/// A request of a CA of ours, for its external issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Csr {
    /// The CA that asks, by its own key.
    pub ca: String,
    pub profile: String,
    pub signer: KeyRef,
    /// The exact bytes to be signed, a CertificationRequestInfo (RFC 2986 §4.1).
    pub tbs: Bytes,
    pub fields: RequestFields,
}

/// A request that is not signed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Refusal {
    pub request: String,
    /// The name of the check that failed.
    pub check: String,
    /// What is wrong and what the requester should mend; may contain untrusted text, already escaped.
    pub reason: String,
}

impl Item {
    /// The bytes to be signed by a CA key and the key that signs them; `None` for acts that sign nothing.
    pub fn to_sign(&self) -> Option<(&KeyRef, &[u8], SignatureAlgorithm)> {
        match self {
            Item::GenerateKey(_) | Item::GenerateWrappingKey(_) | Item::Revoke(_) => None,
            Item::Certificate(c) => Some((&c.signer, &c.tbs, c.fields.signature)),
            Item::Crl(c) => Some((&c.signer, &c.tbs, c.fields.signature)),
            Item::Csr(c) => Some((&c.signer, &c.tbs, c.signer.algorithm.signs_with())),
            Item::KeyAct(act) => match &act.deed {
                Deed::Prove { text } => Some((&act.key, text, act.key.algorithm.signs_with())),
                Deed::Backup { .. } | Deed::Restore { .. } | Deed::Destroy { .. } => None,
            },
        }
    }
}
