//! The judgement of who takes part: persons, desks, validators, and the quorums that they make.

use std::collections::{BTreeMap, BTreeSet};

use ssh_key::public::KeyData;
use ssh_key::{Algorithm, EcdsaCurve, PublicKey};

use super::hierarchy::{Desk, Person, Quorum, Role, Validator};
use super::line::{id, plain_line, show};
use super::{Error, field, raw};

/// Who has which SSH key, by the key itself: a comment makes no second key.
#[derive(Default)]
pub(super) struct Holders(Vec<(KeyData, String)>);

impl Holders {
    /// Judges the keys of the person or desk at `at`. A key that approves must be one that `approval` can verify, and it
    /// belongs to one holder alone: a shared one would let one hand count as two.
    fn add(&mut self, keys: &[String], at: &str) -> Result<(), Error> {
        for (i, line) in keys.iter().enumerate() {
            let at = format!("{at}.keys[{i}]");
            let key = PublicKey::from_openssh(line)
                .map_err(|e| field(&at, format!("is no OpenSSH public key: {}", show(&e.to_string()))))?;
            let verifiable = matches!(
                key.algorithm(),
                Algorithm::Ed25519
                    | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }
                    | Algorithm::SkEd25519
                    | Algorithm::SkEcdsaSha2NistP256
            );
            if !verifiable {
                let kinds = "ssh-ed25519, ecdsa-sha2-nistp256 and their FIDO forms (ed25519-sk, ecdsa-sk)";
                return Err(field(at, format!("is of the kind {}; taken are {kinds}", show(key.algorithm().as_str()))));
            }
            if let Some((_, holder)) = self.0.iter().find(|(other, _)| other == key.key_data()) {
                return Err(field(
                    at,
                    format!("is the key of `{holder}` too; each person, desk and validator has its own"),
                ));
            }
            self.0.push((key.key_data().clone(), at));
        }
        Ok(())
    }
}

pub(super) fn person(p: raw::Person, at: &str, holders: &mut Holders) -> Result<Person, Error> {
    id(&p.id, at)?;
    plain_line(&format!("{at}.name"), &p.name, 128)?;
    let keys = match p.keys {
        Some(keys) if keys.is_empty() => {
            return Err(field(format!("{at}.keys"), "is empty; leave it out for a person who approves nothing"));
        }
        keys => keys.unwrap_or_default(),
    };
    holders.add(&keys, at)?;
    let mut roles = BTreeSet::new();
    for role in &p.roles {
        let role = Role::parse(role).ok_or_else(|| {
            field(format!("{at}.roles"), format!("`{}` is none of officer, operator, witness", show(role)))
        })?;
        roles.insert(role);
    }
    let user_verification = p.user_verification.unwrap_or(false);
    let in_file = |line: &String| !PublicKey::from_openssh(line).is_ok_and(|key| fido(&key));
    if let Some(i) = keys.iter().position(in_file).filter(|_| user_verification) {
        return Err(field(format!("{at}.keys[{i}]"), "is no FIDO key, so it never says that it verified its user"));
    }
    let expires = expiry(p.expires, at)?;
    Ok(Person { id: p.id, name: p.name, roles, keys, expires, user_verification })
}

fn fido(key: &PublicKey) -> bool {
    matches!(key.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
}

/// The first second behind the last day (UTC), since the epoch.
fn expiry(date: Option<String>, at: &str) -> Result<Option<i64>, Error> {
    let Some(date) = date else { return Ok(None) };
    let behind = last_day(&date);
    let behind =
        behind.ok_or_else(|| field(format!("{at}.expires"), "must be the last day, such as \"2027-06-30\""))?;
    Ok(Some(behind))
}

/// The first second behind a day (UTC), since the epoch.
pub(super) fn last_day(date: &str) -> Option<i64> {
    Some(crate::text::parse_utc(&format!("{date}T00:00:00Z"))? + 86_400)
}

pub(super) fn desk(d: raw::Desk, at: &str, holders: &mut Holders) -> Result<Desk, Error> {
    id(&d.id, at)?;
    if d.keys.is_empty() {
        return Err(field(format!("{at}.keys"), "is empty; a desk signs its bundles"));
    }
    holders.add(&d.keys, at)?;
    let suffixes = match d.suffixes {
        Some(suffixes) if suffixes.is_empty() => {
            return Err(field(format!("{at}.suffixes"), "is empty, so every request would be refused"));
        }
        suffixes => suffixes.unwrap_or_default(),
    };
    if let Some(i) = suffixes.iter().position(|suffix| !domain(suffix)) {
        let message = "is no domain in lower-case A-labels such as example.org, without a dot before or behind it";
        return Err(field(format!("{at}.suffixes[{i}]"), message));
    }
    for (name, limit) in [("max-items", d.max_items), ("max-items-per-day", d.max_items_per_day)] {
        if limit == Some(0) {
            return Err(field(format!("{at}.{name}"), "is 0, so every bundle would be refused"));
        }
    }
    Ok(Desk {
        id: d.id,
        keys: d.keys,
        profiles: d.profiles.into_iter().collect(),
        suffixes,
        max_items: d.max_items,
        max_items_per_day: d.max_items_per_day,
        max_revocations: d.max_revocations.unwrap_or(MAX_REVOCATIONS),
        max_revocations_per_day: d.max_revocations_per_day,
    })
}

/// Revocations of a bundle, where the desk declares no number: a stolen desk key is to revoke no whole population at once.
const MAX_REVOCATIONS: u64 = 1_000;

/// Labels of lower-case letters, digits and inner hyphens (RFC 1034 §3.5).
fn domain(text: &str) -> bool {
    let label = |label: &str| {
        let lawful = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(lawful) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

pub(super) fn validator(v: raw::Validator, at: &str, holders: &mut Holders) -> Result<Validator, Error> {
    id(&v.id, at)?;
    if v.keys.is_empty() {
        return Err(field(format!("{at}.keys"), "is empty; a validator signs its lists"));
    }
    holders.add(&v.keys, at)?;
    Ok(Validator { expires: expiry(v.expires, at)?, id: v.id, keys: v.keys })
}

pub(super) fn quorum(
    at: &str,
    raw: Option<BTreeMap<String, u32>>,
    default: &Quorum,
    persons: &[Person],
) -> Result<Quorum, Error> {
    let quorum = match raw {
        None => default.clone(),
        Some(raw) => {
            let mut quorum = Quorum::new();
            for (name, count) in raw {
                let role = Role::parse(&name)
                    .ok_or_else(|| field(at, format!("`{}` is none of officer, operator, witness", show(&name))))?;
                quorum.insert(role, count);
            }
            quorum
        }
    };
    if quorum.values().all(|count| *count == 0) {
        return Err(field(at, "asks for nobody; at least one person approves"));
    }
    for (role, count) in &quorum {
        let able = persons.iter().filter(|p| p.roles.contains(role) && !p.keys.is_empty()).count();
        if (able as u64) < u64::from(*count) {
            let message = format!("asks for {count} of role {}; the roster has {able} with a key", role.name());
            return Err(field(at, message));
        }
    }
    Ok(quorum)
}
