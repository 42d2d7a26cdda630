//! What the process boundary costs: `cargo bench --bench boundary [REQUESTS]`.
//!
//! The same batch three times, each in processes of its own, and what they used of the processors, user and system:
//!
//! | | |
//! | --- | --- |
//! | `batch` | `coldroot sign`: parent, gate and worker; verified, recorded, released |
//! | `through` | a parent that only asks: gate and worker start, judge the plan, sign all items, end |
//! | `direct` | one process that reads the plan and asks the same of `token` itself; the binary has no such path |
//!
//! What `through` uses more than `direct` is the boundary with all that stands there: two processes, frames, the gate's judgement.
//! It must stay under 3 % of `batch`. Runs are interleaved, medians compared, and the exit code is 1 over the limit.

#[path = "../softhsm-tests/harness/mod.rs"]
mod harness;
mod processor;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use coldroot::algorithm::SignatureAlgorithm;
use coldroot::approval;
use coldroot::audit::entry::{Body, Entry, Start};
use coldroot::audit::mark::Mark;
use coldroot::audit::{Log, Sealer, note};
use coldroot::cbor::Bytes;
use coldroot::change::recorded;
use coldroot::config::Hierarchy;
use coldroot::digest::Digest;
use coldroot::gate::Gate;
use coldroot::plan::{self, Plan};
use coldroot::secret::Secret;
use coldroot::token::InProcess;
use coldroot::token::ask::{Answer, Ask, Signature, ToSign};
use harness::batch::Batch;
use harness::station::{COLDROOT, HIERARCHY, PIN};

const REQUESTS: u64 = 4000;
const ROUNDS: usize = 5;
/// Items in one question, as `issue` asks for them.
const CHUNK: u64 = 256;
/// Of a batch's CPU time.
const LIMIT_PERCENT: f64 = 3.0;
/// Of the intermediate's key. RSA-2048 is not among them: no hierarchy takes it for a CA.
const ALGORITHMS: [&str; 3] = ["ecdsa-p256", "ecdsa-p384", "rsa-3072"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["direct", plan] => direct(Path::new(plan)),
        ["through", plan, items, approvals @ ..] => {
            let approvals: Vec<PathBuf> = approvals.iter().map(PathBuf::from).collect();
            through(Path::new(plan), items.parse().unwrap(), &approvals);
        }
        // `cargo test --all-targets` builds benches and runs them with this.
        ["--test"] => {}
        [] => return compare(REQUESTS),
        [requests] => return compare(requests.parse().expect("a number of requests")),
        other => panic!("what is {other:?}?"),
    }
    ExitCode::SUCCESS
}

fn compare(requests: u64) -> ExitCode {
    println!("{requests} certificates, medians of {ROUNDS} rounds, CPU time in ms");
    println!(
        "{:<12} {:>9} {:>9} {:>9} {:>11} {:>14}",
        "algorithm", "batch", "through", "direct", "of signing", "of the batch"
    );
    let mut over = false;
    for algorithm in ALGORITHMS {
        let before = "label = \"xmpp-1\"\nalgorithm = \"ecdsa-p256\"";
        let hierarchy = HIERARCHY.replace(before, &format!("label = \"xmpp-1\"\nalgorithm = \"{algorithm}\""));
        let base = Batch::of(hierarchy, requests);
        let mut times: [Vec<Duration>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (role, times) in ["batch", "through", "direct"].into_iter().zip(&mut times) {
                times.push(used_by(&base.copy(), role, requests));
            }
        }
        let [batch, through, direct] = times.map(median);
        let boundary = through - direct;
        let (of_signing, of_batch) = (100.0 * boundary / through, 100.0 * boundary / batch);
        println!("{algorithm:<12} {batch:>9.1} {through:>9.1} {direct:>9.1} {of_signing:>9.1} % {of_batch:>12.2} %");
        over |= of_batch >= LIMIT_PERCENT;
    }
    if over {
        eprintln!("the boundary costs {LIMIT_PERCENT} % of a batch or more");
    }
    ExitCode::from(u8::from(over))
}

/// Milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    1000.0 * times[times.len() / 2].as_secs_f64()
}

