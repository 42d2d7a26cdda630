//! `restore`: a lost or damaged audit directory comes back from its copy.
//!
//! ```text
//! 1 the copy checked, whole       nothing is written
//! 2 audit.part written, flushed   a directory that nothing names; the next run makes it again
//! 3 note in it, flushed           the same
//! 4 audit → audit.before-N        no audit/ yet; the next run goes on at 2
//! 5 audit.part → audit            the log is back
//! 6 verifier-key, hierarchy.toml  where they were missing; the next run brings them, and says that audit/ is whole
//! ```
//! Nothing is deleted, and nobody logs in: whether the copy is new enough is for the token's mark to say, at the next login.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::audit::entry::{Body, Entry};
use crate::audit::named::named;
use crate::audit::note::VerifierKey;
use crate::audit::{Log, View, check, copy};
use crate::ledger::Ledger;
use crate::report::terminal::{human_count, pairs};
use crate::text::{path as shown, shell};

use super::{Answer, Failure, Globals, clock, failure::Code, flushed};

/// Brings an audit directory back.
#[derive(Args)]
#[command(
    after_help = "The copy is checked whole first. What lies in audit/ is moved aside, never deleted. The token's mark decides at \
    the next login whether the copy is new enough.\n\nExample:\n  coldroot restore /media/copy/audit\n  \
    coldroot --station new restore /media/copy/audit --verifier-key \"example.org/log+1a2b3c4d+AQ…\""
)]
pub struct RestoreArgs {
    /// The copy: a directory that `[audit] copy` or `--copy` has filled, or any whole copy of audit/
    pub from: PathBuf,
    /// The log's verifier key, or the file that holds it, where the station's own file `verifier-key` is lost
    #[arg(long, value_name = "KEY")]
    pub verifier_key: Option<String>,
}

pub fn restore(globals: &Globals, args: RestoreArgs) -> Result<Answer, Failure> {
    let station = &globals.station;
    if !station.is_dir() {
        let dir = shell(station);
        return Err(Failure::refused(format!("there is no directory {}", shown(station)), format!("mkdir {dir}")));
    }
    let own = station.join("verifier-key");
    let own = own.is_file().then(|| super::offline::verifier_key(&own.to_string_lossy())).transpose()?;
    let given = args.verifier_key.as_deref().map(super::offline::verifier_key).transpose()?;
    let key = match (own, given) {
        (Some(own), Some(given)) if own.to_string() != given.to_string() => {
            return Err(Failure::refused(
                "the station's file `verifier-key` holds another key than --verifier-key",
                "this is another station, or another one's copy: compare both with the minutes",
            ));
        }
        (Some(key), _) | (None, Some(key)) => key,
        (None, None) => {
            return Err(Failure::usage(
                "the station's file `verifier-key` is not there",
                "--verifier-key KEY, from the minutes or any place that is not the copy",
            ));
        }
    };
    check::check(&args.from, &key).map_err(|e| bad_copy(e.to_string()))?;
    let view = View::read(&args.from)?;
    holds_all(&view)?;
    let audit = station.join("audit");
    // Whoever writes to it holds its lock. It is looked at and moved, and nothing in it is changed.
    let _lock = if audit.is_dir() { Some(Log::lock(&audit)?) } else { None };
    let Some(before) = judge(&audit, &key, &view)? else {
        return nothing_lost(station, &View::read(&audit)?, &view, &key);
    };
    let ledger = fold(&view)?;
    let aside = bring_back(station, &args.from, &view, &before, globals)?;
    let lost = also_lost(station, &view, &key, &ledger)?;
    Ok(told(station, &view, &ledger, &before, aside.as_deref(), &lost))
}

fn bad_copy(why: String) -> Failure {
    Failure {
        code: Code::CheckFailed,
        what: format!("the copy is not good: {why}"),
        hint: Some("take another copy; any whole one of a station's audit/ will do".into()),
    }
}

