//! What linters said of a plan's items. Stored types: a change needs a new version.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// So many different findings of one linter stand in a plan; the rest is counted.
pub const MAX_FOUND: usize = 200;

/// How grave a finding is. What is less grave than a warning is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    Warning,
    Error,
    Fatal,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Level::Warning => "warning",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }
}

/// One linter's work on a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Linted {
    /// Its id in the hierarchy.
    pub linter: String,
    /// SHA-256 of the program's file, where it could be read.
    pub program: Option<Digest>,
    /// Items that it was given.
    pub linted: u64,
    /// Those of them that it refused.
    pub refused: u64,
    pub found: Vec<Found>,
    /// Findings of more kinds than [`MAX_FOUND`].
    pub more: u64,
    /// Why it was not asked about (the rest of) the CRLs of a plan that holds no certificates.
    pub not_linted: Option<String>,
}

/// One kind of finding about one shape of item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Found {
    /// The finding's name, as the linter writes it.
    pub finding: String,
    pub level: Level,
    /// The CA and what kind of thing it issues.
    pub shape: String,
    pub count: u64,
    /// The hierarchy accepts it, for this reason.
    pub accepted: Option<String>,
}

impl Linted {
    pub fn new(linter: &str, program: Option<Digest>) -> Linted {
        let (found, not_linted) = (Vec::new(), None);
        Linted { linter: linter.into(), program, linted: 0, refused: 0, found, more: 0, not_linted }
    }

    /// Counts one finding.
    pub fn count(&mut self, finding: &str, level: Level, shape: &str, accepted: Option<&str>) {
        let same = |f: &&mut Found| {
            f.finding == finding && f.level == level && f.shape == shape && f.accepted.as_deref() == accepted
        };
        if let Some(known) = self.found.iter_mut().find(same) {
            known.count += 1;
        } else if self.found.len() < MAX_FOUND {
            let (finding, shape, accepted) = (finding.into(), shape.into(), accepted.map(String::from));
            self.found.push(Found { finding, level, shape, count: 1, accepted });
        } else {
            self.more += 1;
        }
    }

    /// One line for people, its own text unescaped: how many items, and what came of them.
    pub fn summary(&self) -> String {
        let of = |is: fn(&&Found) -> bool| self.found.iter().filter(is).map(|f| f.count).sum::<u64>();
        let warnings = of(|f| f.accepted.is_none() && f.level == Level::Warning);
        let accepted = of(|f| f.accepted.is_some());
        let mut line = format!(
            "{} linted, {} refused, {warnings} warnings, {accepted} accepted findings",
            self.linted, self.refused
        );
        if let Some(why) = &self.not_linted {
            line.push_str(&format!(", the rest not linted: {why}"));
        }
        line
    }
}
