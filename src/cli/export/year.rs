//! A year of a log, counted for its page.

use crate::audit::View;
use crate::audit::entry::{Body, CrlAdopted, CrlIssued, Entry};
use crate::cli::show::body_words;
use crate::cli::{Failure, entries::Filter};
use crate::config::Environment;
use crate::report::year::{Event, Validity, Year};
use crate::text::{escape, hex_groups, parse_utc, utc};
use crate::x509::fields::reason_name;

/// Names that are counted one by one; what is beyond them is counted together, so that no log makes the page endless.
const NAMES: usize = 200;
/// CRLs of a CA that are drawn one by one.
const DRAWN: usize = 2_000;

/// Counts what happened in a year. Memory: bounded, whatever the log's size.
pub(super) fn count(log: &View, year: i32) -> Result<Year, Failure> {
    let begin = |year: i32| parse_utc(&format!("{year:04}-01-01T00:00:00Z"));
    let (Some(begin), Some(end)) = (begin(year), begin(year + 1)) else {
        return Err(Failure::usage(format!("{year} is no year of four digits"), "--year 2026"));
    };
    let genesis = log.genesis()?;
    let mut all = Year {
        year,
        begin,
        end,
        origin: escape(log.origin()),
        name: escape(&genesis.name),
        rehearsal: genesis.environment != Environment::Real,
        size: log.size(),
        sealed: log.sealed_size(),
        root: hex_groups(&log.root()?.0),
        ..Year::default()
    };
    Filter::default().each(log, 0, |index, entry| -> Result<bool, Failure> {
        match &entry.body {
            Body::Crl(CrlIssued { ca, number, this_update, next_update, .. })
            | Body::CrlAdopted(CrlAdopted { ca, number, this_update, next_update, .. }) => {
                validity(&mut all, ca, Validity { number: *number, from: *this_update, until: *next_update });
            }
            _ => {}
        }
        if (begin..end).contains(&entry.time) {
            all.entries += 1;
            numbers(&mut all, &entry);
            lists(&mut all, index, &entry);
        }
        Ok(true)
    })?;
    Ok(all)
}

/// A CRL that was in force in this year, whenever it was signed.
fn validity(all: &mut Year, ca: &str, crl: Validity) {
    if crl.from >= all.end || crl.until < all.begin || (all.crls.len() >= NAMES && !all.crls.contains_key(&escape(ca)))
    {
        return;
    }
    let lane = all.crls.entry(escape(ca)).or_default();
    let full = lane.len() >= DRAWN;
    match lane.last_mut() {
        Some(last) if full => (last.number, last.until) = (crl.number, last.until.max(crl.until)),
        _ => lane.push(crl),
    }
}

fn numbers(all: &mut Year, entry: &Entry) {
    // January is 1.
    let month =
        time::OffsetDateTime::from_unix_timestamp(entry.time).map_or(0, |t| usize::from(u8::from(t.month())) - 1);
    let Some(counts) = all.months.get_mut(month) else { return };
    match &entry.body {
        Body::Certificate(certificate) => {
            counts.certificates += 1;
            let name = named(&certificate.profile, all.profiles.len(), |name| all.profiles.contains_key(name));
            if let Some(count) = all.profiles.entry(name).or_default().get_mut(month) {
                *count += 1;
            }
        }
        Body::Refused { check, .. } => {
            counts.refused += 1;
            let name = named(check, all.checks.len(), |name| all.checks.contains_key(name));
            *all.checks.entry(name).or_default() += 1;
        }
        Body::Revoked(revoked) => {
            counts.revoked += 1;
            *all.reasons.entry(reason_name(revoked.reason).into()).or_default() += 1;
        }
        Body::Crl(_) => counts.crls += 1,
        Body::Start(_) => counts.starts += 1,
        Body::PinTry { .. } => counts.pin_tries += 1,
        Body::Login { .. } => counts.logins += 1,
        Body::Failure { .. } | Body::Deviation { .. } => counts.failures += 1,
        _ => {}
    }
}

fn named(name: &str, known: usize, is_known: impl Fn(&str) -> bool) -> String {
    let name = escape(name);
    if known < NAMES || is_known(&name) { name } else { "others".into() }
}

fn lists(all: &mut Year, entry_number: u64, entry: &Entry) {
    let list = match &entry.body {
        Body::Start(_) | Body::End(_) | Body::Void(_) => &mut all.ceremonies,
        Body::KeyGenerated(_) | Body::WrappingKeyGenerated(_) | Body::KeyBackedUp(_) => &mut all.keys,
        Body::KeyRestored(_) | Body::KeyProven(_) | Body::KeyDestroyed(_) => &mut all.keys,
        Body::Failure { .. } | Body::Deviation { .. } => &mut all.trouble,
        body if body.decision().is_some() => &mut all.changes,
        _ => return,
    };
    let (what, of) = body_words(&entry.body);
    list.push(Event { entry: entry_number, time: utc(entry.time), what: what.into(), of });
}
