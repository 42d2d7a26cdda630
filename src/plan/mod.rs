//! The plan: the exact outcome, before any private key is used. The gate reads plans with this room's code and no other.
//!
//! A plan file is a CBOR sequence (RFC 8742): the magic text, then byte strings that hold one [`Head`], `head.items`
//! [`Item`]s and `head.refused` [`Refusal`]s. Its digest, SHA-256 over the whole file, is what the statement names and
//! officers approve.

mod backup;
pub mod difference;
mod file;
mod item;
mod keys;
mod lint;
pub mod sample;
mod statement;

pub use backup::{BACKUP_MAGIC, Backup, MAX_BACKUP};
pub use file::{Plan, PlanWriter};
pub use item::*;
pub use keys::{Deed, GenerateWrappingKey, KeyAct, WrappingRef, proof_text, wraps_as_declared};
pub use lint::{Found, Level, Linted, MAX_FOUND};
pub use statement::{NAMESPACE, init_statement, statement, void_statement};
pub(crate) use statement::{fixed_lines, sha256};

use crate::cbor;
use crate::digest::Digest;

/// The first item of every plan file.
pub const MAGIC: &str = "coldroot-plan-v0";
/// The largest head, item or refusal: a CRL with some hundred thousand entries.
pub const MAX_FRAME: u64 = 16 << 20;
/// The most items one plan may hold.
pub const MAX_ITEMS: u64 = 2_000_000;

/// What the CKA_ID of a planned key ends with: 16 octets that tell whose log it belongs to, for tokens that can store nothing else
/// of ours. Stored: a change leaves such keys behind.
pub fn log_tag(verifier_key: &str) -> [u8; 16] {
    let digest = Digest::of(format!("coldroot log\n{verifier_key}").as_bytes());
    let mut tag = [0; 16];
    tag.copy_from_slice(&digest.0[..16]);
    tag
}

/// Why a file is not a plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read or write the plan: {0}")]
    Io(#[from] std::io::Error),
    #[error("{path}: {cause}")]
    Open { path: String, cause: std::io::Error },
    #[error("not a plan: it does not begin with `{MAGIC}`")]
    Magic,
    #[error("the plan is damaged in part {part} (head, then items, then refusals): {cause}")]
    Damaged { part: u64, cause: cbor::Error },
    #[error("the plan contradicts itself: {0}")]
    Contradiction(String),
    #[error("item {item} has {octets} octets, more than the {MAX_FRAME} that an item of a plan may have")]
    TooLarge { item: u64, octets: u64 },
    #[error("item {0} of the plan changed after it was read")]
    Changed(u64),
    #[error("the plan has no item {0}")]
    NoItem(u64),
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Io(_) | Error::NoItem(_) => None,
            Error::Open { .. } => Some("give the plan's file as `coldroot plan` named it".into()),
            Error::TooLarge { .. } => Some(
                "it is a CRL of some 200,000 entries: this version makes neither a longer one nor one in parts".into(),
            ),
            Error::Magic => Some("`coldroot show FILE` says what the file is".into()),
            _ => Some("take the plan from the station again; its SHA-256 stands in the statement".into()),
        }
    }
}
