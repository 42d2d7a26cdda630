//! Certificates for signers: the station's audit key, and keys that sign CRLs.

use crate::audit::note::VerifierKey;
use crate::cbor::Bytes;
use crate::config::{Signer, SignerKey};
use crate::digest::Digest;
use crate::plan::Certificate;
use crate::policy::{self, Check, Refused, Seen, SignerContext};
use crate::{tbs, x509};

use super::foreign::octets;
use super::issuers::Issuers;
use super::{Context, Error, certificate_bytes, refused};

/// The certificate of a signer, by the CA that its profile names.
pub(super) fn certificate(
    context: &mut Context,
    signer: &Signer,
    issuers: &mut Issuers,
    seen: &mut Seen,
) -> Result<Certificate, Error> {
    let subject = tbs::name(&signer.subject);
    let (spki, outside) = public_half(context, signer, &subject, issuers)?;
    let missing = |what| Error::Ca { ca: signer.ca.clone(), what };
    let profile = context.hierarchy.profile(&signer.profile).ok_or_else(|| missing("issues by no declared profile"))?;
    let declared = context.hierarchy.ca(&signer.ca).ok_or_else(|| missing("is not declared"))?;
    let issuer = issuers.certifying(context, &signer.ca)?;
    let serial = context.draw.serial();
    let judged = SignerContext {
        id: &signer.id,
        profile,
        issuer: &issuer,
        subject: &subject,
        spki: &spki,
        sign_from: context.now,
    };
    let refuse = |r| refused(&signer.ca, r);
    let fields = policy::signer_fields(&judged, serial, seen).map_err(refuse)?;
    let key = issuers.key(declared)?;
    let tbs = certificate_bytes(&fields, &key).map_err(refuse)?;
    Ok(Certificate {
        act: "signer".into(),
        ca: signer.ca.clone(),
        subject_ca: None,
        request: Some(signer.id.clone()),
        profile: signer.profile.clone(),
        requester: None,
        outside,
        signer: key,
        tbs: Bytes::from(tbs),
        fields,
    })
}

/// The key that is certified, and of a request the SHA-256 of its file.
fn public_half(
    context: &Context,
    signer: &Signer,
    subject: &[u8],
    issuers: &Issuers,
) -> Result<(Vec<u8>, Option<Digest>), Error> {
    match &signer.key {
        SignerKey::Audit => {
            let none = Error::Nothing("the station has no audit key yet");
            let genesis = context.ledger.genesis.as_ref().ok_or(none)?;
            let key = VerifierKey::parse(&genesis.verifier_key)
                .map_err(|e| Error::Ledger(crate::ledger::Error::Log(e.into())))?;
            Ok((key.spki(), None))
        }
        SignerKey::Token(id) => {
            let what = "is not made yet, or was destroyed; `generate-key` makes it";
            let key = issuers.key_of(id).ok_or_else(|| Error::Key { key: id.clone(), what })?;
            Ok((key.spki.to_vec(), None))
        }
        SignerKey::Request(file) => {
            let refuse = |check: Check, wrong: String| {
                refused(&signer.ca, Refused::new(check, format!("signer `{}`: {wrong}", signer.id)))
            };
            let octets = octets(file, &signer.id)?;
            let request = x509::Request::parse(octets).map_err(|e| refuse(Check::RequestEncoding, e.to_string()))?;
            request.verify_possession().map_err(|e| refuse(Check::ProofOfPossession, e.to_string()))?;
            if request.subject != subject {
                let [found, wanted] = [&request.subject[..], subject].map(x509::name_text);
                let forms = if found == wanted { ", in other string types or another form" } else { "" };
                let wrong = format!("its request names `{found}`{forms}, the ceremony `{wanted}`");
                return Err(refuse(Check::CaRequest, wrong));
            }
            Ok((request.spki, Some(Digest::of(octets))))
        }
    }
}
