//! The statement: what officers read and sign. ASCII, ten fixed lines, then one per act, CA and profile.

use crate::config::Hierarchy;
use crate::digest::Digest;
use crate::text;

use super::{Head, Kind};

/// The SSHSIG namespace of every approval.
pub const NAMESPACE: &str = "coldroot-plan-v1";

/// The statement of a plan, generated from its head and digest alone; the gate makes it again and compares.
pub fn statement(head: &Head, digest: &Digest) -> String {
    let kind = match head.kind {
        Kind::Keys => "keys",
        Kind::Certificates => "certificates",
    };
    let bundle = match &head.bundle {
        Some(b) => format!("desk {} number {} sha256 {}", text::escape(&b.desk), b.sequence, b.digest),
        None => "none".into(),
    };
    let mut lines = fixed_lines([
        &text::escape(&head.name),
        &text::escape(&head.origin),
        &head.environment.to_string(),
        &head.hierarchy.to_string(),
        &format!("{kind} sha256 {digest}"),
        &format!("release {}", head.release_before),
        &bundle,
        &format!("from {} until {}", text::utc(head.sign_from), text::utc(head.sign_until)),
        &format!("{} to do, {} refused", head.items, head.refused),
    ]);
    for count in &head.counts {
        let (act, ca, detail) = (text::escape(&count.act), text::escape(&count.ca), text::escape(&count.detail));
        lines.push_str(&format!("act          {act} {ca} {detail} count {}\n", count.count));
    }
    lines
}

/// The statement that the roster signs before `init`: the hierarchy itself, since there is no plan yet.
pub fn init_statement(hierarchy: &Hierarchy) -> String {
    let audit = format!("init sha256 {}", hierarchy.digest);
    let mut lines = fixed_lines([
        &hierarchy.name,
        &hierarchy.origin,
        &hierarchy.environment.to_string(),
        &hierarchy.digest.to_string(),
        &audit,
        "nothing",
        "none",
        "none",
        "1 to do, 0 refused",
    ]);
    let (token, label) = (&hierarchy.audit_token, &hierarchy.audit_key_label);
    lines.push_str(&format!("act          init {token} ed25519 {label}\n"));
    lines
}

fn fixed_lines(values: [&str; 9]) -> String {
    let names = ["hierarchy", "origin", "environment", "rules", "plan", "after", "bundle", "window", "items"];
    let mut lines = String::from("coldroot-statement-v0\n");
    for (name, value) in names.iter().zip(values) {
        lines.push_str(&format!("{name:<12} {value}\n"));
    }
    lines
}
