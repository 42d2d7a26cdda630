//! `check`: a file against what is known from elsewhere.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::config::{Ceremony, Hierarchy};
use crate::plan::{Plan, statement};
use crate::report::sheet::Sheet;
use crate::report::terminal::human_count;
use crate::text::escape;
use crate::{approval, bundle, prepare, release};

use super::failure::Code;
use super::inbox::{MAX_BUNDLE, MAX_PLAN};
use super::offline::{self, verifier_key};
use super::part::{self, Thing};
use super::recognise::{Kind, certificates};
use super::sheet::SheetArgs;
use super::{Answer, Failure, Globals, against, alone, chain, clock, proofs, prove};

/// Rows of a table on a terminal.
const ROWS: usize = 20;

/// Checks something.
#[derive(Args)]
#[command(
    after_help = "Verifier key, hierarchy and root must come from a place that is not the release.\n\nExamples:\n  \
    coldroot check release-0003 --verifier-key verifier-key --hierarchy hierarchy.toml --root root.pem\n  \
    coldroot check audit --verifier-key \"example.org/log+1a2b3c4d+AQ…\"\n  coldroot check hierarchy.toml\n  \
    coldroot check audit --verifier-key verifier-key --against /media/copy\n  \
    coldroot check log --verifier-key verifier-key --against checkpoint-of-last-year\n  \
    coldroot check log --verifier-key verifier-key --against '59 4b92 5466 b9b2 ...'\n  \
    coldroot check chat.tlog-proof --verifier-key verifier-key --certificate chat.pem\n  \
    coldroot check chat.csr --hierarchy hierarchy.toml --profile xmpp\n  \
    coldroot check www\n  \
    coldroot check certs/chat.pem --root root.pem\n  \
    coldroot check plan-3f2a9c01.plan.alice.sig\n  \
    coldroot check log --verifier-key verifier-key --html checked.html"
)]
pub struct CheckArgs {
    /// What to check: release, log, proof, checkpoint, bundle, plan, statement, hierarchy, ceremony, certificate, CRL, certificate
    /// request, key, signature, manifest.json or the directory that it is of
    path: PathBuf,
    /// The log's verifier key, or the file that holds it
    #[arg(long, value_name = "KEY")]
    verifier_key: Option<String>,
    /// The hierarchy file
    #[arg(long, value_name = "FILE")]
    hierarchy: Option<PathBuf>,
    /// The root certificate; where CAs lead to several roots, give each. Of a certificate or a CRL by itself: its issuer's
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// What was kept of the log: a copy's directory, a checkpoint, or a printed size with its root ('59 4b92 5466 …')
    #[arg(long, value_name = "KEPT")]
    against: Option<String>,
    /// The certificate that a proof is of
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The profile of the hierarchy by which a request or a key is checked
    #[arg(long, value_name = "ID", requires = "hierarchy")]
    profile: Option<String>,
    #[command(flatten)]
    sheet: SheetArgs,
}

pub fn check(globals: &Globals, args: CheckArgs) -> Result<Answer, Failure> {
    args.sheet.judge(globals)?;
    args.sheet.give(checked(globals, &args))
}

