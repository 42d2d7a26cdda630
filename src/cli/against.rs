//! `check --against`: a log compared with what was kept of it elsewhere.

use std::path::Path;

use serde_json::{Value, json};

use crate::audit::mark::Standing;
use crate::audit::note::{self, VerifierKey};
use crate::audit::{self, View, against, paper};
use crate::change;
use crate::digest::Digest;
use crate::report::sheet::Sheet;
use crate::report::terminal::{counted, human_count};
use crate::text::{escape, path as shown, words};

use super::recognise::read_text;
use super::{Answer, Failure, failure::Code, offline};

/// What to do about a log that is not what was kept.
pub const TAKE_IT_SERIOUSLY: &str =
    "keep both as evidence and ask the officers of the station; sign nothing with this directory";

/// What was kept.
pub enum Kept {
    /// A size and the root of so many entries; signed, or printed.
    Point {
        size: u64,
        root: Digest,
        from: String,
    },
    Copy(Box<View>),
}

/// Reads `--against`: a directory, a file with a signed note or a page of minutes, or a size and its root as they were printed: `59 4b92 5466 …`, or
/// the root as 32 words.
pub fn kept(given: &str, key: &VerifierKey) -> Result<Kept, Failure> {
    let path = Path::new(given);
    let signed = |note: &str| {
        note::open(note, key).map_err(|e| Failure {
            code: Code::CheckFailed,
            ..Failure::refused(
                format!("{}: its checkpoint does not verify with the given key: {e}", shown(path)),
                TAKE_IT_SERIOUSLY,
            )
        })
    };
    if path.is_dir() {
        let copy = offline::read_log(path)?;
        if let Some(note) = copy.checkpoint_text() {
            signed(note)?;
        }
        return Ok(Kept::Copy(Box::new(copy)));
    }
    if path.exists() {
        let text = read_text(path, note::MAX_NOTE as u64)?;
        if let Some((size, _, root)) = paper::read_page(&text) {
            return Ok(Kept::Point { size, root, from: format!("the minutes in {}", shown(path)) });
        }
        let checkpoint = signed(&text)?;
        let from = format!("checkpoint {}", shown(path));
        return Ok(Kept::Point { size: checkpoint.size, root: checkpoint.root, from });
    }
    let (size, root) = printed(given).ok_or_else(|| {
        Failure::usage(
            format!("`{}` is no directory, no file, and no size with a root", escape(given)),
            "give a copy, a checkpoint, or what was printed: --against '59 4b92 5466 ...' (64 hex digits, or 32 words)",
        )
    })?;
    Ok(Kept::Point { size, root, from: "what was printed".into() })
}

/// A size and a root as people copy them.
fn printed(text: &str) -> Option<(u64, Digest)> {
    let mut parts = text.split_whitespace();
    let size = parts.next()?.replace(',', "").parse().ok().filter(|size| *size <= note::MAX_SIZE)?;
    let rest: Vec<&str> = parts.collect();
    let root = Digest::from_hex(&rest.concat()).or_else(|| {
        let octets: Option<Vec<u8>> = rest.iter().enumerate().map(|(place, word)| words::octet(place, word)).collect();
        Some(Digest(octets?.try_into().ok()?))
    })?;
    Some((size, root))
}

