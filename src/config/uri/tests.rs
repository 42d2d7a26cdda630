//! URIs: other tools' own, round trips, and what is refused.

use super::*;

fn parsed(text: &str) -> Result<TokenUri, String> {
    TokenUri::parse("uri", text).map_err(|e| e.to_string())
}

fn key(text: &str) -> Result<KeyUri, String> {
    KeyUri::parse("uri", text).map_err(|e| e.to_string())
}

#[test]
fn uris_of_other_tools_are_read() {
    // p11tool --list-tokens (GnuTLS), p11-kit list-tokens, and RFC 7512 section 3's own.
    let softhsm = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=4b2ac26ef9fc1a0f;token=my%20token";
    let read = parsed(softhsm).unwrap();
    assert_eq!((read.token.as_str(), read.model.as_deref()), ("my token", Some("SoftHSM v2")));
    assert_eq!(
        (read.serial.as_deref(), read.manufacturer.as_deref()),
        (Some("4b2ac26ef9fc1a0f"), Some("SoftHSM project"))
    );
    let software = "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0";
    assert_eq!(parsed(software).unwrap().token, "The Software PKCS#11 Softtoken");
    assert_eq!(parsed("PKCS11:token=a&b=c:d").unwrap().token, "a&b=c:d");
    let library = "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;\
                   library-version=1.23;token=a;slot-description=Slot%201;slot-manufacturer=X";
    let read = parsed(library).unwrap();
    assert_eq!(read.library_version, Some((1, 23)));
    assert_eq!(read.library_description.as_deref(), Some("Soft Token Library"));
    assert_eq!((read.slot_description.as_deref(), read.slot_manufacturer.as_deref()), (Some("Slot 1"), Some("X")));
    assert_eq!(parsed("pkcs11:token=a;library-version=3").unwrap().library_version, Some((3, 0)));
    let cert = "pkcs11:object=my-sign-key;type=private;id=%69%95%3E%5C%F4%BD%EC%91";
    let id = b"\x69\x95\x3e\x5c\xf4\xbd\xec\x91".to_vec();
    assert_eq!(key(cert).unwrap(), KeyUri { object: "my-sign-key".into(), id: Some(id) });
    assert_eq!(key("pkcs11:object=root").unwrap(), KeyUri { object: "root".into(), id: None });
}

/// A generator of one's own: the numbers of a linear congruence, the upper bits of them.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// Printable ASCII without spaces at its ends.
    fn line(&mut self, longest: usize) -> String {
        let length = 1 + self.below(longest);
        let inner = |n: usize| n != 0 && n != length - 1;
        (0..length)
            .map(|n| char::from(b'!' - u8::from(inner(n)) + self.below(94 + usize::from(inner(n))) as u8))
            .collect()
    }

    fn maybe(&mut self, longest: usize) -> Option<String> {
        (self.below(2) == 0).then(|| self.line(longest))
    }

    /// The same URI written by another hand: each attribute in another place, each octet escaped or not, in either case.
    fn rewritten(&mut self, uri: &str) -> String {
        let mut parts: Vec<&str> = uri.strip_prefix("pkcs11:").unwrap().split(';').collect();
        for n in (1..parts.len()).rev() {
            parts.swap(n, self.below(n + 1));
        }
        let part = |numbers: &mut Numbers, part: &str| {
            let (name, value) = part.split_once('=').unwrap();
            let mut out = format!("{name}=");
            for octet in decoded(value).unwrap() {
                let plain = unreserved(octet) || b":[]@!$'()*+,=&".contains(&octet);
                match numbers.below(3) {
                    0 if plain => out.push(char::from(octet)),
                    1 => out.push_str(&format!("%{octet:02x}")),
                    _ => out.push_str(&format!("%{octet:02X}")),
                }
            }
            out
        };
        let parts: Vec<String> = parts.into_iter().map(|p| part(self, p)).collect();
        format!("pkcs11:{}", parts.join(";"))
    }
}

#[test]
fn what_is_written_reads_back_however_it_is_written() {
    let mut n = Numbers(7512);
    for _ in 0..2_000 {
        // Short enough that it stays below the limit with every octet escaped.
        let uri = TokenUri {
            token: n.line(32),
            serial: n.maybe(16),
            manufacturer: n.maybe(32),
            model: n.maybe(16),
            library_manufacturer: n.maybe(32),
            library_description: n.maybe(32),
            library_version: (n.below(2) == 0).then(|| (n.below(256) as u8, n.below(256) as u8)),
            slot_description: n.maybe(40),
            slot_manufacturer: n.maybe(32),
        };
        let text = uri.to_string();
        assert!(text.bytes().all(|c| unreserved(c) || b":;=%".contains(&c)), "{text}");
        assert_eq!(parsed(&text).unwrap(), uri, "{text}");
        let other = n.rewritten(&text);
        assert_eq!(parsed(&other).unwrap(), uri, "{other}");

        let octets = 1 + n.below(MAX_ID);
        let id = (n.below(2) == 0).then(|| (0..octets).map(|_| n.below(256) as u8).collect());
        let uri = KeyUri { object: n.line(64), id };
        assert_eq!(key(&uri.to_string()).unwrap(), uri);
        let other = n.rewritten(&uri.to_string());
        assert_eq!(key(&other).unwrap(), uri, "{other}");
    }
    let uri = TokenUri { token: "a b".into(), ..TokenUri::default() };
    assert_eq!(uri.to_string(), "pkcs11:token=a%20b");
}

