//! `record`: what people did, and what they hand over as evidence, goes on record. Nobody is logged in for it: the entry is
//! durable at once, and under a signature with the next checkpoint.
//!
//! ```text
//! copy in in/, flushed      a cut leaves a copy that the next run removes
//! artefact, fsync           an artefact that no entry names
//! entry → fsync             on record
//! copy removed              a copy more in in/, for the next run to remove
//! ```

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::audit::Log;
use crate::audit::entry::{Body, Entry, Evidence, EvidenceKind, Sampled};
use crate::audit::withheld;
use crate::config::{self, Act, Ceremony};
use crate::report::terminal::{human_count, pairs};
use crate::text::{escape, shell};

use super::inbox::{Incoming, MAX_EVIDENCE};
use super::recognise::{MAX_WHOLE, must_be_regular, read_text};
use super::sample::{Dice, Drawn};
use super::station::Station;
use super::{Answer, Failure, Globals};

/// Characters of a text on record.
const MAX_WHAT: usize = 500;
/// Persons of one entry.
const MAX_PERSONS: usize = 32;

#[derive(Subcommand)]
pub enum RecordVerb {
    /// A file: an HSM's own log, minutes, a photograph
    Evidence(EvidenceArgs),
    /// Something that was done otherwise than script or rules say
    Deviation(DeviationArgs),
    /// A step of a ceremony file that people have done
    Step(StepArgs),
    /// Items of a plan that dice drew, compared by two persons
    Sample(SampleArgs),
}

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    coldroot record evidence /media/stick/audit-2026-11.log --kind hsm-log --what \"audit log of HSM 4711, November\" --person carol\n  \
    coldroot record evidence minutes.pdf --kind minutes --what \"signed minutes\" --person carol --withhold")]
pub struct EvidenceArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it is
    #[arg(long, value_enum)]
    kind: KindArg,
    /// One line about it, without names of persons: every copy of the log has it
    #[arg(long, value_name = "TEXT")]
    what: String,
    /// Who puts it on record (roster id)
    #[arg(long, value_name = "ID")]
    person: String,
    /// It holds personal or secret matter: public copies leave it out, and its digest tells nothing of it
    #[arg(long)]
    withhold: bool,
}

#[derive(Args)]
#[command(after_help = "Example:\n  \
    coldroot record deviation --what \"step 4: the safe's lock failed, opened with the second key\" --person carol --person dave")]
pub struct DeviationArgs {
    /// One line: what, why, and what was done about it. Without names of persons: every copy of the log has it
    #[arg(long, value_name = "TEXT")]
    what: String,
    /// Who says so (roster id); give several
    #[arg(long, value_name = "ID", required = true)]
    person: Vec<String>,
}

#[derive(Args)]
#[command(after_help = "Example:\n  coldroot record step --script root.toml --number 2 --person carol --person dave")]
pub struct StepArgs {
    /// The ceremony file
    #[arg(long, value_name = "FILE")]
    script: PathBuf,
    /// Which of its acts, from 1
    #[arg(long, value_name = "N")]
    number: u64,
    /// Who did it (roster id); give several
    #[arg(long, value_name = "ID", required = true)]
    person: Vec<String>,
}

#[derive(Args)]
#[command(after_help = "A plan of which an item differs is not signed any more: it is voided.\n\nExamples:\n  \
    coldroot record sample out/plan-3f2a9c01.plan --dice 3526146152116342551163342 --person carol --person dave --agreed\n  \
    coldroot record sample out/plan-3f2a9c01.plan --dice 3526146152116342551163342 --person carol --person dave --differs 17")]
pub struct SampleArgs {
    #[command(flatten)]
    dice: Dice,
    /// Who compared (roster id): two persons at least
    #[arg(long, value_name = "ID", required = true)]
    person: Vec<String>,
    /// Every item agrees with its evidence
    #[arg(long, required_unless_present = "differs", conflicts_with = "differs")]
    agreed: bool,
    /// This item does not; give several
    #[arg(long, value_name = "ITEM")]
    differs: Vec<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindArg {
    HsmLog,
    Minutes,
    Photo,
    Other,
}

impl From<KindArg> for EvidenceKind {
    fn from(kind: KindArg) -> EvidenceKind {
        match kind {
            KindArg::HsmLog => EvidenceKind::HsmLog,
            KindArg::Minutes => EvidenceKind::Minutes,
            KindArg::Photo => EvidenceKind::Photo,
            KindArg::Other => EvidenceKind::Other,
        }
    }
}

pub fn record(globals: &Globals, verb: RecordVerb) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    match verb {
        RecordVerb::Evidence(args) => evidence(&station, &args),
        RecordVerb::Deviation(args) => {
            judge_text(&args.what)?;
            judge_persons(&station, &args.person)?;
            let (mut log, _) = station.open_log()?;
            station.enter_sandbox(&[], None)?;
            let said = vec![("deviation", escape(&args.what)), ("by", listed(&args.person))];
            put(&station, &mut log, Body::Deviation { what: args.what, persons: args.person }, said)
        }
        RecordVerb::Step(args) => step(&station, args),
        RecordVerb::Sample(args) => sample(&station, args),
    }
}

