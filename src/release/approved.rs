//! Whether the persons of a given hierarchy approved what a release holds: the statement made again from the plan on record,
//! the signatures on record, and the bytes that were signed.

use crate::approval;
use crate::audit::entry::{Body, Start};
use crate::audit::{View, artefact};
use crate::config::Hierarchy;
use crate::plan::{self, Plan};
use crate::x509;

use super::{Error, Kind, Release};

/// Checks plan, quorum and signed bytes of a release against its log and the reader's hierarchy.
pub fn check(release: &Release, log: &View, hierarchy: &Hierarchy) -> Result<(), Error> {
    let failed = |check: &'static str, what: String| Error::Check { check, what };
    let missing = |what: &str| failed("approvals", format!("the log lacks {what}"));
    let path = log.dir().join(artefact::path(&release.head.plan));
    let mut plan = Plan::open(&path).map_err(|_| missing("the plan of this release"))?;
    if plan.digest() != release.head.plan {
        return Err(failed("approvals", "the plan on record has another digest".into()));
    }
    let start = start(release, log)?.ok_or_else(|| missing("the start of this release's plan"))?;
    let mut signatures = Vec::new();
    for approved in &start.approvals {
        let armored = log.artefact(&approved.signature).map_err(|_| missing("an approval"))?;
        signatures.push(String::from_utf8_lossy(&armored).into_owned());
    }
    let quorum = match plan.head().kind {
        Kind::Keys => &hierarchy.quorum_keys,
        Kind::Certificates => &hierarchy.quorum_certificates,
    };
    let statement = plan::statement(plan.head(), &plan.digest());
    approval::quorate(&statement, &signatures, hierarchy, quorum).map_err(|e| failed("approvals", e.to_string()))?;
    for entry in log.entries(0..log.size()) {
        let (_, entry, _) = entry?;
        let (item, der) = match entry.body {
            Body::Certificate(c) if c.plan == plan.digest() => (c.item, c.der.into_vec()),
            Body::Crl(c) if c.plan == plan.digest() => (c.item, log.artefact(&c.crl)?),
            _ => continue,
        };
        let planned = plan.item(item)?;
        let tbs = x509::tbs_of(&der).map_err(|e| failed("as-planned", format!("item {item}: {e}")))?;
        if planned.to_sign().is_none_or(|(_, bytes, _)| bytes != tbs) {
            return Err(failed("as-planned", format!("what was signed as item {item} is not what was approved")));
        }
    }
    Ok(())
}

fn start(release: &Release, log: &View) -> Result<Option<Start>, Error> {
    for entry in log.entries(0..log.size()) {
        if let (_, crate::audit::entry::Entry { body: Body::Start(start), .. }, _) = entry?
            && start.plan == release.head.plan
        {
            return Ok(Some(start));
        }
    }
    Ok(None)
}
