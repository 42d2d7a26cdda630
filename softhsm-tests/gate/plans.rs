//! Attacks on the start of a plan, on its items, and on its end.

use std::fs;

use coldroot::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use coldroot::audit::entry::Entry;
use coldroot::audit::mark::Mark;
use coldroot::cbor::Bytes;
use coldroot::config::{Backup, Environment};
use coldroot::digest::Digest;
use coldroot::gate::{MAX_CHUNK, Outcome, Reply, Request};
use coldroot::plan::{Deed, GenerateKey, Head, Item, KeyAct, KeyRef, Kind};
use coldroot::x509;

use super::station::{Parent, World, nonsense, world};

fn do_items(items: &[u64]) -> Request {
    Request::Do { items: items.to_vec() }
}

/// The items come back in the order asked, each with a signature of its key over its own TBS.
fn signed(parent: &mut Parent, plan: &[Item], items: &[u64]) {
    let Reply::Done(outcomes) = parent.ask(do_items(items)) else { panic!() };
    assert_eq!(outcomes.len(), items.len());
    for (n, outcome) in items.iter().zip(outcomes) {
        let (key, tbs, algorithm) = plan[*n as usize].to_sign().unwrap();
        let Outcome::Signature(value) = outcome else { panic!() };
        x509::verify_signature(&key.spki, algorithm, tbs, &value).unwrap();
    }
}

/// The same item with another signer.
fn signer(item: &Item, edit: impl FnOnce(&mut KeyRef)) -> Item {
    let mut item = item.clone();
    match &mut item {
        Item::Certificate(c) => edit(&mut c.signer),
        Item::Crl(c) => edit(&mut c.signer),
        Item::Csr(c) => edit(&mut c.signer),
        Item::GenerateKey(_) | Item::GenerateWrappingKey(_) | Item::Revoke(_) | Item::KeyAct(_) => panic!(),
    }
    item
}

fn algorithm(item: &Item, algorithm: SignatureAlgorithm) -> Item {
    let mut item = item.clone();
    match &mut item {
        Item::Certificate(c) => c.fields.signature = algorithm,
        Item::Crl(c) => c.fields.signature = algorithm,
        Item::Csr(_) | Item::GenerateKey(_) | Item::GenerateWrappingKey(_) | Item::Revoke(_) | Item::KeyAct(_) => {
            panic!()
        }
    }
    item
}

/// The same item, said to be of another CA.
fn of_ca(item: &Item, ca: &str) -> Item {
    let mut item = item.clone();
    match &mut item {
        Item::Certificate(c) => c.ca = ca.into(),
        Item::Crl(c) => c.ca = ca.into(),
        Item::Csr(c) => c.ca = ca.into(),
        Item::GenerateKey(_) | Item::GenerateWrappingKey(_) | Item::Revoke(_) | Item::KeyAct(_) => panic!(),
    }
    item
}

/// A CRL of the root, as the true plan had it, and the same octets as one of the intermediate.
fn crls(world: &World) -> (Item, Item) {
    let of_root = world.items.iter().find(|item| matches!(item, Item::Crl(c) if c.ca == "root")).unwrap();
    (of_root.clone(), of_ca(&signer(of_root, |key| *key = world.xmpp_key.clone()), "xmpp-1"))
}

fn spare() -> GenerateKey {
    GenerateKey {
        key: "spare-key".into(),
        token: "main".into(),
        label: "spare".into(),
        cka_id: Bytes::from(vec![0x5a; 16]),
        algorithm: KeyAlgorithm::EcdsaP256,
        backup: Backup::None,
    }
}

#[test]
fn p01_an_approved_plan_is_carried_out_and_never_again() {
    let world = world();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let start = world.start(&mut parent, &plan);
    assert!(matches!(parent.ask(start), Reply::Started));
    let all: Vec<u64> = (0..world.items.len() as u64).collect();
    signed(&mut parent, &world.items, &all);
    // A signature that was not recorded is asked for again: the same TBS.
    signed(&mut parent, &world.items, &[1]);
    parent.finish(&plan);
    let mark = Mark::decode(&parent.gate.mark().unwrap().unwrap()).unwrap();
    assert_eq!((mark.release, mark.open_plan), (parent.release, None));

    let again = world.start(&mut parent, &plan);
    world.unchanged(parent, |parent| {
        assert_eq!(parent.refused(do_items(&[0])), "no plan is open");
        parent.not_started(again, "the plan follows release");
    });
}

