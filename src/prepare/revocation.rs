//! Revocations, and the CRLs that tell of them in the same plan.

use std::collections::BTreeSet;

use crate::algorithm::SignatureAlgorithm;
use crate::cbor::Bytes;
use crate::config::Ca;
use crate::ledger::{CA_COMPROMISE, KEY_COMPROMISE};
use crate::plan::{Crl, Revoke};
use crate::policy::{self, Asker, CrlContext, IssuedFacts};
use crate::tbs;
use crate::x509::fields::Revoked;

use super::issuers::{Issuers, ca_key};
use super::{Context, Error, refused};

/// What one plan revokes, in the order asked.
#[derive(Default)]
pub(super) struct Revocations {
    planned: Vec<Revoke>,
    serials: BTreeSet<Bytes>,
    /// Those of them that somebody named.
    asked: BTreeSet<Bytes>,
}

impl Revocations {
    /// Judges one and takes it in. `ca`: the issuer that the asker names; a desk names none.
    pub(super) fn take(
        &mut self,
        context: &Context,
        asker: Asker,
        ca: Option<&str>,
        serial: &[u8],
        reason: Option<u8>,
    ) -> Result<Result<(), policy::Refused>, Error> {
        let issued = context.ledger.issued(context.log, serial)?;
        let on_record = issued.filter(|issued| ca.is_none_or(|ca| ca == issued.ca));
        let facts = on_record.as_ref().map(|issued| IssuedFacts {
            ca: &issued.ca,
            desk: issued.desk.as_deref(),
            not_after: issued.not_after,
            of_ca: issued.of_ca,
            cabf: context.hierarchy.ca(&issued.ca).is_some_and(Ca::cabf),
            revoked: issued.revoked.map(|(date, _)| date),
        });
        let serial = Bytes::from(serial.to_vec());
        let twice = self.asked.contains(&serial);
        if let Err(refused) = policy::judge_revocation(asker, reason, facts.as_ref(), twice, context.now) {
            return Ok(Err(refused));
        }
        self.asked.insert(serial.clone());
        self.plan(context, &serial, reason)?;
        if matches!(reason, Some(KEY_COMPROMISE | CA_COMPROMISE)) {
            // What makes one certificate of a key worthless makes all of them so.
            for other in context.ledger.same_key(context.log, &serial)? {
                self.plan(context, &Bytes::from(other), reason)?;
            }
        }
        Ok(Ok(()))
    }

    /// Plans one that is on record and good, once.
    fn plan(&mut self, context: &Context, serial: &Bytes, reason: Option<u8>) -> Result<(), Error> {
        let issued = context.ledger.issued(context.log, serial)?;
        let good = issued.filter(|i| i.revoked.is_none() && i.not_after >= context.now);
        if let Some(issued) = good.filter(|_| self.serials.insert(serial.clone())) {
            self.planned.push(Revoke { ca: issued.ca, serial: serial.clone(), reason, date: context.now });
        }
        Ok(())
    }

    pub(super) fn planned(&self) -> &[Revoke] {
        &self.planned
    }

    fn of(&self, ca: &str) -> impl Iterator<Item = Revoked> {
        let mine = self.planned.iter().filter(move |revoke| revoke.ca == ca);
        mine.map(|r| Revoked { serial: r.serial.clone(), date: r.date, reason: r.reason })
    }
}

/// The next CRL of a CA: what stands on it by the ledger, and what this plan revokes.
pub(super) fn crl(
    context: &mut Context,
    id: &str,
    issuers: &mut Issuers,
    revocations: &Revocations,
) -> Result<Crl, Error> {
    let ca = context.hierarchy.ca(id).ok_or(Error::Ca { ca: id.into(), what: "is not declared" })?;
    let facts = issuers.facts(context, id)?;
    let signer = issuers.key(ca)?;
    let number = context.ledger.next_crl_number(id);
    let judged = CrlContext {
        issuer: &facts,
        number,
        last_number: context.ledger.crl_numbers.get(id).copied(),
        this_update: context.now,
        days: ca.crl_days,
        of_end_entities: context.hierarchy.certifies_end_entities(ca),
    };
    let on_record = context.ledger.revoked(id).iter().map(|on| on.entry.clone());
    let revoked = on_record.chain(revocations.of(id)).collect();
    let fields = policy::crl_fields(&judged, revoked).map_err(|r| refused(id, r))?;
    let what = format!("CRL {number} of CA {id}");
    let tbs = tbs::crl(&fields).map_err(|cause| Error::Encode { what, cause })?;
    policy::lint_tbs_crl(&tbs, &fields, ca_key(&signer)).map_err(|r| refused(id, r))?;
    signable(id, fields.signature, tbs.len())?;
    let item = Crl { ca: id.into(), signer, tbs: Bytes::from(tbs), fields };
    context.lint.crl(&item)?.map_err(|r| refused(id, r))?;
    Ok(item)
}

/// Said while it can still be helped: in the token a list that is too long would only fail.
fn signable(ca: &str, algorithm: SignatureAlgorithm, length: usize) -> Result<(), Error> {
    match algorithm.longest_message() {
        Some(limit) if length > limit => Err(Error::TooLong { ca: ca.into(), length, limit }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::PostQuantum;

    #[test]
    fn a_list_too_long_for_a_key_that_signs_it_whole_is_not_planned() {
        let post_quantum = PostQuantum::ALL.map(SignatureAlgorithm::PostQuantum);
        for algorithm in post_quantum.into_iter().chain([SignatureAlgorithm::Ed25519]) {
            let limit = algorithm.longest_message().unwrap();
            assert!(signable("a", algorithm, limit).is_ok());
            let refused = signable("a", algorithm, limit + 1).unwrap_err();
            assert!(matches!(&refused, Error::TooLong { ca, .. } if ca == "a"), "{refused}");
            assert!(refused.hint().unwrap().contains("ECDSA"));
        }
        for algorithm in [SignatureAlgorithm::EcdsaSha256, SignatureAlgorithm::RsaPssSha512] {
            assert!(signable("a", algorithm, 60 << 20).is_ok());
        }
    }
}
