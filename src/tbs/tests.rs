//! What is written is read back by `x509` and must be equal; OpenSSL judges the whole.

use super::*;
use crate::algorithm::SignatureAlgorithm;
use crate::cbor::Bytes;
use crate::config::DnType;
use crate::x509::fields::{
    CaConstraint, CertFields, Constraints, CrlFields, GeneralName, OtherExtension, Policy, Revoked, Subtree, key_usage,
};
use crate::x509::forge::{self, Key, openssl};
use crate::x509::{Error as Unreadable, PathFault};
use crate::x509::{
    PublicKey, read_certificate, read_crl, read_tbs_certificate, read_tbs_crl, tbs_of, verify_ca, verify_crl,
    verify_leaf,
};

mod constraints;
mod lint;
mod openssl;
mod signatures;

const FROM: i64 = 1_795_305_600;
const DAY: i64 = 86_400;

fn root_name() -> Vec<u8> {
    // A repeated type, which a map would lose, and each string type.
    name(&[
        vec![(DnType::DomainComponent, "org".into())],
        vec![(DnType::DomainComponent, "example".into())],
        vec![(DnType::Country, "DE".into())],
        vec![(DnType::Organization, "Beispiel \u{e4}".into())],
        vec![(DnType::CommonName, "Root".into())],
    ])
}

fn bytes(value: impl Into<Vec<u8>>) -> Bytes {
    Bytes::from(value.into())
}

fn root(key: &Key) -> CertFields {
    let id = PublicKey::from_spki(&key.spki()).unwrap().identifier();
    CertFields {
        serial: bytes([0x01, 0xff, 0x80]),
        signature: key.algorithm(),
        issuer: bytes(root_name()),
        not_before: FROM,
        not_after: FROM + 30 * 365 * DAY,
        subject: bytes(root_name()),
        spki: bytes(key.spki()),
        ca: Some(CaConstraint { path_len: Some(1) }),
        key_usage: key_usage::KEY_CERT_SIGN | key_usage::CRL_SIGN,
        eku: vec![],
        san: vec![],
        ski: Some(id),
        aki: None,
        crl_urls: vec![],
        issuer_urls: vec![],
        policies: vec![],
        constraints: Constraints::default(),
        critical: vec!["2.5.29.15".into(), "2.5.29.19".into()],
        others: vec![],
    }
}

fn intermediate(key: &Key, issuer: &CertFields) -> CertFields {
    CertFields {
        serial: bytes([0x7f; 17]),
        issuer: issuer.subject.clone(),
        subject: bytes(name(&[vec![(DnType::CommonName, "Issuing".into())], vec![(DnType::SerialNumber, "1".into())]])),
        signature: issuer.signature,
        not_after: FROM + 10 * 365 * DAY,
        ca: Some(CaConstraint { path_len: Some(0) }),
        aki: issuer.ski.clone(),
        crl_urls: vec!["http://a.example/root.crl".into()],
        issuer_urls: vec!["http://a.example/root.cer".into()],
        policies: vec![Policy { oid: "2.5.29.32.0".into(), cps: None }],
        ..root(key)
    }
}

fn leaf(key: &Key, issuer: &CertFields, signature: SignatureAlgorithm) -> CertFields {
    CertFields {
        serial: bytes([0x01; 17]),
        signature,
        issuer: issuer.subject.clone(),
        subject: bytes(name(&[vec![(DnType::CommonName, "chat.example".into())]])),
        not_after: FROM + 90 * DAY,
        ca: None,
        key_usage: key_usage::DIGITAL_SIGNATURE | key_usage::KEY_ENCIPHERMENT,
        eku: vec!["1.3.6.1.5.5.7.3.1".into(), "1.3.6.1.5.5.7.3.2".into()],
        san: vec![
            GeneralName::Dns("chat.example".into()),
            GeneralName::Srv("_xmpp-server.chat.example".into()),
            GeneralName::Srv("_xmpp-client.chat.example".into()),
            GeneralName::XmppAddr("chat.example".into()),
        ],
        aki: issuer.ski.clone(),
        crl_urls: vec!["http://a.example/1.crl".into(), "ldap://b.example/cn=1".into()],
        issuer_urls: vec!["http://a.example/1.cer".into(), "http://b.example/1.cer".into()],
        policies: vec![
            Policy { oid: "1.3.6.1.4.1.99999.1".into(), cps: Some("http://a.example/cps".into()) },
            Policy { oid: "2.999.1".into(), cps: None },
        ],
        ..root(key)
    }
}

