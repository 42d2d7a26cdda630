//! pkilint, a linter that public CAs use, over what each built-in profile and every kind of key makes, and over the CRLs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::audit::entry::Body;
use coldroot::config::Base;
use serde_json::Value;

use super::harness::station::{HIERARCHY, Run, Station};
use super::harness::{files, repository};

/// (CA, its key, limits)
const AUTHORITIES: [(&str, &str, &str); 4] = [
    ("people", "rsa-3072", "[ca.limits]\neku = [\"client-auth\"]\n"),
    ("things", "ed25519", ""),
    ("web-root", "ecdsa-p384", ""),
    (
        "web",
        "ecdsa-p384",
        "[ca.limits]\neku = [\"server-auth\"]\nname-constraints = { permitted = [{ dns = \"example.org\" }, \
         { directory = [{ O = \"REHEARSAL\" }] }], \
         excluded = [{ ip = \"0.0.0.0/0\" }, { ip = \"::/0\" }, { dns = \"secret.example.org\" }] }\n",
    ),
];

const PROFILES: &str = r#"
[[profile]]
id = "with-practice"
base = "intermediate"
path-len = 0
policies = [{ oid = "1.3.6.1.4.1.32473.1", cps = "http://ca.example.org/cps" }]

[[profile]]
id = "web-root"
base = "root"
window-hours = 24

[[profile]]
id = "for-browsers"
base = "intermediate"
path-len = 0
window-hours = 24
policies = [{ oid = "2.23.140.1.2.1" }]

[[profile]]
id = "xmpp-client"
base = "xmpp-client"
issuer = "people"
policies = [{ oid = "1.3.6.1.4.1.32473.1", cps = "http://ca.example.org/cps" }]

[[profile]]
id = "tls-client"
base = "tls-client"
issuer = "people"
keys = ["rsa-2048", "ecdsa-p256", "ed25519"]

[[profile]]
id = "tls-server"
base = "tls-server"
issuer = "things"
names = { ip = "taken" }
keys = ["rsa-3072", "ecdsa-p384", "ed25519"]
must-staple = true

[[profile]]
id = "device"
base = "device"
issuer = "things"
keys = ["ecdsa-p521", "ed25519", "rsa-4096"]

[[profile]]
id = "cabf-tls-dv"
base = "cabf-tls-dv"
issuer = "web"

[[profile]]
id = "audit-signer"
base = "audit-signer"
issuer = "root"

[[profile]]
id = "crl-signer"
base = "crl-signer"
issuer = "root"

"#;

fn hierarchy(root: &str) -> String {
    let mut text = HIERARCHY
        .replacen("algorithm = \"ecdsa-p384\"", &format!("algorithm = \"{root}\""), 1)
        .replacen("days = 7300", "expires = \"never\"", 1)
        .replacen("[[desk]]", &format!("{PROFILES}[[desk]]"), 1)
        .replace(
            "profiles = [\"xmpp-server\"]",
            "profiles = [\"xmpp-server\", \"xmpp-client\", \"tls-server\", \"tls-client\", \"device\", \"cabf-tls-dv\"]",
        );
    for (ca, algorithm, limits) in AUTHORITIES {
        let (issuer, profile, rules) = match ca {
            "people" => ("root", "with-practice", "rfc5280"),
            "web-root" => ("web-root", "web-root", "cabf-tls"),
            "web" => ("web-root", "for-browsers", "cabf-tls"),
            _ => ("root", "intermediate", "rfc5280"),
        };
        let subject = match rules {
            "cabf-tls" => "{ C = \"DE\" }, { O = \"Zwölf\" }",
            _ => "{ OU = \"Zwölf\" }, { OU = \"B\" }",
        };
        let tables = format!(
            "[[key]]\nid = \"{ca}-key\"\ntoken = \"main\"\nlabel = \"{ca}\"\nalgorithm = \"{algorithm}\"\nbackup = \"none\"\n\n\
             [[ca]]\nid = \"{ca}\"\nkey = \"{ca}-key\"\nissuer = \"{issuer}\"\nprofile = \"{profile}\"\nrules = [\"{rules}\"]\n\
             subject = [{{ O = \"REHEARSAL\" }}, {subject}, {{ CN = \"{ca}\" }}]\ndays = 3650\ncrl-days = 10\n\
             crl-urls = [\"http://ca.example.org/{ca}.crl\"]\nissuer-urls = [\"http://ca.example.org/{ca}.cer\"]\n{limits}\n"
        );
        text = text.replacen("[[profile]]", &format!("{tables}[[profile]]"), 1);
    }
    text
}

