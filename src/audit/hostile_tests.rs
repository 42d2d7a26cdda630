//! Logs that break one rule each, under a good checkpoint, as whoever holds the audit key may write them: this room and
//! `audit-logs/verify.py` accept and refuse the same ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::check::check;
use super::entry::{
    Body, ClockCorrected, CsrMade, Decision, End, Entry, Evidence, EvidenceKind, HierarchyAdopted, KeyBackedUp,
    KeyDestroyed, KeyGenerated, KeyProven, KeyRestored, LogAdopted,
};
use super::order::tests::{PLAN, end, planned, start};
use super::station::{HIERARCHY, Signer, genesis, scratch};
use super::{Log, merkle};
use crate::algorithm::KeyAlgorithm;
use crate::digest::Digest;
use crate::plan::Kind;

const LOST: Digest = Digest([5; 32]);
const NOW: i64 = 70_000;

fn of_keys() -> Body {
    Body::Planned { plan: PLAN, kind: Kind::Keys, items: 9, refused: 0, bundle: None, counts: vec![] }
}

fn generated(item: u64, spki: &[u8]) -> Body {
    Body::KeyGenerated(KeyGenerated {
        plan: PLAN,
        item,
        key: "a".into(),
        token: "main".into(),
        label: "label".into(),
        cka_id: vec![1].into(),
        algorithm: KeyAlgorithm::EcdsaP256,
        spki: spki.to_vec().into(),
        attributes: vec![],
        adopted: false,
    })
}

/// Each act on a key, as item `item` of the plan.
fn acts(item: u64, key: &str, spki: Digest) -> [Body; 4] {
    let (plan, token, label, key) = (PLAN, String::from("main"), String::from("label"), String::from(key));
    let (backup, signature, inventory) = (Digest([2; 32]), Digest([3; 32]), Digest([4; 32]));
    [
        Body::KeyBackedUp(KeyBackedUp {
            plan,
            item,
            key: key.clone(),
            token: token.clone(),
            spki,
            wrapping_key: "wrap".into(),
            mechanism: "CKM_AES_KEY_WRAP_KWP".into(),
            backup,
            signature,
        }),
        Body::KeyRestored(KeyRestored {
            plan,
            item,
            key: key.clone(),
            token: token.clone(),
            spki,
            backup,
            attributes: vec![],
            adopted: false,
            signature,
        }),
        Body::KeyProven(KeyProven { plan, item, key: key.clone(), token: token.clone(), spki, signature }),
        Body::KeyDestroyed(KeyDestroyed {
            plan,
            item,
            key,
            token,
            label,
            cka_id: vec![1].into(),
            spki,
            found: true,
            inventory,
        }),
    ]
}

fn decision(change: u64, release: u64) -> Decision {
    let (reason, operator, witness) = ("why".into(), "op".into(), "wit".into());
    Decision { reason, release, change, approvals: vec![], operator, witness, witness_time: None }
}

/// An adoption of the log's first entry, as its first change.
fn lost(first: Digest) -> LogAdopted {
    LogAdopted {
        mark_size: 30,
        mark_root: Digest([9; 32]),
        mark_release: 4,
        mark_plan: None,
        mark_hierarchy: LOST,
        token: "1".into(),
        size: 1,
        root: first,
        release: 0,
        hierarchy: Digest::of(HIERARCHY),
        decision: decision(1, 4),
    }
}

fn adopts(before: Digest, hierarchy: Digest, change: u64, release: u64) -> Body {
    Body::HierarchyAdopted(HierarchyAdopted { before, hierarchy, decision: decision(change, release) })
}

fn back(change: u64, release: u64) -> Body {
    Body::ClockCorrected(ClockCorrected { from: NOW + 9, to: NOW, decision: decision(change, release) })
}

struct Case {
    name: String,
    bodies: Vec<Body>,
    lawful: bool,
}

