//! Every newer copy is lost: the log that is left goes on, and says what it has lost.

use std::fs;
use std::path::{Path, PathBuf};

use coldroot::audit::View;
use coldroot::audit::entry::Body;
use coldroot::digest::Digest;

use super::harness::batch::killed_at;
use super::harness::faulty::{self, play};
use super::harness::station::{COLDROOT, HIERARCHY, Run, Station, generated};
use super::{OLD, both, refused, refuses};

const WHY: [&str; 7] = ["adopt-log", "--reason", "disk and copy burnt", "--operator", "carol", "--witness", "dave"];

fn args(approvals: &[PathBuf]) -> Vec<&str> {
    let given = approvals.iter().flat_map(|a| ["--approval", a.to_str().unwrap()]);
    WHY.into_iter().chain(given).collect()
}

/// The statement of the adoption, which no signature and no mark has come of.
#[track_caller]
fn statement(station: &Station) -> (PathBuf, String) {
    let before = station.bodies().len();
    play(station, "");
    let told = station.run(&WHY).ok();
    for function in ["C_SignInit", "C_CreateObject", "C_DestroyObject"] {
        assert_eq!(faulty::count(station, function), 0, "{function}");
    }
    faulty::mend(station);
    assert!(station.bodies()[before..].iter().all(|b| matches!(b, Body::PinTry { .. })));
    (PathBuf::from(told["statement-file"].as_str().unwrap()), told["statement"].as_str().unwrap().to_owned())
}

/// A station that has lost releases 3 and 4; the release directories are still in `out/`, and the CRL of the last one, which
/// revokes a certificate of the other, is `gap.crl`.
fn lost(hierarchy: String) -> Station {
    let station = Station::ready_of(hierarchy);
    let old = station.save_audit("old");
    station.carried_out(&station.planned(&station.bundle(2, 1)));
    let serial = station.serial_of(&station.leaves()[0].0);
    station.carried_out(&station.planned_by(&["--revoke", &serial, "--reason", "superseded"]));
    fs::write(station.path("gap.crl"), newest_crl(&station)).unwrap();
    station.restore_audit(&old);
    station
}

/// The newest CRL of the CA for servers, DER.
fn newest_crl(station: &Station) -> Vec<u8> {
    let crl = |body| match body {
        Body::Crl(crl) if crl.ca == "xmpp-1" => Some(crl.crl.hex()),
        _ => None,
    };
    let hex = station.bodies().into_iter().filter_map(crl).next_back().unwrap();
    fs::read(station.path(&format!("audit/artefact/{}/{hex}", &hex[..2]))).unwrap()
}

