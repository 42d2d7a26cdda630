//! The fold itself: what each entry adds to what is known.

use crate::audit::entry::{Body, CertificateIssued, CrlIssued, CsrMade, Entry, LogAdopted, PinSplit, Revoked, Sampled};
use crate::digest::Digest;
use crate::plan::Count;
use crate::x509;
use crate::x509::fields;

use super::places::{Key, Thing};
use super::{
    CA_COMPROMISE, CRL_JUMP, Entries, Error, KEY_COMPROMISE, Ledger, OnCrl, PinSet, PlanState, RSA_KEYS, TWICE,
};

impl Ledger {
    /// Takes the next entry of `log`, in which the entries before it stand.
    pub fn add(&mut self, log: &dyn Entries, index: u64, entry: &Entry) -> Result<(), Error> {
        let wrong = |what: &str| Error::Entry { index, what: what.into() };
        if index != self.size {
            return Err(wrong("is not the next one"));
        }
        self.size += 1;
        self.places.settle()?;
        self.changed.take(index, entry).map_err(|e| wrong(&e.to_string()))?;
        match &entry.body {
            Body::Genesis(genesis) => self.genesis = Some(genesis.clone()),
            Body::BundleReceived { bundle, count, revocations } => {
                self.received.push((entry.time, bundle.desk.clone(), *count, *revocations));
                self.heard_since.insert(bundle.desk.clone());
                self.bundles.insert(bundle.desk.clone(), bundle.clone());
            }
            Body::Planned { plan, kind, items, refused, bundle, counts } => {
                for count in counts.iter().filter(|c| c.act == "crl") {
                    self.planned_crl(index, count)?;
                }
                let planned = PlanState::planned(*kind, *items, *refused, bundle.clone(), index);
                self.plans.entry(*plan).or_insert(planned);
            }
            Body::Start(start) => {
                let state =
                    self.plans.get_mut(&start.plan).ok_or_else(|| wrong("starts a plan that was not made here"))?;
                state.start = Some((index, start.clone()));
            }
            Body::KeyGenerated(key) => {
                self.item(&key.plan, key.item, index)?;
                self.keys.insert(key.key.clone(), key.clone());
            }
            Body::WrappingKeyGenerated(key) => {
                self.item(&key.plan, key.item, index)?;
                self.wrapping_keys.insert(key.key.clone(), key.clone());
            }
            Body::KeyBackedUp(backup) => {
                self.item(&backup.plan, backup.item, index)?;
                self.made(&backup.key, &backup.spki, index)?;
                self.backups.insert(backup.key.clone(), backup.clone());
            }
            Body::KeyRestored(key) => {
                self.item(&key.plan, key.item, index)?;
                self.made(&key.key, &key.spki, index)?;
                self.destroyed.remove(&key.key);
            }
            Body::KeyProven(proven) => {
                self.item(&proven.plan, proven.item, index)?;
                self.made(&proven.key, &proven.spki, index)?;
            }
            Body::KeyDestroyed(key) => {
                self.item(&key.plan, key.item, index)?;
                self.made(&key.key, &key.spki, index)?;
                self.destroyed.insert(key.key.clone());
            }
            Body::Certificate(issued) => {
                self.item(&issued.plan, issued.item, index)?;
                self.certificate(index, issued)?;
            }
            Body::Revoked(revoked) => {
                self.item(&revoked.plan, revoked.item, index)?;
                self.revoke(log, index, revoked)?;
            }
            Body::Crl(crl) => self.crl(index, crl)?,
            Body::Csr(csr) => {
                self.item(&csr.plan, csr.item, index)?;
                self.request(index, csr)?;
            }
            Body::Refused { plan, request, .. } => self.refuse(index, plan, request)?,
            Body::CrlAdopted(adopted) => self.adopt_crl(log, index, adopted)?,
            Body::CertificateAdopted(adopted) => self.adopt_certificate(index, adopted)?,
            Body::Void(void) => {
                let state = self.plans.get_mut(&void.plan).filter(|state| state.end.is_none());
                let state = state.ok_or_else(|| wrong("voids a plan that was not made here, or ended"))?;
                state.void = Some((index, void.clone()));
            }
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
            Body::Sampled(sampled) => self.sample(index, sampled)?,
            Body::PinSplit(split) => self.split(split),
            Body::PinSplitDone { token, set, new_pin } => self.split_done(index, token, set, *new_pin)?,
            Body::Probe { token, protected, .. } => {
                // A probe that did not find out takes nothing back.
                self.protected.extend(protected.map(|protected| (token.clone(), protected)));
            }
            Body::LogAdopted(lost) => self.lose(lost.clone()),
            Body::HandedOver(handed) => {
                // Whether the clone was made before its PIN was split, or behind, the PIN that opens it says.
                let sets = self.pin_sets.entry(handed.token.clone()).or_default();
                sets.retain(|known| known.confirmed);
                sets.iter_mut().for_each(|known| known.confirmed = false);
                if handed.lost {
                    self.jump();
                }
            }
            Body::Open { .. }
            | Body::PinTry { .. }
            | Body::Login { .. }
            | Body::Inventory { .. }
            | Body::HierarchyAdopted(_)
            | Body::ClockCorrected(_)
            | Body::MediumRead { .. }
            | Body::CopyWritten { .. }
            | Body::Indexed { .. }
            | Body::Step { .. }
            | Body::Deviation { .. }
            | Body::Evidence(_)
            | Body::Failure { .. } => {}
        }
        Ok(())
    }

