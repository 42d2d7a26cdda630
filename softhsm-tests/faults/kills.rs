//! `kill -9` of worker, gate and parent, at calls of the module: the same moment in each run, and no clock decides it.

use std::sync::Mutex;

use super::scripts::Then;
use super::{Case, in_lanes, play_one};

const VICTIMS: [&str; 4] = ["worker", "gate", "parent", "all"];

/// One kill: who, before or after which call of all calls of the first worker.
type Kill = (String, &'static str);

fn kill(call: &str, victim: &'static str, after: bool) -> Kill {
    (format!("once {call}={}kill:{victim}", if after { "after:" } else { "" }), victim)
}

/// Kills at all of these, each on a copy of the station. Who loses a worker goes on; who loses gate or parent is run again.
fn kill_all(kills: &[Kill]) {
    in_lanes(
        kills,
        |(text, _)| text.clone(),
        |base, at, (text, victim)| {
            let then = if *victim == "worker" { Then::Ends } else { Then::Halts };
            play_one(base, &Case { text, then, logins: None, thorough: at % 10 == 0 });
        },
    );
}

/// How many calls the module gets in an undisturbed run.
fn calls() -> usize {
    let calls = Mutex::new(0);
    in_lanes(
        &[""],
        |_| "an undisturbed run".into(),
        |base, _, text| {
            let case = Case { text, then: Then::Ends, logins: None, thorough: true };
            *calls.lock().unwrap() = play_one(base, &case).len();
        },
    );
    calls.into_inner().unwrap()
}

/// Where a mark is written the token is between two states; the rest is a spread over the run. The last calls close the
/// session, and then a worker that is gone is missed by nobody.
#[test]
fn p03_kill_9_of_worker_gate_or_parent_loses_nothing() {
    let mut kills = vec![
        kill("C_Login:1", "gate", true),
        kill("C_CreateObject:1", "gate", true),
        kill("C_CreateObject:2", "all", true),
        kill("C_DestroyObject:3", "parent", false),
        kill("C_DestroyObject:4", "gate", true),
        kill("C_CreateObject:5", "worker", true),
        kill("C_Logout:1", "parent", true),
    ];
    kills.extend(
        [(130, "worker"), (333, "gate"), (555, "parent"), (777, "all"), (999, "gate")]
            .map(|(n, victim)| kill(&format!("*:{n}"), victim, n % 2 == 0)),
    );
    kill_all(&kills);
}

/// Every tenth call, before and after, each victim in its turn: `softhsm-tests/fault-sweep`.
#[test]
#[ignore = "some ten minutes: softhsm-tests/fault-sweep runs it"]
fn every_tenth_call_is_the_last_one_of_a_process() {
    // The last twenty or so log out, close and finalise.
    let last = calls() - 20;
    let kills: Vec<Kill> = (1..=last)
        .step_by(10)
        .enumerate()
        .map(|(n, call)| kill(&format!("*:{call}"), VICTIMS[n % VICTIMS.len()], n / VICTIMS.len() % 2 == 1))
        .collect();
    kill_all(&kills);
    println!("{} kills over {last} calls: every certificate exactly once after each", kills.len());
}
