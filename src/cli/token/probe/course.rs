//! The course of a probe: which steps are asked, in which order, and what is made of the answers.

use std::collections::BTreeSet;

use indicatif::ProgressBar;

use crate::algorithm::KeyAlgorithm;
use crate::config::Token;
use crate::token::ask::Class;
use crate::token::probe::{Attempt, Burst, Found, Guarded, MESSAGE, Probed, SPEED_MESSAGE, Step, Trial, message};
use crate::x509;

use super::super::super::Failure;
use super::report::{Attribute, FORMAT, Kind, Longest, Outcome, Protection, Report, Speed, Verdict, Wanted};

/// Messages double from here.
const FIRST_MESSAGE: u32 = 4 << 10;
const LONGEST: u32 = 3 << 20;
const LONGEST_QUICK: u32 = 64 << 10;
const SESSIONS: u32 = 64;
const BURSTS: [u32; 3] = [1, 2, 4];

/// Asks one step.
pub type Ask<'a> = dyn FnMut(&Step) -> Result<Probed, Failure> + 'a;

pub struct Course<'a> {
    pub wanted: &'a Wanted,
    pub quick: bool,
    pub batch: u64,
    pub ask: &'a mut Ask<'a>,
    /// Says what is being tried, for who waits: making large keys takes a while.
    pub shown: ProgressBar,
}

impl Course<'_> {
    /// Asks everything. An error means that the token cannot be talked to any more; all else is a result.
    pub fn run(&mut self, token: &Token, time: i64) -> Result<Report, Failure> {
        self.says("what the token says of itself");
        let facts = match (self.ask)(&Step::Facts)? {
            Probed::Found(Found::Facts(facts)) => Some(*facts),
            _ => None,
        };
        let claims = facts.as_ref().map(|facts| facts.claims.clone());
        let mut report = Report {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION"),
            token: token.id.clone(),
            label: token.label.clone(),
            serial: token.serial.clone().unwrap_or_default(),
            time,
            quick: self.quick,
            verdict: Verdict::default(),
            facts,
            keys: Vec::new(),
            template: Vec::new(),
            protection: Vec::new(),
            sessions: Outcome::Works,
            sessions_opened: 0,
            data: Outcome::Works,
            swept: Outcome::Works,
            speed: Vec::new(),
            batch: self.batch,
        };
        for algorithm in KeyAlgorithm::ALL {
            let wanted_by = self.wanted.by(algorithm);
            if self.quick && wanted_by.is_empty() {
                continue;
            }
            self.says(format!("{algorithm}: make a pair, sign, verify"));
            let claimed = claims.as_ref().map(|claims| {
                claims.iter().any(|claim| claim.algorithm == algorithm && claim.generates && claim.signs)
            });
            let (outcome, lean) = self.signs(algorithm, MESSAGE, &Step::Sign { algorithm })?;
            report.keys.push(Kind { algorithm, wanted_by, claimed, outcome, lean, longest: None });
        }
        self.protection(&mut report)?;
        self.template(&mut report)?;
        self.limits(&mut report)?;
        self.longest(&mut report)?;
        self.speed(&mut report)?;
        self.says("nothing is left behind");
        report.swept = match (self.ask)(&Step::Sweep)? {
            Probed::Found(Found::Swept { left: 0, .. }) => Outcome::Works,
            Probed::Found(Found::Swept { left, .. }) => Outcome::Wrong(format!("{left} with the label of a probe")),
            other => outcome_of(other),
        };
        self.shown.finish_and_clear();
        report.verdict = Verdict::of(&report, self.wanted);
        Ok(report)
    }

    fn says(&self, what: impl Into<String>) {
        self.shown.inc(1);
        self.shown.set_message(what.into());
    }

    /// One signature, verified here: the judge is another library in another process than the module.
    fn signs(&mut self, algorithm: KeyAlgorithm, octets: u32, step: &Step) -> Result<(Outcome, bool), Failure> {
        Ok(match (self.ask)(step)? {
            Probed::Found(Found::Signed { spki, signature, lean }) => {
                (verified(algorithm, octets, &spki, &signature), lean)
            }
            other => (outcome_of(other), false),
        })
    }

    /// The attempts are made on one key of each family: what a token does with a kind of key, it does with all of its sizes.
    fn protection(&mut self, report: &mut Report) -> Result<(), Failure> {
        for algorithm in families(&report.keys) {
            for attempt in Attempt::ALL {
                self.says(format!("{algorithm}: {}", attempt.name()));
                let result = match (self.ask)(&Step::Protect { algorithm, attempt })? {
                    Probed::Found(Found::Guarded(guarded)) => Ok(guarded),
                    other => Err(outcome_of(other)),
                };
                let (attempt, meaning) = (attempt.name(), attempt.meaning());
                report.protection.push(Protection { algorithm, attempt, meaning, result });
            }
        }
        Ok(())
    }

    fn template(&mut self, report: &mut Report) -> Result<(), Failure> {
        let Some(algorithm) = families(&report.keys).first().copied() else { return Ok(()) };
        for trial in Trial::ALL {
            self.says(format!("template with {}", trial.name()));
            let result = match (self.ask)(&Step::Attribute { algorithm, trial })? {
                Probed::Found(Found::Attribute(taken)) => Ok(taken),
                other => Err(outcome_of(other)),
            };
            report.template.push(Attribute { attribute: trial.name(), result });
        }
        Ok(())
    }

    fn limits(&mut self, report: &mut Report) -> Result<(), Failure> {
        self.says("a data object for the mark");
        report.data = match (self.ask)(&Step::Data)? {
            Probed::Found(Found::Data) => Outcome::Works,
            other => outcome_of(other),
        };
        self.says("parallel sessions");
        let most = if self.quick { self.wanted.sessions.max(8) } else { SESSIONS };
        match (self.ask)(&Step::Sessions { most })? {
            Probed::Found(Found::Sessions { opened, refused }) => {
                report.sessions_opened = opened;
                report.sessions = refused.map_or(Outcome::Works, Outcome::Refused);
            }
            other => report.sessions = outcome_of(other),
        }
        Ok(())
    }

    /// Doubles the message until one fails. Only for what takes the whole of it into the token.
    fn longest(&mut self, report: &mut Report) -> Result<(), Failure> {
        let bound = if self.quick { LONGEST_QUICK } else { LONGEST };
        for kind in &mut report.keys {
            if kind.outcome != Outcome::Works || kind.algorithm.signs_with().longest_message().is_none() {
                continue;
            }
            let algorithm = kind.algorithm;
            let mut longest = Longest { octets: MESSAGE, failing: None };
            let mut octets = FIRST_MESSAGE;
            loop {
                self.says(format!("{algorithm}: a message of {octets} octets"));
                match self.signs(algorithm, octets, &Step::Message { algorithm, octets })?.0 {
                    Outcome::Works => longest.octets = octets,
                    failing => {
                        longest.failing = Some((octets, failing));
                        break;
                    }
                }
                if octets >= bound {
                    break;
                }
                octets = octets.saturating_mul(2).min(bound);
            }
            kind.longest = Some(longest);
        }
        Ok(())
    }

    /// The kinds of keys that the hierarchy declares on this token; where there are none, the first that works.
    fn speed(&mut self, report: &mut Report) -> Result<(), Failure> {
        let works: Vec<&Kind> = report.keys.iter().filter(|kind| kind.outcome == Outcome::Works).collect();
        let mut algorithms: Vec<KeyAlgorithm> =
            works.iter().filter(|kind| !kind.wanted_by.is_empty()).map(|kind| kind.algorithm).collect();
        if algorithms.is_empty() {
            algorithms.extend(works.first().map(|kind| kind.algorithm));
        }
        let milliseconds = if self.quick { 150 } else { 500 };
        let allowed = |sessions: u32| sessions == 1 || sessions <= report.sessions_opened;
        for algorithm in algorithms {
            for sessions in BURSTS.into_iter().filter(|sessions| allowed(*sessions)) {
                self.says(format!("{algorithm}: as fast as it goes in {sessions} sessions"));
                let step = Step::Speed { algorithm, sessions, milliseconds };
                let mut speed = Speed { algorithm, sessions, outcome: Outcome::Works, signatures: 0, microseconds: 0 };
                match (self.ask)(&step)? {
                    Probed::Found(Found::Burst(burst)) => {
                        (speed.signatures, speed.microseconds) = (burst.signatures, burst.microseconds);
                        speed.outcome = all_verified(algorithm, sessions, &burst);
                    }
                    other => speed.outcome = outcome_of(other),
                }
                report.speed.push(speed);
            }
        }
        Ok(())
    }
}

