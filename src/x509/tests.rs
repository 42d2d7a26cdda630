//! Requests by defect, keys, and the two readers against each other's traps.

use curve25519_dalek::edwards::CompressedEdwardsY;

use super::fields::GeneralName;
use super::forge::{self, Csr, Key, dns, extension, extension_request, openssl, san, seq, srv, tlv, xmpp_addr};
use super::*;
use crate::algorithm::{PostQuantum, SignatureAlgorithm};

const UNKNOWN: &[u8] = b"\x2a\x03\x04";

fn oids(request: &Request) -> Vec<&str> {
    request.other_extensions.iter().map(|extension| extension.oid.as_str()).collect()
}

#[test]
fn a_good_request_is_read_whole() {
    let key = Key::p256();
    let names =
        [dns("chat.example"), srv("_xmpp-server.chat.example"), xmpp_addr("chat.example"), tlv(0x87, &[192, 0, 2, 1])];
    let mut csr = Csr::new(&key, &names);
    csr.attributes = vec![extension_request(&[extension(UNKNOWN, &[5, 0]), san(&names)])];
    let request = Request::parse(&csr.sign(&key)).unwrap();
    assert_eq!(request.spki, key.spki());
    assert_eq!(request.subject, csr.subject);
    assert_eq!(request.signature_algorithm, Some(SignatureAlgorithm::EcdsaSha256));
    assert_eq!(oids(&request), ["1.2.3.4"]);
    assert_eq!(request.common_names.first().unwrap().raw(), "ignored.example");
    let san = request.san.as_ref().unwrap();
    assert_eq!(san.first(), Some(&GeneralName::Dns("chat.example".into())));
    assert_eq!(san.get(1), Some(&GeneralName::Srv("_xmpp-server.chat.example".into())));
    assert_eq!(san.get(2), Some(&GeneralName::XmppAddr("chat.example".into())));
    assert!(matches!(san.get(3), Some(GeneralName::Ip(_))));
    assert_eq!(request.verify_possession(), Ok(()));
}

#[test]
fn pem_is_one_block_with_nothing_after_it() {
    let key = Key::ed25519();
    let der = Csr::new(&key, &[dns("a.example")]).sign(&key);
    let base64 = data_encoding::BASE64.encode(&der);
    let pem = |label: &str, tail: &str| {
        format!("Subject: whatever\n-----BEGIN {label}-----\r\n{base64}\r\n-----END {label}-----\n{tail}")
    };
    for label in ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"] {
        let request = Request::parse(pem(label, "\n").as_bytes()).unwrap();
        assert_eq!(request.der, der);
        assert_eq!(request.verify_possession(), Ok(()));
    }
    for bad in [
        pem("CERTIFICATE", ""),
        pem("CERTIFICATE REQUEST", "x"),
        "hello".into(),
        pem("CERTIFICATE REQUEST", "").replace("END", "FIN"),
    ] {
        assert!(matches!(Request::parse(bad.as_bytes()), Err(Error::Pem(_) | Error::PemLabel(_))), "{bad}");
    }
    assert!(matches!(Request::parse(&vec![0x30; 200_000]), Err(Error::TooLarge { .. })));
}

