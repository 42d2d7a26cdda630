//! A release: what is in it, of which plan.

use std::path::Path;

use serde_json::json;

use super::lints;
use crate::cli::{Answer, Failure};
use crate::config::Environment;
use crate::report::sheet::Sheet;
use crate::report::terminal::Table;
use crate::text::{escape, hex, shell, utc};
use crate::x509::fields::reason_name;
use crate::{release, x509};

pub(super) fn release(path: &Path, rows: usize) -> Result<Answer, Failure> {
    let release = release::Release::open(path)?;
    let mut table = Table::new(&["what", "for", "until"]).limit(rows);
    release.parts(|part| {
        let until = |der: &[u8]| x509::read_certificate(der).map_or(String::new(), |f| utc(f.not_after));
        match part {
            release::Part::Ca { ca, der, .. } => table.row(["CA certificate".into(), escape(&ca), until(&der)]),
            release::Part::Certificate { request, profile, der, .. } => {
                table.row([escape(&profile), escape(&request), until(&der)])
            }
            release::Part::Crl { ca, number, .. } => {
                table.row([format!("CRL number {number}"), escape(&ca), String::new()])
            }
            release::Part::Csr { ca, .. } => table.row(["request".into(), escape(&ca), String::new()]),
            release::Part::Revoked { serial, reason, .. } => {
                table.row([format!("revoked, {}", reason_name(reason)), hex(&serial), String::new()])
            }
            release::Part::Refused(r) => table.row(["refused".into(), escape(&r.request), escape(&r.check)]),
            release::Part::Key { key, .. } => table.row(["key made".into(), escape(&key), String::new()]),
            release::Part::KeyAct { act, key, .. } => table.row([escape(&act), escape(&key), String::new()]),
        }
        Ok(())
    })?;
    let head = &release.head;
    let sheet =
        Sheet::new(format!("Release {} of {} ({}), not checked", head.release, escape(&head.name), head.environment))
            .rehearsal(head.environment != Environment::Real)
            .facts(&[
                ("operator", escape(&head.operator)),
                ("witness", escape(&head.witness)),
                ("approved by", head.approvals.iter().map(|a| escape(&a.person)).collect::<Vec<_>>().join("\n")),
                ("window", format!("{} to {}", utc(head.sign_from), utc(head.sign_until))),
            ])
            .digest("plan", &head.plan)
            .digest("manifest", &release.manifest)
            .table(table);
    let sheet = lints::judged(sheet, (&head.lints, &head.block_lists, &head.broken_keys), rows)
        .next("check", format!("coldroot check {} --verifier-key KEY --hierarchy FILE --root FILE", shell(path)));
    Ok(Answer::of(
        sheet,
        json!({
            "release": head.release, "name": head.name, "plan": head.plan.hex(), "items": head.items, "refused": head.refused,
            "block-lists": head.block_lists, "broken-keys": head.broken_keys, "lints": head.lints,
        }),
    ))
}
