//! `show`: what a file is and what it says, read from its bytes.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::audit::entry::Body;
use crate::plan::{Item, Plan, Refusal, statement};
use crate::report::terminal::{Table, human_count, pairs};
use crate::text::{escape, hex, hex_groups, utc};
use crate::x509::fields::{CertFields, CrlFields, GeneralName};
use crate::{bundle, config, release, x509};

use super::recognise::{Kind, recognise};
use super::{Answer, Failure, offline};

/// Shows something.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  coldroot show out/plan-3f2a9c01.plan\n  coldroot show out/plan-3f2a9c01.plan --item 0\n  \
    coldroot show audit\n  coldroot show certs/chat.pem"
)]
pub struct ShowArgs {
    /// Plan, bundle, release, log, statement, hierarchy, ceremony, certificate, CRL or request
    path: PathBuf,
    /// One item of a plan, from 0: every field of what would be signed
    #[arg(long, value_name = "N")]
    item: Option<u64>,
    /// All rows of long tables
    #[arg(long)]
    all: bool,
}

/// Rows of a table without `--all`.
const ROWS: usize = 20;

pub fn show(args: ShowArgs) -> Result<Answer, Failure> {
    let rows = if args.all { usize::MAX } else { ROWS };
    match (recognise(&args.path)?, args.item) {
        (Kind::Plan, item) => plan(&args.path, item, rows),
        (_, Some(_)) => Err(Failure::usage("--item belongs to plans", "leave it out")),
        (Kind::Bundle, _) => show_bundle(&args.path, rows),
        (Kind::Release, _) => show_release(&args.path, rows),
        (Kind::Log, _) => log(&args.path, rows),
        (Kind::Statement(text), _) => Ok(Answer::new(text.clone(), json!({ "statement": text }))),
        (Kind::Certificate(der), _) => {
            let fields = x509::read_certificate(&der).map_err(|e| Failure::refused(e.to_string(), ""))?;
            Ok(Answer::new(format!("Certificate\n\n{}", certificate_text(&fields)), certificate_json(&fields)))
        }
        (Kind::Crl(der), _) => {
            let fields = x509::read_crl(&der).map_err(|e| Failure::refused(e.to_string(), ""))?;
            Ok(Answer::new(
                format!("CRL\n\n{}", crl_text(&fields, rows)),
                json!({ "number": fields.number, "entries": fields.revoked.len(), "this-update": utc(fields.this_update), "next-update": utc(fields.next_update) }),
            ))
        }
        (Kind::Request(der), _) => request(&der),
        (Kind::Hierarchy(text), _) => hierarchy(&text),
        (Kind::Ceremony(text), _) => Ok(Answer::new(text.clone(), json!({ "ceremony": text }))),
    }
}

