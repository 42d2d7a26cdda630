//! `plan`: the exact outcome of a ceremony or a bundle, before any key is used.
//!
//! ```text
//! bundle → in/, MediumRead → fsync  a cut leaves a copy that the next run removes; a refusal ends here, on record
//! bundle → artefact, fsync          a cut leaves an artefact that no entry names
//! plan → artefact, fsync            the same
//! BundleReceived, Planned → fsync   the plan exists; unsealed until the next login
//! copies in out/, each fsynced      made again by the same command: a plan not signed costs nothing. Flushed before anybody can
//!                                   approve them: a plan that was started can be finished with this copy alone
//! the same on the medium            as `media::write_out` has it; the copies in out/ are whole
//! ```

mod bundle;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::audit::Log;
use crate::audit::entry::{Body, Entry};
use crate::config::{Act, Ceremony, Environment, Hierarchy};
use crate::digest::{Digest, Tagger};
use crate::ledger::Ledger;
use crate::linter;
use crate::plan::{self, BundleRef, Head, Plan};
use crate::prepare::{self, Context, Draw, Lint, Linters};
use crate::report::terminal::human_count;
use crate::weak_keys::BlockLists;

use bundle::from_bundle;
use source::Source;

use super::station::Station;
use super::{Answer, Failure, Globals, carry, flushed};

/// Makes a plan.
#[derive(Args, Default)]
#[command(
    after_help = "A ceremony that makes keys is planned twice: first its keys; once they are on record, run the same \
    command again for its certificates.\n\nExamples:\n  \
    coldroot plan --ceremony root-and-intermediate.toml\n  coldroot plan --bundle /media/stick/monday.bundle\n  \
    coldroot plan --revoke 5f0a41...c9 --reason key-compromise\n  coldroot plan --crl xmpp-1"
)]
pub struct PlanArgs {
    /// A ceremony file
    #[arg(long, value_name = "FILE")]
    pub ceremony: Option<PathBuf>,
    /// A bundle from a desk
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// Revoke the certificate with this serial number, in hex; give several. The CRL stands in the same plan
    #[arg(long, value_name = "SERIAL")]
    pub revoke: Vec<String>,
    /// A new CRL of this CA; give several
    #[arg(long, value_name = "CA")]
    pub crl: Vec<String>,
    /// Why those are revoked: unspecified, key-compromise, ca-compromise, affiliation-changed, superseded,
    /// cessation-of-operation, privilege-withdrawn
    #[arg(long, value_name = "REASON", requires = "revoke")]
    pub reason: Option<String>,
    /// A mounted medium: plan and statement are written there too, for the officers
    #[arg(long, value_name = "DIR")]
    pub media: Option<PathBuf>,
}

/// Octets of the seed that come from the token.
const SEED: u32 = 32;

pub fn plan(globals: &Globals, args: PlanArgs) -> Result<Answer, Failure> {
    let station = Station::load(globals)?;
    let source = Source::of(&args)?;
    let (mut log, ledger) = station.open_log()?;
    let ceremony = source.ceremony(&station, &log, &ledger)?;
    if let Some((open, state)) = ledger.open_plan() {
        return Err(Failure::refused(
            format!("plan {open} was started and its release is not written"),
            match state.void {
                None => "finish it first: run `coldroot sign` with it again, or end it with `coldroot void`",
                Some(_) => "it was voided: run `coldroot void` with it again",
            },
        ));
    }
    let medium = args.media.as_deref().map(carry::judge).transpose()?;
    for warning in judge_protection(&station.hierarchy, &ledger, ceremony.as_ref())? {
        eprintln!("coldroot: WARNING: {warning}");
    }
    let asks = ceremony.iter().flat_map(|ceremony| &ceremony.acts).filter_map(|act| match act {
        Act::Csr { ca } => Some(ca.as_str()),
        _ => None,
    });
    let issuers = super::adopt_certificate::issuers(&station, asks)?;
    let draw = draw(&station, &ledger, ceremony.as_ref())?;
    // Linters are programs, and the sandbox starts none.
    let mut linters = linter::Host::start(&station.hierarchy, &station.dir);
    // A ceremony has been read; a bundle has not.
    station.enter_sandbox(&args.bundle.iter().map(PathBuf::as_path).collect::<Vec<_>>(), args.media.as_deref())?;
    let unfinished = station.out_dir()?.join("plan");
    // No list of compromised keys stands before a revocation.
    let lists = match ceremony.as_ref().is_some_and(urgent) {
        true => BlockLists::default(),
        false => BlockLists::open(&station.dir, &station.hierarchy.block_lists, &station.scratch)?,
    };
    let mut file = flushed::beside(&unfinished)?;
    let (head, received) = match (&ceremony, source) {
        (None, Source::Bundle(path)) => from_bundle(
            &station,
            (&mut log, &ledger, &lists),
            (draw, &mut linters),
            path,
            (file.as_file_mut(), medium.as_ref()),
            globals.plain,
        )?,
        (ceremony, _) => {
            let ceremony =
                ceremony.as_ref().ok_or_else(|| Failure::usage("nothing to plan", "coldroot plan --help"))?;
            judge_overtaking(&ledger, ceremony)?;
            let head = from_ceremony(
                &station,
                (&log, &ledger, &lists),
                (draw, &issuers, &mut linters),
                ceremony,
                file.as_file_mut(),
            )?;
            carry::has_room(medium.as_ref(), file.as_file())?;
            (head, None)
        }
    };
    let outside = ceremony.iter().flat_map(|ceremony| &ceremony.acts).flat_map(Act::outside);
    let outside = outside.filter_map(|file| file.octets.as_deref()).filter(|_| head.kind == plan::Kind::Certificates);
    let digest = put_on_record(&mut log, station.now(), (&mut file, &head), outside, received)?;
    let (path, statement) = lie_in_out(&station, &unfinished, file, &head, &digest)?;
    let carried = medium.map(|dir| carry::out(&dir, &path, &statement)).transpose();
    let on_medium = carried?.and(args.media);
    Ok(answer(&station, &head, &statement, &path, on_medium.as_deref(), digest))
}