fn ceremony() -> String {
    let act = |kind: &str, field: &str, of: &str| format!("\n[[act]]\nkind = \"{kind}\"\n{field} = \"{of}\"\n");
    let mut text = String::from("format = \"coldroot-ceremony-v0\"\ntitle = \"All\"\n");
    for key in ["root", "xmpp", "people", "things", "web-root", "web"] {
        text += &act("generate-key", "key", &format!("{key}-key"));
    }
    for ca in ["root", "web-root"] {
        text += &act("root", "ca", ca);
    }
    for ca in ["xmpp-1", "people", "things", "web"] {
        text += &act("intermediate", "ca", ca);
    }
    text
}

/// (request, profile, key, validated names, subject, subjectAltName)
const REQUESTS: [(&str, &str, &str, &str, &str, &str); 12] = [
    (
        "chat",
        "xmpp-server",
        P256,
        "chat.example.org xn--bcher-kva.example.org",
        "/CN=chat.example.org",
        "DNS:chat.example.org,DNS:xn--bcher-kva.example.org",
    ),
    (
        "talk",
        "xmpp-server",
        "rsa:2048",
        "talk.example.org *.talk.example.org",
        "/CN=talk.example.org",
        "DNS:talk.example.org,DNS:*.talk.example.org",
    ),
    (
        "juliet",
        "xmpp-client",
        P256,
        "xmpp:juliet@example.org",
        "/CN=juliet",
        "otherName:1.3.6.1.5.5.7.8.5;UTF8:juliet@example.org",
    ),
    ("romeo", "tls-client", "rsa:2048", "mailto:romeo@example.org", "/CN=romeo", "email:romeo@example.org"),
    (
        "doerte",
        "tls-client",
        "ed25519",
        "mailto:dörte@example.org svc-1 urn:example:1",
        "/CN=svc-1",
        "otherName:1.3.6.1.5.5.7.8.9;FORMAT:UTF8;UTF8:dörte@example.org,URI:urn:example:1",
    ),
    (
        "www",
        "tls-server",
        "rsa:3072",
        "www.example.org 192.0.2.1 2001:db8::1",
        "/CN=www.example.org",
        "DNS:www.example.org,IP:192.0.2.1,IP:2001:db8::1",
    ),
    ("edge", "tls-server", "ed25519", "edge.example.org", "/CN=edge.example.org", "DNS:edge.example.org"),
    (
        "pump",
        "device",
        "ed25519",
        "pump-1 urn:dev:mac:0024befffe804ff1",
        "/CN=pump-1",
        "URI:urn:dev:mac:0024befffe804ff1",
    ),
    ("meter", "device", "ec:secp521r1", "meter-1", "/CN=meter-1", ""),
    ("shop", "cabf-tls-dv", P256, "shop.example.org", "/CN=shop.example.org", "DNS:shop.example.org"),
    (
        "bank",
        "cabf-tls-dv",
        "rsa:2048",
        "bank.example.org www.bank.example.org",
        "/CN=bank.example.org",
        "DNS:bank.example.org,DNS:www.bank.example.org",
    ),
    ("post", "cabf-tls-dv", "ec:P-384", "*.post.example.org", "/CN=post", "DNS:*.post.example.org"),
];

const P256: &str = "ec:P-256";