#[test]
fn p01_nothing_is_signed_before_a_start() {
    let world = world();
    world.unchanged(world.parent(), |parent| {
        for items in [vec![0], vec![0, 1, 2], vec![u64::MAX], vec![]] {
            assert_eq!(parent.refused(Request::Do { items }), "no plan is open");
        }
    });
    // Not even logged in.
    let mut gate = world.gate();
    assert!(gate.ask(&do_items(&[0])).is_err());
    assert!(gate.ask(&Request::Mark).is_err());
}

#[test]
fn p01_a_plan_without_its_quorum_is_not_started() {
    let world = world();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let other = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let init = coldroot::plan::init_statement(&world.hierarchy);
    let text = &plan.statement;
    let edited = text.replace("REHEARSAL", "x").replace("rehearsal", "real");
    let bob_on = |text: &str| [world.sign(text, &["alice"]), world.sign(text, &["bob"])].concat();
    let cases: Vec<(&str, Vec<String>, &str)> = vec![
        ("none", vec![], "2 of role officer must approve; given: none"),
        ("one", world.sign(text, &["alice"]), "given: alice"),
        ("one, twice", world.sign(text, &["alice", "alice"]), "given: alice"),
        ("two keys of one person", world.sign(text, &["alice", "alice-2"]), "given: alice"),
        ("an operator", world.sign(text, &["alice", "carol"]), "given: alice"),
        ("one who left", world.sign(text, &["alice", "olga"]), "olga does not count, expired at 2020-03-01T00:00:00Z"),
        ("a stranger", world.sign(text, &["alice", "eve"]), "is not in the roster"),
        ("another plan's", bob_on(&other.statement), "is not over this text"),
        ("the init's", bob_on(&init), "is not over this text"),
        ("an edited statement's", bob_on(&edited), "is not over this text"),
        ("rubbish", vec!["rubbish".into(); 2], "not an SSH signature"),
        ("oversized", vec!["x".repeat(1 << 20)], "larger than"),
    ];
    let indices: Vec<u64> = cases.iter().map(|(_, sigs, _)| parent.append(world.start_entry(&plan, sigs))).collect();
    parent.seal();
    world.unchanged(parent, |parent| {
        for ((case, signatures, why), index) in cases.iter().zip(indices) {
            println!("{case}");
            let start = parent.start(&plan, signatures, index);
            parent.not_started(start, why);
        }
    });
}

#[test]
fn p01_a_plan_of_another_place_or_time_is_not_started() {
    type Edit = fn(&mut Head);
    #[rustfmt::skip]
    let cases: [(Edit, &str); 10] = [
        (|h| h.hierarchy = Digest::of(b"other"), "another hierarchy"),
        (|h| h.origin = "example.org/other".into(), "another hierarchy"),
        (|h| h.name = "Other".into(), "another hierarchy"),
        (|h| h.environment = Environment::Real, "another hierarchy"),
        (|h| h.release_before += 1, "the plan follows release"),
        (|h| h.release_before -= 1, "the plan follows release"),
        (|h| h.release_before = u64::MAX, "the plan follows release"),
        (|h| h.sign_until = h.sign_from + 30, "window"),
        (|h| h.sign_from += 600, "window"),
        (|h| (h.sign_from, h.sign_until) = (h.sign_until, h.sign_from), "window"),
    ];
    let world = world();
    let mut parent = world.parent();
    let mut starts = Vec::new();
    for (edit, why) in cases {
        let plan = world.plan(&parent, Kind::Certificates, &world.items, edit);
        let approvals = world.sign(&plan.statement, &["alice", "bob"]);
        let index = parent.append(world.start_entry(&plan, &approvals));
        starts.push((plan, approvals, index, why));
    }
    parent.seal();
    world.unchanged(parent, |parent| {
        for (plan, approvals, index, why) in starts {
            let start = parent.start(&plan, &approvals, index);
            parent.not_started(start, why);
        }
    });
}

