//! Unpacking a release at the desk: the layout that other programs rely on.
//!
//! `root.pem`, `intermediates.pem`, `certs/<request-id>.pem` (leaf, then its chain), `proofs/<request-id>.tlog-proof` (that it is
//! on record), `crls/<ca>.crl` (DER), `csrs/<ca>.csr` where the plan has made requests of CAs, `refused.json`, `report.html`, `log/`, `manifest.json`. Unpacking a later release into the same directory brings it up to date.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde::Serialize;

use crate::audit::Log;
use crate::digest::Digest;
use crate::{text, x509};

use super::page::Page;
use super::proofs::Proofs;
use super::*;

/// Above this many certificates, `certs/` has 256 folders by the first two hex digits of the request id's SHA-256.
const FLAT: u64 = 1_000;

/// What lies where after unpacking.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Layout {
    pub directory: String,
    pub release: u64,
    pub cas: u64,
    pub certificates: u64,
    pub crls: u64,
    /// Requests of CAs for their external issuers.
    pub csrs: u64,
    pub refused: u64,
    pub files: u64,
}

/// One line of `manifest.json`.
#[derive(Serialize)]
struct FileLine {
    path: String,
    size: u64,
    sha256: String,
}

/// Writes the layout of a checked release into `to`. `verifier_key` goes into the report, for comparison by eye.
///
/// Each file appears whole under its name, or not at all; nothing but the names above is touched. The log goes last but for
/// the manifest: a cut before leaves the old log, and unpacking again finishes.
pub fn unpack(checked: &Checked, to: &Path, verifier_key: &str) -> Result<Layout, Error> {
    let release = &checked.release;
    fs::create_dir_all(to).map_err(io(to))?;
    recover_log(to)?;
    judge_target(checked, to)?;

    let mut cas: BTreeMap<String, (String, Bytes)> = BTreeMap::new();
    let mut external = External::default();
    let mut leaves = 0;
    release.parts(|part| {
        match part {
            Part::Ca { ca, parent, der, above, .. } => {
                external.take(&ca, above);
                cas.insert(ca, (parent, der));
            }
            Part::Certificate { .. } => leaves += 1,
            _ => {}
        }
        Ok(())
    })?;
    let (roots, intermediates): (Vec<_>, Vec<_>) = cas.iter().partition(|(ca, (parent, _))| *ca == parent);
    write_pems(&to.join("root.pem"), roots.iter().map(|(_, (_, der))| der).chain(&external.roots))?;
    let intermediates = intermediates.iter().map(|(_, (_, der))| der);
    write_pems(&to.join("intermediates.pem"), intermediates.chain(&external.others))?;

    let mut page = Page::new(checked, verifier_key, &cas)?;
    let mut refusals: Vec<Refusal> = Vec::new();
    let mut layout = Layout {
        directory: to.display().to_string(),
        release: release.head.release,
        cas: cas.len() as u64,
        certificates: 0,
        crls: 0,
        csrs: 0,
        refused: 0,
        files: 0,
    };
    for name in ["certs", "crls", "proofs"] {
        fs::create_dir_all(to.join(name)).map_err(io(to))?;
    }
    let log = Log::read(&checked.log)?;
    let mut proofs = Proofs::new(&log);
    release.parts(|part| {
        match part {
            Part::Certificate { request, ca, profile, der, index } => {
                let mut chain = vec![der.clone()];
                chain.extend(chain_of(&ca, &cas, &external));
                let path = certificate_path(&to.join("certs"), &request, "pem", leaves > FLAT)?;
                write_pems(&path, chain.iter())?;
                proofs.write(to, &request, index, leaves > FLAT)?;
                page.certificate(&request, &ca, &profile, &der);
                layout.certificates += 1;
            }
            Part::Crl { ca, number, der } => {
                let path = to.join("crls").join(format!("{}.crl", file_name(&ca)?));
                put(&path, &der)?;
                page.crl(&ca, number, &der);
                layout.crls += 1;
            }
            Part::Csr { ca, der, .. } => {
                let dir = to.join("csrs");
                fs::create_dir_all(&dir).map_err(io(&dir))?;
                put(&dir.join(format!("{}.csr", file_name(&ca)?)), pem("CERTIFICATE REQUEST", &der).as_bytes())?;
                page.csr(&ca, &der);
                layout.csrs += 1;
            }
            Part::Refused(refusal) => {
                page.refusal(&refusal);
                refusals.push(refusal);
                layout.refused += 1;
            }
            Part::Revoked { ca, serial, reason, date, .. } => page.revoked(&ca, &serial, reason, date),
            Part::Ca { .. } | Part::Key { .. } | Part::KeyAct { .. } => {}
        }
        Ok(())
    })?;
    write_json(&to.join("refused.json"), &refusals)?;
    let path = to.join("report.html");
    put(&path, page.render()?.as_bytes())?;
    replace_log(checked, to)?;
    layout.files = write_manifest(to)?;
    // One flush of the file system instead of one for each of a million files.
    rustix::fs::syncfs(fs::File::open(to).map_err(io(to))?).map_err(|e| io(to)(e.into()))?;
    Ok(layout)
}

