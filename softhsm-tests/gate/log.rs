//! Attacks on the audit key, on the mark, and on the question whose log and whose token it is.

use std::fs;
use std::path::Path;

use coldroot::approval;
use coldroot::audit::entry::{Body, Entry, Genesis};
use coldroot::audit::mark::Mark;
use coldroot::audit::{Log, Sealer, merkle, note};
use coldroot::change::recorded;
use coldroot::config::{Environment, Hierarchy};
use coldroot::digest::Digest;
use coldroot::gate::{Gate, Reply, Request};
use coldroot::plan::{self, Kind};

use super::station::{Parent, World, gate_at, nonsense, refused, world};

fn checkpoint(size: u64, root: Digest, consistency: &[Digest]) -> Request {
    Request::SignCheckpoint { size, root, consistency: consistency.to_vec() }
}

fn something(n: u64) -> Entry {
    Entry::new(n as i64, Body::Failure { what: format!("something {n}") })
}

#[test]
fn p04_a_checkpoint_that_does_not_grow_from_the_mark_is_not_signed() {
    let world = world();
    let mut parent = world.parent();
    for n in 0..5 {
        parent.append(something(n).body);
    }
    let mark = Mark::decode(&parent.gate.mark().unwrap().unwrap()).unwrap();
    let (old, new) = (mark.size, parent.log.size());
    let root = parent.log.root().unwrap();
    let proof = parent.log.consistency_proof(old, new).unwrap();
    let backwards = parent.log.consistency_proof(old - 1, old).unwrap();
    let elsewhere = parent.log.consistency_proof(old - 1, new).unwrap();
    let attacks = [
        ("smaller", checkpoint(old - 1, parent.log.root_at(old - 1).unwrap(), &backwards)),
        ("smaller, no proof", checkpoint(1, parent.log.root_at(1).unwrap(), &[])),
        ("empty", checkpoint(0, merkle::empty_root(), &[])),
        ("the mark's size, another root", checkpoint(old, nonsense(), &[])),
        ("larger, no proof", checkpoint(new, root, &[])),
        ("larger, another root", checkpoint(new, nonsense(), &proof)),
        ("a proof from elsewhere", checkpoint(new, root, &elsewhere)),
        ("a cut proof", checkpoint(new, root, &proof[1..])),
        ("a longer proof", checkpoint(new, root, &[proof.clone(), vec![nonsense()]].concat())),
        ("twice the size, its proof", checkpoint(2 * new, root, &proof)),
        ("the largest size", checkpoint(u64::MAX, root, &proof)),
        ("a very long proof", checkpoint(new, root, &[nonsense(); 200])),
    ];
    world.unchanged(parent, |parent| {
        for (case, attack) in attacks {
            let what = parent.refused(attack);
            assert!(what.contains("does not grow from"), "{case}: {what}");
        }
    });
}

#[test]
fn p04_two_histories_are_never_both_signed_not_even_by_two_processes() {
    let world = world();
    let mut parent = world.parent();
    parent.seal();
    // A fork: the same log up to the mark, then another entry.
    let copy = world.dir.join("fork");
    let _ = fs::remove_dir_all(&copy);
    copy_dir(&world.station.join("audit"), &copy);
    let mut fork = Log::open(&copy).unwrap();
    let old = parent.log.size();
    fork.append(&something(100)).unwrap();
    let forged = checkpoint(old + 1, fork.root().unwrap(), &fork.consistency_proof(old, old + 1).unwrap());

    parent.append(something(200).body);
    parent.log.sync().unwrap();
    let (size, root) = (old + 1, parent.log.root().unwrap());
    let proof = parent.log.consistency_proof(old, size).unwrap();
    let signed = parent.gate.sign_checkpoint(size, root, &proof).unwrap();
    // The gate is lost before anybody has seen its signature in a file; the mark knows it all the same.
    drop(parent);
    assert_eq!((world.mark().size, world.mark().root), (size, root));
    let mut parent = world.parent();
    let Reply::Note(again) = parent.ask(checkpoint(size, root, &[])) else { panic!("no note") };
    // The same checkpoint; an ECDSA signature is another one each time.
    let key = note::VerifierKey::parse(fs::read_to_string(world.station.join("verifier-key")).unwrap().trim()).unwrap();
    assert_eq!(note::open(&again, &key), note::open(&signed, &key));
    world.unchanged(parent, |parent| {
        assert!(parent.refused(forged).contains("does not grow from"));
    });
    // The honest log goes on from where it is.
    let mut parent = world.parent();
    parent.seal();
    assert_eq!(note::open(&signed, &key).unwrap().root, root);
}