#[test]
fn p01_a_plan_is_started_only_by_its_own_entry_in_the_marked_log() {
    let world = world();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let other = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let approvals = world.sign(&plan.statement, &["alice", "bob"]);
    let swapped: Vec<String> = approvals.iter().rev().cloned().collect();
    let true_entry = parent.append(world.start_entry(&plan, &approvals));
    let others = parent.append(world.start_entry(&other, &world.sign(&other.statement, &["alice", "bob"])));
    let shorter = parent.append(world.start_entry(&plan, &approvals[..1]));
    let swapped = parent.append(world.start_entry(&plan, &swapped));
    let end = parent.end_entry(plan.digest, parent.release + 1);
    parent.seal();
    let size = parent.log.size();
    // Written behind the mark, never sealed.
    let unsealed = parent.append(world.start_entry(&plan, &approvals));
    let request = |(entry, inclusion): (Bytes, Vec<Digest>), index| Request::Start {
        plan: plan.path.clone(),
        approvals: approvals.clone(),
        entry,
        index,
        inclusion,
    };
    let not_in = "does not stand in the last checkpoint";
    let not_it = "does not name this plan and these approvals";
    let (entry, proof) = parent.proof(true_entry, size);
    let longer = [proof.clone(), vec![nonsense()]].concat();
    let node = [proof[0].0, nonsense().0].concat();
    // The same content, dated otherwise: good in all but that it never was in the log.
    let forged = Bytes::from(Entry::new(7, world.start_entry(&plan, &approvals)).encode().unwrap());
    let attacks = [
        ("another tree's proof", request(parent.proof(true_entry, size + 1), true_entry), not_in),
        ("an entry behind the mark", request(parent.proof(unsealed, size + 1), unsealed), not_in),
        ("an entry that is nowhere", request((forged, proof.clone()), true_entry), not_in),
        ("another index", request((entry.clone(), proof.clone()), true_entry + 1), not_in),
        ("an index behind the end", request((entry.clone(), proof.clone()), size), not_in),
        ("the largest index", request((entry.clone(), proof.clone()), u64::MAX), not_in),
        ("a cut proof", request((entry.clone(), proof[..proof.len() - 1].to_vec()), true_entry), not_in),
        ("a longer proof", request((entry.clone(), longer), true_entry), not_in),
        ("a very long proof", request((entry.clone(), vec![nonsense(); 70]), true_entry), not_in),
        ("no proof", request((entry.clone(), vec![]), true_entry), not_in),
        ("an inner node as an entry", request((Bytes::from(node), proof[1..].to_vec()), true_entry), not_in),
        ("nothing as an entry", request((Bytes::new(), proof.clone()), true_entry), not_in),
        ("the start of another plan", request(parent.proof(others, size), others), not_it),
        ("fewer approvals on record", request(parent.proof(shorter, size), shorter), not_it),
        ("approvals in another order", request(parent.proof(swapped, size), swapped), not_it),
        ("an end as a start", request(parent.proof(end, size), end), not_it),
        ("the genesis as a start", request(parent.proof(0, size), 0), not_it),
    ];
    world.unchanged(parent, |parent| {
        for (case, attack, why) in attacks {
            println!("{case}");
            parent.not_started(attack, why);
        }
    });
}

