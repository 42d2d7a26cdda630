//! TBSCertificate (RFC 5280 §4.1.2).

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyUsagePurpose,
};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag};

use super::constraints;
use super::{Error, Placeholder, ascii, moment, oid, sequence, serial, tbs_elements, whole_sequence};
use crate::x509::fields::{CertFields, GeneralName, Policy};

const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
const CERTIFICATE_POLICIES: &[u64] = &[2, 5, 29, 32];
const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
const CA_ISSUERS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 2];
const CPS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 2, 1];
const ON_XMPP_ADDR: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 5];
const ON_DNS_SRV: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 7];
const ON_SMTP_UTF8_MAILBOX: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 9];

/// The exact bytes of a TBSCertificate with these fields. An empty subject Name (`30 00`) is allowed when the subjectAltName
/// is critical (RFC 5280 §4.1.2.6); an empty issuer never.
pub fn certificate(fields: &CertFields) -> Result<Vec<u8>, Error> {
    if fields.not_after < fields.not_before {
        return Err(Error::TimeOrder { start: fields.not_before, end: fields.not_after });
    }
    let subject = match fields.subject.as_slice() {
        empty @ [0x30, 0] if fields.critical.iter().any(|oid| oid == "2.5.29.17") => empty.to_vec(),
        name => whole_sequence("subject", name)?,
    };
    let issuer = whole_sequence("issuer", &fields.issuer)?;
    let spki = whole_sequence("public key", &fields.spki)?;

    let mut params = CertificateParams::default();
    params.serial_number = Some(serial(&fields.serial)?);
    params.not_before = moment(fields.not_before)?;
    params.not_after = moment(fields.not_after)?;
    extensions(&mut params, fields)?;

    let mut issuer_params = CertificateParams::default();
    if let Some(aki) = &fields.aki {
        params.use_authority_key_identifier_extension = true;
        issuer_params.key_identifier_method = KeyIdMethod::PreSpecified(aki.to_vec());
    }
    let written = params
        .signed_by(&Placeholder, &Issuer::new(issuer_params, Placeholder))
        .map_err(|e| Error::Rcgen(e.to_string()))?;

    // version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, extensions
    let elements: [Vec<u8>; 8] = tbs_elements(written.der())?.try_into().map_err(|_| Error::Missing("extensions"))?;
    let [version, serial, _, _, validity, _, _, extensions] = elements;
    let algorithm = fields.signature.identifier_der().to_vec();
    Ok(sequence(&[version, serial, algorithm, issuer, validity, subject, spki, extensions]))
}

fn extensions(params: &mut CertificateParams, fields: &CertFields) -> Result<(), Error> {
    criticality(fields)?;
    params.key_usages = key_usages(fields.key_usage)?;
    for purpose in &fields.eku {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::Other(oid(purpose)?));
    }
    if !fields.crl_urls.is_empty() {
        fields.crl_urls.iter().try_for_each(|uri| ascii("CRL URL", uri))?;
        // One point with every URI: they are places of one and the same CRL (RFC 5280 §4.2.1.13).
        params.crl_distribution_points.push(CrlDistributionPoint { uris: fields.crl_urls.clone() });
    }
    match (fields.ca, &fields.ski) {
        (Some(constraint), Some(ski)) => {
            params.key_identifier_method = KeyIdMethod::PreSpecified(ski.to_vec());
            params.is_ca = IsCa::Ca(match constraint.path_len {
                None => BasicConstraints::Unconstrained,
                Some(length) => {
                    BasicConstraints::Constrained(u8::try_from(length).map_err(|_| Error::PathLength(length))?)
                }
            });
        }
        (Some(_), None) => return Err(Error::Missing("subject key identifier of a CA")),
        (None, ski) => {
            if fields.critical.iter().any(|oid| oid == "2.5.29.19") {
                // rcgen would write a key identifier of its own beside it: an empty SEQUENCE, cA FALSE being the default.
                let mut extension = CustomExtension::from_oid_content(BASIC_CONSTRAINTS, vec![0x30, 0]);
                extension.set_criticality(true);
                params.custom_extensions.push(extension);
            }
            if let Some(ski) = ski {
                let value = yasna::construct_der(|writer| writer.write_bytes(ski));
                params.custom_extensions.push(CustomExtension::from_oid_content(SUBJECT_KEY_IDENTIFIER, value));
            }
        }
    }
    if !fields.san.is_empty() {
        let mut extension = CustomExtension::from_oid_content(SUBJECT_ALT_NAME, subject_alt_name(&fields.san)?);
        extension.set_criticality(fields.critical.iter().any(|oid| oid == "2.5.29.17"));
        params.custom_extensions.push(extension);
    }
    if !fields.policies.is_empty() {
        let value = certificate_policies(&fields.policies)?;
        params.custom_extensions.push(CustomExtension::from_oid_content(CERTIFICATE_POLICIES, value));
    }
    params.custom_extensions.extend(constraints::extensions(&fields.constraints)?);
    for other in &fields.others {
        let oid = oid(&other.oid)?;
        params.custom_extensions.push(CustomExtension::from_oid_content(&oid, other.value.to_vec()));
    }
    if !fields.issuer_urls.is_empty() {
        let value = info_access(&fields.issuer_urls)?;
        params.custom_extensions.push(CustomExtension::from_oid_content(AUTHORITY_INFO_ACCESS, value));
    }
    Ok(())
}

