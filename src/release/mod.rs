//! The release: what leaves the station after a plan.
//!
//! A release is a directory of four files. It is derived from the plan and the log alone, so it can be made again, byte for
//! byte, from the audit directory: the end entry says what it holds, the receipt under which checkpoint it left.
//!
//! | file | content |
//! | --- | --- |
//! | `release.cbor` | magic, [`Head`], then [`Part`]s: CA certificates, new certificates, CRLs, refusals, keys |
//! | `log.cbor` | magic, then [`LogFile`]s: tiles and public artefacts of the log up to the checkpoint |
//! | `checkpoint` | the signed note |
//! | `manifest.cbor` | magic, [`Manifest`]: size and SHA-256 of `release.cbor`; its digest stands in the end entry |

mod approved;
mod crls;
mod frames;
mod judge;
mod log_at;
mod page;
mod proofs;
mod public;
mod read;
mod tokens;
mod unpack;
mod write;

use serde::{Deserialize, Serialize};

use crate::audit::entry::Approved;
use crate::cbor::Bytes;
use crate::config::Environment;
use crate::digest::Digest;
use crate::plan::{BundleRef, Kind, Linted, Refusal};

pub use public::{Copied, public_copy};
pub use read::{Checked, Findings, Release, Trust, check, private_log};
pub use unpack::{Layout, unpack};
pub use write::{Basis, Made, copy_out, make, prepare};

pub const RELEASE_MAGIC: &str = "coldroot-release-v0";
pub const LOG_MAGIC: &str = "coldroot-release-log-v0";
pub const MANIFEST_MAGIC: &str = "coldroot-manifest-v0";
/// The largest frame of a release: a CRL or an artefact.
pub const MAX_FRAME: u64 = 256 << 20;

/// Octets of one piece of a log file: a plan of a million items passes in bounded memory.
pub const PIECE: usize = 1 << 20;

/// The name of release `n`'s directory.
pub fn directory_name(n: u64) -> String {
    format!("release-{n:04}")
}

/// What the release is. Stored: a change needs a new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Head {
    pub name: String,
    pub origin: String,
    pub environment: Environment,
    pub hierarchy: Digest,
    pub release: u64,
    pub kind: Kind,
    pub plan: Digest,
    pub bundle: Option<BundleRef>,
    pub sign_from: i64,
    pub sign_until: i64,
    pub operator: String,
    pub witness: String,
    pub approvals: Vec<Approved>,
    /// Items and refusals on record.
    pub items: u64,
    pub refused: u64,
    /// Why the rest of the plan was voided.
    pub void: Option<String>,
    /// What judged the plan's keys and items, as its head has it: lists of compromised keys, the keys on record that are broken,
    /// linters and what they found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block_lists: Vec<Digest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken_keys: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lints: Vec<Linted>,
}

/// One thing in a release. Stored: a change needs a new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Part {
    /// A CA certificate on record, new or old: the chain of what follows. `parent` is itself for a root.
    Ca {
        ca: String,
        parent: String,
        index: u64,
        der: Bytes,
        /// Those above it, where an external issuer has made it (`parent` is `external`): its issuer's first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        above: Vec<Bytes>,
    },
    /// The request of a CA for its external issuer, made by this plan: DER.
    Csr {
        ca: String,
        index: u64,
        der: Bytes,
    },
    /// A new end-entity certificate and where the log has it.
    Certificate {
        request: String,
        ca: String,
        profile: String,
        index: u64,
        der: Bytes,
    },
    /// A certificate revoked by this plan; its CA's CRL says so, unless the plan was voided before it was made.
    Revoked {
        ca: String,
        serial: Bytes,
        reason: Option<u8>,
        date: i64,
        index: u64,
    },
    /// The newest CRL of a CA.
    Crl {
        ca: String,
        number: u64,
        der: Bytes,
    },
    Refused(Refusal),
    /// A key pair made by this plan.
    Key {
        key: String,
        spki: Bytes,
        index: u64,
    },
    /// What this plan has done with a key that was there, and where the log has it.
    KeyAct {
        act: String,
        key: String,
        index: u64,
    },
}

/// A piece of a file of the log, at most [`PIECE`] octets; the pieces of a file follow each other from offset 0. Stored: a
/// change needs a new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogFile {
    /// Relative to the log's directory, such as `tile/0/000.p/7`.
    pub path: String,
    pub offset: u64,
    pub content: Bytes,
}

/// What the end entry vouches for. Stored: a change needs a new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    pub origin: String,
    pub release: u64,
    pub size: u64,
    pub digest: Digest,
}

/// Why a release could not be made, read or believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {cause}")]
    Io { path: String, cause: std::io::Error },
    #[error("{path} is not what it should be: {cause}")]
    Damaged { path: String, cause: String },
    #[error("{0} exists already")]
    Exists(String),
    #[error("release {0} made again is not the one on record")]
    NotOnRecord(u64),
    #[error(transparent)]
    Log(#[from] crate::audit::Error),
    #[error(transparent)]
    Plan(#[from] crate::plan::Error),
    #[error(transparent)]
    Media(#[from] crate::media::Error),
    #[error("{to} holds {what}")]
    Elsewhere { to: String, what: String },
    #[error("check `{check}` failed: {what}")]
    Check { check: &'static str, what: String },
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Exists(_) => Some("nothing is overwritten; name a new place".into()),
            Error::NotOnRecord(_) => Some("keep the audit directory as it is and report this".into()),
            Error::Log(e) => e.hint(),
            Error::Io { .. } => Some("look at space and permissions there, then run the command again".into()),
            Error::Elsewhere { .. } => Some("unpack into a new directory, or the releases in their order".into()),
            Error::Media(e) => e.hint(),
            Error::Damaged { .. } => Some("take the release from the station's medium again".into()),
            Error::Check { .. } => Some("do not use this release; tell the officers of the station".into()),
            _ => None,
        }
    }
}

pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |cause| Error::Io { path: crate::text::path(path), cause }
}
