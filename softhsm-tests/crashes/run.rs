//! The run that is recorded, and what a person does after a power cut in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use coldroot::audit::entry::Body;
use coldroot::digest::Digest;
use coldroot::plan::{Item, Plan};
use coldroot::x509;
use serde::{Deserialize, Serialize};

use super::disk::{Area, Disk, State};
use super::record::Recorder;
use crate::harness::station::{Run, Station, generated};
use crate::harness::{copy_tree, files, verify_py};

/// Requests that are to be accepted, and those that are not.
pub const ACCEPTED: u64 = 40;
const REFUSED: u64 = 2;
/// The ceremony of the harness, and the root's first CRL: with the CRL of the batch the run makes two.
const CEREMONY: &str = "\n[[act]]\nkind = \"crl\"\nca = \"root\"\n";
const MEDIUM: &str = "../stick";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Init,
    PlanCeremony,
    SignCeremony,
    PlanBatch,
    SignBatch,
}

/// Init, keys, certificates, a batch onto a medium.
pub const COMMANDS: [Command; 7] = [
    Command::Init,
    Command::PlanCeremony,
    Command::SignCeremony,
    Command::PlanCeremony,
    Command::SignCeremony,
    Command::PlanBatch,
    Command::SignBatch,
];

/// A whole run.
#[derive(Serialize, Deserialize)]
pub struct Recording {
    pub disk: Disk,
    /// The plan that each command signed.
    plans: BTreeMap<usize, PathBuf>,
    /// What lies beside the station: officers' copies of plans and their approvals.
    #[serde(skip, default = "temporary")]
    pub carried: tempfile::TempDir,
    /// Objects on the token when the run was not cut.
    objects: usize,
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// What the person at the station had to do after the cut, besides giving the same command again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    /// The same command did the rest.
    Again,
    /// The same command said that nothing was left to do.
    Done,
    /// The plan was lost before it was started: planned and approved anew.
    PlannedAnew,
    /// The release on the medium was not whole, and was written again by `release N`.
    MediumAnew,
}

/// Approvals are given on the officers' own machines, and carried back.
fn approved(station: &Station, plan: &Path) -> Vec<PathBuf> {
    let carried = Path::new("../carried").join(plan.file_name().unwrap());
    fs::copy(station.dir().join(plan), station.dir().join(&carried)).unwrap();
    station.approve(&carried)
}

fn approvals(plan: &Path) -> Vec<PathBuf> {
    let name = plan.file_name().unwrap_or_default().to_str().unwrap();
    ["alice", "bob"].map(|person| Path::new("../carried").join(format!("{name}.{person}.sig"))).to_vec()
}

fn plan_args(command: Command) -> Vec<&'static str> {
    match command {
        Command::PlanCeremony => vec!["plan", "--ceremony", "ceremony.toml"],
        _ => vec!["plan", "--bundle", "../desk/requests-1.bundle", "--media", MEDIUM],
    }
}

fn sign_args<'a>(station: &Station, command: Command, plan: &'a Path, approvals: &'a [PathBuf]) -> Vec<&'a str> {
    let mut args = station.sign_args(plan, approvals);
    if command == Command::SignBatch {
        args.extend(["--media", MEDIUM]);
    }
    args
}

fn plan_of(run: &Run) -> PathBuf {
    PathBuf::from(run.json()["plan"].as_str().unwrap())
}

