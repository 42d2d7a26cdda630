//! A session and the throw-away pairs made in it.

use std::io::Write;

use cryptoki::error::Error as Cryptoki;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;

use super::step::{CALLING, Found, LABEL, Taken, Trial, message};
use crate::algorithm::KeyAlgorithm;
use crate::token::ask::ToSign;
use crate::token::attributes::{Half, Side, Value};
use crate::token::ckr;
use crate::token::fault::{Doing, Fault, Result};
use crate::token::ffi::Functions;
use crate::token::keys::is_about_the_template;
use crate::token::module::{Module, Token};
use crate::token::recipe::{Recipe, generation};
use crate::token::sign;
use crate::token::vendor::Vendor;

/// What one step works with.
pub(super) struct Bench<'a> {
    pub(super) session: &'a Session,
    pub(super) module: &'a Module,
    pub(super) token: &'a Token,
    pub(super) functions: &'a Functions,
}

/// A pair that ends with its session.
pub(super) struct Pair {
    pub(super) public: ObjectHandle,
    pub(super) private: ObjectHandle,
    pub(super) lean: bool,
}

/// Tells who supervises this worker which function of the module comes next: when the module hangs or crashes in it, these
/// are the worker's last words.
pub(super) fn calling(function: &str) {
    let _ = writeln!(std::io::stderr(), "{CALLING}{function}");
}

/// The templates of a CA's key, but for an object that ends with the session.
fn recipe(algorithm: KeyAlgorithm, extractable: bool, vendor: Vendor, lean: bool) -> Recipe<'static> {
    Recipe {
        label: LABEL,
        id: LABEL.as_bytes(),
        algorithm,
        extractable,
        always_authenticate: false,
        restored: false,
        vendor,
        lean,
    }
}

fn of_the_session(template: Vec<Attribute>) -> Vec<Attribute> {
    let kept = |attribute: Attribute| match attribute {
        Attribute::Token(_) => Attribute::Token(false),
        other => other,
    };
    template.into_iter().map(kept).collect()
}

impl Bench<'_> {
    /// One more session, logged in as all of them are.
    pub(super) fn session(&self) -> cryptoki::error::Result<Session> {
        calling("C_OpenSession");
        self.module.pkcs11.open_rw_session(self.token.slot)
    }

    /// A pair made as a CA's would be: with the whole template, or the lean one where the module refuses that.
    pub(super) fn pair(&self, algorithm: KeyAlgorithm, extractable: bool) -> Result<Pair> {
        let whole = recipe(algorithm, extractable, self.token.vendor, false);
        match self.generate(algorithm, whole.public(), whole.private()) {
            Ok((public, private)) => Ok(Pair { public, private, lean: false }),
            Err(error) if is_about_the_template(&error) => {
                let lean = recipe(algorithm, extractable, self.token.vendor, true);
                let (public, private) =
                    self.generate(algorithm, lean.public(), lean.private()).doing("making a key pair")?;
                Ok(Pair { public, private, lean: true })
            }
            Err(error) => Err(error).doing("making a key pair"),
        }
    }

    fn generate(
        &self,
        algorithm: KeyAlgorithm,
        public: Vec<Attribute>,
        private: Vec<Attribute>,
    ) -> cryptoki::error::Result<(ObjectHandle, ObjectHandle)> {
        calling("C_GenerateKeyPair");
        let (public, private) = (of_the_session(public), of_the_session(private));
        self.session.generate_key_pair(&generation(algorithm), &public, &private)
    }

    /// Destroys a pair. A module that refuses loses it when the session closes.
    pub(super) fn drop_pair(&self, pair: &Pair) -> Result<()> {
        calling("C_DestroyObject");
        let private = self.session.destroy_object(pair.private).doing("destroying a private key");
        let public = self.session.destroy_object(pair.public).doing("destroying a public key");
        private.and(public)
    }

    /// The public half's SubjectPublicKeyInfo.
    pub(super) fn spki(&self, algorithm: KeyAlgorithm, pair: &Pair) -> Result<Vec<u8>> {
        calling("C_GetAttributeValue");
        let half = Half::read(self.session, pair.public, Side::Public, self.token.vendor)?;
        half.spki(algorithm).map_err(|cause| Fault::PublicKey { id: LABEL.into(), cause })
    }

    /// A new pair's signature over [`message`].
    pub(super) fn signed(&self, algorithm: KeyAlgorithm, octets: u32) -> Result<Found> {
        let pair = self.pair(algorithm, false)?;
        let spki = self.spki(algorithm, &pair)?;
        let input = input(algorithm, octets)?;
        calling("C_Sign");
        let signature = one(self.functions, self.session, algorithm, pair.private, &input)?;
        self.drop_pair(&pair)?;
        Ok(Found::Signed { spki: spki.into(), signature: signature.into(), lean: pair.lean })
    }

    /// A pair with the least template there is and one attribute more.
    pub(super) fn attribute(&self, algorithm: KeyAlgorithm, trial: Trial) -> Result<Taken> {
        let base = recipe(algorithm, false, Vendor::default(), true);
        let (mut public, mut private) = (base.public(), base.private());
        let least = |a: &Attribute| {
            use Attribute as A;
            let usages = matches!(a, A::SignRecover(_) | A::Decrypt(_) | A::Unwrap(_) | A::Derive(_));
            let public_usages = matches!(a, A::VerifyRecover(_) | A::Encrypt(_) | A::Wrap(_));
            !usages && !public_usages
        };
        public.retain(|a| least(a) && !matches!(a, Attribute::Private(_)));
        private.retain(least);
        let (attribute, on_public) = tried(algorithm, trial);
        let kind = attribute.attribute_type();
        if on_public {
            public.push(attribute.clone())
        } else {
            private.push(attribute.clone())
        }
        let (public, private) = match self.generate(algorithm, public, private) {
            Ok(made) => made,
            Err(error) if is_about_the_template(&error) => return Ok(Taken::Refused(said(&error))),
            Err(error) => return Err(error).doing("making a key pair"),
        };
        let taken = self.reads_back(if on_public { public } else { private }, kind, &attribute);
        // Where CKA_DESTROYABLE=false holds, the end of the session does it.
        let destroyed = self.drop_pair(&Pair { public, private, lean: true });
        match trial {
            Trial::NotDestroyable if taken == Taken::Kept && destroyed.is_ok() => {
                Ok(Taken::Changed("reads back, and the key was destroyed nevertheless".into()))
            }
            Trial::NotDestroyable => Ok(taken),
            _ => destroyed.map(|()| taken),
        }
    }

    fn reads_back(&self, object: ObjectHandle, kind: AttributeType, wanted: &Attribute) -> Taken {
        calling("C_GetAttributeValue");
        match self.session.get_attributes(object, &[kind]).unwrap_or_default().as_slice() {
            [found] if found == wanted => Taken::Kept,
            [found] => Taken::Changed(shown(found)),
            _ => Taken::Unreadable,
        }
    }

    /// The value of one flag, if the module tells it.
    pub(super) fn flag(&self, object: ObjectHandle, kind: AttributeType) -> Option<Attribute> {
        calling("C_GetAttributeValue");
        self.session.get_attributes(object, &[kind]).unwrap_or_default().into_iter().next()
    }
}

