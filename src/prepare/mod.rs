//! The first half of the road: ceremony or bundle, plus ledger, becomes a plan, by running `policy` and `tbs`.
//!
//! Nothing here touches a token. What a plan says about a certificate is made twice: `policy` decides the fields, `tbs`
//! makes the bytes, `x509` reads the bytes, and the two must agree before the item enters the plan.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use crate::cbor::Bytes;
use crate::config::{Act, Ceremony, Hierarchy, Profile};
use crate::digest::{Digest, Tagger};
use crate::ledger::{self, Entries, Ledger};
use crate::plan::{self, BundleRef, GenerateKey, GenerateWrappingKey, Head, Item, KeyRef, Kind, PlanWriter};
use crate::weak_keys::{self, BlockLists};
use crate::{bundle, policy, tbs, x509};

mod answers;
mod authority;
mod batch;
mod draw;
mod dry_run;
mod external;
mod foreign;
mod issuers;
mod keys;
mod known;
mod lint;
mod revocation;
mod shared;
mod signer;
mod specimen;
mod throw_away;
mod validated;

pub use batch::{Beforehand, bundle, compromised};
pub use draw::Draw;
pub use lint::{Finding, Lint, Linters};
pub use shared::{SharedFactors, shared_factors};
pub use specimen::{Specimen, specimen};
pub use validated::{Error as ListError, verify as verify_list};

/// Why no plan was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Plan(#[from] plan::Error),
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    BlockList(#[from] weak_keys::Error),
    #[error("item {number} of the bundle, a list of validations, {cause}")]
    List { number: u64, cause: ListError },
    #[error("CA `{ca}`: check `{check}` failed: {reason}")]
    Refused { ca: String, check: policy::Check, reason: String },
    #[error("CA `{ca}` has no certificate yet: an external issuer certifies it")]
    External { ca: String, asked: bool },
    #[error("CA `{ca}` {what}")]
    Ca { ca: String, what: &'static str },
    #[error("the {what} cannot be encoded: {cause}")]
    Encode { what: String, cause: tbs::Error },
    #[error("the bytes made for `{what}` do not say what was decided: {difference}")]
    NotAsDecided { what: String, difference: String },
    #[error("the CRL of CA `{ca}` has {length} octets, more than the {limit} that its key can sign")]
    TooLong { ca: String, length: usize, limit: usize },
    #[error("the {what} would have {length} octets before its signature, more than {limit}")]
    TooLarge { what: String, length: usize, limit: usize },
    #[error("the linter `{linter}` gives no answer: {why}")]
    NotLinted { linter: String, why: String },
    #[error("{count} requests in a row were refused by linters, the last one so: {reason}")]
    LintedOut { count: u64, reason: String },
    #[error("there is nothing to do: {0}")]
    Nothing(&'static str),
    #[error("key `{key}` {what}")]
    Key { key: String, what: &'static str },
    #[error("key `{key}` has {in_force} certificates in force, which could no longer be revoked")]
    KeyInUse { key: String, in_force: u64 },
    #[error("a throw-away key for the dry run could not be made")]
    DryRunKey,
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Plan(e) => e.hint(),
            Error::Bundle(e) => e.hint(),
            Error::Ledger(e) => e.hint(),
            Error::BlockList(e) => e.hint(),
            Error::Refused { check, .. } => Some(format!("{}; no key was used", check.mend())),
            Error::List { cause, .. } => cause.hint(),
            Error::Ca { .. } => {
                Some(
                    "see to that CA by a ceremony, whose acts stand in the order key, root, intermediate; a bundle can do without it when its \
                     desk leaves out what that CA issues"
                        .into(),
                )
            }
            Error::External { ca, asked: true } => Some(format!(
                "have its request certified (`csrs/{ca}.csr` of an unpacked release), then: coldroot adopt-certificate --ca {ca} CERTIFICATE --help"
            )),
            Error::External { .. } => Some(
                "make its request first, by a ceremony with the act `csr`: coldroot plan --ceremony external-root.toml".into(),
            ),
            Error::TooLong { .. } => Some(
                "a key of this kind signs the whole list, not its digest: let another CA with an ECDSA or RSA key issue from now on, and revoke less at once".into(),
            ),
            Error::TooLarge { .. } => {
                Some("the log's entries have no room for it: give it fewer or shorter URLs, policies and limits".into())
            }
            Error::NotLinted { .. } => Some(
                "see to that program and its `[[linter]]` in the hierarchy, then plan again; revocations and CRLs alone are planned without it".into(),
            ),
            Error::LintedOut { .. } => Some(
                "the fault lies with the profile, the CA or the linter: mend it in the hierarchy, or have the finding accepted there (`[[linter.accepted]]`)".into(),
            ),
            Error::KeyInUse { .. } => Some(
                "revoke them first and issue a last CRL; or give the act `even-though = \"REASON\"`, which the statement then names".into(),
            ),
            Error::Key { .. } | Error::Nothing(_) => Some("`coldroot show audit` says what is on record".into()),
            Error::Encode { .. } | Error::NotAsDecided { .. } | Error::DryRunKey => None,
        }
    }
}

/// What a plan is made from, besides its acts.
pub struct Context<'a> {
    pub hierarchy: &'a Hierarchy,
    pub ledger: &'a Ledger,
    /// The log of which it is the fold; `()` where there is none.
    pub log: &'a dyn Entries,
    pub block_lists: &'a BlockLists,
    /// The declared certificates of external issuers, DER, by the CA's id.
    pub issuers: &'a BTreeMap<String, Vec<u8>>,
    pub now: i64,
    pub draw: Draw,
    /// Makes the tags by which plan and log know requesters.
    pub tagger: &'a Tagger,
    /// The linters that judge what is planned.
    pub lint: Lint<'a>,
    /// A directory for unnamed files on the station's own disk.
    pub scratch: &'a Path,
    /// Called with the number of requests judged.
    pub progress: &'a mut dyn FnMut(u64),
}

