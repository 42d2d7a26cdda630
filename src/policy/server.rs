//! The names of servers.
//!
//! Asked for are the dNSNames of the request's subjectAltName, in their order and lower-cased; without a subjectAltName, the one
//! commonName. Each must be equal to a validated name: `*.example.org` is validated by `*.example.org` alone, and validates
//! nothing but itself; a profile may refuse wildcards altogether. The first domain name that is short enough to be one is the
//! subject's commonName, unless the profile wants the subject empty.
//!
//! `xmpp-server`: the names inside the SRVNames are asked for as well. Every name becomes a dNSName; every name that is no
//! wildcard also becomes the SRVNames `_xmpp-server` and `_xmpp-client`, whether the request asked for them or not
//! (RFC 6120 §13.7.1.2.1). A requested xmppAddr is left out unjudged while the profile does not take it; then it must be a
//! domain equal to one of the names, and is written as a JID is, in U-labels.
//!
//! `tls-server`: dNSNames, and IP addresses where the profile takes them; these are never a commonName.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::check::{Check, Refused};
use super::names::{self, MAX_COMMON_NAME, Names, add, domain, not_validated};
use crate::cbor::Bytes;
use crate::config::{Base, NameForm, Profile, Rule};
use crate::text::{escape, idn};
use crate::x509::fields::GeneralName;
use crate::x509::{Request, ip_address};

const SERVICES: [&str; 2] = ["_xmpp-server.", "_xmpp-client."];

/// What a server's request asks for: lower-case, in the order asked for, no repeats.
#[derive(Default)]
struct Asked {
    domains: Vec<String>,
    addresses: Vec<IpAddr>,
    xmpp_addrs: Vec<String>,
}

pub(super) fn judge(
    request: &Request,
    names: &[&GeneralName],
    validated: &[String],
    profile: &Profile,
) -> Result<Names, Refused> {
    let mut asked = Asked::default();
    match &request.san {
        Some(_) => names.iter().try_for_each(|name| asked.take(name))?,
        None => match request.common_names.as_slice() {
            [one] => {
                let name = GeneralName::Dns(one.raw().to_owned());
                names::takes(profile, &name)?;
                asked.take(&name)?;
            }
            [] => return Err(Refused::new(Check::NamesRequested, "the request asks for no name")),
            several => {
                let wrong = format!("the request has no subjectAltName and {} common names", several.len());
                return Err(Refused::new(Check::NamesRequested, wrong));
            }
        },
    }
    if asked.domains.is_empty() && asked.addresses.is_empty() {
        let ip = matches!(profile.names.get(&NameForm::Ip), Some(Rule::Taken | Rule::Needed));
        let form = if ip { "domain name and no IP address" } else { "domain name" };
        return Err(Refused::new(Check::NamesRequested, format!("the request's subjectAltName holds no {form}")));
    }
    asked.validated(validated)?;
    Ok(asked.certified(profile))
}

impl Asked {
    fn take(&mut self, name: &GeneralName) -> Result<(), Refused> {
        let form = |what: String| Err(Refused::new(Check::NameForm, what));
        match name {
            GeneralName::Dns(text) => add(&mut self.domains, domain(text)?),
            GeneralName::Srv(text) => {
                let lower = text.to_ascii_lowercase();
                match SERVICES.iter().find_map(|service| lower.strip_prefix(service)) {
                    None => {
                        form(format!("the SRVName `{}` is for neither _xmpp-server nor _xmpp-client", escape(text)))
                    }
                    Some(name) if name.starts_with('*') => {
                        form(format!("the SRVName `{}` has a wildcard", escape(text)))
                    }
                    Some(name) => add(&mut self.domains, domain(name)?),
                }
            }
            // The domain of a server, as a JID in U-labels or in A-labels (RFC 7622 §3.2.1).
            GeneralName::XmppAddr(text) => match idn::a_labels(text).filter(|name| !name.starts_with("*.")) {
                Some(name) => add(&mut self.xmpp_addrs, domain(&name)?),
                None => form(format!("the xmppAddr `{}` is no bare domain", escape(text))),
            },
            GeneralName::Ip(octets) => add(&mut self.addresses, address(octets)?),
            other => Err(names::never(other)),
        }
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
        let jid = |name: &String| idn::u_labels(name).unwrap_or_else(|| name.clone());
        let addrs = self.xmpp_addrs.iter().map(jid).map(GeneralName::XmppAddr);
        let addresses = self.addresses.iter().map(|address| match address {
            IpAddr::V4(v4) => GeneralName::Ip(Bytes::from(v4.octets().to_vec())),
            IpAddr::V6(v6) => GeneralName::Ip(Bytes::from(v6.octets().to_vec())),
        });
        let san = dns.chain(srv).chain(addrs).chain(addresses).collect();
        let first = self.domains.first().filter(|name| profile.common_name && name.len() <= MAX_COMMON_NAME);
        Names { common_name: first.cloned(), san }
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
