//! The gate's side of a worker: start, ask, deadline, end.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::ask::{Answer, Ask};
use crate::secret::Secret;
use crate::text::escape;
use crate::wire;

/// So much of what a worker prints is kept, in octets: the end of it, where the cause stands.
const OUTPUT: usize = 4 << 10;
/// Long enough for every question, for whoever sets no deadlines: making an RSA key in a real token takes minutes.
const USUAL: Duration = Duration::from_secs(300);
/// So long a killed process may take to go.
const GRACE: Duration = Duration::from_secs(2);

/// Why a worker gave no answer. That it could not do what was asked is an answer: [`Answer::Failed`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a worker cannot be started: {0}")]
    Start(io::Error),
    /// `output`: what it printed last, a line each, escaped.
    #[error("the worker has gone{}", last_line(output))]
    Gone { output: String },
    #[error("the worker did not answer within {seconds} s{}", last_line(output))]
    TimedOut { seconds: u64, output: String },
    #[error("the worker's answer cannot be read: {0}")]
    Unreadable(wire::Error),
    #[error("this question goes with a PIN and cannot be asked without")]
    NeedsPin,
}

impl Error {
    /// What a person should do.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Error::Start(_) => "check that the program file is there and may be executed",
            Error::Gone { .. } | Error::TimedOut { .. } => {
                "the module crashed or hangs: check the token's connection and the module's own configuration, then run \
                 the same command again"
            }
            Error::Unreadable(_) => "check that gate and worker are the same program file",
            Error::NeedsPin => return None,
        };
        Some(text.into())
    }
}

/// How long a question may take.
pub type Limits = Box<dyn Fn(&Ask) -> Duration + Send + Sync>;

/// A running worker. Dropping it kills the process.
pub struct Worker {
    /// `None`: killed, and not gone within [`GRACE`]; another thread waits for it.
    child: Option<Child>,
    socket: UnixStream,
    output: Arc<Mutex<VecDeque<u8>>>,
    limits: Limits,
    /// Disconnected when both of the worker's output streams have ended.
    drained: mpsc::Receiver<()>,
    lost: bool,
}

impl Worker {
    /// Starts `exe args…` with its end of a socket pair as stdin and exactly `env` as its environment.
    pub fn start(exe: &Path, args: &[&str], env: &BTreeMap<String, String>) -> Result<Worker, Error> {
        // Both ends are CLOEXEC; becoming the child's stdin takes that off its own end, and only there.
        let (socket, theirs) = UnixStream::pair().map_err(Error::Start)?;
        let mut child = Command::new(exe)
            .args(args)
            .env_clear()
            .envs(env)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::Start)?;
        let output = Arc::new(Mutex::new(VecDeque::new()));
        let (done, drained) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            drain(stdout, Arc::clone(&output), done.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            drain(stderr, Arc::clone(&output), done);
        }
        let limits: Limits = Box::new(|_| USUAL);
        Ok(Worker { child: Some(child), socket, output, limits, drained, lost: false })
    }

    /// The same worker with deadlines of one's own, instead of one that is long enough for everything.
    pub fn with_limits(mut self, limits: Limits) -> Worker {
        self.limits = limits;
        self
    }

    /// Asks one question; `Login`, `SetPin` and `InitToken` have functions of their own. After any error the worker is of no more use.
    pub fn ask(&mut self, ask: &Ask) -> Result<Answer, Error> {
        match ask {
            Ask::Login | Ask::SetPin | Ask::InitToken { .. } => Err(Error::NeedsPin),
            _ => self.exchange(ask, &[], (self.limits)(ask)),
        }
    }

    /// [`Ask::Login`] with its PIN; an empty PIN means the token's own keypad.
    pub fn login(&mut self, pin: &Secret) -> Result<Answer, Error> {
        self.exchange(&Ask::Login, &[pin], (self.limits)(&Ask::Login))
    }

    /// [`Ask::SetPin`] with its PINs.
    pub fn set_pin(&mut self, old: &Secret, new: &Secret) -> Result<Answer, Error> {
        self.exchange(&Ask::SetPin, &[old, new], (self.limits)(&Ask::SetPin))
    }

    /// [`Ask::InitToken`] with its PINs.
    pub fn init_token(
        &mut self,
        module: &Path,
        init_args: Option<&str>,
        label: &str,
        so_pin: &Secret,
        user_pin: &Secret,
    ) -> Result<Answer, Error> {
        let ask = Ask::InitToken { module: module.into(), init_args: init_args.map(Into::into), label: label.into() };
        self.exchange(&ask, &[so_pin, user_pin], (self.limits)(&ask))
    }

    /// What the worker printed, the last 4 KiB of it, escaped line by line.
    pub fn output(&self) -> String {
        let kept: Vec<u8> = self.output.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let lines: Vec<String> = String::from_utf8_lossy(&kept).lines().map(escape).collect();
        lines.join("\n")
    }

    /// Has the worker close in order, which frees its sessions on the device at once; one that cannot is killed all the same.
    pub fn close(mut self, limit: Duration) {
        if self.exchange(&Ask::Close, &[], limit).is_ok() {
            self.wait(limit);
        }
    }

    /// The worker's process id, while it is known to be there.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Waits up to `limit` for the process to end by itself, as it does after [`Ask::Close`]; its exit code.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let child = self.child.take_if(|child| has_ended(child, limit))?;
        end(child)?.code()
    }

    fn exchange(&mut self, ask: &Ask, pins: &[&Secret], limit: Duration) -> Result<Answer, Error> {
        if self.lost {
            return Err(Error::Gone { output: self.output() });
        }
        let mut timed = Timed { socket: &self.socket, until: Instant::now() + limit };
        let answer = wire::send(&mut timed, ask)
            .and_then(|()| pins.iter().try_for_each(|pin| wire::send_secret(&mut timed, pin)))
            .and_then(|()| wire::receive(&mut timed));
        answer.map_err(|error| self.give_up(error, limit))
    }

    /// A worker that broke the conversation, or is late, is never asked again: nobody knows which answer would come next.
    fn give_up(&mut self, error: wire::Error, limit: Duration) -> Error {
        self.lost = true;
        self.kill();
        // What it printed explains its end. A program that the module started may hold the pipes open, so not for long.
        let _ = self.drained.recv_timeout(GRACE);
        let output = self.output();
        match error {
            wire::Error::Gone(cause) if matches!(cause.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                Error::TimedOut { seconds: limit.as_secs(), output }
            }
            wire::Error::Gone(_) => Error::Gone { output },
            other => Error::Unreadable(other),
        }
    }

    /// Ends the process. SIGKILL reaches it at once, unless a call of its driver cannot be interrupted, or something traces
    /// it: then a thread of its own waits for it, and nobody else does.
    fn kill(&mut self) {
        self.child.take().and_then(end);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ends the process and all of its group, and reaps it: the worker leads a group once it has settled, and what a module has
/// started goes with it, also when the worker itself has gone in order. Nobody has reaped it yet, so its number cannot belong
/// to anyone else. `None`: it did not go; a thread of its own waits for it.
fn end(mut child: Child) -> Option<ExitStatus> {
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    let _ = child.kill();
    if has_ended(&child, GRACE) {
        return child.wait().ok();
    }
    eprintln!("coldroot: a worker (process {}) was killed and has not gone; it is left behind", child.id());
    std::thread::spawn(move || child.wait());
    None
}

/// Waits up to `limit` for the process to end, and does not reap it.
fn has_ended(child: &Child, limit: Duration) -> bool {
    let looking = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let until = Instant::now() + limit;
    loop {
        match waitid(WaitId::Pid(Pid::from_child(child)), looking) {
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => return false,
            // Ended; or there is no such child, and nothing to wait for.
            _ => return true,
        }
    }
}

/// The socket with one deadline for a whole exchange: a timeout per read would let a worker that trickles live for ever.
struct Timed<'a> {
    socket: &'a UnixStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        let mut socket = self.socket;
        socket.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        let mut socket = self.socket;
        socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn drain(mut from: impl Read + Send + 'static, into: Arc<Mutex<VecDeque<u8>>>, done: mpsc::Sender<()>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(buffer.iter().take(read));
            let surplus = kept.len().saturating_sub(OUTPUT);
            kept.drain(..surplus);
        }
        drop(done);
    });
}

