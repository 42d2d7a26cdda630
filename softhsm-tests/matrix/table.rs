//! The table: for the terminal, as JSON, and in `docs/tokens.md`.

use std::path::PathBuf;

use serde_json::json;

use super::ceremony::Outcome;
use super::modules::Kind;

/// The row of the audit key and the mark.
pub const AUDIT: &str = "audit key and mark";
const BEGIN: &str = "<!-- the matrix: written by softhsm-tests/run-matrix --write -->\n";
const END: &str = "<!-- the end of the matrix -->\n";

type Results = [(Kind, String, Outcome)];

pub fn document() -> PathBuf {
    super::harness::repository().join("docs/tokens.md")
}

/// Lines for people.
pub fn shown(results: &Results) -> String {
    results.iter().map(|(kind, row, outcome)| format!("{:13} {row:22} {outcome}\n", kind.name())).collect()
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
    let old = std::fs::read_to_string(document()).unwrap();
    let (before, rest) = old.split_once(BEGIN).expect("the line where the matrix begins");
    let (_, after) = rest.split_once(END).expect("the line where it ends");
    std::fs::write(document(), format!("{before}{BEGIN}{text}{END}{after}")).unwrap();
}

/// One line for each row, a cell for each module, each cell passed, refused with a reason that is there, or failed.
pub fn check_shape(document: &str, rows: &[&str]) {
    let (_, rest) = document.split_once(BEGIN).expect("the line where the matrix begins");
    let (table, _) = rest.split_once(END).expect("the line where it ends");
    let lines: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let heads: Vec<&str> = [""].into_iter().chain(Kind::ALL.map(Kind::name)).collect();
    assert_eq!(lines[0], heads);
    let named: Vec<&str> = lines[2..].iter().map(|line| line[0]).collect();
    assert_eq!(named, [&[AUDIT], rows].concat());
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
