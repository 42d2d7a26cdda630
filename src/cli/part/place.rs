//! What a file is by where it lies: a secret, a tile or an artefact of a log.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Part, Verdict, parent};
use crate::cli::Failure;
use crate::cli::recognise;
use crate::digest::Digest;
use crate::report::sheet::Sheet;
use crate::text::{escape, path as shown, shell};

/// How far up a log is looked for: `tile/0/x001/x234/067.p/9` lies six deep.
const DEPTH: usize = 8;

/// A token's store, or a file that the hierarchy beside it names for a PIN. It is not opened.
pub fn secret(path: &Path) -> Option<Part> {
    let store = |dir: &Path| dir.join("token.object").exists();
    let has_stores = |dir: &Path| {
        std::fs::read_dir(dir).is_ok_and(|mut all| all.any(|entry| entry.is_ok_and(|entry| store(&entry.path()))))
    };
    let list = || ("look into the token", "coldroot token list");
    if path.is_dir() {
        let what = match (store(path), has_stores(path)) {
            (true, _) => "A token of SoftHSM, a directory: whoever copies it and learns the PIN has its keys",
            (_, true) => "Tokens of SoftHSM, a directory each: whoever copies one and learns its PIN has its keys",
            _ => return None,
        };
        let (next, command) = list();
        return Some(Part::new("token", Sheet::new(what).next(next, command)));
    }
    if store(&parent(path)) {
        let sheet = Sheet::new("A file of a SoftHSM token; nothing of it is shown");
        let sheet = sheet.facts(&[("token", shown(parent(path)))]);
        let (next, command) = list();
        return Some(Part::new("file of a token", sheet.next(next, command)));
    }
    let hierarchy = parent(path).join("hierarchy.toml");
    let name = path.file_name()?.to_str()?;
    let text = recognise::read_text(&hierarchy, 1 << 20).ok()?;
    let named = |line: &str| {
        let (key, value) = line.split_once('=').unwrap_or_default();
        ["pin-file", "so-pin-file"].contains(&key.trim()) && value.trim().trim_matches(['"', '\'']) == name
    };
    text.lines().any(named).then(|| {
        let sheet = Sheet::new("A PIN of a rehearsal, in clear; nothing of it is shown");
        Part::new("PIN file", sheet.facts(&[("named by", shown(&hierarchy))]))
    })
}

/// A file of a log, or a directory in one.
pub fn of_log(path: &Path) -> Result<Option<Part>, Failure> {
    let Some(log) = log_above(path) else { return Ok(None) };
    let inside = path.strip_prefix(&log).unwrap_or(path);
    let parts: Vec<&str> = inside.iter().filter_map(|part| part.to_str()).collect();
    let whole = |sheet: Sheet| {
        sheet
            .facts(&[("log", shown(&log))])
            .next("show the log", format!("coldroot show {}", shell(&log)))
            .next("check the log", format!("coldroot check {} --verifier-key KEY", shell(&log)))
    };
    let part = match parts.as_slice() {
        ["tile", "entries", _, ..] if path.is_file() => Part::new(
            "entry bundle",
            whole(Sheet::new(format!("A bundle of a log's entries (C2SP tlog-tiles): {}", escape(&parts.join("/"))))),
        ),
        ["tile", level, _, ..] if path.is_file() => Part::new(
            "tile",
            whole(Sheet::new(format!(
                "A tile of a log's hashes (C2SP tlog-tiles), level {}: {}",
                escape(level),
                escape(&parts.join("/"))
            ))),
        ),
        ["tile", ..] => Part::new("tiles", whole(Sheet::new("The tiles of a log (C2SP tlog-tiles)"))),
        ["artefact"] | ["artefact", _] => {
            Part::new("artefacts", whole(Sheet::new("The artefacts that entries of a log name, each by its SHA-256")))
        }
        ["artefact", _, name] => return artefact(path, name, whole).map(Some),
        _ => Part::new("file of a log", whole(Sheet::new(format!("A part of a log: {}", escape(&parts.join("/")))))),
    };
    Ok(Some(part))
}

/// An artefact that is nothing to be shown: of it can be said whether it is the one that its name says.
fn artefact(path: &Path, name: &str, whole: impl Fn(Sheet) -> Sheet) -> Result<Part, Failure> {
    let file = recognise::open_regular(path)?;
    let digest = Digest::read(file).map_err(|e| Failure::io(path, e))?;
    let octets = std::fs::metadata(path).map_err(|e| Failure::io(path, e))?.len();
    let verdict = match digest.hex() == name {
        true => Verdict::Good("The artefact is the one that its name says: it has that SHA-256.".into()),
        false => Verdict::Bad(format!("{}: its SHA-256 is {digest}, not what its name says", shown(path))),
    };
    let sheet = Sheet::new("An artefact of a log; nothing of it is shown").facts(&[("octets", octets.to_string())]);
    let sheet = whole(sheet.digest("SHA-256", &digest));
    Ok(Part::new("artefact", sheet).json(json!({ "digest": digest.hex(), "octets": octets })).judged(verdict))
}

/// The log in whose directory a path lies.
fn log_above(path: &Path) -> Option<PathBuf> {
    let is_log =
        |dir: &Path| ["checkpoint", "tail"].iter().any(|name| dir.join(name).is_file()) && dir.join("tile").is_dir();
    let absolute = std::path::absolute(path).ok()?;
    let found = absolute.ancestors().skip(1).take(DEPTH).find(|dir| is_log(dir))?;
    // As it was written, where it can be: what is shown is what was typed.
    let typed = path.ancestors().skip(1).find(|dir| std::path::absolute(dir).is_ok_and(|dir| dir == found));
    Some(match typed {
        Some(typed) if typed.as_os_str().is_empty() => PathBuf::from("."),
        Some(typed) => typed.to_path_buf(),
        None => found.to_path_buf(),
    })
}
