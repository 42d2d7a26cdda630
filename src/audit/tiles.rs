//! Tiles on disk: C2SP tlog-tiles, height 8.
//!
//! `tile/<L>/<N>[.p/<W>]` holds 256 (or W) hashes of level 8·L, `tile/entries/<N>[.p/<W>]` the entries themselves, each
//! behind its length (u16, big-endian). A tile never changes once written; a growing edge gets a wider partial tile
//! beside the old one, which goes when the full tile is there.

mod bundle;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::durable::Batch;
use super::merkle::node_hash;
use super::{Error, merkle};
use crate::digest::Digest;

pub(super) use bundle::Bundle;

/// Hashes in a full tile.
pub const WIDTH: u64 = 256;
const HEIGHT: u32 = 8;
/// Tiles kept in memory, 16 KiB each: of the lowest level, and of those above it, which are few and always needed.
const CACHED: usize = 64;
const CACHED_ABOVE: usize = 320;
/// A bundle is read in such pieces when one entry is looked for.
const SKIP: usize = 1 << 15;

/// The name of a tile of hashes; `width` 1 to 256.
pub fn tile_path(level: u32, n: u64, width: u64) -> String {
    format!("tile/{level}/{}{}", number(n), partial(width))
}

/// The name of a bundle of entries; `width` 1 to 256.
pub fn bundle_path(n: u64, width: u64) -> String {
    format!("tile/entries/{}{}", number(n), partial(width))
}

/// The names of all files that a log of `new` entries has and one of `old` entries has not.
pub fn paths_between(old: u64, new: u64) -> impl Iterator<Item = String> {
    let levels = (0..u64::BITS / HEIGHT).map(move |level| (level, old >> (HEIGHT * level), new >> (HEIGHT * level)));
    let grown = levels.filter(|(_, old, new)| old < new).flat_map(|(level, old, new)| {
        (old / WIDTH..new.div_ceil(WIDTH)).map(move |n| tile_path(level, n, width(n, new)))
    });
    let bundles = if old < new { old / WIDTH..new.div_ceil(WIDTH) } else { 0..0 };
    grown.chain(bundles.map(move |n| bundle_path(n, width(n, new))))
}

/// How many of `count` things stand in the tile numbered `n`.
fn width(n: u64, count: u64) -> u64 {
    count.saturating_sub(n * WIDTH).min(WIDTH)
}

