//! The log's copy on a second medium, and the way back from it.

use std::fs;
use std::path::{Path, PathBuf};

use coldroot::audit::View;
use coldroot::audit::entry::Body;

use super::harness::batch::Batch;
use super::harness::faulty::{count, mend, play};
use super::harness::station::{COLDROOT, HIERARCHY, Run, Station};
use super::harness::{copy_tree, faulty, files, verify_py};
use super::{real, real_station, refused, witnessed};

const COPY: &str = "../stick/audit";

fn with_copy(hierarchy: &str) -> String {
    hierarchy.replace("key-label = \"audit\"\n", &format!("key-label = \"audit\"\ncopy = \"{COPY}\"\n"))
}

/// The medium, mounted and empty.
fn plug_in(station: &Station) -> PathBuf {
    let dir = station.path(COPY);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// What `check` says of a log.
fn check(station: &Station, dir: &str) -> serde_json::Value {
    station.run(&["check", dir, "--verifier-key", &station.verifier_key()]).ok()
}

/// Copy and log have the same checkpoint, and both are good for both verifiers.
#[track_caller]
fn in_step(station: &Station) {
    let [log, copy] = ["audit", COPY].map(|dir| check(station, dir));
    assert_eq!((&log["size"], &log["root"]), (&copy["size"], &copy["root"]));
    let checkpoint = |dir: &str| fs::read(station.path(dir).join("checkpoint")).unwrap();
    assert_eq!(checkpoint("audit"), checkpoint(COPY));
    let run = verify_py(&station.path(COPY), &station.verifier_key(), None);
    assert_eq!(run.code, 0, "{run:?}");
}

fn ready(hierarchy: &str) -> Station {
    let station = Station::bare_of(with_copy(hierarchy));
    plug_in(&station);
    station.init().ok();
    in_step(&station);
    for _ in ["keys", "certificates"] {
        station.carried_out(&station.planned_ceremony());
        in_step(&station);
    }
    station
}

#[test]
fn p04_a_copy_follows_each_mark_and_a_lost_directory_comes_back_from_it() {
    let station = ready(&faulty::hierarchy(""));
    let bundle = station.bundle(3, 1);
    let plan = station.planned(&bundle);
    station.carried_out(&plan);
    in_step(&station);
    // Each copy is on record under the next checkpoint, but for the last one.
    let written = station.bodies().into_iter().filter_map(|body| match body {
        Body::CopyWritten { target, size, root } => Some((target, size, root)),
        _ => None,
    });
    let log = View::read(&station.path("audit")).unwrap();
    let written: Vec<_> = written.collect();
    assert!(written.len() >= 9, "{written:?}");
    for (target, size, root) in &written {
        assert!(target.ends_with(COPY));
        assert_eq!(log.root_at(*size).unwrap(), *root);
    }
    // The directory is gone, and with it all that the station knew; another command says what to do.
    let sealed = log.sealed_size();
    let truth = station.entries();
    fs::remove_dir_all(station.path("audit")).unwrap();
    for file in ["hierarchy.toml", "verifier-key"] {
        fs::rename(station.path(file), station.path(&format!("{file}.kept"))).unwrap();
    }
    let key = fs::read_to_string(station.path("verifier-key.kept")).unwrap();
    let key = key.trim();
    station.run(&["restore", COPY]).fails(2, "`verifier-key` is not there");
    play(&station, "");
    let told = station.run(&["restore", COPY, "--verifier-key", key]).ok();
    assert_eq!(faulty::calls(&station), Vec::<String>::new(), "no token is asked");
    mend(&station);
    assert_eq!((&told["sealed"], &told["release"]), (&sealed.into(), &3.into()), "{told}");
    assert_eq!(told["also-back"], serde_json::json!(["verifier-key", "hierarchy.toml"]));
    for file in ["hierarchy.toml", "verifier-key"] {
        assert_eq!(fs::read(station.path(file)).unwrap(), fs::read(station.path(&format!("{file}.kept"))).unwrap());
    }
    // Nothing is lost, not even the receipt that no checkpoint covers yet.
    let back = station.entries();
    let (last, before) = back.split_last().unwrap();
    assert_eq!(before, truth);
    assert!(matches!(&last.body, Body::Failure { what } if what.contains("was lost; restored at")), "{last:?}");
    station.sign(&plan, &[]).fails(1, "carried out already");
    station.carried_out(&station.planned(&station.bundle(1, 2)));
    station.check_log();
    in_step(&station);
    // A directory that is whole is not replaced; what a stopped restore had still to bring is brought.
    let state = station.state();
    station.run(&["restore", COPY]).fails(1, "has nothing that it has not");
    let kept = fs::read(station.path("hierarchy.toml")).unwrap();
    fs::remove_file(station.path("hierarchy.toml")).unwrap();
    assert_eq!(station.run(&["restore", COPY]).ok()["also-back"], serde_json::json!(["hierarchy.toml"]));
    assert_eq!(fs::read(station.path("hierarchy.toml")).unwrap(), kept);
    assert!(station.state() == state);
    let strangers = Station::ready().verifier_key();
    station.run(&["restore", COPY, "--verifier-key", &strangers]).fails(1, "holds another key than --verifier-key");
    assert!(!station.path("audit.part").exists() && !station.path("audit.before-1").exists());
}

#[test]
fn p04_a_damaged_directory_is_moved_aside_and_an_old_copy_is_for_the_mark_to_refuse() {
    let station = ready(&faulty::hierarchy(""));
    let old = station.dir().with_file_name("old-copy");
    copy_tree(&station.path(COPY), &old);
    let plan = station.planned(&station.bundle(2, 1));
    station.carried_out(&plan);
    let sealed = View::read(&station.path("audit")).unwrap().sealed_size();
    let tile = station.path(&format!("audit/tile/0/000.p/{sealed}"));
    let mut octets = fs::read(&tile).unwrap();
    octets[40] ^= 1;
    fs::write(&tile, &octets).unwrap();
    // A torn record is evidence too.
    let tail = station.path("audit/tail");
    let torn = [fs::read(&tail).unwrap(), b"torn".to_vec()].concat();
    fs::write(&tail, &torn).unwrap();
    let damaged = files(&station.path("audit"));
    // What a restore that was stopped had begun is no source: it would be removed first.
    copy_tree(&station.path(COPY), &station.path("audit.part"));
    station.run(&["restore", "./audit.part"]).fails(1, "audit.part is what a restore that was stopped had begun");
    assert_eq!(files(&station.path("audit.part")).len(), files(&station.path(COPY)).len());
    // A copy for others verifies, and brings no station back.
    let public = station.dir().with_file_name("public");
    station.run(&["export", COPY, "--format", "public", "--to", public.to_str().unwrap()]).ok();
    check(&station, public.to_str().unwrap());
    station.run(&["restore", public.to_str().unwrap()]).fails(4, "without what a station must hold");
    // A copy that is not good, or not of this log, replaces nothing.
    let bad = station.dir().with_file_name("bad-copy");
    copy_tree(&station.path(COPY), &bad);
    let artefact = files(&bad.join("artefact")).pop().unwrap();
    fs::write(&artefact, b"other").unwrap();
    station.run(&["restore", bad.to_str().unwrap()]).fails(4, "the copy is not good");
    let stranger = Station::ready();
    let theirs = stranger.path("audit");
    station.run(&["restore", theirs.to_str().unwrap()]).fails(4, "the copy is not good");
    assert_eq!(files(&station.path("audit")), damaged);
    assert_eq!(fs::read(&tile).unwrap(), octets);
    // An old copy is good as such. What lies in out/ tells, and the mark says so.
    let told = station.run(&["restore", old.to_str().unwrap()]).ok();
    assert_eq!((&told["release"], &told["unknown-release"]), (&2.into(), &3.into()), "{told}");
    assert!(told["why"].as_str().unwrap().contains("damaged"), "{told}");
    let aside = files(&station.path("audit.before-1"));
    assert_eq!(aside.len(), damaged.len());
    assert_eq!(fs::read(station.path("audit.before-1/tail")).unwrap(), torn, "evidence is not changed");
    let crl = station.planned_by(&["--crl", "root"]);
    let approvals = station.approve(&crl);
    let halted = refused(&station, 3, "older than the token's mark", || station.sign(&crl, &approvals));
    let hint = halted["hint"].as_str().unwrap();
    assert!(hint.contains(&format!("restore ./{COPY}")), "{hint}");
    // And the copy on the medium is not overwritten by what is older than it.
    in_step_of_its_own(&station);
    station.run(&["restore", COPY]).ok();
    assert_eq!(files(&station.path("audit.before-1")), aside, "nothing is moved over");
    assert!(station.path("audit.before-2").is_dir());
    station.sign(&plan, &[]).fails(1, "carried out already");
    station.carried_out(&station.planned_by(&["--crl", "root"]));
    in_step(&station);
    station.check_log();
}

/// The copy is good, and further than the log.
fn in_step_of_its_own(station: &Station) {
    let [log, copy] = ["audit", COPY].map(|dir| check(station, dir));
    assert!(log["size"].as_u64() < copy["size"].as_u64(), "{log} {copy}");
}

#[test]
fn p04_a_restore_that_is_stopped_anywhere_is_run_again() {
    let station = ready(HIERARCHY);
    station.carried_out(&station.planned(&station.bundle(2, 1)));
    fs::write(station.path("audit/checkpoint"), "damaged\n").unwrap();
    let mut stopped = 0;
    for (calls, step) in [("?rename,?renameat,?renameat2", 5), ("fsync,fdatasync", 9), ("?mkdir,?mkdirat", 4)] {
        for when in (1..).step_by(step) {
            let copy = station.copy();
            let run = super::harness::batch::killed_at(&copy, &["restore", COPY], calls, when);
            if run.code == 0 {
                break;
            }
            assert_eq!(run.code, -1, "{run:?}");
            stopped += 1;
            let again = copy.run(&["restore", COPY]);
            assert!(again.code == 0 || again.out.contains("has nothing that it has not"), "{calls} {when}: {again:?}");
            check(&copy, "audit");
            let kept = files(&copy.path("audit.before-1"));
            assert!(kept.iter().any(|f| f.ends_with("checkpoint")), "{calls} {when}: {kept:?}");
            copy.carried_out(&copy.planned_by(&["--crl", "root"]));
        }
    }
    assert!(stopped > 8, "{stopped}");
}

/// The entry of a restore names the medium as it was typed.
#[test]
fn p07_a_restore_from_a_medium_with_a_hostile_name_records_what_can_be_shown() {
    let station = ready(HIERARCHY);
    let (name, shown) = ("copy\u{1b}[2J\nfine\u{202e}", "copy\\u{1b}[2J\\u{a}fine\\u{202e}");
    let medium = station.dir().with_file_name(name);
    copy_tree(&station.path(COPY), &medium);
    fs::remove_dir_all(station.path("audit")).unwrap();
    let run = station.run(&["restore", medium.to_str().unwrap()]);
    let text = format!("{}{}", run.out, run.err);
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{run:?}");
    run.ok();
    let Some(Body::Failure { what }) = station.bodies().pop() else { panic!("a restore leaves its entry") };
    assert!(what.ends_with(shown), "{what}");
    let mut show = std::process::Command::new(COLDROOT);
    let told = Run::of(show.args(["--plain", "show", "audit"]).current_dir(station.dir()));
    assert!(told.code == 0 && !told.out.contains(['\u{1b}', '\u{202e}']), "{told:?}");
    check(&station, "audit");
}

#[test]
fn p04_a_rehearsal_without_its_medium_goes_on_on_record_and_catches_up() {
    let station = ready(&faulty::hierarchy(""));
    let away = station.dir().with_file_name("away");
    fs::rename(station.path(COPY), &away).unwrap();
    let plan = station.planned(&station.bundle(2, 1));
    let run = station.sign(&plan, &station.approve(&plan));
    assert!(run.err.contains("WARNING: no copy of the log: there is no directory"), "{run:?}");
    run.ok();
    let told =
        |b: &Body| matches!(b, Body::Failure { what } if what.starts_with("the log's copy: there is no directory"));
    assert_eq!(station.bodies().iter().filter(|b| told(b)).count(), 1);
    assert!(!station.path(COPY).exists());
    fs::rename(&away, station.path(COPY)).unwrap();
    station.carried_out(&station.planned_by(&["--crl", "root"]));
    in_step(&station);
    // Another medium, once, by option.
    let other = station.dir().with_file_name("other");
    fs::create_dir(&other).unwrap();
    let plan = station.planned_by(&["--crl", "root"]);
    let approvals = station.approve(&plan);
    let args = [vec!["--copy", other.to_str().unwrap()], station.sign_args(&plan, &approvals)].concat();
    station.run(&args).ok();
    assert_eq!(check(&station, other.to_str().unwrap())["size"], check(&station, "audit")["size"]);
    // One that fills up in the middle of a run stops nothing, and is on record.
    let batch = Batch { plan: station.planned(&station.bundle(2, 2)), approvals: vec![], station };
    let approvals = batch.station.approve(&batch.plan);
    let full = batch.station.dir().with_file_name("stick").join("audit/checkpoint.tmp");
    let before = [
        "-qq",
        "-f",
        "-o",
        "/dev/null",
        "-P",
        full.to_str().unwrap(),
        "-e",
        "trace=write,copy_file_range,fdatasync",
        "-e",
    ];
    let before = [&before[..], &["inject=write,copy_file_range,fdatasync:error=ENOSPC:when=5+", COLDROOT]].concat();
    let args = batch.station.sign_args(&batch.plan, &approvals);
    let run = Run::of(&mut batch.station.command_of("strace", &before, &args));
    assert!(run.err.contains("WARNING: the log's copy was not brought up to it"), "{run:?}");
    run.ok();
    let told = |b: &Body| matches!(b, Body::Failure { what } if what.starts_with("the log's copy: ") && what.contains("space"));
    assert!(batch.station.bodies().iter().any(told));
    check(&batch.station, COPY);
    batch.station.carried_out(&batch.station.planned_by(&["--crl", "root"]));
    in_step(&batch.station);
    batch.station.check_log();
}

#[test]
fn p04_a_real_station_does_not_go_on_without_the_copy_that_it_declares() {
    let station = real_station(&with_copy(&faulty::hierarchy("")));
    play(&station, "");
    real(&station, &station.init_args()).fails(1, "the log's copy: there is no directory");
    assert_eq!(count(&station, "C_Login") + count(&station, "C_GenerateKeyPair"), 0);
    mend(&station);
    assert!(!station.path("audit").exists());
    let medium = plug_in(&station);
    real(&station, &station.init_args()).ok();
    in_step(&station);
    let old = station.save_audit("old");
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    let args = station.sign_args(&plan, &approvals);
    // No medium, one that cannot be written, one that is another's: each before the PIN is tried.
    let away = station.dir().with_file_name("away");
    let refuses = |saying: &str| {
        play(&station, "");
        let state = station.state();
        let told = witnessed(&station, &args).fails(1, saying);
        assert!(station.state() == state, "{told}");
        assert_eq!(count(&station, "C_Login") + count(&station, "C_SignInit"), 0, "{told}");
        mend(&station);
    };
    fs::rename(&medium, &away).unwrap();
    refuses("there is no directory");
    fs::create_dir(&medium).unwrap();
    fs::write(medium.join("holiday.jpg"), b"x").unwrap();
    refuses("is no part of a log");
    fs::remove_file(medium.join("holiday.jpg")).unwrap();
    // What cannot be written: a file stands where a directory belongs.
    fs::write(medium.join("artefact"), b"x").unwrap();
    refuses("artefact");
    fs::remove_dir_all(&medium).unwrap();
    fs::rename(&away, &medium).unwrap();
    witnessed(&station, &args).ok();
    in_step(&station);
    // The directory from before is older than its copy, which is not touched.
    station.restore_audit(&old);
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    let args = station.sign_args(&plan, &approvals);
    let held = check(&station, COPY);
    play(&station, "");
    let told = witnessed(&station, &args).fails(1, "entries, this log");
    assert!(told["hint"].as_str().unwrap().contains("coldroot restore"), "{told}");
    assert_eq!(count(&station, "C_Login"), 0);
    assert_eq!(check(&station, COPY), held);
    mend(&station);
    station.run(&["restore", Path::new(COPY).to_str().unwrap()]).ok();
}
