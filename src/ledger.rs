//! What the log says was made, issued, revoked, numbered and received: folded from its entries.
//!
//! The fold has two parts. [`State`] is small: keys, CAs, CRLs, plans, bundles. Of what grows with every certificate (serial
//! numbers, keys, names, requests) only the places are kept, which entry tells of it; what an answer says is read from
//! the log's own entry ([`answers`]).

mod adopted;
pub mod answers;
mod index;
mod places;
mod run;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Deref, DerefMut, Range};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::audit;
use crate::audit::changed::Changed;
use crate::audit::entry::{
    Body, CertificateIssued, CrlIssued, CsrMade, End, Entry, Genesis, KeyBackedUp, KeyGenerated, LogAdopted, PinSplit,
    Revoked, Start, Void, WrappingKeyGenerated,
};
use crate::cbor::Bytes;
use crate::digest::Digest;
use crate::plan::{BundleRef, Kind};
use crate::x509;
use crate::x509::fields;

pub use answers::{Entries, Issued, KeyHolder, NameHolder};
pub use index::place_of;
use places::{Key, Places, Thing};

/// reasonCode keyCompromise (RFC 5280 §5.3.1).
pub const KEY_COMPROMISE: u8 = 1;
/// reasonCode cACompromise.
pub const CA_COMPROMISE: u8 = 2;
const TWICE: &str = "its serial number stands in an earlier entry of the same kind";
/// By so much the numbers of CRLs rise behind a gap.
const CRL_JUMP: u64 = 1 << 32;
/// So many certificates of RSA keys are remembered: new keys are compared with theirs.
pub const RSA_KEYS: u64 = 100_000;
/// What counts against a desk's limits of a day.
const DAY: i64 = 86_400;

/// The fold. Starts empty; [`Ledger::add`] takes the entries in order.
#[derive(Default)]
pub struct Ledger {
    state: State,
    places: Places,
    /// Entries folded so far.
    size: u64,
    /// How many of them the stored index covers.
    indexed: u64,
}

