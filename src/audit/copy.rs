//! The log's copy on a second medium: brought up to the log after each mark, and read by `check` and by a restore alone.
//!
//! Of what lies there the station reads one thing: how far the copy has got, so that it goes on behind it. A copy that holds
//! more than the log, or something else, is left as it is: it may be all that is left of the truth.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::durable::{self, Batch};
use super::tail::{Header, Tail};
use super::tiles::{self, Tiles};
use super::{Error as LogError, View, paper};
use crate::digest::Digest;

/// What a copy consists of.
const NAMES: [&str; 5] = ["artefact", "tile", "checkpoint", "tail", paper::FILE];

/// Why a copy was not brought up to the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no directory {}", shown(.0))]
    Missing(PathBuf),
    #[error("{} holds `{name}`, which is no part of a log", shown(.dir))]
    Foreign { dir: PathBuf, name: String },
    #[error("the copy in {} has {copy} entries, this log {log}", shown(.dir))]
    Ahead { dir: PathBuf, copy: u64, log: u64 },
    #[error("the copy in {} is of another log: another root at {size} entries", shown(.dir))]
    Other { dir: PathBuf, size: u64 },
    #[error("the copy in {} cannot be read: {source}", shown(.dir))]
    Damaged { dir: PathBuf, source: Box<LogError> },
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> String {
        let hint = match self {
            Error::Missing(dir) => {
                return format!(
                    "mount the medium with the copy; a new one: mkdir {dir}; or name another with --copy DIR",
                    dir = crate::text::shell(dir)
                );
            }
            Error::Foreign { .. } => "name an empty directory, or the one that holds the copy: --copy DIR",
            Error::Ahead { dir, .. } => {
                return format!("audit/ is an old state of the log: coldroot restore {}", crate::text::shell(dir));
            }
            Error::Other { .. } => {
                "keep both as evidence and find out which is true; is the copy another station's, name the right medium"
            }
            Error::Damaged { .. } => "keep it as evidence, and name an empty directory on another medium: --copy DIR",
            Error::Log(_) => "see to the medium (full, read-only, pulled out), or name another one: --copy DIR",
        };
        hint.into()
    }
}

/// How far a copy was brought, and what was written for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    pub size: u64,
    pub root: Digest,
    pub files: u64,
}

/// Brings the copy in `to`, a directory that exists, up to the log: what it lacks is written, nothing else. The log's tail
/// must have been flushed, and nobody else may write to either.
///
/// At each moment the copy is a log of its earlier size or of the new one. On the medium after a cut *behind* each line:
///
/// ```text
/// 1 artefacts           the copy as it was, and files that its entries do not name yet
/// 2 tiles               as 1, and tiles wider than its checkpoint, as after line 3 of `Log::checkpoint`
/// 3 checkpoint renamed  the log up to its checkpoint; the copy's old tail repeats entries that the tiles hold, or there is
///                       none yet: a published copy
/// 4 tail renamed        the log, whole, unsealed entries too
/// 5 mark renamed        the mark of this log, where it lies in the directory; before, an older one, or none
/// 6 old edges removed   partial tiles whose full tile is there
/// ```
/// A first copy becomes a log at line 3. The next call does what is missing.
pub fn bring_over(to: &Path, log: &View) -> Result<Copied, Error> {
    let old = judge(to, log)?;
    let new = log.sealed_size();
    let mut files = artefacts(log.dir(), to)?; // 1
    let mut batch = Batch::new(to);
    for path in tiles::paths_between(old, new) {
        let from = log.dir().join(&path);
        batch.add(&path, &fs::read(&from).map_err(LogError::io(from))?)?;
        files += 1;
    }
    batch.commit()?; // 2
    // The mark last: it never knows more than the log beside it.
    for name in ["checkpoint", "tail", paper::FILE] {
        let from = log.dir().join(name);
        if from.exists() {
            copy_file(&from, &to.join(name))?; // 3, 4, 5
            files += 1;
        }
    }
    Tiles::new(to).prune(old, new)?; // 6
    Ok(Copied { size: log.size(), root: log.root()?, files })
}

/// Makes a log in `to`, an empty directory, out of a copy that was checked. The copy's tail may be missing, or be of a size
/// before its checkpoint's, whose tiles are not brought along: the new one begins at the checkpoint.
pub fn restore(copy: &View, to: &Path) -> Result<(), Error> {
    bring_over(to, copy)?;
    let base = copy.sealed_size();
    let kept = match &copy.tail {
        Some(tail) if tail.base() == base => return Ok(()),
        Some(tail) => tail.from(base)?,
        None => Vec::new(),
    };
    let header = Header { base, root: copy.root_at(base)?, origin: copy.origin().to_string() };
    Ok(Tail::create(&to.join("tail"), &header, &kept)?)
}

