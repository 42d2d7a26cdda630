//! Promise 4: a directory from before, from elsewhere, or made by hand is seen, on SoftHSM and on Kryoptic.
//!
//! Both modules stand behind the one that lists its calls: that nothing was signed and the mark not moved is read there, not
//! believed.

#[path = "rollback/adopt.rs"]
mod adopt;
#[path = "rollback/copy.rs"]
mod copy;
mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::audit::Log;
use coldroot::audit::entry::{Body, End, Entry};
use coldroot::digest::Digest;
use harness::batch::Batch;
use harness::faulty::{count, play};
use harness::held::Held;
use harness::station::{COLDROOT, HIERARCHY, PIN, Run, Station, generated};
use harness::{copy_tree, faulty, files, kryoptic};

/// Enough for three chunks of signatures.
const MANY: u64 = 520;

fn softhsm() -> String {
    faulty::hierarchy("")
}

/// The same on Kryoptic.
fn on_kryoptic() -> String {
    let module = kryoptic::module().to_str().unwrap();
    faulty::hierarchy("")
        .replace("@MODULE@", module)
        .replace("SOFTHSM2_CONF = \"softhsm2.conf\"", "KRYOPTIC_CONF = \"kryoptic.conf\"")
}

fn both(test: impl Fn(String)) {
    assert!(HIERARCHY.contains("@MODULE@"));
    [softhsm(), on_kryoptic()].into_iter().for_each(test);
}

/// Asserts that a run ended with this code and message; that the token signed nothing, made nothing and kept its mark; that
/// nothing left; and that the log has, behind what it had, PIN tries and nothing else.
#[track_caller]
fn refused(station: &Station, code: i32, saying: &str, run: impl FnOnce() -> Run) -> serde_json::Value {
    let (entries, left) = station.state();
    let checkpoint = fs::read(station.path("audit/checkpoint")).ok();
    play(station, "");
    let told = run().fails(code, saying);
    for function in ["C_SignInit", "C_Sign", "C_GenerateKeyPair", "C_CreateObject", "C_DestroyObject", "C_SetPIN"] {
        assert_eq!(count(station, function), 0, "{function}: {told}");
    }
    faulty::mend(station);
    let (after, there) = station.state();
    assert_eq!(there, left, "{told}");
    assert_eq!(fs::read(station.path("audit/checkpoint")).ok(), checkpoint);
    assert_eq!(after[..entries.len()], entries);
    assert!(
        after[entries.len()..].iter().all(|e| matches!(e.body, Body::PinTry { .. } | Body::MediumRead { .. })),
        "{after:?}"
    );
    told
}

/// A plan that the directory as it stands allows, with its approvals. Planning needs no login, so no mark is asked.
#[track_caller]
fn some_plan(station: &Station) -> (PathBuf, Vec<PathBuf>) {
    let has_root = station.bodies().iter().any(|b| matches!(b, Body::Certificate(c) if c.ca == "root"));
    let plan = if has_root { station.planned_by(&["--crl", "root"]) } else { station.planned_ceremony() };
    let approvals = station.approve(&plan);
    (plan, approvals)
}

/// The directory as it is restored is refused, several times over, for a plan that it has on record and for a new one.
#[track_caller]
fn refuses(station: &Station, old: &Path, saying: &str) {
    station.restore_audit(old);
    let (plan, approvals) = some_plan(station);
    for _ in 0..2 {
        let told = refused(station, 3, saying, || station.sign(&plan, &approvals));
        assert!(told["hint"].as_str().unwrap().contains("restore"), "{told}");
    }
}

