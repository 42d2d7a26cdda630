//! What the gate asks of a worker and what it answers. One question, one answer, in order, over [`crate::wire`] frames.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::cbor::Bytes;
use crate::text::escape;

use super::inventory::Page;
use super::probe::{Found, Step};

/// A question. The first is `Open` (or `List`, `InitToken`); `Login` and `InitToken` are followed by raw frames with the PINs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// Loads the module, initialises it, and finds exactly one token with this label and serial; in this slot, where one is
    /// given. `init_args` goes into pReserved of C_Initialize. `keep_pin`: some of its keys want the PIN for each signature.
    Open {
        module: PathBuf,
        init_args: Option<String>,
        label: String,
        serial: String,
        slot: Option<u64>,
        sessions: u32,
        keep_pin: bool,
    },
    /// Logs in as CKU_USER; one raw frame follows: the PIN. Opens the parallel sessions.
    Login,
    /// Sets another PIN for CKU_USER, who is logged in; two raw frames follow: the PIN as it is, and the new one.
    SetPin,
    /// Octets from C_GenerateRandom (public session).
    Random { length: u32 },
    /// The value of the private data object with this label and application `coldroot`; needs a login.
    ReadData { label: String },
    /// Makes the new data object, then destroys every older one with the same label (in this order).
    WriteData { label: String, value: Bytes },
    /// Whether a key of this kind, the audit key's or a CA's, can be made and used here, as far as that is known before it is made;
    /// `mark`: whether data objects can be stored too, which needs a login where no profile knows the module.
    Fit { algorithm: KeyAlgorithm, audit: bool, mark: bool },
    /// Finds the pair with this CKA_ID and label and reports on it; its CKA_ALWAYS_AUTHENTICATE must be as declared.
    FindKey { label: String, cka_id: Bytes, always_authenticate: bool },
    /// Finds all pairs or half pairs with this label.
    FindKeysByLabel { label: String },
    /// Makes a key pair with explicit attributes, reads them back and compares. A whole pair with this CKA_ID is adopted,
    /// half a pair removed first.
    GenerateKey { label: String, cka_id: Bytes, algorithm: KeyAlgorithm, extractable: bool, always_authenticate: bool },
    /// Makes an AES-256 key that wraps and unwraps and does nothing else, or adopts it.
    GenerateWrappingKey { label: String, cka_id: Bytes },
    /// Wraps a private key, and proves that what came of it is that key.
    BackUp(ToWrap),
    /// Proves a wrapped key, and makes a pair of it.
    Restore(ToRestore),
    /// Destroys the pair with this label, CKA_ID and public half, and shows that it is gone.
    DestroyKey { label: String, cka_id: Bytes, spki: Bytes },
    /// Signs each message with the key that `FindKey` or `GenerateKey` reported as `handle`.
    Sign { handle: u64, algorithm: SignatureAlgorithm, messages: Vec<ToSign> },
    /// The objects of the token from this number on; needs a login.
    Inventory { from: u64 },
    /// Takes one step of a probe; needs a login.
    Probe { step: Step },
    /// Lists the tokens of a module.
    List { module: PathBuf, init_args: Option<String> },
    /// Initialises the one uninitialised token of a module; two raw frames follow: the SO PIN and the user PIN.
    InitToken { module: PathBuf, init_args: Option<String>, label: String },
    /// Logs out, closes the sessions and finalises the module; the worker then exits.
    Close,
}

/// One message of a [`Ask::Sign`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ToSign {
    pub item: u64,
    /// ECDSA and RSA: the digest that `algorithm` names, made by the gate. Ed25519, ML-DSA, SLH-DSA: the message itself.
    pub message: Bytes,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    Opened(TokenFacts),
    LoggedIn,
    Fit,
    PinSet,
    Random(Bytes),
    /// `None`: there is no such object.
    Data(Option<Bytes>),
    Written,
    /// Empty: no such key.
    Keys(Vec<KeyFacts>),
    Generated(KeyFacts),
    WrappingKey(WrappingFacts),
    BackedUp(BackedUp),
    Restored(Restored),
    Destroyed(KeyGone),
    /// In the order asked.
    Signatures(Vec<Signature>),
    /// Some of them, in the order asked, and why not the others.
    Partly {
        signatures: Vec<Signature>,
        failure: Failure,
    },
    Objects(Page),
    Probed(Found),
    Tokens(Vec<TokenFacts>),
    Closed,
    Failed(Failure),
}

