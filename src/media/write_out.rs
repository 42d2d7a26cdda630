//! From the station onto a medium, under new names only.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use cap_std::fs::Dir;
use rustix::fs::{
    Advice, AtFlags, Mode, OFlags, RenameFlags, fadvise, fsync, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::copy_in::open_regular;
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

/// A file that is on the medium and was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub name: Name,
    pub length: u64,
    pub digest: Digest,
}

/// Writes files onto a medium; all of them are there in the end, or none.
///
/// The order is law:
///
/// 1. every file under its name with `.part`, then fsync of it: a medium that is too small is noticed here, when
///    nothing looks finished;
/// 2. every file gets its name (which must be free), then fsync of the same descriptor: Linux's vfat writes size and
///    first cluster of the renamed entry only then, and without it a power cut leaves 0 octets under the final name;
/// 3. fsync of the directory;
/// 4. every file is opened anew, its pages are dropped from the cache, and what the medium returns is hashed and
///    compared.
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
        must_be_free(medium, name, name.as_str())?;
        must_be_free(medium, name, &name.unfinished())?;
    }
    let mut ours = Vec::new();
    write_all(medium, files, &mut ours).map_err(|cause| remove(medium, ours, cause))
}

/// `ours` holds the names that this call has made so far, whatever happens.
fn write_all(medium: &Dir, files: &[(Name, Source)], ours: &mut Vec<String>) -> Result<Vec<Written>, Error> {
    let mut open = Vec::new();
    for (name, source) in files {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(medium, name.unfinished(), flags, Mode::from_raw_mode(0o644)).map_err(|e| failed(name, e))?;
        ours.push(name.unfinished());
        let mut file = File::from(file);
        let (length, digest) = pour(name, source, &mut file)?;
        file.sync_all().map_err(|e| write_failed(name, e))?;
        open.push((file, Written { name: name.clone(), length, digest }));
    }
    for ((file, written), ours) in open.iter().zip(ours.iter_mut()) {
        let name = &written.name;
        rename_new(medium, name)?;
        *ours = name.to_string();
        file.sync_all().map_err(|e| write_failed(name, e))?;
    }
    let Some(((_, last), _)) = open.last().zip(files.last()) else { return Ok(Vec::new()) };
    sync_dir(medium).map_err(|e| failed(&last.name, e))?;
    open.iter().try_for_each(|(_, written)| read_back(medium, written))?;
    Ok(open.into_iter().map(|(_, written)| written).collect())
}

/// Copies a source into the open file; gives its length and digest.
fn pour(name: &Name, source: &Source, to: &mut File) -> Result<(u64, Digest), Error> {
    let mut hasher = Hasher::default();
    let mut length = 0;
    let mut put = |piece: &[u8]| -> Result<(), Error> {
        hasher.update(piece);
        length += piece.len() as u64;
        to.write_all(piece).map_err(|e| write_failed(name, e))
    };
    match source {
        Source::Octets(octets) => put(octets)?,
        Source::File(path) => {
            let read = |cause| Error::Read { name: crate::text::escape(&path.display().to_string()), cause };
            let mut from = File::open(path).map_err(read)?;
            let mut buffer = vec![0; BUFFER];
            loop {
                match from.read(&mut buffer) {
                    Ok(0) => break,
                    // At most the buffer's length.
                    Ok(filled) => put(&buffer[..filled])?,
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(read(e)),
                }
            }
        }
    }
    Ok((length, hasher.finish()))
}

fn must_be_free(medium: &Dir, name: &Name, path: &str) -> Result<(), Error> {
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
            must_be_free(medium, name, name.as_str())?;
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
    let mut file = open_regular(medium, &written.name)?;
    // The pages are clean after the fsync, so the kernel drops them and the octets come from the medium.
    fadvise(&file, 0, None, Advice::DontNeed).map_err(|e| Error::Read { name: name(), cause: e.into() })?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            // At most the buffer's length.
            Ok(filled) => hasher.update(&buffer[..filled]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(Error::Read { name: name(), cause }),
        }
    }
    match hasher.finish() {
        found if found == written.digest => Ok(()),
        found => Err(Error::ReadBack { name: name(), wanted: written.digest, found }),
    }
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
    match cause.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Full { name: name.to_string() },
        std::io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly,
        std::io::ErrorKind::AlreadyExists => Error::Exists { name: name.to_string() },
        _ => Error::Write { name: name.to_string(), cause },
    }
}
