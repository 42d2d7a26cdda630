//! The report of a probe and its verdict. Stored as an artefact (JSON): a change needs a new format.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::algorithm::KeyAlgorithm;
use crate::config::{Hierarchy, Token};
use crate::token::probe::{Facts, Guarded, Taken};

pub const FORMAT: &str = "coldroot-probe-v0";

/// What the hierarchy asks of the token.
pub struct Wanted {
    /// Key ids by their algorithm, the audit key among them.
    pub keys: BTreeMap<KeyAlgorithm, Vec<String>>,
    /// Algorithms of the keys that issue end-entity certificates: what a batch waits for.
    pub issuing: Vec<KeyAlgorithm>,
    /// The token carries audit key and mark.
    pub audit: bool,
    pub sessions: u32,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    pub format: &'static str,
    pub program: &'static str,
    /// The token's id in the hierarchy.
    pub token: String,
    pub label: String,
    pub serial: String,
    /// The station's clock, seconds since the epoch.
    pub time: i64,
    pub quick: bool,
    pub verdict: Verdict,
    pub facts: Option<Facts>,
    pub keys: Vec<Kind>,
    pub template: Vec<Attribute>,
    pub protection: Vec<Protection>,
    pub sessions: Outcome,
    /// How many could be open beside the worker's own.
    pub sessions_opened: u32,
    pub data: Outcome,
    /// Objects that were left and are removed, and those that are not the probe's to remove.
    pub swept: Outcome,
    pub speed: Vec<Speed>,
    pub batch: u64,
}