/// A token as C_GetTokenInfo and C_GetInfo describe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TokenFacts {
    pub label: String,
    pub serial: String,
    pub manufacturer: String,
    pub model: String,
    /// Library description and version, and the profile that is used for it, for the record.
    pub module: String,
    /// That profile, see `token::vendor`.
    pub profile: String,
    pub place: Box<Place>,
    pub initialised: bool,
    /// CKF_PROTECTED_AUTHENTICATION_PATH: the PIN can be typed at the token itself.
    pub keypad: bool,
    /// The longest PIN in octets; 0 where the token does not say.
    pub longest_pin: u64,
    /// CKF_USER_PIN_COUNT_LOW, _FINAL_TRY, _LOCKED.
    pub pin_count_low: bool,
    pub pin_final_try: bool,
    pub pin_locked: bool,
}

/// Where a token is, by C_GetInfo and C_GetSlotInfo, for a URI that says so; empty where the module does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Place {
    pub library_manufacturer: String,
    pub library_description: String,
    pub library_version: String,
    pub slot_description: String,
    pub slot_manufacturer: String,
}

impl TokenFacts {
    /// For messages: label and serial, escaped.
    pub fn shown(&self) -> String {
        let state = if self.initialised { "" } else { ", not initialised" };
        format!("\"{}\" with the serial \"{}\"{state}", escape(&self.label), escape(&self.serial))
    }
}

/// A key pair as read back from the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyFacts {
    /// The worker's number for the private key, for [`Ask::Sign`]. Not a PKCS#11 handle.
    pub handle: u64,
    pub label: String,
    pub cka_id: Bytes,
    /// The kind that the pair shows ([`KeyAlgorithm::shown`]); after [`Ask::GenerateKey`] the kind that was asked for.
    pub algorithm: KeyAlgorithm,
    /// SubjectPublicKeyInfo, whole DER, built from the public object's attributes.
    pub spki: Bytes,
    /// `CKA_SENSITIVE=true` and so on, in a fixed order.
    pub attributes: Vec<String>,
    /// [`Ask::GenerateKey`]: the pair was already there.
    pub adopted: bool,
}

/// A private key that is wrapped or was: the pair, the key that wraps it, and what it signs to prove itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ToWrap {
    pub label: String,
    pub cka_id: Bytes,
    pub spki: Bytes,
    pub algorithm: KeyAlgorithm,
    pub wrapping: WrappingName,
    /// As in [`ToSign`].
    pub message: Bytes,
}

/// A wrapping key is found by both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WrappingName {
    pub label: String,
    pub cka_id: Bytes,
}

/// A wrapped key on its way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ToRestore {
    pub key: ToWrap,
    pub always_authenticate: bool,
    /// The standard's name of what it was wrapped with.
    pub mechanism: String,
    pub wrapped: Bytes,
}

/// A wrapping key as read back from the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WrappingFacts {
    /// CKA_CHECK_VALUE, where the token gives one.
    pub check_value: Option<Bytes>,
    pub attributes: Vec<String>,
    pub adopted: bool,
}

/// A wrapped key that was proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BackedUp {
    /// The standard's name of what it was wrapped with.
    pub mechanism: String,
    pub wrapped: Bytes,
    /// The wrapping key's.
    pub check_value: Option<Bytes>,
    /// By the key as it was unwrapped again.
    pub signature: Bytes,
}

/// A pair that is back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Restored {
    pub attributes: Vec<String>,
    /// The whole pair was there already.
    pub adopted: bool,
    /// By the key as it stays in the token.
    pub signature: Bytes,
}

/// A key that is gone from the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyGone {
    /// False where neither half was there.
    pub found: bool,
    /// What the token held before and afterwards, a line for each object, sorted: class, CKA_ID, label, escaped.
    pub before: Vec<String>,
    pub after: Vec<String>,
}

/// A signature as X.509 wants it: ECDSA as DER `SEQUENCE { r, s }` (RFC 3279 §2.2.3), the others raw.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Signature {
    pub item: u64,
    pub value: Bytes,
}

/// Why the worker could not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Failure {
    pub class: Class,
    /// One lower-case clause for people, with the CKR's name and meaning where there is one; never a PIN.
    pub what: String,
    /// What to do about the CKR, where there is one of the standard.
    pub advice: Option<String>,
}

/// What a failure means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Module, token or key is missing, doubled or not as declared: refused.
    Refused,
    /// The module itself cannot be loaded: refused.
    Module,
    /// The PIN is wrong, locked or expired; never tried again by itself.
    Pin,
    /// It did not work this time: the same worker may do it in a moment.
    Retry,
    /// The token, the module or a session is in trouble: another worker may help.
    Reopen,
    /// Asking again helps nobody: state is kept, and a person must look first.
    Halt,
    /// The question makes no sense here (a bug, or a parent that lies).
    Protocol,
}
