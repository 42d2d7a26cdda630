//! `adopt-log`: every newer copy is lost, and the log that is left goes on in the place of the one that the token's mark knows.
//!
//! ```text
//! login      PIN try → fsync → login; the mark is read and compared    the log has another try on record
//! statement  (no approvals) out/adopt-log-….statement                  the same
//! artefacts  hierarchy, approvals → fsync                              artefacts that no entry names
//! entry      login, log-adopted → fsync                                on record, not sealed; the mark is the old one. The same command goes on
//! MARK       in one write, the tree that holds the entry               the mark knows the entry: there is no moment at which it is another's and
//!                                                                      the entry is not there. Any login goes on
//! checkpoint                                                           done
//! ```

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::audit::entry::{Body, Entry, LogAdopted};
use crate::audit::mark::{Mark, Standing};
use crate::audit::note::MAX_NOTE;
use crate::audit::{Log, artefact, paper};
use crate::change;
use crate::gate::Gate;
use crate::ledger::Ledger;
use crate::pin::Newest;
use crate::report::terminal::{human_count, pairs};
use crate::text::shell;

use super::approvals::read_signatures;
use super::change::{Decided, judge_reason, statement};
use super::people;
use super::recognise::read_text;
use super::run::{proven, recorded_signatures};
use super::station::{Station, seal};
use super::{Answer, Failure, Globals};

/// Goes on with the log that is left.
#[derive(Args)]
#[command(
    after_help = "Only when no newer copy is left: `coldroot restore COPY` comes first. Without approvals it logs in, compares the log with \
    the token's mark, and writes the statement that the quorum signs. hierarchy.toml must be the file whose SHA-256 stands in the mark: the one \
    adopted last, though the log that is left may know another. Its quorum decides.\n\nExample:\n  \
    coldroot adopt-log --reason \"disk and copy burnt\" --operator carol --witness dave\n  \
    coldroot approve out/adopt-log-3f2a9c01.statement --person alice --key SSHKEY\n  \
    coldroot adopt-log --reason \"disk and copy burnt\" --operator carol --witness dave \\\n    \
    --approval out/adopt-log-3f2a9c01.statement.alice.sig --approval out/adopt-log-3f2a9c01.statement.bob.sig"
)]
pub struct AdoptLogArgs {
    /// The serial number of the token that has the mark, where the log that is left knows nothing of its hand-over
    #[arg(long, value_name = "SERIAL")]
    pub token: Option<String>,
    #[command(flatten)]
    pub decided: Decided,
    /// Where the mark is on paper: the newest page, as its file, as 'SIZE RELEASE WORDS', or `lost` if there is none any more
    #[arg(long, value_name = "PAGE")]
    pub minutes: Option<String>,
}

/// The page that is given.
fn newest_page(given: &str) -> Result<Option<Newest>, Failure> {
    if given == "lost" {
        return Ok(None);
    }
    let page = match Path::new(given).exists() {
        true => paper::read_page(&read_text(Path::new(given), MAX_NOTE as u64)?),
        false => paper::read_line(given),
    };
    page.map(Some).ok_or_else(|| {
        let what = format!("`{}` is no page of minutes", crate::text::escape(given));
        Failure::usage(what, "give its file, or log size, release and 32 words: --minutes '59 4 topmost Istanbul ...'; or: --minutes lost")
    })
}

