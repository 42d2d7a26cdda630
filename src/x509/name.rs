//! Distinguished names (RFC 5280 §4.1.2.4): reading their values, and showing them to people.

use std::net::IpAddr;

use super::der::{self, DerFault, Element};
use super::error::{Error, in_part};
use super::fields::GeneralName;
use crate::text::{Untrusted, escape, hex, idn};

pub(crate) const COMMON_NAME: &str = "2.5.4.3";
const ORGANIZATION: &str = "2.5.4.10";
pub(crate) const SERIAL_NUMBER: &str = "2.5.4.5";
/// More attributes than this stand in no name.
const MAX_ATTRIBUTES: usize = 64;

pub(super) struct Attribute<'a> {
    /// Which RelativeDistinguishedName it stands in.
    rdn: usize,
    pub(super) kind: String,
    pub(super) value: Element<'a>,
}

pub(super) fn attributes(name: &[u8]) -> Result<Vec<Attribute<'_>>, Error> {
    let fault = in_part("name");
    let mut rdns = der::only(name, der::SEQUENCE).map_err(&fault)?.inside();
    let mut found = Vec::new();
    let mut rdn = 0;
    while !rdns.is_empty() {
        let mut set = rdns.expect(der::SET).map_err(&fault)?.inside();
        if set.is_empty() {
            return Err(fault(DerFault::Empty));
        }
        while !set.is_empty() {
            let mut fields = set.expect(der::SEQUENCE).map_err(&fault)?.inside();
            let kind = der::oid(&fields.expect(der::OID).map_err(&fault)?).map_err(&fault)?;
            let value = fields.next().map_err(&fault)?;
            fields.end().map_err(&fault)?;
            if found.len() == MAX_ATTRIBUTES {
                return Err(Error::TooMany { part: "name", what: "attributes", limit: MAX_ATTRIBUTES });
            }
            found.push(Attribute { rdn, kind, value });
        }
        rdn += 1;
    }
    Ok(found)
}

/// The RelativeDistinguishedNames of a Name, each whole.
pub(crate) fn rdns(name: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let fault = in_part("name");
    let mut reader = der::only(name, der::SEQUENCE).map_err(&fault)?.inside();
    let mut found = Vec::new();
    while !reader.is_empty() {
        found.push(reader.expect(der::SET).map_err(&fault)?.whole);
    }
    Ok(found)
}

/// Whether a Name begins with the RDNs of another, whatever the case, the spaces and the string types of their values, and the
/// order within an RDN (RFC 5280 §7.1, more lenient). What cannot be read begins with everything.
pub(crate) fn same_words(base: &[u8], name: &[u8]) -> bool {
    let words = |name| {
        let attributes = attributes(name).ok()?;
        let mut all: Vec<Vec<(String, String)>> = Vec::new();
        for Attribute { rdn, kind, value } in attributes {
            let shown = text(&value).unwrap_or_else(|| hash_form(&value)).to_lowercase();
            let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            all.resize_with(all.len().max(rdn + 1), Vec::new);
            all.get_mut(rdn)?.push((kind, shown));
        }
        all.iter_mut().for_each(|rdn| rdn.sort());
        Some(all)
    };
    match (words(base), words(name)) {
        (Some(base), Some(name)) => name.starts_with(&base),
        _ => true,
    }
}

/// The values of one type of attribute, in order.
pub(crate) fn values(name: &[u8], kind: &str) -> Result<Vec<Untrusted>, Error> {
    let wanted = attributes(name)?.into_iter().filter(|attribute| attribute.kind == kind);
    Ok(wanted
        .map(|attribute| Untrusted::new(text(&attribute.value).unwrap_or_else(|| hash_form(&attribute.value))))
        .collect())
}

/// The names by which the holder of a certificate is known, each once: the commonNames of the subject, then the dNSNames,
/// IP addresses, URIs, JIDs (`xmpp:…`) and mailboxes (`mailto:…`). A service's name (SRVName, an xmppAddr without localpart) is the
/// domain's. As they are written, but for JIDs, whose domain is in A-labels: who compares them ignores case, and who shows them
/// escapes them.
pub fn holder_names(subject: &[u8], san: &[GeneralName]) -> Vec<String> {
    let common = values(subject, COMMON_NAME).unwrap_or_default().into_iter().map(|name| name.raw().to_owned());
    let others = san.iter().filter_map(|name| match name {
        GeneralName::Dns(text) | GeneralName::Uri(text) => Some(text.clone()),
        GeneralName::Ip(octets) => ip_address(octets).map(|address| address.to_string()),
        GeneralName::XmppAddr(text) if text.contains('@') => Some(prefixed(idn::JID, text)),
        GeneralName::Email(text) | GeneralName::Utf8Mailbox(text) => Some(prefixed(idn::MAILBOX, text)),
        _ => None,
    });
    let mut names: Vec<String> = Vec::new();
    for name in common.chain(others) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            names.push(name);
        }
    }
    names
}

