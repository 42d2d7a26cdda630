//! Every object that a token shows to who is logged in, a page at a time.

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use serde::{Deserialize, Serialize};

use super::attributes::{Half, Side};
use super::fault::{Doing, Result};
use super::vendor::Vendor;
use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::digest::Digest;

/// Objects in one answer: a page of RSA-4096 keys fits a frame many times.
pub(super) const PAGE: usize = 256;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    PrivateKey,
    PublicKey,
    SecretKey,
    Certificate,
    Data,
    /// Anything else, or an object that does not say.
    Other,
}

/// One object as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ObjectFacts {
    pub class: Class,
    pub label: String,
    pub cka_id: Bytes,
    /// CKA_APPLICATION of a data object.
    pub application: String,
    /// Of keys, where this program knows the kind.
    pub algorithm: Option<KeyAlgorithm>,
    /// SubjectPublicKeyInfo of a public key of such a kind.
    pub spki: Option<Bytes>,
    /// Of keys, as the log records them: `CKA_SENSITIVE=true`, the public half's with `public ` before them.
    pub attributes: Vec<String>,
    /// SHA-256 of CKA_VALUE of certificates and data objects.
    pub value: Option<Digest>,
}

/// A page of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Page {
    pub objects: Vec<ObjectFacts>,
    /// How many there are in all.
    pub total: u64,
}

impl Class {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Class::PrivateKey => "private key",
            Class::PublicKey => "public key",
            Class::SecretKey => "secret key",
            Class::Certificate => "certificate",
            Class::Data => "data object",
            Class::Other => "object",
        }
    }
}

/// The objects from number `from` on, in the token's own order.
pub(super) fn page(session: &Session, vendor: Vendor, from: u64) -> Result<Page> {
    let handles = session.find_objects(&[]).doing("listing the objects")?;
    let total = u64::try_from(handles.len()).unwrap_or(u64::MAX);
    let skipped = usize::try_from(from).unwrap_or(usize::MAX);
    let objects: Result<Vec<ObjectFacts>> =
        handles.into_iter().skip(skipped).take(PAGE).map(|handle| facts(session, vendor, handle)).collect();
    Ok(Page { objects: objects?, total })
}

fn facts(session: &Session, vendor: Vendor, handle: ObjectHandle) -> Result<ObjectFacts> {
    let class = match attribute(session, handle, AttributeType::Class) {
        Some(Attribute::Class(class)) => class_of(class),
        _ => Class::Other,
    };
    let side = match class {
        Class::PrivateKey => Some(Side::Private),
        Class::PublicKey => Some(Side::Public),
        _ => None,
    };
    if let Some(side) = side {
        return key(&Half::read(session, handle, side, vendor)?, class);
    }
    let octets = |kind| match attribute(session, handle, kind) {
        Some(Attribute::Label(octets) | Attribute::Id(octets) | Attribute::Application(octets)) => octets,
        _ => Vec::new(),
    };
    // The value of a secret key is nobody's business; a token that gives it is the probe's.
    let value = match class {
        Class::Certificate | Class::Data => match attribute(session, handle, AttributeType::Value) {
            Some(Attribute::Value(octets)) => Some(Digest::of(&octets)),
            _ => None,
        },
        _ => None,
    };
    Ok(ObjectFacts {
        class,
        label: text(&octets(AttributeType::Label)),
        // Data objects have none.
        cka_id: if class == Class::Data { Bytes::new() } else { octets(AttributeType::Id).into() },
        application: if class == Class::Data { text(&octets(AttributeType::Application)) } else { String::new() },
        algorithm: None,
        spki: None,
        attributes: Vec::new(),
        value,
    })
}

fn key(half: &Half, class: Class) -> Result<ObjectFacts> {
    let algorithm = half.algorithm();
    let spki = match (class, algorithm) {
        // A point that cannot be read is no reason to show nothing of the token.
        (Class::PublicKey, Some(algorithm)) => half.spki(algorithm).ok().map(Bytes::from),
        _ => None,
    };
    Ok(ObjectFacts {
        class,
        label: half.label(),
        cka_id: half.id().to_vec().into(),
        application: String::new(),
        algorithm,
        spki,
        attributes: half.lines(),
        value: None,
    })
}

/// Asked for alone: some modules fail the whole question for one attribute that an object does not have.
fn attribute(session: &Session, handle: ObjectHandle, kind: AttributeType) -> Option<Attribute> {
    session.get_attributes(handle, &[kind]).unwrap_or_default().into_iter().next()
}

fn class_of(class: ObjectClass) -> Class {
    match class {
        ObjectClass::PRIVATE_KEY => Class::PrivateKey,
        ObjectClass::PUBLIC_KEY => Class::PublicKey,
        ObjectClass::SECRET_KEY => Class::SecretKey,
        ObjectClass::CERTIFICATE => Class::Certificate,
        ObjectClass::DATA => Class::Data,
        _ => Class::Other,
    }
}

/// Octets that are not UTF-8 become replacement characters, which no hierarchy has.
fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