/// The bundle of all requests.
fn bundle(station: &Station) -> PathBuf {
    let dir = station.desk("requests");
    fs::create_dir_all(&dir).unwrap();
    let mut table = String::from("request,profile,requester,names\n");
    for (id, profile, key, names, subject, san) in REQUESTS {
        table += &format!("{id},{profile},hostmaster@example.org,{names}\n");
        let mut request = Command::new("openssl");
        request.args(["req", "-new", "-nodes", "-utf8", "-keyout", "/dev/null", "-subj", subject]);
        match key.split_once("ec:") {
            Some((_, curve)) => request.args(["-newkey", "ec", "-pkeyopt", &format!("ec_paramgen_curve:{curve}")]),
            None => request.args(["-newkey", key]),
        };
        if !san.is_empty() {
            // In a section of its own a value may have a comma.
            let names =
                san.split(',').enumerate().map(|(n, name)| format!("{}\n", name.replacen(':', &format!(".{n} = "), 1)));
            let names: String = names.collect::<String>().replace("FORMAT:UTF8;", "FORMAT:UTF8,");
            let config = format!(
                "[req]\ndistinguished_name = n\nreq_extensions = e\n[n]\n[e]\nsubjectAltName = @s\n[s]\n{names}"
            );
            fs::write(dir.with_extension("cnf"), config).unwrap();
            request.arg("-config").arg(dir.with_extension("cnf"));
        }
        let run = Run::of(request.arg("-out").arg(dir.join(format!("{id}.pem"))));
        assert_eq!(run.code, 0, "{id}: {run:?}");
    }
    fs::write(dir.join("requests.csv"), table).unwrap();
    station.pack(&dir, 1)
}

/// A station under a root of this algorithm, with a certificate of every profile; unpacked.
fn issued(root: &str) -> Station {
    let station = Station::bare_of(hierarchy(root));
    station.init().ok();
    for _ in ["keys", "certificates"] {
        station.carried_out(&station.planned_ceremony_of(&ceremony()));
    }
    let config = "[req]\ndistinguished_name = n\nx509_extensions = ca\n[n]\n[ca]\nbasicConstraints = critical, CA:TRUE\n\
                  keyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n";
    fs::write(station.path("partner.cnf"), config).unwrap();
    let partner = "req -x509 -config partner.cnf -nodes -newkey rsa:3072 -keyout /dev/null -days 999 -subj /O=Partner/CN=Root -out partner.pem";
    let run = Run::of(Command::new("openssl").args(partner.split(' ')).current_dir(station.dir()));
    assert_eq!(run.code, 0, "{run:?}");
    let signer = "req -new -nodes -config partner.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout /dev/null -subj /O=REHEARSAL/CN=CRLs -out signer.csr";
    let run = Run::of(Command::new("openssl").args(signer.split(' ')).current_dir(station.dir()));
    assert_eq!(run.code, 0, "{run:?}");
    let cross = "format = \"coldroot-ceremony-v0\"\ntitle = \"Cross\"\n\n[[act]]\nkind = \"cross-certificate\"\nca = \"root\"\n\
                 id = \"partner\"\ncertificate = \"partner.pem\"\nprofile = \"intermediate\"\ndays = 365\neku = [\"server-auth\"]\n\n\
                 [[act]]\nkind = \"signer\"\nid = \"log\"\nprofile = \"audit-signer\"\nsubject = [{ O = \"REHEARSAL\" }, { CN = \"Log\" }]\n\n\
                 [[act]]\nkind = \"signer\"\nid = \"crls\"\nprofile = \"crl-signer\"\nrequest = \"signer.csr\"\n\
                 subject = [{ O = \"REHEARSAL\" }, { CN = \"CRLs\" }]\n";
    station.carried_out(&station.planned_ceremony_of(cross));
    let plan = station.planned(&bundle(&station));
    let shown = station.run(&["show", plan.to_str().unwrap()]).ok();
    assert_eq!(shown["refused"], Value::Array(vec![]), "{shown:#}");
    let key = station.verifier_key();
    let unpack = |release: &Path| {
        station.run(&["unpack", release.to_str().unwrap(), "--to", "www", "--verifier-key", &key]).ok();
    };
    unpack(&station.carried_out(&plan));
    let serial = station.serial_of("talk");
    unpack(&station.carried_out(&station.planned_by(&["--revoke", &serial, "--reason", "superseded"])));
    station
}

