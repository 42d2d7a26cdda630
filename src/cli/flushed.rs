//! What the station keeps beside its audit directory, so that a power cut does not take it back: a command that has ended has
//! left it on the disk, under its name.

use std::fs::{self, File};
use std::io::ErrorKind;
#[cfg(feature = "station")]
use std::io::Write;
use std::path::Path;

#[cfg(feature = "station")]
use tempfile::NamedTempFile;

use super::Failure;

/// Makes a directory, and what is missing above it. Its name is flushed even where it is there already: who made it may have
/// been stopped before that.
///
/// On disk after a cut: nothing, some directories of the path, or all.
pub fn directory(dir: &Path) -> Result<(), Failure> {
    let above = above(dir);
    match fs::create_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound && above != dir => {
            directory(above)?;
            fs::create_dir(dir).map_err(|e| Failure::io(dir, e))?;
        }
        Err(e) if !dir.is_dir() => return Err(Failure::io(dir, e)),
        _ => {}
    }
    flush_names(above)
}

/// A temporary file beside `path`, always of the same name: what a stop has left is removed first.
#[cfg(feature = "station")]
pub fn beside(path: &Path) -> Result<NamedTempFile, Failure> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(&name);
    match fs::remove_file(&part) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(Failure::io(&part, e)),
        _ => {}
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(&name).rand_bytes(0).tempfile_in(above(path)).map_err(|e| Failure::io(&part, e))
}

/// Gives a file its name, over whatever had it.
///
/// On disk after a cut: the old file or the new one, whole.
#[cfg(feature = "station")]
pub fn name(file: NamedTempFile, path: &Path) -> Result<(), Failure> {
    file.as_file().sync_all().map_err(|e| Failure::io(path, e))?;
    file.persist(path).map_err(|e| Failure::io(path, e.error))?;
    flush_names(above(path))
}

/// Writes a file whole, as [`name`] does.
#[cfg(feature = "station")]
pub fn file(path: &Path, octets: &[u8]) -> Result<(), Failure> {
    let mut part = beside(path)?;
    part.write_all(octets).map_err(|e| Failure::io(path, e))?;
    name(part, path)
}

fn flush_names(dir: &Path) -> Result<(), Failure> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| Failure::io(dir, e))
}

fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/key");
        directory(path.parent().unwrap()).unwrap();
        directory(path.parent().unwrap()).unwrap();
        fs::write(path.with_file_name("key.part"), "of a run that was stopped").unwrap();
        for text in ["first", "second"] {
            file(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        // Where a file is in the way, nothing is made.
        assert!(directory(&path.join("c")).is_err() && directory(&path).is_err());
    }
}
