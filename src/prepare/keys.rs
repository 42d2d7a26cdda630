//! Acts on keys that exist: proof, backup, restore and destruction. They are planned by the public half on record, so they stand in a ceremony
//! without acts that make or use other keys, and each key once.

use std::fs::File;

use crate::cbor::Bytes;
use crate::config::{self, Act, Ceremony};
use crate::plan::{Deed, Head, Item, KeyAct, KeyRef, Kind, PlanWriter, WrappingRef, proof_text};

use super::issuers::key_ref;
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
    let key = key(context, id, matches!(act, Act::RestoreKey { .. }))?;
    let text = |act| Bytes::from(proof_text(head, &key, act).into_bytes());
    let deed = match act {
        Act::KeyProof { .. } => Deed::Prove { text: text("key-proof") },
        Act::BackupKey { .. } => Deed::Backup { wrapping: wrapping(context, id)?, text: text("backup-key") },
        Act::RestoreKey { .. } => {
            let (wrapping, text) = (wrapping(context, id)?, text("restore-key"));
            let kept = context.ledger.backups.get(id).filter(|kept| kept.wrapping_key == wrapping.key);
            let what = "has no backup on record under its wrapping key";
            let backup = kept.ok_or_else(|| Error::Key { key: id.into(), what })?.backup;
            Deed::Restore { wrapping, backup, text }
        }
        Act::DestroyKey { even_though, .. } => destroy(context, &key, even_though.clone())?,
        _ => return Ok(None),
    };
    Ok(Some(KeyAct { key, deed }))
}

/// A key on record that is still in its token, as far as the log knows; or one that was destroyed, to be restored.
fn key(context: &Context, id: &str, destroyed_too: bool) -> Result<KeyRef, Error> {
    let refused = |what: &'static str| Error::Key { key: id.into(), what };
    if context.ledger.destroyed.contains(id) && !destroyed_too {
        return Err(refused("was destroyed"));
    }
    let made = context.ledger.keys.get(id).ok_or_else(|| refused("is not made yet"))?;
    Ok(key_ref(id, &made.token, &made.label, &made.cka_id, made.algorithm, &made.spki))
}

/// The wrapping key that the hierarchy declares for a key, as it stands on record.
fn wrapping(context: &Context, id: &str) -> Result<WrappingRef, Error> {
    let refused = |what: &'static str| Error::Key { key: id.into(), what };
    let declared = context.hierarchy.key(id).filter(|key| key.backup == config::Backup::Wrap);
    let declared =
        declared.ok_or_else(|| refused("is not declared with `backup = \"wrap\"`: it never leaves its token"))?;
    let by = declared.wrapped_by.as_ref().ok_or_else(|| refused("names no wrapping key (`wrapped-by`)"))?;
    let made = context.ledger.wrapping_keys.get(by);
    let made = made.ok_or_else(|| refused("has a wrapping key that is not made yet; `generate-key` makes it"))?;
    Ok(WrappingRef { key: by.clone(), label: made.label.clone(), cka_id: made.cka_id.clone() })
}

/// Without a reason a key is destroyed only when nothing depends on it any more: a CA without its key can neither revoke what
/// it has issued nor say that it is still good.
fn destroy(context: &Context, key: &KeyRef, even_though: Option<String>) -> Result<Deed, Error> {
    let cas = context.hierarchy.cas.iter().filter(|ca| ca.key == key.key);
    let in_force = cas.map(|ca| context.ledger.in_force(&ca.id, context.now)).sum();
    match (in_force, &even_though) {
        (1.., None) => Err(Error::KeyInUse { key: key.key.clone(), in_force }),
        (0, _) => Ok(Deed::Destroy { in_force, reason: None }),
        _ => Ok(Deed::Destroy { in_force, reason: even_though }),
    }
}
