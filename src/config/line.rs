//! What one line of a file may hold, and how a wrong one is named.

use super::{Error, field};

/// Text of the file as a message may show it.
pub(super) fn show(text: &str) -> String {
    crate::text::escape(text)
}

/// Ids become file names, statement lines and log fields: lower-case letters, digits, `-`, `_` and `.`, at most 64.
pub(super) fn id(id: &str, at: &str) -> Result<(), Error> {
    let lawful = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if id.is_empty() || id.len() > 64 || !id.chars().all(lawful) || !id.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Err(field(
            format!("{at}.id"),
            "must be 1 to 64 of a-z, 0-9, `-`, `_`, `.`, and begin with a letter or digit",
        ));
    }
    Ok(())
}

/// A line that stands in statements, labels and protocol fields.
pub(super) fn ascii_line(at: &str, text: &str, max: usize) -> Result<(), Error> {
    if text.is_empty() || text.len() > max || !text.chars().all(|c| (' '..='~').contains(&c)) || text.trim() != text {
        return Err(field(at, format!("must be 1 to {max} printable ASCII characters without spaces around them")));
    }
    Ok(())
}

/// A line of any script for people: what is seen is all there is.
pub(crate) fn plain_line(at: &str, text: &str, max: usize) -> Result<(), Error> {
    let length = text.chars().count();
    if length == 0 || length > max || text.trim() != text {
        return Err(field(at, format!("must have 1 to {max} characters and no spaces around them")));
    }
    plain(at, text)
}

/// Refuses characters that are not seen, or that change how others are seen.
pub(super) fn plain(at: &str, text: &str) -> Result<(), Error> {
    match text.chars().find(|c| hidden(*c)) {
        Some(c) => Err(field(at, format!("holds U+{:04X}, which is not seen or changes how others are", u32::from(c)))),
        None => Ok(()),
    }
}

/// Controls, every space but the usual one, format and bidirectional controls, and what Unicode calls
/// Default_Ignorable_Code_Point, private use or noncharacter: two names that differ in these alone look the same.
fn hidden(c: char) -> bool {
    let format = matches!(u32::from(c),
        0xad | 0x34f | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2 | 0x115f..=0x1160
        | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164
        | 0xe000..=0xf8ff | 0xfdd0..=0xfdef | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffd
        | 0x110bd | 0x110cd | 0x13430..=0x1345f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0x10_ffff);
    // The last two code points of each plane are noncharacters.
    let nonchar = u32::from(c) & 0xfffe == 0xfffe;
    c.is_control() || (c.is_whitespace() && c != ' ') || format || nonchar
}
