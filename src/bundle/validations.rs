//! A validator's list: which names belong to whom, found out by whom, how and when.
//!
//! A TOML file, `list.toml`, and beside it `list.toml.sig`, which stock `ssh-keygen -Y sign -n coldroot-validations-v0` writes. A
//! bundle carries both as they are. The key is a validator's of the hierarchy, never a desk's.

use serde::{Deserialize, Serialize};

use super::{Error, limits};
use crate::cbor::Bytes;
use crate::digest::Digest;
use crate::text::{Untrusted, escape, idn, parse_utc};

/// The first field of every list, and the namespace of its signature.
pub const VALIDATIONS: &str = "coldroot-validations-v0";

/// List and signature as they stand in a bundle: unread, since only the signature makes the list worth reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Validations {
    /// The octets of the TOML file. Personal data.
    pub list: Bytes,
    /// Armored SSHSIG.
    pub signature: String,
}

impl Validations {
    pub(super) fn check(&self, number: u64) -> Result<(), Error> {
        let wrong = |field, message| Err(Error::ItemField { number, field, message });
        if self.list.is_empty() || self.list.len() as u64 > limits::LIST {
            return wrong("list", "must have 1 to 100000 octets");
        }
        if super::write::check_signature_text(&self.signature).is_err() {
            return wrong("signature", "must be ASCII text of at most 16384 octets");
        }
        Ok(())
    }

    /// The SHA-256 of list and signature: two validators may sign one list.
    pub fn digest(&self) -> Digest {
        Digest::of(&[self.list.as_slice(), self.signature.as_bytes()].concat())
    }
}

/// A list that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Name, origin and environment of the hierarchy that it is for.
    pub hierarchy: String,
    pub origin: String,
    pub environment: String,
    pub validations: Vec<Validation>,
}

/// What was found out about one requester's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// In ASCII (A-labels).
    pub names: Vec<String>,
    /// As the desk's table has it, letter by letter.
    pub requester: Untrusted,
    /// An id of the validator's own, such as `dns-txt`.
    pub method: String,
    /// SHA-256 of what the validator keeps to prove it.
    pub evidence: Digest,
    /// Seconds since the epoch.
    pub time: i64,
    /// The names have changed hands.
    pub takes_over: bool,
}

/// Why a file is no list of validations.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ListError {
    #[error("is not UTF-8")]
    NotUtf8,
    #[error("is no list of validations: {}", escape(message))]
    Toml { message: String },
    #[error("has the format `{}`; this program reads `{VALIDATIONS}`", escape(found))]
    Format { found: String },
    #[error("has no [[validation]]")]
    NoRows,
    #[error("validation[{number}].{field} {message}")]
    Field { number: usize, field: &'static str, message: &'static str },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawList {
    format: String,
    hierarchy: String,
    origin: String,
    environment: String,
    #[serde(default)]
    validation: Vec<RawValidation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawValidation {
    names: Vec<String>,
    requester: String,
    method: String,
    evidence: String,
    time: String,
    #[serde(default)]
    takes_over: bool,
}

impl List {
    /// Reads the octets of a list, strictly. At most [`limits::LIST`] of them are given.
    pub fn parse(octets: &[u8]) -> Result<List, ListError> {
        let text = std::str::from_utf8(octets).map_err(|_| ListError::NotUtf8)?;
        let raw: RawList = ::toml::from_str(text).map_err(|e| ListError::Toml { message: e.message().to_string() })?;
        if raw.format != VALIDATIONS {
            return Err(ListError::Format { found: raw.format });
        }
        if raw.validation.is_empty() {
            return Err(ListError::NoRows);
        }
        let validations = raw.validation.into_iter().enumerate().map(|(number, row)| validation(number, row));
        Ok(List {
            hierarchy: raw.hierarchy,
            origin: raw.origin,
            environment: raw.environment,
            validations: validations.collect::<Result<_, _>>()?,
        })
    }
}

fn validation(number: usize, row: RawValidation) -> Result<Validation, ListError> {
    let wrong = |field, message| Err(ListError::Field { number, field, message });
    if row.names.is_empty() || row.names.len() > limits::NAMES {
        return wrong("names", "must hold 1 to 100 names");
    }
    let canonical = |name: &String| idn::canonical(name).ok().filter(|name| name.len() <= limits::NAME);
    let Some(names) = row.names.iter().map(canonical).collect::<Option<Vec<String>>>() else {
        return wrong(
            "names",
            "must each be a domain name, address, id, URN, `xmpp:` or `mailto:` name of 1 to 253 octets",
        );
    };
    let requester = &row.requester;
    if requester.is_empty() || requester.len() > limits::REQUESTER || requester.chars().any(char::is_control) {
        return wrong("requester", "must be one line of 1 to 256 octets");
    }
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if row.method.is_empty() || row.method.len() > 64 || !row.method.chars().all(letter) {
        return wrong("method", "must be 1 to 64 of a-z, 0-9, `-`, `_`, `.`");
    }
    let Some(evidence) = Digest::from_hex(&row.evidence) else {
        return wrong("evidence", "must be a SHA-256 in 64 lower-case hex digits");
    };
    let Some(time) = parse_utc(&row.time) else {
        return wrong("time", "must be a UTC time such as \"2026-11-22T00:00:00Z\"");
    };
    let requester = Untrusted::new(row.requester);
    Ok(Validation { names, requester, method: row.method, evidence, time, takes_over: row.takes_over })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "format = 'coldroot-validations-v0'\nhierarchy = 'H'\norigin = 'o'\nenvironment = 'real'\n\
        [[validation]]\nnames = ['a.example', '*.a.example']\nrequester = 'r@a.example'\nmethod = 'dns-txt'\n\
        evidence = '0000000000000000000000000000000000000000000000000000000000000000'\ntime = '2026-11-22T00:00:00Z'\n";

    #[test]
    fn a_list_says_what_it_says() {
        let list = List::parse(LIST.as_bytes()).unwrap();
        let [one] = list.validations.as_slice() else { panic!("{list:?}") };
        assert_eq!(
            (one.names.len(), one.method.as_str(), one.time, one.takes_over),
            (2, "dns-txt", 1_795_305_600, false)
        );
        assert!(List::parse(format!("{LIST}takes-over = true\n").as_bytes()).unwrap().validations[0].takes_over);
    }

    #[test]
    fn p07_a_wrong_list_is_named_by_its_field() {
        let cases = [
            (("'a.example'", "''"), "validation[0].names"),
            (("['a.example', '*.a.example']", "[]"), "validation[0].names"),
            (("a.example'", "b\u{265a}.example'"), "validation[0].names"),
            (("r@a.example", ""), "validation[0].requester"),
            (("dns-txt", "DNS TXT"), "validation[0].method"),
            (("00000000'", "0000000'"), "validation[0].evidence"),
            (("T00:00:00Z", ""), "validation[0].time"),
            (("-v0", "-v1"), "coldroot-validations-v1"),
            (("[[validation]]", "[[validated]]"), "validated"),
            (("method", "methods"), "methods"),
            (("origin = 'o'\n", ""), "origin"),
        ];
        for ((from, to), saying) in cases {
            let said = List::parse(LIST.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(said.contains(saying) && said.is_ascii(), "{from} as {to}: {said}");
        }
        let head = LIST.split_once("[[").unwrap().0;
        assert_eq!(List::parse(head.as_bytes()), Err(ListError::NoRows));
        assert_eq!(List::parse(b"\xff"), Err(ListError::NotUtf8));
    }
}
