//! The CA/Browser Forum's Baseline Requirements for TLS server certificates (version 2.1), as far as they bind what is declared and
//! what is signed: numbers, lists and the questions over both. `config` asks them of declarations, `policy` of certificates, so that
//! none stands twice. What is wrong is one clause without its subject; sections are those of the Requirements.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use crate::algorithm::KeyAlgorithm;
use crate::x509::fields::{Constraints, GeneralName, OtherExtension, Policy, Subtree};
use crate::x509::{CLIENT_AUTH, OCSP_SIGNING, SERVER_AUTH};

use super::name::{DnType, Rdn};
use super::profile::Validity;

/// What a certificate under the Requirements is (7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 7.1.2.1.
    Root,
    /// A CA under which TLS servers are certified (7.1.2.5, 7.1.2.6).
    TlsCa,
    /// A CA for other purposes under a root of TLS CAs (7.1.2.3).
    OtherCa,
    /// A certificate for a CA that has one (7.1.2.2).
    CrossCa,
    /// 7.1.2.7, domain-validated: this program certifies no person and no organisation.
    Server,
}

/// anyPolicy (RFC 5280 §4.2.1.4).
const ANY_POLICY: &str = "2.5.29.32.0";
/// Domain-validated, organisation-validated, individual-validated, and extended validation (7.1.6.1).
const DOMAIN_VALIDATED: &str = "2.23.140.1.2.1";
const RESERVED_POLICIES: [&str; 4] = [DOMAIN_VALIDATED, "2.23.140.1.2.2", "2.23.140.1.2.3", "2.23.140.1.1"];
/// Code signing, e-mail protection, time stamping, OCSP signing, any purpose, precertificate signing (7.1.2.7.10, 7.1.2.10.6).
const FOREIGN_PURPOSES: [&str; 6] =
    ["1.3.6.1.5.5.7.3.3", "1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.8", OCSP_SIGNING, ANY_PURPOSE, PRECERTIFICATE_SIGNING];
const ANY_PURPOSE: &str = "2.5.29.37.0";
const PRECERTIFICATE_SIGNING: &str = "1.3.6.1.4.1.11129.2.4.4";
/// The list of SCTs and the poison of precertificates (RFC 6962 §3.1, §3.3): no log is asked here, so neither can be true.
const TRANSPARENCY: [&str; 2] = ["1.3.6.1.4.1.11129.2.4.2", "1.3.6.1.4.1.11129.2.4.3"];

/// Validity of a root in days (7.1.2.1.1).
pub const ROOT_DAYS: RangeInclusive<u32> = 2_922..=9_132;
/// Before which time, seconds since the epoch, a server's certificate may be issued for so many days (6.3.2, ballot SC-081):
/// 2026-03-15, 2027-03-15 and 2029-03-15, each at 00:00 UTC.
const SERVER_DAYS: [(i64, u32); 3] = [(1_773_532_800, 398), (1_805_068_800, 200), (1_868_227_200, 100)];
/// From the last of these times on.
const LAST_SERVER_DAYS: u32 = 47;
/// From the first of these times on a certificate of at most seven days is short-lived, and needs no CRL; before, of ten (1.6.1).
const SHORT_LIVED_DAYS: [u32; 2] = [10, 7];
/// Validity in days of CRLs that tell of servers, and of others: 10 days, and 12 months at their shortest (7.2).
pub const CRL_DAYS_OF_SERVERS: u32 = 10;
pub const CRL_DAYS_OF_CAS: u32 = 365;

/// The longest validity in days of a server's certificate that is issued at this time (6.3.2).
pub fn server_days(issued: i64) -> u32 {
    SERVER_DAYS.iter().find(|(before, _)| issued < *before).map_or(LAST_SERVER_DAYS, |(_, days)| *days)
}

/// The first second at which nothing of this validity is issued any more; `None`: it always is.
pub fn last_issued(validity: Validity) -> Option<i64> {
    let fits = |days: u32| validity <= Validity::days(days);
    let ends = SERVER_DAYS.iter().rev().find(|(_, days)| fits(*days)).map_or(i64::MIN, |(end, _)| *end);
    (!fits(LAST_SERVER_DAYS)).then_some(ends)
}

/// Whether a server's certificate of so many seconds needs no CRL when it is issued at this time (1.6.1, 7.1.2.11.2).
pub fn short_lived(seconds: i64, issued: i64) -> bool {
    let [before, since] = SHORT_LIVED_DAYS;
    let days = if SERVER_DAYS.iter().any(|(first, _)| issued >= *first) { since } else { before };
    seconds <= Validity::days(days).seconds()
}

