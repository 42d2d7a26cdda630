//! PKCS #11 URIs (RFC 7512): every attribute is known and read; what names a token is taken in `[[token]]`, what names a key
//! in `[[key]]`, and what would choose code or carry a PIN nowhere.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::line::{ascii_line, show};
use super::{Error, field};

/// A token as a URI names it. The texts are what C_GetTokenInfo, C_GetSlotInfo and C_GetInfo say, without their padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUri {
    pub token: String,
    pub serial: Option<String>,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub library_manufacturer: Option<String>,
    pub library_description: Option<String>,
    /// Major and minor number.
    pub library_version: Option<(u8, u8)>,
    pub slot_description: Option<String>,
    pub slot_manufacturer: Option<String>,
}

/// A private key as a URI names it: CKA_LABEL, and CKA_ID where it is to be a certain one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUri {
    pub object: String,
    pub id: Option<Vec<u8>>,
}

/// Octets of a URI; nine attributes of a token, each octet of them escaped, stay below it.
const MAX_URI: usize = 1024;
/// Octets of a CKA_ID that is declared.
const MAX_ID: usize = 64;

/// The attributes of the path (RFC 7512 section 2.3) that name a token.
const OF_TOKEN: [&str; 9] = [
    "token",
    "serial",
    "manufacturer",
    "model",
    "library-manufacturer",
    "library-description",
    "library-version",
    "slot-description",
    "slot-manufacturer",
];
/// Those that name an object.
const OF_OBJECT: [&str; 3] = ["object", "type", "id"];

impl TokenUri {
    /// Reads a URI; `at` is the field that holds it. `token` is needed.
    pub fn parse(at: &str, text: &str) -> Result<TokenUri, Error> {
        let mut path = Attributes::parse(at, text)?;
        if let Some(name) = OF_OBJECT.iter().find(|name| path.values.contains_key(**name)) {
            return Err(field(at, format!("holds `{name}`: that names a key; keys stand in [[key]]")));
        }
        let token = path.line("token", 32)?.ok_or_else(|| field(at, "names no `token`"))?;
        Ok(TokenUri {
            token,
            // CK_TOKEN_INFO, CK_SLOT_INFO and CK_INFO have so many octets for each (PKCS #11 section 3).
            serial: path.line("serial", 16)?,
            manufacturer: path.line("manufacturer", 32)?,
            model: path.line("model", 16)?,
            library_manufacturer: path.line("library-manufacturer", 32)?,
            library_description: path.line("library-description", 32)?,
            library_version: path.version("library-version")?,
            slot_description: path.line("slot-description", 64)?,
            slot_manufacturer: path.line("slot-manufacturer", 32)?,
        })
    }
}

impl KeyUri {
    /// Reads the URI of a key: `object` is needed, `type` can only be `private`. The token stands beside it, in `token`.
    pub fn parse(at: &str, text: &str) -> Result<KeyUri, Error> {
        let mut path = Attributes::parse(at, text)?;
        if let Some(name) = OF_TOKEN.iter().find(|name| path.values.contains_key(**name)) {
            let message = format!("holds `{name}`: which token holds the key is said by `token` of this [[key]]");
            return Err(field(at, message));
        }
        let class = path.line("type", 16)?;
        match class.as_deref() {
            None | Some("private") => {}
            Some("public" | "cert" | "secret-key" | "data") => {
                return Err(field(at, "has another `type` than private: a CA key is found by its private half"));
            }
            Some(other) => {
                return Err(field(at, format!("has the type `{}`, which RFC 7512 does not know", show(other))));
            }
        }
        let object = path.line("object", 64)?.ok_or_else(|| field(at, "names no `object`, the key's CKA_LABEL"))?;
        let id = path.values.remove("id");
        if id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_ID) {
            return Err(field(at, format!("`id` must have 1 to {MAX_ID} octets")));
        }
        Ok(KeyUri { object, id })
    }
}

/// The attributes of a path, decoded.
struct Attributes<'a> {
    at: &'a str,
    values: BTreeMap<&'static str, Vec<u8>>,
}

impl<'a> Attributes<'a> {
    /// Every attribute stands at most once (RFC 7512 section 2.3). A query is refused whole: all of its attributes choose code
    /// or a PIN.
    fn parse(at: &'a str, text: &str) -> Result<Attributes<'a>, Error> {
        let refused = |what: String| Err(field(at, what));
        if text.len() > MAX_URI {
            return refused(format!("is longer than {MAX_URI} octets"));
        }
        // Schemes are read without regard to case (RFC 3986 section 3.1).
        let Some((_, rest)) = text.split_once(':').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("pkcs11")) else {
            return refused("is no PKCS #11 URI (RFC 7512): it begins with `pkcs11:`".into());
        };
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        if let Some(query) = query {
            let names: Vec<&str> = query.split('&').map(|a| a.split('=').next().unwrap_or_default()).collect();
            // A PIN is the worst of them, wherever it stands: whoever reads the message knows that this one is burnt.
            let name = names.iter().find(|name| **name == "pin-value").or(names.first()).copied().unwrap_or_default();
            return refused(format!("holds `{}`: {}", show(name), no_query(name)));
        }
        let mut values = BTreeMap::new();
        for attribute in path.split(';') {
            let Some((name, value)) = attribute.split_once('=') else {
                return refused(format!("`{}` is no attribute with a value", show(attribute)));
            };
            let Some(known) = OF_TOKEN.iter().chain(&OF_OBJECT).find(|known| **known == name) else {
                return refused(format!("holds `{}`: {}", show(name), no_attribute(name)));
            };
            let Some(value) = decoded(value) else {
                return refused(format!("`{name}` is not percent-encoded as RFC 7512 section 2.3 has it"));
            };
            if values.insert(*known, value).is_some() {
                return refused(format!("holds `{name}` twice"));
            }
        }
        Ok(Attributes { at, values })
    }

