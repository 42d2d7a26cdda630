//! Acts on keys that exist: proof and destruction. They are planned by the public half on record, so they stand in a ceremony
//! without acts that make or use other keys, and each key once.

use std::fs::File;

use crate::cbor::Bytes;
use crate::config::{Act, Ceremony};
use crate::digest::Digest;
use crate::plan::{Deed, Head, Item, KeyAct, KeyRef, Kind, PlanWriter, proof_text};

use super::issuers::recorded_keys;
use super::{Context, Error, head, window};

/// The plan of a ceremony of such acts; `None`: it has none.
pub(super) fn acts(context: &mut Context, ceremony: &Ceremony, out: &mut File) -> Result<Option<Head>, Error> {
    let acts: Vec<&Act> = ceremony.acts.iter().filter(|act| act.on_key().is_some()).collect();
    if acts.is_empty() {
        return Ok(None);
    }
    let hours = window(context.hierarchy.profiles.iter());
    // The head comes first: what keys sign to prove themselves names its window and nonce.
    let head = head(context, Kind::Keys, None, None, hours);
    let mut writer = PlanWriter::new(Kind::Keys, context.scratch)?;
    for act in acts {
        if let Some(act) = key_act(context, &head, act)? {
            writer.item(&Item::KeyAct(Box::new(act)))?;
        }
    }
    Ok(Some(writer.finish(head, out)?))
}

fn key_act(context: &Context, head: &Head, act: &Act) -> Result<Option<KeyAct>, Error> {
    let Some(id) = act.on_key() else { return Ok(None) };
    let key = key(context, id)?;
    let deed = match act {
        Act::KeyProof { .. } => Deed::Prove { text: Bytes::from(proof_text(head, &key, "key-proof").into_bytes()) },
        Act::DestroyKey { even_though, .. } => destroy(context, &key, even_though.clone())?,
        _ => return Ok(None),
    };
    Ok(Some(KeyAct { key, deed }))
}

/// A key on record that is still in its token, as far as the log knows.
fn key(context: &Context, id: &str) -> Result<KeyRef, Error> {
    let refused = |what: &'static str| Error::Key { key: id.into(), what };
    if context.ledger.destroyed.contains(id) {
        return Err(refused("was destroyed"));
    }
    recorded_keys(context.ledger).remove(id).ok_or_else(|| refused("is not made yet"))
}

/// Without a reason a key is destroyed only when nothing depends on it any more: a CA without its key can neither revoke what
/// it has issued nor say that it is still good.
fn destroy(context: &Context, key: &KeyRef, even_though: Option<String>) -> Result<Deed, Error> {
    let own = Digest::of(&key.spki);
    let cas = context.hierarchy.cas.iter().filter(|ca| ca.key == key.key);
    let in_force = cas.map(|ca| context.ledger.in_force(&ca.id, &own, context.now)).sum();
    match (in_force, &even_though) {
        (1.., None) => Err(Error::KeyInUse { key: key.key.clone(), in_force }),
        (0, _) => Ok(Deed::Destroy { in_force, reason: None }),
        _ => Ok(Deed::Destroy { in_force, reason: even_though }),
    }
}
