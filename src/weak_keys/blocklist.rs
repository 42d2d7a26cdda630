//! Lists of compromised keys, which the officer keeps in the station's directory.
//!
//! Two forms are read. A **text** holds the SHA-256 of a SubjectPublicKeyInfo in hex on each line; what follows a `#` is a comment.
//! **badkeys' `blocklist.dat`** (badkeys, docs/BLOCKLISTFORMAT.md) holds records of 16 octets in ascending order: the first 15 of a
//! SHA-256, then the number of the list that the key came from. That SHA-256 is not of the SubjectPublicKeyInfo, but of one
//! number of the key ([`badkeys_hash`]), so that a key is known however it is encoded.
//!
//! A list is read once, from its first octet to its last, and copied to an unnamed file: its digest, its order and what is
//! looked up in it are of the same octets, whatever becomes of the file.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::config::{BlockForm, BlockList};
use crate::digest::{Digest, Hasher};
use crate::x509::{KeyKind, PublicKey};

/// Octets of a text: some 480,000 keys, which are kept in memory.
pub const MAX_TEXT: u64 = 32 << 20;
/// Octets of a `blocklist.dat`: 67 million keys. The published one has some 4 million.
pub const MAX_BADKEYS: u64 = 1 << 30;
/// Octets of a line of a text.
const MAX_LINE: usize = 1024;
const RECORD: usize = 16;
/// Octets of a record that are the hash.
const HASH: usize = 15;

/// Why a list is not usable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the block list {}: {cause}", crate::text::path(.path))]
    Read { path: PathBuf, cause: io::Error },
    #[error("the block list {} has {octets} octets, more than {limit}", crate::text::path(.path))]
    TooLarge { path: PathBuf, octets: u64, limit: u64 },
    #[error("the block list {} is damaged in line {line}: it is no SHA-256 in 64 hex digits", crate::text::path(.path))]
    Line { path: PathBuf, line: u64 },
    #[error("the block list {} names no key", crate::text::path(.path))]
    Empty { path: PathBuf },
    #[error("the block list {} has {octets} octets, which are no whole records of {RECORD}", crate::text::path(.path))]
    Cut { path: PathBuf, octets: u64 },
    #[error("the block list {} is damaged: record {record} is out of order", crate::text::path(.path))]
    Unsorted { path: PathBuf, record: u64 },
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Read { .. } => {
                "put the file there, or leave it out of `[keys]` of the hierarchy (coldroot adopt-hierarchy); without its lists \
                 no certificate is planned, only revocations and CRLs"
            }
            Error::TooLarge { .. } => "take badkeys' form for a list that long: `badkeys-lists` of `[keys]`",
            Error::Line { .. } => {
                "mend the line: the SHA-256 of the SubjectPublicKeyInfo in DER, in hex, and behind a # what you like"
            }
            Error::Empty { .. } => "compare the file with the one it was copied from",
            Error::Cut { .. } | Error::Unsorted { .. } => {
                "copy blocklist.dat again, unpacked, and compare its SHA-256 with `blocklist_sha256` of badkeysdata.json"
            }
        };
        Some(hint.into())
    }
}

/// The lists of a station, opened.
#[derive(Debug, Default)]
pub struct BlockLists(Vec<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    digest: Digest,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Spki(BTreeSet<Digest>),
    /// The copy, and how many records it has.
    Badkeys(File, u64),
}

impl BlockLists {
    /// Reads the lists of the hierarchy, below the directory `station`; `scratch` is one for unnamed files.
    pub fn open(station: &Path, lists: &[BlockList], scratch: &Path) -> Result<BlockLists, Error> {
        let open = |list: &BlockList| {
            let path = station.join(&list.path);
            let (digest, keys) = match list.form {
                BlockForm::Spki => read_text(&path),
                BlockForm::Badkeys => read_badkeys(&path, scratch),
            }?;
            Ok(Opened { path: list.path.clone(), digest, keys })
        };
        lists.iter().map(open).collect::<Result<_, _>>().map(BlockLists)
    }

    /// SHA-256 of each file, in the order of the hierarchy: texts first.
    pub fn digests(&self) -> Vec<Digest> {
        self.0.iter().map(|list| list.digest).collect()
    }

    /// The list that names this key.
    pub fn find(&self, key: &PublicKey) -> Result<Option<&Path>, Error> {
        for list in &self.0 {
            let named = match &list.keys {
                Keys::Spki(keys) => keys.contains(&key.digest()),
                Keys::Badkeys(file, records) => search(file, *records, &badkeys_hash(key))
                    .map_err(|cause| Error::Read { path: list.path.clone(), cause })?,
            };
            if named {
                return Ok(Some(&list.path));
            }
        }
        Ok(None)
    }
}

