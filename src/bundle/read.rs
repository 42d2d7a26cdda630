//! Reading a bundle: head, digest of the body, signature, and only then the items.

use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};

use super::write::check_signature_text;
use super::{BYTE_STRING, Error, Head, Ids, Item, MAGIC, MerkleRoot, TEXT, limits};
use crate::digest::{Digest, Hasher};

/// A bundle whose body has the digest that its head names; who signed the head is not known yet.
#[derive(Debug)]
pub struct Unverified<R> {
    reader: BufReader<R>,
    head: Head,
    head_bytes: Vec<u8>,
    signature: String,
    body_at: u64,
    digest: Digest,
}

/// A bundle whose signature was found good. Made only by [`Unverified::verify`].
#[derive(Debug)]
pub struct Bundle<R>(Unverified<R>);

/// Reads the head and hashes the body without parsing it. `reader` stands at the beginning of a local file that nobody
/// else writes to: it is read again for the items.
///
/// # Errors
/// Whatever is wrong with the framing, the head, or the body's length and digest; all of it is [`super::Fault::Copy`].
pub fn open<R: Read + Seek>(reader: R) -> Result<Unverified<R>, Error> {
    let mut from = Octets { reader: BufReader::with_capacity(1 << 16, reader), hasher: Hasher::default(), at: 0 };
    let magic = match from.string(TEXT, "magic", MAGIC.len() as u64) {
        Err(Error::Read(e)) => return Err(Error::Read(e)),
        Err(_) => return Err(Error::Magic),
        Ok(magic) => magic,
    };
    if magic != MAGIC.as_bytes() {
        return Err(Error::Magic);
    }
    let head_bytes = from.string(BYTE_STRING, "head", limits::HEAD)?;
    let head = Head::decode(&head_bytes)?;
    let signature = from.string(TEXT, "signature", limits::SIGNATURE)?;
    let signature = String::from_utf8(signature).map_err(|_| Error::SignatureText)?;
    check_signature_text(&signature)?;
    let body_at = from.at;
    let found = from.skim(head.body_length)?;
    if found != head.body_digest {
        return Err(Error::BodyDigest { wanted: head.body_digest, found });
    }
    if !from.reader.fill_buf().map_err(Error::Read)?.is_empty() {
        return Err(Error::Trailing { offset: from.at });
    }
    Ok(Unverified { reader: from.reader, head, head_bytes, signature, body_at, digest: from.hasher.finish() })
}

impl<R: Read + Seek> Unverified<R> {
    /// What the head claims. Nobody vouches for it yet.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// SHA-256 of the whole file: the bundle's name in plans and entries.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Lets the caller check the desk's signature: `check` gets the head, the signed octets and the armored SSHSIG
    /// (namespace [`super::NAMESPACE`]), and what it returns comes back beside the bundle.
    pub fn verify<T, E>(self, check: impl FnOnce(&Head, &[u8], &str) -> Result<T, E>) -> Result<(Bundle<R>, T), E> {
        let signer = check(&self.head, &self.head_bytes, &self.signature)?;
        Ok((Bundle(self), signer))
    }
}

impl<R: Read + Seek> Bundle<R> {
    pub fn head(&self) -> &Head {
        &self.0.head
    }

    /// SHA-256 of the whole file.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The octets that the desk signed.
    pub fn head_bytes(&self) -> &[u8] {
        &self.0.head_bytes
    }

    /// The desk's armored SSHSIG.
    pub fn signature(&self) -> &str {
        &self.0.signature
    }

    /// The items from the first one on, one in memory at a time. Only an iterator that was run to its end without an
    /// error has compared count and Merkle root with the head.
    pub fn items(&mut self) -> Result<Items<'_, R>, Error> {
        self.0.reader.seek(SeekFrom::Start(self.0.body_at)).map_err(Error::Read)?;
        let from = Octets { reader: &mut self.0.reader, hasher: Hasher::default(), at: self.0.body_at };
        let end = self.0.body_at.saturating_add(self.0.head.body_length);
        Ok(Items {
            from,
            head: &self.0.head,
            end,
            root: MerkleRoot::default(),
            ids: Ids::default(),
            revocations: 0,
            lists: 0,
            over: false,
        })
    }
}

