//! A log in the place of the one that the mark knows: what officers read, and what becomes of the mark.

use super::{Error, approved, dated};
use crate::audit::changed::raised;
use crate::audit::entry::{Body, Decision, Entry, LogAdopted};
use crate::audit::mark::Mark;
use crate::audit::merkle;
use crate::audit::paper::LOST;
use crate::config::Hierarchy;
use crate::digest::Digest;
use crate::text::quoted;
use crate::text::words::spoken;

/// What officers read before they let a log go on that has lost something.
pub(super) fn words(lost: &LogAdopted) -> Vec<String> {
    let missing = match lost.mark_size > lost.size {
        true => format!("{} entries at least are lost", lost.mark_size - lost.size),
        false if lost.mark_root == LOST => "how many entries are lost is not known".into(),
        false => "its entries are others than the mark knows".into(),
    };
    let releases = match lost.mark_release > lost.release {
        true => format!(
            "releases {} to {} may have left the station and are unknown to it",
            lost.release + 1,
            lost.mark_release
        ),
        false if lost.mark_root == LOST => "releases after that may have left the station and are unknown to it".into(),
        false => "no release is unknown to it".into(),
    };
    let open = lost
        .mark_plan
        .map_or("no plan was open".into(), |plan| format!("plan {plan} was open, and what it had done is unknown"));
    let hierarchy = match lost.hierarchy == lost.mark_hierarchy {
        true => "the hierarchy in force is the same".into(),
        false => format!("the log that is left knows the hierarchy {}; the mark's is in force", lost.hierarchy),
    };
    let knows = match lost.mark_root == LOST {
        true => "all minutes are lost: nobody knows whether this log is the newest, nor what it has lost".into(),
        false => format!(
            "the mark of token {} knows {} entries with root {}, and release {}; in words: {}",
            quoted(&lost.token),
            lost.mark_size,
            lost.mark_root,
            lost.mark_release,
            spoken(&lost.mark_root.0)
        ),
    };
    [
        knows,
        format!(
            "the log that is left has {} sealed entries with root {}, and release {}",
            lost.size, lost.root, lost.release
        ),
        format!("its root in words: {}", spoken(&lost.root.0)),
        hierarchy,
        missing,
        releases,
        open,
        "certificates, revocations and keys of that time stay unknown; CRL numbers rise by 4294967296".into(),
        "outsiders who have seen the lost entries will see that the log was forked".into(),
    ]
    .map(|words| format!("adopt-log: {words}"))
    .into()
}

/// Whether an adoption is about this mark.
pub fn loses(lost: &LogAdopted, mark: &Mark) -> bool {
    (lost.mark_size, lost.mark_root, lost.mark_release, lost.mark_plan, lost.mark_hierarchy, &lost.token)
        == (mark.size, mark.root, mark.release, mark.open_plan, mark.hierarchy, &mark.token)
}

/// What the mark is after a log was adopted in the place of the one that it knows: the tree of `size` entries with `root`, which
/// holds the entry and, by this proof, continues what was adopted. Releases go on behind the mark's.
pub fn adopt(
    mark: &Mark,
    hierarchy: &Hierarchy,
    entry: &Entry,
    armored: &[String],
    (size, root, consistency): (u64, Digest, &[Digest]),
    now: i64,
) -> Result<Mark, Error> {
    let Body::LogAdopted(lost) = &entry.body else { return Err(Error::Other) };
    if !merkle::verify_consistency(lost.size, &lost.root, size, &root, consistency) {
        return Err(Error::Mark);
    }
    Ok(Mark { size, root, ..judge_adoption(mark, hierarchy, entry, armored, now)? })
}

