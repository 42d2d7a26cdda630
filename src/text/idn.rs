//! International names in one spelling: domain names in A-labels, the local part of a JID by PRECIS, mailboxes by RFC 9598. Two
//! names are the same when their spellings here are.
//!
//! UTS 46 says how letters are mapped, IDNA2008 which may stand in a label; a name has to please both, so symbols that browsers
//! once took (RFC 5892) are refused.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, ErrorPolicy, Hyphens, Uts46};
use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::Profile;
use unicode_normalization::char::is_combining_mark;
use unicode_normalization::is_nfc;
use unicode_script::{Script, UnicodeScript};

/// How a JID stands in the desk's table: `xmpp:juliet@example.org`.
pub const JID: &str = "xmpp:";
/// How a mailbox stands in the desk's table: `mailto:juliet@example.org`.
pub const MAILBOX: &str = "mailto:";

/// A domain name in lower-case A-labels, from any mix of forms (RFC 5890 §2.3); `None`: it has none. A wildcard's `*` stays.
pub fn a_labels(domain: &str) -> Option<String> {
    let (wildcard, plain) = match domain.strip_prefix("*.") {
        Some(plain) => ("*.", plain),
        None => ("", domain),
    };
    let uts46 = Uts46::new();
    let ascii = uts46.to_ascii(plain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify).ok()?;
    // What was an A-label already must come back as it was (RFC 5891 §5.3): another spelling of the same label passes no more.
    if plain.is_ascii() && !plain.eq_ignore_ascii_case(&ascii) {
        return None;
    }
    u_labels(&ascii)?.split('.').all(is_label).then(|| format!("{wildcard}{ascii}"))
}

/// The same in U-labels, for people and for JIDs.
pub fn u_labels(domain: &str) -> Option<String> {
    let uts46 = Uts46::new();
    let mut out = String::new();
    let done = uts46.process(
        domain.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::Check,
        ErrorPolicy::FailFast,
        |_, _, _| true,
        &mut out,
        None,
    );
    use idna::uts46::ProcessingSuccess::{Passthrough, WroteToSink};
    match done.ok()? {
        Passthrough => Some(domain.to_owned()),
        WroteToSink => Some(out),
    }
}

/// The characters of IDNA2008 (RFC 5892): letters, digits, marks and the hyphen; and a few signs where their script wants them.
fn is_label(label: &str) -> bool {
    let chars: Vec<char> = label.chars().collect();
    let has = |script: Script| chars.iter().any(|c| c.script() == script);
    let digits = |first: u32| chars.iter().any(|c| (first..first + 10).contains(&u32::from(*c)));
    // Appendix A.8 and A.9: Arabic digits of two kinds never meet.
    if digits(0x660) && digits(0x6f0) {
        return false;
    }
    chars.iter().enumerate().all(|(at, c)| {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after = chars.get(at + 1);
        match c {
            // Appendix A.3 to A.7; the joiners of A.1 and A.2 are judged by UTS 46.
            '\u{b7}' => before == Some(&'l') && after == Some(&'l'),
            '\u{375}' => after.is_some_and(|c| c.script() == Script::Greek),
            '\u{5f3}' | '\u{5f4}' => before.is_some_and(|c| c.script() == Script::Hebrew),
            '\u{30fb}' => has(Script::Hiragana) || has(Script::Katakana) || has(Script::Han),
            '\u{200c}' | '\u{200d}' | '-' => true,
            c => is_letter(*c),
        }
    })
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

/// Somebody at a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub local: String,
    /// In A-labels.
    pub domain: String,
}

