//! Requests for rehearsals: the committed ones of real software, and as many more as wanted.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, PublicKeyData, SigningKey};
use yasna::Tag;
use yasna::models::ObjectIdentifier;

use crate::bundle::{NotARequest, Request, request_der, table};
use crate::cbor::Bytes;
use crate::digest::Hasher;
use crate::text::Untrusted;

/// Why a rehearsal's request could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make the key of the rehearsal request `{request}`")]
    Key { request: String },
    #[error("cannot encode the rehearsal request `{request}`: {cause}")]
    Encode { request: String, cause: rcgen::Error },
    #[error("the table of the built-in requests: {0}")]
    Table(#[from] table::Error),
    #[error("the built-in request `{file}` {cause}")]
    File { file: String, cause: NotARequest },
    #[error("the built-in request `{request}` has no file")]
    Missing { request: String },
}

/// The table of the built-in requests (`softhsm-tests/requests/requests.csv`).
pub const TABLE: &str = include_str!("../softhsm-tests/requests/requests.csv");

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../softhsm-tests/requests/", $name)))),*]
    };
}

/// The built-in requests as the files that real software wrote; `softhsm-tests/requests/README.md` says how.
pub const FILES: &[(&str, &[u8])] = built_in![
    "certtool-srvname.der",
    "certtool-xmppaddr.pem",
    "keytool-ec.csr",
    "keytool-rsa.csr",
    "openssl-cn-only.pem",
    "openssl-p256.pem",
    "openssl-p384.der",
    "openssl-rsa2048.csr",
    "openssl-rsa3072.der",
    "openssl-srvname.pem",
    "prosody-host.req",
    "prosody-muc.req",
    "python-idn.der",
    "python-srvname.pem",
    "refused-name.pem",
    "refused-rsa1024.pem",
    "refused-sha1.pem",
    "refused-signature.der",
];

/// The built-in requests in the order of their table. Those called `refused-…` are to be refused.
pub fn embedded() -> Result<Vec<Request>, Error> {
    let request = |row: Result<table::Row, table::Error>| {
        let row = row?;
        let of_row = |(file, _): &&(&str, &[u8])| file.rsplit_once('.').is_some_and(|(id, _)| id == row.request);
        let Some((file, octets)) = FILES.iter().find(of_row) else {
            return Err(Error::Missing { request: row.request });
        };
        let csr = request_der(octets).map_err(|cause| Error::File { file: (*file).into(), cause })?;
        Ok(row.into_request(csr))
    };
    table::csv(TABLE.as_bytes())?.map(request).collect()
}

/// `n` requests for P-256 keys and names below `rehearsal.example.org`, made one by one as they are asked for. Equal
/// seeds give equal keys and names. The keys follow from the seed, which is no secret: nobody but a rehearsal may
/// certify them.
pub fn generate(n: u64, seed: u64) -> impl Iterator<Item = Result<Request, Error>> {
    (1..=n).map(move |i| generated(i, seed))
}

fn generated(i: u64, seed: u64) -> Result<Request, Error> {
    let request = format!("x{i:04}");
    let host = format!("{request}.rehearsal.example.org");
    let [kind, subject, ..] = draw(b"kind", seed, i, 0);
    let mut names = vec![host.clone()];
    // What real requests are like, in about these parts: one host; with a component; with SRVNames.
    if kind % 4 == 1 {
        names.push(format!("conference.{host}"));
    }
    let srv: Vec<String> = match kind % 4 {
        2 => vec![format!("_xmpp-server.{host}")],
        3 => vec![format!("_xmpp-client.{host}"), format!("_xmpp-server.{host}")],
        _ => Vec::new(),
    };
    let encode = |cause| Error::Encode { request: request.clone(), cause };
    let key = key(seed, i).ok_or_else(|| Error::Key { request: request.clone() })?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if subject % 8 != 0 {
        params.distinguished_name.push(DnType::CommonName, host.as_str());
    }
    params.custom_extensions = vec![subject_alt_name(&names, &srv)];
    let csr = params.serialize_request(&Key(key)).map_err(encode)?.der().to_vec();
    Ok(Request {
        requester: Untrusted::new(format!("hostmaster@{host}")),
        request,
        profile: "xmpp-server".into(),
        names,
        csr: Bytes::from(csr),
    })
}

