//! The entries of a log, one a row.

use std::collections::VecDeque;
use std::path::Path;

use serde_json::json;

use crate::audit::entry::{Body, Entry};
use crate::audit::{View, about};
use crate::cli::entries::Filter;
use crate::cli::stream::Stream;
use crate::cli::{Answer, Failure, offline};
use crate::config::Environment;
use crate::report::sheet::Sheet;
use crate::report::terminal::{Table, cut, human_count, width, wrap};
use crate::text::{escape, hex, shell, utc};
use crate::x509::fields::reason_name;

/// The width of a column that holds any of [`body_words`]'s first words.
const WHAT: usize = 14;

/// Shows the last `rows` of the entries meant; with more rows than any log has, each as it is found.
pub(super) fn log(path: &Path, filter: &Filter, rows: usize, json: bool) -> Result<Answer, Failure> {
    let log = offline::read_log(path)?;
    let mut page = Page::begin(&log, json)?;
    if rows == usize::MAX {
        let mut found = 0;
        filter.each(&log, 0, |index, entry| -> Result<bool, Failure> {
            found += 1;
            page.entry(index, &entry)
        })?;
        page.end(found, 0, filter.given())?;
        return Ok(Answer::printed());
    }
    let last = last(&log, filter, rows)?;
    for (index, entry) in &last.entries {
        page.entry(*index, entry)?;
    }
    page.end(last.found, last.earlier, filter.given())?;
    Ok(Answer::printed())
}

/// The same in blocks.
pub(super) fn sheet(path: &Path, filter: &Filter, rows: usize) -> Result<Answer, Failure> {
    let log = offline::read_log(path)?;
    let last = last(&log, filter, rows)?;
    let mut table = Table::new(&["entry", "time", "what", "of"]).wrapped();
    for (index, entry) in &last.entries {
        let (what, of) = body_words(&entry.body);
        table.row([index.to_string(), utc(entry.time), what.into(), of]);
    }
    let (size, sealed) = (log.size(), log.sealed_size());
    let sheet = Sheet::new(format!("Log {}", escape(log.origin())))
        .rehearsal(log.genesis()?.environment != Environment::Real)
        .facts(&[("entries", human_count(size)), ("not sealed yet", human_count(size - sealed))])
        .digest(format!("root of {} entries", human_count(sealed)), &log.root_at(sealed)?)
        .text(if filter.given() { format!("{} entries match.", human_count(last.found)) } else { String::new() })
        .table(table)
        .text(if last.earlier > 0 {
            format!("{} earlier ones are not shown.", human_count(last.earlier))
        } else {
            String::new()
        })
        .next("check", format!("coldroot check {} --verifier-key KEY", shell(path)));
    Ok(Answer::of(
        sheet,
        json!({ "found": last.found, "left-out": last.earlier, "origin": log.origin(), "sealed": sealed, "size": size }),
    ))
}

/// The last entries of those meant.
struct Last {
    entries: VecDeque<(u64, Entry)>,
    found: u64,
    earlier: u64,
}

fn last(log: &View, filter: &Filter, rows: usize) -> Result<Last, Failure> {
    // Without filters the last entries are known without reading the others.
    let first = if filter.given() { 0 } else { log.size().saturating_sub(rows as u64) };
    let (mut found, mut entries) = (first, VecDeque::new());
    filter.each(log, first, |index, entry| -> Result<bool, Failure> {
        found += 1;
        entries.push_back((index, entry));
        if entries.len() > rows {
            entries.pop_front();
        }
        Ok(true)
    })?;
    Ok(Last { earlier: found - entries.len() as u64, entries, found })
}

/// The result on its way out, as a table or as JSON.
struct Page<'a> {
    out: Stream,
    log: &'a View,
    json: bool,
    rows: u64,
}

