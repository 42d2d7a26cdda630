//! `sign`: has an approved plan carried out, or goes on with one that was interrupted.
//!
//! ```text
//! open    Open, PinTry, Login entries → fsync → MARK → checkpoint
//! start   Start entry → fsync → MARK → checkpoint → gate opens the plan (MARK names it)   before the first use of a CA key
//! chunk   sign → verify → entries → fsync                                                  repeated (`issue`)
//! end     release containers staged → End entry → fsync → MARK → checkpoint → gate closes the plan (MARK: release)
//! out     release → fsync → read back → receipt entry
//! ```
//! Every step looks at the log first and does what is missing, so running the command again is the recovery.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::approval::{Quorate, quorate};
use crate::audit::Log;
use crate::audit::entry::{Approved, Body, End, Entry, Start, Void};
use crate::cbor::Bytes;
use crate::change::recorded;
use crate::digest::Digest;
use crate::gate::{self, Gate, Proven};
use crate::issue::{self, KeyMade, Outcome, Signer, recorded as on_record};
use crate::ledger::{Ledger, PlanState};
use crate::plan::{self, Item, Kind, Plan, Refusal};
use crate::release;
use crate::report::terminal::{human_count, pairs, progress, rate};
use crate::workers::keys::KeyDone;

use super::approvals::{approvals_on, read_signatures};
use super::found::Found;
use super::people::{self, People};
use super::station::{Station, seal};
use super::{Answer, Failure, Globals, failure::Code};

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
    judge_recorded(&mut plan, &log, &ledger, &state, globals.plain)?;
    let signatures = match &state.start {
        // A resumed run carries the approvals that the start entry names; nobody signs twice.
        Some((_, start)) => recorded_signatures(&log, &start.approvals)?,
        None => approvals(&station, &args)?,
    };
    let statement = plan::statement(plan.head(), &plan.digest());
    let quorum = station.hierarchy.quorum(plan.head().kind);
    let approved = quorate(&statement, &signatures, &station.hierarchy, quorum, plan.head().sign_from)?;
    let mut run = Run { gate, station: &station, signatures, approved };
    let tokens = tokens_of(&mut plan)?;
    let sharing = |token: &String| station.hierarchy.sharing(token).map(|t| t.id.clone()).collect::<Vec<_>>();
    let tokens = tokens.iter().flat_map(sharing).collect();
    let cut = log.cut();
    let mark = station.log_in(&mut log, &mut run.gate, tokens, cut)?;
    let started = Instant::now();
    if state.end.is_none() {
        run.start(&mut log, &mut ledger, &plan, &args, &state)?;
        run.items(&mut log, &ledger, &mut plan, state.done, globals.plain)?;
        run.refusals(&mut log, &mut plan, state.answered)?;
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
) -> Result<(), Failure> {
    on_record::chain(&ledger.cas, &ledger.issuers, &ledger.above)?;
    let since = state.start.as_ref().map(|(index, _)| *index).or(state.void.as_ref().map(|(index, _)| *index));
    if let Some(since) = since.filter(|_| state.done + state.answered > 0) {
        let bar = progress("checking what is on record", state.done, plain);
        let issuers = ledger.cas.iter().map(|(ca, (_, der))| (ca.clone(), der.clone())).collect();
        on_record::judge(plan, log, since, issuers, |done| bar.set_position(done))?;
        bar.finish_and_clear();
    }
    Ok(())
}

/// A plan being ended, one way or the other.
pub(super) struct Run<'s> {
    pub gate: Gate,
    pub station: &'s Station,
    /// The approvals, armored, and what they come to.
    pub signatures: Vec<String>,
    pub approved: Quorate,
}

