//! The verbs that need no token: `approve`, `check`, `pack`, `unpack`.

use std::fs;
use std::io::{BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::json;

use crate::audit::{Log, note::VerifierKey};
use crate::bundle;
use crate::config::{Ceremony, Hierarchy};
use crate::media::{self, Name, Source};
use crate::plan::{Item, NAMESPACE, Plan, init_statement, statement};
use crate::report::terminal::{human_count, pairs};
use crate::{approval, audit, prepare, release};

use super::inbox::{Incoming, MAX_BUNDLE, MAX_PLAN};
use super::pack::{self, PackArgs};
use super::recognise::{Kind, read_text, recognise};
use super::{Answer, Failure, Globals, against, alone, clock, failure::Code, prove};

/// The largest file that holds a verifier key.
const MAX_KEY: u64 = 4096;

/// Signs a statement.
#[derive(Args)]
#[command(after_help = "The same with stock tools, over the .statement file:\n  \
    ssh-keygen -Y sign -n coldroot-plan-v1 -f KEY plan-3f2a9c01.statement\n\nExample:\n  \
    coldroot approve plan-3f2a9c01.plan --person alice --key ~/.ssh/id_ed25519")]
pub struct ApproveArgs {
    /// The plan, the statement of a void, or hierarchy.toml before `init`
    pub path: PathBuf,
    /// Your roster id: names the signature's file
    #[arg(long, value_name = "ID")]
    pub person: String,
    /// Your SSH key (a .pub file names a key of the ssh-agent)
    #[arg(long, value_name = "SSHKEY")]
    pub key: PathBuf,
    /// Do not ask for the digest (scripts; without a terminal nobody is asked anyway)
    #[arg(long)]
    pub yes: bool,
}

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
    coldroot check chat.csr --hierarchy hierarchy.toml --profile xmpp"
)]
pub struct CheckArgs {
    /// What to check: release, log, proof, checkpoint, bundle, plan, hierarchy, ceremony, certificate request, public key
    pub path: PathBuf,
    /// The log's verifier key, or the file that holds it
    #[arg(long, value_name = "KEY")]
    pub verifier_key: Option<String>,
    /// The hierarchy file
    #[arg(long, value_name = "FILE")]
    pub hierarchy: Option<PathBuf>,
    /// The root certificate
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// What was kept of the log: a copy's directory, a checkpoint, or a printed size with its root ('59 4b92 5466 …')
    #[arg(long, value_name = "KEPT")]
    pub against: Option<String>,
    /// The certificate that a proof is of
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// The profile of the hierarchy by which a request or a key is checked
    #[arg(long, value_name = "ID", requires = "hierarchy")]
    pub profile: Option<String>,
}

/// Unpacks a release.
#[derive(Args)]
#[command(
    after_help = "Example:\n  coldroot unpack /media/stick/release-0003 --to www --verifier-key verifier-key\n\n\
    Unpacking a later release into the same directory brings it up to date."
)]
pub struct UnpackArgs {
    /// The release directory
    pub release: PathBuf,
    /// Where the layout goes
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// The log's verifier key, or the file that holds it: the release is checked before anything is written
    #[arg(long, value_name = "KEY")]
    pub verifier_key: String,
    /// The hierarchy file, to be compared
    #[arg(long, value_name = "FILE")]
    pub hierarchy: Option<PathBuf>,
    /// The root certificate, to be compared
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
}

pub fn approve(args: ApproveArgs) -> Result<Answer, Failure> {
    // Read once: what is shown is what is signed, whatever a medium would give the second time.
    let text = statement_of(&args.path)?;
    eprintln!("You approve:\n\n{}", crate::text::lines(&text));
    confirm(&args, &text)?;
    let target = seal(&args, &text)?;
    let out = format!(
        "Signed: {path}\n  next: take it to the station: --approval {path}\n",
        path = crate::text::shell(&target)
    );
    Ok(Answer::new(out, json!({ "signature": target.to_string_lossy(), "statement": text })))
}

