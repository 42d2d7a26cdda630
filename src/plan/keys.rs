//! What is done with keys that exist. Stored types: a change needs a new version.

use serde::{Deserialize, Serialize};

use crate::cbor::Bytes;
use crate::config::{Backup, Hierarchy};
use crate::digest::Digest;
use crate::text;

use super::{Head, Item, KeyRef};

/// An act on one key, which the gate carries out when asked for it by number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyAct {
    pub key: KeyRef,
    pub deed: Deed,
}

/// A wrapping key to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GenerateWrappingKey {
    /// Ids of the hierarchy.
    pub key: String,
    pub token: String,
    pub label: String,
    /// CKA_ID: 16 random octets and the log's tag, drawn when the plan was made.
    pub cka_id: Bytes,
}

/// The key that wraps another one in the same token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WrappingRef {
    pub key: String,
    pub label: String,
    pub cka_id: Bytes,
}

/// What is done with the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Deed {
    /// It signs this text, which proves that it is there and works.
    Prove { text: Bytes },
    /// It is wrapped; unwrapped again for once, it signs this text.
    Backup { wrapping: WrappingRef, text: Bytes },
    /// It is unwrapped from the artefact with this digest ([`super::Backup`]), and signs this text.
    Restore { wrapping: WrappingRef, backup: Digest, text: Bytes },
    /// Both halves are removed from the token.
    Destroy {
        /// Certificates issued with it that are valid and not revoked when the plan is made.
        in_force: u64,
        /// Why it is destroyed all the same.
        reason: Option<String>,
    },
}

impl Deed {
    /// The name of the act in ceremonies and statements.
    pub fn act(&self) -> &'static str {
        match self {
            Deed::Prove { .. } => "key-proof",
            Deed::Backup { .. } => "backup-key",
            Deed::Restore { .. } => "restore-key",
            Deed::Destroy { .. } => "destroy-key",
        }
    }

    /// The text that the key signs.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Deed::Prove { text } | Deed::Backup { text, .. } | Deed::Restore { text, .. } => Some(text),
            Deed::Destroy { .. } => None,
        }
    }
}

impl KeyAct {
    /// What the statement says of it behind act and key.
    pub fn detail(&self) -> String {
        match &self.deed {
            Deed::Prove { .. } => self.key.algorithm.name().into(),
            Deed::Backup { wrapping, .. } => format!("wrapped-by-{}", wrapping.key),
            Deed::Restore { backup, .. } => format!("sha256-{backup}"),
            Deed::Destroy { in_force: 0, reason: None } => "no-certificate-in-force".into(),
            Deed::Destroy { in_force, reason } => {
                let reason = reason.as_deref().unwrap_or_default();
                format!("although {in_force} certificates are in force: {reason}")
            }
        }
    }

    /// Whether the key would sign exactly the text that belongs to this plan, and nothing is destroyed without a reason.
    pub(super) fn is_lawful(&self, head: &Head) -> bool {
        let text = self.deed.text().is_none_or(|text| text == proof_text(head, &self.key, self.deed.act()).as_bytes());
        text && !matches!(self.deed, Deed::Destroy { in_force: 1.., reason: None })
    }
}

/// Whether an item that makes a wrapping key or uses one does so as the hierarchy declares: only a key that is declared to leave
/// its token wrapped does so, and only by the declared wrapping key. True of every other item.
pub fn wraps_as_declared(item: &Item, hierarchy: &Hierarchy) -> bool {
    let wraps = |token: &str, id: &str, label: &str| {
        hierarchy.wrapping_key(id).is_some_and(|w| (w.token.as_str(), w.label.as_str()) == (token, label))
    };
    match item {
        Item::GenerateWrappingKey(key) => wraps(&key.token, &key.key, &key.label),
        Item::KeyAct(act) => match &act.deed {
            Deed::Backup { wrapping, .. } | Deed::Restore { wrapping, .. } => {
                let declared = hierarchy.key(&act.key.key).filter(|key| key.backup == Backup::Wrap);
                declared.is_some_and(|key| key.wrapped_by.as_ref() == Some(&wrapping.key))
                    && wraps(&act.key.token, &wrapping.key, &wrapping.label)
            }
            Deed::Prove { .. } | Deed::Destroy { .. } => true,
        },
        _ => true,
    }
}

/// What a key signs to prove itself: ASCII lines, which no certificate, CRL or checkpoint begins with, and which belong to one
/// plan alone.
pub fn proof_text(head: &Head, key: &KeyRef, act: &str) -> String {
    format!(
        "coldroot-key-proof-v0\nhierarchy    {}\norigin       {}\nenvironment  {}\nact          {act}\nkey          {}\n\
         spki sha256  {}\ntime         {}\nnonce        {}\n",
        text::quoted(&head.name),
        text::quoted(&head.origin),
        head.environment,
        text::quoted(&key.key),
        Digest::of(&key.spki),
        text::utc(head.sign_from),
        text::hex(&head.nonce),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::KeyAlgorithm;
    use crate::plan::file::tests::head;
    use crate::plan::{Error, Kind, Plan, PlanWriter};

    fn key(spki: &[u8]) -> KeyRef {
        KeyRef {
            key: "root-key".into(),
            token: "main".into(),
            label: "root".into(),
            cka_id: Bytes::from(vec![7; 16]),
            algorithm: KeyAlgorithm::EcdsaP256,
            spki: Bytes::from(spki.to_vec()),
        }
    }

    fn opened(deed: Deed) -> Result<String, Error> {
        let mut writer = PlanWriter::new(Kind::Keys, &std::env::temp_dir()).unwrap();
        writer.item(&Item::KeyAct(Box::new(KeyAct { key: key(b"one"), deed }))).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writer.finish(head(), file.as_file_mut()).unwrap();
        let plan = Plan::open(file.path())?;
        Ok(crate::plan::statement(plan.head(), &plan.digest()))
    }

    #[test]
    fn a_key_signs_the_text_of_its_own_plan_and_key_and_no_other() {
        let text = |head: &Head, spki: &[u8], act: &str| proof_text(head, &key(spki), act).into_bytes();
        let statement = opened(Deed::Prove { text: text(&head(), b"one", "key-proof").into() }).unwrap();
        assert!(statement.ends_with("act          key-proof root-key ecdsa-p256 count 1\n"), "{statement}");
        let other_plan = Head { nonce: Bytes::from(vec![2; 16]), ..head() };
        let wrong = [
            text(&other_plan, b"one", "key-proof"),
            text(&head(), b"two", "key-proof"),
            text(&head(), b"one", "destroy-key"),
            b"\x30\x03\x02\x01\x00".to_vec(),
            Vec::new(),
        ];
        for text in wrong {
            assert!(matches!(opened(Deed::Prove { text: text.into() }), Err(Error::Contradiction(_))));
        }
    }

    #[test]
    fn what_is_in_force_stands_in_the_statement_with_a_reason_or_there_is_no_plan() {
        let statement = opened(Deed::Destroy { in_force: 2, reason: Some("moved".into()) }).unwrap();
        let line = "act          destroy-key root-key although 2 certificates are in force: moved count 1\n";
        assert!(statement.ends_with(line), "{statement}");
        assert!(opened(Deed::Destroy { in_force: 0, reason: None }).unwrap().contains(" no-certificate-in-force "));
        let silent = opened(Deed::Destroy { in_force: 1, reason: None });
        assert!(matches!(silent, Err(Error::Contradiction(_))));
    }
}
