//! What was written is changed by some octets, as if another hand had written it: the lint finds each by its own name.

use super::*;
use crate::algorithm::KeyAlgorithm;
use crate::x509::{DerFault, Lint, lint_certificate, lint_crl};

/// The one place where `from` stands becomes `to`; the lengths around it are made to fit.
fn changed(tbs: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let places = tbs.windows(from.len()).filter(|window| *window == from).count();
    assert_eq!(places, 1, "{from:02x?} stands {places} times");
    rewrite(tbs, from, to)
}

/// Replaces inside the innermost element that holds `from` whole, and writes the lengths of all around it again.
fn rewrite(element: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    if element == from {
        return to.to_vec();
    }
    let (tag, content) = split(element);
    if tag & 0x20 != 0 || tag == 0x04 {
        let mut parts = Vec::new();
        let (mut rest, mut hit) = (content, false);
        while !rest.is_empty() && whole(rest).is_some() {
            let (one, behind) = rest.split_at(whole(rest).unwrap());
            let inside = one.windows(from.len()).any(|window| window == from);
            hit |= inside;
            parts.extend(if inside { rewrite(one, from, to) } else { one.to_vec() });
            rest = behind;
        }
        if hit && rest.is_empty() {
            return forge::tlv(tag, &parts);
        }
    }
    let at = content.windows(from.len()).position(|window| window == from).unwrap();
    forge::tlv(tag, &[&content[..at], to, &content[at + from.len()..]].concat())
}

/// Octets of the first element.
fn whole(bytes: &[u8]) -> Option<usize> {
    let (head, length) = match *bytes.get(1)? {
        0x81 => (3, usize::from(*bytes.get(2)?)),
        0x82 => (4, usize::from(*bytes.get(2)?) << 8 | usize::from(*bytes.get(3)?)),
        short if short < 0x80 => (2, usize::from(short)),
        _ => return None,
    };
    Some(head + length).filter(|end| *end <= bytes.len())
}

fn split(element: &[u8]) -> (u8, &[u8]) {
    let head = match element[1] {
        0x81 => 3,
        0x82 => 4,
        _ => 2,
    };
    (element[0], &element[head..])
}

/// Good ones: a root, an intermediate, a leaf, and who signs them.
fn good() -> (Key, [CertFields; 3]) {
    let key = Key::rsa_2048();
    let root = CertFields { serial: bytes([0x01; 17]), ..root(&key) };
    let other = Key::p256();
    let middle = CertFields { signature: SignatureAlgorithm::RsaSha256, ..intermediate(&other, &root) };
    let server = leaf(&Key::rsa_2048(), &root, SignatureAlgorithm::RsaSha256);
    (key, [root, middle, server])
}

fn lint(key: &Key, tbs: &[u8]) -> Result<CertFields, Lint> {
    lint_certificate(tbs, KeyAlgorithm::Rsa2048, &key.spki())
}

#[test]
fn what_is_written_passes() {
    let (key, all) = good();
    for fields in &all {
        assert_eq!(lint(&key, &certificate(fields).unwrap()).as_ref(), Ok(fields));
    }
    let mut unnamed = all[2].clone();
    unnamed.subject = bytes([0x30, 0]);
    unnamed.critical.insert(1, "2.5.29.17".into());
    assert!(lint(&key, &certificate(&unnamed).unwrap()).is_ok());
    let mut crl_fields = list(&all[0], SignatureAlgorithm::RsaSha256);
    for revoked in [vec![], vec![Revoked { serial: bytes([1; 17]), date: FROM, reason: Some(4) }]] {
        crl_fields.revoked = revoked;
        assert!(lint_crl(&crl(&crl_fields).unwrap(), KeyAlgorithm::Rsa2048).is_ok());
    }
}

