//! One worker process of a token, started again when it is spent, never with a second guess at a PIN.
//!
//! A new worker knows nothing: it initialises the module, finds the token by label and serial, and looks at the PIN's
//! counters before it logs in. What it logs in with is a PIN that was right in this run, so no try is lost on it; should the
//! token say otherwise, or have counted a wrong one meanwhile, nobody tries further.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Token;
use crate::plan::KeyRef;
use crate::refusal::Refusal;
use crate::secret::Secret;
use crate::token::ask::{Answer, Ask, Class, KeyFacts, TokenFacts};
use crate::token::client::Worker;
use crate::token::probe::{Probed, Step};

use super::trouble::{Diary, Patience, Setback, failed, unexpected};
use super::{Declared, deadline};

/// So long a worker in trouble may take to close in order. One that hangs has been killed already.
const PARTING: Duration = Duration::from_secs(2);

pub(super) struct Slot {
    exe: PathBuf,
    pub(super) token: Token,
    /// As the token described itself before this run logged in.
    pub(super) facts: TokenFacts,
    /// `None`: the last one is spent, and the next question goes to a new one.
    worker: Option<Worker>,
    /// The PIN that was right, for a new worker of the same run; shared by the processes of one token, zeroed with the last.
    pin: Option<Arc<Secret>>,
    /// Keys found by this worker, by label and CKA_ID.
    found: Vec<KeyFacts>,
    pub(super) patience: Patience,
    /// The most messages in one question. A quarter of it when a worker is lost over one: a module that dies at every
    /// hundredth signature would never answer one for two hundred.
    pub(super) most: usize,
    /// It signs no more in this run.
    pub(super) left_out: bool,
}

impl Slot {
    /// Opens a worker on the token, without a login. `process` numbers the processes of one token, from 0.
    pub(super) fn open(exe: &Path, token: &Token, process: u32, diary: &Diary) -> Result<Slot, Refusal> {
        let who = match process {
            0 => format!("token `{}`", token.id),
            n => format!("token `{}`, process {}", token.id, n + 1),
        };
        let mut patience = Patience::new(token, who, diary);
        let (worker, facts) = loop {
            match launch(exe, token) {
                Ok(open) => break open,
                Err(setback) => std::thread::sleep(patience.after(setback)?),
            }
        };
        patience.reset();
        Ok(Slot {
            exe: exe.into(),
            token: token.clone(),
            facts,
            worker: Some(worker),
            pin: None,
            found: Vec::new(),
            patience,
            most: usize::MAX,
            left_out: false,
        })
    }

    /// It has a login, and was not left out.
    pub(super) fn signs(&self) -> bool {
        self.pin.is_some() && !self.left_out
    }

    pub(super) fn pin(&self) -> Option<&Arc<Secret>> {
        self.pin.as_ref()
    }

    /// The first login: one PIN, one try. Where no answer came, the try may have been counted, and whether the PIN was right
    /// nobody knows: a person decides about the next one, and a new worker reads what that person should know.
    pub(super) fn login(&mut self, pin: Arc<Secret>) -> Result<(), Refusal> {
        let worker = self.worker.as_mut().ok_or_else(|| Refusal::bug("a login before the token is open"))?;
        let error = match worker.login(&pin) {
            Ok(Answer::LoggedIn) => {
                self.pin = Some(pin);
                return Ok(());
            }
            Ok(other) => return Err(unexpected(other)),
            Err(error) => error,
        };
        self.spend();
        let counter = match launch(&self.exe, &self.token) {
            Ok((_, now)) if now.pin_locked => "the PIN is locked now",
            Ok((_, now)) if now.pin_final_try => "the token says that one try is left",
            Ok((_, now)) if now.pin_count_low => "the token's PIN counter is low",
            Ok(_) => "the token's PIN counter is not low",
            Err(_) => "the token's PIN counter cannot be read",
        };
        let what = format!("token `{}` does not answer a login: {error}; {counter}", self.token.id);
        Err(Refusal {
            hint: Some(
                "the try may have been counted and is not made again by itself: see to the token, then run the same \
                 command again"
                    .into(),
            ),
            ..Refusal::halt(what)
        })
    }

