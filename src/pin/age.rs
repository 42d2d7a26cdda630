//! A PIN in a file that `age` decrypts: the program asks for its passphrase on the terminal itself, or speaks with a token
//! through a plugin, and what it prints goes from the pipe straight into one buffer.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use super::{MAX_PIN, until_line_end};
use crate::config::Environment;
use crate::refusal::Refusal;
use crate::secret::Secret;
use crate::text;

/// Somebody looks for a passphrase, or touches a token.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);
/// So much of what `age` says is kept, in octets.
const MOST_SAID: usize = 4 << 10;
/// An identity file is a few lines.
const MOST_IDENTITY: u64 = 64 << 10;

/// What `program` makes of `file`.
pub(super) fn decrypt(
    program: &Path,
    file: &Path,
    identity: Option<&Path>,
    environment: Environment,
    patience: Duration,
) -> Result<Secret, Refusal> {
    let shown = text::path(file);
    let failed = |what: String| {
        let hint = "try `age -d` on the file by hand; nothing was tried on the token";
        Refusal::no(format!("age did not decrypt {shown}: {what}"), hint)
    };
    if !file.is_file() {
        return Err(failed("there is no such file".into()));
    }
    if let Some(identity) = identity.filter(|_| environment == Environment::Real) {
        must_be_closed(identity)?;
    }
    let mut command = Command::new(program);
    command.arg("-d");
    if let Some(identity) = identity {
        command.arg("-i").arg(identity);
    }
    // Plugins (`age-plugin-…`) are found through PATH, and only beside the declared program. Nothing else of the environment
    // is passed on; the passphrase is asked for on /dev/tty.
    let beside = program.parent().unwrap_or(Path::new("/"));
    let started = command
        .arg(file)
        .env_clear()
        .env("PATH", beside)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|e| {
        let what = format!("cannot start {}: {e}", text::path(program));
        Refusal::no(what, "see to `age` of [programs] in hierarchy.toml")
    })?;
    let read = read_out(&mut child, Instant::now() + patience);
    if read.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|e| failed(e.to_string()))?;
    match read {
        Err(e) if e.kind() == io::ErrorKind::TimedOut => {
            Err(failed(format!("it did not end within {} s", patience.as_secs())))
        }
        Err(e) => Err(failed(e.to_string())),
        Ok((_, said)) if !status.success() => {
            let said = String::from_utf8_lossy(&said);
            let line = said.lines().find(|line| !line.trim().is_empty()).map_or("it says nothing".into(), text::escape);
            Err(failed(format!("{line} ({status})")))
        }
        Ok((octets, _)) => Ok(octets),
    }
}

/// An identity that lies beside the file in clear is the PIN in clear. One that a passphrase protects, or that a plugin's token
/// completes, is not.
fn must_be_closed(identity: &Path) -> Result<(), Refusal> {
    let shown = text::path(identity);
    let mut octets = Zeroizing::new(Vec::with_capacity(MOST_IDENTITY as usize));
    File::open(identity)
        .and_then(|file| file.take(MOST_IDENTITY).read_to_end(&mut octets))
        .map_err(|e| Refusal::no(format!("the identity {shown} cannot be read: {e}"), "see to `pin-age-identity`"))?;
    const CLEAR: &[u8] = b"AGE-SECRET-KEY-";
    if octets.windows(CLEAR.len()).any(|window| window.eq_ignore_ascii_case(CLEAR)) {
        let hint = "encrypt it with a passphrase (`age -p`), or use an age plugin's, which needs its token";
        return Err(Refusal::no(
            format!("the identity {shown} is a secret key in clear, and with it the PIN is"),
            hint,
        ));
    }
    Ok(())
}

