//! A bundle on its way to a plan: copied in, its signature and its place in the order judged, then its items.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use cap_std::fs::Dir;

use crate::audit::note::{self, VerifierKey};
use crate::audit::{self, Log};
use crate::bundle;
use crate::config::Environment;
use crate::digest::Digest;
use crate::ledger::{Ledger, PlanState};
use crate::plan::BundleRef;
use crate::prepare::{self, Beforehand, Draw, Linters, SharedFactors};
use crate::report::terminal::progress;
use crate::weak_keys::BlockLists;

use super::super::inbox::{Incoming, MAX_BUNDLE};
use super::super::station::Station;
use super::super::{Failure, carry, failure::Code};
use super::{Planned, context, waiting};

pub(super) fn from_bundle(
    station: &Station,
    (log, ledger, lists): (&mut Log, &Ledger, &BlockLists),
    (draw, linters): (Draw, &mut dyn Linters),
    path: &Path,
    (out, medium): (&mut File, Option<&Dir>),
    plain: bool,
) -> Result<Planned, Failure> {
    // One bounded copy, hashed as it is copied; the medium is not read again.
    let incoming = Incoming::take(path, MAX_BUNDLE, &station.dir.join("in"))?;
    incoming.record(log, station.now())?;
    let copy = incoming.path();
    let reader = BufReader::new(File::open(copy).map_err(|e| Failure::io(copy, e))?);
    let unverified = bundle::open(reader)?;
    let way_out = way_out(ledger, unverified.digest());
    let verify = |head: &bundle::Head, head_bytes: &[u8], signature: &str| {
        let desk = head.judge(&station.hierarchy, station.now())?;
        crate::approval::verify(bundle::NAMESPACE, head_bytes, signature, &desk.keys).map_err(|e| {
            let what = format!("the bundle is not signed by desk `{}`: {e}", desk.id);
            Failure::refused(what, "have the desk pack it again with its own key")
        })
    };
    let (mut bundle, _) = unverified.verify(verify).map_err(&way_out)?;
    let head = bundle.head().clone();
    let reference = BundleRef { desk: head.desk.clone(), sequence: head.sequence, digest: bundle.digest() };
    judge_answer(station, log, ledger, &head)?;
    let new = judge_order(ledger, &reference)?;
    if let Some((digest, before)) = ledger.unanswered().and_then(|(_, plan)| Some((plan?, ledger.plans.get(&plan?)?))) {
        let (plan, time) = (&digest.hex()[..8], crate::text::utc(log.entry(before.planned_at)?.time));
        eprintln!("coldroot: this bundle was planned before: plan {plan} of {time}, not signed; sign one of the two");
    }
    judge_silence(station, ledger, &head)?;
    judge_limits(station, ledger, &head, new)?;
    let compromised = match head.revocations {
        0 => Vec::new(),
        _ => prepare::compromised(ledger, log, bundle.items()?)?,
    };
    let shared = shared_factors(station, (log, ledger), bundle.items()?, plain)?;
    let beforehand = Beforehand { compromised, shared };
    let tagger = station.tagger(log)?;
    let bar = progress("judging", head.count, plain);
    let planned = {
        let mut report = |n| bar.set_position(n);
        let none = Default::default();
        let mut context = context(station, (log, ledger, lists), (draw, &none, linters), &tagger, &mut report);
        prepare::bundle(&mut context, reference.clone(), beforehand, bundle.items()?, &mut *out)
    };
    bar.finish_and_clear();
    let planned = planned.map_err(|e| way_out(e.into()))?;
    carry::has_room(medium, out)?;
    let mut whole = File::open(copy).map_err(|e| Failure::io(copy, e))?;
    log.put_artefact_from(&mut whole)?;
    Ok((planned, new.then_some((reference, head.items(), head.revocations))))
}

