//! Promise 3, exactly once: runs that are stopped anywhere and started again, on a real SoftHSM.
//!
//! All at a chosen system call, with strace: so that a busy machine stops them where an idle one does. Whatever was stopped, the same
//! command run again ends it.

mod harness;

#[path = "resume/forged.rs"]
mod forged;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coldroot::audit::entry::Body;
use harness::batch::{Batch, killed_at};
use harness::held::Held;
use harness::station::{COLDROOT, Run, Station};

/// Enough for three chunks of signatures.
const MANY: u64 = 520;
/// How long a process may take to notice that its peer is gone.
const PATIENCE: Duration = Duration::from_secs(120);

/// Has the batch signed, and holds it at the first flush where this is so.
fn held(batch: &Batch, wanted: impl Fn(&Held) -> bool) -> Held {
    let mut run = Held::start(&batch.station, &batch.args(), "fdatasync");
    assert!(run.stands_where(wanted), "the run ended before it could be stopped");
    run
}

/// The gate and its worker.
fn processes(run: &Held) -> (u32, u32) {
    let gate = child_of(run.parent(), "gate").expect("the gate runs");
    (gate, child_of(gate, "worker").expect("the worker runs"))
}

/// The child of a process whose first argument is `role`, as /proc shows it.
fn child_of(parent: u32, role: &str) -> Option<u32> {
    fs::read_dir("/proc").unwrap().find_map(|entry| {
        let path = entry.ok()?.path();
        let pid = path.file_name()?.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        // pid (name) state ppid …; the name may hold spaces.
        let ppid: u32 = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        let command = fs::read(path.join("cmdline")).ok()?;
        (ppid == parent && command.split(|b| *b == 0).nth(1) == Some(role.as_bytes())).then_some(pid)
    })
}

fn kill(pid: u32) {
    let run = Run::of(Command::new("kill").args(["-KILL", &pid.to_string()]));
    assert_eq!(run.code, 0, "{run:?}");
}

