//! What a file is: by its magic and structure, never by its name.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

use crate::audit::{note, proof, withheld};
use crate::x509::pem;
use crate::{bundle, cbor, plan, x509};

use super::Failure;

/// The largest certificate, CRL, request or text that is looked at whole.
pub const MAX_WHOLE: u64 = 64 << 20;

/// A recognised file or directory.
pub enum Kind {
    Plan,
    Bundle,
    /// A release directory.
    Release,
    /// A log directory (`checkpoint`, `tile/`), or a station's `audit/`.
    Log,
    Hierarchy(String),
    Ceremony(String),
    Statement(String),
    /// A withheld artefact.
    Withheld,
    /// DER.
    Certificate(Vec<u8>),
    Crl(Vec<u8>),
    /// DER or PEM, perhaps damaged: what reads it says so.
    Request(Vec<u8>),
    /// A SubjectPublicKeyInfo in DER, perhaps damaged.
    Key(Vec<u8>),
    /// A proof that an entry is on record.
    Inclusion(String),
    /// A proof that a log continues an earlier checkpoint.
    Continuation(String),
    /// A signed note.
    Checkpoint(String),
}

impl Kind {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Plan => "plan",
            Kind::Bundle => "bundle",
            Kind::Release => "release",
            Kind::Log => "log",
            Kind::Hierarchy(_) => "hierarchy",
            Kind::Ceremony(_) => "ceremony",
            Kind::Statement(_) => "statement",
            Kind::Withheld => "withheld artefact",
            Kind::Certificate(_) => "certificate",
            Kind::Crl(_) => "CRL",
            Kind::Request(_) => "certificate request",
            Kind::Key(_) => "public key",
            Kind::Inclusion(_) => "proof that an entry is on record",
            Kind::Continuation(_) => "proof that a log goes on",
            Kind::Checkpoint(_) => "checkpoint",
        }
    }
}

/// Looks at the beginning of a file, or at the files of a directory.
pub fn recognise(path: &Path) -> Result<Kind, Failure> {
    kind_of(path)?.ok_or_else(|| unknown(path))
}

/// What to say of a file that is nothing of ours.
pub fn unknown(path: &Path) -> Failure {
    Failure::refused(
        format!("{} is nothing that coldroot knows", crate::text::path(path)),
        "known are: plan, bundle, release, log, checkpoint, proof, statement, hierarchy, ceremony, certificate, CRL, certificate request, public key, withheld artefact",
    )
}

/// What a file is by itself; `None` where it is none of these.
pub fn kind_of(path: &Path) -> Result<Option<Kind>, Failure> {
    let meta = fs::metadata(path).map_err(|e| Failure::io(path, e))?;
    if meta.is_dir() {
        return match path {
            _ if path.join("manifest.cbor").exists() => Ok(Some(Kind::Release)),
            // With tiles alone it is a log whose checkpoint is missing, and `check` says so.
            _ if ["checkpoint", "tail", "tile"].iter().any(|name| path.join(name).exists()) => Ok(Some(Kind::Log)),
            _ => Ok(None),
        };
    }
    let file = open_regular(path)?;
    let mut start = Vec::new();
    (&file).take(64).read_to_end(&mut start).map_err(|e| Failure::io(path, e))?;
    let known = [(plan::MAGIC, Kind::Plan), (bundle::MAGIC, Kind::Bundle), (withheld::MAGIC, Kind::Withheld)];
    for (magic, kind) in known {
        if start.starts_with(&cbor::magic(magic)) {
            return Ok(Some(kind));
        }
    }
    let mut bytes = start;
    (&file).take(MAX_WHOLE).read_to_end(&mut bytes).map_err(|e| Failure::io(path, e))?;
    if bytes.len() as u64 > MAX_WHOLE {
        return Ok(None);
    }
    if bytes.first() == Some(&0x30) {
        return Ok(der(bytes));
    }
    let Ok(text) = String::from_utf8(bytes) else { return Ok(None) };
    if text.starts_with("coldroot-statement-v0\n") {
        return Ok(Some(Kind::Statement(text)));
    }
    if text.starts_with(proof::MAGIC) {
        return Ok(Some(Kind::Inclusion(text)));
    }
    if text.strip_prefix("old ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        return Ok(Some(Kind::Continuation(text)));
    }
    if note::parse(&text).is_ok() {
        return Ok(Some(Kind::Checkpoint(text)));
    }
    let block = pem::blocks(&text).next();
    match block {
        Some(block) if block.label.ends_with("CERTIFICATE REQUEST") => {
            return Ok(Some(Kind::Request(text.into_bytes())));
        }
        Some(block) if block.label == "PUBLIC KEY" => return Ok(Some(Kind::Key(block.content.unwrap_or_default()))),
        Some(pem::Block { content: Ok(bytes), .. }) => return Ok(der(bytes)),
        _ => {}
    }
    match text.lines().find_map(|line| line.trim().strip_prefix("format").and_then(|l| l.split('"').nth(1))) {
        // Of any version: what reads it says which one it reads.
        Some(format) if format.starts_with("coldroot-hierarchy-") => Ok(Some(Kind::Hierarchy(text))),
        Some(format) if format.starts_with("coldroot-ceremony-") => Ok(Some(Kind::Ceremony(text))),
        _ => Ok(None),
    }
}

