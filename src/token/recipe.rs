//! How a key pair is made, and what must hold for it afterwards.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType};
use cryptoki::types::Ulong;

use super::attributes::{Difference, Half, Value};
use super::parameter_set::parameter_set;
use super::vendor::{Edwards, ThreeWay, Usage, Vendor};
use super::{sign, spki};
use crate::algorithm::KeyAlgorithm;

/// How a pair is made. What stands in its template, and what is compared afterwards, is the vendor's profile's to say;
/// `lean` leaves out besides what some modules that no profile knows refuse to take.
pub(super) struct Recipe<'a> {
    pub(super) label: &'a str,
    pub(super) id: &'a [u8],
    pub(super) algorithm: KeyAlgorithm,
    pub(super) extractable: bool,
    pub(super) always_authenticate: bool,
    /// Unwrapped, not made: what only a token that made it can say of a key is recorded, and not asked for.
    pub(super) restored: bool,
    pub(super) vendor: Vendor,
    pub(super) lean: bool,
}

/// What one attribute must be.
pub(super) struct Want {
    pub(super) attribute: AttributeType,
    pub(super) value: Value,
    /// Modules that do not know the attribute cannot have the usage either.
    pub(super) may_be_absent: bool,
}

impl Recipe<'_> {
    /// The private half: it signs and does nothing else.
    pub(super) fn private(&self) -> Vec<Attribute> {
        let mut template = vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(self.extractable),
            Attribute::Sign(true),
            Attribute::SignRecover(false),
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
        ];
        if self.always_authenticate {
            template.push(Attribute::AlwaysAuthenticate(true));
        }
        if self.vendor.allowed_mechanisms() && !self.lean {
            template.push(Attribute::AllowedMechanisms(vec![
                sign::mechanism(self.algorithm.signs_with()).mechanism_type(),
            ]));
        }
        template.extend(self.common());
        template.retain(|attribute| {
            usage(attribute.attribute_type()).is_none_or(|usage| !self.vendor.private_omits(usage))
        });
        template
    }

    /// The public half: it verifies and does nothing else.
    pub(super) fn public(&self) -> Vec<Attribute> {
        let mut template = self.public_uses();
        match (modulus_bits(self.algorithm), self.algorithm) {
            (Some(bits), _) => {
                template.push(Attribute::ModulusBits(Ulong::new(bits)));
                template.push(Attribute::PublicExponent(spki::EXPONENT.to_vec()));
            }
            (None, KeyAlgorithm::EcdsaP256) => template.push(Attribute::EcParams(spki::P256.to_vec())),
            (None, KeyAlgorithm::EcdsaP384) => template.push(Attribute::EcParams(spki::P384.to_vec())),
            (None, KeyAlgorithm::EcdsaP521) => template.push(Attribute::EcParams(spki::P521.to_vec())),
            (None, KeyAlgorithm::PostQuantum(set)) => template.push(Attribute::ParameterSet(parameter_set(set))),
            (None, _) => template.push(Attribute::EcParams(match self.vendor.edwards() {
                Edwards::Name => spki::EDWARDS25519.to_vec(),
                Edwards::Oid => spki::ED25519_OIDS[0].to_vec(),
            })),
        }
        template.extend(self.common());
        template
            .retain(|attribute| usage(attribute.attribute_type()).is_none_or(|usage| !self.vendor.public_omits(usage)));
        template
    }

    /// The same of a public half whose value is given, not made.
    pub(super) fn restored_public(&self) -> Vec<Attribute> {
        let mut template = [self.public_uses(), self.common()].concat();
        template
            .retain(|attribute| usage(attribute.attribute_type()).is_none_or(|usage| !self.vendor.public_omits(usage)));
        template
    }

    fn public_uses(&self) -> Vec<Attribute> {
        let mut uses = vec![
            Attribute::Token(true),
            Attribute::Verify(true),
            Attribute::VerifyRecover(false),
            Attribute::Encrypt(false),
            Attribute::Wrap(false),
            Attribute::Derive(false),
        ];
        match self.vendor.public_private() {
            ThreeWay::False => uses.push(Attribute::Private(false)),
            ThreeWay::True => uses.push(Attribute::Private(true)),
            ThreeWay::Absent => {}
        }
        uses
    }

    /// CKA_ID and CKA_LABEL are given at generation: some modules cannot set them later.
    fn common(&self) -> Vec<Attribute> {
        let mut common = vec![Attribute::Id(self.id.to_vec()), Attribute::Label(self.label.as_bytes().to_vec())];
        if !self.lean {
            common.extend([Attribute::Modifiable(false), Attribute::Copyable(false)]);
        }
        common
    }

    /// Compares both halves with what was asked for. `made_now`: MODIFIABLE and COPYABLE must be as in the template; for
    /// a pair that was found they are recorded only, since a lean module may have made it.
    pub(super) fn difference(&self, private: &Half, public: &Half, made_now: bool) -> Option<Difference> {
        const OF_ITS_MAKING: [AttributeType; 3] =
            [AttributeType::Local, AttributeType::AlwaysSensitive, AttributeType::NeverExtractable];
        let kind = Value::Kind(key_type(self.algorithm));
        let mut wants = safe(self.always_authenticate);
        wants.extend([
            Want::is(AttributeType::KeyType, kind.clone()),
            Want::flag(AttributeType::AlwaysSensitive, true),
            Want::flag(AttributeType::Extractable, self.extractable),
            Want::flag(AttributeType::NeverExtractable, !self.extractable),
            Want::flag(AttributeType::Local, true),
        ]);
        let mut public_wants = vec![
            Want::is(AttributeType::KeyType, kind),
            Want::flag(AttributeType::Token, true),
            Want::flag(AttributeType::Local, true),
            Want::flag(AttributeType::Verify, true),
            Want::flag(AttributeType::Encrypt, false),
            Want::flag(AttributeType::Wrap, false),
            Want::unless_absent(AttributeType::VerifyRecover, false),
            Want::unless_absent(AttributeType::Derive, false),
        ];
        match self.vendor.public_private() {
            ThreeWay::False => public_wants.push(Want::flag(AttributeType::Private, false)),
            ThreeWay::True => public_wants.push(Want::flag(AttributeType::Private, true)),
            ThreeWay::Absent => {}
        }
        if let Some(bits) = modulus_bits(self.algorithm) {
            public_wants.push(Want::is(AttributeType::ModulusBits, Value::Number(bits)));
            public_wants.push(Want::is(AttributeType::PublicExponent, Value::Octets(spki::EXPONENT.to_vec())));
        }
        if let KeyAlgorithm::PostQuantum(set) = self.algorithm {
            // The private half says it too, and signs by what it says.
            for list in [&mut wants, &mut public_wants] {
                list.push(Want::is(AttributeType::ParameterSet, Value::Number(**parameter_set(set))));
            }
        }
        if made_now && !self.lean {
            for list in [&mut wants, &mut public_wants] {
                list.push(Want::unless_absent(AttributeType::Modifiable, false));
                list.push(Want::unless_absent(AttributeType::Copyable, false));
            }
        }
        if self.restored {
            wants.retain(|want| !OF_ITS_MAKING.contains(&want.attribute));
            public_wants.retain(|want| !OF_ITS_MAKING.contains(&want.attribute));
            // Given a modulus, not every module counts its bits; the whole public half is compared besides.
            let counted = public_wants.iter_mut().filter(|want| want.attribute == AttributeType::ModulusBits);
            counted.for_each(|want| want.may_be_absent = true);
        }
        private.difference(&wants).or_else(|| public.difference(&public_wants)).or_else(|| {
            let found = public.algorithm();
            (found != Some(self.algorithm.shown())).then(|| Difference {
                half: public.side.name(),
                attribute: AttributeType::EcParams.to_string(),
                found: public.value(AttributeType::EcParams).shown(),
                wanted: self.algorithm.name().into(),
            })
        })
    }
}

