//! Acts on what comes from outside of the hierarchy: a certificate that is crossed, a CA's request.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Base;
use super::ceremony::{Act, Cross, MAX_OUTSIDE, Outside};
use super::hierarchy::{Ca, Hierarchy};
use super::limits::purposes;
use super::line::{id, plain_line, show};
use super::{Error, field, raw};

/// The act, if it is one on what comes from outside; otherwise the fields that only such acts have are refused.
pub(super) fn foreign(
    act: &raw::Act,
    at: &str,
    hierarchy: &Hierarchy,
    dir: Option<&Path>,
) -> Result<Option<Act>, Error> {
    let cross = act.kind == "cross-certificate";
    let certifies = act.kind == "intermediate" && act.request.is_some();
    let signer = act.kind == "signer";
    for (name, given, fits) in [
        ("id", act.id.is_some(), cross || signer),
        ("certificate", act.certificate.is_some(), cross),
        ("issuer-certificate", act.issuer_certificate.is_some(), cross),
        ("subject-ca", act.subject_ca.is_some(), cross),
        ("profile", act.profile.is_some(), cross || signer),
        ("days", act.days.is_some(), cross),
        ("eku", act.eku.is_some(), cross),
        ("subject", act.subject.is_some(), signer),
        ("request", act.request.is_some(), certifies || signer),
    ] {
        if given && !fits {
            return Err(field(format!("{at}.{name}"), format!("does not belong to `{}`", show(&act.kind))));
        }
    }
    let file = |path: &str, name: &str| outside(path, &format!("{at}.{name}"), dir);
    let known = |name: &str, id: &Option<String>| match id.as_deref().and_then(|id| hierarchy.ca(id)) {
        Some(ca) => Ok(ca),
        None => Err(field(format!("{at}.{name}"), "names a CA that the hierarchy does not declare")),
    };
    if let Some(request) = act.request.as_ref().filter(|_| certifies) {
        let ca = known("ca", &act.ca)?;
        if !ca.key_is_elsewhere() {
            return Err(field(
                format!("{at}.request"),
                "is for a CA with `key = \"elsewhere\"`; this one's is in a token",
            ));
        }
        return Ok(Some(Act::Certify { ca: ca.id.clone(), request: file(request, "request")? }));
    }
    if signer {
        return super::signer::signer(act, at, hierarchy, dir).map(|signer| Some(Act::Signer(Box::new(signer))));
    }
    if !cross {
        return Ok(None);
    }
    let needs = |name: &str| field(format!("{at}.{name}"), "`cross-certificate` needs it");
    let issuer = known("ca", &act.ca)?;
    let name = act.id.clone().ok_or_else(|| needs("id"))?;
    id(&name, at)?;
    if hierarchy.ca(&name).is_some() {
        return Err(field(format!("{at}.id"), "is a CA of the hierarchy; what comes of this act has an id of its own"));
    }
    let profile = act.profile.clone().ok_or_else(|| needs("profile"))?;
    if hierarchy.profile(&profile).is_none_or(|profile| profile.base != Base::Intermediate) {
        return Err(field(format!("{at}.profile"), "names no declared profile that is based on `intermediate`"));
    }
    let days = act.days.ok_or_else(|| needs("days"))?;
    if days == 0 || days > 36_525 {
        return Err(field(format!("{at}.days"), "must be 1 to 36525"));
    }
    let subject_ca = act.subject_ca.as_ref().map(|_| known("subject-ca", &act.subject_ca)).transpose()?;
    if subject_ca.is_some_and(Ca::key_is_elsewhere) {
        return Err(field(format!("{at}.subject-ca"), "names a CA whose key is not in a token of this station"));
    }
    let certificate = act.certificate.as_ref().ok_or_else(|| needs("certificate"))?;
    Ok(Some(Act::Cross(Box::new(Cross {
        id: name,
        ca: issuer.id.clone(),
        certificate: file(certificate, "certificate")?,
        issuer_certificate: act.issuer_certificate.as_ref().map(|p| file(p, "issuer-certificate")).transpose()?,
        subject_ca: subject_ca.map(|ca| ca.id.clone()),
        profile,
        days,
        eku: purposes(act.eku.clone(), &format!("{at}.eku"))?,
    }))))
}

/// A file beside the ceremony, read with a bound.
pub(super) fn outside(path: &str, at: &str, dir: Option<&Path>) -> Result<Outside, Error> {
    plain_line(at, path, 512)?;
    let Some(dir) = dir else { return Ok(Outside { path: path.into(), octets: None }) };
    let whole = dir.join(path);
    let read = |cause| Error::Read { path: crate::text::path(&whole), cause };
    // Looked at before it is opened: opening a pipe would wait for its other end.
    if !std::fs::metadata(&whole).map_err(read)?.is_file() {
        return Err(field(at, "is no regular file"));
    }
    let mut octets = Vec::new();
    File::open(&whole).map_err(read)?.take(MAX_OUTSIDE + 1).read_to_end(&mut octets).map_err(read)?;
    if octets.len() as u64 > MAX_OUTSIDE {
        return Err(Error::TooLarge { path: crate::text::path(&whole), limit: MAX_OUTSIDE });
    }
    Ok(Outside { path: path.into(), octets: Some(octets) })
}
