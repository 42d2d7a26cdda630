//! What belongs to something larger, and what is nobody's business: files that say nothing by themselves are named for `show` and
//! `check`, with what they belong to and the command that judges the whole. What can be judged without believing anything else is judged:
//! a manifest's digests, an artefact's name, a chain of certificates, a signature beside what it is over. Of a secret no octet is shown.

mod directory;
mod manifest;
mod place;
mod ssh;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::audit::note::VerifierKey;
use crate::digest::Digest;
use crate::plan::Refusal;
use crate::report::sheet::Sheet;
use crate::report::terminal::human_count;
use crate::text::{escape, line, shell};
use crate::{cbor, release};

use super::recognise::{self, Kind, MAX_WHOLE};
use super::{Answer, Code, Failure};

/// What a path leads to.
pub enum Thing {
    Kind(Kind),
    Part(Box<Part>),
}

/// A file or directory of which something can be said.
pub struct Part {
    /// What it is, in a few words that many files share.
    kind: &'static str,
    /// The blocks that `show` has; the title says what it is.
    sheet: Sheet,
    json: Value,
    verdict: Verdict,
}

/// What `check` finds of it.
enum Verdict {
    /// In order, so far as a sentence says.
    Good(String),
    /// Not in order.
    Bad(String),
    /// It cannot be judged by itself.
    None,
}

/// Recognises a path: an object of its own, or a part of something. What lies where secrets lie is not even looked into.
pub fn look(path: &Path) -> Result<Thing, Failure> {
    let part = |part: Part| Thing::Part(Box::new(part));
    if let Some(secret) = place::secret(path) {
        return Ok(part(secret));
    }
    if let Some(kind) = recognise::kind_of(path)? {
        return Ok(Thing::Kind(kind));
    }
    let found = if path.is_dir() { directory::directory(path)? } else { file(path)? };
    found.map(part).ok_or_else(|| recognise::unknown(path))
}

impl Part {
    fn new(kind: &'static str, sheet: Sheet) -> Part {
        Part { kind, sheet, json: json!({}), verdict: Verdict::None }
    }

    fn json(mut self, json: Value) -> Part {
        self.json = json;
        self
    }

    fn judged(self, verdict: Verdict) -> Part {
        Part { verdict, ..self }
    }

    pub fn show(mut self) -> Answer {
        self.json["kind"] = self.kind.into();
        Answer::of(self.sheet, self.json)
    }

    /// The verdict, or that there is none by itself, which no script may take for a good one.
    pub fn check(mut self) -> Result<Answer, Failure> {
        self.json["kind"] = self.kind.into();
        self.json["checked"] = (!matches!(self.verdict, Verdict::None)).into();
        match self.verdict {
            Verdict::Good(said) => Ok(Answer::of(self.sheet.verdict(true, said), self.json)),
            Verdict::Bad(what) => Err(Failure {
                code: Code::CheckFailed,
                ..Failure::refused(what, "take it again from where it was made, and ask who changed it")
            }),
            Verdict::None => {
                let title = format!("NOT CHECKED, since it says nothing by itself: {}", self.sheet.head());
                Ok(Answer::of(self.sheet.retitled(title), self.json).with_code(Code::Usage))
            }
        }
    }
}

fn file(path: &Path) -> Result<Option<Part>, Failure> {
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() == 0) {
        return Ok(Some(Part::new("empty file", Sheet::new("An empty file, such as programs lock"))));
    }
    if let Some(part) = container(path)? {
        return Ok(Some(part));
    }
    if path.iter().any(|part| part == "tile")
        && let Some(part) = place::of_log(path)?
    {
        return Ok(Some(part));
    }
    let octets = match recognise::read_octets(path, MAX_WHOLE) {
        Ok(octets) => octets,
        // Too large to be any of the texts below.
        Err(_) => return place::of_log(path),
    };
    let text = match String::from_utf8(octets) {
        Ok(text) => text,
        Err(_) => return place::of_log(path),
    };
    if text.starts_with("-----BEGIN SSH SIGNATURE-----") {
        return ssh::signature(path, &text).map(Some);
    }
    if text.contains("PRIVATE KEY-----") {
        return Ok(Some(ssh::private_key(path)));
    }
    if let Some(part) = ssh::public_key(path, &text) {
        return Ok(Some(part));
    }
    if let Ok(key) = VerifierKey::parse(text.trim()) {
        let sheet =
            Sheet::new("The verifier key of a log").facts(&[("log", escape(key.name())), ("key", line(text.trim()))]);
        let sheet = sheet.next("check a log", format!("coldroot check LOG --verifier-key {}", shell(path)));
        return Ok(Some(Part::new("verifier key", sheet).json(json!({ "verifier-key": text.trim() }))));
    }
    if let Some(part) = manifest::manifest(path, &text)? {
        return Ok(Some(part));
    }
    if let Some(part) = refusals(path, &text) {
        return Ok(Some(part));
    }
    if text.starts_with("request,profile,") {
        let rows = text.lines().skip(1).filter(|line| !line.trim().is_empty()).count() as u64;
        let sheet = Sheet::new("The table of a desk's requests, which `coldroot pack` reads")
            .facts(&[("rows", human_count(rows)), ("columns", line(text.lines().next().unwrap_or_default()))])
            .next("how to pack it", "coldroot pack --help");
        return Ok(Some(Part::new("table of requests", sheet).json(json!({ "rows": rows }))));
    }
    if text.trim_start().to_ascii_lowercase().starts_with("<!doctype html") {
        return Ok(Some(page(path, &text)));
    }
    if text.lines().any(|line| line.trim_start().starts_with("directories.tokendir")) {
        let dir = text.lines().find_map(|line| line.trim_start().strip_prefix("directories.tokendir"));
        let dir = line(dir.unwrap_or_default().trim_start_matches([' ', '=']));
        let sheet = Sheet::new("SoftHSM's configuration, for SOFTHSM2_CONF").facts(&[("tokens in", dir)]);
        return Ok(Some(Part::new("SoftHSM configuration", sheet.next("look into the token", "coldroot token list"))));
    }
    place::of_log(path)
}

