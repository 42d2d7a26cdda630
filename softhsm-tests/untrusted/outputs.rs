//! Outputs that no expected file holds, since what they print is long: whatever goes in, they stay what they are.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use coldroot::audit::entry::Body;
use serde_json::Value;

use super::corpus::{Sample, corpus};
use super::harness::station::{Station, ssh_key};
use super::{files, json, os, page, told};

/// A log with the sample in every field, exported; the rest of the arguments is the format.
fn exported(dir: &Path, sample: &Sample, format: &[&str]) -> Option<String> {
    files::log(dir, sample)?;
    let _ = fs::remove_file(dir.join("exported"));
    let args = os(&[&["export", "log", "--to", "exported", "--format"], format].concat());
    let args: Vec<&OsStr> = args.iter().map(|arg| arg.as_os_str()).collect();
    let told = told(dir, &args);
    assert!(told.ends_with("[exit 0]\n"), "{}: {told}", sample.name);
    let exported = fs::read_to_string(dir.join("exported")).unwrap();
    let stray = exported.chars().find(|c| !matches!(c, '\n' | '\r' | '\u{2014}' | '\u{b7}' | '\u{2013}' | ' '..='~'));
    assert_eq!(stray, None, "{}, {format:?}", sample.name);
    Some(exported)
}

#[test]
fn p07_untrusted_text_in_exported_lines_is_one_json_object_an_entry_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    for sample in corpus() {
        let Some(lines) = exported(dir.path(), &sample, &["jsonl"]) else { continue };
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |kind: &str| lines.iter().find(|line| line["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
        assert_eq!(of("deviation")["fields"]["what"].as_str(), sample.text.as_deref(), "{}", sample.name);
        assert_eq!(of("refused")["fields"]["reason"].as_str(), sample.text.as_deref(), "{}", sample.name);
    }
}

#[test]
fn p07_untrusted_text_adds_no_element_to_the_page_of_a_year() {
    let dir = tempfile::tempdir().unwrap();
    let year = &["html", "--year", "2026"];
    let plain = Sample { name: "plain".into(), bytes: b"x".to_vec(), text: Some("x".into()) };
    let known = exported(dir.path(), &plain, year).unwrap();
    // Of a tag only its name and its attributes' names count: what is drawn has the numbers of its own data.
    let kind = |tag: &str| tag.split('"').step_by(2).collect::<String>();
    let known: Vec<String> = page::tags(&known).into_iter().map(kind).collect();
    for sample in corpus() {
        let Some(html) = exported(dir.path(), &sample, year) else { continue };
        let unknown: Vec<&str> = page::tags(&html).into_iter().filter(|tag| !known.contains(&kind(tag))).collect();
        assert!(
            unknown.iter().all(|tag| ["<code>", "</code>", "<small>", "</small>"].contains(tag)),
            "{}: {unknown:?}",
            sample.name
        );
        assert!(!html.contains("<script") && !html.contains("<img"), "{}", sample.name);
    }
}

/// A log in which nothing fits together, and whose certificates are none, is refused by what folds it; the table says of each what it is,
/// in ASCII and without a formula.
#[test]
fn p07_untrusted_text_in_a_log_that_does_not_fold_is_refused_by_calendar_and_told_by_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for sample in corpus() {
        let Some(_) = files::log(dir.path(), &sample) else { continue };
        let calendar = ["calendar", "log"].map(OsStr::new);
        let said = told(dir.path(), &calendar);
        assert!(said.ends_with("[exit 1]\n") || said.ends_with("[exit 3]\n"), "{}: {said}", sample.name);
        json(dir.path(), &calendar);
        let table = ["export", "log", "--to", "table", "--format", "csv"].map(OsStr::new);
        let said = told(dir.path(), &table);
        assert!(
            said.contains("1 entry of a certificate holds no certificate") && said.ends_with("[exit 0]\n"),
            "{said}"
        );
        assert!(said.contains("next: coldroot check log"), "{said}");
        let written = fs::read_to_string(dir.path().join("table")).unwrap();
        assert!(written.bytes().all(|c| matches!(c, b'\r' | b'\n' | b' '..=b'~')), "{}", sample.name);
        let rows: Vec<csv::StringRecord> =
            csv::Reader::from_reader(written.as_bytes()).records().collect::<Result<_, _>>().unwrap();
        let (unreadable, rest): (Vec<_>, Vec<_>) = rows.iter().partition(|row| &row[2] == "certificate, unreadable");
        assert!(unreadable.len() == 1 && unreadable[0][12].contains("cannot read the certificate as DER"), "{rows:?}");
        // The row behind it is there: the table goes on.
        assert!(rest.len() == 1 && &rest[0][2] == "revocation", "{rows:?}");
        let formula = ['=', '+', '-', '@', '\t', '\r'];
        assert!(rows.iter().flatten().all(|cell| !cell.starts_with(formula)), "{rows:?}");
        // Where a semicolon parts cells, quotes keep them together.
        assert!(written.lines().skip(1).all(|line| line.starts_with('"') && line.ends_with('"')), "{written}");
        fs::remove_file(dir.path().join("table")).unwrap();
        seen += 1;
    }
    assert!(seen > 20, "{seen} samples");
}