impl Address {
    /// `local@domain`, the domain in A-labels.
    pub fn ascii_domain(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// As a JID is written (RFC 7622 §3.2.1): the domain in U-labels.
    pub fn jid(&self) -> String {
        format!("{}@{}", self.local, u_labels(&self.domain).unwrap_or_else(|| self.domain.clone()))
    }
}

/// A bare JID with a localpart (RFC 7622); the error is a clause.
pub fn jid(text: &str) -> Result<Address, &'static str> {
    if text.contains('/') {
        return Err("has a resource, and a certificate is for a bare JID");
    }
    let (local, domain) = text.split_once('@').ok_or("has no localpart")?;
    // RFC 7622 §3.3.1: beyond what the profile disallows.
    if local.contains(['"', '&', '\'', ':', '<', '>']) {
        return Err("has a localpart with one of \" & ' : < >");
    }
    let profile = UsernameCaseMapped::new();
    let enforced = profile.enforce(local).map_err(|_| "has a localpart that PRECIS forbids (RFC 8265 section 3.3)")?;
    // RFC 8264 §7: a few strings change again when they are enforced again.
    if profile.enforce(enforced.as_ref()).ok().as_ref() != Some(&enforced) {
        return Err("has a localpart that has no lasting form");
    }
    let domain = host(domain)?;
    Ok(Address { local: enforced.into_owned(), domain })
}

/// A mailbox (RFC 5321 §4.1.2 without quoted strings, RFC 6531 §3.3): the local part as it is, the domain in A-labels as
/// rfc822Name and SmtpUTF8Mailbox have it (RFC 9598 §3).
pub fn mailbox(text: &str) -> Result<Address, &'static str> {
    let (local, domain) = text.rsplit_once('@').ok_or("has no `@`")?;
    if local.is_empty() || local.len() > 64 {
        return Err("has a local part that does not have 1 to 64 octets");
    }
    let atext = |c: char| match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c),
        false => is_letter(c),
    };
    if !local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext)) {
        return Err("has a local part that is no dot-string of letters, digits and !#$%&'*+-/=?^_`{|}~");
    }
    // RFC 6532 §3.1: one spelling, or octets that look the same would differ.
    if !is_nfc(local) {
        return Err("has a local part that is not in Unicode's form NFC");
    }
    Ok(Address { local: local.to_owned(), domain: host(domain)? })
}

/// The domain behind an `@`: never a wildcard, never an IP address.
fn host(domain: &str) -> Result<String, &'static str> {
    let number = |label: &str| label.bytes().all(|c| c.is_ascii_digit());
    match a_labels(domain) {
        Some(host) if !host.starts_with("*.") && !host.rsplit('.').next().is_none_or(number) => Ok(host),
        _ => Err("has no lawful domain name behind its `@` (RFC 5890 section 2.3)"),
    }
}

/// A validated name in the one spelling that is compared: JIDs and mailboxes as above, a domain name with letters beyond ASCII in
/// A-labels; ASCII (domain names, addresses, ids, URNs) stays as it is. The error is a clause.
pub fn canonical(name: &str) -> Result<String, &'static str> {
    if let Some(text) = name.strip_prefix(JID) {
        return Ok(format!("{JID}{}", jid(text)?.ascii_domain()));
    }
    if let Some(text) = name.strip_prefix(MAILBOX) {
        return Ok(format!("{MAILBOX}{}", mailbox(text)?.ascii_domain()));
    }
    match name.is_ascii() {
        true if name.is_empty() || !name.bytes().all(|c| c.is_ascii_graphic()) => {
            Err("has a space or a control character")
        }
        true => Ok(name.to_owned()),
        false => a_labels(name).ok_or("is no domain name of letters, digits and hyphens (RFC 5890 section 2.3)"),
    }
}

