//! From the station onto a medium, under new names only.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use cap_std::fs::Dir;
use rustix::fs::{
    Advice, AtFlags, Mode, OFlags, RenameFlags, fadvise, fsync, mkdirat, openat, renameat, renameat_with, statat,
    unlinkat,
};
use rustix::io::Errno;

use super::copy_in::open_regular;
use super::medium::{has_room, holds_exactly};
use super::{BUFFER, Error, Name};
use crate::digest::{Digest, Hasher};

/// Files of one [`write_out`]: each stays open until all are safe.
pub const MAX_FILES: usize = 512;

/// Where the octets of a file come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    Octets(&'a [u8]),
    /// A file of the station.
    File(&'a Path),
}

impl Source<'_> {
    pub(super) fn length(&self) -> Result<u64, Error> {
        match self {
            Source::Octets(octets) => Ok(octets.len() as u64),
            Source::File(path) => Ok(std::fs::metadata(path).map_err(|e| unreadable(path, e))?.len()),
        }
    }
}

/// A file that is on the medium and was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub name: Name,
    pub length: u64,
    pub digest: Digest,
}

/// Writes files onto a medium; all of them are there in the end, or none.
///
/// The order is law. What is on the medium after a power cut behind each line:
///
/// 0. room and write protection are looked at: nothing;
/// 1. every file under its name with `.part`, then fsync of it: unfinished files, and each says so by its name. A medium
///    that is too small is noticed here at the latest;
/// 2. every file but the last gets its name (which must be free), then fsync of the same descriptor, since Linux's vfat
///    writes size and first cluster of the renamed entry only then, and without it a power cut leaves 0 octets under the
///    final name; fsync of the directory: whole files, but the last is still `.part`. Whoever writes several that belong
///    together puts that one last without which the others are nothing;
/// 3. the last likewise: all files, whole;
/// 4. every file is opened anew, its pages are dropped from the cache, and what the medium returns is hashed and
///    compared: the same, and the medium has said so.
///
/// After a failure in any step, everything of this call is removed again. Only reading after a new mount proves more.
pub fn write_out(medium: &Dir, files: &[(Name, Source)]) -> Result<Vec<Written>, Error> {
    if files.len() > MAX_FILES {
        return Err(Error::TooMany { files: files.len() });
    }
    let mut names = HashSet::new();
    for (name, _) in files {
        // vfat and exFAT know no case.
        if !names.insert(name.as_str().to_ascii_lowercase()) {
            return Err(Error::Twice { name: name.to_string() });
        }
        free(medium, name, name.as_str())?;
        free(medium, name, &name.unfinished())?;
    }
    has_room(medium, files)?;
    let mut ours = Vec::new();
    write_all(medium, files, &mut ours).map_err(|cause| remove(medium, ours, cause))
}

/// Writes files into a new directory of the medium, as [`write_out`] does: all of it is there in the end, or none. After a
/// power cut there may be an empty directory, or one with `.part` files and without the last of `files`.
pub fn write_out_in(medium: &Dir, directory: &Name, files: &[(Name, Source)]) -> Result<Vec<Written>, Error> {
    must_be_free(medium, directory)?;
    has_room(medium, files)?;
    mkdirat(medium, directory.as_str(), Mode::from_raw_mode(0o755)).map_err(|e| failed(directory, e))?;
    let fill = || {
        sync_dir(medium).map_err(|e| failed(directory, e))?;
        let inside = medium.open_dir(directory.as_str()).map_err(|e| write_failed(directory, e))?;
        write_out(&inside, files)
    };
    fill().map_err(|cause| {
        let gone = unlinkat(medium, directory.as_str(), AtFlags::REMOVEDIR).and_then(|()| sync_dir(medium)).is_ok();
        match cause {
            cause if gone => cause,
            Error::Leftover { cause, left } => {
                Error::Leftover { cause, left: left.iter().map(|name| format!("{directory}/{name}")).collect() }
            }
            cause => Error::Leftover { cause: Box::new(cause), left: vec![directory.to_string()] },
        }
    })
}

/// Refuses a name that is taken on the medium.
pub fn must_be_free(medium: &Dir, name: &Name) -> Result<(), Error> {
    free(medium, name, name.as_str())
}

/// Compares a directory with what would be written into it: exactly these files, and in each the same octets.
pub fn compare(directory: &Dir, files: &[(Name, Source)]) -> Result<(), Error> {
    holds_exactly(directory, files.iter().map(|(name, _)| name))?;
    for (name, source) in files {
        let file = open_regular(directory, name)?;
        let length = file.metadata().map_err(|cause| Error::Read { name: name.to_string(), cause })?.len();
        // A file of another length is another file, and need not be read to its end.
        let same = length == source.length()? && hash(file, name)? == pour(source, |_| Ok(()))?.1;
        if !same {
            return Err(Error::Other { name: name.to_string() });
        }
    }
    Ok(())
}

