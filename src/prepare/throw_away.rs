//! Key pairs in this process, for the dry run alone.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use slh_dsa::signature::Signer;
use slh_dsa::signature::rand_core::UnwrapErr;
use slh_dsa::{ParameterSet, Signature, SigningKey};

use crate::algorithm::{KeyAlgorithm, PostQuantum, SignatureAlgorithm};

pub(super) enum ThrowAway {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
    MlDsa(PqdsaKeyPair),
    SlhDsa(PostQuantum, Box<dyn SlhDsa>),
}

/// A key of any parameter set of SLH-DSA.
pub(super) trait SlhDsa {
    fn public(&self) -> Vec<u8>;
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>>;
}

impl<P: ParameterSet> SlhDsa for SigningKey<P> {
    fn public(&self) -> Vec<u8> {
        self.as_ref().to_vec()
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signature: Signature<P> = self.try_sign(message).ok()?;
        Some(signature.to_vec())
    }
}

impl ThrowAway {
    /// `None`: the library could not.
    pub(super) fn generate(algorithm: KeyAlgorithm) -> Option<ThrowAway> {
        let ecdsa = |kind| EcdsaKeyPair::generate(kind).map(ThrowAway::Ecdsa).ok();
        let rsa = |size| RsaKeyPair::generate(size).map(ThrowAway::Rsa).ok();
        match algorithm {
            KeyAlgorithm::EcdsaP256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyAlgorithm::EcdsaP384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyAlgorithm::EcdsaP521 => ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING),
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa2048Pss => rsa(KeySize::Rsa2048),
            KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa3072Pss => rsa(KeySize::Rsa3072),
            KeyAlgorithm::Rsa4096 | KeyAlgorithm::Rsa4096Pss => rsa(KeySize::Rsa4096),
            KeyAlgorithm::Ed25519 => Ed25519KeyPair::generate().map(ThrowAway::Ed25519).ok(),
            KeyAlgorithm::PostQuantum(set) => post_quantum(set),
        }
    }

    /// SubjectPublicKeyInfo, whole DER.
    pub(super) fn spki(&self) -> Option<Vec<u8>> {
        let der = match self {
            ThrowAway::Ecdsa(pair) => AsDer::<PublicKeyX509Der>::as_der(pair.public_key()),
            ThrowAway::Rsa(pair) => AsDer::<PublicKeyX509Der>::as_der(pair.public_key()),
            ThrowAway::Ed25519(pair) => AsDer::<PublicKeyX509Der>::as_der(pair.public_key()),
            ThrowAway::MlDsa(pair) => AsDer::<PublicKeyX509Der>::as_der(pair.public_key()),
            ThrowAway::SlhDsa(set, pair) => {
                let public = pair.public();
                return Some(yasna::construct_der(|w| {
                    w.write_sequence(|w| {
                        w.next().write_der(set.identifier_der());
                        w.next().write_bitvec_bytes(&public, public.len() * 8);
                    })
                }));
            }
        };
        der.map(|d| d.as_ref().to_vec()).ok()
    }

    /// `None`: the library could not, or a key of this kind makes no such signature.
    pub(super) fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            ThrowAway::Ecdsa(pair) => pair.sign(&random, message).map(|s| s.as_ref().to_vec()).ok(),
            ThrowAway::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match algorithm {
                    SignatureAlgorithm::RsaSha256 => &RSA_PKCS1_SHA256,
                    SignatureAlgorithm::RsaSha512 => &RSA_PKCS1_SHA512,
                    SignatureAlgorithm::RsaPssSha256 => &RSA_PSS_SHA256,
                    SignatureAlgorithm::RsaPssSha512 => &RSA_PSS_SHA512,
                    _ => return None,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            ThrowAway::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            ThrowAway::MlDsa(pair) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                let length = pair.sign(message, &mut signature).ok()?;
                signature.truncate(length);
                Some(signature)
            }
            ThrowAway::SlhDsa(_, pair) => pair.sign(message),
        }
    }
}

