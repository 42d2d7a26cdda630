//! Declared names.

use yasna::models::ObjectIdentifier;
use yasna::tags::{TAG_IA5STRING, TAG_PRINTABLESTRING};
use yasna::{DERWriter, Tag};

use crate::cbor::Bytes;
use crate::config::{DnType, Limits, NameBase, Rdn};
use crate::x509::fields::{Constraints, Subtree};

/// Encodes a declared subject as a Name: its RDNs in order, repeated types kept, the attributes of one RDN as DER sorts them.
/// countryName and serialNumber are PrintableString, domainComponent is IA5String (RFC 5280 appendix A), the rest UTF8String.
pub fn name(subject: &[Rdn]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for rdn in subject {
                writer.next().write_set_of(|writer| {
                    for (kind, value) in rdn {
                        writer.next().write_sequence(|writer| {
                            writer.next().write_oid(&ObjectIdentifier::from_slice(kind.oid()));
                            write_value(writer.next(), *kind, value);
                        });
                    }
                });
            }
        })
    })
}

/// The declared constraints of a CA, their names encoded.
pub fn constraints(limits: &Limits) -> Constraints {
    let base = |base: &NameBase| match base {
        NameBase::Plain(base) => base.clone(),
        NameBase::Directory(rdns) => Subtree::Directory(Bytes::from(name(rdns))),
    };
    Constraints {
        permitted: limits.permitted.iter().map(base).collect(),
        excluded: limits.excluded.iter().map(base).collect(),
        require_explicit_policy: limits.require_explicit_policy,
        inhibit_policy_mapping: limits.inhibit_policy_mapping,
        inhibit_any_policy: limits.inhibit_any_policy,
    }
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
