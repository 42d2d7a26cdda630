//! The entries of the log. Stored types: a change needs a new version.
//!
//! An entry is one deterministic CBOR map `{"v": 0, "time": seconds, "body": {kind: {…}}}` of at most [`MAX_ENTRY`]
//! octets. Persons appear as roster ids; personal data never stands in an entry.

mod changes;
mod glance;

use serde::{Deserialize, Serialize};

use crate::algorithm::KeyAlgorithm;
use crate::cbor::{self, Bytes};
use crate::config::Environment;
use crate::digest::Digest;
use crate::plan::{BundleRef, Count, Kind};

pub(super) use glance::{Glance, glance};

pub use changes::{
    CertificateAdopted, ClockCorrected, CrlAdopted, Decision, Evidence, EvidenceKind, HandedOver, HierarchyAdopted,
    LogAdopted, Sampled,
};

/// The largest encoded entry: what two octets of length before it in a tile can say (C2SP tlog-tiles).
pub const MAX_ENTRY: usize = 65_535;
/// The version every entry of this program carries.
pub const VERSION: u8 = 0;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Entry {
    pub v: u8,
    /// The station's clock, seconds since the epoch.
    pub time: i64,
    pub body: Body,
}

impl Entry {
    pub fn new(time: i64, body: Body) -> Entry {
        Entry { v: VERSION, time, body }
    }

