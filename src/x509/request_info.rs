//! Requests of our own (PKCS #10, RFC 2986): what is signed of them, read back before it is signed, and the whole verified behind it.

use x509_parser::error::X509Error;
use x509_parser::prelude::{FromDer, X509CertificationRequest, X509CertificationRequestInfo};

use super::certificate::{MAX_TBS, Signed, blank, take};
use super::der::{self, context};
use super::error::{Error, in_part};
use super::extensions;
use super::fields::{OtherExtension, RequestFields};
use super::request::{Request, extension_request};
use super::verify::verify_signature;
use crate::algorithm::SignatureAlgorithm;
use crate::cbor::Bytes;

const PART: &str = "request";
/// The extensions that a request of ours may ask for.
const ASKED: [&str; 8] = [
    extensions::BASIC_CONSTRAINTS,
    extensions::KEY_USAGE,
    extensions::EXT_KEY_USAGE,
    extensions::SUBJECT_KEY_IDENTIFIER,
    extensions::CERTIFICATE_POLICIES,
    extensions::NAME_CONSTRAINTS,
    extensions::POLICY_CONSTRAINTS,
    extensions::INHIBIT_ANY_POLICY,
];

/// Reads a CertificationRequestInfo alone, as a plan holds it: version 1, and one attribute, an extensionRequest.
pub fn read_request_info(info: &[u8]) -> Result<RequestFields, Error> {
    if info.len() > MAX_TBS {
        return Err(Error::TooLarge { part: PART, length: info.len(), limit: MAX_TBS });
    }
    let fault = in_part(PART);
    der::canonical(info).map_err(&fault)?;
    let mut reader = der::only(info, der::SEQUENCE).map_err(&fault)?.inside();
    // v1: INTEGER 0.
    if reader.expect(der::INTEGER).map_err(&fault)?.content != [0] {
        return Err(Error::Version { part: PART });
    }
    let subject = reader.expect(der::SEQUENCE).map_err(&fault)?.whole;
    let spki = reader.expect(der::SEQUENCE).map_err(&fault)?.whole;
    let attributes = reader.expect(context(0)).map_err(&fault)?;
    reader.end().map_err(&fault)?;
    let mut one = attributes.inside();
    one.expect(der::SEQUENCE).map_err(&fault)?;
    one.end().map_err(&fault)?;
    let missing = Error::Missing { part: PART, field: "extensionRequest" };
    let list = extensions::list(&extension_request(&attributes)?.ok_or(missing)?, PART)?;
    // Read as those of a certificate; its other fields stay blank.
    let mut read = blank(SignatureAlgorithm::EcdsaSha256);
    for extension in &list {
        if extension.critical {
            read.critical.push(extension.oid.clone());
        }
        let asked = ASKED.contains(&extension.oid.as_str());
        if !asked || !take(&mut read, extension).map_err(in_part("extensions of the request"))? {
            let value = Bytes::from(extension.value);
            read.others.push(OtherExtension { oid: extension.oid.clone(), value });
        }
    }
    read.critical.sort();
    read.others.sort_by(|a, b| a.oid.cmp(&b.oid));
    second_opinion(info, subject, spki, list.len())?;
    Ok(RequestFields {
        subject: Bytes::from(subject),
        spki: Bytes::from(spki),
        ca: read.ca,
        key_usage: read.key_usage,
        eku: read.eku,
        ski: read.ski,
        policies: read.policies,
        constraints: read.constraints,
        critical: read.critical,
        others: read.others,
    })
}

/// Reads the same bytes by x509-parser, which shares no code with this room, and compares.
fn second_opinion(info: &[u8], subject: &[u8], spki: &[u8], count: usize) -> Result<(), Error> {
    let (rest, other) =
        X509CertificationRequestInfo::from_der(info).map_err(|e| Error::Parser { part: PART, cause: e.to_string() })?;
    let asked: usize = other
        .iter_attributes()
        .map(|attribute| match attribute.parsed_attribute() {
            x509_parser::prelude::ParsedCriAttribute::ExtensionRequest(asked) => asked.extensions.len(),
            _ => 0,
        })
        .sum();
    for (field, same) in [
        ("end", rest.is_empty()),
        ("subject", other.subject.as_raw() == subject),
        ("public key", other.subject_pki.raw == spki),
        ("extensions", asked == count),
    ] {
        if !same {
            return Err(Error::Disagree { part: PART, field });
        }
    }
    Ok(())
}

/// Verifies a whole request of ours by the key in it: by our own table, then by x509-parser where it knows the algorithm. Returns what
/// it asks for.
pub fn verify_request(der: &[u8], by: SignatureAlgorithm) -> Result<RequestFields, Error> {
    let request = Request::parse(der)?;
    let signed = Signed::split(&request.der, PART)?;
    if signed.signature_algorithm()? != by {
        return Err(Error::AlgorithmMismatch);
    }
    verify_signature(&request.spki, by, signed.tbs, signed.signature)?;
    let (_, other) =
        X509CertificationRequest::from_der(der).map_err(|e| Error::Parser { part: PART, cause: e.to_string() })?;
    match other.verify_signature() {
        Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => read_request_info(signed.tbs),
        Err(_) => Err(Error::Signature),
    }
}
