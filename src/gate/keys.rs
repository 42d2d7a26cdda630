//! Acts on keys that exist, and wrapping keys: judged against the hierarchy, then carried out in the key's token.

use crate::plan::{self, Deed, Item, KeyAct};
use crate::refusal::Refusal;
use crate::workers::keys;

use super::judge::message_for;
use super::message::Outcome;
use super::server::Gate;

impl Gate {
    /// Before the first item is carried out. That the key itself is the hierarchy's was judged with it.
    pub(super) fn judge_key_act(&self, item: &Item) -> Result<(), Refusal> {
        if let Item::GenerateWrappingKey(key) = item {
            self.need_login(&key.token)?;
        }
        match plan::wraps_as_declared(item, &self.hierarchy) {
            true => Ok(()),
            false => Err(Refusal::no("the plan wraps a key otherwise than the hierarchy declares", "plan again")),
        }
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
                let backup = keys::planned_backup(&self.station.join("audit"), backup, key, wrapping)?;
                let message = message_for(algorithm, text)?;
                Outcome::Restored(self.workers.restore(&token, key, declared, &backup, message)?)
            }
            Deed::Destroy { .. } => Outcome::Destroyed(self.workers.destroy(&token, key)?),
        })
    }
}
