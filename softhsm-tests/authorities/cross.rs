//! Cross-certificates: all but what the issuer decides is that of the certificate which is crossed.

use std::fs;

use coldroot::x509;

use crate::foreign::{ceremony, certified, openssl, refuses};
use crate::harness::station::{HIERARCHY, Station};

const CONFIG: &str = r#"[req]
distinguished_name = name
prompt = no
string_mask = utf8only
x509_extensions = ca
[name]
O = Partner
OU = One
OU = Two
CN = Partner Root
[as_xmpp]
distinguished_name = as_xmpp_name
prompt = no
string_mask = utf8only
x509_extensions = ca
[as_xmpp_name]
O = REHEARSAL
CN = Road XMPP 1
[as_root]
distinguished_name = as_root_name
prompt = no
string_mask = utf8only
x509_extensions = ca
[as_root_name]
O = REHEARSAL
CN = Road Root
[leaf]
distinguished_name = name
prompt = no
x509_extensions = leaf_extensions
[leaf_extensions]
basicConstraints = critical, CA:FALSE
subjectKeyIdentifier = hash
[odd]
distinguished_name = name
prompt = no
x509_extensions = odd_extensions
[odd_extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
1.2.3.4 = ASN1:NULL
[ca]
basicConstraints = critical, CA:TRUE, pathlen:2
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
extendedKeyUsage = serverAuth, clientAuth
nameConstraints = critical, permitted;DNS:partner.example
"#;

fn act(certificate: &str, more: &str) -> String {
    let base = format!(
        "kind = \"cross-certificate\"\nid = \"partner-by-root\"\ncertificate = \"{certificate}\"\nprofile = \"intermediate\"\n{more}"
    );
    let default = |name: &str, value: &str| {
        if more.lines().any(|line| line.starts_with(&format!("{name} = "))) {
            String::new()
        } else {
            format!("\n{name} = {value}")
        }
    };
    base + &default("days", "365") + &default("ca", "\"root\"")
}

fn prepared() -> Station {
    let station = Station::ready_of(HIERARCHY.into());
    fs::write(station.path("c.cnf"), CONFIG).unwrap();
    let new = "req -x509 -new -nodes -config c.cnf -days 3650 -newkey ec -pkeyopt ec_paramgen_curve:P-384";
    for (name, section) in
        [("partner", "req"), ("as_xmpp", "as_xmpp"), ("as_root", "as_root"), ("leaf", "leaf"), ("odd", "odd")]
    {
        openssl(&station.dir(), &format!("{new} -section {section} -keyout {name}.key -out {name}.pem"));
    }
    // One that the partner's root has issued.
    openssl(
        &station.dir(),
        &format!("{new} -section as_xmpp -CA partner.pem -CAkey partner.key -keyout sub.key -out sub.pem"),
    );
    openssl(&station.dir(), "x509 -in partner.pem -outform DER -out partner.der");
    let mut forged = fs::read(station.path("partner.der")).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    fs::write(station.path("forged.der"), forged).unwrap();
    for ca in ["root", "xmpp-1"] {
        fs::write(station.path(&format!("{ca}.der")), certified(&station, ca)).unwrap();
    }
    station
}

#[test]
fn a_cross_certificate_takes_key_subject_identifier_and_constraints_over() {
    let station = prepared();
    let plan = station.planned_ceremony_of(&ceremony(&act("partner.pem", "eku = [\"server-auth\"]")));
    let shown = station.run(&["show", plan.to_str().unwrap()]).ok();
    let digest = coldroot::digest::Digest::of(&fs::read(station.path("partner.pem")).unwrap()).hex();
    let statement = shown["statement"].as_str().unwrap();
    assert!(
        statement.contains("cross-certificate root") && statement.contains(&format!("sha256-{digest}")),
        "{statement}"
    );
    station.run(&["check", plan.to_str().unwrap()]).ok();
    let release = station.carried_out(&plan);
    let artefact = station.path(&format!("audit/artefact/{}/{digest}", &digest[..2]));
    assert_eq!(fs::read(artefact).unwrap(), fs::read(station.path("partner.pem")).unwrap());

    let old = x509::read_certificate(&fs::read(station.path("partner.der")).unwrap()).unwrap();
    let root = x509::read_certificate(&certified(&station, "root")).unwrap();
    let der = certified(&station, "partner-by-root");
    let new = x509::read_certificate(&der).unwrap();
    assert_eq!((&new.subject, &new.spki, &new.ski, &new.ca), (&old.subject, &old.spki, &old.ski, &old.ca));
    assert_eq!((&new.constraints, new.key_usage, &new.policies), (&old.constraints, old.key_usage, &old.policies));
    assert_eq!(
        (&new.issuer, &new.aki, new.eku.as_slice()),
        (&root.subject, &root.ski, &["1.3.6.1.5.5.7.3.1".to_owned()][..])
    );
    assert_eq!(new.crl_urls, ["http://ca.example.org/root.crl"]);

    // What the partner's root issues is good under ours.
    let (to, key) = (station.desk("www"), station.verifier_key());
    station.run(&["unpack", release.to_str().unwrap(), "--to", to.to_str().unwrap(), "--verifier-key", &key]).ok();
    assert!(
        fs::read_to_string(to.join("intermediates.pem")).unwrap().matches("BEGIN").count() == 2,
        "the cross-certificate leaves"
    );
    for file in ["partner.pem", "partner.key"] {
        fs::copy(station.path(file), to.join(file)).unwrap();
    }
    openssl(
        &to,
        "req -x509 -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout /dev/null -CA partner.pem -CAkey partner.key -days 30 -subj /CN=a.partner.example -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth -addext subjectAltName=DNS:a.partner.example -out leaf.pem",
    );
    openssl(&to, "verify -x509_strict -purpose sslserver -CAfile root.pem -untrusted intermediates.pem leaf.pem");
    station.check_log();
    // Once more: a cross-certificate is renewed under its id.
    station.carried_out(&station.planned_ceremony_of(&ceremony(&act("partner.der", ""))));
    station.check_log();
}

#[test]
fn an_unrelated_key_is_not_bound_to_another_cas_name() {
    let station = prepared();
    let own = "subject-ca = \"xmpp-1\"";
    refuses(&station, &act("as_xmpp.pem", own), 1, "does not have the key of CA `xmpp-1`");
    refuses(&station, &act("as_root.pem", own), 1, "does not have the key of CA `xmpp-1`");
    // Without saying whose it is, a certificate by the issuer's own name is none to be crossed by it.
    refuses(&station, &act("as_root.pem", ""), 1, "its subject is its issuer's");
    refuses(&station, &act("root.der", "subject-ca = \"root\""), 1, "its key is its issuer's");
}

#[test]
fn a_certificate_that_is_none_of_a_good_ca_is_not_crossed() {
    let station = prepared();
    refuses(&station, &act("leaf.pem", ""), 1, "`crossed-certificate` failed");
    refuses(&station, &act("forged.der", ""), 1, "the signature does not verify");
    refuses(&station, &act("sub.pem", ""), 1, "is not self-signed");
    refuses(&station, &act("sub.pem", "issuer-certificate = \"as_root.pem\""), 1, "does not verify");
    refuses(&station, &act("odd.pem", ""), 1, "1.2.3.4, which would be lost");
    refuses(&station, &act("hierarchy.toml", ""), 1, "is no certificate");
    refuses(&station, &act("partner.pem", "eku = [\"code-signing\"]"), 1, "is not for 1.3.6.1.5.5.7.3.3");
    refuses(&station, &act("partner.pem", "days = 7301"), 1, "`validity-in-issuer` failed");
    refuses(&station, &act("partner.pem", "ca = \"xmpp-1\""), 1, "`path-length` failed");
}

#[test]
fn a_cross_certificate_that_says_too_little_or_too_much_is_no_act() {
    let station = prepared();
    for (change, field) in [
        (("days = 365", "days = 0"), "act[0].days"),
        (("days = 365", ""), "act[0].days"),
        (("partner-by-root", "xmpp-1"), "act[0].id"),
        (("profile = \"intermediate\"", "profile = \"xmpp-server\""), "act[0].profile"),
        (("certificate = \"partner.pem\"", ""), "act[0].certificate"),
        (("certificate = \"partner.pem\"", "certificate = \"token\""), "act[0].certificate"),
        (("days = 365", "days = 365\neku = [\"any\"]"), "act[0].eku[0]"),
        (("days = 365", "days = 365\nsubject-ca = \"nobody\""), "act[0].subject-ca"),
        (("days = 365", "days = 365\nrequest = \"a.csr\""), "act[0].request"),
    ] {
        refuses(&station, &act("partner.pem", "").replace(change.0, change.1), 2, field);
    }
    refuses(&station, "kind = \"root\"\nca = \"root\"\ncertificate = \"partner.pem\"", 2, "act[0].certificate");
}
