//! Untrusted text, and the one function that shows it; digests in groups for reading aloud.
//!
//! Text that came from a medium is kept as [`Untrusted`], which has no `Display`: whoever wants to show it must go through
//! [`Untrusted::shown`], so a terminal escape or a bidirectional override in a name never reaches a terminal, a log or a page.
//!
//! What is shown is printable ASCII, and one reading of it is possible: a backslash of the text itself is doubled, so a single one
//! always begins something of ours, `\u{hex}` for a character or `\{words}` for a note (what was cut, mixed scripts, what an
//! A-label stands for). Paths and next commands have functions of their own ([`path`], [`shell`]).

pub mod idn;
mod note;
pub mod words;

use std::ffi::OsStr;
use std::path::Path;

/// At most this many characters of one untrusted text are shown; the rest is counted.
pub const SHOWN: usize = 256;
/// A line of a message or a file ends after this many columns; the rest is counted.
pub const LINE: usize = 8192;
/// At most this many lines of a file that is shown as it stands; the rest is counted.
pub const LINES: usize = 1000;

/// Text from outside.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Untrusted(String);

impl Untrusted {
    pub fn new(text: impl Into<String>) -> Untrusted {
        Untrusted(text.into())
    }

    /// The raw text, for comparison and encoding, never for showing.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// As [`escape`] shows it.
    pub fn shown(&self) -> String {
        escape(&self.0)
    }
}

impl std::fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

/// Shows untrusted text to people: as [`quoted`] writes it, then notes on what the eye would miss: for each A-label (`xn--…`) what it
/// stands for and in which scripts, and which scripts are mixed within one word (UTS #39 §5.1).
pub fn escape(text: &str) -> String {
    let mut out = quoted(text);
    // The notes speak of what is shown: what was cut is counted, and nothing is said of it.
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
    for note in note::notes(text.get(..end).unwrap_or_default(), end < text.len()) {
        out.push_str(&format!("\\{{{note}}}"));
    }
    out
}

/// Untrusted text as statements hold it: printable ASCII as it is, backslash doubled, everything else as `\u{hex}`, and so is a
/// space that stands at an end or beside another one, since no eye counts spaces; what is beyond [`SHOWN`] characters is counted,
/// not shown. The same text gives the same octets in every version: officers sign them.
pub fn quoted(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars().peekable();
    let mut after_space = true;
    for c in characters.by_ref().take(SHOWN) {
        put(&mut out, c, after_space);
        after_space = c == ' ';
    }
    match characters.count() {
        0 => end_seen(out),
        rest => format!("{out}\\{{{rest} more characters}}"),
    }
}

fn put(out: &mut String, c: char, space_escaped: bool) {
    match c {
        '\\' => out.push_str("\\\\"),
        ' ' if space_escaped => out.push_str("\\u{20}"),
        ' '..='~' => out.push(c),
        _ => out.push_str(&code_point(c)),
    }
}

/// A space at the end is known only there.
fn end_seen(shown: String) -> String {
    match shown.strip_suffix(' ') {
        Some(before) => format!("{before}\\u{{20}}"),
        None => shown,
    }
}

fn code_point(c: char) -> String {
    format!("\\u{{{:x}}}", u32::from(c))
}

/// The last guard before a terminal: line ends and printable ASCII as they are, everything else as `\u{hex}`. What was
/// escaped before passes unchanged.
pub fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | ' '..='~' => out.push(c),
            _ => out.push_str(&code_point(c)),
        }
    }
    out
}

/// The same for what must be one line: a line end is escaped as well, so that it begins no message of its own. What is beyond
/// [`LINE`] columns is counted.
pub fn line(text: &str) -> String {
    let mut out = String::new();
    for (shown, c) in text.chars().enumerate() {
        if out.len() >= LINE {
            return format!("{out}\\{{{} more characters}}", text.chars().count() - shown);
        }
        match c {
            ' '..='~' => out.push(c),
            _ => out.push_str(&code_point(c)),
        }
    }
    out
}