pub fn adopt_log(globals: &Globals, args: AdoptLogArgs) -> Result<Answer, Failure> {
    let AdoptLogArgs { token, decided: args, minutes } = args;
    let newest_page = minutes.as_deref().map(newest_page).transpose()?;
    // What the next run needs as well.
    let again = [("token", &token), ("minutes", &minutes)]
        .map(|(name, given)| given.as_ref().map_or(String::new(), |given| format!(" --{name} {}", shell(given))))
        .concat();
    let station = Station::load(globals)?;
    judge_reason(&args.reason, "why no newer copy is left")?;
    people::judge(&station, &args.people)?;
    // Its last entry may be of a clock that had run ahead: that can be corrected only behind this. And the adoption of the hierarchy
    // in force may be among what is lost.
    let (mut log, ledger) = station.open_log_whatever_is_in_force()?;
    station.judge_floor(&ledger)?;
    if log.sealed_size() == 0 {
        return Err(Failure::refused("the log that is left has no checkpoint", "find a copy that has one"));
    }
    let mut gate = match &token {
        Some(serial) => station.start_gate_for(Some(serial), false)?,
        None => station.start_gate_for(station.token_in_force().as_deref(), false)?,
    };
    if let Some(newest) = newest_page {
        gate.minutes(newest)?;
    }
    station.enter_sandbox(&args.approval.iter().map(PathBuf::as_path).collect::<Vec<&Path>>(), None)?;
    let signatures = read_signatures(&args.approval, &station.dir.join("in"))?;
    station.keep_copy(&mut log)?;
    let login = station.try_login(&mut log, &mut gate, &station.hierarchy.audit_token)?;
    let mark = station.read_mark(&mut gate)?;
    let newest = newest(&log, &ledger)?;
    let known = matches!(mark.compare(&log)?, Standing::Equal | Standing::Ahead { .. });
    let index = match newest {
        Some((_, made)) if known && made.decision.change == mark.changes && made.decision.reason == args.reason => {
            return sealed(&station, log, gate, &mark, &made, &ledger);
        }
        _ if known => {
            let what = format!("nothing is lost: the log holds the {} entries that the token's mark knows", mark.size);
            return Err(Failure::refused(what, "go on with `coldroot plan` or `coldroot sign`"));
        }
        _ if mark.hierarchy != station.hierarchy.digest => return Err(not_the_marks(&station, &mark)),
        // Stopped behind its entry.
        Some((index, made)) if follows(&made, &mark) => index,
        _ => {
            let body = Body::LogAdopted(LogAdopted {
                mark_size: mark.size,
                mark_root: mark.root,
                mark_release: mark.release,
                mark_plan: mark.open_plan,
                mark_hierarchy: mark.hierarchy,
                token: mark.token.clone(),
                size: log.sealed_size(),
                root: log.root_at(log.sealed_size())?,
                release: ledger.release,
                hierarchy: ledger.changed.hierarchy,
                decision: crate::audit::entry::Decision {
                    release: mark.release,
                    change: mark.changes + 1,
                    ..args.decision(&ledger)
                },
            });
            if args.approval.is_empty() {
                station.close(&mut log, gate)?;
                let command = format!("coldroot --station {} adopt-log{again}", shell(&station.dir));
                return statement(&station, &body, None, &command);
            }
            // By the clock itself, since the gate judges it by that. It corrects no clock: see `Station::now`.
            let mut entry = Entry::new(station.clock(), body);
            let approvals = change::approved(&station.hierarchy, None, &entry, &signatures)?;
            if let Some(decision) = entry.body.decision_mut() {
                decision.approvals = approvals;
            }
            change::judge_adoption(&mark, &station.hierarchy, &entry, &signatures, station.clock())?;
            ledger.changed.clone().take(log.size(), &entry).map_err(|e| {
                Failure::refused(e.to_string(), "the log that is left cannot go on from what the mark knows")
            })?;
            for artefact in signatures.iter().chain([&station.hierarchy_text]) {
                log.put_artefact(artefact.as_bytes())?;
            }
            log.append(&Entry::new(station.now(), login))?;
            let index = log.append(&entry)?;
            log.sync()?;
            index
        }
    };
    let Body::LogAdopted(made) = log.entry(index)?.body else {
        return Err(Failure::refused("the log changed under this run", "run it again"));
    };
    let (size, root) = (log.size(), log.root()?);
    let entry = proven(&log, index, &log.entry(index)?)?;
    let consistency = log.consistency_proof(made.size, size)?;
    let approvals = recorded_signatures(&log, &made.decision.approvals)?;
    gate.adopt_log(entry, (size, root, consistency), approvals)?;
    sealed(&station, log, gate, &Mark { size, root, ..mark }, &made, &ledger)
}

