//! The entries of a log, one a row.

use std::path::Path;

use serde_json::json;

use crate::audit::entry::Body;
use crate::cli::{Answer, Failure, offline};
use crate::report::terminal::{Table, human_count};
use crate::text::{escape, hex, utc};
use crate::x509::fields::reason_name;

pub(super) fn log(path: &Path, rows: usize) -> Result<Answer, Failure> {
    let log = offline::read_log(path)?;
    let mut table = Table::new(&["entry", "time", "what", "of"]);
    let first = log.size().saturating_sub(rows as u64);
    let mut json = Vec::new();
    for entry in log.entries(first..log.size()) {
        let (index, entry, _) = entry?;
        let (what, of) = body_words(&entry.body);
        json.push(json!({ "index": index, "time": utc(entry.time), "what": what, "of": of }));
        table.row([index.to_string(), utc(entry.time), what.into(), of]);
    }
    let more = if first > 0 { format!("({first} earlier entries; --all shows them)\n") } else { String::new() };
    let unsealed = log.size() - log.sealed_size();
    let text = format!(
        "Log {}: {} entries, {unsealed} of them not sealed yet\n\n{more}{}",
        escape(log.origin()),
        human_count(log.size()),
        table.render()
    );
    Ok(Answer::new(
        text,
        json!({ "origin": log.origin(), "size": log.size(), "sealed": log.sealed_size(), "entries": json }),
    ))
}

fn body_words(body: &Body) -> (&'static str, String) {
    match body {
        Body::Genesis(g) => ("genesis", escape(&g.name)),
        Body::Open { mark_size, .. } => ("opened", format!("mark at {mark_size}")),
        Body::PinTry { token } => ("PIN try", escape(token)),
        Body::Login { token, serial, .. } => ("login", format!("{} serial {}", escape(token), escape(serial))),
        Body::PinSplit(s) => {
            let shares = format!("{} of {} shares, set {}", s.threshold, s.shares.len(), hex(&s.set));
            ("PIN split", format!("{} {shares}", escape(&s.token)))
        }
        Body::PinSplitDone { token, set, new_pin } => {
            let what = if *new_pin { "is in the shares of" } else { "is not in the shares of" };
            ("PIN split", format!("{} {what} set {}", escape(token), hex(set)))
        }
        Body::BundleReceived { bundle, count, revocations } => {
            let items = format!("{count} items, {revocations} of them revocations");
            ("bundle", format!("{} {} ({items})", escape(&bundle.desk), bundle.sequence))
        }
        Body::Planned { plan, items, refused, .. } => {
            ("planned", format!("{} ({items} to do, {refused} refused)", &plan.hex()[..8]))
        }
        Body::Start(s) => {
            ("start", format!("{} by {}, {} watching", &s.plan.hex()[..8], escape(&s.operator), escape(&s.witness)))
        }
        Body::KeyGenerated(k) => ("key made", format!("{} {}", escape(&k.key), k.algorithm)),
        Body::WrappingKeyGenerated(k) => ("wrapping key", format!("{} on {}", escape(&k.key), escape(&k.token))),
        Body::KeyBackedUp(k) => ("key backed up", format!("{} by {}", escape(&k.key), escape(&k.wrapping_key))),
        Body::KeyRestored(k) => ("key restored", format!("{} on {}", escape(&k.key), escape(&k.token))),
        Body::KeyProven(k) => ("key proven", format!("{} on {}", escape(&k.key), escape(&k.token))),
        Body::KeyDestroyed(k) => {
            let how = if k.found { "" } else { " (gone already)" };
            ("key destroyed", format!("{} on {}{how}", escape(&k.key), escape(&k.token)))
        }
        Body::Certificate(c) => {
            ("certificate", escape(c.request.as_deref().or(c.subject_ca.as_deref()).unwrap_or_default()))
        }
        Body::Revoked(r) => ("revoked", format!("{} {} ({})", escape(&r.ca), hex(&r.serial), reason_name(r.reason))),
        Body::Crl(c) => ("CRL", format!("{} number {}", escape(&c.ca), c.number)),
        Body::Refused { request, check, .. } => ("refused", format!("{} ({})", escape(request), escape(check))),
        Body::Void(v) => ("void", format!("{} {}", &v.plan.hex()[..8], escape(&v.reason))),
        Body::End(e) => ("end", format!("{} release {}", &e.plan.hex()[..8], e.release)),
        Body::ReleaseWritten { release, target, .. } => ("written", format!("release {release} as {}", escape(target))),
        Body::Inventory { token, right, missing, wrong, unexpected, .. } => {
            let counts = format!("{right} right, {missing} missing, {wrong} wrong, {unexpected} unexpected");
            ("inventory", format!("{}: {counts}", escape(token)))
        }
        Body::Probe { token, able, protected, .. } => {
            let able = if *able { "able" } else { "NOT ABLE" };
            let protected = match protected {
                Some(true) => "protects its keys",
                Some(false) => "DOES NOT PROTECT ITS KEYS",
                None => "protection not found out",
            };
            ("probe", format!("{}: {able}, {protected}", escape(token)))
        }
        Body::HierarchyAdopted(h) => {
            ("new hierarchy", format!("{} for {}", &h.hierarchy.hex()[..8], &h.before.hex()[..8]))
        }
        Body::CrlAdopted(c) => ("CRL adopted", format!("{} number {}", escape(&c.ca), c.number)),
        Body::LogAdopted(l) => ("LOG ADOPTED", format!("{} entries, the mark knew {}", l.size, l.mark_size)),
        Body::HandedOver(h) => {
            ("handed over", format!("{} from {} to {}", escape(&h.token), escape(&h.from), escape(&h.to)))
        }
        Body::ClockCorrected(c) => ("CLOCK SET BACK", format!("from {} to {}", utc(c.from), utc(c.to))),
        Body::MediumRead { name, digest, octets } => {
            ("read in", format!("{} ({} octets, {})", escape(name), human_count(*octets), &digest.hex()[..8]))
        }
        Body::CopyWritten { target, size, .. } => ("copied", format!("{size} entries to {}", escape(target))),
        Body::Indexed { size, digest } => ("index", format!("{} over {size} entries", &digest.hex()[..8])),
        Body::Step { script, number, persons } => {
            ("step", format!("{number} of {} by {}", &script.hex()[..8], people(persons)))
        }
        Body::Deviation { what, persons } => ("DEVIATION", format!("{} ({})", escape(what), people(persons))),
        Body::Evidence(e) => {
            let withheld = if e.withheld { ", withheld" } else { "" };
            let of = format!("{} ({}, {} octets{withheld})", escape(&e.what), e.kind.name(), human_count(e.octets));
            ("evidence", of)
        }
        Body::Failure { what } => ("failure", escape(what)),
    }
}

fn people(persons: &[String]) -> String {
    persons.iter().map(|person| escape(person)).collect::<Vec<_>>().join(", ")
}
