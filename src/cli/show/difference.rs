//! What differs between two of a kind: certificates, CRLs, plans, hierarchies.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::change;
use crate::cli::recognise::{Kind, recognise};
use crate::cli::{Answer, Code, Failure};
use crate::config::Hierarchy;
use crate::digest::Digest;
use crate::plan::{Plan, difference as plans};
use crate::report::sheet::Sheet;
use crate::report::terminal::counted;
use crate::text::{hex, hex_groups, line, path as shown, utc};
use crate::x509::fields::{CertFields, CrlFields, Revoked, reason_name};
use crate::x509::{read_certificate, read_crl};

use super::certificate::{certificate_rows, crl_rows};

/// Shows what differs between two files of a kind; what is equal is counted. `strict`: exit code 4 where anything differs, of plans
/// where the shape does.
pub(super) fn difference(old: &Path, new: &Path, rows: usize, strict: bool) -> Result<Answer, Failure> {
    let (answer, differs) = match (recognise(old)?, recognise(new)?) {
        (Kind::Hierarchy(_), Kind::Hierarchy(_)) => hierarchies(old, new)?,
        (Kind::Certificate(one), Kind::Certificate(other)) => certificates(&one, &other)?,
        (Kind::Crl(one), Kind::Crl(other)) => crls(&one, &other, rows)?,
        (Kind::Plan, Kind::Plan) => two_plans(old, new)?,
        _ => {
            let what = format!("{} and {} are no two of a kind that is compared", shown(old), shown(new));
            return Err(Failure::usage(what, "give two certificates, two CRLs, two plans or two hierarchies"));
        }
    };
    Ok(if differs && strict { answer.with_code(Code::CheckFailed) } else { answer })
}

/// Two hierarchy files, with the SHA-256 that a statement has of what differs.
fn hierarchies(old: &Path, new: &Path) -> Result<(Answer, bool), Failure> {
    let (before, after) = (Hierarchy::load(old)?, Hierarchy::load(new)?);
    let difference = change::difference(&before, &after);
    let digest = Digest::of(difference.as_bytes());
    let counted = change::newly_counted(&before, &after).join(", ");
    let mut facts = vec![("from", hex_groups(&before.digest.0)), ("to", hex_groups(&after.digest.0))];
    if !counted.is_empty() {
        facts.push(("count anew", counted.clone()));
    }
    let sheet = Sheet::new("Two hierarchies").pre(&difference).facts(&facts).digest("what differs", &digest);
    let json = json!({
        "from": before.digest.hex(), "to": after.digest.hex(), "difference": difference, "digest": digest.hex(), "count-anew": counted,
    });
    Ok((Answer::of(sheet, json), before.digest != after.digest))
}

/// One field of two certificates or CRLs. Of a list: what was added and what left out.
struct Field {
    name: String,
    from: String,
    to: String,
}

impl Field {
    fn text(&self) -> String {
        let (from, to): (Vec<&str>, Vec<&str>) = (self.from.lines().collect(), self.to.lines().collect());
        let name = &self.name;
        if from.len().max(to.len()) < 2 {
            return format!("= {name}\n    from {}\n    to   {}\n", self.from, self.to);
        }
        let added = to.iter().filter(|value| !from.contains(value)).map(|value| format!("    + {value}\n"));
        let left = from.iter().filter(|value| !to.contains(value)).map(|value| format!("    - {value}\n"));
        let lines: String = left.chain(added).collect();
        let order = if lines.is_empty() { "    the same in another order\n" } else { "" };
        format!("= {name}\n{lines}{order}")
    }

    fn json(&self) -> Value {
        json!({ "field": self.name, "from": self.from, "to": self.to })
    }
}

/// Fields that differ, and how many do not.
struct Fields {
    differ: Vec<Field>,
    equal: usize,
}

impl Fields {
    /// `raw`: the two as they are stored, so that no field is missed which the rows leave out.
    fn of(from: Vec<(&'static str, String)>, to: Vec<(&'static str, String)>, raw: [Value; 2]) -> Fields {
        let all = from.len();
        let pairs = from.into_iter().zip(to).filter(|((_, from), (_, to))| from != to);
        let mut differ: Vec<Field> =
            pairs.map(|((name, from), (_, to))| Field { name: name.into(), from, to }).collect();
        let equal = all - differ.len();
        if differ.is_empty()
            && let [Value::Object(from), Value::Object(to)] = &raw
        {
            let missed = from.iter().filter(|(name, value)| to.get(*name) != Some(value));
            differ.extend(missed.map(|(name, value)| Field {
                name: name.clone(),
                from: line(&value.to_string()),
                to: line(&to.get(name).cloned().unwrap_or_default().to_string()),
            }));
        }
        Fields { differ, equal }
    }

    fn answer(self, what: &str, more: &str, bytes_differ: bool) -> (Answer, bool) {
        let equal = counted(self.equal as u64, "field is equal", "fields are equal");
        let text: String = self.differ.iter().map(Field::text).collect();
        let rest = match (text.is_empty() && more.is_empty(), bytes_differ) {
            (true, true) => "Every field is equal; the octets differ, as those of two signatures do.\n",
            (true, false) => "The two are the same, octet for octet.\n",
            (false, _) => "",
        };
        let json = json!({
            "differences": self.differ.iter().map(Field::json).collect::<Vec<_>>(), "equal": self.equal, "same-octets": !bytes_differ,
        });
        let sheet = Sheet::new(format!("Two {what}")).pre(format!("{text}{more}{rest}")).text(equal);
        (Answer::of(sheet, json), bytes_differ)
    }
}

