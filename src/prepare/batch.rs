//! The answer to a bundle.

use std::fs::File;

use crate::cbor::Bytes;
use crate::config::{Desk, Profile};
use crate::digest::Digest;
use crate::ledger::{Entries, KEY_COMPROMISE, Ledger};
use crate::plan::{BundleRef, Certificate, Head, Item, Kind, PlanWriter};
use crate::policy::{self, Asker, LeafContext, RequestRow, Seen, Vouched};
use crate::{bundle, text};

use super::answers::Answers;
use super::issuers::{Issuers, ca_keys, recorded_keys};
use super::known::KnownInLedger;
use super::revocation::{Revocations, crl};
use super::shared::SharedFactors;
use super::{Context, Error, certificate_bytes, head, validated, window};

/// The keys that a bundle calls compromised: its revocations may stand behind the requests that ask for the same keys again.
pub fn compromised(
    ledger: &Ledger,
    log: &dyn Entries,
    items: impl Iterator<Item = Result<bundle::Item, bundle::Error>>,
) -> Result<Vec<Digest>, Error> {
    let mut keys = Vec::new();
    for item in items {
        if let bundle::Item::Revoke(asked) = item?
            && asked.reason == Some(KEY_COMPROMISE)
        {
            keys.extend(ledger.issued(log, &asked.serial)?.map(|issued| issued.spki));
        }
    }
    Ok(keys)
}

/// What is found by a reading of the whole bundle, before its items are judged one by one.
#[derive(Default)]
pub struct Beforehand {
    /// What [`compromised`] gives.
    pub compromised: Vec<Digest>,
    pub shared: SharedFactors,
}

/// Plans the answer to a bundle: one verdict for each request, certificates for the accepted ones.
pub fn bundle(
    context: &mut Context,
    reference: BundleRef,
    beforehand: Beforehand,
    items: impl Iterator<Item = Result<bundle::Item, bundle::Error>>,
    out: &mut File,
) -> Result<Head, Error> {
    let mut writer = PlanWriter::new(Kind::Certificates, context.scratch)?;
    let keys = recorded_keys(context.ledger);
    let known = KnownInLedger::new(context);
    let desk = context.hierarchy.desk(&reference.desk);
    let desk = desk.ok_or_else(|| bundle::Error::UnknownDesk { desk: reference.desk.clone() })?;
    let mut asks = Asks { desk, vouched: Vouched::default() };
    let mut revocations = Revocations::default();
    let mut seen = Seen::new(&known, ca_keys(context.hierarchy, &keys))
        .compromised(beforehand.compromised)
        .shared(beforehand.shared.asked);
    let mut issuers = Issuers::new(context, keys.clone())?;
    let mut profiles: Vec<&Profile> = Vec::new();
    let mut with_crl: Vec<String> = Vec::new();
    let mut answers = Answers::new(context)?;
    for (n, item) in items.enumerate() {
        let item = item?;
        let number = n as u64;
        let request = match &item {
            bundle::Item::Request(request) => request,
            bundle::Item::Validations(list) => {
                let listed = validated::verify(context.hierarchy, list, context.now)
                    .and_then(|(by, _, list)| validated::take(&mut asks.vouched, context.tagger, by, &list));
                listed.map_err(|cause| Error::List { number, cause })?;
                (context.progress)(number + 1);
                continue;
            }
            bundle::Item::Revoke(asked) => {
                let asker = Asker::Desk(&reference.desk);
                if let Err(refused) = revocations.take(context, asker, None, &asked.serial, asked.reason)? {
                    answers.refusal(refused.for_request(&item.id()), &mut writer)?;
                }
                (context.progress)(number + 1);
                continue;
            }
        };
        let judged = leaf(context, &asks, request, &mut issuers, &mut seen)?;
        known.failed()?;
        match judged {
            Ok(certificate) => answers.certificate(certificate, &mut writer)?,
            Err(refused) => answers.refusal(refused.for_request(&request.request), &mut writer)?,
        }
        (context.progress)(number + 1);
    }
    for (ca, profile) in answers.settle(context, &mut writer)? {
        profiles.extend(context.hierarchy.profile(&profile));
        if !context.ledger.crls.contains_key(&ca) && !with_crl.contains(&ca) {
            with_crl.push(ca);
        }
    }
    for revoke in revocations.planned() {
        writer.item(&Item::Revoke(revoke.clone()))?;
        if !with_crl.contains(&revoke.ca) {
            with_crl.push(revoke.ca.clone());
        }
    }
    for ca in with_crl {
        let item = crl(context, &ca, &mut issuers, &revocations)?;
        writer.item(&Item::Crl(Box::new(item)))?;
    }
    let mut head = head(context, Kind::Certificates, Some(reference), None, window(profiles.into_iter()));
    head.broken_keys = beforehand.shared.broken;
    Ok(writer.finish(head, out)?)
}

