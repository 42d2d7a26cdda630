//! Accidents of other tools with certificates of CAs: each is stopped before a key is used.

use std::fs;

use coldroot::text::utc;

use crate::foreign::{ceremony, refuses};
use crate::harness::station::{CEREMONY, HIERARCHY, Station, now};

const DAY: i64 = 86_400;

/// The ceremony without its last act, the intermediate.
fn root_alone() -> &'static str {
    CEREMONY.rsplit_once("\n[[act]]").unwrap().0
}

#[test]
fn an_intermediate_does_not_outlive_its_root_and_is_not_dated_before_it() {
    let station = Station::bare_of(HIERARCHY.into());
    station.init().ok();
    for _ in ["keys", "certificates"] {
        station.carried_out(&station.planned_ceremony_of(root_alone()));
    }
    fs::write(station.path("late.toml"), ceremony("kind = \"intermediate\"\nca = \"xmpp-1\"")).unwrap();
    let before = station.state();
    // The root has 7,300 days, the intermediate 3,650: in the hierarchy they fit, at this time they do not.
    let late = utc(now() + 4_000 * DAY);
    station.run(&["plan", "--ceremony", "late.toml", "--now", &late]).fails(1, "`validity-in-issuer` failed");
    let early = utc(now() - 1_600 * DAY);
    let run = station.run(&["plan", "--ceremony", "late.toml", "--now", &early]);
    assert_ne!(run.code, 0, "a plan that is dated before its root: {run:?}");
    assert!(station.state() == before, "something was left behind");
}

#[test]
fn a_ca_that_has_its_certificate_is_not_certified_again_unasked() {
    let station = Station::ready_of(HIERARCHY.into());
    refuses(&station, "kind = \"intermediate\"\nca = \"xmpp-1\"", 1, "has its certificate already");
    refuses(&station, "kind = \"root\"\nca = \"root\"", 1, "has its certificate already");
}

#[test]
fn no_hold_and_no_certificate_of_another_ca_comes_onto_a_roots_crl() {
    let station = Station::ready_of(HIERARCHY.into());
    let serial = coldroot::text::hex(
        &coldroot::x509::read_certificate(&crate::foreign::certified(&station, "xmpp-1")).unwrap().serial,
    );
    let act = |ca: &str, reason: &str| {
        format!("kind = \"revoke\"\nca = \"{ca}\"\nserial = \"{serial}\"\nreason = \"{reason}\"")
    };
    refuses(&station, &act("root", "certificate-hold"), 2, "act[0].reason");
    refuses(&station, &act("xmpp-1", "superseded"), 1, "issued no certificate");
}
