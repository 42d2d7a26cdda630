//! Which names a certificate gets: those asked for, each lawful, each validated.
//!
//! The rule for servers. Asked for are the dNSNames of the request's subjectAltName, in their order and lower-cased; without a
//! subjectAltName, the one commonName. Each must be equal to a validated name: `*.example.org` is validated by
//! `*.example.org` alone, and validates nothing but itself; a profile may refuse wildcards altogether. The first domain name that
//! is short enough to be one is the subject's commonName, unless the profile wants the subject empty.
//!
//! `xmpp-server`: the names inside the SRVNames are asked for as well. Every name becomes a dNSName; every name that is no
//! wildcard also becomes the SRVNames `_xmpp-server` and `_xmpp-client`, whether the request asked for them or not
//! (RFC 6120 §13.7.1.2.1). A requested xmppAddr is left out unjudged while the profile does not turn it on; then it must be an
//! ASCII domain equal to one of the names.
//!
//! `tls-server`: dNSNames, and IP addresses where the profile turns them on; these are never a commonName.
//!
//! Any other form of name refuses the request: a certificate without a name that somebody relies on helps nobody. The rule for
//! devices stands in [`super::device`].

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::check::{Check, Refused};
use super::device;
use crate::cbor::Bytes;
use crate::config::{Base, Profile};
use crate::text::escape;
use crate::x509::fields::GeneralName;
use crate::x509::{Request, general_name_text, ip_address};

/// More names than this in one certificate make handshakes slow, and are a sign of a mistake.
pub const MAX_NAMES: usize = 100;
/// Octets of a subjectAltName, about. The rest of the 12 KiB that a TBSCertificate may have is for keys, URLs and
/// the signature: one that is too long would stop its batch when it is signed.
const MAX_SAN: usize = 8 * 1024;
/// The upper bound of commonName (RFC 5280 appendix A, ub-common-name).
pub(super) const MAX_COMMON_NAME: usize = 64;
/// The most that the desk's table holds of one name.
pub(super) const MAX_URN: usize = 253;
const SERVICES: [&str; 2] = ["_xmpp-server.", "_xmpp-client."];

/// The names of one certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// The only attribute of the subject; `None`: an empty subject.
    pub common_name: Option<String>,
    pub san: Vec<GeneralName>,
}

pub(super) fn judge(request: &Request, validated: &[String], profile: &Profile) -> Result<Names, Refused> {
    let names = match profile.base {
        Base::Device => device::judge(request, validated)?,
        _ => server(request, validated, profile)?,
    };
    let octets: usize = names.san.iter().map(octets).sum();
    if octets > MAX_SAN {
        let wrong = format!("its names would need {octets} octets in the certificate, more than {MAX_SAN}");
        return Err(Refused::new(Check::NamesRequested, wrong));
    }
    Ok(names)
}

/// What a server's request asks for: lower-case, in the order asked for, no repeats.
#[derive(Default)]
struct Asked {
    domains: Vec<String>,
    addresses: Vec<IpAddr>,
    xmpp_addrs: Vec<String>,
}

fn server(request: &Request, validated: &[String], profile: &Profile) -> Result<Names, Refused> {
    let mut asked = Asked::default();
    match &request.san {
        Some(san) => san.iter().try_for_each(|name| asked.take(name, profile))?,
        None => match request.common_names.as_slice() {
            [one] => asked.domain(one.raw(), profile)?,
            [] => return Err(Refused::new(Check::NamesRequested, "the request asks for no name")),
            several => {
                let wrong = format!("the request has no subjectAltName and {} common names", several.len());
                return Err(Refused::new(Check::NamesRequested, wrong));
            }
        },
    }
    if asked.domains.is_empty() && asked.addresses.is_empty() {
        let form = if profile.ip { "domain name and no IP address" } else { "domain name" };
        return Err(Refused::new(Check::NamesRequested, format!("the request's subjectAltName holds no {form}")));
    }
    asked.validated(validated)?;
    Ok(asked.certified(profile))
}

impl Asked {
    fn take(&mut self, name: &GeneralName, profile: &Profile) -> Result<(), Refused> {
        let form = |what: String| Err(Refused::new(Check::NameForm, what));
        let xmpp = profile.base == Base::XmppServer;
        match name {
            GeneralName::Dns(text) => self.domain(text, profile),
            GeneralName::Srv(text) if xmpp => {
                let lower = text.to_ascii_lowercase();
                match SERVICES.iter().find_map(|service| lower.strip_prefix(service)) {
                    None => {
                        form(format!("the SRVName `{}` is for neither _xmpp-server nor _xmpp-client", escape(text)))
                    }
                    Some(name) if name.starts_with('*') => {
                        form(format!("the SRVName `{}` has a wildcard", escape(text)))
                    }
                    Some(name) => self.domain(name, profile),
                }
            }
            GeneralName::XmppAddr(text) if profile.xmpp_addr => {
                if text.contains(['@', '/', '*']) {
                    return form(format!("the xmppAddr `{}` is no bare domain", escape(text)));
                }
                add(&mut self.xmpp_addrs, domain(text)?)
            }
            GeneralName::XmppAddr(_) if xmpp => Ok(()),
            GeneralName::Ip(octets) if profile.ip => add(&mut self.addresses, address(octets)?),
            other => Err(never(other)),
        }
    }