/// The name by which a profile speaks of an attribute.
pub(super) fn usage(attribute: AttributeType) -> Option<Usage> {
    Some(match attribute {
        AttributeType::SignRecover => Usage::SignRecover,
        AttributeType::Decrypt => Usage::Decrypt,
        AttributeType::Unwrap => Usage::Unwrap,
        AttributeType::Derive => Usage::Derive,
        AttributeType::VerifyRecover => Usage::VerifyRecover,
        AttributeType::Encrypt => Usage::Encrypt,
        AttributeType::Wrap => Usage::Wrap,
        AttributeType::Modifiable => Usage::Modifiable,
        AttributeType::Copyable => Usage::Copyable,
        AttributeType::Local => Usage::Local,
        AttributeType::AlwaysAuthenticate => Usage::AlwaysAuthenticate,
        AttributeType::ModulusBits => Usage::ModulusBits,
        _ => return None,
    })
}

/// What must hold for any private key that may sign: it cannot be read, and can do nothing but sign. Extractability is
/// reported and judged by the gate, which knows how the key is backed up.
///
/// A key that wants a login before each signature is used only where it is declared, and then the token must say so: one that
/// does not know the attribute would sign without asking.
pub(super) fn safe(always_authenticate: bool) -> Vec<Want> {
    vec![
        Want::flag(AttributeType::Token, true),
        Want::flag(AttributeType::Private, true),
        Want::flag(AttributeType::Sensitive, true),
        Want::flag(AttributeType::Sign, true),
        Want::flag(AttributeType::Decrypt, false),
        Want::flag(AttributeType::Unwrap, false),
        Want::flag(AttributeType::Derive, false),
        Want::unless_absent(AttributeType::SignRecover, false),
        Want {
            may_be_absent: !always_authenticate,
            ..Want::flag(AttributeType::AlwaysAuthenticate, always_authenticate)
        },
    ]
}

