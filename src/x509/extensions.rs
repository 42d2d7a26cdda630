//! Extensions (RFC 5280 §4.2, §5.2): one reader for requests, certificates and CRLs.
//!
//! Each `read_*` function takes the value octets of one extension. `Ok(None)` means lawful DER of a form that the fields do
//! not hold (a reason in a distribution point, a notice in a policy): the caller lists such an extension under `others`, so
//! that it never equals a plan.

use super::der::{self, DerFault, Element, Reader, context, context_primitive};
use super::error::{Error, in_part};
use super::fields::{GeneralName, Policy};
use crate::cbor::Bytes;

pub(crate) const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
pub(crate) const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const SUBJECT_ALT_NAME: &str = "2.5.29.17";
pub(crate) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(crate) const CRL_NUMBER: &str = "2.5.29.20";
pub(crate) const REASON_CODE: &str = "2.5.29.21";
pub(crate) const DELTA_CRL_INDICATOR: &str = "2.5.29.27";
pub(crate) const ISSUING_DISTRIBUTION_POINT: &str = "2.5.29.28";
pub(crate) const NAME_CONSTRAINTS: &str = "2.5.29.30";
pub(crate) const POLICY_CONSTRAINTS: &str = "2.5.29.36";
pub(crate) const INHIBIT_ANY_POLICY: &str = "2.5.29.54";
pub(crate) const CRL_DISTRIBUTION_POINTS: &str = "2.5.29.31";
pub(crate) const CERTIFICATE_POLICIES: &str = "2.5.29.32";
pub(crate) const AUTHORITY_KEY_IDENTIFIER: &str = "2.5.29.35";
pub(crate) const EXT_KEY_USAGE: &str = "2.5.29.37";
pub(crate) const AUTHORITY_INFO_ACCESS: &str = "1.3.6.1.5.5.7.1.1";
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";
const CPS: &str = "1.3.6.1.5.5.7.2.1";
const ON_XMPP_ADDR: &str = "1.3.6.1.5.5.7.8.5";
const ON_DNS_SRV: &str = "1.3.6.1.5.5.7.8.7";
const ON_SMTP_UTF8_MAILBOX: &str = "1.3.6.1.5.5.7.8.9";

/// More extensions than this stand in nothing lawful.
const MAX_EXTENSIONS: usize = 64;

/// One extension, its value still in DER.
pub(crate) struct Extension<'a> {
    pub oid: String,
    pub critical: bool,
    pub value: &'a [u8],
}

/// Reads an Extensions SEQUENCE: at least one, none twice, `critical` written only when TRUE.
pub(crate) fn list<'a>(extensions: &Element<'a>, part: &'static str) -> Result<Vec<Extension<'a>>, Error> {
    let fault = in_part(part);
    let mut reader = extensions.inside();
    if reader.is_empty() {
        return Err(fault(DerFault::Empty));
    }
    let mut found: Vec<Extension<'a>> = Vec::new();
    while !reader.is_empty() {
        if found.len() == MAX_EXTENSIONS {
            return Err(Error::TooMany { part, what: "extensions", limit: MAX_EXTENSIONS });
        }
        let extension = one(&mut reader).map_err(&fault)?;
        if found.iter().any(|other| other.oid == extension.oid) {
            return Err(Error::ExtensionTwice { oid: extension.oid });
        }
        found.push(extension);
    }
    Ok(found)
}

fn one<'a>(reader: &mut Reader<'a>) -> Result<Extension<'a>, DerFault> {
    let mut fields = reader.expect(der::SEQUENCE)?.inside();
    let oid = der::oid(&fields.expect(der::OID)?)?;
    let critical = match fields.optional(der::BOOLEAN)? {
        None => false,
        Some(element) if der::boolean(&element)? => true,
        Some(_) => return Err(DerFault::Default),
    };
    let value = fields.expect(der::OCTET_STRING)?.content;
    fields.end()?;
    Ok(Extension { oid, critical, value })
}

fn sequence(value: &[u8]) -> Result<Reader<'_>, DerFault> {
    der::canonical(value)?;
    Ok(der::only(value, der::SEQUENCE)?.inside())
}

