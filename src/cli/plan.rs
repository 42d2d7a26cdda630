//! `plan`: the exact outcome of a ceremony or a bundle, before any key is used.
//!
//! ```text
//! bundle → artefact, fsync          a cut leaves an artefact that no entry names
//! plan → artefact, fsync            the same
//! BundleReceived, Planned → fsync   the plan exists; unsealed until the next login
//! copies in out/ for the officers   made again by the same command: a plan not signed costs nothing
//! ```

use std::fs::{self, File};
use std::io::{BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::audit::entry::{Body, Entry};
use crate::audit::note::{self, VerifierKey};
use crate::audit::{self, Log};
use crate::bundle;
use crate::config::Ceremony;
use crate::ledger::Ledger;
use crate::plan::{self, BundleRef, Head, Plan};
use crate::prepare::{self, Context, Draw};
use crate::report::terminal::{human_count, progress};

use super::station::Station;
use super::{Answer, Failure, Globals, failure::Code};

/// Makes a plan.
#[derive(Args)]
#[command(
    after_help = "A ceremony that makes keys is planned twice: first its keys; once they are on record, run the same\n\
    command again for its certificates.\n\nExamples:\n  \
    coldroot plan --ceremony root-and-intermediate.toml\n  coldroot plan --bundle /media/stick/monday.bundle"
)]
#[group(required = true, multiple = false)]
pub struct PlanArgs {
    /// A ceremony file
    #[arg(long, value_name = "FILE")]
    pub ceremony: Option<PathBuf>,
    /// A bundle from a desk
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
}

/// The largest bundle that is copied in: a million requests of a few kilobytes.
const MAX_BUNDLE: u64 = 8 << 30;
/// Octets of the seed that come from the token.
const SEED: u32 = 32;

pub fn plan(globals: &Globals, args: PlanArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    let (mut log, ledger) = station.open_log()?;
    if let Some((open, _)) = ledger.open_plan() {
        return Err(Failure::refused(
            format!("plan {open} was started and its release is not written"),
            "finish it first: run `coldroot sign` with it again",
        ));
    }
    let draw = draw(&station)?;
    let mut file = tempfile::NamedTempFile::new_in(station.out_dir()?).map_err(|e| Failure::io(&station.dir, e))?;
    let (head, received) = match (&args.ceremony, &args.bundle) {
        (Some(path), _) => {
            let ceremony = Ceremony::load(path, &station.hierarchy)?;
            let mut silent = |_| {};
            let mut context = context(&station, &ledger, draw, &mut silent);
            (prepare::ceremony(&mut context, &ceremony, file.as_file_mut())?, None)
        }
        (None, Some(path)) => from_bundle(&station, &mut log, &ledger, draw, path, file.as_file_mut(), globals.plain)?,
        (None, None) => return Err(Failure::usage("name a ceremony or a bundle", "coldroot plan --help")),
    };
    let now = station.now();
    file.as_file_mut().seek(SeekFrom::Start(0)).map_err(|e| Failure::io(file.path(), e))?;
    let digest = log.put_artefact_from(file.as_file_mut())?;
    if let Some((bundle, count)) = received {
        log.append(&Entry::new(now, Body::BundleReceived { bundle, count }))?;
    }
    let planned = Body::Planned {
        plan: digest,
        kind: head.kind,
        items: head.items,
        refused: head.refused,
        bundle: head.bundle.clone(),
        counts: head.counts.clone(),
    };
    log.append(&Entry::new(now, planned))?;
    log.sync()?;
    drop(log);

    let path = station.out_dir()?.join(format!("plan-{}.plan", &digest.hex()[..8]));
    file.persist(&path).map_err(|e| Failure::io(&path, e.error))?;
    let statement = plan::statement(&head, &digest);
    let statement_path = path.with_extension("statement");
    fs::write(&statement_path, &statement).map_err(|e| Failure::io(&statement_path, e))?;
    // The file that officers get is read back whole: a plan that does not open is no plan.
    Plan::open(&path)?;
    Ok(answer(&station, &head, &statement, &path, digest))
}

fn context<'a>(station: &'a Station, ledger: &'a Ledger, draw: Draw, progress: &'a mut dyn FnMut(u64)) -> Context<'a> {
    Context { hierarchy: &station.hierarchy, ledger, now: station.now(), draw, scratch: &station.dir, progress }
}

/// The token's random numbers, from a public session, together with the operating system's.
fn draw(station: &Station) -> Result<Draw, Failure> {
    let mut gate = station.start_gate()?;
    let token = gate.random(SEED)?;
    gate.close()?;
    let mut system = [0; SEED as usize];
    getrandom::fill(&mut system)
        .map_err(|e| Failure::refused(format!("no random numbers: {e}"), "see to the operating system"))?;
    Ok(Draw::new(&token, &system))
}

type Planned = (Head, Option<(BundleRef, u64)>);

