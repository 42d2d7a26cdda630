//! What a disk may hold after a power cut: the changes of a run in their order, and which of them were flushed when.
//!
//! Stricter than any one file system, as ALICE and CrashMonkey are (Pillai et al., OSDI 2014; Mohan et al., OSDI 2018):
//!
//! * A flush of a file makes its octets and its length durable, not its name.
//! * A flush of a directory makes the names in it durable, not the files, and not the directory's own name.
//! * Everything else may be there or not, each change by itself, in any order: a name without its octets, a later write
//!   without an earlier one, a rename before the file that it names. A rename within a directory is there whole or not at
//!   all; one between two directories may be half there.
//! * A write may be there in part, cut at a border of 512 or 4,096 octets of its file, from the front or from the back, or as length
//!   alone: zeros.
//! * On a medium with FAT a new name has no octets until the file is flushed again after it was renamed.
//!
//! The token is a device of its own: it loses nothing, and stands as it stood at the moment of the cut.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A file or directory of the recording.
pub type Inode = usize;

/// Who loses what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Area {
    Station,
    Fat,
    /// Loses nothing.
    Token,
    /// Never seen after a cut.
    Unnamed,
}

impl Area {
    pub fn loses(self) -> bool {
        matches!(self, Area::Station | Area::Fat)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Change {
    /// Names of a directory come to mean these, or nothing.
    Names {
        dir: Inode,
        names: Vec<(String, Option<Inode>)>,
    },
    Data {
        file: Inode,
        at: usize,
        #[serde(with = "serde_bytes")]
        octets: Vec<u8>,
    },
    Length {
        file: Inode,
        to: usize,
    },
    /// FAT: the new directory entry of a renamed file.
    Entry {
        file: Inode,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Op {
    Change(Change),
    Flush(Inode),
    FlushAll,
}

impl Change {
    /// What a flush must be of to make this durable.
    pub fn flushed_with(&self) -> Inode {
        match self {
            Change::Names { dir, .. } => *dir,
            Change::Data { file, .. } | Change::Length { file, .. } | Change::Entry { file } => *file,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub struct Node {
    pub area: Area,
    pub directory: bool,
    /// Octets at the beginning of the recording.
    #[serde(with = "serde_bytes")]
    octets: Vec<u8>,
    /// The operations that change its octets.
    pub changes: Vec<usize>,
}

/// An operation, and the command that made it.
#[derive(Serialize, Deserialize)]
pub struct Step {
    pub op: Op,
    pub command: usize,
    /// For people: `write audit/tail 0+4096`.
    pub what: String,
    /// The object of the token that it is about.
    pub object: Option<usize>,
}

/// A directory tree, and everything that was done to it.
#[derive(Serialize, Deserialize)]
pub struct Disk {
    pub nodes: Vec<Node>,
    /// Names at the beginning.
    pub initial: Vec<(Inode, String, Inode)>,
    now: BTreeMap<(Inode, String), Inode>,
    pub steps: Vec<Step>,
    /// Names of objects of the token.
    objects: Vec<String>,
}

/// What became of a change that was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    Lost,
    /// The first so many octets.
    Front(usize),
    /// All but the first so many octets.
    Back(usize),
    /// The length without the octets.
    Zeros,
}

/// A disk after a power cut behind the operation `at`; what is not named was kept.
#[derive(Clone, Debug)]
pub struct State {
    pub at: usize,
    pub fates: BTreeMap<usize, Fate>,
}

pub const ROOT: Inode = 0;

impl Disk {
    /// The tree as it lies in `root`; everything in it is durable.
    pub fn of(root: &Path, area: impl Fn(&str) -> Area) -> Disk {
        let mut disk = Disk {
            nodes: Vec::new(),
            initial: Vec::new(),
            now: BTreeMap::new(),
            steps: Vec::new(),
            objects: Vec::new(),
        };
        disk.node(Area::Station, true, Vec::new());
        disk.take(root, ROOT, "", &area);
        disk
    }

    fn take(&mut self, from: &Path, dir: Inode, prefix: &str, area: &impl Fn(&str) -> Area) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_str().unwrap().to_owned();
            let (path, relative) = (entry.path(), format!("{prefix}{name}"));
            let directory = entry.file_type().unwrap().is_dir();
            let octets = if directory { Vec::new() } else { fs::read(&path).unwrap() };
            let node = self.node(area(&relative), directory, octets);
            self.initial.push((dir, name.clone(), node));
            self.now.insert((dir, name), node);
            if directory {
                self.take(&path, node, &format!("{relative}/"), area);
            }
        }
    }

    pub fn node(&mut self, area: Area, directory: bool, octets: Vec<u8>) -> Inode {
        self.nodes.push(Node { area, directory, octets, changes: Vec::new() });
        self.nodes.len() - 1
    }

    /// Directory and last name of a path below the root.
    pub fn parent(&self, path: &str) -> (Inode, String) {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.find(above).unwrap_or_else(|| panic!("no directory {above}")), name.to_owned())
    }

    /// What a path names now.
    pub fn find(&self, path: &str) -> Option<Inode> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(ROOT, |dir, part| self.named(dir, part))
    }

    pub fn named(&self, dir: Inode, name: &str) -> Option<Inode> {
        self.now.get(&(dir, name.to_owned())).copied()
    }

    pub fn area(&self, node: Inode) -> Area {
        self.nodes[node].area
    }

    pub fn is_directory(&self, node: Inode) -> bool {
        self.nodes[node].directory
    }

    pub fn push(&mut self, command: usize, op: Op, what: String) {
        match &op {
            Op::Change(Change::Names { dir, names }) => {
                for (name, node) in names {
                    match node {
                        Some(node) => drop(self.now.insert((*dir, name.clone()), *node)),
                        None => drop(self.now.remove(&(*dir, name.clone()))),
                    }
                }
            }
            Op::Change(change) => {
                let at = self.steps.len();
                self.nodes[change.flushed_with()].changes.push(at);
            }
            Op::Flush(_) | Op::FlushAll => {}
        }
        let object = match &op {
            Op::Change(change) if self.area(change.flushed_with()) == Area::Token => Some(self.object(&what)),
            _ => None,
        };
        self.steps.push(Step { op, command, what, object });
    }

    /// Which object of the token an operation is about: `NAME.object` and `NAME.lock` are one. The file `generation` goes with the
    /// object before it.
    fn object(&mut self, what: &str) -> usize {
        let stem = what.split(['.', '+']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        if !stem.starts_with("generation") && self.objects.last().is_none_or(|last| last != stem) {
            self.objects.push(stem.to_owned());
        }
        self.objects.len()
    }

    /// The octets of a file now.
    pub fn octets(&self, file: Inode) -> Vec<u8> {
        self.content(file, &State { at: self.steps.len(), fates: BTreeMap::new() })
    }

    /// The octets of a file in a state.
    pub fn content(&self, file: Inode, state: &State) -> Vec<u8> {
        let mut octets = self.nodes[file].octets.clone();
        for at in self.nodes[file].changes.iter().take_while(|at| **at <= state.at) {
            let fate = state.fates.get(at);
            let Op::Change(change) = &self.steps[*at].op else { continue };
            match (change, fate) {
                (Change::Entry { .. }, Some(_)) => octets.clear(),
                (Change::Entry { .. }, None) | (_, Some(Fate::Lost)) => {}
                (Change::Length { to, .. }, _) => octets.resize(*to, 0),
                (Change::Data { at, octets: data, .. }, fate) => {
                    let (from, to) = match fate {
                        Some(Fate::Front(n)) => (0, (*n).min(data.len())),
                        Some(Fate::Back(n)) => ((*n).min(data.len()), data.len()),
                        Some(Fate::Zeros) => (data.len(), data.len()),
                        _ => (0, data.len()),
                    };
                    let end = if matches!(fate, Some(Fate::Front(_))) { at + to } else { at + data.len() };
                    if octets.len() < end {
                        octets.resize(end, 0);
                    }
                    octets[at + from..at + to].copy_from_slice(&data[from..to]);
                }
                (Change::Names { .. }, _) => {}
            }
        }
        octets
    }

    /// The names in a state: paths below the root and what they mean, directories before what is in them.
    fn names(&self, state: &State) -> Vec<(String, Inode)> {
        let mut dirs: BTreeMap<Inode, BTreeMap<&str, Inode>> = BTreeMap::new();
        for (dir, name, node) in &self.initial {
            dirs.entry(*dir).or_default().insert(name, *node);
        }
        for (at, step) in self.steps.iter().enumerate().take(state.at + 1) {
            let Op::Change(Change::Names { dir, names }) = &step.op else { continue };
            if state.fates.contains_key(&at) {
                continue;
            }
            change_names(dirs.entry(*dir).or_default(), names);
        }
        let mut found = Vec::new();
        walk(ROOT, "", &dirs, &mut found);
        found
    }

    /// Writes the tree of a state into an empty directory.
    pub fn write(&self, state: &State, to: &Path) {
        for (path, node) in self.names(state) {
            match self.nodes[node].directory {
                true => fs::create_dir(to.join(path)).unwrap(),
                false => {
                    let mut options = fs::OpenOptions::new();
                    // Keys among them are to be private.
                    let mut file = options.write(true).create_new(true).mode(0o600).open(to.join(path)).unwrap();
                    file.write_all(&self.content(node, state)).unwrap();
                }
            }
        }
    }

    pub fn change(&self, at: usize) -> &Change {
        match &self.steps[at].op {
            Op::Change(change) => change,
            other => panic!("{other:?} is no change"),
        }
    }

    /// A state in words: the operation behind which the power went, and what became of what was not flushed.
    pub fn tell(&self, state: &State) -> String {
        let mut text = format!("cut behind operation {}: {}", state.at, self.steps[state.at].what);
        for (at, fate) in &state.fates {
            text.push_str(&format!("\n  {fate:?}: operation {at}: {}", self.steps[*at].what));
        }
        text
    }
}

pub fn change_names<'a>(dir: &mut BTreeMap<&'a str, Inode>, names: &'a [(String, Option<Inode>)]) {
    for (name, node) in names {
        match node {
            Some(node) => drop(dir.insert(name, *node)),
            None => drop(dir.remove(name.as_str())),
        }
    }
}

fn walk(dir: Inode, prefix: &str, dirs: &BTreeMap<Inode, BTreeMap<&str, Inode>>, found: &mut Vec<(String, Inode)>) {
    for (name, node) in dirs.get(&dir).into_iter().flatten() {
        let path = format!("{prefix}{name}");
        found.push((path.clone(), *node));
        walk(*node, &format!("{path}/"), dirs, found);
    }
}
