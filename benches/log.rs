//! The log and its index at size: `cargo bench --bench log [-- --entries 10000000] [--dir DIR] [--keep] [--json]`.
//!
//! Writes a log of so many entries, nearly all of them certificates of some 700 octets, then measures, each in a process of
//! its own whose peak memory is taken (VmHWM):
//!
//! | | |
//! | --- | --- |
//! | append | entries encoded, hashed, appended, sealed in groups: without signatures of CAs, without index |
//! | plain | the octets of this log hashed once, written twice, as tail and tiles are, and flushed as often: what `append` is compared with |
//! | digest | SHA-256 over the same files on all processors: what `check` is compared with |
//! | check | the whole check of the log |
//! | index | the ledger folded from the log and its index stored |
//! | open | log and ledger opened with that index |
//! | lookup | serial numbers, keys, names and requests that are there and that are not |
//! | copy | a log of at most 200,000 entries brought over to a second directory, by file copied and flushed, and as a copy is; then what is new in it |
//!
//! `plain`, `digest` and `check` are done in three rounds, of which the medians count. The exit code is 4 where a limit is
//! missed: speeds that the machine's load sways are held against a peer of the same run, or against processor time.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use coldroot::algorithm::SignatureAlgorithm;
use coldroot::audit::copy::bring_over;
use coldroot::audit::entry::{Body, CertificateIssued, End, Entry, Genesis, Start};
use coldroot::audit::merkle::empty_root;
use coldroot::audit::note::{VerifierKey, assemble, checkpoint_text};
use coldroot::audit::{Log, Sealer, check::check};
use coldroot::cbor::Bytes;
use coldroot::digest::{Digest, Hasher};
use coldroot::ledger::Ledger;
use coldroot::plan::Kind;
use coldroot::x509::fields::{CertFields, Constraints, GeneralName};
use coldroot::{tbs, x509};

type Figures = BTreeMap<String, f64>;

const ORIGIN: &str = "bench.example/log";
/// Certificates of one plan, and entries between two checkpoints.
const PLAN: u64 = 10_000;
const GROUP: u64 = 50_000;
const LOOKUPS: u64 = 4_000;
const ROUNDS: usize = 3;
const PIECE: u64 = 1 << 20;
/// Entries of the log that is copied, and those that it gets afterwards.
const COPIED: u64 = 200_000;
const NEW: u64 = 10_000;
const BEGIN: i64 = 1_800_000_000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned();
    let entries: u64 = value("--entries").map_or(200_000, |n| n.replace('_', "").parse().expect("--entries N"));
    if let Some(part) = value("--part") {
        let dir = PathBuf::from(value("--dir").expect("--dir DIR"));
        let mut figures = run_part(&part, &dir, entries);
        figures.insert(format!("{part}-peak-mib"), peak());
        figures.insert(format!("{part}-cpu-seconds"), cpu());
        println!("{}", serde_json::to_string(&figures).expect("figures are numbers"));
        return ExitCode::SUCCESS;
    }
    let base = value("--dir").map_or_else(std::env::temp_dir, PathBuf::from);
    let made = tempfile::Builder::new().prefix("coldroot-log-bench-").tempdir_in(base).expect("a directory");
    let dir = if args.iter().any(|arg| arg == "--keep") { made.keep() } else { made.path().to_path_buf() };
    let mut taken: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let rounds = ["plain", "digest", "check"].repeat(ROUNDS);
    for part in ["append"].into_iter().chain(rounds).chain(["index", "open", "lookup", "copy"]) {
        eprintln!("{part} …");
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--part", part, "--entries", &entries.to_string(), "--dir"])
            .arg(&dir)
            .output()
            .expect("a part");
        if !child.status.success() {
            eprintln!("{part}: {}", String::from_utf8_lossy(&child.stderr));
            return ExitCode::FAILURE;
        }
        let figures: Figures = serde_json::from_slice(&child.stdout).expect("figures");
        figures.into_iter().for_each(|(name, value)| taken.entry(name).or_default().push(value));
    }
    let all: Figures = taken.into_iter().map(|(name, values)| (name, median(values))).collect();
    let verdicts = verdicts(&all);
    if args.iter().any(|arg| arg == "--json") {
        let limits: Vec<_> =
            verdicts.iter().map(|(what, good, _)| serde_json::json!({ "limit": what, "kept": good })).collect();
        println!("{}", serde_json::json!({ "entries": entries, "figures": all, "limits": limits }));
    } else {
        println!("{entries} entries\n");
        all.iter().for_each(|(name, value)| println!("  {name:<28} {value:>14.1}"));
        println!();
        for (what, good, found) in &verdicts {
            println!("  {}  {what}: {found}", if *good { "kept  " } else { "MISSED" });
        }
    }
    if dir.exists() && !args.iter().any(|arg| arg == "--keep") {
        let _ = fs::remove_dir_all(&dir);
    }
    ExitCode::from(if verdicts.iter().all(|(_, good, _)| *good) { 0 } else { 4 })
}

