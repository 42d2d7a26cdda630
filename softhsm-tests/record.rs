//! `record`: what people did and handed over, on record without a login; each test on a whole station.

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use coldroot::audit::artefact;
use coldroot::audit::entry::{Body, EvidenceKind};
use coldroot::digest::Digest;
use harness::batch::killed_at;
use harness::station::{CEREMONY, COLDROOT, HIERARCHY, Run, Station};
use harness::{copy_tree, files, verify_py};

const SECRET: &str = "minutes\nof a meeting, with names\n";

fn evidence(station: &Station, file: &Path, more: &[&str]) -> Run {
    let args = ["record", "evidence", file.to_str().unwrap(), "--person", "carol", "--what", "the minutes"];
    station.run(&[&args[..], more].concat())
}

/// A file beside the station, as on a medium.
fn file(station: &Station, name: &str, content: &str) -> PathBuf {
    let path = station.desk(name);
    fs::write(&path, content).unwrap();
    path
}

fn stored(station: &Station, digest: &Digest) -> PathBuf {
    station.path("audit").join(artefact::path(digest))
}

/// Anything that is to be refused leaves the station as it was.
#[track_caller]
fn refused(station: &Station, args: &[&str], code: i32, saying: &str) {
    let before = station.state();
    station.run(args).fails(code, saying);
    assert!(station.state() == before, "refused ({saying}), and something was left behind");
}

#[test]
fn p04_evidence_deviations_and_steps_are_on_record_and_the_next_login_seals_them() {
    let station = Station::ready();
    let log = file(&station, "hsm.log", "slot 0: C_Sign\n");
    let said = evidence(&station, &log, &["--kind", "hsm-log"]).ok();
    assert_eq!((said["sealed"].as_bool(), said["octets"].as_str()), (Some(false), Some("15")));
    fs::write(station.path("ceremony.toml"), CEREMONY).unwrap();
    let steps =
        ["record", "step", "--script", "ceremony.toml", "--number", "1", "--person", "carol", "--person", "dave"];
    station.run(&steps).ok();
    let what = "the lamp failed; another was fetched";
    let deviation = ["record", "deviation", "--what", what, "--person", "dave"];
    let index = station.run(&deviation).ok()["entry"].as_u64().unwrap();

    let bodies = station.bodies();
    assert_eq!(bodies.len() as u64, index + 1);
    let [.., Body::Evidence(put), Body::Step { script, number: 1, persons }, Body::Deviation { what: told, .. }] =
        bodies.as_slice()
    else {
        panic!("{bodies:?}")
    };
    assert_eq!((put.kind, put.withheld, put.octets, put.person.as_str()), (EvidenceKind::HsmLog, false, 15, "carol"));
    assert_eq!(fs::read(stored(&station, &put.artefact)).unwrap(), fs::read(&log).unwrap());
    assert_eq!(put.artefact, Digest::of(b"slot 0: C_Sign\n"));
    assert_eq!(
        (script, persons.join(" ").as_str(), told.as_str()),
        (&Digest::of(CEREMONY.as_bytes()), "carol dave", what)
    );
    assert_eq!(fs::read_to_string(stored(&station, script)).unwrap(), CEREMONY);
    assert_eq!(fs::read_dir(station.path("in")).unwrap().count(), 0, "the copy is gone");
    station.check_log();

    // The same command again, typed twice, is refused; the checkpoint of the next run covers what stands there.
    for again in [&steps[..], &deviation] {
        refused(&station, again, 1, "on record already");
    }
    let plan = station.planned(&station.bundle(1, 1));
    station.sign(&plan, &station.approve(&plan)).ok();
    let note = fs::read_to_string(station.path("audit/checkpoint")).unwrap();
    assert!(note.lines().nth(1).unwrap().parse::<u64>().unwrap() > index);
    station.run(&deviation).ok();
    station.check_log();
}

