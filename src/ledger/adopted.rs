//! What was signed elsewhere and counts here: CRLs, and certificates by external issuers.

use std::ops::RangeInclusive;

use crate::audit::entry::{CertificateAdopted, CrlAdopted};
use crate::config::EXTERNAL;
use crate::digest::Digest;
use crate::x509;
use crate::x509::fields::{CrlFields, Revoked};

use super::{CRL_JUMP, Entries, Error, Ledger, OnCrl};

/// The serial numbers of a foreign CRL, sorted out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// Entries of certificates that are not on record: kept on every further CRL, since nobody here knows when they end.
    pub unknown: Vec<Revoked>,
    /// Certificates on record that this station has not revoked.
    pub good_here: Vec<Revoked>,
}

/// The greatest number that is adopted: those behind it must have room.
const MOST: u64 = 1 << 62;

impl Ledger {
    /// The numbers of CRLs that can be adopted for a CA whatever stands on them: those behind all that were given, and where the log
    /// has lost its end, those that may have been given in the gap.
    pub fn adoptable(&self, ca: &str) -> Vec<RangeInclusive<u64>> {
        let mut ranges = vec![self.next_crl_number(ca)..=MOST];
        if self.crl_jump > 0 {
            let before = self.crl_before_gap.get(ca).copied().unwrap_or(self.crl_jump - CRL_JUMP);
            ranges.push(before.saturating_add(1)..=before.saturating_add(CRL_JUMP - 1));
        }
        ranges
    }

    /// Whether a CRL with this number can be adopted. One that names certificates which are unknown here brings something whatever its
    /// number: what had to be revoked here first may have used that one up. The numbers of the next ones only rise.
    pub fn adopts(&self, ca: &str, number: u64, unknown: &[Revoked]) -> bool {
        (!unknown.is_empty() && number <= MOST) || self.adoptable(ca).iter().any(|numbers| numbers.contains(&number))
    }

    /// Sorts the entries of a CRL of this CA: those that stand on its list already are in neither part.
    pub fn sort_out(&self, log: &dyn Entries, ca: &str, crl: &CrlFields) -> Result<Foreign, Error> {
        let mut foreign = Foreign::default();
        let listed: std::collections::BTreeSet<&[u8]> =
            self.revoked(ca).iter().map(|on| on.entry.serial.as_slice()).collect();
        for revoked in crl.revoked.iter().filter(|revoked| !listed.contains(revoked.serial.as_slice())) {
            match self.issued(log, &revoked.serial)?.filter(|issued| issued.ca == ca) {
                None => foreign.unknown.push(revoked.clone()),
                Some(issued) if issued.revoked.is_none() => foreign.good_here.push(revoked.clone()),
                Some(_) => {}
            }
        }
        Ok(foreign)
    }

    /// Takes the entry of a certificate by an external issuer: it answers the newest request of its CA and verifies under those above it.
    pub(super) fn adopt_certificate(&mut self, index: u64, adopted: &CertificateAdopted) -> Result<(), Error> {
        let wrong = |what: String| Error::Entry { index, what };
        let ca = &adopted.ca;
        let csr = self.csrs.get(ca).filter(|csr| Digest::of(csr) == adopted.csr);
        let csr = csr.ok_or_else(|| wrong("answers no request on record".into()))?;
        let request = x509::Request::parse(csr).map_err(|e| wrong(format!("its request cannot be read: {e}")))?;
        let fields = x509::verify_external(&adopted.der, &adopted.above)
            .map_err(|e| wrong(format!("its certificate does not verify: {e}")))?;
        if (fields.spki.as_slice(), fields.subject.as_slice()) != (&request.spki, &request.subject) {
            return Err(wrong("its certificate is for another key or name than its request".into()));
        }
        let before = self.cas.get(ca).map(|(_, der)| Digest::of(der));
        if (fields.not_before, fields.not_after, before) != (adopted.not_before, adopted.not_after, adopted.replaces) {
            return Err(wrong("is not what its certificate says, or replaces another one".into()));
        }
        if self.issuers.get(ca).is_some_and(|issuer| issuer != EXTERNAL) {
            return Err(wrong("is about a CA of this station's own".into()));
        }
        self.cas.insert(ca.clone(), (index, adopted.der.clone()));
        self.issuers.insert(ca.clone(), EXTERNAL.into());
        self.above.insert(ca.clone(), adopted.above.clone());
        Ok(())
    }

    /// Takes the entry of such a CRL: its number counts, its unknown entries stay, and a CRL that says so is due.
    pub(super) fn adopt_crl(&mut self, log: &dyn Entries, index: u64, adopted: &CrlAdopted) -> Result<(), Error> {
        let wrong = |what: String| Error::Entry { index, what };
        let der = log.artefact(&adopted.crl).map_err(|e| wrong(format!("its CRL is not here: {e}")))?;
        let (_, issuer) = self.cas.get(&adopted.ca).ok_or_else(|| wrong("its CA is not on record".into()))?;
        let crl = x509::verify_crl(&der, issuer).map_err(|e| wrong(format!("its CRL does not verify: {e}")))?;
        let said = (adopted.number, adopted.this_update, adopted.next_update, adopted.entries);
        if (crl.number, crl.this_update, crl.next_update, crl.revoked.len() as u64) != said {
            return Err(wrong("is not what its CRL says".into()));
        }
        let Foreign { unknown, good_here } = self.sort_out(log, &adopted.ca, &crl)?;
        if unknown.len() as u64 != adopted.unknown || !good_here.is_empty() {
            return Err(wrong("counts the entries of its CRL wrong".into()));
        }
        if !self.adopts(&adopted.ca, adopted.number, &unknown) {
            return Err(wrong("adopts a CRL with a number that was given already".into()));
        }
        let list = self.revoked.entry(adopted.ca.clone()).or_default();
        list.extend(unknown.into_iter().map(|entry| OnCrl { entry, not_after: i64::MAX }));
        let number = adopted.number.max(self.next_crl_number(&adopted.ca) - 1);
        self.crl_numbers.insert(adopted.ca.clone(), number);
        self.unlisted.insert(adopted.ca.clone());
        Ok(())
    }
}
