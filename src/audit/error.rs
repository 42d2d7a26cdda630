//! What can go wrong with a log.

use std::path::PathBuf;

use crate::audit::note;
use crate::cbor;
use crate::text::escape;

/// Why the log could not do what was asked. [`Error::halted`] tells the two classes apart: refused (nothing changed) and
/// halted (the state is kept as it is and a person has to look).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", shown(.path))]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} already holds a log", shown(.0))]
    Exists(PathBuf),
    #[error("{} holds no log", shown(.0))]
    NotALog(PathBuf),
    #[error("the log in {} is open in another process", shown(.0))]
    Locked(PathBuf),
    #[error("`{}` cannot be a log's origin", escape(.0))]
    BadOrigin(String),
    #[error("the first entry must be the genesis entry of this origin, and no other entry may be one")]
    Genesis,
    #[error("an entry cannot be written: {0}")]
    Encode(cbor::Error),
    #[error("index {index} is not below the size {size}")]
    OutOfRange { index: u64, size: u64 },
    #[error("an empty log has no checkpoint")]
    Empty,
    #[error("an earlier failure stopped this log before the state on disk was known")]
    Stopped,

    #[error("the log has a checkpoint of size {size} but no tail")]
    TailMissing { size: u64 },
    #[error("the header of the tail is damaged")]
    TailHeader,
    #[error("the tail's record of entry {index}, at octet {offset}, is damaged and others follow it")]
    TailDamaged { index: u64, offset: u64 },
    #[error("the tail continues a log of {base} entries, the checkpoint is of {size}")]
    TailAhead { base: u64, size: u64 },
    #[error("the tail continues another log: the root at {base} entries differs")]
    TailOther { base: u64 },
    #[error("entry {index} in the tail differs from the one in the tiles")]
    TailDiffers { index: u64 },
    #[error("the file {path} is missing")]
    TileMissing { path: String },
    #[error("the file {path} is not a tile of the expected length")]
    TileMalformed { path: String },
    #[error("the file {path} differs from what the log's entries give")]
    TileDiffers { path: String },
    #[error("the tiles do not give the root of the checkpoint of size {size}")]
    RootDiffers { size: u64 },
    #[error("entry {index} does not have the hash that the tiles record")]
    EntryDiffers { index: u64 },
    #[error("entry {index} cannot be read: {source}")]
    EntryMalformed { index: u64, source: cbor::Error },
    #[error("the checkpoint is not usable: {0}")]
    Note(#[from] note::Error),
    #[error("the log's origin is `{}`, but `{}` was expected", escape(.found), escape(.expected))]
    Origin { found: String, expected: String },

    #[error("the signer could not seal the log: {0}")]
    Sealer(Box<dyn std::error::Error + Send + Sync + 'static>),
    #[error("the signer's answer is not the checkpoint of size {size} that was asked for")]
    SealerAnswer { size: u64 },
    #[error("the signer has sealed {sealed} entries, but the log holds only {size}")]
    Behind { size: u64, sealed: u64 },
    #[error("the signer sealed another root at {size} entries")]
    Fork { size: u64 },

    #[error("artefact {digest} is missing")]
    ArtefactMissing { digest: String },
    #[error("artefact {digest} does not hash to its name")]
    ArtefactDiffers { digest: String },
    #[error("artefact {digest} has {length} octets, more than the {limit} that are read at once")]
    ArtefactTooLarge { digest: String, length: u64, limit: u64 },
}

impl Error {
    /// True when the state on disk is wrong or unknown and a person has to look; false when the call was refused and
    /// nothing changed.
    pub fn halted(&self) -> bool {
        !matches!(
            self,
            Error::Exists(_)
                | Error::NotALog(_)
                | Error::Locked(_)
                | Error::BadOrigin(_)
                | Error::Genesis
                | Error::Encode(_)
                | Error::OutOfRange { .. }
                | Error::Empty
                | Error::Sealer(_)
                | Error::ArtefactTooLarge { .. }
        )
    }

    /// What a person should do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Io { .. } => "mend the file system (space, permissions, device), then run the command again",
            Error::Exists(_) => "choose another station directory; a log is never begun twice",
            Error::NotALog(_) => "give the station's `audit` directory, or run `coldroot init` first",
            Error::Locked(_) => "wait until the other coldroot process has ended",
            Error::BadOrigin(_) => "use 1 to 128 printable ASCII characters without spaces and `+`",
            Error::Stopped => "run the command again: opening the log recovers it",
            Error::TailMissing { .. } => {
                "this is a published copy, or the `tail` was deleted: use `coldroot check` on it, or restore the whole `audit` directory from a copy"
            }
            Error::TailHeader
            | Error::TailDamaged { .. }
            | Error::TailAhead { .. }
            | Error::TailOther { .. }
            | Error::TailDiffers { .. }
            | Error::TileMissing { .. }
            | Error::TileMalformed { .. }
            | Error::TileDiffers { .. }
            | Error::RootDiffers { .. }
            | Error::EntryDiffers { .. }
            | Error::EntryMalformed { .. }
            | Error::Note(_) => {
                "change nothing in the directory; keep a copy of it as evidence and restore the newest whole copy of `audit`"
            }
            Error::Behind { .. } => {
                "this directory is older than the token's memory: restore the newest whole copy of `audit`"
            }
            Error::Fork { .. } => {
                "the log was changed or belongs to another token: keep it as evidence and find out which copy is true"
            }
            Error::ArtefactMissing { .. } | Error::ArtefactDiffers { .. } => {
                "restore the file from a copy of the `audit` directory; its name is the SHA-256 of what it must hold"
            }
            Error::Origin { .. } => {
                "the files belong to different logs: restore the whole `audit` directory from one copy"
            }
            Error::SealerAnswer { .. } => {
                "the token answered with a wrong signature: stop using it or its module until you know why; then run the command again"
            }
            _ => return None,
        };
        Some(hint.to_string())
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }
}

fn shown(path: &std::path::Path) -> String {
    escape(&path.to_string_lossy())
}
