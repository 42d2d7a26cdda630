//! One hierarchy in place of another: what differs, in words that everybody gets alike, and what may not differ.

use std::collections::BTreeMap;

use crate::config::{Hierarchy, Person};
use crate::digest::Digest;
use crate::text::line;

/// Why a hierarchy cannot take the place of another one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fixed {
    #[error("`{field}` may not change: it is part of the log and of every plan; another one is another station")]
    Station { field: &'static str },
    #[error("token `{token}` may not get another serial number: its keys stay where they are")]
    Serial { token: String },
    #[error("`standby` of token `{token}` must keep {serial}, which has the mark")]
    Standby { token: String, serial: String },
    #[error("key `{key}` is on record, and may not be left out or get another {field}")]
    Key { key: String, field: &'static str },
    #[error("CA `{ca}` is certified, and may not be left out or get another {field}")]
    Ca { ca: String, field: &'static str },
}

impl Fixed {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Fixed::Station { .. } => {
                "put it back; what is about another log needs a station of its own: coldroot init".into()
            }
            Fixed::Serial { .. } => "put it back; another token gets an id of its own".into(),
            Fixed::Standby { .. } => "put it back; a standby that has never had the mark may be left out".into(),
            Fixed::Key { .. } | Fixed::Ca { .. } => "put it back; a new key or CA gets an id of its own".into(),
        })
    }
}

/// What no hierarchy changes, whatever is on record: what this log is, and which tokens are its.
pub fn successor(old: &Hierarchy, new: &Hierarchy) -> Result<(), Fixed> {
    let station = [
        ("name", old.name == new.name),
        ("environment", old.environment == new.environment),
        ("origin", old.origin == new.origin),
        ("audit.token", old.audit_token == new.audit_token),
        ("audit.key-label", old.audit_key_label == new.audit_key_label),
        ("audit.mark", old.audit_mark == new.audit_mark),
        ("audit.minutes-file", old.minutes_file == new.minutes_file),
        ("audit.algorithm", old.audit_algorithm == new.audit_algorithm),
    ];
    if let Some((field, _)) = station.into_iter().find(|(_, same)| !same) {
        return Err(Fixed::Station { field });
    }
    let moved = |token: &&crate::config::Token| {
        let serial = token.serial.as_ref().filter(|_| token.id == old.audit_token || new.token(&token.id).is_some());
        serial.is_some() && new.token(&token.id).is_none_or(|t| (&t.serial, &t.label) != (&token.serial, &token.label))
    };
    match old.tokens.iter().find(moved) {
        Some(token) => Err(Fixed::Serial { token: token.id.clone() }),
        None => Ok(()),
    }
}

/// Whether one of the two may have come in the place of the other, whichever is the later one: where an adoption was stopped, file
/// and mark name the two in either order. So they have the same log, the same audit key and the same token for it.
pub fn akin(one: &Hierarchy, other: &Hierarchy) -> Result<(), Fixed> {
    successor(one, other).or_else(|wrong| successor(other, one).map_err(|_| wrong))
}

/// Nor is the token left out that has the mark: `token`, by its serial number.
pub fn keeps(new: &Hierarchy, token: &str) -> Result<(), Fixed> {
    let (id, serial) = (new.audit_token.clone(), token.into());
    new.may_have_the_mark(token).then_some(()).ok_or(Fixed::Standby { token: id, serial })
}

/// Besides, what keys and CAs on record are bound to: `keys` and `wrapping` that were made, `cas` that are certified, by their
/// ids.
pub fn bound<'a>(
    old: &Hierarchy,
    new: &Hierarchy,
    keys: impl Iterator<Item = &'a str>,
    wrapping: impl Iterator<Item = &'a str>,
    cas: impl Iterator<Item = &'a str>,
) -> Result<(), Fixed> {
    successor(old, new)?;
    for id in keys {
        let wrong = |field| Fixed::Key { key: id.into(), field };
        let Some(before) = old.key(id) else { continue };
        let after = new.key(id).ok_or(wrong("id"))?;
        let fields = [
            ("token", before.token == after.token),
            ("label", before.label == after.label),
            ("algorithm", before.algorithm == after.algorithm),
            ("backup", before.backup == after.backup),
            ("always-authenticate", before.always_authenticate == after.always_authenticate),
        ];
        fields.into_iter().try_for_each(|(field, same)| same.then_some(()).ok_or(wrong(field)))?;
    }
    for id in wrapping {
        let wrong = |field| Fixed::Key { key: id.into(), field };
        let Some(before) = old.wrapping_key(id) else { continue };
        let after = new.wrapping_key(id).ok_or(wrong("id"))?;
        let fields = [("token", before.token == after.token), ("label", before.label == after.label)];
        fields.into_iter().try_for_each(|(field, same)| same.then_some(()).ok_or(wrong(field)))?;
    }
    for id in cas {
        let wrong = |field| Fixed::Ca { ca: id.into(), field };
        let Some(before) = old.ca(id) else { continue };
        let after = new.ca(id).ok_or(wrong("id"))?;
        let fields = [
            ("key", before.key == after.key),
            ("issuer", before.issuer == after.issuer),
            ("subject", before.subject == after.subject),
        ];
        fields.into_iter().try_for_each(|(field, same)| same.then_some(()).ok_or(wrong(field)))?;
    }
    Ok(())
}

