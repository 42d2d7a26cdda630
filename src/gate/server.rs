//! The gate process: its loop, logins and the audit key. The mark and checkpoints stand in `mark`, what concerns a plan in `judge`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::approval;
use crate::audit::{mark::Mark, note};
use crate::cbor::Bytes;
use crate::change;
use crate::config::{Backup, Environment, Hierarchy, PinForm, Token};
use crate::pin::{self, Minutes, PinSource, Pins, Wanted};
use crate::plan::{self, GenerateKey, KeyRef, Plan};
use crate::refusal::Refusal;
use crate::token::ask::KeyFacts;
use crate::wire;
use crate::workers::{Workers, hold};

use super::message::{Reply, Request};

/// The label of the data object that says to which log a token's keys belong: the log's verifier key. The mark knows the
/// hierarchy, but only the hierarchy says which token has the mark; without this, a parent could bring a hierarchy of its
/// own that names this token's keys and another token for the audit.
const LOG_LABEL: &str = "coldroot log";
/// A parent that says nothing for so long, or does not listen, has lost its login.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Serves the parent on standard input until it says goodbye, goes away, or sends what is no request.
pub fn run_gate() -> i32 {
    // No core image of a process that holds a PIN, and no page of it in swap where the limits allow that.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let _ = rustix::mm::mlockall(rustix::mm::MlockAllFlags::CURRENT | rustix::mm::MlockAllFlags::FUTURE);
    // The workers are this very program, even if another file has taken its place by now.
    take_stdin().map_or(1, |socket| serve(socket, "/proc/self/exe".into()))
}

/// The same on any socket and with another program's workers: for fuzzing, which wants a gate in its own process and a token
/// that it can look into. The binary has no way here but [`run_gate`].
#[doc(hidden)]
pub fn serve(mut socket: UnixStream, workers: PathBuf) -> i32 {
    let Ok(Request::Hello { station, now, pins }) = wire::receive(&mut socket) else { return 1 };
    let mut gate = match Gate::open(station, now, &pins, workers) {
        Ok(gate) => gate,
        Err(refusal) => return i32::from(wire::send(&mut socket, &Reply::from(refusal)).is_err()),
    };
    let mut reply = Reply::Welcome { hierarchy: gate.hierarchy.digest };
    while wire::send(&mut socket, &reply).is_ok() && !matches!(reply, Reply::Bye) {
        let Ok(request) = wire::receive::<Request>(&mut socket) else { break };
        reply = gate.answer(request).unwrap_or_else(Reply::from);
    }
    gate.workers.close();
    0
}

/// Moves the socket off standard input, so that nothing started from here can read it.
fn take_stdin() -> std::io::Result<UnixStream> {
    let socket = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3)?);
    rustix::stdio::dup2_stdin(&std::fs::File::open("/dev/null")?)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn clock() -> Option<i64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_secs()).ok())
}

pub(super) struct Gate {
    pub(super) station: PathBuf,
    pub(super) hierarchy: Hierarchy,
    now: Option<i64>,
    /// The audit key's token, where the parent says that it is not the one that the log was begun with; the mark decides.
    pub(super) serial: Option<String>,
    /// The parent says that it may be a standby, which is about to take over.
    pub(super) standby: bool,
    pub(super) pins: Pins,
    pub(super) workers: Workers,
    /// Tokens whose PIN was asked for in this process, and what keeps other gates from them.
    pub(super) tried: BTreeMap<String, UnixListener>,
    /// Tokens that were seen to belong to this log.
    bound: BTreeSet<String>,
    /// There is one only after its mark was judged, or an `Init` had its quorum.
    pub(super) audit: Option<KeyRef>,
    /// What stands in the token; every checkpoint must grow from it.
    pub(super) mark: Option<Mark>,
    /// What is done where that is not the token, but the directory and the minutes.
    pub(super) minutes: Minutes,
    pub(super) plan: Option<Plan>,
}

impl Gate {
    fn open(
        station: PathBuf,
        now: Option<i64>,
        pins: &BTreeMap<String, PinSource>,
        workers: PathBuf,
    ) -> Result<Gate, Refusal> {
        let hierarchy = Hierarchy::load(&station.join("hierarchy.toml"))?;
        if now.is_some() && hierarchy.environment == Environment::Real {
            return Err(Refusal::no("--now belongs to rehearsals", "set the station's clock"));
        }
        let pins = Pins::read(pins, &hierarchy)?;
        let workers = Workers::new(workers);
        let (tried, bound) = (BTreeMap::new(), BTreeSet::new());
        let minutes = Minutes::of(&hierarchy, &station);
        let (serial, standby, audit, mark, plan) = (None, false, None, None, None);
        Ok(Gate { station, hierarchy, now, serial, standby, pins, workers, tried, bound, audit, mark, minutes, plan })
    }

