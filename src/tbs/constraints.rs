//! The extensions by which a CA's certificate constrains those below it.

use rcgen::CustomExtension;
use yasna::{DERWriter, Tag};

use super::{Error, ascii, whole_sequence};
use crate::x509::fields::{Constraints, Subtree};

const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];
const POLICY_CONSTRAINTS: &[u64] = &[2, 5, 29, 36];
const INHIBIT_ANY_POLICY: &[u64] = &[2, 5, 29, 54];

/// nameConstraints, policyConstraints and inhibitAnyPolicy, as far as they stand.
pub(super) fn extensions(constraints: &Constraints) -> Result<Vec<CustomExtension>, Error> {
    let mut found = Vec::new();
    let mut add = |oid: &[u64], value: Vec<u8>| {
        let mut extension = CustomExtension::from_oid_content(oid, value);
        extension.set_criticality(true);
        found.push(extension);
    };
    let [(_, names), (_, policies), _] = constraints.extensions();
    if names {
        constraints.permitted.iter().chain(&constraints.excluded).try_for_each(lawful)?;
        add(NAME_CONSTRAINTS, name_constraints(constraints));
    }
    if policies {
        let counts = [constraints.require_explicit_policy, constraints.inhibit_policy_mapping];
        add(POLICY_CONSTRAINTS, policy_constraints(counts));
    }
    if let Some(count) = constraints.inhibit_any_policy {
        add(INHIBIT_ANY_POLICY, yasna::construct_der(|writer| writer.write_u32(count)));
    }
    Ok(found)
}

fn lawful(base: &Subtree) -> Result<(), Error> {
    match base {
        Subtree::Dns(text) | Subtree::Email(text) => ascii("name constraint", text),
        Subtree::Ip(octets) if matches!(octets.len(), 8 | 32) => Ok(()),
        Subtree::Ip(_) => Err(Error::Extension("nameConstraints with a malformed IP address".into())),
        Subtree::Directory(name) => whole_sequence("name constraint", name).map(|_| ()),
    }
}

fn name_constraints(constraints: &Constraints) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for (number, list) in [(0, &constraints.permitted), (1, &constraints.excluded)] {
                if !list.is_empty() {
                    writer.next().write_tagged_implicit(Tag::context(number), |writer| {
                        writer.write_sequence(|writer| {
                            for base in list {
                                // minimum is 0 by default, maximum absent.
                                writer.next().write_sequence(|writer| write_base(writer.next(), base));
                            }
                        });
                    });
                }
            }
        });
    })
}

fn write_base(writer: DERWriter<'_>, base: &Subtree) {
    let implicit = |writer: DERWriter<'_>, number: u64, octets: &[u8]| {
        writer.write_tagged_implicit(Tag::context(number), |writer| writer.write_bytes(octets));
    };
    match base {
        Subtree::Email(text) => implicit(writer, 1, text.as_bytes()),
        Subtree::Dns(text) => implicit(writer, 2, text.as_bytes()),
        Subtree::Ip(octets) => implicit(writer, 7, octets),
        // A Name is a CHOICE, whose tag is explicit.
        Subtree::Directory(name) => writer.write_tagged(Tag::context(4), |writer| writer.write_der(name)),
    }
}

fn policy_constraints(counts: [Option<u32>; 2]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for (number, count) in (0..).zip(counts) {
                if let Some(count) = count {
                    writer.next().write_tagged_implicit(Tag::context(number), |writer| writer.write_u32(count));
                }
            }
        });
    })
}
