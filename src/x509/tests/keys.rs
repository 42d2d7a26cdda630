//! Keys and what they may sign with.

use super::*;

#[test]
fn keys_are_judged_exactly() {
    for (key, kind) in [
        (Key::p256(), KeyKind::EcdsaP256),
        (Key::p384(), KeyKind::EcdsaP384),
        (Key::rsa_2048(), KeyKind::Rsa { bits: 2048, exponent: 65537 }),
        (Key::ed25519(), KeyKind::Ed25519),
    ] {
        let read = PublicKey::from_spki(&key.spki()).unwrap();
        assert_eq!(read.kind(), kind);
        assert_eq!(read.spki(), key.spki());
        assert_eq!(read.identifier().len(), 20);
        assert_eq!(read.weakness(), None);
    }
    let good = Key::p256().spki();
    let mut off_curve = good.clone();
    *off_curve.last_mut().unwrap() ^= 1;
    assert_eq!(PublicKey::from_spki(&off_curve), Err(Error::Key("its point does not lie on the curve")));
    let mut hybrid = good.clone();
    let first = hybrid.len() - 65;
    hybrid[first] = 6;
    assert!(matches!(PublicKey::from_spki(&hybrid), Err(Error::Key(_))));
    // A P-256 point said to lie on P-384.
    let p384 = Key::p384().spki();
    let moved = seq(&[p384[2..20].to_vec(), good[23..].to_vec()]);
    assert!(matches!(PublicKey::from_spki(&moved), Err(Error::Key(_))));
    let with_parameters = seq(&[tlv(0x30, b"\x06\x03\x2b\x65\x70\x05\x00"), tlv(0x03, &[0; 33])]);
    assert_eq!(
        PublicKey::from_spki(&with_parameters),
        Err(Error::Key("the algorithm parameters of Ed25519 must be absent"))
    );
    let edwards = |point: &[u8]| {
        PublicKey::from_spki(&seq(&[tlv(0x30, b"\x06\x03\x2b\x65\x70"), tlv(0x03, &[&[0], point].concat())]))
    };
    // The neutral point, (0, -1) of order 2, y = 0 of order 4, the neutral point in another encoding (y = p + 1), and no point.
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    let mut other = [0xff; 32];
    (other[0], other[31]) = (0xee, 0x7f);
    for point in [&minus_one, &other, &[0; 32], &std::array::from_fn(|n| u8::from(n == 0)), &[2; 32]] {
        assert!(matches!(edwards(point), Err(Error::Key(_))), "{point:x?}");
    }
    assert!(matches!(edwards(&[0; 31]), Err(Error::Key(_))));
    // A key with a part of order 2: its point and (0, -1) together are (-x, -y).
    let key = Key::ed25519().spki();
    let point = CompressedEdwardsY::from_slice(&key[12..]).unwrap().decompress().unwrap();
    let mixed = point + CompressedEdwardsY(minus_one).decompress().unwrap();
    let what = "it is a point of Ed25519 with a part of small order, which no key has";
    assert_eq!(edwards(&mixed.compress().0), Err(Error::Key(what)));
    // The point at infinity (SEC 1 section 2.3.3), whole and as an uncompressed point of zeros.
    for infinity in [vec![0], vec![0; 65], [&[4][..], &[0; 64]].concat()] {
        let spki = seq(&[good[2..23].to_vec(), tlv(0x03, &[&[0], infinity.as_slice()].concat())]);
        assert!(matches!(PublicKey::from_spki(&spki), Err(Error::Key(_))), "{infinity:?}");
    }
    let rsa = |modulus: &[u8], exponent: &[u8]| {
        let key = seq(&[tlv(0x02, modulus), tlv(0x02, exponent)]);
        seq(&[
            tlv(0x30, b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"),
            tlv(0x03, &[&[0], key.as_slice()].concat()),
        ])
    };
    assert_eq!(
        PublicKey::from_spki(&rsa(&[0x7f; 128], &[3])).unwrap().kind(),
        KeyKind::Rsa { bits: 1023, exponent: 3 }
    );
    assert_eq!(PublicKey::from_spki(&rsa(&[0x7e; 128], &[3])), Err(Error::Key("the modulus is even")));
    assert_eq!(PublicKey::from_spki(&rsa(&[0], &[3])), Err(Error::Key("the modulus is zero")));
    // Of more than 64 bits, as one above the modulus would be.
    let large = PublicKey::from_spki(&rsa(&[0x7f; 128], &[0x7f; 129]));
    assert_eq!(large, Err(Error::Key("the public exponent has more than 64 bits")));
    for exponent in [&[1][..], &[4], &[0]] {
        let refused = Err(Error::Key("the public exponent is even or smaller than 3"));
        assert_eq!(PublicKey::from_spki(&rsa(&[0x7f; 128], exponent)), refused);
    }
    assert!(matches!(PublicKey::from_spki(&rsa(&[0xff; 128], &[3])), Err(Error::Der { fault: DerFault::Integer, .. })));
}

/// Requests as openssl makes them: what is accepted, and what a weak digest or key meets.
#[test]
fn openssl_requests_keep_their_curve_and_weak_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let make = |key: &str, digest: &str| {
        let common = "-nodes -keyout k.pem -subj /CN=chat.example -addext subjectAltName=DNS:chat.example -outform DER -out r.der";
        let (done, said) = openssl(dir.path(), &format!("req -new -newkey {key} -{digest} {common}"));
        assert!(done, "{said}");
        Request::parse(&std::fs::read(dir.path().join("r.der")).unwrap()).unwrap()
    };
    let kind = |request: &Request| PublicKey::from_spki(&request.spki).unwrap().kind();
    let ec = |curve: &str| format!("ec -pkeyopt ec_paramgen_curve:{curve} -pkeyopt ec_param_enc:named_curve");
    for (curve, digest, wanted) in [
        ("P-256", "sha384", KeyKind::EcdsaP256),
        ("P-384", "sha256", KeyKind::EcdsaP384),
        ("P-521", "sha512", KeyKind::EcdsaP521),
    ] {
        let request = make(&ec(curve), digest);
        assert_eq!(kind(&request), wanted);
        assert_eq!(request.verify_possession(), Ok(()));
    }
    assert_eq!(make("rsa:3072", "sha512").verify_possession(), Ok(()));
    let pss =
        |salt: &str| make("rsa:2048", &format!("sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt}"));
    assert_eq!(pss("32").signature_algorithm, Some(SignatureAlgorithm::RsaPssSha256));
    assert_eq!(pss("32").verify_possession(), Ok(()));
    // One set of parameters for each digest: another salt is another algorithm.
    assert_eq!(pss("20").verify_possession(), Err(Error::SignatureAlgorithm { oid: "1.2.840.113549.1.1.10".into() }));

    let sha1 = make("rsa:2048", "sha1");
    assert_eq!(sha1.signature_algorithm, None);
    assert_eq!(sha1.verify_possession(), Err(Error::SignatureAlgorithm { oid: "1.2.840.113549.1.1.5".into() }));
    let md5 = make("rsa:2048", "md5");
    assert_eq!(md5.verify_possession(), Err(Error::SignatureAlgorithm { oid: "1.2.840.113549.1.1.4".into() }));
    let small = make("rsa:1024", "sha256");
    assert!(matches!(small.verify_possession(), Err(Error::AlgorithmOfKey { .. })));
    let koblitz = make(&ec("secp256k1"), "sha256");
    assert!(matches!(PublicKey::from_spki(&koblitz.spki), Err(Error::Key(_))));
}

