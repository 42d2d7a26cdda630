//! A report for people, the most important first, within 80 columns.

use std::collections::BTreeMap;

use crate::algorithm::KeyAlgorithm;
use crate::report::terminal::{Table, counted, duration, human_count, pairs, size, wrap};
use crate::text::escape;
use crate::token::probe::{Facts, Guarded, Memory, Taken};

use super::report::{Kind, Outcome, Report, Speed};

pub(super) fn text(report: &Report) -> String {
    let mut text = verdict(report);
    text.push_str(&format!("\nKeys\n\n{}", keys(report)));
    if !report.speed.is_empty() {
        let batch = counted(report.batch, "signature", "signatures");
        text.push_str(&format!("\nSpeed, and how long {batch} take\n\n{}", speed(report)));
    }
    if !report.protection.is_empty() {
        text.push_str(&format!("\nAttempts on a key that is sensitive and not extractable; \"cannot\": the module\nhas no such means for this kind of key\n\n{}",
            protection(report)));
    }
    if !report.template.is_empty() {
        text.push_str(&format!("\nAttributes, each tried alone\n\n{}", template(report)));
    }
    text.push_str(&format!("\nToken\n\n{}", limits(report)));
    text
}

fn verdict(report: &Report) -> String {
    let verdict = &report.verdict;
    let name = format!("Token `{}` (\"{}\", serial {})", report.token, escape(&report.label), escape(&report.serial));
    let mut text = match verdict.able {
        true => sentence(&format!("{name} can do the job of this hierarchy.")),
        false => sentence(&format!("{name} CANNOT do the job of this hierarchy. It lacks:")),
    };
    verdict.missing.iter().for_each(|what| text.push_str(&point(what)));
    let made = report.protection.len() as u64;
    text.push_str(&match verdict.protected {
        Some(true) => {
            let attempts = counted(made, "attempt to get at a key", "attempts to get at a key");
            sentence(&format!("Protection is real: {attempts} came to nothing."))
        }
        Some(false) => sentence("PROTECTION IS NOT REAL. Whoever has the PIN gets at the keys:"),
        None => sentence("Whether protection is real could not be found out."),
    });
    verdict.findings.iter().for_each(|what| text.push_str(&point(what)));
    text
}

fn sentence(text: &str) -> String {
    wrap(text, 80).into_iter().map(|line| line + "\n").collect()
}

fn point(text: &str) -> String {
    let lines = wrap(&escape(text), 76);
    let set_in = |(i, line): (usize, String)| format!("{}{line}\n", if i == 0 { "  - " } else { "    " });
    lines.into_iter().enumerate().map(set_in).collect()
}

