//! Certificates for keys that are no CA's and no requester's: the audit key's, and those of CRL signers.

use std::fs;

use coldroot::audit::note::VerifierKey;
use coldroot::x509;

use crate::foreign::{ceremony, openssl, refuses};
use crate::harness::station::{HIERARCHY, Station};

const DECLARED: &str = r#"[[key]]
id = "crl-key"
token = "main"
label = "crl"
algorithm = "ecdsa-p256"
backup = "none"

[[profile]]
id = "audit-signer"
base = "audit-signer"
issuer = "root"

[[profile]]
id = "crl-signer"
base = "crl-signer"
issuer = "xmpp-1"
days = 200

[[profile]]
id = "xmpp-server""#;

fn hierarchy() -> String {
    HIERARCHY.replacen("[[profile]]\nid = \"xmpp-server\"", DECLARED, 1)
}

fn act(id: &str, profile: &str, name: &str, more: &str) -> String {
    format!(
        "kind = \"signer\"\nid = \"{id}\"\nprofile = \"{profile}\"\nsubject = [{{ O = \"REHEARSAL\" }}, {{ CN = \"{name}\" }}]\n{more}"
    )
}

fn audit() -> String {
    act("log", "audit-signer", "Road Log", "")
}

/// The newest certificate on record of this signer.
fn certified(station: &Station, id: &str) -> Vec<u8> {
    station.leaves().into_iter().rev().find(|(request, ..)| request == id).unwrap().2
}

#[test]
fn the_audit_keys_certificate_ties_the_log_to_the_root() {
    for algorithm in ["", "algorithm = \"ecdsa-p256\"\n"] {
        let text = hierarchy().replacen("key-label = \"audit\"\n", &format!("key-label = \"audit\"\n{algorithm}"), 1);
        let station = Station::ready_of(text);
        let plan = station.planned_ceremony_of(&ceremony(&audit()));
        let shown = station.run(&["show", plan.to_str().unwrap()]).ok();
        assert!(
            shown["statement"].as_str().unwrap().contains("act          signer root audit-signer count 1\n"),
            "{shown}"
        );
        let release = station.carried_out(&plan);
        let fields = x509::read_certificate(&certified(&station, "log")).unwrap();
        let key = station.verifier_key();
        assert_eq!(fields.spki.as_slice(), VerifierKey::parse(&key).unwrap().spki());
        assert_eq!((fields.key_usage, fields.ca, fields.eku.len(), fields.san.len()), (1, None, 0, 0));
        let root = x509::read_certificate(&crate::foreign::certified(&station, "root")).unwrap();
        assert_eq!((&fields.issuer, &fields.aki), (&root.subject, &root.ski));
        assert_eq!(x509::name_text(&fields.subject), "CN=Road Log,O=REHEARSAL");

        let to = station.desk("www");
        let args = ["unpack", release.to_str().unwrap(), "--to", to.to_str().unwrap(), "--verifier-key", &key];
        station.run(&args).ok();
        openssl(&to, "verify -x509_strict -CAfile root.pem certs/log.pem");
        // The key in it verifies the log's own checkpoint.
        openssl(&to, "x509 -in certs/log.pem -noout -pubkey -out log.pub");
        let note = fs::read_to_string(to.join("log/checkpoint")).unwrap();
        let (signed, signature) = note.split_once("\n\n").unwrap();
        let octets = data_encoding::BASE64.decode(signature.trim().rsplit(' ').next().unwrap().as_bytes()).unwrap();
        fs::write(to.join("note"), format!("{signed}\n")).unwrap();
        fs::write(to.join("note.sig"), &octets[4..]).unwrap();
        let verify =
            if algorithm.is_empty() { "pkeyutl -verify -rawin" } else { "pkeyutl -verify -rawin -digest sha256" };
        openssl(&to, &format!("{verify} -pubin -inkey log.pub -in note -sigfile note.sig"));
        station.check_log();
        // Its renewal, under its id, and the end of the one before.
        let serial = coldroot::text::hex(&fields.serial);
        station.carried_out(&station.planned_ceremony_of(&ceremony(&audit())));
        station.carried_out(&station.planned_by(&["--revoke", &serial, "--reason", "superseded"]));
        refuses(
            &station,
            &act("other", "audit-signer", "Road Log 2", ""),
            1,
            "signer `other`: the key of the signer is already `request log`'s",
        );
        station.check_log();
    }
}

