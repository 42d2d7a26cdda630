//! The file `tail`: entries since the last checkpoint, each guarded by its own hash.
//!
//! ```text
//! header   magic "coldroot-tail-v0" (16) | base (u64) | root of the first `base` entries (32) | length (u16) and origin
//!          | SHA-256 of the header so far (32)
//! record   length (u32) | entry | leaf hash: SHA-256(0x00 ‖ entry) (32)
//! ```
//! Numbers are big-endian. The header is written atomically with the file; records are appended. A stop in the middle of
//! a record leaves it unfinished at the end of the file, where nothing was promised yet (`sync` had not returned): it is
//! cut. A disk may write what is flushed together in any order, so a cut in the power can leave whole records behind one of which
//! a sector never arrived: such a sector reads as zeros, and the tail is cut before that record too. Any other bad record that a
//! whole one follows was whole once: that is damage, and the log is halted. (Zeros where flushed records were would be taken for
//! a cut. What was lost so is seen by the token's mark, or, not sealed yet, is done again; the `open` entry counts the octets.)

use std::fs::{File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::entry::MAX_ENTRY;
use super::merkle::leaf_hash;
use super::{Error, durable, note};
use crate::digest::Digest;

/// The first octets of a tail.
pub const MAGIC: &[u8; 16] = b"coldroot-tail-v0";
const DIGEST: usize = 32;
const LENGTH: usize = 4;
const MAX_RECORD: usize = LENGTH + MAX_ENTRY + DIGEST;
/// Records wait in memory up to this many octets before they are handed to the file.
const BUFFER: usize = 1 << 20;
/// The stretch in which one look for a following record is made.
const WINDOW: usize = 1 << 20;
/// What an entry that is not a certificate's hardly exceeds.
const SHORT: usize = 1 << 10;
/// The least that a disk writes whole.
const SECTOR: u64 = 512;

/// What the tail continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub base: u64,
    pub root: Digest,
    pub origin: String,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        // `valid_origin` bounds the origin to MAX_ORIGIN octets.
        let length = u16::try_from(self.origin.len()).unwrap_or(u16::MAX);
        let mut bytes =
            [&MAGIC[..], &self.base.to_be_bytes(), &self.root.0, &length.to_be_bytes(), self.origin.as_bytes()]
                .concat();
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(&digest.0);
        bytes
    }

    /// Reads a header: the values are taken from their places, and encoding them again must give the same octets.
    fn read(from: &mut impl Read) -> Option<(Header, u64)> {
        let mut fixed = [0; 16 + 8 + DIGEST + 2];
        from.read_exact(&mut fixed).ok()?;
        let (_, rest) = fixed.split_first_chunk::<16>()?;
        let (base, rest) = rest.split_first_chunk::<8>()?;
        let (root, rest) = rest.split_first_chunk::<DIGEST>()?;
        let length = usize::from(u16::from_be_bytes(rest.try_into().ok()?));
        if length > note::MAX_ORIGIN {
            return None;
        }
        let mut variable = vec![0; length + DIGEST];
        from.read_exact(&mut variable).ok()?;
        let origin = String::from_utf8(variable.get(..length)?.to_vec()).ok()?;
        let header = Header { base: u64::from_be_bytes(*base), root: Digest(*root), origin };
        let valid = note::valid_origin(&header.origin) && header.base <= note::MAX_SIZE;
        let read = [&fixed[..], &variable].concat();
        (valid && header.encode() == read).then_some((header, read.len() as u64))
    }
}

/// An open tail. Memory: 40 octets an entry, and the buffer.
pub(super) struct Tail {
    path: PathBuf,
    file: File,
    header: Header,
    /// Where each record begins.
    offsets: Vec<u64>,
    leaves: Vec<Digest>,
    /// Up to here the records are in the file; behind it, in `buffer`.
    written: u64,
    buffer: Vec<u8>,
    /// Octets of an unfinished record at the end of the file.
    torn: u64,
}

impl Tail {
    /// Puts a new tail in the place of the old one, holding `entries`.
    pub(super) fn create(path: &Path, header: &Header, entries: &[Vec<u8>]) -> Result<(), Error> {
        let mut bytes = header.encode();
        entries.iter().for_each(|entry| record(&mut bytes, entry, &leaf_hash(entry)));
        durable::replace(path, &bytes)
    }

