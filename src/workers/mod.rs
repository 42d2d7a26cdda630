//! The gate's workers: one process for each token, started again when it dies, never with a second guess at a PIN.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::cbor::Bytes;
use crate::config::{Backup, Key, Token};
use crate::plan::{GenerateKey, KeyRef};
use crate::secret::Secret;
use crate::token::ask::{Answer, Ask, Class, Failure, KeyFacts, Signature, ToSign, TokenFacts};
use crate::token::inventory::Page;
use crate::token::probe::{Probed, Step};
use crate::token::vendor::Vendor;
use crate::token::{
    self,
    client::{self, Worker},
};

use crate::refusal::Refusal;

/// How often a question is asked, each time of a new worker.
const TRIES: u32 = 3;
/// Octets of messages in one question to a worker, and of signatures in its answer: the longest message there is
/// ([`SignatureAlgorithm::longest_message`]), which with its frame stays below [`crate::wire::MAX_FRAME`].
const MOST_OCTETS: usize = 3 << 20;

/// The one answer that fits the question.
macro_rules! answer {
    ($answered:expr, $fits:pat => $value:expr) => {
        match $answered {
            $fits => Ok($value),
            other => Err($crate::workers::unexpected(other)),
        }
    };
}

/// What the hierarchy says of a key, and the token must say too. The default is right for the audit key.
#[derive(Clone, Copy, Default)]
pub struct Declared {
    pub extractable: bool,
    pub always_authenticate: bool,
}

impl From<&Key> for Declared {
    fn from(key: &Key) -> Declared {
        Declared { extractable: key.backup == Backup::Wrap, always_authenticate: key.always_authenticate }
    }
}

mod keys;

/// All workers of one run.
pub struct Workers {
    exe: PathBuf,
    slots: BTreeMap<String, Slot>,
    /// Tokens whose weaknesses were said.
    told: BTreeSet<String>,
}

struct Slot {
    worker: Worker,
    facts: TokenFacts,
    /// Kept for a new worker of the same run; zeroed with the slot.
    pin: Option<Secret>,
    /// Keys found by this worker, by token label and CKA_ID.
    found: Vec<KeyFacts>,
    /// Why this worker is of no more use; the next question goes to a new one.
    spent: Option<String>,
}

impl Slot {
    fn new(worker: Worker, facts: TokenFacts) -> Slot {
        Slot { worker, facts, pin: None, found: Vec::new(), spent: None }
    }

    fn login(&mut self, token: &Token, pin: Secret) -> Result<(), Refusal> {
        answer!(self.worker.login(&pin).map_err(silent(token))?, Answer::LoggedIn => ())?;
        self.pin = Some(pin);
        Ok(())
    }
}

impl Workers {
    pub fn new(exe: PathBuf) -> Workers {
        Workers { exe, slots: BTreeMap::new(), told: BTreeSet::new() }
    }

    pub fn logged_in(&self, token: &str) -> bool {
        self.slots.get(token).is_some_and(|s| s.pin.is_some())
    }

    /// Opens a worker on the token, without a login.
    pub fn open(&mut self, token: &Token) -> Result<TokenFacts, Refusal> {
        if let Some(slot) = self.slots.get(&token.id) {
            return Ok(slot.facts.clone());
        }
        let (worker, facts) = self.launch(token)?;
        self.slots.insert(token.id.clone(), Slot::new(worker, facts.clone()));
        Ok(facts)
    }

    /// One login, one try.
    pub fn login(&mut self, token: &Token, pin: Secret) -> Result<(), Refusal> {
        self.open(token)?;
        let slot = self.slots.get_mut(&token.id).ok_or_else(|| Refusal::bug("no such worker"))?;
        slot.login(token, pin)
    }

