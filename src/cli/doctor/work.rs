//! What the station has to do and who can do it: log, copy, space, waiting work, what comes due, persons.

use std::path::Path;
use std::time::Duration;

use crate::audit::View;
use crate::cli::station::Station;
use crate::cli::{Failure, calendar, reading::reading};
use crate::config::{Hierarchy, Quorum, Role};
use crate::ledger::{Ledger, PlanState};
use crate::report::terminal::{counted, duration, size};
use crate::text::{escape, hex_groups, path, shell, utc};

use super::Finding;

/// What comes due within so many days is told.
const SOON: u32 = 30;
/// Octets that must be free: below the first nothing can be relied on.
const LEAST: u64 = 256 << 20;
const ENOUGH: u64 = 1 << 30;
/// Octets that an item costs in log and releases, rounded up: a certificate of ours has at most 12 KiB.
const OF_ITEM: u64 = 48 << 10;
/// Items of a plan that say how fast this station is.
const TELLING: u64 = 100;

/// Log, copy, space, waiting work, what comes due.
pub fn log(station: &Station) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    if !station.begun() {
        findings.push(Finding::look("log", "there is none yet", "coldroot init"));
        findings.extend(space(&station.dir, "station", 0));
        return Ok(findings);
    }
    let log = match View::read(&station.audit_dir()) {
        Ok(log) => log,
        Err(e) => return Ok(vec![Finding::bad("log", escape(&e.to_string()), e.hint().unwrap_or_default())]),
    };
    let ledger = Ledger::open_telling(&log, reading(station.plain, "the doctor looks at it"))?;
    if ledger.changed.hierarchy != station.hierarchy.digest {
        let why = station.not_in_force(&ledger);
        findings.push(Finding::bad("hierarchy", why.what, why.hint.unwrap_or_default()));
    }
    findings.push(head(&log)?);
    findings.push(clock(station, &log)?);
    findings.extend(copy(station, &log)?);
    let (waiting, items) = waiting(&log, &ledger)?;
    findings.extend(waiting);
    findings.extend(space(&station.audit_dir(), "station", items));
    for (token, protected) in &ledger.protected {
        let what = format!("token {}", escape(token));
        findings.extend((!protected).then(|| {
            Finding::look(
                &what,
                "by its last probe it does not protect its keys",
                format!("coldroot token probe {}", shell(token)),
            )
        }));
    }
    let unprobed = station.hierarchy.tokens.iter().filter(|token| !ledger.protected.contains_key(&token.id));
    findings.extend(unprobed.map(|token| {
        let next = format!("coldroot token probe {}", shell(&token.id));
        Finding::look(
            &format!("token {}", escape(&token.id)),
            "no probe of it on record says whether it protects its keys",
            next,
        )
    }));
    let due = calendar::gather(&log, &ledger, Some(&station.hierarchy), station.clock(), SOON)?;
    findings.extend(due.due.into_iter().map(|due| {
        let found = format!("{}: {}, {}", due.of, due.what, utc(due.time));
        match due.time < station.clock() {
            true => Finding::bad("overdue", found, due.next),
            false => Finding::look("comes due", found, due.next),
        }
    }));
    Ok(findings)
}

fn head(log: &View) -> Result<Finding, Failure> {
    let unsealed = log.size() - log.sealed_size();
    let root = hex_groups(&log.root()?.0);
    let short = root.get(..19).unwrap_or_default();
    let found = format!("{}, {unsealed} not sealed yet, root {short}...", counted(log.size(), "entry", "entries"));
    Ok(Finding::good("log", found))
}

