//! Four verifiers that share no code, over the same logs: `coldroot check`, `verify.py`, Go's sumdb, aics-tlog. What one accepts all
//! accept, with the same size and root; what is forged, each refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use coldroot::audit::entry::{Body, Entry, Genesis};
use coldroot::audit::merkle::{leaf_hash, node_hash};
use coldroot::audit::note::{VerifierKey, assemble, checkpoint_text};
use coldroot::audit::tiles::{bundle_path, tile_path};
use coldroot::audit::{Log, Sealer, View};
use coldroot::config::Environment;
use coldroot::digest::Digest;

use super::harness::station::{COLDROOT, Run};
use super::harness::{copy_tree, files, repository};
use super::{demo, demo_key, sumdb};

/// Where softhsm-tests/run-all installs the judges from PyPI.
fn python(script: &str) -> Command {
    let mut python = Command::new("python3");
    let judges = repository().join("target/judges");
    assert!(judges.join("aics_tlog").exists(), "aics-tlog is not installed: softhsm-tests/run-all installs it");
    // Behind what else is there: an installed `cryptography` stays the one in use.
    python.arg("-B").arg(repository().join("audit-logs").join(script)).env("PYTHONPATH", judges);
    python
}

/// The four, each with its command over a log.
fn judges(log: &Path, key: &str) -> [(&'static str, Command); 4] {
    let mut ours = Command::new(COLDROOT);
    ours.args(["check", "--json", "--verifier-key", key]).arg(log);
    let mut verify = python("verify.py");
    verify.arg(log).args(["--json", "--verifier-key", key]);
    let mut aics = python("aics.py");
    aics.arg(log).args(["--key", key]);
    let mut go = Command::new(sumdb::program());
    go.args(["-key", key]).arg(log);
    [("coldroot", ours), ("verify.py", verify), ("aics-tlog", aics), ("Go", go)]
}

/// What each of the four says of a log: exit code, and size with root where it is good.
pub fn verdicts(log: &Path, key: &str) -> [(&'static str, Run); 4] {
    judges(log, key).map(|(who, mut command)| (who, Run::of(&mut command)))
}

#[track_caller]
pub fn all_accept(log: &Path, key: &str) -> (u64, String) {
    let [ours, verify, aics, go] = verdicts(log, key).map(|(who, run)| {
        assert!(run.code == 0, "{who}: {} {}", run.out, run.err);
        run
    });
    let found = ours.json();
    let (size, root) = (found["size"].as_u64().unwrap(), found["root"].as_str().unwrap().to_string());
    let of_python = verify.json();
    assert_eq!((of_python["size"].as_u64(), of_python["root"].as_str()), (Some(size), Some(root.as_str())));
    for said in [aics.out, go.out] {
        assert!(said.contains(&format!(" {size} entries, root {root}")), "{said}");
    }
    (size, root)
}

#[track_caller]
pub fn all_refuse(log: &Path, key: &str, forgery: &str) {
    for (who, run) in verdicts(log, key) {
        assert!(run.code == 4 || (who == "coldroot" && run.code == 3), "{forgery}: {who} says {} {}", run.out, run.err);
        assert!(!run.err.contains("Traceback") && !run.err.contains("panicked"), "{forgery}: {who}: {}", run.err);
    }
}

const ORIGIN: &str = "example.org/outsiders";

/// The private half of a key: signs a text.
type Sign = dyn Fn(&[u8]) -> Vec<u8>;

/// An audit key in memory.
pub struct Signer {
    sign: Box<Sign>,
    pub key: VerifierKey,
    sealed: (u64, Digest),
}

impl Signer {
    pub fn new(seed: u8) -> Signer {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = VerifierKey::new(ORIGIN, pair.public_key().as_ref().try_into().unwrap()).unwrap();
        Signer { sign: Box::new(move |text| pair.sign(text).as_ref().to_vec()), key, sealed: (0, Digest::of(&[])) }
    }

    /// An ECDSA P-256 key, a new one each time.
    pub fn p256() -> Signer {
        const HEAD: &[u8] =
            b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\0";
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let key = VerifierKey::of_spki(ORIGIN, &[HEAD, pair.public_key().as_ref()].concat()).unwrap();
        let sign = move |text: &[u8]| pair.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec();
        Signer { sign: Box::new(sign), key, sealed: (0, Digest::of(&[])) }
    }

    pub fn note(&self, size: u64, root: &Digest) -> String {
        let text = checkpoint_text(self.key.name(), size, root);
        assemble(&text, &self.key, &self.signature(size, root))
    }

    pub fn signature(&self, size: u64, root: &Digest) -> Vec<u8> {
        (self.sign)(checkpoint_text(self.key.name(), size, root).as_bytes())
    }
}

impl Sealer for Signer {
    type Error = std::convert::Infallible;

    fn sealed(&self) -> (u64, Digest) {
        self.sealed
    }

    fn sign_checkpoint(&mut self, size: u64, root: Digest, _: &[Digest]) -> Result<String, Self::Error> {
        self.sealed = (size, root);
        Ok(self.note(size, &root))
    }
}

/// A published log of that many entries, under one checkpoint.
fn of_size(dir: &Path, size: u64) -> (PathBuf, Signer) {
    signed_by(Signer::new(9), dir, size)
}

pub fn signed_by(mut signer: Signer, dir: &Path, size: u64) -> (PathBuf, Signer) {
    let path = dir.join(size.to_string());
    let mut log = Log::create(&path, signer.key.name()).unwrap();
    let genesis = Genesis {
        origin: signer.key.name().into(),
        name: "Outsiders".into(),
        environment: Environment::Rehearsal,
        hierarchy: Digest([1; 32]),
        verifier_key: signer.key.to_string(),
        approvals: Vec::new(),
        requesters: Digest([2; 32]),
        program: "0.1.0".into(),
    };
    log.append(&Entry::new(0, Body::Genesis(genesis))).unwrap();
    for n in 1..size {
        log.append(&Entry::new(1_795_305_600, body(n))).unwrap();
    }
    log.checkpoint(&mut signer).unwrap();
    drop(log);
    // A copy without a tail: artefacts may be elsewhere.
    fs::remove_file(path.join("tail")).unwrap();
    (path, signer)
}

/// Entries that stand for themselves, of several kinds and lengths.
fn body(n: u64) -> Body {
    match n % 5 {
        0 => Body::Failure { what: format!("trouble {n} {}", "x".repeat(usize::try_from(n % 300).unwrap())) },
        1 => Body::PinTry { token: "main".into() },
        2 => Body::Login { token: "main".into(), serial: format!("{n:x}"), module: "SoftHSM".into() },
        3 => Body::MediumRead { name: "bundle".into(), digest: Digest::of(&n.to_be_bytes()), octets: n },
        _ => Body::Deviation { what: format!("deviation {n}"), persons: vec!["ann".into(), "ben".into()] },
    }
}

#[test]
fn p04_four_verifiers_agree_on_logs_of_every_size_at_the_borders_of_tiles() {
    let dir = tempfile::tempdir().unwrap();
    for size in [1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537] {
        let (log, signer) = of_size(dir.path(), size);
        assert_eq!(all_accept(&log, &signer.key.to_string()).0, size);
        fs::remove_dir_all(log).unwrap();
    }
}

#[test]
fn p04_four_verifiers_agree_on_the_logs_of_the_tests() {
    all_accept(&demo().join("demo/log"), &demo_key());
    let releases = sumdb::releases();
    for log in &releases.logs {
        all_accept(log, &releases.station.verifier_key());
    }
    let sample = repository().join("audit-logs/sample");
    all_accept(&sample.join("log"), fs::read_to_string(sample.join("verifier-key")).unwrap().trim());
}

/// Puts these entries in the place of a log's, with every tile made anew, as a forger would. Returns their root.
pub fn forge(log: &Path, entries: &[Vec<u8>]) -> Digest {
    fs::remove_dir_all(log.join("tile")).unwrap();
    let write = |name: String, octets: Vec<u8>| {
        let path = log.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, octets).unwrap();
    };
    let framed = |e: &Vec<u8>| [&u16::try_from(e.len()).unwrap().to_be_bytes()[..], e].concat();
    for (n, bundle) in entries.chunks(256).enumerate() {
        write(bundle_path(n as u64, bundle.len() as u64), bundle.iter().flat_map(framed).collect());
    }
    let mut row: Vec<Digest> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let root = root(&row);
    for level in 0.. {
        for (n, tile) in row.chunks(256).enumerate() {
            write(tile_path(level, n as u64, tile.len() as u64), tile.iter().flat_map(|hash| hash.0).collect());
        }
        row = row.chunks_exact(256).map(self::root).collect();
        if row.is_empty() {
            return root;
        }
    }
    unreachable!("every level has fewer hashes than the one below")
}

/// RFC 6962 section 2.1, as it stands there.
fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [one] => *one,
        _ => {
            let half = leaves.len().next_power_of_two() / 2;
            node_hash(&root(&leaves[..half]), &root(&leaves[half..]))
        }
    }
}

