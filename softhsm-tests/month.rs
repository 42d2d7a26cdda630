//! A simulated month: forty bundles from two desks, with renewals, revocations, refusals, a void, an overtaken plan, two crashes
//! and a lost release. At its end the published CRLs and OpenSSL must agree with a model that knows what was asked for.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::audit::entry::Body;
use coldroot::bundle::{Item, NAMESPACE, Request, Revocation};
use coldroot::cbor::Bytes;
use coldroot::text::{Untrusted, hex, utc};
use coldroot::x509;
use harness::batch::killed_at;
use harness::forged::Forged;
use harness::station::{HIERARCHY, Run, Station};

const BUNDLES: u64 = 40;
const STEP: i64 = 18 * 3600;
const DAY: i64 = 86_400;
/// Validity of a certificate, so that some of the month's end within it.
const LEAF_DAYS: i64 = 14;
const KEY_COMPROMISE: u8 = 1;
const DESKS: [&str; 2] = ["desk-1", "desk-2"];

/// What the model knows of a request.
#[derive(Clone)]
struct Asked {
    desk: usize,
    names: Vec<String>,
    csr: Vec<u8>,
    came: Came,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Issued { not_after: i64, revoked: bool },
    Refused(&'static str),
}

/// A request whose certificate is revoked, and why.
type Revoked = (String, Option<u8>);

struct Month {
    station: Station,
    now: i64,
    sequences: [u64; 2],
    asked: BTreeMap<String, Asked>,
    /// Requests whose keys are compromised.
    compromised: BTreeSet<Vec<u8>>,
    /// Names used so far.
    hosts: u64,
}

impl Month {
    fn begin() -> Month {
        let second = "[[desk]]\nid = \"desk-2\"\nkeys = [\"@DESK 2@\"]\nprofiles = [\"xmpp-server\"]\n@PEOPLE@";
        let hierarchy = HIERARCHY
            .replace("issuer = \"xmpp-1\"\ndays = 90", &format!("issuer = \"xmpp-1\"\ndays = {LEAF_DAYS}"))
            .replace("@PEOPLE@", second);
        let station = Station::ready_of(hierarchy);
        let now = harness::station::now() + 60;
        Month { station, now, sequences: [0; 2], asked: BTreeMap::new(), compromised: BTreeSet::new(), hosts: 0 }
    }

    fn requester(desk: usize) -> String {
        format!("hostmaster@{}.example.org", DESKS[desk])
    }

    fn item(desk: usize, id: &str, names: &[String], csr: &[u8]) -> Item {
        Item::Request(Request {
            request: id.into(),
            profile: "xmpp-server".into(),
            requester: Untrusted::new(Month::requester(desk)),
            names: names.to_vec(),
            csr: Bytes::from(csr.to_vec()),
        })
    }

    /// A request for a name that nobody has.
    fn new_request(&mut self) -> (Vec<String>, Vec<u8>) {
        self.hosts += 1;
        let row = harness::station::fresh("new", &[&format!("host-{}.example.org", self.hosts)]);
        (row.names, row.csr)
    }