fn checked(globals: &Globals, args: &CheckArgs) -> Result<Answer, Failure> {
    let hierarchy = args.hierarchy.as_deref().map(Hierarchy::load).transpose()?;
    let need_key = || {
        args.verifier_key.as_deref().map(verifier_key).unwrap_or_else(|| {
            Err(Failure::usage(
                "a log or release is checked against its verifier key",
                "--verifier-key KEY, from the minutes or any place that is not the release",
            ))
        })
    };
    let kind = match part::look(&args.path)? {
        Thing::Kind(kind) => kind,
        Thing::Part(part) => {
            misplaced(args, None)?;
            return part.check();
        }
    };
    misplaced(args, Some(&kind))?;
    let roots = || args.root.iter().map(|path| prove::certificate(path)).collect::<Result<Vec<Vec<u8>>, Failure>>();
    match kind {
        Kind::Release => {
            let key = need_key()?;
            let checked = offline::check_release(&args.path, &key, hierarchy.as_ref(), &args.root, clock(globals.now))?;
            let answer = release_is_good(&checked);
            against::also(answer, &offline::read_log(checked.log())?, &key, args.against.as_deref())
        }
        Kind::Log => against::check_log(&args.path, &need_key()?, args.against.as_deref()),
        Kind::Inclusion(text) => proofs::check_inclusion(&text, &need_key()?, args.certificate.as_deref()),
        Kind::Continuation(text) => proofs::check_continuation(&text, &need_key()?, args.against.as_deref()),
        Kind::Checkpoint(text) => against::check_checkpoint(&text, &need_key()?),
        Kind::Bundle => check_bundle(&args.path, hierarchy.as_ref(), clock(globals.now)),
        Kind::Plan => check_plan(&args.path),
        Kind::Hierarchy(text) => alone::check_hierarchy(&Hierarchy::parse(&text)?, clock(globals.now)),
        Kind::Ceremony(text) => {
            let h = hierarchy.ok_or_else(|| {
                Failure::usage("a ceremony is checked against its hierarchy", "--hierarchy hierarchy.toml")
            })?;
            let c = Ceremony::parse(&text, &h)?;
            let said = format!("The ceremony is lawful: {} steps.", c.acts.len());
            let json = json!({ "title": c.title, "steps": c.acts.len() });
            Ok(Answer::of(Sheet::new("Ceremony").verdict(true, said), json))
        }
        Kind::Request(csr) => alone::check_request(&csr, alone::profile(hierarchy.as_ref(), args.profile.as_deref())?),
        Kind::Key(spki) => alone::check_key(&spki, alone::profile(hierarchy.as_ref(), args.profile.as_deref())?),
        Kind::Certificate(_) => {
            chain::check_certificates(&args.path, &certificates(&args.path)?, &roots()?, clock(globals.now))
        }
        Kind::Crl(der) => chain::check_crl(&args.path, &der, &roots()?, args.sheet.rows(None, ROWS)),
        Kind::Statement(text) => check_statement(&args.path, &text),
        Kind::Withheld => Ok(part::withheld(&args.path)?),
    }
}

/// Options that belong to other kinds of file.
fn misplaced(args: &CheckArgs, kind: Option<&Kind>) -> Result<(), Failure> {
    let wrong = |what: &str| Err(Failure::usage(what, "leave it out"));
    if args.against.is_some() && !matches!(kind, Some(Kind::Release | Kind::Log | Kind::Continuation(_))) {
        return wrong("--against compares logs and releases with what was kept of them");
    }
    if args.profile.is_some() && !matches!(kind, Some(Kind::Request(_) | Kind::Key(_))) {
        return wrong("--profile says by which rules a request or a key is checked");
    }
    if args.certificate.is_some() && !matches!(kind, Some(Kind::Inclusion(_))) {
        return wrong("--certificate belongs to the proof of a certificate");
    }
    Ok(())
}

fn release_is_good(release: &release::Checked) -> Answer {
    let checked = &release.findings;
    let mut compared = checked.compared.join(", ");
    if !checked.not_compared.is_empty() {
        compared.push_str(&format!("\nnot compared: {}", checked.not_compared.join("; ")));
    }
    let mut facts = vec![
        ("certificates", human_count(checked.certificates)),
        ("CA certificates", human_count(checked.cas)),
        ("CRLs", human_count(checked.crls)),
        ("refused", human_count(checked.refused)),
        ("revoked", human_count(checked.revoked)),
        ("keys made", human_count(checked.keys)),
        ("acts on keys", human_count(checked.key_acts)),
        ("log", format!("{} entries", human_count(checked.log.size))),
        ("compared with", compared),
    ];
    // Most releases have none.
    if checked.csrs > 0 {
        facts.insert(0, ("requests of CAs", human_count(checked.csrs)));
    }
    let said =
        format!("Release {} is good: every certificate, CRL and refusal verifies and is on record.", checked.release);
    let sheet = Sheet::new(format!("Release {}", checked.release)).verdict(true, said).facts(&facts);
    Answer::of(sheet.digest("manifest", &release.manifest()), checked)
}

