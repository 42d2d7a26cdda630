//! The worker's state, and one answer to one question.

use std::io::Read;

use cryptoki::error::{Error as Cryptoki, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::types::RawAuthPin;

use super::ask::{Answer, Ask, Class, ToSign};
use super::backup::Bench;
use super::ckr;
use super::context::Context;
use super::fault::{Doing, Fault, Misuse, Result};
use super::keys::Keys;
use super::module::{Module, Token};
use super::pool::{Input, Pool};
use super::recipe::Recipe;
use super::{data, end, fitness, inventory, probe, sign, wrapping};
use crate::algorithm::SignatureAlgorithm;
use crate::secret::Secret;
use crate::wire;

const MOST_SESSIONS: u64 = 64;
const MOST_RANDOM: u64 = 4096;
const MOST_MESSAGES: u64 = 4096;
const LONGEST_DATA_LABEL: u64 = 64;

/// What the worker holds: nothing, or one open token.
#[derive(Default)]
pub(super) struct Worker(Option<Open>);

/// Fields are dropped in this order: parallel sessions, the main session, the module.
struct Open {
    login: Option<Login>,
    session: Session,
    token: Token,
    sessions: u32,
    keep_pin: bool,
    module: Module,
}

struct Login {
    pool: Pool,
    keys: Keys,
}

impl Worker {
    /// Answers one question. The outer error means that the gate cannot be talked to any more; everything else is an answer.
    /// Raw frames that follow a question are read before anything is decided, or the next question would be read as a PIN.
    pub(super) fn answer(&mut self, ask: Ask, from: &mut impl Read) -> std::result::Result<Answer, wire::Error> {
        let answer = match ask {
            Ask::Login => {
                let pin = wire::receive_secret(from)?;
                self.open().and_then(|open| open.log_in(pin)).map(|()| Answer::LoggedIn)
            }
            Ask::SetPin => {
                let (old, new) = (wire::receive_secret(from)?, wire::receive_secret(from)?);
                self.open().and_then(|open| open.set_pin(&old, &new)).map(|()| Answer::PinSet)
            }
            Ask::InitToken { module, init_args, label } => {
                let so_pin = wire::receive_secret(from)?;
                let user_pin = wire::receive_secret(from)?;
                self.must_be_closed()
                    .and_then(|()| Module::load(&module, init_args.as_deref()))
                    .and_then(|module| module.init_token(&label, &so_pin, &user_pin))
                    .map(Answer::Opened)
            }
            other => self.answer_plain(other),
        };
        Ok(answer.unwrap_or_else(|fault| Answer::Failed(fault.into())))
    }

    /// Logs out, closes every session and finalises the module. Used at `Close` and when the gate has gone.
    pub(super) fn close(&mut self) -> Result<()> {
        let Some(Open { login, session, module, .. }) = self.0.take() else { return Ok(()) };
        let logged_in = login.is_some();
        drop(login);
        let logged_out = if logged_in { session.logout().doing("logging out") } else { Ok(()) };
        let closed = session.close().doing("closing a session");
        logged_out.and(closed).and(module.finalize())
    }

    fn answer_plain(&mut self, ask: Ask) -> Result<Answer> {
        match ask {
            Ask::Open { module, init_args, label, serial, slot, sessions, keep_pin } => {
                self.must_be_closed()?;
                check_range("the number of sessions", sessions, 1, MOST_SESSIONS)?;
                let module = Module::load(&module, init_args.as_deref())?;
                let token = module.find(&label, Some(&serial), slot)?;
                token.takes_sessions(sessions)?;
                // Read-write even to sign: some modules have no other sessions.
                let session = module.pkcs11.open_rw_session(token.slot).doing("opening a session")?;
                let facts = token.facts.clone();
                self.0 = Some(Open { login: None, session, token, sessions, keep_pin, module });
                Ok(Answer::Opened(facts))
            }
            Ask::List { module, init_args } => {
                self.must_be_closed()?;
                let module = Module::load(&module, init_args.as_deref())?;
                let (tokens, _) = module.tokens()?;
                module.finalize()?;
                Ok(Answer::Tokens(tokens.into_iter().map(|token| token.facts).collect()))
            }
            Ask::Random { length } => {
                check_range("the number of random octets", length, 1, MOST_RANDOM)?;
                let octets = self.open()?.session.generate_random_vec(length).doing("drawing random octets")?;
                Ok(Answer::Random(octets.into()))
            }
            Ask::ReadData { label } => {
                check_length("the length of a data label", label.len(), 1, LONGEST_DATA_LABEL)?;
                let (session, _) = self.logged_in()?;
                Ok(Answer::Data(data::read(session, &label)?.map(Into::into)))
            }
            Ask::WriteData { label, value } => {
                check_length("the length of a data label", label.len(), 1, LONGEST_DATA_LABEL)?;
                let (session, _) = self.logged_in()?;
                data::write(session, &label, &value)?;
                Ok(Answer::Written)
            }
            Ask::Fit { algorithm, audit, mark } => {
                let Open { module, token, session, login, .. } = self.open()?;
                match audit {
                    true => fitness::judge_audit(module, token, algorithm)?,
                    false => fitness::judge(module, token, algorithm)?,
                }
                if mark {
                    fitness::judge_mark(token, login.is_some().then_some(session))?;
                }
                Ok(Answer::Fit)
            }
            Ask::FindKey { label, cka_id, always_authenticate } => {
                let (session, login) = self.logged_in()?;
                let found = login.keys.find(session, &label, &cka_id, always_authenticate)?;
                Ok(Answer::Keys(found.into_iter().collect()))
            }
            Ask::FindKeysByLabel { label } => {
                let (session, login) = self.logged_in()?;
                Ok(Answer::Keys(login.keys.find_by_label(session, &label)?))
            }
            Ask::GenerateKey { label, cka_id, algorithm, extractable, always_authenticate } => {
                let open = self.open()?;
                fitness::judge(&open.module, &open.token, algorithm)?;
                let vendor = open.token.vendor;
                let (session, login) = self.logged_in()?;
                let (label, id) = (label.as_str(), cka_id.as_slice());
                let recipe = Recipe {
                    label,
                    id,
                    algorithm,
                    extractable,
                    always_authenticate,
                    restored: false,
                    vendor,
                    lean: false,
                };
                Ok(Answer::Generated(login.keys.generate(session, &recipe)?))
            }
            Ask::GenerateWrappingKey { label, cka_id } => {
                let (session, _) = self.logged_in()?;
                Ok(Answer::WrappingKey(wrapping::generate(session, &label, &cka_id)?))
            }
            Ask::BackUp(ask) => {
                self.logged_in()?;
                let Open { session, module, token, .. } = self.open()?;
                Ok(Answer::BackedUp(Bench { session, module, token }.back_up(&ask)?))
            }
            Ask::Restore(ask) => {
                let Open { session, module, token, login, .. } = self.open()?;
                let login = login.as_mut().ok_or(Misuse::NotLoggedIn)?;
                let bench = Bench { session, module, token };
                Ok(Answer::Restored(bench.restore(&mut login.keys, &login.pool, &ask)?))
            }
            Ask::DestroyKey { label, cka_id, spki } => {
                let vendor = self.open()?.token.vendor;
                let (session, login) = self.logged_in()?;
                login.keys.forget(&cka_id);
                Ok(Answer::Destroyed(end::destroy(session, vendor, &label, &cka_id, &spki)?))
            }
            Ask::Sign { handle, algorithm, messages } => self.sign(handle, algorithm, messages),
            Ask::Inventory { from } => {
                let vendor = self.open()?.token.vendor;
                let (session, _) = self.logged_in()?;
                Ok(Answer::Objects(inventory::page(session, vendor, from)?))
            }
            Ask::Probe { step } => {
                self.logged_in()?;
                let open = self.open()?;
                Ok(Answer::Probed(probe::take(&step, &open.module, &open.token)?))
            }
            Ask::Close => self.close().map(|()| Answer::Closed),
            // Answered with their frames in `answer`.
            Ask::Login | Ask::SetPin | Ask::InitToken { .. } => Err(Misuse::NotOpen.into()),
        }
    }

    fn sign(&mut self, handle: u64, algorithm: SignatureAlgorithm, messages: Vec<ToSign>) -> Result<Answer> {
        check_length("the number of messages", messages.len(), 0, MOST_MESSAGES)?;
        let vendor = self.open()?.token.vendor;
        let (_, login) = self.logged_in()?;
        let key = login.keys.by_number(handle)?;
        if !key.algorithm.may_sign_with(algorithm) {
            return Err(Misuse::Algorithm { key: key.algorithm.name(), algorithm: algorithm.name() }.into());
        }
        // All are checked before the first is signed.
        fitness::judge_lengths(vendor, algorithm, &messages)?;
        let inputs: Result<Vec<Input>> = messages
            .into_iter()
            .map(|message| Ok(Input { item: message.item, octets: sign::input(algorithm, message)? }))
            .collect();
        Ok(match login.pool.sign(&key, algorithm, inputs?)? {
            (signatures, None) => Answer::Signatures(signatures),
            (none, Some(fault)) if none.is_empty() => return Err(fault),
            (signatures, Some(fault)) => Answer::Partly { signatures, failure: fault.into() },
        })
    }

    fn must_be_closed(&self) -> Result<()> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(Misuse::AlreadyOpen.into()),
        }
    }

    fn open(&mut self) -> Result<&mut Open> {
        self.0.as_mut().ok_or_else(|| Misuse::NotOpen.into())
    }

    fn logged_in(&mut self) -> Result<(&Session, &mut Login)> {
        let Open { session, login, .. } = self.open()?;
        match login {
            Some(login) => Ok((session, login)),
            None => Err(Misuse::NotLoggedIn.into()),
        }
    }
}