/// The entry is under the mark; now its checkpoint.
fn sealed(
    station: &Station,
    mut log: Log,
    mut gate: Gate,
    mark: &Mark,
    made: &LogAdopted,
    ledger: &Ledger,
) -> Result<Answer, Failure> {
    gate.grow_from(mark.size, mark.root);
    seal(&mut log, &mut gate)?;
    station.close(&mut log, gate)?;
    let LogAdopted { mark_size, mark_release, mark_plan, size, release, .. } = made;
    let lost = match *mark_release > *release {
        true => format!("{} to {mark_release}", release + 1),
        false => "none".into(),
    };
    let open = mark_plan.map_or("none".to_string(), |plan| plan.hex());
    // A plan that had not ended in the gap goes on: nothing of it has left.
    let begun = ledger.open_plan().map(|(plan, _)| *plan);
    let goes_on = begun.is_some() && begun == *mark_plan;
    let first = begun.map_or(String::new(), |plan| {
        let verbs = if goes_on { "coldroot sign or void" } else { "coldroot void" };
        format!("{verbs}, for plan {}, which this log has as started; ", &plan.hex()[..8])
    });
    let text = format!(
        "The log that was left goes on. What the token knew beyond it is lost, and stands in the log as a gap.\n\n{}\n  \
         In the gap may be certificates that were issued, revocations, and keys: ask the desks for the releases that they have.\n  \
         The next CRL of each CA has a number that is higher by 4,294,967,296. Publish this log anew: whoever has seen the lost one \
         will say that it was forked, and entry log-adopted says why.\n  \
         next: {first}coldroot token inventory, for keys that the log does not know; coldroot adopt-crl, for the newest CRL of each CA \
         that the desks have; then coldroot plan --crl CA, for each CA\n",
        pairs(&[
            ("the mark knew", format!("{} entries", human_count(*mark_size))),
            ("the log had", format!("{} sealed entries", human_count(*size))),
            ("releases lost", lost.clone()),
            ("plan that was open", open.clone()),
            ("next release", (mark_release + 1).to_string()),
        ])
    );
    let json = json!({
        "mark-size": mark_size, "size": size, "releases-lost": lost, "open-plan": mark_plan.map(|plan| plan.hex()),
        "next-release": mark_release + 1, "begun": begun.map(|plan| plan.hex()), "goes-on": goes_on,
    });
    Ok(Answer::new(text, json))
}

/// The newest change on record, if it is an adoption.
fn newest(log: &Log, ledger: &Ledger) -> Result<Option<(u64, LogAdopted)>, Failure> {
    let Some(index) = ledger.changed.newest() else { return Ok(None) };
    match log.entry(index)?.body {
        Body::LogAdopted(made) => Ok(Some((index, made))),
        _ => Ok(None),
    }
}

/// Who decides is not known as long as the file is not the one that the token knows.
fn not_the_marks(station: &Station, mark: &Mark) -> Failure {
    let known = station.audit_dir().join(artefact::path(&mark.hierarchy));
    let what = format!("hierarchy.toml is not the one whose digest stands in the token's mark: {}", mark.hierarchy);
    let hint = match known.is_file() {
        true => format!("cp {} {}", shell(&known), shell(station.dir.join("hierarchy.toml"))),
        false => "put that file in its place: the officers who adopted it have it".into(),
    };
    Failure::refused(what, hint)
}

/// Whether an adoption on record is about this mark.
fn follows(made: &LogAdopted, mark: &Mark) -> bool {
    change::loses(made, mark) && made.decision.change == mark.changes + 1
}
