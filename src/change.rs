//! Changes of the station's state that sign nothing: what a quorum signs of one, whether it has signed, and what becomes of
//! the token's mark.
//!
//! Everything is made anew from the entry on record. Parent, gate and `check` ask here and nowhere else, so what was
//! approved is what is on record.

mod handover;
mod hierarchy;
mod lost;
mod record;

use crate::approval::{self, Approval};
use crate::audit::changed::raised;
use crate::audit::entry::{
    Approved, Body, CertificateAdopted, ClockCorrected, CrlAdopted, Decision, Entry, HierarchyAdopted,
};
use crate::audit::mark::Mark;
use crate::config::{Hierarchy, Quorum};
use crate::digest::Digest;
use crate::plan::{fixed_lines, sha256};
use crate::text::{quoted, utc};

pub use handover::{Shown, Since, TakeOver, declared, follow, owned};
pub use hierarchy::{Fixed, akin, bound, difference, keeps, newly_counted, successor};
pub use lost::{adopt, judge_adoption, loses};
pub use record::{Judged, judge_log, on_record};

/// Characters of a reason.
pub const MAX_REASON: usize = 200;
/// What an entry may be dated ahead of the clock by which it is judged, in seconds: as far as the witness's clock may differ.
const AHEAD: i64 = 300;

/// Why a change of state is not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not approved: {0}")]
    Approval(#[from] approval::Error),
    #[error("the approvals on record are not those of the quorum")]
    Recorded,
    #[error("the entry is no change of state that is made this way")]
    Other,
    #[error("it is change {found}; the token's mark stands at change {marked}")]
    Number { found: u64, marked: u64 },
    #[error("it was decided after release {found}; the token's mark stands at release {marked}")]
    Release { found: u64, marked: u64 },
    #[error("plan {0} was started and not ended")]
    Open(Digest),
    #[error("it is dated {found}, before {floor}, which a witness has read from another clock")]
    Floor { found: String, floor: String },
    #[error("it is dated {found}, and it is {now}")]
    Ahead { found: String, now: String },
    #[error("the hierarchy that it names is missing, or is another one")]
    Adopted,
    #[error("{0}")]
    Fixed(#[from] Fixed),
    #[error("it is about another mark than the token's, or adopts no log")]
    Mark,
    #[error("the clock is not set back, or it is set back too far")]
    Clock,
    #[error("the mark is not to be handed over to token {own}")]
    Nobody { own: String },
    #[error("it hands the mark over from token {from} to {to}; the mark is of token {token}")]
    Token { from: String, to: String, token: String },
    #[error("the mark of this token, {own}, was handed over to token {of}")]
    Told { own: String, of: String },
    #[error("this token, {own}, is a standby of token {of}: its mark was made there, or handed over to it")]
    Standby { own: String, of: String },
    #[error("the hierarchy declares no token with the serial {serial} for the audit key")]
    Undeclared { serial: String },
    #[error("a change does not stand in the log at place {index}")]
    NotThere { index: u64 },
    #[error("the log does not grow from what the standby's mark knows, or from what the quorum has read of")]
    Grown,
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Approval(e) => return e.hint(),
            Error::Fixed(e) => return e.hint(),
            Error::Open(_) => "finish it first: `coldroot sign` with that plan, or `coldroot void`".into(),
            Error::Number { .. } | Error::Release { .. } => {
                "something came before it: have the statement written again, and approved".into()
            }
            Error::Floor { .. } | Error::Clock => "compare the station's clock with another one".into(),
            Error::Ahead { .. } => {
                "compare the station's clock with another one; had it run ahead when this was written, it is finished by a login \
                 under that clock, and then: coldroot correct-clock"
                    .into()
            }
            Error::Nobody { own } => format!("its quorum decides: coldroot hand-over --to {own} --help"),
            Error::Told { own, of } | Error::Standby { own, of } => format!(
                "insert token {of} and run this again; does the log not say so yet, the same `coldroot hand-over` once more; is {of} lost: \
                 coldroot hand-over --to {own} --lost --help"
            ),
            Error::Undeclared { .. } => "see `serial` and `standby` of the audit key's [[token]]".into(),
            Error::Token { .. } => {
                "name a token that `serial` or `standby` of the audit key's token declares, and that has not the mark".into()
            }
            Error::Grown => {
                "restore the newest copy of the audit directory: it must be younger than the clone, and continue what the statement says"
                    .into()
            }
            Error::Mark => "have the statement written again, without --approval".into(),
            Error::Recorded | Error::Other | Error::Adopted | Error::NotThere { .. } => {
                "the log was changed by something else than this program: `coldroot check` on the audit directory"
                    .into()
            }
        })
    }
}

