//! The judgement of `hierarchy.toml`: its head, and the order of its tables. Persons, desks and quorums are judged by
//! [`super::roster`], tokens and keys by [`super::token`], CAs by [`super::authority`], profiles by [`super::profile`],
//! references between the tables by [`super::references`].

use std::path::{Path, PathBuf};

use crate::algorithm::KeyAlgorithm;
use crate::digest::Digest;

use super::hierarchy::{
    BlockForm, BlockList, Environment, FORMAT, Guard, Hierarchy, MAX_FILE, MarkPlace, Quorum, Role,
};
use super::line::{ascii_line, plain_line, show};
use super::roster::{Holders, desk, person, quorum, validator};
use super::token::{key, token, wrapping_key};
use super::{Error, authority, field, from_toml, linter, pin, profile, raw};

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
