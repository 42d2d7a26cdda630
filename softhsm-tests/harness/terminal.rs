//! A terminal of one's own (pty), and a program that has it as its controlling terminal.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::station::Run;

/// Longer than anything takes; it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A new terminal: our end, and the program's.
pub fn pair() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let no_ctty = rustix::fs::OFlags::NOCTTY.bits() as i32;
    let theirs = OpenOptions::new().read(true).write(true).custom_flags(no_ctty).open(name).unwrap();
    (File::from(ours), theirs)
}

/// A program on its terminal.
pub struct OnTerminal {
    ours: File,
    /// Kept open, so that the terminal outlives the program and its modes can be looked at.
    theirs: File,
    child: Option<Child>,
    /// Everything that was shown, and how much of it was looked at.
    shown: Vec<u8>,
    read: usize,
}

impl OnTerminal {
    /// Starts `program args…` (the environment and directory of `like`) as leader of a session on a new terminal. Its output
    /// is piped: what is shown on the terminal was written to the terminal.
    pub fn start(like: &Command) -> OnTerminal {
        let (ours, theirs) = pair();
        // setsid(1) makes its standard input the controlling terminal.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(like.get_program()).args(like.get_args());
        if let Some(dir) = like.get_current_dir() {
            command.current_dir(dir);
        }
        for (name, value) in like.get_envs() {
            value.map(|value| command.env(name, value));
        }
        let child = command.stdin(theirs.try_clone().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = Some(child.spawn().unwrap());
        OnTerminal { ours, theirs, child, shown: Vec::new(), read: 0 }
    }

    /// Waits until this is shown, behind what was waited for before; what stood between the two.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let new = &self.shown[self.read..];
            if let Some(at) = new.windows(text.len()).position(|window| window == text.as_bytes()) {
                let before = String::from_utf8_lossy(&new[..at]).into_owned();
                self.read += at + text.len();
                return before;
            }
            // What a program wrote before it ended comes through the kernel in its own time, so its end is no reason to give up.
            if !self.more() && Instant::now() > until {
                let mut child = self.child.take().unwrap();
                let _ = child.kill();
                let run = child.wait_with_output().unwrap();
                let shown = String::from_utf8_lossy(&self.shown).into_owned();
                panic!("`{text}` was not shown, but: {shown}\n{}", String::from_utf8_lossy(&run.stderr));
            }
        }
    }

    /// Reads what is there within a moment; whether there was anything.
    fn more(&mut self) -> bool {
        let moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let mut ready = [PollFd::new(&self.ours, PollFlags::IN)];
        if poll(&mut ready, Some(&moment)).unwrap() == 0 || !ready[0].revents().contains(PollFlags::IN) {
            return false;
        }
        let mut part = [0; 4096];
        let read = self.ours.read(&mut part).unwrap_or(0);
        self.shown.extend(&part[..read]);
        read > 0
    }

    /// The program's process id: setsid(1) becomes it.
    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn keys(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line.
    pub fn line(&mut self, text: &str) {
        self.keys(&format!("{text}\r"));
    }

    /// Whether the terminal shows what is typed.
    pub fn echoes(&self) -> bool {
        tcgetattr(&self.theirs).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Everything that was shown so far.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    /// Waits for the end, and says what the program came to. What it prints fits into its pipes.
    pub fn end(&mut self) -> Run {
        let until = Instant::now() + PATIENCE;
        while self.child.as_mut().unwrap().try_wait().unwrap().is_none() {
            self.more();
            if Instant::now() > until {
                self.child.as_mut().unwrap().kill().unwrap();
            }
        }
        while self.more() {}
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the binary prints UTF-8");
        Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
