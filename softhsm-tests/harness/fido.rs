//! A FIDO key in software: SSHSIG signatures with whatever flags a test wants (OpenSSH PROTOCOL.u2f, PROTOCOL.sshsig).

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use data_encoding::BASE64;

const APPLICATION: &[u8] = b"ssh:";
/// The user touched the key.
pub const TOUCHED: u8 = 0x01;
/// The user touched the key and typed its PIN.
pub const VERIFIED: u8 = 0x05;

pub enum Fido {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl Fido {
    pub fn ed25519() -> Fido {
        Fido::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub fn ecdsa() -> Fido {
        Fido::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Fido::Ed25519(_) => "sk-ssh-ed25519@openssh.com",
            Fido::Ecdsa(_) => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    fn public(&self) -> Vec<u8> {
        let mut blob = string(self.algorithm().as_bytes());
        match self {
            Fido::Ed25519(key) => blob.extend(string(key.public_key().as_ref())),
            Fido::Ecdsa(key) => blob.extend([string(b"nistp256"), string(key.public_key().as_ref())].concat()),
        }
        blob.extend(string(APPLICATION));
        blob
    }

    /// The line for `keys` of a hierarchy.
    pub fn line(&self) -> String {
        format!("{} {}", self.algorithm(), BASE64.encode(&self.public()))
    }

    /// An armored SSHSIG over a message, as `ssh-keygen -Y sign` would write it with such a key.
    pub fn sign(&self, namespace: &str, message: &[u8], flags: u8) -> String {
        let head = [string(namespace.as_bytes()), string(b""), string(b"sha512")].concat();
        let signed = [b"SSHSIG", &head[..], &string(digest(&SHA512, message).as_ref())].concat();
        let trailer = [&[flags][..], &7u32.to_be_bytes()].concat();
        let data = [digest(&SHA256, APPLICATION).as_ref(), &trailer, digest(&SHA256, &signed).as_ref()].concat();
        let value = match self {
            Fido::Ed25519(key) => key.sign(&data).as_ref().to_vec(),
            Fido::Ecdsa(key) => {
                let value = key.sign(&SystemRandom::new(), &data).unwrap();
                let (r, s) = value.as_ref().split_at(32);
                [mpint(r), mpint(s)].concat()
            }
        };
        let signature = [string(self.algorithm().as_bytes()), string(&value), trailer].concat();
        let version = 1u32.to_be_bytes();
        let blob = [b"SSHSIG", &version[..], &string(&self.public()), &head, &string(&signature)].concat();
        let base64 = BASE64.encode(&blob);
        let lines: Vec<&str> = base64.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
    }
}

/// RFC 4251 section 5.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn mpint(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|octet| *octet != 0).unwrap_or(bytes.len());
    let sign: &[u8] = if bytes.get(start).is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
    string(&[sign, &bytes[start..]].concat())
}
