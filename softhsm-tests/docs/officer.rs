//! The officer's handbook: its commands are typed on a machine that has nothing but the plan, and its example is the program's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{COLDROOT, block, blocks, checkout, commands, read, run, softhsm};

const PAGE: &str = "docs/officer.md";

/// What is another in each run: digests, serial numbers, tags and times.
fn masked(text: &str) -> String {
    let time = |word: &str| word.len() == 20 && word.ends_with('Z') && word.starts_with("20") && word.contains('T');
    let digest = |word: &str| word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase());
    let mask = |word: &str| match word.trim_end_matches([':', ',']) {
        w if time(w) => word.replace(w, "TIME"),
        w if digest(w) => word.replace(w, "HEX"),
        _ => word.to_string(),
    };
    let line = |line: &str| line.split(' ').map(mask).collect::<Vec<_>>().join(" ");
    // The name of the plan has eight digits of its digest.
    let named = |line: &str| {
        line.split_once("/plan-").or(line.split_once(" plan-")).map(|(before, _)| format!("{before} PLAN"))
    };
    // The plan's digest as hex groups and words, which take more lines or fewer.
    let begins = |line: &str| line.strip_prefix("plan      ").is_some_and(|rest| !rest.starts_with(' '));
    let mut digest = false;
    let kept = text.lines().filter(|line| {
        digest = !line.is_empty() && (digest || begins(line));
        !digest
    });
    kept.map(|l| named(l).unwrap_or_else(|| line(l)) + "\n").collect()
}

/// What an officer has at home after a demo: the plan of the batch with its statement, the hierarchy, a key.
fn at_home(dir: &Path) -> PathBuf {
    let (demo, home) = (dir.join("demo"), dir.join("home"));
    let requests = checkout().join("softhsm-tests/requests");
    let made =
        Command::new(COLDROOT).args(["demo", "--dir"]).arg(&demo).arg("--requests").arg(requests).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::create_dir(&home).unwrap();
    let station = demo.join("station");
    let batch = fs::read_dir(station.join("out")).unwrap().map(|entry| entry.unwrap().path());
    let mut batch = batch.filter(|path| path.extension().is_some_and(|kind| kind == "statement"));
    let statement = batch.find(|path| fs::read_to_string(path).unwrap().contains("act          batch")).unwrap();
    for path in
        [statement.with_extension("plan"), statement, station.join("hierarchy.toml"), station.join("officers/alice")]
    {
        fs::copy(&path, home.join(path.file_name().unwrap())).unwrap();
    }
    home
}

#[test]
fn the_officers_handbook_can_be_typed_and_its_example_is_the_programs() {
    softhsm().expect("SoftHSM is not installed: softhsm-tests/run-all installs it");
    let dir = tempfile::tempdir().unwrap();
    let home = at_home(dir.path());
    let page = read(PAGE);
    let typed: Vec<_> = blocks(&page)
        .into_iter()
        .filter(|(info, _)| info == "sh officer")
        .flat_map(|(_, body)| commands(&body))
        .collect();
    assert!(typed.len() > 7, "only {} commands found", typed.len());
    run(&typed, &home, &[]);

    let mut plan = fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let plan = plan.find(|name| name.ends_with(".plan")).unwrap();
    let shown = Command::new(COLDROOT).args(["show", &plan]).current_dir(&home).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let old = block(&page, "text show");
    if std::env::var_os("UPDATE_EXPECTED").is_some() && masked(&old) != masked(&shown) {
        let fenced = |body: &str| format!("```text show\n{body}```");
        fs::write(checkout().join(PAGE), page.replacen(&fenced(&old), &fenced(&shown), 1)).unwrap();
    }
    let again = "after a change of `show`: UPDATE_EXPECTED=1 cargo test --test docs officers_handbook";
    assert_eq!(masked(&block(&read(PAGE), "text show")), masked(&shown), "{again}");
}
