//! Making a release.
//!
//! ```text
//! prepare   OUT/release-N.part/{release,manifest}.cbor, fsynced     a cut leaves a .part directory, which the next run replaces
//! (end entry with the manifest's digest → fsync → MARK → checkpoint)
//! write     log.cbor and checkpoint beside them, fsynced
//!           rename release-N.part → release-N, fsync of OUT           only now does a release exist under its name
//!           read everything back past the page cache and compare
//! (receipt entry)
//! ```

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::audit::entry::{Body, Start};
use crate::audit::{Log, artefact, tiles};
use crate::cbor;
use crate::digest::Digest;
use crate::ledger::Ledger;
use crate::plan::{Head as PlanHead, Plan};

use super::*;

/// Writes the containers that the end entry vouches for into a staging directory of `out`; returns the manifest's digest.
pub fn prepare(
    out: &Path,
    plan: &mut Plan,
    ledger: &Ledger,
    log: &Log,
    start: (u64, &Start),
    release: u64,
) -> Result<Digest, Error> {
    let staging = staging(out, release);
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(io(&staging))?;
    }
    fs::create_dir_all(&staging).map_err(io(&staging))?;
    let path = staging.join("release.cbor");
    let mut file = Container::create(&path, RELEASE_MAGIC)?;
    let head = plan.head().clone();
    file.frame(&release_head(&head, plan.digest(), start.1, release))?;
    for (ca, (index, der)) in &ledger.cas {
        let parent = ledger.issuers.get(ca).unwrap_or(ca).clone();
        file.frame(&Part::Ca { ca: ca.clone(), parent, index: *index, der: der.clone() })?;
    }
    let mine = plan.digest();
    for entry in log.entries(start.0..log.size()) {
        let (index, entry, _) = entry?;
        match entry.body {
            Body::Certificate(c) if c.plan == mine => {
                if let Some(request) = c.request {
                    file.frame(&Part::Certificate { request, ca: c.ca, profile: c.profile, index, der: c.der })?;
                }
            }
            Body::KeyGenerated(k) if k.plan == mine => file.frame(&Part::Key { key: k.key, spki: k.spki, index })?,
            Body::Refused { plan, request, check, reason } if plan == mine => {
                file.frame(&Part::Refused(Refusal { request, check, reason }))?;
            }
            _ => {}
        }
    }
    for (ca, crl) in &ledger.crls {
        let der = Bytes::from(log.artefact(&crl.crl)?);
        file.frame(&Part::Crl { ca: ca.clone(), number: crl.number, der })?;
    }
    file.finish()?;
    let size = fs::metadata(&path).map_err(io(&path))?.len();
    let manifest = Manifest { origin: head.origin, release, size, digest: digest_of(&path)? };
    let path = staging.join("manifest.cbor");
    let mut file = Container::create(&path, MANIFEST_MAGIC)?;
    file.frame(&manifest)?;
    file.finish()?;
    Ok(Digest::of(&fs::read(&path).map_err(io(&path))?))
}

/// Adds the log to what [`prepare`] made, gives the directory its name, and reads it back. Returns its path.
pub fn write(out: &Path, log: &Log, ledger: &Ledger, release: u64) -> Result<PathBuf, Error> {
    let (staging, target) = (staging(out, release), out.join(directory_name(release)));
    if target.exists() {
        return Err(Error::Exists(target.display().to_string()));
    }
    let path = staging.join("log.cbor");
    let mut file = Container::create(&path, LOG_MAGIC)?;
    for relative in tiles::paths_between(0, log.sealed_size()) {
        file.log_file(relative, log.dir())?;
    }
    for digest in public_artefacts(log, ledger)? {
        log.verify_artefact(&digest)?;
        file.log_file(artefact::path(&digest), log.dir())?;
    }
    file.finish()?;
    let path = staging.join("checkpoint");
    let mut note = File::create_new(&path).map_err(io(&path))?;
    note.write_all(log.checkpoint_text().unwrap_or_default().as_bytes()).map_err(io(&path))?;
    note.sync_all().map_err(io(&path))?;
    let written: Vec<(&str, Digest)> = ["release.cbor", "manifest.cbor", "log.cbor", "checkpoint"]
        .into_iter()
        .map(|name| Ok((name, digest_of(&staging.join(name))?)))
        .collect::<Result<_, Error>>()?;
    sync_dir(&staging)?;
    fs::rename(&staging, &target).map_err(io(&target))?;
    sync_dir(out)?;
    for (name, digest) in written {
        let path = target.join(name);
        drop_cache(&path)?;
        if digest_of(&path)? != digest {
            return Err(Error::Damaged {
                path: path.display().to_string(),
                cause: "it does not read back as written".into(),
            });
        }
    }
    Ok(target)
}

/// The artefacts that a public copy of the log carries: all but bundles, which hold requesters.
fn public_artefacts(log: &Log, ledger: &Ledger) -> Result<Vec<Digest>, Error> {
    let mut digests = Vec::new();
    if let Some(genesis) = &ledger.genesis {
        digests.push(genesis.hierarchy);
        digests.extend(genesis.approvals.iter().map(|a| a.signature));
    }
    for (plan, state) in &ledger.plans {
        if let Some((_, start)) = &state.start {
            digests.push(*plan);
            digests.extend(start.approvals.iter().map(|a| a.signature));
        }
    }
    for entry in log.entries(0..log.size()) {
        if let (_, crate::audit::entry::Entry { body: Body::Crl(crl), .. }, _) = entry? {
            digests.push(crl.crl);
        }
    }
    digests.sort();
    digests.dedup();
    Ok(digests)
}

fn staging(out: &Path, release: u64) -> PathBuf {
    out.join(format!("{}.part", directory_name(release)))
}

fn release_head(plan: &PlanHead, digest: Digest, start: &Start, release: u64) -> Head {
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
        items: plan.items,
        refused: plan.refused,
    }
}

pub(super) fn digest_of(path: &Path) -> Result<Digest, Error> {
    let mut file = File::open(path).map_err(io(path))?;
    let mut hasher = crate::digest::Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(io(path))? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
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
            .map_err(|e| Error::Damaged { path: self.path.display().to_string(), cause: e.to_string() })?;
        cbor::write_frame(&mut self.file, &bytes).map_err(io(&self.path))?;
        Ok(())
    }

    /// Adds a file of the log, piece by piece.
    fn log_file(&mut self, relative: String, log: &Path) -> Result<(), Error> {
        let path = log.join(&relative);
        let mut from = File::open(&path).map_err(io(&path))?;
        let mut offset = 0;
        loop {
            let mut content = Vec::new();
            let read = Read::by_ref(&mut from).take(PIECE as u64).read_to_end(&mut content).map_err(io(&path))?;
            if read == 0 && offset > 0 {
                return Ok(());
            }
            self.frame(&LogFile { path: relative.clone(), offset, content: Bytes::from(content) })?;
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