/// subjectKeyIdentifier.
pub(crate) fn read_key_identifier(value: &[u8]) -> Result<Bytes, DerFault> {
    Ok(Bytes::from(der::only(value, der::OCTET_STRING)?.content))
}

/// authorityKeyIdentifier: `None` unless it has the keyIdentifier and nothing else.
pub(crate) fn read_authority_key_identifier(value: &[u8]) -> Result<Option<Bytes>, DerFault> {
    let mut fields = sequence(value)?;
    let identifier = fields.optional(context_primitive(0))?;
    Ok(identifier.filter(|_| fields.is_empty()).map(|element| Bytes::from(element.content)))
}

/// keyUsage as the fields hold it; an extension without any bit is no keyUsage (RFC 5280 §4.2.1.3).
pub(crate) fn read_key_usage(value: &[u8]) -> Result<u16, DerFault> {
    let (unused, octets) = der::bits(&der::only(value, der::BIT_STRING)?)?;
    let (low, high) = match octets {
        [low] => (*low, 0),
        [low, high] => (*low, *high),
        _ => return Err(DerFault::BitString),
    };
    // A list of named bits ends with its last one bit (X.690 §11.2.2).
    let last = if octets.len() == 2 { high } else { low };
    if last >> unused & 1 == 0 || high & 0x7f != 0 {
        return Err(DerFault::BitString);
    }
    Ok(u16::from(low.reverse_bits()) | u16::from(high.reverse_bits()) << 8)
}

/// extKeyUsage: dotted identifiers in order.
pub(crate) fn read_ext_key_usage(value: &[u8]) -> Result<Vec<String>, DerFault> {
    let mut reader = sequence(value)?;
    let mut purposes = Vec::new();
    while !reader.is_empty() {
        purposes.push(der::oid(&reader.expect(der::OID)?)?);
    }
    if purposes.is_empty() { Err(DerFault::Empty) } else { Ok(purposes) }
}

/// basicConstraints: whether it is a CA, and its path length.
pub(crate) fn read_basic_constraints(value: &[u8]) -> Result<(bool, Option<u32>), DerFault> {
    let mut fields = sequence(value)?;
    let ca = match fields.optional(der::BOOLEAN)? {
        None => false,
        Some(element) if der::boolean(&element)? => true,
        Some(_) => return Err(DerFault::Default),
    };
    let path_len = match fields.optional(der::INTEGER)? {
        None => None,
        // RFC 5280 §4.2.1.9: only with cA TRUE.
        Some(_) if !ca => return Err(DerFault::Integer),
        Some(element) => Some(u32::try_from(der::unsigned_64(&element)?).map_err(|_| DerFault::Integer)?),
    };
    fields.end()?;
    Ok((ca, path_len))
}

/// cRLDistributionPoints: the URIs when there is one point that has a fullName of URIs and nothing else.
pub(crate) fn read_distribution_points(value: &[u8]) -> Result<Option<Vec<String>>, DerFault> {
    let mut points = sequence(value)?;
    let mut point = points.expect(der::SEQUENCE)?.inside();
    let Some(name) = point.optional(context(0))? else { return Ok(None) };
    let mut choice = name.inside();
    let Some(full_name) = choice.optional(context(0))? else { return Ok(None) };
    let mut names = full_name.inside();
    let mut uris = Vec::new();
    while let Some(uri) = names.optional(context_primitive(6))? {
        uris.push(ascii(&uri)?);
    }
    let nothing_else = names.is_empty() && choice.is_empty() && point.is_empty() && points.is_empty();
    Ok(Some(uris).filter(|uris| nothing_else && !uris.is_empty()))
}

/// authorityInfoAccess: the URIs when all of it is id-ad-caIssuers.
pub(crate) fn read_info_access(value: &[u8]) -> Result<Option<Vec<String>>, DerFault> {
    let mut descriptions = sequence(value)?;
    let mut uris = Vec::new();
    while !descriptions.is_empty() {
        let mut description = descriptions.expect(der::SEQUENCE)?.inside();
        let method = der::oid(&description.expect(der::OID)?)?;
        let location = description.next()?;
        description.end()?;
        if method != CA_ISSUERS || location.tag != context_primitive(6) {
            return Ok(None);
        }
        uris.push(ascii(&location)?);
    }
    Ok(Some(uris).filter(|uris| !uris.is_empty()))
}

