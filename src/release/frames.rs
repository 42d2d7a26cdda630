//! Containers of a release: a magic, then frames of deterministic CBOR.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cbor::{self, FrameError};

use super::*;

/// The size of a regular file; a device or a pipe is refused before it is opened.
pub(super) fn regular(path: &Path) -> Result<u64, Error> {
    let meta = fs::symlink_metadata(path).map_err(io(path))?;
    match meta.is_file() {
        true => Ok(meta.len()),
        false => Err(Error::Damaged { path: crate::text::path(path), cause: "it is no regular file".into() }),
    }
}

/// A container being read frame by frame.
pub(super) struct Frames<R> {
    path: PathBuf,
    reader: R,
}

impl Frames<BufReader<File>> {
    pub(super) fn open(path: &Path, magic: &str) -> Result<Self, Error> {
        regular(path)?;
        let file = File::open(path).map_err(io(path))?;
        Frames::over(path, BufReader::new(file), magic)
    }
}

impl<R: Read> Frames<R> {
    pub(super) fn over(path: &Path, mut reader: R, magic: &str) -> Result<Self, Error> {
        let wanted = cbor::magic(magic);
        let mut first = vec![0; wanted.len()];
        let read = reader.read_exact(&mut first);
        if read.is_err() || first != wanted {
            return Err(Error::Damaged {
                path: crate::text::path(path),
                cause: format!("it does not begin with `{magic}`"),
            });
        }
        Ok(Frames { path: path.into(), reader })
    }

    pub(super) fn next<T: Serialize + DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        let damaged = |cause: String| Error::Damaged { path: crate::text::path(&self.path), cause };
        let frame = cbor::read_frame(&mut self.reader, MAX_FRAME).map_err(|e| match e {
            FrameError::Io(cause) => Error::Io { path: crate::text::path(&self.path), cause },
            FrameError::Cbor(e) => damaged(e.to_string()),
        })?;
        match frame {
            None => Ok(None),
            Some(bytes) => cbor::from_slice(&bytes).map(Some).map_err(|e| damaged(e.to_string())),
        }
    }
}
