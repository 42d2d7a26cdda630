//! The rule set `cabf-tls` over what is to be signed.

use super::*;
use crate::config::RuleSet;
use crate::config::cabf::{self, Kind};
use crate::policy::cabf::judge;
use crate::text::parse_utc;
use crate::x509::fields::{CaConstraint, Constraints, OtherExtension};

const SERVER: &str = "1.3.6.1.5.5.7.3.1";
const DV: &str = "2.23.140.1.2.1";

fn at(text: &str) -> i64 {
    parse_utc(text).unwrap()
}

fn policies(oids: &[&str]) -> Vec<Policy> {
    oids.iter().map(|oid| Policy { oid: oid.to_string(), cps: None }).collect()
}

/// What a lawful certificate of a server says.
fn server() -> CertFields {
    CertFields {
        serial: Bytes::from(serial(1).to_vec()),
        signature: SignatureAlgorithm::EcdsaSha256,
        issuer: Bytes::from(cn("a")),
        not_before: FROM,
        not_after: FROM + 47 * DAY - 1,
        subject: Bytes::from(vec![0x30, 0]),
        spki: Bytes::from(Key::p256().spki()),
        ca: None,
        key_usage: key_usage::DIGITAL_SIGNATURE,
        eku: vec![SERVER.into()],
        san: vec![GeneralName::Dns("www.example.org".into()), GeneralName::Dns("*.example.org".into())],
        ski: None,
        aki: None,
        crl_urls: vec!["http://a.example/a.crl".into()],
        issuer_urls: vec!["http://a.example/a.cer".into()],
        policies: policies(&[DV]),
        constraints: Constraints::default(),
        critical: Vec::new(),
        others: vec![OtherExtension::must_staple()],
    }
}

/// What a lawful certificate of a CA says.
fn of_ca(eku: &[&str], oids: &[&str], days: i64) -> CertFields {
    CertFields {
        not_after: FROM + days * DAY - 1,
        ca: Some(CaConstraint { path_len: Some(0) }),
        eku: eku.iter().map(|oid| oid.to_string()).collect(),
        san: Vec::new(),
        policies: policies(oids),
        others: Vec::new(),
        ..server()
    }
}

fn refused(kind: Kind, fields: &CertFields) -> Option<Check> {
    judge("it", kind, fields, FROM + 3_600).err().map(|refused| refused.check)
}

