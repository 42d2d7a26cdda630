//! `void`: ends a plan that will not go on, with a quorum. What is on record stays issued; the rest is answered.
//!
//! ```text
//! void     Void entry → fsync                        a cut: `sign` refuses the plan, `void` goes on with what is on record
//! answers  one entry for each item that is not done → fsync
//! end      release containers staged → End entry → fsync → MARK → checkpoint → gate voids the plan (MARK: release)
//! out      release → fsync → read back → receipt entry
//! ```

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::approval::quorate;
use crate::audit::entry::{Body, Entry, Void};
use crate::change::recorded;
use crate::ledger::{Ledger, PlanState};
use crate::plan::{self, Item, Plan, Refusal};
use crate::report::terminal::{human_count, pairs};
use crate::text::{escape, hex};

use super::approvals::read_signatures;
use super::found::Found;
use super::people::{self, People};
use super::run::{Run, log_entry, recorded_signatures};
use super::sign::judge_recorded;
use super::station::Station;
use super::{Answer, Failure, Globals, flushed};

/// Ends a plan without carrying the rest of it out.
#[derive(Args)]
#[command(after_help = "Without approvals it writes the statement that the quorum signs.\n\nExample:\n  \
    coldroot void --plan out/plan-3f2a9c01.plan --reason \"the officers withdrew\" --operator carol --witness dave\n  \
    coldroot approve out/void-3f2a9c01.statement --person alice --key SSHKEY\n  \
    coldroot void --plan out/plan-3f2a9c01.plan --reason \"the officers withdrew\" --operator carol --witness dave \\\n    \
    --approval out/void-3f2a9c01.statement.alice.sig --approval out/void-3f2a9c01.statement.bob.sig")]
pub struct VoidArgs {
    /// The plan
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// Why, in one line: every requester reads it
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub people: People,
    /// A signature over the statement; give one for each person of the quorum
    #[arg(long, value_name = "FILE")]
    pub approval: Vec<PathBuf>,
}

pub fn void(globals: &Globals, args: VoidArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    super::recognise::must_be_regular(&args.plan)?;
    let mut plan = Plan::open(&args.plan)?;
    people::judge(&station, &args.people)?;
    // A clock that ran ahead is set back when no plan is open, so a plan ends whatever the clock says.
    let (mut log, mut ledger) = station.open_log_whatever_the_clock_says()?;
    station.judge_floor(&ledger)?;
    let state = judge(&plan, &ledger, &args)?;
    // One that a lost log has left as started may be of the hierarchy before, and ends all the same.
    if state.end.is_none() && state.start.is_none() && plan.head().hierarchy != station.hierarchy.digest {
        let what = "the plan was made for the hierarchy that was in force before, so it never starts";
        return Err(Failure::refused(what, "plan its bundle again: the new plan takes its place"));
    }
    let reason = state.void.as_ref().map_or(args.reason.as_str(), |(_, void)| &void.reason).to_owned();
    let done = state.void.as_ref().map_or(state.done, |(_, void)| void.done);
    let statement = plan::void_statement(plan.head(), &plan.digest(), done, &reason);
    if state.void.is_none() && args.approval.is_empty() {
        return write_statement(&station, &plan, &statement, &args);
    }
    if state.void.is_some() {
        Found::new(&log, &plan, &state).tell()?;
    }
    // Approvals come from media: they are read inside.
    let gate = station.start_gate()?;
    let inputs: Vec<&Path> = args.approval.iter().chain([&args.plan]).map(PathBuf::as_path).collect();
    station.enter_sandbox(&inputs, None)?;
    let judged = judge_recorded(&mut plan, &log, &ledger, &state, globals.plain)?;
    let signatures = match &state.void {
        Some((_, void)) => recorded_signatures(&log, &void.approvals)?,
        None => read_signatures(&args.approval, &station.dir.join("in"))?,
    };
    // A void that goes on counts its approvals as they counted when it began.
    let time = match &state.void {
        Some((index, void)) => log_entry(&log, *index, Body::Void(void.clone()))?.time,
        None => station.now(),
    };
    let quorum = station.hierarchy.quorum(plan.head().kind);
    let approved = quorate(&statement, &signatures, &station.hierarchy, quorum, time)?;

    let (mut run, mark) = Run::open(&station, &mut log, gate, (judged, signatures, approved), Vec::new())?;
    if state.end.is_none() {
        if state.void.is_none() {
            for signature in &run.signatures {
                log.put_artefact(signature.as_bytes())?;
            }
            let void = Void {
                plan: plan.digest(),
                reason: reason.clone(),
                done,
                approvals: recorded(run.approved.approvals()),
                operator: args.people.operator.clone(),
                witness: args.people.witness.clone(),
                witness_time: args.people.witness_time,
            };
            log.append(&Entry::new(time, Body::Void(void)))?;
            log.sync()?;
        }
        let refusals = unprocessed(&mut plan, state.done, &reason)?;
        run.refuse(&mut log, plan.digest(), refusals, state.answered)?;
    }
    let release = run.end(&mut log, &mut ledger, &mut plan, &args.plan, mark.release)?;
    station.close(&mut log, run.gate)?;
    let target = super::release::write(&station, &mut log, &ledger, &plan, release)?;
    let rest = plan.head().items - done;
    // What was revoked stays revoked, but the CRL that was to say so is not made.
    let unlisted: Vec<&str> = ledger.unlisted().collect();
    let crl = match unlisted.as_slice() {
        [] => String::new(),
        cas => format!(
            "  urgent: what it has revoked stands on no CRL yet: coldroot plan{}\n",
            cas.iter().map(|ca| format!(" --crl {ca}")).collect::<String>()
        ),
    };
    let text = format!(
        "The plan is void. Release {release} answers what it did not do.\n\n{}\n  next: carry {} to the desk\n{crl}",
        pairs(&[
            ("reason", escape(&reason)),
            ("done before", human_count(done)),
            ("not issued", human_count(rest)),
            ("release", crate::text::path(&target)),
        ]),
        crate::text::path(&target),
    );
    let json = json!({
        "release": release, "done": done, "not-issued": rest, "directory": target.to_string_lossy(), "crls-missing": unlisted,
    });
    Ok(Answer::new(text, json))
}

