//! Files that people can read: not too long, and with a reason where a lint is relaxed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::harness;

/// Longer than this is a file only with a reason in `softhsm-tests/house/long-files.txt`.
const LINES: usize = 400;

/// The Rust sources of the project, by their path in the checkout.
fn sources() -> Vec<(String, String)> {
    let root = &harness::repository();
    let below = ["src", "softhsm-tests", "benches", "fuzz"].map(|dir| harness::files(&root.join(dir)));
    let rust = below.into_iter().flatten().filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    // What a build leaves there is not ours.
    let own = rust.filter(|path| !path.components().any(|part| part.as_os_str() == "target"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(root).unwrap().display().to_string(), text)
    };
    own.map(read).collect()
}

#[test]
fn a_file_longer_than_400_lines_has_a_reason() {
    let list = fs::read_to_string(harness::repository().join("softhsm-tests/house/long-files.txt")).unwrap();
    let lines = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut reasons: BTreeMap<&str, &str> =
        lines.map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line}: FILE: REASON"))).collect();
    for (path, text) in sources() {
        let long = text.lines().count() > LINES;
        let reason = reasons.remove(path.as_str());
        assert!(
            !long || reason.is_some(),
            "{path} has more than {LINES} lines: split it by noun, or say why not in the list"
        );
        assert!(long || reason.is_none(), "{path} is no longer long: take it off the list");
    }
    assert!(reasons.is_empty(), "of the list, not there any more: {reasons:?}");
}

/// What stands between the brackets of each attribute that may relax a lint.
fn relaxed(text: &str) -> Vec<&str> {
    let attributes = text.split('#').skip(1).map(|start| start.trim_start_matches('!'));
    let inner = attributes.filter_map(|start| start.strip_prefix('[')?.split(")]").next());
    inner.filter(|inner| ["allow(", "expect(", "cfg_attr("].iter().any(|name| inner.starts_with(name))).collect()
}

#[test]
fn every_relaxed_lint_has_its_reason_beside_it() {
    let reasoned = "#[allow(dead_code, reason = \"so\")] fn a() {}";
    assert_eq!((relaxed(reasoned).len(), relaxed("#[test]\n#![expect(\n    unused\n)]").len()), (1, 1));
    let mut seen = 0;
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.ends_with("house/files.rs")) {
        for attribute in
            relaxed(&text).into_iter().filter(|inner| inner.contains("allow(") || inner.contains("expect("))
        {
            assert!(attribute.contains("reason = "), "{path}: `{attribute}` says why");
            seen += 1;
        }
    }
    assert!(seen > 3, "only {seen} found");
    let manifest = fs::read_to_string(harness::repository().join("Cargo.toml")).unwrap();
    let lints =
        manifest.split("[lints.").skip(1).flat_map(|table| table.split("\n[").next().unwrap_or_default().lines());
    let levels: Vec<&str> = lints.filter(|line| line.contains(" = ")).collect();
    assert!(levels.len() > 4, "{levels:?}");
    for level in levels.iter().filter(|level| level.contains("\"allow\"")) {
        assert!(level.contains('#'), "Cargo.toml: `{level}` says why behind it");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let root = harness::repository();
    let [manifest, reasons] =
        ["Cargo.toml", "docs/dependencies.md"].map(|path| fs::read_to_string(root.join(path)).unwrap());
    let tables = ["\n[dependencies]\n", "\n[dev-dependencies]\n"].map(|head| {
        manifest.split(head).nth(1).and_then(|rest| rest.split("\n[").next()).unwrap_or_else(|| panic!("no {head}"))
    });
    let mut seen = 0;
    for line in tables.iter().flat_map(|table| table.lines()).filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.split_once(" = ") else { continue };
        // A crate that goes by another name here is explained by its own.
        let own = value.split("package = \"").nth(1).and_then(|rest| rest.split('"').next());
        let name = own.unwrap_or(name);
        assert!(reasons.contains(&format!("`{name}`")), "docs/dependencies.md does not say why `{name}` is here");
        seen += 1;
    }
    assert!(seen > 30, "only {seen} dependencies found");
}
