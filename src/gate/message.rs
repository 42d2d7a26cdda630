//! What the parent may say to the gate, and what it hears.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::change::TakeOver;
use crate::digest::Digest;
use crate::pin::shares::KnownSet;
use crate::pin::{Newest, PinSource};
use crate::refusal::Refusal;
use crate::token::ask::{KeyFacts, TokenFacts};
use crate::token::inventory::Page;
use crate::token::probe::{Probed, Step};
use crate::workers::Trouble;
use crate::workers::keys::KeyDone;

/// A request of the parent. One request, one reply, in order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The first one. `now` is taken in rehearsals only.
    Hello { station: PathBuf, now: Option<i64>, pins: BTreeMap<String, PinSource> },
    /// Octets from the token's C_GenerateRandom, in a public session.
    Random { length: u32 },
    /// Rehearsals: initialises the token, asking for both PINs.
    InitToken { token: String },
    /// Lists the tokens that this token's module shows.
    ListTokens { token: String },
    /// Whether the token is fit for a key of this kind: a CA's, or the audit key with what the hierarchy has beside it; without a login.
    Fit { token: String, algorithm: KeyAlgorithm, audit: bool },
    /// Which token has the audit key's mark, by its serial number, before its `Login`: one that the hierarchy declares. `standby`: it may
    /// be a clone that is about to take over; nothing but that is done with it.
    Serial { serial: String, standby: bool },
    /// Asks for the PIN of this token and logs in. Once for each token and process.
    Login { token: String },
    /// What the log says of the shares of a token's PIN; before its `Login`.
    KnowShares { token: String, sets: Vec<KnownSet> },
    /// Draws a new PIN for a token and splits it; nothing is shown or changed yet.
    SplitPin { token: String, shares: u8, threshold: u8 },
    /// Shows the shares to their custodians and sets the PIN; `split` is the entry that records them, with its proof.
    HandOut { split: Proven },
    /// The mark as the token holds it (deterministic CBOR of `audit::mark::Mark`).
    Mark,
    /// Makes or adopts the audit key; needs the init quorum and a token without a mark.
    Init { approvals: Vec<String> },
    /// Makes this size and root the mark, from which it must grow, and signs its checkpoint.
    SignCheckpoint { size: u64, root: Digest, consistency: Vec<Digest> },
    /// Opens a plan: `entry` is the start entry, `inclusion` its proof in the tree that the mark knows.
    Start { plan: PathBuf, approvals: Vec<String>, entry: Bytes, index: u64, inclusion: Vec<Digest> },
    /// Carries out these items of the open plan: ascending numbers, at most a chunk. The reply has outcomes for as many of them,
    /// from the first on, as it has room for.
    Do { items: Vec<u64> },
    /// Closes the plan that the mark names, started by this process or one before: `entry` is the end entry, with its proof.
    End { entry: Bytes, index: u64, inclusion: Vec<Digest> },
    /// Ends a plan without carrying the rest of it out: `void` and `end` are the two entries.
    Void { plan: PathBuf, approvals: Vec<String>, void: Proven, end: Proven },
    /// Where the mark is on paper, before the login of an adoption: what the newest page says, which whoever is there must confirm
    /// from it; or that there is none any more.
    Minutes { newest: Option<Newest> },
    /// Has the mark go on from the tree of this size and root, which holds the entry of an adopted log and by this proof
    /// continues that log.
    AdoptLog { entry: Proven, tree: (u64, Digest, Vec<Digest>), approvals: Vec<String> },
    /// Has the mark name the token that takes over: this one refuses everything from then on. The entry is written behind it.
    HandOver { entry: Bytes, approvals: Vec<String> },
    /// Has a standby take over.
    TakeOver(TakeOver),
    /// Has the mark follow a change of state that signs nothing: its entry, and the approvals that it names.
    Change { entry: Proven, approvals: Vec<String> },
    /// Whether a token that is logged in holds this pair, both halves, as an earlier run has recorded it.
    Holds { token: String, label: String, cka_id: Bytes, spki: Bytes },
    /// The objects of a token that is logged in, from this number on: what they say of themselves, nothing that is secret.
    Inventory { token: String, from: u64 },
    /// Takes one step of a probe on a token that is logged in. The step is handed to the worker as it is: it reaches only
    /// what it makes itself, and signs only its own text (`token::probe`), so there is nothing in it to judge.
    Probe { token: String, step: Step },
    /// What went wrong with tokens, and was met, since this was last asked.
    Troubles,
    /// Before `Bye`: the mark on disk says that a page of the minutes is about to be shown, if there is to be one.
    Page,
    /// Logs out, has the page copied if there is one, and ends.
    Bye,
}

/// An entry with its proof in the tree that the mark knows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Proven {
    pub entry: Bytes,
    pub index: u64,
    pub inclusion: Vec<Digest>,
}

/// The reply.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reply {
    Welcome {
        hierarchy: Digest,
    },
    Random(Bytes),
    Fit,
    Token(TokenFacts),
    Tokens(Vec<TokenFacts>),
    /// Logged in with the PIN that these shares make.
    Opened {
        token: TokenFacts,
        set: Bytes,
    },
    Known,
    /// By number, from 1.
    Split {
        set: Bytes,
        shares: Vec<Digest>,
    },
    PinSet,
    Mark(Option<Bytes>),
    AuditKey {
        verifier_key: String,
        adopted: bool,
    },
    Note(String),
    Objects(Page),
    Probed(Probed),
    Started,
    Done(Vec<Outcome>),
    Ended,
    Troubles(Vec<Trouble>),
    Page,
    Bye,
    /// Nothing was done. `halted`: state is kept and the run can be resumed; otherwise the request itself is at fault.
    Refused {
        what: String,
        hint: Option<String>,
        halted: bool,
    },
}

/// What an item came to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// The signature over the item's TBS, as X.509 carries it.
    Signature(Bytes),
    Key(KeyFacts),
    KeyAct(KeyDone),
    /// Nothing is signed for it.
    Noted,
}

impl From<Refusal> for Reply {
    fn from(Refusal { what, hint, halted }: Refusal) -> Reply {
        Reply::Refused { what, hint, halted }
    }
}
