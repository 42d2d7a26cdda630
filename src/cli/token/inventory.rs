//! `token inventory`: every object of a token against the hierarchy and the log.
//!
//! ```text
//! login       as for every run: PIN try entry → fsync → login → log against the mark → MARK → checkpoint
//! look        pages of objects; nothing is written, to the token or here
//! report      artefact → inventory entry → fsync → MARK → checkpoint        one for each token
//! ```
//! `sign` takes one by itself before and after a plan that makes, restores or destroys keys.

mod judge;

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::audit::Log;
use crate::audit::entry::{Body, Entry};
use crate::config::Token;
use crate::gate::Gate;
use crate::ledger::Ledger;
use crate::report::terminal::{Table, counted, wrap};
use crate::text::{escape, hex, shell, utc};
use crate::token::inventory::ObjectFacts;

use super::super::station::{Station, fold, seal};
use super::super::{Answer, Failure, failure::Code};
use judge::{Against, Line, Status};

/// The file that the log keeps of each inventory. Stored: a change needs a new one.
const FORMAT: &str = "coldroot-inventory-v0";
/// No token of a station holds more: one that claims to is not listed for ever.
const MOST: u64 = 20_000;
/// A plan does not wait for the list of more.
const FEW: u64 = 2_000;

/// Compares tokens with hierarchy and log.
#[derive(Args)]
#[command(
    after_help = "Nothing on the token is changed. With a log it is recorded, and compared with the last one. Exit code 4: \
    something is missing or not as it should be; what is merely unexpected is shown.\n\nExamples:\n  \
    coldroot token inventory\n  coldroot token inventory main --json"
)]
pub struct InventoryArgs {
    /// Token ids of the hierarchy; none: all of them
    #[arg(value_name = "TOKEN")]
    pub tokens: Vec<String>,
}

/// The artefact.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    format: String,
    token: String,
    serial: String,
    /// The station's clock, seconds since the epoch.
    time: i64,
    lines: Vec<Line>,
    objects: Vec<ObjectFacts>,
}

/// What has changed since the inventory before.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Since {
    entry: u64,
    time: String,
    new: Vec<String>,
    gone: Vec<String>,
    changed: Vec<String>,
}

pub(super) fn inventory(station: &Station, args: &InventoryArgs) -> Result<Answer, Failure> {
    let mut tokens = Vec::new();
    match args.tokens.is_empty() {
        true => tokens.extend(&station.hierarchy.tokens),
        false => {
            for id in &args.tokens {
                let token = super::declared_token(station, id)?;
                if !tokens.iter().any(|known: &&Token| known.id == token.id) {
                    tokens.push(token);
                }
            }
        }
    }
    let ids = tokens.iter().map(|token| token.id.clone()).collect();
    let (mut gate, mut log) = super::logged_in(station, ids)?;
    let ledger = log.as_ref().map(|log| fold(log, station.plain)).transpose()?;
    let (mut text, mut json, mut good) = (String::new(), Vec::new(), true);
    for token in tokens {
        let objects = objects(&mut gate, token, MOST)?.map_err(|total| {
            let what = format!("token `{}` shows {total} objects, more than {MOST}", token.id);
            Failure::refused(what, "keep a token for the station's keys alone")
        })?;
        let report = Report::new(station, token, ledger.as_ref(), objects);
        let since = log.as_ref().map(|log| since(log, &report)).transpose()?.flatten();
        let recorded = log.as_mut().map(|log| record(log, &report)).transpose()?;
        good &= report.lines.iter().all(|line| !line.status.is_bad());
        text.push_str(&shown(&report, since.as_ref()));
        json.push(json!({
            "token": report.token, "serial": report.serial, "counts": counts(&report.lines), "lines": report.lines,
            "objects": report.objects, "since": since, "recorded": recorded,
        }));
    }
    match &mut log {
        Some(log) => {
            seal(log, &mut gate)?;
            station.close(log, gate)?;
        }
        None => gate.close()?,
    }
    text.push_str(&next(station, good, ledger.as_ref()));
    let answer = Answer::new(text, json);
    Ok(if good { answer } else { answer.with_code(Code::CheckFailed) })
}

/// Puts on record what a token holds, at the begin or the end of a plan that changes it. The entry is flushed with the next one that
/// is. A token that holds more than [`FEW`] objects, or does not tell, stops no plan: the log then says why there is none.
pub(in crate::cli) fn take(station: &Station, log: &mut Log, gate: &mut Gate, ledger: &Ledger, token: &str) {
    let Some(token) = station.hierarchy.token(token) else { return };
    let taken = objects(gate, token, FEW).and_then(|objects| match objects {
        Ok(objects) => record(log, &Report::new(station, token, Some(ledger), objects)).map(drop),
        Err(total) => Err(Failure::refused(format!("it shows {total} objects, more than {FEW}"), "")),
    });
    if let Err(e) = taken {
        station.record_failure(log, &format!("no inventory of token `{}`: {}", token.id, e.what));
    }
}

impl Report {
    fn new(station: &Station, token: &Token, ledger: Option<&Ledger>, objects: Vec<ObjectFacts>) -> Report {
        let lines = judge::judge(&objects, &Against { hierarchy: &station.hierarchy, token, ledger });
        let serial = token.serial.clone().unwrap_or_default();
        Report { format: FORMAT.into(), token: token.id.clone(), serial, time: station.now(), lines, objects }
    }
}

/// Page by page. A token that changes in between is asked again by whoever reads the report. `Err`: how many there are, where that
/// is more than `most`.
fn objects(gate: &mut Gate, token: &Token, most: u64) -> Result<Result<Vec<ObjectFacts>, u64>, Failure> {
    let mut all = Vec::new();
    loop {
        let from = all.len() as u64;
        let page = gate.objects(&token.id, from)?;
        if page.total > most {
            return Ok(Err(page.total));
        }
        let empty = page.objects.is_empty();
        all.extend(page.objects);
        if empty || all.len() as u64 >= page.total {
            return Ok(Ok(all));
        }
    }
}

