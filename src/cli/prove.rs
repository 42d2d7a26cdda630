//! `prove`: proofs that leave the log.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::audit::about::About;
use crate::audit::entry::{Body, Entry};
use crate::audit::note;
use crate::audit::proof::{Continuation, Inclusion};
use crate::audit::{self, View};
use crate::ledger;
use crate::release;
use crate::report::terminal::human_count;
use crate::text::{escape, path as shown, shell};
use crate::x509;

use super::against;
use super::entries::{Serial, serial};
use super::reading::reading;
use super::recognise::{Kind, read_text, recognise};
use super::show::body_words;
use super::{Answer, Failure, Globals, failure::Code, offline};

/// Proves something.
#[derive(Args)]
#[command(
    override_usage = "coldroot prove [OPTIONS] --to <FILE> <LOG> (--certificate <FILE> |\n       \
    --request <ID> | --serial <HEX> | --entry <N> | --consistency <CHECKPOINT>)",
    after_help = "The proof is a text of its own (C2SP tlog-proof, with the entry in it): who has it needs no log to check it.\n\n\
    Examples:\n  coldroot prove log --certificate chat.pem --to chat.tlog-proof\n  \
    coldroot check chat.tlog-proof --certificate chat.pem --verifier-key verifier-key\n  \
    coldroot prove log --consistency checkpoint-of-last-year --to continued.txt\n  \
    coldroot check continued.txt --against checkpoint-of-last-year --verifier-key verifier-key"
)]
pub struct ProveArgs {
    /// A station's audit/, the log/ of a release, a public copy, or a release
    log: PathBuf,
    #[command(flatten)]
    what: Wanted,
    /// The file of the proof, a new one
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// What is to be proven.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Wanted {
    /// That this certificate, PEM or DER, is on record
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// That the answer to this request is
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// That the certificate with this serial number is
    #[arg(long, value_name = "HEX", value_parser = serial)]
    serial: Option<Serial>,
    /// That the entry with this number, from 0, is
    #[arg(long, value_name = "N")]
    entry: Option<u64>,
    /// That the log continues this earlier checkpoint
    #[arg(long, value_name = "CHECKPOINT")]
    consistency: Option<PathBuf>,
}

pub fn prove(globals: &Globals, args: ProveArgs) -> Result<Answer, Failure> {
    let (_private, path) = match recognise(&args.log)? {
        Kind::Log => (None, args.log.clone()),
        Kind::Release => {
            let (private, path) = release::private_log(&args.log)?;
            (Some(private), path)
        }
        _ => {
            return Err(Failure::usage("a proof is made from a log or a release", "coldroot show says what a file is"));
        }
    };
    let log = offline::read_log(&path)?;
    if let Some(older) = &args.what.consistency {
        return continuation(&log, older, &args.to);
    }
    let (index, octets) = find(&log, &args.what, globals.plain)?;
    let proof = Inclusion::of(&log, index, octets)?;
    let entry = Entry::decode(&proof.entry).map_err(|source| audit::Error::EntryMalformed { index, source })?;
    write_new(&args.to, &proof.text())?;
    let (what, of) = body_words(&entry.body);
    // Whose certificate it is has it; the key comes from elsewhere, in a file or as its text.
    let certificate = match (&entry.body, &args.what.certificate) {
        (Body::Certificate(_), Some(given)) => format!(" --certificate {}", shell(given)),
        (Body::Certificate(_), None) => " --certificate CERTIFICATE.pem".into(),
        _ => String::new(),
    };
    let next = format!("coldroot check {} --verifier-key verifier-key{certificate}", shell(&args.to));
    let python = format!("python3 verify.py --proof {} --verifier-key verifier-key{certificate}", shell(&args.to));
    let root = match certificate.is_empty() {
        true => "the entry is in the proof",
        false => "--root root.pem has it follow the chain, too",
    };
    let text = format!(
        "Proven: entry {index} ({what} {of}) is on record, under the checkpoint of {} entries.\n\n  written: {}\n  \
        next: {next}\n\n\
        Who has not this program checks it with audit-logs/verify.py alone (Python with the\npackage cryptography; {root}):\n\n  \
        {python}\n\nThe file verifier-key holds the log's key, from elsewhere than log or release.\n",
        human_count(log.sealed_size()),
        shown(&args.to),
    );
    let json = json!({
        "index": index, "size": log.sealed_size(), "what": what, "of": of, "proof": proof.text(), "next": next, "verify-py": python,
    });
    Ok(Answer::new(text, json))
}

