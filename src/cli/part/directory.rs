//! A directory: a station, an unpacked release, a part of a log, or what lies in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Part, Thing, look, manifest, place};
use crate::cli::Failure;
use crate::report::sheet::Sheet;
use crate::report::terminal::{Table, human_count};
use crate::text::{path as shown, shell};

/// So many entries of a directory are looked at; the others are counted.
const ENTRIES: usize = 1000;
const ROWS: usize = 40;

pub fn directory(path: &Path) -> Result<Option<Part>, Failure> {
    if let Some(layout) = manifest::layout(path)? {
        return Ok(Some(layout));
    }
    if path.join("hierarchy.toml").is_file() && path.join("audit").is_dir() {
        return Ok(Some(station(path)));
    }
    if let Some(part) = place::of_log(path)? {
        return Ok(Some(part));
    }
    listed(path)
}

fn station(path: &Path) -> Part {
    let at = |name: &str| shell(path.join(name));
    let sheet = Sheet::new("A station: its hierarchy, its log and what goes in and out")
        .facts(&[("directory", shown(path))])
        .next("show the log", format!("coldroot show {}", at("audit")))
        .next("check the log", format!("coldroot check {} --verifier-key KEY", at("audit")))
        .next("show the hierarchy", format!("coldroot show {}", at("hierarchy.toml")))
        .next("whether all stands ready", format!("coldroot doctor --station {}", shell(path)));
    Part::new("station", sheet)
}

/// What lies in it, each file by what it is. A directory of which nothing is known is none of ours.
fn listed(path: &Path) -> Result<Option<Part>, Failure> {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(path).map_err(|e| Failure::io(path, e))?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    if names.is_empty() {
        return Ok(Some(Part::new("empty directory", Sheet::new("An empty directory"))));
    }
    let more = names.len().saturating_sub(ENTRIES);
    let (mut counts, mut known) = (BTreeMap::new(), false);
    let mut table = Table::new(&["name", "what"]).limit(ROWS);
    for entry in names.into_iter().take(ENTRIES) {
        let kind = match entry.is_dir() {
            true => directory_kind(&entry),
            false => look(&entry).map_or("nothing known", |thing| thing.name()),
        };
        known |= kind != "nothing known" && kind != "directory";
        *counts.entry(kind).or_insert(0u64) += 1;
        table.row([entry.file_name().map(shown).unwrap_or_default(), kind.to_string()]);
    }
    if !known {
        return Ok(None);
    }
    let counts: Vec<(&str, String)> = counts.iter().map(|(kind, count)| (*kind, human_count(*count))).collect();
    let sheet = Sheet::new(format!("A directory: {}", shown(path))).facts(&counts).table(table);
    let sheet = match more {
        0 => sheet,
        more => sheet.text(format!("{} more entries were not looked at.", human_count(more as u64))),
    };
    let sheet = sheet.next("one of them", format!("coldroot show {}", shell(path.join("NAME"))));
    Ok(Some(Part::new("directory", sheet).json(json!({ "holds": counts }))))
}

/// A directory in a list is named by what stands in it, and not looked through.
fn directory_kind(path: &Path) -> &'static str {
    if path.join("manifest.cbor").exists() {
        return "release";
    }
    match place::secret(path) {
        Some(part) => part.kind,
        None if path.join("tile").is_dir() => "log",
        None => "directory",
    }
}

impl Thing {
    /// The word for it.
    fn name(&self) -> &'static str {
        match self {
            Thing::Kind(kind) => kind.name(),
            Thing::Part(part) => part.kind,
        }
    }
}
