//! The first half of the road: ceremony or bundle, plus ledger, becomes a plan, by running `policy` and `tbs`.
//!
//! Nothing here touches a token. What a plan says about a certificate is made twice: `policy` decides the fields, `tbs`
//! makes the bytes, `x509` reads the bytes, and the two must agree before the item enters the plan.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use crate::cbor::Bytes;
use crate::config::{Act, Ca, Ceremony, Hierarchy, Profile};
use crate::digest::Digest;
use crate::ledger::Ledger;
use crate::plan::{self, BundleRef, Certificate, Crl, GenerateKey, Head, Item, KeyRef, Kind, PlanWriter};
use crate::policy::{self, CaContext, CrlContext, IssuerFacts, Known, LeafContext, RequestRow, Seen};
use crate::{bundle, tbs, text, x509};

mod draw;
mod dry_run;

pub use draw::Draw;

/// Why no plan was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Plan(#[from] plan::Error),
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    #[error("CA `{ca}`: check `{check}` failed: {reason}")]
    Refused { ca: String, check: String, reason: String },
    #[error("CA `{ca}` {what}")]
    Ca { ca: String, what: &'static str },
    #[error("the certificate for `{what}` cannot be encoded: {cause}")]
    Encode { what: String, cause: tbs::Error },
    #[error("the bytes made for `{what}` do not say what was decided: {difference}")]
    NotAsDecided { what: String, difference: String },
    #[error("there is nothing to do: {0}")]
    Nothing(&'static str),
    #[error("a throw-away key for the dry run could not be made")]
    DryRunKey,
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Plan(e) => e.hint(),
            Error::Bundle(e) => e.hint(),
            Error::Refused { .. } => Some("mend hierarchy.toml or the ceremony; no key was used".into()),
            Error::Ca { .. } => {
                Some("mend the ceremony file: the acts stand in the order key, root, intermediate".into())
            }
            Error::Nothing(_) => Some("`coldroot show audit` says what is on record".into()),
            Error::Encode { .. } | Error::NotAsDecided { .. } | Error::DryRunKey => None,
        }
    }
}

/// What a plan is made from, besides its acts.
pub struct Context<'a> {
    pub hierarchy: &'a Hierarchy,
    pub ledger: &'a Ledger,
    pub now: i64,
    pub draw: Draw,
    /// A directory for unnamed files on the station's own disk.
    pub scratch: &'a Path,
    /// Called with the number of requests judged.
    pub progress: &'a mut dyn FnMut(u64),
}

/// Plans a ceremony: keys first; when its keys are on record, the certificates.
pub fn ceremony(context: &mut Context, ceremony: &Ceremony, out: &mut File) -> Result<Head, Error> {
    let missing: Vec<&str> = ceremony
        .acts
        .iter()
        .filter_map(|act| match act {
            Act::GenerateKey { key } if !context.ledger.keys.contains_key(key) => Some(key.as_str()),
            _ => None,
        })
        .collect();
    if missing.is_empty() {
        let keys = context
            .ledger
            .keys
            .iter()
            .map(|(id, k)| (id.clone(), key_ref(id, &k.token, &k.label, &k.cka_id, k.algorithm, &k.spki)));
        let keys = keys.collect();
        return certificates(context, ceremony, keys, None, out);
    }
    let dry_run = dry_run::certificates(context, ceremony)?;
    let mut writer = PlanWriter::new(Kind::Keys, context.scratch)?;
    for id in missing {
        let Some(key) = context.hierarchy.key(id) else { continue };
        writer.item(&Item::GenerateKey(GenerateKey {
            key: key.id.clone(),
            token: key.token.clone(),
            label: key.label.clone(),
            cka_id: Bytes::from(context.draw.id().to_vec()),
            algorithm: key.algorithm,
            backup: key.backup,
        }))?;
    }
    finish(context, writer, Kind::Keys, None, dry_run, window(context.hierarchy.profiles.iter()), out)
}

fn key_ref(
    key: &str,
    token: &str,
    label: &str,
    cka_id: &Bytes,
    algorithm: crate::algorithm::KeyAlgorithm,
    spki: &Bytes,
) -> KeyRef {
    KeyRef {
        key: key.into(),
        token: token.into(),
        label: label.into(),
        cka_id: cka_id.clone(),
        algorithm,
        spki: spki.clone(),
    }
}

