//! The names of clients.
//!
//! `xmpp-client`: bare JIDs as xmppAddr (RFC 6120 §13.7.1.3), each equal to a validated `xmpp:` name. They are written as RFC 7622
//! has them: the localpart by PRECIS, the domain in U-labels. The subject is empty, unless the profile makes the first JID its
//! commonName.
//!
//! `tls-client`: mailboxes (`mailto:` names of the desk's table), as rfc822Name where the local part is ASCII and as
//! SmtpUTF8Mailbox where it is not (RFC 9598 §3); domain names without wildcards; URNs, and URIs of a domain without query or
//! fragment, octet for octet; and an id by the rule of devices, as the commonName. A requested commonName that is no
//! validated name is left out where there are other names.

use super::check::{Check, Refused};
use super::device::{self, host, pchars, urn};
use super::names::{self, MAX_COMMON_NAME, Names, add, domain, not_validated};
use crate::config::{NameForm, Profile, Rule};
use crate::text::{Untrusted, escape, idn};
use crate::x509::fields::GeneralName;
use crate::x509::{Request, general_name_text};

pub(super) fn xmpp(asked: &[&GeneralName], validated: &[String], profile: &Profile) -> Result<Names, Refused> {
    let mut jids: Vec<idn::Address> = Vec::new();
    for name in asked {
        match name {
            GeneralName::XmppAddr(text) => add(&mut jids, idn::jid(text).map_err(|what| form("JID", text, what))?)?,
            other => return Err(names::never(other)),
        }
    }
    let known = |jid: &&idn::Address| {
        let name = format!("{}{}", idn::JID, jid.ascii_domain());
        validated.iter().any(|v| idn::canonical(v).is_ok_and(|v| v == name))
    };
    let missing: Vec<String> = jids.iter().filter(|jid| !known(jid)).map(|jid| escape(&jid.ascii_domain())).collect();
    if !missing.is_empty() {
        return Err(not_validated(&missing));
    }
    let first = jids.first().map(idn::Address::jid).filter(|jid| profile.common_name && jid.len() <= MAX_COMMON_NAME);
    let san = jids.iter().map(|jid| GeneralName::XmppAddr(jid.jid())).collect();
    Ok(Names { common_name: first, san })
}

pub(super) fn tls(
    request: &Request,
    asked: &[&GeneralName],
    validated: &[String],
    profile: &Profile,
) -> Result<Names, Refused> {
    let mut san: Vec<GeneralName> = Vec::new();
    for name in asked {
        let lawful = match name {
            GeneralName::Dns(text) => GeneralName::Dns(host(text)?),
            GeneralName::Uri(text) => GeneralName::Uri(uri(text)?),
            GeneralName::Email(text) | GeneralName::Utf8Mailbox(text) => mailbox(name, text)?,
            other => return Err(names::never(other)),
        };
        add(&mut san, lawful)?;
    }
    let known = |name: &&GeneralName| match name {
        GeneralName::Dns(text) => validated.iter().any(|v| v.eq_ignore_ascii_case(text)),
        GeneralName::Uri(text) => validated.contains(text),
        GeneralName::Email(text) | GeneralName::Utf8Mailbox(text) => {
            let name = format!("{}{text}", idn::MAILBOX);
            validated.iter().any(|v| idn::canonical(v).is_ok_and(|v| v == name))
        }
        _ => false,
    };
    let missing: Vec<String> = san.iter().filter(|name| !known(name)).map(general_name_text).collect();
    if !missing.is_empty() {
        return Err(not_validated(&missing));
    }
    let taken = matches!(profile.names.get(&NameForm::Id), Some(Rule::Taken | Rule::Needed));
    let mut given = request.common_names.iter().chain(&request.serial_numbers).map(Untrusted::raw);
    // Without another name the commonName is what is asked for, and has to be validated.
    let asks = san.is_empty() || given.any(|name| validated.iter().any(|v| v == name));
    let common_name = (taken && asks).then(|| device::id(request, validated)).transpose()?;
    match san.is_empty() && common_name.is_none() {
        true => Err(Refused::new(Check::NamesRequested, "the request asks for no name")),
        false => Ok(Names { common_name, san }),
    }
}

fn mailbox(name: &GeneralName, text: &str) -> Result<GeneralName, Refused> {
    let address = idn::mailbox(text).map_err(|what| form("mailbox", text, what))?;
    match (name, address.local.is_ascii()) {
        (GeneralName::Utf8Mailbox(_), true) => {
            Err(form("SmtpUTF8Mailbox", text, "is all ASCII, and belongs into an rfc822Name (RFC 9598 section 3)"))
        }
        (_, true) => Ok(GeneralName::Email(address.ascii_domain())),
        (_, false) => Ok(GeneralName::Utf8Mailbox(address.ascii_domain())),
    }
}

/// A URN, or a URI with a domain and perhaps a path (RFC 3986 §3), such as `spiffe://example.org/printer`.
fn uri(text: &str) -> Result<String, Refused> {
    let Some((scheme, rest)) = text.split_once("://") else { return urn(text) };
    let first = scheme.bytes().next().is_some_and(|c| c.is_ascii_lowercase());
    let lawful = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+-.".contains(&c);
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let path = path.is_empty() || pchars(path);
    let host = domain(authority).is_ok_and(|name| name == authority && !name.starts_with('*'));
    match first && scheme.bytes().all(lawful) && host && path && text.len() <= names::MAX_URN {
        true => Ok(text.to_owned()),
        false => Err(form("URI", text, "is no URI of a lower-case scheme, a domain name and a path (RFC 3986)")),
    }
}

fn form(kind: &str, text: &str, what: &str) -> Refused {
    Refused::new(Check::NameForm, format!("the {kind} `{}` {what}", escape(text)))
}
