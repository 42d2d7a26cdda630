//! Each check refuses what it is named for, and a good request passes them all.

mod authorities;
mod cabf;
mod clients;
mod extensions;
mod holders;
mod keys;
mod names;
mod scope;

use std::collections::HashMap;

use super::*;
use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::cbor::Bytes;
use crate::config::{Base, Ca, DnType, KeyReuse, Limits, NameForm, Profile, Rule, Validity};
use crate::digest::Digest;
use crate::x509::fields::{CertFields, GeneralName, Policy, Revoked, key_usage};
use crate::x509::forge::{Csr, Key, cn, dns, extension, extension_request, openssl, san, seq, srv, tlv, xmpp_addr};
use crate::{tbs, x509};

const FROM: i64 = 1_795_305_600;
const DAY: i64 = 86_400;

#[derive(Default)]
struct Ledger {
    keys: HashMap<Digest, KeyFacts>,
    names: HashMap<String, Digest>,
    serials: Vec<[u8; 17]>,
    blocked: Vec<Digest>,
}

impl Known for Ledger {
    fn key(&self, spki_digest: &Digest) -> Option<KeyFacts> {
        self.keys.get(spki_digest).cloned()
    }

    fn name(&self, name: &str) -> Option<NameFacts> {
        self.names.get(name).map(|tag| NameFacts { request: "old-7".into(), requester: Some(*tag) })
    }

    fn blocked(&self, key: &x509::PublicKey) -> Option<String> {
        self.blocked.contains(&key.digest()).then(|| "a\nlist".into())
    }

    fn serial_known(&self, serial: &[u8]) -> bool {
        self.serials.iter().any(|known| known == serial)
    }
}

/// Who asks in these tests.
const ASKER: Digest = Digest([7; 32]);

fn row<'a>(id: &'a str, csr: &'a [u8], validated: &'a [String]) -> RequestRow<'a> {
    static NOBODY: std::sync::OnceLock<Vouched> = std::sync::OnceLock::new();
    let vouched = NOBODY.get_or_init(Vouched::default);
    RequestRow { id, csr, validated, requester: ASKER, suffixes: &[], vouched, ceded: &[] }
}

fn serial(n: u8) -> [u8; 17] {
    let mut serial = [n; 17];
    serial[0] = 1;
    serial
}

fn ca(id: &str, issuer: &str, days: u32) -> Ca {
    Ca {
        id: id.into(),
        key: format!("{id}-key"),
        issuer: issuer.into(),
        issuer_certificate: None,
        profile: String::new(),
        subject: vec![vec![(DnType::Organization, "REHEARSAL".into())], vec![(DnType::CommonName, id.into())]],
        days: Some(days),
        crl_days: 30,
        crl_urls: vec![format!("http://a.example/{id}.crl")],
        issuer_urls: vec![format!("http://a.example/{id}.cer")],
        rules: Default::default(),
        limits: Limits::default(),
    }
}

fn profile(base: Base, path_len: Option<u32>) -> Profile {
    Profile {
        path_len,
        validity: Validity::days(90),
        window_hours: 24,
        policies: vec![Policy { oid: "2.999.1".into(), cps: None }],
        keys: vec![KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048],
        ..Profile::builtin(base)
    }
}

/// The profile with another rule for a form of name.
fn with(profile: &Profile, form: NameForm, rule: Rule) -> Profile {
    let mut with = profile.clone();
    with.names.insert(form, rule);
    with
}

/// A root and an issuing CA, both signed.
struct World {
    root: Ca,
    issuing: Ca,
    root_key: Key,
    issuing_key: Key,
    root_der: Vec<u8>,
    issuing_der: Vec<u8>,
    ledger: Ledger,
}

/// A key that is declared as what it is.
fn declared(spki: &[u8]) -> CaKey<'_> {
    CaKey { spki, algorithm: x509::PublicKey::from_spki(spki).unwrap().algorithm().unwrap() }
}

fn signed(fields: &CertFields, key: &Key) -> Vec<u8> {
    let bytes = tbs::certificate(fields).unwrap();
    tbs::assemble(&bytes, key.algorithm(), &key.sign(&bytes))
}

impl World {
    fn new() -> World {
        let (root, issuing) = (ca("root", "root", 3650), ca("issuing", "root", 365));
        let (root_key, issuing_key) = (Key::p384(), Key::p256());
        let ledger = Ledger::default();
        let mut seen = Seen::new(&ledger, []);
        let fields = certify(&root, &root_key, None, profile(Base::Root, Some(1)), FROM - 10, 1, &mut seen).unwrap();
        let root_der = signed(&fields, &root_key);
        let facts =
            IssuerFacts::planned(&fields, None, &root, &tbs::name(&root.subject), declared(&root_key.spki())).unwrap();
        let fields =
            certify(&issuing, &issuing_key, Some(&facts), profile(Base::Intermediate, Some(0)), FROM - 5, 2, &mut seen)
                .unwrap();
        let issuing_der = signed(&fields, &root_key);
        World { root, issuing, root_key, issuing_key, root_der, issuing_der, ledger }
    }

