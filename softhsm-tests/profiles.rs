//! The end-entity profiles on the whole road: requests by OpenSSL, judged, signed on SoftHSM, and judged by OpenSSL again.

mod harness;

#[path = "profiles/cabf.rs"]
mod cabf;
#[path = "profiles/clients.rs"]
mod clients;
#[path = "profiles/shown.rs"]
mod shown;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::station::{HIERARCHY, Station};
use serde_json::Value;

const PROFILES: &str = r#"[[profile]]
id = "tls"
base = "tls-server"
issuer = "xmpp-1"
names = { ip = "taken", wildcard = "refused" }
common-name = false

[[profile]]
id = "device"
base = "device"
issuer = "xmpp-1"
keys = ["ecdsa-p256", "ed25519", "rsa-2048"]

[[profile]]
id = "people"
base = "xmpp-client"
issuer = "xmpp-1"

[[profile]]
id = "mail"
base = "tls-client"
issuer = "xmpp-1"

[[desk]]
"#;

/// Root and intermediate made, and the desk may ask for all of the profiles.
fn station() -> Station {
    let hierarchy = HIERARCHY.replacen("[[desk]]\n", PROFILES, 1).replace(
        "profiles = [\"xmpp-server\"]",
        "profiles = [\"xmpp-server\", \"tls\", \"device\", \"people\", \"mail\"]",
    );
    let station = Station::bare_of(hierarchy);
    station.init().ok();
    for _ in ["keys", "certificates"] {
        let plan = station.planned_ceremony();
        station.sign(&plan, &station.approve(&plan)).ok();
    }
    station
}