/// An act and the directory before it.
fn acts(hierarchy: String) -> (Station, Vec<(&'static str, PathBuf)>) {
    let station = Station::bare_of(hierarchy);
    station.init().ok();
    let mut saved = vec![("init", station.save_audit("init"))];
    let plan = station.planned_ceremony();
    saved.push(("keys planned", station.save_audit("keys-planned")));
    station.carried_out(&plan);
    saved.push(("keys released", station.save_audit("keys-released")));
    station.carried_out(&station.planned_ceremony());
    saved.push(("certificates released", station.save_audit("certificates-released")));
    (station, saved)
}

const OLD: &str = "older than the token's mark";

#[test]
fn p04_a_directory_from_before_any_act_is_refused() {
    both(|hierarchy| {
        let (station, mut saved) = acts(hierarchy);
        // Behind a release: all that came before it.
        let newest = station.save_audit("newest");
        for (_, old) in &saved[..saved.len() - 1] {
            refuses(&station, old, OLD);
        }
        station.restore_audit(&newest);
        // Behind a void.
        let bundle = station.bundle(2, 1);
        let plan = station.planned(&bundle);
        saved.push(("bundle planned", station.save_audit("bundle-planned")));
        let args = ["void", "--plan", plan.to_str().unwrap(), "--reason", "a test", "--operator", "carol"];
        let args: Vec<&str> = args.into_iter().chain(["--witness", "dave"]).collect();
        let statement = PathBuf::from(station.run(&args).ok()["statement-file"].as_str().unwrap());
        let signatures = station.approve(&statement);
        let with: Vec<&str> = signatures.iter().flat_map(|s| ["--approval", s.to_str().unwrap()]).collect();
        station.run(&[args, with].concat()).ok();
        let newest = station.save_audit("newest-2");
        // The plan that was voided, from the directory that knows nothing of it.
        station.restore_audit(&saved.last().unwrap().1);
        let approvals = station.approve(&plan);
        refused(&station, 3, OLD, || station.sign(&plan, &approvals));
        for (_, old) in &saved {
            refuses(&station, old, OLD);
        }
        // The way out is the one that the message names, and the log goes on.
        station.restore_audit(&newest);
        station.carried_out(&station.planned(&station.bundle(1, 2)));
        station.check_log();
    });
}

#[test]
fn p04_a_directory_from_before_a_start_is_refused_though_the_start_had_no_end() {
    both(|hierarchy| {
        let batch = Batch::of(hierarchy, 3);
        let station = &batch.station;
        let old = station.save_audit("old");
        // The third signature of this process: two checkpoints, then the first item.
        play(station, "C_Sign:3=kill:parent");
        assert_eq!(batch.sign().code, -1);
        faulty::mend(station);
        harness::processes::assert_gone(&station.dir());
        assert!(station.bodies().iter().any(|b| matches!(b, Body::Start(s) if s.witness == "dave")));
        let started = station.save_audit("started");
        station.restore_audit(&old);
        refused(station, 3, OLD, || batch.sign());
        refuses(station, &old, OLD);
        station.restore_audit(&started);
        batch.sign().ok();
        batch.assert_exactly_once();
    });
}

#[test]
fn p04_the_directory_of_another_station_with_the_same_origin_is_refused() {
    both(|hierarchy| {
        // The same file, the same token's serial, two audit keys: the twin began apart.
        let station = Station::bare_of(hierarchy);
        let twin = station.copy();
        for one in [&station, &twin] {
            one.init().ok();
            one.carried_out(&one.planned_ceremony());
        }
        assert_ne!(station.verifier_key(), twin.verifier_key());
        let own = station.save_audit("own");
        refuses(&station, &twin.path("audit"), "another root");
        // A longer one, and a shorter one.
        twin.carried_out(&twin.planned_ceremony());
        refuses(&station, &twin.path("audit"), "another root");
        station.restore_audit(&own);
        station.carried_out(&station.planned_ceremony());
        let own = station.save_audit("own-2");
        station.carried_out(&station.planned_by(&["--crl", "root"]));
        let newest = station.save_audit("newest");
        refuses(&station, &twin.path("audit"), OLD);
        refuses(&station, &own, OLD);
        station.restore_audit(&newest);
        station.carried_out(&station.planned(&station.bundle(1, 1)));
        station.check_log();
    });
}

#[test]
fn p04_a_fork_grown_by_hand_from_an_old_copy_is_refused_at_any_length() {
    both(|hierarchy| {
        let station = Station::ready_of(hierarchy);
        let old = station.save_audit("old");
        station.carried_out(&station.planned(&station.bundle(2, 1)));
        let newest = station.save_audit("newest");
        let truth = station.entries();
        let grow = |name: &str, wanted: usize, entry: &dyn Fn(usize) -> Entry| {
            let dir = station.dir().with_file_name(name);
            copy_tree(&old, &dir);
            let mut log = Log::open(&dir).unwrap();
            for n in usize::try_from(log.size()).unwrap()..wanted {
                log.append(&entry(n)).unwrap();
            }
            log.sync().unwrap();
            dir
        };
        // The first entry that differs is the last one that the mark covers: the receipt behind it is not sealed.
        let lie = |n: usize| Entry {
            body: Body::Failure { what: format!("something {n}") },
            ..truth[n.min(truth.len() - 1)].clone()
        };
        let marked = truth.len() - 1;
        for (name, wanted) in [("shorter", marked - 1), ("equal", marked), ("longer", marked + 300)] {
            let dir = grow(name, wanted, &lie);
            // What stands behind the old checkpoint is no failure, or it would count as the station's own attempt.
            let saying = if name == "shorter" { OLD } else { "token's mark" };
            refuses(&station, &dir, saying);
        }
        let Body::End(end) = &truth[marked - 1].body else { panic!("{truth:?}") };
        let other = Body::End(End { manifest: Digest([7; 32]), ..end.clone() });
        let almost = grow("almost", marked + 4, &|n| match n + 1 {
            place if place < marked => truth[n].clone(),
            place if place == marked => Entry { body: other.clone(), ..truth[n].clone() },
            _ => truth[marked].clone(),
        });
        refuses(&station, &almost, "another root");
        // All of the truth, by hand: the same log, whoever wrote it down.
        let same = grow("same", truth.len(), &|n| truth[n].clone());
        copy_tree(&newest.join("artefact"), &same.join("artefact"));
        station.restore_audit(&same);
        station.carried_out(&station.planned(&station.bundle(1, 2)));
        station.check_log();
    });
}

/// Everything of a station but its token.
fn image(station: &Station, to: &Path) {
    for entry in fs::read_dir(station.dir()).unwrap() {
        let entry = entry.unwrap();
        match entry.file_name().to_str().unwrap() {
            "token" | "faulty" => {}
            name if entry.path().is_dir() => copy_tree(&entry.path(), &to.join(name)),
            name => {
                fs::create_dir_all(to).unwrap();
                fs::copy(entry.path(), to.join(name)).unwrap();
            }
        }
    }
}

fn restore_image(station: &Station, from: &Path) {
    for dir in ["audit", "in", "out"] {
        let _ = fs::remove_dir_all(station.path(dir));
    }
    copy_tree(from, &station.dir());
}

/// Images of the station as the batch is signed: the run is held at each flush, and copied where the tail has changed. Killed before it
/// is done, or let through.
fn images(batch: &Batch, kill: bool) -> Vec<PathBuf> {
    let station = &batch.station;
    let tail = || fs::metadata(station.path("audit/tail")).map_or(0, |m| m.len());
    let (mut images, mut seen, mut chunks) = (Vec::new(), tail(), 0);
    let mut run = Held::start(station, &batch.args(), "fdatasync");
    while run.stands() {
        let now = tail();
        if now != seen {
            (seen, chunks) = (now, chunks + usize::from(now > 100_000));
            let to = station.dir().with_file_name(format!("image-{}", images.len()));
            image(station, &to);
            images.push(to);
            if kill && chunks == 2 {
                run.kill();
                harness::processes::assert_gone(&station.dir());
                return images;
            }
        }
        run.go_on();
    }
    assert!(!kill, "the run ended before it could be stopped");
    images
}

#[test]
fn p04_an_image_from_between_start_and_end_is_resumed_while_nothing_has_ended() {
    both(|hierarchy| {
        let batch = Batch::of(hierarchy, MANY);
        let images = images(&batch, true);
        let (mut resumed, mut before) = (0, 0);
        for image in images {
            let copy = batch.copy();
            restore_image(&copy.station, &image);
            let digest =
                |b: &Body| matches!(b, Body::Start(s) if copy.plan.to_str().unwrap().contains(&s.plan.hex()[..8]));
            if copy.station.bodies().iter().any(digest) {
                copy.sign().ok();
                copy.assert_exactly_once();
                resumed += 1;
            } else {
                // From before the start: the mark knows more.
                refused(&copy.station, 3, OLD, || copy.sign());
                before += 1;
            }
        }
        assert!(resumed >= 2, "{resumed} images of a run at work, {before} from before its start");
    });
}

#[test]
fn p04_an_image_from_between_start_and_end_is_refused_once_the_plan_has_ended() {
    both(|hierarchy| {
        let batch = Batch::of(hierarchy, MANY);
        let images = images(&batch, false);
        let newest = batch.station.dir().with_file_name("newest");
        image(&batch.station, &newest);
        assert!(images.len() >= 3, "{}", images.len());
        let mut asked = 0;
        for image in &images {
            restore_image(&batch.station, image);
            let ends = |b: &Body| matches!(b, Body::End(e) if e.release == 3);
            if batch.station.bodies().iter().any(ends) {
                continue;
            }
            refused(&batch.station, 3, OLD, || batch.sign());
            asked += 1;
        }
        assert!(asked >= 2, "{asked} images");
        restore_image(&batch.station, &newest);
        batch.assert_exactly_once();
    });
}

/// Directory and token together, as a virtual machine's snapshot has them: token and directory agree, so only what others
/// have seen tells.
#[test]
fn p04_a_whole_machine_from_before_is_found_out_by_the_next_bundle() {
    both(|hierarchy| {
        let station = Station::ready_of(hierarchy);
        let whole = station.copy();
        let first = station.bundle(2, 1);
        let plan = station.planned(&first);
        let release = station.carried_out(&plan);
        let answering = |name: &str, sequence| {
            let requests = station.requests(name, &generated(2, 7 + sequence));
            station.pack_with(&requests, sequence, &["--answers", release.to_str().unwrap(), "--release", "3"])
        };
        let second = answering("second", 2);
        // As it was restored.
        let told = refused(&whole, 3, "the desk has release 3", || whole.plan(&second));
        assert!(told["hint"].as_str().unwrap().contains("restore"), "{told}");
        // Whatever the desk numbers it.
        refused(&whole, 3, "the desk has release 3", || whole.plan(&answering("renumbered", 1)));
        // It went on, and made a third release of its own, of the same bundle or of none: two histories.
        whole.carried_out(&whole.planned(&first));
        refused(&whole, 3, "another root at", || whole.plan(&second));
        whole.carried_out(&whole.planned_by(&["--crl", "root"]));
        refused(&whole, 3, "another root at", || whole.plan(&second));
        station.carried_out(&station.planned(&second));
        station.check_log();
    });
}

/// The directory gone, and begun again as if nothing had been.
#[test]
fn p04_a_station_whose_directory_is_gone_does_not_begin_again() {
    both(|hierarchy| {
        let (station, saved) = acts(hierarchy);
        let newest = station.save_audit("newest");
        fs::remove_dir_all(station.path("audit")).unwrap();
        play(&station, "");
        station.init().fails(1, "its token carries the mark");
        assert_eq!(count(&station, "C_SignInit") + count(&station, "C_CreateObject"), 0);
        faulty::mend(&station);
        assert_eq!(files(&station.path("audit")), Vec::<PathBuf>::new());
        // A beginning that was never sealed, put where the log was.
        station.restore_audit(&saved[0].1);
        fs::remove_file(station.path("audit/checkpoint")).unwrap();
        fs::remove_dir_all(station.path("audit/tile")).unwrap();
        play(&station, "");
        let run = station.init();
        assert_ne!(run.code, 0, "{run:?}");
        assert_eq!(count(&station, "C_SignInit") + count(&station, "C_CreateObject"), 0);
        faulty::mend(&station);
        station.restore_audit(&newest);
        station.carried_out(&station.planned_by(&["--crl", "root"]));
    });
}

/// The same for a command that a witness watches, who reads the same clock at this moment.
fn witnessed(station: &Station, args: &[&str]) -> Run {
    let time = coldroot::text::utc(harness::station::now());
    real(station, &[args, &["--witness-time", &time]].concat())
}

/// A command of a real station: the PIN comes by a pipe.
fn real(station: &Station, args: &[&str]) -> Run {
    let line = format!("{} --json --plain --pin-fd 3 {} 3< <(echo {PIN})", COLDROOT, args.join(" "));
    Run::of(Command::new("bash").args(["-c", &line]).current_dir(station.dir()))
}

/// A station of a real hierarchy, made from one like [`HIERARCHY`]; `init` not yet run.
fn real_station(hierarchy: &str) -> Station {
    let text = hierarchy.replace("environment = \"rehearsal\"", "environment = \"real\"");
    let text = text.replace("{ O = \"REHEARSAL\" }, ", "").replace("pin-file = \"pin.txt\"\nso-", "# ");
    let station = Station::new_of(hierarchy.into());
    station.token_init();
    let made = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let serial = made.lines().find(|line| line.starts_with("serial")).unwrap();
    let station = station.with(text.replace("@SERIAL@", serial));
    station.approve(Path::new("hierarchy.toml"));
    station
}

/// What a desk's bundle answers is the anchor against a whole machine that was put back: a real station does without it only
/// until the desk has had its first answer.
#[test]
fn p04_a_real_station_takes_no_bundle_that_keeps_silent_about_what_the_desk_has() {
    let station = real_station(HIERARCHY);
    real(&station, &station.init_args()).ok();
    let sign = |plan: &Path| {
        let approvals = station.approve(plan);
        station.released(witnessed(&station, &station.sign_args(plan, &approvals)))
    };
    for _ in ["keys", "certificates"] {
        sign(&station.planned_ceremony());
    }
    let release = sign(&station.planned(&station.bundle(2, 1)));
    let silent = station.bundle(2, 2);
    let told = refused(&station, 1, "does not say which release desk `desk-1` has", || station.plan(&silent));
    assert!(told["hint"].as_str().unwrap().contains("--answers"), "{told}");
    let requests = station.requests("answering", &generated(2, 7));
    sign(&station.planned(&station.pack_with(
        &requests,
        2,
        &["--answers", release.to_str().unwrap(), "--release", "3"],
    )));
}
