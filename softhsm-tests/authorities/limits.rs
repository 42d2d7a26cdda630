//! Constraints of CAs on whole stations: written as declared, kept to below, and understood by OpenSSL.

use std::fs;
use std::process::Command;

use coldroot::audit::entry::Body;
use coldroot::x509;

use crate::harness::refused_in;
use crate::harness::station::{CEREMONY, HIERARCHY, Run, Station, fresh};

const LIMITS: &str = r#"[ca.limits]
eku = ["server-auth", "client-auth"]
name-constraints = { permitted = [{ dns = "example.org" }, { directory = [{ O = "REHEARSAL" }] }], excluded = [{ dns = "secret.example.org" }, { ip = "0.0.0.0/0" }] }
require-explicit-policy = 0
inhibit-policy-mapping = 0
inhibit-any-policy = 0
"#;

/// The issuing CA with limits, and the policy that it wants; the root without an end, and with an RDN of two attributes.
fn limited() -> String {
    HIERARCHY
        .replace("\n[[profile]]\nid = \"root\"", &format!("\n{LIMITS}\n[[profile]]\nid = \"root\""))
        .replace(
            "path-len = 0",
            "path-len = 0\npolicies = [{ oid = \"2.999.1\", cps = \"http://ca.example.org/cps\" }]",
        )
        .replace("days = 90", "days = 90\ncommon-name = false\npolicies = [{ oid = \"2.999.1\" }]")
        .replace(
            "{ CN = \"Road Root\" }",
            "{ O = \"Road\" }, { O = \"Road\" }, { CN = \"Road Root\", serialNumber = \"1\" }",
        )
        .replace("days = 7300", "expires = \"never\"")
}

fn ca_certificate(station: &Station, ca: &str) -> Vec<u8> {
    let of_ca = |body| match body {
        Body::Certificate(c) if c.subject_ca.as_deref() == Some(ca) => Some(c.der.into_vec()),
        _ => None,
    };
    station.bodies().into_iter().find_map(of_ca).unwrap()
}

#[test]
fn what_a_ca_is_limited_to_is_written_kept_to_and_understood() {
    let station = Station::ready_of(limited());
    let root = x509::read_certificate(&ca_certificate(&station, "root")).unwrap();
    assert_eq!(coldroot::text::utc(root.not_after), "9999-12-31T23:59:59Z");
    assert_eq!(x509::name_text(&root.subject), "serialNumber=1+CN=Road Root,O=Road,O=Road,O=REHEARSAL");
    let der = ca_certificate(&station, "xmpp-1");
    let ca = x509::read_certificate(&der).unwrap();
    assert_eq!(ca.critical, ["2.5.29.15", "2.5.29.19", "2.5.29.30", "2.5.29.36", "2.5.29.54"]);
    fs::write(station.path("xmpp-1.der"), &der).unwrap();
    let shown = Run::of(
        Command::new(crate::harness::station::COLDROOT)
            .args(["--plain", "show", "xmpp-1.der"])
            .current_dir(station.dir()),
    );
    for line in [
        "permitted DNS example.org",
        "permitted directory O=REHEARSAL",
        "excluded DNS secret.example.org",
        "excluded IP 0.0.0.0/0",
        "an acceptable policy is wanted after 0 further certificates",
    ] {
        assert!(shown.out.contains(line), "{}", shown.out);
    }

    let rows = [
        fresh("inside", &["chat.example.org"]),
        fresh("outside", &["chat.example.net"]),
        fresh("excluded", &["a.secret.example.org"]),
        fresh("covering", &["*.example.org"]),
    ];
    let release = station.carried_out(&station.planned(&station.pack(&station.requests("names", &rows), 1)));
    let (to, key) = (station.desk("www"), station.verifier_key());
    station.run(&["unpack", release.to_str().unwrap(), "--to", to.to_str().unwrap(), "--verifier-key", &key]).ok();
    let by = "name-constraints";
    let wanted = ["outside", "excluded", "covering"].map(|request| (request.to_owned(), by.to_owned()));
    assert_eq!(refused_in(&to), wanted);
    let mut verify = Command::new("openssl");
    verify.current_dir(&to).args(["verify", "-x509_strict", "-policy", "2.999.1", "-explicit_policy"]);
    let judged = Run::of(verify.args(["-CAfile", "root.pem", "-untrusted", "intermediates.pem", "certs/inside.pem"]));
    assert_eq!(judged.code, 0, "{judged:?}");
    station.check_log();
}

/// Each is found in the dry run on throw-away keys: no key is made, and nothing is recorded or left.
#[test]
fn an_intermediate_outside_of_its_roots_limits_is_refused_before_a_key_is_made() {
    let root_limits = |limits: &str| {
        HIERARCHY.replacen(
            "\n[[ca]]\nid = \"xmpp-1\"",
            &format!("\n[ca.limits]\n{limits}\n\n[[ca]]\nid = \"xmpp-1\""),
            1,
        )
    };
    for (limits, saying) in [
        ("eku = [\"server-auth\"]", "`issuer-purposes` failed"),
        ("name-constraints = { permitted = [{ directory = [{ O = \"Elsewhere\" }] }] }", "`name-constraints` failed"),
        ("name-constraints = { excluded = [{ directory = [{ O = \"rehearsal\" }] }] }", "`name-constraints` failed"),
    ] {
        let bare = Station::bare_of(root_limits(limits));
        bare.init().ok();
        let before = bare.state();
        fs::write(bare.path("ceremony.toml"), CEREMONY).unwrap();
        bare.run(&["plan", "--ceremony", "ceremony.toml"]).fails(1, saying);
        assert!(bare.state() == before, "{limits} left something behind");
    }
}
