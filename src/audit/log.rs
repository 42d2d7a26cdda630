//! The log open for writing, and the order of its writes.

mod recovery;

use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::entry::{Body, Entry};
use super::note::{self, VerifierKey};
use super::tail::{Header, Tail};
use super::{Error, View, artefact, copy, durable, merkle};
use crate::digest::Digest;
use recovery::{recover, rotate, tail_of, write_tiles};

/// Who signs checkpoints and remembers the last one: the gate, with the audit key and the mark in the token.
pub trait Sealer {
    type Error: std::error::Error + Send + Sync + 'static;
    /// Size and root that this signer has marked, in the token; size 0: none, and no proof is needed.
    fn sealed(&self) -> (u64, Digest);
    /// Verifies the consistency proof from [`Sealer::sealed`], marks (size, root), then gives the signed note over (origin,
    /// size, root): no checkpoint is ever signed that the mark does not know.
    fn sign_checkpoint(&mut self, size: u64, root: Digest, consistency: &[Digest]) -> Result<String, Self::Error>;
}

/// A log, locked against other writers as long as this value lives.
pub struct Log {
    view: View,
    _lock: Lock,
    /// Where the copy lies, and what became of it, not on record yet.
    copy: Option<PathBuf>,
    copied: Option<Body>,
    /// A write failed, so what is on disk is known only to a new [`Log::open`].
    stopped: bool,
}

/// Reading is the same whether a log is open for writing or not, so a `Log` is read as the [`View`] it holds.
impl Deref for Log {
    type Target = View;
    fn deref(&self) -> &View {
        &self.view
    }
}

impl Log {
    /// Begins a log in `dir`, whose parent exists. Refused where a log is.
    ///
    /// The empty tail, written last and atomically, is what makes a directory a log: a creation that was stopped before is
    /// simply made again.
    pub fn create(dir: &Path, origin: &str) -> Result<Log, Error> {
        if !note::valid_origin(origin) {
            return Err(Error::BadOrigin(origin.to_string()));
        }
        let parent = dir.parent().unwrap_or(dir);
        durable::make_dirs(parent, dir)?;
        let lock = lock(dir)?;
        if ["tail", "checkpoint", "tile"].iter().any(|name| dir.join(name).exists()) {
            return Err(Error::Exists(dir.to_path_buf()));
        }
        let header = Header { base: 0, root: merkle::empty_root(), origin: origin.to_string() };
        Tail::create(&dir.join("tail"), &header, &[])?;
        drop(lock);
        Log::open(dir)
    }

    /// Opens a log for writing and brings it, after any stop, to where [`Log::checkpoint`] would have left it. Needs no
    /// login. [`View::cut`] tells how many octets of an unfinished record were removed.
    pub fn open(dir: &Path) -> Result<Log, Error> {
        if !dir.is_dir() {
            return Err(Error::NotALog(dir.to_path_buf()));
        }
        let lock = lock(dir)?;
        let view = recover(dir)?;
        Ok(Log { view, _lock: lock, copy: None, copied: None, stopped: false })
    }

    /// Keeps writers away from a directory, and changes nothing in it.
    pub fn lock(dir: &Path) -> Result<Lock, Error> {
        lock(dir)
    }

    /// Opens a log, or a published copy of one, for reading only: no lock, nothing is written, nothing is recovered.
    pub fn read(dir: &Path) -> Result<View, Error> {
        View::read(dir)
    }

    /// Adds an entry and gives its index. It is durable after [`Log::sync`] or [`Log::checkpoint`], not before.
    pub fn append(&mut self, entry: &Entry) -> Result<u64, Error> {
        self.running()?;
        let in_place = match &entry.body {
            Body::Genesis(genesis) => self.view.size() == 0 && genesis.origin == self.view.origin,
            _ => self.view.size() > 0,
        };
        if !in_place {
            return Err(Error::Genesis);
        }
        let bytes = entry.encode().map_err(Error::Encode)?;
        self.guarded(|view| tail_of(view)?.append(&bytes))
    }