/// A bundle, how many items it has, and how many revocations among them.
type Received = (BundleRef, u64, u64);

/// The files from outside that the plan names, the plan itself, then the entries of the bundle and of the plan.
fn put_on_record<'a>(
    log: &mut Log,
    now: i64,
    (file, head): (&mut NamedTempFile, &Head),
    outside: impl Iterator<Item = &'a [u8]>,
    received: Option<Received>,
) -> Result<Digest, Failure> {
    file.as_file_mut().seek(SeekFrom::Start(0)).map_err(|e| Failure::io(file.path(), e))?;
    for octets in outside {
        log.put_artefact(octets)?;
    }
    let digest = log.put_artefact_from(file.as_file_mut())?;
    if let Some((bundle, count, revocations)) = received {
        log.append(&Entry::new(now, Body::BundleReceived { bundle, count, revocations }))?;
    }
    let planned = Body::Planned {
        plan: digest,
        kind: head.kind,
        items: head.items,
        refused: head.refused,
        bundle: head.bundle.clone(),
        counts: head.counts.clone(),
    };
    log.append(&Entry::new(now, planned))?;
    log.sync()?;
    Ok(digest)
}

/// Gives a plan that is on record its name in `out/`, and its statement one beside it: path and text.
fn lie_in_out(
    station: &Station,
    unfinished: &Path,
    file: NamedTempFile,
    head: &Head,
    digest: &Digest,
) -> Result<(PathBuf, String), Failure> {
    let path = station.out_dir()?.join(format!("plan-{}.plan", &digest.hex()[..8]));
    flushed::name(file, &path)?;
    let statement = plan::statement(head, digest);
    let statement_path = path.with_extension("statement");
    // By the way of the plan's own unfinished file: what a cut leaves of either is replaced by the next plan.
    let mut file = flushed::beside(unfinished)?;
    file.write_all(statement.as_bytes()).map_err(|e| Failure::io(&statement_path, e))?;
    flushed::name(file, &statement_path)?;
    // The file that officers get is read back whole: a plan that does not open is no plan.
    Plan::open(&path)?;
    Ok((path, statement))
}

/// No key of a real hierarchy is made on a token of which a probe has found that it does not protect its keys, unless the
/// reviewed hierarchy says why. What is only to be warned of is returned, a clause each.
fn judge_protection(
    hierarchy: &Hierarchy,
    ledger: &Ledger,
    ceremony: Option<&Ceremony>,
) -> Result<Vec<String>, Failure> {
    let tokens: BTreeSet<&str> = ceremony
        .iter()
        .flat_map(|ceremony| &ceremony.acts)
        .filter_map(|act| match act {
            Act::GenerateKey { key } if !ledger.keys.contains_key(key) => hierarchy.key(key),
            _ => None,
        })
        .map(|key| key.token.as_str())
        .collect();
    let mut warnings = Vec::new();
    for id in tokens.into_iter().filter(|id| ledger.protected.get(*id) == Some(&false)) {
        let what = format!("token `{id}` does not protect its keys: the last probe of it got at one");
        match hierarchy.token(id).and_then(|token| token.accept_unprotected.as_ref()) {
            Some(reason) => warnings.push(format!("{what}; accepted: {reason}")),
            None if hierarchy.environment == Environment::Rehearsal => {
                warnings.push(format!("{what}; a real hierarchy would refuse to make keys on it"))
            }
            None => {
                return Err(Failure::refused(
                    what,
                    format!(
                        "take another token; or, mended: coldroot token probe {id}. A hierarchy may say, before `init`: [[token]] accept-unprotected = \"WHY\""
                    ),
                ));
            }
        }
    }
    Ok(warnings)
}