/// certificatePolicies: identifiers, each with at most one qualifier, a CPS URI.
pub(crate) fn read_policies(value: &[u8]) -> Result<Option<Vec<Policy>>, DerFault> {
    let mut reader = sequence(value)?;
    let mut policies = Vec::new();
    while !reader.is_empty() {
        let mut information = reader.expect(der::SEQUENCE)?.inside();
        let oid = der::oid(&information.expect(der::OID)?)?;
        let mut cps = None;
        if let Some(qualifiers) = information.optional(der::SEQUENCE)? {
            let mut qualifiers = qualifiers.inside();
            let mut qualifier = qualifiers.expect(der::SEQUENCE)?.inside();
            let kind = der::oid(&qualifier.expect(der::OID)?)?;
            let text = qualifier.next()?;
            if kind != CPS || text.tag != der::IA5_STRING || !qualifier.is_empty() || !qualifiers.is_empty() {
                return Ok(None);
            }
            cps = Some(ascii(&text)?);
        }
        information.end()?;
        policies.push(Policy { oid, cps });
    }
    Ok(Some(policies).filter(|policies| !policies.is_empty()))
}

/// cRLNumber, when it fits 64 bits.
pub(crate) fn read_crl_number(value: &[u8]) -> Result<u64, DerFault> {
    der::unsigned_64(&der::only(value, der::INTEGER)?)
}

/// reasonCode: ENUMERATED, never 0 (RFC 5280 §5.3.1) and never the unused 7.
pub(crate) fn read_reason(value: &[u8]) -> Result<u8, DerFault> {
    match der::only(value, der::ENUMERATED)?.content {
        [reason @ (1..=6 | 8..=10)] => Ok(*reason),
        _ => Err(DerFault::Integer),
    }
}

/// GeneralNames, at least one.
pub(crate) fn read_general_names(value: &[u8]) -> Result<Vec<GeneralName>, DerFault> {
    let mut reader = sequence(value)?;
    let mut names = Vec::new();
    while !reader.is_empty() {
        names.push(general_name(&reader.next()?)?);
    }
    if names.is_empty() { Err(DerFault::Empty) } else { Ok(names) }
}

fn general_name(element: &Element<'_>) -> Result<GeneralName, DerFault> {
    Ok(match element.tag {
        0x81 => GeneralName::Email(ascii(element)?),
        0x82 => GeneralName::Dns(ascii(element)?),
        0x86 => GeneralName::Uri(ascii(element)?),
        0x87 => GeneralName::Ip(Bytes::from(element.content)),
        0xa0 => return other_name(element),
        0xa3 | 0xa4 | 0xa5 | 0x88 => GeneralName::Other(Bytes::from(element.whole)),
        found => return Err(DerFault::Unexpected { wanted: context(0), found }),
    })
}

fn other_name(element: &Element<'_>) -> Result<GeneralName, DerFault> {
    let mut fields = element.inside();
    let kind = der::oid(&fields.expect(der::OID)?)?;
    let value = fields.expect(context(0))?;
    fields.end()?;
    let mut inside = value.inside();
    let text = inside.next()?;
    inside.end()?;
    Ok(match (kind.as_str(), text.tag) {
        (ON_DNS_SRV, der::IA5_STRING) => GeneralName::Srv(ascii(&text)?),
        (ON_XMPP_ADDR, der::UTF8_STRING) => GeneralName::XmppAddr(utf8(&text)?),
        (ON_SMTP_UTF8_MAILBOX, der::UTF8_STRING) => GeneralName::Utf8Mailbox(utf8(&text)?),
        _ => GeneralName::Other(Bytes::from(element.whole)),
    })
}

/// UTF8String contents.
fn utf8(element: &Element<'_>) -> Result<String, DerFault> {
    String::from_utf8(element.content.to_vec()).map_err(|_| DerFault::Text)
}

/// IA5String contents.
fn ascii(element: &Element<'_>) -> Result<String, DerFault> {
    match std::str::from_utf8(element.content) {
        Ok(text) if text.is_ascii() => Ok(text.to_owned()),
        _ => Err(DerFault::Text),
    }
}