/// A process whose peer was killed ends by itself: no login outlives its run.
#[track_caller]
fn assert_ends(pid: u32) {
    let begun = Instant::now();
    let alive = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    while alive() {
        assert!(begun.elapsed() < PATIENCE, "process {pid} goes on without its peer");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn p03_a_killed_parent_and_a_killed_gate_cost_no_certificate() {
    let batch = Batch::new(MANY);
    // The parent, when the first chunk is on the disk.
    let run = held(&batch, |_| !batch.issued().is_empty());
    let (gate, worker) = processes(&run);
    run.kill();
    assert_ends(gate);
    assert_ends(worker);
    let first = batch.issued().len() as u64;
    assert!(first > 0 && first < MANY, "{first} of {MANY} recorded: not in the middle");
    // What an outsider sees of a run that was stopped is a good log, or one whose last record is not finished.
    let key = batch.station.verifier_key();
    let seen = batch.station.run(&["check", "audit", "--verifier-key", &key]);
    assert!(seen.code == 0 || seen.out.contains("unfinished"), "{seen:?}");
    // Nothing else may begin before.
    let second = batch.station.bundle(1, 2);
    batch.station.plan(&second).fails(1, "was started");

    // The gate, in the next run, as soon as it has a worker. Later, all that is left may be signed already.
    let run = held(&batch, |run| child_of(run.parent(), "gate").is_some_and(|gate| child_of(gate, "worker").is_some()));
    let (gate, worker) = processes(&run);
    kill(gate);
    assert_eq!(run.end().code(), Some(3), "halted, state kept");
    assert_ends(worker);
    assert_eq!(batch.issued().len() as u64, first);

    // The next run says what it has found and what it does about it.
    let recorded = batch.issued().len();
    let last = batch.sign();
    assert!(last.err.contains("coldroot: an earlier run was stopped; this one goes on with it"), "{last:?}");
    assert!(last.err.contains(&format!("on record  {recorded} of ")), "{last:?}");
    assert!(last.err.contains(&format!("goes on with item {} of ", recorded + 1)), "{last:?}");
    let said = last.ok();
    assert_eq!((&said["release"], &said["resumed"]["done"]), (&3.into(), &recorded.into()));
    batch.assert_exactly_once();
    let plan = batch.station.planned(&second);
    batch.station.sign(&plan, &batch.station.approve(&plan)).ok();
}

#[test]
fn p03_a_killed_worker_is_replaced_within_the_run() {
    let batch = Batch::new(MANY);
    let run = held(&batch, |_| !batch.issued().is_empty());
    let (_, worker) = processes(&run);
    kill(worker);
    assert_eq!(run.end().code(), Some(0), "the gate starts another worker and asks again");
    batch.assert_exactly_once();
    let tries = batch.station.bodies().iter().filter(|b| matches!(b, Body::PinTry { .. })).count();
    // One of each ceremony's two runs, one of this run: the new worker needs no new PIN from anybody.
    assert_eq!(tries, 3);
}

/// The calls that the parent makes in a whole run, in their order: the name, and the how-manieth of that name.
fn calls_made(station: &Station, args: &[&str], calls: &str) -> Vec<(String, usize)> {
    let (trace, log) = (format!("trace={calls}"), station.path("strace.log"));
    let before = ["-qq", "-o", log.to_str().unwrap(), "-e", "signal=none", "-e", &trace, COLDROOT];
    let mut command = station.command_of("strace", &before, args);
    let output = command.stdin(Stdio::null()).output();
    let output = output.expect("strace is needed: apt-get install strace (./softhsm-tests/run-all installs it)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut made: Vec<(String, usize)> = Vec::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let (name, _) = line.split_once('(').unwrap_or_else(|| panic!("not a call: {line}"));
        let nth = made.iter().filter(|(other, _)| other == name).count() + 1;
        made.push((name.to_owned(), nth));
    }
    made
}

/// Stops `args` at `samples` calls spread over a whole run, each time on a fresh copy of `station`, and hands the copy on.
fn stopped(station: &Station, args: &[&str], calls: &str, samples: usize, mut then: impl FnMut(Station, &str)) {
    let made = calls_made(&station.copy(), args, calls);
    assert!(!made.is_empty(), "no {calls}");
    let points: BTreeSet<usize> = (1..=samples).map(|n| (n * made.len()).div_ceil(samples) - 1).collect();
    let mut killed = 0;
    for at in &points {
        let (call, nth) = &made[*at];
        let (copy, point) = (station.copy(), format!("{call} {nth}"));
        let run = killed_at(&copy, args, call, *nth);
        // The last calls may vary in number from run to run: then nothing was stopped, which is checked all the same.
        assert!([-1, 0].contains(&run.code), "{point}: {run:?}");
        killed += usize::from(run.code == -1);
        then(copy, &point);
    }
    assert!(2 * killed > points.len(), "only {killed} of {} runs were stopped", points.len());
}

/// A batch of five, stopped and run again.
fn batch_stopped_at(calls: &str, samples: usize) {
    let batch = Batch::new(5);
    stopped(&batch.station, &batch.args(), calls, samples, |station, point| {
        let copy = Batch { station, plan: batch.plan.clone(), approvals: batch.approvals.clone() };
        // Stopped behind its last write, the run has nothing left to do, and says so.
        let again = copy.sign();
        assert!(again.code == 0 || again.out.contains("carried out already"), "{point}: {again:?}");
        copy.assert_exactly_once();
    });
}

const RENAMES: &str = "?rename,?renameat,?renameat2";

#[test]
fn p03_a_batch_stopped_at_an_fsync_ends_when_run_again() {
    batch_stopped_at("fsync", 7);
}

#[test]
fn p03_a_batch_stopped_at_an_fdatasync_ends_when_run_again() {
    batch_stopped_at("fdatasync", 7);
}

#[test]
fn p03_a_batch_stopped_at_a_rename_ends_when_run_again() {
    batch_stopped_at(RENAMES, 10);
}

#[test]
fn p03_a_batch_stopped_at_a_write_ends_when_run_again() {
    batch_stopped_at("write", 7);
}

#[test]
fn p03_a_batch_stopped_in_every_run_still_ends() {
    let batch = Batch::new(5).copy();
    let mut runs = 0;
    // Each run is stopped later than the one before it, until one gets through.
    for when in (2..).step_by(9) {
        let run = killed_at(&batch.station, &batch.args(), "fdatasync", when);
        assert!([-1, 0].contains(&run.code), "{run:?}");
        runs += 1;
        if run.code == 0 {
            break;
        }
    }
    assert!(runs > 2, "{runs}");
    batch.assert_exactly_once();
}

#[test]
fn p03_init_stopped_anywhere_is_run_again() {
    let bare = Station::bare();
    for (calls, samples) in [("fdatasync", 4), (RENAMES, 6), ("write", 5)] {
        stopped(&bare, &bare.init_args(), calls, samples, |station, point| {
            let again = station.init();
            // Behind the mark, the station has begun: all that `init` would have left is there.
            assert!(again.code == 0 || again.out.contains("is initialised"), "{point}: {again:?}");
            let genesis = |body: &Body| match body {
                Body::Genesis(genesis) => Some(genesis.verifier_key.clone()),
                _ => None,
            };
            let keys: Vec<String> = station.bodies().iter().filter_map(genesis).collect();
            assert_eq!(keys, [station.verifier_key()], "{point}");
            station.check_log();
        });
    }
}

#[test]
fn p03_keys_are_made_once_however_their_ceremony_is_stopped() {
    let station = Station::bare();
    station.init().ok();
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    for (calls, samples) in [("write", 3), ("fdatasync", 3), ("fsync", 3)] {
        stopped(&station, &station.sign_args(&plan, &approvals), calls, samples, |station, point| {
            let again = station.sign(&plan, &approvals);
            assert!(again.code == 0 || again.out.contains("carried out already"), "{point}: {again:?}");
            let made: Vec<String> = station
                .bodies()
                .into_iter()
                .filter_map(|body| if let Body::KeyGenerated(k) = body { Some(k.key) } else { None })
                .collect();
            assert_eq!(made, ["root-key", "xmpp-key"], "{point}");
            // The keys on record sign: the ceremony goes on with its certificates.
            let plan = station.planned_ceremony();
            station.sign(&plan, &station.approve(&plan)).ok();
            station.check_log();
        });
    }
}

#[test]
fn p05_a_bundle_whose_planning_was_stopped_is_planned_again() {
    let station = Station::ready();
    let bundle = station.bundle(3, 1);
    let args = ["plan", "--bundle", bundle.to_str().unwrap()];
    for (calls, samples) in [("fdatasync", 3), (RENAMES, 3), ("write", 3)] {
        stopped(&station, &args, calls, samples, |station, point| {
            let bundle: &Path = &bundle;
            let before = station.bodies().into_iter().any(|body| matches!(body, Body::BundleReceived { .. }));
            let run = station.plan(bundle);
            assert_eq!(run.err.contains("coldroot: this bundle was planned before: plan "), before, "{point}: {run:?}");
            let plan = PathBuf::from(run.ok()["plan"].as_str().unwrap());
            assert_eq!(station.sign(&plan, &station.approve(&plan)).ok()["done"], 4, "{point}");
            let received = station.bodies().into_iter().filter(|b| matches!(b, Body::BundleReceived { .. })).count();
            assert_eq!(received, 1, "{point}");
            let left = harness::files(&station.path("in"));
            assert!(left.is_empty(), "{left:?}");
            station.check_log();
        });
    }
}

/// strace, answering every write and flush on this file from the `when`-th on as a full disk does.
fn on_a_full_disk(station: &Station, args: &[&str], file: &str, when: usize) -> Run {
    let calls = "write,writev,pwrite64,fdatasync,fsync,ftruncate";
    let path = station.path(file);
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error=ENOSPC:when={when}+"));
    let before = ["-qq", "-f", "-o", "/dev/null", "-P", path.to_str().unwrap(), "-e", &trace, "-e", &inject, COLDROOT];
    Run::of(&mut station.command_of("strace", &before, args))
}

#[test]
fn p03_a_full_disk_stops_the_run_and_room_lets_it_go_on() {
    let batch = Batch::new(5);
    let mut stopped = 0;
    let files =
        [("audit/tail", 1..24), ("out/release-0003.part/release.cbor", 1..4), ("out/release-0003.part/log.cbor", 1..4)];
    for (file, calls) in files {
        for when in calls.step_by(3) {
            let copy = batch.copy();
            let run = on_a_full_disk(&copy.station, &copy.args(), file, when);
            if run.code != 0 {
                stopped += 1;
                assert!([1, 3].contains(&run.code), "{file}, call {when}: {run:?}");
                let said = run.json();
                assert!(said["error"].as_str().unwrap().contains("No space left"), "{file}, call {when}: {said}");
                assert!(said["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{file}, call {when}: {said}");
            }
            let again = copy.sign();
            assert!(again.code == 0 || again.out.contains("carried out already"), "{file}, call {when}: {again:?}");
            copy.assert_exactly_once();
        }
    }
    assert!(stopped >= 4, "only {stopped} runs met the full disk");
}
