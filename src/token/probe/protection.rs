//! Whether protection is real: attempts to get at a key that calls itself sensitive and not extractable.
//!
//! A refusal says something only where the same attempt succeeds on a key that may leave: a module that cannot wrap at all
//! refuses everything. So a refused wrapping is tried again on an extractable pair (`control`).

use cryptoki::error::{Error as Cryptoki, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::types::Ulong;

use super::bench::{Bench, calling, said, shown};
use super::step::{Attempt, Guarded, LABEL, Wrapping};
use crate::algorithm::KeyAlgorithm;
use crate::token::fault::Result;
use crate::token::spki::EXPONENT;

/// The key under which the attempt wraps. Everybody knows it, and it ends with the session.
const KNOWN_KEY: [u8; 32] = [0x5a; 32];

pub(super) fn attempt(bench: &Bench<'_>, algorithm: KeyAlgorithm, attempt: Attempt) -> Result<Guarded> {
    let pair = bench.pair(algorithm, false)?;
    let guarded = match attempt {
        Attempt::Read => read(bench, pair.private),
        Attempt::Wrap(wrapping) => return wrap(bench, algorithm, pair.private, wrapping),
        Attempt::CopyExtractable => copy(bench, pair.private, Attribute::Extractable(true)),
        Attempt::CopyReadable => copy(bench, pair.private, Attribute::Sensitive(false)),
        Attempt::SetExtractable => set(bench, pair.private, Attribute::Extractable(true)),
        Attempt::SetReadable => set(bench, pair.private, Attribute::Sensitive(false)),
        Attempt::SetDecrypt => set(bench, pair.private, Attribute::Decrypt(true)),
    };
    // The pair may have changed into one that cannot be destroyed; it ends with the session in any case.
    let _ = bench.drop_pair(&pair);
    Ok(guarded)
}

/// The private value of an elliptic curve, the exponent and a prime of RSA.
fn read(bench: &Bench<'_>, private: ObjectHandle) -> Guarded {
    let secrets = [AttributeType::Value, AttributeType::PrivateExponent, AttributeType::Prime1];
    calling("C_GetAttributeValue");
    for secret in secrets {
        // Asked for alone: cryptoki leaves out what the module does not give.
        let found = bench.session.get_attributes(private, &[secret]).unwrap_or_default();
        for attribute in found {
            let (Attribute::Value(octets) | Attribute::PrivateExponent(octets) | Attribute::Prime1(octets)) = attribute
            else {
                continue;
            };
            if !octets.is_empty() {
                return Guarded::Breached(format!("{secret}: {} octets", octets.len()));
            }
        }
    }
    Guarded::Refused { said: "no private value is given".into(), control: true }
}

fn copy(bench: &Bench<'_>, private: ObjectHandle, raised: Attribute) -> Guarded {
    calling("C_CopyObject");
    let template = [Attribute::Token(false), raised.clone()];
    let copy = match bench.session.copy_object(private, &template) {
        Ok(copy) => copy,
        Err(error) => return refused(&error),
    };
    let outcome = changed(bench, copy, &raised);
    let _ = bench.session.destroy_object(copy);
    outcome
}

fn set(bench: &Bench<'_>, private: ObjectHandle, raised: Attribute) -> Guarded {
    calling("C_SetAttributeValue");
    match bench.session.update_attributes(private, std::slice::from_ref(&raised)) {
        Ok(()) => changed(bench, private, &raised),
        Err(error) => refused(&error),
    }
}

/// The module said yes: what the object says now decides. Silence is no denial.
fn changed(bench: &Bench<'_>, object: ObjectHandle, raised: &Attribute) -> Guarded {
    match bench.flag(object, raised.attribute_type()) {
        Some(now) if now == *raised => Guarded::Breached(format!("it now says {}", shown(&now))),
        Some(_) => Guarded::Ignored,
        None => Guarded::Breached("the change was accepted, and the attribute cannot be read any more".into()),
    }
}

/// A module without the function cannot be led astray by it, but that is another thing than a refusal.
fn refused(error: &Cryptoki) -> Guarded {
    let missing = matches!(error, Cryptoki::Pkcs11(RvError::FunctionNotSupported, _) | Cryptoki::NullFunctionPointer);
    Guarded::Refused { said: said(error), control: !missing }
}

fn wrap(bench: &Bench<'_>, algorithm: KeyAlgorithm, private: ObjectHandle, wrapping: Wrapping) -> Result<Guarded> {
    let under = match wrapping_key(bench, wrapping) {
        Ok(under) => under,
        Err(error) => return Ok(Guarded::NotTried(format!("no wrapping key: {}", said(&error)))),
    };
    let mechanism = mechanism(wrapping);
    calling("C_WrapKey");
    let error = match bench.session.wrap_key(&mechanism, under, private) {
        Ok(wrapped) if wrapped.is_empty() => return Ok(Guarded::Ignored),
        Ok(wrapped) => return Ok(Guarded::Breached(format!("{} octets", wrapped.len()))),
        Err(error) => error,
    };
    let control = match bench.pair(algorithm, true) {
        Ok(extractable) => {
            calling("C_WrapKey");
            bench.session.wrap_key(&mechanism, under, extractable.private).is_ok()
        }
        Err(_) => false,
    };
    Ok(Guarded::Refused { said: said(&error), control })
}

fn wrapping_key(bench: &Bench<'_>, wrapping: Wrapping) -> cryptoki::error::Result<ObjectHandle> {
    let common = [Attribute::Token(false), Attribute::Label(LABEL.as_bytes().to_vec()), Attribute::Wrap(true)];
    if matches!(wrapping, Wrapping::RsaPkcs | Wrapping::RsaOaep) {
        let mut public = common.to_vec();
        public.extend([
            Attribute::Encrypt(true),
            Attribute::ModulusBits(Ulong::new(2048)),
            Attribute::PublicExponent(EXPONENT.to_vec()),
        ]);
        let private =
            [Attribute::Token(false), Attribute::Private(true), Attribute::Decrypt(true), Attribute::Unwrap(true)];
        calling("C_GenerateKeyPair");
        let (public, _) = bench.session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)?;
        return Ok(public);
    }
    let mut known = common.to_vec();
    known.extend([
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Value(KNOWN_KEY.to_vec()),
    ]);
    calling("C_CreateObject");
    if let Ok(key) = bench.session.create_object(&known) {
        return Ok(key);
    }
    // Some modules import no secret key, and some want to be told what else it is for.
    let made = [&common[..], &[Attribute::ValueLen(Ulong::new(32)), Attribute::Encrypt(true), Attribute::Unwrap(true)]]
        .concat();
    calling("C_GenerateKey");
    bench.session.generate_key(&Mechanism::AesKeyGen, &made)
}

fn mechanism(wrapping: Wrapping) -> Mechanism<'static> {
    match wrapping {
        Wrapping::AesCbcPad => Mechanism::AesCbcPad([0; 16]),
        Wrapping::AesKeyWrap => Mechanism::AesKeyWrap,
        Wrapping::AesKeyWrapPad => Mechanism::AesKeyWrapPad,
        Wrapping::RsaPkcs => Mechanism::RsaPkcs,
        Wrapping::RsaOaep => Mechanism::RsaPkcsOaep(PkcsOaepParams::new(
            MechanismType::SHA1,
            PkcsMgfType::MGF1_SHA1,
            PkcsOaepSource::empty(),
        )),
    }
}
