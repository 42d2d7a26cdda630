//! A newcomer's path: every command but the first is taken from what a command before it has printed.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{COLDROOT, block, checkout, commands, read, softhsm};

/// Fewer than this many commands lead from a clone to a certificate of one's own, and to its revocation.
const AT_MOST: usize = 14;

/// The commands that follow, of what a command has printed: behind a label, or set in under one; continued lines joined. What
/// only looks (`show`) is not followed.
pub fn printed(out: &str) -> Vec<String> {
    let joined = out.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| {
        let labelled = line.strip_prefix("  ").and_then(|line| line.split_once(": ")).map(|(_, command)| command);
        labelled.or(line.strip_prefix("          "))
    });
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let program = |line: &String| ["coldroot ", "cd ", "openssl "].iter().any(|name| line.starts_with(name));
    words.filter(program).filter(|line| !line.starts_with("coldroot show")).collect()
}

/// Types one command where the newcomer stands, and gives back what it printed.
pub fn typed(command: &str, stands: &str) -> String {
    let script = format!("{stands}\n{command}");
    let mut bash = Command::new("bash");
    let out = bash.args(["-euc", &script]).env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{command}\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A command as the page has it: what only this run knows is replaced, as the page says.
fn as_on_the_page(command: &str, demo: &Path) -> String {
    let bin = Path::new(COLDROOT).parent().unwrap().display().to_string();
    let command =
        command.replace(&demo.display().to_string(), "CHECKOUT/target/demo").replace(&bin, "CHECKOUT/target/debug");
    let mut words: Vec<String> = command.split(' ').map(str::to_string).collect();
    for n in 0..words.len() {
        if let Some((before, after)) = words[n].clone().split_once("/plan-") {
            words[n] = format!("{before}/plan-XXXXXXXX{}", &after[8..]);
        }
        if n > 0 && words[n - 1] == "--revoke" {
            words[n] = "SERIAL".into();
        }
    }
    words.join(" ")
}

#[test]
fn a_newcomer_follows_what_is_printed_from_the_demo_to_a_revocation() {
    softhsm().expect("SoftHSM is not installed: softhsm-tests/run-all installs it");
    let dir = tempfile::tempdir().unwrap();
    let demo = dir.path().join("demo");
    // What the quickstart types at its end, built already.
    let requests = checkout().join("softhsm-tests/requests");
    let first = format!("{COLDROOT} demo --dir {} --requests {}", demo.display(), requests.display());
    let mut said = typed(&first, ":");
    let mut next: VecDeque<String> = printed(&said).into();
    let mut walked = vec!["./ceremony-scripts/quickstart".to_string()];
    let mut stands = ":".to_string();
    while let Some(command) = next.pop_front() {
        said = typed(&command, &stands);
        if command.starts_with("cd ") {
            stands = command.clone();
        }
        next.extend(printed(&said));
        walked.push(as_on_the_page(&command, &demo));
        assert!(walked.len() <= AT_MOST, "no end of it: {walked:#?}");
    }
    let page: Vec<String> =
        commands(&block(&read("docs/first-hour.md"), "sh first-hour")).into_iter().map(|(line, _)| line).collect();
    assert_eq!(walked, page, "docs/first-hour.md says what the program prints:\n{}", walked.join("\n"));
    assert!(said.lines().any(|line| line.starts_with("revoked") && line.ends_with(" 1")), "{said}");
}
