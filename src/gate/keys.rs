//! Acts on keys that exist: judged against the hierarchy, then carried out in the key's token.

use crate::plan::{Deed, KeyAct};
use crate::refusal::Refusal;

use super::message::Outcome;
use super::server::Gate;

impl Gate {
    /// The act of an item that was judged; a proof is a signature like any other, and none of these.
    pub(super) fn key_act(&mut self, act: &KeyAct) -> Result<Outcome, Refusal> {
        let token = self.token(&act.key.token)?;
        self.belongs(&token, false, &act.key.cka_id)?;
        match act.deed {
            Deed::Prove { .. } => Err(Refusal::bug("a proof is signed with the other messages of its key")),
            Deed::Destroy { .. } => Ok(Outcome::Destroyed(self.workers.destroy(&token, &act.key)?)),
        }
    }
}
