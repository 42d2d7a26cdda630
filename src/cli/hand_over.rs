//! `hand-over`: the mark goes to a standby, a clone of the token that has it.
//!
//! ```text
//! statement   (no approvals) out/hand-over-….statement       nothing else
//!
//! the token that has the mark is there
//!   login     PIN try → fsync → open, login → MARK → checkpoint
//!   artefacts approvals → fsync                               artefacts that no entry names
//!   told      MARK: it names the standby                      the token refuses from here on, and no log tells of it yet: the same
//!                                                             command puts it on record
//!   entry     handed-over → fsync                             done here; whoever logs in next does it with the standby
//! it is lost, and the standby is there
//!   login     PIN try → fsync                                 everything is judged that the gate will judge
//!   artefacts approvals → fsync                               artefacts that no entry names
//!   entry     handed-over → fsync                             on record, not sealed; whoever logs in next goes on
//! either way, with the standby
//!   MARK      in one write: the log that holds the entry      any login goes on
//!   open, login → fsync → MARK → checkpoint                   done
//! ```
//! A token that is there is told before the entry is written, so a log never tells of a planned hand-over that the token has not
//! heard of. What a standby does is no step of this command: it is the first thing of any login with one ([`take_over`]).

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::audit::Log;
use crate::audit::entry::{Body, Entry, HandedOver};
use crate::audit::mark::Mark;
use crate::change::{self, Shown, Since, TakeOver};
use crate::gate::{Gate, Proven};
use crate::ledger::Ledger;
use crate::report::terminal::{human_count, pairs};
use crate::text::{escape, shell};

use super::approvals::read_signatures;
use super::change::{Decided, judge_reason, statement};
use super::people;
use super::run::{encode, proven, recorded_signatures};
use super::station::{Station, copy_over};
use super::{Answer, Failure, Globals};

/// Gives the mark to a standby.
#[derive(Args)]
#[command(
    after_help = "The standby is a clone of the token that has the mark, and `standby` of its [[token]] names it. Without approvals the \
    statement is written, which the quorum signs. Insert the token that has the mark and run it with the approvals; then insert the \
    standby and run it once more. With --lost the standby alone is inserted.\n\nExample:\n  \
    coldroot hand-over --to 2c3d00aa --reason \"the token is to be replaced\" --operator carol --witness dave\n  \
    coldroot approve out/hand-over-3f2a9c01.statement --person alice --key SSHKEY\n  \
    coldroot hand-over --to 2c3d00aa --size 41 --reason \"the token is to be replaced\" --operator carol --witness dave \\\n    \
    --approval out/hand-over-3f2a9c01.statement.alice.sig --approval out/hand-over-3f2a9c01.statement.bob.sig"
)]
pub struct HandOverArgs {
    /// The serial number of the standby
    #[arg(long, value_name = "SERIAL")]
    pub to: String,
    /// The token that has the mark is gone, and cannot be told
    #[arg(long)]
    pub lost: bool,
    /// How many entries the log had when the statement was written; left out when it is
    #[arg(long, value_name = "N")]
    pub size: Option<u64>,
    #[command(flatten)]
    pub decided: Decided,
}

pub fn hand_over(globals: &Globals, args: HandOverArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    judge_reason(&args.decided.reason, "the token is to be replaced")?;
    people::judge(&station, &args.decided.people)?;
    // With the token that is lost, nobody can correct the clock first.
    let (mut log, ledger) = station.open_log_whatever_the_clock_says()?;
    match args.lost {
        true => station.judge_floor(&ledger)?,
        false => station.judge_clock(&ledger)?,
    }
    let newest = ledger.changed.newest().map(|index| log.entry(index)).transpose()?.map(|entry| entry.body);
    if let Some(Body::HandedOver(made)) = newest
        && (&made.to, made.lost, &made.decision.reason) == (&args.to, args.lost, &args.decided.reason)
    {
        let mut gate = station.start_gate()?;
        station.enter_sandbox(&[], None)?;
        let cut = log.cut();
        station.log_in(&mut log, &mut gate, Vec::new(), cut)?;
        station.close(&mut log, gate)?;
        return Ok(taken_over(&station, &made));
    }
    if station.hierarchy.marks_on_paper() && !args.lost {
        return Err(Failure::refused(
            "a token whose mark is on paper cannot be told",
            "destroy it, and hand the mark over as that of a token that is lost: --lost",
        ));
    }
    let handed = wanted(&station, &log, &ledger, &args)?;
    let mut entry = Entry::new(station.now(), Body::HandedOver(handed.clone()));
    ledger.changed.clone().take(log.size(), &entry).map_err(|e| {
        Failure::refused(e.to_string(), "nothing was changed; have the statement written again, without --approval")
    })?;
    if args.decided.approval.is_empty() {
        let lost = if args.lost { " --lost" } else { "" };
        let (dir, to, size) = (shell(&station.dir), shell(&args.to), handed.size);
        let command = format!("coldroot --station {dir} hand-over --to {to}{lost} --size {size}");
        return statement(&station, &entry.body, None, &command);
    }
    let there = if args.lost { &handed.to } else { &handed.from };
    let mut gate = station.start_gate_for(Some(there), true)?;
    let inputs: Vec<&Path> = args.decided.approval.iter().map(PathBuf::as_path).collect();
    station.enter_sandbox(&inputs, None)?;
    let signatures = read_signatures(&args.decided.approval, &station.dir.join("in"))?;
    // Before anybody types a PIN.
    let approvals = change::approved(&station.hierarchy, None, &entry, &signatures)?;
    if let Some(decision) = entry.body.decision_mut() {
        decision.approvals = approvals;
    }
    station.keep_copy(&mut log)?;
    let login = station.try_login(&mut log, &mut gate, &station.hierarchy.audit_token)?;
    match args.lost {
        true => lost(&station, &mut log, &mut gate, login, entry, &signatures)?,
        false => planned(&station, &mut log, &mut gate, login, entry, &signatures)?,
    }
    station.close(&mut log, gate)?;
    Ok(if args.lost { taken_over(&station, &handed) } else { told(&station, &handed) })
}