/// What is wrong with a name that is not [`canonical`]; the error is a clause.
pub fn must_be_canonical(name: &str) -> Result<(), &'static str> {
    match canonical(name)? == name {
        true => Ok(()),
        false => Err("is not in the spelling that is compared: lower-case A-labels, a JID by PRECIS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names_have_one_spelling() {
        for (given, wanted) in [
            ("M\u{fc}ller.Example", "xn--mller-kva.example"),
            ("mu\u{308}ller.example", "xn--mller-kva.example"),
            ("XN--Mller-KVA.example", "xn--mller-kva.example"),
            ("*.m\u{fc}ller.example", "*.xn--mller-kva.example"),
            ("fa\u{df}.example", "xn--fa-hia.example"),
            ("\u{65e5}\u{672c}\u{30fb}.example", "xn--vek160nb2a.example"),
            ("a.example", "a.example"),
        ] {
            assert_eq!(a_labels(given).as_deref(), Some(wanted), "{given}");
        }
        assert_eq!(u_labels("xn--mller-kva.example").as_deref(), Some("m\u{fc}ller.example"));
        for bad in [
            // no Punycode; nothing beyond ASCII; a capital, and no NFC inside
            "xn--99999999.example",
            "xn--abc-.example",
            "xn--.example",
            "xn--mller-2pa.example",
            "xn--muller-xyd.example",
            // symbols, dots and joiners out of place, digits of two kinds, right-to-left mixed
            "\u{265a}.example",
            "xn--45h.example",
            "a\u{b7}b.example",
            "\u{30fb}a.example",
            "a\u{200d}b.example",
            "\u{661}\u{6f1}\u{645}.example",
            "a\u{5d0}.example",
            "ab--cd.example",
            "a_b.example",
            "a b.example",
            "m\u{fc}ller..example",
            "m\u{fc}ller.example.",
            "*.*.example",
            "",
        ] {
            assert_eq!(a_labels(bad), None, "{bad}");
        }
    }

    #[test]
    fn jids_are_those_of_rfc_7622() {
        for (given, wanted) in [
            ("Juliet@Example.ORG", "juliet@example.org"),
            ("\u{3a3}@example.org", "\u{3c3}@example.org"),
            ("\u{ff4a}uliet@m\u{fc}ller.example", "juliet@xn--mller-kva.example"),
            ("fussball@xn--mller-kva.example", "fussball@xn--mller-kva.example"),
        ] {
            let name = jid(given).unwrap();
            assert_eq!(name.ascii_domain(), wanted, "{given}");
            assert_eq!(jid(&name.jid()).unwrap(), name, "{given}");
        }
        assert_eq!(jid("a@xn--mller-kva.example").unwrap().jid(), "a@m\u{fc}ller.example");
        for bad in [
            "example.org",
            "@example.org",
            "juliet@",
            "juliet@example.org/balcony",
            "foo bar@example.com",
            "fo\"o@example.com",
            "a:b@example.com",
            "henry\u{2163}@example.com",
            "\u{265a}@example.com",
            "a@b@example.com",
            "a@*.example.com",
            "a@192.0.2.1",
            "a@\u{265a}.example",
        ] {
            assert!(jid(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mailboxes_are_those_of_rfc_9598() {
        for (given, wanted) in [
            ("Juliet.C+a@Example.ORG", "Juliet.C+a@example.org"),
            ("\u{533b}\u{751f}@\u{5927}\u{5b66}.example", "\u{533b}\u{751f}@xn--pss25c.example"),
        ] {
            assert_eq!(mailbox(given).unwrap().ascii_domain(), wanted);
        }
        for bad in [
            "juliet",
            "@a.example",
            "a..b@a.example",
            ".a@a.example",
            "a b@a.example",
            "\"a b\"@a.example",
            "a@b@",
            "u\u{308}@a.example",
            "\u{feff}\u{fc}@a.example",
            "a\u{202e}b@a.example",
            "a@[192.0.2.1]",
        ] {
            assert!(mailbox(bad).is_err(), "{bad}");
        }
        assert!(mailbox(&format!("{}@a.example", "a".repeat(65))).is_err());
    }

    #[test]
    fn what_is_canonical_stays_as_it_is() {
        for (given, wanted) in [
            ("xmpp:Juliet@M\u{fc}ller.example", "xmpp:juliet@xn--mller-kva.example"),
            ("mailto:A@B.example", "mailto:A@b.example"),
            ("*.m\u{fc}ller.example", "*.xn--mller-kva.example"),
            ("Pump_7", "Pump_7"),
            ("192.0.2.1", "192.0.2.1"),
            ("urn:dev:mac:0024befffe804ff1", "urn:dev:mac:0024befffe804ff1"),
        ] {
            let once = canonical(given).unwrap();
            assert_eq!(once, wanted);
            assert_eq!(must_be_canonical(&once), Ok(()));
            assert_eq!(must_be_canonical(given).is_ok(), given == wanted, "{given}");
        }
        for bad in ["xmpp:", "xmpp:example.org", "mailto:a", "d\u{e9} e", "\u{265a}", "", "a b", "a\n"] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
    }
}