impl Recording {
    pub fn new() -> Recording {
        let station = Station::bare();
        for beside in ["stick", "carried"] {
            fs::create_dir(station.root().join(beside)).unwrap();
        }
        fs::write(station.path("ceremony.toml"), format!("{}{CEREMONY}", crate::harness::station::CEREMONY)).unwrap();
        let mut rows = generated(ACCEPTED + REFUSED, 1);
        for row in rows.iter_mut().step_by(20).take(REFUSED as usize) {
            // The last octet belongs to the signature.
            *row.csr.last_mut().unwrap() ^= 1;
        }
        station.pack(&station.requests("requests", &rows), 1);
        let area = |path: &str| match path {
            "stick" => Area::Fat,
            path if path == "station/token" || path.starts_with("station/token/") => Area::Token,
            _ => Area::Station,
        };
        let mut disk = Disk::of(station.root(), area);
        let (mut recorder, mut plans, mut plan) = (Recorder::new(&station), BTreeMap::new(), PathBuf::new());
        for (n, command) in COMMANDS.into_iter().enumerate() {
            let mut record =
                |args: &[&str]| Run { code: 0, out: recorder.record(&mut disk, n, args), err: String::new() };
            match command {
                Command::Init => drop(record(&station.init_args())),
                Command::PlanCeremony | Command::PlanBatch => plan = plan_of(&record(&plan_args(command))),
                Command::SignCeremony | Command::SignBatch => {
                    let approvals = approved(&station, &plan);
                    record(&sign_args(&station, command, &plan, &approvals));
                    plans.insert(n, plan.clone());
                }
            }
        }
        let carried = temporary();
        copy_tree(&station.root().join("carried"), carried.path());
        let recording = Recording { disk, plans, carried, objects: objects(&station) };
        assert_ended(&station, recording.objects, true);
        recording
    }

    /// The station as it may stand after a power cut.
    pub fn station(&self, state: &State) -> Station {
        let memory = Path::new("/dev/shm");
        let mut root = tempfile::Builder::new();
        root.prefix("coldroot-cut-");
        let root = if memory.is_dir() { root.tempdir_in(memory) } else { root.tempdir() }.unwrap();
        self.disk.write(state, root.path());
        let carried = root.path().join("carried");
        fs::remove_dir_all(&carried).unwrap();
        copy_tree(self.carried.path(), &carried);
        Station::found(root).apart()
    }

    /// What a person does: the same command again, then the rest of the run. At its end everything is there, once.
    pub fn resume(&self, station: &Station, command: usize, thorough: bool) -> Came {
        let mut came = Came::Again;
        let mut plan = self.plans.get(&command).cloned().unwrap_or_default();
        let mut given = approvals(&plan);
        for (n, what) in COMMANDS.into_iter().enumerate().skip(command) {
            match what {
                Command::Init => {
                    let run = station.init();
                    assert!(run.code == 0 || run.out.contains("is initialised"), "{run:?}");
                    if run.code != 0 {
                        came = Came::Done;
                    }
                }
                Command::PlanCeremony | Command::PlanBatch => {
                    plan = planned(station, what);
                    given = approved(station, &plan);
                }
                Command::SignCeremony | Command::SignBatch => {
                    let mut run = station.run(&sign_args(station, what, &plan, &given));
                    let begun = run.code == 0 || run.out.contains("carried out already");
                    if !begun && n == command && !started(station) {
                        assert!([1, 2].contains(&run.code), "{run:?}");
                        came = Came::PlannedAnew;
                        plan = planned(station, what);
                        given = approved(station, &plan);
                        run = station.run(&sign_args(station, what, &plan, &given));
                    }
                    if run.code != 0 {
                        assert!(run.out.contains("carried out already"), "{run:?}");
                        came = came.max(Came::Done);
                    }
                    if what == Command::SignBatch && !whole(station, "../stick/release-0003") {
                        came = Came::MediumAnew;
                        let _ = fs::remove_dir_all(station.root().join("stick/release-0003"));
                        station.run(&["release", "3", "--media", MEDIUM]).ok();
                    }
                }
            }
        }
        assert_ended(station, self.objects, thorough);
        came
    }
}

/// The ceremony's plans and the batch's are made by different commands.
fn planned(station: &Station, command: Command) -> PathBuf {
    let command = match command {
        Command::SignCeremony => Command::PlanCeremony,
        Command::SignBatch => Command::PlanBatch,
        command => command,
    };
    let run = station.run(&plan_args(command));
    assert_eq!(run.code, 0, "{run:?}");
    plan_of(&run)
}

