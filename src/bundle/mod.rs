//! The bundle: a signed, ordered set of requests from the desk.
//!
//! A CBOR sequence (RFC 8742) in deterministic encoding:
//!
//! | item | type | what |
//! | --- | --- | --- |
//! | 1 | text | [`MAGIC`] |
//! | 2 | byte string | the [`Head`], encoded |
//! | 3 | text | the desk's armored SSHSIG over the octets inside item 2, namespace [`NAMESPACE`] |
//! | 4… | byte string each | one [`Item`], encoded; `head.count` of them, validators' lists first: the body |
//!
//! The head holds length and SHA-256 of the body, so the one signature covers everything, and a reader hashes an
//! unread body before it lets any parser near it: [`open`] reads the head and hashes, [`Unverified::verify`] asks the
//! caller about the signature, and only the [`Bundle`] that this returns has items. Each item is wrapped in a byte
//! string, so its length is known, and compared with the limit, before memory is taken for it.

mod csr;
mod item;
mod merkle;
mod read;
pub mod table;
mod validations;
mod write;

use std::collections::HashMap;

use crate::cbor;
use crate::digest::{Digest, Hasher};
use crate::text::{escape, utc};

pub use csr::{NotARequest, request_der};
pub use item::{Answers, Head, Item, Request, Revocation};
pub use merkle::MerkleRoot;
pub use read::{Bundle, Items, Unverified, open};
pub use validations::{List, ListError, VALIDATIONS, Validation, Validations};
pub use write::{About, BodyWriter, Draft, write_container};

/// The first item of every bundle.
pub const MAGIC: &str = "coldroot-bundle-v0";
/// The namespace of the desk's SSH signature (`ssh-keygen -Y sign -n`).
pub const NAMESPACE: &str = "coldroot-bundle-v0";

/// Every limit of a bundle, in one table.
pub mod limits {
    /// Octets of one encoded item.
    pub const ITEM: u64 = 128 * 1024;
    /// Items of a bundle.
    pub const COUNT: u64 = 1_000_000;
    /// Octets of the encoded head.
    pub const HEAD: u64 = 64 * 1024;
    /// Octets of the armored signature; that of a FIDO key is below 1,000.
    pub const SIGNATURE: u64 = 16 * 1024;
    /// Octets of the signed note of the release that is answered.
    pub const CHECKPOINT: usize = 16 * 1024;
    /// Octets of one validator's list, so that it stands in an item with its signature; a larger one is split.
    pub const LIST: u64 = 100_000;
    /// Validators' lists of one bundle.
    pub const LISTS: u64 = 1_000;
    /// Validated names of one request.
    pub const NAMES: usize = 100;
    /// Octets of one name (RFC 1035 §2.3.4, without the final dot).
    pub const NAME: usize = 253;
    /// Characters of a request id.
    pub const REQUEST: usize = 64;
    /// Octets of the requester's line.
    pub const REQUESTER: usize = 256;
    /// Random octets that keep the digest of a head from being guessed.
    pub const SALT: usize = 16;
    /// Octets that a byte string of at most [`ITEM`] octets adds in front.
    pub const FRAME: u64 = 5;
}

/// Who has to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Damaged, cut or exchanged on its way, or no bundle at all: another copy may be good.
    Copy,
    /// The desk made it so: it must be packed anew.
    Desk,
    /// This machine: its disk, its clock, or the wrong station.
    Here,
}

