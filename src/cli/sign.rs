//! `sign`: has an approved plan carried out, or goes on with one that was interrupted.
//!
//! ```text
//! open    Open, PinTry, Login entries → fsync → MARK → checkpoint
//! start   Start entry → fsync → MARK → checkpoint → gate opens the plan (MARK names it)   before the first use of a CA key
//! before  of a key plan: an inventory of each of its tokens → entry                        (flushed with the first key's)
//! chunk   sign → verify → entries → fsync                                                  repeated (`issue`)
//! after   of a key plan: an inventory of each of its tokens → entry                        (flushed with the end entry)
//! end     release containers staged → End entry → fsync → MARK → checkpoint → gate closes the plan (MARK: release)
//! out     release → fsync → read back → receipt entry
//! ```
//! Every step looks at the log first and does what is missing, so running the command again is the recovery.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::approval::quorate;
use crate::audit::Log;
use crate::digest::Digest;
use crate::issue::recorded::{self as on_record, Cas, Judged};
use crate::ledger::{Ledger, PlanState};
use crate::plan::{self, Item, Kind, Plan};
use crate::release;
use crate::report::terminal::{human_count, pairs, progress, rate};

use super::approvals::{approvals_on, read_signatures};
use super::found::Found;
use super::people::{self, People};
use super::run::{Run, recorded_signatures};
use super::station::Station;
use super::{Answer, Failure, Globals};

/// Carries out an approved plan.
#[derive(Args)]
#[command(after_help = "Run again after an interruption, it goes on where it stopped.\n\nExample:\n  \
    coldroot sign --plan out/plan-3f2a9c01.plan --operator carol --witness dave \\\n    \
    --approval out/plan-3f2a9c01.plan.alice.sig --approval out/plan-3f2a9c01.plan.bob.sig")]
pub struct SignArgs {
    /// The plan
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    #[command(flatten)]
    pub people: People,
    /// An officer's signature over the plan's statement; give one for each
    #[arg(long, value_name = "FILE")]
    pub approval: Vec<PathBuf>,
    /// A mounted medium: approvals of this plan are taken from it (PLAN.PERSON.sig), and the release is written there too
    #[arg(long, value_name = "DIR")]
    pub media: Option<PathBuf>,
}