/// `check` of a withheld artefact: by its name, where it lies in a log.
pub fn withheld(path: &Path) -> Result<Answer, Failure> {
    match place::of_log(path)? {
        Some(part) => part.check(),
        None => Part::new("withheld artefact", Sheet::new("A withheld artefact")).check(),
    }
}

/// A container of a release, or a log's tail, by its magic.
fn container(path: &Path) -> Result<Option<Part>, Failure> {
    use std::io::Read;
    let mut start = Vec::new();
    let file = recognise::open_regular(path)?;
    (&file).take(64).read_to_end(&mut start).map_err(|e| Failure::io(path, e))?;
    let of = parent(path);
    if start.starts_with(crate::audit::TAIL_MAGIC) {
        let sheet = Sheet::new("The tail of a log: the entries that its tiles do not hold yet")
            .facts(&[("log", crate::text::path(&of))])
            .next("show the log", format!("coldroot show {}", shell(&of)))
            .next("check the log", format!("coldroot check {} --verifier-key KEY", shell(&of)));
        return Ok(Some(Part::new("tail of a log", sheet)));
    }
    let known = [
        (release::MANIFEST_MAGIC, "manifest of a release", "The manifest of a release, which its end entry names"),
        (release::RELEASE_MAGIC, "body of a release", "What a release holds: certificates, CRLs, refusals"),
        (release::LOG_MAGIC, "log of a release", "The part of the log that a release brings"),
    ];
    let Some((_, kind, what)) = known.into_iter().find(|(magic, _, _)| start.starts_with(&cbor::magic(magic))) else {
        return Ok(None);
    };
    let digest = recognise::open_regular(path).and_then(|file| Digest::read(file).map_err(|e| Failure::io(path, e)))?;
    let sheet = Sheet::new(what)
        .facts(&[("release", crate::text::path(&of))])
        .digest("SHA-256", &digest)
        .next("show the release", format!("coldroot show {}", shell(&of)))
        .next(
            "check the release",
            format!("coldroot check {} --verifier-key KEY --hierarchy FILE --root FILE", shell(&of)),
        );
    Ok(Some(Part::new(kind, sheet).json(json!({ "digest": digest.hex() }))))
}

/// `refused.json`: what was refused, and why.
fn refusals(path: &Path, text: &str) -> Option<Part> {
    let refused: Vec<Refusal> = serde_json::from_str(text).ok()?;
    let (rows, more) = super::show::refusal_rows(&refused, ROWS);
    let title = format!("Refused requests of a release: {}", human_count(refused.len() as u64));
    let of = parent(path);
    let sheet = Sheet::new(title).facts(&rows).text(more);
    let sheet = sheet.next("check the release's files", format!("coldroot check {}", shell(of.join("manifest.json"))));
    Some(Part::new("refusals of a release", sheet).json(json!({ "refused": refused })))
}

/// A page for people.
fn page(path: &Path, text: &str) -> Part {
    let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    let title = escape(title.map_or("", |(title, _)| title));
    let of = parent(path);
    let sheet = Sheet::new("A page for people, which proves nothing").facts(&[("title", title.clone())]);
    let sheet = sheet.next("open it", "in a browser, or print it");
    let sheet = match of.join("manifest.json").is_file() {
        true => sheet.next("check the files beside it", format!("coldroot check {}", shell(of.join("manifest.json")))),
        false => sheet,
    };
    Part::new("page", sheet).json(json!({ "title": title }))
}

/// Rows of what is listed.
const ROWS: usize = 1000;

/// The directory of a file.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}