/// The name of an act, as the command and its statement have it.
pub fn act(body: &Body) -> Option<&'static str> {
    Some(match body {
        Body::HierarchyAdopted(_) => "adopt-hierarchy",
        Body::CrlAdopted(_) => "adopt-crl",
        Body::CertificateAdopted(_) => "adopt-certificate",
        Body::LogAdopted(_) => "adopt-log",
        Body::HandedOver(_) => "hand-over",
        Body::ClockCorrected(_) => "correct-clock",
        _ => return None,
    })
}

/// The hierarchy file that a change names: an artefact.
pub fn adopts(body: &Body) -> Option<Digest> {
    match body {
        Body::HierarchyAdopted(adopted) => Some(adopted.hierarchy),
        _ => None,
    }
}

/// Who approves a change of this kind, by the hierarchy in force.
pub fn quorum<'h>(hierarchy: &'h Hierarchy, body: &Body) -> &'h Quorum {
    match body {
        Body::HierarchyAdopted(_) => &hierarchy.quorum_hierarchy,
        _ => &hierarchy.quorum_recovery,
    }
}

/// The statement of a change: what it comes to, in plain words. The line `plan` names the act and the SHA-256 of the words.
/// `hierarchy` is the one in force; `adopted` the one that the change names, if it names one.
pub fn statement(hierarchy: &Hierarchy, adopted: Option<&Hierarchy>, body: &Body) -> Result<String, Error> {
    let (act, decision) = act(body).zip(body.decision()).ok_or(Error::Other)?;
    let words: String =
        words(hierarchy, adopted, body)?.iter().map(|words| format!("act          {words}\n")).collect();
    let words = format!("{words}act          reason: {}\n", quoted(&decision.reason));
    let lines = fixed_lines([
        &quoted(&hierarchy.name),
        &quoted(&hierarchy.origin),
        &hierarchy.environment.to_string(),
        &hierarchy.digest.to_string(),
        &format!("{act} {}", sha256(&Digest::of(words.as_bytes()))),
        &format!("release {}, change {}", decision.release, decision.change.saturating_sub(1)),
        "none",
        "none",
        "1 to do, 0 refused",
    ]);
    Ok(lines + &words)
}

