//! A log drawn at random, and a memory of it that forgets nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::super::*;
use crate::algorithm::SignatureAlgorithm;
use crate::audit::entry::{Body, CertificateIssued, Entry, Revoked};
use crate::audit::station::{self, Signer};
use crate::audit::{Log, View};
use crate::x509::fields::{CertFields, Constraints, GeneralName, names_digest};
use crate::x509::{self, forge};

const CAS: [&str; 3] = ["root", "web", "device"];
const BEGIN: i64 = 1_800_000_000;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

pub(super) struct World {
    pub log: Log,
    pub signer: Signer,
    pub model: Model,
    dice: Dice,
    keys: Vec<Vec<u8>>,
    release: u64,
}

impl World {
    pub(super) fn new(dir: &Path, seed: u64) -> World {
        let mut signer = Signer::new();
        let log = station::written(dir, &mut signer, &[1]);
        World::over(log, signer, seed)
    }

    /// A log that was written before: the model is made from it.
    pub(super) fn resume(audit: &Path, seed: u64, signer: Signer) -> World {
        let mut world = World::over(Log::open(audit).unwrap(), signer, seed ^ 0xffff);
        for found in world.log.entries(0..u64::MAX) {
            let (index, entry, _) = found.unwrap();
            world.model.take(index, &entry);
        }
        world.release = world
            .log
            .entries(0..u64::MAX)
            .filter(|e| matches!(&e, Ok((_, e, _)) if matches!(e.body, Body::End(_))))
            .count() as u64;
        world
    }

    fn over(log: Log, signer: Signer, seed: u64) -> World {
        // Keys that nobody has to sign with: any octets in the frame of a P-256 key.
        let mut frame = forge::Key::p256().spki();
        let keys = (0..24u8).map(|n| {
            let last = frame.len() - 1;
            frame[last] = n;
            frame.clone()
        });
        let keys = keys.collect();
        World { log, signer, model: Model::default(), dice: Dice(seed), keys, release: 0 }
    }

    fn append(&mut self, time: i64, body: Body) {
        let entry = Entry::new(time, body);
        let index = self.log.append(&entry).unwrap();
        self.model.take(index, &entry);
    }

    /// A plan of some eighty items, begun and ended.
    pub(super) fn batch(&mut self) {
        let now = BEGIN + self.log.size() as i64 * 3600;
        let items = 60 + self.dice.roll(40);
        let plan = Digest::of(&self.log.size().to_be_bytes());
        let desk = format!("desk-{}", self.dice.roll(2));
        let bundle = BundleRef { desk, sequence: self.log.size(), digest: plan };
        self.append(now, Body::BundleReceived { bundle: bundle.clone(), count: items, revocations: 0 });
        let kind = Kind::Certificates;
        self.append(now, Body::Planned { plan, kind, items, refused: 1, bundle: Some(bundle), counts: vec![] });
        let (operator, witness) = ("op".to_string(), "wit".to_string());
        self.append(now, Body::Start(Start { plan, approvals: vec![], operator, witness, witness_time: None }));
        for item in 0..items {
            let body = match self.dice.roll(4) {
                0 => self.revocation(plan, item, now),
                _ => None,
            };
            let body = body.unwrap_or_else(|| self.certificate(plan, item, now));
            self.append(now, body);
        }
        let request = format!("r{}", self.dice.roll(90));
        self.append(now, Body::Refused { plan, request, check: "name".into(), reason: "not validated".into() });
        self.release += 1;
        let end = End { plan, release: self.release, done: items, refused: 1, manifest: plan };
        self.append(now, Body::End(end));
    }

    fn certificate(&mut self, plan: Digest, item: u64, now: i64) -> Body {
        let mut serial = vec![1; 17];
        serial[8..16].copy_from_slice(&self.dice.roll(u64::MAX).to_be_bytes());
        let not_after = now + [86_400, 400_000, 9_000_000][self.dice.roll(3) as usize];
        let key = self.dice.roll(24) as usize;
        let names: Vec<String> =
            (0..1 + self.dice.roll(3)).map(|_| format!("N{}.example", self.dice.roll(30))).collect();
        let der = certificate(&serial, &self.keys[key], &names, (now, not_after));
        let of_ca = self.dice.roll(20) == 0;
        let ca = CAS[self.dice.roll(3) as usize].to_string();
        Body::Certificate(CertificateIssued {
            plan,
            item,
            ca,
            subject_ca: of_ca.then(|| CAS[self.dice.roll(3) as usize].to_string()),
            request: (!of_ca).then(|| format!("r{}", self.dice.roll(90))),
            profile: "leaf".into(),
            requester: (!of_ca).then(|| Digest([self.dice.roll(3) as u8; 32])),
            der: der.into(),
        })
    }