fn last_line(output: &str) -> String {
    match output.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!(", its last words: {line}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_trickles_does_not_outlive_the_deadline() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let trickle = std::thread::spawn(move || {
            // A frame of 4 MiB, an octet at a time: each read succeeds, the whole never does.
            let frame = [&(4u32 << 20).to_be_bytes(), [0x40; 64].as_slice()].concat();
            for octet in frame {
                if theirs.write_all(&[octet]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let mut timed = Timed { socket: &ours, until: Instant::now() + Duration::from_millis(100) };
        let wire::Error::Gone(cause) = wire::receive::<Answer>(&mut timed).unwrap_err() else { panic!() };
        assert!(matches!(cause.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock));
        drop(ours);
        trickle.join().unwrap();
    }

    #[test]
    fn a_worker_that_hangs_is_killed_at_the_deadline() {
        let script = "echo waiting; exec /bin/sleep 60";
        let mut worker = Worker::start(Path::new("/bin/sh"), &["-c", script], &BTreeMap::new()).unwrap();
        while worker.output() != "waiting" {
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = worker.exchange(&Ask::Close, &[], Duration::from_millis(300)).unwrap_err();
        assert!(matches!(&error, Error::TimedOut { output, .. } if output == "waiting"), "{error}");
        assert_eq!(worker.id(), None);
        assert!(matches!(worker.ask(&Ask::Close), Err(Error::Gone { .. })));
    }

    /// A process that is traced stays until its tracer has seen its end; so does one in an uninterruptible call.
    #[test]
    fn a_worker_that_cannot_be_killed_is_left_behind() {
        let mut worker = Worker::start(Path::new("/bin/sleep"), &["600"], &BTreeMap::new()).unwrap();
        let id = worker.id().unwrap();
        let mut tracer =
            Command::new("strace").args(["-qq", "-o", "/dev/null", "-p", &id.to_string()]).spawn().unwrap();
        let traced = |id: u32| {
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
            !status.lines().any(|line| line.starts_with("TracerPid:") && line.ends_with("\t0"))
        };
        while !traced(id) {
            assert!(tracer.try_wait().unwrap().is_none(), "strace does not trace here");
            std::thread::sleep(Duration::from_millis(5));
        }
        rustix::process::kill_process(Pid::from_child(&tracer), Signal::STOP).unwrap();
        let error = worker.exchange(&Ask::Close, &[], Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert!(traced(id), "it has gone");
        drop(worker);
        tracer.kill().unwrap();
        tracer.wait().unwrap();
    }

    #[test]
    fn of_long_output_the_end_is_kept() {
        let script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done";
        let mut worker = Worker::start(Path::new("/bin/sh"), &["-c", script], &BTreeMap::new()).unwrap();
        let Err(Error::Gone { output }) = worker.ask(&Ask::Close) else { panic!() };
        // The cut may fall before a space, which is escaped at the beginning of a line.
        assert!(output.len() <= OUTPUT + r"\u{20}".len() && output.ends_with("line 2999"));
        assert_eq!(last_line(&output), ", its last words: line 2999");
    }
}
