//! Accidents of other tools with certificates of CAs: each is stopped before a key is used.

use std::fs;

use coldroot::audit::Log;
use coldroot::audit::entry::{Body, Entry};
use coldroot::plan::Plan;
use coldroot::text::utc;

use crate::foreign::{ceremony, certified, openssl, refuses};
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

/// The newest certificate of a CA on record with a false signature, put on record once more, as who writes to the directory could.
fn forge(station: &Station, ca: &str) {
    let issued = |body| match body {
        Body::Certificate(c) if c.subject_ca.as_deref() == Some(ca) => Some(c),
        _ => None,
    };
    let mut forged = station.bodies().into_iter().filter_map(issued).next_back().unwrap();
    let mut der = forged.der.to_vec();
    *der.last_mut().unwrap() ^= 1;
    forged.der = der.into();
    let mut log = Log::open(&station.path("audit")).unwrap();
    log.append(&Entry::new(now(), Body::Certificate(forged))).unwrap();
    log.sync().unwrap();
}

#[test]
fn an_issuers_certificate_that_is_forged_or_falsely_self_signed_certifies_nothing() {
    let good = Station::ready_of(HIERARCHY.into());
    let bundle = good.bundle(1, 1);
    for ca in ["root", "xmpp-1"] {
        let station = good.copy();
        forge(&station, ca);
        let before = station.state();
        station.plan(&bundle).fails(3, "belongs to a plan that is not started, or ended");
        station.run(&["plan", "--crl", ca]).fails(3, "belongs to a plan that is not started, or ended");
        assert!(station.state() == before, "{ca}: something was left behind");
    }
    good.carried_out(&good.planned(&bundle));
}

#[test]
fn an_issuer_that_has_expired_certifies_and_revokes_nothing() {
    let station = Station::ready_of(HIERARCHY.into());
    let certificate = certified(&station, "xmpp-1");
    let expiry = coldroot::x509::read_certificate(&certificate).unwrap().not_after;
    fs::write(station.path("old.cer"), &certificate).unwrap();
    let before = station.state();
    for time in [expiry + 1, expiry + DAY, expiry + 10_000 * DAY] {
        let late = utc(time);
        station.run(&["plan", "--crl", "xmpp-1", "--now", &late]).fails(1, "`issuer-certificate` failed");
        fs::write(station.path("late.toml"), ceremony(&cross("old.cer", "\"server-auth\"", "30"))).unwrap();
        let run = station.run(&["plan", "--ceremony", "late.toml", "--now", &late]);
        assert!(run.code == 1 && run.json()["error"].as_str().unwrap().contains("failed"), "{run:?}");
        assert!(station.state() == before, "{late}: something was left behind");
    }
}

#[test]
fn below_an_issuer_with_path_length_zero_no_ca_is_declared_or_crossed() {
    let below = "[[ca]]\nid = \"below\"\nkey = \"elsewhere\"\nissuer = \"xmpp-1\"\nprofile = \"intermediate\"\n\
                 subject = [{ O = \"REHEARSAL\" }, { CN = \"Below\" }]\ndays = 30\ncrl-days = 10\n\n[[profile]]";
    let station = Station::new_of(HIERARCHY.replacen("[[profile]]", below, 1));
    let before = crate::harness::files(&station.dir());
    station.run(&["check", "hierarchy.toml"]).fails(2, "path-len");
    station.run(&["init"]).fails(2, "path-len");
    assert_eq!(crate::harness::files(&station.dir()), before);
}

fn cross(certificate: &str, eku: &str, days: &str) -> String {
    format!(
        "kind = \"cross-certificate\"\nca = \"root\"\nid = \"crossed\"\ncertificate = \"{certificate}\"\nprofile = \"intermediate\"\n\
         days = {days}\neku = [{eku}]"
    )
}

/// What a CA may declare is encoded, signed and read back with throw-away keys before one is made: with every kind of key.
#[test]
fn a_root_of_p521_rsa_pss_or_ed25519_has_its_certificate_before_its_key() {
    for algorithm in ["ecdsa-p521", "rsa-4096-pss", "ed25519"] {
        let kind = format!("algorithm = \"{algorithm}\"");
        let station = Station::bare_of(HIERARCHY.replacen("algorithm = \"ecdsa-p384\"", &kind, 1));
        station.init().ok();
        let plan = station.planned_ceremony();
        assert!(Plan::open(&station.dir().join(&plan)).unwrap().head().dry_run.is_some(), "{algorithm}");
        station.run(&["check", plan.to_str().unwrap()]).ok();
    }
    // What no certificate can be made for is refused before anything is.
    let station = Station::new_of(HIERARCHY.replacen("algorithm = \"ecdsa-p384\"", "algorithm = \"ecdsa-p224\"", 1));
    station.run(&["check", "hierarchy.toml"]).fails(2, "key[0].algorithm");
}

