//! The judgement of tokens and their keys, each by itself.

use std::path::{Path, PathBuf};

use crate::algorithm::KeyAlgorithm;

use super::hierarchy::{Backup, Deadlines, Environment, Key, Token, WrappingKey};
use super::line::{ascii_line, id, plain, plain_line, show};
use super::{Error, KeyUri, TokenUri, field, pin, raw};

pub(super) fn token(t: raw::Token, at: &str, environment: Environment) -> Result<Token, Error> {
    id(&t.id, at)?;
    plain(&format!("{at}.module"), &t.module)?;
    if !Path::new(&t.module).is_absolute() {
        return Err(field(format!("{at}.module"), "must be an absolute path: what is loaded must not depend on where"));
    }
    let named = token_name(&t, at)?;
    for (name, value) in &t.env {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_graphic() && c != '=') {
            let message = format!("`{}` is no variable's name: printable ASCII without spaces and `=`", show(name));
            return Err(field(format!("{at}.env"), message));
        }
        if value.chars().any(char::is_control) {
            return Err(field(format!("{at}.env.{name}"), "must not hold control characters"));
        }
    }
    if let Some(text) = &t.init_args {
        ascii_line(&format!("{at}.init-args"), text, 1024)?;
    }
    if let Some(text) = &t.accept_unprotected {
        ascii_line(&format!("{at}.accept-unprotected"), text, 200)?;
    }
    for (n, serial) in t.standby.iter().enumerate() {
        ascii_line(&format!("{at}.standby[{n}]"), serial, 16)?;
    }
    for (name, file) in [("pin-file", &t.pin_file), ("so-pin-file", &t.so_pin_file)] {
        let Some(file) = file else { continue };
        if environment == Environment::Real {
            let message = "a PIN file belongs to rehearsals; here the PIN is typed, or comes by --pin-fd";
            return Err(field(format!("{at}.{name}"), message));
        }
        plain_line(&format!("{at}.{name}"), file, 4096)?;
    }
    let (pin, pin_form) = (pin::entry(&t, at)?, pin::form(&t, at)?);
    let sessions = t.sessions.unwrap_or(2);
    if !(1..=64).contains(&sessions) {
        return Err(field(format!("{at}.sessions"), "must be 1 to 64"));
    }
    let processes = t.processes.unwrap_or(1);
    if !(1..=16).contains(&processes) {
        return Err(field(format!("{at}.processes"), "must be 1 to 16"));
    }
    let retries = t.retries.unwrap_or(5);
    if retries > 20 {
        return Err(field(format!("{at}.retries"), "must be 0 to 20"));
    }
    let deadlines = deadlines(t.deadline_seconds, &t.deadlines, at)?;
    Ok(Token {
        id: t.id,
        module: t.module.into(),
        label: named.token.clone(),
        serial: named.serial.clone(),
        slot: t.slot,
        init_args: t.init_args,
        accept_unprotected: t.accept_unprotected,
        uri: named,
        pin,
        pin_form,
        env: t.env,
        pin_file: t.pin_file.map(PathBuf::from),
        so_pin_file: t.so_pin_file.map(PathBuf::from),
        sessions,
        same_keys_as: t.same_keys_as,
        standby: t.standby,
        processes,
        retries,
        deadlines,
        keep_pin: false,
    })
}

/// Each kind as declared; what is not declared as `deadline-seconds` says, which is then the whole of it: no more for each
/// signature.
fn deadlines(all: Option<u32>, d: &raw::Deadlines, at: &str) -> Result<Deadlines, Error> {
    let seconds = |name: &str, declared: Option<u32>| match declared.or(all) {
        Some(n) if !(1..=3600).contains(&n) => {
            let name = if declared.is_some() { format!("deadlines.{name}") } else { "deadline-seconds".into() };
            Err(field(format!("{at}.{name}"), "must be 1 to 3600"))
        }
        seconds => Ok(seconds),
    };
    if d.sign_each_ms.is_some_and(|ms| ms > 600_000) {
        return Err(field(format!("{at}.deadlines.sign-each-ms"), "must be 0 to 600000"));
    }
    Ok(Deadlines {
        open: seconds("open", d.open)?,
        login: seconds("login", d.login)?,
        find: seconds("find", d.find)?,
        generate: seconds("generate", d.generate)?,
        sign: seconds("sign", d.sign)?,
        sign_each_ms: d.sign_each_ms.or(all.map(|_| 0)),
        data: seconds("data", d.data)?,
        other: seconds("other", d.other)?,
    })
}