#[test]
fn certificates_of_servers() {
    assert_eq!(refused(Kind::Server, &server()), None);
    let ip = |octets: &[u8]| GeneralName::Ip(Bytes::from(octets.to_vec()));
    let san = |name: GeneralName| CertFields { san: vec![GeneralName::Dns("a.example.org".into()), name], ..server() };
    let public: [u8; 16] = [0x2a, 0, 0x14, 0x50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    for good in [ip(&[8, 8, 8, 8]), ip(&public), GeneralName::Dns("xn--bcher-kva.example.org".into())] {
        assert_eq!(refused(Kind::Server, &san(good.clone())), None, "{good:?}");
    }
    let dns = |name: &str| GeneralName::Dns(name.into());
    for bad in [
        ip(&[10, 0, 0, 1]),
        ip(&[192, 168, 1, 1]),
        ip(&[100, 64, 0, 1]),
        ip(&[192, 0, 2, 1]),
        ip(&[0xfd; 16]),
        ip(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        dns("mail"),
        dns("printer.local"),
        dns("a.INTERNAL"),
        dns("*.test"),
        dns("a.example"),
        dns("abc.onion"),
        GeneralName::Srv("_xmpp-server.a.example.org".into()),
        GeneralName::XmppAddr("a.example.org".into()),
        GeneralName::Email("a@example.org".into()),
        GeneralName::Uri("https://a.example.org/".into()),
        GeneralName::Other(Bytes::from(vec![0xa0, 0])),
    ] {
        assert_eq!(refused(Kind::Server, &san(bad.clone())), Some(Check::CabfNames), "{bad:?}");
    }
    let other = |oid: &str| OtherExtension { oid: oid.into(), value: Bytes::from(vec![5, 0]) };
    let eku = |oids: &[&str]| CertFields { eku: oids.iter().map(|oid| oid.to_string()).collect(), ..server() };
    let cases = [
        ("no name", CertFields { san: vec![], ..server() }, Check::CabfNames),
        ("Ed25519", CertFields { spki: Bytes::from(Key::ed25519().spki()), ..server() }, Check::CabfKey),
        ("ML-DSA", CertFields { spki: Bytes::from(Key::ml_dsa_65().spki()), ..server() }, Check::CabfKey),
        ("ECDSA that enciphers", CertFields { key_usage: key_usage::KEY_ENCIPHERMENT, ..server() }, Check::CabfKey),
        ("for clients", eku(&["1.3.6.1.5.5.7.3.2"]), Check::CabfPurposes),
        ("for everything", eku(&[]), Check::CabfPurposes),
        ("for any purpose", eku(&[SERVER, "2.5.29.37.0"]), Check::CabfPurposes),
        ("for mail", eku(&[SERVER, "1.3.6.1.5.5.7.3.4"]), Check::CabfPurposes),
        ("no policy", CertFields { policies: vec![], ..server() }, Check::CabfPolicies),
        ("an own policy", CertFields { policies: policies(&["2.999.1"]), ..server() }, Check::CabfPolicies),
        ("a company's", CertFields { policies: policies(&["2.23.140.1.2.2"]), ..server() }, Check::CabfPolicies),
        ("two reserved", CertFields { policies: policies(&[DV, "2.23.140.1.2.2"]), ..server() }, Check::CabfPolicies),
        ("any policy", CertFields { policies: policies(&[DV, "2.5.29.32.0"]), ..server() }, Check::CabfPolicies),
        ("no CRL", CertFields { crl_urls: vec![], ..server() }, Check::CabfUrls),
        ("a CRL by ldap", CertFields { crl_urls: vec!["ldap://a.example/a".into()], ..server() }, Check::CabfUrls),
        ("no issuer", CertFields { issuer_urls: vec![], ..server() }, Check::CabfUrls),
        (
            "a precertificate",
            CertFields { others: vec![other("1.3.6.1.4.1.11129.2.4.3")], ..server() },
            Check::CabfExtensions,
        ),
        (
            "SCTs of nobody",
            CertFields { others: vec![other("1.3.6.1.4.1.11129.2.4.2")], ..server() },
            Check::CabfExtensions,
        ),
    ];
    for (what, fields, check) in cases {
        assert_eq!(refused(Kind::Server, &fields), Some(check), "{what}");
    }
    assert_eq!(refused(Kind::Server, &CertFields { policies: policies(&["2.999.1", DV]), ..server() }), None);
    let rsa = CertFields { spki: Bytes::from(Key::rsa_2048().spki()), key_usage: 5, ..server() };
    assert_eq!(refused(Kind::Server, &rsa), None);
    // Seven days are short-lived, and then no CRL need be told of.
    let seven = CertFields { not_after: FROM + 7 * DAY - 1, crl_urls: vec![], ..server() };
    assert_eq!(refused(Kind::Server, &seven), None);
    assert_eq!(refused(Kind::Server, &CertFields { not_after: FROM + 7 * DAY, ..seven }), Some(Check::CabfUrls));
}

#[test]
fn validity_is_bounded_by_the_last_moment_of_signing() {
    for (date, before, since) in
        [("2026-03-15T00:00:00Z", 398, 200), ("2027-03-15T00:00:00Z", 200, 100), ("2029-03-15T00:00:00Z", 100, 47)]
    {
        let valid =
            |from: i64, seconds: i64| CertFields { not_before: from, not_after: from + seconds - 1, ..server() };
        let date = at(date);
        let judged = |from, seconds, until| {
            judge("it", Kind::Server, &valid(from, seconds), until).err().map(|refused| refused.check)
        };
        let (last, hour) = (date - 3_601, 3_600);
        assert_eq!(judged(last, before * DAY, last + hour), None);
        assert_eq!(judged(last, before * DAY + 1, last + hour), Some(Check::CabfValidity));
        // The same plan, but it might be signed at the date itself.
        assert_eq!(judged(last, before * DAY, date), Some(Check::CabfValidity));
        assert_eq!(judged(date, since * DAY, date + hour), None);
        assert_eq!(judged(date, since * DAY + 1, date + hour), Some(Check::CabfValidity));
        assert_eq!((cabf::server_days(date - 1), cabf::server_days(date)), (before as u32, since as u32));
    }
    let window =
        |kind, fields: &CertFields, hours: i64| judge("it", kind, fields, FROM + hours * 3_600).map_err(|r| r.check);
    assert_eq!(window(Kind::Server, &server(), 48), Ok(()));
    assert_eq!(window(Kind::Server, &server(), 49), Err(Check::CabfWindow));
    assert_eq!(window(Kind::TlsCa, &of_ca(&[SERVER], &[DV], 3_650), 24), Ok(()));
    assert_eq!(window(Kind::TlsCa, &of_ca(&[SERVER], &[DV], 3_650), 25), Err(Check::CabfWindow));
}

#[test]
fn certificates_of_cas() {
    let any = "2.5.29.32.0";
    let mail = "1.3.6.1.5.5.7.3.4";
    let ocsp = "1.3.6.1.5.5.7.3.9";
    let cases = [
        (Kind::Root, of_ca(&[], &[], 2_922), None),
        (Kind::Root, of_ca(&[], &[any], 9_132), None),
        (Kind::Root, of_ca(&[], &[], 2_921), Some(Check::CabfValidity)),
        (Kind::Root, of_ca(&[], &[], 9_133), Some(Check::CabfValidity)),
        (Kind::Root, of_ca(&[SERVER], &[], 3_650), Some(Check::CabfPurposes)),
        (Kind::TlsCa, of_ca(&[SERVER], &[DV], 3_650), None),
        (Kind::TlsCa, of_ca(&[SERVER, "1.3.6.1.5.5.7.3.2"], &[any], 3_650), None),
        (Kind::TlsCa, of_ca(&[], &[DV], 3_650), Some(Check::CabfPurposes)),
        (Kind::TlsCa, of_ca(&[SERVER, ocsp], &[DV], 3_650), Some(Check::CabfPurposes)),
        (Kind::TlsCa, of_ca(&[SERVER], &[], 3_650), Some(Check::CabfPolicies)),
        (Kind::TlsCa, of_ca(&[SERVER], &[DV, any], 3_650), Some(Check::CabfPolicies)),
        (Kind::OtherCa, of_ca(&[mail], &[], 3_650), None),
        (Kind::OtherCa, of_ca(&[mail], &["2.999.1"], 3_650), None),
        (Kind::OtherCa, of_ca(&[], &[], 3_650), Some(Check::CabfPurposes)),
        (Kind::OtherCa, of_ca(&[mail, SERVER], &[], 3_650), Some(Check::CabfPurposes)),
        (Kind::OtherCa, of_ca(&[mail], &[DV], 3_650), Some(Check::CabfPolicies)),
        (Kind::CrossCa, of_ca(&[], &[DV, "2.23.140.1.2.2"], 3_650), None),
        (Kind::CrossCa, of_ca(&[mail], &[any], 3_650), None),
        (Kind::CrossCa, of_ca(&[SERVER, mail], &[any], 3_650), Some(Check::CabfPurposes)),
        (Kind::CrossCa, of_ca(&[SERVER], &[], 3_650), Some(Check::CabfPolicies)),
    ];
    for (n, (kind, fields, wanted)) in cases.iter().enumerate() {
        assert_eq!(refused(*kind, fields), *wanted, "case {n}");
    }
    let nowhere = CertFields { crl_urls: vec![], issuer_urls: vec![], ..of_ca(&[SERVER], &[DV], 3_650) };
    assert_eq!(refused(Kind::TlsCa, &nowhere), Some(Check::CabfUrls));
    let root = CertFields { crl_urls: vec![], issuer_urls: vec![], ..of_ca(&[], &[], 3_650) };
    assert_eq!(refused(Kind::Root, &root), None);
}

/// A CA that declares the rule set.
fn keeping(id: &str, issuer: &str, days: u32) -> Ca {
    let subject = [
        (DnType::Organization, "REHEARSAL"),
        (DnType::Country, "DE"),
        (DnType::Organization, "Example"),
        (DnType::CommonName, id),
    ];
    Ca {
        rules: [RuleSet::Rfc5280, RuleSet::CabfTls].into(),
        subject: subject.into_iter().map(|(kind, value)| vec![(kind, value.to_owned())]).collect(),
        crl_days: 10,
        limits: Limits { eku: if id == issuer { vec![] } else { vec![SERVER.into()] }, ..Limits::default() },
        ..ca(id, issuer, days)
    }
}

#[test]
fn the_road_of_a_ca_that_keeps_the_rules() {
    let ledger = Ledger::default();
    let mut seen = Seen::new(&ledger, []);
    let (root, issuing) = (keeping("root", "root", 3_650), keeping("issuing", "root", 1_000));
    let (root_key, key) = (Key::p384(), Key::p256());
    let of = |base, oids: &[&str]| Profile { policies: policies(oids), ..profile(base, None) };
    let mut make = |ca: &Ca, key: &Key, above: Option<&IssuerFacts>, profile, n| {
        certify(ca, key, above, profile, FROM, n, &mut seen).map_err(|refused| refused.check)
    };
    let facts = |ca: &Ca, fields: &CertFields, above: Option<&IssuerFacts>, key: &Key| {
        IssuerFacts::planned(fields, above, ca, &tbs::name(&ca.subject), declared(&key.spki())).unwrap()
    };
    // What the hierarchy's own check would have said before.
    let short = keeping("root", "root", 2_921);
    assert_eq!(make(&short, &root_key, None, of(Base::Root, &[]), 1), Err(Check::CabfValidity));
    let unnamed = Ca { subject: ca("root", "root", 1).subject, ..root.clone() };
    assert_eq!(make(&unnamed, &root_key, None, of(Base::Root, &[]), 1), Err(Check::CabfCaName));
    let fields = make(&root, &root_key, None, of(Base::Root, &[]), 1).unwrap();
    let top = facts(&root, &fields, None, &root_key);
    let late = Profile { window_hours: 25, ..of(Base::Intermediate, &[DV]) };
    assert_eq!(make(&issuing, &key, Some(&top), late, 2), Err(Check::CabfWindow));
    let unlimited = Ca { limits: Limits::default(), ..issuing.clone() };
    assert_eq!(make(&unlimited, &key, Some(&top), of(Base::Intermediate, &[DV]), 2), Err(Check::CabfPurposes));
    let fields = make(&issuing, &key, Some(&top), of(Base::Intermediate, &[DV]), 2).unwrap();
    let below = facts(&issuing, &fields, Some(&top), &key);

    let leaf_key = Key::p256();
    let asked = |name: &str| request(&leaf_key, &[dns(name)]);
    let judge = |issuer: &IssuerFacts, profile: &Profile, name: &str| {
        let (csr, validated) = (asked(name), vec![name.to_owned()]);
        let context = LeafContext { profile, issuer, sign_from: FROM };
        let mut seen = Seen::new(&ledger, []);
        judge_request(&context, &row("r-1", &csr, &validated), serial(9), &mut seen).map_err(|refused| refused.check)
    };
    let dv = Profile::builtin(Base::CabfTlsDv);
    let named = Profile { common_name: true, ..dv.clone() };
    assert!(judge(&below, &dv, "www.example.org").is_ok());
    assert!(judge(&below, &named, "www.example.org").is_ok());
    assert_eq!(judge(&below, &dv, "www.a.example"), Err(Check::CabfNames));
    assert_eq!(
        judge(&below, &Profile { validity: Validity::days(201), ..dv.clone() }, "a.example.org"),
        Err(Check::CabfValidity)
    );
    assert_eq!(judge(&top, &dv, "www.example.org"), Err(Check::CabfIssuer));
    // XMPP servers have otherNames.
    let xmpp = Profile { policies: policies(&[DV]), eku: vec![SERVER.into()], ..profile(Base::XmppServer, None) };
    assert_eq!(judge(&below, &xmpp, "www.example.org"), Err(Check::CabfNames));

    let crl = |days, of_end_entities| {
        let context =
            CrlContext { issuer: &below, number: 1, last_number: None, this_update: FROM, days, of_end_entities };
        crl_fields(&context, vec![]).map(|_| ()).map_err(|refused| refused.check)
    };
    assert_eq!((crl(10, true), crl(11, true)), (Ok(()), Err(Check::CabfCrl)));
    assert_eq!((crl(365, false), crl(366, false)), (Ok(()), Err(Check::CabfCrl)));

    let facts = IssuedFacts { ca: "root", desk: None, not_after: FROM, of_ca: true, cabf: true, revoked: None };
    let revoke = |reason| judge_revocation(Asker::Station, reason, Some(&facts), false, FROM).map_err(|r| r.check);
    assert_eq!((revoke(Some(4)), revoke(None)), (Ok(()), Err(Check::CabfRevocation)));
}

#[test]
fn every_check_of_the_forum_is_of_its_set_and_the_always_ones_are_of_rfc_5280() {
    let of = |set: RuleSet| Check::ALL.into_iter().filter(|check| check.rule_sets().contains(&set)).count();
    for check in Check::ALL.into_iter().filter(|check| check.name().starts_with("cabf-")) {
        assert_eq!(check.rule_sets(), [RuleSet::CabfTls], "{check}");
    }
    for check in [Check::Serial, Check::KeyQuality, Check::NameForm, Check::IssuerPurposes] {
        assert!(check.rule_sets().contains(&RuleSet::CabfTls), "{check}");
    }
    assert!(of(RuleSet::Rfc5280) >= 15 && of(RuleSet::CabfTls) >= 17);
}
