//! Reading a release, and believing it: against a verifier key, a hierarchy and a root that did not come with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::audit::note::VerifierKey;
use crate::audit::{self, Log, View, artefact};
use crate::cbor::{self, FrameError};
use crate::config::{EXTERNAL, Hierarchy};
use crate::digest::Digest;
use crate::ledger::Ledger;
use crate::text::escape;
use crate::{change, media, x509};

use super::write::{digest_of, each_part};
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
    /// DER of the root certificate.
    pub root: Option<&'a [u8]>,
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

/// The parts that the log gives for this release, by the digest of what stands in the container; taken out as they are met.
type OnRecord = BTreeSet<Digest>;

fn judge(release: &Release, log: &Path, trust: &Trust) -> Result<Findings, Error> {
    let failed = |check: &'static str, what: String| Error::Check { check, what };
    let report = audit::check::check(log, trust.verifier_key).map_err(|e| failed("log", e.to_string()))?;
    let log = Log::read(log)?;
    change::judge_log(&log, &report.changes).map_err(|e| failed("changes", e.to_string()))?;
    let genesis = log.genesis()?;
    let ledger = crls::check(&log)?;
    let mut record = on_record(release, &log, &ledger)?;
    if genesis.origin != release.head.origin {
        return Err(failed("origin", "the log is of another origin than the release".into()));
    }
    let mut compared = vec!["verifier key".to_string()];
    let mut not_compared = Vec::new();
    match trust.hierarchy {
        None => not_compared.push("hierarchy and approvals (give --hierarchy)".to_string()),
        Some(h) if h.digest != release.head.hierarchy => {
            let what = format!(
                "the release was made under the hierarchy with SHA-256 {}, not under the one given",
                release.head.hierarchy
            );
            return Err(failed("hierarchy", what));
        }
        Some(h) => {
            approved::check(release, &log, &ledger, h)?;
            compared.push("hierarchy, approvals".into());
        }
    }
    let mut findings = Findings {
        release: release.head.release,
        cas: 0,
        certificates: 0,
        crls: 0,
        refused: 0,
        revoked: 0,
        keys: 0,
        key_acts: 0,
        csrs: 0,
        log: report,
        compared: Vec::new(),
        not_compared: Vec::new(),
    };
    let cas = chain(release, &record, trust, &mut compared, &mut not_compared)?;
    findings.cas = cas.len() as u64;
    release.parts(|part| judge_part(part, &mut record, &cas, trust.now, &mut findings))?;
    if !record.is_empty() {
        return Err(failed(
            "counts",
            format!("the release does not hold what the log says its plan came to: {} missing", record.len()),
        ));
    }
    (findings.compared, findings.not_compared) = (compared, not_compared);
    Ok(findings)
}

fn on_record(release: &Release, log: &View, ledger: &Ledger) -> Result<OnRecord, Error> {
    let plan = &release.head.plan;
    let end = ledger.plans.get(plan).and_then(|state| state.end.as_ref());
    if end.is_none_or(|(_, end)| (end.release, end.manifest) != (release.head.release, release.manifest)) {
        return Err(Error::Check {
            check: "manifest-on-record",
            what: "no end entry of the log vouches for this manifest".into(),
        });
    }
    let mut record = OnRecord::new();
    each_part(log, ledger, plan, 0..log.size(), |part| {
        record.insert(of_part(&part)?);
        Ok(())
    })?;
    Ok(record)
}

fn of_part(part: &Part) -> Result<Digest, Error> {
    let damaged = |e: cbor::Error| Error::Damaged { path: "release.cbor".into(), cause: e.to_string() };
    Ok(Digest::of(&cbor::to_vec(part).map_err(damaged)?))
}

/// The CAs of the release, each verified under its issuer, up to the root that the reader gave.
fn chain(
    release: &Release,
    record: &OnRecord,
    trust: &Trust,
    compared: &mut Vec<String>,
    not_compared: &mut Vec<String>,
) -> Result<BTreeMap<String, Bytes>, Error> {
    let failed = |check: &'static str, what: String| Error::Check { check, what };
    let mut cas: BTreeMap<String, Bytes> = BTreeMap::new();
    let mut parents: Vec<(String, String, Vec<Bytes>)> = Vec::new();
    release.parts(|part| {
        let recorded = record.contains(&of_part(&part)?);
        if let Part::Ca { ca, parent, der, above, .. } = part {
            if !recorded {
                let what = format!("the log does not have the certificate of CA `{}` as it stands here", escape(&ca));
                return Err(failed("on-record", what));
            }
            parents.push((ca.clone(), parent, above));
            cas.insert(ca, der);
        }
        Ok(())
    })?;
    for (ca, parent, above) in &parents {
        let shown = escape(ca);
        if parent == EXTERNAL {
            external(cas.get(ca), above, trust.root)
                .map_err(|(check, what)| failed(check, format!("CA `{shown}`: {what}")))?;
            continue;
        }
        let link = cas.get(ca).zip(cas.get(parent));
        let (der, issuer) = link.ok_or_else(|| failed("chain", format!("the issuer of CA `{shown}` is missing")))?;
        x509::verify_ca(der, issuer).map_err(|e| failed("chain", format!("CA `{shown}`: {e}")))?;
        if ca == parent && trust.root.is_some_and(|root| root != der.as_slice()) {
            return Err(failed("root", format!("the root `{shown}` of this release is not the one given")));
        }
    }
    match trust.root {
        None => not_compared.push("root (give --root)".into()),
        Some(_) if cas.is_empty() => not_compared.push("root (no CA stands in this release)".into()),
        Some(_) => compared.push("root".into()),
    }
    Ok(cas)
}