fn evidence(station: &Station, args: &EvidenceArgs) -> Result<Answer, Failure> {
    judge_text(&args.what)?;
    judge_persons(station, std::slice::from_ref(&args.person))?;
    must_be_regular(&args.file)?;
    let (mut log, _) = station.open_log()?;
    station.enter_sandbox(&[&args.file], None)?;
    let incoming = Incoming::take(&args.file, MAX_EVIDENCE, &station.dir.join("in"))?;
    let octets = fs::metadata(incoming.path()).map_err(|e| Failure::io(incoming.path(), e))?.len();
    if octets == 0 {
        return Err(Failure::refused("the file is empty", "give the right file"));
    }
    let mut entry = Evidence {
        kind: args.kind.into(),
        what: args.what.clone(),
        artefact: Default::default(),
        withheld: args.withhold,
        octets,
        person: args.person.clone(),
    };
    // A withheld file has another digest each time.
    let same = |e: &Evidence| Evidence { artefact: entry.artefact, ..e.clone() } == entry;
    if args.withhold {
        refuse_second(&log, |body| matches!(body, Body::Evidence(e) if same(e)))?;
    }
    entry.artefact = put_file(&mut log, incoming.path(), args.withhold)?;
    let said = vec![
        ("evidence", format!("{}, {}", entry.kind.name(), escape(&entry.what))),
        ("octets", human_count(octets)),
        ("artefact", entry.artefact.hex()),
        ("withheld", if args.withhold { "yes: no public copy has it".into() } else { "no".into() }),
        ("by", escape(&entry.person)),
    ];
    put(station, &mut log, Body::Evidence(entry), said)
}

/// The copy as an artefact, behind a salt where it is withheld.
fn put_file(log: &mut Log, copy: &Path, withhold: bool) -> Result<crate::digest::Digest, Failure> {
    let mut file = File::open(copy).map_err(|e| Failure::io(copy, e))?;
    if !withhold {
        return Ok(log.put_artefact_from(&mut file)?);
    }
    let mut salt = [0; withheld::SALT];
    getrandom::fill(&mut salt)
        .map_err(|e| Failure::refused(format!("no random numbers: {e}"), "see to the operating system"))?;
    let head = withheld::head(&salt);
    Ok(log.put_artefact_from(&mut head.as_slice().chain(file))?)
}

fn step(station: &Station, args: StepArgs) -> Result<Answer, Failure> {
    judge_persons(station, &args.person)?;
    let script = read_text(&args.script, MAX_WHOLE)?;
    let ceremony = Ceremony::parse(&script, &station.hierarchy)?;
    let acts = ceremony.acts.len();
    let act = args.number.checked_sub(1).and_then(|n| ceremony.acts.get(usize::try_from(n).ok()?));
    let Some(act) = act else {
        let what = format!("the script has no step {}: its steps are 1 to {acts}", args.number);
        return Err(Failure::usage(what, format!("coldroot show {}", shell(&args.script))));
    };
    let words = match act {
        Act::Step { text } => text.clone(),
        _ => "an act of the machine, whose own entries say what came of it".into(),
    };
    let (mut log, _) = station.open_log()?;
    station.enter_sandbox(&[], None)?;
    let said = vec![
        ("script", escape(&ceremony.title)),
        ("step", format!("{} of {acts}: {}", args.number, crate::text::line(&words))),
        ("by", listed(&args.person)),
    ];
    let body = |script| Body::Step { script, number: args.number, persons: args.person.clone() };
    refuse_second(&log, |there| *there == body(crate::digest::Digest::of(script.as_bytes())))?;
    let script = log.put_artefact(script.as_bytes())?;
    put(station, &mut log, body(script), said)
}

