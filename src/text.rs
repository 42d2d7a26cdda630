//! Untrusted text, and the one function that shows it; digests in groups for reading aloud.
//!
//! Text that came from a medium is kept as [`Untrusted`], which has no `Display`: whoever wants to show it must go through
//! [`Untrusted::shown`], so a terminal escape or a bidirectional override in a name never reaches a terminal, a log or a page.

/// At most this many characters of one untrusted text are shown; the rest is counted.
pub const SHOWN: usize = 256;

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

    /// Printable ASCII as it is, the rest escaped, cuts counted.
    pub fn shown(&self) -> String {
        escape(&self.0)
    }
}

impl std::fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

/// Shows untrusted text: printable ASCII as it is, backslash doubled, everything else as `\u{hex}`; what is beyond
/// [`SHOWN`] characters is counted, not shown.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(SHOWN) {
        match c {
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            _ => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    let rest = text.chars().count().saturating_sub(SHOWN);
    if rest > 0 {
        out.push_str(&format!("... ({rest} more characters)"));
    }
    out
}

/// The last guard before a terminal: line ends and printable ASCII as they are, everything else as `\u{hex}`. What was
/// escaped before passes unchanged.
pub fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | ' '..='~' => out.push(c),
            _ => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    out
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
        let long = "x".repeat(300);
        assert!(escape(&long).ends_with("x... (44 more characters)"));
    }

    #[test]
    fn times_have_one_format_both_ways() {
        assert_eq!(utc(1_795_305_600), "2026-11-22T00:00:00Z");
        assert_eq!(parse_utc("2026-11-22T00:00:00Z"), Some(1_795_305_600));
        assert_eq!(parse_utc("2026-11-22T00:00:00+01:00"), None);
    }
}