/// The small rest is read as if it were the ledger itself.
impl Deref for Ledger {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Ledger {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

/// What does not grow with the number of certificates, those on the next CRLs apart (a CRL is bounded). Stored in the index,
/// which is made anew when it cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct State {
    pub genesis: Option<Genesis>,
    /// The hierarchy in force, and what else changes of state have come to.
    pub changed: Changed,
    /// The number of the last release; 0 before the first.
    pub release: u64,
    /// Key pairs made, by the hierarchy's key id.
    pub keys: BTreeMap<String, KeyGenerated>,
    /// Wrapping keys made, by the hierarchy's id.
    pub wrapping_keys: BTreeMap<String, WrappingKeyGenerated>,
    /// The newest backup of each key.
    pub backups: BTreeMap<String, KeyBackedUp>,
    /// Those of them that were destroyed since, and not restored.
    pub destroyed: BTreeSet<String>,
    /// Whether a token protects its keys, by the last probe of it that found out; tokens by their id.
    pub protected: BTreeMap<String, bool>,
    /// CA certificates issued or adopted, by the CA's id: log index and DER of the newest.
    pub cas: BTreeMap<String, (u64, Bytes)>,
    /// The CA that issued each of those certificates; itself for a root, `external` for one that was adopted.
    pub issuers: BTreeMap<String, String>,
    /// The newest request of each CA that an external issuer certifies: DER.
    pub csrs: BTreeMap<String, Bytes>,
    /// The certificates above each of those CAs, its issuer's first: DER.
    pub above: BTreeMap<String, Vec<Bytes>>,
    /// The newest CRL of each CA.
    pub crls: BTreeMap<String, CrlIssued>,
    /// The greatest CRL number ever planned for each CA: the next one is greater, even if the plan was never signed.
    pub crl_numbers: BTreeMap<String, u64>,
    /// How far CRL numbers were moved on by gaps.
    crl_jump: u64,
    /// The numbers as they stood before the last of those jumps: CRLs behind them may have been signed in the gap.
    crl_before_gap: BTreeMap<String, u64>,
    /// Gaps of this log.
    pub lost: Vec<LogAdopted>,
    /// Desks that brought a bundle since the last gap.
    heard_since: BTreeSet<String>,
    /// The last bundle of each desk.
    pub bundles: BTreeMap<String, BundleRef>,
    pub plans: BTreeMap<Digest, PlanState>,
    /// How many certificates that are not revoked end when (notAfter), by the CA that issued them; its own are not counted.
    /// Certificates of one plan and profile end together, so there are about as many times as plans.
    ends: BTreeMap<String, BTreeMap<i64, u64>>,
    /// The entries of each CA's CRL, in the order of their revocation.
    revoked: BTreeMap<String, Vec<OnCrl>>,
    /// CAs with revocations on record that no CRL tells of yet: their plan was stopped, or voided, in between.
    unlisted: BTreeSet<String>,
    /// The shares of each token's PIN: the set that counts, then one of which nobody knows whether it does.
    pub pin_sets: BTreeMap<String, Vec<PinSet>>,
    /// Where the certificates of the last RSA keys stand: log index of the first, and how many without another entry between.
    rsa: VecDeque<(u64, u64)>,
    rsa_count: u64,
    /// What desks brought: time, desk, items, revocations among them.
    received: Vec<(i64, String, u64, u64)>,
}

/// How far a plan got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlanState {
    pub kind: Kind,
    pub items: u64,
    pub refused: u64,
    pub bundle: Option<BundleRef>,
    /// Log index of the `Planned` entry.
    pub planned_at: u64,
    /// Log index and content of the `Start` entry.
    pub start: Option<(u64, Start)>,
    /// Items on record: the one number that says where to go on.
    pub done: u64,
    /// Refusals on record.
    pub answered: u64,
    /// Log index and content of the `Void` entry.
    pub void: Option<(u64, Void)>,
    /// Log index and content of the `End` entry.
    pub end: Option<(u64, End)>,
    /// The release was written and read back.
    pub released: bool,
    /// Log index of the first sample in which items did not agree with the evidence: the plan is not signed.
    pub differs: Option<u64>,
}

/// A token's PIN in shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PinSet {
    pub split: PinSplit,
    /// The token has taken it.
    pub confirmed: bool,
}

/// One entry of a CRL, and until when it must stand there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OnCrl {
    pub entry: fields::Revoked,
    pub not_after: i64,
}

/// Why a log does not fold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("log entry {index}: {what}")]
    Entry { index: u64, what: String },
    #[error("audit log: {0}")]
    Log(#[from] audit::Error),
    #[error("{} is not the file that the log's index names", crate::text::path(.path))]
    Index { path: PathBuf },
}

impl Error {
    fn io(path: &Path, source: std::io::Error) -> Error {
        Error::Log(audit::Error::Io { path: path.to_path_buf(), source })
    }

    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Log(e) => e.hint(),
            Error::Index { path } => path.parent().map(|dir| {
                let dir = crate::text::shell(dir);
                format!("the index is made from the log: compare the disk with another (`dmesg`), remove {dir}, and run this again")
            }),
            Error::Entry { .. } => {
                Some("stop, and compare the audit directory with its copies: `coldroot check DIR`".into())
            }
        }
    }
}

