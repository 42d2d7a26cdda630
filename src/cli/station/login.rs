//! Logging in, and what is judged of the log behind it; and the end of such a run.

use std::collections::BTreeSet;

use crate::audit::Log;
use crate::audit::entry::{Body, Entry, KeyGenerated, ShareOf};
use crate::audit::mark::{Mark, Standing};
use crate::config::MarkPlace;
use crate::gate::Gate;
use crate::ledger::PinSet;
use crate::pin::shares::{KnownSet, KnownShare};

use super::super::{Failure, change, failure::Code, hand_over};
use super::opening::put_on_record;
use super::{Station, copy_over, seal};

impl Station {
    /// Logs in to these tokens, each try on record before it is made, compares the log with the mark, and seals what was
    /// written while nobody was logged in.
    pub fn log_in(&self, log: &mut Log, gate: &mut Gate, tokens: Vec<String>, cut: u64) -> Result<Mark, Failure> {
        self.log_in_with(log, gate, tokens, &[], cut)
    }

    /// The same, where the tokens must hold these keys, which are on record. Where such a token is none of `tokens` and not to be
    /// had, that is told and on record.
    pub fn log_in_with(
        &self,
        log: &mut Log,
        gate: &mut Gate,
        mut tokens: Vec<String>,
        keys: &[KeyGenerated],
        cut: u64,
    ) -> Result<Mark, Failure> {
        self.keep_copy(log)?;
        tokens.retain(|t| *t != self.hierarchy.audit_token);
        tokens.insert(0, self.hierarchy.audit_token.clone());
        let first = self.try_login(log, gate, &tokens[0])?;
        self.opened(log, gate, first, &tokens, keys, cut)
    }

    /// The same behind the login to the first of these tokens, which has the mark.
    pub(in crate::cli) fn opened(
        &self,
        log: &mut Log,
        gate: &mut Gate,
        first: Body,
        tokens: &[String],
        keys: &[KeyGenerated],
        cut: u64,
    ) -> Result<Mark, Failure> {
        let mut mark = self.read_mark(gate)?;
        self.judge_standing(log, &mark)?;
        if hand_over::is_standby(&mark, &first) {
            hand_over::take_over(self, log, gate, &mark, &first)?;
            mark = self.read_mark(gate)?;
        }
        gate.grow_from(mark.size, mark.root);
        log.append(&Entry::new(self.now(), Body::Open { mark_size: mark.size, cut }))?;
        log.append(&Entry::new(self.now(), first))?;
        let only_asked: BTreeSet<&String> =
            keys.iter().map(|key| &key.token).filter(|token| !tokens.contains(token)).collect();
        let mut open = vec![&tokens[0]];
        for token in tokens[1..].iter().chain(only_asked.iter().copied()) {
            match self.try_login(log, gate, token) {
                Ok(login) => {
                    log.append(&Entry::new(self.now(), login))?;
                    open.push(token);
                }
                // What it cannot do, the tokens with the same keys do; the failure is on record.
                Err(f) if f.code == Code::Halted && self.is_copy(token) => {
                    eprintln!("coldroot: token `{token}` is left out, the others go on: {}", f.what);
                }
                // A run that goes on needs the tokens of its keys. One that ends may do so because such a token is dead.
                Err(f) if f.code != Code::Usage && only_asked.contains(token) => {
                    eprintln!("coldroot: WARNING: token `{token}` is not asked for its keys on record: {}", f.what);
                }
                Err(f) => return Err(f),
            }
        }
        // Before they are sealed: what another program has put on record is no key of ours, whatever it is called.
        for key in keys.iter().filter(|key| open.contains(&&key.token)) {
            let held = gate.holds(&key.token, &key.label, &key.cka_id, &key.spki);
            held.inspect_err(|e| self.record_failure(log, &format!("key {}: {e}", key.key)))?;
        }
        for token in open {
            self.settle_split(log, gate, token)?;
        }
        self.record_troubles(log, gate);
        seal(log, gate)?;
        match change::finish(log, gate, &mark, self.changes().last().copied())? {
            true => self.read_mark(gate),
            false => Ok(mark),
        }
    }

