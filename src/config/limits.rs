//! What a CA is declared to leave to those below it, and its purposes.

use crate::x509::fields::Subtree;

use super::authority::rdns;
use super::line::{ascii_line, show};
use super::name::Rdn;
use super::profile::object_identifier;
use super::{Error, field, raw};

/// What a CA's certificate says of what may stand below it; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// extKeyUsage: dotted object identifiers; empty: every purpose.
    pub eku: Vec<String>,
    /// permittedSubtrees and excludedSubtrees of nameConstraints.
    pub permitted: Vec<NameBase>,
    pub excluded: Vec<NameBase>,
    /// policyConstraints and inhibitAnyPolicy, in certificates to be skipped.
    pub require_explicit_policy: Option<u32>,
    pub inhibit_policy_mapping: Option<u32>,
    pub inhibit_any_policy: Option<u32>,
}

/// The base of a subtree, as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameBase {
    /// dNSName, rfc822Name or iPAddress.
    Plain(Subtree),
    /// directoryName.
    Directory(Vec<Rdn>),
}

/// Purposes by their names (RFC 5280 §4.2.1.12); any other by its object identifier.
const PURPOSES: [(&str, &str); 6] = [
    ("server-auth", "1.3.6.1.5.5.7.3.1"),
    ("client-auth", "1.3.6.1.5.5.7.3.2"),
    ("code-signing", "1.3.6.1.5.5.7.3.3"),
    ("email-protection", "1.3.6.1.5.5.7.3.4"),
    ("time-stamping", "1.3.6.1.5.5.7.3.8"),
    ("ocsp-signing", "1.3.6.1.5.5.7.3.9"),
];
/// anyExtendedKeyUsage, which limits nothing and misleads who reads the certificate.
const ANY_PURPOSE: &str = "2.5.29.37.0";
/// More subtrees than this make certificates that clients choke on.
const MAX_SUBTREES: usize = 64;

pub(super) fn limits(raw: raw::Limits, at: &str) -> Result<Limits, Error> {
    let names = raw.name_constraints.unwrap_or_default();
    let side = |list: Vec<raw::NameBase>, name: &str| {
        let at = format!("{at}.name-constraints.{name}");
        if list.len() > MAX_SUBTREES {
            return Err(field(at, format!("has more than {MAX_SUBTREES} names")));
        }
        let mut found: Vec<NameBase> = Vec::new();
        for (i, base) in list.into_iter().enumerate() {
            let at = format!("{at}[{i}]");
            let base = name_base(base, &at)?;
            if found.contains(&base) {
                return Err(field(at, "stands twice"));
            }
            found.push(base);
        }
        Ok(found)
    };
    for (name, count) in [
        ("require-explicit-policy", raw.require_explicit_policy),
        ("inhibit-policy-mapping", raw.inhibit_policy_mapping),
        ("inhibit-any-policy", raw.inhibit_any_policy),
    ] {
        if count.is_some_and(|count| count > 255) {
            return Err(field(format!("{at}.{name}"), "must be 0 to 255, or be left out"));
        }
    }
    Ok(Limits {
        eku: purposes(raw.eku, &format!("{at}.eku"))?,
        permitted: side(names.permitted, "permitted")?,
        excluded: side(names.excluded, "excluded")?,
        require_explicit_policy: raw.require_explicit_policy,
        inhibit_policy_mapping: raw.inhibit_policy_mapping,
        inhibit_any_policy: raw.inhibit_any_policy,
    })
}

/// extKeyUsage, dotted.
pub(super) fn purposes(names: Option<Vec<String>>, at: &str) -> Result<Vec<String>, Error> {
    let Some(names) = names else { return Ok(Vec::new()) };
    if names.is_empty() {
        return Err(field(at, "is empty; left out, it means every purpose"));
    }
    let mut found: Vec<String> = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let at = format!("{at}[{i}]");
        let known = PURPOSES.into_iter().find(|(short, _)| short == name).map(|(_, oid)| oid);
        let oid = known.or(Some(name.as_str()).filter(|oid| object_identifier(oid))).ok_or_else(|| {
            let known: Vec<&str> = PURPOSES.iter().map(|(short, _)| *short).collect();
            field(&at, format!("`{}` is none of {}, and no object identifier", show(name), known.join(", ")))
        })?;
        if oid == ANY_PURPOSE {
            return Err(field(at, "means every purpose: leave `eku` out"));
        }
        if found.iter().any(|other| other == oid) {
            return Err(field(at, "stands twice"));
        }
        found.push(oid.into());
    }
    Ok(found)
}

fn name_base(base: raw::NameBase, at: &str) -> Result<NameBase, Error> {
    let raw::NameBase { dns, ip, email, directory } = base;
    Ok(match (dns, ip, email, directory) {
        (Some(name), None, None, None) => {
            host(&name, true).ok_or_else(|| {
                field(
                    format!("{at}.dns"),
                    "must be a domain name in A-labels without a dot in front, or \"\" for every name",
                )
            })?;
            NameBase::Plain(Subtree::Dns(name.to_ascii_lowercase()))
        }
        (None, Some(block), None, None) => NameBase::Plain(Subtree::ip(&block).ok_or_else(|| {
            field(
                format!("{at}.ip"),
                "must be a network such as 10.0.0.0/8 or 2001:db8::/32, with no bit set behind its prefix",
            )
        })?),
        (None, None, Some(mail), None) => {
            let at = format!("{at}.email");
            ascii_line(&at, &mail, 254)?;
            let domain = mail.rsplit_once('@').map_or(mail.as_str(), |(_, domain)| domain);
            let local = mail.len() - domain.len();
            let domain = if local == 0 { domain.strip_prefix('.').unwrap_or(domain) } else { domain };
            host(domain, false)
                .filter(|()| local != 1)
                .ok_or_else(|| field(at, "must be a mailbox, a host, or `.` and a domain for all hosts below it"))?;
            NameBase::Plain(Subtree::Email(mail))
        }
        (None, None, None, Some(name)) => NameBase::Directory(rdns(&name, &format!("{at}.directory"))?),
        _ => return Err(field(at, "must have one of `dns`, `ip`, `email` and `directory`")),
    })
}

/// A host or domain name in ASCII (RFC 1034 §3.5).
fn host(name: &str, or_empty: bool) -> Option<()> {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let lawful = (name.is_empty() && or_empty) || (name.len() <= 253 && name.split('.').all(label));
    lawful.then_some(())
}