fn list(issuer: &CertFields, signature: SignatureAlgorithm) -> CrlFields {
    CrlFields {
        signature,
        issuer: issuer.subject.clone(),
        this_update: FROM,
        next_update: FROM + 7 * DAY,
        number: 1,
        aki: issuer.ski.clone(),
        revoked: vec![],
        critical: vec![],
        others: vec![],
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    let body: Vec<String> =
        data_encoding::BASE64.encode(der).as_bytes().chunks(64).map(|c| String::from_utf8_lossy(c).into()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", body.join("\n"))
}

/// Everything that a plan may vary, one at a time and together, comes back equal.
#[test]
fn what_is_written_is_read_back_equal() {
    let keys = [Key::p256(), Key::p384(), Key::ed25519(), Key::rsa_2048()];
    let mut count = 0;
    for key in &keys {
        let root = root(key);
        let middle = intermediate(key, &root);
        let leaf = leaf(key, &middle, SignatureAlgorithm::RsaSha512);
        let mut variants = vec![root, middle, leaf.clone()];
        for edit in EDITS {
            let mut fields = leaf.clone();
            edit(&mut fields);
            variants.push(fields);
        }
        let mut all = leaf;
        EDITS.iter().for_each(|edit| edit(&mut all));
        variants.push(all);
        for fields in variants {
            let tbs = certificate(&fields).unwrap();
            assert_eq!(read_tbs_certificate(&tbs).unwrap(), fields);
            let whole = assemble(&tbs, fields.signature, &[1; 70]);
            assert_eq!(read_certificate(&whole).unwrap(), fields);
            assert_eq!(tbs_of(&whole).unwrap(), tbs);
            count += 1;
        }
    }
    assert_eq!(count, keys.len() * (EDITS.len() + 4));
}

const EDITS: &[fn(&mut CertFields)] = &[
    |f| f.serial = bytes([0x01]),
    |f| f.serial = bytes([0x7f; 20]),
    |f| f.serial = bytes([0x00, 0x80]),
    |f| f.not_before = 0,
    |f| f.not_after = 2_524_607_999,
    |f| f.not_after = 2_524_608_000,
    |f| f.not_after = 253_402_300_799,
    |f| f.signature = SignatureAlgorithm::EcdsaSha512,
    |f| f.signature = SignatureAlgorithm::Ed25519,
    |f| f.critical = vec!["2.5.29.15".into()],
    |f| {
        f.subject = bytes([0x30, 0x00]);
        f.critical = vec!["2.5.29.15".into(), "2.5.29.17".into()];
    },
    |f| {
        f.constraints = limits();
        f.critical.extend(["2.5.29.30", "2.5.29.36", "2.5.29.54"].map(String::from));
    },
    |f| f.key_usage = 0x01ff,
    |f| f.key_usage = 0x0100,
    |f| f.key_usage = 0x0001,
    |f| f.eku = vec!["1.3.6.1.5.5.7.3.2".into(), "1.2.3.4".into(), "2.5.29.37.0".into()],
    |f| f.san.push(GeneralName::Ip(bytes([192, 0, 2, 1]))),
    |f| f.san.push(GeneralName::Email("a@b.example".into())),
    |f| f.san.push(GeneralName::Uri("xmpp:a".into())),
    |f| f.san.push(GeneralName::XmppAddr("m\u{fc}ller.example".into())),
    |f| f.san.extend((0..300).map(|i| GeneralName::Dns(format!("n{i}.example")))),
    |f| f.crl_urls.clear(),
    |f| f.issuer_urls.clear(),
    |f| f.policies.clear(),
    |f| f.aki = None,
    |f| f.aki = Some(bytes([9; 32])),
];

/// One subtree of each form, permitted and excluded, and every count.
fn limits() -> Constraints {
    let directory = Subtree::Directory(bytes(name(&[vec![(DnType::Organization, "Acme".into())]])));
    let mail = [".example", "host.example", "a@b.example"].map(|base| Subtree::Email(base.into()));
    Constraints {
        permitted: [vec![Subtree::Dns("example".into()), directory.clone()], mail.to_vec()].concat(),
        excluded: vec![
            Subtree::ip("0.0.0.0/0").unwrap(),
            Subtree::ip("2001:db8::/33").unwrap(),
            Subtree::Dns("".into()),
            directory,
        ],
        require_explicit_policy: Some(0),
        inhibit_policy_mapping: Some(255),
        inhibit_any_policy: Some(1),
    }
}

#[test]
fn crls_are_read_back_equal() {
    let key = Key::p384();
    let issuer = root(&key);
    let empty = list(&issuer, SignatureAlgorithm::EcdsaSha384);
    let reasons = [None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), Some(9), Some(10)];
    let revoked =
        |(i, reason): (usize, Option<u8>)| Revoked { serial: bytes([i as u8 + 1; 17]), date: FROM - DAY, reason };
    let full = CrlFields {
        revoked: reasons.into_iter().enumerate().map(revoked).collect(),
        number: u64::MAX,
        ..empty.clone()
    };
    let late = CrlFields { this_update: 2_524_608_000, next_update: 253_402_300_799, number: 0, ..full.clone() };
    for fields in [empty, full, late] {
        let tbs = crl(&fields).unwrap();
        assert_eq!(read_tbs_crl(&tbs).unwrap(), fields);
        assert_eq!(read_crl(&assemble(&tbs, fields.signature, &[1; 100])).unwrap(), fields);
        for at in [4, tbs.len() / 2, tbs.len() - 1] {
            let mut bad = tbs.clone();
            bad[at] ^= 0x01;
            assert_ne!(read_tbs_crl(&bad).ok().as_ref(), Some(&fields));
        }
    }
}

/// Whatever single octet of a TBS changes, the reader finds other fields or none.
#[test]
fn no_octet_of_a_certificate_can_be_changed_unseen() {
    let key = Key::p256();
    let fields = leaf(&key, &root(&key), SignatureAlgorithm::EcdsaSha256);
    let tbs = certificate(&fields).unwrap();
    for at in 0..tbs.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut bad = tbs.clone();
            bad[at] ^= bit;
            assert_ne!(read_tbs_certificate(&bad).ok().as_ref(), Some(&fields), "octet {at}");
        }
    }
}

