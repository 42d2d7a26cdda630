//! The mark goes from one token to another. A standby is a clone: the token's directory copied, with another serial number.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use coldroot::audit::entry::{Body, HandedOver};
use coldroot::audit::mark::Mark;
use coldroot::gate::Gate;

use super::harness::batch::killed_at;
use super::harness::copy_tree;
use super::harness::station::{HIERARCHY, Run, Station};
use super::{approved, gate_of, stopped_anywhere, with};

const B: &str = "b0b0b0b0b0b0b0b0";
const C: &str = "c0c0c0c0c0c0c0c0";

/// A station whose hierarchy declares two standby tokens.
fn station() -> Station {
    Station::ready_of(HIERARCHY.replace("@SERIAL@", &format!("@SERIAL@\nstandby = [\"{B}\", \"{C}\"]")))
}

/// The directories of the tokens that are inserted, by their serial numbers.
fn inserted(station: &Station) -> BTreeMap<String, PathBuf> {
    tokens_in(station.path("token"))
}

fn tokens_in(dir: PathBuf) -> BTreeMap<String, PathBuf> {
    let serial = |dir: &PathBuf| {
        let object = fs::read(dir.join("token.object")).unwrap();
        let hex = |window: &&[u8]| window.iter().all(u8::is_ascii_hexdigit);
        String::from_utf8(object.windows(16).find(hex).expect("a serial number").to_vec()).unwrap()
    };
    let dirs = fs::read_dir(dir).into_iter().flatten().map(|dir| dir.unwrap().path()).filter(|dir| dir.is_dir());
    dirs.map(|dir| (serial(&dir), dir)).collect()
}