fn verdicts(all: &Figures) -> Vec<(&'static str, bool, String)> {
    let at = |name: &str| all.get(name).copied().unwrap_or(f64::NAN);
    let per_cpu = at("append-per-cpu-second");
    let mut verdicts = vec![
        (
            "append at least 100,000 entries in a second of a processor",
            per_cpu >= 100_000.0,
            format!("{per_cpu:.0}; {:.0} by the clock", at("append-per-second")),
        ),
        (
            "append at no less than a quarter of the speed of writing its octets plainly",
            at("append-seconds") <= 4.0 * at("plain-seconds"),
            format!("{:.2} of it", at("plain-seconds") / at("append-seconds")),
        ),
        (
            "check at no less than half the speed of SHA-256",
            at("check-seconds") <= 2.0 * at("digest-seconds"),
            format!(
                "{:.2} of it, {:.2} by processor time",
                at("digest-seconds") / at("check-seconds"),
                at("digest-cpu-seconds") / at("check-cpu-seconds")
            ),
        ),
        (
            "a serial number found in about 100 µs (median)",
            at("serial-present-median-us") <= 120.0,
            format!("{:.0} µs", at("serial-present-median-us")),
        ),
        ("opened in seconds", at("open-seconds") <= 5.0, format!("{:.2} s", at("open-seconds"))),
        (
            "a copy at no less than half the speed of files copied and flushed",
            at("copy-seconds") <= 2.0 * at("files-copied-seconds"),
            format!(
                "{:.2} of it, {:.0} MiB/s",
                at("files-copied-seconds") / at("copy-seconds"),
                at("copy-mib") / at("copy-seconds")
            ),
        ),
    ];
    let peak = all.iter().filter(|(name, _)| name.ends_with("-peak-mib")).map(|(_, mib)| *mib).fold(0.0, f64::max);
    verdicts.push(("under 200 MiB of memory throughout", peak < 200.0, format!("{peak:.0} MiB")));
    verdicts
}

