//! Removable media: one bounded copy in, write-once out, read back. Files are reached through a directory capability
//! and by a [`Name`] of one component, so nothing on a medium can lead out of it.

mod copy_in;
mod name;
mod write_out;

use crate::digest::Digest;
use crate::text::escape;

pub use copy_in::copy_in;
pub use name::Name;
pub use write_out::{MAX_FILES, Source, Written, write_out};

/// Why nothing was taken from a medium, or nothing was left on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{}` is no name for a file on a medium: {problem}", escape(name))]
    Name { name: String, problem: &'static str },
    #[error("`{name}` is not on the medium")]
    Missing { name: String },
    #[error("`{name}` is not a regular file")]
    NotRegular { name: String },
    #[error("`{name}` has {length} octets, more than the limit of {limit}")]
    TooLarge { name: String, length: u64, limit: u64 },
    #[error("`{name}` changed while it was copied: {before} octets at first, {after} in the end")]
    Changed { name: String, before: u64, after: u64 },
    #[error("cannot read `{name}`: {cause}")]
    Read { name: String, cause: std::io::Error },
    #[error("cannot keep a copy in the station: {0}")]
    Keep(std::io::Error),
    #[error("`{name}` is on the medium already")]
    Exists { name: String },
    #[error("`{name}` is to be written twice")]
    Twice { name: String },
    #[error("{files} files are too many for one writing; the limit is {}", MAX_FILES)]
    TooMany { files: usize },
    #[error("the medium is full: `{name}` does not fit")]
    Full { name: String },
    #[error("the medium is read-only")]
    ReadOnly,
    #[error("cannot write `{name}`: {cause}")]
    Write { name: String, cause: std::io::Error },
    #[error("`{name}` reads back as {found}, but {wanted} was written")]
    ReadBack { name: String, wanted: Digest, found: Digest },
    #[error("{cause}; and what was written so far could not be removed: {}", left.join(", "))]
    Leftover { cause: Box<Error>, left: Vec<String> },
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Name { .. } => "rename the file: letters, digits, `-`, `_` and `.` are always good",
            Error::Missing { .. } => "list the medium and give the file's exact name; is the right medium mounted?",
            Error::NotRegular { .. } | Error::TooLarge { .. } => {
                "this is not what it should be; ask who wrote the medium"
            }
            Error::Changed { .. } => "mount the medium read-only and try again",
            Error::Read { .. } => "the medium may be damaged or was pulled: mount it again, or take another copy",
            Error::Keep(_) => "look at the free space and the permissions of the station's directory",
            Error::Exists { .. } => "nothing is ever written over: use an empty medium or another name",
            Error::Twice { .. } => return None,
            Error::TooMany { .. } => "write the files in several steps",
            Error::Full { .. } => "nothing was left on it: use a larger or an empty medium",
            Error::ReadOnly => {
                "open the write protection, or mount it writable (`/proc/mounts` says how it is mounted)"
            }
            Error::Write { .. } => "the medium may be damaged or was pulled: use another one",
            Error::ReadBack { .. } => "this medium does not keep what is written to it: destroy it and use another one",
            Error::Leftover { .. } => "do not hand this medium on: erase it, or destroy it",
        };
        Some(hint.into())
    }
}

/// Reads of files on media and in the station go through a buffer of this size.
const BUFFER: usize = 1 << 16;

#[cfg(test)]
mod tests;
