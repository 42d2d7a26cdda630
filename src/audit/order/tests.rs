use super::super::entry::{CertificateIssued, End, Start, Void};
use super::super::serial::tests::shell;
use super::super::station::{Signer, genesis};
use super::*;
use crate::cbor::Bytes;

pub(crate) const PLAN: Digest = Digest([1; 32]);

pub(crate) fn planned(plan: Digest, items: u64) -> Body {
    Body::Planned { plan, kind: Kind::Certificates, items, refused: 1, bundle: None, counts: vec![] }
}

pub(crate) fn start(plan: Digest) -> Body {
    let (operator, witness) = ("op".into(), "wit".into());
    Body::Start(Start { plan, approvals: vec![], operator, witness, witness_time: None })
}

pub(crate) fn end(plan: Digest, done: u64, refused: u64) -> Body {
    Body::End(End { plan, release: 1, done, refused, manifest: Digest([8; 32]) })
}

fn void(plan: Digest, done: u64) -> Body {
    let (reason, operator, witness) = ("why".into(), "op".into(), "wit".into());
    Body::Void(Void { plan, reason, done, approvals: vec![], operator, witness, witness_time: None })
}

pub(crate) fn certificate(plan: Digest, item: u64, serial: u8) -> Body {
    let der = Bytes::from(shell(5, &[1, serial]));
    let (ca, profile, request) = ("root".into(), "leaf".into(), Some("r1".into()));
    Body::Certificate(CertificateIssued { plan, item, ca, subject_ca: None, request, profile, requester: None, der })
}

pub(crate) fn refused(plan: Digest) -> Body {
    Body::Refused { plan, request: "r2".into(), check: "name".into(), reason: "not validated".into() }
}

/// Folds the bodies behind a genesis entry and gives what the last one is answered.
fn fold(bodies: Vec<Body>) -> Result<Option<Digest>, Broken> {
    let signer = Signer::new();
    let mut order = Order::new(signer.origin(), &signer.key().to_string());
    order.take(&genesis(&signer))?;
    bodies.into_iter().try_for_each(|body| order.take(&Entry::new(0, body)))?;
    Ok(order.open_plan())
}

#[test]
fn a_whole_plan_with_a_resume_is_in_order() {
    let other = Digest([2; 32]);
    let whole = vec![
        planned(PLAN, 3),
        planned(other, 1),
        start(PLAN),
        certificate(PLAN, 0, 1),
        start(PLAN),
        certificate(PLAN, 2, 2),
        refused(PLAN),
        end(PLAN, 2, 1),
        start(other),
    ];
    assert_eq!(fold(whole), Ok(Some(other)));
}

