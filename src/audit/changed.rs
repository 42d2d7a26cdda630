//! What the changes of state have come to: the hierarchy in force, how far the clock is known, which change is the next.
//!
//! `check`, the ledger and whoever reads a log fold the entries through this one type, so that none of them believes a
//! change that another refuses.

use serde::{Deserialize, Serialize};

use super::entry::{Body, Entry};
use crate::digest::Digest;
use crate::text::{escape, utc};

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
    #[error("it hands the mark over from token {found}, or to the same one; token {token} has it")]
    Token { found: String, token: String },
    #[error("it hands over another plan than the open one, or one that only a loss hands on")]
    Plan,
    #[error("it is of {found}, before {floor}, which a witness has read from another clock")]
    Floor { found: String, floor: String },
}

/// The state that changes change. Starts empty; [`Changed::take`] takes the entries in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Changed {
    /// The number of the newest change; 0 before the first.
    pub number: u64,
    /// The log indices of all of them.
    pub made: Vec<u64>,
    /// The serial number of the token that has the mark, by the last hand-over or adopted log; before the first, the hierarchy
    /// says it.
    pub token: Option<String>,
    /// The hierarchy file in force: the newest adopted one (by itself, or with a log), or the one that the log was begun with.
    pub hierarchy: Digest,
    /// The time that has certainly passed: the latest that a witness has read from another clock while the station's agreed,
    /// seconds since the epoch.
    pub floor: i64,
    release: u64,
    open: Option<Digest>,
}

impl Changed {
    /// The log index of the newest change.
    pub fn newest(&self) -> Option<u64> {
        self.made.last().copied()
    }

    /// The plan that was started, or voided, and has not ended.
    pub fn open(&self) -> Option<Digest> {
        self.open
    }

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
        // A log whose end is lost goes on behind what its token remembers.
        let after_a_loss = matches!(body, Body::LogAdopted(_));
        let hands_on = match body {
            Body::HandedOver(handed) if handed.plan != self.open.filter(|_| handed.lost) => return Err(Unlawful::Plan),
            Body::HandedOver(handed) => handed.plan,
            _ => None,
        };
        if found <= self.number || (found > wanted && !after_a_loss) {
            return Err(Unlawful::Number { found, wanted });
        }
        if decision.release < self.release || (decision.release > self.release && !after_a_loss) {
            return Err(Unlawful::Release { found: decision.release, last: self.release });
        }
        if let Some(open) = self.open.filter(|open| !after_a_loss && hands_on != Some(*open)) {
            return Err(Unlawful::Open(open));
        }
        if entry.time < self.floor {
            let [found, floor] = [entry.time, self.floor].map(utc);
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
            Body::LogAdopted(lost) => {
                (self.hierarchy, self.token) = (lost.mark_hierarchy, Some(lost.token.clone()));
            }
            Body::ClockCorrected(clock) if clock.to >= clock.from || clock.to < self.floor || entry.time < clock.to => {
                return Err(Unlawful::Clock);
            }
            Body::HandedOver(handed) => {
                let token = self.token.as_ref().unwrap_or(&handed.from);
                if *token != handed.from || handed.to == handed.from {
                    return Err(Unlawful::Token { found: escape(&handed.from), token: escape(token) });
                }
                self.token = Some(handed.to.clone());
            }
            _ => {}
        }
        self.release = decision.release;
        self.number = found;
        self.made.push(index);
        Ok(())
    }
}

/// A floor after a witness has read another clock at `now`, by the station's own. Where the two differ a little, the earlier
/// one counts: a floor that lies ahead of the station's clock would stop it.
pub fn raised(floor: i64, witnessed: Option<i64>, now: i64) -> i64 {
    witnessed.map_or(floor, |read| floor.max(read.min(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::{Decision, End, HandedOver, LogAdopted, Start};

    const PLAN: Digest = Digest([7; 32]);

    fn decision(change: u64) -> Decision {
        let (reason, operator, witness) = ("why".into(), "cyd".into(), "ben".into());
        Decision { reason, release: 1, change, approvals: Vec::new(), operator, witness, witness_time: None }
    }

    fn handed(change: u64, from: &str, to: &str) -> HandedOver {
        let (token, from, to) = ("main".into(), from.into(), to.into());
        let (lost, size, root, plan) = (false, 2, Digest([1; 32]), None);
        HandedOver { token, from, to, lost, size, root, plan, decision: decision(change) }
    }

    fn adopted(change: u64, token: &str) -> Body {
        Body::LogAdopted(LogAdopted {
            mark_size: 9,
            mark_root: PLAN,
            mark_release: 1,
            mark_plan: None,
            mark_hierarchy: Digest::default(),
            token: token.into(),
            size: 2,
            root: PLAN,
            release: 1,
            hierarchy: Digest::default(),
            decision: decision(change),
        })
    }

    fn fold(bodies: Vec<Body>) -> Result<Changed, Unlawful> {
        let mut changed = Changed::default();
        let end = End { plan: PLAN, release: 1, done: 0, refused: 0, manifest: PLAN };
        for (index, body) in (0..).zip([vec![Body::End(end)], bodies].concat()) {
            changed.take(index, &Entry::new(70_000, body))?;
        }
        Ok(changed)
    }

    #[test]
    fn p04_the_mark_is_handed_over_by_the_token_that_has_it() {
        let over = |change, from: &str, to: &str| Body::HandedOver(handed(change, from, to));
        let changed = fold(vec![over(1, "a", "b"), over(2, "b", "a")]).unwrap();
        assert_eq!((changed.token.as_deref(), changed.made), (Some("a"), vec![1, 2]));
        let token = |token: &str, found: &str| Err(Unlawful::Token { found: found.into(), token: token.into() });
        assert_eq!(fold(vec![over(1, "a", "a")]), token("a", "a"));
        assert_eq!(fold(vec![over(1, "a", "b"), over(2, "a", "c")]), token("b", "a"));
        // A log that was adopted says it anew, and goes on behind what is lost.
        assert_eq!(fold(vec![over(1, "a", "b"), adopted(4, "c"), over(5, "c", "a")]).unwrap().number, 5);
        assert_eq!(fold(vec![over(1, "a", "b"), adopted(4, "c"), over(5, "b", "a")]), token("c", "b"));
        // A hand-over follows no loss of changes.
        assert_eq!(fold(vec![over(2, "a", "b")]), Err(Unlawful::Number { found: 2, wanted: 1 }));
    }

    #[test]
    fn p04_only_a_loss_hands_an_open_plan_on() {
        let (operator, witness) = ("op".into(), "wit".into());
        let start = Start { plan: PLAN, approvals: vec![], operator, witness, witness_time: None };
        let over = |lost, plan| Body::HandedOver(HandedOver { lost, plan, ..handed(1, "a", "b") });
        let open = |body: Body| fold(vec![Body::Start(start.clone()), body]).map(|changed| changed.open());
        assert_eq!(open(over(true, Some(PLAN))), Ok(Some(PLAN)));
        assert_eq!(open(over(true, None)), Err(Unlawful::Plan));
        assert_eq!(open(over(true, Some(Digest([1; 32])))), Err(Unlawful::Plan));
        assert_eq!(open(over(false, Some(PLAN))), Err(Unlawful::Plan));
        assert_eq!(open(over(false, None)), Err(Unlawful::Open(PLAN)));
        assert_eq!(fold(vec![over(true, Some(PLAN))]), Err(Unlawful::Plan));
        assert_eq!(fold(vec![over(true, None)]).unwrap().open(), None);
    }
}
