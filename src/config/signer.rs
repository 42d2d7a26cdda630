//! Acts that certify signers: the station's audit key, keys that sign CRLs.

use std::path::Path;

use super::ceremony::{Signer, SignerKey};
use super::foreign::outside;
use super::hierarchy::Hierarchy;
use super::line::id;
use super::{Base, Error, authority, field, raw};

/// The act, whose kind is `signer`.
pub(super) fn signer(act: &raw::Act, at: &str, hierarchy: &Hierarchy, dir: Option<&Path>) -> Result<Signer, Error> {
    let needs = |name: &str| field(format!("{at}.{name}"), "`signer` needs it");
    let name = act.id.clone().ok_or_else(|| needs("id"))?;
    id(&name, at)?;
    if hierarchy.ca(&name).is_some() {
        return Err(field(format!("{at}.id"), "is a CA of the hierarchy; a signer has an id of its own"));
    }
    let wanted = act.profile.as_ref().ok_or_else(|| needs("profile"))?;
    let profile = hierarchy.profile(wanted).filter(|profile| profile.base.is_signer()).ok_or_else(|| {
        field(format!("{at}.profile"), "names no declared profile that is based on `audit-signer` or `crl-signer`")
    })?;
    let tables = act.subject.as_ref().ok_or_else(|| needs("subject"))?;
    let subject = authority::subject(tables, &format!("{at}.subject"), hierarchy.environment)?;
    if hierarchy.cas.iter().any(|ca| ca.subject == subject) {
        let message = "is a CA's name; who reads a certificate could not tell the two apart";
        return Err(field(format!("{at}.subject"), message));
    }
    let key = match (profile.base, &act.key, &act.request) {
        (Base::AuditSigner, None, None) => SignerKey::Audit,
        (Base::AuditSigner, ..) => {
            let name = if act.key.is_some() { "key" } else { "request" };
            return Err(field(format!("{at}.{name}"), "is not named: it is the station's own audit key"));
        }
        (_, Some(key), None) => {
            if hierarchy.key(key).is_none() {
                return Err(field(format!("{at}.key"), "names a key that the hierarchy does not declare"));
            }
            if hierarchy.cas.iter().any(|ca| ca.key == *key) {
                return Err(field(format!("{at}.key"), "is a CA's key; a signer has its own"));
            }
            SignerKey::Token(key.clone())
        }
        (_, None, Some(request)) => SignerKey::Request(outside(request, &format!("{at}.request"), dir)?),
        (_, Some(_), Some(_)) => return Err(field(format!("{at}.request"), "stands beside `key`; one of the two")),
        (_, None, None) => {
            return Err(field(format!("{at}.key"), "is missing; a signer has a `key`, or brings a `request`"));
        }
    };
    // A profile for end entities names its issuer.
    let ca = profile.issuer.clone().unwrap_or_default();
    Ok(Signer { id: name, ca, profile: profile.id.clone(), subject, key })
}
