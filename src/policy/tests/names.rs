//! The names of `tls-server` and `device`: which are certified, which refused, and whose they are.

use super::*;

fn ip(octets: &[u8]) -> Vec<u8> {
    tlv(0x87, octets)
}

fn uri(text: &str) -> Vec<u8> {
    tlv(0x86, text.as_bytes())
}

/// A Name of these attributes: the last arc below 2.5.4, and a UTF8String.
fn subject(attributes: &[(u8, &str)]) -> Vec<u8> {
    let rdn = |(arc, text): &(u8, &str)| tlv(0x31, &seq(&[tlv(0x06, &[0x55, 4, *arc]), tlv(0x0c, text.as_bytes())]));
    seq(&attributes.iter().map(rdn).collect::<Vec<_>>())
}

#[test]
fn tls_servers_get_names_and_addresses_and_nothing_of_xmpp() {
    let world = World::new();
    let tls = profile(Base::TlsServer, None);
    let with_ip = with(&tls, NameForm::Ip, Rule::Taken);
    let rsa = Key::rsa_2048();
    let v6 = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let asked = request(&rsa, &[ip(&v6), dns("WWW.a.example"), dns("*.a.example"), ip(&[192, 0, 2, 1]), ip(&v6)]);
    let names = ["www.a.example", "*.a.example", "192.0.2.1", "2001:0DB8:0:0::1"];
    let fields = world.judge_by(&with_ip, &asked, &names).unwrap();
    let octets = |octets: &[u8]| GeneralName::Ip(Bytes::from(octets));
    let dns_name = |name: &str| GeneralName::Dns(name.into());
    let (www, all) = (dns_name("www.a.example"), dns_name("*.a.example"));
    assert_eq!(fields.san, [www, all, octets(&v6), octets(&[192, 0, 2, 1])]);
    assert_eq!(fields.eku, ["1.3.6.1.5.5.7.3.1"]);
    assert_eq!(fields.key_usage, key_usage::DIGITAL_SIGNATURE | key_usage::KEY_ENCIPHERMENT);
    assert_eq!((x509::name_text(&fields.subject), fields.not_after), ("CN=www.a.example".into(), FROM + 90 * DAY - 1));
    let bytes = tbs::certificate(&fields).unwrap();
    assert_eq!(x509::read_tbs_certificate(&bytes).unwrap(), fields);
    let der = signed(&fields, &world.issuing_key);
    assert_eq!(x509::verify_leaf(&der, &world.issuing_der, FROM).unwrap(), fields);

    // The profile decides: no addresses by default, no wildcards, no commonName.
    let key = Key::p256();
    let check = |profile: &Profile, names: &[Vec<u8>], validated: &[&str]| {
        world.judge_by(profile, &request(&key, names), validated).unwrap_err().check
    };
    assert_eq!(check(&tls, &[dns("a.example"), ip(&[192, 0, 2, 1])], &["a.example", "192.0.2.1"]), Check::NameForm);
    let strict = Profile { common_name: false, ..with(&tls, NameForm::Wildcard, Rule::Refused) };
    assert_eq!(check(&strict, &[dns("*.a.example")], &["*.a.example"]), Check::NameForm);
    let bare = world.judge_by(&strict, &request(&key, &[dns("a.example")]), &["a.example"]).unwrap();
    assert_eq!((bare.subject.as_slice(), bare.critical.len()), (&[0x30, 0][..], 3));
    assert_eq!(bare.key_usage, key_usage::DIGITAL_SIGNATURE);
    // An address alone is never a commonName.
    let only = world.judge_by(&with_ip, &request(&key, &[ip(&[192, 0, 2, 1])]), &["192.0.2.1"]).unwrap();
    assert!(only.subject.as_slice() == [0x30, 0] && only.critical.contains(&"2.5.29.17".to_owned()));

    for bad in [srv("_xmpp-server.a.example"), xmpp_addr("a.example"), uri("urn:x-a:b"), tlv(0x81, b"me@a.example")] {
        assert_eq!(check(&with_ip, &[dns("a.example"), bad], &["a.example"]), Check::NameForm);
    }
    let mapped = [&[0; 10][..], &[0xff, 0xff, 192, 0, 2, 1]].concat();
    let [loopback, any, group, link] =
        ["::1", "::", "ff02::1", "fe80::1"].map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec());
    for bad in [
        &[192, 0, 2][..],
        &[],
        &[0; 4],
        &[127, 0, 0, 1],
        &[224, 0, 0, 1],
        &[255; 4],
        &[169, 254, 0, 1],
        &mapped,
        &loopback,
        &any,
        &group,
        &link,
    ] {
        assert_eq!(check(&with_ip, &[ip(bad)], &["127.0.0.1", "::1"]), Check::NameForm, "{bad:?}");
    }
    assert_eq!(check(&with_ip, &[ip(&[192, 0, 2, 2])], &["192.0.2.1", "*.a.example"]), Check::NamesValidated);
    // An address as a dNSName is no name.
    assert_eq!(check(&with_ip, &[dns("192.0.2.1")], &["192.0.2.1"]), Check::NameForm);
    assert_eq!(check(&with_ip, &[], &[]), Check::RequestEncoding);
    // Names that are each lawful can be too many octets together: the certificate must fit its log entry.
    let long: Vec<String> = (0..60).map(|i| format!("{}.{}.n{i}.example", "a".repeat(60), "b".repeat(60))).collect();
    let asked: Vec<Vec<u8>> = long.iter().map(|name| dns(name)).collect();
    let validated: Vec<&str> = long.iter().map(String::as_str).collect();
    assert_eq!(check(&with_ip, &asked, &validated), Check::NamesRequested);
}