type Forge = fn(&Path, &Sample) -> Option<Vec<&'static str>>;

const FORGES: [Forge; 14] = [
    files::certificate,
    files::crl,
    files::request,
    files::plan,
    files::key_plan,
    files::release,
    files::log,
    files::bundle,
    files::signature,
    files::statement,
    files::ceremony,
    files::hierarchy_name,
    files::hierarchy_field,
    files::hierarchy_value,
];

/// `check` says less than `show`, and of the same files, so every third sample will do: for people and for machines what it says keeps its form.
#[test]
fn p07_untrusted_text_in_what_is_checked_is_told_in_ascii_lines() {
    let dir = tempfile::tempdir().unwrap();
    for (sample, forge) in corpus().iter().step_by(3).flat_map(|sample| FORGES.map(|forge| (sample, forge))) {
        let Some(args) = forge(dir.path(), sample) else { continue };
        let file = args.iter().skip(1).find(|arg| dir.path().join(arg).exists()).unwrap();
        let args = [OsStr::new("check"), OsStr::new(file)];
        told(dir.path(), &args);
        json(dir.path(), &args);
    }
}

/// Hostile text adds no element and no attribute to the page of anything that is shown.
#[test]
fn p07_untrusted_text_adds_no_element_to_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let page = |args: &[&OsStr], sample: &Sample| -> Option<String> {
        let page = dir.path().join("page.html");
        let _ = fs::remove_file(&page);
        let said = told(dir.path(), &[args, &[OsStr::new("--html"), OsStr::new("page.html")]].concat());
        let written = fs::read_to_string(page).ok();
        // A check that fails has a page as well.
        let has_one = said.ends_with("[exit 0]\n") || said.ends_with("[exit 4]\n");
        assert_eq!(written.is_some(), has_one, "{}: {said}", sample.name);
        written
    };
    // Of a tag only its name and its attributes' names count.
    let kind = |tag: &str| tag.split('"').step_by(2).collect::<String>();
    let plain = Sample { name: "plain".into(), bytes: b"x".to_vec(), text: Some("x".into()) };
    let mut seen = 0;
    for forge in FORGES {
        let Some(args) = forge(dir.path(), &plain) else { continue };
        let args: Vec<&OsStr> = args.iter().map(|arg| OsStr::new(*arg)).collect();
        let mut known: Vec<String> =
            page(&args, &plain).map_or(Vec::new(), |page| page::tags(&page).into_iter().map(kind).collect());
        known.extend(["<br>", "<span>", "<span class=>"].map(str::to_owned));
        for sample in corpus() {
            let Some(_) = forge(dir.path(), &sample) else { continue };
            let Some(html) = page(&args, &sample) else { continue };
            let stray = html.chars().find(|c| !matches!(c, '\n' | '\u{2014}' | ' '..='~'));
            assert_eq!(stray, None, "{args:?} {}", sample.name);
            let unknown: Vec<&str> = page::tags(&html).into_iter().filter(|tag| !known.contains(&kind(tag))).collect();
            assert!(unknown.is_empty(), "{args:?} {}: {unknown:?}", sample.name);
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen} pages");
}

/// Files that are only named, or compared: hostile text in them is told in ASCII lines, and adds nothing to a page.
#[test]
fn p07_untrusted_text_in_what_is_only_named_is_told_in_ascii_lines() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for sample in corpus() {
        let Some(text) = &sample.text else { continue };
        let manifest = serde_json::json!([{ "path": text, "size": 1, "sha256": text }]);
        let refused = serde_json::json!([{ "request": text, "check": text, "reason": text }]);
        for (name, content) in [
            ("manifest.json", manifest.to_string()),
            ("refused.json", refused.to_string()),
            ("page.html", format!("<!DOCTYPE html><title>{text}</title>")),
            ("requests.csv", format!("request,profile,{text}\n")),
            ("softhsm2.conf", format!("directories.tokendir = {text}\n")),
        ] {
            fs::write(dir.path().join(name), content).unwrap();
            for verb in ["show", "check"] {
                let args = [OsStr::new(verb), OsStr::new(name)];
                let said = told(dir.path(), &args);
                let code = match (verb, name) {
                    ("check", "manifest.json") => 4,
                    ("check", _) => 2,
                    _ => 0,
                };
                assert!(said.ends_with(&format!("[exit {code}]\n")), "{}: {said}", sample.name);
                json(dir.path(), &args);
                let _ = fs::remove_file(dir.path().join("told.html"));
                told(dir.path(), &[&args[..], &["--html", "told.html"].map(OsStr::new)].concat());
                let page = fs::read_to_string(dir.path().join("told.html")).unwrap();
                let stray = page.chars().find(|c| !matches!(c, '\n' | '\u{2014}' | ' '..='~'));
                assert_eq!(stray, None, "{verb} {name} {}", sample.name);
                let alien =
                    ["<script", "<img", "<b>", "<a ", "<iframe", "<title></"].iter().find(|tag| page.contains(**tag));
                assert_eq!((alien, page.matches("<title>").count()), (None, 1), "{verb} {name} {}", sample.name);
            }
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen} files");
}