fn words(hierarchy: &Hierarchy, adopted: Option<&Hierarchy>, body: &Body) -> Result<Vec<String>, Error> {
    Ok(match body {
        Body::ClockCorrected(ClockCorrected { from, to, .. }) => vec![
            format!("correct-clock: the log's last entry is of {}", utc(*from)),
            format!("correct-clock: the clock says {}, and this is right", utc(*to)),
            format!("correct-clock: time goes back by {}", span(from.saturating_sub(*to))),
        ],
        Body::HierarchyAdopted(HierarchyAdopted { before, hierarchy: after, .. }) => {
            let new =
                adopted.filter(|new| new.digest == *after && hierarchy.digest == *before).ok_or(Error::Adopted)?;
            let mut lines = vec![
                format!("adopt-hierarchy: in place of {}", sha256(before)),
                format!("adopt-hierarchy: comes {}", sha256(after)),
                format!(
                    "adopt-hierarchy: what differs, as shown, has {}",
                    sha256(&hierarchy::difference_digest(hierarchy, new))
                ),
            ];
            let counted = newly_counted(hierarchy, new);
            if !counted.is_empty() {
                let named = quoted(&counted.join(", "));
                lines.push(format!("adopt-hierarchy: the new quorum approves too, for the sake of {named}"));
            }
            lines
        }
        Body::CrlAdopted(CrlAdopted { ca, number, this_update, next_update, crl, entries, unknown, .. }) => vec![
            format!("adopt-crl: CRL {number} of CA {}", quoted(ca)),
            format!("adopt-crl: it has {}", sha256(crl)),
            format!("adopt-crl: it is of {}", utc(*this_update)),
            format!("adopt-crl: the next one was announced for {}", utc(*next_update)),
            format!("adopt-crl: it has {entries} entries, {unknown} of certificates unknown here"),
        ],
        Body::CertificateAdopted(adopted) => of_certificate(adopted),
        Body::LogAdopted(made) => lost::words(made),
        Body::HandedOver(handed) => handover::words(handed),
        _ => Vec::new(),
    })
}

fn of_certificate(adopted: &CertificateAdopted) -> Vec<String> {
    let CertificateAdopted { ca, csr, der, above, replaces, not_before, not_after, differs, .. } = adopted;
    let mut lines = vec![
        format!("certificate of CA {}, with {}", quoted(ca), sha256(&Digest::of(der))),
        format!("it answers the request with {}", sha256(csr)),
        format!("it is valid from {} to {}", utc(*not_before), utc(*not_after)),
    ];
    lines.extend(above.iter().enumerate().map(|(n, der)| {
        let whose = if n == 0 { "its issuer's certificate" } else { "that one's issuer's" };
        format!("{whose} has {}", sha256(&Digest::of(der)))
    }));
    lines.push(match replaces {
        Some(before) => format!("it comes in place of the one with {}", sha256(before)),
        None => "it is the first one of this CA".into(),
    });
    lines.extend(differs.iter().map(|differs| format!("within what is declared: {}", quoted(differs))));
    lines.into_iter().map(|line| format!("adopt-certificate: {line}")).collect()
}

/// A length of time, in seconds, for people.
fn span(seconds: i64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    format!("{days} days and {clock} hours ({seconds} seconds)")
}

/// Verifies the approvals of a change against the rosters that decide it, as they stood when the entry was written; returns
/// them as the entry records them, in the order given. Each must count for one of the rosters.
pub fn approved(
    hierarchy: &Hierarchy,
    adopted: Option<&Hierarchy>,
    entry: &Entry,
    armored: &[String],
) -> Result<Vec<Approved>, Error> {
    let statement = statement(hierarchy, adopted, &entry.body)?;
    let own = adopted.filter(|new| !newly_counted(hierarchy, new).is_empty());
    let rosters: Vec<&Hierarchy> = [Some(hierarchy), own].into_iter().flatten().collect();
    let mut recorded_all: Vec<Approved> = Vec::new();
    for (n, roster) in rosters.iter().enumerate() {
        // A signature by nobody of this roster is the other one's, or nobody's, which the last one says.
        let of_roster = |signature: &&String| match approval::verify_person(&statement, signature, &roster.persons) {
            Err(approval::Error::UnknownKey { .. }) => {
                let others = rosters.iter().enumerate().filter(|(m, _)| *m != n);
                !others.into_iter().any(|(_, h)| approval::verify_person(&statement, signature, &h.persons).is_ok())
            }
            _ => true,
        };
        let of_roster: Vec<String> = armored.iter().filter(of_roster).cloned().collect();
        let quorate = approval::quorate(&statement, &of_roster, roster, quorum(roster, &entry.body), entry.time)?;
        for approved in recorded(quorate.approvals()) {
            if !recorded_all.iter().any(|known| known.signature == approved.signature) {
                recorded_all.push(approved);
            }
        }
    }
    Ok(recorded_all)
}

