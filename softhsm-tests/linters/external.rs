//! Linters of others on whole stations: small scripts that find, fail and misbehave as they are told.

use std::fs;
use std::path::{Path, PathBuf};

use coldroot::digest::Digest;
use serde_json::Value;

use crate::harness::script;
use crate::harness::station::{CEREMONY, HIERARCHY, Run, Station, fresh, generated};
use crate::refused;

/// No findings.
pub const GOOD: &str = r#"printf '{"results": []}'"#;

/// A script of its own, and the hierarchy in which it is the linter of the leaves.
pub struct Linter {
    dir: tempfile::TempDir,
}

impl Linter {
    pub fn new(body: &str) -> Linter {
        let linter = Linter { dir: tempfile::tempdir().unwrap() };
        linter.write(body);
        linter
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("linter.sh")
    }

    /// `$1` is the one fixed argument, `$2` the file.
    pub fn write(&self, body: &str) {
        script(&self.path(), &format!("#!/bin/sh\n{body}\n"));
    }

    pub fn declared(&self, more: &str) -> String {
        let path = self.path();
        let linter = format!(
            "\n[[linter]]\nid = \"script\"\nform = \"pkilint\"\nprogram = \"{}\"\narguments = [\"lint\"]\nseconds = 300\n{more}\n",
            path.display()
        );
        HIERARCHY.replacen("\n[[ca]]\n", &format!("{linter}\n[[ca]]\n"), 1)
    }

    /// Root and intermediate made; the linter judges leaves.
    pub fn station(&self, more: &str) -> Station {
        Station::ready_of(self.declared(&format!("profiles = [\"xmpp-server\"]\n{more}")))
    }
}

