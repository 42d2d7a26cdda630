//! The judgement of CAs and profiles, each by itself.

use crate::algorithm::KeyAlgorithm;
use crate::x509::fields::Policy;

use super::hierarchy::{Base, Ca, DnType, Environment, KeyReuse, Profile, Rdn};
use super::limits::limits;
use super::line::{id, plain_line, show};
use super::{Error, field, raw};

/// The kinds of key that an end-entity profile accepts when it names none.
const LEAF_KEYS: [KeyAlgorithm; 5] = [
    KeyAlgorithm::EcdsaP256,
    KeyAlgorithm::EcdsaP384,
    KeyAlgorithm::Rsa2048,
    KeyAlgorithm::Rsa3072,
    KeyAlgorithm::Rsa4096,
];

pub(super) fn ca(c: raw::Ca, at: &str, environment: Environment) -> Result<Ca, Error> {
    id(&c.id, at)?;
    let subject = subject(&c.subject, &format!("{at}.subject"), environment)?;
    let days = match (c.days, c.expires.as_deref()) {
        (Some(days), None) => Some(days),
        (None, Some("never")) => None,
        (None, Some(_)) => return Err(field(format!("{at}.expires"), "must be `never`, or be left out for `days`")),
        (Some(_), Some(_)) => return Err(field(format!("{at}.expires"), "stands beside `days`; one of the two")),
        (None, None) => {
            return Err(field(format!("{at}.days"), "is missing; a CA has `days`, or `expires = \"never\"`"));
        }
    };
    for (name, days, max) in [("days", days.unwrap_or(1), 36_525), ("crl-days", c.crl_days, 3_650)] {
        if days == 0 || days > max {
            return Err(field(format!("{at}.{name}"), format!("must be 1 to {max}")));
        }
    }
    urls(&c.crl_urls, &format!("{at}.crl-urls"))?;
    urls(&c.issuer_urls, &format!("{at}.issuer-urls"))?;
    Ok(Ca {
        id: c.id,
        key: c.key,
        issuer: c.issuer,
        profile: c.profile,
        subject,
        days,
        crl_days: c.crl_days,
        crl_urls: c.crl_urls,
        issuer_urls: c.issuer_urls,
        limits: limits(c.limits, &format!("{at}.limits"))?,
    })
}

type Tables = [std::collections::BTreeMap<String, String>];

fn subject(tables: &Tables, at: &str, environment: Environment) -> Result<Vec<Rdn>, Error> {
    let subject = rdns(tables, at)?;
    let first = subject.first().map(Vec::as_slice);
    let rehearsal = matches!(first, Some([(DnType::Organization, value)]) if value == "REHEARSAL");
    if subject.is_empty() {
        return Err(field(at, "a CA has a name (RFC 5280 section 4.1.2.6)"));
    }
    if rehearsal != (environment == Environment::Rehearsal) {
        let message = "begins with { O = \"REHEARSAL\" } in a rehearsal, and nowhere else";
        return Err(field(format!("{at}[0]"), message));
    }
    Ok(subject)
}

/// A name, each table one RelativeDistinguishedName.
pub(super) fn rdns(tables: &Tables, at: &str) -> Result<Vec<Rdn>, Error> {
    let mut name = Vec::new();
    for (i, table) in tables.iter().enumerate() {
        let at = format!("{at}[{i}]");
        if table.is_empty() {
            return Err(field(at, "must be an attribute, such as { CN = \"...\" }, or several that belong together"));
        }
        let mut rdn = Rdn::new();
        for (name, value) in table {
            let Some(kind) = DnType::ALL.into_iter().find(|t| t.short() == name) else {
                let known: Vec<_> = DnType::ALL.iter().map(|t| t.short()).collect();
                return Err(field(at, format!("`{}` is none of {}", show(name), known.join(", "))));
            };
            attribute(kind, value, &at)?;
            rdn.push((kind, value.clone()));
        }
        name.push(rdn);
    }
    Ok(name)
}

fn attribute(kind: DnType, value: &str, at: &str) -> Result<(), Error> {
    plain_line(at, value, kind.bound())?;
    if kind == DnType::Country && !(value.len() == 2 && value.chars().all(|c| c.is_ascii_uppercase())) {
        return Err(field(at, "must be two capital letters (ISO 3166)"));
    }
    let printable = |c: char| c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c);
    if kind == DnType::SerialNumber && !value.chars().all(printable) {
        return Err(field(at, "must be a PrintableString (RFC 5280 appendix A)"));
    }
    if kind == DnType::DomainComponent && !value.is_ascii() {
        return Err(field(at, "must be ASCII (RFC 4519 section 2.4)"));
    }
    Ok(())
}

fn urls(urls: &[String], at: &str) -> Result<(), Error> {
    for (i, url) in urls.iter().enumerate() {
        let lawful = url.len() <= 512 && url.chars().all(|c| ('!'..='~').contains(&c));
        if !lawful || !(url.starts_with("http://") || url.starts_with("ldap://")) {
            return Err(field(
                format!("{at}[{i}]"),
                "must be an http:// or ldap:// URL in ASCII (a CRL over https needs a CRL)",
            ));
        }
    }
    Ok(())
}