/// A CA whose certificate an external issuer has made: it verifies up to the last one above it, which is the root given or was made by it.
fn external(der: Option<&Bytes>, above: &[Bytes], root: Option<&[u8]>) -> Result<(), (&'static str, String)> {
    let chain = |e: x509::Error| ("chain", e.to_string());
    let (der, last) = der.zip(above.last()).ok_or(("chain", "no certificate above it is here".to_string()))?;
    x509::verify_external(der, above).map_err(chain)?;
    let Some(root) = root.filter(|root| *root != last.as_slice()) else { return Ok(()) };
    let by_root =
        x509::read_certificate(last).is_ok_and(|f| f.issuer != f.subject) && x509::verify_ca(last, root).is_ok();
    match by_root {
        true => Ok(()),
        false => Err(("root", "the last certificate above it is neither the root given nor by it".into())),
    }
}

/// Judges a part: it must be one that the log gives, and stands here once; certificates and CRLs are verified.
fn judge_part(
    part: Part,
    record: &mut OnRecord,
    cas: &BTreeMap<String, Bytes>,
    now: i64,
    findings: &mut Findings,
) -> Result<(), Error> {
    let failed = |check: &'static str, what: String| Error::Check { check, what };
    if !record.remove(&of_part(&part)?) {
        let what = format!("the log does not have {} as it stands here, or it stands here twice", shown(&part));
        return Err(failed("on-record", what));
    }
    match part {
        Part::Ca { .. } => {}
        Part::Certificate { request, ca, der, .. } => {
            let shown = escape(&request);
            let issuer = cas.get(&ca).ok_or_else(|| failed("chain", format!("`{shown}`: its CA is missing")))?;
            // A release stays good after its certificates have expired: they are judged at the nearest day of their lives.
            let at = x509::read_certificate(&der).map_or(now, |f| now.clamp(f.not_before, f.not_after));
            x509::verify_end_entity(&der, issuer, at).map_err(|e| failed("certificate", format!("`{shown}`: {e}")))?;
            findings.certificates += 1;
        }
        Part::Crl { ca, der, .. } => {
            let shown = escape(&ca);
            let issuer = cas.get(&ca).ok_or_else(|| failed("chain", format!("the CRL's CA `{shown}` is missing")))?;
            x509::verify_crl(&der, issuer).map_err(|e| failed("crl", format!("of CA `{shown}`: {e}")))?;
            findings.crls += 1;
        }
        Part::Refused(_) => findings.refused += 1,
        Part::Revoked { .. } => findings.revoked += 1,
        Part::Csr { ca, der, .. } => {
            let shown = escape(&ca);
            let verified = x509::Request::parse(&der).and_then(|request| request.verify_possession());
            verified.map_err(|e| failed("csr", format!("the request of CA `{shown}`: {e}")))?;
            findings.csrs += 1;
        }
        Part::Key { .. } => findings.keys += 1,
        Part::KeyAct { .. } => findings.key_acts += 1,
    }
    Ok(())
}

fn shown(part: &Part) -> String {
    match part {
        Part::Ca { ca, .. } => format!("the certificate of CA `{}`", escape(ca)),
        Part::Certificate { request, .. } => format!("the certificate of `{}`", escape(request)),
        Part::Crl { ca, number, .. } => format!("CRL {number} of CA `{}` as the newest,", escape(ca)),
        Part::Refused(refusal) => format!("the refusal of `{}`", escape(&refusal.request)),
        Part::Revoked { serial, .. } => format!("the revocation of serial {}", crate::text::hex(serial)),
        Part::Csr { ca, .. } => format!("the request of CA `{}`", escape(ca)),
        Part::Key { key, .. } => format!("the key `{}`", escape(key)),
        Part::KeyAct { act, key, .. } => format!("the act `{}` on key `{}`", escape(act), escape(key)),
    }
}

/// The size of a regular file; a device or a pipe is refused before it is opened.
fn regular(path: &Path) -> Result<u64, Error> {
    let meta = fs::symlink_metadata(path).map_err(io(path))?;
    match meta.is_file() {
        true => Ok(meta.len()),
        false => Err(Error::Damaged { path: crate::text::path(path), cause: "it is no regular file".into() }),
    }
}

/// A container being read frame by frame.
struct Frames<R> {
    path: PathBuf,
    reader: R,
}

impl Frames<BufReader<File>> {
    fn open(path: &Path, magic: &str) -> Result<Self, Error> {
        regular(path)?;
        let file = File::open(path).map_err(io(path))?;
        Frames::over(path, BufReader::new(file), magic)
    }
}

impl<R: Read> Frames<R> {
    fn over(path: &Path, mut reader: R, magic: &str) -> Result<Self, Error> {
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

    fn next<T: Serialize + DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
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