    /// Sets another PIN, and opens the token with it in a new worker: a module that took another one than it was given is found
    /// out while the people who know it are there. From the question on, any failure but the token's own no leaves in doubt
    /// which PIN it has.
    pub fn set_pin(&mut self, token: &Token, new: Secret) -> Result<(), Refusal> {
        let slot = self.slots.get_mut(&token.id).ok_or_else(|| Refusal::bug("no such worker"))?;
        let old = slot.pin.take().ok_or_else(|| Refusal::bug("nobody is logged in to that token"))?;
        let answered = slot.worker.set_pin(&old, &new);
        slot.pin = Some(old);
        answer!(answered.map_err(silent(token))?, Answer::PinSet => ())?;
        let _ = slot.worker.ask(&Ask::Close);
        slot.pin = Some(new);
        self.restart(token).map_err(|refusal| {
            let what = format!("token `{}` took the new PIN and does not open with it: {}", token.id, refusal.what);
            Refusal::halt(what)
        })
    }

    pub fn random(&mut self, token: &Token, length: u32) -> Result<Bytes, Refusal> {
        answer!(self.ask(token, &Ask::Random { length })?, Answer::Random(octets) => octets)
    }

    /// Whether the token is fit for such a key, before one is made; `mark`: and for the mark beside it. What is known to be
    /// weak about it is said once: whoever is about to trust it with a key reads it here.
    pub fn fit(&mut self, token: &Token, algorithm: KeyAlgorithm, mark: bool) -> Result<(), Refusal> {
        answer!(self.ask(token, &Ask::Fit { algorithm, mark })?, Answer::Fit => ())?;
        if self.told.insert(token.id.clone()) {
            let facts = self.open(token)?;
            for weakness in Vendor::by_id(&facts.profile).weaknesses() {
                eprintln!("coldroot: token `{}`: {weakness}", token.id);
            }
        }
        Ok(())
    }

    pub fn read_data(&mut self, token: &Token, label: &str) -> Result<Option<Bytes>, Refusal> {
        answer!(self.ask(token, &Ask::ReadData { label: label.into() })?, Answer::Data(value) => value)
    }

    pub fn write_data(&mut self, token: &Token, label: &str, value: &[u8]) -> Result<(), Refusal> {
        let ask = Ask::WriteData { label: label.into(), value: Bytes::from(value.to_vec()) };
        answer!(self.ask(token, &ask)?, Answer::Written => ())
    }

    pub fn keys_by_label(&mut self, token: &Token, label: &str) -> Result<Vec<KeyFacts>, Refusal> {
        answer!(self.ask(token, &Ask::FindKeysByLabel { label: label.into() })?, Answer::Keys(keys) => keys)
    }

    pub fn generate(
        &mut self,
        token: &Token,
        key: &GenerateKey,
        always_authenticate: bool,
    ) -> Result<KeyFacts, Refusal> {
        let ask = Ask::GenerateKey {
            label: key.label.clone(),
            cka_id: key.cka_id.clone(),
            algorithm: key.algorithm,
            extractable: key.backup == Backup::Wrap,
            always_authenticate,
        };
        answer!(self.ask(token, &ask)?, Answer::Generated(facts) => facts)
    }

    /// Signs with the planned key, which is found by label, CKA_ID and public half together, and must be as it is
    /// declared.
    pub fn sign(
        &mut self,
        token: &Token,
        key: &KeyRef,
        declared: Declared,
        algorithm: SignatureAlgorithm,
        messages: &[(u64, Vec<u8>)],
    ) -> Result<Vec<Signature>, Refusal> {
        let mut signatures = Vec::with_capacity(messages.len());
        for part in parts(messages, key.algorithm.signature_octets()) {
            signatures.extend(self.sign_part(token, key, declared, algorithm, part)?);
        }
        Ok(signatures)
    }

