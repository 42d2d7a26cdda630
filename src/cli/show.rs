//! `show`: what a file is and what it says, read from its bytes.

mod beside;
mod certificate;
mod difference;
mod lints;
mod log;
mod profile;
mod shape;
mod withheld;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::plan::{Crl, Item, Plan, Refusal, Revoke, statement};
use crate::report::terminal::{Table, human_count, pairs};
use crate::text::{escape, hex, hex_groups, line, page, shell, utc};
use crate::x509::fields::{NO_SCTS, reason_name};
use crate::{bundle, config, release, x509};

use super::entries::Filter;
use super::recognise::{Kind, recognise};
use super::{Answer, Failure, Globals, clock};
pub use certificate::names;
use certificate::{certificate_json, certificate_text, crl_text, request};
pub use log::body_words;
use log::log;

/// Shows something.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  coldroot show out/plan-3f2a9c01.plan\n  coldroot show out/plan-3f2a9c01.plan --item 0\n  \
    coldroot show audit\n  coldroot show certs/chat.pem\n  \
    coldroot show audit --kind refused --since 2026-11-01\n  \
    coldroot show log --serial 4F:3A:90:17:AA --json\n  \
    coldroot show --diff rehearsal.plan real.plan --strict\n  \
    coldroot show hierarchy.toml --profile web --pem | openssl x509 -noout -text\n  \
    coldroot show audit --person alice --all"
)]
pub struct ShowArgs {
    /// Plan, bundle, release, log, checkpoint, proof, statement, hierarchy, ceremony, certificate, CRL, request or withheld artefact
    path: PathBuf,
    /// One item of a plan, from 0: every field of what would be signed
    #[arg(long, value_name = "N")]
    item: Option<u64>,
    /// What differs between OLD and PATH, two of a kind: certificates, CRLs, plans (and whether they have the same shape), hierarchies
    /// (what is signed when one is adopted in place of the other)
    #[arg(long, value_name = "OLD")]
    diff: Option<PathBuf>,
    /// With --diff: exit code 4 if anything differs; of plans, if their shape does
    #[arg(long, requires = "diff")]
    strict: bool,
    /// A log on which the certificates of a plan are looked up, each shown beside the last one of the same names and profile; without
    /// it the station's, if there is one
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Write the content of a withheld artefact to this new file
    #[arg(long, value_name = "FILE")]
    content: Option<PathBuf>,
    /// One profile of a hierarchy: what it takes and makes, and a specimen certificate by throw-away keys
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// With --profile: the specimen alone, as PEM
    #[arg(long, requires = "profile")]
    pem: bool,
    /// All rows of long tables
    #[arg(long, conflicts_with = "rows")]
    all: bool,
    /// At most so many rows of a long table; of a log, the last ones
    #[arg(long, value_name = "N", default_value_t = ROWS)]
    rows: usize,
    #[command(flatten)]
    filter: Filter,
}

/// Rows of a table where nobody has said how many.
const ROWS: usize = 20;

