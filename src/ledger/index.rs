//! The stored index: `index/` in the audit directory, made from the log and believed only as far as the log vouches for it.
//!
//! `SIZE.manifest` is one deterministic CBOR map: the fold of the first SIZE entries without the places, and the runs that
//! hold those ([`super::run`]), each by its length and the digest of its footer; `DIGEST.run` are the runs. The SHA-256 of the manifest stands in
//! the log's entry number SIZE, of the kind `indexed`. That entry is compared with the root of the checkpoint, and the token's
//! mark knows the root: so manifest, footers and blocks are what this station has made of its own log, octet by octet, or
//! they are not used. Whoever changes the directory can make the station read its log instead; he cannot hide a serial number.
//!
//! An older index is as good, for the entries behind it are read from the log.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::audit::entry::Body;
use crate::audit::{View, durable};
use crate::cbor;
use crate::digest::Digest;

use super::places::{Key, Places, Thing};
use super::run::Run;
use super::{Error, Ledger, State};

/// So many entries are folded at an opening before they are worth an index.
const STEP: u64 = 4_096;
/// So often it is told how far a fold is.
const TOLD: u64 = 1_024;
const VERSION: u8 = 0;
/// The largest manifest that is read: a CRL's entries are most of it.
const MAX_MANIFEST: u64 = 256 << 20;

/// Stored: a change needs a new version.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Manifest {
    v: u8,
    origin: String,
    /// Entries covered.
    size: u64,
    runs: Vec<RunRef>,
    state: State,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RunRef {
    records: u64,
    footer: Digest,
}

impl Ledger {
    /// The fold of a whole log: the newest index that it vouches for, and the entries behind that.
    pub fn open(log: &View) -> Result<Ledger, Error> {
        Ledger::open_telling(log, |_, _| {})
    }

    /// The same; `tell` hears again and again how many of the entries behind the index are folded, and how many there are.
    pub fn open_telling(log: &View, tell: impl FnMut(u64, u64)) -> Result<Ledger, Error> {
        let mut ledger = Ledger::begin(log, log.size());
        ledger.follow_to(log, log.size(), tell)?;
        Ok(ledger)
    }

    /// The fold of the first `size` entries.
    pub fn open_at(log: &View, size: u64) -> Result<Ledger, Error> {
        let mut ledger = Ledger::begin(log, size);
        ledger.follow_to(log, size, |_, _| {})?;
        Ok(ledger)
    }

    fn begin(log: &View, size: u64) -> Ledger {
        let mut ledger = stored(log, size).unwrap_or_default();
        ledger.places.scratch = log.is_station().then(|| log.dir().to_path_buf());
        ledger
    }

    /// Takes the entries that the log has got since.
    pub fn follow(&mut self, log: &View) -> Result<(), Error> {
        self.follow_to(log, log.size(), |_, _| {})
    }

    pub(super) fn follow_to(&mut self, log: &View, size: u64, mut tell: impl FnMut(u64, u64)) -> Result<(), Error> {
        let (first, total) = (self.size, size.saturating_sub(self.size));
        for entry in log.entries(first..size) {
            let (index, entry, _) = entry?;
            self.add(log, index, &entry)?;
            let done = self.size - first;
            if done.is_multiple_of(TOLD) || done == total {
                tell(done, total);
            }
        }
        Ok(())
    }

    /// Entries folded.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Those of them that the stored index covers.
    pub fn indexed(&self) -> u64 {
        self.indexed
    }

    /// There is enough behind the stored index for a new one.
    pub fn is_due(&self) -> bool {
        self.size - self.indexed >= STEP
    }

    /// Stores the index of what is folded, and gives its digest, for the `indexed` entry that is the log's next one. Every
    /// entry folded must be on the disk. What is there after a stop *behind* each line:
    ///
    /// ```text
    /// 1 leftovers removed    the newest index that the log vouches for, and no file that it does not name.
    /// 2 run renamed          as 1, and a run that nothing names: removed by the next call.
    /// 3 manifest renamed     as 2; the log has no entry for this manifest, so the older index is used and the rest is folded.
    ///   entry, fsync         as 3: nothing vouches yet for an entry that is not sealed.
    ///   checkpoint           the new index is used; the next call removes the older one.
    /// ```
    pub fn store(&mut self, log: &View) -> Result<Digest, Error> {
        let dir = directory(log.dir());
        durable::make_dirs(log.dir(), &dir)?;
        clean(log, &dir)?; // 1
        let (kept, merged) = self.places.kept();
        let run = match merged {
            0 => None,
            _ => Some(write_run(&dir, &self.places, kept)?), // 2
        };
        self.places.take_place(kept, run);
        let refer = |run: &Run| RunRef { records: run.records(), footer: run.digest() };
        let manifest = Manifest {
            v: VERSION,
            origin: log.origin().to_string(),
            size: self.size,
            runs: self.places.stored.iter().map(refer).collect(),
            state: self.state.clone(),
        };
        let bytes = cbor::to_vec(&manifest).map_err(|e| Error::Entry { index: self.size, what: e.to_string() })?;
        durable::replace(&dir.join(format!("{}.manifest", self.size)), &bytes)?; // 3
        self.indexed = self.size;
        Ok(Digest::of(&bytes))
    }
}