#[test]
fn p04_a_log_that_has_lost_its_end_goes_on_by_its_own_quorum_and_says_so() {
    both(|hierarchy| {
        let station = lost(hierarchy);
        let (path, text) = statement(&station);
        for words in [
            "releases 3 to 4 may have left the station",
            "entries at least are lost",
            "no plan was open",
            "CRL numbers rise",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let approvals = station.approve(&path);
        let told = station.run(&args(&approvals)).ok();
        assert_eq!((&told["releases-lost"], &told["next-release"]), (&"3 to 4".into(), &5.into()), "{told}");
        station.check_log();
        let made: Vec<_> = station.bodies().into_iter().filter(|b| matches!(b, Body::LogAdopted(_))).collect();
        assert_eq!(made.len(), 1);
        // Once.
        refused(&station, 1, "nothing is lost", || {
            station.run(&["adopt-log", "--reason", "another", "--operator", "carol", "--witness", "dave"])
        });
        let found = station.run(&["check", "audit", "--verifier-key", &station.verifier_key()]).ok();
        assert_eq!(
            (&found["gaps"][0]["release"], &found["gaps"][0]["mark-release"]),
            (&2.into(), &4.into()),
            "{found}"
        );
        // Numbers go on behind everything that may have been used.
        let release = station.carried_out(&station.planned_by(&["--crl", "root", "--crl", "xmpp-1"]));
        assert!(release.ends_with("release-0005"), "{release:?}");
        let numbers: Vec<u64> = station
            .bodies()
            .into_iter()
            .filter_map(|b| if let Body::Crl(crl) = b { Some(crl.number) } else { None })
            .collect();
        assert!(numbers[numbers.len() - 2..].iter().all(|n| *n > 1 << 32), "{numbers:?}");
        // What was revoked in the gap stays revoked, once its CRL is adopted; the numbers go on as they are.
        let adopt = ["adopt-crl", "gap.crl", "--reason", "of the gap", "--operator", "carol", "--witness", "dave"];
        let file = PathBuf::from(station.run(&adopt).ok()["statement-file"].as_str().unwrap());
        let approvals = station.approve(&file);
        let given: Vec<&str> = approvals.iter().flat_map(|a| ["--approval", a.to_str().unwrap()]).collect();
        station.run(&[&adopt[..], &given].concat()).ok();
        station.carried_out(&station.planned_by(&["--crl", "xmpp-1"]));
        let [gap, next] = [fs::read(station.path("gap.crl")).unwrap(), newest_crl(&station)]
            .map(|der| coldroot::x509::read_crl(&der).unwrap());
        assert_eq!((gap.number, next.number), (2, (1 << 32) + 2));
        assert_eq!((gap.revoked.len(), &next.revoked), (1, &gap.revoked));
        // The desk has a release that this log has lost, and a number that it does not expect.
        let requests = station.requests("answering", &generated(2, 7));
        let third = station.pack_with(&requests, 3, &["--answers", "out/release-0003", "--release", "3"]);
        let run = station.plan(&third);
        assert!(run.err.contains("which this log has lost"), "{run:?}");
        station.carried_out(Path::new(run.ok()["plan"].as_str().unwrap()));
        station.check_log();
        // What is older than the adoption is refused as ever.
        let newest = station.save_audit("newest");
        refuses(&station, &station.dir().with_file_name("old"), OLD);
        station.restore_audit(&newest);
        station.carried_out(&station.planned_by(&["--crl", "root"]));
    });
}

#[test]
fn p04_a_log_is_adopted_only_as_its_quorum_has_read_it() {
    let station = lost(faulty::hierarchy(""));
    // A clock that had run ahead does not stand in the way: only behind the adoption can it be corrected.
    let kept = station.save_audit("kept-clock");
    let ahead = coldroot::text::utc(station.entries().last().unwrap().time + 9 * 86_400);
    station.run(&["plan", "--crl", "root", "--now", &ahead]).ok();
    station.run(&["plan", "--crl", "root"]).fails(1, "but the log's last entry is of");
    statement(&station);
    station.restore_audit(&kept);
    let (path, _) = statement(&station);
    let approvals = station.approve(&path);
    refused(&station, 1, "not approved", || station.run(&args(&approvals[..1])));
    let mallory = station.approve_as(&path, "mallory", "mallory");
    refused(&station, 1, "not approved", || station.run(&args(&[approvals[0].clone(), mallory])));
    let other = ["adopt-log", "--reason", "another", "--operator", "carol", "--witness", "dave"];
    let with: Vec<&str> = approvals.iter().flat_map(|a| ["--approval", a.to_str().unwrap()]).collect();
    refused(&station, 1, "not approved", || station.run(&[&other[..], &with].concat()));
    // Another directory than the one that they have read of.
    let kept = station.save_audit("kept");
    let mut log = coldroot::audit::Log::open(&station.path("audit")).unwrap();
    assert_eq!(log.sealed_size(), View::read(&kept).unwrap().sealed_size());
    log.sync().unwrap();
    drop(log);
    station.run(&args(&approvals)).ok();
    // The approvals are good for this once.
    station.restore_audit(&kept);
    refused(&station, 1, "not approved", || station.run(&args(&approvals)));
    // A station that has lost nothing.
    let whole = Station::ready_of(faulty::hierarchy(""));
    refused(&whole, 1, "nothing is lost", || whole.run(&WHY));
}

#[test]
fn p03_an_adoption_that_is_stopped_anywhere_goes_on_by_the_same_command() {
    let station = lost(HIERARCHY.into());
    let path = PathBuf::from(station.run(&WHY).ok()["statement-file"].as_str().unwrap());
    let approvals = station.approve(&path);
    let (mut stopped, mut made) = (0, 0);
    for when in 1.. {
        let copy = station.copy();
        let run: Run = killed_at(&copy, &args(&approvals), "fsync,fdatasync", when);
        if run.code == 0 {
            break;
        }
        stopped += 1;
        made += usize::from(copy.bodies().iter().any(|b| matches!(b, Body::LogAdopted(_))));
        copy.run(&args(&approvals)).ok();
        let adopted = copy.bodies().into_iter().filter(|b| matches!(b, Body::LogAdopted(_))).count();
        assert_eq!(adopted, 1, "cut {when}");
        copy.carried_out(&copy.planned_by(&["--crl", "root"]));
        copy.check_log();
    }
    assert!(stopped > 5 && made > 0 && made < stopped, "{stopped} stopped, {made} behind the entry");
}

/// `bob` is no officer any more, `mallory` is one.
fn without_bob(station: &Station, text: &str) -> String {
    let key = fs::read_to_string(station.path("officers/mallory.pub")).unwrap();
    let bob = "id = \"bob\"\nname = \"bob\"\nroles = [\"officer\"]";
    assert!(text.contains(bob));
    let text = text.replace(bob, "id = \"bob\"\nname = \"bob\"\nroles = [\"witness\"]");
    format!("{text}\n[[person]]\nid = \"mallory\"\nname = \"M\"\nroles = [\"officer\"]\nkeys = [\"{}\"]\n", key.trim())
}

#[test]
fn p04_the_hierarchy_that_was_adopted_in_the_gap_decides_and_is_in_force() {
    let station = Station::ready_of(faulty::hierarchy(""));
    // What is left has a plan as started that has ended since.
    let open = station.planned_by(&["--crl", "xmpp-1"]);
    let approvals = station.approve(&open);
    stopped(&station, &station.sign_args(&open, &approvals), |body| matches!(body, Body::Start(_)));
    let old = station.save_audit("old");
    station.released(station.sign(&open, &[]));
    let file = station.path("hierarchy.toml");
    let before = fs::read_to_string(&file).unwrap();
    let after = without_bob(&station, &before);
    let [known, lost] = [&before, &after].map(|text| Digest::of(text.as_bytes()));
    fs::write(station.path("new.toml"), &after).unwrap();
    let adopt = ["adopt-hierarchy", "new.toml", "--reason", "bob has left", "--operator", "carol", "--witness", "dave"];
    let made = PathBuf::from(station.run(&adopt).ok()["statement-file"].as_str().unwrap());
    let approvals = ["alice", "bob", "mallory"].map(|person| station.approve_as(&made, person, person));
    let given: Vec<&str> = approvals.iter().flat_map(|a| ["--approval", a.to_str().unwrap()]).collect();
    station.run(&[&adopt[..], &given].concat()).ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), after);
    station.restore_audit(&old);

    // Whichever of the two files is there, what refuses names the way out.
    let told = station.run(&["plan", "--crl", "root"]).fails(1, "is not the one that this log was begun with");
    assert!(told["hint"].as_str().unwrap().contains("coldroot adopt-log"), "{told}");
    fs::write(&file, &before).unwrap();
    // The gate itself does not go on; that it did not is on record.
    let kept = station.entries().len();
    play(&station, "");
    let told = station.run(&WHY).fails(1, "and no artefact is");
    for function in ["C_SignInit", "C_CreateObject", "C_DestroyObject"] {
        assert_eq!(faulty::count(&station, function), 0, "{function}");
    }
    faulty::mend(&station);
    assert!(matches!(&station.bodies()[kept..], [Body::PinTry { .. }, Body::Failure { .. }]));
    let hint = told["hint"].as_str().unwrap();
    assert!(hint.contains(&lost.hex()) && hint.contains("coldroot adopt-log"), "{told}");
    let artefact = format!("audit/artefact/{}/{lost}", &lost.hex()[..2]);
    fs::create_dir_all(station.path(&artefact).parent().unwrap()).unwrap();
    fs::write(station.path(&artefact), &after).unwrap();
    let told = refused(&station, 1, "is not the one whose digest stands in the token's mark", || station.run(&WHY));
    let copy = told["hint"].as_str().unwrap().split(' ').collect::<Vec<_>>();
    assert_eq!(copy[0], "cp", "{told}");
    let done = Run::of(std::process::Command::new("cp").args(&copy[1..]).current_dir(station.dir()));
    assert_eq!((done.code, fs::read_to_string(&file).unwrap()), (0, after));
    fs::remove_file(station.path(&artefact)).unwrap();

    // The quorum of the one that the token knows decides.
    let (path, text) = statement(&station);
    assert!(
        text.contains(&format!("the log that is left knows the hierarchy {known}; the mark's is in force")),
        "{text}"
    );
    assert!(text.lines().any(|line| line.starts_with("rules ") && line.contains(&lost.hex())), "{text}");
    let three =
        |statement: &Path| ["alice", "bob", "mallory"].map(|person| station.approve_as(statement, person, person));
    let [alice, bob, mallory] = three(&path);
    let [of_before, approvals] = [[alice.clone(), bob], [alice, mallory]];
    refused(&station, 1, "2 of role officer must approve", || station.run(&args(&of_before)));
    station.run(&args(&approvals)).ok();
    station.check_log();
    let Some(Body::LogAdopted(made)) = station.bodies().into_iter().find(|b| matches!(b, Body::LogAdopted(_))) else {
        panic!("nothing is adopted")
    };
    assert_eq!((made.hierarchy, made.mark_hierarchy), (known, lost));
    assert!(station.path(&artefact).is_file());
    let check = ["check", "audit", "--verifier-key", &station.verifier_key()];
    let found = station.run(&check).ok();
    assert_eq!(found["gaps"][0]["hierarchy"], lost.hex(), "{found}");
    let shown = Run::of(std::process::Command::new(COLDROOT).args(["--plain"]).args(check).current_dir(station.dir()));
    assert!(shown.out.contains("nothing here vouches for it") && shown.out.contains(&lost.hex()), "{shown:?}");

    // The plan is of the hierarchy before: it never goes on, and is voided by those who decide now.
    station.sign(&open, &[]).fails(1, "the plan follows release 2");
    let voids = PathBuf::from(station.run(&void(&open)).ok()["statement-file"].as_str().unwrap());
    let [alice, bob, mallory] = three(&voids);
    let [of_before, approvals] = [[alice.clone(), bob], [alice, mallory]];
    let with = |approvals: &[PathBuf]| {
        let given: Vec<&str> = approvals.iter().flat_map(|a| ["--approval", a.to_str().unwrap()]).collect();
        station.run(&[&void(&open)[..], &given].concat())
    };
    refused(&station, 1, "2 of role officer must approve", || with(&of_before));
    let voided = station.released(with(&approvals));
    // It is in force for the station, for the gate, and for who checks the release.
    let plan = station.planned_by(&["--crl", "root"]);
    let [alice, bob, mallory] = three(&plan);
    let [by_bob, by_mallory] = [[alice.clone(), bob], [alice, mallory]];
    station.sign(&plan, &by_bob).fails(1, "2 of role officer must approve");
    let release = station.released(station.sign(&plan, &by_mallory));
    fs::write(station.path("old.toml"), before).unwrap();
    let key = station.verifier_key();
    for (release, file, code) in [
        (&voided, "old.toml", 0),
        (&voided, "hierarchy.toml", 4),
        (&release, "hierarchy.toml", 0),
        (&release, "old.toml", 4),
    ] {
        let run = station.run(&["check", release.to_str().unwrap(), "--verifier-key", &key, "--hierarchy", file]);
        assert_eq!(run.code, code, "{file}: {run:?}");
    }
    station.check_log();
    // A new directory gets the file that is in force.
    let newest = station.save_audit("newest");
    fs::remove_file(&file).unwrap();
    fs::remove_dir_all(station.path("audit")).unwrap();
    station.run(&["restore", newest.to_str().unwrap()]).ok();
    assert_eq!(Digest::of(&fs::read(&file).unwrap()), lost);
    station.planned_by(&["--crl", "root"]);
}

