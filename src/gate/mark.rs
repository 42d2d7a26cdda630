//! The mark, which is read once behind the login and followed from there on, and the notes that are signed with the audit key.

use crate::audit::{artefact, mark::Mark, merkle, note};
use crate::change;
use crate::config::{Hierarchy, Token};
use crate::digest::Digest;
use crate::refusal::Refusal;
use crate::workers::Declared;

use super::message::Reply;
use super::server::Gate;

/// The label of the data object beside the audit key.
const MARK_LABEL: &str = "coldroot mark";

impl Gate {
    /// A hierarchy by the digest of its file, which lies among the log's artefacts: the one in force is the one that the mark
    /// names, and `hierarchy.toml` follows when the parent has done its part.
    pub(super) fn on_record(&self, digest: &Digest) -> Result<Hierarchy, Refusal> {
        let found = Hierarchy::load(&self.station.join("audit").join(artefact::path(digest)));
        found.ok().filter(|hierarchy| hierarchy.digest == *digest).ok_or_else(|| {
            let what = "hierarchy.toml is not the one whose digest stands in the token's mark, and no artefact is";
            let hint = format!(
                "put back the file with SHA-256 {digest}; if it was adopted after this audit directory was copied, bring the newest copy \
                 back as well: coldroot restore COPY (is every newer one lost: coldroot adopt-log)"
            );
            Refusal::no(what, hint)
        })
    }

    pub(super) fn read_mark(&mut self, token: &Token) -> Result<(), Refusal> {
        let mark = match self.hierarchy.marks_on_paper() {
            true => self.minutes.read(&self.workers.keys_by_label(token, &self.hierarchy.audit_key_label)?)?,
            false => {
                let value = self.workers.read_data(token, MARK_LABEL)?;
                let mark = value.map(|value| Mark::decode(&value)).transpose();
                mark.map_err(|e| Refusal::halt(format!("the mark in the token is damaged: {e}")))?
            }
        };
        let Some(mark) = mark else { return Ok(()) };
        if mark.origin != self.hierarchy.origin {
            let what = format!("the token carries the mark of another log, `{}`", crate::text::escape(&mark.origin));
            return Err(Refusal::no(what, "insert the token of this station, or name the right station"));
        }
        if mark.hierarchy != self.hierarchy.digest {
            let in_force = self.on_record(&mark.hierarchy)?;
            change::akin(&self.hierarchy, &in_force).map_err(change::Error::from)?;
            // A token that was opened as the file declares it is not one that the hierarchy in force knows.
            if self.tried.len() > 1 {
                return Err(Refusal::bug("the audit key's token is the first one to be logged in to"));
            }
            self.hierarchy = in_force;
        }
        if !self.standby {
            let own = self.own_serial()?;
            change::owned(&self.hierarchy, &mark.token, &own)?;
        }
        let keys = self.workers.keys_by_label(token, &self.hierarchy.audit_key_label)?;
        let [key] = keys.as_slice() else {
            let what = format!("the token holds {} audit keys, not one", keys.len());
            return Err(Refusal::no(what, "`coldroot token list` shows what is there"));
        };
        self.minutes.judge_key(&key.cka_id)?;
        self.audit = Some(self.audit_ref(key));
        self.belongs(token, false, &[]).inspect_err(|_| self.audit = None)?;
        self.mark = Some(mark);
        Ok(())
    }

    /// The mark that this process knows, after a look whether the token still holds it: a second gate must not go on from
    /// a mark that the first one has replaced.
    pub(super) fn held(&mut self) -> Result<Option<Mark>, Refusal> {
        let same = match self.hierarchy.marks_on_paper() {
            true => self.minutes.is_held()?,
            false => {
                let held = self.workers.read_data(&self.audit_token()?, MARK_LABEL)?;
                let known = self.mark.as_ref().map(Mark::encode).transpose()?;
                held.as_ref().map(|h| h.as_slice()) == known.as_deref()
            }
        };
        match same {
            true => Ok(self.mark.clone()),
            false => Err(Refusal::halt("the mark is not the one that this process has read or written")),
        }
    }