/// An item's fields and its bytes say the same; what people are shown is what the bytes say.
pub fn agrees(item: &Item) -> Result<(), String> {
    let differs = || "its bytes do not say what its fields say".to_string();
    match item {
        Item::GenerateKey(_) => Ok(()),
        Item::Certificate(c) => match x509::read_tbs_certificate(&c.tbs) {
            Ok(read) if read == c.fields => Ok(()),
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

fn plan(path: &Path, item: Option<u64>, rows: usize) -> Result<Answer, Failure> {
    let mut plan = Plan::open(path)?;
    if let Some(n) = item {
        return one_item(plan.item(n)?, n);
    }
    let head = plan.head().clone();
    let digest = plan.digest();
    let mut table = Table::new(&["item", "what", "for", "until"]).limit(rows);
    for n in 0..head.items {
        let item = plan.item(n)?;
        agrees(&item).map_err(|what| Failure::refused(format!("item {n}: {what}"), "do not approve this plan"))?;
        table.row(item_row(n, &item));
    }
    let mut text = format!("{}\n{}", statement(&head, &digest), table.render());
    let refusals = plan.refusals()?;
    if !refusals.is_empty() {
        text.push_str(&format!("\n{}", refusal_list(&refusals, rows)));
    }
    text.push_str(&format!("\n  one item:  coldroot show {} --item 0\n", path.display()));
    let json = json!({ "digest": digest.hex(), "head": head_json(&head), "refused": refusals, "statement": statement(&head, &digest) });
    Ok(Answer::new(text, json))
}

/// Refused requests with their reasons whole: a reason that is cut helps nobody to mend anything.
pub fn refusal_list(refusals: &[Refusal], rows: usize) -> String {
    // The reasons were made here and are escaped already.
    let row = |r: &Refusal| (escape(&r.request), format!("{}: {}", escape(&r.check), r.reason));
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
        Item::Certificate(c) => {
            let whom = match &c.subject_ca {
                Some(ca) => format!("CA {}", escape(ca)),
                None => names(&c.fields.san).into_iter().next().unwrap_or_default(),
            };
            [n.to_string(), format!("{} {}", escape(&c.act), escape(&c.profile)), whom, utc(c.fields.not_after)]
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
        Item::Crl(c) => {
            let text =
                format!("Item {n}: a CRL to be signed by CA `{}`\n\n{}", escape(&c.ca), crl_text(&c.fields, ROWS));
            Ok(Answer::new(text, json!({ "ca": c.ca, "number": c.fields.number })))
        }
    }
}

/// Every field of a certificate, in words.
pub fn certificate_text(f: &CertFields) -> String {
    let key = x509::PublicKey::from_spki(&f.spki).map_or_else(|e| e.to_string(), |k| k.kind().to_string());
    let key = format!("{key}\nSHA-256 {}", hex_groups(&crate::digest::Digest::of(&f.spki).0));
    let list = |items: &[String]| if items.is_empty() { "none".to_string() } else { items.join("\n") };
    let policies: Vec<String> = f
        .policies
        .iter()
        .map(|p| p.cps.as_ref().map_or(p.oid.clone(), |cps| format!("{} ({})", p.oid, escape(cps))))
        .collect();
    let ca = match &f.ca {
        None => "no".to_string(),
        Some(c) => c.path_len.map_or("yes, no path length limit".into(), |n| format!("yes, path length {n}")),
    };
    let octets = |o: &Option<crate::cbor::Bytes>| o.as_ref().map_or("none".to_string(), |b| hex(b));
    pairs(&[
        ("subject", x509::name_text(&f.subject)),
        ("issuer", x509::name_text(&f.issuer)),
        ("serial", hex(&f.serial)),
        ("valid from", utc(f.not_before)),
        ("valid until", utc(f.not_after)),
        ("names", list(&names(&f.san))),
        ("public key", key),
        ("signature", f.signature.name().to_string()),
        ("CA", ca),
        ("key usage", key_usage(f.key_usage)),
        ("extended usage", list(&f.eku.iter().map(|oid| eku(oid)).collect::<Vec<_>>())),
        ("subject key id", octets(&f.ski)),
        ("authority key id", octets(&f.aki)),
        ("CRL at", list(&f.crl_urls.iter().map(|u| escape(u)).collect::<Vec<_>>())),
        ("issuer cert at", list(&f.issuer_urls.iter().map(|u| escape(u)).collect::<Vec<_>>())),
        ("policies", list(&policies)),
        ("critical", list(&f.critical.iter().map(|oid| extension(oid)).collect::<Vec<_>>())),
        ("not understood", list(&f.others)),
    ])
}

fn certificate_json(f: &CertFields) -> Value {
    json!({
        "subject": x509::name_text(&f.subject), "issuer": x509::name_text(&f.issuer), "serial": hex(&f.serial),
        "not-before": utc(f.not_before), "not-after": utc(f.not_after), "names": names(&f.san),
        "ca": f.ca, "key-usage": key_usage(f.key_usage), "extended-key-usage": f.eku,
        "spki-sha256": crate::digest::Digest::of(&f.spki).hex(), "crl-urls": f.crl_urls, "issuer-urls": f.issuer_urls,
        "policies": f.policies, "subject-key-id": f.ski.as_ref().map(|b| hex(b)),
        "authority-key-id": f.aki.as_ref().map(|b| hex(b)), "others": f.others, "signature": f.signature.name(), "critical": f.critical,
    })
}

fn crl_text(f: &CrlFields, rows: usize) -> String {
    let mut text = pairs(&[
        ("issuer", x509::name_text(&f.issuer)),
        ("number", f.number.to_string()),
        ("this update", utc(f.this_update)),
        ("next update", utc(f.next_update)),
        ("signature", f.signature.name().to_string()),
        ("revoked", human_count(f.revoked.len() as u64)),
    ]);
    if !f.revoked.is_empty() {
        let mut table = Table::new(&["serial", "revoked", "reason"]).limit(rows);
        for r in &f.revoked {
            table.row([hex(&r.serial), utc(r.date), r.reason.map_or("-".into(), |r| r.to_string())]);
        }
        text.push_str(&format!("\n{}", table.render()));
    }
    text
}

/// Subject alternative names for people.
pub fn names(san: &[GeneralName]) -> Vec<String> {
    san.iter()
        .map(|name| match name {
            GeneralName::Dns(n) => escape(n),
            GeneralName::Srv(n) => format!("SRV {}", escape(n)),
            GeneralName::XmppAddr(n) => format!("XMPP {}", escape(n)),
            GeneralName::Email(n) => format!("mail {}", escape(n)),
            GeneralName::Uri(n) => format!("URI {}", escape(n)),
            GeneralName::Ip(b) => format!("IP {}", hex(b)),
            GeneralName::Other(b) => format!("other {}", hex(b)),
        })
        .collect()
}

fn key_usage(bits: u16) -> String {
    const NAMES: [&str; 9] = [
        "digitalSignature",
        "nonRepudiation",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];
    let set: Vec<&str> =
        NAMES.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { "none".into() } else { set.join(", ") }
}

fn extension(oid: &str) -> String {
    let name = match oid {
        "2.5.29.14" => "subjectKeyIdentifier",
        "2.5.29.15" => "keyUsage",
        "2.5.29.17" => "subjectAltName",
        "2.5.29.19" => "basicConstraints",
        "2.5.29.30" => "nameConstraints",
        "2.5.29.35" => "authorityKeyIdentifier",
        "2.5.29.37" => "extKeyUsage",
        _ => return escape(oid),
    };
    name.into()
}

fn eku(oid: &str) -> String {
    match oid {
        "1.3.6.1.5.5.7.3.1" => "serverAuth".into(),
        "1.3.6.1.5.5.7.3.2" => "clientAuth".into(),
        other => escape(other),
    }
}

fn request(der: &[u8]) -> Result<Answer, Failure> {
    let request =
        x509::Request::parse(der).map_err(|e| Failure::refused(e.to_string(), e.hint().unwrap_or_default()))?;
    let possession = request.verify_possession().map_or_else(|e| format!("no: {e}"), |()| "yes".into());
    let key = x509::PublicKey::from_spki(&request.spki).map_or_else(|e| e.to_string(), |k| k.kind().to_string());
    let wanted = names(request.san.as_deref().unwrap_or_default());
    let text = pairs(&[
        ("subject", x509::name_text(&request.subject)),
        ("names", if wanted.is_empty() { "none".into() } else { wanted.join("\n") }),
        ("public key", key),
        ("signed by its key", possession.clone()),
    ]);
    Ok(Answer::new(
        format!("Certificate request\n\n{text}"),
        json!({ "subject": x509::name_text(&request.subject), "names": wanted, "possession": possession }),
    ))
}

fn show_bundle(path: &Path, rows: usize) -> Result<Answer, Failure> {
    let file = std::fs::File::open(path).map_err(|e| Failure::io(path, e))?;
    let unverified = bundle::open(std::io::BufReader::new(file))?;
    let digest = unverified.digest();
    // Without a hierarchy there is nobody to compare the signature with: what is shown is a claim, and said to be one.
    let (mut bundle, ()) = unverified.verify(|_, _, _| Ok::<(), Failure>(()))?;
    let head = bundle.head().clone();
    let mut table = Table::new(&["request", "profile", "names"]).limit(rows);
    for item in bundle.items()? {
        let bundle::Item::Request(r) = item?;
        let names: Vec<String> = r.names.iter().map(|n| escape(n)).collect();
        table.row([escape(&r.request), escape(&r.profile), names.join(" ")]);
    }
    let text = format!(
        "Bundle (signature not checked: `coldroot check {} --hierarchy FILE`)\n\n{}\n{}",
        path.display(),
        pairs(&[
            ("desk", format!("{}, number {}", escape(&head.desk), head.sequence)),
            ("for", format!("{} ({})", escape(&head.hierarchy), head.environment)),
            ("made", utc(head.created)),
            ("expires", utc(head.expires)),
            ("requests", human_count(head.count)),
            ("SHA-256", hex_groups(&digest.0)),
        ]),
        table.render()
    );
    Ok(Answer::new(
        text,
        json!({ "desk": head.desk, "sequence": head.sequence, "count": head.count, "digest": digest.hex() }),
    ))
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
            release::Part::Refused(r) => table.row(["refused".into(), escape(&r.request), escape(&r.check)]),
            release::Part::Key { key, .. } => table.row(["key made".into(), escape(&key), String::new()]),
        }
        Ok(())
    })?;
    let head = &release.head;
    let text = format!(
        "Release {} of {} ({}); nothing of it is checked yet: `coldroot check {}`\n\n{}\n{}",
        head.release,
        escape(&head.name),
        head.environment,
        path.display(),
        pairs(&[
            ("plan", hex_groups(&head.plan.0)),
            ("signed by", format!("operator {}, witness {}", escape(&head.operator), escape(&head.witness))),
            ("approved by", head.approvals.iter().map(|a| escape(&a.person)).collect::<Vec<_>>().join(", ")),
            ("window", format!("{} to {}", utc(head.sign_from), utc(head.sign_until))),
        ]),
        table.render()
    );
    Ok(Answer::new(
        text,
        json!({ "release": head.release, "name": head.name, "plan": head.plan.hex(), "items": head.items, "refused": head.refused }),
    ))
}

