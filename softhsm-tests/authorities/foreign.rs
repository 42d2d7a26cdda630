//! CAs whose keys lie elsewhere: made by openssl here, and certified for their own requests.

use std::fs;
use std::path::Path;
use std::process::Command;

use coldroot::audit::entry::Body;
use coldroot::x509;

use crate::harness::station::{HIERARCHY, Run, Station};

#[track_caller]
pub fn openssl(dir: &Path, line: &str) -> Run {
    let run = Run::of(Command::new("openssl").args(line.split_whitespace()).current_dir(dir));
    assert_eq!(run.code, 0, "openssl {line}: {run:?}");
    run
}

/// The ceremony of one act.
pub fn ceremony(act: &str) -> String {
    format!("format = \"coldroot-ceremony-v0\"\ntitle = \"Foreign\"\n\n[[act]]\n{act}\n")
}

/// Refused before a key is used: nothing is recorded, written or left behind.
#[track_caller]
pub fn refuses(station: &Station, act: &str, code: i32, saying: &str) {
    fs::write(station.path("foreign.toml"), ceremony(act)).unwrap();
    let before = station.state();
    station.run(&["plan", "--ceremony", "foreign.toml"]).fails(code, saying);
    assert!(station.state() == before, "{saying}: something was left behind");
}

/// The newest certificate on record with this id.
pub fn certified(station: &Station, id: &str) -> Vec<u8> {
    let of_ca = |body| match body {
        Body::Certificate(c) if c.subject_ca.as_deref() == Some(id) => Some(c.der.into_vec()),
        _ => None,
    };
    station.bodies().into_iter().filter_map(of_ca).next_back().unwrap()
}

const PARTNER: &str = r#"[[ca]]
id = "partner"
key = "elsewhere"
issuer = "root"
profile = "intermediate"
subject = [{ O = "REHEARSAL" }, { CN = "Partner CA" }]
days = 365
crl-days = 30

"#;

#[test]
fn a_foreign_request_brings_a_key_and_nothing_else_of_it_is_copied() {
    let station = Station::ready_of(HIERARCHY.replacen("[[profile]]", &format!("{PARTNER}[[profile]]"), 1));
    fs::write(station.path("req.cnf"), CONFIG).unwrap();
    let new = "req -new -nodes -config req.cnf";
    openssl(
        &station.dir(),
        &format!("{new} -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout a.key -out partner.csr"),
    );
    openssl(&station.dir(), &format!("{new} -key a.key -section other -out other.csr"));
    openssl(&station.dir(), &format!("{new} -key a.key -section printable -out printable.csr"));
    openssl(&station.dir(), &format!("{new} -newkey rsa:2048 -keyout short.key -out short.csr"));
    openssl(&station.dir(), &format!("{new} -newkey rsa:1024 -keyout weak.key -out weak.csr"));
    openssl(&station.dir(), &format!("{new} -key a.key -sha1 -out sha1.csr"));
    openssl(&station.dir(), "req -in partner.csr -outform DER -out partner.der");
    let mut forged = fs::read(station.path("partner.der")).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    fs::write(station.path("forged.csr"), forged).unwrap();
    fs::write(station.path("long.csr"), vec![b'x'; 200_000]).unwrap();

    let act = |file: &str| format!("kind = \"intermediate\"\nca = \"partner\"\nrequest = \"{file}\"");
    refuses(&station, &act("other.csr"), 1, "`ca-request` failed");
    refuses(&station, &act("printable.csr"), 1, "other string types");
    refuses(&station, &act("weak.csr"), 1, "1024 bits");
    refuses(&station, &act("short.csr"), 1, "`key-size` failed");
    refuses(&station, &act("sha1.csr"), 1, "`proof-of-possession` failed");
    refuses(&station, &act("forged.csr"), 1, "`proof-of-possession` failed");
    refuses(&station, &act("hierarchy.toml"), 1, "`request-encoding` failed");
    refuses(&station, &act("missing.csr"), 2, "missing.csr");
    refuses(&station, &act("long.csr"), 2, "larger than");
    refuses(&station, "kind = \"intermediate\"\nca = \"partner\"", 2, "act[0].request");
    refuses(&station, &act("partner.csr").replace("\"partner\"", "\"xmpp-1\""), 2, "act[0].request");

    let plan = station.planned_ceremony_of(&ceremony(&act("partner.csr")));
    let shown = station.run(&["show", plan.to_str().unwrap()]).ok();
    let digest = coldroot::digest::Digest::of(&fs::read(station.path("partner.csr")).unwrap()).hex();
    assert!(shown["statement"].as_str().unwrap().contains(&format!("sha256-{digest}")), "{shown}");
    let release = station.carried_out(&plan);
    let artefact = station.path(&format!("audit/artefact/{}/{digest}", &digest[..2]));
    assert_eq!(fs::read(artefact).unwrap(), fs::read(station.path("partner.csr")).unwrap());
    let der = certified(&station, "partner");
    let fields = x509::read_certificate(&der).unwrap();
    assert_eq!((fields.ca.unwrap().path_len, fields.san.len(), fields.eku.len()), (Some(0), 0, 0));
    let asked = x509::Request::parse(&fs::read(station.path("partner.csr")).unwrap()).unwrap();
    assert_eq!((fields.spki.as_slice(), fields.subject.as_slice()), (&asked.spki[..], &asked.subject[..]));
    let (to, key) = (station.desk("www"), station.verifier_key());
    station.run(&["unpack", release.to_str().unwrap(), "--to", to.to_str().unwrap(), "--verifier-key", &key]).ok();
    fs::write(to.join("partner.der"), &der).unwrap();
    openssl(&to, "x509 -inform DER -in partner.der -out partner.pem");
    openssl(&to, "verify -x509_strict -CAfile root.pem partner.pem");
    station.check_log();
    // It has its certificate, and signs nothing here.
    refuses(&station, &act("partner.csr"), 1, "has its certificate already");
    refuses(&station, "kind = \"crl\"\nca = \"partner\"", 1, "has no key");
}

const CONFIG: &str = r#"[req]
distinguished_name = name
prompt = no
string_mask = utf8only
req_extensions = more
[name]
O = REHEARSAL
CN = Partner CA
[other]
distinguished_name = other_name
prompt = no
string_mask = utf8only
[other_name]
O = REHEARSAL
CN = Partner CA 2
[printable]
distinguished_name = name
prompt = no
string_mask = default
[more]
basicConstraints = critical, CA:TRUE, pathlen:9
subjectAltName = DNS:evil.example
extendedKeyUsage = codeSigning
"#;
