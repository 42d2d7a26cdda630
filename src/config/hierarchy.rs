//! The hierarchy: the declared CAs, keys, tokens, profiles, persons and quorums of one station.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use crate::algorithm::KeyAlgorithm;
use crate::digest::Digest;
use crate::plan::Kind;

use super::{Limits, Linter, PinEntry, PinForm, Profile, Rdn, RuleSet, TokenUri};

/// The first line of every hierarchy file: `format = "coldroot-hierarchy-v0"`.
pub const FORMAT: &str = "coldroot-hierarchy-v0";
/// A hierarchy file is written and read by people: one larger than this is a mistake.
pub const MAX_FILE: u64 = 1 << 20;

/// One station's declared world. Made only by [`Hierarchy::parse`], so every reference in it resolves.
#[derive(Clone)]
pub struct Hierarchy {
    pub name: String,
    pub environment: Environment,
    /// The first line of the log's checkpoints (C2SP tlog-checkpoint "origin").
    pub origin: String,
    pub audit_token: String,
    pub audit_key_label: String,
    /// The directory on a second medium that holds the log's copy; relative to the station.
    pub audit_copy: Option<PathBuf>,
    /// Ed25519, or ECDSA P-256 on a token that has none.
    pub audit_algorithm: KeyAlgorithm,
    pub audit_mark: MarkPlace,
    /// Rehearsals only: the page of minutes that is read and written in place of a person with paper; relative to the station.
    pub minutes_file: Option<PathBuf>,
    /// Landlock and seccomp around the process that parses hostile input.
    pub sandbox: Guard,
    /// Pages that hold a PIN never reach the swap.
    pub locked_pages: Guard,
    /// Lists of compromised keys.
    pub block_lists: Vec<BlockList>,
    /// The `age` command, an absolute path.
    pub age: Option<PathBuf>,
    pub quorum_init: Quorum,
    pub quorum_keys: Quorum,
    pub quorum_certificates: Quorum,
    /// Who adopts another hierarchy.
    pub quorum_hierarchy: Quorum,
    /// Who decides the other changes of state: the clock, a CRL from elsewhere, what follows a loss.
    pub quorum_recovery: Quorum,
    pub persons: Vec<Person>,
    pub desks: Vec<Desk>,
    pub validators: Vec<Validator>,
    pub tokens: Vec<Token>,
    pub keys: Vec<Key>,
    pub wrapping_keys: Vec<WrappingKey>,
    pub cas: Vec<Ca>,
    pub profiles: Vec<Profile>,
    pub linters: Vec<Linter>,
    /// SHA-256 of the file's bytes.
    pub digest: Digest,
    /// The file itself.
    pub text: String,
}

/// Real, or a rehearsal that can never pass for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    Real,
    Rehearsal,
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Environment::Real => "real",
            Environment::Rehearsal => "rehearsal",
        })
    }
}

/// Where it is remembered which state of the log is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkPlace {
    /// In a data object beside the audit key.
    Token,
    /// In the audit directory, signed; and on paper, in the words of the minutes.
    Paper,
}

/// A list of compromised keys that no certificate is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockList {
    /// Relative to the station.
    pub path: PathBuf,
    pub form: BlockForm,
}

/// How a list of compromised keys is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockForm {
    /// A text: SHA-256 of each SubjectPublicKeyInfo in hex, one a line.
    Spki,
    /// `blocklist.dat` of badkeys.
    Badkeys,
}

/// What a run does where the operating system cannot give a protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Refuses: the default of a real hierarchy.
    Required,
    /// Warns: the default of a rehearsal.
    IfAvailable,
}

/// How many persons of each role must approve.
pub type Quorum = BTreeMap<Role, u32>;

/// What a person may do at the station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Officer,
    Operator,
    Witness,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Officer => "officer",
            Role::Operator => "operator",
            Role::Witness => "witness",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Role> {
        [Role::Officer, Role::Operator, Role::Witness].into_iter().find(|role| role.name() == name)
    }
}

/// A person of the roster. The log knows the id alone.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub name: String,
    pub roles: BTreeSet<Role>,
    /// OpenSSH public keys, one line each; no key belongs to two persons, desks or validators.
    pub keys: Vec<String>,
    /// The first second at which the person no longer counts, since the epoch.
    pub expires: Option<i64>,
    /// Whether the keys, which are FIDO keys then, must say that they verified their user.
    pub user_verification: bool,
}

