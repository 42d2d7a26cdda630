//! The verbs: parse, resolve, one function a verb, one report, one exit code.

#[cfg(feature = "station")]
mod adopt_certificate;
#[cfg(feature = "station")]
mod adopt_crl;
#[cfg(feature = "station")]
mod adopt_log;
mod against;
mod alone;
#[cfg(feature = "station")]
mod approvals;
#[cfg(feature = "station")]
mod backup;
mod calendar;
#[cfg(feature = "station")]
mod carry;
mod chain;
#[cfg(feature = "station")]
mod change;
mod check;
#[cfg(feature = "station")]
mod clock;
#[cfg(feature = "station")]
mod demo;
#[cfg(feature = "station")]
mod doctor;
mod entries;
mod export;
mod failure;
mod flushed;
#[cfg(feature = "station")]
mod found;
#[cfg(feature = "station")]
mod hand_over;
#[cfg(feature = "station")]
mod hierarchy;
mod inbox;
#[cfg(feature = "station")]
mod init;
#[cfg(feature = "station")]
mod next;
mod offline;
pub mod pack;
mod part;
#[cfg(feature = "station")]
mod people;
#[cfg(feature = "station")]
mod plan;
mod proofs;
mod prove;
mod reading;
mod recognise;
#[cfg(feature = "station")]
mod record;
mod reference;
#[cfg(feature = "station")]
mod release;
#[cfg(feature = "station")]
mod restore;
#[cfg(feature = "station")]
mod run;
mod sample;
mod sheet;
mod show;
#[cfg(feature = "station")]
mod sign;
#[cfg(feature = "station")]
mod station;
mod stream;
#[cfg(feature = "station")]
mod token;
#[cfg(feature = "station")]
mod void;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, FromArgMatches, Parser, Subcommand};

use crate::report::sheet::Sheet;

pub use failure::{Code, Failure};
pub use reference::{command, page};

/// HSM-backed offline root signer: plans, approvals, signatures, and an audit log that outsiders can check.
#[derive(Parser)]
#[command(name = "coldroot", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Start with `coldroot demo`: the whole road on a throw-away SoftHSM token.\n\n\
    Exit codes: 0 done; 1 refused, nothing changed; 2 wrong usage or configuration;\n\
    3 halted, state kept, the message names the command that resumes; 4 a check failed.")]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

/// The heading of the options that every verb has.
const COMMON: &str = "Options of every verb";

