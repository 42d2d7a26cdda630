//! A lost release is written again, byte for byte, from the audit directory alone.

use std::fs;
use std::path::Path;

use coldroot::audit::entry::Body;

use super::harness::station::Station;
use super::tree;

#[test]
fn p02_a_lost_release_is_written_again_byte_for_byte_when_the_log_has_grown() {
    let station = Station::ready();
    // Stopped when the release had no name yet, and when it had one but no receipt: the checkpoint of the run that ends the
    // work is another one than that of the end entry.
    let plan = station.planned(&station.bundle(2, 1));
    let approvals = station.approve(&plan);
    let args = station.sign_args(&plan, &approvals);
    let part = ["./out/release-0003.part".into()];
    assert_ne!(station.tampered(&["/^rename:signal=KILL"], &part, &args).code, 0);
    let before = station.state();
    let said = station.run(&["release", "3"]).fails(1, "release 3 was not written yet");
    assert!(said["hint"].as_str().unwrap().contains(plan.file_name().unwrap().to_str().unwrap()), "{said}");
    assert!(station.state() == before);
    let named = [station.path("out/release-0003/release.cbor")];
    assert_ne!(station.tampered(&["fadvise64:signal=KILL"], &named, &args).code, 0);
    let lies = tree(&station.path("out/release-0003"));
    assert_eq!(lies.len(), 4, "the name was given");
    station.sign(&plan, &approvals).ok();
    assert!(tree(&station.path("out/release-0003")) == lies, "what lay there is what got the receipt");

    // More than a full tile: the partial ones of the earlier sizes are gone.
    let plan = station.planned(&station.bundle(300, 2));
    station.sign(&plan, &station.approve(&plan)).ok();
    assert!(!station.path("audit/tile/0/000.p").exists());
    let plan = station.planned(&station.bundle(1, 3));
    station.sign(&plan, &station.approve(&plan)).ok();

    let kept = station.desk("kept");
    fs::rename(station.path("out"), &kept).unwrap();
    fs::remove_dir_all(station.path("token")).unwrap();
    let key = station.verifier_key();
    let was = |n: u64| tree(&kept.join(format!("release-{n:04}")));
    for n in [3, 1, 5, 2, 4] {
        let number = n.to_string();
        let answer = station.run(&["release", &number]).ok();
        let directory = station.dir().join(answer["directory"].as_str().unwrap());
        assert!(tree(&directory) == was(n), "release {n} in out/");
        let check = ["check", directory.to_str().unwrap(), "--verifier-key", &key, "--hierarchy", "hierarchy.toml"];
        assert_eq!(station.run(&check).ok()["release"], n);
        // Into a directory that is made, and onto a medium.
        let (to, medium) = (station.desk("deep/other"), station.medium("stick"));
        for (option, base) in [("--to", &to), ("--media", &medium)] {
            station.run(&["release", &number, option, base.to_str().unwrap()]).ok();
            assert!(tree(&base.join(format!("release-{n:04}"))) == was(n), "release {n} with {option}");
        }
    }
    let receipts = |n: u64| {
        let of = |body: &Body| matches!(body, Body::ReleaseWritten { release, .. } if *release == n);
        station.bodies().iter().filter(|body| of(body)).count()
    };
    assert_eq!([1, 2, 3, 4, 5].map(receipts), [4; 5], "the first writing and three more, each on record");
    station.check_log();
}