/// The statement that is signed for a plan, or for a hierarchy before `init`.
fn statement_of(path: &Path) -> Result<String, Failure> {
    match recognise(path)? {
        Kind::Plan => {
            let (_private, copy) = private_copy(path, MAX_PLAN)?;
            let mut plan = Plan::open(copy.path())?;
            judge_items(&mut plan)?;
            Ok(statement(plan.head(), &plan.digest()))
        }
        Kind::Hierarchy(text) => Ok(init_statement(&Hierarchy::parse(&text)?)),
        // What is signed is what was shown, so nothing may be in it that is not.
        Kind::Statement(text) if text != crate::text::page(&text) => Err(Failure::refused(
            "the statement holds other than printable ASCII, or more than coldroot writes",
            "take the statement that the station has written",
        )),
        // The other statements say what their plan or hierarchy says, which is what officers read.
        Kind::Statement(text) if text.lines().any(stands_alone) => Ok(text),
        _ => Err(Failure::refused(
            "only a plan, a void, a change of state, or a hierarchy before `init` is approved",
            "coldroot show FILE says what it is",
        )),
    }
}

/// The line of a statement that says all there is: of a void, or of a change of state.
fn stands_alone(line: &str) -> bool {
    let act = line.strip_prefix("plan         ").and_then(|rest| rest.split_once(" sha256 ")).map(|(act, _)| act);
    matches!(
        act,
        Some(
            "void"
                | "adopt-hierarchy"
                | "adopt-crl"
                | "adopt-certificate"
                | "adopt-log"
                | "hand-over"
                | "correct-clock"
        )
    )
}

/// A copy that nobody else changes, for what is read more than once. The directory goes with the first value.
fn private_copy(path: &Path, limit: u64) -> Result<(tempfile::TempDir, Incoming), Failure> {
    let private = tempfile::tempdir().map_err(|e| Failure::io(Path::new("temporary directory"), e))?;
    let copy = Incoming::take(path, limit, private.path())?;
    Ok((private, copy))
}

/// Signs without a word; returns the signature's path.
#[cfg(feature = "station")]
pub fn approve_quietly(args: &ApproveArgs) -> Result<PathBuf, Failure> {
    seal(args, &statement_of(&args.path)?)
}

/// Signs a statement and writes the signature beside what is approved, on whatever medium that is; returns its path.
fn seal(args: &ApproveArgs, text: &str) -> Result<PathBuf, Failure> {
    if !args.person.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) || args.person.is_empty() {
        return Err(Failure::usage("--person takes a roster id", "such as alice"));
    }
    let name = args.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let target = args.path.with_file_name(format!("{name}.{}.sig", args.person));
    let name = Name::parse(&target.file_name().unwrap_or_default().to_string_lossy())?;
    let dir = media::open(target.parent().unwrap_or(Path::new(".")))?;
    // A new name only: looked at before the key is asked, and again when it is written.
    media::must_be_free(&dir, &name).map_err(|e| Failure::from(e).next("remove it if it is to be made again"))?;
    let armored = ssh_sign(&args.key, text)?;
    media::write_out(&dir, &[(name, Source::Octets(armored.as_bytes()))])?;
    Ok(target)
}

/// The bytes of every item must say what its fields say.
fn judge_items(plan: &mut Plan) -> Result<(), Failure> {
    let failed = |what: String| Failure {
        code: Code::CheckFailed,
        what,
        hint: Some("do not approve this plan; have it made again at the station".into()),
    };
    let (mut revoked, mut crls) = (Vec::new(), Vec::new());
    for n in 0..plan.head().items {
        let item = plan.item(n)?;
        super::show::agrees(&item).map_err(|what| failed(format!("item {n}: {what}")))?;
        match item {
            Item::Revoke(revoke) => revoked.push(revoke),
            Item::Crl(crl) => crls.push(*crl),
            _ => {}
        }
    }
    super::show::crls_say_so(&revoked, &crls).map_err(failed)?;
    Ok(())
}