/// A text file as it stands, each line through [`line`]; what is beyond [`LINES`] lines is counted.
pub fn page(text: &str) -> String {
    let mut out: String = text.lines().take(LINES).map(|l| line(l) + "\n").collect();
    let rest = text.lines().count().saturating_sub(LINES);
    if rest > 0 {
        out.push_str(&format!("\\{{{rest} more lines}}\n"));
    }
    out
}

/// A path for people, whole: as [`quoted`], and octets that are no UTF-8 as `\x{hex}`. Never cut: it is there to be found.
pub fn path(path: impl AsRef<Path>) -> String {
    let mut out = String::new();
    let mut after_space = true;
    for chunk in path.as_ref().as_os_str().as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            put(&mut out, c, after_space);
            after_space = c == ' ';
        }
        chunk.invalid().iter().for_each(|octet| out.push_str(&format!("\\x{{{octet:x}}}")));
    }
    end_seen(out)
}

/// One word of a command that a person types or pastes: as it is where no shell would touch it, else in single quotes, else (not all
/// printable ASCII) as `$'…'`, which bash, zsh, ksh and POSIX.1-2024 know. Never cut, and never an option.
pub fn shell(word: impl AsRef<OsStr>) -> String {
    let bytes = word.as_ref().as_encoded_bytes();
    let dash = if bytes.starts_with(b"-") { "./" } else { "" };
    let plain = |c: &u8| c.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(c);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return bytes.iter().fold(dash.to_string(), |out, c| out + &char::from(*c).to_string());
    }
    let printable = bytes.iter().all(|c| (b' '..=b'~').contains(c));
    let mut out = format!("{}{dash}", if printable { "'" } else { "$'" });
    for c in bytes {
        match *c {
            b'\'' if printable => out.push_str("'\\''"),
            b'\'' | b'\\' if !printable => out.extend(['\\', char::from(*c)]),
            b' '..=b'~' => out.push(char::from(*c)),
            // Three octal digits: the one escape whose end does not depend on what follows.
            _ => out.push_str(&format!("\\{c:03o}")),
        }
    }
    out.push('\'');
    out
}

/// JSON as pure ASCII, with the same values: what a terminal could act on stands as `\uXXXX` (RFC 8259 §7).
pub fn ascii_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' | ' '..='~' => out.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

/// Untrusted text for a cell of a table that a spreadsheet may open: as [`escape`], and what a spreadsheet would take for a formula
/// begins with an apostrophe.
pub fn cell(text: &str) -> String {
    let shown = escape(text);
    match shown.chars().next() {
        Some('=' | '+' | '-' | '@') => format!("'{shown}"),
        _ => shown,
    }
}

/// Octets as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Octets as hex in groups of four digits, for comparing by eye or reading aloud.
pub fn hex_groups(bytes: &[u8]) -> String {
    let hex = hex(bytes);
    let groups: Vec<&str> = hex.as_bytes().chunks(4).filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(" ")
}

/// A time as `2026-11-22T01:02:03Z`: the one format of every output.
pub fn utc(unix: i64) -> String {
    match time::OffsetDateTime::from_unix_timestamp(unix) {
        Ok(t) => format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        ),
        Err(_) => format!("(out of range: {unix} s)"),
    }
}

