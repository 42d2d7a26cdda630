//! Promise 3 at every system call: `sign` is killed at each call that it makes on the audit directory or its output, and run
//! again. A sample runs with the other tests; `softhsm-tests/cut-everywhere` runs all of them and prints a table.

mod harness;
#[path = "cuts/index.rs"]
mod index;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Instant;

use harness::batch::{Batch, killed_at};
use harness::lanes::{processors, side_by_side};
use harness::station::COLDROOT;

/// Requests of the batch.
const REQUESTS: u64 = 3;
/// Calls that the sample takes.
const SAMPLE: usize = 20;

/// A system call of the parent's first thread: its name, the how-manieth of that name in the run, and what it is made on.
#[derive(Clone, Debug)]
struct Call {
    name: String,
    nth: usize,
    on: String,
}

/// Every call of a whole run that concerns the audit directory or the output.
fn calls(batch: &Batch) -> Vec<Call> {
    let log = batch.station.path("strace.log");
    let before = ["-qq", "-y", "-o", log.to_str().unwrap(), "-e", "signal=none", COLDROOT];
    let mut command = batch.station.command_of("strace", &before, &batch.args());
    let output = command.stdin(Stdio::null()).output();
    let output = output.expect("strace is needed: apt-get install strace (./softhsm-tests/run-all installs it)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in String::from_utf8_lossy(&fs::read(log).unwrap()).lines() {
        let Some((name, arguments)) = line.split_once('(') else { continue };
        let nth = seen.entry(name.to_owned()).or_default();
        *nth += 1;
        if let Some(on) = place(&batch.station.dir(), arguments) {
            calls.push(Call { name: name.to_owned(), nth: *nth, on });
        }
    }
    calls
}

/// Where in the station a call works: `audit/tail`, `out/release-0003`, …; digests and numbers of tiles are left out. strace
/// writes paths as the program gives them, and behind descriptors as they are.
fn place(station: &Path, arguments: &str) -> Option<String> {
    let whole = format!("{}/", station.display());
    let relative = arguments.replace(&whole, "\"").replace("\"./", "\"");
    let at = ["\"audit", "\"out", "<audit", "<out", "<\"audit", "<\"out"]
        .iter()
        .filter_map(|root| relative.find(root))
        .min()?;
    let path: String =
        relative[at..].trim_start_matches(['<', '"']).chars().take_while(|c| !"\">,".contains(*c)).collect();
    let parts: Vec<&str> = path.split('/').collect();
    Some(match parts.as_slice() {
        ["audit", "artefact", ..] => "audit/artefact".into(),
        ["audit", "tile", ..] => "audit/tile".into(),
        ["out", file, ..] if file.starts_with("plan-") => "out/plan".into(),
        ["audit" | "out", ..] => parts[..parts.len().min(3)].join("/"),
        _ => return None,
    })
}

/// What came of a run that was cut and of the one after it.
enum Came {
    /// Nothing was cut: the call came in another number this time.
    NotCut,
    /// The run was cut, and the next one did the rest, or found nothing left to do.
    Finished,
}

/// Kills `sign` at a call, on a copy of the station, and runs it again; panics when the end is not the same.
fn cut(batch: &Batch, call: &Call) -> Came {
    let copy = batch.copy_apart();
    let run = killed_at(&copy.station, &copy.args(), &call.name, call.nth);
    assert!([-1, 0].contains(&run.code), "{call:?}: {run:?}");
    let again = copy.sign();
    assert!(again.code == 0 || again.out.contains("carried out already"), "{call:?}: {again:?}");
    copy.assert_exactly_once();
    if run.code == -1 { Came::Finished } else { Came::NotCut }
}

/// Cuts at all of these, as many at a time as there are processors, and counts what came of it for each name and place.
fn cut_all(batch: &Batch, calls: &[Call], told: impl Fn(usize) + Sync) -> BTreeMap<(String, String), (usize, usize)> {
    let counts = Mutex::new(BTreeMap::new());
    side_by_side(processors(), calls, |call| {
        let came = cut(batch, call);
        let mut counts = counts.lock().unwrap();
        let (cut, passed): &mut (usize, usize) = counts.entry((call.on.clone(), call.name.clone())).or_default();
        match came {
            Came::Finished => *cut += 1,
            Came::NotCut => *passed += 1,
        }
        told(counts.values().map(|(cut, passed)| cut + passed).sum());
    });
    counts.into_inner().unwrap()
}

#[test]
fn p03_a_sample_of_the_system_calls_of_sign_is_cut() {
    let batch = Batch::new(REQUESTS);
    let calls = calls(&batch.copy());
    assert!(calls.len() > 200, "only {} calls", calls.len());
    // The first of each kind of call on each kind of file would be too many: a spread over the run, from end to end.
    let points: BTreeSet<usize> = (0..SAMPLE).map(|n| n * (calls.len() - 1) / (SAMPLE - 1)).collect();
    let sample: Vec<Call> = points.into_iter().map(|at| calls[at].clone()).collect();
    let counts = cut_all(&batch, &sample, |_| {});
    let cut: usize = counts.values().map(|(cut, _)| cut).sum();
    assert!(4 * cut >= 3 * sample.len(), "only {cut} of {} were cut", sample.len());
}

/// All of them, with a table: `softhsm-tests/cut-everywhere`.
#[test]
#[ignore = "some twenty minutes: softhsm-tests/cut-everywhere runs it"]
fn every_system_call_of_sign_is_cut_once() {
    let (batch, begun) = (Batch::new(REQUESTS), Instant::now());
    let calls = calls(&batch.copy());
    let told = |done: usize| {
        if done.is_multiple_of(25) {
            let left = begun.elapsed() / u32::try_from(done).unwrap() * u32::try_from(calls.len() - done).unwrap();
            eprintln!("{done} of {} cuts, about {} s left", calls.len(), left.as_secs());
        }
    };
    let counts = cut_all(&batch, &calls, told);
    println!("\n{:<34} {:<18} {:>5} {:>9}", "file", "system call", "cut", "not met");
    for ((on, name), (cut, passed)) in &counts {
        println!("{on:<34} {name:<18} {cut:>5} {passed:>9}");
    }
    let (cut, passed) = counts.values().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    println!("{:<34} {:<18} {cut:>5} {passed:>9}", "all", "");
    println!("After each: run again, every certificate exactly once, the log verifies (coldroot and verify.py).");
    assert!(20 * passed <= calls.len(), "{passed} of {} calls were not met again", calls.len());
}
