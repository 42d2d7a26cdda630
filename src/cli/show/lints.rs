//! What judged the keys and items of a plan, and what it found.

use crate::digest::Digest;
use crate::plan::Linted;
use crate::report::sheet::Sheet;
use crate::report::terminal::human_count;
use crate::text::{escape, line};

/// Linters, lists of compromised keys, and keys that are broken, as the heads of plans and releases have them.
pub(super) fn judged(
    mut sheet: Sheet,
    (lints, block_lists, broken_keys): (&[Linted], &[Digest], &[String]),
    rows: usize,
) -> Sheet {
    if !broken_keys.is_empty() {
        let shown: Vec<String> = broken_keys.iter().take(rows).map(|key| format!("  {}", line(key))).collect();
        sheet = sheet
            .heading("No secret any more, since each shares a prime with an RSA key of the bundle:")
            .text(shown.join("\n"))
            .next("revoke", "coldroot plan --revoke SERIAL --reason key-compromise");
    }
    sheet = section(sheet, lints, rows);
    for list in block_lists {
        sheet = sheet.text(format!("No key stands in the list of compromised keys with SHA-256\n  {list}"));
    }
    sheet
}

/// A paragraph for each linter; nothing where none was asked. Of findings so many rows.
fn section(mut sheet: Sheet, lints: &[Linted], rows: usize) -> Sheet {
    for lint in lints {
        let program =
            lint.program.map_or(String::new(), |program| format!("\n  its program has the SHA-256 {program}"));
        sheet = sheet.text(format!("Linter {}: {}{program}", escape(&lint.linter), line(&lint.summary())));
        let found = lint.found.iter().take(rows).map(|found| {
            let accepted =
                found.accepted.as_deref().map_or(String::new(), |why| format!(", accepted: {}", escape(why)));
            let count = human_count(found.count);
            let about = format!("{} in {count} of {}{accepted}", found.level.name(), escape(&found.shape));
            (escape(&found.finding), about)
        });
        let found: Vec<(String, String)> = found.collect();
        let more = lint.more + (lint.found.len() - found.len()) as u64;
        if !found.is_empty() {
            sheet = sheet.facts(&found);
        }
        if more > 0 {
            sheet = sheet.text(format!("and {} more", human_count(more)));
        }
    }
    sheet
}
