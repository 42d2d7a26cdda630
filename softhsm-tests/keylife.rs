//! The life of keys: the login before each signature, and what is done with a key between its making and its end.

mod harness;

use std::path::{Path, PathBuf};

use coldroot::audit::entry::Body;
use harness::faulty::{count, mend, play};
use harness::station::Station;

/// Certificates of the batch; its plan has one item more, the first CRL.
const BATCH: u64 = 3;

// Always-authenticate keys

/// The faulty module's station, whose issuing key wants a login for each signature or does not.
fn station(always: bool) -> Station {
    let hierarchy = harness::faulty::hierarchy("");
    let key = "label = \"xmpp-1\"\nalgorithm = \"ecdsa-p256\"\nbackup = \"none\"\n";
    assert!(hierarchy.contains(key));
    Station::ready_of(hierarchy.replace(key, &format!("{key}always-authenticate = {always}\n")))
}

fn batch(station: &Station) -> (PathBuf, Vec<PathBuf>) {
    let plan = station.planned(&station.bundle(BATCH, 1));
    let approvals = station.approve(&plan);
    (plan, approvals)
}

/// The batch's certificates on record.
fn issued(station: &Station) -> u64 {
    let leaf = |body: &Body| matches!(body, Body::Certificate(c) if c.subject_ca.is_none());
    station.bodies().iter().filter(|body| leaf(body)).count() as u64
}

/// With the token mended, the same command ends the batch.
#[track_caller]
fn ends(station: &Station, plan: &Path, approvals: &[PathBuf]) {
    mend(station);
    station.sign(plan, approvals).ok();
    assert_eq!(issued(station), BATCH);
    station.check_log();
}

#[test]
fn an_always_authenticate_key_has_a_login_for_each_signature() {
    let station = station(true);
    let made = station.bodies().into_iter().find_map(|body| match body {
        Body::KeyGenerated(key) if key.key == "xmpp-key" => Some(key.attributes),
        _ => None,
    });
    assert!(made.unwrap().iter().any(|line| line == "CKA_ALWAYS_AUTHENTICATE=true"));
    let (plan, approvals) = batch(&station);
    play(&station, "");
    station.sign(&plan, &approvals).ok();
    // One login of the user, and one for each certificate and the CRL; the audit key wants none.
    assert_eq!(count(&station, "C_Login") as u64, 1 + BATCH + 1);
    assert_eq!((count(&station, "C_Initialize"), issued(&station)), (1, BATCH));
    mend(&station);
    station.check_log();
}

#[test]
fn p08_a_pin_that_is_refused_before_a_signature_is_tried_once() {
    let station = station(true);
    let (plan, approvals) = batch(&station);
    play(&station, "C_Login:3=0xa0");
    station.sign(&plan, &approvals).fails(3, "logging in for one signature: CKR_PIN_INCORRECT");
    // The third login is the last one, though two sessions sign; what was signed before it goes unrecorded.
    assert_eq!((count(&station, "C_Login"), issued(&station)), (3, 0));
    assert!(!station.path("out/release-0003").exists());
    ends(&station, &plan, &approvals);
}

#[test]
fn p08_a_key_that_is_not_as_always_authenticating_as_declared_does_not_sign() {
    for (always, lie) in [(true, "00"), (false, "01")] {
        let station = station(always);
        let (plan, approvals) = batch(&station);
        play(&station, &format!("C_GetAttributeValue=attribute:0x202:{lie}:xmpp-1"));
        station.sign(&plan, &approvals).fails(3, "CKA_ALWAYS_AUTHENTICATE");
        // The checkpoints of the login and the start.
        assert_eq!((count(&station, "C_SignInit"), count(&station, "C_Login"), issued(&station)), (2, 1, 0));
        ends(&station, &plan, &approvals);
    }
}