/// What people type about what they did goes on record as it is or not at all, and comes out of log, page and table again.
#[test]
fn p07_untrusted_text_that_people_put_on_record_is_shown_escaped() {
    let station = Station::ready();
    fs::write(station.path("file"), "x").unwrap();
    let mut kept = Vec::new();
    for sample in corpus().into_iter().filter(|s| !s.bytes.contains(&0) && s.bytes.len() < 100_000) {
        for verb in [
            &["record", "deviation", "--person=carol"][..],
            &["record", "evidence", "file", "--kind=minutes", "--person=carol"],
        ] {
            let before = station.entries().len();
            let what = [b"--what=", &sample.bytes[..]].concat();
            let args: Vec<&OsStr> = verb.iter().map(OsStr::new).chain([OsStr::from_bytes(&what)]).collect();
            let said = told(&station.dir(), &args);
            let new = station.bodies().split_off(before);
            match new.as_slice() {
                [] => assert!(said.ends_with("[exit 2]\n"), "{}: {said}", sample.name),
                [.., Body::Deviation { what, .. }] => assert_eq!(Some(what), sample.text.as_ref()),
                [.., Body::Evidence(evidence)] => assert_eq!(Some(&evidence.what), sample.text.as_ref()),
                other => panic!("{other:?}"),
            }
            kept.extend(new);
        }
    }
    assert!(kept.len() > 20, "{} samples were recorded", kept.len());
    let show = ["show", "audit", "--all"].map(OsStr::new);
    told(&station.dir(), &show);
    json(&station.dir(), &show);
    for (to, format) in [("a.csv", &["csv"][..]), ("a.jsonl", &["jsonl"]), ("a.html", &["html", "--year", "2026"])] {
        let args = [&["export", "audit", "--to", to, "--format"], format].concat();
        told(&station.dir(), &args.iter().map(OsStr::new).collect::<Vec<_>>());
        let page = fs::read_to_string(station.path(to)).unwrap();
        assert!(
            page.chars().all(|c| matches!(c, '\n' | '\r' | '\u{2014}' | '\u{b7}' | '\u{2013}' | ' '..='~')),
            "{to}"
        );
    }
    station.check_log();
}

/// Names of files become arguments of `ssh-keygen`, and parts of the names of what it writes.
#[test]
fn p07_untrusted_names_of_files_reach_ssh_keygen_as_files() {
    let dir = tempfile::tempdir().unwrap();
    ssh_key(&dir.path().join("good"));
    let plain = Sample { name: "plain".into(), bytes: b"x".to_vec(), text: Some("x".into()) };
    files::statement(dir.path(), &plain).unwrap();
    let statement = fs::read(dir.path().join("statement")).unwrap();
    for sample in corpus() {
        let fits =
            sample.bytes.len() < 200 && !sample.bytes.is_empty() && !sample.bytes.iter().any(|c| [0, b'/'].contains(c));
        if !fits || [&b"."[..], b".."].contains(&&sample.bytes[..]) {
            continue;
        }
        let own = tempfile::tempdir().unwrap();
        let name = OsStr::from_bytes(&sample.bytes);
        fs::write(own.path().join(name), &statement).unwrap();
        fs::copy(dir.path().join("good"), own.path().join("key")).unwrap();
        let (before, file) = (fs::read_dir(own.path()).unwrap().count(), own.path().join(name));
        let args = [
            OsStr::new("approve"),
            file.as_os_str(),
            OsStr::new("--person=alice"),
            OsStr::new("--key"),
            OsStr::new("key"),
            OsStr::new("--yes"),
        ];
        let said = told(own.path(), &args);
        let after = fs::read_dir(own.path()).unwrap().count();
        let wanted = before + usize::from(said.ends_with("[exit 0]\n"));
        assert_eq!(after, wanted, "{}: {said}", sample.name);
    }
}