#[test]
fn each_defect_of_a_request_has_its_own_error() {
    let key = Key::p256();
    let good = || Csr::new(&key, &[dns("a.example")]);
    let parse = |csr: &Csr| Request::parse(&csr.sign(&key)).map(|_| ());
    assert_eq!(parse(&good()), Ok(()));

    let mut trailing = good().sign(&key);
    trailing.push(0);
    assert_eq!(Request::parse(&trailing).map(|_| ()), Err(Error::Der { part: "request", fault: DerFault::Trailing }));
    for cut in [1, 10, 100] {
        let whole = good().sign(&key);
        assert!(matches!(
            Request::parse(&whole[..whole.len() - cut]),
            Err(Error::Der { fault: DerFault::Truncated, .. })
        ));
    }
    for version in [&b"\x02\x01\x01"[..], b"\x02\x01\x63"] {
        assert_eq!(parse(&Csr { version: version.to_vec(), ..good() }), Err(Error::Version { part: "request" }));
    }
    let attribute = || extension_request(&[san(&[dns("a.example")])]);
    assert_eq!(parse(&Csr { attributes: vec![attribute(), attribute()], ..good() }), Err(Error::ExtensionRequests));
    let list = seq(&[san(&[dns("a.example")])]);
    let kind = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e".to_vec();
    let two_values = seq(&[kind, tlv(0x31, &[list.clone(), list].concat())]);
    assert_eq!(parse(&Csr { attributes: vec![two_values], ..good() }), Err(Error::ExtensionRequests));
    let twice = extension_request(&[san(&[dns("a.example")]), san(&[dns("b.example")])]);
    assert_eq!(
        parse(&Csr { attributes: vec![twice], ..good() }),
        Err(Error::ExtensionTwice { oid: "2.5.29.17".into() })
    );
    let explicit = seq(&[tlv(0x06, b"\x55\x1d\x11"), tlv(0x01, &[0]), tlv(0x04, &seq(&[dns("a.example")]))]);
    let explicit = parse(&Csr { attributes: vec![extension_request(&[explicit])], ..good() });
    assert_eq!(explicit, Err(Error::Der { part: "request", fault: DerFault::Default }));
    let empty_san = parse(&Csr { attributes: vec![extension_request(&[san(&[])])], ..good() });
    assert!(matches!(empty_san, Err(Error::Der { fault: DerFault::Empty, .. })));
    let latin =
        parse(&Csr { attributes: vec![extension_request(&[san(&[tlv(0x82, b"m\xfcller.example")])])], ..good() });
    assert!(matches!(latin, Err(Error::Der { fault: DerFault::Text, .. })));
    let empty_rdn = parse(&Csr { subject: seq(&[tlv(0x31, &[])]), ..good() });
    assert_eq!(empty_rdn, Err(Error::Der { part: "name", fault: DerFault::Empty }));

    // The other's key: a lawful request whose signature proves nothing.
    let stolen = Csr { spki: Key::p256().spki(), ..good() }.sign(&key);
    assert_eq!(Request::parse(&stolen).unwrap().verify_possession(), Err(Error::Signature));
    let mut flipped = good().sign(&key);
    let at = flipped.windows(9).position(|w| w == b"a.example").unwrap();
    flipped[at] = b'b';
    assert_eq!(Request::parse(&flipped).unwrap().verify_possession(), Err(Error::Signature));
    let wrong_kind = Csr { algorithm: SignatureAlgorithm::RsaSha256.identifier_der().to_vec(), ..good() }.sign(&key);
    assert!(matches!(Request::parse(&wrong_kind).unwrap().verify_possession(), Err(Error::AlgorithmOfKey { .. })));
}

