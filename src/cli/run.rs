//! An approved plan on its way to its end, which `sign` and `void` share: what they do, in which order, stands at `sign`.

use std::path::Path;

use crate::approval::Quorate;
use crate::audit::Log;
use crate::audit::entry::{Approved, Body, End, Entry, Start, Void};
use crate::audit::mark::Mark;
use crate::cbor::Bytes;
use crate::change::recorded;
use crate::digest::Digest;
use crate::gate::{self, Gate, Proven};
use crate::issue::recorded::Judged;
use crate::issue::{self, KeyMade, Outcome, Signer};
use crate::ledger::{Ledger, PlanState};
use crate::plan::{Kind, Plan, Refusal};
use crate::release;
use crate::report::terminal::progress;
use crate::workers::keys::KeyDone;

use super::sign::SignArgs;
use super::station::{self, Station, seal};
use super::{Failure, failure::Code};

/// A plan being ended, one way or the other.
pub(super) struct Run<'s> {
    pub gate: Gate,
    station: &'s Station,
    judged: Judged,
    /// The approvals, armored, and what they come to.
    pub signatures: Vec<String>,
    pub approved: Quorate,
}

impl<'s> Run<'s> {
    /// Logs in to these tokens, which must be there, and to those of the keys on record that are. Gives the mark besides.
    pub(super) fn open(
        station: &'s Station,
        log: &mut Log,
        mut gate: Gate,
        (judged, signatures, approved): (Judged, Vec<String>, Quorate),
        tokens: Vec<String>,
    ) -> Result<(Run<'s>, Mark), Failure> {
        let cut = log.cut();
        let mark = station.log_in_with(log, &mut gate, tokens, judged.keys(), cut)?;
        Ok((Run { gate, station, judged, signatures, approved }, mark))
    }

    /// The start entry, unless it is on record, its checkpoint and mark, then the gate's own judgement of the plan.
    pub(super) fn start(
        &mut self,
        log: &mut Log,
        ledger: &mut Ledger,
        plan: &Plan,
        args: &SignArgs,
        state: &PlanState,
    ) -> Result<(), Failure> {
        let (index, entry) = match &state.start {
            Some((index, start)) => (*index, log_entry(log, *index, Body::Start(start.clone()))?),
            None => {
                // Where much was folded at the opening, the next one need not do it again.
                ledger.follow(log)?;
                station::index(log, ledger, self.station.now())?;
                for signature in &self.signatures {
                    log.put_artefact(signature.as_bytes())?;
                }
                let start = Start {
                    plan: plan.digest(),
                    approvals: recorded(self.approved.approvals()),
                    operator: args.people.operator.clone(),
                    witness: args.people.witness.clone(),
                    witness_time: args.people.witness_time,
                };
                let entry = Entry::new(self.station.now(), Body::Start(start));
                let index = log.append(&entry)?;
                seal(log, &mut self.gate)?;
                ledger.follow(log)?;
                (index, entry)
            }
        };
        let inclusion = log.inclusion_proof(index, log.size())?;
        let bytes = encode(&entry)?;
        Ok(self.gate.open_plan(&args.plan, &self.signatures, bytes, index, inclusion)?)
    }

    /// What the tokens hold, for the record.
    pub(super) fn inventories(&mut self, log: &mut Log, ledger: &mut Ledger, tokens: &[String]) -> Result<(), Failure> {
        ledger.follow(log)?;
        for token in tokens {
            super::token::take_inventory(self.station, log, &mut self.gate, ledger, token);
        }
        Ok(())
    }

    pub(super) fn items(&mut self, log: &mut Log, plan: &mut Plan, recorded: u64, plain: bool) -> Result<(), Failure> {
        let total = plan.head().items;
        if recorded >= total {
            return Ok(());
        }
        let what = if plan.head().kind == Kind::Keys { "keys" } else { "signing" };
        let bar = progress(what, total, plain);
        bar.set_position(recorded);
        let clock = || self.station.now();
        let mut signer = GateSigner(&mut self.gate);
        let judged = &mut self.judged;
        let result = issue::carry_out(plan, recorded, judged, log, &clock, &mut signer, |done| bar.set_position(done));
        bar.finish_and_clear();
        // Met or not, trouble with a token is on record.
        self.station.record_troubles(log, &mut self.gate);
        if let Err(e) = &result {
            self.station.record_failure(log, &format!("plan {}: {e}", plan.digest()));
        }
        Ok(result?)
    }

    /// The refused requests, after the items, each with its reason.
    pub(super) fn refusals(&mut self, log: &mut Log, plan: &mut Plan, answered: u64) -> Result<(), Failure> {
        self.refuse(log, plan.digest(), plan.refusals()?, answered)
    }

    /// Puts refusals on record, from number `answered` on.
    pub(super) fn refuse(
        &mut self,
        log: &mut Log,
        plan: Digest,
        refusals: Vec<Refusal>,
        answered: u64,
    ) -> Result<(), Failure> {
        for Refusal { request, check, reason } in
            refusals.into_iter().skip(usize::try_from(answered).unwrap_or(usize::MAX))
        {
            log.append(&Entry::new(self.station.now(), Body::Refused { plan, request, check, reason }))?;
        }
        log.sync()?;
        Ok(())
    }

