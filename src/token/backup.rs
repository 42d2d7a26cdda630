//! Keys out of their token and back, wrapped by a key that never leaves it (RFC 5649: AES key wrap with padding, of the
//! PrivateKeyInfo).
//!
//! A wrapped key is believed only when it was unwrapped again, as an object of this session that nobody else sees, and has
//! signed what the planned public half verifies. So a backup that cannot be restored is never recorded, and a restore that
//! would bring another key changes nothing in the token.

use std::sync::Arc;

use cryptoki::error::{Error as Cryptoki, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::ask::{BackedUp, Restored, ToRestore, ToWrap};
use super::attributes::Side;
use super::end::is_planned;
use super::fault::{Doing, Fault, Result};
use super::ffi::{Functions, numbered};
use super::keys::{Keys, check_label, check_name, halves, is_about_the_template, label_is_free};
use super::module::{Module, Token};
use super::pool::{Input, Pool};
use super::recipe::{Recipe, key_type};
use super::vendor::Wrap;
use super::{sign, spki, wrapping};
use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::text::hex;

const PAD: (&str, u64) = ("CKM_AES_KEY_WRAP_PAD", 0x210a);
const KWP: (&str, u64) = ("CKM_AES_KEY_WRAP_KWP", 0x210b);
/// More octets than any wrapped private key has.
const LONGEST: usize = 16 << 10;

/// What both acts work with.
pub(super) struct Bench<'w> {
    pub(super) session: &'w Session,
    pub(super) module: &'w Module,
    pub(super) token: &'w Token,
}

