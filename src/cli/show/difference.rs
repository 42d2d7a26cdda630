//! What differs between two hierarchies.

use std::path::Path;

use serde_json::json;

use crate::change;
use crate::cli::{Answer, Failure};
use crate::config::Hierarchy;
use crate::digest::Digest;
use crate::report::terminal::pairs;
use crate::text::hex_groups;

/// Shows what differs between two hierarchy files, with the SHA-256 that a statement has of it.
pub(super) fn difference(old: &Path, new: &Path) -> Result<Answer, Failure> {
    let (before, after) = (Hierarchy::load(old)?, Hierarchy::load(new)?);
    let difference = change::difference(&before, &after);
    let digest = Digest::of(difference.as_bytes());
    let counted = change::newly_counted(&before, &after).join(", ");
    let mut facts = vec![
        ("from", hex_groups(&before.digest.0)),
        ("to", hex_groups(&after.digest.0)),
        ("what differs", hex_groups(&digest.0)),
    ];
    if !counted.is_empty() {
        facts.push(("count anew", counted.clone()));
    }
    let text = format!("{difference}\n{}", pairs(&facts));
    let json = json!({
        "from": before.digest.hex(), "to": after.digest.hex(), "difference": difference, "digest": digest.hex(), "count-anew": counted,
    });
    Ok(Answer::new(text, json))
}
