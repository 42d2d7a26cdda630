//! The page of a release: hostile text adds no element and no attribute to it.

use coldroot::config::Environment;
use coldroot::report::{
    Approval, CaRow, CertificateRow, Count, CrlRow, CsrRow, FindingRow, KeyRow, LinterRow, LogPosition, RefusalRow,
    ReleaseReport, RevokedRow, TokenRow, render,
};

/// The start and end tags of a page, whole. A tag ends at the first `>` outside its quotes, as a browser reads it.
pub fn tags(page: &str) -> Vec<&str> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let mut quote = None;
        let end = rest.char_indices().find(|(_, c)| match (quote, c) {
            (None, '"' | '\'') => {
                quote = Some(*c);
                false
            }
            (Some(open), c) if open == *c => {
                quote = None;
                false
            }
            (None, '>') => true,
            _ => false,
        });
        let end = end.expect("every tag ends").0 + 1;
        tags.push(&rest[..end]);
        rest = &rest[end..];
    }
    tags
}

/// A page with this text in every place.
pub fn page(text: &str) -> String {
    let t = || text.to_string();
    let report = ReleaseReport {
        hierarchy: t(),
        hierarchy_digest: t(),
        environment: Environment::Rehearsal,
        origin: t(),
        release: 3,
        plan_digest: t(),
        sign_from: t(),
        sign_until: t(),
        operator: t(),
        witness: t(),
        approvals: vec![Approval { person: t(), fingerprint: t() }],
        cas: vec![CaRow {
            id: t(),
            issuer: Some(t()),
            subject: t(),
            not_before: t(),
            not_after: t(),
            key_algorithm: t(),
            serial: t(),
            sha256: t(),
        }],
        crls: vec![CrlRow { ca: t(), number: 1, this_update: t(), next_update: t(), entries: 0 }],
        csrs: vec![CsrRow { ca: t(), subject: t(), sha256: t() }],
        signed: vec![Count { what: t(), by: t(), count: 1 }],
        refused: vec![Count { what: t(), by: t(), count: 1 }],
        certificates: vec![CertificateRow {
            request: t(),
            profile: t(),
            names: vec![t()],
            not_after: t(),
            serial: t(),
            sha256: t(),
        }],
        refusals: vec![RefusalRow { request: t(), check: t(), reason: t() }],
        revoked: vec![RevokedRow { ca: t(), serial: t(), reason: t(), date: t() }],
        revocations: 1,
        void: Some(t()),
        linters: vec![LinterRow {
            linter: t(),
            summary: t(),
            program: Some(t()),
            found: vec![FindingRow { finding: t(), level: t(), shape: t(), count: 1, accepted: Some(t()) }],
            more: 1,
        }],
        block_lists: vec![t()],
        broken_keys: vec![t()],
        tokens: vec![TokenRow { token: t(), serial: t(), before: None, after: None }],
        keys: vec![KeyRow {
            change: t(),
            token: t(),
            key: t(),
            label: t(),
            cka_id: t(),
            kind: t(),
            has: vec![t()],
            lacks: vec![t()],
        }],
        log: LogPosition { size: 1, root: t(), checkpoint: t(), verifier_key: t() },
    };
    render(&report).unwrap()
}

/// The page of this text has the elements of a harmless page, and is printable ASCII (the dash of a checkpoint aside).
pub fn same_elements(text: &str) {
    // What is not there has no element either, which is no doing of the text.
    if text.is_empty() {
        return;
    }
    let (harmless, hostile) = (page("x"), page(text));
    assert_eq!(tags(&hostile), tags(&harmless), "{text:?}");
    let bad = hostile.chars().find(|c| !matches!(c, '\n' | '\u{2014}' | ' '..='~'));
    assert_eq!(bad, None, "{text:?}");
}