impl Run<'_> {
    /// The start entry, unless it is on record, its checkpoint and mark, then the gate's own judgement of the plan.
    fn start(
        &mut self,
        log: &mut Log,
        ledger: &mut Ledger,
        plan: &Plan,
        args: &SignArgs,
        state: &PlanState,
    ) -> Result<(), Failure> {
        let (index, entry) = match &state.start {
            Some((index, start)) => (*index, log_entry(log, *index, Body::Start(start.clone()))?),
            None => {
                // Where much was folded at the opening, the next one need not do it again.
                ledger.follow(log)?;
                super::station::index(log, ledger, self.station.now())?;
                for signature in &self.signatures {
                    log.put_artefact(signature.as_bytes())?;
                }
                let start = Start {
                    plan: plan.digest(),
                    approvals: recorded(self.approved.approvals()),
                    operator: args.people.operator.clone(),
                    witness: args.people.witness.clone(),
                    witness_time: args.people.witness_time,
                };
                let entry = Entry::new(self.station.now(), Body::Start(start));
                let index = log.append(&entry)?;
                seal(log, &mut self.gate)?;
                ledger.follow(log)?;
                (index, entry)
            }
        };
        let inclusion = log.inclusion_proof(index, log.size())?;
        let bytes = encode(&entry)?;
        Ok(self.gate.open_plan(&args.plan, &self.signatures, bytes, index, inclusion)?)
    }

    fn items(
        &mut self,
        log: &mut Log,
        ledger: &Ledger,
        plan: &mut Plan,
        recorded: u64,
        plain: bool,
    ) -> Result<(), Failure> {
        let total = plan.head().items;
        if recorded >= total {
            return Ok(());
        }
        let what = if plan.head().kind == Kind::Keys { "keys" } else { "signing" };
        let bar = progress(what, total, plain);
        bar.set_position(recorded);
        let mut issuers: BTreeMap<String, Bytes> =
            ledger.cas.iter().map(|(ca, (_, der))| (ca.clone(), der.clone())).collect();
        let clock = || self.station.now();
        let mut signer = GateSigner(&mut self.gate);
        let result =
            issue::carry_out(plan, recorded, &mut issuers, log, &clock, &mut signer, |done| bar.set_position(done));
        bar.finish_and_clear();
        // Met or not, trouble with a token is on record.
        self.station.record_troubles(log, &mut self.gate);
        if let Err(e) = &result {
            self.station.record_failure(log, &format!("plan {}: {e}", plan.digest()));
        }
        Ok(result?)
    }

    /// The refused requests, after the items, each with its reason.
    fn refusals(&mut self, log: &mut Log, plan: &mut Plan, answered: u64) -> Result<(), Failure> {
        self.refuse(log, plan.digest(), plan.refusals()?, answered)
    }

    /// Puts refusals on record, from number `answered` on.
    pub(super) fn refuse(
        &mut self,
        log: &mut Log,
        plan: Digest,
        refusals: Vec<Refusal>,
        answered: u64,
    ) -> Result<(), Failure> {
        for Refusal { request, check, reason } in
            refusals.into_iter().skip(usize::try_from(answered).unwrap_or(usize::MAX))
        {
            log.append(&Entry::new(self.station.now(), Body::Refused { plan, request, check, reason }))?;
        }
        log.sync()?;
        Ok(())
    }

    /// The release's containers, the end entry that vouches for them, its checkpoint and mark. A voided plan ends with what
    /// is on record, and the gate wants to see why.
    pub(super) fn end(
        &mut self,
        log: &mut Log,
        ledger: &mut Ledger,
        plan: &mut Plan,
        path: &Path,
        marked_release: u64,
    ) -> Result<u64, Failure> {
        ledger.follow(log)?;
        let state = ledger.plans.get(&plan.digest()).cloned();
        let state = state.ok_or_else(|| Failure::refused("the log does not know this plan", "plan again"))?;
        let (index, entry) = match &state.end {
            Some((index, end)) => (*index, log_entry(log, *index, Body::End(end.clone()))?),
            None => {
                let (at, start) = begun(&state)?;
                let release = ledger.release + 1;
                let basis = release::Basis { log, size: log.size(), ledger, plan, start: (at, &start), release };
                let manifest = release::prepare(&self.station.out_dir()?, &basis)?;
                let (done, refused) = (state.done, state.answered);
                let end = Body::End(End { plan: plan.digest(), release, done, refused, manifest });
                let entry = Entry::new(self.station.now(), end);
                let index = log.append(&entry)?;
                ledger.follow(log)?;
                super::station::index(log, ledger, self.station.now())?;
                seal(log, &mut self.gate)?;
                (index, entry)
            }
        };
        let Body::End(End { release, .. }) = &entry.body else {
            return Err(Failure::refused("the end entry is not one", "run `coldroot check` on the audit directory"));
        };
        if marked_release < *release {
            let end = proven(log, index, &entry)?;
            match state.void {
                None => self.gate.end_plan(end.entry.into_vec(), end.index, end.inclusion)?,
                Some((index, void)) => {
                    let void = proven(log, index, &log_entry(log, index, Body::Void(void))?)?;
                    self.gate.void_plan(path, &self.signatures, void, end)?;
                }
            }
        }
        Ok(*release)
    }
}

