//! The steps of a probe and what each may find.

use serde::{Deserialize, Serialize};

use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::token::ask::{Failure, TokenFacts};
use crate::token::client;

/// Label and CKA_ID of everything that a probe makes.
pub const LABEL: &str = "coldroot probe";
/// What a worker's last words begin with: the name of the function it was in follows.
pub(super) const CALLING: &str = "calling ";
/// Octets of the message that every kind of key signs first.
pub const MESSAGE: u32 = 1024;
/// Octets of the messages of [`Step::Speed`]: a leaf's TBS has about as many.
pub const SPEED_MESSAGE: u32 = 768;

/// One thing that is tried. Each is asked by itself, with a deadline of its own: a module that hangs or crashes in one costs
/// a worker, and that is the step's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// What module and token say of themselves.
    Facts,
    /// A pair of this kind, made as a CA's would be, signs [`message`] of [`MESSAGE`] octets.
    Sign { algorithm: KeyAlgorithm },
    /// The same over so many octets: for what takes the whole message into the token.
    Message { algorithm: KeyAlgorithm, octets: u32 },
    /// Whether one attribute of the template is taken, and reads back.
    Attribute { algorithm: KeyAlgorithm, trial: Trial },
    /// One attempt to get at a key that is sensitive and not extractable.
    Protect { algorithm: KeyAlgorithm, attempt: Attempt },
    /// Opens sessions until one is refused, at most so many.
    Sessions { most: u32 },
    /// Writes a private data object, reads it in another session, removes it, and looks whether it is gone.
    Data,
    /// Signs in so many sessions at once, for so long.
    Speed { algorithm: KeyAlgorithm, sessions: u32, milliseconds: u32 },
    /// Removes data objects of an interrupted probe, and counts what else has its label.
    Sweep,
}

/// An attribute that is tried alone, on a template that every module takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trial {
    NotModifiable,
    NotCopyable,
    NotDestroyable,
    AllowedMechanisms,
    NoSignRecover,
    NoDecrypt,
    NoUnwrap,
    NoDerive,
    WrapWithTrusted,
    AlwaysAuthenticate,
    /// On the public half.
    PublicNotPrivate,
    PublicNoEncrypt,
    PublicNoWrap,
}

/// How a key might get out, or get more powers than it was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attempt {
    /// C_GetAttributeValue of the private value.
    Read,
    /// C_WrapKey under a throw-away key.
    Wrap(Wrapping),
    /// C_CopyObject with CKA_EXTRACTABLE=true.
    CopyExtractable,
    /// C_CopyObject with CKA_SENSITIVE=false.
    CopyReadable,
    /// C_SetAttributeValue CKA_EXTRACTABLE=true.
    SetExtractable,
    /// C_SetAttributeValue CKA_SENSITIVE=false.
    SetReadable,
    /// C_SetAttributeValue CKA_DECRYPT=true.
    SetDecrypt,
}

/// The mechanisms of C_WrapKey that are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrapping {
    AesCbcPad,
    AesKeyWrap,
    AesKeyWrapPad,
    RsaPkcs,
    RsaOaep,
}

/// What a step found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Found {
    Facts(Box<Facts>),
    /// To be verified by whoever asked. `lean`: the module refused the whole template and took the lean one.
    Signed {
        spki: Bytes,
        signature: Bytes,
        lean: bool,
    },
    Attribute(Taken),
    Guarded(Guarded),
    /// So many beside the worker's own; `refused` says why there were no more.
    Sessions {
        opened: u32,
        refused: Option<String>,
    },
    Data,
    Burst(Burst),
    /// `left`: objects with the probe's label that are not the probe's to remove.
    Swept {
        removed: u32,
        left: u32,
    },
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Probed {
    Found(Found),
    /// The module refused, or its answer is of no use.
    Failed(Failure),
    /// The worker gave no answer: the module hangs (`seconds`) or has ended the process. `call`: the function it was in.
    Lost {
        seconds: Option<u64>,
        call: Option<String>,
        what: String,
    },
}

/// Whether an attribute was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Taken {
    /// It reads back as it was given.
    Kept,
    /// The template was taken; this is what reads back.
    Changed(String),
    /// The template was taken, and the attribute cannot be read.
    Unreadable,
    /// The template was refused.
    Refused(String),
}

/// What came of an attempt on a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Guarded {
    /// The module refused. `control`: the same was done to an extractable key and succeeded, so it is this key that was
    /// refused; `false`: the module cannot do it at all.
    Refused { said: String, control: bool },
    /// The module said yes, and nothing changed.
    Ignored,
    /// It was done: what was got, in octets, or the attribute as it now reads.
    Breached(String),
    /// What the attempt needs is missing.
    NotTried(String),
}

/// Signatures of one burst.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Burst {
    pub signatures: u64,
    pub microseconds: u64,
    pub spki: Bytes,
    /// The last one of each session, over [`message`] of [`SPEED_MESSAGE`] octets.
    pub samples: Vec<Bytes>,
}

/// What module and token say of themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Facts {
    pub token: TokenFacts,
    /// The version of PKCS #11 that the module speaks.
    pub interface: String,
    pub hardware: String,
    pub firmware: String,
    pub pin_pad: bool,
    pub pin_octets: (Option<u64>, Option<u64>),
    pub pin_to_be_changed: bool,
    pub login_required: bool,
    pub write_protected: bool,
    pub random: bool,
    /// `None`: without limit, or not said.
    pub most_sessions: Option<u64>,
    pub public_memory: Memory,
    pub private_memory: Memory,
    pub claims: Vec<Claim>,
}

