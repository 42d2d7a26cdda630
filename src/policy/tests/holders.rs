//! Who holds a key or a name, and who may have it revoked.

use super::*;

#[test]
fn no_key_is_certified_twice_and_no_serial_used_twice() {
    let mut world = World::new();
    let key = Key::p256();
    let csr = request(&key, &[dns("a.example")]);
    let again = request(&key, &[dns("b.example")]);
    let ca_csr = request(&world.issuing_key, &[dns("a.example")]);
    assert_eq!(world.refused(&ca_csr, &["a.example"]), Check::CaKeyReuse);

    let issuer = world.issuer();
    let leaf = profile(Base::XmppServer, None);
    let context = LeafContext { profile: &leaf, issuer: &issuer, sign_from: FROM };
    let mut seen = Seen::new(&world.ledger, []);
    let validated = vec!["a.example".to_owned(), "b.example".to_owned()];
    let mut judge = |id, csr: &[u8], n| judge_request(&context, &row(id, csr, &validated), n, &mut seen);
    assert!(judge("first", &csr, serial(1)).is_ok());
    let twice = judge("second", &again, serial(2)).unwrap_err();
    assert_eq!(twice.check, Check::DuplicateKey);
    assert!(twice.reason.contains("`first`"));
    let other = request(&Key::p384(), &[dns("a.example")]);
    assert_eq!(judge("third", &other, serial(1)).unwrap_err().check, Check::Serial);
    for first in [0x00, 0x80] {
        let mut bad = serial(3);
        bad[0] = first;
        assert_eq!(judge("third", &other, bad).unwrap_err().check, Check::Serial);
    }
    // A refused item took nothing: the same key passes with a good serial.
    assert!(judge("third", &other, serial(3)).is_ok());

    let known = x509::PublicKey::from_spki(&key.spki()).unwrap().digest();
    let fields = world.judge(&csr, &["a.example"]).unwrap();
    let names = x509::fields::names_digest(&fields.subject, &fields.san);
    let holder = KeyFacts { whose: "request old-7".into(), requester: Some(ASKER), names, compromised: false };
    let mut on_record = |holder: KeyFacts, reuse| {
        world.ledger.keys.insert(known, holder);
        world.judge_by(&Profile { key_reuse: reuse, ..profile(Base::XmppServer, None) }, &csr, &["a.example"])
    };
    // The same requester renews with the same names, unless the profile forbids it.
    assert!(on_record(holder.clone(), KeyReuse::SameRequester).is_ok());
    let refused = on_record(holder.clone(), KeyReuse::Never).unwrap_err();
    assert!(refused.check == Check::DuplicateKey && refused.reason.contains("`request old-7`"));
    let stranger = KeyFacts { requester: Some(Digest([8; 32])), ..holder.clone() };
    assert_eq!(on_record(stranger, KeyReuse::SameRequester).unwrap_err().check, Check::DuplicateKey);
    let renamed = KeyFacts { names: Digest([9; 32]), ..holder.clone() };
    assert_eq!(on_record(renamed, KeyReuse::SameRequester).unwrap_err().check, Check::DuplicateKey);
    let stolen = KeyFacts { compromised: true, ..holder };
    assert_eq!(on_record(stolen, KeyReuse::SameRequester).unwrap_err().check, Check::CompromisedKey);
    world.ledger.keys.clear();
    world.ledger.serials.push(serial(9));
    assert_eq!(world.refused(&csr, &["a.example"]), Check::Serial);
}

#[test]
fn names_stay_with_their_holder() {
    let mut world = World::new();
    let csr = request(&Key::p256(), &[dns("a.example")]);
    world.ledger.names.insert("a.example".into(), ASKER);
    assert!(world.judge(&csr, &["a.example"]).is_ok());
    world.ledger.names.insert("a.example".into(), Digest([8; 32]));
    assert_eq!(world.refused(&csr, &["a.example"]), Check::NameHolder);

    // A validator says that it has changed hands; and two requesters of one batch cannot both have it.
    let (issuer, leaf) = (world.issuer(), profile(Base::XmppServer, None));
    let context = LeafContext { profile: &leaf, issuer: &issuer, sign_from: FROM };
    let mut seen = Seen::new(&world.ledger, []);
    let names = vec!["a.example".to_owned()];
    let ceded = RequestRow { ceded: &names, ..row("first", &csr, &names) };
    assert!(judge_request(&context, &ceded, serial(1), &mut seen).is_ok());
    let other = request(&Key::p256(), &[dns("a.example")]);
    let second = RequestRow { requester: Digest([9; 32]), ceded: &names, ..row("second", &other, &names) };
    let refused = judge_request(&context, &second, serial(2), &mut seen).unwrap_err();
    assert!(refused.check == Check::NameHolder && refused.reason.contains("`first`"), "{refused}");
}

#[test]
fn revocations_are_the_askers_to_ask_for() {
    let facts =
        IssuedFacts { ca: "issuing", desk: Some("desk-1"), not_after: FROM, of_ca: false, cabf: false, revoked: None };
    let judge = |asker, reason, facts: &IssuedFacts, planned| {
        judge_revocation(asker, reason, Some(facts), planned, FROM).map_err(|refused| refused.reason)
    };
    let (desk, station) = (Asker::Desk("desk-1"), Asker::Station);
    for reason in [None, Some(1), Some(3), Some(4), Some(5), Some(9)] {
        assert_eq!(judge(desk, reason, &facts, false), Ok(()));
    }
    assert_eq!(judge(station, Some(1), &facts, false), Ok(()));
    let says = |result: Result<(), String>, text: &str| {
        let reason = result.unwrap_err();
        assert!(reason.contains(text), "{reason}");
    };
    says(judge_revocation(desk, None, None, false, FROM).map_err(|r| r.reason), "issued no certificate");
    says(judge(Asker::Desk("desk-2"), None, &facts, false), "another desk");
    says(judge(desk, Some(2), &facts, false), "`ca-compromise` is no reason");
    says(judge(desk, None, &facts, true), "twice");
    says(judge(desk, None, &IssuedFacts { not_after: FROM - 1, ..facts }, false), "expired");
    let facts = IssuedFacts {
        ca: "issuing",
        desk: Some("desk-1"),
        not_after: FROM,
        of_ca: false,
        cabf: false,
        revoked: Some(FROM),
    };
    says(judge(desk, None, &facts, false), "was revoked");
    let of_ca = IssuedFacts { desk: None, of_ca: true, revoked: None, ..facts };
    says(judge(desk, None, &of_ca, false), "no desk");
    assert_eq!(judge(station, Some(2), &of_ca, false), Ok(()));
    says(judge(station, Some(1), &of_ca, false), "of a CA");
}
