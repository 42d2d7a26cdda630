//! `check --against`: the same, ahead, behind, a fork.

use std::fs;

use super::harness::copy_tree;
use super::harness::station::{Run, Station, generated};
use super::{coldroot, demo, key};

fn check(log: &str, kept: &str) -> Run {
    coldroot(&["check", log, "--verifier-key", &key(), "--against", kept, "--json"])
}

#[test]
fn p04_a_log_is_compared_with_copies_checkpoints_and_what_was_printed() {
    let (audit, log, before) = ("station/audit", "log", "station/out/release-0002/checkpoint");
    let standing = |log: &str, kept: &str| check(log, kept).ok()["against"]["standing"].as_str().unwrap().to_string();
    assert_eq!((standing(log, log), standing(log, "log/checkpoint")), ("same".into(), "same".into()));
    assert_eq!((standing(audit, log), standing(log, before)), ("ahead".into(), "ahead".into()));
    assert_eq!(standing("station/out/release-0003", before), "ahead");
    check(log, audit).fails(4, "BEHIND the copy station/audit: 1 entry missing here");

    let shown = coldroot(&["show", before, "--json"]).ok();
    let (size, root) = (shown["size"].as_u64().unwrap(), shown["root"].as_str().unwrap());
    let spoken: Vec<&str> = shown["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    for printed in
        [format!("{size} {root}"), format!("{size} {}", spoken.join(" ")), format!("{size} {}", root.to_uppercase())]
    {
        assert_eq!(standing(audit, &printed), "ahead", "{printed}");
    }
    check(audit, &format!("{size} {}", "ab".repeat(32))).fails(4, "a FORK: it is not the log of what was printed");
    check(audit, &format!("{} {root}", size + 1000)).fails(4, "BEHIND what was printed");
    check(audit, "59").fails(2, "no directory, no file, and no size with a root");
    check("manifest.json", "log").fails(2, "compares logs and releases");
    coldroot(&["check", "station/hierarchy.toml", "--against", "log", "--json"]).fails(2, "compares logs and releases");
    let told = coldroot(&["check", audit, "--verifier-key", &key(), "--against", log]);
    assert!(told.out.contains("continues the copy log, 1 entry later"), "{told:?}");
}

#[test]
fn p04_a_checkpoint_of_another_key_or_with_another_text_is_no_measure() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint");
    let note = fs::read_to_string(demo().join("log/checkpoint")).unwrap();
    let size = note.lines().nth(1).unwrap();
    fs::write(&path, note.replacen(&format!("\n{size}\n"), "\n5\n", 1)).unwrap();
    check("log", path.to_str().unwrap()).fails(4, "does not verify with the given key");
    coldroot(&["check", path.to_str().unwrap(), "--verifier-key", &key(), "--json"]).fails(4, "does not verify");
    coldroot(&["check", "log/checkpoint", "--verifier-key", &key(), "--json"]).ok();
}

#[test]
fn p04_two_histories_under_one_key_are_a_fork_at_the_entry_that_differs() {
    let one = Station::ready();
    let other = one.copy();
    let before = one.desk("before");
    copy_tree(&one.path("audit"), &before);
    for (station, requests) in [(&one, 1), (&other, 2)] {
        let rows = station.requests("rows", &generated(requests, 7));
        let plan = station.planned(&station.pack(&rows, 1));
        station.sign(&plan, &station.approve(&plan)).ok();
    }
    let check = |kept: &std::path::Path| {
        one.run(&["check", "audit", "--verifier-key", "verifier-key", "--against", kept.to_str().unwrap()])
    };
    assert_eq!(check(&before).ok()["against"]["standing"], "ahead");
    let said = check(&other.path("audit")).fails(4, "a FORK");
    let at: u64 = said["error"].as_str().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    let entry = |station: &Station, n: u64| {
        let shown = station.run(&["show", "audit", "--all"]).ok();
        shown["entries"][usize::try_from(n).unwrap()].clone()
    };
    assert_eq!(entry(&one, at - 1), entry(&other, at - 1));
    assert_ne!(entry(&one, at), entry(&other, at));
}
