//! A year's activity of a log on one page: no scripts, fonts, pictures or anything fetched; the plots are SVG inside it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Error;
use super::page;
use super::terminal::human_count;

/// At most this many rows of a list; the rest is counted. `coldroot show` has all of them.
pub const MAX_ROWS: usize = 200;
/// Profiles with a colour of their own; what is beyond them shares one.
const COLOURS: usize = 6;
const TEMPLATE: &str = include_str!("year.html");

/// What happened in a month.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Month {
    pub certificates: u64,
    pub refused: u64,
    pub revoked: u64,
    pub crls: u64,
    pub starts: u64,
    pub pin_tries: u64,
    pub logins: u64,
    pub failures: u64,
}

/// A line of a list: when, what, and about what.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    pub entry: u64,
    pub time: String,
    pub what: String,
    pub of: String,
}

/// A list of which at most [`MAX_ROWS`] are kept.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Events {
    pub rows: Vec<Event>,
    pub more: u64,
}

impl Events {
    pub fn push(&mut self, event: Event) {
        match self.rows.len() < MAX_ROWS {
            true => self.rows.push(event),
            false => self.more += 1,
        }
    }
}

/// A CRL's validity, in seconds since the epoch.
#[derive(Clone, Debug, Serialize)]
pub struct Validity {
    pub number: u64,
    pub from: i64,
    pub until: i64,
}

/// What the page says. Texts are escaped already; times of events are [`crate::text::utc`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct Year {
    pub year: i32,
    /// Its first second and the first of the next.
    pub begin: i64,
    pub end: i64,
    pub origin: String,
    pub name: String,
    pub rehearsal: bool,
    pub size: u64,
    pub sealed: u64,
    pub root: String,
    /// Entries of the year.
    pub entries: u64,
    pub months: [Month; 12],
    pub profiles: BTreeMap<String, [u64; 12]>,
    pub checks: BTreeMap<String, u64>,
    pub reasons: BTreeMap<String, u64>,
    /// By CA, in the order of the log.
    pub crls: BTreeMap<String, Vec<Validity>>,
    pub ceremonies: Events,
    pub keys: Events,
    pub changes: Events,
    pub trouble: Events,
}

/// A rectangle of a plot.
#[derive(Serialize)]
struct Bar {
    x: String,
    y: String,
    width: String,
    height: String,
    class: String,
    title: String,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The page. Same input, same octets.
pub fn render(year: &Year) -> Result<String, Error> {
    let mut data = serde_json::to_value(year)?;
    if let Some(map) = data.as_object_mut() {
        let sum = |of: fn(&Month) -> u64| year.months.iter().map(of).sum::<u64>();
        let totals = serde_json::json!({
            "certificates": sum(|m| m.certificates), "refused": sum(|m| m.refused), "revoked": sum(|m| m.revoked),
            "crls": sum(|m| m.crls), "starts": sum(|m| m.starts), "pin_tries": sum(|m| m.pin_tries),
            "logins": sum(|m| m.logins), "failures": sum(|m| m.failures),
        });
        let highest = year.months.iter().map(|m| m.certificates).max().unwrap_or(0);
        let legend = legend(year);
        let mut rows = serde_json::to_value(&year.months)?;
        for (row, name) in rows.as_array_mut().into_iter().flatten().zip(MONTHS) {
            if let Some(row) = row.as_object_mut() {
                row.insert("month".into(), name.into());
            }
        }
        map.insert("months".into(), rows);
        map.insert("totals".into(), totals);
        map.insert("highest".into(), highest.into());
        map.insert("bars".into(), serde_json::to_value(bars(year, &legend, highest))?);
        map.insert("legend".into(), serde_json::to_value(&legend)?);
        map.insert("lanes".into(), serde_json::to_value(lanes(year))?);
        map.insert("names".into(), serde_json::json!(MONTHS));
        map.insert("checks".into(), ranked(&year.checks));
        map.insert("reasons".into(), ranked(&year.reasons));
    }
    page::fill("year.html", TEMPLATE, data)
}

/// Counts, the largest first, each with its share of the largest in a hundred.
fn ranked(counts: &BTreeMap<String, u64>) -> serde_json::Value {
    let mut rows: Vec<_> = counts.iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let largest = rows.first().map_or(1, |(_, count)| (**count).max(1));
    let row = |(name, count): (&String, &u64)| serde_json::json!({ "name": name, "count": count, "share": (count * 100 / largest).max(1) });
    rows.into_iter().map(row).collect()
}

#[derive(Serialize)]
struct Profile {
    name: String,
    class: String,
    count: u64,
    #[serde(skip)]
    months: [u64; 12],
}

/// The profiles with their colours, the most used first.
fn legend(year: &Year) -> Vec<Profile> {
    let mut all: Vec<Profile> = Vec::new();
    let mut sorted: Vec<_> = year.profiles.iter().collect();
    sorted.sort_by_key(|(_, months)| std::cmp::Reverse(months.iter().sum::<u64>()));
    for (name, months) in sorted {
        let count = months.iter().sum();
        if all.len() < COLOURS {
            let class = format!("c{}", all.len());
            all.push(Profile { name: name.clone(), class, count, months: *months });
        } else if let Some(last) = all.last_mut() {
            last.name = "others".into();
            last.count += count;
            last.months.iter_mut().zip(months).for_each(|(sum, n)| *sum += n);
        }
    }
    all
}

/// The stacked bars of certificates by month, in a field of 720 by 200.
fn bars(year: &Year, legend: &[Profile], highest: u64) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (month, (place, name)) in (0u32..).zip(MONTHS).enumerate() {
        let mut below = 0;
        for profile in legend {
            let count = profile.months.get(month).copied().unwrap_or(0);
            if count == 0 {
                continue;
            }
            let of = |n: u64| f64_of(n) / f64_of(highest.max(1)) * 200.0;
            let (height, top) = (of(count), 200.0 - of(below + count));
            below += count;
            bars.push(Bar {
                x: format!("{:.1}", f64::from(place) * 60.0 + 12.0),
                y: format!("{top:.2}"),
                width: "36".into(),
                height: format!("{height:.2}"),
                class: profile.class.clone(),
                title: format!("{name} {}: {} {}", year.year, human_count(count), profile.name),
            });
        }
    }
    bars
}

