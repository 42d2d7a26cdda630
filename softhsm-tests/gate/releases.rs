//! A release by a parent that left out what was approved.

use std::fs;

use coldroot::audit::entry::{Body, End, Entry};
use coldroot::audit::note::VerifierKey;
use coldroot::gate::{Reply, Request};
use coldroot::ledger::Ledger;
use coldroot::plan::{Kind, Plan};
use coldroot::release::{self, Basis, Trust};

use super::station::{Parent, World};

fn folded(parent: &Parent) -> Ledger {
    let mut ledger = Ledger::default();
    for entry in parent.log.entries(0..parent.log.size()) {
        let (index, entry, _) = entry.unwrap();
        ledger.add(index, &entry).unwrap();
    }
    ledger
}

#[test]
fn p12_a_release_that_leaves_approved_items_out_is_not_believed() {
    let world = World::build_in("gate-release");
    let mut parent = world.parent();
    let file = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let plan = Plan::open(&file.path).unwrap();
    let head = plan.head().clone();
    parent.log.put_artefact(&fs::read(&file.path).unwrap()).unwrap();
    for signature in world.sign(&file.statement, &["alice", "bob"]) {
        parent.log.put_artefact(signature.as_bytes()).unwrap();
    }
    parent.append(Body::Planned {
        plan: file.digest,
        kind: head.kind,
        items: head.items,
        refused: head.refused,
        bundle: None,
        counts: head.counts.clone(),
    });
    let start = world.start(&mut parent, &file);
    assert!(matches!(parent.ask(start), Reply::Started));
    // Nothing is asked for and nothing recorded; the plan ends, and its release is made as always.
    let ledger = folded(&parent);
    let (at, start) = ledger.plans[&file.digest].start.clone().unwrap();
    let out = world.dir.join("out");
    fs::create_dir_all(&out).unwrap();
    let release = ledger.release + 1;
    let size = parent.log.size();
    let basis = Basis { log: &parent.log, size, ledger: &ledger, plan: &plan, start: (at, &start), release };
    let manifest = release::prepare(&out, &basis).unwrap();
    let end = Body::End(End { plan: file.digest, release, done: 0, refused: 0, manifest });
    let index = parent.log.append(&Entry::new(1_795_305_600, end)).unwrap();
    parent.seal();
    let request: Request = parent.end(index);
    assert!(matches!(parent.ask(request), Reply::Ended));
    let ledger = folded(&parent);
    let note = parent.log.checkpoint_text().unwrap().to_owned();
    let size = parent.log.size();
    let basis = Basis { log: &parent.log, size, ledger: &ledger, plan: &plan, start: (at, &start), release };
    let made = release::make(&out, &basis, &manifest, &note).unwrap();

    let key = VerifierKey::parse(&parent.log.genesis().unwrap().verifier_key).unwrap();
    let trust = Trust { verifier_key: &key, hierarchy: Some(&world.hierarchy), root: None, now: head.sign_from };
    let refused = release::check(made.directory(), &trust).err().expect("refused").to_string();
    let said = format!("0 items of the plan are on record, {} were approved", head.items);
    assert!(refused.contains(&said), "{refused}");
}