/// Prints FILE, LEVEL and CODE of each error, by the linters that fit the file's name. Warnings are not asked for: that of a leaf
/// without a subjectKeyIdentifier contradicts the Baseline Requirements, which want none.
const PKILINT: &str = r#"
import contextlib, io, json, os, sys
from pkilint.bin import lint_cabf_serverauth_cert as cabf, lint_crl as crl, lint_pkix_cert as cert
from pkilint.bin import lint_pkix_signer_signee_cert_chain as chain
count = 0
for name in sorted(os.listdir('.')):
    def lint(by, *args):
        global count
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            by.main(['lint', '-f', 'JSON', '-s', 'ERROR', *args])
        count += 1
        for result in json.loads(out.getvalue())['results']:
            for finding in result['finding_descriptions']:
                print(name, finding['severity'], finding['code'])
    if name.endswith('.crl'):
        lint(crl, '-t', 'CRL', '-p', 'PKIX', name)
    else:
        lint(cert, name)
        if issuers[name] != name:
            lint(chain, issuers[name], name)
    if name in browsers:
        lint(cabf, '-d', name)
print('linted', count)
"#;

/// Each error that pkilint reports and is mistaken about, with what it is mistaken about:
/// `*.` begins a name whose meaning RFC 5280 §4.2.1.6 leaves to the application, here RFC 9525 §6.3; its linter for the Baseline
/// Requirements takes it. A URN has a scheme and a scheme-specific part, and no authority, which is all that §4.2.1.6 asks of it.
/// And the mark of a rehearsal is an attribute too many, and in front: a real hierarchy has none.
const MISTAKEN: [&str; 8] = [
    "doerte.cer ERROR pkix.invalid_uri_syntax",
    "post.cer ERROR pkix.invalid_domain_name_syntax",
    "pump.cer ERROR pkix.invalid_uri_syntax",
    "talk.cer ERROR pkix.invalid_domain_name_syntax",
    "web-root.cer ERROR cabf.serverauth.prohibited_duplicate_attribute_type",
    "web-root.cer ERROR cabf.serverauth.invalid_rdn_order",
    "web.cer ERROR cabf.serverauth.prohibited_duplicate_attribute_type",
    "web.cer ERROR cabf.serverauth.invalid_rdn_order",
];

#[test]
fn pkilint_finds_no_error_in_any_profile_nor_in_crls() {
    let station = issued("ecdsa-p384");
    let dir = station.path("linted");
    fs::create_dir(&dir).unwrap();
    let (mut issuers, mut profiles) = (serde_json::Map::new(), BTreeSet::new());
    for body in station.bodies() {
        let Body::Certificate(made) = body else { continue };
        let id = made.subject_ca.or(made.request).unwrap();
        fs::write(dir.join(format!("{id}.cer")), &made.der).unwrap();
        issuers.insert(format!("{id}.cer"), format!("{}.cer", made.ca).into());
        profiles.insert(made.profile);
    }
    assert!(Base::ALL.iter().all(|base| profiles.contains(base.name())), "{profiles:?}");
    let crls = files(&station.path("www/crls"));
    for crl in &crls {
        fs::write(dir.join(crl.file_name().unwrap()), fs::read(crl).unwrap()).unwrap();
    }
    let browsers = ["bank.cer", "post.cer", "shop.cer", "web-root.cer", "web.cer"];
    let script = format!("issuers = {}\nbrowsers = {browsers:?}\n{PKILINT}", Value::Object(issuers.clone()));
    let mut python = Command::new("python3");
    python.args(["-B", "-c", &script]).current_dir(&dir);
    let run = Run::of(python.env("PYTHONPATH", repository().join("target/judges")));
    assert_eq!(run.code, 0, "softhsm-tests/run-all installs pkilint: {run:?}");
    let (findings, last) = run.out.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(findings.lines().collect::<Vec<_>>(), MISTAKEN);
    assert_eq!(last, format!("linted {}", 2 * issuers.len() - 2 + crls.len() + browsers.len()));
}
