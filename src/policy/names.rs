//! Which names a certificate gets: those asked for, each lawful, each validated.
//!
//! The rule. Asked for are the dNSNames and the names inside the SRVNames of the request's subjectAltName, in their order and
//! lower-cased; without a subjectAltName, the one commonName. Each must be equal to a validated name: `*.example.org`
//! is validated by `*.example.org` alone, and validates nothing but itself. Every name becomes a dNSName; every name that is no
//! wildcard also becomes the SRVNames `_xmpp-server` and `_xmpp-client`, whether the request asked for them or not
//! (RFC 6120 §13.7.1.2.1). A requested xmppAddr is left out unjudged while the profile does not turn it on; then it must be an
//! ASCII domain equal to one of the names. Any other form of name refuses the request: a certificate without a name that
//! somebody relies on helps nobody.

use std::collections::BTreeSet;

use super::check::{Check, Refused};
use crate::text::escape;
use crate::x509::Request;
use crate::x509::fields::GeneralName;

/// More names than this in one certificate make handshakes slow, and are a sign of a mistake.
pub const MAX_NAMES: usize = 100;
const SERVICES: [&str; 2] = ["_xmpp-server.", "_xmpp-client."];

/// The names of one certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// Lower-case, in the order asked for, no repeats.
    pub domains: Vec<String>,
    pub xmpp_addrs: Vec<String>,
}

impl Names {
    /// The subjectAltName: every dNSName, then the SRVNames, then xmppAddr.
    pub fn san(&self) -> Vec<GeneralName> {
        let dns = self.domains.iter().map(|name| GeneralName::Dns(name.clone()));
        let plain = self.domains.iter().filter(|name| !name.starts_with("*."));
        let srv = plain.flat_map(|name| SERVICES.map(|service| GeneralName::Srv(format!("{service}{name}"))));
        let addrs = self.xmpp_addrs.iter().map(|name| GeneralName::XmppAddr(name.clone()));
        dns.chain(srv).chain(addrs).collect()
    }
}

pub(super) fn judge(request: &Request, validated: &[String], with_xmpp_addr: bool) -> Result<Names, Refused> {
    let mut names = Names { domains: Vec::new(), xmpp_addrs: Vec::new() };
    match &request.san {
        Some(san) => {
            for name in san {
                take(&mut names, name, with_xmpp_addr)?;
            }
        }
        None => match request.common_names.as_slice() {
            [one] => add(&mut names.domains, domain(one.raw())?)?,
            [] => return Err(Refused::new(Check::NamesRequested, "the request asks for no name")),
            several => {
                let wrong = format!("the request has no subjectAltName and {} common names", several.len());
                return Err(Refused::new(Check::NamesRequested, wrong));
            }
        },
    }
    if names.domains.is_empty() {
        return Err(Refused::new(Check::NamesRequested, "the request's subjectAltName holds no domain name"));
    }
    let validated: BTreeSet<String> = validated.iter().map(|name| name.to_ascii_lowercase()).collect();
    let missing: Vec<String> =
        names.domains.iter().filter(|name| !validated.contains(*name)).map(|n| escape(n)).collect();
    if !missing.is_empty() {
        return Err(Refused::new(
            Check::NamesValidated,
            format!("not validated for this requester: {}", few(&missing)),
        ));
    }
    if let Some(addr) = names.xmpp_addrs.iter().find(|addr| !names.domains.contains(addr)) {
        let wrong = format!("the xmppAddr `{}` is none of the domain names asked for", escape(addr));
        return Err(Refused::new(Check::NamesValidated, wrong));
    }
    Ok(names)
}

