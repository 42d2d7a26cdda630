//! `sample`: the items of a plan that dice draw, each as far as it is compared with the evidence.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::bundle;
use crate::digest::Digest;
use crate::plan::sample::{self, Fault};
use crate::plan::{Head, Item, Plan};
use crate::report::terminal::{human_count, pairs};
use crate::text::{escape, hex, hex_groups, path as shown, shell};
use crate::x509::{self, fields::reason_name};

use super::{Answer, Failure};

/// What dice draw, and from what.
#[derive(Args, Clone)]
pub struct Dice {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// What a witness's dice showed, thrown after the plan's digest was fixed and read aloud: at least 25 digits from 1 to 6
    #[arg(long, value_name = "DIGITS")]
    pub dice: String,
    /// Draw so many items; by default all of up to 60, then 60, 150 above 10,000, and 300 above 100,000
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  coldroot sample out/plan-3f2a9c01.plan --dice \"35261 46152 11634 25511 63342\" --bundle monday.bundle\n\n\
    Two people compare the items with the evidence, then: coldroot record sample"
)]
pub struct SampleArgs {
    #[command(flatten)]
    dice: Dice,
    /// The bundle that the plan answers: each item is shown with the digests of its validators' evidence
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

/// A drawn sample.
pub struct Drawn {
    pub plan: Plan,
    /// Digits alone.
    pub dice: String,
    pub items: Vec<u64>,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::usage(fault.to_string(), fault.hint().unwrap_or_default())
    }
}

impl Dice {
    pub fn draw(&self) -> Result<Drawn, Failure> {
        let dice = sample::dice(&self.dice)?;
        super::recognise::must_be_regular(&self.plan)?;
        let plan = Plan::open(&self.plan)?;
        let total = plan.head().items;
        let count = self.count.unwrap_or_else(|| sample::usual(total));
        let items = sample::draw(&plan.digest(), &dice, total, count)?;
        Ok(Drawn { plan, dice, items })
    }
}

pub fn sample(args: &SampleArgs) -> Result<Answer, Failure> {
    let mut drawn = args.dice.draw()?;
    let head = drawn.plan.head().clone();
    let evidence = args.bundle.as_deref().map(|path| evidence(path, &head)).transpose()?.unwrap_or_default();
    let (mut rows, mut list) = (String::new(), Vec::new());
    for n in &drawn.items {
        let item = drawn.plan.item(*n)?;
        super::show::agrees(&item)
            .map_err(|what| Failure::refused(format!("item {n}: {what}"), "do not approve this plan"))?;
        let (lines, json) = row(*n, &item, &evidence);
        rows.push_str(&format!("\n{}", pairs(&lines)));
        list.push(json);
    }
    let (digest, file) = (drawn.plan.digest(), shell(&args.dice.plan));
    let facts = pairs(&[
        ("plan", hex_groups(&digest.0)),
        ("dice", drawn.dice.clone()),
        ("drawn", format!("{} of {} items", human_count(drawn.items.len() as u64), human_count(head.items))),
    ]);
    let again = format!(" --dice {}{}", drawn.dice, args.dice.count.map_or(String::new(), |n| format!(" --count {n}")));
    let text = format!(
        "Sample\n\n{facts}{rows}\n  two people compare each of them with its evidence, then:\n  \
         coldroot record sample {file}{again} --person ID --person ID --agreed   (or --differs ITEM)\n"
    );
    let json =
        json!({ "plan": digest.hex(), "dice": drawn.dice, "of": head.items, "drawn": drawn.items, "items": list });
    Ok(Answer::new(text, json))
}

/// Who vouched for a name, and with what: by name, in lower case.
type Evidence = BTreeMap<String, Vec<String>>;