/// One signature, by the same two calls as a CA's.
pub(super) fn one(
    functions: &Functions,
    session: &Session,
    algorithm: KeyAlgorithm,
    key: ObjectHandle,
    input: &[u8],
) -> Result<Vec<u8>> {
    let mechanism = sign::mechanism(algorithm.signs_with());
    let raw = functions.sign_whole(session, &mechanism, key, input, sign::octets(algorithm)).doing("signing")?;
    sign::output(algorithm, 0, raw)
}

/// What C_Sign gets for a probe's message.
pub(super) fn input(algorithm: KeyAlgorithm, octets: u32) -> Result<Vec<u8>> {
    use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
    let (signs, message) = (algorithm.signs_with(), message(octets));
    let message = match sign::digest_octets(signs) {
        None => message,
        Some(32) => digest(&SHA256, &message).as_ref().to_vec(),
        Some(48) => digest(&SHA384, &message).as_ref().to_vec(),
        Some(_) => digest(&SHA512, &message).as_ref().to_vec(),
    };
    sign::input(signs, ToSign { item: 0, message: message.into() })
}

fn tried(algorithm: KeyAlgorithm, trial: Trial) -> (Attribute, bool) {
    match trial {
        Trial::NotModifiable => (Attribute::Modifiable(false), false),
        Trial::NotCopyable => (Attribute::Copyable(false), false),
        Trial::NotDestroyable => (Attribute::Destroyable(false), false),
        Trial::AllowedMechanisms => {
            (Attribute::AllowedMechanisms(vec![sign::mechanism(algorithm.signs_with()).mechanism_type()]), false)
        }
        Trial::NoSignRecover => (Attribute::SignRecover(false), false),
        Trial::NoDecrypt => (Attribute::Decrypt(false), false),
        Trial::NoUnwrap => (Attribute::Unwrap(false), false),
        Trial::NoDerive => (Attribute::Derive(false), false),
        Trial::WrapWithTrusted => (Attribute::WrapWithTrusted(true), false),
        Trial::AlwaysAuthenticate => (Attribute::AlwaysAuthenticate(true), false),
        Trial::PublicNotPrivate => (Attribute::Private(false), true),
        Trial::PublicNoEncrypt => (Attribute::Encrypt(false), true),
        Trial::PublicNoWrap => (Attribute::Wrap(false), true),
    }
}

/// An error of the module in short: the name of its return value, or what cryptoki makes of it.
pub(super) fn said(error: &Cryptoki) -> String {
    match error {
        Cryptoki::Pkcs11(rv, _) => ckr::name(rv),
        other => other.to_string(),
    }
}

/// A flag as it reads.
pub(super) fn shown(attribute: &Attribute) -> String {
    let kind = attribute.attribute_type();
    match attribute {
        Attribute::AllowedMechanisms(list) => format!("{kind} of {} mechanisms", list.len()),
        _ => format!("{kind}={}", Value::of(attribute).shown()),
    }
}
