//! Plans, approvals and people at the station.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::text::utc;

use crate::book::Book;
use crate::harness::forged::now;
use crate::harness::station::{Run, Station};

const DAY: i64 = 86_400;

fn strings(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.to_str().unwrap().to_owned()).collect()
}

/// `sign` of a plan with these approvals.
fn sign<'a>(plan: &'a str, approvals: &'a [String], extra: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["sign", "--plan", plan];
    if !extra.contains(&"--operator") {
        args.extend(["--operator", "carol", "--witness", "dave"]);
    }
    args.extend(approvals.iter().flat_map(|approval| ["--approval", approval]));
    args.extend(extra);
    args
}

/// A signature by stock ssh-keygen over any text.
fn signature(station: &Station, key: &str, namespace: &str, text: &str, name: &str) -> String {
    let file = station.desk(name);
    fs::write(&file, text).unwrap();
    let mut run = Command::new("ssh-keygen");
    run.args(["-Y", "sign", "-q", "-n", namespace, "-f"]).arg(station.path(&format!("officers/{key}"))).arg(&file);
    assert_eq!(Run::of(&mut run).code, 0);
    format!("{}.sig", file.display())
}

#[test]
fn p01_plans_approvals_and_people() {
    let station = Station::ready();
    let rows = station.bundle(2, 1);
    let plan = station.planned(&rows);
    let plan_text = plan.to_str().unwrap().to_owned();
    let approvals = strings(&station.approve(&plan));
    let octets = fs::read(station.dir().join(&plan)).unwrap();
    let copy = |name: &str, octets: &[u8]| {
        let path = station.desk(name);
        fs::write(&path, octets).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let statement = fs::read_to_string(station.dir().join(plan.with_extension("statement"))).unwrap();
    let middle = octets.len() / 2;
    let mut flipped = octets.clone();
    let field = octets.windows(9).position(|octets| octets == b"algorithm").unwrap();
    flipped[field + 1] ^= 1;
    let cut = copy("cut.plan", &octets[..middle]);
    let flipped = copy("flipped.plan", &flipped);
    let other = copy("other.plan", b"hello");
    let longer = copy("longer.plan", &[&octets[..], b"\x40"].concat());
    let (late, early) = (utc(now() + 8 * DAY), utc(now() - DAY));
    let elsewhere = {
        let stranger = Station::ready();
        let plan = stranger.planned(&stranger.bundle(1, 1));
        copy("elsewhere.plan", &fs::read(stranger.dir().join(plan)).unwrap())
    };
    let by = |key: &str, namespace: &str, text: &str, name: &str| signature(&station, key, namespace, text, name);
    let alice = approvals[0].clone();
    let with = |second: String| vec![alice.clone(), second];
    let mallory = with(by("mallory", "coldroot-plan-v1", &statement, "mallory"));
    let namespace = with(by("bob", "file", &statement, "namespace"));
    let edited = with(by("bob", "coldroot-plan-v1", &statement.replace("3 to do", "2 to do"), "edited"));
    let operator = with(by("carol", "coldroot-plan-v1", &statement, "operator"));
    let rubbish = with(copy("rubbish.sig", b"hello"));
    let oversized = with(copy("oversized.sig", &vec![b'A'; 100_000]));
    let missing = with("nowhere.sig".into());
    let twice = with(alice.clone());

    let mut book = Book::new(&station);
    let mut refuse = |defect: &str, code, args: Vec<&str>| book.refuse(defect, code, &args);
    refuse("plan: not there", 1, sign("nowhere.plan", &approvals, &[]));
    refuse("plan: some other file", 1, sign(&other, &approvals, &[]));
    refuse("plan: cut", 1, sign(&cut, &approvals, &[]));
    refuse("plan: octets behind its end", 1, sign(&longer, &approvals, &[]));
    refuse("plan: a changed octet", 1, sign(&flipped, &approvals, &[]));
    refuse("plan: of another station", 1, sign(&elsewhere, &approvals, &[]));
    refuse("plan: behind its window", 1, sign(&plan_text, &approvals, &["--now", &late]));
    refuse("plan: a clock before the log", 1, sign(&plan_text, &approvals, &["--now", &early]));
    refuse("approvals: none", 1, sign(&plan_text, &[], &[]));
    refuse("approvals: one of two", 1, sign(&plan_text, &approvals[..1], &[]));
    refuse("approvals: one person twice", 1, sign(&plan_text, &twice, &[]));
    refuse("approvals: a key of nobody", 1, sign(&plan_text, &mallory, &[]));
    refuse("approvals: a person of another role", 1, sign(&plan_text, &operator, &[]));
    refuse("approvals: signed for another purpose", 1, sign(&plan_text, &namespace, &[]));
    refuse("approvals: over another text", 1, sign(&plan_text, &edited, &[]));
    refuse("approvals: no signature", 1, sign(&plan_text, &rubbish, &[]));
    refuse("approvals: a very large file", 1, sign(&plan_text, &oversized, &[]));
    refuse("approvals: not there", 1, sign(&plan_text, &missing, &[]));
    let people = |operator, witness| vec!["--operator", operator, "--witness", witness];
    refuse("people: unknown operator", 1, sign(&plan_text, &approvals, &people("zoe", "dave")));
    refuse("people: an officer as operator", 1, sign(&plan_text, &approvals, &people("alice", "dave")));
    refuse("people: unknown witness", 1, sign(&plan_text, &approvals, &people("carol", "carol")));
    let witness_late = [&people("carol", "dave")[..], &["--witness-time", &late]].concat();
    refuse("people: the witness's clock is days away", 1, sign(&plan_text, &approvals, &witness_late));

    let void = |reason: &'static str| {
        vec!["void", "--plan", &plan_text, "--reason", reason, "--operator", "carol", "--witness", "dave"]
    };
    refuse("void: no reason", 2, void(" "));
    let with_approvals = [&void("late")[..], &["--approval", &approvals[0], "--approval", &approvals[1]]].concat();
    refuse("void: the approvals of the plan itself", 1, with_approvals);
    refuse(
        "approve: a hierarchy's key file",
        1,
        vec!["approve", "officers/alice.pub", "--person", "alice", "--key", "officers/alice"],
    );
    refuse("approve: signed already", 1, vec!["approve", &plan_text, "--person", "alice", "--key", "officers/alice"]);
    refuse(
        "approve: a key that is not there",
        1,
        vec!["approve", &plan_text, "--person", "zoe", "--key", "officers/zoe"],
    );

    station.carried_out_with(&plan, &approvals);
    book.turn();
    book.refuse("plan: carried out already", 1, &sign(&plan_text, &approvals, &[]));
    let serial = station.serial_of(&station.leaves()[0].0);
    station.carried_out(&station.planned_by(&["--revoke", &serial, "--reason", "superseded"]));
    book.turn();
    book.refuse("revocation: revoked already", 1, &["plan", "--revoke", &serial, "--reason", "superseded"]);
    book.refuse("revocation: no such certificate", 1, &["plan", "--revoke", "0123456789ab", "--reason", "superseded"]);
    book.refuse("revocation: no serial number", 2, &["plan", "--revoke", "fff", "--reason", "superseded"]);
    book.refuse("revocation: without a reason", 2, &["plan", "--revoke", &serial]);
    book.refuse("revocation: a hold", 2, &["plan", "--revoke", &serial, "--reason", "certificate-hold"]);
    book.refuse("revocation: a CA's reason", 1, &["plan", "--revoke", &serial, "--reason", "ca-compromise"]);
    book.refuse("CRL: of a CA that is not declared", 2, &["plan", "--crl", "nobody"]);
    book.refuse("plan: nothing named", 2, &["plan"]);
    assert!(book.close("plans") >= 34);
    assert!(Path::new(&station.dir()).exists());
}