    /// Certificates of a desk that are valid now and for another day, oldest first.
    fn valid(&self, desk: usize) -> Vec<String> {
        let ours = |(id, asked): (&String, &Asked)| match asked.came {
            Came::Issued { not_after, revoked: false } if asked.desk == desk && not_after > self.now + DAY => {
                Some((not_after, id.clone()))
            }
            _ => None,
        };
        let mut found: Vec<_> = self.asked.iter().filter_map(ours).collect();
        found.sort();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// What the bundle number `i` asks for; the model takes what must come of it, if it is carried out.
    fn bundle(&mut self, i: u64) -> (PathBuf, BTreeMap<String, Asked>, Vec<Revoked>) {
        let desk = (i % 2) as usize;
        self.sequences[desk] += 1;
        let issued = Came::Issued { not_after: 0, revoked: false };
        let (mut items, mut come, mut revoked) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut ask = |id: String, names: Vec<String>, csr: Vec<u8>, came: Came| {
            items.push(Month::item(desk, &id, &names, &csr));
            come.insert(id, Asked { desk, names, csr, came });
        };
        for n in 0..1 + i % 2 {
            let (names, csr) = self.new_request();
            ask(format!("b{i:02}-new-{n}"), names, csr, issued);
        }
        let (mine, theirs) = (self.valid(desk), self.valid(1 - desk));
        if let Some(old) = mine.first().filter(|_| i % 3 == 2) {
            let old = self.asked[old].clone();
            // Another certificate with this key may have been revoked as compromised.
            let came = if self.compromised.contains(&old.csr) { Came::Refused("compromised-key") } else { issued };
            ask(format!("b{i:02}-renewal"), old.names, old.csr, came);
        }
        if i % 5 == 4 {
            let (names, mut csr) = self.new_request();
            // The last octet belongs to the signature.
            *csr.last_mut().unwrap() ^= 1;
            ask(format!("b{i:02}-forged"), names, csr, Came::Refused("proof-of-possession"));
        }
        if let Some(other) = theirs.last().filter(|_| i % 7 == 6) {
            let names = self.asked[other].names.clone();
            let shown: Vec<&str> = names.iter().map(String::as_str).collect();
            let row = harness::station::fresh("x", &shown);
            ask(format!("b{i:02}-taken"), names, row.csr, Came::Refused("name-holder"));
        }
        if let Some(lost) = mine.last().filter(|_| i % 4 == 3) {
            let serial = Bytes::from(self.serial(lost));
            let reason = [None, Some(1), Some(4), Some(5)][(i as usize / 4) % 4];
            let requester = Untrusted::new(Month::requester(desk));
            items.push(Item::Revoke(Revocation { serial, reason, requester }));
            revoked.push((lost.clone(), reason));
        }
        let (now, sequence) = (self.now, self.sequences[desk]);
        let path = Forged::new()
            .about(|a| (a.created, a.expires, a.sequence, a.desk) = (now, now + 3 * DAY, sequence, DESKS[desk].into()))
            .items(items)
            .signed_by(DESKS[desk], NAMESPACE)
            .write(&self.station, &format!("bundle-{i:02}"));
        (path, come, revoked)
    }

    fn serial(&self, request: &str) -> Vec<u8> {
        let leaves = self.station.leaves();
        let found = leaves.iter().find(|(id, ..)| id == request);
        let (.., der) = found.unwrap_or_else(|| panic!("{request} is not on record"));
        x509::read_certificate(der).unwrap().serial.to_vec()
    }

    /// Runs a verb at the model's time.
    fn run(&self, args: &[&str]) -> Run {
        let now = utc(self.now);
        self.station.run(&[args, &["--now", &now]].concat())
    }

    #[track_caller]
    fn planned(&self, args: &[&str]) -> PathBuf {
        PathBuf::from(self.run(&[&["plan"], args].concat()).ok()["plan"].as_str().unwrap())
    }

    #[track_caller]
    fn sign(&self, plan: &Path) -> u64 {
        let approvals = self.station.approve(plan);
        self.run(&self.station.sign_args(plan, &approvals)).ok()["release"].as_u64().unwrap()
    }

    /// The model takes what was asked for and who was revoked.
    fn done(&mut self, sign_from: i64, come: BTreeMap<String, Asked>, revoked: Vec<Revoked>) {
        for (id, mut asked) in come {
            if let Came::Issued { not_after, .. } = &mut asked.came {
                *not_after = sign_from + LEAF_DAYS * DAY - 1;
            }
            self.asked.insert(id, asked);
        }
        for (id, reason) in revoked {
            self.revoked(&id, reason);
        }
    }

    fn revoked(&mut self, request: &str, reason: Option<u8>) {
        let asked = self.asked.get_mut(request).unwrap();
        if reason == Some(KEY_COMPROMISE) {
            let csr = asked.csr.clone();
            self.compromised.insert(csr.clone());
            // All certificates of the key go together.
            for other in self.asked.values_mut().filter(|other| other.csr == csr) {
                if let Came::Issued { not_after, revoked } = &mut other.came {
                    *revoked |= *not_after >= self.now;
                }
            }
            return;
        }
        let Came::Issued { revoked, .. } = &mut asked.came else { panic!("{request} was not issued") };
        *revoked = true;
    }

    /// Everything of the bundle is answered `void`.
    fn voided(&mut self, plan: &Path, come: BTreeMap<String, Asked>) {
        let people = ["--reason", "the desk asked for it", "--operator", "carol", "--witness", "dave"];
        let args = [&["void", "--plan", plan.to_str().unwrap()], &people[..]].concat();
        let statement = self.run(&args).ok()["statement-file"].as_str().unwrap().to_owned();
        let approvals = self.station.approve(Path::new(&statement));
        let given = approvals.iter().flat_map(|approval| ["--approval", approval.to_str().unwrap()]);
        self.run(&args.iter().copied().chain(given).collect::<Vec<_>>()).ok();
        for (id, asked) in come {
            let came = if let Came::Refused(check) = asked.came { Came::Refused(check) } else { Came::Refused("void") };
            self.asked.insert(id, Asked { came, ..asked });
        }
    }

    /// What OpenSSL says of each certificate on record, at a time and with the CRLs of the last release.
    fn judged(&self, release: u64) -> BTreeMap<String, String> {
        let (to, key) = (self.station.desk("www"), self.station.verifier_key());
        let last = format!("out/release-{release:04}");
        self.run(&["unpack", &last, "--to", to.to_str().unwrap(), "--verifier-key", &key]).ok();
        for ca in ["root", "xmpp-1"] {
            let (from, pem) = (format!("crls/{ca}.crl"), format!("crl-{ca}.pem"));
            let mut convert = Command::new("openssl");
            convert.current_dir(&to).args(["crl", "-inform", "DER", "-in", &from, "-out", &pem]);
            assert_eq!(Run::of(&mut convert).code, 0);
        }
        let (at, mut said) = (self.now.to_string(), BTreeMap::new());
        for (request, _, der) in self.station.leaves() {
            fs::write(to.join("leaf.der"), der).unwrap();
            let mut verify = Command::new("openssl");
            verify.current_dir(&to).args([
                "verify",
                "-x509_strict",
                "-CAfile",
                "root.pem",
                "-untrusted",
                "intermediates.pem",
            ]);
            verify.args([
                "-attime",
                &at,
                "-crl_check_all",
                "-CRLfile",
                "crl-root.pem",
                "-CRLfile",
                "crl-xmpp-1.pem",
                "leaf.der",
            ]);
            let run = Run::of(&mut verify);
            let verdict = match &run {
                run if run.code == 0 => "valid",
                run if run.err.contains("certificate revoked") => "revoked",
                run if run.err.contains("certificate has expired") => "expired",
                other => panic!("{request}: {other:?}"),
            };
            assert!(said.insert(request.clone(), verdict.to_owned()).is_none(), "{request} twice");
        }
        said
    }
}

#[test]
fn p03_a_month_of_two_desks_ends_with_the_right_certificates() {
    let mut month = Month::begin();
    let mut last = 2;
    for i in 0..BUNDLES {
        month.now += STEP;
        let (path, come, revoked) = month.bundle(i);
        let bundle = ["--bundle", path.to_str().unwrap()];
        let mut plan = month.planned(&bundle);
        match i {
            12 => {
                month.voided(&plan, come);
                last += 1;
                continue;
            }
            20 => {
                // An urgent revocation goes first; the bundle is planned again behind it.
                let urgent = month.valid(1).remove(0);
                let serial = hex(&month.serial(&urgent));
                let first = month.planned(&["--revoke", &serial, "--reason", "key-compromise"]);
                month.sign(&first);
                month.revoked(&urgent, Some(KEY_COMPROMISE));
                month.now += 600;
                plan = month.planned(&bundle);
            }
            9 | 27 => {
                // The power fails: once early in the run, once late.
                let approvals = month.station.approve(&plan);
                let now = utc(month.now);
                let args = [&month.station.sign_args(&plan, &approvals)[..], &["--now", &now]].concat();
                let run = killed_at(&month.station, &args, "fdatasync", if i == 9 { 5 } else { 9 });
                assert_eq!(run.code, -1, "nothing was stopped: {run:?}");
                for person in ["alice", "bob"] {
                    fs::remove_file(month.station.dir().join(format!("{}.{person}.sig", plan.display()))).unwrap();
                }
            }
            _ => {}
        }
        let sign_from = month.now;
        last = month.sign(&plan);
        month.done(sign_from, come, revoked);
        if i == 30 {
            let lost = month.station.path(&format!("out/release-{last:04}"));
            let before = harness::files(&lost).iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
            fs::remove_dir_all(&lost).unwrap();
            month.run(&["release", &last.to_string()]).ok();
            let after = harness::files(&lost).iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
            assert!(before == after, "the release is not the one that was lost");
        }
    }
    // The CRLs of the end, as they would be published.
    last = month.sign(&month.planned(&["--crl", "root", "--crl", "xmpp-1"])).max(last);
    month.station.check_log();

    let said = month.judged(last);
    let expected: BTreeMap<String, String> = month
        .asked
        .iter()
        .filter_map(|(id, asked)| match asked.came {
            // OpenSSL looks at the dates before it looks at the CRL, and a revoked certificate may leave the CRL once it
            // has ended.
            Came::Issued { not_after, .. } if not_after < month.now => Some((id.clone(), "expired".to_owned())),
            Came::Issued { revoked: true, .. } => Some((id.clone(), "revoked".to_owned())),
            Came::Issued { .. } => Some((id.clone(), "valid".to_owned())),
            Came::Refused(_) => None,
        })
        .collect();
    assert_eq!(said, expected);
    let kinds: BTreeSet<&str> = said.values().map(String::as_str).collect();
    assert_eq!(kinds, BTreeSet::from(["expired", "revoked", "valid"]));

    // Every request has exactly one answer.
    let refused: BTreeMap<String, String> = month
        .station
        .bodies()
        .into_iter()
        .filter_map(|body| if let Body::Refused { request, check, .. } = body { Some((request, check)) } else { None })
        .collect();
    let wanted: BTreeMap<String, String> = month
        .asked
        .iter()
        .filter_map(|(id, asked)| match asked.came {
            Came::Refused(check) => Some((id.clone(), check.to_owned())),
            Came::Issued { .. } => None,
        })
        .collect();
    // A revocation of the voided bundle is answered by its serial number.
    let requests: BTreeMap<_, _> =
        refused.into_iter().filter(|(id, _)| id.starts_with('b') && id.contains('-')).collect();
    assert_eq!(requests, wanted);
    assert_eq!(said.len() + wanted.len(), month.asked.len());
}
