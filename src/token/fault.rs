//! Why the worker could not: the causes, before they become a [`Failure`] on the wire.

use std::path::{Path, PathBuf};

use cryptoki::error::{Error as Cryptoki, RvError};

use super::ask::{Class, Failure};
use super::ckr;
use crate::algorithm::KeyAlgorithm;
use crate::text::escape;

/// A cause inside the worker. `Display` is what [`Failure::what`] says.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{doing}: {}", ckr::shown(rv))]
    Token { doing: &'static str, rv: RvError },
    #[error("{doing}: {}{}", ckr::shown(rv), pin_warning(*final_try, *locked))]
    Pin { doing: &'static str, rv: RvError, final_try: bool, locked: bool },
    #[error("{doing}: the module's answer cannot be used: {}", escape(cause))]
    Answer { doing: &'static str, cause: String },
    #[error("the module path {} is not absolute", path(.0))]
    ModulePath(PathBuf),
    #[error("the module {} cannot be loaded: {}", path(module), escape(cause))]
    Module { module: PathBuf, cause: String },
    #[error(
        "no initialised token has the label \"{}\" and the serial \"{}\" ({})",
        escape(label),
        escape(serial),
        seen_tokens(seen, *unreadable)
    )]
    NoToken { label: String, serial: String, seen: Vec<String>, unreadable: usize },
    #[error("{count} tokens have the label \"{}\"{}", escape(label), with_serial(serial))]
    ManyTokens { label: String, serial: Option<String>, count: usize },
    #[error("its [[token]] names slot {number}, but slots may move (profile: {vendor})")]
    SlotNumber { number: u64, vendor: String },
    #[error("{sessions} parallel sessions are more than the {most} that this token takes")]
    Sessions { sessions: u32, most: u32 },
    #[error("this token is not fit for {algorithm} keys: {because}")]
    Unfit { algorithm: &'static str, because: String },
    /// The same of the audit key; `instead`: the other kind that it may be of, if the token is fit for that one.
    #[error("this token is not fit for {algorithm} keys: {because}")]
    UnfitForAudit { algorithm: &'static str, because: String, instead: Option<KeyAlgorithm> },
    #[error("this token stores no data objects, so it cannot hold the mark: {0}")]
    NoMark(String),
    #[error("item {item} has {length} octets, and this token signs at most {most} at once")]
    MessageLength { item: u64, length: u64, most: u64 },
    #[error("a token with the label \"{}\" is there already", escape(.0))]
    TokenExists(String),
    #[error("exactly one uninitialised token is needed, and there are {0}")]
    Uninitialised(usize),
    #[error("a token label has 1 to 32 octets, this one has {0}")]
    TokenLabel(usize),
    #[error("the {whose} PIN has {length} octets, the token takes {least} to {most}")]
    PinLength { whose: &'static str, length: usize, least: usize, most: usize },
    #[error("the {whose} PIN is not UTF-8, which the initialising of tokens needs")]
    PinText { whose: &'static str },
    #[error("the PIN is empty and the token has no keypad of its own")]
    NoPin,
    #[error("the key wants the PIN for each signature, which no key of this token is declared to want")]
    NoPinForSignature,
    #[error("the token is initialised now, but has no user PIN yet: {0}")]
    HalfInitialised(Box<Fault>),
    #[error("{what} with CKA_ID {id} is there {count} times")]
    Doubled { what: &'static str, id: String, count: usize },
    #[error("{count} {what} have the label \"{}\", under another CKA_ID than {id}", escape(label))]
    LabelTaken { what: &'static str, label: String, id: String, count: usize },
    #[error("the key with CKA_ID {id} has the label \"{}\", not \"{}\"", escape(found), escape(asked))]
    OtherLabel { id: String, found: String, asked: String },
    #[error("the pair with CKA_ID {id} has lost its {missing} half")]
    HalfPair { id: String, missing: &'static str },
    #[error("the {half} key with CKA_ID {id} has {attribute}={found} where {wanted} is needed")]
    Attribute { half: &'static str, id: String, attribute: String, found: String, wanted: String },
    #[error("the pair just made had {attribute}={found} on its {half} key where {wanted} is needed; it was destroyed")]
    Made { half: &'static str, attribute: String, found: String, wanted: String },
    #[error("the pair just made is not as asked ({0}), and could not be destroyed: {1}")]
    Stranded(Box<Fault>, Box<Fault>),
    #[error("the key with CKA_ID {id} is another one: its public half is not the planned one")]
    OtherKey { id: String },
    #[error("the wrapped key is not the one with CKA_ID {id}: the planned public half does not verify its signature")]
    OtherBackup { id: String },
    #[error("the wrapped key of CKA_ID {id} is damaged, or another key has wrapped it: {}", ckr::shown(rv))]
    NotUnwrapped { id: String, rv: RvError },
    #[error("the token holds no wrapping key with the label \"{}\" and CKA_ID {id}", escape(label))]
    NoWrappingKey { label: String, id: String },
    #[error("the token has no AES key wrap with padding")]
    NoWrapMechanism,
    #[error("keys are not unwrapped by the mechanism {}", escape(.0))]
    WrapMechanism(String),
    #[error("the key with CKA_ID {id} was destroyed, and the token still shows it by its {how}")]
    NotGone { id: String, how: &'static str },
    #[error("the key with CKA_ID {id} is of a kind that is not known here ({found})")]
    KeyKind { id: String, found: String },
    #[error("the public key of CKA_ID {id} cannot be read: {cause}")]
    PublicKey { id: String, cause: &'static str },
    #[error("the data object \"{}\" was not written by this program: {cause}", escape(label))]
    ForeignData { label: String, cause: &'static str },
    #[error("the data object \"{}\" reads back with other octets than were written; the older one is kept", escape(.0))]
    DataNotKept(String),
    #[error("item {item}: the signature has {length} octets, not {wanted}")]
    SignatureLength { item: u64, length: usize, wanted: usize },
    #[error("item {item}: the signature has a zero for r or s")]
    SignatureZero { item: u64 },
    #[error("a session thread has ended")]
    SessionLost,
    #[error("{0}")]
    Protocol(Misuse),
}

/// Questions that make no sense: a bug, or a parent that lies.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misuse {
    #[error("a module is already open in this worker")]
    AlreadyOpen,
    #[error("no token is open")]
    NotOpen,
    #[error("nobody is logged in")]
    NotLoggedIn,
    #[error("this worker is logged in already")]
    LoggedIn,
    #[error("{what} is {value}, outside {least} to {most}")]
    Range { what: &'static str, value: u64, least: u64, most: u64 },
    #[error("there is no key with handle {0}")]
    Handle(u64),
    #[error("a key of kind {key} does not sign with {algorithm}")]
    Algorithm { key: &'static str, algorithm: &'static str },
    #[error("item {item}: the digest has {length} octets, the algorithm wants {wanted}")]
    DigestLength { item: u64, length: usize, wanted: usize },
    #[error("the module's arguments hold a zero octet")]
    InitArgs,
    #[error("the question cannot be read: {0}")]
    Unreadable(String),
}

/// The result of everything inside the worker.
pub(super) type Result<T> = std::result::Result<T, Fault>;

impl From<Misuse> for Fault {
    fn from(misuse: Misuse) -> Fault {
        Fault::Protocol(misuse)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure { class: fault.class(), what: fault.to_string(), advice: fault.advice().map(String::from) }
    }
}

impl Fault {
    /// What the cause means for the run.
    pub(super) fn class(&self) -> Class {
        match self {
            Fault::Token { rv, .. } => ckr::class(rv),
            Fault::Pin { .. }
            | Fault::PinLength { .. }
            | Fault::PinText { .. }
            | Fault::NoPin
            | Fault::NoPinForSignature => Class::Pin,
            Fault::Answer { .. }
            | Fault::SignatureLength { .. }
            | Fault::SignatureZero { .. }
            | Fault::DataNotKept(_)
            | Fault::SessionLost => Class::Reopen,
            Fault::Protocol(_) => Class::Protocol,
            Fault::ModulePath(_) | Fault::Module { .. } => Class::Module,
            _ => Class::Refused,
        }
    }

    /// What people do about the standard's value.
    fn advice(&self) -> Option<&'static str> {
        match self {
            Fault::Token { rv, .. } | Fault::Pin { rv, .. } => ckr::advice(rv),
            Fault::HalfInitialised(inner) | Fault::Stranded(_, inner) => inner.advice(),
            Fault::Unfit { .. } => Some(
                "give the key another algorithm in hierarchy.toml, or put it on another [[token]]: docs/tokens.md says what works where",
            ),
            Fault::NoMark(_) => Some(
                "put the audit key on another [[token]], which `token` of [audit] in hierarchy.toml names; or let the minutes be what \
                     remembers: mark = \"paper\" in [audit]",
            ),
            Fault::UnfitForAudit { instead: Some(KeyAlgorithm::EcdsaP256), .. } => Some(
                "write `algorithm = \"ecdsa-p256\"` into [audit] of hierarchy.toml, which this token is fit for, or name another [[token]] there",
            ),
            Fault::UnfitForAudit { instead: Some(_), .. } => Some(
                "leave `algorithm` out of [audit] in hierarchy.toml: this token is fit for ed25519; or name another [[token]] there",
            ),
            Fault::UnfitForAudit { instead: None, .. } => {
                Some("put the audit key on another [[token]]: `token` of [audit] in hierarchy.toml names it")
            }
            Fault::SlotNumber { .. } => Some("leave `slot` out of its [[token]]: label and serial find it"),
            Fault::Sessions { .. } => Some("lower `sessions` of its [[token]] in hierarchy.toml"),
            Fault::MessageLength { .. } => {
                Some("put the CA's key on another [[token]], or give it an algorithm that signs a digest")
            }
            _ => None,
        }
    }
}

/// Gives a cryptoki error the name of what was being done.
pub(super) trait Doing<T> {
    /// `doing` is a noun phrase: "logging in".
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T> Doing<T> for cryptoki::error::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|error| match error {
            Cryptoki::Pkcs11(rv, _) => Fault::Token { doing, rv },
            other => Fault::Answer { doing, cause: other.to_string() },
        })
    }
}

fn pin_warning(final_try: bool, locked: bool) -> &'static str {
    match (locked, final_try) {
        (true, _) => ", and the token says that the PIN is locked",
        (_, true) => ", and the token says that one try is left",
        _ => "",
    }
}

/// What was seen instead, a few of them.
fn seen_tokens(seen: &[String], unreadable: usize) -> String {
    const MOST: usize = 4;
    let mut text = match seen {
        [] => "no token is there".to_owned(),
        some => format!("there are: {}", some.iter().take(MOST).cloned().collect::<Vec<_>>().join("; ")),
    };
    if let Some(more @ 1..) = seen.len().checked_sub(MOST) {
        text.push_str(&format!("; and {more} more"));
    }
    if unreadable > 0 {
        text.push_str(&format!("; {unreadable} cannot be read"));
    }
    text
}

fn with_serial(serial: &Option<String>) -> String {
    serial.as_ref().map(|serial| format!(" and the serial \"{}\"", escape(serial))).unwrap_or_default()
}

fn path(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_of_the_device_is_told_from_a_refusal() {
        let class = |rv| Fault::Token { doing: "signing", rv }.class();
        assert_eq!(class(RvError::DeviceRemoved), Class::Reopen);
        assert_eq!(class(RvError::SessionHandleInvalid), Class::Reopen);
        assert_eq!(class(RvError::VendorDefined(1 << 31)), Class::Reopen);
        assert_eq!(class(RvError::MechanismInvalid), Class::Refused);
        assert_eq!(class(RvError::PinLocked), Class::Pin);
    }

    #[test]
    fn what_a_module_says_is_escaped() {
        let fault = Fault::Answer { doing: "signing", cause: "\u{1b}[2J".into() };
        assert_eq!(fault.to_string(), "signing: the module's answer cannot be used: \\u{1b}[2J");
    }
}
