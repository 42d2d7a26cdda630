//! One PKCS#11 module: loading, its tokens, initialising one.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use cryptoki::context::Pkcs11;
use cryptoki::error::Error as Cryptoki;
use cryptoki::session::UserType;
use cryptoki::slot::{Slot, SlotInfo, TokenInfo};
use cryptoki::types::AuthPin;
use cryptoki_sys::{
    CK_TOKEN_INFO, CK_ULONG, CK_UNAVAILABLE_INFORMATION, CKF_PROTECTED_AUTHENTICATION_PATH, CKF_TOKEN_INITIALIZED,
    CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED,
};

use super::ask::{Place, TokenFacts};
use super::fault::{Doing, Fault, Misuse, Result};
use super::ffi::{self, Functions};
use super::vendor::Vendor;
use crate::secret::Secret;

/// The label of C_InitToken: 32 octets, padded with blanks.
const LONGEST_TOKEN_LABEL: usize = 32;

/// A loaded and initialised module. Dropping it finalises it, so that a refused question leaves a module that can be
/// initialised again; sessions must be gone by then.
pub(super) struct Module {
    pub(super) pkcs11: Pkcs11,
    functions: Functions,
    finalised: bool,
    path: PathBuf,
    init_args: Option<String>,
    /// C_GetInfo's manufacturer, description and version.
    manufacturer: String,
    description: String,
    version: String,
}

/// A token that was found.
pub(super) struct Token {
    pub(super) slot: Slot,
    pub(super) facts: TokenFacts,
    /// What is known of such tokens.
    pub(super) vendor: Vendor,
    /// CK_TOKEN_INFO's limits for a PIN, in octets.
    pin_octets: (CK_ULONG, CK_ULONG),
    /// The most read-write sessions of one application.
    most_sessions: CK_ULONG,
}

impl Module {
    /// Loads and initialises the module. The path is absolute, so that no search path decides which code runs.
    /// `init_args` goes into pReserved of C_Initialize.
    pub(super) fn load(path: &Path, init_args: Option<&str>) -> Result<Module> {
        if !path.is_absolute() {
            return Err(Fault::ModulePath(path.into()));
        }
        let reserved = init_args.map(CString::new).transpose().map_err(|_| Misuse::InitArgs)?;
        let pkcs11 = Pkcs11::new(path).map_err(|error| match error {
            Cryptoki::LibraryLoading(cause) => Fault::Module { module: path.into(), cause: cause.to_string() },
            Cryptoki::MissingSymbol(symbol) => {
                Fault::Module { module: path.into(), cause: format!("it has no {symbol}") }
            }
            Cryptoki::Pkcs11(rv, _) => Fault::Token { doing: "asking the module for its functions", rv },
            other => Fault::Answer { doing: "loading the module", cause: other.to_string() },
        })?;
        let functions = Functions::of(path).doing("asking the module for its functions")?;
        ffi::initialize(&pkcs11, reserved.as_deref()).doing("initialising the module")?;
        let settled = functions.settled().inspect_err(|_| {
            // The first cause is the one to tell.
            let _ = pkcs11.clone().finalize();
        });
        let functions = settled.doing("asking the module who it is")?;
        let (path, init_args) = (path.into(), init_args.map(str::to_owned));
        let [manufacturer, description, version] = Default::default();
        let mut module =
            Module { pkcs11, functions, finalised: false, path, init_args, manufacturer, description, version };
        // Asked for by the module that is made already: should this fail, it is finalised.
        let info = module.pkcs11.get_library_info().doing("asking the module who it is")?;
        module.manufacturer = trimmed(info.manufacturer_id());
        module.description = trimmed(info.library_description());
        module.version = info.library_version().to_string();
        Ok(module)
    }

    /// The same functions once more, for the threads that sign.
    pub(super) fn functions(&self) -> Result<Functions> {
        Functions::of(&self.path).and_then(Functions::settled).doing("asking the module for its functions")
    }

    /// All tokens that can be read, and the number of those that cannot: one strange token must not hide the others.
    pub(super) fn tokens(&self) -> Result<(Vec<Token>, usize)> {
        let slots = self.pkcs11.get_slots_with_token().doing("listing the slots")?;
        let seen = slots.len();
        let tokens: Vec<Token> = slots
            .into_iter()
            .filter_map(|slot| self.token_info(slot).ok().map(|info| self.token(slot, &info)))
            .collect();
        let unreadable = seen - tokens.len();
        Ok((tokens, unreadable))
    }

