//! What a ceremony signs: CA certificates, revocations, CRLs.

use std::collections::BTreeMap;
use std::fs::File;

use crate::cbor::Bytes;
use crate::config::{Act, Ca, Ceremony, Profile};
use crate::digest::Digest;
use crate::plan::{Certificate, Head, Item, KeyRef, Kind, PlanWriter};
use crate::policy::{self, Asker, CaContext, IssuerFacts, Seen};
use crate::tbs;

use super::issuers::{Issuers, ca_key, ca_keys, profile_of};
use super::known::KnownInLedger;
use super::revocation::{Revocations, crl};
use super::{Context, Error, certificate_bytes, finish, refused, window};
use super::{external, foreign, signer};

/// The certificate plan of a ceremony, over these keys.
pub(super) fn certificates(
    context: &mut Context,
    ceremony: &Ceremony,
    keys: BTreeMap<String, KeyRef>,
    dry_run: Option<Digest>,
    out: &mut File,
) -> Result<Head, Error> {
    let writer = PlanWriter::new(Kind::Certificates, context.scratch)?;
    let known = KnownInLedger::new(context);
    let mut seen = Seen::new(&known, ca_keys(context.hierarchy, &keys));
    let mut issuers = Issuers::new(context, keys.clone())?;
    let mut revocations = Revocations::default();
    let mut with_crl: Vec<String> = Vec::new();
    let mut made = Made { writer, issuing: Vec::new(), profiles: Vec::new() };
    for act in &ceremony.acts {
        match act {
            Act::Root { ca } | Act::Intermediate { ca } => {
                let Some(declared) = context.hierarchy.ca(ca) else { continue };
                if context.ledger.cas.contains_key(ca) {
                    return Err(Error::Ca { ca: ca.clone(), what: "has its certificate already" });
                }
                let item = ca_certificate(context, declared, &mut issuers, &mut seen)?;
                made.certificate(context, item)?;
            }
            Act::Certify { ca, request } => {
                let Some(declared) = context.hierarchy.ca(ca) else { continue };
                let item = foreign::certificate(context, declared, request, &mut issuers, &mut seen)?;
                made.certificate(context, item)?;
            }
            Act::Csr { ca } => {
                let Some(declared) = context.hierarchy.ca(ca) else { continue };
                let item = external::request(context, declared, &issuers, &mut seen)?;
                made.profiles.extend(context.hierarchy.profile(&item.profile));
                made.writer.item(&Item::Csr(Box::new(item)))?;
            }
            Act::Signer(signed) => {
                let item = signer::certificate(context, signed, &mut issuers, &mut seen)?;
                made.certificate(context, item)?;
            }
            Act::Cross(cross) => {
                let item = foreign::cross(context, cross, &mut issuers, &mut seen)?;
                made.certificate(context, item)?;
            }
            Act::Revoke { ca, serial, reason } => {
                let taken = revocations.take(context, Asker::Station, Some(ca), serial, *reason)?;
                taken.map_err(|r| refused(ca, r))?;
                if !ceremony.acts.contains(&Act::Crl { ca: ca.clone() }) && !with_crl.contains(ca) {
                    with_crl.push(ca.clone());
                }
            }
            Act::Crl { ca } => with_crl.push(ca.clone()),
            _ => {}
        }
    }
    let Made { mut writer, issuing, mut profiles } = made;
    // The first CRL of a CA stands in the plan of its first certificate (CA/Browser BR 4.9.7).
    for ca in issuing {
        let asked = ceremony.acts.contains(&Act::Crl { ca: ca.clone() });
        if !asked && !context.ledger.crls.contains_key(&ca) && !with_crl.contains(&ca) {
            with_crl.push(ca);
        }
    }
    for revoke in revocations.planned() {
        writer.item(&Item::Revoke(revoke.clone()))?;
        // One that goes with another, since they have the same key, may be another CA's.
        if !with_crl.contains(&revoke.ca) {
            with_crl.push(revoke.ca.clone());
        }
    }
    for ca in with_crl {
        let item = crl(context, &ca, &mut issuers, &revocations)?;
        profiles.extend(context.hierarchy.ca(&ca).and_then(|c| context.hierarchy.profile(&c.profile)));
        writer.item(&Item::Crl(Box::new(item)))?;
    }
    if writer.item_count() == 0 {
        return Err(Error::Nothing("every key of this ceremony is made, and it has no act that signs"));
    }
    known.failed()?;
    finish(context, writer, Kind::Certificates, None, dry_run, window(profiles.into_iter()), out)
}

/// What came into a plan so far.
struct Made<'a> {
    writer: PlanWriter,
    /// The CAs that certify something in it.
    issuing: Vec<String>,
    profiles: Vec<&'a Profile>,
}

impl<'a> Made<'a> {
    /// Takes a certificate, once the linters have judged it.
    fn certificate(&mut self, context: &mut Context<'a>, item: Certificate) -> Result<(), Error> {
        let whose = item.subject_ca.as_deref().unwrap_or(&item.ca);
        context.lint.certificate(&item)?.map_err(|r| refused(whose, r))?;
        self.profiles.extend(context.hierarchy.profile(&item.profile));
        self.issuing.push(item.ca.clone());
        Ok(self.writer.item(&Item::Certificate(Box::new(item)))?)
    }
}

fn ca_certificate(
    context: &mut Context,
    ca: &Ca,
    issuers: &mut Issuers,
    seen: &mut Seen,
) -> Result<Certificate, Error> {
    let key = issuers.key(ca)?;
    let profile = profile_of(context, ca)?;
    let issuer = if ca.is_root() { None } else { Some(issuers.certifying(context, &ca.issuer)?) };
    let signer = issuers.signer(context, ca)?;
    let (subject, constraints) = (tbs::name(&ca.subject), tbs::constraints(&ca.limits));
    let serial = context.draw.serial();
    let judged = CaContext {
        profile,
        ca,
        subject: &subject,
        constraints: &constraints,
        key: ca_key(&key),
        issuer: issuer.as_ref(),
        sign_from: context.now,
    };
    let fields = policy::ca_fields(&judged, serial, seen).map_err(|r| refused(&ca.id, r))?;
    let tbs = certificate_bytes(&fields, &signer).map_err(|r| refused(&ca.id, r))?;
    let facts =
        IssuerFacts::planned(&fields, issuer.as_ref(), ca, &subject, ca_key(&key)).map_err(|r| refused(&ca.id, r))?;
    issuers.facts.insert(ca.id.clone(), facts);
    Ok(Certificate {
        act: if ca.is_root() { "root" } else { "intermediate" }.into(),
        ca: ca.issuer.clone(),
        subject_ca: Some(ca.id.clone()),
        request: None,
        profile: profile.id.clone(),
        requester: None,
        outside: None,
        signer,
        tbs: Bytes::from(tbs),
        fields,
    })
}
