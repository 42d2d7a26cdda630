//! A PIN that is split among custodians. What is shown and typed stands in `pin`; here is what the token and the log must say.

use crate::audit::entry::{Body, PinSplit};
use crate::pin::{Wanted, shares::KnownSet, shares::KnownShare};
use crate::refusal::Refusal;

use super::judge::included;
use super::message::{Proven, Reply};
use super::server::Gate;

impl Gate {
    pub(super) fn split_pin(&mut self, id: &str, shares: u8, threshold: u8) -> Result<Reply, Refusal> {
        let token = self.token(id)?;
        self.need_login(id)?;
        self.marked()?;
        self.belongs(&token, true, &[])?;
        let facts = self.workers.open(&token)?;
        let random = self.workers.random(&token, 32)?;
        let wanted = Wanted { hierarchy: &self.hierarchy, station: &self.station, token: &token, facts: &facts };
        let (set, shares) = wanted.split(&mut self.pins, &random, shares, threshold)?;
        Ok(Reply::Split { set, shares })
    }

    /// The shares are on record, under the mark, before anybody sees them, and all of them are typed back before the token
    /// hears of the new PIN: so there is no moment at which nobody has the PIN that the token has.
    pub(super) fn hand_out(&mut self, split: &Proven) -> Result<Reply, Refusal> {
        let mark = self.marked()?;
        let Body::PinSplit(PinSplit { token, set, threshold, shares }) =
            included(&mark, &split.entry, split.index, &split.inclusion)?.body
        else {
            return Err(Refusal::bug("the entry is not that of a split"));
        };
        self.need_login(&token)?;
        let token = self.token(&token)?;
        let facts = self.workers.open(&token)?;
        let shares = shares.into_iter().map(|s| KnownShare { custodian: s.custodian, digest: s.digest }).collect();
        let known = KnownSet { set, threshold, shares, confirmed: false };
        let wanted = Wanted { hierarchy: &self.hierarchy, station: &self.station, token: &token, facts: &facts };
        let pin = wanted.hand_out(&mut self.pins, &known)?;
        self.workers.set_pin(&token, pin)?;
        Ok(Reply::PinSet)
    }
}
