//! Key pairs in the token: finding, judging, making.

use std::sync::Arc;

use cryptoki::error::{Error as Cryptoki, RvError};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::ask::KeyFacts;
use super::attributes::{Difference, Half, Side};
use super::fault::{Doing, Fault, Misuse, Result};
use super::recipe::{Recipe, generation};
use super::vendor::Vendor;
use crate::algorithm::KeyAlgorithm;
use crate::text::hex;

/// A label of a token object fits every module known.
const LONGEST_LABEL: u64 = 64;
const LONGEST_ID: u64 = 64;

/// A private key that was found, judged, and may sign.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) number: u64,
    pub(super) label: String,
    pub(super) id: Vec<u8>,
    pub(super) algorithm: KeyAlgorithm,
    /// Each signature wants a login of its own.
    pub(super) always_authenticate: bool,
}

/// The keys that were reported, by number: 1 is the first.
pub(super) struct Keys {
    known: Vec<Arc<Key>>,
    /// No number is given twice: the sessions remember what it meant.
    last: u64,
    vendor: Vendor,
}

impl Keys {
    pub(super) fn of(vendor: Vendor) -> Keys {
        Keys { known: Vec::new(), last: 0, vendor }
    }

    /// The key that was reported as `number`.
    pub(super) fn by_number(&self, number: u64) -> Result<Arc<Key>> {
        let key = self.known.iter().find(|key| key.number == number);
        key.cloned().ok_or_else(|| Misuse::Handle(number).into())
    }

    fn register(&mut self, facts: &KeyFacts, always_authenticate: bool) -> u64 {
        let key = |number| Key {
            number,
            label: facts.label.clone(),
            id: facts.cka_id.to_vec(),
            algorithm: facts.algorithm,
            always_authenticate,
        };
        if let Some(known) = self.known.iter().find(|known| ***known == key(known.number)) {
            return known.number;
        }
        self.last += 1;
        self.known.push(Arc::new(key(self.last)));
        self.last
    }

    /// The objects of this key are others from now on, or none.
    pub(super) fn forget(&mut self, id: &[u8]) {
        self.known.retain(|key| key.id != id);
    }

    /// The pair with this CKA_ID and label, which must be there once and be fit to sign. `None`: no object has this CKA_ID.
    pub(super) fn find(
        &mut self,
        session: &Session,
        label: &str,
        id: &[u8],
        always_authenticate: bool,
    ) -> Result<Option<KeyFacts>> {
        check_name(label, id)?;
        let (private, public) = match halves(session, id, self.vendor)? {
            (None, None) => return Ok(None),
            (Some(private), Some(public)) => (private, public),
            (Some(_), None) => return Err(Fault::HalfPair { id: hex(id), missing: Side::Public.name() }),
            (None, Some(_)) => return Err(Fault::HalfPair { id: hex(id), missing: Side::Private.name() }),
        };
        check_label(&[&private, &public], label, id)?;
        if let Some(difference) = private.unsafe_attribute(always_authenticate) {
            return Err(refuse(difference, id));
        }
        self.facts(&private, &public).map(Some)
    }

    /// All pairs and half pairs with this label, judged by nobody: a key that is not fit to sign, or has no private half,
    /// has handle 0; a pair without its public half has an empty SPKI.
    pub(super) fn find_by_label(&mut self, session: &Session, label: &str) -> Result<Vec<KeyFacts>> {
        check_name(label, &[0])?;
        let named = [Attribute::Label(label.as_bytes().to_vec())];
        let privates = read_all(session, Side::Private, &named, self.vendor)?;
        let mut publics = read_all(session, Side::Public, &named, self.vendor)?;
        let mut found = Vec::new();
        for private in &privates {
            let matching = publics.iter().position(|public| public.id() == private.id());
            let alone = privates.iter().filter(|other| other.id() == private.id()).count() == 1;
            match matching.map(|at| publics.remove(at)) {
                Some(public) if alone && private.unsafe_attribute(false).is_none() => {
                    found.push(self.facts(private, &public)?)
                }
                Some(public) => found.push(unfit(Some(private), Some(&public))?),
                None => found.push(unfit(Some(private), None)?),
            }
        }
        for public in &publics {
            found.push(unfit(None, Some(public))?);
        }
        Ok(found)
    }

