//! Checkpoints as signed notes: C2SP signed-note and tlog-checkpoint, Ed25519 (signature type 0x01) or, where a token has
//! none, ECDSA P-256 with SHA-256 (type 0x02).
//!
//! ECDSA signatures are malleable: with (r, s) the pair (r, n−s) verifies too, and tokens give either. Both are taken, as Go and
//! others do: whoever turns one into the other gets a second signature by the same key over the same text, which says nothing
//! new. Nothing is named by a signature but the artefact of a note on record, and that by the digest of all its octets.
//!
//! The text and the note are made by separate functions: the token signs the text, in another process.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};

use crate::digest::Digest;

/// The largest note that is read.
pub const MAX_NOTE: usize = 4096;
/// The longest origin.
pub const MAX_ORIGIN: usize = 128;
/// The largest log: far beyond any real one, and small enough that no shift of an index overflows.
pub const MAX_SIZE: u64 = 1 << 48;
/// The signed-note type of Ed25519.
const TYPE_ED25519: u8 = 0x01;
/// The signed-note type of ECDSA.
const TYPE_ECDSA: u8 = 0x02;
/// SubjectPublicKeyInfo of an Ed25519 key up to its 32 octets (RFC 8410 §4).
const SPKI_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// SubjectPublicKeyInfo of a P-256 key up to the 64 octets of its point (RFC 5480 §2), which is not compressed.
const SPKI_P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
const DASH: &str = "\u{2014} ";

/// Why a note is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("it is larger than {MAX_NOTE} octets")]
    TooLarge,
    #[error("it is not a signed note (text, empty line, signature lines)")]
    NotANote,
    #[error("its text is not a checkpoint: {0}")]
    NotACheckpoint(&'static str),
    #[error("a signature line is malformed")]
    SignatureLine,
    #[error("no signature by this key")]
    NoSignature,
    #[error("more than one signature by this key")]
    TwoSignatures,
    #[error("the signature does not verify")]
    BadSignature,
    #[error("the verifier key is malformed")]
    VerifierKey,
}

/// A log's state: so many entries under this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Digest,
}

/// The text that is signed: `origin\nsize\nbase64(root)\n`.
pub fn checkpoint_text(origin: &str, size: u64, root: &Digest) -> String {
    format!("{origin}\n{size}\n{}\n", BASE64.encode(&root.0))
}

/// Can this be the first line of a checkpoint and the name of its key? Printable ASCII without space and `+`.
pub fn valid_origin(origin: &str) -> bool {
    (1..=MAX_ORIGIN).contains(&origin.len()) && origin.bytes().all(|b| b.is_ascii_graphic() && b != b'+')
}

impl Checkpoint {
    /// Reads the text of a checkpoint; only what [`checkpoint_text`] writes is accepted, so extension lines are refused.
    pub fn parse(text: &str) -> Result<Checkpoint, Error> {
        let bad = Error::NotACheckpoint;
        let mut lines = text.strip_suffix('\n').ok_or(bad("it does not end in a newline"))?.split('\n');
        let origin = lines.next().filter(|o| valid_origin(o)).ok_or(bad("its origin is malformed"))?;
        let size = lines.next().and_then(|line| line.parse::<u64>().ok()).ok_or(bad("its size is not a number"))?;
        if size > MAX_SIZE {
            return Err(bad("its size is beyond the limit"));
        }
        let root = lines.next().and_then(|line| BASE64.decode(line.as_bytes()).ok());
        let root: [u8; 32] = root.and_then(|r| r.try_into().ok()).ok_or(bad("its root is not a SHA-256 digest"))?;
        let checkpoint = Checkpoint { origin: origin.to_string(), size, root: Digest(root) };
        // One text for one state: `+5`, `007` and lines behind the root end here.
        match checkpoint.text() == text {
            true => Ok(checkpoint),
            false => Err(bad("it is not written as this program writes it")),
        }
    }

    pub fn text(&self) -> String {
        checkpoint_text(&self.origin, self.size, &self.root)
    }
}

/// A key that verifies notes, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: Public,
}

/// The kind of a key decides how a signature is verified and what its id is; nothing in a note does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Public {
    Ed25519([u8; 32]),
    /// The point's two coordinates.
    P256([u8; 64]),
}

impl VerifierKey {
    /// An Ed25519 key. `name` must be a [`valid_origin`]: in this program the key is named like the log.
    pub fn new(name: &str, public: [u8; 32]) -> Result<VerifierKey, Error> {
        VerifierKey::of(name, Public::Ed25519(public))
    }

    /// The key of a SubjectPublicKeyInfo: Ed25519, or a point of P-256 that is not compressed.
    pub fn of_spki(name: &str, spki: &[u8]) -> Result<VerifierKey, Error> {
        let ed25519 = spki.strip_prefix(&SPKI_ED25519).and_then(|key| key.try_into().ok()).map(Public::Ed25519);
        let ecdsa = || {
            let point = spki.strip_prefix(&SPKI_P256).and_then(|key| key.try_into().ok())?;
            p256(&point).parse().is_ok().then_some(Public::P256(point))
        };
        VerifierKey::of(name, ed25519.or_else(ecdsa).ok_or(Error::VerifierKey)?)
    }

    fn of(name: &str, public: Public) -> Result<VerifierKey, Error> {
        match valid_origin(name) {
            true => Ok(VerifierKey { name: name.to_string(), public }),
            false => Err(Error::VerifierKey),
        }
    }

