//! Attacks on the process itself: frames, order of requests, PINs.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use coldroot::algorithm::KeyAlgorithm;
use coldroot::audit::Log;
use coldroot::audit::entry::Body;
use coldroot::gate::{Error, Reply, Request};
use coldroot::token::probe::{Attempt, Probed, Step};
use coldroot::wire;

use super::station::{EXE, coldroot, gate_at, refused, world};

const CRL: &str = "format = \"coldroot-ceremony-v0\"\ntitle = \"A CRL\"\nact = [{ kind = \"crl\", ca = \"root\" }]\n";

#[test]
fn p07_frames_that_are_no_requests_end_the_gate_and_nothing_else() {
    let world = world();
    let objects = world.objects();
    let station = world.station.clone();
    let hello = || {
        let mut frame = Vec::new();
        wire::send(&mut frame, &Request::Hello { station: station.clone(), now: None, pins: Default::default() })
            .unwrap();
        frame
    };
    let framed = |octets: &[u8]| [&(octets.len() as u32).to_be_bytes(), octets].concat();
    let cases: [(&str, Vec<u8>, i32); 9] = [
        ("nothing", vec![], 1),
        ("half a length", vec![0, 0], 1),
        ("not greeted", framed(&coldroot::cbor::to_vec(&Request::Mark).unwrap()), 1),
        ("oversized greeting", vec![0xff; 64], 1),
        ("rubbish", [hello(), framed(b"rubbish")].concat(), 0),
        ("empty frame", [hello(), framed(b"")].concat(), 0),
        ("oversized", [hello(), vec![0x7f, 0xff, 0xff, 0xff]].concat(), 0),
        ("cut", [hello(), vec![0, 0, 1, 0, 1, 2, 3]].concat(), 0),
        ("deep", [hello(), framed(&[0x81; 100_000])].concat(), 0),
    ];
    for (case, octets, code) in cases {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut gate = Command::new(EXE).arg("gate").stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
        // The gate may be gone before all is written.
        let _ = ours.write_all(&octets);
        let _ = ours.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = ours.read_to_end(&mut answer);
        let status = gate.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{case}");
    }
    assert_eq!(world.objects(), objects);
}

#[test]
fn p01_requests_out_of_place_are_refused() {
    let world = world();
    world.unchanged(world.parent(), |parent| {
        let hello = Request::Hello { station: "/".into(), now: Some(0), pins: Default::default() };
        assert!(parent.refused(hello).contains("greeted already"));
        for length in [0, 1025, u32::MAX] {
            assert!(parent.refused(Request::Random { length }).contains("1 to 1024"));
        }
        assert!(matches!(parent.ask(Request::Random { length: 1024 }), Reply::Random(octets) if octets.len() == 1024));
        for token in ["log", "main"] {
            assert!(parent.refused(Request::InitToken { token: token.into() }).contains("is initialised"));
            assert!(parent.refused(Request::Login { token: token.into() }).contains("asked for once"));
        }
        let token = || String::from("other\u{1b}[2J");
        for request in [
            Request::InitToken { token: token() },
            Request::ListTokens { token: token() },
            Request::Login { token: token() },
        ] {
            assert_eq!(parent.refused(request), "the hierarchy declares no token `other\\u{1b}[2J`");
        }
    });
}

#[test]
fn p09_a_real_hierarchy_takes_no_time_from_the_parent_and_initialises_nothing() {
    let world = world();
    let text: String =
        world.hierarchy_text().replace("\"rehearsal\"", "\"real\"").replace("O = \"REHEARSAL\"", "O = \"X\"");
    let text: String = text.lines().filter(|l| !l.contains("pin-file")).map(|l| format!("{l}\n")).collect();
    let station = world.false_station("real", &text);
    let greeted = |now| coldroot::gate::Gate::start_exe(Path::new(EXE), &station, now, Default::default());
    assert!(matches!(greeted(Some(0)), Err(e) if e.to_string().contains("--now belongs to rehearsals")));
    let mut gate = greeted(None).unwrap();
    assert!(refused(&mut gate, Request::InitToken { token: "log".into() }).contains("only a rehearsal"));
}

#[test]
fn p08_a_pin_is_tried_once_in_a_process_even_when_the_next_one_would_be_right() {
    let world = world();
    let objects = world.objects();
    let station = world.false_station("wrong-pin", &world.hierarchy_text());
    fs::write(station.join("pin.txt"), "0000000000\n").unwrap();
    let mut gate = gate_at(&station);
    assert!(refused(&mut gate, Request::Login { token: "log".into() }).contains("CKR_PIN_INCORRECT"));
    fs::copy(world.station.join("pin.txt"), station.join("pin.txt")).unwrap();
    assert!(refused(&mut gate, Request::Login { token: "log".into() }).contains("asked for once"));
    assert!(refused(&mut gate, Request::Mark).contains("nobody is logged in"));
    drop(gate);
    gate_at(&station).login("log").unwrap();
    assert_eq!(world.objects(), objects);
}

