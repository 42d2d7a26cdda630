//! The desk's signature, by the stock `ssh-keygen`: keys in files, in an agent and on FIDO tokens all work alike.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use ssh_key::{HashAlg, PublicKey, SshSig};

use super::Error;
use crate::bundle::{NAMESPACE, limits};
use crate::config::Desk;

/// What ssh-keygen says of itself when nothing is wrong.
const NOISE: &str = "Signing data on standard input";
/// As much of its messages as an error keeps.
const SAID: usize = 2_000;

/// Looks at the key before any work is done: that it is there, and that ssh-keygen will not find it too open.
pub fn check_key(key: &Path) -> Result<(), Error> {
    let meta = std::fs::metadata(key).map_err(|cause| Error::Read { path: key.to_path_buf(), cause })?;
    let public = key.extension().is_some_and(|e| e == "pub");
    match meta.mode() & 0o7777 {
        mode if !public && mode & 0o077 != 0 => Err(Error::KeyMode { path: key.to_path_buf(), mode }),
        _ => Ok(()),
    }
}

/// Has the head signed. ssh-keygen asks for a passphrase on the terminal by itself; what it says meanwhile ("Confirm
/// user presence") goes on to stderr.
pub fn sign(key: &Path, head: &[u8]) -> Result<String, Error> {
    check_key(key)?;
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::NoSshKeygen,
            _ => Error::RunSshKeygen(e),
        })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let messages = std::thread::spawn(move || stderr.map(pass_on).unwrap_or_default());
    // A head that could not be written is a signer that has gone: its exit status and its words tell why.
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(head);
    }
    let mut armor = Vec::new();
    if let Some(stdout) = stdout {
        stdout.take(limits::SIGNATURE).read_to_end(&mut armor).map_err(Error::RunSshKeygen)?;
    }
    let status = child.wait().map_err(Error::RunSshKeygen)?;
    let said = messages.join().unwrap_or_default();
    if !status.success() {
        return Err(Error::NotSigned { key: key.to_path_buf(), said });
    }
    String::from_utf8(armor).map_err(|_| Error::Armor("it is not text".into()))
}

/// Passes the lines of ssh-keygen on as they come, and keeps the last of them.
fn pass_on(stderr: impl Read) -> String {
    let mut said = String::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok).filter(|line| line != NOISE) {
        let _ = writeln!(std::io::stderr(), "{}", crate::text::escape(&line));
        if said.len() + line.len() < SAID {
            said.push_str(if said.is_empty() { "" } else { "; " });
            said.push_str(line.trim());
        }
    }
    said
}

/// Verifies the fresh signature as the station will, so that a bundle nobody accepts is never written. Gives the
/// fingerprint of the key that signed.
pub fn verify(desk: &Desk, key: &Path, head: &[u8], armor: &str) -> Result<String, Error> {
    let signature = SshSig::from_pem(armor).map_err(|e| Error::Armor(e.to_string()))?;
    let signer = PublicKey::from(signature.public_key().clone());
    let fingerprint = signer.fingerprint(HashAlg::Sha256).to_string();
    let ours = |line: &String| PublicKey::from_openssh(line).is_ok_and(|key| key.key_data() == signer.key_data());
    if !desk.keys.iter().any(ours) {
        return Err(Error::NotTheDesksKey { key: key.to_path_buf(), fingerprint, desk: desk.id.clone() });
    }
    match signer.verify(NAMESPACE, head, &signature) {
        Ok(()) => Ok(fingerprint),
        Err(cause) => Err(Error::BadSignature { fingerprint, cause }),
    }
}