/// How long before its signing a certificate's notBefore may lie, in hours (7.1.2.7, 7.1.2.1.1, 7.1.2.10.1): since notBefore is the
/// beginning of a plan's window, as long as the window may be.
pub fn window_hours(kind: Kind) -> u32 {
    if kind == Kind::Server { 48 } else { 24 }
}

/// RSA of 2048 bits and more, and the curves of NIST (6.1.5, 7.1.3.1).
pub fn takes_key(algorithm: KeyAlgorithm) -> bool {
    !matches!(algorithm, KeyAlgorithm::Ed25519 | KeyAlgorithm::PostQuantum(_))
}

/// extKeyUsage (7.1.2.1.2, 7.1.2.2.5, 7.1.2.3.3, 7.1.2.7.10, 7.1.2.10.6), dotted.
pub fn purposes(kind: Kind, eku: &[String]) -> Result<(), String> {
    let has = |oid: &str| eku.iter().any(|purpose| purpose == oid);
    let none_of = |wrong: &[&str]| match eku.iter().find(|oid| wrong.contains(&oid.as_str())) {
        Some(oid) => Err(format!("is for {}", purpose(oid))),
        None => Ok(()),
    };
    match kind {
        Kind::Root if eku.is_empty() => Ok(()),
        Kind::Root => Err("has purposes, which a root never has".into()),
        // The same organisation's: without limits.
        Kind::CrossCa if eku.is_empty() => Ok(()),
        Kind::OtherCa if eku.is_empty() => Err("names no purposes, and so is for TLS servers too".into()),
        Kind::CrossCa if !has(SERVER_AUTH) => none_of(&[ANY_PURPOSE]),
        Kind::OtherCa => none_of(&[SERVER_AUTH, OCSP_SIGNING, ANY_PURPOSE, PRECERTIFICATE_SIGNING]),
        _ if !has(SERVER_AUTH) => Err("is not for TLS servers (server-auth)".into()),
        Kind::CrossCa => none_of(&["1.3.6.1.5.5.7.3.3", "1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.8", ANY_PURPOSE]),
        Kind::TlsCa | Kind::Server => none_of(&FOREIGN_PURPOSES),
    }
}

fn purpose(oid: &str) -> String {
    match oid {
        SERVER_AUTH => "server-auth".into(),
        CLIENT_AUTH => "client-auth".into(),
        "1.3.6.1.5.5.7.3.3" => "code-signing".into(),
        "1.3.6.1.5.5.7.3.4" => "email-protection".into(),
        "1.3.6.1.5.5.7.3.8" => "time-stamping".into(),
        OCSP_SIGNING => "ocsp-signing".into(),
        other => crate::text::escape(other),
    }
}

/// certificatePolicies (7.1.2.2.6, 7.1.2.3.2, 7.1.2.7.2, 7.1.2.7.9, 7.1.2.10.5).
pub fn policies(kind: Kind, policies: &[Policy]) -> Result<(), String> {
    let reserved: Vec<&str> =
        policies.iter().map(|policy| policy.oid.as_str()).filter(|oid| RESERVED_POLICIES.contains(oid)).collect();
    let any = policies.iter().any(|policy| policy.oid == ANY_POLICY);
    let web = |cps: &String| cps.starts_with("http://") || cps.starts_with("https://");
    if policies.iter().filter_map(|policy| policy.cps.as_ref()).any(|cps| !web(cps)) {
        return Err("has a CPS that is no http or https URL".into());
    }
    if kind == Kind::Server {
        return match (reserved.as_slice(), any) {
            ([DOMAIN_VALIDATED], false) => Ok(()),
            (_, true) => Err("has anyPolicy".into()),
            _ => Err(format!("has not {DOMAIN_VALIDATED} (domain-validated) as its only reserved policy")),
        };
    }
    let wanted = match kind {
        Kind::Root if policies.is_empty() => 0..=0,
        Kind::OtherCa => 0..=0,
        Kind::CrossCa => 1..=RESERVED_POLICIES.len(),
        _ => 1..=1,
    };
    match (any, policies.len(), wanted.contains(&reserved.len())) {
        (true, 1, _) | (false, _, true) => Ok(()),
        (true, ..) => Err("has anyPolicy beside others".into()),
        (false, _, false) if kind == Kind::OtherCa => Err(format!("has the reserved policy {}", reserved.join(", "))),
        (false, ..) => Err(format!(
            "has {} reserved policies, where one of {} or anyPolicy alone belongs",
            reserved.len(),
            RESERVED_POLICIES.join(", ")
        )),
    }
}

