//! What can be said of a request or a key by itself: no ledger, no batch, nobody who vouches for names.

use super::check::{Check, Refused};
use super::extensions;
use super::leaf::{judge_key, judge_possession};
use crate::algorithm::KeyAlgorithm;
use crate::config::Profile;
use crate::x509::{PublicKey, Request};

/// Judges a request (PKCS #10, DER or PEM) in the order in which a batch does, up to its names. Without a profile
/// the usual kinds of key count.
pub fn judge_request_alone(csr: &[u8], profile: Option<&Profile>) -> Result<(Request, PublicKey), Refused> {
    let request = Request::parse(csr).map_err(|e| Refused::new(Check::RequestEncoding, e))?;
    let key = judge_key_alone(&request.spki, profile)?;
    judge_possession(&request)?;
    if request.asks_for_ca {
        return Err(Refused::new(Check::CaRequested, "the request asks for the certificate of a CA"));
    }
    if let Some(profile) = profile {
        extensions::judge(&request, profile)?;
    }
    Ok((request, key))
}

/// Judges a SubjectPublicKeyInfo (whole DER) as that of a request.
pub fn judge_key_alone(spki: &[u8], profile: Option<&Profile>) -> Result<PublicKey, Refused> {
    let usual = |kind: &KeyAlgorithm| match kind {
        KeyAlgorithm::PostQuantum(set) => !set.is_slh_dsa(),
        kind => kind.shown() == *kind,
    };
    match profile {
        Some(profile) => judge_key(spki, &profile.keys),
        None => judge_key(spki, &KeyAlgorithm::ALL.into_iter().filter(usual).collect::<Vec<_>>()),
    }
}
