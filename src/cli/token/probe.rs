//! `token probe`: what a token can really do, before anything depends on it.
//!
//! ```text
//! login       as for every run: PIN try entry → fsync → login → log against the mark → MARK → checkpoint
//! steps       one question each to the worker; nothing is written here, and a stop leaves nothing behind
//! report      artefact → probe entry → fsync → MARK → checkpoint
//! ```
//! A draft, whose `init` is still to come, has no log: then nothing is recorded, and it says so.

mod course;
mod report;
mod shown;

use clap::Args;
use serde_json::json;

use crate::audit::entry::{Body, Entry};
use crate::config::Token;
use crate::gate::Gate;
use crate::text::shell;

use super::super::station::{Station, seal};
use super::super::{Answer, Failure, failure::Code};
use course::Course;
use report::{Report, Wanted};

/// Probes a token.
#[derive(Args)]
#[command(
    after_help = "It uses throw-away keys that end with its session, and one small data object of its own that it \
    removes again. With a log it is recorded. Exit code 4: the token does not protect keys, or cannot do what this \
    hierarchy asks of it.\n\nExamples:\n  coldroot token probe main\n  coldroot token probe main --batch 20000\n  \
    coldroot token probe main --quick --json"
)]
pub struct ProbeArgs {
    /// The token's id in the hierarchy
    #[arg(value_name = "TOKEN")]
    pub token: String,
    /// Says how long a batch of so many certificates takes
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub batch: u64,
    /// Only the kinds of keys that the hierarchy declares, shorter bursts, smaller messages
    #[arg(long)]
    pub quick: bool,
}

pub(super) fn probe(station: &Station, args: &ProbeArgs, plain: bool) -> Result<Answer, Failure> {
    let token = super::declared_token(station, &args.token)?;
    let (mut gate, log) = super::logged_in(station, vec![token.id.clone()])?;
    let report = match run(station, token, &mut gate, args, plain) {
        Ok(report) => report,
        Err(failure) => {
            if let Some(mut log) = log {
                station.record_failure(&mut log, &format!("probe of token {}: {}", token.id, failure.what));
            }
            return Err(failure);
        }
    };
    let recorded = match log {
        None => {
            gate.close()?;
            None
        }
        Some(mut log) => {
            let bytes = serde_json::to_vec_pretty(&report)
                .map_err(|e| Failure::refused(format!("the report cannot be written: {e}"), "this is a bug"))?;
            let body = Body::Probe {
                token: token.id.clone(),
                serial: report.serial.clone(),
                report: log.put_artefact(&bytes)?,
                able: report.verdict.able,
                protected: report.verdict.protected,
            };
            let index = log.append(&Entry::new(station.now(), body))?;
            seal(&mut log, &mut gate)?;
            station.close(&mut log, gate)?;
            Some(index)
        }
    };
    let mut text = shown::text(&report);
    text.push_str(&next(station, token, &report, recorded));
    let mut json = serde_json::to_value(&report).unwrap_or_default();
    json["recorded"] = json!(recorded);
    let answer = Answer::new(text, json);
    Ok(if report.verdict.good() { answer } else { answer.with_code(Code::CheckFailed) })
}

fn run(station: &Station, token: &Token, gate: &mut Gate, args: &ProbeArgs, plain: bool) -> Result<Report, Failure> {
    let wanted = Wanted::of(&station.hierarchy, token);
    let mut ask = |step: &_| gate.probe(&token.id, step).map_err(Failure::from);
    let shown = crate::report::terminal::steps("probing", plain);
    let mut course = Course { wanted: &wanted, quick: args.quick, batch: args.batch, ask: &mut ask, shown };
    course.run(token, station.now())
}

/// Where it is recorded, and what to type next.
fn next(station: &Station, token: &Token, report: &Report, recorded: Option<u64>) -> String {
    let dir = shell(&station.dir);
    let mut text = match recorded {
        Some(index) => format!("\nRecorded as entry {index} of the log.\n"),
        None => "\nNot recorded: the station has no log before `init`.\n".into(),
    };
    if let Some(best) = report.verdict.sessions.filter(|best| *best != token.sessions && recorded.is_none()) {
        text.push_str(&format!("  in [[token]] of hierarchy.toml: sessions = {best}\n"));
    }
    let command = match (report.verdict.good(), recorded) {
        (true, None) => format!("coldroot --station {dir} init"),
        (true, Some(_)) => format!("coldroot --station {dir} token inventory {}", token.id),
        (false, _) => {
            text.push_str("Take another token, or mend the cause and probe it again.\n");
            format!("coldroot --station {dir} token probe {}", token.id)
        }
    };
    text.push_str(&format!("  next: {command}\n"));
    text
}