fn from_bundle(
    station: &Station,
    log: &mut Log,
    ledger: &Ledger,
    draw: Draw,
    path: &Path,
    out: &mut File,
    plain: bool,
) -> Result<Planned, Failure> {
    // One bounded copy, hashed as it is copied; the medium is not read again.
    let inbox = station.dir.join("in");
    let copy = Copy(copy_in(path, &inbox)?);
    let copy = &copy.0;
    let reader = BufReader::new(File::open(copy).map_err(|e| Failure::io(copy, e))?);
    let unverified = bundle::open(reader)?;
    let verify = |head: &bundle::Head, head_bytes: &[u8], signature: &str| {
        let desk = head.judge(&station.hierarchy, station.now())?;
        crate::approval::verify(bundle::NAMESPACE, head_bytes, signature, &desk.keys).map_err(|e| {
            let what = format!("the bundle is not signed by desk `{}`: {e}", desk.id);
            Failure::refused(what, "have the desk pack it again with its own key")
        })
    };
    let (mut bundle, _) = unverified.verify(verify)?;
    let head = bundle.head().clone();
    let reference = BundleRef { desk: head.desk.clone(), sequence: head.sequence, digest: bundle.digest() };
    judge_answer(log, ledger, &head)?;
    let new = judge_order(ledger, &reference)?;
    let bar = progress("judging", head.count, plain);
    let planned = {
        let mut report = |n| bar.set_position(n);
        let mut context = context(station, ledger, draw, &mut report);
        prepare::bundle(&mut context, reference.clone(), bundle.items()?, out)
    };
    bar.finish_and_clear();
    let planned = planned?;
    let mut whole = File::open(copy).map_err(|e| Failure::io(copy, e))?;
    log.put_artefact_from(&mut whole)?;
    Ok((planned, new.then_some((reference, head.count))))
}

/// The release that the bundle answers, and its checkpoint, must be this log's: a directory that was put back to an earlier
/// state has not got what the desk has seen.
fn judge_answer(log: &Log, ledger: &Ledger, head: &bundle::Head) -> Result<(), Failure> {
    let Some(answered) = &head.answers.checkpoint else { return Ok(()) };
    let key = VerifierKey::parse(&log.genesis()?.verifier_key).map_err(audit::Error::from)?;
    let seen = note::open(answered, &key).map_err(|e| {
        let what = format!("the checkpoint that the bundle answers is not of this log: {e}");
        Failure::refused(what, "the desk must answer the last release of this station")
    })?;
    let held = log.sealed_size();
    let halt = |what: String| Failure {
        code: Code::Halted,
        what,
        hint: Some("restore the newest copy of the audit directory, then run this again".into()),
    };
    if seen.size > held || head.answers.release > ledger.release {
        let (number, last) = (head.answers.release, ledger.release);
        return Err(halt(format!(
            "the desk has release {number}, with {} log entries; this directory knows release {last}, with {held}",
            seen.size
        )));
    }
    match log.root_at(seen.size)? == seen.root {
        true => Ok(()),
        false => Err(halt(format!("the desk has seen another log: another root at {} entries", seen.size))),
    }
}

/// True for a bundle that is new here; false for the last one, planned again because its plan was not carried out.
fn judge_order(ledger: &Ledger, bundle: &BundleRef) -> Result<bool, Failure> {
    let answered = ledger.plans.values().any(|state| state.end.is_some() && state.bundle.as_ref() == Some(bundle));
    let last = ledger.bundles.get(&bundle.desk);
    if answered {
        return Err(Failure::refused(
            format!("bundle {} of desk `{}` was answered already", bundle.sequence, bundle.desk),
            "its release lies in out/; the desk's next bundle has the next number",
        ));
    }
    match last {
        Some(last) if last == bundle => Ok(false),
        Some(last) if last.sequence == bundle.sequence => Err(Failure::refused(
            format!("another bundle of desk `{}` has the number {}", bundle.desk, bundle.sequence),
            "two bundles under one number: ask the desk which one is true; the other must get a new number",
        )),
        _ => {
            let expected = last.map_or(1, |l| l.sequence + 1);
            match bundle.sequence == expected {
                true => Ok(true),
                false => Err(Failure::refused(
                    format!(
                        "bundle {} of desk `{}` is out of order: number {expected} is expected",
                        bundle.sequence, bundle.desk
                    ),
                    format!("bring bundle {expected} first, or have the desk pack this one with that number"),
                )),
            }
        }
    }
}

/// The copy in `in/`: gone when the bundle is refused, and when it lies among the artefacts.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        // What stays behind is named by its digest, so the next try replaces it.
        let _ = fs::remove_file(&self.0);
    }
}

fn copy_in(path: &Path, inbox: &Path) -> Result<PathBuf, Failure> {
    fs::create_dir_all(inbox).map_err(|e| Failure::io(inbox, e))?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let no_name = || Failure::usage(format!("{} names no file", path.display()), "give the bundle's file");
    let name = path.file_name().and_then(|n| n.to_str()).ok_or_else(no_name)?;
    let name = crate::media::Name::parse(name)?;
    let dir = cap_std::fs::Dir::open_ambient_dir(directory, cap_std::ambient_authority())
        .map_err(|e| Failure::io(directory, e))?;
    let (_, copy) = crate::media::copy_in(&dir, &name, MAX_BUNDLE, inbox)?;
    Ok(copy)
}

fn answer(station: &Station, head: &Head, statement: &str, path: &Path, digest: crate::digest::Digest) -> Answer {
    let officer = station.hierarchy.persons.iter().find(|p| !p.keys.is_empty()).map_or("ID", |p| p.id.as_str());
    let text = format!(
        "{} to do, {} refused. Officers read and sign this statement:\n\n{statement}\n  \
        read it:  coldroot show {path}\n  next:     coldroot approve {path} --person {officer} --key SSHKEY   (each person of the quorum)\n",
        human_count(head.items),
        human_count(head.refused),
        path = path.display()
    );
    let json = json!({
        "plan": path, "digest": digest.hex(), "kind": head.kind, "items": head.items, "refused": head.refused,
        "sign-from": crate::text::utc(head.sign_from), "sign-until": crate::text::utc(head.sign_until), "statement": statement,
    });
    Answer::new(text, json)
}
