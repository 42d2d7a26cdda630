//! `token inventory`: the token against hierarchy and log.

use std::process::Command;

use coldroot::audit::Log;
use coldroot::audit::entry::Body;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use serde_json::Value;

use crate::harness::faulty::{self, mend, play};
use crate::harness::softhsm;
use crate::harness::station::{PIN, Station};
use crate::{fits, plain, stored};

/// Does something to the station's token that coldroot would not do, in a process of its own.
pub fn tamper(station: &Station, what: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "inventory::tampering", "--nocapture"])
        .env("SOFTHSM2_CONF", "softhsm2.conf")
        .env("TAMPER", what)
        .current_dir(station.dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("tampered"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "run by the other tests, as a process of its own"]
fn tampering() {
    let Ok(what) = std::env::var("TAMPER") else { return };
    let pkcs11 = Pkcs11::new(softhsm()).unwrap();
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = pkcs11.get_slots_with_initialized_token().unwrap()[0];
    let session = pkcs11.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned()))).unwrap();
    match what.as_str() {
        "destroy-root" => {
            [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY].map(|c| destroy(&session, c, "root")).len()
        }
        "destroy-public" => destroy(&session, ObjectClass::PUBLIC_KEY, "xmpp-1"),
        "destroy-private" => destroy(&session, ObjectClass::PRIVATE_KEY, "xmpp-1"),
        "destroy-audit-public" => destroy(&session, ObjectClass::PUBLIC_KEY, "audit"),
        "destroy-audit-private" => destroy(&session, ObjectClass::PRIVATE_KEY, "audit"),
        "destroy-mark" => destroy(&session, ObjectClass::DATA, "coldroot mark"),
        "stranger" => make(&session, "stranger\u{1b}[2J", b"\x07"),
        "impostor" => make(&session, "root", b"\x07"),
        "early" => make(&session, "root", b"\x08"),
        "again" => make(&session, "xmpp-1", b"\x09"),
        "audit-p256" => make(&session, "audit", b"\x0a"),
        "leftover" => {
            let template = [
                Attribute::Class(ObjectClass::DATA),
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Application(b"coldroot".to_vec()),
                Attribute::Label(b"coldroot probe".to_vec()),
                Attribute::Value(vec![0; 20]),
            ];
            session.create_object(&template).unwrap();
            1
        }
        other => panic!("{other}"),
    };
    println!("tampered");
}

