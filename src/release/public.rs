//! What of a log is for everybody: in releases, and as a copy of its own.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::audit::named::named;
use crate::audit::{self, View, artefact};
use crate::digest::Digest;

use super::log_at::tiles;
use super::{Error, io};

/// The public artefacts that the first `size` entries name, each once, sorted.
pub(super) fn public_artefacts(log: &View, size: u64) -> Result<BTreeSet<Digest>, Error> {
    let mut digests = BTreeSet::new();
    for entry in log.entries(0..size) {
        let (_, entry, _) = entry?;
        digests.extend(named(&entry.body).into_iter().filter(|(_, what)| what.public()).map(|(digest, _)| digest));
    }
    Ok(digests)
}

/// What a public copy holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Copied {
    pub entries: u64,
    pub tiles: u64,
    pub artefacts: u64,
    /// Public, but not in the log that was copied: it is a copy itself.
    pub absent: u64,
}

/// Writes what is public of a log, as far as it is sealed, into `to`, a new directory.
///
/// On disk after a cut: tiles and artefacts without a `checkpoint`, which nobody takes for a log. The checkpoint comes last,
/// when everything else is flushed.
pub fn public_copy(log: &View, to: &Path) -> Result<Copied, Error> {
    let note = log.checkpoint_text().ok_or(audit::Error::Empty)?;
    fs::create_dir(to).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Exists(crate::text::path(to)),
        _ => io(to)(e),
    })?;
    let mut copied = Copied { entries: log.sealed_size(), tiles: 0, artefacts: 0, absent: 0 };
    for tile in tiles(log.sealed_size()) {
        file(&to.join(tile.path()))?.write_all(&tile.content(log)?).map_err(io(to))?;
        copied.tiles += 1;
    }
    for digest in public_artefacts(log, log.sealed_size())? {
        let mut from = match log.artefact_file(&digest) {
            Err(audit::Error::ArtefactMissing { .. }) if !log.is_station() => {
                copied.absent += 1;
                continue;
            }
            other => other?,
        };
        std::io::copy(&mut from, &mut file(&to.join(artefact::path(&digest)))?).map_err(io(to))?;
        copied.artefacts += 1;
    }
    let flush = || rustix::fs::syncfs(File::open(to).map_err(io(to))?).map_err(|e| io(to)(e.into()));
    flush()?;
    file(&to.join("checkpoint"))?.write_all(note.as_bytes()).map_err(io(to))?;
    flush()?;
    Ok(copied)
}

fn file(path: &Path) -> Result<File, Error> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io(parent))?;
    }
    File::create_new(path).map_err(io(path))
}