/// Octets of the leaf that are changed, and what is found.
type Defect = (&'static str, &'static [u8], &'static [u8], fn(&Lint) -> bool);

fn unreadable(lint: &Lint, wanted: DerFault) -> bool {
    matches!(lint, Lint::Unreadable(Unreadable::Der { fault, .. }) if *fault == wanted)
}

#[test]
fn a_certificate_with_one_defect_is_found() {
    let (key, [_, _, server]) = good();
    let tbs = certificate(&server).unwrap();
    let serial = [&[0x02, 0x11], &[0x01; 17][..]].concat();
    let defects: [Defect; 22] = [
        ("short serial", &[1; 17], &[1; 16], |l| *l == Lint::Serial(16)),
        ("long serial", &[1; 17], &[1; 20], |l| *l == Lint::Serial(20)),
        ("negative serial", &[1; 17], &[0x81; 17], |l| unreadable(l, DerFault::Integer)),
        ("serial of zero", &[1; 17], &[0], |l| matches!(l, Lint::Unreadable(Unreadable::Serial))),
        ("serial of 21 octets", &[1; 17], &[1; 21], |l| matches!(l, Lint::Unreadable(Unreadable::Serial))),
        ("serial with a needless zero", &[1; 17], &[0, 1], |l| unreadable(l, DerFault::Integer)),
        ("GeneralizedTime before 2050", b"\x17\x0d261122000000Z", b"\x18\x0f20261122000000Z", |l| {
            unreadable(l, DerFault::Time)
        }),
        ("no seconds", b"\x17\x0d261122000000Z", b"\x17\x0b2611220000Z", |l| unreadable(l, DerFault::Time)),
        ("another zone", b"\x17\x0d261122000000Z", b"\x17\x11261122000000+0000", |l| unreadable(l, DerFault::Time)),
        ("a fraction", b"\x17\x0d261122000000Z", b"\x18\x1120261122000000.5Z", |l| unreadable(l, DerFault::Time)),
        ("ends before it begins", b"261122000000Z", b"361122000000Z", |l| *l == Lint::Times),
        ("algorithm without its NULL", b"\x01\x01\x0b\x05\x00", b"\x01\x01\x0b", |l| {
            matches!(l, Lint::Unreadable(Unreadable::SignatureAlgorithm { .. }))
        }),
        ("another algorithm", b"\x01\x01\x0b\x05\x00", b"\x01\x01\x0d\x05\x00", |l| matches!(l, Lint::Algorithm(_))),
        ("keyUsage not critical", b"\x55\x1d\x0f\x01\x01\xff", b"\x55\x1d\x0f", |l| {
            *l == Lint::NotCritical("2.5.29.15".into())
        }),
        ("a default written out", b"\x55\x1d\x23\x04", b"\x55\x1d\x23\x01\x01\x00\x04", |l| {
            unreadable(l, DerFault::Default)
        }),
        ("authorityKeyIdentifier critical", b"\x55\x1d\x23\x04", b"\x55\x1d\x23\x01\x01\xff\x04", |l| {
            *l == Lint::Critical("2.5.29.35".into())
        }),
        ("subjectAltName critical beside a subject", b"\x55\x1d\x11\x04", b"\x55\x1d\x11\x01\x01\xff\x04", |l| {
            *l == Lint::Critical("2.5.29.17".into())
        }),
        ("an extension twice", b"\x55\x1d\x25\x04", b"\x55\x1d\x23\x04", |l| {
            matches!(l, Lint::Unreadable(Unreadable::ExtensionTwice { .. }))
        }),
        ("unused bits wrong", b"\x03\x02\x05\xa0", b"\x03\x02\x04\xa0", |l| unreadable(l, DerFault::BitString)),
        ("a leaf that certifies", b"\x03\x02\x05\xa0", b"\x03\x02\x02\xa4", |l| *l == Lint::NotCa("keyCertSign")),
        ("an RSA key that agrees", b"\x03\x02\x05\xa0", b"\x03\x02\x03\xa8", |l| matches!(l, Lint::KeyUsage { .. })),
        ("no CRL's address", b"http://a.example/1.crl", b"//a.example/1.crl", |l| {
            *l == Lint::Uri("cRLDistributionPoints")
        }),
    ];
    for (what, from, to, found) in defects {
        let (from, to) = match from == [1; 17] {
            true => (serial.clone(), forge::tlv(0x02, to)),
            false => (from.to_vec(), to.to_vec()),
        };
        let lint = lint(&key, &changed(&tbs, &from, &to)).expect_err(what);
        assert!(found(&lint), "{what}: {lint}");
    }
}

#[test]
fn a_name_with_one_defect_is_found() {
    let (key, [_, middle, server]) = good();
    let subject = |value: &[u8]| {
        let mut fields = server.clone();
        fields.subject = bytes(value);
        lint(&key, &certificate(&fields).unwrap())
    };
    let one = |kind: &[u8], value: &[u8]| {
        forge::seq(&[forge::tlv(0x31, &forge::seq(&[forge::tlv(0x06, kind), value.to_vec()]))])
    };
    let (common, country, domain) = (b"\x55\x04\x03", b"\x55\x04\x06", b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19");
    let at_most = forge::tlv(0x0c, "\u{e4}".repeat(64).as_bytes());
    assert!(subject(&one(common, &at_most)).is_ok());
    for (kind, value, wanted) in [
        (&common[..], forge::tlv(0x0c, "\u{e4}".repeat(65).as_bytes()), "length"),
        (common, forge::tlv(0x0c, b""), "empty"),
        (common, forge::tlv(0x16, b"a"), "type"),
        (common, forge::tlv(0x13, b"a*b"), "PrintableString"),
        (country, forge::tlv(0x13, b"DEU"), "length"),
        (country, forge::tlv(0x13, b"D"), "length"),
        (country, forge::tlv(0x0c, b"DE"), "type"),
        (domain, forge::tlv(0x0c, b"org"), "type"),
    ] {
        let lint = subject(&one(kind, &value)).unwrap_err();
        assert!(matches!(&lint, Lint::Attribute { name: "subject", what, .. } if what.contains(wanted)), "{lint}");
    }
    let tbs = certificate(&middle).unwrap();
    let lint_of = |from: &[u8], to: &[u8]| lint(&key, &changed(&tbs, from, to)).unwrap_err();
    assert_eq!(lint_of(&middle.subject, &[0x30, 0]), Lint::NoName("subject"));
    assert_eq!(lint_of(&middle.issuer, &[0x30, 0]), Lint::NoName("issuer"));
    assert_eq!(lint_of(&middle.subject, &middle.issuer), Lint::SelfIssued);
    let empty_rdn = lint_of(&middle.subject, b"\x30\x02\x31\x00");
    assert!(matches!(empty_rdn, Lint::Unreadable(_)), "{empty_rdn}");
    let mut unnamed = certificate(&server).unwrap();
    unnamed = changed(&unnamed, &server.subject, &[0x30, 0]);
    assert_eq!(lint(&key, &unnamed), Err(Lint::NotCritical("2.5.29.17".into())));
}

#[test]
fn a_ca_with_one_defect_is_found() {
    let (key, [root, middle, server]) = good();
    let tbs = certificate(&middle).unwrap();
    let lint_of = |from: &[u8], to: &[u8]| lint(&key, &changed(&tbs, from, to)).unwrap_err();
    let not_critical = lint_of(b"\x55\x1d\x13\x01\x01\xff", b"\x55\x1d\x13");
    assert_eq!(not_critical, Lint::NotCritical("2.5.29.19".into()));
    let cert_sign_gone = lint_of(b"\x03\x02\x01\x06", b"\x03\x02\x01\x02");
    assert_eq!(cert_sign_gone, Lint::Missing("keyCertSign"));
    let enciphers = lint_of(b"\x03\x02\x01\x06", b"\x03\x02\x01\x26");
    assert!(matches!(enciphers, Lint::KeyUsage { .. }), "{enciphers}");
    let only = lint_of(b"\x03\x02\x01\x06", b"\x03\x02\x00\x07");
    assert!(matches!(only, Lint::KeyUsage { .. }), "{only}");
    let no_bits = lint_of(b"\x03\x02\x01\x06", b"\x03\x01\x00");
    assert!(unreadable(&no_bits, DerFault::BitString), "{no_bits}");
    // Extensions that are gone leave a CA without its key identifier, and the certificate without its issuer's.
    let identifier = |oid: u8| [0x06, 0x03, 0x55, 0x1d, oid];
    assert_eq!(lint_of(&identifier(14), &identifier(99)), Lint::Missing("subject key identifier"));
    assert_eq!(lint_of(&identifier(35), &identifier(99)), Lint::Missing("authority key identifier"));
    assert!(matches!(lint_of(b"\x02\x01\x00", b"\x02\x01\xff"), Lint::Unreadable(_)));

    // What this program's own hand would not write, or not for these: with fields that say so.
    let written = |edit: fn(&mut CertFields), of: &CertFields| {
        let mut fields = of.clone();
        edit(&mut fields);
        lint(&key, &certificate(&fields).unwrap()).unwrap_err()
    };
    let permitted = |f: &mut CertFields| {
        f.constraints.permitted = vec![Subtree::Dns("example".into())];
        f.critical = vec!["2.5.29.15".into(), "2.5.29.19".into(), "2.5.29.30".into()];
    };
    assert!(matches!(written(permitted, &server), Lint::NotCa(_)));
    let twice = |f: &mut CertFields| f.eku.push(f.eku[0].clone());
    assert!(matches!(written(twice, &server), Lint::Twice { list: "extKeyUsage", .. }));
    let twice = |f: &mut CertFields| f.policies.push(f.policies[0].clone());
    assert!(matches!(written(twice, &server), Lint::Twice { list: "certificatePolicies", .. }));
    let twice = |f: &mut CertFields| f.san.push(f.san[0].clone());
    assert!(matches!(written(twice, &server), Lint::Twice { list: "subjectAltName", .. }));
    for name in ["a..example", ".example", "a b.example", " "] {
        let mut fields = server.clone();
        fields.san = vec![GeneralName::Dns(name.into())];
        let lint = lint(&key, &certificate(&fields).unwrap()).unwrap_err();
        assert!(matches!(&lint, Lint::AlternativeName(_)), "{name}: {lint}");
    }
    let other = |f: &mut CertFields| f.aki = Some(bytes([7; 20]));
    assert_eq!(written(other, &root), Lint::SelfIssued);
    let no_identifier = |f: &mut CertFields| f.aki = Some(bytes([]));
    assert!(matches!(written(no_identifier, &middle), Lint::KeyIdentifier(_)));
    let stranger = Key::p256();
    let tbs = certificate(&root).unwrap();
    assert_eq!(lint_certificate(&tbs, KeyAlgorithm::Rsa2048, &stranger.spki()), Err(Lint::SelfIssued));
    let of = |algorithm| lint_certificate(&tbs, algorithm, &key.spki());
    assert!(matches!(of(KeyAlgorithm::Rsa2048Pss), Err(Lint::Algorithm(_))));
}

#[test]
fn a_crl_with_one_defect_is_found() {
    let (_, [root, ..]) = good();
    let mut fields = list(&root, SignatureAlgorithm::RsaSha256);
    fields.revoked = vec![
        Revoked { serial: bytes([0x11; 17]), date: FROM - DAY, reason: Some(4) },
        Revoked { serial: bytes([0x12; 17]), date: FROM - 2 * DAY, reason: None },
    ];
    let tbs = crl(&fields).unwrap();
    let judge = |tbs: &[u8]| lint_crl(tbs, KeyAlgorithm::Rsa2048);
    let lint_of = |from: &[u8], to: &[u8]| judge(&changed(&tbs, from, to)).unwrap_err();
    let reason = b"\x0a\x01\x04";
    assert_eq!(lint_of(reason, b"\x0a\x01\x08"), Lint::RemoveFromCrl);
    assert!(unreadable(&lint_of(reason, b"\x0a\x01\x00"), DerFault::Integer));
    assert!(matches!(lint_of(reason, b"\x02\x01\x04"), Lint::Unreadable(_)));
    assert!(matches!(lint_of(&[0x12; 17], &[0x11; 17]), Lint::Twice { .. }));
    assert_eq!(lint_of(b"261121000000Z", b"261123000000Z"), Lint::EntryDate);
    assert_eq!(lint_of(b"261129000000Z", b"261122000000Z").to_string(), Lint::Times.to_string());
    assert_eq!(lint_of(&root.subject, &[0x30, 0]), Lint::NoName("issuer"));
    assert!(matches!(lint_of(b"\x01\x01\x0b\x05\x00", b"\x01\x01\x0d\x05\x00"), Lint::Algorithm(_)));
    assert_eq!(lint_of(b"\x55\x1d\x23", b"\x55\x1d\x63"), Lint::Missing("authority key identifier"));
    assert_eq!(lint_of(b"\x55\x1d\x14\x04", b"\x55\x1d\x14\x01\x01\xff\x04"), Lint::Critical("2.5.29.20".into()));
    // A distribution point or a base number in the place of the key identifier, not critical.
    let identifier = forge::extension(b"\x55\x1d\x23", &forge::seq(&[forge::tlv(0x80, root.ski.as_ref().unwrap())]));
    for (oid, value) in [(0x1c, b"\x30\x03\x81\x01\xff".as_slice()), (0x1b, b"\x02\x01\x01")] {
        let extension = forge::extension(&[0x55, 0x1d, oid], value);
        let found = lint_of(&identifier, &[identifier.clone(), extension].concat());
        assert_eq!(found, Lint::NotCritical(format!("2.5.29.{oid}")));
    }
    fields.revoked.clear();
    let tbs = crl(&fields).unwrap();
    let time = b"\x17\x0d261129000000Z";
    let empty = judge(&changed(&tbs, time, &[time.as_slice(), &[0x30, 0]].concat())).unwrap_err();
    assert!(unreadable(&empty, DerFault::Empty), "{empty}");
    let missing = judge(&changed(&tbs, time, b"")).unwrap_err();
    assert!(matches!(missing, Lint::Unreadable(_)), "{missing}");
}
