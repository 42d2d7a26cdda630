//! The last check before bytes enter a plan: they are read back, by readers that share nothing with what wrote them, compared
//! with what was decided, field by field, and judged by what RFC 5280 wants of any certificate or CRL.

use super::check::{Check, Refused};
use super::issuer::CaKey;
use crate::x509::fields::{CertFields, CrlFields};
use crate::x509::{Lint, lint_certificate, lint_crl};

/// Judges the bytes of a certificate that `signer` would sign.
pub fn lint_tbs_certificate(tbs: &[u8], decided: &CertFields, signer: CaKey<'_>) -> Result<(), Refused> {
    let read = lint_certificate(tbs, signer.algorithm, signer.spki).map_err(refused)?;
    compare(&[
        ("serial number", read.serial == decided.serial),
        ("signature algorithm", read.signature == decided.signature),
        ("issuer", read.issuer == decided.issuer),
        ("notBefore", read.not_before == decided.not_before),
        ("notAfter", read.not_after == decided.not_after),
        ("subject", read.subject == decided.subject),
        ("public key", read.spki == decided.spki),
        ("basicConstraints", read.ca == decided.ca),
        ("keyUsage", read.key_usage == decided.key_usage),
        ("extKeyUsage", read.eku == decided.eku),
        ("subjectAltName", read.san == decided.san),
        ("subjectKeyIdentifier", read.ski == decided.ski),
        ("authorityKeyIdentifier", read.aki == decided.aki),
        ("cRLDistributionPoints", read.crl_urls == decided.crl_urls),
        ("authorityInfoAccess", read.issuer_urls == decided.issuer_urls),
        ("certificatePolicies", read.policies == decided.policies),
        ("constraints", read.constraints == decided.constraints),
        ("set of critical extensions", read.critical == decided.critical),
        ("set of other extensions", read.others == decided.others),
        // Whatever a field is added for later.
        ("content", read == *decided),
    ])
}

/// Judges the bytes of a CRL that `signer` would sign.
pub fn lint_tbs_crl(tbs: &[u8], decided: &CrlFields, signer: CaKey<'_>) -> Result<(), Refused> {
    let read = lint_crl(tbs, signer.algorithm).map_err(refused)?;
    compare(&[
        ("signature algorithm", read.signature == decided.signature),
        ("issuer", read.issuer == decided.issuer),
        ("thisUpdate", read.this_update == decided.this_update),
        ("nextUpdate", read.next_update == decided.next_update),
        ("cRLNumber", read.number == decided.number),
        ("authorityKeyIdentifier", read.aki == decided.aki),
        ("list of entries", read.revoked == decided.revoked),
        ("set of critical extensions", read.critical == decided.critical),
        ("set of other extensions", read.others == decided.others),
        ("content", read == *decided),
    ])
}

fn compare(fields: &[(&str, bool)]) -> Result<(), Refused> {
    match fields.iter().find(|(_, same)| !same) {
        Some((field, _)) => Err(Refused::new(Check::Lint, format!("the {field} read back is not what was decided"))),
        None => Ok(()),
    }
}