/// How a log stands to what was kept: a line for people, the same for machines, and whether it is good.
pub fn compare(log: &View, kept: &Kept) -> Result<(String, Value, bool), Failure> {
    let (standing, first, from) = match kept {
        Kept::Point { size, root, from } => (against::point(log, *size, root)?, None, from.clone()),
        Kept::Copy(copy) if copy.origin() != log.origin() => {
            let what =
                format!("the copy is of the log `{}`, this one is `{}`", escape(copy.origin()), escape(log.origin()));
            return Err(Failure {
                code: Code::CheckFailed,
                ..Failure::refused(what, "compare copies of the same log")
            });
        }
        Kept::Copy(copy) => {
            let (standing, first) = against::copy(log, copy)?;
            (standing, first, format!("the copy {}", shown(copy.dir())))
        }
    };
    let entries = |n: u64| counted(n, "entry", "entries");
    let (name, by, text, good) = match standing {
        Standing::Equal => ("same", 0, format!("the same as {from}"), true),
        Standing::Ahead { by } => ("ahead", by, format!("continues {from}, {} later", entries(by)), true),
        Standing::Behind { missing } => {
            ("behind", missing, format!("BEHIND {from}: {} missing here", entries(missing)), false)
        }
        Standing::Fork => {
            let place = first.map_or(String::new(), |n| format!(" at entry {n}"));
            ("fork", 0, format!("a FORK: it is not the log of {from}, it differs{place}"), false)
        }
    };
    Ok((text, json!({ "standing": name, "by": by, "first-difference": first }), good))
}

/// What `check` found of a log, and how the log stands to what was kept of it.
pub fn also(answer: Answer, log: &View, key: &VerifierKey, given: Option<&str>) -> Result<Answer, Failure> {
    let Some(given) = given else { return Ok(answer) };
    let (text, json, good) = compare(log, &kept(given, key)?)?;
    let mut answer = answer.and(Sheet::new("").facts(&[("against", text.clone())]));
    if let Some(map) = answer.json.as_object_mut() {
        map.insert("against".into(), json);
    }
    match good {
        true => Ok(answer),
        false => Err(Failure {
            code: Code::CheckFailed,
            ..Failure::refused(format!("the log is {text}"), TAKE_IT_SERIOUSLY)
        }),
    }
}

/// `check` of a log, a station's or a copy.
pub fn check_log(path: &Path, key: &VerifierKey, given: Option<&str>) -> Result<Answer, Failure> {
    let failed = |e: audit::check::Finding| Failure { code: Code::CheckFailed, hint: e.hint(), what: e.to_string() };
    let report = audit::check::check(path, key).map_err(failed)?;
    let log = offline::read_log(path)?;
    let changes = change::judge_log(&log, &report.changes).map_err(|e| Failure {
        code: Code::CheckFailed,
        hint: e.cause.hint(),
        what: format!("a change of state was not decided by its quorum: {e}"),
    })?;
    let said = "The log is good: checkpoint, tiles, entries and their order agree.";
    let sheet = Sheet::new(format!("Log {}", escape(log.origin())))
        .verdict(true, said)
        .facts(&[
            ("sealed", format!("{} entries", human_count(report.size))),
            ("unsealed", human_count(report.unsealed)),
            ("changes", changes_words(changes)),
            ("mark", mark(path, key, &log)?),
        ])
        .digest("root", &report.root)
        .text(gaps(&report));
    also(Answer::of(sheet, report), &log, key, given)
}

/// A mark in the token is read by a login alone. One that lies in the directory is read here; whether it is the newest one the paper
/// says.
fn mark(path: &Path, key: &VerifierKey, log: &View) -> Result<String, Failure> {
    let failed = |what: String| Failure {
        code: Code::CheckFailed,
        ..Failure::refused(format!("audit/{}: {what}", paper::FILE), TAKE_IT_SERIOUSLY)
    };
    let Some(note) = paper::read(path)? else { return Ok("not compared: that needs a login".into()) };
    let marked = paper::Marked::open(&note, key).map_err(|e| failed(format!("no mark of this log: {e}")))?;
    match marked.mark.compare(log)? {
        Standing::Equal | Standing::Ahead { .. } => Ok(format!(
            "on paper: the note in the directory knows {} of these entries; whether it is the newest the minutes say: --against 'SIZE WORDS'",
            human_count(marked.mark.size)
        )),
        Standing::Behind { missing } => Err(failed(format!("it knows {missing} entries that are missing here"))),
        Standing::Fork => Err(failed("it is of another log: another root".into())),
    }
}

