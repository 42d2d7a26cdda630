//! The judgement of `hierarchy.toml`: head, persons, desks, tokens and keys. CAs are judged by
//! [`super::authority`], profiles by [`super::profile`], references between the tables by [`super::references`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ssh_key::public::KeyData;
use ssh_key::{Algorithm, EcdsaCurve, PublicKey};

use crate::algorithm::KeyAlgorithm;
use crate::digest::Digest;

use super::hierarchy::{
    Backup, BlockForm, BlockList, Deadlines, Desk, Environment, FORMAT, Guard, Hierarchy, Key, MAX_FILE, MarkPlace,
    Person, Quorum, Role, Token, Validator, WrappingKey,
};
use super::line::{ascii_line, id, plain, plain_line, show};
use super::{Error, KeyUri, TokenUri, authority, field, from_toml, linter, pin, profile, raw};

impl Hierarchy {
    /// Reads and judges a hierarchy file.
    pub fn load(path: &Path) -> Result<Hierarchy, Error> {
        Hierarchy::parse(&read_text(path)?)
    }

    /// Judges the text of a hierarchy file.
    pub fn parse(text: &str) -> Result<Hierarchy, Error> {
        let raw: raw::Hierarchy = from_toml(text)?;
        if raw.format != FORMAT {
            return Err(field("format", format!("is `{}`; this program reads `{FORMAT}`", show(&raw.format))));
        }
        let environment = match raw.environment.as_str() {
            "real" => Environment::Real,
            "rehearsal" => Environment::Rehearsal,
            _ => return Err(field("environment", "must be `real` or `rehearsal`")),
        };
        ascii_line("name", &raw.name, 64)?;
        ascii_line("origin", &raw.origin, 128)?;
        if raw.origin.contains(['+', ' ']) {
            return Err(field("origin", "must not contain spaces or `+` (C2SP signed-note key names)"));
        }
        ascii_line("audit.key-label", &raw.audit.key_label, 64)?;
        if let Some(copy) = &raw.audit.copy {
            ascii_line("audit.copy", copy, 512)?;
        }
        let mut holders = Holders::default();
        let persons = each("person", raw.person, |p, at| person(p, &at, &mut holders))?;
        let desks = each("desk", raw.desk, |d, at| desk(d, &at, &mut holders))?;
        let validators = each("validator", raw.validator, |v, at| validator(v, &at, &mut holders))?;
        let default = Quorum::from([(Role::Officer, 2)]);
        let init = quorum("quorum.init", raw.quorum.init, &default, &persons)?;
        let mut hierarchy = Hierarchy {
            name: raw.name,
            environment,
            origin: raw.origin,
            audit_token: raw.audit.token,
            audit_key_label: raw.audit.key_label,
            audit_copy: raw.audit.copy.map(PathBuf::from),
            audit_algorithm: match raw.audit.algorithm.as_deref() {
                None | Some("ed25519") => KeyAlgorithm::Ed25519,
                Some("ecdsa-p256") => KeyAlgorithm::EcdsaP256,
                Some(_) => {
                    return Err(field(
                        "audit.algorithm",
                        "must be ed25519 or ecdsa-p256, which signed notes have a type for",
                    ));
                }
            },
            audit_mark: match raw.audit.mark.as_deref() {
                None | Some("token") => MarkPlace::Token,
                Some("paper") => MarkPlace::Paper,
                Some(_) => return Err(field("audit.mark", "must be token or paper")),
            },
            minutes_file: raw.audit.minutes_file.map(PathBuf::from),
            sandbox: guard("station.sandbox", raw.station.sandbox, environment)?,
            locked_pages: guard("station.locked-pages", raw.station.locked_pages, environment)?,
            block_lists: block_lists(raw.keys)?,
            age: pin::program("programs.age", raw.programs.age)?,
            quorum_keys: quorum("quorum.keys", raw.quorum.keys, &default, &persons)?,
            quorum_certificates: quorum("quorum.certificates", raw.quorum.certificates, &default, &persons)?,
            quorum_hierarchy: quorum("quorum.hierarchy", raw.quorum.hierarchy, &init, &persons)?,
            quorum_recovery: quorum("quorum.recovery", raw.quorum.recovery, &init, &persons)?,
            quorum_init: init,
            persons,
            desks,
            validators,
            tokens: each("token", raw.token, |t, at| token(t, &at, environment))?,
            keys: each("key", raw.key, |k, at| key(k, &at))?,
            wrapping_keys: each("wrapping-key", raw.wrapping_key, |k, at| wrapping_key(k, &at))?,
            cas: each("ca", raw.ca, |c, at| authority::ca(c, &at, environment))?,
            profiles: profile::all(raw.profile)?,
            linters: linter::linters(raw.linter)?,
            digest: Digest::of(text.as_bytes()),
            text: text.into(),
        };
        for token in &mut hierarchy.tokens {
            token.keep_pin = hierarchy.keys.iter().any(|key| key.token == token.id && key.always_authenticate);
        }
        hierarchy.check_references()?;
        Ok(hierarchy)
    }
}

