//! A wrapped key as it is stored: the artefact of a backup, and the file that people keep. Stored: a change needs a new version.

use serde::{Deserialize, Serialize};

use crate::algorithm::KeyAlgorithm;
use crate::cbor::{self, Bytes};
use crate::digest::Digest;

use super::{KeyRef, WrappingRef};

/// The first item of every backup file.
pub const BACKUP_MAGIC: &str = "coldroot-backup-v0";
/// The largest backup file.
pub const MAX_BACKUP: u64 = 32 << 10;

/// A private key wrapped by a key that never leaves its token, with all that is needed to bring it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Backup {
    /// Id of the hierarchy, label, CKA_ID and kind of the key.
    pub key: String,
    pub label: String,
    pub cka_id: Bytes,
    pub algorithm: KeyAlgorithm,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki: Digest,
    pub wrapping: WrappingRef,
    /// CKA_CHECK_VALUE of the wrapping key, where its token gives one.
    pub check_value: Option<Bytes>,
    /// `CKM_AES_KEY_WRAP_KWP` or `CKM_AES_KEY_WRAP_PAD`.
    pub mechanism: String,
    /// What C_WrapKey gave: the PrivateKeyInfo under RFC 5649.
    pub wrapped: Bytes,
}

impl Backup {
    /// Magic and one frame.
    pub fn encode(&self) -> Result<Vec<u8>, cbor::Error> {
        let mut file = cbor::magic(BACKUP_MAGIC);
        let frame = cbor::to_vec(self)?;
        // Writing to memory does not fail.
        let _ = cbor::write_frame(&mut file, &frame);
        match file.len() as u64 {
            0..=MAX_BACKUP => Ok(file),
            length => Err(cbor::Error::TooLarge { length, limit: MAX_BACKUP }),
        }
    }

    /// Exactly what [`Backup::encode`] makes; `None`: anything else.
    pub fn decode(file: &[u8]) -> Option<Backup> {
        let mut rest = file.strip_prefix(cbor::magic(BACKUP_MAGIC).as_slice())?;
        let frame = cbor::read_frame(&mut rest, MAX_BACKUP).ok()??;
        let backup = cbor::from_slice(&frame).ok()?;
        rest.is_empty().then_some(backup)
    }

    /// Whether it is of this key, wrapped by this one.
    pub fn is_of(&self, key: &KeyRef, wrapping: &WrappingRef) -> bool {
        let own = (&self.key, &self.label, &self.cka_id, self.algorithm, self.spki, &self.wrapping);
        own == (&key.key, &key.label, &key.cka_id, key.algorithm, Digest::of(&key.spki), wrapping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Backup {
        Backup {
            key: "root-key".into(),
            label: "root".into(),
            cka_id: Bytes::from(vec![7; 16]),
            algorithm: KeyAlgorithm::EcdsaP256,
            spki: Digest::of(b"spki"),
            wrapping: WrappingRef { key: "wrap".into(), label: "wrap".into(), cka_id: Bytes::from(vec![8; 16]) },
            check_value: Some(Bytes::from(vec![1, 2, 3])),
            mechanism: "CKM_AES_KEY_WRAP_KWP".into(),
            wrapped: Bytes::from(vec![9; 152]),
        }
    }

    #[test]
    fn a_backup_is_read_back_and_a_cut_or_longer_one_is_none() {
        let file = sample().encode().unwrap();
        assert_eq!(Backup::decode(&file), Some(sample()));
        for end in 0..file.len() {
            assert_eq!(Backup::decode(&file[..end]), None, "cut at {end}");
        }
        assert_eq!(Backup::decode(&[file.as_slice(), &[0]].concat()), None);
        let large = Backup { wrapped: Bytes::from(vec![0; 33 << 10]), ..sample() };
        assert!(matches!(large.encode(), Err(cbor::Error::TooLarge { .. })));
    }

    #[test]
    fn a_backup_of_another_key_or_under_another_one_is_told() {
        let key = KeyRef {
            key: "root-key".into(),
            token: "main".into(),
            label: "root".into(),
            cka_id: Bytes::from(vec![7; 16]),
            algorithm: KeyAlgorithm::EcdsaP256,
            spki: Bytes::from(b"spki".to_vec()),
        };
        let wrapping = sample().wrapping;
        assert!(sample().is_of(&key, &wrapping));
        assert!(!sample().is_of(&KeyRef { spki: Bytes::from(b"other".to_vec()), ..key.clone() }, &wrapping));
        assert!(!sample().is_of(&KeyRef { cka_id: Bytes::from(vec![1]), ..key.clone() }, &wrapping));
        assert!(!sample().is_of(&key, &WrappingRef { cka_id: Bytes::from(vec![1]), ..wrapping }));
    }
}
