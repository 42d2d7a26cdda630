//! `adopt-hierarchy`: another reviewed hierarchy comes in place of the one in force.
//!
//! ```text
//! (as every change, `super::change`)   artefacts: both files → entry → fsync → MARK, checkpoint → gate: MARK (hierarchy)
//! hierarchy.toml                       the new file beside it → fsync → rename → fsync      a cut: the old file; only this command goes on
//! ```
//! From the entry on, the new hierarchy is in force for everybody who reads the log; from the gate's mark on, for the token.
//! Between the two the gate still judges by the old one, which it finds among the artefacts as it finds the new one.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::audit::durable::replace;
use crate::audit::entry::{Body, HierarchyAdopted};
use crate::change;
use crate::config::{Hierarchy, MAX_FILE};
use crate::ledger::Ledger;
use crate::report::terminal::pairs;
use crate::text::{hex_groups, shell};

use super::change::{Decided, Outcome, Wanted, decide, resume};
use super::inbox::Incoming;
use super::station::Station;
use super::{Answer, Failure, Globals};

/// Puts another hierarchy in force.
#[derive(Args)]
#[command(
    after_help = "Without approvals it shows what differs, and writes the statement that the quorum signs: `[quorum] hierarchy` of the \
    hierarchy in force, and where persons, keys or roles are added or changed, that of the new one as well.\n\nExample:\n  \
    coldroot show --diff hierarchy.toml new.toml\n  \
    coldroot adopt-hierarchy new.toml --reason \"eve follows bob\" --operator carol --witness dave\n  \
    coldroot approve out/adopt-hierarchy-3f2a9c01.statement --person alice --key SSHKEY\n  \
    coldroot adopt-hierarchy new.toml --reason \"eve follows bob\" --operator carol --witness dave \\\n    \
    --approval out/adopt-hierarchy-3f2a9c01.statement.alice.sig --approval out/adopt-hierarchy-3f2a9c01.statement.eve.sig"
)]
pub struct HierarchyArgs {
    /// The new hierarchy file
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    #[command(flatten)]
    pub decided: Decided,
}

pub fn adopt_hierarchy(globals: &Globals, args: HierarchyArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    // Copied once: what is judged is what is adopted.
    let new = Hierarchy::load(Incoming::take(&args.new, MAX_FILE, &station.dir.join("in"))?.path())
        .map_err(|e| Failure { what: format!("{}: {e}", crate::text::path(&args.new)), ..Failure::from(e) })?;
    let (mut log, ledger) = station.open_log_whatever_is_in_force()?;
    station.judge_clock(&ledger)?;
    let in_force = ledger.changed.hierarchy;
    if new.digest == in_force {
        if station.hierarchy.digest == in_force {
            let what = format!("{} is the hierarchy in force already", crate::text::path(&args.new));
            return Err(Failure::refused(what, "nothing is to be done: go on with `coldroot plan`"));
        }
        let gate = station.start_gate()?;
        station.enter_sandbox(&[], Some(&station.dir))?;
        resume(&station, &mut log, gate)?;
    } else {
        if station.hierarchy.digest != in_force {
            return Err(station.not_in_force(&ledger));
        }
        judge(&station.hierarchy, &new, &ledger)?;
        let before = station.hierarchy.digest;
        let decision = args.decided.decision(&ledger);
        let wanted = Wanted {
            body: Body::HierarchyAdopted(HierarchyAdopted { before, hierarchy: new.digest, decision }),
            artefacts: vec![station.hierarchy.text.as_bytes(), new.text.as_bytes()],
            adopted: Some(&new),
            command: format!("coldroot --station {} adopt-hierarchy {}", shell(&station.dir), shell(&args.new)),
            inputs: vec![&args.new],
            gate: None,
        };
        if let Outcome::Statement(answer) = decide(&station, &mut log, &ledger, &args.decided, wanted)? {
            return Ok(with_difference(answer, &station.hierarchy, &new, &ledger));
        }
    }
    replace(&station.dir.join("hierarchy.toml"), new.text.as_bytes())?;
    Ok(adopted(&new, &ledger))
}

fn judge(old: &Hierarchy, new: &Hierarchy, ledger: &Ledger) -> Result<(), Failure> {
    let keys = ledger.keys.keys().map(String::as_str);
    let wrapping = ledger.wrapping_keys.keys().map(String::as_str);
    let cas = ledger.cas.keys().map(String::as_str);
    Ok(change::bound(old, new, keys, wrapping, cas).map_err(change::Error::from)?)
}

/// What officers read before they sign: the text whose SHA-256 stands in the statement.
fn with_difference(answer: Answer, old: &Hierarchy, new: &Hierarchy, ledger: &Ledger) -> Answer {
    let difference = change::difference(old, new);
    let text = format!(
        "What differs (`coldroot show --diff OLD NEW` shows the same):\n\n{difference}\n{}{}",
        stale(ledger),
        answer.text
    );
    let mut json = answer.json;
    json["difference"] = difference.into();
    Answer::new(text, json)
}

/// Plans are bound to their hierarchy.
fn stale(ledger: &Ledger) -> String {
    match ledger.unanswered() {
        Some((bundle, Some(_))) => format!(
            "The plan of bundle {} of desk `{}` is stale once this is adopted: plan the bundle again, and have it approved again.\n\n",
            bundle.sequence,
            crate::text::escape(&bundle.desk)
        ),
        _ => String::new(),
    }
}

fn adopted(new: &Hierarchy, ledger: &Ledger) -> Answer {
    let text = format!(
        "Another hierarchy is in force. Plans that were made for the one before are stale.\n\n{}\n{}  next: give the file to everybody \
         who checks releases; what was signed before is checked with the file before\n",
        pairs(&[("hierarchy", new.name.clone()), ("SHA-256", hex_groups(&new.digest.0))]),
        stale(ledger)
    );
    Answer::new(text, json!({ "hierarchy": new.digest.hex() }))
}
