//! Where PINs come from: the terminal, a pipe, a file that `age` decrypts, the token's own keypad, shares. Only a rehearsal reads one in
//! clear from a file.

mod age;
mod custodians;
mod minutes;
pub mod shares;
mod terminal;
mod wanted;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::cbor::Bytes;
use crate::config::{Environment, Guard, Hierarchy, PinForm};
use crate::refusal::Refusal;
use crate::secret::Secret;
use crate::text::escape;

use custodians::Room;
use shares::{KnownSet, Split};
use terminal::Terminal;

pub use minutes::{Minutes, Newest};
pub use wanted::Wanted;

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
