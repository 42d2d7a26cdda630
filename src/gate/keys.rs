//! Acts on keys that exist, and wrapping keys: judged against the hierarchy, then carried out in the key's token.

use crate::plan::{self, Item};
use crate::refusal::Refusal;

use super::message::{Outcome, Reply};
use super::server::Gate;

impl Gate {
    /// A pair on record is this token's own.
    pub(super) fn holds(&mut self, token: &str, label: &str, cka_id: &[u8], spki: &[u8]) -> Result<Reply, Refusal> {
        self.need_login(token)?;
        let mut held = self.workers.keys_by_label(&self.token(token)?, label)?.into_iter();
        // Without its private half a pair has no handle.
        match held.any(|key| key.handle != 0 && key.cka_id.as_slice() == cka_id && key.spki.as_slice() == spki) {
            true => Ok(Reply::Known),
            false => {
                let what =
                    format!("token `{token}` does not hold the key `{}` that is on record", crate::text::escape(label));
                let hint = "was it not removed by hand, another program has written to the audit directory: stop, and compare it \
                            with its copies, `coldroot check DIR --against COPY`";
                Err(Refusal { halted: true, ..Refusal::no(what, hint) })
            }
        }
    }

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
        let (token, id, key) = match item {
            Item::GenerateWrappingKey(key) => (&key.token, &key.cka_id, None),
            Item::KeyAct(act) => (&act.key.token, &act.key.cka_id, self.hierarchy.key(&act.key.key)),
            _ => return Err(Refusal::bug("no act on a key")),
        };
        let (token, declared) = (self.token(token)?, key.map(Into::into).unwrap_or_default());
        // Only the making of a key may be the first thing that this log does with a token.
        self.belongs(&token, matches!(item, Item::GenerateWrappingKey(_)), id)?;
        let audit = self.station.join("audit");
        Ok(Outcome::KeyAct(self.workers.key_act(&token, item, declared, &audit)?))
    }
}
