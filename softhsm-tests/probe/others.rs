//! The probe on tokens that are not SoftHSM: one that must pass, and one that hands its keys out.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::harness::kryoptic;
use crate::harness::station::{HIERARCHY, PIN, Station};
use crate::{fits, found, kind, plain};

/// Where Debian and others put NSS's token in software.
const SOFTOKN: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/libsoftokn3.so",
    "/usr/lib/aarch64-linux-gnu/libsoftokn3.so",
    "/usr/lib64/libsoftokn3.so",
];

#[test]
fn p08_kryoptic_protects_its_keys_of_the_new_kinds_too() {
    let station = Station::bare_of(kryoptic::hierarchy("ml-dsa-65"));
    let report = station.run(&["token", "probe", "main", "--quick"]).ok();
    assert_eq!((&report["verdict"]["able"], &report["verdict"]["protected"]), (&true.into(), &true.into()));
    let new = kind(&report, "ml-dsa-65");
    assert_eq!((&new["outcome"], &new["longest"]["octets"]), (&"works".into(), &(64 << 10).into()), "{new}");
    // Attempts were made on a key of each kind that the hierarchy has.
    let tried = |algorithm: &str| {
        let of = |attempt: &&Value| attempt["algorithm"] == algorithm && attempt["Ok"]["refused"].is_object();
        report["protection"].as_array().unwrap().iter().filter(of).count()
    };
    assert!(tried("ml-dsa-65") >= 9 && tried("ed25519") >= 9, "{report:#}");
}

/// A draft on an NSS database of its own, in `nss/`; `more` are lines of its `[audit]`.
fn nss(more: &str) -> Station {
    let module = SOFTOKN.iter().find(|path| std::path::Path::new(path).exists());
    let module = module.expect("NSS is not installed: apt-get install libnss3 libnss3-tools");
    let args = "configdir='sql:nss' certPrefix='' keyPrefix='' secmod='secmod.db' flags=optimizeSpace";
    let hierarchy = HIERARCHY
        .replace("\"@MODULE@\"", &format!("\"{module}\""))
        .replace("label = \"road\"", &format!("label = \"NSS Certificate DB\"\ninit-args = \"{args}\""))
        .replace("@SERIAL@", "serial = \"0000000000000000\"")
        .replace("so-pin-file = \"so-pin.txt\"\n", "")
        .replacen("[audit]\n", &format!("[audit]\n{more}"), 1);
    let station = Station::new_of(hierarchy);
    let database = station.path("nss");
    fs::create_dir(&database).unwrap();
    let mut certutil = Command::new("certutil");
    let made = certutil.args(["-N", "-d", "sql:nss", "-f", "pin.txt"]).current_dir(station.dir()).status();
    assert!(made.expect("certutil is not installed: apt-get install libnss3-tools").success(), "{PIN}");
    station
}

#[test]
fn p08_nss_which_hands_its_keys_out_is_found_out() {
    let station = nss("");
    let run = station.run(&["token", "probe", "main", "--quick"]);
    assert_eq!(run.code, 4, "{run:?}");
    let report = run.json();
    assert_eq!(report["verdict"]["protected"], false, "{report:#}");
    found(&report, "findings", "the token hands out keys that it calls non-extractable");
    found(&report, "findings", "a key made non-extractable can be made extractable afterwards");
    let attempts = report["protection"].as_array().unwrap();
    let breached = |attempt: &str| {
        let of = |a: &&Value| a["attempt"] == attempt && a["Ok"]["breached"].is_string();
        attempts.iter().any(|a| of(&a))
    };
    assert!(breached("wrap, AES-CBC-PAD") && breached("copy as extractable"), "{report:#}");
    // It works well all the same, but for the audit key and the mark.
    assert_eq!(
        (&kind(&report, "ecdsa-p256")["outcome"], &kind(&report, "ecdsa-p384")["outcome"]),
        (&"works".into(), &"works".into())
    );
    found(&report, "missing", "ed25519 for audit");
    found(&report, "missing", "a private data object for the mark");
    let said = plain(&station, &["token", "probe", "main", "--quick"]);
    assert_eq!(said.code, 4);
    fits(&said.out);
    assert!(said.out.contains("PROTECTION IS NOT REAL. Whoever has the PIN gets at the keys:"), "{}", said.out);
}

#[test]
fn nss_carries_a_station_whose_audit_key_is_of_p256_and_whose_mark_is_on_paper() {
    let station = nss("algorithm = \"ecdsa-p256\"\nmark = \"paper\"\nminutes-file = \"minutes.txt\"\n");
    station.approve(std::path::Path::new("hierarchy.toml"));
    station.init().ok();
    for _ in ["keys", "certificates"] {
        station.carried_out(&station.planned_ceremony());
    }
    station.carried_out(&station.planned(&station.bundle(2, 1)));
    station.check_log();
}
