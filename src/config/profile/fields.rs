//! The fields of profiles, each by itself.

use std::collections::BTreeMap;

use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::config::line::show;
use crate::config::{Error, field, limits, raw};
use crate::x509::fields::{OtherExtension, Policy};
use crate::x509::{CLIENT_AUTH, OCSP_SIGNING, SERVER_AUTH, TLS_FEATURE, is_der};

use super::{Base, NameForm, Rule};

/// The kinds of key that an end-entity profile accepts when it names none.
const LEAF_KEYS: [KeyAlgorithm; 5] = [
    KeyAlgorithm::EcdsaP256,
    KeyAlgorithm::EcdsaP384,
    KeyAlgorithm::Rsa2048,
    KeyAlgorithm::Rsa3072,
    KeyAlgorithm::Rsa4096,
];

/// What becomes of each form. A base whose certificates would be nobody's without a form keeps it.
pub(super) fn names(raw: &BTreeMap<String, String>, base: Base, at: &str) -> Result<BTreeMap<NameForm, Rule>, Error> {
    let mut rules = BTreeMap::new();
    for (name, said) in raw {
        let at = format!("{at}.names.{}", show(name));
        let form = NameForm::ALL.into_iter().find(|form| form.name() == name);
        let (Some(form), Some(rule)) = (form, Rule::parse(said)) else {
            return Err(field(at, "must be taken, needed, refused or ignored"));
        };
        let fixed = match (base, form) {
            (Base::XmppClient, NameForm::XmppAddr) | (Base::Device, NameForm::Id) => &[Rule::Needed][..],
            (Base::XmppServer, NameForm::XmppAddr) => &[Rule::Taken, Rule::Needed, Rule::Refused, Rule::Ignored],
            (base, NameForm::Dns) if base.is_server() => &[Rule::Taken, Rule::Needed],
            _ => &[Rule::Taken, Rule::Needed, Rule::Refused],
        };
        if !fixed.contains(&rule) {
            let known: Vec<&str> = fixed.iter().map(|rule| rule.name()).collect();
            return Err(field(at, format!("must be {} in a profile based on `{}`", known.join(" or "), base.name())));
        }
        rules.insert(form, rule);
    }
    let certified = |rule: &Rule| matches!(rule, Rule::Taken | Rule::Needed);
    match base.is_ca() || base.is_signer() || rules.values().any(certified) {
        true => Ok(rules),
        false => Err(field(format!("{at}.names"), "takes no form of name, so every request would be refused")),
    }
}

/// Extensions that a profile can name by a word.
const EXTENSIONS: [(&str, &str); 7] = [
    ("basic-constraints", "2.5.29.19"),
    ("certificate-policies", "2.5.29.32"),
    ("ext-key-usage", "2.5.29.37"),
    ("key-usage", "2.5.29.15"),
    ("subject-key-identifier", "2.5.29.14"),
    ("tls-feature", TLS_FEATURE),
    ("other", ""),
];

pub(super) fn extensions(raw: &BTreeMap<String, String>, at: &str) -> Result<(BTreeMap<String, Rule>, Rule), Error> {
    let mut rules = BTreeMap::new();
    for (name, said) in raw {
        let at = format!("{at}.extensions.{}", show(name));
        let oid = EXTENSIONS.iter().find(|(word, _)| word == name).map_or(name.as_str(), |(_, oid)| oid);
        if !oid.is_empty() && !object_identifier(oid) {
            let known = EXTENSIONS.map(|(word, _)| word).join(", ");
            return Err(field(at, format!("is no object identifier such as 1.3.6.1.5.5.7.1.24, nor one of {known}")));
        }
        if oid == "2.5.29.17" {
            return Err(field(at, "is subjectAltName, which `names` is about"));
        }
        // What a request says of anything else is for its profile to say.
        let rule = match (Rule::parse(said), oid) {
            (Some(rule @ (Rule::Ignored | Rule::Refused)), _) => rule,
            (Some(rule), TLS_FEATURE) => rule,
            (Some(_), _) => {
                return Err(field(at, "must be ignored or refused; only tls-feature can be taken or needed"));
            }
            (None, _) => return Err(field(at, "must be ignored, refused, or for tls-feature taken or needed")),
        };
        if rules.insert(oid.to_owned(), rule).is_some_and(|other| other != rule) {
            return Err(field(at, "stands twice, under a word and under its identifier, and says two things"));
        }
    }
    let other = rules.remove("").unwrap_or(Rule::Ignored);
    Ok((rules, other))
}

