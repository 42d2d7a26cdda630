//! `export`: a log written out for other programs and other people.

mod year;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::audit::entry::{Body, Entry};
use crate::audit::{View, about};
use crate::digest::Digest;
use crate::report::terminal::{counted, human_count, pairs, progress};
use crate::text::{cell, hex, path as shown, shell, utc};
use crate::x509;
use crate::x509::fields::reason_name;
use crate::{release, report};

use super::entries::Filter;
use super::show::names;
use super::{Answer, Failure, Globals, offline};

/// Writes a log out.
#[derive(Args)]
#[command(after_help = "Formats:\n  jsonl   an entry a line: all fields, digests as hex, certificates as base64\n  \
    csv     certificates and revocations, a row each; no cell is a formula\n  \
    public  a directory: the log without unsealed entries and withheld artefacts\n  \
    html    the activity of a --year on one page, with plots\n\n\
    Examples:\n  coldroot export audit --format jsonl --to log.jsonl\n  \
    coldroot export log --format csv --ca xmpp-1 --since 2026-01-01 --to year.csv\n  \
    coldroot export audit --format public --to www/log")]
pub struct ExportArgs {
    /// A station's audit/, the log/ of a release, or a public copy
    log: PathBuf,
    #[arg(long, value_enum)]
    format: Format,
    /// Where it goes: a new file, or with `public` a new directory
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// The year of the page
    #[arg(long, value_name = "YEAR", required_if_eq("format", "html"))]
    year: Option<i32>,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
    Public,
    Html,
}

pub fn export(globals: &Globals, args: ExportArgs) -> Result<Answer, Failure> {
    let log = offline::read_log(&args.log)?;
    match args.format {
        format if args.year.is_some() && format != Format::Html => Err(Failure::usage(
            "--year belongs to the page",
            "--since and --until choose entries for the other formats",
        )),
        Format::Html if args.filter.given() => {
            Err(Failure::usage("the page is of a whole year", "leave the filters out"))
        }
        Format::Html => page(&log, args.year.unwrap_or_default(), &args.to),
        Format::Public if args.filter.given() => {
            Err(Failure::usage("a public copy has every entry, or it would not verify", "leave the filters out"))
        }
        Format::Public => public(&log, &args.to),
        Format::Jsonl => Ok(rows(&log, &args, globals.plain, &mut Lines)?.answer(&args, 0)),
        Format::Csv => {
            let mut table = Table::default();
            let written = rows(&log, &args, globals.plain, &mut table)?;
            Ok(written.answer(&args, table.unreadable))
        }
    }
}

fn public(log: &View, to: &Path) -> Result<Answer, Failure> {
    let copied = release::public_copy(log, to)?;
    let left = log.size() - log.sealed_size();
    let mut rows = vec![
        ("entries", human_count(copied.entries)),
        ("tiles", human_count(copied.tiles)),
        ("artefacts", human_count(copied.artefacts)),
        ("in", shown(to)),
    ];
    if copied.absent > 0 {
        rows.push((
            "not here",
            format!("{}: this log is a copy itself", counted(copied.absent, "public artefact", "public artefacts")),
        ));
    }
    if left > 0 {
        rows.push(("left out", format!("{} under no checkpoint yet", counted(left, "entry", "entries"))));
    }
    let next = format!("coldroot check {} --verifier-key KEY", shell(to));
    Ok(Answer::new(format!("The public part of the log is copied.\n\n{}  next: {next}\n", pairs(&rows)), copied))
}

fn page(log: &View, year: i32, to: &Path) -> Result<Answer, Failure> {
    let counted = year::count(log, year)?;
    let page =
        report::year::render(&counted).map_err(|e| Failure::refused(e.to_string(), e.hint().unwrap_or_default()))?;
    super::prove::write_new(to, &page)?;
    let json = json!({ "to": to.display().to_string(), "year": year, "entries": counted.entries });
    let text = format!(
        "{} of {year} on one page.\n  next: open {} in a browser\n",
        human_count(counted.entries) + " entries",
        shell(to)
    );
    Ok(Answer::new(text, json))
}

/// Turns entries into lines of a file.
trait Rows {
    fn head(&mut self) -> Option<String>;
    /// `None`: nothing is written of this entry.
    fn row(&mut self, index: u64, entry: &Entry) -> Result<Option<String>, String>;
}

/// How many rows were written, of how many entries.
struct Written {
    rows: u64,
    size: u64,
}

impl Written {
    /// `unreadable`: rows of certificates that cannot be read.
    fn answer(&self, args: &ExportArgs, unreadable: u64) -> Answer {
        let mut text = format!(
            "{} of the log's {} written to {}.\n",
            counted(self.rows, "row", "rows"),
            counted(self.size, "entry", "entries"),
            shown(&args.to)
        );
        if unreadable > 0 {
            text.push_str(&format!(
                "{} no certificate: the column `reason` of its row says why.\n  next: coldroot check {}\n",
                counted(unreadable, "entry of a certificate holds", "entries of certificates hold"),
                shell(&args.log)
            ));
        }
        let to = args.to.display().to_string();
        Answer::new(text, json!({ "to": to, "rows": self.rows, "unreadable": unreadable, "size": self.size }))
    }
}

