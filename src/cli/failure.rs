//! One failure for every verb: what is wrong, what to do, and the exit code.

use std::io::IsTerminal;

#[cfg(feature = "station")]
use crate::issue;
use crate::report::terminal::{WIDTH, wrap};
use crate::text::{ascii_json, line, lines, path as shown};
use crate::{approval, audit, bundle, change, config, ledger, media, plan, prepare, release, weak_keys};

/// The exit codes of design: refused, wrong usage, halted, a check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Refused = 1,
    Usage = 2,
    Halted = 3,
    CheckFailed = 4,
}

/// Why a verb did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub what: String,
    pub hint: Option<String>,
}

impl Failure {
    pub fn refused(what: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { code: Code::Refused, what: what.into(), hint: Some(hint.into()) }
    }

    pub fn usage(what: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { code: Code::Usage, what: what.into(), hint: Some(hint.into()) }
    }

    pub fn io(path: &std::path::Path, e: std::io::Error) -> Failure {
        Failure { code: Code::Refused, what: format!("{}: {e}", shown(path)), hint: Some(io_hint(e.kind()).into()) }
    }

    /// The same failure with the next command to type.
    pub fn next(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    pub fn check_failed(mut self) -> Failure {
        self.code = Code::CheckFailed;
        self
    }

    pub fn print(&self, json: bool) {
        if json {
            let code = self.code as u8;
            let json = serde_json::json!({ "error": self.what, "hint": self.hint, "exit": code });
            print!("{}", ascii_json(&format!("{json:#}\n")));
            return;
        }
        let class = match self.code {
            Code::Refused => "refused",
            Code::Usage => "cannot start",
            Code::Halted => "halted, state kept",
            Code::CheckFailed => "check failed",
        };
        let tty = std::io::stderr().is_terminal();
        eprintln!("{}", set_in(&format!("coldroot: {class}: {}", self.what), tty));
        if let Some(hint) = self.hint.as_ref().filter(|hint| !hint.is_empty()) {
            // A command is there to be copied, and is not broken.
            match tty && !hint.contains("coldroot") {
                true => eprintln!("  next: {}", set_in(hint, tty)),
                false => eprintln!("  next: {}", lines(hint)),
            }
        }
    }
}

/// A further line (a statement, a parser's message) is set in, so that none can pass for a message of its own: by three columns,
/// with which a statement's longest line still fits. On a terminal a longer one is broken at spaces, and not within a word.
fn set_in(text: &str, tty: bool) -> String {
    let mut out = String::new();
    for (n, line) in text.lines().map(line).enumerate() {
        let broken = match tty && line.chars().count() + 3 * n.min(1) > WIDTH {
            true => wrap(line.trim_start(), WIDTH - 3),
            false => vec![line],
        };
        for (m, line) in broken.iter().enumerate() {
            match (n + m, line.is_empty()) {
                (0, _) => out.push_str(line),
                (_, true) => out.push('\n'),
                (_, false) => out.push_str(&format!("\n   {line}")),
            }
        }
    }
    out
}

/// What a person should do about a file that cannot be read or written.
pub fn io_hint(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind;
    match kind {
        ErrorKind::NotFound => "there is no such file here: compare the path with what `ls` shows",
        ErrorKind::PermissionDenied => {
            "run it as the station's user, or see to the permissions of the file and its directory"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on that disk, then run the same command again",
        ErrorKind::ReadOnlyFilesystem => "the medium is read-only: mount it for writing, or take another one",
        ErrorKind::InvalidData => "it is not UTF-8 text: give the right file",
        _ => "look at the medium or disk (`dmesg`), then run the same command again",
    }
}

impl From<config::Error> for Failure {
    fn from(e: config::Error) -> Failure {
        Failure { code: Code::Usage, hint: e.hint(), what: e.to_string() }
    }
}

impl From<approval::Error> for Failure {
    fn from(e: approval::Error) -> Failure {
        Failure { code: Code::Refused, hint: e.hint(), what: format!("not approved: {e}") }
    }
}

impl From<change::Error> for Failure {
    fn from(e: change::Error) -> Failure {
        Failure { code: Code::Refused, hint: e.hint(), what: e.to_string() }
    }
}

impl From<plan::Error> for Failure {
    fn from(e: plan::Error) -> Failure {
        Failure { code: Code::Refused, hint: e.hint(), what: e.to_string() }
    }
}

impl From<bundle::Error> for Failure {
    fn from(e: bundle::Error) -> Failure {
        Failure { code: Code::Refused, hint: e.hint(), what: e.to_string() }
    }
}

impl From<media::Error> for Failure {
    fn from(e: media::Error) -> Failure {
        Failure { code: Code::Refused, hint: e.hint(), what: e.to_string() }
    }
}

impl From<audit::Error> for Failure {
    fn from(e: audit::Error) -> Failure {
        let code = if e.halted() { Code::Halted } else { Code::Refused };
        Failure { code, hint: e.hint(), what: format!("audit log: {e}") }
    }
}

impl From<ledger::Error> for Failure {
    fn from(e: ledger::Error) -> Failure {
        Failure { code: Code::Halted, hint: e.hint(), what: e.to_string() }
    }
}

impl From<prepare::Error> for Failure {
    fn from(e: prepare::Error) -> Failure {
        // Log or index are damaged: nothing that the plan was made from is at fault.
        let code = if matches!(e, prepare::Error::Ledger(_)) { Code::Halted } else { Code::Refused };
        Failure { code, hint: e.hint(), what: e.to_string() }
    }
}

impl From<weak_keys::Error> for Failure {
    fn from(e: weak_keys::Error) -> Failure {
        Failure { code: Code::Refused, hint: e.hint(), what: e.to_string() }
    }
}

impl From<release::Error> for Failure {
    fn from(e: release::Error) -> Failure {
        let code = match &e {
            release::Error::Check { .. } => Code::CheckFailed,
            release::Error::NotOnRecord(_) => Code::Halted,
            release::Error::Log(e) if e.halted() => Code::Halted,
            _ => Code::Refused,
        };
        Failure { code, hint: e.hint(), what: e.to_string() }
    }
}

#[cfg(feature = "station")]
impl From<crate::gate::Error> for Failure {
    fn from(e: crate::gate::Error) -> Failure {
        let code = if e.halted() { Code::Halted } else { Code::Refused };
        Failure { code, hint: e.hint(), what: e.to_string() }
    }
}

#[cfg(feature = "station")]
impl From<issue::recorded::Error> for Failure {
    fn from(e: issue::recorded::Error) -> Failure {
        Failure { code: Code::Halted, hint: Some(e.hint()), what: e.to_string() }
    }
}

#[cfg(feature = "station")]
impl From<issue::Error<crate::gate::Error>> for Failure {
    fn from(e: issue::Error<crate::gate::Error>) -> Failure {
        match e {
            // The gate knows best why it did not sign. What was recorded before stays: the run is halted, not refused.
            issue::Error::Signer(gate) => Failure { code: Code::Halted, ..gate.into() },
            other => Failure { code: Code::Halted, hint: other.hint(), what: other.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_terminal_a_long_message_is_broken_at_spaces_and_set_in() {
        let statement = format!("rules        {}", "0".repeat(64));
        let text = format!("coldroot: refused: {}\n\n{statement}", "sixteen letters, ".repeat(8).trim_end());
        let shown = set_in(&text, true);
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
        assert!(shown.lines().skip(1).all(|line| line.is_empty() || line.starts_with("   ")), "{shown}");
        assert!(shown.contains(&format!("\n\n   {statement}")), "{shown}");
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
        // For programs a message stays one line.
        assert_eq!(set_in(&text, false).lines().count(), 3);
    }
}
