//! Changes of state that nobody has decided.

use coldroot::approval;
use coldroot::audit::entry::{Body, Decision, HierarchyAdopted, Start};
use coldroot::audit::mark::Mark;
use coldroot::change::recorded;
use coldroot::config::Hierarchy;
use coldroot::gate::{Proven, Request};
use coldroot::plan::Kind;

use super::station::world;

/// The number of a change decides whether the mark has followed it; it must not decide which hierarchy counts.
#[test]
fn p01_a_hierarchy_that_no_quorum_has_adopted_is_never_obeyed() {
    let world = world();
    let mut parent = world.parent();
    // The true one, but for its officers, who are the attacker's.
    let text = world.hierarchy_text().replace(&world.public("alice"), &world.public("eve"));
    let text = text.replace(&world.public("bob"), &world.public("mallory"));
    let false_one = Hierarchy::parse(&text).unwrap();
    assert_eq!(parent.log.put_artefact(text.as_bytes()).unwrap(), false_one.digest);
    let made = Mark::decode(&parent.gate.mark().unwrap().unwrap()).unwrap().changes;
    for change in [made, made + 1, made + 2] {
        let (before, hierarchy) = (world.hierarchy.digest, false_one.digest);
        let decision = Decision {
            reason: "why".into(),
            release: parent.release,
            change,
            approvals: Vec::new(),
            operator: "carol".into(),
            witness: "dave".into(),
            witness_time: None,
        };
        let index = parent.append(Body::HierarchyAdopted(HierarchyAdopted { before, hierarchy, decision }));
        let plan = world.plan(&parent, Kind::Certificates, &world.items, |head| head.hierarchy = hierarchy);
        let signatures = world.sign(&plan.statement, &["eve", "mallory"]);
        let count = |armored: &String| approval::verify_person(&plan.statement, armored, &false_one.persons).unwrap();
        let approvals = recorded(&signatures.iter().map(count).collect::<Vec<_>>());
        let (operator, witness) = ("carol".into(), "dave".into());
        let start = Start { plan: plan.digest, approvals, operator, witness, witness_time: None };
        let start = parent.append(Body::Start(start));
        parent.seal();
        let (entry, inclusion) = parent.proof(index, parent.log.size());
        let adoption = Request::Change { entry: Proven { entry, index, inclusion }, approvals: Vec::new() };
        let start = parent.start(&plan, &signatures, start);
        world.unchanged(parent, |parent| {
            parent.refused(adoption);
            parent.not_started(start, "the plan was made for another hierarchy");
        });
        parent = world.parent();
    }
}
