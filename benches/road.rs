//! The road of a batch, stage by stage: `cargo bench --bench road [REQUESTS]`.
//!
//! | | |
//! | --- | --- |
//! | read | in this process: the bundle opened, the desk's signature verified, every request parsed and its possession proven |
//! | plan | `coldroot plan`: the bundle copied in, read, every check, the TBS bytes of each certificate, the plan written |
//! | approve | in this process: plan read, statement made, two approvals verified and counted |
//! | sign | `coldroot sign`: signed in SoftHSM, verified, recorded, the release written and read back |
//! | open | in this process: the release opened, its manifest compared, every part read |
//! | check | `coldroot check` of the release: log, approvals, every certificate against chain, plan and log |
//! | unpack | `coldroot unpack`: checked once more, certificates, proofs, CRLs and report written |
//! | report | in this process: the page of a release with as many rows as it shows |
//! | jsonl, csv | `coldroot export` of the log |
//!
//! What counts is processor time, user and system, of this process or of those that a command started; medians of some rounds,
//! each on a copy of one station. It is held against a peer of the same rounds: one verification of ECDSA P-256 by aws-lc, which a
//! request's possession and a certificate's signature cost at least. The exit code is 4 where a stage costs more of them for a
//! request than its limit.

#[path = "../softhsm-tests/harness/mod.rs"]
mod harness;
mod processor;

use std::fs::{self, File};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use coldroot::config::{Environment, Hierarchy};
use coldroot::plan::{self, Plan};
use coldroot::release::Release;
use coldroot::report::{CertificateRow, LogPosition, MAX_ROWS, ReleaseReport, tally};
use coldroot::{approval, bundle, report, x509};
use harness::station::Station;

const REQUESTS: u64 = 1_000;
const ROUNDS: usize = 3;

/// Stages in their order, and the most verifications that each may cost for a request.
const STAGES: [(&str, f64); 10] = [
    ("read", 5.0),
    ("plan", 40.0),
    ("approve", 3.0),
    ("sign", 60.0),
    ("open", 1.0),
    ("check", 40.0),
    ("unpack", 120.0),
    ("report", 3.0),
    ("jsonl", 8.0),
    ("csv", 15.0),
];
/// Those of them that make a release out of a bundle, and check it.
const ROAD: [&str; 4] = ["plan", "sign", "check", "unpack"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // `cargo test --all-targets` builds benches and runs them with this.
        ["--test"] => ExitCode::SUCCESS,
        [] => compare(REQUESTS),
        [requests] => compare(requests.parse().expect("a number of requests")),
        other => panic!("what is {other:?}?"),
    }
}

fn compare(requests: u64) -> ExitCode {
    let base = Station::ready();
    let bundle = base.bundle(requests, 1);
    let mut taken: Vec<Vec<Duration>> = vec![Vec::new(); STAGES.len()];
    let (mut signing, mut verifying) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (times, time) in taken.iter_mut().zip(round(&base.copy(), &bundle)) {
            times.push(time);
        }
        let (sign, verify) = peers(requests);
        signing.push(sign);
        verifying.push(verify);
    }
    // Requests are few enough for a float to count them.
    let per_request = |times: Vec<Duration>| 1e6 * median(times) / requests as f64;
    let (signing, verifying) = (per_request(signing), per_request(verifying));
    let taken: Vec<f64> = taken.into_iter().map(per_request).collect();
    let named = || STAGES.iter().zip(&taken);
    let road: f64 = named().filter(|((name, _), _)| ROAD.contains(name)).map(|(_, time)| time).sum();
    println!("{requests} requests, medians of {ROUNDS} rounds, processor time; ECDSA P-256 by aws-lc:");
    println!("signing {signing:.1} µs, verifying {verifying:.1} µs\n");
    println!("{:<8} {:>14} {:>14} {:>7} {:>12}", "stage", "µs a request", "verifications", "limit", "of the road");
    let mut over = false;
    for ((name, limit), time) in named() {
        let share = if ROAD.contains(name) { format!("{:.0} %", 100.0 * time / road) } else { String::new() };
        let verifications = time / verifying;
        println!("{name:<8} {time:>14.1} {verifications:>14.1} {limit:>7} {share:>12}");
        over |= verifications > *limit;
    }
    if over {
        eprintln!("a stage costs more than its limit");
    }
    ExitCode::from(if over { 4 } else { 0 })
}

/// Seconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// The whole road once, in the order of [`STAGES`].
fn round(station: &Station, packed: &Path) -> [Duration; 10] {
    let hierarchy = Hierarchy::load(&station.path("hierarchy.toml")).unwrap();
    let key = station.verifier_key();
    let verb = |args: &[&str]| {
        let before = processor::children();
        assert!(station.command(args).stdout(Stdio::null()).status().unwrap().success(), "{args:?}");
        processor::children() - before
    };
    let read = measured(|| read_bundle(packed, &hierarchy));
    let plan = verb(&["plan", "--bundle", packed.to_str().unwrap()]);
    let plans =
        harness::files(&station.path("out")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "plan"));
    let path = &plans.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap();
    let approvals = station.approve(path);
    let approve =
        measured(|| approved(path, &approvals.iter().map(|a| station.dir().join(a)).collect::<Vec<_>>(), &hierarchy));
    let sign = verb(&station.sign_args(path, &approvals));
    let release = "out/release-0003";
    let open = measured(|| {
        let mut parts = 0;
        let opened = Release::open(&station.path(release)).unwrap();
        let count = |_| {
            parts += 1;
            Ok(())
        };
        opened.parts(count).unwrap();
        assert!(parts > 0);
    });
    let trusted = ["--verifier-key", &key, "--hierarchy", "hierarchy.toml"];
    let check = verb(&[&["check", release][..], &trusted].concat());
    let unpack = verb(&[&["unpack", release, "--to", "www"][..], &trusted].concat());
    let page = page();
    let report = measured(|| assert!(report::render(&page).unwrap().len() > MAX_ROWS));
    let jsonl = verb(&["export", "audit", "--format", "jsonl", "--to", "log.jsonl"]);
    let csv = verb(&["export", "audit", "--format", "csv", "--to", "log.csv"]);
    [read, plan, approve, sign, open, check, unpack, report, jsonl, csv]
}

fn read_bundle(packed: &Path, hierarchy: &Hierarchy) {
    let keys = hierarchy.desks.iter().flat_map(|desk| desk.keys.clone()).collect::<Vec<_>>();
    let unverified = bundle::open(File::open(packed).unwrap()).unwrap();
    let verify =
        |_: &bundle::Head, signed: &[u8], armor: &str| approval::verify(bundle::NAMESPACE, signed, armor, &keys);
    let (mut bundle, _) = unverified.verify(verify).unwrap();
    for item in bundle.items().unwrap() {
        if let bundle::Item::Request(request) = item.unwrap() {
            x509::Request::parse(&request.csr).unwrap().verify_possession().unwrap();
        }
    }
}

fn approved(path: &Path, approvals: &[std::path::PathBuf], hierarchy: &Hierarchy) {
    let plan = Plan::open(path).unwrap();
    let statement = plan::statement(plan.head(), &plan.digest());
    let armored: Vec<String> = approvals.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let quorum = hierarchy.quorum(plan.head().kind);
    approval::quorate(&statement, &armored, hierarchy, quorum, plan.head().sign_from).unwrap();
}

/// The time of as many signatures as requests, and of their verification.
fn peers(requests: u64) -> (Duration, Duration) {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let message = |n: u64| [&n.to_be_bytes()[..], &[7; 500]].concat();
    let mut signatures = Vec::new();
    let sign = measured(|| signatures.extend((0..requests).map(|n| key.sign(&random, &message(n)).unwrap())));
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref());
    let verify = measured(|| {
        for (n, signature) in (0..).zip(&signatures) {
            public.verify(&message(n), signature.as_ref()).unwrap();
        }
    });
    (sign, verify)
}

fn page() -> ReleaseReport {
    let row = |n: usize| CertificateRow {
        request: format!("request-{n}"),
        profile: "xmpp-server".into(),
        names: (0..3).map(|name| format!("dns chat{name}.example.org")).collect(),
        not_after: "2027-02-20T01:00:00Z".into(),
        serial: "01".repeat(17),
        sha256: "ab".repeat(32),
    };
    let certificates: Vec<CertificateRow> = (0..MAX_ROWS).map(row).collect();
    ReleaseReport {
        hierarchy: "Bench".into(),
        hierarchy_digest: String::new(),
        environment: Environment::Rehearsal,
        origin: "example.org/bench".into(),
        release: 3,
        plan_digest: String::new(),
        sign_from: "2026-11-22T01:00:00Z".into(),
        sign_until: "2026-11-29T01:00:00Z".into(),
        operator: "carol".into(),
        witness: "dave".into(),
        approvals: Vec::new(),
        cas: Vec::new(),
        crls: Vec::new(),
        csrs: Vec::new(),
        signed: tally(certificates.iter().map(|row| (row.profile.as_str(), "xmpp-1"))),
        refused: Vec::new(),
        certificates,
        refusals: Vec::new(),
        revoked: Vec::new(),
        revocations: 0,
        void: None,
        linters: Vec::new(),
        block_lists: Vec::new(),
        broken_keys: Vec::new(),
        tokens: Vec::new(),
        keys: Vec::new(),
        log: LogPosition { size: 1, root: String::new(), checkpoint: String::new(), verifier_key: String::new() },
    }
}

fn measured(work: impl FnOnce()) -> Duration {
    let before = processor::own();
    work();
    processor::own() - before
}