    /// Sets another PIN, and opens the token with it in a new worker. Each is tried once: nobody knows yet that the token took
    /// what it was given.
    pub(super) fn set_pin(&mut self, new: Secret) -> Result<(), Refusal> {
        let old = self.pin.clone().ok_or_else(|| Refusal::bug("nobody is logged in to that token"))?;
        let worker = self.worker.as_mut().ok_or_else(|| Refusal::bug("a new PIN without a worker"))?;
        match worker.set_pin(&old, &new) {
            Ok(Answer::PinSet) => {}
            Ok(other) => return Err(unexpected(other)),
            Err(e) => return Err(Refusal::halt(format!("token `{}` does not answer: {e}", self.token.id))),
        }
        self.spend();
        self.pin = Some(Arc::new(new));
        self.worker = Some(self.reopen().map_err(|setback| {
            let (id, why) = (&self.token.id, setback.what());
            Refusal::halt(format!("token `{id}` took the new PIN and does not open with it: {why}"))
        })?);
        Ok(())
    }

    /// Asks until there is an answer that is not the worker's or the device's failure.
    pub(super) fn ask(&mut self, ask: &Ask) -> Result<Answer, Refusal> {
        self.at_last(|slot| slot.once(ask))
    }

    /// [`Slot::find`], until there is an answer.
    pub(super) fn find_at_last(&mut self, key: &KeyRef, declared: Declared) -> Result<KeyFacts, Refusal> {
        self.at_last(|slot| slot.find(key, declared))
    }

    fn at_last<T>(&mut self, mut once: impl FnMut(&mut Slot) -> Result<T, Setback>) -> Result<T, Refusal> {
        self.patience.reset();
        loop {
            match once(self) {
                Ok(answer) => return Ok(answer),
                Err(setback) => std::thread::sleep(self.patience.after(setback)?),
            }
        }
    }

    /// One try, with a new worker where the last one is spent.
    pub(super) fn once(&mut self, ask: &Ask) -> Result<Answer, Setback> {
        let setback = match self.worker()?.ask(ask) {
            Ok(Answer::Failed(failure)) => Setback::from(failure),
            Ok(answer) => return Ok(answer),
            Err(error) => Setback::lost(&error),
        };
        self.part(&setback);
        Err(setback)
    }

    /// Ends the worker after this setback, unless it may yet do what it was asked.
    pub(super) fn part(&mut self, setback: &Setback) {
        if let Setback::Trouble { same_worker, .. } = setback
            && !(*same_worker && self.patience.trusts_the_worker())
        {
            self.spend();
        }
    }

    /// The worker that the next question goes to.
    pub(super) fn worker(&mut self) -> Result<&mut Worker, Setback> {
        if self.worker.is_none() {
            let worker = self.reopen()?;
            self.worker = Some(worker);
        }
        self.worker.as_mut().ok_or_else(|| Refusal::bug("no worker").into())
    }

    /// One step of a probe, and one try: what fails in it is the answer.
    pub(super) fn probe(&mut self, step: &Step) -> Result<Probed, Refusal> {
        self.patience.reset();
        while self.worker.is_none() {
            match self.reopen() {
                Ok(worker) => self.worker = Some(worker),
                Err(setback) => std::thread::sleep(self.patience.after(setback)?),
            }
        }
        let worker = self.worker.as_mut().ok_or_else(|| Refusal::bug("no worker"))?;
        let probed = match worker.ask(&Ask::Probe { step: step.clone() }) {
            Ok(Answer::Probed(found)) => return Ok(Probed::Found(found)),
            Ok(Answer::Failed(f)) if f.class != Class::Reopen => return Ok(Probed::Failed(f)),
            Ok(Answer::Failed(f)) => Probed::Failed(f),
            Ok(other) => return Err(unexpected(other)),
            Err(error) => Probed::lost(&error),
        };
        self.spend();
        Ok(probed)
    }

