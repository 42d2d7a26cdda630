//! Writing so that it is whole, and still there, after a power cut.
//!
//! A file appears under its name only when its content is on the disk: written beside it as `NAME.tmp`, flushed, renamed,
//! and the directory flushed. Whoever opens a log may therefore take every file under its real name for whole. The one
//! file that grows in place is the tail, which guards itself record by record.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::syncfs;

use super::Error;

/// So many files of a [`Batch`] wait for their flush at once.
const BATCH: usize = 512;
/// So many are flushed one by one: a flush of the file system waits for what others have written, too.
const FEW: usize = 16;

/// Puts `bytes` in the place of whatever is at `path`: after a cut, the old content or the new one, never a mixture.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let file = write_beside(path, bytes)?;
    flush_file(&file, path)?;
    rename(&beside(path), path)?;
    sync_dir(parent(path))
}

/// Creates `dir` and what is missing above it, down from `base`, which exists.
pub(crate) fn make_dirs(base: &Path, dir: &Path) -> Result<(), Error> {
    if dir == base || dir.is_dir() {
        return Ok(());
    }
    make_dirs(base, parent(dir))?;
    step().and_then(|()| fs::create_dir(dir)).map_err(Error::io(dir))?;
    sync_dir(parent(dir))
}

/// Flushes the names in a directory.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    step().and_then(|()| File::open(dir)?.sync_all()).map_err(Error::io(dir))
}

/// Flushes a file's content and length.
pub(crate) fn flush_file(file: &File, path: &Path) -> Result<(), Error> {
    step().and_then(|()| file.sync_data()).map_err(Error::io(path))
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    step().and_then(|()| fs::rename(from, to)).map_err(Error::io(to))
}

/// Many files at once: all are written before the first is flushed, so that the disk can work in its own order.
pub(crate) struct Batch<'a> {
    base: &'a Path,
    waiting: Vec<(File, PathBuf)>,
    dirs: BTreeSet<PathBuf>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(base: &'a Path) -> Batch<'a> {
        Batch { base, waiting: Vec::new(), dirs: BTreeSet::new() }
    }

    /// Writes `bytes` for `path`, a name below `base`. What is there already must be the same.
    pub(crate) fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        let target = self.base.join(path);
        make_dirs(self.base, parent(&target))?;
        // A file under its real name was flushed before it got it; only the name may still be unflushed, and the names of the
        // directories above it.
        let above = target.ancestors().skip(1).take_while(|dir| dir.starts_with(self.base));
        self.dirs.extend(above.map(Path::to_path_buf));
        match fs::read(&target) {
            Ok(there) if there == bytes => return Ok(()),
            Ok(_) => return Err(Error::TileDiffers { path: path.to_string() }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io(target)(e)),
        }
        self.waiting.push((write_beside(&target, bytes)?, target));
        match self.waiting.len() >= BATCH {
            true => self.settle(),
            false => Ok(()),
        }
    }

    /// Returns when everything added is on the disk under its name.
    pub(crate) fn commit(mut self) -> Result<(), Error> {
        self.settle()?;
        self.dirs.iter().try_for_each(|dir| sync_dir(dir))
    }

    fn settle(&mut self) -> Result<(), Error> {
        match self.waiting.as_slice() {
            // One flush of the whole file system for all of them: each flush of a file by itself would wait for the disk, which
            // is what takes the time of a large log. Since Linux 5.8 it fails for what any of them would have failed for.
            [(file, path), rest @ ..] if rest.len() >= FEW => {
                step().and_then(|()| Ok(syncfs(file)?)).map_err(Error::io(path))?;
            }
            few => few.iter().try_for_each(|(file, path)| flush_file(file, path))?,
        }
        for (_, path) in self.waiting.drain(..) {
            rename(&beside(&path), &path)?;
        }
        Ok(())
    }
}

fn write_beside(path: &Path, bytes: &[u8]) -> Result<File, Error> {
    let tmp = beside(path);
    let write = || {
        step()?;
        let mut file = File::create(&tmp)?;
        step()?;
        file.write_all(bytes)?;
        Ok(file)
    };
    write().map_err(Error::io(&tmp))
}

/// `NAME.tmp` in the same directory.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".tmp");
    PathBuf::from(name)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Every change of the disk passes here, so that tests can end the world before any one of them.
#[cfg(not(test))]
pub(crate) fn step() -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use fault::step;

#[cfg(test)]
pub(crate) mod fault {
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// Lets `steps` more changes happen on this thread, and none after them; `None` ends the failing.
    pub(crate) fn after(steps: Option<u64>) {
        LEFT.set(steps);
    }

    pub(crate) fn step() -> std::io::Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => Err(std::io::Error::other("the power is cut")),
            Some(n) => {
                LEFT.set(Some(n - 1));
                Ok(())
            }
        }
    }
}
