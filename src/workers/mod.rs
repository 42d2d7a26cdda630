//! The gate's workers: a process for each token, or several, started again when they die.

mod deadline;
mod held;
mod share;
mod slot;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::cbor::Bytes;
use crate::config::{Backup, Key, Token};
use crate::plan::{GenerateKey, KeyRef};
use crate::refusal::Refusal;
use crate::secret::Secret;
use crate::token::ask::{Answer, Ask, KeyFacts, Signature, TokenFacts};
use crate::token::client;
use crate::token::inventory::Page;
use crate::token::probe::{Probed, Step};
use crate::token::vendor::Vendor;

use share::Job;
use slot::Slot;
use trouble::{Diary, unexpected};

pub use held::hold;
pub use trouble::Trouble;

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

pub mod keys;

/// All workers of one run.
pub struct Workers {
    exe: PathBuf,
    /// By token and number of the process. The first process of a token does all that is not signing.
    slots: BTreeMap<(String, u32), Slot>,
    diary: Diary,
    /// Tokens whose weaknesses were said.
    told: BTreeSet<String>,
}

impl Workers {
    pub fn new(exe: PathBuf) -> Workers {
        Workers { exe, slots: BTreeMap::new(), diary: Diary::default(), told: BTreeSet::new() }
    }

    pub fn logged_in(&self, token: &str) -> bool {
        self.slots.get(&(token.to_owned(), 0)).is_some_and(|slot| slot.pin().is_some())
    }

    /// A worker of it was started in this run.
    pub fn is_open(&self, token: &str) -> bool {
        self.slots.keys().any(|(id, _)| id == token)
    }

    /// It is logged in and was not left out.
    pub fn signs(&self, token: &str) -> bool {
        self.slots.values().any(|slot| slot.token.id == token && slot.signs())
    }

    /// Opens a worker on the token, without a login.
    pub fn open(&mut self, token: &Token) -> Result<TokenFacts, Refusal> {
        Ok(self.slot(token)?.facts.clone())
    }

    /// One login, one try. Further processes of the token log in with the PIN that was right, one after the other.
    pub fn login(&mut self, token: &Token, pin: Secret) -> Result<(), Refusal> {
        let pin = Arc::new(pin);
        self.slot(token)?.login(Arc::clone(&pin))?;
        for process in 1..token.processes {
            let mut slot = Slot::open(&self.exe, token, process, &self.diary)?;
            slot.login(Arc::clone(&pin))?;
            self.slots.insert((token.id.clone(), process), slot);
        }
        Ok(())
    }

    /// Sets another PIN, and opens the token with it in a new worker: a module that took another one than it was given is found
    /// out while the people who know it are there. From the question on, any failure but the token's own no leaves in doubt
    /// which PIN it has.
    pub fn set_pin(&mut self, token: &Token, new: Secret) -> Result<(), Refusal> {
        // The token's other processes know the old one.
        self.slots.retain(|(id, process), _| *id != token.id || *process == 0);
        self.slot(token)?.set_pin(new)
    }

    pub fn random(&mut self, token: &Token, length: u32) -> Result<Bytes, Refusal> {
        answer!(self.ask(token, &Ask::Random { length })?, Answer::Random(octets) => octets)
    }

    /// Whether the token is fit for such a key, the audit key's or a CA's, before one is made; `mark`: and for the mark beside it.
    /// What is known to be weak about it is said once: whoever is about to trust it with a key reads it here.
    pub fn fit(&mut self, token: &Token, algorithm: KeyAlgorithm, audit: bool, mark: bool) -> Result<(), Refusal> {
        answer!(self.ask(token, &Ask::Fit { algorithm, audit, mark })?, Answer::Fit => ())?;
        if self.told.insert(token.id.clone()) {
            let facts = self.open(token)?;
            for weakness in Vendor::by_id(&facts.profile).weaknesses() {
                eprintln!("coldroot: token `{}`: {weakness}", token.id);
            }
        }
        Ok(())
    }