#[test]
fn one_changed_character_never_reads_as_the_same_token() {
    let mut n = Numbers(1);
    let uri = TokenUri { token: "root 2026".into(), serial: Some("00a1".into()), ..TokenUri::default() };
    let text = uri.to_string();
    for _ in 0..2_000 {
        let mut changed = text.clone().into_bytes();
        let place = n.below(changed.len());
        let octet = b' ' + n.below(95) as u8;
        if changed[place].eq_ignore_ascii_case(&octet) {
            continue;
        }
        changed[place] = octet;
        let changed = String::from_utf8(changed).unwrap();
        assert!(parsed(&changed).is_err() || parsed(&changed).unwrap() != uri, "{changed}");
    }
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
        ("pkcs11:token=a;library-version=1;library-version=1", "`library-version` twice"),
        ("pkcs11:token=", "1 to 32"),
        ("pkcs11:token=a%0a", "1 to 32"),
        ("pkcs11:token=a%", "percent-encoded"),
        ("pkcs11:token=a%2", "percent-encoded"),
        ("pkcs11:token=a%zz", "percent-encoded"),
        ("pkcs11:token=%ff", "not UTF-8"),
        ("pkcs11:token=a b", "percent-encoded"),
        ("pkcs11:token=a/b", "percent-encoded"),
        ("pkcs11:token=a;serial=12345678901234567", "1 to 16"),
        ("pkcs11:token=a;slot-id=3", "slots move"),
        ("pkcs11:token=a;object=root", "[[key]]"),
        ("pkcs11:token=a;id=%01", "[[key]]"),
        ("pkcs11:token=a;type=private", "[[key]]"),
        ("pkcs11:token=a;library-version=x", "no version"),
        ("pkcs11:token=a;library-version=1.", "no version"),
        ("pkcs11:token=a;library-version=1.2.3", "no version"),
        ("pkcs11:token=a;library-version=256", "no version"),
        ("pkcs11:token=a;library-version=+1", "no version"),
        ("pkcs11:token=a;x-vendor=1", "vendors add"),
        ("pkcs11:token=a;Serial=1", "known are token"),
        ("pkcs11:token=a;pin-value=1234", "no attribute of the path"),
        ("pkcs11:token=a?pin-value=1234", "a PIN never stands in a file"),
        ("pkcs11:token=a?module-path=/x.so&pin-value=1234", "a PIN never stands in a file"),
        ("pkcs11:token=a?pin-source=file:/etc/pin", "in a rehearsal by `pin-file`"),
        ("pkcs11:token=a?module-path=/evil.so", "said by `module`"),
        ("pkcs11:token=a?module-name=evil", "said by `module`"),
        ("pkcs11:token=a?x-vendor=1", "vendors add"),
        ("pkcs11:token=a?", "no meaning here"),
    ];
    for (text, reason) in cases {
        let said = parsed(text).unwrap_err();
        assert!(said.contains(reason), "{text}: {said}");
        assert!(!said.contains("1234"), "{said}");
    }
    assert!(parsed(&format!("pkcs11:token={}", "%41".repeat(400))).unwrap_err().contains("longer than"));
    let keys = [
        ("pkcs11:id=%01", "names no `object`"),
        ("pkcs11:object=", "1 to 64"),
        ("pkcs11:object=a;type=public", "another `type` than private"),
        ("pkcs11:object=a;type=cert", "another `type` than private"),
        ("pkcs11:object=a;type=key", "does not know"),
        ("pkcs11:object=a;id=", "1 to 64 octets"),
        ("pkcs11:object=a;id=%1", "percent-encoded"),
        ("pkcs11:object=a;token=b", "said by `token`"),
        ("pkcs11:object=a;slot-description=b", "said by `token`"),
        ("pkcs11:object=a?pin-value=1234", "a PIN never stands in a file"),
    ];
    for (text, reason) in keys {
        let said = key(text).unwrap_err();
        assert!(said.contains(reason) && !said.contains("1234"), "{text}: {said}");
    }
    assert!(key(&format!("pkcs11:object=a;id={}", "%41".repeat(65))).unwrap_err().contains("1 to 64 octets"));
}
