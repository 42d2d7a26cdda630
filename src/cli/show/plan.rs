//! A plan: its statement, what is unlike the rest of the batch, its items, its refusals, what linters said.

use serde_json::{Value, json};

use crate::cli::{Answer, Failure, Globals};
use crate::config::Environment;
use crate::plan::{Crl, Item, Plan, Refusal, Revoke, statement};
use crate::report::sheet::Sheet;
use crate::report::terminal::{Table, human_count};
use crate::text::{escape, hex, line, shell, utc};
use crate::x509;
use crate::x509::fields::reason_name;

use super::{ShowArgs, beside, item, lints, shape};

/// An item's fields and its bytes say the same; what people are shown is what the bytes say.
pub fn agrees(item: &Item) -> Result<(), String> {
    let differs = || "its bytes do not say what its fields say".to_string();
    match item {
        Item::GenerateKey(_) | Item::GenerateWrappingKey(_) | Item::Revoke(_) | Item::KeyAct(_) => Ok(()),
        Item::Certificate(c) => match x509::read_tbs_certificate(&c.tbs) {
            Ok(read) if read == c.fields => Ok(()),
            Ok(_) => Err(differs()),
            Err(e) => Err(e.to_string()),
        },
        Item::Csr(c) => match x509::read_request_info(&c.tbs) {
            Ok(read) if read == c.fields && read.spki == c.signer.spki => Ok(()),
            Ok(_) => Err(differs()),
            Err(e) => Err(e.to_string()),
        },
        Item::Crl(c) => match x509::read_tbs_crl(&c.tbs) {
            Ok(read) if read == c.fields => Ok(()),
            Ok(_) => Err(differs()),
            Err(e) => Err(e.to_string()),
        },
    }
}

/// Each revocation of a plan stands on the CRL of its CA in the same plan.
pub fn crls_say_so(revoked: &[Revoke], crls: &[Crl]) -> Result<(), String> {
    let told = |r: &Revoke| {
        crls.iter().filter(|crl| crl.ca == r.ca).any(|crl| {
            crl.fields.revoked.iter().any(|e| (&e.serial, e.reason, e.date) == (&r.serial, r.reason, r.date))
        })
    };
    match revoked.iter().find(|r| !told(r)) {
        Some(r) => Err(format!("serial {} is revoked, but no CRL of the plan says so", hex(&r.serial))),
        None => Ok(()),
    }
}

pub(super) fn plan(globals: &Globals, args: &ShowArgs, rows: usize) -> Result<Answer, Failure> {
    let path = &args.path;
    let mut plan = Plan::open(path)?;
    let head = plan.head().clone();
    let rehearsal = head.environment != Environment::Real;
    let record = beside::Record::at_hand(globals, args.log.as_deref(), &head)?;
    if let Some(n) = args.item {
        let item = plan.item(n)?;
        let before = match (&record, &item) {
            (Some(record), Item::Certificate(c)) => Some(record.beside(c)?),
            _ => None,
        };
        let (mut sheet, mut json) = item::item(item, n)?;
        if let Some((line, before)) = before {
            sheet = beside::section(sheet, &[(n, line)]);
            json["beside"] = before;
        }
        return Ok(Answer::of(sheet.rehearsal(rehearsal), json));
    }
    let mut lines = Vec::new();
    let mut besides = Vec::new();
    let mut batch = shape::Batch::new();
    let digest = plan.digest();
    let mut table = Table::new(&["item", "what", "for", "until"]).limit(rows);
    let (mut revoked, mut crls) = (Vec::new(), Vec::new());
    for n in 0..head.items {
        let item = plan.item(n)?;
        agrees(&item).map_err(|what| Failure::refused(format!("item {n}: {what}"), "do not approve this plan"))?;
        table.row(item_row(n, &item));
        batch.take(n, &item);
        if let (Some(record), Item::Certificate(c)) = (&record, &item)
            && n < rows as u64
        {
            let (line, json) = record.beside(c)?;
            lines.push((n, line));
            besides.push(json!({ "item": n, "before": json }));
        }
        match item {
            Item::Revoke(revoke) => revoked.push(revoke),
            Item::Crl(crl) => crls.push(*crl),
            _ => {}
        }
    }
    crls_say_so(&revoked, &crls).map_err(|what| Failure::refused(what, "do not approve this plan"))?;
    let refusals = plan.refusals()?;
    let sheet = Sheet::new(format!("Plan of {}", escape(&head.name))).bare().rehearsal(rehearsal);
    let sheet = sheet.pre(statement(&head, &digest)).digest("plan", &digest);
    let (sheet, unlike_json) = batch.section(sheet, &mut plan, rows)?;
    let mut sheet = if head.items == 0 { sheet } else { sheet.heading("Items:").table(table) };
    if !refusals.is_empty() {
        let (shown, more) = refusal_rows(&refusals, rows);
        sheet = sheet.heading("Refused:").facts(&shown).text(more);
    }
    sheet = lints::judged(sheet, (&head.lints, &head.block_lists, &head.broken_keys), rows);
    sheet = beside::section(sheet, &lines);
    sheet = sheet.next("one item", format!("coldroot show {} --item 0", shell(path)));
    sheet = sheet.next("approve", format!("coldroot approve {} --person ID --key SSHKEY", shell(path)));
    let json = json!({ "digest": digest.hex(), "head": head_json(&head), "refused": refusals, "statement": statement(&head, &digest), "beside": besides, "batch": unlike_json });
    Ok(Answer::of(sheet, json))
}

