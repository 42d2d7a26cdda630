//! What a token is not fit for, found out before anything is made: by its profile, its list of mechanisms, and its key
//! sizes.

use cryptoki::error::{Error as Cryptoki, RvError};
use cryptoki::mechanism::{MechanismInfo, MechanismType};
use cryptoki::session::Session;

use super::ask::ToSign;
use super::fault::{Doing, Fault, Result};
use super::module::{Module, Token};
use super::recipe::generation;
use super::vendor::Vendor;
use super::{data, sign};
use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};

/// The label of the data object that is made and destroyed where no profile knows whether there can be one.
const TRIAL: &str = "coldroot trial";

/// Whether a key of this kind can be made here and can sign.
pub(super) fn judge(module: &Module, token: &Token, algorithm: KeyAlgorithm) -> Result<()> {
    let unfit = |because: String| Err(Fault::Unfit { algorithm: algorithm.name(), because });
    if let Some(because) = token.vendor.refuses(algorithm) {
        return unfit(because.into());
    }
    let listed = module.pkcs11.get_mechanism_list(token.slot).doing("asking for the list of mechanisms")?;
    // A module that lists nothing at all says nothing.
    if listed.is_empty() {
        return Ok(());
    }
    for mechanism in [generation(algorithm).mechanism_type(), sign::mechanism(algorithm.signs_with()).mechanism_type()]
    {
        if !listed.contains(&mechanism) {
            return unfit(format!("it does not list {mechanism}"));
        }
        let info = match module.pkcs11.get_mechanism_info(token.slot, mechanism) {
            Ok(info) => info,
            // Listed, and nothing said of it: the try will tell.
            Err(Cryptoki::Pkcs11(RvError::MechanismInvalid | RvError::FunctionNotSupported, _)) => continue,
            other => other.doing("asking for a mechanism's key sizes")?,
        };
        if let Some((least, most)) = sizes(mechanism, &info)
            && let Some(bits) = bits(algorithm)
            && !(least..=most).contains(&bits)
        {
            return unfit(format!("{mechanism} takes keys of {least} to {most} bits"));
        }
    }
    Ok(())
}

/// The same for the audit key, which is of one of two kinds: where it cannot be of this one, whether it could be of the other.
pub(super) fn judge_audit(module: &Module, token: &Token, algorithm: KeyAlgorithm) -> Result<()> {
    judge(module, token, algorithm).map_err(|fault| {
        let Fault::Unfit { algorithm: name, because } = fault else { return fault };
        let other = match algorithm {
            KeyAlgorithm::Ed25519 => KeyAlgorithm::EcdsaP256,
            _ => KeyAlgorithm::Ed25519,
        };
        let instead = judge(module, token, other).is_ok().then_some(other);
        Fault::UnfitForAudit { algorithm: name, because, instead }
    })
}

/// The key sizes of a mechanism in bits, which is the standard's unit for RSA and ECDSA; some modules answer in octets.
/// `None` where nothing can be concluded.
fn sizes(mechanism: MechanismType, info: &MechanismInfo) -> Option<(u64, u64)> {
    let (least, most) = (u64::try_from(info.min_key_size()).ok()?, u64::try_from(info.max_key_size()).ok()?);
    let in_octets = match mechanism {
        MechanismType::RSA_PKCS_KEY_PAIR_GEN | MechanismType::RSA_PKCS | MechanismType::RSA_PKCS_PSS => most < 1024,
        _ => most < 128,
    };
    let unit = if in_octets { 8 } else { 1 };
    // P-521 has 66 octets.
    let rounding = if in_octets { 7 } else { 0 };
    (most > 0).then_some(((least * unit).saturating_sub(rounding), most * unit))
}

/// The size of a key, where mechanisms agree about what that is.
fn bits(algorithm: KeyAlgorithm) -> Option<u64> {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => Some(256),
        KeyAlgorithm::EcdsaP384 => Some(384),
        KeyAlgorithm::EcdsaP521 => Some(521),
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa2048Pss => Some(2048),
        KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa3072Pss => Some(3072),
        KeyAlgorithm::Rsa4096 | KeyAlgorithm::Rsa4096Pss => Some(4096),
        // 255, 256 or 32, as each module sees it; and a post-quantum key's parameter set is no size.
        KeyAlgorithm::Ed25519 | KeyAlgorithm::PostQuantum(_) => None,
    }
}

/// Whether the token can hold the mark. Where no profile knows, a logged-in session tries it.
pub(super) fn judge_mark(token: &Token, session: Option<&Session>) -> Result<()> {
    match (token.vendor.data_objects(), session) {
        (Some(true), _) | (None, None) => Ok(()),
        (Some(false), _) => Err(Fault::NoMark(format!("so says the profile of {}", token.vendor.name()))),
        (None, Some(session)) => data::try_one(session, TRIAL).map_err(|fault| Fault::NoMark(fault.to_string())),
    }
}

/// What the vendor's module takes in one signature, where the message itself is signed.
pub(super) fn judge_lengths(vendor: Vendor, algorithm: SignatureAlgorithm, messages: &[ToSign]) -> Result<()> {
    let Some(most) = vendor.longest_message().filter(|_| algorithm.longest_message().is_some()) else { return Ok(()) };
    let length = |message: &ToSign| u64::try_from(message.message.len()).unwrap_or(u64::MAX);
    match messages.iter().find(|message| length(message) > most) {
        Some(long) => Err(Fault::MessageLength { item: long.item, length: length(long), most }),
        None => Ok(()),
    }
}
