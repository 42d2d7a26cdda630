//! The log as it was at an earlier size: its tiles made from the entries and hashes that the log holds today.

use crate::audit::merkle::Nodes;
use crate::audit::tiles::{WIDTH, bundle_path, tile_path};
use crate::audit::{Error, View};

/// One file of the log of `size` entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tile {
    Hashes { level: u32, n: u64, width: u64 },
    Entries { n: u64, width: u64 },
}

/// The files of a log of `size` entries: hashes level by level, then the entries.
pub(super) fn tiles(size: u64) -> impl Iterator<Item = Tile> {
    let levels = (0..u64::BITS / 8).map(move |level| (level, size >> (8 * level))).take_while(|(_, count)| *count > 0);
    let hashes = levels.flat_map(|(level, count)| {
        (0..count.div_ceil(WIDTH)).map(move |n| Tile::Hashes { level, n, width: (count - n * WIDTH).min(WIDTH) })
    });
    hashes.chain((0..size.div_ceil(WIDTH)).map(move |n| Tile::Entries { n, width: (size - n * WIDTH).min(WIDTH) }))
}

impl Tile {
    /// Relative to the log's directory.
    pub(super) fn path(&self) -> String {
        match *self {
            Tile::Hashes { level, n, width } => tile_path(level, n, width),
            Tile::Entries { n, width } => bundle_path(n, width),
        }
    }

    /// The octets, whichever partial tiles the log has kept: hashes come from the tree, entries are compared with theirs.
    pub(super) fn content(&self, log: &View) -> Result<Vec<u8>, Error> {
        let mut octets = Vec::new();
        match *self {
            Tile::Hashes { level, n, width } => {
                for index in n * WIDTH..n * WIDTH + width {
                    octets.extend(log.node(8 * level, index)?.0);
                }
            }
            Tile::Entries { n, width } => {
                for entry in log.entries(n * WIDTH..n * WIDTH + width) {
                    let (_, _, bytes) = entry?;
                    // `Entry::decode` took it, so it has at most MAX_ENTRY octets and the length always fits.
                    octets.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
                    octets.extend(bytes);
                }
            }
        }
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tiles::paths_between;

    #[test]
    fn the_files_of_a_size_are_those_of_a_log_that_ends_there() {
        for size in [0, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000] {
            let paths: Vec<String> = tiles(size).map(|tile| tile.path()).collect();
            assert_eq!(paths, paths_between(0, size).collect::<Vec<_>>(), "{size}");
        }
    }
}
