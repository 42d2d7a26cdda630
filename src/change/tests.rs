use super::*;

const EXAMPLE: &str = include_str!("../../ceremony-scripts/hierarchy.example.toml");

fn clock(change: u64, release: u64, to: i64) -> Entry {
    let (reason, operator, witness) = ("why".into(), "cyd".into(), "ben".into());
    let (approvals, witness_time) = (Vec::new(), Some(to));
    let decision = Decision { reason, release, change, approvals, operator, witness, witness_time };
    Entry::new(to, Body::ClockCorrected(ClockCorrected { from: 90_000, to, decision }))
}

#[test]
fn p01_a_change_is_made_in_its_place_only() {
    let hierarchy = Hierarchy::parse(EXAMPLE).unwrap();
    let first = Mark::first(&hierarchy.origin, hierarchy.digest, "0a1b");
    let mark = Mark { release: 3, changes: 1, floor: 50_000, ..first };
    let judged = |mark: &Mark, entry: &Entry| judge(mark, &hierarchy, None, entry, &[], 95_000);
    assert!(matches!(judged(&mark, &clock(3, 3, 60_000)), Err(Error::Number { found: 3, marked: 1 })));
    assert!(matches!(judged(&mark, &clock(2, 2, 60_000)), Err(Error::Release { found: 2, marked: 3 })));
    let open = Mark { open_plan: Some(Digest([1; 32])), ..mark.clone() };
    assert!(matches!(judged(&open, &clock(2, 3, 60_000)), Err(Error::Open(_))));
    assert!(matches!(judged(&mark, &clock(2, 3, 40_000)), Err(Error::Floor { .. })));
    assert!(matches!(judged(&mark, &clock(2, 3, 95_301)), Err(Error::Ahead { .. })));
    assert!(matches!(judged(&mark, &clock(2, 3, 95_300)), Err(Error::Approval(_))));
    let elsewhere = Mark { hierarchy: Digest([7; 32]), ..mark.clone() };
    assert!(matches!(judged(&elsewhere, &clock(2, 3, 60_000)), Err(Error::Other)));
    assert!(matches!(judged(&mark, &clock(2, 3, 60_000)), Err(Error::Approval(approval::Error::Quorum { .. }))));
    let failure = Entry::new(60_000, Body::Failure { what: "x".into() });
    assert!(matches!(judged(&mark, &failure), Err(Error::Other)));
    // What the mark has followed already leaves it as it is.
    assert_eq!(judged(&mark, &clock(1, 0, 60_000)).unwrap(), mark);
    let mut named = clock(1, 0, 60_000);
    let Body::ClockCorrected(ClockCorrected { decision, .. }) = named.body else { unreachable!() };
    let (before, hierarchy) = (mark.hierarchy, Digest([7; 32]));
    named.body = Body::HierarchyAdopted(HierarchyAdopted { before, hierarchy, decision });
    assert!(matches!(judged(&mark, &named), Err(Error::Other)));
}

#[test]
fn the_difference_names_every_field_and_nothing_else() {
    let old = Hierarchy::parse(EXAMPLE).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(EXAMPLE.contains(from), "{from}");
        difference(&old, &Hierarchy::parse(&EXAMPLE.replacen(from, to, 1)).unwrap())
    };
    assert_eq!(changed("# Persons.", "# People."), "(no field differs: comments or the order of tables do)\n");
    assert_eq!(changed("crl-days = 180", "crl-days = 90"), "= ca root crl-days\n    from 180\n    to   90\n");
    assert_eq!(changed("\nmust-staple = false\n", "\n"), "- profile xmpp-server must-staple = false\n");
    assert_eq!(changed("sessions = 2\n", "sessions = 2\nretries = 7\n"), "+ token main retries = 7\n");
    // What is no ASCII is shown as what it is.
    let crafted = changed("name = \"Ada Example\"", "name = \"\u{c4}da Example\"");
    assert!(crafted.is_ascii() && crafted.contains("\\u{c4}"), "{crafted}");
}

#[test]
fn lengths_of_time_are_written_out() {
    assert_eq!(span(86_400 * 3 + 3_661), "3 days and 01:01:01 hours (262861 seconds)");
    assert_eq!(span(59), "0 days and 00:00:59 hours (59 seconds)");
}
