//! The names of devices: one id, and what else was validated with it.
//!
//! The rule. A device is known by one id: 1 to 64 of A-Z, a-z, 0-9, `.`, `_`, `:`, `-`, beginning with a letter or digit. The
//! request gives it as commonName or as serialNumber (IEEE 802.1AR §8.6 puts it there), and it must be equal, octet for octet, to
//! a validated name; a request whose two attributes are two validated ids is refused, one whose other attribute is no validated name is
//! not (a model's name, say). Nothing else of the requested subject counts.
//!
//! The certificate's subject is the id as commonName, the attribute that brokers and servers read. It is not repeated
//! as serialNumber: that is the manufacturer's number, which a CA of the owner does not vouch for, and a PrintableString, which
//! has no `_` (RFC 5280 appendix A).
//!
//! Of the requested subjectAltName dNSNames (no wildcards) and URNs are certified, each equal to a validated name; without any the
//! certificate has no subjectAltName. Any other form of name refuses the request.

use super::check::{Check, Refused};
use super::names::{self, MAX_COMMON_NAME, Names, add, domain, never, not_validated};
use crate::text::{Untrusted, escape};
use crate::x509::Request;
use crate::x509::fields::GeneralName;

pub(super) fn judge(request: &Request, asked: &[&GeneralName], validated: &[String]) -> Result<Names, Refused> {
    let id = id(request, validated)?;
    let mut san: Vec<GeneralName> = Vec::new();
    for name in asked {
        let lawful = match name {
            GeneralName::Dns(text) => GeneralName::Dns(host(text)?),
            GeneralName::Uri(text) => GeneralName::Uri(urn(text)?),
            other => return Err(never(other)),
        };
        add(&mut san, lawful)?;
    }
    let known = |name: &&GeneralName| match name {
        GeneralName::Dns(text) => validated.iter().any(|v| v.eq_ignore_ascii_case(text)),
        // A URN's namespace may give case a meaning (RFC 8141 §3.1).
        GeneralName::Uri(text) => validated.contains(text),
        _ => false,
    };
    let missing: Vec<String> = san.iter().filter(|name| !known(name)).map(crate::x509::general_name_text).collect();
    match missing.is_empty() {
        true => Ok(Names { common_name: Some(id), san }),
        false => Err(not_validated(&missing)),
    }
}

/// The one validated name that the subject gives.
pub(super) fn id(request: &Request, validated: &[String]) -> Result<String, Refused> {
    let mut given: Vec<&str> = request.common_names.iter().chain(&request.serial_numbers).map(Untrusted::raw).collect();
    given.dedup();
    if given.is_empty() {
        let wrong = "the request's subject has neither a commonName nor a serialNumber";
        return Err(Refused::new(Check::NamesRequested, wrong));
    }
    let mut ids = given.iter().filter(|name| validated.iter().any(|v| v == *name));
    let Some(id) = ids.next() else {
        let shown: Vec<String> = given.iter().map(|name| escape(name)).collect();
        return Err(not_validated(&shown));
    };
    if let Some(other) = ids.find(|other| *other != id) {
        let wrong = format!("the request's subject gives two ids: `{}` and `{}`", escape(id), escape(other));
        return Err(Refused::new(Check::NamesRequested, wrong));
    }
    let first = id.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let lawful = |c: u8| c.is_ascii_alphanumeric() || b"._:-".contains(&c);
    if !first || id.len() > MAX_COMMON_NAME || !id.bytes().all(lawful) {
        let wrong = format!(
            "the id `{}` is not 1 to 64 of A-Z, a-z, 0-9, `.`, `_`, `:`, `-`, beginning with a letter or digit",
            escape(id)
        );
        return Err(Refused::new(Check::NameForm, wrong));
    }
    Ok((*id).to_owned())
}

/// A domain name of one device or client.
pub(super) fn host(text: &str) -> Result<String, Refused> {
    match domain(text)? {
        name if name.starts_with('*') => {
            Err(Refused::new(Check::NameForm, format!("the name `{name}` is a wildcard, and its holder is one")))
        }
        name => Ok(name),
    }
}

/// A URN (RFC 8141 §2) without the components that belong to its use: `urn:`, a namespace of 2 to 32 letters, digits and
/// hyphens, and a string of pchar and `/` that does not begin with `/`.
pub(super) fn urn(text: &str) -> Result<String, Refused> {
    let parts = text.strip_prefix("urn:").and_then(|rest| rest.split_once(':'));
    let lawful = parts.is_some_and(|(namespace, string)| {
        (2..=32).contains(&namespace.len())
            && namespace.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !namespace.starts_with('-')
            && !namespace.ends_with('-')
            && !string.starts_with('/')
            && pchars(string)
    });
    if !lawful || text.len() > names::MAX_URN {
        return Err(Refused::new(Check::NameForm, format!("the URI `{}` is no URN (RFC 8141)", escape(text))));
    }
    Ok(text.to_owned())
}

/// One or more of RFC 3986's unreserved, sub-delims, `:`, `@`, `/` and `%` with two hexadecimal digits.
pub(super) fn pchars(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'%' => match after.split_first_chunk::<2>() {
                Some((digits, after)) if digits.iter().all(u8::is_ascii_hexdigit) => after,
                _ => return false,
            },
            c if c.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(c) => after,
            _ => return false,
        };
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urns_are_those_of_rfc_8141() {
        for good in ["urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "urn:dev:mac:0024befffe804ff1", "urn:x-a:b/c%2Fd"]
        {
            assert_eq!(urn(good).unwrap(), good);
        }
        let long = format!("urn:x-a:{}", "b".repeat(250));
        for bad in [
            "urn:",
            "urn:uuid",
            "urn:uuid:",
            "URN:uuid:a",
            "urn:a:b",
            "urn:-a:b",
            "urn:a-:b",
            "urn:ab:/c",
            "urn:ab:c?+d",
            "urn:ab:c#d",
            "urn:ab:c%2",
            "urn:ab:c%zz",
            "urn:ab:c d",
            "urn:ab:\u{e9}",
            "http://a.example/",
            &long,
        ] {
            assert_eq!(urn(bad).unwrap_err().check, Check::NameForm, "{bad}");
        }
    }
}