/// `1234067` as `x001/x234/067`.
fn number(n: u64) -> String {
    let mut path = format!("{:03}", n % 1000);
    let mut rest = n / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

fn partial(width: u64) -> String {
    match width {
        WIDTH => String::new(),
        width => format!(".p/{width}"),
    }
}

/// A tile with the inner hashes it gives: `rows[h][i]` is the subtree of height `h` at place `i`.
struct Tile {
    rows: Vec<Vec<Digest>>,
}

impl Tile {
    fn grow(hashes: Vec<Digest>) -> Tile {
        let mut rows = vec![hashes];
        while let Some(row) = rows.last().filter(|row| row.len() > 1 && rows.len() <= HEIGHT as usize) {
            let above = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
            rows.push(above);
        }
        Tile { rows }
    }
}

/// The root of a full tile, which stands in the tile above it.
pub(super) fn full_tile_root(hashes: &[Digest]) -> Digest {
    let mut frontier = merkle::Frontier::default();
    hashes.iter().for_each(|hash| frontier.push(*hash));
    frontier.root()
}

type Key = (u32, u64, u64);
type Row = VecDeque<(Key, Arc<Tile>)>;

/// The tiles below one directory.
pub(super) struct Tiles {
    dir: PathBuf,
    cache: Mutex<[Row; 2]>,
}

impl Tiles {
    pub(super) fn new(dir: &Path) -> Tiles {
        Tiles { dir: dir.to_path_buf(), cache: Mutex::default() }
    }

    /// A complete subtree of a log of `size` entries: its hash, taken or computed from the one tile that covers it.
    pub(super) fn node(&self, level: u32, index: u64, size: u64) -> Result<Digest, Error> {
        let (tile_level, height) = (level / HEIGHT, level % HEIGHT);
        let (n, place) = ((index << height) / WIDTH, ((index << height) % WIDTH) >> height);
        let width = width(n, size >> (HEIGHT * tile_level));
        let tile = self.tile(tile_level, n, size)?;
        let row = tile.rows.get(height as usize);
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        row.and_then(|row| row.get(place))
            .copied()
            .ok_or_else(|| Error::TileMalformed { path: tile_path(tile_level, n, width) })
    }

    /// A tile of a log of `size` entries. The root of a full one stands in the tile above it, and must be that: so what is
    /// read anywhere hangs together with the right edge, from which the checkpoint's root comes.
    fn tile(&self, level: u32, n: u64, size: u64) -> Result<Arc<Tile>, Error> {
        let width = width(n, size >> (HEIGHT * level));
        let key = (level, n, width);
        let cached = |cache: &[Row; 2]| {
            let [lowest, above] = cache;
            let row = if level == 0 { lowest } else { above };
            row.iter().rev().find(|(k, _)| *k == key).map(|(_, tile)| tile.clone())
        };
        if let Some(tile) = cached(&self.cache.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(tile);
        }
        let tile = Arc::new(Tile::grow(self.hashes(level, n, width)?));
        if width == WIDTH {
            let (above, place) = (self.tile(level + 1, n / WIDTH, size)?, n % WIDTH);
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            if above.rows.first().and_then(|row| row.get(place)) != tile.rows.last().and_then(|row| row.first()) {
                return Err(Error::TileDiffers { path: tile_path(level, n, width) });
            }
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let [lowest, above] = &mut *cache;
        let (row, most) = if level == 0 { (lowest, CACHED) } else { (above, CACHED_ABOVE) };
        if row.len() >= most {
            row.pop_front();
        }
        row.push_back((key, tile.clone()));
        Ok(tile)
    }

    /// The first `width` hashes of a tile, from the partial tile or, once that has gone, the full one.
    pub(super) fn hashes(&self, level: u32, n: u64, width: u64) -> Result<Vec<Digest>, Error> {
        let (bytes, there) = self.read(|w| tile_path(level, n, w), width, WIDTH * 32)?;
        let (chunks, rest) = bytes.as_chunks::<32>();
        if chunks.len() as u64 != there || !rest.is_empty() {
            return Err(Error::TileMalformed { path: tile_path(level, n, there) });
        }
        Ok(chunks.iter().zip(0..width).map(|(chunk, _)| Digest(*chunk)).collect())
    }

    /// The first `width` entries of a bundle.
    pub(super) fn bundle(&self, n: u64, width: u64) -> Result<Bundle, Error> {
        let (bytes, there) = self.read(|w| bundle_path(n, w), width, bundle::MAX)?;
        let whole = Bundle::parse(bytes).filter(|bundle| bundle.len() == there);
        let mut bundle = whole.ok_or_else(|| Error::TileMalformed { path: bundle_path(n, there) })?;
        bundle.truncate(width);
        Ok(bundle)
    }

    /// One entry of a bundle, at `place` below `width`.
    pub(super) fn entry(&self, n: u64, place: u64, width: u64) -> Result<Vec<u8>, Error> {
        let (file, path, _) = self.open(|w| bundle_path(n, w), width)?;
        let mut bundle = BufReader::with_capacity(SKIP, file);
        let mut read = || {
            let mut length = [0; 2];
            for _ in 0..place {
                bundle.read_exact(&mut length)?;
                bundle.seek_relative(i64::from(u16::from_be_bytes(length)))?;
            }
            bundle.read_exact(&mut length)?;
            let mut entry = vec![0; usize::from(u16::from_be_bytes(length))];
            bundle.read_exact(&mut entry)?;
            Ok(entry)
        };
        read().map_err(|e: std::io::Error| match e.kind() {
            ErrorKind::UnexpectedEof => Error::TileMalformed { path },
            _ => Error::io(self.dir.join(&path))(e),
        })
    }

    fn read(&self, name: impl Fn(u64) -> String, width: u64, limit: u64) -> Result<(Vec<u8>, u64), Error> {
        let (file, path, there) = self.open(name, width)?;
        let length = file.metadata().map_err(Error::io(self.dir.join(&path)))?.len().min(limit);
        let mut bytes = Vec::with_capacity(usize::try_from(length + 1).unwrap_or(0));
        file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io(self.dir.join(&path)))?;
        match bytes.len() as u64 > limit {
            true => Err(Error::TileMalformed { path }),
            false => Ok((bytes, there)),
        }
    }

    /// The partial tile or, once that has gone, the full one: file, name and width.
    fn open(&self, name: impl Fn(u64) -> String, width: u64) -> Result<(File, String, u64), Error> {
        for there in [width, WIDTH] {
            let path = name(there);
            match File::open(self.dir.join(&path)) {
                Ok(file) => return Ok((file, path, there)),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io(self.dir.join(&path))(e)),
            }
        }
        Err(Error::TileMissing { path: name(width) })
    }

    /// Writes the tiles that a log of `new` entries has and one of `old` entries (whose tiles are there) has not.
    /// `leaves` are the hashes of the entries from `old` to `new`; `next` puts their octets, one entry after the other, in
    /// the place of what it is given. A tile that is there already must be the same.
    pub(super) fn write(
        &self,
        old: u64,
        new: u64,
        leaves: &[Digest],
        mut next: impl FnMut(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if old == new {
            return Ok(());
        }
        let mut batch = Batch::new(&self.dir);
        let mut entry = Vec::new();
        for n in old / WIDTH..new.div_ceil(WIDTH) {
            let known = width(n, old);
            let mut bundle = if known > 0 { self.bundle(n, known)? } else { Bundle::default() };
            for _ in known..width(n, new) {
                next(&mut entry)?;
                bundle.push(&entry);
            }
            batch.add(&bundle_path(n, width(n, new)), bundle.octets())?;
        }
        let (mut old, mut new, mut fresh) = (old, new, leaves.to_vec());
        for level in 0..u64::BITS / HEIGHT {
            let mut above = Vec::new();
            let mut fresh_hashes = fresh.into_iter();
            for n in old / WIDTH..new.div_ceil(WIDTH) {
                let known = width(n, old);
                let mut hashes = if known > 0 { self.hashes(level, n, known)? } else { Vec::new() };
                let wanted = width(n, new);
                hashes.extend((known..wanted).zip(&mut fresh_hashes).map(|(_, hash)| hash));
                batch
                    .add(&tile_path(level, n, wanted), hashes.iter().map(|h| h.0).collect::<Vec<_>>().as_flattened())?;
                if wanted == WIDTH {
                    above.push(full_tile_root(&hashes));
                }
            }
            (old, new, fresh) = (old / WIDTH, new / WIDTH, above);
            if old == new {
                break;
            }
        }
        batch.commit()
    }

    /// Removes the partial tiles of the edge at `old` where the log of `new` entries has the full tile.
    pub(super) fn prune(&self, old: u64, new: u64) -> Result<(), Error> {
        let full = |old: u64, new: u64| (new / WIDTH > old / WIDTH).then_some(old / WIDTH);
        let bundle = full(old, new).map(|n| bundle_path(n, WIDTH));
        let tiles = (0..u64::BITS / HEIGHT).filter_map(|level| {
            full(old >> (HEIGHT * level), new >> (HEIGHT * level)).map(|n| tile_path(level, n, WIDTH))
        });
        for path in bundle.into_iter().chain(tiles) {
            let dir = self.dir.join(format!("{path}.p"));
            match fs::remove_dir_all(&dir) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io(dir)(e)),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::merkle::{Nodes, leaf_hash, root};

    struct At<'a>(&'a Tiles, u64);

    impl Nodes for At<'_> {
        type Error = Error;
        fn node(&self, level: u32, index: u64) -> Result<Digest, Error> {
            self.0.node(level, index, self.1)
        }
    }

    fn entry(index: u64) -> Vec<u8> {
        index.to_be_bytes().repeat(2)
    }

    fn from(old: u64) -> impl FnMut(&mut Vec<u8>) -> Result<(), Error> {
        let mut indices = old..;
        move |out| {
            *out = entry(indices.next().unwrap());
            Ok(())
        }
    }

    fn leaves(old: u64, new: u64) -> Vec<Digest> {
        (old..new).map(|i| leaf_hash(&entry(i))).collect()
    }

    #[test]
    fn names_are_those_of_tlog_tiles() {
        assert_eq!(tile_path(0, 0, 256), "tile/0/000");
        assert_eq!(tile_path(3, 1_234_067, 256), "tile/3/x001/x234/067");
        assert_eq!(bundle_path(1000, 17), "tile/entries/x001/000.p/17");
    }

    #[test]
    fn a_log_grown_in_steps_gives_the_same_roots_and_tiles_as_one_written_at_once() {
        let steps = [1, 2, 255, 256, 257, 511, 512, 700, 65_535, 65_536, 65_537, 66_000];
        let grown = tempfile::tempdir().unwrap();
        let tiles = Tiles::new(grown.path());
        let mut old = 0;
        for new in steps {
            tiles.write(old, new, &leaves(old, new), from(old)).unwrap();
            for path in paths_between(old, new) {
                assert!(grown.path().join(&path).is_file(), "{path}");
            }
            tiles.prune(old, new).unwrap();
            let mut frontier = merkle::Frontier::default();
            leaves(0, new).into_iter().for_each(|leaf| frontier.push(leaf));
            // The edge of this size and, through full tiles, those of the sizes before.
            assert_eq!(root(&At(&tiles, new), new).unwrap(), frontier.root());
            let mut earlier = merkle::Frontier::default();
            leaves(0, new / 2 + 1).into_iter().for_each(|leaf| earlier.push(leaf));
            assert_eq!(root(&At(&tiles, new), new / 2 + 1).unwrap(), earlier.root());
            assert_eq!(
                tiles.bundle((new - 1) / 256, width((new - 1) / 256, new)).unwrap().iter().last(),
                Some(&entry(new - 1)[..])
            );
            old = new;
        }
        let at_once = tempfile::tempdir().unwrap();
        let last = 66_000;
        Tiles::new(at_once.path()).write(0, last, &leaves(0, last), from(0)).unwrap();
        let names: Vec<String> = paths_between(0, last).collect();
        assert_eq!(names.len(), 258 + 258 + 2 + 1);
        for path in names {
            let read = |dir: &Path| fs::read(dir.join(&path)).unwrap();
            assert_eq!(read(grown.path()), read(at_once.path()), "{path}");
        }
        assert!(!grown.path().join("tile/0/000.p").exists());
        assert_eq!(paths_between(last, last).count(), 0);
    }

    #[test]
    fn malformed_missing_and_other_tiles_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        Tiles::new(dir.path()).write(0, 3, &leaves(0, 3), from(0)).unwrap();
        let tile = dir.path().join("tile/0/000.p/3");
        let bundle = dir.path().join("tile/entries/000.p/3");
        let good = (fs::read(&tile).unwrap(), fs::read(&bundle).unwrap());
        for bytes in [&good.0[..95], &[good.0.clone(), vec![0]].concat()] {
            fs::write(&tile, bytes).unwrap();
            assert!(matches!(Tiles::new(dir.path()).node(0, 1, 3), Err(Error::TileMalformed { .. })));
        }
        for bytes in [&good.1[..20], &[good.1.clone(), vec![0, 0]].concat(), &[good.1.clone(), vec![9]].concat()] {
            fs::write(&bundle, bytes).unwrap();
            assert!(matches!(Tiles::new(dir.path()).bundle(0, 3), Err(Error::TileMalformed { .. })));
        }
        fs::write(&bundle, &good.1).unwrap();
        fs::write(&tile, [0; 96]).unwrap();
        let again = Tiles::new(dir.path()).write(0, 3, &leaves(0, 3), from(0));
        assert!(matches!(again, Err(Error::TileDiffers { path }) if path == "tile/0/000.p/3"));
        fs::remove_file(&tile).unwrap();
        assert!(matches!(Tiles::new(dir.path()).node(0, 1, 3), Err(Error::TileMissing { .. })));
        Tiles::new(dir.path()).write(0, 3, &leaves(0, 3), from(0)).unwrap();
        assert_eq!(fs::read(&tile).unwrap(), good.0);
    }
}
