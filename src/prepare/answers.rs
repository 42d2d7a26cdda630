//! The answers to a bundle's requests on their way into the plan. Where linters judge them, they wait until all are known: only then
//! can some be drawn at random from the whole, and those be left out whose shape turned out to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

use crate::cbor::{self, FrameError};
use crate::plan::{self, Certificate, Item, MAX_FRAME, PlanWriter, Refusal};
use crate::policy::Refused;

use super::lint::{DRAWN, shape};
use super::{Context, Error};

/// After so many refusals in a row by linters nothing is wrong with the requests.
const IN_A_ROW: u64 = 100;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Answer {
    Certificate(Box<Certificate>),
    Refusal(Refusal),
}

/// Answers in the order of the bundle.
pub(super) struct Answers {
    /// Those that wait, in a file without a name; `None`: no linter, and each goes straight into the plan.
    waiting: Option<BufWriter<File>>,
    /// The shape of each certificate, by its number in `shapes`.
    of: Vec<u32>,
    shapes: BTreeMap<String, u32>,
    /// CA and profile of what came into the plan, each once.
    issued: Vec<(String, String)>,
}

impl Answers {
    pub(super) fn new(context: &Context) -> Result<Answers, Error> {
        let wanted = context.hierarchy.linters.is_empty();
        let file = (!wanted).then(|| tempfile::tempfile_in(context.scratch)).transpose();
        let waiting = file.map_err(plan::Error::from)?.map(BufWriter::new);
        Ok(Answers { waiting, of: Vec::new(), shapes: BTreeMap::new(), issued: Vec::new() })
    }

    pub(super) fn certificate(&mut self, certificate: Certificate, writer: &mut PlanWriter) -> Result<(), Error> {
        match &mut self.waiting {
            None => write(&mut self.issued, Box::new(certificate), writer),
            Some(file) => {
                let next = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
                self.of.push(*self.shapes.entry(shape(&certificate)).or_insert(next));
                wait(file, &Answer::Certificate(Box::new(certificate)))
            }
        }
    }

    pub(super) fn refusal(&mut self, refusal: Refusal, writer: &mut PlanWriter) -> Result<(), Error> {
        match &mut self.waiting {
            None => Ok(writer.refusal(&refusal)?),
            Some(file) => wait(file, &Answer::Refusal(refusal)),
        }
    }

    /// Has those that waited linted, and writes them into the plan. Gives CA and profile of all that came into it.
    pub(super) fn settle(
        mut self,
        context: &mut Context,
        writer: &mut PlanWriter,
    ) -> Result<Vec<(String, String)>, Error> {
        let Some(file) = self.waiting else { return Ok(self.issued) };
        let mut file = file.into_inner().map_err(|e| plan::Error::Io(e.into_error()))?;
        let chosen = chosen(context, &self.of);
        let mut verdicts: BTreeMap<usize, Result<(), Refused>> = BTreeMap::new();
        let mut wrong: BTreeSet<u32> = BTreeSet::new();
        each(&mut file, |n, answer| {
            if let (Some(n), Answer::Certificate(certificate)) = (n, answer)
                && chosen.contains(&n)
            {
                let verdict = context.lint.certificate(&certificate)?;
                if verdict.is_err() {
                    wrong.extend(self.of.get(n));
                }
                verdicts.insert(n, verdict);
            }
            Ok(())
        })?;
        let mut in_a_row = 0;
        each(&mut file, |n, answer| {
            let (n, certificate) = match (n, answer) {
                (Some(n), Answer::Certificate(certificate)) => (n, certificate),
                (_, Answer::Refusal(refusal)) => return Ok(writer.refusal(&refusal)?),
                _ => return Ok(()),
            };
            let verdict = match verdicts.remove(&n) {
                Some(verdict) => verdict,
                None if self.of.get(n).is_some_and(|shape| wrong.contains(shape)) => {
                    context.lint.certificate(&certificate)?
                }
                None => Ok(()),
            };
            match verdict {
                Ok(()) => {
                    in_a_row = 0;
                    write(&mut self.issued, certificate, writer)
                }
                Err(refused) => {
                    in_a_row += 1;
                    if in_a_row == IN_A_ROW {
                        return Err(Error::LintedOut { count: IN_A_ROW, reason: refused.reason });
                    }
                    Ok(writer.refusal(&refused.for_request(certificate.request.as_deref().unwrap_or_default()))?)
                }
            }
        })?;
        Ok(self.issued)
    }
}

fn write(
    issued: &mut Vec<(String, String)>,
    certificate: Box<Certificate>,
    writer: &mut PlanWriter,
) -> Result<(), Error> {
    if !issued.iter().any(|(ca, profile)| *ca == certificate.ca && *profile == certificate.profile) {
        issued.push((certificate.ca.clone(), certificate.profile.clone()));
    }
    Ok(writer.item(&Item::Certificate(certificate))?)
}

/// The first certificate of each shape, and some of the rest.
fn chosen(context: &mut Context, of: &[u32]) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let (mut chosen, mut rest) = (BTreeSet::new(), Vec::new());
    for (n, shape) in of.iter().enumerate() {
        if seen.insert(*shape) {
            chosen.insert(n);
        } else {
            rest.push(n);
        }
    }
    for _ in 0..DRAWN.min(rest.len()) {
        let place = context.draw.below(rest.len());
        chosen.insert(rest.swap_remove(place));
    }
    chosen
}

fn wait(file: &mut BufWriter<File>, answer: &Answer) -> Result<(), Error> {
    let bytes = cbor::to_vec(answer).map_err(|cause| plan::Error::Damaged { part: 0, cause })?;
    cbor::write_frame(file, &bytes).map_err(plan::Error::from)?;
    Ok(())
}

/// Every answer in order, a certificate with its number among them.
fn each(file: &mut File, mut take: impl FnMut(Option<usize>, Answer) -> Result<(), Error>) -> Result<(), Error> {
    file.seek(SeekFrom::Start(0)).map_err(plan::Error::from)?;
    let mut reader = BufReader::new(file);
    let mut n = 0;
    let damaged = |cause| plan::Error::Damaged { part: 0, cause };
    let frame = |e| match e {
        FrameError::Io(e) => plan::Error::Io(e),
        FrameError::Cbor(cause) => damaged(cause),
    };
    while let Some(bytes) = cbor::read_frame(&mut reader, MAX_FRAME).map_err(frame)? {
        let answer: Answer = cbor::from_slice(&bytes).map_err(damaged)?;
        let number = matches!(answer, Answer::Certificate(_)).then_some(n);
        n += usize::from(number.is_some());
        take(number, answer)?;
    }
    Ok(())
}
