//! A run that stands still at calls of its parent until the test lets it go on: what happens to it then depends on nobody's
//! speed.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::station::{COLDROOT, Station};

/// A command under strace, which sends the parent (its first thread, no other process) SIGSTOP at each of some calls.
pub struct Held {
    strace: Child,
    /// What strace writes, and how many stops it had told of when somebody looked.
    log: PathBuf,
    stops: usize,
}

impl Held {
    pub fn start(station: &Station, args: &[&str], calls: &str) -> Held {
        let log = station.dir().with_extension("held");
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:signal=STOP:when=1+"));
        let before = ["-qq", "-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject, COLDROOT];
        // Of a run before.
        fs::write(&log, "").unwrap();
        let mut command = station.command_of("strace", &before, args);
        let strace = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let strace = strace.expect("strace is needed: apt-get install strace (./softhsm-tests/run-all installs it)");
        Held { strace, log, stops: 0 }
    }

    /// Waits until it stands still at the next call; false when it has ended.
    pub fn stands(&mut self) -> bool {
        loop {
            let ended = self.strace.try_wait().unwrap().is_some();
            let told = fs::read_to_string(&self.log).unwrap().matches("--- stopped by SIGSTOP ---").count();
            if told > self.stops {
                self.stops = told;
                return true;
            }
            if ended {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets it go on from stop to stop until this is so, and it stands still; false when it has ended before.
    pub fn stands_where(&mut self, wanted: impl Fn(&Held) -> bool) -> bool {
        while self.stands() {
            if wanted(self) {
                return true;
            }
            self.go_on();
        }
        false
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGKILL for the parent, which must stand still.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        assert_eq!(self.strace.wait().unwrap().signal(), Some(9));
    }

    /// Lets it go on to its end.
    pub fn end(mut self) -> ExitStatus {
        self.go_on();
        while self.stands() {
            self.go_on();
        }
        self.strace.wait().unwrap()
    }

    /// The parent's process id.
    pub fn parent(&self) -> u32 {
        let strace = self.strace.id();
        let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap();
        children.split_whitespace().next().and_then(|id| id.parse().ok()).expect("strace has its child")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.parent().try_into().unwrap()).unwrap(), signal).unwrap();
    }
}