#[test]
fn p02_no_release_is_made_up() {
    let station = Station::bare();
    station.init().ok();
    let before = station.state();
    let refuses = |args: &[&str], saying: &str, before: &super::State| {
        station.refuses(saying, station.run(args), 1, saying, before);
    };
    refuses(&["release", "1"], "there is no release 1", &before);
    for _ in 0..2 {
        let plan = station.planned_ceremony();
        station.sign(&plan, &station.approve(&plan)).ok();
    }
    let before = station.state();
    refuses(&["release", "0"], "there is no release 0", &before);
    refuses(&["release", "3"], "there is no release 3", &before);
    refuses(&["release", "18446744073709551615"], "there is no release 18446744073709551615", &before);

    // Started and not ended.
    let plan = station.planned(&station.bundle(1, 1));
    let approvals = station.approve(&plan);
    let args = station.sign_args(&plan, &approvals);
    let staging = ["./out/release-0003.part".into()];
    assert_ne!(station.tampered(&["/^mkdir:signal=KILL"], &staging, &args).code, 0);
    let before = station.state();
    refuses(&["release", "3"], "release 3 is not made yet: its plan", &before);
    station.run(&["release", "2", "--to", "elsewhere"]).ok();
    station.sign(&plan, &approvals).ok();
    station.check_log();

    // What the release is made from is damaged or gone: it is not written from the rest.
    let crls: Vec<_> = station
        .bodies()
        .into_iter()
        .filter_map(|b| if let Body::Crl(crl) = b { Some(crl.crl) } else { None })
        .collect();
    let of = |digest: &coldroot::digest::Digest| station.path("audit").join(coldroot::audit::artefact::path(digest));
    let notes = station.bodies().into_iter().filter_map(|b| match b {
        Body::ReleaseWritten { release: 3, checkpoint, .. } => Some(checkpoint),
        _ => None,
    });
    let note = notes.max().unwrap();
    let plan = coldroot::plan::Plan::open(&station.dir().join(&plan)).unwrap().digest();
    for (case, digest) in [("a CRL", crls[0]), ("the checkpoint", note), ("the plan", plan)] {
        let before = station.state();
        let (path, octets) = (of(&digest), fs::read(of(&digest)).unwrap());
        let changed = [&octets[..octets.len() - 1], &[octets[octets.len() - 1] ^ 1]].concat();
        fs::write(&path, changed).unwrap();
        let run = station.run(&["release", "3", "--to", "never"]);
        station.refuses(case, run, 3, "does not hash to its name", &before);
        fs::remove_file(&path).unwrap();
        let gone = station.state();
        station.refuses(case, station.run(&["release", "3", "--to", "never"]), 3, "is missing", &gone);
        fs::write(&path, octets).unwrap();
    }
    assert!(!Path::new(&station.path("never")).exists());
    station.run(&["release", "3", "--to", "never"]).ok();
    station.check_log();
}

#[test]
fn p02_the_release_of_a_voided_plan_is_written_again_too() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(2, 1));
    let plan = plan.to_str().unwrap();
    let mut args = vec!["void", "--plan", plan, "--reason", "a rehearsal", "--operator", "carol", "--witness", "dave"];
    let asked = station.run(&args).ok();
    let approvals = station.approve(Path::new(asked["statement-file"].as_str().unwrap()));
    approvals.iter().for_each(|path| args.extend(["--approval", path.to_str().unwrap()]));
    station.run(&args).ok();
    let was = tree(&station.path("out/release-0003"));
    let next = station.planned(&station.bundle(1, 2));
    station.sign(&next, &station.approve(&next)).ok();
    fs::remove_dir_all(station.path("out")).unwrap();
    station.run(&["release", "3"]).ok();
    assert!(tree(&station.path("out/release-0003")) == was);
    station.check_log();
}

#[test]
fn p02_a_release_is_read_back_in_the_station_too() {
    let station = Station::ready();
    let kept = tree(&station.path("out/release-0002"));
    let before = station.bodies().len();
    for name in super::outgoing::FILES {
        fs::remove_dir_all(station.path("out/release-0002")).unwrap();
        // Under its name the file reads otherwise than it did before.
        let lying = [station.path("out/release-0002").join(name)];
        let run = station.tampered(&["read:poke_exit=@arg2=00:when=1"], &lying, &["release", "2"]);
        run.fails(run.code, "it does not read back as written");
        assert_ne!(run.code, 0);
        assert_eq!(station.bodies().len(), before, "{name}: no receipt for what was not read back");
    }
    station.run(&["release", "2"]).ok();
    assert!(tree(&station.path("out/release-0002")) == kept);
}

#[test]
fn p02_what_lies_under_a_releases_name_is_compared_before_its_receipt() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(1, 1));
    let approvals = station.approve(&plan);
    let named = [station.path("out/release-0003/release.cbor")];
    assert_ne!(station.tampered(&["fadvise64:signal=KILL"], &named, &station.sign_args(&plan, &approvals)).code, 0);
    let receipts = || station.bodies().iter().filter(|b| matches!(b, Body::ReleaseWritten { release: 3, .. })).count();
    for name in ["release.cbor", "log.cbor", "manifest.cbor"] {
        let path = station.path("out/release-0003").join(name);
        let octets = fs::read(&path).unwrap();
        let changed = [&octets[..octets.len() - 1], &[octets[octets.len() - 1] ^ 1]].concat();
        fs::write(&path, changed).unwrap();
        station.sign(&plan, &approvals).fails(3, "is not the release on record");
        assert_eq!(receipts(), 0, "{name}");
        fs::write(&path, octets).unwrap();
    }
    station.sign(&plan, &approvals).ok();
    assert_eq!(receipts(), 1);
}