#[test]
fn p01_a_plan_file_that_changes_goes_nowhere() {
    let world = world();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let bytes = fs::read(&plan.path).unwrap();
    let start = world.start(&mut parent, &plan);
    let Request::Start { plan: path, approvals, entry, index, inclusion } = start else { panic!() };
    let request = || Request::Start {
        plan: path.clone(),
        approvals: approvals.clone(),
        entry: entry.clone(),
        index,
        inclusion: inclusion.clone(),
    };
    // One octet of a TBS: the file is a plan still, but not the approved one.
    let tbs = world.items[0].to_sign().unwrap().1;
    let at = bytes.windows(tbs.len()).position(|w| w == tbs).unwrap() + tbs.len() / 2;
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    let refused_as = |parent: &mut Parent, bytes: &[u8], why: &str| {
        fs::write(&plan.path, bytes).unwrap();
        parent.not_started(request(), why);
    };
    let objects = world.objects();
    refused_as(&mut parent, &changed, "not approved");
    refused_as(&mut parent, &bytes[..bytes.len() - 1], "damaged");
    refused_as(&mut parent, &[bytes.as_slice(), &[0x40]].concat(), "goes on after its last");
    refused_as(&mut parent, b"", "not a plan");
    fs::remove_file(&plan.path).unwrap();
    parent.not_started(request(), "No such file");
    assert_eq!(world.objects(), objects);

    // After the start: what was read is what counts, in place or under the same name.
    fs::write(&plan.path, &bytes).unwrap();
    assert!(matches!(parent.ask(request()), Reply::Started));
    fs::write(&plan.path, &changed).unwrap();
    assert!(parent.refused(do_items(&[0])).contains("changed after it was read"));
    fs::write(&plan.path, &bytes).unwrap();
    let beside = plan.path.with_extension("other");
    fs::write(&beside, &changed).unwrap();
    fs::rename(&beside, &plan.path).unwrap();
    signed(&mut parent, &world.items, &[0]);
    parent.finish(&plan);
}

#[test]
fn p01_items_are_signed_by_the_hierarchys_key_for_their_ca_and_no_other() {
    let world = world();
    let (root, xmpp, audit) = (&world.root_key, &world.xmpp_key, &world.audit_key);
    let (of_root, of_xmpp) = crls(&world);
    let not_declared = "which is not the hierarchy's key for it";
    let not_planned = "its public half is not the planned one";
    let as_audit = |edit: fn(&mut KeyRef, &KeyRef)| signer(&of_root, |k| edit(k, audit));
    #[rustfmt::skip]
    let attacks = [
        ("the audit key", signer(&of_root, |k| *k = audit.clone()), not_declared),
        ("the audit key under a CA key's id", as_audit(|k, a| *k = KeyRef { key: k.key.clone(), ..a.clone() }), not_declared),
        ("the audit key's token", as_audit(|k, a| k.token = a.token.clone()), not_declared),
        ("the audit key's label", as_audit(|k, a| k.label = a.label.clone()), not_declared),
        ("the audit key's CKA_ID", as_audit(|k, a| k.cka_id = a.cka_id.clone()), "holds 0 such pairs"),
        ("a key that is not declared", signer(&of_root, |k| k.key = "other".into()), not_declared),
        ("a CA that is not declared", of_ca(&of_root, "other"), not_declared),
        ("the root key for the intermediate", of_ca(&of_root, "xmpp-1"), not_declared),
        ("the intermediate's key for the root", of_ca(&of_xmpp, "root"), not_declared),
        ("the root key under the other's name", signer(&of_xmpp, |k| (k.cka_id, k.spki) = (root.cka_id.clone(), root.spki.clone())), "label"),
        ("the other's CKA_ID", signer(&of_root, |k| k.cka_id = xmpp.cka_id.clone()), "label"),
        ("the other's public half", signer(&of_root, |k| k.spki = xmpp.spki.clone()), not_planned),
        ("no public half", signer(&of_root, |k| k.spki = Bytes::new()), not_planned),
        ("another digest", algorithm(&of_root, SignatureAlgorithm::EcdsaSha384), not_declared),
        ("RSA", algorithm(&of_root, SignatureAlgorithm::RsaSha256), not_declared),
        ("another kind of key", signer(&of_root, |k| k.algorithm = KeyAlgorithm::EcdsaP384), not_declared),
    ];
    let items: Vec<Item> = [of_root.clone()].into_iter().chain(attacks.iter().map(|(_, i, _)| i.clone())).collect();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Certificates, &items, |_| {});
    let start = world.start(&mut parent, &plan);
    assert!(matches!(parent.ask(start), Reply::Started));
    let objects = world.objects();
    // Before the true key was used and remembered, and after.
    for round in 0..2 {
        for (n, (case, _, why)) in (1..).zip(&attacks) {
            for asked in [vec![n], vec![0, n]] {
                let what = parent.refused(Request::Do { items: asked });
                assert!(what.contains(why), "{case}, round {round}: {what}");
            }
        }
        signed(&mut parent, &items, &[0]);
    }
    assert_eq!(world.objects(), objects);
    parent.finish(&plan);
}