    fn domain(&mut self, text: &str, profile: &Profile) -> Result<(), Refused> {
        let name = domain(text)?;
        if name.starts_with("*.") && !profile.wildcards {
            let wrong = format!("the name `{name}` is a wildcard, which this profile never certifies");
            return Err(Refused::new(Check::NameForm, wrong));
        }
        add(&mut self.domains, name)
    }

    fn validated(&self, validated: &[String]) -> Result<(), Refused> {
        let names: BTreeSet<String> = validated.iter().map(|name| name.to_ascii_lowercase()).collect();
        // An address is compared by its value: IPv6 has many spellings (RFC 5952 §2).
        let addresses: BTreeSet<IpAddr> = validated.iter().filter_map(|name| name.parse().ok()).collect();
        let missing = self.domains.iter().filter(|name| !names.contains(*name)).map(|name| escape(name));
        let foreign = self.addresses.iter().filter(|address| !addresses.contains(address)).map(IpAddr::to_string);
        let missing: Vec<String> = missing.chain(foreign).collect();
        if !missing.is_empty() {
            return Err(not_validated(&missing));
        }
        match self.xmpp_addrs.iter().find(|addr| !self.domains.contains(addr)) {
            Some(addr) => {
                let wrong = format!("the xmppAddr `{}` is none of the domain names asked for", escape(addr));
                Err(Refused::new(Check::NamesValidated, wrong))
            }
            None => Ok(()),
        }
    }

    /// Every dNSName, then the SRVNames, then xmppAddr, then addresses.
    fn certified(self, profile: &Profile) -> Names {
        let services: &[&str] = if profile.base == Base::XmppServer { &SERVICES } else { &[] };
        let dns = self.domains.iter().cloned().map(GeneralName::Dns);
        let plain = self.domains.iter().filter(|name| !name.starts_with("*."));
        let srv = plain.flat_map(|name| services.iter().map(move |s| GeneralName::Srv(format!("{s}{name}"))));
        let addrs = self.xmpp_addrs.iter().cloned().map(GeneralName::XmppAddr);
        let addresses = self.addresses.iter().map(|address| match address {
            IpAddr::V4(v4) => GeneralName::Ip(Bytes::from(v4.octets().to_vec())),
            IpAddr::V6(v6) => GeneralName::Ip(Bytes::from(v6.octets().to_vec())),
        });
        let san = dns.chain(srv).chain(addrs).chain(addresses).collect();
        let first = self.domains.first().filter(|name| profile.common_name && name.len() <= MAX_COMMON_NAME);
        Names { common_name: first.cloned(), san }
    }
}

/// The refusal of a form of name that the profile does not know.
pub(super) fn never(name: &GeneralName) -> Refused {
    let wrong = match name {
        GeneralName::Other(_) => "the request asks for a form of name that this profile does not know".into(),
        name => format!("the request asks for `{}`, which this profile never certifies", general_name_text(name)),
    };
    Refused::new(Check::NameForm, wrong)
}

pub(super) fn not_validated(missing: &[String]) -> Refused {
    Refused::new(Check::NamesValidated, format!("not validated for this requester: {}", few(missing)))
}

/// Takes a name in, once.
pub(super) fn add<T: PartialEq>(names: &mut Vec<T>, name: T) -> Result<(), Refused> {
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

/// What a name takes up in a certificate: its text and at most 24 octets of tags, lengths and object identifiers.
fn octets(name: &GeneralName) -> usize {
    match name {
        GeneralName::Dns(text) | GeneralName::Uri(text) | GeneralName::Email(text) => text.len() + 4,
        GeneralName::Srv(text) | GeneralName::XmppAddr(text) => text.len() + 24,
        GeneralName::Ip(octets) | GeneralName::Other(octets) => octets.len() + 4,
    }
}

/// An address that names one machine wherever it is read: no "unspecified" one, none of the machine's own (loopback) or of its
/// link, no group. An IPv4 address inside an IPv6 one would be a second spelling of the same.
fn address(octets: &[u8]) -> Result<IpAddr, Refused> {
    let refuse = |what: String| Err(Refused::new(Check::NameForm, what));
    let Some(address) = ip_address(octets) else {
        return refuse(format!("the request asks for an IP address of {} octets", octets.len()));
    };
    let local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    if local || address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return refuse(format!("the IP address `{address}` names no single machine"));
    }
    Ok(address)
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
