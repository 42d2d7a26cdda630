//! What programs that nobody of this project wrote say about what coldroot leaves: the log code of Go's checksum database, a
//! validator of CDDL, and the XMPP server Prosody with OpenSSL's client.

mod harness;

#[path = "outsiders/agreement.rs"]
mod agreement;
#[path = "outsiders/linted.rs"]
mod linted;
#[path = "outsiders/p256.rs"]
mod p256;
#[path = "outsiders/prosody.rs"]
mod prosody;
#[path = "outsiders/qr.rs"]
mod qr;
#[path = "outsiders/schema.rs"]
mod schema;
#[path = "outsiders/sumdb.rs"]
mod sumdb;
#[path = "outsiders/whole.rs"]
mod whole;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use harness::station::{COLDROOT, Run, Station};

/// A server and its component, on a key of each kind.
const EC: [&str; 2] = ["chat.example.org", "conference.chat.example.org"];
const RSA: [&str; 2] = ["talk.example.com", "muc.talk.example.com"];

/// One `coldroot demo` on two requests whose private keys are kept beside it, for every test that only reads it.
fn demo() -> &'static Path {
    static DEMO: OnceLock<PathBuf> = OnceLock::new();
    DEMO.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outsiders");
        let _ = fs::remove_dir_all(&dir);
        let requests = dir.join("requests");
        fs::create_dir_all(&requests).unwrap();
        let ec = request(&requests, "ec", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], &EC);
        let rsa = request(&requests, "rsa", &["-newkey", "rsa:3072"], &RSA);
        fs::write(requests.join("requests.csv"), format!("request,profile,requester,names\n{ec}{rsa}")).unwrap();
        let mut demo = Command::new(COLDROOT);
        demo.args(["demo", "--json", "--requests"]).arg(&requests).arg("--dir").arg(dir.join("demo"));
        assert_eq!(Run::of(&mut demo).ok()["signed"], 2);
        dir
    })
}

fn demo_key() -> String {
    fs::read_to_string(demo().join("demo/station/verifier-key")).unwrap().trim().to_owned()
}

/// Makes `ID.key` and `ID.der` in a directory, as a hostmaster does. Returns the line of the table.
fn request(dir: &Path, id: &str, new_key: &[&str], names: &[&str]) -> String {
    let san: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-new", "-nodes", "-outform", "DER", "-subj"]).arg(format!("/CN={}", names[0]));
    openssl.arg("-addext").arg(format!("subjectAltName={}", san.join(","))).args(new_key);
    openssl.arg("-keyout").arg(dir.join(format!("{id}.key"))).arg("-out").arg(dir.join(format!("{id}.der")));
    let made = Run::of(&mut openssl);
    assert_eq!(made.code, 0, "{made:?}");
    format!("{id},xmpp-server,hostmaster@example.org,{}\n", names.join(" "))
}

/// Plans, approves and signs a bundle.
#[track_caller]
fn issue(station: &Station, bundle: &Path) {
    let plan = station.planned(bundle);
    station.sign(&plan, &station.approve(&plan)).ok();
}

/// Unpacks a station's release into its `www`, and returns that.
#[track_caller]
fn unpack(station: &Station, release: u64) -> PathBuf {
    let release = format!("out/release-{release:04}");
    station.run(&["unpack", &release, "--to", "www", "--verifier-key", "verifier-key"]).ok();
    station.path("www")
}
