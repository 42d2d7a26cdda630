//! Entries that were put behind the last checkpoint while a run stood still: the next run would seal and release them.

use std::fs;
use std::path::{Path, PathBuf};

use coldroot::audit::Log;
use coldroot::audit::entry::{Body, CertificateIssued, CrlIssued, Entry};
use coldroot::digest::Digest;
use coldroot::plan::{Certificate, Item, Plan};
use coldroot::{tbs, x509};

use crate::harness::batch::{Batch, killed_at};
use crate::harness::station::{Station, now};

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
