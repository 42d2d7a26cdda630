//! Which entries of the log tell of a thing.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::path::PathBuf;

use crate::digest::Hasher;

use super::Error;
use super::run::{Place, Run};

/// What is looked for. Stored as the first octet of a [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    /// A certificate, by the content octets of its serial number.
    Serial,
    /// The certificates with a key, by the SHA-256 of its SubjectPublicKeyInfo.
    Key,
    /// The certificates with a name, in lower case.
    Name,
    /// The answers to a request, by its id: certificates and refusals.
    Request,
    /// The revocation of a certificate, by its serial number.
    Revoked,
    /// The revocations that call a key compromised.
    Compromised,
}

impl Thing {
    const fn octet(self) -> u8 {
        match self {
            Thing::Serial => 1,
            Thing::Key => 2,
            Thing::Name => 3,
            Thing::Request => 4,
            Thing::Revoked => 5,
            Thing::Compromised => 6,
        }
    }
}

/// A thing, as it is looked up: its kind, then the first 15 octets of the SHA-256 over kind and thing. Two things with one
/// key are not to be had by chance; an answer looks into the entry all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub [u8; 16]);

impl Key {
    pub(super) fn of(thing: Thing, what: &[u8]) -> Key {
        let mut hasher = Hasher::default();
        hasher.update(&[thing.octet()]);
        hasher.update(what);
        let mut key = [0; 16];
        let octets = std::iter::once(thing.octet()).chain(hasher.finish().0);
        key.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        Key(key)
    }

    /// At most one entry tells of such a thing.
    fn is_single(&self) -> bool {
        let [thing, ..] = self.0;
        thing == Thing::Serial.octet() || thing == Thing::Revoked.octet()
    }
}

/// So many places are kept in memory, some 40 MiB; then they go to a file. Tests do with less.
const MANY: usize = if cfg!(test) { 64 } else { 1 << 20 };
/// So many files of that kind are open at once.
const FILES: usize = if cfg!(test) { 4 } else { 32 };
/// A stored run is merged with newer ones that come to more than its length divided by this: of 10,000,000 certificates there
/// are about 6 runs, and each place is written some 20 times in all.
const RATIO: u64 = 4;

/// The places of things: those that are stored, those that wait in unnamed files, the recent ones. Entries of each part
/// follow those of the parts before it.
#[derive(Default)]
pub(super) struct Places {
    pub(super) stored: Vec<Run>,
    waiting: Vec<Run>,
    recent: BTreeSet<Place>,
    /// Where unnamed files are made; the system's temporary directory if nothing else is said.
    pub(super) scratch: Option<PathBuf>,
}

impl Places {
    pub(super) fn over(stored: Vec<Run>) -> Places {
        Places { stored, ..Places::default() }
    }

    pub(super) fn insert(&mut self, key: Key, index: u64) {
        self.recent.insert((key, index));
    }

    /// Is there a place of this among the recent ones?
    pub(super) fn is_recent(&self, key: &Key) -> bool {
        self.recent.range((*key, 0)..=(*key, u64::MAX)).next().is_some()
    }

    /// The entries that tell of a thing, in their order.
    pub(super) fn of(&self, key: &Key) -> Result<Vec<u64>, Error> {
        let mut found = Vec::new();
        self.stored.iter().chain(&self.waiting).try_for_each(|run| run.find(key, &mut found))?;
        found.extend(self.recent.range((*key, 0)..=(*key, u64::MAX)).map(|(_, index)| *index));
        Ok(found)
    }