/// The items of a verified bundle, in the desk's order. After an error it gives nothing more.
pub struct Items<'b, R> {
    from: Octets<&'b mut BufReader<R>>,
    head: &'b Head,
    /// Where the body ends, octets from the beginning of the file.
    end: u64,
    root: MerkleRoot,
    ids: Ids,
    revocations: u64,
    lists: u64,
    over: bool,
}

impl<R: Read> Items<'_, R> {
    fn step(&mut self) -> Result<Option<Item>, Error> {
        let number = self.root.leaves();
        if self.from.at >= self.end {
            if number != self.head.count {
                return Err(Error::Count { wanted: self.head.count, found: number });
            }
            if self.revocations != self.head.revocations {
                return Err(Error::Revocations { wanted: self.head.revocations, found: self.revocations });
            }
            if self.lists != self.head.lists {
                return Err(Error::Lists { wanted: self.head.lists, found: self.lists });
            }
            let found = std::mem::take(&mut self.root).finish();
            return match found == self.head.root {
                true => Ok(None),
                false => Err(Error::Root { wanted: self.head.root, found }),
            };
        }
        if number == self.head.count {
            return Err(Error::Count { wanted: self.head.count, found: number + 1 });
        }
        let bytes = self.from.string(BYTE_STRING, "item", limits::ITEM)?;
        let item = Item::decode(&bytes, number)?;
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
        self.root.push(&bytes);
        Ok(Some(item))
    }
}

impl<R: Read> Iterator for Items<'_, R> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let step = self.step().transpose();
        self.over = !matches!(step, Some(Ok(_)));
        step
    }
}

/// A reader of CBOR strings that knows where it stands and hashes what it has read.
struct Octets<B> {
    reader: B,
    hasher: Hasher,
    /// Octets from the beginning of the file.
    at: u64,
}

impl<B: BufRead> Octets<B> {
    fn fill(&mut self, to: &mut [u8], part: &'static str) -> Result<(), Error> {
        self.reader.read_exact(to).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => Error::Cut { part, offset: self.at },
            _ => Error::Read(e),
        })?;
        self.hasher.update(to);
        self.at += to.len() as u64;
        Ok(())
    }

    /// One definite-length string of the major type in the shortest form, compared with `limit` before memory is taken.
    fn string(&mut self, major: u8, part: &'static str, limit: u64) -> Result<Vec<u8>, Error> {
        let offset = self.at;
        let mut first = [0; 1];
        self.fill(&mut first, part)?;
        let [first] = first;
        if first >> 5 != major {
            return Err(Error::Framing { part, offset });
        }
        let (length, least) = match first & 0x1f {
            short @ 0..24 => (u64::from(short), 0),
            24 => (u64::from(u8::from_be_bytes(self.octets(part)?)), 24),
            25 => (u64::from(u16::from_be_bytes(self.octets(part)?)), 0x100),
            26 => (u64::from(u32::from_be_bytes(self.octets(part)?)), 0x1_0000),
            27 => (u64::from_be_bytes(self.octets(part)?), 0x1_0000_0000),
            _ => return Err(Error::Framing { part, offset }),
        };
        if length < least {
            return Err(Error::Framing { part, offset });
        }
        if length > limit {
            return Err(Error::TooLarge { part, offset, length, limit });
        }
        // Every limit is far below 4 GiB, so the length fits a usize.
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.fill(&mut bytes, part)?;
        Ok(bytes)
    }

    fn octets<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], Error> {
        let mut octets = [0; N];
        self.fill(&mut octets, part)?;
        Ok(octets)
    }

    /// Hashes `length` octets without looking at them.
    fn skim(&mut self, length: u64) -> Result<Digest, Error> {
        let mut body = Hasher::default();
        let mut left = length;
        while left > 0 {
            let buffer = match self.reader.fill_buf() {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                other => other.map_err(Error::Read)?,
            };
            if buffer.is_empty() {
                return Err(Error::BodyLength { wanted: length, found: length - left });
            }
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            // `take` is at most the buffer's length.
            let piece = &buffer[..take];
            body.update(piece);
            self.hasher.update(piece);
            self.reader.consume(take);
            self.at += take as u64;
            left -= take as u64;
        }
        Ok(body.finish())
    }
}
