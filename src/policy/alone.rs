//! What can be said of a request or a key by itself: no ledger, no batch, nobody who vouches for names.

use super::check::{Check, Refused};
use super::leaf::{judge_key, judge_possession};
use crate::algorithm::{KeyAlgorithm, PostQuantum};
use crate::config::Profile;
use crate::x509::{PublicKey, Request};

/// The kinds of key that end entities have.
const USUAL: [KeyAlgorithm; 10] = [
    KeyAlgorithm::EcdsaP256,
    KeyAlgorithm::EcdsaP384,
    KeyAlgorithm::EcdsaP521,
    KeyAlgorithm::Ed25519,
    KeyAlgorithm::Rsa2048,
    KeyAlgorithm::Rsa3072,
    KeyAlgorithm::Rsa4096,
    KeyAlgorithm::PostQuantum(PostQuantum::MlDsa44),
    KeyAlgorithm::PostQuantum(PostQuantum::MlDsa65),
    KeyAlgorithm::PostQuantum(PostQuantum::MlDsa87),
];

/// Judges a request (PKCS #10, DER or PEM) in the order in which a batch does, up to its names. Without a profile
/// the usual kinds of key count.
pub fn judge_request_alone(csr: &[u8], profile: Option<&Profile>) -> Result<(Request, PublicKey), Refused> {
    let request = Request::parse(csr).map_err(|e| Refused::new(Check::RequestEncoding, e))?;
    let key = judge_key_alone(&request.spki, profile)?;
    judge_possession(&request)?;
    match request.asks_for_ca {
        true => Err(Refused::new(Check::CaRequested, "the request asks for the certificate of a CA")),
        false => Ok((request, key)),
    }
}

/// Judges a SubjectPublicKeyInfo (whole DER) as that of a request.
pub fn judge_key_alone(spki: &[u8], profile: Option<&Profile>) -> Result<PublicKey, Refused> {
    judge_key(spki, profile.map_or(&USUAL[..], |profile| &profile.keys))
}