/// Extensions beyond the usual ones (7.1.2.9, 7.1.2.11.3).
pub fn extensions(others: &[OtherExtension]) -> Result<(), String> {
    match others.iter().find(|other| TRANSPARENCY.contains(&other.oid.as_str())) {
        Some(other) => Err(format!("has the extension {}, which belongs to Certificate Transparency", other.oid)),
        None => Ok(()),
    }
}

/// Where the issuer's CRL and certificate are found (7.1.2.7.7, 7.1.2.11.2): over http alone, and not nowhere.
pub fn urls(urls: &[String]) -> Result<(), String> {
    match urls.iter().find(|url| !url.starts_with("http://")) {
        Some(url) => Err(format!("has `{}`, which is no http:// URL", crate::text::escape(url))),
        None if urls.is_empty() => Err("names no place".into()),
        None => Ok(()),
    }
}

/// In this order, and no other (7.1.2.10.2, 7.1.4.2).
const NAME_ORDER: [DnType; 6] = [
    DnType::DomainComponent,
    DnType::Country,
    DnType::State,
    DnType::Locality,
    DnType::Organization,
    DnType::CommonName,
];

/// The subject of a CA (7.1.2.10.2, 7.1.4.1). The mark of a rehearsal in front of it is no part of what is judged.
pub fn ca_name(subject: &[Rdn]) -> Result<(), String> {
    let mark = |rdn: &&Rdn| matches!(rdn.as_slice(), [(DnType::Organization, value)] if value == "REHEARSAL");
    let marked = subject.first().filter(mark).is_some();
    let mut kinds = Vec::new();
    for rdn in subject.iter().skip(usize::from(marked)) {
        let [(kind, _)] = rdn.as_slice() else {
            return Err("has an RDN of several attributes".into());
        };
        kinds.push(*kind);
    }
    if let Some(kind) = [DnType::Country, DnType::Organization, DnType::CommonName].iter().find(|k| !kinds.contains(k))
    {
        return Err(format!("has no {}", kind.short()));
    }
    let place = |kind: &DnType| NAME_ORDER.iter().position(|known| known == kind);
    if let Some(kind) = kinds.iter().find(|kind| **kind == DnType::OrganizationalUnit) {
        return Err(format!("has {}", kind.short()));
    }
    let places: Vec<usize> = kinds.iter().filter_map(place).collect();
    let twice = |pair: &[usize]| matches!(pair, [a, b] if a == b && *a != 0);
    if places.windows(2).any(twice) {
        return Err("has an attribute twice".into());
    }
    match places.is_sorted() {
        true => Ok(()),
        false => Err("is not in the order DC, C, ST, L, O, CN".into()),
    }
}

/// Blocks of IANA's registries of special-purpose addresses, with their parts and with multicast (1.6.1 "Reserved IP Address").
const RESERVED_ADDRESSES: [&str; 34] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];
/// Top-level names that are never delegated (RFC 6761, RFC 6762, RFC 7686, RFC 9476, ICANN 2024-07-29.06). `.onion` has rules and
/// methods of its own (appendix B), which are not known here.
const INTERNAL_NAMES: [&str; 8] = ["alt", "example", "internal", "invalid", "local", "localhost", "onion", "test"];

static RESERVED: LazyLock<Constraints> = LazyLock::new(|| {
    let addresses = RESERVED_ADDRESSES.into_iter().filter_map(Subtree::ip);
    let names = INTERNAL_NAMES.map(|name| Subtree::Dns(name.into()));
    Constraints { excluded: addresses.chain(names).collect(), ..Constraints::default() }
});

/// subjectAltName of a server (7.1.2.7.12): domain names and addresses of the public Internet, nothing else.
pub fn names(san: &[GeneralName]) -> Result<(), String> {
    for name in san {
        let shown = crate::x509::general_name_text(name);
        match name {
            GeneralName::Dns(text) if !text.contains('.') => return Err(format!("has `{shown}`, a name of one label")),
            GeneralName::Dns(_) | GeneralName::Ip(_) => {}
            _ => return Err(format!("has `{shown}`, where only domain names and IP addresses belong")),
        }
    }
    if san.is_empty() {
        return Err("has no name".into());
    }
    match RESERVED.outside(&[0x30, 0], san) {
        Some(name) => Err(format!("has a name that is none of the public Internet: {name}")),
        None => Ok(()),
    }
}