#[test]
fn a_post_quantum_request_proves_possession_and_nothing_else_does() {
    let (key, other) = (Key::ml_dsa_65(), Key::ml_dsa_65());
    let good = || Csr::new(&key, &[dns("a.example")]);
    let request = Request::parse(&good().sign(&key)).unwrap();
    assert_eq!(request.signature_algorithm, Some(SignatureAlgorithm::PostQuantum(PostQuantum::MlDsa65)));
    assert_eq!(request.verify_possession(), Ok(()));
    assert_eq!(PublicKey::from_spki(&request.spki).unwrap().kind(), KeyKind::PostQuantum(PostQuantum::MlDsa65));
    assert_eq!(Request::parse(&good().sign(&other)).unwrap().verify_possession(), Err(Error::Signature));
    // The key says its set; a signature that says another is none of it.
    for set in [PostQuantum::MlDsa44, PostQuantum::SlhDsaSha2_128f] {
        let wrong = Csr { algorithm: set.identifier_der().to_vec(), ..good() }.sign(&key);
        assert!(matches!(Request::parse(&wrong).unwrap().verify_possession(), Err(Error::AlgorithmOfKey { .. })));
    }
    // A key of another length, and parameters where there must be none (RFC 9881 §2).
    let head = PostQuantum::MlDsa65.identifier_der();
    let short = seq(&[head.to_vec(), tlv(0x03, &[0; 1952])]);
    assert!(matches!(PublicKey::from_spki(&short), Err(Error::Key(_))));
    let with_null = seq(&[seq(&[head[2..].to_vec(), vec![5, 0]]), tlv(0x03, &[0; 1953])]);
    assert_eq!(
        PublicKey::from_spki(&with_null),
        Err(Error::Key("the algorithm parameters of ML-DSA and SLH-DSA must be absent"))
    );
}
