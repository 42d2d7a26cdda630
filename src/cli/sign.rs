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
use crate::audit::entry::{Body, End, Entry, Start};
use crate::audit::note::VerifierKey;
use crate::cbor::Bytes;
use crate::config::{Environment, Role};
use crate::digest::Digest;
use crate::gate::{self, Gate, recorded};
use crate::issue::{self, KeyMade, Outcome, Signer};
use crate::ledger::{Ledger, PlanState};
use crate::plan::{self, Item, Kind, Plan};
use crate::release::{self, Trust};
use crate::report::terminal::{human_count, pairs, progress, rate};

use super::station::{Station, read_signatures, seal};
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
    /// Who operates the station (roster id)
    #[arg(long, value_name = "ID")]
    pub operator: String,
    /// Who watches (roster id, another person)
    #[arg(long, value_name = "ID")]
    pub witness: String,
    /// What the witness reads from another clock; a real hierarchy needs it
    #[arg(long, value_name = "UTC", value_parser = super::parse_time)]
    pub witness_time: Option<i64>,
    /// An officer's signature over the plan's statement; give one for each
    #[arg(long, value_name = "FILE")]
    pub approval: Vec<PathBuf>,
}

/// The most that the witness's clock and the station's may differ, in seconds.
const CLOCK_SLACK: i64 = 300;

pub fn sign(globals: &Globals, args: SignArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    let mut plan = Plan::open(&args.plan)?;
    judge_people(&station, &args)?;
    let (mut log, mut ledger) = station.open_log()?;
    let state = judge_plan(&plan, &ledger, &station)?;
    let signatures = match &state.start {
        // A resumed run carries the approvals that the start entry names; nobody signs twice.
        Some((_, start)) => recorded_signatures(&log, start)?,
        None => read_signatures(&args.approval)?,
    };
    let statement = plan::statement(plan.head(), &plan.digest());
    let quorum = match plan.head().kind {
        Kind::Keys => &station.hierarchy.quorum_keys,
        Kind::Certificates => &station.hierarchy.quorum_certificates,
    };
    let approved = quorate(&statement, &signatures, &station.hierarchy, quorum)?;
    if state.released && state.end.is_some() {
        let release = state.end.as_ref().map_or(ledger.release, |(_, end)| end.release);
        let release = release::directory_name(release);
        return Err(Failure::refused(
            "this plan was carried out already",
            format!("its release is {}/out/{release}", station.dir.display()),
        ));
    }

    let mut run = Run { gate: station.start_gate()?, station: &station, signatures, approved };
    let tokens = tokens_of(&mut plan)?;
    let cut = log.cut();
    let mark = station.log_in(&mut log, &mut run.gate, tokens, cut)?;
    let started = Instant::now();
    if state.end.is_none() {
        run.start(&mut log, &mut ledger, &plan, &args, &state)?;
        run.items(&mut log, &ledger, &mut plan, state.recorded, globals.plain)?;
        run.refusals(&mut log, &mut plan, state.recorded)?;
    }
    let release = run.end(&mut log, &mut ledger, &mut plan, mark.release)?;
    run.gate.close()?;
    let out = station.out_dir()?;
    let target = write_release(&out, &mut log, &ledger, &mut plan, release, &station)?;
    Ok(summary(&station, &plan, &log, release, &target, started))
}

