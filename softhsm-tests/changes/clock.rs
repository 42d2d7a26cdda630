//! The clock: what is believed of it, and how it is set back.

use coldroot::audit::entry::Body;
use coldroot::text::utc;

use super::harness::batch::killed_at;
use super::harness::station::{Station, now};
use super::{approved, mark, refused, stopped_anywhere, with};

const DAY: i64 = 86_400;
const REASON: &str = "the battery was changed, and the month typed wrong";

/// A station whose log ran ahead: an entry of `ahead` days from now, which no witness has vouched for.
fn ran_ahead(ahead: i64) -> (Station, i64) {
    let station = Station::ready();
    let last = now() + ahead * DAY;
    station.run(&["plan", "--crl", "root", "--now", &utc(last)]).ok();
    (station, last)
}

fn correct<'a>(extra: &[&'a str]) -> Vec<&'a str> {
    let people = ["--operator", "carol", "--witness", "dave", "--reason", REASON];
    ["correct-clock"].iter().chain(&people).chain(extra).copied().collect()
}

#[test]
fn p10_a_clock_that_ran_ahead_is_set_back_by_a_quorum() {
    let (station, last) = ran_ahead(20);
    // Everything is refused, with the way out.
    let next = station.run(&["plan", "--crl", "root"]).fails(1, "but the log's last entry is of");
    assert!(next["hint"].as_str().unwrap().contains("correct-clock"), "{next}");
    let to = utc(now());
    refused(&station, &correct(&[]), 2, "which the witness reads");
    let yesterday = utc(now() - DAY);
    refused(&station, &correct(&["--witness-time", &yesterday]), 1, "the witness reads");
    // The witness's reading may not be old, so these runs are at the time of it, however long they take.
    let at_once = ["--now", &to];
    let args = [correct(&["--to", &to, "--witness-time", &to]), at_once.to_vec()].concat();
    let (statement, approvals) = approved(&station, &args, &["alice", "bob"]);
    let lines = |wanted: &str| assert!(statement.contains(wanted), "`{wanted}` is missing:\n{statement}");
    lines(&format!("correct-clock: the log's last entry is of {}\n", utc(last)));
    lines(&format!("correct-clock: the clock says {to}, and this is right\n"));
    let back = last - coldroot::text::parse_utc(&to).unwrap();
    lines(&format!("correct-clock: time goes back by {} days and ", back / DAY));
    lines(&format!(" hours ({back} seconds)\n"));
    lines("after        release 2, change 0\n");
    lines(&format!("reason: {REASON}\n"));
    // One officer is no quorum; nor are approvals of another statement.
    refused(&station, &with(&args, &approvals[..1]), 1, "2 of role officer must approve");
    let other = utc(now() - 100);
    let elsewhere = [correct(&["--to", &other, "--witness-time", &to]), at_once.to_vec()].concat();
    refused(&station, &with(&elsewhere, &approvals), 1, "is not over this text");

    station.run(&with(&args, &approvals)).ok();
    let (entry, mark) = (station.entries().pop().unwrap(), mark(&station));
    let Body::ClockCorrected(made) = entry.body else { panic!("{entry:?}") };
    assert_eq!((made.from, utc(made.to)), (last, to.clone()));
    assert_eq!(utc(entry.time), to);
    assert_eq!((mark.changes, utc(mark.floor)), (1, to.clone()));
    station.check_log();
    // The station goes on: its next entries are of the corrected time, and the witness's reading is the floor.
    let plan = station.planned_by(&["--crl", "root"]);
    station.carried_out(&plan);
    station.check_log();
    let floor = station.run(&["plan", "--crl", "root", "--now", &utc(made.to - 10)]);
    floor.fails(1, "but a witness has read");
    // Made once: run again by the clock of now, it finds nothing to do.
    station.run(&with(&args[..args.len() - at_once.len()], &approvals)).ok();
    let made = station.bodies().into_iter().filter(|body| matches!(body, Body::ClockCorrected(_))).count();
    assert_eq!((made, super::mark(&station).changes), (1, 1));
    let other = ["correct-clock", "--operator", "carol", "--witness", "dave", "--reason", "another one"];
    refused(&station, &other, 1, "does not stand before the log's last entry");
}

