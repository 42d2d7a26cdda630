//! The rules that the order of entries keeps, whatever they hold.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::changed::{Changed, Unlawful};
use super::entry::{Body, Entry, Sampled, VERSION};
use super::serial::issuer_and_serial;
use crate::digest::Digest;
use crate::plan::Kind;

/// Which rule an entry breaks.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("the entry's version is {0}")]
    Version(u8),
    #[error("the first entry is not the genesis entry of this log and key")]
    Genesis,
    #[error("a second genesis entry")]
    SecondGenesis,
    #[error("plan {0} was planned before")]
    PlannedTwice(Digest),
    #[error("plan {0} is started without having been planned")]
    NotPlanned(Digest),
    #[error("plan {0} is started after its end")]
    StartedAfterEnd(Digest),
    #[error("plan {0} is voided after its end, or goes on after it was voided")]
    Voided(Digest),
    #[error("plan {0} is started although a sample of it does not agree with the evidence")]
    Differs(Digest),
    #[error("the sample is none: {0}")]
    Sample(&'static str),
    #[error("plan {plan} is started while plan {open} is open")]
    TwoOpen { plan: Digest, open: Digest },
    #[error("an entry of plan {0} stands outside the plan's start and end")]
    OutsidePlan(Digest),
    #[error("item {item} of the plan follows item {last}")]
    ItemOrder { item: u64, last: u64 },
    #[error("item {item} is beyond the plan's {items} items")]
    ItemBeyond { item: u64, items: u64 },
    #[error("the plan is of the other kind")]
    OtherKind,
    #[error("the entry counts {counted} done or refused, the log {recorded}")]
    Counts { counted: u64, recorded: u64 },
    #[error("the certificate's issuer and serial number cannot be read")]
    Certificate,
    #[error("it is about the key `{}`, which was not generated, or is another one", crate::text::escape(.0))]
    NotGenerated(String),
    #[error("{0}")]
    Change(#[from] Unlawful),
}

struct Plan {
    kind: Kind,
    items: u64,
    last: Option<u64>,
    done: u64,
    refused: u64,
    void: bool,
    differs: bool,
    ended: bool,
}

/// The state of a log, folded entry by entry. Memory grows with the number of plans and keys, and by 8 octets a certificate.
#[derive(Default)]
pub(super) struct Order {
    origin: String,
    verifier_key: String,
    entries: u64,
    plans: HashMap<Digest, Plan>,
    open: Option<Digest>,
    serials: Vec<u64>,
    /// The public half (SHA-256 of its SubjectPublicKeyInfo) that was generated last under each name.
    keys: HashMap<String, Digest>,
    changed: Changed,
}

impl Order {
    pub(super) fn new(origin: &str, verifier_key: &str) -> Order {
        Order { origin: origin.into(), verifier_key: verifier_key.into(), ..Order::default() }
    }

    /// The plan that was started and has not ended.
    pub(super) fn open_plan(&self) -> Option<Digest> {
        self.open
    }

    /// A certificate's entry of this version, as [`Order::take`] takes it. It changes nothing of the station's state.
    pub(super) fn certificate(&mut self, plan: Digest, item: u64, mark: Option<u64>) -> Result<(), Broken> {
        if self.entries == 0 {
            return Err(Broken::Genesis);
        }
        self.entries += 1;
        self.issued(plan, item, mark)
    }

    fn issued(&mut self, plan: Digest, item: u64, mark: Option<u64>) -> Result<(), Broken> {
        self.item(plan, item, Kind::Certificates)?;
        self.serials.push(mark.ok_or(Broken::Certificate)?);
        Ok(())
    }

    pub(super) fn take(&mut self, entry: &Entry) -> Result<(), Broken> {
        if entry.v != VERSION {
            return Err(Broken::Version(entry.v));
        }
        self.changed.take(self.entries, entry)?;
        let first = self.entries == 0;
        self.entries += 1;
        match &entry.body {
            Body::Genesis(_) if !first => Err(Broken::SecondGenesis),
            Body::Genesis(g) if g.origin == self.origin && g.verifier_key == self.verifier_key => Ok(()),
            _ if first => Err(Broken::Genesis),
            Body::Planned { plan, kind, items, .. } => self.planned(*plan, *kind, *items),
            Body::Start(start) => self.started(start.plan),
            Body::KeyGenerated(key) => {
                self.item(key.plan, key.item, Kind::Keys)?;
                self.keys.insert(key.key.clone(), Digest::of(&key.spki));
                Ok(())
            }
            Body::WrappingKeyGenerated(key) => self.item(key.plan, key.item, Kind::Keys),
            Body::KeyBackedUp(key) => self.about((key.plan, key.item), &key.key, key.spki),
            Body::KeyRestored(key) => self.about((key.plan, key.item), &key.key, key.spki),
            Body::KeyProven(key) => self.about((key.plan, key.item), &key.key, key.spki),
            Body::KeyDestroyed(key) => self.about((key.plan, key.item), &key.key, key.spki),
            Body::Revoked(revoked) => self.item(revoked.plan, revoked.item, Kind::Certificates),
            Body::Crl(crl) => self.item(crl.plan, crl.item, Kind::Certificates),
            Body::Csr(csr) => self.item(csr.plan, csr.item, Kind::Certificates),
            Body::Certificate(certificate) => {
                self.issued(certificate.plan, certificate.item, serial_mark(&certificate.der))
            }
            Body::Refused { plan, .. } => {
                self.running(*plan)?.refused += 1;
                Ok(())
            }
            Body::Void(void) => self.voided(void.plan, void.done),
            Body::Sampled(sampled) => self.sampled(sampled),
            Body::End(end) => {
                let plan = self.running(end.plan)?;
                for (counted, recorded) in [(end.done, plan.done), (end.refused, plan.refused)] {
                    if counted != recorded {
                        return Err(Broken::Counts { counted, recorded });
                    }
                }
                plan.ended = true;
                self.open = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Marks of serial numbers that were seen more than once: nearly always none, and candidates only.
    pub(super) fn doubtful_serials(mut self) -> Vec<u64> {
        self.serials.sort_unstable();
        let mut twice: Vec<u64> = self
            .serials
            .windows(2)
            .filter_map(|w| if let [a, b] = w { (a == b).then_some(*a) } else { None })
            .collect();
        twice.dedup();
        twice
    }

    /// An act on a key is about one that was generated before.
    fn about(&mut self, (plan, item): (Digest, u64), key: &str, spki: Digest) -> Result<(), Broken> {
        self.item(plan, item, Kind::Keys)?;
        match self.keys.get(key) == Some(&spki) {
            true => Ok(()),
            false => Err(Broken::NotGenerated(key.into())),
        }
    }

    fn planned(&mut self, plan: Digest, kind: Kind, items: u64) -> Result<(), Broken> {
        let new = Plan { kind, items, last: None, done: 0, refused: 0, void: false, differs: false, ended: false };
        match self.plans.insert(plan, new) {
            None => Ok(()),
            Some(_) => Err(Broken::PlannedTwice(plan)),
        }
    }

    /// A start; another one of the same open plan is a resume.
    fn started(&mut self, plan: Digest) -> Result<(), Broken> {
        match (self.plans.get(&plan), self.open) {
            (None, _) => Err(Broken::NotPlanned(plan)),
            (Some(known), _) if known.ended => Err(Broken::StartedAfterEnd(plan)),
            (Some(known), _) if known.void => Err(Broken::Voided(plan)),
            (Some(known), _) if known.differs => Err(Broken::Differs(plan)),
            (Some(_), Some(open)) if open != plan => Err(Broken::TwoOpen { plan, open }),
            _ => {
                self.open = Some(plan);
                Ok(())
            }
        }
    }

    /// A void: of the open plan, or of one that was planned only, while none is open.
    fn voided(&mut self, plan: Digest, counted: u64) -> Result<(), Broken> {
        if let Some(open) = self.open.filter(|open| *open != plan) {
            return Err(Broken::TwoOpen { plan, open });
        }
        match self.plans.get_mut(&plan) {
            None => Err(Broken::NotPlanned(plan)),
            Some(known) if known.ended || known.void => Err(Broken::Voided(plan)),
            Some(known) if known.done != counted => Err(Broken::Counts { counted, recorded: known.done }),
            Some(known) => {
                known.void = true;
                self.open = Some(plan);
                Ok(())
            }
        }
    }

    /// A sample is of a plan that waits or runs, and says of its items what can be said.
    fn sampled(&mut self, sampled: &Sampled) -> Result<(), Broken> {
        match self.plans.get_mut(&sampled.plan) {
            None => return Err(Broken::NotPlanned(sampled.plan)),
            Some(known) if known.ended || known.void => return Err(Broken::Voided(sampled.plan)),
            Some(known) if known.items != sampled.items => {
                return Err(Broken::Sample("the plan has not so many items"));
            }
            Some(known) => known.differs |= !sampled.differs.is_empty(),
        }
        sampled.fault().map_or(Ok(()), |what| Err(Broken::Sample(what)))
    }

    fn running(&mut self, plan: Digest) -> Result<&mut Plan, Broken> {
        let running = if self.open == Some(plan) { self.plans.get_mut(&plan) } else { None };
        running.ok_or(Broken::OutsidePlan(plan))
    }

    fn item(&mut self, plan: Digest, item: u64, kind: Kind) -> Result<(), Broken> {
        let name = plan;
        let plan = self.running(plan)?;
        if plan.void {
            return Err(Broken::Voided(name));
        }
        if plan.kind != kind {
            return Err(Broken::OtherKind);
        }
        if item >= plan.items {
            return Err(Broken::ItemBeyond { item, items: plan.items });
        }
        if let Some(last) = plan.last.filter(|last| *last >= item) {
            return Err(Broken::ItemOrder { item, last });
        }
        plan.last = Some(item);
        plan.done += 1;
        Ok(())
    }
}

/// 64 bits that stand for an issuer and serial number. Equal marks are looked at again, octet by octet.
pub(super) fn serial_mark(der: &[u8]) -> Option<u64> {
    let (issuer, serial) = issuer_and_serial(der)?;
    let mut hasher = DefaultHasher::new();
    (issuer, serial).hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
pub(super) mod tests;