fn record(log: &mut Log, report: &Report) -> Result<u64, Failure> {
    let bytes = serde_json::to_vec_pretty(report)
        .map_err(|e| Failure::refused(format!("the report cannot be written: {e}"), "this is a bug"))?;
    let counts = counts(&report.lines);
    let body = Body::Inventory {
        token: report.token.clone(),
        serial: report.serial.clone(),
        report: log.put_artefact(&bytes)?,
        right: counts.right,
        missing: counts.missing,
        wrong: counts.wrong,
        unexpected: counts.unexpected,
    };
    Ok(log.append(&Entry::new(report.time, body))?)
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    right: u64,
    missing: u64,
    wrong: u64,
    unexpected: u64,
}

fn counts(lines: &[Line]) -> Counts {
    let mut counts = Counts::default();
    for line in lines {
        match line.status {
            Status::Right => counts.right += 1,
            Status::Missing => counts.missing += 1,
            Status::Wrong | Status::Half | Status::Doubled => counts.wrong += 1,
            Status::Unexpected => counts.unexpected += 1,
            Status::NotMade | Status::Destroyed => {}
        }
    }
    counts
}

/// The last inventory of this token on record, and what is different now. A report that is not readable any more (another
/// version's, or not in this copy) is no reason not to make one.
fn since(log: &Log, now: &Report) -> Result<Option<Since>, Failure> {
    let mut last = None;
    for found in log.entries(0..log.size()) {
        let (index, entry, _) = found?;
        if let Body::Inventory { token, report, .. } = entry.body
            && token == now.token
        {
            last = Some((index, entry.time, report));
        }
    }
    let Some((entry, time, digest)) = last else { return Ok(None) };
    let Some(before) = log.artefact(&digest).ok().and_then(|bytes| serde_json::from_slice::<Report>(&bytes).ok())
    else {
        return Ok(None);
    };
    let (old, new) = (named(&before.objects), named(&now.objects));
    let only = |one: &BTreeMap<String, Vec<&ObjectFacts>>, other: &BTreeMap<String, Vec<&ObjectFacts>>| {
        one.keys().filter(|name| !other.contains_key(*name)).cloned().collect()
    };
    let differs = |name: &&String| old.get(*name).is_some_and(|before| new.get(*name) != Some(before));
    Ok(Some(Since {
        entry,
        time: utc(time),
        new: only(&new, &old),
        gone: only(&old, &new),
        changed: new.keys().filter(differs).cloned().collect(),
    }))
}

/// Objects by what people call them, escaped. The mark changes with every run, so its value is left out.
fn named(objects: &[ObjectFacts]) -> BTreeMap<String, Vec<&ObjectFacts>> {
    let mut named: BTreeMap<String, Vec<&ObjectFacts>> = BTreeMap::new();
    for object in objects.iter().filter(|object| !judge::is_mark(object)) {
        named.entry(name(object)).or_default().push(object);
    }
    named
}

fn name(object: &ObjectFacts) -> String {
    let id = if object.cka_id.is_empty() { String::new() } else { format!(" id {}", hex(&object.cka_id)) };
    format!("{} \"{}\"{id}", object.class.name(), escape(&object.label))
}

fn shown(report: &Report, since: Option<&Since>) -> String {
    let counts = counts(&report.lines);
    let head = format!(
        "Token `{}` (serial {}): {}, {} right, {} missing, {} wrong, {} unexpected.",
        report.token,
        escape(&report.serial),
        counted(report.objects.len() as u64, "object", "objects"),
        counts.right,
        counts.missing,
        counts.wrong,
        counts.unexpected
    );
    let mut text: String = wrap(&head, 80).into_iter().map(|line| line + "\n").collect();
    let mut table = Table::new(&["state", "what", "label", "for"]);
    let mut reasons = String::new();
    for line in &report.lines {
        table.row([line.status.word().to_owned(), line.what.clone(), escape(&line.label), line.belongs_to.clone()]);
        for reason in &line.reasons {
            let about = format!("{} \"{}\": {reason}", line.what, line.label);
            for (i, part) in wrap(&escape(&about), 76).into_iter().enumerate() {
                reasons.push_str(&format!("{}{part}\n", if i == 0 { "  - " } else { "    " }));
            }
        }
    }
    text.push_str(&format!("\n{}{reasons}\n", table.render()));
    if let Some(since) = since {
        let same = since.new.is_empty() && since.gone.is_empty() && since.changed.is_empty();
        let what = if same { "nothing has changed, the mark apart" } else { "this has changed:" };
        text.push_str(&format!("Since entry {} of {}: {what}\n", since.entry, since.time));
        for (word, names) in [("new", &since.new), ("gone", &since.gone), ("changed", &since.changed)] {
            // Escaped where they were made.
            names.iter().for_each(|name| text.push_str(&format!("  {word}: {name}\n")));
        }
        text.push('\n');
    }
    text
}

fn next(station: &Station, good: bool, ledger: Option<&Ledger>) -> String {
    let dir = shell(&station.dir);
    let recorded = if ledger.is_some() { "" } else { "Not recorded: the station has no log before `init`.\n" };
    let next = match (good, ledger) {
        (true, None) => format!("coldroot --station {dir} init"),
        (true, Some(_)) => format!("coldroot --station {dir} show {}", shell(station.audit_dir())),
        (false, _) => "stop; find out who changed the token before any key of it signs again".into(),
    };
    format!("{recorded}  next: {next}\n")
}