/// Where the stored index says that the certificate with this serial number (content octets) stands. `None` where there is no
/// index, or it does not know. Whoever asks looks into the entry; that a certificate is *not* on record he learns from the log
/// alone.
pub fn place_of(log: &View, serial: &[u8]) -> Option<u64> {
    let ledger = stored(log, log.size())?;
    ledger.places.of(&Key::of(Thing::Serial, serial)).ok()?.first().copied()
}

/// The places of a run that no log vouches for, such as a fuzzer makes up, as octets of the file: the footer of `records` places has
/// the digest `footer`. `None`: it is another file.
///
/// # Errors
/// The file cannot be read, or a block is not what its footer says.
pub fn read_run(path: &Path, records: u64, footer: &Digest) -> Result<Option<Vec<u8>>, Error> {
    let Some(run) = Run::open(path, records, footer).map_err(|e| Error::io(path, e))? else { return Ok(None) };
    let mut octets = Vec::new();
    for place in run.places() {
        let (key, index) = place?;
        run.find(&key, &mut Vec::new())?;
        octets.extend(key.0);
        octets.extend(index.to_be_bytes());
    }
    Ok(Some(octets))
}

/// A manifest that no log vouches for, written again as it is stored. `None`: it is none.
pub fn read_manifest(octets: &[u8]) -> Option<Vec<u8>> {
    cbor::to_vec(&cbor::from_slice::<Manifest>(octets).ok()?).ok()
}

fn directory(audit: &Path) -> PathBuf {
    audit.join("index")
}

fn run_path(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join(format!("{digest}.run"))
}

fn write_run(dir: &Path, places: &Places, kept: usize) -> Result<Run, Error> {
    let path = dir.join("run.tmp");
    let created =
        durable::step().and_then(|()| File::options().read(true).write(true).create(true).truncate(true).open(&path));
    let file = created.map_err(|e| Error::io(&path, e))?;
    let flush = |file: &File| Ok(durable::flush_file(file, &path)?);
    let mut run = Run::write(file, &path, places.from(kept), flush)?;
    let target = run_path(dir, &run.digest());
    durable::rename(&path, &target)?;
    durable::sync_dir(dir)?;
    run.renamed(target);
    Ok(run)
}

/// The newest index of at most `size` entries that the log vouches for and that is whole. Whatever is wrong with one, the
/// log itself is there.
fn stored(log: &View, size: u64) -> Option<Ledger> {
    let dir = directory(log.dir());
    let sizes = manifests(&dir).into_iter().filter(|s| *s <= size);
    sizes.into_iter().find_map(|size| load(&dir, log, size))
}

fn load(dir: &Path, log: &View, size: u64) -> Option<Ledger> {
    let bytes = vouched(dir, log, size)?;
    let manifest: Manifest = cbor::from_slice(&bytes).ok()?;
    if (manifest.v, manifest.size, manifest.origin.as_str()) != (VERSION, size, log.origin()) {
        return None;
    }
    let open = |run: &RunRef| Run::open(&run_path(dir, &run.footer), run.records, &run.footer).ok().flatten();
    let stored = manifest.runs.iter().map(open).collect::<Option<Vec<Run>>>()?;
    Some(Ledger { state: manifest.state, places: Places::over(stored), size, indexed: size })
}

/// The octets of a manifest, if the log has a sealed entry for it.
fn vouched(dir: &Path, log: &View, size: u64) -> Option<Vec<u8>> {
    if size >= log.sealed_size() {
        return None;
    }
    let Body::Indexed { size: covered, digest } = log.entry(size).ok()?.body else { return None };
    let mut bytes = Vec::new();
    let file = File::open(dir.join(format!("{size}.manifest"))).ok()?;
    file.take(MAX_MANIFEST).read_to_end(&mut bytes).ok()?;
    (covered == size && Digest::of(&bytes) == digest).then_some(bytes)
}

/// The sizes of the manifests that lie there, the largest first.
fn manifests(dir: &Path) -> Vec<u64> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|item| item.file_name());
    let size = |name: std::ffi::OsString| name.to_str()?.strip_suffix(".manifest")?.parse().ok();
    let mut sizes: Vec<u64> = names.filter_map(size).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes
}

/// Removes all files but those of the newest index that the log vouches for.
fn clean(log: &View, dir: &Path) -> Result<(), Error> {
    let mut wanted = Vec::new();
    let found = manifests(dir).into_iter().find_map(|size| {
        let bytes = vouched(dir, log, size)?;
        Some((size, cbor::from_slice::<Manifest>(&bytes).ok()?))
    });
    if let Some((size, manifest)) = found {
        wanted.push(dir.join(format!("{size}.manifest")));
        wanted.extend(manifest.runs.iter().map(|run| run_path(dir, &run.footer)));
    }
    for item in fs::read_dir(dir).map_err(|e| Error::io(dir, e))? {
        let path = item.map_err(|e| Error::io(dir, e))?.path();
        if !wanted.contains(&path) {
            durable::step().and_then(|()| fs::remove_file(&path)).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(durable::sync_dir(dir)?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The manifest of a ledger, as it would be stored.
    pub(crate) fn manifest(ledger: &Ledger, origin: &str) -> Vec<u8> {
        let state = ledger.state.clone();
        let manifest = Manifest { v: VERSION, origin: origin.into(), size: ledger.size, runs: vec![], state };
        cbor::to_vec(&manifest).unwrap()
    }
}