    fn answer(&mut self, request: Request) -> Result<Reply, Refusal> {
        use Request::{AdoptLog, Bye, Page, Troubles};
        if self.minutes.adopts() && !matches!(request, AdoptLog { .. } | Bye | Request::Mark | Page | Troubles) {
            return Err(Refusal::bug("this login is for an adoption of the log alone"));
        }
        match request {
            Request::Hello { .. } => Err(Refusal::bug("the gate has been greeted already")),
            Request::Random { length: length @ 1..=1024 } => {
                Ok(Reply::Random(self.workers.random(&self.audit_token()?, length)?))
            }
            Request::Random { .. } => Err(Refusal::bug("random octets come 1 to 1024 at once")),
            Request::InitToken { token } => self.init_token(&token),
            Request::ListTokens { token } => Ok(Reply::Tokens(self.workers.list(&self.token(&token)?)?)),
            Request::Fit { token, algorithm, audit } => {
                let mark = audit && !self.hierarchy.marks_on_paper();
                self.workers.fit(&self.token(&token)?, algorithm, audit, mark).map(|()| Reply::Fit)
            }
            Request::Serial { serial, standby } => self.claim(serial, standby),
            Request::Login { token } => self.login(&token),
            Request::KnowShares { token, sets } => {
                self.pins.know(&token, sets);
                Ok(Reply::Known)
            }
            Request::SplitPin { token, shares, threshold } => self.split_pin(&token, shares, threshold),
            Request::HandOut { split } => self.hand_out(&split),
            Request::Mark => {
                self.need_login(&self.hierarchy.audit_token)?;
                let mark = self.mark.as_ref().map(Mark::encode).transpose()?;
                Ok(Reply::Mark(mark.map(Bytes::from)))
            }
            Request::Init { approvals } => self.init(&approvals),
            Request::SignCheckpoint { size, root, consistency } => self.sign_checkpoint(size, root, &consistency),
            Request::Start { plan, approvals, entry, index, inclusion } => {
                self.start(&plan, &approvals, &entry, index, &inclusion)
            }
            Request::Do { items } => self.carry_out(&items),
            Request::End { entry, index, inclusion } => self.end(&entry, index, &inclusion),
            Request::Void { plan, approvals, void, end } => self.void(&plan, &approvals, void, end),
            Request::AdoptLog { entry, tree, approvals } => self.adopt_log(&entry, &tree, &approvals),
            Request::Minutes { newest } => self.minutes.claim(newest).map(|()| Reply::Known),
            Request::HandOver { entry, approvals } => self.hand_over(&entry, &approvals),
            Request::TakeOver(shown) => self.take_over(&shown),
            Request::Change { entry, approvals } => self.change(&entry, &approvals),
            Request::Holds { token, label, cka_id, spki } => self.holds(&token, &label, &cka_id, &spki),
            Request::Inventory { token, from } => {
                self.need_login(&token)?;
                Ok(Reply::Objects(self.workers.objects(&self.token(&token)?, from)?))
            }
            Request::Probe { token, step } => {
                self.need_login(&token)?;
                Ok(Reply::Probed(self.workers.probe(&self.token(&token)?, &step)?))
            }
            Request::Troubles => Ok(Reply::Troubles(self.workers.troubles())),
            Request::Page => self.page(),
            Request::Bye => self.bye(),
        }
    }

    pub(super) fn now(&self) -> Result<i64, Refusal> {
        let floor = self.mark.as_ref().map_or(0, |mark| mark.floor);
        let now = self.now.or_else(clock).filter(|now| *now >= floor);
        now.ok_or_else(|| {
            let what = format!("the clock stands before {}, which a witness has read", crate::text::utc(floor));
            Refusal::no(what, "set the clock, after a look at another one")
        })
    }

    pub(super) fn token(&self, id: &str) -> Result<Token, Refusal> {
        let declared = self.hierarchy.token(id).cloned().ok_or_else(|| {
            let what = format!("the hierarchy declares no token `{}`", crate::text::escape(id));
            Refusal::no(what, "see [[token]] in hierarchy.toml")
        })?;
        let claimed = self.serial.clone().filter(|_| id == self.hierarchy.audit_token);
        Ok(Token { serial: claimed.or(declared.serial), ..declared })
    }

