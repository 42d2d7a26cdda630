//! Promise 4 on tokens without data objects: the mark lies in the directory, signed, and the words of the minutes say whether it is
//! the newest one.
//!
//! The module between worker and SoftHSM refuses every question about a data object, so no test here can lean on one by mistake.

#[path = "paper/adopt.rs"]
mod adopt;
mod harness;
#[path = "paper/terminal.rs"]
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};

use coldroot::audit::entry::Body;
use coldroot::audit::paper::read_page;
use harness::copy_tree;
use harness::faulty::{self, count, play};
use harness::station::{Run, Station};

/// A module that nobody knows, for which there are no data objects: neither made nor looked for (CKA_CLASS = CKO_DATA).
const NO_DATA: &str = "C_GetInfo=library:Somebody:Something\n*=refuse-attribute:0x0:0xd1:0000000000000000\n";

/// `lines` stand in `[audit]`.
fn hierarchy(lines: &str) -> String {
    faulty::hierarchy("").replace("key-label = \"audit\"", &format!("key-label = \"audit\"\n{lines}"))
}

/// A rehearsal whose paper is a file beside the audit directory.
const BY_FILE: &str = "mark = \"paper\"\nminutes-file = \"minutes.txt\"";

fn bare(lines: &str) -> Station {
    let station = Station::bare_of(hierarchy(lines));
    play(&station, NO_DATA);
    station
}

fn begun() -> Station {
    let station = bare(BY_FILE);
    station.init().ok();
    station
}

/// Asserts that a run ended so, and that the token signed nothing, made nothing, and nothing but PIN tries and failures is on record.
#[track_caller]
fn refused(station: &Station, code: i32, saying: &str, run: impl FnOnce() -> Run) -> serde_json::Value {
    let (entries, left) = station.state();
    let note = fs::read(station.path("audit/mark")).ok();
    play(station, NO_DATA);
    let told = run().fails(code, saying);
    for function in ["C_SignInit", "C_Sign", "C_GenerateKeyPair", "C_CreateObject", "C_DestroyObject", "C_SetPIN"] {
        assert_eq!(count(station, function), 0, "{function}: {told}");
    }
    let (after, there) = station.state();
    assert_eq!(there, left, "{told}");
    assert_eq!(fs::read(station.path("audit/mark")).ok(), note);
    assert_eq!(after[..entries.len()], entries);
    let lawful = |body: &Body| matches!(body, Body::PinTry { .. } | Body::Failure { .. });
    assert!(after[entries.len()..].iter().all(|entry| lawful(&entry.body)), "{after:?}");
    told
}

/// A plan that the directory allows, with its approvals.
fn some_plan(station: &Station) -> (PathBuf, Vec<PathBuf>) {
    let has_root = station.bodies().iter().any(|b| matches!(b, Body::Certificate(c) if c.ca == "root"));
    let plan = if has_root { station.planned_by(&["--crl", "root"]) } else { station.planned_ceremony() };
    let approvals = station.approve(&plan);
    (plan, approvals)
}

#[track_caller]
fn refuses(station: &Station, saying: &str) -> serde_json::Value {
    let (plan, approvals) = some_plan(station);
    refused(station, 3, saying, || station.sign(&plan, &approvals));
    refused(station, 3, saying, || station.sign(&plan, &approvals))
}

const NOT_THE_MINUTES: &str = "not the one that the minutes are of";