/// Plans a ceremony: keys first; when its keys are on record, the certificates.
pub fn ceremony(context: &mut Context, ceremony: &Ceremony, out: &mut File) -> Result<Head, Error> {
    if let Some(head) = keys::acts(context, ceremony, out)? {
        return Ok(head);
    }
    let missing: Vec<&str> = ceremony
        .acts
        .iter()
        .filter_map(|act| match act {
            Act::GenerateKey { key } => {
                let made = context.ledger.keys.contains_key(key) || context.ledger.wrapping_keys.contains_key(key);
                (!made).then_some(key.as_str())
            }
            _ => None,
        })
        .collect();
    if missing.is_empty() {
        return authority::certificates(context, ceremony, issuers::recorded_keys(context.ledger), None, out);
    }
    let dry_run = dry_run::certificates(context, ceremony)?;
    // A preview is made without a log.
    let log = context.ledger.genesis.as_ref().map_or("", |genesis| genesis.verifier_key.as_str());
    let log_tag = plan::log_tag(log);
    let mut writer = PlanWriter::new(Kind::Keys, context.scratch)?;
    for id in missing {
        if let Some(key) = context.hierarchy.wrapping_key(id) {
            writer.item(&Item::GenerateWrappingKey(GenerateWrappingKey {
                key: key.id.clone(),
                token: key.token.clone(),
                label: key.label.clone(),
                cka_id: Bytes::from([&context.draw.id()[..], &log_tag].concat()),
            }))?;
            continue;
        }
        let Some(key) = context.hierarchy.key(id) else { continue };
        writer.item(&Item::GenerateKey(GenerateKey {
            key: key.id.clone(),
            token: key.token.clone(),
            label: key.label.clone(),
            cka_id: Bytes::from([&context.draw.id()[..], &log_tag].concat()),
            algorithm: key.algorithm,
            backup: key.backup,
        }))?;
    }
    finish(context, writer, Kind::Keys, None, dry_run, window(context.hierarchy.profiles.iter()), out)
}

fn refused(ca: &str, r: policy::Refused) -> Error {
    // The check's advice is the hint, not a part of the reason.
    let wrong = r.reason.strip_suffix(&format!("; {}", r.check.mend())).unwrap_or(&r.reason);
    Error::Refused { ca: ca.into(), check: r.check, reason: wrong.into() }
}

/// Makes the bytes of a certificate, which are read back and linted before they enter a plan. One that cannot be made spoils only
/// itself: of a batch its item is refused.
fn certificate_bytes(fields: &x509::fields::CertFields, signer: &KeyRef) -> Result<Vec<u8>, policy::Refused> {
    let refused = |what: String| policy::Refused::new(policy::Check::Lint, what);
    let tbs = tbs::certificate(fields).map_err(|cause| refused(format!("it cannot be encoded: {cause}")))?;
    if tbs.len() > x509::MAX_TBS {
        let (length, limit) = (tbs.len(), x509::MAX_TBS);
        let what = format!(
            "with its names, URLs and policies it would have {length} octets before its signature, more than {limit}"
        );
        return Err(refused(what));
    }
    policy::lint_tbs_certificate(&tbs, fields, issuers::ca_key(signer))?;
    Ok(tbs)
}

/// The shortest window of the profiles concerned, in hours.
fn window<'a>(profiles: impl Iterator<Item = &'a Profile>) -> u32 {
    profiles.map(|p| p.window_hours).min().unwrap_or(7 * 24)
}

fn finish(
    context: &mut Context,
    writer: PlanWriter,
    kind: Kind,
    bundle: Option<BundleRef>,
    dry_run: Option<Digest>,
    window_hours: u32,
    out: &mut File,
) -> Result<Head, Error> {
    let head = head(context, kind, bundle, dry_run, window_hours);
    Ok(writer.finish(head, out)?)
}

/// The head of a plan whose items are still to be counted.
fn head(
    context: &mut Context,
    kind: Kind,
    bundle: Option<BundleRef>,
    dry_run: Option<Digest>,
    window_hours: u32,
) -> Head {
    Head {
        kind,
        name: context.hierarchy.name.clone(),
        origin: context.hierarchy.origin.clone(),
        environment: context.hierarchy.environment,
        hierarchy: context.hierarchy.digest,
        release_before: context.ledger.release,
        sign_from: context.now,
        sign_until: context.now + i64::from(window_hours) * 3600,
        bundle,
        dry_run,
        block_lists: context.block_lists.digests(),
        broken_keys: Vec::new(),
        lints: context.lint.take_words(),
        nonce: Bytes::from(context.draw.id().to_vec()),
        items: 0,
        refused: 0,
        counts: Vec::new(),
    }
}
