//! The stored index of a log that is long enough for one: when it is stored, that it is used, and what comes of it when it is
//! damaged, lost, or stopped half way.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use coldroot::audit::Log;
use coldroot::audit::entry::{Body, Entry};
use coldroot::digest::Digest;

use super::harness::batch::{Batch, killed_at};
use super::harness::files;
use super::harness::station::{COLDROOT, Run, Station, now};
use super::{REQUESTS, calls};

/// As many entries as an index is stored for, and some.
const MANY: u64 = 4_100;

/// Makes a station's log long with what is put on record while nobody is logged in. The next login seals it.
fn lengthen(station: &Station) {
    let mut log = Log::open(&station.path("audit")).unwrap();
    for n in 0..MANY {
        let body = Body::Deviation { what: format!("a lamp failed, number {n}"), persons: vec!["carol".into()] };
        log.append(&Entry::new(now(), body)).unwrap();
    }
    log.sync().unwrap();
}

/// The `indexed` entries: where each stands, how many entries it covers, and the digest of its manifest.
fn indexed(station: &Station) -> Vec<(usize, u64, Digest)> {
    let bodies = station.bodies().into_iter().enumerate();
    let one = |(at, body)| if let Body::Indexed { size, digest } = body { Some((at, size, digest)) } else { None };
    bodies.filter_map(one).collect()
}

fn place_of(station: &Station, wanted: impl Fn(&Body) -> bool) -> usize {
    station.bodies().iter().rposition(wanted).unwrap()
}