/// Options of every verb.
#[derive(Args, Clone, Debug)]
pub struct Globals {
    /// The station's directory
    #[arg(long, global = true, help_heading = COMMON, value_name = "DIR", default_value = ".")]
    pub station: PathBuf,
    /// The result as JSON
    #[arg(long, global = true, help_heading = COMMON)]
    pub json: bool,
    /// No progress bars
    #[arg(long, global = true, help_heading = COMMON)]
    pub plain: bool,
    /// Rehearsals only: the present time
    #[arg(long, global = true, help_heading = COMMON, value_name = "UTC", value_parser = parse_time)]
    pub now: Option<i64>,
    /// Read the PIN from this descriptor, a pipe
    #[arg(long, global = true, help_heading = COMMON, value_name = "[TOKEN=]N")]
    pub pin_fd: Vec<String>,
    /// Rehearsals only: read shares of the PIN from it
    #[arg(long, global = true, help_heading = COMMON, value_name = "[TOKEN=]N")]
    pub shares_fd: Vec<String>,
    /// Copy the log there, not to `[audit] copy`
    #[arg(long, global = true, help_heading = COMMON, value_name = "DIR")]
    pub copy: Option<PathBuf>,
    /// The verb is this process's last, so it may enter a sandbox that nothing gets out of.
    #[arg(skip)]
    pub last: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the whole road on a throw-away SoftHSM token
    #[cfg(feature = "station")]
    Demo(demo::DemoArgs),
    /// Tokens: list, initialise, inventory, probe, split PIN
    #[cfg(feature = "station")]
    #[command(subcommand)]
    Token(token::TokenVerb),
    /// Whether machine, tokens, people and log are ready
    #[cfg(feature = "station")]
    Doctor(doctor::DoctorArgs),
    /// Begin a station: audit key, genesis entry, checkpoint, mark
    #[cfg(feature = "station")]
    Init(init::InitArgs),
    /// Fix the exact outcome, before any key is used
    #[cfg(feature = "station")]
    Plan(plan::PlanArgs),
    /// Carry an approved plan out, or go on with an interrupted one
    #[cfg(feature = "station")]
    Sign(sign::SignArgs),
    /// End a plan without carrying the rest of it out
    #[cfg(feature = "station")]
    Void(void::VoidArgs),
    /// Put on record what people did: evidence, deviations, steps
    #[cfg(feature = "station")]
    #[command(subcommand)]
    Record(record::RecordVerb),
    /// Let a CRL that was signed elsewhere count as the station's
    #[cfg(feature = "station")]
    AdoptCrl(adopt_crl::CrlArgs),
    /// Give a CA the certificate that its external issuer has made
    #[cfg(feature = "station")]
    AdoptCertificate(adopt_certificate::CertificateArgs),
    /// Put another hierarchy in force: persons, profiles, CAs
    #[cfg(feature = "station")]
    AdoptHierarchy(hierarchy::HierarchyArgs),
    /// After a clock that ran ahead: go on from the right time
    #[cfg(feature = "station")]
    CorrectClock(clock::ClockArgs),
    /// Write a release again, byte for byte
    #[cfg(feature = "station")]
    Release(release::ReleaseArgs),
    /// When no newer copy is left: go on with the log that there is
    #[cfg(feature = "station")]
    AdoptLog(adopt_log::AdoptLogArgs),
    /// Give the mark to a standby, a clone of the audit key's token
    #[cfg(feature = "station")]
    HandOver(hand_over::HandOverArgs),
    /// Bring a lost or damaged audit directory back from its copy
    #[cfg(feature = "station")]
    Restore(restore::RestoreArgs),
    /// Show what a file of any kind is and what it says
    Show(show::ShowArgs),
    /// Draw items of a plan by dice, to compare with the evidence
    Sample(sample::SampleArgs),
    /// Check a file against what you know from elsewhere
    Check(check::CheckArgs),
    /// Prove that an entry is on record, or that the log only grew
    Prove(prove::ProveArgs),
    /// Write a log out: JSON lines, CSV, public copy, year page
    Export(export::ExportArgs),
    /// What comes due: a table, iCalendar or a picture
    Calendar(calendar::CalendarArgs),
    /// Sign the statement of a plan or hierarchy with your SSH key
    Approve(offline::ApproveArgs),
    /// Make a signed bundle from certificate requests
    Pack(pack::PackArgs),
    /// Write a release out: certificates, CRLs, refusals, report
    Unpack(offline::UnpackArgs),
    /// Write manual pages
    Man(reference::ManArgs),
    /// Write completions for a shell
    Completions(reference::CompletionsArgs),
}

/// What a verb came to: the same result for people and for machines.
pub struct Answer {
    pub text: String,
    pub json: serde_json::Value,
    /// Done, and what was found is not good.
    pub code: Option<Code>,
    /// The verb has written it out itself, as it found it.
    pub printed: bool,
    /// The blocks that the text was laid out from, where it was.
    sheet: Option<Box<Sheet>>,
    /// QR codes behind the text: our own drawing, and what no terminal guard would let through.
    codes: String,
}

impl Answer {
    pub fn new(text: impl Into<String>, json: impl serde::Serialize) -> Answer {
        // A report type of our own always has a JSON form; `null` would only hide the text's twin, not the result.
        let json = serde_json::to_value(json).unwrap_or_default();
        Answer { text: text.into(), json, code: None, printed: false, sheet: None, codes: String::new() }
    }

    /// A result in blocks, which a page can be made of as well.
    pub fn of(sheet: Sheet, json: impl serde::Serialize) -> Answer {
        Answer { text: sheet.terminal(), sheet: Some(Box::new(sheet)), ..Answer::new("", json) }
    }

    /// Further blocks behind those of this answer.
    pub fn and(self, more: Sheet) -> Answer {
        let sheet = match self.sheet {
            Some(sheet) => sheet.and(more),
            None => return self,
        };
        Answer { text: sheet.terminal(), sheet: Some(Box::new(sheet)), ..self }
    }

    /// A result too long to be held, which the verb has written out.
    pub fn printed() -> Answer {
        Answer { printed: true, ..Answer::new("", serde_json::Value::Null) }
    }

    /// The same result, and the exit code that tells scripts of it.
    pub fn with_code(self, code: Code) -> Answer {
        Answer { code: Some(code), ..self }
    }
}