fn clock(station: &Station, log: &View) -> Result<Finding, Failure> {
    let what = "clock";
    let (now, last) = (station.clock(), log.size().checked_sub(1).map(|index| log.entry(index)).transpose()?);
    let Some(last) = last.map(|entry| entry.time) else {
        return Ok(Finding::look(what, utc(now), "compare it with another clock"));
    };
    Ok(match now < last {
        true => Finding::bad(
            what,
            format!("{}: before the log's last entry, of {}", utc(now), utc(last)),
            "set it by another clock; coldroot correct-clock --help if it is right",
        ),
        false => {
            let since = duration(Duration::from_secs(now.abs_diff(last)));
            Finding::good(what, format!("{}, {since} after the log's last entry", utc(now)))
        }
    })
}

/// The log's copy on a second medium: where it is, and how far it has come.
fn copy(station: &Station, log: &View) -> Result<Vec<Finding>, Failure> {
    let what = "copy";
    let Some(dir) = station.copy() else {
        return Ok(vec![Finding::look(
            what,
            "the hierarchy names no second medium for the log",
            "[audit] copy = \"/media/copy\"",
        )]);
    };
    let there = match View::read(dir) {
        Ok(there) => there,
        Err(e) => {
            let next = "mount the medium; the next run writes the copy";
            return Ok(vec![Finding::bad(what, format!("{}: {}", path(dir), escape(&e.to_string())), next)]);
        }
    };
    let same = there.size() <= log.size() && there.root()? == log.root_at(there.size())?;
    let found = format!("{} of {} entries in {}", there.size(), log.size(), path(dir));
    let mut findings = vec![match same {
        true => Finding::good(what, found),
        false => Finding::bad(
            what,
            format!("{found}: it is no earlier state of this log"),
            "keep both apart; docs/recovery.md",
        ),
    }];
    findings.extend(space(dir, what, 0));
    Ok(findings)
}

/// Free space where a directory lies; `items` are still to be written there.
fn space(dir: &Path, what: &str, items: u64) -> Option<Finding> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let wanted = items.saturating_mul(OF_ITEM);
    let what = format!("space, {what}");
    let found = format!("{} free", size(free));
    Some(match free {
        free if free < LEAST.max(wanted) => {
            let found = format!("{found}; {} are wanted", size(LEAST.max(wanted)));
            Finding::bad(&what, found, "make room before anything is started")
        }
        free if free < ENOUGH => Finding::look(&what, found, "make room soon"),
        _ => Finding::good(&what, found),
    })
}

/// What is open or waits, and how many items that is.
fn waiting(log: &View, ledger: &Ledger) -> Result<(Vec<Finding>, u64), Failure> {
    let mut findings = Vec::new();
    let mut items = 0;
    if let Some((plan, state)) = ledger.open_plan() {
        let short = plan.hex().get(..8).unwrap_or_default().to_string();
        items = state.items - state.done.min(state.items);
        let found = format!(
            "plan {short} was begun: {} of {} are on record",
            state.done,
            counted(state.items, "item", "items")
        );
        findings.push(Finding::look("plan", found, format!("coldroot sign --plan out/plan-{short}.plan ...")));
    } else if let Some((bundle, plan)) = ledger.unanswered() {
        let of = format!("bundle {} of {}", bundle.sequence, escape(&bundle.desk));
        let planned = plan.and_then(|plan| Some((plan.hex().get(..8)?.to_string(), ledger.plans.get(&plan)?)));
        match planned {
            Some((short, state)) => {
                items = state.items;
                let found = format!("{of} is planned: {}", counted(items, "item", "items"));
                findings.push(Finding::look("bundle", found, format!("coldroot show out/plan-{short}.plan")));
            }
            None => findings.push(Finding::look(
                "bundle",
                format!("{of} waits to be planned"),
                "coldroot plan --bundle FILE",
            )),
        }
    }
    if items > 0 {
        findings.push(match pace(log, ledger)? {
            Some((rate, of)) => {
                let seconds = items.div_ceil(rate.max(1));
                let found = format!(
                    "about {} for {items} items, at the {rate} a second of plan {of}",
                    duration(Duration::from_secs(seconds))
                );
                Finding::good("time", found)
            }
            None => Finding::good(
                "time",
                format!("for {items} items unknown: no plan of {TELLING} items or more is on record"),
            ),
        });
    }
    if ledger.unlisted().next().is_some() {
        let cas: Vec<String> = ledger.unlisted().map(escape).collect();
        let next = format!("coldroot plan --crl {}", cas.first().map(shell).unwrap_or_default());
        findings.push(Finding::bad("CRL", format!("revocations of {} stand on no CRL yet", cas.join(", ")), next));
    }
    Ok((findings, items))
}