/// Writes a new file row by row: memory is one row. A file that could not be written whole is removed.
fn rows(log: &View, args: &ExportArgs, plain: bool, form: &mut dyn Rows) -> Result<Written, Failure> {
    let file = File::create_new(&args.to).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::refused(format!("{} is there already", shown(&args.to)), "name a new file")
        }
        _ => Failure::io(&args.to, e),
    })?;
    let written = write(log, args, plain, form, BufWriter::new(file));
    let written = written.inspect_err(|_| drop(std::fs::remove_file(&args.to)))?;
    Ok(Written { rows: written, size: log.size() })
}

fn write(
    log: &View,
    args: &ExportArgs,
    plain: bool,
    form: &mut dyn Rows,
    mut out: BufWriter<File>,
) -> Result<u64, Failure> {
    let bar = progress("exported", log.size(), plain);
    let mut written = 0;
    let io = |e| Failure::io(&args.to, e);
    out.write_all(form.head().unwrap_or_default().as_bytes()).map_err(io)?;
    args.filter.each(log, 0, |index, entry| -> Result<bool, Failure> {
        bar.set_position(index);
        let row = form
            .row(index, &entry)
            .map_err(|what| Failure::refused(format!("entry {index}: {what}"), "coldroot check LOG"))?;
        if let Some(row) = row {
            out.write_all(row.as_bytes()).map_err(io)?;
            written += 1;
        }
        Ok(true)
    })?;
    bar.finish_and_clear();
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    file.sync_all().map_err(io)?;
    Ok(written)
}

/// JSON lines.
struct Lines;

impl Rows for Lines {
    fn head(&mut self) -> Option<String> {
        None
    }

    fn row(&mut self, index: u64, entry: &Entry) -> Result<Option<String>, String> {
        let json = about::to_json(index, entry).map_err(|e| e.to_string())?;
        Ok(Some(crate::text::ascii_json(&format!("{json}\n"))))
    }
}

/// Certificates and revocations as CSV (RFC 4180).
#[derive(Default)]
struct Table {
    buffer: Vec<u8>,
    /// Rows of certificates that cannot be read.
    unreadable: u64,
}

const COLUMNS: [&str; 14] = [
    "entry",
    "recorded",
    "what",
    "ca",
    "serial",
    "request",
    "profile",
    "not-before",
    "not-after",
    "subject",
    "names",
    "sha256",
    "reason",
    "revoked",
];

impl Table {
    fn line(&mut self, cells: [String; 14]) -> Result<String, String> {
        self.buffer.clear();
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            // Where a semicolon parts cells, a name with one would begin another cell, perhaps a formula.
            .quote_style(csv::QuoteStyle::Always)
            .from_writer(&mut self.buffer);
        writer.write_record(&cells).map_err(|e| e.to_string())?;
        writer.flush().map_err(|e| e.to_string())?;
        drop(writer);
        String::from_utf8(self.buffer.clone()).map_err(|e| e.to_string())
    }
}

impl Rows for Table {
    fn head(&mut self) -> Option<String> {
        Some(COLUMNS.join(",") + "\r\n")
    }

    fn row(&mut self, index: u64, entry: &Entry) -> Result<Option<String>, String> {
        let (entry_number, recorded) = (index.to_string(), utc(entry.time));
        let cells = match &entry.body {
            Body::Certificate(c) => {
                let request = c.request.as_deref().or(c.subject_ca.as_deref()).unwrap_or_default();
                let mut cells: [String; 14] = Default::default();
                let [number, at, what, ca, serial, of, profile, from, until, subject, san, sha256, reason, _] =
                    &mut cells;
                (*number, *at, *what) = (entry_number, recorded, "certificate".into());
                (*ca, *of, *profile) = (cell(&c.ca), cell(request), cell(&c.profile));
                *sha256 = Digest::of(&c.der).hex();
                match x509::read_certificate(&c.der) {
                    Ok(fields) => {
                        (*from, *until) = (utc(fields.not_before), utc(fields.not_after));
                        (*serial, *subject) = (hex(&fields.serial), cell(&x509::name_text(&fields.subject)));
                        *san = names(&fields.san).iter().map(|name| cell(name)).collect::<Vec<_>>().join(" ");
                    }
                    // `check` refuses such a log; what else stands in it is told all the same.
                    Err(e) => {
                        self.unreadable += 1;
                        (*what, *reason) = ("certificate, unreadable".into(), cell(&e.to_string()));
                    }
                }
                cells
            }
            Body::Revoked(r) => {
                let mut cells: [String; 14] = Default::default();
                let [number, at, what, ca, serial, .., reason, date] = &mut cells;
                (*number, *at, *what) = (entry_number, recorded, "revocation".into());
                (*ca, *serial) = (cell(&r.ca), hex(&r.serial));
                (*reason, *date) = (reason_name(r.reason).into(), utc(r.date));
                cells
            }
            _ => return Ok(None),
        };
        self.line(cells).map(Some)
    }
}
