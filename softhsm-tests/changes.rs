//! Changes of the station's state that sign nothing: decided by a quorum, made once, finished by whoever logs in next. Each
//! test on a whole station; a refusal leaves log, files and token as they were.

mod harness;

#[path = "changes/crl.rs"]
mod adopted_crl;
#[path = "changes/clock.rs"]
mod clock;
#[path = "changes/handover.rs"]
mod handover;
#[path = "changes/hierarchy.rs"]
mod hierarchy_file;

use std::fs;
use std::path::PathBuf;

use coldroot::audit::mark::Mark;
use coldroot::gate::Gate;
use harness::station::{Run, Station};

/// The mark as the token holds it.
fn mark(station: &Station) -> Mark {
    let mut gate = gate_of(station);
    gate.login("main").unwrap();
    let mark = Mark::decode(&gate.mark().unwrap().unwrap()).unwrap();
    gate.close().unwrap();
    mark
}

/// The hierarchy names the token's configuration relative to the station, so the gate is started from there.
fn gate_of(station: &Station) -> Gate {
    let exe = station.path("gate.sh");
    let text = format!("#!/bin/sh\ncd '{}' && exec '{}' \"$@\"\n", station.dir().display(), harness::station::COLDROOT);
    harness::script(&exe, &text);
    Gate::start_exe(&exe, &station.dir(), None, Default::default()).unwrap()
}

/// A refused run: its message, and a station whose log, files and mark are as they were.
#[track_caller]
fn refused(station: &Station, args: &[&str], code: i32, saying: &str) {
    let before = (station.state(), mark(station), hierarchy(station));
    station.run(args).fails(code, saying);
    let after = (station.state(), mark(station), hierarchy(station));
    assert!(after == before, "refused ({saying}), and something was left behind");
}

fn hierarchy(station: &Station) -> String {
    fs::read_to_string(station.path("hierarchy.toml")).unwrap()
}

/// Writes the statement of a change, and has these persons sign it.
#[track_caller]
fn approved(station: &Station, args: &[&str], persons: &[&str]) -> (String, Vec<PathBuf>) {
    let made = station.run(args).ok();
    let file = PathBuf::from(made["statement-file"].as_str().unwrap());
    let signatures = persons.iter().map(|person| station.approve_as(&file, person, person)).collect();
    (made["statement"].as_str().unwrap().to_owned(), signatures)
}

/// The arguments with approvals.
fn with<'a>(args: &[&'a str], approvals: &'a [PathBuf]) -> Vec<&'a str> {
    let approvals = approvals.iter().flat_map(|path| ["--approval", path.to_str().unwrap()]);
    args.iter().copied().chain(approvals).collect()
}

/// Runs a change, stopped anywhere; what the next run of the same command finds is handed on.
fn stopped_anywhere(station: &Station, args: &[&str], then: impl FnMut(Station, &str, Run)) {
    let calls = ["fdatasync", "fsync", "?rename,?renameat,?renameat2"];
    let stops = harness::batch::stopped_anywhere(station, args, &calls, then);
    assert!(stops > 8, "only {stops} stops");
}
