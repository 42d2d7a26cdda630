//! SSH signatures (SSHSIG) of persons and desks, and the quorum.
//!
//! Officers sign the statement with stock `ssh-keygen -Y sign -n coldroot-plan-v1`; anybody can check the same file with
//! `ssh-keygen -Y verify`.

use std::collections::BTreeSet;

use ssh_key::{HashAlg, PublicKey, SshSig};

use crate::config::{Hierarchy, Person, Quorum};
use crate::plan::NAMESPACE;
use crate::text;

/// The largest armored signature that is read.
pub const MAX_SIGNATURE: usize = 8 * 1024;

/// Why signatures do not approve.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("not an SSH signature: {0}")]
    Malformed(String),
    #[error("the signature is for `{found}`, not for `{wanted}`")]
    Namespace { found: String, wanted: String },
    #[error("the signing key {fingerprint} is not in the roster")]
    UnknownKey { fingerprint: String },
    #[error("the signature by {fingerprint} is not over this text")]
    Wrong { fingerprint: String },
    #[error("the FIDO key {fingerprint} signed without its user being present")]
    NotPresent { fingerprint: String },
    #[error("the FIDO key {fingerprint} of `{person}` signed without verifying its user (PIN or fingerprint)")]
    NotVerified { person: String, fingerprint: String },
    #[error("{missing}")]
    Quorum { missing: String },
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Malformed(_) => "give the file that ssh-keygen -Y sign wrote (it ends in .sig)".into(),
            Error::Namespace { wanted, .. } => format!("sign again: ssh-keygen -Y sign -n {wanted} -f KEY FILE"),
            Error::UnknownKey { .. } => "only keys of the hierarchy's roster count; sign with one of those".into(),
            Error::Wrong { .. } => {
                "it was made for another plan, or the statement was changed; sign the statement that lies beside this plan".into()
            }
            Error::NotPresent { .. } => "touch the key when it blinks, and sign again".into(),
            Error::NotVerified { .. } => {
                "sign again with a key that was made with `ssh-keygen -O verify-required`; it asks for the PIN".into()
            }
            Error::Quorum { .. } => "collect the missing approvals with `coldroot approve` and give each with --approval FILE".into(),
        })
    }
}

/// A signature that is good, by a person of the roster. Made only by [`verify_person`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    pub person: String,
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    pub armored: String,
}

/// Approvals that meet a quorum. Made only by [`quorate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorate(Vec<Approval>);

impl Quorate {
    pub fn approvals(&self) -> &[Approval] {
        &self.0
    }
}

/// The bits of a FIDO signature's flags (WebAuthn §6.1): the user touched the key, and the key verified who that was.
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;

/// A signature that is good.
struct Signature {
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    fingerprint: String,
    /// What a FIDO key says of its user; a key in a file says nothing.
    flags: Option<u8>,
}

/// What a signature or a public key says of itself. Nothing of it is verified.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Of a signature; a key has none.
    pub namespace: String,
    /// An OpenSSH public key line.
    pub key: String,
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
}

impl Claim {
    fn of(namespace: &str, key: &PublicKey) -> Option<Claim> {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        Some(Claim { namespace: namespace.into(), key: key.to_openssh().ok()?, fingerprint })
    }
}

/// What an armored signature says of itself.
pub fn claim(armored: &str) -> Result<Claim, Error> {
    let signature = parse(armored)?;
    let key = PublicKey::from(signature.public_key().clone());
    Claim::of(signature.namespace(), &key).ok_or_else(|| Error::Malformed("its key cannot be written".into()))
}

/// An OpenSSH public key line; `None` where it is none.
pub fn public_key(line: &str) -> Option<Claim> {
    Claim::of("", &PublicKey::from_openssh(line).ok()?)
}

/// Verifies that one of `keys` (OpenSSH public key lines) signed `message` under `namespace`; returns its fingerprint.
pub fn verify(namespace: &str, message: &[u8], armored: &str, keys: &[String]) -> Result<String, Error> {
    judge(namespace, message, armored, keys).map(|signature| signature.fingerprint)
}

