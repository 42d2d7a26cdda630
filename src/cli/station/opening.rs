//! Opening a station's log: folded, in force, and not behind its own time.

use crate::audit::entry::Body;
use crate::audit::{Log, artefact};
use crate::ledger::Ledger;

use super::super::{Failure, inbox};
use super::{Station, fold};

impl Station {
    /// Opens the log for writing and folds it.
    pub fn open_log(&self) -> Result<(Log, Ledger), Failure> {
        let (log, ledger) = self.open_log_whatever_the_clock_says()?;
        self.judge_clock(&ledger)?;
        Ok((log, ledger))
    }

    /// The same for what corrects the clock.
    pub fn open_log_whatever_the_clock_says(&self) -> Result<(Log, Ledger), Failure> {
        let (log, ledger) = self.open_log_whatever_is_in_force()?;
        match ledger.changed.hierarchy == self.hierarchy.digest {
            true => Ok((log, ledger)),
            false => Err(self.not_in_force(&ledger)),
        }
    }

    /// The same for what adopts another hierarchy.
    pub fn open_log_whatever_is_in_force(&self) -> Result<(Log, Ledger), Failure> {
        if !self.begun() {
            let what = format!("{} holds no audit log yet", crate::text::path(&self.dir));
            return Err(Failure::refused(what, format!("coldroot --station {} init", crate::text::shell(&self.dir))));
        }
        let log = Log::open(&self.audit_dir())?;
        inbox::tidy(&self.dir.join("in"))?;
        let ledger = fold(&log, self.plain)?;
        match &ledger.genesis {
            Some(_) => {
                *self.pin_sets.borrow_mut() = ledger.pin_sets.clone();
                *self.changes.borrow_mut() = ledger.changed.made.clone();
                *self.token.borrow_mut() = ledger.changed.token.clone();
                self.latest.set(last_time(&log)?);
                Ok((log, ledger))
            }
            None => Err(Failure::refused(
                "the log has no genesis entry",
                format!("coldroot --station {} init", crate::text::shell(&self.dir)),
            )),
        }
    }

    /// Why nothing goes on: the file is not the hierarchy that the log says is in force.
    pub fn not_in_force(&self, ledger: &Ledger) -> Failure {
        let in_force = ledger.changed.hierarchy;
        let file = crate::text::shell(self.audit_dir().join(artefact::path(&in_force)));
        let first = ledger.genesis.as_ref().is_some_and(|genesis| genesis.hierarchy == in_force);
        match first {
            true => Failure::refused(
                "hierarchy.toml is not the one that this log was begun with",
                format!(
                    "put back the file whose SHA-256 the genesis entry names, an artefact of the audit directory. Was this file adopted \
                     later, that directory is older: {}",
                    self.restore_hint()
                ),
            ),
            false => Failure::refused(
                format!("hierarchy.toml is not the one in force, whose SHA-256 is {in_force}"),
                format!(
                    "an adoption was stopped: run `coldroot adopt-hierarchy` again; or put the file back, which is {file}. Is this file the \
                     one that was adopted last, the audit directory is older: {}",
                    self.restore_hint()
                ),
            ),
        }
    }

    /// The clock may not stand before the log's last entry: what is dated by it would be signed in the past.
    pub fn judge_clock(&self, ledger: &Ledger) -> Result<(), Failure> {
        self.judge_floor(ledger)?;
        let (last, now) = (self.latest.get(), self.clock());
        match now < last {
            false => Ok(()),
            true => Err(Failure::refused(
                format!(
                    "the clock says {}, but the log's last entry is of {}",
                    crate::text::utc(now),
                    crate::text::utc(last)
                ),
                format!(
                    "set the clock, after a look at another one; if it is right, and had run ahead before: coldroot --station {} \
                     correct-clock --help",
                    crate::text::shell(&self.dir)
                ),
            )),
        }
    }

    /// Nor before what a witness has read from another clock: that time has passed, and no quorum takes it back.
    pub fn judge_floor(&self, ledger: &Ledger) -> Result<(), Failure> {
        let (floor, now) = (ledger.changed.floor, self.clock());
        match now < floor {
            false => Ok(()),
            true => Err(Failure::refused(
                format!(
                    "the clock says {}, but a witness has read {} from another one",
                    crate::text::utc(now),
                    crate::text::utc(floor)
                ),
                "set the clock, after a look at another one",
            )),
        }
    }
}

/// When the log was last written. That a file was read in or put on record does not count: a clock that has run ahead is noticed
/// by just that, when a bundle has expired, and must not bind the station for it. Nor does an adopted log: its entry is dated by the clock
/// whatever stands before it, and a clock that had run ahead is corrected by a decision of its own.
fn last_time(log: &Log) -> Result<i64, Failure> {
    for index in (0..log.size()).rev() {
        let entry = log.entry(index)?;
        if !put_on_record(&entry.body) && !matches!(entry.body, Body::LogAdopted(_)) {
            return Ok(entry.time);
        }
    }
    Ok(i64::MIN)
}

pub(super) fn put_on_record(body: &Body) -> bool {
    matches!(
        body,
        Body::MediumRead { .. } | Body::Evidence(_) | Body::Deviation { .. } | Body::Step { .. } | Body::Sampled(_)
    )
}