/// Opens a regular file of at most `limit` octets.
fn open(path: &Path, limit: u64) -> Result<(BufReader<io::Take<File>>, u64), Error> {
    let read = |cause| Error::Read { path: path.to_path_buf(), cause };
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let metadata = std::fs::metadata(path).map_err(read)?;
    if !metadata.is_file() {
        return Err(read(io::Error::other("it is no regular file")));
    }
    let octets = metadata.len();
    if octets > limit {
        return Err(Error::TooLarge { path: path.to_path_buf(), octets, limit });
    }
    Ok((BufReader::with_capacity(1 << 16, File::open(path).map_err(read)?.take(limit)), octets))
}

fn read_text(path: &Path) -> Result<(Digest, Keys), Error> {
    let (mut reader, _) = open(path, MAX_TEXT)?;
    let (mut hasher, mut keys) = (Hasher::default(), BTreeSet::new());
    for line in 1.. {
        let mut octets = Vec::new();
        let read = (&mut reader).take(MAX_LINE as u64).read_until(b'\n', &mut octets);
        if read.map_err(|cause| Error::Read { path: path.to_path_buf(), cause })? == 0 {
            break;
        }
        hasher.update(&octets);
        let damaged = || Error::Line { path: path.to_path_buf(), line };
        if octets.len() == MAX_LINE && octets.last() != Some(&b'\n') {
            return Err(damaged());
        }
        let digest = octets.split(|octet| *octet == b'#').next().unwrap_or_default().trim_ascii();
        if !digest.is_empty() {
            let digest = std::str::from_utf8(digest).ok().and_then(Digest::from_hex);
            keys.insert(digest.ok_or_else(damaged)?);
        }
    }
    match keys.is_empty() {
        true => Err(Error::Empty { path: path.to_path_buf() }),
        false => Ok((hasher.finish(), Keys::Spki(keys))),
    }
}

fn read_badkeys(path: &Path, scratch: &Path) -> Result<(Digest, Keys), Error> {
    let (mut reader, octets) = open(path, MAX_BADKEYS)?;
    let read = |cause| Error::Read { path: path.to_path_buf(), cause };
    if octets == 0 {
        return Err(Error::Empty { path: path.to_path_buf() });
    }
    if octets % RECORD as u64 != 0 {
        return Err(Error::Cut { path: path.to_path_buf(), octets });
    }
    let copy = tempfile::tempfile_in(scratch).map_err(read)?;
    let mut out = BufWriter::with_capacity(1 << 16, &copy);
    let (mut hasher, mut last) = (Hasher::default(), [0; HASH]);
    let records = octets / RECORD as u64;
    for record in 0..records {
        let mut octets = [0; RECORD];
        reader.read_exact(&mut octets).map_err(read)?;
        let [hash @ .., _] = octets;
        // One key may come from several lists.
        if hash < last {
            return Err(Error::Unsorted { path: path.to_path_buf(), record });
        }
        last = hash;
        hasher.update(&octets);
        out.write_all(&octets).map_err(read)?;
    }
    out.flush().map_err(read)?;
    drop(out);
    Ok((hasher.finish(), Keys::Badkeys(copy, records)))
}

fn search(file: &File, records: u64, wanted: &[u8; HASH]) -> io::Result<bool> {
    let (mut from, mut to) = (0, records);
    while from < to {
        let middle = from + (to - from) / 2;
        let mut hash = [0; HASH];
        file.read_exact_at(&mut hash, middle * RECORD as u64)?;
        match hash.cmp(wanted) {
            Ordering::Equal => return Ok(true),
            Ordering::Less => from = middle + 1,
            Ordering::Greater => to = middle,
        }
    }
    Ok(false)
}

/// How badkeys names a key: of RSA the modulus, of a curve point its x, of Ed25519 the octets of the key, each as a number
/// without leading zeros; of the others their octets. The first 15 octets of the SHA-256 over that.
pub fn badkeys_hash(key: &PublicKey) -> [u8; HASH] {
    let bits = key.bits();
    let number = |octets: &[u8]| {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        Digest::of(octets.get(zeros..).unwrap_or_default())
    };
    let digest = match key.kind() {
        KeyKind::Rsa { .. } => number(key.modulus().unwrap_or_default()),
        // Uncompressed: 4, x, y.
        KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => {
            number(bits.get(1..bits.len().div_ceil(2)).unwrap_or_default())
        }
        KeyKind::Ed25519 => number(bits),
        KeyKind::PostQuantum(_) => Digest::of(bits),
    };
    let mut hash = [0; HASH];
    hash.iter_mut().zip(digest.0).for_each(|(to, from)| *to = from);
    hash
}

#[cfg(test)]
mod tests;