/// FIDO signatures must carry the user-present flag, which neither the ssh-key crate nor `ssh-keygen -Y verify` asks for
/// (PROTOCOL.u2f).
fn judge(namespace: &str, message: &[u8], armored: &str, keys: &[String]) -> Result<Signature, Error> {
    let signature = parse(armored)?;
    if signature.namespace() != namespace {
        return Err(Error::Namespace { found: text::escape(signature.namespace()), wanted: namespace.into() });
    }
    let signer = PublicKey::from(signature.public_key().clone());
    let fingerprint = signer.fingerprint(HashAlg::Sha256).to_string();
    let known =
        keys.iter().filter_map(|line| PublicKey::from_openssh(line).ok()).any(|k| k.key_data() == signer.key_data());
    if !known {
        return Err(Error::UnknownKey { fingerprint });
    }
    if signer.verify(namespace, message, &signature).is_err() {
        return Err(Error::Wrong { fingerprint });
    }
    let hardware = signer.algorithm().as_str().starts_with("sk-");
    // The FIDO trailer: one octet of flags (bit 0: user present), then a counter of four.
    let octets = signature.signature().as_bytes();
    let flags = octets.len().checked_sub(5).and_then(|at| octets.get(at)).copied().unwrap_or(0);
    if hardware && flags & USER_PRESENT == 0 {
        return Err(Error::NotPresent { fingerprint });
    }
    Ok(Signature { fingerprint, flags: hardware.then_some(flags) })
}

/// Verifies one approval of `statement` against the roster.
pub fn verify_person(statement: &str, armored: &str, persons: &[Person]) -> Result<Approval, Error> {
    let mut unknown = Error::Quorum { missing: "the roster is empty".into() };
    for person in persons {
        match judge(NAMESPACE, statement.as_bytes(), armored, &person.keys) {
            Ok(Signature { fingerprint, flags }) => {
                let person_id = person.id.clone();
                // A key in a file says nothing of its user; `config` lets none stand with a person who must be verified.
                if person.user_verification && flags.is_none_or(|flags| flags & USER_VERIFIED == 0) {
                    return Err(Error::NotVerified { person: person_id, fingerprint });
                }
                return Ok(Approval { person: person_id, fingerprint, armored: armored.into() });
            }
            Err(e @ Error::UnknownKey { .. }) => unknown = e,
            Err(other) => return Err(other),
        }
    }
    Err(unknown)
}

/// Verifies all approvals and counts persons, each once, against the quorum as the roster stood at `at` (seconds since the
/// epoch): `sign_from` of a plan, so that gate, parent and every later check judge the same; the time of a void's entry.
pub fn quorate(
    statement: &str,
    armored: &[String],
    hierarchy: &Hierarchy,
    quorum: &Quorum,
    at: i64,
) -> Result<Quorate, Error> {
    let mut approvals: Vec<Approval> = Vec::new();
    let mut expired: Vec<String> = Vec::new();
    for signature in armored {
        let approval = verify_person(statement, signature, &hierarchy.persons)?;
        match hierarchy.person(&approval.person).and_then(|person| person.expired(at)) {
            Some(since) => expired.push(format!("{} does not count, expired at {}", approval.person, text::utc(since))),
            None if approvals.iter().any(|a| a.person == approval.person) => {}
            None => approvals.push(approval),
        }
    }
    let mut missing = Vec::new();
    for (role, wanted) in quorum {
        let able: BTreeSet<&str> =
            hierarchy.persons.iter().filter(|p| p.roles.contains(role)).map(|p| p.id.as_str()).collect();
        let have: Vec<&str> = approvals.iter().map(|a| a.person.as_str()).filter(|id| able.contains(id)).collect();
        if (have.len() as u64) < u64::from(*wanted) {
            let could: Vec<&str> = hierarchy
                .persons
                .iter()
                .filter(|p| able.contains(p.id.as_str()) && !p.keys.is_empty() && !have.contains(&p.id.as_str()))
                .filter(|p| p.expired(at).is_none())
                .map(|p| p.id.as_str())
                .collect();
            missing.push(format!(
                "{wanted} of role {} must approve; given: {}; could still: {}",
                role.name(),
                listed(&have),
                listed(&could)
            ));
        }
    }
    match missing.is_empty() {
        true => Ok(Quorate(approvals)),
        false => {
            missing.extend(expired);
            Err(Error::Quorum { missing: missing.join("; ") })
        }
    }
}

