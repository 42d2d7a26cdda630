//! Roots outside of the station, by openssl, and a station whose CA they certify.

use std::fs;
use std::path::{Path, PathBuf};

use coldroot::audit::entry::{Body, CertificateAdopted};
use coldroot::digest::Digest;
use coldroot::x509;

use crate::foreign::openssl;
use crate::harness::station::{HIERARCHY, Station};

/// Roots outside of the station, by openssl: `top`, and `twin` by the same name and another key.
pub struct Outside {
    dir: tempfile::TempDir,
}

const CONFIG: &str = r#"[req]
distinguished_name = name
prompt = no
string_mask = utf8only
x509_extensions = root
[name]
O = Outside
CN = Top
[printable]
distinguished_name = ours
prompt = no
string_mask = default
[ours]
O = REHEARSAL
CN = Road XMPP 1
[utf8]
distinguished_name = ours
prompt = no
string_mask = utf8only
[root]
basicConstraints = critical, CA:TRUE, pathlen:3
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[middle]
basicConstraints = critical, CA:TRUE, pathlen:2
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[asked]
authorityKeyIdentifier = keyid
[good]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
nameConstraints = critical, permitted;DNS:example.org
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"#;

/// The section `good` with one line in place of that of the same name, or without it.
fn section(line: &str) -> String {
    let name = line.split(" = ").next().unwrap().to_owned() + " ";
    let good = CONFIG.split("[good]\n").nth(1).unwrap();
    let kept: String = good.lines().filter(|own| !own.starts_with(&name)).map(|own| format!("{own}\n")).collect();
    let line = if line.contains(" = ") { line } else { "" };
    format!("[changed]\n{kept}{line}\n")
}