/// The one run of the index.
fn run_file(station: &Station) -> PathBuf {
    let mut runs = files(&station.path("audit/index"));
    runs.retain(|path| path.extension().is_some_and(|e| e == "run"));
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

/// Runs a command; the bundles of entries that it opened.
fn bundles_read(station: &Station, args: &[&str]) -> (Run, BTreeSet<String>) {
    let trace = station.path("opened.log");
    let before = ["-qq", "-o", trace.to_str().unwrap(), "-e", "trace=openat", "-e", "signal=none", COLDROOT];
    let run = Run::of(&mut station.command_of("strace", &before, args));
    let opened = String::from_utf8_lossy(&fs::read(trace).unwrap()).into_owned();
    let bundle = |line: &str| Some(line.split_once("tile/entries/")?.1.split('"').next()?.to_owned());
    (run, opened.lines().filter(|line| !line.contains("ENOENT")).filter_map(bundle).collect())
}

#[test]
fn p03_the_index_is_stored_used_and_done_without() {
    let station = Station::ready();
    lengthen(&station);
    let plan = station.planned(&station.bundle(REQUESTS, 1));
    assert!(!station.path("audit/index").exists() && indexed(&station).is_empty(), "plan stores none");
    let release = station.carried_out(&plan);

    // Before the start entry, behind the login, and the log vouches for it.
    let found = indexed(&station);
    let [(at, size, digest)] = found[..] else { panic!("{found:?}") };
    assert_eq!((at as u64, at + 1), (size, place_of(&station, |body| matches!(body, Body::Start(_)))));
    let manifest = station.path(&format!("audit/index/{size}.manifest"));
    assert_eq!(Digest::of(&fs::read(manifest).unwrap()), digest);
    assert_eq!(files(&station.path("audit/index")).len(), 2);
    station.check_log();

    // A proof needs the one bundle with the certificate, the genesis entry's and the last; without the index it needs all.
    let lost = station.copy();
    fs::remove_dir_all(lost.path("audit/index")).unwrap();
    let all = files(&station.path("audit/tile/entries")).len();
    let ca = station.bodies().into_iter().find_map(|body| match body {
        Body::Certificate(c) if c.subject_ca.as_deref() == Some("xmpp-1") => Some(c.der.to_vec()),
        _ => None,
    });
    for station in [&station, &lost] {
        fs::write(station.path("ca.der"), ca.as_ref().unwrap()).unwrap();
    }
    let prove = ["prove", "audit", "--certificate", "ca.der", "--to", "ca.proof"];
    let (proven, few) = bundles_read(&station, &prove);
    let (otherwise, _) = bundles_read(&lost, &prove);
    assert_eq!(proven.ok()["proof"], otherwise.ok()["proof"]);
    assert!(all >= 17 && few.len() <= 3, "{few:?} of {all}");
    // A serial number that no index knows, and no log.
    let (none, read) = bundles_read(&station, &["prove", "audit", "--serial", "0123456789", "--to", "none.proof"]);
    none.fails(4, "not on record");
    assert!(read.len() >= 17 && !station.path("none.proof").exists(), "{read:?}");

    // So does a plan: it is the same with the index and without.
    let bundle = station.bundle(REQUESTS, 2);
    let args = ["plan", "--bundle", bundle.to_str().unwrap()];
    let damaged = station.copy();
    let (planned, few) = bundles_read(&station, &args);
    let (otherwise, read) = bundles_read(&lost, &args);
    assert_eq!(planned.ok()["counts"], otherwise.ok()["counts"]);
    assert!(few.len() <= 4 && read.len() >= 17, "with the index {few:?}, without {read:?}");

    // A block that is not what was written: halted, nothing planned, and the way on is told.
    let run = run_file(&damaged);
    let mut octets = fs::read(&run).unwrap();
    octets[20] ^= 1;
    fs::write(&run, octets).unwrap();
    let before = damaged.state();
    let halted = damaged.run(&args).fails(3, "is not the file that the log's index names");
    assert!(halted["hint"].as_str().unwrap().contains("remove ./audit/index"), "{halted}");
    damaged.only_read_in(&before, &bundle);
    fs::remove_dir_all(damaged.path("audit/index")).unwrap();
    damaged.run(&args).ok();

    // Lost, it is stored by the next `sign`.
    let plan = PathBuf::from(lost.run(&args).ok()["plan"].as_str().unwrap());
    lost.carried_out(&plan);
    assert_eq!((indexed(&lost).len(), files(&lost.path("audit/index")).len()), (2, 2));
    assert!(release.exists());
    lost.check_log();
}

#[test]
fn p03_a_run_stopped_around_the_index_ends_when_run_again() {
    // A batch whose items are done and whose end is not on record; then the log grows.
    let batch = Batch::new(REQUESTS);
    let release = calls(&batch.copy()).into_iter().find(|call| call.on.starts_with("out/release"));
    let release = release.expect("a release is written");
    assert_eq!(killed_at(&batch.station, &batch.args(), &release.name, release.nth).code, -1);
    assert_eq!(batch.issued().len() as u64, REQUESTS);
    lengthen(&batch.station);

    // Stored behind the end entry.
    let whole = batch.copy();
    let calls = calls(&whole);
    let found = indexed(&whole.station);
    let [(at, size, _)] = found[..] else { panic!("{found:?}") };
    assert_eq!((at as u64, at), (size, 1 + place_of(&whole.station, |body| matches!(body, Body::End(_)))));
    whole.assert_exactly_once();

    // Stopped before each change of the index (made, run written, flushed, named; manifest the same), before its entry is
    // flushed, and before the checkpoint that seals it.
    let changes = ["mkdir", "fdatasync", "rename", "renameat", "renameat2"];
    let first = calls.iter().position(|call| call.on.starts_with("audit/index")).expect("an index is made");
    let of_index = |on: &str| on.starts_with("audit/index");
    let mut stops: Vec<_> =
        calls[first..].iter().filter(|c| of_index(&c.on) && changes.contains(&c.name.as_str())).collect();
    let behind = calls[first..].iter().filter(|c| c.name == "fdatasync" && c.on == "audit/tail");
    stops.extend(behind.take(1));
    stops.extend(calls[first..].iter().find(|c| c.name.starts_with("rename") && c.on.starts_with("audit/checkpoint")));
    assert!((5..9).contains(&stops.len()), "{stops:?}");
    let mut cut = 0;
    for stop in &stops {
        let copy = batch.copy();
        cut += usize::from(killed_at(&copy.station, &copy.args(), &stop.name, stop.nth).code == -1);
        let again = copy.sign();
        assert!(again.code == 0, "{stop:?}: {again:?}");
        copy.assert_ended();
        // What an index came to that was not vouched for is not used; the next `sign` stores a whole one, and no leftovers.
        let plan = copy.station.planned(&copy.station.bundle(1, 2));
        copy.station.carried_out(&plan);
        let (_, size, digest) = *indexed(&copy.station).last().expect("an index is stored");
        let manifest = copy.station.path(&format!("audit/index/{size}.manifest"));
        assert_eq!(Digest::of(&fs::read(manifest).unwrap()), digest, "{stop:?}");
        run_file(&copy.station);
        assert!(files(&copy.station.path("audit/index")).len() <= 3, "{stop:?}");
    }
    assert!(2 * cut > stops.len(), "only {cut} of {} were cut", stops.len());
}