#[test]
fn bad_fields_are_refused() {
    let key = Key::p256();
    let good = leaf(&key, &root(&key), SignatureAlgorithm::EcdsaSha256);
    let refused = |edit: fn(&mut CertFields)| {
        let mut fields = good.clone();
        edit(&mut fields);
        certificate(&fields).unwrap_err()
    };
    for serial in [vec![], vec![0], vec![0x80; 20], vec![1; 21], vec![0, 1], vec![0, 0, 0x80]] {
        let fields = CertFields { serial: bytes(serial.clone()), ..good.clone() };
        assert_eq!(certificate(&fields), Err(Error::Serial(crate::text::hex(&serial))));
    }
    assert!(matches!(refused(|f| f.not_after = f.not_before - 1), Error::TimeOrder { .. }));
    assert!(matches!(refused(|f| f.not_after = 253_402_300_800), Error::Time(_)));
    assert_eq!(refused(|f| f.issuer = bytes([0x30, 0])), Error::Der("issuer"));
    assert_eq!(refused(|f| f.issuer = bytes([])), Error::Der("issuer"));
    assert_eq!(refused(|f| f.issuer = bytes([0x31, 2, 5, 0])), Error::Der("issuer"));
    assert_eq!(refused(|f| f.subject = bytes([0x30, 2, 5, 0, 0])), Error::Der("subject"));
    assert_eq!(refused(|f| f.subject = bytes([0x30, 0])), Error::Der("subject"));
    assert_eq!(refused(|f| f.spki.push(0)), Error::Der("public key"));
    assert_eq!(refused(|f| f.key_usage = 0x0200), Error::KeyUsage(0x0200));
    assert!(matches!(refused(|f| f.key_usage = 0), Error::Criticality(_)));
    assert!(matches!(refused(|f| f.critical.push("2.5.29.37".into())), Error::Criticality(_)));
    assert!(matches!(refused(|f| f.critical.reverse()), Error::Criticality(_)));
    let refused_oid = refused(|f| f.others.push(OtherExtension { oid: "1.x".into(), value: bytes([5, 0]) }));
    assert!(matches!(refused_oid, Error::Oid(_)));
    assert!(matches!(refused(|f| f.san.push(GeneralName::Other(bytes([5, 0])))), Error::Extension(_)));
    assert!(matches!(refused(|f| f.san.push(GeneralName::Ip(bytes([1])))), Error::Extension(_)));
    assert!(matches!(refused(|f| f.san.push(GeneralName::Dns("\u{fc}".into()))), Error::Ascii(_)));
    assert!(matches!(refused(|f| f.crl_urls.push("\u{fc}".into())), Error::Ascii(_)));
    for oid in ["", "1", "3.1", "1.40", "1.2.", "1.02", "1.-2", "2.5.99999999999999999999"] {
        let fields = CertFields { eku: vec![oid.into()], ..good.clone() };
        assert!(matches!(certificate(&fields), Err(Error::Oid(_))), "{oid}");
    }
    assert_eq!(refused(|f| f.ca = Some(CaConstraint { path_len: Some(256) })), Error::PathLength(256));

    let good = CrlFields {
        revoked: vec![Revoked { serial: bytes([1]), date: FROM, reason: Some(1) }],
        ..list(&root(&key), SignatureAlgorithm::EcdsaSha256)
    };
    assert!(crl(&good).is_ok());
    let refused = |edit: fn(&mut CrlFields)| {
        let mut fields = good.clone();
        edit(&mut fields);
        crl(&fields).unwrap_err()
    };
    for reason in [0, 7, 8, 11] {
        let revoked = vec![Revoked { serial: bytes([1]), date: FROM, reason: Some(reason) }];
        assert_eq!(crl(&CrlFields { revoked, ..good.clone() }), Err(Error::Reason(reason)));
    }
    assert_eq!(refused(|f| f.revoked.extend(f.revoked.clone())), Error::EntryTwice("01".into()));
    assert!(matches!(refused(|f| f.next_update = f.this_update), Error::TimeOrder { .. }));
    assert!(matches!(refused(|f| f.aki = None), Error::Missing(_)));
    assert!(matches!(refused(|f| f.revoked.first_mut().unwrap().serial.clear()), Error::Serial(_)));
    assert_eq!(refused(|f| f.issuer = bytes([0x30, 0])), Error::Der("issuer"));
}