/// A run under a clock that is ahead, stopped where the log says so.
fn stopped_ahead(station: &Station, args: &[&str], wanted: impl Fn(&[Body]) -> bool) -> Station {
    for when in 1.. {
        let copy = station.copy();
        let run = killed_at(&copy, args, "fdatasync", when);
        assert_eq!(run.code, -1, "no such stop: {run:?}");
        if wanted(&copy.bodies()[station.entries().len()..]) {
            return copy;
        }
    }
    unreachable!()
}

#[test]
fn p05_a_plan_that_a_clock_ahead_has_left_open_has_a_way_out() {
    let station = Station::ready();
    let ahead = utc(now() + 20 * DAY);
    let planned = station.run(&["plan", "--crl", "root", "--now", &ahead]).ok();
    let plan = std::path::PathBuf::from(planned["plan"].as_str().unwrap());
    let approvals = station.approve(&plan);
    let args = [station.sign_args(&plan, &approvals), vec!["--now", &ahead]].concat();
    let (start, end) = (|b: &Body| matches!(b, Body::Start(_)), |b: &Body| matches!(b, Body::End(_)));

    // Started: it is voided, and then the clock is set back.
    let started = stopped_ahead(&station, &args, |new| new.iter().any(start));
    refused(&started, &started.sign_args(&plan, &[]), 1, "but the log's last entry is of");
    let to = utc(now());
    let clock = correct(&["--to", &to, "--witness-time", &to, "--now", &to]);
    refused(&started, &clock, 1, "was started and its release is not written");
    let void = ["void", "--plan", plan.to_str().unwrap(), "--reason", "the clock was wrong"];
    let void = [&void[..], &["--operator", "carol", "--witness", "dave"]].concat();
    let (_, approvals) = approved(&started, &void, &["alice", "bob"]);
    started.run(&with(&void, &approvals)).ok();
    let (_, approvals) = approved(&started, &clock, &["alice", "bob"]);
    started.run(&with(&clock, &approvals)).ok();
    started.carried_out(&started.planned_by(&["--crl", "root"]));
    started.check_log();

    // Ended, its release not written: it is written.
    let ended = stopped_ahead(&station, &args, |new| new.iter().any(end));
    ended.sign(&plan, &[]).ok();
    let (_, approvals) = approved(&ended, &clock, &["alice", "bob"]);
    ended.run(&with(&clock, &approvals)).ok();
    ended.check_log();
}

#[test]
fn p10_only_what_a_witness_has_read_raises_the_floor() {
    let station = Station::ready();
    assert_eq!(mark(&station).floor, 0, "nobody has read another clock yet");
    let (at, later) = (now() + DAY, now() + 10 * DAY);
    let plan = station.planned_by(&["--crl", "root"]);
    let approvals = station.approve(&plan);
    let (time, ahead) = (utc(at), utc(at + 200));
    let mut args = station.sign_args(&plan, &approvals);
    args.extend(["--now", &time, "--witness-time", &ahead]);
    station.run(&args).ok();
    // The earlier of two clocks that agree.
    assert_eq!(mark(&station).floor, at);
    station.run(&["plan", "--crl", "root", "--now", &utc(later)]).ok();
    assert_eq!(mark(&station).floor, at, "an entry of the station's own clock is no witness");
    let to = utc(at - 100);
    refused(&station, &correct(&["--witness-time", &to, "--now", &to]), 1, "but a witness has read");
    let to = utc(at + 100);
    let args = correct(&["--to", &to, "--witness-time", &to, "--now", &to]);
    let (_, approvals) = approved(&station, &args, &["alice", "bob"]);
    station.run(&with(&args, &approvals)).ok();
    assert_eq!(mark(&station).floor, at + 100);
    station.check_log();
}

#[test]
fn p10_a_correction_stopped_anywhere_is_made_once() {
    let (station, _) = ran_ahead(2);
    let to = utc(now());
    let args = correct(&["--to", &to, "--witness-time", &to, "--now", &to]);
    let (_, approvals) = approved(&station, &args, &["alice", "bob"]);
    let args = with(&args, &approvals);
    stopped_anywhere(&station, &args, |copy, point, again| {
        assert_eq!(again.code, 0, "{point}: {again:?}");
        let made = copy.bodies().into_iter().filter(|body| matches!(body, Body::ClockCorrected(_))).count();
        assert_eq!((made, mark(&copy).changes), (1, 1), "{point}");
        copy.planned_by(&["--crl", "root"]);
        copy.check_log();
    });
}

