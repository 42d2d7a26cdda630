//! The changes of state in a log: whether their quorums approved them, by the hierarchies on record.

use super::{Error, adopts, approved, handover};
use crate::audit::entry::Body;
use crate::audit::{self, View};
use crate::config::Hierarchy;
use crate::digest::Digest;

/// How many changes were judged, and how many were not, since a hierarchy or an approval is not here (a published copy may
/// leave artefacts out).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Judged {
    pub approved: u64,
    pub not_judged: u64,
}

/// A change that was not approved, and its entry.
#[derive(Debug, thiserror::Error)]
#[error("entry {entry}: {cause}")]
pub struct Wrong {
    pub entry: u64,
    pub cause: Error,
}

/// Judges the changes that stand at these indices, all that the log has, in order. Each is judged by the hierarchy that was in
/// force, and that one by its digest: the genesis entry names the first. A log that was adopted goes on under the hierarchy that
/// the token knew; where the log had another one, `check` tells it as a gap, since nothing here can say whether it is the right one.
pub fn judge_log(log: &View, changes: &[u64]) -> Result<Judged, Wrong> {
    let mut judged = Judged::default();
    let Ok(genesis) = log.genesis() else { return Ok(judged) };
    let (mut in_force, mut token) = (genesis.hierarchy, None);
    for &index in changes {
        let wrong = |cause| Wrong { entry: index, cause };
        let Ok(entry) = log.entry(index) else { continue };
        let Some(decision) = entry.body.decision() else { continue };
        let adopted = adopts(&entry.body);
        if let Body::LogAdopted(lost) = &entry.body {
            in_force = lost.mark_hierarchy;
        }
        let here = || -> Result<_, audit::Error> {
            let armored = |a: &audit::entry::Approved| {
                log.artefact(&a.signature).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            };
            let armored: Vec<String> = decision.approvals.iter().map(armored).collect::<Result<_, _>>()?;
            Ok((armored, read(log, &in_force)?, adopted.map(|digest| read(log, &digest)).transpose()?))
        };
        match here() {
            Err(_) => judged.not_judged += 1,
            Ok((armored, hierarchy, new)) => {
                let hierarchy = hierarchy.ok_or(wrong(Error::Adopted))?;
                let new = new.map(|new| new.ok_or(wrong(Error::Adopted))).transpose()?;
                if approved(&hierarchy, new.as_ref(), &entry, &armored).map_err(wrong)? != decision.approvals {
                    return Err(wrong(Error::Recorded));
                }
                if let Body::HandedOver(handed) = &entry.body {
                    let first = hierarchy.token(&hierarchy.audit_token).and_then(|token| token.serial.clone());
                    let has_it = token.clone().or(first).unwrap_or_default();
                    handover::judge(&hierarchy, handed, &has_it).map_err(wrong)?;
                }
                judged.approved += 1;
            }
        }
        match entry.body {
            Body::HandedOver(handed) => token = Some(handed.to),
            Body::LogAdopted(lost) => token = Some(lost.token),
            _ => {}
        }
        in_force = adopted.unwrap_or(in_force);
    }
    Ok(judged)
}

/// A hierarchy on record.
pub fn on_record(log: &View, digest: &Digest) -> Option<Hierarchy> {
    read(log, digest).ok().flatten()
}

/// The same; `None` where the artefact is none.
fn read(log: &View, digest: &Digest) -> Result<Option<Hierarchy>, audit::Error> {
    let text = log.artefact(digest)?;
    Ok(std::str::from_utf8(&text).ok().and_then(|text| Hierarchy::parse(text).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Log;
    use crate::audit::entry::{ClockCorrected, Decision, Entry, Genesis};

    const EXAMPLE: &str = include_str!("../../ceremony-scripts/hierarchy.example.toml");

    #[test]
    fn p01_a_change_on_record_that_nobody_approved_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let hierarchy = Hierarchy::parse(EXAMPLE).unwrap();
        let mut log = Log::create(&dir.path().join("audit"), &hierarchy.origin).unwrap();
        let genesis = Genesis {
            origin: hierarchy.origin.clone(),
            name: hierarchy.name.clone(),
            environment: hierarchy.environment,
            hierarchy: hierarchy.digest,
            verifier_key: "none".into(),
            approvals: Vec::new(),
            requesters: Digest::default(),
            program: "test".into(),
        };
        log.append(&Entry::new(90_000, Body::Genesis(genesis))).unwrap();
        let (reason, operator, witness) = ("why".into(), "cyd".into(), "ben".into());
        let decision =
            Decision { reason, release: 0, change: 1, approvals: Vec::new(), operator, witness, witness_time: None };
        log.append(&Entry::new(70_000, Body::ClockCorrected(ClockCorrected { from: 90_000, to: 70_000, decision })))
            .unwrap();
        log.sync().unwrap();
        // Without the hierarchy nobody can judge.
        assert_eq!(judge_log(&log, &[1]).unwrap(), Judged { approved: 0, not_judged: 1 });
        log.put_artefact(EXAMPLE.as_bytes()).unwrap();
        let wrong = judge_log(&log, &[1]).unwrap_err();
        assert!(matches!(wrong, Wrong { entry: 1, cause: Error::Approval(_) }), "{wrong}");
        assert!(wrong.cause.hint().is_some());
    }
}
