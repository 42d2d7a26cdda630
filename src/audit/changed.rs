//! What the changes of state have come to: the hierarchy in force, how far the clock is known, which change is the next.
//!
//! `check`, the ledger and whoever reads a log fold the entries through this one type, so that none of them believes a
//! change that another refuses.

use serde::{Deserialize, Serialize};

use super::entry::{Body, Entry};
use crate::digest::Digest;

/// Which rule of changes an entry breaks.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlawful {
    #[error("it is change {found}, where {wanted} is the next")]
    Number { found: u64, wanted: u64 },
    #[error("it was decided after release {found}, and stands behind release {last}")]
    Release { found: u64, last: u64 },
    #[error("it ends with release {found}, and the last one was {last}")]
    Ended { found: u64, last: u64 },
    #[error("it changes the station's state while plan {0} is open")]
    Open(Digest),
    #[error("it replaces the hierarchy {found}, but {in_force} is in force")]
    Hierarchy { found: Digest, in_force: Digest },
    #[error("it adopts the hierarchy that is in force")]
    Same,
    #[error("it says that release {found} was the last one, which is {last}, or that the lost log had made {marked}")]
    Lost { found: u64, last: u64, marked: u64 },
    #[error("it does not set the clock back, or sets it back behind what a witness has read from another one")]
    Clock,
    #[error("it is of {found}, before {floor}, which a witness has read from another clock")]
    Floor { found: String, floor: String },
}

/// The state that changes change. Starts empty; [`Changed::take`] takes the entries in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Changed {
    /// The number of the newest change; 0 before the first.
    pub number: u64,
    /// The log index of the newest change.
    pub newest: Option<u64>,
    /// The hierarchy file in force: the newest adopted one (by itself, or with a log), or the one that the log was begun with.
    pub hierarchy: Digest,
    /// The time that has certainly passed: the latest that a witness has read from another clock while the station's agreed,
    /// seconds since the epoch.
    pub floor: i64,
    release: u64,
    open: Option<Digest>,
}

impl Changed {
    /// Takes the next entry.
    pub fn take(&mut self, index: u64, entry: &Entry) -> Result<(), Unlawful> {
        match &entry.body {
            Body::Genesis(genesis) => self.hierarchy = genesis.hierarchy,
            Body::Start(start) => self.open = Some(start.plan),
            Body::Void(void) => self.open = Some(void.plan),
            Body::End(end) if self.release.checked_add(1) != Some(end.release) => {
                return Err(Unlawful::Ended { found: end.release, last: self.release });
            }
            Body::End(end) => {
                self.release = end.release;
                self.open = None;
            }
            body => self.change(index, entry, body)?,
        }
        self.floor = raised(self.floor, entry.body.witnessed(), entry.time);
        Ok(())
    }

    fn change(&mut self, index: u64, entry: &Entry, body: &Body) -> Result<(), Unlawful> {
        let Some(decision) = body.decision() else { return Ok(()) };
        let (found, wanted) = (decision.change, self.number.saturating_add(1));
        // A log that follows a loss goes on behind what its token remembers.
        let after_a_loss = matches!(body, Body::LogAdopted(_) | Body::HandedOver(_));
        if found <= self.number || (found > wanted && !after_a_loss) {
            return Err(Unlawful::Number { found, wanted });
        }
        if decision.release < self.release || (decision.release > self.release && !after_a_loss) {
            return Err(Unlawful::Release { found: decision.release, last: self.release });
        }
        if let Some(open) = self.open.filter(|_| !after_a_loss) {
            return Err(Unlawful::Open(open));
        }
        if entry.time < self.floor {
            let [found, floor] = [entry.time, self.floor].map(crate::text::utc);
            return Err(Unlawful::Floor { found, floor });
        }
        match body {
            Body::HierarchyAdopted(adopted) if adopted.before != self.hierarchy => {
                return Err(Unlawful::Hierarchy { found: adopted.before, in_force: self.hierarchy });
            }
            Body::HierarchyAdopted(adopted) if adopted.hierarchy == adopted.before => return Err(Unlawful::Same),
            Body::HierarchyAdopted(adopted) => self.hierarchy = adopted.hierarchy,
            Body::LogAdopted(lost) if lost.hierarchy != self.hierarchy => {
                return Err(Unlawful::Hierarchy { found: lost.hierarchy, in_force: self.hierarchy });
            }
            // Releases go on behind what the token knew: the decision says so as the mark did.
            Body::LogAdopted(lost) if lost.release != self.release || lost.mark_release != decision.release => {
                return Err(Unlawful::Lost { found: lost.release, last: self.release, marked: lost.mark_release });
            }
            Body::LogAdopted(lost) => self.hierarchy = lost.mark_hierarchy,
            Body::ClockCorrected(clock) if clock.to >= clock.from || clock.to < self.floor || entry.time < clock.to => {
                return Err(Unlawful::Clock);
            }
            _ => {}
        }
        self.release = decision.release;
        (self.number, self.newest) = (found, Some(index));
        Ok(())
    }
}

/// A floor after a witness has read another clock at `now`, by the station's own. Where the two differ a little, the earlier
/// one counts: a floor that lies ahead of the station's clock would stop it.
pub fn raised(floor: i64, witnessed: Option<i64>, now: i64) -> i64 {
    witnessed.map_or(floor, |read| floor.max(read.min(now)))
}