impl Person {
    /// Since when the person no longer counts, if so at this time.
    pub fn expired(&self, at: i64) -> Option<i64> {
        self.expires.filter(|expires| *expires <= at)
    }
}

/// The online side that packs bundles.
#[derive(Clone, Debug)]
pub struct Desk {
    pub id: String,
    pub keys: Vec<String>,
    /// The profiles it may ask for.
    pub profiles: BTreeSet<String>,
    /// Every name that it asks for is one of these or below one; none: any name.
    pub suffixes: Vec<String>,
    /// Requests and revocations of one bundle, and of 24 hours; `None`: as many as the format takes.
    pub max_items: Option<u64>,
    pub max_items_per_day: Option<u64>,
    /// Revocations among them.
    pub max_revocations: u64,
    pub max_revocations_per_day: Option<u64>,
}

/// Who says which names belong to whom. No validator has a key of a desk.
#[derive(Clone, Debug)]
pub struct Validator {
    pub id: String,
    pub keys: Vec<String>,
    /// The first second at which its lists no longer count, since the epoch.
    pub expires: Option<i64>,
}

/// A PKCS#11 token, found by label and serial, never by slot.
#[derive(Clone, Debug)]
pub struct Token {
    pub id: String,
    pub module: PathBuf,
    pub label: String,
    /// `None` only in a draft, before `coldroot token init` has printed it.
    pub serial: Option<String>,
    /// The slot that it must be in besides, where the module's vendor profile allows to name one.
    pub slot: Option<u64>,
    /// What the module is given in pReserved of C_Initialize.
    pub init_args: Option<String>,
    /// Why keys are made on it although a probe got at one.
    pub accept_unprotected: Option<String>,
    /// The whole of its `uri`, or label and serial alone; the token, its slot and its library must say the same.
    pub uri: TokenUri,
    /// The whole environment of the worker that loads the module.
    pub env: BTreeMap<String, String>,
    /// How the PIN comes into the gate, and what is put before it.
    pub pin: PinEntry,
    pub pin_form: PinForm,
    /// Rehearsals only; relative to the station.
    pub pin_file: Option<PathBuf>,
    pub so_pin_file: Option<PathBuf>,
    /// Parallel sessions for signing.
    pub sessions: u32,
    /// The token whose keys this one has too, and whose signing it shares.
    pub same_keys_as: Option<String>,
    /// The audit key's token only: serial numbers of clones that refuse everything until the mark is handed over to them.
    pub standby: Vec<String>,
    /// Processes that sign, each with a login of its own.
    pub processes: u32,
    /// How often a question that failed in the device is asked again.
    pub retries: u32,
    pub deadlines: Deadlines,
    /// Some of its keys want the PIN for each signature, so its worker keeps it.
    pub keep_pin: bool,
}

/// How long an answer of the token may take, in seconds, by kind; `None`: as long as is usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// Loading the module and finding the token.
    pub open: Option<u32>,
    pub login: Option<u32>,
    /// Finding keys.
    pub find: Option<u32>,
    /// Making a key pair.
    pub generate: Option<u32>,
    /// A question for signatures, and in milliseconds what comes to it for each of them.
    pub sign: Option<u32>,
    pub sign_each_ms: Option<u32>,
    /// Reading and writing data objects: the mark.
    pub data: Option<u32>,
    /// Everything else.
    pub other: Option<u32>,
}

/// A CA key in a token.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub token: String,
    pub label: String,
    pub algorithm: KeyAlgorithm,
    pub backup: Backup,
    /// CKA_ALWAYS_AUTHENTICATE: the token wants the PIN for each signature.
    pub always_authenticate: bool,
    /// The wrapping key of its backups; for `backup = "wrap"` alone.
    pub wrapped_by: Option<String>,
}

/// An AES key that wraps the keys of its token and does nothing else.
#[derive(Clone, Debug)]
pub struct WrappingKey {
    pub id: String,
    pub token: String,
    pub label: String,
}

