//! Trouble with a token: how it is met, how often, and what of it is told.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Token;
use crate::refusal::Refusal;
use crate::token::ask::{Answer, Class, Failure};
use crate::token::{self, client};

/// Between one failure and the next try, in milliseconds. Most trouble is over at once; a network HSM that fails over, or a
/// device that frees the sessions of a dead process (YubiHSM 2: after 30 s), needs longer. Behind the last one, as long as it.
const PAUSES: [u64; 5] = [200, 1_000, 3_000, 10_000, 30_000];
/// So many failures in a row go to the same worker, where the value says that it may do it in a moment.
pub(super) const SAME_WORKER: u32 = 2;
/// Different troubles that are kept between two replies; what comes behind is counted with the last.
const KEPT: usize = 32;
/// The longest cause that is kept, in characters.
const LONGEST: usize = 400;

/// A question that got no answer of use.
pub(super) enum Setback {
    /// It may be asked again: of the same worker, or of a new one.
    Trouble { why: String, same_worker: bool, advice: Option<String> },
    /// The worker answered that it cannot be done.
    Answered(Failure),
    /// Asking again is out of the question.
    Final(Refusal),
}

impl Setback {
    /// A worker that is of no more use.
    pub(super) fn lost(error: &client::Error) -> Setback {
        Setback::Trouble { why: error.to_string(), same_worker: false, advice: None }
    }

    /// The cause.
    pub(super) fn what(self) -> String {
        match self {
            Setback::Trouble { why, .. } => why,
            Setback::Answered(failure) => failure.what,
            Setback::Final(refusal) => refusal.what,
        }
    }

    /// The same for a token that was there a moment ago: that it cannot be opened now is trouble too. A stick that is pulled
    /// and put in again is missing in between.
    pub(super) fn of_an_open_token(self) -> Setback {
        match self {
            Setback::Answered(f) => Setback::Trouble { why: f.what, same_worker: false, advice: f.advice },
            other => other,
        }
    }
}

impl From<Failure> for Setback {
    fn from(f: Failure) -> Setback {
        match f.class {
            Class::Retry | Class::Reopen => {
                Setback::Trouble { why: f.what, same_worker: f.class == Class::Retry, advice: f.advice }
            }
            _ => Setback::Answered(f),
        }
    }
}

impl From<Refusal> for Setback {
    fn from(refusal: Refusal) -> Setback {
        Setback::Final(refusal)
    }
}

/// How often one question has failed in a row.
pub(super) struct Patience {
    /// As messages name the token.
    who: String,
    token: String,
    failures: u32,
    retries: u32,
    diary: Diary,
}

impl Patience {
    pub(super) fn new(token: &Token, who: String, diary: &Diary) -> Patience {
        Patience { who, token: token.id.clone(), failures: 0, retries: token.retries, diary: diary.clone() }
    }

    /// An answer came: the next trouble begins anew. A long batch with a failure now and then goes on.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether a value that the same worker may yet do sends the question to it again.
    pub(super) fn trusts_the_worker(&self) -> bool {
        self.failures < SAME_WORKER
    }

    /// How long to wait before the next try, which is told; or why there is none.
    pub(super) fn after(&mut self, setback: Setback) -> Result<Duration, Refusal> {
        let (why, same_worker, advice) = match setback {
            Setback::Trouble { why, same_worker, advice } => (why, same_worker, advice),
            Setback::Answered(failure) => return Err(failed(failure)),
            Setback::Final(refusal) => return Err(refusal),
        };
        let same_worker = same_worker && self.trusts_the_worker();
        self.failures += 1;
        let tries = self.retries + 1;
        if self.failures >= tries {
            return Err(self.gave_up(&why, advice));
        }
        let place = usize::try_from(self.failures - 1).unwrap_or(usize::MAX);
        let pause = PAUSES.get(place).or(PAUSES.last()).copied().unwrap_or_default();
        let (then, action) = match same_worker {
            true => ("asking again", "asked-again"),
            false => ("starting a new worker", "reopened"),
        };
        let (seconds, tenths) = (pause / 1_000, pause % 1_000 / 100);
        let (who, failures) = (&self.who, self.failures);
        eprintln!("coldroot: {who}: {why}; {then} in {seconds}.{tenths} s (failure {failures} of {tries})");
        self.diary.note(&self.token, &why, action);
        Ok(Duration::from_millis(pause))
    }

    fn gave_up(&self, why: &str, advice: Option<String>) -> Refusal {
        let times = match self.failures {
            1 => "failed".into(),
            n => format!("failed {n} times in a row"),
        };
        let halt = Refusal::halt(format!("{} {times}: {why}", self.who));
        match advice {
            Some(advice) => Refusal {
                hint: Some(format!("{advice}; then run the same command again: it goes on where it stopped")),
                ..halt
            },
            None => halt,
        }
    }
}

/// A trouble with a token that did not stop the run, for the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Trouble {
    pub token: String,
    /// The cause, one clause.
    pub what: String,
    /// `asked-again`, `reopened` (a new worker, a new login), or `left-out` (the run goes on without this token).
    pub action: String,
    /// How often since the last one that was told.
    pub times: u64,
}

/// For the log: ``token `main`: signing: CKR_DEVICE_ERROR …; reopened (2 times)``.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trouble { token, what, action, times } = self;
        write!(f, "token `{token}`: {what}; {action} ({times} {})", if *times == 1 { "time" } else { "times" })
    }
}

/// What happened since it was last read.
#[derive(Clone, Default)]
pub(super) struct Diary(Arc<Mutex<Vec<Trouble>>>);

impl Diary {
    pub(super) fn note(&self, token: &str, what: &str, action: &str) {
        let what: String = what.chars().take(LONGEST).collect();
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = notes.len() >= KEPT;
        let same = |t: &&mut Trouble| t.token == token && t.action == action && t.what == what;
        match notes.iter_mut().find(same) {
            Some(known) => known.times += 1,
            None if full => notes.last_mut().into_iter().for_each(|last| last.times += 1),
            None => notes.push(Trouble { token: token.into(), what, action: action.into(), times: 1 }),
        }
    }

    /// Tells and notes that the run goes on without this token.
    pub(super) fn left_out(&self, token: &str, why: &str) {
        eprintln!("coldroot: token `{token}` is left out from here on, the others go on: {why}");
        self.note(token, why, "left-out");
    }

    pub(super) fn take(&self) -> Vec<Trouble> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An answer that does not fit its question.
pub(super) fn unexpected(answer: Answer) -> Refusal {
    match answer {
        Answer::Failed(f) => failed(f),
        _ => Refusal::halt("the worker answered another question than it was asked"),
    }
}

pub(super) fn failed(failure: Failure) -> Refusal {
    let hint = token::hint(&failure);
    let halted = matches!(failure.class, Class::Retry | Class::Reopen | Class::Halt | Class::Protocol);
    Refusal { what: failure.what, hint, halted }
}
