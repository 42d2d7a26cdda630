//! `release`: writes a release again, byte for byte, from the audit directory; and what `sign` does to write it at first.
//!
//! ```text
//! make      all four files in out/release-N.part, fsynced     a cut leaves a directory that is called unfinished
//! note      the release's checkpoint → artefact, fsync        an artefact that no entry names
//! write     to out/, another directory or a medium, fsync, read back
//! receipt   → fsync                                           without it the same command compares what lies there, or writes again
//! ```

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::audit::entry::{Body, End, Entry, Start};
use crate::audit::note::{self, MAX_NOTE};
use crate::audit::{self, Log, View, artefact};
use crate::digest::Digest;
use crate::ledger::{Ledger, PlanState};
use crate::media::{self, Name};
use crate::plan::Plan;
use crate::release::{self, Basis, directory_name};
use crate::text::escape;

use super::recognise::read_text;
use super::run::begun;
use super::station::{Station, copy_over};
use super::{Answer, Failure, Globals, failure::Code, flushed};

/// Writes a release again.
#[derive(Args)]
#[command(after_help = "Needs the audit directory alone: no token, no plan file, nothing in out/.\n\nExamples:\n  \
    coldroot release 3\n  coldroot release 3 --media /media/stick")]
pub struct ReleaseArgs {
    /// Its number
    #[arg(value_name = "N")]
    pub number: u64,
    /// Another directory than out/, made when it is missing
    #[arg(long, value_name = "DIR", conflicts_with = "media")]
    pub to: Option<PathBuf>,
    /// The directory of a mounted medium
    #[arg(long, value_name = "DIR")]
    pub media: Option<PathBuf>,
}

pub fn release(globals: &Globals, args: ReleaseArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    let (mut log, ledger) = station.open_log()?;
    let n = args.number;
    let record = on_record(&log, &ledger, n)?;
    let note = String::from_utf8_lossy(&log.artefact(&record.checkpoint)?).into_owned();
    let size = note::parse(&note).map_err(audit::Error::from)?.size;
    let ledger = fold_to(&log, size)?;
    let out = station.out_dir()?;
    let basis = Basis {
        log: &log,
        size,
        ledger: &ledger,
        plan: &plan_on_record(&log, &record.plan)?,
        start: (record.start.0, &record.start.1),
        release: n,
    };
    let base = args.to.as_ref().or(args.media.as_ref()).unwrap_or(&out);
    let target = base.join(directory_name(n));
    let made = release::make(&out, &basis, &record.end.manifest, &note)?;
    if target.symlink_metadata().is_ok() {
        made.compare(&target).map_err(|e| {
            let hint = "nothing was touched: name another directory with --to, or move this one away";
            Failure::refused(format!("{} is not release {n} as it was: {e}", crate::text::path(&target)), hint)
        })?;
        let text = format!("Release {n} lies in {} already, whole and the same.\n", crate::text::path(&target));
        return Ok(Answer::new(text, json!({ "release": n, "directory": target.to_string_lossy(), "written": false })));
    }
    match (&args.to, &args.media) {
        (None, None) => drop(made.settle()?),
        (to, _) => {
            if let Some(to) = to {
                flushed::directory(to)?;
            }
            release::copy_out(made.directory(), &media::open(base)?, n)?;
        }
    }
    let manifest = record.end.manifest;
    receipt(&station, &mut log, n, manifest, record.checkpoint, &shown(args.to.or(args.media).as_deref(), n))?;
    let text = format!("Release {n} is written again and read back: {}\n", crate::text::path(&target));
    Ok(Answer::new(text, json!({ "release": n, "directory": target.to_string_lossy(), "written": true })))
}

/// Writes the release of a plan that has ended, unless it lies in `out/`, and records that it was read back.
pub fn write(station: &Station, log: &mut Log, ledger: &Ledger, plan: &Plan, number: u64) -> Result<PathBuf, Failure> {
    let state = ledger.plans.get(&plan.digest());
    let Some((state, (_, end))) = state.and_then(|state| Some((state, state.end.clone()?))) else {
        return Err(Failure::refused("the plan has not ended", "run `coldroot sign` again"));
    };
    let (at, start) = begun(state)?;
    let out = station.out_dir()?;
    let target = out.join(directory_name(number));
    let halt = |why: String| Failure {
        code: Code::Halted,
        what: format!("{} is not the release on record: {why}", crate::text::path(&target)),
        hint: Some(format!("move {} away and run the same command again", crate::text::path(&target))),
    };
    // Stopped between the name and the receipt: nothing says that it was read back, so it is made again, under the
    // checkpoint that it carries, and compared.
    let lies = target.symlink_metadata().is_ok();
    let note = match lies {
        true => read_text(&target.join("checkpoint"), MAX_NOTE as u64).map_err(|f| halt(f.what))?,
        false => log.checkpoint_text().unwrap_or_default().to_string(),
    };
    let size = match note::parse(&note) {
        Ok(checkpoint) => checkpoint.size,
        Err(e) if lies => return Err(halt(e.to_string())),
        Err(e) => return Err(audit::Error::from(e).into()),
    };
    let basis = Basis { log, size, ledger, plan, start: (at, &start), release: number };
    let made = release::make(&out, &basis, &end.manifest, &note);
    let made = made.map_err(|e| if lies { halt(e.to_string()) } else { e.into() })?;
    if lies {
        made.compare(&target).map_err(|e| halt(e.to_string()))?;
    }
    let checkpoint = log.put_artefact(note.as_bytes())?;
    if !lies {
        made.settle()?;
    }
    receipt(station, log, number, end.manifest, checkpoint, &shown(None, number))?;
    Ok(target)
}