fn run_part(part: &str, dir: &Path, entries: u64) -> Figures {
    let audit = dir.join("audit");
    let mut figures = Figures::new();
    let begun = Instant::now();
    match part {
        "append" => {
            let (seconds, of_cpu) = append(&audit, entries);
            figures.insert("entries".into(), entries as f64);
            figures.insert("append-seconds".into(), seconds);
            figures.insert("append-per-cpu-second".into(), entries as f64 / of_cpu);
            figures.insert("append-per-second".into(), entries as f64 / seconds);
        }
        "plain" => {
            figures.insert("plain-seconds".into(), plain(&dir.join("plain"), &audit, entries));
        }
        "digest" => {
            let octets = digest(&audit);
            figures.insert("digest-seconds".into(), begun.elapsed().as_secs_f64());
            figures.insert("log-mib".into(), octets as f64 / f64::from(1 << 20));
        }
        "check" => {
            let report = check(&audit, &Signer::new().key).expect("a good log");
            assert!(report.size >= entries);
            figures.insert("check-seconds".into(), begun.elapsed().as_secs_f64());
        }
        "index" => {
            let mut log = Log::open(&audit).expect("the log");
            let mut ledger = Ledger::open(&log).expect("the ledger");
            figures.insert("fold-per-second".into(), entries as f64 / begun.elapsed().as_secs_f64());
            let stored = Instant::now();
            let (size, digest) = (ledger.size(), ledger.store(&log).expect("an index"));
            figures.insert("store-seconds".into(), stored.elapsed().as_secs_f64());
            log.append(&Entry::new(BEGIN, Body::Indexed { size, digest })).expect("an entry");
            let mut signer = Signer::new();
            signer.sealed = (log.sealed_size(), log.root_at(log.sealed_size()).expect("a root"));
            log.checkpoint(&mut signer).expect("a checkpoint");
            let octets: u64 = fs::read_dir(audit.join("index"))
                .expect("index")
                .map(|f| f.expect("file").metadata().expect("length").len())
                .sum();
            figures.insert("index-mib".into(), octets as f64 / f64::from(1 << 20));
        }
        "open" => {
            let log = Log::open(&audit).expect("the log");
            let ledger = Ledger::open(&log).expect("the ledger");
            figures.insert("open-seconds".into(), begun.elapsed().as_secs_f64());
            assert!(ledger.indexed() >= entries && ledger.in_force("web", BEGIN) > 0);
        }
        "lookup" => lookups(&audit, entries, &mut figures),
        "copy" => copy(&dir.join("station"), dir, entries.min(COPIED), &mut figures),
        other => panic!("no part {other}"),
    }
    figures
}

/// A signer in this process; the mark is remembered as the gate's is.
struct Signer {
    pair: Ed25519KeyPair,
    key: VerifierKey,
    sealed: (u64, Digest),
}

impl Signer {
    fn new() -> Signer {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[42; 32]).expect("a key");
        let key = VerifierKey::new(ORIGIN, pair.public_key().as_ref().try_into().expect("32 octets")).expect("a name");
        Signer { pair, key, sealed: (0, empty_root()) }
    }
}

impl Sealer for Signer {
    type Error = std::convert::Infallible;

    fn sealed(&self) -> (u64, Digest) {
        self.sealed
    }

    fn sign_checkpoint(&mut self, size: u64, root: Digest, _: &[Digest]) -> Result<String, Self::Error> {
        let text = checkpoint_text(self.key.name(), size, &root);
        self.sealed = (size, root);
        Ok(assemble(&text, &self.key, self.pair.sign(text.as_bytes()).as_ref()))
    }
}

/// The certificate number `n`, as DER: one real certificate in which serial number, key and names are put in their places.
struct Template {
    der: Vec<u8>,
    serial: usize,
    key: usize,
    names: Vec<usize>,
}

fn serial(n: u64) -> [u8; 17] {
    let mut serial = [0x5a; 17];
    let digest = Digest::of(&n.to_be_bytes());
    serial[1..].copy_from_slice(&digest.0[..16]);
    serial
}

fn point(n: u64) -> [u8; 64] {
    let (x, y) =
        (Digest::of(&[&b"x"[..], &n.to_be_bytes()].concat()), Digest::of(&[&b"y"[..], &n.to_be_bytes()].concat()));
    let mut point = [0; 64];
    point[..32].copy_from_slice(&x.0);
    point[32..].copy_from_slice(&y.0);
    point
}

fn name(n: u64) -> String {
    format!("host-{n:012}.example.org")
}

