//! The names of key and signature algorithms that every room shares.

mod post_quantum;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use post_quantum::PostQuantum;

/// A kind of key that a CA may hold in its token, or a requester may have certified.
///
/// Stored by its [name](KeyAlgorithm::name): a change needs a new version of the plan and of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    /// RSA, signing by PKCS#1 v1.5.
    Rsa2048,
    Rsa3072,
    Rsa4096,
    /// An RSA pair like the others, its SubjectPublicKeyInfo says rsaEncryption, that signs by RSASSA-PSS alone. That is the
    /// hierarchy's word on a CA's key: neither token nor certificate can tell the two apart.
    Rsa2048Pss,
    Rsa3072Pss,
    Rsa4096Pss,
    Ed25519,
    PostQuantum(PostQuantum),
}

/// A signature algorithm of certificates, requests and CRLs that this program makes or accepts.
///
/// Stored by its [token](SignatureAlgorithm::token).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignatureAlgorithm {
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    RsaSha256,
    RsaSha384,
    RsaSha512,
    /// RSASSA-PSS: MGF1 with the same digest, a salt of the digest's length, trailer 1 (RFC 4055 §3.1). No other parameters.
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    Ed25519,
    PostQuantum(PostQuantum),
}

impl KeyAlgorithm {
    /// All of them, in the order in which they are shown.
    pub const ALL: [KeyAlgorithm; 25] = {
        let mut all = [KeyAlgorithm::Ed25519; 25];
        // Evaluated when this is compiled: an index outside would not compile.
        let (mut n, classical) = (0, KeyAlgorithm::CLASSICAL.len());
        while n < all.len() {
            all[n] = match n < classical {
                true => KeyAlgorithm::CLASSICAL[n],
                false => KeyAlgorithm::PostQuantum(PostQuantum::ALL[n - classical]),
            };
            n += 1;
        }
        all
    };
    const CLASSICAL: [KeyAlgorithm; 10] = [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::EcdsaP521,
        KeyAlgorithm::Ed25519,
        KeyAlgorithm::Rsa2048,
        KeyAlgorithm::Rsa3072,
        KeyAlgorithm::Rsa4096,
        KeyAlgorithm::Rsa2048Pss,
        KeyAlgorithm::Rsa3072Pss,
        KeyAlgorithm::Rsa4096Pss,
    ];

