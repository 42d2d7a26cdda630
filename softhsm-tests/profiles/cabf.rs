//! A station that keeps the Baseline Requirements, on both sides of each of their dates.

use std::path::{Path, PathBuf};

use coldroot::audit::entry::Body;
use coldroot::cli::pack::{PackArgs, pack_at};
use coldroot::text::{parse_utc, utc};

use super::harness::files;
use super::harness::station::{HIERARCHY, Station};
use super::{Ask, P256, RSA_2048, openssl, refusals, requests, text};

const PROFILES: &str = r#"[[profile]]
id = "xmpp-server"
base = "cabf-tls-dv"
issuer = "xmpp-1"
window-hours = 1

[[profile]]
id = "days-398"
base = "xmpp-server"
days = 398

[[profile]]
id = "days-200"
base = "xmpp-server"
days = 200

[[profile]]
id = "days-100"
base = "xmpp-server"
days = 100

[[desk]]
"#;

/// Before the first of the dates.
const BEGIN: &str = "2026-03-01T00:00:00Z";

fn hierarchy() -> String {
    let profile =
        "[[profile]]\nid = \"xmpp-server\"\nbase = \"xmpp-server\"\nissuer = \"xmpp-1\"\ndays = 90\n\n[[desk]]\n";
    assert!(HIERARCHY.contains(profile));
    let subject =
        |cn: &str| format!("{{ O = \"REHEARSAL\" }}, {{ C = \"DE\" }}, {{ O = \"Example\" }}, {{ CN = \"{cn}\" }}");
    HIERARCHY
        .replace("{ O = \"REHEARSAL\" }, { CN = \"Road Root\" }", &subject("Road Root"))
        .replace("{ O = \"REHEARSAL\" }, { CN = \"Road XMPP 1\" }", &subject("Road TLS 1"))
        .replace("crl-days = 365", "rules = [\"cabf-tls\"]\ncrl-days = 365")
        .replace("crl-days = 10", "rules = [\"cabf-tls\"]\nlimits = { eku = [\"server-auth\"] }\ncrl-days = 10")
        .replace("id = \"root\"\nbase = \"root\"", "id = \"root\"\nbase = \"root\"\nwindow-hours = 24")
        .replace("path-len = 0", "path-len = 0\nwindow-hours = 24\npolicies = [{ oid = \"2.23.140.1.2.1\" }]")
        .replace(profile, PROFILES)
        .replace(
            "profiles = [\"xmpp-server\"]",
            "profiles = [\"xmpp-server\", \"days-398\", \"days-200\", \"days-100\"]",
        )
}

/// Root and issuing CA made at the beginning, whatever the day is.
fn station() -> Station {
    let station = Station::bare_of(hierarchy());
    station.run(&[&station.init_args()[..], &["--now", BEGIN]].concat()).ok();
    let acts = ["generate-key:key=root-key", "generate-key:key=xmpp-key", "root:ca=root", "intermediate:ca=xmpp-1"];
    let mut ceremony = String::from("format = \"coldroot-ceremony-v0\"\ntitle = \"T\"\n");
    for act in acts {
        let (kind, (field, of)) = act.split_once(':').map(|(k, rest)| (k, rest.split_once('=').unwrap())).unwrap();
        ceremony += &format!("\n[[act]]\nkind = \"{kind}\"\n{field} = \"{of}\"\n");
    }
    std::fs::write(station.path("ceremony.toml"), ceremony).unwrap();
    for _ in ["keys", "certificates"] {
        let plan = station.run(&["plan", "--ceremony", "ceremony.toml", "--now", BEGIN]).ok();
        sign(&station, Path::new(plan["plan"].as_str().unwrap()), BEGIN);
    }
    station
}

fn sign(station: &Station, plan: &Path, now: &str) -> serde_json::Value {
    let approvals = station.approve(plan);
    station.run(&[&station.sign_args(plan, &approvals)[..], &["--now", now]].concat()).ok()
}

/// How many certificates are on record.
fn certificates(station: &Station) -> usize {
    station.bodies().into_iter().filter(|body| matches!(body, Body::Certificate(_))).count()
}

/// A bundle made at this time.
fn bundle(station: &Station, requests: &Path, at: i64) -> PathBuf {
    let out = station.desk(&format!("{at}.bundle"));
    let args = PackArgs {
        hierarchy: station.path("hierarchy.toml"),
        desk: "desk-1".into(),
        key: station.desk("desk-1"),
        requests: Some(requests.to_owned()),
        table: None,
        validations: vec![],
        revocations: None,
        sequence: 1,
        answers: None,
        release: None,
        expires_days: 14,
        out: out.clone(),
    };
    pack_at(&args, at).unwrap();
    out
}

