//! Voids: a plan is ended by its quorum, in one step, and nothing of it can be asked for afterwards.

use coldroot::audit::entry::{Approved, Body, Void};
use coldroot::gate::{Proven, Reply, Request};
use coldroot::plan::{self, Kind, Plan};

use super::station::{Parent, PlanFile, World, world};

const REASON: &str = "no more";

fn void_entry(plan: &PlanFile, done: u64, approvals: Vec<Approved>) -> Body {
    Body::Void(Void {
        plan: plan.digest,
        reason: REASON.into(),
        done,
        approvals,
        operator: "carol".into(),
        witness: "dave".into(),
        witness_time: None,
    })
}

/// The statement of a void, and the two officers' signatures.
fn approved(world: &World, plan: &PlanFile, done: u64) -> (Vec<String>, Vec<Approved>) {
    let opened = Plan::open(&plan.path).unwrap();
    let statement = plan::void_statement(opened.head(), &plan.digest, done, REASON);
    let signatures = world.sign(&statement, &["alice", "bob"]);
    let approvals = world.approved(&statement, &signatures);
    (signatures, approvals)
}

fn proven(parent: &Parent, index: u64) -> Proven {
    let (entry, inclusion) = parent.proof(index, parent.log.size());
    Proven { entry, index, inclusion }
}

fn request(parent: &Parent, plan: &PlanFile, approvals: &[String], void: u64, end: u64) -> Request {
    let (void, end) = (proven(parent, void), proven(parent, end));
    Request::Void { plan: plan.path.clone(), approvals: approvals.to_vec(), void, end }
}

#[test]
fn p05_a_plan_is_voided_by_its_quorum_and_never_carried_out() {
    let world = world();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let start = world.start(&mut parent, &plan);
    assert!(matches!(parent.ask(start), Reply::Started));
    let (signatures, approvals) = approved(&world, &plan, 0);
    let void = parent.append(void_entry(&plan, 0, approvals));
    let end = parent.end_entry(plan.digest, parent.release + 1);
    parent.seal();
    let request = request(&parent, &plan, &signatures, void, end);
    assert!(matches!(parent.ask(request), Reply::Ended));
    parent.release += 1;
    // Approved it still is; but the mark has gone past it.
    let again = world.start(&mut parent, &plan);
    world.unchanged(parent, |parent| {
        assert_eq!(parent.refused(Request::Do { items: vec![0] }), "no plan is open");
        parent.not_started(again, "the plan follows release");
    });
}

#[test]
fn p05_what_is_no_void_changes_nothing() {
    let world = world();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let other = world.plan(&parent, Kind::Certificates, &world.items, |_| {});
    let stale = world.plan(&parent, Kind::Certificates, &world.items, |h| h.release_before += 1);
    let (signatures, approvals) = approved(&world, &plan, 0);
    let (of_other, approvals_of_other) = approved(&world, &other, 0);
    let (of_three, approvals_of_three) = approved(&world, &plan, 3);
    let (of_stale, approvals_of_stale) = approved(&world, &stale, 0);
    let to_sign = world.sign(&plan.statement, &["alice", "bob"]);
    let next = parent.release + 1;
    let void = parent.append(void_entry(&plan, 0, approvals.clone()));
    let void_of_three = parent.append(void_entry(&plan, 3, approvals_of_three));
    let void_of_other = parent.append(void_entry(&other, 0, approvals_of_other));
    let void_of_stale = parent.append(void_entry(&stale, 0, approvals_of_stale));
    let short = parent.append(void_entry(&plan, 0, approvals[..1].to_vec()));
    let end = parent.end_entry(plan.digest, next);
    let end_of_other = parent.end_entry(other.digest, next);
    let end_of_stale = parent.end_entry(stale.digest, next);
    let late_end = parent.end_entry(plan.digest, next + 1);
    parent.seal();
    let signed = |signatures: &[String], plan: &PlanFile, void, end| request(&parent, plan, signatures, void, end);
    let attacks = [
        ("no approvals", signed(&[], &plan, void, end), "2 of role officer must approve"),
        ("one approval", signed(&signatures[..1], &plan, short, end), "2 of role officer must approve"),
        ("the approvals of the plan itself", signed(&to_sign, &plan, void, end), "is not over this text"),
        ("another plan's void", signed(&of_other, &plan, void_of_other, end), "is not over this text"),
        ("another count", signed(&signatures, &plan, void_of_three, end), "is not over this text"),
        ("an end that counts otherwise", signed(&of_three, &plan, void_of_three, end), "the end entry does not name"),
        ("another plan's end", signed(&signatures, &plan, void, end_of_other), "the end entry does not name"),
        ("a later release", signed(&signatures, &plan, void, late_end), "the end entry does not name"),
        ("an end for a void", signed(&signatures, &plan, end, end), "the void entry is none"),
        ("a void for an end", signed(&signatures, &plan, void, void), "the end entry does not name"),
        (
            "fewer approvals on record",
            signed(&signatures, &plan, short, end),
            "does not name this plan and these approvals",
        ),
        ("a plan from elsewhere", signed(&of_stale, &stale, void_of_stale, end_of_stale), "the plan follows release"),
    ];
    let mut moved = signed(&signatures, &plan, void, end);
    if let Request::Void { void, .. } = &mut moved {
        void.index += 1;
    }
    world.unchanged(parent, |parent| {
        for (case, attack, why) in attacks.into_iter().chain([("another index", moved, "last checkpoint")]) {
            let said = parent.refused(attack);
            assert!(said.contains(why), "{case}: {said}");
        }
    });
}
