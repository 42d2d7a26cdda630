//! `calendar`: what comes due, folded from a log and, where it is given, the hierarchy in force.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::audit::View;
use crate::config::{Environment, Hierarchy};
use crate::ledger::Ledger;
use crate::report::calendar::{self, Bar, Calendar, Due, Of};
use crate::report::terminal::counted;
use crate::text::{escape, path, shell};
use crate::x509;

use super::reading::reading;
use super::{Answer, Failure, Globals, clock, offline, prove};

const DAY: i64 = 86_400;

/// Shows what comes due.
#[derive(Args)]
#[command(
    after_help = "The hierarchy adds persons, validators and profiles; it must be the one in force. Of a CA whose key was \
    destroyed nothing comes due but its certificates.\n\n\
    Examples:\n  coldroot calendar\n  coldroot calendar log --hierarchy hierarchy.toml --days 90\n  \
    coldroot calendar --format ics --to coldroot.ics\n  coldroot calendar --format svg --to coldroot.svg"
)]
pub struct CalendarArgs {
    /// A station's audit/, the log/ of a release, or a public copy [default: the station's]
    log: Option<PathBuf>,
    /// The hierarchy file in force [default: the station's, for its own log]
    #[arg(long, value_name = "FILE")]
    hierarchy: Option<PathBuf>,
    /// How far ahead
    #[arg(long, value_name = "DAYS", default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=36_525))]
    days: u32,
    /// A table, iCalendar or a picture
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The file that iCalendar or picture are written to, a new one
    #[arg(long, value_name = "FILE", required_if_eq_any([("format", "ics"), ("format", "svg")]))]
    to: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Ics,
    Svg,
}

pub fn calendar(globals: &Globals, args: &CalendarArgs) -> Result<Answer, Failure> {
    let dir = args.log.clone().unwrap_or_else(|| globals.station.join("audit"));
    let log = offline::read_log(&dir)?;
    let ledger = Ledger::open_telling(&log, reading(globals.plain, "what comes due is looked up"))?;
    let hierarchy = hierarchy(globals, args, &ledger)?;
    let made = gather(&log, &ledger, hierarchy.as_ref(), clock(globals.now), args.days)?;
    let Some(to) = args.to.as_ref().filter(|_| args.format != Format::Table) else {
        return Ok(Answer::new(calendar::table(&made), &made));
    };
    let text = match args.format {
        Format::Ics => calendar::icalendar(&made),
        _ => calendar::picture(&made).map_err(|e| Failure::refused(e.to_string(), e.hint().unwrap_or_default()))?,
    };
    prove::write_new(to, &text)?;
    let due = counted(made.due.len() as u64, "date", "dates");
    let said = format!("{due} of the next {} days written to {}.\n", args.days, path(to));
    Ok(Answer::new(said, json!({ "to": to.display().to_string(), "due": made.due.len() })))
}

/// The hierarchy, if there is one; another than the one in force would tell what is not so.
fn hierarchy(globals: &Globals, args: &CalendarArgs, ledger: &Ledger) -> Result<Option<Hierarchy>, Failure> {
    let own = globals.station.join("hierarchy.toml");
    let file = match (&args.hierarchy, &args.log) {
        (Some(file), _) => file.clone(),
        (None, None) => own,
        (None, Some(_)) => return Ok(None),
    };
    let read = Hierarchy::load(&file)
        .map_err(|e| Failure::usage(format!("{}: {e}", path(&file)), e.hint().unwrap_or_default()))?;
    if read.digest != ledger.changed.hierarchy {
        let what = format!("{} is not the hierarchy in force by this log", path(&file));
        let hint = format!("give the file whose SHA-256 is {}", ledger.changed.hierarchy.hex());
        return Err(Failure::refused(what, hint));
    }
    Ok(Some(read))
}

fn not_after(der: &[u8]) -> Option<i64> {
    x509::read_certificate(der).ok().map(|certificate| certificate.not_after)
}