fn spki(n: u64) -> Vec<u8> {
    [&b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"[..], &point(n)].concat()
}

impl Template {
    fn new() -> Template {
        let cn = |text: &str| {
            let value = [&[0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, text.len() as u8], text.as_bytes()].concat();
            let pair = [&[0x30, value.len() as u8], value.as_slice()].concat();
            let set = [&[0x31, pair.len() as u8], pair.as_slice()].concat();
            [&[0x30, set.len() as u8], set.as_slice()].concat()
        };
        let names = [name(0), format!("www.{}", name(0)), format!("xmpp.{}", name(0))];
        let fields = CertFields {
            serial: serial(0).to_vec().into(),
            signature: SignatureAlgorithm::EcdsaSha256,
            issuer: cn("Example Web Issuing CA 2026").into(),
            not_before: BEGIN,
            not_after: BEGIN + 397 * 86_400,
            subject: cn(&name(0)).into(),
            spki: spki(0).into(),
            ca: None,
            key_usage: 0,
            eku: vec!["1.3.6.1.5.5.7.3.1".into(), "1.3.6.1.5.5.7.3.2".into()],
            san: names.iter().map(|name| GeneralName::Dns(name.clone())).collect(),
            ski: Some(vec![7; 20].into()),
            aki: Some(vec![8; 20].into()),
            crl_urls: vec!["http://crl.example.org/web-2026.crl".into()],
            issuer_urls: vec!["http://ca.example.org/web-2026.cer".into()],
            policies: vec![],
            constraints: Constraints::default(),
            critical: vec![],
            others: vec![],
        };
        let bytes = tbs::certificate(&fields).expect("a certificate");
        let mut signature = vec![0x30, 0x44, 0x02, 0x20];
        signature.extend([0x11; 32]);
        signature.extend([0x02, 0x20]);
        signature.extend([0x22; 32]);
        let der = tbs::assemble(&bytes, SignatureAlgorithm::EcdsaSha256, &signature);
        let all = |needle: &[u8]| {
            (0..der.len() - needle.len()).filter(|at| der[*at..].starts_with(needle)).collect::<Vec<_>>()
        };
        Template { serial: all(&serial(0))[0], key: all(&point(0))[0], names: all(name(0).as_bytes()), der }
    }

    fn certificate(&self, n: u64) -> Vec<u8> {
        let mut der = self.der.clone();
        der[self.serial..self.serial + 17].copy_from_slice(&serial(n));
        der[self.key..self.key + 64].copy_from_slice(&point(n));
        let name = name(n);
        self.names.iter().for_each(|at| der[*at..*at + name.len()].copy_from_slice(name.as_bytes()));
        der
    }
}

/// Writes a log of so many entries, or a few more, and gives the seconds that this took, by the clock and of the processor.
/// What is to be appended is made before, a plan at a time, and not counted.
fn append(audit: &Path, entries: u64) -> (f64, f64) {
    let mut signer = Signer::new();
    let mut log = Log::create(audit, ORIGIN).expect("a new log");
    let artefact = log.put_artefact(b"an artefact").expect("an artefact");
    let genesis = Genesis {
        origin: ORIGIN.into(),
        name: "Bench".into(),
        environment: coldroot::config::Environment::Rehearsal,
        hierarchy: artefact,
        verifier_key: signer.key.to_string(),
        approvals: vec![],
        requesters: artefact,
        program: "bench".into(),
    };
    log.append(&Entry::new(BEGIN, Body::Genesis(genesis))).expect("an entry");
    let template = Template::new();
    x509::read_certificate(&template.certificate(1)).expect("a certificate that parses");
    let (mut release, mut seconds, mut of_cpu) = (0, 0.0, 0.0);
    while log.size() < entries {
        release += 1;
        let plan = log.put_artefact(format!("plan {release}").as_bytes()).expect("an artefact");
        // Behind what says that it was planned and started. A certificate's number is its place in the log.
        let first = log.size() + 2;
        let items = entries.saturating_sub(first).clamp(1, PLAN);
        let issued = |item: u64| {
            Body::Certificate(CertificateIssued {
                plan,
                item,
                ca: "web".into(),
                subject_ca: None,
                request: Some(format!("request-{:010}", first + item)),
                profile: "web-server".into(),
                requester: Some(Digest::of(&(item % 1000).to_be_bytes())),
                der: Bytes::from(template.certificate(first + item)),
            })
        };
        let (operator, witness) = ("operator".into(), "witness".into());
        let kind = Kind::Certificates;
        let mut bodies = vec![
            Body::Planned { plan, kind, items, refused: 0, bundle: None, counts: vec![] },
            Body::Start(Start { plan, approvals: vec![], operator, witness, witness_time: None }),
        ];
        bodies.extend((0..items).map(issued));
        bodies.push(Body::End(End { plan, release, done: items, refused: 0, manifest: artefact }));
        let (begun, before) = (Instant::now(), on_cpu());
        for body in bodies {
            add(&mut log, body);
            if log.size().is_multiple_of(GROUP) {
                log.checkpoint(&mut signer).expect("a checkpoint");
            }
        }
        if log.size() >= entries {
            log.checkpoint(&mut signer).expect("a checkpoint");
        }
        (seconds, of_cpu) = (seconds + begun.elapsed().as_secs_f64(), of_cpu + on_cpu() - before);
    }
    (seconds, of_cpu)
}

fn add(log: &mut Log, body: Body) {
    log.append(&Entry::new(BEGIN, body)).expect("an entry");
}

/// SHA-256 over every file of the tree, on all processors; gives the octets.
fn digest(audit: &Path) -> u64 {
    let mut files = Vec::new();
    walk(&audit.join("tile"), &mut files);
    let (next, workers) = (AtomicUsize::new(0), std::thread::available_parallelism().map_or(1, usize::from));
    let one = || {
        let (mut octets, mut bytes) = (0, Vec::new());
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            bytes.clear();
            fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("a file");
            let mut hasher = Hasher::default();
            hasher.update(&bytes);
            std::hint::black_box(hasher.finish());
            octets += bytes.len() as u64;
        }
        octets
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
    })
}