pub fn show(globals: &Globals, args: ShowArgs) -> Result<Answer, Failure> {
    let rows = if args.all { usize::MAX } else { args.rows };
    if let Some(old) = &args.diff {
        return difference::difference(old, &args.path, rows, args.strict);
    }
    match (recognise(&args.path)?, args.item) {
        (kind, _) if args.filter.given() && !matches!(kind, Kind::Log) => {
            Err(Failure::usage("--since, --kind and what belongs to them choose entries of a log", "leave them out"))
        }
        (Kind::Plan, item) => plan(globals, &args, item, rows),
        _ if args.log.is_some() => Err(Failure::usage("--log belongs to plans", "leave it out")),
        (_, Some(_)) => Err(Failure::usage("--item belongs to plans", "leave it out")),
        (kind, _) if args.profile.is_some() && !matches!(kind, Kind::Hierarchy(_)) => {
            Err(Failure::usage("--profile belongs to hierarchies", "leave it out"))
        }
        (kind, None) if args.content.is_some() && !matches!(kind, Kind::Withheld) => {
            Err(Failure::usage("--content belongs to withheld artefacts", "leave it out"))
        }
        (Kind::Bundle, _) => show_bundle(&args.path, rows),
        (Kind::Release, _) => show_release(&args.path, rows),
        (Kind::Log, _) => log(&args.path, &args.filter, rows, globals.json),
        (Kind::Statement(text), _) => Ok(Answer::new(page(&text), json!({ "statement": text }))),
        (Kind::Certificate(der), _) => {
            let fields = x509::read_certificate(&der).map_err(|e| Failure::refused(e.to_string(), ""))?;
            Ok(Answer::new(format!("Certificate\n\n{}", certificate_text(&fields)), certificate_json(&fields)))
        }
        (Kind::Crl(der), _) => {
            let fields = x509::read_crl(&der).map_err(|e| Failure::refused(e.to_string(), ""))?;
            Ok(Answer::new(
                format!("CRL\n\n{}", crl_text(&fields, rows)),
                json!({ "number": fields.number, "entries": fields.revoked.len(), "this-update": utc(fields.this_update), "next-update": utc(fields.next_update), "signature": fields.signature.name() }),
            ))
        }
        (Kind::Withheld, _) => withheld::withheld(&args.path, args.content.as_deref()),
        (Kind::Request(der), _) => request(&der),
        (Kind::Key(spki), _) => super::alone::show_key(&spki),
        (Kind::Inclusion(text), _) => super::prove::show_inclusion(&text),
        (Kind::Continuation(text), _) => Ok(Answer::new(page(&text), json!({ "continuation": text }))),
        (Kind::Checkpoint(text), _) => checkpoint(&text),
        (Kind::Hierarchy(text), _) => match &args.profile {
            Some(id) => profile::profile(&text, id, args.pem, clock(globals.now)),
            None => hierarchy(&text),
        },
        (Kind::Ceremony(text), _) => Ok(Answer::new(page(&text), json!({ "ceremony": text }))),
    }
}

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

