//! The names of key and signature algorithms that every room shares.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of key that a CA may hold in its token, or a requester may have certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    Ed25519,
}

/// A signature algorithm of certificates, requests and CRLs that this program makes or accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureAlgorithm {
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    RsaSha256,
    RsaSha384,
    RsaSha512,
    Ed25519,
}

impl KeyAlgorithm {
    /// All of them, in the order in which they are shown.
    pub const ALL: [KeyAlgorithm; 7] = [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::EcdsaP521,
        KeyAlgorithm::Ed25519,
        KeyAlgorithm::Rsa2048,
        KeyAlgorithm::Rsa3072,
        KeyAlgorithm::Rsa4096,
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
            KeyAlgorithm::Ed25519 => "ed25519",
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
            KeyAlgorithm::Ed25519 => SignatureAlgorithm::Ed25519,
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl SignatureAlgorithm {
    /// The most octets that one signature can be over; `None` where a digest is signed, whatever it was made from. Ed25519
    /// takes the message itself into the token (RFC 8410 §1: never a digest), and so through the frames between the
    /// processes ([`crate::wire::MAX_FRAME`]). Enough for a CRL of some 70,000 entries.
    pub fn longest_message(self) -> Option<usize> {
        (self == SignatureAlgorithm::Ed25519).then_some(3 << 20)
    }

    /// The dotted object identifier (RFC 3279, 4055, 5758, 8410).
    pub fn oid(self) -> &'static str {
        match self {
            SignatureAlgorithm::EcdsaSha256 => "1.2.840.10045.4.3.2",
            SignatureAlgorithm::EcdsaSha384 => "1.2.840.10045.4.3.3",
            SignatureAlgorithm::EcdsaSha512 => "1.2.840.10045.4.3.4",
            SignatureAlgorithm::RsaSha256 => "1.2.840.113549.1.1.11",
            SignatureAlgorithm::RsaSha384 => "1.2.840.113549.1.1.12",
            SignatureAlgorithm::RsaSha512 => "1.2.840.113549.1.1.13",
            SignatureAlgorithm::Ed25519 => "1.3.101.112",
        }
    }

    /// The DER of the whole AlgorithmIdentifier: parameters NULL for RSA (RFC 4055 §5), absent for the others.
    pub fn identifier_der(self) -> &'static [u8] {
        match self {
            SignatureAlgorithm::EcdsaSha256 => {
                &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]
            }
            SignatureAlgorithm::EcdsaSha384 => {
                &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03]
            }
            SignatureAlgorithm::EcdsaSha512 => {
                &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04]
            }
            SignatureAlgorithm::RsaSha256 => {
                &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00]
            }
            SignatureAlgorithm::RsaSha384 => {
                &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c, 0x05, 0x00]
            }
            SignatureAlgorithm::RsaSha512 => {
                &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d, 0x05, 0x00]
            }
            SignatureAlgorithm::Ed25519 => &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70],
        }
    }

    /// The algorithm whose whole AlgorithmIdentifier equals `der`; `None` for any other bytes.
    pub fn from_identifier_der(der: &[u8]) -> Option<SignatureAlgorithm> {
        use SignatureAlgorithm::*;
        [EcdsaSha256, EcdsaSha384, EcdsaSha512, RsaSha256, RsaSha384, RsaSha512, Ed25519]
            .into_iter()
            .find(|algorithm| algorithm.identifier_der() == der)
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
            SignatureAlgorithm::Ed25519 => "Ed25519",
        }
    }
}