/// A copy for everybody, a release's log for one, verifies without what only a station has. It brings no station back.
fn holds_all(copy: &View) -> Result<(), Failure> {
    for entry in copy.entries(0..copy.size()) {
        for (digest, what) in named(&entry?.1.body) {
            if what.held() && copy.verify_artefact(&digest).is_err() {
                return Err(bad_copy(format!(
                    "it is one for others, without what a station must hold (artefact {digest})"
                )));
            }
        }
    }
    Ok(())
}

/// What lies in `audit/`: a clause for the log and for people. `None`: a whole log, of which the copy has nothing more.
fn judge(audit: &Path, key: &VerifierKey, copy: &View) -> Result<Option<String>, Failure> {
    let empty = fs::read_dir(audit).map_or(true, |mut entries| entries.next().is_none());
    if empty {
        return Ok(Some("the audit directory was lost".into()));
    }
    if let Err(e) = check::check(audit, key) {
        return Ok(Some(format!("the audit directory was damaged ({e})")));
    }
    let there = View::read(audit)?;
    let (size, held) = (there.size(), copy.size());
    let common = size.min(held);
    Ok(if there.root_at(common)? != copy.root_at(common)? {
        Some(format!("the audit directory held another log of {size} entries"))
    } else if size < held {
        Some(format!("the audit directory held only {size} entries"))
    } else {
        None
    })
}

/// The log is whole; what a stop behind step 5 has left undone is done.
fn nothing_lost(station: &Path, there: &View, copy: &View, key: &VerifierKey) -> Result<Answer, Failure> {
    let lost = also_lost(station, there, key, &fold(there)?)?;
    let (size, held) = (human_count(there.size()), human_count(copy.size()));
    if lost.is_empty() {
        return Err(Failure::refused(
            format!("audit/ is whole, and the copy has nothing that it has not: {size} entries, the copy {held}"),
            format!("nothing is to be restored; go on: coldroot --station {} show audit", shell(station)),
        ));
    }
    let text = format!("audit/ is whole, with {size} entries. Brought back from it: {}.\n", lost.join(", "));
    Ok(Answer::new(text, json!({ "size": there.size(), "also-back": lost })))
}

/// Steps 2 to 5. Returns where the directory from before went.
fn bring_back(
    station: &Path,
    from: &Path,
    view: &View,
    before: &str,
    globals: &Globals,
) -> Result<Option<PathBuf>, Failure> {
    let (audit, part) = (station.join("audit"), station.join("audit.part"));
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |e| Failure::io(&path, e)
    };
    if part.exists() {
        if from.canonicalize().is_ok_and(|from| part.canonicalize().is_ok_and(|part| from.starts_with(part))) {
            let what = "audit.part is what a restore that was stopped had begun, and would be made anew";
            let (part, kept) = (shell(&part), shell(station.join("audit.kept")));
            return Err(Failure::refused(what, format!("mv {part} {kept}, then restore from there")));
        }
        // Of a restore that was stopped: nothing names it.
        fs::remove_dir_all(&part).map_err(io(&part))?;
    }
    fs::create_dir(&part).map_err(io(&part))?;
    copy::restore(view, &part)
        .map_err(|e| Failure::refused(e.to_string(), "see to the station's disk, then run this again"))?;
    let mut log = Log::open(&part)?;
    if log.root()? != view.root()? {
        return Err(Failure::refused(
            "what was written is not what the copy holds",
            "see to the station's disk (`dmesg`)",
        ));
    }
    let what = format!("{before}; restored at {} entries from {}", log.size(), shown(from));
    let last = log.size().checked_sub(1).map(|last| log.entry(last)).transpose()?.map_or(0, |entry| entry.time);
    log.append(&Entry::new(clock(globals.now).max(last), Body::Failure { what: what.chars().take(2_000).collect() }))?;
    log.sync()?;
    drop(log);
    let aside = match audit.exists() {
        false => None,
        true => {
            let free = |n: &u32| !station.join(format!("audit.before-{n}")).exists();
            let n = (1..).find(free).unwrap_or_default();
            let aside = station.join(format!("audit.before-{n}"));
            fs::rename(&audit, &aside).map_err(io(&aside))?;
            Some(aside)
        }
    };
    fs::rename(&part, &audit).map_err(io(&audit))?;
    fs::File::open(station).and_then(|dir| dir.sync_all()).map_err(io(station))?;
    Ok(aside)
}

