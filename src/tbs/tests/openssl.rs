//! What OpenSSL makes of it.

use super::*;

/// Root (P-384), intermediate, leaf and CRLs, signed in this process: OpenSSL and our own path rules judge them.
#[test]
fn openssl_accepts_what_is_assembled() {
    let (root_key, middle_key, leaf_key) = (Key::p384(), Key::p256(), Key::rsa_2048());
    let sign = |tbs: Vec<u8>, by: &Key| assemble(&tbs, by.algorithm(), &by.sign(&tbs));
    let root = root(&root_key);
    let middle = intermediate(&middle_key, &root);
    let leaf = leaf(&leaf_key, &middle, middle_key.algorithm());
    let ders = [
        ("root", sign(certificate(&root).unwrap(), &root_key)),
        ("middle", sign(certificate(&middle).unwrap(), &root_key)),
        ("leaf", sign(certificate(&leaf).unwrap(), &middle_key)),
    ];
    let revoked = vec![Revoked { serial: bytes([5]), date: FROM, reason: Some(1) }];
    let crls = [
        ("root-crl", sign(crl(&list(&root, root_key.algorithm())).unwrap(), &root_key)),
        (
            "middle-crl",
            sign(crl(&CrlFields { revoked, ..list(&middle, middle_key.algorithm()) }).unwrap(), &middle_key),
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (file, der) in &ders {
        std::fs::write(dir.path().join(file), pem("CERTIFICATE", der)).unwrap();
    }
    let both: String = crls.iter().map(|(_, der)| pem("X509 CRL", der)).collect();
    std::fs::write(dir.path().join("crls"), both).unwrap();

    let verify = format!(
        "verify -x509_strict -policy_check -crl_check_all -attime {} -CRLfile crls -CAfile root -untrusted middle -purpose",
        FROM + 1
    );
    for purpose in ["sslserver", "sslclient"] {
        let (good, said) = openssl(dir.path(), &format!("{verify} {purpose} leaf"));
        assert!(good, "{said}");
    }
    let (_, text) = openssl(dir.path(), "x509 -in leaf -noout -text -nameopt RFC2253");
    for wanted in [
        "CA:FALSE",
        "DNS:chat.example",
        "SRVName::_xmpp-server.chat.example",
        "CPS: http://a.example/cps",
        "CA Issuers - URI:http://b.example/1.cer",
        "TLS Web Client Authentication",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    let (_, text) = openssl(dir.path(), "x509 -in root -noout -subject -nameopt RFC2253");
    assert!(text.contains("O=Beispiel \\C3\\A4,C=DE,DC=example,DC=org"), "{text}");

    let [(_, root_der), (_, middle_der), (_, leaf_der)] = &ders;
    let [(_, root_crl), (_, middle_crl)] = &crls;
    assert_eq!(verify_ca(root_der, root_der).unwrap(), root);
    assert_eq!(verify_ca(middle_der, root_der).unwrap(), middle);
    assert_eq!(verify_ca(leaf_der, middle_der), Err(PathFault::SubjectNotCa.into()));
    assert_eq!(verify_ca(middle_der, middle_der), Err(PathFault::IssuerName.into()));
    assert!(verify_crl(root_crl, root_der).is_ok());
    assert!(verify_crl(middle_crl, middle_der).is_ok());
    assert_eq!(verify_crl(middle_crl, root_der), Err(PathFault::IssuerName.into()));

    let at = FROM + DAY;
    assert_eq!(verify_leaf(leaf_der, middle_der, at).unwrap(), leaf);
    let leaf_verdict = |edit: fn(&mut CertFields), by: &Key| {
        let mut fields = leaf.clone();
        edit(&mut fields);
        verify_leaf(&sign(certificate(&fields).unwrap(), by), middle_der, at).map(|_| ())
    };
    assert_eq!(leaf_verdict(|_| (), &middle_key), Ok(()));
    let webpki = |verdict| matches!(verdict, Err(Unreadable::Path(PathFault::Webpki { .. })));
    assert!(webpki(leaf_verdict(|_| (), &Key::p256())));
    assert!(webpki(verify_leaf(leaf_der, middle_der, FROM - 1).map(|_| ())));
    assert!(webpki(verify_leaf(leaf_der, middle_der, leaf.not_after + 1).map(|_| ())));
    // Each purpose alone is asked of webpki as well; none, or another one, is no profile's.
    for one in [|f: &mut CertFields| f.eku.truncate(1), |f: &mut CertFields| drop(f.eku.remove(0))] {
        assert_eq!(leaf_verdict(one, &middle_key), Ok(()));
        assert!(webpki(leaf_verdict(one, &Key::p256())));
    }
    assert_eq!(leaf_verdict(|f| f.eku.clear(), &middle_key), Err(PathFault::Purposes.into()));
    for other in ["1.3.6.1.5.5.7.3.9", "2.5.29.37.0"] {
        let mut fields = leaf.clone();
        fields.eku.push(other.into());
        let der = sign(certificate(&fields).unwrap(), &middle_key);
        assert_eq!(verify_leaf(&der, middle_der, at), Err(PathFault::Purposes.into()));
    }
    assert_eq!(leaf_verdict(|f| f.aki = None, &middle_key), Err(PathFault::KeyIdentifier.into()));
    assert_eq!(leaf_verdict(|f| f.not_after += 20 * 365 * DAY, &middle_key), Err(PathFault::Validity.into()));
    assert_eq!(verify_leaf(middle_der, root_der, at), Err(PathFault::LeafIsCa.into()));
    assert_eq!(verify_leaf(leaf_der, root_der, at), Err(PathFault::IssuerName.into()));
    assert_eq!(verify_leaf(leaf_der, leaf_der, at), Err(PathFault::IssuerName.into()));

    let verdict = |fields: CertFields, by: &Key| verify_ca(&sign(certificate(&fields).unwrap(), by), root_der);
    let middle = || middle.clone();
    assert_eq!(verdict(middle(), &Key::p384()), Err(Unreadable::Signature));
    assert_eq!(
        verdict(CertFields { aki: Some(bytes([1; 20])), ..middle() }, &root_key),
        Err(PathFault::KeyIdentifier.into())
    );
    assert_eq!(verdict(CertFields { aki: None, ..middle() }, &root_key), Err(PathFault::KeyIdentifier.into()));
    assert_eq!(verdict(CertFields { not_before: FROM - 1, ..middle() }, &root_key), Err(PathFault::Validity.into()));
    assert_eq!(
        verdict(CertFields { not_after: root.not_after + 1, ..middle() }, &root_key),
        Err(PathFault::Validity.into())
    );
    let deep = CertFields { ca: Some(CaConstraint { path_len: Some(1) }), ..middle() };
    assert_eq!(verdict(deep, &root_key), Err(PathFault::PathLength(1).into()));
    assert_eq!(
        verdict(CertFields { subject: root.subject.clone(), ..middle() }, &root_key),
        Err(PathFault::IssuerName.into())
    );
    let other_inside = CertFields { signature: SignatureAlgorithm::EcdsaSha256, ..middle() };
    let tbs = certificate(&other_inside).unwrap();
    let mixed = assemble(&tbs, SignatureAlgorithm::EcdsaSha384, &root_key.sign(&tbs));
    assert_eq!(verify_ca(&mixed, root_der), Err(Unreadable::AlgorithmMismatch));
}