/// Opens a regular file; a device or a pipe would never end. It is looked at before it is opened, since opening a device does
/// something, and again afterwards; opening never waits for a pipe's other end.
pub fn open_regular(path: &Path) -> Result<File, Failure> {
    must_be_regular(path)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty()).map_err(|e| Failure::io(path, e.into()))?);
    let meta = file.metadata().map_err(|e| Failure::io(path, e))?;
    regular(path, &meta).map(|()| file)
}

/// Refuses a path at which no regular file is.
pub fn must_be_regular(path: &Path) -> Result<(), Failure> {
    let meta = fs::metadata(path)
        .map_err(|e| Failure::io(path, e).next("list its directory; is the right medium mounted?"))?;
    regular(path, &meta)
}

fn regular(path: &Path, meta: &fs::Metadata) -> Result<(), Failure> {
    match meta.is_file() {
        true => Ok(()),
        false => Err(Failure::refused(
            format!("{} is no regular file", crate::text::path(path)),
            "give a file or a directory",
        )),
    }
}

/// The certificates of a file of one, in their order: what stands in a PEM text behind the first are its chain.
pub fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let octets = read_octets(path, MAX_WHOLE)?;
    if octets.first() == Some(&0x30) {
        return Ok(vec![octets]);
    }
    let text = String::from_utf8_lossy(&octets);
    let blocks = pem::blocks(&text).filter(|block| block.label == "CERTIFICATE");
    blocks
        .map(|block| block.content.map_err(|e| Failure::refused(e.to_string(), e.hint().unwrap_or_default())))
        .collect()
}

/// Reads a small file whole.
pub fn read_octets(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    open_regular(path)?.take(limit + 1).read_to_end(&mut octets).map_err(|e| Failure::io(path, e))?;
    match octets.len() as u64 > limit {
        true => Err(Failure::refused(
            format!("{} is larger than {limit} octets", crate::text::path(path)),
            "give the right file",
        )),
        false => Ok(octets),
    }
}

/// Reads a small text file whole.
pub fn read_text(path: &Path, limit: u64) -> Result<String, Failure> {
    let mut text = String::new();
    open_regular(path)?.take(limit + 1).read_to_string(&mut text).map_err(|e| Failure::io(path, e))?;
    match text.len() as u64 > limit {
        true => Err(Failure::refused(
            format!("{} is larger than {limit} octets", crate::text::path(path)),
            "give the right file",
        )),
        false => Ok(text),
    }
}

/// A certificate or a CRL by what reads it; a request or a key by its first octets, so that a damaged one is told what is wrong.
fn der(bytes: Vec<u8>) -> Option<Kind> {
    if x509::read_certificate(&bytes).is_ok() {
        return Some(Kind::Certificate(bytes));
    }
    if x509::read_crl(&bytes).is_ok() {
        return Some(Kind::Crl(bytes));
    }
    // Whatever the lengths say: SEQUENCE { SEQUENCE { INTEGER 0 … } } is a request, SEQUENCE { SEQUENCE { OID … } } a key.
    let start = [first_inside(&bytes)?, first_inside(first_inside(&bytes)?)?];
    match start {
        [[0x30, ..], [0x02, 0x01, 0x00, 0x30, ..]] => Some(Kind::Request(bytes)),
        [[0x30, ..], [0x06, ..]] => Some(Kind::Key(bytes)),
        _ if x509::Request::parse(&bytes).is_ok() => Some(Kind::Request(bytes)),
        _ => None,
    }
}

/// What stands behind the first tag and length.
fn first_inside(bytes: &[u8]) -> Option<&[u8]> {
    let length_octets = match bytes.get(1)? {
        short if *short < 0x80 => 1,
        long => 1 + usize::from(long & 0x7f),
    };
    bytes.get(1 + length_octets..)
}