#[test]
fn p01_items_are_the_plans_own_each_once() {
    let world = world();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let start = world.start(&mut parent, &plan);
    assert!(matches!(parent.ask(start), Reply::Started));
    let count = world.items.len() as u64;
    let objects = world.objects();
    for items in [vec![count], vec![0, count], vec![u64::MAX], vec![0, u64::MAX]] {
        assert!(parent.refused(Request::Do { items }).contains("the plan has no item"));
    }
    let chunk = MAX_CHUNK as u64;
    for items in [vec![0, 0], vec![1, 0], vec![0, 1, 1], vec![0; MAX_CHUNK], (0..=chunk).collect()] {
        assert!(parent.refused(Request::Do { items }).contains("ascending order, each once"));
    }
    assert!(matches!(parent.ask(do_items(&[])), Reply::Done(none) if none.is_empty()));
    assert_eq!(world.objects(), objects);
    signed(&mut parent, &world.items, &[0, count - 1]);
    parent.finish(&plan);
}

#[test]
fn p01_keys_are_made_as_the_hierarchy_declares_them_or_not_at_all() {
    let world = world();
    let not_declared = "is not the hierarchy's";
    type Edit = fn(&mut GenerateKey);
    #[rustfmt::skip]
    let declared: [(&str, Edit); 7] = [
        ("a key of no hierarchy", |k| k.key = "other".into()),
        ("the audit key", |k| (k.key, k.token, k.label) = ("audit".into(), "log".into(), "audit".into())),
        ("the audit key's label", |k| k.label = "audit".into()),
        ("the audit key's token", |k| k.token = "log".into()),
        ("another kind", |k| k.algorithm = KeyAlgorithm::Rsa4096),
        ("another key's label", |k| k.label = "root".into()),
        ("one that can be taken out", |k| k.backup = Backup::Wrap),
    ];
    let mut keys = vec![spare()];
    for (_, edit) in declared {
        let mut key = spare();
        edit(&mut key);
        keys.push(key);
    }
    let root = |cka_id| GenerateKey { key: "root-key".into(), label: "root".into(), cka_id, ..spare() };
    keys.push(root(Bytes::from(vec![7; 16])));
    keys.push(GenerateKey { cka_id: world.root_key.cka_id.clone(), ..spare() });
    let items: Vec<Item> = keys.into_iter().map(Item::GenerateKey).collect();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Keys, &items, |_| {});
    let start = world.start(&mut parent, &plan);
    assert!(matches!(parent.ask(start), Reply::Started));
    let objects = world.objects();
    for (n, (case, _)) in (1..).zip(declared) {
        for asked in [vec![n], vec![0, n]] {
            let what = parent.refused(Request::Do { items: asked });
            assert!(what.contains(not_declared), "{case}: {what}");
        }
    }
    // Declared, but the token holds that name already: the worker refuses, and the true pair stays.
    assert!(parent.refused(do_items(&[8])).contains("have the label"));
    assert!(parent.refused(do_items(&[9])).contains("has the label"));
    assert_eq!(world.objects(), objects);
    assert!(world.on_token("main", "spare").is_empty());

    // The plan ends with its first item never done: that key is not made under any later release either.
    parent.finish(&plan);
    let again = world.start(&mut parent, &plan);
    world.unchanged(parent, |parent| parent.not_started(again, "the plan follows release"));
}

