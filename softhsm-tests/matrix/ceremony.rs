//! One ceremony on one module with one algorithm: init, keys, root and intermediate, a batch, a revocation, CRLs, and every
//! check there is.

use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use coldroot::algorithm::KeyAlgorithm;
use coldroot::config::Hierarchy;
use coldroot::secret::Secret;
use coldroot::token::ask::{Answer, Ask};
use coldroot::token::client::Worker;

use super::harness::station::{CEREMONY, COLDROOT, HIERARCHY, PIN, Run, Station};
use super::harness::{SoftHsm, repository};
use super::modules::{Bench, Kind};

/// What a ceremony came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// Before any key was made, and with nothing recorded: the reason.
    Refused(String),
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Passed => f.write_str("passed"),
            Outcome::Refused(why) => write!(f, "refused beforehand: {why}"),
            Outcome::Failed(why) => write!(f, "FAILED: {why}"),
        }
    }
}

/// What the closure came to; a panic is a failure, with its words.
fn caught(what: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(what)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Outcome::Failed(said.unwrap_or("a panic without words").replace('\n', " "))
    })
}

/// The whole ceremony with CA keys of this kind.
pub fn run(kind: Kind, algorithm: KeyAlgorithm) -> Outcome {
    caught(|| {
        let (_bench, _audit, station) = prepared(kind, algorithm, KeyAlgorithm::Ed25519, kind.needs_a_second_token());
        carried_out(&station, algorithm)
    })
}

/// Whether the module can carry the mark itself, and an audit key of this kind.
pub fn audit(kind: Kind, algorithm: KeyAlgorithm) -> Outcome {
    caught(|| {
        let (_bench, _audit, station) = prepared(kind, KeyAlgorithm::Rsa3072, algorithm, false);
        let begun = station.init();
        if begun.code == 0 {
            station.check_log();
            return Outcome::Passed;
        }
        let refused = refusal(&begun);
        assert!(!station.path("audit").exists(), "something was recorded: {begun:?}");
        assert_eq!(keys_of(&station, "audit"), 0, "a key was made: {begun:?}");
        refused
    })
}

/// A station with its tokens, before `init`.
fn prepared(
    kind: Kind,
    algorithm: KeyAlgorithm,
    audit_algorithm: KeyAlgorithm,
    second: bool,
) -> (Bench, Option<SoftHsm>, Station) {
    let bench = Bench::new(kind);
    let (start, end) = (HIERARCHY.find("[[token]]").unwrap(), HIERARCHY.find("[[key]]").unwrap());
    let mut tokens =
        format!("[[token]]\nid = \"main\"\n{}pin-file = \"main-pin\"\nso-pin-file = \"so-pin.txt\"\n\n", bench.lines);
    let audit = second.then(SoftHsm::new);
    if let Some(audit) = &audit {
        let serial = audit.init("audit", "so-87654321", PIN);
        let conf = &audit.env()["SOFTHSM2_CONF"];
        tokens.push_str(&format!(
            "[[token]]\nid = \"audit\"\nmodule = \"{}\"\nlabel = \"audit\"\nserial = \"{serial}\"\npin-file = \"pin.txt\"\n\
             env = {{ SOFTHSM2_CONF = \"{conf}\" }}\n\n",
            audit.module().display()
        ));
    }
    let name = algorithm.name();
    let text = [&HIERARCHY[..start], &tokens, &HIERARCHY[end..]]
        .concat()
        .replace("\"ecdsa-p384\"", &format!("\"{name}\""))
        .replace("\"ecdsa-p256\"", &format!("\"{name}\""))
        .replace(
            "[audit]\ntoken = \"main\"",
            &format!(
                "[audit]\nalgorithm = \"{audit_algorithm}\"\ntoken = \"{}\"",
                if second { "audit" } else { "main" }
            ),
        );
    let made_by_us = bench.lines.contains("@SERIAL@");
    let station = Station::new_of(text);
    fs::write(station.path("main-pin"), format!("{}\n", bench.pin)).unwrap();
    if made_by_us {
        station.token_init();
    }
    station.approve(Path::new("hierarchy.toml"));
    (bench, audit, station)
}

fn carried_out(station: &Station, algorithm: KeyAlgorithm) -> Outcome {
    station.init().ok();
    let before = station.state();
    fs::write(station.path("ceremony.toml"), CEREMONY).unwrap();
    let keys = station.run(&["plan", "--ceremony", "ceremony.toml"]);
    if keys.code != 0 {
        let refused = refusal(&keys);
        assert_eq!(station.state(), before, "something was recorded: {keys:?}");
        assert_eq!(keys_of(station, "root") + keys_of(station, "xmpp-1"), 0, "a key was made: {keys:?}");
        return refused;
    }
    let mut releases = vec![station.carried_out(Path::new(keys.json()["plan"].as_str().unwrap()))];
    releases.push(station.carried_out(&station.planned_ceremony()));
    let bundle = station.bundle(3, 1);
    releases.push(station.carried_out(&station.planned(&bundle)));
    let (request, ..) = station.leaves().into_iter().next().unwrap();
    let serial = station.serial_of(&request);
    let revocation = ["--revoke", &serial, "--reason", "superseded"];
    releases.push(station.carried_out(&station.planned_by(&revocation)));
    releases.push(station.carried_out(&station.planned_by(&["--crl", "root", "--crl", "xmpp-1"])));
    let key = station.verifier_key();
    station.run(&["check", "audit", "--verifier-key", &key]).ok();
    let mut python = Command::new("python3");
    python.arg(repository().join("audit-logs/verify.py")).arg(station.path("audit")).args(["--verifier-key", &key]);
    if matches!(algorithm, KeyAlgorithm::PostQuantum(_)) {
        // Python's `cryptography` may not know them: then it says so, and checks the rest. The program has verified them.
        python.arg("--allow-unverified");
    }
    let python = Run::of(&mut python);
    assert_eq!(python.code, 0, "{python:?}");
    for release in &releases {
        let release = release.to_str().unwrap();
        station.run(&["check", release, "--verifier-key", &key, "--hierarchy", "hierarchy.toml"]).ok();
    }
    assert_eq!(station.leaves().len(), 3);
    Outcome::Passed
}

/// The reason, without the path to it; only a refusal that says what to do is one.
fn refusal(run: &Run) -> Outcome {
    assert_eq!(run.code, 1, "{run:?}");
    let json = run.json();
    assert!(json["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "no next step: {json}");
    Outcome::Refused(json["error"].as_str().unwrap().to_owned())
}

/// How many keys of the main token have this label.
fn keys_of(station: &Station, label: &str) -> usize {
    let hierarchy = Hierarchy::load(&station.path("hierarchy.toml")).unwrap();
    let token = hierarchy.token("main").unwrap();
    let mut worker = Worker::start(Path::new(COLDROOT), &["worker"], &token.env).unwrap();
    let open = Ask::Open {
        module: token.module.clone(),
        init_args: token.init_args.clone(),
        label: token.label.clone(),
        serial: token.serial.clone().unwrap(),
        slot: token.slot,
        sessions: 1,
        keep_pin: false,
    };
    let opened = worker.ask(&open).unwrap();
    assert!(matches!(opened, Answer::Opened(_)), "{opened:?}");
    let pin = fs::read(station.path("main-pin")).unwrap();
    let pin = Secret::new(pin.trim_ascii().to_vec());
    assert!(matches!(worker.login(&pin).unwrap(), Answer::LoggedIn));
    match worker.ask(&Ask::FindKeysByLabel { label: label.into() }).unwrap() {
        Answer::Keys(keys) => keys.len(),
        other => panic!("{other:?}"),
    }
}
