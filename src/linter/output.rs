//! Findings out of what linters print. The text is untrusted: bounded before it is read, names are of few characters.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::{LinterForm, is_finding};
use crate::plan::Level;
use crate::prepare::Finding;

/// More findings about one file than this are nonsense.
const MAX_FINDINGS: usize = 10_000;
/// So much of what a linter says about a finding is kept, in characters.
const SAID: usize = 200;

/// pkilint 0.13, `-f JSON`.
#[derive(Deserialize)]
struct Pkilint {
    results: Vec<PkilintResult>,
}

#[derive(Deserialize)]
struct PkilintResult {
    finding_descriptions: Vec<PkilintFinding>,
}

#[derive(Deserialize)]
struct PkilintFinding {
    severity: String,
    code: String,
    message: Option<String>,
}

/// zlint 3, one lint.
#[derive(Deserialize)]
struct Zlint {
    result: String,
    details: Option<String>,
}

/// The findings of a file, warnings and worse. `Err` says what is no output of this form.
pub fn findings(form: LinterForm, output: &[u8]) -> Result<Vec<Finding>, String> {
    let no_json = |e: serde_json::Error| format!("line {} column {}: {}", e.line(), e.column(), kind(&e));
    let all: Vec<(String, String, Option<String>)> = match form {
        LinterForm::Pkilint => {
            let read: Pkilint = serde_json::from_slice(output).map_err(no_json)?;
            let all = read.results.into_iter().flat_map(|result| result.finding_descriptions);
            all.map(|f| (f.severity, f.code, f.message)).collect()
        }
        LinterForm::Zlint => {
            let read: BTreeMap<String, Zlint> = serde_json::from_slice(output).map_err(no_json)?;
            if read.is_empty() {
                return Err("no lint has run".into());
            }
            read.into_iter().map(|(name, lint)| (lint.result, name, lint.details)).collect()
        }
    };
    if all.len() > MAX_FINDINGS {
        return Err(format!("more than {MAX_FINDINGS} findings"));
    }
    let mut findings = Vec::new();
    for (level, id, said) in all {
        if !is_finding(&id) {
            return Err("a finding's name has characters that no name has".into());
        }
        if let Some(level) = self::level(form, &level)? {
            let said = said.map(|said| said.chars().take(SAID).collect());
            findings.push(Finding { id, level, said });
        }
    }
    Ok(findings)
}

/// `None`: less grave than a warning.
fn level(form: LinterForm, name: &str) -> Result<Option<Level>, String> {
    let level = match (form, name) {
        (LinterForm::Pkilint, "FATAL") | (LinterForm::Zlint, "fatal") => Some(Level::Fatal),
        (LinterForm::Pkilint, "ERROR") | (LinterForm::Zlint, "error") => Some(Level::Error),
        (LinterForm::Pkilint, "WARNING") | (LinterForm::Zlint, "warn") => Some(Level::Warning),
        (LinterForm::Pkilint, "NOTICE" | "INFO" | "DEBUG") => None,
        (LinterForm::Zlint, "pass" | "NA" | "NE" | "info" | "notice" | "reserved") => None,
        _ => return Err("a finding is of a level that this form does not know".into()),
    };
    Ok(level)
}

/// What is wrong, without the text that it is wrong in.
fn kind(e: &serde_json::Error) -> &'static str {
    match e.classify() {
        serde_json::error::Category::Io => "cannot be read",
        serde_json::error::Category::Syntax => "no JSON",
        serde_json::error::Category::Data => "JSON of another form",
        serde_json::error::Category::Eof => "ends too soon",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(form: LinterForm, text: &str) -> Result<Vec<(String, Level)>, String> {
        Ok(findings(form, text.as_bytes())?.into_iter().map(|f| (f.id, f.level)).collect())
    }

    #[test]
    fn both_forms_are_read() {
        let pkilint = r#"{"results": [{"node_path": "certificate", "validator": "V", "finding_descriptions": [
            {"severity": "ERROR", "code": "pkix.a", "message": null}, {"severity": "NOTICE", "code": "pkix.b", "message": "x"}]},
            {"node_path": "c", "validator": "W", "finding_descriptions": [{"severity": "WARNING", "code": "c-d.e", "message": "y"}]}]}"#;
        let found = of(LinterForm::Pkilint, pkilint).unwrap();
        assert_eq!(found, [("pkix.a".into(), Level::Error), ("c-d.e".into(), Level::Warning)]);
        assert_eq!(of(LinterForm::Pkilint, r#"{"results": []}"#), Ok(vec![]));
        let zlint = r#"{"e_a":{"result":"error","details":"why"},"e_b":{"result":"pass"},"n_c":{"result":"NA"},
            "w_d":{"result":"warn"},"x":{"result":"fatal"},"y":{"result":"NE"},"z":{"result":"info"}}"#;
        let found = of(LinterForm::Zlint, zlint).unwrap();
        assert_eq!(found, [("e_a".into(), Level::Error), ("w_d".into(), Level::Warning), ("x".into(), Level::Fatal)]);
    }

    #[test]
    fn what_is_of_no_form_is_nonsense_and_never_a_pass() {
        for text in [
            "",
            "{}",
            "[]",
            "null",
            "ok",
            "{\"results\": {}}",
            "{\"results\": []} {\"results\": []}",
            "{\"results\": [",
            "\u{1b}[2J",
        ] {
            assert!(of(LinterForm::Pkilint, text).is_err(), "{text}");
            assert!(of(LinterForm::Zlint, text).is_err(), "{text}");
        }
        let one = |severity: &str, code: &str| {
            let finding = serde_json::json!({ "severity": severity, "code": code, "message": "m" });
            serde_json::json!({ "results": [{ "finding_descriptions": [finding] }] }).to_string()
        };
        assert!(of(LinterForm::Pkilint, &one("ERROR", "a")).is_ok());
        for (severity, code) in
            [("error", "a"), ("PASS", "a"), ("ERROR", ""), ("NOTICE", "a b"), ("ERROR", "a\u{1b}[1m")]
        {
            let said = of(LinterForm::Pkilint, &one(severity, code)).unwrap_err();
            assert!(said.is_ascii() && !said.contains('\u{1b}'), "{said}");
        }
        assert!(of(LinterForm::Pkilint, &one("ERROR", &"a".repeat(129))).is_err());
        assert!(of(LinterForm::Zlint, r#"{"a":{"result":"good"}}"#).is_err());
        let deep = format!("{{\"results\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(of(LinterForm::Pkilint, &deep).is_err());
        let many: Vec<_> = (0..10_001).map(|_| serde_json::json!({ "severity": "INFO", "code": "a" })).collect();
        let many = serde_json::json!({ "results": [{ "finding_descriptions": many }] }).to_string();
        assert!(of(LinterForm::Pkilint, &many).unwrap_err().contains("more than"));
        let long = serde_json::json!({ "a": { "result": "error", "details": "x".repeat(5_000) } }).to_string();
        let said = findings(LinterForm::Zlint, long.as_bytes()).unwrap().remove(0).said.unwrap();
        assert_eq!(said.len(), SAID);
    }
}
