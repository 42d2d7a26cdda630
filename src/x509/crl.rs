//! Certificate revocation lists: from DER to [`CrlFields`], by two readers that must agree.

use x509_parser::prelude::{FromDer, ParsedExtension};
use x509_parser::revocation_list::TbsCertList;

use super::certificate::{Signed, algorithm};
use super::der::{self, DerFault, Element, Reader, context};
use super::error::{Error, in_part};
use super::extensions;
use super::fields::{CrlFields, Revoked};
use crate::cbor::Bytes;

const PART: &str = "CRL";
/// A CRL is held in memory while it is read: one of a million entries has about 46 MB.
pub const MAX_CRL: usize = 256 << 20;

/// Reads a whole CRL; the algorithm outside must be the one inside (RFC 5280 §5.1.1.2).
pub fn read_crl(der: &[u8]) -> Result<CrlFields, Error> {
    bounded(der)?;
    let signed = Signed::split(der, PART)?;
    let fields = read_tbs_crl(signed.tbs)?;
    if signed.algorithm != fields.signature.identifier_der() {
        return Err(Error::AlgorithmMismatch);
    }
    Ok(fields)
}

/// Reads a TBSCertList alone, as a plan holds it.
pub fn read_tbs_crl(tbs: &[u8]) -> Result<CrlFields, Error> {
    bounded(tbs)?;
    der::canonical(tbs).map_err(in_part(PART))?;
    let fields = first_opinion(tbs)?;
    second_opinion(tbs, &fields)?;
    Ok(fields)
}

fn bounded(der: &[u8]) -> Result<(), Error> {
    if der.len() > MAX_CRL {
        return Err(Error::TooLarge { part: PART, length: der.len(), limit: MAX_CRL });
    }
    Ok(())
}

fn first_opinion(tbs: &[u8]) -> Result<CrlFields, Error> {
    let fault = in_part(PART);
    let mut reader = der::only(tbs, der::SEQUENCE).map_err(&fault)?.inside();
    // v2: INTEGER 1. A CRL without extensions could be v1, but RFC 5280 §5.2 demands two of them.
    if reader.optional(der::INTEGER).map_err(&fault)?.is_none_or(|version| version.content != [1]) {
        return Err(Error::Version { part: PART });
    }
    let mut head = || -> Result<_, DerFault> {
        let algorithm = reader.expect(der::SEQUENCE)?.whole;
        let issuer = reader.expect(der::SEQUENCE)?.whole;
        let this_update = der::profile_time(&reader.next()?)?;
        let next_update = reader.next()?;
        let revoked = reader.optional(der::SEQUENCE)?;
        let tagged = reader.expect(context(0))?;
        reader.end()?;
        Ok((algorithm, issuer, this_update, next_update, revoked, der::only(tagged.content, der::SEQUENCE)?))
    };
    let (identifier, issuer, this_update, next_update, revoked, list) = head().map_err(&fault)?;
    if !matches!(next_update.tag, der::UTC_TIME | der::GENERALIZED_TIME) {
        return Err(Error::Missing { part: PART, field: "nextUpdate" });
    }
    let mut fields = CrlFields {
        signature: algorithm(identifier)?,
        issuer: Bytes::from(issuer),
        this_update,
        next_update: der::profile_time(&next_update).map_err(&fault)?,
        number: 0,
        aki: None,
        revoked: Vec::new(),
        critical: Vec::new(),
        others: Vec::new(),
    };
    let mut numbered = false;
    for extension in extensions::list(&list, PART)? {
        if extension.critical {
            fields.critical.push(extension.oid.clone());
        }
        let understood = match extension.oid.as_str() {
            extensions::CRL_NUMBER => {
                fields.number = extensions::read_crl_number(extension.value).map_err(&fault)?;
                numbered = true;
                true
            }
            extensions::AUTHORITY_KEY_IDENTIFIER => {
                fields.aki = extensions::read_authority_key_identifier(extension.value).map_err(&fault)?;
                fields.aki.is_some()
            }
            _ => false,
        };
        if !understood {
            fields.others.push(extension.oid);
        }
    }
    if !numbered {
        return Err(Error::Missing { part: PART, field: "cRLNumber" });
    }
    if let Some(revoked) = revoked {
        entries(&revoked, &mut fields)?;
    }
    fields.critical.sort();
    fields.others.sort();
    Ok(fields)
}

fn entries(revoked: &Element<'_>, fields: &mut CrlFields) -> Result<(), Error> {
    let fault = in_part("entry of the CRL");
    let mut reader = revoked.inside();
    // RFC 5280 §5.1.2.6: absent when there are none.
    if reader.is_empty() {
        return Err(fault(DerFault::Empty));
    }
    while !reader.is_empty() {
        let (serial, date, list) = entry(&mut reader).map_err(&fault)?;
        if serial.len() > 20 || serial == [0] {
            return Err(Error::Serial);
        }
        let mut reason = None;
        for extension in list.map(|list| extensions::list(&list, "entry of the CRL")).transpose()?.unwrap_or_default() {
            if extension.critical && !fields.critical.contains(&extension.oid) {
                fields.critical.push(extension.oid.clone());
            }
            if extension.oid == extensions::REASON_CODE {
                reason = Some(extensions::read_reason(extension.value).map_err(&fault)?);
            } else if !fields.others.contains(&extension.oid) {
                fields.others.push(extension.oid);
            }
        }
        fields.revoked.push(Revoked { serial: Bytes::from(serial), date, reason });
    }
    Ok(())
}

type Entry<'a> = (&'a [u8], i64, Option<Element<'a>>);

fn entry<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, DerFault> {
    let mut entry = reader.expect(der::SEQUENCE)?.inside();
    let serial = der::unsigned(&entry.expect(der::INTEGER)?)?;
    let date = der::profile_time(&entry.next()?)?;
    let list = entry.optional(der::SEQUENCE)?;
    entry.end()?;
    Ok((serial, date, list))
}

/// Reads the same bytes by x509-parser and compares.
fn second_opinion(tbs: &[u8], fields: &CrlFields) -> Result<(), Error> {
    let (rest, other) = TbsCertList::from_der(tbs).map_err(|e| Error::Parser { part: PART, cause: e.to_string() })?;
    let agree =
        |field: &'static str, same: bool| if same { Ok(()) } else { Err(Error::Disagree { part: PART, field }) };
    agree("end", rest.is_empty())?;
    agree("issuer", other.issuer.as_raw() == fields.issuer.as_slice())?;
    agree("thisUpdate", other.this_update.timestamp() == fields.this_update)?;
    agree("nextUpdate", other.next_update.map(|t| t.timestamp()) == Some(fields.next_update))?;
    agree("signature algorithm", other.signature.algorithm.to_id_string() == fields.signature.oid())?;
    for extension in other.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::ParseError { error } => {
                return Err(Error::Parser { part: PART, cause: error.to_string() });
            }
            ParsedExtension::CRLNumber(number) => {
                agree("cRLNumber", u64::try_from(number).ok() == Some(fields.number))?
            }
            _ => {}
        }
    }
    agree("entries", other.revoked_certificates.len() == fields.revoked.len())?;
    for (theirs, ours) in other.revoked_certificates.iter().zip(&fields.revoked) {
        let reason = theirs.reason_code().map(|(_, reason)| reason.0);
        let same = theirs.raw_serial() == ours.serial.as_slice()
            && theirs.revocation_date.timestamp() == ours.date
            && reason == ours.reason;
        agree("entries", same)?;
    }
    Ok(())
}
