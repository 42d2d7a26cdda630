//! Tokens named by PKCS #11 URI (RFC 7512): the subset that names a token, and nothing that chooses code, a PIN or a key.

use std::fmt::{self, Write};

use super::line::{ascii_line, show};
use super::{Error, field};

/// A token as a URI names it. The texts are what C_GetTokenInfo says, without its padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUri {
    pub token: String,
    pub serial: Option<String>,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
}

/// Octets of a URI; four attributes of 32 octets, each of them escaped, are 384.
const MAX_URI: usize = 1024;

impl TokenUri {
    /// Reads a URI; `at` is the field that holds it. `token` is needed; every attribute stands at most once (RFC 7512
    /// section 2.3).
    pub(super) fn parse(at: &str, text: &str) -> Result<TokenUri, Error> {
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
            let name = query.split(['=', '&']).next().unwrap_or_default();
            return refused(format!("holds `{}`: {}", show(name), no_query(name)));
        }
        let mut uri = TokenUri::default();
        let mut token = None;
        for attribute in path.split(';') {
            let Some((name, value)) = attribute.split_once('=') else {
                return refused(format!("`{}` is no attribute with a value", show(attribute)));
            };
            let (place, longest) = match name {
                "token" => (&mut token, 32),
                "serial" => (&mut uri.serial, 16),
                "manufacturer" => (&mut uri.manufacturer, 32),
                "model" => (&mut uri.model, 16),
                _ => return refused(format!("holds `{}`: {}", show(name), no_attribute(name))),
            };
            let Some(value) = decoded(value) else {
                return refused(format!("`{name}` is not percent-encoded as RFC 7512 section 2.3 has it"));
            };
            ascii_line(at, &value, longest)?;
            if place.replace(value).is_some() {
                return refused(format!("holds `{name}` twice"));
            }
        }
        match token {
            Some(token) => Ok(TokenUri { token, ..uri }),
            None => refused("names no `token`".into()),
        }
    }
}

fn no_query(name: &str) -> &'static str {
    match name {
        "pin-value" => {
            "a PIN never stands in a file that is read, copied and hashed; it is typed, or comes by --pin-fd"
        }
        "pin-source" => "where the PIN comes from is `pin-file` in a rehearsal, else the terminal or --pin-fd",
        "module-name" | "module-path" => {
            "which code is loaded is said by `module`, an absolute path, and by nothing else"
        }
        _ => "a query has no meaning here",
    }
}

fn no_attribute(name: &str) -> &'static str {
    match name {
        "slot-id" | "slot-description" | "slot-manufacturer" => {
            "slots move when tokens are initialised; a token is found by label and serial"
        }
        "object" | "type" | "id" => "that names a key; keys stand in [[key]]",
        "library-manufacturer" | "library-description" | "library-version" => {
            "which code is loaded is said by `module`, an absolute path, and by nothing else"
        }
        _ => "known are token, serial, manufacturer and model",
    }
}

/// pk11-pchar of RFC 7512 section 2.3, decoded. `None`: another character, half an escape, or no UTF-8.
fn decoded(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => nibble(rest.next()?)? << 4 | nibble(rest.next()?)?,
            _ if unreserved(octet) || b":[]@!$'()*+,=&".contains(&octet) => octet,
            _ => return None,
        });
    }
    String::from_utf8(octets).ok()
}

fn nibble(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

fn unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~".contains(&octet)
}

