//! Names with several attributes in one RDN, and what a CA leaves to those below it, as other readers take it.

use super::*;

#[test]
fn an_rdn_keeps_all_its_attributes_in_the_order_of_der() {
    // X.690 section 11.6: the elements of a SET OF are sorted by their octets, so the longer OID of DC comes last.
    let rdn = vec![
        (DnType::DomainComponent, "x".into()),
        (DnType::SerialNumber, "7".into()),
        (DnType::CommonName, "Root".into()),
    ];
    let der = name(&[rdn, vec![(DnType::CommonName, "Root".into())]]);
    assert_eq!(crate::x509::name_text(&der), "CN=Root,serialNumber=7+CN=Root+DC=x");
    let serial = [0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x05, 0x13, 0x01, b'7'];
    assert_eq!((der[0], der[2], &der[4..14]), (0x30, 0x31, &serial[..]));
}

/// OpenSSL and webpki keep to what was written: a name within passes, one outside does not, in either's judgement.
#[test]
fn other_readers_keep_to_the_constraints() {
    let dir = tempfile::tempdir().unwrap();
    let (root_key, ca_key, leaf_key) = (Key::p384(), Key::p256(), Key::p256());
    let sign = |fields: &CertFields, by: &Key| {
        let tbs = certificate(fields).unwrap();
        assemble(&tbs, fields.signature, &by.sign(&tbs))
    };
    // Its end is the last time there is, which means none (RFC 5280 section 4.1.2.5).
    let top = CertFields { not_after: 253_402_300_799, ..root(&root_key) };
    let constraints = Constraints {
        permitted: vec![Subtree::Dns("example".into()), Subtree::ip("192.0.2.0/24").unwrap()],
        excluded: vec![
            Subtree::Dns("secret.example".into()),
            Subtree::Directory(bytes(name(&[vec![(DnType::Organization, "Evil".into())]]))),
        ],
        require_explicit_policy: Some(0),
        inhibit_policy_mapping: Some(0),
        inhibit_any_policy: Some(0),
    };
    let policies = vec![Policy { oid: "1.3.6.1.4.1.99999.1".into(), cps: None }];
    let critical = ["2.5.29.15", "2.5.29.19", "2.5.29.30", "2.5.29.36", "2.5.29.54"].map(String::from).to_vec();
    let server = vec!["1.3.6.1.5.5.7.3.1".into()];
    let middle = CertFields {
        constraints,
        critical,
        policies: policies.clone(),
        eku: server.clone(),
        ..intermediate(&ca_key, &top)
    };
    let (top_der, middle_der) = (sign(&top, &root_key), sign(&middle, &root_key));
    verify_ca(&middle_der, &top_der).unwrap();
    let good = CertFields { eku: server, policies, ..leaf(&leaf_key, &middle, ca_key.algorithm()) };
    let ip = |octets: [u8; 4]| GeneralName::Ip(bytes(octets));
    let organization = |text: &str| {
        bytes(name(&[vec![(DnType::Organization, text.into())], vec![(DnType::CommonName, "x.example".into())]]))
    };
    let dns = |name: &str| GeneralName::Dns(name.into());
    let mut cases = vec![
        ("within", good.clone(), true),
        ("another domain", CertFields { san: vec![dns("example.net")], ..good.clone() }, false),
        ("an excluded host", CertFields { san: vec![dns("a.secret.example")], ..good.clone() }, false),
    ];
    cases.push(("an address within", CertFields { san: vec![ip([192, 0, 2, 7])], ..good.clone() }, true));
    cases.push(("an address outside", CertFields { san: vec![ip([192, 0, 3, 7])], ..good.clone() }, false));
    cases.push(("a subject outside", CertFields { subject: organization("Evil"), ..good.clone() }, false));
    cases.push(("a subject within", CertFields { subject: organization("Good"), ..good.clone() }, true));
    for (file, der) in [("root", &top_der), ("middle", &middle_der)] {
        std::fs::write(dir.path().join(format!("{file}.pem")), pem("CERTIFICATE", der)).unwrap();
    }
    for (what, fields, ok) in cases {
        let der = sign(&fields, &ca_key);
        let judged = verify_leaf(&der, &middle_der, FROM);
        assert_eq!(judged.is_ok(), ok, "webpki: {what}: {judged:?}");
        assert_eq!(middle.constraints.outside(&fields.subject, &fields.san).is_none(), ok, "ours: {what}");
        std::fs::write(dir.path().join("leaf.pem"), pem("CERTIFICATE", &der)).unwrap();
        let verify = format!(
            "verify -x509_strict -policy 1.3.6.1.4.1.99999.1 -explicit_policy -attime {FROM} -CAfile root.pem -untrusted middle.pem leaf.pem"
        );
        let (accepted, said) = openssl(dir.path(), &verify);
        assert_eq!(accepted, ok, "openssl: {what}: {said}");
    }
    // Without the policy that the CA wants, a path is none for OpenSSL either.
    let bare = CertFields { policies: vec![], ..good };
    std::fs::write(dir.path().join("leaf.pem"), pem("CERTIFICATE", &sign(&bare, &ca_key))).unwrap();
    let (accepted, said) = openssl(
        dir.path(),
        &format!(
            "verify -policy 1.3.6.1.4.1.99999.1 -explicit_policy -attime {FROM} -CAfile root.pem -untrusted middle.pem leaf.pem"
        ),
    );
    assert!(!accepted && said.contains("policy"), "{said}");
}
