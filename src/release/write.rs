//! Making a release, for the first time or again: the same way.
//!
//! ```text
//! prepare   OUT/release-N.part/{release,manifest}.cbor, fsynced     a cut leaves a .part directory, which the next run replaces
//! (end entry with the manifest's digest → fsync → MARK → checkpoint)
//! (the checkpoint's note → artefact, fsync)                         an artefact that no entry names
//! make      the same two files again, which must be those on record, log.cbor and checkpoint beside them, fsynced
//! settle    rename release-N.part → release-N, fsync of both and of OUT   only now does a release exist under its name
//!           read everything back past the page cache and compare
//! (receipt entry: manifest, checkpoint, target)
//! ```

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use serde::Serialize;

use crate::audit::entry::{Body, Start};
use crate::audit::note::{self, VerifierKey};
use crate::audit::{self, View, artefact};
use crate::cbor;
use crate::digest::Digest;
use crate::ledger::{Ledger, PlanState};
use crate::media::{self, Name, Source};
use crate::plan::{Head as PlanHead, Plan};

use super::log_at::tiles;
use super::public::public_artefacts;
use super::*;

/// The files of a release in the order in which they get their names: without a manifest it is none.
const ORDER: [&str; 4] = ["release.cbor", "log.cbor", "checkpoint", "manifest.cbor"];

/// What a release is derived from: the log up to `size`, and the ledger folded from that.
pub struct Basis<'a> {
    pub log: &'a View,
    pub size: u64,
    pub ledger: &'a Ledger,
    pub plan: &'a Plan,
    /// Index and content of the plan's start entry.
    pub start: (u64, &'a Start),
    pub release: u64,
}

/// Writes the containers that the end entry vouches for into a staging directory of `out`; returns the manifest's digest.
pub fn prepare(out: &Path, basis: &Basis) -> Result<Digest, Error> {
    let Basis { log, ledger, plan, release, .. } = *basis;
    let staging = staging(out, release);
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(io(&staging))?;
    }
    fs::create_dir_all(&staging).map_err(io(&staging))?;
    let path = staging.join("release.cbor");
    let mut file = Container::create(&path, RELEASE_MAGIC)?;
    let head = plan.head().clone();
    let state = ledger.plans.get(&plan.digest());
    file.frame(&release_head(&head, plan.digest(), basis.start.1, release, state))?;
    each_part(log, ledger, &plan.digest(), basis.start.0..basis.size, |part| file.frame(&part))?;
    file.finish()?;
    let size = fs::metadata(&path).map_err(io(&path))?.len();
    let manifest = Manifest { origin: head.origin, release, size, digest: digest_of(&path)? };
    let path = staging.join("manifest.cbor");
    let mut file = Container::create(&path, MANIFEST_MAGIC)?;
    file.frame(&manifest)?;
    file.finish()?;
    Ok(Digest::of(&fs::read(&path).map_err(io(&path))?))
}

/// Every part of a release, in its order: the CAs of the ledger, what entries of the plan stand in this part of the log, and the
/// newest CRLs. The writer writes them; the reader wants exactly them.
pub(super) fn each_part(
    log: &View,
    ledger: &Ledger,
    mine: &Digest,
    entries: Range<u64>,
    mut each: impl FnMut(Part) -> Result<(), Error>,
) -> Result<(), Error> {
    for (ca, (index, der)) in &ledger.cas {
        let parent = ledger.issuers.get(ca).unwrap_or(ca).clone();
        let above = ledger.above.get(ca).cloned().unwrap_or_default();
        each(Part::Ca { ca: ca.clone(), parent, index: *index, der: der.clone(), above })?;
    }
    for entry in log.entries(entries) {
        let (index, entry, _) = entry?;
        match entry.body {
            Body::Certificate(c) if c.plan == *mine => {
                if let Some(request) = c.request {
                    each(Part::Certificate { request, ca: c.ca, profile: c.profile, index, der: c.der })?;
                }
            }
            Body::Csr(c) if c.plan == *mine => each(Part::Csr { ca: c.ca, index, der: c.der })?,
            Body::KeyGenerated(k) if k.plan == *mine => each(Part::Key { key: k.key, spki: k.spki, index })?,
            Body::WrappingKeyGenerated(k) if k.plan == *mine => {
                each(Part::KeyAct { act: "generate-key".into(), key: k.key, index })?;
            }
            Body::KeyBackedUp(k) if k.plan == *mine => {
                each(Part::KeyAct { act: "backup-key".into(), key: k.key, index })?;
            }
            Body::KeyRestored(k) if k.plan == *mine => {
                each(Part::KeyAct { act: "restore-key".into(), key: k.key, index })?;
            }
            Body::KeyProven(k) if k.plan == *mine => {
                each(Part::KeyAct { act: "key-proof".into(), key: k.key, index })?;
            }
            Body::KeyDestroyed(k) if k.plan == *mine => {
                each(Part::KeyAct { act: "destroy-key".into(), key: k.key, index })?;
            }
            Body::Revoked(r) if r.plan == *mine => {
                each(Part::Revoked { ca: r.ca, serial: r.serial, reason: r.reason, date: r.date, index })?;
            }
            Body::Refused { plan, request, check, reason } if plan == *mine => {
                each(Part::Refused(Refusal { request, check, reason }))?;
            }
            _ => {}
        }
    }
    for (ca, crl) in &ledger.crls {
        let der = Bytes::from(log.artefact(&crl.crl)?);
        each(Part::Crl { ca: ca.clone(), number: crl.number, der })?;
    }
    Ok(())
}

