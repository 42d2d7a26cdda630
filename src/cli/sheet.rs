//! Where the answer of `show` and `check` goes besides the terminal: a page of its own, QR codes.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use crate::report::sheet::{MAX_ROWS, Sheet};
use crate::text::{path, shell};

use super::{Answer, Code, Failure, Globals, prove};

/// The answer in other forms.
#[derive(Args, Clone, Debug, Default)]
pub struct SheetArgs {
    /// Write the whole answer to this new file, a page of its own (no script, nothing fetched)
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Draw each digest as a QR code too: `SHA256:` and its hex digits; a page has them always
    #[arg(long, conflicts_with = "html")]
    qr: bool,
}

impl SheetArgs {
    /// Rows of a long table: as many as asked for; of a page, as many as a page has.
    pub fn rows(&self, asked: Option<usize>, usual: usize) -> usize {
        match &self.html {
            Some(_) => asked.unwrap_or(MAX_ROWS).min(MAX_ROWS),
            None => asked.unwrap_or(usual),
        }
    }

    /// Is the whole answer wanted at once, not as it is found?
    pub fn wanted(&self) -> bool {
        self.html.is_some() || self.qr
    }

    /// What can be refused before the work is.
    pub fn judge(&self, globals: &Globals) -> Result<(), Failure> {
        if let Some(file) = self.html.as_ref().filter(|file| file.symlink_metadata().is_ok()) {
            return Err(Failure::refused(format!("{} is there already", path(file)), "name a new file"));
        }
        let dumb = globals.plain || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match self.qr && (globals.json || dumb) {
            true => Err(Failure::usage(
                "a QR code is drawn of block characters, which --json, --plain and TERM=dumb rule out",
                "--html FILE, which has it as a picture",
            )),
            false => Ok(()),
        }
    }

    /// Gives the answer in the form that was asked for. A check that fails is written to the page too.
    pub fn give(&self, told: Result<Answer, Failure>) -> Result<Answer, Failure> {
        let mut answer = match (told, &self.html) {
            (Err(failure), Some(file)) if failure.code == Code::CheckFailed => {
                let next = failure.hint.clone().unwrap_or_default();
                let sheet = Sheet::new("A check failed").verdict(false, &failure.what).text(next);
                prove::write_new(file, &page(&sheet)?)?;
                return Err(failure);
            }
            (told, _) => told?,
        };
        let Some(sheet) = answer.sheet.as_deref().filter(|_| self.wanted()) else { return Ok(answer) };
        let Some(file) = &self.html else {
            let codes = sheet.codes().map_err(fault)?;
            if codes.is_empty() {
                return Err(Failure::usage("there is no digest in this that people compare", "leave --qr out"));
            }
            answer.codes = coloured(codes);
            return Ok(answer);
        };
        prove::write_new(file, &page(sheet)?)?;
        answer.text =
            format!("{}\n\n  page: {}\n  next: open it in a browser, or print it\n", sheet.head(), shell(file));
        if let Some(map) = answer.json.as_object_mut() {
            map.insert("html".into(), file.display().to_string().into());
        }
        Ok(answer)
    }
}

fn page(sheet: &Sheet) -> Result<String, Failure> {
    sheet.page().map_err(fault)
}

fn fault(e: crate::report::Error) -> Failure {
    Failure::refused(e.to_string(), e.hint().unwrap_or_default())
}

/// Where there are colours, white on black, so that light modules are light on any screen.
fn coloured(codes: String) -> String {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let line = |line: &str| match !line.is_ascii() {
        true if colours => format!("\u{1b}[97;40m{line}\u{1b}[0m\n"),
        _ => format!("{line}\n"),
    };
    codes.lines().map(line).collect()
}
