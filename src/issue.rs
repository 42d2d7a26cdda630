//! The second half of the road: has an approved plan carried out, verifies every result, and hands it to the record.
//!
//! ```text
//! chunk:  ask the gate for at most CHUNK items        nothing on disk: a cut loses signatures that nobody has seen
//!         verify each (other libraries than wrote it)  nothing on disk
//!         entries in plan order → tail                 a torn entry is cut off at the next opening
//!         fsync                                        the chunk is issued; a resumed run goes on after it
//! ```
//! How far a plan got is the count of its entries. The next chunk is signed while this one is verified and recorded; what
//! was signed but not recorded is discarded, and the same TBS is asked for again.

pub mod recorded;
mod verify;

use std::sync::mpsc;

use crate::audit::Log;
use crate::audit::entry::Entry;
use crate::cbor::Bytes;
use crate::plan::{Item, Kind, Plan, Revoke};
use crate::{audit, plan};

use recorded::Judged;
use verify::{Judge, Verified, verify};

/// Items per request to the gate. Small enough that a progress bar moves with RSA-4096 keys, large enough that the
/// process boundary and the fsync cost nothing.
const CHUNK: usize = 256;

/// Who carries items out: the gate.
pub trait Signer: Send {
    type Error: std::error::Error + Send + 'static;
    /// Outcomes in the order asked.
    fn carry_out(&mut self, items: Vec<u64>) -> Result<Vec<Outcome>, Self::Error>;
}

/// What an item came to, as the gate says.
pub enum Outcome {
    Signature(Vec<u8>),
    Key(KeyMade),
    WrappingKey(WrappingKeyMade),
    BackedUp(KeyWrapped),
    Restored(KeyBack),
    Destroyed(KeyGone),
    /// Nothing is signed for it.
    Noted,
}

/// A key pair as the token reports it.
pub struct KeyMade {
    pub label: String,
    pub cka_id: Bytes,
    pub algorithm: crate::algorithm::KeyAlgorithm,
    pub spki: Bytes,
    pub attributes: Vec<String>,
    pub adopted: bool,
}

/// A wrapping key as the token reports it.
pub struct WrappingKeyMade {
    pub check_value: Option<Bytes>,
    pub attributes: Vec<String>,
    pub adopted: bool,
}

/// A key that was wrapped, and has signed as it was unwrapped again.
pub struct KeyWrapped {
    pub mechanism: String,
    pub wrapped: Bytes,
    pub check_value: Option<Bytes>,
    pub signature: Bytes,
}

/// A key that is back in its token, and has signed there.
pub struct KeyBack {
    pub attributes: Vec<String>,
    pub adopted: bool,
    pub signature: Bytes,
}

/// A key that is gone, with what the token held before and afterwards, a line for each object.
pub struct KeyGone {
    pub found: bool,
    pub before: Vec<String>,
    pub after: Vec<String>,
}

/// Why a run stopped. Everything recorded before stays valid.
#[derive(Debug, thiserror::Error)]
pub enum Error<E: std::error::Error + 'static> {
    #[error(transparent)]
    Signer(E),
    #[error("the plan cannot be read: {0}")]
    Plan(#[from] plan::Error),
    #[error("the log cannot be written: {0}")]
    Log(#[from] audit::Error),
    #[error("item {item} is not what was planned: {what}")]
    NotAsPlanned { item: u64, what: String },
}

impl<E: std::error::Error + 'static> Error<E> {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NotAsPlanned { .. } => {
                Some("nothing of this item was recorded or released; the token or its module answered wrongly: probe it before you go on".into())
            }
            _ => Some("run the same command again: it goes on where it stopped".into()),
        }
    }
}

/// Carries the items from number `from` to the end of the plan out, by the CAs that were judged; those made here join them. `progress`
/// hears the number of items on record.
pub fn carry_out<S: Signer>(
    plan: &mut Plan,
    from: u64,
    judged: &mut Judged,
    log: &mut Log,
    clock: &(impl Fn() -> i64 + ?Sized),
    signer: &mut S,
    mut progress: impl FnMut(u64),
) -> Result<(), Error<S::Error>> {
    let items = plan.head().items;
    let mut judge = Judge { issuers: &mut judged.issuers, revoked: revoked(plan)? };
    if plan.head().kind == Kind::Keys {
        // Each key is on record before the next is made.
        for n in from..items {
            let outcomes = signer.carry_out(vec![n]).map_err(Error::Signer)?;
            record(plan, &[n], outcomes, &mut judge, log, clock)?;
            progress(n + 1);
        }
        return Ok(());
    }
    let chunks =
        (from..items).step_by(CHUNK).map(move |first| (first..items.min(first + CHUNK as u64)).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        let (to, signed) = mpsc::sync_channel(1);
        scope.spawn(move || {
            for numbers in chunks {
                let outcomes = signer.carry_out(numbers.clone());
                let failed = outcomes.is_err();
                if to.send((numbers, outcomes)).is_err() || failed {
                    break;
                }
            }
        });
        for (numbers, outcomes) in signed {
            record(plan, &numbers, outcomes.map_err(Error::Signer)?, &mut judge, log, clock)?;
            progress(numbers.last().map_or(from, |n| n + 1));
        }
        Ok(())
    })
}

/// Every revocation of the plan.
fn revoked(plan: &mut Plan) -> Result<Vec<Revoke>, plan::Error> {
    let mut revoked = Vec::new();
    if plan.head().counts.iter().any(|count| count.act == "revoke") {
        for n in 0..plan.head().items {
            if let Item::Revoke(revoke) = plan.item(n)? {
                revoked.push(revoke);
            }
        }
    }
    Ok(revoked)
}

/// Verifies all of a chunk, then records it, then flushes.
fn record<E: std::error::Error>(
    plan: &mut Plan,
    numbers: &[u64],
    outcomes: Vec<Outcome>,
    judge: &mut Judge,
    log: &mut Log,
    clock: &(impl Fn() -> i64 + ?Sized),
) -> Result<(), Error<E>> {
    if outcomes.len() != numbers.len() {
        let item = numbers.first().copied().unwrap_or(0);
        return Err(Error::NotAsPlanned { item, what: "the gate answered for other items than asked".into() });
    }
    let mut verified = Vec::with_capacity(numbers.len());
    for (n, outcome) in numbers.iter().zip(outcomes) {
        let wrong = |what: String| Error::NotAsPlanned { item: *n, what };
        let (artefacts, body) = verify(plan.digest(), *n, plan.item(*n)?, outcome, judge, clock()).map_err(wrong)?;
        // Artefacts lie on disk before the entry that names them.
        for artefact in artefacts {
            log.put_artefact(&artefact)?;
        }
        verified.push(body);
    }
    for Verified(body) in verified {
        log.append(&Entry::new(clock(), body))?;
    }
    Ok(log.sync()?)
}
