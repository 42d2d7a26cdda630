//! Acts on keys that exist, and wrapping keys: judged against the hierarchy, then carried out in the key's token.

use std::io::Read;

use crate::audit::artefact;
use crate::config::Backup as Declared;
use crate::digest::Digest;
use crate::plan::{Backup, Deed, Item, KeyAct, KeyRef, MAX_BACKUP, WrappingRef};
use crate::refusal::Refusal;

use super::judge::message_for;
use super::message::Outcome;
use super::server::Gate;

impl Gate {
    /// Before the first item is carried out. That the key itself is the hierarchy's was judged with it.
    pub(super) fn judge_key_act(&self, item: &Item) -> Result<(), Refusal> {
        let lawful = match item {
            Item::GenerateWrappingKey(k) => {
                self.need_login(&k.token)?;
                self.wraps_on(&k.token, &k.key, &k.label)
            }
            Item::KeyAct(act) => match &act.deed {
                Deed::Backup { wrapping, .. } | Deed::Restore { wrapping, .. } => {
                    self.is_wrapped_by(&act.key, wrapping)
                }
                Deed::Prove { .. } | Deed::Destroy { .. } => true,
            },
            _ => false,
        };
        match lawful {
            true => Ok(()),
            false => Err(Refusal::no(
                "the plan wraps by a key, or a key, that the hierarchy does not declare so",
                "plan again",
            )),
        }
    }

    fn wraps_on(&self, token: &str, id: &str, label: &str) -> bool {
        self.hierarchy.wrapping_key(id).is_some_and(|w| (w.token.as_str(), w.label.as_str()) == (token, label))
    }

    /// Only a key that is declared to leave its token wrapped does so, and only by the declared wrapping key.
    fn is_wrapped_by(&self, key: &KeyRef, wrapping: &WrappingRef) -> bool {
        let declared = self.hierarchy.key(&key.key).filter(|k| k.backup == Declared::Wrap);
        let by = declared.and_then(|k| k.wrapped_by.as_ref());
        by == Some(&wrapping.key) && self.wraps_on(&key.token, &wrapping.key, &wrapping.label)
    }

    /// The act of an item that was judged; a proof is a signature like any other, and none of these.
    pub(super) fn key_act(&mut self, item: &Item) -> Result<Outcome, Refusal> {
        let act = match item {
            Item::GenerateWrappingKey(key) => {
                let token = self.token(&key.token)?;
                self.belongs(&token, true, &key.cka_id)?;
                return Ok(Outcome::WrappingKey(self.workers.generate_wrapping(&token, key)?));
            }
            Item::KeyAct(act) => act,
            _ => return Err(Refusal::bug("no act on a key")),
        };
        let KeyAct { key, deed } = act.as_ref();
        let token = self.token(&key.token)?;
        self.belongs(&token, false, &key.cka_id)?;
        let algorithm = key.algorithm.signs_with();
        let declared = self.declared(None, key, algorithm)?.into();
        Ok(match deed {
            Deed::Prove { .. } => return Err(Refusal::bug("a proof is signed with the other messages of its key")),
            Deed::Backup { wrapping, text } => {
                self.workers.find(&token, key, declared)?;
                Outcome::BackedUp(self.workers.back_up(&token, key, wrapping, message_for(algorithm, text)?)?)
            }
            Deed::Restore { wrapping, backup, text } => {
                let backup = self.backup(backup, key, wrapping)?;
                let message = message_for(algorithm, text)?;
                Outcome::Restored(self.workers.restore(&token, key, declared, &backup, message)?)
            }
            Deed::Destroy { .. } => Outcome::Destroyed(self.workers.destroy(&token, key)?),
        })
    }

    /// The planned backup, from the station's artefacts: the digest is the plan's.
    fn backup(&self, digest: &Digest, key: &KeyRef, wrapping: &WrappingRef) -> Result<Backup, Refusal> {
        let path = self.station.join("audit").join(artefact::path(digest));
        let mut file = Vec::new();
        let read = std::fs::File::open(&path).and_then(|from| from.take(MAX_BACKUP + 1).read_to_end(&mut file));
        let shown = crate::text::path(&path);
        let hint = format!("a backup file of this key from a medium belongs there: put it back as {shown}");
        let backup = match read {
            Ok(_) if Digest::of(&file) == *digest => Backup::decode(&file),
            Ok(_) => {
                return Err(Refusal {
                    what: format!("the backup {shown} was changed"),
                    hint: Some(hint),
                    halted: true,
                });
            }
            Err(e) => {
                let what = format!("the backup {shown} cannot be read: {e}");
                return Err(Refusal { what, hint: Some(hint), halted: true });
            }
        };
        backup.filter(|backup| backup.is_of(key, wrapping)).ok_or_else(|| {
            Refusal::no("the planned backup is of another key, or under another wrapping key", "plan again")
        })
    }
}