fn check_bundle(path: &Path, hierarchy: Option<&Hierarchy>, now: i64) -> Result<Answer, Failure> {
    let h = hierarchy
        .ok_or_else(|| Failure::usage("a bundle is checked against the hierarchy", "--hierarchy hierarchy.toml"))?;
    let (_private, copy) = offline::private_copy(path, MAX_BUNDLE)?;
    let file = fs::File::open(copy.path()).map_err(|e| Failure::io(path, e))?;
    let verify = |head: &bundle::Head, bytes: &[u8], signature: &str| -> Result<String, Failure> {
        let desk = head.judge(h, now)?;
        Ok(approval::verify(bundle::NAMESPACE, bytes, signature, &desk.keys)?)
    };
    let failed = |f: Failure| f.check_failed();
    let unverified = bundle::open(BufReader::new(file)).map_err(|e| failed(e.into()))?;
    let digest = unverified.digest();
    let (mut bundle, signer) = unverified.verify(verify).map_err(failed)?;
    let mut validators = Vec::new();
    for (number, item) in (0..).zip(bundle.items().map_err(|e| failed(e.into()))?) {
        let bundle::Item::Validations(list) = item.map_err(|e| failed(e.into()))? else { continue };
        let listed = prepare::verify_list(h, &list, now);
        let (_, validator, list) = listed.map_err(|cause| failed(prepare::Error::List { number, cause }.into()))?;
        validators.push(json!({ "validator": validator.id, "validations": list.validations.len() }));
    }
    let head = bundle.head();
    let text = format!(
        "Bundle {} of desk `{}` is good: {} requests, {} revocations, {} lists of validations, signed by {signer}.",
        head.sequence,
        escape(&head.desk),
        human_count(head.items().saturating_sub(head.revocations)),
        human_count(head.revocations),
        human_count(head.lists),
    );
    Ok(Answer::of(
        Sheet::new("Bundle").verdict(true, text).digest("SHA-256", &digest),
        json!({
            "desk": head.desk, "sequence": head.sequence, "count": head.count, "revocations": head.revocations,
            "lists": validators, "signer": signer,
        }),
    ))
}

/// A statement is what a plan says; the plan that lies beside it is asked.
fn check_statement(path: &Path, text: &str) -> Result<Answer, Failure> {
    let sheet = Sheet::new("Statement").pre(crate::text::page(text));
    let beside = path.with_extension("plan");
    if path == beside || !beside.is_file() {
        let title = "NOT CHECKED, since the plan does not lie beside it: a statement is what its plan says";
        let next = "coldroot check PLAN, then coldroot show PLAN: it begins with the statement";
        let json = json!({ "statement": text, "checked": false });
        return Ok(Answer::of(sheet.retitled(title).next("with the plan", next), json).with_code(Code::Usage));
    }
    let (_private, copy) = offline::private_copy(&beside, MAX_PLAN)?;
    let plan = Plan::open(copy.path()).map_err(|e| Failure::from(e).check_failed())?;
    let shown = crate::text::path(&beside);
    match statement(plan.head(), &plan.digest()) == text {
        true => {
            let said = format!("The statement is the one of the plan beside it, {shown}.");
            Ok(Answer::of(sheet.verdict(true, said), json!({ "statement": text, "checked": true })))
        }
        false => Err(Failure::refused(
            format!("the statement is not what the plan beside it says ({shown})"),
            "sign neither; `coldroot show PLAN` prints the statement of a plan",
        )
        .check_failed()),
    }
}

fn check_plan(path: &Path) -> Result<Answer, Failure> {
    let (_private, copy) = offline::private_copy(path, MAX_PLAN)?;
    let mut plan = Plan::open(copy.path()).map_err(|e| Failure::from(e).check_failed())?;
    offline::judge_items(&mut plan)?;
    let head = plan.head();
    let said =
        format!("The plan is whole: the bytes of its {} items say what its fields say.", human_count(head.items));
    let sheet = Sheet::new(format!("Plan of {}", escape(&head.name))).verdict(true, said);
    let json = json!({ "digest": plan.digest().hex(), "items": head.items, "refused": head.refused });
    Ok(Answer::of(sheet.digest("SHA-256", &plan.digest()), json))
}
