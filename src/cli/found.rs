//! What a run that was stopped has left, and what this one does about it: told before anything is asked or done.

use serde_json::{Value, json};

use crate::audit::Log;
use crate::ledger::PlanState;
use crate::plan::{Kind, Plan};
use crate::report::terminal::{human_count, pairs};
use crate::text::{escape, utc};

use super::{Failure, run};

/// What is on record of a plan that was begun before.
pub(super) struct Found<'a> {
    log: &'a Log,
    plan: &'a Plan,
    state: &'a PlanState,
}

impl<'a> Found<'a> {
    pub(super) fn new(log: &'a Log, plan: &'a Plan, state: &'a PlanState) -> Found<'a> {
        Found { log, plan, state }
    }

    /// Tells the operator; nothing where there is nothing to tell.
    pub(super) fn tell(&self) -> Result<(), Failure> {
        if let Some(rows) = self.rows()? {
            eprintln!("coldroot: an earlier run was stopped; this one goes on with it\n\n{}", pairs(&rows));
        } else if self.log.cut() > 0 {
            eprintln!("coldroot: an earlier run was stopped: {} were removed from the log", self.cut());
        }
        Ok(())
    }

    /// The same for machines; null for a plan that begins.
    pub(super) fn json(&self) -> Value {
        match self.state.start.is_some() || self.state.void.is_some() {
            true => json!({ "done": self.state.done, "refused": self.state.answered, "ended": self.state.end.is_some(),
                "cut": self.log.cut() }),
            false => Value::Null,
        }
    }

    fn rows(&self) -> Result<Option<Vec<(&'static str, String)>>, Failure> {
        if self.state.start.is_none() && self.state.void.is_none() {
            return Ok(None);
        }
        let (index, start) = run::begun(self.state)?;
        let (of, state) = (self.plan.head(), self.state);
        let (begun, time) = (if state.start.is_some() { "started" } else { "voided" }, self.log.entry(index)?.time);
        let mut rows = vec![
            (begun, format!("{} by {}, {} watching", utc(time), escape(&start.operator), escape(&start.witness))),
            ("on record", format!("{} of {} items", human_count(state.done), human_count(of.items))),
        ];
        if of.refused > 0 && state.void.is_none() {
            rows.push(("answered", format!("{} of {} refusals", human_count(state.answered), human_count(of.refused))));
        }
        if self.log.cut() > 0 {
            rows.push(("removed", self.cut()));
        }
        rows.push(("now", self.next()));
        Ok(Some(rows))
    }

    fn next(&self) -> String {
        let (items, state) = (self.plan.head().items, self.state);
        match (&state.end, &state.void) {
            (Some((_, end)), _) => format!("release {} is written; nothing is signed", end.release),
            (None, Some(_)) => "what is not done is answered, and the plan ends".into(),
            (None, None) if state.done == items => "nothing is left to sign; the release is made".into(),
            (None, None) if self.plan.head().kind == Kind::Keys => {
                format!("goes on with item {} of {items}; what was made and not recorded is adopted", state.done + 1)
            }
            (None, None) => {
                format!("goes on with item {} of {items}; the approvals of the start count", state.done + 1)
            }
        }
    }

    fn cut(&self) -> String {
        format!("{} octets of an unfinished record", human_count(self.log.cut()))
    }
}