/// Refuses, before anything begins, a medium onto which the release could not go.
pub fn judge_medium(medium: &Path, number: u64) -> Result<(), Failure> {
    let dir = media::open(medium)?;
    media::room_for(&dir, &[])?;
    Ok(media::must_be_free(&dir, &Name::parse(&directory_name(number))?)?)
}

/// Writes a release that lies in `out/`, with its receipt, onto a medium as well. The plan is carried out whatever happens
/// here.
pub fn to_medium(
    station: &Station,
    log: &mut Log,
    ledger: &Ledger,
    number: u64,
    medium: &Path,
) -> Result<PathBuf, Failure> {
    let write = |log: &mut Log| {
        let record = on_record(log, ledger, number)?;
        release::copy_out(&station.out_dir()?.join(directory_name(number)), &media::open(medium)?, number)?;
        receipt(station, log, number, record.end.manifest, record.checkpoint, &shown(Some(medium), number))
    };
    write(log).map_err(|f: Failure| Failure {
        code: Code::Halted,
        what: format!("release {number} lies in out/, but not on the medium: {}", f.what),
        hint: Some(format!(
            "{}; then coldroot --station {} release {number} --media {}",
            f.hint.unwrap_or_default(),
            crate::text::shell(&station.dir),
            crate::text::shell(medium)
        )),
    })?;
    Ok(medium.join(directory_name(number)))
}

/// What the log says of a release.
struct Record {
    plan: Digest,
    start: (u64, Start),
    end: End,
    checkpoint: Digest,
}

fn on_record(log: &View, ledger: &Ledger, n: u64) -> Result<Record, Failure> {
    let of_release = ledger.plans.iter().find_map(|(plan, state)| match &state.end {
        Some((at, end)) if end.release == n => Some((*plan, state, *at, end.clone())),
        _ => None,
    });
    let resume = |plan: &Digest, state: &PlanState| {
        let verb = if state.void.is_some() { "void" } else { "sign" };
        format!("coldroot {verb} --plan out/plan-{}.plan, which writes it", &plan.hex()[..8])
    };
    let Some((plan, state, at, end)) = of_release else {
        return Err(match ledger.open_plan() {
            Some((plan, state)) if state.end.is_none() && n == ledger.release + 1 => Failure::refused(
                format!("release {n} is not made yet: its plan {plan} was started and has not ended"),
                resume(plan, state),
            ),
            _ => Failure::refused(
                format!("there is no release {n}"),
                match ledger.release {
                    0 => "this station has made none yet: coldroot plan".to_string(),
                    last => format!("this station has made releases 1 to {last}"),
                },
            ),
        });
    };
    for entry in log.entries(at..log.size()) {
        if let (_, Entry { body: Body::ReleaseWritten { release, checkpoint, .. }, .. }, _) = entry?
            && release == n
        {
            return Ok(Record { plan, start: begun(state)?, end, checkpoint });
        }
    }
    Err(Failure::refused(
        format!("release {n} was not written yet: the log has no receipt of it"),
        resume(&plan, state),
    ))
}

/// The plan as it lies among the artefacts.
fn plan_on_record(log: &View, digest: &Digest) -> Result<Plan, Failure> {
    log.verify_artefact(digest)?;
    let plan = Plan::open(&log.dir().join(artefact::path(digest)))?;
    match plan.digest() == *digest {
        true => Ok(plan),
        false => Err(audit::Error::ArtefactDiffers { digest: digest.hex() }.into()),
    }
}

/// The ledger as it was under a checkpoint: what came later is no part of the release.
fn fold_to(log: &View, size: u64) -> Result<Ledger, Failure> {
    Ok(Ledger::open_at(log, size)?)
}

fn receipt(
    station: &Station,
    log: &mut Log,
    release: u64,
    manifest: Digest,
    checkpoint: Digest,
    target: &str,
) -> Result<(), Failure> {
    log.note_copy()?;
    let target = target.into();
    log.append(&Entry::new(station.now(), Body::ReleaseWritten { release, manifest, checkpoint, target }))?;
    log.sync()?;
    copy_over(log);
    Ok(())
}

/// Where a release went, as its receipt says it: the bare name in `out/`, the path as it was typed elsewhere.
fn shown(base: Option<&Path>, n: u64) -> String {
    match base {
        None => directory_name(n),
        Some(base) => escape(&base.join(directory_name(n)).display().to_string()),
    }
}
