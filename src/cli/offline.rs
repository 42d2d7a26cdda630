//! The verbs that need no token: `approve`, `pack`, `unpack`.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::json;

use crate::audit::{Log, note::VerifierKey};
use crate::config::Hierarchy;
use crate::media::{self, Name, Source};
use crate::plan::{Item, NAMESPACE, Plan, init_statement, statement};
use crate::report::terminal::{human_count, pairs};
use crate::{audit, release};

use super::inbox::{Incoming, MAX_PLAN};
use super::pack::{self, PackArgs};
use super::recognise::{Kind, read_text, recognise};
use super::{Answer, Failure, Globals, clock, failure::Code};

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
    /// The root certificate, to be compared; where CAs lead to several roots, give each
    #[arg(long, value_name = "FILE")]
    pub root: Vec<PathBuf>,
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
    let act = line.strip_prefix("plan         ").and_then(|rest| rest.strip_suffix(" sha256"));
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
pub(super) fn private_copy(path: &Path, limit: u64) -> Result<(tempfile::TempDir, Incoming), Failure> {
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
pub(super) fn judge_items(plan: &mut Plan) -> Result<(), Failure> {
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

/// A line for the requests of CAs, which most releases have none of.
fn requests(count: u64) -> String {
    if count == 0 { String::new() } else { pairs(&[("requests of CAs", human_count(count))]) }
}

pub(super) fn check_release(
    path: &Path,
    key: &VerifierKey,
    hierarchy: Option<&Hierarchy>,
    roots: &[PathBuf],
    now: i64,
) -> Result<release::Checked, Failure> {
    let root = |path: &PathBuf| match recognise(path)? {
        Kind::Certificate(der) => Ok(der),
        _ => Err(Failure::usage(
            format!("{} is no certificate", crate::text::path(path)),
            "--root takes a root certificate, PEM or DER",
        )),
    };
    let roots: Vec<Vec<u8>> = roots.iter().map(root).collect::<Result<_, _>>()?;
    let trust = release::Trust { verifier_key: key, hierarchy, roots: &roots, now };
    release::check(path, &trust).map_err(|e| Failure::from(e).check_failed())
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
    let checked = check_release(&args.release, &key, hierarchy.as_ref(), &args.root, clock(globals.now))?;
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