    /// Ends a run that was logged in. Where the mark is on paper, its new page is copied now, and the log's copy gets the mark before
    /// and behind that: whichever page is the newest, the copy goes with it.
    pub fn close(&self, log: &mut Log, mut gate: Gate) -> Result<(), Failure> {
        if self.hierarchy.audit_mark == MarkPlace::Token {
            return Ok(gate.close()?);
        }
        log.sync()?;
        gate.page()?;
        copy_over(log);
        if let Err(e) = gate.close() {
            self.record_failure(log, &format!("minutes: {e}"));
            return Err(e.into());
        }
        copy_over(log);
        Ok(())
    }

    /// The log continues what the mark knows.
    pub(in crate::cli) fn judge_standing(&self, log: &Log, mark: &Mark) -> Result<(), Failure> {
        let held = held(log)?;
        match mark.compare(log)? {
            Standing::Equal | Standing::Ahead { .. } => Ok(()),
            Standing::Behind { .. } | Standing::Fork if held < mark.size => {
                let what = format!(
                    "the audit directory is older than the token's mark: {} of {} entries are missing",
                    mark.size - held,
                    mark.size
                );
                Err(Failure { code: Code::Halted, what, hint: Some(self.restore_hint()) })
            }
            Standing::Behind { .. } | Standing::Fork => {
                let what = format!(
                    "the audit directory is not the log that the token's mark knows: another root at {} entries",
                    mark.size
                );
                Err(Failure {
                    code: Code::Halted,
                    what,
                    hint: Some("stop; keep this directory as evidence and restore the true copy".into()),
                })
            }
        }
    }

    pub(in crate::cli) fn read_mark(&self, gate: &mut Gate) -> Result<Mark, Failure> {
        let Some(mark) = gate.mark()? else {
            return Err(Failure::refused(
                "the token carries no mark of this log",
                format!(
                    "insert this station's token, or finish `coldroot --station {} init`",
                    crate::text::shell(&self.dir)
                ),
            ));
        };
        Mark::decode(&mark).map_err(|e| Failure {
            code: Code::Halted,
            what: format!("the mark is damaged: {e}"),
            hint: None,
        })
    }

    /// The PIN that has just opened a token says what became of a split that was stopped.
    fn settle_split(&self, log: &mut Log, gate: &Gate, token: &str) -> Result<(), Failure> {
        let sets = self.pin_sets.borrow();
        let pending = sets.get(token).and_then(|sets| sets.iter().find(|known| !known.confirmed));
        let Some(PinSet { split, .. }) = pending else { return Ok(()) };
        let new_pin = gate.opened_by(token) == Some(&split.set);
        let done = Body::PinSplitDone { token: token.into(), set: split.set.clone(), new_pin };
        log.append(&Entry::new(self.now(), done))?;
        Ok(())
    }

    fn is_copy(&self, token: &str) -> bool {
        self.hierarchy.token(token).is_some_and(|token| token.same_keys_as.is_some())
    }

    pub(in crate::cli) fn try_login(&self, log: &mut Log, gate: &mut Gate, token: &str) -> Result<Body, Failure> {
        log.append(&Entry::new(self.now(), Body::PinTry { token: token.into() }))?;
        log.sync()?;
        if let Some(sets) = self.pin_sets.borrow().get(token) {
            gate.know_shares(token, sets.iter().map(known).collect())?;
        }
        let facts = match gate.login(token) {
            Ok(facts) => facts,
            Err(e) => {
                self.record_failure(log, &format!("login to token {token}: {e}"));
                return Err(e.into());
            }
        };
        Ok(Body::Login { token: token.into(), serial: facts.serial, module: facts.module })
    }
}

/// What the gate is told of a PIN in shares.
fn known(set: &PinSet) -> KnownSet {
    let PinSet { split, confirmed } = set;
    let share = |share: &ShareOf| KnownShare { custodian: share.custodian.clone(), digest: share.digest };
    KnownSet {
        set: split.set.clone(),
        threshold: split.threshold,
        shares: split.shares.iter().map(share).collect(),
        confirmed: *confirmed,
    }
}

/// What is written while nobody is logged in. Behind an old copy's checkpoint such entries, of this run and of earlier ones, are
/// no part of the log that the token knows.
fn without_login(body: &Body) -> bool {
    matches!(body, Body::PinTry { .. } | Body::Failure { .. }) || put_on_record(body)
}

/// How many entries the directory holds without those.
fn held(log: &Log) -> Result<u64, Failure> {
    let mut held = log.sealed_size();
    for entry in log.entries(held..log.size()) {
        held += u64::from(!without_login(&entry?.1.body));
    }
    Ok(held)
}