/// `ours` holds the names that this call has made so far, whatever happens.
fn write_all(medium: &Dir, files: &[(Name, Source)], ours: &mut Vec<String>) -> Result<Vec<Written>, Error> {
    let mut open = Vec::new();
    for (name, source) in files {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(medium, name.unfinished(), flags, Mode::from_raw_mode(0o644)).map_err(|e| failed(name, e))?;
        ours.push(name.unfinished());
        let mut file = File::from(file);
        let (length, digest) = pour(source, |piece| file.write_all(piece).map_err(|e| write_failed(name, e)))?;
        file.sync_all().map_err(|e| write_failed(name, e))?;
        open.push((file, Written { name: name.clone(), length, digest }));
    }
    let Some(((_, last), _)) = open.last().zip(files.last()) else { return Ok(Vec::new()) };
    let sync = || sync_dir(medium).map_err(|e| failed(&last.name, e));
    for ((file, written), ours) in open.iter().zip(ours.iter_mut()) {
        let name = &written.name;
        if *name == last.name {
            sync()?;
        }
        rename_new(medium, name)?;
        *ours = name.to_string();
        file.sync_all().map_err(|e| write_failed(name, e))?;
    }
    sync()?;
    open.iter().try_for_each(|(_, written)| read_back(medium, written))?;
    Ok(open.into_iter().map(|(_, written)| written).collect())
}

/// Gives a source's octets away piece by piece; returns its length and digest.
fn pour(source: &Source, mut to: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(u64, Digest), Error> {
    let mut hasher = Hasher::default();
    let mut length = 0;
    let mut put = |piece: &[u8]| -> Result<(), Error> {
        hasher.update(piece);
        length += piece.len() as u64;
        to(piece)
    };
    match source {
        Source::Octets(octets) => put(octets)?,
        Source::File(path) => {
            let mut from = File::open(path).map_err(|e| unreadable(path, e))?;
            let mut buffer = vec![0; BUFFER];
            loop {
                match from.read(&mut buffer) {
                    Ok(0) => break,
                    // At most the buffer's length.
                    Ok(filled) => put(&buffer[..filled])?,
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(unreadable(path, e)),
                }
            }
        }
    }
    Ok((length, hasher.finish()))
}

fn unreadable(path: &Path, cause: std::io::Error) -> Error {
    Error::Read { name: crate::text::escape(&path.display().to_string()), cause }
}

fn free(medium: &Dir, name: &Name, path: &str) -> Result<(), Error> {
    match statat(medium, path, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(()),
        Ok(_) => Err(Error::Exists { name: path.to_string() }),
        Err(e) => Err(failed(name, e)),
    }
}

/// Gives the file its name, never over another one. A file system without RENAME_NOREPLACE (some of FUSE) has to do
/// with the look beforehand: one station writes to a medium at a time.
fn rename_new(medium: &Dir, name: &Name) -> Result<(), Error> {
    let part = name.unfinished();
    match renameat_with(medium, &part, medium, name.as_str(), RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(Error::Exists { name: name.to_string() }),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            free(medium, name, name.as_str())?;
            renameat(medium, &part, medium, name.as_str()).map_err(|e| failed(name, e))
        }
        Err(e) => Err(failed(name, e)),
    }
}

/// A [`Dir`] may be a bare O_PATH descriptor, which cannot be flushed: open the directory for reading first.
fn sync_dir(medium: &Dir) -> Result<(), Errno> {
    fsync(openat(medium, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn read_back(medium: &Dir, written: &Written) -> Result<(), Error> {
    let name = || written.name.to_string();
    let file = open_regular(medium, &written.name)?;
    // The pages are clean after the fsync, so the kernel drops them and the octets come from the medium.
    fadvise(&file, 0, None, Advice::DontNeed).map_err(|e| Error::Read { name: name(), cause: e.into() })?;
    match hash(file, &written.name)? {
        found if found == written.digest => Ok(()),
        found => Err(Error::ReadBack { name: name(), wanted: written.digest, found }),
    }
}

fn hash(file: File, name: &Name) -> Result<Digest, Error> {
    Digest::read(file).map_err(|cause| Error::Read { name: name.to_string(), cause })
}

/// Takes away what this call has made, and says so when it cannot.
fn remove(medium: &Dir, ours: Vec<String>, cause: Error) -> Error {
    let gone = |name: &String| matches!(unlinkat(medium, name, AtFlags::empty()), Ok(()) | Err(Errno::NOENT));
    let mut left: Vec<String> = ours.iter().filter(|name| !gone(name)).cloned().collect();
    if sync_dir(medium).is_err() {
        // Removed in memory only: on the medium all of it may still be there.
        left = ours;
    }
    match left.is_empty() {
        true => cause,
        false => Error::Leftover { cause: Box::new(cause), left },
    }
}

fn failed(name: &Name, e: Errno) -> Error {
    write_failed(name, e.into())
}

fn write_failed(name: &Name, cause: std::io::Error) -> Error {
    let shown = name.to_string();
    match Errno::from_io_error(&cause) {
        Some(Errno::NOSPC | Errno::DQUOT) => Error::Full { name: shown },
        Some(Errno::ROFS) => Error::ReadOnly,
        Some(Errno::EXIST) => Error::Exists { name: shown },
        Some(Errno::FBIG) => Error::FileTooLarge { name: shown },
        // A file of a name that was just made, or a new one in an open directory: only the directory itself can be missing.
        Some(Errno::NODEV | Errno::NXIO | Errno::STALE | Errno::NOTCONN | Errno::NOENT) => Error::Gone { name: shown },
        _ => Error::Write { name: shown, cause },
    }
}