/// Octets as the log has, a gibibyte of them at most, hashed, written twice and flushed at each group: the seconds that all of
/// them would take.
fn plain(path: &Path, audit: &Path, entries: u64) -> f64 {
    let mut files = Vec::new();
    walk(&audit.join("tile"), &mut files);
    let octets: u64 = files.iter().map(|path| path.metadata().expect("a file").len()).sum();
    let piece: Vec<u8> = (0..PIECE).map(|n| (n % 251) as u8).collect();
    let pieces = (octets / entries.div_ceil(GROUP)).div_ceil(PIECE);
    let groups = (octets.min(1 << 30) / (pieces * PIECE)).max(1);
    let begun = Instant::now();
    let mut file = fs::File::create(path).expect("a file");
    for _ in 0..groups {
        for _ in 0..pieces {
            std::hint::black_box(Digest::of(&piece));
            file.write_all(&piece).and_then(|()| file.write_all(&piece)).expect("room");
        }
        file.sync_data().expect("a disk");
    }
    let seconds = begun.elapsed().as_secs_f64();
    drop(file);
    fs::remove_file(path).expect("a file");
    seconds * octets as f64 / (groups * pieces * PIECE) as f64
}

fn copy(station: &Path, dir: &Path, entries: u64, figures: &mut Figures) {
    let _ = append(station, entries);
    let mut log = Log::open(station).expect("the log");
    let mut files = Vec::new();
    walk(station, &mut files);
    let octets: u64 = files.iter().map(|path| path.metadata().expect("a file").len()).sum();
    figures.insert("copy-mib".into(), octets as f64 / f64::from(1 << 20));
    let begun = Instant::now();
    for from in &files {
        let to = dir.join("files").join(from.strip_prefix(station).expect("below it"));
        fs::create_dir_all(to.parent().expect("a directory")).expect("room");
        fs::copy(from, &to).expect("a copy");
        fs::File::open(&to).and_then(|file| file.sync_all()).expect("a disk");
    }
    figures.insert("files-copied-seconds".into(), begun.elapsed().as_secs_f64());
    let to = dir.join("copy");
    fs::create_dir(&to).expect("a directory");
    let mut over = |log: &Log, name: &str| {
        let begun = Instant::now();
        let copied = bring_over(&to, log).expect("a copy");
        figures.insert(format!("{name}-seconds"), begun.elapsed().as_secs_f64());
        figures.insert(format!("{name}-files"), copied.files as f64);
    };
    over(&log, "copy");
    let mut signer = Signer::new();
    signer.sealed = (log.sealed_size(), log.root().expect("a root"));
    for _ in 0..NEW {
        add(&mut log, Body::Failure { what: "x".repeat(800) });
    }
    log.checkpoint(&mut signer).expect("a checkpoint");
    over(&log, "copy-of-what-is-new");
    assert!(check(&to, &signer.key).expect("a good copy").size >= entries + NEW);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for item in fs::read_dir(dir).expect("a directory") {
        let path = item.expect("an entry").path();
        match path.is_dir() {
            true => walk(&path, files),
            false => files.push(path),
        }
    }
}