/// Both streams to their end, so that the program never waits for a reader.
fn read_out(child: &mut Child, until: Instant) -> io::Result<(Secret, Vec<u8>)> {
    let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("it has no pipes"));
    };
    // One octet more than the longest PIN and its line end shows that there is too much.
    let mut pin = Zeroizing::new(vec![0; MAX_PIN + 3]);
    let (mut length, mut said, mut open) = (0, Vec::with_capacity(MOST_SAID), [true, true]);
    while open[0] || open[1] {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let wait = Timespec::try_from(left).map_err(io::Error::other)?;
        let flags = |open: bool| if open { PollFlags::IN } else { PollFlags::empty() };
        let mut ready = [PollFd::new(&out, flags(open[0])), PollFd::new(&err, flags(open[1]))];
        match poll(&mut ready, Some(&wait)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        let [has_out, has_err] = ready.map(|fd| !fd.revents().is_empty());
        if open[0] && has_out {
            // The window is empty only when the PIN is too long already.
            let window = pin.get_mut(length..).filter(|w| !w.is_empty());
            let read =
                out.read(window.ok_or_else(|| io::Error::other(format!("it holds more than {MAX_PIN} octets")))?)?;
            open[0] = read > 0;
            length += read;
        }
        if open[1] && has_err {
            let mut part = [0; 1024];
            let read = err.read(&mut part)?;
            open[1] = read > 0;
            let room = MOST_SAID.saturating_sub(said.len());
            said.extend(part.iter().take(read.min(room)));
        }
    }
    pin.truncate(length);
    Ok((until_line_end(std::mem::take(&mut *pin)), said))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A program that stands in for `age`: a script. Another process writes the file that will be executed: a test beside this
    /// one may start a program at any moment, which would inherit the descriptor and keep it busy.
    fn script(dir: &Path, body: &str) -> PathBuf {
        let (text, path) = (dir.join("text"), dir.join("age"));
        fs::write(&text, format!("#!/bin/sh\n{body}\n")).unwrap();
        let made = Command::new("install").args(["-m", "755"]).args([&text, &path]).status().unwrap();
        assert!(made.success());
        path
    }

    fn run(body: &str, patience: u64) -> Result<Vec<u8>, String> {
        let dir = tempfile::tempdir().unwrap();
        let (program, file) = (script(dir.path(), body), dir.path().join("pin.age"));
        fs::write(&file, "x").unwrap();
        let made = decrypt(&program, &file, None, Environment::Real, Duration::from_secs(patience));
        made.map(|pin| pin.expose().to_vec()).map_err(|refusal| {
            assert!(!refusal.halted && refusal.hint.is_some());
            refusal.what
        })
    }

    #[test]
    fn p08_what_age_prints_is_the_pin_and_how_it_ends_is_judged() {
        assert_eq!(run("echo 1234; echo rest", 60).unwrap(), b"1234");
        assert_eq!(run("printf 1234", 60).unwrap(), b"1234");
        assert_eq!(run("/usr/bin/head -c 255 /dev/zero | /usr/bin/tr '\\0' x; echo", 60).unwrap().len(), 255);
        assert!(run("/usr/bin/head -c 100000 /dev/zero", 60).unwrap_err().contains("more than 255 octets"));
        let wrong = run("echo 1234; printf 'age: error: \\033[2Jno\\n' >&2; exit 1", 60).unwrap_err();
        assert!(wrong.ends_with("age: error: \\u{1b}[2Jno (exit status: 1)"), "{wrong}");
        assert!(!wrong.contains("1234"));
        assert!(run("kill -9 $$", 60).unwrap_err().contains("it says nothing (signal: 9"));
        // A lot on its other stream neither stops it nor is kept.
        assert_eq!(run("/usr/bin/head -c 1000000 /dev/zero >&2; echo 1234", 60).unwrap(), b"1234");
    }

    #[test]
    fn p08_age_is_given_no_environment_no_input_and_no_more_than_its_time() {
        assert_eq!(run("echo $HOME$USER$LANG-$(/bin/cat)-$#-$1", 60).unwrap(), b"--2--d");
        assert!(run("exec /bin/sleep 60", 1).unwrap_err().contains("did not end within 1 s"));
    }

    #[test]
    fn p08_a_real_pin_is_not_opened_by_an_identity_in_clear() {
        let dir = tempfile::tempdir().unwrap();
        let (program, file, identity) =
            (script(dir.path(), "echo $3"), dir.path().join("pin.age"), dir.path().join("id.txt"));
        fs::write(&file, "x").unwrap();
        fs::write(&identity, "# made\nAGE-SECRET-KEY-1QQQQ\n").unwrap();
        let tried = |environment| decrypt(&program, &file, Some(&identity), environment, PATIENCE);
        let refused = tried(Environment::Real).map(|_| ()).unwrap_err();
        assert!(refused.what.contains("secret key in clear"), "{}", refused.what);
        assert_eq!(tried(Environment::Rehearsal).ok().unwrap().expose(), identity.to_str().unwrap().as_bytes());
        fs::write(&identity, "AGE-PLUGIN-YUBIKEY-1QQQQ\n").unwrap();
        assert!(tried(Environment::Real).is_ok());
        let missing = decrypt(&program, &dir.path().join("none"), None, Environment::Real, PATIENCE).map(|_| ());
        assert!(missing.unwrap_err().what.ends_with("there is no such file"));
    }
}
