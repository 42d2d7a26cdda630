//! The write side of X.509: fields to the exact bytes that a token signs.
//!
//! rcgen writes version, serial, validity and extensions; what it lacks goes in as custom extensions. Its own names, keys and
//! algorithm identifiers are left behind: those of the fields are spliced in byte for byte, since rcgen loses repeated
//! attributes of names and rebuilds keys from the signature algorithm. No signature is made here: rcgen "signs" with a
//! key that only takes the message down.
//!
//! This room does not read its own output back; the caller does, with `x509`, and compares.

mod certificate;
mod constraints;
mod crl;
mod name;
mod request;

pub use certificate::certificate;
pub use crl::crl;
pub use name::{constraints, name};
pub use request::{end_entity_request, request};

use rcgen::{PublicKeyData, SigningKey};
use time::OffsetDateTime;

use crate::algorithm::SignatureAlgorithm;

/// Why fields cannot become bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the serial number {0} is not 1 to 20 octets of a positive number in its shortest form")]
    Serial(String),
    #[error("the {0} is not one whole SEQUENCE in DER, or is empty")]
    Der(&'static str),
    #[error("{0} is not a time of the years 1950 to 9999")]
    Time(i64),
    #[error("the second time, {end}, is not after the first, {start}")]
    TimeOrder { start: i64, end: i64 },
    #[error("{0} is no object identifier")]
    Oid(String),
    #[error("the {0} is not ASCII")]
    Ascii(&'static str),
    #[error("a path length of {0} is more than 255")]
    PathLength(u32),
    #[error("key usage {0:#06x} has unknown bits")]
    KeyUsage(u16),
    #[error("extension {0} is not written with this criticality")]
    Criticality(String),
    #[error("extension {0} cannot be written")]
    Extension(String),
    #[error("the {0} is missing")]
    Missing(&'static str),
    #[error("the {0} is empty")]
    Empty(&'static str),
    #[error("reason {0} is not one that an entry of a full CRL carries")]
    Reason(u8),
    #[error("serial number {0} stands twice in the CRL")]
    EntryTwice(String),
    #[error("rcgen refuses the fields: {0}")]
    Rcgen(String),
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        Some("nothing was signed; compare the profile and the CA in hierarchy.toml with the documentation of their fields".into())
    }
}

/// Puts a signed TBS together: a Certificate (RFC 5280 §4.1), a CertificateList (§5.1) or a CertificationRequest (RFC 2986 §4.2).
pub fn assemble(tbs: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(tbs);
            writer.next().write_der(algorithm.identifier_der());
            writer.next().write_bitvec_bytes(signature, signature.len() * 8);
        })
    })
}

/// Takes the place of the issuer's and the subject's key while rcgen writes. It holds no key and makes no signature; what it
/// claims to be is spliced out afterwards.
struct Placeholder;

impl PublicKeyData for Placeholder {
    fn der_bytes(&self) -> &[u8] {
        &[]
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl SigningKey for Placeholder {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

/// The elements of the first element of a SEQUENCE: what rcgen wrote as TBS.
fn tbs_elements(signed: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let read = |bytes: &[u8]| {
        yasna::parse_der(bytes, |reader| {
            reader.read_sequence(|reader| {
                let mut elements = Vec::new();
                while let Some(element) = reader.read_optional(|reader| reader.read_der())? {
                    elements.push(element);
                }
                Ok(elements)
            })
        })
    };
    let unreadable = |e: yasna::ASN1Error| Error::Rcgen(format!("its output cannot be read: {e:?}"));
    let parts = read(signed).map_err(unreadable)?;
    let tbs = parts.first().ok_or_else(|| Error::Rcgen("its output is empty".into()))?;
    read(tbs).map_err(unreadable)
}

/// A SEQUENCE of these elements.
fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for element in elements {
                writer.next().write_der(element);
            }
        })
    })
}

/// What is spliced in must be one whole SEQUENCE that is not empty, or it would break the frame around it.
fn whole_sequence(part: &'static str, der: &[u8]) -> Result<Vec<u8>, Error> {
    let empty = der.len() <= 2;
    match yasna::parse_der(der, |reader| reader.read_der()) {
        Ok(element) if element == der && der.first() == Some(&0x30) && !empty => Ok(element),
        _ => Err(Error::Der(part)),
    }
}

/// Content octets of a positive INTEGER, at most 20, in their shortest form (RFC 5280 §4.1.2.2). rcgen itself would write 21
/// octets for 20 with the top bit set.
fn serial(octets: &[u8]) -> Result<rcgen::SerialNumber, Error> {
    let shortest = match octets {
        [] | [0] => false,
        [first, ..] if *first >= 0x80 => false,
        [0, second, ..] => *second >= 0x80,
        _ => true,
    };
    if !shortest || octets.len() > 20 {
        return Err(Error::Serial(crate::text::hex(octets)));
    }
    Ok(rcgen::SerialNumber::from(octets.to_vec()))
}

/// RFC 5280 §4.1.2.5: from 1950; through 2049 written as UTCTime, then as GeneralizedTime.
fn moment(seconds: i64) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .filter(|time| (1950..=9999).contains(&time.year()))
        .ok_or(Error::Time(seconds))
}

/// The arcs of a dotted object identifier; yasna panics on others than these.
fn oid(dotted: &str) -> Result<Vec<u64>, Error> {
    let refused = || Error::Oid(crate::text::escape(dotted));
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().ok()).collect::<Option<_>>().ok_or_else(refused)?;
    let lawful = match arcs.as_slice() {
        [0 | 1, second, ..] => *second < 40,
        [2, ..] => arcs.len() > 1,
        _ => false,
    };
    let bounded = arcs.len() <= 32 && arcs.iter().all(|arc| *arc < 1 << 56);
    let canonical = arcs.iter().map(u64::to_string).collect::<Vec<_>>().join(".") == dotted;
    if lawful && bounded && canonical { Ok(arcs) } else { Err(refused()) }
}

fn ascii(what: &'static str, text: &str) -> Result<(), Error> {
    if text.is_ascii() { Ok(()) } else { Err(Error::Ascii(what)) }
}

#[cfg(test)]
mod tests;