pub fn sign(globals: &Globals, args: SignArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    super::recognise::must_be_regular(&args.plan)?;
    let mut plan = Plan::open(&args.plan)?;
    people::judge(&station, &args.people)?;
    let (mut log, mut ledger) = station.open_log_whatever_the_clock_says()?;
    let state = judge_plan(&plan, &ledger, &station)?;
    if state.end.is_none() {
        // Of a plan that has ended nothing is signed: its release is written whatever the clock says, as the log has it.
        station.judge_clock(&ledger)?;
    }
    let end = state.end.as_ref().map(|(_, end)| end.release);
    if let Some(number) = end.filter(|_| state.released) {
        let release = release::directory_name(number);
        return Err(Failure::refused(
            "this plan was carried out already",
            format!(
                "its release is {dir}/out/{release}; is it lost: coldroot --station {dir} release {number}",
                dir = crate::text::shell(&station.dir)
            ),
        ));
    }
    if let Some(medium) = &args.media {
        super::release::judge_medium(medium, end.unwrap_or(ledger.release + 1))?;
    }
    let found = Found::new(&log, &plan, &state);
    found.tell()?;
    let resumed = found.json();
    // Approvals come from media: they are read inside.
    let gate = station.start_gate()?;
    let inputs: Vec<&Path> = args.approval.iter().chain([&args.plan]).map(PathBuf::as_path).collect();
    station.enter_sandbox(&inputs, args.media.as_deref())?;
    let judged = judge_recorded(&mut plan, &log, &ledger, &state, globals.plain)?;
    let signatures = match &state.start {
        // A resumed run carries the approvals that the start entry names; nobody signs twice.
        Some((_, start)) => recorded_signatures(&log, &start.approvals)?,
        None => approvals(&station, &args)?,
    };
    let statement = plan::statement(plan.head(), &plan.digest());
    let quorum = station.hierarchy.quorum(plan.head().kind);
    let approved = quorate(&statement, &signatures, &station.hierarchy, quorum, plan.head().sign_from)?;
    let tokens = tokens_of(&mut plan)?;
    let changed = if plan.head().kind == Kind::Keys { tokens.clone() } else { Vec::new() };
    let sharing = |token: &String| station.hierarchy.sharing(token).map(|t| t.id.clone()).collect::<Vec<_>>();
    let tokens = tokens.iter().flat_map(sharing).collect();
    let (mut run, mark) = Run::open(&station, &mut log, gate, (judged, signatures, approved), tokens)?;
    let started = Instant::now();
    if state.end.is_none() {
        run.start(&mut log, &mut ledger, &plan, &args, &state)?;
        if state.start.is_none() {
            // A run that goes on finds a token that was perhaps changed already.
            run.inventories(&mut log, &mut ledger, &changed)?;
        }
        run.items(&mut log, &mut plan, state.done, globals.plain)?;
        run.refusals(&mut log, &mut plan, state.answered)?;
        run.inventories(&mut log, &mut ledger, &changed)?;
    }
    let release = run.end(&mut log, &mut ledger, &mut plan, &args.plan, mark.release)?;
    station.record_troubles(&mut log, &mut run.gate);
    // Nothing leaves before the page is copied: a run that is stopped here has no release yet.
    station.close(&mut log, run.gate)?;
    if let Some(backups) = super::backup::write(&station, &log, plan.digest(), release, args.media.as_deref())? {
        eprintln!("coldroot: the backups lie in {}", crate::text::path(station.out_dir()?.join(backups)));
    }
    let target = super::release::write(&station, &mut log, &ledger, &plan, release)?;
    let on_medium = match &args.media {
        Some(medium) => Some(super::release::to_medium(&station, &mut log, &ledger, release, medium)?),
        None => None,
    };
    let mut answer = summary(&station, &mut plan, &log, release, &target, on_medium.as_deref(), started);
    answer.json["resumed"] = resumed;
    Ok(answer)
}

/// What an earlier run has left of a plan is judged before the login, whose checkpoint would seal it; and so are the CAs.
pub(super) fn judge_recorded(
    plan: &mut Plan,
    log: &Log,
    ledger: &Ledger,
    state: &PlanState,
    plain: bool,
) -> Result<Judged, Failure> {
    let cas = Cas { newest: &ledger.cas, issuers: &ledger.issuers, above: &ledger.above };
    let since = state.start.as_ref().map(|(index, _)| *index).or(state.void.as_ref().map(|(index, _)| *index));
    let since = since.filter(|_| state.done + state.answered > 0);
    let bar = since.map(|_| progress("checking what is on record", state.done, plain));
    let judged = on_record::judge(plan, log, &cas, since, |done| bar.iter().for_each(|bar| bar.set_position(done)))?;
    bar.iter().for_each(|bar| bar.finish_and_clear());
    Ok(judged)
}

/// Those that were named, and those on the medium.
fn approvals(station: &Station, args: &SignArgs) -> Result<Vec<String>, Failure> {
    let mut paths = args.approval.clone();
    if let Some(medium) = &args.media {
        paths.extend(approvals_on(medium, &args.plan)?);
    }
    read_signatures(&paths, &station.dir.join("in"))
}

