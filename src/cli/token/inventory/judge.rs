//! What a token holds against what it should hold.
//!
//! The log decides what should be there: a key is expected from its `key-generated` entry on, with the CKA_ID, public half and
//! attributes of that entry, and until it is destroyed. The hierarchy says what else may come.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::audit::entry::KeyGenerated;
use crate::audit::note::VerifierKey;
use crate::cbor::Bytes;
use crate::config::{Hierarchy, Token};
use crate::ledger::Ledger;
use crate::text::hex;
use crate::token::inventory::{Class, ObjectFacts};
use crate::token::probe;

/// The labels of the gate's own data objects.
const MARK: &str = "coldroot mark";
const LOG: &str = "coldroot log";
const APPLICATION: &str = "coldroot";

pub struct Against<'a> {
    pub hierarchy: &'a Hierarchy,
    pub token: &'a Token,
    /// `None`: a draft, whose log has not begun.
    pub ledger: Option<&'a Ledger>,
}

/// One thing that should be there, or is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Line {
    pub status: Status,
    pub what: String,
    /// CKA_LABEL, as the token or the hierarchy has it: not escaped.
    pub label: String,
    pub cka_id: String,
    /// The key of the hierarchy, or what of the station it is.
    pub belongs_to: String,
    /// Why it is not right, a clause each; not escaped.
    pub reasons: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// On record and not there.
    Missing,
    /// There, and not as recorded.
    Wrong,
    /// One half of a pair is there.
    Half,
    /// There more than once.
    Doubled,
    /// There, and neither hierarchy nor log knows of it.
    Unexpected,
    Right,
    /// Declared; its key plan is still to come.
    NotMade,
    Destroyed,
}

impl Status {
    pub fn is_bad(self) -> bool {
        matches!(self, Status::Missing | Status::Wrong | Status::Half | Status::Doubled)
    }

    pub fn word(self) -> &'static str {
        match self {
            Status::Missing => "MISSING",
            Status::Wrong => "WRONG",
            Status::Half => "HALF A PAIR",
            Status::Doubled => "DOUBLED",
            Status::Unexpected => "unexpected",
            Status::Right => "right",
            Status::NotMade => "not made yet",
            Status::Destroyed => "destroyed",
        }
    }
}

/// The lines of a token, the worst first.
pub fn judge(objects: &[ObjectFacts], against: &Against<'_>) -> Vec<Line> {
    let mut left: Vec<&ObjectFacts> = objects.iter().collect();
    let mut lines = Vec::new();
    for key in against.hierarchy.keys.iter().filter(|key| key.token == against.token.id) {
        let recorded = against.ledger.and_then(|ledger| ledger.keys.get(&key.id));
        let destroyed = against.ledger.is_some_and(|ledger| ledger.destroyed.contains(&key.id));
        lines.push(match recorded.filter(|recorded| recorded.token == against.token.id) {
            Some(recorded) if destroyed => destroyed_key(&mut left, recorded),
            Some(recorded) => recorded_key(&mut left, recorded),
            None => key_to_come(&mut left, &key.id, &key.label),
        });
    }
    if against.hierarchy.audit_token == against.token.id {
        lines.push(audit_key(&mut left, against));
        lines.extend(own_data(&mut left, MARK, "the mark of the log", against.ledger.is_some()));
    }
    let bound = against.ledger.is_some_and(|ledger| {
        let ours = ledger.keys.values().any(|key| key.token == against.token.id);
        ours || against.hierarchy.audit_token == against.token.id
    });
    lines.extend(own_data(&mut left, LOG, "the name of the log", bound));
    lines.extend(strangers(&left));
    lines.sort_by_key(|line| line.status);
    lines
}

/// The mark alone changes its value from run to run.
pub fn is_mark(object: &ObjectFacts) -> bool {
    object.class == Class::Data && object.application == APPLICATION && object.label == MARK
}

/// Takes out of `left` what `wanted` picks.
fn take<'o>(left: &mut Vec<&'o ObjectFacts>, wanted: impl Fn(&ObjectFacts) -> bool) -> Vec<&'o ObjectFacts> {
    let (taken, rest) = left.drain(..).partition(|object| wanted(object));
    *left = rest;
    taken
}

fn is_key(object: &ObjectFacts) -> bool {
    matches!(object.class, Class::PrivateKey | Class::PublicKey)
}

fn of_class<'o>(objects: &[&'o ObjectFacts], class: Class) -> Vec<&'o ObjectFacts> {
    objects.iter().copied().filter(|object| object.class == class).collect()
}