    /// One question's worth of messages.
    fn sign_part(
        &mut self,
        token: &Token,
        key: &KeyRef,
        declared: Declared,
        algorithm: SignatureAlgorithm,
        messages: &[(u64, Vec<u8>)],
    ) -> Result<Vec<Signature>, Refusal> {
        for _ in 0..TRIES {
            let facts = self.find(token, key, declared)?;
            let ask = Ask::Sign {
                handle: facts.handle,
                algorithm,
                messages: messages
                    .iter()
                    .map(|(item, m)| ToSign { item: *item, message: Bytes::from(m.clone()) })
                    .collect(),
            };
            match self.once(token, &ask)? {
                Some(Answer::Signatures(signatures)) => {
                    let asked = messages.iter().map(|(item, _)| *item);
                    return match signatures.iter().map(|s| s.item).eq(asked) {
                        true => Ok(signatures),
                        false => Err(Refusal::halt("the worker answered other items than it was asked for")),
                    };
                }
                Some(other) => return Err(unexpected(other)),
                None => {}
            }
        }
        Err(self.gave_up(token))
    }

    /// A page of the token's objects.
    pub fn objects(&mut self, token: &Token, from: u64) -> Result<Page, Refusal> {
        answer!(self.ask(token, &Ask::Inventory { from })?, Answer::Objects(page) => page)
    }

    /// Takes one step of a probe. What the module does in it, a hang or a crash included, is the answer: no question is asked
    /// twice here, and the next step goes to a new worker.
    pub fn probe(&mut self, token: &Token, step: &Step) -> Result<Probed, Refusal> {
        let lost = || Refusal::bug("no such worker");
        if self.slots.get(&token.id).ok_or_else(lost)?.spent.is_some() {
            self.restart(token)?;
        }
        let slot = self.slots.get_mut(&token.id).ok_or_else(lost)?;
        let probed = match slot.worker.ask(&Ask::Probe { step: step.clone() }) {
            Ok(Answer::Probed(found)) => return Ok(Probed::Found(found)),
            Ok(Answer::Failed(f)) if f.class != Class::Reopen => return Ok(Probed::Failed(f)),
            Ok(Answer::Failed(f)) => Probed::Failed(f),
            Ok(other) => return Err(unexpected(other)),
            Err(error) => Probed::lost(&error),
        };
        slot.found.clear();
        slot.spent = Some("its last worker was spent by a probe".into());
        Ok(probed)
    }

    /// Ends every worker in order: logout, finalize.
    pub fn close(&mut self) {
        for slot in self.slots.values_mut() {
            // A worker that cannot close in order is killed when it is dropped; the login ends with its process.
            let _ = slot.worker.ask(&Ask::Close);
        }
        self.slots.clear();
    }

    /// The planned key, if the token holds it and it is as it was planned and declared.
    pub fn find(&mut self, token: &Token, key: &KeyRef, declared: Declared) -> Result<KeyFacts, Refusal> {
        let at = format!("key `{}` (label `{}` on token `{}`)", key.key, key.label, token.id);
        let named = |f: &&KeyFacts| (&f.label, &f.cka_id) == (&key.label, &key.cka_id);
        let known = self.slots.get(&token.id).and_then(|slot| slot.found.iter().find(named)).cloned();
        let keys = match known {
            Some(facts) => vec![facts],
            None => {
                let (label, cka_id) = (key.label.clone(), key.cka_id.clone());
                let ask = Ask::FindKey { label, cka_id, always_authenticate: declared.always_authenticate };
                answer!(self.ask(token, &ask)?, Answer::Keys(keys) => keys)?
            }
        };
        let [facts] = keys.as_slice() else {
            let hint = "check that the right token is inserted; `coldroot token list` shows what is there";
            return Err(Refusal::no(format!("{at}: the token holds {} such pairs, not one", keys.len()), hint));
        };
        // Judged again each time, found before or not: the next item may claim another public half for the same name.
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
        if let Some(slot) = self.slots.get_mut(&token.id)
            && !slot.found.contains(facts)
        {
            slot.found.push(facts.clone());
        }
        Ok(facts.clone())
    }

