//! What linters said of a plan.

use crate::plan::Linted;
use crate::report::sheet::Sheet;
use crate::report::terminal::human_count;
use crate::text::{escape, line};

/// A paragraph for each linter; nothing where none was asked. Of findings so many rows.
pub(super) fn section(mut sheet: Sheet, lints: &[Linted], rows: usize) -> Sheet {
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
