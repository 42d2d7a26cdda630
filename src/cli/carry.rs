//! A plan on its way to the officers' machines.

use std::fs::File;
use std::path::Path;

use cap_std::fs::Dir;

use crate::media::{self, Name, Source};

use super::{Failure, failure::Code};

/// The longest statement for which room is kept: a line for each act, CA and profile.
const STATEMENT: u64 = 1 << 16;

/// Opens a medium to which something could be written, before anything begins.
pub fn judge(medium: &Path) -> Result<Dir, Failure> {
    let dir = media::open(medium)?;
    media::room_for(&dir, &[])?;
    Ok(dir)
}

/// Refuses a medium that is too small for a plan that is not on record yet.
pub fn has_room(medium: Option<&Dir>, plan: &File) -> Result<(), Failure> {
    let Some(medium) = medium else { return Ok(()) };
    let length = plan.metadata().map_err(|e| Failure::io(Path::new("plan"), e))?.len();
    Ok(media::room_for(medium, &[length, STATEMENT])?)
}

/// Writes a plan that is on record, and its statement, onto the medium; the plan comes last.
pub fn out(medium: &Dir, plan: &Path, statement: &str) -> Result<(), Failure> {
    let write = || {
        let name = |path: &Path| Name::parse(&path.file_name().unwrap_or_default().to_string_lossy());
        let statement_path = plan.with_extension("statement");
        let files = [(name(&statement_path)?, Source::Octets(statement.as_bytes())), (name(plan)?, Source::File(plan))];
        media::write_out(medium, &files).map(drop)
    };
    write().map_err(|e| Failure {
        code: Code::Halted,
        what: format!("the plan is on record and lies in out/, but not on the medium: {e}"),
        hint: Some(format!(
            "{}; then carry {plan} and its .statement to the officers: cp {plan} {statement} MEDIUM",
            e.hint().unwrap_or_default(),
            plan = crate::text::shell(plan),
            statement = crate::text::shell(plan.with_extension("statement")),
        )),
    })
}
