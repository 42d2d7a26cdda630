//! Certificates: from DER to [`CertFields`], by two readers that must agree.

use x509_parser::prelude::{FromDer, ParsedExtension, TbsCertificate};

use super::constraints;
use super::der::{self, DerFault, Element, context};
use super::error::{Error, in_part};
use super::extensions::{self, Extension};
use super::fields::{CaConstraint, CertFields, Constraints, OtherExtension};
use super::request::unarmour;
use crate::algorithm::SignatureAlgorithm;
use crate::cbor::Bytes;

const PART: &str = "certificate";
/// The longest TBSCertificate of ours: its certificate, with the largest signature of SLH-DSA, still stands in one entry of the
/// log.
pub const MAX_TBS: usize = 12 * 1024;
/// A file holds no more certificates: one and those above it.
const MAX_CHAIN: usize = 8;
/// A larger certificate is not even looked at.
pub const MAX_CERTIFICATE: usize = 64 * 1024;

/// Reads a whole certificate; the algorithm outside must be the one inside (RFC 5280 §4.1.1.2).
pub fn read_certificate(der: &[u8]) -> Result<CertFields, Error> {
    bounded(der)?;
    let signed = Signed::split(der, PART)?;
    let fields = read_tbs_certificate(signed.tbs)?;
    if signed.algorithm != fields.signature.identifier_der() {
        return Err(Error::AlgorithmMismatch);
    }
    Ok(fields)
}

/// The DER of a certificate in DER or PEM, one block (RFC 7468 §5). It is not read.
pub fn certificate_der(der_or_pem: &[u8]) -> Result<Vec<u8>, Error> {
    // A certificate in DER has more than 127 octets, so its second octet is no ASCII.
    match der_or_pem {
        [der::SEQUENCE, second, ..] if !second.is_ascii() => Ok(der_or_pem.to_vec()),
        pem => unarmour(pem, &["CERTIFICATE"]),
    }
}

/// The certificates of a file, in its order: one in DER, or one PEM block after the other. They are not read.
pub fn certificate_ders(der_or_pem: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let (mut found, mut rest) = (Vec::new(), der_or_pem);
    loop {
        let end = rest.windows(END.len()).position(|window| window == END);
        let whole = matches!(rest, [der::SEQUENCE, second, ..] if !second.is_ascii());
        let (block, behind) = match end.filter(|_| !whole) {
            Some(at) => rest.split_at(at + END.len()),
            None => (rest, &[][..]),
        };
        found.push(certificate_der(block)?);
        rest = behind;
        if rest.iter().all(u8::is_ascii_whitespace) {
            return Ok(found);
        }
        if found.len() == MAX_CHAIN {
            return Err(Error::TooMany { part: "file", what: "certificates", limit: MAX_CHAIN });
        }
    }
}

/// Reads a TBSCertificate alone, as a plan holds it.
pub fn read_tbs_certificate(tbs: &[u8]) -> Result<CertFields, Error> {
    bounded(tbs)?;
    der::canonical(tbs).map_err(in_part(PART))?;
    let outline = Outline::read(tbs)?;
    let fields = outline.fields()?;
    second_opinion(tbs, &outline, &fields)?;
    Ok(fields)
}

/// The three parts of a Certificate or CertificateList.
pub(crate) struct Signed<'a> {
    pub tbs: &'a [u8],
    pub algorithm: &'a [u8],
    pub signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub fn split(der: &'a [u8], part: &'static str) -> Result<Signed<'a>, Error> {
        let split = || -> Result<Signed<'a>, DerFault> {
            let mut parts = der::only(der, der::SEQUENCE)?.inside();
            let tbs = parts.expect(der::SEQUENCE)?.whole;
            let algorithm = parts.expect(der::SEQUENCE)?.whole;
            let signature = der::whole_bits(&parts.expect(der::BIT_STRING)?)?;
            parts.end()?;
            Ok(Signed { tbs, algorithm, signature })
        };
        split().map_err(in_part(part))
    }

    /// The algorithm outside the signed part.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, Error> {
        algorithm(self.algorithm)
    }
}

/// The signature algorithm with this AlgorithmIdentifier; the error names it.
pub(crate) fn algorithm(identifier: &[u8]) -> Result<SignatureAlgorithm, Error> {
    SignatureAlgorithm::from_identifier_der(identifier).ok_or_else(|| Error::SignatureAlgorithm {
        oid: algorithm_oid(identifier).unwrap_or_else(|_| "(unreadable)".into()),
    })
}

pub(crate) fn algorithm_oid(identifier: &[u8]) -> Result<String, DerFault> {
    der::oid(&der::only(identifier, der::SEQUENCE)?.inside().expect(der::OID)?)
}

fn bounded(der: &[u8]) -> Result<(), Error> {
    if der.len() > MAX_CERTIFICATE {
        return Err(Error::TooLarge { part: PART, length: der.len(), limit: MAX_CERTIFICATE });
    }
    Ok(())
}