    /// The number of a planned CRL is taken, whether it is ever signed or not.
    fn planned_crl(&mut self, index: u64, count: &Count) -> Result<(), Error> {
        let number = count.detail.strip_prefix("number-").and_then(|n| n.parse().ok());
        let number: u64 = number.ok_or_else(|| Error::Entry { index, what: "a planned CRL has no number".into() })?;
        let last = self.crl_numbers.entry(count.ca.clone()).or_default();
        *last = number.max(*last);
        Ok(())
    }

    fn refuse(&mut self, index: u64, plan: &Digest, request: &str) -> Result<(), Error> {
        let state = self.running(plan, index)?;
        if state.done < state.items && state.void.is_none() {
            return Err(Error::Entry { index, what: "a refusal stands before the items of its plan are done".into() });
        }
        state.answered += 1;
        self.places.insert(Key::of(Thing::Request, request.as_bytes()), index);
        Ok(())
    }

    fn sample(&mut self, index: u64, sampled: &Sampled) -> Result<(), Error> {
        let wrong = |what: &str| Error::Entry { index, what: what.into() };
        let state = self.plans.get_mut(&sampled.plan).filter(|state| state.items == sampled.items);
        let state = state.ok_or_else(|| wrong("is a sample of a plan that was not made here"))?;
        if let Some(what) = sampled.fault() {
            return Err(wrong(what));
        }
        if state.differs.is_none() && !sampled.differs.is_empty() {
            state.differs = Some(index);
        }
        Ok(())
    }

    fn split(&mut self, split: &PinSplit) {
        let sets = self.pin_sets.entry(split.token.clone()).or_default();
        sets.retain(|known| known.confirmed);
        sets.push(PinSet { split: split.clone(), confirmed: false });
    }

    fn split_done(&mut self, index: u64, token: &str, set: &[u8], new_pin: bool) -> Result<(), Error> {
        let sets = self.pin_sets.entry(token.into()).or_default();
        if !sets.iter().any(|known| known.split.set.as_slice() == set && !known.confirmed) {
            return Err(Error::Entry { index, what: "ends a split of a PIN that was not begun".into() });
        }
        sets.retain(|known| (known.split.set.as_slice() == set) == new_pin);
        sets.iter_mut().for_each(|known| known.confirmed = true);
        Ok(())
    }

    /// A gap: release and CRL numbers go on where nothing that was lost can have used them (RFC 5280 §5.2.3 has 20 octets).
    fn lose(&mut self, lost: LogAdopted) {
        self.release = lost.mark_release;
        self.jump();
        self.heard_since.clear();
        self.lost.push(lost);
    }

    /// CRLs may have been signed that this log does not know: with a part of it that is lost, or with a token that is.
    fn jump(&mut self) {
        self.crl_before_gap = self.crl_numbers.clone();
        self.crl_jump = self.crl_jump.saturating_add(CRL_JUMP);
        self.crl_numbers.values_mut().for_each(|number| *number = number.saturating_add(CRL_JUMP));
    }

    /// Acts on keys are about keys on record.
    fn made(&self, key: &str, spki: &Digest, index: u64) -> Result<(), Error> {
        match self.keys.get(key).is_some_and(|made| Digest::of(&made.spki) == *spki) {
            true => Ok(()),
            false => Err(Error::Entry { index, what: "is about a key that was not generated".into() }),
        }
    }

    /// Counts an item of a plan: in order, and only while the plan is open.
    fn item(&mut self, plan: &Digest, item: u64, index: u64) -> Result<(), Error> {
        let state = self.running(plan, index)?;
        if item != state.done || state.void.is_some() {
            return Err(Error::Entry { index, what: format!("is not item {} of its plan", state.done) });
        }
        state.done += 1;
        Ok(())
    }

