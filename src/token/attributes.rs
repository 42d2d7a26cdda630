//! The attributes of a key pair as read back from the token.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};
use cryptoki::session::Session;

use super::fault::{Doing, Result};
use super::parameter_set;
use super::recipe::{Want, key_type, safe, usage};
use super::spki::{self, rsa_octets, strip_zeros};
use super::vendor::Vendor;
use crate::algorithm::KeyAlgorithm;
use crate::text::hex;

/// What stands in the record for the private half, in this order.
const PRIVATE: &[AttributeType] = &[
    AttributeType::KeyType,
    AttributeType::ParameterSet,
    AttributeType::Token,
    AttributeType::Private,
    AttributeType::Sensitive,
    AttributeType::AlwaysSensitive,
    AttributeType::Extractable,
    AttributeType::NeverExtractable,
    AttributeType::Local,
    AttributeType::Sign,
    AttributeType::SignRecover,
    AttributeType::Decrypt,
    AttributeType::Unwrap,
    AttributeType::Derive,
    AttributeType::AlwaysAuthenticate,
    AttributeType::Modifiable,
    AttributeType::Copyable,
];

/// What stands in the record for the public half, in this order.
const PUBLIC: &[AttributeType] = &[
    AttributeType::KeyType,
    AttributeType::EcParams,
    AttributeType::ModulusBits,
    AttributeType::PublicExponent,
    AttributeType::ParameterSet,
    AttributeType::Token,
    AttributeType::Private,
    AttributeType::Local,
    AttributeType::Verify,
    AttributeType::VerifyRecover,
    AttributeType::Encrypt,
    AttributeType::Wrap,
    AttributeType::Derive,
    AttributeType::Modifiable,
    AttributeType::Copyable,
];

/// Read too, but not part of the attribute record: they have fields of their own.
const IDENTITY: &[AttributeType] = &[AttributeType::Id, AttributeType::Label, AttributeType::Modulus];

/// One attribute's value, as far as this room compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    Number(u64),
    Kind(KeyType),
    Octets(Vec<u8>),
    /// The module does not know it, or will not say.
    Absent,
}

/// Which half of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Private,
    Public,
}

/// One half of a key pair as read from the token.
pub(super) struct Half {
    pub(super) handle: ObjectHandle,
    pub(super) side: Side,
    pub(super) vendor: Vendor,
    values: Vec<(AttributeType, Value)>,
}

/// The first attribute that is not as wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) half: &'static str,
    pub(super) attribute: String,
    pub(super) found: String,
    pub(super) wanted: String,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Side::Private => "private",
            Side::Public => "public",
        }
    }

    fn attributes(self) -> Vec<AttributeType> {
        let mut all = match self {
            Side::Private => [PRIVATE, &[AttributeType::EcParams]].concat(),
            Side::Public => [PUBLIC, &[AttributeType::EcPoint]].concat(),
        };
        all.extend(IDENTITY);
        // Asked of the keys that have it.
        all.retain(|attribute| *attribute != AttributeType::ParameterSet);
        all
    }
}

impl Half {
    /// Reads everything at once; what did not come is asked for alone, since some modules fail the whole question for
    /// one attribute that they do not know. What the vendor's profile says cannot be asked for is not.
    pub(super) fn read(session: &Session, handle: ObjectHandle, side: Side, vendor: Vendor) -> Result<Half> {
        let mut wanted = side.attributes();
        wanted.retain(|attribute| usage(*attribute).is_none_or(|usage| !vendor.not_readable(usage)));
        let mut half = Half { handle, side, vendor, values: Half::ask(session, handle, &wanted)? };
        if matches!(half.value(AttributeType::KeyType), Value::Kind(KeyType::ML_DSA | KeyType::SLH_DSA)) {
            // Of the public half alone: a private key's CKA_VALUE is the secret.
            let more: &[AttributeType] = match side {
                Side::Private => &[AttributeType::ParameterSet],
                Side::Public => &[AttributeType::ParameterSet, AttributeType::Value],
            };
            half.values.extend(Half::ask(session, handle, more)?);
        }
        Ok(half)
    }