/// More files than anybody looks after.
const MAX_BLOCK_LISTS: usize = 16;

/// Files of the station, which the sandbox lets be read.
fn block_lists(keys: raw::Keys) -> Result<Vec<BlockList>, Error> {
    let spki = keys.block_lists.into_iter().map(|path| ("block-lists", path, BlockForm::Spki));
    let badkeys = keys.badkeys_lists.into_iter().map(|path| ("badkeys-lists", path, BlockForm::Badkeys));
    let mut lists: Vec<BlockList> = Vec::new();
    for (name, path, form) in spki.chain(badkeys) {
        let at = format!("keys.{name}");
        plain_line(&at, &path, 200)?;
        if !Path::new(&path).components().all(|part| matches!(part, std::path::Component::Normal(_))) {
            let message = format!("`{}` is no file below the station: no `..`, nothing absolute", show(&path));
            return Err(field(at, message));
        }
        if lists.iter().any(|list| list.path == Path::new(&path)) {
            return Err(field(at, format!("names `{}` twice", show(&path))));
        }
        lists.push(BlockList { path: path.into(), form });
        if lists.len() > MAX_BLOCK_LISTS {
            return Err(field(at, format!("names more than {MAX_BLOCK_LISTS} files in all")));
        }
    }
    Ok(lists)
}

fn guard(at: &str, raw: Option<String>, environment: Environment) -> Result<Guard, Error> {
    match (raw.as_deref(), environment) {
        (Some("required"), _) | (None, Environment::Real) => Ok(Guard::Required),
        (Some("if-available"), _) | (None, Environment::Rehearsal) => Ok(Guard::IfAvailable),
        (Some(_), _) => Err(field(at, "must be `required` or `if-available`")),
    }
}

/// Reads a bounded text file.
pub(super) fn read_text(path: &Path) -> Result<String, Error> {
    let shown = crate::text::path(path);
    let read = |cause| Error::Read { path: shown.clone(), cause };
    if std::fs::metadata(path).map_err(read)?.len() > MAX_FILE {
        return Err(Error::TooLarge { path: shown, limit: MAX_FILE });
    }
    let bytes = std::fs::read(path).map_err(read)?;
    String::from_utf8(bytes).map_err(|_| field("(file)", "is not UTF-8"))
}

fn each<R, T>(name: &str, items: Vec<R>, mut make: impl FnMut(R, String) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    items.into_iter().enumerate().map(|(i, item)| make(item, format!("{name}[{i}]"))).collect()
}

/// Who has which SSH key, by the key itself: a comment makes no second key.
#[derive(Default)]
struct Holders(Vec<(KeyData, String)>);

impl Holders {
    /// Judges the keys of the person or desk at `at`. A key that approves must be one that `approval` can verify, and it
    /// belongs to one holder alone: a shared one would let one hand count as two.
    fn add(&mut self, keys: &[String], at: &str) -> Result<(), Error> {
        for (i, line) in keys.iter().enumerate() {
            let at = format!("{at}.keys[{i}]");
            let key = PublicKey::from_openssh(line)
                .map_err(|e| field(&at, format!("is no OpenSSH public key: {}", show(&e.to_string()))))?;
            let verifiable = matches!(
                key.algorithm(),
                Algorithm::Ed25519
                    | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }
                    | Algorithm::SkEd25519
                    | Algorithm::SkEcdsaSha2NistP256
            );
            if !verifiable {
                let kinds = "ssh-ed25519, ecdsa-sha2-nistp256 and their FIDO forms (ed25519-sk, ecdsa-sk)";
                return Err(field(at, format!("is of the kind {}; taken are {kinds}", show(key.algorithm().as_str()))));
            }
            if let Some((_, holder)) = self.0.iter().find(|(other, _)| other == key.key_data()) {
                return Err(field(
                    at,
                    format!("is the key of `{holder}` too; each person, desk and validator has its own"),
                ));
            }
            self.0.push((key.key_data().clone(), at));
        }
        Ok(())
    }
}

fn person(p: raw::Person, at: &str, holders: &mut Holders) -> Result<Person, Error> {
    id(&p.id, at)?;
    plain_line(&format!("{at}.name"), &p.name, 128)?;
    let keys = match p.keys {
        Some(keys) if keys.is_empty() => {
            return Err(field(format!("{at}.keys"), "is empty; leave it out for a person who approves nothing"));
        }
        keys => keys.unwrap_or_default(),
    };
    holders.add(&keys, at)?;
    let mut roles = BTreeSet::new();
    for role in &p.roles {
        let role = Role::parse(role).ok_or_else(|| {
            field(format!("{at}.roles"), format!("`{}` is none of officer, operator, witness", show(role)))
        })?;
        roles.insert(role);
    }
    let user_verification = p.user_verification.unwrap_or(false);
    let in_file = |line: &String| !PublicKey::from_openssh(line).is_ok_and(|key| fido(&key));
    if let Some(i) = keys.iter().position(in_file).filter(|_| user_verification) {
        return Err(field(format!("{at}.keys[{i}]"), "is no FIDO key, so it never says that it verified its user"));
    }
    let expires = expiry(p.expires, at)?;
    Ok(Person { id: p.id, name: p.name, roles, keys, expires, user_verification })
}