/// keyUsage, a CA's basicConstraints and what constrains those below it are critical (RFC 5280 §4.2.1.3, §4.2.1.9 to
/// §4.2.1.11, §4.2.1.14), subjectAltName may be, nothing else is; "no CA" is written as a critical basicConstraints where the fields say so.
fn criticality(fields: &CertFields) -> Result<(), Error> {
    let is = |wanted: &str| fields.critical.iter().any(|oid| oid == wanted);
    let refuse = |oid: &str| Err(Error::Criticality(crate::text::escape(oid)));
    if is("2.5.29.15") != (fields.key_usage != 0) {
        return refuse("2.5.29.15");
    }
    if fields.ca.is_some() && !is("2.5.29.19") {
        return refuse("2.5.29.19");
    }
    if is("2.5.29.17") && fields.san.is_empty() {
        return refuse("2.5.29.17");
    }
    if let Some((oid, _)) = fields.constraints.extensions().iter().find(|(oid, stands)| is(oid) != *stands) {
        return refuse(oid);
    }
    let known = ["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.30", "2.5.29.36", "2.5.29.54"];
    if let Some(other) = fields.critical.iter().find(|oid| !known.contains(&oid.as_str())) {
        return refuse(other);
    }
    if fields.critical.is_sorted_by(|a, b| a < b) { Ok(()) } else { refuse("(not sorted, or twice)") }
}

fn key_usages(bits: u16) -> Result<Vec<KeyUsagePurpose>, Error> {
    use KeyUsagePurpose::*;
    let all = [
        DigitalSignature,
        ContentCommitment,
        KeyEncipherment,
        DataEncipherment,
        KeyAgreement,
        KeyCertSign,
        CrlSign,
        EncipherOnly,
        DecipherOnly,
    ];
    if bits >> all.len() != 0 {
        return Err(Error::KeyUsage(bits));
    }
    Ok(all.into_iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, usage)| usage).collect())
}

fn subject_alt_name(names: &[GeneralName]) -> Result<Vec<u8>, Error> {
    for name in names {
        match name {
            GeneralName::Dns(text) | GeneralName::Email(text) | GeneralName::Uri(text) | GeneralName::Srv(text) => {
                ascii("alternative name", text)?;
                if text.is_empty() {
                    return Err(Error::Empty("alternative name"));
                }
            }
            GeneralName::XmppAddr(text) | GeneralName::Utf8Mailbox(text) if text.is_empty() => {
                return Err(Error::Empty("alternative name"));
            }
            GeneralName::XmppAddr(_) | GeneralName::Utf8Mailbox(_) => {}
            GeneralName::Ip(octets) if matches!(octets.len(), 4 | 16) => {}
            GeneralName::Ip(_) => return Err(Error::Extension("subjectAltName with a malformed IP address".into())),
            // No profile makes these; they exist so that a reader can show them.
            GeneralName::Other(_) => return Err(Error::Extension("subjectAltName of an unknown form".into())),
        }
    }
    Ok(yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for name in names {
                write_general_name(writer.next(), name);
            }
        })
    }))
}

fn write_general_name(writer: DERWriter<'_>, name: &GeneralName) {
    let implicit = |writer: DERWriter<'_>, number: u64, octets: &[u8]| {
        writer.write_tagged_implicit(Tag::context(number), |writer| writer.write_bytes(octets));
    };
    match name {
        GeneralName::Email(text) => implicit(writer, 1, text.as_bytes()),
        GeneralName::Dns(text) => implicit(writer, 2, text.as_bytes()),
        GeneralName::Uri(text) => implicit(writer, 6, text.as_bytes()),
        GeneralName::Ip(octets) => implicit(writer, 7, octets),
        GeneralName::Srv(text) => other_name(writer, ON_DNS_SRV, |writer| writer.write_ia5_string(text)),
        GeneralName::XmppAddr(text) => other_name(writer, ON_XMPP_ADDR, |writer| writer.write_utf8_string(text)),
        GeneralName::Utf8Mailbox(text) => {
            other_name(writer, ON_SMTP_UTF8_MAILBOX, |writer| writer.write_utf8_string(text))
        }
        GeneralName::Other(der) => writer.write_der(der),
    }
}

/// otherName: [0] IMPLICIT SEQUENCE { type-id, [0] EXPLICIT value }.
fn other_name(writer: DERWriter<'_>, kind: &[u64], value: impl FnOnce(DERWriter<'_>)) {
    writer.write_tagged_implicit(Tag::context(0), |writer| {
        writer.write_sequence(|writer| {
            writer.next().write_oid(&ObjectIdentifier::from_slice(kind));
            writer.next().write_tagged(Tag::context(0), value);
        })
    });
}

fn certificate_policies(policies: &[Policy]) -> Result<Vec<u8>, Error> {
    let mut arcs = Vec::new();
    for policy in policies {
        policy.cps.iter().try_for_each(|cps| ascii("CPS URI", cps))?;
        arcs.push((ObjectIdentifier::new(oid(&policy.oid)?), policy.cps.as_deref()));
    }
    Ok(yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for (oid, cps) in &arcs {
                writer.next().write_sequence(|writer| {
                    writer.next().write_oid(oid);
                    if let Some(cps) = cps {
                        writer.next().write_sequence(|writer| {
                            writer.next().write_sequence(|writer| {
                                writer.next().write_oid(&ObjectIdentifier::from_slice(CPS));
                                writer.next().write_ia5_string(cps);
                            })
                        });
                    }
                });
            }
        })
    }))
}

fn info_access(uris: &[String]) -> Result<Vec<u8>, Error> {
    uris.iter().try_for_each(|uri| ascii("issuer URL", uri))?;
    Ok(yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for uri in uris {
                writer.next().write_sequence(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(CA_ISSUERS));
                    writer.next().write_tagged_implicit(Tag::context(6), |writer| writer.write_bytes(uri.as_bytes()));
                });
            }
        })
    }))
}
