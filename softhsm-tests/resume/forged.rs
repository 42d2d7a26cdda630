//! Entries that were put behind the last checkpoint while a run stood still: the next run would seal and release them.

use std::fs;
use std::path::{Path, PathBuf};

use coldroot::audit::Log;
use coldroot::audit::entry::{Body, CertificateIssued, CrlIssued, Entry};
use coldroot::digest::Digest;
use coldroot::plan::{Certificate, Item, Plan};
use coldroot::{tbs, x509};

use crate::harness::batch::{Batch, killed_at};
use crate::harness::station::{HIERARCHY, Station, now};

/// A DER ECDSA-Sig-Value that no key has made for anything here.
const NO_SIGNATURE: &[u8] = &[0x30, 6, 2, 1, 1, 2, 1, 1];

/// A station whose run of this plan was stopped when it had started and nothing was on record of it.
fn started(good: &Station, plan: &Path, approvals: &[PathBuf]) -> Station {
    let digest = Plan::open(&good.dir().join(plan)).unwrap().digest();
    for when in 1..40 {
        let station = good.copy();
        killed_at(&station, &station.sign_args(plan, approvals), "fdatasync", when);
        let bodies = station.bodies();
        let last = bodies.iter().rposition(|body| matches!(body, Body::Start(start) if start.plan == digest));
        if last.is_some_and(|last| last + 1 == bodies.len()) {
            return station;
        }
    }
    panic!("the run was never stopped behind its start");
}

/// Puts this into the log as another program could, and has `sign` and `void` refuse to go on. Then the same without it.
#[track_caller]
fn refused(station: &Station, plan: &Path, approvals: &[PathBuf], body: Body, artefact: &[u8], saying: &str) {
    let kept = station.save_audit("kept");
    let mut log = Log::open(&station.path("audit")).unwrap();
    log.put_artefact(artefact).unwrap();
    log.append(&Entry::new(now(), body)).unwrap();
    log.sync().unwrap();
    drop(log);
    let before = station.state();
    station.sign(plan, approvals).fails(3, saying);
    assert!(station.state() == before, "{saying}: something was recorded or released");
    let void =
        ["void", "--plan", plan.to_str().unwrap(), "--reason", "odd", "--operator", "carol", "--witness", "dave"];
    let statement = station.run(&void).ok()["statement-file"].as_str().unwrap().to_owned();
    let signed = station.approve(Path::new(&statement));
    let given: Vec<&str> = signed.iter().flat_map(|file| ["--approval", file.to_str().unwrap()]).collect();
    let before = station.state();
    station.run(&[&void[..], &given].concat()).fails(3, saying);
    assert!(station.state() == before, "{saying}: something was recorded or released");
    for file in signed.iter().map(|file| station.dir().join(file)).chain([station.dir().join(&statement)]) {
        fs::remove_file(file).unwrap();
    }
    station.restore_audit(&kept);
    fs::remove_dir_all(kept).unwrap();
}

fn issued(plan: Digest, of: &Certificate, der: Vec<u8>) -> Body {
    Body::Certificate(CertificateIssued {
        plan,
        item: 0,
        ca: of.ca.clone(),
        subject_ca: None,
        request: of.request.clone(),
        profile: of.profile.clone(),
        requester: of.requester,
        der: der.into(),
    })
}

#[test]
fn p02_a_certificate_that_was_slipped_into_a_stopped_run_is_neither_sealed_nor_released() {
    let batch = Batch::new(3);
    let station = started(&batch.station, &batch.plan, &batch.approvals);
    let mut plan = Plan::open(&station.dir().join(&batch.plan)).unwrap();
    let digest = plan.digest();
    let [first, second] = [0, 1].map(|n| match plan.item(n).unwrap() {
        Item::Certificate(planned) => *planned,
        other => panic!("{other:?}"),
    });
    let signed = |by: &[u8], planned: &Certificate| tbs::assemble(&planned.tbs, planned.fields.signature, by);
    let refuses = |body: Body, saying: &str| refused(&station, &batch.plan, &batch.approvals, body, b"", saying);
    refuses(issued(digest, &first, signed(NO_SIGNATURE, &first)), "rustls-webpki refuses it");
    // With the signature that the token gives: around other bytes, and beside the name of somebody else.
    let other = batch.copy();
    other.sign().ok();
    let der = other.issued().swap_remove(0).der;
    let (_, good) = x509::signature_of(&der).unwrap();
    refuses(issued(digest, &first, signed(good, &second)), "it says something else of item 0");
    let named = Certificate { requester: Some(Digest::of(b"another")), ..first.clone() };
    refuses(issued(digest, &named, der.to_vec()), "it says something else of item 0");
    // Without it the plan goes on, and each certificate is issued once.
    let whole = Batch { station, plan: batch.plan, approvals: batch.approvals };
    whole.sign().ok();
    whole.assert_exactly_once();
}