/// Whether a name begins with the mark of a rehearsal, `O=REHEARSAL`.
pub fn is_rehearsal(name: &[u8]) -> bool {
    let Ok(all) = attributes(name) else { return false };
    let first = all.iter().find(|attribute| attribute.rdn == 0 && attribute.kind == ORGANIZATION);
    first.and_then(|first| text(&first.value)).is_some_and(|value| value == "REHEARSAL")
}

/// Whether `rehearsal` is the name `real` with the mark of a rehearsal: `O=REHEARSAL` in front of it, or in the place of the
/// organisation that it begins with. Everything else is the same, octet for octet.
pub fn is_rehearsal_of(rehearsal: &[u8], real: &[u8]) -> bool {
    let (Ok(one), Ok(other)) = (attributes(rehearsal), attributes(real)) else { return false };
    let alone = |of: &[Attribute]| of.iter().take_while(|attribute| attribute.rdn == 0).count() == 1;
    let organisation = |of: &[Attribute]| alone(of) && of.first().is_some_and(|first| first.kind == ORGANIZATION);
    let mark = one.first().and_then(|first| text(&first.value)).is_some_and(|value| value == "REHEARSAL");
    if !organisation(&one) || !mark {
        return false;
    }
    let (Ok(one), Ok(all)) = (rdns(rehearsal), rdns(real)) else { return false };
    one.get(1..) == Some(all.as_slice()) || organisation(&other) && one.get(1..) == all.get(1..)
}

/// As the name stands in the desk's table.
fn prefixed(scheme: &str, text: &str) -> String {
    let name = format!("{scheme}{text}");
    idn::canonical(&name).unwrap_or(name)
}

/// A domain, or what stands at one, with the domain in A-labels where it is in U-labels: what it stands for is noted behind it. One
/// that the A-labels do not give back, letter by letter, is shown as it is.
fn a_label_first(text: &str) -> String {
    let at = text.rfind('@').map_or(0, |at| at + 1);
    let (local, domain) = text.split_at(at);
    let ascii = idn::a_labels(domain).filter(|ascii| idn::u_labels(ascii).as_deref() == Some(domain));
    escape(&ascii.map_or_else(|| text.to_owned(), |ascii| format!("{local}{ascii}")))
}

/// The address of an iPAddress; `None` for octets that are none.
pub fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// An alternative name for people, safe for any output.
pub fn general_name_text(name: &GeneralName) -> String {
    match name {
        // No host name has a space: one that has could pass for a name of another form.
        GeneralName::Dns(n) if n.contains(' ') => format!("DNS {}", escape(n)),
        GeneralName::Dns(n) => escape(n),
        GeneralName::Srv(n) => format!("SRV {}", escape(n)),
        GeneralName::XmppAddr(n) => format!("XMPP {}", a_label_first(n)),
        GeneralName::Email(n) | GeneralName::Utf8Mailbox(n) => format!("mail {}", escape(n)),
        GeneralName::Uri(n) => format!("URI {}", escape(n)),
        GeneralName::Ip(octets) => {
            ip_address(octets).map_or_else(|| format!("IP {}", escape(&hex(octets))), |a| format!("IP {a}"))
        }
        GeneralName::Other(der) => format!("other {}", escape(&hex(der))),
    }
}

/// A Name for people, in the form of RFC 4514 (last attribute first), safe for any output. What cannot be read is shown in hex.
pub fn name_text(name: &[u8]) -> String {
    let Ok(attributes) = attributes(name) else { return format!("(no name: {})", escape(&hex(name))) };
    let mut rdns: Vec<String> = Vec::new();
    let mut last = None;
    for attribute in &attributes {
        let shown = match text(&attribute.value) {
            Some(value) => format!("{}={}", short(&attribute.kind), special(&escape(&value))),
            None => format!("{}={}", short(&attribute.kind), hash_form(&attribute.value)),
        };
        match rdns.last_mut() {
            Some(rdn) if last == Some(attribute.rdn) => *rdn = format!("{rdn}+{shown}"),
            _ => rdns.push(shown),
        }
        last = Some(attribute.rdn);
    }
    rdns.reverse();
    rdns.join(",")
}

