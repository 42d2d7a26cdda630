//! `report.html`: one page for one release, without scripts, fonts, pictures or anything fetched.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::Environment;

use super::{Error, page, picture};

/// At most this many certificates and this many refusals are listed; the rest is counted. The full lists are in the release.
pub const MAX_ROWS: usize = 500;

#[cfg(test)]
mod tests;

const TEMPLATE: &str = include_str!("release.html");

/// What the page says, ready to show. Digests are hex groups ([`crate::text::hex_groups`]), times are [`crate::text::utc`].
#[derive(Clone, Debug, Serialize)]
pub struct ReleaseReport {
    /// The hierarchy's name and the digest of its file.
    pub hierarchy: String,
    pub hierarchy_digest: String,
    pub environment: Environment,
    pub origin: String,
    /// The release's number.
    pub release: u64,
    pub plan_digest: String,
    pub sign_from: String,
    pub sign_until: String,
    /// Roster ids.
    pub operator: String,
    pub witness: String,
    pub approvals: Vec<Approval>,
    pub cas: Vec<CaRow>,
    pub crls: Vec<CrlRow>,
    /// Requests of CAs for their external issuers.
    pub csrs: Vec<CsrRow>,
    /// Signed certificates by CA and profile, over the whole release.
    pub signed: Vec<Count>,
    /// Refused requests by check, over the whole release.
    pub refused: Vec<Count>,
    /// The first of them; more than [`MAX_ROWS`] need not be given.
    pub certificates: Vec<CertificateRow>,
    pub refusals: Vec<RefusalRow>,
    /// What this release's plan revoked; more than [`MAX_ROWS`] need not be given.
    pub revoked: Vec<RevokedRow>,
    /// All of them.
    pub revocations: u64,
    /// Why the rest of the plan was voided.
    pub void: Option<String>,
    /// What judged the plan: linters, lists of compromised keys by their SHA-256, and keys on record that turned out to be broken.
    pub linters: Vec<LinterRow>,
    pub block_lists: Vec<String>,
    pub broken_keys: Vec<String>,
    /// Tokens that were changed or looked at, and the keys that came and went.
    pub tokens: Vec<TokenRow>,
    pub keys: Vec<KeyRow>,
    pub log: LogPosition,
}

/// A linter, and what it said.
#[derive(Clone, Debug, Serialize)]
pub struct LinterRow {
    pub linter: String,
    /// How many items, and what came of them.
    pub summary: String,
    /// SHA-256 of its program, where that was read.
    pub program: Option<String>,
    pub found: Vec<FindingRow>,
    /// Kinds of findings beyond these.
    pub more: u64,
}

/// A kind of finding about one shape of item.
#[derive(Clone, Debug, Serialize)]
pub struct FindingRow {
    pub finding: String,
    pub level: String,
    pub shape: String,
    pub count: u64,
    /// Why the hierarchy accepts it.
    pub accepted: Option<String>,
}

/// A token before and after the plan; `None` where no inventory is on record.
#[derive(Clone, Debug, Serialize)]
pub struct TokenRow {
    pub token: String,
    pub serial: String,
    pub before: Option<TokenState>,
    pub after: Option<TokenState>,
}

/// An inventory on record, and its counts.
#[derive(Clone, Debug, Serialize)]
pub struct TokenState {
    pub entry: u64,
    pub time: String,
    pub right: u64,
    pub missing: u64,
    pub wrong: u64,
    pub unexpected: u64,
}

/// A key that came to a token, or went.
#[derive(Clone, Debug, Serialize)]
pub struct KeyRow {
    pub change: String,
    pub token: String,
    /// Its id in the hierarchy.
    pub key: String,
    pub label: String,
    pub cka_id: String,
    pub kind: String,
    /// The private half's attributes that are true, and those that are false, without `CKA_`.
    pub has: Vec<String>,
    pub lacks: Vec<String>,
}

/// A person's approval of the plan.
#[derive(Clone, Debug, Serialize)]
pub struct Approval {
    /// Roster id.
    pub person: String,
    /// As `ssh-keygen -l` prints it.
    pub fingerprint: String,
}