fn judge(plan: &Plan, ledger: &Ledger, args: &VoidArgs) -> Result<PlanState, Failure> {
    super::change::judge_reason(&args.reason, "why the plan does not go on")?;
    let digest = plan.digest();
    let Some(state) = ledger.plans.get(&digest) else {
        let what = format!("this station has not made the plan with SHA-256 {digest}");
        return Err(Failure::refused(what, "take it from out/ again"));
    };
    if let Some((open, _)) = ledger.open_plan().filter(|(open, _)| **open != digest) {
        let what = format!("plan {open} was started and its release is not written");
        return Err(Failure::refused(what, "finish or void that one first"));
    }
    if state.end.is_some() && (state.released || state.void.is_none()) {
        let hint = if state.released { "nothing is left to void" } else { "run `coldroot sign` with it again" };
        return Err(Failure::refused("this plan has ended", hint));
    }
    // An overtaken plan is voided for its bundle's sake, which perhaps can be planned no more: it has expired, or its CA is
    // revoked.
    let waits = ledger.unanswered().is_some_and(|(bundle, _)| plan.head().bundle.as_ref() == Some(bundle));
    // One that was started is ended in any case: nothing else begins before.
    let begun = state.start.is_some() || state.void.is_some();
    if state.end.is_none() && !waits && !begun && plan.head().release_before != ledger.release {
        let what = format!("the plan follows release {}, so it never starts", plan.head().release_before);
        return Err(Failure::refused(what, "leave it as it is: nothing waits for it"));
    }
    if let Some((_, void)) = state.void.as_ref().filter(|(_, void)| void.reason != args.reason) {
        let what = format!("the plan was voided for another reason: {}", escape(&void.reason));
        return Err(Failure::refused(what, "run it again with that reason"));
    }
    Ok(state.clone())
}

/// The statement of the void, for the quorum to sign.
fn write_statement(station: &Station, plan: &Plan, statement: &str, args: &VoidArgs) -> Result<Answer, Failure> {
    let path = station.out_dir()?.join(format!("void-{}.statement", &plan.digest().hex()[..8]));
    flushed::file(&path, statement.as_bytes())?;
    let command =
        format!("coldroot{} void --plan {}", super::next::station_option(station), crate::text::shell(&args.plan));
    let text = format!(
        "Nothing is void yet. The quorum reads and signs this statement:\n\n{statement}\n{}",
        super::next::after_statement(
            station,
            &path,
            (station.hierarchy.quorum(plan.head().kind), station.now()),
            (&command, &args.reason),
            &args.people
        )
    );
    Ok(Answer::new(text, json!({ "statement-file": path.to_string_lossy(), "statement": statement })))
}

/// The answers of a voided plan: its items that are not done, as far as somebody waits for them, then the requests that it
/// had refused anyway.
fn unprocessed(plan: &mut Plan, done: u64, reason: &str) -> Result<Vec<Refusal>, Failure> {
    let mut refusals = Vec::new();
    for n in done..plan.head().items {
        let request = match plan.item(n)? {
            Item::Certificate(certificate) => certificate.request,
            Item::Revoke(revoke) => Some(hex(&revoke.serial)),
            Item::GenerateKey(_) | Item::GenerateWrappingKey(_) | Item::Crl(_) | Item::Csr(_) | Item::KeyAct(_) => None,
        };
        let reason = format!("not processed, the plan was voided: {}; ask again in the next bundle", escape(reason));
        refusals.extend(request.map(|request| Refusal { request, check: "void".into(), reason }));
    }
    refusals.extend(plan.refusals()?);
    Ok(refusals)
}