fn changes_words(change::Judged { approved, not_judged }: change::Judged) -> String {
    match (approved, not_judged) {
        (0, 0) => "none of the station's state".into(),
        (_, 0) => format!("{approved} of the station's state, approved by their quorums"),
        _ => format!("{approved} approved by their quorums, {not_judged} not judged: what was signed is not here"),
    }
}

/// What a log does not know because its end was lost once.
fn gaps(report: &audit::check::Report) -> String {
    let one = |gap: &audit::check::Gap| {
        let releases = match gap.mark_release > gap.release {
            true => format!("releases {} to {}", gap.release + 1, gap.mark_release),
            false => "no release".into(),
        };
        let plan = gap.plan.map_or(String::new(), |plan| format!("; plan {plan} was open"));
        let hierarchy = gap.hierarchy.map_or(String::new(), |hierarchy| {
            format!(
                "  The hierarchy from there on was adopted in what is lost, and nothing here vouches for it: compare its SHA-256 with what\n  \
                 the station's persons say: {hierarchy}\n"
            )
        });
        format!(
            "  GAP: entry {} (log-adopted): {releases} may exist that this log does not know{plan}; certificates, revocations and keys of\n  \
             that time are unknown, and a checkpoint from it contradicts this log.\n{hierarchy}",
            gap.entry
        )
    };
    report.gaps.iter().map(one).collect()
}

/// `check` of a checkpoint alone.
pub fn check_checkpoint(text: &str, key: &VerifierKey) -> Result<Answer, Failure> {
    let checkpoint = note::open(text, key).map_err(|e| Failure {
        code: Code::CheckFailed,
        ..Failure::refused(format!("the checkpoint does not verify with the given key: {e}"), TAKE_IT_SERIOUSLY)
    })?;
    let json = json!({ "origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root });
    let said = "The checkpoint is signed by the given key.";
    Ok(Answer::of(checkpoint_sheet(Sheet::new("Checkpoint").verdict(true, said), &checkpoint), json))
}

/// `show` of a checkpoint, as it may be kept: size and root in every form in which they are printed.
pub fn show_checkpoint(text: &str) -> Result<Answer, Failure> {
    let checkpoint = note::parse(text).map_err(|e| Failure::refused(e.to_string(), ""))?;
    let spoken: Vec<&str> =
        checkpoint.root.0.iter().enumerate().map(|(place, octet)| words::word(place, *octet)).collect();
    let json = json!({
        "origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root, "words": spoken,
    });
    Ok(Answer::of(checkpoint_sheet(Sheet::new("Checkpoint, its signature not verified"), &checkpoint), json))
}

fn checkpoint_sheet(sheet: Sheet, checkpoint: &note::Checkpoint) -> Sheet {
    sheet
        .facts(&[("log", escape(&checkpoint.origin)), ("entries", human_count(checkpoint.size))])
        .digest("root", &checkpoint.root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_is_read_as_hex_groups_or_words() {
        let root = Digest([0x4b; 32]);
        let groups = crate::text::hex_groups(&root.0);
        let spoken: Vec<&str> = root.0.iter().enumerate().map(|(place, octet)| words::word(place, *octet)).collect();
        for text in [
            format!("59 {}", root.hex()),
            format!("59 {groups}"),
            format!("59 {}", spoken.join(" ")),
            format!(" 5,9  {}", spoken.join(" ").to_uppercase()),
        ] {
            assert_eq!(printed(&text), Some((59, root)), "{text}");
        }
        let (short, swapped) = (&groups[..70], {
            let mut s = spoken.clone();
            s.swap(0, 1);
            s.join(" ")
        });
        for bad in ["", "59", &groups, &format!("59 {short}"), &format!("x {groups}"), &format!("59 {swapped}")] {
            assert_eq!(printed(bad), None, "{bad}");
        }
    }
}