    fn claim(&mut self, serial: String, standby: bool) -> Result<Reply, Refusal> {
        if self.workers.is_open(&self.hierarchy.audit_token) {
            return Err(Refusal::bug("the audit key's token is open already"));
        }
        change::declared(&self.hierarchy, &serial)?;
        (self.serial, self.standby) = (Some(serial), standby);
        Ok(Reply::Known)
    }

    /// As the token itself says it.
    pub(super) fn own_serial(&mut self) -> Result<String, Refusal> {
        Ok(self.workers.open(&self.audit_token()?)?.serial)
    }

    pub(super) fn audit_token(&self) -> Result<Token, Refusal> {
        self.token(&self.hierarchy.audit_token)
    }

    pub(super) fn need_login(&self, token: &str) -> Result<(), Refusal> {
        match self.workers.logged_in(token) {
            true => Ok(()),
            false => Err(Refusal::bug("nobody is logged in to that token")),
        }
    }

    fn init_token(&mut self, id: &str) -> Result<Reply, Refusal> {
        let token = self.token(id)?;
        if self.hierarchy.environment != Environment::Rehearsal {
            let hint = "use the vendor's own tool, as its manual says, and write the serial into hierarchy.toml";
            return Err(Refusal::no("only a rehearsal initialises tokens", hint));
        }
        if token.serial.is_some() {
            let what = format!("token `{id}` has a serial in the hierarchy, so it is initialised");
            return Err(Refusal::no(what, "coldroot never initialises a token twice"));
        }
        let fetch = |what: &str, file: &Option<PathBuf>, form: &PinForm| {
            pin::for_new_token(&format!("{what} of token `{id}`"), file.as_ref().map(|f| self.station.join(f)), form)
        };
        let so = fetch("SO PIN", &token.so_pin_file, &PinForm::Plain)?;
        let user = fetch("user PIN", &token.pin_file, &token.pin_form)?;
        Ok(Reply::Token(self.workers.init_token(&token, &so, &user)?))
    }

    /// One PIN, one try, one login for each token and process, whatever came of it.
    fn login(&mut self, id: &str) -> Result<Reply, Refusal> {
        let token = self.token(id)?;
        if self.tried.contains_key(id) {
            return Err(Refusal::bug("the PIN of this token was asked for already; it is asked for once"));
        }
        // The token is found before the PIN is asked for: nobody types a PIN for a token that is not there.
        // A copy that is not there is no reason to stop: the others have its keys.
        let copy = token.same_keys_as.is_some();
        let facts = self.workers.open(&token).map_err(|e| Refusal { halted: e.halted || copy, ..e })?;
        if facts.pin_locked {
            let hint = "the security officer must reset it with the vendor's tool";
            return Err(Refusal::no(format!("the PIN of token `{id}` is locked"), hint));
        }
        let wanted = Wanted { hierarchy: &self.hierarchy, station: &self.station, token: &token, facts: &facts };
        wanted.judge(&self.pins)?;
        wanted.confirm_final_try(&self.pins)?;
        pin::lock_memory(self.hierarchy.locked_pages, token.pin_file.is_some())?;
        self.tried.insert(id.into(), hold(&token, &facts)?);
        let fetched = wanted.fetch(&mut self.pins)?;
        self.workers.login(&token, fetched.pin)?;
        if id == self.hierarchy.audit_token {
            // A token that is not this log's must not stay logged in: `init` would find it without a mark.
            self.read_mark(&token).inspect_err(|_| self.workers.close())?;
        }
        Ok(match fetched.set {
            Some(set) => Reply::Opened { token: facts, set },
            None => Reply::Token(facts),
        })
    }

    pub(super) fn audit_ref(&self, key: &KeyFacts) -> KeyRef {
        KeyRef {
            key: "audit".into(),
            token: self.hierarchy.audit_token.clone(),
            label: self.hierarchy.audit_key_label.clone(),
            cka_id: key.cka_id.clone(),
            algorithm: self.hierarchy.audit_algorithm,
            spki: key.spki.clone(),
        }
    }

