//! What differs between two plans, field by field, and whether they have the same shape: a rehearsal shows the real ceremony when
//! nothing differs but what must ([`Difference::may`]).

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::config::Environment;
use crate::digest::Digest;
use crate::text::{escape, line, utc};
use crate::x509::{self, PublicKey};

use super::{Error, Head, Item, Plan, Refusal};

/// One field that differs, in however many items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field's name as the plan holds it, `certificate fields not-after`.
    pub field: String,
    /// A rehearsal and the real ceremony may differ in it, and in this way: other keys, identifiers, serial numbers, tokens,
    /// hierarchy digest, origin and rehearsal mark, and all dates moved by one constant.
    pub may: bool,
    /// Items (or refusals) in which it differs; 1 for the head's fields.
    pub items: u64,
    /// The first of them, by its number in the first plan (in the second one for what only that has); `None` for head and refusals.
    pub first: Option<u64>,
    /// What the two plans say there, safe for any output.
    pub from: String,
    pub to: String,
}

/// Two plans side by side.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Each field once, in the order of its first difference; what may differ and what may not are two.
    pub differences: Vec<Difference>,
    /// Fields that are equal.
    pub equal: u64,
    /// By how many seconds the second plan's dates are later.
    pub moved: i64,
}

impl Comparison {
    /// Nothing differs but what must differ between a rehearsal and the real ceremony.
    pub fn same_shape(&self) -> bool {
        self.differences.iter().all(|d| d.may)
    }

    fn add(&mut self, field: String, may: bool, first: Option<u64>, from: String, to: String) {
        match self.differences.iter_mut().find(|d| d.field == field && d.may == may) {
            Some(known) => known.items += 1,
            None => self.differences.push(Difference { field, may, items: 1, first, from, to }),
        }
    }
}

/// 9999-12-31T23:59:59Z: no well-defined expiration (RFC 5280 §4.1.2.5), which no constant moves.
const NEVER: i64 = 253_402_300_799;

/// Compares two plans. Items are told by what they do and for whom, not by their number. `judge` says whether an item's fields are
/// those of its bytes: only the fields are compared.
///
/// Memory: some 100 octets for each item of the second plan.
pub fn difference(
    before: &mut Plan,
    after: &mut Plan,
    judge: impl Fn(&Item) -> Result<(), String>,
) -> Result<Comparison, Error> {
    let (old, new) = (before.head().clone(), after.head().clone());
    let mut side = Side::new(&old, &new);
    side.compare("", None, &plain(&old)?, &plain(&new)?);
    let mut places = Places::of(after)?;
    let mut seen = HashMap::new();
    let mut last = None;
    for n in 0..old.items {
        let item = judged(before, n, &judge)?;
        let Some(place) = places.take(&next(&mut seen, &item)) else {
            side.all.add("items of the first plan only".into(), false, Some(n), escape(&identity(&item)), "-".into());
            continue;
        };
        if last.is_some_and(|last| place < last) {
            let (from, to) = (format!("item {n}"), format!("item {place}"));
            side.all.add("place among the items".into(), false, Some(n), from, to);
        }
        last = Some(place);
        let other = judged(after, place, &judge)?;
        side.signers(n, &item, &other);
        side.compare("", Some(n), &plain(&item)?, &plain(&other)?);
    }
    for place in places.left() {
        let item = judged(after, place, &judge)?;
        side.all.add("items of the second plan only".into(), false, Some(place), "-".into(), escape(&identity(&item)));
    }
    refusals(&mut side.all, before.refusals()?, after.refusals()?);
    Ok(side.all)
}

fn judged(plan: &mut Plan, n: u64, judge: impl Fn(&Item) -> Result<(), String>) -> Result<Item, Error> {
    let item = plan.item(n)?;
    judge(&item).map_err(|what| Error::Contradiction(format!("item {n}: {what}")))?;
    Ok(item)
}

/// What an item does, and for whom: the same in a rehearsal and in the real ceremony.
fn identity(item: &Item) -> String {
    match item {
        Item::GenerateKey(key) => format!("key {}", key.key),
        Item::GenerateWrappingKey(key) => format!("wrapping key {}", key.key),
        Item::Certificate(c) => {
            let whom = c.request.as_deref().or(c.subject_ca.as_deref()).unwrap_or_default();
            format!("{} {whom}", c.act)
        }
        Item::Revoke(revoke) => format!("revocation of {}", revoke.ca),
        Item::Crl(crl) => format!("CRL of {}", crl.ca),
        Item::Csr(csr) => format!("request of {}", csr.ca),
        Item::KeyAct(act) => format!("{} {}", act.deed.act(), act.key.key),
    }
}