/// A whole release in its staging directory, flushed, without its name. Dropped, it is removed.
pub struct Made {
    staging: PathBuf,
    target: PathBuf,
}

/// Makes all four files of a release in a staging directory of `out`: those that the manifest on record vouches for, and
/// the log as it is under the checkpoint `note`, whose size is the basis's.
///
/// # Errors
/// Nothing is left in `out` after any of them.
pub fn make(out: &Path, basis: &Basis, on_record: &Digest, note: &str) -> Result<Made, Error> {
    let log = basis.log;
    let key = VerifierKey::parse(&log.genesis()?.verifier_key).map_err(audit::Error::from)?;
    let sealed = note::open(note, &key).map_err(audit::Error::from)?;
    if (sealed.size, sealed.root) != (basis.size, log.root_at(basis.size)?) {
        return Err(audit::Error::RootDiffers { size: sealed.size }.into());
    }
    let made = Made { staging: staging(out, basis.release), target: out.join(directory_name(basis.release)) };
    if prepare(out, basis)? != *on_record {
        return Err(Error::NotOnRecord(basis.release));
    }
    let path = made.staging.join("log.cbor");
    let mut file = Container::create(&path, LOG_MAGIC)?;
    for tile in tiles(basis.size) {
        file.log_file(&tile.path(), &mut tile.content(log)?.as_slice(), &path)?;
    }
    for digest in public_artefacts(log, basis.size)? {
        let relative = artefact::path(&digest);
        file.log_file(&relative, &mut log.artefact_file(&digest)?, &log.dir().join(&relative))?;
    }
    file.finish()?;
    let path = made.staging.join("checkpoint");
    let mut file = File::create_new(&path).map_err(io(&path))?;
    file.write_all(note.as_bytes()).and_then(|()| file.sync_all()).map_err(io(&path))?;
    sync_dir(&made.staging)?;
    Ok(made)
}

impl Made {
    /// Gives the release its name in the directory where it was made, and reads it back. Returns its path.
    pub fn settle(self) -> Result<PathBuf, Error> {
        if self.target.symlink_metadata().is_ok() {
            return Err(Error::Exists(crate::text::path(&self.target)));
        }
        let written = self.digests(&self.staging)?;
        fs::rename(&self.staging, &self.target).map_err(io(&self.target))?;
        // The directory's own entry, as a file's: see `media::write_out`.
        sync_dir(&self.target)?;
        sync_dir(self.target.parent().unwrap_or(Path::new(".")))?;
        for name in ORDER {
            drop_cache(&self.target.join(name))?;
        }
        match self.digests(&self.target)? == written {
            true => Ok(self.target.clone()),
            false => Err(Error::Damaged {
                path: crate::text::path(&self.target),
                cause: "it does not read back as written".into(),
            }),
        }
    }

    /// Where it lies until it has its name.
    pub fn directory(&self) -> &Path {
        &self.staging
    }