impl<'a> Page<'a> {
    fn begin(log: &'a View, json: bool) -> Result<Page<'a>, Failure> {
        let mut out = Stream::new();
        let (size, unsealed) = (log.size(), log.size() - log.sealed_size());
        match json {
            true => out.json("{\n  \"entries\": ["),
            false => {
                let entries = human_count(size);
                let head =
                    format!("Log {}: {entries} entries, {unsealed} of them not sealed yet", escape(log.origin()));
                out.text(&format!("{}\n\n", wrap(&head, width()).join("\n")))
            }
        }?;
        Ok(Page { out, log, json, rows: 0 })
    }

    fn entry(&mut self, index: u64, entry: &Entry) -> Result<bool, Failure> {
        let (what, of) = body_words(&entry.body);
        self.rows += 1;
        if self.json {
            let mut json = about::to_json(index, entry).map_err(|e| Failure::refused(e.to_string(), ""))?;
            if let Some(map) = json.as_object_mut() {
                map.insert("sealed".into(), (index < self.log.sealed_size()).into());
                map.insert("what".into(), what.into());
                map.insert("of".into(), of.into());
            }
            let lines = format!("{json:#}").replace('\n', "\n    ");
            return self.out.json(&format!("{}\n    {lines}", if self.rows > 1 { "," } else { "" }));
        }
        let number = self.log.size().to_string().len().max("entry".len());
        if self.rows == 1 {
            self.out.text(&format!("{:>number$}  {:20}  {:WHAT$}  of\n", "entry", "time", "what"))?;
        }
        let room = width().saturating_sub(number + 20 + WHAT + 6);
        self.out.text(&format!("{index:>number$}  {}  {what:WHAT$}  {}\n", utc(entry.time), cut(&of, room)))
    }

    fn end(mut self, found: u64, earlier: u64, filtered: bool) -> Result<(), Failure> {
        if self.json {
            // What follows the entries is known behind them; the names stand in order, as in every other result.
            let rest = json!({
                "found": found, "left-out": earlier, "origin": self.log.origin(), "sealed": self.log.sealed_size(),
                "size": self.log.size(),
            });
            let rest = format!("{rest:#}\n");
            let end = if self.rows > 0 { "\n  ]," } else { "]," };
            self.out.json(&format!("{end}{}", rest.trim_start_matches('{')))?;
            return self.out.finish();
        }
        let size = human_count(self.log.size());
        match (found, filtered) {
            (0, true) => self.out.text(&format!("None of the {size} entries match.\n"))?,
            (_, true) => self.out.text(&format!("\n{} of {size} entries match", human_count(found)))?,
            (_, false) => true,
        };
        match (earlier, filtered) {
            (0, true) if found > 0 => self.out.text(".\n")?,
            (0, _) => true,
            (n, true) => {
                self.out.text(&format!("; {} earlier ones are not shown (--all shows them).\n", human_count(n)))?
            }
            (n, false) => self.out.text(&format!("\n({} earlier entries; --all shows them)\n", human_count(n)))?,
        };
        self.out.finish()
    }
}

/// What an entry says, in a word and a line.
pub fn body_words(body: &Body) -> (&'static str, String) {
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
        Body::Csr(c) => ("request", format!("of CA {}, for its external issuer", escape(&c.ca))),
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
        Body::CertificateAdopted(c) => {
            let renewed = if c.replaces.is_some() { ", in place of one before" } else { "" };
            ("certificate adopted", format!("{} until {}{renewed}", escape(&c.ca), utc(c.not_after)))
        }
        Body::LogAdopted(l) if l.hierarchy != l.mark_hierarchy => (
            "LOG ADOPTED",
            format!("{} entries, the mark knew {}, and the hierarchy {}", l.size, l.mark_size, l.mark_hierarchy),
        ),
        Body::LogAdopted(l) => ("LOG ADOPTED", format!("{} entries, the mark knew {}", l.size, l.mark_size)),
        Body::HandedOver(h) => {
            let what = if h.lost { "TOKEN LOST" } else { "handed over" };
            (what, format!("{} from {} to {}", escape(&h.token), escape(&h.from), escape(&h.to)))
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
        Body::Sampled(s) => {
            let what = if s.differs.is_empty() { "sample agrees" } else { "SAMPLE DIFFERS" };
            let differs: Vec<String> = s.differs.iter().take(10).map(u64::to_string).collect();
            let differs = if differs.is_empty() { String::new() } else { format!(", items {}", differs.join(" ")) };
            (what, format!("{} of {} of {}{differs} ({})", s.count, s.items, &s.plan.hex()[..8], people(&s.persons)))
        }
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
