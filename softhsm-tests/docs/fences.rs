//! Every fenced command of the documents is typed by a test, or says why not.

use std::path::{Path, PathBuf};

use crate::named::OBJECTS;
use crate::{blocks, checkout, harness, read};

/// What stands behind the fence of a block of commands that a test types, and the page.
const TYPED: [(&str, &str); 6] = [
    ("docs/first-hour.md", "sh first-hour"),
    ("docs/operator.md", "sh"),
    ("docs/auditor.md", "sh auditor"),
    ("docs/officer.md", "sh officer"),
    ("README.md", "sh next"),
    ("audit-logs/sample/README.md", "sh sample"),
];
/// Behind the fence of commands that no test types as they stand; the reason follows, and where it names a file of tests, that
/// one types them with names of its own.
const BY_HAND: &str = "sh by-hand: ";
/// Blocks that are no commands.
const OTHER: [&str; 6] = ["text", "hex", "toml", "lua", "cddl", "json"];
/// What a command line begins with.
const PROGRAMS: [&str; 18] = [
    "coldroot",
    "cargo",
    "apt-get",
    "sudo",
    "python3",
    "openssl",
    "ssh-keygen",
    "go",
    "git",
    "mkdir",
    "cp",
    "cmp",
    "certutil",
    "pkcsconf",
    "p11-kit",
    "tpm2_ptool",
    "printf",
    "export",
];

/// The pages of the project; those that the program prints hold what it prints.
pub fn pages() -> Vec<String> {
    let root = checkout();
    let own = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(PathBuf::from);
    let below = ["docs", "audit-logs", "softhsm-tests"].map(|dir| harness::files(&root.join(dir)));
    let below = below.into_iter().flatten().filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let below = below.map(|path| path.strip_prefix(&root).unwrap().to_path_buf());
    own.into_iter().chain(below).map(|path| path.display().to_string()).collect()
}

fn is_command(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    let object = OBJECTS.iter().any(|object| line.starts_with(object));
    PROGRAMS.contains(&first) && !object || first.starts_with("./") || first.ends_with("/coldroot")
}

#[test]
fn every_block_of_commands_is_typed_by_a_test_or_says_why_not() {
    let mut by_hand = Vec::new();
    for page in pages() {
        let text = read(&page);
        for (info, body) in blocks(&text) {
            if let Some(reason) = info.strip_prefix(BY_HAND) {
                assert!(reason.len() > 10, "{page}: `{info}` says why");
                let named = reason.split([' ', ';', ',']).filter(|word| word.starts_with("softhsm-tests/"));
                named.for_each(|file| assert!(checkout().join(file).exists(), "{page}: there is no {file}"));
                by_hand.push(format!("{page}: {}: {reason}", body.lines().next().unwrap_or_default()));
            } else if info.starts_with("sh") {
                assert!(
                    TYPED.contains(&(&page, &info)),
                    "{page}: no test types a block `{info}`, and it does not say why"
                );
            } else {
                let language = info.split(' ').next().unwrap_or_default();
                assert!(OTHER.contains(&language), "{page}: a block says what it is: `{info}`");
                // The page of the command line has the examples of each verb, which `reference` compares with it.
                let commands = body.lines().find(|line| page != "docs/cli.md" && is_command(line));
                // The command lines of other makers' programs, with holes.
                let commands = commands.filter(|_| page != "softhsm-tests/requests/README.md");
                assert!(commands.is_none(), "{page}: a block `{info}` has a command: {commands:?}");
            }
        }
        let set_in = text.lines().find(|line| line.strip_prefix("    ").is_some_and(is_command));
        let set_in = set_in.filter(|_| page != "docs/cli.md");
        assert!(set_in.is_none() || inside_a_fence(&text, set_in.unwrap_or_default()), "{page}: {set_in:?}");
    }
    for (page, info) in TYPED {
        assert!(blocks(&read(page)).iter().any(|(found, _)| found == info), "{page} has no block `{info}` any more");
    }
    println!("not typed as they stand:\n{}", by_hand.join("\n"));
}

/// A continued line of a block is set in too.
fn inside_a_fence(text: &str, line: &str) -> bool {
    blocks(text).iter().any(|(_, body)| body.lines().any(|of| of == line))
}

#[test]
fn every_path_that_the_documents_name_is_there() {
    let mut seen = 0;
    for page in pages().iter().filter(|page| *page != "CHANGELOG.md") {
        for span in read(page).lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
            for word in span.split_whitespace().map(|word| word.trim_start_matches("./")) {
                let word = word.split(['#', ':', ';', ',', ')']).next().unwrap_or_default();
                let tops = [
                    "softhsm-tests/",
                    "ceremony-scripts/",
                    "benches/",
                    "fuzz/",
                    "src/",
                    "docs/",
                    "audit-logs/",
                    ".ci/",
                ];
                let pattern = |word: &str| word.contains(['*', '<', '{', '…']);
                if tops.iter().any(|top| word.starts_with(top)) && !pattern(word) {
                    assert!(Path::new(&checkout()).join(word).exists(), "{page}: there is no `{word}`");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 40, "only {seen} paths found");
}

#[test]
fn every_test_and_bench_that_a_command_of_cargo_names_is_declared() {
    let manifest = read("Cargo.toml");
    let mut seen = 0;
    for page in pages() {
        let text = read(&page);
        let mut words = text.split(|c: char| c.is_whitespace() || c == '`').peekable();
        while let Some(word) = words.next() {
            if let ("--test" | "--bench", Some(name)) = (word, words.peek()) {
                let kind = word.trim_start_matches("--");
                let declared = format!("[[{kind}]]\nname = \"{name}\"");
                assert!(manifest.contains(&declared), "{page}: `{word} {name}` is not in Cargo.toml");
                seen += 1;
            }
        }
    }
    assert!(seen > 3, "only {seen} found");
}
