//! Where PINs come from. A PIN of a real hierarchy is typed, or comes through a pipe; only a rehearsal reads a file.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::config::{Environment, Guard};
use crate::secret::Secret;

use crate::refusal::Refusal;

/// PKCS #11 leaves the bound to the token; no token takes more.
const MAX_PIN: usize = 255;

/// Where a PIN comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PinSource {
    /// The terminal, without echo.
    Prompt,
    /// A file descriptor that the gate inherits.
    Fd(u32),
}

/// Fetches one PIN. `what` names it in the prompt; `file` is the rehearsal's PIN file.
pub fn fetch(what: &str, source: &PinSource, file: Option<&Path>, environment: Environment) -> Result<Secret, Refusal> {
    let secret = match (source, file) {
        (PinSource::Fd(fd), _) => from_fd(*fd, environment)?,
        (PinSource::Prompt, Some(path)) if environment == Environment::Rehearsal => from_file(path)?,
        (PinSource::Prompt, _) => from_terminal(what)?,
    };
    match secret.len() {
        0 => Err(Refusal::no(format!("the {what} is empty"), "type it, or give it through --pin-fd")),
        n if n > MAX_PIN => {
            Err(Refusal::no(format!("the {what} is longer than {MAX_PIN} octets"), "check what --pin-fd delivers"))
        }
        _ => Ok(secret),
    }
}

/// Keeps every page of this process out of the swap and out of core images, before there is a PIN in one. `on_disk`: the
/// PIN lies in a file anyway, so nobody is warned.
pub fn lock_memory(guard: Guard, on_disk: bool) -> Result<(), Refusal> {
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
            if !on_disk {
                eprintln!("coldroot: {what}; a real hierarchy would refuse to go on");
            }
            Ok(())
        }
    }
}

fn from_terminal(what: &str) -> Result<Secret, Refusal> {
    match rpassword::prompt_password(format!("{what}: ")) {
        Ok(typed) => Ok(Secret::new(typed.into_bytes())),
        Err(e) => Err(Refusal::no(
            format!("cannot ask for the {what}: {e}"),
            "run it on a terminal, or give the PIN through a pipe: --pin-fd 3 3< <(command)",
        )),
    }
}

fn from_fd(fd: u32, environment: Environment) -> Result<Secret, Refusal> {
    // The descriptor is reached by its name in /proc, since making one from a number is `unsafe`.
    let path = format!("/proc/self/fd/{fd}");
    let unreadable = |e: std::io::Error| {
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
    let unreadable = |e: std::io::Error| {
        Refusal::no(
            format!("cannot read the PIN file {}: {e}", crate::text::path(path)),
            "the hierarchy's pin-file is relative to the station",
        )
    };
    read(File::open(path).map_err(unreadable)?).map_err(unreadable)
}

/// Reads up to the first line end into one buffer that never moves, so that no copy is left behind.
fn read(mut file: File) -> std::io::Result<Secret> {
    let mut buffer = Vec::with_capacity(MAX_PIN + 2);
    file.by_ref().take(MAX_PIN as u64 + 1).read_to_end(&mut buffer)?;
    let end = buffer.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(buffer.len());
    if let Some(rest) = buffer.get_mut(end..) {
        rest.zeroize();
    }
    buffer.truncate(end);
    Ok(Secret::new(buffer))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    fn piped(octets: &[u8], environment: Environment) -> Result<Vec<u8>, String> {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(octets).unwrap();
        drop(writer);
        let fd = PinSource::Fd(u32::try_from(reader.as_raw_fd()).unwrap());
        fetch("PIN", &fd, None, environment).map(|pin| pin.expose().to_vec()).map_err(|refusal| refusal.what)
    }

    #[test]
    fn p08_a_pin_comes_through_a_pipe_up_to_its_line_end() {
        for environment in [Environment::Real, Environment::Rehearsal] {
            for octets in [b"1234".as_slice(), b"1234\n", b"1234\r\n", b"1234\nrest\n"] {
                assert_eq!(piped(octets, environment).unwrap(), b"1234");
            }
            assert_eq!(piped(&[b'1'; MAX_PIN], environment).unwrap().len(), MAX_PIN);
            assert_eq!(piped(&[b'1'; MAX_PIN + 1], environment).err().unwrap(), "the PIN is longer than 255 octets");
            assert_eq!(piped(b"", environment).err().unwrap(), "the PIN is empty");
            assert_eq!(piped(b"\n1234", environment).err().unwrap(), "the PIN is empty");
        }
    }

    #[test]
    fn p08_a_real_pin_never_comes_from_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"1234\n").unwrap();
        let fd = || PinSource::Fd(u32::try_from(file.as_raw_fd()).unwrap());
        let refused = fetch("PIN", &fd(), None, Environment::Real).map(|_| ()).unwrap_err();
        assert!(refused.what.ends_with("is not a pipe") && !refused.halted);
        assert_eq!(fetch("PIN", &fd(), None, Environment::Rehearsal).ok().map(|pin| pin.len()), Some(4));
        let from_file = fetch("PIN", &PinSource::Prompt, Some(file.path()), Environment::Rehearsal);
        assert_eq!(from_file.ok().map(|pin| pin.len()), Some(4));
        let closed = fetch("PIN", &PinSource::Fd(4_000_000), None, Environment::Real).map(|_| ()).unwrap_err();
        assert!(closed.what.contains("cannot read the PIN from descriptor 4000000"));
    }
}