fn destroy(session: &Session, class: ObjectClass, label: &str) -> usize {
    let template = [Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
    let found = session.find_objects(&template).unwrap();
    assert_eq!(found.len(), 1, "{label}");
    session.destroy_object(found[0]).unwrap();
    found.len()
}

fn make(session: &Session, label: &str, id: &[u8]) -> usize {
    let common = [Attribute::Token(true), Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(id.to_vec())];
    let curve = Attribute::EcParams(vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    let public = [&common[..], &[curve, Attribute::Verify(true)]].concat();
    let private = [&common[..], &[Attribute::Private(true), Attribute::Sign(true)]].concat();
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
    2
}

/// The state of the line about this label.
#[track_caller]
pub fn line(inventory: &Value, label: &str) -> Value {
    let lines = inventory[0]["lines"].as_array().unwrap();
    let of = lines.iter().filter(|line| line["label"] == label).collect::<Vec<_>>();
    assert_eq!(of.len(), 1, "{label}: {inventory:#}");
    of[0].clone()
}

#[track_caller]
pub fn reason(line: &Value, words: &str) {
    let reasons = line["reasons"].as_array().unwrap();
    assert!(reasons.iter().any(|reason| reason.as_str().unwrap().contains(words)), "no `{words}` in {line:#}");
}

#[test]
fn what_is_there_is_what_is_on_record() {
    let station = Station::ready();
    let before = stored(&station);
    let entries = station.entries().len();
    let found = station.run(&["token", "inventory"]).ok();
    // Looking changes nothing but the mark, which moves with the log.
    let after = stored(&station);
    assert_eq!(before.iter().filter(|object| after.contains(object)).count(), before.len() - 1);
    for label in ["root", "xmpp-1", "audit", "coldroot mark", "coldroot log"] {
        assert_eq!(line(&found, label)["status"], "right", "{label}");
    }
    assert_eq!(found[0]["counts"], serde_json::json!({ "right": 5, "missing": 0, "wrong": 0, "unexpected": 0 }));
    // The one before was taken when the keys were made; the same objects are there.
    let (last, _) = inventories(&station).into_iter().rev().nth(1).unwrap();
    assert_eq!((&found[0]["since"]["entry"], &found[0]["recorded"]), (&last.into(), &(entries as u64 + 3).into()));
    let Some(Body::Inventory { report, right: 5, missing: 0, wrong: 0, unexpected: 0, .. }) = station.bodies().pop()
    else {
        panic!("{:?}", station.bodies().pop())
    };
    let log = Log::read(&station.path("audit")).unwrap();
    let kept: Value = serde_json::from_slice(&log.artefact(&report).unwrap()).unwrap();
    assert_eq!((&kept["format"], &kept["objects"]), (&"coldroot-inventory-v0".into(), &found[0]["objects"]));
    assert_eq!(log.size(), log.sealed_size());
    station.check_log();
    // The second one is compared with the first.
    let again = station.run(&["token", "inventory", "main", "main"]).ok();
    let since = &again[0]["since"];
    assert_eq!(since["entry"], found[0]["recorded"]);
    for what in ["new", "gone", "changed"] {
        assert_eq!(since[what].as_array().map(Vec::len), Some(0), "{since}");
    }
    let shown = station.run(&["show", "audit"]).ok();
    let last = shown["entries"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["of"], "main: 5 right, 0 missing, 0 wrong, 0 unexpected");
}

/// The inventories on record: number of the entry, and what was right, missing, wrong, unexpected.
fn inventories(station: &Station) -> Vec<(u64, [u64; 4])> {
    let of = |(index, body)| match body {
        Body::Inventory { right, missing, wrong, unexpected, .. } => Some((index, [right, missing, wrong, unexpected])),
        _ => None,
    };
    (0..).zip(station.bodies()).filter_map(of).collect()
}

#[test]
fn a_plan_that_changes_a_token_has_the_token_before_and_after_in_log_and_report() {
    let station = Station::bare();
    station.init().ok();
    tamper(&station, "stranger");
    let report = |release: &str| {
        let key = station.verifier_key();
        station.run(&["unpack", release, "--to", "www", "--verifier-key", &key]).ok();
        std::fs::read_to_string(station.path("www/report.html")).unwrap()
    };
    station.carried_out(&station.planned_ceremony());
    let made = inventories(&station);
    assert_eq!(made.iter().map(|(_, counts)| *counts).collect::<Vec<_>>(), [[3, 0, 0, 1], [5, 0, 0, 1]]);
    let page = report("out/release-0001");
    for (index, _) in &made {
        assert!(page.contains(&format!("entry {index}</span>")), "{index}");
    }
    for fact in ["Keys that came and went", "root-key", "label xmpp-1", "CKA_ID", "NEVER_EXTRACTABLE", "not "] {
        assert!(page.contains(fact), "{fact}");
    }
    // What else is on the token is nobody's business but the station's.
    assert!(!page.contains("stranger") && !page.contains("not taken"));
    // A plan of certificates changes nothing, and takes none.
    station.carried_out(&station.planned_ceremony());
    assert_eq!(inventories(&station), made);
    assert!(!report("out/release-0002").contains("id=\"tokens\""));
    let act =
        "format = \"coldroot-ceremony-v0\"\ntitle = \"End\"\n\n[[act]]\nkind = \"destroy-key\"\nkey = \"xmpp-key\"\n";
    station.carried_out(&station.planned_ceremony_of(act));
    let counts: Vec<[u64; 4]> = inventories(&station).into_iter().skip(2).map(|(_, counts)| counts).collect();
    assert_eq!(counts, [[5, 0, 0, 1], [4, 0, 0, 1]]);
    let page = report("out/release-0003");
    assert!(page.contains(">went<") && page.contains("key pair; 10 objects before, 8 afterwards"), "{page}");
    station.check_log();
}

#[test]
fn p03_a_run_that_goes_on_does_not_say_what_the_token_held_before_it_was_stopped() {
    let station = Station::bare_of(faulty::hierarchy(""));
    station.init().ok();
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    // No worker makes a key.
    play(&station, "C_GenerateKeyPair=0x05");
    let run = station.sign(&plan, &approvals);
    assert_eq!(run.code, 3, "{run:?}");
    mend(&station);
    assert_eq!(inventories(&station).len(), 1);
    station.sign(&plan, &approvals).ok();
    let made = inventories(&station);
    assert_eq!(made.iter().map(|(_, counts)| counts[0]).collect::<Vec<_>>(), [3, 5]);
    station.check_log();
}

#[test]
fn what_is_missing_halved_strange_or_an_impostor_is_told_apart() {
    let ready = Station::ready();
    ready.run(&["token", "inventory"]).ok();
    for (tampering, label, status, words, counts) in [
        ("destroy-root", "root", "missing", "", [4, 1, 0, 0]),
        ("destroy-public", "xmpp-1", "half", "its public half is not there", [4, 0, 1, 0]),
        ("destroy-private", "xmpp-1", "half", "its private half is not there", [4, 0, 1, 0]),
        ("stranger", "stranger\u{1b}[2J", "unexpected", "", [5, 0, 0, 1]),
        (
            "impostor",
            "root",
            "doubled",
            "a private key with the label \"root\" and the CKA_ID 07 passes for it",
            [4, 0, 1, 0],
        ),
        ("leftover", "coldroot probe", "unexpected", "an interrupted `token probe` left it", [5, 0, 0, 1]),
    ] {
        let station = ready.copy();
        tamper(&station, tampering);
        let run = station.run(&["token", "inventory", "main"]);
        let code = if status == "unexpected" { 0 } else { 4 };
        assert_eq!(run.code, code, "{tampering}: {run:?}");
        let found = run.json();
        let line = line(&found, label);
        assert_eq!(line["status"], status, "{tampering}: {line}");
        if !words.is_empty() {
            reason(&line, words);
        }
        let [right, missing, wrong, unexpected] = counts;
        assert_eq!(
            found[0]["counts"],
            serde_json::json!({ "right": right, "missing": missing, "wrong": wrong, "unexpected": unexpected }),
            "{tampering}"
        );
        // The one before knew it otherwise.
        let since = &found[0]["since"];
        let changes = ["new", "gone"].map(|what| since[what].as_array().unwrap().len());
        assert_ne!(changes, [0, 0], "{tampering}: {since}");
        let said = plain(&station, &["token", "inventory", "main"]);
        assert!(!said.out.contains('\u{1b}'), "{tampering}: {}", said.out);
        fits(&said.out);
        assert_eq!(said.code, code);
        station.check_log();
    }
    // Without its mark the token is no longer this log's: nobody gets as far as looking.
    let station = ready.copy();
    tamper(&station, "destroy-mark");
    station.run(&["token", "inventory"]).fails(1, "the token carries no mark of this log");
    // What an interrupted probe left is removed by the next one.
    let station = ready.copy();
    tamper(&station, "leftover");
    station.run(&["token", "probe", "main", "--quick"]).ok();
    let found = station.run(&["token", "inventory"]).ok();
    assert_eq!(found[0]["counts"]["unexpected"], 0);
}

#[test]
fn an_attribute_that_has_changed_since_the_key_was_made_is_named() {
    let station = Station::ready_of(faulty::hierarchy(""));
    station.run(&["token", "inventory"]).ok();
    play(&station, "C_GetAttributeValue=attribute:0x162:01:root");
    let run = station.run(&["token", "inventory"]);
    mend(&station);
    assert_eq!(run.code, 4, "{run:?}");
    let found = run.json();
    let line = line(&found, "root");
    assert_eq!(line["status"], "wrong");
    reason(&line, "CKA_EXTRACTABLE is true, recorded is false");
    assert_eq!(found[0]["since"]["changed"].as_array().map(Vec::len), Some(1), "{}", found[0]["since"]);
    let Some(Body::Inventory { right: 4, missing: 0, wrong: 1, unexpected: 0, .. }) = station.bodies().pop() else {
        panic!("{:?}", station.bodies().pop())
    };
}

#[test]
fn a_draft_tells_what_is_in_the_way_of_its_keys() {
    let station = Station::bare();
    let found = station.run(&["token", "inventory"]).ok();
    for label in ["root", "xmpp-1", "audit"] {
        assert_eq!(line(&found, label)["status"], "not-made", "{label}");
    }
    assert!(found[0]["recorded"].is_null() && !station.path("audit").exists());
    tamper(&station, "early");
    let run = station.run(&["token", "inventory"]);
    assert_eq!(run.code, 4, "{run:?}");
    let line = line(&run.json(), "root");
    assert_eq!(line["status"], "wrong");
    reason(&line, "2 objects have this label, and no entry of the log tells of the key");
    assert!(!station.path("audit").exists());
    station.run(&["token", "inventory", "main", "other"]).fails(2, "the hierarchy declares no token `other`");
}

#[test]
fn a_destroyed_key_is_gone_or_somebody_has_brought_its_like() {
    let station = Station::ready();
    let act =
        "format = \"coldroot-ceremony-v0\"\ntitle = \"End\"\n\n[[act]]\nkind = \"destroy-key\"\nkey = \"xmpp-key\"\n";
    let plan = station.planned_ceremony_of(act);
    station.carried_out(&plan);
    let found = station.run(&["token", "inventory"]).ok();
    assert_eq!(line(&found, "xmpp-1")["status"], "destroyed");
    assert_eq!(found[0]["counts"]["right"], 4);
    tamper(&station, "again");
    let run = station.run(&["token", "inventory"]);
    assert_eq!(run.code, 4, "{run:?}");
    let line = line(&run.json(), "xmpp-1");
    assert_eq!(line["status"], "wrong");
    reason(&line, "a private key of it is there, and it was destroyed");
}