/// A demonstration's station: its own, since the verbs want a log that folds.
pub fn demo() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let made = Command::new(EXE).args(["demo", "--plain", "--dir"]).arg(dir.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let station = dir.path().join("station");
    (dir, station)
}

fn tries(station: &Path) -> usize {
    let log = Log::read(&station.join("audit")).unwrap();
    log.entries(0..log.size()).filter(|e| matches!(e.as_ref().unwrap().1.body, Body::PinTry { .. })).count()
}

#[test]
fn p08_a_wrong_pin_is_asked_for_and_tried_once_and_a_pipe_brings_the_right_one() {
    let (_dir, station) = demo();
    fs::write(station.join("crl.toml"), CRL).unwrap();
    let ceremony = station.join("crl.toml");
    let planned = coldroot(&station, &["plan", "--ceremony", ceremony.to_str().unwrap()]);
    let plan = planned["plan"].as_str().unwrap();
    let mut sign = vec!["sign".to_string(), "--plan".into(), plan.into()];
    sign.extend(["--operator", "carol", "--witness", "dave"].map(String::from));
    for person in ["alice", "bob"] {
        let key = station.join("officers").join(person);
        coldroot(&station, &["approve", plan, "--person", person, "--key", key.to_str().unwrap()]);
        sign.extend(["--approval".into(), format!("{plan}.{person}.sig")]);
    }
    let right = fs::read_to_string(station.join("pin.txt")).unwrap();
    fs::write(station.join("pin.txt"), "0000000000\n").unwrap();
    let before = tries(&station);
    let run = |shell: &str, pin: &str| -> Output {
        let mut run = Command::new("bash");
        run.args(["-c", shell, EXE, "--plain", "--station"]).arg(&station).args(&sign).env("PIN", pin.trim());
        run.output().unwrap()
    };
    let wrong = run(r#""$0" "$@""#, "");
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(1), "{said}");
    assert!(said.contains("CKR_PIN_INCORRECT") && said.contains("it was tried once"), "{said}");
    assert_eq!(tries(&station), before + 1);
    let closed = run(r#""$0" --pin-fd 9 "$@""#, "");
    let said = String::from_utf8_lossy(&closed.stderr).into_owned();
    assert!(said.contains("cannot read the PIN from descriptor 9"), "{said}");
    let piped = run(r#""$0" --pin-fd 3 "$@" 3< <(printf '%s\n' "$PIN")"#, &right);
    assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
    // The descriptor that could not be read was no try.
    assert_eq!(tries(&station), before + 2);
}

/// A probe's steps name no key and carry no octets; what a parent can choose are numbers, and those are bounded.
#[test]
fn p01_a_probe_reaches_nothing_that_it_has_not_made() {
    let world = world();
    let step = |step| Request::Probe { token: "main".into(), step };
    let algorithm = KeyAlgorithm::EcdsaP256;
    let mut stranger = world.gate();
    assert!(refused(&mut stranger, step(Step::Data)).contains("nobody is logged in"));
    drop(stranger);
    world.unchanged(world.parent(), |parent| {
        let attempts = [Attempt::Read, Attempt::CopyExtractable, Attempt::SetExtractable, Attempt::SetReadable];
        for attempt in attempts {
            parent.ask(step(Step::Protect { algorithm, attempt }));
        }
        for once in [Step::Facts, Step::Sign { algorithm }, Step::Data, Step::Sweep] {
            parent.ask(step(once));
        }
        for most in [
            Step::Message { algorithm, octets: u32::MAX },
            Step::Sessions { most: u32::MAX },
            Step::Speed { algorithm, sessions: u32::MAX, milliseconds: 1 },
            Step::Speed { algorithm, sessions: 1, milliseconds: u32::MAX },
        ] {
            let Reply::Probed(Probed::Failed(failure)) = parent.ask(step(most)) else { panic!("it was tried") };
            assert!(failure.what.contains(" outside "), "{}", failure.what);
        }
        let fit = Request::Fit { token: "main".into(), algorithm, audit: true };
        assert!(matches!(parent.gate.ask(&fit), Ok(_) | Err(Error::Refused { .. })));
    });
}