/// What came of a step, in the module's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "said")]
pub enum Outcome {
    Works,
    Refused(String),
    /// The answer was wrong: a signature that does not verify, an object that reads back changed.
    Wrong(String),
    Hangs(String),
    Crashes(String),
    NotTried(String),
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kind {
    pub algorithm: KeyAlgorithm,
    /// The keys of the hierarchy that are of this kind.
    pub wanted_by: Vec<String>,
    /// What the module's list of mechanisms says; `None`: it could not be read.
    pub claimed: Option<bool>,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The module took the lean template only.
    pub lean: bool,
    /// The longest message that was signed whole, and what came of the next longer one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest: Option<Longest>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Longest {
    pub octets: u32,
    pub failing: Option<(u32, Outcome)>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attribute {
    pub attribute: &'static str,
    #[serde(flatten)]
    pub result: Result<Taken, Outcome>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Protection {
    pub algorithm: KeyAlgorithm,
    pub attempt: &'static str,
    pub meaning: &'static str,
    #[serde(flatten)]
    pub result: Result<Guarded, Outcome>,
}

/// One burst.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Speed {
    pub algorithm: KeyAlgorithm,
    pub sessions: u32,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub signatures: u64,
    pub microseconds: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// The token does all that the hierarchy asks of it.
    pub able: bool,
    /// `Some(false)`: a key was got at. `None`: it could not be tried, or not all of it.
    pub protected: Option<bool>,
    /// What the hierarchy asks and the token does not do.
    pub missing: Vec<String>,
    /// What is wrong with the token, whether the hierarchy needs it or not.
    pub findings: Vec<String>,
    /// The fewest sessions that are about as fast as any.
    pub sessions: Option<u32>,
}

impl Wanted {
    pub fn of(hierarchy: &Hierarchy, token: &Token) -> Wanted {
        let mut keys: BTreeMap<KeyAlgorithm, Vec<String>> = BTreeMap::new();
        for key in hierarchy.keys.iter().filter(|key| key.token == token.id) {
            keys.entry(key.algorithm).or_default().push(key.id.clone());
        }
        let audit = hierarchy.audit_token == token.id;
        if audit {
            keys.entry(hierarchy.audit_algorithm).or_default().push("audit".into());
        }
        let of_issuer = |ca: &str| hierarchy.ca(ca).and_then(|ca| hierarchy.key(&ca.key));
        let mut issuing: Vec<KeyAlgorithm> = hierarchy
            .profiles
            .iter()
            .filter_map(|profile| of_issuer(profile.issuer.as_deref()?))
            .filter(|key| key.token == token.id)
            .map(|key| key.algorithm)
            .collect();
        issuing.sort();
        issuing.dedup();
        Wanted { keys, issuing, audit, sessions: token.sessions }
    }

    pub fn by(&self, algorithm: KeyAlgorithm) -> Vec<String> {
        self.keys.get(&algorithm).cloned().unwrap_or_default()
    }
}

impl Outcome {
    /// One clause for people; the words come from the module and are not escaped yet.
    pub fn words(&self) -> String {
        match self {
            Outcome::Works => "works".into(),
            Outcome::Refused(said) => format!("refused: {said}"),
            Outcome::Wrong(said) => format!("WRONG: {said}"),
            Outcome::Hangs(said) => format!("HANGS: {said}"),
            Outcome::Crashes(said) => format!("CRASHES: {said}"),
            Outcome::NotTried(why) => format!("not tried: {why}"),
        }
    }
}

impl Speed {
    /// Signatures in a thousand seconds: whole numbers compare well even where one takes seconds.
    pub fn rate(&self) -> u128 {
        u128::from(self.signatures) * 1_000_000_000 / u128::from(self.microseconds.max(1))
    }

    /// How long `batch` signatures take.
    pub fn time(&self, batch: u64) -> std::time::Duration {
        let each = u128::from(self.microseconds) * u128::from(batch) / u128::from(self.signatures.max(1));
        std::time::Duration::from_micros(u64::try_from(each).unwrap_or(u64::MAX))
    }
}

impl Verdict {
    pub fn good(&self) -> bool {
        self.able && self.protected != Some(false)
    }

    pub fn of(report: &Report, wanted: &Wanted) -> Verdict {
        let mut verdict = Verdict { protected: protected(report), ..Verdict::default() };
        missing(report, wanted, &mut verdict);
        findings(report, &mut verdict);
        verdict.able = verdict.missing.is_empty();
        verdict.sessions = best_sessions(report, wanted);
        verdict
    }
}

/// A breach decides. Without one it is protected only if every attempt got an answer: what hangs has not refused.
fn protected(report: &Report) -> Option<bool> {
    let breached = |p: &Protection| matches!(p.result, Ok(Guarded::Breached(_)));
    if report.protection.iter().any(breached) {
        return Some(false);
    }
    let answered = report.protection.iter().all(|p| p.result.is_ok());
    (answered && !report.protection.is_empty()).then_some(true)
}

fn missing(report: &Report, wanted: &Wanted, verdict: &mut Verdict) {
    let mut lacks = |what: String| verdict.missing.push(what);
    for kind in report.keys.iter().filter(|kind| !kind.wanted_by.is_empty() && kind.outcome != Outcome::Works) {
        lacks(format!("{} for {}: {}", kind.algorithm, kind.wanted_by.join(", "), kind.outcome.words()));
    }
    if wanted.audit && report.data != Outcome::Works {
        lacks(format!("a private data object for the mark: {}", report.data.words()));
    }
    if let Outcome::Hangs(_) | Outcome::Crashes(_) = report.sessions {
        lacks(format!("parallel sessions: {}", report.sessions.words()));
    } else if report.sessions_opened < wanted.sessions {
        // Those that the worker has open are its own; a new worker needs as many.
        lacks(format!("{} sessions more: {} could be opened", wanted.sessions, report.sessions_opened));
    }
    for burst in
        report.speed.iter().filter(|burst| burst.sessions <= wanted.sessions && burst.outcome != Outcome::Works)
    {
        lacks(format!("{} in {} sessions at once: {}", burst.algorithm, burst.sessions, burst.outcome.words()));
    }
    if report.facts.as_ref().is_some_and(|facts| facts.write_protected) {
        lacks("the token is write-protected: no key can be made".into());
    }
    if report.protection.is_empty() {
        lacks("whether keys are protected could not be tried: no throw-away key could be made".into());
    }
    for p in &report.protection {
        if let Err(outcome) = &p.result {
            lacks(format!("an answer to \"{}\" ({}): {}", p.attempt, p.algorithm, outcome.words()));
        }
    }
}

fn findings(report: &Report, verdict: &mut Verdict) {
    let mut by_meaning: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for p in &report.protection {
        if let Ok(Guarded::Breached(_)) = &p.result {
            by_meaning.entry(p.meaning).or_default().push(format!("{}: {}", p.algorithm, p.attempt));
        }
    }
    for (meaning, how) in by_meaning {
        verdict.findings.push(format!("{meaning} ({})", how.join("; ")));
    }
    for kind in &report.keys {
        match (&kind.outcome, kind.claimed) {
            (Outcome::Wrong(said), _) => verdict.findings.push(format!("{} signs wrongly: {said}", kind.algorithm)),
            (Outcome::Hangs(_) | Outcome::Crashes(_), _) => {
                verdict.findings.push(format!("{}: {}", kind.algorithm, kind.outcome.words()))
            }
            (Outcome::Refused(_), Some(true)) => {
                verdict.findings.push(format!("{} stands in the list of mechanisms and does not work", kind.algorithm))
            }
            (Outcome::Works, Some(false)) => {
                verdict.findings.push(format!("{} works and does not stand in the list of mechanisms", kind.algorithm))
            }
            _ => {}
        }
    }
    for burst in &report.speed {
        if let Outcome::Wrong(said) = &burst.outcome {
            let what = format!("{} in {} sessions at once signs wrongly: {said}", burst.algorithm, burst.sessions);
            verdict.findings.push(what);
        }
    }
    if report.swept != Outcome::Works {
        verdict.findings.push(format!("objects of the probe are left on the token: {}", report.swept.words()));
    }
}

/// Of the algorithm that a batch waits for longest: the fewest sessions within a tenth of the best rate.
fn best_sessions(report: &Report, wanted: &Wanted) -> Option<u32> {
    let works = |burst: &&Speed| burst.outcome == Outcome::Works;
    let issuing = |burst: &&Speed| wanted.issuing.is_empty() || wanted.issuing.contains(&burst.algorithm);
    let bursts: Vec<&Speed> = report.speed.iter().filter(works).filter(issuing).collect();
    let best = |algorithm| bursts.iter().filter(|b| b.algorithm == algorithm).map(|b| b.rate()).max().unwrap_or(0);
    let slowest = bursts.iter().map(|burst| burst.algorithm).min_by_key(|algorithm| best(*algorithm))?;
    let enough = best(slowest) * 9 / 10;
    let mut of_it: Vec<&&Speed> = bursts.iter().filter(|b| b.algorithm == slowest && b.rate() >= enough).collect();
    of_it.sort_by_key(|burst| burst.sessions);
    of_it.first().map(|burst| burst.sessions)
}
