//! From a medium into the station, once.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

use super::{BUFFER, Error, Name};
use crate::digest::{Digest, Hasher};

/// Copies one regular file of at most `max` octets from the medium into the directory `keep` of the station, hashing
/// the octets on their way, and calls the copy by its digest. The medium is not read again: what is judged later is the
/// copy, whatever the medium's controller would say the second time.
///
/// # Errors
/// Nothing is left in the station after any of them.
pub fn copy_in(medium: &Dir, name: &Name, max: u64, keep: &Path) -> Result<(Digest, PathBuf), Error> {
    let mut from = open_regular(medium, name)?;
    let shown = || name.to_string();
    let before = size(&from).map_err(|cause| Error::Read { name: shown(), cause })?;
    if before > max {
        return Err(Error::TooLarge { name: shown(), length: before, limit: max });
    }
    let mut copy = tempfile::Builder::new().prefix(".incoming-").tempfile_in(keep).map_err(Error::Keep)?;
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
    let digest = hasher.finish();
    copy.as_file().sync_all().map_err(Error::Keep)?;
    let path = keep.join(digest.hex());
    // The same octets may have come in before: then this replaces them by themselves.
    copy.persist(&path).map_err(|e| Error::Keep(e.error))?;
    File::open(keep).and_then(|dir| dir.sync_all()).map_err(Error::Keep)?;
    Ok((digest, path))
}

/// Opens a regular file for reading. It is looked at before it is opened, since opening a device or a pipe does
/// something, and again afterwards, since the medium may have changed in between.
pub(super) fn open_regular(medium: &Dir, name: &Name) -> Result<File, Error> {
    let shown = || name.to_string();
    let failed = |e: Errno| match e {
        Errno::NOENT => Error::Missing { name: shown() },
        Errno::LOOP => Error::NotRegular { name: shown() },
        e => Error::Read { name: shown(), cause: e.into() },
    };
    let regular = |mode| match FileType::from_raw_mode(mode) {
        FileType::RegularFile => Ok(()),
        _ => Err(Error::NotRegular { name: shown() }),
    };
    regular(statat(medium, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?.st_mode)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(medium, name.as_str(), flags, Mode::empty()).map_err(failed)?;
    regular(fstat(&file).map_err(failed)?.st_mode)?;
    Ok(File::from(file))
}

fn size(file: &File) -> std::io::Result<u64> {
    Ok(file.metadata()?.len())
}