#[test]
fn a_crl_signer_may_sign_crls_and_nothing_else() {
    let station = Station::ready_of(hierarchy());
    // A key of the token: made, then certified.
    let own = act("crl-own", "crl-signer", "Road CRL Signer", "key = \"crl-key\"");
    refuses(&station, &own, 1, "key `crl-key` is not made yet");
    let both = ceremony(&format!("kind = \"generate-key\"\nkey = \"crl-key\"\n\n[[act]]\n{own}"));
    for _ in ["key", "certificate"] {
        station.carried_out(&station.planned_ceremony_of(&both));
    }
    // One that brings a request.
    let config = "[req]\ndistinguished_name = n\nprompt = no\nstring_mask = utf8only\nreq_extensions = e\n[n]\nO = REHEARSAL\nCN = Partner CRLs\n[e]\n\
                  keyUsage = critical, cRLSign, keyCertSign\nbasicConstraints = critical, CA:TRUE\n";
    fs::write(station.path("req.cnf"), config).unwrap();
    let new = "req -new -nodes -config req.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout foreign.key";
    openssl(&station.dir(), &format!("{new} -out foreign.csr"));
    openssl(&station.dir(), "req -in foreign.csr -outform DER -out forged.csr");
    let mut forged = fs::read(station.path("forged.csr")).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    fs::write(station.path("forged.csr"), forged).unwrap();
    let foreign = |file: &str| act("crl-partner", "crl-signer", "Partner CRLs", &format!("request = \"{file}\""));
    refuses(&station, &foreign("forged.csr"), 1, "`proof-of-possession` failed");
    refuses(&station, &foreign("foreign.csr").replace("Partner CRLs", "Other CRLs"), 1, "`ca-request` failed");
    refuses(&station, &foreign("hierarchy.toml"), 1, "`request-encoding` failed");
    let release = station.carried_out(&station.planned_ceremony_of(&ceremony(&foreign("foreign.csr"))));

    let (to, key) = (station.desk("www"), station.verifier_key());
    station.run(&["unpack", release.to_str().unwrap(), "--to", to.to_str().unwrap(), "--verifier-key", &key]).ok();
    for id in ["crl-own", "crl-partner"] {
        let der = certified(&station, id);
        let fields = x509::read_certificate(&der).unwrap();
        assert_eq!((fields.key_usage, fields.ca, fields.eku.len()), (0x40, None, 0), "{id}");
        fs::write(to.join("signer.der"), &der).unwrap();
        openssl(&to, "x509 -inform DER -in signer.der -out signer.pem");
        openssl(&to, "verify -x509_strict -purpose crlsign -CAfile root.pem -untrusted intermediates.pem signer.pem");
    }
    // Who holds it signs no certificate.
    fs::copy(station.path("foreign.key"), to.join("foreign.key")).unwrap();
    openssl(
        &to,
        "req -x509 -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout k -CA signer.pem -CAkey foreign.key -days 9 -subj /CN=x -out x.pem",
    );
    let chain =
        ["verify", "-CAfile", "root.pem", "-untrusted", "intermediates.pem", "-untrusted", "signer.pem", "x.pem"];
    let run = crate::harness::station::Run::of(std::process::Command::new("openssl").args(chain).current_dir(&to));
    assert_ne!(run.code, 0, "a CRL signer passed for a CA: {run:?}");
    station.check_log();
}

#[test]
fn a_signer_that_says_too_little_or_too_much_is_no_act() {
    let station = Station::ready_of(hierarchy());
    let crl = |more: &str| act("crl", "crl-signer", "Road CRL Signer", more);
    for (act, field) in [
        (audit().replace("id = \"log\"\n", ""), "act[0].id"),
        (audit().replace("\"log\"", "\"root\""), "act[0].id"),
        (audit().replace("\"audit-signer\"", "\"xmpp-server\""), "act[0].profile"),
        (audit().replace("\"Road Log\"", "\"Road Root\""), "act[0].subject"),
        (audit().replace("{ O = \"REHEARSAL\" }, ", ""), "act[0].subject[0]"),
        (audit() + "key = \"crl-key\"\n", "act[0].key"),
        (audit() + "request = \"a.csr\"\n", "act[0].request"),
        (audit() + "ca = \"root\"\n", "act[0].ca"),
        (audit() + "days = 9\n", "act[0].days"),
        (crl(""), "act[0].key"),
        (crl("key = \"root-key\""), "act[0].key"),
        (crl("key = \"nobody\""), "act[0].key"),
        (crl("key = \"crl-key\"\nrequest = \"hierarchy.toml\""), "act[0].request"),
        ("kind = \"root\"\nca = \"root\"\nsubject = [{ CN = \"x\" }]".into(), "act[0].subject"),
    ] {
        refuses(&station, &act, 2, field);
    }
}