/// An identity's digest, and how many items of that identity stand before it.
type Known = ([u8; 16], u32);

fn next(seen: &mut HashMap<[u8; 16], u32>, item: &Item) -> Known {
    let mut short = [0; 16];
    short.copy_from_slice(&Digest::of(identity(item).as_bytes()).0[..16]);
    let count = seen.entry(short).or_default();
    *count += 1;
    (short, *count)
}

/// Where the second plan's items stand.
struct Places(HashMap<Known, u64>);

impl Places {
    fn of(plan: &mut Plan) -> Result<Places, Error> {
        let (mut places, mut seen) = (HashMap::new(), HashMap::new());
        for n in 0..plan.head().items {
            places.insert(next(&mut seen, &plan.item(n)?), n);
        }
        Ok(Places(places))
    }

    fn take(&mut self, known: &Known) -> Option<u64> {
        self.0.remove(known)
    }

    fn left(self) -> Vec<u64> {
        let mut left: Vec<u64> = self.0.into_values().collect();
        left.sort_unstable();
        left
    }
}

fn plain(of: &impl serde::Serialize) -> Result<Value, Error> {
    serde_json::to_value(of).map_err(|e| Error::Contradiction(format!("it cannot be laid out: {e}")))
}

/// The comparison as it grows, and what it judges by.
struct Side {
    all: Comparison,
    /// Of the two, the rehearsal: the first plan (`Some(true)`), the second one, or not exactly one of them.
    rehearsal: Option<bool>,
    /// Which CA key of the second plan stands where one of the first stood, and the other way round.
    keys: [BTreeMap<Digest, Digest>; 2],
}

impl Side {
    fn new(old: &Head, new: &Head) -> Side {
        let moved = new.sign_from.saturating_sub(old.sign_from);
        let rehearses = |head: &Head| head.environment == Environment::Rehearsal;
        let rehearsal = (rehearses(old) != rehearses(new)).then_some(rehearses(old));
        Side { all: Comparison { moved, ..Comparison::default() }, rehearsal, keys: Default::default() }
    }

    /// One CA key takes the place of one, everywhere.
    fn signers(&mut self, n: u64, old: &Item, new: &Item) {
        let (Some((old, ..)), Some((new, ..))) = (old.to_sign(), new.to_sign()) else { return };
        let (from, to) = (Digest::of(&old.spki), Digest::of(&new.spki));
        let first = *self.keys[0].entry(from).or_insert(to) == to;
        let second = *self.keys[1].entry(to).or_insert(from) == from;
        if !first || !second {
            let what = "signing key, which is not the one that signs in its place elsewhere";
            self.all.add(what.into(), false, Some(n), from.hex(), to.hex());
        }
    }

    fn compare(&mut self, path: &str, n: Option<u64>, old: &Value, new: &Value) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path} {name}") };
        match (old, new) {
            // What the fields say; and a text that is made from them.
            _ if path == "certificate tbs" || path == "crl tbs" || path == "csr tbs" || proof(path) => {}
            (Value::Object(one), Value::Object(other)) => {
                for name in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
                    let side = |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or_default();
                    self.compare(&below(name), n, &side(one), &side(other));
                }
            }
            (Value::Array(one), Value::Array(other)) if tables(one) && tables(other) && one.len() == other.len() => {
                one.iter().zip(other).for_each(|(old, new)| self.compare(path, n, old, new));
            }
            _ if old == new && !moves(path, old) => self.all.equal += 1,
            _ if old == new && self.all.moved == 0 => self.all.equal += 1,
            _ => {
                let may = self.may(path, old, new);
                self.all.add(path.to_owned(), may, n, shown(path, old), shown(path, new));
            }
        }
    }

    /// May a rehearsal differ from the real ceremony in this?
    fn may(&self, path: &str, old: &Value, new: &Value) -> bool {
        // What only one of them has is another shape.
        if old.is_null() || new.is_null() {
            return false;
        }
        if is_date(path) {
            let (Some(old), Some(new)) = (old.as_i64(), new.as_i64()) else { return false };
            return old.checked_add(self.all.moved) == Some(new);
        }
        let last = path.rsplit(' ').next().unwrap_or_default();
        match path {
            "origin" | "environment" | "hierarchy" | "nonce" | "dry-run" | "bundle digest" => true,
            "certificate fields spki" | "csr fields spki" => {
                matches!((key_kind(old), key_kind(new)), (Some(a), Some(b)) if a == b)
            }
            "certificate fields subject" | "certificate fields issuer" | "crl fields issuer" | "csr fields subject" => {
                self.marked(old, new)
            }
            "certificate requester" | "key-act deed restore backup" => true,
            // The statement names the backup by its digest.
            "counts detail" => [old, new].iter().all(|v| v.as_str().is_some_and(|v| v.starts_with("sha256-"))),
            _ => matches!(last, "serial" | "ski" | "aki" | "cka-id" | "token" | "spki"),
        }
    }

    /// The rehearsal's name is the real one with the mark of a rehearsal.
    fn marked(&self, old: &Value, new: &Value) -> bool {
        let (Some(old), Some(new)) = (octets(old), octets(new)) else { return false };
        match self.rehearsal {
            Some(true) => x509::is_rehearsal_of(&old, &new),
            Some(false) => x509::is_rehearsal_of(&new, &old),
            None => false,
        }
    }
}