#[test]
fn p02_a_crl_that_was_slipped_into_a_stopped_run_is_not_believed() {
    let good = Station::ready();
    let path = good.planned_by(&["--crl", "root"]);
    let approvals = good.approve(&path);
    let station = started(&good, &path, &approvals);
    let mut plan = Plan::open(&station.dir().join(&path)).unwrap();
    let Item::Crl(planned) = plan.item(0).unwrap() else { panic!("no CRL") };
    let der = tbs::assemble(&planned.tbs, planned.fields.signature, NO_SIGNATURE);
    let body = Body::Crl(CrlIssued {
        plan: plan.digest(),
        item: 0,
        ca: planned.ca.clone(),
        number: planned.fields.number,
        this_update: planned.fields.this_update,
        next_update: planned.fields.next_update,
        crl: Digest::of(&der),
    });
    refused(&station, &path, &approvals, body.clone(), &der, "the signature does not verify");
    refused(&station, &path, &approvals, body, b"", "artefact");
    station.sign(&path, &approvals).ok();
    station.check_log();
}

/// What a token has drawn stands in no plan: that a public key on record is its own, only the token says.
#[test]
fn p02_a_public_key_that_was_slipped_into_a_stopped_run_is_neither_sealed_nor_certified() {
    let good = Station::bare();
    good.init().ok();
    let path = good.planned_ceremony();
    let approvals = good.approve(&path);
    let station = started(&good, &path, &approvals);
    // As another token would have made it: the same names and attributes.
    let other = station.copy();
    other.sign(&path, &approvals).ok();
    let forged = other.bodies().into_iter().find(|body| matches!(body, Body::KeyGenerated(_))).unwrap();
    let kept = station.save_audit("kept");
    let mut log = Log::open(&station.path("audit")).unwrap();
    log.append(&Entry::new(now(), forged)).unwrap();
    log.sync().unwrap();
    drop(log);
    let sealed = || (fs::read(station.path("audit/checkpoint")).unwrap(), crate::harness::files(&station.path("out")));
    let before = sealed();
    let saying = "token `main` does not hold the key `root` that is on record";
    station.sign(&path, &approvals).fails(3, saying);
    assert!(sealed() == before, "something was sealed or released");
    let void =
        ["void", "--plan", path.to_str().unwrap(), "--reason", "odd", "--operator", "carol", "--witness", "dave"];
    let statement = station.run(&void).ok()["statement-file"].as_str().unwrap().to_owned();
    let signed = station.approve(Path::new(&statement));
    let given: Vec<&str> = signed.iter().flat_map(|file| ["--approval", file.to_str().unwrap()]).collect();
    let before = sealed();
    station.run(&[&void[..], &given].concat()).fails(3, saying);
    assert!(sealed() == before, "something was sealed or released");
    // Without it the plan goes on.
    station.restore_audit(&kept);
    station.sign(&path, &approvals).ok();
    station.check_log();
}

/// A token may die in the middle of a plan. What it made is on record, the plan cannot go on, and still it ends.
#[test]
fn p05_a_plan_is_voided_though_the_token_of_a_key_on_record_is_gone() {
    let second = HIERARCHY[HIERARCHY.find("[[token]]").unwrap()..HIERARCHY.find("[[key]]").unwrap()]
        .replace("id = \"main\"", "id = \"second\"")
        .replace("label = \"road\"", "label = \"second\"")
        .replace("@SERIAL@", "# its serial")
        .replace("softhsm2.conf", "softhsm2-second.conf");
    let text = HIERARCHY
        .replacen("id = \"root-key\"\ntoken = \"main\"", "id = \"root-key\"\ntoken = \"second\"", 1)
        .replacen("[[key]]", &format!("{second}[[key]]"), 1);
    let station = Station::bare_of(text);
    let conf = fs::read_to_string(station.path("softhsm2.conf")).unwrap().replace("= token", "= second");
    fs::write(station.path("softhsm2-second.conf"), conf).unwrap();
    fs::create_dir(station.path("second")).unwrap();
    let serial = station.run(&["token", "init", "--token", "second"]).ok()["serial"].as_str().unwrap().to_owned();
    let declared = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let declared = declared.replacen("# its serial", &format!("serial = \"{serial}\""), 1);
    fs::write(station.path("hierarchy.toml"), declared).unwrap();
    station.approve_again();
    station.init().ok();
    let path = station.planned_ceremony();
    let approvals = station.approve(&path);
    let made = |station: &Station| station.bodies().iter().filter(|b| matches!(b, Body::KeyGenerated(_))).count();
    let stopped = (1..60).map(|when| {
        let copy = station.copy();
        killed_at(&copy, &copy.sign_args(&path, &approvals), "fdatasync", when);
        copy
    });
    let station = stopped.into_iter().find(|copy| made(copy) == 1).expect("it is stopped behind its first key");
    fs::remove_dir_all(station.path("second")).unwrap();
    fs::create_dir(station.path("second")).unwrap();
    station.sign(&path, &approvals).fails(1, "no initialised token has the label \"second\"");
    let void =
        ["void", "--plan", path.to_str().unwrap(), "--reason", "dead", "--operator", "carol", "--witness", "dave"];
    let statement = station.run(&void).ok()["statement-file"].as_str().unwrap().to_owned();
    let signed = station.approve(Path::new(&statement));
    let given: Vec<&str> = signed.iter().flat_map(|file| ["--approval", file.to_str().unwrap()]).collect();
    let run = station.run(&[&void[..], &given].concat());
    assert!(run.err.contains("token `second` is not asked for its keys on record"), "{run:?}");
    run.ok();
    let told = |body: &Body| matches!(body, Body::Failure { what } if what.contains("login to token second"));
    assert!(station.bodies().iter().any(told) && made(&station) == 1);
    station.check_log();
}