#[test]
fn p10_whoever_logs_in_next_finishes_a_correction() {
    let (station, _) = ran_ahead(2);
    let to = utc(now());
    let args = correct(&["--to", &to, "--witness-time", &to, "--now", &to]);
    let (_, approvals) = approved(&station, &args, &["alice", "bob"]);
    let args = with(&args, &approvals);
    let on_record = |station: &Station| matches!(station.bodies().last(), Some(Body::ClockCorrected(_)));
    let mut finished = 0;
    for when in 1.. {
        let copy = station.copy();
        if killed_at(&copy, &args, "fdatasync", when).code == 0 {
            break;
        }
        if !on_record(&copy) {
            continue;
        }
        let plan = copy.planned_by(&["--crl", "root"]);
        copy.carried_out(&plan);
        assert_eq!(mark(&copy).changes, 1, "fdatasync {when}");
        copy.check_log();
        finished += 1;
    }
    assert!(finished > 0, "no run was stopped behind the entry");
}

/// What people put on record by a wrong clock binds nobody, neither who goes on nor who corrects.
#[test]
fn p10_what_was_put_on_record_ahead_is_not_what_is_corrected() {
    let (station, last) = ran_ahead(2);
    let record = ["record", "deviation", "--what", "the lamp failed", "--person", "carol"];
    let put = |station: &Station| station.run(&[&record[..], &["--now", &utc(now() + 20 * DAY)]].concat()).ok();
    put(&station);
    let to = utc(now());
    let (statement, _) = approved(&station, &correct(&["--to", &to, "--witness-time", &to]), &[]);
    assert!(statement.contains(&format!("the log's last entry is of {}\n", utc(last))), "{statement}");
    let whole = Station::ready();
    put(&whole);
    refused(&whole, &correct(&["--witness-time", &to]), 1, "does not stand before the log's last entry");
    whole.planned_by(&["--crl", "root"]);
}

/// Stopped behind its entry under a clock ahead, a change is dated ahead of every gate that is asked to follow it: it is finished under
/// that clock, and then the clock is corrected.
#[test]
fn p05_a_change_that_a_clock_ahead_has_left_unfinished_has_a_way_out() {
    let station = Station::ready();
    let new = super::hierarchy(&station).replace("crl-days = 10", "crl-days = 20");
    std::fs::write(station.path("new.toml"), &new).unwrap();
    let people = ["--operator", "carol", "--witness", "dave", "--reason", "the year's review"];
    let adopt = [&["adopt-hierarchy", "new.toml"][..], &people].concat();
    let (_, approvals) = approved(&station, &adopt, &["alice", "bob"]);
    let ahead = utc(now() + 20 * DAY);
    let under_it = [with(&adopt, &approvals), vec!["--now", &ahead]].concat();
    let stopped = stopped_ahead(&station, &under_it, |new| new.iter().any(|b| matches!(b, Body::HierarchyAdopted(_))));
    assert_eq!(mark(&stopped).changes, 0);
    refused(&stopped, &with(&adopt, &approvals), 1, "but the log's last entry is of");
    // The file put in place by hand, so that the clock could be corrected if the gate had followed.
    let right = stopped.copy();
    std::fs::write(right.path("hierarchy.toml"), &new).unwrap();
    let to = utc(now());
    let clock = correct(&["--to", &to, "--witness-time", &to]);
    let (_, approvals) = approved(&right, &clock, &["alice", "bob"]);
    let told = right.run(&with(&clock, &approvals)).fails(1, "it is dated ");
    assert!(told["hint"].as_str().unwrap().contains("under that clock"), "{told}");
    assert_eq!(mark(&right).changes, 0);
    // Either that way, or by the command again.
    right.run(&["token", "inventory", "--now", &ahead]).ok();
    assert_eq!(mark(&right).changes, 1);
    right.run(&with(&clock, &approvals)).ok();
    stopped.run(&under_it).ok();
    let (_, approvals) = approved(&stopped, &clock, &["alice", "bob"]);
    stopped.run(&with(&clock, &approvals)).ok();
    for station in [right, stopped] {
        assert_eq!((mark(&station).changes, super::hierarchy(&station)), (2, new.clone()));
        station.carried_out(&station.planned_by(&["--crl", "root"]));
        station.check_log();
    }
}
