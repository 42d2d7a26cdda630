//! What a verb answers, as blocks: laid out once as text for a terminal and once as a page of its own. Both say the same, in the
//! same order; a page besides has each digest as a QR code.

use serde_json::{Value, json};

use crate::digest::Digest;
use crate::text::{hex_groups, words};

use super::qr::Qr;
use super::terminal::{Table, human_count, pairs, width, wrap};
use super::{Error, page};

const TEMPLATE: &str = include_str!("sheet.html");

/// At most so many rows of a table are on a page; the rest is counted.
pub const MAX_ROWS: usize = 10_000;

/// An answer. What was untrusted in it is escaped already, as everywhere in this room.
#[derive(Clone, Debug)]
pub struct Sheet {
    title: String,
    /// A terminal begins with the first block: what it shows is a text of its own.
    bare: bool,
    rehearsal: bool,
    verdict: Option<Verdict>,
    blocks: Vec<Block>,
}

/// What a check comes to, in a sentence.
#[derive(Clone, Debug)]
struct Verdict {
    good: bool,
    text: String,
}

#[derive(Clone, Debug)]
enum Block {
    Heading(String),
    Text(String),
    Facts(Vec<(String, String)>),
    Table(Table),
    Pre(String),
    Digest { name: String, digest: Digest },
    Next(Vec<(String, String)>),
}

impl Sheet {
    pub fn new(title: impl Into<String>) -> Sheet {
        Sheet { title: title.into(), bare: false, rehearsal: false, verdict: None, blocks: Vec::new() }
    }

    /// The same under another title.
    pub fn retitled(mut self, title: impl Into<String>) -> Sheet {
        (self.title, self.bare) = (title.into(), false);
        self
    }

    /// Of a text of its own: the title is on the page alone.
    pub fn bare(mut self) -> Sheet {
        self.bare = true;
        self
    }

    /// The page says so before anything else.
    pub fn rehearsal(mut self, rehearsal: bool) -> Sheet {
        self.rehearsal = rehearsal;
        self
    }

    /// What a check comes to. On a terminal it stands in place of the title.
    pub fn verdict(mut self, good: bool, text: impl Into<String>) -> Sheet {
        self.verdict = Some(Verdict { good, text: text.into() });
        self
    }

    pub fn heading(self, text: impl Into<String>) -> Sheet {
        self.with(Block::Heading(text.into()))
    }

    /// A paragraph; its line ends stay.
    pub fn text(self, text: impl Into<String>) -> Sheet {
        let text = text.into();
        if text.is_empty() { self } else { self.with(Block::Text(text)) }
    }

    /// Names and values; a value may have several lines.
    pub fn facts<K: AsRef<str>, V: AsRef<str>>(self, rows: &[(K, V)]) -> Sheet {
        let rows = rows.iter().map(|(name, value)| (name.as_ref().to_string(), value.as_ref().to_string()));
        self.with(Block::Facts(rows.collect()))
    }

    pub fn table(self, table: Table) -> Sheet {
        self.with(Block::Table(table))
    }

    /// Text as it stands, such as a statement.
    pub fn pre(self, text: impl Into<String>) -> Sheet {
        self.with(Block::Pre(text.into()))
    }

    /// A digest that people compare: as hex groups, as words, and as a QR code.
    pub fn digest(self, name: impl Into<String>, digest: &Digest) -> Sheet {
        self.with(Block::Digest { name: name.into(), digest: *digest })
    }

    /// A command to go on with, ready to type, and what it is for.
    pub fn next(mut self, what: impl Into<String>, command: impl Into<String>) -> Sheet {
        let row = (what.into(), command.into());
        match self.blocks.last_mut() {
            Some(Block::Next(rows)) => rows.push(row),
            _ => self.blocks.push(Block::Next(vec![row])),
        }
        self
    }

    /// The blocks of another sheet behind those of this one.
    pub fn and(mut self, other: Sheet) -> Sheet {
        self.blocks.extend(other.blocks);
        self
    }

    fn with(mut self, block: Block) -> Sheet {
        self.blocks.push(block);
        self
    }

    /// The sentence that it begins with: what a check comes to, or what is shown.
    pub fn head(&self) -> &str {
        self.verdict.as_ref().map_or(&self.title, |verdict| &verdict.text)
    }

    /// For a terminal: a blank line between blocks, in its width.
    pub fn terminal(&self) -> String {
        let mut parts = if self.bare { Vec::new() } else { vec![paragraph(self.head())] };
        parts.extend(self.blocks.iter().map(|block| match block {
            Block::Heading(text) | Block::Text(text) => paragraph(text),
            Block::Pre(text) => format!("{}\n", text.trim_end_matches('\n')),
            Block::Facts(rows) => pairs(rows),
            Block::Table(table) => table.render(),
            Block::Digest { name, digest } => {
                pairs(&[(name.as_str(), hex_groups(&digest.0)), ("in words", words::spoken(&digest.0))])
            }
            Block::Next(rows) => {
                let width = rows.iter().map(|(what, _)| what.chars().count() + 1).max().unwrap_or_default();
                rows.iter().map(|(what, command)| format!("  {:width$} {command}\n", format!("{what}:"))).collect()
            }
        }));
        parts.retain(|part| !part.trim().is_empty());
        parts.join("\n")
    }

    /// Every digest as a QR code for a terminal, under its name.
    pub fn codes(&self) -> Result<String, Error> {
        let mut out = String::new();
        for (name, digest) in self.digests() {
            out.push_str(&format!("\n{name}, as a QR code:\n\n{}", Qr::of(digest)?.half_blocks()));
        }
        Ok(out)
    }

