//! `report.html` of a release, gathered while it is unpacked.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{Log, entry::Body};
use crate::digest::Digest;
use crate::x509::fields::{NO_SCTS, reason_name};
use crate::{report, text, x509};

use super::tokens::Changes;
use super::*;

/// The report being gathered.
pub(super) struct Page {
    report: report::ReleaseReport,
    signed: BTreeMap<(String, String), u64>,
    refused: BTreeMap<String, u64>,
}

impl Page {
    pub(super) fn new(
        checked: &Checked,
        verifier_key: &str,
        cas: &BTreeMap<String, (String, Bytes)>,
    ) -> Result<Page, Error> {
        let log = Log::read(&checked.log)?;
        let head = &checked.release.head;
        let mut rows = Vec::new();
        let mut issued: BTreeSet<Digest> = BTreeSet::new();
        let mut changes = Changes::of(&log, &head.plan);
        for entry in log.entries(0..log.size()) {
            let (index, entry, _) = entry?;
            if let Body::Certificate(c) = &entry.body {
                issued.insert(Digest::of(&c.der));
            }
            changes.take(index, &entry);
        }
        let names: BTreeMap<Bytes, &String> =
            cas.iter().filter_map(|(ca, (_, der))| Some((x509::read_certificate(der).ok()?.subject, ca))).collect();
        for (ca, (_, der)) in cas.iter().filter(|(_, (_, der))| issued.contains(&Digest::of(der))) {
            let Ok(fields) = x509::read_certificate(der) else { continue };
            rows.push(report::CaRow {
                id: ca.clone(),
                issuer: names.get(&fields.issuer).map(|issuer| issuer.to_string()),
                subject: x509::name_text(&fields.subject),
                not_before: text::utc(fields.not_before),
                not_after: text::utc(fields.not_after),
                key_algorithm: x509::PublicKey::from_spki(&fields.spki)
                    .map_or("unknown".into(), |k| k.kind().to_string()),
                serial: text::hex(&fields.serial),
                sha256: text::hex_groups(&Digest::of(der).0),
            });
        }
        let (tokens, keys) = changes.rows();
        let approvals = head
            .approvals
            .iter()
            .map(|a| report::Approval { person: a.person.clone(), fingerprint: a.fingerprint.clone() });
        Ok(Page {
            report: report::ReleaseReport {
                hierarchy: text::escape(&head.name),
                hierarchy_digest: text::hex_groups(&head.hierarchy.0),
                environment: head.environment,
                origin: text::escape(&head.origin),
                release: head.release,
                plan_digest: text::hex_groups(&head.plan.0),
                sign_from: text::utc(head.sign_from),
                sign_until: text::utc(head.sign_until),
                operator: head.operator.clone(),
                witness: head.witness.clone(),
                approvals: approvals.collect(),
                cas: rows,
                crls: Vec::new(),
                csrs: Vec::new(),
                signed: Vec::new(),
                refused: Vec::new(),
                certificates: Vec::new(),
                refusals: Vec::new(),
                revoked: Vec::new(),
                revocations: 0,
                void: head.void.as_deref().map(text::escape),
                linters: head.lints.iter().map(linter_row).collect(),
                block_lists: head.block_lists.iter().map(|list| text::hex_groups(&list.0)).collect(),
                broken_keys: head.broken_keys.iter().take(report::MAX_ROWS).map(|key| text::escape(key)).collect(),
                tokens,
                keys,
                log: report::LogPosition {
                    size: log.size(),
                    root: log.root().map_or(String::new(), |root| text::hex_groups(&root.0)),
                    checkpoint: log.checkpoint_text().unwrap_or_default().to_string(),
                    verifier_key: verifier_key.into(),
                },
            },
            signed: BTreeMap::new(),
            refused: BTreeMap::new(),
        })
    }

    pub(super) fn revoked(&mut self, ca: &str, serial: &[u8], reason: Option<u8>, date: i64) {
        self.report.revocations += 1;
        if self.report.revoked.len() < report::MAX_ROWS {
            self.report.revoked.push(report::RevokedRow {
                ca: text::escape(ca),
                serial: text::hex(serial),
                reason: reason_name(reason).into(),
                date: text::utc(date),
            });
        }
    }

    pub(super) fn certificate(&mut self, request: &str, ca: &str, profile: &str, der: &[u8]) {
        let Ok(fields) = x509::read_certificate(der) else { return };
        let what = if fields.lacks_scts() { format!("{profile} ({NO_SCTS})") } else { profile.into() };
        *self.signed.entry((what, ca.into())).or_default() += 1;
        if self.report.certificates.len() >= report::MAX_ROWS {
            return;
        }
        self.report.certificates.push(report::CertificateRow {
            request: request.into(),
            profile: profile.into(),
            names: x509::holder_names(&fields.subject, &fields.san).iter().map(|name| text::escape(name)).collect(),
            not_after: text::utc(fields.not_after),
            serial: text::hex(&fields.serial),
            sha256: Digest::of(der).hex(),
        });
    }

    pub(super) fn crl(&mut self, ca: &str, number: u64, der: &[u8]) {
        let Ok(fields) = x509::read_crl(der) else { return };
        self.report.crls.push(report::CrlRow {
            ca: ca.into(),
            number,
            this_update: text::utc(fields.this_update),
            next_update: text::utc(fields.next_update),
            entries: fields.revoked.len() as u64,
        });
    }

    pub(super) fn csr(&mut self, ca: &str, der: &[u8]) {
        let Ok(request) = x509::Request::parse(der) else { return };
        self.report.csrs.push(report::CsrRow {
            ca: ca.into(),
            subject: x509::name_text(&request.subject),
            sha256: text::hex_groups(&Digest::of(der).0),
        });
    }

    pub(super) fn refusal(&mut self, refusal: &Refusal) {
        *self.refused.entry(refusal.check.clone()).or_default() += 1;
        if self.report.refusals.len() < report::MAX_ROWS {
            self.report.refusals.push(report::RefusalRow {
                request: refusal.request.clone(),
                check: refusal.check.clone(),
                reason: refusal.reason.clone(),
            });
        }
    }

    pub(super) fn render(mut self) -> Result<String, Error> {
        let count = |what: String, by: String, count: u64| report::Count { what, by, count };
        self.report.signed = self.signed.into_iter().map(|((what, by), n)| count(what, by, n)).collect();
        self.report.refused = self.refused.into_iter().map(|(what, n)| count(what, String::new(), n)).collect();
        report::render(&self.report).map_err(|e| Error::Damaged { path: "report.html".into(), cause: e.to_string() })
    }
}

fn linter_row(lint: &Linted) -> report::LinterRow {
    let found = lint.found.iter().map(|found| report::FindingRow {
        finding: text::escape(&found.finding),
        level: found.level.name().into(),
        shape: text::escape(&found.shape),
        count: found.count,
        accepted: found.accepted.as_deref().map(text::escape),
    });
    report::LinterRow {
        linter: text::escape(&lint.linter),
        summary: text::escape(&lint.summary()),
        program: lint.program.map(|program| text::hex_groups(&program.0)),
        found: found.collect(),
        more: lint.more,
    }
}
