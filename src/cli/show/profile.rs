//! A profile as people see it: a table of what it takes and makes, and a specimen certificate. Read from the hierarchy file alone: no
//! token, no station, no log.

use serde_json::{Value, json};

use crate::cli::{Answer, Failure};
use crate::config::{Base, Ca, Environment, Hierarchy, KeyReuse, NameForm, Profile, Rule};
use crate::prepare::{self, Draw, Specimen};
use crate::report::sheet::Sheet;
use crate::text::{escape, hex};
use crate::x509::TLS_FEATURE;
use crate::x509::fields::NO_SCTS;

use super::certificate::{certificate_json, certificate_rows, eku, extension, policy};

/// The profile of this id; with `pem` its specimen alone, for other programs.
pub(super) fn profile(text: &str, id: &str, pem: bool, now: i64) -> Result<Answer, Failure> {
    let h = Hierarchy::parse(text)?;
    let profile = h.profile(id).ok_or_else(|| {
        let known: Vec<&str> = h.profiles.iter().map(|profile| profile.id.as_str()).collect();
        Failure::usage(format!("the hierarchy has no profile `{}`", escape(id)), format!("it has {}", known.join(", ")))
    })?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|e| Failure::refused(format!("no random numbers: {e}"), "see to the operating system"))?;
    let made = prepare::specimen(&h, profile, now, &mut Draw::new(b"specimen", &seed));
    let rows = rows(&h, profile);
    let sheet = Sheet::new(format!("Profile {id}")).rehearsal(h.environment != Environment::Real).facts(&rows);
    let json = json!({
        "profile": rows.iter().map(|(name, value)| ((*name).to_string(), value.clone().into())).collect::<serde_json::Map<_, Value>>(),
        "specimen": specimen_json(&made),
    });
    match made {
        Ok(Some(specimen)) if pem => Ok(Answer::new(armour(&specimen.der), json)),
        Ok(Some(specimen)) => {
            let by = if profile.base.is_ca() { "of" } else { "by" };
            let sheet = sheet.heading(format!("{HEAD} {by} CA {}", specimen.ca));
            Ok(Answer::of(sheet.facts(&certificate_rows(&specimen.fields)), json))
        }
        Ok(None) if pem => {
            Err(Failure::refused(format!("no CA has the profile `{id}`"), "name a profile that is used"))
        }
        Ok(None) => Ok(Answer::of(sheet.text("No CA has it, so there is no specimen."), json)),
        Err(e) if pem => Err(e.into()),
        Err(e) => {
            let hint = e.hint().map_or(String::new(), |hint| format!("\n  {hint}"));
            Ok(Answer::of(sheet.text(format!("There is no specimen: {e}{hint}")), json))
        }
    }
}

const HEAD: &str = "A specimen, by throw-away keys: it certifies nothing. It is";

fn specimen_json(made: &Result<Option<Specimen>, prepare::Error>) -> Value {
    match made {
        Ok(Some(specimen)) => {
            let mut json = certificate_json(&specimen.fields);
            json["ca"] = specimen.ca.clone().into();
            json["pem"] = armour(&specimen.der).into();
            json
        }
        Ok(None) => Value::Null,
        Err(e) => json!({ "refused": e.to_string(), "hint": e.hint() }),
    }
}

/// RFC 7468 §5.
fn armour(der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn rows(h: &Hierarchy, p: &Profile) -> Vec<(&'static str, String)> {
    let mut rows = vec![("inherits from", p.inherits.join(", then "))];
    let list = |items: Vec<String>| if items.is_empty() { "none".to_string() } else { items.join("\n") };
    let policies = list(p.policies.iter().map(policy).collect());
    let window = format!("{} hours", p.window_hours);
    if p.base.is_ca() {
        let cas: Vec<&Ca> = h.cas.iter().filter(|ca| ca.profile == p.id).collect();
        rows.push(("CAs", list(cas.iter().map(|ca| ca.id.clone()).collect())));
        let below = p.path_len.map_or("no limit".into(), |n| n.to_string());
        rows.push(("path length", below));
        rows.push(("policies", policies));
        rows.push(("window of plans", window));
        rows.push(("rule sets", list(cas.iter().map(|ca| format!("{}: {}", ca.id, sets(ca))).collect())));
        return rows;
    }
    let issuer = p.issuer.as_ref().and_then(|id| h.ca(id));
    rows.push(("issued by", p.issuer.clone().unwrap_or_default()));
    rows.push(("rule sets", issuer.map_or(String::new(), sets)));
    for (title, rule) in [
        ("names needed", Rule::Needed),
        ("names taken", Rule::Taken),
        ("names ignored", Rule::Ignored),
        ("names refused", Rule::Refused),
    ] {
        let of: Vec<&str> = p.names.iter().filter(|(_, r)| **r == rule).map(|(form, _)| form.name()).collect();
        match rule {
            Rule::Refused => rows.push((title, [of, vec!["all other forms"]].concat().join(", "))),
            _ if of.is_empty() => {}
            _ => rows.push((title, of.join(", "))),
        }
    }
    let asked = p.extensions.iter().map(|(oid, rule)| format!("{}: {}", extension(oid), rule.name()));
    let others = format!("all others: {}", p.other_extensions.name());
    rows.push(("requested extensions", list(asked.chain([others]).collect())));
    rows.push(("keys", p.keys.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")));
    rows.push(("key again", reuse(p.key_reuse).into()));
    rows.push(("vouched for by", vouched(p)));
    rows.push(("subject", subject(p)));
    rows.push(("valid for", p.validity.to_string()));
    rows.push(("window of plans", window));
    rows.push(("extended usage", list(p.eku.iter().map(|oid| eku(oid)).collect())));
    let added = |oid: &str, value: &[u8]| match oid {
        TLS_FEATURE => "TLS feature (must-staple)".to_string(),
        oid => format!("{} {}", extension(oid), hex(value)),
    };
    rows.push(("added extensions", list(p.added.iter().map(|e| added(&e.oid, &e.value)).collect())));
    rows.push(("policies", policies));
    if h.for_browsers(p) {
        rows.push(("browser trust", NO_SCTS.into()));
    }
    rows
}

fn sets(ca: &Ca) -> String {
    ca.rules.iter().map(|set| set.name()).collect::<Vec<_>>().join(", ")
}

fn reuse(rule: KeyReuse) -> &'static str {
    match rule {
        KeyReuse::Never => "never certified twice",
        KeyReuse::SameRequester => "for the same requester and names",
    }
}

fn vouched(p: &Profile) -> String {
    match p.validators {
        0 => "the desk's table".into(),
        n => format!("the desk's table, and {n} of the validators within {} days", p.validation_days),
    }
}

/// What becomes of the subject: never what the request says beside its names.
fn subject(p: &Profile) -> String {
    let id = p.names.get(&NameForm::Id).is_some_and(|rule| matches!(rule, Rule::Taken | Rule::Needed));
    match p.base {
        Base::Device | Base::TlsClient if id => "CN, the id".into(),
        Base::XmppClient if p.common_name => "CN, the first JID".into(),
        _ if p.common_name => "CN, the first domain name".into(),
        _ => "empty".into(),
    }
}
