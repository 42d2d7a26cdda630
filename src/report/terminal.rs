//! Text for terminals: lists and tables within 80 columns, numbers and durations for people, the progress bar.
//!
//! One character is taken as one column: untrusted text is ASCII once escaped, and our own words are.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use rustix::termios::tcgetwinsize;

/// Columns that every screen of ours fits in.
pub const WIDTH: usize = 80;

/// A narrower screen is not laid out for.
const NARROW: usize = 40;

/// Columns to lay text out for: those of the terminal that standard output is, at most [`WIDTH`], which a file or a pipe has always.
pub fn width() -> usize {
    static COLUMNS: OnceLock<usize> = OnceLock::new();
    *COLUMNS.get_or_init(|| match tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col).clamp(NARROW, WIDTH),
        _ => WIDTH,
    })
}

/// Columns of the longest key: a request's id has no more characters.
const KEY: usize = 64;
/// No value is shown with a longer line than this, which the longest path fits in; what is beyond is counted.
const LONGEST: usize = 4096;

/// A column narrower than this tells nothing, so a table is not squeezed below it.
const NARROWEST: usize = 8;

/// Groups of three digits: `1,234,567`.
pub fn human_count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 certificate`, `2,000 certificates`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", human_count(count), if count == 1 { one } else { many })
}

/// A duration in at most two units: `12 ms`, `3.4 s`, `2 min 05 s`, `1 h 07 min`, `3 d 04 h`.
pub fn duration(time: Duration) -> String {
    let (ms, s) = (time.as_millis(), time.as_secs());
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{s}.{} s", time.subsec_millis() / 100),
        60..3_600 => format!("{} min {:02} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {:02} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {:02} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// Things a second, `1,635/s`, or `0.4/s` below ten; `-` when no time has passed.
pub fn rate(count: u64, time: Duration) -> String {
    let ms = time.as_millis();
    if ms == 0 {
        return "-".into();
    }
    let tenths = u128::from(count).saturating_mul(10_000) / ms;
    match u64::try_from(tenths / 10) {
        Ok(whole @ 0..10) => format!("{whole}.{}/s", tenths % 10),
        Ok(whole) => format!("{}/s", human_count(whole)),
        Err(_) => "-".into(),
    }
}

/// Octets in binary units: `512 B`, `1.5 KiB`, `3.0 GiB`.
pub fn size(octets: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if octets < 1024 {
        return format!("{octets} B");
    }
    let mut unit = 1u64 << 10;
    for name in UNITS {
        if octets / unit < 1024 || name == "PiB" {
            // The remainder is below 2^50, so ten times it fits.
            return format!("{}.{} {name}", human_count(octets / unit), octets % unit * 10 / unit);
        }
        unit <<= 10;
    }
    format!("{octets} B")
}

/// Cuts text to `width` columns; what was cut is counted: `chat.exampl..+12`. Text is never cut to less than one character,
/// even where that needs more room than `width`.
pub fn cut(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_string();
    }
    // The mark grows with the number in it, so try from the longest text that could fit.
    for kept in (1..width).rev() {
        let mark = format!("..+{}", length - kept);
        if kept + mark.len() <= width {
            return text.chars().take(kept).chain(mark.chars()).collect();
        }
    }
    let kept: String = text.chars().take(1).collect();
    format!("{kept}..+{}", length.saturating_sub(1))
}

/// Aligned pairs, one a line; a long value goes on below its own column, broken at spaces. A word longer than the room stays
/// whole (a path or a digest is there to be copied), so only such a line can be wider than [`WIDTH`].
pub fn pairs<K: AsRef<str>, V: AsRef<str>>(rows: &[(K, V)]) -> String {
    let keys: Vec<String> = rows.iter().map(|(key, _)| cut(key.as_ref(), KEY)).collect();
    let indent = keys.iter().map(|key| key.chars().count()).max().unwrap_or(0) + 2;
    let mut out = String::new();
    for (key, (_, value)) in keys.iter().zip(rows) {
        // A narrow screen and a long key leave room for a word all the same.
        let width = width().saturating_sub(indent).max(NARROWEST);
        // A line end in a value stays one: a list of names is read name by name.
        for (i, line) in value.as_ref().split('\n').flat_map(|line| wrap(line, width)).enumerate() {
            let head = if i == 0 { key } else { "" };
            out.push_str(format!("{head:indent$}{}", cut(&line, LONGEST)).trim_end());
            out.push('\n');
        }
    }
    out
}

/// Breaks text at spaces into lines of at most `width` characters; always at least one line.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let room = width.saturating_sub(line.chars().count() + usize::from(!line.is_empty()));
        if !line.is_empty() && word.chars().count() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A table with a header. Columns in which every cell is a number are set right.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    more: u64,
    limit: usize,
    wrapped: bool,
}

impl Table {
    pub fn new<H: AsRef<str>>(header: &[H]) -> Table {
        let header = header.iter().map(|h| h.as_ref().to_string()).collect();
        Table { header, rows: Vec::new(), more: 0, limit: usize::MAX, wrapped: false }
    }

    /// Shows at most so many rows and counts the rest.
    pub fn limit(mut self, rows: usize) -> Table {
        self.limit = rows;
        self
    }

    /// A cell that is too long for its column goes on below, broken at spaces, in place of being cut.
    pub fn wrapped(mut self) -> Table {
        self.wrapped = true;
        self
    }

    /// Adds a row; missing cells are empty, cells beyond the header are dropped.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        if self.rows.len() >= self.limit {
            self.more = self.more.saturating_add(1);
            return;
        }
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.header.len(), String::new());
        self.rows.push(row);
    }

    /// The table within [`width`] columns: the widest columns are narrowed first, cut cells count what was cut.
    pub fn render(&self) -> String {
        let widths = self.widths();
        let numeric: Vec<bool> = (0..self.header.len()).map(|column| self.is_numeric(column)).collect();
        let mut out = String::new();
        for cells in std::iter::once(&self.header).chain(&self.rows) {
            let cells: Vec<Vec<String>> =
                cells.iter().zip(&widths).map(|(cell, width)| self.fit(cell, *width)).collect();
            for at in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
                let mut line = String::new();
                for (column, ((cell, width), right)) in cells.iter().zip(&widths).zip(&numeric).enumerate() {
                    let cell = cell.get(at).map_or("", String::as_str);
                    let gap = if column == 0 { "" } else { "  " };
                    match right {
                        true => line.push_str(&format!("{gap}{cell:>width$}")),
                        false => line.push_str(&format!("{gap}{cell:width$}")),
                    }
                }
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
        if self.more > 0 {
            out.push_str(&format!("... and {} more\n", human_count(self.more)));
        }
        out
    }

    /// The lines of a cell within its column.
    fn fit(&self, cell: &str, width: usize) -> Vec<String> {
        match self.wrapped {
            true => wrap(cell, width).iter().map(|line| cut(line, width)).collect(),
            false => vec![cut(cell, width)],
        }
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The first rows, whole, and how many there are beyond them.
    pub fn rows(&self, limit: usize) -> (&[Vec<String>], u64) {
        let shown = self.rows.get(..limit).unwrap_or(&self.rows);
        // `usize` is at most 64 bits wide on every target of Rust.
        (shown, self.more.saturating_add((self.rows.len() - shown.len()) as u64))
    }

    /// Is every cell of the column a number?
    pub fn is_numeric(&self, column: usize) -> bool {
        let number = |cell: &String| !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit() || c == ',');
        !self.rows.is_empty() && self.rows.iter().all(|row| row.get(column).is_some_and(number))
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|h| h.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let gaps = 2 * self.header.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > width() {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

/// A progress bar on stderr with rate and time left. Hidden, and then free of cost, where stderr is no terminal, the terminal is
/// `dumb`, or `plain` is asked for.
pub fn progress(what: &str, total: u64, plain: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target(plain)).with_message(what.to_string());
    match ProgressStyle::with_template(TEMPLATE) {
        Ok(style) => bar.with_style(style.progress_chars("=> ").with_key("pace", pace)),
        // The template is a constant and a test reads it; indicatif's own style is no reason to stop a signing run.
        Err(_) => bar,
    }
}

/// One line on stderr that says which step of a work of unknown length is being done, shown where a bar would be.
pub fn steps(what: &'static str, plain: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target(plain)).with_prefix(what);
    match ProgressStyle::with_template(STEPS) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

const TEMPLATE: &str = "{msg} [{bar:24}] {human_pos}/{human_len}{pace}";
const STEPS: &str = "{prefix}  step {pos}, {elapsed}: {wide_msg}";

/// Rate and time left, once anything is done.
fn pace(state: &ProgressState, out: &mut dyn Write) {
    if state.pos() == 0 {
        return;
    }
    // A writer that takes no text shows none.
    let _ = write!(out, "  {}  {:#} left", per_second(state.per_sec()), HumanDuration(state.eta()));
}

fn per_second(rate: f64) -> String {
    if rate < 10.0 {
        return format!("{rate:.1}/s");
    }
    // Without a fraction it is a whole number, but for one that has no more digits than fit.
    format!("{rate:.0}").parse().map_or_else(|_| format!("{rate:.0}/s"), |whole| format!("{}/s", human_count(whole)))
}

fn target(plain: bool) -> ProgressDrawTarget {
    let term = std::env::var("TERM").ok();
    match shows_progress(std::io::stderr().is_terminal(), term.as_deref(), plain) {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    }
}

fn shows_progress(tty: bool, term: Option<&str>, plain: bool) -> bool {
    tty && !plain && term != Some("dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_groups_of_three() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (123_456, "123,456"), (1_234_567, "1,234,567")];
        for (count, text) in cases {
            assert_eq!(human_count(count), text);
        }
        assert_eq!(human_count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(counted(1, "leaf", "leaves"), "1 leaf");
        assert_eq!(counted(2_000, "leaf", "leaves"), "2,000 leaves");
    }

    #[test]
    fn durations_have_at_most_two_units() {
        let cases: [(u64, &str); 9] = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (59_990, "59.9 s"),
            (60_000, "1 min 00 s"),
            (125_000, "2 min 05 s"),
            (4_020_000, "1 h 07 min"),
            (86_399_000, "23 h 59 min"),
            (273_600_000, "3 d 04 h"),
        ];
        for (ms, text) in cases {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn rates_and_sizes() {
        assert_eq!(rate(10, Duration::ZERO), "-");
        assert_eq!(rate(1_635, Duration::from_secs(1)), "1,635/s");
        assert_eq!(rate(2, Duration::from_secs(5)), "0.4/s");
        assert_eq!(rate(u64::MAX, Duration::from_millis(1)), "-");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
        assert_eq!(size(u64::MAX), "16,383.9 PiB");
    }

    #[test]
    fn what_is_cut_is_counted() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("abcdefghijklmnop", 10), "abcde..+11");
        let long = "x".repeat(150);
        for width in 8..150 {
            let shown = cut(&long, width);
            assert!(shown.len() <= width, "{width}: {shown}");
            let (kept, lost) = shown.split_once("..+").unwrap();
            assert_eq!(kept.len() + lost.parse::<usize>().unwrap(), 150);
        }
        assert_eq!(cut("abc", 0), "a..+2");
    }

    #[test]
    fn pairs_are_aligned_and_wrapped() {
        let long = ["word"; 20].join(" ");
        let text = pairs(&[("plan", "x"), ("longer key", long.as_str()), ("empty", "")]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "plan        x");
        assert!(lines[1].starts_with("longer key  word"));
        assert!(lines[2].starts_with("            word"));
        assert_eq!(lines[3], "empty");
        assert!(lines.iter().all(|line| line.len() <= WIDTH));
    }

    #[test]
    fn a_digest_is_never_broken() {
        let digest = "0".repeat(90);
        let text = pairs(&[("sha256", format!("is {digest}"))]);
        assert!(text.lines().any(|line| line.trim() == digest));
        let endless = pairs(&[("name", "x".repeat(65_536))]);
        assert!(endless.len() <= 6 + LONGEST + 1 && endless.ends_with("..+61448\n"));
    }

    #[test]
    fn tables_fit_eighty_columns() {
        let mut table = Table::new(&["request", "names", "count"]);
        table.row(["req-1".to_string(), "n".repeat(200), "7".into()]);
        table.row(["req-2", "short", "1,000"]);
        let text = table.render();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{text}");
        assert!(lines[1].contains("..+") && lines[1].ends_with("      7"), "{text}");
        assert!(lines[2].ends_with("  1,000"));
        assert_eq!(lines[0].len(), WIDTH);
    }

    #[test]
    fn a_wrapped_table_loses_nothing() {
        let mut table = Table::new(&["trait", "commonest", "others"]).wrapped();
        let others: Vec<String> = (0..20).map(|n| format!("profile-{n}: {n}")).collect();
        table.row(["profile".to_string(), "xmpp-server: 1,234".into(), others.join(", ")]);
        table.row(["key", "ecdsa-p256: 1,254", ""]);
        let text = table.render();
        assert!(text.lines().all(|line| line.len() <= WIDTH) && !text.contains("..+"), "{text}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(words(&others.join(", ")).iter().all(|word| words(&text).contains(word)), "{text}");
        assert!(text.ends_with("\nkey      ecdsa-p256: 1,254\n"), "{text}");
    }

    #[test]
    fn rows_beyond_the_limit_are_counted() {
        let mut table = Table::new(&["id"]).limit(2);
        (0..1_500).for_each(|i| table.row([format!("r{i}")]));
        assert_eq!(table.render(), "id\nr0\nr1\n... and 1,498 more\n");
    }

    #[test]
    fn short_and_long_rows_do_not_shift_columns() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["x"]);
        table.row(["y", "z", "dropped"]);
        assert_eq!(table.render(), "a  b\nx\ny  z\n");
    }

    #[test]
    fn the_bar_shows_only_on_a_real_terminal() {
        assert!(shows_progress(true, Some("xterm"), false));
        assert!(!shows_progress(false, Some("xterm"), false));
        assert!(!shows_progress(true, Some("xterm"), true));
        assert!(!shows_progress(true, Some("dumb"), false));
        assert!(progress("signing", 10, true).is_hidden());
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        assert!(ProgressStyle::with_template(STEPS).is_ok());
    }
}
