//! Certificate requests (PKCS #10, RFC 2986): facts, and the proof that the requester holds the key.

use x509_parser::prelude::{FromDer, X509CertificationRequest};

use super::certificate::{Signed, algorithm_oid};
use super::der::{self, DerFault, Element, context};
use super::error::{Error, in_part};
use super::extensions;
use super::fields::{GeneralName, OtherExtension, key_usage};
use super::name;
use super::verify::verify_signature;
use crate::algorithm::SignatureAlgorithm;
use crate::cbor::Bytes;
use crate::text::Untrusted;

const PART: &str = "request";
const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
/// A BIT STRING of named bits, as keyUsage is; old tools still ask for it.
const NETSCAPE_CERT_TYPE: &str = "2.16.840.1.113730.1.1";
/// A request with a hundred names and an RSA-8192 key has under 8 KiB.
pub const MAX_REQUEST: usize = 64 * 1024;
const MAX_ATTRIBUTES: usize = 32;

/// What a request says. Nothing of it is believed: the key is not proved, the names are only asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The subject Name, whole DER.
    pub subject: Vec<u8>,
    /// SubjectPublicKeyInfo, whole DER.
    pub spki: Vec<u8>,
    /// `None` for an algorithm that is not accepted (SHA-1, MD5, RSA-PSS ...).
    pub signature_algorithm: Option<SignatureAlgorithm>,
    /// The algorithm's dotted identifier, accepted or not.
    pub signature_algorithm_oid: String,
    /// The subjectAltName asked for; `None` when the request has none.
    pub san: Option<Vec<GeneralName>>,
    /// The other extensions asked for, in order.
    pub other_extensions: Vec<OtherExtension>,
    /// Whether basicConstraints or keyUsage ask for a CA's certificate.
    pub asks_for_ca: bool,
    /// The values of commonName in the subject, in order.
    pub common_names: Vec<Untrusted>,
    /// The values of serialNumber (a device's, X.520 §6.2.9) in the subject, in order.
    pub serial_numbers: Vec<Untrusted>,
    /// The whole request in DER.
    pub der: Vec<u8>,
}

impl Request {
    /// Reads a request in DER or PEM (RFC 7468 §7; text before the armour is ignored, text after it refused).
    pub fn parse(der_or_pem: &[u8]) -> Result<Request, Error> {
        if der_or_pem.len() > 2 * MAX_REQUEST {
            return Err(Error::TooLarge { part: PART, length: der_or_pem.len(), limit: MAX_REQUEST });
        }
        // A request in DER has more than 127 octets, so its second octet is no ASCII and PEM text never looks like it; but for
        // one of Ed25519 without names, where it is the exact length of the rest.
        let der = match der_or_pem {
            [der::SEQUENCE, second, rest @ ..] if !second.is_ascii() || rest.len() == usize::from(*second) => {
                der_or_pem.to_vec()
            }
            _ => unarmour(der_or_pem, &["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"])?,
        };
        if der.len() > MAX_REQUEST {
            return Err(Error::TooLarge { part: PART, length: der.len(), limit: MAX_REQUEST });
        }
        der::canonical(&der).map_err(in_part(PART))?;
        let request = Request::read(&der)?;
        request.second_opinion()?;
        Ok(request)
    }

    /// Verifies the request's own signature by the key in it: the requester holds the private key (RFC 2986 §3).
    pub fn verify_possession(&self) -> Result<(), Error> {
        let signed = Signed::split(&self.der, PART)?;
        let algorithm = self
            .signature_algorithm
            .ok_or_else(|| Error::SignatureAlgorithm { oid: self.signature_algorithm_oid.clone() })?;
        verify_signature(&self.spki, algorithm, signed.tbs, signed.signature)
    }

    fn read(der: &[u8]) -> Result<Request, Error> {
        let fault = in_part(PART);
        let signed = Signed::split(der, PART)?;
        let mut info = der::only(signed.tbs, der::SEQUENCE).map_err(&fault)?.inside();
        // v1: INTEGER 0.
        if info.expect(der::INTEGER).map_err(&fault)?.content != [0] {
            return Err(Error::Version { part: PART });
        }
        let subject = info.expect(der::SEQUENCE).map_err(&fault)?.whole;
        let spki = info.expect(der::SEQUENCE).map_err(&fault)?.whole;
        // Some tools leave an empty attribute set out, though RFC 2986 §4.1 does not allow that.
        let attributes = info.optional(context(0)).map_err(&fault)?;
        info.end().map_err(&fault)?;
        let mut request = Request {
            subject: subject.to_vec(),
            spki: spki.to_vec(),
            signature_algorithm: request_algorithm(signed.algorithm),
            signature_algorithm_oid: algorithm_oid(signed.algorithm).map_err(&fault)?,
            san: None,
            other_extensions: Vec::new(),
            asks_for_ca: false,
            common_names: name::values(subject, name::COMMON_NAME)?,
            serial_numbers: name::values(subject, name::SERIAL_NUMBER)?,
            der: der.to_vec(),
        };
        if let Some(attributes) = attributes
            && let Some(list) = extension_request(&attributes)?
        {
            for extension in extensions::list(&list, PART)? {
                if extension.oid == extensions::SUBJECT_ALT_NAME {
                    let names = extensions::read_general_names(extension.value);
                    request.san = Some(names.map_err(in_part("subjectAltName of the request"))?);
                } else {
                    readable(&extension)?;
                    request.asks_for_ca |= of_a_ca(&extension);
                    let value = Bytes::from(extension.value);
                    request.other_extensions.push(OtherExtension { oid: extension.oid, value });
                }
            }
        }
        Ok(request)
    }

