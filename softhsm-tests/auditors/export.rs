//! `export`: JSON lines, CSV, the public copy.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::harness::station::{Run, Station};
use super::harness::{files, repository};
use super::{coldroot, demo, key};

fn exported(args: &[&str]) -> (String, Value) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("out");
    let said = coldroot(&[&["export", "--json", "--to", to.to_str().unwrap()], args].concat()).ok();
    (fs::read_to_string(&to).unwrap(), said)
}

#[test]
fn json_lines_hold_every_entry_and_what_show_says_of_it() {
    let (lines, said) = exported(&["station/audit", "--format", "jsonl"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said["rows"], said["size"]);
    assert_eq!(lines.len() as u64, said["size"].as_u64().unwrap());
    let shown = coldroot(&["show", "station/audit", "--all", "--json"]).ok();
    for (line, shown) in lines.iter().zip(shown["entries"].as_array().unwrap()) {
        for name in ["index", "time", "kind", "fields"] {
            assert_eq!(line[name], shown[name]);
        }
    }
    // Octets as hex but for the certificate, which is what OpenSSL reads.
    let certificate = lines.iter().find(|line| line["kind"] == "certificate").unwrap();
    let der = data_encoding::BASE64.decode(certificate["fields"]["der"].as_str().unwrap().as_bytes()).unwrap();
    let fields = coldroot::x509::read_certificate(&der).unwrap();
    assert_eq!(certificate["fields"]["read-from-der"]["serial"], coldroot::text::hex(&fields.serial));
    let key = lines.iter().find(|line| line["kind"] == "key-generated").unwrap();
    assert!(key["fields"]["spki"].as_str().unwrap().starts_with("30"));
}

#[test]
fn the_table_has_a_row_for_each_certificate_and_revocation_and_no_formula() {
    let (table, _) = exported(&["log", "--format", "csv"]);
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let head = reader.headers().unwrap().clone();
    let column = |name: &str| head.iter().position(|cell| cell == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    let certificates = coldroot(&["show", "log", "--kind", "certificate", "--all", "--json"]).ok();
    let certificates = certificates["entries"].as_array().unwrap();
    assert_eq!(rows.len(), certificates.len());
    for (row, entry) in rows.iter().zip(certificates) {
        assert_eq!(&row[column("serial")], entry["fields"]["read-from-der"]["serial"].as_str().unwrap());
        assert_eq!(&row[column("sha256")], entry["fields"]["read-from-der"]["sha256"].as_str().unwrap());
        assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])), "{row:?}");
    }
    let (some, said) = exported(&["log", "--format", "csv", "--ca", "root"]);
    assert!(
        some.lines().count() as u64 == said["rows"].as_u64().unwrap() + 1
            && said["rows"].as_u64().unwrap() < rows.len() as u64
    );
}

/// Verified by `verify.py` alone.
#[track_caller]
fn verified(log: &Path, key: &str) -> Value {
    let mut python = Command::new("python3");
    python.arg(repository().join("audit-logs/verify.py")).arg(log).args(["--json", "--verifier-key", key]);
    Run::of(&mut python).ok()
}