/// The certificate plan of a ceremony, over these keys.
fn certificates(
    context: &mut Context,
    ceremony: &Ceremony,
    keys: BTreeMap<String, KeyRef>,
    dry_run: Option<Digest>,
    out: &mut File,
) -> Result<Head, Error> {
    let mut writer = PlanWriter::new(Kind::Certificates, context.scratch)?;
    let known = KnownInLedger(context.ledger);
    let mut seen = Seen::new(&known, ca_keys(context.hierarchy, &keys));
    let mut issuers = Issuers::new(context.ledger, keys.clone());
    let mut with_crl: Vec<String> = Vec::new();
    let mut profiles: Vec<&Profile> = Vec::new();
    for act in &ceremony.acts {
        match act {
            Act::Root { ca } | Act::Intermediate { ca } => {
                let Some(declared) = context.hierarchy.ca(ca) else { continue };
                if context.ledger.cas.contains_key(ca) {
                    return Err(Error::Ca { ca: ca.clone(), what: "has its certificate already" });
                }
                let item = ca_certificate(context, declared, &mut issuers, &mut seen)?;
                profiles.extend(context.hierarchy.profile(&declared.profile));
                writer.item(&Item::Certificate(Box::new(item)))?;
                // The first CRL of a CA stands in the plan of its first certificate (CA/Browser BR 4.9.7).
                let asked = ceremony.acts.contains(&Act::Crl { ca: declared.issuer.clone() });
                if !asked && !context.ledger.crls.contains_key(&declared.issuer) && !with_crl.contains(&declared.issuer)
                {
                    with_crl.push(declared.issuer.clone());
                }
            }
            Act::Crl { ca } => with_crl.push(ca.clone()),
            Act::GenerateKey { .. } | Act::Step { .. } => {}
        }
    }
    for ca in with_crl {
        let item = crl(context, &ca, &mut issuers)?;
        profiles.extend(context.hierarchy.ca(&ca).and_then(|c| context.hierarchy.profile(&c.profile)));
        writer.item(&Item::Crl(Box::new(item)))?;
    }
    if writer.item_count() == 0 {
        return Err(Error::Nothing("every key of this ceremony is made, and it has no act that signs"));
    }
    finish(context, writer, Kind::Certificates, None, dry_run, window(profiles.into_iter()), out)
}

/// Plans the answer to a bundle: one verdict for each request, certificates for the accepted ones.
pub fn bundle(
    context: &mut Context,
    reference: BundleRef,
    items: impl Iterator<Item = Result<bundle::Item, bundle::Error>>,
    out: &mut File,
) -> Result<Head, Error> {
    let mut writer = PlanWriter::new(Kind::Certificates, context.scratch)?;
    let keys = context
        .ledger
        .keys
        .iter()
        .map(|(id, k)| (id.clone(), key_ref(id, &k.token, &k.label, &k.cka_id, k.algorithm, &k.spki)));
    let keys: BTreeMap<String, KeyRef> = keys.collect();
    let known = KnownInLedger(context.ledger);
    let mut seen = Seen::new(&known, ca_keys(context.hierarchy, &keys));
    let mut issuers = Issuers::new(context.ledger, keys.clone());
    let mut profiles: Vec<&Profile> = Vec::new();
    let mut with_crl: Vec<String> = Vec::new();
    for (n, item) in items.enumerate() {
        let bundle::Item::Request(request) = item?;
        match leaf(context, &request, &mut issuers, &mut seen)? {
            Ok((certificate, profile)) => {
                if !profiles.iter().any(|p| p.id == profile.id) {
                    profiles.push(profile);
                }
                if !context.ledger.crls.contains_key(&certificate.ca) && !with_crl.contains(&certificate.ca) {
                    with_crl.push(certificate.ca.clone());
                }
                writer.item(&Item::Certificate(Box::new(certificate)))?;
            }
            Err(refused) => {
                writer.refusal(&refused.for_request(&request.request))?;
            }
        }
        (context.progress)(n as u64 + 1);
    }
    for ca in with_crl {
        let item = crl(context, &ca, &mut issuers)?;
        writer.item(&Item::Crl(Box::new(item)))?;
    }
    finish(context, writer, Kind::Certificates, Some(reference), None, window(profiles.into_iter()), out)
}

