//! A log as it is read: sizes, roots, proofs, entries, artefacts. Never writes, takes no lock, needs no key.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::entry::{Body, Entry, Genesis};
use super::merkle::{self, Nodes};
use super::note::{self, Checkpoint, MAX_NOTE};
use super::tail::{Records, Tail};
use super::tiles::{Bundle, Tiles, WIDTH};
use super::{Error, artefact};
use crate::digest::Digest;

/// So often a reader starts again when a station wrote a checkpoint under its eyes.
const TRIES: usize = 5;

/// A log open for reading: a station's, or a published copy with only `checkpoint` and `tile/`.
///
/// Memory: 40 octets for each entry in the tail and a small cache of tiles, whatever the log's size.
pub struct View {
    pub(super) dir: PathBuf,
    pub(super) origin: String,
    /// The entries that the tiles hold and the checkpoint covers.
    pub(super) sealed: u64,
    pub(super) checkpoint: Option<(Checkpoint, String)>,
    pub(super) tiles: Tiles,
    pub(super) tail: Option<Tail>,
}

impl View {
    /// Opens a log for reading and compares the right edge of its tree with the checkpoint.
    pub fn read(dir: &Path) -> Result<View, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let before = read_checkpoint(dir)?;
            let view = View::load(dir, before.clone());
            // Checkpoint and tail are two files: read again when a writer replaced the first in between.
            if tries == TRIES || read_checkpoint(dir)? == before {
                return view;
            }
        }
    }

    fn load(dir: &Path, checkpoint: Option<(Checkpoint, String)>) -> Result<View, Error> {
        let tail = Tail::open(&dir.join("tail"), false)?;
        let sealed = checkpoint.as_ref().map_or(0, |(c, _)| c.size);
        let origin = match (&checkpoint, &tail) {
            (Some((checkpoint, _)), _) => checkpoint.origin.clone(),
            (None, Some(tail)) => tail.header().origin.clone(),
            (None, None) => return Err(Error::NotALog(dir.to_path_buf())),
        };
        let view = View { dir: dir.to_path_buf(), origin, sealed, checkpoint, tiles: Tiles::new(dir), tail };
        if let Some(tail) = &view.tail {
            fits(tail, &view.origin, sealed)?;
            view.compare_tail(tail)?;
        }
        view.compare_edge()?;
        Ok(view)
    }

    /// The log's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Entries on record, sealed or not.
    pub fn size(&self) -> u64 {
        self.tail.as_ref().map_or(self.sealed, |tail| tail.end().max(self.sealed))
    }

    /// Entries under the last checkpoint.
    pub fn sealed_size(&self) -> u64 {
        self.sealed
    }

    /// Does the directory hold a tail, as a station's does and a published copy does not?
    pub fn is_station(&self) -> bool {
        self.tail.is_some()
    }

    /// Octets of an unfinished record at the end of the tail: what opening for writing removed, or would remove.
    pub fn cut(&self) -> u64 {
        self.tail.as_ref().map_or(0, Tail::torn)
    }

    /// The last checkpoint, a signed note; its signature is not verified here.
    pub fn checkpoint_text(&self) -> Option<&str> {
        self.checkpoint.as_ref().map(|(_, note)| note.as_str())
    }

    /// The root over all entries.
    pub fn root(&self) -> Result<Digest, Error> {
        self.root_at(self.size())
    }

    /// The root over the first `size` entries.
    pub fn root_at(&self, size: u64) -> Result<Digest, Error> {
        self.within(size)?;
        merkle::root(self, size)
    }

    /// The hash of the leaf at `index`.
    pub fn leaf(&self, index: u64) -> Result<Digest, Error> {
        self.below(index, self.size())?;
        self.node(0, index)
    }

    /// Shows that the entry at `index` is in the tree of `size` entries; verify with [`merkle::verify_inclusion`].
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Digest>, Error> {
        self.within(size)?;
        self.below(index, size)?;
        let proof = merkle::inclusion_proof(self, index, size)?;
        // A proof from a damaged tile must not leave the station.
        if let Some((checkpoint, _)) = self.checkpoint.as_ref().filter(|(c, _)| c.size == size)
            && !merkle::verify_inclusion(&self.leaf(index)?, index, size, &checkpoint.root, &proof)
        {
            return Err(Error::RootDiffers { size });
        }
        Ok(proof)
    }

    /// Shows that the tree of `new` entries continues the one of `old`; verify with [`merkle::verify_consistency`].
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Digest>, Error> {
        self.within(new)?;
        match old > new {
            true => Err(Error::OutOfRange { index: old, size: new }),
            false => merkle::consistency_proof(self, old, new),
        }
    }

    /// Streams entries, decoded and as octets, from the tiles and then the tail. Each is compared with its leaf hash. Ends
    /// after the first error; indices beyond the log's size give none.
    pub fn entries(&self, range: Range<u64>) -> Entries<'_> {
        Entries { view: self, next: range.start, end: range.end.min(self.size()), bundle: None, records: None }
    }

    /// One entry, compared with its hash. What stands before it in its bundle is skipped, what stands behind it is not read.
    pub fn entry(&self, index: u64) -> Result<Entry, Error> {
        self.below(index, self.size())?;
        let bytes = match (&self.tail, index >= self.sealed) {
            (Some(tail), true) => tail.entry(index)?,
            _ => self.sealed_entry(index)?,
        };
        Entry::decode(&bytes).map_err(|source| Error::EntryMalformed { index, source })
    }

    fn sealed_entry(&self, index: u64) -> Result<Vec<u8>, Error> {
        let (n, place) = (index / WIDTH, index % WIDTH);
        let bytes = self.tiles.entry(n, place, (self.sealed - n * WIDTH).min(WIDTH))?;
        match self.tiles.node(0, index, self.sealed)? == merkle::leaf_hash(&bytes) {
            true => Ok(bytes),
            false => Err(Error::EntryDiffers { index }),
        }
    }

    /// The first entry.
    pub fn genesis(&self) -> Result<Genesis, Error> {
        match self.entry(0)?.body {
            Body::Genesis(genesis) if genesis.origin == self.origin => Ok(genesis),
            _ => Err(Error::Genesis),
        }
    }

    /// The octets of an artefact (at most [`artefact::MAX_IN_MEMORY`]), compared with its name.
    pub fn artefact(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        artefact::get(&self.dir, digest)
    }

    /// An artefact of any size as a file, hashed once before it is given out.
    pub fn artefact_file(&self, digest: &Digest) -> Result<File, Error> {
        artefact::file(&self.dir, digest)
    }

    /// Hashes an artefact of any size.
    pub fn verify_artefact(&self, digest: &Digest) -> Result<(), Error> {
        artefact::verify(&self.dir, digest)
    }

    /// The tail's copies of sealed entries (there after a stop between checkpoint and rotation) are those in the tiles.
    pub(super) fn compare_tail(&self, tail: &Tail) -> Result<(), Error> {
        for (index, leaf) in (tail.base()..self.sealed).zip(tail.leaves_from(tail.base())) {
            if self.tiles.node(0, index, self.sealed)? != *leaf {
                return Err(Error::TailDiffers { index });
            }
        }
        Ok(())
    }

    /// The right edge of the tree gives the checkpoint's root, and the last bundle of entries its tile.
    pub(super) fn compare_edge(&self) -> Result<(), Error> {
        let Some((checkpoint, _)) = &self.checkpoint else { return Ok(()) };
        let size = checkpoint.size;
        if merkle::root(self, size)? != checkpoint.root {
            return Err(Error::RootDiffers { size });
        }
        match size.checked_sub(1) {
            Some(last) => self.bundle(last / WIDTH).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The sealed entries of a bundle, compared with their hashes.
    fn bundle(&self, n: u64) -> Result<Bundle, Error> {
        let width = (self.sealed - n * WIDTH).min(WIDTH);
        let entries = self.tiles.bundle(n, width)?;
        for (index, entry) in (n * WIDTH..).zip(entries.iter()) {
            if self.tiles.node(0, index, self.sealed)? != merkle::leaf_hash(entry) {
                return Err(Error::EntryDiffers { index });
            }
        }
        Ok(entries)
    }

    fn within(&self, size: u64) -> Result<(), Error> {
        match size <= self.size() {
            true => Ok(()),
            false => Err(Error::OutOfRange { index: size, size: self.size() }),
        }
    }

    fn below(&self, index: u64, size: u64) -> Result<(), Error> {
        match index < size {
            true => Ok(()),
            false => Err(Error::OutOfRange { index, size }),
        }
    }
}

impl Nodes for View {
    type Error = Error;

    /// From the tiles where they hold the whole subtree, from the tail's leaf hashes where they do not.
    fn node(&self, level: u32, index: u64) -> Result<Digest, Error> {
        // Sizes are at most note::MAX_SIZE, so neither shift loses a bit.
        if (index + 1) << level <= self.sealed {
            return self.tiles.node(level, index, self.sealed);
        }
        match level {
            0 => self
                .tail
                .as_ref()
                .and_then(|tail| tail.leaf(index))
                .ok_or(Error::OutOfRange { index, size: self.size() }),
            _ => Ok(merkle::node_hash(&self.node(level - 1, 2 * index)?, &self.node(level - 1, 2 * index + 1)?)),
        }
    }
}

/// See [`View::entries`].
pub struct Entries<'a> {
    view: &'a View,
    next: u64,
    end: u64,
    /// The bundle that is being read, and its number.
    bundle: Option<(u64, Bundle)>,
    /// The tail, from the next entry on.
    records: Option<Records<'a>>,
}