/// One octet of the parts inside a request is wrong, and the whole is signed again: only a reader that looks finds it.
#[test]
fn damage_inside_a_request_is_found_though_its_signature_is_good() {
    let key = Key::p256();
    let good = || Csr::new(&key, &[dns("a.example")]);
    let refused = |attributes: Vec<Vec<u8>>, what: &str| {
        let verdict = Request::parse(&Csr { attributes, ..good() }.sign(&key));
        assert!(matches!(verdict, Err(Error::Der { .. })), "{what}: {verdict:?}");
    };
    let kind = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e".to_vec();
    let list = seq(&[san(&[dns("a.example")])]);
    let asked = |kind: Vec<u8>, values: Vec<u8>| vec![seq(&[kind, values])];
    let extension_of = |parts: &[Vec<u8>]| vec![extension_request(&[seq(parts)])];
    let (oid, value) = (tlv(0x06, b"\x55\x1d\x11"), tlv(0x04, &seq(&[dns("a.example")])));

    refused(vec![tlv(0x40, &[kind.clone(), tlv(0x31, &list)].concat())], "the tag of an attribute");
    refused(asked(tlv(0x07, &kind[2..]), tlv(0x31, &list)), "the tag of an attribute's identifier");
    refused(asked(tlv(0x06, b"\x2a\x86"), tlv(0x31, &list)), "an attribute's identifier that does not end");
    refused(asked(kind.clone(), tlv(0x32, &list)), "the tag of the values");
    refused(asked(kind.clone(), tlv(0x31, &[])), "no value");
    refused(asked(kind.clone(), tlv(0x31, &tlv(0x20, &list[2..]))), "the tag of the extensions");
    refused(vec![seq(&[kind.clone(), tlv(0x31, &list), tlv(0x05, &[])])], "something after the values");
    refused(extension_of(&[tlv(0x07, b"\x55\x1d\x11"), value.clone()]), "the tag of an extension's identifier");
    refused(extension_of(&[tlv(0x06, b"\x80\x01"), value.clone()]), "an extension's identifier that is not minimal");
    refused(extension_of(&[oid.clone(), tlv(0x05, &[])]), "the tag of an extension's value");
    refused(extension_of(std::slice::from_ref(&oid)), "no value of an extension");
    refused(extension_of(&[oid.clone(), value.clone(), value.clone()]), "two values of an extension");
    for (kind, bad, what) in [
        (&b"\x55\x1d\x11"[..], tlv(0x40, &dns("a.example")), "the tag of subjectAltName"),
        (b"\x55\x1d\x11", seq(&[tlv(0xa9, b"")]), "an unknown form of name"),
        (b"\x55\x1d\x11", [seq(&[dns("a.example")]), vec![0]].concat(), "something after subjectAltName"),
        (b"\x55\x1d\x0f", b"\x04\x02\x01\x06".to_vec(), "the tag of keyUsage"),
        (b"\x55\x1d\x0f", b"\x03\x02\x00\x06".to_vec(), "unused bits of keyUsage"),
        (b"\x55\x1d\x13", b"\x30\x03\x01\x01\x01".to_vec(), "a BOOLEAN of basicConstraints"),
        (b"\x55\x1d\x25", seq(&[]), "no purpose in extKeyUsage"),
        (b"\x55\x1d\x0e", b"\x03\x02\x00\x06".to_vec(), "the tag of subjectKeyIdentifier"),
        (b"\x60\x86\x48\x01\x86\xf8\x42\x01\x01", b"\x04\x02\x01\x06".to_vec(), "the tag of nsCertType"),
    ] {
        refused(vec![extension_request(&[extension(kind, &bad)])], what);
    }
    // A length inside that is one too small or too large, in each of the places.
    let whole = good();
    let info = whole.info();
    let at = info.len() - tlv(0xa0, &whole.attributes.concat()).len() + 1;
    let lengths: Vec<usize> = (at..info.len()).filter(|i| matches!(info[*i - 1], 0xa0 | 0x30 | 0x31 | 0x04)).collect();
    assert!(lengths.len() >= 6, "{lengths:?}");
    for place in lengths {
        for change in [1u8, u8::MAX] {
            let mut damaged = info.clone();
            damaged[place] = damaged[place].wrapping_add(change);
            let signature = tlv(0x03, &[&[0], key.sign(&damaged).as_slice()].concat());
            let verdict = Request::parse(&seq(&[damaged, whole.algorithm.clone(), signature]));
            assert!(matches!(verdict, Err(Error::Der { .. })), "length at {place}: {verdict:?}");
        }
    }
    // Extensions that are asked for, whole and never copied, harm nobody; one that is unknown may hold anything.
    let custom = extension(UNKNOWN, b"no DER");
    let ca = extension(b"\x55\x1d\x13", b"\x30\x03\x01\x01\xff");
    let usage = extension(b"\x55\x1d\x0f", b"\x03\x02\x01\x06");
    let password = seq(&[b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07".to_vec(), tlv(0x31, &tlv(0x0c, b"secret"))]);
    let attributes = vec![password, extension_request(&[custom, ca, usage])];
    let request = Request::parse(&Csr { attributes, ..good() }.sign(&key)).unwrap();
    assert_eq!(oids(&request), ["1.2.3.4", "2.5.29.19", "2.5.29.15"]);
    assert_eq!(request.verify_possession(), Ok(()));
}

#[test]
fn pem_that_is_damaged_or_holds_more_is_refused() {
    let key = Key::p256();
    let der = Csr::new(&key, &[dns("a.example")]).sign(&key);
    let pem =
        |body: String| format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
    let base64 = |octets: &[u8]| data_encoding::BASE64.encode(octets);
    assert!(Request::parse(pem(base64(&der)).as_bytes()).is_ok());
    let more = [der.as_slice(), &[0; 4]].concat();
    let fault = |octets: &[u8]| Request::parse(pem(base64(octets)).as_bytes()).unwrap_err();
    assert_eq!(fault(&more), Error::Der { part: "request", fault: DerFault::Trailing });
    assert_eq!(fault(&der[..der.len() / 2]), Error::Der { part: "request", fault: DerFault::Truncated });
    for bad in [base64(&der) + "!", base64(&der) + "QUJD", base64(&der).replace('A', "="), String::new()] {
        assert!(Request::parse(pem(bad).as_bytes()).is_err());
    }
    let two = pem(base64(&der)) + &pem(base64(&der));
    assert!(matches!(Request::parse(two.as_bytes()), Err(Error::Pem(_))));
    // The shortest there is, an Ed25519 key without names, has a length that looks like a letter.
    let edwards = Key::ed25519();
    let shortest = Csr { subject: seq(&[]), attributes: vec![], ..Csr::new(&edwards, &[]) }.sign(&edwards);
    assert_eq!((shortest.len(), shortest.get(1)), (129, Some(&0x7f)));
    assert_eq!(Request::parse(&shortest).unwrap().verify_possession(), Ok(()));
}

#[test]
fn no_octet_of_a_request_can_be_changed_unseen() {
    let key = Key::p256();
    let good = Csr::new(&key, &[dns("a.example"), srv("_xmpp-client.a.example")]).sign(&key);
    for at in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            let verdict = Request::parse(&bad).and_then(|request| request.verify_possession());
            assert!(verdict.is_err(), "octet {at}");
        }
    }
}