fn refused(lint: Lint) -> Refused {
    Refused::new(Check::Lint, lint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::KeyAlgorithm;
    use crate::cbor::Bytes;
    use crate::tbs;
    use crate::x509::PublicKey;
    use crate::x509::fields::{CaConstraint, Constraints, OtherExtension, Policy, Revoked, Subtree};
    use crate::x509::forge::{Key, cn};

    fn root(key: &Key) -> CertFields {
        CertFields {
            serial: Bytes::from(vec![1; 17]),
            signature: key.algorithm(),
            issuer: Bytes::from(cn("Root")),
            not_before: 1_795_305_600,
            not_after: 1_995_305_600,
            subject: Bytes::from(cn("Root")),
            spki: Bytes::from(key.spki()),
            ca: Some(CaConstraint { path_len: Some(1) }),
            key_usage: 0x60,
            eku: vec![],
            san: vec![],
            ski: Some(PublicKey::from_spki(&key.spki()).unwrap().identifier()),
            aki: None,
            crl_urls: vec![],
            issuer_urls: vec![],
            policies: vec![],
            constraints: Constraints::default(),
            critical: vec!["2.5.29.15".into(), "2.5.29.19".into()],
            others: vec![],
        }
    }

    /// The bytes are lawful, and say something else than was decided.
    #[test]
    fn every_field_that_differs_is_named() {
        let key = Key::p256();
        let (written, spki) = (root(&key), key.spki());
        let tbs = tbs::certificate(&written).unwrap();
        let signer = CaKey { spki: &spki, algorithm: KeyAlgorithm::EcdsaP256 };
        assert_eq!(lint_tbs_certificate(&tbs, &written, signer), Ok(()));
        type Edit = fn(&mut CertFields);
        let other = |value: u8| Bytes::from(vec![value; 17]);
        let edits: [(&str, Edit); 19] = [
            ("serial number", |f| f.serial[16] = 2),
            ("signature algorithm", |f| f.signature = KeyAlgorithm::EcdsaP384.signs_with()),
            ("issuer", |f| f.issuer = Bytes::from(cn("R00t"))),
            ("notBefore", |f| f.not_before -= 1),
            ("notAfter", |f| f.not_after += 1),
            ("subject", |f| f.subject = Bytes::from(cn("root"))),
            ("public key", |f| f.spki = Bytes::from(Key::p256().spki())),
            ("basicConstraints", |f| f.ca = Some(CaConstraint { path_len: None })),
            ("keyUsage", |f| f.key_usage = 0x20),
            ("extKeyUsage", |f| f.eku = vec!["1.3.6.1.5.5.7.3.1".into()]),
            ("subjectAltName", |f| f.san = vec![crate::x509::fields::GeneralName::Dns("a".into())]),
            ("subjectKeyIdentifier", |f| f.ski = None),
            ("authorityKeyIdentifier", |f| f.aki = f.ski.clone()),
            ("cRLDistributionPoints", |f| f.crl_urls = vec!["http://a/".into()]),
            ("authorityInfoAccess", |f| f.issuer_urls = vec!["http://a/".into()]),
            ("certificatePolicies", |f| f.policies = vec![Policy { oid: "1.2.3".into(), cps: None }]),
            ("constraints", |f| f.constraints.permitted = vec![Subtree::Dns("a".into())]),
            ("set of critical extensions", |f| f.critical.truncate(1)),
            ("set of other extensions", |f| f.others = vec![OtherExtension::must_staple()]),
        ];
        for (field, edit) in edits {
            let mut decided = written.clone();
            edit(&mut decided);
            let refused = lint_tbs_certificate(&tbs, &decided, signer).unwrap_err();
            assert_eq!(refused.check, Check::Lint);
            assert!(refused.reason.starts_with(&format!("the {field} read back")), "{field}: {}", refused.reason);
        }
        let refused = lint_tbs_certificate(&tbs[..tbs.len() - 1], &written, signer).unwrap_err();
        assert!(refused.check == Check::Lint && refused.reason.contains("DER"), "{}", refused.reason);

        let fields = CrlFields {
            signature: key.algorithm(),
            issuer: written.subject.clone(),
            this_update: written.not_before,
            next_update: written.not_after,
            number: 7,
            aki: written.ski.clone(),
            revoked: vec![Revoked { serial: other(3), date: written.not_before, reason: Some(1) }],
            critical: vec![],
            others: vec![],
        };
        let tbs = tbs::crl(&fields).unwrap();
        assert_eq!(lint_tbs_crl(&tbs, &fields, signer), Ok(()));
        type CrlEdit = fn(&mut CrlFields);
        let edits: [(&str, CrlEdit); 8] = [
            ("signature algorithm", |f| f.signature = KeyAlgorithm::EcdsaP384.signs_with()),
            ("issuer", |f| f.issuer = Bytes::from(cn("R00t"))),
            ("thisUpdate", |f| f.this_update += 1),
            ("nextUpdate", |f| f.next_update += 1),
            ("cRLNumber", |f| f.number += 1),
            ("authorityKeyIdentifier", |f| f.aki = None),
            ("list of entries", |f| f.revoked[0].reason = None),
            ("set of critical extensions", |f| f.critical.push("2.5.29.28".into())),
        ];
        for (field, edit) in edits {
            let mut decided = fields.clone();
            edit(&mut decided);
            let refused = lint_tbs_crl(&tbs, &decided, signer).unwrap_err();
            assert!(refused.reason.starts_with(&format!("the {field} read back")), "{field}: {}", refused.reason);
        }
    }
}
