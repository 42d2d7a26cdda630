//! Promise 3 after a power cut at any moment. A run (`init`, keys, certificates, a batch of 40 onto a medium) is recorded call by
//! call; from the recording the directories are made again as they may stand after a cut behind each call, with what was not
//! flushed lost, kept, reordered or torn; and from each such state the same commands reach the same end.
//!
//! A sample runs with the other tests; `softhsm-tests/crash-sweep` runs all states and prints a table.

#[path = "crashes/disk.rs"]
mod disk;
mod harness;
#[path = "crashes/kept.rs"]
mod kept;
#[path = "crashes/record.rs"]
mod record;
#[path = "crashes/run.rs"]
mod run;
#[path = "crashes/states.rs"]
mod states;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use disk::{Disk, State};
use harness::lanes::{processors, side_by_side};
use kept::Kept;
use run::{COMMANDS, Came, Recording};

/// States that the sample takes.
const SAMPLE: usize = 200;
/// One state in so many is looked at by the independent verifier too.
const THOROUGH: usize = 10;

/// Goes on from all of these states, and tells what came of each; `None`: it failed. Such a state is told in words, its directory is
/// kept, as it was after the cut and as it is now, and its number is returned.
#[must_use]
fn resume_all(
    recording: &Recording,
    states: &[(usize, &State)],
    told: impl Fn(usize, Option<Came>) + Sync,
) -> Vec<usize> {
    let failed = Mutex::new(Vec::new());
    side_by_side(processors(), states, |(number, state)| {
        let command = recording.disk.steps[state.at].command;
        let station = recording.station(state);
        let resumed = AssertUnwindSafe(|| recording.resume(&station, command, number % THOROUGH == 0));
        let came = catch_unwind(resumed).ok();
        if came.is_none() {
            let (now, cut) = (station.keep(), recording.station(state).keep());
            let told = recording.disk.tell(state);
            eprintln!(
                "FAILED: state {number} (command {command}): {told}\n  as it was: {}\n  as it is: {}",
                cut.display(),
                now.display()
            );
            failed.lock().unwrap().push(*number);
        }
        told(*number, came);
    });
    failed.into_inner().unwrap()
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
    let done = AtomicUsize::new(0);
    let failed = resume_all(&recording, &sample, |_, _| {
        done.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!((failed, done.into_inner()), (Vec::new(), SAMPLE));
}

/// All of them, with a table: `softhsm-tests/crash-sweep`.
#[test]
#[ignore = "hours on a busy machine: softhsm-tests/crash-sweep runs it, and goes on where it was stopped"]
fn every_state_after_a_power_cut_reaches_the_same_end() {
    let number = |name: &str, usual: usize| std::env::var(name).map_or(usual, |n| n.parse().unwrap());
    let kept = Kept::open(seed(), std::env::var_os("CRASH_ANEW").is_some());
    let (disk, (from, count)) = (&kept.recording.disk, (number("CRASH_FROM", 0), number("CRASH_STATES", usize::MAX)));
    let states = disk.states(seed());
    let good = |number: &usize| matches!(kept.done.get(number), Some(Some(_)));
    let chosen = states.iter().enumerate().skip(from).take(count).filter(|(number, _)| !good(number));
    let chosen: Vec<(usize, &State)> = chosen.collect();
    let before = kept.done.values().flatten().count();
    println!(
        "{} operations, {} states; {before} of them were good before, {} are tried now",
        disk.steps.len(),
        states.len(),
        chosen.len()
    );
    let (begun, done) = (Instant::now(), AtomicUsize::new(0));
    let failed = resume_all(&kept.recording, &chosen, |number, came| {
        kept.note(number, came);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(20) {
            let (seconds, left) = (begun.elapsed().as_secs_f64(), chosen.len() - done);
            let rate = done as f64 / seconds;
            eprintln!(
                "{done} of {}, {:.1} a minute, {:.0} min left",
                chosen.len(),
                60.0 * rate,
                left as f64 / rate / 60.0
            );
        }
    });
    table(disk, &states, &Kept::open(seed(), false).done);
    println!("{} s for the last {}.", begun.elapsed().as_secs(), chosen.len());
    assert!(failed.is_empty(), "{} states failed: {failed:?}", failed.len());
}

/// What came of the states that were tried, in this run and before.
fn table(disk: &Disk, states: &[State], done: &BTreeMap<usize, Option<Came>>) {
    let mut counts = BTreeMap::new();
    for (number, came) in done {
        *counts.entry((disk.steps[states[*number].at].command, *came)).or_insert(0) += 1;
    }
    println!(
        "\n{:<3} {:<14} {:>10} {:>7} {:>7} {:>14} {:>12} {:>7}",
        "", "command cut", "operations", "again", "done", "planned anew", "medium anew", "failed"
    );
    for (n, command) in COMMANDS.iter().enumerate() {
        let operations = disk.steps.iter().filter(|step| step.command == n).count();
        let of = |came| counts.get(&(n, came)).copied().unwrap_or(0);
        println!(
            "{n:<3} {:<14} {operations:>10} {:>7} {:>7} {:>14} {:>12} {:>7}",
            format!("{command:?}"),
            of(Some(Came::Again)),
            of(Some(Came::Done)),
            of(Some(Came::PlannedAnew)),
            of(Some(Came::MediumAnew)),
            of(None)
        );
    }
    println!(
        "{} of {} states. After each: every request answered once with its planned bytes,",
        done.len(),
        states.len()
    );
    println!("keys made once, log and releases good.");
}