#[test]
fn p04_a_public_copy_verifies_and_holds_nothing_that_is_withheld() {
    let station = Station::ready();
    // A bundle that was planned and never started: its plan is nobody's matter yet.
    let plan = station.planned(&station.bundle(2, 1));
    station.run(&["export", "audit", "--format", "public", "--to", "public"]).ok();
    let (public, key) = (station.path("public"), station.verifier_key());
    station.run(&["check", "public", "--verifier-key", &key, "--against", "audit/checkpoint"]).ok();
    let found = verified(&public, &key);
    assert!(found["absent"].as_u64().unwrap() > 0 && found["artefacts"].as_u64().unwrap() > 0, "{found}");
    // A second copy, of the copy, is the same to the last octet.
    station.run(&["export", "public", "--format", "public", "--to", "again"]).ok();
    let names =
        |dir: &Path| -> Vec<_> { files(dir).iter().map(|p| p.strip_prefix(dir).unwrap().to_path_buf()).collect() };
    assert_eq!(names(&public), names(&station.path("again")));
    for name in names(&public) {
        assert_eq!(fs::read(public.join(&name)).unwrap(), fs::read(station.path("again").join(&name)).unwrap());
    }
    // What is in it, by what the station's log says of each.
    let genesis = station.run(&["show", "audit", "--kind", "genesis"]).ok();
    let requesters = genesis["entries"][0]["fields"]["requesters"].as_str().unwrap().to_string();
    let artefact = |dir: &Path, digest: &str| dir.join("artefact").join(&digest[..2]).join(digest).exists();
    let hierarchy = genesis["entries"][0]["fields"]["hierarchy"].as_str().unwrap();
    assert!(
        artefact(&public, hierarchy)
            && !artefact(&public, &requesters)
            && artefact(&station.path("audit"), &requesters)
    );
    let planned = coldroot::digest::Digest::of(&fs::read(station.path(plan.to_str().unwrap())).unwrap()).hex();
    assert!(artefact(&station.path("audit"), &planned) && !artefact(&public, &planned));
    assert!(!public.join("tail").exists());
    // The log of the last release is the same copy at an earlier size.
    station.run(&["unpack", "out/release-0002", "--to", "www", "--verifier-key", &key]).ok();
    let of_release = station.path("www/log/artefact");
    for path in files(&of_release) {
        assert!(public.join("artefact").join(path.strip_prefix(&of_release).unwrap()).exists(), "{path:?}");
    }
}

#[test]
fn what_cannot_be_written_whole_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("taken");
    fs::write(&to, "mine").unwrap();
    let path = to.to_str().unwrap();
    for format in ["jsonl", "csv", "public"] {
        coldroot(&["export", "log", "--format", format, "--to", path, "--json"]).fails(1, "already");
        assert_eq!(fs::read_to_string(&to).unwrap(), "mine");
    }
    let new = dir.path().join("new");
    let new = new.to_str().unwrap();
    coldroot(&["export", "log", "--format", "public", "--kind", "crl", "--to", new, "--json"]).fails(2, "every entry");
    // A log with a damaged tile: the file of the rows before it does not stay.
    let damaged = dir.path().join("log");
    super::harness::copy_tree(&demo().join("log"), &damaged);
    let tile = files(&damaged.join("tile/entries")).remove(0);
    let mut octets = fs::read(&tile).unwrap();
    octets[100] ^= 1;
    fs::write(&tile, octets).unwrap();
    let run = coldroot(&["export", damaged.to_str().unwrap(), "--format", "jsonl", "--to", new, "--json"]);
    assert!(run.code != 0 && !Path::new(new).exists(), "{run:?}");
    assert!(!key().is_empty());
}

#[test]
fn a_year_is_one_page_and_another_year_an_empty_one() {
    let entries = coldroot(&["show", "log", "--rows", "1", "--json"]).ok();
    let year = &entries["entries"][0]["time"].as_str().unwrap()[..4];
    let (page, said) = exported(&["log", "--format", "html", "--year", year]);
    assert_eq!(said["entries"], entries["size"]);
    for fact in ["REHEARSAL", "xmpp-server", "root-key", "carol, dave watching", "names-validated", "number"] {
        assert!(page.contains(fact), "{fact}");
    }
    assert!(page.is_ascii() && !page.contains("<script"));
    let (page, said) = exported(&["log", "--format", "html", "--year", "2001"]);
    assert!(said["entries"] == 0 && page.contains("Nothing was issued."), "{said}");
    let to = demo().join("never");
    let to = to.to_str().unwrap();
    for (args, saying) in [(["--year", "20261"], "no year"), (["--kind", "crl"], "--year")] {
        let run = coldroot(&[&["export", "log", "--format", "html", "--to", to], &args[..]].concat());
        assert!(run.code == 2 && run.err.contains(saying), "{run:?}");
    }
    coldroot(&["export", "log", "--format", "csv", "--year", year, "--to", to, "--json"])
        .fails(2, "belongs to the page");
    assert!(!Path::new(to).exists());
}