fn judge_plan(plan: &Plan, ledger: &Ledger, station: &Station) -> Result<PlanState, Failure> {
    let Some(state) = ledger.plans.get(&plan.digest()) else {
        return Err(Failure::refused(
            format!("this station has not made the plan with SHA-256 {}", plan.digest()),
            "the file was changed, or is a preview from elsewhere; take it from out/ again, or plan again",
        ));
    };
    if let Some((open, _)) = ledger.open_plan()
        && *open != plan.digest()
    {
        return Err(Failure::refused(
            format!("plan {open} was started and its release is not written"),
            "finish that one first: `coldroot sign` with it, or `coldroot void`",
        ));
    }
    if let Some(index) = state.differs.filter(|_| state.void.is_none() && state.end.is_none()) {
        let what = format!("entry {index} of the log says that items of the plan do not agree with the evidence");
        return Err(Failure::refused(
            what,
            "find out why, then end it: `coldroot void` with this plan; then plan anew",
        ));
    }
    if state.void.is_some() {
        let hint = match state.released {
            false => "end it: run `coldroot void` with it again",
            true => "its release answers what it did not do; plan anew",
        };
        return Err(Failure::refused("this plan was voided", hint));
    }
    let head = plan.head();
    if state.end.is_none() && head.release_before != ledger.release {
        let what = format!(
            "the plan follows release {}, but release {} has been made since",
            head.release_before, ledger.release
        );
        // Started it was before the end of the log was lost, and then this one went on.
        let hint = match state.start.is_some() {
            true => "end it with a quorum: `coldroot void` with this plan; then plan again",
            false => "plan again",
        };
        return Err(Failure::refused(what, hint));
    }
    if state.end.is_none() && head.hierarchy != station.hierarchy.digest {
        return Err(Failure::refused("the plan was made for the hierarchy that was in force before", "plan again"));
    }
    let now = station.now();
    if state.end.is_none() && !(head.sign_from..=head.sign_until).contains(&now) {
        let (from, until) = (crate::text::utc(head.sign_from), crate::text::utc(head.sign_until));
        return Err(Failure::refused(
            format!("it is {}; the plan's window is from {from} until {until}", crate::text::utc(now)),
            match (now < head.sign_from, state.start.is_some()) {
                (true, _) => "compare the station's clock with another one, or wait for the window",
                (false, false) => "run `coldroot plan` again",
                (false, true) => "end it with a quorum: `coldroot void` with this plan; what is on record stays issued",
            },
        ));
    }
    Ok(state.clone())
}

/// The tokens whose keys the plan needs.
fn tokens_of(plan: &mut Plan) -> Result<Vec<String>, Failure> {
    let mut tokens = Vec::new();
    for n in 0..plan.head().items {
        let token = match plan.item(n)? {
            Item::GenerateKey(key) => key.token,
            Item::Certificate(c) => c.signer.token,
            Item::Crl(c) => c.signer.token,
            Item::Csr(c) => c.signer.token,
            Item::GenerateWrappingKey(key) => key.token,
            Item::KeyAct(act) => act.key.token,
            Item::Revoke(_) => continue,
        };
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

fn summary(
    station: &Station,
    plan: &mut Plan,
    log: &Log,
    release: u64,
    target: &Path,
    on_medium: Option<&Path>,
    started: Instant,
) -> Answer {
    let next = super::next::after_sign(station, plan, target);
    let head = plan.head();
    let root = log.root().map_or(Digest::default(), |root| root);
    let making = head.counts.iter().all(|count| count.act == "generate-key");
    let what = if head.kind == Kind::Certificates {
        "signed"
    } else if making {
        "keys made"
    } else {
        "acts done"
    };
    let written = crate::text::path(target);
    let speed = rate(head.items, started.elapsed());
    let text = format!(
        "Release {release} is written and read back.\n\n{}\n{next}",
        pairs(&[
            (what, format!("{} ({speed})", human_count(head.items))),
            ("refused", human_count(head.refused)),
            ("release", on_medium.map_or(String::new(), |path| format!("{} and ", crate::text::path(path))) + &written),
            ("log", format!("{} entries, root {}", human_count(log.size()), crate::text::hex_groups(&root.0))),
        ]),
    );
    let json = json!({
        "release": release, "done": head.items, "refused": head.refused,
        "directory": target.to_string_lossy(), "on-medium": on_medium.map(|path| path.to_string_lossy()), "log-size": log.size(), "log-root": root.hex(),
    });
    Answer::new(text, json)
}
