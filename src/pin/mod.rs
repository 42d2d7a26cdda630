//! Where PINs come from: the terminal, a pipe, a file that `age` decrypts, the token's own keypad, shares. Only a rehearsal reads one in
//! clear from a file.

mod age;
mod custodians;
pub mod shares;
mod terminal;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::cbor::Bytes;
use crate::config::{Environment, Guard, Hierarchy, PinEntry, PinForm, Token};
use crate::digest::Digest;
use crate::refusal::Refusal;
use crate::secret::Secret;
use crate::text::escape;
use crate::token::ask::TokenFacts;
use crate::token::vendor::{self, Vendor};

use custodians::{Brought, Room};
use shares::{KnownSet, Share, Split};
use terminal::Terminal;

/// PKCS #11 leaves the bound to the token; no token takes more.
const MAX_PIN: usize = 255;

/// Where a PIN comes from instead of where the hierarchy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PinSource {
    /// A file descriptor that the gate inherits.
    Fd(u32),
    /// Rehearsals: descriptors with shares, a line for each; `to` is where new ones are written.
    Shares { from: u32, to: Option<u32> },
}

/// The PINs of one run: what was given with the command, what the log says of shares, and a split that was begun.
pub struct Pins {
    given: BTreeMap<String, Secret>,
    rooms: BTreeMap<String, Room>,
    sets: BTreeMap<String, Vec<KnownSet>>,
    split: Option<(String, Split)>,
}

/// A PIN as the module wants it; empty: the token's keypad. `set`: the shares that it was joined from.
pub struct Fetched {
    pub pin: Secret,
    pub set: Option<Bytes>,
}

impl Pins {
    /// Reads the descriptors to their end, before there is any worker or other program: what they start with is inherited, and a
    /// descriptor cannot be closed by its number without `unsafe`; so there must be nothing left in it.
    pub fn read(sources: &BTreeMap<String, PinSource>, hierarchy: &Hierarchy) -> Result<Pins, Refusal> {
        if !sources.is_empty() {
            lock_memory(hierarchy.locked_pages, true)?;
        }
        let (mut given, mut rooms) = (BTreeMap::new(), BTreeMap::new());
        for (token, source) in sources {
            match source {
                PinSource::Fd(fd) => {
                    let pin = from_fd(*fd, hierarchy.environment)?;
                    given.insert(token.clone(), judge(&format!("PIN of token `{}`", escape(token)), pin)?);
                }
                PinSource::Shares { .. } if hierarchy.environment == Environment::Real => {
                    let hint = "at the station custodians type their shares on the terminal";
                    return Err(Refusal::no("--shares-fd and --shares-to belong to rehearsals", hint));
                }
                PinSource::Shares { from, to } => {
                    let open = |fd: u32, write: bool| {
                        let file = File::options().read(!write).write(write).open(format!("/proc/self/fd/{fd}"));
                        file.map_err(|e| {
                            let hint = "open it in the shell: --shares-fd 3 3< FILE";
                            Refusal::no(format!("descriptor {fd} cannot be used for shares: {e}"), hint)
                        })
                    };
                    let room =
                        Room::Descriptors { from: open(*from, false)?, to: to.map(|fd| open(fd, true)).transpose()? };
                    rooms.insert(token.clone(), room);
                }
            }
        }
        Ok(Pins { given, rooms, sets: BTreeMap::new(), split: None })
    }

    /// What the log says of the shares of this token's PIN: the set that is known to count, then one that may.
    pub fn know(&mut self, token: &str, sets: Vec<KnownSet>) {
        self.sets.insert(token.into(), sets);
    }
}

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
    fn about(&self) -> String {
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

/// A PIN that a token is initialised with, in rehearsals only: from its file, or typed.
pub fn for_new_token(what: &str, file: Option<PathBuf>, form: &PinForm) -> Result<Secret, Refusal> {
    let pin = match file {
        Some(file) => from_file(&file)?,
        None => from_terminal(&format!("{what}: "))?,
    };
    in_form(form, what, judge(what, pin)?)
}

fn judge(what: &str, pin: Secret) -> Result<Secret, Refusal> {
    match pin.len() {
        0 => Err(Refusal::no(format!("the {what} is empty"), "type it, or give it through --pin-fd")),
        n if n > MAX_PIN => {
            Err(Refusal::no(format!("the {what} is longer than {MAX_PIN} octets"), "check what --pin-fd delivers"))
        }
        _ => Ok(pin),
    }
}

/// Puts the part that is no secret before the one that is, in a buffer of the exact length: growing one would leave a copy.
fn in_form(form: &PinForm, what: &str, secret: Secret) -> Result<Secret, Refusal> {
    let prefix = form.prefix();
    if prefix.is_empty() {
        return Ok(secret);
    }
    if secret.expose().get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes())) {
        let what = format!("the {what} begins with `{}` already", escape(&prefix));
        let hint = format!("give the password alone: pin-form = \"{}\" puts that before it", form.name());
        return Err(Refusal::no(what, hint));
    }
    let length = prefix.len() + secret.len();
    if length > MAX_PIN {
        return Err(Refusal::no(format!("the {what} is longer than {MAX_PIN} octets"), "check what was typed"));
    }
    let mut joined = Vec::with_capacity(length);
    joined.extend_from_slice(prefix.as_bytes());
    joined.extend_from_slice(secret.expose());
    Ok(Secret::new(joined))
}