#[test]
fn p04_without_data_objects_init_names_paper_and_with_it_yesterdays_directory_is_refused() {
    for (module, rule) in [
        // Known to have none; not known, and refuses to make one.
        ("Nitrokey:Nitrokey NetHsm PKCS#11 library", ""),
        ("Somebody:Something", "C_CreateObject=refuse-attribute:0x0:0xd1:0000000000000000\n"),
    ] {
        let station = bare("");
        play(&station, &format!("C_GetInfo=library:{module}\n{rule}"));
        let told = station.init().fails(1, "stores no data objects");
        assert!(told["hint"].as_str().unwrap().contains("mark = \"paper\""), "{told}");
        assert_eq!(count(&station, "C_GenerateKeyPair"), 0);
        assert!(!station.path("audit").exists());
    }
    let station = begun();
    let mut saved = vec![station.save_audit("begun")];
    for name in ["keys", "certificates"] {
        station.carried_out(&station.planned_ceremony());
        saved.push(station.save_audit(name));
    }
    let bundle = station.bundle(2, 1);
    let plan = station.planned(&bundle);
    let release = station.carried_out(&plan);
    station.check_log();
    // The page is in step with the log, and lies in out/ to be printed.
    let page = fs::read_to_string(station.path("minutes.txt")).unwrap();
    let (size, _, root) = read_page(&page).unwrap();
    assert_eq!(fs::read_to_string(station.path(&format!("out/minutes-{size}.txt"))).unwrap(), page);
    let key = station.verifier_key();
    let against = |text: &str| station.run(&["check", "audit", "--verifier-key", &key, "--against", text]);
    let shown = against("minutes.txt").ok();
    assert_eq!(shown["against"]["standing"], "ahead", "the receipt is not sealed yet: {shown}");
    against(&format!("{size} {}", coldroot::text::words::spoken(&root.0))).ok();
    let run = station.run(&["check", "audit", "--verifier-key", &key]);
    assert_eq!(run.code, 0, "{run:?}");
    let args = ["check", release.to_str().unwrap(), "--verifier-key", &key, "--hierarchy", "hierarchy.toml"];
    assert_eq!(station.run(&args).ok()["certificates"], 2);
    assert!(!release.join("log/mark").exists(), "the note stays at the station");
    // Yesterday's directories, whole.
    let newest = station.save_audit("newest");
    for old in &saved {
        station.restore_audit(old);
        let told = refuses(&station, NOT_THE_MINUTES);
        assert!(told["hint"].as_str().unwrap().contains("restore"), "{told}");
    }
    // Yesterday's note beside today's log.
    station.restore_audit(&newest);
    for old in &saved {
        fs::copy(old.join("mark"), station.path("audit/mark")).unwrap();
        refuses(&station, NOT_THE_MINUTES);
    }
    station.restore_audit(&newest);
    station.carried_out(&station.planned(&station.bundle(1, 2)));
    station.check_log();
}

#[test]
fn p04_a_note_that_was_edited_or_is_of_another_log_is_no_mark() {
    let station = begun();
    // A key of its own, under the same origin.
    let twin = begun();
    assert_ne!(station.verifier_key(), twin.verifier_key());
    let own = fs::read(station.path("audit/mark")).unwrap();
    let foreign = fs::read(twin.path("audit/mark")).unwrap();
    let mut edited = own.clone();
    edited[20] ^= 1;
    let checkpoint = fs::read(station.path("audit/checkpoint")).unwrap();
    for note in [&foreign, &edited, &own[..own.len() - 3].to_vec(), &checkpoint, &vec![b'x'; 9_000], &vec![]] {
        fs::write(station.path("audit/mark"), note).unwrap();
        refuses(&station, "audit/mark is no mark of this log");
        let key = station.verifier_key();
        station.run(&["check", "audit", "--verifier-key", &key]).fails(4, "audit/mark: no mark of this log");
    }
    fs::write(station.path("audit/mark"), &own).unwrap();
    station.carried_out(&station.planned_ceremony());
    station.check_log();
}

/// Whoever takes the note away, or brings a hierarchy that says otherwise where the mark is, must not be able to begin the log anew:
/// the approvals of its beginning are still there.
#[test]
fn p04_a_log_is_not_begun_anew_by_taking_its_mark_away() {
    let station = begun();
    let (plan, approvals) = some_plan(&station);
    let audit = station.save_audit("own");
    fs::remove_file(station.path("audit/mark")).unwrap();
    refused(&station, 1, "carries no mark", || station.sign(&plan, &approvals));
    refused(&station, 3, NOT_THE_MINUTES, || station.init());
    fs::remove_dir_all(station.path("audit")).unwrap();
    let nothing_begun = |station: &Station, code: i32, saying: &str| {
        play(station, NO_DATA);
        station.init().fails(code, saying);
        assert!(["C_SignInit", "C_GenerateKeyPair"].iter().all(|function| count(station, function) == 0));
        assert!(!station.path("audit/tail").exists());
    };
    nothing_begun(&station, 3, NOT_THE_MINUTES);
    station.restore_audit(&audit);
    station.sign(&plan, &approvals).ok();
    // The other kind of mark, with its own quorum, on either station.
    for (ours, theirs, saying) in
        [(BY_FILE, "", "made for a mark on paper"), ("", BY_FILE, "made for a mark in the token")]
    {
        let station = Station::bare_of(hierarchy(ours));
        station.init().ok();
        fs::remove_dir_all(station.path("audit")).unwrap();
        let text = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
        let bare = text.replace(&format!("{BY_FILE}\n"), "");
        let other = bare.replace("key-label = \"audit\"\n", &format!("key-label = \"audit\"\n{theirs}\n"));
        assert_ne!(text, other);
        fs::write(station.path("hierarchy.toml"), other).unwrap();
        for officer in ["alice", "bob"] {
            fs::remove_file(station.path(&format!("hierarchy.toml.{officer}.sig"))).unwrap();
        }
        station.approve(Path::new("hierarchy.toml"));
        play(&station, "");
        station.init().fails(1, saying);
        assert_eq!(count(&station, "C_SignInit"), 0);
        assert!(!station.path("audit").exists());
    }
}