/// Why a file is not a usable bundle, or cannot become one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the bundle: {0}")]
    Read(std::io::Error),
    #[error("cannot write the bundle: {0}")]
    Write(std::io::Error),
    #[error("not a bundle: it does not begin with `{MAGIC}`")]
    Magic,
    #[error("the bundle ends at octet {offset}, in the middle of the {part}")]
    Cut { part: &'static str, offset: u64 },
    #[error("the bundle is damaged at octet {offset}: here the {part} must begin")]
    Framing { part: &'static str, offset: u64 },
    #[error("the {part} at octet {offset} has {length} octets, more than the limit of {limit}")]
    TooLarge { part: &'static str, offset: u64, length: u64, limit: u64 },
    #[error("the head is unreadable: {0}")]
    Head(cbor::Error),
    #[error("the head's field `{field}` {message}")]
    HeadField { field: &'static str, message: &'static str },
    #[error("the signature is not ASCII text")]
    SignatureText,
    #[error("the body's digest is {found}, the head says {wanted}")]
    BodyDigest { wanted: Digest, found: Digest },
    #[error("the head says that the body has {wanted} octets; {found} are there")]
    BodyLength { wanted: u64, found: u64 },
    #[error("something follows the end of the bundle at octet {offset}")]
    Trailing { offset: u64 },
    #[error("item {number} is unreadable: {cause}")]
    Item { number: u64, cause: cbor::Error },
    #[error("item {number}: field `{field}` {message}")]
    ItemField { number: u64, field: &'static str, message: &'static str },
    #[error("items {first} and {second} have the same id `{request}` (upper and lower case count as the same)")]
    Twice { first: u64, second: u64, request: String },
    #[error("the bundle is empty")]
    Empty,
    #[error("a bundle holds at most {} items", limits::COUNT)]
    TooMany,
    #[error("the head says {wanted} items; {found} are there")]
    Count { wanted: u64, found: u64 },
    #[error("the head says {wanted} revocations; {found} are there")]
    Revocations { wanted: u64, found: u64 },
    #[error("the head says {wanted} lists of validations; {found} are there")]
    Lists { wanted: u64, found: u64 },
    #[error("item {number} is a list of validations; lists stand before everything else")]
    LateList { number: u64 },
    #[error("the bundle holds {found} {what}; desk `{}` may bring {limit} at once", escape(desk))]
    Limit { desk: String, what: &'static str, found: u64, limit: u64 },
    #[error("the Merkle root over the items is {found}, the head says {wanted}")]
    Root { wanted: Digest, found: Digest },
    #[error("the bundle is for {field} `{}`; here it is `{wanted}`", escape(found))]
    OtherStation { field: &'static str, wanted: String, found: String },
    #[error("the hierarchy knows no desk `{}`", escape(desk))]
    UnknownDesk { desk: String },
    #[error("the bundle expired at {}; this machine's clock says {}", utc(*expires), utc(*now))]
    Expired { expires: i64, now: i64 },
    #[error("the bundle was made at {}, after what this machine's clock says: {}", utc(*created), utc(*now))]
    FromTheFuture { created: i64, now: i64 },
}

impl Error {
    /// Who has to mend it. What was found before the signature was checked cannot be the desk's word.
    pub fn fault(&self) -> Fault {
        match self {
            // The body is parsed only after the signature: what is wrong inside, the desk has signed.
            Error::Cut { part: "item", .. }
            | Error::Framing { part: "item", .. }
            | Error::TooLarge { part: "item", .. } => Fault::Desk,
            Error::Read(_) | Error::Write(_) | Error::OtherStation { .. } | Error::FromTheFuture { .. } => Fault::Here,
            Error::Magic
            | Error::Cut { .. }
            | Error::Framing { .. }
            | Error::TooLarge { .. }
            | Error::Head(_)
            | Error::HeadField { .. }
            | Error::SignatureText
            | Error::BodyDigest { .. }
            | Error::BodyLength { .. }
            | Error::Trailing { .. } => Fault::Copy,
            Error::Item { .. }
            | Error::ItemField { .. }
            | Error::Twice { .. }
            | Error::Empty
            | Error::TooMany
            | Error::Count { .. }
            | Error::Revocations { .. }
            | Error::Lists { .. }
            | Error::LateList { .. }
            | Error::Limit { .. }
            | Error::Root { .. }
            | Error::UnknownDesk { .. }
            | Error::Expired { .. } => Fault::Desk,
        }
    }

    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match (self, self.fault()) {
            (Error::Read(_) | Error::Write(_), _) => "look at the disk and the permissions, then run it again",
            (Error::OtherStation { .. }, _) => "compare the bundle with the station: `coldroot show BUNDLE`",
            (Error::FromTheFuture { .. }, _) => "compare this machine's clock with another one",
            (Error::UnknownDesk { .. }, _) => {
                "declare the desk in hierarchy.toml, or have the bundle packed by a desk that is"
            }
            (Error::Limit { .. }, _) => {
                "the desk must split it over several bundles: `coldroot pack` with the next numbers"
            }
            (_, Fault::Copy) => {
                "copy the bundle from the desk once more; at the desk, `coldroot check BUNDLE` must pass"
            }
            (_, Fault::Desk) => "the desk must pack a new bundle: `coldroot pack`",
            (_, Fault::Here) => return None,
        };
        Some(hint.into())
    }
}

/// The request ids seen so far, compared without case: ids become file names, and some media know no case.
#[derive(Default)]
pub struct Ids(HashMap<[u8; 16], u64>);

impl Ids {
    /// Adds an id that stands at `place` (an item's number, a table's line); gives the earlier place of an equal one.
    pub fn insert(&mut self, id: &str, place: u64) -> Option<u64> {
        // Half a SHA-256 for each id, so that a million of them stay small; a made-up collision only refuses a bundle.
        let Digest(digest) = Digest::of(id.to_ascii_lowercase().as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(digest.split_at(16).0);
        match self.0.entry(key) {
            std::collections::hash_map::Entry::Occupied(earlier) => Some(*earlier.get()),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(place);
                None
            }
        }
    }
}

/// Whether `id` may be a request's id: 1 to 64 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit.
pub fn lawful_request_id(id: &str) -> bool {
    let lawful = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    id.len() <= limits::REQUEST
        && id.bytes().all(lawful)
        && id.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric())
}

/// A length as CBOR writes it in front of a byte string or text (RFC 8949 §3), in the shortest form.
fn cbor_header(major: u8, length: u64) -> Vec<u8> {
    let major = major << 5;
    // Each cast is guarded by the range of its arm.
    match length {
        0..24 => vec![major | length as u8],
        24..=0xff => vec![major | 24, length as u8],
        0x100..=0xffff => [&[major | 25][..], &(length as u16).to_be_bytes()].concat(),
        0x1_0000..=0xffff_ffff => [&[major | 26][..], &(length as u32).to_be_bytes()].concat(),
        _ => [&[major | 27][..], &length.to_be_bytes()].concat(),
    }
}

const BYTE_STRING: u8 = 2;
const TEXT: u8 = 3;

/// A sink that hashes and counts what goes through it.
struct Hashing<W> {
    inner: W,
    hasher: Hasher,
    length: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Hashing<W> {
        Hashing { inner, hasher: Hasher::default(), length: 0 }
    }
}

impl<W: std::io::Write> Hashing<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.inner.write_all(bytes).map_err(Error::Write)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