struct Run<'s> {
    gate: Gate,
    station: &'s Station,
    signatures: Vec<String>,
    approved: Quorate,
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
                for signature in &self.signatures {
                    log.put_artefact(signature.as_bytes())?;
                }
                let start = Start {
                    plan: plan.digest(),
                    approvals: recorded(&self.approved),
                    operator: args.operator.clone(),
                    witness: args.witness.clone(),
                    witness_time: args.witness_time,
                };
                let entry = Entry::new(self.station.now(), Body::Start(start));
                let index = log.append(&entry)?;
                seal(log, &mut self.gate)?;
                ledger.add(index, &entry)?;
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
        let what = if plan.head().kind == Kind::Keys { "making keys" } else { "signing" };
        let bar = progress(what, total, plain);
        bar.set_position(recorded);
        let mut issuers: BTreeMap<String, Bytes> =
            ledger.cas.iter().map(|(ca, (_, der))| (ca.clone(), der.clone())).collect();
        let clock = || self.station.now();
        let mut signer = GateSigner(&mut self.gate);
        let result =
            issue::carry_out(plan, recorded, &mut issuers, log, &clock, &mut signer, |done| bar.set_position(done));
        bar.finish_and_clear();
        if let Err(e) = &result {
            self.station.record_failure(log, &format!("plan {}: {e}", plan.digest()));
        }
        Ok(result?)
    }

    /// The refused requests, after the items, each with its reason.
    fn refusals(&mut self, log: &mut Log, plan: &mut Plan, recorded: u64) -> Result<(), Failure> {
        let from = recorded.saturating_sub(plan.head().items);
        let digest = plan.digest();
        for refusal in plan.refusals()?.into_iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
            let body =
                Body::Refused { plan: digest, request: refusal.request, check: refusal.check, reason: refusal.reason };
            log.append(&Entry::new(self.station.now(), body))?;
        }
        log.sync()?;
        Ok(())
    }

    /// The release's containers, the end entry that vouches for them, its checkpoint and mark.
    fn end(
        &mut self,
        log: &mut Log,
        ledger: &mut Ledger,
        plan: &mut Plan,
        marked_release: u64,
    ) -> Result<u64, Failure> {
        *ledger = super::station::fold(log)?;
        let state = ledger.plans.get(&plan.digest()).cloned();
        let state = state.ok_or_else(|| Failure::refused("the log does not know this plan", "plan again"))?;
        let (index, entry) = match state.end {
            Some((index, end)) => (index, log_entry(log, index, Body::End(end))?),
            None => {
                let (at, start) = state
                    .start
                    .ok_or_else(|| Failure::refused("the plan was not started", "run `coldroot sign` again"))?;
                let release = ledger.release + 1;
                let manifest = release::prepare(&self.station.out_dir()?, plan, ledger, log, (at, &start), release)?;
                let (done, refused) = (plan.head().items, plan.head().refused);
                let end = Body::End(End { plan: plan.digest(), release, done, refused, manifest });
                let entry = Entry::new(self.station.now(), end);
                let index = log.append(&entry)?;
                seal(log, &mut self.gate)?;
                ledger.add(index, &entry)?;
                (index, entry)
            }
        };
        let Body::End(End { release, .. }) = &entry.body else {
            return Err(Failure::refused("the end entry is not one", "run `coldroot check` on the audit directory"));
        };
        if marked_release < *release {
            let inclusion = log.inclusion_proof(index, log.size())?;
            self.gate.end_plan(encode(&entry)?, index, inclusion)?;
        }
        Ok(*release)
    }
}

/// Writes the release unless it lies there, and records that it was read back.
fn write_release(
    out: &Path,
    log: &mut Log,
    ledger: &Ledger,
    plan: &mut Plan,
    release: u64,
    station: &Station,
) -> Result<PathBuf, Failure> {
    let target = out.join(release::directory_name(release));
    let state = ledger.plans.get(&plan.digest());
    let (Some((at, start)), Some((_, end))) = (state.and_then(|s| s.start.clone()), state.and_then(|s| s.end.clone()))
    else {
        return Err(Failure::refused("the plan has not ended", "run `coldroot sign` again"));
    };
    if target.exists() {
        // Stopped between the name and the receipt: nothing says that it was read back, so all of it is checked.
        let halt = |why: String| Failure {
            code: Code::Halted,
            what: format!("{} is not the release on record: {why}", target.display()),
            hint: Some(format!("move {} away and run the same command again", target.display())),
        };
        let verifier_key = VerifierKey::parse(&log.genesis()?.verifier_key).map_err(crate::audit::Error::from)?;
        let trust =
            Trust { verifier_key: &verifier_key, hierarchy: Some(&station.hierarchy), root: None, now: station.now() };
        let checked = release::check(&target, &trust).map_err(|e| halt(e.to_string()))?;
        if checked.manifest() != end.manifest {
            return Err(halt("its manifest differs".into()));
        }
    } else {
        // After a cut the staged containers may be gone or torn: made again, they must be what the end entry vouches for.
        let manifest = release::prepare(out, plan, ledger, log, (at, &start), release)?;
        if manifest != end.manifest {
            return Err(Failure {
                code: Code::Halted,
                what: "the release made again is not the one on record".into(),
                hint: Some("keep the audit directory as it is and report this".into()),
            });
        }
        release::write(out, log, ledger, release)?;
    }
    let receipt = Body::ReleaseWritten { release, manifest: end.manifest, target: release::directory_name(release) };
    log.append(&Entry::new(station.now(), receipt))?;
    log.sync()?;
    Ok(target)
}

