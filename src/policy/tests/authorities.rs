//! Issuers and their CRLs.

use super::*;

#[test]
fn certificates_stay_inside_their_issuer() {
    let world = World::new();
    let key = Key::p256();
    let csr = request(&key, &[dns("a.example")]);
    let long = Profile { validity: Validity::days(400), ..profile(Base::XmppServer, None) };
    let refused = world.judge_by(&long, &csr, &["a.example"]).unwrap_err();
    assert_eq!(refused.check, Check::ValidityInIssuer);
    assert!(refused.reason.contains("2026-11-22T00:00:00Z"), "{refused}");
    assert_eq!(world.judge_by(&profile(Base::Root, None), &csr, &[]).unwrap_err().check, Check::Profile);

    let root = world.root_facts();
    let mut seen = Seen::new(&world.ledger, []);
    let mut intermediate = |ca: &Ca, key: &Key, path_len, from| {
        certify(ca, key, Some(&root), profile(Base::Intermediate, path_len), from, 7, &mut seen)
            .map_err(|refused| refused.check)
    };
    let new = ca("new", "root", 365);
    let own = Key::p384();
    assert_eq!(intermediate(&ca("new", "root", 3651), &own, Some(0), FROM), Err(Check::ValidityInIssuer));
    assert_eq!(intermediate(&new, &own, Some(0), FROM - 4 * 365 * DAY), Err(Check::ValidityInIssuer));
    assert_eq!(intermediate(&new, &own, Some(1), FROM), Err(Check::PathLength));
    assert_eq!(intermediate(&new, &own, None, FROM), Err(Check::PathLength));
    assert_eq!(intermediate(&new, &world.root_key, Some(0), FROM), Err(Check::CaKeyReuse));
    assert_eq!(intermediate(&ca("new", "elsewhere", 365), &own, Some(0), FROM), Err(Check::IssuerCertificate));
    assert_eq!(
        intermediate(&Ca { subject: world.root.subject.clone(), ..new.clone() }, &own, Some(0), FROM),
        Err(Check::IssuerName)
    );
    assert_eq!(intermediate(&new, &own, Some(0), FROM).unwrap().aki, root.fields().ski);
    assert_eq!(
        certify(&new, &own, None, profile(Base::Root, None), FROM, 8, &mut seen).unwrap_err().check,
        Check::Profile
    );
    // Another CA's key, known from the hierarchy.
    let spki = own.spki();
    let mut seen = Seen::new(&world.ledger, [("other", spki.as_slice())]);
    let reused = certify(&ca("r", "r", 10), &own, None, profile(Base::Root, None), FROM, 8, &mut seen);
    assert_eq!(reused.unwrap_err().check, Check::CaKeyReuse);
    let far =
        certify(&ca("r", "r", 36_525), &Key::p384(), None, profile(Base::Root, None), 253_402_300_000, 8, &mut seen);
    assert_eq!(far.unwrap_err().check, Check::Validity);
}

#[test]
fn a_forged_expired_or_foreign_issuer_is_never_used() {
    let world = World::new();
    let subject = tbs::name(&world.issuing.subject);
    let spki = world.issuing_key.spki();
    let judge = |chain: &[&[u8]], spki: &[u8], at| {
        IssuerFacts::from_certificate((chain, false), &world.issuing, &subject, declared(spki), at)
            .map(|_| ())
            .map_err(|refused| refused.check)
    };
    assert_eq!(judge(&world.chain(), &spki, FROM), Ok(()));
    assert_eq!(judge(&world.chain(), &Key::p256().spki(), FROM), Err(Check::IssuerKey));
    assert_eq!(judge(&[], &spki, FROM), Err(Check::IssuerCertificate));
    assert_eq!(judge(&[&world.issuing_der], &spki, FROM), Err(Check::IssuerCertificate));
    assert_eq!(judge(&[&world.root_der], &spki, FROM), Err(Check::IssuerCertificate));
    assert_eq!(judge(&world.chain(), &spki, FROM + 366 * DAY), Err(Check::IssuerCertificate));
    assert_eq!(judge(&world.chain(), &spki, FROM - DAY), Err(Check::IssuerCertificate));
    let fields = x509::read_certificate(&world.issuing_der).unwrap();
    let forged = signed(&fields, &Key::p384());
    assert_eq!(judge(&[&forged, &world.root_der], &spki, FROM), Err(Check::IssuerCertificate));
    let mut bad_root = world.root_der.clone();
    *bad_root.last_mut().unwrap() ^= 1;
    assert_eq!(judge(&[&world.issuing_der, &bad_root], &spki, FROM), Err(Check::IssuerCertificate));
    let no_ca = CertFields { ca: None, key_usage: key_usage::DIGITAL_SIGNATURE, ..fields.clone() };
    assert_eq!(judge(&[&signed(&no_ca, &world.root_key), &world.root_der], &spki, FROM), Err(Check::IssuerCertificate));
    let renamed = CertFields { subject: Bytes::from(cn("Somebody")), ..fields };
    assert_eq!(judge(&[&signed(&renamed, &world.root_key), &world.root_der], &spki, FROM), Err(Check::IssuerName));
}

#[test]
fn crls_are_numbered_dated_and_lasting() {
    let world = World::new();
    let issuer = world.issuer();
    let context = || CrlContext {
        issuer: &issuer,
        number: 4,
        last_number: Some(3),
        this_update: FROM,
        days: 30,
        of_end_entities: true,
    };
    let entry = |n: u8, reason| Revoked { serial: Bytes::from(serial(n).to_vec()), date: FROM - 1, reason };
    let fields = crl_fields(&context(), vec![entry(1, Some(1)), entry(2, None)]).unwrap();
    assert_eq!(fields.next_update, FROM + 30 * DAY);
    let bytes = tbs::crl(&fields).unwrap();
    let der = tbs::assemble(&bytes, fields.signature, &world.issuing_key.sign(&bytes));
    assert_eq!(x509::verify_crl(&der, &world.issuing_der).unwrap(), fields);

    let refused = |context: CrlContext<'_>, revoked| crl_fields(&context, revoked).unwrap_err().check;
    assert_eq!(refused(CrlContext { number: 3, ..context() }, vec![]), Check::CrlNumber);
    assert_eq!(refused(CrlContext { this_update: FROM + 400 * DAY, ..context() }, vec![]), Check::CrlTimes);
    assert_eq!(refused(CrlContext { days: 0, ..context() }, vec![]), Check::CrlTimes);
    assert_eq!(refused(context(), vec![entry(1, None), entry(1, None)]), Check::CrlEntry);
    for reason in [0, 6, 7, 8, 11] {
        assert_eq!(refused(context(), vec![entry(1, Some(reason))]), Check::CrlEntry);
    }
    assert_eq!(refused(context(), vec![Revoked { date: FROM + 1, ..entry(1, None) }]), Check::CrlEntry);
}