    /// Reads the same bytes by x509-parser and compares.
    fn second_opinion(&self) -> Result<(), Error> {
        let (rest, other) = X509CertificationRequest::from_der(&self.der)
            .map_err(|e| Error::Parser { part: PART, cause: e.to_string() })?;
        let info = &other.certification_request_info;
        let agree =
            |field: &'static str, same: bool| if same { Ok(()) } else { Err(Error::Disagree { part: PART, field }) };
        agree("end", rest.is_empty())?;
        agree("subject", info.subject.as_raw() == self.subject.as_slice())?;
        agree("public key", info.subject_pki.raw == self.spki.as_slice())?;
        let requested = usize::from(self.san.is_some()) + self.other_extensions.len();
        agree("extensions", other.requested_extensions().map_or(0, Iterator::count) == requested)
    }
}

/// Extensions asked for are not copied, so what they say is not judged; the one that can be is judged by the profile. But one that is known and cannot be read was damaged,
/// or made by a program that should not be trusted with the rest.
fn readable(extension: &extensions::Extension<'_>) -> Result<(), Error> {
    let value = extension.value;
    let read = match extension.oid.as_str() {
        extensions::KEY_USAGE | NETSCAPE_CERT_TYPE => extensions::read_key_usage(value).map(drop),
        extensions::EXT_KEY_USAGE => extensions::read_ext_key_usage(value).map(drop),
        extensions::BASIC_CONSTRAINTS => extensions::read_basic_constraints(value).map(drop),
        extensions::SUBJECT_KEY_IDENTIFIER => extensions::read_key_identifier(value).map(drop),
        _ => Ok(()),
    };
    read.map_err(in_part("extensions of the request"))
}

/// The algorithm of a request's signature. For RSA the parameters may be absent as well as NULL: RFC 4055 §5 wants both
/// accepted, and the requests of older Go programs leave them out. Certificates and CRLs of ours always have them.
fn request_algorithm(identifier: &[u8]) -> Option<SignatureAlgorithm> {
    use SignatureAlgorithm::{RsaSha256, RsaSha384, RsaSha512};
    let without_parameters = |algorithm: &SignatureAlgorithm| {
        let oid = algorithm.identifier_der().strip_suffix(&[0x05, 0x00]).and_then(|der| der.get(2..));
        identifier.strip_prefix(&[der::SEQUENCE, 0x0b]).is_some_and(|content| Some(content) == oid)
    };
    SignatureAlgorithm::from_identifier_der(identifier)
        .or_else(|| [RsaSha256, RsaSha384, RsaSha512].into_iter().find(without_parameters))
}

/// cA TRUE, or a key usage of CAs.
fn of_a_ca(extension: &extensions::Extension) -> bool {
    match extension.oid.as_str() {
        extensions::BASIC_CONSTRAINTS => extensions::read_basic_constraints(extension.value).is_ok_and(|(ca, _)| ca),
        extensions::KEY_USAGE => extensions::read_key_usage(extension.value)
            .is_ok_and(|usage| usage & (key_usage::KEY_CERT_SIGN | key_usage::CRL_SIGN) != 0),
        _ => false,
    }
}

/// The Extensions of the one extensionRequest attribute; other attributes (challengePassword ...) are ignored.
pub(super) fn extension_request<'a>(attributes: &Element<'a>) -> Result<Option<Element<'a>>, Error> {
    let fault = in_part("attributes of the request");
    let mut reader = attributes.inside();
    let mut found = None;
    let mut count = 0;
    while !reader.is_empty() {
        count += 1;
        if count > MAX_ATTRIBUTES {
            return Err(Error::TooMany { part: PART, what: "attributes", limit: MAX_ATTRIBUTES });
        }
        let mut attribute = reader.expect(der::SEQUENCE).map_err(&fault)?.inside();
        let kind = der::oid(&attribute.expect(der::OID).map_err(&fault)?).map_err(&fault)?;
        let values = attribute.expect(der::SET).map_err(&fault)?;
        attribute.end().map_err(&fault)?;
        if values.content.is_empty() {
            return Err(fault(DerFault::Empty));
        }
        if kind != EXTENSION_REQUEST {
            continue;
        }
        let mut values = values.inside();
        let list = values.expect(der::SEQUENCE).map_err(&fault)?;
        if found.is_some() || !values.is_empty() {
            return Err(Error::ExtensionRequests);
        }
        found = Some(list);
    }
    Ok(found)
}

/// The octets inside one PEM block with one of these labels.
pub(super) fn unarmour(pem: &[u8], labels: &[&'static str]) -> Result<Vec<u8>, Error> {
    let damaged = Error::Pem;
    // Text before the block may be in any encoding; the block itself is ASCII.
    let text = String::from_utf8_lossy(pem);
    let mut lines = text.lines();
    let block = super::pem::next(&mut lines).ok_or(damaged("there is no BEGIN line, and it is no DER"))?;
    if !labels.contains(&block.label.as_str()) {
        return Err(Error::PemLabel(labels.first().copied().unwrap_or_default()));
    }
    let content = block.content?;
    match lines.any(|line| !line.trim().is_empty()) {
        true => Err(damaged("there is something after the END line")),
        false => Ok(content),
    }
}
