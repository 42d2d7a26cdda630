//! What the search for weak RSA keys costs: `cargo bench --bench keys [-- --keys 20000] [--file FILE] [--json]`.
//!
//! Each part in a process of its own, whose peak memory is taken (VmHWM):
//!
//! | | |
//! | --- | --- |
//! | pairs | a gcd of 20,000 pairs of moduli: what the search is compared with, which takes the place of one for every pair |
//! | batch | 10,000 requests against each other, two of which share a prime |
//! | record | 100 requests against 100,000 keys on record, one of which shares a prime with one of them |
//! | good | so many RSA keys (200, `--keys`), made here and kept in FILE if one is named: none shows a weakness, no two share a prime |
//!
//! The moduli of `pairs`, `batch` and `record` are powers of primes of 64 bits: as long as RSA-2048's, without common factors, and made in no
//! time. The exit code is 4 where a limit is missed, or something is found that is not there, or not found that is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use coldroot::weak_keys::Search;
use coldroot::x509::PublicKey;
use dashu_int::UBig;
use dashu_int::fast_div::ConstDivisor;
use dashu_int::ops::Gcd;

type Figures = BTreeMap<String, f64>;

const BATCH: u64 = 10_000;
const FEW: u64 = 100;
const RECORD: u64 = 100_000;
const PAIRS: u64 = 20_000;
/// Octets of the SubjectPublicKeyInfo of RSA-2048 with the exponent 65537.
const SPKI: usize = 294;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned();
    let keys: usize = value("--keys").map_or(200, |n| n.replace('_', "").parse().expect("--keys N"));
    let file = value("--file").map(PathBuf::from);
    if let Some(part) = value("--part") {
        let begin = Instant::now();
        let mut figures = match part.as_str() {
            "pairs" => pairs(),
            "batch" => search(BATCH, 0),
            "record" => search(FEW, RECORD),
            _ => good(keys, file),
        };
        figures.insert(format!("{part}-seconds-in-all"), begin.elapsed().as_secs_f64());
        figures.insert(format!("{part}-peak-mib"), peak());
        println!("{}", serde_json::to_string(&figures).expect("figures are numbers"));
        return ExitCode::SUCCESS;
    }
    let mut figures = Figures::new();
    for part in ["pairs", "batch", "record", "good"] {
        eprintln!("{part} …");
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--part", part])
            .args(&args)
            .output()
            .expect("a part");
        if !child.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&child.stderr));
            return ExitCode::FAILURE;
        }
        figures.extend(serde_json::from_slice::<Figures>(&child.stdout).expect("figures"));
    }
    let all_pairs = |n: u64, m: u64| (n * (n - 1) / 2 + n * m) as f64 * figures["pairs-seconds"] / PAIRS as f64;
    let (batch, record) = (all_pairs(BATCH, 0), all_pairs(FEW, RECORD));
    figures.insert("batch-times-faster".into(), batch / figures["batch-seconds"]);
    figures.insert("record-times-faster".into(), record / figures["record-seconds"]);
    let limits = [
        ("batch-found", 2.0, 2.0),
        ("record-found", 2.0, 2.0),
        ("good-weak", 0.0, 0.0),
        ("good-shared", 0.0, 0.0),
        ("batch-times-faster", 5.0, f64::INFINITY),
        ("record-times-faster", 2.0, f64::INFINITY),
        ("batch-peak-mib", 0.0, 256.0),
        ("record-peak-mib", 0.0, 256.0),
    ];
    let missed: Vec<_> =
        limits.iter().filter(|(name, least, most)| !(*least..=*most).contains(&figures[*name])).collect();
    match args.iter().any(|arg| arg == "--json") {
        true => println!("{}", serde_json::to_string_pretty(&figures).expect("figures are numbers")),
        false => figures.iter().for_each(|(name, figure)| println!("{name:<28} {figure:>14.3}")),
    }
    for (name, least, most) in &missed {
        eprintln!("MISSED: {name} is {}, not {least} to {most}", figures[*name]);
    }
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(4) }
}

/// Numbers that are primes to the base 2, of 64 bits; the next call goes on behind them.
fn primes() -> impl Iterator<Item = UBig> {
    let candidates = (1u64 << 63 | 1..).step_by(2);
    candidates.map(UBig::from).filter(|n| {
        let ring = ConstDivisor::new(n.clone());
        ring.reduce(2u8).pow(&(n - UBig::ONE)).residue() == UBig::ONE
    })
}

fn pairs() -> Figures {
    let moduli: Vec<UBig> = primes().take(200).map(|p| p.pow(32)).collect();
    let begin = Instant::now();
    let mut common = 0;
    for n in 0..PAIRS as usize {
        common += usize::from((&moduli[n % 200]).gcd(&moduli[(n / 200 + n + 1) % 200]) != UBig::ONE);
    }
    let seconds = begin.elapsed().as_secs_f64();
    assert!(common <= PAIRS as usize / 100, "{common}");
    Figures::from([("pairs-seconds".into(), seconds)])
}

/// Two share a prime: the first and the last of all.
fn search(asked: u64, recorded: u64) -> Figures {
    let begin = Instant::now();
    let mut primes = primes();
    let mut next = || primes.next().expect("there are more");
    let (shared, first, last) = (next(), next(), next());
    let dir = tempfile::tempdir().expect("a directory");
    let mut search = Search::new(dir.path()).expect("a search");
    let mut one = Some(shared.pow(16) * first.pow(16));
    let mut other = Some(shared.pow(16) * last.pow(16));
    let mut modulus = |n: u64, all: u64, other: &mut Option<UBig>| {
        let special = if n == 0 {
            one.take()
        } else if n + 1 == all {
            other.take()
        } else {
            None
        };
        special.unwrap_or_else(|| next().pow(32)).to_be_bytes()
    };
    let last = if recorded == 0 { &mut other } else { &mut None };
    for n in 0..asked {
        search.ask(&modulus(n, asked, last)).expect("room");
    }
    for n in 0..recorded {
        search.record(&modulus(n + 1, recorded + 1, &mut other), n).expect("room");
    }
    eprintln!("moduli made in {:.1} s", begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    let found = search.run(|_, _| ()).expect("room");
    let part = if recorded == 0 { "batch" } else { "record" };
    Figures::from([
        (format!("{part}-seconds"), begin.elapsed().as_secs_f64()),
        (format!("{part}-found"), (found.asked.len() + found.recorded.len()) as f64),
    ])
}

fn good(keys: usize, file: Option<PathBuf>) -> Figures {
    let mut made = file.as_ref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
    while made.len() < keys * SPKI {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("its encoding");
        made.extend_from_slice(spki.as_ref());
    }
    if let Some(file) = file {
        std::fs::write(file, &made).expect("the file");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mut search = Search::new(dir.path()).expect("a search");
    let (begin, mut weak) = (Instant::now(), 0);
    for spki in made.chunks(SPKI).take(keys) {
        let key = PublicKey::from_spki(spki).expect("a key");
        weak += usize::from(key.weakness().inspect(|what| eprintln!("{what}")).is_some());
        search.ask(key.modulus().expect("an RSA key")).expect("room");
    }
    let each = begin.elapsed().as_secs_f64() / keys as f64;
    let shared = search.run(|_, _| ()).expect("room").asked.len();
    Figures::from([
        ("good-keys".into(), keys as f64),
        ("good-weak".into(), weak as f64),
        ("good-shared".into(), shared as f64),
        ("good-milliseconds-each".into(), each * 1e3),
    ])
}

/// VmHWM of this process.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