#[test]
fn devices_are_known_by_one_validated_id() {
    let world = World::new();
    let device = Profile { keys: vec![KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa2048], ..profile(Base::Device, None) };
    let key = Key::ed25519();
    let ask = |name: Vec<u8>, names: &[Vec<u8>]| {
        let attributes = if names.is_empty() { vec![] } else { Csr::new(&key, names).attributes };
        Csr { subject: name, attributes, ..Csr::new(&key, &[]) }.sign(&key)
    };
    let judge = |csr: &[u8], validated: &[&str]| world.judge_by(&device, csr, validated);
    // The model is not copied, and neither is anything else of the subject.
    let named = subject(&[(10, "Acme"), (3, "Thermometer 3"), (5, "SN_4711:a.b")]);
    let fields = judge(&ask(named.clone(), &[]), &["SN_4711:a.b", "unused.example"]).unwrap();
    assert_eq!(x509::name_text(&fields.subject), "CN=SN_4711:a.b");
    assert_eq!((fields.san.as_slice(), fields.eku.as_slice()), (&[][..], &["1.3.6.1.5.5.7.3.2".to_owned()][..]));
    assert_eq!(fields.key_usage, key_usage::DIGITAL_SIGNATURE);
    assert_eq!(fields.critical, ["2.5.29.15", "2.5.29.19"]);
    let bytes = tbs::certificate(&fields).unwrap();
    assert_eq!(x509::read_tbs_certificate(&bytes).unwrap(), fields);
    let der = signed(&fields, &world.issuing_key);
    assert_eq!(x509::verify_leaf(&der, &world.issuing_der, FROM).unwrap(), fields);
    // With an RSA key too a client only signs.
    let rsa = Key::rsa_2048();
    let csr =
        Csr { subject: cn("d-1"), ..Csr::new(&rsa, &[dns("D-1.a.example"), uri("urn:dev:mac:0024befffe804ff1")]) };
    let fields = judge(&csr.sign(&rsa), &["d-1", "d-1.a.example", "urn:dev:mac:0024befffe804ff1"]).unwrap();
    assert_eq!(fields.key_usage, key_usage::DIGITAL_SIGNATURE);
    let (name, urn) = ("d-1.a.example".to_owned(), "urn:dev:mac:0024befffe804ff1".to_owned());
    assert_eq!(fields.san, [GeneralName::Dns(name), GeneralName::Uri(urn)]);

    let check = |name: Vec<u8>, names: &[Vec<u8>], validated: &[&str]| judge(&ask(name, names), validated).unwrap_err();
    let both = subject(&[(3, "d-1"), (5, "d-2")]);
    assert_eq!(check(both.clone(), &[], &["d-1", "d-2"]).check, Check::NamesRequested);
    assert!(judge(&ask(both, &[]), &["d-2"]).is_ok());
    assert_eq!(check(seq(&[]), &[], &["d-1"]).check, Check::NamesRequested);
    assert_eq!(check(subject(&[(10, "d-1")]), &[], &["d-1"]).check, Check::NamesRequested);
    // Another case is another text, and a longer one another id.
    for (asked, validated) in [("D-1", "d-1"), ("d-10", "d-1"), ("d-1", "d-10"), ("d-1 ", "d-1"), ("d-\u{430}", "d-a")]
    {
        assert_eq!(check(cn(asked), &[], &[validated]).check, Check::NamesValidated, "{asked}");
    }
    for bad in ["-d", ".d", "d/1", "d@1", "*", "d\u{e9}", &"d".repeat(65)] {
        assert_eq!(check(cn(bad), &[], &[bad]).check, Check::NameForm, "{bad}");
    }
    assert!(judge(&ask(cn(&"d".repeat(64)), &[]), &[&"d".repeat(64)]).is_ok());
    for (asked, validated, wanted) in [
        (dns("a.example"), "b.example", Check::NamesValidated),
        (uri("urn:dev:mac:AA"), "urn:dev:mac:aa", Check::NamesValidated),
        (dns("*.a.example"), "*.a.example", Check::NameForm),
        (uri("http://a.example/"), "http://a.example/", Check::NameForm),
        (ip(&[192, 0, 2, 1]), "192.0.2.1", Check::NameForm),
        (srv("_mqtt.a.example"), "a.example", Check::NameForm),
        (xmpp_addr("a.example"), "a.example", Check::NameForm),
        (tlv(0x81, b"d-1@a.example"), "d-1@a.example", Check::NameForm),
        (tlv(0x88, b"\x2a\x03"), "d-1", Check::NameForm),
    ] {
        assert_eq!(check(cn("d-1"), &[asked], &["d-1", validated]).check, wanted, "{validated}");
    }
}

