//! Proofs that leave the log, each a text of its own.
//!
//! That an entry is on record: [C2SP tlog-proof](https://c2sp.org/tlog-proof), whose extra data is the entry itself. That a log
//! continues an earlier checkpoint: what a log sends a witness by [C2SP tlog-witness](https://c2sp.org/tlog-witness).

use data_encoding::BASE64;

use super::entry::{Entry, MAX_ENTRY};
use super::merkle::{self, MAX_PROOF, leaf_hash};
use super::note::{self, Checkpoint, MAX_NOTE, MAX_SIZE, VerifierKey};
use super::{Error as LogError, View};
use crate::cbor;
use crate::digest::Digest;

/// The first line of a proof of inclusion.
pub const MAGIC: &str = "c2sp.org/tlog-proof@v1";
/// The largest proof that is read: an entry in base64, the longest path, the longest note.
pub const MAX_TEXT: u64 = 128 << 10;

/// Why a proof is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is no proof as this program writes it: {0}")]
    Malformed(&'static str),
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] note::Error),
    #[error("its entry: {0}")]
    Entry(#[from] cbor::Error),
    #[error("its hashes do not lead from entry {index} to the checkpoint of {size} entries")]
    Path { index: u64, size: u64 },
    #[error("its hashes do not lead from the older checkpoint of {old} entries to the newer of {new}")]
    NotContinued { old: u64, new: u64 },
    #[error("it begins at {proof} entries, the older checkpoint has {given}")]
    OtherSize { proof: u64, given: u64 },
}

/// A proof that an entry is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    pub index: u64,
    /// Encoded, as the tree has it.
    pub entry: Vec<u8>,
    pub path: Vec<Digest>,
    /// The checkpoint, a signed note.
    pub note: String,
}

impl Inclusion {
    /// Of the entry at `index`, under the log's newest checkpoint.
    ///
    /// # Errors
    /// The entry is not under it yet, or the log is damaged there.
    pub fn of(log: &View, index: u64, entry: Vec<u8>) -> Result<Inclusion, LogError> {
        let size = log.sealed_size();
        let note = log.checkpoint_text().filter(|_| index < size).ok_or(LogError::OutOfRange { index, size })?;
        Ok(Inclusion { index, entry, path: log.inclusion_proof(index, size)?, note: note.into() })
    }

    /// As it is kept in a file.
    pub fn text(&self) -> String {
        let extra = BASE64.encode(&self.entry);
        format!("{MAGIC}\nextra {extra}\nindex {}\n{}\n{}", self.index, hashes(&self.path), self.note)
    }

    /// Reads only what [`Inclusion::text`] writes.
    pub fn parse(text: &str) -> Result<Inclusion, Error> {
        let bad = Error::Malformed;
        let (head, note) = text.split_once("\n\n").ok_or(bad("no empty line"))?;
        let mut lines = head.split('\n');
        let mut after = |word: &'static str| lines.next().and_then(|line| line.strip_prefix(word));
        after(MAGIC).filter(|rest| rest.is_empty()).ok_or(bad("another first line"))?;
        let entry = after("extra ").and_then(|extra| BASE64.decode(extra.as_bytes()).ok()).ok_or(bad("no entry"))?;
        let index = after("index ").and_then(|n| n.parse().ok()).filter(|n| *n < MAX_SIZE).ok_or(bad("no index"))?;
        let path = lines.map(hash).collect::<Option<Vec<_>>>().ok_or(bad("a line that is no hash"))?;
        if path.len() > MAX_PROOF || entry.len() > MAX_ENTRY || note.len() > MAX_NOTE {
            return Err(bad("larger than any"));
        }
        let proof = Inclusion { index, entry, path, note: note.into() };
        if proof.text() == text { Ok(proof) } else { Err(bad("other octets")) }
    }

    /// The checkpoint, verified, and the entry that stands under it.
    pub fn verify(&self, key: &VerifierKey) -> Result<(Checkpoint, Entry), Error> {
        let checkpoint = note::open(&self.note, key)?;
        let (index, size) = (self.index, checkpoint.size);
        match merkle::verify_inclusion(&leaf_hash(&self.entry), index, size, &checkpoint.root, &self.path) {
            true => Ok((checkpoint, Entry::decode(&self.entry)?)),
            false => Err(Error::Path { index, size }),
        }
    }
}

/// A proof that the log under a checkpoint continues the one of `old` entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    pub old: u64,
    pub path: Vec<Digest>,
    pub note: String,
}

impl Continuation {
    /// From a size to the log's newest checkpoint.
    ///
    /// # Errors
    /// `old` is beyond it, or the log is damaged.
    pub fn of(log: &View, old: u64) -> Result<Continuation, LogError> {
        let size = log.sealed_size();
        let note = log.checkpoint_text().filter(|_| old <= size).ok_or(LogError::OutOfRange { index: old, size })?;
        Ok(Continuation { old, path: log.consistency_proof(old, size)?, note: note.into() })
    }