    pub fn encode(&self) -> Result<Vec<u8>, cbor::Error> {
        let bytes = cbor::to_vec(self)?;
        match bytes.len() > MAX_ENTRY {
            true => Err(cbor::Error::TooLarge { length: bytes.len() as u64, limit: MAX_ENTRY as u64 }),
            false => Ok(bytes),
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Entry, cbor::Error> {
        if bytes.len() > MAX_ENTRY {
            return Err(cbor::Error::TooLarge { length: bytes.len() as u64, limit: MAX_ENTRY as u64 });
        }
        cbor::from_slice(bytes)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Body {
    /// The first entry of every log.
    Genesis(Genesis),
    /// The station was opened. `cut` octets of an unfinished record were removed from the tail.
    Open { mark_size: u64, cut: u64 },
    /// A PIN is about to be tried on this token; recorded before the try.
    PinTry { token: String },
    /// The try succeeded.
    Login { token: String, serial: String, module: String },
    /// The PIN of a token is about to be replaced by one in shares: recorded before anybody sees one of them.
    PinSplit(PinSplit),
    /// What became of it: the token has the new PIN (`new_pin`), or has kept the one from before.
    PinSplitDone { token: String, set: Bytes, new_pin: bool },
    /// A bundle passed its signature and manifest. `revocations` of its `count` items ask for one.
    BundleReceived { bundle: BundleRef, count: u64, revocations: u64 },
    /// A plan was made; the file is the artefact of that digest.
    Planned { plan: Digest, kind: Kind, items: u64, refused: u64, bundle: Option<BundleRef>, counts: Vec<Count> },
    /// The gate was asked to carry out a plan.
    Start(Start),
    /// A key pair was made (or one with the planned CKA_ID adopted after an interruption).
    KeyGenerated(KeyGenerated),
    /// A wrapping key was made (or adopted after an interruption).
    WrappingKeyGenerated(WrappingKeyGenerated),
    /// A key was wrapped, and the wrapped key proven.
    KeyBackedUp(KeyBackedUp),
    /// A key was brought back from its backup, and proven.
    KeyRestored(KeyRestored),
    /// A key signed the text of its plan: it is there and works.
    KeyProven(KeyProven),
    /// Both halves of a key are gone from their token.
    KeyDestroyed(KeyDestroyed),
    /// A certificate was signed and verified.
    Certificate(CertificateIssued),
    /// A certificate was revoked: the CRL of the same plan says so.
    Revoked(Revoked),
    /// A CRL was signed and verified; the DER is the artefact.
    Crl(CrlIssued),
    /// The request of a CA for its external issuer was signed and verified.
    Csr(CsrMade),
    /// A request was refused.
    Refused { plan: Digest, request: String, check: String, reason: String },
    /// A plan ends before it is carried out: what is on record stays issued, the rest never is.
    Void(Void),
    /// A plan was carried out, or what was left of it was voided.
    End(End),
    /// A release was written to `target`, flushed and read back. `checkpoint` is the signed note that it carries: an artefact,
    /// since the log's own checkpoint goes on.
    ReleaseWritten { release: u64, manifest: Digest, checkpoint: Digest, target: String },
    /// A token was probed. `report` is an artefact. `able`: it does what the hierarchy asks of it. `protected`: no attempt got
    /// at a key; `None` where that could not be found out.
    Probe { token: String, serial: String, report: Digest, able: bool, protected: Option<bool> },
    /// The objects of a token were compared with hierarchy and log. `report` is an artefact; the counts are of what it names.
    Inventory { token: String, serial: String, report: Digest, right: u64, missing: u64, wrong: u64, unexpected: u64 },
    /// Another hierarchy is in force.
    HierarchyAdopted(HierarchyAdopted),
    /// A CRL that was signed elsewhere counts.
    CrlAdopted(CrlAdopted),
    /// A CA has the certificate that its external issuer has made.
    CertificateAdopted(CertificateAdopted),
    /// A log that is not the one that the mark knew goes on.
    LogAdopted(LogAdopted),
    /// Another token has the mark.
    HandedOver(HandedOver),
    /// The clock was set back.
    ClockCorrected(ClockCorrected),
    /// A file was copied in from a medium, before anything in it was judged. `name` as it stood there.
    MediumRead { name: String, digest: Digest, octets: u64 },
    /// The log's copy on a second medium was brought to this size.
    CopyWritten { target: String, size: u64, root: Digest },
    /// The ledger's index over the first `size` entries.
    Indexed { size: u64, digest: Digest },
    /// A step of a printed script was done, `number` from 1. `script` is the ceremony file: an artefact.
    Step { script: Digest, number: u64, persons: Vec<String> },
    /// Something was done otherwise than script or rules say: what, why, and what was done about it.
    Deviation { what: String, persons: Vec<String> },
    /// Items of a plan that dice drew were compared with the evidence.
    Sampled(Sampled),
    /// People put a file on record.
    Evidence(Evidence),
    /// Something failed and state was kept.
    Failure { what: String },
}

/// Who and what this log is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Genesis {
    pub origin: String,
    pub name: String,
    pub environment: Environment,
    /// The hierarchy file: an artefact.
    pub hierarchy: Digest,
    /// The log's verifier key (C2SP signed-note): `name+hash+base64`.
    pub verifier_key: String,
    pub approvals: Vec<Approved>,
    /// The 32 octets under which requesters are tagged: an artefact that public copies leave out, so that nobody can guess
    /// who stands behind a tag.
    pub requesters: Digest,
    /// This program's version.
    pub program: String,
}

/// One approval that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Approved {
    pub person: String,
    /// SHA-256 fingerprint of the SSH key, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// The armored SSHSIG: an artefact.
    pub signature: Digest,
}

/// A PIN in shares, any `threshold` of which make it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PinSplit {
    pub token: String,
    /// What tells these shares from any others: 3 octets.
    pub set: Bytes,
    pub threshold: u8,
    /// By number, from 1.
    pub shares: Vec<ShareOf>,
}

/// One share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ShareOf {
    /// The person who keeps it, where one was named.
    pub custodian: Option<String>,
    /// SHA-256 over `coldroot share v0` and the share. It holds 128 bits that nobody can guess, so it tells nothing of the PIN.
    pub digest: Digest,
}

/// The start of a plan: recorded, checkpointed and marked before the first use of a CA key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Start {
    pub plan: Digest,
    pub approvals: Vec<Approved>,
    pub operator: String,
    pub witness: String,
    /// What the witness read from another clock, seconds since the epoch; `None` in rehearsals that did not ask.
    pub witness_time: Option<i64>,
}