fn raw(of: &impl serde::Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

fn certificate_fields(one: &CertFields, other: &CertFields) -> Fields {
    Fields::of(certificate_rows(one), certificate_rows(other), [raw(one), raw(other)])
}

fn certificates(one: &[u8], other: &[u8]) -> Result<(Answer, bool), Failure> {
    let read = |der: &[u8]| read_certificate(der).map_err(|e| Failure::refused(e.to_string(), ""));
    Ok(certificate_fields(&read(one)?, &read(other)?).answer("certificates", "", one != other))
}

fn crls(one: &[u8], other: &[u8], rows: usize) -> Result<(Answer, bool), Failure> {
    let read = |der: &[u8]| read_crl(der).map_err(|e| Failure::refused(e.to_string(), ""));
    let (old, new) = (read(one)?, read(other)?);
    // The entries are told below, one by one.
    let raw = |crl: &CrlFields| raw(&CrlFields { revoked: Vec::new(), ..crl.clone() });
    let fields = Fields::of(crl_rows(&old), crl_rows(&new), [raw(&old), raw(&new)]);
    let (more, json) = revoked(&old.revoked, &new.revoked, rows);
    let (mut answer, differs) = fields.answer("CRLs", &more, one != other);
    answer.json["revoked"] = json;
    Ok((answer, differs))
}

/// What became of the entries of a CRL, by serial number.
fn revoked(old: &[Revoked], new: &[Revoked], rows: usize) -> (String, Value) {
    let map = |list: &[Revoked]| -> BTreeMap<Vec<u8>, Revoked> {
        list.iter().map(|r| (r.serial.to_vec(), r.clone())).collect()
    };
    let (old, new) = (map(old), map(new));
    let words = |r: &Revoked| format!("{}, {}, {}", hex(&r.serial), utc(r.date), reason_name(r.reason));
    let mut lines: Vec<String> = Vec::new();
    let (mut added, mut left, mut changed) = (0u64, 0u64, 0u64);
    for (serial, before) in &old {
        match new.get(serial) {
            None => {
                left += 1;
                lines.push(format!("    - {}\n", words(before)));
            }
            Some(after) if after != before => {
                changed += 1;
                lines.push(format!(
                    "    = {} is now {}, {}\n",
                    words(before),
                    utc(after.date),
                    reason_name(after.reason)
                ));
            }
            Some(_) => {}
        }
    }
    for after in new.iter().filter(|(serial, _)| !old.contains_key(*serial)).map(|(_, after)| after) {
        added += 1;
        lines.push(format!("    + {}\n", words(after)));
    }
    let total = lines.len();
    let json =
        json!({ "added": added, "left-out": left, "changed": changed, "equal": old.len() as u64 - left - changed });
    if total == 0 {
        return (String::new(), json);
    }
    let more = total.saturating_sub(rows);
    let more = if more > 0 { format!("    ... and {more} more\n") } else { String::new() };
    let shown: String = lines.into_iter().take(rows).collect();
    (format!("= entries: {added} added, {left} left out, {changed} changed\n{shown}{more}"), json)
}

fn two_plans(old: &Path, new: &Path) -> Result<(Answer, bool), Failure> {
    let (mut before, mut after) = (Plan::open(old)?, Plan::open(new)?);
    let found = plans::difference(&mut before, &mut after, super::agrees)?;
    let words = |may: bool| -> String {
        let chosen = found.differences.iter().filter(|d| d.may == may);
        chosen
            .map(|d| {
                let first = d.first.map_or(String::new(), |n| format!(", first in item {n}"));
                let of = if d.items > 1 || d.first.is_some() {
                    format!(" ({} times{first})", d.items)
                } else {
                    String::new()
                };
                format!("= {}{of}\n    from {}\n    to   {}\n", d.field, d.from, d.to)
            })
            .collect()
    };
    let (may, more, same) = (words(true), words(false), found.same_shape());
    let sheet = Sheet::new("Two plans");
    let sheet = match (found.differences.is_empty(), same) {
        (true, _) => sheet.verdict(true, "The two plans say the same."),
        (_, true) => sheet.verdict(
            true,
            "Same shape: nothing differs but what must differ between a rehearsal and the real ceremony.",
        ),
        (_, false) => sheet
            .verdict(false, "NOT the same shape. More than a rehearsal and the real ceremony may differ in:")
            .pre(more),
    };
    let sheet = match may.is_empty() {
        true => sheet,
        false => sheet.heading(format!("What may differ (dates are moved by {} s):", found.moved)).pre(may),
    };
    let equal = counted(found.equal, "field is equal", "fields are equal");
    let list: Vec<Value> = found.differences.iter().map(|d| {
        json!({ "field": d.field, "may": d.may, "times": d.items, "first-item": d.first, "from": d.from, "to": d.to })
    }).collect();
    let json = json!({
        "same-shape": same, "differences": list, "equal": found.equal, "moved-seconds": found.moved,
        "from": before.digest().hex(), "to": after.digest().hex(),
    });
    Ok((Answer::of(sheet.text(equal), json), !same))
}

/// A certificate to be signed beside the one before it: the names of the fields that differ, those first that differ between any two
/// last.
pub(super) fn but_for(before: &CertFields, after: &CertFields) -> Vec<String> {
    let mut names: Vec<String> = certificate_fields(before, after).differ.into_iter().map(|f| f.name).collect();
    let usual = |name: &String| USUAL.iter().position(|usual| usual == name).map_or(0, |at| at + 1);
    names.sort_by_key(usual);
    names
}

/// What differs between any two certificates.
const USUAL: [&str; 5] = ["serial", "valid from", "valid until", "public key", "subject key id"];