impl Ledger {
    /// Takes the next entry of `log`, in which the entries before it stand.
    pub fn add(&mut self, log: &dyn Entries, index: u64, entry: &Entry) -> Result<(), Error> {
        let wrong = |what: &str| Error::Entry { index, what: what.into() };
        if index != self.size {
            return Err(wrong("is not the next one"));
        }
        self.size += 1;
        self.places.settle()?;
        self.changed.take(index, entry).map_err(|e| wrong(&e.to_string()))?;
        match &entry.body {
            Body::Genesis(genesis) => self.genesis = Some(genesis.clone()),
            Body::BundleReceived { bundle, count, revocations } => {
                self.received.push((entry.time, bundle.desk.clone(), *count, *revocations));
                self.heard_since.insert(bundle.desk.clone());
                self.bundles.insert(bundle.desk.clone(), bundle.clone());
            }
            Body::Planned { plan, kind, items, refused, bundle, counts } => {
                for count in counts.iter().filter(|c| c.act == "crl") {
                    let number = count.detail.strip_prefix("number-").and_then(|n| n.parse().ok());
                    let number: u64 = number.ok_or_else(|| wrong("a planned CRL has no number"))?;
                    let last = self.crl_numbers.entry(count.ca.clone()).or_default();
                    *last = number.max(*last);
                }
                let state = PlanState {
                    kind: *kind,
                    items: *items,
                    refused: *refused,
                    bundle: bundle.clone(),
                    planned_at: index,
                    start: None,
                    done: 0,
                    answered: 0,
                    void: None,
                    end: None,
                    released: false,
                    differs: None,
                };
                self.plans.entry(*plan).or_insert(state);
            }
            Body::Start(start) => {
                let state =
                    self.plans.get_mut(&start.plan).ok_or_else(|| wrong("starts a plan that was not made here"))?;
                state.start = Some((index, start.clone()));
            }
            Body::KeyGenerated(key) => {
                self.item(&key.plan, key.item, index)?;
                self.keys.insert(key.key.clone(), key.clone());
            }
            Body::WrappingKeyGenerated(key) => {
                self.item(&key.plan, key.item, index)?;
                self.wrapping_keys.insert(key.key.clone(), key.clone());
            }
            Body::KeyBackedUp(backup) => {
                self.item(&backup.plan, backup.item, index)?;
                self.made(&backup.key, &backup.spki, index)?;
                self.backups.insert(backup.key.clone(), backup.clone());
            }
            Body::KeyRestored(key) => {
                self.item(&key.plan, key.item, index)?;
                self.made(&key.key, &key.spki, index)?;
                self.destroyed.remove(&key.key);
            }
            Body::KeyProven(proven) => {
                self.item(&proven.plan, proven.item, index)?;
                self.made(&proven.key, &proven.spki, index)?;
            }
            Body::KeyDestroyed(key) => {
                self.item(&key.plan, key.item, index)?;
                self.made(&key.key, &key.spki, index)?;
                self.destroyed.insert(key.key.clone());
            }
            Body::Certificate(issued) => {
                self.item(&issued.plan, issued.item, index)?;
                self.certificate(index, issued)?;
            }
            Body::Revoked(revoked) => {
                self.item(&revoked.plan, revoked.item, index)?;
                self.revoke(log, index, revoked)?;
            }
            Body::Crl(crl) => {
                self.item(&crl.plan, crl.item, index)?;
                // An entry leaves the list once it has stood on a CRL from behind its certificate's validity
                // (RFC 5280 §3.3).
                if let Some(list) = self.revoked.get_mut(&crl.ca) {
                    list.retain(|on| on.not_after >= crl.this_update);
                }
                self.unlisted.remove(&crl.ca);
                self.crls.insert(crl.ca.clone(), crl.clone());
            }
            Body::Csr(csr) => {
                self.item(&csr.plan, csr.item, index)?;
                self.request(index, csr)?;
            }
            Body::Refused { plan, request, .. } => {
                let state = self.running(plan, index)?;
                if state.done < state.items && state.void.is_none() {
                    return Err(wrong("a refusal stands before the items of its plan are done"));
                }
                state.answered += 1;
                self.places.insert(Key::of(Thing::Request, request.as_bytes()), index);
            }
            Body::CrlAdopted(adopted) => self.adopt_crl(log, index, adopted)?,
            Body::CertificateAdopted(adopted) => self.adopt_certificate(index, adopted)?,
            Body::Void(void) => {
                let state = self.plans.get_mut(&void.plan).filter(|state| state.end.is_none());
                let state = state.ok_or_else(|| wrong("voids a plan that was not made here, or ended"))?;
                state.void = Some((index, void.clone()));
            }
            Body::End(end) => {
                let state = self.plans.get_mut(&end.plan).ok_or_else(|| wrong("ends a plan that was not made here"))?;
                state.end = Some((index, end.clone()));
                self.release = end.release;
            }
            Body::ReleaseWritten { release, .. } => {
                for state in self.plans.values_mut() {
                    state.released |= state.end.as_ref().is_some_and(|(_, end)| end.release == *release);
                }
            }
            Body::Sampled(sampled) => {
                let state = self.plans.get_mut(&sampled.plan).filter(|state| state.items == sampled.items);
                let state = state.ok_or_else(|| wrong("is a sample of a plan that was not made here"))?;
                if let Some(what) = sampled.fault() {
                    return Err(wrong(what));
                }
                if state.differs.is_none() && !sampled.differs.is_empty() {
                    state.differs = Some(index);
                }
            }
            Body::PinSplit(split) => {
                let sets = self.pin_sets.entry(split.token.clone()).or_default();
                sets.retain(|known| known.confirmed);
                sets.push(PinSet { split: split.clone(), confirmed: false });
            }
            Body::PinSplitDone { token, set, new_pin } => {
                let sets = self.pin_sets.entry(token.clone()).or_default();
                if !sets.iter().any(|known| known.split.set == *set && !known.confirmed) {
                    return Err(wrong("ends a split of a PIN that was not begun"));
                }
                sets.retain(|known| (known.split.set == *set) == *new_pin);
                sets.iter_mut().for_each(|known| known.confirmed = true);
            }
            Body::Probe { token, protected, .. } => {
                // A probe that did not find out takes nothing back.
                self.protected.extend(protected.map(|protected| (token.clone(), protected)));
            }
            Body::LogAdopted(lost) => self.lose(lost.clone()),
            Body::HandedOver(handed) => {
                // Whether the clone was made before its PIN was split, or behind, the PIN that opens it says.
                let sets = self.pin_sets.entry(handed.token.clone()).or_default();
                sets.retain(|known| known.confirmed);
                sets.iter_mut().for_each(|known| known.confirmed = false);
                if handed.lost {
                    self.jump();
                }
            }
            Body::Open { .. }
            | Body::PinTry { .. }
            | Body::Login { .. }
            | Body::Inventory { .. }
            | Body::HierarchyAdopted(_)
            | Body::ClockCorrected(_)
            | Body::MediumRead { .. }
            | Body::CopyWritten { .. }
            | Body::Indexed { .. }
            | Body::Step { .. }
            | Body::Deviation { .. }
            | Body::Evidence(_)
            | Body::Failure { .. } => {}
        }
        Ok(())
    }

