//! The parent's end of the lint host.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::message::{Answer, Ask, Program};
use super::output::findings;
use super::run::SYSTEM;
use crate::cbor::Bytes;
use crate::config::{Guard, Hierarchy, Linter};
use crate::digest::Digest;
use crate::prepare::{Finding, Linters};
use crate::text;
use crate::wire;

/// So long the host may take beyond a linter's own time: to start it, to end it, to remove its directory.
const GRACE: u64 = 30;

/// A running host, or the reason why there is none.
pub struct Host {
    running: Result<(UnixStream, Child), String>,
    linters: Vec<Linter>,
    programs: Vec<Option<Digest>>,
    /// Of each, what it may read that holds the station.
    too_much: Vec<Option<String>>,
}

impl Host {
    /// Starts the host for the linters of a hierarchy, whose station they may not read. That it cannot be started is found when it is asked: no linter, no answer.
    pub fn start(hierarchy: &Hierarchy, station: &Path) -> Host {
        let linters = hierarchy.linters.clone();
        let too_much = linters.iter().map(|linter| holds(&linter.read, station)).collect();
        let mut host = Host { running: Err("there is none".into()), linters, programs: Vec::new(), too_much };
        if !host.linters.is_empty() {
            host.running = launch().map_err(|e| format!("the lint host cannot be started: {e}"));
            let must_be_closed = hierarchy.sandbox == Guard::Required;
            match host.ask(&Ask::Hello { programs: host.linters.iter().map(program).collect(), must_be_closed }, GRACE)
            {
                Ok(Answer::Ready(programs)) => host.programs = programs,
                Ok(_) => host.running = Err("the lint host answered another question".into()),
                Err(why) => host.running = Err(why),
            }
        }
        host
    }

    fn ask(&mut self, ask: &Ask, seconds: u64) -> Result<Answer, String> {
        let (socket, _) = self.running.as_mut().map_err(|why| why.clone())?;
        let mut asked = || {
            socket.set_read_timeout(Some(Duration::from_secs(seconds)))?;
            wire::send(socket, ask)?;
            wire::receive(socket)
        };
        asked().map_err(|e: wire::Error| {
            let why = format!("the lint host has gone: {e}");
            self.running = Err(why.clone());
            why
        })
    }
}

impl Drop for Host {
    /// It ends when its socket does; a linter that it still waits for has a deadline.
    fn drop(&mut self) {
        if let Ok((socket, mut child)) = std::mem::replace(&mut self.running, Err("it was ended".into())) {
            drop(socket);
            let _ = child.wait();
        }
    }
}

impl Linters for Host {
    fn program(&self, linter: usize) -> Option<Digest> {
        self.programs.get(linter).copied().flatten()
    }

    fn lint(&mut self, linter: usize, der: &[u8]) -> Result<Vec<Finding>, String> {
        let Some(declared) = self.linters.get(linter).cloned() else { return Err("it is not declared".into()) };
        let shown = text::path(&declared.program);
        if let Some(Some(path)) = self.too_much.get(linter) {
            return Err(format!("it may read {path}, which holds the station or a part of it"));
        }
        if self.running.is_ok() {
            match (self.program(linter), declared.sha256) {
                (None, _) => return Err(format!("the program {shown} is missing or cannot be read")),
                (Some(found), Some(wanted)) if found != wanted => {
                    return Err(format!("the program {shown} is another than declared: its SHA-256 is {found}"));
                }
                _ => {}
            }
        }
        let ask = Ask::Lint { program: linter as u64, der: Bytes::from(der) };
        match self.ask(&ask, u64::from(declared.seconds) + GRACE)? {
            Answer::Printed { complaint, crashed: true, .. } => {
                Err(format!("it crashed: {}", text::escape(&complaint)))
            }
            Answer::Printed { output, complaint, .. } => findings(declared.form, &output).map_err(|what| {
                let said = if complaint.is_empty() {
                    String::new()
                } else {
                    format!("; it says {}", text::escape(&complaint))
                };
                format!("what it printed is no output of its form ({what}){said}")
            }),
            Answer::Failed(why) => Err(text::escape(&why)),
            Answer::Ready(_) => Err("the lint host answered another question".into()),
        }
    }
}

/// Which of these directories, or of the system's, holds the station or lies in it.
fn holds(read: &[PathBuf], station: &Path) -> Option<String> {
    let station = station.canonicalize().ok()?;
    let all = read.iter().map(PathBuf::as_path).chain(SYSTEM.iter().map(Path::new));
    let mut all = all.filter_map(|path| path.canonicalize().ok());
    all.find(|path| station.starts_with(path) || path.starts_with(&station)).map(text::path)
}

fn launch() -> std::io::Result<(UnixStream, Child)> {
    let (socket, theirs) = UnixStream::pair()?;
    let child = Command::new(std::env::current_exe()?)
        .arg("lint-host")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()?;
    Ok((socket, child))
}

fn program(linter: &Linter) -> Program {
    Program {
        path: linter.program.clone(),
        arguments: linter.arguments.clone(),
        read: linter.read.clone(),
        seconds: linter.seconds,
        memory_mb: linter.memory_mb,
    }
}
