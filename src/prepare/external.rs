//! CAs that an external issuer certifies: their requests, and the twins that stand for their certificates in a dry run.

use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::config::{Ca, EXTERNAL};
use crate::ledger::Ledger;
use crate::plan::Csr;
use crate::policy::{self, ExternalContext, Seen};
use crate::x509::fields::CertFields;
use crate::{tbs, text, x509};

use super::issuers::{Issuers, ca_key, profile_of};
use super::throw_away::ThrowAway;
use super::{Context, Error, refused};

/// The request of a CA, its bytes made and read back.
pub(super) fn request(context: &Context, ca: &Ca, issuers: &Issuers, seen: &mut Seen) -> Result<Csr, Error> {
    let key = issuers.key(ca)?;
    let profile = profile_of(context, ca)?;
    let (subject, constraints) = (tbs::name(&ca.subject), tbs::constraints(&ca.limits));
    let judged = ExternalContext {
        profile,
        ca,
        environment: context.hierarchy.environment,
        subject: &subject,
        constraints: &constraints,
        key: ca_key(&key),
        now: context.now,
    };
    let issuer = context.issuers.get(&ca.id).map(Vec::as_slice);
    let fields = policy::request_fields(&judged, issuer, seen).map_err(|r| refused(&ca.id, r))?;
    let what = format!("request of CA {}", text::escape(&ca.id));
    let info = tbs::request(&fields).map_err(|cause| Error::Encode { what: what.clone(), cause })?;
    if info.len() > x509::MAX_TBS {
        return Err(Error::TooLarge { what, length: info.len(), limit: x509::MAX_TBS });
    }
    let read = x509::read_request_info(&info)
        .map_err(|e| Error::NotAsDecided { what: what.clone(), difference: e.to_string() })?;
    if read != fields {
        return Err(Error::NotAsDecided { what, difference: "a field differs".into() });
    }
    Ok(Csr { ca: ca.id.clone(), profile: profile.id.clone(), signer: key, tbs: Bytes::from(info), fields })
}

