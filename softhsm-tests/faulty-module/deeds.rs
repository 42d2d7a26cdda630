//! What a faulty module does besides its work.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::parent_id;
use std::time::Duration;

use cryptoki_sys::CK_RV;

use super::faulty;
use super::script::{Call, Deed, Victim};

/// Does it; the answer, if it is one.
pub fn done(deed: &Deed, call: &Call) -> Option<CK_RV> {
    match deed {
        Deed::Return(rv) => return Some(*rv),
        Deed::Hang => loop {
            std::thread::park();
        },
        Deed::Crash => std::process::abort(),
        // SAFETY: none; that is what is asked for. The address is aligned and never mapped.
        Deed::Segv => unsafe { std::ptr::without_provenance_mut::<u64>(8).write_volatile(1) },
        Deed::Exit(code) => std::process::exit(*code),
        Deed::Kill(victim) => kill(*victim),
        Deed::ReadStdin => {
            let mut read = [0; 1];
            let count = std::io::stdin().read(&mut read);
            note("stdin", &format!("{count:?}"));
        }
        Deed::Print(text) => print(text),
        Deed::Flood(octets) => drop(std::io::stderr().write_all(&vec![b'x'; *octets])),
        Deed::Fork(seconds) => fork(*seconds),
        Deed::CloseFds => close_descriptors(),
        Deed::Sleep(milliseconds) => std::thread::sleep(Duration::from_millis(*milliseconds)),
        Deed::Wait(file) => {
            while !faulty().dir.join(file).exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Deed::LoseSession => {
            let close = faulty().real.C_CloseSession.expect("every module has it");
            // SAFETY: no pointer is given. The caller's session is gone; that is what is asked for.
            call.session.map(|session| unsafe { close(session) });
        }
        Deed::Logout => {
            let logout = faulty().real.C_Logout.expect("every module has it");
            // SAFETY: no pointer is given.
            call.session.map(|session| unsafe { logout(session) });
        }
    }
    None
}

/// Adds a line to a file of the script's directory, for the test to read.
fn note(file: &str, line: &str) {
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(faulty().dir.join(file)) {
        let _ = writeln!(file, "{line}");
    }
}

fn print(text: &[u8]) {
    for (mut stream, _) in
        [(Box::new(std::io::stdout()) as Box<dyn Write>, "stdout"), (Box::new(std::io::stderr()), "stderr")]
    {
        let _ = stream.write_all(text).and_then(|()| stream.flush());
    }
}

/// The worker's parent is the gate, and the gate's is the program that a person started.
fn kill(victim: Victim) {
    let gate = parent_id();
    let parent = parent_of(gate);
    let victims = match victim {
        Victim::Worker => vec![std::process::id()],
        Victim::Gate => vec![gate],
        Victim::Parent => vec![parent],
        // The one that goes last is the one that does it.
        Victim::All => vec![parent, gate, std::process::id()],
    };
    for process in victims {
        // A test that runs the worker by itself has another parent; who asks for this has the three of them.
        assert!(process > 1, "there is no such process");
        // SAFETY: no pointer is given.
        unsafe { libc::kill(process.cast_signed(), libc::SIGKILL) };
    }
}

fn parent_of(process: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the gate lives");
    // The name before it may have blanks and brackets.
    let (_, fields) = stat.rsplit_once(')').expect("a line of /proc/PID/stat");
    fields.split_whitespace().nth(1).and_then(|parent| parent.parse().ok()).expect("its parent's number")
}

/// The child does nothing but live, so that no lock of the other threads is missed.
fn fork(seconds: u64) {
    // SAFETY: no pointer is given; the child calls nothing that is not safe after a fork of one thread among several.
    match unsafe { libc::fork() } {
        0 => unsafe {
            libc::sleep(libc::c_uint::try_from(seconds).unwrap_or(libc::c_uint::MAX));
            libc::_exit(0);
        },
        child => note("forked", &child.to_string()),
    }
}

/// Every descriptor but the standard ones and the list of calls.
fn close_descriptors() {
    let log = faulty().log.as_ref().map(|log| log.lock().unwrap_or_else(|poison| poison.into_inner()).as_raw_fd());
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")
        .expect("/proc is there")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2 && Some(*descriptor) != log) {
        // SAFETY: no pointer is given. Others own these; that is what is asked for.
        unsafe { libc::close(descriptor) };
    }
}