/// One request: id, profile, requester, validated names, and what `openssl req` is told.
struct Ask(&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const P256: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const ED25519: &[&str] = &["-newkey", "ed25519"];
const RSA_2048: &[&str] = &["-newkey", "rsa:2048"];

/// The desk's bundle of these requests. Keys stay in `dir`, so a later bundle can ask for them again.
fn bundle(station: &Station, sequence: u64, asks: &[(Ask, &[&str])]) -> PathBuf {
    station.pack(&requests(station, sequence, asks), sequence)
}

/// The directory of these requests.
fn requests(station: &Station, sequence: u64, asks: &[(Ask, &[&str])]) -> PathBuf {
    let dir = station.desk(&format!("requests-{sequence}"));
    fs::create_dir_all(&dir).unwrap();
    let mut table = String::from("request,profile,requester,names\n");
    for (Ask(id, profile, requester, names, told), key) in asks {
        table.push_str(&format!("{id},{profile},{requester},{names}\n"));
        let (csr, private) = (dir.join(format!("{id}.pem")), station.desk(&format!("{id}.key")));
        let said = Command::new("openssl")
            .args(["req", "-new", "-nodes", "-out"])
            .arg(csr)
            .arg("-keyout")
            .arg(private)
            .args(*key)
            .args(*told)
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
    fs::write(dir.join("requests.csv"), table).unwrap();
    dir
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn openssl(args: &[&str]) -> String {
    let run = Command::new("openssl").args(args).output().unwrap();
    String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned()
}

/// The plan's refusals: request and check.
fn refusals(shown: &Value) -> Vec<(&str, &str)> {
    let refused = shown["refused"].as_array().unwrap();
    refused.iter().map(|r| (r["request"].as_str().unwrap(), r["check"].as_str().unwrap())).collect()
}

#[test]
fn servers_and_devices_get_what_their_profiles_say() {
    let station = station();
    let asks: &[(Ask, &[&str])] = &[
        (
            Ask(
                "web",
                "tls",
                "a@example.org",
                "www.example.org 192.0.2.1 2001:db8::1",
                &[
                    "-subj",
                    "/O=Bank/CN=bank.example.com",
                    "-addext",
                    "subjectAltName=DNS:www.example.org,IP:192.0.2.1,IP:2001:db8::1",
                ],
            ),
            RSA_2048,
        ),
        (
            Ask(
                "sensor",
                "device",
                "b@example.org",
                "SN-4711 urn:dev:mac:0024befffe804ff1 s1.example.org",
                &[
                    "-subj",
                    "/O=Acme/CN=Thermometer/serialNumber=SN-4711",
                    "-addext",
                    "subjectAltName=DNS:s1.example.org,URI:urn:dev:mac:0024befffe804ff1",
                    "-addext",
                    "extendedKeyUsage=serverAuth,codeSigning",
                    "-addext",
                    "keyUsage=keyAgreement",
                ],
            ),
            ED25519,
        ),
        (Ask("pump", "device", "b@example.org", "pump_2", &["-subj", "/CN=pump_2"]), RSA_2048),
        (Ask("wild", "tls", "a@example.org", "*.example.org", &["-subj", "/CN=*.example.org"]), P256),
        (Ask("stolen", "device", "c@example.org", "pump_3", &["-subj", "/CN=pump_2"]), P256),
        (Ask("twin", "device", "c@example.org", "PUMP_2", &["-subj", "/CN=PUMP_2"]), P256),
        (Ask("curve", "tls", "a@example.org", "e.example.org", &["-subj", "/CN=e.example.org"]), ED25519),
        (
            Ask(
                "mail",
                "tls",
                "a@example.org",
                "m.example.org",
                &["-subj", "/CN=m.example.org", "-addext", "subjectAltName=email:m@m.example.org"],
            ),
            P256,
        ),
    ];
    let plan = station.planned(&bundle(&station, 1, asks));
    let shown = station.run(&["show", text(&plan)]).ok();
    assert_eq!(
        refusals(&shown),
        [
            ("wild", "name-form"),
            ("stolen", "names-validated"),
            ("twin", "name-holder"),
            ("curve", "key-type"),
            ("mail", "name-form"),
        ]
    );
    let row = station.run(&["show", text(&plan), "--item", "0"]).ok();
    assert_eq!(row["names"].as_array().unwrap().len(), 3, "{row}");
    assert_eq!(row["names"][1], "IP 192.0.2.1");
    let signed = station.sign(&plan, &station.approve(&plan)).ok();

    let key = station.verifier_key();
    let release = signed["directory"].as_str().unwrap();
    station.run(&["unpack", release, "--to", "www", "--verifier-key", &key, "--hierarchy", "hierarchy.toml"]).ok();
    let leaf = |id: &str| station.path(&format!("www/certs/{id}.pem"));
    let names: Vec<PathBuf> = harness::files(&station.path("www/certs"));
    assert_eq!(names, [leaf("pump"), leaf("sensor"), leaf("web")], "and nothing for those refused");
    for (id, good, bad, wanted) in [
        ("web", "sslserver", "sslclient", ["Subject: \n", "X509v3 Subject Alternative Name: critical"]),
        (
            "sensor",
            "sslclient",
            "sslserver",
            ["Subject: CN = SN-4711\n", "DNS:s1.example.org, URI:urn:dev:mac:0024befffe804ff1"],
        ),
        ("pump", "sslclient", "sslserver", ["Subject: CN = pump_2\n", "TLS Web Client Authentication"]),
    ] {
        let [root, middle] = ["root", "intermediates"].map(|name| station.path(&format!("www/{name}.pem")));
        let verify = |purpose| {
            let args =
                ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", text(&root), "-untrusted", text(&middle)];
            openssl(&[&args[..], &[text(&leaf(id))]].concat())
        };
        assert!(verify(good).contains(": OK"), "{id}: {}", verify(good));
        assert!(verify(bad).contains("unsuitable certificate purpose"), "{id}: {}", verify(bad));
        let shown = openssl(&["x509", "-in", text(&leaf(id)), "-noout", "-text"]);
        for part in wanted.iter().chain(&["CA:FALSE", "X509v3 Key Usage: critical"]) {
            assert!(shown.contains(part), "{id}: `{part}` is not in\n{shown}");
        }
        for foreign in ["Bank", "Acme", "Thermometer", "Code Signing", "Certificate Sign", "othername"] {
            assert!(!shown.contains(foreign), "{id}: {foreign} got in\n{shown}");
        }
        assert_eq!(shown.contains("Key Encipherment"), id == "web", "{shown}");
    }
    let page = fs::read_to_string(station.path("www/report.html")).unwrap();
    for name in [
        "<span>www.example.org</span><span>192.0.2.1</span><span>2001:db8::1</span>",
        "<span>SN-4711</span>",
        "<span>pump_2</span>",
    ] {
        assert!(page.contains(name), "{name}");
    }
    station.check_log();
}

#[test]
fn an_id_on_record_is_renewed_by_its_requester_alone() {
    let station = station();
    let told: &[&str] = &["-subj", "/CN=pump-1"];
    let plan = station.planned(&bundle(&station, 1, &[(Ask("pump", "device", "b@example.org", "pump-1", told), P256)]));
    station.sign(&plan, &station.approve(&plan)).ok();
    // With a new key; another spelling of the id; the same key under another id.
    let same_key = station.desk("pump.key");
    let old: &[&str] = &["-key", text(&same_key)];
    let renewed: &[&str] = &["-subj", "/CN=pump-2"];
    let asks: &[(Ask, &[&str])] = &[
        (Ask("other", "device", "c@example.org", "Pump-1", &["-subj", "/CN=Pump-1"]), P256),
        (Ask("moved", "device", "b@example.org", "pump-2", renewed), old),
        (Ask("again", "device", "b@example.org", "pump-1", told), old),
    ];
    let plan = station.planned(&bundle(&station, 2, asks));
    let shown = station.run(&["show", text(&plan)]).ok();
    assert_eq!(refusals(&shown), [("other", "name-holder"), ("moved", "duplicate-key")]);
    station.sign(&plan, &station.approve(&plan)).ok();
    station.check_log();
}