/// extKeyUsage of an end entity: for TLS, by which it is verified, and beside it for what else.
pub(super) fn purposes(raw: Option<Vec<String>>, base: Base, at: &str) -> Result<Vec<String>, Error> {
    let at = format!("{at}.eku");
    let purposes = limits::purposes(raw, &at)?;
    for (i, oid) in purposes.iter().enumerate() {
        let refuse = |message: &str| Err(field(format!("{at}[{i}]"), message));
        match oid.as_str() {
            OCSP_SIGNING => return refuse("is OCSPSigning: its holder would speak for the CA"),
            SERVER_AUTH if !base.is_server() => return refuse("is for servers, whose names another base judges"),
            _ => {}
        }
    }
    let tls = purposes.iter().any(|oid| oid == SERVER_AUTH || oid == CLIENT_AUTH);
    match tls || base.is_ca() || base.is_signer() {
        true => Ok(purposes),
        false => Err(field(at, "must have server-auth or client-auth, by which it is verified")),
    }
}

/// The extensions that every certificate gets.
pub(super) fn added(must_staple: bool, raw: Vec<raw::AddedExtension>, at: &str) -> Result<Vec<OtherExtension>, Error> {
    let mut added: Vec<OtherExtension> = Vec::new();
    if must_staple {
        added.push(OtherExtension::must_staple());
    }
    for (i, extension) in raw.into_iter().enumerate() {
        let refuse = |name: &str, message: &str| Err(field(format!("{at}.added-extensions[{i}].{name}"), message));
        if !object_identifier(&extension.oid) {
            return refuse("oid", "is no object identifier such as 1.3.6.1.4.1.99999.1");
        }
        if extension.oid.starts_with("2.5.29.") || extension.oid == "1.3.6.1.5.5.7.1.1" {
            return refuse("oid", "is an extension that other fields make");
        }
        if extension.oid == TLS_FEATURE {
            return refuse("oid", "is the TLS feature extension: `must-staple = true` adds it");
        }
        if added.iter().any(|other| other.oid == extension.oid) {
            return refuse("oid", "stands twice");
        }
        let hex = data_encoding::HEXLOWER_PERMISSIVE.decode(extension.der.as_bytes());
        match hex {
            Ok(value) if value.len() <= 1024 && is_der(&value) => {
                added.push(OtherExtension { oid: extension.oid, value: Bytes::from(value) });
            }
            _ => return refuse("der", "must be one value in DER (X.690 section 10), at most 1024 octets, in hex"),
        }
    }
    added.sort_by(|a, b| a.oid.cmp(&b.oid));
    Ok(added)
}

pub(super) fn leaf_keys(keys: Option<Vec<KeyAlgorithm>>, at: &str) -> Result<Vec<KeyAlgorithm>, Error> {
    let keys = keys.unwrap_or(LEAF_KEYS.to_vec());
    match keys.iter().find(|kind| kind.shown() != **kind) {
        None => Ok(keys),
        Some(padded) => {
            let message =
                format!("has `{padded}`, but a request's key does not say how it signs; `{}` takes it", padded.shown());
            Err(field(format!("{at}.keys"), message))
        }
    }
}

pub(in crate::config) fn policies(raw: Vec<raw::Policy>, at: &str) -> Result<Vec<Policy>, Error> {
    let mut policies: Vec<Policy> = Vec::new();
    for (i, policy) in raw.into_iter().enumerate() {
        let at = format!("{at}[{i}]");
        if !object_identifier(&policy.oid) {
            return Err(field(format!("{at}.oid"), "is no object identifier such as 1.3.6.1.4.1.99999.1"));
        }
        if policies.iter().any(|other| other.oid == policy.oid) {
            return Err(field(format!("{at}.oid"), "stands twice (RFC 5280 section 4.2.1.4)"));
        }
        if let Some(cps) = &policy.cps
            && (cps.is_empty() || cps.len() > 200 || !cps.chars().all(|c| ('!'..='~').contains(&c)))
        {
            return Err(field(format!("{at}.cps"), "must be a URL in ASCII of at most 200 characters"));
        }
        policies.push(Policy { oid: policy.oid, cps: policy.cps });
    }
    Ok(policies)
}

/// Dotted, in its one way of writing: what is read back from a certificate is compared as text.
pub(in crate::config) fn object_identifier(text: &str) -> bool {
    let arcs: Option<Vec<u32>> = text.split('.').map(|arc| arc.parse().ok()).collect();
    let Some(arcs) = arcs else { return false };
    let written = arcs.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    let in_tree = matches!(arcs.as_slice(), [top @ 0..=2, second, ..] if *top == 2 || *second < 40);
    in_tree && arcs.len() <= 20 && written == text
}