/// The entry that is wanted. Of several, as with requests that were refused and sent again, the last.
fn find(log: &View, wanted: &Wanted, plain: bool) -> Result<(u64, Vec<u8>), Failure> {
    let der = match &wanted.certificate {
        None => None,
        Some(path) => Some(certificate(path)?),
    };
    let fits = |entry: &Entry| match &entry.body {
        _ if wanted.entry.is_some() => true,
        Body::Certificate(c) if der.is_some() => der.as_ref() == Some(&c.der.to_vec()),
        _ if der.is_some() => false,
        Body::Revoked(_) => false,
        body if wanted.serial.is_some() => About::new(body).serial.map(Serial::of) == wanted.serial,
        body => wanted.request.is_some() && About::new(body).request == wanted.request.as_deref(),
    };
    // A certificate stands in one entry. Where an index knows it, that one is looked at and no other; what it does not know
    // is looked for.
    let place = wanted.entry.or_else(|| place(log, der.as_deref(), wanted.serial.as_ref()));
    let mut last = search(log, place.map_or(0..0, |n| n..n.saturating_add(1)), &fits, true, |_, _| {})?;
    if last.is_none() && wanted.entry.is_none() {
        let once = der.is_some();
        last = search(log, 0..log.size(), &fits, once, reading(plain, "no index knows what is wanted"))?;
    }
    let (index, octets) = last.ok_or_else(|| {
        let next = "compare the file with what was handed out; `coldroot show LOG --serial HEX` looks for it by number";
        Failure { code: Code::CheckFailed, ..Failure::refused("it is not on record in this log", next) }
    })?;
    match index < log.sealed_size() {
        true => Ok((index, octets)),
        false => Err(Failure::refused(
            format!("entry {index} is on record, but no checkpoint covers it yet"),
            "the next `coldroot sign` at the station seals it first; then make the proof again",
        )),
    }
}

/// Where the stored index has the certificate.
fn place(log: &View, der: Option<&[u8]>, serial: Option<&Serial>) -> Option<u64> {
    let octets = match (der, serial) {
        (Some(der), _) => x509::read_certificate(der).ok()?.serial.into_vec(),
        (None, Some(serial)) => serial.content(),
        (None, None) => return None,
    };
    ledger::place_of(log, &octets)
}

/// The first entry of the range that fits, or the last.
fn search(
    log: &View,
    range: Range<u64>,
    fits: &dyn Fn(&Entry) -> bool,
    first: bool,
    mut tell: impl FnMut(u64, u64),
) -> Result<Option<(u64, Vec<u8>)>, Failure> {
    let total = range.end.min(log.size()).saturating_sub(range.start);
    let mut last = None;
    for (done, found) in (1..).zip(log.entries(range)) {
        let (index, entry, octets) = found?;
        tell(done, total);
        if fits(&entry) {
            last = Some((index, octets));
            if first {
                break;
            }
        }
    }
    tell(total, total);
    Ok(last)
}

fn continuation(log: &View, older: &Path, to: &Path) -> Result<Answer, Failure> {
    let not_older =
        |what: String| Failure { code: Code::CheckFailed, ..Failure::refused(what, against::TAKE_IT_SERIOUSLY) };
    let note = read_text(older, note::MAX_NOTE as u64)?;
    let older = note::parse(&note)
        .map_err(|e| Failure::usage(format!("{}: {e}", shown(older)), "give an earlier `checkpoint`"))?;
    if older.origin != log.origin() {
        let what =
            format!("the checkpoint is of the log `{}`, this one is `{}`", escape(&older.origin), escape(log.origin()));
        return Err(not_older(what));
    }
    if older.size > log.sealed_size() {
        let what = format!("the checkpoint is of {} entries, this log has {}", older.size, log.sealed_size());
        return Err(not_older(what));
    }
    if log.root_at(older.size)? != older.root {
        return Err(not_older(format!("this log does not continue the checkpoint of {} entries: a fork", older.size)));
    }
    let proof = Continuation::of(log, older.size)?;
    write_new(to, &proof.text())?;
    let text = format!(
        "Proven: the log of {} entries continues the checkpoint of {}.\n\n  written: {}\n  \
        next: coldroot check {} --verifier-key KEY --against CHECKPOINT\n",
        human_count(log.sealed_size()),
        human_count(older.size),
        shown(to),
        shell(to)
    );
    Ok(Answer::new(text, json!({ "old": older.size, "size": log.sealed_size(), "proof": proof.text() })))
}

/// Writes a new file whole, or none.
pub fn write_new(to: &Path, text: &str) -> Result<(), Failure> {
    let mut file = File::create_new(to).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::refused(format!("{} is there already", shown(to)), "name a new file")
        }
        _ => Failure::io(to, e),
    })?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|e| {
        // Half of it is none.
        let _ = fs::remove_file(to);
        Failure::io(to, e)
    })
}

/// The DER of a certificate file.
pub fn certificate(path: &Path) -> Result<Vec<u8>, Failure> {
    match recognise(path)? {
        Kind::Certificate(der) => Ok(der),
        _ => Err(Failure::usage(format!("{} is no certificate", shown(path)), "give a certificate, PEM or DER")),
    }
}