#[test]
fn p06_an_id_brings_no_domain_name_past_the_desks_suffixes() {
    let world = World::new();
    let (device, issuer, key) = (profile(Base::Device, None), world.issuer(), Key::p256());
    let context = LeafContext { profile: &device, issuer: &issuer, sign_from: FROM };
    let suffixes = ["mine.example".to_owned()];
    let judge = |id: &str, names: &[Vec<u8>]| {
        let attributes = if names.is_empty() { vec![] } else { Csr::new(&key, names).attributes };
        let csr = Csr { subject: cn(id), attributes, ..Csr::new(&key, &[]) }.sign(&key);
        let validated = [id.to_owned(), "d-1.mine.example".to_owned()];
        let row = RequestRow { suffixes: &suffixes, ..row("r-1", &csr, &validated) };
        judge_request(&context, &row, serial(9), &mut Seen::new(&world.ledger, [])).map_err(|refused| refused.check)
    };
    assert!(judge("d-1", &[dns("d-1.mine.example")]).is_ok());
    assert!(judge("bank.example", &[]).is_ok(), "an id is no domain name");
    for id in ["bank.example", "BANK.example"] {
        assert_eq!(judge(id, &[dns("bank.example")]), Err(Check::DeskNames), "{id}");
    }
}

#[test]
fn an_id_belongs_to_its_holder_and_is_part_of_a_renewal() {
    let mut world = World::new();
    let device = profile(Base::Device, None);
    let key = Key::p256();
    let ask = |name: &str| Csr { subject: cn(name), attributes: vec![], ..Csr::new(&key, &[]) }.sign(&key);
    let first = world.judge_by(&device, &ask("d-1"), &["d-1"]).unwrap();
    let names = x509::fields::names_digest(&first.subject, &first.san);
    let digest = x509::PublicKey::from_spki(&key.spki()).unwrap().digest();
    let holder = KeyFacts { whose: "request old".into(), requester: Some(ASKER), names, compromised: false };
    world.ledger.keys.insert(digest, holder);
    assert!(world.judge_by(&device, &ask("d-1"), &["d-1"]).is_ok());
    // The same key under another id is no renewal, though neither certificate has an alternative name.
    assert_eq!(world.judge_by(&device, &ask("d-2"), &["d-2"]).unwrap_err().check, Check::DuplicateKey);
    world.ledger.keys.clear();
    world.ledger.names.insert("d-1".into(), Digest([8; 32]));
    // X.520 compares names without case: `D-1` would be the same device to who reads it.
    for id in ["d-1", "D-1"] {
        assert_eq!(world.judge_by(&device, &ask(id), &[id]).unwrap_err().check, Check::NameHolder);
    }
    // An id that reads as a domain name is that domain's holder's.
    world.ledger.names.insert("a.example".into(), Digest([8; 32]));
    assert_eq!(world.judge_by(&device, &ask("a.example"), &["a.example"]).unwrap_err().check, Check::NameHolder);
    let tls = with(&profile(Base::TlsServer, None), NameForm::Ip, Rule::Taken);
    world.ledger.names.insert("192.0.2.1".into(), Digest([8; 32]));
    let address = request(&key, &[ip(&[192, 0, 2, 1])]);
    assert_eq!(world.judge_by(&tls, &address, &["192.0.2.1"]).unwrap_err().check, Check::NameHolder);
}