    /// Reads the whole tail once; `None` when there is no such file.
    pub(super) fn open(path: &Path, write: bool) -> Result<Option<Tail>, Error> {
        let file = match OpenOptions::new().read(true).write(write).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(path)(e)),
        };
        let length = file.metadata().map_err(Error::io(path))?.len();
        let mut reader = BufReader::with_capacity(WINDOW, &file);
        let (header, start) = Header::read(&mut reader).ok_or(Error::TailHeader)?;
        let (mut offsets, mut leaves, mut at) = (Vec::new(), Vec::new(), start);
        let mut bytes = Vec::new();
        while at < length {
            match read_record(&mut reader, &mut bytes).map_err(Error::io(path))? {
                Some(leaf) => {
                    offsets.push(at);
                    leaves.push(leaf);
                    at += (LENGTH + bytes.len() + DIGEST) as u64;
                }
                None => match whole_record_after(&file, at).map_err(Error::io(path))? {
                    Some(next) if !sector_missing(&file, at, next).map_err(Error::io(path))? => {
                        return Err(Error::TailDamaged { index: header.base + leaves.len() as u64, offset: at });
                    }
                    _ => break,
                },
            }
        }
        let torn = length.saturating_sub(at);
        let path = path.to_path_buf();
        Ok(Some(Tail { path, file, header, offsets, leaves, written: at, buffer: Vec::new(), torn }))
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn base(&self) -> u64 {
        self.header.base
    }

    /// One beyond the index of the last entry.
    pub(super) fn end(&self) -> u64 {
        self.header.base + self.leaves.len() as u64
    }

    pub(super) fn torn(&self) -> u64 {
        self.torn
    }

    /// Carries the report of a cut over to the tail that took this one's place.
    pub(super) fn remember_torn(&mut self, torn: u64) {
        self.torn = torn;
    }

    /// The leaf hashes of the entries from `index` on.
    pub(super) fn leaves_from(&self, index: u64) -> &[Digest] {
        self.place(index).and_then(|place| self.leaves.get(place..)).unwrap_or(&[])
    }

    pub(super) fn leaf(&self, index: u64) -> Option<Digest> {
        self.leaves.get(self.place(index)?).copied()
    }

    /// Removes an unfinished record.
    pub(super) fn cut(&mut self) -> Result<(), Error> {
        if self.torn > 0 {
            let cut = durable::step().and_then(|()| self.file.set_len(self.written));
            cut.map_err(Error::io(&self.path))?;
            durable::flush_file(&self.file, &self.path)?;
        }
        Ok(())
    }

    /// Adds an entry behind the last one; it is durable after [`Tail::sync`].
    pub(super) fn append(&mut self, entry: &[u8]) -> Result<u64, Error> {
        let (index, leaf) = (self.end(), leaf_hash(entry));
        self.offsets.push(self.written + self.buffer.len() as u64);
        self.leaves.push(leaf);
        record(&mut self.buffer, entry, &leaf);
        if self.buffer.len() >= BUFFER {
            self.write()?;
        }
        Ok(index)
    }

    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.write()?;
        durable::flush_file(&self.file, &self.path)
    }

    fn write(&mut self) -> Result<(), Error> {
        if !self.buffer.is_empty() {
            let written = durable::step().and_then(|()| self.file.write_all_at(&self.buffer, self.written));
            written.map_err(Error::io(&self.path))?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// The octets of an entry, compared with its hash.
    pub(super) fn entry(&self, index: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.read(index, LENGTH + DIGEST + SHORT)?.next(&mut bytes)?;
        Ok(bytes)
    }

    /// The entries from `index` on, read in large pieces.
    pub(super) fn records(&self, index: u64) -> Result<Records<'_>, Error> {
        match index >= self.end() {
            // Nothing to read, of which only `next` complains: a tail may end before the checkpoint.
            true => Ok(Records { tail: self, next: index, from: BufReader::new(Box::new(&[][..])) }),
            false => self.read(index, WINDOW),
        }
    }

    /// The same in memory.
    pub(super) fn from(&self, index: u64) -> Result<Vec<Vec<u8>>, Error> {
        let mut records = self.records(index)?;
        let one = |_| {
            let mut bytes = Vec::new();
            records.next(&mut bytes).map(|()| bytes)
        };
        (index..self.end()).map(one).collect()
    }

    fn read(&self, index: u64, piece: usize) -> Result<Records<'_>, Error> {
        let beyond = || Error::OutOfRange { index, size: self.end() };
        let offset = self.place(index).and_then(|p| self.offsets.get(p)).copied().ok_or_else(beyond)?;
        // A record is handed to the file whole, so it is either there or in the buffer.
        let waiting = usize::try_from(offset.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let in_file = At { file: &self.file, at: offset }.take(self.written.saturating_sub(offset));
        let from: Box<dyn Read + '_> = Box::new(in_file.chain(self.buffer.get(waiting..).unwrap_or(&[])));
        Ok(Records { tail: self, next: index, from: BufReader::with_capacity(piece, from) })
    }

    fn place(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.header.base)?).ok()
    }
}