#[test]
fn validity_is_lawful_by_the_date_of_signing_and_refused_beside_it() {
    let station = station();
    let san = &["-subj", "/CN=ignored", "-addext", "subjectAltName=DNS:www.example.org,DNS:*.www.example.org"];
    let names = "www.example.org *.www.example.org";
    let other = |id, profile| Ask(id, profile, "a@example.org", names, san);
    let asks: &[(Ask, &[&str])] = &[
        (other("a-398", "days-398"), P256),
        (other("b-200", "days-200"), P256),
        (other("c-100", "days-100"), RSA_2048),
        (other("d-47", "xmpp-server"), P256),
        (Ask("e-host", "xmpp-server", "a@example.org", "printer.local", &["-subj", "/CN=printer.local"]), P256),
    ];
    let dir = requests(&station, 1, asks);
    let before = certificates(&station);
    let at = |text: &str| parse_utc(text).unwrap();
    let too_long = |ids: &[&'static str]| {
        let mut refused: Vec<(&str, &str)> = ids.iter().map(|id| (*id, "cabf-validity")).collect();
        refused.push(("e-host", "cabf-names"));
        refused
    };
    for (date, first, then) in [
        ("2026-03-15T00:00:00Z", &[][..], &["a-398"][..]),
        ("2027-03-15T00:00:00Z", &["a-398"], &["a-398", "b-200"]),
        ("2029-03-15T00:00:00Z", &["a-398", "b-200"], &["a-398", "b-200", "c-100"]),
    ] {
        let station = station.copy();
        let bundle = bundle(&station, &dir, at(date) - 7_200);
        // The window of an hour ends a second before the date, or at the date.
        for (now, ids) in [(at(date) - 3_601, first), (at(date) - 3_600, then)] {
            let made = station.run(&["plan", "--bundle", text(&bundle), "--now", &utc(now)]).ok();
            let shown = station.run(&["show", made["plan"].as_str().unwrap()]).ok();
            assert_eq!(refusals(&shown), too_long(ids), "{}", utc(now));
        }
        assert_eq!(certificates(&station), before, "a plan signs nothing");
    }

    // What is left at the last date is signed, and says what it is not.
    let now = at("2029-03-15T00:00:00Z");
    let bundle = bundle(&station, &dir, now - 60);
    let made = station.run(&["plan", "--bundle", text(&bundle), "--now", &utc(now)]).ok();
    let plan = PathBuf::from(made["plan"].as_str().unwrap());
    let shown = station.run(&["show", text(&plan)]).ok();
    let statement = shown["statement"].as_str().unwrap();
    assert!(
        statement.contains("act          batch xmpp-1 xmpp-server (not for browser trust: no SCTs) count 1\n"),
        "{statement}"
    );
    assert!(statement.lines().filter(|line| line.starts_with("act")).all(|line| line.len() <= 80), "{statement}");
    let signed = sign(&station, &plan, &utc(now));
    let (key, release) = (station.verifier_key(), signed["directory"].as_str().unwrap());
    station.run(&["unpack", release, "--to", "www", "--verifier-key", &key, "--now", &utc(now)]).ok();
    let leaf = station.path("www/certs/d-47.pem");
    assert_eq!(files(&station.path("www/certs")), std::slice::from_ref(&leaf), "and nothing for those refused");
    let shown = openssl(&["x509", "-in", text(&leaf), "-noout", "-text"]);
    for part in
        ["Subject: \n", "Policy: 2.23.140.1.2.1", "DNS:www.example.org, DNS:*.www.example.org", "TLS Web Server"]
    {
        assert!(shown.contains(part), "`{part}` is not in\n{shown}");
    }
    assert!(!shown.contains("Subject Key Identifier"), "{shown}");
    let [root, middle] = ["root", "intermediates"].map(|name| station.path(&format!("www/{name}.pem")));
    let time = now.to_string();
    let args = ["verify", "-x509_strict", "-purpose", "sslserver", "-attime", &time, "-CAfile", text(&root)];
    let judged = openssl(&[&args[..], &["-untrusted", text(&middle), text(&leaf)]].concat());
    assert!(judged.contains(": OK"), "{judged}");
    let page = std::fs::read_to_string(station.path("www/report.html")).unwrap();
    assert!(page.contains("xmpp-server (not for browser trust: no SCTs)"));

    // The hierarchy itself, by its check: what is over, and what will be.
    let check = |now: &str| station.run(&["check", "hierarchy.toml", "--now", now]);
    check("2026-03-14T23:59:59Z").ok();
    check("2026-03-15T00:00:00Z").fails(2, "`ca[1].rules` has cabf-tls");
    let listed = station.run(&["show", "hierarchy.toml"]).ok();
    assert_eq!(listed["no-scts"].as_array().unwrap().len(), 4, "{listed}");
}
