//! The whole check of a log: everything that the verifier key, the tiles and the rules allow to be checked.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::thread;

use super::entry::{Body, Evidence};
use super::merkle::Frontier;
use super::named::named;
use super::note::{self, VerifierKey};
use super::order::{Broken, Order, serial_mark};
use super::serial::issuer_and_serial;
use super::sheaf::{Seen, Sheaves};
use super::tiles::{self, WIDTH, full_tile_root};
use super::{Error, View, artefact, withheld};
use crate::digest::Digest;

/// What a checked log holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    pub origin: String,
    /// Size and root of the checkpoint.
    pub size: u64,
    pub root: Digest,
    /// Entries behind the checkpoint, which no signature covers yet.
    pub unsealed: u64,
    /// Entries by kind, sealed and unsealed.
    pub counts: BTreeMap<&'static str, u64>,
    /// Artefacts that entries name: present and right, and not here (withheld, or left out of a published copy).
    pub artefacts: u64,
    pub absent: u64,
    /// The plan that was started and has not ended.
    pub open_plan: Option<Digest>,
    /// The indices of the changes of state; whether they were approved is judged by [`crate::change::judge_log`].
    pub changes: Vec<u64>,
    /// Where the log goes on behind a loss: what may have been issued, revoked or made there is unknown.
    pub gaps: Vec<Gap>,
}

/// What a `log-adopted` entry tells of.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Gap {
    pub entry: u64,
    /// Releases behind this one, up to the other, may exist and are unknown here.
    pub release: u64,
    pub mark_release: u64,
    /// The plan that was open.
    pub plan: Option<Digest>,
    /// The hierarchy in force from there on, where it is not the one from before. Its own quorum has approved the entry, and the
    /// adoption of it is lost: that it is the right one, nothing in the log says.
    pub hierarchy: Option<Digest>,
}

