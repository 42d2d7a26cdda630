//! What the documents name exists: commands, tests, files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{COLDROOT, blocks, checkout, commands, harness, read};

/// The pages whose commands must exist.
const PAGES: [&str; 10] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/operator.md",
    "docs/auditor.md",
    "docs/cli.md",
    "docs/recovery.md",
    "docs/assurance.md",
    "docs/formats.md",
    "ceremony-scripts/hierarchy.example.toml",
];

#[test]
fn every_command_in_the_documents_is_one_of_the_program() {
    let help = |words: &[&str]| {
        let out = Command::new(COLDROOT).args(words).arg("--help").output().unwrap();
        out.status.success().then(|| String::from_utf8(out.stdout).unwrap())
    };
    let mut seen = 0;
    for page in PAGES {
        let text = read(page);
        let fenced = blocks(&text).into_iter().flat_map(|(_, body)| commands(&body)).map(|(line, _)| line);
        let mut fence = false;
        let prose = text.lines().filter(|line| {
            fence ^= line.starts_with("```");
            !fence
        });
        // A span of code never goes over the end of a line here.
        let inline = prose.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_string);
        for line in fenced.chain(inline) {
            let line = line.split(" #").next().unwrap_or_default();
            let program = |word: &str| word == "coldroot" || word.ends_with("/coldroot");
            let mut words = line.split_whitespace().skip_while(|word| !program(word)).skip(1).peekable();
            let Some(verb) = words.next_if(|w| w.chars().all(|c| c.is_ascii_lowercase()) && *w != "help") else {
                continue;
            };
            let sub = words
                .next_if(|w| ["token", "record"].contains(&verb) && !w.starts_with(['[', '<', '-']))
                .unwrap_or_default();
            let path: Vec<&str> = [verb, sub].into_iter().filter(|w| !w.is_empty()).collect();
            let known = help(&path).unwrap_or_else(|| panic!("{page}: there is no `coldroot {}`", path.join(" ")));
            for option in words.filter(|w| w.starts_with("--")) {
                let option = option.split('=').next().unwrap_or_default();
                let there = known.split_whitespace().any(|w| w.trim_end_matches(',') == option);
                assert!(there, "{page}: `coldroot {}` has no {option}", path.join(" "));
            }
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} commands found");
}

/// Whether a room's file, ours or of the program, has the words; a file's tests may stand in a directory of its name.
fn stands_in(file: &str, words: &str) -> bool {
    ["softhsm-tests", "src"].iter().map(|dir| checkout().join(dir).join(file)).any(|room| {
        let files = harness::files(&room).into_iter().chain([room.with_extension("rs")]);
        files.filter_map(|path| fs::read_to_string(path).ok()).any(|text| text.contains(words))
    })
}

#[test]
fn every_named_test_exists() {
    let assurance = read("docs/assurance.md");
    let mut named = 0;
    for name in assurance.split('`').skip(1).step_by(2) {
        let Some((file, test)) = name.split_once("::").filter(|(_, test)| !test.is_empty()) else { continue };
        assert!(stands_in(file, &format!("fn {test}(")), "docs/assurance.md names {file}: {test}");
        named += 1;
    }
    assert!(named > 30, "only {named} tests named");
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "audit-logs/FORMAT.md"].map(PathBuf::from);
    let docs = fs::read_dir(checkout().join("docs")).unwrap().map(|e| Path::new("docs").join(e.unwrap().file_name()));
    for page in pages.into_iter().chain(docs) {
        let text = fs::read_to_string(checkout().join(&page)).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !target.starts_with("http") && !file.is_empty() {
                let to = checkout().join(page.parent().unwrap()).join(file);
                assert!(to.exists(), "{}: {target}", page.display());
            }
        }
    }
}