#[test]
fn p04_four_verifiers_refuse_every_forgery() {
    let dir = tempfile::tempdir().unwrap();
    let (log, signer) = of_size(dir.path(), 600);
    every_forgery(&log, &signer, &Signer::new(10), &["swapped pair", "changed entry", "entry twice", "dropped tail"]);
}

/// The forgeries of these names, and two that need the key itself: each under every checkpoint that a forger may put there.
pub fn every_forgery(log: &Path, signer: &Signer, stranger: &Signer, names: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let (key, forged) = (signer.key.to_string(), dir.path().join("forged"));
    let entries: Vec<Vec<u8>> = View::read(log).unwrap().entries(0..600).map(|found| found.unwrap().2).collect();
    let whole = fs::read_to_string(log.join("checkpoint")).unwrap();
    // The forger's own means are sound: the same entries give the same log.
    copy_tree(log, &forged);
    forge(&forged, &entries);
    assert_eq!(files(&forged).len(), files(log).len());
    all_accept(&forged, &key);

    let (mut swapped, mut changed, mut doubled) = (entries.clone(), entries.clone(), entries.clone());
    swapped.swap(300, 301);
    changed[299] = Entry::new(1_795_305_600, Body::PinTry { token: "other".into() }).encode().unwrap();
    doubled.insert(300, entries[299].clone());
    let forgeries = [
        ("swapped pair", swapped),
        ("changed entry", changed),
        ("entry twice", doubled),
        ("dropped tail", entries[..597].to_vec()),
    ];
    for (name, entries) in forgeries.iter().filter(|(name, _)| names.contains(name)) {
        let (root, size) = (forge(&forged, entries), entries.len() as u64);
        let mut resized = whole.clone();
        resized = resized.replacen("\n600\n", &format!("\n{size}\n"), 1);
        // The true checkpoint; it with another size; one of the forger's key; that under the true key's name and number.
        let theirs = stranger.note(size, &root);
        let true_id = whole.rsplit(' ').next().unwrap();
        let mixed = theirs.replace(theirs.rsplit(' ').next().unwrap(), true_id);
        for (what, note) in [("true", &whole), ("resized", &resized), ("stranger's", &theirs), ("mixed", &mixed)] {
            fs::write(forged.join("checkpoint"), note).unwrap();
            all_refuse(&forged, &key, &format!("{name}, {what} checkpoint"));
        }
    }
    // The whole log under a checkpoint of the true key with another root: what a thief of the key leaves.
    forge(&forged, &entries);
    fs::write(forged.join("checkpoint"), signer.note(600, &Digest([3; 32]))).unwrap();
    all_refuse(&forged, &key, "another root");
    fs::write(
        forged.join("checkpoint"),
        signer.note(601, &root(&entries.iter().map(|e| leaf_hash(e)).collect::<Vec<_>>())),
    )
    .unwrap();
    all_refuse(&forged, &key, "another size");
    fs::write(forged.join("checkpoint"), &whole).unwrap();
    all_accept(&forged, &key);
}

