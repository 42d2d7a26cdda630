//! Logs written here, judged by `audit-logs/verify.py`, which shares no code with this room.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::entry::{
    Approved, Body, ClockCorrected, Decision, Entry, Evidence, EvidenceKind, HandedOver, HierarchyAdopted, LogAdopted,
    PinSplit, ShareOf, Start,
};
use super::order::tests::{end, planned, refused, start};
use super::station::{HIERARCHY, Signer, entry, genesis, scratch};
use super::{Log, Sealer};
use crate::cbor::Bytes;
use crate::digest::Digest;
use crate::plan::{BundleRef, Count};

fn verify(audit: &Path, key: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("audit-logs/verify.py");
    // -B: the checkout is not written to.
    let run = Command::new("python3").arg("-B").arg(script).arg(audit).args(["--verifier-key", key, "--json"]).output();
    run.expect("python3 with the package `cryptography` is needed (apt: python3-cryptography)")
}

fn station(dir: &Path, signer: &mut Signer) -> Log {
    let mut log = Log::create(&dir.join("audit"), signer.origin()).unwrap();
    log.put_artefact(HIERARCHY).unwrap();
    let plan = log.put_artefact(b"a plan").unwrap();
    let signature = log.put_artefact(b"-----BEGIN SSH SIGNATURE-----").unwrap();
    let checkpoint = log.put_artefact(b"the note of release 1").unwrap();
    let report = log.put_artefact(b"a report").unwrap();
    log.append(&genesis(signer)).unwrap();
    let of_genesis = log.root_at(1).unwrap();
    let mut put = |entry: Entry| log.append(&entry).unwrap();
    put(Entry::new(-1, Body::Open { mark_size: 1, cut: 300 }));
    put(Entry::new(70_000, Body::PinTry { token: "audit".into() }));
    put(Entry::new(
        70_000,
        Body::Login { token: "audit".into(), serial: "\u{e4}\u{20ac}".into(), module: "SoftHSM".into() },
    ));
    let (token, serial) = ("audit".to_owned(), "\u{e4}".to_owned());
    put(Entry::new(
        70_000,
        Body::Probe { token: token.clone(), serial: serial.clone(), report, able: true, protected: None },
    ));
    let (right, missing, wrong, unexpected) = (3, 0, 1, u64::MAX);
    put(Entry::new(70_000, Body::Inventory { token, serial, report, right, missing, wrong, unexpected }));
    let (set, token) = (Bytes::from(vec![0xab, 0, 1]), String::from("audit"));
    let shares = vec![
        ShareOf { custodian: Some("anna".into()), digest: Digest([5; 32]) },
        ShareOf { custodian: None, digest: Digest([6; 32]) },
    ];
    let split = PinSplit { token: token.clone(), set: set.clone(), threshold: 2, shares };
    put(Entry::new(70_000, Body::PinSplit(split)));
    put(Entry::new(70_000, Body::PinSplitDone { token, set, new_pin: true }));
    let bundle = BundleRef { desk: "desk".into(), sequence: 1, digest: Digest([7; 32]) };
    put(Entry::new(70_000, Body::BundleReceived { bundle: bundle.clone(), count: 2, revocations: 0 }));
    let count = Count { act: "batch".into(), ca: "ca".into(), detail: "leaf".into(), count: 1 };
    let Body::Planned { kind, .. } = planned(plan, 3) else { unreachable!() };
    let (bundle, counts) = (Some(bundle), vec![count]);
    put(Entry::new(70_000, Body::Planned { plan, kind, items: 3, refused: 1, bundle, counts }));
    let Body::Start(first) = start(plan) else { unreachable!() };
    let approvals = vec![Approved { person: "anna".into(), fingerprint: "SHA256:x".into(), signature }];
    put(Entry::new(70_000, Body::Start(Start { approvals, witness_time: Some(70_100), ..first })));
    put(Entry::new(70_000, refused(plan)));
    put(Entry::new(70_000, end(plan, 0, 1)));
    let (manifest, target) = (Digest([8; 32]), "/media/x".into());
    put(Entry::new(70_000, Body::ReleaseWritten { release: 1, manifest, checkpoint, target }));
    let mut changes = 0;
    let mut decision = || Decision {
        reason: "why".into(),
        release: 1,
        change: {
            changes += 1;
            changes
        },
        approvals: vec![Approved { person: "anna".into(), fingerprint: "SHA256:x".into(), signature }],
        operator: "op".into(),
        witness: "wit".into(),
        witness_time: Some(70_000),
    };
    let hierarchy = Digest::of(HIERARCHY);
    let (root, persons) = (Digest([9; 32]), vec![String::from("anna"), String::from("bob")]);
    let evidence = Evidence {
        kind: EvidenceKind::HsmLog,
        what: "the HSM's log".into(),
        artefact: report,
        withheld: false,
        octets: 8,
        person: "anna".into(),
    };
    for body in [
        Body::HierarchyAdopted(HierarchyAdopted { before: hierarchy, hierarchy: report, decision: decision() }),
        Body::LogAdopted(LogAdopted {
            mark_size: 30,
            mark_root: root,
            mark_release: 1,
            mark_plan: None,
            mark_hierarchy: hierarchy,
            token: "1".into(),
            size: 1,
            root: of_genesis,
            release: 1,
            hierarchy: report,
            decision: decision(),
        }),
        Body::HandedOver(HandedOver {
            token: "audit".into(),
            from: "1".into(),
            to: "2".into(),
            lost: true,
            size: 1,
            root: of_genesis,
            plan: None,
            decision: decision(),
        }),
        Body::ClockCorrected(ClockCorrected { from: 80_000, to: 70_000, decision: decision() }),
        Body::MediumRead { name: "b.bundle".into(), digest: report, octets: 10 },
        Body::CopyWritten { target: "/media/copy".into(), size: 20, root },
        Body::Indexed { size: 20, digest: root },
        Body::Step { script: report, number: 1, persons: persons.clone() },
        Body::Deviation { what: "the lamp failed".into(), persons },
        Body::Evidence(evidence),
    ] {
        log.append(&Entry::new(70_000, body)).unwrap();
    }
    for index in log.size()..300 {
        log.append(&entry(index)).unwrap();
    }
    log.checkpoint(signer).unwrap();
    log.append(&entry(300)).unwrap();
    log.append(&entry(301)).unwrap();
    log.sync().unwrap();
    log
}

