use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use super::*;
use crate::approval;
use crate::audit::entry::{ClockCorrected, HierarchyAdopted};
use crate::change::{Error, Fixed, recorded, statement};
use crate::plan;

const HIERARCHY: &str = r#"format = "coldroot-hierarchy-v0"
name = "Standby"
environment = "rehearsal"
origin = "example.org/standby"
audit = { token = "main", key-label = "audit" }
person = [
    { id = "alice", name = "Alice", roles = ["officer"], keys = ["@alice@"] },
    { id = "bob", name = "Bob", roles = ["officer"], keys = ["@bob@"] },
]
token = [{ id = "main", module = "/m", label = "t", serial = "a", standby = ["b", "c"] }]
"#;

fn person(name: &str) -> PrivateKey {
    let pair = Ed25519Keypair::from_seed(&Digest::of(name.as_bytes()).0);
    PrivateKey::new(KeypairData::Ed25519(pair), "").unwrap()
}

fn hierarchy(edit: impl Fn(String) -> String) -> Hierarchy {
    let public = |name: &str| person(name).public_key().to_openssh().unwrap();
    let text = edit(HIERARCHY.into());
    let names = ["alice", "bob", "eve", "mallory"];
    Hierarchy::parse(&names.iter().fold(text, |text, name| text.replace(&format!("@{name}@"), &public(name)))).unwrap()
}

struct Leaves(Vec<Digest>);

impl merkle::Nodes for Leaves {
    type Error = std::convert::Infallible;

    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error> {
        let at = usize::try_from(index << level).unwrap();
        let mut row = self.0[at..at + (1 << level)].to_vec();
        while row.len() > 1 {
            row = row.chunks(2).map(|pair| merkle::node_hash(&pair[0], &pair[1])).collect();
        }
        Ok(row[0])
    }
}

/// A log: leaves, and the changes among them.
struct Log {
    leaves: Leaves,
    since: Vec<Since>,
    hierarchies: Vec<Hierarchy>,
}

impl Log {
    /// Five entries, of which the clone's mark knows three.
    fn new() -> Log {
        let leaves = Leaves((0..5u8).map(|n| merkle::leaf_hash(&[n])).collect());
        Log { leaves, since: Vec::new(), hierarchies: vec![hierarchy(|text| text)] }
    }

    fn root(&self, size: u64) -> Digest {
        merkle::root(&self.leaves, size).unwrap()
    }

    fn clone_of(&self, token: &str) -> Mark {
        let first = Mark::first("example.org/standby", self.hierarchies[0].digest, token);
        Mark { size: 3, root: self.root(3), release: 1, open_plan: Some(Digest([7; 32])), floor: 100, ..first }
    }

    fn in_force(&self) -> &Hierarchy {
        self.hierarchies.last().unwrap()
    }

    /// Puts a change on record, approved by these persons under the hierarchy in force.
    fn decide(&mut self, time: i64, mut body: Body, persons: &[&str]) {
        let adopted = adopts(&body).and_then(|digest| self.hierarchies.iter().find(|h| h.digest == digest)).cloned();
        let in_force = match &body {
            Body::HierarchyAdopted(adopted) => self.hierarchies.iter().find(|h| h.digest == adopted.before).unwrap(),
            _ => self.in_force(),
        };
        let text = statement(in_force, adopted.as_ref(), &body).unwrap();
        let sign = |name: &&str| {
            let signature = person(name).sign(plan::NAMESPACE, HashAlg::Sha512, text.as_bytes()).unwrap();
            signature.to_pem(LineEnding::LF).unwrap()
        };
        let armored: Vec<String> = persons.iter().map(sign).collect();
        let rosters = in_force.persons.iter().chain(adopted.iter().flat_map(|h| &h.persons)).cloned();
        let rosters: Vec<_> = rosters.collect();
        let count = |armored: &String| approval::verify_person(&text, armored, &rosters).ok();
        let counted: Vec<_> = armored.iter().filter_map(count).collect();
        body.decision_mut().unwrap().approvals = recorded(&counted);
        let (index, entry) = (self.leaves.0.len() as u64, Entry::new(time, body));
        self.leaves.0.push(merkle::leaf_hash(&entry.encode().unwrap()));
        self.since.push(Since { index, entry, armored });
    }

