//! Declared names.

use yasna::models::ObjectIdentifier;
use yasna::tags::{TAG_IA5STRING, TAG_PRINTABLESTRING};
use yasna::{DERWriter, Tag};

use crate::config::DnType;

/// Encodes a declared subject as a Name: one attribute in each RelativeDistinguishedName, in order, repeats kept.
/// countryName and serialNumber are PrintableString, domainComponent is IA5String (RFC 5280 appendix A), the rest UTF8String.
pub fn name(subject: &[(DnType, String)]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for (kind, value) in subject {
                writer.next().write_set(|writer| {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(kind.oid()));
                        write_value(writer.next(), *kind, value);
                    });
                });
            }
        })
    })
}

fn write_value(writer: DERWriter<'_>, kind: DnType, value: &str) {
    match kind {
        DnType::Country | DnType::SerialNumber => write_octets(writer, TAG_PRINTABLESTRING, value),
        DnType::DomainComponent => write_octets(writer, TAG_IA5STRING, value),
        _ => writer.write_utf8_string(value),
    }
}

/// Writes the octets as they are: yasna's own functions panic on characters outside the type, which `config` has already
/// refused where a hierarchy is read.
fn write_octets(writer: DERWriter<'_>, tag: Tag, value: &str) {
    writer.write_tagged_implicit(tag, |writer| writer.write_bytes(value.as_bytes()));
}