    fn init(&mut self, approvals: &[String]) -> Result<Reply, Refusal> {
        let token = self.audit_token()?;
        self.need_login(&token.id)?;
        if self.held_mark()?.is_some() {
            let hint = "`coldroot init` is done once; go on with `coldroot plan`";
            return Err(Refusal::no("this token already carries the mark of a log", hint));
        }
        let statement = plan::init_statement(&self.hierarchy);
        let now = self.now()?;
        approval::quorate(&statement, approvals, &self.hierarchy, &self.hierarchy.quorum_init, now)?;
        let label = self.hierarchy.audit_key_label.clone();
        let algorithm = self.hierarchy.audit_algorithm;
        let (key, adopted) = match self.workers.keys_by_label(&token, &label)?.as_slice() {
            [] => {
                self.workers.fit(&token, algorithm, true, !self.hierarchy.marks_on_paper())?;
                let mut cka_id = [0; 16];
                getrandom::fill(&mut cka_id).map_err(|e| Refusal::halt(format!("no random numbers: {e}")))?;
                (self.make_audit_key(&token, label, self.minutes.name_key(cka_id))?, false)
            }
            // A public half alone, which a run left that was stopped within C_GenerateKeyPair: it is made anew. A pair is
            // judged as if it had just been made.
            [key] if key.algorithm == algorithm && !key.spki.is_empty() => {
                self.minutes.judge_key(&key.cka_id)?;
                if key.handle == 0 {
                    (self.make_audit_key(&token, label, key.cka_id.clone())?, false)
                } else {
                    self.minutes.never()?;
                    (key.clone(), true)
                }
            }
            _ => {
                let what = format!("what the token holds under the label `{label}` is not one {algorithm} pair");
                let hint =
                    "put [audit] back as it was if a stopped `init` has made it, or give the audit key another label";
                return Err(Refusal::no(what, hint));
            }
        };
        self.audit = Some(self.audit_ref(&key));
        self.belongs(&token, true, &[]).inspect_err(|_| self.audit = None)?;
        Ok(Reply::AuditKey { verifier_key: self.verifier_key()?.to_string(), adopted })
    }

    fn make_audit_key(&mut self, token: &Token, label: String, cka_id: Bytes) -> Result<KeyFacts, Refusal> {
        let (key, algorithm, backup) = ("audit".into(), self.hierarchy.audit_algorithm, Backup::None);
        let wanted = GenerateKey { key, token: token.id.clone(), label, cka_id, algorithm, backup };
        self.workers.generate(token, &wanted, false)
    }

    pub(super) fn verifier_key(&self) -> Result<note::VerifierKey, Refusal> {
        let audit = self.audit.as_ref().ok_or_else(|| Refusal::bug("there is no audit key"))?;
        note::VerifierKey::of_spki(&self.hierarchy.origin, &audit.spki).map_err(|e| Refusal::bug(&e.to_string()))
    }

    /// The token's keys belong to this log. With `new`, a token of no log becomes this one's: it is about to get its first
    /// key.
    ///
    /// Where the vendor's profile says that there are no data objects, nothing but a key's own name can tell: the `id`
    /// (CKA_ID) that it was planned and made with ends with the log's tag.
    pub(super) fn belongs(&mut self, token: &Token, new: bool, id: &[u8]) -> Result<(), Refusal> {
        if self.bound.contains(&token.id) {
            return Ok(());
        }
        let ours = self.verifier_key()?.to_string();
        let foreign = || {
            let what = format!("the keys of token `{}` do not belong to this log", token.id);
            Refusal::no(what, "insert the token of this station, or name the right station")
        };
        // The audit key of a mark on paper needs no object to name its log: the note that it has signed does.
        let notes = self.hierarchy.marks_on_paper() && token.id == self.hierarchy.audit_token;
        if notes && id.is_empty() {
            return Ok(());
        }
        if notes || self.workers.stores_no_data(token)? {
            return id.ends_with(&plan::log_tag(&ours)).then_some(()).ok_or_else(foreign);
        }
        let ours = ours.into_bytes();
        match self.workers.read_data(token, LOG_LABEL)? {
            Some(held) if held.as_slice() == ours => {}
            None if new => self.workers.write_data(token, LOG_LABEL, &ours)?,
            _ => return Err(foreign()),
        }
        self.bound.insert(token.id.clone());
        Ok(())
    }

    /// Nobody is logged in any more while people write.
    fn bye(&mut self) -> Result<Reply, Refusal> {
        self.workers.close();
        if let Some(mark) = &self.mark {
            self.minutes.close(mark, self.now.or_else(clock).unwrap_or_default())?;
        }
        Ok(Reply::Bye)
    }
}
