//! The PIN of one token, from wherever the hierarchy and the command say, and the shares of a new one.

use std::path::Path;

use zeroize::Zeroizing;

use crate::cbor::Bytes;
use crate::config::{Environment, Hierarchy, PinEntry, Token};
use crate::digest::Digest;
use crate::refusal::Refusal;
use crate::secret::Secret;
use crate::text::escape;
use crate::token::ask::TokenFacts;
use crate::token::vendor::{self, Vendor};

use super::custodians::{Brought, Room};
use super::shares::{self, KnownSet, Share, Split};
use super::{Fetched, Pins, age, from_file, from_terminal, in_form, judge};

/// A token whose PIN is wanted.
pub struct Wanted<'a> {
    pub hierarchy: &'a Hierarchy,
    pub station: &'a Path,
    pub token: &'a Token,
    pub facts: &'a TokenFacts,
}

impl Wanted<'_> {
    /// What can be known to be wrong before anybody types anything, and before a try is made.
    pub fn judge(&self, pins: &Pins) -> Result<(), Refusal> {
        let id = &self.token.id;
        let given = pins.given.contains_key(id);
        self.judge_form()?;
        let split = pins.sets.get(id).is_some_and(|sets| sets.iter().any(|known| known.confirmed));
        match self.token.pin {
            PinEntry::Keypad if given => {
                let what = format!("the PIN of token `{id}` is typed at its keypad, and --pin-fd brings one");
                Err(Refusal::no(what, "leave --pin-fd out"))
            }
            PinEntry::Keypad if !self.facts.keypad => {
                // Without the flag a login with no PIN costs a try on some modules.
                let what =
                    format!("token `{id}` says that it has no keypad of its own (CKF_PROTECTED_AUTHENTICATION_PATH)");
                Err(Refusal::no(what, "say in the hierarchy, before `init`: pin = \"prompt\""))
            }
            PinEntry::Shares if given && split => {
                let what = format!("the PIN of token `{id}` is in shares, and --pin-fd brings one");
                Err(Refusal::no(what, "leave --pin-fd out: custodians type their shares"))
            }
            _ => Ok(()),
        }
    }

    /// Where the module's profile knows which form it wants, another one would cost a try.
    fn judge_form(&self) -> Result<(), Refusal> {
        let wanted = match Vendor::by_id(&self.facts.profile).pin_form() {
            None => return Ok(()),
            Some(vendor::PinForm::Plain) => "plain",
            Some(vendor::PinForm::UserPassword) => "user-password",
            Some(vendor::PinForm::KeyIdPassword) => "key-id",
        };
        let (id, form) = (&self.token.id, self.token.pin_form.name());
        match wanted == form || self.token.pin == PinEntry::Keypad {
            true => Ok(()),
            false => {
                let what =
                    format!("the module of token `{id}` wants its PIN as {wanted}, and the hierarchy says {form}");
                Err(Refusal::no(what, format!("say in the hierarchy, before `init`: pin-form = \"{wanted}\"")))
            }
        }
    }

    /// Where one try is left, a person says first that it is to be taken; a PIN that comes by itself may not lock a token.
    pub fn confirm_final_try(&self, pins: &Pins) -> Result<(), Refusal> {
        let (id, file) = (&self.token.id, &self.token.pin_file);
        if !self.facts.pin_final_try {
            return Ok(());
        }
        let by_itself = pins.given.contains_key(id)
            || pins.rooms.contains_key(id)
            || matches!(self.token.pin, PinEntry::Age { .. })
            || (file.is_some() && self.hierarchy.environment == Environment::Rehearsal);
        let hint = "log in once with the vendor's tool, which resets the counter";
        if by_itself {
            return Err(Refusal::no(format!("the next wrong PIN locks token `{id}`"), hint));
        }
        let label = &self.facts.label;
        let typed = from_terminal(&format!(
            "{}\nTo take the last try, type the token's label (not shown), or only Return: ",
            self.about()
        ))?;
        match typed.expose() == label.as_bytes() {
            true => Ok(()),
            false => {
                Err(Refusal::no(format!("the next wrong PIN locks token `{id}`, and nobody said to take it"), hint))
            }
        }
    }

    /// Fetches the PIN.
    pub fn fetch(&self, pins: &mut Pins) -> Result<Fetched, Refusal> {
        self.judge(pins)?;
        let id = &self.token.id;
        if self.token.pin == PinEntry::Shares
            && let Some(sets) = pins.sets.get(id).filter(|sets| !sets.is_empty())
            && let Some(fetched) = self.in_shares(pins.rooms.get_mut(id), sets, pins.given.contains_key(id))?
        {
            return Ok(fetched);
        }
        Ok(Fetched { pin: self.whole(pins)?, set: None })
    }

    /// The PIN joined from shares. `None`: the one from before the split is wanted.
    fn in_shares(&self, room: Option<&mut Room>, sets: &[KnownSet], given: bool) -> Result<Option<Fetched>, Refusal> {
        let rehearsal = self.hierarchy.environment == Environment::Rehearsal;
        let doubtful = sets.iter().all(|known| !known.confirmed);
        let mut terminal;
        let room = match room {
            Some(room) => room,
            // A PIN that is there without asking is the one from before.
            None if doubtful && (given || (rehearsal && self.token.pin_file.is_some())) => return Ok(None),
            None => {
                terminal = Room::terminal()?;
                &mut terminal
            }
        };
        match room.collect(&self.about(), sets)? {
            Brought::Before => Ok(None),
            Brought::Shares(shares) => {
                let set = shares.first().map(|share| Bytes::from(share.set().to_vec()));
                let pin = shares::pin(&shares).ok_or_else(|| Refusal::bug("these shares do not join"))?;
                Ok(Some(Fetched { pin, set }))
            }
        }
    }

    /// The PIN as one.
    fn whole(&self, pins: &mut Pins) -> Result<Secret, Refusal> {
        let what = format!("PIN of token `{}`", self.token.id);
        if let Some(pin) = pins.given.remove(&self.token.id) {
            return in_form(&self.token.pin_form, &what, pin);
        }
        let environment = self.hierarchy.environment;
        let pin = match (&self.token.pin, &self.token.pin_file) {
            (PinEntry::Keypad, _) => {
                eprintln!("{}", self.about());
                eprintln!(
                    "Type the PIN at the token's own keypad now; the token waits for it, and then goes on by itself."
                );
                return Ok(Secret::new(Vec::new()));
            }
            (PinEntry::Age { file, identity }, _) => {
                // The hierarchy has no `pin-age` without the program.
                let program = self.hierarchy.age.as_deref().unwrap_or(Path::new("/nonexistent/age"));
                let identity = identity.as_ref().map(|file| self.station.join(file));
                age::decrypt(program, &self.station.join(file), identity.as_deref(), environment, age::PATIENCE)?
            }
            (_, Some(file)) if environment == Environment::Rehearsal => from_file(&self.station.join(file))?,
            _ => from_terminal(&format!("{}\n{what}: ", self.about()))?,
        };
        in_form(&self.token.pin_form, &what, judge(&what, pin)?)
    }

    /// Draws a new PIN and splits it; nothing is shown or set yet. `random`: 32 octets of the token's. The set, and its shares'
    /// digests by number.
    pub fn split(
        &self,
        pins: &mut Pins,
        random: &[u8],
        shares: u8,
        threshold: u8,
    ) -> Result<(Bytes, Vec<Digest>), Refusal> {
        let id = &self.token.id;
        if self.token.pin != PinEntry::Shares {
            let what = format!("the hierarchy does not say that the PIN of token `{id}` is in shares");
            return Err(Refusal::no(what, "say in the hierarchy, before `init`: pin = \"shares\""));
        }
        // Some tokens report 0, or all ones, and mean that they do not say.
        if (1..shares::PIN as u64).contains(&self.facts.longest_pin) {
            let (most, needed) = (self.facts.longest_pin, shares::PIN);
            let what = format!("token `{id}` takes PINs of at most {most} octets, and one for shares has {needed}");
            return Err(Refusal::no(
                what,
                "a PIN so short cannot be split; keep it in one hand, or in a sealed envelope",
            ));
        }
        let mut system = Zeroizing::new([0; 32]);
        getrandom::fill(system.as_mut_slice()).map_err(|e| Refusal::halt(format!("no random numbers: {e}")))?;
        let split = Split::draw(random, system.as_slice(), shares, threshold).ok_or_else(|| {
            let what = format!("{shares} shares of which {threshold} are needed cannot be made");
            Refusal::no(what, format!("2 to {} shares, of which at least 2 and at most all are needed", shares::MOST))
        })?;
        let made = (Bytes::from(split.set.clone()), split.shares.iter().map(Share::digest).collect());
        pins.split = Some((id.clone(), split));
        Ok(made)
    }

    /// Shows the shares, has each typed back, and joins what was typed: the PIN that is to be set. `known`: what the log says
    /// of them, which must be what was made here.
    pub fn hand_out(&self, pins: &mut Pins, known: &KnownSet) -> Result<Secret, Refusal> {
        let id = &self.token.id;
        let (_, split) =
            pins.split.take().filter(|(token, _)| token == id).ok_or_else(|| Refusal::bug("no PIN was split"))?;
        let recorded = known.shares.iter().map(|share| share.digest);
        let same = known.set == split.set && known.threshold == split.threshold;
        if !same || !recorded.eq(split.shares.iter().map(Share::digest)) {
            return Err(Refusal::bug("the log does not name the shares that were made"));
        }
        let mut terminal;
        let room = match pins.rooms.get_mut(id) {
            Some(room) => room,
            None => {
                terminal = Room::terminal()?;
                &mut terminal
            }
        };
        let typed = room.hand_out(&self.about(), &split, known)?;
        shares::pin(&typed).ok_or_else(|| Refusal::bug("these shares do not join"))
    }

    /// Which token of which station, for whoever types.
    pub(super) fn about(&self) -> String {
        let (facts, hierarchy) = (self.facts, self.hierarchy);
        let tries = match (facts.pin_final_try, facts.pin_count_low) {
            (true, _) => " The next wrong PIN locks it.",
            (_, true) => " A wrong PIN was tried since the last right one.",
            _ => "",
        };
        format!(
            "{} ({}): token `{}`, \"{}\", serial {}.{tries}",
            hierarchy.name,
            hierarchy.environment,
            self.token.id,
            escape(&facts.label),
            escape(&facts.serial)
        )
    }
}