/// Everything that ends after `now`, or has ended and should have been replaced.
pub(super) fn gather(
    log: &View,
    ledger: &Ledger,
    hierarchy: Option<&Hierarchy>,
    now: i64,
    days: u32,
) -> Result<Calendar, Failure> {
    let genesis = log.genesis()?;
    let mut due = Vec::new();
    let mut bars = Vec::new();
    for (ca, (_, der)) in &ledger.cas {
        let Ok(certificate) = x509::read_certificate(der) else { continue };
        let declared = hierarchy.and_then(|h| h.cas.iter().find(|c| c.id == *ca));
        let key = declared.map(|ca| ca.key.as_str());
        let closed = key.is_some_and(|key| ledger.destroyed.contains(key));
        let id = escape(ca);
        bars.push(Bar {
            of: Of::Certificate,
            name: id.clone(),
            from: certificate.not_before,
            until: certificate.not_after,
        });
        due.push(Due {
            time: certificate.not_after,
            what: "the CA's certificate ends".into(),
            of: id.clone(),
            next: if closed { String::new() } else { "plan its successor in a ceremony".into() },
        });
        match ledger.crls.get(ca) {
            Some(crl) => {
                bars.push(Bar {
                    of: Of::Crl,
                    name: format!("{id}, CRL {}", crl.number),
                    from: crl.this_update,
                    until: crl.next_update,
                });
                if !closed {
                    let what = format!("CRL {} runs out", crl.number);
                    due.push(Due {
                        time: crl.next_update,
                        what,
                        of: id.clone(),
                        next: format!("coldroot plan --crl {}", shell(ca)),
                    });
                }
            }
            None if !closed && ledger.in_force(ca, now) > 0 => {
                let next = format!("coldroot plan --crl {}", shell(ca));
                due.push(Due { time: now - 1, what: "has certificates and no CRL".into(), of: id.clone(), next });
            }
            None => {}
        }
        for profile in hierarchy.iter().flat_map(|h| &h.profiles).filter(|p| p.issuer.as_ref() == Some(ca)) {
            let what = format!("last whole validity under `{id}`");
            let time = certificate.not_after - profile.validity.seconds();
            due.push(Due { time, what, of: escape(&profile.id), next: String::new() });
        }
        due.extend(ends(ledger, ca, now));
    }
    for (id, expires) in hierarchy.iter().flat_map(|h| {
        let persons = h.persons.iter().map(|p| (format!("person `{}`", escape(&p.id)), p.expires));
        persons.chain(h.validators.iter().map(|v| (format!("validator `{}`", escape(&v.id)), v.expires)))
    }) {
        let Some(expires) = expires else { continue };
        bars.push(Bar { of: Of::Person, name: id.clone(), from: now.min(expires), until: expires });
        let next = "coldroot adopt-hierarchy NEW --reason TEXT --operator ID --witness ID".to_string();
        due.push(Due { time: expires, what: "is no longer in the roster".into(), of: id, next });
    }
    for linter in hierarchy.iter().flat_map(|h| &h.linters) {
        due.extend(linter.accepted.iter().map(|accepted| Due {
            time: accepted.until,
            what: format!("the finding `{}` counts again", escape(&accepted.finding)),
            of: format!("linter `{}`", escape(&linter.id)),
            next: "mend what it finds, or adopt a hierarchy that accepts it longer".into(),
        }));
    }
    due.sort_by(|a, b| (a.time, &a.of, &a.what).cmp(&(b.time, &b.of, &b.what)));
    let until = now + i64::from(days) * DAY;
    let all = due.len();
    due.retain(|due| due.time <= until);
    Ok(Calendar {
        origin: escape(log.origin()),
        name: escape(&genesis.name),
        rehearsal: genesis.environment != Environment::Real,
        now,
        until,
        later: (all - due.len()) as u64,
        due,
        bars,
    })
}

/// Certificates that end, those of a CA and month together at the time of the first. CAs have lines of their own.
fn ends(ledger: &Ledger, ca: &str, now: i64) -> Vec<Due> {
    let mut months: BTreeMap<String, (i64, u64)> = BTreeMap::new();
    let below = |(id, issuer): (&String, &String)| (issuer == ca && id != ca).then(|| ledger.cas.get(id)).flatten();
    let cas: Vec<i64> = ledger.issuers.iter().filter_map(below).filter_map(|(_, der)| not_after(der)).collect();
    for (time, count) in ledger.ends(ca).filter(|(time, _)| *time >= now) {
        let leaves = count.saturating_sub(cas.iter().filter(|end| **end == time).count() as u64);
        if leaves > 0 {
            let month = crate::text::utc(time).get(..7).unwrap_or_default().to_string();
            months.entry(month).or_insert((time, 0)).1 += leaves;
        }
    }
    let line = |(month, (time, count)): (String, (i64, u64))| Due {
        time,
        what: format!("{} in {month}", counted(count, "certificate ends", "certificates end")),
        of: escape(ca),
        next: String::new(),
    };
    months.into_iter().map(line).collect()
}
