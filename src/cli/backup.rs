//! The backups that a plan made, as files for people: `backup-NNNN/KEY.kwp` in out/ and on the medium. They are no part of the
//! release, which is public.
//!
//! ```text
//! (key-backed-up entries → fsync; end entry, MARK)    the backups are artefacts already
//! out/backup-N, flushed and read back                 whole, or not there; made again by the same command
//! backup-N on the medium                              the same
//! (the release)
//! ```

use std::path::Path;

use cap_std::fs::Dir;

use crate::audit::Log;
use crate::audit::entry::Body;
use crate::digest::Digest;
use crate::media::{self, Name, Source};

use super::Failure;
use super::station::Station;

/// Writes them where they are not yet. The name of their directory; `None`: the plan made none.
pub(super) fn write(
    station: &Station,
    log: &Log,
    plan: Digest,
    release: u64,
    medium: Option<&Path>,
) -> Result<Option<String>, Failure> {
    let mut backups = Vec::new();
    for entry in log.entries(0..log.size()) {
        if let (_, crate::audit::entry::Entry { body: Body::KeyBackedUp(made), .. }, _) = entry?
            && made.plan == plan
        {
            backups.push((Name::parse(&format!("{}.kwp", made.key))?, log.artefact(&made.backup)?));
        }
    }
    if backups.is_empty() {
        return Ok(None);
    }
    let files: Vec<(Name, Source)> =
        backups.iter().map(|(name, octets)| (name.clone(), Source::Octets(octets))).collect();
    let directory = Name::parse(&format!("backup-{release:04}"))?;
    write_in(&media::open(&station.out_dir()?)?, &directory, &files)?;
    if let Some(medium) = medium {
        write_in(&media::open(medium)?, &directory, &files)?;
    }
    Ok(Some(directory.to_string()))
}

/// New, or whole and the same already.
fn write_in(into: &Dir, directory: &Name, files: &[(Name, Source)]) -> Result<(), Failure> {
    if !into.exists(directory.as_str()) {
        media::write_out_in(into, directory, files)?;
        return Ok(());
    }
    let there = into.open_dir(directory.as_str()).map_err(|e| Failure::io(Path::new(directory.as_str()), e))?;
    media::compare(&there, files).map_err(|e| {
        let what = format!("`{directory}` is there already and does not hold the backups of this plan: {e}");
        Failure::refused(what, "move it away, then run the same command again")
    })
}
