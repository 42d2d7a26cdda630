//! What comes due on a station: CRLs that run out, certificates, persons' keys. One list, as a table, as iCalendar (RFC 5545) and
//! as a picture (SVG). Times are seconds since the epoch; texts are escaped already.

use serde::Serialize;

use super::Error;
use super::page;
use super::terminal::{Table, counted};
use crate::digest::Digest;
use crate::text::utc;

const TEMPLATE: &str = include_str!("calendar.svg");
const DAY: i64 = 86_400;
/// Octets of a line of iCalendar, its end apart (RFC 5545 §3.1).
const LINE: usize = 75;
/// Units of the picture: its width, and where the bars begin.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 200.0;

/// Something that has to be done by then, or that ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Due {
    pub time: i64,
    pub what: String,
    /// The CA, profile or person.
    pub of: String,
    /// What to do about it; empty where nothing can be done.
    pub next: String,
}

/// What a bar of the picture is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    Certificate,
    Crl,
    Person,
}

/// Something that is good from one time to another.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    pub of: Of,
    pub name: String,
    pub from: i64,
    pub until: i64,
}

/// A calendar.
#[derive(Clone, Debug, Serialize)]
pub struct Calendar {
    pub origin: String,
    pub name: String,
    pub rehearsal: bool,
    /// The time it was asked at, and the time up to which it goes.
    pub now: i64,
    pub until: i64,
    /// In the order of time; what is overdue first.
    pub due: Vec<Due>,
    /// How much lies behind `until`.
    pub later: u64,
    pub bars: Vec<Bar>,
}

/// The day of a time.
fn day(time: i64) -> String {
    utc(time).get(..10).unwrap_or_default().to_string()
}

/// How far away a time is, in whole days.
fn distance(time: i64, now: i64) -> String {
    match (time - now).div_euclid(DAY) {
        _ if time < now => format!("{} ago", counted((now - time).unsigned_abs() / 86_400, "day", "days")),
        0 => "today".into(),
        days => format!("in {}", counted(days.unsigned_abs(), "day", "days")),
    }
}

/// The table, what is overdue marked, and below it the commands.
pub fn table(calendar: &Calendar) -> String {
    let mut text = format!("{}, from {}\n\n", calendar.name, day(calendar.now));
    if calendar.due.is_empty() {
        text += "Nothing comes due.\n";
    }
    let mut table = Table::new(&["", "day", "", "of", "what"]);
    for due in &calendar.due {
        let late = if due.time < calendar.now { "!" } else { "" };
        table.row([late, &day(due.time), &distance(due.time, calendar.now), &due.of, &due.what]);
    }
    if !calendar.due.is_empty() {
        text += &table.render();
    }
    if calendar.later > 0 {
        text += &format!("... and {} after {}\n", counted(calendar.later, "more", "more"), day(calendar.until));
    }
    let overdue = calendar.due.iter().filter(|due| due.time < calendar.now).count() as u64;
    if overdue > 0 {
        text += &format!("\n! {} overdue.\n", counted(overdue, "line is", "lines are"));
    }
    if let Some(first) = calendar.due.iter().find(|due| !due.next.is_empty()) {
        text += &format!("\n  next: {}\n", first.next);
    }
    text
}

