//! The names of `xmpp-client`, `tls-client` and `cabf-tls-dv`, and international names of servers.

use super::*;

fn mail(text: &str) -> Vec<u8> {
    tlv(0x81, text.as_bytes())
}

fn utf8_mailbox(text: &str) -> Vec<u8> {
    let oid = tlv(0x06, b"\x2b\x06\x01\x05\x05\x07\x08\x09");
    tlv(0xa0, &[oid, tlv(0xa0, &tlv(0x0c, text.as_bytes()))].concat())
}

fn uri(text: &str) -> Vec<u8> {
    tlv(0x86, text.as_bytes())
}

/// What is written reads the same, and is verified.
fn verified(world: &World, fields: &CertFields) {
    let bytes = tbs::certificate(fields).unwrap();
    assert_eq!(x509::read_tbs_certificate(&bytes).unwrap(), *fields);
    let der = signed(fields, &world.issuing_key);
    assert_eq!(x509::verify_leaf(&der, &world.issuing_der, FROM).unwrap(), *fields);
}

#[test]
fn xmpp_clients_are_known_by_bare_jids() {
    let world = World::new();
    let (client, key) = (profile(Base::XmppClient, None), Key::p256());
    let asked = request(&key, &[xmpp_addr("Juliet@M\u{fc}ller.example"), xmpp_addr("juliet@xn--mller-kva.example")]);
    let validated = ["xmpp:juliet@xn--mller-kva.example"];
    let fields = world.judge_by(&client, &asked, &validated).unwrap();
    assert_eq!(fields.san, [GeneralName::XmppAddr("juliet@m\u{fc}ller.example".into())]);
    assert_eq!((fields.subject.as_slice(), fields.eku.as_slice()), (&[0x30, 0][..], &["1.3.6.1.5.5.7.3.2".into()][..]));
    assert_eq!(x509::holder_names(&fields.subject, &fields.san), validated);
    assert_eq!(
        x509::general_name_text(&fields.san[0]),
        "XMPP juliet@xn--mller-kva.example\\{xn--mller-kva is m\\u{fc}ller in Latin}"
    );
    verified(&world, &fields);
    let named = Profile { common_name: true, ..client.clone() };
    let fields = world.judge_by(&named, &asked, &validated).unwrap();
    assert_eq!(x509::name_text(&fields.subject), "CN=juliet@m\\u{fc}ller.example");

    let check = |names: &[Vec<u8>]| world.judge_by(&client, &request(&key, names), &validated).unwrap_err().check;
    assert_eq!(check(&[xmpp_addr("romeo@xn--mller-kva.example")]), Check::NamesValidated);
    assert_eq!(check(&[xmpp_addr("juliet@m\u{fc}ller.example/balcony")]), Check::NameForm);
    assert_eq!(check(&[xmpp_addr("m\u{fc}ller.example")]), Check::NameForm);
    assert_eq!(check(&[xmpp_addr("jul iet@m\u{fc}ller.example")]), Check::NameForm);
    assert_eq!(check(&[xmpp_addr("juliet@m\u{fc}ller.example"), dns("a.example")]), Check::NameForm);
    // A commonName is no JID.
    let bare = Csr { subject: cn("juliet@xn--mller-kva.example"), attributes: vec![], ..Csr::new(&key, &[]) };
    assert_eq!(world.judge_by(&client, &bare.sign(&key), &validated).unwrap_err().check, Check::NamesRequested);
}

