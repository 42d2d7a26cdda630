//! The artefacts that an entry names, and of each where it must be and who may have it. The one place that says so; FORMAT.md
//! section 5 has the same table.

use super::entry::{Approved, Body};
use crate::digest::Digest;

/// What an artefact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Hierarchy,
    /// An officer's SSH signature.
    Approval,
    /// The octets under which requesters are tagged.
    Requesters,
    /// A plan that was made. It may never have been approved.
    Planned,
    /// A plan that officers approved, to be carried out or voided.
    Approved,
    /// A CRL, whole.
    Crl,
    /// A signature by which a key has proven itself.
    Proof,
    /// A wrapped key.
    Backup,
    /// What a token held before and after a key was destroyed.
    Objects,
    /// What a probe or an inventory found.
    Report,
    /// The note that a release carries.
    Checkpoint,
    /// A desk's bundle.
    Bundle,
    /// A file as it was read from a medium.
    Medium,
    /// A release's manifest, which lies in the release.
    Manifest,
    /// A ceremony file.
    Script,
    /// Evidence that everybody may see, and evidence that not everybody may.
    Evidence,
    Withheld,
}

impl What {
    /// Must a station hold it in its `artefact/`?
    pub fn held(self) -> bool {
        !matches!(self, What::Bundle | What::Medium | What::Manifest)
    }

    /// Does it leave in releases and public copies? What stays: who asked for what (bundles, media, the key of the requesters'
    /// tags), keys in wrapped form, evidence that is withheld; what describes a token's inside beyond the entry's own
    /// counts; and plans that nobody approved, whose names were perhaps never meant to be known. An approved plan names
    /// requesters by tag alone, and without it nobody could compare what was approved with what was signed.
    pub fn public(self) -> bool {
        match self {
            What::Hierarchy | What::Approval | What::Approved | What::Crl | What::Proof => true,
            What::Objects | What::Checkpoint | What::Script | What::Evidence => true,
            What::Requesters | What::Planned | What::Backup | What::Report => false,
            What::Bundle | What::Medium | What::Manifest | What::Withheld => false,
        }
    }
}

/// The artefacts that an entry names. A digest may be named by several entries, and is public when one of them makes it so.
pub fn named(body: &Body) -> Vec<(Digest, What)> {
    let mut all = approvals(body);
    match body {
        Body::Genesis(g) => all.extend([(g.hierarchy, What::Hierarchy), (g.requesters, What::Requesters)]),
        Body::Planned { plan, .. } => all.push((*plan, What::Planned)),
        Body::Start(start) => all.push((start.plan, What::Approved)),
        Body::Void(void) => all.push((void.plan, What::Approved)),
        Body::KeyBackedUp(b) => all.extend([(b.backup, What::Backup), (b.signature, What::Proof)]),
        Body::KeyRestored(restored) => all.push((restored.signature, What::Proof)),
        Body::KeyProven(proven) => all.push((proven.signature, What::Proof)),
        Body::KeyDestroyed(destroyed) => all.push((destroyed.inventory, What::Objects)),
        Body::Crl(crl) => all.push((crl.crl, What::Crl)),
        Body::BundleReceived { bundle, .. } => all.push((bundle.digest, What::Bundle)),
        Body::End(end) => all.push((end.manifest, What::Manifest)),
        Body::Probe { report, .. } | Body::Inventory { report, .. } => all.push((*report, What::Report)),
        Body::ReleaseWritten { checkpoint, .. } => all.push((*checkpoint, What::Checkpoint)),
        Body::HierarchyAdopted(h) => all.extend([(h.before, What::Hierarchy), (h.hierarchy, What::Hierarchy)]),
        Body::LogAdopted(lost) => all.push((lost.mark_hierarchy, What::Hierarchy)),
        Body::CrlAdopted(adopted) => all.push((adopted.crl, What::Crl)),
        Body::Step { script, .. } => all.push((*script, What::Script)),
        Body::Evidence(e) if e.withheld => all.push((e.artefact, What::Withheld)),
        Body::Evidence(e) => all.push((e.artefact, What::Evidence)),
        Body::MediumRead { digest, .. } => all.push((*digest, What::Medium)),
        _ => {}
    }
    all
}

fn approvals(body: &Body) -> Vec<(Digest, What)> {
    let of = |list: &[Approved]| list.iter().map(|a| (a.signature, What::Approval)).collect();
    match body {
        Body::Genesis(genesis) => of(&genesis.approvals),
        Body::Start(start) => of(&start.approvals),
        Body::Void(void) => of(&void.approvals),
        other => other.decision().map(|decision| of(&decision.approvals)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::{Evidence, EvidenceKind};

    #[test]
    fn what_is_private_stays_and_what_is_lost_is_noticed() {
        let evidence = |withheld| {
            Body::Evidence(Evidence {
                kind: EvidenceKind::Photo,
                what: "seals".into(),
                artefact: Digest([1; 32]),
                withheld,
                octets: 9,
                person: "ann".into(),
            })
        };
        let public = |body: &Body| named(body).iter().map(|(_, what)| (what.public(), what.held())).collect::<Vec<_>>();
        assert_eq!((public(&evidence(false)), public(&evidence(true))), (vec![(true, true)], vec![(false, true)]));
        let medium = Body::MediumRead { name: "b".into(), digest: Digest([2; 32]), octets: 1 };
        assert_eq!(public(&medium), [(false, false)]);
    }
}
