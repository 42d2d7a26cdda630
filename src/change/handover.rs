//! The mark goes from one token to another: what the quorum reads of it, and what a standby believes.
//!
//! A standby is a clone: it has the keys, and the mark of the day on which it was made. That mark says whose officers count, so
//! from there on every change of state can be judged as the token that had the mark has judged it. What the standby cannot
//! know is whether that token was told: a quorum says so.

use serde::{Deserialize, Serialize};

use super::{Error, adopts, approved, judge as judge_change, keeps};
use crate::audit::changed::raised;
use crate::audit::entry::{Body, Decision, Entry, HandedOver, LogAdopted};
use crate::audit::mark::Mark;
use crate::audit::merkle;
use crate::cbor::Bytes;
use crate::config::Hierarchy;
use crate::digest::Digest;
use crate::text::{quoted, words::word};

/// Words of a root that a statement has: as many as a person compares with paper.
const WORDS: usize = 8;

/// A change of state since a clone was made: its place in the log, and the approvals that it names.
pub struct Since {
    pub index: u64,
    pub entry: Entry,
    pub armored: Vec<String>,
}

/// The same as a parent shows it, with its proof.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Shown {
    pub entry: Bytes,
    pub index: u64,
    pub inclusion: Vec<Digest>,
    pub armored: Vec<String>,
}

/// What a standby is shown: everything that was decided since it was cloned, the last of it the hand-over to it; and the log that
/// holds all of it, with the proofs that it continues what the standby's mark knows, and what the quorum has read of.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TakeOver {
    pub since: Vec<Shown>,
    pub size: u64,
    pub root: Digest,
    pub from_mark: Vec<Digest>,
    pub from_handed: Vec<Digest>,
}

/// Whether a token with this serial number may have the mark at all.
pub fn declared(hierarchy: &Hierarchy, serial: &str) -> Result<(), Error> {
    let undeclared = || Error::Undeclared { serial: crate::text::escape(serial) };
    hierarchy.may_have_the_mark(serial).then_some(()).ok_or_else(undeclared)
}

/// Whether a token's mark is its own. A clone's is of the token that it was made from; one that was handed over is of its successor.
pub fn owned(hierarchy: &Hierarchy, of: &str, own: &str) -> Result<(), Error> {
    let begun_with = hierarchy.token(&hierarchy.audit_token).is_some_and(|t| t.serial.as_deref() == Some(own));
    let (own, of) = (crate::text::escape(own), crate::text::escape(of));
    match (own == of, begun_with) {
        (true, _) => Ok(()),
        (false, true) => Err(Error::Told { own, of }),
        (false, false) => Err(Error::Standby { own, of }),
    }
}

/// What officers read before the mark goes to another token.
pub(super) fn words(handed: &HandedOver) -> Vec<String> {
    let HandedOver { token, from, to, lost, size, root, plan, decision } = handed;
    let (from, to) = (quoted(from), quoted(to));
    let spoken: Vec<&str> = root.0.iter().take(WORDS).enumerate().map(|(place, octet)| word(place, *octet)).collect();
    let mut lines = vec![
        format!("the mark goes from token {from} to its standby {to} ({})", quoted(token)),
        format!("the log has {size} sealed entries, and release {}", decision.release),
        format!("their root is {root}"),
        format!("in words it begins: {}", spoken.join(" ")),
    ];
    match lost {
        false => lines.push(format!("token {from} is told first, and refuses everything from then on")),
        true => lines.extend([
            format!("token {from} is lost and has NOT been told: it would go on signing; destroy it where it is found"),
            "nothing but people says that this log is whole: compare the root with the last minutes, release and copy"
                .into(),
            plan.map_or("no plan is open".into(), |plan| format!("plan {plan} is open, and goes on or is voided")),
            format!("what token {from} signed beyond this log stays unknown; CRL numbers rise by 4294967296"),
        ]),
    }
    lines.into_iter().map(|words| format!("hand-over: {words}")).collect()
}

/// A hand-over is from the token that has the mark to another one that the hierarchy in force declares.
pub(super) fn judge(hierarchy: &Hierarchy, handed: &HandedOver, token: &str) -> Result<(), Error> {
    let HandedOver { token: id, from, to, lost, plan, .. } = handed;
    if plan.is_some() && !lost {
        return Err(Error::Other);
    }
    let lawful = from == token && to != from && *id == hierarchy.audit_token && hierarchy.may_have_the_mark(to);
    lawful.then_some(()).ok_or_else(|| {
        let [from, to, token] = [from, to, token].map(crate::text::escape);
        Error::Token { from, to, token }
    })
}