/// The certificates of CAs that this plan can issue under: those on record, and those planned before in the same plan.
struct Issuers {
    keys: BTreeMap<String, KeyRef>,
    recorded: BTreeMap<String, Bytes>,
    facts: BTreeMap<String, IssuerFacts>,
}

impl Issuers {
    fn new(ledger: &Ledger, keys: BTreeMap<String, KeyRef>) -> Issuers {
        let recorded = ledger.cas.iter().map(|(ca, (_, der))| (ca.clone(), der.clone())).collect();
        Issuers { keys, recorded, facts: BTreeMap::new() }
    }

    fn key(&self, ca: &Ca) -> Result<KeyRef, Error> {
        self.keys
            .get(&ca.key)
            .cloned()
            .ok_or(Error::Ca { ca: ca.id.clone(), what: "has no key yet; generate it first" })
    }

    /// Facts of an issuing CA, judged once: its certificate against its own issuer's and against the key in the token.
    fn facts(&mut self, context: &Context, id: &str) -> Result<IssuerFacts, Error> {
        if let Some(facts) = self.facts.get(id) {
            return Ok(facts.clone());
        }
        let unknown = Error::Ca { ca: id.into(), what: "has no certificate yet; issue it first" };
        let (Some(ca), Some(der)) = (context.hierarchy.ca(id), self.recorded.get(id)) else { return Err(unknown) };
        let mut chain = vec![der.as_slice()];
        let mut at = ca;
        while !at.is_root() {
            let above = context.hierarchy.ca(&at.issuer).zip(self.recorded.get(&at.issuer));
            let (parent, der) =
                above.ok_or(Error::Ca { ca: id.into(), what: "has an issuer without a certificate" })?;
            chain.push(der);
            at = parent;
        }
        let (key, subject) = (self.key(ca)?, tbs::name(&ca.subject));
        let facts =
            IssuerFacts::from_certificate(&chain, ca, &subject, &key.spki, context.now).map_err(|r| refused(id, r))?;
        self.facts.insert(id.into(), facts.clone());
        Ok(facts)
    }
}

fn refused(ca: &str, r: policy::Refused) -> Error {
    Error::Refused { ca: ca.into(), check: r.check.name().into(), reason: r.reason }
}

fn ca_certificate(
    context: &mut Context,
    ca: &Ca,
    issuers: &mut Issuers,
    seen: &mut Seen,
) -> Result<Certificate, Error> {
    let key = issuers.key(ca)?;
    let profile = context
        .hierarchy
        .profile(&ca.profile)
        .ok_or(Error::Ca { ca: ca.id.clone(), what: "names no declared profile" })?;
    let issuer = if ca.is_root() { None } else { Some(issuers.facts(context, &ca.issuer)?) };
    let signer = match ca.is_root() {
        true => key.clone(),
        false => {
            let parent = context
                .hierarchy
                .ca(&ca.issuer)
                .ok_or(Error::Ca { ca: ca.id.clone(), what: "names no declared issuer" })?;
            issuers.key(parent)?
        }
    };
    let subject = tbs::name(&ca.subject);
    let serial = context.draw.serial();
    let judged =
        CaContext { profile, ca, subject: &subject, spki: &key.spki, issuer: issuer.as_ref(), sign_from: context.now };
    let fields = policy::ca_fields(&judged, serial, seen).map_err(|r| refused(&ca.id, r))?;
    let tbs = certificate_bytes(&ca.id, &fields)?;
    let facts = IssuerFacts::planned(&fields, ca, &subject, &key.spki).map_err(|r| refused(&ca.id, r))?;
    issuers.facts.insert(ca.id.clone(), facts);
    Ok(Certificate {
        act: if ca.is_root() { "root" } else { "intermediate" }.into(),
        ca: ca.issuer.clone(),
        subject_ca: Some(ca.id.clone()),
        request: None,
        profile: profile.id.clone(),
        signer,
        tbs: Bytes::from(tbs),
        fields,
    })
}

type Leaf<'a> = Result<(Certificate, &'a Profile), policy::Refused>;