    /// Returns when every entry added so far is on the disk.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.running()?;
        self.guarded(|view| tail_of(view)?.sync())
    }

    /// Writes an artefact, durably; one that is there already is left alone.
    pub fn put_artefact(&mut self, bytes: &[u8]) -> Result<Digest, Error> {
        self.put_artefact_from(&mut &*bytes)
    }

    /// Writes an artefact of any size as it is read, durably.
    pub fn put_artefact_from(&mut self, from: &mut impl Read) -> Result<Digest, Error> {
        self.running()?;
        artefact::put(&self.view.dir, from)
    }

    /// Seals every entry under a signed checkpoint. The order of writes is the design; recovery ([`Log::open`]) walks the
    /// same steps. What is on disk after a stop *behind* each line:
    ///
    /// ```text
    /// 1 tail flushed        every entry is durable, unsealed. Opening finds them in the tail; nothing else changed.
    /// 2 signer marks, signs as 1. The mark may know a size that no checkpoint here shows; the tail holds those entries, for
    ///                       they were flushed before the signer was asked, so the mark is never ahead of the disk. The next
    ///                       checkpoint grows from there.
    /// 3 tiles written       tiles wider than the checkpoint. They hold flushed entries only, so the next checkpoint finds
    ///                       them equal to what it would write, and skips them.
    /// 4 checkpoint renamed  the new state, whole; the tail repeats entries that the tiles hold. Opening compares the two,
    ///                       writes again what tiles are missing, and goes on at 5.
    /// 5 tail rotated        the new state, whole.
    /// 6 old edges removed   partial tiles whose full tile is there; what is left of them disturbs nobody.
    /// ```
    pub fn checkpoint<S: Sealer>(&mut self, sealer: &mut S) -> Result<String, Error> {
        self.sync()?; // 1
        let size = self.view.size();
        if size == 0 {
            return Err(Error::Empty);
        }
        let root = self.view.root()?;
        let proof = self.proof_since(sealer.sealed())?;
        let note = sealer.sign_checkpoint(size, root, &proof).map_err(|e| Error::Sealer(Box::new(e)))?; // 2
        let key = VerifierKey::parse(&self.view.genesis()?.verifier_key)?;
        // Not the stored checkpoint is at fault, but the answer.
        let checkpoint = note::open(&note, &key).map_err(|_| Error::SealerAnswer { size })?;
        if (checkpoint.size, checkpoint.root) != (size, root) || checkpoint.origin != self.view.origin {
            return Err(Error::SealerAnswer { size });
        }
        self.guarded(|view| {
            let old = view.sealed;
            write_tiles(view, size)?; // 3
            if view.checkpoint_text() != Some(&note) {
                durable::replace(&view.dir.join("checkpoint"), note.as_bytes())?; // 4
            }
            view.sealed = size;
            view.checkpoint = Some((checkpoint, note.clone()));
            rotate(view)?; // 5
            view.tiles.prune(old, size) // 6
        })?;
        Ok(note)
    }

    /// From now on the log's copy lies in `dir`, if it could be brought up to the log at once.
    pub fn keep_copy(&mut self, dir: &Path) -> Result<(), copy::Error> {
        self.copy = Some(dir.to_path_buf());
        self.bring_copy_over().inspect_err(|_| self.copy = None)
    }

    /// Brings the copy, if there is one, up to the log. What came of it goes on record later ([`Log::note_copy`]): behind a
    /// checkpoint just made, an entry would stand between the log and its mark.
    pub fn bring_copy_over(&mut self) -> Result<(), copy::Error> {
        let Some(dir) = self.copy.clone() else { return Ok(()) };
        let target = dir.to_string_lossy().into_owned();
        self.sync()?;
        let done = copy::bring_over(&dir, &self.view);
        self.copied = Some(match &done {
            Ok(copied) => Body::CopyWritten { target, size: copied.size, root: copied.root },
            Err(e) => Body::Failure { what: format!("the log's copy: {e}").chars().take(2_000).collect() },
        });
        done.map(drop)
    }

    /// Puts on record what became of the copy since this was last done.
    pub fn note_copy(&mut self) -> Result<(), Error> {
        let (Some(body), Some(last)) = (self.copied.take(), self.view.size().checked_sub(1)) else { return Ok(()) };
        let time = self.view.entry(last)?.time;
        self.append(&Entry::new(time, body)).map(drop)
    }

    /// Checks what the signer remembers against this log, and proves the log to be its continuation.
    fn proof_since(&self, (sealed, root): (u64, Digest)) -> Result<Vec<Digest>, Error> {
        let size = self.view.size();
        if sealed > size {
            return Err(Error::Behind { size, sealed });
        }
        if sealed > 0 && self.view.root_at(sealed)? != root {
            return Err(Error::Fork { size: sealed });
        }
        self.view.consistency_proof(sealed, size)
    }

    fn running(&self) -> Result<(), Error> {
        match self.stopped {
            true => Err(Error::Stopped),
            false => Ok(()),
        }
    }

    /// Runs a step that changes the disk. When it fails, memory and disk may disagree, and a failed flush may not be
    /// tried again (the kernel may have dropped the pages): only a new open tells.
    fn guarded<T>(&mut self, step: impl FnOnce(&mut View) -> Result<T, Error>) -> Result<T, Error> {
        let done = step(&mut self.view);
        self.stopped = done.is_err();
        done
    }
}

