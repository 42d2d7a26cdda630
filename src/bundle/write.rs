//! Writing a bundle in two passes: the body first, since the signed head holds its digest.

use std::io::{Read, Write};

use super::{BYTE_STRING, Error, Hashing, Head, Ids, Item, MAGIC, MerkleRoot, TEXT, cbor_header, limits};
use crate::cbor::Bytes;
use crate::config::Environment;
use crate::digest::Digest;

use super::item::Answers;

/// What a head says besides what the body tells.
pub struct About {
    pub hierarchy: String,
    pub origin: String,
    pub environment: Environment,
    pub desk: String,
    pub sequence: u64,
    pub answers: Answers,
    pub created: i64,
    pub expires: i64,
    /// From the operating system's random numbers.
    pub salt: [u8; limits::SALT],
}

/// Takes the items in their order and writes the body.
pub struct BodyWriter<W> {
    to: Hashing<W>,
    root: MerkleRoot,
    ids: Ids,
    revocations: u64,
    lists: u64,
}

/// A written body and its head, which the desk signs next.
#[derive(Debug)]
pub struct Draft<W> {
    pub body: W,
    pub head: Head,
    /// The octets to be signed.
    pub head_bytes: Vec<u8>,
}

impl<W: Write> BodyWriter<W> {
    pub fn new(to: W) -> BodyWriter<W> {
        BodyWriter { to: Hashing::new(to), root: MerkleRoot::default(), ids: Ids::default(), revocations: 0, lists: 0 }
    }

    /// Adds one item; the error names it by its number, from 0.
    pub fn push(&mut self, item: &Item) -> Result<(), Error> {
        let number = self.root.leaves();
        if number >= limits::COUNT {
            return Err(Error::TooMany);
        }
        let bytes = item.encode(number)?;
        if let Some(first) = self.ids.insert(&item.id(), number) {
            return Err(Error::Twice { first, second: number, request: item.id() });
        }
        self.revocations += u64::from(matches!(item, Item::Revoke(_)));
        if matches!(item, Item::Validations(_)) {
            if number != self.lists {
                return Err(Error::LateList { number });
            }
            self.lists += 1;
        }
        self.to.put(&cbor_header(BYTE_STRING, bytes.len() as u64))?;
        self.to.put(&bytes)?;
        self.root.push(&bytes);
        Ok(())
    }

    /// Ends the body and makes the head.
    pub fn finish(mut self, about: About) -> Result<Draft<W>, Error> {
        self.to.inner.flush().map_err(Error::Write)?;
        let head = Head {
            hierarchy: about.hierarchy,
            origin: about.origin,
            environment: about.environment,
            desk: about.desk,
            sequence: about.sequence,
            answers: about.answers,
            created: about.created,
            expires: about.expires,
            count: self.root.leaves(),
            revocations: self.revocations,
            lists: self.lists,
            body_length: self.to.length,
            body_digest: self.to.hasher.finish(),
            root: self.root.finish(),
            salt: Bytes::from(about.salt.to_vec()),
        };
        let head_bytes = head.encode()?;
        Ok(Draft { body: self.to.inner, head, head_bytes })
    }
}

/// Writes the container: magic, head, the armored signature over `head_bytes`, and the body, which is hashed on its way
/// and must still be what the head says. Gives the digest of the whole.
pub fn write_container(
    to: &mut impl Write,
    head_bytes: &[u8],
    signature: &str,
    body: &mut impl Read,
) -> Result<Digest, Error> {
    let head = Head::decode(head_bytes)?;
    check_signature_text(signature)?;
    let mut to = Hashing::new(to);
    to.put(&cbor_header(TEXT, MAGIC.len() as u64))?;
    to.put(MAGIC.as_bytes())?;
    to.put(&cbor_header(BYTE_STRING, head_bytes.len() as u64))?;
    to.put(head_bytes)?;
    to.put(&cbor_header(TEXT, signature.len() as u64))?;
    to.put(signature.as_bytes())?;
    let mut hasher = crate::digest::Hasher::default();
    let mut length = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::Read(e)),
        };
        // `read` says how much of the buffer it has filled, never more than all of it.
        let piece = &buffer[..read];
        hasher.update(piece);
        length += read as u64;
        to.put(piece)?;
    }
    if length != head.body_length {
        return Err(Error::BodyLength { wanted: head.body_length, found: length });
    }
    let found = hasher.finish();
    if found != head.body_digest {
        return Err(Error::BodyDigest { wanted: head.body_digest, found });
    }
    to.inner.flush().map_err(Error::Write)?;
    Ok(to.hasher.finish())
}

/// Armor is ASCII; what is inside is the verifier's business.
pub(super) fn check_signature_text(signature: &str) -> Result<(), Error> {
    match !signature.is_empty() && signature.len() as u64 <= limits::SIGNATURE && signature.is_ascii() {
        true => Ok(()),
        false => Err(Error::SignatureText),
    }
}