    /// Makes the pair, or adopts the whole pair that has this CKA_ID and exactly the attributes it would be made with. So a
    /// run that was stopped after C_GenerateKeyPair ends with the key it made, and a half pair, which no run could use,
    /// goes away first.
    pub(super) fn generate(&mut self, session: &Session, recipe: &Recipe<'_>) -> Result<KeyFacts> {
        check_name(recipe.label, recipe.id)?;
        let mut removed = None;
        match halves(session, recipe.id, self.vendor)? {
            (Some(private), Some(public)) => {
                return self.adopt_these(recipe, &private, &public);
            }
            (Some(half), None) => removed = Some((Side::Private, half)),
            (None, Some(half)) => removed = Some((Side::Public, half)),
            (None, None) => {}
        }
        if let Some((_, half)) = &removed {
            // Only what this CKA_ID was planned for; another label means that somebody else's object is in the way.
            check_label(&[half], recipe.label, recipe.id)?;
            session.destroy_object(half.handle).doing("removing half a key pair")?;
        }
        label_is_free(session, recipe)?;
        let facts = self.make(session, recipe)?;
        let note = removed.map(|(side, _)| format!("removed-half={}", side.name()));
        let attributes = facts.attributes.into_iter().chain(note).collect();
        Ok(KeyFacts { attributes, algorithm: recipe.algorithm, ..facts })
    }

    /// The whole pair that is there, if it is as the recipe wants.
    pub(super) fn adopt(&mut self, session: &Session, recipe: &Recipe<'_>) -> Result<KeyFacts> {
        match halves(session, recipe.id, self.vendor)? {
            (Some(private), Some(public)) => self.adopt_these(recipe, &private, &public),
            (None, _) => Err(Fault::HalfPair { id: hex(recipe.id), missing: Side::Private.name() }),
            (_, None) => Err(Fault::HalfPair { id: hex(recipe.id), missing: Side::Public.name() }),
        }
    }

    fn adopt_these(&mut self, recipe: &Recipe<'_>, private: &Half, public: &Half) -> Result<KeyFacts> {
        check_label(&[private, public], recipe.label, recipe.id)?;
        if let Some(difference) = recipe.difference(private, public, false) {
            return Err(refuse(difference, recipe.id));
        }
        let facts = self.facts(private, public)?;
        Ok(KeyFacts { adopted: true, algorithm: recipe.algorithm, ..facts })
    }

    fn make(&mut self, session: &Session, recipe: &Recipe<'_>) -> Result<KeyFacts> {
        let mechanism = generation(recipe.algorithm);
        let lean = Recipe { lean: true, ..*recipe };
        let mut used = recipe;
        let mut made = session.generate_key_pair(&mechanism, &recipe.public(), &recipe.private());
        // A profile that was tried has said what stands in a template; for the others the module is asked again.
        let guess = !recipe.vendor.was_tried() && made.as_ref().is_err_and(is_about_the_template);
        if guess && matches!(halves(session, recipe.id, self.vendor)?, (None, None)) {
            used = &lean;
            made = session.generate_key_pair(&mechanism, &lean.public(), &lean.private());
        }
        let (public, private) = made.doing("making a key pair")?;
        self.judge_made(session, used, private, public)
    }

    /// A pair that was made just now is as asked, or goes away again.
    pub(super) fn judge_made(
        &mut self,
        session: &Session,
        recipe: &Recipe<'_>,
        private: ObjectHandle,
        public: ObjectHandle,
    ) -> Result<KeyFacts> {
        self.judge(session, recipe, private, public).map_err(|fault| {
            // Nobody has seen this key yet: a pair that is not as asked must not stay.
            match destroy_both(session, private, public) {
                Ok(()) => fault,
                Err(worse) => Fault::Stranded(Box::new(fault), Box::new(worse)),
            }
        })
    }

    fn judge(
        &mut self,
        session: &Session,
        recipe: &Recipe<'_>,
        private: ObjectHandle,
        public: ObjectHandle,
    ) -> Result<KeyFacts> {
        let private = Half::read(session, private, Side::Private, self.vendor)?;
        let public = Half::read(session, public, Side::Public, self.vendor)?;
        check_label(&[&private, &public], recipe.label, recipe.id)?;
        if let Some(Difference { half, attribute, found, wanted }) = recipe.difference(&private, &public, true) {
            return Err(Fault::Made { half, attribute, found, wanted });
        }
        self.facts(&private, &public)
    }

    fn facts(&mut self, private: &Half, public: &Half) -> Result<KeyFacts> {
        let mut facts = unfit(Some(private), Some(public))?;
        if !private.belongs_to(public) {
            return Err(Fault::PublicKey { id: hex(public.id()), cause: "its two halves are not one pair" });
        }
        facts.handle = self.register(&facts, private.always_authenticates());
        Ok(facts)
    }
}

/// The one private key object that `key` names, for one session's cache.
pub(super) fn private_object(session: &Session, key: &Key) -> Result<ObjectHandle> {
    let template = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Id(key.id.clone()),
        Attribute::Label(key.label.as_bytes().to_vec()),
    ];
    let found = session.find_objects(&template).doing("looking for a key")?;
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Fault::HalfPair { id: hex(&key.id), missing: Side::Private.name() }),
        many => Err(Fault::Doubled { what: "the private key", id: hex(&key.id), count: many.len() }),
    }
}