pub(super) fn profile(p: raw::Profile, at: &str) -> Result<Profile, Error> {
    id(&p.id, at)?;
    let base = Base::parse(&p.base).ok_or_else(|| {
        field(format!("{at}.base"), "must be `root`, `intermediate`, `xmpp-server`, `tls-server` or `device`")
    })?;
    let leaf = !base.is_ca();
    if leaf && p.path_len.is_some() {
        return Err(field(format!("{at}.path-len"), "belongs to CA profiles"));
    }
    let key_reuse = match p.key_reuse.as_deref() {
        None | Some("same-requester") => KeyReuse::SameRequester,
        Some("never") => KeyReuse::Never,
        Some(_) => return Err(field(format!("{at}.key-reuse"), "must be `same-requester` or `never`")),
    };
    if !leaf && (p.validators.is_some() || p.validation_days.is_some()) {
        return Err(field(at, "validators and validation-days belong to end-entity profiles"));
    }
    let validation_days = p.validation_days.unwrap_or(200);
    if validation_days == 0 || validation_days > 3_650 {
        return Err(field(format!("{at}.validation-days"), "must be 1 to 3650"));
    }
    if !leaf && (p.xmpp_addr.is_some() || p.days.is_some() || p.keys.is_some() || p.key_reuse.is_some()) {
        return Err(field(
            at,
            "xmpp-addr, days, keys and key-reuse belong to end-entity profiles; a CA has its own days and key",
        ));
    }
    names_fields(&p, base, at)?;
    if p.path_len.is_some_and(|length| length > 255) {
        return Err(field(format!("{at}.path-len"), "must be 0 to 255, or be left out"));
    }
    if p.keys.as_ref().is_some_and(Vec::is_empty) {
        return Err(field(format!("{at}.keys"), "is empty, so every request would be refused"));
    }
    // A device is visited rarely; a server can be given a new certificate by a machine.
    let days = p.days.unwrap_or(if base == Base::Device { 365 } else { 90 });
    if days == 0 || days > 3_650 {
        return Err(field(format!("{at}.days"), "must be 1 to 3650"));
    }
    let window_hours = p.window_hours.unwrap_or(7 * 24);
    if window_hours == 0 || window_hours > 31 * 24 {
        return Err(field(format!("{at}.window-hours"), "must be 1 to 744 (31 days)"));
    }
    Ok(Profile {
        id: p.id,
        base,
        issuer: p.issuer,
        days,
        window_hours,
        path_len: p.path_len,
        xmpp_addr: p.xmpp_addr.unwrap_or(false),
        wildcards: p.wildcards.unwrap_or(base.is_server()),
        ip: p.ip.unwrap_or(false),
        common_name: p.common_name.unwrap_or(true),
        policies: policies(p.policies, &format!("{at}.policies"))?,
        keys: leaf_keys(p.keys, at)?,
        key_reuse,
        validators: p.validators.unwrap_or(0),
        validation_days,
    })
}

fn leaf_keys(keys: Option<Vec<KeyAlgorithm>>, at: &str) -> Result<Vec<KeyAlgorithm>, Error> {
    let keys = keys.unwrap_or(LEAF_KEYS.to_vec());
    match keys.iter().find(|kind| kind.shown() != **kind) {
        None => Ok(keys),
        Some(padded) => {
            let message =
                format!("has `{padded}`, but a request's key does not say how it signs; `{}` takes it", padded.shown());
            Err(field(format!("{at}.keys"), message))
        }
    }
}

/// The fields about names, each with the bases that know such names.
fn names_fields(p: &raw::Profile, base: Base, at: &str) -> Result<(), Error> {
    let servers = "belongs to profiles based on `xmpp-server` or `tls-server`";
    for (name, stands, fits, message) in [
        ("xmpp-addr", p.xmpp_addr, base == Base::XmppServer, "belongs to profiles based on `xmpp-server`"),
        ("ip", p.ip, base == Base::TlsServer, "belongs to profiles based on `tls-server`"),
        ("wildcards", p.wildcards, base.is_server(), servers),
        ("common-name", p.common_name, base.is_server(), servers),
    ] {
        if stands.is_some() && !fits {
            return Err(field(format!("{at}.{name}"), message));
        }
    }
    Ok(())
}

fn policies(raw: Vec<raw::Policy>, at: &str) -> Result<Vec<Policy>, Error> {
    let mut policies: Vec<Policy> = Vec::new();
    for (i, policy) in raw.into_iter().enumerate() {
        let at = format!("{at}[{i}]");
        if !object_identifier(&policy.oid) {
            return Err(field(format!("{at}.oid"), "is no object identifier such as 1.3.6.1.4.1.99999.1"));
        }
        if policies.iter().any(|other| other.oid == policy.oid) {
            return Err(field(format!("{at}.oid"), "stands twice (RFC 5280 section 4.2.1.4)"));
        }
        if let Some(cps) = &policy.cps
            && (cps.is_empty() || cps.len() > 200 || !cps.chars().all(|c| ('!'..='~').contains(&c)))
        {
            return Err(field(format!("{at}.cps"), "must be a URL in ASCII of at most 200 characters"));
        }
        policies.push(Policy { oid: policy.oid, cps: policy.cps });
    }
    Ok(policies)
}

/// Dotted, in its one way of writing: what is read back from a certificate is compared as text.
pub(super) fn object_identifier(text: &str) -> bool {
    let arcs: Option<Vec<u32>> = text.split('.').map(|arc| arc.parse().ok()).collect();
    let Some(arcs) = arcs else { return false };
    let written = arcs.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    let in_tree = matches!(arcs.as_slice(), [top @ 0..=2, second, ..] if *top == 2 || *second < 40);
    in_tree && arcs.len() <= 20 && written == text
}
