//! Copies of one station at the same time.
//!
//! They hold one token, by label and serial, and one gate at a time may have it: the kernel's name for that belongs to a network, so
//! a copy gets a network of its own where that may be. Where it may not, one runs at a time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// What goes before a program that gets a network of its own; `None`: that is not allowed here.
pub fn network() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["unshare", "-n"], &["unshare", "-r", "-n"]];
    static WAY: OnceLock<Option<&[&str]>> = OnceLock::new();
    *WAY.get_or_init(|| {
        let works = |way: &&&'static [&'static str]| {
            let mut command = Command::new(way[0]);
            command.args(&way[1..]).arg("true").stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let way = WAYS.iter().find(works).copied();
        if way.is_none() {
            eprintln!("one copy of a station at a time: `unshare -n` is not allowed here");
        }
        way
    })
}

/// Processors.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// Does all of these, at most so many at a time. One that panics does not keep the others from being done; then this panics.
pub fn side_by_side<T: Sync>(most: usize, jobs: &[T], job: impl Fn(&T) + Sync) {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let lanes = if network().is_some() { most.min(jobs.len()) } else { 1 };
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                while let Some(one) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job(one))) {
                        *failed.lock().unwrap() = Some(panic);
                    }
                }
            });
        }
    });
    if let Some(panic) = failed.into_inner().unwrap() {
        resume_unwind(panic);
    }
}