    fn chain(&self) -> [&[u8]; 2] {
        [&self.issuing_der, &self.root_der]
    }

    fn issuer(&self) -> IssuerFacts {
        let subject = tbs::name(&self.issuing.subject);
        IssuerFacts::from_certificate(
            (&self.chain(), false),
            &self.issuing,
            &subject,
            declared(&self.issuing_key.spki()),
            FROM,
        )
        .unwrap()
    }

    fn root_facts(&self) -> IssuerFacts {
        let subject = tbs::name(&self.root.subject);
        IssuerFacts::from_certificate(
            (&[&self.root_der], false),
            &self.root,
            &subject,
            declared(&self.root_key.spki()),
            FROM,
        )
        .unwrap()
    }

    /// The verdict on a request alone, by a profile.
    fn judge_by(&self, profile: &Profile, csr: &[u8], validated: &[&str]) -> Result<CertFields, Refused> {
        let issuer = self.issuer();
        let (issuing, root) = (self.issuing_key.spki(), self.root_key.spki());
        let mut seen = Seen::new(&self.ledger, [("issuing", issuing.as_slice()), ("root", root.as_slice())]);
        let validated: Vec<String> = validated.iter().map(|name| name.to_string()).collect();
        let context = LeafContext { profile, issuer: &issuer, sign_from: FROM };
        judge_request(&context, &row("r-1", csr, &validated), serial(9), &mut seen)
    }

    fn judge(&self, csr: &[u8], validated: &[&str]) -> Result<CertFields, Refused> {
        self.judge_by(&profile(Base::XmppServer, None), csr, validated)
    }

    fn refused(&self, csr: &[u8], validated: &[&str]) -> Check {
        self.judge(csr, validated).unwrap_err().check
    }
}

fn certify(
    ca: &Ca,
    key: &Key,
    issuer: Option<&IssuerFacts>,
    profile: Profile,
    from: i64,
    n: u8,
    seen: &mut Seen<'_>,
) -> Result<CertFields, Refused> {
    let (subject, spki) = (tbs::name(&ca.subject), key.spki());
    let constraints = &tbs::constraints(&ca.limits);
    let key = declared(&spki);
    let context = CaContext { profile: &profile, ca, subject: &subject, constraints, key, issuer, sign_from: from };
    ca_fields(&context, serial(n), seen)
}

fn request(key: &Key, names: &[Vec<u8>]) -> Vec<u8> {
    Csr::new(key, names).sign(key)
}

#[test]
fn checks_have_stable_and_distinct_names() {
    for check in Check::ALL {
        assert_eq!(Check::named(check.name()), Some(check));
        assert!(check.name().bytes().all(|c| c.is_ascii_lowercase() || c == b'-'));
        assert!(check.question().ends_with('?') && !check.source().is_empty() && !check.mend().is_empty());
    }
    let names: std::collections::BTreeSet<_> = Check::ALL.iter().map(|check| check.name()).collect();
    assert_eq!(names.len(), Check::ALL.len());
}

