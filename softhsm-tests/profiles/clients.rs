//! The profiles of clients.

use super::harness::files;
use super::{Ask, ED25519, P256, RSA_2048, bundle, openssl, refusals, station, text};

#[test]
fn clients_get_what_their_profiles_say_and_nothing_else_is_signed() {
    let station = station();
    let ask = |id, profile, names, told| Ask(id, profile, "a@example.org", names, told);
    let juliet: &[&str] =
        &["-subj", "/CN=Juliet", "-addext", "subjectAltName=otherName:1.3.6.1.5.5.7.8.5;UTF8:juliet@example.org"];
    let romeo: &[&str] =
        &["-subj", "/CN=Romeo", "-addext", "subjectAltName=otherName:1.3.6.1.5.5.7.8.5;UTF8:romeo@example.org"];
    let resource: &[&str] = &[
        "-subj",
        "/CN=Juliet",
        "-addext",
        "subjectAltName=otherName:1.3.6.1.5.5.7.8.5;UTF8:juliet@example.org/balcony",
    ];
    let several: &[&str] = &[
        "-subj",
        "/O=Bank/CN=svc-1",
        "-addext",
        "subjectAltName=email:ops@example.org,DNS:svc.example.org,URI:urn:example:1",
        "-addext",
        "extendedKeyUsage=serverAuth",
    ];
    let asks: &[(Ask, &[&str])] = &[
        (ask("juliet", "people", "xmpp:juliet@example.org", juliet), P256),
        (ask("ops", "mail", "mailto:ops@example.org svc.example.org urn:example:1 svc-1", several), RSA_2048),
        // Not the JID that was validated; with a resource; without one; a host's name in its place.
        (ask("romeo", "people", "xmpp:juliet@example.org", romeo), P256),
        (ask("balcony", "people", "xmpp:juliet@example.org", resource), P256),
        (ask("nobody", "people", "xmpp:nurse@example.org", &["-subj", "/CN=nurse"]), P256),
        (
            ask("host", "people", "h.example.org", &["-subj", "/CN=x", "-addext", "subjectAltName=DNS:h.example.org"]),
            P256,
        ),
        (
            ask("wild", "mail", "*.example.org", &["-subj", "/CN=x", "-addext", "subjectAltName=DNS:*.example.org"]),
            P256,
        ),
        (ask("ip", "mail", "192.0.2.1", &["-subj", "/CN=x", "-addext", "subjectAltName=IP:192.0.2.1"]), P256),
        (
            ask(
                "box",
                "mail",
                "mailto:a@example.org",
                &["-subj", "/CN=x", "-addext", "subjectAltName=email:b@example.org"],
            ),
            P256,
        ),
        (
            ask(
                "curve",
                "mail",
                "mailto:c@example.org",
                &["-subj", "/CN=x", "-addext", "subjectAltName=email:c@example.org"],
            ),
            ED25519,
        ),
    ];
    let plan = station.planned(&bundle(&station, 1, asks));
    let shown = station.run(&["show", text(&plan)]).ok();
    assert_eq!(
        refusals(&shown),
        [
            ("romeo", "names-validated"),
            ("balcony", "name-form"),
            ("nobody", "names-requested"),
            ("host", "name-form"),
            ("wild", "name-form"),
            ("ip", "name-form"),
            ("box", "names-validated"),
            ("curve", "key-type"),
        ]
    );
    let signed = station.sign(&plan, &station.approve(&plan)).ok();
    let (key, release) = (station.verifier_key(), signed["directory"].as_str().unwrap());
    station.run(&["unpack", release, "--to", "www", "--verifier-key", &key]).ok();
    let leaf = |id: &str| station.path(&format!("www/certs/{id}.pem"));
    assert_eq!(files(&station.path("www/certs")), [leaf("juliet"), leaf("ops")], "and nothing for those refused");
    let [root, middle] = ["root", "intermediates"].map(|name| station.path(&format!("www/{name}.pem")));
    for (id, wanted) in [
        ("juliet", &["Subject: \n", "othername: XmppAddr::juliet@example.org"][..]),
        ("ops", &["Subject: CN = svc-1\n", "email:ops@example.org", "DNS:svc.example.org", "URI:urn:example:1"]),
    ] {
        let verify = |purpose| {
            let args =
                ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", text(&root), "-untrusted", text(&middle)];
            openssl(&[&args[..], &[text(&leaf(id))]].concat())
        };
        assert!(verify("sslclient").contains(": OK"), "{id}: {}", verify("sslclient"));
        assert!(verify("sslserver").contains("unsuitable certificate purpose"), "{id}: {}", verify("sslserver"));
        let shown = openssl(&["x509", "-in", text(&leaf(id)), "-noout", "-text"]);
        for part in wanted.iter().chain(&["CA:FALSE", "TLS Web Client Authentication"]) {
            assert!(shown.contains(part), "{id}: `{part}` is not in\n{shown}");
        }
        for foreign in ["Bank", "Juliet", "TLS Web Server", "Key Encipherment"] {
            assert!(!shown.contains(foreign), "{id}: {foreign} got in\n{shown}");
        }
    }
    station.check_log();
}