/// The entries of a tail, one after the other.
pub(super) struct Records<'a> {
    tail: &'a Tail,
    next: u64,
    from: BufReader<Box<dyn Read + 'a>>,
}

impl Records<'_> {
    /// Puts the next entry, compared with its hash, in the place of what `bytes` holds.
    pub(super) fn next(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let index = self.next;
        self.next += 1;
        let known = self.tail.leaf(index).ok_or(Error::OutOfRange { index, size: self.tail.end() })?;
        match read_record(&mut self.from, bytes).map_err(Error::io(&self.tail.path))? {
            Some(leaf) if leaf == known => Ok(()),
            _ => Err(Error::EntryDiffers { index }),
        }
    }
}

fn record(to: &mut Vec<u8>, entry: &[u8], leaf: &Digest) {
    // `Entry::encode` bounds an entry to MAX_ENTRY octets.
    let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(entry);
    to.extend_from_slice(&leaf.0);
}

/// Reads one whole record and gives its leaf hash; `None` when what is there is not one.
fn read_record(from: &mut impl Read, bytes: &mut Vec<u8>) -> std::io::Result<Option<Digest>> {
    let mut read = || -> std::io::Result<Option<Digest>> {
        let mut length = [0; LENGTH];
        from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 || length > MAX_ENTRY {
            return Ok(None);
        }
        bytes.resize(length, 0);
        from.read_exact(bytes)?;
        let mut digest = [0; DIGEST];
        from.read_exact(&mut digest)?;
        let leaf = leaf_hash(bytes);
        Ok((leaf.0 == digest).then_some(leaf))
    };
    match read() {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(None),
        other => other,
    }
}

/// Does a sector of the bad record at `bad` read as zeros: one that never reached the disk? Of the first one, what lies before `bad`
/// was flushed earlier. The last one may hold the first octets of the whole record at `next`, which are zeros anyway: where it
/// holds more of it, it has arrived.
fn sector_missing(file: &File, bad: u64, next: u64) -> std::io::Result<bool> {
    let mut at = bad;
    while at < next {
        let end = (at / SECTOR + 1) * SECTOR;
        let mut sector = Vec::new();
        At { file, at }.take(end - at).read_to_end(&mut sector)?;
        let zeros = sector.iter().all(|octet| *octet == 0);
        if zeros && (at != bad || zeros_tell(file, bad, sector.len())?) {
            return Ok(true);
        }
        at = end;
    }
    Ok(false)
}

/// Do so many zeros at the beginning of a record say that they are not what was written? No length is 0, so four do. The first two
/// octets of a length are always zeros, and of a short record the third one is too: then it is bad for another reason. A longer
/// one is whole again with the right third octet, or lacks another sector, which is looked at by itself.
///
/// What cannot be told from a sector that is missing is damage that leaves just what that leaves: one flipped bit, where the length is
/// a power of two and its record begins 3 or 4 octets before a border.
fn zeros_tell(file: &File, bad: u64, zeros: usize) -> std::io::Result<bool> {
    if zeros != LENGTH - 1 {
        return Ok(zeros >= LENGTH);
    }
    let (mut record, mut entry) = (Vec::new(), Vec::new());
    At { file, at: bad }.take(MAX_RECORD as u64).read_to_end(&mut record)?;
    for third in 1..=u8::MAX {
        record.get_mut(LENGTH - 2).into_iter().for_each(|octet| *octet = third);
        if read_record(&mut record.as_slice(), &mut entry)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where is there a whole record behind the bad one at `bad`? Looked for at every octet, since a bad length tells
/// nothing about where the next record begins.
fn whole_record_after(file: &File, bad: u64) -> std::io::Result<Option<u64>> {
    let mut at = bad + 1;
    let mut window = Vec::new();
    let mut entry = Vec::new();
    loop {
        window.clear();
        At { file, at }.take((WINDOW + MAX_RECORD) as u64).read_to_end(&mut window)?;
        for start in 0..window.len().min(WINDOW) {
            if read_record(&mut window.get(start..).unwrap_or(&[]), &mut entry)?.is_some() {
                return Ok(Some(at + start as u64));
            }
        }
        if window.len() <= WINDOW {
            return Ok(None);
        }
        at += WINDOW as u64;
    }
}

/// Reads a file from a position without moving its cursor.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
