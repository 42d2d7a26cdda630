//! The parent's end of the gate.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::algorithm::KeyAlgorithm;
use crate::audit::Sealer;
use crate::cbor::Bytes;
use crate::change::TakeOver;
use crate::digest::Digest;
use crate::pin::shares::KnownSet;
use crate::pin::{Newest, PinSource};
use crate::token::ask::TokenFacts;
use crate::token::inventory::Page;
use crate::token::probe::{Probed, Step};
use crate::wire;
use crate::workers::Trouble;

use super::message::{Outcome, Proven, Reply, Request};

/// Why the gate did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start the gate process: {0}")]
    Start(std::io::Error),
    #[error("the gate process has gone: {0}")]
    Gone(#[from] wire::Error),
    #[error("{what}")]
    Refused { what: String, hint: Option<String>, halted: bool },
    #[error("the gate answered another question than it was asked")]
    Confused,
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Refused { hint, .. } => hint.clone(),
            Error::Start(_) => None,
            _ => Some("run the same command again: it goes on where it stopped".into()),
        }
    }

    /// State is kept and the run can be resumed.
    pub fn halted(&self) -> bool {
        match self {
            Error::Refused { halted, .. } => *halted,
            Error::Start(_) => false,
            _ => true,
        }
    }
}

/// The one reply that fits the request.
macro_rules! reply {
    ($replied:expr, $fits:pat $(if $guard:expr)? => $value:expr) => {
        match $replied {
            $fits $(if $guard)? => Ok($value),
            _ => Err(Error::Confused),
        }
    };
}

/// A running gate.
pub struct Gate {
    socket: UnixStream,
    child: Child,
    sealed: (u64, Digest),
    /// The shares whose PIN opened a token.
    opened: BTreeMap<String, Bytes>,
}

impl Gate {
    /// Starts the gate process of this program on a station.
    pub fn start(station: &Path, now: Option<i64>, pins: BTreeMap<String, PinSource>) -> Result<Gate, Error> {
        let exe = std::env::current_exe().map_err(Error::Start)?;
        Gate::start_exe(&exe, station, now, pins)
    }

    /// The same with another program file, for tests.
    pub fn start_exe(
        exe: &Path,
        station: &Path,
        now: Option<i64>,
        pins: BTreeMap<String, PinSource>,
    ) -> Result<Gate, Error> {
        let (socket, theirs) = UnixStream::pair().map_err(Error::Start)?;
        let child =
            Command::new(exe).arg("gate").stdin(Stdio::from(OwnedFd::from(theirs))).spawn().map_err(Error::Start)?;
        let mut gate = Gate { socket, child, sealed: (0, Digest::default()), opened: BTreeMap::new() };
        let station = std::path::absolute(station).map_err(Error::Start)?;
        match gate.ask(&Request::Hello { station, now, pins })? {
            Reply::Welcome { .. } => Ok(gate),
            _ => Err(Error::Confused),
        }
    }