#[test]
fn parameters_of_rsa_may_be_absent_in_a_request() {
    let key = Key::rsa_2048();
    let absent = tlv(0x30, b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b");
    let csr = |algorithm: Vec<u8>| Csr { algorithm, ..Csr::new(&key, &[dns("a.example")]) }.sign(&key);
    let request = Request::parse(&csr(absent)).unwrap();
    assert_eq!(request.signature_algorithm, Some(SignatureAlgorithm::RsaSha256));
    assert_eq!(request.verify_possession(), Ok(()));
    let other = tlv(0x30, b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x30\x00");
    assert_eq!(Request::parse(&csr(other)).unwrap().signature_algorithm, None);
}

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

#[test]
fn extensions_that_no_field_holds_stand_under_others() {
    let key_usage = |value: &[u8]| extensions::read_key_usage(value);
    assert_eq!(key_usage(b"\x03\x02\x05\xa0"), Ok(0x0005));
    assert_eq!(key_usage(b"\x03\x02\x01\x06"), Ok(0x0060));
    assert_eq!(key_usage(b"\x03\x03\x07\x00\x80"), Ok(0x0100));
    // Named bits end with a one bit; a third octet names nothing.
    for bad in [&b"\x03\x02\x04\xa0"[..], b"\x03\x02\x07\x00", b"\x03\x01\x00", b"\x03\x04\x00\x00\x00\x01"] {
        assert!(key_usage(bad).is_err(), "{bad:02x?}");
    }
    let point = |content: &[u8]| seq(&[seq(&[content.to_vec()])]);
    let uri = tlv(0x86, b"http://a.example/1.crl");
    let full = tlv(0xa0, &tlv(0xa0, &uri));
    let reasons = tlv(0x81, b"\x01\x02");
    let read = extensions::read_distribution_points;
    assert_eq!(read(&point(&full)), Ok(Some(vec!["http://a.example/1.crl".into()])));
    assert_eq!(read(&point(&[full.clone(), reasons].concat())), Ok(None));
    let point = seq(&[full]);
    assert_eq!(read(&seq(&[point.clone(), point])), Ok(None));
    let serial_only = seq(&[tlv(0x82, &[1])]);
    assert_eq!(extensions::read_authority_key_identifier(&serial_only), Ok(None));
    let notice =
        seq(&[seq(&[tlv(0x06, UNKNOWN), seq(&[seq(&[tlv(0x06, b"\x2b\x06\x01\x05\x05\x07\x02\x02"), seq(&[])])])])]);
    assert_eq!(extensions::read_policies(&notice), Ok(None));
    let ocsp = seq(&[seq(&[tlv(0x06, b"\x2b\x06\x01\x05\x05\x07\x30\x01"), uri])]);
    assert_eq!(extensions::read_info_access(&ocsp), Ok(None));
    // basicConstraints: an explicit FALSE, and a path length without a CA.
    assert_eq!(extensions::read_basic_constraints(b"\x30\x03\x01\x01\x00"), Err(DerFault::Default));
    assert_eq!(extensions::read_basic_constraints(b"\x30\x03\x02\x01\x00"), Err(DerFault::Integer));
    // reasonCode: ENUMERATED, not INTEGER, and never 0.
    assert_eq!(extensions::read_reason(b"\x0a\x01\x04"), Ok(4));
    assert!(extensions::read_reason(b"\x02\x01\x04").is_err());
    assert!(extensions::read_reason(b"\x0a\x01\x00").is_err());
    assert_eq!(forge::cn("a"), b"\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01a");
}
