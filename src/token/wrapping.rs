//! Wrapping keys: AES-256, made in the token, which wrap and unwrap and do nothing else.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::ask::WrappingFacts;
use super::attributes::Value;
use super::fault::{Doing, Fault, Result};
use super::keys::{check_name, is_about_the_template};
use crate::text::hex;

/// Octets of AES-256.
const LENGTH: u64 = 32;

/// What is read back and recorded, in this order, with what it must be; `None`: recorded only.
const ATTRIBUTES: &[(AttributeType, Option<bool>)] = &[
    (AttributeType::Token, Some(true)),
    (AttributeType::Private, Some(true)),
    (AttributeType::Sensitive, Some(true)),
    (AttributeType::AlwaysSensitive, None),
    (AttributeType::Extractable, Some(false)),
    (AttributeType::NeverExtractable, None),
    (AttributeType::Local, None),
    (AttributeType::Wrap, Some(true)),
    (AttributeType::Unwrap, Some(true)),
    (AttributeType::Encrypt, Some(false)),
    (AttributeType::Decrypt, Some(false)),
    (AttributeType::Sign, Some(false)),
    (AttributeType::Derive, Some(false)),
    (AttributeType::Modifiable, None),
    (AttributeType::Copyable, None),
];

/// A wrapping key that was found and judged.
pub(super) struct WrappingKey {
    pub(super) handle: ObjectHandle,
    pub(super) facts: WrappingFacts,
}

/// Makes the key, or adopts the one that has this label and CKA_ID and is as it would be made.
pub(super) fn generate(session: &Session, label: &str, id: &[u8]) -> Result<WrappingFacts> {
    check_name(label, id)?;
    if let Some(found) = look(session, label, id)? {
        return Ok(WrappingFacts { adopted: true, ..found.facts });
    }
    let named = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(label.as_bytes().to_vec())];
    let taken = session.find_objects(&named).doing("looking for a wrapping key")?;
    if !taken.is_empty() {
        let (what, label, id) = ("secret keys", label.to_owned(), hex(id));
        return Err(Fault::LabelTaken { what, label, id, count: taken.len() });
    }
    let mut template = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Derive(false),
        Attribute::ValueLen(LENGTH.into()),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
    ];
    let lean = template.clone();
    template.extend([Attribute::Modifiable(false), Attribute::Copyable(false)]);
    let mut made = session.generate_key(&Mechanism::AesKeyGen, &template);
    if made.as_ref().is_err_and(is_about_the_template) && look(session, label, id)?.is_none() {
        made = session.generate_key(&Mechanism::AesKeyGen, &lean);
    }
    let handle = made.doing("making a wrapping key")?;
    judge(session, handle, id).map(|made| made.facts).map_err(|fault| {
        // Nothing was wrapped by it yet: a key that is not as asked must not stay.
        match session.destroy_object(handle).doing("destroying a wrapping key") {
            Ok(()) => fault,
            Err(worse) => Fault::Stranded(Box::new(fault), Box::new(worse)),
        }
    })
}

/// The one wrapping key with this label and CKA_ID, fit for its work.
pub(super) fn find(session: &Session, label: &str, id: &[u8]) -> Result<WrappingKey> {
    check_name(label, id)?;
    look(session, label, id)?.ok_or_else(|| Fault::NoWrappingKey { label: label.into(), id: hex(id) })
}

fn look(session: &Session, label: &str, id: &[u8]) -> Result<Option<WrappingKey>> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
    ];
    match session.find_objects(&template).doing("looking for a wrapping key")?.as_slice() {
        [] => Ok(None),
        [one] => judge(session, *one, id).map(Some),
        many => Err(Fault::Doubled { what: "the wrapping key", id: hex(id), count: many.len() }),
    }
}

fn judge(session: &Session, handle: ObjectHandle, id: &[u8]) -> Result<WrappingKey> {
    // One by one: some modules fail the whole question for one attribute that they do not know.
    let read = |attribute| session.get_attributes(handle, &[attribute]).unwrap_or_default().pop();
    let differs = |attribute: AttributeType, found: String, wanted: String| Fault::Attribute {
        half: "wrapping",
        id: hex(id),
        attribute: attribute.to_string(),
        found,
        wanted,
    };
    let kind = read(AttributeType::KeyType).as_ref().map_or(Value::Absent, Value::of);
    if kind != Value::Kind(KeyType::AES) {
        return Err(differs(AttributeType::KeyType, kind.shown(), KeyType::AES.to_string()));
    }
    let length = match read(AttributeType::ValueLen) {
        Some(Attribute::ValueLen(length)) => *length,
        _ => 0,
    };
    if length != LENGTH {
        return Err(differs(AttributeType::ValueLen, length.to_string(), LENGTH.to_string()));
    }
    let mut attributes = vec![format!("CKA_VALUE_LEN={length}")];
    for (attribute, wanted) in ATTRIBUTES {
        let found = read(*attribute).as_ref().map_or(Value::Absent, Value::of);
        if let Some(wanted) = wanted.filter(|wanted| found != Value::Bool(*wanted)) {
            return Err(differs(*attribute, found.shown(), wanted.to_string()));
        }
        attributes.push(format!("{attribute}={}", found.shown()));
    }
    let check_value = match read(AttributeType::CheckValue) {
        Some(Attribute::CheckValue(value)) if !value.is_empty() => Some(value.into()),
        _ => None,
    };
    Ok(WrappingKey { handle, facts: WrappingFacts { check_value, attributes, adopted: false } })
}