    fn handed(&self, from: &str, to: &str, change: u64) -> HandedOver {
        let [token, from, to] = ["main", from, to].map(String::from);
        let (size, root) = (4, self.root(4));
        HandedOver { token, from, to, lost: false, size, root, plan: None, decision: decision(change, 2) }
    }

    fn hand_over(&mut self, from: &str, to: &str, change: u64) {
        let handed = self.handed(from, to, change);
        self.decide(300, Body::HandedOver(handed), &["alice", "bob"]);
    }

    fn taken(&self, mark: &Mark, own: &str) -> Result<Mark, Error> {
        let size = self.leaves.0.len() as u64;
        let proof = |old| merkle::consistency_proof(&self.leaves, old, size).unwrap();
        let handed = match self.since.last().map(|last| &last.entry.body) {
            Some(Body::HandedOver(handed)) => handed.size,
            _ => 1,
        };
        let shown = |one: &Since| Shown {
            entry: one.entry.encode().unwrap().into(),
            index: one.index,
            inclusion: merkle::inclusion_proof(&self.leaves, one.index, size).unwrap(),
            armored: one.armored.clone(),
        };
        let (from_mark, from_handed) = (proof(mark.size), proof(handed));
        let since = self.since.iter().map(shown).collect();
        let shown = TakeOver { since, size, root: self.root(size), from_mark, from_handed };
        let of = |digest: &Digest| self.hierarchies.iter().find(|h| h.digest == *digest).cloned();
        shown.judge(mark, own, of).map(|(mark, in_force)| {
            assert_eq!(mark.hierarchy, in_force.digest);
            mark
        })
    }
}

fn decision(change: u64, release: u64) -> Decision {
    let (reason, operator, witness) = ("why".into(), "cyd".into(), "ben".into());
    Decision { reason, release, change, approvals: Vec::new(), operator, witness, witness_time: Some(250) }
}

fn clock(change: u64) -> Body {
    Body::ClockCorrected(ClockCorrected { from: 400, to: 200, decision: decision(change, 2) })
}

/// A hierarchy with other officers takes the place of the first one.
fn others(log: &mut Log, change: u64, persons: &[&str]) {
    let new = hierarchy(|text| text.replace("@bob@", "@eve@"));
    let (before, digest) = (log.in_force().digest, new.digest);
    log.hierarchies.push(new);
    let adopted = HierarchyAdopted { before, hierarchy: digest, decision: decision(change, 2) };
    log.decide(260, Body::HierarchyAdopted(adopted), persons);
}

#[test]
fn p04_a_standby_takes_over_by_everything_that_was_decided_since_it_was_cloned() {
    let mut log = Log::new();
    log.decide(210, clock(1), &["alice", "bob"]);
    others(&mut log, 2, &["alice", "bob", "eve"]);
    // By the new officers.
    let handed = log.handed("a", "b", 3);
    log.decide(300, Body::HandedOver(handed), &["alice", "eve"]);
    let mark = log.clone_of("a");
    let taken = log.taken(&mark, "b").unwrap();
    let size = log.leaves.0.len() as u64;
    let told = Mark { size, root: log.root(size), release: 2, open_plan: None, changes: 3, floor: 250, ..mark.clone() };
    assert_eq!(taken, Mark { token: "b".into(), hierarchy: log.in_force().digest, ..told });
    // Another standby, one that is no clone of this token, and one that has it.
    assert!(matches!(log.taken(&mark, "c"), Err(Error::Nobody { own }) if own == "c"));
    assert!(matches!(log.taken(&log.clone_of("c"), "b"), Err(Error::Token { token, .. }) if token == "c"));
    assert!(matches!(log.taken(&log.clone_of("b"), "b"), Err(Error::Nobody { .. })));
}

#[test]
fn p04_the_mark_goes_on_from_token_to_token_and_back() {
    let mut log = Log::new();
    log.hand_over("a", "c", 1);
    log.hand_over("c", "b", 2);
    assert_eq!(log.taken(&log.clone_of("a"), "b").unwrap().changes, 2);
    // The one that handed it over has a mark that says so, and takes it back by a decision alone.
    let told = Mark { token: "c".into(), changes: 1, release: 2, ..log.clone_of("a") };
    log.hand_over("b", "a", 3);
    log.since.remove(0);
    assert_eq!(log.taken(&told, "a").unwrap().token, "a");
    log.since.pop();
    assert!(matches!(log.taken(&told, "a"), Err(Error::Nobody { .. })));
}