impl Bench<'_> {
    /// Wraps the pair's private half, and proves what came of it.
    pub(super) fn back_up(&self, ask: &ToWrap) -> Result<BackedUp> {
        check_name(&ask.label, &ask.cka_id)?;
        let id = || hex(&ask.cka_id);
        let (private, public) = match halves(self.session, &ask.cka_id, self.token.vendor)? {
            (Some(private), Some(public)) => (private, public),
            (None, _) => return Err(Fault::HalfPair { id: id(), missing: Side::Private.name() }),
            (_, None) => return Err(Fault::HalfPair { id: id(), missing: Side::Public.name() }),
        };
        check_label(&[&private, &public], &ask.label, &ask.cka_id)?;
        if !is_planned(&public, &ask.spki) {
            return Err(Fault::OtherKey { id: id() });
        }
        let wrapping = wrapping::find(self.session, &ask.wrapping.label, &ask.wrapping.cka_id)?;
        let (name, number) = self.mechanism()?;
        let (functions, by) = (self.module.functions()?, numbered(number));
        let wrapped = functions.wrap(self.session, &by, wrapping.handle, private.handle, LONGEST);
        let wrapped = wrapped.doing("wrapping a key")?;
        let proof = Proof { algorithm: ask.algorithm, spki: &ask.spki, message: &ask.message, id: &ask.cka_id };
        let signature = self.prove(&functions, &by, wrapping.handle, &wrapped, &proof)?;
        let (mechanism, wrapped, signature) = (name.to_owned(), wrapped.into(), signature.into());
        Ok(BackedUp { mechanism, wrapped, check_value: wrapping.facts.check_value, signature })
    }

    /// Brings a pair back under its label and CKA_ID, or adopts the whole pair that is there. Half a pair, as a stop between
    /// the two objects leaves it, goes away first.
    pub(super) fn restore(&self, keys: &mut Keys, pool: &Pool, ask: &ToRestore) -> Result<Restored> {
        let ToWrap { label, cka_id, spki, algorithm, wrapping, message } = &ask.key;
        check_name(label, cka_id)?;
        let wrapping = wrapping::find(self.session, &wrapping.label, &wrapping.cka_id)?;
        let known = [PAD, KWP].into_iter().find(|(name, _)| *name == ask.mechanism);
        let (_, number) = known.ok_or_else(|| Fault::WrapMechanism(ask.mechanism.clone()))?;
        let (functions, by) = (self.module.functions()?, numbered(number));
        let proof = Proof { algorithm: *algorithm, spki, message, id: cka_id };
        self.prove(&functions, &by, wrapping.handle, &ask.wrapped, &proof)?;
        let recipe = Recipe {
            label,
            id: cka_id,
            algorithm: *algorithm,
            extractable: true,
            always_authenticate: ask.always_authenticate,
            restored: true,
            vendor: self.token.vendor,
            // SoftHSM refuses MODIFIABLE and COPYABLE at unwrapping, and leaves an empty object behind that nobody can match:
            // so they are never asked for, and recorded as the token has them.
            lean: true,
        };
        let (there, removed) = self.what_is_there(&recipe, spki)?;
        let facts = match there {
            true => keys.adopt(self.session, &recipe)?,
            false => {
                label_is_free(self.session, &recipe)?;
                keys.forget(cka_id);
                self.make(keys, &recipe, spki, &by, wrapping.handle, &ask.wrapped)?
            }
        };
        // By the object that stays this time, with the login that it may want.
        let key: Arc<_> = keys.by_number(facts.handle)?;
        let octets = sign::input(algorithm.signs_with(), proof.to_sign())?;
        let (signed, fault) = pool.sign(&key, algorithm.signs_with(), vec![Input { item: 0, octets }])?;
        let signature = signed.into_iter().next().map(|signature| signature.value);
        let signature = signature.ok_or_else(|| fault.unwrap_or(Fault::SessionLost))?;
        let attributes = facts.attributes.into_iter().chain(removed).collect();
        Ok(Restored { attributes, adopted: there, signature })
    }

    /// Whether the whole pair is there; half a pair is removed, and named.
    fn what_is_there(&self, recipe: &Recipe<'_>, spki: &[u8]) -> Result<(bool, Option<String>)> {
        let (private, public) = halves(self.session, recipe.id, self.token.vendor)?;
        let there: Vec<_> = private.iter().chain(&public).collect();
        check_label(&there, recipe.label, recipe.id)?;
        if public.as_ref().is_some_and(|public| !is_planned(public, spki)) {
            return Err(Fault::OtherKey { id: hex(recipe.id) });
        }
        match there.as_slice() {
            [] => Ok((false, None)),
            [half] => {
                self.session.destroy_object(half.handle).doing("removing half a key pair")?;
                Ok((false, Some(format!("removed-half={}", half.side.name()))))
            }
            _ => Ok((true, None)),
        }
    }

    /// The private half first: a stop between the two leaves one that signs nothing, since keys are found by both.
    fn make(
        &self,
        keys: &mut Keys,
        recipe: &Recipe<'_>,
        spki: &[u8],
        by: &Mechanism<'_>,
        wrapping: ObjectHandle,
        wrapped: &[u8],
    ) -> Result<super::ask::KeyFacts> {
        let template = [kind(recipe.algorithm).to_vec(), recipe.private()].concat();
        let private = self.session.unwrap_key(by, wrapping, wrapped, &template).doing("unwrapping a key")?;
        let public = self.public(spki, recipe.algorithm, &recipe.restored_public()).map_err(|fault| {
            match self.session.destroy_object(private).doing("destroying a private key") {
                Ok(()) => fault,
                Err(worse) => Fault::Stranded(Box::new(fault), Box::new(worse)),
            }
        })?;
        keys.judge_made(self.session, recipe, private, public)
    }

    /// A public half from a SubjectPublicKeyInfo. Modules differ in how they take a point: as OCTET STRING, or bare.
    fn public(&self, spki: &[u8], algorithm: KeyAlgorithm, more: &[Attribute]) -> Result<ObjectHandle> {
        let cause = |cause| Fault::PublicKey { id: String::from("the plan"), cause };
        let mut last = None;
        for parts in spki::attributes(algorithm, spki).map_err(cause)? {
            let key_type = key_type(algorithm);
            let head = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(key_type)];
            match self.session.create_object(&[&head, parts.as_slice(), more].concat()) {
                Err(error) if is_about_the_template(&error) => last = Some(error),
                other => return other.doing("making a public key"),
            }
        }
        match last {
            Some(error) => Err(error).doing("making a public key"),
            None => Err(Fault::SessionLost),
        }
    }

    /// Unwraps into an object of this session, has it sign, and has the token verify that with the planned public half. Both
    /// objects are gone afterwards.
    fn prove(
        &self,
        functions: &Functions,
        by: &Mechanism<'_>,
        wrapping: ObjectHandle,
        wrapped: &[u8],
        proof: &Proof<'_>,
    ) -> Result<Vec<u8>> {
        let passing = [
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        let template = [kind(proof.algorithm).as_slice(), &passing].concat();
        let private = match self.session.unwrap_key(by, wrapping, wrapped, &template) {
            Err(Cryptoki::Pkcs11(rv, _)) if says_it_is_not_ours(rv) => {
                return Err(Fault::NotUnwrapped { id: hex(proof.id), rv });
            }
            other => other.doing("unwrapping a key")?,
        };
        let signature = self.proven(functions, private, proof);
        let gone = self.session.destroy_object(private).doing("destroying an unwrapped key");
        let signature = signature?;
        gone?;
        Ok(signature)
    }

    fn proven(&self, functions: &Functions, private: ObjectHandle, proof: &Proof<'_>) -> Result<Vec<u8>> {
        let more = [Attribute::Token(false), Attribute::Private(false), Attribute::Verify(true)];
        let public = self.public(proof.spki, proof.algorithm, &more)?;
        let algorithm = proof.algorithm.signs_with();
        let octets = sign::input(algorithm, proof.to_sign())?;
        let mechanism = sign::mechanism(algorithm);
        let signed =
            self.session.sign_init(&mechanism, private).doing("signing with an unwrapped key").and_then(|()| {
                functions
                    .sign(self.session, &octets, sign::octets(proof.algorithm))
                    .doing("signing with an unwrapped key")
            });
        let verified = signed.and_then(|raw| match self.session.verify(&mechanism, public, &octets, &raw) {
            Ok(()) => Ok(raw),
            Err(Cryptoki::Pkcs11(RvError::SignatureInvalid | RvError::SignatureLenRange, _)) => {
                Err(Fault::OtherBackup { id: hex(proof.id) })
            }
            other => other.doing("verifying with the planned public half").map(|()| raw),
        });
        let gone = self.session.destroy_object(public).doing("destroying a public key");
        let raw = verified?;
        gone?;
        sign::output(proof.algorithm, 0, raw)
    }

    /// The mechanism of this token's vendor, or the first of the two that the module says it wraps and unwraps with.
    fn mechanism(&self) -> Result<(&'static str, u64)> {
        match self.token.vendor.wrap() {
            Some(Wrap::AesKeyWrapPad) => return Ok(PAD),
            Some(Wrap::AesKeyWrapKwp) => return Ok(KWP),
            // Without padding no private key has a length that fits.
            Some(Wrap::AesKeyWrap) | None => {}
        }
        let has = |(_, number): &(&str, u64)| {
            let kind = numbered(*number).mechanism_type();
            let info = self.module.pkcs11.get_mechanism_info(self.token.slot, kind);
            info.is_ok_and(|info| info.wrap() && info.unwrap())
        };
        [KWP, PAD].into_iter().find(has).ok_or(Fault::NoWrapMechanism)
    }
}

/// What modules say of octets that this key has not wrapped: SoftHSM has no better word than a general error, Kryoptic than a
/// device error. True trouble of the device is told as this too, once, and the same command asks again.
fn says_it_is_not_ours(rv: RvError) -> bool {
    matches!(
        rv,
        RvError::GeneralError
            | RvError::FunctionFailed
            | RvError::DeviceError
            | RvError::WrappedKeyInvalid
            | RvError::WrappedKeyLenRange
            | RvError::EncryptedDataInvalid
            | RvError::EncryptedDataLenRange
            | RvError::DataInvalid
            | RvError::DataLenRange
    )
}

/// What shows that an unwrapped key is the planned one.
struct Proof<'a> {
    algorithm: KeyAlgorithm,
    spki: &'a [u8],
    /// As for [`super::ask::ToSign`].
    message: &'a Bytes,
    id: &'a [u8],
}

impl Proof<'_> {
    fn to_sign(&self) -> super::ask::ToSign {
        super::ask::ToSign { item: 0, message: self.message.clone() }
    }
}

fn kind(algorithm: KeyAlgorithm) -> [Attribute; 2] {
    [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(key_type(algorithm))]
}