    /// The one initialised token with this label and serial; never by slot number alone, which changes when a token is
    /// initialised and from one start to the next. A `slot` tells between tokens of one label and serial, and only where
    /// the vendor is known to keep it. Without a serial the label alone must be unique.
    pub(super) fn find(&self, label: &str, serial: Option<&str>, slot: Option<u64>) -> Result<Token> {
        let (tokens, unreadable) = self.tokens()?;
        let seen = tokens.iter().map(|token| token.facts.shown()).collect();
        let mut matching: Vec<Token> = tokens
            .into_iter()
            .filter(|token| token.facts.initialised && token.facts.label == label)
            .filter(|token| serial.is_none_or(|serial| token.facts.serial == serial))
            .collect();
        if let Some((number, moves)) = slot.zip(matching.iter().find(|token| !token.vendor.slot_by_number())) {
            return Err(Fault::SlotNumber { number, vendor: moves.vendor.name() });
        }
        matching.retain(|token| slot.is_none_or(|number| token.slot.id() == number));
        match (matching.pop(), matching.len()) {
            (Some(token), 0) => Ok(token),
            (Some(_), others) => {
                let serial = serial.map(str::to_owned);
                Err(Fault::ManyTokens { label: label.into(), serial, count: others + 1 })
            }
            (None, _) => {
                let serial = serial.unwrap_or("any").into();
                Err(Fault::NoToken { label: label.into(), serial, seen, unreadable })
            }
        }
    }

    fn token_info(&self, slot: Slot) -> cryptoki::error::Result<CK_TOKEN_INFO> {
        match self.functions.are_apart() {
            false => self.functions.token_info(slot),
            true => self.pkcs11.get_token_info(slot).map(|info| told(&info)),
        }
    }

    /// Asks the token again what it says of itself: PIN counters change with each try.
    pub(super) fn refresh(&self, slot: Slot) -> Result<Token> {
        let info = self.token_info(slot).doing("asking the token for its state")?;
        Ok(self.token(slot, &info))
    }

    /// CK_TOKEN_INFO as the module gives it.
    pub(super) fn info(&self, slot: Slot) -> Result<CK_TOKEN_INFO> {
        self.token_info(slot).doing("asking the token for its state")
    }

    /// C_Finalize. All sessions must be closed before.
    pub(super) fn finalize(mut self) -> Result<()> {
        self.finalised = true;
        self.pkcs11.clone().finalize().doing("finalising the module")
    }

    /// Initialises the one uninitialised token: C_InitToken, then C_InitPIN under the SO. Everything that can be known to
    /// fail is checked first, because a token with an SO PIN and no user PIN needs a person to repair it.
    pub(super) fn init_token(self, label: &str, so_pin: &Secret, user_pin: &Secret) -> Result<TokenFacts> {
        if label.is_empty() || label.len() > LONGEST_TOKEN_LABEL {
            return Err(Fault::TokenLabel(label.len()));
        }
        let (tokens, _) = self.tokens()?;
        if tokens.iter().any(|token| token.facts.initialised && token.facts.label == label) {
            return Err(Fault::TokenExists(label.into()));
        }
        let mut blank: Vec<Token> = tokens.into_iter().filter(|token| !token.facts.initialised).collect();
        let token = match (blank.pop(), blank.len()) {
            (Some(token), 0) => token,
            (other, rest) => return Err(Fault::Uninitialised(rest + usize::from(other.is_some()))),
        };
        let so_pin = token.pin("SO", so_pin)?;
        let user_pin = token.pin("user", user_pin)?;
        self.pkcs11.init_token(token.slot, &so_pin, label).doing("initialising the token")?;
        // Modules keep the list of slots from C_Initialize, and SoftHSM moves the token to another slot.
        let (path, init_args) = (self.path.clone(), self.init_args.clone());
        self.finalize()?;
        let half = |fault| Fault::HalfInitialised(Box::new(fault));
        let again = Module::load(&path, init_args.as_deref()).map_err(half)?;
        let made = again.find(label, None, None).map_err(half)?;
        again.set_user_pin(made.slot, &so_pin, &user_pin).map_err(half)?;
        let facts = again.refresh(made.slot)?.facts;
        again.finalize()?;
        Ok(facts)
    }

    fn set_user_pin(&self, slot: Slot, so_pin: &AuthPin, user_pin: &AuthPin) -> Result<()> {
        let session = self.pkcs11.open_rw_session(slot).doing("opening a session")?;
        session.login(UserType::So, Some(so_pin)).doing("logging in as SO")?;
        session.init_pin(user_pin).doing("setting the user PIN")?;
        session.logout().doing("logging the SO out")?;
        session.close().doing("closing a session")
    }

    /// A slot that says nothing of itself is no reason to refuse its token.
    fn place(&self, slot: Slot) -> Place {
        let info = self.pkcs11.get_slot_info(slot).ok();
        let of_slot = |text: fn(&SlotInfo) -> &str| info.as_ref().map(|info| trimmed(text(info))).unwrap_or_default();
        Place {
            library_manufacturer: self.manufacturer.clone(),
            library_description: self.description.clone(),
            library_version: self.version.clone(),
            slot_description: of_slot(SlotInfo::slot_description),
            slot_manufacturer: of_slot(SlotInfo::manufacturer_id),
        }
    }

