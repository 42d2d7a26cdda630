//! What is done with keys that exist, through a token's worker.

use crate::config::Token;
use crate::plan::KeyRef;
use crate::refusal::Refusal;
use crate::token::ask::{Answer, Ask, KeyGone};

use super::Workers;

impl Workers {
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