#[test]
fn p08_a_withheld_artefact_is_opened_by_show_alone_and_told_by_no_digest() {
    let station = Station::ready();
    let minutes = file(&station, "minutes.txt", SECRET);
    evidence(&station, &minutes, &["--kind", "minutes", "--withhold"]).ok();
    let Some(Body::Evidence(put)) = station.bodies().pop() else { panic!() };
    assert!(put.withheld && put.octets == SECRET.len() as u64 && put.artefact != Digest::of(SECRET.as_bytes()));
    let path = stored(&station, &put.artefact);
    let whole = fs::read(&path).unwrap();
    assert!(whole.starts_with(b"\x74coldroot-withheld-v0") && whole.ends_with(SECRET.as_bytes()));
    assert_eq!(whole.len(), 21 + 32 + SECRET.len());
    assert!(!stored(&station, &Digest::of(SECRET.as_bytes())).exists());
    // Another salt each time: two files are told apart, though their content is one.
    let args = ["record", "evidence", minutes.to_str().unwrap(), "--kind", "minutes", "--withhold", "--person", "dave"];
    station.run(&[&args[..], &["--what", "a second copy"]].concat()).ok();
    let Some(Body::Evidence(second)) = station.bodies().pop() else { panic!() };
    assert_ne!(second.artefact, put.artefact);
    assert_ne!(fs::read(stored(&station, &second.artefact)).unwrap()[..53], whole[..53]);
    refused(&station, &[&args[..], &["--what", "a second copy"]].concat(), 1, "on record already");

    let said = station.run(&["show", path.to_str().unwrap()]).ok();
    assert_eq!(
        (said["artefact"].as_str(), said["octets"].as_u64()),
        (Some(put.artefact.hex().as_str()), Some(put.octets))
    );
    let plain = Run::of(std::process::Command::new(COLDROOT).arg("show").arg(&path));
    assert!(plain.out.contains("of a meeting, with names"), "{plain:?}");
    let out = station.desk("opened");
    station.run(&["show", path.to_str().unwrap(), "--content", out.to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(&out).unwrap(), SECRET);
    station.run(&["show", path.to_str().unwrap(), "--content", out.to_str().unwrap()]).fails(1, "exists");
    station.run(&["show", "hierarchy.toml", "--content", out.to_str().unwrap()]).fails(2, "--content belongs");

    // Sealed, copied for the public without what is withheld: it still verifies, and both judges count what is absent.
    let plan = station.planned(&station.bundle(1, 1));
    let release = station.released(station.sign(&plan, &station.approve(&plan)));
    let key = station.verifier_key();
    let counted = |log: &Path| {
        let ours = station.run(&["check", log.to_str().unwrap(), "--verifier-key", &key]).ok();
        let theirs = verify_py(log, &key, None);
        let absent = ours["absent"].as_u64().unwrap();
        assert!(theirs.code == 0 && theirs.out.contains(&format!(", {absent} not here\n")), "{theirs:?}");
        absent
    };
    let copy = station.desk("public");
    copy_tree(&station.path("audit"), &copy);
    fs::remove_file(copy.join("tail")).unwrap();
    let with = counted(&copy);
    for withheld in [&put.artefact, &second.artefact] {
        fs::remove_file(copy.join(artefact::path(withheld))).unwrap();
    }
    assert_eq!(counted(&copy), with + 2);
    let release = fs::read(release.join("log.cbor")).unwrap();
    assert!(!release.windows(20).any(|part| part == &SECRET.as_bytes()[..20]), "a release holds withheld matter");

    // A station holds what it has put on record.
    fs::remove_file(&path).unwrap();
    station.run(&["check", "audit", "--verifier-key", &key]).fails(4, "missing");
    assert_eq!(verify_py(&station.path("audit"), &key, None).code, 4);
}

#[test]
fn p04_an_old_copy_with_records_of_its_own_is_told_as_what_it_is() {
    let station = Station::ready();
    let before = station.save_audit("before");
    let plan = station.planned(&station.bundle(1, 1));
    station.sign(&plan, &station.approve(&plan)).ok();
    station.restore_audit(&before);
    for n in 0..12 {
        station.run(&["record", "deviation", "--what", &format!("number {n}"), "--person", "carol"]).ok();
    }
    let again = station.planned_by(&["--crl", "xmpp-1"]);
    station.sign(&again, &station.approve(&again)).fails(3, "older than the token's mark");
}

#[test]
fn p07_what_cannot_go_on_record_is_refused_and_nothing_is_left() {
    let expired = "\n[[person]]\nid = \"olga\"\nname = \"olga\"\nroles = [\"witness\"]\nexpires = \"2020-01-01\"\n";
    let station = Station::bare_of(HIERARCHY.replace("@PEOPLE@", &format!("@PEOPLE@{expired}")));
    let good = file(&station, "good.txt", "content");
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    let good = name(&good);
    let deviation = |what: &str, people: &[&str]| {
        let mut args = vec!["record".to_owned(), "deviation".into(), "--what".into(), what.into()];
        args.extend(people.iter().flat_map(|id| ["--person".to_owned(), (*id).to_owned()]));
        args
    };
    let run = |args: &[String], code, saying: &str| {
        refused(&station, &args.iter().map(String::as_str).collect::<Vec<_>>(), code, saying);
    };
    // No log yet.
    let bare = |args: &[&str]| {
        station.run(args).fails(1, "no audit log yet");
        assert!(!station.path("audit").exists());
    };
    bare(&["record", "evidence", &good, "--kind", "other", "--what", "x", "--person", "carol"]);
    bare(&["record", "deviation", "--what", "x", "--person", "carol"]);
    station.init().ok();

    for (what, saying) in [
        ("", "1 to 500 characters"),
        ("two\nlines", "U+000A"),
        ("\u{1b}[2Jgone", "U+001B"),
        ("left \u{202e}thgir", "U+202E"),
        (" around ", "no spaces around"),
        (&"x".repeat(501), "1 to 500 characters"),
    ] {
        run(&deviation(what, &["carol"]), 2, saying);
        let evidence = ["record", "evidence", &good, "--kind", "other", "--person", "carol", "--what", what];
        refused(&station, &evidence, 2, saying);
    }
    for (people, saying) in [
        (&["mallory"][..], "is no person of the roster"),
        (&["carol", "\u{1b}[2J"], "is no person of the roster"),
        (&["carol", "dave", "carol"], "named twice"),
        (&["olga"], "expired at 2020-01-0"),
    ] {
        run(&deviation("x", people), 1, saying);
    }
    refused(&station, &["record", "deviation", "--what", "x"], 2, "--person");

    let empty = name(&file(&station, "empty", ""));
    let link = station.desk("link");
    symlink(&good, &link).unwrap();
    let large = station.desk("large");
    fs::File::create(&large).unwrap().set_len((1 << 30) + 1).unwrap();
    let pipe = station.desk("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (path, saying) in [
        (empty.as_str(), "is empty"),
        (name(&station.desk("nothing")).as_str(), "No such file"),
        (name(&link).as_str(), "link"),
        (name(&large).as_str(), "more than the limit"),
        (name(&pipe).as_str(), "no regular file"),
        (name(&station.desk("")).as_str(), "no regular file"),
    ] {
        for more in [&["--withhold"][..], &[]] {
            let args = ["record", "evidence", path, "--kind", "other", "--what", "x", "--person", "carol"];
            refused(&station, &[&args[..], more].concat(), 1, saying);
        }
    }
    refused(&station, &["record", "evidence", &good, "--kind", "film", "--what", "x", "--person", "carol"], 2, "film");

    fs::write(station.path("ceremony.toml"), CEREMONY).unwrap();
    fs::write(station.path("other.toml"), CEREMONY.replace("coldroot-ceremony-v0", "coldroot-ceremony-v9")).unwrap();
    let step = |script: &str, number: &str, code, saying: &str| {
        let args = ["record", "step", "--script", script, "--number", number, "--person", "carol"];
        refused(&station, &args, code, saying);
    };
    step("ceremony.toml", "0", 2, "has no step 0");
    step("ceremony.toml", "99", 2, "has no step 99: its steps are 1 to");
    step("other.toml", "1", 2, "this program reads");
    step("nothing.toml", "1", 1, "No such file");
    step("hierarchy.toml", "1", 2, "");
}

/// Of withheld evidence the copy is the bare content, and of a cut nothing else says so.
#[test]
fn p08_a_copy_that_a_stop_has_left_in_the_inbox_goes_with_the_next_run() {
    let station = Station::ready();
    let letter = file(&station, "letter.txt", "what nobody else may read\n");
    let args = ["record", "evidence", letter.to_str().unwrap(), "--kind", "other", "--what", "a letter"];
    let args = [&args[..], &["--person", "dave", "--withhold"]].concat();
    let mut left = BTreeSet::new();
    for when in 1.. {
        let copy = station.copy();
        if killed_at(&copy, &args, "fsync,fdatasync,?rename,?renameat,?renameat2", when).code == 0 {
            break;
        }
        let inbox = files(&copy.path("in"));
        left.extend(inbox.iter().map(|path| path.file_name().unwrap().len()));
        // What is not called as the program calls its copies belongs to somebody.
        let digest = "0123456789abcdef".repeat(4);
        fs::create_dir_all(copy.path(&format!("in/{digest}"))).unwrap();
        let theirs = ["notes", ".incoming-list", &digest[1..], &digest.to_uppercase()];
        theirs.iter().for_each(|name| fs::write(copy.path("in").join(name), name).unwrap());
        let run = copy.run(&["plan", "--crl", "root"]);
        assert_eq!(
            run.err.matches(" was left by a run that was stopped, and is removed").count(),
            inbox.len(),
            "{run:?}"
        );
        run.ok();
        let stays: BTreeSet<PathBuf> = files(&copy.path("in")).into_iter().collect();
        assert_eq!(stays, theirs.iter().map(|name| copy.path("in").join(name)).collect(), "{when}");
        assert!(copy.path(&format!("in/{digest}")).is_dir());
    }
    // An unfinished copy, and a whole one.
    assert_eq!(left, BTreeSet::from([".incoming-".len() + 6, 64]));
}