    /// Asks until there is an answer that is not the worker's or the device's failure.
    fn ask(&mut self, token: &Token, ask: &Ask) -> Result<Answer, Refusal> {
        self.open(token)?;
        for _ in 0..TRIES {
            if let Some(answer) = self.once(token, ask)? {
                return Ok(answer);
            }
        }
        Err(self.gave_up(token))
    }

    /// One try. `None`: the worker is spent, and the slot knows why.
    fn once(&mut self, token: &Token, ask: &Ask) -> Result<Option<Answer>, Refusal> {
        let lost = || Refusal::bug("no such worker");
        if let Some(why) = &self.slots.get(&token.id).ok_or_else(lost)?.spent {
            eprintln!("coldroot: token `{}`: {why}; starting a new worker", token.id);
            self.restart(token)?;
        }
        let slot = self.slots.get_mut(&token.id).ok_or_else(lost)?;
        let why = match slot.worker.ask(ask) {
            Ok(Answer::Failed(f)) if matches!(f.class, Class::Retry | Class::Reopen) => f.what,
            Ok(answer @ Answer::Failed(_)) => return Err(unexpected(answer)),
            Ok(answer) => return Ok(Some(answer)),
            Err(e) => e.to_string(),
        };
        // Handles belong to one worker.
        slot.found.clear();
        slot.spent = Some(why);
        Ok(None)
    }

    fn gave_up(&self, token: &Token) -> Refusal {
        let why = self.slots.get(&token.id).and_then(|slot| slot.spent.as_deref()).unwrap_or("no answer");
        Refusal::halt(format!("token `{}` failed {TRIES} times in a row, each time with a new worker: {why}", token.id))
    }

    fn restart(&mut self, token: &Token) -> Result<(), Refusal> {
        let pin = self.slots.remove(&token.id).and_then(|slot| slot.pin);
        let (worker, facts) = self.launch(token)?;
        let mut slot = Slot::new(worker, facts);
        if let Some(pin) = pin {
            // The same PIN was right a moment ago; if the token says otherwise now, it is not asked again.
            slot.login(token, pin)?;
        }
        self.slots.insert(token.id.clone(), slot);
        Ok(())
    }

    fn launch(&self, token: &Token) -> Result<(Worker, TokenFacts), Refusal> {
        let serial = token.serial.clone().ok_or_else(|| {
            let hint = "`coldroot token init` and `token list` print it; write it into hierarchy.toml";
            Refusal::no(format!("the hierarchy gives no serial for token `{}`", token.id), hint)
        })?;
        let mut worker = self.start(token)?;
        let ask = Ask::Open {
            module: token.module.clone(),
            init_args: token.init_args.clone(),
            label: token.label.clone(),
            serial,
            slot: token.slot,
            sessions: token.sessions,
            keep_pin: token.keep_pin,
        };
        let facts = answer!(worker.ask(&ask).map_err(silent(token))?, Answer::Opened(facts) => facts)?;
        judge_uri(token, &facts)?;
        Ok((worker, facts))
    }

    /// Lists the tokens of a module through a worker of its own.
    pub fn list(&self, token: &Token) -> Result<Vec<TokenFacts>, Refusal> {
        let ask = Ask::List { module: token.module.clone(), init_args: token.init_args.clone() };
        let listed = self.start(token)?.ask(&ask).map_err(silent(token))?;
        answer!(listed, Answer::Tokens(tokens) => tokens)
    }

    /// Initialises a token through a worker of its own.
    pub fn init_token(&self, token: &Token, so_pin: &Secret, pin: &Secret) -> Result<TokenFacts, Refusal> {
        let made = self
            .start(token)?
            .init_token(&token.module, token.init_args.as_deref(), &token.label, so_pin, pin)
            .map_err(silent(token))?;
        answer!(made, Answer::Opened(facts) => facts)
    }

