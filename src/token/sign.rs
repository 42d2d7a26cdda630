//! One signature: what goes to the token, and what comes back made fit for X.509.

use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::types::Ulong;

use super::ask::ToSign;
use super::fault::{Fault, Misuse, Result};
use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};

/// What is given to C_Sign for `message`: the digest (ECDSA, RSA-PSS), the DigestInfo around it (RSA PKCS#1), the message
/// (Ed25519, ML-DSA, SLH-DSA).
/// Hashing happens outside the token: modules without CKM_ECDSA_SHA256 are common, and a large CRL need not cross.
pub(super) fn input(algorithm: SignatureAlgorithm, message: ToSign) -> Result<Vec<u8>> {
    let ToSign { item, message } = message;
    let message = message.into_vec();
    let Some(wanted) = digest_octets(algorithm) else {
        // The gate refuses a longer one before it asks.
        let [length, most] = [message.len(), algorithm.longest_message().unwrap_or(0)]
            .map(|octets| u64::try_from(octets).unwrap_or(u64::MAX));
        if length > most {
            return Err(Misuse::Range { what: "the length of a message", value: length, least: 0, most }.into());
        }
        return Ok(message);
    };
    if message.len() != wanted {
        return Err(Misuse::DigestLength { item, length: message.len(), wanted }.into());
    }
    Ok(match digest_info(algorithm) {
        Some(prefix) => [prefix, message.as_slice()].concat(),
        None => message,
    })
}

/// The mechanism for one algorithm; always the raw one.
pub(super) fn mechanism(algorithm: SignatureAlgorithm) -> Mechanism<'static> {
    use SignatureAlgorithm as A;
    // No context, and the token's own choice between hedged and deterministic: the parameter may then be left out, which
    // every module understands. A context would make a signature that no certificate verifies by (RFC 9881 §3, RFC 9909 §3).
    let bare = || SignAdditionalContext::new(HedgeType::Preferred, None);
    match algorithm {
        A::EcdsaSha256 | A::EcdsaSha384 | A::EcdsaSha512 => Mechanism::Ecdsa,
        A::RsaSha256 | A::RsaSha384 | A::RsaSha512 => Mechanism::RsaPkcs,
        A::RsaPssSha256 => Mechanism::RsaPkcsPss(pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32)),
        A::RsaPssSha384 => Mechanism::RsaPkcsPss(pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48)),
        A::RsaPssSha512 => Mechanism::RsaPkcsPss(pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64)),
        A::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
        A::PostQuantum(set) if set.is_slh_dsa() => Mechanism::SlhDsa(bare()),
        A::PostQuantum(_) => Mechanism::MlDsa(bare()),
    }
}

fn pss(hash_alg: MechanismType, mgf: PkcsMgfType, salt: u64) -> PkcsPssParams {
    PkcsPssParams { hash_alg, mgf, s_len: Ulong::new(salt) }
}

/// A token's signature as X.509 wants it. The length is exact: a token that drops leading zeros of r or s would
/// otherwise give a signature that is wrong once in 128 times.
pub(super) fn output(key: KeyAlgorithm, item: u64, raw: Vec<u8>) -> Result<Vec<u8>> {
    let (field, wanted) = (field(key), octets(key));
    if raw.len() != wanted {
        return Err(Fault::SignatureLength { item, length: raw.len(), wanted });
    }
    let Some(field) = field else { return Ok(raw) };
    let (r, s) = raw.split_at(field);
    if [r, s].iter().any(|half| half.iter().all(|octet| *octet == 0)) {
        return Err(Fault::SignatureZero { item });
    }
    Ok(yasna::construct_der(|w| {
        w.write_sequence(|w| {
            w.next().write_bigint_bytes(r, true);
            w.next().write_bigint_bytes(s, true);
        })
    }))
}

/// The length of a signature as the token gives it.
pub(super) fn octets(key: KeyAlgorithm) -> usize {
    field(key).map_or(key.signature_octets(), |octets| 2 * octets)
}

/// The length of r and of s of ECDSA.
fn field(key: KeyAlgorithm) -> Option<usize> {
    match key {
        KeyAlgorithm::EcdsaP256 => Some(32),
        KeyAlgorithm::EcdsaP384 => Some(48),
        KeyAlgorithm::EcdsaP521 => Some(66),
        _ => None,
    }
}

/// The length of the digest that is signed; `None` where the message itself is.
pub(super) fn digest_octets(algorithm: SignatureAlgorithm) -> Option<usize> {
    use SignatureAlgorithm as A;
    match algorithm {
        A::EcdsaSha256 | A::RsaSha256 | A::RsaPssSha256 => Some(32),
        A::EcdsaSha384 | A::RsaSha384 | A::RsaPssSha384 => Some(48),
        A::EcdsaSha512 | A::RsaSha512 | A::RsaPssSha512 => Some(64),
        A::Ed25519 | A::PostQuantum(_) => None,
    }
}