impl Want {
    fn is(attribute: AttributeType, value: Value) -> Want {
        Want { attribute, value, may_be_absent: false }
    }

    fn flag(attribute: AttributeType, value: bool) -> Want {
        Want::is(attribute, Value::Bool(value))
    }

    fn unless_absent(attribute: AttributeType, value: bool) -> Want {
        Want { may_be_absent: true, ..Want::flag(attribute, value) }
    }
}

pub(super) fn key_type(algorithm: KeyAlgorithm) -> KeyType {
    match algorithm {
        KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 | KeyAlgorithm::EcdsaP521 => KeyType::EC,
        KeyAlgorithm::Ed25519 => KeyType::EC_EDWARDS,
        KeyAlgorithm::PostQuantum(set) if set.is_slh_dsa() => KeyType::SLH_DSA,
        KeyAlgorithm::PostQuantum(_) => KeyType::ML_DSA,
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => KeyType::RSA,
        KeyAlgorithm::Rsa2048Pss | KeyAlgorithm::Rsa3072Pss | KeyAlgorithm::Rsa4096Pss => KeyType::RSA,
    }
}

/// The mechanism that makes a pair of this kind.
pub(super) fn generation(algorithm: KeyAlgorithm) -> Mechanism<'static> {
    match algorithm {
        KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 | KeyAlgorithm::EcdsaP521 => Mechanism::EccKeyPairGen,
        KeyAlgorithm::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
        KeyAlgorithm::PostQuantum(set) if set.is_slh_dsa() => Mechanism::SlhDsaKeyPairGen,
        KeyAlgorithm::PostQuantum(_) => Mechanism::MlDsaKeyPairGen,
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => Mechanism::RsaPkcsKeyPairGen,
        KeyAlgorithm::Rsa2048Pss | KeyAlgorithm::Rsa3072Pss | KeyAlgorithm::Rsa4096Pss => Mechanism::RsaPkcsKeyPairGen,
    }
}

fn modulus_bits(algorithm: KeyAlgorithm) -> Option<u64> {
    spki::rsa_octets(algorithm).and_then(|octets| u64::try_from(octets).ok()).map(|octets| 8 * octets)
}