/// Where a plan begins on record, and with whom: at its start, or at its void if it was never started.
pub(super) fn begun(state: &PlanState) -> Result<(u64, Start), Failure> {
    if let Some(start) = &state.start {
        return Ok(start.clone());
    }
    let (index, void) =
        state.void.clone().ok_or_else(|| Failure::refused("the plan was not started", "run `coldroot sign` again"))?;
    let Void { plan, approvals, operator, witness, witness_time, .. } = void;
    Ok((index, Start { plan, approvals, operator, witness, witness_time }))
}

pub(super) fn proven(log: &Log, index: u64, entry: &Entry) -> Result<Proven, Failure> {
    let inclusion = log.inclusion_proof(index, log.size())?;
    Ok(Proven { entry: Bytes::from(encode(entry)?), index, inclusion })
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

/// The approvals on record.
pub(super) fn recorded_signatures(log: &Log, approvals: &[Approved]) -> Result<Vec<String>, Failure> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    approvals.iter().map(|a| Ok(text(log.artefact(&a.signature)?))).collect()
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

/// Reads the entry at `index` back, with the time it was written.
pub(super) fn log_entry(log: &Log, index: u64, body: Body) -> Result<Entry, Failure> {
    match log.entries(index..index + 1).next() {
        Some(entry) => match entry? {
            (_, entry, _) if entry.body == body => Ok(entry),
            _ => Err(Failure::refused("the log changed under this run", "run it again")),
        },
        None => Err(Failure::refused("the log has no such entry", "run it again")),
    }
}

pub(super) fn encode(entry: &Entry) -> Result<Vec<u8>, Failure> {
    entry.encode().map_err(|e| Failure { code: Code::Halted, what: e.to_string(), hint: None })
}

/// The gate as `issue` sees it.
struct GateSigner<'g>(&'g mut Gate);

impl Signer for GateSigner<'_> {
    type Error = gate::Error;

    fn carry_out(&mut self, items: Vec<u64>) -> Result<Vec<Outcome>, gate::Error> {
        let outcomes = self.0.carry_out(items)?;
        let convert = |outcome| match outcome {
            gate::Outcome::Noted => Outcome::Noted,
            gate::Outcome::KeyAct(KeyDone::WrappingKey(w)) => Outcome::WrappingKey(issue::WrappingKeyMade {
                check_value: w.check_value,
                attributes: w.attributes,
                adopted: w.adopted,
            }),
            gate::Outcome::KeyAct(KeyDone::BackedUp(b)) => Outcome::BackedUp(issue::KeyWrapped {
                mechanism: b.mechanism,
                wrapped: b.wrapped,
                check_value: b.check_value,
                signature: b.signature,
            }),
            gate::Outcome::KeyAct(KeyDone::Restored(r)) => Outcome::Restored(issue::KeyBack {
                attributes: r.attributes,
                adopted: r.adopted,
                signature: r.signature,
            }),
            gate::Outcome::KeyAct(KeyDone::Destroyed(gone)) => {
                Outcome::Destroyed(issue::KeyGone { found: gone.found, before: gone.before, after: gone.after })
            }
            gate::Outcome::Signature(value) => Outcome::Signature(value.into_vec()),
            gate::Outcome::Key(k) => Outcome::Key(KeyMade {
                label: k.label,
                cka_id: k.cka_id,
                algorithm: k.algorithm,
                spki: k.spki,
                attributes: k.attributes,
                adopted: k.adopted,
            }),
        };
        Ok(outcomes.into_iter().map(convert).collect())
    }
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
