//! The directory of a medium, and what can be said of it before anything is read from it or written to it.

use std::ffi::OsString;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::fs::{StatVfsMountFlags, fstatvfs};

use super::{Error, Name, Source};
use crate::text::escape;

/// The most names in a directory from which something is taken.
pub const MAX_NAMES: usize = 10_000;

/// Opens the directory of a medium. A link to it is followed: it was typed by the operator, and is no part of the medium.
pub fn open(path: &Path) -> Result<Dir, Error> {
    // The empty parent of a bare file name is the working directory.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    Dir::open_ambient_dir(path, ambient_authority())
        .map_err(|cause| Error::NoMedium { path: escape(&path.display().to_string()), cause })
}

/// Every name in the directory that is UTF-8, in no order. What is listed is not yet judged: see [`Name::parse`].
pub fn list(medium: &Dir) -> Result<Vec<String>, Error> {
    Ok(raw_names(medium)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

/// Refuses a medium that is mounted read-only, and one that has less room than the files take. Sizes are counted in whole
/// blocks, names and directories are not: a medium that is full to the last block is noticed when it is written.
pub fn has_room(medium: &Dir, files: &[(Name, Source)]) -> Result<(), Error> {
    let lengths = files.iter().map(|(_, source)| source.length()).collect::<Result<Vec<_>, _>>()?;
    room_for(medium, &lengths)
}

/// The same for files whose sizes are known.
pub fn room_for(medium: &Dir, lengths: &[u64]) -> Result<(), Error> {
    let known = fstatvfs(medium)
        .map_err(|e| Error::NoMedium { path: "the directory that was opened".into(), cause: e.into() })?;
    if known.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(Error::ReadOnly);
    }
    let block = known.f_frsize.max(1);
    let needed = lengths.iter().map(|length| length.div_ceil(block)).sum::<u64>().saturating_mul(block);
    let free = known.f_bavail.saturating_mul(block);
    // A file system without a size of its own (tmpfs without one, some of FUSE) says that it has no blocks at all.
    match known.f_blocks > 0 && needed > free {
        true => Err(Error::TooSmall { needed, free }),
        false => Ok(()),
    }
}

/// Refuses a name beside which another one stands that differs in case alone: on another machine, or to a person's eye,
/// the two are one.
pub(super) fn stands_alone(medium: &Dir, name: &Name) -> Result<(), Error> {
    let folded = name.as_str().to_lowercase();
    match list(medium)?.into_iter().find(|other| other != name.as_str() && other.to_lowercase() == folded) {
        Some(other) => Err(Error::Alike { name: name.to_string(), other }),
        None => Ok(()),
    }
}

/// Refuses a directory that holds anything but exactly these names.
pub(super) fn holds_exactly<'n>(directory: &Dir, wanted: impl Iterator<Item = &'n Name> + Clone) -> Result<(), Error> {
    let found = raw_names(directory)?;
    let extra = found.iter().find(|name| !wanted.clone().any(|wanted| name.to_str() == Some(wanted.as_str())));
    if let Some(extra) = extra {
        return Err(Error::Extra { name: extra.to_string_lossy().into_owned() });
    }
    match wanted.clone().find(|wanted| !found.iter().any(|name| name.to_str() == Some(wanted.as_str()))) {
        Some(missing) => Err(Error::Missing { name: missing.to_string() }),
        None => Ok(()),
    }
}

fn raw_names(medium: &Dir) -> Result<Vec<OsString>, Error> {
    let unreadable = |cause| Error::Read { name: ".".into(), cause };
    let mut names = Vec::new();
    for entry in medium.entries().map_err(unreadable)? {
        if names.len() == MAX_NAMES {
            return Err(Error::Crowded);
        }
        names.push(entry.map_err(unreadable)?.file_name());
    }
    Ok(names)
}
