//! Another hierarchy in place of the one in force.

use std::fs;
use std::path::PathBuf;

use coldroot::audit::entry::Body;
use coldroot::digest::Digest;

use super::harness::batch::killed_at;
use super::harness::station::{HIERARCHY, Station};
use super::{approved, hierarchy, mark, refused, stopped_anywhere, with};

/// Writes a hierarchy made from the one in force.
fn new_file(station: &Station, change: impl Fn(String) -> String) -> String {
    let text = change(hierarchy(station));
    fs::write(station.path("new.toml"), &text).unwrap();
    text
}

fn adopt<'a>(extra: &[&'a str]) -> Vec<&'a str> {
    let people = ["--operator", "carol", "--witness", "dave", "--reason", "the year's review"];
    ["adopt-hierarchy", "new.toml"].iter().chain(&people).chain(extra).copied().collect()
}

fn longer_crls(text: String) -> String {
    text.replace("crl-days = 10", "crl-days = 20")
}

/// `mallory` has a key, and is nobody so far.
fn with_mallory(station: &Station, text: String) -> String {
    let key = fs::read_to_string(station.path("officers/mallory.pub")).unwrap();
    format!("{text}\n[[person]]\nid = \"mallory\"\nname = \"M\"\nroles = [\"officer\"]\nkeys = [\"{}\"]\n", key.trim())
}

#[test]
fn p01_a_hierarchy_is_adopted_by_the_quorum_of_the_one_before() {
    let station = Station::ready();
    let old = hierarchy(&station);
    fs::write(station.path("old.toml"), &old).unwrap();
    let new = new_file(&station, longer_crls);
    let (statement, approvals) = approved(&station, &adopt(&[]), &["alice", "bob"]);
    // What the statement names is what anybody is shown.
    let shown = station.run(&["show", "--diff", "old.toml", "new.toml"]).ok();
    let difference = shown["difference"].as_str().unwrap();
    assert_eq!(difference, "= ca xmpp-1 crl-days\n    from 10\n    to   20\n");
    assert_eq!(shown["digest"], Digest::of(difference.as_bytes()).hex());
    assert!(statement.contains(&format!(
        "what differs, as shown, has sha256\n{:13}{}\n",
        "",
        Digest::of(difference.as_bytes())
    )));
    assert!(
        statement.contains(&format!("in place of sha256\n{:13}{}\n", "", Digest::of(old.as_bytes()))),
        "{statement}"
    );
    assert!(statement.contains(&format!("comes sha256\n{:13}{}\n", "", Digest::of(new.as_bytes()))), "{statement}");
    assert!(!statement.contains("the new quorum"), "{statement}");
    refused(&station, &with(&adopt(&[]), &approvals[..1]), 1, "2 of role officer must approve");
    // Approvals are for this very file.
    new_file(&station, |text| text.replace("crl-days = 10", "crl-days = 21"));
    refused(&station, &with(&adopt(&[]), &approvals), 1, "is not over this text");
    fs::write(station.path("new.toml"), &new).unwrap();

    station.run(&with(&adopt(&[]), &approvals)).ok();
    assert_eq!(hierarchy(&station), new);
    let mark = mark(&station);
    assert_eq!((mark.hierarchy, mark.changes), (Digest::of(new.as_bytes()), 1));
    station.check_log();
    refused(&station, &with(&adopt(&[]), &approvals), 1, "is the hierarchy in force already");

    // Releases from before and after, each by the hierarchy of its time, and none by the other.
    let plan = station.planned(&station.bundle(2, 1));
    station.carried_out(&plan);
    station.check_log();
    let key = station.verifier_key();
    let check =
        |release: &str, file: &str| station.run(&["check", release, "--verifier-key", &key, "--hierarchy", file]);
    for (release, right, wrong) in [
        ("out/release-0001", "old.toml", "new.toml"),
        ("out/release-0002", "old.toml", "new.toml"),
        ("out/release-0003", "new.toml", "old.toml"),
    ] {
        check(release, right).ok();
        check(release, wrong).fails(4, "under the hierarchy with SHA-256");
    }
    // A release from before is still made again, octet for octet.
    fs::remove_dir_all(station.path("out/release-0002")).unwrap();
    station.run(&["release", "2"]).ok();
    check("out/release-0002", "old.toml").ok();
}