fn lookups(audit: &Path, entries: u64, figures: &mut Figures) {
    let log = Log::open(audit).expect("the log");
    let ledger = Ledger::open(&log).expect("the ledger");
    assert!(ledger.indexed() >= entries);
    // Any certificate of the log: its number is its place.
    let draw = |round: u64| {
        let [a, b, c, d, e, f, g, h, ..] = Digest::of(&[&b"draw"[..], &round.to_be_bytes()].concat()).0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) % entries
    };
    let there: Vec<u64> =
        (0..2 * LOOKUPS).map(draw).filter(|n| ledger.serial_known(&log, &serial(*n)).expect("an answer")).collect();
    let there: Vec<u64> = there.into_iter().take(LOOKUPS as usize).collect();
    let key = |n: u64| Digest::of(&spki(n));
    let mut measure = |what: &str, ask: &dyn Fn(u64) -> bool| {
        for (kind, wanted) in [("present", true), ("absent", false)] {
            let mut times: Vec<Duration> = Vec::new();
            for n in &there {
                let n = if wanted { *n } else { n + (1 << 40) };
                let begun = Instant::now();
                assert_eq!(ask(n), wanted, "{what} {n}");
                times.push(begun.elapsed());
            }
            times.sort_unstable();
            for (name, at) in [("median", times.len() / 2), ("p99", times.len() * 99 / 100)] {
                figures.insert(format!("{what}-{kind}-{name}-us"), times[at].as_secs_f64() * 1e6);
            }
        }
    };
    measure("serial", &|n| ledger.issued(&log, &serial(n)).expect("an answer").is_some());
    measure("key", &|n| ledger.key_holder(&log, &key(n)).expect("an answer").is_some());
    measure("name", &|n| ledger.name_holder(&log, &name(n), BEGIN).expect("an answer").is_some());
    measure("request", &|n| !ledger.answers_to(&log, &format!("request-{n:010}")).expect("an answer").is_empty());
}

/// Processor time of this process, user and system, in seconds: on a machine that is busy with something else it says more
/// than the clock. Linux counts in hundredths here.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<f64> = behind.split_whitespace().skip(11).take(2).filter_map(|n| n.parse().ok()).collect();
    ticks.iter().sum::<f64>() / 100.0
}

/// Seconds that this thread has been on a processor, which the kernel counts in nanoseconds.
fn on_cpu() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).map_or(f64::NAN, |n| n / 1e9)
}

/// The most memory that this process has had, MiB.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok())
        .map_or(f64::NAN, |kib| kib / 1024.0)
}
