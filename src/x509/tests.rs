//! Requests by defect, keys, and the two readers against each other's traps.

use curve25519_dalek::edwards::CompressedEdwardsY;

use super::fields::GeneralName;
use super::forge::{self, Csr, Key, dns, extension, extension_request, openssl, san, seq, srv, tlv, xmpp_addr};
use super::*;
use crate::algorithm::{PostQuantum, SignatureAlgorithm};

mod keys;

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