/// What the validators' lists of the plan's own bundle say of each name.
fn evidence(path: &Path, head: &Head) -> Result<Evidence, Failure> {
    super::recognise::must_be_regular(path)?;
    let file = std::fs::File::open(path).map_err(|e| Failure::io(path, e))?;
    let unverified = bundle::open(BufReader::new(file))?;
    let digest = unverified.digest();
    if head.bundle.as_ref().map(|bundle| bundle.digest) != Some(digest) {
        let what = format!("the plan does not answer the bundle {}, whose SHA-256 is {digest}", shown(path));
        return Err(Failure::refused(what, "give the bundle that the statement names, or leave --bundle out"));
    }
    // It is the bundle whose signature was verified when the plan was made.
    let (mut bundle, ()) = unverified.verify(|_, _, _| Ok::<(), Failure>(()))?;
    let mut evidence = Evidence::new();
    for item in bundle.items()? {
        let bundle::Item::Validations(list) = item? else { continue };
        let Ok(list) = bundle::List::parse(&list.list) else { continue };
        for said in &list.validations {
            for name in &said.names {
                let of = format!("{} by {}", escape(&said.method), said.evidence);
                evidence.entry(name.to_ascii_lowercase()).or_default().push(of);
            }
        }
    }
    Ok(evidence)
}

/// One item whole, as far as it is compared.
fn row(n: u64, item: &Item, evidence: &Evidence) -> (Vec<(&'static str, String)>, Value) {
    let mut lines = vec![("item", n.to_string())];
    match item {
        Item::Certificate(c) => {
            let names = super::show::names(&c.fields.san);
            let whom = c.request.as_deref().or(c.subject_ca.as_deref()).unwrap_or_default();
            let key = Digest::of(&c.fields.spki);
            lines.extend([
                ("what", format!("{} {}", escape(&c.act), escape(&c.profile))),
                ("for", escape(whom)),
                ("subject", x509::name_text(&c.fields.subject)),
                ("names", names.join("\n")),
                ("key, SHA-256", hex_groups(&key.0)),
            ]);
            lines.extend(c.requester.as_ref().map(|tag| ("requester's tag", tag.hex())));
            let held = x509::holder_names(&c.fields.subject, &c.fields.san);
            let said: Vec<String> = held
                .iter()
                .flat_map(|name| {
                    let said = evidence.get(&name.to_ascii_lowercase()).into_iter().flatten();
                    said.map(|said| format!("{}: {said}", escape(name)))
                })
                .collect();
            if !said.is_empty() {
                lines.push(("evidence", said.join("\n")));
            }
            let json = json!({
                "item": n, "act": c.act, "profile": c.profile, "for": whom, "subject": x509::name_text(&c.fields.subject), "names": names,
                "spki-sha256": key.hex(), "requester": c.requester, "evidence": said,
            });
            return (lines, json);
        }
        Item::Revoke(r) => lines.extend([
            ("what", format!("revoke, {}", reason_name(r.reason))),
            ("for", format!("CA {}", escape(&r.ca))),
            ("serial", hex(&r.serial)),
        ]),
        Item::Crl(c) => lines.extend([
            ("what", format!("CRL number {}", c.fields.number)),
            ("for", format!("CA {}", escape(&c.ca))),
            ("entries", human_count(c.fields.revoked.len() as u64)),
        ]),
        Item::Csr(c) => lines.extend([
            ("what", format!("request of {}", escape(&c.profile))),
            ("for", format!("CA {}", escape(&c.ca))),
            ("subject", x509::name_text(&c.fields.subject)),
            ("spki-sha256", Digest::of(&c.fields.spki).hex()),
        ]),
        Item::GenerateKey(k) => lines.extend([
            ("what", format!("make key {}", k.algorithm)),
            ("for", format!("{} on token {}", escape(&k.key), escape(&k.token))),
            ("CKA_ID", hex(&k.cka_id)),
        ]),
        Item::GenerateWrappingKey(k) => lines.extend([
            ("what", "make wrapping key".into()),
            ("for", format!("{} on token {}", escape(&k.key), escape(&k.token))),
            ("CKA_ID", hex(&k.cka_id)),
        ]),
        Item::KeyAct(act) => lines.extend([
            ("what", act.deed.act().into()),
            ("for", format!("{} on token {}", escape(&act.key.key), escape(&act.key.token))),
            ("public half", Digest::of(&act.key.spki).hex()),
        ]),
    }
    let mut json: serde_json::Map<String, Value> =
        lines.iter().map(|(name, value)| ((*name).to_string(), value.clone().into())).collect();
    json.insert("item".into(), n.into());
    (lines, Value::Object(json))
}
