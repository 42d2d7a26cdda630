//! CertificationRequestInfo (RFC 2986 §4.1) with one attribute at most, an extensionRequest (RFC 2985 §5.4.2).

use yasna::Tag;
use yasna::models::ObjectIdentifier;

use super::{Error, certificate, whole_sequence};
use crate::cbor::Bytes;
use crate::x509::fields::{CertFields, RequestFields};

const EXTENSION_REQUEST: &[u64] = &[1, 2, 840, 113549, 1, 9, 14];

/// The exact bytes of a CertificationRequestInfo with these fields. The extensions are written as those of a certificate are, and
/// taken out of one: they are asked for as they would be issued.
pub fn request(fields: &RequestFields) -> Result<Vec<u8>, Error> {
    let (subject, spki) = (whole_sequence("subject", &fields.subject)?, whole_sequence("public key", &fields.spki)?);
    let like = CertFields { serial: Bytes::from(&[1][..]), issuer: fields.subject.clone(), ..fields.as_certificate() };
    let extensions = extensions_of(&certificate(&like)?)?;
    Ok(written(&subject, &spki, Some(&extensions)))
}

/// The same for an end entity, whose subject may be empty, and who asks for the alternative names and other extensions of these
/// fields.
pub fn end_entity_request(fields: &CertFields) -> Result<Vec<u8>, Error> {
    let empty = fields.subject.as_slice() == [0x30, 0];
    let subject = if empty { fields.subject.to_vec() } else { whole_sequence("subject", &fields.subject)? };
    let spki = whole_sequence("public key", &fields.spki)?;
    if fields.san.is_empty() && fields.others.is_empty() {
        return Ok(written(&subject, &spki, None));
    }
    Ok(written(&subject, &spki, Some(&extensions_of(&certificate(fields)?)?)))
}

fn written(subject: &[u8], spki: &[u8], extensions: Option<&[u8]>) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_u8(0);
            writer.next().write_der(subject);
            writer.next().write_der(spki);
            writer.next().write_tagged_implicit(Tag::context(0), |writer| {
                writer.write_set_of(|writer| {
                    let Some(extensions) = extensions else { return };
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(EXTENSION_REQUEST));
                        writer.next().write_set_of(|writer| writer.next().write_der(extensions));
                    })
                })
            });
        })
    })
}

/// The Extensions of a TBSCertificate, out of their tag.
fn extensions_of(tbs: &[u8]) -> Result<Vec<u8>, Error> {
    let unreadable = |e: yasna::ASN1Error| Error::Rcgen(format!("its output cannot be read: {e:?}"));
    yasna::parse_der(tbs, |reader| {
        reader.read_sequence(|reader| {
            for _ in 0..7 {
                reader.next().read_der()?;
            }
            reader.next().read_tagged(Tag::context(3), |reader| reader.read_der())
        })
    })
    .map_err(unreadable)
}