/// On a terminal, a person types the beginning of the digest that stands in the statement: reading it is the point.
fn confirm(args: &ApproveArgs, text: &str) -> Result<(), Failure> {
    if args.yes || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let digest = text.split("sha256 ").nth(1).and_then(|rest| rest.get(..8)).unwrap_or_default();
    eprint!("To sign, type the first eight characters of the SHA-256 in the line `plan`: ");
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed).map_err(|e| Failure::io(Path::new("terminal"), e))?;
    match typed.trim() == digest {
        true => Ok(()),
        false => Err(Failure::refused(
            "what was typed is not the digest of this statement",
            "compare it with the digest that the station shows",
        )),
    }
}

/// Signs with stock ssh-keygen, which knows agents and FIDO keys; the statement goes through a private directory.
pub fn ssh_sign(key: &Path, text: &str) -> Result<String, Failure> {
    let scratch = tempfile::tempdir().map_err(|e| Failure::io(Path::new("temporary directory"), e))?;
    let file = scratch.path().join("statement");
    fs::write(&file, text).map_err(|e| Failure::io(&file, e))?;
    let run = Command::new("ssh-keygen").args(["-Y", "sign", "-q", "-n", NAMESPACE, "-f"]).arg(key).arg(&file).output();
    let run =
        run.map_err(|e| Failure::refused(format!("cannot run ssh-keygen: {e}"), "apt-get install openssh-client"))?;
    if !run.status.success() {
        let said = crate::text::escape(String::from_utf8_lossy(&run.stderr).trim());
        return Err(Failure::refused(format!("ssh-keygen did not sign: {said}"), "check --key"));
    }
    let signature = scratch.path().join("statement.sig");
    fs::read_to_string(&signature).map_err(|e| Failure::io(&signature, e))
}

pub fn check(globals: &Globals, args: CheckArgs) -> Result<Answer, Failure> {
    let hierarchy = args.hierarchy.as_deref().map(Hierarchy::load).transpose()?;
    let need_key = || {
        args.verifier_key.as_deref().map(verifier_key).unwrap_or_else(|| {
            Err(Failure::usage(
                "a log or release is checked against its verifier key",
                "--verifier-key KEY, from the minutes or any place that is not the release",
            ))
        })
    };
    let kind = recognise(&args.path)?;
    if args.against.is_some() && !matches!(kind, Kind::Release | Kind::Log | Kind::Continuation(_)) {
        return Err(Failure::usage("--against compares logs and releases with what was kept of them", "leave it out"));
    }
    if args.profile.is_some() && !matches!(kind, Kind::Request(_) | Kind::Key(_)) {
        return Err(Failure::usage("--profile says by which rules a request or a key is checked", "leave it out"));
    }
    if args.certificate.is_some() && !matches!(kind, Kind::Inclusion(_)) {
        return Err(Failure::usage("--certificate belongs to the proof of a certificate", "leave it out"));
    }
    match kind {
        Kind::Release => {
            let key = need_key()?;
            let checked =
                check_release(&args.path, &key, hierarchy.as_ref(), args.root.as_deref(), clock(globals.now))?;
            let answer = release_is_good(&checked.findings);
            against::also(answer, &read_log(checked.log())?, &key, args.against.as_deref())
        }
        Kind::Log => against::check_log(&args.path, &need_key()?, args.against.as_deref()),
        Kind::Inclusion(text) => prove::check_inclusion(&text, &need_key()?, args.certificate.as_deref()),
        Kind::Continuation(text) => prove::check_continuation(&text, &need_key()?, args.against.as_deref()),
        Kind::Checkpoint(text) => against::check_checkpoint(&text, &need_key()?),
        Kind::Bundle => check_bundle(&args.path, hierarchy.as_ref(), clock(globals.now)),
        Kind::Plan => check_plan(&args.path),
        Kind::Hierarchy(text) => alone::check_hierarchy(&Hierarchy::parse(&text)?, clock(globals.now)),
        Kind::Ceremony(text) => {
            let h = hierarchy.ok_or_else(|| {
                Failure::usage("a ceremony is checked against its hierarchy", "--hierarchy hierarchy.toml")
            })?;
            let c = Ceremony::parse(&text, &h)?;
            Ok(Answer::new(
                format!("The ceremony is lawful: {} steps.\n", c.acts.len()),
                json!({ "title": c.title, "steps": c.acts.len() }),
            ))
        }
        Kind::Request(csr) => alone::check_request(&csr, alone::profile(hierarchy.as_ref(), args.profile.as_deref())?),
        Kind::Key(spki) => alone::check_key(&spki, alone::profile(hierarchy.as_ref(), args.profile.as_deref())?),
        _ => Err(Failure::refused("there is no check for this kind of file alone", "coldroot show FILE")),
    }
}