/// The first thing that is wrong, and the entry where it showed.
#[derive(Debug, thiserror::Error)]
#[error("{}{cause}", .entry.map(|index| format!("entry {index}: ")).unwrap_or_default())]
pub struct Finding {
    pub entry: Option<u64>,
    pub cause: Cause,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error("{0}")]
    Log(#[from] Error),
    #[error("the log has no checkpoint yet")]
    NoCheckpoint,
    #[error("the checkpoint does not verify with the given key: {0}")]
    Checkpoint(note::Error),
    #[error("the tail ends in {0} octets of an unfinished or damaged record")]
    Torn(u64),
    #[error("the entries give another root than the checkpoint")]
    Root,
    #[error("it adopts another log than the one that stands before it")]
    Adopted,
    #[error("it hands another log over than the one that stands before it")]
    HandedOver,
    #[error("{0}")]
    Order(#[from] Broken),
    #[error("issuer and serial number are those of entry {0}")]
    SerialTwice(u64),
    #[error("{0}")]
    Evidence(&'static str),
}

impl Finding {
    /// What a person should do.
    pub fn hint(&self) -> Option<String> {
        match &self.cause {
            Cause::Log(error) => error.hint(),
            Cause::NoCheckpoint => Some("finish `coldroot init`, which seals the first entry".into()),
            Cause::Checkpoint(_) => {
                Some("compare the verifier key with the one printed at `coldroot init`; if it is right, this is not that log".into())
            }
            Cause::Torn(_) => {
                Some("if a run was stopped just now, run `coldroot sign` again, which cuts and records it; otherwise the disk has damaged the tail".into())
            }
            Cause::Root
            | Cause::Adopted
            | Cause::HandedOver
            | Cause::Order(_)
            | Cause::SerialTwice(_)
            | Cause::Evidence(_) => {
                Some("the log was made or changed by something else than this program: keep a copy as evidence and ask who had the directory".into())
            }
        }
    }
}

/// Checks a log directory, a station's or a published copy, against the verifier key, which comes from elsewhere.
///
/// Streams: memory is a few tiles and bundles for each processor, the number of plans, and 8 octets for each certificate.
pub fn check(dir: &Path, key: &VerifierKey) -> Result<Report, Finding> {
    let view = View::read(dir).map_err(finding(None))?;
    let note = view.checkpoint_text().ok_or(Cause::NoCheckpoint).map_err(finding(None))?;
    let checkpoint = note::open(note, key).map_err(|e| finding(None)(Cause::Checkpoint(e)))?;
    if view.cut() > 0 {
        return Err(finding(None)(Cause::Torn(view.cut())));
    }
    let mut order = Order::new(&checkpoint.origin, &key.to_string());
    let mut artefacts = Artefacts::default();
    let mut counts = BTreeMap::new();
    let mut rebuilt = Rebuilt::default();
    let (mut changes, mut gaps) = (Vec::new(), Vec::new());
    let mut take = |index: u64, seen: Seen| {
        let entry = match seen {
            Seen::Certificate { plan, item, mark } => {
                *counts.entry("certificate").or_insert(0) += 1;
                return order.certificate(plan, item, mark).map_err(finding(Some(index)));
            }
            Seen::Other(entry) => entry,
        };
        order.take(&entry).map_err(finding(Some(index)))?;
        artefacts.take(&view, &entry.body).map_err(finding(Some(index)))?;
        if let Body::Evidence(evidence) = &entry.body {
            fits(&view, evidence).map_err(finding(Some(index)))?;
        }
        changes.extend(entry.body.decision().map(|_| index));
        if let Body::LogAdopted(lost) = &entry.body {
            // What no checkpoint covers was not there to be adopted.
            let sealed = (1..=index.min(checkpoint.size)).contains(&lost.size);
            if !sealed || view.root_at(lost.size).map_err(finding(None))? != lost.root {
                return Err(finding(Some(index))(Cause::Adopted));
            }
            let (release, mark_release, mark_plan) = (lost.release, lost.mark_release, lost.mark_plan);
            let hierarchy = (lost.mark_hierarchy != lost.hierarchy).then_some(lost.mark_hierarchy);
            gaps.push(Gap { entry: index, release, mark_release, plan: mark_plan, hierarchy });
        }
        if let Body::HandedOver(handed) = &entry.body
            && (handed.size == 0
                || handed.size > index
                || view.root_at(handed.size).map_err(finding(None))? != handed.root)
        {
            return Err(finding(Some(index))(Cause::HandedOver));
        }
        *counts.entry(kind(&entry.body)).or_insert(0) += 1;
        Ok(())
    };
    thread::scope(|scope| {
        for sheaf in Sheaves::read(scope, &view) {
            (sheaf.first..).zip(sheaf.seen).try_for_each(|(index, seen)| take(index, seen))?;
            if let Some(error) = sheaf.failed {
                return Err(at(error));
            }
            let last = sheaf.first + (sheaf.leaves.len() as u64).saturating_sub(1);
            match sheaf.root {
                Some(root) => rebuilt.push_tile(&view, root),
                None => sheaf.leaves.into_iter().try_for_each(|leaf| rebuilt.push(&view, leaf)),
            }
            .map_err(finding(Some(last)))?;
        }
        Ok(())
    })?;
    for found in view.entries(checkpoint.size..view.size()) {
        let (index, entry, _) = found.map_err(at)?;
        take(index, Seen::Other(Box::new(entry)))?;
    }
    rebuilt.finish(&view).map_err(finding(None))?;
    if rebuilt.frontier.root() != checkpoint.root {
        return Err(finding(None)(Cause::Root));
    }
    let open_plan = order.open_plan();
    serials_are_unique(&view, order.doubtful_serials())?;
    Ok(Report {
        origin: checkpoint.origin,
        size: checkpoint.size,
        root: checkpoint.root,
        unsealed: view.size() - checkpoint.size,
        counts,
        artefacts: artefacts.present,
        absent: artefacts.absent,
        open_plan,
        changes,
        gaps,
    })
}

/// The name of an entry's kind, as it stands in the entry.
pub fn kind(body: &Body) -> &'static str {
    match body {
        Body::Genesis(_) => "genesis",
        Body::Open { .. } => "open",
        Body::PinTry { .. } => "pin-try",
        Body::Login { .. } => "login",
        Body::PinSplit(_) => "pin-split",
        Body::PinSplitDone { .. } => "pin-split-done",
        Body::BundleReceived { .. } => "bundle-received",
        Body::Planned { .. } => "planned",
        Body::Start(_) => "start",
        Body::KeyGenerated(_) => "key-generated",
        Body::WrappingKeyGenerated(_) => "wrapping-key-generated",
        Body::KeyBackedUp(_) => "key-backed-up",
        Body::KeyRestored(_) => "key-restored",
        Body::KeyProven(_) => "key-proven",
        Body::KeyDestroyed(_) => "key-destroyed",
        Body::Certificate(_) => "certificate",
        Body::Revoked(_) => "revoked",
        Body::Crl(_) => "crl",
        Body::Csr(_) => "csr",
        Body::Refused { .. } => "refused",
        Body::Void(_) => "void",
        Body::End(_) => "end",
        Body::ReleaseWritten { .. } => "release-written",
        Body::Probe { .. } => "probe",
        Body::Inventory { .. } => "inventory",
        Body::HierarchyAdopted(_) => "hierarchy-adopted",
        Body::CrlAdopted(_) => "crl-adopted",
        Body::CertificateAdopted(_) => "certificate-adopted",
        Body::LogAdopted(_) => "log-adopted",
        Body::HandedOver(_) => "handed-over",
        Body::ClockCorrected(_) => "clock-corrected",
        Body::MediumRead { .. } => "medium-read",
        Body::CopyWritten { .. } => "copy-written",
        Body::Indexed { .. } => "indexed",
        Body::Step { .. } => "step",
        Body::Deviation { .. } => "deviation",
        Body::Sampled(_) => "sampled",
        Body::Evidence(_) => "evidence",
        Body::Failure { .. } => "failure",
    }
}

fn finding<C: Into<Cause>>(entry: Option<u64>) -> impl FnOnce(C) -> Finding {
    move |cause| Finding { entry, cause: cause.into() }
}

/// Errors that name an entry keep its index in the finding.
fn at(error: Error) -> Finding {
    let entry = match &error {
        Error::EntryDiffers { index } | Error::EntryMalformed { index, .. } => Some(*index),
        _ => None,
    };
    finding(entry)(error)
}

/// Every tile made anew from the entries, level by level, and compared with the file.
#[derive(Default)]
struct Rebuilt {
    frontier: Frontier,
    /// For each level, the number of the tile that is being filled and its hashes so far.
    levels: Vec<(u64, Vec<Digest>)>,
}

impl Rebuilt {
    /// A tile of the lowest level, compared already, has this root.
    fn push_tile(&mut self, view: &View, root: Digest) -> Result<(), Error> {
        self.frontier.push_tile(root);
        self.grow(view, 1, root)?;
        if let Some((n, _)) = self.levels.first_mut() {
            *n += 1;
        }
        Ok(())
    }

    fn push(&mut self, view: &View, leaf: Digest) -> Result<(), Error> {
        self.frontier.push(leaf);
        self.grow(view, 0, leaf)
    }

    fn grow(&mut self, view: &View, from: usize, hash: Digest) -> Result<(), Error> {
        let mut hash = hash;
        for level in from.. {
            while self.levels.len() <= level {
                self.levels.push((0, Vec::new()));
            }
            let Some((n, hashes)) = self.levels.get_mut(level) else { return Ok(()) };
            hashes.push(hash);
            if (hashes.len() as u64) < WIDTH {
                return Ok(());
            }
            compare(view, level, *n, hashes)?;
            hash = full_tile_root(hashes);
            *n += 1;
            hashes.clear();
        }
        Ok(())
    }

    fn finish(&self, view: &View) -> Result<(), Error> {
        let partial = self.levels.iter().enumerate().filter(|(_, (_, hashes))| !hashes.is_empty());
        partial.into_iter().try_for_each(|(level, (n, hashes))| compare(view, level, *n, hashes))
    }
}

fn compare(view: &View, level: usize, n: u64, hashes: &[Digest]) -> Result<(), Error> {
    // There are at most 8 levels.
    let level = u32::try_from(level).unwrap_or(u32::MAX);
    let width = hashes.len() as u64;
    match view.tiles.hashes(level, n, width)? == hashes {
        true => Ok(()),
        false => Err(Error::TileDiffers { path: tiles::tile_path(level, n, width) }),
    }
}

#[derive(Default)]
struct Artefacts {
    /// Whether each is here.
    seen: HashMap<Digest, bool>,
    present: u64,
    absent: u64,
}

impl Artefacts {
    fn take(&mut self, view: &View, body: &Body) -> Result<(), Error> {
        for (digest, what) in named(body) {
            let here = match self.seen.get(&digest) {
                Some(here) => *here,
                None => {
                    let here = match view.verify_artefact(&digest) {
                        Ok(()) => true,
                        Err(Error::ArtefactMissing { .. }) => false,
                        Err(e) => return Err(e),
                    };
                    self.present += u64::from(here);
                    self.absent += u64::from(!here);
                    self.seen.insert(digest, here);
                    here
                }
            };
            // Each entry that names it is asked: a file that was only read in at first may be held for another one's sake.
            if !here && what.held() && view.is_station() {
                return Err(Error::ArtefactMissing { digest: digest.hex() });
            }
        }
        Ok(())
    }
}

/// A file that people put on record is as long as its entry says, and salted where it is withheld. One that is absent is
/// counted as that elsewhere.
fn fits(view: &View, evidence: &Evidence) -> Result<(), Cause> {
    let path = view.dir().join(artefact::path(&evidence.artefact));
    let failed = |e| Cause::Log(Error::io(&path)(e));
    let mut file = match File::open(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        file => file.map_err(failed)?,
    };
    let length = file.metadata().map_err(failed)?.len();
    let before = match evidence.withheld {
        true if !withheld::open(&mut file).map_err(failed)? => {
            return Err(Cause::Evidence("the withheld artefact has no salt before it"));
        }
        true => withheld::head_length(),
        false => 0,
    };
    match length - before == evidence.octets {
        true => Ok(()),
        false => Err(Cause::Evidence("the evidence has not the length that its entry gives")),
    }
}

/// Looks again, octet by octet, at the few certificates whose 64-bit marks are equal.
fn serials_are_unique(view: &View, doubtful: Vec<u64>) -> Result<(), Finding> {
    if doubtful.is_empty() {
        return Ok(());
    }
    let mut seen: HashMap<(Vec<u8>, Vec<u8>), u64> = HashMap::new();
    for found in view.entries(0..view.size()) {
        let (index, entry, _) = found.map_err(at)?;
        let Body::Certificate(certificate) = &entry.body else { continue };
        if serial_mark(&certificate.der).is_none_or(|mark| doubtful.binary_search(&mark).is_err()) {
            continue;
        }
        if let Some((issuer, serial)) = issuer_and_serial(&certificate.der)
            && let Some(first) = seen.insert((issuer.to_vec(), serial.to_vec()), index)
        {
            return Err(finding(Some(index))(Cause::SerialTwice(first)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
