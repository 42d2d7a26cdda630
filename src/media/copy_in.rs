//! From a medium into the station, once.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, statat};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::medium::{holds_exactly, stands_alone};
use super::{BUFFER, Error, Name};
use crate::digest::{Digest, Hasher};

/// How a copy is called that is not finished, and how many random characters follow.
const UNFINISHED: &str = ".incoming-";
const RANDOM: usize = 6;

/// Copies one regular file of at most `max` octets from the medium into the directory `keep` of the station, hashing
/// the octets on their way, and calls the copy by its digest. The medium is not read again: what is judged later is the
/// copy, whatever the medium's controller would say the second time.
///
/// # Errors
/// Nothing is left in the station after any of them.
pub fn copy_in(medium: &Dir, name: &Name, max: u64, keep: &Path) -> Result<(Digest, PathBuf), Error> {
    stands_alone(medium, name)?;
    let (digest, copy) = copy(medium, name, max, keep)?;
    let path = keep.join(digest.hex());
    // The same octets may have come in before: then this replaces them by themselves.
    copy.persist(&path).map_err(|e| Error::Keep(e.error))?;
    File::open(keep).and_then(|dir| dir.sync_all()).map_err(Error::Keep)?;
    Ok((digest, path))
}

/// Copies a directory that holds exactly the files of `set` (name, most octets) and nothing else, each as [`copy_in`] does,
/// under its own name into `keep`.
///
/// # Errors
/// Nothing is left in the station after any of them.
pub fn copy_set(medium: &Dir, set: &[(Name, u64)], keep: &Path) -> Result<(), Error> {
    holds_exactly(medium, set.iter().map(|(name, _)| name))?;
    let mut copies = Vec::new();
    for (name, max) in set {
        copies.push((name, copy(medium, name, *max, keep)?.1));
    }
    for (name, copy) in copies {
        copy.persist_noclobber(keep.join(name.as_str())).map_err(|e| Error::Keep(e.error))?;
    }
    File::open(keep).and_then(|dir| dir.sync_all()).map_err(Error::Keep)
}

/// Whether a file of `keep` with this name is a copy that [`copy_in`] has made, or had begun to make.
pub fn is_copy(name: &str) -> bool {
    let digest = |name: &str| name.len() == 64 && name.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
    digest(name) || name.strip_prefix(UNFINISHED).is_some_and(|rest| rest.len() == RANDOM)
}

/// The copy, flushed, without a name of its own yet: dropped, it is gone.
fn copy(medium: &Dir, name: &Name, max: u64, keep: &Path) -> Result<(Digest, NamedTempFile), Error> {
    let mut from = open_regular(medium, name)?;
    let shown = || name.to_string();
    let before = from.metadata().map_err(|cause| Error::Read { name: shown(), cause })?.len();
    if before > max {
        return Err(Error::TooLarge { name: shown(), length: before, limit: max });
    }
    let mut copy =
        tempfile::Builder::new().prefix(UNFINISHED).rand_bytes(RANDOM).tempfile_in(keep).map_err(Error::Keep)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER];
    let mut after = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(Error::Read { name: shown(), cause }),
        };
        after += read as u64;
        // The size was looked at before; a file that grows while it is read must not fill the station.
        if after > max {
            return Err(Error::TooLarge { name: shown(), length: after, limit: max });
        }
        // `read` is at most the buffer's length.
        let piece = &buffer[..read];
        hasher.update(piece);
        copy.write_all(piece).map_err(Error::Keep)?;
    }
    if after != before {
        return Err(Error::Changed { name: shown(), before, after });
    }
    copy.as_file().sync_all().map_err(Error::Keep)?;
    Ok((hasher.finish(), copy))
}

/// Opens a regular file for reading. It is looked at before it is opened, since opening a device or a pipe does
/// something, and again afterwards, since the medium may have changed in between.
pub(super) fn open_regular(medium: &Dir, name: &Name) -> Result<File, Error> {
    let shown = || name.to_string();
    let failed = |e: Errno| match e {
        Errno::NOENT => Error::Missing { name: shown() },
        Errno::LOOP => Error::NotRegular { name: shown() },
        Errno::XDEV => Error::Elsewhere { name: shown() },
        e => Error::Read { name: shown(), cause: e.into() },
    };
    let regular = |stat: &Stat| match FileType::from_raw_mode(stat.st_mode) {
        // A second name may be anywhere in the file system: what is read here would be changed there, or would never have
        // been put here by who wrote the medium. File systems without hard links say 1, or nothing.
        FileType::RegularFile if stat.st_nlink > 1 => Err(Error::Linked { name: shown() }),
        FileType::RegularFile => Ok(()),
        _ => Err(Error::NotRegular { name: shown() }),
    };
    regular(&statat(medium, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?)?;
    let file = open_beneath(medium, name).map_err(failed)?;
    regular(&fstat(&file).map_err(failed)?)?;
    Ok(File::from(file))
}

/// Opens without following links, waiting for a pipe's writer, or leaving the mount. Kernels before 5.6, and some
/// containers, do not know openat2: then the file's device number must be its directory's. That is not asked where openat2
/// has answered, since an overlay may give the files of its layers device numbers of their own.
fn open_beneath(medium: &Dir, name: &Name) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match openat2(medium, name.as_str(), flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => {}
        answered => return answered,
    }
    let file = openat(medium, name.as_str(), flags, Mode::empty())?;
    match fstat(&file)?.st_dev == fstat(medium)?.st_dev {
        true => Ok(file),
        false => Err(Errno::XDEV),
    }
}
