//! `doctor`: whether everything stands ready for a ceremony. It reads machine, station, tokens (without a login) and roster, and
//! writes nothing.

mod machine;
mod work;

use std::io::Read;

use clap::Args;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::config::Environment;
use crate::digest::Digest;
use crate::report::terminal::{counted, wrap};
use crate::sandbox;
use crate::text::{escape, hex_groups, path};

use super::station::Station;
use super::{Answer, Failure, Globals, failure::Code};
use machine::{Machine, writable};

/// Columns of the state.
const STATE: usize = 6;
/// Octets of a program or module that are read for its digest.
const LONGEST: u64 = 1 << 30;

/// Asks the doctor.
#[derive(Args)]
#[command(
    after_help = "In a rehearsal, what a real station must not have (a network, swap) is only told. Exit code 4: something must be \
    mended first. Nothing is changed, and no PIN is asked for: whether the log is the one that the token knows, the next login says.\n\n\
    Examples:\n  coldroot doctor\n  coldroot doctor --json"
)]
pub struct DoctorArgs {}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Must be mended before a ceremony.
    Bad,
    /// Should be looked at.
    Look,
    Good,
}

/// One thing that was looked at. Texts are escaped already.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub state: State,
    pub what: String,
    pub found: String,
    /// What to do; empty where all is well.
    pub next: String,
}

impl Finding {
    pub fn good(what: &str, found: impl Into<String>) -> Finding {
        Finding { state: State::Good, what: what.into(), found: found.into(), next: String::new() }
    }

    pub fn look(what: &str, found: impl Into<String>, next: impl Into<String>) -> Finding {
        Finding { state: State::Look, what: what.into(), found: found.into(), next: next.into() }
    }

    pub fn bad(what: &str, found: impl Into<String>, next: impl Into<String>) -> Finding {
        Finding { state: State::Bad, what: what.into(), found: found.into(), next: next.into() }
    }

    /// What a rehearsal may have all the same.
    fn lenient(self, environment: Environment) -> Finding {
        match (environment, self.state) {
            (Environment::Rehearsal, State::Bad) => Finding { state: State::Look, ..self },
            _ => self,
        }
    }
}

pub fn doctor(globals: &Globals, _: &DoctorArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    let environment = station.hierarchy.environment;
    let mut findings: Vec<Finding> =
        Machine::at("/").findings(station.clock()).into_iter().map(|f| f.lenient(environment)).collect();
    findings.push(memory().lenient(environment));
    findings.extend(programs(&station));
    let files = [station.dir.join("hierarchy.toml"), station.dir.clone(), station.audit_dir()];
    findings.extend(files.iter().filter_map(|file| writable(file)).map(|f| f.lenient(environment)));
    findings.extend(work::log(&station)?);
    findings.extend(tokens(&station));
    findings.extend(work::people(&station.hierarchy, station.clock()));
    let next = "install the program, or adopt a hierarchy that needs it no longer or accepts the finding longer";
    let linters = super::alone::linters(&station.hierarchy, station.clock());
    findings.extend(linters.into_iter().map(|told| Finding::look("linters", told, next)));
    // The last thing: from here on this process opens no file any more.
    findings.push(sandbox().lenient(environment));
    findings.sort_by_key(|finding| finding.state);
    let bad = findings.iter().filter(|f| f.state == State::Bad).count() as u64;
    let text = told(&findings, environment);
    let answer = Answer::new(text, &findings);
    Ok(if bad > 0 { answer.with_code(Code::CheckFailed) } else { answer })
}

/// Whether pages can be kept out of swap: the gate does so for PINs.
fn memory() -> Finding {
    let what = "locked memory";
    match rustix::mm::mlockall(rustix::mm::MlockAllFlags::CURRENT) {
        Ok(()) => {
            let _ = rustix::mm::munlockall();
            Finding::good(what, "pages can be kept out of swap")
        }
        Err(e) => {
            let limit =
                getrlimit(Resource::Memlock).current.map_or("no limit".into(), |l| format!("limit {} KiB", l / 1024));
            Finding::bad(
                what,
                format!("pages cannot be kept out of swap: {e} ({limit})"),
                "ulimit -l unlimited, as root or in limits.conf",
            )
        }
    }
}

fn sandbox() -> Finding {
    match sandbox::enter(&[], &[]) {
        Ok(()) => Finding::good("sandbox", "the parent can be shut in (Landlock, seccomp)"),
        Err(e) => Finding::bad("sandbox", escape(&e.to_string()), e.hint().unwrap_or_default()),
    }
}

/// The digests of this program and of the modules: to be read against what was written down when they were installed.
fn programs(station: &Station) -> Vec<Finding> {
    let mut files = vec![("program".to_string(), std::path::PathBuf::from("/proc/self/exe"))];
    for token in &station.hierarchy.tokens {
        if !files.iter().any(|(_, file)| *file == token.module) {
            files.push((format!("module of {}", escape(&token.id)), token.module.clone()));
        }
    }
    let finding = |(what, file): &(String, std::path::PathBuf)| match digest(file) {
        Ok(digest) => Finding::good(what, format!("sha256 {}", hex_groups(&digest.0))),
        Err(e) => Finding::bad(what, format!("{} cannot be read: {e}", path(file)), "install it, or correct `module`"),
    };
    files.iter().map(finding).collect()
}

