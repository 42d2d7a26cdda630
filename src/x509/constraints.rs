//! What a CA's certificate leaves to those below it: nameConstraints (RFC 5280 §4.2.1.10), policyConstraints (§4.2.1.11) and
//! inhibitAnyPolicy (§4.2.1.14), from DER, and which names lie within.

use super::der::{self, DerFault, Element, context, context_primitive};
use super::extensions::{INHIBIT_ANY_POLICY, NAME_CONSTRAINTS, POLICY_CONSTRAINTS};
use super::fields::{Constraints, GeneralName, Subtree};
use super::name::{ip_address, rdns, same_words, values};
use crate::cbor::Bytes;
use crate::text::escape;
use crate::text::idn;

/// emailAddress in a subject: a legacy place of a mailbox, which a constraint on mail binds too (RFC 5280 §4.2.1.10).
const EMAIL_ADDRESS: &str = "1.2.840.113549.1.9.1";

/// nameConstraints; `None` when it has a form, or a minimum or maximum, that the fields do not hold.
pub(crate) fn read_name_constraints(value: &[u8]) -> Result<Option<[Vec<Subtree>; 2]>, DerFault> {
    der::canonical(value)?;
    let mut fields = der::only(value, der::SEQUENCE)?.inside();
    let mut lists = [Vec::new(), Vec::new()];
    for (number, list) in (0..).zip(&mut lists) {
        let Some(subtrees) = fields.optional(context(number))? else { continue };
        let mut reader = subtrees.inside();
        if reader.is_empty() {
            return Err(DerFault::Empty);
        }
        while !reader.is_empty() {
            let mut subtree = reader.expect(der::SEQUENCE)?.inside();
            let base = subtree.next()?;
            if !subtree.is_empty() {
                return Ok(None);
            }
            let Some(base) = read_base(&base)? else { return Ok(None) };
            list.push(base);
        }
    }
    fields.end()?;
    if lists.iter().all(Vec::is_empty) { Err(DerFault::Empty) } else { Ok(Some(lists)) }
}

fn read_base(base: &Element<'_>) -> Result<Option<Subtree>, DerFault> {
    let ascii = || match std::str::from_utf8(base.content) {
        Ok(text) if text.is_ascii() => Ok(text.to_owned()),
        _ => Err(DerFault::Text),
    };
    Ok(Some(match base.tag {
        0x81 => Subtree::Email(ascii()?),
        0x82 => Subtree::Dns(ascii()?),
        0xa4 => Subtree::Directory(Bytes::from(der::only(base.content, der::SEQUENCE)?.whole)),
        0x87 if block(base.content).is_some() => Subtree::Ip(Bytes::from(base.content)),
        _ => return Ok(None),
    }))
}

/// policyConstraints: requireExplicitPolicy and inhibitPolicyMapping, at least one of them.
pub(crate) fn read_policy_constraints(value: &[u8]) -> Result<[Option<u32>; 2], DerFault> {
    der::canonical(value)?;
    let mut fields = der::only(value, der::SEQUENCE)?.inside();
    let mut count = |number| fields.optional(context_primitive(number))?.map(|found| skip_certs(&found)).transpose();
    let found = [count(0)?, count(1)?];
    fields.end()?;
    if found == [None, None] { Err(DerFault::Empty) } else { Ok(found) }
}

/// inhibitAnyPolicy.
pub(crate) fn read_inhibit_any_policy(value: &[u8]) -> Result<u32, DerFault> {
    skip_certs(&der::only(value, der::INTEGER)?)
}

fn skip_certs(element: &Element<'_>) -> Result<u32, DerFault> {
    u32::try_from(der::unsigned_64(element)?).map_err(|_| DerFault::Integer)
}

/// Address and mask of an iPAddress constraint: as long as each other, the mask a prefix (RFC 4632 §3.1), nothing behind it.
fn block(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (address, mask) = octets.split_at_checked(octets.len() / 2).filter(|(a, m)| a.len() == m.len())?;
    let ones: u32 = mask.iter().map(|octet| octet.count_ones()).sum();
    let leading = mask.iter().take_while(|octet| **octet == 0xff).count() * 8;
    let next = mask.get(leading / 8).map_or(0, |octet| octet.leading_ones() as usize);
    let prefix = ones as usize == leading + next;
    let bare = address.iter().zip(mask).all(|(a, m)| a & !m == 0);
    (ip_address(address).is_some() && prefix && bare).then_some((address, mask))
}

