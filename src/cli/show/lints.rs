//! What linters said of a plan.

use crate::plan::Linted;
use crate::report::terminal::{human_count, pairs};
use crate::text::{escape, line};

/// A paragraph for each linter; empty where none was asked. Of findings so many rows.
pub(super) fn section(lints: &[Linted], rows: usize) -> String {
    let mut text = String::new();
    for lint in lints {
        text.push_str(&format!("\nLinter {}: {}\n", escape(&lint.linter), line(&lint.summary())));
        if let Some(program) = &lint.program {
            text.push_str(&format!("  its program has the SHA-256 {program}\n"));
        }
        let found = lint.found.iter().take(rows).map(|found| {
            let accepted =
                found.accepted.as_deref().map_or(String::new(), |why| format!(", accepted: {}", escape(why)));
            let count = human_count(found.count);
            let about = format!("{} in {count} of {}{accepted}", found.level.name(), escape(&found.shape));
            (escape(&found.finding), about)
        });
        let found: Vec<(String, String)> = found.collect();
        if !found.is_empty() {
            text.push_str(&format!("\n{}", pairs(&found)));
        }
        let more = lint.more + (lint.found.len() - found.len()) as u64;
        if more > 0 {
            text.push_str(&format!("and {} more\n", human_count(more)));
        }
    }
    text
}
