//! The login that an always-authenticate key wants between C_SignInit and C_Sign, for each signature anew
//! (CKU_CONTEXT_SPECIFIC, PKCS #11 v3.1, section 4.9).
//!
//! The PIN crosses once, from gate to worker. So a worker whose token has such keys keeps it until the logout, in pages
//! that are locked and never dumped (`process`); any other worker drops it at the login.

use std::sync::{Mutex, PoisonError};

use cryptoki::error::{Error as Cryptoki, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::types::RawAuthPin;

use super::fault::{Doing, Fault, Result};
use crate::secret::Secret;

/// What further logins are made with.
#[derive(Default)]
pub(super) struct Context(Mutex<Kept>);

#[derive(Default)]
enum Kept {
    /// No key of this token is declared to want a login for each signature.
    #[default]
    Nothing,
    /// The PIN that the token has taken; an empty one means its own keypad.
    Pin(Secret),
    /// What the token said, instead of the PIN that it no longer takes.
    Refused(RvError),
}

impl Context {
    /// Keeps the PIN of a login that the token has taken.
    pub(super) fn of(pin: Secret) -> Context {
        Context(Mutex::new(Kept::Pin(pin)))
    }

    /// Logs in for the one signature that this session has begun. One session at a time, and never again after a refusal:
    /// a PIN that has become wrong costs one try, however many sessions sign.
    pub(super) fn login(&self, session: &Session) -> Result<()> {
        let doing = "logging in for one signature";
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match &*kept {
            Kept::Nothing => return Err(Fault::NoPinForSignature),
            Kept::Refused(rv) => return Err(Fault::Token { doing, rv: *rv }),
            Kept::Pin(pin) if pin.is_empty() => session.login(UserType::ContextSpecific, None),
            Kept::Pin(pin) => {
                let raw = RawAuthPin::new(Box::new(pin.expose().to_vec()));
                session.login_with_raw(UserType::ContextSpecific, &raw)
            }
        };
        if let Err(Cryptoki::Pkcs11(rv, _)) = &answer {
            *kept = Kept::Refused(*rv);
        }
        answer.doing(doing)
    }
}