fn release_is_good(checked: &release::Findings) -> Answer {
    let mut compared = checked.compared.join(", ");
    if !checked.not_compared.is_empty() {
        compared.push_str(&format!("\nnot compared: {}", checked.not_compared.join("; ")));
    }
    let text = format!(
        "Release {} is good: every certificate, CRL and refusal verifies and is on record.\n\n{}{}",
        checked.release,
        requests(checked.csrs),
        pairs(&[
            ("certificates", human_count(checked.certificates)),
            ("CA certificates", human_count(checked.cas)),
            ("CRLs", human_count(checked.crls)),
            ("refused", human_count(checked.refused)),
            ("revoked", human_count(checked.revoked)),
            ("keys made", human_count(checked.keys)),
            ("acts on keys", human_count(checked.key_acts)),
            ("log", format!("{} entries", human_count(checked.log.size))),
            ("compared with", compared),
        ])
    );
    Answer::new(text, checked)
}

/// A line for the requests of CAs, which most releases have none of.
fn requests(count: u64) -> String {
    if count == 0 { String::new() } else { pairs(&[("requests of CAs", human_count(count))]) }
}

fn check_release(
    path: &Path,
    key: &VerifierKey,
    hierarchy: Option<&Hierarchy>,
    root: Option<&Path>,
    now: i64,
) -> Result<release::Checked, Failure> {
    let root = match root {
        None => None,
        Some(path) => match recognise(path)? {
            Kind::Certificate(der) => Some(der),
            _ => {
                return Err(Failure::usage(
                    format!("{} is no certificate", crate::text::path(path)),
                    "--root takes the root certificate, PEM or DER",
                ));
            }
        },
    };
    let trust = release::Trust { verifier_key: key, hierarchy, root: root.as_deref(), now };
    release::check(path, &trust).map_err(|e| Failure::from(e).check_failed())
}

fn check_bundle(path: &Path, hierarchy: Option<&Hierarchy>, now: i64) -> Result<Answer, Failure> {
    let h = hierarchy
        .ok_or_else(|| Failure::usage("a bundle is checked against the hierarchy", "--hierarchy hierarchy.toml"))?;
    let (_private, copy) = private_copy(path, MAX_BUNDLE)?;
    let file = fs::File::open(copy.path()).map_err(|e| Failure::io(path, e))?;
    let verify = |head: &bundle::Head, bytes: &[u8], signature: &str| -> Result<String, Failure> {
        let desk = head.judge(h, now)?;
        Ok(approval::verify(bundle::NAMESPACE, bytes, signature, &desk.keys)?)
    };
    let failed = |f: Failure| f.check_failed();
    let (mut bundle, signer) =
        bundle::open(BufReader::new(file)).map_err(|e| failed(e.into()))?.verify(verify).map_err(failed)?;
    let mut validators = Vec::new();
    for (number, item) in (0..).zip(bundle.items().map_err(|e| failed(e.into()))?) {
        let bundle::Item::Validations(list) = item.map_err(|e| failed(e.into()))? else { continue };
        let listed = prepare::verify_list(h, &list, now);
        let (_, validator, list) = listed.map_err(|cause| failed(prepare::Error::List { number, cause }.into()))?;
        validators.push(json!({ "validator": validator.id, "validations": list.validations.len() }));
    }
    let head = bundle.head();
    let text = format!(
        "Bundle {} of desk `{}` is good: {} requests, {} revocations, {} lists of validations, signed by {signer}.\n",
        head.sequence,
        head.desk,
        human_count(head.items().saturating_sub(head.revocations)),
        human_count(head.revocations),
        human_count(head.lists),
    );
    Ok(Answer::new(
        text,
        json!({
            "desk": head.desk, "sequence": head.sequence, "count": head.count, "revocations": head.revocations,
            "lists": validators, "signer": signer,
        }),
    ))
}