fn fido(key: &PublicKey) -> bool {
    matches!(key.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
}

/// The first second behind the last day (UTC), since the epoch.
fn expiry(date: Option<String>, at: &str) -> Result<Option<i64>, Error> {
    let Some(date) = date else { return Ok(None) };
    let behind = last_day(&date);
    let behind =
        behind.ok_or_else(|| field(format!("{at}.expires"), "must be the last day, such as \"2027-06-30\""))?;
    Ok(Some(behind))
}

/// The first second behind a day (UTC), since the epoch.
pub(super) fn last_day(date: &str) -> Option<i64> {
    Some(crate::text::parse_utc(&format!("{date}T00:00:00Z"))? + 86_400)
}

fn desk(d: raw::Desk, at: &str, holders: &mut Holders) -> Result<Desk, Error> {
    id(&d.id, at)?;
    if d.keys.is_empty() {
        return Err(field(format!("{at}.keys"), "is empty; a desk signs its bundles"));
    }
    holders.add(&d.keys, at)?;
    let suffixes = match d.suffixes {
        Some(suffixes) if suffixes.is_empty() => {
            return Err(field(format!("{at}.suffixes"), "is empty, so every request would be refused"));
        }
        suffixes => suffixes.unwrap_or_default(),
    };
    if let Some(i) = suffixes.iter().position(|suffix| !domain(suffix)) {
        let message = "is no domain in lower-case A-labels such as example.org, without a dot before or behind it";
        return Err(field(format!("{at}.suffixes[{i}]"), message));
    }
    for (name, limit) in [("max-items", d.max_items), ("max-items-per-day", d.max_items_per_day)] {
        if limit == Some(0) {
            return Err(field(format!("{at}.{name}"), "is 0, so every bundle would be refused"));
        }
    }
    Ok(Desk {
        id: d.id,
        keys: d.keys,
        profiles: d.profiles.into_iter().collect(),
        suffixes,
        max_items: d.max_items,
        max_items_per_day: d.max_items_per_day,
        max_revocations: d.max_revocations.unwrap_or(MAX_REVOCATIONS),
        max_revocations_per_day: d.max_revocations_per_day,
    })
}

/// Revocations of a bundle, where the desk declares no number: a stolen desk key is to revoke no whole population at once.
const MAX_REVOCATIONS: u64 = 1_000;

/// Labels of lower-case letters, digits and inner hyphens (RFC 1034 §3.5).
fn domain(text: &str) -> bool {
    let label = |label: &str| {
        let lawful = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(lawful) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn validator(v: raw::Validator, at: &str, holders: &mut Holders) -> Result<Validator, Error> {
    id(&v.id, at)?;
    if v.keys.is_empty() {
        return Err(field(format!("{at}.keys"), "is empty; a validator signs its lists"));
    }
    holders.add(&v.keys, at)?;
    Ok(Validator { expires: expiry(v.expires, at)?, id: v.id, keys: v.keys })
}

fn quorum(at: &str, raw: Option<BTreeMap<String, u32>>, default: &Quorum, persons: &[Person]) -> Result<Quorum, Error> {
    let quorum = match raw {
        None => default.clone(),
        Some(raw) => {
            let mut quorum = Quorum::new();
            for (name, count) in raw {
                let role = Role::parse(&name)
                    .ok_or_else(|| field(at, format!("`{}` is none of officer, operator, witness", show(&name))))?;
                quorum.insert(role, count);
            }
            quorum
        }
    };
    if quorum.values().all(|count| *count == 0) {
        return Err(field(at, "asks for nobody; at least one person approves"));
    }
    for (role, count) in &quorum {
        let able = persons.iter().filter(|p| p.roles.contains(role) && !p.keys.is_empty()).count();
        if (able as u64) < u64::from(*count) {
            let message = format!("asks for {count} of role {}; the roster has {able} with a key", role.name());
            return Err(field(at, message));
        }
    }
    Ok(quorum)
}

fn token(t: raw::Token, at: &str, environment: Environment) -> Result<Token, Error> {
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

fn key(k: raw::Key, at: &str) -> Result<Key, Error> {
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

fn wrapping_key(k: raw::WrappingKey, at: &str) -> Result<WrappingKey, Error> {
    id(&k.id, at)?;
    ascii_line(&format!("{at}.label"), &k.label, 64)?;
    Ok(WrappingKey { id: k.id, token: k.token, label: k.label })
}