/// Finishes what a cut left of [`replace_log`].
fn recover_log(to: &Path) -> Result<(), Error> {
    let (log, old) = (to.join("log"), to.join("log.old"));
    if old.exists() && !log.exists() {
        return fs::rename(&old, &log).map_err(io(&log));
    }
    Ok(())
}

/// What lies there must be a layout of the same log, and this release must be newer.
fn judge_target(checked: &Checked, to: &Path) -> Result<(), Error> {
    let log = to.join("log");
    if !log.exists() {
        return Ok(());
    }
    let other = |what: &str| Error::Elsewhere { to: text::path(to), what: what.into() };
    let old = Log::read(&log).map_err(|_| other("a directory `log` that is not an audit log"))?;
    let new = Log::read(&checked.log)?;
    if old.origin() != new.origin() {
        return Err(other("the log of another station"));
    }
    let size = old.sealed_size();
    if size > new.sealed_size() {
        return Err(other("a newer release than this one"));
    }
    match old.root_at(size)? == new.root_at(size)? {
        true => Ok(()),
        false => Err(other("a log that this release's log does not continue")),
    }
}

/// The log of this release takes the place of the one before; both are whole at every moment, under one name or the other.
fn replace_log(checked: &Checked, to: &Path) -> Result<(), Error> {
    let (new, log, old) = (to.join("log.part"), to.join("log"), to.join("log.old"));
    for path in [&new, &old] {
        if path.exists() {
            fs::remove_dir_all(path).map_err(io(path))?;
        }
    }
    copy_tree(&checked.log, &new)?;
    if log.exists() {
        fs::rename(&log, &old).map_err(io(&old))?;
    }
    fs::rename(&new, &log).map_err(io(&log))?;
    if old.exists() {
        fs::remove_dir_all(&old).map_err(io(&old))?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir(to).map_err(io(to))?;
    for entry in fs::read_dir(from).map_err(io(from))? {
        let entry = entry.map_err(io(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match source.is_dir() {
            true => copy_tree(&source, &target)?,
            false => {
                fs::copy(&source, &target).map_err(io(&target))?;
            }
        }
    }
    Ok(())
}

/// Puts a file under its name at once: a web server never sees half of it, and a link in its place is replaced, not followed.
pub(super) fn put(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let part = path.with_file_name(name);
    fs::write(&part, content).map_err(io(&part))?;
    fs::rename(&part, path).map_err(io(path))
}

/// What stands above the CAs that external issuers have certified.
#[derive(Default)]
struct External {
    above: BTreeMap<String, Vec<Bytes>>,
    /// All of it, each once: roots, and others.
    roots: Vec<Bytes>,
    others: Vec<Bytes>,
}

impl External {
    fn take(&mut self, ca: &str, above: Vec<Bytes>) {
        for der in &above {
            let list = if self_issued(der) { &mut self.roots } else { &mut self.others };
            if !list.contains(der) {
                list.push(der.clone());
            }
        }
        self.above.insert(ca.into(), above);
    }
}

fn self_issued(der: &[u8]) -> bool {
    x509::read_certificate(der).is_ok_and(|fields| fields.issuer == fields.subject)
}

fn chain_of(ca: &str, cas: &BTreeMap<String, (String, Bytes)>, external: &External) -> Vec<Bytes> {
    let mut chain = Vec::new();
    let mut at = ca.to_string();
    // The root is not sent in a chain: who does not have it has no reason to believe it.
    while let Some((parent, der)) = cas.get(&at) {
        if *parent == at || chain.len() >= cas.len() {
            break;
        }
        chain.push(der.clone());
        chain.extend(external.above.get(&at).into_iter().flatten().filter(|der| !self_issued(der)).cloned());
        at = parent.clone();
    }
    chain
}

/// Ids are checked when a bundle is read; what becomes a file name is checked again here.
fn file_name(id: &str) -> Result<&str, Error> {
    let lawful = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !id.is_empty() && id.len() <= 64 && id.chars().all(lawful) && !id.starts_with('.') {
        true => Ok(id),
        false => Err(Error::Damaged {
            path: "release.cbor".into(),
            cause: format!("`{}` is no lawful id", text::escape(id)),
        }),
    }
}

/// Where the file of a request lies: above [`FLAT`] certificates, in one of 256 folders.
pub(super) fn certificate_path(base: &Path, request: &str, ending: &str, folders: bool) -> Result<PathBuf, Error> {
    let name = format!("{}.{ending}", file_name(request)?);
    if !folders {
        return Ok(base.join(name));
    }
    let folder = base.join(&Digest::of(request.as_bytes()).hex()[..2]);
    fs::create_dir_all(&folder).map_err(io(&folder))?;
    Ok(folder.join(name))
}

fn write_pems<'a>(path: &Path, certificates: impl Iterator<Item = &'a Bytes>) -> Result<(), Error> {
    let out: String = certificates.map(|der| pem("CERTIFICATE", der)).collect();
    put(path, out.as_bytes())
}

/// One block (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in BASE64.encode(der).as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out + &format!("-----END {label}-----\n")
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let mut json = serde_json::to_string_pretty(value)
        .map_err(|e| Error::Damaged { path: text::path(path), cause: e.to_string() })?;
    json.push('\n');
    put(path, text::ascii_json(&json).as_bytes())
}

/// Lists every file of the layout but itself.
fn write_manifest(to: &Path) -> Result<u64, Error> {
    let mut lines = Vec::new();
    let fixed = ["root.pem", "intermediates.pem", "refused.json", "report.html", "certs", "crls", "proofs", "log"];
    for name in fixed.into_iter().chain(to.join("csrs").exists().then_some("csrs")) {
        list(to, &PathBuf::from(name), &mut lines)?;
    }
    lines.sort_by(|a, b| a.path.cmp(&b.path));
    write_json(&to.join("manifest.json"), &lines)?;
    Ok(lines.len() as u64 + 1)
}

fn list(base: &Path, relative: &Path, lines: &mut Vec<FileLine>) -> Result<(), Error> {
    let path = base.join(relative);
    if path.is_dir() {
        for entry in fs::read_dir(&path).map_err(io(&path))? {
            let entry = entry.map_err(io(&path))?;
            list(base, &relative.join(entry.file_name()), lines)?;
        }
        return Ok(());
    }
    let content = fs::read(&path).map_err(io(&path))?;
    lines.push(FileLine {
        path: relative.display().to_string(),
        size: content.len() as u64,
        sha256: Digest::of(&content).hex(),
    });
    Ok(())
}