/// Reads the format of [`utc`] back.
pub fn parse_utc(text: &str) -> Option<i64> {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
        .ok()
        .filter(|_| text.ends_with('Z') && text.len() == 20)
        .map(|t| t.unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_shown_escaped_and_cut() {
        assert_eq!(escape("a\u{1b}[31m\u{202e}\\b"), "a\\u{1b}[31m\\u{202e}\\\\b");
        assert_eq!(lines("a\n\u{1b}[31m\r\u{202e}"), "a\n\\u{1b}[31m\\u{d}\\u{202e}");
        assert_eq!(escape(&"x".repeat(300)), format!("{}\\{{44 more characters}}", "x".repeat(256)));
        assert_eq!(line("a\nb\\u{1b}"), "a\\u{a}b\\u{1b}");
        assert_eq!(line(&"x".repeat(LINE + 3)), format!("{}\\{{3 more characters}}", "x".repeat(LINE)));
        assert_eq!(page(&"x\r\n".repeat(LINES + 2)), format!("{}\\{{2 more lines}}\n", "x\n".repeat(LINES)));
    }

    #[test]
    fn no_cell_is_a_formula() {
        for (text, shown) in
            [("=1+1", "'=1+1"), ("+49", "'+49"), ("-1", "'-1"), ("@A1", "'@A1"), ("a=b", "a=b"), ("", "")]
        {
            assert_eq!(cell(text), shown);
        }
        // What a spreadsheet passes over before a formula is escaped, and so is no beginning.
        assert_eq!(
            (cell("\t=1").as_str(), cell(" =1").as_str(), cell("\r=1").as_str()),
            (r"\u{9}=1", r"\u{20}=1", r"\u{d}=1")
        );
    }

    #[test]
    fn spaces_that_no_eye_counts_are_shown() {
        assert_eq!(escape("a b"), "a b");
        assert_eq!(escape(" a  b "), "\\u{20}a \\u{20}b\\u{20}");
        assert_eq!(escape(" "), "\\u{20}");
        assert_eq!(escape(&(" ".to_string() + &"x".repeat(300))).len(), 6 + 255 + r"\{45 more characters}".len());
    }

    #[test]
    fn an_a_label_and_its_scripts_are_noted() {
        let pple = r"www.xn--pple-43d.com\{xn--pple-43d is \u{430}pple in mixed scripts Cyrillic and Latin}";
        assert_eq!(escape("www.xn--pple-43d.com"), pple);
        assert_eq!(escape("XN--MLLER-KVA.de"), r"XN--MLLER-KVA.de\{XN--MLLER-KVA is M\u{fc}LLER in Latin}");
        assert_eq!(escape("\u{430}pple"), r"\u{430}pple\{mixed scripts Cyrillic and Latin}");
        assert_eq!(escape("\u{430}\u{431} pple"), r"\u{430}\u{431} pple");
        assert_eq!(quoted("\u{430}pple.xn--pple-43d"), r"\u{430}pple.xn--pple-43d");
    }

    #[test]
    fn paths_are_whole_and_name_every_octet() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(path(OsStr::from_bytes(b"a\x1b\xff\\ b")), r"a\u{1b}\x{ff}\\ b");
    }

    #[test]
    fn what_a_shell_reads_is_the_same_word() {
        use std::os::unix::ffi::OsStrExt;
        let words: [&[u8]; 9] = [
            b"plain/a.b",
            b"two words",
            b"$(touch x)`id`",
            b"it's;\"&|",
            b"\x1b]0;x\x07'\\n",
            b"\xff\x801",
            "\u{202e}x".as_bytes(),
            b"new\nline",
            b"!1 *?[a]{b,c}~#",
        ];
        for word in words {
            let script = format!("printf %s {}", shell(OsStr::from_bytes(word)));
            assert!(script.bytes().all(|c| (b' '..=b'~').contains(&c)), "{script}");
            let run = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(run.stdout, word, "{script}");
        }
        assert_eq!(shell("plain/a.b"), "plain/a.b");
        assert_eq!((shell("-rf").as_str(), shell("-r f").as_str(), shell("").as_str()), ("./-rf", "'./-r f'", "''"));
    }

    #[test]
    fn times_have_one_format_both_ways() {
        assert_eq!(utc(1_795_305_600), "2026-11-22T00:00:00Z");
        assert_eq!(parse_utc("2026-11-22T00:00:00Z"), Some(1_795_305_600));
        assert_eq!(parse_utc("2026-11-22T00:00:00+01:00"), None);
    }
}