fn digest(file: &std::path::Path) -> std::io::Result<Digest> {
    Digest::read(std::fs::File::open(file)?.take(LONGEST))
}

/// The tokens as their modules show them, and what each says it can do.
fn tokens(station: &Station) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut gate = match station.start_gate() {
        Ok(gate) => gate,
        Err(e) => return vec![Finding::bad("tokens", escape(&e.what), e.hint.unwrap_or_default())],
    };
    for token in &station.hierarchy.tokens {
        let what = format!("token {}", escape(&token.id));
        let shown = match gate.list_tokens(&token.id) {
            Ok(shown) => shown,
            Err(e) => {
                findings.push(Finding::bad(&what, escape(&e.to_string()), e.hint().unwrap_or_default()));
                continue;
            }
        };
        let its = |serial: &String| *serial == shown_serial(token.serial.as_ref()) || token.standby.contains(serial);
        let Some(facts) = shown.iter().find(|facts| facts.initialised && its(&facts.serial)) else {
            let found = format!(
                "none of the {} that its module shows has its serial number",
                counted(shown.len() as u64, "token", "tokens")
            );
            findings.push(Finding::bad(&what, found, "insert it; coldroot token list"));
            continue;
        };
        let of = format!("serial {}, {}", escape(&facts.serial), escape(&facts.model));
        findings.push(match (facts.pin_locked, facts.pin_final_try, facts.pin_count_low) {
            (true, ..) => Finding::bad(
                &what,
                format!("{of}: its PIN is locked"),
                "its security officer sets a new PIN; docs/recovery.md",
            ),
            (_, true, _) => Finding::bad(
                &what,
                format!("{of}: one try of its PIN is left"),
                "type it elsewhere, slowly, before the ceremony",
            ),
            (.., true) => {
                Finding::look(&what, format!("{of}: its PIN was wrong lately"), "coldroot show audit --kind pin-try")
            }
            _ => Finding::good(&what, format!("{of}: its PIN is ready")),
        });
        findings.extend(mechanisms(station, &mut gate, &token.id));
    }
    if let Err(e) = gate.close() {
        findings.push(Finding::look("tokens", escape(&e.to_string()), "coldroot token list"));
    }
    findings
}

fn shown_serial(serial: Option<&String>) -> String {
    serial.cloned().unwrap_or_default()
}

/// Whether a token lists what its keys need.
fn mechanisms(station: &Station, gate: &mut crate::gate::Gate, token: &str) -> Vec<Finding> {
    let what = format!("token {}", escape(token));
    let hierarchy = &station.hierarchy;
    let audit = (hierarchy.audit_token == token).then_some((hierarchy.audit_algorithm, true));
    let keys = hierarchy.keys.iter().filter(|key| key.token == token).map(|key| (key.algorithm, false));
    let mut wanted: Vec<_> = audit.into_iter().chain(keys).collect();
    wanted.dedup();
    let names: Vec<&str> = wanted.iter().map(|(algorithm, _)| algorithm.name()).collect();
    for (algorithm, audit) in &wanted {
        if let Err(e) = gate.fit(token, *algorithm, *audit) {
            return vec![Finding::bad(&what, escape(&e.to_string()), e.hint().unwrap_or_default())];
        }
    }
    match names.is_empty() {
        true => Vec::new(),
        false => vec![Finding::good(&what, format!("it says that it can do {}", names.join(", ")))],
    }
}

/// What must be mended first, then what should be looked at, then the rest.
fn told(findings: &[Finding], environment: Environment) -> String {
    let count = |state: State| findings.iter().filter(|f| f.state == state).count() as u64;
    let (bad, look) = (count(State::Bad), count(State::Look));
    let mut text = match (bad, look) {
        (0, 0) => "Everything stands ready.\n".to_string(),
        (0, _) => format!("Nothing stands in the way; {} to be looked at.\n", counted(look, "thing is", "things are")),
        _ => format!("Not ready: {} to be mended first.\n", counted(bad, "thing is", "things are")),
    };
    if environment == Environment::Rehearsal {
        text += "A rehearsal: a real station would be judged more strictly.\n";
    }
    text.push('\n');
    let name = findings.iter().map(|finding| finding.what.len()).max().unwrap_or_default().min(24) + 2;
    let indent = STATE + name;
    for finding in findings {
        let state = match finding.state {
            State::Bad => "MEND",
            State::Look => "look",
            State::Good => "ok",
        };
        let width = crate::report::terminal::WIDTH - indent;
        let mut lines = wrap(&finding.found, width);
        if !finding.next.is_empty() {
            lines.extend(wrap(&format!("-> {}", finding.next), width));
        }
        for (n, line) in lines.iter().enumerate() {
            let (state, what) = if n == 0 { (state, finding.what.as_str()) } else { ("", "") };
            text += &format!("{state:STATE$}{what:name$}{line}\n");
        }
    }
    text
}
