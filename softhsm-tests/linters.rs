//! The lint on whole stations: what the program itself finds in the bytes that would have been signed, and what linters of others do.

#[path = "linters/external.rs"]
mod external;
mod harness;
#[path = "linters/programs.rs"]
mod programs;

use std::fs;

use harness::station::{HIERARCHY, Run, Station, fresh};
use serde_json::Value;

/// The refusals of a plan: request, check and reason.
fn refused(station: &Station, plan: &std::path::Path) -> Vec<[String; 3]> {
    let shown = station.run(&["show", plan.to_str().unwrap()]).ok();
    let text = |r: &Value, field: &str| r[field].as_str().unwrap().to_owned();
    let refused = shown["refused"].as_array().unwrap();
    refused.iter().map(|r| ["request", "check", "reason"].map(|field| text(r, field))).collect()
}

/// A CPS address that is none: only the bytes show it, and only the items of that profile are refused.
#[test]
fn a_defect_of_a_profile_refuses_its_items_and_no_others() {
    let second = "[[profile]]\nid = \"xmpp-cps\"\nbase = \"xmpp-server\"\nissuer = \"xmpp-1\"\ndays = 90\n\
                  policies = [{ oid = \"2.999.1\", cps = \"no-address\" }]\n\n[[desk]]\n";
    let hierarchy = HIERARCHY
        .replacen("[[desk]]\n", second, 1)
        .replace("profiles = [\"xmpp-server\"]", "profiles = [\"xmpp-server\", \"xmpp-cps\"]");
    let station = Station::ready_of(hierarchy);
    let requests = station.requests("requests", &harness::station::generated(3, 1));
    let table = fs::read_to_string(requests.join("requests.csv")).unwrap();
    let last = table.lines().next_back().unwrap().to_owned();
    let id = last.split(',').next().unwrap().to_owned();
    let changed = table.replace(&last, &last.replace("xmpp-server", "xmpp-cps"));
    fs::write(requests.join("requests.csv"), changed).unwrap();
    let plan = station.planned(&station.pack(&requests, 1));
    let [[request, check, reason]] = refused(&station, &plan).try_into().unwrap();
    assert_eq!((request, check.as_str()), (id.clone(), "lint"));
    assert!(reason.contains("certificatePolicies holds what is no absolute URI"), "{reason}");
    station.carried_out(&plan);
    let issued: Vec<String> = station.leaves().into_iter().map(|(request, ..)| request).collect();
    assert!(issued.len() == 2 && !issued.contains(&id), "{issued:?}");
    station.check_log();
}

/// What its CA and its profile put into each certificate leaves no room for as many names as a request may have: an entry of the log
/// is to hold the whole.
#[test]
fn p06_a_certificate_that_is_too_long_refuses_its_item_and_no_other() {
    let urls: Vec<String> = (0..18).map(|n| format!("\"http://ca.example.org/{}/{n}.crl\"", "x".repeat(440))).collect();
    let hierarchy = HIERARCHY.replace("\"http://ca.example.org/xmpp-1.crl\"", &urls.join(", "));
    let station = Station::ready_of(hierarchy);
    let names: Vec<String> = (0..24).map(|n| format!("{}.n{n}.example.org", "a".repeat(60))).collect();
    // openssl puts the first into a commonName, which is shorter.
    let names: Vec<&str> = ["long.example.org"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let rows = [fresh("long", &names), fresh("short", &["short.example.org"])];
    let plan = station.planned(&station.pack(&station.requests("requests", &rows), 1));
    let [[request, check, reason]] = refused(&station, &plan).try_into().unwrap();
    assert_eq!((request.as_str(), check.as_str()), ("long", "lint"), "{reason}");
    assert!(reason.contains("octets before its signature, more than 12288"), "{reason}");
    station.carried_out(&plan);
    let issued: Vec<String> = station.leaves().into_iter().map(|(request, ..)| request).collect();
    assert_eq!(issued, ["short"]);
    station.check_log();
}

/// One policy twice in the certificate of another CA, which would have been taken over.
#[test]
fn a_defect_in_a_ceremony_stops_it_before_a_key_is_used() {
    let station = Station::ready();
    let config = "[req]\ndistinguished_name = name\nprompt = no\nstring_mask = utf8only\nx509_extensions = ca\n\
                  [name]\nCN = Partner\n[ca]\nbasicConstraints = critical, CA:TRUE, pathlen:0\n\
                  keyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n\
                  certificatePolicies = DER:300c300406022a03300406022a03\n";
    fs::write(station.path("c.cnf"), config).unwrap();
    let line = "req -x509 -new -nodes -config c.cnf -days 3650 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout p.key -out p.pem";
    let made = Run::of(std::process::Command::new("openssl").args(line.split_whitespace()).current_dir(station.dir()));
    assert_eq!(made.code, 0, "{made:?}");
    let act = "format = \"coldroot-ceremony-v0\"\ntitle = \"Cross\"\n\n[[act]]\nkind = \"cross-certificate\"\nid = \"partner\"\n\
               certificate = \"p.pem\"\nprofile = \"intermediate\"\nca = \"root\"\ndays = 365\n";
    fs::write(station.path("cross.toml"), act).unwrap();
    let before = station.state();
    let saying = "check `lint` failed: its 1.2.3 stands twice in its certificatePolicies";
    station.run(&["plan", "--ceremony", "cross.toml"]).fails(1, saying);
    assert!(station.state() == before, "something was left behind");
}