#[test]
fn p04_a_loss_hands_on_what_was_open_and_the_rest_does_not() {
    let plan = Some(Digest([9; 32]));
    let mut log = Log::new();
    let handed = HandedOver { lost: true, plan, ..log.handed("a", "b", 1) };
    log.decide(300, Body::HandedOver(handed), &["alice", "bob"]);
    let mark = log.clone_of("a");
    assert_eq!(log.taken(&mark, "b").unwrap().open_plan, plan);
    // The token that is found again with that plan open, and is shown this, refuses from then on; with another one it does not.
    let Since { entry, armored, .. } = &log.since[0];
    let shown = |open_plan| {
        let mark = Mark { release: 2, open_plan, ..mark.clone() };
        crate::change::judge(&mark, log.in_force(), None, entry, armored, 300)
    };
    assert_eq!(shown(plan).unwrap().token, "b");
    assert!(matches!(shown(Some(Digest([1; 32]))), Err(Error::Open(_))));
    let mut log = Log::new();
    let handed = HandedOver { plan, ..log.handed("a", "b", 1) };
    log.decide(300, Body::HandedOver(handed), &["alice", "bob"]);
    assert!(matches!(log.taken(&mark, "b"), Err(Error::Other)));
}

#[test]
fn p04_an_adopted_log_in_between_says_which_token_has_the_mark() {
    let lost = |log: &Log, token: &str, change, mark_release, release| {
        let hierarchy = log.in_force().digest;
        Body::LogAdopted(LogAdopted {
            mark_size: 9,
            mark_root: Digest([9; 32]),
            mark_release,
            mark_plan: None,
            mark_hierarchy: hierarchy,
            token: token.into(),
            size: 2,
            root: log.root(2),
            release,
            hierarchy,
            decision: decision(change, release),
        })
    };
    let taken = |token: &str, change, mark_release, persons: &[&str], from: &str| {
        let mut log = Log::new();
        log.decide(270, lost(&log, token, change, mark_release, 2), persons);
        log.hand_over(from, "b", change + 1);
        log.taken(&log.clone_of("a"), "b")
    };
    let both = &["alice", "bob"][..];
    // Changes were lost in the gap; by its quorum it goes on behind them.
    assert_eq!(taken("a", 4, 2, both, "a").unwrap().changes, 5);
    assert_eq!(taken("c", 4, 2, both, "c").unwrap().token, "b");
    assert!(matches!(taken("c", 4, 2, both, "a"), Err(Error::Token { .. })));
    assert!(matches!(taken("d", 4, 2, both, "d"), Err(Error::Fixed(Fixed::Standby { .. }))));
    assert!(matches!(taken("a", 4, 3, both, "a"), Err(Error::Mark)));
    assert!(matches!(taken("a", 4, 2, &["alice"], "a"), Err(Error::Approval(_))));
    assert!(matches!(taken("a", 0, 2, both, "a"), Err(Error::Number { found: 0, .. })));
}