/// What the processes of one run used, those that it started included.
fn used_by(batch: &Batch, role: &str, requests: u64) -> Duration {
    let plan = batch.plan.to_str().unwrap();
    let approvals = batch.approvals.iter().map(|path| path.to_str().unwrap());
    let exe = std::env::current_exe().unwrap();
    let mut command = match role {
        "batch" => batch.station.command(&batch.args()),
        _ => Command::new(exe),
    };
    let start = start_entry(&batch.station.dir(), &batch.plan, &batch.approvals);
    std::fs::write(batch.station.path("start"), start.encode().unwrap()).unwrap();
    // The certificates and the first CRL.
    let items = (requests + 1).to_string();
    match role {
        "through" => drop(command.args(["through", plan, &items]).args(approvals)),
        "direct" => drop(command.args(["direct", plan])),
        _ => {}
    }
    // The direct one needs what the hierarchy gives to its worker.
    command.current_dir(batch.station.dir()).env("SOFTHSM2_CONF", "softhsm2.conf").stdout(Stdio::null());
    let before = processor::children();
    assert!(command.status().unwrap().success(), "{role}");
    processor::children() - before
}

fn chunks(items: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..items).step_by(CHUNK as usize).map(move |first| first..items.min(first + CHUNK))
}

/// The start entry, made before anything is measured: a real parent has read the plan for other reasons.
fn start_entry(station: &Path, plan: &Path, approvals: &[PathBuf]) -> Entry {
    let hierarchy = Hierarchy::load(&station.join("hierarchy.toml")).unwrap();
    let approvals = read_all(station, approvals);
    let opened = Plan::open(&station.join(plan)).unwrap();
    let (head, digest) = (opened.head(), opened.digest());
    let statement = plan::statement(head, &digest);
    let quorate =
        approval::quorate(&statement, &approvals, &hierarchy, hierarchy.quorum(head.kind), head.sign_from).unwrap();
    let (operator, witness) = ("carol".into(), "dave".into());
    let start = Start { plan: digest, approvals: recorded(quorate.approvals()), operator, witness, witness_time: None };
    Entry::new(head.sign_from, Body::Start(start))
}

fn read_all(station: &Path, approvals: &[PathBuf]) -> Vec<String> {
    approvals.iter().map(|path| std::fs::read_to_string(station.join(path)).unwrap()).collect()
}

/// The log with its start entry, sealed: the parent's part, whoever signs. The entry's octets, number and proof.
fn started<S: Sealer>(sealer: &mut S) -> (Vec<u8>, u64, Vec<Digest>) {
    let entry = Entry::decode(&std::fs::read("start").unwrap()).unwrap();
    let mut log = Log::open(Path::new("audit")).unwrap();
    let index = log.append(&entry).unwrap();
    assert!(log.checkpoint(sealer).is_ok());
    let (_, _, entry) = log.entries(index..index + 1).next().unwrap().unwrap();
    (entry, index, log.inclusion_proof(index, log.size()).unwrap())
}

/// What the gate wants before it signs, and nothing of what a real parent does with the signatures.
fn through(plan: &Path, items: u64, approvals: &[PathBuf]) {
    let station = Path::new(".");
    let mut gate = Gate::start_exe(Path::new(COLDROOT), station, None, BTreeMap::new()).unwrap();
    gate.login("main").unwrap();
    let mark = Mark::decode(&gate.mark().unwrap().unwrap()).unwrap();
    gate.grow_from(mark.size, mark.root);
    let (entry, index, inclusion) = started(&mut gate);
    gate.open_plan(plan, &read_all(station, approvals), entry, index, inclusion).unwrap();
    for items in chunks(items) {
        let wanted = items.clone().count();
        assert_eq!(gate.carry_out(items.collect()).unwrap().len(), wanted);
    }
    gate.close().unwrap();
}

/// The token in this process, and what the gate asks of it: the mark is read before each thing that is done, and written with each
/// checkpoint and at the start.
struct Direct {
    worker: InProcess,
    audit: u64,
    sealed: (u64, Digest),
}

impl Direct {
    fn mark(&mut self) -> Bytes {
        match self.worker.ask(Ask::ReadData { label: "coldroot mark".into() }, &[]).unwrap() {
            Answer::Data(Some(value)) => value,
            other => panic!("{other:?}"),
        }
    }