/// What a pair or a half of one says of itself, with handle 0.
fn unfit(private: Option<&Half>, public: Option<&Half>) -> Result<KeyFacts> {
    let Some(shown) = public.or(private) else { return Err(Misuse::Handle(0).into()) };
    let id = shown.id().to_vec();
    let algorithm = shown.algorithm().ok_or_else(|| Fault::KeyKind { id: hex(&id), found: shown.kind_shown() })?;
    let spki = match public {
        Some(public) => public.spki(algorithm).map_err(|cause| Fault::PublicKey { id: hex(&id), cause })?,
        None => Vec::new(),
    };
    let attributes: Vec<String> = [private, public].into_iter().flatten().flat_map(Half::lines).collect();
    let attributes = attributes.into_iter().chain(shown.vendor.notes()).collect();
    Ok(KeyFacts {
        handle: 0,
        label: shown.label(),
        cka_id: id.into(),
        algorithm,
        spki: spki.into(),
        attributes,
        adopted: false,
    })
}

/// The halves with this CKA_ID, whatever their labels; a doubled half is an error, since it cannot be known which one the
/// token would use.
pub(super) fn halves(session: &Session, id: &[u8], vendor: Vendor) -> Result<(Option<Half>, Option<Half>)> {
    let one = |side: Side, what: &'static str| {
        let mut found = read_all(session, side, &[Attribute::Id(id.to_vec())], vendor)?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            count => Err(Fault::Doubled { what, id: hex(id), count }),
        }
    };
    Ok((one(Side::Private, "the private key")?, one(Side::Public, "the public key")?))
}

pub(super) fn read_all(session: &Session, side: Side, named: &[Attribute], vendor: Vendor) -> Result<Vec<Half>> {
    let class = match side {
        Side::Private => ObjectClass::PRIVATE_KEY,
        Side::Public => ObjectClass::PUBLIC_KEY,
    };
    let template = [&[Attribute::Class(class)], named].concat();
    let handles = session.find_objects(&template).doing("looking for keys")?;
    handles.into_iter().map(|handle| Half::read(session, handle, side, vendor)).collect()
}

/// A label names one key of a hierarchy: a second pair under another CKA_ID would make it ambiguous.
pub(super) fn label_is_free(session: &Session, recipe: &Recipe<'_>) -> Result<()> {
    let named = Attribute::Label(recipe.label.as_bytes().to_vec());
    for (class, what) in [(ObjectClass::PRIVATE_KEY, "private keys"), (ObjectClass::PUBLIC_KEY, "public keys")] {
        let found = session.find_objects(&[Attribute::Class(class), named.clone()]).doing("looking for keys")?;
        if !found.is_empty() {
            let (label, id) = (recipe.label.to_owned(), hex(recipe.id));
            return Err(Fault::LabelTaken { what, label, id, count: found.len() });
        }
    }
    Ok(())
}

pub(super) fn check_label(halves: &[&Half], label: &str, id: &[u8]) -> Result<()> {
    match halves.iter().find(|half| half.label() != label || half.id() != id) {
        None => Ok(()),
        Some(half) => Err(Fault::OtherLabel { id: hex(id), found: half.label(), asked: label.into() }),
    }
}

pub(super) fn check_name(label: &str, id: &[u8]) -> Result<()> {
    let named =
        [("the length of a key label", label.len(), LONGEST_LABEL), ("the length of a CKA_ID", id.len(), LONGEST_ID)];
    for (what, length, most) in named {
        let value = u64::try_from(length).unwrap_or(u64::MAX);
        if value == 0 || value > most {
            return Err(Misuse::Range { what, value, least: 1, most }.into());
        }
    }
    Ok(())
}

fn refuse(difference: Difference, id: &[u8]) -> Fault {
    let Difference { half, attribute, found, wanted } = difference;
    Fault::Attribute { half, id: hex(id), attribute, found, wanted }
}

fn destroy_both(session: &Session, private: ObjectHandle, public: ObjectHandle) -> Result<()> {
    // Both are tried, so that a failure leaves as little as possible.
    let first = session.destroy_object(private).doing("destroying a private key");
    let second = session.destroy_object(public).doing("destroying a public key");
    first.and(second)
}

/// Whether a module may take the same pair without MODIFIABLE and COPYABLE. Some answer an unknown attribute with a
/// general error.
pub(super) fn is_about_the_template(error: &Cryptoki) -> bool {
    matches!(
        error,
        Cryptoki::Pkcs11(
            RvError::TemplateInconsistent
                | RvError::AttributeTypeInvalid
                | RvError::AttributeValueInvalid
                | RvError::AttributeReadOnly
                | RvError::GeneralError
                | RvError::FunctionFailed,
            _
        )
    )
}