/// What the log will say, approvals apart.
fn wanted(station: &Station, log: &Log, ledger: &Ledger, args: &HandOverArgs) -> Result<HandedOver, Failure> {
    let hierarchy = &station.hierarchy;
    let from = station.token_in_force().ok_or_else(|| {
        Failure::refused("the hierarchy gives no serial for the audit key's token", "`coldroot token list` prints it")
    })?;
    if args.to == from {
        return Err(Failure::refused(
            format!("token {} has the mark already", escape(&from)),
            "nothing is to be done: go on with `coldroot plan` or `coldroot sign`",
        ));
    }
    if !hierarchy.may_have_the_mark(&args.to) {
        return Err(Failure::refused(
            format!("the hierarchy declares no standby with the serial {}", escape(&args.to)),
            format!(
                "name one of `standby` of token `{}`; is it missing there: coldroot adopt-hierarchy",
                hierarchy.audit_token
            ),
        ));
    }
    if let Some((open, _)) = ledger.open_plan().filter(|_| !args.lost) {
        let what = format!("plan {open} was started and its release is not written");
        return Err(Failure::refused(what, "finish it first: `coldroot sign` with that plan, or `coldroot void`"));
    }
    let size = args.size.unwrap_or(log.sealed_size());
    if size == 0 || size > log.sealed_size() {
        let what = format!("the log has {} sealed entries, and not {size}", log.sealed_size());
        return Err(Failure::refused(what, "restore the newest copy, or have the statement written again"));
    }
    Ok(HandedOver {
        token: hierarchy.audit_token.clone(),
        from,
        to: args.to.clone(),
        lost: args.lost,
        size,
        root: log.root_at(size)?,
        plan: ledger.changed.open().filter(|_| args.lost),
        decision: args.decided.decision(ledger),
    })
}

/// The token that has the mark is told, and then the log.
fn planned(
    station: &Station,
    log: &mut Log,
    gate: &mut Gate,
    login: Body,
    mut entry: Entry,
    signatures: &[String],
) -> Result<(), Failure> {
    let mark = station.read_mark(gate)?;
    let to = if let Body::HandedOver(handed) = &entry.body { handed.to.clone() } else { String::new() };
    let was_told = is_standby(&mark, &login) && mark.token == to;
    if was_told {
        // A run was stopped behind the mark: the entry is all that is left.
        station.judge_standing(log, &mark)?;
        log.append(&Entry::new(station.now(), login))?;
    } else {
        let (cut, tokens) = (log.cut(), [station.hierarchy.audit_token.clone()]);
        let mark = station.opened(log, gate, login, &tokens, &[], cut)?;
        entry.time = station.now();
        change::judge(&mark, &station.hierarchy, None, &entry, signatures, station.clock())?;
    }
    for signature in signatures {
        log.put_artefact(signature.as_bytes())?;
    }
    if !was_told {
        gate.hand_over(encode(&entry)?, signatures.to_vec())?;
    }
    log.append(&entry)?;
    log.sync()?;
    copy_over(log);
    Ok(())
}

