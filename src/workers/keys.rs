//! What is done with keys that exist, through a token's worker.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::audit::artefact;
use crate::config::Token;
use crate::digest::Digest;
use crate::plan::{Backup, Deed, GenerateWrappingKey, Item, KeyAct, KeyRef, MAX_BACKUP, WrappingRef};
use crate::refusal::Refusal;
use crate::token::ask::{Answer, Ask, BackedUp, KeyGone, Restored, ToRestore, ToWrap, WrappingFacts, WrappingName};

use super::{Declared, Workers};

/// What an act on a key, or the making of a wrapping key, came to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum KeyDone {
    WrappingKey(WrappingFacts),
    BackedUp(BackedUp),
    Restored(Restored),
    Destroyed(KeyGone),
}

impl Workers {
    /// Carries out an item that the gate has judged. Backups lie below `audit`.
    pub fn key_act(
        &mut self,
        token: &Token,
        item: &Item,
        declared: Declared,
        audit: &Path,
    ) -> Result<KeyDone, Refusal> {
        let act = match item {
            Item::GenerateWrappingKey(key) => return Ok(KeyDone::WrappingKey(self.generate_wrapping(token, key)?)),
            Item::KeyAct(act) => act,
            _ => return Err(Refusal::bug("no act on a key")),
        };
        let KeyAct { key, deed } = act.as_ref();
        let message = |text: &[u8]| key.algorithm.signs_with().message(text);
        Ok(match deed {
            Deed::Prove { .. } => return Err(Refusal::bug("a proof is signed with the other messages of its key")),
            Deed::Backup { wrapping, text } => {
                self.find(token, key, declared)?;
                KeyDone::BackedUp(self.back_up(token, key, wrapping, message(text)?)?)
            }
            Deed::Restore { wrapping, backup, text } => {
                let backup = planned_backup(audit, backup, key, wrapping)?;
                KeyDone::Restored(self.restore(token, key, declared, &backup, message(text)?)?)
            }
            Deed::Destroy { .. } => KeyDone::Destroyed(self.destroy(token, key)?),
        })
    }

    fn generate_wrapping(&mut self, token: &Token, key: &GenerateWrappingKey) -> Result<WrappingFacts, Refusal> {
        let ask = Ask::GenerateWrappingKey { label: key.label.clone(), cka_id: key.cka_id.clone() };
        answer!(self.ask(token, &ask)?, Answer::WrappingKey(facts) => facts)
    }

    /// Wraps the planned key, which was found and judged. `message`: what it signs to prove itself, as for `sign`.
    fn back_up(
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
    fn restore(
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
    fn destroy(&mut self, token: &Token, key: &KeyRef) -> Result<KeyGone, Refusal> {
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

/// The planned backup of this key, from the artefacts below `audit`: its digest is the plan's.
fn planned_backup(audit: &Path, digest: &Digest, key: &KeyRef, wrapping: &WrappingRef) -> Result<Backup, Refusal> {
    let path = audit.join(artefact::path(digest));
    let shown = crate::text::path(&path);
    let halt = |what: String| {
        let hint = format!("the backup file of this key from a medium belongs there: put it back as {shown}");
        Refusal { what, hint: Some(hint), halted: true }
    };
    let mut file = Vec::new();
    let read = File::open(&path).and_then(|from| from.take(MAX_BACKUP + 1).read_to_end(&mut file));
    read.map_err(|e| halt(format!("the backup {shown} cannot be read: {e}")))?;
    if Digest::of(&file) != *digest {
        return Err(halt(format!("the backup {shown} was changed")));
    }
    let backup = Backup::decode(&file).filter(|backup| backup.is_of(key, wrapping));
    backup
        .ok_or_else(|| Refusal::no("the planned backup is of another key, or under another wrapping key", "plan again"))
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
