//! Promise 3 over a batch of 500, whatever module and token do: each script of `faults/scripts.rs` is played to a station
//! with an approved plan. The run ends, or it halts and the same command ends it. What is true after every one of them is
//! written in [`play_one`]; what was said on the way is the business of `faulty.rs`.
//!
//! `softhsm-tests/fault-sweep` kills worker, gate and parent at every tenth call of the module instead of at a sample, and plays
//! random scripts.

mod harness;
#[path = "faults/kills.rs"]
mod kills;
#[path = "faults/random.rs"]
mod random;
#[path = "faults/scripts.rs"]
mod scripts;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use coldroot::audit::entry::Body;
use harness::batch::Batch;
use harness::faulty::{calls, count, mend, play, processes};
use harness::lanes::{processors, side_by_side};
use harness::station::Run;
use scripts::{SCRIPTS, Script, Then};

/// Certificates of the batch; its plan has one item more, the first CRL. Two chunks.
const REQUESTS: u64 = 500;
/// Nobody wants to wait as long as for a real token where one hangs; but what is slow on a busy machine must not look like that. A
/// question is for up to 256 signatures, and has time for each.
const DEADLINE: &str = "retries = 2\ndeadline-seconds = 12\ndeadlines = { sign-each-ms = 20 }";

fn batch() -> Batch {
    Batch::of(harness::faulty::hierarchy(DEADLINE), REQUESTS)
}

/// Does all of these, each on copies of one station, some more at a time than there are processors: those that hang wait. Every job
/// that fails is named, and then the test fails.
fn in_lanes<T: Sync>(jobs: &[T], name: impl Fn(&T) -> String + Sync, job: impl Fn(&Batch, usize, &T) + Sync) {
    let (base, failed) = (batch(), Mutex::new(Vec::new()));
    let numbered: Vec<(usize, &T)> = jobs.iter().enumerate().collect();
    side_by_side(2 * processors(), &numbered, |(at, one)| {
        if catch_unwind(AssertUnwindSafe(|| job(&base, *at, one))).is_err() {
            eprintln!("FAILED: {}", name(one));
            failed.lock().unwrap().push(name(one));
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed: {failed:#?}", failed.len(), jobs.len());
}

/// One run with a script, and what must be true whatever the script was.
fn run(batch: &Batch, before: u64) -> (Run, u64) {
    let run = batch.sign();
    // Done, refused, halted, or killed.
    assert!([0, 1, 3, -1].contains(&run.code), "{run:?}");
    // Nothing that the module prints reaches a terminal as it is.
    assert!(!run.err.contains('\u{1b}') && !run.out.contains('\u{1b}'), "{run:?}");
    harness::processes::assert_gone(&batch.station.dir());
    // Each worker logs in once at most, and a PIN that was refused is not tried again: no script refuses it once.
    let workers = processes(&batch.station);
    assert!(workers == 0 || count(&batch.station, "C_Login") <= workers, "{run:?}");
    let recorded = batch.assert_sound();
    assert!(recorded >= before, "what was on record is still there");
    // What is halted has released nothing.
    let ended = batch.station.bodies().iter().filter(|body| matches!(body, Body::End(_))).count() == 3;
    assert!(ended || !batch.station.path("out/release-0003").exists());
    assert!(run.code != 0 || (ended && recorded == REQUESTS), "{run:?}");
    (run, recorded)
}

/// What a test asks of a script, besides what is true for all.
struct Case<'a> {
    text: &'a str,
    then: Then,
    /// So often the PIN may be given to the token in the run that the script disturbs.
    logins: Option<usize>,
    /// The log is read by the independent verifier too.
    thorough: bool,
}

/// Plays a script to a copy of the station; with the token mended, the same command ends what was not ended. Returns the calls
/// of the disturbed run.
fn play_one(base: &Batch, case: &Case) -> Vec<String> {
    let batch = base.copy_apart();
    play(&batch.station, case.text);
    let (first, recorded) = run(&batch, 0);
    match case.then {
        Then::Ends => assert_eq!(first.code, 0, "{first:?}"),
        Then::Halts => assert_ne!(first.code, 0, "{first:?}"),
        Then::Either => {}
    }
    assert!(case.logins.is_none_or(|most| count(&batch.station, "C_Login") <= most), "{first:?}");
    let calls = calls(&batch.station);
    mend(&batch.station);
    if first.code != 0 {
        let (again, _) = run(&batch, recorded);
        // A run that was stopped behind its last write has nothing left to do.
        assert!(again.code == 0 || again.out.contains("carried out already"), "{again:?}");
    }
    match case.thorough {
        true => batch.assert_exactly_once(),
        false => batch.assert_ended(),
    }
    calls
}

/// Every certificate exactly once and the log whole, after each of the scripts; a tenth of the logs are read by the
/// independent verifier too.
#[test]
fn p03_each_fault_lets_the_run_end_or_halts_it_and_the_same_command_ends_it() {
    let only = std::env::var("FAULTS").unwrap_or_default();
    let scripts: Vec<&Script> = SCRIPTS.iter().filter(|script| script.name.contains(&only)).collect();
    assert!(!only.is_empty() || scripts.len() >= 40);
    in_lanes(
        &scripts,
        |script| format!("{}: {:?}", script.name, script.text),
        |base, at, script| {
            let Script { text, then, logins, .. } = **script;
            let calls = play_one(base, &Case { text, then, logins, thorough: at % 10 == 0 });
            assert!(script.came(&calls), "the calls that the script names never came");
        },
    );
}