fn log(path: &Path, rows: usize) -> Result<Answer, Failure> {
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
        Body::BundleReceived { bundle, count } => {
            ("bundle", format!("{} {} ({count} requests)", escape(&bundle.desk), bundle.sequence))
        }
        Body::Planned { plan, items, refused, .. } => {
            ("planned", format!("{} ({items} to do, {refused} refused)", &plan.hex()[..8]))
        }
        Body::Start(s) => {
            ("start", format!("{} by {}, {} watching", &s.plan.hex()[..8], escape(&s.operator), escape(&s.witness)))
        }
        Body::KeyGenerated(k) => ("key made", format!("{} {}", escape(&k.key), k.algorithm)),
        Body::Certificate(c) => {
            ("certificate", escape(c.request.as_deref().or(c.subject_ca.as_deref()).unwrap_or_default()))
        }
        Body::Crl(c) => ("CRL", format!("{} number {}", escape(&c.ca), c.number)),
        Body::Refused { request, check, .. } => ("refused", format!("{} ({})", escape(request), escape(check))),
        Body::End(e) => ("end", format!("{} release {}", &e.plan.hex()[..8], e.release)),
        Body::ReleaseWritten { release, target, .. } => ("written", format!("release {release} as {}", escape(target))),
        Body::Failure { what } => ("failure", escape(what)),
    }
}

fn hierarchy(text: &str) -> Result<Answer, Failure> {
    let h = config::Hierarchy::parse(text)?;
    let mut table = Table::new(&["CA", "issued by", "key", "days", "CRL days"]);
    for ca in &h.cas {
        let key = h.key(&ca.key).map_or(String::new(), |k| k.algorithm.to_string());
        table.row([ca.id.clone(), ca.issuer.clone(), key, ca.days.to_string(), ca.crl_days.to_string()]);
    }
    let mut people = Table::new(&["person", "roles", "keys"]);
    for p in &h.persons {
        let roles: Vec<&str> = p.roles.iter().map(|r| r.name()).collect();
        people.row([p.id.clone(), roles.join(", "), p.keys.len().to_string()]);
    }
    let text = format!(
        "Hierarchy {} ({})\n\n{}\n{}\n{}",
        h.name,
        h.environment,
        pairs(&[("origin", h.origin.clone()), ("SHA-256", hex_groups(&h.digest.0))]),
        table.render(),
        people.render()
    );
    Ok(Answer::new(
        text,
        json!({ "name": h.name, "environment": h.environment, "origin": h.origin, "digest": h.digest.hex() }),
    ))
}
