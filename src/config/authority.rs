//! The judgement of CAs, each by itself.

use crate::digest::Digest;

use super::hierarchy::{Ca, EXTERNAL, Environment, IssuerCertificate};
use super::limits::limits;
use super::line::{id, plain_line, show};
use super::name::{DnType, Rdn};
use super::{Error, field, raw, rules};

pub(super) fn ca(c: raw::Ca, at: &str, environment: Environment) -> Result<Ca, Error> {
    id(&c.id, at)?;
    if c.id == EXTERNAL {
        return Err(field(format!("{at}.id"), "is the word for an issuer outside of the hierarchy"));
    }
    let issuer_certificate = issuer_certificate(&c, at)?;
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
        issuer_certificate,
        profile: c.profile,
        subject,
        days,
        crl_days: c.crl_days,
        crl_urls: c.crl_urls,
        issuer_urls: c.issuer_urls,
        rules: rules::sets(&c.rules, &format!("{at}.rules"))?,
        limits: limits(c.limits, &format!("{at}.limits"))?,
    })
}

fn issuer_certificate(c: &raw::Ca, at: &str) -> Result<Option<IssuerCertificate>, Error> {
    let (path, sha256) = match (&c.issuer_certificate, &c.issuer_sha256) {
        (None, None) => return Ok(None),
        (Some(path), Some(sha256)) => (path, sha256),
        (Some(_), None) => return Err(field(format!("{at}.issuer-sha256"), "is missing beside `issuer-certificate`")),
        (None, Some(_)) => return Err(field(format!("{at}.issuer-certificate"), "is missing beside `issuer-sha256`")),
    };
    if c.issuer != EXTERNAL {
        return Err(field(format!("{at}.issuer-certificate"), "belongs to `issuer = \"external\"`"));
    }
    plain_line(&format!("{at}.issuer-certificate"), path, 512)?;
    let digits: String = sha256.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    let sha256 = Digest::from_hex(&digits).ok_or_else(|| {
        field(
            format!("{at}.issuer-sha256"),
            "must be 64 hex digits, as `openssl x509 -fingerprint -sha256` prints them",
        )
    })?;
    Ok(Some(IssuerCertificate { path: path.into(), sha256 }))
}

type Tables = [std::collections::BTreeMap<String, String>];

/// The name of a CA or a signer, which says whether it is a rehearsal's.
pub(super) fn subject(tables: &Tables, at: &str, environment: Environment) -> Result<Vec<Rdn>, Error> {
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