/// The sealed size of the copy that is there, 0 for none yet. It must be an earlier state of this log.
fn judge(to: &Path, log: &View) -> Result<u64, Error> {
    let dir = || to.to_path_buf();
    if !to.is_dir() {
        return Err(Error::Missing(dir()));
    }
    for name in names(to)? {
        let name = name.to_string_lossy().into_owned();
        if !NAMES.contains(&name.trim_end_matches(".tmp")) {
            return Err(Error::Foreign { dir: dir(), name: crate::text::escape(&name) });
        }
    }
    if !["checkpoint", "tail"].iter().any(|name| to.join(name).exists()) {
        return Ok(0);
    }
    let copy = View::read(to).map_err(|source| Error::Damaged { dir: dir(), source: Box::new(source) })?;
    if copy.size() > log.size() {
        return Err(Error::Ahead { dir: dir(), copy: copy.size(), log: log.size() });
    }
    if copy.origin() != log.origin() || copy.root()? != log.root_at(copy.size())? {
        return Err(Error::Other { dir: dir(), size: copy.size() });
    }
    Ok(copy.sealed_size())
}

/// Every artefact that the copy lacks, by name: what has its name is whole.
fn artefacts(from: &Path, to: &Path) -> Result<u64, Error> {
    let mut written = 0;
    for shelf in names(&from.join("artefact"))? {
        let from = from.join("artefact").join(&shelf);
        if !from.is_dir() {
            continue;
        }
        let shelf = to.join("artefact").join(&shelf);
        let there = names(&shelf)?;
        for name in names(&from)?.difference(&there) {
            durable::make_dirs(to, &shelf)?;
            copy_file(&from.join(name), &shelf.join(name))?;
            written += 1;
        }
    }
    Ok(written)
}

/// The names in a directory; none when there is no such directory.
fn names(dir: &Path) -> Result<BTreeSet<OsString>, LogError> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|e| Ok(e.map_err(LogError::io(dir))?.file_name())).collect(),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(e) => Err(LogError::io(dir)(e)),
    }
}

/// Puts a file of any size under its name when it is whole on the medium.
fn copy_file(from: &Path, to: &Path) -> Result<(), LogError> {
    let tmp = durable::beside(to);
    let mut source = File::open(from).map_err(LogError::io(from))?;
    let mut write = || -> std::io::Result<File> {
        durable::step()?;
        let mut file = File::create(&tmp)?;
        durable::step()?;
        std::io::copy(&mut source, &mut file)?;
        Ok(file)
    };
    let file = write().map_err(LogError::io(&tmp))?;
    durable::flush_file(&file, &tmp)?;
    durable::rename(&tmp, to)?;
    durable::sync_dir(to.parent().unwrap_or(to))
}

fn shown(path: &Path) -> String {
    crate::text::path(path)
}

#[cfg(test)]
mod tests {
    use super::super::Log;
    use super::super::check::check;
    use super::super::station::{Signer, entry, scratch, written};
    use super::*;
    use crate::audit::entry::Body;

    fn grow(log: &mut Log, signer: &mut Signer, to: u64) {
        for index in log.size()..to {
            let mut new = entry(index);
            if index % 40 == 4 {
                let report = log.put_artefact(format!("artefact {index}").as_bytes()).unwrap();
                let (token, serial) = ("t".into(), "s".into());
                new.body = Body::Inventory { token, serial, report, right: 0, missing: 0, wrong: 0, unexpected: 0 };
            }
            log.append(&new).unwrap();
        }
        log.checkpoint(signer).unwrap();
    }

