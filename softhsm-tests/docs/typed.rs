//! The manuals are typed as they stand.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{COLDROOT, block, blocks, checkout, commands, harness, read, run, softhsm};

/// Stands in for the operator's editor: fills in the persons' keys, SoftHSM's configuration and, once there is one, the serial.
const EDITOR: &str = r#"#!/bin/bash
set -e
for person in ada ben cyd desk; do
    sed -i "s|keys = \[\"ssh-ed25519 [^\"]* $person (example)\"\]|keys = [\"$(cat "keys/$person.pub")\"]|" "$1"
done
sed -i "s|SOFTHSM2_CONF = \"[^\"]*\"|SOFTHSM2_CONF = \"$PWD/softhsm2.conf\"|; s|^module = .*|module = \"$MODULE\"|" "$1"
serial=$(coldroot --json token list | sed -n 's/.*"serial": "\([0-9a-f]\+\)".*/\1/p' | head -n 1)
[ -z "$serial" ] || sed -i "s|^# serial = .*|serial = \"$serial\"|" "$1"
"#;

#[test]
fn the_operators_manual_can_be_typed_as_it_stands() {
    let module = softhsm().expect("SoftHSM is not installed: softhsm-tests/run-all installs it");
    let dir = tempfile::tempdir().unwrap();
    let editor = dir.path().join("editor");
    harness::script(&editor, EDITOR);
    let page = read("docs/operator.md");
    let typed: Vec<_> =
        blocks(&page).into_iter().filter(|(info, _)| info == "sh").flat_map(|(_, body)| commands(&body)).collect();
    assert!(typed.len() > 25, "only {} commands found", typed.len());
    let (editor, checkout) = (editor.display().to_string(), checkout().display().to_string());
    run(&typed, dir.path(), &[("EDITOR", &editor), ("CHECKOUT", &checkout), ("MODULE", module)]);
    let (station, www) = (dir.path().join("station"), dir.path().join("station/www"));
    assert!(station.join("out/release-0003/release.cbor").exists() && www.join("report.html").exists());
    let issued = fs::read_dir(www.join("certs")).unwrap().count();
    assert_eq!(issued, 14, "the requests of softhsm-tests/requests that are lawful");
}

#[test]
fn the_commands_of_the_readme_can_be_typed() {
    softhsm().expect("SoftHSM is not installed: softhsm-tests/run-all installs it");
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().display();
    let demo = format!("coldroot demo --dir {here}/demo --requests {}/softhsm-tests/requests", checkout().display());
    let page = read("README.md");
    let mut typed = vec![(demo, 0)];
    for (line, code) in commands(&block(&page, "sh next")) {
        let line = line.replace("target/debug/coldroot", "coldroot").replace("target/demo", &format!("{here}/demo"));
        typed.push((line.replace("/tmp/thousand", &format!("{here}/thousand")).replace("1000", "40"), code));
    }
    assert!(typed.len() > 4);
    run(&typed, dir.path(), &[]);
}

#[test]
fn the_auditors_manual_can_be_typed_as_it_stands() {
    softhsm().expect("SoftHSM is not installed: softhsm-tests/run-all installs it");
    let dir = tempfile::tempdir().unwrap();
    let page = read("docs/auditor.md");
    let held = [
        "coldroot demo --dir www",
        "cp www/station/verifier-key www/station/hierarchy.toml www/root.pem .",
        "cp -r www/station/out/release-0003 release",
        "cp www/station/out/release-0002/checkpoint older-checkpoint",
        "coldroot unpack www/station/out/release-0002 --to before --verifier-key verifier-key",
        "cp -r before/log older-log",
    ];
    let mut typed: Vec<_> = held.iter().map(|line| (line.to_string(), 0)).collect();
    typed.extend(
        blocks(&page).into_iter().filter(|(info, _)| info == "sh auditor").flat_map(|(_, body)| commands(&body)),
    );
    assert!(typed.len() > 28, "only {} commands found", typed.len());
    let (checkout, cache) = (checkout().display().to_string(), dir.path().join("go").display().to_string());
    run(&typed, dir.path(), &[("CHECKOUT", &checkout), ("GOCACHE", &cache), ("GOFLAGS", ""), ("CGO_ENABLED", "0")]);
}

#[test]
fn the_page_of_the_sample_log_can_be_typed() {
    run(&commands(&block(&read("audit-logs/sample/README.md"), "sh sample")), &checkout(), &[]);
}

#[test]
fn the_sample_log_is_good_and_its_verifier_tests_itself() {
    let sample = checkout().join("audit-logs/sample");
    let key = read("audit-logs/sample/verifier-key");
    let verifier = checkout().join("audit-logs/verify.py");
    let judge = |log: &Path| {
        let root = sample.join("root.pem");
        let run = Command::new("python3")
            .arg(&verifier)
            .arg(log)
            .args(["--verifier-key", key.trim(), "--root"])
            .arg(root)
            .output();
        run.expect("python3 runs").status.code()
    };
    assert_eq!(judge(&sample.join("log")), Some(0));
    let checked = Command::new(COLDROOT)
        .args(["--json", "check"])
        .arg(sample.join("log"))
        .args(["--verifier-key", key.trim()])
        .output();
    assert!(checked.expect("coldroot runs").status.success());
    assert_ne!(judge(&checkout().join("audit-logs")), Some(0));

    let tests = Command::new("python3")
        .arg("-B")
        .arg(checkout().join("audit-logs/test_verify.py"))
        .output()
        .expect("python3 runs");
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stderr));
}