/// A stage of its own, since it may take minutes. A key on record that is broken is told of at once: no refusal mends it.
fn shared_factors(
    station: &Station,
    (log, ledger): (&Log, &Ledger),
    items: impl Iterator<Item = Result<bundle::Item, bundle::Error>>,
    plain: bool,
) -> Result<SharedFactors, Failure> {
    let bar = progress("comparing moduli", 0, plain);
    let shared = prepare::shared_factors(&station.hierarchy, (ledger, log), &station.scratch, items, |done, steps| {
        bar.set_length(steps);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let shared = shared?;
    for key in &shared.broken {
        eprintln!("coldroot: WARNING: {key}: its RSA key shares a prime with one of this bundle and is no secret");
    }
    if !shared.broken.is_empty() {
        eprintln!(
            "coldroot: behind this bundle: coldroot plan --revoke SERIAL --reason key-compromise, for each of them"
        );
    }
    Ok(shared)
}

/// A bundle that was received and can be planned no more (it has expired, say) is not mended by its desk, whose next ones wait
/// behind it: its plan is voided.
fn way_out(ledger: &Ledger, bundle: Digest) -> impl Fn(Failure) -> Failure + use<> {
    let plan = ledger.unanswered().filter(|(waits, _)| waits.digest == bundle).and_then(|(_, plan)| plan);
    move |failure| {
        match plan {
        None => failure,
        Some(plan) => failure.next(format!(
            "this bundle was received and needs an answer; if it cannot be planned again: coldroot void --plan out/plan-{}.plan \
             --reason TEXT --operator ID --witness ID",
            &plan.hex()[..8]
        )),
    }
    }
}

/// The release that the bundle answers, and its checkpoint, must be this log's: a directory that was put back to an earlier
/// state has not got what the desk has seen.
fn judge_answer(station: &Station, log: &Log, ledger: &Ledger, head: &bundle::Head) -> Result<(), Failure> {
    let Some(answered) = &head.answers.checkpoint else { return Ok(()) };
    let key = VerifierKey::parse(&log.genesis()?.verifier_key).map_err(audit::Error::from)?;
    let seen = note::open(answered, &key).map_err(|e| {
        let what = format!("the checkpoint that the bundle answers is not of this log: {e}");
        Failure::refused(what, "the desk must answer the last release of this station")
    })?;
    if ledger.in_a_gap(head.answers.release, seen.size) {
        eprintln!(
            "coldroot: desk `{}` has release {} with {} entries, which this log has lost: entry log-adopted tells of it",
            head.desk, head.answers.release, seen.size
        );
        return Ok(());
    }
    let held = log.sealed_size();
    let halt = |what: String| Failure { code: Code::Halted, what, hint: Some(station.restore_hint()) };
    if seen.size > held || head.answers.release > ledger.release {
        let (number, last) = (head.answers.release, ledger.release);
        return Err(halt(format!(
            "the desk has release {number}, with {} log entries; this directory knows release {last}, with {held}",
            seen.size
        )));
    }
    if log.root_at(seen.size)? != seen.root {
        return Err(halt(format!("the desk has seen another log: another root at {} entries", seen.size)));
    }
    // The checkpoint of a release is the one that seals its end entry.
    let ends = ledger.plans.values().filter_map(|state| state.end.as_ref());
    let end = ends.filter(|(_, end)| end.release == head.answers.release).map(|(index, _)| *index).next();
    match end {
        Some(index) if index < seen.size => Ok(()),
        _ => Err(Failure::refused(
            format!(
                "the bundle answers release {} with a checkpoint of {} entries, which is an earlier release's",
                head.answers.release, seen.size
            ),
            "the desk must pack it again: --answers with the release that --release numbers",
        )),
    }
}

/// A desk that has had an answer of this station says what it has: a whole machine that was put back to an earlier state, token
/// and all, is found out by nothing else.
fn judge_silence(station: &Station, ledger: &Ledger, head: &bundle::Head) -> Result<(), Failure> {
    let answered = |state: &PlanState| state.released && state.bundle.as_ref().is_some_and(|b| b.desk == head.desk);
    if head.answers.checkpoint.is_some() || !ledger.plans.values().any(answered) {
        return Ok(());
    }
    let what =
        format!("the bundle does not say which release desk `{}` has, so it cannot show an old directory", head.desk);
    match station.hierarchy.environment {
        Environment::Real => Err(Failure::refused(
            what,
            "have the desk pack it again: --answers RELEASE --release N, the last one it has",
        )),
        Environment::Rehearsal => {
            eprintln!("coldroot: WARNING: {what}; a real hierarchy would refuse it");
            Ok(())
        }
    }
}

/// What the desk may bring at once, and in 24 hours.
fn judge_limits(station: &Station, ledger: &Ledger, head: &bundle::Head, new: bool) -> Result<(), Failure> {
    let Some(desk) = station.hierarchy.desk(&head.desk) else { return Ok(()) };
    head.judge_limits(desk)?;
    if !new {
        // It was counted when it came.
        return Ok(());
    }
    let (items, revocations) = ledger.last_day(&desk.id, station.now());
    let day = [
        ("items", items, head.items(), desk.max_items_per_day),
        ("revocations", revocations, head.revocations, desk.max_revocations_per_day),
    ];
    for (what, before, now, limit) in day {
        let sum = before.saturating_add(now);
        if let Some(limit) = limit.filter(|limit| sum > *limit) {
            return Err(Failure::refused(
                format!(
                    "with this bundle's {now} {what} desk `{}` brings {sum} in 24 hours; it may bring {limit}",
                    desk.id
                ),
                "plan it a day after the last ones, or have the desk pack fewer",
            ));
        }
    }
    Ok(())
}

/// True for a bundle that is new here; false for the last one, planned again because its plan was not carried out.
fn judge_order(ledger: &Ledger, bundle: &BundleRef) -> Result<bool, Failure> {
    let answered = ledger.plans.values().any(|state| state.end.is_some() && state.bundle.as_ref() == Some(bundle));
    if let Some((other, plan)) = ledger.unanswered().filter(|(other, _)| *other != bundle && other.desk != bundle.desk)
    {
        return Err(waiting(other, plan));
    }
    let last = ledger.bundles.get(&bundle.desk);
    if answered {
        return Err(Failure::refused(
            format!("bundle {} of desk `{}` was answered already", bundle.sequence, bundle.desk),
            "its release lies in out/; the desk's next bundle has the next number",
        ));
    }
    match last {
        Some(last) if last == bundle => Ok(false),
        Some(last) if last.sequence == bundle.sequence => Err(Failure::refused(
            format!("another bundle of desk `{}` has the number {}", bundle.desk, bundle.sequence),
            "two bundles under one number: ask the desk which one is true; the other must get a new number",
        )),
        _ => {
            let expected = last.map_or(1, |l| l.sequence + 1);
            // Bundles that were answered in a gap are not known: the desk knows its number.
            let next =
                bundle.sequence == expected || (bundle.sequence > expected && ledger.number_unknown(&bundle.desk));
            match (next, ledger.unanswered()) {
                // The desk's own last bundle: were this one taken, that one could never be answered.
                (true, Some((waits, plan))) => Err(waiting(waits, plan)),
                (true, None) => Ok(true),
                (false, _) => Err(Failure::refused(
                    format!(
                        "bundle {} of desk `{}` is out of order: number {expected} is expected",
                        bundle.sequence, bundle.desk
                    ),
                    format!(
                        "bring bundle {expected} first, or have the desk pack this one with that number; has the desk the answer \
                         to {expected}, this directory is old: restore the newest copy"
                    ),
                )),
            }
        }
    }
}
