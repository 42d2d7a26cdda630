//! A log in the place of the one that the mark knows: only by the quorum, for this very mark, and by a tree that continues it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use coldroot::audit::entry::{Body, Decision, Entry, LogAdopted};
use coldroot::audit::mark::Mark;
use coldroot::audit::{Log, merkle};
use coldroot::cbor::Bytes;
use coldroot::change;
use coldroot::digest::Digest;
use coldroot::gate::{Proven, Reply, Request};
use coldroot::plan::Kind;

use super::harness::copy_tree;
use super::station::{Parent, World, nonsense, world};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A log that is left, and what its adoption would say.
struct Left {
    log: Log,
    right: LogAdopted,
}

impl Left {
    fn new(world: &World, log: Log, mark: &Mark) -> Left {
        let decision = Decision {
            reason: "why".into(),
            release: mark.release,
            change: mark.changes + 1,
            approvals: Vec::new(),
            operator: "carol".into(),
            witness: "dave".into(),
            witness_time: None,
        };
        let right = LogAdopted {
            mark_size: mark.size,
            mark_root: mark.root,
            mark_release: mark.release,
            mark_plan: mark.open_plan,
            mark_hierarchy: mark.hierarchy,
            token: mark.token.clone(),
            size: log.sealed_size(),
            root: log.root_at(log.sealed_size()).unwrap(),
            release: mark.release,
            hierarchy: world.hierarchy.digest,
            decision,
        };
        Left { log, right }
    }

    /// The entry of an adoption, with what these persons sign of it; its index.
    fn put(&mut self, world: &World, made: LogAdopted, time: i64, persons: &[&str]) -> (u64, Vec<String>) {
        let statement = change::statement(&world.hierarchy, None, &Body::LogAdopted(made.clone())).unwrap();
        let signatures = world.sign(&statement, persons);
        let approvals = world.approved(&statement, &signatures);
        let decision = Decision { approvals, ..made.decision };
        let index = self.log.append(&Entry::new(time, Body::LogAdopted(LogAdopted { decision, ..made }))).unwrap();
        (index, signatures)
    }

    /// The entry in the tree of `size` entries.
    fn proven(&self, index: u64, size: u64) -> Proven {
        let (_, _, bytes) = self.log.entries(index..index + 1).next().unwrap().unwrap();
        Proven { entry: Bytes::from(bytes), index, inclusion: self.log.inclusion_proof(index, size).unwrap() }
    }

    fn tree(&self) -> (u64, Digest, Vec<Digest>) {
        let size = self.log.size();
        (size, self.log.root().unwrap(), self.log.consistency_proof(self.right.size, size).unwrap())
    }

    fn request(&self, index: u64, approvals: &[String]) -> Request {
        let entry = self.proven(index, self.log.size());
        Request::AdoptLog { entry, tree: self.tree(), approvals: approvals.to_vec() }
    }
}

fn copied(from: &Path, to: PathBuf) -> PathBuf {
    let _ = fs::remove_dir_all(&to);
    copy_tree(from, &to);
    to
}

fn all_refused(parent: &mut Parent, attacks: Vec<(&str, Request, &str)>) {
    for (case, attack, why) in attacks {
        let said = parent.refused(attack);
        assert!(said.contains(why), "{case}: {said}");
    }
}

