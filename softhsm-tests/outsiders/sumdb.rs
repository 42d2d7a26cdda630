//! `audit-logs/sumdb.go`: signatures, hashes and proofs of the log as golang.org/x/mod/sumdb computes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::harness::station::{Run, Station};
use super::harness::{copy_tree, files, repository};
use super::{demo, demo_key, issue, unpack};

/// The program, compiled once; what the compiler keeps for the next time stays inside target/.
pub fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = target.join("sumdb");
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(&program).arg(repository().join("audit-logs/sumdb.go"));
        go.envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", ""), ("CGO_ENABLED", "0")]);
        let built = go.env("GOCACHE", target.join("go-cache")).output();
        let built = built.expect("Go is not installed: softhsm-tests/run-all installs it");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        program
    })
}

fn judge(log: &Path, key: &str, older: Option<&Path>) -> Run {
    let mut command = Command::new(program());
    command.args(["-key", key]);
    if let Some(older) = older {
        command.arg("-older").arg(older);
    }
    Run::of(command.arg(log))
}

#[track_caller]
fn accepts(log: &Path, key: &str, older: Option<&Path>) -> String {
    let run = judge(log, key, older);
    assert!(run.code == 0 && run.err.is_empty() && run.out.starts_with("good: "), "{run:?}");
    run.out
}

#[track_caller]
fn refuses(log: &Path, key: &str, older: Option<&Path>, saying: &str) {
    let run = judge(log, key, older);
    assert!(run.code == 4 && run.out.is_empty(), "{run:?}");
    assert!(run.err.starts_with("refused: ") && run.err.contains(saying), "`{}` does not say `{saying}`", run.err);
}

/// The size that a checkpoint states.
fn size(checkpoint: &Path) -> u64 {
    fs::read_to_string(checkpoint).unwrap().lines().nth(1).unwrap().parse().unwrap()
}

/// A station's log after each of its releases, oldest first: two of the ceremony, one that fills a tile, and one of one request.
pub struct Releases {
    pub station: Station,
    pub logs: Vec<PathBuf>,
}

pub fn releases() -> &'static Releases {
    static MADE: OnceLock<Releases> = OnceLock::new();
    MADE.get_or_init(|| {
        let station = Station::ready();
        let mut logs = Vec::new();
        for n in 1..=4 {
            match n {
                3 => issue(&station, &station.bundle(260, 1)),
                4 => issue(&station, &station.bundle(1, 2)),
                _ => {}
            }
            let log = station.desk(&format!("log-{n}"));
            copy_tree(&unpack(&station, n).join("log"), &log);
            logs.push(log);
        }
        Releases { station, logs }
    })
}

#[test]
fn p04_go_accepts_the_log_of_the_demo() {
    let (log, key) = (demo().join("demo/log"), demo_key());
    let said = accepts(&log, &key, Some(&log.join("checkpoint")));
    let size = size(&log.join("checkpoint"));
    assert!(said.contains(&format!(" {size} entries, ")), "{said}");
    assert!(said.ends_with(&format!(", {size} proofs of inclusion, continues the checkpoint of {size}\n")), "{said}");
    // The station's own directory is the same log; its tail is under no checkpoint yet.
    accepts(&demo().join("demo/station/audit"), &key, Some(&log.join("checkpoint")));
    let usage = Run::of(Command::new(program()).arg(&log));
    assert!(usage.code == 2 && usage.err.contains("-key"), "{usage:?}");
}

#[test]
fn p04_go_accepts_each_release_as_the_continuation_of_those_before() {
    let Releases { station, logs } = releases();
    let key = station.verifier_key();
    let checkpoints: Vec<PathBuf> = logs.iter().map(|log| log.join("checkpoint")).collect();
    let sizes: Vec<u64> = checkpoints.iter().map(|path| size(path)).collect();
    assert!(sizes.is_sorted_by(|a, b| a < b) && sizes[1] < 256 && sizes[2] > 256, "{sizes:?}");
    for (newer, log) in logs.iter().enumerate() {
        for (older, checkpoint) in checkpoints.iter().enumerate() {
            if older <= newer {
                let said = accepts(log, &key, Some(checkpoint));
                assert!(said.contains(&format!("continues the checkpoint of {}\n", sizes[older])), "{said}");
            } else {
                refuses(log, &key, Some(checkpoint), "the checkpoint that it should continue");
            }
        }
    }
    // The full tile stands in for the partial ones that the first two checkpoints were made with.
    let read_later = tempfile::tempdir().unwrap();
    copy_tree(&logs[3], read_later.path());
    assert!(!read_later.path().join("tile/0/000.p").exists());
    for older in &checkpoints[..2] {
        fs::copy(older, read_later.path().join("checkpoint")).unwrap();
        accepts(read_later.path(), &key, None);
    }
}

