//! A parent that carries out, records and releases as it likes, on a demonstration's station: what is handed on is whole and
//! sealed, and a lie.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::approval;
use coldroot::audit::Log;
use coldroot::audit::entry::{Body, CertificateIssued, CrlIssued, End, Entry, Revoked, Start};
use coldroot::audit::mark::Mark;
use coldroot::cbor::{self, Bytes};
use coldroot::config::Hierarchy;
use coldroot::digest::Digest;
use coldroot::gate::{Gate, Outcome};
use coldroot::ledger::Ledger;
use coldroot::plan::{self, Certificate, Item, Plan, PlanWriter, Revoke};
use coldroot::release::{self, Basis, Head, MANIFEST_MAGIC, Manifest, Part, RELEASE_MAGIC, Release};
use coldroot::tbs;

use super::process::demo;
use super::station::{EXE, coldroot, gate_at};

/// A demonstration's station with a plan that certifies, refuses and revokes, approved and not started.
pub struct Approved {
    dir: tempfile::TempDir,
    pub station: PathBuf,
    pub plan: PathBuf,
    signatures: Vec<String>,
    /// The station and its token as they stand now.
    kept: tempfile::TempDir,
}

/// What a parent does with the release.
pub type Lie = fn(&mut Head, &mut Vec<Part>, earlier: &[Part]);

/// What a parent does with what was signed and approved.
pub struct Parent {
    /// Carries the items out, and puts this on record in place of what came of them.
    pub records: fn(&mut Vec<Body>),
    /// What the end entry says is done, if not what is on record.
    pub claims: Option<u64>,
    pub lie: Lie,
}

pub const HONEST: Parent = Parent { records: |_| (), claims: None, lie: |_, _, _| () };

impl Approved {
    pub fn new() -> Approved {
        Approved::of(|_| ())
    }

    /// The same after a change of the items, which the officers have approved.
    pub fn of(edit: fn(&mut Vec<Item>)) -> Approved {
        let (dir, station) = demo();
        let requests = dir.path().join("requests");
        fs::create_dir(&requests).unwrap();
        let mut table = String::from("request,profile,requester,names\n");
        for (n, request) in coldroot::requests::generate(3, 77).enumerate() {
            let request = request.unwrap();
            fs::write(requests.join(format!("q{n}.der")), &request.csr).unwrap();
            // The last asks for a name that the desk has not looked at.
            let names = if n == 2 { "other.example.org".into() } else { request.names.join(" ") };
            table.push_str(&format!("q{n},xmpp-server,hostmaster@example.net,{names}\n"));
        }
        fs::write(requests.join("requests.csv"), table).unwrap();
        let serial = first_serial(&station);
        let revocations = dir.path().join("revocations.csv");
        fs::write(&revocations, format!("serial,reason,requester\n{serial},superseded,hostmaster@example.net\n"))
            .unwrap();
        let (bundle, key) = (dir.path().join("second.bundle"), dir.path().join("desk/desk-1"));
        let rules = station.join("hierarchy.toml");
        let [requests, revocations, bundle, key, rules] =
            [&requests, &revocations, &bundle, &key, &rules].map(|p| p.to_str().unwrap());
        let pack = ["pack", "--desk", "desk-1", "--key", key, "--sequence", "2", "--out", bundle];
        let of = ["--hierarchy", rules, "--requests", requests, "--revocations", revocations];
        coldroot(&station, &[&pack[..], &of].concat());
        let planned = coldroot(&station, &["plan", "--bundle", bundle]);
        assert_eq!((planned["items"].as_u64(), planned["refused"].as_u64()), (Some(4), Some(1)), "{planned}");
        let plan = PathBuf::from(planned["plan"].as_str().unwrap());
        planned_otherwise(&station, &plan, edit);
        let opened = Plan::open(&plan).unwrap();
        let text = dir.path().join("statement");
        fs::write(&text, plan::statement(opened.head(), &opened.digest())).unwrap();
        let one = |person: &str| {
            // With the stock tool: `coldroot approve` would look at the plan first.
            let signature = text.with_extension("sig");
            let _ = fs::remove_file(&signature);
            let mut sign = Command::new("ssh-keygen");
            sign.args(["-q", "-Y", "sign", "-n", plan::NAMESPACE, "-f"]).arg(station.join("officers").join(person));
            assert!(sign.arg(&text).status().unwrap().success());
            fs::read_to_string(&signature).unwrap()
        };
        let signatures = ["alice", "bob"].map(one).to_vec();
        let kept = tempfile::tempdir().unwrap();
        copy(&station, kept.path());
        Approved { dir, station, plan, signatures, kept }
    }

    /// Starts the plan, carries it out, records and ends it as this parent does, and gives what `check` and `unpack` say of
    /// the release, each with its exit code.
    pub fn released(&self, parent: &Parent) -> [(Option<i32>, String); 2] {
        self.judged(&self.released_to(parent))
    }