fn post_quantum(set: PostQuantum) -> Option<ThrowAway> {
    let ml_dsa = |kind| PqdsaKeyPair::generate(kind).map(ThrowAway::MlDsa).ok();
    let pair: Box<dyn SlhDsa> = match set {
        PostQuantum::MlDsa44 => return ml_dsa(&ML_DSA_44_SIGNING),
        PostQuantum::MlDsa65 => return ml_dsa(&ML_DSA_65_SIGNING),
        PostQuantum::MlDsa87 => return ml_dsa(&ML_DSA_87_SIGNING),
        PostQuantum::SlhDsaSha2_128s => slh_dsa_pair::<slh_dsa::Sha2_128s>(),
        PostQuantum::SlhDsaSha2_128f => slh_dsa_pair::<slh_dsa::Sha2_128f>(),
        PostQuantum::SlhDsaSha2_192s => slh_dsa_pair::<slh_dsa::Sha2_192s>(),
        PostQuantum::SlhDsaSha2_192f => slh_dsa_pair::<slh_dsa::Sha2_192f>(),
        PostQuantum::SlhDsaSha2_256s => slh_dsa_pair::<slh_dsa::Sha2_256s>(),
        PostQuantum::SlhDsaSha2_256f => slh_dsa_pair::<slh_dsa::Sha2_256f>(),
        PostQuantum::SlhDsaShake128s => slh_dsa_pair::<slh_dsa::Shake128s>(),
        PostQuantum::SlhDsaShake128f => slh_dsa_pair::<slh_dsa::Shake128f>(),
        PostQuantum::SlhDsaShake192s => slh_dsa_pair::<slh_dsa::Shake192s>(),
        PostQuantum::SlhDsaShake192f => slh_dsa_pair::<slh_dsa::Shake192f>(),
        PostQuantum::SlhDsaShake256s => slh_dsa_pair::<slh_dsa::Shake256s>(),
        PostQuantum::SlhDsaShake256f => slh_dsa_pair::<slh_dsa::Shake256f>(),
    };
    Some(ThrowAway::SlhDsa(set, pair))
}

/// The operating system's random numbers, which this program could not do a thing without, do not fail here: it panics where
/// they did.
fn slh_dsa_pair<P: ParameterSet + 'static>() -> Box<dyn SlhDsa> {
    Box::new(SigningKey::<P>::new(&mut UnwrapErr(getrandom::SysRng)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509;

    /// One library signs, another verifies; a flipped bit, another message and another key are caught.
    #[test]
    fn every_kind_of_key_signs_what_others_verify_and_nothing_else() {
        let message = b"what was planned";
        for algorithm in KINDS {
            let (by, name) = (algorithm.signs_with(), algorithm.name());
            let (pair, other) = (ThrowAway::generate(algorithm).unwrap(), ThrowAway::generate(algorithm).unwrap());
            let spki = pair.spki().unwrap();
            assert_eq!(x509::PublicKey::from_spki(&spki).unwrap().algorithm(), Some(algorithm.shown()), "{name}");
            let signature = pair.sign(by, message).unwrap();
            x509::verify_signature(&spki, by, message, &signature).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(signature.len() <= algorithm.signature_octets(), "{name}: {}", signature.len());
            for at in [0, signature.len() / 2, signature.len() - 1] {
                let mut flipped = signature.clone();
                flipped[at] ^= 1;
                let refused = x509::verify_signature(&spki, by, message, &flipped);
                assert_eq!(refused, Err(x509::Error::Signature), "{name}: octet {at}");
            }
            let long = [signature.as_slice(), &[0]].concat();
            for wrong in [&signature[..signature.len() - 1], &long, &[]] {
                let refused = x509::verify_signature(&spki, by, message, wrong);
                assert_eq!(refused, Err(x509::Error::Signature), "{name}: {} octets", wrong.len());
            }
            let refused = x509::verify_signature(&spki, by, b"what was not planned", &signature);
            assert_eq!(refused, Err(x509::Error::Signature), "{name}");
            let refused = x509::verify_signature(&other.spki().unwrap(), by, message, &signature);
            assert_eq!(refused, Err(x509::Error::Signature), "{name}");
        }
    }

    /// One of each way to sign: longer RSA keys and the other sets of SLH-DSA take seconds each in a build for tests.
    const KINDS: [KeyAlgorithm; 10] = [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP521,
        KeyAlgorithm::Rsa2048,
        KeyAlgorithm::Rsa2048Pss,
        KeyAlgorithm::Ed25519,
        KeyAlgorithm::PostQuantum(PostQuantum::MlDsa44),
        KeyAlgorithm::PostQuantum(PostQuantum::MlDsa65),
        KeyAlgorithm::PostQuantum(PostQuantum::MlDsa87),
        KeyAlgorithm::PostQuantum(PostQuantum::SlhDsaSha2_128f),
        KeyAlgorithm::PostQuantum(PostQuantum::SlhDsaShake128f),
    ];
}