/// How a private key may ever leave its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backup {
    /// Never: CKA_EXTRACTABLE is false.
    None,
    /// By the vendor's own means, outside PKCS#11: CKA_EXTRACTABLE is false too.
    Vendor,
    /// By C_WrapKey: CKA_EXTRACTABLE is true, CKA_SENSITIVE stays true.
    Wrap,
}

/// A certification authority.
#[derive(Clone, Debug)]
pub struct Ca {
    pub id: String,
    pub key: String,
    /// The CA that certifies it; itself for a root, `external` for one that no station of this hierarchy has.
    pub issuer: String,
    /// The certificate of that external issuer, where it is declared.
    pub issuer_certificate: Option<IssuerCertificate>,
    pub profile: String,
    pub subject: Vec<Rdn>,
    /// Validity; `None`: it has no well-defined expiration date (RFC 5280 §4.1.2.5).
    pub days: Option<u32>,
    /// nextUpdate minus thisUpdate of its CRLs.
    pub crl_days: u32,
    /// Where its CRL is found: the CDP of what it issues.
    pub crl_urls: Vec<String>,
    /// Where its certificate is found: the AIA caIssuers of what it issues.
    pub issuer_urls: Vec<String>,
    /// The rule sets that it declares; [`RuleSet::Rfc5280`] is always among them.
    pub rules: BTreeSet<RuleSet>,
    /// What its own certificate leaves to those below it.
    pub limits: Limits,
}

/// The certificate of an external issuer, by which that of a CA is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerCertificate {
    /// PEM or DER; relative to the station.
    pub path: PathBuf,
    /// SHA-256 of its DER, the fingerprint that tools print.
    pub sha256: Digest,
}

/// In the place of a key's id.
const ELSEWHERE: &str = "elsewhere";
/// In the place of an issuer's id.
pub const EXTERNAL: &str = "external";

impl Ca {
    pub fn is_root(&self) -> bool {
        self.issuer == self.id
    }

    /// Whether it is certified outside, for a request out of the token: `csr`, then `adopt-certificate`.
    pub fn is_external(&self) -> bool {
        self.issuer == EXTERNAL
    }

    /// Whether no token of this station has its key: it is certified for its own request, and signs nothing here.
    pub fn key_is_elsewhere(&self) -> bool {
        self.key == ELSEWHERE
    }
}

impl Hierarchy {
    pub fn marks_on_paper(&self) -> bool {
        self.audit_mark == MarkPlace::Paper
    }

    pub fn token(&self, id: &str) -> Option<&Token> {
        self.tokens.iter().find(|t| t.id == id)
    }

    /// Whether a token with this serial number may have the mark, now or later.
    pub fn may_have_the_mark(&self, serial: &str) -> bool {
        let token = self.token(&self.audit_token);
        token.is_some_and(|t| t.serial.as_deref() == Some(serial) || t.standby.iter().any(|s| s == serial))
    }

    /// The tokens that share the work of this one's keys: itself, then its copies.
    pub fn sharing(&self, id: &str) -> impl Iterator<Item = &Token> {
        self.token(id).into_iter().chain(self.tokens.iter().filter(move |t| t.same_keys_as.as_deref() == Some(id)))
    }

    /// The key with this id; none is called `elsewhere`.
    pub fn key(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|k| k.id == id)
    }

    pub fn wrapping_key(&self, id: &str) -> Option<&WrappingKey> {
        self.wrapping_keys.iter().find(|k| k.id == id)
    }

    pub fn ca(&self, id: &str) -> Option<&Ca> {
        self.cas.iter().find(|c| c.id == id)
    }

    pub fn profile(&self, id: &str) -> Option<&Profile> {
        self.profiles.iter().find(|p| p.id == id)
    }

    /// Who approves a plan of this kind.
    pub fn quorum(&self, kind: Kind) -> &Quorum {
        match kind {
            Kind::Keys => &self.quorum_keys,
            Kind::Certificates => &self.quorum_certificates,
        }
    }

    pub fn person(&self, id: &str) -> Option<&Person> {
        self.persons.iter().find(|p| p.id == id)
    }

    pub fn desk(&self, id: &str) -> Option<&Desk> {
        self.desks.iter().find(|d| d.id == id)
    }
}