impl Outside {
    pub fn new() -> Outside {
        let outside = Outside { dir: tempfile::tempdir().unwrap() };
        fs::write(outside.path("c.cnf"), CONFIG).unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -config c.cnf";
        for name in ["top", "twin"] {
            outside.openssl(&format!("req -x509 {key} -days 4000 -keyout {name}.key -out {name}.pem"));
        }
        outside.openssl(&format!("req -new {key} -subj /O=Outside/CN=Middle -keyout middle.key -out middle.csr"));
        outside.openssl(
            "x509 -req -in middle.csr -CA top.pem -CAkey top.key -set_serial 77 -days 3900 -extfile c.cnf -extensions middle -out middle.pem",
        );
        outside
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    #[track_caller]
    pub fn openssl(&self, line: &str) {
        openssl(self.dir.path(), line);
    }

    pub fn sha256(&self, name: &str) -> String {
        let der = x509::certificate_der(&fs::read(self.path(name)).unwrap()).unwrap();
        Digest::of(&der).hex()
    }

    /// Puts the newest request of the CA here.
    pub fn take(&self, station: &Station) {
        fs::write(self.path("ours.der"), csr(station)).unwrap();
        self.openssl("req -inform DER -in ours.der -out ours.csr");
        self.openssl("req -in ours.csr -noout -pubkey -out ours.pub");
    }

    /// Certifies the request as it asks, for so many days.
    pub fn certify(&self, name: &str, days: u32) {
        self.openssl(&format!(
            "x509 -req -in ours.csr -copy_extensions copy -CA top.pem -CAkey top.key -days {days} -extfile c.cnf -extensions asked -out {name}.pem"
        ));
    }

    /// Certifies with the section `good`, changed in one line; `more` are further arguments.
    pub fn changed(&self, name: &str, line: &str, more: &str) {
        fs::write(self.path("changed.cnf"), section(line)).unwrap();
        let request = if more.contains("-in ") { "" } else { "-in ours.csr" };
        let issuer = if more.contains("-CA ") { "" } else { "-CA top.pem -CAkey top.key" };
        let days = if more.contains("-days ") { "" } else { "-days 900" };
        self.openssl(&format!(
            "x509 -req {request} {issuer} {days} {more} -extfile changed.cnf -extensions changed -out {name}.pem"
        ));
    }

    /// Puts files one behind the other into the station.
    pub fn hand_over(&self, station: &Station, names: &[&str], to: &str) {
        let all: String =
            names.iter().map(|name| fs::read_to_string(self.path(&format!("{name}.pem"))).unwrap()).collect();
        fs::write(station.path(to), all).unwrap();
    }
}

pub const CEREMONY: &str = r#"format = "coldroot-ceremony-v0"
title = "Under an external root"

[[act]]
kind = "generate-key"
key = "xmpp-key"

[[act]]
kind = "csr"
ca = "xmpp-1"
"#;

/// The CA for servers under a root outside, whose certificate is declared where `declared` says its file and SHA-256.
pub fn hierarchy(declared: &str) -> String {
    let limits = "\n[ca.limits]\neku = [\"server-auth\", \"client-auth\"]\nname-constraints = { permitted = [{ dns = \"example.org\" }] }\n";
    HIERARCHY
        .replace(
            "key = \"xmpp-key\"\nissuer = \"root\"",
            &format!("key = \"xmpp-key\"\nissuer = \"external\"\n{declared}"),
        )
        .replace("days = 3650", "days = 1000")
        .replacen("\n[[profile]]", &format!("{limits}\n[[profile]]"), 1)
}

pub fn declared(outside: &Outside) -> String {
    hierarchy(&format!("issuer-certificate = \"top.pem\"\nissuer-sha256 = \"{}\"", outside.sha256("top.pem")))
}

/// Key and request are made.
pub fn asked(outside: &Outside, hierarchy: String) -> Station {
    let station = Station::bare_of(hierarchy);
    fs::copy(outside.path("top.pem"), station.path("top.pem")).unwrap();
    station.init().ok();
    for _ in ["key", "request"] {
        station.carried_out(&station.planned_ceremony_of(CEREMONY));
    }
    outside.take(&station);
    station
}

pub fn csr(station: &Station) -> Vec<u8> {
    let csr = |body| if let Body::Csr(csr) = body { Some(csr.der.into_vec()) } else { None };
    station.bodies().into_iter().filter_map(csr).next_back().unwrap()
}

pub fn adoptions(station: &Station) -> Vec<CertificateAdopted> {
    let adopted = |body| if let Body::CertificateAdopted(adopted) = body { Some(adopted) } else { None };
    station.bodies().into_iter().filter_map(adopted).collect()
}

pub fn adopt<'a>(file: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    let people = ["--ca", "xmpp-1", "--operator", "carol", "--witness", "dave", "--reason", "from the root"];
    ["adopt-certificate", file].iter().chain(&people).chain(extra).copied().collect()
}

/// Refused: nothing is recorded, written or signed.
#[track_caller]
pub fn not_adopted(station: &Station, args: &[&str], code: i32, saying: &str) {
    let before = station.state();
    let run = station.run(args);
    assert_ne!(run.code, 0, "{saying}: {run:?}");
    run.fails(code, saying);
    assert!(station.state() == before, "{saying}: something was left behind");
}

/// The statement, and its signatures by both officers.
#[track_caller]
pub fn approved(station: &Station, file: &str) -> (String, Vec<PathBuf>) {
    let made = station.run(&adopt(file, &[])).ok();
    let statement = PathBuf::from(made["statement-file"].as_str().unwrap());
    (made["statement"].as_str().unwrap().to_owned(), station.approve(&statement))
}

pub fn with<'a>(args: &[&'a str], approvals: &'a [PathBuf]) -> Vec<&'a str> {
    let approvals = approvals.iter().flat_map(|path| ["--approval", path.to_str().unwrap()]);
    args.iter().copied().chain(approvals).collect()
}

#[track_caller]
pub fn adopted(station: &Station, file: &str) -> String {
    let (statement, approvals) = approved(station, file);
    station.run(&with(&adopt(file, &[]), &approvals)).ok();
    statement
}

pub fn unpacked(station: &Station, release: &Path, to: &str, root: &Path) -> PathBuf {
    let (to, key) = (station.desk(to), station.verifier_key());
    let args = ["unpack", release.to_str().unwrap(), "--to", to.to_str().unwrap(), "--verifier-key", &key];
    station.run(&[&args[..], &["--root", root.to_str().unwrap()]].concat()).ok();
    to
}