/// A CA of the hierarchy whose certificate is in the release.
#[derive(Clone, Debug, Serialize)]
pub struct CaRow {
    pub id: String,
    /// The CA of the release that issued it, by its id; itself for a root, `None` where it is none of them.
    pub issuer: Option<String>,
    pub subject: String,
    pub not_before: String,
    pub not_after: String,
    pub key_algorithm: String,
    pub serial: String,
    /// SHA-256 of the certificate's DER.
    pub sha256: String,
}

/// The newest CRL of a CA.
#[derive(Clone, Debug, Serialize)]
pub struct CrlRow {
    pub ca: String,
    pub number: u64,
    pub this_update: String,
    pub next_update: String,
    pub entries: u64,
}

/// The request of a CA.
#[derive(Clone, Debug, Serialize)]
pub struct CsrRow {
    pub ca: String,
    pub subject: String,
    /// SHA-256 of its DER.
    pub sha256: String,
}

/// How many of one kind; `by` is the CA for certificates and empty for refusals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    pub what: String,
    pub by: String,
    pub count: u64,
}

/// A signed end-entity certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateRow {
    pub request: String,
    pub profile: String,
    pub names: Vec<String>,
    pub not_after: String,
    pub serial: String,
    pub sha256: String,
}

/// A request that was not signed.
#[derive(Clone, Debug, Serialize)]
pub struct RefusalRow {
    pub request: String,
    pub check: String,
    pub reason: String,
}

/// A certificate that was revoked.
#[derive(Clone, Debug, Serialize)]
pub struct RevokedRow {
    pub ca: String,
    pub serial: String,
    pub reason: String,
    pub date: String,
}

/// Where the log stood when the release was made.
#[derive(Clone, Debug, Serialize)]
pub struct LogPosition {
    pub size: u64,
    /// Root hash of the Merkle tree, hex groups.
    pub root: String,
    /// The signed note, whole.
    pub checkpoint: String,
    /// C2SP signed-note verifier key. Shown to be compared, never to be trusted because it stands here.
    pub verifier_key: String,
}

/// Counts equal pairs of (what, by), largest first, then by name.
pub fn tally<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Count> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for pair in pairs {
        *counts.entry(pair).or_default() += 1;
    }
    let mut rows: Vec<Count> = counts
        .into_iter()
        .map(|((what, by), count)| Count { what: what.to_string(), by: by.to_string(), count })
        .collect();
    // Stable: equal counts stay in the order of their names.
    rows.sort_by_key(|row| std::cmp::Reverse(row.count));
    rows
}

/// The page. Same input, same octets.
pub fn render(report: &ReleaseReport) -> Result<String, Error> {
    let mut shown = report.clone();
    shown.certificates.truncate(MAX_ROWS);
    shown.refusals.truncate(MAX_ROWS);
    shown.keys.truncate(MAX_ROWS);
    let total = |counts: &[Count]| counts.iter().fold(0u64, |sum, row| sum.saturating_add(row.count));
    // `usize` is at most 64 bits wide on every target of Rust, so these casts lose nothing.
    let left_out = |total: u64, shown: usize| total.saturating_sub(shown as u64);
    let (signed, refused) = (total(&shown.signed), total(&shown.refused));

    let mut data = serde_json::to_value(&shown)?;
    if let Some(map) = data.as_object_mut() {
        map.insert("rehearsal".into(), (report.environment != Environment::Real).into());
        map.insert("trees".into(), serde_json::to_value(picture::trees(&shown))?);
        map.insert("line".into(), serde_json::to_value(picture::line(&shown))?);
        let most = shown.signed.iter().chain(&shown.refused).map(|row| row.count).max().unwrap_or(1).max(1);
        map.insert("most".into(), most.into());
        map.insert("total_signed".into(), signed.into());
        map.insert("total_refused".into(), refused.into());
        map.insert("certificates_left_out".into(), left_out(signed, shown.certificates.len()).into());
        map.insert("revoked_left_out".into(), left_out(report.revocations, shown.revoked.len()).into());
        map.insert("total_keys".into(), (report.keys.len() as u64).into());
        map.insert("keys_left_out".into(), left_out(report.keys.len() as u64, shown.keys.len()).into());
        map.insert("refusals_left_out".into(), left_out(refused, shown.refusals.len()).into());
    }
    page::fill("release.html", TEMPLATE, data)
}