/// While a bundle waits for its answer, only revocations and CRLs go before it.
fn judge_overtaking(ledger: &Ledger, ceremony: &Ceremony) -> Result<(), Failure> {
    match ledger.unanswered() {
        Some((bundle, plan)) if !urgent(ceremony) => Err(waiting(bundle, plan)),
        _ => Ok(()),
    }
}

/// Revocations and CRLs alone.
fn urgent(ceremony: &Ceremony) -> bool {
    let urgent = |act: &Act| matches!(act, Act::Revoke { .. } | Act::Crl { .. } | Act::Step { .. });
    ceremony.acts.iter().all(urgent)
}

fn waiting(bundle: &BundleRef, plan: Option<Digest>) -> Failure {
    let plan = plan.map_or(String::new(), |p| format!(" (plan {})", &p.hex()[..8]));
    Failure::refused(
        format!("bundle {} of desk `{}` was received and has no answer yet{plan}", bundle.sequence, bundle.desk),
        "sign its plan, plan it again, or end it with `coldroot void`; only revocations and CRLs may go before it",
    )
}

fn context<'a>(
    station: &'a Station,
    (log, ledger, block_lists): (&'a Log, &'a Ledger, &'a BlockLists),
    (draw, issuers, linters): (Draw, &'a BTreeMap<String, Vec<u8>>, &'a mut dyn Linters),
    tagger: &'a Tagger,
    progress: &'a mut dyn FnMut(u64),
) -> Context<'a> {
    Context {
        hierarchy: &station.hierarchy,
        ledger,
        log,
        block_lists,
        issuers,
        now: station.now(),
        draw,
        tagger,
        lint: Lint::new(&station.hierarchy, linters, station.now()),
        scratch: &station.scratch,
        progress,
    }
}

/// The token's random numbers, from a public session, together with the operating system's. The tokens of keys that are to be
/// made are asked in the same process whether they are fit for them: no ceremony ends at a token that never could.
fn draw(station: &Station, ledger: &Ledger, ceremony: Option<&Ceremony>) -> Result<Draw, Failure> {
    let mut gate = station.start_gate()?;
    for act in ceremony.iter().flat_map(|ceremony| &ceremony.acts) {
        if let Act::GenerateKey { key } = act
            && !ledger.keys.contains_key(key)
            && let Some(key) = station.hierarchy.key(key)
        {
            gate.fit(&key.token, key.algorithm, false)?;
        }
    }
    let token = gate.random(SEED)?;
    gate.close()?;
    let mut system = [0; SEED as usize];
    getrandom::fill(&mut system)
        .map_err(|e| Failure::refused(format!("no random numbers: {e}"), "see to the operating system"))?;
    Ok(Draw::new(&token, &system))
}

fn from_ceremony(
    station: &Station,
    (log, ledger, lists): (&Log, &Ledger, &BlockLists),
    (draw, issuers, linters): (Draw, &BTreeMap<String, Vec<u8>>, &mut dyn Linters),
    ceremony: &Ceremony,
    out: &mut File,
) -> Result<Head, Failure> {
    let (tagger, mut silent) = (station.tagger(log)?, |_| {});
    let mut context = context(station, (log, ledger, lists), (draw, issuers, linters), &tagger, &mut silent);
    Ok(prepare::ceremony(&mut context, ceremony, out)?)
}

type Planned = (Head, Option<Received>);

fn answer(
    station: &Station,
    head: &Head,
    statement: &str,
    path: &Path,
    medium: Option<&Path>,
    digest: Digest,
) -> Answer {
    let text = format!(
        "{} to do, {} refused. Officers read and sign this statement:\n\n{statement}\n{}",
        human_count(head.items),
        human_count(head.refused),
        super::next::after_plan(station, head, path, medium)
    );
    let carried =
        medium.map_or(String::new(), |dir| format!("  written and read back in {} too\n", crate::text::path(dir)));
    let text = text + &carried;
    let json = json!({
        "plan": path.to_string_lossy(), "on-medium": medium.map(|dir| dir.to_string_lossy()), "digest": digest.hex(), "kind": head.kind, "items": head.items, "refused": head.refused,
        "sign-from": crate::text::utc(head.sign_from), "sign-until": crate::text::utc(head.sign_until), "statement": statement,
    });
    Answer::new(text, json)
}