fn take(names: &mut Names, name: &GeneralName, with_xmpp_addr: bool) -> Result<(), Refused> {
    let form = |what: &str| Refused::new(Check::NameForm, what);
    match name {
        GeneralName::Dns(text) => add(&mut names.domains, domain(text)?),
        GeneralName::Srv(text) => {
            let lower = text.to_ascii_lowercase();
            let Some(name) = SERVICES.iter().find_map(|service| lower.strip_prefix(service)) else {
                return Err(form(&format!(
                    "the SRVName `{}` is for neither _xmpp-server nor _xmpp-client",
                    escape(text)
                )));
            };
            if name.starts_with('*') {
                return Err(form(&format!("the SRVName `{}` has a wildcard", escape(text))));
            }
            add(&mut names.domains, domain(name)?)
        }
        GeneralName::XmppAddr(text) if with_xmpp_addr => {
            if text.contains(['@', '/', '*']) {
                return Err(form(&format!("the xmppAddr `{}` is no bare domain", escape(text))));
            }
            add(&mut names.xmpp_addrs, domain(text)?)
        }
        GeneralName::XmppAddr(_) => Ok(()),
        GeneralName::Ip(_) => Err(form("the request asks for an IP address, which this profile never certifies")),
        GeneralName::Email(text) => Err(form(&format!("the request asks for the mail address `{}`", escape(text)))),
        GeneralName::Uri(text) => Err(form(&format!("the request asks for the URI `{}`", escape(text)))),
        GeneralName::Other(_) => Err(form("the request asks for a form of name that this profile does not know")),
    }
}

fn add(names: &mut Vec<String>, name: String) -> Result<(), Refused> {
    if !names.contains(&name) {
        if names.len() == MAX_NAMES {
            return Err(Refused::new(
                Check::NamesRequested,
                format!("the request asks for more than {MAX_NAMES} names"),
            ));
        }
        names.push(name);
    }
    Ok(())
}

/// A domain name in A-labels, lower-cased: labels of letters, digits and hyphens (RFC 1034 §3.5), `xn--` the only use of
/// hyphens in places three and four (RFC 5890 §2.3.1), the whole first label perhaps `*`, the last label not all digits
/// (it would be taken for an IP address, RFC 1123 §2.1).
pub(super) fn domain(text: &str) -> Result<String, Refused> {
    let refuse = |what: &str| Err(Refused::new(Check::NameForm, format!("the name `{}` {what}", escape(text))));
    if !text.is_ascii() {
        return refuse("is not ASCII");
    }
    if text.is_empty() || text.len() > 253 {
        return refuse("does not have 1 to 253 characters");
    }
    let lower = text.to_ascii_lowercase();
    let labels: Vec<&str> = lower.split('.').collect();
    let (wildcard, rest) = match labels.as_slice() {
        ["*", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    for label in rest {
        if label.is_empty() || label.len() > 63 {
            return refuse("has a label that does not have 1 to 63 characters");
        }
        if label.contains('*') {
            return refuse("has a wildcard that is not the whole first label");
        }
        if !label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
            return refuse("has characters other than letters, digits and hyphens");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return refuse("has a label that begins or ends with a hyphen");
        }
        if label.get(2..4) == Some("--") && (!label.starts_with("xn--") || label.len() == 4) {
            return refuse("has a label with hyphens in places three and four that is no A-label");
        }
    }
    if wildcard && rest.len() < 2 {
        return refuse("has a wildcard right before a top-level domain");
    }
    if rest.last().is_none_or(|label| label.bytes().all(|c| c.is_ascii_digit())) {
        return refuse("is an IP address, or could be taken for one");
    }
    Ok(lower)
}

/// The first few of a list.
fn few(names: &[String]) -> String {
    match names.get(..5) {
        Some(shown) if names.len() > 5 => format!("{} and {} more", shown.join(", "), names.len() - 5),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names_are_lawful_and_lower_case() {
        assert_eq!(domain("Chat.Example.ORG").unwrap(), "chat.example.org");
        assert_eq!(domain("*.xn--mller-kva.example").unwrap(), "*.xn--mller-kva.example");
        assert_eq!(domain("localhost").unwrap(), "localhost");
        for bad in [
            "m\u{fc}ller.example",
            "",
            "a..b",
            "example.org.",
            "-a.example",
            "a-.example",
            "a_b.example",
            "*",
            "*.org",
            "a.*.example",
            "f*.example.org",
            "192.0.2.1",
            "1.2.3.4.5",
            "ab--cd.example",
            "xn--.example",
            "a b.example",
            "2001:db8::1",
        ] {
            assert_eq!(domain(bad).unwrap_err().check, Check::NameForm, "{bad}");
        }
        assert!(domain(&format!("{}.example", "a".repeat(64))).is_err());
        assert!(domain(&format!("{}.example", "a.".repeat(125))).is_err());
    }
}