/// A key pair in the token, as read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyGenerated {
    pub plan: Digest,
    /// The item's number in the plan, from 0.
    pub item: u64,
    pub key: String,
    pub token: String,
    pub label: String,
    pub cka_id: Bytes,
    pub algorithm: KeyAlgorithm,
    pub spki: Bytes,
    /// The attributes that were read back, `CKA_NAME=value`.
    pub attributes: Vec<String>,
    /// True when the pair was found whole after an interruption.
    pub adopted: bool,
}

/// A proof that a key is in its token and works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyProven {
    pub plan: Digest,
    pub item: u64,
    pub key: String,
    pub token: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki: Digest,
    /// The signature over the text that the plan's item holds, as X.509 would carry it: an artefact.
    pub signature: Digest,
}

/// A wrapping key in its token, as read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WrappingKeyGenerated {
    pub plan: Digest,
    pub item: u64,
    pub key: String,
    pub token: String,
    pub label: String,
    pub cka_id: Bytes,
    /// CKA_CHECK_VALUE, where the token gives one.
    pub check_value: Option<Bytes>,
    pub attributes: Vec<String>,
    pub adopted: bool,
}

/// A backup of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyBackedUp {
    pub plan: Digest,
    pub item: u64,
    pub key: String,
    pub token: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki: Digest,
    pub wrapping_key: String,
    pub mechanism: String,
    /// The wrapped key ([`crate::plan::Backup`]): an artefact that public copies leave out.
    pub backup: Digest,
    /// By the key as it was unwrapped again, over the text of the plan's item: an artefact.
    pub signature: Digest,
}

/// A key that is back in its token, as read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyRestored {
    pub plan: Digest,
    pub item: u64,
    pub key: String,
    pub token: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki: Digest,
    pub backup: Digest,
    pub attributes: Vec<String>,
    /// True where the whole pair was there already.
    pub adopted: bool,
    /// Over the text of the plan's item: an artefact.
    pub signature: Digest,
}

/// The end of a key in its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyDestroyed {
    pub plan: Digest,
    pub item: u64,
    pub key: String,
    pub token: String,
    pub label: String,
    pub cka_id: Bytes,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki: Digest,
    /// False where it was gone already, as after an interruption.
    pub found: bool,
    /// What the token held before and afterwards, a line for each object: an artefact.
    pub inventory: Digest,
}

/// A certificate on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CertificateIssued {
    pub plan: Digest,
    pub item: u64,
    /// The issuing CA, and the CA certified (CA certificates) or the request answered (end entities).
    pub ca: String,
    pub subject_ca: Option<String>,
    pub request: Option<String>,
    pub profile: String,
    /// Who asked, as a tag (see [`Genesis::requesters`]); `None` for CAs.
    pub requester: Option<Digest>,
    /// The certificate, DER: a TBS of at most 12 KiB, and its signature.
    pub der: Bytes,
}

/// A revocation on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Revoked {
    pub plan: Digest,
    pub item: u64,
    pub ca: String,
    /// Content octets of the serial number.
    pub serial: Bytes,
    /// reasonCode; `None` for unspecified.
    pub reason: Option<u8>,
    /// revocationDate, seconds since the epoch.
    pub date: i64,
}

/// The end of a plan before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Void {
    pub plan: Digest,
    pub reason: String,
    /// Items on record; the statement names the number.
    pub done: u64,
    pub approvals: Vec<Approved>,
    pub operator: String,
    pub witness: String,
    pub witness_time: Option<i64>,
}

/// A CRL on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CrlIssued {
    pub plan: Digest,
    pub item: u64,
    pub ca: String,
    pub number: u64,
    pub this_update: i64,
    pub next_update: i64,
    /// The DER of the whole CRL: an artefact.
    pub crl: Digest,
}

/// A request on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CsrMade {
    pub plan: Digest,
    pub item: u64,
    /// The CA that asks.
    pub ca: String,
    /// The whole CertificationRequest (RFC 2986 §4.2), DER.
    pub der: Bytes,
}

/// The end of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct End {
    pub plan: Digest,
    pub release: u64,
    pub done: u64,
    pub refused: u64,
    /// The release's manifest.
    pub manifest: Digest,
}