    fn ask(session: &Session, handle: ObjectHandle, wanted: &[AttributeType]) -> Result<Vec<(AttributeType, Value)>> {
        let together = session.get_attributes(handle, wanted).unwrap_or_default();
        let mut values = Vec::with_capacity(wanted.len());
        for &attribute in wanted {
            let mut found = together.iter().find(|found| found.attribute_type() == attribute).map(Value::of);
            if found.is_none() {
                let alone = match session.get_attributes(handle, &[attribute]) {
                    Err(error) if says_the_object_is_lost(&error) => Err(error).doing("reading a key's attributes")?,
                    other => other.unwrap_or_default(),
                };
                found = alone.first().map(Value::of);
            }
            values.push((attribute, found.unwrap_or(Value::Absent)));
        }
        Ok(values)
    }

    pub(super) fn value(&self, attribute: AttributeType) -> &Value {
        self.values.iter().find(|(known, _)| *known == attribute).map_or(&Value::Absent, |(_, value)| value)
    }

    fn octets(&self, attribute: AttributeType) -> Option<&[u8]> {
        match self.value(attribute) {
            Value::Octets(octets) => Some(octets),
            _ => None,
        }
    }

    /// CKA_LABEL; octets that are not UTF-8 become replacement characters, which no label of a hierarchy has.
    pub(super) fn label(&self) -> String {
        String::from_utf8_lossy(self.octets(AttributeType::Label).unwrap_or_default()).into_owned()
    }

    pub(super) fn id(&self) -> &[u8] {
        self.octets(AttributeType::Id).unwrap_or_default()
    }

    /// The kind of key that a half is; `None` for kinds that are not made or used here, and for private halves that
    /// keep their curve to themselves.
    pub(super) fn algorithm(&self) -> Option<KeyAlgorithm> {
        match self.value(AttributeType::KeyType) {
            Value::Kind(KeyType::RSA) => {
                let octets = strip_zeros(self.octets(AttributeType::Modulus)?).len();
                [KeyAlgorithm::Rsa2048, KeyAlgorithm::Rsa3072, KeyAlgorithm::Rsa4096]
                    .into_iter()
                    .find(|algorithm| rsa_octets(*algorithm) == Some(octets))
            }
            Value::Kind(KeyType::ML_DSA | KeyType::SLH_DSA) => {
                let (Value::Kind(kind), Value::Number(number)) =
                    (self.value(AttributeType::KeyType), self.value(AttributeType::ParameterSet))
                else {
                    return None;
                };
                parameter_set::named(*kind, *number).map(KeyAlgorithm::PostQuantum)
            }
            Value::Kind(kind) => {
                spki::curve(self.octets(AttributeType::EcParams)?).filter(|algorithm| key_type(*algorithm) == *kind)
            }
            _ => None,
        }
    }

    /// How CKA_KEY_TYPE and the curve or length read, for a refusal.
    pub(super) fn kind_shown(&self) -> String {
        let parts =
            [AttributeType::KeyType, AttributeType::EcParams, AttributeType::ModulusBits, AttributeType::ParameterSet];
        let shown: Vec<String> = parts.iter().map(|part| format!("{part}={}", self.value(*part).shown())).collect();
        shown.join(" ")
    }