/// A plan is open: nothing else may be planned.
fn started(station: &Station) -> bool {
    let (mut starts, mut ends) = (0, 0);
    for body in station.bodies() {
        match body {
            Body::Start(_) => starts += 1,
            Body::End(_) => ends += 1,
            _ => {}
        }
    }
    starts > ends
}

fn whole(station: &Station, release: &str) -> bool {
    let key = station.verifier_key();
    station.run(&["check", release, "--verifier-key", &key, "--hierarchy", "hierarchy.toml"]).code == 0
}

/// Objects on the token: files of SoftHSM.
fn objects(station: &Station) -> usize {
    files(&station.path("token")).iter().filter(|file| file.extension().is_some_and(|e| e == "object")).count()
}

/// Every request is answered once, with the bytes of its plan; every key was made once; the log and all releases are good.
#[track_caller]
fn assert_ended(station: &Station, objects: usize, thorough: bool) {
    let bodies = station.bodies();
    let of_batch = |body: &Body| match body {
        Body::Certificate(c) if c.request.is_some() => Some(c.plan),
        _ => None,
    };
    let digest = bodies.iter().find_map(of_batch).expect("the batch was signed");
    let hex = digest.to_string();
    let mut plan = Plan::open(&station.path(&format!("audit/artefact/{}/{hex}", &hex[..2]))).unwrap();
    let (mut answered, mut serials) = (BTreeSet::new(), BTreeSet::new());
    let (mut issued, mut refused, mut keys, mut crls, mut releases) = (0, 0, Vec::new(), Vec::new(), BTreeSet::new());
    let (mut starts, mut ends, mut genesis) = (Vec::new(), Vec::new(), 0);
    for body in &bodies {
        match body {
            Body::Genesis(_) => genesis += 1,
            Body::KeyGenerated(key) => keys.push(key.key.clone()),
            Body::Start(start) => starts.push(start.plan),
            Body::End(end) => ends.push(end.plan),
            Body::ReleaseWritten { release, .. } => drop(releases.insert(*release)),
            Body::Crl(crl) => crls.push(crl.ca.clone()),
            Body::Refused { request, .. } => {
                assert!(answered.insert(request.clone()), "{request} is answered twice");
                refused += 1;
            }
            Body::Certificate(c) => {
                let serial = x509::read_certificate(&c.der).unwrap().serial.to_vec();
                assert!(serials.insert(serial), "a serial twice");
                let Some(request) = &c.request else { continue };
                assert!(answered.insert(request.clone()), "{request} is answered twice");
                let Item::Certificate(item) = plan.item(issued).unwrap() else { panic!("item {issued}") };
                assert_eq!((c.plan, c.item, request), (digest, issued, item.request.as_ref().unwrap()));
                assert_eq!(x509::tbs_of(&c.der).unwrap(), item.tbs.as_slice(), "item {issued}");
                issued += 1;
            }
            _ => {}
        }
    }
    assert_eq!((genesis, issued, refused), (1, ACCEPTED, REFUSED));
    assert_eq!(keys, ["root-key", "xmpp-key"]);
    assert_eq!(crls, ["root", "xmpp-1"]);
    assert_eq!(releases, BTreeSet::from([1, 2, 3]));
    let once: BTreeSet<Digest> = starts.iter().copied().collect();
    assert!(starts.len() == 3 && once.len() == 3 && starts == ends, "{starts:?}, {ends:?}");
    assert_eq!(self::objects(station), objects, "objects on the token");
    let left = files(&station.path("out"));
    assert!(!left.iter().any(|path| path.to_str().unwrap().contains(".part")), "{left:?}");
    let key = station.verifier_key();
    station.run(&["check", "audit", "--verifier-key", &key]).ok();
    let release = ["check", "out/release-0003", "--verifier-key", &key, "--hierarchy", "hierarchy.toml"];
    assert_eq!(station.run(&release).ok()["certificates"], ACCEPTED);
    if thorough {
        assert!(whole(station, "../stick/release-0003"), "the medium");
        let run = verify_py(&station.path("audit"), &key, None);
        assert_eq!(run.code, 0, "{run:?}");
    }
}
