//! SHA-256 digests: the name of every artefact, plan and bundle.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use aws_lc_rs::digest::{Context, SHA256, digest};
use aws_lc_rs::hmac;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A SHA-256 digest (FIPS 180-4), 32 octets. In CBOR a byte string; in JSON and for people 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Digest(out)
    }

    /// The digest of all that there is to read, in pieces.
    pub fn read(mut from: impl Read) -> io::Result<Digest> {
        let (mut hasher, mut piece) = (Hasher::default(), vec![0; 1 << 16]);
        loop {
            match from.read(&mut piece) {
                Ok(0) => return Ok(hasher.finish()),
                // At most the buffer's length.
                Ok(filled) => hasher.update(&piece[..filled]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Reads 64 hex digits of either case; anything else is `None`.
    pub fn from_hex(hex: &str) -> Option<Digest> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
        Some(Digest(bytes.try_into().ok()?))
    }

    /// 64 lower-case hex digits.
    pub fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

/// Tags for personal data: HMAC-SHA-256 under a key that never leaves the station. Equal texts have equal tags, and nobody
/// without the key can guess the text behind one.
pub struct Tagger(hmac::Key);

impl Tagger {
    /// `key`: 32 random octets.
    pub fn new(key: &[u8; 32]) -> Tagger {
        Tagger(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub fn tag(&self, text: &str) -> Digest {
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(&self.0, text.as_bytes()).as_ref());
        Digest(out)
    }
}

/// SHA-256 over bytes that arrive in pieces.
#[derive(Clone)]
pub struct Hasher(Context);

impl Default for Hasher {
    fn default() -> Self {
        Hasher(Context::new(&SHA256))
    }
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        Digest(out)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match s.is_human_readable() {
            true => s.serialize_str(&self.hex()),
            false => s.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            let hex = String::deserialize(d)?;
            return Digest::from_hex(&hex)
                .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&hex), &"64 hex digits"));
        }
        let bytes = serde_bytes::ByteBuf::deserialize(d)?;
        let array: [u8; 32] =
            bytes.as_slice().try_into().map_err(|_| de::Error::invalid_length(bytes.len(), &"32 octets"))?;
        Ok(Digest(array))
    }
}