fn listed(persons: &[&str]) -> String {
    if persons.is_empty() { "none".into() } else { persons.join(", ") }
}

fn parse(armored: &str) -> Result<SshSig, Error> {
    if armored.len() > MAX_SIGNATURE {
        return Err(Error::Malformed(format!("larger than {MAX_SIGNATURE} octets")));
    }
    SshSig::from_pem(armored).map_err(|e| Error::Malformed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    fn key(dir: &Path, name: &str) -> String {
        let path = dir.join(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        std::fs::read_to_string(dir.join(format!("{name}.pub"))).unwrap().trim().to_string()
    }

    fn sign(dir: &Path, name: &str, namespace: &str, text: &str) -> String {
        let file = dir.join(format!("{name}.txt"));
        std::fs::write(&file, text).unwrap();
        let _ = std::fs::remove_file(dir.join(format!("{name}.txt.sig")));
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
            .arg(dir.join(name))
            .arg(&file)
            .output()
            .unwrap();
        assert!(signed.status.success());
        std::fs::read_to_string(dir.join(format!("{name}.txt.sig"))).unwrap()
    }

    fn hierarchy(alice: &str, bob: &str) -> Hierarchy {
        Hierarchy::parse(&format!(
            "format = \"coldroot-hierarchy-v0\"\nname = \"T\"\nenvironment = \"rehearsal\"\norigin = \"example.org/t\"\n\
             [audit]\ntoken = \"main\"\nkey-label = \"audit\"\n\
             [[person]]\nid = \"alice\"\nname = \"Alice\"\nroles = [\"officer\"]\nkeys = [\"{alice}\"]\n\
             [[person]]\nid = \"bob\"\nname = \"Bob\"\nroles = [\"officer\"]\nkeys = [\"{bob}\"]\n\
             [[token]]\nid = \"main\"\nmodule = \"/m\"\nlabel = \"t\"\n"
        ))
        .unwrap()
    }

    #[test]
    fn stock_ssh_keygen_signatures_make_a_quorum_of_persons() {
        let dir = tempfile::tempdir().unwrap();
        let (alice, bob, eve) = (key(dir.path(), "alice"), key(dir.path(), "bob"), key(dir.path(), "eve"));
        assert_ne!(eve, alice);
        let h = hierarchy(&alice, &bob);
        let statement = "coldroot-statement-v0\nplan x\n";
        let a = sign(dir.path(), "alice", NAMESPACE, statement);
        let b = sign(dir.path(), "bob", NAMESPACE, statement);
        let good = quorate(statement, &[a.clone(), b.clone()], &h, &h.quorum_certificates, 0).unwrap();
        assert_eq!(good.approvals().iter().map(|a| a.person.as_str()).collect::<Vec<_>>(), ["alice", "bob"]);

        let twice = quorate(statement, &[a.clone(), a.clone()], &h, &h.quorum_certificates, 0);
        assert!(matches!(twice, Err(Error::Quorum { missing }) if missing.contains("given: alice; could still: bob")));
        let e = sign(dir.path(), "eve", NAMESPACE, statement);
        assert!(matches!(
            quorate(statement, &[a.clone(), e], &h, &h.quorum_certificates, 0),
            Err(Error::UnknownKey { .. })
        ));
        let other = sign(dir.path(), "bob", NAMESPACE, "coldroot-statement-v0\nplan y\n");
        assert!(matches!(
            quorate(statement, &[a.clone(), other], &h, &h.quorum_certificates, 0),
            Err(Error::Wrong { .. })
        ));
        let elsewhere = sign(dir.path(), "bob", "file", statement);
        let wrong = quorate(statement, &[a, elsewhere], &h, &h.quorum_certificates, 0);
        assert!(matches!(wrong, Err(Error::Namespace { found, .. }) if found == "file"));
        assert!(matches!(verify_person(statement, "hello", &h.persons), Err(Error::Malformed(_))));
    }
}