/// Items a second of the newest plan that was large enough to tell, from its start to its end.
fn pace(log: &View, ledger: &Ledger) -> Result<Option<(u64, String)>, Failure> {
    let telling = |(_, state): &(&_, &PlanState)| state.done >= TELLING && state.start.is_some() && state.end.is_some();
    let newest = ledger.plans.iter().filter(telling).max_by_key(|(_, state)| state.planned_at);
    let Some((plan, state)) = newest else { return Ok(None) };
    let (Some((start, _)), Some((end, _))) = (&state.start, &state.end) else { return Ok(None) };
    let (from, to) = (log.entry(*start)?, log.entry(*end)?);
    let seconds = to.time.saturating_sub(from.time).max(1).unsigned_abs();
    Ok(Some(((state.done / seconds).max(1), plan.hex().get(..8).unwrap_or_default().to_string())))
}

/// Whether each quorum can be met, and by how many more; and who leaves the roster soon.
pub fn people(hierarchy: &Hierarchy, now: i64) -> Vec<Finding> {
    let quorums: [(&str, &Quorum); 4] = [
        ("keys", &hierarchy.quorum_keys),
        ("certificates", &hierarchy.quorum_certificates),
        ("hierarchy", &hierarchy.quorum_hierarchy),
        ("recovery", &hierarchy.quorum_recovery),
    ];
    let able = |role: Role| {
        let of = hierarchy.persons.iter().filter(|p| p.roles.contains(&role) && p.expired(now).is_none());
        of.map(|p| escape(&p.id)).collect::<Vec<_>>()
    };
    // Quorums that ask for the same are told once.
    let mut asked: Vec<(Role, usize, Vec<&str>)> = Vec::new();
    for (name, quorum) in quorums {
        for (role, needed) in quorum.iter().map(|(role, needed)| (*role, *needed as usize)) {
            match asked.iter_mut().find(|(r, n, _)| (*r, *n) == (role, needed)) {
                Some((.., names)) => names.push(name),
                None => asked.push((role, needed, vec![name])),
            }
        }
    }
    let mut findings = Vec::new();
    for (role, needed, names) in asked {
        let there = able(role);
        let roles = counted(there.len() as u64, role.name(), &format!("{}s", role.name()));
        let found = format!("{}: {needed} of {roles} ({})", names.join(", "), there.join(", "));
        findings.push(match there.len() {
            n if n < needed => {
                let gone = hierarchy.persons.iter().filter(|p| p.roles.contains(&role) && p.expired(now).is_some());
                let gone: Vec<String> = gone.map(|p| escape(&p.id)).collect();
                let gone = if gone.is_empty() {
                    String::new()
                } else {
                    format!("; no longer in the roster: {}", gone.join(", "))
                };
                Finding::bad(
                    "quorum",
                    format!("{found}: {} missing{gone}", needed - n),
                    "coldroot adopt-hierarchy; docs/recovery.md",
                )
            }
            n if n == needed && needed > 0 => {
                Finding::look("quorum", format!("{found}: all of them must come"), "add a person to the roster")
            }
            _ => Finding::good("quorum", found),
        });
    }
    for role in [Role::Operator, Role::Witness] {
        if able(role).is_empty() {
            findings.push(Finding::bad(
                "people",
                format!("nobody has the role {}", role.name()),
                "coldroot adopt-hierarchy",
            ));
        }
    }
    findings
}