#[test]
fn each_rule_is_kept() {
    let other = Digest([2; 32]);
    let opened = || vec![planned(PLAN, 3), planned(other, 1), start(PLAN)];
    let after = |bodies: Vec<Body>| fold(opened().into_iter().chain(bodies).collect()).unwrap_err();
    assert_eq!(fold(vec![start(PLAN)]), Err(Broken::NotPlanned(PLAN)));
    assert_eq!(fold(vec![planned(PLAN, 3), refused(PLAN)]), Err(Broken::OutsidePlan(PLAN)));
    assert_eq!(fold(vec![planned(PLAN, 3), certificate(PLAN, 0, 1)]), Err(Broken::OutsidePlan(PLAN)));
    assert_eq!(after(vec![planned(PLAN, 3)]), Broken::PlannedTwice(PLAN));
    assert_eq!(after(vec![start(other)]), Broken::TwoOpen { plan: other, open: PLAN });
    assert_eq!(after(vec![certificate(other, 0, 1)]), Broken::OutsidePlan(other));
    assert_eq!(after(vec![certificate(PLAN, 3, 1)]), Broken::ItemBeyond { item: 3, items: 3 });
    let again = vec![certificate(PLAN, 1, 1), certificate(PLAN, 1, 2)];
    assert_eq!(after(again), Broken::ItemOrder { item: 1, last: 1 });
    assert_eq!(after(vec![end(PLAN, 1, 0)]), Broken::Counts { counted: 1, recorded: 0 });
    assert_eq!(after(vec![end(PLAN, 0, 0), start(PLAN)]), Broken::StartedAfterEnd(PLAN));
    assert_eq!(after(vec![end(PLAN, 0, 0), refused(PLAN)]), Broken::OutsidePlan(PLAN));
    assert_eq!(after(vec![genesis(&Signer::new()).body]), Broken::SecondGenesis);
    assert_eq!(after(vec![void(PLAN, 0), certificate(PLAN, 0, 1)]), Broken::Voided(PLAN));
    assert_eq!(after(vec![void(PLAN, 0), void(PLAN, 0)]), Broken::Voided(PLAN));
    assert_eq!(after(vec![void(other, 0)]), Broken::TwoOpen { plan: other, open: PLAN });
    let miscounted = vec![certificate(PLAN, 0, 1), void(PLAN, 0)];
    assert_eq!(after(miscounted), Broken::Counts { counted: 0, recorded: 1 });
    assert_eq!(fold(vec![planned(PLAN, 3), void(PLAN, 0), refused(PLAN), end(PLAN, 0, 1)]), Ok(None));
    let agreed = |of| Sampled {
        plan: of,
        items: 1,
        count: 1,
        dice: "2".repeat(25),
        differs: vec![],
        persons: vec!["ann".into(), "ben".into()],
    };
    let differs = Sampled { differs: vec![0], ..agreed(other) };
    assert_eq!(fold(vec![planned(other, 1), Body::Sampled(agreed(other)), start(other)]), Ok(Some(other)));
    assert_eq!(
        fold(vec![planned(other, 1), Body::Sampled(differs.clone()), Body::Sampled(agreed(other)), start(other)]),
        Err(Broken::Differs(other))
    );
    assert_eq!(fold(vec![planned(other, 1), Body::Sampled(differs.clone()), void(other, 0)]), Ok(Some(other)));
    assert_eq!(after(vec![void(PLAN, 0), Body::Sampled(agreed(PLAN))]), Broken::Voided(PLAN));
    assert_eq!(after(vec![Body::Sampled(agreed(Digest([9; 32])))]), Broken::NotPlanned(Digest([9; 32])));
    for (wrong, what) in [
        (Sampled { items: 2, ..agreed(other) }, "the plan has not so many items"),
        (Sampled { count: 2, ..agreed(other) }, "so many items cannot be drawn"),
        (Sampled { dice: "2".repeat(24), ..agreed(other) }, "its dice are none"),
        (Sampled { dice: " ".to_string() + &"2".repeat(25), ..agreed(other) }, "its dice have spaces"),
        (Sampled { differs: vec![1], ..agreed(other) }, "an item that differs was not drawn"),
        (Sampled { differs: vec![0, 0], ..agreed(other) }, "an item that differs was not drawn"),
        (Sampled { persons: vec!["ann".into()], ..agreed(other) }, "two persons compare a sample"),
        (Sampled { persons: vec!["ann".into(), "ann".into()], ..agreed(other) }, "two persons compare a sample"),
    ] {
        assert_eq!(after(vec![Body::Sampled(wrong)]), Broken::Sample(what));
    }
    let mut torn = certificate(PLAN, 0, 1);
    if let Body::Certificate(c) = &mut torn {
        c.der.pop();
    }
    assert_eq!(after(vec![torn]), Broken::Certificate);
    let keys =
        Body::Planned { plan: Digest([7; 32]), kind: Kind::Keys, items: 1, refused: 0, bundle: None, counts: vec![] };
    let seven = Digest([7; 32]);
    assert_eq!(fold(vec![keys, start(seven), certificate(seven, 0, 1)]), Err(Broken::OtherKind));
}

#[test]
fn the_first_entry_is_the_genesis_of_this_key() {
    let signer = Signer::new();
    let mut order = Order::new(signer.origin(), &signer.key().to_string());
    assert_eq!(order.take(&Entry::new(0, refused(PLAN))), Err(Broken::Genesis));
    let mut order = Order::new(signer.origin(), "another+key");
    assert_eq!(order.take(&genesis(&signer)), Err(Broken::Genesis));
    let mut order = Order::new(signer.origin(), &signer.key().to_string());
    let later = Entry { v: 1, ..genesis(&signer) };
    assert_eq!(order.take(&later), Err(Broken::Version(1)));
}