/// Prints one finding about files that hold this text.
pub fn finds(text: &str, level: &str, code: &str, message: &str) -> String {
    let finding = format!(r#"{{"severity": "{level}", "code": "{code}", "message": "{message}"}}"#);
    let found =
        format!(r#"{{"results": [{{"node_path": "c", "validator": "v", "finding_descriptions": [{finding}]}}]}}"#);
    format!("if grep -q '{text}' \"$2\"; then cat <<'END'\n{found}\nEND\nelse {GOOD}; fi")
}

pub fn head(station: &Station, plan: &Path) -> Value {
    station.run(&["show", plan.to_str().unwrap()]).ok()["head"].clone()
}

pub fn statement(station: &Station, plan: &Path) -> String {
    fs::read_to_string(station.dir().join(plan).with_extension("statement")).unwrap()
}

#[test]
fn what_was_linted_stands_in_the_plan_and_before_the_officers() {
    let linter = Linter::new(GOOD);
    let station = linter.station("");
    let plan = station.planned(&station.bundle(3, 1));
    let lints = head(&station, &plan)["lints"].clone();
    assert_eq!((&lints[0]["linter"], &lints[0]["refused"]), (&"script".into(), &0.into()));
    assert_eq!(lints[0]["linted"], 3);
    assert_eq!(lints[0]["program"], Digest::of(&fs::read(linter.path()).unwrap()).hex());
    let line = "lint         script 3 linted, 0 refused, 0 warnings, 0 accepted findings\n";
    assert!(statement(&station, &plan).ends_with(line), "{}", statement(&station, &plan));
    station.carried_out(&plan);
    station.check_log();
}

#[test]
fn an_error_refuses_the_item_that_has_it_and_no_other() {
    // The requests are of one shape; what is said about it is hostile.
    let linter = Linter::new(&finds("bad.example", "ERROR", "pkix.bad", "\\u001b[2J\\u202egood"));
    let station = linter.station("");
    let rows = [fresh("one", &["one.example"]), fresh("two", &["bad.example"]), fresh("three", &["three.example"])];
    let plan = station.planned(&station.pack(&station.requests("requests", &rows), 1));
    let [[request, check, reason]] = refused(&station, &plan).try_into().unwrap();
    assert_eq!((request.as_str(), check.as_str()), ("two", "lint"));
    let wanted = "the linter `script` finds the error `pkix.bad`: \\u{1b}[2J\\u{202e}good";
    assert!(reason.starts_with(wanted), "{reason}");
    let lints = head(&station, &plan)["lints"].clone();
    assert_eq!((&lints[0]["linted"], &lints[0]["refused"]), (&3.into(), &1.into()));
    let found = &lints[0]["found"][0];
    assert_eq!((&found["finding"], &found["level"], &found["count"]), (&"pkix.bad".into(), &"error".into(), &1.into()));
    assert_eq!(found["shape"], "xmpp-1 xmpp-server dns+srv+subject ecdsa-p256");
    station.carried_out(&plan);
    let issued: Vec<String> = station.leaves().into_iter().map(|(request, ..)| request).collect();
    assert_eq!(issued, ["one", "three"]);
    station.check_log();
}

#[test]
fn an_error_about_a_ca_refuses_the_ceremony_before_a_key_is_made() {
    let linter = Linter::new(&finds("Road XMPP 1", "FATAL", "pkix.ca", "no"));
    let station = Station::bare_of(linter.declared(""));
    station.init().ok();
    fs::write(station.path("ceremony.toml"), CEREMONY).unwrap();
    let before = station.state();
    let saying = "check `lint` failed: the linter `script` finds the fatal `pkix.ca`: no";
    station.run(&["plan", "--ceremony", "ceremony.toml"]).fails(1, saying);
    assert!(station.state() == before, "something was left behind");
}

#[test]
fn a_warning_is_told_and_an_accepted_error_counts_until_its_day() {
    let error = finds("one.example", "ERROR", "pkix.odd", "m");
    let accepted = |until: &str| {
        let accepted =
            "[[linter.accepted]]\nfinding = \"pkix.odd\"\nprofile = \"xmpp-server\"\nreason = \"the linter is wrong\"";
        format!("{accepted}\nuntil = \"{until}\"")
    };
    let linter = Linter::new(&error);
    let station = linter.station(&accepted("2099-12-31"));
    let bundle = |station: &Station| station.pack(&station.requests("requests", &[fresh("one", &["one.example"])]), 1);
    let packed = bundle(&station);
    let plan = station.planned(&packed);
    assert!(refused(&station, &plan).is_empty());
    let found = head(&station, &plan)["lints"][0]["found"][0].clone();
    assert_eq!(found["accepted"], "the linter is wrong");
    assert!(
        statement(&station, &plan).contains("0 refused, 0 warnings, 1 accepted findings"),
        "{}",
        statement(&station, &plan)
    );
    let shown = Run::of(&mut station.command(&["show", plan.to_str().unwrap()])).out;
    assert!(shown.contains("pkix.odd") && shown.contains("the linter is wrong"), "{shown}");

    // What was accepted, and why, leaves with the release.
    let copy = station.copy();
    let release = copy.carried_out(&plan);
    let release = release.to_str().unwrap();
    let said = copy.run(&["show", release]).ok();
    assert_eq!(said["lints"], head(&copy, &plan)["lints"]);
    let shown = Run::of(&mut copy.command(&["show", release])).out;
    assert!(shown.contains("pkix.odd") && shown.contains("the linter is wrong"), "{shown}");
    let key = copy.verifier_key();
    copy.run(&["unpack", release, "--to", "www", "--verifier-key", &key, "--hierarchy", "hierarchy.toml"]).ok();
    let page = fs::read_to_string(copy.path("www/report.html")).unwrap();
    for fact in ["Linter script", "pkix.odd", "the linter is wrong", "1 accepted findings"] {
        assert!(page.contains(fact), "{fact}");
    }

    linter.write(&error.replace("ERROR", "WARNING").replace("pkix.odd", "pkix.warned"));
    let plan = station.planned(&packed);
    assert!(
        statement(&station, &plan).contains("0 refused, 1 warnings, 0 accepted findings"),
        "{}",
        statement(&station, &plan)
    );
    let shown = Run::of(&mut station.command(&["show", plan.to_str().unwrap()])).out;
    assert!(shown.contains("pkix.warned"), "{shown}");

    linter.write(&error);
    let station = linter.station(&accepted("2020-01-01"));
    let said = Run::of(&mut station.command(&["check", "hierarchy.toml"])).out;
    assert!(said.contains("`pkix.odd` is accepted until 2020-01-01"), "{said}");
    let due = station.run(&["calendar"]).ok()["due"].to_string();
    assert!(due.contains("the finding `pkix.odd` counts again") && due.contains("linter `script`"), "{due}");
    let plan = station.planned(&bundle(&station));
    let [[request, check, _]] = refused(&station, &plan).try_into().unwrap();
    assert_eq!((request.as_str(), check.as_str()), ("one", "lint"));
    assert_eq!(head(&station, &plan)["items"], 0);
}

/// The first of the one shape and 100 more; all, once one of them is wrong.
#[test]
fn of_a_large_batch_some_are_drawn_and_of_a_wrong_shape_all_are_linted() {
    let linter = Linter::new(GOOD);
    let station = linter.station("");
    let name = |n: usize| format!("{}-{n}.example", if n.is_multiple_of(2) { "bad" } else { "fine" });
    let rows: Vec<_> = (0..130).map(|n| fresh(&format!("r{n}"), &[&name(n)])).collect();
    let bundle = station.pack(&station.requests("requests", &rows), 1);
    let plan = station.planned(&bundle);
    assert_eq!(head(&station, &plan)["lints"][0]["linted"], 101);
    assert!(refused(&station, &plan).is_empty());
    linter.write(&finds("bad-", "ERROR", "pkix.bad", "m"));
    let plan = station.planned(&bundle);
    let said = head(&station, &plan)["lints"][0].clone();
    assert_eq!((&said["linted"], &said["refused"], &said["found"][0]["count"]), (&130.into(), &65.into(), &65.into()));
    let out: Vec<String> = refused(&station, &plan).into_iter().map(|[request, ..]| request).collect();
    let wanted: Vec<String> = (0..130).step_by(2).map(|n| format!("r{n}")).collect();
    assert_eq!(out, wanted, "in the order of the bundle");
}

#[test]
fn a_batch_that_only_a_linter_refuses_is_no_plan() {
    let linter = Linter::new(&finds("", "ERROR", "pkix.all", "m"));
    let station = linter.station("");
    let bundle = station.pack(&station.requests("requests", &generated(101, 1)), 1);
    let before = station.state();
    station.plan(&bundle).fails(1, "100 requests in a row were refused by linters");
    station.only_read_in(&before, &bundle);
}

/// The real one, as softhsm-tests/run-all installs it.
#[test]
fn pkilint_finds_no_error_in_what_is_issued() {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/judges");
    assert!(modules.join("pkilint").is_dir(), "pkilint is not installed: softhsm-tests/run-all installs it");
    let python = |code: &str| {
        let out = std::process::Command::new("python3").args(["-c", code]).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    let (program, prefix) = (python("import sys; print(sys.executable)"), python("import sys; print(sys.base_prefix)"));
    let dir = tempfile::tempdir().unwrap();
    let mut declared = String::new();
    for (name, judges, arguments) in [
        ("lint_pkix_cert", "certificates", "\"lint\", \"-f\", \"JSON\""),
        ("lint_crl", "crls", "\"lint\", \"-t\", \"CRL\", \"-p\", \"PKIX\", \"-f\", \"JSON\""),
    ] {
        let path = dir.path().canonicalize().unwrap().join(name);
        let text = format!(
            "#!{program}\nimport sys\nsys.path.insert(0, {modules:?})\nfrom pkilint.bin.{name} import main\nsys.exit(main())\n"
        );
        script(&path, &text);
        let read = if prefix == "/usr" { String::new() } else { format!(", {prefix:?}") };
        declared += &format!(
            "\n[[linter]]\nid = \"{}\"\nform = \"pkilint\"\njudges = \"{judges}\"\nprogram = {path:?}\narguments = [{arguments}]\n\
             read = [{modules:?}{read}]\nseconds = 300\n",
            name.replace('_', "-")
        );
    }
    let station = Station::ready_of(HIERARCHY.replacen("\n[[ca]]\n", &format!("{declared}\n[[ca]]\n"), 1));
    let plan = station.planned(&station.bundle(2, 1));
    let shown = head(&station, &plan);
    assert_eq!((&shown["refused"], &shown["items"]), (&0.into(), &3.into()), "{shown}");
    assert_eq!(shown["lints"][0]["linted"], 2, "{shown}");
    station.carried_out(&plan);
    let crl = station.planned_by(&["--crl", "root"]);
    let lints = head(&station, &crl)["lints"].clone();
    assert_eq!((&lints[0]["linter"], &lints[0]["linted"]), (&"lint-crl".into(), &1.into()), "{lints}");
}

/// A signer is no CA and stands in no batch: its certificate is one of those that are signed, all the same.
#[test]
fn an_error_about_a_signer_refuses_the_ceremony() {
    let linter = Linter::new(&finds("Road Log", "ERROR", "pkix.signer", "no"));
    let profile = "[[profile]]\nid = \"audit-signer\"\nbase = \"audit-signer\"\nissuer = \"root\"\n\n[[profile]]\n";
    let station = Station::ready_of(linter.declared("").replacen("[[profile]]\n", profile, 1));
    let act = "format = \"coldroot-ceremony-v0\"\ntitle = \"Signer\"\n\n[[act]]\nkind = \"signer\"\nid = \"log\"\n\
               profile = \"audit-signer\"\nsubject = [{ O = \"REHEARSAL\" }, { CN = \"Road Log\" }]\n";
    fs::write(station.path("signer.toml"), act).unwrap();
    let before = station.state();
    let saying = "check `lint` failed: the linter `script` finds the error `pkix.signer`: no";
    station.run(&["plan", "--ceremony", "signer.toml"]).fails(1, saying);
    assert!(station.state() == before, "something was left behind");
    linter.write(GOOD);
    let plan = station.planned_by(&["--ceremony", "signer.toml"]);
    assert_eq!(head(&station, &plan)["lints"][0]["linted"], 1);
}