fn check_plan(path: &Path) -> Result<Answer, Failure> {
    let (_private, copy) = private_copy(path, MAX_PLAN)?;
    let mut plan = Plan::open(copy.path()).map_err(|e| Failure::from(e).check_failed())?;
    judge_items(&mut plan)?;
    let head = plan.head();
    let text = format!(
        "The plan is whole: the bytes of its {} items say what its fields say.\n  SHA-256 {}\n",
        human_count(head.items),
        crate::text::hex_groups(&plan.digest().0)
    );
    Ok(Answer::new(text, json!({ "digest": plan.digest().hex(), "items": head.items, "refused": head.refused })))
}

/// A verifier key as given, or from the file of that name.
pub fn verifier_key(given: &str) -> Result<VerifierKey, Failure> {
    let text = match given.contains('+') {
        true => given.to_string(),
        false if Path::new(given).exists() => read_text(Path::new(given), MAX_KEY)?,
        false => {
            let what = format!("`{}` is neither a verifier key nor a file that holds one", crate::text::escape(given));
            return Err(Failure::usage(what, "`coldroot init` printed it: NAME+HASH+BASE64"));
        }
    };
    VerifierKey::parse(text.trim())
        .map_err(|e| Failure::usage(format!("not a verifier key: {e}"), "`coldroot init` printed it: NAME+HASH+BASE64"))
}

pub fn pack(args: PackArgs) -> Result<Answer, Failure> {
    let report = pack::pack(&args).map_err(|e| {
        let hint = e.hint();
        Failure { code: Code::Refused, what: e.to_string(), hint }
    })?;
    let text = format!(
        "Packed. Take it to the station.\n\n{}\n  next: coldroot plan --bundle {}\n",
        pairs(&[
            ("bundle", crate::text::path(&report.out)),
            ("desk", format!("{}, number {}", report.desk, report.sequence)),
            ("requests", human_count(report.requests)),
            ("revocations", human_count(report.revocations)),
            ("lists of validations", human_count(report.lists)),
            ("signed by", report.signer.clone()),
            ("expires", report.expires.clone()),
        ]),
        crate::text::shell(&report.out)
    );
    Ok(Answer::new(text, report))
}

pub fn unpack(globals: &Globals, args: UnpackArgs) -> Result<Answer, Failure> {
    let key = verifier_key(&args.verifier_key)?;
    let hierarchy = args.hierarchy.as_deref().map(Hierarchy::load).transpose()?;
    let checked = check_release(&args.release, &key, hierarchy.as_ref(), args.root.as_deref(), clock(globals.now))?;
    let layout = release::unpack(&checked, &args.to, &key.to_string())?;
    let text = format!(
        "Release {} is unpacked.\n\n{}{}  next: open {}/report.html\n",
        layout.release,
        requests(layout.csrs),
        pairs(&[
            ("certificates", human_count(layout.certificates)),
            ("CAs", human_count(layout.cas)),
            ("CRLs", human_count(layout.crls)),
            ("refused", human_count(layout.refused)),
            ("files", human_count(layout.files)),
        ]),
        layout.directory
    );
    Ok(Answer::new(text, layout))
}

/// Opens a log read-only, for `show`.
pub fn read_log(path: &Path) -> Result<audit::View, Failure> {
    Ok(Log::read(path)?)
}