    /// The planned key, if the token holds it and it is as it was planned and declared. One try.
    pub(super) fn find(&mut self, key: &KeyRef, declared: Declared) -> Result<KeyFacts, Setback> {
        let named = |f: &&KeyFacts| (&f.label, &f.cka_id) == (&key.label, &key.cka_id);
        let keys = match self.found.iter().find(named) {
            Some(facts) => vec![facts.clone()],
            None => {
                let (label, cka_id) = (key.label.clone(), key.cka_id.clone());
                let ask = Ask::FindKey { label, cka_id, always_authenticate: declared.always_authenticate };
                match self.once(&ask)? {
                    Answer::Keys(keys) => keys,
                    other => return Err(unexpected(other).into()),
                }
            }
        };
        // Judged again each time, found before or not: the next item may claim another public half for the same name.
        let facts = judged(&self.token.id, key, declared, &keys)?;
        if !self.found.contains(facts) {
            self.found.push(facts.clone());
        }
        Ok(facts.clone())
    }

    /// What was found of this key is no longer true.
    pub(super) fn forget(&mut self, key: &KeyRef) {
        self.found.retain(|facts| facts.cka_id != key.cka_id);
    }

    /// Logs out and finalises the module. A worker that cannot is killed when it is dropped; the login ends with its process.
    pub(super) fn close(&mut self) {
        // No worker is started again from here on.
        self.pin = None;
        if let Some(worker) = self.worker.take() {
            worker.close(deadline::of(&self.token.deadlines, &Ask::Close));
        }
    }

    /// Handles belong to one worker.
    fn spend(&mut self) {
        self.found.clear();
        if let Some(worker) = self.worker.take() {
            worker.close(PARTING);
        }
    }

    fn reopen(&mut self) -> Result<Worker, Setback> {
        let (mut worker, now) = launch(&self.exe, &self.token).map_err(Setback::of_an_open_token)?;
        let Some(pin) = &self.pin else { return Ok(worker) };
        self.judge_counters(&now)?;
        match worker.login(pin) {
            Ok(Answer::LoggedIn) => Ok(worker),
            Ok(Answer::Failed(f)) if f.class == Class::Pin => {
                Err(Setback::Final(Refusal { halted: true, ..failed(f) }))
            }
            Ok(Answer::Failed(f)) => Err(Setback::from(f)),
            Ok(other) => Err(unexpected(other).into()),
            // The next worker looks at the counters again before it tries.
            Err(error) => Err(Setback::lost(&error)),
        }
    }

    /// This run's PIN was right, so a counter that moved since was moved by something else, or the token counts a login that
    /// it did not answer.
    fn judge_counters(&self, now: &TokenFacts) -> Result<(), Setback> {
        let low = now.pin_count_low && !self.facts.pin_count_low;
        let what = match (now.pin_locked, now.pin_final_try, low) {
            (true, ..) => "its PIN is locked now",
            (_, true, _) => "it says that one try at its PIN is left",
            (.., true) => "its PIN counter is low now",
            _ => return Ok(()),
        };
        let what = format!("token `{}` was logged in to, and {what}: no login is tried", self.token.id);
        let hint =
            "find out who tried a wrong PIN; log in once with the vendor's tool, then run the same command again";
        Err(Setback::Final(Refusal { hint: Some(hint.into()), ..Refusal::halt(what) }))
    }
}