fn plan(globals: &Globals, args: &ShowArgs, item: Option<u64>, rows: usize) -> Result<Answer, Failure> {
    let path = &args.path;
    let mut plan = Plan::open(path)?;
    let head = plan.head().clone();
    let record = beside::Record::at_hand(globals, args.log.as_deref(), &head)?;
    if let Some(n) = item {
        let item = plan.item(n)?;
        let before = match (&record, &item) {
            (Some(record), Item::Certificate(c)) => Some(record.beside(c)?),
            _ => None,
        };
        let mut answer = one_item(item, n)?;
        if let Some((line, json)) = before {
            answer.text.push_str(&beside::section(&[(n, line)]));
            answer.json["beside"] = json;
        }
        return Ok(answer);
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
    let (unlike, unlike_json) = batch.section(&mut plan, rows)?;
    let mut text = format!("{}\n{unlike}{}", statement(&head, &digest), table.render());
    let refusals = plan.refusals()?;
    if !refusals.is_empty() {
        text.push_str(&format!("\n{}", refusal_list(&refusals, rows)));
    }
    if !head.broken_keys.is_empty() {
        text.push_str("\nNo secret any more, since each shares a prime with an RSA key of the bundle:\n\n");
        let shown = head.broken_keys.iter().take(rows).map(|key| format!("  {}\n", line(key)));
        text.extend(shown);
        text.push_str("\n  revoke:    coldroot plan --revoke SERIAL --reason key-compromise\n");
    }
    text.push_str(&lints::section(&head.lints, rows));
    for list in &head.block_lists {
        text.push_str(&format!("\nNo key stands in the list of compromised keys with SHA-256\n  {list}\n"));
    }
    text.push_str(&beside::section(&lines));
    text.push_str(&format!("\n  one item:  coldroot show {} --item 0\n", shell(path)));
    let json = json!({ "digest": digest.hex(), "head": head_json(&head), "refused": refusals, "statement": statement(&head, &digest), "beside": besides, "batch": unlike_json });
    Ok(Answer::new(text, json))
}

/// Refused requests with their reasons whole: a reason that is cut helps nobody to mend anything.
pub fn refusal_list(refusals: &[Refusal], rows: usize) -> String {
    // A reason that was made here is escaped already; a plan from elsewhere may say anything.
    let row = |r: &Refusal| (escape(&r.request), format!("{}: {}", escape(&r.check), line(&r.reason)));
    let shown: Vec<(String, String)> = refusals.iter().take(rows).map(row).collect();
    let more = refusals.len() - shown.len();
    let more = if more > 0 { format!("and {} more\n", human_count(more as u64)) } else { String::new() };
    format!("Refused:\n\n{}{more}", pairs(&shown))
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

fn one_item(item: Item, n: u64) -> Result<Answer, Failure> {
    agrees(&item).map_err(|what| Failure::refused(format!("item {n}: {what}"), "do not approve this plan"))?;
    match item {
        Item::GenerateKey(k) => {
            let text = pairs(&[
                ("key", escape(&k.key)),
                ("token", escape(&k.token)),
                ("label", escape(&k.label)),
                ("CKA_ID", hex(&k.cka_id)),
                ("algorithm", k.algorithm.to_string()),
                ("backup", format!("{:?}", k.backup).to_lowercase()),
            ]);
            Ok(Answer::new(format!("Item {n}: a key pair to be made\n\n{text}"), k))
        }
        Item::GenerateWrappingKey(k) => {
            let text = pairs(&[
                ("key", escape(&k.key)),
                ("token", escape(&k.token)),
                ("label", escape(&k.label)),
                ("CKA_ID", hex(&k.cka_id)),
            ]);
            Ok(Answer::new(format!("Item {n}: an AES-256 key to be made, which wraps other keys\n\n{text}"), k))
        }
        Item::KeyAct(act) => {
            let key = &act.key;
            let mut lines = vec![
                ("act", act.deed.act().to_string()),
                ("key", escape(&key.key)),
                ("token", escape(&key.token)),
                ("label", escape(&key.label)),
                ("CKA_ID", hex(&key.cka_id)),
                ("public half", crate::digest::Digest::of(&key.spki).to_string()),
                ("detail", escape(&act.detail())),
            ];
            lines.extend(act.deed.text().map(|text| ("signs", crate::text::lines(&String::from_utf8_lossy(text)))));
            Ok(Answer::new(format!("Item {n}: an act on a key\n\n{}", pairs(&lines)), *act))
        }
        Item::Certificate(c) => {
            let text = format!(
                "Item {n}: a certificate to be signed by CA `{}` with key `{}`\n\n{}TBS  {} octets, SHA-256 {}\n",
                escape(&c.ca),
                escape(&c.signer.key),
                certificate_text(&c.fields),
                c.tbs.len(),
                crate::digest::Digest::of(&c.tbs)
            );
            Ok(Answer::new(text, certificate_json(&c.fields)))
        }
        Item::Revoke(r) => {
            let text = pairs(&[
                ("CA", escape(&r.ca)),
                ("serial", hex(&r.serial)),
                ("reason", reason_name(r.reason).to_string()),
                ("date", utc(r.date)),
            ]);
            Ok(Answer::new(format!("Item {n}: a certificate to be revoked\n\n{text}"), r))
        }
        Item::Csr(c) => {
            let text = format!(
                "Item {n}: a request of CA `{}` for its external issuer, to be signed by its key `{}`\n\n{}TBS  {} octets, SHA-256 {}\n",
                escape(&c.ca),
                escape(&c.signer.key),
                certificate::request_text(&c.fields),
                c.tbs.len(),
                crate::digest::Digest::of(&c.tbs)
            );
            Ok(Answer::new(text, json!({ "ca": c.ca, "subject": x509::name_text(&c.fields.subject) })))
        }
        Item::Crl(c) => {
            let text =
                format!("Item {n}: a CRL to be signed by CA `{}`\n\n{}", escape(&c.ca), crl_text(&c.fields, ROWS));
            Ok(Answer::new(text, json!({ "ca": c.ca, "number": c.fields.number })))
        }
    }
}

fn show_bundle(path: &Path, rows: usize) -> Result<Answer, Failure> {
    let file = std::fs::File::open(path).map_err(|e| Failure::io(path, e))?;
    let unverified = bundle::open(std::io::BufReader::new(file))?;
    let digest = unverified.digest();
    // Without a hierarchy there is nobody to compare the signature with: what is shown is a claim, and said to be one.
    let (mut bundle, ()) = unverified.verify(|_, _, _| Ok::<(), Failure>(()))?;
    let head = bundle.head().clone();
    let mut table = Table::new(&["item", "what", "names"]).limit(rows);
    for item in bundle.items()? {
        let item = item?;
        let (what, names) = match &item {
            bundle::Item::Validations(list) => ("validations".into(), list_words(list)),
            bundle::Item::Request(r) => (escape(&r.profile), r.names.iter().map(|n| escape(n)).collect()),
            bundle::Item::Revoke(r) => (format!("revoke, {}", reason_name(r.reason)), Vec::new()),
        };
        table.row([escape(&item.id()), what, names.join(" ")]);
    }
    let text = format!(
        "Bundle (signature not checked: `coldroot check {} --hierarchy FILE`)\n\n{}\n{}",
        shell(path),
        pairs(&[
            ("desk", format!("{}, number {}", escape(&head.desk), head.sequence)),
            ("for", format!("{} ({})", escape(&head.hierarchy), head.environment)),
            ("made", utc(head.created)),
            ("expires", utc(head.expires)),
            ("requests", human_count(head.items().saturating_sub(head.revocations))),
            ("lists of validations", human_count(head.lists)),
            ("revocations", human_count(head.revocations)),
            ("SHA-256", hex_groups(&digest.0)),
        ]),
        table.render()
    );
    Ok(Answer::new(
        text,
        json!({ "desk": head.desk, "sequence": head.sequence, "count": head.count, "revocations": head.revocations, "lists": head.lists, "digest": digest.hex() }),
    ))
}

/// What a validators' list claims; nobody vouches for it here.
fn list_words(validations: &bundle::Validations) -> Vec<String> {
    match bundle::List::parse(&validations.list) {
        Err(e) => vec![e.to_string()],
        Ok(list) => list.validations.iter().flat_map(|said| said.names.iter().map(|name| escape(name))).collect(),
    }
}

fn show_release(path: &Path, rows: usize) -> Result<Answer, Failure> {
    let release = release::Release::open(path)?;
    let mut table = Table::new(&["what", "for", "until"]).limit(rows);
    release.parts(|part| {
        let until = |der: &[u8]| x509::read_certificate(der).map_or(String::new(), |f| utc(f.not_after));
        match part {
            release::Part::Ca { ca, der, .. } => table.row(["CA certificate".into(), escape(&ca), until(&der)]),
            release::Part::Certificate { request, profile, der, .. } => {
                table.row([escape(&profile), escape(&request), until(&der)])
            }
            release::Part::Crl { ca, number, .. } => {
                table.row([format!("CRL number {number}"), escape(&ca), String::new()])
            }
            release::Part::Csr { ca, .. } => table.row(["request".into(), escape(&ca), String::new()]),
            release::Part::Revoked { serial, reason, .. } => {
                table.row([format!("revoked, {}", reason_name(reason)), hex(&serial), String::new()])
            }
            release::Part::Refused(r) => table.row(["refused".into(), escape(&r.request), escape(&r.check)]),
            release::Part::Key { key, .. } => table.row(["key made".into(), escape(&key), String::new()]),
            release::Part::KeyAct { act, key, .. } => table.row([escape(&act), escape(&key), String::new()]),
        }
        Ok(())
    })?;
    let head = &release.head;
    let text = format!(
        "Release {} of {} ({}); nothing of it is checked yet: `coldroot check {}`\n\n{}\n{}",
        head.release,
        escape(&head.name),
        head.environment,
        shell(path),
        pairs(&[
            ("plan", hex_groups(&head.plan.0)),
            ("operator", escape(&head.operator)),
            ("witness", escape(&head.witness)),
            ("approved by", head.approvals.iter().map(|a| escape(&a.person)).collect::<Vec<_>>().join("\n")),
            ("window", format!("{} to {}", utc(head.sign_from), utc(head.sign_until))),
        ]),
        table.render()
    );
    Ok(Answer::new(
        text,
        json!({ "release": head.release, "name": head.name, "plan": head.plan.hex(), "items": head.items, "refused": head.refused }),
    ))
}

/// A checkpoint, as it may be kept: size and root in every form in which they are printed.
fn checkpoint(text: &str) -> Result<Answer, Failure> {
    let c = crate::audit::note::parse(text).map_err(|e| Failure::refused(e.to_string(), ""))?;
    let spoken: Vec<&str> =
        c.root.0.iter().enumerate().map(|(place, octet)| crate::text::words::word(place, *octet)).collect();
    let page = pairs(&[
        ("log", escape(&c.origin)),
        ("entries", human_count(c.size)),
        ("root", hex_groups(&c.root.0)),
        ("in words", spoken.join(" ")),
    ]);
    let json = json!({ "origin": c.origin, "size": c.size, "root": c.root, "words": spoken });
    Ok(Answer::new(format!("Checkpoint, its signature not verified\n\n{page}"), json))
}

fn hierarchy(text: &str) -> Result<Answer, Failure> {
    let h = config::Hierarchy::parse(text)?;
    let mut table = Table::new(&["CA", "issued by", "key", "days", "CRL days", "rules"]);
    for ca in &h.cas {
        let key = h.key(&ca.key).map_or(String::new(), |k| k.algorithm.to_string());
        let days = ca.days.map_or("never ends".into(), |days| days.to_string());
        let rules: Vec<&str> = ca.rules.iter().map(|set| set.name()).collect();
        table.row([ca.id.clone(), ca.issuer.clone(), key, days, ca.crl_days.to_string(), rules.join(", ")]);
    }
    let mut profiles = Table::new(&["profile", "base", "issued by", "valid for", "keys"]);
    for p in h.profiles.iter().filter(|p| !p.base.is_ca()) {
        let keys: Vec<&str> = p.keys.iter().map(|k| k.name()).collect();
        let issuer = p.issuer.clone().unwrap_or_default();
        profiles.row([p.id.clone(), p.base.name().into(), issuer, p.validity.to_string(), keys.join(", ")]);
    }
    let named: Vec<&str> = h.profiles.iter().filter(|p| h.for_browsers(p)).map(|p| p.id.as_str()).collect();
    let browsers = if named.is_empty() { String::new() } else { format!("\n{}: {NO_SCTS}\n", named.join(", ")) };
    let mut people = Table::new(&["person", "roles", "keys"]);
    for p in &h.persons {
        let roles: Vec<&str> = p.roles.iter().map(|r| r.name()).collect();
        people.row([p.id.clone(), roles.join(", "), p.keys.len().to_string()]);
    }
    let text = format!(
        "Hierarchy {} ({})\n\n{}\n{}\n{}{browsers}\n{}",
        h.name,
        h.environment,
        pairs(&[("origin", h.origin.clone()), ("SHA-256", hex_groups(&h.digest.0))]),
        table.render(),
        profiles.render(),
        people.render()
    );
    Ok(Answer::new(
        text,
        json!({
            "name": h.name, "environment": h.environment, "origin": h.origin, "digest": h.digest.hex(),
            "rules": h.cas.iter().map(|ca| (ca.id.clone(), ca.rules.iter().map(|set| set.name()).collect())).collect::<BTreeMap<_, Vec<_>>>(),
            "no-scts": named,
        }),
    ))
}