/// Keeps every page of this process out of the swap and out of core images, before there is a PIN in one. `quiet`: nobody is
/// warned, since the PIN lies in a file anyway, or will be told later.
pub fn lock_memory(guard: Guard, quiet: bool) -> Result<(), Refusal> {
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE;
    let locked =
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).and_then(|()| mlockall(flags));
    let Err(e) = locked else { return Ok(()) };
    let what = format!("the pages that hold the PIN cannot be kept out of the swap: {e}");
    match guard {
        Guard::Required => Err(Refusal::no(
            what,
            "raise the limit of locked memory (`ulimit -l unlimited`, or LimitMEMLOCK= of the service); or, on a machine \
             without swap, say in the hierarchy, before `init`: [station] locked-pages = \"if-available\"",
        )),
        Guard::IfAvailable => {
            if !quiet {
                eprintln!("coldroot: {what}; a real hierarchy would refuse to go on");
            }
            Ok(())
        }
    }
}

fn from_terminal(prompt: &str) -> Result<Secret, Refusal> {
    let asked = Terminal::open().and_then(|mut terminal| {
        terminal.say(prompt)?;
        // One more than is taken shows that it is too much.
        terminal.hidden(MAX_PIN + 1)
    });
    asked.map_err(|e| cannot_ask("the PIN", &e))
}

fn cannot_ask(what: &str, e: &io::Error) -> Refusal {
    match e.kind() {
        io::ErrorKind::Interrupted => {
            Refusal::no(format!("{what} was not typed"), "nothing was tried; run the same command again")
        }
        _ => Refusal::no(
            format!("cannot ask for {what}: {e}"),
            "run it on a terminal, or give the PIN through a pipe: --pin-fd 3 3< <(command)",
        ),
    }
}

fn from_fd(fd: u32, environment: Environment) -> Result<Secret, Refusal> {
    // The descriptor is reached by its name in /proc, since making one from a number is `unsafe`.
    let path = format!("/proc/self/fd/{fd}");
    let unreadable = |e: io::Error| {
        Refusal::no(
            format!("cannot read the PIN from descriptor {fd}: {e}"),
            "open it in the shell: --pin-fd 3 3< <(command)",
        )
    };
    let kind = std::fs::metadata(&path).map_err(unreadable)?.file_type();
    if environment == Environment::Real && !kind.is_fifo() {
        return Err(Refusal::no(
            format!("descriptor {fd} is not a pipe"),
            "the PIN of a real hierarchy never lies in a file; give it through a pipe or type it",
        ));
    }
    read(File::open(&path).map_err(unreadable)?).map_err(unreadable)
}

fn from_file(path: &Path) -> Result<Secret, Refusal> {
    let unreadable = |e: io::Error| {
        Refusal::no(
            format!("cannot read the PIN file {}: {e}", crate::text::path(path)),
            "the hierarchy's pin-file is relative to the station",
        )
    };
    read(File::open(path).map_err(unreadable)?).map_err(unreadable)
}

/// Reads to the end, as far as a PIN can reach, into one buffer that never moves, so that no copy is left behind.
fn read(mut file: File) -> io::Result<Secret> {
    let mut buffer = Vec::with_capacity(MAX_PIN + 2);
    file.by_ref().take(MAX_PIN as u64 + 1).read_to_end(&mut buffer)?;
    Ok(until_line_end(buffer))
}

/// The first line of what was read, in the same buffer.
fn until_line_end(mut buffer: Vec<u8>) -> Secret {
    let end = buffer.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(buffer.len());
    if let Some(rest) = buffer.get_mut(end..) {
        rest.zeroize();
    }
    buffer.truncate(end);
    Secret::new(buffer)
}

#[cfg(test)]
mod tests;