/// A worker that has the token open.
fn launch(exe: &Path, token: &Token) -> Result<(Worker, TokenFacts), Setback> {
    let serial = token.serial.clone().ok_or_else(|| {
        let hint = "`coldroot token init` and `token list` print it; write it into hierarchy.toml";
        Refusal::no(format!("the hierarchy gives no serial for token `{}`", token.id), hint)
    })?;
    let mut worker = start(exe, token)?;
    let ask = Ask::Open {
        module: token.module.clone(),
        init_args: token.init_args.clone(),
        label: token.label.clone(),
        serial,
        slot: token.slot,
        sessions: token.sessions,
        keep_pin: token.keep_pin,
    };
    match worker.ask(&ask) {
        Ok(Answer::Opened(facts)) => {
            judge_uri(token, &facts)?;
            Ok((worker, facts))
        }
        Ok(Answer::Failed(failure)) => Err(failure.into()),
        Ok(other) => Err(unexpected(other).into()),
        Err(error) => Err(Setback::lost(&error)),
    }
}

/// A worker that has nothing open.
pub(super) fn start(exe: &Path, token: &Token) -> Result<Worker, Refusal> {
    let failed = |e| Refusal::halt(format!("cannot start a worker for token `{}`: {e}", token.id));
    let deadlines = token.deadlines;
    let worker = Worker::start(exe, &["worker"], &token.env).map_err(failed)?;
    Ok(worker.with_limits(Box::new(move |ask| deadline::of(&deadlines, ask))))
}

/// The one pair that is as planned and declared.
fn judged<'k>(token: &str, key: &KeyRef, declared: Declared, keys: &'k [KeyFacts]) -> Result<&'k KeyFacts, Refusal> {
    let at = format!("key `{}` (label `{}` on token `{token}`)", key.key, key.label);
    let [facts] = keys else {
        let hint = "check that the right token is inserted; `coldroot token list` shows what is there";
        return Err(Refusal::no(format!("{at}: the token holds {} such pairs, not one", keys.len()), hint));
    };
    let planned = (&key.label, &key.cka_id, &key.spki, key.algorithm.shown());
    if (&facts.label, &facts.cka_id, &facts.spki, facts.algorithm) != planned {
        let hint = "this is another key under the same name: stop and find out why";
        return Err(Refusal::no(format!("{at}: its public half is not the planned one"), hint));
    }
    // A module that does not tell has not said that the key stays.
    let extractable = facts.attributes.iter().find_map(|a| a.strip_prefix("CKA_EXTRACTABLE="));
    if extractable != Some(if declared.extractable { "true" } else { "false" }) {
        let found = crate::text::escape(extractable.unwrap_or("unavailable"));
        let what = format!("{at}: CKA_EXTRACTABLE is {found}, which is not what the hierarchy's backup says");
        return Err(Refusal::no(what, "a key that can leave its token undeclared must not sign"));
    }
    Ok(facts)
}

/// Label and serial have found the token; a `uri` may say more of it, of its slot and of its library.
fn judge_uri(token: &Token, facts: &TokenFacts) -> Result<(), Refusal> {
    let (uri, place) = (&token.uri, &facts.place);
    let version = uri.library_version.map(|(major, minor)| format!("{major}.{minor}"));
    let said = [
        ("manufacturer", &uri.manufacturer, &facts.manufacturer),
        ("model", &uri.model, &facts.model),
        ("library-manufacturer", &uri.library_manufacturer, &place.library_manufacturer),
        ("library-description", &uri.library_description, &place.library_description),
        ("library-version", &version, &place.library_version),
        ("slot-description", &uri.slot_description, &place.slot_description),
        ("slot-manufacturer", &uri.slot_manufacturer, &place.slot_manufacturer),
    ];
    for (what, declared, found) in said {
        if declared.as_ref().is_some_and(|declared| declared != found) {
            let (found, id) = (crate::text::escape(found), &token.id);
            let what =
                format!("token `{id}` gives its {what} as `{found}`, which is not what the hierarchy's uri says");
            return Err(Refusal::no(what, "`coldroot token list` prints the URI of each token; insert the right one"));
        }
    }
    Ok(())
}