#[test]
fn p04_a_log_is_adopted_by_its_quorum_for_this_mark_alone_and_once() {
    let world = world();
    let audit = world.station.join("audit");
    let mut parent = world.parent();
    parent.seal();
    let old = copied(&audit, world.dir.join("left"));
    // The log goes on, and a plan is open in it.
    let plan = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let start = world.start(&mut parent, &plan);
    assert!(matches!(parent.ask(start), Reply::Started));
    let mark = Mark::decode(&parent.gate.mark().unwrap().unwrap()).unwrap();
    assert_eq!(mark.open_plan, Some(plan.digest));
    let both = ["alice", "bob"];

    let mut left = Left::new(&world, Log::open(&copied(&old, world.dir.join("left-1"))).unwrap(), &mark);
    let (right, at) = (left.right.clone(), now());
    let (lawful, approvals) = left.put(&world, right.clone(), at, &both);
    let (none, _) = left.put(&world, right.clone(), at, &[]);
    let (one, of_one) = left.put(&world, right.clone(), at, &both[..1]);
    let (strange, of_strangers) = left.put(&world, right.clone(), at, &["eve", "mallory"]);
    let other_reason = Decision { reason: "another".into(), ..right.decision.clone() };
    let (other, _) = left.put(&world, LogAdopted { decision: other_reason, ..right.clone() }, at, &both);
    let (ahead, of_ahead) = left.put(&world, right.clone(), at + 1_000, &both);
    let mut cases = Vec::new();
    let others: [(&str, LogAdopted); 10] = [
        ("another size", LogAdopted { mark_size: right.mark_size + 1, ..right.clone() }),
        ("another root", LogAdopted { mark_root: nonsense(), ..right.clone() }),
        ("another release", LogAdopted { mark_release: right.mark_release + 1, ..right.clone() }),
        ("a plan that is not open", LogAdopted { mark_plan: Some(nonsense()), ..right.clone() }),
        ("no plan, while one is open", LogAdopted { mark_plan: None, ..right.clone() }),
        ("another hierarchy", LogAdopted { mark_hierarchy: nonsense(), ..right.clone() }),
        ("an empty log", LogAdopted { size: 0, root: merkle::empty_root(), ..right.clone() }),
        ("another root of the log that is left", LogAdopted { root: nonsense(), ..right.clone() }),
        ("a size that it had before", LogAdopted { size: right.size - 1, ..right.clone() }),
        ("the mark's own root for it", LogAdopted { root: right.mark_root, ..right.clone() }),
    ];
    for (case, made) in others {
        let (index, signatures) = left.put(&world, made, at, &both);
        cases.push((case, index, signatures, "another mark than the token's"));
    }
    for (case, change, release, why) in [
        ("the change before", right.decision.change - 1, right.decision.release, "it is change"),
        ("a later change", right.decision.change + 1, right.decision.release, "it is change"),
        (
            "a decision after another release",
            right.decision.change,
            right.decision.release + 1,
            "decided after release",
        ),
    ] {
        let decision = Decision { change, release, ..right.decision.clone() };
        let (index, signatures) = left.put(&world, LogAdopted { decision, ..right.clone() }, at, &both);
        cases.push((case, index, signatures, why));
    }
    let failure = left.log.append(&Entry::new(at, Body::Failure { what: "x".into() })).unwrap();

    let mut attacks: Vec<(&str, Request, &str)> =
        cases.iter().map(|(case, index, signatures, why)| (*case, left.request(*index, signatures), *why)).collect();
    attacks.extend([
        ("no approvals", left.request(none, &[]), "2 of role officer must approve"),
        ("no approvals given", left.request(lawful, &[]), "2 of role officer must approve"),
        ("one approval", left.request(one, &of_one), "2 of role officer must approve"),
        ("one approval twice", left.request(one, &[&of_one[..], &of_one].concat()), "2 of role officer must approve"),
        ("strangers", left.request(strange, &of_strangers), "is not in the roster"),
        ("others than on record", left.request(one, &approvals), "are not those of the quorum"),
        ("approvals of another reason", left.request(other, &approvals), "is not over this text"),
        (
            "of the plan that is open",
            left.request(lawful, &world.sign(&plan.statement, &both)),
            "is not over this text",
        ),
        ("dated ahead", left.request(ahead, &of_ahead), "it is dated"),
        ("no adoption", left.request(failure, &approvals), "is no change of state that is made this way"),
    ]);
    let (size, root, proof) = left.tree();
    let lawful_in =
        |tree| Request::AdoptLog { entry: left.proven(lawful, left.log.size()), tree, approvals: approvals.clone() };
    attacks.extend([
        ("no proof", lawful_in((size, root, vec![])), "another mark than the token's"),
        ("a cut proof", lawful_in((size, root, proof[1..].to_vec())), "another mark than the token's"),
        ("another tree", lawful_in((size, nonsense(), proof.clone())), "does not stand in the last checkpoint"),
        ("the mark's tree", lawful_in((mark.size, mark.root, vec![])), "does not stand in the last checkpoint"),
        ("twice the size", lawful_in((2 * size, root, proof.clone())), "does not stand in the last checkpoint"),
        (
            "the tree from before the entry",
            lawful_in((right.size, right.root, vec![])),
            "does not stand in the last checkpoint",
        ),
    ]);
    // A tree of the attacker's own, which holds the entry and nothing of the log that the quorum has read of.
    let (entry, index) = (left.proven(lawful, size).entry, 0);
    let alone = merkle::leaf_hash(entry.as_slice());
    let own = Proven { entry, index, inclusion: vec![] };
    attacks.push((
        "a tree of the entry alone",
        Request::AdoptLog { entry: own, tree: (1, alone, vec![]), approvals: approvals.clone() },
        "another mark than the token's",
    ));
    let as_change = Request::Change { entry: left.proven(lawful, size), approvals: approvals.clone() };
    attacks.push(("as another change", as_change, "does not stand in the last checkpoint"));
    world.unchanged(parent, |parent| all_refused(parent, attacks));

    // Lawful, on a log that holds nothing else.
    let path = copied(&old, world.dir.join("left-2"));
    let mut left = Left::new(&world, Log::open(&path).unwrap(), &mark);
    let (index, again) = left.put(&world, right.clone(), at, &both);
    assert_eq!(left.right, right);
    left.log.sync().unwrap();
    let mut parent = world.parent();
    let request = || left.request(index, &again);
    assert!(matches!(parent.ask(request()), Reply::Ended));
    let adopted = Mark::decode(&parent.gate.mark().unwrap().unwrap()).unwrap();
    let (size, root, _) = left.tree();
    let wanted = Mark { size, root, open_plan: None, changes: mark.changes + 1, ..mark.clone() };
    assert_eq!(adopted, wanted);
    world.unchanged(parent, |parent| {
        assert_eq!(parent.refused(Request::Do { items: vec![0] }), "no plan is open");
        // A second time; and behind an entry of its own, by the approvals that were given.
        assert!(parent.refused(request()).contains("another mark than the token's"));
    });
    let (index, _) = left.put(&world, right.clone(), at, &[]);
    let mut parent = world.parent();
    parent.log = left.log;
    parent.seal();
    let size = parent.log.size();
    let (entry, inclusion) = parent.proof(index, size);
    let proven = || Proven { entry: entry.clone(), index, inclusion: inclusion.clone() };
    let tree = (size, parent.log.root().unwrap(), parent.log.consistency_proof(right.size, size).unwrap());
    let repeated = Request::AdoptLog { entry: proven(), tree, approvals: again.clone() };
    let known = Request::Change { entry: proven(), approvals: again };
    world.unchanged(parent, |parent| {
        assert!(parent.refused(repeated).contains("another mark than the token's"));
        // The number is the one that the mark has followed: nothing comes of it, whatever the entry says.
        assert!(matches!(parent.ask(known), Reply::Ended));
    });
    // The station goes on with the log that its mark knows.
    copied(&path, audit);
}