#[test]
fn tls_clients_are_known_by_mailboxes_domains_uris_and_an_id() {
    let world = World::new();
    let (client, key) = (profile(Base::TlsClient, None), Key::p256());
    let names = [
        mail("Juliet@A.example"),
        utf8_mailbox("j\u{fc}l@m\u{fc}ller.example"),
        dns("Laptop.a.example"),
        uri("spiffe://a.example/printer"),
        uri("urn:dev:mac:0024befffe804ff1"),
    ];
    let validated = [
        "mailto:Juliet@a.example",
        "mailto:j\u{fc}l@xn--mller-kva.example",
        "laptop.a.example",
        "spiffe://a.example/printer",
        "urn:dev:mac:0024befffe804ff1",
        "badge-7",
    ];
    let csr = Csr { subject: cn("badge-7"), ..Csr::new(&key, &names) }.sign(&key);
    let fields = world.judge_by(&client, &csr, &validated).unwrap();
    assert_eq!(
        fields.san,
        [
            GeneralName::Email("Juliet@a.example".into()),
            GeneralName::Utf8Mailbox("j\u{fc}l@xn--mller-kva.example".into()),
            GeneralName::Dns("laptop.a.example".into()),
            GeneralName::Uri("spiffe://a.example/printer".into()),
            GeneralName::Uri("urn:dev:mac:0024befffe804ff1".into()),
        ]
    );
    assert_eq!(x509::name_text(&fields.subject), "CN=badge-7");
    verified(&world, &fields);
    // A commonName that nobody vouches for is left out beside other names, and refused alone.
    let named = |name: &str, names: &[Vec<u8>]| {
        let attributes = if names.is_empty() { vec![] } else { Csr::new(&key, names).attributes };
        let csr = Csr { subject: cn(name), attributes, ..Csr::new(&key, &[]) }.sign(&key);
        world.judge_by(&client, &csr, &validated)
    };
    assert_eq!(named("Juliet", &names[..1]).unwrap().subject.as_slice(), [0x30, 0]);
    assert_eq!(named("Juliet", &[]).unwrap_err().check, Check::NamesValidated);
    assert!(named("badge-7", &[]).unwrap().san.is_empty());
    for (name, wanted) in [
        (mail("juliet@a.example"), Check::NamesValidated),
        (mail("juliet"), Check::NameForm),
        (mail("@a.example"), Check::NameForm),
        (utf8_mailbox("Juliet@a.example"), Check::NameForm),
        (utf8_mailbox("u\u{308}@a.example"), Check::NameForm),
        (dns("*.a.example"), Check::NameForm),
        (uri("spiffe://b.example/printer"), Check::NamesValidated),
        (uri("spiffe://A.example/printer"), Check::NameForm),
        (uri("http://user@a.example/"), Check::NameForm),
        (uri("http://a.example/?q"), Check::NameForm),
        (xmpp_addr("juliet@a.example"), Check::NameForm),
        (tlv(0x87, &[192, 0, 2, 1]), Check::NameForm),
    ] {
        assert_eq!(named("x", &[name]).unwrap_err().check, wanted);
    }
    let needs = with(&client, NameForm::Mail, Rule::Needed);
    let csr = request(&key, &names[2..]);
    assert_eq!(world.judge_by(&needs, &csr, &validated).unwrap_err().check, Check::NamesRequested);
    assert!(world.judge_by(&needs, &request(&key, &names), &validated).is_ok());
}

#[test]
fn a_desk_with_suffixes_asks_for_those_at_its_domains() {
    let world = World::new();
    let (client, issuer, key) = (profile(Base::XmppClient, None), world.issuer(), Key::p256());
    let context = LeafContext { profile: &client, issuer: &issuer, sign_from: FROM };
    let suffixes = ["mine.example".to_owned()];
    for (jid, wanted) in [
        ("juliet@mine.example", Ok(())),
        ("juliet@a.mine.example", Ok(())),
        ("juliet@notmine.example", Err(Check::DeskNames)),
        ("mine.example@bank.example", Err(Check::DeskNames)),
    ] {
        let csr = request(&key, &[xmpp_addr(jid)]);
        let validated = [format!("xmpp:{jid}")];
        let row = RequestRow { suffixes: &suffixes, ..row("r-1", &csr, &validated) };
        let judged = judge_request(&context, &row, serial(9), &mut Seen::new(&world.ledger, []));
        assert_eq!(judged.map(|_| ()).map_err(|refused| refused.check), wanted, "{jid}");
    }
}

#[test]
fn the_domain_of_an_xmpp_server_is_one_name_in_each_form() {
    let world = World::new();
    let (server, key) = (with(&profile(Base::XmppServer, None), NameForm::XmppAddr, Rule::Needed), Key::p256());
    let asked = request(&key, &[dns("XN--mller-kva.example"), xmpp_addr("M\u{fc}ller.example")]);
    let fields = world.judge_by(&server, &asked, &["xn--mller-kva.example"]).unwrap();
    assert_eq!(fields.san.first(), Some(&GeneralName::Dns("xn--mller-kva.example".into())));
    assert_eq!(fields.san.last(), Some(&GeneralName::XmppAddr("m\u{fc}ller.example".into())));
    let asked = request(&key, &[dns("xn--mller-kva.example")]);
    let refused = world.judge_by(&server, &asked, &["xn--mller-kva.example"]).unwrap_err();
    assert_eq!(refused.check, Check::NamesRequested);
    assert!(refused.reason.contains("`xmpp-addr`"), "{}", refused.reason);
    // No A-label, and one that stands for a symbol.
    for bad in ["xn--99999999.example", "xn--45h.example"] {
        assert_eq!(world.refused(&request(&key, &[dns(bad)]), &[bad]), Check::NameForm, "{bad}");
    }
}

#[test]
fn a_profile_of_the_browser_forum_has_its_own_form() {
    let world = World::new();
    let (built, key) = (Profile::builtin(Base::CabfTlsDv), Key::rsa_2048());
    assert_eq!(
        (built.validity, &built.policies[..]),
        (Validity::days(47), &[Policy { oid: "2.23.140.1.2.1".into(), cps: None }][..])
    );
    // This world's CAs certify under another policy.
    let cabf = Profile { policies: vec![Policy { oid: "2.999.1".into(), cps: None }], ..built };
    let fields = world.judge_by(&cabf, &request(&key, &[dns("www.a.example")]), &["www.a.example"]).unwrap();
    assert_eq!((fields.ski.clone(), fields.key_usage), (None, key_usage::DIGITAL_SIGNATURE));
    assert_eq!((fields.eku.as_slice(), fields.subject.as_slice()), (&["1.3.6.1.5.5.7.3.1".into()][..], &[0x30, 0][..]));
    verified(&world, &fields);
}