#[test]
fn p04_go_refuses_every_changed_part_of_a_log() {
    let Releases { station, logs } = releases();
    let (key, scratch) = (station.verifier_key(), tempfile::tempdir().unwrap());
    let log = scratch.path().join("log");
    copy_tree(&logs[3], &log);
    accepts(&log, &key, None);
    let mut kinds = [0; 3];
    for path in files(&log).into_iter().filter(|path| !path.starts_with(log.join("artefact"))) {
        let whole = fs::read(&path).unwrap();
        let name = path.strip_prefix(&log).unwrap().to_str().unwrap();
        let (kind, samples) = match name {
            "checkpoint" => (0, whole.len()),
            _ if name.starts_with("tile/entries/") => (2, 150),
            _ => (1, 150),
        };
        let places: Vec<usize> =
            (0..samples.min(whole.len())).map(|n| n * whole.len() / samples.min(whole.len())).collect();
        for at in places.iter().copied().chain([whole.len() - 1]) {
            let mut changed = whole.clone();
            // Not the lowest bit: the last two of a base64 text may be spare ones, which Go's reader of notes passes over.
            changed[at] ^= 0x04;
            fs::write(&path, changed).unwrap();
            let run = judge(&log, &key, None);
            assert!(run.code == 4 && run.err.starts_with("refused: "), "octet {at} of {name}: {run:?}");
            kinds[kind] += 1;
        }
        for other in [&whole[..0], &whole[..whole.len() - 1], &[&whole[..], &[0]].concat()] {
            fs::write(&path, other).unwrap();
            refuses(&log, &key, None, "");
        }
        fs::remove_file(&path).unwrap();
        refuses(&log, &key, None, "no such file");
        fs::write(&path, whole).unwrap();
    }
    assert!(kinds.iter().all(|tried| *tried > 150), "{kinds:?} octets of checkpoint, hashes and entries");
    accepts(&log, &key, None);
}

#[test]
fn p04_go_refuses_another_key() {
    let (log, key) = (demo().join("demo/log"), demo_key());
    // Another station's key under the same origin.
    let foreign = releases().station.verifier_key();
    let (origin, rest) = key.split_once('+').unwrap();
    assert_eq!(foreign.split_once('+').unwrap().0, origin);
    refuses(&log, &foreign, None, "no verifiable signatures");
    refuses(&releases().logs[3], &key, None, "no verifiable signatures");
    refuses(&log, &key, Some(&releases().logs[0].join("checkpoint")), "no verifiable signatures");
    // The name is part of the key: its id is a hash of both.
    let renamed = judge(&log, &format!("example.org/other+{rest}"), None);
    assert!(renamed.code == 2 && renamed.out.is_empty() && renamed.err.contains("verifier key"), "{renamed:?}");
}

#[test]
fn p04_go_refuses_a_fork() {
    let one = Station::ready();
    let other = one.copy();
    unpack(&one, 2);
    // Two histories under one key: the same token, copied with its station.
    issue(&one, &one.bundle(1, 1));
    let short = unpack(&one, 3).join("log");
    let longer = other.requests("longer", &super::harness::station::generated(3, 7));
    issue(&other, &other.pack(&longer, 1));
    let long = unpack(&other, 3).join("log");
    let key = one.verifier_key();
    assert_eq!(key, other.verifier_key());
    accepts(&short, &key, None);
    accepts(&long, &key, None);
    assert!(size(&short.join("checkpoint")) < size(&long.join("checkpoint")));
    refuses(&long, &key, Some(&short.join("checkpoint")), "it is a fork");
}
