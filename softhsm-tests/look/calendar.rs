//! What comes due: for officers, for a calendar program, as a picture.

use std::fs;

use serde_json::{Value, json};

use super::harness::station::{COLDROOT, Run, Station};

/// What is due: of what, and what.
fn lines(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_string();
    answer["due"].as_array().unwrap().iter().map(|due| (text(&due["of"]), text(&due["what"]))).collect()
}

#[test]
fn what_comes_due_is_told_from_log_and_hierarchy() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(3, 1));
    station.carried_out(&plan);
    let all = station.run(&["calendar", "--days", "36500"]).ok();
    let due = lines(&all);
    for of in ["root", "xmpp-1"] {
        for what in ["CRL 1 runs out", "the CA's certificate ends"] {
            assert!(due.contains(&(of.into(), what.into())), "{of}: {what}: {due:?}");
        }
    }
    let leaves: Vec<_> = due.iter().filter(|(_, what)| what.starts_with("3 certificates end in ")).collect();
    assert!(leaves.len() == 1 && leaves[0].0 == "xmpp-1", "{due:?}");
    assert!(!due.iter().any(|(of, what)| of == "root" && what.contains("certificates")), "{due:?}");
    assert!(due.contains(&("xmpp-server".into(), "last whole validity under `xmpp-1`".into())), "{due:?}");
    let times: Vec<i64> = all["due"].as_array().unwrap().iter().map(|due| due["time"].as_i64().unwrap()).collect();
    assert!(times.is_sorted());

    // The log alone, as an auditor has it: the same but for what only the hierarchy knows.
    let audit = station.dir().join("audit");
    let log = station.run(&["calendar", audit.to_str().unwrap(), "--days", "36500"]).ok();
    assert!(lines(&log).iter().all(|line| due.contains(line)) && lines(&log).len() < due.len());

    // A year later the CRL has run out, and the first command is its.
    let later = Run::of(
        std::process::Command::new(COLDROOT)
            .args(["calendar", "--now", "2040-01-01T00:00:00Z"])
            .current_dir(station.dir()),
    );
    assert!(later.out.contains("overdue") && later.out.contains("next: coldroot plan --crl "), "{}", later.out);
}

#[test]
fn calendar_and_picture_are_new_files_and_another_hierarchy_is_refused() {
    let station = Station::ready();
    let to = station.dir().join("due.ics");
    let path = to.to_str().unwrap();
    station.run(&["calendar", "--format", "ics", "--to", path]).ok();
    let events = fs::read_to_string(&to).unwrap();
    assert!(events.starts_with("BEGIN:VCALENDAR\r\n") && events.ends_with("END:VCALENDAR\r\n"));
    let again = station.run(&["calendar", "--format", "svg", "--to", path]);
    assert_eq!(again.code, 1, "{again:?}");
    assert_eq!(fs::read_to_string(&to).unwrap(), events, "what was there is not touched");
    let picture = station.dir().join("due.svg");
    let said = station.run(&["calendar", "--format", "svg", "--to", picture.to_str().unwrap()]).ok();
    assert_eq!(said["to"], json!(picture.to_str().unwrap()));
    assert!(fs::read_to_string(&picture).unwrap().starts_with("<svg "));

    let other = station.dir().join("other.toml");
    let text = fs::read_to_string(station.dir().join("hierarchy.toml")).unwrap();
    fs::write(&other, format!("# another file\n{text}")).unwrap();
    station.run(&["calendar", "--hierarchy", other.to_str().unwrap()]).fails(1, "is not the hierarchy in force");
    assert_eq!(station.run(&["calendar", "--format", "ics"]).code, 2);
}
