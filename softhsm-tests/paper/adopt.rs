//! Minutes that the directory does not have, or that nobody has: the log goes on by its quorum.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use coldroot::audit::entry::Body;
use coldroot::audit::mark::Mark;
use coldroot::audit::paper::{LOST, read_page};
use coldroot::gate::{Error, Gate, Request};
use coldroot::text::words::spoken;

use super::{NO_DATA, NOT_THE_MINUTES, begun, hierarchy, refused, refuses};
use crate::harness::faulty::{count, play};
use crate::harness::station::{COLDROOT, Run, Station};

const WHY: [&str; 7] = ["adopt-log", "--reason", "disk and copy burnt", "--operator", "carol", "--witness", "dave"];

fn adopt(station: &Station, minutes: &str, approvals: &[PathBuf]) -> Run {
    let given = approvals.iter().flat_map(|a| ["--approval", a.to_str().unwrap()]);
    let args: Vec<&str> = WHY.into_iter().chain(["--minutes", minutes]).chain(given).collect();
    station.run(&args)
}

/// The statement, for which nothing was signed and the note not moved.
#[track_caller]
fn statement(station: &Station, minutes: &str) -> (String, Vec<PathBuf>) {
    let note = fs::read(station.path("audit/mark")).unwrap();
    play(station, NO_DATA);
    let told = adopt(station, minutes, &[]).ok();
    assert_eq!(count(station, "C_SignInit"), 0);
    assert_eq!(fs::read(station.path("audit/mark")).unwrap(), note);
    let path = PathBuf::from(told["statement-file"].as_str().unwrap());
    (told["statement"].as_str().unwrap().to_owned(), station.approve(&path))
}

fn adoptions(station: &Station) -> usize {
    station.bodies().iter().filter(|body| matches!(body, Body::LogAdopted(_))).count()
}

/// A station that has lost releases 2 and 3, and has the page of the third.
fn lost() -> (Station, PathBuf) {
    let station = begun();
    station.carried_out(&station.planned_ceremony());
    let old = station.save_audit("old");
    station.carried_out(&station.planned_ceremony());
    station.carried_out(&station.planned_by(&["--crl", "root"]));
    station.restore_audit(&old);
    (station, old)
}

#[test]
fn p04_a_directory_that_is_older_than_its_minutes_goes_on_by_its_quorum_and_the_newest_page() {
    let (station, old) = lost();
    let newest = fs::read_to_string(station.path("minutes.txt")).unwrap();
    let (size, release, root) = read_page(&newest).unwrap();
    assert_eq!(release, 3);
    let told = refused(&station, 3, NOT_THE_MINUTES, || station.run(&WHY));
    assert!(told["hint"].as_str().unwrap().contains("adopt-log --minutes PAGE"), "{told}");
    // A page that whoever is there does not have.
    let invented = format!("{size} {release} {}", spoken(&[7; 32]));
    refused(&station, 3, NOT_THE_MINUTES, || adopt(&station, &invented, &[]));
    refused(&station, 3, NOT_THE_MINUTES, || adopt(&station, "lost", &[]));
    for bad in ["59", "59 4 aardvark", "nowhere.txt", "hierarchy.toml"] {
        refused(&station, 2, "is no page of minutes", || adopt(&station, bad, &[]));
    }
    let (text, approvals) = statement(&station, &format!("{size} {release} {}", spoken(&root.0)));
    for words in [format!("{size} entries"), spoken(&root.0), "releases 2 to 3 may have left the station".into()] {
        assert!(text.contains(&words), "{words}: {text}");
    }
    // Stopped anywhere, the same command ends it, and it is made once.
    for call in 1.. {
        play(&station, &format!("{NO_DATA}C_Sign:{call}=kill:all\n"));
        let run = adopt(&station, "minutes.txt", &approvals);
        if run.code == 0 {
            assert_eq!(run.json()["releases-lost"], "2 to 3", "{run:?}");
            break;
        }
        assert_eq!(run.code, -1, "{run:?}");
        crate::harness::processes::assert_gone(&station.dir());
    }
    play(&station, NO_DATA);
    assert_eq!(adoptions(&station), 1);
    assert_ne!(fs::read_to_string(station.path("minutes.txt")).unwrap(), newest);
    station.check_log();
    let release = station.carried_out(&station.planned_ceremony());
    assert!(release.ends_with("release-0004"), "{release:?}");
    station.check_log();
    let ended = station.save_audit("ended");
    station.restore_audit(&old);
    refuses(&station, NOT_THE_MINUTES);
    station.restore_audit(&ended);
    let another = WHY.map(|arg| if arg.starts_with("disk") { "another" } else { arg });
    refused(&station, 1, "nothing is lost", || station.run(&another));
}

#[test]
fn p05_a_station_whose_minutes_are_lost_goes_on_by_its_quorum_and_says_so() {
    let station = begun();
    station.carried_out(&station.planned_ceremony());
    let (plan, approvals) = super::some_plan(&station);
    fs::remove_file(station.path("minutes.txt")).unwrap();
    refused(&station, 1, "cannot read the minutes-file", || station.sign(&plan, &approvals));
    let (text, by) = statement(&station, "lost");
    assert!(text.contains("all minutes are lost: nobody knows"), "{text}");
    assert!(!text.contains("no release is unknown"), "{text}");
    adopt(&station, "lost", &by).ok();
    assert_eq!(adoptions(&station), 1);
    assert!(station.path("minutes.txt").exists(), "a new page");
    station.carried_out(&station.planned_ceremony());
    station.check_log();
}

#[test]
fn p04_what_the_minutes_are_said_to_be_is_good_for_an_adoption_alone() {
    let station = begun();
    fs::remove_file(station.path("minutes.txt")).unwrap();
    let script = station.root().join("gate.sh");
    crate::harness::script(&script, &format!("#!/bin/sh\ncd {:?} && exec {COLDROOT:?} \"$@\"\n", station.dir()));
    let mut gate = Gate::start_exe(&script, &station.dir(), None, BTreeMap::new()).unwrap();
    gate.minutes(None).unwrap();
    gate.login("main").unwrap();
    let mark = Mark::decode(&gate.mark().unwrap().unwrap()).unwrap();
    assert_eq!(mark.root, LOST);
    let note = fs::read(station.path("audit/mark")).unwrap();
    for request in [
        Request::SignCheckpoint { size: mark.size, root: LOST, consistency: vec![] },
        Request::Do { items: vec![0] },
        Request::Init { approvals: vec![] },
        Request::Minutes { newest: Some((mark.size, 1, LOST)) },
    ] {
        let told = gate.ask(&request);
        assert!(
            matches!(&told, Err(Error::Refused { what, .. }) if what.contains("an adoption of the log alone")),
            "{told:?}"
        );
    }
    gate.page().unwrap();
    gate.close().unwrap();
    assert_eq!(fs::read(station.path("audit/mark")).unwrap(), note);
    assert!(!Path::new(&station.path("minutes.txt")).exists());
    // Where the token knows, nobody says anything.
    let station = Station::bare_of(hierarchy(""));
    station.init().ok();
    let (entries, left) = station.state();
    adopt(&station, "lost", &[]).fails(1, "where the mark is on paper");
    assert!(station.state() == (entries, left));
}
