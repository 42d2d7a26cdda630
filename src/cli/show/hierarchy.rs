//! A hierarchy: its CAs, profiles and persons.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::{Answer, Failure};
use crate::config::{Environment, Hierarchy};
use crate::report::sheet::Sheet;
use crate::report::terminal::Table;
use crate::x509::fields::NO_SCTS;

pub(super) fn hierarchy(text: &str) -> Result<Answer, Failure> {
    let h = Hierarchy::parse(text)?;
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
    let browsers = if named.is_empty() { String::new() } else { format!("{}: {NO_SCTS}", named.join(", ")) };
    let mut people = Table::new(&["person", "roles", "keys"]);
    for p in &h.persons {
        let roles: Vec<&str> = p.roles.iter().map(|r| r.name()).collect();
        people.row([p.id.clone(), roles.join(", "), p.keys.len().to_string()]);
    }
    let sheet = Sheet::new(format!("Hierarchy {} ({})", h.name, h.environment))
        .rehearsal(h.environment != Environment::Real)
        .facts(&[("origin", h.origin.clone())])
        .digest("SHA-256", &h.digest)
        .table(table)
        .table(profiles)
        .text(browsers)
        .table(people);
    Ok(Answer::of(
        sheet,
        json!({
            "name": h.name, "environment": h.environment, "origin": h.origin, "digest": h.digest.hex(),
            "rules": h.cas.iter().map(|ca| (ca.id.clone(), ca.rules.iter().map(|set| set.name()).collect())).collect::<BTreeMap<_, Vec<_>>>(),
            "no-scts": named,
        }),
    ))
}
