//! What comes in from media: each file is copied once, bounded, and only the copy is read.

use std::fs;
use std::path::{Path, PathBuf};

#[cfg(feature = "station")]
use crate::audit::{
    Log,
    entry::{Body, Entry},
};
#[cfg(feature = "station")]
use crate::digest::Digest;
use crate::media::{self, Name};

use super::{Failure, flushed};

/// The largest bundle that is copied in: a million requests of a few kilobytes.
pub const MAX_BUNDLE: u64 = 8 << 30;
/// The largest plan that an officer's machine copies in.
pub const MAX_PLAN: u64 = 16 << 30;
/// The largest file that people put on record; a film stays on its medium, and a list of digests is the evidence.
#[cfg(feature = "station")]
pub const MAX_EVIDENCE: u64 = 1 << 30;

/// A private copy of a file of a medium, called by its SHA-256; gone when this is dropped. A copy that a cut left behind goes
/// with the next run ([`tidy`]).
pub struct Incoming {
    path: PathBuf,
    /// The file's name on its medium, and its SHA-256.
    #[cfg(feature = "station")]
    from: (Name, Digest),
}

impl Incoming {
    /// Copies a regular file of at most `limit` octets into `inbox`, which is made when it is missing.
    pub fn take(path: &Path, limit: u64, inbox: &Path) -> Result<Incoming, Failure> {
        let name = path.file_name().ok_or_else(|| {
            Failure::usage(
                format!("{} names no file", crate::text::path(path)),
                "give the file itself, not its directory",
            )
        })?;
        let name = Name::parse(&name.to_string_lossy())?;
        let medium = media::open(path.parent().unwrap_or(Path::new(".")))?;
        flushed::directory(inbox)?;
        let copied = media::copy_in(&medium, &name, limit, inbox)?;
        Ok(Incoming {
            path: copied.1,
            #[cfg(feature = "station")]
            from: (name, copied.0),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says in the log that the file was copied in, durably: before anything in it is judged, so that one which is refused
    /// has left its trace too.
    #[cfg(feature = "station")]
    pub fn record(&self, log: &mut Log, now: i64) -> Result<(), Failure> {
        let octets = fs::metadata(&self.path).map_err(|e| Failure::io(&self.path, e))?.len();
        let (name, digest) = &self.from;
        let body = Body::MediumRead { name: name.as_str().into(), digest: *digest, octets };
        log.append(&Entry::new(now, body))?;
        Ok(log.sync()?)
    }
}

/// Removes the copies that a cut has left in a station's inbox: of withheld evidence it may be the bare content. Whoever calls this
/// has the log to himself, and no copy outlives its run, so nobody reads them. What has no name of ours is not ours, and stays.
///
/// On disk after a cut: some of them, for the next run.
#[cfg(feature = "station")]
pub fn tidy(inbox: &Path) -> Result<(), Failure> {
    let entries = match fs::read_dir(inbox) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|e| Failure::io(inbox, e))?,
    };
    for entry in entries {
        let entry = entry.map_err(|e| Failure::io(inbox, e))?;
        let path = entry.path();
        let file = entry.file_type().map_err(|e| Failure::io(&path, e))?.is_file();
        if file && entry.file_name().to_str().is_some_and(media::is_copy) {
            fs::remove_file(&path).map_err(|e| Failure::io(&path, e))?;
            eprintln!("coldroot: {} was left by a run that was stopped, and is removed", crate::text::path(&path));
        }
    }
    Ok(())
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
