//! Ceremonies beyond the first one: other algorithms, a second intermediate, a CRL of its own.

mod harness;

use coldroot::audit::entry::Body;
use harness::openssl::{openssl, openssl_accepts, text};
use harness::station::{CEREMONY, HIERARCHY, Station};

/// Carries the next plan of a ceremony out and gives its release's directory.
fn carry_out(station: &Station, ceremony: &str) -> String {
    let plan = station.planned_ceremony_of(ceremony);
    let signed = station.sign(&plan, &station.approve(&plan)).ok();
    signed["directory"].as_str().unwrap().to_owned()
}

fn batch(station: &Station, sequence: u64) -> String {
    let plan = station.planned(&station.bundle(3, sequence));
    let signed = station.sign(&plan, &station.approve(&plan)).ok();
    signed["directory"].as_str().unwrap().to_owned()
}

#[test]
fn rsa_keys_sign_roots_intermediates_and_leaves() {
    let hierarchy = HIERARCHY
        .replace("algorithm = \"ecdsa-p384\"", "algorithm = \"rsa-4096\"")
        .replace("algorithm = \"ecdsa-p256\"", "algorithm = \"rsa-3072\"");
    let station = Station::bare_of(hierarchy);
    station.init().ok();
    for _ in ["keys", "certificates"] {
        let plan = station.planned_ceremony();
        station.sign(&plan, &station.approve(&plan)).ok();
    }
    openssl_accepts(&station, &batch(&station, 1));
    station.check_log();
}

/// A request by the `openssl` program, with a key of this kind, and its row of the desk's table.
fn request(station: &Station, key: &str) -> std::path::PathBuf {
    let row = harness::station::Row { request: "r-1".into(), names: vec!["a.example.org".into()], csr: Vec::new() };
    let dir = station.requests("requests", &[row]);
    let (csr, private) = (dir.join("r-1.der"), station.desk("private.pem"));
    let mut args = vec!["req", "-new", "-nodes", "-outform", "DER", "-subj", "/CN=a.example.org"];
    args.extend(["-addext", "subjectAltName=DNS:a.example.org", "-keyout", text(&private), "-out", text(&csr)]);
    args.extend(["-newkey"].into_iter().chain(key.split(' ')));
    assert!(openssl(&args).contains("status: 0"));
    dir
}

#[test]
fn ed25519_and_p521_keys_sign_roots_intermediates_leaves_and_crls() {
    for (kind, newkey) in [("ed25519", "ed25519"), ("ecdsa-p521", "ec -pkeyopt ec_paramgen_curve:P-521")] {
        let algorithm = format!("algorithm = \"{kind}\"");
        let hierarchy = HIERARCHY
            .replace("algorithm = \"ecdsa-p384\"", &algorithm)
            .replace("algorithm = \"ecdsa-p256\"", &algorithm)
            .replace("days = 90", &format!("days = 90\nkeys = [\"{kind}\"]"));
        let station = Station::bare_of(hierarchy);
        station.init().ok();
        for _ in ["keys", "certificates"] {
            let plan = station.planned_ceremony();
            station.sign(&plan, &station.approve(&plan)).ok();
        }
        let plan = station.planned(&station.pack(&request(&station, newkey), 1));
        let signed = station.sign(&plan, &station.approve(&plan)).ok();
        openssl_accepts(&station, signed["directory"].as_str().unwrap());
        let leaf = station.path("www/certs/r-1.pem");
        let said = openssl(&["x509", "-in", text(&leaf), "-noout", "-ext", "keyUsage"]);
        assert!(said.contains("Digital Signature\n"), "nothing but signatures: {said}");
        station.check_log();
        // Other kinds of key are refused, by the profile's own list.
        let refused = station.plan(&station.bundle(2, 2)).ok();
        assert_eq!(refused["refused"], 2, "{refused}");
    }
}

const SECOND: &str = r#"format = "coldroot-ceremony-v0"
title = "A second intermediate and a new root CRL"

[[act]]
kind = "generate-key"
key = "more-key"

[[act]]
kind = "intermediate"
ca = "xmpp-2"

[[act]]
kind = "crl"
ca = "root"
"#;

#[test]
fn a_second_intermediate_joins_an_existing_root() {
    let more = r#"[[key]]
id = "more-key"
token = "main"
label = "xmpp-2"
algorithm = "ecdsa-p384"
backup = "none"

[[ca]]
id = "xmpp-2"
key = "more-key"
issuer = "root"
profile = "intermediate"
subject = [{ O = "REHEARSAL" }, { CN = "Road XMPP 2" }]
days = 3000
crl-days = 10
crl-urls = ["http://ca.example.org/xmpp-2.crl"]

[[desk]]
"#;
    let station = Station::bare_of(HIERARCHY.replacen("[[desk]]\n", more, 1));
    station.init().ok();
    for _ in ["keys", "certificates"] {
        let plan = station.planned_ceremony();
        station.sign(&plan, &station.approve(&plan)).ok();
    }
    carry_out(&station, SECOND);
    let release = carry_out(&station, SECOND);
    let shown = station.run(&["show", &release]).ok();
    assert_eq!(shown["items"], 2, "the intermediate and the root's second CRL: {shown}");
    // Nothing of it is done twice.
    let again = station.run(&["plan", "--ceremony", "ceremony.toml"]);
    again.fails(1, "has its certificate already");
    openssl_accepts(&station, &batch(&station, 1));
    let crl = station.path("www/crls/root.crl");
    let said = openssl(&["crl", "-inform", "DER", "-in", text(&crl), "-noout", "-crlnumber"]);
    assert!(said.contains("0x02"), "{said}");
    station.check_log();
}

/// A certificate that an entry of the log has no room for is refused by the dry run, before any key is made.
#[test]
fn a_certificate_too_long_for_the_log_is_refused_when_keys_are_planned() {
    let urls: Vec<String> = (0..26).map(|n| format!("\"http://ca.example.org/{}/{n}.crl\"", "x".repeat(470))).collect();
    let long = format!("crl-urls = [{}]", urls.join(", "));
    let station = Station::bare_of(HIERARCHY.replace("crl-urls = [\"http://ca.example.org/root.crl\"]", &long));
    station.init().ok();
    std::fs::write(station.path("ceremony.toml"), CEREMONY).unwrap();
    let (_, files) = station.state();
    station.run(&["plan", "--ceremony", "ceremony.toml"]).fails(1, "octets before its signature, more than 12288");
    assert_eq!(station.state().1, files, "a plan or an artefact was left behind");
    assert!(!station.bodies().iter().any(|body| matches!(body, Body::Planned { .. } | Body::KeyGenerated(_))));
}