    fn digests(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Digest { name, digest } => Some((name.as_str(), digest)),
            _ => None,
        })
    }

    /// The page: one file, without scripts, fonts, pictures or anything fetched. Same input, same octets.
    pub fn page(&self) -> Result<String, Error> {
        let blocks = self.blocks.iter().map(Block::data).collect::<Result<Vec<Value>, Error>>()?;
        let verdict = self.verdict.as_ref().map(|verdict| json!({ "good": verdict.good, "text": verdict.text }));
        let data = json!({
            "title": self.title, "rehearsal": self.rehearsal, "verdict": verdict, "blocks": blocks,
        });
        page::fill("sheet.html", TEMPLATE, data)
    }
}

impl Block {
    fn data(&self) -> Result<Value, Error> {
        Ok(match self {
            Block::Heading(text) => json!({ "is": "heading", "text": text.trim_end_matches(':') }),
            Block::Text(text) => json!({ "is": "text", "lines": text.lines().collect::<Vec<_>>() }),
            Block::Pre(text) => json!({ "is": "pre", "text": text }),
            Block::Facts(rows) => {
                let row = |(name, value): &(String, String)| {
                    let lines: Vec<Value> = value.split('\n').map(|line| json!([line, is_hex(line)])).collect();
                    json!([name, lines])
                };
                json!({ "is": "facts", "rows": rows.iter().map(row).collect::<Vec<_>>() })
            }
            Block::Table(table) => {
                let (rows, more) = table.rows(MAX_ROWS);
                let cells =
                    |row: &Vec<String>| -> Vec<Value> { row.iter().map(|cell| json!([cell, class(cell)])).collect() };
                let rows: Vec<Vec<Value>> = rows.iter().map(cells).collect();
                let numeric: Vec<bool> = (0..table.header().len()).map(|column| table.is_numeric(column)).collect();
                let more = if more > 0 { human_count(more) } else { String::new() };
                json!({ "is": "table", "header": table.header(), "numeric": numeric, "rows": rows, "more": more })
            }
            Block::Digest { name, digest } => {
                let qr = Qr::of(digest)?;
                json!({
                    "is": "digest", "name": name, "hex": hex_groups(&digest.0), "words": words::spoken(&digest.0),
                    "side": qr.side(), "path": qr.path(), "text": super::qr::text(digest),
                })
            }
            Block::Next(rows) => json!({ "is": "next", "rows": rows }),
        })
    }
}

/// Lines broken at spaces; one that is set in is there to be copied, and stays whole.
fn paragraph(text: &str) -> String {
    let broken = |line: &str| match line.starts_with(' ') {
        true => vec![line.to_string()],
        false => wrap(line, width()),
    };
    text.lines().flat_map(broken).map(|line| line + "\n").collect()
}

/// How a cell is set: a time in one piece, digits so that they can be compared.
fn class(cell: &str) -> &'static str {
    match cell.bytes().map(|c| if c.is_ascii_digit() { b'0' } else { c }).eq(*b"0000-00-00T00:00:00Z") {
        true => "time",
        false if is_hex(cell) => "hex",
        false => "",
    }
}

/// A value that is read digit by digit.
fn is_hex(text: &str) -> bool {
    let digits = text.strip_prefix("SHA-256 ").unwrap_or(text);
    digits.len() >= 16 && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f' | ' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut table = Table::new(&["item", "for"]).limit(2);
        (0..3).for_each(|n| table.row([n.to_string(), format!("<b>{n}</b>")]));
        Sheet::new("Plan")
            .rehearsal(true)
            .verdict(true, "The plan is whole.")
            .digest("plan", &Digest::of(b"any"))
            .heading("Refused:")
            .facts(&[("r1", "a\nb"), ("r2", "\"><script>alert(1)</script>")])
            .table(table)
            .pre("statement\n")
            .next("one item", "coldroot show p.plan --item 0")
            .next("approve", "coldroot approve p.plan")
    }

    #[test]
    fn a_terminal_has_the_blocks_apart_and_the_next_commands_last() {
        let text = sheet().terminal();
        assert!(text.starts_with("The plan is whole.\n\nplan      "), "{text}");
        assert!(text.contains("\nRefused:\n\nr1  a\n    b\n") && text.contains("\n... and 1 more\n\nstatement\n\n"));
        assert!(text.ends_with("\n\n  one item: coldroot show p.plan --item 0\n  approve:  coldroot approve p.plan\n"));
        assert!(text.is_ascii() && !text.contains("\n\n\n"));
    }

    #[test]
    fn a_time_is_not_broken_and_digits_can_be_compared() {
        assert_eq!(["2027-02-27T15:32:26Z", "0123456789abcdef", "CA xmpp-1"].map(class), ["time", "hex", ""]);
    }

    #[test]
    fn a_page_says_the_same_and_nothing_in_it_is_markup_of_others() {
        let page = sheet().page().unwrap();
        assert_eq!(page, sheet().page().unwrap());
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)&lt;"), "{page}");
        assert!(
            page.contains("&lt;b&gt;0&lt;") && !page.contains("&lt;b&gt;2&lt;") && page.contains("1 more"),
            "{page}"
        );
        for said in
            ["The plan is whole.", "coldroot approve p.plan", "statement", "REHEARSAL", "class=\"verdict good\""]
        {
            assert!(page.contains(said), "{said}");
        }
        assert!(page.contains(&words::spoken(&Digest::of(b"any").0)) && page.contains("viewBox=\"0 0 37 37\""));
        assert!(!sheet().rehearsal(false).page().unwrap().contains("REHEARSAL"));
    }
}
