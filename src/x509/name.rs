//! Distinguished names (RFC 5280 §4.1.2.4): reading their values, and showing them to people.

use super::der::{self, DerFault, Element};
use super::error::{Error, in_part};
use crate::text::{Untrusted, escape, hex};

const COMMON_NAME: &str = "2.5.4.3";
/// More attributes than this stand in no name.
const MAX_ATTRIBUTES: usize = 64;

struct Attribute<'a> {
    /// Which RelativeDistinguishedName it stands in.
    rdn: usize,
    kind: String,
    value: Element<'a>,
}

fn attributes(name: &[u8]) -> Result<Vec<Attribute<'_>>, Error> {
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

/// The values of commonName, in order.
pub(crate) fn common_names(name: &[u8]) -> Result<Vec<Untrusted>, Error> {
    let wanted = attributes(name)?.into_iter().filter(|attribute| attribute.kind == COMMON_NAME);
    Ok(wanted
        .map(|attribute| Untrusted::new(text(&attribute.value).unwrap_or_else(|| hash_form(&attribute.value))))
        .collect())
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
        assert_eq!(common_names(name).unwrap().first().unwrap().raw(), "a,b\u{1b}\u{e9}c");
        assert_eq!(name_text(b"\x30\x00"), "");
        assert!(name_text(b"\x30\x02\x31\x00").starts_with("(no name"));
    }
}
