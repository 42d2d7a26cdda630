//! What lies under the audit key's label before `init`, and is not the key that the hierarchy declares.

use std::fs;

use crate::harness::batch::killed_at;
use crate::harness::faulty::{self, count, mend, play};
use crate::harness::station::Station;
use crate::inventory::{line, reason, tamper};
use crate::{found, kind};

const ED25519: &str = "[audit]\n";
const P256: &str = "[audit]\nalgorithm = \"ecdsa-p256\"\n";

fn p256() -> String {
    faulty::hierarchy("").replacen(ED25519, P256, 1)
}

/// Changes the draft, and has it approved.
fn declare(station: &Station, change: impl Fn(String) -> String) {
    let file = station.path("hierarchy.toml");
    fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
    station.approve_again();
}

/// A refused `init`, which has changed nothing on the token and begun no log.
#[track_caller]
fn refused(station: &Station, saying: &str) {
    let log = crate::files(&station.path("audit"));
    play(station, "");
    let told = station.init().fails(1, saying);
    for function in ["C_SignInit", "C_GenerateKeyPair", "C_CreateObject", "C_DestroyObject", "C_SetAttributeValue"] {
        assert_eq!(count(station, function), 0, "{function}: {told}");
    }
    mend(station);
    assert_eq!(crate::files(&station.path("audit")), log);
}

/// The public halves under the label `audit`.
fn public_halves(station: &Station) -> usize {
    let found = station.run(&["token", "inventory"]);
    let objects = found.json()[0]["objects"].as_array().unwrap().clone();
    objects.iter().filter(|object| object["label"] == "audit" && object["class"] == "public-key").count()
}

#[test]
fn a_key_of_another_kind_under_the_audit_label_is_left_alone() {
    let not_p256 = "what the token holds under the label `audit` is not one ecdsa-p256 pair";
    // A station that began with Ed25519 and was stopped behind its key; then the hierarchy was changed.
    let station = Station::bare_of(faulty::hierarchy(""));
    assert_eq!(killed_at(&station, &station.init_args(), "fdatasync", 1).code, -1);
    declare(&station, |text| text.replacen(ED25519, P256, 1));
    refused(&station, not_p256);
    let told = station.run(&["token", "inventory"]);
    assert_eq!(told.code, 4, "{told:?}");
    let audit = line(&told.json(), "audit");
    assert_eq!((&audit["status"], &audit["what"]), (&"wrong".into(), &"ecdsa-p256 audit key pair".into()));
    reason(&audit, "it is ed25519, declared is ecdsa-p256");
    // Half of it is no better: only half of a key of the declared kind was left by a stopped `init`.
    for (half, reads) in [("destroy-audit-private", "private"), ("destroy-audit-public", "public")] {
        let copy = station.copy();
        tamper(&copy, half);
        refused(&copy, not_p256);
        let audit = line(&copy.run(&["token", "inventory"]).json(), "audit");
        assert_eq!(audit["status"], "half", "{audit}");
        reason(&audit, &format!("its {reads} half is not there"));
    }
    // As the hint says.
    declare(&station, |text| text.replacen(P256, ED25519, 1));
    station.init().ok();
    station.check_log();
    // The other way round; and a pair that another program has made, which can do more than an audit key may.
    let station = Station::bare_of(faulty::hierarchy(""));
    tamper(&station, "audit-p256");
    refused(&station, "what the token holds under the label `audit` is not one ed25519 pair");
    reason(&line(&station.run(&["token", "inventory"]).json(), "audit"), "it is ecdsa-p256, declared is ed25519");
    declare(&station, |text| text.replacen(ED25519, P256, 1));
    play(&station, "");
    let run = station.init();
    assert!(run.code != 0 && !station.path("audit").exists(), "{run:?}");
    for function in ["C_SignInit", "C_GenerateKeyPair", "C_CreateObject", "C_DestroyObject"] {
        assert_eq!(count(&station, function), 0, "{function}: {run:?}");
    }
}

#[test]
fn half_an_audit_key_of_the_declared_kind_is_made_anew() {
    let station = Station::bare_of(p256());
    // Behind the pair, before the token is told whose it is.
    play(&station, "C_CreateObject=kill:all");
    assert_eq!(station.init().code, -1);
    mend(&station);
    let whole = station.copy();
    tamper(&station, "destroy-audit-private");
    assert_eq!(public_halves(&station), 1);
    station.init().ok();
    station.check_log();
    assert_eq!(public_halves(&station), 1);
    // A private half that no public one tells the key of is no key.
    let copy = whole.copy();
    tamper(&copy, "destroy-audit-public");
    refused(&copy, "what the token holds under the label `audit` is not one ecdsa-p256 pair");
    whole.init().ok();
    assert_ne!(whole.verifier_key(), station.verifier_key());
}

#[test]
fn a_probe_tries_the_audit_key_that_is_declared() {
    let station = Station::bare_of(p256());
    play(&station, "*=no-mechanism:0x1055,0x1057");
    let report = station.run(&["token", "probe", "main", "--quick"]).ok();
    mend(&station);
    assert_eq!(report["verdict"]["able"], true, "{report:#}");
    let wanted = kind(&report, "ecdsa-p256")["wanted-by"].clone();
    assert_eq!(wanted, serde_json::json!(["xmpp-key", "audit"]));
    play(&station, "*=no-mechanism:0x1040,0x1041");
    let run = station.run(&["token", "probe", "main", "--quick"]);
    mend(&station);
    assert_eq!(run.code, 4, "{run:?}");
    found(&run.json(), "missing", "ecdsa-p256 for xmpp-key, audit: refused");
}