    /// Every file that counts, with what it holds.
    fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for item in fs::read_dir(dir).unwrap() {
            let path = item.unwrap().path();
            match path.is_dir() {
                true => found.extend(tree(&path)),
                false => found.push((path.clone(), fs::read(&path).unwrap())),
            }
        }
        found.sort();
        found
    }

    fn relative(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        tree(dir).into_iter().map(|(p, bytes)| (p.strip_prefix(dir).unwrap().to_path_buf(), bytes)).collect()
    }

    fn copy_of(dir: &Path) -> PathBuf {
        let to = dir.join("copy");
        fs::create_dir_all(&to).unwrap();
        to
    }

    #[test]
    fn p04_a_copy_is_the_log_file_by_file_and_only_what_is_new_is_written() {
        let dir = scratch();
        let mut signer = Signer::new();
        let mut log = written(dir.path(), &mut signer, &[3]);
        let to = copy_of(dir.path());
        for size in [3, 3, 4, 255, 256, 257, 700] {
            grow(&mut log, &mut signer, size);
            let copied = bring_over(&to, &log).unwrap();
            assert_eq!((copied.size, copied.root), (size, log.root().unwrap()));
            assert_eq!(relative(&to), relative(log.dir()), "{size}");
            check(&to, signer.key()).unwrap();
        }
        // Unsealed entries go along, and nothing is written a second time.
        log.append(&entry(700)).unwrap();
        log.sync().unwrap();
        let before = fs::metadata(to.join("tile/entries/000")).unwrap().modified().unwrap();
        assert_eq!(bring_over(&to, &log).unwrap().files, 2);
        assert_eq!(View::read(&to).unwrap().size(), 701);
        assert_eq!(fs::metadata(to.join("tile/entries/000")).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn p04_a_copy_is_a_log_of_some_earlier_size_after_a_cut_at_any_step_and_goes_on_from_there() {
        for (first, second) in [(0, 5), (5, 5), (5, 300), (250, 256), (256, 600), (300, 301)] {
            for steps in 0.. {
                let dir = scratch();
                let mut signer = Signer::new();
                let mut log = written(dir.path(), &mut signer, &[1]);
                let to = copy_of(dir.path());
                if first > 0 {
                    grow(&mut log, &mut signer, first);
                    log.append(&entry(first)).unwrap();
                    log.sync().unwrap();
                    bring_over(&to, &log).unwrap();
                }
                let wanted = second.max(log.size());
                grow(&mut log, &mut signer, wanted);
                let whole = log.size();
                durable::fault::after(Some(steps));
                let stopped = bring_over(&to, &log).is_err();
                durable::fault::after(None);
                match check(&to, signer.key()) {
                    Ok(report) => assert!([first, whole].contains(&report.size), "{first} {second} {steps}"),
                    Err(e) => assert!(first == 0 && stopped && !to.join("checkpoint").exists(), "{steps}: {e}"),
                }
                if stopped && to.join("checkpoint").exists() {
                    // As it stands it can be restored, unsealed entries of its old tail and all.
                    let back = dir.path().join("back");
                    fs::create_dir(&back).unwrap();
                    restore(&View::read(&to).unwrap(), &back).unwrap();
                    let mut back = Log::open(&back).unwrap();
                    assert_eq!(back.root().unwrap(), log.root_at(back.size()).unwrap());
                    back.append(&entry(1)).unwrap();
                }
                bring_over(&to, &log).unwrap();
                check(&to, signer.key()).unwrap();
                // Partial tiles of an old edge may be left in either.
                let counts = |(p, _): &(PathBuf, Vec<u8>)| {
                    let name = p.to_string_lossy();
                    !name.contains(".p/") && !name.ends_with(".tmp")
                };
                let [truth, held] =
                    [log.dir(), &to].map(|dir| relative(dir).into_iter().filter(counts).collect::<Vec<_>>());
                assert!(held == truth, "{first} {second} {steps}");
                if !stopped {
                    assert!(steps > 5);
                    break;
                }
            }
        }
    }

    #[test]
    fn p04_what_is_no_earlier_state_of_the_log_is_left_as_it_is() {
        let dir = scratch();
        let mut signer = Signer::new();
        let mut log = written(dir.path(), &mut signer, &[3, 20]);
        let to = copy_of(dir.path());
        assert!(matches!(bring_over(&dir.path().join("nowhere"), &log), Err(Error::Missing(_))));
        let refused = |log: &View, fits: &dyn Fn(&Error) -> bool| {
            let before = tree(&to);
            let e = bring_over(&to, log).unwrap_err();
            assert!(fits(&e) && !e.hint().is_empty(), "{e}");
            assert_eq!(tree(&to), before);
        };
        fs::write(to.join("holiday.jpg"), b"x").unwrap();
        refused(&log, &|e| matches!(e, Error::Foreign { name, .. } if name == "holiday.jpg"));
        fs::remove_file(to.join("holiday.jpg")).unwrap();
        let old = dir.path().join("old");
        fs::create_dir(&old).unwrap();
        bring_over(&old, &log).unwrap();
        grow(&mut log, &mut signer, 400);
        bring_over(&to, &log).unwrap();
        // The log was put back; it was put back and grown again otherwise; another log.
        refused(&View::read(&old).unwrap(), &|e| matches!(e, Error::Ahead { copy: 400, log: 20, .. }));
        let mut fork = Log::open(&old).unwrap();
        for index in 20..500 {
            fork.append(&entry(index + 7)).unwrap();
        }
        fork.sync().unwrap();
        refused(&fork, &|e| matches!(e, Error::Other { size: 400, .. }));
        // Damage.
        let tile = to.join("tile/1/000.p/1");
        fs::write(&tile, [0; 32]).unwrap();
        refused(&log, &|e| matches!(e, Error::Damaged { .. }));
    }
}