/// The serial number that the station was begun with.
fn first(station: &Station) -> String {
    let text = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let line = text.lines().find(|line| line.starts_with("serial = ")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

/// What the vendor's tool does.
fn clone(station: &Station, serial: &str) {
    let from = inserted(station)[&first(station)].clone();
    let to = station.path("token").join(format!("clone-{serial}"));
    copy_tree(&from, &to);
    let mut object = fs::read(to.join("token.object")).unwrap();
    let old = first(station);
    let at = object.windows(16).position(|window| window == old.as_bytes()).unwrap();
    object[at..at + 16].copy_from_slice(serial.as_bytes());
    fs::write(to.join("token.object"), object).unwrap();
}

/// Only these tokens are inserted; the others lie in the safe.
fn insert(station: &Station, serials: &[&str]) {
    let safe = station.path("safe");
    fs::create_dir_all(&safe).unwrap();
    for (serial, dir) in inserted(station) {
        if !serials.contains(&serial.as_str()) {
            fs::rename(&dir, safe.join(dir.file_name().unwrap())).unwrap();
        }
    }
    for (serial, dir) in tokens_in(safe) {
        if serials.contains(&serial.as_str()) {
            fs::rename(&dir, station.path("token").join(dir.file_name().unwrap())).unwrap();
        }
    }
    assert_eq!(inserted(station).len(), serials.len());
}

/// The mark that a token holds, whosever it is.
fn mark_of(station: &Station, serial: &str) -> Mark {
    let mut gate: Gate = gate_of(station);
    gate.serial(serial, true).unwrap();
    gate.login("main").unwrap();
    let mark = Mark::decode(&gate.mark().unwrap().unwrap()).unwrap();
    gate.close().unwrap();
    mark
}

/// Objects of the tokens that are inserted.
fn objects(station: &Station) -> BTreeMap<PathBuf, Vec<u8>> {
    let files =
        inserted(station).into_values().flat_map(|dir| fs::read_dir(dir).unwrap()).map(|file| file.unwrap().path());
    let objects = files.filter(|p| p.extension().is_some_and(|e| e == "object") && !p.ends_with("token.object"));
    objects.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A run that is refused, or halted: nothing is signed, tokens and checkpoint stay as they were, and the log has at most the try.
#[track_caller]
fn refused(station: &Station, args: &[&str], code: i32, saying: &str) -> String {
    let checkpoint = || fs::read(station.path("audit/checkpoint")).unwrap();
    let before = (objects(station), checkpoint());
    let entries = station.bodies().len();
    let told = station.run(args).fails(code, saying);
    assert!((objects(station), checkpoint()) == before, "refused ({saying}), and something was signed or changed");
    let more = station.bodies().split_off(entries);
    assert!(more.iter().all(|body| matches!(body, Body::PinTry { .. } | Body::Failure { .. })), "{more:?}");
    told["hint"].as_str().unwrap().to_owned()
}

fn hand_over<'a>(to: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    let people = ["--operator", "carol", "--witness", "dave", "--reason", "a new token"];
    ["hand-over", "--to", to].iter().chain(&people).chain(extra).copied().collect()
}

fn handed(station: &Station) -> Vec<HandedOver> {
    let handed = |body| if let Body::HandedOver(handed) = body { Some(handed) } else { None };
    station.bodies().into_iter().filter_map(handed).collect()
}

fn crl_numbers(station: &Station) -> Vec<u64> {
    let number = |body| if let Body::Crl(crl) = body { Some(crl.number) } else { None };
    station.bodies().into_iter().filter_map(number).collect()
}

/// A plan that waits for its signatures, so that whoever may use the keys would use them.
fn waiting(station: &Station) -> (PathBuf, Vec<PathBuf>) {
    let plan = station.planned_by(&["--crl", "root"]);
    let approvals = station.approve(&plan);
    (plan, approvals)
}

#[test]
fn p04_a_planned_hand_over_makes_the_standby_the_token_and_the_token_a_thing_of_the_past() {
    let station = Station::ready();
    let a = first(&station);
    clone(&station, B);
    clone(&station, C);
    insert(&station, &[&a]);
    // The standby is declared, and the log goes on, after it was cloned.
    assert!(
        refused(&station, &hand_over(B, &[]), 1, "declares no standby with the serial").contains("adopt-hierarchy")
    );
    let text = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let text = text.replace("\nsessions = 2\n", &format!("\nsessions = 2\nstandby = [\"{B}\", \"{C}\"]\n"));
    fs::write(station.path("new.toml"), &text).unwrap();
    let people = ["--operator", "carol", "--witness", "dave", "--reason", "two standby tokens"];
    let adopt = [&["adopt-hierarchy", "new.toml"][..], &people].concat();
    let (_, approvals) = approved(&station, &adopt, &["alice", "bob"]);
    station.run(&with(&adopt, &approvals)).ok();
    station.carried_out(&station.planned_by(&["--crl", "xmpp-1"]));
    let old = station.save_audit("old");

    // One officer is no quorum, nor is one for the other token.
    let told = station.run(&hand_over(B, &[])).ok();
    let (file, text) = (PathBuf::from(told["statement-file"].as_str().unwrap()), told["statement"].as_str().unwrap());
    for line in [
        format!("hand-over: the mark goes from token {a} to its standby {B} (main)\n"),
        format!("hand-over: token {a} is told first, and refuses everything from then on\n"),
        "release 3, change 1\n".to_owned(),
    ] {
        assert!(text.contains(&line), "`{line}` is missing:\n{text}");
    }
    let approvals = ["alice", "bob"].map(|person| station.approve_as(&file, person, person));
    refused(&station, &with(&hand_over(B, &[]), &approvals[..1]), 1, "2 of role officer must approve");
    refused(&station, &with(&hand_over(C, &[]), &approvals), 1, "is not over this text");
    refused(&station, &with(&hand_over(B, &["--lost"]), &approvals), 1, "is not over this text");
    refused(&station, &with(&hand_over(B, &["--size", "1"]), &approvals), 1, "is not over this text");
    refused(&station, &hand_over(&a, &[]), 1, "has the mark already");

    let done = station.run(&with(&hand_over(B, &[]), &approvals)).ok();
    assert_eq!((&done["taken-over"], &done["to"]), (&false.into(), &B.into()));
    assert_eq!((mark_of(&station, &a).token.as_str(), mark_of(&station, &a).changes), (B, 2));
    // With its old directory and with the new one, with any command.
    let new = station.save_audit("new");
    let planned = ["plan", "--crl", "root"];
    refused(&station, &planned, 1, "no initialised token");
    station.restore_audit(&old);
    let (plan, signatures) = waiting(&station);
    refused(&station, &station.sign_args(&plan, &signatures), 1, &format!("was handed over to token {B}"));
    station.restore_audit(&new);
    // The other standby is none of this.
    insert(&station, &[C]);
    refused(&station, &planned, 1, "no initialised token");

    // Whoever logs in next finishes it, here by signing a CRL.
    insert(&station, &[B]);
    station.carried_out(&station.planned_by(&["--crl", "root"]));
    let mark = mark_of(&station, B);
    assert_eq!((mark.token.as_str(), mark.changes, mark.release), (B, 2, 4));
    station.check_log();
    assert_eq!(handed(&station).len(), 1);
    assert!(crl_numbers(&station).iter().all(|n| *n < 100), "{:?}", crl_numbers(&station));
    let found = station.run(&["check", "audit", "--verifier-key", &station.verifier_key()]).ok();
    assert_eq!((&found["counts"]["handed-over"], &found["gaps"]), (&1.into(), &serde_json::json!([])), "{found}");
    // A hierarchy may leave the other standby out, but not the token that has the mark.
    let text = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let adopt = |name: &str, standby: &str| {
        let text = text.replace(&format!("standby = [\"{B}\", \"{C}\"]"), standby);
        fs::write(station.path(name), text).unwrap();
        let adopt = [&["adopt-hierarchy", name][..], &people].concat();
        let (_, approvals) = approved(&station, &adopt, &["alice", "bob"]);
        station.run(&with(&adopt, &approvals))
    };
    adopt("without.toml", &format!("standby = [\"{C}\"]")).fails(1, &format!("must keep {B}, which has the mark"));
    adopt("with.toml", &format!("standby = [\"{B}\"]")).ok();
    station.check_log();
    // And back: the token that was put away takes the mark again by a quorum, and no other way.
    let back = hand_over(&a, &[]);
    let (_, approvals) = approved(&station, &back, &["alice", "bob"]);
    station.run(&with(&back, &approvals)).ok();
    insert(&station, &[&a]);
    assert_eq!(station.run(&back).ok()["taken-over"], true);
    station.carried_out(&station.planned_by(&["--crl", "root"]));
    station.check_log();
}

#[test]
fn p04_a_lost_token_is_followed_by_its_standby_and_the_log_says_that_it_was_not_told() {
    let station = station();
    let a = first(&station);
    clone(&station, B);
    station.carried_out(&station.planned(&station.bundle(2, 1)));
    let before = station.save_audit("before");
    // A plan is open when the token dies.
    let (plan, signatures) = waiting(&station);
    let sign = station.sign_args(&plan, &signatures);
    let started = (1..).map(|when| {
        let copy = station.copy();
        let run = killed_at(&copy, &sign, "fdatasync", when);
        assert_eq!(run.code, -1, "no such stop: {run:?}");
        copy
    });
    let station = started.into_iter().find(|copy| matches!(copy.bodies().last(), Some(Body::Start(_)))).unwrap();
    // Until somebody decides, the standby is nothing.
    insert(&station, &[B]);
    refused(&station, &sign, 1, "no initialised token");
    refused(&station, &hand_over(B, &[]), 1, "was started and its release is not written");
    let args = hand_over(B, &["--lost"]);
    let (statement, approvals) = approved(&station, &args, &["alice", "bob"]);
    for line in [
        format!(
            "hand-over: token {a} is lost and has NOT been told: it would go on signing; destroy it where it is found\n"
        ),
        "nothing but people says that this log is whole".to_owned(),
        "is open, and goes on or is voided\n".to_owned(),
        "CRL numbers rise by 4294967296\n".to_owned(),
    ] {
        assert!(statement.contains(&line), "`{line}` is missing:\n{statement}");
    }
    refused(&station, &with(&args, &approvals[..1]), 1, "2 of role officer must approve");
    refused(&station, &with(&hand_over(B, &[]), &approvals), 1, "was started and its release is not written");
    let done = station.run(&with(&args, &approvals)).ok();
    assert_eq!((&done["taken-over"], &done["lost"]), (&true.into(), &true.into()));
    let mark = mark_of(&station, B);
    assert_eq!((mark.token.as_str(), mark.changes, mark.release), (B, 1, 3));
    assert!(mark.open_plan.is_some());
    let [made] = &handed(&station)[..] else { panic!("one hand-over") };
    assert_eq!((made.lost, made.plan), (true, mark.open_plan));
    // Made once; what was open goes on.
    station.run(&args).ok();
    assert_eq!(handed(&station).len(), 1);
    station.run(&station.sign_args(&plan, &[])).ok();
    station.carried_out(&station.planned_by(&["--crl", "xmpp-1"]));
    let numbers = crl_numbers(&station);
    assert!(numbers.last().unwrap() > &(1 << 32) && numbers[numbers.len() - 2] < 1 << 32, "{numbers:?}");
    station.check_log();
    let shown = station.run(&["show", "audit", "--kind", "handed-over"]);
    assert!(shown.code == 0 && shown.out.contains(&a) && shown.out.contains(B), "{shown:?}");
    let year = coldroot::text::utc(station.entries().last().unwrap().time)[..4].to_owned();
    station.run(&["export", "audit", "--format", "html", "--year", &year, "--to", "year.html"]).ok();
    let page = fs::read_to_string(station.path("year.html")).unwrap();
    assert!(page.contains("TOKEN LOST") && page.contains(B));
    // The token that is found again, with the newest directory and with one of before.
    let newest = station.save_audit("newest");
    insert(&station, &[&a]);
    refused(&station, &["plan", "--crl", "root"], 1, "no initialised token");
    // An old directory knows only of the token that is lost.
    insert(&station, &[B]);
    station.restore_audit(&before);
    refused(&station, &["plan", "--crl", "root"], 1, "no initialised token");
    station.restore_audit(&newest);
    station.carried_out(&station.planned_by(&["--crl", "root"]));
}

#[test]
fn p04_a_directory_that_a_clone_does_not_know_is_not_handed_over() {
    let station = station();
    let young = station.save_audit("young");
    station.carried_out(&station.planned_by(&["--crl", "root"]));
    clone(&station, B);
    insert(&station, &[B]);
    station.restore_audit(&young);
    let args = hand_over(B, &["--lost"]);
    let (_, approvals) = approved(&station, &args, &["alice", "bob"]);
    refused(&station, &with(&args, &approvals), 3, "the audit directory is older than the token's mark");
    assert!(handed(&station).is_empty());
}

#[test]
fn p04_a_clone_without_a_mark_takes_nothing_over() {
    let station = Station::bare_of(HIERARCHY.replace("@SERIAL@", &format!("@SERIAL@\nstandby = [\"{B}\", \"{C}\"]")));
    clone(&station, B);
    let a = first(&station);
    insert(&station, &[&a]);
    station.init().ok();
    insert(&station, &[B]);
    let args = hand_over(B, &["--lost"]);
    let (_, approvals) = approved(&station, &args, &["alice", "bob"]);
    refused(&station, &with(&args, &approvals), 1, "the token carries no mark of this log");
    assert!(handed(&station).is_empty());
}

/// Both tokens are inserted, so the same command is enough: it finds out which one it needs.
fn stopped(lost: &[&str]) {
    let station = station();
    let a = first(&station);
    clone(&station, B);
    station.carried_out(&station.planned_by(&["--crl", "root"]));
    let args = hand_over(B, lost);
    let (_, approvals) = approved(&station, &args, &["alice", "bob"]);
    let size = sealed(&station);
    let sized = [&args[..], &["--size", &size]].concat();
    let args = with(&sized, &approvals);
    let (mut told_only, mut seen) = (0, 0);
    stopped_anywhere(&station, &args, |copy, point, again| {
        assert_eq!(again.code, 0, "{point}: {again:?}");
        if again.json()["taken-over"] == false {
            assert_eq!(mark_of(&copy, &a).token, B, "{point}");
            told_only += 1;
            copy.run(&args).ok();
        }
        assert_eq!((handed(&copy).len(), mark_of(&copy, B).changes), (1, 1), "{point}");
        assert_eq!(mark_of(&copy, B).token, B, "{point}");
        // A log that tells of a planned hand-over has a token that was told.
        assert_eq!(mark_of(&copy, &a).token == B, lost.is_empty(), "{point}");
        // The independent verifier takes its time: once in a while it looks too.
        seen += 1;
        if seen % 6 == 0 {
            copy.check_log();
        }
    });
    assert_eq!(told_only > 0, lost.is_empty());
}

#[test]
fn p03_a_planned_hand_over_stopped_anywhere_is_made_once() {
    stopped(&[]);
}

#[test]
fn p03_the_hand_over_of_a_lost_token_stopped_anywhere_is_made_once() {
    stopped(&["--lost"]);
}

/// The mark names the standby, and the log does not tell of it yet: the power was cut before the entry was flushed.
#[test]
fn p03_a_token_that_was_told_before_the_log_refuses_and_the_same_command_goes_on() {
    let station = station();
    let a = first(&station);
    clone(&station, B);
    let args = hand_over(B, &[]);
    let (_, approvals) = approved(&station, &args, &["alice", "bob"]);
    let size = sealed(&station);
    let sized = [&args[..], &["--size", &size]].concat();
    let args = with(&sized, &approvals);
    assert_eq!(station.run(&args).ok()["taken-over"], false);
    let last = station.entries().pop().unwrap();
    assert!(matches!(last.body, Body::HandedOver(_)));
    // Its record in the tail: length, octets, digest.
    let tail = station.path("audit/tail");
    let octets = fs::read(&tail).unwrap();
    fs::write(&tail, &octets[..octets.len() - 4 - last.encode().unwrap().len() - 32]).unwrap();
    assert!(handed(&station).is_empty());
    assert_eq!(mark_of(&station, &a).token, B);

    let (plan, signatures) = waiting(&station);
    let sign = station.sign_args(&plan, &signatures);
    let hint = refused(&station, &sign, 1, &format!("was handed over to token {B}"));
    assert!(hint.contains("coldroot hand-over"), "{hint}");
    // It was told of this standby, and of no other.
    let other = hand_over(C, &[]);
    let (_, for_other) = approved(&station, &other, &["alice", "bob"]);
    refused(&station, &with(&other, &for_other), 1, "and this log does not hand it over");
    assert_eq!(station.run(&args).ok()["taken-over"], false);
    station.run(&sign).ok();
    assert_eq!((handed(&station).len(), mark_of(&station, B).token.as_str()), (1, B));
    station.check_log();
}

/// How many entries the statement says that the log has.
fn sealed(station: &Station) -> String {
    coldroot::audit::View::read(&station.path("audit")).unwrap().sealed_size().to_string()
}

#[test]
fn p04_a_station_that_has_moved_to_another_machine_goes_on_there_and_nowhere_else() {
    let here = Station::ready();
    here.carried_out(&here.planned(&here.bundle(1, 1)));
    // The directory is copied, and the token carried over.
    let there = here.copy();
    there.carried_out(&there.planned_by(&["--crl", "xmpp-1"]));
    there.check_log();
    // The token comes back to the machine that was left, whose directory is of before.
    fs::remove_dir_all(here.path("token")).unwrap();
    copy_tree(&there.path("token"), &here.path("token"));
    let (plan, signatures) = waiting(&here);
    refused(&here, &here.sign_args(&plan, &signatures), 3, "the audit directory is older than the token's mark");
    // The way back is the same as the way there.
    here.restore_audit(&there.path("audit"));
    here.carried_out(&here.planned_by(&["--crl", "root"]));
    here.check_log();
}

#[test]
fn p07_a_hand_over_to_nobody_is_refused_and_says_why() {
    let station = station();
    let run = |args: &[&str]| -> Run { station.run(args) };
    let entries = station.bodies().len();
    run(&hand_over("\u{1b}]0;x\u{7}", &[])).fails(1, "declares no standby with the serial \\u{1b}]0;x\\u{7}");
    run(&hand_over(B, &["--size", "100000"])).fails(1, "sealed entries, and not 100000");
    run(&hand_over(B, &["--size", "0"])).fails(1, "sealed entries, and not 0");
    assert_eq!(station.bodies().len(), entries);
}