/// iCalendar: an event of one day for each line, with alarms two weeks and two days before. The same calendar gives the same
/// octets but for DTSTAMP, and the same event the same UID, so that a calendar that was imported is brought up to date.
pub fn icalendar(calendar: &Calendar) -> String {
    let stamp = |time: i64| utc(time).replace(['-', ':'], "");
    let date = |time: i64| day(time).replace('-', "");
    let mut lines: Vec<String> =
        ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//coldroot//calendar//EN", "CALSCALE:GREGORIAN"]
            .map(Into::into)
            .into();
    for due in &calendar.due {
        let mark = if calendar.rehearsal { "REHEARSAL: " } else { "" };
        let id = Digest::of(format!("{}\n{}\n{}\n{}", calendar.origin, due.time, due.what, due.of).as_bytes());
        lines.push("BEGIN:VEVENT".into());
        lines.push(format!("UID:{}@coldroot", id.hex().get(..32).unwrap_or_default()));
        lines.push(format!("DTSTAMP:{}", stamp(calendar.now)));
        lines.push(format!("DTSTART;VALUE=DATE:{}", date(due.time)));
        lines.push(format!("SUMMARY:{}", escaped(&format!("{mark}{}: {}", due.of, due.what))));
        let next = if due.next.is_empty() { String::new() } else { format!("\n{}", due.next) };
        lines.push(format!("DESCRIPTION:{}", escaped(&format!("{} at {}{next}", calendar.name, utc(due.time)))));
        lines.push("TRANSP:TRANSPARENT".into());
        for before in ["-P14D", "-P2D"] {
            lines.extend(["BEGIN:VALARM", "ACTION:DISPLAY"].map(String::from));
            lines.push(format!("TRIGGER:{before}"));
            lines.push(format!("DESCRIPTION:{}", escaped(&format!("{mark}{}: {}", due.of, due.what))));
            lines.push("END:VALARM".into());
        }
        lines.push("END:VEVENT".into());
    }
    lines.push("END:VCALENDAR".into());
    lines.iter().map(|line| folded(line)).collect()
}

/// A TEXT value (RFC 5545 §3.3.11).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace('\n', "\\n")
}

/// A content line, folded (RFC 5545 §3.1). All of it is ASCII, so no character is cut.
fn folded(line: &str) -> String {
    let mut out = String::new();
    for (n, character) in line.chars().enumerate() {
        if n > 0 && n % (LINE - 1) == 0 {
            out += "\r\n ";
        }
        out.push(character);
    }
    out + "\r\n"
}

#[derive(Serialize)]
struct Drawn {
    class: Of,
    name: String,
    title: String,
    /// Goes on beyond the right edge.
    beyond: bool,
    late: bool,
    x: String,
    width: String,
    y: usize,
}

#[derive(Serialize)]
struct Tick {
    x: String,
    label: String,
}

/// The picture: a bar for each certificate, CRL and person, today as a line.
pub fn picture(calendar: &Calendar) -> Result<String, Error> {
    let span = (calendar.until - calendar.now).max(DAY);
    // A tenth of what lies ahead is shown of what lies behind.
    let (begin, end) = (calendar.now - span / 10, calendar.now + span);
    let place = |time: i64| {
        let share = (time.clamp(begin, end) - begin) as f64 / (end - begin) as f64;
        LEFT + share * (WIDTH - LEFT - 20.0)
    };
    let bars: Vec<Drawn> = calendar
        .bars
        .iter()
        .enumerate()
        .map(|(row, bar)| Drawn {
            class: bar.of,
            name: super::terminal::cut(&bar.name, 26),
            title: format!("{}: {} to {}", bar.name, day(bar.from), day(bar.until)),
            beyond: bar.until > end,
            late: bar.until < calendar.now,
            x: format!("{:.1}", place(bar.from)),
            width: format!("{:.1}", (place(bar.until) - place(bar.from)).max(2.0)),
            y: 64 + row * 26,
        })
        .collect();
    let ticks: Vec<Tick> =
        months(begin, end - span / 40).map(|(time, label)| Tick { x: format!("{:.1}", place(time)), label }).collect();
    let data = serde_json::json!({
        "name": calendar.name, "rehearsal": calendar.rehearsal, "today": day(calendar.now), "now": format!("{:.1}", place(calendar.now)),
        "height": 64 + bars.len() * 26 + 36, "bars": serde_json::to_value(&bars)?, "ticks": serde_json::to_value(&ticks)?,
    });
    page::fill("calendar.svg", TEMPLATE, data)
}

