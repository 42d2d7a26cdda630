//! Releases that a lying parent makes. The gate signs what was approved and lets any plan be ended; it does not see what is
//! put into a release. So whoever is handed one must see it: plan, log and release say the same, or it is refused.

use std::fs;
use std::process::Command;

use coldroot::audit::entry::Body;
use coldroot::plan::Item;
use coldroot::release::Part;
use coldroot::tbs;

use super::forgery::{Approved, HONEST, Lie, Parent, forged};
use super::station::EXE;

fn certificates(parts: &[Part]) -> Vec<usize> {
    (0..parts.len()).filter(|n| matches!(parts[*n], Part::Certificate { .. })).collect()
}

#[test]
fn p02_a_revocation_that_stands_on_no_crl_is_seen() {
    // Planned so, approved so, signed so: the CRL of the revocation's own plan leaves it out.
    let approved = Approved::of(|items| {
        let Some(Item::Crl(crl)) = items.last_mut() else { panic!("{items:?}") };
        crl.fields.revoked.clear();
        crl.tbs = tbs::crl(&crl.fields).unwrap().into();
    });
    let mut show = Command::new(EXE);
    let shown = show.args(["--plain", "check"]).arg(&approved.plan).output().unwrap();
    let said = String::from_utf8_lossy(&shown.stderr);
    assert!(
        shown.status.code() == Some(4) && said.contains("no CRL of the plan says so"),
        "an officer sees it: {said}"
    );
    for (code, said) in approved.released(&HONEST) {
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("check `crl-entries` failed: CRL 2 of CA `xmpp-1`"), "{said}");
    }
}

#[test]
fn p02_a_release_that_the_end_entry_does_not_vouch_for_is_none() {
    let approved = Approved::new();
    let release = approved.released_to(&HONEST);
    // Made by somebody on the way: all of it is on record, in another order.
    let (container, manifest) = forged(&release, &[], |_, parts, _| parts.reverse());
    let honest = fs::read(release.join("release.cbor")).unwrap();
    fs::write(release.join("release.cbor"), &container).unwrap();
    fs::write(release.join("manifest.cbor"), &manifest).unwrap();
    assert_ne!(container, honest);
    for (code, said) in approved.judged(&release) {
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("no end entry of the log vouches for this manifest"), "{said}");
    }
}

