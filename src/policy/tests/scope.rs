//! What the CAs above leave to a certificate.

use super::*;
use crate::config::NameBase;
use crate::x509::fields::Subtree;

const SERVER: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT: &str = "1.3.6.1.5.5.7.3.2";

/// The verdict on a leaf of `leaf` under an issuing CA under a root, each declared by `edit`.
fn judged(edit: impl Fn(&mut [(Ca, Profile); 2]), leaf: &Profile, name: &str) -> Result<CertFields, Refused> {
    let mut cas = [
        (ca("root", "root", 3650), profile(Base::Root, Some(1))),
        (ca("issuing", "root", 365), profile(Base::Intermediate, Some(0))),
    ];
    edit(&mut cas);
    let ledger = Ledger::default();
    let mut seen = Seen::new(&ledger, []);
    let mut issuer: Option<IssuerFacts> = None;
    for (n, (ca, profile)) in (1..).zip(&cas) {
        let key = Key::p256();
        let fields = certify(ca, &key, issuer.as_ref(), profile.clone(), FROM, n, &mut seen)?;
        let (subject, spki) = (tbs::name(&ca.subject), key.spki());
        issuer = Some(IssuerFacts::planned(&fields, issuer.as_ref(), ca, &subject, declared(&spki))?);
    }
    let context = LeafContext { profile: leaf, issuer: &issuer.unwrap(), sign_from: FROM };
    let (csr, validated) = (request(&Key::p256(), &[dns(name)]), [name.to_owned()]);
    let row = RequestRow {
        id: "r1",
        csr: &csr,
        validated: &validated,
        requester: Digest::of(b"somebody"),
        suffixes: &[],
        vouched: &Vouched::default(),
        ceded: &[],
    };
    judge_request(&context, &row, serial(9), &mut seen)
}

fn tls() -> Profile {
    profile(Base::TlsServer, None)
}

fn policy(oid: &str) -> Policy {
    Policy { oid: oid.into(), cps: None }
}

#[track_caller]
fn refused(by: Check, saying: &str, verdict: Result<CertFields, Refused>) {
    let refused = verdict.unwrap_err();
    assert!(refused.check == by && refused.reason.contains(saying), "{refused}");
}

#[test]
fn names_lie_within_the_constraints_of_every_ca_above() {
    let base = |name: &str| NameBase::Plain(Subtree::Dns(name.into()));
    // The root's bind as much as the issuer's.
    for n in [0, 1] {
        let edit = |cas: &mut [(Ca, Profile); 2]| cas[n].0.limits.permitted = vec![base("a.example")];
        judged(edit, &tls(), "www.a.example").unwrap();
        refused(Check::NameConstraints, "`www.b.example` is not permitted", judged(edit, &tls(), "www.b.example"));
        let edit = |cas: &mut [(Ca, Profile); 2]| cas[n].0.limits.excluded = vec![base("a.example")];
        judged(edit, &tls(), "www.b.example").unwrap();
        refused(Check::NameConstraints, "`www.a.example` is excluded", judged(edit, &tls(), "www.a.example"));
    }
    let wider = |cas: &mut [(Ca, Profile); 2]| {
        cas[0].0.limits.permitted = vec![base("a.example")];
        cas[1].0.limits.permitted = vec![base("example")];
    };
    refused(Check::NameConstraints, "`DNS example` is not permitted", judged(wider, &tls(), "www.a.example"));
    // A CA's own subject is a name as well.
    let rdn = |text: &str| vec![(DnType::Organization, text.into())];
    let own = |o: &'static str| {
        move |cas: &mut [(Ca, Profile); 2]| cas[0].0.limits.permitted = vec![NameBase::Directory(vec![rdn(o)])]
    };
    refused(Check::NameConstraints, "CN=issuing", judged(own("Elsewhere"), &tls(), "a.example"));
    // The leaf's subject is its commonName alone, which is not below the O of its issuer.
    refused(Check::NameConstraints, "CN=a.example", judged(own("REHEARSAL"), &tls(), "a.example"));
    judged(own("REHEARSAL"), &Profile { common_name: false, ..tls() }, "a.example").unwrap();
}

#[test]
fn a_certificate_is_for_no_purpose_that_a_ca_above_is_not_for() {
    let purposes = |root: &'static [&str], issuing: &'static [&str]| {
        move |cas: &mut [(Ca, Profile); 2]| {
            cas[0].0.limits.eku = root.iter().map(|oid| oid.to_string()).collect();
            cas[1].0.limits.eku = issuing.iter().map(|oid| oid.to_string()).collect();
        }
    };
    judged(purposes(&[], &[SERVER]), &tls(), "a.example").unwrap();
    judged(purposes(&[CLIENT, SERVER], &[SERVER]), &tls(), "a.example").unwrap();
    refused(
        Check::IssuerPurposes,
        "is not for 1.3.6.1.5.5.7.3.1",
        judged(purposes(&[], &[CLIENT]), &tls(), "a.example"),
    );
    refused(Check::IssuerPurposes, "is not for", judged(purposes(&[SERVER], &[SERVER, CLIENT]), &tls(), "a.example"));
    refused(Check::IssuerPurposes, "would be for everything", judged(purposes(&[SERVER], &[]), &tls(), "a.example"));
    let xmpp = profile(Base::XmppServer, None);
    refused(
        Check::IssuerPurposes,
        "is not for 1.3.6.1.5.5.7.3.2",
        judged(purposes(&[], &[SERVER]), &xmpp, "a.example"),
    );
}

#[test]
fn policies_are_those_of_the_issuer_and_stand_where_one_is_wanted() {
    const ANY: &str = "2.5.29.32.0";
    let with = |policies: &'static [&str], explicit: Option<u32>, any: Option<u32>| {
        move |cas: &mut [(Ca, Profile); 2]| {
            cas[1].1.policies = policies.iter().map(|oid| policy(oid)).collect();
            cas[1].0.limits.require_explicit_policy = explicit;
            cas[0].0.limits.inhibit_any_policy = any;
        }
    };
    let leaf = |policies: &[&str]| Profile { policies: policies.iter().map(|oid| policy(oid)).collect(), ..tls() };
    let judge = |policies, explicit, any, own: &[&str]| judged(with(policies, explicit, any), &leaf(own), "a.example");
    judge(&["2.999.1", "2.999.2"], Some(0), Some(0), &["2.999.2"]).unwrap();
    judge(&["2.999.1"], None, None, &[]).unwrap();
    judge(&[], None, None, &["2.999.1"]).unwrap();
    judge(&[ANY], Some(0), None, &["2.999.7"]).unwrap();
    judge(&["2.999.1"], Some(2), None, &[]).unwrap();
    refused(Check::IssuerPolicies, "policy 2.999.3 is none", judge(&["2.999.1"], None, None, &["2.999.3"]));
    refused(Check::IssuerPolicies, "policy 2.5.29.32.0 is none", judge(&["2.999.1"], None, None, &[ANY]));
    refused(Check::IssuerPolicies, "no longer stands", judge(&[ANY], None, Some(0), &["2.999.1"]));
    // RFC 5280 section 6.1.5 (a): a limit of one already binds the end of the path.
    for explicit in [0, 1] {
        refused(Check::IssuerPolicies, "there is none", judge(&["2.999.1"], Some(explicit), None, &[]));
    }
    refused(Check::IssuerPolicies, "there is none", judge(&[], Some(0), None, &["2.999.1"]));
}