impl Entries<'_> {
    fn octets(&mut self, index: u64) -> Result<Vec<u8>, Error> {
        let beyond = || Error::OutOfRange { index, size: self.view.sealed };
        if index >= self.view.sealed {
            let mut octets = Vec::new();
            let records = match &mut self.records {
                Some(records) => records,
                none => none.insert(self.view.tail.as_ref().ok_or_else(beyond)?.records(index)?),
            };
            records.next(&mut octets)?;
            return Ok(octets);
        }
        let n = index / WIDTH;
        let bundle = match &mut self.bundle {
            Some((there, bundle)) if *there == n => bundle,
            other => &mut other.insert((n, self.view.bundle(n)?)).1,
        };
        let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
        bundle.entry(place).map(<[u8]>::to_vec).ok_or_else(beyond)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(u64, Entry, Vec<u8>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let decode = |bytes: Vec<u8>| match Entry::decode(&bytes) {
            Ok(entry) => Ok((index, entry, bytes)),
            Err(source) => Err(Error::EntryMalformed { index, source }),
        };
        let found = self.octets(index).and_then(decode);
        if found.is_err() {
            self.end = index;
        }
        Some(found)
    }
}

/// Origin and place of the tail are those of a tail of this log.
pub(super) fn fits(tail: &Tail, origin: &str, sealed: u64) -> Result<(), Error> {
    if tail.header().origin != origin {
        return Err(Error::Origin { found: tail.header().origin.clone(), expected: origin.to_string() });
    }
    match tail.base() > sealed {
        true => Err(Error::TailAhead { base: tail.base(), size: sealed }),
        false => Ok(()),
    }
}

/// The note in `checkpoint`, its signature not looked at; `None` when there is no such file.
pub(super) fn read_checkpoint(dir: &Path) -> Result<Option<(Checkpoint, String)>, Error> {
    let path = dir.join("checkpoint");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(path)(e)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_NOTE as u64 + 1).read_to_end(&mut bytes).map_err(Error::io(&path))?;
    let text = String::from_utf8(bytes).map_err(|_| note::Error::NotANote)?;
    Ok(Some((note::parse(&text)?, text)))
}