    /// The release's containers, the end entry that vouches for them, its checkpoint and mark. A voided plan ends with what
    /// is on record, and the gate wants to see why.
    pub(super) fn end(
        &mut self,
        log: &mut Log,
        ledger: &mut Ledger,
        plan: &mut Plan,
        path: &Path,
        marked_release: u64,
    ) -> Result<u64, Failure> {
        ledger.follow(log)?;
        let state = ledger.plans.get(&plan.digest()).cloned();
        let state = state.ok_or_else(|| Failure::refused("the log does not know this plan", "plan again"))?;
        let (index, entry) = match &state.end {
            Some((index, end)) => (*index, log_entry(log, *index, Body::End(end.clone()))?),
            None => {
                let (at, start) = begun(&state)?;
                let release = ledger.release + 1;
                let basis = release::Basis { log, size: log.size(), ledger, plan, start: (at, &start), release };
                let manifest = release::prepare(&self.station.out_dir()?, &basis)?;
                let (done, refused) = (state.done, state.answered);
                let end = Body::End(End { plan: plan.digest(), release, done, refused, manifest });
                let entry = Entry::new(self.station.now(), end);
                let index = log.append(&entry)?;
                ledger.follow(log)?;
                station::index(log, ledger, self.station.now())?;
                seal(log, &mut self.gate)?;
                (index, entry)
            }
        };
        let Body::End(End { release, .. }) = &entry.body else {
            return Err(Failure::refused("the end entry is not one", "run `coldroot check` on the audit directory"));
        };
        if marked_release < *release {
            let end = proven(log, index, &entry)?;
            match state.void {
                None => self.gate.end_plan(end.entry.into_vec(), end.index, end.inclusion)?,
                Some((index, void)) => {
                    let void = proven(log, index, &log_entry(log, index, Body::Void(void))?)?;
                    self.gate.void_plan(path, &self.signatures, void, end)?;
                }
            }
        }
        Ok(*release)
    }
}

/// Where a plan begins on record, and with whom: at its start, or at its void if it was never started.
pub(super) fn begun(state: &PlanState) -> Result<(u64, Start), Failure> {
    if let Some(start) = &state.start {
        return Ok(start.clone());
    }
    let (index, void) =
        state.void.clone().ok_or_else(|| Failure::refused("the plan was not started", "run `coldroot sign` again"))?;
    let Void { plan, approvals, operator, witness, witness_time, .. } = void;
    Ok((index, Start { plan, approvals, operator, witness, witness_time }))
}

pub(super) fn proven(log: &Log, index: u64, entry: &Entry) -> Result<Proven, Failure> {
    let inclusion = log.inclusion_proof(index, log.size())?;
    Ok(Proven { entry: Bytes::from(encode(entry)?), index, inclusion })
}

/// The approvals on record.
pub(super) fn recorded_signatures(log: &Log, approvals: &[Approved]) -> Result<Vec<String>, Failure> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    approvals.iter().map(|a| Ok(text(log.artefact(&a.signature)?))).collect()
}

/// Reads the entry at `index` back, with the time it was written.
pub(super) fn log_entry(log: &Log, index: u64, body: Body) -> Result<Entry, Failure> {
    match log.entries(index..index + 1).next() {
        Some(entry) => match entry? {
            (_, entry, _) if entry.body == body => Ok(entry),
            _ => Err(Failure::refused("the log changed under this run", "run it again")),
        },
        None => Err(Failure::refused("the log has no such entry", "run it again")),
    }
}

pub(super) fn encode(entry: &Entry) -> Result<Vec<u8>, Failure> {
    entry.encode().map_err(|e| Failure { code: Code::Halted, what: e.to_string(), hint: None })
}

/// The gate as `issue` sees it.
struct GateSigner<'g>(&'g mut Gate);

impl Signer for GateSigner<'_> {
    type Error = gate::Error;

    fn carry_out(&mut self, items: Vec<u64>) -> Result<Vec<Outcome>, gate::Error> {
        let outcomes = self.0.carry_out(items)?;
        let convert = |outcome| match outcome {
            gate::Outcome::Noted => Outcome::Noted,
            gate::Outcome::KeyAct(KeyDone::WrappingKey(w)) => Outcome::WrappingKey(issue::WrappingKeyMade {
                check_value: w.check_value,
                attributes: w.attributes,
                adopted: w.adopted,
            }),
            gate::Outcome::KeyAct(KeyDone::BackedUp(b)) => Outcome::BackedUp(issue::KeyWrapped {
                mechanism: b.mechanism,
                wrapped: b.wrapped,
                check_value: b.check_value,
                signature: b.signature,
            }),
            gate::Outcome::KeyAct(KeyDone::Restored(r)) => Outcome::Restored(issue::KeyBack {
                attributes: r.attributes,
                adopted: r.adopted,
                signature: r.signature,
            }),
            gate::Outcome::KeyAct(KeyDone::Destroyed(gone)) => {
                Outcome::Destroyed(issue::KeyGone { found: gone.found, before: gone.before, after: gone.after })
            }
            gate::Outcome::Signature(value) => Outcome::Signature(value.into_vec()),
            gate::Outcome::Key(k) => Outcome::Key(KeyMade {
                label: k.label,
                cka_id: k.cka_id,
                algorithm: k.algorithm,
                spki: k.spki,
                attributes: k.attributes,
                adopted: k.adopted,
            }),
        };
        Ok(outcomes.into_iter().map(convert).collect())
    }
}
