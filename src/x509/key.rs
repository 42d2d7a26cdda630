//! Public keys: strict SubjectPublicKeyInfo (RFC 3279, 5480, 8410, 9881, 9909) and what makes a key weak.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use curve25519_dalek::edwards::CompressedEdwardsY;

use super::der::{self, Reader};
use super::error::{Error, in_part};
use super::weakness::{Weakness, weakness};
use crate::algorithm::{KeyAlgorithm, PostQuantum};
use crate::cbor::Bytes;
use crate::digest::Digest;

/// AlgorithmIdentifiers, whole DER: parameters are exact (a named curve, NULL for RSA, absent for Ed25519).
const P256: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
const P521: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23";
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70";
/// A key of more octets is refused before it is read: RSA-16384 needs 2,074.
const MAX_SPKI: usize = 4096;

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    /// Length of the modulus in bits, and the public exponent.
    Rsa {
        bits: u32,
        exponent: u64,
    },
    Ed25519,
    PostQuantum(PostQuantum),
}

impl std::fmt::Display for KeyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeyKind::EcdsaP256 => f.write_str("an ECDSA key on P-256"),
            KeyKind::EcdsaP384 => f.write_str("an ECDSA key on P-384"),
            KeyKind::EcdsaP521 => f.write_str("an ECDSA key on P-521"),
            KeyKind::Rsa { bits, .. } => write!(f, "an RSA key of {bits} bits"),
            KeyKind::Ed25519 => f.write_str("an Ed25519 key"),
            KeyKind::PostQuantum(set) => write!(f, "an {} key", set.title()),
        }
    }
}

/// A public key whose encoding, curve point or modulus has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    spki: Vec<u8>,
    /// The contents of the BIT STRING: an uncompressed point, an RSAPublicKey, or what RFC 8410, 9881 and 9909 put there bare.
    bits: Vec<u8>,
    modulus: Option<Vec<u8>>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo: whole DER, nothing after it.
    pub fn from_spki(spki: &[u8]) -> Result<PublicKey, Error> {
        if spki.len() > MAX_SPKI {
            return Err(Error::TooLarge { part: "public key", length: spki.len(), limit: MAX_SPKI });
        }
        let fault = in_part("public key");
        der::canonical(spki).map_err(&fault)?;
        let mut fields = der::only(spki, der::SEQUENCE).map_err(&fault)?.inside();
        let algorithm = fields.expect(der::SEQUENCE).map_err(&fault)?;
        let bits = der::whole_bits(&fields.expect(der::BIT_STRING).map_err(&fault)?).map_err(&fault)?;
        fields.end().map_err(&fault)?;
        let mut modulus = None;
        let kind = match algorithm.whole {
            P256 => point(bits, 65, &signature::ECDSA_P256_SHA256_ASN1, KeyKind::EcdsaP256)?,
            P384 => point(bits, 97, &signature::ECDSA_P384_SHA384_ASN1, KeyKind::EcdsaP384)?,
            P521 => point(bits, 133, &signature::ECDSA_P521_SHA512_ASN1, KeyKind::EcdsaP521)?,
            ED25519 => {
                edwards(bits)?;
                KeyKind::Ed25519
            }
            RSA => {
                let (kind, n) = rsa(bits)?;
                modulus = Some(n);
                kind
            }
            identifier if let Some(set) = named(identifier) => post_quantum(set, bits)?,
            _ => {
                let oid = der::oid(&algorithm.inside().expect(der::OID).map_err(&fault)?).map_err(&fault)?;
                return Err(match oid.as_str() {
                    "1.2.840.10045.2.1" => {
                        Error::Key("its curve is none of P-256, P-384 and P-521, or is not given by name")
                    }
                    "1.2.840.113549.1.1.1" => Error::Key("the algorithm parameters of RSA must be NULL"),
                    "1.3.101.112" => Error::Key("the algorithm parameters of Ed25519 must be absent"),
                    oid if PostQuantum::ALL.iter().any(|set| set.oid() == oid) => {
                        Error::Key("the algorithm parameters of ML-DSA and SLH-DSA must be absent")
                    }
                    _ => Error::KeyAlgorithm { oid },
                });
            }
        };
        Ok(PublicKey { kind, spki: spki.to_vec(), bits: bits.to_vec(), modulus })
    }

    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// SubjectPublicKeyInfo, whole DER, as it was read.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The contents of the BIT STRING subjectPublicKey.
    pub(crate) fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// SHA-256 of the SubjectPublicKeyInfo: what a ledger of keys is kept by.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.spki)
    }

    /// The key identifier by RFC 7093 §2 method 1: the left-most 160 bits of SHA-256 over the contents of the BIT STRING.
    pub fn identifier(&self) -> Bytes {
        Bytes::from(digest(&SHA256, &self.bits).as_ref().iter().copied().take(20).collect::<Vec<u8>>())
    }

    /// The key's name in hierarchy files; `None` for kinds and sizes that no profile can name. An RSA key does not say by which
    /// padding it signs ([`KeyAlgorithm::shown`]).
    pub fn algorithm(&self) -> Option<KeyAlgorithm> {
        match self.kind {
            KeyKind::EcdsaP256 => Some(KeyAlgorithm::EcdsaP256),
            KeyKind::EcdsaP384 => Some(KeyAlgorithm::EcdsaP384),
            KeyKind::EcdsaP521 => Some(KeyAlgorithm::EcdsaP521),
            KeyKind::Rsa { bits: 2048, .. } => Some(KeyAlgorithm::Rsa2048),
            KeyKind::Rsa { bits: 3072, .. } => Some(KeyAlgorithm::Rsa3072),
            KeyKind::Rsa { bits: 4096, .. } => Some(KeyAlgorithm::Rsa4096),
            KeyKind::Ed25519 => Some(KeyAlgorithm::Ed25519),
            KeyKind::PostQuantum(set) => Some(KeyAlgorithm::PostQuantum(set)),
            KeyKind::Rsa { .. } => None,
        }
    }

    /// Looks for the weaknesses of RSA moduli that can be seen from outside. Keys on curves have none of them.
    pub fn weakness(&self) -> Option<Weakness> {
        weakness(self.modulus.as_deref()?)
    }

    /// The modulus of an RSA key: big-endian, without leading zeros.
    pub fn modulus(&self) -> Option<&[u8]> {
        self.modulus.as_deref()
    }
}