#[test]
fn p04_a_standby_believes_nothing_that_its_quorum_did_not_sign() {
    let mark = Log::new().clone_of("a");
    let refused = |why: &str, write: &dyn Fn(&mut Log), expected: &dyn Fn(&Error) -> bool| {
        let mut log = Log::new();
        write(&mut log);
        let error = log.taken(&mark, "b").unwrap_err();
        assert!(expected(&error), "{why}: {error:?}");
    };
    let officers = |e: &Error| matches!(e, Error::Approval(approval::Error::Quorum { .. }));
    refused("nothing", &|_| (), &|e| matches!(e, Error::Nobody { .. }));
    refused(
        "one officer",
        &|log| {
            let handed = log.handed("a", "b", 1);
            log.decide(300, Body::HandedOver(handed), &["alice"]);
        },
        &officers,
    );
    refused(
        "signed for another serial",
        &|log| {
            log.hand_over("a", "c", 1);
            let Body::HandedOver(handed) = &mut log.since[0].entry.body else { unreachable!() };
            handed.to = "b".into();
            log.leaves.0[5] = merkle::leaf_hash(&log.since[0].entry.encode().unwrap());
        },
        &|e| matches!(e, Error::Approval(approval::Error::Wrong { .. })),
    );
    refused("left out", &|log| log.hand_over("a", "b", 2), &|e| matches!(e, Error::Number { found: 2, marked: 0 }));
    refused("once more", &|log| log.hand_over("a", "b", 0), &|e| matches!(e, Error::Number { found: 0, .. }));
    refused(
        "not the last",
        &|log| {
            log.hand_over("a", "b", 1);
            log.decide(310, clock(2), &["alice", "bob"]);
        },
        &|e| matches!(e, Error::Nobody { .. }),
    );
    refused(
        "reordered",
        &|log| {
            log.hand_over("a", "b", 2);
            log.decide(210, clock(1), &["alice", "bob"]);
            log.since.swap(0, 1);
        },
        &|e| matches!(e, Error::Other),
    );
    refused(
        "a hierarchy that no quorum adopted",
        &|log| {
            others(log, 1, &["eve"]);
            let handed = log.handed("a", "b", 2);
            log.decide(300, Body::HandedOver(handed), &["alice", "eve"]);
        },
        &officers,
    );
    refused(
        "a hierarchy that is left out",
        &|log| {
            others(log, 1, &["alice", "bob", "eve"]);
            let handed = log.handed("a", "b", 1);
            log.decide(300, Body::HandedOver(handed), &["alice", "eve"]);
            log.since.remove(0);
        },
        &|e| matches!(e, Error::Approval(_)),
    );
    refused(
        "a hierarchy that is not here",
        &|log| {
            others(log, 1, &["alice", "bob", "eve"]);
            log.hand_over("a", "b", 2);
            log.hierarchies.pop();
        },
        &|e| matches!(e, Error::Adopted),
    );
    refused(
        "an earlier release",
        &|log| {
            let handed = HandedOver { decision: decision(1, 0), ..log.handed("a", "b", 1) };
            log.decide(300, Body::HandedOver(handed), &["alice", "bob"]);
        },
        &|e| matches!(e, Error::Release { found: 0, marked: 1 }),
    );
    refused(
        "before the floor",
        &|log| {
            let handed = log.handed("a", "b", 1);
            log.decide(99, Body::HandedOver(handed), &["alice", "bob"]);
        },
        &|e| matches!(e, Error::Floor { .. }),
    );
    refused(
        "another log than the quorum has read of",
        &|log| {
            let handed = HandedOver { root: Digest([1; 32]), ..log.handed("a", "b", 1) };
            log.decide(300, Body::HandedOver(handed), &["alice", "bob"]);
        },
        &|e| matches!(e, Error::Grown),
    );
    refused(
        "another log than the mark knows",
        &|log| {
            log.leaves.0[1] = merkle::leaf_hash(b"another");
            log.hand_over("a", "b", 1);
        },
        &|e| matches!(e, Error::Grown),
    );
}

#[test]
fn p04_the_mark_goes_to_no_token_that_the_hierarchy_does_not_declare() {
    let mut log = Log::new();
    log.hand_over("a", "d", 1);
    assert!(matches!(log.taken(&log.clone_of("a"), "d"), Err(Error::Token { to, .. }) if to == "d"));
    // Nor is the one left out that has it: not even by the hierarchy that comes behind.
    let new = hierarchy(|text| text.replace("\"b\", ", ""));
    assert!(matches!(keeps(&new, "b"), Err(Fixed::Standby { serial, .. }) if serial == "b"));
    assert_eq!((keeps(&new, "a"), keeps(&new, "c")), (Ok(()), Ok(())));
}

#[test]
fn p04_what_is_not_in_the_log_is_not_believed() {
    let mut log = Log::new();
    log.hand_over("a", "b", 1);
    log.leaves.0[5] = merkle::leaf_hash(b"another");
    assert!(matches!(log.taken(&log.clone_of("a"), "b"), Err(Error::NotThere { index: 5 })));
}

#[test]
fn what_officers_read_says_who_was_told() {
    let log = Log::new();
    let planned = words(&log.handed("a", "b", 1)).join("\n");
    assert!(
        planned.contains("token a is told first, and refuses everything") && !planned.contains("lost"),
        "{planned}"
    );
    let lost = words(&HandedOver { lost: true, ..log.handed("a", "b", 1) }).join("\n");
    for line in ["has NOT been told", "destroy it", "nothing but people says", "no plan is open", "rise by 4294967296"]
    {
        assert!(lost.contains(line), "{line}: {lost}");
    }
    assert!(lost.contains(&log.root(4).hex()));
    for error in [Error::Nobody { own: "b".into() }, Error::Grown] {
        assert!(error.hint().is_some());
    }
}
