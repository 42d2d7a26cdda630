//! A station for tests: an audit key in memory, entries, logs.

use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::entry::{Body, Entry, Genesis};
use super::merkle::{empty_root, verify_consistency};
use super::note::{VerifierKey, assemble, checkpoint_text};
use super::{Log, Sealer};
use crate::digest::Digest;

pub(crate) const HIERARCHY: &[u8] = b"[hierarchy]\n";

/// A signer as strict as the gate: it signs only what continues what it signed last.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    key: VerifierKey,
    /// The mark: as in the token, it outlives the process.
    pub sealed: (u64, Digest),
    /// Give a wrong signature; a checkpoint of another size; fail.
    pub wrong: bool,
    pub short: bool,
    pub fail_sign: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the signer refuses: {0}")]
pub(crate) struct Refusal(&'static str);

impl Signer {
    pub(crate) fn new() -> Signer {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[42; 32]).unwrap();
        let key = VerifierKey::new("example.org/rehearsal", pair.public_key().as_ref().try_into().unwrap()).unwrap();
        let none = (0, empty_root());
        Signer { pair, key, sealed: none, wrong: false, short: false, fail_sign: false }
    }

    pub(crate) fn key(&self) -> &VerifierKey {
        &self.key
    }

    pub(crate) fn origin(&self) -> &str {
        self.key.name()
    }
}

impl Sealer for Signer {
    type Error = Refusal;

    fn sealed(&self) -> (u64, Digest) {
        self.sealed
    }

    fn sign_checkpoint(&mut self, size: u64, root: Digest, consistency: &[Digest]) -> Result<String, Refusal> {
        if self.fail_sign {
            return Err(Refusal("told to"));
        }
        let (old, old_root) = self.sealed;
        if !verify_consistency(old, &old_root, size, &root, consistency) {
            return Err(Refusal("not a continuation"));
        }
        let text = checkpoint_text(self.origin(), size - u64::from(self.short), &root);
        let signed = if self.wrong { text.to_uppercase() } else { text.clone() };
        if !self.wrong && !self.short {
            self.sealed = (size, root);
        }
        Ok(assemble(&text, &self.key, self.pair.sign(signed.as_bytes()).as_ref()))
    }
}

pub(crate) fn genesis(signer: &Signer) -> Entry {
    let genesis = Genesis {
        origin: signer.origin().to_string(),
        name: "Example".into(),
        environment: crate::config::Environment::Rehearsal,
        hierarchy: Digest::of(HIERARCHY),
        verifier_key: signer.key().to_string(),
        approvals: vec![],
        requesters: Digest::of(HIERARCHY),
        program: "0.1.0".into(),
    };
    Entry::new(1_795_305_600, Body::Genesis(genesis))
}

/// An entry that has its index in it.
pub(crate) fn entry(index: u64) -> Entry {
    let what = format!("entry {index} {}", "x".repeat((index % 7) as usize * 30));
    Entry::new(1_795_305_600 + index as i64, Body::Failure { what })
}

/// A temporary directory in memory where there is one: tests that flush thousands of times need no disk for it.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A log in `dir/audit` with a checkpoint at each of `sizes`.
pub(crate) fn written(dir: &Path, signer: &mut Signer, sizes: &[u64]) -> Log {
    let mut log = Log::create(&dir.join("audit"), signer.origin()).unwrap();
    log.put_artefact(HIERARCHY).unwrap();
    log.append(&genesis(signer)).unwrap();
    for size in sizes {
        for index in log.size()..*size {
            log.append(&entry(index)).unwrap();
        }
        log.checkpoint(signer).unwrap();
    }
    log
}