/// One working kind of each family, smallest first: its keys are made fastest.
fn families(keys: &[Kind]) -> Vec<KeyAlgorithm> {
    let mut seen = BTreeSet::new();
    let works = keys.iter().filter(|kind| kind.outcome == Outcome::Works);
    works.map(|kind| kind.algorithm).filter(|algorithm| seen.insert(family(*algorithm))).collect()
}

/// `ecdsa` of `ecdsa-p256`.
fn family(algorithm: KeyAlgorithm) -> &'static str {
    let name = algorithm.name();
    name.split_once('-').map_or(name, |(family, _)| family)
}

fn verified(algorithm: KeyAlgorithm, octets: u32, spki: &[u8], signature: &[u8]) -> Outcome {
    match x509::verify_signature(spki, algorithm.signs_with(), &message(octets), signature) {
        Ok(()) => Outcome::Works,
        Err(e) => Outcome::Wrong(e.to_string()),
    }
}

fn all_verified(algorithm: KeyAlgorithm, sessions: u32, burst: &Burst) -> Outcome {
    if u32::try_from(burst.samples.len()) != Ok(sessions) || burst.signatures == 0 {
        return Outcome::Wrong("not every session has signed".into());
    }
    let wrong = burst.samples.iter().map(|sample| verified(algorithm, SPEED_MESSAGE, &burst.spki, sample));
    wrong.into_iter().find(|outcome| *outcome != Outcome::Works).unwrap_or(Outcome::Works)
}

/// A step that did not find what it was asked for.
fn outcome_of(probed: Probed) -> Outcome {
    match probed {
        Probed::Failed(failure) if failure.class == Class::Protocol => Outcome::NotTried(failure.what),
        Probed::Failed(failure) => Outcome::Refused(failure.what),
        Probed::Lost { seconds: Some(seconds), call: Some(call), .. } => {
            Outcome::Hangs(format!("{call} gave no answer in {seconds} s"))
        }
        Probed::Lost { seconds: None, call: Some(call), .. } => {
            Outcome::Crashes(format!("the process ended in {call}"))
        }
        Probed::Lost { seconds: Some(_), what, .. } => Outcome::Hangs(what),
        Probed::Lost { seconds: None, what, .. } => Outcome::Crashes(what),
        Probed::Found(Found::Guarded(Guarded::NotTried(why))) => Outcome::NotTried(why),
        Probed::Found(_) => Outcome::Wrong("the worker answered another question".into()),
    }
}
