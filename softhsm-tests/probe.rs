//! `token list`, `token probe` and `token inventory`: what is said of a token, and that looking changes nothing.

#[path = "probe/audit_key.rs"]
mod audit_key;
mod harness;
#[path = "probe/inventory.rs"]
mod inventory;
#[path = "probe/others.rs"]
mod others;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::audit::Log;
use coldroot::audit::entry::Body;
use coldroot::digest::Digest;
use harness::faulty::{self, mend, play};
use harness::files;
use harness::station::{CEREMONY, COLDROOT, PIN, Run, Station};
use serde_json::Value;

/// What SoftHSM can sign with, as far as this program knows.
const SOFTHSM: [&str; 10] = [
    "ecdsa-p256",
    "ecdsa-p384",
    "ecdsa-p521",
    "ed25519",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
    "rsa-2048-pss",
    "rsa-3072-pss",
    "rsa-4096-pss",
];

/// A command as a person types it.
fn plain(station: &Station, args: &[&str]) -> Run {
    Run::of(Command::new(COLDROOT).arg("--plain").args(args).current_dir(station.dir()))
}

/// Every line fits a terminal of 80 columns, and is ASCII.
#[track_caller]
fn fits(text: &str) {
    for line in text.lines() {
        assert!(line.len() <= 80 && line.is_ascii(), "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn the_list_names_tokens_and_the_state_of_their_pins() {
    let station = Station::bare_of(faulty::hierarchy(""));
    let listed = station.run(&["token", "list"]).ok();
    let ours = |listed: &serde_json::Value| {
        let tokens = listed.as_array().unwrap();
        // SoftHSM shows a free slot beside the token.
        assert_eq!(tokens.len(), 2, "{listed}");
        tokens.iter().find(|token| token["token"] == "main").cloned().unwrap()
    };
    let main = ours(&listed);
    assert_eq!((&main["label"], &main["initialised"]), (&"road".into(), &true.into()));
    assert_eq!(main["module-path"], faulty::module().to_str().unwrap());
    let run = plain(&station, &["token", "list"]);
    assert_eq!(run.code, 0, "{run:?}");
    let row = run.out.lines().find(|line| line.starts_with("main ")).unwrap();
    assert!(row.contains("road") && row.contains(main["serial"].as_str().unwrap()) && row.ends_with("ready"), "{row}");
    assert!(run.out.contains("(blank)") && !run.out.contains("pkcs11:"), "{}", run.out);
    let uris = plain(&station, &["token", "list", "--uri"]);
    assert!(uris.out.contains(main["uri"].as_str().unwrap()), "{}", uris.out);
    for (flags, said) in [("0x10000", "was wrong lately"), ("0x20000", "ONE TRY LEFT"), ("0x40000", "LOCKED")] {
        play(&station, &format!("C_GetTokenInfo=flags:{flags}"));
        let run = plain(&station, &["token", "list"]);
        let row = run.out.lines().find(|line| line.starts_with("main ")).unwrap();
        assert!(run.code == 0 && row.ends_with(said), "{row}");
    }
    mend(&station);
}

/// SoftHSM's own files of the token, one an object: octet for octet.
fn stored(station: &Station) -> Vec<(PathBuf, Vec<u8>)> {
    // Beside them lie locks, and the token's own counters, which a login moves.
    let object = |path: &PathBuf| path.extension().is_some_and(|e| e == "object") && !path.ends_with("token.object");
    let files = files(&station.path("token")).into_iter().filter(object);
    files.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

fn last_probe(station: &Station) -> (Digest, bool, Option<bool>) {
    let last = station.bodies().into_iter().rev().find_map(|body| match body {
        Body::Probe { token, report, able, protected, .. } if token == "main" => Some((report, able, protected)),
        _ => None,
    });
    last.unwrap()
}

#[test]
fn p08_a_probe_of_softhsm_finds_protection_and_changes_nothing() {
    let station = Station::ready();
    let before = stored(&station);
    let entries = station.entries().len();
    let report = station.run(&["token", "probe", "main", "--batch", "20000"]).ok();
    // The mark has moved with the log; every other object is the same, octet for octet, and none is new.
    let after = stored(&station);
    let same = before.iter().filter(|object| after.contains(object)).count();
    assert_eq!((after.len(), same), (before.len(), before.len() - 1));

    let verdict = &report["verdict"];
    assert_eq!((&verdict["able"], &verdict["protected"]), (&true.into(), &true.into()), "{report:#}");
    assert_eq!(verdict["missing"].as_array().map(Vec::len), Some(0), "{report:#}");
    assert_eq!(verdict["findings"].as_array().map(Vec::len), Some(0), "{report:#}");
    for kind in report["keys"].as_array().unwrap() {
        let known = matches!(kind["algorithm"].as_str().unwrap(), name if SOFTHSM.contains(&name));
        assert_eq!(kind["outcome"] == "works", known, "{kind}");
    }
    assert!(report["keys"].as_array().unwrap().len() >= SOFTHSM.len());
    let longest = report["keys"].as_array().unwrap().iter().find(|kind| kind["algorithm"] == "ed25519").unwrap();
    assert_eq!(longest["longest"]["octets"], 3 << 20);
    // Each family has its eleven attempts, none succeeded, and the ones that prove something were refused.
    let attempts = report["protection"].as_array().unwrap();
    assert_eq!(attempts.len() % 11, 0);
    let refused = |attempt: &str| {
        let of = |a: &&Value| a["algorithm"] == "ecdsa-p256" && a["attempt"] == attempt;
        attempts.iter().find(of).unwrap()["Ok"]["refused"].clone()
    };
    for attempt in ["wrap, AES-KEY-WRAP", "copy as extractable", "set CKA_EXTRACTABLE=true", "set CKA_DECRYPT=true"] {
        assert_eq!(refused(attempt)["control"], true, "{attempt}");
    }
    assert_eq!(refused("wrap, AES-KEY-WRAP")["said"], "CKR_KEY_UNEXTRACTABLE");
    // The bursts of the hierarchy's own kinds of keys.
    let kinds: BTreeSet<&str> =
        report["speed"].as_array().unwrap().iter().map(|burst| burst["algorithm"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["ecdsa-p256", "ecdsa-p384", "ed25519"]));
    assert!(verdict["sessions"].as_u64().is_some_and(|sessions| [1, 2, 4].contains(&sessions)), "{verdict}");

    // On record as a run of its own, sealed, with the whole report as its artefact.
    let new: Vec<Body> = station.bodies().split_off(entries);
    let [Body::PinTry { .. }, Body::Open { .. }, Body::Login { .. }, Body::Probe { report: digest, serial, .. }] =
        &new[..]
    else {
        panic!("{new:?}")
    };
    assert_eq!(report["recorded"], entries as u64 + 3);
    let log = Log::read(&station.path("audit")).unwrap();
    assert_eq!(log.size(), log.sealed_size());
    let kept: Value = serde_json::from_slice(&log.artefact(digest).unwrap()).unwrap();
    assert_eq!((&kept["format"], &kept["serial"]), (&"coldroot-probe-v0".into(), &serial.as_str().into()));
    assert_eq!(kept["verdict"], report["verdict"]);
    station.check_log();
    let shown = station.run(&["show", "audit"]).ok();
    let last = shown["entries"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["what"], &last["of"]), (&"probe".into(), &"main: able, protects its keys".into()));
}

#[test]
fn a_probe_fits_the_screen_and_leads_on() {
    let station = Station::bare();
    let run = plain(&station, &["token", "probe", "main", "--quick"]);
    assert_eq!(run.code, 0, "{run:?}");
    fits(&run.out);
    assert!(run.out.starts_with("Token `main` (\"road\", serial "), "{}", run.out);
    assert!(run.out.contains("can do the job of this hierarchy."), "{}", run.out);
    // A draft has no log: nothing is recorded, nothing begins, and it says so.
    assert!(run.out.contains("Not recorded") && !station.path("audit").exists(), "{}", run.out);
    assert!(run.out.ends_with("  next: coldroot --station . init\n"), "{}", run.out);
    station.init().ok();
}

#[test]
fn a_token_or_option_that_is_none_is_refused_before_the_token_is_asked() {
    let station = Station::bare_of(faulty::hierarchy(""));
    play(&station, "");
    station.run(&["token", "probe", "other"]).fails(2, "the hierarchy declares no token `other`");
    assert_eq!(plain(&station, &["token", "probe"]).code, 2);
    faulty::not_asked(&station);
    assert!(!station.path("audit").exists());
}

/// A quick probe of a station with a log, under a script of faults; `more` are lines of its `[[token]]`.
fn under(more: &str, script: &str) -> (Station, Run) {
    let station = Station::bare_of(faulty::hierarchy(more));
    station.init().ok();
    play(&station, script);
    let run = station.run(&["token", "probe", "main", "--quick"]);
    mend(&station);
    station.check_log();
    (station, run)
}

#[track_caller]
fn kind(report: &Value, algorithm: &str) -> Value {
    report["keys"].as_array().unwrap().iter().find(|kind| kind["algorithm"] == algorithm).unwrap().clone()
}

#[track_caller]
fn found(report: &Value, what: &str, words: &str) {
    let list = report["verdict"][what].as_array().unwrap();
    assert!(list.iter().any(|line| line.as_str().unwrap().contains(words)), "no {what} says `{words}`: {list:?}");
}

#[test]
fn a_hang_or_a_crash_in_one_step_is_that_steps_result_and_the_rest_goes_on() {
    for (fault, outcome, said) in [
        ("hang", "hangs", "C_GenerateKeyPair gave no answer in 20 s"),
        ("crash", "crashes", "the process ended in C_GenerateKeyPair"),
    ] {
        let (station, run) = under("deadline-seconds = 20", &format!("once C_GenerateKeyPair={fault}"));
        assert_eq!(run.code, 4, "{run:?}");
        let report = run.json();
        // The first kind that is tried loses its worker, the next ones have a new one.
        let first = kind(&report, "ecdsa-p256");
        assert_eq!((&first["outcome"], &first["said"]), (&outcome.into(), &said.into()), "{first}");
        for algorithm in ["ecdsa-p384", "ed25519"] {
            assert_eq!(kind(&report, algorithm)["outcome"], "works");
        }
        assert_eq!(report["verdict"]["able"], false);
        found(&report, "missing", &format!("ecdsa-p256 for xmpp-key: {}: {said}", outcome.to_uppercase()));
        found(&report, "findings", said);
        assert_eq!((&report["verdict"]["protected"], &report["data"]["outcome"]), (&true.into(), &"works".into()));
        let (_, able, protected) = last_probe(&station);
        assert_eq!((able, protected), (false, Some(true)));
    }
}

#[test]
fn a_wrong_signature_is_seen_by_the_judge_outside() {
    // A draft: with a log, the first wrong signature would be that of the login's checkpoint, which halts the run.
    let station = Station::bare_of(faulty::hierarchy(""));
    play(&station, "signature=flip:100");
    let run = station.run(&["token", "probe", "main", "--quick"]);
    mend(&station);
    assert_eq!(run.code, 4, "{run:?}");
    let report = run.json();
    for algorithm in ["ecdsa-p256", "ecdsa-p384", "ed25519"] {
        assert_eq!(kind(&report, algorithm)["outcome"], "wrong", "{report:#}");
        found(&report, "findings", &format!("{algorithm} signs wrongly"));
    }
    assert_eq!(report["verdict"]["able"], false);
}

#[test]
fn p08_a_token_that_lets_keys_be_changed_is_found_out() {
    // It says yes to every change, and its keys then say that they are extractable.
    let (station, run) = under("", UNPROTECTED);
    assert_eq!(run.code, 4, "{run:?}");
    let report = run.json();
    assert_eq!((&report["verdict"]["able"], &report["verdict"]["protected"]), (&true.into(), &false.into()));
    found(&report, "findings", "a key made non-extractable can be made extractable afterwards");
    assert_eq!(last_probe(&station), (last_probe(&station).0, true, Some(false)));
    // A yes behind which nothing has changed is no breach.
    let attempts = report["protection"].as_array().unwrap();
    let of = |attempt: &str| attempts.iter().find(|a| a["attempt"] == attempt).unwrap()["Ok"].clone();
    assert_eq!(of("set CKA_DECRYPT=true"), "ignored", "{report:#}");
    assert!(of("set CKA_EXTRACTABLE=true")["breached"].as_str().unwrap().contains("CKA_EXTRACTABLE=true"));
    let shown = station.run(&["show", "audit"]).ok();
    let last = shown["entries"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["of"], "main: able, DOES NOT PROTECT ITS KEYS");
}

#[test]
fn an_attempt_without_an_answer_leaves_protection_open() {
    let (station, run) = under("", "once C_CopyObject=crash");
    assert_eq!(run.code, 4, "{run:?}");
    let report = run.json();
    assert_eq!((&report["verdict"]["able"], &report["verdict"]["protected"]), (&false.into(), &Value::Null));
    found(
        &report,
        "missing",
        "an answer to \"copy as extractable\" (ecdsa-p256): CRASHES: the process ended in C_CopyObject",
    );
    assert_eq!(last_probe(&station).2, None);
}

#[test]
fn a_token_without_what_the_hierarchy_asks_is_told_before_init() {
    let station = Station::bare_of(faulty::hierarchy(""));
    // No Edwards curves (CKM_EC_EDWARDS_KEY_PAIR_GEN, CKM_EDDSA), no new data objects, one session more than the worker's own.
    play(&station, "*=no-mechanism:0x1055,0x1057\nC_CreateObject=0x70\nC_OpenSession:9-999=0xb1");
    let run = station.run(&["token", "probe", "main", "--quick"]);
    mend(&station);
    assert_eq!(run.code, 4, "{run:?}");
    let report = run.json();
    found(&report, "missing", "ed25519 for audit: refused");
    found(&report, "missing", "a private data object for the mark: refused");
    assert_eq!((&report["verdict"]["able"], &report["recorded"]), (&false.into(), &Value::Null));
    assert!(!station.path("audit").exists());
}

#[test]
fn a_wrong_pin_is_tried_once_and_nothing_is_probed() {
    let station = Station::bare_of(faulty::hierarchy(""));
    station.init().ok();
    fs::write(station.path("pin.txt"), "wrong-1234\n").unwrap();
    let before = station.entries().len();
    play(&station, "");
    station.run(&["token", "probe", "main"]).fails(1, "CKR_PIN_INCORRECT");
    assert_eq!((faulty::count(&station, "C_Login"), faulty::count(&station, "C_GenerateKeyPair")), (1, 0));
    let [Body::PinTry { .. }, Body::Failure { .. }] = &station.bodies()[before..] else { panic!() };
}

/// Makes a module's keys look as if they had been made extractable, which it has allowed.
const UNPROTECTED: &str = "C_SetAttributeValue=0x0\nC_GetAttributeValue=attribute:0x162:01:coldroot probe";

#[test]
fn p08_no_key_of_a_real_hierarchy_is_planned_on_a_token_that_does_not_protect_it() {
    // A real hierarchy has no PIN files and initialises no token: it takes over the rehearsal's.
    let real = |more: &str| {
        let station = Station::bare_of(faulty::hierarchy(more));
        let path = station.path("hierarchy.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = text
            .replace("environment = \"rehearsal\"", "environment = \"real\"")
            .replace("{ O = \"REHEARSAL\" }, ", "");
        let text = text.replace("pin-file = \"pin.txt\"\n", "").replace("so-pin-file = \"so-pin.txt\"\n", "");
        let text = text
            .replace("[audit]", "[station]\nsandbox = \"if-available\"\nlocked-pages = \"if-available\"\n\n[audit]");
        fs::write(&path, text).unwrap();
        for person in ["alice", "bob"] {
            fs::remove_file(station.path(&format!("hierarchy.toml.{person}.sig"))).unwrap();
        }
        station.approve(Path::new("hierarchy.toml"));
        let with_pin = |args: &[&str]| {
            let script = format!("exec \"$0\" --json --plain \"$@\" --pin-fd 3 3< <(printf {PIN})");
            let mut bash = Command::new("bash");
            Run::of(bash.args(["-c", &script, COLDROOT]).args(args).current_dir(station.dir()))
        };
        with_pin(&station.init_args()).ok();
        play(&station, UNPROTECTED);
        let run = with_pin(&["token", "probe", "main", "--quick"]);
        mend(&station);
        assert_eq!((run.code, &run.json()["verdict"]["protected"]), (4, &false.into()), "{run:?}");
        fs::write(station.path("ceremony.toml"), CEREMONY).unwrap();
        station
    };
    let station = real("");
    let before = station.state();
    let refused = station.run(&["plan", "--ceremony", "ceremony.toml"]);
    refused.fails(1, "token `main` does not protect its keys: the last probe of it got at one");
    assert_eq!(station.state(), before, "nothing is planned, written or recorded");
    // Reviewed and said so, it is a warning.
    let station = real("accept-unprotected = \"a drill\"");
    let planned = station.run(&["plan", "--ceremony", "ceremony.toml"]);
    assert!(
        planned.err.contains("WARNING: token `main` does not protect its keys")
            && planned.err.contains("accepted: a drill")
    );
    planned.ok();
}

#[test]
fn a_rehearsal_on_an_unprotected_token_is_warned_until_a_probe_finds_otherwise() {
    let (station, run) = under("", UNPROTECTED);
    assert_eq!(run.code, 4, "{run:?}");
    fs::write(station.path("ceremony.toml"), CEREMONY).unwrap();
    let warning = "WARNING: token `main` does not protect its keys";
    let planned = station.run(&["plan", "--ceremony", "ceremony.toml"]);
    assert!(planned.err.contains(warning), "{planned:?}");
    planned.ok();
    station.run(&["token", "probe", "main", "--quick"]).ok();
    let planned = station.run(&["plan", "--ceremony", "ceremony.toml"]);
    assert!(!planned.err.contains(warning), "{planned:?}");
    planned.ok();
}
