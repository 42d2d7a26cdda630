//! The gate's side of a worker: start, ask, deadline, end.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::ask::{Answer, Ask};
use crate::secret::Secret;
use crate::text::escape;
use crate::wire;

/// So much of what a worker prints is kept, in octets: the end of it, where the cause stands.
const OUTPUT: usize = 4 << 10;

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

/// A running worker. Dropping it kills the process and waits for it.
pub struct Worker {
    child: Child,
    socket: UnixStream,
    output: Arc<Mutex<VecDeque<u8>>>,
    /// For every question, instead of what is usual for its kind.
    deadline: Option<Duration>,
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
        Ok(Worker { child, socket, output, deadline: None, drained, lost: false })
    }

    /// The same worker with a deadline of one's own for every question; `None` leaves it at what is usual.
    pub fn with_deadline(mut self, seconds: Option<u32>) -> Worker {
        self.deadline = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        self
    }

    /// Asks one question; `Login`, `SetPin` and `InitToken` have functions of their own. After any error the worker is of no more use.
    pub fn ask(&mut self, ask: &Ask) -> Result<Answer, Error> {
        match ask {
            Ask::Login | Ask::SetPin | Ask::InitToken { .. } => Err(Error::NeedsPin),
            _ => self.exchange(ask, &[], self.limit(ask)),
        }
    }

    /// [`Ask::Login`] with its PIN; an empty PIN means the token's own keypad.
    pub fn login(&mut self, pin: &Secret) -> Result<Answer, Error> {
        self.exchange(&Ask::Login, &[pin], self.limit(&Ask::Login))
    }

    /// [`Ask::SetPin`] with its PINs.
    pub fn set_pin(&mut self, old: &Secret, new: &Secret) -> Result<Answer, Error> {
        self.exchange(&Ask::SetPin, &[old, new], self.limit(&Ask::SetPin))
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
        self.exchange(&ask, &[so_pin, user_pin], self.limit(&ask))
    }

    /// What the worker printed, the last 4 KiB of it, escaped line by line.
    pub fn output(&self) -> String {
        let kept: Vec<u8> = self.output.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let lines: Vec<String> = String::from_utf8_lossy(&kept).lines().map(escape).collect();
        lines.join("\n")
    }

    /// The worker's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits up to `limit` for the process to end by itself, as it does after [`Ask::Close`]; its exit code.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let until = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.code(),
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }

    fn limit(&self, ask: &Ask) -> Duration {
        self.deadline.unwrap_or_else(|| usual(ask))
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
        let _ = self.drained.recv_timeout(Duration::from_millis(500));
        let output = self.output();
        match error {
            wire::Error::Gone(cause) if matches!(cause.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                Error::TimedOut { seconds: limit.as_secs(), output }
            }
            wire::Error::Gone(_) => Error::Gone { output },
            other => Error::Unreadable(other),
        }
    }

    fn kill(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // The worker leads a process group once it has settled; what the module started goes with it. The child is
            // not reaped yet, so its number cannot belong to anyone else.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How long one question may take. Making RSA keys in real tokens takes minutes; a login may wait for a keypad.
fn usual(ask: &Ask) -> Duration {
    Duration::from_secs(match ask {
        Ask::Login | Ask::SetPin | Ask::InitToken { .. } => 60,
        Ask::GenerateKey { .. } => 300,
        Ask::Inventory { .. } => 120,
        Ask::Probe { step } => step.seconds(),
        Ask::Sign { .. } => 120,
        _ => 30,
    })
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
        let started = Instant::now();
        let mut timed = Timed { socket: &ours, until: started + Duration::from_millis(100) };
        let wire::Error::Gone(cause) = wire::receive::<Answer>(&mut timed).unwrap_err() else { panic!() };
        assert!(matches!(cause.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock));
        assert!(started.elapsed() < Duration::from_millis(400));
        drop(ours);
        trickle.join().unwrap();
    }

    #[test]
    fn a_worker_that_hangs_is_killed_at_the_deadline() {
        let script = "echo waiting; exec /bin/sleep 60";
        let mut worker = Worker::start(Path::new("/bin/sh"), &["-c", script], &BTreeMap::new()).unwrap();
        let error = worker.exchange(&Ask::Close, &[], Duration::from_millis(300)).unwrap_err();
        assert!(matches!(&error, Error::TimedOut { output, .. } if output == "waiting"), "{error}");
        assert!(worker.child.try_wait().unwrap().is_some());
        assert!(matches!(worker.ask(&Ask::Close), Err(Error::Gone { .. })));
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
