//! The dry run of a certificate plan on throw-away keys, before real keys are made: a profile that cannot be issued never
//! strands a key (a root one second too long once did, in another tool).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, SeekFrom};

use crate::cbor::Bytes;
use crate::config::{Act, Ca, Ceremony, Cross, SignerKey};
use crate::digest::Digest;
use crate::ledger::Ledger;
use crate::plan::{Item, KeyRef, Plan};
use crate::{tbs, x509};

use super::issuers::key_ref;
use super::throw_away::ThrowAway;
use super::{Context, Draw, Error, authority, external};

/// Plans and signs the certificates of a ceremony with throw-away keys in place of those not made yet, verifies every
/// result as `issue` would, and gives the plan's digest. `None`: the ceremony has nothing to sign.
pub fn certificates(context: &mut Context, ceremony: &Ceremony) -> Result<Option<Digest>, Error> {
    let mut keys: BTreeMap<String, KeyRef> = BTreeMap::new();
    let mut pairs: BTreeMap<String, ThrowAway> = BTreeMap::new();
    // A CA on record cannot sign in a dry run, its key being in the token: it gets a throw-away twin, certified below.
    let used = used_keys(context, ceremony);
    for key in context.hierarchy.keys.iter().filter(|key| used.contains(&key.id)) {
        let pair = ThrowAway::generate(key.algorithm).ok_or(Error::DryRunKey)?;
        let spki = Bytes::from(pair.spki().ok_or(Error::DryRunKey)?);
        let cka_id = Bytes::from(context.draw.id().to_vec());
        keys.insert(key.id.clone(), key_ref(&key.id, &key.token, &key.label, &cka_id, key.algorithm, &spki));
        pairs.insert(key.id.clone(), pair);
    }
    let mut file = tempfile::NamedTempFile::new_in(context.scratch).map_err(|e| Error::Plan(e.into()))?;
    let rehearsed = with_recorded_cas(context, ceremony);
    let mut blank = Ledger::default();
    // Its audit key is certified as it is.
    blank.genesis = context.ledger.genesis.clone();
    for ca in context.hierarchy.cas.iter().filter(|ca| ca.is_external() && used.contains(&ca.key)) {
        if let Some(pair) = pairs.get(&ca.key) {
            external::twin(context.ledger, ca, pair, &mut blank)?;
        }
    }
    let mut silent = |_| {};
    let mut dry = Context {
        hierarchy: context.hierarchy,
        ledger: &blank,
        log: &(),
        block_lists: context.block_lists,
        issuers: context.issuers,
        now: context.now,
        draw: Draw::new(&context.draw.next(), b"dry run"),
        tagger: context.tagger,
        lint: context.lint.again(),
        scratch: context.scratch,
        progress: &mut silent,
    };
    match authority::certificates(&mut dry, &rehearsed, keys, None, file.as_file_mut()) {
        Ok(head) => context.lint.keep(head.lints),
        Err(Error::Nothing(_)) => return Ok(None),
        Err(e) => return Err(e),
    }
    file.as_file_mut().seek(SeekFrom::Start(0)).map_err(|e| Error::Plan(e.into()))?;
    let mut plan = Plan::open(file.path())?;
    let twins = blank.cas.iter().map(|(ca, (_, der))| (ca.clone(), der.to_vec()));
    let mut cas: BTreeMap<String, Vec<u8>> = twins.collect();
    for n in 0..plan.head().items {
        let item = plan.item(n)?;
        let Some((signer, bytes, algorithm)) = item.to_sign() else { continue };
        let pair = pairs.get(&signer.key).ok_or(Error::DryRunKey)?;
        let signature = pair.sign(algorithm, bytes).ok_or(Error::DryRunKey)?;
        let der = tbs::assemble(bytes, algorithm, &signature);
        verify(&item, der, &mut cas)?;
    }
    Ok(Some(plan.digest()))
}

