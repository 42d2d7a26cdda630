//! A run: places in their order, in a file that is written once.
//!
//! ```text
//! block    256 records (the last block fewer): key (16) | index of the entry (u64, big-endian)
//! footer   for each block: its first key (16) | SHA-256 of the block (32)
//! ```
//! The footer's SHA-256 names the run; footers are kept in memory, 48 octets for 256 places. A block is compared with its
//! digest whenever it is read, so opening reads footers alone, and a changed octet is never believed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::digest::Digest;

use super::Error;
use super::places::Key;

const KEY: usize = 16;
const RECORD: usize = KEY + 8;
/// Records in a full block.
const WIDTH: u64 = 256;
const FENCE: usize = KEY + 32;

/// A place: the key of a thing, and the index of an entry that tells of it.
pub(super) type Place = (Key, u64);

/// An open run.
pub(super) struct Run {
    file: File,
    /// What messages call it.
    path: PathBuf,
    records: u64,
    /// The first key of each block, and the block's digest.
    fences: Vec<(Key, Digest)>,
}

impl Run {
    /// Writes a run of places that come in their order, each once. `flush` returns when the file is on the disk.
    pub(super) fn write(
        file: File,
        path: &Path,
        places: impl Iterator<Item = Result<Place, Error>>,
        flush: impl FnOnce(&File) -> Result<(), Error>,
    ) -> Result<Run, Error> {
        let io = |e| Error::io(path, e);
        let mut out = BufWriter::with_capacity(1 << 18, &file);
        let (mut fences, mut records, mut block) = (Vec::new(), 0, Vec::new());
        let mut first = Key([0; KEY]);
        for place in places {
            let (key, index) = place?;
            if block.is_empty() {
                first = key;
            }
            block.extend_from_slice(&key.0);
            block.extend_from_slice(&index.to_be_bytes());
            records += 1;
            if records % WIDTH == 0 {
                fences.push((first, Digest::of(&block)));
                out.write_all(&block).map_err(io)?;
                block.clear();
            }
        }
        if !block.is_empty() {
            fences.push((first, Digest::of(&block)));
            out.write_all(&block).map_err(io)?;
        }
        out.write_all(&footer(&fences)).map_err(io)?;
        out.flush().map_err(io)?;
        drop(out);
        flush(&file)?;
        Ok(Run { file, path: path.to_path_buf(), records, fences })
    }

    /// Opens a run of so many records, whose footer has this digest. `None` when it is another one.
    pub(super) fn open(path: &Path, records: u64, digest: &Digest) -> Result<Option<Run>, std::io::Error> {
        let file = File::open(path)?;
        let blocks = records.div_ceil(WIDTH);
        let body = records.saturating_mul(RECORD as u64);
        let length = blocks.saturating_mul(FENCE as u64);
        if file.metadata()?.len() != body.saturating_add(length) {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, body)?;
        if Digest::of(&bytes) != *digest {
            return Ok(None);
        }
        let (fences, _) = bytes.as_chunks::<FENCE>();
        let fence = |octets: &[u8; FENCE]| {
            let (mut key, mut digest) = ([0; KEY], [0; 32]);
            let (first, second) = octets.split_at(KEY);
            key.copy_from_slice(first);
            digest.copy_from_slice(second);
            (Key(key), Digest(digest))
        };
        Ok(Some(Run { file, path: path.to_path_buf(), records, fences: fences.iter().map(fence).collect() }))
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// What names it.
    pub(super) fn digest(&self) -> Digest {
        Digest::of(&footer(&self.fences))
    }

    /// It has got its name.
    pub(super) fn renamed(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Adds the entries that tell of a thing, in their order.
    pub(super) fn find(&self, key: &Key, found: &mut Vec<u64>) -> Result<(), Error> {
        // A thing of many entries may begin in the block before the first one that it opens.
        let start = self.fences.partition_point(|(first, _)| first < key).saturating_sub(1);
        for (n, _) in self.fences.iter().enumerate().skip(start).take_while(|(_, (first, _))| first <= key) {
            let block = self.block(n)?;
            let from = block.partition_point(|(there, _)| there < key);
            found.extend(block.iter().skip(from).take_while(|(there, _)| there == key).map(|(_, index)| *index));
        }
        Ok(())
    }

    /// All places, in their order.
    pub(super) fn places(&self) -> impl Iterator<Item = Result<Place, Error>> {
        let (mut n, mut block) = (0, Vec::new().into_iter());
        std::iter::from_fn(move || {
            loop {
                if let Some(place) = block.next() {
                    return Some(Ok(place));
                }
                if n >= self.fences.len() {
                    return None;
                }
                n += 1;
                match self.block(n - 1) {
                    Ok(read) => block = read.into_iter(),
                    Err(e) => {
                        n = self.fences.len();
                        return Some(Err(e));
                    }
                }
            }
        })
    }

    fn block(&self, n: usize) -> Result<Vec<Place>, Error> {
        let before = n as u64 * WIDTH;
        let width = self.records.saturating_sub(before).min(WIDTH);
        let mut bytes = vec![0; usize::try_from(width).unwrap_or(0) * RECORD];
        self.file.read_exact_at(&mut bytes, before * RECORD as u64).map_err(|e| Error::io(&self.path, e))?;
        let right = self.fences.get(n).is_some_and(|(_, digest)| Digest::of(&bytes) == *digest);
        if !right {
            return Err(Error::Index { path: self.path.clone() });
        }
        let place = |record: &[u8; RECORD]| {
            let (mut key, mut index) = ([0; KEY], [0; 8]);
            let (first, second) = record.split_at(KEY);
            key.copy_from_slice(first);
            index.copy_from_slice(second);
            (Key(key), u64::from_be_bytes(index))
        };
        let (records, _) = bytes.as_chunks::<RECORD>();
        Ok(records.iter().map(place).collect())
    }
}

fn footer(fences: &[(Key, Digest)]) -> Vec<u8> {
    fences.iter().flat_map(|(key, digest)| [&key.0[..], &digest.0].concat()).collect()
}
