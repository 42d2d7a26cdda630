//! What a plan has done to the tokens, by the log: what they held before and afterwards, which keys came and which went.

use std::collections::BTreeMap;

use crate::audit::View;
use crate::audit::entry::{Body, Entry};
use crate::digest::Digest;
use crate::report::{KeyRow, TokenRow, TokenState};
use crate::text::{escape, hex, utc};

/// The rows of a report, gathered while the log is read: tokens by inventories that were taken while the plan was carried out, keys by
/// the plan's own entries.
pub(super) struct Changes<'a> {
    log: &'a View,
    plan: &'a Digest,
    running: bool,
    tokens: BTreeMap<String, TokenRow>,
    keys: Vec<KeyRow>,
}

impl<'a> Changes<'a> {
    pub(super) fn of(log: &'a View, plan: &'a Digest) -> Changes<'a> {
        Changes { log, plan, running: false, tokens: BTreeMap::new(), keys: Vec::new() }
    }

    /// The next entry of the log.
    pub(super) fn take(&mut self, index: u64, entry: &Entry) {
        match &entry.body {
            Body::Start(start) => self.running = start.plan == *self.plan,
            Body::Void(void) if void.plan == *self.plan => self.running = true,
            Body::End(end) if end.plan == *self.plan => self.running = false,
            Body::Inventory { token, serial, .. } if self.running => {
                let at = row_of(&mut self.tokens, token);
                at.serial = escape(serial);
                let state = state(index, entry);
                // The first one is of before, if it came before every key.
                if self.keys.is_empty() && at.before.is_none() { at.before = state } else { at.after = state }
            }
            body => {
                if let Some(row) = key(self.log, body, self.plan) {
                    row_of(&mut self.tokens, &row.token);
                    self.keys.push(row);
                }
            }
        }
    }

    pub(super) fn rows(self) -> (Vec<TokenRow>, Vec<KeyRow>) {
        (self.tokens.into_values().collect(), self.keys)
    }
}

fn row_of<'t>(tokens: &'t mut BTreeMap<String, TokenRow>, token: &str) -> &'t mut TokenRow {
    let shown = escape(token);
    let new = TokenRow { token: shown.clone(), serial: String::new(), before: None, after: None };
    tokens.entry(shown).or_insert(new)
}

fn state(index: u64, entry: &Entry) -> Option<TokenState> {
    let Body::Inventory { right, missing, wrong, unexpected, .. } = entry.body else { return None };
    Some(TokenState { entry: index, time: utc(entry.time), right, missing, wrong, unexpected })
}

/// A key that an entry of the plan has brought or taken away.
fn key(log: &View, body: &Body, plan: &Digest) -> Option<KeyRow> {
    let row = |change: &str, token: &str, key: &str| KeyRow {
        change: change.into(),
        token: escape(token),
        key: escape(key),
        label: String::new(),
        cka_id: String::new(),
        kind: String::new(),
        has: Vec::new(),
        lacks: Vec::new(),
    };
    Some(match body {
        Body::KeyGenerated(k) if k.plan == *plan => KeyRow {
            label: escape(&k.label),
            cka_id: hex(&k.cka_id),
            kind: format!("key pair, {}", k.algorithm),
            ..attributes(
                row(if k.adopted { "came, found after a stop" } else { "came" }, &k.token, &k.key),
                &k.attributes,
            )
        },
        Body::WrappingKeyGenerated(k) if k.plan == *plan => KeyRow {
            label: escape(&k.label),
            cka_id: hex(&k.cka_id),
            kind: "wrapping key".into(),
            ..attributes(
                row(if k.adopted { "came, found after a stop" } else { "came" }, &k.token, &k.key),
                &k.attributes,
            )
        },
        Body::KeyRestored(k) if k.plan == *plan => KeyRow {
            kind: "key pair, from its backup".into(),
            ..attributes(row(if k.adopted { "was there" } else { "came back" }, &k.token, &k.key), &k.attributes)
        },
        Body::KeyDestroyed(k) if k.plan == *plan => KeyRow {
            label: escape(&k.label),
            cka_id: hex(&k.cka_id),
            kind: held(log, &k.inventory),
            ..row(if k.found { "went" } else { "was gone" }, &k.token, &k.key)
        },
        _ => return None,
    })
}

/// How many objects the token showed around the end of a key: lines `before …` and `after …`.
fn held(log: &View, inventory: &Digest) -> String {
    let Ok(text) = log.artefact(inventory) else { return "key pair".into() };
    let text = String::from_utf8_lossy(&text);
    let count = |when: &str| text.lines().filter(|line| line.starts_with(when)).count();
    format!("key pair; {} objects before, {} afterwards", count("before "), count("after "))
}

/// The private half's attributes of yes and no, without `CKA_`, in their order.
fn attributes(mut row: KeyRow, attributes: &[String]) -> KeyRow {
    for (name, value) in attributes.iter().filter_map(|line| line.strip_prefix("CKA_")?.split_once('=')) {
        match value {
            "true" => row.has.push(escape(name)),
            "false" => row.lacks.push(escape(name)),
            _ => {}
        }
    }
    row
}