/// A text that a key signs is made from the head and the key; a plan with another one is not read at all.
fn proof(path: &str) -> bool {
    path.starts_with("key-act deed ") && path.ends_with(" text")
}

fn tables(list: &[Value]) -> bool {
    // A subject alternative name is one value, not a table.
    !list.is_empty() && list.iter().all(|item| item.as_object().is_some_and(|table| table.len() > 1))
}

fn is_date(path: &str) -> bool {
    let last = path.rsplit(' ').next().unwrap_or_default();
    matches!(last, "sign-from" | "sign-until" | "not-before" | "not-after" | "this-update" | "next-update" | "date")
}

/// It should have moved with the other dates.
fn moves(path: &str, value: &Value) -> bool {
    is_date(path) && value.as_i64() != Some(NEVER)
}

fn octets(value: &Value) -> Option<Vec<u8>> {
    value.as_array()?.iter().map(|n| u8::try_from(n.as_u64()?).ok()).collect()
}

fn key_kind(spki: &Value) -> Option<x509::KeyKind> {
    PublicKey::from_spki(&octets(spki)?).ok().map(|key| key.kind())
}

/// A value for people.
fn shown(path: &str, value: &Value) -> String {
    let last = path.rsplit(' ').next().unwrap_or_default();
    match value {
        Value::Null => "none".into(),
        Value::Number(seconds) if is_date(path) => seconds.as_i64().map_or_else(|| seconds.to_string(), utc),
        Value::String(text) => escape(text),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => match (octets(value), last) {
            (Some(der), "subject" | "issuer") => x509::name_text(&der),
            (Some(der), "spki") => {
                let kind = PublicKey::from_spki(&der).map_or_else(|e| e.to_string(), |key| key.kind().to_string());
                format!("{kind}, SHA-256 {}", Digest::of(&der))
            }
            (Some(octets), _) => crate::text::hex(&octets),
            (None, _) => items.iter().map(|item| within(path, item)).collect::<Vec<_>>().join("; "),
        },
        other => within(path, other),
    }
}

/// A value inside another one. Text keeps its quotes: none can pass for a field beside it.
fn within(path: &str, value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{} {}", escape(name), within(path, value)));
            fields.collect::<Vec<_>>().join(", ")
        }
        Value::Array(_) => shown(path, value),
        other => line(&other.to_string()),
    }
}

/// Refused requests, told by their id.
fn refusals(all: &mut Comparison, old: Vec<Refusal>, new: Vec<Refusal>) {
    let mut others: BTreeMap<String, Refusal> = new.into_iter().map(|r| (r.request.clone(), r)).collect();
    for refusal in old {
        let whose = escape(&refusal.request);
        let Some(other) = others.remove(&refusal.request) else {
            all.add("refusals of the first plan only".into(), false, None, whose, "-".into());
            continue;
        };
        for (field, from, to) in [("check", &refusal.check, &other.check), ("reason", &refusal.reason, &other.reason)] {
            match from == to {
                true => all.equal += 1,
                false => {
                    let (from, to) = (format!("{whose}: {}", line(from)), format!("{whose}: {}", line(to)));
                    all.add(format!("refusal {field}"), false, None, from, to);
                }
            }
        }
    }
    for request in others.into_keys() {
        all.add("refusals of the second plan only".into(), false, None, "-".into(), escape(&request));
    }
}
