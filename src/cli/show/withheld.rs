//! A withheld artefact, opened: what stands behind its salt.

use std::fs::File;
use std::io::{Read, copy};
use std::path::Path;

use serde_json::json;

use crate::audit::withheld;
use crate::cli::{Answer, Failure};
use crate::digest::Digest;
use crate::report::sheet::Sheet;
use crate::report::terminal::human_count;
use crate::text::{page, path as shown, shell};

/// Octets of a text that are shown.
const MAX_TEXT: u64 = 64 << 10;

/// Shows the content where it is a text; writes it to a new file where one is named.
pub(super) fn withheld(path: &Path, to: Option<&Path>) -> Result<Answer, Failure> {
    let digest = File::open(path).and_then(Digest::read).map_err(|e| Failure::io(path, e))?;
    let mut content = File::open(path).map_err(|e| Failure::io(path, e))?;
    if !withheld::open(&mut content).map_err(|e| Failure::io(path, e))? {
        return Err(Failure::refused(
            "the withheld artefact ends in its salt",
            "take it from the station's audit/ again",
        ));
    }
    let octets = content.metadata().map_err(|e| Failure::io(path, e))?.len() - withheld::head_length();
    if let Some(to) = to {
        let mut file = File::create_new(to).map_err(|e| Failure::io(to, e))?;
        copy(&mut content, &mut file).and_then(|_| file.sync_all()).map_err(|e| Failure::io(to, e))?;
        let text = format!("Written: {} ({} octets)\n", shown(to), human_count(octets));
        return Ok(Answer::new(
            text,
            json!({ "artefact": digest.hex(), "octets": octets, "content": to.to_string_lossy() }),
        ));
    }
    let mut start = Vec::new();
    content.take(MAX_TEXT).read_to_end(&mut start).map_err(|e| Failure::io(path, e))?;
    let whole = start.len() as u64 == octets;
    let sheet = Sheet::new("Withheld artefact: no public copy has it")
        .facts(&[("artefact", digest.hex()), ("content", format!("{} octets", human_count(octets)))]);
    let sheet = match String::from_utf8(start) {
        Ok(text) if whole => sheet.pre(page(&text)),
        _ => sheet
            .text("It is no short text.")
            .next("to a file", format!("coldroot show {} --content FILE", shell(path))),
    };
    Ok(Answer::of(sheet, json!({ "artefact": digest.hex(), "octets": octets })))
}
