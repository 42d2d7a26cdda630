//! `show LOG` and its filters.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::coldroot;
use super::demo;
use super::harness::station::COLDROOT;

fn entries(filters: &[&str]) -> Vec<Value> {
    let args = [&["show", "station/audit", "--all", "--json"], filters].concat();
    coldroot(&args).ok()["entries"].as_array().unwrap().clone()
}

fn all_of<'a>(entries: &'a [Value], field: &str) -> BTreeSet<&'a str> {
    entries.iter().map(|entry| entry[field].as_str().unwrap()).collect()
}

#[test]
fn every_filter_takes_its_entries_and_no_others() {
    let all = entries(&[]);
    let indices: Vec<u64> = all.iter().map(|entry| entry["index"].as_u64().unwrap()).collect();
    assert!(indices.iter().copied().eq(0..all.len() as u64) && all.len() > 30);
    let certificate = all.iter().rfind(|entry| entry["kind"] == "certificate").unwrap();
    let (fields, time) = (&certificate["fields"], certificate["time"].as_str().unwrap());
    let serial = fields["read-from-der"]["serial"].as_str().unwrap();
    let of_openssl: Vec<String> =
        serial.to_uppercase().as_bytes().chunks(2).map(|b| String::from_utf8_lossy(b).into()).collect();

    for serial in [serial, &of_openssl.join(":")] {
        assert_eq!(entries(&["--serial", serial]), std::slice::from_ref(certificate));
    }
    assert_eq!(entries(&["--request", fields["request"].as_str().unwrap()]), std::slice::from_ref(certificate));
    let of_plan = entries(&["--plan", &fields["plan"].as_str().unwrap()[..8]]);
    assert_eq!(all_of(&of_plan, "kind"), ["certificate", "crl", "end", "planned", "refused", "start"].into());
    let by_carol = entries(&["--person", "carol"]);
    assert_eq!(all_of(&by_carol, "kind"), ["start"].into());
    assert_eq!(by_carol.len(), 3);
    let of_root = entries(&["--ca", "root"]);
    assert_eq!(all_of(&of_root, "kind"), ["certificate", "crl", "planned"].into());
    assert_eq!(all_of(&entries(&["--key", "root-key"]), "kind"), ["key-generated"].into());
    let two_kinds = entries(&["--kind", "start,end", "--kind", "crl"]);
    assert_eq!(all_of(&two_kinds, "kind"), ["crl", "end", "start"].into());
    // Several options must all fit.
    assert_eq!(entries(&["--kind", "start", "--ca", "root"]), [] as [Value; 0]);
    // The times of a log never fall unless its clock was corrected, so these three parts are the whole.
    let before = entries(&["--until", "2000-01-01"]).len();
    let within = entries(&["--since", "2000-01-01T00:00:01Z", "--until", time]).len();
    let (since, after) = (entries(&["--since", time]).len(), all.len());
    assert!(before == 0 && within > 1 && since >= 1 && within + since >= after, "{within} {since} {after}");
}

#[test]
fn the_last_rows_are_shown_and_the_others_counted() {
    let all = entries(&[]).len();
    let text = |args: &[&str]| {
        let run = coldroot(&[&["show", "station/audit"], args].concat());
        assert!(run.code == 0 && run.err.is_empty(), "{run:?}");
        assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
        run.out
    };
    let page = text(&["--rows", "3"]);
    assert_eq!(page.lines().filter(|line| line.contains("202")).count(), 3, "{page}");
    assert!(page.ends_with(&format!("({} earlier entries; --all shows them)\n", all - 3)), "{page}");
    let certificates = entries(&["--kind", "certificate"]).len();
    let page = text(&["--kind", "certificate", "--rows", "2"]);
    let said = format!("{certificates} of {all} entries match; {} earlier ones are not shown", certificates - 2);
    assert!(page.contains(&said), "{page}");
    assert!(text(&["--kind", "failure"]).ends_with(&format!("None of the {all} entries match.\n")));
    assert!(!text(&["--all"]).contains("earlier"));
    let json = coldroot(&["show", "station/audit", "--rows", "2", "--json"]).ok();
    assert_eq!((&json["found"], &json["left-out"]), (&all.into(), &(all - 2).into()));
}

#[test]
fn a_closed_pager_is_no_failure_and_wrong_filters_are() {
    let mut show = Command::new(COLDROOT);
    show.args(["show", "station/audit", "--all"]).current_dir(demo()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = show.spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 0));

    let wrong = coldroot(&["show", "station/audit", "--kind", "certificates"]);
    assert!(wrong.code == 2 && wrong.err.contains("possible values: genesis"), "{wrong:?}");
    for (filter, value) in [("--since", "yesterday"), ("--serial", "no hex"), ("--plan", "ab")] {
        assert_eq!(coldroot(&["show", "station/audit", filter, value]).code, 2, "{filter}");
    }
    coldroot(&["show", "root.pem", "--kind", "crl", "--json"]).fails(2, "choose entries of a log");
}