    fn token(&self, slot: Slot, info: &CK_TOKEN_INFO) -> Token {
        let flag = |flag| info.flags & flag != 0;
        let (manufacturer, model) = (padded(&info.manufacturerID), padded(&info.model));
        let vendor = Vendor::of(&self.manufacturer, &self.description, (&manufacturer, &model));
        let longest_pin =
            vendor.pin_octets().map_or(info.ulMaxPinLen, |(_, most)| CK_ULONG::try_from(most).unwrap_or(0));
        let facts = TokenFacts {
            label: padded(&info.label),
            serial: padded(&info.serialNumber),
            manufacturer,
            model,
            module: format!("{} {}", self.description, self.version),
            profile: vendor.id(),
            place: Box::new(self.place(slot)),
            initialised: flag(CKF_TOKEN_INITIALIZED),
            keypad: flag(CKF_PROTECTED_AUTHENTICATION_PATH) && vendor.may_have_keypad(),
            longest_pin,
            pin_count_low: flag(CKF_USER_PIN_COUNT_LOW),
            pin_final_try: flag(CKF_USER_PIN_FINAL_TRY),
            pin_locked: flag(CKF_USER_PIN_LOCKED),
        };
        let pin_octets = (info.ulMinPinLen, info.ulMaxPinLen);
        Token { slot, facts, vendor, pin_octets, most_sessions: info.ulMaxRwSessionCount }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if !self.finalised {
            let _ = self.pkcs11.clone().finalize();
        }
    }
}

impl Token {
    /// Whether so many parallel sessions, and the main one, can be open at once. 0 and the largest number mean that the
    /// token sets or tells no limit (PKCS #11 section 3.2).
    pub(super) fn takes_sessions(&self, sessions: u32) -> Result<()> {
        let said = Some(self.most_sessions).filter(|most| !matches!(*most, 0 | CK_UNAVAILABLE_INFORMATION));
        let said = said.map(|most| u32::try_from(most).unwrap_or(u32::MAX).saturating_sub(1));
        let most = [said, self.vendor.most_sessions()].into_iter().flatten().min().unwrap_or(u32::MAX);
        match sessions > most {
            true => Err(Fault::Sessions { sessions, most }),
            false => Ok(()),
        }
    }

    /// A PIN whose length is known to be wrong is not tried: it could cost one of the few tries. Only what a profile says
    /// counts here, since modules that report wrong limits are common.
    pub(super) fn takes_pin(&self, pin: &Secret) -> Result<()> {
        match self.vendor.pin_octets() {
            Some((least, most)) if !(least..=most).contains(&pin.len()) => {
                Err(Fault::PinLength { whose: "user", length: pin.len(), least, most })
            }
            _ => Ok(()),
        }
    }

    /// A PIN in the form that C_InitToken and C_InitPIN want, if the token says that it takes it. The copy is made at its
    /// exact length: nothing is left behind by growing it, and AuthPin zeroes itself.
    pub(super) fn pin(&self, whose: &'static str, pin: &Secret) -> Result<AuthPin> {
        let said = [self.pin_octets.0, self.pin_octets.1].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let (least, most) = self.vendor.pin_octets().unwrap_or(said.into());
        // Some modules report a longest PIN of 0 and mean that they do not say.
        let most = if most == 0 { usize::MAX } else { most };
        if pin.is_empty() || pin.len() < least || pin.len() > most {
            return Err(Fault::PinLength { whose, length: pin.len(), least: least.max(1), most });
        }
        let text = std::str::from_utf8(pin.expose()).map_err(|_| Fault::PinText { whose })?;
        Ok(AuthPin::from(text.to_owned()))
    }
}

/// What cryptoki has read of C_GetTokenInfo, as far as it is used here.
fn told(info: &TokenInfo) -> CK_TOKEN_INFO {
    let mut told = CK_TOKEN_INFO {
        ulMinPinLen: CK_ULONG::try_from(info.min_pin_length()).unwrap_or(0),
        ulMaxPinLen: CK_ULONG::try_from(info.max_pin_length()).unwrap_or(0),
        ..CK_TOKEN_INFO::default()
    };
    fn fill(field: &mut [u8], text: &str) {
        field.fill(b' ');
        for (place, octet) in field.iter_mut().zip(text.bytes()) {
            *place = octet;
        }
    }
    fill(&mut told.label, info.label());
    fill(&mut told.serialNumber, info.serial_number());
    fill(&mut told.manufacturerID, info.manufacturer_id());
    fill(&mut told.model, info.model());
    told.flags = [
        (info.token_initialized(), CKF_TOKEN_INITIALIZED),
        (info.protected_authentication_path(), CKF_PROTECTED_AUTHENTICATION_PATH),
        (info.user_pin_count_low(), CKF_USER_PIN_COUNT_LOW),
        (info.user_pin_final_try(), CKF_USER_PIN_FINAL_TRY),
        (info.user_pin_locked(), CKF_USER_PIN_LOCKED),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |flags, (_, flag)| flags | flag);
    told
}

/// A field of CK_TOKEN_INFO; octets that are not UTF-8 become replacement characters, which no hierarchy has.
fn padded(field: &[u8]) -> String {
    trimmed(&String::from_utf8_lossy(field))
}

/// Such fields are padded with blanks, by some modules with NULs.
fn trimmed(text: &str) -> String {
    text.trim_end_matches([' ', '\0']).to_owned()
}