/// The DER of DigestInfo up to the digest (RFC 8017 §9.2, note 1).
fn digest_info(algorithm: SignatureAlgorithm) -> Option<&'static [u8]> {
    match algorithm {
        SignatureAlgorithm::RsaSha256 => Some(&[
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
            0x20,
        ]),
        SignatureAlgorithm::RsaSha384 => Some(&[
            0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04,
            0x30,
        ]),
        SignatureAlgorithm::RsaSha512 => Some(&[
            0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04,
            0x40,
        ]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::PostQuantum;
    use crate::token::ask::Class;

    fn to_sign(length: usize) -> ToSign {
        ToSign { item: 7, message: vec![0xab; length].into() }
    }

    #[test]
    fn a_digest_of_another_length_is_a_misuse() {
        for (algorithm, wanted) in [
            (SignatureAlgorithm::EcdsaSha256, 32),
            (SignatureAlgorithm::EcdsaSha384, 48),
            (SignatureAlgorithm::RsaSha512, 64),
            (SignatureAlgorithm::RsaPssSha256, 32),
            (SignatureAlgorithm::RsaPssSha512, 64),
        ] {
            assert!(input(algorithm, to_sign(wanted)).unwrap().ends_with(&vec![0xab; wanted]));
            for length in [0, wanted - 1, wanted + 1] {
                assert_eq!(input(algorithm, to_sign(length)).unwrap_err().class(), Class::Protocol);
            }
        }
        for whole in [SignatureAlgorithm::Ed25519, SignatureAlgorithm::PostQuantum(PostQuantum::MlDsa87)] {
            let most = whole.longest_message().unwrap();
            assert!(input(whole, to_sign(most)).is_ok());
            assert_eq!(input(whole, to_sign(most + 1)).unwrap_err().class(), Class::Protocol);
        }
    }

    #[test]
    fn a_digest_info_says_its_own_length() {
        for algorithm in [SignatureAlgorithm::RsaSha256, SignatureAlgorithm::RsaSha384, SignatureAlgorithm::RsaSha512] {
            let octets = digest_octets(algorithm).unwrap();
            let info = input(algorithm, to_sign(octets)).unwrap();
            assert_eq!(usize::from(info[1]), info.len() - 2);
            assert_eq!(usize::from(info[18]), octets);
        }
        assert_eq!(input(SignatureAlgorithm::EcdsaSha256, to_sign(32)).unwrap().len(), 32);
    }

    #[test]
    fn ecdsa_integers_are_minimal_and_positive() {
        let mut raw = vec![0; 64];
        raw[31] = 0x7f; // r = 127, after 31 zeros
        raw[32] = 0x80; // s has its top bit set
        let der = output(KeyAlgorithm::EcdsaP256, 1, raw).unwrap();
        assert_eq!(der[..8], [0x30, 0x26, 0x02, 0x01, 0x7f, 0x02, 0x21, 0x00]);
        assert_eq!(der[8], 0x80);
        assert_eq!(der.len(), 40);
    }

    #[test]
    fn a_signature_of_another_length_or_with_a_zero_is_trouble() {
        for length in [0, 63, 65, 70] {
            let fault = output(KeyAlgorithm::EcdsaP256, 1, vec![1; length]).unwrap_err();
            assert!(matches!(fault, Fault::SignatureLength { item: 1, wanted: 64, .. }));
        }
        let mut zero = vec![0; 96];
        zero[0] = 1;
        let fault = output(KeyAlgorithm::EcdsaP384, 1, zero).unwrap_err();
        assert!(matches!(fault, Fault::SignatureZero { item: 1 }));
        assert!(output(KeyAlgorithm::Rsa3072, 1, vec![1; 384]).is_ok());
        assert!(output(KeyAlgorithm::Rsa3072, 1, vec![1; 383]).is_err());
        assert!(output(KeyAlgorithm::Ed25519, 1, vec![1; 64]).is_ok());
        for set in PostQuantum::ALL {
            let (key, wanted) = (KeyAlgorithm::PostQuantum(set), set.signature_octets());
            assert!(output(key, 1, vec![1; wanted]).is_ok());
            let fault = output(key, 1, vec![1; wanted - 1]).unwrap_err();
            assert!(matches!(fault, Fault::SignatureLength { item: 1, wanted: w, .. } if w == wanted));
        }
        // r and s of 66 octets: the SEQUENCE around them has a long length.
        let long = output(KeyAlgorithm::EcdsaP521, 1, vec![1; 132]).unwrap();
        assert_eq!((long.len(), &long[..5]), (139, &[0x30, 0x81, 136, 0x02, 66][..]));
    }
}
