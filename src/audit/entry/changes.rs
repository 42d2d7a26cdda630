//! Changes of the station's state that sign nothing, and what people put on record themselves.

use serde::{Deserialize, Serialize};

use super::{Approved, Body};
use crate::cbor::Bytes;
use crate::digest::Digest;
use crate::plan::sample;

/// Who decided a change: a quorum that signed its statement, the operator, and the witness with another clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Decision {
    /// Why, one line; it stands in the statement.
    pub reason: String,
    /// What it was decided after: the last release.
    pub release: u64,
    /// The number of this change, from 1 and without a gap: a change that was approved is made once.
    pub change: u64,
    pub approvals: Vec<Approved>,
    pub operator: String,
    pub witness: String,
    /// What the witness read from another clock, seconds since the epoch; `None` in rehearsals that did not ask.
    pub witness_time: Option<i64>,
}

impl Body {
    /// Who decided it, where the entry is a change of state.
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Body::HierarchyAdopted(HierarchyAdopted { decision, .. })
            | Body::CrlAdopted(CrlAdopted { decision, .. })
            | Body::CertificateAdopted(CertificateAdopted { decision, .. })
            | Body::LogAdopted(LogAdopted { decision, .. })
            | Body::HandedOver(HandedOver { decision, .. })
            | Body::ClockCorrected(ClockCorrected { decision, .. }) => Some(decision),
            _ => None,
        }
    }

    /// The same, to be filled in.
    pub fn decision_mut(&mut self) -> Option<&mut Decision> {
        match self {
            Body::HierarchyAdopted(HierarchyAdopted { decision, .. })
            | Body::CrlAdopted(CrlAdopted { decision, .. })
            | Body::CertificateAdopted(CertificateAdopted { decision, .. })
            | Body::LogAdopted(LogAdopted { decision, .. })
            | Body::HandedOver(HandedOver { decision, .. })
            | Body::ClockCorrected(ClockCorrected { decision, .. }) => Some(decision),
            _ => None,
        }
    }

    /// What a witness read from another clock when this was done.
    pub fn witnessed(&self) -> Option<i64> {
        match self {
            Body::Start(start) => start.witness_time,
            Body::Void(void) => void.witness_time,
            other => other.decision().and_then(|decision| decision.witness_time),
        }
    }
}

/// From here on another hierarchy is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HierarchyAdopted {
    /// The file in force before, and the one in force from here on: both artefacts.
    pub before: Digest,
    pub hierarchy: Digest,
    pub decision: Decision,
}

/// A CRL of one of the station's CAs that was signed elsewhere. The numbers and the entries of the next ones go on behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CrlAdopted {
    pub ca: String,
    pub number: u64,
    pub this_update: i64,
    pub next_update: i64,
    /// The DER of the whole CRL: an artefact.
    pub crl: Digest,
    /// Its entries, and how many of them name certificates that are not on record.
    pub entries: u64,
    pub unknown: u64,
    pub decision: Decision,
}

/// The certificate of a CA that an external issuer has made, for a request on record. From here on the CA issues under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CertificateAdopted {
    pub ca: String,
    /// SHA-256 of the DER of the request that it answers, the newest on record.
    pub csr: Digest,
    pub der: Bytes,
    /// The certificates above it, its issuer's first, each the issuer of the one before: DER.
    pub above: Vec<Bytes>,
    /// SHA-256 of the certificate in whose place it comes.
    pub replaces: Option<Digest>,
    /// Its validity, seconds since the epoch.
    pub not_before: i64,
    pub not_after: i64,
    /// What it says otherwise than declared, though within it; in words.
    pub differs: Vec<String>,
    pub decision: Decision,
}

