//! Removable media: one bounded copy in, write-once out, read back. Files are reached through a directory capability
//! and by a [`Name`] of one component, so nothing on a medium can lead out of it.

mod copy_in;
mod medium;
mod name;
mod write_out;

use crate::digest::Digest;
use crate::text::escape;

pub use copy_in::{copy_in, copy_set, is_copy};
pub use medium::{MAX_NAMES, has_room, list, open, room_for};
pub use name::Name;
pub use write_out::{MAX_FILES, Source, Written, compare, must_be_free, write_out, write_out_in};

/// Why nothing was taken from a medium, or nothing was left on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{}` is no name for a file on a medium: {problem}", escape(name))]
    Name { name: String, problem: &'static str },
    #[error("`{name}` is not on the medium")]
    Missing { name: String },
    #[error("cannot open the directory {path}: {cause}")]
    NoMedium { path: String, cause: std::io::Error },
    #[error("`{name}` is not a regular file")]
    NotRegular { name: String },
    #[error("`{name}` has a second name (a hard link)")]
    Linked { name: String },
    #[error("`{name}` lies on another file system than its directory: something is mounted there")]
    Elsewhere { name: String },
    #[error("`{name}` and `{}` differ in case alone", escape(other))]
    Alike { name: String, other: String },
    #[error("the directory holds `{}`, which does not belong there", escape(name))]
    Extra { name: String },
    #[error("the directory holds more than {MAX_NAMES} names")]
    Crowded,
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
    #[error("`{name}` holds something else")]
    Other { name: String },
    #[error("the medium is too small: {needed} octets are needed, {free} are free")]
    TooSmall { needed: u64, free: u64 },
    #[error("the medium is full: `{name}` does not fit")]
    Full { name: String },
    #[error("the medium's file system takes no file as large as `{name}`")]
    FileTooLarge { name: String },
    #[error("the medium is gone: `{name}` cannot be written")]
    Gone { name: String },
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
            Error::NoMedium { .. } => "mount the medium, and give the directory where it is mounted",
            Error::NotRegular { .. } | Error::Linked { .. } | Error::Elsewhere { .. } | Error::TooLarge { .. } => {
                "this is not what it should be; ask who wrote the medium"
            }
            Error::Alike { .. } => {
                "find out which of the two is meant, and have the medium written again without the other"
            }
            Error::Extra { .. } => "exactly the files that were written belong there: have the medium written again",
            Error::Crowded => "put what is meant into a directory of its own",
            Error::Changed { .. } => "mount the medium read-only and try again",
            Error::Read { .. } => "the medium may be damaged or was pulled: mount it again, or take another copy",
            Error::Keep(_) => "look at the free space and the permissions of the station's directory",
            Error::Exists { .. } => "nothing is ever written over: use an empty medium or another name",
            Error::Twice { .. } => return None,
            Error::TooMany { .. } => "write the files in several steps",
            Error::Other { .. } => "nothing was changed there: use an empty medium or another directory",
            Error::TooSmall { .. } | Error::Full { .. } => "nothing was left on it: use a larger or an empty medium",
            Error::FileTooLarge { .. } => "FAT holds less than 4 GiB in a file: use a medium with exFAT or ext4",
            Error::Gone { .. } => "put the medium in, mount it again, and look at what is on it before it is used",
            Error::ReadOnly => {
                "open the write protection, or mount it writable (`/proc/mounts` says how it is mounted)"
            }
            Error::Write { .. } => {
                "the medium may be damaged, was pulled, or is not writable for this user: use another one"
            }
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