/// The parts of a TBSCertificate, before they are understood.
struct Outline<'a> {
    serial: &'a [u8],
    algorithm: &'a [u8],
    issuer: &'a [u8],
    not_before: Element<'a>,
    not_after: Element<'a>,
    subject: &'a [u8],
    spki: &'a [u8],
    extensions: Vec<Extension<'a>>,
}

impl<'a> Outline<'a> {
    fn read(tbs: &'a [u8]) -> Result<Outline<'a>, Error> {
        let fault = in_part(PART);
        let mut reader = der::only(tbs, der::SEQUENCE).map_err(&fault)?.inside();
        let version = reader.expect(context(0)).map_err(|_| Error::Version { part: PART })?;
        // v3: INTEGER 2.
        if version.content != [0x02, 0x01, 0x02] {
            return Err(Error::Version { part: PART });
        }
        let mut rest = || -> Result<(Outline<'a>, Element<'a>), DerFault> {
            let serial = der::unsigned(&reader.expect(der::INTEGER)?)?;
            let algorithm = reader.expect(der::SEQUENCE)?.whole;
            let issuer = reader.expect(der::SEQUENCE)?.whole;
            let mut validity = reader.expect(der::SEQUENCE)?.inside();
            let (not_before, not_after) = (validity.next()?, validity.next()?);
            validity.end()?;
            let subject = reader.expect(der::SEQUENCE)?.whole;
            let spki = reader.expect(der::SEQUENCE)?.whole;
            // Unique identifiers ([1], [2]) are refused here: RFC 5280 §4.1.2.8 forbids making them.
            let tagged = reader.expect(context(3))?;
            reader.end()?;
            let list = der::only(tagged.content, der::SEQUENCE)?;
            let outline =
                Outline { serial, algorithm, issuer, not_before, not_after, subject, spki, extensions: Vec::new() };
            Ok((outline, list))
        };
        let (mut outline, list) = rest().map_err(&fault)?;
        outline.extensions = extensions::list(&list, PART)?;
        if outline.serial.len() > 20 || outline.serial == [0] {
            return Err(Error::Serial);
        }
        Ok(outline)
    }

    fn fields(&self) -> Result<CertFields, Error> {
        let mut fields = CertFields {
            serial: Bytes::from(self.serial),
            issuer: Bytes::from(self.issuer),
            not_before: der::profile_time(&self.not_before).map_err(in_part(PART))?,
            not_after: der::profile_time(&self.not_after).map_err(in_part(PART))?,
            subject: Bytes::from(self.subject),
            spki: Bytes::from(self.spki),
            ..blank(algorithm(self.algorithm)?)
        };
        for extension in &self.extensions {
            if extension.critical {
                fields.critical.push(extension.oid.clone());
            }
            if !take(&mut fields, extension).map_err(in_part("extension of the certificate"))? {
                let value = Bytes::from(extension.value);
                fields.others.push(OtherExtension { oid: extension.oid.clone(), value });
            }
        }
        fields.critical.sort();
        fields.others.sort_by(|a, b| a.oid.cmp(&b.oid));
        Ok(fields)
    }
}

/// Fields of nothing yet.
pub(super) fn blank(signature: SignatureAlgorithm) -> CertFields {
    CertFields {
        serial: Bytes::default(),
        signature,
        issuer: Bytes::default(),
        not_before: 0,
        not_after: 0,
        subject: Bytes::default(),
        spki: Bytes::default(),
        ca: None,
        key_usage: 0,
        eku: Vec::new(),
        san: Vec::new(),
        ski: None,
        aki: None,
        crl_urls: Vec::new(),
        issuer_urls: Vec::new(),
        policies: Vec::new(),
        constraints: Constraints::default(),
        critical: Vec::new(),
        others: Vec::new(),
    }
}

/// Puts one extension into its field; `false` when no field holds it.
pub(super) fn take(fields: &mut CertFields, extension: &Extension<'_>) -> Result<bool, DerFault> {
    let value = extension.value;
    match extension.oid.as_str() {
        extensions::BASIC_CONSTRAINTS => {
            let (ca, path_len) = extensions::read_basic_constraints(value)?;
            fields.ca = ca.then_some(CaConstraint { path_len });
            // A CA's is always critical; "no CA" is told by `critical`, so one that is not critical has no field.
            return Ok(extension.critical);
        }
        extensions::KEY_USAGE => fields.key_usage = extensions::read_key_usage(value)?,
        extensions::EXT_KEY_USAGE => fields.eku = extensions::read_ext_key_usage(value)?,
        extensions::SUBJECT_ALT_NAME => fields.san = extensions::read_general_names(value)?,
        extensions::SUBJECT_KEY_IDENTIFIER => fields.ski = Some(extensions::read_key_identifier(value)?),
        extensions::AUTHORITY_KEY_IDENTIFIER => {
            fields.aki = extensions::read_authority_key_identifier(value)?;
            return Ok(fields.aki.is_some());
        }
        extensions::CRL_DISTRIBUTION_POINTS => {
            return Ok(set(&mut fields.crl_urls, extensions::read_distribution_points(value)?));
        }
        extensions::AUTHORITY_INFO_ACCESS => {
            return Ok(set(&mut fields.issuer_urls, extensions::read_info_access(value)?));
        }
        extensions::NAME_CONSTRAINTS => {
            let Some([permitted, excluded]) = constraints::read_name_constraints(value)? else { return Ok(false) };
            (fields.constraints.permitted, fields.constraints.excluded) = (permitted, excluded);
        }
        extensions::POLICY_CONSTRAINTS => {
            let [explicit, mapping] = constraints::read_policy_constraints(value)?;
            fields.constraints.require_explicit_policy = explicit;
            fields.constraints.inhibit_policy_mapping = mapping;
        }
        extensions::INHIBIT_ANY_POLICY => {
            fields.constraints.inhibit_any_policy = Some(constraints::read_inhibit_any_policy(value)?);
        }
        extensions::CERTIFICATE_POLICIES => return Ok(set(&mut fields.policies, extensions::read_policies(value)?)),
        _ => return Ok(false),
    }
    Ok(true)
}

fn set<T>(field: &mut Vec<T>, value: Option<Vec<T>>) -> bool {
    match value {
        Some(value) => {
            *field = value;
            true
        }
        None => false,
    }
}

/// Reads the same bytes by x509-parser, which shares no code with this room, and compares.
fn second_opinion(tbs: &[u8], outline: &Outline<'_>, fields: &CertFields) -> Result<(), Error> {
    let (rest, other) =
        TbsCertificate::from_der(tbs).map_err(|e| Error::Parser { part: PART, cause: e.to_string() })?;
    let agree =
        |field: &'static str, same: bool| if same { Ok(()) } else { Err(Error::Disagree { part: PART, field }) };
    agree("end", rest.is_empty())?;
    agree("serial number", other.raw_serial() == outline.serial)?;
    agree("issuer", other.issuer().as_raw() == outline.issuer)?;
    agree("subject", other.subject().as_raw() == outline.subject)?;
    agree("public key", other.public_key().raw == outline.spki)?;
    agree("notBefore", other.validity().not_before.timestamp() == fields.not_before)?;
    agree("notAfter", other.validity().not_after.timestamp() == fields.not_after)?;
    agree("signature algorithm", other.signature.algorithm.to_id_string() == fields.signature.oid())?;
    agree("extensions", other.extensions().len() == outline.extensions.len())?;
    for (theirs, ours) in other.extensions().iter().zip(&outline.extensions) {
        agree(
            "extensions",
            theirs.oid.to_id_string() == ours.oid && theirs.critical == ours.critical && theirs.value == ours.value,
        )?;
        match theirs.parsed_extension() {
            ParsedExtension::ParseError { error } => {
                return Err(Error::Parser { part: "extension of the certificate", cause: error.to_string() });
            }
            ParsedExtension::BasicConstraints(b) => {
                let theirs = b.ca.then_some(CaConstraint { path_len: b.path_len_constraint });
                agree("basicConstraints", theirs == fields.ca)?;
            }
            ParsedExtension::KeyUsage(usage) => agree("keyUsage", usage.flags == fields.key_usage)?,
            ParsedExtension::SubjectKeyIdentifier(id) => {
                agree("subjectKeyIdentifier", fields.ski.as_ref().is_some_and(|ski| ski.as_slice() == id.0))?;
            }
            ParsedExtension::AuthorityKeyIdentifier(id) if fields.aki.is_some() => {
                let theirs = id.key_identifier.as_ref().map(|id| id.0);
                agree("authorityKeyIdentifier", theirs == fields.aki.as_ref().map(|aki| aki.as_slice()))?;
            }
            ParsedExtension::NameConstraints(names) => {
                let theirs = [&names.permitted_subtrees, &names.excluded_subtrees];
                let ours = [&fields.constraints.permitted, &fields.constraints.excluded];
                let count = |list: &Option<Vec<_>>| list.as_ref().map_or(0, Vec::len);
                let same = theirs.iter().zip(ours).all(|(theirs, ours)| count(theirs) == ours.len());
                agree(
                    "nameConstraints",
                    same || fields.others.iter().any(|other| other.oid == extensions::NAME_CONSTRAINTS),
                )?;
            }
            ParsedExtension::PolicyConstraints(policy) => {
                let ours = (fields.constraints.require_explicit_policy, fields.constraints.inhibit_policy_mapping);
                agree("policyConstraints", (policy.require_explicit_policy, policy.inhibit_policy_mapping) == ours)?;
            }
            ParsedExtension::InhibitAnyPolicy(any) => {
                agree("inhibitAnyPolicy", fields.constraints.inhibit_any_policy == Some(any.skip_certs))?;
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                agree("subjectAltName", names.general_names.len() == fields.san.len())?;
            }
            _ => {}
        }
    }
    Ok(())
}