/// RFC 4514 §2.4: the hex form of a value that is no string.
fn hash_form(value: &Element<'_>) -> String {
    escape(&format!("#{}", hex(value.whole)))
}

/// RFC 4514 §2.4: what has a meaning between values gets a backslash. `escape` has already doubled those of the value.
fn special(escaped: &str) -> String {
    let mut out = String::new();
    for (i, c) in escaped.char_indices() {
        let edge = (i == 0 && (c == ' ' || c == '#')) || (i + 1 == escaped.len() && c == ' ');
        if edge || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn text(value: &Element<'_>) -> Option<String> {
    match value.tag {
        der::UTF8_STRING | der::PRINTABLE_STRING | der::IA5_STRING => String::from_utf8(value.content.to_vec()).ok(),
        // T.61 is in practice Latin-1 (RFC 5280 appendix B says nothing better).
        der::T61_STRING => Some(value.content.iter().map(|octet| char::from(*octet)).collect()),
        der::BMP_STRING if value.content.len().is_multiple_of(2) => {
            let units = value
                .content
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0u16, |sum, octet| sum << 8 | u16::from(*octet)));
            char::decode_utf16(units).collect::<Result<String, _>>().ok()
        }
        _ => None,
    }
}

fn short(kind: &str) -> &str {
    match kind {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        "1.2.840.113549.1.9.1" => "emailAddress",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_in_rfc_4514_order_and_cannot_reach_a_terminal() {
        // O=Acme, CN="a,b<ESC>": the comma cannot pass for a separator.
        let name = b"\x30\x21\x31\x0d\x30\x0b\x06\x03\x55\x04\x0a\x0c\x04Acme\x31\x10\x30\x0e\x06\x03\x55\x04\x03\x0c\x07a,b\x1b\xc3\xa9c";
        assert_eq!(name_text(name), "CN=a\\,b\\u{1b}\\u{e9}c,O=Acme");
        assert_eq!(values(name, COMMON_NAME).unwrap().first().unwrap().raw(), "a,b\u{1b}\u{e9}c");
        assert_eq!(name_text(b"\x30\x00"), "");
        assert!(name_text(b"\x30\x02\x31\x00").starts_with("(no name"));
    }

    #[test]
    fn a_holder_is_known_by_each_name_once() {
        let cn = b"\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01A";
        let ip = |octets: &[u8]| GeneralName::Ip(crate::cbor::Bytes::from(octets));
        let san = [
            GeneralName::Dns("a".into()),
            GeneralName::Dns("b.example".into()),
            GeneralName::Srv("_x.c.example".into()),
            ip(&[192, 0, 2, 1]),
            ip(&[1, 2, 3]),
            GeneralName::Uri("urn:x-y:z".into()),
        ];
        assert_eq!(holder_names(cn, &san), ["A", "b.example", "192.0.2.1", "urn:x-y:z"]);
        assert_eq!(holder_names(b"\x30\x00", &[]), Vec::<String>::new());
        let shown = san.each_ref().map(general_name_text);
        assert_eq!(shown[2..], ["SRV _x.c.example", "IP 192.0.2.1", "IP 010203", "URI urn:x-y:z"]);
        assert_eq!(ip_address(&[0; 16]).unwrap().to_string(), "::");
    }

    #[test]
    fn a_jid_is_shown_with_its_a_label_first_and_nothing_of_it_is_lost() {
        let shown = |jid: &str| general_name_text(&GeneralName::XmppAddr(jid.into()));
        assert_eq!(
            shown("a@m\u{fc}ller.example"),
            "XMPP a@xn--mller-kva.example\\{xn--mller-kva is m\\u{fc}ller in Latin}"
        );
        // What a mapping would drop or fold is there to be seen.
        assert_eq!(shown("\u{feff}bank\u{feff}"), "XMPP \\u{feff}bank\\u{feff}");
        assert_eq!(shown("a@M\u{dc}LLER.example"), "XMPP a@M\\u{dc}LLER.example");
    }
}