#[test]
fn p01_who_is_added_approves_by_the_new_quorum_too() {
    let station = Station::ready();
    // Alone, the new officers take over from nobody; the old ones cannot be outvoted by those whom they add.
    let new = new_file(&station, |text| {
        with_mallory(&station, text)
            .replace("[audit]", "[quorum]\nhierarchy = { officer = 3 }\ninit = { officer = 2 }\n\n[audit]")
    });
    let (statement, approvals) = approved(&station, &adopt(&[]), &["alice", "bob", "mallory"]);
    assert!(statement.contains("the new quorum approves too, for the sake of mallory\n"), "{statement}");
    refused(&station, &with(&adopt(&[]), &approvals[..2]), 1, "3 of role officer must approve");
    refused(&station, &with(&adopt(&[]), &approvals[1..]), 1, "2 of role officer must approve");
    station.run(&with(&adopt(&[]), &approvals)).ok();
    assert_eq!(mark(&station).hierarchy, Digest::of(new.as_bytes()));
    station.check_log();
    // From here on mallory counts.
    let plan = station.planned_by(&["--crl", "root"]);
    let approvals = ["alice", "mallory"].map(|person| station.approve_as(&plan, person, person));
    station.sign(&plan, &approvals).ok();
    station.check_log();
}

#[test]
fn p09_what_the_log_and_its_keys_are_bound_to_never_changes() {
    let station = Station::ready();
    let serial = |text: &str| text.split("serial = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let other = serial(&hierarchy(&station)).chars().rev().collect::<String>();
    type Change<'a> = Box<dyn Fn(String) -> String + 'a>;
    let put =
        |from: &'static str, to: &'static str| -> Change { Box::new(move |text: String| text.replacen(from, to, 1)) };
    let cases: [(Change, &str); 11] = [
        (put("name = \"Road\"", "name = \"Rode\""), "`name` may not change"),
        (put("example.org/coldroot/demo", "example.org/coldroot/other"), "`origin` may not change"),
        (put("key-label = \"audit\"", "key-label = \"audit-2\""), "`audit.key-label` may not change"),
        (put("[audit]", "[audit]\nmark = \"paper\""), "`audit.mark` may not change"),
        (put("[audit]\n", "[audit]\nalgorithm = \"ecdsa-p256\"\n"), "`audit.algorithm` may not change"),
        (Box::new(|text| text.replace(&serial(&text), &other)), "token `main` may not get another serial number"),
        (
            put("label = \"root\"", "label = \"root-2\""),
            "key `root-key` is on record, and may not be left out or get another label",
        ),
        (
            put("algorithm = \"ecdsa-p384\"", "algorithm = \"ecdsa-p256\""),
            "key `root-key` is on record, and may not be left out or get another algorithm",
        ),
        (
            put("backup = \"none\"", "backup = \"vendor\""),
            "key `root-key` is on record, and may not be left out or get another backup",
        ),
        (put("Road XMPP 1", "Road XMPP 2"), "CA `xmpp-1` is certified, and may not be left out or get another subject"),
        (
            Box::new(|text| {
                text.replace("key = \"xmpp-key\"", "key = \"root-key\"").replace(
                    "key = \"root-key\"\nissuer = \"root\"\nprofile = \"root\"",
                    "key = \"xmpp-key\"\nissuer = \"root\"\nprofile = \"root\"",
                )
            }),
            "is certified, and may not be left out or get another key",
        ),
    ];
    for (change, saying) in cases {
        new_file(&station, change);
        refused(&station, &adopt(&[]), 1, saying);
    }
    // What is not lawful by itself comes no further.
    new_file(&station, |text| text.replace("crl-days = 10", "crl-days = 0"));
    refused(&station, &adopt(&[]), 2, "crl-days");
}

#[test]
fn p05_a_plan_of_the_hierarchy_before_is_stale() {
    let station = Station::ready();
    let bundle = station.bundle(2, 1);
    let plan = station.planned(&bundle);
    let approvals_of_plan = station.approve(&plan);
    new_file(&station, longer_crls);
    let (_, approvals) = approved(&station, &adopt(&[]), &["alice", "bob"]);
    station.run(&with(&adopt(&[]), &approvals)).ok();
    refused(&station, &station.sign_args(&plan, &approvals_of_plan), 1, "the hierarchy that was in force before");
    let people = ["--operator", "carol", "--witness", "dave", "--reason", "stale"];
    let void: Vec<&str> = ["void", "--plan", plan.to_str().unwrap()].iter().chain(&people).copied().collect();
    refused(&station, &void, 1, "the hierarchy that was in force before");
    let again = station.planned(&bundle);
    station.carried_out(&again);
    station.check_log();

    // While a plan is open, nothing is adopted.
    let plan = station.planned(&station.bundle(40, 2));
    let approvals = station.approve(&plan);
    let started = (1..).find(|when| {
        assert_eq!(killed_at(&station, &station.sign_args(&plan, &approvals), "fdatasync", *when).code, -1);
        station.bodies().iter().filter(|body| matches!(body, Body::Start(_))).count() == 4
    });
    assert!(started.is_some());
    new_file(&station, |text| text.replace("crl-days = 20", "crl-days = 30"));
    refused(&station, &adopt(&[]), 1, "was started and its release is not written");
}

#[test]
fn p03_an_adoption_stopped_anywhere_is_made_once() {
    let station = Station::ready();
    let old = hierarchy(&station);
    let new = new_file(&station, longer_crls);
    let (_, approvals) = approved(&station, &adopt(&[]), &["alice", "bob"]);
    let args = with(&adopt(&[]), &approvals);
    let mut between = 0;
    stopped_anywhere(&station, &args, |copy, point, again| {
        assert!(again.code == 0 || again.out.contains("in force already"), "{point}: {again:?}");
        assert_eq!(hierarchy(&copy), new, "{point}");
        let made = copy.bodies().into_iter().filter(|body| matches!(body, Body::HierarchyAdopted(_))).count();
        let mark = mark(&copy);
        assert_eq!((made, mark.changes, mark.hierarchy), (1, 1, Digest::of(new.as_bytes())), "{point}");
        copy.check_log();
        copy.carried_out(&copy.planned_by(&["--crl", "root"]));
    });
    // Between entry and file every other command says what to do, and the file may be put in place by hand as well.
    for when in 1.. {
        let copy = station.copy();
        if killed_at(&copy, &args, "fdatasync", when).code == 0 {
            break;
        }
        let adopted = copy.bodies().iter().any(|body| matches!(body, Body::HierarchyAdopted(_)));
        if !adopted || hierarchy(&copy) != old {
            continue;
        }
        between += 1;
        copy.run(&["plan", "--crl", "root"]).fails(1, "is not the one in force");
        let hex = Digest::of(new.as_bytes()).hex();
        let artefact: PathBuf = copy.path(&format!("audit/artefact/{}/{hex}", &hex[..2]));
        fs::copy(artefact, copy.path("hierarchy.toml")).unwrap();
        copy.carried_out(&copy.planned_by(&["--crl", "root"]));
        assert_eq!(mark(&copy).hierarchy, Digest::of(new.as_bytes()), "fdatasync {when}");
        copy.check_log();
    }
    assert!(between > 1, "only {between} stops between entry and file");
}

/// The new file says for the first time which token is meant. Put in place by hand before the gate has followed, it is the later one of
/// file and mark.
#[test]
fn p03_a_first_serial_number_is_adopted_though_its_file_comes_before_the_mark() {
    // A token that is to come: so far nobody knows its serial number, and no key is in it.
    let later = "[[token]]\nid = \"later\"\nmodule = \"@MODULE@\"\nlabel = \"later\"\n# serial\n\n[[key]]";
    let station = Station::ready_of(HIERARCHY.replacen("[[key]]", later, 1));
    let with_serial = hierarchy(&station).replacen("# serial\n", "serial = \"0123456789abcdef\"\n", 1);
    fs::write(station.path("new.toml"), &with_serial).unwrap();
    let (_, approvals) = approved(&station, &adopt(&[]), &["alice", "bob"]);
    let args = with(&adopt(&[]), &approvals);
    let stopped = (1..).find_map(|when| {
        let copy = station.copy();
        assert_eq!(killed_at(&copy, &args, "fdatasync", when).code, -1, "no such stop");
        copy.bodies().iter().any(|body| matches!(body, Body::HierarchyAdopted(_))).then_some(copy)
    });
    let stopped = stopped.unwrap();
    assert_ne!(mark(&stopped).hierarchy, Digest::of(with_serial.as_bytes()));
    fs::write(stopped.path("hierarchy.toml"), &with_serial).unwrap();
    stopped.carried_out(&stopped.planned_by(&["--crl", "root"]));
    assert_eq!(mark(&stopped).hierarchy, Digest::of(with_serial.as_bytes()));
    stopped.check_log();
}