/// The URI with everything but RFC 3986's unreserved characters escaped, so that it needs no quoting anywhere.
impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let parts = [
            ("token", Some(&self.token)),
            ("serial", self.serial.as_ref()),
            ("manufacturer", self.manufacturer.as_ref()),
            ("model", self.model.as_ref()),
        ];
        for (n, (name, value)) in parts.iter().filter_map(|(name, value)| Some((name, (*value)?))).enumerate() {
            if n > 0 {
                f.write_char(';')?;
            }
            write!(f, "{name}=")?;
            for octet in value.bytes() {
                match unreserved(octet) {
                    true => f.write_char(char::from(octet))?,
                    false => write!(f, "%{octet:02X}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<TokenUri, String> {
        TokenUri::parse("uri", text).map_err(|e| e.to_string())
    }

    #[test]
    fn uris_of_other_tools_are_read() {
        // p11tool --list-tokens (GnuTLS), p11-kit list-tokens, and RFC 7512 section 3's own.
        let softhsm =
            "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=4b2ac26ef9fc1a0f;token=my%20token";
        let read = parsed(softhsm).unwrap();
        assert_eq!((read.token.as_str(), read.model.as_deref()), ("my token", Some("SoftHSM v2")));
        assert_eq!(
            (read.serial.as_deref(), read.manufacturer.as_deref()),
            (Some("4b2ac26ef9fc1a0f"), Some("SoftHSM project"))
        );
        let software = "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0";
        assert_eq!(parsed(software).unwrap().token, "The Software PKCS#11 Softtoken");
        assert_eq!(parsed("PKCS11:token=a&b=c:d").unwrap().token, "a&b=c:d");
    }

    #[test]
    fn what_is_written_reads_back() {
        for token in ["root", "a b", "x;y?z#%&=/\\\"", "~-._"] {
            let uri = TokenUri {
                token: token.into(),
                serial: Some("00 1".into()),
                manufacturer: None,
                model: Some("m".into()),
            };
            assert_eq!(parsed(&uri.to_string()).unwrap(), uri);
        }
        let uri = TokenUri { token: "a b".into(), ..TokenUri::default() };
        assert_eq!(uri.to_string(), "pkcs11:token=a%20b");
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let cases = [
            ("", "begins with `pkcs11:`"),
            ("https://example.org/", "begins with `pkcs11:`"),
            ("pkcs11:", "no attribute with a value"),
            ("pkcs11:token", "no attribute with a value"),
            ("pkcs11:token=a;", "no attribute with a value"),
            ("pkcs11:serial=00", "names no `token`"),
            ("pkcs11:token=a;token=b", "`token` twice"),
            ("pkcs11:token=", "1 to 32"),
            ("pkcs11:token=a%0a", "1 to 32"),
            ("pkcs11:token=a%", "percent-encoded"),
            ("pkcs11:token=a%2", "percent-encoded"),
            ("pkcs11:token=a%zz", "percent-encoded"),
            ("pkcs11:token=%ff", "percent-encoded"),
            ("pkcs11:token=a b", "percent-encoded"),
            ("pkcs11:token=a/b", "percent-encoded"),
            ("pkcs11:token=a;serial=12345678901234567", "1 to 16"),
            ("pkcs11:token=a;slot-id=3", "slots move"),
            ("pkcs11:token=a;object=root", "[[key]]"),
            ("pkcs11:token=a;id=%01", "[[key]]"),
            ("pkcs11:token=a;type=private", "[[key]]"),
            ("pkcs11:token=a;library-description=x", "said by `module`"),
            ("pkcs11:token=a;x-vendor=1", "known are token"),
            ("pkcs11:token=a;Serial=1", "known are token"),
            ("pkcs11:token=a?pin-value=1234", "a PIN never stands in a file"),
            ("pkcs11:token=a?pin-source=file:/etc/pin", "`pin-file` in a rehearsal"),
            ("pkcs11:token=a?module-path=/evil.so", "said by `module`"),
            ("pkcs11:token=a?module-name=evil&pin-value=1", "said by `module`"),
            ("pkcs11:token=a?", "no meaning here"),
        ];
        for (text, reason) in cases {
            let said = parsed(text).unwrap_err();
            assert!(said.contains(reason), "{text}: {said}");
            assert!(!said.contains("1234"), "{said}");
        }
        assert!(parsed(&format!("pkcs11:token={}", "%41".repeat(400))).unwrap_err().contains("longer than"));
    }
}
