//! `correct-clock`: the clock had run ahead, and the log with it; from here on entries may be of an earlier time again.

use clap::Args;
use serde_json::json;

use crate::audit::entry::{Body, ClockCorrected};
use crate::report::terminal::pairs;
use crate::text::utc;

use super::change::{Decided, Outcome, Wanted, decide};
use super::station::Station;
use super::{Answer, Failure, Globals};

/// Lets the clock stand before the log's last entry.
#[derive(Args)]
#[command(
    after_help = "Set the clock first, by another one. Without approvals it writes the statement that the quorum signs.\n\nExample:\n  \
    coldroot correct-clock --reason \"the battery was changed, and the year typed wrong\" \\\n    \
    --operator carol --witness dave --witness-time 2026-11-22T09:00:00Z\n  \
    coldroot approve out/correct-clock-3f2a9c01.statement --person alice --key SSHKEY\n  \
    coldroot correct-clock --to 2026-11-22T09:00:12Z --reason \"the battery was changed, and the year typed wrong\" \\\n    \
    --operator carol --witness dave --witness-time 2026-11-22T09:20:00Z \\\n    \
    --approval out/correct-clock-3f2a9c01.statement.alice.sig --approval out/correct-clock-3f2a9c01.statement.bob.sig"
)]
pub struct ClockArgs {
    /// What the statement says that the clock said; left out when the statement is written
    #[arg(long, value_name = "UTC", value_parser = super::parse_time)]
    pub to: Option<i64>,
    #[command(flatten)]
    pub decided: Decided,
}

pub fn correct_clock(globals: &Globals, args: ClockArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    let (mut log, ledger) = station.open_log_whatever_the_clock_says()?;
    let now = station.clock();
    station.judge_floor(&ledger)?;
    // What the clock is judged by.
    let from = station.latest();
    if now >= from {
        return stands(&station, &mut log, &ledger, &args, from);
    }
    if args.decided.people.witness_time.is_none() {
        let what = "the clock is corrected by another one, which the witness reads";
        return Err(Failure::usage(what, "--witness-time 2026-11-22T09:00:00Z"));
    }
    let to = args.to.unwrap_or(now);
    if to > now {
        let what = format!("the clock says {}, before the {} of the statement", utc(now), utc(to));
        return Err(Failure::refused(what, "set the clock, after a look at another one"));
    }
    let body = Body::ClockCorrected(ClockCorrected { from, to, decision: args.decided.decision(&ledger) });
    let command = format!("coldroot --station {} correct-clock --to {}", crate::text::shell(&station.dir), utc(to));
    let wanted = Wanted { body, artefacts: Vec::new(), adopted: None, command, inputs: Vec::new(), gate: None };
    match decide(&station, &mut log, &ledger, &args.decided, wanted)? {
        Outcome::Statement(answer) => Ok(answer),
        Outcome::Made => Ok(corrected(from, to)),
    }
}

/// The clock does not stand before the log. That is so from the start, or because a run of this very command was stopped
/// behind its entry: then the gate hears of it now.
fn stands(
    station: &Station,
    log: &mut crate::audit::Log,
    ledger: &crate::ledger::Ledger,
    args: &ClockArgs,
    from: i64,
) -> Result<Answer, Failure> {
    let newest = match ledger.changed.newest() {
        Some(index) => Some(log.entry(index)?.body),
        None => None,
    };
    match newest {
        Some(Body::ClockCorrected(made)) if made.decision.reason == args.decided.reason => {
            let gate = station.start_gate()?;
            station.enter_sandbox(&[], None)?;
            super::change::resume(station, log, gate)?;
            Ok(corrected(made.from, made.to))
        }
        _ => {
            let what = format!("the clock does not stand before the log's last entry, which is of {}", utc(from));
            Err(Failure::refused(what, "nothing is to be corrected: go on with `coldroot plan` or `coldroot sign`"))
        }
    }
}

fn corrected(from: i64, to: i64) -> Answer {
    let text = format!(
        "The log's time goes back: from here on entries are of the corrected clock.\n\n{}\n  next: plan again what was planned by \
         the wrong clock, its windows and dates are not moved: coldroot plan\n",
        pairs(&[("last entry before", utc(from)), ("the clock said", utc(to))])
    );
    Answer::new(text, json!({ "from": utc(from), "to": utc(to) }))
}
