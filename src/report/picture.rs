//! The pictures of a release's page: the CAs as a tree, and on a line of time until when certificates and CRLs are good. Both are
//! laid out by the page's styles, so they grow and shrink with it, in a browser and on paper.

use serde::Serialize;

use super::html::ReleaseReport;
use crate::text::parse_utc;

const DAY: i64 = 86_400;
/// How much of the time line lies before the release, and how much of it behind: what ends later goes on beyond the edge.
const BEFORE: i64 = 40 * DAY;
const BEHIND: i64 = 1_100 * DAY;

/// A CA and those below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    pub id: String,
    pub key: String,
    pub until: String,
    /// End-entity certificates that the release has of it.
    pub signed: u64,
    pub below: Vec<Node>,
}

/// The trees of a report's CAs, in their order. A CA whose issuer is not among them begins a tree.
pub fn trees(report: &ReleaseReport) -> Vec<Node> {
    let top = |ca: &&super::CaRow| {
        let issuer = ca.issuer.as_ref().filter(|issuer| **issuer != ca.id);
        issuer.is_none_or(|issuer| !report.cas.iter().any(|other| other.id == *issuer))
    };
    report.cas.iter().filter(top).map(|ca| node(report, ca, report.cas.len())).collect()
}

/// `depth`: no chain has more CAs than there are, so that issuers in a circle end.
fn node(report: &ReleaseReport, ca: &super::CaRow, depth: usize) -> Node {
    let below = |other: &&super::CaRow| other.id != ca.id && other.issuer.as_ref() == Some(&ca.id);
    let signed = report.signed.iter().filter(|count| count.by == ca.id).map(|count| count.count);
    Node {
        id: ca.id.clone(),
        key: ca.key_algorithm.clone(),
        until: day(&ca.not_after),
        signed: signed.sum(),
        below: match depth.checked_sub(1) {
            Some(depth) => report.cas.iter().filter(below).map(|other| node(report, other, depth)).collect(),
            None => Vec::new(),
        },
    }
}

/// A bar on the line of time; places in hundredths of a percent of its width.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bar {
    pub name: String,
    /// `certificate`, `crl` or `leaf`.
    pub of: &'static str,
    pub title: String,
    pub left: String,
    pub width: String,
    /// It ends beyond the edge.
    pub beyond: bool,
}

/// The line of time: bars, and the beginnings of half-years.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub bars: Vec<Bar>,
    pub ticks: Vec<(String, String)>,
    /// Where the release stands.
    pub now: String,
}

/// The line of a report; `None` where nothing on it has a time.
pub fn line(report: &ReleaseReport) -> Option<Line> {
    let now = parse_utc(&report.sign_from)?;
    let (begin, end) = (now - BEFORE, now + BEHIND);
    let place = |time: i64| (time.clamp(begin, end) - begin) * 10_000 / (end - begin);
    let percent = |place: i64| format!("{}.{:02}", place / 100, place % 100);
    let bar = |name: &str, of: &'static str, from: &str, until: &str| {
        let (begins, ends) = (parse_utc(from)?, parse_utc(until)?);
        Some(Bar {
            name: name.to_string(),
            of,
            title: format!("{} to {}", day(from), day(until)),
            left: percent(place(begins)),
            width: percent((place(ends) - place(begins)).max(30)),
            beyond: ends > end,
        })
    };
    let mut bars = Vec::new();
    for ca in &report.cas {
        bars.extend(bar(&ca.id, "certificate", &ca.not_before, &ca.not_after));
        let crls = report.crls.iter().filter(|crl| crl.ca == ca.id);
        bars.extend(
            crls.filter_map(|crl| bar(&format!("its CRL {}", crl.number), "crl", &crl.this_update, &crl.next_update)),
        );
    }
    let last = report.certificates.iter().filter_map(|c| Some((parse_utc(&c.not_after)?, &c.not_after))).max();
    bars.extend(last.and_then(|(_, until)| bar("end entities", "leaf", &report.sign_from, until)));
    let year = report.sign_from.get(..4).and_then(|year| year.parse::<i32>().ok())?;
    let halves = (year..year + 5).flat_map(|year| ["01", "07"].map(|month| format!("{year:04}-{month}")));
    let tick = |label: String| {
        let time = parse_utc(&format!("{label}-01T00:00:00Z"))?;
        // A label at either edge would be cut.
        (begin + 30 * DAY..end - 45 * DAY).contains(&time).then(|| (percent(place(time)), label))
    };
    (!bars.is_empty()).then(|| Line { bars, ticks: halves.filter_map(tick).collect(), now: percent(place(now)) })
}

fn day(time: &str) -> String {
    time.get(..10).unwrap_or(time).to_string()
}