    /// Whether the token is known to store no data objects.
    pub fn stores_no_data(&mut self, token: &Token) -> Result<bool, Refusal> {
        Ok(Vendor::by_id(&self.open(token)?.profile).data_objects() == Some(false))
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

    /// The planned key, if the token holds it and it is as it was planned and declared.
    pub fn find(&mut self, token: &Token, key: &KeyRef, declared: Declared) -> Result<KeyFacts, Refusal> {
        self.slot(token)?.find_at_last(key, declared)
    }

    /// Signs with the planned key, which is found by label, CKA_ID and public half together, and must be as it is
    /// declared. All processes of all these tokens share the work.
    pub fn sign(
        &mut self,
        tokens: &[String],
        key: &KeyRef,
        declared: Declared,
        algorithm: SignatureAlgorithm,
        messages: &[(u64, Vec<u8>)],
    ) -> Result<Vec<Signature>, Refusal> {
        // Being left out is about sharing: what one token alone may sign, the checkpoints, it is still asked for.
        let alone = |process: u32, slot: &Slot| tokens.len() == 1 && process == 0 && slot.pin().is_some();
        let signs =
            |id: &String, process: u32, slot: &Slot| tokens.contains(id) && (slot.signs() || alone(process, slot));
        let mine = self.slots.iter_mut().filter(|((id, process), slot)| signs(id, *process, slot));
        let crew: Vec<&mut Slot> = mine.map(|(_, slot)| slot).collect();
        share::sign(crew, &Job { key, declared, algorithm, messages }, &self.diary)
    }

    /// A page of the token's objects.
    pub fn objects(&mut self, token: &Token, from: u64) -> Result<Page, Refusal> {
        answer!(self.ask(token, &Ask::Inventory { from })?, Answer::Objects(page) => page)
    }

    /// Takes one step of a probe. What the module does in it, a hang or a crash included, is the answer: no question is asked
    /// twice here, and the next step goes to a new worker.
    pub fn probe(&mut self, token: &Token, step: &Step) -> Result<Probed, Refusal> {
        self.slot(token)?.probe(step)
    }

    /// The run goes on without this token.
    pub fn leave_out(&mut self, token: &str, why: &str) {
        // Told once, and not for each chunk.
        let told = !self.signs(token);
        for slot in self.slots.values_mut().filter(|slot| slot.token.id == token) {
            slot.left_out = true;
        }
        if !told {
            self.diary.left_out(token, why);
        }
    }

    /// What went wrong, and was met, since this was last asked.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.diary.take()
    }

    /// Ends every worker in order: logout, finalize.
    pub fn close(&mut self) {
        self.slots.values_mut().for_each(Slot::close);
        self.slots.clear();
    }

    /// Lists the tokens of a module through a worker of its own.
    pub fn list(&self, token: &Token) -> Result<Vec<TokenFacts>, Refusal> {
        let ask = Ask::List { module: token.module.clone(), init_args: token.init_args.clone() };
        let listed = slot::start(&self.exe, token)?.ask(&ask);
        answer!(listed.map_err(silent(token))?, Answer::Tokens(tokens) => tokens)
    }

    /// Initialises a token through a worker of its own.
    pub fn init_token(&self, token: &Token, so_pin: &Secret, pin: &Secret) -> Result<TokenFacts, Refusal> {
        let made = slot::start(&self.exe, token)?.init_token(
            &token.module,
            token.init_args.as_deref(),
            &token.label,
            so_pin,
            pin,
        );
        answer!(made.map_err(silent(token))?, Answer::Opened(facts) => facts)
    }

    fn ask(&mut self, token: &Token, ask: &Ask) -> Result<Answer, Refusal> {
        self.slot(token)?.ask(ask)
    }

    /// The first process of a token, opened if it is not.
    fn slot(&mut self, token: &Token) -> Result<&mut Slot, Refusal> {
        let place = (token.id.clone(), 0);
        if !self.slots.contains_key(&place) {
            let slot = Slot::open(&self.exe, token, 0, &self.diary)?;
            self.slots.insert(place.clone(), slot);
        }
        self.slots.get_mut(&place).ok_or_else(|| Refusal::bug("no such worker"))
    }
}

fn silent(token: &Token) -> impl FnOnce(client::Error) -> Refusal {
    move |e| Refusal::halt(format!("token `{}` does not answer: {e}", token.id))
}