/// Octets, where the token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Memory {
    pub total: Option<u64>,
    pub free: Option<u64>,
}

/// What C_GetMechanismList says of one kind of key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Claim {
    pub algorithm: KeyAlgorithm,
    pub generates: bool,
    pub signs: bool,
}

impl Step {
    /// How long it may take, in seconds. Making RSA keys in real tokens takes minutes.
    pub fn seconds(&self) -> u64 {
        match self {
            Step::Facts | Step::Data | Step::Sweep | Step::Sessions { .. } => 60,
            _ => 300,
        }
    }
}

impl Probed {
    /// A worker that gave no answer to a step.
    pub fn lost(error: &client::Error) -> Probed {
        let (seconds, output) = match error {
            client::Error::TimedOut { seconds, output } => (Some(*seconds), output.as_str()),
            client::Error::Gone { output } => (None, output.as_str()),
            _ => (None, ""),
        };
        // The module may print as well; the last line of ours counts.
        let call = output.lines().rev().find_map(|line| line.strip_prefix(CALLING)).map(str::to_owned);
        Probed::Lost { seconds, call, what: error.to_string() }
    }
}

impl Trial {
    pub const ALL: [Trial; 13] = [
        Trial::NotModifiable,
        Trial::NotCopyable,
        Trial::NotDestroyable,
        Trial::AllowedMechanisms,
        Trial::NoSignRecover,
        Trial::NoDecrypt,
        Trial::NoUnwrap,
        Trial::NoDerive,
        Trial::WrapWithTrusted,
        Trial::AlwaysAuthenticate,
        Trial::PublicNotPrivate,
        Trial::PublicNoEncrypt,
        Trial::PublicNoWrap,
    ];

    /// The attribute as it stands in the template.
    pub fn name(self) -> &'static str {
        match self {
            Trial::NotModifiable => "CKA_MODIFIABLE=false",
            Trial::NotCopyable => "CKA_COPYABLE=false",
            Trial::NotDestroyable => "CKA_DESTROYABLE=false",
            Trial::AllowedMechanisms => "CKA_ALLOWED_MECHANISMS",
            Trial::NoSignRecover => "CKA_SIGN_RECOVER=false",
            Trial::NoDecrypt => "CKA_DECRYPT=false",
            Trial::NoUnwrap => "CKA_UNWRAP=false",
            Trial::NoDerive => "CKA_DERIVE=false",
            Trial::WrapWithTrusted => "CKA_WRAP_WITH_TRUSTED=true",
            Trial::AlwaysAuthenticate => "CKA_ALWAYS_AUTHENTICATE=true",
            Trial::PublicNotPrivate => "public CKA_PRIVATE=false",
            Trial::PublicNoEncrypt => "public CKA_ENCRYPT=false",
            Trial::PublicNoWrap => "public CKA_WRAP=false",
        }
    }
}

impl Attempt {
    pub const ALL: [Attempt; 11] = [
        Attempt::Read,
        Attempt::Wrap(Wrapping::AesCbcPad),
        Attempt::Wrap(Wrapping::AesKeyWrap),
        Attempt::Wrap(Wrapping::AesKeyWrapPad),
        Attempt::Wrap(Wrapping::RsaPkcs),
        Attempt::Wrap(Wrapping::RsaOaep),
        Attempt::CopyExtractable,
        Attempt::CopyReadable,
        Attempt::SetExtractable,
        Attempt::SetReadable,
        Attempt::SetDecrypt,
    ];

    /// What is tried, for people.
    pub fn name(self) -> &'static str {
        match self {
            Attempt::Read => "read the private value",
            Attempt::Wrap(Wrapping::AesCbcPad) => "wrap, AES-CBC-PAD",
            Attempt::Wrap(Wrapping::AesKeyWrap) => "wrap, AES-KEY-WRAP",
            Attempt::Wrap(Wrapping::AesKeyWrapPad) => "wrap, AES-KEY-WRAP-PAD",
            Attempt::Wrap(Wrapping::RsaPkcs) => "wrap, RSA PKCS#1",
            Attempt::Wrap(Wrapping::RsaOaep) => "wrap, RSA OAEP",
            Attempt::CopyExtractable => "copy as extractable",
            Attempt::CopyReadable => "copy as not sensitive",
            Attempt::SetExtractable => "set CKA_EXTRACTABLE=true",
            Attempt::SetReadable => "set CKA_SENSITIVE=false",
            Attempt::SetDecrypt => "set CKA_DECRYPT=true",
        }
    }

    /// What its success means.
    pub fn meaning(self) -> &'static str {
        match self {
            Attempt::Read => "private keys that it calls sensitive can be read",
            Attempt::Wrap(_) => "the token hands out keys that it calls non-extractable",
            Attempt::CopyExtractable | Attempt::SetExtractable => {
                "a key made non-extractable can be made extractable afterwards, by anyone with the PIN"
            }
            Attempt::CopyReadable | Attempt::SetReadable => {
                "a key made sensitive can be made readable afterwards, by anyone with the PIN"
            }
            Attempt::SetDecrypt => "a signing key can be given other powers afterwards, by anyone with the PIN",
        }
    }
}

/// The text that a probe signs: `octets` octets which say what they are, and are no DER (that would begin with 0x30).
pub fn message(octets: u32) -> Vec<u8> {
    let text = b"coldroot probe: a throw-away key signs this text, which certifies nothing.\n";
    // A message has at most a few MiB.
    text.iter().copied().cycle().take(usize::try_from(octets).unwrap_or(usize::MAX)).collect()
}