#[test]
fn p02_a_release_made_again_is_the_one_on_record_or_none() {
    let approved = Approved::new();
    let lie: Lie = |_, parts, _| drop(parts.remove(certificates(parts)[0]));
    let release = approved.released_to(&Parent { lie, ..HONEST });
    fs::remove_dir_all(&release).unwrap();
    let mut run = Command::new(EXE);
    run.args(["--plain", "--station"]).arg(&approved.station).args(["sign", "--plan"]).arg(&approved.plan);
    let run = run.args(["--operator", "carol", "--witness", "dave"]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && said.contains("release 4 made again is not the one on record"), "{said}");
    let left: Vec<_> = fs::read_dir(approved.station.join("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("release-0004")), "{left:?}");
}

#[test]
fn p12_a_plan_ended_without_its_items_has_no_release() {
    let approved = Approved::new();
    let parents = [
        (Parent { records: Vec::clear, ..HONEST }, "0 items of the plan are on record, 4 were approved to be"),
        (Parent { records: |b| b.truncate(2), ..HONEST }, "2 items of the plan are on record, 4 were approved to be"),
        (Parent { records: Vec::clear, claims: Some(4), ..HONEST }, "the entry counts 4 done or refused, the log 0"),
    ];
    for (parent, why) in &parents {
        for (code, said) in approved.released(parent) {
            assert_eq!(code, Some(4), "{why}: {said}");
            assert!(said.contains(why), "{why}: {said}");
        }
    }
    for (code, said) in approved.released(&HONEST) {
        assert_eq!(code, Some(0), "carried out and told as it was: {said}");
    }
}

#[test]
fn p12_what_is_on_record_as_an_item_is_what_was_approved_as_it() {
    // Both are signed and approved; each stands where the other one should.
    let swapped = |bodies: &mut Vec<Body>| {
        let [Body::Certificate(first), Body::Certificate(second), ..] = &mut bodies[..] else { panic!("{bodies:?}") };
        std::mem::swap(&mut first.der, &mut second.der);
    };
    for (code, said) in Approved::new().released(&Parent { records: swapped, ..HONEST }) {
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("what was signed as item 0 is not what was approved"), "{said}");
    }
}

#[test]
fn p12_a_release_holds_what_its_plan_came_to_and_nothing_else() {
    const NOT_WHOLE: &str = "does not hold what the log says";
    #[rustfmt::skip]
    let lies: [(&str, Lie, &str); 16] = [
        ("a certificate left out", |_, parts, _| drop(parts.remove(certificates(parts)[0])), NOT_WHOLE),
        ("a certificate twice, for another one", |_, parts, _| {
            let [first, second] = certificates(parts)[..] else { panic!() };
            parts[second] = parts[first].clone();
        }, "stands here twice"),
        ("an earlier plan's certificate for one of this plan", |_, parts, earlier| {
            let first = certificates(parts)[0];
            parts[first] = earlier[certificates(earlier)[1]].clone();
        }, "the log does not have the certificate of `"),
        ("a certificate under another request", |_, parts, _| {
            let first = certificates(parts)[0];
            let Part::Certificate { request, .. } = &mut parts[first] else { panic!() };
            *request = "q9".into();
        }, "the log does not have the certificate of `q"),
        ("a certificate of another profile", |_, parts, _| {
            let first = certificates(parts)[0];
            let Part::Certificate { profile, .. } = &mut parts[first] else { panic!() };
            *profile = "other".into();
        }, "the log does not have the certificate of `q"),
        ("a refusal left out", |_, parts, _| parts.retain(|p| !matches!(p, Part::Refused(_))), NOT_WHOLE),
        ("a refusal for another reason", |_, parts, _| {
            parts.iter_mut().for_each(|p| if let Part::Refused(r) = p { r.reason = "we do not like you".into() });
        }, "the log does not have the refusal of `q2`"),
        ("a revocation left out", |_, parts, _| parts.retain(|p| !matches!(p, Part::Revoked { .. })), NOT_WHOLE),
        ("a revocation for another reason", |_, parts, _| {
            parts.iter_mut().for_each(|p| if let Part::Revoked { reason, .. } = p { *reason = Some(1) });
        }, "the log does not have the revocation of serial"),
        ("the new CRL left out", |_, parts, _| {
            parts.retain(|p| !matches!(p, Part::Crl { ca, .. } if ca == "xmpp-1"));
        }, NOT_WHOLE),
        ("the CRL before, without the revocation", |_, parts, earlier| {
            let of = |p: &&Part| matches!(p, Part::Crl { ca, .. } if ca == "xmpp-1");
            let old = earlier.iter().find(of).unwrap().clone();
            parts.iter_mut().for_each(|p| if of(&&*p) { *p = old.clone() });
        }, "of CA `xmpp-1` as the newest"),
        ("a CRL under another number", |_, parts, _| {
            parts.iter_mut().for_each(|p| if let Part::Crl { number, .. } = p { *number += 1 });
        }, "as the newest"),
        ("another count", |head, _, _| head.items += 1, "check `head` failed"),
        ("another operator", |head, _, _| head.operator = "dave".into(), "check `head` failed"),
        ("fewer approvals", |head, _, _| drop(head.approvals.pop()), "check `head` failed"),
        ("said to be void", |head, _, _| head.void = Some("no more".into()), "check `head` failed"),
    ];
    let approved = Approved::new();
    for (what, lie, why) in lies {
        for (code, said) in approved.released(&Parent { lie, ..HONEST }) {
            assert_eq!(code, Some(4), "{what}: {said}");
            assert!(said.contains(why), "{what}: `{why}`: {said}");
        }
    }
}