    /// Keeps the memory bounded: when there are many recent places, they wait in an unnamed file.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        if self.recent.len() < MANY {
            return Ok(());
        }
        let recent = std::mem::take(&mut self.recent);
        let run = self.wait(recent.into_iter().map(Ok))?;
        self.waiting.push(run);
        if self.waiting.len() >= FILES {
            let waiting = std::mem::take(&mut self.waiting);
            let run = self.wait(merge(waiting.iter().map(|run| boxed(run.places())).collect()))?;
            self.waiting.push(run);
        }
        Ok(())
    }

    fn wait(&self, places: impl Iterator<Item = Result<Place, Error>>) -> Result<Run, Error> {
        let dir = self.scratch.clone().unwrap_or_else(tempfile::env::temp_dir);
        let file = tempfile::tempfile_in(&dir).map_err(|e| Error::io(&dir, e))?;
        Run::write(file, &dir, places, |_| Ok(()))
    }

    /// How many of the stored runs go on as they are when the places that are not stored yet become a run, and how many
    /// places that run has.
    pub(super) fn kept(&self) -> (usize, u64) {
        let new = self.waiting.iter().map(Run::records).sum::<u64>() + self.recent.len() as u64;
        let mut merged = new;
        let mut kept = self.stored.len();
        for run in self.stored.iter().rev().take_while(|_| new > 0) {
            if run.records() > merged.saturating_mul(RATIO) {
                break;
            }
            merged += run.records();
            kept -= 1;
        }
        (kept, merged)
    }

    /// The places of the stored runs from number `kept` on, and of all that is not stored yet. What may stand but once, and
    /// stands in a run that is kept, ends them.
    pub(super) fn from(&self, kept: usize) -> impl Iterator<Item = Result<Place, Error>> {
        let runs = self.stored.iter().skip(kept).chain(&self.waiting);
        let mut sources: Vec<Source> = runs.map(|run| boxed(run.places())).collect();
        sources.push(boxed(self.recent.iter().map(|place| Ok(*place))));
        merge(sources).map(move |place| {
            let (key, index) = place?;
            let mut earlier = Vec::new();
            if key.is_single() {
                self.stored.iter().take(kept).try_for_each(|run| run.find(&key, &mut earlier))?;
            }
            match earlier.is_empty() {
                true => Ok((key, index)),
                false => Err(twice(index)),
            }
        })
    }

    /// The stored runs from number `kept` on, and all that was not stored, are in this run now.
    pub(super) fn take_place(&mut self, kept: usize, run: Option<Run>) {
        self.stored.truncate(kept);
        self.stored.extend(run);
        self.waiting.clear();
        self.recent.clear();
    }
}

fn twice(index: u64) -> Error {
    Error::Entry { index, what: super::TWICE.into() }
}

type Source<'a> = Box<dyn Iterator<Item = Result<Place, Error>> + 'a>;

fn boxed<'a>(places: impl Iterator<Item = Result<Place, Error>> + 'a) -> Source<'a> {
    Box::new(places)
}

/// Many sources in their common order. Two entries with one serial number, or two revocations of one certificate, meet here
/// at the latest, and end it.
fn merge<'a>(mut sources: Vec<Source<'a>>) -> impl Iterator<Item = Result<Place, Error>> + use<'a> {
    let mut heads = BinaryHeap::new();
    let mut failed = None;
    let mut ended = false;
    for (n, source) in sources.iter_mut().enumerate() {
        match source.next() {
            Some(Ok(place)) => heads.push(Reverse((place, n))),
            Some(Err(e)) => failed = Some(e),
            None => {}
        }
    }
    let mut last: Option<Key> = None;
    std::iter::from_fn(move || {
        if let Some(e) = failed.take().filter(|_| !ended) {
            ended = true;
            return Some(Err(e));
        }
        if ended {
            return None;
        }
        let Reverse((place, n)) = heads.pop()?;
        match sources.get_mut(n).and_then(Iterator::next) {
            Some(Ok(next)) => heads.push(Reverse((next, n))),
            Some(Err(e)) => failed = Some(e),
            None => {}
        }
        let (key, index) = place;
        if last.replace(key) == Some(key) && key.is_single() {
            ended = true;
            return Some(Err(twice(index)));
        }
        Some(Ok(place))
    })
}