#[test]
fn p04_one_gate_at_a_time_holds_a_token() {
    let world = world();
    let parent = world.parent();
    world.unchanged(parent, |_| {
        let mut second = world.gate();
        let what = refused(&mut second, Request::Login { token: "log".into() });
        assert!(what.contains("another coldroot process is logged in"), "{what}");
        assert!(refused(&mut second, Request::Mark).contains("nobody is logged in"));
        assert!(refused(&mut second, checkpoint(1, nonsense(), &[])).contains("no mark"));
    });
}

#[test]
fn p01_a_station_begins_once() {
    let world = world();
    let approvals = world.sign(&plan::init_statement(&world.hierarchy), &["alice", "bob"]);
    let init = || Request::Init { approvals: approvals.clone() };
    let mut gate = world.gate();
    assert!(refused(&mut gate, init()).contains("nobody is logged in"));
    drop(gate);
    world.unchanged(world.parent(), |parent| {
        assert!(parent.refused(init()).contains("already carries the mark"));
        assert!(parent.refused(Request::Init { approvals: vec![] }).contains("already carries the mark"));
    });
    assert_eq!(world.on_token("log", "audit").len(), 1);
}

/// The attacker's roster, the true tokens.
fn false_roster(world: &World, text: &str) -> String {
    text.replace(&world.public("alice"), &world.public("eve")).replace(&world.public("bob"), &world.public("mallory"))
}

#[test]
fn p01_another_hierarchy_under_the_same_origin_gets_nothing_from_the_token() {
    let world = world();
    let objects = world.objects();
    type Change = fn(&World, &str) -> String;
    let changes: [(&str, Change); 3] = [
        ("roster", false_roster),
        ("comment", |_, text| format!("{text}# harmless\n")),
        ("audit", |w, text| false_roster(w, text).replace("key-label = \"audit\"", "key-label = \"audit-2\"")),
    ];
    for (name, change) in changes {
        let station = world.false_station(&format!("false-{name}"), &change(&world, &world.hierarchy_text()));
        let hierarchy = Hierarchy::load(&station.join("hierarchy.toml")).unwrap();
        let mut gate = gate_at(&station);
        let what = refused(&mut gate, Request::Login { token: "log".into() });
        assert!(what.contains("hierarchy.toml is not the one"), "{what}");
        // The PIN was right: the login must not have stayed.
        let approvals = world.sign(&plan::init_statement(&hierarchy), &["eve", "mallory"]);
        assert!(refused(&mut gate, Request::Init { approvals }).contains("nobody is logged in"));
        assert!(refused(&mut gate, Request::Login { token: "log".into() }).contains("asked for once"));
        assert!(refused(&mut gate, Request::Mark).contains("nobody is logged in"));
        assert!(refused(&mut gate, checkpoint(1, nonsense(), &[])).contains("no mark"));
        assert_eq!(world.objects(), objects);
    }
    // Another origin altogether.
    let text = world.hierarchy_text().replace("example.org/coldroot/gate", "example.org/coldroot/other");
    let mut gate = gate_at(&world.false_station("false-origin", &text));
    assert!(refused(&mut gate, Request::Login { token: "log".into() }).contains("the mark of another log"));
    assert_eq!(world.objects(), objects);
}