fn cases(first: Digest) -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |name: &str, lawful: bool, bodies: Vec<Body>| all.push(Case { name: name.into(), bodies, lawful });
    let spki = Digest::of(b"spki a");
    for n in 0..4 {
        let act = |item, key, spki| acts(item, key, spki)[n].clone();
        let made = || vec![of_keys(), start(PLAN), generated(0, b"spki a")];
        let after = |body| made().into_iter().chain([body]).collect::<Vec<_>>();
        add(&format!("act {n}"), true, after(act(1, "a", spki)));
        add(&format!("act {n} on another key"), false, after(act(1, "a", Digest::of(b"spki b"))));
        add(&format!("act {n} on a name that has none"), false, after(act(1, "b", spki)));
        add(&format!("act {n} before the key"), false, vec![of_keys(), start(PLAN), act(0, "a", spki)]);
        let anew = [generated(1, b"spki b"), act(2, "a", spki)];
        add(&format!("act {n} on the key from before"), false, made().into_iter().chain(anew).collect());
    }
    let csr = || Body::Csr(CsrMade { plan: PLAN, item: 0, ca: "outside".into(), der: vec![0x30, 0].into() });
    add("a request in a plan of keys", false, vec![of_keys(), start(PLAN), csr()]);
    add("a request before its plan is started", false, vec![planned(PLAN, 1), csr()]);
    add("a request beyond its plan", false, vec![planned(PLAN, 0), start(PLAN), csr()]);
    let right = || lost(first);
    let adopted = |made: LogAdopted| vec![Body::LogAdopted(made)];
    add("an adopted log", true, adopted(right()));
    add("the same hierarchy", true, adopted(LogAdopted { mark_hierarchy: Digest::of(HIERARCHY), ..right() }));
    add("a release that was not the last", false, adopted(LogAdopted { release: 1, ..right() }));
    add("another hierarchy than the one in force", false, adopted(LogAdopted { hierarchy: LOST, ..right() }));
    add("a decision after another release than the mark's", false, adopted(LogAdopted { mark_release: 5, ..right() }));
    add("an empty log", false, adopted(LogAdopted { size: 0, root: merkle::empty_root(), ..right() }));
    add("a log that goes beyond the entry", false, adopted(LogAdopted { size: 2, ..right() }));
    let then = |body: Body| vec![Body::LogAdopted(right()), body];
    add("the hierarchy of the mark is in force", true, then(adopts(LOST, Digest([6; 32]), 2, 4)));
    add("the one from before is not", false, then(adopts(Digest::of(HIERARCHY), Digest([6; 32]), 2, 4)));
    add("the mark's release is the last", true, then(back(2, 4)));
    add("the one from before is not the last", false, then(back(2, 0)));
    let most = || LogAdopted { decision: decision(u64::MAX, 4), ..right() };
    add("the greatest number", true, adopted(most()));
    add("nothing follows the greatest number", false, vec![Body::LogAdopted(most()), back(u64::MAX, 4)]);
    let again = LogAdopted { release: 4, hierarchy: LOST, ..most() };
    add("nor a second adoption", false, vec![Body::LogAdopted(most()), Body::LogAdopted(again)]);
    let released = |first, second| {
        let other = Digest([2; 32]);
        let end = |plan, release| {
            let (done, refused, manifest) = (0, 0, Digest([8; 32]));
            Body::End(End { plan, release, done, refused, manifest })
        };
        vec![
            planned(PLAN, 1),
            planned(other, 1),
            start(PLAN),
            end(PLAN, first),
            Body::LogAdopted(LogAdopted { release: first, ..right() }),
            start(other),
            end(other, second),
        ]
    };
    add("releases that follow each other and a loss", true, released(1, 5));
    add("a release that was there before", false, released(1, 4));
    add("a release that is left out", false, released(1, 6));
    add("a first release that is none", false, released(0, 5)[..4].to_vec());
    add("a first release that is the second", false, released(2, 5)[..4].to_vec());
    let ended = [planned(PLAN, 1), start(PLAN), end(PLAN, 0, 0)];
    let on = |made| ended.iter().cloned().chain(adopted(made)).collect::<Vec<_>>();
    add("behind release 1", true, on(LogAdopted { release: 1, ..right() }));
    add("behind release 1, which it has not", false, on(right()));
    let less = LogAdopted { release: 1, mark_release: 0, decision: decision(1, 0), ..right() };
    add("a mark that is behind the log's release", false, on(less));
    all
}