/// Runs `sign` and kills it where the log says so.
fn stopped(station: &Station, args: &[&str], wanted: impl Fn(&Body) -> bool) {
    let before = station.entries().len();
    for when in 1.. {
        assert_eq!(killed_at(station, args, "fdatasync", when).code, -1, "no such stop");
        if station.bodies()[before..].iter().any(&wanted) {
            return;
        }
    }
}

/// Adopts what is left, by the two officers; what the command says.
fn adopted(station: &Station) -> serde_json::Value {
    let path = PathBuf::from(station.run(&WHY).ok()["statement-file"].as_str().unwrap());
    station.run(&args(&station.approve(&path))).ok()
}

fn void(plan: &Path) -> [&str; 9] {
    let plan = plan.to_str().unwrap();
    ["void", "--plan", plan, "--reason", "its end is lost", "--operator", "carol", "--witness", "dave"]
}

/// The log that is left has a plan as started, whose end is in the gap.
#[test]
fn p05_a_plan_whose_end_is_lost_is_voided_and_nothing_else_goes_on_before() {
    let station = Station::ready_of(faulty::hierarchy(""));
    // For a desk, and for nobody.
    let kinds: [fn(&Station) -> PathBuf; 2] = [|s| s.planned(&s.bundle(2, 1)), |s| s.planned_by(&["--crl", "xmpp-1"])];
    for planned in kinds {
        let station = station.copy();
        let plan = planned(&station);
        let approvals = station.approve(&plan);
        stopped(&station, &station.sign_args(&plan, &approvals), |body| matches!(body, Body::Start(_)));
        let started = station.save_audit("started");
        let release = station.released(station.sign(&plan, &[]));
        assert!(release.ends_with("release-0003"), "{release:?}");
        station.restore_audit(&started);
        let told = adopted(&station);
        assert_eq!(
            (&told["begun"], &told["goes-on"]),
            (&Digest::of(&fs::read(station.path(plan.to_str().unwrap())).unwrap()).hex().into(), &false.into())
        );
        let told = refused(&station, 1, "the plan follows release 2, but release 3", || station.sign(&plan, &[]));
        assert!(told["hint"].as_str().unwrap().contains("coldroot void"), "{told}");
        let open = "was started and its release is not written";
        refused(&station, 1, open, || station.run(&["plan", "--crl", "root"]));
        let clock = ["correct-clock", "--operator", "carol", "--witness", "dave", "--reason", "x"];
        station.run(&clock).fails(1, "does not stand before");
        let statement = PathBuf::from(station.run(&void(&plan)).ok()["statement-file"].as_str().unwrap());
        let approvals = station.approve(&statement);
        let given: Vec<&str> = approvals.iter().flat_map(|a| ["--approval", a.to_str().unwrap()]).collect();
        let done = station.run(&[&void(&plan)[..], &given].concat()).ok();
        assert_eq!((&done["release"], &done["done"]), (&4.into(), &0.into()), "{done}");
        refused(&station, 1, "this plan was voided", || station.sign(&plan, &[]));
        station.check_log();
        let release = station.carried_out(&station.planned_by(&["--crl", "root", "--crl", "xmpp-1"]));
        assert!(release.ends_with("release-0005"), "{release:?}");
        station.check_log();
    }
}