/// The deepest one: a hierarchy of the attacker's own, whose audit token is his, begun in order, and which names the true
/// token's CA keys. Everything but the tokens says that it is a station like any other.
#[test]
fn p01_a_log_of_the_attackers_own_gets_no_key_of_the_true_token() {
    let world = world();
    let objects = world.objects();
    let text = false_roster(&world, &world.hierarchy_text());
    let (head, tokens) = text.split_once("[[token]]").unwrap();
    let tokens = format!("[[token]]{}", without_standby(tokens));
    let head = head.replace("audit = { token = \"log\"", "audit = { token = \"stray\"");
    let station = world.false_station("stray", "");
    world.another_token(&station, &head, &tokens, "stray");
    let hierarchy = Hierarchy::load(&station.join("hierarchy.toml")).unwrap();

    let mut gate = gate_at(&station);
    gate.login("stray").unwrap();
    let approvals = world.sign(&plan::init_statement(&hierarchy), &["eve", "mallory"]);
    let (verifier_key, _) = gate.init(&approvals).unwrap();
    let mut log = Log::create(&station.join("audit"), &hierarchy.origin).unwrap();
    let genesis = Genesis {
        origin: hierarchy.origin.clone(),
        name: hierarchy.name.clone(),
        environment: Environment::Rehearsal,
        hierarchy: hierarchy.digest,
        verifier_key,
        approvals: vec![],
        requesters: Digest::default(),
        program: "0".into(),
    };
    log.append(&Entry::new(0, Body::Genesis(genesis))).unwrap();
    log.checkpoint(&mut gate).unwrap();
    // The operator is told to log in to the CA's token, and does.
    gate.login("main").unwrap();
    let mut parent = Parent { gate, log, release: 0 };
    for (kind, items) in [(Kind::Certificates, world.items.clone()), (Kind::Keys, vec![spare()])] {
        let (name, digest) = (hierarchy.name.clone(), hierarchy.digest);
        let plan = world.plan(&parent, kind, &items, |h| (h.name, h.hierarchy) = (name, digest));
        let approvals = world.sign(&plan.statement, &["eve", "mallory"]);
        let quorate =
            approval::quorate(&plan.statement, &approvals, &hierarchy, &hierarchy.quorum_certificates, 0).unwrap();
        let (operator, witness) = ("carol".into(), "dave".into());
        let approved = recorded(quorate.approvals());
        let start = coldroot::audit::entry::Start {
            plan: plan.digest,
            approvals: approved,
            operator,
            witness,
            witness_time: None,
        };
        let index = parent.append(Body::Start(start));
        parent.seal();
        let start = parent.start(&plan, &approvals, index);
        assert!(matches!(parent.ask(start), Reply::Started));
        let what = parent.refused(Request::Do { items: vec![0] });
        assert!(what.contains("the keys of token `main` do not belong to this log"), "{what}");
        parent.finish(&plan);
    }
    drop(parent);
    assert_eq!(world.objects(), objects);
    assert!(world.on_token("main", "spare").is_empty());
}

fn spare() -> plan::Item {
    plan::Item::GenerateKey(plan::GenerateKey {
        key: "spare-key".into(),
        token: "main".into(),
        label: "spare".into(),
        cka_id: vec![1; 16].into(),
        algorithm: coldroot::algorithm::KeyAlgorithm::EcdsaP256,
        backup: coldroot::config::Backup::None,
    })
}

/// Only the audit key's token has one.
fn without_standby(tokens: &str) -> String {
    tokens.lines().filter(|line| !line.starts_with("standby = ")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn p01_a_station_begins_only_with_its_own_rosters_quorum() {
    let world = world();
    let text = world.hierarchy_text();
    let (head, tokens) = text.split_once("[[token]]").unwrap();
    let tokens = format!("[[token]]{}", without_standby(tokens));
    let head = head.replace("audit = { token = \"log\"", "audit = { token = \"new\"");
    let station = world.false_station("new", "");
    world.another_token(&station, &head, &tokens, "new");
    let hierarchy = Hierarchy::load(&station.join("hierarchy.toml")).unwrap();
    let statement = plan::init_statement(&hierarchy);
    let mut gate: Gate = gate_at(&station);
    gate.login("new").unwrap();
    let elsewhere = plan::init_statement(&world.hierarchy);
    let cases = [
        (vec![], "given: none"),
        (world.sign(&statement, &["alice", "alice-2"]), "given: alice"),
        (world.sign(&statement, &["alice", "eve"]), "not in the roster"),
        (world.sign(&elsewhere, &["alice", "bob"]), "not over this text"),
    ];
    for (approvals, why) in cases {
        let what = refused(&mut gate, Request::Init { approvals });
        assert!(what.contains(why), "{what}");
        assert!(refused(&mut gate, checkpoint(1, nonsense(), &[])).contains("no mark"));
    }
    assert!(matches!(gate.ask(&Request::Mark).unwrap(), Reply::Mark(None)));
    drop(gate);

    // Begun, but killed before its first checkpoint: the key is adopted, and of two first checkpoints one is signed.
    let approvals = world.sign(&statement, &["alice", "bob"]);
    let begin = |station: &Path| {
        let mut gate = gate_at(station);
        gate.login("new").unwrap();
        let (key, adopted) = gate.init(&approvals).unwrap();
        (gate, key, adopted)
    };
    let (first, key, adopted) = begin(&station);
    assert!(!adopted);
    drop(first);
    let (mut second, same, adopted) = begin(&station);
    assert!(adopted && same == key);
    assert!(refused(&mut second, checkpoint(0, merkle::empty_root(), &[])).contains("does not grow"));
    let root = merkle::leaf_hash(b"genesis");
    second.sign_checkpoint(1, root, &[]).unwrap();
    drop(second);
    let mut third = gate_at(&station);
    third.login("new").unwrap();
    assert!(refused(&mut third, Request::Init { approvals: approvals.clone() }).contains("already carries the mark"));
    assert!(refused(&mut third, checkpoint(1, nonsense(), &[])).contains("does not grow"));
}

pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