    pub fn text(&self) -> String {
        format!("old {}\n{}\n{}", self.old, hashes(&self.path), self.note)
    }

    /// Reads only what [`Continuation::text`] writes.
    pub fn parse(text: &str) -> Result<Continuation, Error> {
        let bad = Error::Malformed;
        let (head, note) = text.split_once("\n\n").ok_or(bad("no empty line"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(|n| n.parse().ok());
        let old = old.filter(|n| *n < MAX_SIZE).ok_or(bad("no older size"))?;
        let path = lines.map(hash).collect::<Option<Vec<_>>>().ok_or(bad("a line that is no hash"))?;
        if path.len() > MAX_PROOF || note.len() > MAX_NOTE {
            return Err(bad("larger than any"));
        }
        let proof = Continuation { old, path, note: note.into() };
        if proof.text() == text { Ok(proof) } else { Err(bad("other octets")) }
    }

    /// The newer checkpoint, verified to continue `older`, which the reader has verified or believes.
    pub fn verify(&self, key: &VerifierKey, older: (u64, Digest)) -> Result<Checkpoint, Error> {
        let newer = note::open(&self.note, key)?;
        let (old, root) = older;
        if old != self.old {
            return Err(Error::OtherSize { proof: self.old, given: old });
        }
        match merkle::verify_consistency(old, &root, newer.size, &newer.root, &self.path) {
            true => Ok(newer),
            false => Err(Error::NotContinued { old, new: newer.size }),
        }
    }
}

fn hashes(path: &[Digest]) -> String {
    path.iter().map(|hash| BASE64.encode(&hash.0) + "\n").collect()
}

fn hash(line: &str) -> Option<Digest> {
    Some(Digest(BASE64.decode(line.as_bytes()).ok()?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::station::{Signer, scratch, written};

    fn log() -> (tempfile::TempDir, View, VerifierKey) {
        let (dir, mut signer) = (scratch(), Signer::new());
        drop(written(dir.path(), &mut signer, &[3, 7]));
        let view = View::read(&dir.path().join("audit")).unwrap();
        (dir, view, signer.key().clone())
    }

    #[test]
    fn every_entry_is_proven_and_every_changed_octet_of_a_proof_is_refused() {
        let (_dir, log, key) = log();
        for index in 0..log.sealed_size() {
            let (_, entry, octets) = log.entries(index..index + 1).next().unwrap().unwrap();
            let text = Inclusion::of(&log, index, octets).unwrap().text();
            let proof = Inclusion::parse(&text).unwrap();
            let (checkpoint, proven) = proof.verify(&key).unwrap();
            assert_eq!((checkpoint.size, proven), (log.sealed_size(), entry));
            for at in 0..text.len() {
                let mut octets = text.clone().into_bytes();
                octets[at] ^= 1;
                let Ok(changed) = String::from_utf8(octets) else { continue };
                let judged = Inclusion::parse(&changed).and_then(|proof| proof.verify(&key));
                assert!(judged.is_err(), "octet {at} of {text}");
            }
            // A path of another length, another place, another entry.
            let mut others = vec![proof.clone(); 4];
            others[0].path.push(Digest([0; 32]));
            others[1].path.pop();
            others[2].index = (index + 1) % log.sealed_size();
            others[3].entry.push(0);
            assert!(others.iter().all(|other| matches!(other.verify(&key), Err(Error::Path { .. }))), "{index}");
        }
        assert!(matches!(Inclusion::of(&log, log.sealed_size(), vec![]), Err(LogError::OutOfRange { .. })));
    }

    #[test]
    fn a_continuation_is_proven_from_every_size_and_from_no_other_root() {
        let (_dir, log, key) = log();
        for old in 0..=log.sealed_size() {
            let text = Continuation::of(&log, old).unwrap().text();
            let proof = Continuation::parse(&text).unwrap();
            let root = log.root_at(old).unwrap();
            assert_eq!(proof.verify(&key, (old, root)).unwrap().size, log.sealed_size());
            if old > 0 {
                let other = proof.verify(&key, (old, Digest([5; 32])));
                assert!(matches!(other, Err(Error::NotContinued { .. })), "{old}");
            }
            let other = proof.verify(&key, (old + 1, root));
            assert!(matches!(other, Err(Error::OtherSize { .. })), "{old}");
            for at in 0..text.len() {
                let mut octets = text.clone().into_bytes();
                octets[at] ^= 1;
                let Ok(changed) = String::from_utf8(octets) else { continue };
                let judged = Continuation::parse(&changed).and_then(|proof| proof.verify(&key, (old, root)));
                assert!(judged.is_err(), "octet {at} of {text}");
            }
        }
    }
}