#[test]
fn p04_the_python_verifier_accepts_a_log_and_reports_the_same() {
    let dir = scratch();
    let mut signer = Signer::new();
    drop(station(dir.path(), &mut signer));
    let audit = dir.path().join("audit");
    let out = verify(&audit, &signer.key().to_string());
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let found: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let ours = super::check::check(&audit, signer.key()).unwrap();
    assert_eq!(found["ok"], true);
    assert_eq!(found["size"], ours.size);
    assert_eq!(found["root"], ours.root.hex());
    assert_eq!(found["unsealed"], 2);
    assert_eq!(found["counts"], serde_json::to_value(&ours.counts).unwrap());
    assert_eq!(found["artefacts"], ours.artefacts);
    assert_eq!(found["absent"], ours.absent);
    assert_eq!(signer.sealed(), (300, ours.root));
}

#[test]
fn p04_the_python_verifier_refuses_one_changed_byte_and_another_key() {
    let dir = scratch();
    let mut signer = Signer::new();
    drop(station(dir.path(), &mut signer));
    let audit = dir.path().join("audit");
    let key = signer.key().to_string();
    for (path, places) in [
        ("tile/entries/000", vec![0, 1, 2, 60, 5000]),
        ("tile/entries/001.p/44", vec![30]),
        ("tile/0/000", vec![0, 8191]),
        ("tile/1/000.p/1", vec![31]),
        ("tail", vec![3, 60, 120, 350]),
        ("checkpoint", vec![0, 25, 120]),
    ] {
        let whole = fs::read(audit.join(path)).unwrap();
        for at in places {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(audit.join(path), bytes).unwrap();
            let out = verify(&audit, &key);
            assert_eq!(out.status.code(), Some(4), "{path} octet {at}: {}", String::from_utf8_lossy(&out.stdout));
            let found: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            assert_eq!(found["ok"], false);
        }
        fs::write(audit.join(path), &whole).unwrap();
    }
    let other = super::note::VerifierKey::new(signer.origin(), [3; 32]).unwrap();
    assert_eq!(verify(&audit, &other.to_string()).status.code(), Some(4));
    assert!(verify(&audit, &key).status.success());
}
