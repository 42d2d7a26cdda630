//! The statement: what officers read and sign. ASCII, ten fixed lines, then one per act, CA and profile, and one per linter. A digest
//! after the word `sha256` stands alone on the next line, so that it is read whole on a terminal of 80 columns.

use crate::config::{Hierarchy, MarkPlace};
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
    let bundle = bundle_line(head);
    let mut lines = fixed_lines([
        &text::quoted(&head.name),
        &text::quoted(&head.origin),
        &head.environment.to_string(),
        &head.hierarchy.to_string(),
        &format!("{kind} {}", sha256(digest)),
        &format!("release {}", head.release_before),
        &bundle,
        &format!("from {} until {}", text::utc(head.sign_from), text::utc(head.sign_until)),
        &format!("{} to do, {} refused", head.items, head.refused),
    ]);
    for count in &head.counts {
        let (act, ca, detail) = (text::quoted(&count.act), text::quoted(&count.ca), text::quoted(&count.detail));
        lines.push_str(&format!("act          {act} {ca} {detail} count {}\n", count.count));
    }
    for lint in &head.lints {
        lines.push_str(&format!("lint         {} {}\n", text::quoted(&lint.linter), text::quoted(&lint.summary())));
    }
    lines
}

/// The statement that ends a plan without carrying it out: `done` of its items stand in the log and stay issued, the rest
/// never is. The quorum of the plan's own kind signs it, under the same namespace.
pub fn void_statement(head: &Head, digest: &Digest, done: u64, reason: &str) -> String {
    let bundle = bundle_line(head);
    let mut lines = fixed_lines([
        &text::quoted(&head.name),
        &text::quoted(&head.origin),
        &head.environment.to_string(),
        &head.hierarchy.to_string(),
        &format!("void {}", sha256(digest)),
        &format!("release {}", head.release_before),
        &bundle,
        "none",
        &format!("{done} done, {} not issued", head.items.saturating_sub(done)),
    ]);
    lines.push_str(&format!("act          void {}\n", text::quoted(reason)));
    lines
}

fn bundle_line(head: &Head) -> String {
    match &head.bundle {
        Some(b) => format!("desk {} number {} {}", text::quoted(&b.desk), b.sequence, sha256(&b.digest)),
        None => "none".into(),
    }
}

/// The statement that the roster signs before `init`: the hierarchy itself, since there is no plan yet.
pub fn init_statement(hierarchy: &Hierarchy) -> String {
    let audit = format!("init {}", sha256(&hierarchy.digest));
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
    let mark = if hierarchy.audit_mark == MarkPlace::Paper { ", mark on paper" } else { "" };
    lines.push_str(&format!("act          init {token} {} {label}{mark}\n", hierarchy.audit_algorithm));
    lines
}

/// A digest in a statement: on a line of its own, below the values.
pub(crate) fn sha256(digest: &Digest) -> String {
    format!("sha256\n{:13}{digest}", "")
}

/// The ten lines that every statement begins with.
pub(crate) fn fixed_lines(values: [&str; 9]) -> String {
    let names = ["hierarchy", "origin", "environment", "rules", "plan", "after", "bundle", "window", "items"];
    let mut lines = String::from("coldroot-statement-v0\n");
    for (name, value) in names.iter().zip(values) {
        lines.push_str(&format!("{name:<12} {value}\n"));
    }
    lines
}
