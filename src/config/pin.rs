//! How a token's PIN comes into the gate, and in which form its module wants it.

use std::path::{Path, PathBuf};

use super::line::{ascii_line, plain, plain_line};
use super::{Error, field, raw};

/// How the PIN comes into the gate where no other way is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinEntry {
    /// Typed, without echo; in a rehearsal with a PIN file, read from it.
    Prompt,
    /// Decrypted by the `age` command, from a file relative to the station.
    Age { file: PathBuf, identity: Option<PathBuf> },
    /// Typed at the token itself (CKF_PROTECTED_AUTHENTICATION_PATH).
    Keypad,
    /// Joined from shares, once it was split; before that as with `Prompt`.
    Shares,
}

/// What the module wants beside the secret. People type the secret alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinForm {
    Plain,
    /// `user:password`.
    User(String),
    /// Four hex digits of an authentication key's id, then its password.
    KeyId(String),
}

impl PinForm {
    /// What is put before the secret.
    pub fn prefix(&self) -> String {
        match self {
            PinForm::Plain => String::new(),
            PinForm::User(user) => format!("{user}:"),
            PinForm::KeyId(id) => id.clone(),
        }
    }

    /// As `pin-form` has it.
    pub fn name(&self) -> &'static str {
        match self {
            PinForm::Plain => "plain",
            PinForm::User(_) => "user-password",
            PinForm::KeyId(_) => "key-id",
        }
    }
}

/// `pin`, `pin-age` and `pin-age-identity`: one way, not two.
pub(super) fn entry(t: &raw::Token, at: &str) -> Result<PinEntry, Error> {
    let beside = |name: &str, other: &str| Err(field(format!("{at}.{name}"), format!("stands beside `{other}`")));
    if t.pin_age.is_none() && t.pin_age_identity.is_some() {
        return Err(field(format!("{at}.pin-age-identity"), "opens nothing: there is no `pin-age`"));
    }
    match (t.pin.as_deref(), &t.pin_age) {
        (Some(_), Some(_)) => beside("pin-age", "pin"),
        (None, Some(_)) if t.pin_file.is_some() => beside("pin-age", "pin-file"),
        (None, Some(file)) => {
            let identity = t.pin_age_identity.as_ref();
            for (name, file) in [("pin-age", Some(file)), ("pin-age-identity", identity)] {
                file.map_or(Ok(()), |file| plain_line(&format!("{at}.{name}"), file, 4096))?;
            }
            Ok(PinEntry::Age { file: file.into(), identity: identity.map(PathBuf::from) })
        }
        (None | Some("prompt"), None) => Ok(PinEntry::Prompt),
        (Some("keypad"), None) if t.pin_file.is_some() => beside("pin-file", "pin = \"keypad\""),
        (Some("keypad"), None) => Ok(PinEntry::Keypad),
        (Some("shares"), None) => Ok(PinEntry::Shares),
        (Some(_), None) => Err(field(format!("{at}.pin"), "must be `prompt`, `keypad` or `shares`")),
    }
}

/// `pin-form` with the part of the PIN that is no secret.
pub(super) fn form(t: &raw::Token, at: &str) -> Result<PinForm, Error> {
    let at_of = |name: &str| format!("{at}.{name}");
    let form = t.pin_form.as_deref().unwrap_or("plain");
    for (name, value, wanted) in [("pin-user", &t.pin_user, "user-password"), ("pin-key-id", &t.pin_key_id, "key-id")] {
        match value {
            Some(_) if form != wanted => {
                return Err(field(at_of(name), format!("belongs to pin-form = \"{wanted}\"")));
            }
            None if form == wanted => return Err(field(at_of(name), format!("is missing; `{form}` needs it"))),
            _ => {}
        }
    }
    let form = match (form, &t.pin_user, &t.pin_key_id) {
        ("plain", ..) => PinForm::Plain,
        ("user-password", Some(user), _) => {
            ascii_line(&at_of("pin-user"), user, 64)?;
            if user.contains(':') {
                return Err(field(at_of("pin-user"), "must not contain `:`, which ends it"));
            }
            PinForm::User(user.clone())
        }
        ("key-id", _, Some(id)) => {
            if id.len() != 4 || !id.bytes().all(|c| c.is_ascii_hexdigit()) {
                return Err(field(at_of("pin-key-id"), "must be four hex digits, such as 0001"));
            }
            PinForm::KeyId(id.clone())
        }
        _ => return Err(field(at_of("pin-form"), "must be `plain`, `user-password` or `key-id`")),
    };
    // A keypad's digits and a PIN that the tool makes are whole as they are.
    if form != PinForm::Plain && matches!(t.pin.as_deref(), Some("keypad" | "shares")) {
        return Err(field(
            at_of("pin-form"),
            "must be `plain` where the PIN is typed at a keypad or joined from shares",
        ));
    }
    Ok(form)
}

/// An external program: which one runs must not depend on where or by whom it is started.
pub(super) fn program(at: &str, path: Option<String>) -> Result<Option<PathBuf>, Error> {
    let Some(path) = path else { return Ok(None) };
    plain(at, &path)?;
    match Path::new(&path).is_absolute() {
        true => Ok(Some(path.into())),
        false => Err(field(at, "must be an absolute path: which program runs must not depend on where")),
    }
}