/// The persons who count under the new hierarchy otherwise than under the old one: added, or with other keys, roles or
/// conditions. Where there are any, the new hierarchy's own quorum approves too.
pub fn newly_counted<'h>(old: &Hierarchy, new: &'h Hierarchy) -> Vec<&'h str> {
    let counts = |p: &Person| (p.roles.clone(), p.keys.clone(), p.expires, p.user_verification);
    let same = |p: &&Person| old.person(&p.id).is_some_and(|before| counts(before) == counts(p));
    new.persons.iter().filter(|p| !same(p)).map(|p| p.id.as_str()).collect()
}

/// What differs between two hierarchy files, a line for each field: `+` is new, `-` is left out, `=` has changed, and the lines
/// `from` and `to` follow. Every field of the files is compared, by its table's id, whatever it means: none can be
/// forgotten here. Comments and the order of tables say nothing and are not compared.
pub fn difference(old: &Hierarchy, new: &Hierarchy) -> String {
    let (old, new) = (fields(&old.text), fields(&new.text));
    let mut text = String::new();
    let all: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for field in all {
        match (old.get(field), new.get(field)) {
            (None, Some(after)) => text.push_str(&format!("+ {} = {}\n", line(field), line(after))),
            (Some(before), None) => text.push_str(&format!("- {} = {}\n", line(field), line(before))),
            (Some(before), Some(after)) if before != after => {
                text.push_str(&format!("= {}\n    from {}\n    to   {}\n", line(field), line(before), line(after)));
            }
            _ => {}
        }
    }
    if text.is_empty() {
        text.push_str("(no field differs: comments or the order of tables do)\n");
    }
    text
}

/// The SHA-256 that a statement has of such a text.
pub fn difference_digest(old: &Hierarchy, new: &Hierarchy) -> Digest {
    Digest::of(difference(old, new).as_bytes())
}

/// Every field of a hierarchy file by its path, `ca root days`, in one spelling of its value.
fn fields(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // A hierarchy has been parsed from it.
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    flatten("", toml::Value::Table(table), &mut found);
    found
}

fn flatten(path: &str, value: toml::Value, found: &mut BTreeMap<String, String>) {
    use toml::Value;
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path} {name}") };
    match value {
        Value::Table(table) => table.into_iter().for_each(|(name, value)| flatten(&below(&name), value, found)),
        // Tables that are known by their id; their place among the others says nothing.
        Value::Array(items) if items.iter().any(|item| item.get("id").is_some()) => {
            for item in items {
                let id = item.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                flatten(&below(&id), item, found);
            }
        }
        other => drop(found.insert(path.to_owned(), spelled(&other))),
    }
}

/// A value in one spelling; the keys of a table are sorted by the type.
fn spelled(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => format!("{text:?}"),
        toml::Value::Array(items) => format!("[{}]", items.iter().map(spelled).collect::<Vec<_>>().join(", ")),
        toml::Value::Table(table) => {
            let fields: Vec<String> =
                table.iter().map(|(name, value)| format!("{name} = {}", spelled(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../ceremony-scripts/hierarchy.example.toml");

    #[test]
    fn a_serial_number_comes_once_and_file_and_mark_are_akin_in_either_order() {
        let parsed = |from: &str, to: &str| Hierarchy::parse(&EXAMPLE.replacen(from, to, 1)).unwrap();
        let (none, serial) = ("# serial = \"4b2ac26ef9fc1a0f\"", "serial = \"4b2ac26ef9fc1a0f\"");
        let (before, after) = (Hierarchy::parse(EXAMPLE).unwrap(), parsed(none, serial));
        assert!(before.tokens[0].serial.is_none() && after.tokens[0].serial.is_some());
        assert_eq!(successor(&before, &after), Ok(()));
        assert!(matches!(successor(&after, &before), Err(Fixed::Serial { .. })));
        assert_eq!((akin(&before, &after), akin(&after, &before)), (Ok(()), Ok(())));
        // Two that neither has come in the place of.
        for other in
            [parsed(none, "serial = \"000000001\""), parsed("key-label = \"coldroot-audit\"", "key-label = \"other\"")]
        {
            assert!(akin(&other, &after).is_err() && akin(&after, &other).is_err());
        }
    }
}
