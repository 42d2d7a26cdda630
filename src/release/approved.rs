//! Whether the persons of a given hierarchy approved what a release holds: the statement made again from the plan on record,
//! the signatures on record, and the bytes that were signed; and whether the release says of itself what plan and log say.

use crate::approval;
use crate::audit::entry::{
    Approved, Body, CertificateIssued, CrlIssued, CsrMade, KeyBackedUp, KeyDestroyed, KeyGenerated, KeyProven,
    KeyRestored, Revoked, Start, Void, WrappingKeyGenerated,
};
use crate::audit::{View, artefact};
use crate::config::Hierarchy;
use crate::digest::Digest;
use crate::ledger::Ledger;
use crate::plan::{self, Item, Plan};
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
    if ends.hierarchy != hierarchy.digest {
        let what = format!(
            "the hierarchy with SHA-256 {} was in force when the plan was begun, not the one given",
            ends.hierarchy
        );
        return Err(failed("hierarchy", what));
    }
    let approvals = |approved: &[Approved]| -> Result<Vec<String>, Error> {
        let armored = |a: &Approved| log.artefact(&a.signature).map_err(|_| missing("an approval"));
        approved.iter().map(|a| Ok(String::from_utf8_lossy(&armored(a)?).into_owned())).collect()
    };
    let judge = |hierarchy: &Hierarchy, statement: &str, approved: &[Approved], at: i64| {
        let quorum = hierarchy.quorum(plan.head().kind);
        let judged = approval::quorate(statement, &approvals(approved)?, hierarchy, quorum, at);
        judged.map(drop).map_err(|e| failed("approvals", e.to_string()))
    };
    if let Some(start) = &ends.start {
        judge(hierarchy, &plan::statement(plan.head(), &plan.digest()), &start.approvals, plan.head().sign_from)?;
    }
    let begin = ends.begin().ok_or_else(|| missing("the start of this release's plan"))?;
    let expected = match &ends.void {
        None => plan.head().items,
        Some((time, void)) => {
            let statement = plan::void_statement(plan.head(), &plan.digest(), void.done, &void.reason);
            // Behind a loss another hierarchy may have come into force before it was voided: that one is on record.
            let later = match ends.voided_under == hierarchy.digest {
                true => None,
                false => Some(on_record(log, &ends.voided_under).ok_or_else(|| missing("the hierarchy of its void"))?),
            };
            judge(later.as_ref().unwrap_or(hierarchy), &statement, &void.approvals, *time)?;
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
            Body::Csr(c) if c.plan == plan.digest() => (c.item, c.der.into_vec()),
            Body::Crl(c) if c.plan == plan.digest() => (c.item, log.artefact(&c.crl)?),
            Body::KeyProven(k) if k.plan == plan.digest() => {
                proven(&plan.item(k.item)?, k.item, &log.artefact(&k.signature)?)?;
                continue;
            }
            Body::KeyBackedUp(k) if k.plan == plan.digest() => {
                proven(&plan.item(k.item)?, k.item, &log.artefact(&k.signature)?)?;
                continue;
            }
            Body::KeyRestored(k) if k.plan == plan.digest() => {
                proven(&plan.item(k.item)?, k.item, &log.artefact(&k.signature)?)?;
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

/// A hierarchy among the log's artefacts.
fn on_record(log: &View, digest: &Digest) -> Option<Hierarchy> {
    Hierarchy::parse(std::str::from_utf8(&log.artefact(digest).ok()?).ok()?).ok()
}

/// A key has proven itself by the text that was approved.
fn proven(planned: &Item, item: u64, signature: &[u8]) -> Result<(), Error> {
    let verified = match planned {
        Item::KeyAct(act) => act.deed.text().is_some_and(|text| {
            x509::verify_signature(&act.key.spki, act.key.algorithm.signs_with(), text, signature).is_ok()
        }),
        _ => false,
    };
    match verified {
        true => Ok(()),
        false => Err(Error::Check {
            check: "as-planned",
            what: format!("the proof of item {item} does not verify with the planned key"),
        }),
    }
}

/// How a plan began and ended, by the log.
#[derive(Default)]
struct Ends {
    start: Option<Start>,
    /// When it was voided, and how.
    void: Option<(i64, Void)>,
    /// Items on record.
    done: u64,
    /// The hierarchy in force when it was begun, and when it was voided.
    hierarchy: Digest,
    voided_under: Digest,
}

impl Ends {
    fn of(plan: &Digest, log: &View) -> Result<Ends, Error> {
        let mut ends = Ends::default();
        let mut in_force = Digest::default();
        for entry in log.entries(0..log.size()) {
            let (_, entry, _) = entry?;
            match entry.body {
                Body::Genesis(genesis) => in_force = genesis.hierarchy,
                Body::HierarchyAdopted(adopted) => in_force = adopted.hierarchy,
                Body::LogAdopted(lost) => in_force = lost.mark_hierarchy,
                Body::Start(start) if start.plan == *plan => (ends.start, ends.hierarchy) = (Some(start), in_force),
                Body::Void(void) if void.plan == *plan => {
                    (ends.void, ends.voided_under) = (Some((entry.time, void)), in_force);
                    if ends.start.is_none() {
                        ends.hierarchy = in_force;
                    }
                }
                Body::KeyGenerated(KeyGenerated { plan: of, .. })
                | Body::WrappingKeyGenerated(WrappingKeyGenerated { plan: of, .. })
                | Body::KeyBackedUp(KeyBackedUp { plan: of, .. })
                | Body::KeyRestored(KeyRestored { plan: of, .. })
                | Body::KeyProven(KeyProven { plan: of, .. })
                | Body::KeyDestroyed(KeyDestroyed { plan: of, .. })
                | Body::Certificate(CertificateIssued { plan: of, .. })
                | Body::Revoked(Revoked { plan: of, .. })
                | Body::Crl(CrlIssued { plan: of, .. })
                | Body::Csr(CsrMade { plan: of, .. })
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
