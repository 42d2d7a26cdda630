//! What is done with keys that exist, through a token's worker.

use crate::config::Token;
use crate::plan::{Backup, GenerateWrappingKey, KeyRef, WrappingRef};
use crate::refusal::Refusal;
use crate::token::ask::{Answer, Ask, BackedUp, KeyGone, Restored, ToRestore, ToWrap, WrappingFacts, WrappingName};

use super::{Declared, Workers};

impl Workers {
    pub fn generate_wrapping(&mut self, token: &Token, key: &GenerateWrappingKey) -> Result<WrappingFacts, Refusal> {
        let ask = Ask::GenerateWrappingKey { label: key.label.clone(), cka_id: key.cka_id.clone() };
        answer!(self.ask(token, &ask)?, Answer::WrappingKey(facts) => facts)
    }

    /// Wraps the planned key, which was found and judged. `message`: what it signs to prove itself, as for `sign`.
    pub fn back_up(
        &mut self,
        token: &Token,
        key: &KeyRef,
        wrapping: &WrappingRef,
        message: Vec<u8>,
    ) -> Result<BackedUp, Refusal> {
        let ask = Ask::BackUp(to_wrap(key, wrapping, message));
        answer!(self.ask(token, &ask)?, Answer::BackedUp(wrapped) => wrapped)
    }

    /// Brings the planned key back, as it is declared.
    pub fn restore(
        &mut self,
        token: &Token,
        key: &KeyRef,
        declared: Declared,
        backup: &Backup,
        message: Vec<u8>,
    ) -> Result<Restored, Refusal> {
        self.forget(token, key);
        let ask = Ask::Restore(ToRestore {
            key: to_wrap(key, &backup.wrapping, message),
            always_authenticate: declared.always_authenticate,
            mechanism: backup.mechanism.clone(),
            wrapped: backup.wrapped.clone(),
        });
        answer!(self.ask(token, &ask)?, Answer::Restored(restored) => restored)
    }

    /// Destroys the planned key. Asked again after a worker has died, it may be found gone.
    pub fn destroy(&mut self, token: &Token, key: &KeyRef) -> Result<KeyGone, Refusal> {
        self.forget(token, key);
        let (label, cka_id, spki) = (key.label.clone(), key.cka_id.clone(), key.spki.clone());
        answer!(self.ask(token, &Ask::DestroyKey { label, cka_id, spki })?, Answer::Destroyed(gone) => gone)
    }

    /// What was found of this key is no longer true.
    fn forget(&mut self, token: &Token, key: &KeyRef) {
        for slot in self.slots.values_mut().filter(|slot| slot.token.id == token.id) {
            slot.forget(key);
        }
    }
}

fn to_wrap(key: &KeyRef, wrapping: &WrappingRef, message: Vec<u8>) -> ToWrap {
    ToWrap {
        label: key.label.clone(),
        cka_id: key.cka_id.clone(),
        spki: key.spki.clone(),
        algorithm: key.algorithm,
        wrapping: WrappingName { label: wrapping.label.clone(), cka_id: wrapping.cka_id.clone() },
        message: message.into(),
    }
}
