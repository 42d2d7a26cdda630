//! The shape of a batch, and what is unlike the rest of it.

use serde_json::{Value, json};

use crate::plan::{Certificate, Item, Plan};
use crate::report::outliers::{Outliers, Spread, Trait};
use crate::report::sheet::Sheet;
use crate::report::terminal::{Table, human_count};
use crate::text::{escape, hex};
use crate::x509;
use crate::x509::fields::GeneralName;

use crate::cli::Failure;

const TRAITS: [Trait; 10] = [
    Trait { name: "profile", with: "of profile" },
    Trait { name: "CA", with: "by CA" },
    Trait { name: "key", with: "with" },
    Trait { name: "names", with: "with" },
    Trait { name: "kinds of names", with: "with" },
    Trait { name: "longest name", with: "with a longest name of" },
    Trait { name: "top-level domain", with: "under" },
    Trait { name: "wildcard", with: "with" },
    Trait { name: "script", with: "with" },
    Trait { name: "requester", with: "by" },
];
/// Values of a trait that are told by name.
const VALUES: usize = 4;

/// The certificates of a plan's batch, as they are read.
pub(super) struct Batch(Outliers<10>);

impl Batch {
    pub(super) fn new() -> Batch {
        Batch(Outliers::new(TRAITS))
    }

    pub(super) fn take(&mut self, n: u64, item: &Item) {
        if let Item::Certificate(certificate) = item
            && certificate.request.is_some()
        {
            self.0.add(n, traits(certificate));
        }
    }

    /// What is unlike the rest, at most `rows` items, and the shape of the whole; nothing of less than three certificates.
    pub(super) fn section(&self, sheet: Sheet, plan: &mut Plan, rows: usize) -> Result<(Sheet, Value), Failure> {
        let (found, all) = self.0.find(rows);
        let total = self.0.len();
        if total < 3 {
            return Ok((sheet, Value::Null));
        }
        let mut lines = Vec::new();
        let mut list = Vec::new();
        for outlier in &found {
            let whom = match plan.item(outlier.item)? {
                Item::Certificate(c) => {
                    format!("{} for {}", escape(c.request.as_deref().unwrap_or_default()), first_name(&c))
                }
                _ => String::new(),
            };
            lines.push((format!("item {}", outlier.item), format!("{whom}\n{}", outlier.why.join("\n"))));
            list.push(json!({ "item": outlier.item, "points": outlier.points, "why": outlier.why }));
        }
        let shape = self.0.shape(VALUES);
        let mut table = Table::new(&["of the certificates", "commonest", "others"]).wrapped();
        for Spread { name, values, more } in &shape {
            let mut told = values.iter().map(|(value, count)| format!("{value}: {}", human_count(*count)));
            let first = told.next().unwrap_or_default();
            let mut others: Vec<String> = told.collect();
            if *more > 0 {
                others.push(format!("{} more", human_count(*more as u64)));
            }
            table.row([(*name).to_string(), first, others.join(", ")]);
        }
        let more = all.saturating_sub(found.len() as u64);
        let more = if more > 0 { format!("and {} more (--rows, --all)", human_count(more)) } else { String::new() };
        let sheet = match all {
            0 => sheet.text(format!("None of the {} certificates is unlike the rest.", human_count(total))),
            _ => {
                let head = format!("Unlike the rest, {} of {} certificates:", human_count(all), human_count(total));
                sheet.heading(head).facts(&lines).text(more)
            }
        };
        let shape: serde_json::Map<String, Value> = shape
            .into_iter()
            .map(|Spread { name, values, more }| {
                let values: Vec<Value> = values.iter().map(|(value, count)| json!([value, count])).collect();
                (name.to_string(), json!({ "values": values, "more": more }))
            })
            .collect();
        let json = json!({ "certificates": total, "unlike": all, "items": list, "shape": shape });
        Ok((sheet.table(table), json))
    }
}

fn first_name(c: &Certificate) -> String {
    x509::holder_names(&c.fields.subject, &c.fields.san).first().map_or_else(String::new, |name| escape(name))
}

/// The traits of a certificate, in the order of [`TRAITS`], safe for any output.
fn traits(c: &Certificate) -> [String; 10] {
    let fields = &c.fields;
    let names = x509::holder_names(&fields.subject, &fields.san);
    let key = x509::PublicKey::from_spki(&fields.spki).map_or_else(|e| e.to_string(), |key| key.kind().to_string());
    let mut kinds: Vec<&str> = fields.san.iter().map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let count = match names.len() {
        n @ 0..=1 => ["no name", "one name"][n].to_string(),
        n => format!("{n} names"),
    };
    [
        escape(&c.profile),
        escape(&c.ca),
        key,
        count,
        if kinds.is_empty() { "no alternative names".into() } else { kinds.join(", ") },
        // Lengths of one magnitude are one.
        format!("at most {} characters", longest.next_power_of_two().max(16)),
        names.first().map_or_else(String::new, |name| top(name)),
        if names.iter().any(|name| name.contains('*')) { "a wildcard" } else { "no wildcard" }.into(),
        script(&names).into(),
        c.requester.as_ref().map_or("nobody".into(), |tag| format!("requester {}", hex(&tag.0[..4]))),
    ]
}

fn kind(name: &GeneralName) -> &'static str {
    match name {
        GeneralName::Dns(_) => "DNS",
        GeneralName::Srv(_) => "SRV",
        GeneralName::XmppAddr(_) => "XMPP",
        GeneralName::Email(_) | GeneralName::Utf8Mailbox(_) => "mail",
        GeneralName::Uri(_) => "URI",
        GeneralName::Ip(_) => "IP",
        GeneralName::Other(_) => "other names",
    }
}

/// The last label, or that the name has none.
fn top(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((_, label)) if label.chars().all(|c| c.is_ascii_digit()) => "an address".into(),
        Some((_, label)) => format!(".{}", escape(&label.to_ascii_lowercase())),
        None => "no domain".into(),
    }
}

/// What the eye would miss in names: `text` flags it where it is shown.
fn script(names: &[String]) -> &'static str {
    let shown = |of: &str| names.iter().any(|name| escape(name).contains(of));
    if shown("mixed scripts") {
        "mixed scripts"
    } else if names.iter().any(|name| name.to_ascii_lowercase().split('.').any(|label| label.starts_with("xn--"))) {
        "an internationalised name"
    } else if names.iter().any(|name| !name.is_ascii()) {
        "characters that are not ASCII"
    } else {
        "ASCII names"
    }
}