impl TakeOver {
    /// What the mark of the standby `own` is after all of this, and the hierarchy in force then. `hierarchy` finds one by its digest.
    pub fn judge(
        &self,
        mark: &Mark,
        own: &str,
        hierarchy: impl Fn(&Digest) -> Option<Hierarchy>,
    ) -> Result<(Mark, Hierarchy), Error> {
        let since = self.since.iter().map(|shown| self.included(shown)).collect::<Result<Vec<_>, Error>>()?;
        let (followed, in_force, handed) = follow(mark, own, &since, hierarchy)?;
        let grown = |size: u64, root: &Digest, proof: &[Digest]| {
            size > 0 && merkle::verify_consistency(size, root, self.size, &self.root, proof)
        };
        if !grown(mark.size, &mark.root, &self.from_mark) || !grown(handed.size, &handed.root, &self.from_handed) {
            return Err(Error::Grown);
        }
        Ok((Mark { size: self.size, root: self.root, ..followed }, in_force))
    }

    fn included(&self, shown: &Shown) -> Result<Since, Error> {
        let Shown { entry, index, inclusion, armored } = shown;
        if !merkle::verify_inclusion(&merkle::leaf_hash(entry), *index, self.size, &self.root, inclusion) {
            return Err(Error::NotThere { index: *index });
        }
        let entry = Entry::decode(entry).map_err(|_| Error::Other)?;
        Ok(Since { index: *index, entry, armored: armored.clone() })
    }
}

/// The same without the tree, which there is only when the last entry is written: who would refuse it then refuses it before.
pub fn follow<'s>(
    mark: &Mark,
    own: &str,
    since: &'s [Since],
    hierarchy: impl Fn(&Digest) -> Option<Hierarchy>,
) -> Result<(Mark, Hierarchy, &'s HandedOver), Error> {
    let nobody = || Error::Nobody { own: crate::text::escape(own) };
    let Some(Body::HandedOver(handed)) = since.last().map(|last| &last.entry.body) else { return Err(nobody()) };
    if handed.to != own || mark.token == own {
        return Err(nobody());
    }
    if !since.is_sorted_by(|a, b| a.index < b.index) {
        return Err(Error::Other);
    }
    let mut in_force = hierarchy(&mark.hierarchy).ok_or(Error::Adopted)?;
    let mut followed = mark.clone();
    for Since { entry, armored, .. } in since {
        let adopted = adopts(&entry.body).map(|digest| hierarchy(&digest).ok_or(Error::Adopted)).transpose()?;
        followed = made(&followed, &in_force, adopted.as_ref(), entry, armored)?;
        in_force = adopted.unwrap_or(in_force);
    }
    keeps(&in_force, own)?;
    Ok((followed, in_force, handed))
}

/// What the mark was after this change, when the token that had it was shown it. Releases in between are not changes: the change
/// says which was the last, and its quorum has signed that. None goes back.
fn made(
    mark: &Mark,
    hierarchy: &Hierarchy,
    adopted: Option<&Hierarchy>,
    entry: &Entry,
    armored: &[String],
) -> Result<Mark, Error> {
    let Decision { release, change, approvals, witness_time, .. } = entry.body.decision().ok_or(Error::Other)?;
    if *release < mark.release {
        return Err(Error::Release { found: *release, marked: mark.release });
    }
    let before = Mark { release: *release, open_plan: handed_on(&entry.body), ..mark.clone() };
    let Body::LogAdopted(LogAdopted { mark_release, mark_hierarchy, token, .. }) = &entry.body else {
        if *change == mark.changes {
            return Err(Error::Number { found: *change, marked: mark.changes });
        }
        return judge_change(&before, hierarchy, adopted, entry, armored, entry.time);
    };
    // It goes on behind changes that are lost. Which
    // token has the mark stands there too.
    if *change <= mark.changes {
        return Err(Error::Number { found: *change, marked: mark.changes });
    }
    if mark_release != release {
        return Err(Error::Mark);
    }
    // A hierarchy whose adoption is lost is one that nothing here can show to a standby.
    if *mark_hierarchy != mark.hierarchy {
        return Err(Error::Adopted);
    }
    keeps(hierarchy, token)?;
    if entry.time < mark.floor {
        return Err(Error::Floor { found: crate::text::utc(entry.time), floor: crate::text::utc(mark.floor) });
    }
    if approved(hierarchy, None, entry, armored)? != *approvals {
        return Err(Error::Recorded);
    }
    let floor = raised(mark.floor, *witness_time, entry.time);
    Ok(Mark { changes: *change, floor, token: token.clone(), ..before })
}

/// The plan that a token which is lost was at.
pub(super) fn handed_on(body: &Body) -> Option<Digest> {
    if let Body::HandedOver(handed) = body { handed.plan.filter(|_| handed.lost) } else { None }
}

#[cfg(test)]
mod tests;
