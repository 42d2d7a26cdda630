//! Approvals on their way back to the station: named one by one, or lying on a medium beside their plan.

use std::fs;
use std::path::{Path, PathBuf};

use crate::approval::MAX_SIGNATURE;
use crate::media;

use super::Failure;
use super::inbox::Incoming;

/// Reads armored signatures, each through a copy of its own.
pub fn read_signatures(paths: &[PathBuf], inbox: &Path) -> Result<Vec<String>, Failure> {
    let mut signatures = Vec::new();
    for path in paths {
        let copy = Incoming::take(path, MAX_SIGNATURE as u64, inbox)?;
        let bytes = fs::read(copy.path()).map_err(|e| Failure::io(copy.path(), e))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Failure::refused(
                format!("{} is no SSH signature: it is not text", crate::text::path(path)),
                "give the .sig file",
            )
        })?;
        // One approval may lie on a medium and be named as well.
        if !signatures.contains(&text) {
            signatures.push(text);
        }
    }
    Ok(signatures)
}

/// The approvals of a plan that lie on a medium, `<plan file>.<person>.sig`, by their paths.
pub fn approvals_on(medium: &Path, plan: &Path) -> Result<Vec<PathBuf>, Failure> {
    let plan = plan.file_name().unwrap_or_default().to_string_lossy();
    let of_plan = |name: &String| {
        let person = name.strip_prefix(plan.as_ref()).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".sig"));
        person.is_some_and(|person| !person.is_empty())
    };
    let mut names: Vec<String> = media::list(&media::open(medium)?)?.into_iter().filter(of_plan).collect();
    names.sort();
    Ok(names.into_iter().map(|name| medium.join(name)).collect())
}