/// A key of the log: both halves once, under the recorded CKA_ID and label, with the recorded public half and attributes.
/// Objects that have its CKA_ID or its label alone are its impostors, and stand in its line.
fn recorded_key(left: &mut Vec<&ObjectFacts>, recorded: &KeyGenerated) -> Line {
    let found = take(left, |o| is_key(o) && (o.cka_id == recorded.cka_id || o.label == recorded.label));
    let (pair, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|o| o.cka_id == recorded.cka_id && o.label == recorded.label);
    let mut line = Line {
        status: Status::Right,
        what: format!("{} key pair", recorded.algorithm),
        label: recorded.label.clone(),
        cka_id: hex(&recorded.cka_id),
        belongs_to: recorded.key.clone(),
        reasons: Vec::new(),
    };
    let (privates, publics) = (of_class(&pair, Class::PrivateKey), of_class(&pair, Class::PublicKey));
    line.status = match (privates.as_slice(), publics.as_slice()) {
        ([], []) => Status::Missing,
        ([], [_]) => half(&mut line, "private"),
        ([_], []) => half(&mut line, "public"),
        ([private], [public]) => {
            differences(recorded, private, public, &mut line.reasons);
            if line.reasons.is_empty() { Status::Right } else { Status::Wrong }
        }
        (privates, publics) => {
            line.reasons.push(format!("{} private and {} public keys", privates.len(), publics.len()));
            Status::Doubled
        }
    };
    for other in others {
        let (what, id) = (other.class.name(), hex(&other.cka_id));
        line.reasons.push(format!("a {what} with the label \"{}\" and the CKA_ID {id} passes for it", other.label));
        if line.status == Status::Right {
            line.status = Status::Doubled;
        }
    }
    line
}

/// A key that was destroyed: nothing of it may be there, under whatever name.
fn destroyed_key(left: &mut Vec<&ObjectFacts>, recorded: &KeyGenerated) -> Line {
    let same = |o: &ObjectFacts| o.cka_id == recorded.cka_id || o.label == recorded.label;
    let found = take(left, |o| is_key(o) && (same(o) || o.spki.as_ref() == Some(&recorded.spki)));
    let reasons: Vec<String> =
        found.iter().map(|o| format!("a {} of it is there, and it was destroyed", o.class.name())).collect();
    Line {
        status: if found.is_empty() { Status::Destroyed } else { Status::Wrong },
        what: format!("{} key pair", recorded.algorithm),
        label: recorded.label.clone(),
        cka_id: hex(&recorded.cka_id),
        belongs_to: recorded.key.clone(),
        reasons,
    }
}

fn half(line: &mut Line, missing: &str) -> Status {
    line.reasons.push(format!("its {missing} half is not there"));
    Status::Half
}