/// Approvals as entries record them.
pub fn recorded(approvals: &[Approval]) -> Vec<Approved> {
    let one = |a: &Approval| Approved {
        person: a.person.clone(),
        fingerprint: a.fingerprint.clone(),
        signature: Digest::of(a.armored.as_bytes()),
    };
    approvals.iter().map(one).collect()
}

/// A change is dated between the latest time that a witness has read and the present: who has expired is asked at its time. How
/// long before the present it was written the gate cannot know, since a run that was stopped goes on whenever it does.
fn dated(mark: &Mark, time: i64, now: i64) -> Result<(), Error> {
    not_before_floor(mark, time)?;
    match time > now.saturating_add(AHEAD) {
        true => Err(Error::Ahead { found: utc(time), now: utc(now) }),
        false => Ok(()),
    }
}

/// The same for what ends a plan: where the clock had run ahead, it is dated ahead too, since the plan is ended first.
pub fn not_before_floor(mark: &Mark, time: i64) -> Result<(), Error> {
    match time < mark.floor {
        true => Err(Error::Floor { found: utc(time), floor: utc(mark.floor) }),
        false => Ok(()),
    }
}

/// What the mark is after a change that stands in the log it knows, or why the change is not made. One that was made already
/// leaves the mark as it is, so that a run that was stopped behind it goes on.
pub fn judge(
    mark: &Mark,
    hierarchy: &Hierarchy,
    adopted: Option<&Hierarchy>,
    entry: &Entry,
    armored: &[String],
    now: i64,
) -> Result<Mark, Error> {
    let Decision { release, change, approvals, witness_time, .. } = entry.body.decision().ok_or(Error::Other)?;
    if *change == mark.changes {
        // Nothing else of the entry is judged, so it says nothing that the mark does not say.
        return match adopts(&entry.body) {
            Some(named) if named != mark.hierarchy => Err(Error::Other),
            _ => Ok(mark.clone()),
        };
    }
    if *change != mark.changes + 1 {
        return Err(Error::Number { found: *change, marked: mark.changes });
    }
    if *release != mark.release {
        return Err(Error::Release { found: *release, marked: mark.release });
    }
    if let Some(open) = mark.open_plan.filter(|open| handover::handed_on(&entry.body) != Some(*open)) {
        return Err(Error::Open(open));
    }
    dated(mark, entry.time, now)?;
    if hierarchy.digest != mark.hierarchy {
        return Err(Error::Other);
    }
    if approved(hierarchy, adopted, entry, armored)? != *approvals {
        return Err(Error::Recorded);
    }
    let floor = raised(mark.floor, *witness_time, now.min(entry.time));
    let changed = Mark { changes: *change, floor, ..mark.clone() };
    match &entry.body {
        Body::ClockCorrected(clock) if clock.to < clock.from && (mark.floor..=entry.time).contains(&clock.to) => {
            Ok(changed)
        }
        Body::ClockCorrected(_) => Err(Error::Clock),
        Body::CrlAdopted(_) | Body::CertificateAdopted(_) => Ok(changed),
        Body::HierarchyAdopted(HierarchyAdopted { hierarchy: named, .. }) => {
            let new = adopted.filter(|new| new.digest == *named).ok_or(Error::Adopted)?;
            hierarchy::successor(hierarchy, new)?;
            keeps(new, &mark.token)?;
            Ok(Mark { hierarchy: new.digest, ..changed })
        }
        Body::HandedOver(handed) => {
            handover::judge(hierarchy, handed, &mark.token)?;
            Ok(Mark { token: handed.to.clone(), open_plan: handed.plan, ..changed })
        }
        _ => Err(Error::Other),
    }
}

#[cfg(test)]
mod tests;