fn judge_people(station: &Station, args: &SignArgs) -> Result<(), Failure> {
    for (id, role) in [(&args.operator, Role::Operator), (&args.witness, Role::Witness)] {
        let shown = crate::text::escape(id);
        let able = || {
            station
                .hierarchy
                .persons
                .iter()
                .filter(|p| p.roles.contains(&role))
                .map(|p| p.id.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        if !station.hierarchy.person(id).is_some_and(|p| p.roles.contains(&role)) {
            return Err(Failure::refused(
                format!("`{shown}` is not a person with the role {}", role.name()),
                format!("name one of: {}", able()),
            ));
        }
    }
    if args.operator == args.witness {
        return Err(Failure::refused("operator and witness are the same person", "name two persons"));
    }
    match (args.witness_time, station.hierarchy.environment) {
        (None, Environment::Real) => Err(Failure::refused(
            "the witness's time is missing",
            "--witness-time 2026-11-22T00:00:00Z, read from another clock",
        )),
        (Some(time), _) if (time - station.now()).abs() > CLOCK_SLACK => Err(Failure::refused(
            format!(
                "the witness reads {}, the station's clock says {}",
                crate::text::utc(time),
                crate::text::utc(station.now())
            ),
            "find out which clock is wrong before anything is dated by it",
        )),
        _ => Ok(()),
    }
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
            "finish that one first: `coldroot sign` with it",
        ));
    }
    let head = plan.head();
    if state.end.is_none() && head.release_before != ledger.release {
        let what = format!(
            "the plan follows release {}, but release {} has been made since",
            head.release_before, ledger.release
        );
        return Err(Failure::refused(what, "plan again"));
    }
    let now = station.now();
    if state.end.is_none() && !(head.sign_from..=head.sign_until).contains(&now) {
        let (from, until) = (crate::text::utc(head.sign_from), crate::text::utc(head.sign_until));
        return Err(Failure::refused(
            format!("it is {}; the plan's window is from {from} until {until}", crate::text::utc(now)),
            match (now < head.sign_from, state.start.is_some()) {
                (true, _) => "compare the station's clock with another one, or wait for the window",
                (false, false) => "run `coldroot plan` again",
                // An act that ends a started plan by a quorum does not exist yet.
                (false, true) => {
                    "the plan was started and cannot go on: keep audit/ and its copies; this version has no act that voids it"
                }
            },
        ));
    }
    Ok(state.clone())
}

fn recorded_signatures(log: &Log, start: &Start) -> Result<Vec<String>, Failure> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    start.approvals.iter().map(|a| Ok(text(log.artefact(&a.signature)?))).collect()
}

/// The tokens whose keys the plan needs.
fn tokens_of(plan: &mut Plan) -> Result<Vec<String>, Failure> {
    let mut tokens = Vec::new();
    for n in 0..plan.head().items {
        let token = match plan.item(n)? {
            Item::GenerateKey(key) => key.token,
            Item::Certificate(c) => c.signer.token,
            Item::Crl(c) => c.signer.token,
        };
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

/// Reads the entry at `index` back, with the time it was written.
fn log_entry(log: &Log, index: u64, body: Body) -> Result<Entry, Failure> {
    match log.entries(index..index + 1).next() {
        Some(entry) => match entry? {
            (_, entry, _) if entry.body == body => Ok(entry),
            _ => Err(Failure::refused("the log changed under this run", "run it again")),
        },
        None => Err(Failure::refused("the log has no such entry", "run it again")),
    }
}

fn encode(entry: &Entry) -> Result<Vec<u8>, Failure> {
    entry.encode().map_err(|e| Failure { code: Code::Halted, what: e.to_string(), hint: None })
}

/// The gate as `issue` sees it.
struct GateSigner<'g>(&'g mut Gate);

impl Signer for GateSigner<'_> {
    type Error = gate::Error;

    fn carry_out(&mut self, items: Vec<u64>) -> Result<Vec<Outcome>, gate::Error> {
        let outcomes = self.0.carry_out(items)?;
        let convert = |outcome| match outcome {
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

fn summary(station: &Station, plan: &Plan, log: &Log, release: u64, target: &Path, started: Instant) -> Answer {
    let head = plan.head();
    let root = log.root().map_or(Digest::default(), |root| root);
    let what = if head.kind == Kind::Keys { "keys made" } else { "signed" };
    let speed = rate(head.items, started.elapsed());
    let text = format!(
        "Release {release} is written and read back.\n\n{}\n  next: coldroot check {} --verifier-key \"$(cat {}/verifier-key)\" --hierarchy {}/hierarchy.toml\n",
        pairs(&[
            (what, format!("{} ({speed})", human_count(head.items))),
            ("refused", human_count(head.refused)),
            ("release", target.display().to_string()),
            ("log", format!("{} entries, root {}", human_count(log.size()), crate::text::hex_groups(&root.0))),
        ]),
        target.display(),
        station.dir.display(),
        station.dir.display(),
    );
    let json = json!({
        "release": release, "done": head.items, "refused": head.refused,
        "directory": target, "log-size": log.size(), "log-root": root.hex(),
    });
    Answer::new(text, json)
}
