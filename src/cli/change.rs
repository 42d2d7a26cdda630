//! Decided changes of the station's state that sign nothing: what is common to them.
//!
//! ```text
//! (no approvals)  the statement in out/, for the quorum to sign           nothing else
//! login           PIN try → fsync → login → open, login → MARK → checkpoint
//! artefacts       approvals, and what the change names → fsync            a cut: artefacts that no entry names
//! entry           the change → fsync → MARK (size) → checkpoint           a cut: the change is on record, and the next login finishes it
//! gate            MARK (change): the gate has judged entry and approvals  a cut: done, but for what the verb itself does afterwards
//! ```
//! The approvals stand in the log, so whoever logs in next can show them to the gate: [`finish`] is the second half of every
//! change, and the first thing after every login.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::audit::Log;
use crate::audit::entry::{Body, Decision, Entry};
use crate::audit::mark::Mark;
use crate::change::{self, MAX_REASON};
use crate::config::Hierarchy;
use crate::gate::Gate;
use crate::ledger::Ledger;

use super::approvals::read_signatures;
use super::people::{self, People};
use super::run::{proven, recorded_signatures};
use super::station::{Station, seal};
use super::{Answer, Failure};

/// What every change is given.
#[derive(Args)]
pub struct Decided {
    /// Why, in one line: it stands in the statement and in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub people: People,
    /// A signature over the statement; give one for each person of the quorum
    #[arg(long, value_name = "FILE")]
    pub approval: Vec<PathBuf>,
}

impl Decided {
    /// The decision as the entry holds it, approvals apart.
    pub(super) fn decision(&self, ledger: &Ledger) -> Decision {
        Decision {
            reason: self.reason.clone(),
            release: ledger.release,
            change: ledger.changed.number + 1,
            approvals: Vec::new(),
            operator: self.people.operator.clone(),
            witness: self.people.witness.clone(),
            witness_time: self.people.witness_time,
        }
    }
}

/// A change that is wanted.
pub(super) struct Wanted<'a> {
    /// What the log will say, approvals apart.
    pub body: Body,
    /// What it names besides the approvals.
    pub artefacts: Vec<&'a [u8]>,
    /// The hierarchy that it adopts, if it does.
    pub adopted: Option<&'a Hierarchy>,
    /// The command up to the reason, as it is typed again with the approvals.
    pub command: String,
    /// Files that are still read, besides the approvals.
    pub inputs: Vec<&'a Path>,
    /// A gate that runs already, this process being in its sandbox; otherwise both is done here.
    pub gate: Option<Gate>,
}

/// What a verb came to.
pub(super) enum Outcome {
    /// Nothing was changed: the quorum signs this.
    Statement(Answer),
    /// The change is made.
    Made,
}

/// Has a change decided: without approvals its statement is written, with them it is made.
pub(super) fn decide(
    station: &Station,
    log: &mut Log,
    ledger: &Ledger,
    args: &Decided,
    wanted: Wanted,
) -> Result<Outcome, Failure> {
    judge_reason(&args.reason, "why the station's state is changed")?;
    people::judge(station, &args.people)?;
    if let Some((open, _)) = ledger.open_plan() {
        let what = format!("plan {open} was started and its release is not written");
        return Err(Failure::refused(what, "finish it first: `coldroot sign` with that plan, or `coldroot void`"));
    }
    let mut entry = Entry::new(station.clock(), wanted.body);
    ledger.changed.clone().take(log.size(), &entry).map_err(|e| Failure::refused(e.to_string(), NOTHING))?;
    if args.approval.is_empty() {
        return statement(station, &entry.body, wanted.adopted, &wanted.command).map(Outcome::Statement);
    }
    // Approvals come from media: they are read inside.
    let mut gate = match wanted.gate {
        Some(gate) => gate,
        None => {
            let gate = station.start_gate()?;
            let inputs: Vec<&Path> = args.approval.iter().map(PathBuf::as_path).chain(wanted.inputs).collect();
            // What replaces hierarchy.toml is written beside it.
            station.enter_sandbox(&inputs, wanted.adopted.map(|_| station.dir.as_path()))?;
            gate
        }
    };
    let signatures = read_signatures(&args.approval, &station.dir.join("in"))?;
    // Before anybody types a PIN.
    change::approved(&station.hierarchy, wanted.adopted, &entry, &signatures)?;
    let cut = log.cut();
    let mark = station.log_in(log, &mut gate, Vec::new(), cut)?;
    entry.time = station.clock();
    let approvals = change::approved(&station.hierarchy, wanted.adopted, &entry, &signatures)?;
    if let Some(decision) = entry.body.decision_mut() {
        decision.approvals = approvals;
    }
    // What the gate will say of the entry: one that it refuses must not come on record.
    change::judge(&mark, &station.hierarchy, wanted.adopted, &entry, &signatures, station.clock())?;
    for artefact in signatures.iter().map(String::as_bytes).chain(wanted.artefacts) {
        log.put_artefact(artefact)?;
    }
    let index = log.append(&entry)?;
    station.follow(&entry);
    seal(log, &mut gate)?;
    finish(log, &mut gate, &mark, Some(index))?;
    station.close(log, gate)?;
    Ok(Outcome::Made)
}

