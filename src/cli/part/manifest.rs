//! `manifest.json` of an unpacked release: path, size and SHA-256 of each file, compared with what lies there.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::{Part, Verdict, parent};
use crate::cli::Failure;
use crate::cli::recognise::open_regular;
use crate::digest::Digest;
use crate::report::sheet::Sheet;
use crate::report::terminal::{counted, human_count, size};
use crate::text::{escape, path as shown, shell};

/// Folders in which nothing lies that the manifest does not have.
const FOLDERS: [&str; 5] = ["certs", "crls", "csrs", "log", "proofs"];
/// So many faults are told; the rest is counted.
const TOLD: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: String,
    size: u64,
    sha256: String,
}

/// The file itself.
pub fn manifest(path: &Path, text: &str) -> Result<Option<Part>, Failure> {
    let Ok(lines) = serde_json::from_str::<Vec<Line>>(text) else { return Ok(None) };
    if lines.is_empty() {
        return Ok(None);
    }
    let base = parent(path);
    Ok(Some(compared("manifest of an unpacked release", "The manifest of an unpacked release", &base, &lines)))
}

/// A directory into which a release was unpacked.
pub fn layout(base: &Path) -> Result<Option<Part>, Failure> {
    let path = base.join("manifest.json");
    if !path.is_file() {
        return Ok(None);
    }
    let text = crate::cli::recognise::read_text(&path, crate::cli::recognise::MAX_WHOLE)?;
    let Ok(lines) = serde_json::from_str::<Vec<Line>>(&text) else { return Ok(None) };
    Ok(Some(compared("unpacked release", "An unpacked release", base, &lines)))
}

fn compared(kind: &'static str, title: &str, base: &Path, lines: &[Line]) -> Part {
    let listed: BTreeSet<&str> = lines.iter().map(|line| line.path.as_str()).collect();
    let mut faults: Vec<String> = lines.iter().filter_map(|line| fault(base, line)).collect();
    let mut there = Vec::new();
    FOLDERS.iter().for_each(|folder| walk(base, Path::new(folder), &mut there));
    let alien = there.iter().filter(|path| path.to_str().is_none_or(|path| !listed.contains(path)));
    faults.extend(alien.map(|path| format!("{}: the manifest does not have it", shown(path))));
    let octets = lines.iter().fold(0u64, |sum, line| sum.saturating_add(line.size));
    let files = counted(lines.len() as u64, "file", "files");
    let sheet = Sheet::new(title)
        .facts(&[("directory", shown(base)), ("files", human_count(lines.len() as u64)), ("together", size(octets))])
        .next("check the log in it", format!("coldroot check {} --verifier-key KEY", shell(base.join("log"))))
        .next("read the report", format!("open {} in a browser", shell(base.join("report.html"))));
    let verdict = match faults.is_empty() {
        true => Verdict::Good(format!(
            "{files}: path, size and SHA-256 are as the manifest says. Who made the manifest it does not say; the log does."
        )),
        false => {
            let more = faults.len().saturating_sub(TOLD);
            let more = if more > 0 { format!("\nand {} more", human_count(more as u64)) } else { String::new() };
            faults.truncate(TOLD);
            Verdict::Bad(format!("{} does not agree with its manifest:\n{}{more}", shown(base), faults.join("\n")))
        }
    };
    Part::new(kind, sheet).json(json!({ "files": lines.len(), "octets": octets })).judged(verdict)
}

/// What is wrong with one file.
fn fault(base: &Path, line: &Line) -> Option<String> {
    let name = escape(&line.path);
    let relative = Path::new(&line.path);
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Some(format!("{name}: no path below the directory"));
    }
    let path = base.join(relative);
    let read = || -> Result<(u64, Digest), Failure> {
        let file = open_regular(&path)?;
        let size = file.metadata().map_err(|e| Failure::io(&path, e))?.len();
        Ok((size, Digest::read(file).map_err(|e| Failure::io(&path, e))?))
    };
    match read() {
        Err(_) if !path.exists() => Some(format!("{name}: it is not there")),
        Err(failure) => Some(failure.what),
        Ok((size, _)) if size != line.size => Some(format!("{name}: {size} octets, not {}", line.size)),
        Ok((_, digest)) if digest.hex() != line.sha256 => Some(format!("{name}: its SHA-256 is {digest}")),
        Ok(_) => None,
    }
}

/// The files below a folder, relative to the base. Links are not followed.
fn walk(base: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(base.join(folder)) else { return };
    for entry in entries.flatten() {
        let path = folder.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(base, &path, found),
            _ => found.push(path),
        }
    }
}