/// What the hierarchy asks for and what the token can do, one kind a row; what it refuses and nobody wants is only named below.
fn keys(report: &Report) -> String {
    let mut table = Table::new(&["kind", "listed", "for", "result"]);
    let mut refused: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kind in &report.keys {
        if let (Outcome::Refused(said), true) = (&kind.outcome, kind.wanted_by.is_empty()) {
            refused.entry(said).or_default().push(kind.algorithm.name());
            continue;
        }
        let listed = match kind.claimed {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        table.row([kind.algorithm.name().into(), listed.into(), escape(&kind.wanted_by.join(", ")), result(kind)]);
    }
    let mut text = table.render();
    for (said, kinds) in refused {
        text.push_str(&point(&format!("refused, and not asked for here ({said}): {}", kinds.join(", "))));
    }
    text
}

fn result(kind: &Kind) -> String {
    let mut text = escape(&kind.outcome.words());
    if kind.lean {
        text.push_str(", lean template");
    }
    if let Some(longest) = &kind.longest {
        text.push_str(&format!(", {} at once", size(longest.octets.into())));
        if let Some((octets, outcome)) = &longest.failing {
            text.push_str(&format!("; {} {}", size((*octets).into()), escape(&outcome.words())));
        }
    }
    text
}

fn speed(report: &Report) -> String {
    let mut table = Table::new(&["kind", "sessions", "a second", "batch", ""]);
    let best = report.verdict.sessions;
    for burst in &report.speed {
        let note = if Some(burst.sessions) == best { "recommended" } else { "" };
        let (rate, time) = match burst.outcome {
            Outcome::Works => (rate(burst), duration(burst.time(report.batch))),
            _ => (escape(&burst.outcome.words()), String::new()),
        };
        table.row([burst.algorithm.name().into(), burst.sessions.to_string(), rate, time, note.into()]);
    }
    table.render()
}

fn rate(burst: &Speed) -> String {
    let thousandfold = burst.rate();
    match u64::try_from(thousandfold / 1000).unwrap_or(u64::MAX) {
        whole @ 0..10 => format!("{whole}.{}", thousandfold % 1000 / 100),
        whole => human_count(whole),
    }
}

/// One row for each attempt, one column for each kind of key; the module's words stand below where they matter.
fn protection(report: &Report) -> String {
    let mut kinds: Vec<KeyAlgorithm> = report.protection.iter().map(|p| p.algorithm).collect();
    kinds.dedup();
    let header: Vec<&str> = std::iter::once("attempt").chain(kinds.iter().map(|kind| kind.name())).collect();
    let mut table = Table::new(&header);
    let mut rows: Vec<(&str, Vec<String>)> = Vec::new();
    let mut words = String::new();
    for p in &report.protection {
        let (cell, said) = guarded(&p.result);
        if let Some(said) = said {
            words.push_str(&point(&format!("{}: {}: {said}", p.algorithm, p.attempt)));
        }
        match rows.iter_mut().find(|(attempt, _)| *attempt == p.attempt) {
            Some((_, cells)) => cells.push(cell.into()),
            None => rows.push((p.attempt, vec![cell.into()])),
        }
    }
    for (attempt, cells) in rows {
        table.row(std::iter::once(attempt.to_owned()).chain(cells));
    }
    table.render() + &words
}

fn guarded(result: &Result<Guarded, Outcome>) -> (&'static str, Option<String>) {
    match result {
        Ok(Guarded::Refused { control: true, .. }) => ("refused", None),
        Ok(Guarded::Refused { control: false, .. }) => ("cannot", None),
        Ok(Guarded::Ignored) => ("no effect", None),
        Ok(Guarded::Breached(what)) => ("SUCCEEDED", Some(what.clone())),
        Ok(Guarded::NotTried(why)) => ("not tried", Some(why.clone())),
        Err(outcome) => ("NO ANSWER", Some(outcome.words())),
    }
}

/// What is not simply taken, one a row, and the count of the rest.
fn template(report: &Report) -> String {
    let mut table = Table::new(&["attribute", "result"]);
    let mut kept = 0;
    for attribute in &report.template {
        let result = match &attribute.result {
            Ok(Taken::Kept) => {
                kept += 1;
                continue;
            }
            Ok(Taken::Changed(now)) => format!("taken, but {}", escape(now)),
            Ok(Taken::Unreadable) => "taken, cannot be read".into(),
            Ok(Taken::Refused(said)) => format!("refused ({})", escape(said)),
            Err(outcome) => escape(&outcome.words()),
        };
        table.row([attribute.attribute.to_owned(), result]);
    }
    let all = report.template.len() as u64;
    let kept = format!("{} of {} taken as given, and read back so\n", human_count(kept), human_count(all));
    if report.template.iter().all(|a| matches!(a.result, Ok(Taken::Kept))) { kept } else { kept + &table.render() }
}

fn limits(report: &Report) -> String {
    let sessions = match &report.sessions {
        Outcome::Works => format!("{} more could be opened, and perhaps others", report.sessions_opened),
        Outcome::Refused(said) => format!("{} more could be opened ({})", report.sessions_opened, escape(said)),
        other => escape(&other.words()),
    };
    let mut rows = vec![("sessions", sessions), ("data object", escape(&report.data.words()))];
    if let Some(facts) = &report.facts {
        rows.extend(said(facts));
    }
    pairs(&rows)
}

fn said(facts: &Facts) -> Vec<(&'static str, String)> {
    let token = &facts.token;
    let number = |n: Option<u64>| n.map_or("not said".into(), human_count);
    let memory = |memory: Memory| match (memory.free, memory.total) {
        (None, None) => "not said".into(),
        (free, total) => format!("{} of {} octets free", number(free), number(total)),
    };
    let yes = |flag| if flag { "yes" } else { "no" }.to_owned();
    let mut pin = format!("{} to {} octets", number(facts.pin_octets.0), number(facts.pin_octets.1));
    for (flag, what) in [
        (facts.pin_pad, "typed at the token's own keypad"),
        (token.pin_count_low, "was wrong lately"),
        (token.pin_final_try, "ONE TRY LEFT"),
        (token.pin_locked, "LOCKED"),
        (facts.pin_to_be_changed, "must be changed"),
        (!facts.login_required, "NOT NEEDED: the token asks for no login"),
    ] {
        if flag {
            pin.push_str(&format!(", {what}"));
        }
    }
    vec![
        ("made by", format!("{}, {}", escape(&token.manufacturer), escape(&token.model))),
        ("library", format!("{}, PKCS #11 {}", escape(&token.module), facts.interface)),
        ("hardware, firmware", format!("{}, {}", facts.hardware, facts.firmware)),
        ("PIN", pin),
        ("write-protected", yes(facts.write_protected)),
        ("random numbers", yes(facts.random)),
        ("most sessions", facts.most_sessions.map_or("not said".into(), human_count)),
        ("public memory", memory(facts.public_memory)),
        ("private memory", memory(facts.private_memory)),
    ]
}