/// Goes on with a change that is on record: the login shows it to the gate.
pub(super) fn resume(station: &Station, log: &mut Log, mut gate: Gate) -> Result<(), Failure> {
    let cut = log.cut();
    station.log_in(log, &mut gate, Vec::new(), cut)?;
    station.close(log, gate)
}

const NOTHING: &str = "nothing was changed; have the statement written again, without --approval";

/// Has the mark follow the newest change on record, if it has not; says whether there was anything to do. The changes before
/// that one it has followed: none begins before the last one is finished.
pub(super) fn finish(log: &Log, gate: &mut Gate, mark: &Mark, newest: Option<u64>) -> Result<bool, Failure> {
    let Some(index) = newest else { return Ok(false) };
    let entry = log.entry(index)?;
    let Some(decision) = entry.body.decision().filter(|decision| decision.change > mark.changes) else {
        return Ok(false);
    };
    let approvals = recorded_signatures(log, &decision.approvals)?;
    gate.change(proven(log, index, &entry)?, approvals)?;
    Ok(true)
}

/// One line, of a length that a statement shows whole.
pub(super) fn judge_reason(reason: &str, example: &str) -> Result<(), Failure> {
    if reason.trim().is_empty() || reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
        let what = format!("the reason must be one line of 1 to {MAX_REASON} characters");
        return Err(Failure::usage(what, format!("--reason \"{example}\"")));
    }
    Ok(())
}

/// Writes the statement for the quorum to sign.
pub(super) fn statement(
    station: &Station,
    body: &Body,
    adopted: Option<&Hierarchy>,
    command: &str,
) -> Result<Answer, Failure> {
    let statement = change::statement(&station.hierarchy, adopted, body)?;
    let act = change::act(body).unwrap_or_default();
    let digest = statement.split(" sha256\n").nth(1).and_then(|rest| rest.trim_start().get(..8)).unwrap_or_default();
    let path = station.out_dir()?.join(format!("{act}-{digest}.statement"));
    std::fs::write(&path, &statement).map_err(|e| Failure::io(&path, e))?;
    let decision = body.decision().ok_or(change::Error::Other)?;
    let people = People {
        operator: decision.operator.clone(),
        witness: decision.witness.clone(),
        witness_time: decision.witness_time,
    };
    let quorum = change::quorum(&station.hierarchy, body);
    let too = match adopted {
        Some(_) => "  Where it adds persons, keys or roles, the new hierarchy's own quorum approves too.\n",
        None => "",
    };
    let text = format!(
        "Nothing is changed yet. The quorum reads and signs this statement:\n\n{statement}\n{}{too}",
        super::next::after_statement(station, &path, (quorum, station.now()), (command, &decision.reason), &people)
    );
    Ok(Answer::new(text, json!({ "statement-file": path.to_string_lossy(), "statement": statement })))
}
