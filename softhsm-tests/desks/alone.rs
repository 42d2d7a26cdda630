//! `check` of a request or a key by itself: the desk hears before it packs what a plan would say. It leaves nothing behind.

use std::fs;
use std::process::Command;

use super::harness::openssl::{openssl, text};
use super::harness::station::Station;
use super::refused;

/// A request by OpenSSL, with a key of its own in a file beside it.
fn request(station: &Station, name: &str, key: &[&str], more: &[&str]) -> String {
    let (file, secret) = (format!("{name}.csr"), station.path(&format!("{name}.key")));
    let made = openssl(&[&["genpkey", "-out", text(&secret)], key].concat());
    assert!(made.ends_with("status: 0"), "{made}");
    let path = station.path(&file);
    let args = ["req", "-new", "-key", text(&secret), "-subj", "/CN=chat.example.org", "-out", text(&path)];
    let made = openssl(&[&args, more].concat());
    assert!(made.ends_with("status: 0"), "{made}");
    file
}

const P256: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

fn rsa(bits: &'static str) -> [&'static str; 4] {
    ["-algorithm", "RSA", "-pkeyopt", bits]
}

#[test]
fn a_request_is_checked_by_itself_before_it_is_packed() {
    let station = Station::ready();
    let san = ["-addext", "subjectAltName=DNS:chat.example.org,DNS:*.example.org", "-addext", "nsComment=hello"];
    let good = request(&station, "good", &P256, &san);
    let said = station.run(&["check", &good]).ok();
    assert_eq!(said["key"], "an ECDSA key on P-256");
    assert_eq!(said["signature"], "ECDSA with SHA-256");
    assert_eq!(said["common-names"], serde_json::json!(["chat.example.org"]));
    assert_eq!(said["subject-alt-names"], serde_json::json!(["chat.example.org", "*.example.org"]));
    assert_eq!(said["other-extensions"], serde_json::json!(["2.16.840.1.113730.1.13"]), "never copied, and shown");
    // By a profile: of the hierarchy, for requests, and of this kind of key.
    let by = |id: &str| station.run(&["check", &good, "--hierarchy", "hierarchy.toml", "--profile", id]);
    assert_eq!(by("xmpp-server").ok()["profile"], "xmpp-server");
    by("root").fails(2, "has no profile `root` for requests");
    let p521 = request(&station, "p521", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"], &[]);
    station.run(&["check", &p521]).ok();
    let by_profile = ["check", &p521, "--hierarchy", "hierarchy.toml", "--profile", "xmpp-server"];
    refused(
        &station,
        || station.run(&by_profile),
        4,
        "key-type: the request has an ECDSA key on P-521",
        "make a new key",
    );

    // An extension that the profile refuses is the request's own fault too.
    let hierarchy = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let (base, more) = ("base = \"xmpp-server\"", "base = \"xmpp-server\"\nextensions = { tls-feature = \"needed\" }");
    let wants = hierarchy.replace(base, more);
    assert_ne!(wants, hierarchy);
    fs::write(station.path("wants.toml"), wants).unwrap();
    let by_profile = ["check", &good, "--hierarchy", "wants.toml", "--profile", "xmpp-server"];
    let next = "make the request with the extensions";
    refused(&station, || station.run(&by_profile), 4, "extensions-requested: the request lacks the extension", next);

    let sha1 = request(&station, "sha1", &rsa("rsa_keygen_bits:2048"), &["-sha1"]);
    let short = request(&station, "short", &rsa("rsa_keygen_bits:1024"), &[]);
    let ca = request(&station, "ca", &P256, &["-addext", "basicConstraints=critical,CA:TRUE"]);
    let pem = fs::read_to_string(station.path(&good)).unwrap();
    let der =
        openssl(&["req", "-in", text(&station.path(&good)), "-outform", "DER", "-out", text(&station.path("der"))]);
    assert!(der.ends_with("status: 0"), "{der}");
    let der = fs::read(station.path("der")).unwrap();
    let damaged = |name: &str, octets: &[u8]| {
        fs::write(station.path(name), octets).unwrap();
        name.to_owned()
    };
    let mut flipped = der.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let cases = [
        (sha1, "signature-algorithm: signature algorithm 1.2.840.113549.1.1.5 is not accepted", "-sha256"),
        (short, "key-size: the request has an RSA key of 1024 bits", "make a new key"),
        (ca, "ca-requested: the request asks for the certificate of a CA", "leave basicConstraints"),
        (damaged("cut.der", &der[..der.len() - 3]), "request-encoding: ", "make the request again"),
        (damaged("more.der", &[&der[..], b"x"].concat()), "request-encoding: ", "make the request again"),
        (damaged("flipped.der", &flipped), "proof-of-possession: ", "sign the request with the private half"),
        (damaged("text.csr", pem.replace("END", "ENDE").as_bytes()), "request-encoding: ", "make the request again"),
        (damaged("two.csr", pem.repeat(2).as_bytes()), "request-encoding: ", "make the request again"),
    ];
    for (file, saying, next) in cases {
        refused(&station, || station.run(&["check", &file]), 4, saying, next);
    }
    let wrong = station.run(&["check", "hierarchy.toml", "--hierarchy", "hierarchy.toml", "--profile", "xmpp-server"]);
    wrong.fails(2, "--profile says by which rules a request or a key is checked");
}

#[test]
fn a_key_is_checked_by_itself() {
    let station = Station::ready();
    request(&station, "good", &rsa("rsa_keygen_bits:2048"), &[]);
    let public = |name: &str, form: &str| {
        let file = format!("{name}.{form}");
        let (key, out) = (station.path(&format!("{name}.key")), station.path(&file));
        let made = openssl(&["pkey", "-in", text(&key), "-pubout", "-outform", form, "-out", text(&out)]);
        assert!(made.ends_with("status: 0"), "{made}");
        file
    };
    for form in ["PEM", "DER"] {
        let file = public("good", form);
        let (shown, checked) = (station.run(&["show", &file]).ok(), station.run(&["check", &file]).ok());
        assert_eq!(checked["key"], "an RSA key of 2048 bits");
        assert_eq!((&shown["key"], &shown["spki-sha256"]), (&checked["key"], &checked["spki-sha256"]));
    }
    let mut octets = fs::read(station.path("good.DER")).unwrap();
    let digest = Command::new("sha256sum").arg(station.path("good.DER")).output().unwrap();
    let digest = String::from_utf8(digest.stdout).unwrap();
    assert!(digest.starts_with(station.run(&["check", "good.DER"]).ok()["spki-sha256"].as_str().unwrap()), "{digest}");
    // The last octets are those of the exponent, 65537.
    *octets.last_mut().unwrap() = 3;
    fs::write(station.path("exponent"), &octets).unwrap();
    let wrong = || station.run(&["check", "exponent"]);
    refused(&station, wrong, 4, "key-quality: the RSA key has the public exponent 65539", "make a new key");
    octets.truncate(200);
    fs::write(station.path("cut"), &octets).unwrap();
    refused(&station, || station.run(&["check", "cut"]), 4, "key-encoding: ", "make a new key");
}