    fn write_mark(&mut self, mark: &Mark) {
        let value = Bytes::from(mark.encode().unwrap());
        let write = Ask::WriteData { label: "coldroot mark".into(), value };
        assert!(matches!(self.worker.ask(write, &[]).unwrap(), Answer::Written));
    }

    fn sign(&mut self, handle: u64, algorithm: SignatureAlgorithm, messages: Vec<ToSign>) -> Vec<Signature> {
        let wanted = messages.len();
        match self.worker.ask(Ask::Sign { handle, algorithm, messages }, &[]).unwrap() {
            Answer::Signatures(signatures) if signatures.len() == wanted => signatures,
            other => panic!("{other:?}"),
        }
    }
}

impl Sealer for Direct {
    type Error = std::convert::Infallible;

    fn sealed(&self) -> (u64, Digest) {
        self.sealed
    }

    fn sign_checkpoint(&mut self, size: u64, root: Digest, _: &[Digest]) -> Result<String, Self::Error> {
        let mark = Mark::decode(&self.mark()).unwrap();
        self.write_mark(&Mark { size, root, ..mark.clone() });
        let text = note::checkpoint_text(&mark.origin, size, &root);
        let message = vec![ToSign { item: 0, message: Bytes::from(text.clone().into_bytes()) }];
        let signature = &self.sign(self.audit, SignatureAlgorithm::Ed25519, message)[0];
        let key = std::fs::read_to_string("verifier-key").unwrap();
        Ok(note::assemble(&text, &note::VerifierKey::parse(key.trim()).unwrap(), &signature.value))
    }
}

/// The same items, signed in this process.
fn direct(plan: &Path) {
    let hierarchy = Hierarchy::load(Path::new("hierarchy.toml")).unwrap();
    let token = hierarchy.token("main").unwrap();
    let mut direct = Direct { worker: InProcess::default(), audit: 0, sealed: (0, Digest::default()) };
    let open = Ask::Open {
        module: token.module.clone(),
        init_args: token.init_args.clone(),
        label: token.label.clone(),
        serial: token.serial.clone().unwrap(),
        slot: token.slot,
        sessions: token.sessions,
        keep_pin: false,
    };
    assert!(matches!(direct.worker.ask(open, &[]).unwrap(), Answer::Opened(_)));
    assert!(matches!(direct.worker.ask(Ask::Login, &[&Secret::new(PIN.into())]).unwrap(), Answer::LoggedIn));
    let mark = Mark::decode(&direct.mark()).unwrap();
    direct.sealed = (mark.size, mark.root);
    let label = hierarchy.audit_key_label.clone();
    let Answer::Keys(audit) = direct.worker.ask(Ask::FindKeysByLabel { label }, &[]).unwrap() else { panic!("no key") };
    direct.audit = audit[0].handle;
    started(&mut direct);
    let mark = Mark::decode(&direct.mark()).unwrap();
    direct.write_mark(&mark);
    let mut plan = Plan::open(plan).unwrap();
    let mut found = None;
    for items in chunks(plan.head().items) {
        direct.mark();
        let (mut messages, mut signer) = (Vec::new(), None);
        for item in items {
            let planned = plan.item(item).unwrap();
            let (key, tbs, algorithm) = planned.to_sign().unwrap();
            let hash = match algorithm {
                SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::RsaSha256 => &SHA256,
                SignatureAlgorithm::EcdsaSha384 | SignatureAlgorithm::RsaSha384 => &SHA384,
                other => panic!("{}", other.name()),
            };
            messages.push(ToSign { item, message: Bytes::from(digest(hash, tbs).as_ref().to_vec()) });
            signer = Some((key.clone(), algorithm));
        }
        let (key, algorithm) = signer.unwrap();
        let handle = *found.get_or_insert_with(|| {
            let find = Ask::FindKey { label: key.label, cka_id: key.cka_id, always_authenticate: false };
            let Answer::Keys(keys) = direct.worker.ask(find, &[]).unwrap() else { panic!("no key") };
            keys[0].handle
        });
        direct.sign(handle, algorithm, messages);
    }
    assert!(matches!(direct.worker.ask(Ask::Close, &[]).unwrap(), Answer::Closed));
}