/// The same without the tree, which there is only when the entry is written: who would refuse it then refuses it before.
pub fn judge_adoption(
    mark: &Mark,
    hierarchy: &Hierarchy,
    entry: &Entry,
    armored: &[String],
    now: i64,
) -> Result<Mark, Error> {
    let Body::LogAdopted(lost) = &entry.body else { return Err(Error::Other) };
    let Decision { release, change, approvals, witness_time, .. } = &lost.decision;
    if mark.hierarchy != hierarchy.digest {
        return Err(Error::Adopted);
    }
    if !loses(lost, mark) || lost.size == 0 {
        return Err(Error::Mark);
    }
    if *change != mark.changes + 1 {
        return Err(Error::Number { found: *change, marked: mark.changes });
    }
    if *release != mark.release {
        return Err(Error::Release { found: *release, marked: mark.release });
    }
    dated(mark, entry.time, now)?;
    if approved(hierarchy, None, entry, armored)? != *approvals {
        return Err(Error::Recorded);
    }
    let floor = raised(mark.floor, *witness_time, now.min(entry.time));
    Ok(Mark { open_plan: None, changes: *change, floor, ..mark.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval;

    const EXAMPLE: &str = include_str!("../../ceremony-scripts/hierarchy.example.toml");

    /// All but the approvals, which the tests on a token show.
    #[test]
    fn p04_a_log_is_adopted_only_for_this_mark_and_only_by_what_continues_it() {
        let hierarchy = Hierarchy::parse(EXAMPLE).unwrap();
        let [a, b, c] = [b"a", b"b", b"c"].map(|leaf| merkle::leaf_hash(leaf));
        let grown = merkle::node_hash(&a, &b);
        let first = Mark::first(&hierarchy.origin, hierarchy.digest, "0a1b");
        let mark = Mark { size: 9, root: Digest([9; 32]), release: 3, changes: 1, floor: 50_000, ..first };
        let lost = |mark: &Mark, change: u64, time: i64| {
            let (reason, operator, witness) = ("why".into(), "cyd".into(), "ben".into());
            let (release, approvals) = (mark.release, Vec::new());
            let decision = Decision { reason, release, change, approvals, operator, witness, witness_time: None };
            let (mark_size, mark_root, mark_release, mark_plan) = (mark.size, mark.root, mark.release, mark.open_plan);
            // The log that is left may know another hierarchy than the mark.
            let (mark_hierarchy, hierarchy) = (mark.hierarchy, Digest([5; 32]));
            let (size, root, release) = (1, a, 1);
            let made = LogAdopted {
                mark_size,
                mark_root,
                mark_release,
                mark_plan,
                mark_hierarchy,
                token: mark.token.clone(),
                size,
                root,
                release,
                hierarchy,
                decision,
            };
            Entry::new(time, Body::LogAdopted(made))
        };
        let adopted =
            |entry: &Entry, tree: (u64, Digest, &[Digest])| adopt(&mark, &hierarchy, entry, &[], tree, 95_000);
        let lawful = lost(&mark, 2, 60_000);
        // In its place, it wants its quorum and nothing else.
        assert!(matches!(adopted(&lawful, (2, grown, &[b])), Err(Error::Approval(approval::Error::Quorum { .. }))));
        let other = merkle::node_hash(&c, &b);
        for (size, root, proof) in [(2, grown, &[c][..]), (2, grown, &[]), (2, other, &[b]), (1, c, &[]), (0, a, &[])] {
            assert!(matches!(adopted(&lawful, (size, root, proof)), Err(Error::Mark)), "{size}");
        }
        let tree: (u64, Digest, &[Digest]) = (2, grown, &[b]);
        for other in [
            Mark { size: 8, ..mark.clone() },
            Mark { root: Digest([8; 32]), ..mark.clone() },
            Mark { release: 2, ..mark.clone() },
            Mark { open_plan: Some(Digest([1; 32])), ..mark.clone() },
            Mark { hierarchy: Digest([5; 32]), ..mark.clone() },
        ] {
            assert!(matches!(adopted(&lost(&other, 2, 60_000), tree), Err(Error::Mark)));
        }
        assert!(matches!(adopted(&lost(&mark, 1, 60_000), tree), Err(Error::Number { found: 1, marked: 1 })));
        assert!(matches!(adopted(&lost(&mark, 2, 40_000), tree), Err(Error::Floor { .. })));
        assert!(matches!(adopted(&lost(&mark, 2, 95_301), tree), Err(Error::Ahead { .. })));
        assert!(matches!(adopted(&lost(&mark, 2, 95_300), tree), Err(Error::Approval(_))));
        let elsewhere = Mark { hierarchy: Digest([5; 32]), ..mark.clone() };
        let judged = judge_adoption(&elsewhere, &hierarchy, &lost(&elsewhere, 2, 60_000), &[], 95_000);
        assert!(matches!(judged, Err(Error::Adopted)));
        let failure = Entry::new(60_000, Body::Failure { what: "x".into() });
        assert!(matches!(adopted(&failure, tree), Err(Error::Other)));
    }
}