    /// Compares the release with what lies at `target`: exactly these files, the same octets.
    pub fn compare(&self, target: &Path) -> Result<(), Error> {
        let paths = ORDER.map(|name| self.staging.join(name));
        Ok(media::compare(&media::open(target)?, &files(&paths)?)?)
    }

    fn digests(&self, directory: &Path) -> Result<Vec<Digest>, Error> {
        ORDER.iter().map(|name| digest_of(&directory.join(name))).collect()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // What stays behind is called unfinished, and the next run replaces it.
        let _ = fs::remove_dir_all(&self.staging);
    }
}

/// Writes the release that lies whole in `directory` onto a medium, as a new directory whose manifest comes last.
pub fn copy_out(directory: &Path, medium: &Dir, release: u64) -> Result<(), Error> {
    let paths = ORDER.map(|name| directory.join(name));
    media::write_out_in(medium, &Name::parse(&directory_name(release))?, &files(&paths)?)?;
    Ok(())
}

fn files(paths: &[PathBuf; 4]) -> Result<Vec<(Name, Source<'_>)>, Error> {
    ORDER.iter().zip(paths).map(|(name, path)| Ok((Name::parse(name)?, Source::File(path)))).collect()
}

fn staging(out: &Path, release: u64) -> PathBuf {
    out.join(format!("{}.part", directory_name(release)))
}

pub(super) fn release_head(
    plan: &PlanHead,
    digest: Digest,
    start: &Start,
    release: u64,
    state: Option<&PlanState>,
) -> Head {
    Head {
        name: plan.name.clone(),
        origin: plan.origin.clone(),
        environment: plan.environment,
        hierarchy: plan.hierarchy,
        release,
        kind: plan.kind,
        plan: digest,
        bundle: plan.bundle.clone(),
        sign_from: plan.sign_from,
        sign_until: plan.sign_until,
        operator: start.operator.clone(),
        witness: start.witness.clone(),
        approvals: start.approvals.clone(),
        items: state.map_or(0, |state| state.done),
        refused: state.map_or(0, |state| state.answered),
        void: state.and_then(|state| state.void.as_ref()).map(|(_, void)| void.reason.clone()),
        block_lists: plan.block_lists.clone(),
        broken_keys: plan.broken_keys.clone(),
        lints: plan.lints.clone(),
    }
}

pub(super) fn digest_of(path: &Path) -> Result<Digest, Error> {
    File::open(path).and_then(Digest::read).map_err(io(path))
}

fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io(path))
}

/// Asks the kernel to forget the pages of a file, so that the next reading comes from the medium.
fn drop_cache(path: &Path) -> Result<(), Error> {
    let file = File::open(path).map_err(io(path))?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).map_err(|e| io(path)(e.into()))
}

/// A CBOR sequence being written: magic, then frames, then fsync.
struct Container {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Container {
    fn create(path: &Path, magic: &str) -> Result<Container, Error> {
        let _ = fs::remove_file(path);
        let mut file = BufWriter::new(File::create_new(path).map_err(io(path))?);
        file.write_all(&cbor::magic(magic)).map_err(io(path))?;
        Ok(Container { path: path.into(), file })
    }

    fn frame<T: Serialize>(&mut self, value: &T) -> Result<(), Error> {
        let bytes = cbor::to_vec(value)
            .map_err(|e| Error::Damaged { path: crate::text::path(&self.path), cause: e.to_string() })?;
        cbor::write_frame(&mut self.file, &bytes).map_err(io(&self.path))?;
        Ok(())
    }

    /// Adds a file of the log, piece by piece; `path` is where its octets come from.
    fn log_file(&mut self, relative: &str, from: &mut impl Read, path: &Path) -> Result<(), Error> {
        let mut offset = 0;
        loop {
            let mut content = Vec::new();
            let read = Read::by_ref(from).take(PIECE as u64).read_to_end(&mut content).map_err(io(path))?;
            if read == 0 && offset > 0 {
                return Ok(());
            }
            self.frame(&LogFile { path: relative.into(), offset, content: Bytes::from(content) })?;
            if read < PIECE {
                return Ok(());
            }
            offset += read as u64;
        }
    }

    fn finish(self) -> Result<(), Error> {
        let file = self.file.into_inner().map_err(|e| io(&self.path)(e.into_error()))?;
        file.sync_all().map_err(io(&self.path))
    }
}
