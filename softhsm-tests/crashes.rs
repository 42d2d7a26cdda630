//! Promise 3 after a power cut at any moment. A run (`init`, keys, certificates, a batch of 40 onto a medium) is recorded call by
//! call; from the recording the directories are made again as they may stand after a cut behind each call, with what was not
//! flushed lost, kept, reordered or torn; and from each such state the same commands reach the same end.
//!
//! A sample runs with the other tests; `softhsm-tests/crash-sweep` runs all states and prints a table.

#[path = "crashes/disk.rs"]
mod disk;
mod harness;
#[path = "crashes/record.rs"]
mod record;
#[path = "crashes/run.rs"]
mod run;
#[path = "crashes/states.rs"]
mod states;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use disk::State;
use run::{COMMANDS, Came, Recording};

/// States that the sample takes.
const SAMPLE: usize = 200;
/// One state in so many is looked at by the independent verifier too.
const THOROUGH: usize = 10;

/// Copies of a station hold one token, which one gate at a time may have: the kernel's name for that belongs to a network, and
/// each lane gets one of its own where that may be.
fn lanes() -> (usize, &'static [&'static str]) {
    const WAYS: [&[&str]; 2] = [&["unshare", "-n"], &["unshare", "-r", "-n"]];
    let works = |way: &&&'static [&'static str]| {
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).arg("true").stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    match WAYS.iter().find(works) {
        Some(way) => (std::thread::available_parallelism().map_or(1, |n| n.get()), way),
        None => {
            eprintln!("one state at a time: `unshare -n` is not allowed here");
            (1, &[])
        }
    }
}

/// What came of the states of each command.
type Counts = BTreeMap<(usize, Came), usize>;

/// Goes on from all of these states. One that fails is told in words, and its directory is kept, as it was after the cut and as
/// it is now.
fn resume_all(recording: &Recording, states: &[(usize, &State)], told: impl Fn(usize) + Sync) -> Counts {
    let (next, counts, failed) = (AtomicUsize::new(0), Mutex::new(Counts::new()), Mutex::new(Vec::new()));
    let (lanes, under) = lanes();
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                while let Some((number, state)) = states.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let command = recording.disk.steps[state.at].command;
                    let station = recording.station(state, under);
                    let resumed = AssertUnwindSafe(|| recording.resume(&station, command, number % THOROUGH == 0));
                    match catch_unwind(resumed) {
                        Ok(came) => *counts.lock().unwrap().entry((command, came)).or_default() += 1,
                        Err(_) => {
                            let (now, cut) = (station.keep(), recording.station(state, under).keep());
                            let told = recording.disk.tell(state);
                            eprintln!(
                                "FAILED: state {number} (command {command}): {told}\n  as it was: {}\n  as it is: {}",
                                cut.display(),
                                now.display()
                            );
                            failed.lock().unwrap().push(*number);
                        }
                    }
                    told(next.load(Ordering::Relaxed));
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} states failed: {failed:?}", failed.len(), states.len());
    counts.into_inner().unwrap()
}

fn seed() -> u64 {
    std::env::var("CRASH_SEED").map_or(1, |n| n.parse().unwrap())
}

#[test]
fn p03_a_sample_of_the_states_after_a_power_cut_reaches_the_same_end() {
    let recording = Recording::new();
    let states = recording.disk.states(seed());
    assert!(states.len() >= 2_000, "only {} states", states.len());
    let sample: Vec<(usize, &State)> =
        (0..SAMPLE).map(|n| n * (states.len() - 1) / (SAMPLE - 1)).map(|at| (at, &states[at])).collect();
    let counts = resume_all(&recording, &sample, |_| {});
    assert_eq!(counts.values().sum::<usize>(), SAMPLE);
}

/// All of them, with a table: `softhsm-tests/crash-sweep`.
#[test]
#[ignore = "half an hour: softhsm-tests/crash-sweep runs it"]
fn every_state_after_a_power_cut_reaches_the_same_end() {
    let number = |name: &str, usual: usize| std::env::var(name).map_or(usual, |n| n.parse().unwrap());
    let recording = Recording::new();
    let states = recording.disk.states(seed());
    let (from, count) = (number("CRASH_FROM", 0), number("CRASH_STATES", usize::MAX));
    let chosen: Vec<(usize, &State)> = states.iter().enumerate().skip(from).take(count).collect();
    println!(
        "{} operations, {} states, {} of them from {from} on",
        recording.disk.steps.len(),
        states.len(),
        chosen.len()
    );
    let begun = Instant::now();
    let told = |done: usize| {
        if done.is_multiple_of(50) && done <= chosen.len() {
            let left = begun.elapsed() / u32::try_from(done).unwrap() * u32::try_from(chosen.len() - done).unwrap();
            eprintln!("{done} of {} states, about {} s left", chosen.len(), left.as_secs());
        }
    };
    let counts = resume_all(&recording, &chosen, told);
    println!(
        "\n{:<3} {:<14} {:>10} {:>7} {:>7} {:>14} {:>12}",
        "", "command cut", "operations", "again", "done", "planned anew", "medium anew"
    );
    for (n, command) in COMMANDS.iter().enumerate() {
        let operations = recording.disk.steps.iter().filter(|step| step.command == n).count();
        let of = |came| counts.get(&(n, came)).copied().unwrap_or(0);
        println!(
            "{n:<3} {:<14} {operations:>10} {:>7} {:>7} {:>14} {:>12}",
            format!("{command:?}"),
            of(Came::Again),
            of(Came::Done),
            of(Came::PlannedAnew),
            of(Came::MediumAnew)
        );
    }
    println!("After each: every request answered once with its planned bytes, keys made once, log and releases good.");
}
