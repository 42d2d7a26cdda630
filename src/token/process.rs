//! The worker as a process: what it does to itself before the first question, and the loop.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::net::{AddressFamily, sockopt};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, setsid};

use super::ask::{Answer, Ask};
use super::fault::{Fault, Misuse};
use super::worker::Worker;
use crate::secret::Secret;
use crate::wire;

/// Runs a worker on the socket that is this process's stdin. Returns the exit code: 0 after [`Ask::Close`], 1 when the gate
/// went away without it, 2 when the process cannot be set up.
pub fn run_worker() -> i32 {
    match settle().map(serve) {
        Ok(code) => code,
        Err(cause) => {
            let _ = writeln!(io::stderr(), "the worker cannot start: {cause}; it is started by coldroot, not by hand");
            2
        }
    }
}

/// Makes the process fit to hold a PIN, before a line of a module's code runs: no core dump, no tracer, no terminal, and
/// the socket out of the place where a module would look for a terminal.
fn settle() -> io::Result<UnixStream> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    if sockopt::socket_domain(io::stdin())? != AddressFamily::UNIX {
        return Err(io::Error::other("stdin is not the gate's socket"));
    }
    // From 3 up: 0, 1 and 2 keep their meaning. CLOEXEC: programs that a module starts must not get the socket.
    let socket = UnixStream::from(fcntl_dupfd_cloexec(io::stdin(), 3)?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    setsid()?;
    lock_memory();
    Ok(socket)
}

/// Keeps pages out of swap, as far as the limits allow; `doctor` wants no swap in any case. Future pages are locked only where
/// no limit holds: with one, a module's allocations would begin to fail in the middle of a run.
fn lock_memory() {
    let unlimited = getrlimit(Resource::Memlock).current.is_none() || may_lock_all();
    let flags = if unlimited { MlockAllFlags::CURRENT | MlockAllFlags::FUTURE } else { MlockAllFlags::CURRENT };
    let _ = mlockall(flags);
}

/// Whether the process has CAP_IPC_LOCK (capability 14), to which RLIMIT_MEMLOCK does not apply.
fn may_lock_all() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    set >> 14 & 1 == 1
}

/// The worker without its process: for `benches/boundary.rs`, which measures what the process costs. The binary has no way here
/// but [`run_worker`].
#[doc(hidden)]
#[derive(Default)]
pub struct InProcess(Worker);

impl InProcess {
    /// One question with its PINs, through no socket.
    pub fn ask(&mut self, ask: Ask, pins: &[&Secret]) -> Result<Answer, wire::Error> {
        let mut frames = Vec::new();
        pins.iter().try_for_each(|pin| wire::send_secret(&mut frames, pin))?;
        self.0.answer(ask, &mut frames.as_slice())
    }
}

fn serve(mut socket: UnixStream) -> i32 {
    let mut worker = Worker::default();
    loop {
        let answer = match wire::receive::<Ask>(&mut socket) {
            Ok(ask) => worker.answer(ask, &mut socket),
            // The frame was read whole, so the next one can be found.
            Err(wire::Error::Malformed(cause)) => {
                Ok(Answer::Failed(Fault::from(Misuse::Unreadable(cause.to_string())).into()))
            }
            Err(gone) => Err(gone),
        };
        let sent = answer.and_then(|answer| wire::send(&mut socket, &answer).map(|()| answer));
        match sent {
            Ok(Answer::Closed) => return 0,
            Ok(_) => {}
            Err(_) => {
                // Nobody is left to tell; the token must not stay logged in.
                let _ = worker.close();
                return 1;
            }
        }
    }
}