    /// The SubjectPublicKeyInfo of a public half, from its own attributes: CKA_PUBLIC_KEY_INFO is often empty.
    pub(super) fn spki(&self, algorithm: KeyAlgorithm) -> std::result::Result<Vec<u8>, &'static str> {
        if rsa_octets(algorithm).is_some() {
            let modulus = self.octets(AttributeType::Modulus).ok_or("it has no CKA_MODULUS")?;
            let exponent = self.octets(AttributeType::PublicExponent).ok_or("it has no CKA_PUBLIC_EXPONENT")?;
            return spki::of_rsa(algorithm, modulus, exponent);
        }
        if let KeyAlgorithm::PostQuantum(set) = algorithm {
            return spki::of_post_quantum(set, self.octets(AttributeType::Value).ok_or("it has no CKA_VALUE")?);
        }
        spki::of_point(algorithm, self.octets(AttributeType::EcPoint).ok_or("it has no CKA_EC_POINT")?)
    }

    /// False when both halves say their modulus or curve and it is not the same.
    pub(super) fn belongs_to(&self, other: &Half) -> bool {
        let same_modulus = match (self.octets(AttributeType::Modulus), other.octets(AttributeType::Modulus)) {
            (Some(one), Some(two)) => strip_zeros(one) == strip_zeros(two),
            _ => true,
        };
        let same_kind = match (self.algorithm(), other.algorithm()) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        same_modulus && same_kind
    }

    /// Whether a private half may sign at all, see [`safe`].
    pub(super) fn unsafe_attribute(&self, always_authenticate: bool) -> Option<Difference> {
        self.difference(&safe(always_authenticate))
    }

    /// Whether each signature wants a login of its own.
    pub(super) fn always_authenticates(&self) -> bool {
        *self.value(AttributeType::AlwaysAuthenticate) == Value::Bool(true)
    }

    /// The first difference in what the vendor's profile lets count: what a module cannot be asked for, or answers alike for
    /// every key, says nothing of this one.
    pub(super) fn difference(&self, wants: &[Want]) -> Option<Difference> {
        let counts = |attribute: AttributeType| {
            usage(attribute).is_none_or(|usage| {
                !self.vendor.not_readable(usage)
                    && !match self.side {
                        Side::Private => self.vendor.private_not_compared(usage),
                        Side::Public => self.vendor.public_not_compared(usage),
                    }
            })
        };
        wants.iter().filter(|want| counts(want.attribute)).find_map(|want| {
            let found = self.value(want.attribute);
            let holds = *found == want.value || (want.may_be_absent && *found == Value::Absent);
            (!holds).then(|| Difference {
                half: self.side.name(),
                attribute: want.attribute.to_string(),
                found: found.shown(),
                wanted: want.value.shown(),
            })
        })
    }

    /// `CKA_SENSITIVE=true` and so on in a fixed order; the public half's with `public ` before them.
    pub(super) fn lines(&self) -> Vec<String> {
        let (listed, prefix) = match self.side {
            Side::Private => (PRIVATE, ""),
            Side::Public => (PUBLIC, "public "),
        };
        let of_other_kinds = [
            AttributeType::EcParams,
            AttributeType::ModulusBits,
            AttributeType::PublicExponent,
            AttributeType::ParameterSet,
        ];
        listed
            .iter()
            .map(|attribute| (attribute, self.value(*attribute)))
            .filter(|(attribute, value)| **value != Value::Absent || !of_other_kinds.contains(attribute))
            .map(|(attribute, value)| format!("{prefix}{attribute}={}", value.shown()))
            .collect()
    }
}

impl Value {
    pub(super) fn of(attribute: &Attribute) -> Value {
        match attribute {
            Attribute::Token(b)
            | Attribute::Private(b)
            | Attribute::Sensitive(b)
            | Attribute::AlwaysSensitive(b)
            | Attribute::Extractable(b)
            | Attribute::NeverExtractable(b)
            | Attribute::Local(b)
            | Attribute::Sign(b)
            | Attribute::SignRecover(b)
            | Attribute::Decrypt(b)
            | Attribute::Unwrap(b)
            | Attribute::Derive(b)
            | Attribute::AlwaysAuthenticate(b)
            | Attribute::Modifiable(b)
            | Attribute::Copyable(b)
            | Attribute::Destroyable(b)
            | Attribute::WrapWithTrusted(b)
            | Attribute::Verify(b)
            | Attribute::VerifyRecover(b)
            | Attribute::Encrypt(b)
            | Attribute::Wrap(b) => Value::Bool(*b),
            Attribute::KeyType(kind) => Value::Kind(*kind),
            Attribute::ModulusBits(bits) => Value::Number(**bits),
            Attribute::ParameterSet(set) => Value::Number(***set),
            Attribute::PublicExponent(octets) => Value::Octets(strip_zeros(octets).to_vec()),
            Attribute::Id(octets)
            | Attribute::Label(octets)
            | Attribute::Modulus(octets)
            | Attribute::EcParams(octets)
            | Attribute::EcPoint(octets)
            | Attribute::Value(octets) => Value::Octets(octets.clone()),
            _ => Value::Absent,
        }
    }

    pub(super) fn shown(&self) -> String {
        match self {
            Value::Bool(b) => b.to_string(),
            Value::Number(n) => n.to_string(),
            Value::Kind(kind) => kind.to_string(),
            Value::Octets(octets) => hex(octets),
            Value::Absent => "unavailable".into(),
        }
    }
}

fn says_the_object_is_lost(error: &cryptoki::error::Error) -> bool {
    use cryptoki::error::{Error, RvError};
    matches!(
        error,
        Error::Pkcs11(
            RvError::ObjectHandleInvalid
                | RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::DeviceError
                | RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::UserNotLoggedIn,
            _
        )
    )
}