#[test]
fn p04_four_verifiers_refuse_a_changed_octet_in_each_file() {
    let dir = tempfile::tempdir().unwrap();
    let (log, signer) = of_size(dir.path(), 600);
    let key = signer.key.to_string();
    let mut tried = 0;
    for path in files(&log) {
        let whole = fs::read(&path).unwrap();
        for at in [0, whole.len() / 3, whole.len() - 2] {
            let mut changed = whole.clone();
            changed[at] ^= 0x04;
            fs::write(&path, changed).unwrap();
            all_refuse(&log, &key, &format!("octet {at} of {}", path.display()));
            tried += 1;
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        all_refuse(&log, &key, &format!("{} cut", path.display()));
        fs::remove_file(&path).unwrap();
        all_refuse(&log, &key, &format!("{} missing", path.display()));
        fs::write(&path, whole).unwrap();
    }
    // A checkpoint, three bundles, three tiles of the leaves and one above them.
    assert_eq!(tried, 8 * 3);
    all_accept(&log, &key);
}

/// By a command of its own, softhsm-tests/million: minutes, and half a gigabyte.
#[test]
#[ignore = "minutes: softhsm-tests/million"]
fn p04_four_verifiers_agree_on_a_million_entries_and_refuse_what_is_forged_there() {
    const SIZE: u64 = 1_000_000;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let begun = std::time::Instant::now();
    let tell = |what: &str| eprintln!("{:>6} s  {what}", begun.elapsed().as_secs());
    let (log, signer) = of_size(dir.path(), SIZE);
    let key = signer.key.to_string();
    tell("a log of 1,000,000 entries is written");
    let root = View::read(&log).unwrap().root().unwrap().hex();
    for (who, mut command) in judges(&log, &key) {
        let run = Run::of(&mut command);
        assert!(
            run.code == 0 && run.out.contains(&root) && run.out.contains("1000000"),
            "{who}: {} {}",
            run.out,
            run.err
        );
        tell(&format!("{who} accepts it, with the same size and root"));
    }
    let note = fs::read(log.join("checkpoint")).unwrap();
    let change = |name: &str, changed: &dyn Fn(&[u8]) -> Vec<u8>| {
        let path = log.join(name);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, changed(&whole)).unwrap();
        all_refuse(&log, &key, name);
        fs::write(&path, whole).unwrap();
        tell(&format!("all four refuse {name} changed"));
    };
    let flipped = |whole: &[u8]| {
        let mut octets = whole.to_vec();
        octets[whole.len() / 2] ^= 1;
        octets
    };
    change("tile/entries/x001/953", &flipped);
    change("tile/0/x001/953", &flipped);
    change("tile/1/007", &flipped);
    change("checkpoint", &|note| String::from_utf8_lossy(note).replacen("\n1000000\n", "\n999999\n", 1).into_bytes());
    // Two neighbours change places, with their hashes.
    let bundle = bundle_path(1_953, 256);
    let swap = |whole: &[u8]| {
        let length = |at: usize| 2 + usize::from(u16::from_be_bytes([whole[at], whole[at + 1]]));
        let (first, second) = (length(0), length(length(0)));
        [&whole[first..first + second], &whole[..first], &whole[first + second..]].concat()
    };
    change(&bundle, &swap);
    assert_eq!(fs::read(log.join("checkpoint")).unwrap(), note);
}
