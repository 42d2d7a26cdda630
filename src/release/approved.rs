//! Whether the persons of a given hierarchy approved what a release holds: the statement made again from the plan on record,
//! the signatures on record, and the bytes that were signed; and whether the release says of itself what plan and log say.

use crate::approval;
use crate::audit::entry::{
    Approved, Body, CertificateIssued, CrlIssued, KeyDestroyed, KeyGenerated, KeyProven, Revoked, Start, Void,
};
use crate::audit::{View, artefact};
use crate::config::Hierarchy;
use crate::digest::Digest;
use crate::ledger::Ledger;
use crate::plan::{self, Plan};
use crate::x509;

use super::write::release_head;
use super::{Error, Release};

/// Checks plan, quorum, signed bytes and head of a release against its log and the reader's hierarchy.
pub fn check(release: &Release, log: &View, ledger: &Ledger, hierarchy: &Hierarchy) -> Result<(), Error> {
    let failed = |check: &'static str, what: String| Error::Check { check, what };
    let missing = |what: &str| failed("approvals", format!("the log lacks {what}"));
    let path = log.dir().join(artefact::path(&release.head.plan));
    let mut plan = Plan::open(&path).map_err(|_| missing("the plan of this release"))?;
    if plan.digest() != release.head.plan {
        return Err(failed("approvals", "the plan on record has another digest".into()));
    }
    let ends = Ends::of(&plan.digest(), log)?;
    let approvals = |approved: &[Approved]| -> Result<Vec<String>, Error> {
        let armored = |a: &Approved| log.artefact(&a.signature).map_err(|_| missing("an approval"));
        approved.iter().map(|a| Ok(String::from_utf8_lossy(&armored(a)?).into_owned())).collect()
    };
    let quorum = hierarchy.quorum(plan.head().kind);
    let judge = |statement: &str, approved: &[Approved], at: i64| {
        let judged = approval::quorate(statement, &approvals(approved)?, hierarchy, quorum, at);
        judged.map(drop).map_err(|e| failed("approvals", e.to_string()))
    };
    if let Some(start) = &ends.start {
        judge(&plan::statement(plan.head(), &plan.digest()), &start.approvals, plan.head().sign_from)?;
    }
    let begin = ends.begin().ok_or_else(|| missing("the start of this release's plan"))?;
    let expected = match &ends.void {
        None => plan.head().items,
        Some((time, void)) => {
            let statement = plan::void_statement(plan.head(), &plan.digest(), void.done, &void.reason);
            judge(&statement, &void.approvals, *time)?;
            void.done
        }
    };
    if ends.done != expected {
        let what = format!("{} items of the plan are on record, {expected} were approved to be", ends.done);
        return Err(failed("approvals", what));
    }
    let state = ledger.plans.get(&plan.digest());
    if release.head != release_head(plan.head(), plan.digest(), &begin, release.head.release, state) {
        let what = "people, approvals, window, counts or another line of it are not what plan and log say";
        return Err(failed("head", what.into()));
    }
    for entry in log.entries(0..log.size()) {
        let (_, entry, _) = entry?;
        let (item, der) = match entry.body {
            Body::Certificate(c) if c.plan == plan.digest() => (c.item, c.der.into_vec()),
            Body::Crl(c) if c.plan == plan.digest() => (c.item, log.artefact(&c.crl)?),
            Body::KeyProven(proven) if proven.plan == plan.digest() => {
                let signature = log.artefact(&proven.signature)?;
                let item = plan.item(proven.item)?;
                let signed =
                    item.to_sign().map(|(key, text, by)| x509::verify_signature(&key.spki, by, text, &signature));
                if signed.is_none_or(|verified| verified.is_err()) {
                    let what = format!("the proof of item {} does not verify with the planned key", proven.item);
                    return Err(failed("as-planned", what));
                }
                continue;
            }
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

/// How a plan began and ended, by the log.
#[derive(Default)]
struct Ends {
    start: Option<Start>,
    /// When it was voided, and how.
    void: Option<(i64, Void)>,
    /// Items on record.
    done: u64,
}

impl Ends {
    fn of(plan: &Digest, log: &View) -> Result<Ends, Error> {
        let mut ends = Ends::default();
        for entry in log.entries(0..log.size()) {
            let (_, entry, _) = entry?;
            match entry.body {
                Body::Start(start) if start.plan == *plan => ends.start = Some(start),
                Body::Void(void) if void.plan == *plan => ends.void = Some((entry.time, void)),
                Body::KeyGenerated(KeyGenerated { plan: of, .. })
                | Body::KeyProven(KeyProven { plan: of, .. })
                | Body::KeyDestroyed(KeyDestroyed { plan: of, .. })
                | Body::Certificate(CertificateIssued { plan: of, .. })
                | Body::Revoked(Revoked { plan: of, .. })
                | Body::Crl(CrlIssued { plan: of, .. })
                    if of == *plan =>
                {
                    ends.done += 1;
                }
                _ => {}
            }
        }
        Ok(ends)
    }

    /// Who began it: its start, or its void if it was never started.
    fn begin(&self) -> Option<Start> {
        let voided = |(_, void): &(i64, Void)| {
            let Void { plan, approvals, operator, witness, witness_time, .. } = void.clone();
            Start { plan, approvals, operator, witness, witness_time }
        };
        self.start.clone().or_else(|| self.void.as_ref().map(voided))
    }
}