    /// The same from the beginning, without the judgement.
    pub fn released_to(&self, parent: &Parent) -> PathBuf {
        fs::remove_dir_all(&self.station).unwrap();
        copy(self.kept.path(), &self.station);
        self.forge(parent)
    }

    pub fn judged(&self, release: &Path) -> [(Option<i32>, String); 2] {
        let key = fs::read_to_string(self.station.join("verifier-key")).unwrap();
        let to = self.dir.path().join("www");
        let _ = fs::remove_dir_all(&to);
        let (hierarchy, target) = (self.station.join("hierarchy.toml"), to.to_str().unwrap());
        let verbs: [(&str, &[&str]); 2] = [("check", &[]), ("unpack", &["--to", target])];
        let said = verbs.map(|(verb, more)| {
            let mut run = Command::new(EXE);
            run.args(["--plain", verb]).arg(release).args(["--verifier-key", key.trim(), "--hierarchy"]);
            let run = run.arg(&hierarchy).args(more).output().unwrap();
            (run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned())
        });
        assert_eq!(to.join("certs").exists(), said[1].0 == Some(0), "{said:?}");
        said
    }

    fn forge(&self, parent: &Parent) -> PathBuf {
        let (audit, out) = (self.station.join("audit"), self.station.join("out"));
        let hierarchy = Hierarchy::load(&self.station.join("hierarchy.toml")).unwrap();
        let mut gate = gate_at(&self.station);
        gate.login("main").unwrap();
        let mark = Mark::decode(&gate.mark().unwrap().unwrap()).unwrap();
        gate.grow_from(mark.size, mark.root);
        let mut log = Log::open(&audit).unwrap();
        let mut plan = Plan::open(&self.plan).unwrap();
        let statement = plan::statement(plan.head(), &plan.digest());
        let quorum = hierarchy.quorum(plan.head().kind);
        let at = plan.head().sign_from;
        let approved = approval::quorate(&statement, &self.signatures, &hierarchy, quorum, at).unwrap();
        self.signatures.iter().for_each(|s| assert!(log.put_artefact(s.as_bytes()).is_ok()));
        let (operator, witness) = ("carol".into(), "dave".into());
        let approvals = coldroot::change::recorded(approved.approvals());
        let start = Start { plan: plan.digest(), approvals, operator, witness, witness_time: None };
        let now = at;
        let index = log.append(&Entry::new(now, Body::Start(start.clone()))).unwrap();
        log.checkpoint(&mut gate).unwrap();
        let (entry, inclusion) = proof(&log, index);
        gate.open_plan(&self.plan, &self.signatures, entry, index, inclusion).unwrap();
        let mut bodies = carried_out(&mut gate, &mut plan, &mut log);
        let of = plan.digest();
        let refused = move |r: plan::Refusal| {
            let (request, check, reason) = (r.request, r.check, r.reason);
            Body::Refused { plan: of, request, check, reason }
        };
        (parent.records)(&mut bodies);
        if bodies.len() as u64 == plan.head().items {
            bodies.extend(plan.refusals().unwrap().into_iter().map(refused));
        }
        bodies.into_iter().for_each(|body| assert!(log.append(&Entry::new(now, body)).is_ok()));
        log.sync().unwrap();
        let ledger = fold(&log);
        let state = ledger.plans[&plan.digest()].clone();
        let number = ledger.release + 1;
        let start = (index, &start);
        let basis = Basis { log: &log, size: log.size(), ledger: &ledger, plan: &plan, start, release: number };
        let honest = release::prepare(&out, &basis).unwrap();
        let staging = out.join(format!("{}.part", release::directory_name(number)));
        let earlier = parts(&out.join(release::directory_name(ledger.release))).1;
        let (container, manifest) = forged(&staging, &earlier, parent.lie);
        let (done, refused) = (parent.claims.unwrap_or(state.done), state.answered);
        let vouched = Digest::of(&manifest);
        let end = Body::End(End { plan: plan.digest(), release: number, done, refused, manifest: vouched });
        let end = log.append(&Entry::new(now, end)).unwrap();
        let note = log.checkpoint(&mut gate).unwrap();
        let (entry, inclusion) = proof(&log, end);
        gate.end_plan(entry, end, inclusion).unwrap();
        let ledger = fold(&log);
        let basis = Basis { log: &log, size: log.size(), ledger: &ledger, plan: &plan, start, release: number };
        let target = release::make(&out, &basis, &honest, &note).unwrap().settle().unwrap();
        fs::write(target.join("release.cbor"), container).unwrap();
        fs::write(target.join("manifest.cbor"), manifest).unwrap();
        gate.close().unwrap();
        target
    }
}

