//! What the log says was made, issued, numbered and received: folded from its entries, never stored by itself.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::audit::entry::{Body, CertificateIssued, CrlIssued, End, Entry, Genesis, KeyGenerated, Start};
use crate::cbor::Bytes;
use crate::digest::Digest;
use crate::plan::{BundleRef, Kind};
use crate::x509;

/// The fold. Starts empty; [`Ledger::add`] takes the entries in order.
#[derive(Default)]
pub struct Ledger {
    pub genesis: Option<Genesis>,
    /// The number of the last release; 0 before the first.
    pub release: u64,
    /// Key pairs made, by the hierarchy's key id.
    pub keys: BTreeMap<String, KeyGenerated>,
    /// CA certificates issued, by the CA's id: log index and DER of the newest.
    pub cas: BTreeMap<String, (u64, Bytes)>,
    /// The CA that issued each of those certificates; itself for a root.
    pub issuers: BTreeMap<String, String>,
    /// The newest CRL of each CA.
    pub crls: BTreeMap<String, CrlIssued>,
    /// The greatest CRL number ever planned for each CA: the next one is greater, even if the plan was never signed.
    pub crl_numbers: BTreeMap<String, u64>,
    /// The last bundle of each desk.
    pub bundles: BTreeMap<String, BundleRef>,
    pub plans: BTreeMap<Digest, PlanState>,
    serials: HashSet<Vec<u8>>,
    subject_keys: HashMap<Digest, String>,
}

/// How far a plan got.
#[derive(Clone, Debug)]
pub struct PlanState {
    pub kind: Kind,
    pub items: u64,
    pub refused: u64,
    pub bundle: Option<BundleRef>,
    /// Log index of the `Planned` entry.
    pub planned_at: u64,
    /// Log index and content of the `Start` entry.
    pub start: Option<(u64, Start)>,
    /// Items and refusals on record: the one number that says where to go on.
    pub recorded: u64,
    /// Log index and content of the `End` entry.
    pub end: Option<(u64, End)>,
    /// The release was written and read back.
    pub released: bool,
}

/// Why a log does not fold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("log entry {index}: {what}")]
    Entry { index: u64, what: String },
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        Some("stop, and compare the audit directory with its copies: `coldroot check DIR`".into())
    }
}

impl Ledger {
    /// Takes the next entry.
    pub fn add(&mut self, index: u64, entry: &Entry) -> Result<(), Error> {
        let wrong = |what: &str| Error::Entry { index, what: what.into() };
        match &entry.body {
            Body::Genesis(genesis) => self.genesis = Some(genesis.clone()),
            Body::BundleReceived { bundle, .. } => {
                self.bundles.insert(bundle.desk.clone(), bundle.clone());
            }
            Body::Planned { plan, kind, items, refused, bundle, counts } => {
                for count in counts.iter().filter(|c| c.act == "crl") {
                    let number = count.detail.strip_prefix("number-").and_then(|n| n.parse().ok());
                    let number: u64 = number.ok_or_else(|| wrong("a planned CRL has no number"))?;
                    let last = self.crl_numbers.entry(count.ca.clone()).or_default();
                    *last = number.max(*last);
                }
                let state = PlanState {
                    kind: *kind,
                    items: *items,
                    refused: *refused,
                    bundle: bundle.clone(),
                    planned_at: index,
                    start: None,
                    recorded: 0,
                    end: None,
                    released: false,
                };
                self.plans.entry(*plan).or_insert(state);
            }
            Body::Start(start) => {
                let state =
                    self.plans.get_mut(&start.plan).ok_or_else(|| wrong("starts a plan that was not made here"))?;
                state.start = Some((index, start.clone()));
            }
            Body::KeyGenerated(key) => {
                self.count(&key.plan, Some(key.item), index)?;
                self.keys.insert(key.key.clone(), key.clone());
            }
            Body::Certificate(issued) => {
                self.count(&issued.plan, Some(issued.item), index)?;
                self.certificate(index, issued)?;
            }
            Body::Crl(crl) => {
                self.count(&crl.plan, Some(crl.item), index)?;
                self.crls.insert(crl.ca.clone(), crl.clone());
            }
            Body::Refused { plan, .. } => self.count(plan, None, index)?,
            Body::End(end) => {
                let state = self.plans.get_mut(&end.plan).ok_or_else(|| wrong("ends a plan that was not made here"))?;
                state.end = Some((index, end.clone()));
                self.release = end.release;
            }
            Body::ReleaseWritten { release, .. } => {
                for state in self.plans.values_mut() {
                    state.released |= state.end.as_ref().is_some_and(|(_, end)| end.release == *release);
                }
            }
            Body::Open { .. } | Body::PinTry { .. } | Body::Login { .. } | Body::Failure { .. } => {}
        }
        Ok(())
    }

    /// Counts an item (its number given) or a refusal of a plan: in order, and only while the plan is open.
    fn count(&mut self, plan: &Digest, item: Option<u64>, index: u64) -> Result<(), Error> {
        match self.plans.get_mut(plan) {
            Some(state) if state.start.is_some() && state.end.is_none() => {
                let next = if item.is_some() { item } else { Some(state.recorded.max(state.items)) };
                if next != Some(state.recorded) {
                    return Err(Error::Entry { index, what: format!("is not item {} of its plan", state.recorded) });
                }
                state.recorded += 1;
                Ok(())
            }
            _ => Err(Error::Entry { index, what: "belongs to a plan that is not started, or ended".into() }),
        }
    }

    fn certificate(&mut self, index: u64, issued: &CertificateIssued) -> Result<(), Error> {
        let fields = x509::read_certificate(&issued.der)
            .map_err(|e| Error::Entry { index, what: format!("its certificate does not parse: {e}") })?;
        if !self.serials.insert(fields.serial.to_vec()) {
            return Err(Error::Entry { index, what: "its serial number stands twice in the log".into() });
        }
        // A CA by its bare id, as `policy` compares it; a request never looks like one.
        let request = issued.request.as_ref().map(|id| format!("request {id}"));
        let whose = issued.subject_ca.clone().or(request).unwrap_or_default();
        self.subject_keys.insert(Digest::of(&fields.spki), whose);
        if let Some(ca) = &issued.subject_ca {
            self.issuers.insert(ca.clone(), issued.ca.clone());
            self.cas.insert(ca.clone(), (index, issued.der.clone()));
        }
        Ok(())
    }

    /// The plan that was started and whose release is not written yet. Until it is, nothing else begins: made again after a
    /// later plan, the release would hold that plan's CAs and CRLs.
    pub fn open_plan(&self) -> Option<(&Digest, &PlanState)> {
        self.plans.iter().find(|(_, state)| state.start.is_some() && !(state.end.is_some() && state.released))
    }

    /// Whose certificate holds this key (SHA-256 of its SubjectPublicKeyInfo).
    pub fn key_holder(&self, spki: &Digest) -> Option<&str> {
        self.subject_keys.get(spki).map(String::as_str)
    }

    pub fn serial_known(&self, serial: &[u8]) -> bool {
        self.serials.contains(serial)
    }

    /// The number of a CA's next CRL.
    pub fn next_crl_number(&self, ca: &str) -> u64 {
        self.crl_numbers.get(ca).copied().unwrap_or(0) + 1
    }
}
