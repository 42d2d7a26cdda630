//! `check` and `show` of proofs that have left a log.

use std::path::Path;

use serde_json::json;

use crate::audit::about;
use crate::audit::entry::{Body, Entry};
use crate::audit::note::{self, VerifierKey};
use crate::audit::proof::{Continuation, Inclusion};
use crate::digest::Digest;
use crate::report::sheet::Sheet;
use crate::report::terminal::human_count;
use crate::text::{escape, hex_groups, shell, utc};

use super::against::{self, Kept};
use super::prove::certificate;
use super::show::body_words;
use super::{Answer, Failure, failure::Code};

/// `check` of a proof of inclusion.
pub fn check_inclusion(text: &str, key: &VerifierKey, given: Option<&Path>) -> Result<Answer, Failure> {
    let failed = |what: String| Failure {
        code: Code::CheckFailed,
        ..Failure::refused(
            format!("the proof is not good: {what}"),
            "ask the desk for the proof of this certificate again",
        )
    };
    let proof = Inclusion::parse(text).map_err(|e| failed(e.to_string()))?;
    let (checkpoint, entry) = proof.verify(key).map_err(|e| failed(e.to_string()))?;
    let on_record = match &entry.body {
        Body::Certificate(on_record) => Some(Digest::of(&on_record.der)),
        _ => None,
    };
    if let Some(path) = given
        && on_record != Some(Digest::of(&certificate(path)?))
    {
        return Err(failed("it is of another entry than the certificate's that was given".into()));
    }
    let mut rows = entry_rows(&checkpoint, &proof, &entry);
    if let Some(digest) = on_record {
        let compared = if given.is_some() { "the one given" } else { "not compared: give --certificate" };
        rows.push(("certificate", format!("SHA-256 {}\n{compared}", hex_groups(&digest.0))));
    }
    let head = match (on_record, given) {
        (Some(_), Some(_)) => "The certificate is on record",
        _ => "The entry is on record",
    };
    let json = json!({
        "origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root, "certificate": on_record,
        "compared": given.is_some(),
        "entry": about::to_json(proof.index, &entry).map_err(|e| failed(e.to_string()))?,
    });
    let sheet = Sheet::new("Proof that an entry is on record")
        .verdict(true, format!("{head}: the proof leads from it to a checkpoint of this key."))
        .facts(&rows)
        .digest(format!("root of {} entries", human_count(checkpoint.size)), &checkpoint.root);
    Ok(Answer::of(sheet, json))
}

fn entry_rows(checkpoint: &note::Checkpoint, proof: &Inclusion, entry: &Entry) -> Vec<(&'static str, String)> {
    let (what, of) = body_words(&entry.body);
    vec![
        ("log", escape(&checkpoint.origin)),
        ("entry", format!("{}, the {what} of {of}", human_count(proof.index))),
        ("recorded", utc(entry.time)),
    ]
}

/// `check` of a proof that a log goes on.
pub fn check_continuation(text: &str, key: &VerifierKey, older: Option<&str>) -> Result<Answer, Failure> {
    let failed =
        |what: String| Failure { code: Code::CheckFailed, ..Failure::refused(what, against::TAKE_IT_SERIOUSLY) };
    let proof = Continuation::parse(text).map_err(|e| failed(e.to_string()))?;
    let Some(older) = older else {
        return Err(Failure::usage(
            "such a proof leads from an earlier checkpoint",
            "--against CHECKPOINT, the one that you kept",
        ));
    };
    let (size, root) = match against::kept(older, key)? {
        Kept::Point { size, root, .. } => (size, root),
        Kept::Copy(_) => return Err(Failure::usage("--against is a directory", "give the checkpoint in it")),
    };
    let newer = proof.verify(key, (size, root)).map_err(|e| failed(e.to_string()))?;
    let text = format!(
        "The log goes on: its checkpoint of {} entries continues the one of {}.",
        human_count(newer.size),
        human_count(size),
    );
    let sheet = Sheet::new("Proof that a log goes on")
        .verdict(true, text)
        .facts(&[("log", escape(&newer.origin))])
        .digest("root", &newer.root);
    Ok(Answer::of(sheet, json!({ "origin": newer.origin, "old": size, "size": newer.size, "root": newer.root })))
}

/// `show` of a proof: what it says of itself, without a key.
pub fn show_inclusion(path: &Path, text: &str) -> Result<Answer, Failure> {
    let bad = |what: String| Failure::refused(what, "");
    let proof = Inclusion::parse(text).map_err(|e| bad(e.to_string()))?;
    let entry = Entry::decode(&proof.entry).map_err(|e| bad(e.to_string()))?;
    let checkpoint = note::parse(&proof.note).map_err(|e| bad(e.to_string()))?;
    let sheet = Sheet::new("Proof that an entry is on record, not verified")
        .facts(&entry_rows(&checkpoint, &proof, &entry))
        .digest(format!("root of {} entries", human_count(checkpoint.size)), &checkpoint.root)
        .next("check", format!("coldroot check {} --verifier-key KEY", shell(path)));
    let json = json!({
        "origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root,
        "entry": about::to_json(proof.index, &entry).map_err(|e| bad(e.to_string()))?,
    });
    Ok(Answer::of(sheet, json))
}
