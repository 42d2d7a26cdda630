//! A bundle: who packed it, for whom, and what is in it.

use std::path::Path;

use serde_json::json;

use crate::bundle;
use crate::cli::{Answer, Failure};
use crate::config::Environment;
use crate::report::sheet::Sheet;
use crate::report::terminal::{Table, human_count};
use crate::text::{escape, shell, utc};
use crate::x509::fields::reason_name;

pub(super) fn bundle(path: &Path, rows: usize) -> Result<Answer, Failure> {
    let file = std::fs::File::open(path).map_err(|e| Failure::io(path, e))?;
    let unverified = bundle::open(std::io::BufReader::new(file))?;
    let digest = unverified.digest();
    // Without a hierarchy there is nobody to compare the signature with: what is shown is a claim, and said to be one.
    let (mut bundle, ()) = unverified.verify(|_, _, _| Ok::<(), Failure>(()))?;
    let head = bundle.head().clone();
    let mut table = Table::new(&["item", "what", "names"]).limit(rows);
    for item in bundle.items()? {
        let item = item?;
        let (what, names) = match &item {
            bundle::Item::Validations(list) => ("validations".into(), list_words(list)),
            bundle::Item::Request(r) => (escape(&r.profile), r.names.iter().map(|n| escape(n)).collect()),
            bundle::Item::Revoke(r) => (format!("revoke, {}", reason_name(r.reason)), Vec::new()),
        };
        table.row([escape(&item.id()), what, names.join(" ")]);
    }
    let sheet = Sheet::new("Bundle, its signature not checked")
        .rehearsal(head.environment != Environment::Real)
        .facts(&[
            ("desk", format!("{}, number {}", escape(&head.desk), head.sequence)),
            ("for", format!("{} ({})", escape(&head.hierarchy), head.environment)),
            ("made", utc(head.created)),
            ("expires", utc(head.expires)),
            ("requests", human_count(head.items().saturating_sub(head.revocations))),
            ("lists of validations", human_count(head.lists)),
            ("revocations", human_count(head.revocations)),
        ])
        .digest("SHA-256", &digest)
        .table(table)
        .next("check", format!("coldroot check {} --hierarchy FILE", shell(path)));
    Ok(Answer::of(
        sheet,
        json!({ "desk": head.desk, "sequence": head.sequence, "count": head.count, "revocations": head.revocations, "lists": head.lists, "digest": digest.hex() }),
    ))
}

/// What a validators' list claims; nobody vouches for it here.
fn list_words(validations: &bundle::Validations) -> Vec<String> {
    match bundle::List::parse(&validations.list) {
        Err(e) => vec![e.to_string()],
        Ok(list) => list.validations.iter().flat_map(|said| said.names.iter().map(|name| escape(name))).collect(),
    }
}