/// Puts into the ledger of a dry run what stands for the certificate of this CA on record, and for those above it: the same but for
/// keys, key identifiers and what limits nobody. `pair` is the throw-away key of the CA. Nothing where it has no certificate.
pub(super) fn twin(real: &Ledger, ca: &Ca, pair: &ThrowAway, dry: &mut Ledger) -> Result<(), Error> {
    let (Some((index, der)), Some(above)) = (real.cas.get(&ca.id), real.above.get(&ca.id)) else { return Ok(()) };
    let unreadable = |e: x509::Error| Error::NotAsDecided { what: ca.id.clone(), difference: format!("dry run: {e}") };
    let mut chain: Vec<CertFields> = [der]
        .into_iter()
        .chain(above)
        .map(|der| x509::read_certificate(der))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    let by = KeyAlgorithm::EcdsaP256;
    let pairs: Vec<ThrowAway> = above.iter().filter_map(|_| ThrowAway::generate(by)).collect();
    let spki = |pair: &ThrowAway| pair.spki().map(Bytes::from).ok_or(Error::DryRunKey);
    let keys = [pair].into_iter().chain(&pairs).map(spki).collect::<Result<Vec<_>, _>>()?;
    for (fields, key) in chain.iter_mut().zip(&keys) {
        let known = x509::PublicKey::from_spki(key).map_err(unreadable)?;
        let limits = fields.constraints.extensions().into_iter().filter(|(_, stands)| *stands).map(|(oid, _)| oid);
        fields.critical = ["2.5.29.15", "2.5.29.19"].into_iter().chain(limits).map(String::from).collect();
        fields.san.clear();
        (fields.spki, fields.ski, fields.signature) = (key.clone(), Some(known.identifier()), by.signs_with());
        (fields.crl_urls, fields.issuer_urls, fields.others) = Default::default();
    }
    let identifiers: Vec<Option<Bytes>> = chain.iter().map(|fields| fields.ski.clone()).collect();
    let last = chain.len().saturating_sub(1);
    let mut made = Vec::new();
    for (n, fields) in chain.iter_mut().enumerate() {
        fields.aki = identifiers.get((n + 1).min(last)).cloned().flatten();
        let tbs = tbs::certificate(fields)
            .map_err(|cause| Error::Encode { what: format!("certificate of CA `{}`", ca.id), cause })?;
        // Each by the key above it, the last by its own.
        let signer = pairs.get(n.min(last.saturating_sub(1))).ok_or(Error::DryRunKey)?;
        let signature = signer.sign(by.signs_with(), &tbs).ok_or(Error::DryRunKey)?;
        made.push(Bytes::from(tbs::assemble(&tbs, by.signs_with(), &signature)));
    }
    let above = made.split_off(1.min(made.len()));
    dry.cas.extend(made.pop().map(|own| (ca.id.clone(), (*index, own))));
    dry.issuers.insert(ca.id.clone(), EXTERNAL.into());
    dry.above.insert(ca.id.clone(), above);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::PostQuantum;
    use crate::x509::fields::{CaConstraint, Constraints, Policy, RequestFields, Subtree};

    fn fields(spki: Vec<u8>) -> RequestFields {
        let permitted = vec![Subtree::Dns("example.org".into()), Subtree::ip("10.0.0.0/8").unwrap()];
        RequestFields {
            subject: Bytes::from(x509::forge::cn("Issuing")),
            spki: Bytes::from(spki),
            ca: Some(CaConstraint { path_len: Some(0) }),
            key_usage: 0x60,
            eku: vec![x509::SERVER_AUTH.into()],
            ski: Some(Bytes::from(vec![7; 20])),
            policies: vec![Policy { oid: "2.999.1".into(), cps: Some("http://ca.example.org/cps".into()) }],
            constraints: Constraints { permitted, inhibit_any_policy: Some(0), ..Constraints::default() },
            critical: ["2.5.29.15", "2.5.29.19", "2.5.29.30", "2.5.29.54"].map(String::from).to_vec(),
            others: Vec::new(),
        }
    }

    #[test]
    fn a_request_is_written_read_back_and_verified_whatever_its_key() {
        for algorithm in [
            KeyAlgorithm::EcdsaP256,
            KeyAlgorithm::EcdsaP384,
            KeyAlgorithm::EcdsaP521,
            KeyAlgorithm::Rsa3072,
            KeyAlgorithm::Rsa3072Pss,
            KeyAlgorithm::Ed25519,
            KeyAlgorithm::PostQuantum(PostQuantum::MlDsa44),
        ] {
            let (pair, by) = (ThrowAway::generate(algorithm).unwrap(), algorithm.signs_with());
            let asked = fields(pair.spki().unwrap());
            let info = tbs::request(&asked).unwrap();
            assert_eq!(x509::read_request_info(&info).unwrap(), asked);
            let der = tbs::assemble(&info, by, &pair.sign(by, &info).unwrap());
            assert_eq!(x509::verify_request(&der, by).unwrap(), asked, "{algorithm}");
            let mut flipped = der.clone();
            *flipped.last_mut().unwrap() ^= 1;
            assert!(x509::verify_request(&flipped, by).is_err(), "{algorithm}");
            let other =
                if by == KeyAlgorithm::Ed25519.signs_with() { KeyAlgorithm::EcdsaP256 } else { KeyAlgorithm::Ed25519 };
            assert_eq!(x509::verify_request(&der, other.signs_with()), Err(x509::Error::AlgorithmMismatch));
        }
    }

    #[test]
    fn a_request_with_more_or_less_than_one_extension_request_is_none_of_ours() {
        let asked = fields(ThrowAway::generate(KeyAlgorithm::EcdsaP256).unwrap().spki().unwrap());
        let info = tbs::request(&asked).unwrap();
        for end in 0..info.len() {
            assert!(x509::read_request_info(&info[..end]).is_err(), "cut at {end}");
        }
        assert!(x509::read_request_info(&[&info[..], &[0]].concat()).is_err());
        let mut changed = 0;
        for at in 0..info.len() {
            let mut other = info.clone();
            other[at] ^= 1;
            // Whatever is still read says something else.
            if let Ok(read) = x509::read_request_info(&other) {
                assert_ne!(read, asked, "octet {at}");
                changed += 1;
            }
        }
        assert!(changed > 100, "{changed}");
        let unwritten = RequestFields { ski: None, ..asked.clone() };
        assert!(tbs::request(&unwritten).is_err());
        let unwritten = RequestFields { critical: Vec::new(), ..asked };
        assert!(tbs::request(&unwritten).is_err());
    }
}