/// The plan has not ended in the gap either: nothing of it has left, so it goes on, and what it had signed is signed again, the same
/// octets under the same serial numbers.
#[test]
fn p05_a_plan_that_was_open_when_the_log_was_lost_goes_on() {
    let station = Station::ready_of(faulty::hierarchy(""));
    let plan = station.planned(&station.bundle(2, 1));
    let approvals = station.approve(&plan);
    stopped(&station, &station.sign_args(&plan, &approvals), |body| matches!(body, Body::Start(_)));
    let started = station.save_audit("started");
    stopped(&station, &station.sign_args(&plan, &[]), |body| matches!(body, Body::Certificate(_)));
    let serials = |station: &Station| {
        let leaves = station.leaves();
        leaves.iter().map(|(_, _, der)| coldroot::x509::read_certificate(der).unwrap().serial).collect::<Vec<_>>()
    };
    let signed = serials(&station);
    station.restore_audit(&started);
    assert_eq!(serials(&station), [] as [coldroot::cbor::Bytes; 0]);
    let voided = station.copy();
    let told = adopted(&station);
    assert_eq!((&told["open-plan"], &told["goes-on"]), (&told["begun"], &true.into()), "{told}");
    station.released(station.sign(&plan, &[]));
    assert_eq!(serials(&station), signed);
    station.check_log();
    // Or it is voided.
    adopted(&voided);
    let statement = PathBuf::from(voided.run(&void(&plan)).ok()["statement-file"].as_str().unwrap());
    let approvals = voided.approve(&statement);
    let given: Vec<&str> = approvals.iter().flat_map(|a| ["--approval", a.to_str().unwrap()]).collect();
    voided.run(&[&void(&plan)[..], &given].concat()).ok();
    voided.check_log();
}
