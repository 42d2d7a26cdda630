//! Random scripts: `softhsm-tests/fault-sweep --seed S --runs N`. The same seed gives the same scripts.

use super::harness::draw::Draw;
use super::scripts::Then;
use super::{Case, in_lanes, play_one};

/// What is drawn from. Numbers are drawn too, so that a call is anywhere in the run.
const FUNCTIONS: [&str; 12] = [
    "*",
    "*",
    "*",
    "signature",
    "signature",
    "signature",
    "C_SignInit",
    "C_FindObjects",
    "C_FindObjectsInit",
    "C_GetAttributeValue",
    "C_CreateObject",
    "C_DestroyObject",
];
const DEEDS: [&str; 22] = [
    "0x5",
    "0x6",
    "0x30",
    "0x31",
    "0x32",
    "0x60",
    "0x82",
    "0xb3",
    "0xe0",
    "0x101",
    "0x80000009",
    "crash",
    "segv",
    "exit:3",
    "hang",
    "kill:worker",
    "kill:gate",
    "kill:parent",
    "kill:all",
    "sleep:20",
    "lose-session",
    "logout",
];
const SIGNATURES: [&str; 6] = ["flip:77", "garble", "swap", "zero", "nothing", "length:64"];
const ATTRIBUTES: [&str; 5] =
    ["shorten:0x181:9", "unavailable:0x102", "unavailable:0x162", "attribute:0x103:00", "shorten:0x11:12"];
const OBJECTS: [&str; 4] = ["double", "stranger", "no-objects", "count:99"];

/// One to four rules. A PIN that the token refuses is not among them: scripts say so themselves.
fn script(seed: u64) -> String {
    let mut draw = Draw(seed);
    let rules = 1 + draw.below(4);
    let rule = |draw: &mut Draw| {
        let when = draw.of(&["once ", "once ", "once ", "later ", ""]);
        let function = draw.of(&FUNCTIONS);
        // Every function in a range of its own; a small number more often than a large one.
        let most = match function {
            "*" => 1700,
            "signature" | "C_SignInit" => 505,
            "C_FindObjects" | "C_FindObjectsInit" => 30,
            "C_GetAttributeValue" => 60,
            _ => 6,
        };
        let first = 1 + draw.below(most);
        let calls = match draw.below(6) {
            0 => format!("{first}-{}", first + draw.below(most)),
            1 => format!("every:{}", 2 + draw.below(most)),
            2 => format!("random:{}:{}", 1 + draw.below(3), draw.below(1000)),
            _ => first.to_string(),
        };
        let own: &[&str] = match function {
            "signature" => &SIGNATURES,
            "C_GetAttributeValue" => &ATTRIBUTES,
            "C_FindObjects" => &OBJECTS,
            _ => &DEEDS,
        };
        let fault = match draw.below(3) {
            0 => draw.of(own).to_owned(),
            1 => draw.of(&DEEDS).to_owned(),
            _ => format!("after:{}", draw.of(&DEEDS)),
        };
        format!("{when}{function}:{calls}={fault}")
    };
    (0..rules).map(|_| rule(&mut draw)).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_same_seed_gives_the_same_script() {
    assert_eq!(script(7), script(7));
    let of = |seeds: std::ops::Range<u64>| seeds.map(script).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(of(0..200).len(), 200);
}

/// Whatever happens: nothing wrong on record, nobody left behind, and the same command ends it.
#[test]
#[ignore = "as long as one likes: softhsm-tests/fault-sweep --seed S --runs N runs it"]
fn random_scripts() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |n| n.parse().unwrap());
    let (seed, runs) = (number("FAULT_SEED", 1), number("FAULT_RUNS", 20));
    let seeds: Vec<u64> = (seed..seed + runs).collect();
    in_lanes(
        &seeds,
        |seed| format!("--seed {seed} --runs 1:\n{}", script(*seed)),
        |base, at, seed| {
            let text = &script(*seed);
            play_one(base, &Case { text, then: Then::Either, logins: None, thorough: at % 10 == 0 });
        },
    );
    println!("{runs} random scripts from seed {seed}: every certificate exactly once after each");
}