const PURPOSES: [&str; 7] = [
    "",
    "\"server-auth\"",
    "\"client-auth\"",
    "\"code-signing\"",
    "\"ocsp-signing\", \"server-auth\"",
    "\"1.2.3.4\", \"2.999.1\"",
    "\"server-auth\", \"server-auth\"",
];

/// An answer in words, with a next step where it is a refusal: never a crash.
#[track_caller]
fn answered(run: &crate::harness::station::Run, what: &str) -> bool {
    assert!((0..=2).contains(&run.code), "{what}: {run:?}");
    let json = run.json();
    assert!(run.code == 0 || ["error", "hint"].iter().all(|part| json[part].is_string()), "{what}: {run:?}");
    run.code == 0
}

#[test]
fn odd_purposes_and_dates_in_a_hierarchy_get_an_answer() {
    let station = Station::new_of(HIERARCHY.into());
    let text = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let limits = |text: &str, before: &str, eku: &str| match eku {
        "" => text.to_owned(),
        eku => text.replacen(before, &format!("\n[ca.limits]\neku = [{eku}]\n{before}"), 1),
    };
    let (mut good, mut bad) = (0, 0);
    let mut check = |text: String, what: &str| {
        fs::write(station.path("odd.toml"), text).unwrap();
        match answered(&station.run(&["check", "odd.toml"]), what) {
            true => good += 1,
            false => bad += 1,
        }
    };
    for of_root in PURPOSES {
        for of_ca in PURPOSES {
            let text = limits(&text, "\n[[ca]]\nid = \"xmpp-1\"", of_root);
            check(limits(&text, "\n[[profile]]\nid = \"root\"", of_ca), &format!("{of_root} / {of_ca}"));
        }
    }
    let dates = [
        ("days = 1", "days = 1", "days = 1"),
        ("days = 7300", "days = 3650", "days = 3651"),
        ("days = 36525", "days = 36525", "days = 3650"),
        ("expires = \"never\"", "expires = \"never\"", "days = 90"),
        ("days = 1", "expires = \"never\"", "days = 90"),
        ("days = 0", "days = -1", "days = 4294967296"),
        ("expires = \"never\"\ndays = 1", "", "days = 90"),
    ];
    for (root, ca, leaf) in dates {
        for of_leaf in PURPOSES {
            let leaf = match of_leaf {
                "" => leaf.to_owned(),
                of_leaf => format!("{leaf}\neku = [{of_leaf}]"),
            };
            let text =
                text.replacen("days = 7300", root, 1).replacen("days = 3650", ca, 1).replacen("days = 90", &leaf, 1);
            check(text, &format!("{root} / {ca} / {leaf}"));
        }
    }
    assert!(good > 10 && bad > 10, "{good} were good and {bad} bad: one of the two was not tried");
}

#[test]
fn odd_purposes_and_dates_of_a_certificate_get_an_answer_before_a_key_is_used() {
    let station = Station::ready_of(HIERARCHY.into());
    fs::write(station.path("p.cnf"), "[req]\ndistinguished_name = n\nx509_extensions = e\n[n]\n[e]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n").unwrap();
    let new =
        "req -x509 -nodes -config p.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout p.key -subj /CN=Partner";
    openssl(&station.dir(), &format!("{new} -days 30000 -out p.pem"));
    let root = coldroot::x509::read_certificate(&certified(&station, "root")).unwrap();
    let signed =
        |station: &Station| station.bodies().iter().filter(|body| matches!(body, Body::Certificate(_))).count();
    let (mut planned, mut refused) = (0, 0);
    // In the order of time: what is planned is on record, and a clock before it is not believed.
    for time in [now(), root.not_after - 2 * DAY, root.not_after, root.not_after + 1, 253_402_300_798] {
        for days in ["1", "2", "7300", "36525"] {
            for eku in PURPOSES {
                fs::write(station.path("odd.toml"), ceremony(&cross("p.pem", eku, days))).unwrap();
                let before = station.state();
                let run = station.run(&["plan", "--ceremony", "odd.toml", "--now", &utc(time)]);
                match answered(&run, &format!("{time} {days} {eku}")) {
                    true => planned += 1,
                    false => {
                        refused += 1;
                        assert!(station.state() == before, "{time} {days} {eku}: something was left behind");
                    }
                }
            }
        }
    }
    assert!(planned > 5 && refused > 5, "{planned} were planned and {refused} refused: one of the two was not tried");
    assert_eq!(signed(&station), 2);
}
