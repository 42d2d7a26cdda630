//! A withheld artefact, opened: what stands behind its salt.

use std::fs::File;
use std::io::{Read, copy};
use std::path::Path;

use serde_json::json;

use crate::audit::withheld;
use crate::cli::{Answer, Failure};
use crate::digest::Hasher;
use crate::report::terminal::{human_count, pairs};
use crate::text::{page, path as shown, shell};

/// Octets of a text that are shown.
const MAX_TEXT: u64 = 64 << 10;

/// Shows the content where it is a text; writes it to a new file where one is named.
pub(super) fn withheld(path: &Path, to: Option<&Path>) -> Result<Answer, Failure> {
    let digest = {
        let (mut file, mut hasher) = (File::open(path).map_err(|e| Failure::io(path, e))?, Hasher::default());
        copy(&mut file, &mut Hashing(&mut hasher)).map_err(|e| Failure::io(path, e))?;
        hasher.finish()
    };
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
    let body = match String::from_utf8(start) {
        Ok(text) if whole => page(&text),
        _ => format!("no short text; to a file:  coldroot show {} --content FILE\n", shell(path)),
    };
    let facts = pairs(&[("artefact", digest.hex()), ("content", format!("{} octets", human_count(octets)))]);
    let text = format!("Withheld artefact: no public copy has it\n\n{facts}\n{body}");
    Ok(Answer::new(text, json!({ "artefact": digest.hex(), "octets": octets })))
}

struct Hashing<'a>(&'a mut Hasher);

impl std::io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
