//! Each certificate of a plan beside the last one on record of the same names and profile: what is new about it.

use std::path::Path;

use serde_json::{Value, json};

use crate::audit::View;
use crate::cli::{Failure, Globals};
use crate::ledger::Ledger;
use crate::plan::{Certificate, Head};
use crate::report::sheet::Sheet;
use crate::text::{escape, hex, path as shown, utc};
use crate::x509;

use super::difference::but_for;

/// The log at hand, and what it comes to.
pub(super) struct Record {
    log: View,
    ledger: Ledger,
}

impl Record {
    /// The log that was named, or the station's if that is the one the plan belongs to.
    pub(super) fn at_hand(globals: &Globals, named: Option<&Path>, head: &Head) -> Result<Option<Record>, Failure> {
        let own = globals.station.join("audit");
        let dir = match named {
            Some(dir) => dir,
            None if own.join("checkpoint").exists() => &own,
            None => return Ok(None),
        };
        let log = match (View::read(dir), named) {
            (Ok(log), _) => log,
            (Err(e), Some(_)) => return Err(e.into()),
            // Nobody has asked for it, and a plan can be shown without.
            (Err(_), None) => return Ok(None),
        };
        if log.origin() != head.origin {
            let what = format!(
                "the log {} is `{}`, the plan is of `{}`",
                shown(dir),
                escape(log.origin()),
                escape(&head.origin)
            );
            return match named {
                Some(_) => Err(Failure::refused(what, "give the log of the plan's station, or leave --log out")),
                None => Ok(None),
            };
        }
        let ledger =
            Ledger::open_telling(&log, crate::cli::reading::reading(globals.plain, "certificates are looked up"))?;
        Ok(Some(Record { log, ledger }))
    }

    /// One line for people, and the same for machines.
    pub(super) fn beside(&self, certificate: &Certificate) -> Result<(String, Value), Failure> {
        let before = match &certificate.subject_ca {
            Some(ca) => self.ledger.cas.get(ca).and_then(|(_, der)| x509::read_certificate(der).ok()),
            None => self.ledger.newest_like(&self.log, &certificate.profile, &certificate.fields)?,
        };
        let Some(before) = before else {
            let text = "new: no certificate of this profile for any of these names is on record".to_string();
            return Ok((text, Value::Null));
        };
        let differ = but_for(&before, &certificate.fields);
        let (serial, since) = (hex(&before.serial), utc(before.not_before));
        let text = match differ.is_empty() {
            true => format!("as {serial} of {since} in every field"),
            false => format!("as {serial} of {since} but for: {}", differ.join(", ")),
        };
        Ok((text, json!({ "serial": serial, "not-before": since, "but-for": differ })))
    }
}

/// The lines for the certificates that are shown; what is the same of several in a row is said once.
pub(super) fn section(sheet: Sheet, lines: &[(u64, String)]) -> Sheet {
    if lines.is_empty() {
        return sheet;
    }
    let alike = lines.chunk_by(|(_, before), (_, line)| before == line);
    let rows: Vec<(String, &String)> = alike
        .filter_map(|run| match (run.first()?, run.last()?) {
            ((first, line), (last, _)) if first == last => Some((format!("item {first}"), line)),
            ((first, line), (last, _)) => Some((format!("items {first} to {last}"), line)),
        })
        .collect();
    sheet.heading("Beside the last certificate of the same names and profile on record:").facts(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_of_several_in_a_row_is_said_once() {
        let lines = [(0, "new"), (1, "new"), (2, "as 4f"), (3, "new")].map(|(n, line)| (n, line.to_string()));
        let text = section(Sheet::new("Plan"), &lines).terminal();
        assert!(text.ends_with("items 0 to 1  new\nitem 2        as 4f\nitem 3        new\n"), "{text}");
    }
}
