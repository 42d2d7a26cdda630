//! What parent and host say to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cbor::Bytes;
use crate::digest::Digest;

/// A question of the parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Ask {
    /// Comes first, once.
    Hello { programs: Vec<Program>, must_be_closed: bool },
    /// Run a program on this file.
    Lint { program: u64, der: Bytes },
}

/// A linter as the host needs to know it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
    pub read: Vec<PathBuf>,
    pub seconds: u32,
    pub memory_mb: u32,
}

/// An answer of the host.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Answer {
    /// SHA-256 of each program's file; what is missing has none.
    Ready(Vec<Option<Digest>>),
    /// The program has ended by itself. `complaint`: the end of what it wrote to stderr, or what ended it.
    Printed { output: Bytes, complaint: String, crashed: bool },
    /// There is no output to be judged.
    Failed(String),
}