#[test]
fn p01_one_plan_at_a_time_and_its_end_is_its_own() {
    let world = world();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let other = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let release = parent.release + 1;
    let early_end = parent.end_entry(plan.digest, release);
    parent.seal();
    let end = parent.end(early_end);
    assert_eq!(parent.refused(end), "no plan is open");
    let start = world.start(&mut parent, &plan);
    assert!(matches!(parent.ask(start), Reply::Started));
    let second = world.start(&mut parent, &other);
    assert!(parent.refused(second).contains("a plan is open in this process"));
    let resumed = world.start(&mut parent, &plan);
    assert!(parent.refused(resumed).contains("a plan is open in this process"));
    drop(parent);

    // The next process: the mark names the open plan.
    let mut parent = world.parent();
    let second = world.start(&mut parent, &other);
    let mut wrong: Vec<u64> =
        [0, release - 1, release + 1, u64::MAX].map(|release| parent.end_entry(plan.digest, release)).into();
    wrong.push(parent.end_entry(other.digest, release));
    wrong.push(parent.append(world.start_entry(&plan, &[])));
    let good = parent.end_entry(plan.digest, release);
    parent.seal();
    let second = match second {
        Request::Start { plan, approvals, index, .. } => {
            let (entry, inclusion) = parent.proof(index, parent.log.size());
            Request::Start { plan, approvals, entry, index, inclusion }
        }
        _ => panic!(),
    };
    world.unchanged(parent, |parent| {
        parent.not_started(second, "was started and not ended");
        for index in wrong {
            let end = parent.end(index);
            assert!(parent.refused(end).contains("does not name the open plan and its release"));
        }
        let Request::End { entry, index, inclusion } = parent.end(good) else { panic!() };
        let end = Request::End { entry, index: index - 1, inclusion };
        assert!(parent.refused(end).contains("does not stand in the last checkpoint"));
    });

    // It died behind the end entry: the next one starts nothing, and closes it.
    let mut parent = world.parent();
    let index = parent.log.size() - 1;
    assert_eq!(index, good);
    let end = parent.end(index);
    assert!(matches!(parent.ask(end), Reply::Ended));
    parent.release += 1;
    world.unchanged(parent, |parent| {
        let end = parent.end(good);
        assert_eq!(parent.refused(end), "no plan is open");
        assert_eq!(parent.refused(do_items(&[0])), "no plan is open");
    });
}

#[test]
fn p01_a_started_plan_ends_after_its_window_but_is_not_resumed() {
    let world = world();
    let mut parent = world.parent();
    let mut until = 0;
    let plan = world.plan(&parent, Kind::Certificates, &world.items, |h| until = h.sign_until);
    let start = world.start(&mut parent, &plan);
    assert!(matches!(parent.ask(start), Reply::Started));
    drop(parent);
    let mut parent = world.parent_at(Some(until + 1));
    let resume = world.start(&mut parent, &plan);
    parent.not_started(resume, "window");
    parent.finish(&plan);
}

#[test]
fn p01_only_the_planned_key_of_the_hierarchy_is_destroyed() {
    let world = world();
    let (root, xmpp, audit) = (&world.root_key, &world.xmpp_key, &world.audit_key);
    let not_declared = "which is not the hierarchy's key for it";
    let destroy = |key: KeyRef| {
        Item::KeyAct(Box::new(KeyAct { key, deed: Deed::Destroy { in_force: 1, reason: Some("an attack".into()) } }))
    };
    #[rustfmt::skip]
    let attacks = [
        ("the audit key", audit.clone(), not_declared),
        ("the audit key under a CA key's id", KeyRef { key: root.key.clone(), ..audit.clone() }, not_declared),
        ("the audit key's token", KeyRef { token: audit.token.clone(), ..root.clone() }, not_declared),
        ("a key that is not declared", KeyRef { key: "other".into(), ..root.clone() }, not_declared),
        ("the other's label", KeyRef { label: xmpp.label.clone(), ..root.clone() }, not_declared),
        ("the other's CKA_ID", KeyRef { cka_id: xmpp.cka_id.clone(), ..root.clone() }, "label"),
        ("the other's public half", KeyRef { spki: xmpp.spki.clone(), ..root.clone() }, "its public half is not the planned one"),
        ("a public half that is still there", KeyRef { cka_id: Bytes::from(vec![9; 16]), ..root.clone() }, "still shows it by its label"),
    ];
    let items: Vec<Item> = attacks.iter().map(|(_, key, _)| destroy(key.clone())).collect();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Keys, &items, |_| {});
    let start = world.start(&mut parent, &plan);
    assert!(matches!(parent.ask(start), Reply::Started));
    let objects = world.objects();
    for (n, (case, _, why)) in (0..).zip(&attacks) {
        let what = parent.refused(do_items(&[n]));
        assert!(what.contains(why), "{case}: {what}");
        assert_eq!(world.objects(), objects, "{case}");
    }
    parent.finish(&plan);
}
