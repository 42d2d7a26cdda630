//! A recording that is kept, and what came of its states so far: all of them take hours on a busy machine, and whoever was stopped
//! goes on.
//!
//! Another program, another seed or an old recording (plans have windows) begins anew.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use coldroot::digest::Digest;
use serde::{Deserialize, Serialize};

use super::run::{Came, Recording};
use crate::harness::station::{COLDROOT, now};
use crate::harness::{copy_tree, repository};

/// Shorter than the window of a plan.
const KEPT: i64 = 5 * 86_400;

/// What a kept recording is of.
#[derive(Serialize, Deserialize, PartialEq)]
struct Of {
    program: Digest,
    seed: u64,
}

pub struct Kept {
    pub recording: Recording,
    /// What came of the states that were tried; `None`: it failed.
    pub done: BTreeMap<usize, Option<Came>>,
    file: Mutex<fs::File>,
}

impl Kept {
    /// The one that is there, if it is of use; a new one otherwise.
    pub fn open(seed: u64, anew: bool) -> Kept {
        let dir = repository().join("target/crash-sweep");
        let of = Of { program: Digest::of(&fs::read(COLDROOT).unwrap()), seed };
        let recording = match load(&dir, &of).filter(|_| !anew) {
            Some(recording) => recording,
            None => {
                let recording = Recording::new();
                save(&dir, &of, &recording);
                recording
            }
        };
        let path = dir.join("done");
        let lines = fs::read_to_string(&path).unwrap_or_default();
        // A line that was cut short is no line.
        let done = lines.split_inclusive('\n').filter_map(|line| read(line.strip_suffix('\n')?)).collect();
        let file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        Kept { recording, done, file: Mutex::new(file) }
    }

    pub fn note(&self, number: usize, came: Option<Came>) {
        let word = came.map_or("Failed".to_owned(), |came| format!("{came:?}"));
        writeln!(self.file.lock().unwrap(), "{number} {word}").unwrap();
    }
}

fn read(line: &str) -> Option<(usize, Option<Came>)> {
    let (number, word) = line.split_once(' ')?;
    let all = [Came::Again, Came::Done, Came::PlannedAnew, Came::MediumAnew];
    Some((number.parse().ok()?, all.into_iter().find(|came| format!("{came:?}") == word)))
}

fn load(dir: &Path, of: &Of) -> Option<Recording> {
    let octets = fs::read(dir.join("recording")).ok()?;
    let (was, made, recording): (Of, i64, Recording) = serde_cbor::from_slice(&octets).ok()?;
    if was != *of || now() - made > KEPT {
        return None;
    }
    copy_tree(&dir.join("carried"), recording.carried.path());
    Some(recording)
}

fn save(dir: &Path, of: &Of, recording: &Recording) {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).unwrap();
    copy_tree(recording.carried.path(), &dir.join("carried"));
    let part: PathBuf = dir.join("recording.part");
    fs::write(&part, serde_cbor::to_vec(&(of, now(), recording)).unwrap()).unwrap();
    fs::rename(part, dir.join("recording")).unwrap();
}