    /// Takes an attribute that is one line of text out.
    fn line(&mut self, name: &str, longest: usize) -> Result<Option<String>, Error> {
        let Some(value) = self.values.remove(name) else { return Ok(None) };
        let text = String::from_utf8(value).map_err(|_| field(self.at, format!("`{name}` is not UTF-8")))?;
        match ascii_line(self.at, &text, longest) {
            Ok(()) => Ok(Some(text)),
            Err(Error::Field { field: at, message }) => Err(field(at, format!("`{name}` {message}"))),
            Err(other) => Err(other),
        }
    }

    /// pk11-lib-ver: a major number, and a minor one or none, which is 0.
    fn version(&mut self, name: &str) -> Result<Option<(u8, u8)>, Error> {
        let Some(text) = self.line(name, 7)? else { return Ok(None) };
        let number = |text: &str| text.parse::<u8>().ok().filter(|_| text.bytes().all(|c| c.is_ascii_digit()));
        let (major, minor) = text.split_once('.').unwrap_or((&text, "0"));
        match (number(major), number(minor)) {
            (Some(major), Some(minor)) => Ok(Some((major, minor))),
            _ => Err(field(self.at, format!("`{name}` is no version such as 2.6, of numbers up to 255"))),
        }
    }
}

fn no_query(name: &str) -> &'static str {
    match name {
        "pin-value" => {
            "a PIN never stands in a file that is read, copied and hashed; it is typed, or comes by --pin-fd"
        }
        "pin-source" => {
            "where the PIN comes from is said by `pin` or `pin-age`, in a rehearsal by `pin-file`; else it is typed, or comes \
             by --pin-fd"
        }
        "module-name" | "module-path" => {
            "which code is loaded is said by `module`, an absolute path, and by nothing else"
        }
        _ if name.starts_with("x-") => "what vendors add to a URI means something to their own programs alone",
        _ => "a query has no meaning here",
    }
}

fn no_attribute(name: &str) -> &'static str {
    match name {
        "slot-id" => "slots move when tokens are initialised; a token is found by label and serial",
        "pin-value" | "pin-source" | "module-name" | "module-path" => {
            "that is no attribute of the path, and is not taken"
        }
        _ if name.starts_with("x-") => "what vendors add to a URI means something to their own programs alone",
        _ => {
            "known are token, serial, manufacturer, model, library-manufacturer, -description, -version, slot-description, \
             -manufacturer; of keys object, type, id"
        }
    }
}

/// pk11-pchar of RFC 7512 section 2.3, decoded. `None`: another character, or half an escape.
fn decoded(value: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => nibble(rest.next()?)? << 4 | nibble(rest.next()?)?,
            _ if unreserved(octet) || b":[]@!$'()*+,=&".contains(&octet) => octet,
            _ => return None,
        });
    }
    Some(octets)
}

fn nibble(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

fn unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~".contains(&octet)
}

/// Writes a URI with everything but RFC 3986's unreserved characters escaped, so that it needs no quoting anywhere.
fn write(f: &mut fmt::Formatter<'_>, parts: &[(&str, Option<&[u8]>)]) -> fmt::Result {
    f.write_str("pkcs11:")?;
    let present = parts.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    for (n, (name, value)) in present.enumerate() {
        if n > 0 {
            f.write_char(';')?;
        }
        write!(f, "{name}=")?;
        for octet in value {
            match unreserved(*octet) {
                true => f.write_char(char::from(*octet))?,
                false => write!(f, "%{octet:02X}")?,
            }
        }
    }
    Ok(())
}

impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.library_version.map(|(major, minor)| format!("{major}.{minor}"));
        let octets = |text: &'_ Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
        let values = [
            Some(self.token.as_bytes().to_vec()),
            octets(&self.serial),
            octets(&self.manufacturer),
            octets(&self.model),
            octets(&self.library_manufacturer),
            octets(&self.library_description),
            octets(&version),
            octets(&self.slot_description),
            octets(&self.slot_manufacturer),
        ];
        let parts: Vec<_> = OF_TOKEN.into_iter().zip(values.iter().map(Option::as_deref)).collect();
        write(f, &parts)
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (object, class) = (Some(self.object.as_bytes()), Some(b"private".as_slice()));
        write(f, &[("object", object), ("type", class), ("id", self.id.as_deref())])
    }
}

#[cfg(test)]
mod tests;