    /// The same, and it is this token's own.
    pub(super) fn held_mark(&mut self) -> Result<Option<Mark>, Refusal> {
        let (held, own) = (self.held()?, self.own_serial()?);
        held.iter().try_for_each(|mark| change::owned(&self.hierarchy, &mark.token, &own))?;
        Ok(held)
    }

    /// The mark of a log that has begun.
    pub(super) fn marked(&mut self) -> Result<Mark, Refusal> {
        self.held_mark()?.ok_or_else(|| Refusal::bug("the token carries no mark of this log"))
    }

    pub(super) fn write_mark(&mut self, mark: Mark) -> Result<(), Refusal> {
        if self.mark.as_ref() != Some(&mark) {
            match self.hierarchy.marks_on_paper() {
                true => {
                    let note = self.sign_note(&self.minutes.text(&mark)?)?;
                    self.minutes.put(note)?;
                }
                false => self.workers.write_data(&self.audit_token()?, MARK_LABEL, &mark.encode()?)?,
            }
            self.mark = Some(mark);
        }
        Ok(())
    }

    /// Both notes are signed while the token is there: copying takes people longer than some tokens keep a session.
    pub(super) fn page(&mut self) -> Result<Reply, Refusal> {
        let page = self.mark.as_ref().map(|mark| self.minutes.page(mark)).transpose()?;
        if let Some([shown, copied]) = page.flatten() {
            let (shown, copied) = (self.sign_note(&shown)?, self.sign_note(&copied)?);
            self.minutes.announce(shown, copied)?;
        }
        Ok(Reply::Page)
    }

    /// The mark is written first, then the checkpoint is signed: so no two checkpoints are ever signed of which one does not
    /// continue the other, not even by ending the gate between the two. The log does not fall behind its mark by this, for
    /// its entries lie on the disk before the parent asks.
    ///
    /// A root says nothing of its size (RFC 9162 §2.1.4): where two sizes give the proof the same shape, a parent that lies
    /// can claim either. It gains a log that no verifier accepts, and which its own next entries do not continue.
    pub(super) fn sign_checkpoint(
        &mut self,
        size: u64,
        root: Digest,
        consistency: &[Digest],
    ) -> Result<Reply, Refusal> {
        if self.audit.is_none() {
            let hint = "run `coldroot init` first, or insert the right token";
            return Err(Refusal::no("the token carries no mark of this log", hint));
        }
        let own = self.own_serial()?;
        let first = Mark::first(&self.hierarchy.origin, self.hierarchy.digest, &own);
        let old = self.held_mark()?.unwrap_or(first);
        if size == 0 || !merkle::verify_consistency(old.size, &old.root, size, &root, consistency) {
            let what = format!(
                "the log of {size} entries does not grow from the {} entries that the token's mark knows",
                old.size
            );
            let hint = "the audit directory is older than the mark, or was changed: restore the newest copy of it";
            return Err(Refusal::no(what, hint));
        }
        self.write_mark(Mark { size, root, ..old })?;
        Ok(Reply::Note(self.sign_note(&note::checkpoint_text(&self.hierarchy.origin, size, &root))?))
    }

    /// The signed note of a text that this process has made itself.
    pub(super) fn sign_note(&mut self, text: &str) -> Result<String, Refusal> {
        let key = self.audit.clone().ok_or_else(|| Refusal::bug("there is no audit key"))?;
        let algorithm = self.hierarchy.audit_algorithm.signs_with();
        let message = [(0, algorithm.message(text.as_bytes())?)];
        let token = self.audit_token()?;
        let signatures = self.workers.sign(&[token.id], &key, Declared::default(), algorithm, &message)?;
        let signature = signatures.first().ok_or_else(|| Refusal::bug("no signature"))?;
        Ok(note::assemble(text, &self.verifier_key()?, &signature.value))
    }
}