/// The whole extension, since rcgen knows no otherName that is an IA5String, as SRVName is (RFC 4985).
fn subject_alt_name(dns: &[String], srv: &[String]) -> CustomExtension {
    let der = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for name in dns {
                writer.next().write_tagged_implicit(Tag::context(2), |writer| writer.write_ia5_string(name));
            }
            for name in srv {
                writer.next().write_tagged_implicit(Tag::context(0), |writer| {
                    writer.write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(&[1, 3, 6, 1, 5, 5, 7, 8, 7]));
                        writer.next().write_tagged(Tag::context(0), |writer| writer.write_ia5_string(name));
                    });
                });
            }
        });
    });
    CustomExtension::from_oid_content(&[2, 5, 29, 17], der)
}

/// 32 octets for one purpose, from the seed and the request's number.
fn draw(purpose: &[u8], seed: u64, i: u64, attempt: u8) -> [u8; 32] {
    let mut hasher = Hasher::default();
    hasher.update(b"coldroot rehearsal request v0 ");
    hasher.update(purpose);
    hasher.update(&seed.to_be_bytes());
    hasher.update(&i.to_be_bytes());
    hasher.update(&[attempt]);
    hasher.finish().0
}

/// The key of one request. A draw of 32 octets is no private key of P-256 about once in four thousand million.
fn key(seed: u64, i: u64) -> Option<EcdsaKeyPair> {
    (0..=u8::MAX).find_map(|attempt| {
        let scalar = draw(b"key", seed, i, attempt);
        // ECPrivateKey (RFC 5915 §3) without the public half, which follows from it.
        let der = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_u8(1);
                writer.next().write_bytes(&scalar);
                let p256 = ObjectIdentifier::from_slice(&[1, 2, 840, 10045, 3, 1, 7]);
                writer.next().write_tagged(Tag::context(0), |writer| writer.write_oid(&p256));
            });
        });
        EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).ok()
    })
}

/// What rcgen wants of a key that signs its own request.
struct Key(EcdsaKeyPair);

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::prelude::FromDer;

    use super::*;

    fn parsed(der: &[u8]) -> X509CertificationRequest<'_> {
        let (rest, csr) = X509CertificationRequest::from_der(der).unwrap();
        assert!(rest.is_empty());
        csr
    }

    #[test]
    fn every_committed_request_is_built_in_and_in_the_table() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/softhsm-tests/requests");
        let kinds = ["pem", "der", "csr", "req"];
        let mut on_disk = BTreeSet::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| kinds.iter().any(|kind| e == *kind)) {
                on_disk.insert(path.file_name().unwrap().to_str().unwrap().to_string());
            }
            let octets = std::fs::read(&path).unwrap();
            assert!(!octets.windows(16).any(|w| w == b"PRIVATE KEY-----") || path.ends_with("make.sh"), "{path:?}");
        }
        let built_in: BTreeSet<_> = FILES.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(on_disk, built_in);
        assert_eq!(embedded().unwrap().len(), FILES.len());
    }

    #[test]
    fn the_committed_requests_are_what_the_readme_says() {
        for request in embedded().unwrap() {
            let verified = parsed(&request.csr).verify_signature().is_ok();
            // x509-parser takes SHA-1 (it is the station's to refuse) and knows no RSA-1024 with SHA-256.
            let wanted = !["refused-signature", "refused-rsa1024"].contains(&request.request.as_str());
            assert_eq!(verified, wanted, "{}", request.request);
        }
    }

    #[test]
    fn generated_requests_are_signed_by_their_keys_and_follow_from_the_seed() {
        let requests: Vec<Request> = generate(64, 7).collect::<Result<_, _>>().unwrap();
        let again: Vec<Request> = generate(64, 7).collect::<Result<_, _>>().unwrap();
        let other: Vec<Request> = generate(64, 8).collect::<Result<_, _>>().unwrap();
        let key = |r: &Request| parsed(&r.csr).certification_request_info.subject_pki.raw.to_vec();
        for (request, again) in requests.iter().zip(&again) {
            parsed(&request.csr).verify_signature().unwrap();
            assert_eq!((key(request), &request.names), (key(again), &again.names));
        }
        let keys: HashSet<_> = requests.iter().chain(&other).map(key).collect();
        assert_eq!(keys.len(), 128);
        assert_eq!(requests[0].request, "x0001");
        assert_eq!(requests[0].names[0], "x0001.rehearsal.example.org");
        let srv = |r: &Request| r.csr.windows(13).any(|w| w == b"_xmpp-server.");
        assert!(requests.iter().any(srv) && !requests.iter().all(srv));
        assert!(requests.iter().any(|r| r.names.len() == 2));
    }
}