/// The program.
pub fn run() -> ExitCode {
    let parsed = reference::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let mut cli = parsed.unwrap_or_else(|e| wrong_usage(e));
    cli.globals.last = true;
    let json = cli.globals.json;
    let result = match cli.verb {
        #[cfg(feature = "station")]
        Verb::Demo(args) => demo::demo(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::Token(verb) => token::token(&cli.globals, verb),
        #[cfg(feature = "station")]
        Verb::Doctor(args) => doctor::doctor(&cli.globals, &args),
        #[cfg(feature = "station")]
        Verb::Init(args) => init::init(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::Plan(args) => plan::plan(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::Sign(args) => sign::sign(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::Void(args) => void::void(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::Record(verb) => record::record(&cli.globals, verb),
        #[cfg(feature = "station")]
        Verb::AdoptCrl(args) => adopt_crl::adopt_crl(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::AdoptCertificate(args) => adopt_certificate::adopt_certificate(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::AdoptHierarchy(args) => hierarchy::adopt_hierarchy(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::CorrectClock(args) => clock::correct_clock(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::Release(args) => release::release(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::AdoptLog(args) => adopt_log::adopt_log(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::HandOver(args) => hand_over::hand_over(&cli.globals, args),
        #[cfg(feature = "station")]
        Verb::Restore(args) => restore::restore(&cli.globals, args),
        Verb::Show(args) => show::show(&cli.globals, args),
        Verb::Sample(args) => sample::sample(&args),
        Verb::Check(args) => check::check(&cli.globals, args),
        Verb::Prove(args) => prove::prove(&cli.globals, args),
        Verb::Export(args) => export::export(&cli.globals, args),
        Verb::Calendar(args) => calendar::calendar(&cli.globals, &args),
        Verb::Approve(args) => offline::approve(args),
        Verb::Pack(args) => offline::pack(args),
        Verb::Unpack(args) => offline::unpack(&cli.globals, args),
        Verb::Man(args) => reference::man(&args),
        Verb::Completions(args) => reference::completions(&args),
    };
    match result {
        Ok(answer) if answer.printed => answer.code.map_or(ExitCode::SUCCESS, |code| ExitCode::from(code as u8)),
        Ok(answer) => {
            let text = match json {
                true => crate::text::ascii_json(&format!("{:#}\n", answer.json)),
                false => crate::text::lines(&answer.text),
            };
            let done = answer.code.map_or(ExitCode::SUCCESS, |code| ExitCode::from(code as u8));
            let mut out = std::io::stdout();
            match out.write_all((text + &answer.codes).as_bytes()).and_then(|()| out.flush()) {
                Ok(()) => done,
                // A reader that has gone (a closed pager) is no failure of the verb.
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => done,
                Err(e) => {
                    eprintln!("coldroot: done, but the result could not be written out: {e}");
                    ExitCode::from(Code::Halted as u8)
                }
            }
        }
        Err(failure) => {
            failure.print(json);
            ExitCode::from(failure.code as u8)
        }
    }
}

/// Ends with clap's message, its quotes from the command line escaped: a shell's `*` may have put any file's name there.
fn wrong_usage(mut e: clap::Error) -> ! {
    use clap::error::ContextValue::{String, Strings};
    if !e.use_stderr() {
        e.exit();
    }
    let quotes: Vec<_> = e.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in quotes {
        match value {
            String(text) => drop(e.insert(kind, String(crate::text::quoted(&text)))),
            Strings(texts) => drop(e.insert(kind, Strings(texts.iter().map(|t| crate::text::quoted(t)).collect()))),
            _ => {}
        }
    }
    // Rendered without colours.
    let text = e.render().to_string();
    if std::env::args_os().any(|arg| arg == "--json") {
        let what = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        Failure::usage(what, "coldroot --help").print(true);
    } else {
        eprint!("{}", crate::text::lines(&text));
    }
    std::process::exit(e.exit_code())
}

fn parse_time(text: &str) -> Result<i64, String> {
    crate::text::parse_utc(text).ok_or_else(|| "write it as 2026-11-22T00:00:00Z".into())
}

/// The time to judge by: `--now` or the clock.
pub(crate) fn clock(now: Option<i64>) -> i64 {
    now.unwrap_or_else(|| time::OffsetDateTime::now_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