    /// A gap: release and CRL numbers go on where nothing that was lost can have used them (RFC 5280 §5.2.3 has 20 octets).
    fn lose(&mut self, lost: LogAdopted) {
        self.release = lost.mark_release;
        self.jump();
        self.heard_since.clear();
        self.lost.push(lost);
    }

    /// CRLs may have been signed that this log does not know: with a part of it that is lost, or with a token that is.
    fn jump(&mut self) {
        self.crl_before_gap = self.crl_numbers.clone();
        self.crl_jump = self.crl_jump.saturating_add(CRL_JUMP);
        self.crl_numbers.values_mut().for_each(|number| *number = number.saturating_add(CRL_JUMP));
    }

    /// A release and the size of its checkpoint that stand in a gap: the desk has what this log has lost.
    pub fn in_a_gap(&self, release: u64, size: u64) -> bool {
        let holds = |l: &LogAdopted| release <= l.mark_release && size > l.size && size <= l.mark_size;
        self.lost.iter().any(holds)
    }

    /// A desk of whose bundles some may be in a gap: its next number is not known.
    pub fn number_unknown(&self, desk: &str) -> bool {
        !self.lost.is_empty() && !self.heard_since.contains(desk)
    }

    /// Acts on keys are about keys on record.
    fn made(&self, key: &str, spki: &Digest, index: u64) -> Result<(), Error> {
        match self.keys.get(key).is_some_and(|made| Digest::of(&made.spki) == *spki) {
            true => Ok(()),
            false => Err(Error::Entry { index, what: "is about a key that was not generated".into() }),
        }
    }