/// Who asks, and who vouches for it.
struct Asks<'a> {
    desk: &'a Desk,
    vouched: Vouched,
}

fn leaf<'a>(
    context: &mut Context<'a>,
    asks: &Asks,
    request: &bundle::Request,
    issuers: &mut Issuers,
    seen: &mut Seen,
) -> Result<Result<Certificate, policy::Refused>, Error> {
    let Some(profile) = context.hierarchy.profile(&request.profile).filter(|p| p.issuer.is_some()) else {
        let what = format!("this station issues nothing of the profile `{}`", text::escape(&request.profile));
        return Ok(Err(policy::Refused::new(policy::Check::Profile, what)));
    };
    if !asks.desk.profiles.contains(&profile.id) {
        let what = format!("the desk `{}` may not ask for the profile `{}`", asks.desk.id, profile.id);
        return Ok(Err(policy::Refused::new(policy::Check::Profile, what)));
    }
    let id = profile.issuer.clone().unwrap_or_default();
    let facts = issuers.certifying(context, &id)?;
    let ca = context.hierarchy.ca(&id).ok_or(Error::Ca { ca: id.clone(), what: "is not declared" })?;
    let signer = issuers.key(ca)?;
    let serial = context.draw.serial();
    let leaf_context = LeafContext { profile, issuer: &facts, sign_from: context.now };
    let requester = context.tagger.tag(request.requester.raw());
    let ceded = ceded(context, &asks.vouched, profile, request, requester)?;
    let row = RequestRow {
        id: &request.request,
        csr: &request.csr,
        validated: &request.names,
        requester,
        suffixes: &asks.desk.suffixes,
        vouched: &asks.vouched,
        ceded: &ceded,
    };
    let fields = match policy::judge_request(&leaf_context, &row, serial, seen) {
        Ok(fields) => fields,
        Err(refused) => return Ok(Err(refused)),
    };
    let tbs = match certificate_bytes(&fields, &signer) {
        Ok(tbs) => tbs,
        Err(refused) => return Ok(Err(refused)),
    };
    let certificate = Certificate {
        act: "batch".into(),
        ca: id,
        subject_ca: None,
        outside: None,
        request: Some(request.request.clone()),
        profile: profile.id.clone(),
        requester: Some(requester),
        signer,
        tbs: Bytes::from(tbs),
        fields,
    };
    Ok(Ok(certificate))
}

/// The names of a request that another requester holds, and that a validator gives to this one.
fn ceded(
    context: &Context,
    vouched: &Vouched,
    profile: &Profile,
    request: &bundle::Request,
    requester: Digest,
) -> Result<Vec<String>, Error> {
    let mut ceded = Vec::new();
    for name in request.names.iter().map(|name| name.to_ascii_lowercase()) {
        let holder = context.ledger.name_holder(context.log, &name, context.now)?;
        if holder.is_some_and(|holder| vouched.takes_over(&name, requester, profile, context.now, holder.since)) {
            ceded.push(name);
        }
    }
    Ok(ceded)
}