/// A log that is older than the token's mark, or another one, goes on in its place: what the mark knew is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogAdopted {
    /// What the mark said: the log's size and root, its last release, the plan that was open, and the hierarchy (an artefact),
    /// which is in force from here on.
    pub mark_size: u64,
    pub mark_root: Digest,
    pub mark_release: u64,
    pub mark_plan: Option<Digest>,
    pub mark_hierarchy: Digest,
    /// The serial number of the token that has the mark.
    pub token: String,
    /// The log that goes on: the entries under its last checkpoint and their root; its last release, and the hierarchy that was
    /// in force in it.
    pub size: u64,
    pub root: Digest,
    pub release: u64,
    pub hierarchy: Digest,
    pub decision: Decision,
}

/// The mark is another token's from here on: a clone's of the one that had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HandedOver {
    /// The audit key's token, by the hierarchy's id.
    pub token: String,
    /// Serial numbers of the tokens that had the mark and that have it now.
    pub from: String,
    pub to: String,
    /// The first one is gone, and has not been told: what it knew of the log is lost with it.
    pub lost: bool,
    /// The log that goes on: entries that were under a checkpoint when this was decided, and their root.
    pub size: u64,
    pub root: Digest,
    /// The plan that is open in it, which only a loss hands on.
    pub plan: Option<Digest>,
    pub decision: Decision,
}

/// The clock may stand before the log's last entry: it had run ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClockCorrected {
    /// The time of the newest entry before, seconds since the epoch.
    pub from: i64,
    /// What the clock said when the statement was made: the entry itself is of that time, or later.
    pub to: i64,
    pub decision: Decision,
}

/// A file that people put on record: an HSM's own log, minutes, a photograph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Evidence {
    pub kind: EvidenceKind,
    /// One line, without personal data: public copies have it.
    pub what: String,
    /// The file: an artefact. A withheld one begins with a salt ([`crate::audit::withheld`]), so that nobody can guess it by
    /// its digest, and public copies leave it out.
    pub artefact: Digest,
    pub withheld: bool,
    /// Those of the file itself.
    pub octets: u64,
    /// Who put it on record.
    pub person: String,
}

/// What a file on record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    /// The log of an HSM, as its maker's tools write it out.
    HsmLog,
    Minutes,
    Photo,
    Other,
}

impl EvidenceKind {
    /// As it stands in the entry.
    pub fn name(self) -> &'static str {
        match self {
            EvidenceKind::HsmLog => "hsm-log",
            EvidenceKind::Minutes => "minutes",
            EvidenceKind::Photo => "photo",
            EvidenceKind::Other => "other",
        }
    }
}

/// A sample of a plan's items, compared with the evidence before anything is signed. Which items they were follows from plan, dice
/// and count ([`crate::plan::sample::draw`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sampled {
    pub plan: Digest,
    /// The plan's items, and how many of them were drawn.
    pub items: u64,
    pub count: u64,
    /// What the dice showed: digits from 1 to 6.
    pub dice: String,
    /// Those drawn that do not agree with the evidence, in ascending order: the plan is not signed.
    pub differs: Vec<u64>,
    /// Who compared them: two persons at least.
    pub persons: Vec<String>,
}

impl Sampled {
    /// What is wrong with it, if anything: dice and count draw the items that are said to differ, and two persons looked.
    pub fn fault(&self) -> Option<&'static str> {
        let Ok(dice) = sample::dice(&self.dice) else { return Some("its dice are none") };
        let Ok(drawn) = sample::draw(&self.plan, &dice, self.items, self.count) else {
            return Some("so many items cannot be drawn");
        };
        let ascending = self.differs.windows(2).all(|two| matches!(two, [one, other] if one < other));
        let distinct = self.persons.iter().collect::<std::collections::BTreeSet<_>>().len();
        if dice != self.dice {
            Some("its dice have spaces")
        } else if !ascending || !self.differs.iter().all(|item| drawn.binary_search(item).is_ok()) {
            Some("an item that differs was not drawn")
        } else if distinct < 2 || distinct != self.persons.len() {
            Some("two persons compare a sample")
        } else {
            None
        }
    }
}
