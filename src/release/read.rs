//! Reading a release, and believing it: against a verifier key, a hierarchy and a root that did not come with it.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use crate::audit::note::VerifierKey;
use crate::audit::{self, artefact};
use crate::config::Hierarchy;
use crate::digest::Digest;
use crate::media;

use super::frames::{Frames, regular};
use super::judge::judge;
use super::write::digest_of;
use super::*;

/// The files of a release, and the most octets of each.
const FILES: [(&str, u64); 4] =
    [("manifest.cbor", 64 << 10), ("checkpoint", 64 << 10), ("release.cbor", 16 << 30), ("log.cbor", 64 << 30)];

/// An opened release: its containers are well formed and agree with its manifest. Nothing is believed yet.
pub struct Release {
    directory: PathBuf,
    pub head: Head,
    pub manifest: Digest,
}

/// What the reader knows from elsewhere.
pub struct Trust<'a> {
    pub verifier_key: &'a VerifierKey,
    pub hierarchy: Option<&'a Hierarchy>,
    /// Root certificates, DER: each CA must lead to one of them. None: that is not compared.
    pub roots: &'a [Vec<u8>],
    /// Seconds since the epoch, for the dates of certificates.
    pub now: i64,
}

/// A release that every check has passed, in a private copy: the medium is not read again. Made only by [`check`].
pub struct Checked {
    pub(super) release: Release,
    pub(super) log: PathBuf,
    pub findings: Findings,
    /// Holds the copy; removed when this goes.
    _private: tempfile::TempDir,
}

/// What the checks found.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Findings {
    pub release: u64,
    pub cas: u64,
    pub certificates: u64,
    pub crls: u64,
    pub refused: u64,
    pub revoked: u64,
    pub keys: u64,
    /// Acts on keys that were there.
    pub key_acts: u64,
    /// Requests of CAs for their external issuers.
    pub csrs: u64,
    pub log: audit::check::Report,
    /// What was compared with what the reader gave.
    pub compared: Vec<String>,
    /// What was not, and why.
    pub not_compared: Vec<String>,
}

impl Checked {
    /// The directory of its log, as long as this value lives.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// SHA-256 of the manifest, which the end entry names.
    pub fn manifest(&self) -> Digest {
        self.release.manifest
    }
}

impl Release {
    /// Opens a release directory.
    pub fn open(directory: &Path) -> Result<Release, Error> {
        let path = directory.join("manifest.cbor");
        let damaged = |path: &Path, cause: &str| Error::Damaged { path: crate::text::path(path), cause: cause.into() };
        let mut frames = Frames::open(&path, MANIFEST_MAGIC)?;
        let manifest: Manifest = frames.next()?.ok_or_else(|| damaged(&path, "it is empty"))?;
        if frames.next::<Manifest>()?.is_some() {
            return Err(damaged(&path, "it goes on after its manifest"));
        }
        let container = directory.join("release.cbor");
        let size = regular(&container)?;
        if size != manifest.size || digest_of(&container)? != manifest.digest {
            return Err(damaged(&container, "size or SHA-256 is not what the manifest says"));
        }
        let head: Head =
            Frames::open(&container, RELEASE_MAGIC)?.next()?.ok_or_else(|| damaged(&container, "it has no head"))?;
        if head.release != manifest.release || head.origin != manifest.origin {
            return Err(damaged(&path, "it belongs to another release"));
        }
        Ok(Release { directory: directory.into(), head, manifest: digest_of(&path)? })
    }

    /// Copies a release from a medium into `to`, exactly its four files, each once and bounded, and opens the copy.
    fn copy_in(from: &Path, to: &Path) -> Result<Release, Error> {
        let set = FILES.map(|(file, limit)| media::Name::parse(file).map(|name| (name, limit)));
        let set = set.into_iter().collect::<Result<Vec<_>, _>>()?;
        media::copy_set(&media::open(from)?, &set, to)?;
        Release::open(to)
    }

    /// Calls `each` for every part, in order.
    pub fn parts(&self, mut each: impl FnMut(Part) -> Result<(), Error>) -> Result<(), Error> {
        let path = self.directory.join("release.cbor");
        let mut frames = Frames::open(&path, RELEASE_MAGIC)?;
        frames.next::<Head>()?;
        while let Some(part) = frames.next()? {
            each(part)?;
        }
        Ok(())
    }

    pub fn checkpoint(&self) -> Result<String, Error> {
        let path = self.directory.join("checkpoint");
        fs::read_to_string(&path).map_err(io(&path))
    }

    /// Writes checkpoint, tiles and artefacts into `to`, a new directory.
    fn extract_log(&self, to: &Path) -> Result<(), Error> {
        fs::create_dir(to).map_err(io(to))?;
        let path = self.directory.join("log.cbor");
        let damaged = |cause: String| Error::Damaged { path: crate::text::path(&path), cause };
        let mut frames = Frames::open(&path, LOG_MAGIC)?;
        let mut artefacts: BTreeSet<PathBuf> = BTreeSet::new();
        while let Some(LogFile { path: relative, offset, content }) = frames.next()? {
            let shown = crate::text::escape(&relative);
            let relative = PathBuf::from(relative);
            let lawful = relative.components().all(|c| matches!(c, Component::Normal(_)))
                && (relative.starts_with("tile") || relative.starts_with("artefact"));
            if !lawful {
                return Err(damaged(format!("it names the file `{shown}`")));
            }
            if relative.starts_with("artefact") {
                artefacts.insert(relative.clone());
            }
            let target = to.join(&relative);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(io(parent))?;
            }
            let mut file = OpenOptions::new().create(true).append(true).open(&target).map_err(io(&target))?;
            if file.metadata().map_err(io(&target))?.len() != offset {
                return Err(damaged(format!("the pieces of `{shown}` do not follow each other")));
            }
            file.write_all(&content).map_err(io(&target))?;
        }
        // The tree vouches for the tiles; a copy may lack any artefact, so a renamed one would pass for missing.
        for relative in artefacts {
            if relative != Path::new(&artefact::path(&digest_of(&to.join(&relative))?)) {
                let shown = crate::text::escape(&relative.display().to_string());
                return Err(damaged(format!("`{shown}` is not what its name says")));
            }
        }
        let target = to.join("checkpoint");
        fs::write(&target, self.checkpoint()?).map_err(io(&target))
    }
}

/// Checks a release whole, on a private copy of it: manifest, log, approvals, and every certificate and CRL against chain
/// and log.
pub fn check(directory: &Path, trust: &Trust) -> Result<Checked, Error> {
    let private = tempfile::tempdir().map_err(io(directory))?;
    // What is wrong is wrong on the medium, whose name people know.
    let (copy, medium) = (crate::text::path(private.path()), crate::text::path(directory));
    let named = |e| match e {
        Error::Damaged { path, cause } => Error::Damaged { path: path.replace(&copy, &medium), cause },
        other => other,
    };
    let judged = || {
        let release = Release::copy_in(directory, private.path())?;
        let log = private.path().join("log");
        release.extract_log(&log)?;
        let findings = judge(&release, &log, trust)?;
        Ok((release, log, findings))
    };
    let (release, log, findings) = judged().map_err(named)?;
    Ok(Checked { release, log, findings, _private: private })
}

/// The log of a release, unpacked into a private directory that goes with the first value, and not checked.
pub fn private_log(directory: &Path) -> Result<(tempfile::TempDir, PathBuf), Error> {
    let private = tempfile::tempdir().map_err(io(directory))?;
    let release = Release::copy_in(directory, private.path())?;
    let log = private.path().join("log");
    release.extract_log(&log)?;
    Ok((private, log))
}