    /// The name used in hierarchy files.
    pub fn name(self) -> &'static str {
        match self {
            KeyAlgorithm::EcdsaP256 => "ecdsa-p256",
            KeyAlgorithm::EcdsaP384 => "ecdsa-p384",
            KeyAlgorithm::EcdsaP521 => "ecdsa-p521",
            KeyAlgorithm::Rsa2048 => "rsa-2048",
            KeyAlgorithm::Rsa3072 => "rsa-3072",
            KeyAlgorithm::Rsa4096 => "rsa-4096",
            KeyAlgorithm::Rsa2048Pss => "rsa-2048-pss",
            KeyAlgorithm::Rsa3072Pss => "rsa-3072-pss",
            KeyAlgorithm::Rsa4096Pss => "rsa-4096-pss",
            KeyAlgorithm::Ed25519 => "ed25519",
            KeyAlgorithm::PostQuantum(set) => set.name(),
        }
    }

    /// The one algorithm a CA key of this kind signs with: the digest matches the key's strength.
    pub fn signs_with(self) -> SignatureAlgorithm {
        match self {
            KeyAlgorithm::EcdsaP256 => SignatureAlgorithm::EcdsaSha256,
            KeyAlgorithm::EcdsaP384 => SignatureAlgorithm::EcdsaSha384,
            KeyAlgorithm::EcdsaP521 => SignatureAlgorithm::EcdsaSha512,
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 => SignatureAlgorithm::RsaSha256,
            KeyAlgorithm::Rsa4096 => SignatureAlgorithm::RsaSha512,
            KeyAlgorithm::Rsa2048Pss | KeyAlgorithm::Rsa3072Pss => SignatureAlgorithm::RsaPssSha256,
            KeyAlgorithm::Rsa4096Pss => SignatureAlgorithm::RsaPssSha512,
            KeyAlgorithm::Ed25519 => SignatureAlgorithm::Ed25519,
            KeyAlgorithm::PostQuantum(set) => SignatureAlgorithm::PostQuantum(set),
        }
    }

    /// The kind that the pair itself shows, in a token as in a certificate: an RSA pair does not say how it signs.
    pub fn shown(self) -> KeyAlgorithm {
        match self {
            KeyAlgorithm::Rsa2048Pss => KeyAlgorithm::Rsa2048,
            KeyAlgorithm::Rsa3072Pss => KeyAlgorithm::Rsa3072,
            KeyAlgorithm::Rsa4096Pss => KeyAlgorithm::Rsa4096,
            other => other,
        }
    }

    /// Whether a pair that shows itself as this kind may make signatures of `algorithm`: its own, and for RSA either padding.
    pub fn may_sign_with(self, algorithm: SignatureAlgorithm) -> bool {
        KeyAlgorithm::ALL.into_iter().any(|kind| kind.shown() == self.shown() && kind.signs_with() == algorithm)
    }

    /// Octets of one signature as a certificate carries it; the most there can be, for ECDSA in DER.
    pub fn signature_octets(self) -> usize {
        match self.shown() {
            KeyAlgorithm::EcdsaP256 => 72,
            KeyAlgorithm::EcdsaP384 => 104,
            KeyAlgorithm::EcdsaP521 => 139,
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa2048Pss => 256,
            KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa3072Pss => 384,
            KeyAlgorithm::Rsa4096 | KeyAlgorithm::Rsa4096Pss => 512,
            KeyAlgorithm::Ed25519 => 64,
            KeyAlgorithm::PostQuantum(set) => set.signature_octets(),
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for KeyAlgorithm {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for KeyAlgorithm {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<KeyAlgorithm, D::Error> {
        let name = String::deserialize(from)?;
        KeyAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| unknown(&name, KeyAlgorithm::ALL.into_iter().map(KeyAlgorithm::name)))
    }
}

/// The longest message that goes whole into the token and through the frames between the processes
/// ([`crate::wire::MAX_FRAME`]). Enough for a CRL of some 70,000 entries.
const LONGEST_MESSAGE: usize = 3 << 20;

/// A message that must go whole into the token is too long for that.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an item has {octets} octets, too many for one signature by {algorithm}")]
pub struct TooLong {
    pub octets: usize,
    pub algorithm: &'static str,
}

impl SignatureAlgorithm {
    const CLASSICAL: [SignatureAlgorithm; 10] = [
        SignatureAlgorithm::EcdsaSha256,
        SignatureAlgorithm::EcdsaSha384,
        SignatureAlgorithm::EcdsaSha512,
        SignatureAlgorithm::RsaSha256,
        SignatureAlgorithm::RsaSha384,
        SignatureAlgorithm::RsaSha512,
        SignatureAlgorithm::RsaPssSha256,
        SignatureAlgorithm::RsaPssSha384,
        SignatureAlgorithm::RsaPssSha512,
        SignatureAlgorithm::Ed25519,
    ];

    /// Every algorithm.
    pub fn all() -> impl Iterator<Item = SignatureAlgorithm> {
        SignatureAlgorithm::CLASSICAL.into_iter().chain(PostQuantum::ALL.map(SignatureAlgorithm::PostQuantum))
    }

    /// The most octets that one signature can be over; `None` where a digest is signed, whatever it was made from. Ed25519
    /// takes the message itself into the token (RFC 8410 §1: never a digest), and so do ML-DSA and SLH-DSA in the one mode
    /// that certificates know.
    pub fn longest_message(self) -> Option<usize> {
        match self {
            SignatureAlgorithm::Ed25519 | SignatureAlgorithm::PostQuantum(_) => Some(LONGEST_MESSAGE),
            _ => None,
        }
    }

    /// What the token signs: the digest for ECDSA and RSA (made here, so that a large TBS need not cross to the token), the
    /// bytes themselves for Ed25519, ML-DSA and SLH-DSA. An error where they are more than [`Self::longest_message`].
    pub fn message(self, tbs: &[u8]) -> Result<Vec<u8>, TooLong> {
        use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
        if self.longest_message().is_some_and(|most| tbs.len() > most) {
            return Err(TooLong { octets: tbs.len(), algorithm: self.name() });
        }
        let hash = match self {
            SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::RsaPssSha256 => {
                &SHA256
            }
            SignatureAlgorithm::EcdsaSha384 | SignatureAlgorithm::RsaSha384 | SignatureAlgorithm::RsaPssSha384 => {
                &SHA384
            }
            SignatureAlgorithm::EcdsaSha512 | SignatureAlgorithm::RsaSha512 | SignatureAlgorithm::RsaPssSha512 => {
                &SHA512
            }
            SignatureAlgorithm::Ed25519 | SignatureAlgorithm::PostQuantum(_) => return Ok(tbs.to_vec()),
        };
        Ok(digest(hash, tbs).as_ref().to_vec())
    }

    /// The dotted object identifier (RFC 3279, 4055, 5758, 8410, 9881, 9909).
    pub fn oid(self) -> &'static str {
        match self {
            SignatureAlgorithm::EcdsaSha256 => "1.2.840.10045.4.3.2",
            SignatureAlgorithm::EcdsaSha384 => "1.2.840.10045.4.3.3",
            SignatureAlgorithm::EcdsaSha512 => "1.2.840.10045.4.3.4",
            SignatureAlgorithm::RsaSha256 => "1.2.840.113549.1.1.11",
            SignatureAlgorithm::RsaSha384 => "1.2.840.113549.1.1.12",
            SignatureAlgorithm::RsaSha512 => "1.2.840.113549.1.1.13",
            SignatureAlgorithm::RsaPssSha256 | SignatureAlgorithm::RsaPssSha384 | SignatureAlgorithm::RsaPssSha512 => {
                "1.2.840.113549.1.1.10"
            }
            SignatureAlgorithm::Ed25519 => "1.3.101.112",
            SignatureAlgorithm::PostQuantum(set) => set.oid(),
        }
    }

    /// The DER of the whole AlgorithmIdentifier: parameters NULL for RSA (RFC 4055 §5), the whole of RSASSA-PSS-params for
    /// PSS (§3.1; NULL beside its digests, as §2.1 has it), absent for the others.
    pub fn identifier_der(self) -> &'static [u8] {
        match self {
            SignatureAlgorithm::EcdsaSha256 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
            SignatureAlgorithm::EcdsaSha384 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
            SignatureAlgorithm::EcdsaSha512 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
            SignatureAlgorithm::RsaSha256 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
            SignatureAlgorithm::RsaSha384 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00",
            SignatureAlgorithm::RsaSha512 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00",
            SignatureAlgorithm::RsaPssSha256 => &const { pss(1, 32) },
            SignatureAlgorithm::RsaPssSha384 => &const { pss(2, 48) },
            SignatureAlgorithm::RsaPssSha512 => &const { pss(3, 64) },
            SignatureAlgorithm::Ed25519 => b"\x30\x05\x06\x03\x2b\x65\x70",
            SignatureAlgorithm::PostQuantum(set) => set.identifier_der(),
        }
    }

    /// The algorithm whose whole AlgorithmIdentifier equals `der`; `None` for any other bytes.
    pub fn from_identifier_der(der: &[u8]) -> Option<SignatureAlgorithm> {
        SignatureAlgorithm::all().find(|algorithm| algorithm.identifier_der() == der)
    }

    /// The name people read.
    pub fn name(self) -> &'static str {
        match self {
            SignatureAlgorithm::EcdsaSha256 => "ECDSA with SHA-256",
            SignatureAlgorithm::EcdsaSha384 => "ECDSA with SHA-384",
            SignatureAlgorithm::EcdsaSha512 => "ECDSA with SHA-512",
            SignatureAlgorithm::RsaSha256 => "RSA PKCS#1 v1.5 with SHA-256",
            SignatureAlgorithm::RsaSha384 => "RSA PKCS#1 v1.5 with SHA-384",
            SignatureAlgorithm::RsaSha512 => "RSA PKCS#1 v1.5 with SHA-512",
            SignatureAlgorithm::RsaPssSha256 => "RSA-PSS with SHA-256",
            SignatureAlgorithm::RsaPssSha384 => "RSA-PSS with SHA-384",
            SignatureAlgorithm::RsaPssSha512 => "RSA-PSS with SHA-512",
            SignatureAlgorithm::Ed25519 => "Ed25519",
            SignatureAlgorithm::PostQuantum(set) => set.title(),
        }
    }

    /// What plans and messages between the processes call it.
    pub fn token(self) -> &'static str {
        match self {
            SignatureAlgorithm::EcdsaSha256 => "ecdsa-sha256",
            SignatureAlgorithm::EcdsaSha384 => "ecdsa-sha384",
            SignatureAlgorithm::EcdsaSha512 => "ecdsa-sha512",
            SignatureAlgorithm::RsaSha256 => "rsa-sha256",
            SignatureAlgorithm::RsaSha384 => "rsa-sha384",
            SignatureAlgorithm::RsaSha512 => "rsa-sha512",
            SignatureAlgorithm::RsaPssSha256 => "rsa-pss-sha256",
            SignatureAlgorithm::RsaPssSha384 => "rsa-pss-sha384",
            SignatureAlgorithm::RsaPssSha512 => "rsa-pss-sha512",
            SignatureAlgorithm::Ed25519 => "ed25519",
            SignatureAlgorithm::PostQuantum(set) => set.name(),
        }
    }
}

/// id-RSASSA-PSS with the digest whose last arc below 2.16.840.1.101.3.4.2 is given, MGF1 with the same, and this salt.
const fn pss(digest: u8, salt: u8) -> [u8; 67] {
    let mut der = *b"\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\
        \xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x00\x05\x00\
        \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x00\x05\x00\
        \xa2\x03\x02\x01\x00";
    // Evaluated when this is compiled: an index outside would not compile.
    der[29] = digest;
    der[59] = digest;
    der[66] = salt;
    der
}

impl Serialize for SignatureAlgorithm {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.token())
    }
}

impl<'de> Deserialize<'de> for SignatureAlgorithm {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<SignatureAlgorithm, D::Error> {
        let token = String::deserialize(from)?;
        SignatureAlgorithm::all()
            .find(|algorithm| algorithm.token() == token)
            .ok_or_else(|| unknown(&token, SignatureAlgorithm::all().map(SignatureAlgorithm::token)))
    }
}

fn unknown<E: serde::de::Error>(found: &str, known: impl Iterator<Item = &'static str>) -> E {
    let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    E::custom(format_args!("unknown algorithm `{}`, expected one of {}", crate::text::escape(found), known.join(", ")))
}

#[cfg(test)]
mod tests;