fn fold(view: &View) -> Result<Ledger, Failure> {
    let mut ledger = Ledger::default();
    for entry in view.entries(0..view.size()) {
        let (index, entry, _) = entry?;
        ledger.add(view, index, &entry)?;
    }
    Ok(ledger)
}

/// Step 6: what else a lost disk has lost, and the log still has.
fn also_lost(station: &Path, view: &View, key: &VerifierKey, ledger: &Ledger) -> Result<Vec<String>, Failure> {
    let mut brought = Vec::new();
    let path = station.join("verifier-key");
    if !path.exists() {
        flushed::file(&path, format!("{key}\n").as_bytes())?;
        brought.push("verifier-key".to_string());
    }
    let path = station.join("hierarchy.toml");
    if ledger.genesis.is_some() && !path.exists() {
        flushed::file(&path, &view.artefact(&ledger.changed.hierarchy)?)?;
        brought.push("hierarchy.toml".to_string());
    }
    Ok(brought)
}

/// The highest release that lies in `out/`.
fn left(station: &Path) -> Option<u64> {
    let number =
        |e: std::io::Result<fs::DirEntry>| e.ok()?.file_name().to_str()?.strip_prefix("release-")?.parse().ok();
    fs::read_dir(station.join("out")).ok()?.filter_map(number).max()
}

fn told(station: &Path, view: &View, ledger: &Ledger, before: &str, aside: Option<&Path>, lost: &[String]) -> Answer {
    let last =
        view.size().checked_sub(1).and_then(|last| view.entry(last).ok()).map(|entry| crate::text::utc(entry.time));
    let out = left(station).filter(|n| *n > ledger.release);
    let open = ledger.open_plan().map(|(plan, _)| plan.hex());
    let warning = out.map_or(String::new(), |n| {
        format!(
            "  WARNING: out/ holds release {n}, of which this copy knows nothing: it is older than what has left the station.\n  \
             Look for a newer copy before anything else; the mark will refuse this one.\n"
        )
    });
    let root = view.root().map_or_else(|_| "-".into(), |root| crate::text::hex_groups(&root.0));
    let mut rows = vec![
        ("why", before.to_string()),
        ("entries", format!("{} ({} sealed)", human_count(view.size()), human_count(view.sealed_size()))),
        ("root", root),
        ("last entry", last.clone().unwrap_or_default()),
        ("last release", ledger.release.to_string()),
    ];
    if let Some(plan) = &open {
        rows.push(("open plan", format!("{}.. was started: the same `sign` or `void` goes on", &plan[..8])));
    }
    if let Some(aside) = aside {
        rows.push(("before", format!("{}, moved aside", shown(aside))));
    }
    if !lost.is_empty() {
        rows.push(("also back", lost.join(", ")));
    }
    rows.push(("mark", "not compared: that needs a login".into()));
    let token = ledger.genesis.is_some().then(|| format!("coldroot --station {} token inventory", shell(station)));
    let text = format!(
        "The audit directory is back from its copy.\n\n{}{warning}  next: {}, whose login compares it with the token's mark\n",
        pairs(&rows),
        token.unwrap_or_default()
    );
    let json = json!({
        "size": view.size(), "sealed": view.sealed_size(), "release": ledger.release, "last-entry": last, "open-plan": open,
        "before": aside.map(|a| a.to_string_lossy()), "why": before, "also-back": lost, "unknown-release": out,
    });
    Answer::new(text, json)
}
