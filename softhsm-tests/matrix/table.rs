//! The table: for the terminal, as JSON, and in `docs/tokens.md`.

use std::path::PathBuf;

use coldroot::algorithm::KeyAlgorithm;
use serde_json::json;

use super::ceremony::Outcome;
use super::modules::Kind;

/// The row of the mark and an audit key of this kind.
pub fn audit(algorithm: KeyAlgorithm) -> String {
    format!("audit key ({algorithm}) and mark")
}

/// The kinds that an audit key may be of.
pub const AUDIT: [KeyAlgorithm; 2] = [KeyAlgorithm::Ed25519, KeyAlgorithm::EcdsaP256];

/// The lines between which a part of the document is made by a program.
pub type Marks = (&'static str, &'static str);
pub const MATRIX: Marks =
    ("<!-- the matrix: written by softhsm-tests/run-matrix --write -->\n", "<!-- the end of the matrix -->\n");
pub const PROFILES: Marks = (
    "<!-- the profiles: COLDROOT_WRITE_PROFILES=1 cargo test --test matrix profiles -->\n",
    "<!-- the end of the profiles -->\n",
);

type Results = [(Kind, String, Outcome)];

fn document() -> PathBuf {
    super::harness::repository().join("docs/tokens.md")
}

/// What stands between the marks.
pub fn part((begin, end): Marks) -> String {
    let text = std::fs::read_to_string(document()).unwrap();
    let (_, rest) = text.split_once(begin).expect("the line where it begins");
    rest.split_once(end).expect("the line where it ends").0.to_owned()
}

/// Puts a text there.
pub fn put((begin, end): Marks, text: &str) {
    let old = std::fs::read_to_string(document()).unwrap();
    let (before, rest) = old.split_once(begin).expect("the line where it begins");
    let (_, after) = rest.split_once(end).expect("the line where it ends");
    std::fs::write(document(), format!("{before}{begin}{text}{end}{after}")).unwrap();
}

/// Every setting of every profile, from the files.
pub fn profiles() -> String {
    let dir = super::harness::repository().join("src/token/vendors");
    let mut text = String::new();
    for file in super::harness::files(&dir) {
        let table: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        text.push_str(&format!(
            "\n### {}\n\n| setting | value | source |\n| --- | --- | --- |\n",
            table["name"].as_str().unwrap()
        ));
        for (name, setting) in table.iter().filter(|(name, _)| *name != "name") {
            let settings = setting.as_array().cloned().unwrap_or_else(|| vec![setting.clone()]);
            for setting in settings {
                let value = match &setting["value"] {
                    toml::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let untried = if setting["tried"].as_str() == Some("here") { "" } else { "; not tried on hardware" };
                let source = setting["source"].as_str().unwrap();
                text.push_str(&format!("| `{name}` | {value} | {source}{untried} |\n"));
            }
        }
    }
    text.push('\n');
    text
}

/// Lines for people.
pub fn shown(results: &Results) -> String {
    results.iter().map(|(kind, row, outcome)| format!("{:13} {row:31} {outcome}\n", kind.name())).collect()
}

pub fn json(results: &Results) -> String {
    let one = |(kind, row, outcome): &(Kind, String, Outcome)| {
        let (result, reason) = match outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Refused(why) => ("refused beforehand", Some(why)),
            Outcome::Failed(why) => ("failed", Some(why)),
        };
        json!({ "module": kind.name(), "row": row, "result": result, "reason": reason })
    };
    format!("{:#}\n", json!(results.iter().map(one).collect::<Vec<_>>()))
}

/// Puts the table of a run over all modules into the documents. Reasons stand below it, each once.
pub fn write(results: &Results) {
    let mut rows: Vec<&str> = Vec::new();
    for (_, row, _) in results {
        if !rows.contains(&row.as_str()) {
            rows.push(row);
        }
    }
    let mut reasons: Vec<String> = Vec::new();
    let mut text = format!("\n| |{}\n", Kind::ALL.map(|kind| format!(" {} |", kind.name())).concat());
    text.push_str(&format!("| --- |{}\n", " --- |".repeat(Kind::ALL.len())));
    for row in rows {
        text.push_str(&format!("| {row} |"));
        for kind in Kind::ALL {
            let of = results.iter().find(|(k, r, _)| *k == kind && r == row);
            let (.., outcome) =
                of.unwrap_or_else(|| panic!("{} was not run: the table is of all modules", kind.name()));
            text.push_str(&match outcome {
                Outcome::Passed => " passed |".into(),
                Outcome::Failed(_) => " **failed** |".into(),
                Outcome::Refused(why) => {
                    // The key's kind stands in the row already.
                    let why = why.replace(&format!("not fit for {row} keys"), "not fit for such keys");
                    let number = reasons.iter().position(|known| *known == why).unwrap_or_else(|| {
                        reasons.push(why);
                        reasons.len() - 1
                    });
                    format!(" refused ({}) |", number + 1)
                }
            });
        }
        text.push('\n');
    }
    text.push('\n');
    for (n, reason) in (1..).zip(&reasons) {
        text.push_str(&format!("{n}. {reason}\n"));
    }
    text.push('\n');
    put(MATRIX, &text);
}

/// One line for each row, a cell for each module, each cell passed, refused with a reason that is there, or failed.
pub fn check_shape(table: &str, rows: &[&str]) {
    let lines: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let heads: Vec<&str> = [""].into_iter().chain(Kind::ALL.map(Kind::name)).collect();
    assert_eq!(lines[0], heads);
    let named: Vec<&str> = lines[2..].iter().map(|line| line[0]).collect();
    let audit = AUDIT.map(audit);
    assert_eq!(named, audit.iter().map(String::as_str).chain(rows.iter().copied()).collect::<Vec<_>>());
    let mut passed = 0;
    for line in &lines[2..] {
        assert_eq!(line.len(), heads.len(), "{line:?}");
        for cell in &line[1..] {
            match cell.strip_prefix("refused (").and_then(|cell| cell.strip_suffix(')')) {
                Some(number) => assert!(table.contains(&format!("\n{number}. ")), "no reason {number}"),
                None => {
                    assert_eq!(*cell, "passed", "{line:?}");
                    passed += 1;
                }
            }
        }
    }
    assert!(passed > 0);
}
