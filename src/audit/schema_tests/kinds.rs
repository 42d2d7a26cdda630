//! Entries of every kind, which the schema is compared with.

use super::super::entry::{
    Approved, Body, CertificateAdopted, CertificateIssued, ClockCorrected, CrlAdopted, CrlIssued, CsrMade, Decision,
    End, Evidence, EvidenceKind, Genesis, HandedOver, HierarchyAdopted, KeyBackedUp, KeyDestroyed, KeyGenerated,
    KeyProven, KeyRestored, LogAdopted, PinSplit, Revoked, Sampled, ShareOf, Start, Void, WrappingKeyGenerated,
};
use super::super::station::HIERARCHY;
use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::config::Environment;
use crate::digest::Digest;
use crate::plan::{BundleRef, Count, Kind};

pub(super) fn text(s: &str) -> String {
    s.to_string()
}

fn digest() -> Digest {
    Digest::of(HIERARCHY)
}

fn octets(of: &[u8]) -> Bytes {
    Bytes::from(of.to_vec())
}

fn approvals() -> Vec<Approved> {
    vec![Approved { person: text("anna"), fingerprint: text("SHA256:x"), signature: digest() }]
}

fn decision() -> Decision {
    let (operator, witness) = (text("op"), text("wit"));
    Decision {
        reason: text("why"),
        release: u64::MAX,
        change: 1,
        approvals: approvals(),
        operator,
        witness,
        witness_time: Some(-5),
    }
}

/// Every kind of entry at least once, and every field that may be null both ways.
pub(super) fn every_kind() -> Vec<Body> {
    let mut all = station();
    all.extend(plans());
    all.extend(keys());
    all.extend(certificates());
    all.extend(changes());
    all
}

fn station() -> Vec<Body> {
    let (token, serial, report) = (text("audit"), text("\u{e4}\u{20ac}"), digest());
    let genesis = |environment| {
        Body::Genesis(Genesis {
            origin: text("example.org/x"),
            name: text("X"),
            environment,
            hierarchy: digest(),
            verifier_key: text("key"),
            approvals: approvals(),
            requesters: digest(),
            program: text("0"),
        })
    };
    let probe =
        |protected| Body::Probe { token: text("audit"), serial: text("1"), report: digest(), able: true, protected };
    let shares = vec![
        ShareOf { custodian: Some(text("anna")), digest: digest() },
        ShareOf { custodian: None, digest: digest() },
    ];
    let set = octets(&[0xab, 0, 1]);
    vec![
        genesis(Environment::Real),
        genesis(Environment::Rehearsal),
        Body::Open { mark_size: 1, cut: u64::MAX },
        Body::PinTry { token: token.clone() },
        Body::Login { token: token.clone(), serial: serial.clone(), module: String::new() },
        probe(None),
        probe(Some(false)),
        Body::Inventory { token: token.clone(), serial, report, right: 3, missing: 0, wrong: 24, unexpected: u64::MAX },
        Body::PinSplit(PinSplit { token: token.clone(), set: set.clone(), threshold: 255, shares }),
        Body::PinSplitDone { token, set, new_pin: true },
        Body::Failure { what: "x".repeat(300) },
        Body::CopyWritten { target: text("/media/copy"), size: 20, root: digest() },
        Body::Indexed { size: 20, digest: digest() },
    ]
}

fn plans() -> Vec<Body> {
    let (plan, bundle) = (digest(), BundleRef { desk: text("desk"), sequence: 1, digest: digest() });
    let planned = |kind, bundle, counts| Body::Planned { plan, kind, items: 3, refused: 1, bundle, counts };
    let count = Count { act: text("batch"), ca: text("ca"), detail: text("leaf"), count: 70_000 };
    let start = |witness_time| {
        let (operator, witness) = (text("op"), text("wit"));
        Body::Start(Start { plan, approvals: approvals(), operator, witness, witness_time })
    };
    let void = |witness_time| {
        let (reason, operator, witness) = (text("r"), text("op"), text("wit"));
        Body::Void(Void { plan, reason, done: 1, approvals: vec![], operator, witness, witness_time })
    };
    vec![
        Body::BundleReceived { bundle: bundle.clone(), count: 2, revocations: 0 },
        planned(Kind::Keys, None, vec![]),
        planned(Kind::Certificates, Some(bundle), vec![count.clone(), count]),
        start(None),
        start(Some(i64::MAX)),
        void(None),
        void(Some(i64::MIN)),
        Body::End(End { plan, release: 1, done: 2, refused: 3, manifest: digest() }),
        Body::ReleaseWritten { release: 1, manifest: digest(), checkpoint: digest(), target: text("/media/x") },
    ]
}

