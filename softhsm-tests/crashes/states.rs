//! Which states a power cut may leave at each moment of a recording.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use coldroot::digest::Digest;

use super::disk::{Change, Disk, Fate, Inode, Op, ROOT, State, change_names};
use crate::harness::draw::Draw;

const SECTOR: usize = 512;
const PAGE: usize = 4096;
/// Random choices for each moment.
const DRAWN: usize = 4;

impl Disk {
    /// The states after a power cut at every moment of the recording, each once; what is drawn follows from the seed.
    pub fn states(&self, seed: u64) -> Vec<State> {
        let (mut draw, mut open, mut found) = (Draw(seed), Vec::new(), Vec::new());
        let (mut seen, mut known) = (HashSet::new(), Known::default());
        for (dir, name, node) in &self.initial {
            known.names.entry(*dir).or_default().insert(name, *node);
        }
        for (at, step) in self.steps.iter().enumerate() {
            match &step.op {
                Op::Change(change) if self.nodes[change.flushed_with()].area.loses() => open.push(at),
                Op::Change(change) => known.keep(change),
                Op::Flush(_) | Op::FlushAll => {
                    let flushed = |at: &usize| match &step.op {
                        Op::Flush(node) => self.change(*at).flushed_with() == *node,
                        _ => true,
                    };
                    open.iter().filter(|at| flushed(at)).for_each(|at| known.keep(self.change(*at)));
                    open.retain(|at| !flushed(at));
                    let there = self.reachable(&open, &known);
                    open.retain(|at| there.contains(&self.change(*at).flushed_with()));
                }
            }
            if self.within_the_token(at) {
                continue;
            }
            for fates in self.choices(&open, &mut draw) {
                let state = State { at, fates };
                if seen.insert(self.fingerprint(&state, &open, &mut known)) {
                    found.push(state);
                }
            }
        }
        found
    }

    /// What may have a name after a cut.
    fn reachable(&self, open: &[usize], known: &Known) -> HashSet<Inode> {
        let mut children: HashMap<Inode, Vec<Inode>> =
            known.names.iter().map(|(dir, names)| (*dir, names.values().copied().collect())).collect();
        for at in open {
            if let Change::Names { dir, names } = self.change(*at) {
                children.entry(*dir).or_default().extend(names.iter().filter_map(|(_, node)| *node));
            }
        }
        let (mut found, mut next) = (HashSet::from([ROOT]), vec![ROOT]);
        while let Some(dir) = next.pop() {
            let new = children.get(&dir).into_iter().flatten().filter(|node| found.insert(**node));
            next.extend(new);
        }
        found
    }

    /// A token does what it is asked whole or not at all; SoftHSM needs many writes for one object.
    fn within_the_token(&self, at: usize) -> bool {
        match (self.steps[at].object, self.steps.get(at + 1).map(|next| next.object)) {
            (Some(this), Some(Some(next))) => this == next,
            _ => false,
        }
    }

    /// What may have become of these changes: all kept, none, each alone lost, each alone kept, the last write of each file torn,
    /// and some random choices.
    fn choices(&self, open: &[usize], draw: &mut Draw) -> Vec<BTreeMap<usize, Fate>> {
        let lost = |kept: Option<usize>| -> BTreeMap<usize, Fate> {
            open.iter().filter(|at| Some(**at) != kept).map(|at| (*at, Fate::Lost)).collect()
        };
        let mut choices = vec![BTreeMap::new(), lost(None)];
        for at in open {
            choices.push(BTreeMap::from([(*at, Fate::Lost)]));
            choices.push(lost(Some(*at)));
        }
        let mut torn = HashSet::new();
        for at in open.iter().rev() {
            if let Change::Data { file, at: place, octets } = self.change(*at)
                && torn.insert(*file)
            {
                let tears = tears(*place, octets.len(), draw);
                choices.extend(tears.into_iter().map(|tear| BTreeMap::from([(*at, tear)])));
            }
        }
        for _ in 0..DRAWN {
            let fate = |at: &usize, draw: &mut Draw| match (self.change(*at), draw.below(3)) {
                (_, 0) => None,
                (Change::Data { at: place, octets, .. }, 1) => {
                    let tears = tears(*place, octets.len(), draw);
                    Some((*at, tears[draw.below(tears.len())]))
                }
                _ => Some((*at, Fate::Lost)),
            };
            choices.push(open.iter().filter_map(|at| fate(at, draw)).collect());
        }
        choices
    }

    /// Stands for everything in a state, and for the command that was cut.
    fn fingerprint<'a>(&'a self, state: &State, open: &[usize], known: &mut Known<'a>) -> u64 {
        let mut touched: HashMap<Inode, BTreeMap<&str, Inode>> = HashMap::new();
        for at in open.iter().filter(|at| !state.fates.contains_key(at)) {
            if let Change::Names { dir, names } = self.change(*at) {
                let of_dir = touched.entry(*dir).or_insert_with(|| known.names.get(dir).cloned().unwrap_or_default());
                change_names(of_dir, names);
            }
        }
        let mut hasher = DefaultHasher::new();
        self.steps[state.at].command.hash(&mut hasher);
        let mut dirs = vec![ROOT];
        while let Some(dir) = dirs.pop() {
            let Some(names) = touched.get(&dir).or(known.names.get(&dir)) else { continue };
            for (name, node) in names {
                name.hash(&mut hasher);
                if self.nodes[*node].directory {
                    (dirs.len(), true).hash(&mut hasher);
                    dirs.push(*node);
                    continue;
                }
                let changes = &self.nodes[*node].changes;
                let made = changes.partition_point(|at| *at <= state.at);
                let fates = changes[..made].iter().filter_map(|at| Some((*at, *state.fates.get(at)?))).collect();
                let content = known.contents.entry((*node, made, fates));
                content.or_insert_with(|| Digest::of(&self.content(*node, state))).0.hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

/// A file's content: how many changes were made to it, and what became of those that were not flushed.
type Version = (Inode, usize, Vec<(usize, Fate)>);

/// What all states of a moment have in common, and contents that were looked at.
#[derive(Default)]
struct Known<'a> {
    /// Names that are durable.
    names: BTreeMap<Inode, BTreeMap<&'a str, Inode>>,
    contents: HashMap<Version, Digest>,
}

impl<'a> Known<'a> {
    fn keep(&mut self, change: &'a Change) {
        if let Change::Names { dir, names } = change {
            change_names(self.names.entry(*dir).or_default(), names);
        }
    }
}

/// The ways in which a write of so many octets at this place of its file is torn: at a border of the file.
fn tears(place: usize, length: usize, draw: &mut Draw) -> Vec<Fate> {
    let mut tears = vec![Fate::Zeros];
    for border in [SECTOR, PAGE] {
        let first = border - place % border;
        if length > first {
            let at = first + border * draw.below(1 + (length - 1 - first) / border);
            tears.extend([Fate::Front(at), Fate::Back(at)]);
        }
    }
    tears
}