    fn revocation(&mut self, plan: Digest, item: u64, date: i64) -> Option<Body> {
        let good: Vec<_> = self.model.issued.iter().filter(|(_, known)| known.revoked.is_none()).collect();
        let (serial, known) = good.get(self.dice.roll(good.len().max(1) as u64) as usize)?;
        let reason = [None, Some(KEY_COMPROMISE), Some(4)][self.dice.roll(3) as usize];
        let (ca, serial) = (known.ca.clone(), Bytes::from((*serial).clone()));
        Some(Body::Revoked(Revoked { plan, item, ca, serial, reason, date }))
    }

    /// Begins a plan whose only certificate has the serial number of an earlier one.
    pub(super) fn repeat_a_serial(&mut self) -> Vec<u8> {
        let serial = self.model.issued.keys().next().unwrap().clone();
        let plan = Digest([9; 32]);
        let der = certificate(&serial, &self.keys[0], &["again.example".into()], (BEGIN, BEGIN + 1));
        let kind = Kind::Certificates;
        let (operator, witness) = ("op".to_string(), "wit".to_string());
        let issued = CertificateIssued {
            plan,
            item: 0,
            ca: "web".into(),
            subject_ca: None,
            request: Some("again".into()),
            profile: "leaf".into(),
            requester: None,
            der: der.into(),
        };
        for body in [
            Body::Planned { plan, kind, items: 1, refused: 0, bundle: None, counts: vec![] },
            Body::Start(Start { plan, approvals: vec![], operator, witness, witness_time: None }),
            Body::Certificate(issued),
        ] {
            self.log.append(&Entry::new(BEGIN, body)).unwrap();
        }
        serial
    }
}

/// A certificate that parses; its signature is no matter here.
fn certificate(serial: &[u8], spki: &[u8], names: &[String], (not_before, not_after): (i64, i64)) -> Vec<u8> {
    let fields = CertFields {
        serial: serial.to_vec().into(),
        signature: SignatureAlgorithm::EcdsaSha256,
        issuer: forge::cn("Issuer").into(),
        not_before,
        not_after,
        subject: forge::cn(&names[0]).into(),
        spki: spki.to_vec().into(),
        ca: None,
        key_usage: 0,
        eku: vec![],
        san: names.iter().map(|name| GeneralName::Dns(name.clone())).collect(),
        ski: None,
        aki: None,
        crl_urls: vec![],
        issuer_urls: vec![],
        policies: vec![],
        constraints: Constraints::default(),
        critical: vec![],
        others: vec![],
    };
    let tbs = crate::tbs::certificate(&fields).unwrap();
    crate::tbs::assemble(&tbs, SignatureAlgorithm::EcdsaSha256, &[0x30, 6, 2, 1, 1, 2, 1, 1])
}

/// Every answer, kept entry by entry as the words of the answers say it.
#[derive(Default)]
pub(super) struct Model {
    desks: HashMap<Digest, String>,
    pub issued: BTreeMap<Vec<u8>, Issued>,
    keys: HashMap<Digest, (KeyHolder, Vec<Vec<u8>>)>,
    names: HashMap<String, Vec<(NameHolder, Vec<u8>)>>,
    requests: HashMap<String, Vec<u64>>,
    last: i64,
}

impl Model {
    fn take(&mut self, index: u64, entry: &Entry) {
        self.last = entry.time;
        match &entry.body {
            Body::Planned { plan, bundle: Some(bundle), .. } => drop(self.desks.insert(*plan, bundle.desk.clone())),
            Body::Refused { request, .. } => self.requests.entry(request.clone()).or_default().push(index),
            Body::Certificate(issued) => self.certificate(index, issued),
            Body::Revoked(revoked) => {
                let known = self.issued.get_mut(revoked.serial.as_slice()).unwrap();
                known.revoked = Some((revoked.date, revoked.reason));
                let (holder, _) = self.keys.get_mut(&known.spki).unwrap();
                holder.compromised |= revoked.reason == Some(KEY_COMPROMISE);
            }
            _ => {}
        }
    }