/// The beginnings of quarters, or of years where there would be many, with their labels.
fn months(begin: i64, end: i64) -> impl Iterator<Item = (i64, String)> {
    let step = if end - begin > 4 * 366 * DAY { 12 } else { 3 };
    let year = utc(begin).get(..4).and_then(|year| year.parse::<i32>().ok()).unwrap_or(1970);
    let firsts = (year..year + 101)
        .flat_map(move |year| (1..13).step_by(step).map(move |month| format!("{year:04}-{month:02}")));
    firsts
        .filter_map(|label| Some((crate::text::parse_utc(&format!("{label}-01T00:00:00Z"))?, label)))
        .skip_while(move |(time, _)| *time < begin)
        .take_while(move |(time, _)| *time <= end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar() -> Calendar {
        let now = crate::text::parse_utc("2026-11-29T12:00:00Z").unwrap();
        let due = |days: i64, of: &str, what: &str, next: &str| Due {
            time: now + days * DAY,
            what: what.into(),
            of: of.into(),
            next: next.into(),
        };
        let bar = |of: Of, name: &str, from: i64, until: i64| Bar {
            of,
            name: name.into(),
            from: now + from * DAY,
            until: now + until * DAY,
        };
        Calendar {
            origin: "example.org/log".into(),
            name: "Example CA".into(),
            rehearsal: true,
            now,
            until: now + 730 * DAY,
            due: vec![
                due(-3, "servers", "CRL 7 runs out", "coldroot plan --crl servers"),
                due(0, "root", "CRL 2 runs out", "coldroot plan --crl root"),
                due(40, "a;b,c\\d<script>&", &"long ".repeat(30), ""),
            ],
            later: 2,
            bars: vec![
                bar(Of::Certificate, "root", -900, 9_000),
                bar(Of::Crl, "servers, CRL 7", -33, -3),
                bar(Of::Person, "<script>alert(1)</script>", 0, 100),
            ],
        }
    }

    #[test]
    fn what_is_overdue_comes_first_and_is_counted() {
        let text = table(&calendar());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[3].starts_with("!  2026-11-26  3 days ago  servers"), "{text}");
        assert!(lines[4].starts_with("   2026-11-29  today"), "{text}");
        assert!(text.contains("... and 2 more after 2028-11-28") && text.contains("! 1 line is overdue."), "{text}");
        assert!(text.ends_with("next: coldroot plan --crl servers\n"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        let empty = Calendar { due: Vec::new(), later: 0, ..calendar() };
        assert!(table(&empty).contains("Nothing comes due."));
    }

    #[test]
    fn icalendar_is_folded_and_escaped_and_its_events_keep_their_names() {
        let (text, later) = (icalendar(&calendar()), Calendar { now: calendar().now + 5, ..calendar() });
        assert!(text.split("\r\n").all(|line| line.len() <= LINE && !line.contains('\n')), "{text}");
        let unfolded = text.replace("\r\n ", "");
        assert!(unfolded.contains("SUMMARY:REHEARSAL: a\\;b\\,c\\\\d<script>&: long "), "{unfolded}");
        assert!(unfolded.contains("DESCRIPTION:Example CA at 2026-11-26T12:00:00Z\\ncoldroot plan --crl servers\r\n"));
        assert_eq!((unfolded.matches("BEGIN:VEVENT").count(), unfolded.matches("BEGIN:VALARM").count()), (3, 6));
        let ids = |text: &str| text.lines().filter(|l| l.starts_with("UID:")).map(String::from).collect::<Vec<_>>();
        assert_eq!(ids(&text), ids(&icalendar(&later)));
        assert_eq!(ids(&text).iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn the_picture_has_a_bar_for_each_and_nothing_that_runs() {
        let text = picture(&calendar()).unwrap();
        assert_eq!(text, picture(&calendar()).unwrap());
        assert!(text.contains("REHEARSAL: Example CA") && !text.contains("<script") && text.contains("&lt;script&gt;"));
        assert!(
            text.contains(r#"class="crl late""#) && text.contains("&#8594;") && text.contains(">2027-01<"),
            "{text}"
        );
        assert_eq!(text.matches("rx=").count(), 3);
    }
}
