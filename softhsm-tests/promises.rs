//! Promises 11 and 12: memory that does not grow with the input, and one story told by statement, log and release.

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::audit::entry::Body;
use coldroot::bundle::{Item, Request};
use coldroot::cbor::Bytes;
use coldroot::plan::Plan;
use coldroot::text::Untrusted;
use coldroot::x509::fields::reason_name;
use harness::forged::Forged;
use harness::station::{COLDROOT, Run, Station};
use serde_json::Value;

/// A bundle of `n` requests, signed by the station's desk. The requests are one and the same under many ids: who reads the
/// bundle does not judge them.
fn large_bundle(station: &Station, n: u64) -> PathBuf {
    let csr = coldroot::requests::generate(1, 1).next().unwrap().unwrap().csr;
    let request = |i| {
        Item::Request(Request {
            request: format!("r{i}"),
            profile: "xmpp-server".into(),
            requester: Untrusted::new("hostmaster@example.org"),
            names: vec![format!("n{i}.example.org")],
            csr: Bytes::from(csr.to_vec()),
        })
    };
    Forged::new().items((0..n).map(request)).write(station, &format!("large-{n}"))
}

/// Runs the binary with at most so many KiB of address space.
fn within(station: &Station, kib: u64, args: &[&str]) -> Run {
    let script = format!("ulimit -v {kib} && exec \"$0\" \"$@\"");
    Run::of(Command::new("bash").current_dir(station.dir()).args(["-c", &script, COLDROOT, "--json"]).args(args))
}

#[test]
fn p11_a_bundle_is_read_in_memory_that_does_not_grow_with_it() {
    let station = Station::bare();
    let (small, large) = (large_bundle(&station, 100), large_bundle(&station, 150_000));
    // The least that the small one needs, in steps of 8 MiB.
    let check =
        |path: &Path, kib| within(&station, kib, &["check", path.to_str().unwrap(), "--hierarchy", "hierarchy.toml"]);
    let least = (2..64).map(|n| n * 8 * 1024).find(|kib| check(&small, *kib).code == 0).expect("the small one is read");
    let size = fs::metadata(&large).unwrap().len() / 1024;
    // What grows is the memory of ids, some 40 octets each; the file is many times that.
    let more = 24 * 1024;
    assert!(size > 2 * more, "the large bundle has only {size} KiB");
    let run = check(&large, least + more);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.json()["count"], 150_000, "{run:?}");
}

/// Lines of code: no comment, no blank line, no tests.
fn code_lines(source: &str) -> usize {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

/// Who wants to know whether the gate enforces a plan has to read it: what is in the gate's own room, but for the parent's end
/// of it.
#[test]
fn p01_the_gate_stays_small_enough_to_be_read() {
    assert_eq!(code_lines("//! a\n\nuse b;\n    // c\nfn d() {}\n#[cfg(test)]\nmod tests {}\n"), 2);
    let files = harness::files(&harness::repository().join("src/gate"));
    let own = files.iter().filter(|file| !file.ends_with("client.rs"));
    let lines: usize = own.map(|file| code_lines(&fs::read_to_string(file).unwrap())).sum();
    assert!((400..950).contains(&lines), "the gate has {lines} lines of code; it stays under 950");
}

/// What a statement says is done: act, CA, detail, count.
fn stated(statement: &str) -> BTreeMap<(String, String, String), u64> {
    let acts = statement.lines().filter_map(|line| line.strip_prefix("act          "));
    let act = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [act, ca, detail, "count", count] = words[..] else { panic!("{line}") };
        ((act.to_owned(), ca.to_owned(), detail.to_owned()), count.parse().unwrap())
    };
    acts.map(act).collect()
}

/// The same, counted in the log.
fn recorded(station: &Station, plan: &Plan) -> BTreeMap<(String, String, String), u64> {
    let mut counts = BTreeMap::new();
    for body in station.bodies() {
        let (of, act, ca, detail) = match body {
            Body::KeyGenerated(k) => (k.plan, "generate-key", k.key, k.algorithm.name().to_owned()),
            Body::Certificate(c) => {
                let act = match &c.subject_ca {
                    Some(ca) if *ca == c.ca => "root",
                    Some(_) => "intermediate",
                    None => "batch",
                };
                (c.plan, act, c.ca, c.profile)
            }
            Body::Revoked(r) => (r.plan, "revoke", r.ca, reason_name(r.reason).to_owned()),
            Body::Crl(c) => (c.plan, "crl", c.ca, format!("number-{}", c.number)),
            _ => continue,
        };
        if of == plan.digest() {
            *counts.entry((act.to_owned(), ca, detail)).or_default() += 1;
        }
    }
    counts
}

#[test]
fn p12_statement_log_and_release_say_the_same() {
    let station = Station::bare();
    station.init().ok();
    let mut plans = vec![];
    for _ in ["keys", "certificates"] {
        plans.push(station.planned_ceremony());
        station.carried_out(plans.last().unwrap());
    }
    plans.push(station.planned(&station.bundle(5, 1)));
    station.carried_out(plans.last().unwrap());
    let serial = station.serial_of(&station.leaves()[0].0);
    plans.push(station.planned_by(&["--revoke", &serial, "--reason", "superseded", "--crl", "root"]));
    station.carried_out(plans.last().unwrap());
    let key = station.verifier_key();
    for (n, path) in (1..).zip(&plans) {
        let statement = fs::read_to_string(station.dir().join(path.with_extension("statement"))).unwrap();
        let plan = Plan::open(&station.dir().join(path)).unwrap();
        let said = stated(&statement);
        assert_eq!(said, recorded(&station, &plan), "release {n}");
        let release = format!("out/release-{n:04}");
        let args = ["check", &release, "--verifier-key", &key, "--hierarchy", "hierarchy.toml"];
        let found = station.run(&args).ok();
        let count = |acts: &[&str]| -> u64 {
            said.iter().filter(|((act, ..), _)| acts.contains(&act.as_str())).map(|(_, count)| count).sum()
        };
        let released = |what: &str| found[what].as_u64().unwrap();
        assert_eq!(released("certificates"), count(&["batch"]), "release {n}");
        assert_eq!(released("keys"), count(&["generate-key"]), "release {n}");
        assert_eq!(released("revoked"), count(&["revoke"]), "release {n}");
        assert!(released("cas") >= count(&["root", "intermediate"]) && released("crls") >= count(&["crl"]), "{found}");
        assert_eq!(found["not-compared"].as_array().map(Vec::len), Some(1), "only the root is not compared: {found}");
        let shown: Value = station.run(&["show", &release]).ok();
        assert_eq!(shown["items"].as_u64(), Some(said.values().sum()), "release {n}");
    }
}