/// A sealed log of these bodies behind a genesis entry.
fn written(dir: &Path, signer: &mut Signer, bodies: &[Body]) -> PathBuf {
    *signer = Signer::new();
    let mut log = Log::create(dir, signer.origin()).unwrap();
    log.append(&genesis(signer)).unwrap();
    for body in bodies {
        log.append(&Entry::new(NOW, body.clone())).unwrap();
    }
    log.checkpoint(signer).unwrap();
    dir.to_path_buf()
}

/// What verify.py says of each log, in one process.
fn of_python(logs: &[PathBuf], key: &str) -> Vec<String> {
    const EACH: &str = "
import sys, verify
for log in sys.argv[2:]:
    try:
        verify.verify(log, verify.VerifierKey(sys.argv[1]))
        print('good')
    except verify.Refused as refused:
        print(refused.line())
";
    let mut run = Command::new("python3");
    run.args(["-B", "-c", EACH, key]).args(logs);
    let out =
        run.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("audit-logs")).output().expect("python3");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn p04_what_breaks_a_rule_is_refused_by_both_verifiers() {
    let dir = scratch();
    let mut signer = Signer::new();
    let first = merkle::leaf_hash(&genesis(&signer).encode().unwrap());
    let (mut logs, mut lawful) = (Vec::new(), Vec::new());
    for (n, case) in cases(first).into_iter().enumerate() {
        let log = written(&dir.path().join(n.to_string()), &mut signer, &case.bodies);
        // A copy without a tail: artefacts may be elsewhere.
        fs::remove_file(log.join("tail")).unwrap();
        logs.push(log);
        lawful.push((case.name, case.lawful, case.bodies.len() as u64));
    }
    // An adoption whose log is under no checkpoint yet, on a station.
    let unsealed = written(&dir.path().join("unsealed"), &mut signer, &[]);
    let mut log = Log::open(&unsealed).unwrap();
    log.put_artefact(HIERARCHY).unwrap();
    log.append(&Entry::new(NOW, Body::Failure { what: "x".into() })).unwrap();
    let (root, hierarchy) = (log.root_at(2).unwrap(), Digest::of(HIERARCHY));
    let beyond = LogAdopted { size: 2, root, mark_hierarchy: hierarchy, ..lost(first) };
    log.append(&Entry::new(NOW, Body::LogAdopted(beyond))).unwrap();
    log.sync().unwrap();
    drop(log);
    logs.push(unsealed);
    lawful.push(("a log without a checkpoint".into(), false, 2));
    // What an entry must hold is held, though another entry named it first, and did not need it.
    let evidence = |withheld| Evidence {
        kind: EvidenceKind::Photo,
        what: "seals".into(),
        artefact: Digest::of(b"photo"),
        withheld,
        octets: 5,
        person: "ann".into(),
    };
    let read = Body::MediumRead { name: "seals.jpg".into(), digest: Digest::of(b"photo"), octets: 5 };
    for (name, here, shown) in [("read", false, None), ("shown", false, Some(false)), ("held", true, Some(false))] {
        let bodies: Vec<Body> =
            [read.clone()].into_iter().chain(shown.map(|withheld| Body::Evidence(evidence(withheld)))).collect();
        let station = written(&dir.path().join(name), &mut signer, &bodies);
        let mut log = Log::open(&station).unwrap();
        log.put_artefact(HIERARCHY).unwrap();
        if here {
            log.put_artefact(b"photo").unwrap();
        }
        drop(log);
        logs.push(station);
        lawful.push((name.into(), here || shown.is_none(), bodies.len() as u64));
    }
    let said = of_python(&logs, &signer.key().to_string());
    assert_eq!(said.len(), logs.len());
    for ((log, said), (name, lawful, last)) in logs.iter().zip(said).zip(lawful) {
        let ours = check(log, signer.key());
        assert_eq!((ours.is_ok(), said == "good"), (lawful, lawful), "{name}: {ours:?}; verify.py: {said}");
        // Both name the last entry, which is the one that breaks the rule.
        if let Err(finding) = ours {
            assert_eq!(finding.entry, Some(last), "{name}: {finding}");
            assert!(said.starts_with(&format!("entry {last}: ")), "{name}: {said}");
        }
    }
}