    fn running(&mut self, plan: &Digest, index: u64) -> Result<&mut PlanState, Error> {
        let running = |state: &&mut PlanState| (state.start.is_some() || state.void.is_some()) && state.end.is_none();
        let state = self.plans.get_mut(plan).filter(running);
        state.ok_or(Error::Entry { index, what: "belongs to a plan that is not started, or ended".into() })
    }

    fn certificate(&mut self, index: u64, issued: &CertificateIssued) -> Result<(), Error> {
        let fields = x509::read_certificate(&issued.der)
            .map_err(|e| Error::Entry { index, what: format!("its certificate does not parse: {e}") })?;
        let serial = Key::of(Thing::Serial, &fields.serial);
        if self.places.is_recent(&serial) {
            return Err(Error::Entry { index, what: TWICE.into() });
        }
        self.places.insert(serial, index);
        self.places.insert(Key::of(Thing::Key, &Digest::of(&fields.spki).0), index);
        if let Some(request) = &issued.request {
            self.places.insert(Key::of(Thing::Request, request.as_bytes()), index);
        }
        if x509::is_rsa(&fields.spki) {
            self.remember_rsa(index);
        }
        if issued.subject_ca.is_none() {
            for name in x509::holder_names(&fields.subject, &fields.san) {
                self.places.insert(Key::of(Thing::Name, name.to_ascii_lowercase().as_bytes()), index);
            }
        }
        if issued.subject_ca.as_ref() != Some(&issued.ca) {
            *self.ends.entry(issued.ca.clone()).or_default().entry(fields.not_after).or_default() += 1;
        }
        if let Some(ca) = &issued.subject_ca {
            self.issuers.insert(ca.clone(), issued.ca.clone());
            self.cas.insert(ca.clone(), (index, issued.der.clone()));
        }
        Ok(())
    }

    fn crl(&mut self, index: u64, crl: &CrlIssued) -> Result<(), Error> {
        self.item(&crl.plan, crl.item, index)?;
        // An entry leaves the list once it has stood on a CRL from behind its certificate's validity (RFC 5280 §3.3).
        if let Some(list) = self.revoked.get_mut(&crl.ca) {
            list.retain(|on| on.not_after >= crl.this_update);
        }
        self.unlisted.remove(&crl.ca);
        self.crls.insert(crl.ca.clone(), crl.clone());
        Ok(())
    }

    fn request(&mut self, index: u64, csr: &CsrMade) -> Result<(), Error> {
        let wrong = |e: x509::Error| Error::Entry { index, what: format!("its request is not good: {e}") };
        x509::Request::parse(&csr.der).and_then(|request| request.verify_possession()).map_err(wrong)?;
        self.csrs.insert(csr.ca.clone(), csr.der.clone());
        Ok(())
    }

    /// Keeps the newest [`RSA_KEYS`].
    fn remember_rsa(&mut self, index: u64) {
        let state = &mut self.state;
        match state.rsa.back_mut() {
            Some((first, count)) if *first + *count == index => *count += 1,
            _ => state.rsa.push_back((index, 1)),
        }
        state.rsa_count += 1;
        if let Some((first, count)) = state.rsa.front_mut().filter(|_| state.rsa_count > RSA_KEYS) {
            (*first, *count, state.rsa_count) = (*first + 1, *count - 1, RSA_KEYS);
            if *count == 0 {
                state.rsa.pop_front();
            }
        }
    }

    fn revoke(&mut self, log: &dyn Entries, index: u64, revoked: &Revoked) -> Result<(), Error> {
        let wrong = |what: &str| Error::Entry { index, what: what.into() };
        let found = self.issued(log, &revoked.serial)?.filter(|issued| issued.ca == revoked.ca);
        let issued = found.ok_or_else(|| wrong("revokes a certificate that is not on record"))?;
        if issued.revoked.is_some() {
            return Err(wrong("revokes a certificate that is revoked"));
        }
        self.places.insert(Key::of(Thing::Revoked, &revoked.serial), index);
        if matches!(revoked.reason, Some(KEY_COMPROMISE | CA_COMPROMISE)) {
            self.places.insert(Key::of(Thing::Compromised, &issued.spki.0), index);
        }
        if let Some(ends) = self.ends.get_mut(&revoked.ca)
            && let Some(count) = ends.get_mut(&issued.not_after).filter(|_| !issued.own)
        {
            *count -= 1;
            if *count == 0 {
                ends.remove(&issued.not_after);
            }
        }
        let entry = fields::Revoked { serial: revoked.serial.clone(), date: revoked.date, reason: revoked.reason };
        let on = OnCrl { entry, not_after: issued.not_after };
        self.revoked.entry(revoked.ca.clone()).or_default().push(on);
        self.unlisted.insert(revoked.ca.clone());
        Ok(())
    }
}