    /// Reads `name+hash+base64`, as [`VerifierKey`] is displayed; the hash must be the right one.
    pub fn parse(text: &str) -> Result<VerifierKey, Error> {
        let (name, rest) = text.split_once('+').ok_or(Error::VerifierKey)?;
        let (_, key) = rest.split_once('+').ok_or(Error::VerifierKey)?;
        let octets = BASE64.decode(key.as_bytes()).map_err(|_| Error::VerifierKey)?;
        let (kind, public) = octets.split_first().ok_or(Error::VerifierKey)?;
        let key = match *kind {
            TYPE_ED25519 => VerifierKey::new(name, public.try_into().map_err(|_| Error::VerifierKey)?)?,
            TYPE_ECDSA if public.starts_with(&SPKI_P256) => VerifierKey::of_spki(name, public)?,
            _ => return Err(Error::VerifierKey),
        };
        match key.to_string() == text {
            true => Ok(key),
            false => Err(Error::VerifierKey),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> Vec<u8> {
        match &self.public {
            Public::Ed25519(key) => [SPKI_ED25519.as_slice(), key].concat(),
            Public::P256(point) => [SPKI_P256.as_slice(), point].concat(),
        }
    }

    /// Type and key, as a verifier key has them: of ECDSA the SubjectPublicKeyInfo.
    fn encoded(&self) -> Vec<u8> {
        match &self.public {
            Public::Ed25519(key) => [&[TYPE_ED25519], key.as_slice()].concat(),
            Public::P256(point) => [&[TYPE_ECDSA], SPKI_P256.as_slice(), point].concat(),
        }
    }

    /// The first four octets of SHA-256(name ‖ 0x0A ‖ type ‖ public key); of ECDSA, of SHA-256(SubjectPublicKeyInfo).
    pub fn id(&self) -> [u8; 4] {
        let encoded = self.encoded();
        let digest = match &self.public {
            Public::Ed25519(_) => Digest::of(&[self.name.as_bytes(), b"\n", &encoded].concat()),
            Public::P256(_) => Digest::of(encoded.get(1..).unwrap_or_default()),
        };
        let [a, b, c, d, ..] = digest.0;
        [a, b, c, d]
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> Result<(), Error> {
        let verified = match &self.public {
            Public::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key.as_slice()).verify(text, signature),
            Public::P256(point) => p256(point).verify(text, signature),
        };
        verified.map_err(|_| Error::BadSignature)
    }
}

/// These coordinates as a key that verifies; whether they are on the curve shows when it is parsed.
fn p256(point: &[u8; 64]) -> UnparsedPublicKey<Vec<u8>> {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, [&[0x04], point.as_slice()].concat())
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id()), BASE64.encode(&self.encoded()))
    }
}

/// The signed note of `text` and the key's signature over it: 64 octets, of ECDSA the DER of r and s.
pub fn assemble(text: &str, key: &VerifierKey, signature: &[u8]) -> String {
    format!("{text}\n{DASH}{} {}\n", key.name, BASE64.encode(&[&key.id(), signature].concat()))
}

/// The checkpoint inside a note, its signature not looked at: for opening a log, which needs no key.
pub fn parse(note: &str) -> Result<Checkpoint, Error> {
    Checkpoint::parse(parts(note)?.0)
}

/// Verifies a note and gives its checkpoint, whose origin must be the key's name. Signatures by other keys are passed over.
pub fn open(note: &str, key: &VerifierKey) -> Result<Checkpoint, Error> {
    let checkpoint = Checkpoint::parse(verified(note, key)?)?;
    match checkpoint.origin == key.name {
        true => Ok(checkpoint),
        false => Err(Error::NotACheckpoint("its origin is not the key's name")),
    }
}

/// Verifies a note and gives its text, whatever it says.
pub fn verified<'n>(note: &'n str, key: &VerifierKey) -> Result<&'n str, Error> {
    let (text, signatures) = parts(note)?;
    let mut ours = signatures.iter().filter(|s| s.name == key.name && s.id == key.id());
    let signature = ours.next().ok_or(Error::NoSignature)?;
    if ours.next().is_some() {
        return Err(Error::TwoSignatures);
    }
    key.verify(text.as_bytes(), &signature.value)?;
    Ok(text)
}

struct SignatureLine<'a> {
    name: &'a str,
    id: [u8; 4],
    value: Vec<u8>,
}

/// Splits a note at its last empty line; the text keeps its final newline.
fn parts(note: &str) -> Result<(&str, Vec<SignatureLine<'_>>), Error> {
    if note.len() > MAX_NOTE {
        return Err(Error::TooLarge);
    }
    let end = note.rfind("\n\n").ok_or(Error::NotANote)?;
    let (text, lines) = note.split_at_checked(end + 1).ok_or(Error::NotANote)?;
    let lines = lines.strip_prefix('\n').and_then(|l| l.strip_suffix('\n')).ok_or(Error::NotANote)?;
    let signatures = lines.split('\n').map(signature_line).collect::<Result<Vec<_>, _>>()?;
    Ok((text, signatures))
}

fn signature_line(line: &str) -> Result<SignatureLine<'_>, Error> {
    let read = || {
        let (name, value) = line.strip_prefix(DASH)?.split_once(' ')?;
        let octets = BASE64.decode(value.as_bytes()).ok()?;
        let (id, value) = octets.split_first_chunk::<4>()?;
        let named = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+');
        (named && !value.is_empty()).then(|| SignatureLine { name, id: *id, value: value.to_vec() })
    };
    read().ok_or(Error::SignatureLine)
}

#[cfg(test)]
mod tests;
