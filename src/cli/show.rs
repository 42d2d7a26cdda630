//! `show`: what a file is and what it says, read from its bytes.

mod beside;
mod bundle;
mod certificate;
mod difference;
mod hierarchy;
mod item;
mod lints;
mod log;
mod plan;
mod profile;
mod release;
mod shape;
mod withheld;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::report::sheet::{MAX_ROWS, Sheet};
use crate::text::page;

use super::entries::Filter;
use super::part::{self, Thing};
use super::recognise::{self, Kind};
use super::sheet::SheetArgs;
use super::{Answer, Failure, Globals, against, alone, clock, proofs};
pub use certificate::{certificate_sheet, crl_sheet, names};
pub use log::body_words;
#[cfg(feature = "station")]
pub use plan::refusal_list;
pub use plan::{agrees, crls_say_so, refusal_rows};

/// Shows something.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  coldroot show out/plan-3f2a9c01.plan\n  coldroot show out/plan-3f2a9c01.plan --item 0\n  \
    coldroot show audit\n  coldroot show certs/chat.pem\n  \
    coldroot show audit --kind refused --since 2026-11-01\n  \
    coldroot show log --serial 4F:3A:90:17:AA --json\n  \
    coldroot show --diff rehearsal.plan real.plan --strict\n  \
    coldroot show hierarchy.toml --profile web --pem | openssl x509 -noout -text\n  \
    coldroot show audit --person alice --all\n  \
    coldroot show out/plan-3f2a9c01.plan --html plan.html\n  \
    coldroot show out/plan-3f2a9c01.plan --qr"
)]
pub struct ShowArgs {
    /// Plan, bundle, release, log, checkpoint, proof, statement, hierarchy, ceremony, certificate, CRL, request, withheld artefact;
    /// a signature, a key, a directory, or any other file of a station or a release
    path: PathBuf,
    /// One item of a plan, from 0: every field of what would be signed
    #[arg(long, value_name = "N")]
    item: Option<u64>,
    /// What differs between OLD and PATH, two of a kind: certificates, CRLs, plans (and whether they have the same shape), hierarchies
    /// (what is signed when one is adopted in place of the other)
    #[arg(long, value_name = "OLD")]
    diff: Option<PathBuf>,
    /// With --diff: exit code 4 if anything differs; of plans, if their shape does
    #[arg(long, requires = "diff")]
    strict: bool,
    /// A log on which the certificates of a plan are looked up, each shown beside the last one of the same names and profile; without
    /// it the station's, if there is one
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Write the content of a withheld artefact to this new file
    #[arg(long, value_name = "FILE")]
    content: Option<PathBuf>,
    /// One profile of a hierarchy: what it takes and makes, and a specimen certificate by throw-away keys
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// With --profile: the specimen alone, as PEM
    #[arg(long, requires = "profile")]
    pem: bool,
    /// All rows of long tables
    #[arg(long, conflicts_with = "rows")]
    all: bool,
    #[arg(long, value_name = "N", help = format!("At most so many rows of a long table; of a log, the last ones [default: {ROWS}, of a page {MAX_ROWS}]"))]
    rows: Option<usize>,
    #[command(flatten)]
    sheet: SheetArgs,
    #[command(flatten)]
    filter: Filter,
}

/// Rows of a table where nobody has said how many.
const ROWS: usize = 20;

pub fn show(globals: &Globals, args: ShowArgs) -> Result<Answer, Failure> {
    args.sheet.judge(globals)?;
    args.sheet.give(shown(globals, &args))
}

fn shown(globals: &Globals, args: &ShowArgs) -> Result<Answer, Failure> {
    let rows = args.sheet.rows(if args.all { Some(usize::MAX) } else { args.rows }, ROWS);
    if let Some(old) = &args.diff {
        return difference::difference(old, &args.path, rows, args.strict);
    }
    let kind = match part::look(&args.path)? {
        Thing::Kind(kind) => kind,
        Thing::Part(part) => {
            misplaced(args, None)?;
            return Ok(part.show());
        }
    };
    misplaced(args, Some(&kind))?;
    match kind {
        Kind::Plan => plan::plan(globals, args, rows),
        Kind::Bundle => bundle::bundle(&args.path, rows),
        Kind::Release => release::release(&args.path, rows),
        Kind::Log if args.sheet.wanted() => log::sheet(&args.path, &args.filter, rows),
        Kind::Log => log::log(&args.path, &args.filter, rows, globals.json),
        Kind::Statement(text) => {
            Ok(Answer::of(Sheet::new("Statement").bare().pre(page(&text)), json!({ "statement": text })))
        }
        Kind::Certificate(der) => certificate::certificate(&der, recognise::certificates(&args.path)?.len()),
        Kind::Crl(der) => certificate::crl(&der, rows),
        Kind::Withheld => withheld::withheld(&args.path, args.content.as_deref()),
        Kind::Request(der) => certificate::request(&der),
        Kind::Key(spki) => alone::show_key(&spki),
        Kind::Inclusion(text) => proofs::show_inclusion(&args.path, &text),
        Kind::Continuation(text) => {
            let sheet = Sheet::new("Proof that a log continues an earlier checkpoint, not verified");
            Ok(Answer::of(sheet.pre(page(&text)), json!({ "continuation": text })))
        }
        Kind::Checkpoint(text) => against::show_checkpoint(&text),
        Kind::Hierarchy(text) => match &args.profile {
            Some(id) => profile::profile(&text, id, args.pem, clock(globals.now)),
            None => hierarchy::hierarchy(&text),
        },
        Kind::Ceremony(text) => {
            Ok(Answer::of(Sheet::new("Ceremony").bare().pre(page(&text)), json!({ "ceremony": text })))
        }
    }
}

/// Options that belong to other kinds of file.
fn misplaced(args: &ShowArgs, kind: Option<&Kind>) -> Result<(), Failure> {
    let wrong = |what: &str| Err(Failure::usage(what, "leave it out"));
    match kind {
        kind if args.filter.given() && !matches!(kind, Some(Kind::Log)) => {
            Err(Failure::usage("--since, --kind and what belongs to them choose entries of a log", "leave them out"))
        }
        Some(Kind::Plan) => Ok(()),
        _ if args.log.is_some() => wrong("--log belongs to plans"),
        _ if args.item.is_some() => wrong("--item belongs to plans"),
        kind if args.profile.is_some() && !matches!(kind, Some(Kind::Hierarchy(_))) => {
            wrong("--profile belongs to hierarchies")
        }
        kind if args.content.is_some() && !matches!(kind, Some(Kind::Withheld)) => {
            wrong("--content belongs to withheld artefacts")
        }
        _ => Ok(()),
    }
}