/// A token is named by label and serial, or by a URI that says both.
fn token_name(t: &raw::Token, at: &str) -> Result<TokenUri, Error> {
    match (&t.label, &t.serial, &t.uri) {
        (None, None, Some(uri)) => TokenUri::parse(&format!("{at}.uri"), uri),
        (_, _, Some(_)) => {
            Err(field(format!("{at}.uri"), "stands beside `label` or `serial`; one of the two names it"))
        }
        (None, _, None) => {
            Err(field(format!("{at}.label"), "is missing; a token is named by `label` and `serial`, or by `uri`"))
        }
        (Some(label), serial, None) => {
            ascii_line(&format!("{at}.label"), label, 32)?;
            if let Some(serial) = serial {
                // CK_TOKEN_INFO has 16 octets for it (PKCS #11 section 3.2).
                ascii_line(&format!("{at}.serial"), serial, 16)?;
            }
            Ok(TokenUri { token: label.clone(), serial: serial.clone(), ..TokenUri::default() })
        }
    }
}

pub(super) fn key(k: raw::Key, at: &str) -> Result<Key, Error> {
    id(&k.id, at)?;
    let label = key_label(&k, at)?;
    if k.algorithm.shown() == KeyAlgorithm::Rsa2048 {
        let fit =
            KeyAlgorithm::ALL.into_iter().filter(|kind| kind.shown() != KeyAlgorithm::Rsa2048).map(KeyAlgorithm::name);
        let message = format!("a CA key is one of {}", fit.collect::<Vec<_>>().join(", "));
        return Err(field(format!("{at}.algorithm"), message));
    }
    let backup = match k.backup.as_str() {
        "none" => Backup::None,
        "vendor" => Backup::Vendor,
        "wrap" => Backup::Wrap,
        _ => return Err(field(format!("{at}.backup"), "must be `none`, `vendor` or `wrap`")),
    };
    let always_authenticate = k.always_authenticate.unwrap_or(false);
    if k.wrapped_by.is_some() && backup != Backup::Wrap {
        return Err(field(format!("{at}.wrapped-by"), "belongs to a key with `backup = \"wrap\"`"));
    }
    let wrapped_by = k.wrapped_by;
    Ok(Key { id: k.id, token: k.token, label, algorithm: k.algorithm, backup, always_authenticate, wrapped_by })
}

/// A key is named by its label, or by a URI that says no more: its CKA_ID is drawn when it is planned. A declared one could let
/// a key that lay in the token before pass for the one that the ceremony makes.
fn key_label(k: &raw::Key, at: &str) -> Result<String, Error> {
    match (&k.label, &k.uri) {
        (Some(label), None) => ascii_line(&format!("{at}.label"), label, 64).map(|()| label.clone()),
        (None, Some(uri)) => match KeyUri::parse(&format!("{at}.uri"), uri)? {
            KeyUri { object, id: None } => Ok(object),
            KeyUri { .. } => {
                let message =
                    "holds `id`: a CKA_ID is drawn when the key is planned, so that no older key passes for it";
                Err(field(format!("{at}.uri"), message))
            }
        },
        (Some(_), Some(_)) => Err(field(format!("{at}.uri"), "stands beside `label`; one of the two names the key")),
        (None, None) => Err(field(format!("{at}.label"), "is missing; a key is named by `label` or by `uri`")),
    }
}

pub(super) fn wrapping_key(k: raw::WrappingKey, at: &str) -> Result<WrappingKey, Error> {
    id(&k.id, at)?;
    ascii_line(&format!("{at}.label"), &k.label, 64)?;
    Ok(WrappingKey { id: k.id, token: k.token, label: k.label })
}