/// One writer at a time, as long as this value, or at most its process, lives.
pub struct Lock(File);

impl Drop for Lock {
    /// Unlocked by name, not by closing: a child that another thread is just starting holds a copy of the descriptor until
    /// it executes its program, and would keep the lock that long. The end of the file's life would unlock it anyway.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

fn lock(dir: &Path) -> Result<Lock, Error> {
    let file = File::open(dir).map_err(Error::io(dir))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Locked(dir.to_path_buf())),
        Err(e) => Err(Error::io(dir)(e.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::station::{Signer, entry, genesis, scratch, written};
    use super::*;
    use crate::audit::entry::MAX_ENTRY;

    #[test]
    fn a_log_is_created_once_locked_and_opened_again() {
        let dir = scratch();
        let audit = dir.path().join("audit");
        assert!(matches!(Log::open(&audit), Err(Error::NotALog(_))));
        assert!(matches!(Log::read(&audit), Err(Error::NotALog(_))));
        assert!(matches!(Log::create(&audit, "with space"), Err(Error::BadOrigin(_))));
        let signer = Signer::new();
        let mut log = Log::create(&audit, signer.origin()).unwrap();
        assert!(matches!(Log::open(&audit), Err(Error::Locked(_))));
        assert!(matches!(log.append(&entry(1)), Err(Error::Genesis)));
        assert_eq!(log.append(&genesis(&signer)).unwrap(), 0);
        assert!(matches!(log.append(&genesis(&signer)), Err(Error::Genesis)));
        log.sync().unwrap();
        drop(log);
        assert!(matches!(Log::create(&audit, signer.origin()), Err(Error::Exists(_))));
        let log = Log::open(&audit).unwrap();
        assert_eq!((log.size(), log.sealed_size(), log.checkpoint_text()), (1, 0, None));
        assert_eq!(log.genesis().unwrap().origin, signer.origin());
    }

    #[test]
    fn checkpoints_proofs_and_entries_across_tiles_and_tail() {
        let dir = scratch();
        let mut signer = Signer::new();
        let mut log = written(dir.path(), &mut signer, &[1, 3, 256, 300, 600]);
        for index in 600..620 {
            log.append(&entry(index)).unwrap();
        }
        assert_eq!((log.size(), log.sealed_size()), (620, 600));
        let all: Vec<_> = log.entries(0..u64::MAX).collect::<Result<_, _>>().unwrap();
        assert_eq!(all.len(), 620);
        assert!(all.iter().skip(1).all(|(index, e, bytes)| *e == entry(*index) && e.encode().unwrap() == *bytes));
        let middle: Vec<u64> = log.entries(250..610).map(|e| e.unwrap().0).collect();
        assert!(middle.into_iter().eq(250..610));
        let leaves: Vec<Digest> = all.iter().map(|(_, _, bytes)| merkle::leaf_hash(bytes)).collect();
        for size in [1, 2, 255, 256, 257, 599, 600, 601, 620] {
            let mut frontier = merkle::Frontier::default();
            leaves[..size as usize].iter().for_each(|leaf| frontier.push(*leaf));
            let root = log.root_at(size).unwrap();
            assert_eq!(root, frontier.root());
            for index in [0, 1, size / 2, size - 1].into_iter().filter(|i| *i < size) {
                let proof = log.inclusion_proof(index, size).unwrap();
                assert!(merkle::verify_inclusion(&leaves[index as usize], index, size, &root, &proof));
            }
            let proof = log.consistency_proof(size, 620).unwrap();
            assert!(merkle::verify_consistency(size, &root, 620, &log.root().unwrap(), &proof));
        }
        assert!(matches!(log.root_at(621), Err(Error::OutOfRange { .. })));
        assert!(matches!(log.inclusion_proof(620, 620), Err(Error::OutOfRange { .. })));
        assert!(matches!(log.entry(620), Err(Error::OutOfRange { .. })));
        let note = log.checkpoint(&mut signer).unwrap();
        assert_eq!(Some(note.as_str()), log.checkpoint_text());
        assert_eq!(note::open(&note, signer.key()).unwrap().size, 620);
        assert_eq!(log.checkpoint(&mut signer).unwrap(), note);
        drop(log);
        // A published copy has no tail and no artefacts.
        fs::remove_file(dir.path().join("audit/tail")).unwrap();
        let copy = Log::read(&dir.path().join("audit")).unwrap();
        assert!(!copy.is_station());
        assert_eq!((copy.size(), copy.entries(0..620).filter(|e| e.is_ok()).count()), (620, 620));
        assert!(matches!(Log::open(&dir.path().join("audit")), Err(Error::TailMissing { size: 620 })));
    }

    #[test]
    fn a_signer_that_knows_more_or_other_entries_halts() {
        let dir = scratch();
        let mut signer = Signer::new();
        let mut log = written(dir.path(), &mut signer, &[5]);
        let true_state = signer.sealed();
        signer.sealed = (9, true_state.1);
        assert!(matches!(log.checkpoint(&mut signer), Err(Error::Behind { size: 5, sealed: 9 })));
        signer.sealed = (4, true_state.1);
        assert!(matches!(log.checkpoint(&mut signer), Err(Error::Fork { size: 4 })));
        signer.sealed = true_state;
        log.checkpoint(&mut signer).unwrap();
    }

    #[test]
    fn a_signature_that_does_not_verify_never_becomes_the_checkpoint() {
        let dir = scratch();
        let mut signer = Signer::new();
        let mut log = written(dir.path(), &mut signer, &[5]);
        let before = log.checkpoint_text().unwrap().to_string();
        log.append(&entry(5)).unwrap();
        signer.wrong = true;
        assert!(matches!(log.checkpoint(&mut signer), Err(Error::SealerAnswer { size: 6 })));
        signer.wrong = false;
        signer.short = true;
        assert!(matches!(log.checkpoint(&mut signer), Err(Error::SealerAnswer { size: 6 })));
        signer.short = false;
        assert_eq!(log.checkpoint_text(), Some(before.as_str()));
        log.checkpoint(&mut signer).unwrap();
        assert_eq!(log.sealed_size(), 6);
    }

    #[test]
    fn an_entry_above_the_limit_is_refused_and_the_log_goes_on() {
        let dir = scratch();
        let mut signer = Signer::new();
        let mut log = written(dir.path(), &mut signer, &[2]);
        let big = Entry::new(0, Body::Failure { what: "x".repeat(MAX_ENTRY) });
        let refused = log.append(&big).unwrap_err();
        assert!(matches!(refused, Error::Encode(_)) && !refused.halted());
        assert_eq!(log.append(&entry(2)).unwrap(), 2);
    }
}