fn leaf<'a>(
    context: &mut Context<'a>,
    request: &bundle::Request,
    issuers: &mut Issuers,
    seen: &mut Seen,
) -> Result<Leaf<'a>, Error> {
    let Some(profile) = context.hierarchy.profile(&request.profile).filter(|p| p.issuer.is_some()) else {
        let what = format!("this station issues nothing of the profile `{}`", text::escape(&request.profile));
        return Ok(Err(policy::Refused::new(policy::Check::Profile, what)));
    };
    let id = profile.issuer.clone().unwrap_or_default();
    let facts = issuers.facts(context, &id)?;
    let ca = context.hierarchy.ca(&id).ok_or(Error::Ca { ca: id.clone(), what: "is not declared" })?;
    let signer = issuers.key(ca)?;
    let serial = context.draw.serial();
    let leaf_context = LeafContext { profile, issuer: &facts, sign_from: context.now };
    let row = RequestRow { id: &request.request, csr: &request.csr, validated: &request.names };
    let fields = match policy::judge_request(&leaf_context, &row, serial, seen) {
        Ok(fields) => fields,
        Err(refused) => return Ok(Err(refused)),
    };
    let tbs = certificate_bytes(&request.request, &fields)?;
    let certificate = Certificate {
        act: "batch".into(),
        ca: id,
        subject_ca: None,
        request: Some(request.request.clone()),
        profile: profile.id.clone(),
        signer,
        tbs: Bytes::from(tbs),
        fields,
    };
    Ok(Ok((certificate, profile)))
}

fn crl(context: &mut Context, id: &str, issuers: &mut Issuers) -> Result<Crl, Error> {
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
    };
    let fields = policy::crl_fields(&judged, Vec::new()).map_err(|r| refused(id, r))?;
    let what = format!("CRL {number} of CA {id}");
    let tbs = tbs::crl(&fields).map_err(|cause| Error::Encode { what: what.clone(), cause })?;
    let read =
        x509::read_tbs_crl(&tbs).map_err(|e| Error::NotAsDecided { what: what.clone(), difference: e.to_string() })?;
    if read != fields {
        return Err(Error::NotAsDecided { what, difference: "a field differs".into() });
    }
    Ok(Crl { ca: id.into(), signer, tbs: Bytes::from(tbs), fields })
}

/// The keys of the hierarchy's CAs, which no request may hold.
fn ca_keys<'k>(
    hierarchy: &'k Hierarchy,
    keys: &'k BTreeMap<String, KeyRef>,
) -> impl Iterator<Item = (&'k str, &'k [u8])> {
    hierarchy.cas.iter().filter_map(|ca| keys.get(&ca.key).map(|key| (ca.id.as_str(), key.spki.as_slice())))
}

/// Makes the bytes and reads them back: what they say must be what was decided.
fn certificate_bytes(what: &str, fields: &x509::fields::CertFields) -> Result<Vec<u8>, Error> {
    let what = text::escape(what);
    let tbs = tbs::certificate(fields).map_err(|cause| Error::Encode { what: what.clone(), cause })?;
    let read = x509::read_tbs_certificate(&tbs)
        .map_err(|e| Error::NotAsDecided { what: what.clone(), difference: e.to_string() })?;
    match read == *fields {
        true => Ok(tbs),
        false => Err(Error::NotAsDecided { what, difference: "a field differs".into() }),
    }
}

/// The shortest window of the profiles concerned, in hours.
fn window<'a>(profiles: impl Iterator<Item = &'a Profile>) -> u32 {
    profiles.map(|p| p.window_hours).min().unwrap_or(7 * 24)
}

fn finish(
    context: &mut Context,
    writer: PlanWriter,
    kind: Kind,
    bundle: Option<BundleRef>,
    dry_run: Option<Digest>,
    window_hours: u32,
    out: &mut File,
) -> Result<Head, Error> {
    let head = Head {
        kind,
        name: context.hierarchy.name.clone(),
        origin: context.hierarchy.origin.clone(),
        environment: context.hierarchy.environment,
        hierarchy: context.hierarchy.digest,
        release_before: context.ledger.release,
        sign_from: context.now,
        sign_until: context.now + i64::from(window_hours) * 3600,
        bundle,
        dry_run,
        nonce: Bytes::from(context.draw.id().to_vec()),
        items: 0,
        refused: 0,
        counts: Vec::new(),
    };
    Ok(writer.finish(head, out)?)
}

struct KnownInLedger<'l>(&'l Ledger);

impl Known for KnownInLedger<'_> {
    fn key_known(&self, spki: &Digest) -> Option<String> {
        self.0.key_holder(spki).map(str::to_string)
    }

    fn serial_known(&self, serial: &[u8]) -> bool {
        self.0.serial_known(serial)
    }
}