    /// Sends one request and waits for its reply.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, Error> {
        wire::send(&mut self.socket, request)?;
        match wire::receive(&mut self.socket)? {
            Reply::Refused { what, hint, halted } => Err(Error::Refused { what, hint, halted }),
            reply => Ok(reply),
        }
    }

    pub fn random(&mut self, length: u32) -> Result<Vec<u8>, Error> {
        reply!(self.ask(&Request::Random { length })?, Reply::Random(bytes) => bytes.into_vec())
    }

    /// Whether the token is fit for such a key: a CA's, or the audit key with what the hierarchy has beside it.
    pub fn fit(&mut self, token: &str, algorithm: KeyAlgorithm, audit: bool) -> Result<(), Error> {
        reply!(self.ask(&Request::Fit { token: token.into(), algorithm, audit })?, Reply::Fit => ())
    }

    pub fn init_token(&mut self, token: &str) -> Result<TokenFacts, Error> {
        reply!(self.ask(&Request::InitToken { token: token.into() })?, Reply::Token(facts) => facts)
    }

    pub fn list_tokens(&mut self, token: &str) -> Result<Vec<TokenFacts>, Error> {
        reply!(self.ask(&Request::ListTokens { token: token.into() })?, Reply::Tokens(tokens) => tokens)
    }

    /// Says which token has the mark, by its serial number; `standby`: it may be one that is about to take over.
    pub fn serial(&mut self, serial: &str, standby: bool) -> Result<(), Error> {
        reply!(self.ask(&Request::Serial { serial: serial.into(), standby })?, Reply::Known => ())
    }

    pub fn login(&mut self, token: &str) -> Result<TokenFacts, Error> {
        match self.ask(&Request::Login { token: token.into() })? {
            Reply::Token(facts) => Ok(facts),
            Reply::Opened { token: facts, set } => {
                self.opened.insert(token.into(), set);
                Ok(facts)
            }
            _ => Err(Error::Confused),
        }
    }

    /// Tells what the log says of the shares of a token's PIN.
    pub fn know_shares(&mut self, token: &str, sets: Vec<KnownSet>) -> Result<(), Error> {
        reply!(self.ask(&Request::KnowShares { token: token.into(), sets })?, Reply::Known => ())
    }

    /// The shares whose PIN opened the token in this process, if it was shares.
    pub fn opened_by(&self, token: &str) -> Option<&Bytes> {
        self.opened.get(token)
    }

    /// Has a new PIN drawn and split: its set, and the digests of its shares by number.
    pub fn split_pin(&mut self, token: &str, shares: u8, threshold: u8) -> Result<(Bytes, Vec<Digest>), Error> {
        let wanted = usize::from(shares);
        let replied = self.ask(&Request::SplitPin { token: token.into(), shares, threshold })?;
        reply!(replied, Reply::Split { set, shares } if shares.len() == wanted => (set, shares))
    }

    /// Has the shares shown and typed back, and then the PIN set.
    pub fn hand_out(&mut self, split: Proven) -> Result<(), Error> {
        reply!(self.ask(&Request::HandOut { split })?, Reply::PinSet => ())
    }

    /// The mark, encoded; also tells this end where the log must grow from.
    pub fn mark(&mut self) -> Result<Option<Bytes>, Error> {
        reply!(self.ask(&Request::Mark)?, Reply::Mark(mark) => mark)
    }

    /// From where the next consistency proof must start: size and root of the mark.
    pub fn grow_from(&mut self, size: u64, root: Digest) {
        self.sealed = (size, root);
    }

    /// Makes or adopts the audit key; returns its verifier key and whether it was there already.
    pub fn init(&mut self, approvals: &[String]) -> Result<(String, bool), Error> {
        let replied = self.ask(&Request::Init { approvals: approvals.to_vec() })?;
        reply!(replied, Reply::AuditKey { verifier_key, adopted } => (verifier_key, adopted))
    }

    pub fn open_plan(
        &mut self,
        plan: &Path,
        approvals: &[String],
        entry: Vec<u8>,
        index: u64,
        inclusion: Vec<Digest>,
    ) -> Result<(), Error> {
        let plan = std::path::absolute(plan).map_err(Error::Start)?;
        let request =
            Request::Start { plan, approvals: approvals.to_vec(), entry: Bytes::from(entry), index, inclusion };
        reply!(self.ask(&request)?, Reply::Started => ())
    }

    /// Has these items carried out; outcomes in the order asked.
    pub fn carry_out(&mut self, items: Vec<u64>) -> Result<Vec<Outcome>, Error> {
        let (mut outcomes, mut rest) = (Vec::with_capacity(items.len()), items);
        while !rest.is_empty() {
            let asked = self.ask(&Request::Do { items: rest.clone() })?;
            // Large signatures come in several replies; one without any would make this go on for ever.
            let fits = |done: &[Outcome]| (1..=rest.len()).contains(&done.len());
            let done = reply!(asked, Reply::Done(done) if fits(&done) => done)?;
            rest.drain(..done.len());
            outcomes.extend(done);
        }
        Ok(outcomes)
    }

    pub fn end_plan(&mut self, entry: Vec<u8>, index: u64, inclusion: Vec<Digest>) -> Result<(), Error> {
        reply!(self.ask(&Request::End { entry: Bytes::from(entry), index, inclusion })?, Reply::Ended => ())
    }

    pub fn void_plan(&mut self, plan: &Path, approvals: &[String], void: Proven, end: Proven) -> Result<(), Error> {
        let plan = std::path::absolute(plan).map_err(Error::Start)?;
        let request = Request::Void { plan, approvals: approvals.to_vec(), void, end };
        reply!(self.ask(&request)?, Reply::Ended => ())
    }

    /// Has the mark go on from the tree of this size and root, which holds the entry of an adopted log and by this proof
    /// continues that log.
    pub fn adopt_log(
        &mut self,
        entry: Proven,
        tree: (u64, Digest, Vec<Digest>),
        approvals: Vec<String>,
    ) -> Result<(), Error> {
        reply!(self.ask(&Request::AdoptLog { entry, tree, approvals })?, Reply::Ended => ())
    }

    /// Says before the login of an adoption what the newest page of the minutes is, or that there is none any more.
    pub fn minutes(&mut self, newest: Option<Newest>) -> Result<(), Error> {
        reply!(self.ask(&Request::Minutes { newest })?, Reply::Known => ())
    }

    /// Has the mark follow a change of state; one that it has followed already changes nothing.
    pub fn change(&mut self, entry: Proven, approvals: Vec<String>) -> Result<(), Error> {
        reply!(self.ask(&Request::Change { entry, approvals })?, Reply::Ended => ())
    }

    /// Has the mark name the token that takes over; the entry of it is not on record yet.
    pub fn hand_over(&mut self, entry: Vec<u8>, approvals: Vec<String>) -> Result<(), Error> {
        reply!(self.ask(&Request::HandOver { entry: Bytes::from(entry), approvals })?, Reply::Ended => ())
    }

    /// Has a standby take over.
    pub fn take_over(&mut self, shown: TakeOver) -> Result<(), Error> {
        reply!(self.ask(&Request::TakeOver(shown))?, Reply::Ended => ())
    }

    /// Refuses a pair that a token, which is logged in, does not hold.
    pub fn holds(&mut self, token: &str, label: &str, cka_id: &Bytes, spki: &Bytes) -> Result<(), Error> {
        let (cka_id, spki) = (cka_id.clone(), spki.clone());
        let request = Request::Holds { token: token.into(), label: label.into(), cka_id, spki };
        reply!(self.ask(&request)?, Reply::Known => ())
    }

    /// The objects of a token that is logged in, from this number on.
    pub fn objects(&mut self, token: &str, from: u64) -> Result<Page, Error> {
        reply!(self.ask(&Request::Inventory { token: token.into(), from })?, Reply::Objects(page) => page)
    }

    /// Takes one step of a probe on a token that is logged in.
    pub fn probe(&mut self, token: &str, step: &Step) -> Result<Probed, Error> {
        let request = Request::Probe { token: token.into(), step: step.clone() };
        reply!(self.ask(&request)?, Reply::Probed(probed) => probed)
    }

    /// Trouble with tokens that did not stop the run, since this was last asked.
    pub fn troubles(&mut self) -> Result<Vec<Trouble>, Error> {
        reply!(self.ask(&Request::Troubles)?, Reply::Troubles(troubles) => troubles)
    }

    /// Has the mark on disk say that a page of the minutes is about to be shown. What is copied now fits that page and the one before.
    pub fn page(&mut self) -> Result<(), Error> {
        reply!(self.ask(&Request::Page)?, Reply::Page => ())
    }

    /// Logs out, has the page copied if there is one, and waits for the process to end.
    pub fn close(mut self) -> Result<(), Error> {
        self.ask(&Request::Bye)?;
        self.child.wait().map_err(Error::Start)?;
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // A closed socket ends the gate's loop: it logs out and goes. Killing it would leave the token logged in.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

impl Sealer for Gate {
    type Error = Error;

    fn sealed(&self) -> (u64, Digest) {
        self.sealed
    }

    fn sign_checkpoint(&mut self, size: u64, root: Digest, consistency: &[Digest]) -> Result<String, Error> {
        match self.ask(&Request::SignCheckpoint { size, root, consistency: consistency.to_vec() })? {
            Reply::Note(note) => {
                self.sealed = (size, root);
                Ok(note)
            }
            _ => Err(Error::Confused),
        }
    }
}