#[test]
fn a_good_request_becomes_a_class_1_certificate() {
    let world = World::new();
    let key = Key::rsa_2048();
    // What prosodyctl asks for, in capitals and twice.
    let names = [
        dns("Chat.Example"),
        srv("_xmpp-server.chat.example"),
        xmpp_addr("chat.example"),
        dns("muc.chat.example"),
        dns("chat.example"),
    ];
    let fields = world.judge(&request(&key, &names), &["chat.example", "MUC.chat.example", "more.example"]).unwrap();
    let dns = |name: &str| GeneralName::Dns(name.into());
    let srv = |name: &str| GeneralName::Srv(name.into());
    assert_eq!(
        fields.san,
        [
            dns("chat.example"),
            dns("muc.chat.example"),
            srv("_xmpp-server.chat.example"),
            srv("_xmpp-client.chat.example"),
            srv("_xmpp-server.muc.chat.example"),
            srv("_xmpp-client.muc.chat.example"),
        ]
    );
    assert_eq!(x509::name_text(&fields.subject), "CN=chat.example");
    assert_eq!(fields.key_usage, key_usage::DIGITAL_SIGNATURE | key_usage::KEY_ENCIPHERMENT);
    assert_eq!((fields.not_before, fields.not_after), (FROM, FROM + 90 * DAY - 1));
    assert_eq!(fields.eku, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    assert_eq!(fields.crl_urls, ["http://a.example/issuing.crl"]);
    assert_eq!(fields.issuer_urls, ["http://a.example/issuing.cer"]);
    assert_eq!(fields.signature, SignatureAlgorithm::EcdsaSha256);
    // The fields can be written, and mean the same to the reader.
    let bytes = tbs::certificate(&fields).unwrap();
    assert_eq!(x509::read_tbs_certificate(&bytes).unwrap(), fields);
    // OpenSSL finds the whole chain good.
    let dir = tempfile::tempdir().unwrap();
    for (file, der) in
        [("root", &world.root_der), ("mid", &world.issuing_der), ("leaf", &signed(&fields, &world.issuing_key))]
    {
        std::fs::write(dir.path().join(format!("{file}.der")), der).unwrap();
        openssl(dir.path(), &format!("x509 -inform DER -in {file}.der -out {file}.pem"));
    }
    let verify = format!("verify -x509_strict -attime {} -CAfile root.pem -untrusted mid.pem leaf.pem", FROM + 1);
    let (good, said) = openssl(dir.path(), &verify);
    assert!(good, "{said}");
}

#[test]
fn the_profile_decides_about_xmpp_addr_and_long_names() {
    let world = World::new();
    let key = Key::p256();
    let with = with(&profile(Base::XmppServer, None), NameForm::XmppAddr, Rule::Taken);
    let asked = request(&key, &[dns("a.example"), xmpp_addr("A.example")]);
    let fields = world.judge_by(&with, &asked, &["a.example"]).unwrap();
    assert_eq!(fields.san.last(), Some(&GeneralName::XmppAddr("a.example".into())));
    assert_eq!(fields.key_usage, key_usage::DIGITAL_SIGNATURE);
    for (addr, check) in [
        ("b.example", Check::NamesValidated),
        ("me@a.example", Check::NameForm),
        ("m\u{fc}ller.example", Check::NamesValidated),
        ("\u{265a}.example", Check::NameForm),
    ] {
        let asked = request(&key, &[dns("a.example"), xmpp_addr(addr)]);
        assert_eq!(world.judge_by(&with, &asked, &["a.example", "b.example"]).unwrap_err().check, check);
        // Turned off, it is left out unjudged.
        assert!(world.judge(&asked, &["a.example"]).is_ok());
    }
    // No room for the name in commonName: an empty subject and a critical subjectAltName.
    let long = format!("{}.{}.example", "a".repeat(40), "b".repeat(40));
    let fields = world.judge(&request(&key, &[dns(&long)]), &[&long]).unwrap();
    assert_eq!(fields.subject.as_slice(), [0x30, 0]);
    assert!(fields.critical.contains(&"2.5.29.17".to_owned()));
    let bytes = tbs::certificate(&fields).unwrap();
    assert_eq!(x509::read_tbs_certificate(&bytes).unwrap(), fields);
}

#[test]
fn names_are_refused_by_their_defect() {
    let world = World::new();
    let key = Key::p256();
    let check = |names: &[Vec<u8>], validated: &[&str]| world.refused(&request(&key, names), validated);
    assert_eq!(check(&[dns("other.example")], &["a.example"]), Check::NamesValidated);
    assert_eq!(check(&[dns("a.example"), srv("_xmpp-server.b.example")], &["a.example"]), Check::NamesValidated);
    assert_eq!(check(&[dns("sub.a.example")], &["a.example", "*.a.example"]), Check::NamesValidated);
    assert_eq!(check(&[dns("*.a.example")], &["a.example"]), Check::NamesValidated);
    for bad in [
        dns("f*.a.example"),
        dns("a.*.example"),
        dns("192.0.2.1"),
        dns("a_b.example"),
        srv("_sip.a.example"),
        srv("_xmpp-server.*.a.example"),
        tlv(0x87, &[192, 0, 2, 1]),
        tlv(0x81, b"me@a.example"),
        tlv(0x86, b"xmpp:a.example"),
        tlv(0x88, b"\x2a\x03"),
    ] {
        assert_eq!(check(&[dns("a.example"), bad], &["a.example"]), Check::NameForm);
    }
    assert_eq!(check(&[xmpp_addr("a.example")], &["a.example"]), Check::NamesRequested);
    let many: Vec<_> = (0..=MAX_NAMES).map(|i| dns(&format!("n{i}.example"))).collect();
    assert_eq!(check(&many, &[]), Check::NamesRequested);

    // A wildcard that was validated as such: a dNSName, but no SRVName.
    let fields = world.judge(&request(&key, &[dns("*.a.example")]), &["*.a.example"]).unwrap();
    assert_eq!(fields.san, [GeneralName::Dns("*.a.example".into())]);
    // Without a subjectAltName the one commonName counts; a U-label is refused with a sentence that tells what to write.
    let plain = |subject: Vec<u8>| Csr { subject, attributes: vec![], ..Csr::new(&key, &[]) }.sign(&key);
    assert!(world.judge(&plain(cn("a.example")), &["a.example"]).is_ok());
    assert_eq!(world.refused(&plain(b"\x30\x00".to_vec()), &["a.example"]), Check::NamesRequested);
    let idn = world.judge(&plain(cn("m\u{fc}ller.example\u{1b}")), &[]).unwrap_err();
    assert_eq!(idn.check, Check::NameForm);
    assert!(
        idn.reason.contains("`m\\u{fc}ller.example\\u{1b}` is not ASCII; ") && idn.reason.contains("xn--"),
        "{idn}"
    );
}

#[test]
fn keys_and_signatures_are_refused_by_their_defect() {
    let world = World::new();
    let key = Key::p256();
    let good = || Csr::new(&key, &[dns("a.example")]);
    let mut trailing = good().sign(&key);
    trailing.push(0);
    assert_eq!(world.refused(&trailing, &["a.example"]), Check::RequestEncoding);
    assert_eq!(world.refused(b"", &[]), Check::RequestEncoding);
    let stolen = Csr { spki: Key::p256().spki(), ..good() }.sign(&key);
    assert_eq!(world.refused(&stolen, &["a.example"]), Check::ProofOfPossession);
    let mut off_curve = key.spki();
    *off_curve.last_mut().unwrap() ^= 1;
    assert_eq!(world.refused(&Csr { spki: off_curve, ..good() }.sign(&key), &[]), Check::KeyEncoding);
    let edwards = Key::ed25519();
    assert_eq!(world.refused(&request(&edwards, &[dns("a.example")]), &["a.example"]), Check::KeyType);
    let dsa = seq(&[tlv(0x30, b"\x06\x07\x2a\x86\x48\xce\x38\x04\x01"), tlv(0x03, b"\0\x02\x01\x05")]);
    assert_eq!(world.refused(&Csr { spki: dsa, ..good() }.sign(&key), &[]), Check::KeyType);

    let dir = tempfile::tempdir().unwrap();
    let make = |arguments: &str| {
        let common = "-nodes -keyout k.pem -subj /CN=a.example -outform DER -out r.der";
        let (done, said) = openssl(dir.path(), &format!("req -new {arguments} {common}"));
        assert!(done, "{said}");
        std::fs::read(dir.path().join("r.der")).unwrap()
    };
    assert_eq!(world.refused(&make("-newkey rsa:1024 -sha256"), &["a.example"]), Check::KeySize);
    for weak in ["-newkey rsa:2048 -sha1", "-newkey rsa:2048 -md5", "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha1"]
    {
        assert_eq!(world.refused(&make(weak), &["a.example"]), Check::SignatureAlgorithm, "{weak}");
    }
    // GOST R 34.10-2012, as its requests name it.
    let gost = tlv(0x30, b"\x06\x08\x2a\x85\x03\x07\x01\x01\x01\x01");
    let gost = seq(&[gost, tlv(0x03, &[&[0], tlv(0x04, &[7; 64]).as_slice()].concat())]);
    assert_eq!(world.refused(&Csr { spki: gost, ..good() }.sign(&key), &[]), Check::KeyType);
    let version = Csr { version: b"\x02\x01\x62".to_vec(), ..good() };
    assert_eq!(world.refused(&version.sign(&key), &[]), Check::RequestEncoding);
    // A request to be a CA is refused, whichever way it is put.
    let ca = extension(b"\x55\x1d\x13", b"\x30\x03\x01\x01\xff");
    let usage = extension(b"\x55\x1d\x0f", b"\x03\x02\x01\x06");
    for asked in [ca, usage] {
        let asking = Csr { attributes: vec![extension_request(&[asked, san(&[dns("a.example")])])], ..good() };
        assert_eq!(world.refused(&asking.sign(&key), &["a.example"]), Check::CaRequested);
    }
    assert_eq!(
        world.refused(&make("-newkey rsa:2048 -pkeyopt rsa_keygen_pubexp:3 -sha256"), &["a.example"]),
        Check::KeyQuality
    );
    // The curve of the key, not of the digest, goes into the certificate.
    let crossed = make("-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha384");
    let fields = world.judge(&crossed, &["a.example"]).unwrap();
    assert_eq!(x509::PublicKey::from_spki(&fields.spki).unwrap().kind(), x509::KeyKind::EcdsaP256);
}