fn sample(station: &Station, args: SampleArgs) -> Result<Answer, Failure> {
    judge_persons(station, &args.person)?;
    if args.person.len() < 2 {
        let what = "two persons compare a sample";
        return Err(Failure::usage(what, "name both: --person ID --person ID"));
    }
    let Drawn { plan, dice, items } = args.dice.draw()?;
    let (digest, total) = (plan.digest(), plan.head().items);
    let mut differs = args.differs;
    differs.sort_unstable();
    differs.dedup();
    if let Some(other) = differs.iter().find(|item| items.binary_search(item).is_err()) {
        let what = format!("the dice have not drawn item {other}");
        return Err(Failure::refused(what, format!("coldroot sample {} --dice {dice}", shell(&args.dice.plan))));
    }
    let (mut log, ledger) = station.open_log()?;
    let Some(state) = ledger.plans.get(&digest) else {
        let what = format!("this station has not made the plan with SHA-256 {digest}");
        return Err(Failure::refused(what, "take it from out/ again"));
    };
    if state.end.is_some() || state.void.is_some() {
        let what = "this plan has ended: a sample is compared before anything is signed";
        return Err(Failure::refused(what, "put on record what was found later: coldroot record deviation"));
    }
    station.enter_sandbox(&[], None)?;
    let told: Vec<String> = differs.iter().map(u64::to_string).collect();
    let said = vec![
        ("plan", digest.hex()),
        ("dice", dice.clone()),
        ("compared", format!("{} of {} items", human_count(items.len() as u64), human_count(total))),
        ("differs", if told.is_empty() { "nothing".into() } else { format!("item {}", told.join(", ")) }),
        ("by", listed(&args.person)),
    ];
    let count = items.len() as u64;
    let sampled = Sampled { plan: digest, items: total, count, dice, differs, persons: args.person };
    put(station, &mut log, Body::Sampled(sampled), said)
}

/// Appends one entry, durably, and says what stands there now.
fn put(station: &Station, log: &mut Log, body: Body, said: Vec<(&'static str, String)>) -> Result<Answer, Failure> {
    refuse_second(log, |there| *there == body)?;
    let json: serde_json::Map<String, serde_json::Value> =
        said.iter().map(|(name, value)| ((*name).to_string(), value.clone().into())).collect();
    let index = log.append(&Entry::new(station.now(), body))?;
    log.sync()?;
    let text = format!(
        "On record as entry {index}.\n\n{}\n  Unsealed: the next login (`coldroot sign`, say) puts it under a checkpoint.\n",
        pairs(&said)
    );
    let mut json = serde_json::Value::Object(json);
    json["entry"] = index.into();
    json["sealed"] = json!(false);
    Ok(Answer::new(text, json))
}

/// The same command twice, by mistake or after a cut: one entry is enough. What is under a checkpoint may happen again.
fn refuse_second(log: &Log, same: impl Fn(&Body) -> bool) -> Result<(), Failure> {
    for entry in log.entries(log.sealed_size()..log.size()) {
        let (index, entry, _) = entry?;
        if same(&entry.body) {
            let what = format!("the same is on record already: entry {index}");
            return Err(Failure::refused(
                what,
                "it stands once; if it happened again, record it after the next login; coldroot show audit",
            ));
        }
    }
    Ok(())
}

/// One line that people can read, and that is what they read.
fn judge_text(text: &str) -> Result<(), Failure> {
    config::plain_line("--what", text, MAX_WHAT)
        .map_err(|e| Failure::usage(e.to_string(), "write one line: --what \"what happened\""))
}

/// Persons of the roster, each once.
fn judge_persons(station: &Station, ids: &[String]) -> Result<(), Failure> {
    let (now, persons) = (station.now(), &station.hierarchy.persons);
    let known = || persons.iter().filter(|p| p.expired(now).is_none()).map(|p| p.id.as_str()).collect::<Vec<_>>();
    for (n, id) in ids.iter().enumerate() {
        let shown = escape(id);
        let wrong = match station.hierarchy.person(id).map(|person| person.expired(now)) {
            None => format!("`{shown}` is no person of the roster"),
            Some(Some(since)) => format!("the roster's person `{shown}` expired at {}", crate::text::utc(since)),
            Some(None) if ids.iter().take(n).any(|other| other == id) => format!("`{shown}` is named twice"),
            Some(None) => continue,
        };
        return Err(Failure::refused(wrong, format!("name persons of: {}", known().join(", "))));
    }
    match ids.len() > MAX_PERSONS {
        true => Err(Failure::usage(format!("an entry names at most {MAX_PERSONS} persons"), "name those who did it")),
        false => Ok(()),
    }
}

fn listed(ids: &[String]) -> String {
    ids.iter().map(|id| escape(id)).collect::<Vec<_>>().join(", ")
}
