//! Artefacts: write-once files named by their SHA-256, for what is too large or too private for an entry.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::{Error, durable};
use crate::digest::{Digest, Hasher};

/// The largest artefact that is read into memory at once.
pub const MAX_IN_MEMORY: u64 = 256 << 20;
const PIECE: usize = 1 << 16;

/// The name of an artefact below the log's directory: `artefact/ab/abcd…`.
pub fn path(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("artefact/{}/{hex}", hex.get(..2).unwrap_or_default())
}

/// Writes an artefact as it is read from `from`. One that is there already, and whole, is left alone.
///
/// On disk after a cut: nothing, a `artefact/new.tmp` that the next one overwrites, or the whole file under its name.
pub(super) fn put(dir: &Path, from: &mut impl Read) -> Result<Digest, Error> {
    let base = dir.join("artefact");
    durable::make_dirs(dir, &base)?;
    let tmp = base.join("new.tmp");
    let mut hasher = Hasher::default();
    let file = durable::step().and_then(|()| File::create(&tmp)).map_err(Error::io(&tmp))?;
    copy(from, &mut hasher, Some(&file)).map_err(Error::io(&tmp))?;
    let digest = hasher.finish();
    let target = dir.join(path(&digest));
    if verify(dir, &digest).is_ok() {
        let parent = target.parent().unwrap_or(&base);
        fs::remove_file(&tmp).map_err(Error::io(&tmp))?;
        // The earlier writer may have been stopped before it flushed the names.
        durable::sync_dir(parent)?;
        durable::sync_dir(&base)?;
        return Ok(digest);
    }
    durable::flush_file(&file, &tmp)?;
    let parent = target.parent().unwrap_or(&base);
    durable::make_dirs(dir, parent)?;
    durable::rename(&tmp, &target)?;
    durable::sync_dir(parent)?;
    // Who made `parent` may have been stopped before its own name was flushed.
    durable::sync_dir(&base)?;
    Ok(digest)
}

/// The octets of an artefact, whose hash is compared with its name.
pub(super) fn get(dir: &Path, digest: &Digest) -> Result<Vec<u8>, Error> {
    let (file, path) = open(dir, digest)?;
    let length = file.metadata().map_err(Error::io(&path))?.len();
    if length > MAX_IN_MEMORY {
        return Err(Error::ArtefactTooLarge { digest: digest.hex(), length, limit: MAX_IN_MEMORY });
    }
    let mut bytes = Vec::new();
    file.take(MAX_IN_MEMORY).read_to_end(&mut bytes).map_err(Error::io(&path))?;
    match Digest::of(&bytes) == *digest {
        true => Ok(bytes),
        false => Err(Error::ArtefactDiffers { digest: digest.hex() }),
    }
}

/// An artefact of any size, for reading in pieces. It is hashed once here; the caller hashes what it reads again where
/// another process could change the file in between.
pub(super) fn file(dir: &Path, digest: &Digest) -> Result<File, Error> {
    verify(dir, digest)?;
    Ok(open(dir, digest)?.0)
}

/// Hashes an artefact of any size in pieces.
pub(super) fn verify(dir: &Path, digest: &Digest) -> Result<(), Error> {
    let (mut file, path) = open(dir, digest)?;
    let mut hasher = Hasher::default();
    copy(&mut file, &mut hasher, None).map_err(Error::io(&path))?;
    match hasher.finish() == *digest {
        true => Ok(()),
        false => Err(Error::ArtefactDiffers { digest: digest.hex() }),
    }
}

fn open(dir: &Path, digest: &Digest) -> Result<(File, PathBuf), Error> {
    let path = dir.join(path(digest));
    match File::open(&path) {
        Ok(file) => Ok((file, path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(Error::ArtefactMissing { digest: digest.hex() }),
        Err(e) => Err(Error::io(path)(e)),
    }
}

fn copy(from: &mut impl Read, hasher: &mut Hasher, to: Option<&File>) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let bytes = piece.get(..read).unwrap_or_default();
        hasher.update(bytes);
        if let Some(mut to) = to {
            durable::step()?;
            to.write_all(bytes)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artefacts_are_named_by_their_hash_and_checked_when_read() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = vec![5; 200_000];
        let digest = put(dir.path(), &mut bytes.as_slice()).unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(put(dir.path(), &mut bytes.as_slice()).unwrap(), digest);
        assert_eq!(get(dir.path(), &digest).unwrap(), bytes);
        assert!(!dir.path().join("artefact/new.tmp").exists());
        let absent = Digest::of(b"absent");
        assert!(matches!(get(dir.path(), &absent), Err(Error::ArtefactMissing { .. })));
        let file = dir.path().join(path(&digest));
        let mut changed = bytes.clone();
        changed[7] ^= 1;
        fs::write(&file, &changed).unwrap();
        assert!(matches!(get(dir.path(), &digest), Err(Error::ArtefactDiffers { .. })));
        assert!(matches!(verify(dir.path(), &digest), Err(Error::ArtefactDiffers { .. })));
        // Written again, it is whole again.
        put(dir.path(), &mut bytes.as_slice()).unwrap();
        assert_eq!(get(dir.path(), &digest).unwrap(), bytes);
    }

    #[test]
    fn an_artefact_is_whole_or_absent_after_any_cut() {
        let bytes = vec![6; 150_000];
        let digest = Digest::of(&bytes);
        for steps in 0.. {
            let dir = tempfile::tempdir().unwrap();
            durable::fault::after(Some(steps));
            let stopped = put(dir.path(), &mut bytes.as_slice()).is_err();
            durable::fault::after(None);
            match get(dir.path(), &digest) {
                Ok(there) => assert_eq!(there, bytes),
                Err(e) => assert!(stopped && matches!(e, Error::ArtefactMissing { .. })),
            }
            assert_eq!(put(dir.path(), &mut bytes.as_slice()).unwrap(), digest);
            assert_eq!(get(dir.path(), &digest).unwrap(), bytes);
            if !stopped {
                assert!(steps > 8);
                return;
            }
        }
    }
}