/// Puts a plan of other items in the place of this one, in `out/` and on record.
fn planned_otherwise(station: &Path, path: &Path, edit: fn(&mut Vec<Item>)) {
    let mut plan = Plan::open(path).unwrap();
    let items: Vec<Item> = (0..plan.head().items).map(|n| plan.item(n).unwrap()).collect();
    let mut edited = items.clone();
    edit(&mut edited);
    if edited == items {
        return;
    }
    let mut writer = PlanWriter::new(plan.head().kind, station).unwrap();
    edited.iter().for_each(|item| writer.item(item).unwrap());
    plan.refusals().unwrap().iter().for_each(|refusal| writer.refusal(refusal).unwrap());
    let head = writer.finish(plan.head().clone(), &mut fs::File::create(path).unwrap()).unwrap();
    let mut log = Log::open(&station.join("audit")).unwrap();
    let digest = log.put_artefact(&fs::read(path).unwrap()).unwrap();
    let plan::Head { kind, items, refused, bundle, counts, .. } = head;
    let planned = Body::Planned { plan: digest, kind, items, refused, bundle, counts };
    log.append(&Entry::new(plan.head().sign_from, planned)).unwrap();
    log.sync().unwrap();
}

/// The containers of a release after the lie.
pub fn forged(staging: &Path, earlier: &[Part], lie: Lie) -> (Vec<u8>, Vec<u8>) {
    let (mut head, mut parts) = parts(staging);
    lie(&mut head, &mut parts, earlier);
    let mut container = cbor::magic(RELEASE_MAGIC);
    cbor::write_frame(&mut container, &cbor::to_vec(&head).unwrap()).unwrap();
    for part in &parts {
        cbor::write_frame(&mut container, &cbor::to_vec(part).unwrap()).unwrap();
    }
    let (size, digest) = (container.len() as u64, Digest::of(&container));
    let mut manifest = cbor::magic(MANIFEST_MAGIC);
    let says = Manifest { origin: head.origin, release: head.release, size, digest };
    cbor::write_frame(&mut manifest, &cbor::to_vec(&says).unwrap()).unwrap();
    (container, manifest)
}

fn parts(directory: &Path) -> (Head, Vec<Part>) {
    let release = Release::open(directory).unwrap();
    let mut parts = Vec::new();
    release
        .parts(|part| {
            parts.push(part);
            Ok(())
        })
        .unwrap();
    (release.head, parts)
}

fn first_serial(station: &Path) -> String {
    let leaf = parts(&station.join("out/release-0003")).1.into_iter().find_map(|part| match part {
        Part::Certificate { der, .. } => Some(der),
        _ => None,
    });
    coldroot::text::hex(&coldroot::x509::read_certificate(&leaf.unwrap()).unwrap().serial)
}

fn proof(log: &Log, index: u64) -> (Vec<u8>, Vec<Digest>) {
    let (_, _, bytes) = log.entries(index..index + 1).next().unwrap().unwrap();
    (bytes, log.inclusion_proof(index, log.size()).unwrap())
}

fn fold(log: &Log) -> Ledger {
    let mut ledger = Ledger::default();
    for entry in log.entries(0..log.size()) {
        let (index, entry, _) = entry.unwrap();
        ledger.add(log, index, &entry).unwrap();
    }
    ledger
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", "--"]).arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Every item signed by the gate, as an honest parent would record it.
fn carried_out(gate: &mut Gate, plan: &mut Plan, log: &mut Log) -> Vec<Body> {
    let of = plan.digest();
    let items: Vec<u64> = (0..plan.head().items).collect();
    let outcomes = gate.carry_out(items.clone()).unwrap();
    let one = |(n, outcome): (u64, Outcome)| match (plan.item(n).unwrap(), outcome) {
        (Item::Certificate(c), Outcome::Signature(s)) => {
            let der = Bytes::from(tbs::assemble(&c.tbs, c.fields.signature, &s));
            let Certificate { ca, subject_ca, request, profile, requester, .. } = *c;
            let issued = CertificateIssued { plan: of, item: n, ca, subject_ca, request, profile, requester, der };
            Body::Certificate(issued)
        }
        (Item::Revoke(r), Outcome::Noted) => {
            let Revoke { ca, serial, reason, date } = r;
            Body::Revoked(Revoked { plan: of, item: n, ca, serial, reason, date })
        }
        (Item::Crl(c), Outcome::Signature(s)) => {
            let crl = log.put_artefact(&tbs::assemble(&c.tbs, c.fields.signature, &s)).unwrap();
            let (number, this_update, next_update) = (c.fields.number, c.fields.this_update, c.fields.next_update);
            Body::Crl(CrlIssued { plan: of, item: n, ca: c.ca, number, this_update, next_update, crl })
        }
        (item, outcome) => panic!("{item:?}: {outcome:?}"),
    };
    items.into_iter().zip(outcomes).map(one).collect()
}
