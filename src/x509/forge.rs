//! For tests: keys that sign in this process, requests with any defect, and the `openssl` program as a foreign judge.

use std::path::Path;
use std::process::Command;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, PqdsaKeyPair, RsaKeyPair};

use crate::algorithm::{PostQuantum, SignatureAlgorithm};

/// A private key of a test.
pub(crate) enum Key {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
    MlDsa65(PqdsaKeyPair),
}

impl Key {
    pub fn p256() -> Key {
        Key::P256(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub fn p384() -> Key {
        Key::P384(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_ASN1_SIGNING).unwrap())
    }

    pub fn rsa_2048() -> Key {
        Key::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub fn ed25519() -> Key {
        Key::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub fn ml_dsa_65() -> Key {
        Key::MlDsa65(PqdsaKeyPair::generate(&signature::ML_DSA_65_SIGNING).unwrap())
    }

    pub fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Key::P256(_) => SignatureAlgorithm::EcdsaSha256,
            Key::P384(_) => SignatureAlgorithm::EcdsaSha384,
            Key::Rsa(_) => SignatureAlgorithm::RsaSha256,
            Key::Ed25519(_) => SignatureAlgorithm::Ed25519,
            Key::MlDsa65(_) => SignatureAlgorithm::PostQuantum(PostQuantum::MlDsa65),
        }
    }

    pub fn spki(&self) -> Vec<u8> {
        let (identifier, bits): (&[u8], &[u8]) = match self {
            Key::P256(key) => (
                b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
                key.public_key().as_ref(),
            ),
            Key::P384(key) => {
                (b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22", key.public_key().as_ref())
            }
            Key::Rsa(key) => {
                (b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00", key.public_key().as_ref())
            }
            Key::Ed25519(key) => (b"\x30\x05\x06\x03\x2b\x65\x70", key.public_key().as_ref()),
            Key::MlDsa65(key) => (PostQuantum::MlDsa65.identifier_der(), key.public_key().as_ref()),
        };
        seq(&[identifier.to_vec(), tlv(0x03, &[&[0], bits].concat())])
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Key::P256(key) | Key::P384(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Key::Rsa(key) => {
                let mut out = vec![0; key.public_modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out).unwrap();
                out
            }
            Key::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Key::MlDsa65(key) => {
                let mut out = vec![0; key.algorithm().signature_len()];
                let length = key.sign(message, &mut out).unwrap();
                out.truncate(length);
                out
            }
        }
    }
}

/// One element.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
    out
}

pub(crate) fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// A Name of one commonName.
pub(crate) fn cn(name: &str) -> Vec<u8> {
    seq(&[tlv(0x31, &seq(&[b"\x06\x03\x55\x04\x03".to_vec(), tlv(0x0c, name.as_bytes())]))])
}

pub(crate) fn dns(name: &str) -> Vec<u8> {
    tlv(0x82, name.as_bytes())
}

/// id-on-dnsSRV in IA5String.
pub(crate) fn srv(name: &str) -> Vec<u8> {
    let value = tlv(0xa0, &tlv(0x16, name.as_bytes()));
    tlv(0xa0, &[b"\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x07".to_vec(), value].concat())
}

/// id-on-xmppAddr in UTF8String.
pub(crate) fn xmpp_addr(name: &str) -> Vec<u8> {
    let value = tlv(0xa0, &tlv(0x0c, name.as_bytes()));
    tlv(0xa0, &[b"\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x05".to_vec(), value].concat())
}

pub(crate) fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    seq(&[tlv(0x06, oid), tlv(0x04, value)])
}

pub(crate) fn san(names: &[Vec<u8>]) -> Vec<u8> {
    extension(b"\x55\x1d\x11", &seq(names))
}

/// An extensionRequest attribute.
pub(crate) fn extension_request(extensions: &[Vec<u8>]) -> Vec<u8> {
    let kind = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e".to_vec();
    seq(&[kind, tlv(0x31, &seq(extensions))])
}

/// A request, each part free to be wrong.
pub(crate) struct Csr {
    pub version: Vec<u8>,
    pub subject: Vec<u8>,
    pub spki: Vec<u8>,
    pub attributes: Vec<Vec<u8>>,
    pub algorithm: Vec<u8>,
}

impl Csr {
    /// A good request for these alternative names, signed by `key`.
    pub fn new(key: &Key, names: &[Vec<u8>]) -> Csr {
        Csr {
            version: b"\x02\x01\x00".to_vec(),
            subject: cn("ignored.example"),
            spki: key.spki(),
            attributes: vec![extension_request(&[san(names)])],
            algorithm: key.algorithm().identifier_der().to_vec(),
        }
    }

    pub fn info(&self) -> Vec<u8> {
        let attributes = tlv(0xa0, &self.attributes.concat());
        seq(&[self.version.clone(), self.subject.clone(), self.spki.clone(), attributes])
    }

    pub fn sign(&self, key: &Key) -> Vec<u8> {
        let info = self.info();
        let signature = tlv(0x03, &[&[0], key.sign(&info).as_slice()].concat());
        seq(&[info, self.algorithm.clone(), signature])
    }
}

/// Runs `openssl` in `dir`: whether it succeeded, and all it said.
pub(crate) fn openssl(dir: &Path, arguments: &str) -> (bool, String) {
    let out = Command::new("openssl").args(arguments.split_whitespace()).current_dir(dir).output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&said).into_owned())
}