    /// Counts an item of a plan: in order, and only while the plan is open.
    fn item(&mut self, plan: &Digest, item: u64, index: u64) -> Result<(), Error> {
        let state = self.running(plan, index)?;
        if item != state.done || state.void.is_some() {
            return Err(Error::Entry { index, what: format!("is not item {} of its plan", state.done) });
        }
        state.done += 1;
        Ok(())
    }

    fn running(&mut self, plan: &Digest, index: u64) -> Result<&mut PlanState, Error> {
        let running = |state: &&mut PlanState| (state.start.is_some() || state.void.is_some()) && state.end.is_none();
        let state = self.plans.get_mut(plan).filter(running);
        state.ok_or(Error::Entry { index, what: "belongs to a plan that is not started, or ended".into() })
    }

    fn certificate(&mut self, index: u64, issued: &CertificateIssued) -> Result<(), Error> {
        let fields = x509::read_certificate(&issued.der)
            .map_err(|e| Error::Entry { index, what: format!("its certificate does not parse: {e}") })?;
        let serial = Key::of(Thing::Serial, &fields.serial);
        if self.places.is_recent(&serial) {
            return Err(Error::Entry { index, what: TWICE.into() });
        }
        self.places.insert(serial, index);
        self.places.insert(Key::of(Thing::Key, &Digest::of(&fields.spki).0), index);
        if let Some(request) = &issued.request {
            self.places.insert(Key::of(Thing::Request, request.as_bytes()), index);
        }
        if x509::is_rsa(&fields.spki) {
            self.remember_rsa(index);
        }
        if issued.subject_ca.is_none() {
            for name in x509::holder_names(&fields.subject, &fields.san) {
                self.places.insert(Key::of(Thing::Name, name.to_ascii_lowercase().as_bytes()), index);
            }
        }
        if issued.subject_ca.as_ref() != Some(&issued.ca) {
            *self.ends.entry(issued.ca.clone()).or_default().entry(fields.not_after).or_default() += 1;
        }
        if let Some(ca) = &issued.subject_ca {
            self.issuers.insert(ca.clone(), issued.ca.clone());
            self.cas.insert(ca.clone(), (index, issued.der.clone()));
        }
        Ok(())
    }

    fn request(&mut self, index: u64, csr: &CsrMade) -> Result<(), Error> {
        let wrong = |e: x509::Error| Error::Entry { index, what: format!("its request is not good: {e}") };
        x509::Request::parse(&csr.der).and_then(|request| request.verify_possession()).map_err(wrong)?;
        self.csrs.insert(csr.ca.clone(), csr.der.clone());
        Ok(())
    }

    /// Keeps the newest [`RSA_KEYS`].
    fn remember_rsa(&mut self, index: u64) {
        let state = &mut self.state;
        match state.rsa.back_mut() {
            Some((first, count)) if *first + *count == index => *count += 1,
            _ => state.rsa.push_back((index, 1)),
        }
        state.rsa_count += 1;
        if let Some((first, count)) = state.rsa.front_mut().filter(|_| state.rsa_count > RSA_KEYS) {
            (*first, *count, state.rsa_count) = (*first + 1, *count - 1, RSA_KEYS);
            if *count == 0 {
                state.rsa.pop_front();
            }
        }
    }