fn differences(recorded: &KeyGenerated, private: &ObjectFacts, public: &ObjectFacts, reasons: &mut Vec<String>) {
    if public.spki.as_ref() != Some(&recorded.spki) {
        reasons.push("its public half is another key than the recorded one".into());
    }
    let values = |lines: &[String]| -> BTreeMap<String, String> {
        let parts = lines.iter().filter_map(|line| line.split_once('='));
        parts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let then = values(&recorded.attributes);
    let now = values(&[private.attributes.as_slice(), &public.attributes].concat());
    // What is said of the making (`removed-half`) is no attribute.
    for (name, then) in then.iter().filter(|(name, _)| name.contains("CKA_")) {
        match now.get(name) {
            Some(now) if now == then => {}
            Some(now) => reasons.push(format!("{name} is {now}, recorded is {then}")),
            None => reasons.push(format!("{name} is not told, recorded is {then}")),
        }
    }
}

/// A key that is declared and not on record: nothing of it may be there yet.
fn key_to_come(left: &mut Vec<&ObjectFacts>, key: &str, label: &str) -> Line {
    let found = take(left, |o| is_key(o) && o.label == label);
    let mut line = Line {
        status: Status::NotMade,
        what: "key pair".into(),
        label: label.into(),
        cka_id: String::new(),
        belongs_to: key.into(),
        reasons: Vec::new(),
    };
    if let Some(first) = found.first() {
        line.status = Status::Wrong;
        line.cka_id = hex(&first.cka_id);
        line.reasons.push(format!("{} objects have this label, and no entry of the log tells of the key", found.len()));
    }
    line
}

/// The audit key: its public half is the verifier key of the genesis entry.
fn audit_key(left: &mut Vec<&ObjectFacts>, against: &Against<'_>) -> Line {
    let label = &against.hierarchy.audit_key_label;
    let found = take(left, |o| is_key(o) && o.label == *label);
    let mut line = Line {
        status: Status::Right,
        what: format!("{} audit key pair", against.hierarchy.audit_algorithm),
        label: label.clone(),
        cka_id: found.first().map(|o| hex(&o.cka_id)).unwrap_or_default(),
        belongs_to: "audit".into(),
        reasons: Vec::new(),
    };
    let genesis = against.ledger.and_then(|ledger| ledger.genesis.as_ref());
    let (privates, publics) = (of_class(&found, Class::PrivateKey), of_class(&found, Class::PublicKey));
    line.status = match (privates.as_slice(), publics.as_slice()) {
        ([], []) if genesis.is_none() => Status::NotMade,
        ([], []) => Status::Missing,
        ([], _) => half(&mut line, "private"),
        (_, []) => half(&mut line, "public"),
        ([private], [public]) if private.cka_id == public.cka_id => {
            if let Some(genesis) = genesis
                && !verifies(public.spki.as_ref(), &genesis.verifier_key)
            {
                line.reasons.push("its public half is not the log's verifier key".into());
            }
            let algorithm = against.hierarchy.audit_algorithm;
            if let Some(other) = [private, public].into_iter().find(|o| o.algorithm != Some(algorithm)) {
                let kind = other.algorithm.map_or("of a kind that is not known here".into(), |a| a.to_string());
                line.reasons.push(format!("it is {kind}, declared is {algorithm}"));
            }
            let must = ["CKA_SENSITIVE=true", "CKA_EXTRACTABLE=false"];
            let told = |wanted: &&str| private.attributes.iter().any(|told| told == *wanted);
            line.reasons.extend(must.iter().filter(|wanted| !told(wanted)).map(|wanted| format!("not {wanted}")));
            if line.reasons.is_empty() { Status::Right } else { Status::Wrong }
        }
        (privates, publics) => {
            line.reasons.push(format!("{} private and {} public keys", privates.len(), publics.len()));
            Status::Doubled
        }
    };
    line
}

fn verifies(spki: Option<&Bytes>, verifier_key: &str) -> bool {
    let Ok(key) = VerifierKey::parse(verifier_key) else { return false };
    spki.is_some_and(|spki| VerifierKey::of_spki(key.name(), spki).as_ref() == Ok(&key))
}

/// A data object of the gate. The new one is written before the older is destroyed, so a run that was stopped in between leaves
/// two; the next one removes the older.
fn own_data(left: &mut Vec<&ObjectFacts>, label: &str, what: &str, expected: bool) -> Option<Line> {
    let found = take(left, |o| o.class == Class::Data && o.application == APPLICATION && o.label == label);
    let (status, reason) = match (found.len(), expected) {
        (0, false) => return None,
        (0, true) => (Status::Missing, None),
        (1, true) => (Status::Right, None),
        (2, true) => (Status::Right, Some("two of them: a write was interrupted, and the next one removes the older")),
        (_, true) => (Status::Doubled, Some("more than an interrupted write leaves")),
        (_, false) => (Status::Unexpected, Some("the token belongs to another log, or its `init` was interrupted")),
    };
    Some(Line {
        status,
        what: Class::Data.name().into(),
        label: label.into(),
        cka_id: String::new(),
        belongs_to: what.into(),
        reasons: reason.map(str::to_owned).into_iter().collect(),
    })
}

/// What nobody knows of: pairs in one line, the rest an object a line.
fn strangers(left: &[&ObjectFacts]) -> Vec<Line> {
    // Halves of a pair have one CKA_ID and, as a rule, one label.
    let class = |object: &ObjectFacts| (!is_key(object)).then_some(object.class);
    let named = |object: &&ObjectFacts| (object.label.clone(), object.cka_id.to_vec(), class(object));
    let mut left = left.to_vec();
    left.sort_by_key(named);
    left.chunk_by(|one, two| named(one) == named(two)).filter_map(stranger).collect()
}

fn stranger(group: &[&ObjectFacts]) -> Option<Line> {
    let first = group.first()?;
    let mut reasons = Vec::new();
    let what = match (of_class(group, Class::PrivateKey).len(), of_class(group, Class::PublicKey).len()) {
        (0, 0) => first.class.name().to_owned(),
        (1, 1) => "key pair".into(),
        (_, 0) => "private key without its public half".into(),
        (0, _) => "public key without its private half".into(),
        _ => "keys".into(),
    };
    let halves = if what == "key pair" { 2 } else { 1 };
    if group.len() > halves {
        reasons.push(format!("{} objects have this label and CKA_ID", group.len()));
    }
    if first.class == Class::Data && first.label == probe::LABEL {
        reasons.push("an interrupted `token probe` left it; the next one removes it".into());
    }
    Some(Line {
        status: Status::Unexpected,
        what,
        label: first.label.clone(),
        cka_id: hex(&first.cka_id),
        belongs_to: String::new(),
        reasons,
    })
}
