//! What was asked for and what must come of it, kept without the program's help.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use coldroot::audit::entry::Body;
use coldroot::bundle::{Item, Request, Revocation};
use coldroot::cbor::Bytes;
use coldroot::text::{Untrusted, hex};
use coldroot::x509;

use crate::harness::draw::Draw;
use crate::harness::forged::{Forged, now};
use crate::harness::station::{Run, Station};

const REQUESTER: &str = "hostmaster@example.org";

struct Asked {
    names: Vec<String>,
    csr: Vec<u8>,
    /// A bad proof of possession: it is refused.
    bad: bool,
    /// The certificate's serial number, once it was seen.
    serial: Option<Vec<u8>>,
}

pub struct Account {
    fresh: Box<dyn Iterator<Item = Request>>,
    sequence: u64,
    asked: BTreeMap<String, Asked>,
    /// Serial numbers that were to be revoked.
    revoked: BTreeSet<Vec<u8>>,
}

impl Account {
    pub fn new(seed: u64) -> Account {
        let fresh = Box::new(coldroot::requests::generate(1_000_000, seed).map(|request| request.unwrap()));
        Account { fresh, sequence: 0, asked: BTreeMap::new(), revoked: BTreeSet::new() }
    }

    /// The next bundle; now and then there is none, and only CRLs are wanted.
    pub fn bundle(&mut self, station: &Station, draw: &mut Draw, number: u64) -> Option<PathBuf> {
        if draw.below(8) == 0 {
            return None;
        }
        let valid: Vec<String> = self.valid();
        let size = if draw.below(8) == 0 { 1 + draw.below(60) } else { 1 + draw.below(12) };
        let (mut asked, mut items) = (Vec::new(), Vec::new());
        for n in 0..size {
            let Request { names, csr, .. } = self.fresh.next().unwrap();
            let (mut csr, bad) = (csr.to_vec(), draw.below(8) == 0);
            if bad {
                // The last octet belongs to the signature.
                *csr.last_mut().unwrap() ^= 1;
            }
            asked.push((format!("b{number:03}-{n:02}"), Asked { names, csr, bad, serial: None }));
        }
        for n in 0..draw.below(3).min(valid.len()) {
            let old = &self.asked[&valid[draw.below(valid.len())]];
            let renewal = Asked { names: old.names.clone(), csr: old.csr.clone(), bad: false, serial: None };
            // One key for one request of a bundle.
            if !asked.iter().any(|(_, other)| other.csr == renewal.csr) {
                asked.push((format!("b{number:03}-renewal-{n}"), renewal));
            }
        }
        for (request, asked) in &asked {
            items.push(Item::Request(Request {
                request: request.clone(),
                profile: "xmpp-server".into(),
                requester: Untrusted::new(REQUESTER),
                names: asked.names.clone(),
                csr: Bytes::from(asked.csr.clone()),
            }));
        }
        for _ in 0..draw.below(3).min(valid.len()) {
            let serial = self.asked[&valid[draw.below(valid.len())]].serial.clone().unwrap();
            let reason = [None, Some(4), Some(5)][draw.below(3)];
            if self.revoked.insert(serial.clone()) {
                let requester = Untrusted::new(REQUESTER);
                items.push(Item::Revoke(Revocation { serial: Bytes::from(serial), reason, requester }));
            }
        }
        self.asked.extend(asked);
        self.sequence += 1;
        let (now, sequence) = (now(), self.sequence);
        let bundle = Forged::new().about(|a| (a.created, a.expires, a.sequence) = (now, now + 86_400, sequence));
        Some(bundle.items(items).write(station, &format!("bundle-{number:03}")))
    }

    /// Requests whose certificates were issued and not revoked.
    fn valid(&self) -> Vec<String> {
        let valid = |(id, asked): (&String, &Asked)| {
            asked.serial.as_ref().filter(|serial| !self.revoked.contains(*serial)).map(|_| id.clone())
        };
        self.asked.iter().filter_map(valid).collect()
    }

    /// The log must answer everything that was asked for, rightly and once, and nothing else.
    pub fn settle(&mut self, station: &Station) {
        let (mut answered, mut serials, mut revoked) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        for body in station.bodies() {
            match body {
                Body::Certificate(c) => {
                    let fields = x509::read_certificate(&c.der).unwrap();
                    let request = c.request.unwrap_or_else(|| format!("the CA {:?}", c.subject_ca));
                    assert!(serials.insert(fields.serial.to_vec(), request.clone()).is_none(), "a serial twice");
                    if c.subject_ca.is_some() {
                        continue;
                    }
                    let asked = self.asked.get_mut(&request).unwrap_or_else(|| panic!("nobody asked for {request}"));
                    assert!(answered.insert(request.clone()), "{request} is answered twice");
                    assert!(!asked.bad, "{request} was to be refused");
                    // Key and names are the request's.
                    assert!(
                        asked.csr.windows(fields.spki.len()).any(|part| *part == *fields.spki),
                        "{request}: another key"
                    );
                    for name in &asked.names {
                        assert!(c.der.windows(name.len()).any(|part| part == name.as_bytes()), "{request}: {name}");
                    }
                    asked.serial = Some(fields.serial.to_vec());
                }
                Body::Refused { request, check, .. } => {
                    let asked = self.asked.get(&request).unwrap_or_else(|| panic!("nobody asked for {request}"));
                    assert!(answered.insert(request.clone()), "{request} is answered twice");
                    assert!(asked.bad && check == "proof-of-possession", "{request}: {check}");
                }
                Body::Revoked(r) => assert!(revoked.insert(r.serial.to_vec()), "revoked twice"),
                _ => {}
            }
        }
        assert_eq!(answered, self.asked.keys().cloned().collect(), "every request has an answer");
        assert_eq!(revoked, self.revoked);
    }

    /// The last CRL on record, read by OpenSSL, lists what was to be revoked and nothing else.
    pub fn assert_published(&self, station: &Station) {
        let crl = station.bodies().into_iter().rev().find_map(|body| match body {
            Body::Crl(crl) if crl.ca == "xmpp-1" => Some(crl.crl.to_string()),
            _ => None,
        });
        let hex_digest = crl.unwrap();
        let path = station.path(&format!("audit/artefact/{}/{hex_digest}", &hex_digest[..2]));
        assert!(fs::metadata(&path).is_ok());
        let run = Run::of(Command::new("openssl").args(["crl", "-inform", "DER", "-noout", "-text", "-in"]).arg(path));
        assert_eq!(run.code, 0, "{run:?}");
        let listed = run.out.lines().filter_map(|line| line.trim().strip_prefix("Serial Number: "));
        let listed: BTreeSet<String> = listed.map(str::to_lowercase).collect();
        assert_eq!(listed, self.revoked.iter().map(|serial| hex(serial)).collect());
    }

    pub fn tell(&self) -> String {
        let refused = self.asked.values().filter(|asked| asked.bad).count();
        format!("{} certificates, {refused} refused, {} revoked", self.asked.len() - refused, self.revoked.len())
    }
}