/// Whether a SubjectPublicKeyInfo that is known to be well formed is of an RSA key; cheaper than reading it.
pub fn is_rsa(spki: &[u8]) -> bool {
    let algorithm = der::only(spki, der::SEQUENCE).and_then(|outer| outer.inside().expect(der::SEQUENCE));
    algorithm.is_ok_and(|algorithm| algorithm.whole == RSA)
}

fn point(bits: &[u8], length: usize, by: &'static dyn VerificationAlgorithm, kind: KeyKind) -> Result<KeyKind, Error> {
    // RFC 5480 §2.2: the uncompressed form is the one everybody supports.
    if bits.len() != length || bits.first() != Some(&4) {
        return Err(Error::Key("its curve point is not in the uncompressed form of RFC 5480 section 2.2"));
    }
    UnparsedPublicKey::new(by, bits).parse().map_err(|_| Error::Key("its point does not lie on the curve"))?;
    Ok(kind)
}

/// A key of Ed25519 is a multiple of the base point (RFC 8032 §5.1.5), in the one encoding of its point. A point of small order
/// verifies signatures that nobody made; no key maker gives one, nor one with such a part.
fn edwards(bits: &[u8]) -> Result<(), Error> {
    let encoded = CompressedEdwardsY::from_slice(bits).map_err(|_| Error::Key("its length is not 32 octets"))?;
    let point = encoded.decompress().ok_or(Error::Key("it is no point of Ed25519"))?;
    if point.compress() != encoded {
        return Err(Error::Key("its point of Ed25519 is not in its one encoding (RFC 8032 section 5.1.3)"));
    }
    match !point.is_small_order() && point.is_torsion_free() {
        true => Ok(()),
        false => Err(Error::Key("it is a point of Ed25519 with a part of small order, which no key has")),
    }
}

fn named(identifier: &[u8]) -> Option<PostQuantum> {
    PostQuantum::ALL.into_iter().find(|set| set.identifier_der() == identifier)
}

/// Every string of a set's length is a key of ML-DSA and SLH-DSA: there is no more to check (FIPS 204 §7.2, FIPS 205 §9.1).
fn post_quantum(set: PostQuantum, bits: &[u8]) -> Result<KeyKind, Error> {
    match bits.len() == set.key_octets() {
        true => Ok(KeyKind::PostQuantum(set)),
        false => Err(Error::Key("its length is not the one of its parameter set")),
    }
}

fn rsa(bits: &[u8]) -> Result<(KeyKind, Vec<u8>), Error> {
    let fault = in_part("RSA public key");
    der::canonical(bits).map_err(&fault)?;
    let mut fields: Reader<'_> = der::only(bits, der::SEQUENCE).map_err(&fault)?.inside();
    let modulus = der::unsigned(&fields.expect(der::INTEGER).map_err(&fault)?).map_err(&fault)?;
    let exponent = der::unsigned_64(&fields.expect(der::INTEGER).map_err(&fault)?)
        .map_err(|_| Error::Key("the public exponent has more than 64 bits"))?;
    fields.end().map_err(&fault)?;
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let (Some(first), Some(last)) = (modulus.first(), modulus.last()) else {
        return Err(Error::Key("the modulus is zero"));
    };
    if last & 1 == 0 {
        return Err(Error::Key("the modulus is even"));
    }
    if exponent < 3 || exponent & 1 == 0 {
        return Err(Error::Key("the public exponent is even or smaller than 3"));
    }
    // MAX_SPKI bounds the modulus to 4,096 octets: the bits fit.
    let bits = u32::try_from(modulus.len()).unwrap_or(u32::MAX).saturating_mul(8) - first.leading_zeros();
    Ok((KeyKind::Rsa { bits, exponent }, modulus.to_vec()))
}
