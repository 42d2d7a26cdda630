//! What is made from the code: the table of checks, the page of the command line, manual pages and completions.

use std::fs;
use std::process::Command;

use coldroot::cli;
use coldroot::policy::Check;

use crate::{COLDROOT, checkout, read};

#[test]
fn the_table_of_checks_is_the_codes() {
    let mut wanted =
        String::from("| check | question | source | rule sets | to mend |\n| --- | --- | --- | --- | --- |\n");
    for check in Check::ALL {
        let (question, source, mend) = (check.question(), check.source(), check.mend());
        let sets: Vec<String> = check.rule_sets().iter().map(|set| format!("`{}`", set.name())).collect();
        wanted += &format!("| `{check}` | {question} | {source} | {} | {mend} |\n", sets.join(", "));
    }
    let text = read("docs/checks.md");
    let table: String = text.lines().filter(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect();
    assert_eq!(table, wanted, "put this table into docs/checks.md:\n{wanted}");
}

#[test]
fn the_page_of_the_command_line_is_the_programs() {
    let path = checkout().join("docs/cli.md");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, cli::page()).unwrap();
    }
    let again = "after a change of the command line: UPDATE_EXPECTED=1 cargo test --test docs command_line";
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), cli::page(), "{again}");
}

#[test]
fn each_verb_has_a_manual_page_and_each_shell_its_completions() {
    let dir = tempfile::tempdir().unwrap();
    let told = |args: &[&str]| {
        let out = Command::new(COLDROOT).args(args).current_dir(dir.path()).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    told(&["man", "--to", "man"]);
    let page = |name: &str| fs::read_to_string(dir.path().join("man").join(format!("{name}.1"))).unwrap();
    assert!(page("coldroot-record-sample").contains("coldroot record sample out/plan"));
    assert!(page("coldroot-sign").contains("approval"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = told(&["completions", shell]);
        assert!(script.contains("adopt-hierarchy") && script.contains("witness"), "{shell}");
    }
    let script = dir.path().join("coldroot.bash");
    fs::write(&script, told(&["completions", "bash"])).unwrap();
    assert!(Command::new("bash").arg("-n").arg(script).status().unwrap().success());
}