impl Open {
    /// One C_Login, on one session in one thread, then the parallel sessions: tokens count every wrong PIN, so a login
    /// is never tried by two sessions, and never twice.
    fn log_in(&mut self, pin: Secret) -> Result<()> {
        if self.login.is_some() {
            return Err(Misuse::LoggedIn.into());
        }
        let answer = match (pin.is_empty(), self.token.facts.keypad) {
            (true, true) => self.session.login(UserType::User, None),
            // Without a keypad a login with no PIN costs a try on some modules.
            (true, false) => return Err(Fault::NoPin),
            (false, _) => {
                self.token.takes_pin(&pin)?;
                let raw = RawAuthPin::new(Box::new(pin.expose().to_vec()));
                self.session.login_with_raw(UserType::User, &raw)
            }
        };
        match answer {
            // The token may be logged in for this application already; that is what was asked for.
            Ok(()) | Err(Cryptoki::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(Cryptoki::Pkcs11(rv, _)) => return Err(self.refused("logging in", rv)),
            other => other.doing("logging in")?,
        }
        let opened: Result<Vec<Session>> = (0..self.sessions)
            .map(|_| self.module.pkcs11.open_rw_session(self.token.slot).doing("opening a parallel session"))
            .collect();
        let ready = opened.and_then(|sessions| Ok((sessions, self.module.functions()?)));
        match ready {
            Ok((sessions, functions)) => {
                let context = if self.keep_pin { Context::of(pin) } else { Context::default() };
                let pool = Pool::start(sessions, functions, context);
                self.login = Some(Login { pool, keys: Keys::of(self.token.vendor) });
                Ok(())
            }
            Err(fault) => {
                // A login that is of no use must not stay; the first cause is the one to tell.
                let _ = self.session.logout();
                Err(fault)
            }
        }
    }

    /// C_SetPIN. The token judges the old PIN once more: a wrong one would be a try. What can be known to be refused is
    /// refused before.
    fn set_pin(&mut self, old: &Secret, new: &Secret) -> Result<()> {
        if self.login.is_none() {
            return Err(Misuse::NotLoggedIn.into());
        }
        let (old, new) = (self.token.pin("old", old)?, self.token.pin("new", new)?);
        match self.session.set_pin(&old, &new) {
            Ok(()) => Ok(()),
            Err(Cryptoki::Pkcs11(rv, _)) => Err(self.refused("setting the PIN", rv)),
            other => other.doing("setting the PIN"),
        }
    }

    /// A refused PIN, with what the token now says of its counters.
    fn refused(&self, doing: &'static str, rv: RvError) -> Fault {
        if ckr::class(&rv) != Class::Pin {
            return Fault::Token { doing, rv };
        }
        let now = self.module.refresh(self.token.slot).ok().map(|token| token.facts);
        let (final_try, locked) = now.map_or((false, false), |facts| (facts.pin_final_try, facts.pin_locked));
        Fault::Pin { doing, rv, final_try, locked }
    }
}

fn check_range(what: &'static str, value: u32, least: u64, most: u64) -> Result<()> {
    let value = u64::from(value);
    if value < least || value > most {
        return Err(Misuse::Range { what, value, least, most }.into());
    }
    Ok(())
}

fn check_length(what: &'static str, length: usize, least: u64, most: u64) -> Result<()> {
    check_range(what, u32::try_from(length).unwrap_or(u32::MAX), least, most)
}