/// The log is told, and then the standby.
fn lost(
    station: &Station,
    log: &mut Log,
    gate: &mut Gate,
    login: Body,
    mut entry: Entry,
    signatures: &[String],
) -> Result<(), Failure> {
    let mark = station.read_mark(gate)?;
    station.judge_standing(log, &mark)?;
    entry.time = station.now();
    let mut since = decided_since(station, log, &mark)?;
    since.push(Since { index: log.size(), entry: entry.clone(), armored: signatures.to_vec() });
    // What the gate will say: an entry that it refuses must not come on record.
    change::follow(&mark, own(&login), &since, |digest| change::on_record(log, digest))?;
    for signature in signatures {
        log.put_artefact(signature.as_bytes())?;
    }
    let index = log.append(&entry)?;
    log.sync()?;
    station.decided(index);
    let (cut, tokens) = (log.cut(), [station.hierarchy.audit_token.clone()]);
    station.opened(log, gate, login, &tokens, &[], cut)?;
    Ok(())
}

/// The serial number of the token that was logged in to.
fn own(login: &Body) -> &str {
    if let Body::Login { serial, .. } = login { serial } else { "" }
}

/// The mark is not that of the token that holds it.
pub(super) fn is_standby(mark: &Mark, login: &Body) -> bool {
    mark.token != own(login)
}

/// The changes of state that a mark has not followed, with their approvals.
fn decided_since(station: &Station, log: &Log, mark: &Mark) -> Result<Vec<Since>, Failure> {
    let mut since = Vec::new();
    for index in station.changes() {
        let entry = log.entry(index)?;
        if let Some(decision) = entry.body.decision().filter(|decision| decision.change > mark.changes) {
            let armored = recorded_signatures(log, &decision.approvals)?;
            since.push(Since { index, entry, armored });
        }
    }
    Ok(since)
}

/// Has the standby that is logged in take over, if the log hands the mark over to it.
pub(super) fn take_over(
    station: &Station,
    log: &Log,
    gate: &mut Gate,
    mark: &Mark,
    login: &Body,
) -> Result<(), Failure> {
    let since = decided_since(station, log, mark)?;
    let handed = match since.last().map(|last| &last.entry.body) {
        Some(Body::HandedOver(handed)) if handed.to == own(login) => handed,
        _ => {
            let [own, of] = [own(login), &mark.token].map(escape);
            return Err(Failure::refused(
                format!("token {own} holds the mark of token {of}, and this log does not hand it over"),
                format!(
                    "insert token {of}; or is this directory older than the hand-over: restore the newest copy of it"
                ),
            ));
        }
    };
    let size = log.size();
    let shown = |one: &Since| -> Result<Shown, Failure> {
        let Proven { entry, index, inclusion } = proven(log, one.index, &one.entry)?;
        Ok(Shown { entry, index, inclusion, armored: one.armored.clone() })
    };
    Ok(gate.take_over(TakeOver {
        since: since.iter().map(shown).collect::<Result<_, _>>()?,
        size,
        root: log.root()?,
        from_mark: log.consistency_proof(mark.size, size)?,
        from_handed: log.consistency_proof(handed.size, size)?,
    })?)
}

fn told(station: &Station, handed: &HandedOver) -> Answer {
    let [from, to] = [&handed.from, &handed.to].map(|serial| escape(serial));
    let text = format!(
        "Token {from} has been told, and refuses everything from now on. The log says that token {to} has the mark.\n\n{}\n  next: \
         put token {from} away, insert token {to}, and run the same command once more: coldroot --station {} hand-over --to {} (any \
         other that logs in does it too)\n",
        pairs(&[("from", from.clone()), ("to", to.clone())]),
        shell(&station.dir),
        shell(&handed.to),
    );
    Answer::new(text, json!({ "from": handed.from, "to": handed.to, "lost": false, "taken-over": false }))
}

fn taken_over(station: &Station, handed: &HandedOver) -> Answer {
    let [from, to] = [&handed.from, &handed.to].map(|serial| escape(serial));
    let open = handed.plan.map_or("none".to_string(), |plan| plan.hex());
    let next = match handed.lost {
        false => "nothing: go on with `coldroot plan` or `coldroot sign`".to_string(),
        true => format!(
            "{}destroy token {from} where it is found; a CRL of each CA tells relying parties the new numbers: coldroot --station {} plan \
             --crl CA; compare the log with what desks and auditors have: coldroot check audit --against COPY",
            handed.plan.map_or(String::new(), |_| "finish or void the open plan; ".into()),
            shell(&station.dir)
        ),
    };
    let text = format!(
        "Token {to} has the mark.\n\n{}\n  next: {next}\n",
        pairs(&[
            ("from", if handed.lost { format!("{from}, which is lost and was not told") } else { from.clone() }),
            ("to", to.clone()),
            ("log", format!("{} sealed entries", human_count(handed.size))),
            ("plan that was open", open.clone()),
        ])
    );
    let plan = handed.plan.map(|plan| plan.hex());
    let (from, to) = (&handed.from, &handed.to);
    Answer::new(text, json!({ "from": from, "to": to, "lost": handed.lost, "open-plan": plan, "taken-over": true }))
}