/// Whatever the run was doing, the same command ends it, and the minutes of before are asked for until the page of the end was copied.
#[test]
fn p03_a_run_that_is_stopped_anywhere_goes_on_with_the_page_of_before() {
    let station = begun();
    let mut plan = station.planned_ceremony();
    let mut approvals = station.approve(&plan);
    let before = fs::read(station.path("minutes.txt")).unwrap();
    let (mut stops, mut call) = (0, 1);
    loop {
        // Checkpoints, notes and the keys' own signatures: each is a stop.
        let kill = ["kill:all", "kill:parent", "after:kill:gate", "after:kill:all"][call % 4];
        play(&station, &format!("{NO_DATA}C_Sign:{call}={kill}\n"));
        let run = station.sign(&plan, &approvals);
        if run.code == 0 {
            break;
        }
        harness::processes::assert_gone(&station.dir());
        assert_eq!(fs::read(station.path("minutes.txt")).unwrap(), before, "no page is shown before the end");
        (stops, call) = (stops + 1, call + 1);
    }
    assert!(stops >= 4, "{stops}");
    assert_ne!(fs::read(station.path("minutes.txt")).unwrap(), before);
    play(&station, NO_DATA);
    station.check_log();
    plan = station.planned_ceremony();
    approvals = station.approve(&plan);
    station.sign(&plan, &approvals).ok();
    station.check_log();
}

#[test]
fn p03_an_init_that_is_stopped_anywhere_is_run_again() {
    let station = bare(BY_FILE);
    for call in 1.. {
        play(&station, &format!("{NO_DATA}C_Sign:{call}=kill:all\n"));
        let run = station.init();
        if run.code != -1 {
            // Behind the first checkpoint the station has begun, whether the page was shown or not.
            assert!(call > 2 && [0, 1].contains(&run.code), "{call}: {run:?}");
            break;
        }
        harness::processes::assert_gone(&station.dir());
    }
    play(&station, NO_DATA);
    station.carried_out(&station.planned_ceremony());
    assert!(station.path("minutes.txt").exists());
    station.check_log();
}

#[test]
fn p04_the_copy_has_the_mark_and_a_restored_station_goes_on_with_the_newest_page() {
    let station = bare(&format!("{BY_FILE}\ncopy = \"copy\""));
    fs::create_dir(station.path("copy")).unwrap();
    station.init().ok();
    station.carried_out(&station.planned_ceremony());
    assert_eq!(fs::read(station.path("copy/mark")).unwrap(), fs::read(station.path("audit/mark")).unwrap());
    let old = station.root().join("old");
    copy_tree(&station.path("copy"), &old);
    station.carried_out(&station.planned_ceremony());
    let lost = |copy: &Path| {
        fs::remove_dir_all(station.path("audit")).unwrap();
        let key = station.verifier_key();
        let hint = station.run(&["restore", copy.to_str().unwrap(), "--verifier-key", &key]);
        assert_eq!(hint.code, 0, "{hint:?}");
    };
    // An old copy is an old directory. (Its medium is the old one too.)
    let newest = station.root().join("newest");
    copy_tree(&station.path("copy"), &newest);
    lost(&old);
    fs::remove_dir_all(station.path("copy")).unwrap();
    fs::create_dir(station.path("copy")).unwrap();
    refuses(&station, NOT_THE_MINUTES);
    lost(&newest);
    fs::remove_dir_all(station.path("copy")).unwrap();
    fs::create_dir(station.path("copy")).unwrap();
    station.carried_out(&station.planned(&station.bundle(1, 1)));
    station.check_log();
}
