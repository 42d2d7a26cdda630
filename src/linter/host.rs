//! The lint host: it starts linters for a parent that no longer can, one at a time, and passes on what they print. It reads
//! neither what they are given nor what they say.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, setsid, waitid};

use super::MAX_OUTPUT;
use super::message::{Answer, Ask, Program};
use super::run::command_line;
use crate::cbor::Bytes;
use crate::digest::Digest;
use crate::wire;

/// So much of what a linter writes to stderr is kept, in octets: the end of it, where the cause stands.
const COMPLAINT: usize = 400;
/// Between two looks whether a program that has closed its output has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Serves the parent on standard input until it goes away or sends what is no question.
pub fn run_host() -> i32 {
    let Ok(mut socket) = settle() else { return 2 };
    let Ok(Ask::Hello { programs, must_be_closed }) = wire::receive(&mut socket) else { return 1 };
    let mut answer = Answer::Ready(programs.iter().map(|program| digest(&program.path).ok()).collect());
    while wire::send(&mut socket, &answer).is_ok() {
        let Ok(Ask::Lint { program, der }) = wire::receive(&mut socket) else { break };
        let program = usize::try_from(program).ok().and_then(|n| programs.get(n));
        answer = match program.map(|program| lint(program, &der, must_be_closed)) {
            Some(Ok(answer)) => answer,
            Some(Err(e)) => Answer::Failed(format!("it cannot be started: {e}")),
            None => Answer::Failed("there is no such linter".into()),
        };
    }
    0
}

/// The socket goes off standard input, so that nothing started from here can read it; a session of its own has no terminal.
fn settle() -> io::Result<UnixStream> {
    let socket = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    setsid()?;
    Ok(socket)
}

fn digest(path: &Path) -> io::Result<Digest> {
    let file = File::open(path)?;
    match file.metadata()?.is_file() {
        true => Digest::read(file),
        false => Err(io::Error::other("it is no file")),
    }
}

/// Runs a program on a file in a private directory, which is removed afterwards with whatever the program left there.
fn lint(program: &Program, der: &[u8], must_be_closed: bool) -> io::Result<Answer> {
    let directory = tempfile::Builder::new().prefix("coldroot-lint-").tempdir()?;
    let path = directory.path().canonicalize()?;
    let file = path.join("item.der");
    fs::write(&file, der)?;
    // The program is this very one, even if another file has taken its place by now. A group of its own is ended as a whole.
    let mut child = Command::new("/proc/self/exe")
        .args(command_line(program, &path, &file, must_be_closed))
        .env_clear()
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let until = Instant::now() + Duration::from_secs(program.seconds.into());
    let printed = read_out(&mut child, until).and_then(|printed| ended(&child, until).map(|()| printed));
    // The leader is not reaped yet, so its group is no other's. Nothing that was started gets out of it: the sandbox denies that.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait()?;
    Ok(match printed {
        Ok((output, complaint)) => {
            let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
            let crashed = status.code().is_none();
            let complaint = if crashed { format!("{status} {complaint}") } else { complaint };
            Answer::Printed { output: Bytes::from(output), complaint, crashed }
        }
        Err(e) if e.kind() == io::ErrorKind::TimedOut => {
            Answer::Failed(format!("it did not end within {} s and was killed", program.seconds))
        }
        Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
            Answer::Failed(format!("it printed more than {MAX_OUTPUT} octets and was killed"))
        }
        Err(e) => Answer::Failed(e.to_string()),
    })
}

/// Both streams to their end, bounded in time and size.
fn read_out(child: &mut Child, until: Instant) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("it has no pipes"));
    };
    let (mut output, mut complaint) = (Vec::new(), Vec::new());
    let (mut open, mut buffer) = ([true, true], [0; 16 << 10]);
    while open[0] || open[1] {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let wait = Timespec::try_from(left).map_err(io::Error::other)?;
        // One that is closed would be ready for ever.
        let watched = [PollFd::new(&out, PollFlags::IN), PollFd::new(&err, PollFlags::IN)];
        let mut ready: Vec<PollFd> =
            watched.into_iter().zip(open).filter(|(_, open)| *open).map(|(fd, _)| fd).collect();
        match poll(&mut ready, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let mut ready = ready.iter().map(|fd| !fd.revents().is_empty());
        let [from_out, from_err] = open.map(|open| open && ready.next() == Some(true));
        if from_out {
            let n = out.read(&mut buffer)?;
            open[0] = n > 0;
            output.extend_from_slice(&buffer[..n]);
            if output.len() > MAX_OUTPUT {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        if from_err {
            let n = err.read(&mut buffer)?;
            open[1] = n > 0;
            complaint.extend_from_slice(&buffer[..n]);
            let surplus = complaint.len().saturating_sub(COMPLAINT);
            complaint.drain(..surplus);
        }
    }
    Ok((output, complaint))
}

/// Waits for the program's end without reaping it.
fn ended(child: &Child, until: Instant) -> io::Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    while waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)?.is_none() {
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
