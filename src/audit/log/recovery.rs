//! A log brought, after any stop, to where [`super::Log::checkpoint`] would have left it, by the steps of that function.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::super::note::{self, VerifierKey};
use super::super::tail::{Header, Tail};
use super::super::tiles::Tiles;
use super::super::view::{fits, read_checkpoint};
use super::super::{Error, View, durable, merkle};

/// The normal path run again from whatever the last process left; see [`super::Log::checkpoint`].
pub(super) fn recover(dir: &Path) -> Result<View, Error> {
    let checkpoint = read_checkpoint(dir)?;
    let sealed = checkpoint.as_ref().map_or(0, |(c, _)| c.size);
    let tail = match Tail::open(&dir.join("tail"), true)? {
        Some(tail) => tail,
        None if checkpoint.is_some() => return Err(Error::TailMissing { size: sealed }),
        None => return Err(Error::NotALog(dir.to_path_buf())),
    };
    let origin = checkpoint.as_ref().map_or(&tail.header().origin, |(c, _)| &c.origin).clone();
    fits(&tail, &origin, sealed)?;
    let (base, base_root, end) = (tail.base(), tail.header().root, tail.end());
    for name in ["tail", "checkpoint"] {
        remove_if_there(&durable::beside(&dir.join(name)))?;
    }
    let mut view = View { dir: dir.to_path_buf(), origin, sealed, checkpoint, tiles: Tiles::new(dir), tail: None };
    if base < sealed && end >= sealed {
        // Stopped behind line 3 or 4: the tail can still give every tile since its base.
        view.sealed = base;
        view.tail = Some(tail);
        if view.root_at(base)? != base_root {
            return Err(Error::TailOther { base });
        }
        if view.checkpoint.as_ref().is_some_and(|(c, _)| view.root_at(sealed).ok() != Some(c.root)) {
            return Err(Error::RootDiffers { size: sealed });
        }
        write_tiles(&view, sealed)?;
        view.sealed = sealed;
        view.compare_edge()?;
    } else {
        view.compare_edge()?;
        if merkle::root(&view, base)? != base_root {
            return Err(Error::TailOther { base });
        }
        view.compare_tail(&tail)?;
        view.tail = Some(tail);
    }
    if view.checkpoint.is_some() {
        let key = VerifierKey::parse(&view.genesis()?.verifier_key)?;
        note::open(view.checkpoint_text().unwrap_or_default(), &key)?;
    }
    tail_of(&mut view)?.cut()?;
    rotate(&mut view)?;
    Ok(view)
}

/// Writes the tiles from the sealed size up to `size` out of the tail.
pub(super) fn write_tiles(view: &View, size: u64) -> Result<(), Error> {
    let Some(tail) = &view.tail else { return Ok(()) };
    let new = usize::try_from(size - view.sealed).unwrap_or(usize::MAX);
    let leaves = tail.leaves_from(view.sealed);
    let leaves = leaves.get(..new).ok_or(Error::OutOfRange { index: size, size: tail.end() })?;
    let mut records = tail.records(view.sealed)?;
    view.tiles.write(view.sealed, size, leaves, |entry| records.next(entry))
}

/// Begins a new tail at the sealed size; entries behind it (there are none behind a checkpoint just made) move along.
pub(super) fn rotate(view: &mut View) -> Result<(), Error> {
    let Some(tail) = &view.tail else { return Ok(()) };
    if tail.base() == view.sealed {
        return Ok(());
    }
    let (path, torn) = (view.dir.join("tail"), tail.torn());
    let kept = tail.from(view.sealed)?;
    let header = Header { base: view.sealed, root: view.root_at(view.sealed)?, origin: view.origin.clone() };
    Tail::create(&path, &header, &kept)?;
    let mut fresh = Tail::open(&path, true)?.ok_or(Error::TailMissing { size: view.sealed })?;
    fresh.remember_torn(torn);
    view.tail = Some(fresh);
    Ok(())
}

pub(super) fn tail_of(view: &mut View) -> Result<&mut Tail, Error> {
    view.tail.as_mut().ok_or(Error::TailMissing { size: view.sealed })
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(path)(e)),
        _ => Ok(()),
    }
}