    fn revoke(&mut self, log: &dyn Entries, index: u64, revoked: &Revoked) -> Result<(), Error> {
        let wrong = |what: &str| Error::Entry { index, what: what.into() };
        let found = self.issued(log, &revoked.serial)?.filter(|issued| issued.ca == revoked.ca);
        let issued = found.ok_or_else(|| wrong("revokes a certificate that is not on record"))?;
        if issued.revoked.is_some() {
            return Err(wrong("revokes a certificate that is revoked"));
        }
        self.places.insert(Key::of(Thing::Revoked, &revoked.serial), index);
        if matches!(revoked.reason, Some(KEY_COMPROMISE | CA_COMPROMISE)) {
            self.places.insert(Key::of(Thing::Compromised, &issued.spki.0), index);
        }
        if let Some(ends) = self.ends.get_mut(&revoked.ca)
            && let Some(count) = ends.get_mut(&issued.not_after).filter(|_| !issued.own)
        {
            *count -= 1;
            if *count == 0 {
                ends.remove(&issued.not_after);
            }
        }
        let entry = fields::Revoked { serial: revoked.serial.clone(), date: revoked.date, reason: revoked.reason };
        let on = OnCrl { entry, not_after: issued.not_after };
        self.revoked.entry(revoked.ca.clone()).or_default().push(on);
        self.unlisted.insert(revoked.ca.clone());
        Ok(())
    }
}

impl State {
    /// The plan that was started (or voided) and whose release is not written yet. Until it is, nothing else begins: made
    /// again after a later plan, the release would hold that plan's CAs and CRLs.
    pub fn open_plan(&self) -> Option<(&Digest, &PlanState)> {
        let begun = |state: &PlanState| state.start.is_some() || state.void.is_some();
        self.plans.iter().find(|(_, state)| begun(state) && !(state.end.is_some() && state.released))
    }

    /// The bundle that was received and has no answer yet, with the newest plan made for it.
    pub fn unanswered(&self) -> Option<(&BundleRef, Option<Digest>)> {
        let answered =
            |bundle: &BundleRef| self.plans.values().any(|s| s.end.is_some() && s.bundle.as_ref() == Some(bundle));
        let bundle = self.bundles.values().find(|bundle| !answered(bundle))?;
        let newest =
            self.plans.iter().filter(|(_, s)| s.bundle.as_ref() == Some(bundle)).max_by_key(|(_, s)| s.planned_at);
        Some((bundle, newest.map(|(digest, _)| *digest)))
    }

    /// The certificates that a CA has issued, its own apart, which are valid at `now` and not revoked.
    pub fn in_force(&self, ca: &str, now: i64) -> u64 {
        self.ends.get(ca).map_or(0, |ends| ends.range(now..).map(|(_, count)| count).sum())
    }

    /// When those end, in the order of time: how many at each.
    pub fn ends(&self, ca: &str) -> impl Iterator<Item = (i64, u64)> {
        self.ends.get(ca).into_iter().flatten().map(|(time, count)| (*time, *count))
    }

    /// What the next CRL of a CA holds, new revocations apart.
    pub fn revoked(&self, ca: &str) -> &[OnCrl] {
        self.revoked.get(ca).map_or(&[], Vec::as_slice)
    }

    /// The CAs with revocations that stand on no CRL yet.
    pub fn unlisted(&self) -> impl Iterator<Item = &str> {
        self.unlisted.iter().map(String::as_str)
    }

    /// The log indices of the newest certificates of RSA keys, at most [`RSA_KEYS`], the oldest first: ranges that hold nothing else.
    pub fn rsa_certificates(&self) -> impl Iterator<Item = Range<u64>> {
        self.rsa.iter().map(|(first, count)| *first..first + count)
    }

    /// The number of a CA's next CRL.
    pub fn next_crl_number(&self, ca: &str) -> u64 {
        self.crl_numbers.get(ca).copied().unwrap_or(self.crl_jump).saturating_add(1)
    }

    /// Items and revocations that a desk brought in the 24 hours before `now`.
    pub fn last_day(&self, desk: &str, now: i64) -> (u64, u64) {
        let recent = self.received.iter().filter(|(time, whose, ..)| whose == desk && *time > now - DAY);
        recent.fold((0, 0), |(items, revocations), (.., i, r)| (items + i, revocations + r))
    }
}