/// The ceremony with the acts before it that made the CAs on record which it builds on, root first.
fn with_recorded_cas(context: &Context, ceremony: &Ceremony) -> Ceremony {
    let mut acts: Vec<Act> = Vec::new();
    for act in &ceremony.acts {
        if let Some(ca) = needed(act) {
            for above in chain(context, ca) {
                let made_here = |a: &Act| matches!(a, Act::Root { ca } | Act::Intermediate { ca } if *ca == above.id);
                // The twin of one that an external issuer has certified stands in the ledger.
                if above.is_external() {
                    continue;
                }
                if context.ledger.cas.contains_key(&above.id) && !acts.iter().any(made_here) {
                    let ca = above.id.clone();
                    acts.push(if above.is_root() { Act::Root { ca } } else { Act::Intermediate { ca } });
                }
            }
        }
    }
    // What is on record cannot be revoked in a ledger that is blank.
    for act in ceremony.acts.iter().filter(|act| !matches!(act, Act::Revoke { .. })) {
        acts.push(match act {
            // The key of a CA of ours that is crossed has a throw-away twin here: the plan itself compares.
            Act::Cross(cross) => Act::Cross(Box::new(Cross { subject_ca: None, ..(**cross).clone() })),
            other => other.clone(),
        });
    }
    Ceremony { title: ceremony.title.clone(), acts }
}

/// The CA that an act is about, or that signs in it.
fn needed(act: &Act) -> Option<&String> {
    match act {
        Act::Root { ca } | Act::Intermediate { ca } | Act::Crl { ca } | Act::Certify { ca, .. } | Act::Csr { ca } => {
            Some(ca)
        }
        Act::Cross(cross) => Some(&cross.ca),
        Act::Signer(signer) => Some(&signer.ca),
        _ => None,
    }
}

/// A CA and those above it, the root first.
fn chain<'a>(context: &Context<'a>, id: &str) -> Vec<&'a Ca> {
    let mut chain: Vec<&Ca> = Vec::new();
    let mut at = context.hierarchy.ca(id);
    while let Some(ca) = at {
        chain.insert(0, ca);
        at = if ca.is_root() { None } else { context.hierarchy.ca(&ca.issuer) };
    }
    chain
}

/// The keys of all CAs that the ceremony's certificates and CRLs need, and of its signers.
fn used_keys(context: &Context, ceremony: &Ceremony) -> BTreeSet<String> {
    let of_cas = ceremony.acts.iter().filter_map(needed).flat_map(|ca| chain(context, ca)).map(|ca| ca.key.clone());
    let own = ceremony.acts.iter().filter_map(|act| match act {
        Act::Signer(signer) => match &signer.key {
            SignerKey::Token(key) => Some(key.clone()),
            SignerKey::Audit | SignerKey::Request(_) => None,
        },
        _ => None,
    });
    of_cas.chain(own).collect()
}

fn verify(item: &Item, der: Vec<u8>, cas: &mut BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
    let wrong =
        |what: &str, e: x509::Error| Error::NotAsDecided { what: what.into(), difference: format!("dry run: {e}") };
    match item {
        Item::Certificate(c) if c.subject_ca.is_none() => {
            let issuer = cas.get(&c.ca).cloned().unwrap_or_default();
            x509::verify_signer(&der, &issuer, c.fields.not_before)
                .map_err(|e| wrong(c.request.as_deref().unwrap_or_default(), e))?;
        }
        Item::Certificate(c) => {
            let subject = c.subject_ca.clone().unwrap_or_default();
            let issuer = if subject == c.ca { der.clone() } else { cas.get(&c.ca).cloned().unwrap_or_default() };
            x509::verify_ca(&der, &issuer).map_err(|e| wrong(&subject, e))?;
            cas.insert(subject, der);
        }
        Item::Crl(c) => {
            let issuer = cas.get(&c.ca).cloned().unwrap_or_default();
            x509::verify_crl(&der, &issuer).map_err(|e| wrong(&c.ca, e))?;
        }
        Item::Csr(c) => {
            x509::verify_request(&der, c.signer.algorithm.signs_with()).map_err(|e| wrong(&c.ca, e))?;
        }
        Item::GenerateKey(_) | Item::GenerateWrappingKey(_) | Item::Revoke(_) | Item::KeyAct(_) => {}
    }
    Ok(())
}
