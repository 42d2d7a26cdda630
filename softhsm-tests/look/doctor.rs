//! Whether everything stands ready: what the doctor sees of a station, and that it writes nothing.

use std::fs;

use serde_json::{Value, json};

use super::harness::station::{HIERARCHY, Run, Station};

/// The findings about one thing: state and text.
fn about<'a>(answer: &'a Value, what: &str) -> Vec<(&'a str, &'a str)> {
    let text = |value: &'a Value| value.as_str().unwrap();
    let all = answer.as_array().unwrap().iter();
    all.filter(|f| f["what"] == json!(what)).map(|f| (text(&f["state"]), text(&f["found"]))).collect()
}

/// The doctor's answer, after which the station is as it was before.
fn asked(station: &Station) -> Run {
    let before = station.state();
    let run = station.run(&["doctor"]);
    assert_eq!(station.state(), before, "the doctor writes nothing");
    run
}

#[test]
fn a_station_that_is_ready_is_called_so_and_what_waits_is_told() {
    let station = Station::ready();
    let ready = asked(&station).ok();
    for what in ["locked memory", "program", "module of main", "log", "clock", "space, station", "sandbox"] {
        let found = about(&ready, what);
        assert!(matches!(found[..], [("good" | "look", _)]), "{what}: {found:?}");
    }
    let token = about(&ready, "token main");
    assert!(token.iter().any(|(state, said)| *state == "good" && said.ends_with("its PIN is ready")), "{token:?}");
    assert!(token.iter().any(|(_, said)| said.starts_with("it says that it can do ed25519")), "{token:?}");
    assert_eq!(about(&ready, "quorum")[0].0, "look", "two of two officers");
    assert!(about(&ready, "bundle").is_empty());

    station.planned(&station.bundle(3, 1));
    let waits = asked(&station).ok();
    // Three certificates and the first CRL.
    assert_eq!(about(&waits, "bundle"), [("look", "bundle 1 of desk-1 is planned: 4 items")]);
    assert!(about(&waits, "time")[0].1.starts_with("for 4 items unknown"));
}

#[test]
fn what_stands_in_the_way_is_told_first_and_is_exit_code_4() {
    let station = Station::ready();
    // Twenty years on: CRLs have run out, and so has the time of one officer.
    let late = station.run(&["doctor", "--now", "2040-01-01T00:00:00Z"]);
    assert_eq!(late.code, 4, "{late:?}");
    let late = late.json();
    assert_eq!(late[0]["state"], "bad");
    assert!(about(&late, "overdue").iter().any(|(_, said)| said.contains("CRL 1 runs out")), "{late:#}");

    let early = station.run(&["doctor", "--now", "2020-01-01T00:00:00Z"]);
    assert_eq!(early.code, 4, "{early:?}");
    assert!(about(&early.json(), "clock")[0].1.contains("before the log's last entry"));

    // The token is not there: its directory is another's.
    let (tokens, away) = (station.path("token"), station.path("away"));
    fs::rename(&tokens, &away).unwrap();
    fs::create_dir(&tokens).unwrap();
    let without = asked(&station);
    assert_eq!(without.code, 4, "{without:?}");
    let found = without.json();
    assert!(about(&found, "token main").iter().any(|(state, _)| *state == "bad"), "{found:#}");
}

#[test]
fn a_quorum_that_cannot_be_met_names_who_is_gone() {
    let person = |id: &str, role: &str, more: &str| {
        format!("\n[[person]]\nid = \"{id}\"\nname = \"{id}\"\nroles = [\"{role}\"]\nkeys = [\"@KEY {id}@\"]\n{more}")
    };
    let people = [
        person("alice", "officer", ""),
        person("bob", "officer", "expires = \"2036-01-01\"\n"),
        person("carol", "operator", ""),
        person("dave", "witness", ""),
    ];
    let station = Station::ready_of(HIERARCHY.replace("@PEOPLE@", &people.concat()));
    let run = station.run(&["doctor", "--now", "2036-06-01T00:00:00Z"]);
    assert_eq!(run.code, 4, "{run:?}");
    let answer = run.json();
    let quorum = about(&answer, "quorum");
    assert!(
        quorum.iter().any(|(state, said)| *state == "bad" && said.contains("1 missing; no longer in the roster: bob")),
        "{quorum:?}"
    );
}