/// Refused requests with their reasons whole, as text: a reason that is cut helps nobody to mend anything.
#[cfg(feature = "station")]
pub fn refusal_list(refusals: &[Refusal], rows: usize) -> String {
    let (shown, more) = refusal_rows(refusals, rows);
    format!(
        "Refused:\n\n{}{}",
        crate::report::terminal::pairs(&shown),
        if more.is_empty() { more } else { more + "\n" }
    )
}

/// The first refusals, and a line that counts the others.
pub fn refusal_rows(refusals: &[Refusal], rows: usize) -> (Vec<(String, String)>, String) {
    // A reason that was made here is escaped already; a plan from elsewhere may say anything.
    let row = |r: &Refusal| (escape(&r.request), format!("{}: {}", escape(&r.check), line(&r.reason)));
    let shown: Vec<(String, String)> = refusals.iter().take(rows).map(row).collect();
    let more = refusals.len() - shown.len();
    let more = if more > 0 { format!("and {} more", human_count(more as u64)) } else { String::new() };
    (shown, more)
}

fn head_json(head: &crate::plan::Head) -> Value {
    json!({
        "kind": head.kind, "name": head.name, "origin": head.origin, "environment": head.environment,
        "follows-release": head.release_before, "sign-from": utc(head.sign_from), "sign-until": utc(head.sign_until),
        "items": head.items, "refused": head.refused, "counts": head.counts,
        "block-lists": head.block_lists, "broken-keys": head.broken_keys, "lints": head.lints,
    })
}

fn item_row(n: u64, item: &Item) -> [String; 4] {
    match item {
        Item::GenerateKey(k) => [
            n.to_string(),
            format!("make key {}", k.algorithm),
            format!("{} on token {}", escape(&k.key), escape(&k.token)),
            String::new(),
        ],
        Item::GenerateWrappingKey(k) => [
            n.to_string(),
            "make wrapping key".into(),
            format!("{} on token {}", escape(&k.key), escape(&k.token)),
            String::new(),
        ],
        Item::KeyAct(act) => {
            let whom = format!("{} on token {}", escape(&act.key.key), escape(&act.key.token));
            [n.to_string(), act.deed.act().into(), whom, String::new()]
        }
        Item::Certificate(c) => {
            let whom = match &c.subject_ca {
                Some(ca) => format!("CA {}", escape(ca)),
                None => {
                    x509::holder_names(&c.fields.subject, &c.fields.san).first().map_or(String::new(), |n| escape(n))
                }
            };
            [n.to_string(), format!("{} {}", escape(&c.act), escape(&c.profile)), whom, utc(c.fields.not_after)]
        }
        Item::Revoke(r) => [n.to_string(), format!("revoke, {}", reason_name(r.reason)), hex(&r.serial), String::new()],
        Item::Csr(c) => {
            [n.to_string(), format!("request {}", escape(&c.profile)), format!("CA {}", escape(&c.ca)), String::new()]
        }
        Item::Crl(c) => [
            n.to_string(),
            format!("CRL number {}", c.fields.number),
            format!("CA {}", escape(&c.ca)),
            utc(c.fields.next_update),
        ],
    }
}
