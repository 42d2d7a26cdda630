//! Certificates for CAs whose key comes from outside: crossed ones, and those that bring a request.

use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::config::{Ca, Cross, Outside};
use crate::digest::Digest;
use crate::plan::Certificate;
use crate::policy::{self, CaContext, CaKey, Check, CrossContext, IssuerFacts, Refused, Seen};
use crate::{tbs, text, x509};

use super::issuers::{Issuers, ca_key, profile_of};
use super::{Context, Error, certificate_bytes, refused};

/// A certificate for a CA that has one: all but what the issuer decides is the old one's.
pub(super) fn cross(
    context: &mut Context,
    cross: &Cross,
    issuers: &mut Issuers,
    seen: &mut Seen,
) -> Result<Certificate, Error> {
    let crossed = certificate_in(&cross.certificate, &cross.id)?;
    let above = cross.issuer_certificate.as_ref().map(|file| certificate_in(file, &cross.id)).transpose()?;
    let issuer = issuers.certifying(context, &cross.ca)?;
    let own = cross.subject_ca.as_ref().and_then(|id| context.hierarchy.ca(id));
    let own = own.map(|ca| Ok::<_, Error>((ca.id.as_str(), tbs::name(&ca.subject), issuers.key(ca)?))).transpose()?;
    let serial = context.draw.serial();
    let window_hours = context.hierarchy.profile(&cross.profile).map_or(0, |profile| profile.window_hours);
    let judged = CrossContext {
        id: &cross.id,
        crossed: &crossed,
        above: above.as_deref(),
        own: own.as_ref().map(|(id, subject, key)| (*id, subject.as_slice(), ca_key(key))),
        issuer: &issuer,
        days: cross.days,
        eku: &cross.eku,
        sign_from: context.now,
        window_hours,
    };
    let fields = policy::cross_fields(&judged, serial, seen).map_err(|r| refused(&cross.id, r))?;
    let declared =
        context.hierarchy.ca(&cross.ca).ok_or(Error::Ca { ca: cross.ca.clone(), what: "is not declared" })?;
    let signer = issuers.key(declared)?;
    let tbs = certificate_bytes(&fields, &signer).map_err(|r| refused(&cross.id, r))?;
    Ok(Certificate {
        act: "cross-certificate".into(),
        ca: cross.ca.clone(),
        subject_ca: Some(cross.id.clone()),
        request: None,
        profile: cross.profile.clone(),
        requester: None,
        outside: Some(Digest::of(octets(&cross.certificate, &cross.id)?)),
        signer,
        tbs: Bytes::from(tbs),
        fields,
    })
}

/// The certificate of a CA that brings its request. Of the request counts the key, which it must prove to have; its subject must be
/// the declared one, octet for octet, and nothing of its extensions is copied.
pub(super) fn certificate(
    context: &mut Context,
    ca: &Ca,
    file: &Outside,
    issuers: &mut Issuers,
    seen: &mut Seen,
) -> Result<Certificate, Error> {
    let refuse = |check: Check, wrong: String| refused(&ca.id, Refused::new(check, format!("CA `{}`: {wrong}", ca.id)));
    if context.ledger.cas.contains_key(&ca.id) {
        return Err(Error::Ca { ca: ca.id.clone(), what: "has its certificate already" });
    }
    let octets = octets(file, &ca.id)?;
    let request = x509::Request::parse(octets).map_err(|e| refuse(Check::RequestEncoding, e.to_string()))?;
    request.verify_possession().map_err(|e| refuse(Check::ProofOfPossession, e.to_string()))?;
    let (subject, constraints) = (tbs::name(&ca.subject), tbs::constraints(&ca.limits));
    if request.subject != subject {
        let (found, wanted) = (x509::name_text(&request.subject), x509::name_text(&subject));
        let forms = if found == wanted { ", in other string types or another form" } else { "" };
        let wrong = format!("its request names `{found}`{forms}, the hierarchy declares `{wanted}`");
        return Err(refuse(Check::CaRequest, wrong));
    }
    let key = x509::PublicKey::from_spki(&request.spki).map_err(|e| refuse(Check::KeyEncoding, e.to_string()))?;
    let algorithm = key.algorithm().ok_or_else(|| refuse(Check::KeyType, format!("it has {}", key.kind())))?;
    // As for the keys that are declared.
    if algorithm.shown() == KeyAlgorithm::Rsa2048 {
        return Err(refuse(Check::KeySize, "an RSA key of a CA has 3072 bits or more".into()));
    }
    let profile = profile_of(context, ca)?;
    let issuer: IssuerFacts = issuers.certifying(context, &ca.issuer)?;
    let serial = context.draw.serial();
    let judged = CaContext {
        profile,
        ca,
        subject: &subject,
        constraints: &constraints,
        key: CaKey { spki: &request.spki, algorithm },
        issuer: Some(&issuer),
        sign_from: context.now,
    };
    let fields = policy::ca_fields(&judged, serial, seen).map_err(|r| refused(&ca.id, r))?;
    let signer = issuers.signer(context, ca)?;
    let tbs = certificate_bytes(&fields, &signer).map_err(|r| refused(&ca.id, r))?;
    Ok(Certificate {
        act: "intermediate".into(),
        ca: ca.issuer.clone(),
        subject_ca: Some(ca.id.clone()),
        request: None,
        profile: ca.profile.clone(),
        requester: None,
        outside: Some(Digest::of(octets)),
        signer,
        tbs: Bytes::from(tbs),
        fields,
    })
}

pub(super) fn octets<'a>(file: &'a Outside, ca: &str) -> Result<&'a [u8], Error> {
    file.octets.as_deref().ok_or(Error::Ca { ca: text::escape(ca), what: "is certified from a file that was not read" })
}

/// A certificate in DER or PEM.
fn certificate_in(file: &Outside, ca: &str) -> Result<Vec<u8>, Error> {
    x509::certificate_der(octets(file, ca)?).map_err(|e| {
        let wrong = format!("`{}` is no certificate: {e}", text::escape(&file.path));
        refused(ca, Refused::new(Check::CrossedCertificate, wrong))
    })
}
