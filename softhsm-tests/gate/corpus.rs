//! What the fuzzer has found so far, on the stable toolchain; and requests with turned bits at a real gate.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use coldroot::audit::mark::Mark;
use coldroot::digest::Digest;
use coldroot::gate::{Reply, Request};
use coldroot::plan::Kind;
use coldroot::token::ask::Ask;
use coldroot::{cbor, wire};

use super::harness::{self, draw::Draw};
use super::station::{EXE, world};

#[path = "../../fuzz/scene.rs"]
mod scene;
use scene::Scene;

/// Log in to both tokens, the log with the start entry of plan 0, the start of that plan by both officers, its items, the log
/// with the end entry, the end.
pub const HONEST: &[u8] =
    &[0, 0, 0, 1, 2, 3, 0, 0, 3, 3, 5, 0, 0, 0, 0, 3, 3, 6, 5, 0, 1, 2, 3, 4, 3, 0, 0, 4, 4, 8, 0, 0, 4, 4, 0x0c, 3];

#[test]
#[ignore = "the token of the other tests here, in a process of its own"]
fn token() {
    if std::env::var_os("SCENE").is_some() {
        scene::worker();
    }
}

/// A scene whose token is this test program.
fn scene(dir: &Path) -> Scene {
    let token = dir.join("token");
    let exe = std::env::current_exe().unwrap();
    let text = format!("#!/bin/sh\nexec '{}' --ignored --exact corpus::token --nocapture\n", exe.display());
    harness::script(&token, &text);
    Scene::new(dir, token)
}

#[test]
fn the_scene_of_the_fuzzer_takes_an_honest_parent_all_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let [log, main] = scene(dir.path()).play(HONEST);
    let signed = |asks: &[Ask]| -> Vec<u64> {
        let messages =
            asks.iter().filter_map(|ask| if let Ask::Sign { messages, .. } = ask { Some(messages) } else { None });
        messages.flatten().map(|message| message.item).collect()
    };
    assert_eq!(signed(&main), [0, 1, 2, 3, 4]);
    assert_eq!(signed(&log).len(), 2);
    // The mark at the two checkpoints, at the start and at the end.
    assert_eq!(log.iter().filter(|ask| matches!(ask, Ask::WriteData { .. })).count(), 4);
}

#[test]
fn p01_no_input_that_the_fuzzer_has_kept_gains_anything() {
    let dir = tempfile::tempdir().unwrap();
    let scene = scene(dir.path());
    let kept: Vec<PathBuf> = harness::files(&harness::repository().join("fuzz/corpus/gate"));
    assert!(kept.len() >= 20, "the corpus is missing");
    for input in kept {
        let octets = fs::read(&input).unwrap();
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scene.play(&octets)));
        assert!(played.is_ok(), "{}", input.display());
    }
}

/// One to three bits turned, an octet less, or an octet more: the same in each run, as far as the station's own keys and
/// digests allow.
fn turned(draw: &mut Draw, frame: &[u8]) -> Vec<u8> {
    let mut octets = frame.to_vec();
    match draw.below(8) {
        0 => drop(octets.remove(draw.below(frame.len()))),
        1 => octets.insert(draw.below(frame.len()), u8::try_from(draw.below(256)).unwrap()),
        _ => {
            for _ in 0..=draw.below(3) {
                octets[draw.below(frame.len())] ^= 1 << draw.below(8);
            }
        }
    }
    octets
}

/// A gate process that has logged in to both tokens, reached by frames.
struct Raw {
    socket: UnixStream,
    process: Child,
}

impl Raw {
    fn start(station: &Path) -> Raw {
        let (socket, theirs) = UnixStream::pair().unwrap();
        let process = Command::new(EXE).arg("gate").stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
        let mut raw = Raw { socket, process };
        let hello = Request::Hello { station: station.into(), now: None, pins: Default::default() };
        assert!(matches!(raw.ask(&cbor::to_vec(&hello).unwrap()), Some(Reply::Welcome { .. })));
        for token in ["log", "main"] {
            let login = cbor::to_vec(&Request::Login { token: token.into() }).unwrap();
            assert!(matches!(raw.ask(&login), Some(Reply::Token(_))));
        }
        raw
    }

    /// Sends a frame; no reply when the gate has ended, and then in order.
    fn ask(&mut self, frame: &[u8]) -> Option<Reply> {
        let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
        self.socket.write_all(&[&length, frame].concat()).unwrap();
        if let Ok(reply) = wire::receive(&mut self.socket) {
            return Some(reply);
        }
        assert_eq!(self.process.wait().unwrap().code(), Some(0), "the gate crashed");
        None
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.process.wait();
    }
}

/// The requests of a run that could be made, each with something changed: the start of a plan that both officers have approved,
/// its items, a checkpoint, its end.
#[test]
fn p01_a_lawful_request_with_anything_changed_signs_nothing() {
    let world = world();
    let mut parent = world.parent();
    let plan = world.plan(&parent, Kind::Certificates, &world.items, |_| ());
    let start = world.start(&mut parent, &plan);
    let mark = Mark::decode(&parent.gate.mark().unwrap().unwrap()).unwrap();
    drop(parent);
    let Request::Start { entry, index, inclusion, .. } = &start else { panic!("{start:?}") };
    let end = Request::End { entry: entry.clone(), index: *index, inclusion: inclusion.clone() };
    let checkpoint = Request::SignCheckpoint { size: mark.size, root: mark.root, consistency: vec![Digest::default()] };
    let lawful: Vec<Vec<u8>> = [&start, &Request::Do { items: vec![0, 1, 2, 3] }, &checkpoint, &end, &Request::Mark]
        .map(|request| cbor::to_vec(request).unwrap())
        .to_vec();

    let objects = world.objects();
    let (mut draw, mut gate, mut ends) = (Draw(1), Raw::start(&world.station), 0);
    for round in 0..600 {
        let frame = &lawful[draw.below(lawful.len())];
        let mut changed = turned(&mut draw, frame);
        // What cannot be read ends the gate, and a new one takes its time: a few of those.
        while round % 50 != 0 && cbor::from_slice::<Request>(&changed).is_err() {
            changed = turned(&mut draw, frame);
        }
        if lawful.contains(&changed) || matches!(cbor::from_slice(&changed), Ok(Request::Bye)) {
            continue;
        }
        match gate.ask(&changed) {
            Some(Reply::Refused { .. } | Reply::Mark(_)) => {}
            Some(other) => panic!("{:?} got {other:?}", cbor::from_slice::<Request>(&changed)),
            None => {
                ends += 1;
                gate = Raw::start(&world.station);
            }
        }
    }
    assert!(ends < 20, "{ends} gates ended");
    drop(gate);
    assert_eq!(world.objects(), objects, "a token was changed");
    assert_eq!(world.mark(), mark);
}
