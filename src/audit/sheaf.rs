//! Bundles of entries, read, hashed and taken apart on all processors, and given in their order.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use super::entry::{Entry, Glance, glance};
use super::order::serial_mark;
use super::tiles::{WIDTH, full_tile_root};
use super::{Error, View, merkle};
use crate::digest::Digest;

/// Bundles that one processor may be ahead by.
const AHEAD: usize = 4;

/// What one sealed entry comes to.
pub(super) enum Seen {
    /// A certificate's: plan, item, and the mark of its issuer and serial number.
    Certificate {
        plan: Digest,
        item: u64,
        mark: Option<u64>,
    },
    Other(Box<Entry>),
}

/// One bundle, whose entries have the hashes that the tile of the lowest level records.
pub(super) struct Sheaf {
    /// Index of the first entry.
    pub first: u64,
    pub seen: Vec<Seen>,
    pub leaves: Vec<Digest>,
    /// What stands in the tile above, where the bundle is full.
    pub root: Option<Digest>,
    /// Why there is no more.
    pub failed: Option<Error>,
}

/// The sealed bundles of a log in their order. They are read by threads of `scope`, which end when this value is dropped.
pub(super) struct Sheaves {
    threads: Vec<Receiver<Sheaf>>,
    next: u64,
    end: u64,
}

impl Sheaves {
    pub(super) fn read<'scope>(scope: &'scope Scope<'scope, '_>, view: &'scope View) -> Sheaves {
        let end = view.sealed_size().div_ceil(WIDTH);
        let count = thread::available_parallelism().map_or(1, |n| n.get() as u64).min(end.max(1));
        let begin = |which: u64| {
            let (to, from) = sync_channel(AHEAD);
            scope.spawn(move || every(view, which, count, end, &to));
            from
        };
        Sheaves { threads: (0..count).map(begin).collect(), next: 0, end }
    }
}

impl Iterator for Sheaves {
    type Item = Sheaf;

    fn next(&mut self) -> Option<Sheaf> {
        if self.next >= self.end {
            return None;
        }
        let which = usize::try_from(self.next % self.threads.len() as u64).ok()?;
        self.next += 1;
        self.threads.get(which)?.recv().ok()
    }
}

fn every(view: &View, first: u64, step: u64, end: u64, to: &SyncSender<Sheaf>) {
    let mut n = first;
    while n < end && to.send(sheaf(view, n)).is_ok() {
        n += step;
    }
}

fn sheaf(view: &View, n: u64) -> Sheaf {
    let mut sheaf = Sheaf { first: n * WIDTH, seen: Vec::new(), leaves: Vec::new(), root: None, failed: None };
    if let Err(e) = fill(view, n, &mut sheaf) {
        sheaf.failed = Some(e);
    }
    sheaf
}

fn fill(view: &View, n: u64, sheaf: &mut Sheaf) -> Result<(), Error> {
    let width = (view.sealed_size() - n * WIDTH).min(WIDTH);
    let entries = view.tiles.bundle(n, width)?;
    let hashes = view.tiles.hashes(0, n, width)?;
    for (index, (entry, hash)) in (n * WIDTH..).zip(entries.iter().zip(&hashes)) {
        let leaf = merkle::leaf_hash(entry);
        if leaf != *hash {
            return Err(Error::EntryDiffers { index });
        }
        sheaf.leaves.push(leaf);
        sheaf.seen.push(match glance(entry) {
            Some(Glance { plan, item, der, .. }) => Seen::Certificate { plan, item, mark: serial_mark(der) },
            None => {
                let decoded = Entry::decode(entry).map_err(|source| Error::EntryMalformed { index, source })?;
                Seen::Other(Box::new(decoded))
            }
        });
    }
    if width == WIDTH {
        sheaf.root = Some(full_tile_root(&hashes));
    }
    Ok(())
}
