//! Several tokens that have the same keys: they share a batch, and one that fails is left out.

use std::fs;
use std::path::Path;

use super::harness::copy_tree;
use super::harness::faulty::{calls, hierarchy, play};
use super::harness::station::{HIERARCHY, Station};
use super::{Body, Day};

const BATCH: u64 = 60;

/// A station whose hierarchy declares a second token with the same keys, here a copy of SoftHSM's own directory, without the
/// faulty module in between.
fn base() -> (Station, std::path::PathBuf, Vec<std::path::PathBuf>) {
    let spare = HIERARCHY[HIERARCHY.find("[[token]]").unwrap()..HIERARCHY.find("[[key]]").unwrap()]
        .replace("id = \"main\"", "id = \"spare\"\nsame-keys-as = \"main\"")
        .replace("softhsm2.conf", "softhsm2-spare.conf");
    let text = hierarchy("retries = 0").replacen("[[key]]", &format!("{spare}[[key]]"), 1);
    let station = Station::bare_of(text);
    let conf = fs::read_to_string(station.path("softhsm2.conf")).unwrap().replace("= token", "= spare");
    fs::write(station.path("softhsm2-spare.conf"), conf).unwrap();
    fs::create_dir(station.path("spare")).unwrap();
    station.init().ok();
    copy_tree(&station.path("token"), &station.path("early"));
    for _ in ["keys", "certificates"] {
        let plan = station.planned_ceremony();
        // The spare is not there yet: it is left out, and its absence is on record.
        let run = station.sign(&plan, &station.approve(&plan));
        assert!(run.err.contains("token `spare` is left out, the others go on"), "{run:?}");
        run.ok();
    }
    let absent = |body: &Body| matches!(body, Body::Failure { what } if what.contains("login to token spare"));
    assert_eq!(station.bodies().iter().filter(|body| absent(body)).count(), 2);
    let plan = station.planned(&station.bundle(BATCH, 1));
    let approvals = station.approve(&plan);
    (station, plan, approvals)
}

/// The spare is made from the token as it stands now.
fn copied(from: &Path, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    copy_tree(from, to);
}

#[test]
fn p03_tokens_with_the_same_keys_share_a_batch_and_one_that_fails_is_left_out() {
    let (station, plan, approvals) = base();
    copied(&station.path("token"), &station.path("spare"));
    for (script, left_out) in [("", false), ("C_SignInit:3=crash", true)] {
        let station = station.copy();
        play(&station, script);
        let day = Day { station, plan: plan.clone(), approvals: approvals.clone(), _alone: None };
        let run = day.sign();
        assert_eq!(run.err.contains("token `main` is left out from here on, the others go on"), left_out, "{run:?}");
        run.ok();
        let logins =
            day.station.bodies().into_iter().filter(|b| matches!(b, Body::Login { token, .. } if token == "spare"));
        assert_eq!(logins.count(), 1);
        let told = |b: &Body| matches!(b, Body::Failure { what } if what.contains("; left-out (1 time)"));
        assert_eq!(day.station.bodies().iter().any(told), left_out);
        // The mark and its checkpoints stay with the one token; what it signs besides is less than the whole batch.
        let signed = calls(&day.station).iter().filter(|call| *call == "C_SignInit").count() as u64;
        assert!(signed < BATCH, "{signed}");
        day.ended_of(BATCH);
    }
}

#[test]
fn p01_a_copy_that_lacks_the_key_stops_the_run_before_an_item_is_signed() {
    let (station, plan, approvals) = base();
    // The token as it was before its keys were made: of this log, with its label and serial.
    copied(&station.path("early"), &station.path("spare"));
    play(&station, "");
    let day = Day { station, plan, approvals, _alone: None };
    day.sign().fails(3, "(label `xmpp-1` on token `spare`): the token holds 0 such pairs, not one");
    // The checkpoints of the login and the start.
    assert_eq!((day.count("C_SignInit"), day.issued().len()), (2, 0));
    assert!(!day.station.path("out/release-0003").exists());
    copied(&day.station.path("token"), &day.station.path("spare"));
    day.sign().ok();
    day.ended_of(BATCH);
}
