//! What the log says was made, issued, revoked, numbered and received: folded from its entries.
//!
//! The fold has two parts. [`State`] is small: keys, CAs, CRLs, plans, bundles. Of what grows with every certificate (serial
//! numbers, keys, names, requests) only the places are kept, which entry tells of it; what an answer says is read from
//! the log's own entry ([`answers`]).

mod adopted;
pub mod answers;
mod fold;
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
    CrlIssued, End, Genesis, KeyBackedUp, KeyGenerated, LogAdopted, PinSplit, Start, Void, WrappingKeyGenerated,
};
use crate::cbor::Bytes;
use crate::digest::Digest;
use crate::plan::{BundleRef, Kind};
use crate::x509::fields;

pub use answers::{Entries, Issued, KeyHolder, NameHolder};
pub use index::{place_of, read_manifest, read_run};
use places::Places;

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

impl PlanState {
    fn planned(kind: Kind, items: u64, refused: u64, bundle: Option<BundleRef>, planned_at: u64) -> PlanState {
        let (start, void, end, differs) = (None, None, None, None);
        let (done, answered, released) = (0, 0, false);
        PlanState { kind, items, refused, bundle, planned_at, start, done, answered, void, end, released, differs }
    }
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

impl State {
    /// A release and the size of its checkpoint that stand in a gap: the desk has what this log has lost.
    pub fn in_a_gap(&self, release: u64, size: u64) -> bool {
        let holds = |l: &LogAdopted| release <= l.mark_release && size > l.size && size <= l.mark_size;
        self.lost.iter().any(holds)
    }

    /// A desk of whose bundles some may be in a gap: its next number is not known.
    pub fn number_unknown(&self, desk: &str) -> bool {
        !self.lost.is_empty() && !self.heard_since.contains(desk)
    }

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