/// A name of a certificate, in the form by which it is constrained.
enum Name<'a> {
    Dns(&'a str),
    Email(&'a str),
    Ip(&'a [u8]),
    Directory(&'a [u8]),
}

impl Name<'_> {
    fn shown(&self) -> String {
        match self {
            Name::Dns(text) | Name::Email(text) => escape(text),
            Name::Ip(octets) => ip_address(octets).map_or_else(|| crate::text::hex(octets), |ip| ip.to_string()),
            Name::Directory(name) => super::name_text(name),
        }
    }
}

impl Constraints {
    pub fn is_empty(&self) -> bool {
        *self == Constraints::default()
    }

    /// The three extensions by their dotted identifiers, sorted, and whether they stand. Each that does is critical.
    pub fn extensions(&self) -> [(&'static str, bool); 3] {
        let policies = [self.require_explicit_policy, self.inhibit_policy_mapping];
        [
            (NAME_CONSTRAINTS, !self.permitted.is_empty() || !self.excluded.is_empty()),
            (POLICY_CONSTRAINTS, policies != [None, None]),
            (INHIBIT_ANY_POLICY, self.inhibit_any_policy.is_some()),
        ]
    }

    /// The first name of a certificate that lies outside, in words: a permitted subtree of its form exists and none holds it, or
    /// an excluded one does. A service's name (SRVName, xmppAddr) is judged as the domain's: neither has a constraint of its
    /// own here, and it would be a way around.
    pub fn outside(&self, subject: &[u8], san: &[GeneralName]) -> Option<String> {
        let mails: Vec<String> =
            values(subject, EMAIL_ADDRESS).unwrap_or_default().iter().map(|mail| mail.raw().to_owned()).collect();
        let mut names: Vec<Name> = mails.iter().map(|mail| Name::Email(mail)).collect();
        // RFC 5280 §4.2.1.10: an empty subject is bound by nothing.
        if subject != [0x30, 0] {
            names.push(Name::Directory(subject));
        }
        for name in san {
            names.push(match name {
                GeneralName::Dns(text) => Name::Dns(text),
                GeneralName::Srv(text) => Name::Dns(text.split_once('.').map_or("", |(_, domain)| domain)),
                GeneralName::XmppAddr(_) => continue,
                GeneralName::Email(text) | GeneralName::Utf8Mailbox(text) => Name::Email(text),
                GeneralName::Ip(octets) => Name::Ip(octets),
                GeneralName::Other(der) if der.first() == Some(&0xa4) => match der::only(der, 0xa4) {
                    Ok(name) => Name::Directory(name.content),
                    Err(_) => continue,
                },
                GeneralName::Uri(_) | GeneralName::Other(_) => continue,
            });
        }
        // A JID has its domain in U-labels, a subtree in A-labels.
        let domains: Vec<String> = san.iter().filter_map(jid_domain).collect();
        names.extend(domains.iter().map(|domain| Name::Dns(domain)));
        names.iter().find_map(|name| self.outside_one(name))
    }

    fn outside_one(&self, name: &Name<'_>) -> Option<String> {
        if self.excluded.iter().any(|base| reaches(base, name)) {
            return Some(format!("`{}` is excluded", name.shown()));
        }
        let mut same_form = self.permitted.iter().filter(|base| of_form(base, name)).peekable();
        let bound = same_form.peek().is_some();
        (bound && !same_form.any(|base| holds(base, name))).then(|| format!("`{}` is not permitted", name.shown()))
    }

    /// A subtree that a certificate below would permit, and these do not (RFC 5280 §6.1.4: only the intersection counts, so it
    /// would promise what it cannot keep).
    pub fn wider(&self, below: &Constraints) -> Option<String> {
        below.permitted.iter().find_map(|base| {
            let name = match base {
                Subtree::Dns(text) => Name::Dns(text),
                Subtree::Email(text) => Name::Email(text.strip_prefix('.').unwrap_or(text)),
                Subtree::Directory(name) => Name::Directory(name),
                Subtree::Ip(octets) => {
                    let (address, mask) = block(octets)?;
                    let wider = |other: &Subtree| match other {
                        Subtree::Ip(other) => block(other).is_some_and(|(_, m)| {
                            m.len() == mask.len() && holds(&Subtree::Ip(other.clone()), &Name::Ip(address)) && m <= mask
                        }),
                        _ => false,
                    };
                    let mut same = self.permitted.iter().filter(|b| of_form(b, &Name::Ip(address))).peekable();
                    let bound = same.peek().is_some();
                    return (bound && !same.any(wider)).then(|| format!("`{}` is not permitted", base.text()));
                }
            };
            let mut same = self.permitted.iter().filter(|b| of_form(b, &name)).peekable();
            let bound = same.peek().is_some();
            (bound && !same.any(|other| other == base || holds(other, &name)))
                .then(|| format!("`{}` is not permitted", base.text()))
        })
    }
}

fn jid_domain(name: &GeneralName) -> Option<String> {
    let GeneralName::XmppAddr(jid) = name else { return None };
    let bare = jid.split_once('/').map_or(jid.as_str(), |(bare, _)| bare);
    let domain = bare.rsplit_once('@').map_or(bare, |(_, domain)| domain);
    Some(idn::a_labels(domain).unwrap_or_else(|| domain.to_owned()))
}

fn of_form(base: &Subtree, name: &Name<'_>) -> bool {
    matches!(
        (base, name),
        (Subtree::Dns(_), Name::Dns(_))
            | (Subtree::Email(_), Name::Email(_))
            | (Subtree::Directory(_), Name::Directory(_))
            | (Subtree::Ip(_), Name::Ip(_))
    )
}

/// Whether the whole of a name lies in a subtree. Distinguished names count as equal octet for octet.
fn holds(base: &Subtree, name: &Name<'_>) -> bool {
    match (base, name) {
        (Subtree::Dns(base), Name::Dns(name)) => below(base, name),
        (Subtree::Email(base), Name::Email(mail)) => {
            let host = mail.rsplit_once('@').map_or(*mail, |(_, host)| host);
            match base.strip_prefix('.') {
                Some(domain) => host.len() > domain.len() && below(domain, host),
                None if base.contains('@') => base == mail,
                None => base.eq_ignore_ascii_case(host),
            }
        }
        (Subtree::Ip(base), Name::Ip(octets)) => block(base).is_some_and(|(address, mask)| {
            address.len() == octets.len() && octets.iter().zip(address).zip(mask).all(|((o, a), m)| o & m == *a)
        }),
        (Subtree::Directory(base), Name::Directory(name)) => match (rdns(base), rdns(name)) {
            (Ok(base), Ok(name)) => name.starts_with(&base),
            _ => false,
        },
        _ => false,
    }
}

/// Whether any part of a name lies in a subtree, or may to a lenient reader: a wildcard covers hosts below it; letters of either
/// case and strings of any type are one name.
fn reaches(base: &Subtree, name: &Name<'_>) -> bool {
    match (base, name) {
        (Subtree::Dns(base), Name::Dns(name)) if !name.is_ascii() => {
            !base.is_empty() || holds(&Subtree::Dns(base.clone()), &Name::Dns(name))
        }
        (Subtree::Dns(base), Name::Dns(name)) => {
            let covered = name.strip_prefix("*.").is_some_and(|rest| below(rest, base));
            below(base, name) || covered
        }
        (Subtree::Directory(base), Name::Directory(name)) => same_words(base, name),
        _ => holds(base, name),
    }
}

/// Zero or more labels in front of the base.
fn below(base: &str, name: &str) -> bool {
    let (base, name) = (base.to_ascii_lowercase(), name.to_ascii_lowercase());
    base.is_empty() || name.strip_suffix(&base).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl Subtree {
    /// For people, safe for any output.
    pub fn text(&self) -> String {
        match self {
            Subtree::Dns(base) if base.is_empty() => "DNS (every name)".into(),
            Subtree::Dns(base) => format!("DNS {}", escape(base)),
            Subtree::Email(base) => format!("mail {}", escape(base)),
            Subtree::Directory(name) => format!("directory {}", super::name_text(name)),
            Subtree::Ip(octets) => match block(octets) {
                Some((address, mask)) => {
                    let bits: u32 = mask.iter().map(|octet| octet.count_ones()).sum();
                    let address = ip_address(address).map_or_else(String::new, |ip| ip.to_string());
                    format!("IP {address}/{bits}")
                }
                None => format!("IP {}", crate::text::hex(octets)),
            },
        }
    }

    /// An iPAddress subtree of this text, an address and the length of its prefix; `None` for one that is none.
    pub fn ip(text: &str) -> Option<Subtree> {
        let (address, bits) = text.split_once('/')?;
        let bits: u32 = bits.parse().ok()?;
        let (address, width) = match address.parse().ok()? {
            std::net::IpAddr::V4(ip) => (ip.octets().to_vec(), 32),
            std::net::IpAddr::V6(ip) => (ip.octets().to_vec(), 128),
        };
        let mask = (0..width).map(|bit| bit < bits).collect::<Vec<bool>>();
        let mask = mask.chunks(8).map(|octet| octet.iter().fold(0u8, |sum, bit| sum << 1 | u8::from(*bit)));
        let octets: Vec<u8> = address.into_iter().chain(mask).collect();
        let lawful = bits <= width && block(&octets).is_some();
        lawful.then(|| Subtree::Ip(Bytes::from(octets)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge::cn;
    use super::*;

    fn dns(name: &str) -> GeneralName {
        GeneralName::Dns(name.into())
    }

    fn outside(constraints: &Constraints, name: GeneralName) -> bool {
        constraints.outside(&[0x30, 0], &[name]).is_some()
    }

    #[test]
    fn a_name_lies_below_its_base_label_by_label() {
        let limits = Constraints { permitted: vec![Subtree::Dns("example.org".into())], ..Constraints::default() };
        for inside in ["example.org", "a.example.org", "A.Example.ORG", "*.example.org"] {
            assert!(!outside(&limits, dns(inside)), "{inside}");
        }
        for out in ["badexample.org", "example.org.evil.net", "org", "*.org", ""] {
            assert!(outside(&limits, dns(out)), "{out}");
        }
        // A service's name is the domain's; other forms are not bound.
        assert!(!outside(&limits, GeneralName::Srv("_xmpp-server.example.org".into())));
        assert!(outside(&limits, GeneralName::Srv("_xmpp-server.example.net".into())));
        assert!(outside(&limits, GeneralName::XmppAddr("juliet@example.net/example.org".into())));
        assert!(!outside(&limits, GeneralName::Ip(Bytes::from(vec![10, 0, 0, 1]))));
        assert!(!outside(&limits, GeneralName::Email("a@example.net".into())));
    }

    #[test]
    fn what_a_wildcard_covers_is_excluded_with_it() {
        let limits =
            Constraints { excluded: vec![Subtree::Dns("secret.example.org".into())], ..Constraints::default() };
        assert!(outside(&limits, dns("secret.example.org")) && outside(&limits, dns("a.secret.example.org")));
        assert!(outside(&limits, dns("*.example.org")));
        assert!(!outside(&limits, dns("open.example.org")));
        assert!(outside(&limits, GeneralName::XmppAddr("\u{265a}.example.org".into())), "it cannot be compared");
        // The domain of a JID is in U-labels.
        let limits =
            Constraints { excluded: vec![Subtree::Dns("xn--mller-kva.example".into())], ..Constraints::default() };
        assert!(outside(&limits, GeneralName::XmppAddr("juliet@M\u{fc}ller.example".into())));
        assert!(!outside(&limits, GeneralName::XmppAddr("juliet@m\u{e4}ller.example".into())));
    }

    #[test]
    fn addresses_and_mailboxes_have_rules_of_their_own() {
        let block = Subtree::ip("10.1.0.0/16").unwrap();
        let limits =
            Constraints { permitted: vec![block, Subtree::Email(".example.org".into())], ..Constraints::default() };
        assert!(!outside(&limits, GeneralName::Ip(Bytes::from(vec![10, 1, 200, 3]))));
        assert!(outside(&limits, GeneralName::Ip(Bytes::from(vec![10, 2, 0, 1]))));
        assert!(outside(&limits, GeneralName::Ip(Bytes::from(vec![0; 16]))), "another family is another address");
        assert!(!outside(&limits, GeneralName::Email("a@b.example.org".into())));
        assert!(outside(&limits, GeneralName::Email("a@example.org".into())), "a dot in front: hosts below alone");
        for wrong in ["10.1.0.0/33", "10.1.0.1/16", "10.1.0.0", "x/8", "::1/127"] {
            assert_eq!(Subtree::ip(wrong), None, "{wrong}");
        }
        assert_eq!(Subtree::ip("2001:db8::/32").unwrap().text(), "IP 2001:db8::/32");
    }

    #[test]
    fn subjects_are_permitted_by_their_octets_and_excluded_by_their_words() {
        let (upper, lower) = (cn("Acme"), cn("ACME"));
        let base = |name: &[u8]| Subtree::Directory(Bytes::from(name));
        let permitted = Constraints { permitted: vec![base(&upper)], ..Constraints::default() };
        assert_eq!(permitted.outside(&upper, &[]), None);
        assert!(permitted.outside(&lower, &[]).is_some());
        assert_eq!(permitted.outside(&[0x30, 0], &[]), None);
        let excluded = Constraints { excluded: vec![base(&upper)], ..Constraints::default() };
        assert!(excluded.outside(&lower, &[]).is_some());
        assert_eq!(excluded.outside(&cn("Other"), &[]), None);
    }

    #[test]
    fn a_certificate_below_permits_no_more() {
        let of = |permitted: Vec<Subtree>| Constraints { permitted, ..Constraints::default() };
        let limits = of(vec![Subtree::Dns("example.org".into()), Subtree::ip("10.0.0.0/8").unwrap()]);
        for inside in
            [Subtree::Dns("a.example.org".into()), Subtree::ip("10.9.0.0/16").unwrap(), Subtree::Email("x".into())]
        {
            assert_eq!(limits.wider(&of(vec![inside])), None);
        }
        for out in [
            Subtree::Dns("org".into()),
            Subtree::Dns("".into()),
            Subtree::ip("10.0.0.0/7").unwrap_or(Subtree::ip("0.0.0.0/0").unwrap()),
        ] {
            assert!(limits.wider(&of(vec![out.clone()])).is_some(), "{}", out.text());
        }
    }
}
