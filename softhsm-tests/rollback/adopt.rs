//! Every newer copy is lost: the log that is left goes on, and says what it has lost.

use std::fs;
use std::path::{Path, PathBuf};

use coldroot::audit::View;
use coldroot::audit::entry::Body;

use super::harness::batch::killed_at;
use super::harness::faulty::{self, play};
use super::harness::station::{HIERARCHY, Run, Station, generated};
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