    fn certificate(&mut self, index: u64, issued: &CertificateIssued) {
        let fields = x509::read_certificate(&issued.der).unwrap();
        let (serial, spki) = (fields.serial.to_vec(), Digest::of(&fields.spki));
        let request = issued.request.clone().unwrap_or_default();
        let known = Issued {
            ca: issued.ca.clone(),
            profile: issued.profile.clone(),
            desk: self.desks.get(&issued.plan).cloned(),
            not_before: fields.not_before,
            not_after: fields.not_after,
            of_ca: issued.subject_ca.is_some(),
            own: issued.subject_ca.as_ref() == Some(&issued.ca),
            revoked: None,
            spki,
        };
        self.issued.insert(serial.clone(), known);
        let (before, mut serials) = self.keys.remove(&spki).map_or((None, vec![]), |(holder, all)| (Some(holder), all));
        serials.push(serial.clone());
        let holder = KeyHolder {
            whose: issued.subject_ca.clone().unwrap_or_else(|| format!("request {request}")),
            requester: issued.requester,
            names: names_digest(&fields.subject, &fields.san),
            compromised: before.is_some_and(|holder| holder.compromised),
        };
        self.keys.insert(spki, (holder, serials));
        if let Some(request) = &issued.request {
            self.requests.entry(request.clone()).or_default().push(index);
        }
        if issued.subject_ca.is_some() {
            return;
        }
        for name in x509::holder_names(&fields.subject, &fields.san) {
            let (since, not_after, requester) = (fields.not_before, fields.not_after, issued.requester);
            let holder = NameHolder { request: request.clone(), requester, since, not_after };
            let holders = self.names.entry(name.to_ascii_lowercase()).or_default();
            holders.retain(|(old, _)| old.requester == requester && old.not_after >= since);
            holders.push((holder, serial.clone()));
        }
    }

    fn name_holder(&self, name: &str, now: i64) -> Option<NameHolder> {
        let good = |serial: &Vec<u8>| self.issued[serial].revoked.is_none();
        let holders = self.names.get(name)?;
        holders.iter().rev().find(|(holder, serial)| holder.not_after >= now && good(serial)).map(|(h, _)| h.clone())
    }

    /// Every answer about everything, and about what is not there.
    pub(super) fn compare(&self, ledger: &Ledger, log: &View) {
        assert!(self.agrees_or_fails(ledger, log), "the index could not be read");
    }

    /// False when some answer could not be given; an answer that is not the model's fails the test.
    pub(super) fn agrees_or_fails(&self, ledger: &Ledger, log: &View) -> bool {
        let mut answered = true;
        let mut same = |right: Result<bool, Error>| match right {
            Ok(right) => assert!(right),
            Err(Error::Index { .. }) => answered = false,
            Err(e) => panic!("{e}"),
        };
        for (serial, known) in &self.issued {
            same(ledger.issued(log, serial).map(|found| found.as_ref() == Some(known)));
            let (_, serials) = &self.keys[&known.spki];
            same(ledger.same_key(log, serial).map(|found| found == *serials));
            let absent = [serial.as_slice(), &[0]].concat();
            same(ledger.issued(log, &absent).map(|found| found.is_none()));
            same(ledger.serial_known(log, &absent).map(|found| !found));
        }
        for (spki, (holder, _)) in &self.keys {
            same(ledger.key_holder(log, spki).map(|found| found.as_ref() == Some(holder)));
        }
        same(ledger.key_holder(log, &Digest([0; 32])).map(|found| found.is_none()));
        for name in self.names.keys() {
            for now in [self.last - 500_000, self.last, self.last + 200_000] {
                same(ledger.name_holder(log, name, now).map(|found| found == self.name_holder(name, now)));
            }
        }
        for (request, places) in &self.requests {
            let answers = ledger.answers_to(log, request);
            same(answers.map(|found| found.iter().map(|(index, _)| *index).eq(places.iter().copied())));
        }
        for ca in CAS {
            for now in [self.last, self.last + 200_000, self.last + 1_000_000_000] {
                let counts =
                    |known: &&Issued| known.ca == ca && !known.own && known.revoked.is_none() && known.not_after >= now;
                same(Ok(ledger.in_force(ca, now) == self.issued.values().filter(counts).count() as u64));
            }
        }
        answered
    }
}