/// Counts as lengths: beyond 2^53 nobody sees the difference.
fn f64_of(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX.sqrt(), f64::from)
}

#[derive(Serialize)]
struct Lane {
    ca: String,
    crls: usize,
    first: u64,
    last: u64,
    bars: Vec<Bar>,
    /// Times within the year without a CRL in force, after the first one.
    gaps: Vec<String>,
}

/// One lane a CA: the validity of each CRL, neighbours on two lines, and what no CRL covers.
fn lanes(year: &Year) -> Vec<Lane> {
    let span = (year.end - year.begin).max(1);
    // Seconds of one year are far below 2^53.
    let place = |time: i64| {
        f64_of((time.clamp(year.begin, year.end) - year.begin).unsigned_abs()) / f64_of(span.unsigned_abs()) * 720.0
    };
    let bar = |from: i64, until: i64, y: u32, height: u32, class: &str, title: String| Bar {
        x: format!("{:.2}", place(from)),
        y: y.to_string(),
        width: format!("{:.2}", (place(until) - place(from)).max(1.0)),
        height: height.to_string(),
        class: class.into(),
        title,
    };
    let day = |time: i64| crate::text::utc(time).get(..10).unwrap_or_default().to_string();
    let mut lanes = Vec::new();
    for (ca, crls) in &year.crls {
        let (mut bars, mut gaps) = (Vec::new(), Vec::new());
        let mut covered = crls.first().map_or(year.begin, |crl| crl.from.max(year.begin));
        for (n, crl) in (0u32..).zip(crls) {
            if crl.from > covered {
                bars.push(bar(
                    covered,
                    crl.from,
                    2,
                    22,
                    "gap",
                    format!("no CRL in force, {} to {}", day(covered), day(crl.from)),
                ));
                gaps.push(format!("{} to {}", day(covered), day(crl.from)));
            }
            covered = covered.max(crl.until);
            let title = format!("CRL {}: {} to {}", crl.number, day(crl.from), day(crl.until));
            bars.push(bar(crl.from, crl.until, 2 + n % 2 * 12, 10, "crl", title));
        }
        let (first, last) = (crls.first().map_or(0, |c| c.number), crls.last().map_or(0, |c| c.number));
        lanes.push(Lane { ca: ca.clone(), crls: crls.len(), first, last, bars, gaps });
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set `COLDROOT_YEAR_SAMPLE` to a path and the sample page is written there, to be looked at in a browser.
    const SAMPLE: &str = "COLDROOT_YEAR_SAMPLE";
    const DAY: i64 = 86_400;

    fn year() -> Year {
        let begin = crate::text::parse_utc("2026-01-01T00:00:00Z").unwrap();
        let mut year = Year {
            year: 2026,
            begin,
            end: crate::text::parse_utc("2027-01-01T00:00:00Z").unwrap(),
            origin: "ca.example.org/log".into(),
            name: "Example XMPP Trust".into(),
            size: 12_345,
            sealed: 12_344,
            root: crate::text::hex_groups(&[0xab; 32]),
            entries: 9_876,
            ..Year::default()
        };
        for (n, month) in (0u64..).zip(&mut year.months) {
            let other = Month {
                refused: n % 4 * 9,
                revoked: n,
                crls: 4,
                starts: 4,
                pin_tries: 5,
                logins: 4,
                failures: n % 3,
                certificates: 0,
            };
            *month = Month { certificates: 300 + n * 90 % 400, ..other };
        }
        let split = |part: u64| std::array::from_fn(|n| year.months[n].certificates * part / 10);
        year.profiles =
            [("xmpp-server".into(), split(7)), ("tls-server".into(), split(2)), ("device".into(), split(1))].into();
        year.checks = [("names-validated".into(), 120), ("key-size".into(), 31), ("subject-text".into(), 1)].into();
        year.reasons = [("superseded".into(), 40), ("key-compromise".into(), 3)].into();
        let weekly = |n: i64| Validity {
            number: n.unsigned_abs() + 1,
            from: begin + n * 7 * DAY,
            until: begin + (n * 7 + 10) * DAY,
        };
        let rare = |n: i64| Validity {
            number: n.unsigned_abs() + 7,
            from: begin + (n * 180 - 60) * DAY,
            until: begin + (n * 180 + 100) * DAY,
        };
        year.crls =
            [("xmpp-1".into(), (0..52).map(weekly).collect()), ("root".into(), (0..3).map(rare).collect())].into();
        let event = |what: &str, of: &str| Event {
            entry: 4_711,
            time: "2026-03-04T10:11:12Z".into(),
            what: what.into(),
            of: of.into(),
        };
        (0..14).for_each(|_| {
            year.ceremonies
                .push(event("start", "3f2a9c01: carol operating, dave watching; 120 done, 3 refused, release 17"))
        });
        year.keys.push(event("key made", "xmpp-key ecdsa-p256"));
        year.changes.push(event("new hierarchy", "3f2a9c01 for 1b2c3d4e"));
        year.trouble.push(event("DEVIATION", "the seal of bag 12 was broken; <b>bag</b> photographed (carol, dave)"));
        year
    }

    #[test]
    fn the_page_has_every_number_and_fetches_and_runs_nothing() {
        let page = render(&year()).unwrap();
        for fact in [
            "Example XMPP Trust",
            "12,345",
            "names-validated",
            "key-compromise",
            "carol operating",
            "xmpp-key",
            "abab abab",
        ] {
            assert!(page.contains(fact), "{fact}");
        }
        assert!(page.contains("&lt;b&gt;bag") && !page.contains("<b>bag"));
        for bad in ["<script", "<link", "<img", "<iframe", "https://", "url(", "@import", "javascript:", "NaN", "inf"] {
            assert!(!page.contains(bad), "{bad}");
        }
        assert!(page.contains("default-src 'none'"));
        if let Some(path) = std::env::var_os(SAMPLE) {
            std::fs::write(path, &page).unwrap();
        }
        let rehearsal = render(&Year { rehearsal: true, ..year() }).unwrap();
        assert!(rehearsal.split_once("<body>").unwrap().1.trim_start().starts_with("<p class=\"rehearsal\""));
        assert!(!page.contains("class=\"rehearsal\">"));
    }

    #[test]
    fn a_time_without_a_crl_is_drawn_and_named() {
        let lanes = lanes(&year());
        let of = |ca: &str| lanes.iter().find(|lane| lane.ca == ca).unwrap();
        assert_eq!(of("xmpp-1").gaps, [] as [&str; 0]);
        // From day 100 to day 120, and from day 280 to 300.
        assert_eq!(of("root").gaps, ["2026-04-11 to 2026-05-01", "2026-10-08 to 2026-10-28"]);
        assert_eq!(of("root").bars.iter().filter(|bar| bar.class == "gap").count(), 2);
    }

    #[test]
    fn an_empty_year_and_a_crowded_one_are_pages_too() {
        let empty = Year { year: 2026, begin: 0, end: 31_536_000, ..Year::default() };
        assert!(render(&empty).unwrap().contains("Nothing"));
        let mut crowded = year();
        for n in 0..40 {
            crowded.profiles.insert(format!("profile-{n}"), [1; 12]);
        }
        let legend = legend(&crowded);
        assert_eq!((legend.len(), legend[COLOURS - 1].name.as_str()), (COLOURS, "others"));
        let sum: u64 = crowded.profiles.values().flatten().sum();
        assert_eq!(legend.iter().map(|profile| profile.count).sum::<u64>(), sum);
        (0..MAX_ROWS + 5).for_each(|_| crowded.trouble.push(crowded.keys.rows[0].clone()));
        assert_eq!((crowded.trouble.rows.len(), crowded.trouble.more), (MAX_ROWS, 6));
    }
}
