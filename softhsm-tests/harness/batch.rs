//! A planned and approved batch, and what must be true of it after it was stopped and run again.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use coldroot::audit::entry::{Body, CertificateIssued};
use coldroot::digest::Digest;
use coldroot::plan::{Item, Plan};
use coldroot::x509;

use super::station::{COLDROOT, Run, Station};

/// A station with a planned and approved batch.
pub struct Batch {
    pub station: Station,
    pub plan: PathBuf,
    pub approvals: Vec<PathBuf>,
}

impl Batch {
    pub fn new(n: u64) -> Batch {
        Batch::of(super::station::HIERARCHY.into(), n)
    }

    /// The same with a hierarchy of the test's own.
    pub fn of(hierarchy: String, n: u64) -> Batch {
        let station = Station::ready_of(hierarchy);
        let plan = station.planned(&station.bundle(n, 1));
        let approvals = station.approve(&plan);
        Batch { station, plan, approvals }
    }

    pub fn copy(&self) -> Batch {
        Batch { station: self.station.copy(), plan: self.plan.clone(), approvals: self.approvals.clone() }
    }

    /// [`Station::copy_apart`]
    pub fn copy_apart(&self) -> Batch {
        Batch { station: self.station.copy_apart(), plan: self.plan.clone(), approvals: self.approvals.clone() }
    }

    pub fn args(&self) -> Vec<&str> {
        self.station.sign_args(&self.plan, &self.approvals)
    }

    pub fn sign(&self) -> Run {
        self.station.sign(&self.plan, &self.approvals)
    }

    pub fn issued(&self) -> Vec<CertificateIssued> {
        let of_batch = |body| match body {
            Body::Certificate(c) if c.subject_ca.is_none() => Some(c),
            _ => None,
        };
        self.station.bodies().into_iter().filter_map(of_batch).collect()
    }

    /// At any moment: what is on record are the plan's first items, in its order, each once, and each with a signature that
    /// is good. Returns how many.
    #[track_caller]
    pub fn assert_sound(&self) -> u64 {
        let mut plan = Plan::open(&self.station.dir().join(&self.plan)).unwrap();
        let bodies = self.station.bodies();
        let ca = bodies.iter().find_map(|body| match body {
            Body::Certificate(c) if c.subject_ca.as_deref() == Some("xmpp-1") => Some(c.der.to_vec()),
            _ => None,
        });
        let ca = ca.expect("the CA's certificate is on record");
        let key = x509::read_certificate(&ca).unwrap().spki;
        let issued = self.issued();
        for (n, issued) in (0..).zip(&issued) {
            let Item::Certificate(planned) = plan.item(n).unwrap() else { panic!("item {n} is no certificate") };
            assert_eq!((issued.item, &issued.request, issued.plan), (n, &planned.request, plan.digest()));
            let (tbs, (_, signature)) = (x509::tbs_of(&issued.der).unwrap(), x509::signature_of(&issued.der).unwrap());
            assert_eq!(tbs, planned.tbs.as_slice(), "item {n}");
            x509::verify_signature(&key, planned.fields.signature, tbs, signature).unwrap();
        }
        for body in &bodies {
            let Body::Crl(crl) = body else { continue };
            let hex = crl.crl.to_string();
            let der = fs::read(self.station.path(&format!("audit/artefact/{}/{hex}", &hex[..2]))).unwrap();
            assert_eq!(Digest::of(&der), crl.crl);
            if crl.plan == plan.digest() {
                x509::verify_crl(&der, &ca).unwrap();
            }
        }
        issued.len() as u64
    }

    /// Every certificate of the plan exactly once, in the log and in the release; nothing else; and both are good, the log
    /// for the independent verifier too.
    #[track_caller]
    pub fn assert_exactly_once(&self) {
        self.assert_ended();
        self.station.check_log();
    }

    /// The same without the independent verifier, which takes its time.
    #[track_caller]
    pub fn assert_ended(&self) {
        let mut plan = Plan::open(&self.station.dir().join(&self.plan)).unwrap();
        let (issued, mut serials, mut requests) = (self.issued(), BTreeSet::new(), BTreeSet::new());
        // The last item is the first CRL of their CA.
        assert_eq!(issued.len() as u64 + 1, plan.head().items, "one certificate for each request");
        let Item::Crl(crl) = plan.item(issued.len() as u64).unwrap() else { panic!("the last item is no CRL") };
        let crls = self.station.bodies().into_iter().filter(|b| matches!(b, Body::Crl(c) if c.ca == crl.ca)).count();
        assert_eq!(crls, 1);
        for (n, issued) in (0..).zip(&issued) {
            let Item::Certificate(planned) = plan.item(n).unwrap() else { panic!("item {n} is no certificate") };
            assert_eq!((issued.item, &issued.request, issued.plan), (n, &planned.request, plan.digest()));
            assert_eq!(x509::tbs_of(&issued.der).unwrap(), planned.tbs.as_slice(), "item {n}");
            assert!(serials.insert(planned.fields.serial.to_vec()), "a serial twice");
            assert!(requests.insert(planned.request.clone()), "a request twice");
        }
        let bodies = self.station.bodies();
        let mine = |body: &&Body| match body {
            Body::Start(start) => start.plan == plan.digest(),
            Body::End(end) => end.plan == plan.digest(),
            Body::ReleaseWritten { release, .. } => *release == 3,
            _ => false,
        };
        assert!(bodies.iter().filter(mine).count() >= 3, "start, end and receipt");
        assert_eq!(bodies.iter().filter(|b| mine(b) && matches!(b, Body::Start(_))).count(), 1);
        assert_eq!(bodies.iter().filter(|b| mine(b) && matches!(b, Body::End(_))).count(), 1);

        let key = self.station.verifier_key();
        self.station.run(&["check", "audit", "--verifier-key", &key]).ok();
        let args = ["check", "out/release-0003", "--verifier-key", &key, "--hierarchy", "hierarchy.toml"];
        assert_eq!(self.station.run(&args).ok()["certificates"], issued.len());
        let left = super::files(&self.station.path("out"));
        assert!(!left.iter().any(|p| p.to_str().unwrap().contains(".part")), "{left:?}");
        self.sign().fails(1, "carried out already");
    }
}

/// strace, stopping the parent (its first thread, no other process) at the `when`-th of these calls. Gate and worker have gone when
/// this returns: until then they hold the token, and a copy of the station has the same one.
pub fn killed_at(station: &Station, args: &[&str], calls: &str, when: usize) -> Run {
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:signal=KILL:when={when}"));
    let before = ["-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, COLDROOT];
    let run = Run::of(&mut station.command_of("strace", &before, args));
    super::processes::assert_gone(&station.dir());
    run
}

/// Stops a command at each of these calls in turn, every time on a copy, runs it there once more, and hands on the copy, the stop
/// and that run. Returns how many stops there were.
pub fn stopped_anywhere(
    station: &Station,
    args: &[&str],
    calls: &[&str],
    mut then: impl FnMut(Station, &str, Run),
) -> usize {
    let mut stops = 0;
    for calls in calls {
        for when in 1.. {
            let copy = station.copy();
            let run = killed_at(&copy, args, calls, when);
            if run.code == 0 {
                break;
            }
            assert_eq!(run.code, -1, "{calls} {when}: {run:?}");
            stops += 1;
            let again = copy.run(args);
            then(copy, &format!("{calls} {when}"), again);
        }
    }
    stops
}