fn keys() -> Vec<Body> {
    let (plan, spki, signature, backup) = (digest(), digest(), digest(), digest());
    let (key, token, label) = (|| text("key"), || text("main"), || text("label"));
    let (cka_id, attributes) = (|| octets(&[1; 16]), || vec![text("CKA_SIGN=true")]);
    let generated = |algorithm| {
        Body::KeyGenerated(KeyGenerated {
            plan,
            item: 0,
            key: key(),
            token: token(),
            label: label(),
            cka_id: cka_id(),
            algorithm,
            spki: octets(&[0x30; 91]),
            attributes: attributes(),
            adopted: false,
        })
    };
    let wrapping = |check_value| {
        Body::WrappingKeyGenerated(WrappingKeyGenerated {
            plan,
            item: 1,
            key: key(),
            token: token(),
            label: label(),
            cka_id: cka_id(),
            check_value,
            attributes: vec![],
            adopted: true,
        })
    };
    let mut all: Vec<Body> = KeyAlgorithm::ALL.into_iter().map(generated).collect();
    let (item, found, adopted) = (2, true, false);
    all.extend([
        wrapping(None),
        wrapping(Some(octets(&[1, 2, 3]))),
        Body::KeyBackedUp(KeyBackedUp {
            plan,
            item,
            key: key(),
            token: token(),
            spki,
            wrapping_key: text("wrap"),
            mechanism: text("CKM_AES_KEY_WRAP_KWP"),
            backup,
            signature,
        }),
        Body::KeyRestored(KeyRestored {
            plan,
            item,
            key: key(),
            token: token(),
            spki,
            backup,
            attributes: attributes(),
            adopted,
            signature,
        }),
        Body::KeyProven(KeyProven { plan, item, key: key(), token: token(), spki, signature }),
        Body::KeyDestroyed(KeyDestroyed {
            plan,
            item,
            key: key(),
            token: token(),
            label: label(),
            cka_id: cka_id(),
            spki,
            found,
            inventory: digest(),
        }),
    ]);
    all
}

fn certificates() -> Vec<Body> {
    let plan = digest();
    let certificate = |of: Option<&str>, requester| {
        Body::Certificate(CertificateIssued {
            plan,
            item: 0,
            ca: text("ca"),
            subject_ca: of.map(text),
            request: of.is_none().then(|| text("r-1")),
            profile: text("leaf"),
            requester,
            der: octets(&[0x30, 0]),
        })
    };
    let revoked =
        |reason| Body::Revoked(Revoked { plan, item: 1, ca: text("ca"), serial: octets(&[1; 17]), reason, date: -1 });
    let (number, this_update, next_update) = (1 << 32, -1, 1);
    vec![
        certificate(None, Some(digest())),
        certificate(Some("other"), None),
        revoked(None),
        revoked(Some(255)),
        Body::Crl(CrlIssued { plan, item: 2, ca: text("ca"), number, this_update, next_update, crl: digest() }),
        Body::Csr(CsrMade { plan, item: 3, ca: text("ca"), der: octets(&[0x30, 0]) }),
        Body::Refused { plan, request: text("r-2"), check: text("names"), reason: text("no") },
    ]
}

fn changes() -> Vec<Body> {
    let (hierarchy, root, persons) = (digest(), digest(), vec![text("anna"), text("bob")]);
    let (number, this_update, next_update, crl) = (7, 1, 2, digest());
    let adopted = |mark_plan| {
        let (mark_size, mark_root, mark_release, size) = (30, root, 2, 20);
        Body::LogAdopted(LogAdopted {
            mark_size,
            mark_root,
            mark_release,
            mark_plan,
            mark_hierarchy: hierarchy,
            token: text("1"),
            size,
            root,
            release: 1,
            hierarchy,
            decision: decision(),
        })
    };
    let certificate = |above, replaces, differs| {
        let (ca, csr, der, not_before, not_after) = (text("ca"), digest(), octets(&[0x30, 0]), -1, 1);
        let decision = decision();
        let adopted = CertificateAdopted { ca, csr, der, above, replaces, not_before, not_after, differs, decision };
        Body::CertificateAdopted(adopted)
    };
    let evidence = |kind| {
        let (what, artefact, withheld, octets, person) = (text("w"), digest(), true, 10, text("anna"));
        Body::Evidence(Evidence { kind, what, artefact, withheld, octets, person })
    };
    let sampled = |differs| {
        let (plan, dice, persons) = (digest(), "3".repeat(25), vec![text("anna"), text("bob")]);
        Body::Sampled(Sampled { plan, items: 70, count: 70, dice, differs, persons })
    };
    let handed = |lost, plan| {
        let (token, from, to, size) = (text("audit"), text("1"), text("2"), 20);
        Body::HandedOver(HandedOver { token, from, to, lost, size, root, plan, decision: decision() })
    };
    vec![
        Body::HierarchyAdopted(HierarchyAdopted { before: hierarchy, hierarchy, decision: decision() }),
        Body::CrlAdopted(CrlAdopted {
            ca: text("ca"),
            number,
            this_update,
            next_update,
            crl,
            entries: 2,
            unknown: 1,
            decision: decision(),
        }),
        certificate(vec![], None, vec![]),
        certificate(vec![octets(&[0x30, 0])], Some(digest()), vec![text("its path length is 0, declared is 1")]),
        adopted(None),
        adopted(Some(digest())),
        handed(false, None),
        handed(true, Some(digest())),
        Body::ClockCorrected(ClockCorrected {
            from: 70_000,
            to: 60_000,
            decision: Decision { witness_time: None, ..decision() },
        }),
        Body::MediumRead { name: text("b.bundle"), digest: digest(), octets: 10 },
        Body::Step { script: digest(), number: 1, persons: persons.clone() },
        sampled(vec![]),
        sampled(vec![0, 3]),
        Body::Deviation { what: text("the lamp failed"), persons },
        evidence(EvidenceKind::HsmLog),
        evidence(EvidenceKind::Minutes),
        evidence(EvidenceKind::Photo),
        evidence(EvidenceKind::Other),
    ]
}