    fn start(&self, token: &Token) -> Result<Worker, Refusal> {
        let failed = |e| Refusal::halt(format!("cannot start a worker for token `{}`: {e}", token.id));
        let worker = Worker::start(&self.exe, &["worker"], &token.env).map_err(failed)?;
        Ok(worker.with_deadline(token.deadline))
    }
}

/// Cuts messages into parts whose question and whose answer fit a frame each. Digests always fit; whole messages add up, and
/// so do signatures: one of SLH-DSA has up to 49,856 octets.
fn parts(mut messages: &[(u64, Vec<u8>)], signature_octets: usize) -> Vec<&[(u64, Vec<u8>)]> {
    let mut parts = Vec::new();
    while !messages.is_empty() {
        let (mut asked, mut answered) = (0usize, 0usize);
        let fit = messages.iter().take_while(|(_, message)| {
            asked = asked.saturating_add(message.len());
            answered = answered.saturating_add(signature_octets);
            asked.max(answered) <= MOST_OCTETS
        });
        // One that fits nowhere goes alone: the worker refuses it.
        let (part, rest) = messages.split_at_checked(fit.count().max(1)).unwrap_or((messages, &[]));
        parts.push(part);
        messages = rest;
    }
    parts
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

fn silent(token: &Token) -> impl FnOnce(client::Error) -> Refusal {
    move |e| Refusal::halt(format!("token `{}` does not answer: {e}", token.id))
}

fn unexpected(answer: Answer) -> Refusal {
    match answer {
        Answer::Failed(f) => failed(f),
        _ => Refusal::halt("the worker answered another question than it was asked"),
    }
}

fn failed(failure: Failure) -> Refusal {
    let hint = token::hint(&failure);
    let halted = matches!(failure.class, Class::Retry | Class::Reopen | Class::Halt | Class::Protocol);
    Refusal { what: failure.what, hint, halted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_into_frames_in_order() {
        let of = |lengths: &[usize]| (0u64..).zip(lengths).map(|(n, l)| (n, vec![0; *l])).collect::<Vec<_>>();
        let cut = |lengths: &[usize]| parts(&of(lengths), 64).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(cut(&[]), Vec::<usize>::new());
        assert_eq!(cut(&[32; 1024]), [1024]);
        assert_eq!(cut(&[MOST_OCTETS]), [1]);
        assert_eq!(cut(&[MOST_OCTETS - 1, 1, 1]), [2, 1]);
        assert_eq!(cut(&[1, MOST_OCTETS, MOST_OCTETS + 1, 1, 1]), [1, 1, 1, 2]);
        assert_eq!(SignatureAlgorithm::Ed25519.longest_message(), Some(MOST_OCTETS));
        // By the answer: 63 signatures of 49,856 octets, 184 of 17,088, but any chunk of RSA-4096.
        let answers = |octets| parts(&of(&[32; 1024]), octets).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(answers(49_856), [[63; 16].as_slice(), &[16]].concat());
        assert_eq!(answers(17_088), [184, 184, 184, 184, 184, 104]);
        assert_eq!(answers(512), [1024]);
        assert_eq!(answers(MOST_OCTETS + 1).len(), 1024);
        let signatures = (0..63).map(|item| Signature { item, value: vec![0; 49_856].into() }).collect();
        assert!(crate::cbor::to_vec(&Answer::Signatures(signatures)).unwrap().len() < crate::wire::MAX_FRAME as usize);
        // What CBOR adds to a chunk of messages fits as well.
        let chunk: Vec<ToSign> = (0..1024).map(|item| ToSign { item, message: vec![0; 3 << 10].into() }).collect();
        let ask = Ask::Sign { handle: u64::MAX, algorithm: SignatureAlgorithm::Ed25519, messages: chunk };
        assert!(crate::cbor::to_vec(&ask).unwrap().len() < crate::wire::MAX_FRAME as usize);
    }
}
