//! CAs of ours that an external issuer certifies: what their request asks for, and whether the certificate that comes back says no more
//! than is declared.

use super::authority::{ca_critical, judge_link, lifetime};
use super::cabf;
use super::check::{Check, Refused};
use super::issuer::CaKey;
use super::leaf::judge_quality;
use super::scope::judge_scope;
use super::seen::Seen;
use crate::cbor::Bytes;
use crate::config::{Ca, Environment, Profile, Validity};
use crate::text::{self, escape};
use crate::x509::fields::{CaConstraint, CertFields, Constraints, RequestFields, key_usage};
use crate::x509::{PublicKey, Request, is_rehearsal, name_text, read_certificate, verify_external};

const DAY: i64 = 86_400;

/// A CA that an external issuer certifies, as it is declared.
#[derive(Clone, Copy)]
pub struct ExternalContext<'a> {
    pub profile: &'a Profile,
    pub ca: &'a Ca,
    /// A real hierarchy's CA is certified by no rehearsal.
    pub environment: Environment,
    /// The declared subject, encoded.
    pub subject: &'a [u8],
    /// What it is declared to leave to those below it, encoded.
    pub constraints: &'a Constraints,
    /// Its key in the token.
    pub key: CaKey<'a>,
    /// Seconds since the epoch.
    pub now: i64,
}

impl ExternalContext<'_> {
    fn refuse(&self, check: Check, wrong: impl std::fmt::Display) -> Refused {
        Refused::new(check, format!("CA `{}`: {wrong}", self.ca.id))
    }

    /// What its certificate says as far as the declaration goes.
    fn declared(&self, key: &PublicKey) -> RequestFields {
        RequestFields {
            subject: Bytes::from(self.subject),
            spki: Bytes::from(self.key.spki),
            ca: Some(CaConstraint { path_len: self.profile.path_len }),
            key_usage: key_usage::KEY_CERT_SIGN | key_usage::CRL_SIGN,
            eku: self.ca.limits.eku.clone(),
            ski: Some(key.identifier()),
            policies: self.profile.policies.clone(),
            constraints: self.constraints.clone(),
            critical: ca_critical(self.constraints),
            others: Vec::new(),
        }
    }

    fn judge_issuer(&self, name: &[u8]) -> Result<(), Refused> {
        match self.environment == Environment::Real && is_rehearsal(name) {
            true => Err(self.refuse(Check::IssuerName, "its issuer is a rehearsal's, and this hierarchy is real")),
            false => Ok(()),
        }
    }
}

/// Judges a CA and says what its request will ask for. `issuer`: the declared certificate of its issuer, DER; what that one
/// would never certify is refused before the request is signed.
pub fn request_fields(
    context: &ExternalContext<'_>,
    issuer: Option<&[u8]>,
    seen: &mut Seen<'_>,
) -> Result<RequestFields, Refused> {
    let ca = context.ca;
    let key = PublicKey::from_spki(context.key.spki).map_err(|e| context.refuse(Check::KeyEncoding, e))?;
    if key.algorithm() != Some(context.key.algorithm.shown()) {
        let wrong = format!("it has {}, where {} is declared", key.kind(), context.key.algorithm);
        return Err(context.refuse(Check::KeyType, wrong));
    }
    judge_quality(&key)?;
    seen.judge_ca_key(&key, &ca.id)?;
    let fields = context.declared(&key);
    if let Some(der) = issuer {
        let issuer = crate::x509::verify_anchor(der)
            .map_err(|e| context.refuse(Check::IssuerCertificate, format!("its issuer's certificate: {e}")))?;
        context.judge_issuer(&issuer.subject)?;
        judge_link(&ca.id, context.profile.path_len, context.subject, &issuer, &key)?;
        let not_after = lifetime(context.now, ca.days.map(Validity::days), Some(&issuer))?;
        judge_scope(std::slice::from_ref(&issuer), &as_issued(&fields, &issuer, context.now, not_after))?;
    }
    Ok(fields)
}

/// A certificate that answers the request.
fn as_issued(asked: &RequestFields, issuer: &CertFields, not_before: i64, not_after: i64) -> CertFields {
    CertFields {
        not_before,
        not_after,
        issuer: issuer.subject.clone(),
        aki: issuer.ski.clone(),
        ..asked.as_certificate()
    }
}

/// A certificate that has come back.
pub struct Returned<'a> {
    /// The certificate, DER, and those above it, its issuer's first.
    pub certificate: &'a [u8],
    pub above: &'a [Vec<u8>],
    /// The newest request of this CA on record, DER.
    pub csr: Option<&'a [u8]>,
    /// The certificate that it would replace, DER.
    pub before: Option<&'a [u8]>,
}

/// Judges the certificate that an external issuer has made for a CA of ours. Gives what it says, and in words what is narrower than
/// declared.
pub fn judge_adopted(
    context: &ExternalContext<'_>,
    returned: &Returned<'_>,
) -> Result<(CertFields, Vec<String>), Refused> {
    let refuse = |check: Check, wrong: String| context.refuse(check, wrong);
    let unread =
        |e: crate::x509::Error| refuse(Check::AdoptedCertificate, format!("its certificate cannot be read: {e}"));
    let found = read_certificate(returned.certificate).map_err(unread)?;
    judge_answer(context, returned, &found)?;
    let key = PublicKey::from_spki(context.key.spki).map_err(|e| refuse(Check::KeyEncoding, e.to_string()))?;
    let narrower = judge_profile(context, &context.declared(&key), &found)?;
    verify_external(returned.certificate, returned.above)
        .map_err(|e| refuse(Check::AdoptedCertificate, format!("its certificate does not verify: {e}")))?;
    let mut path = Vec::new();
    for above in returned.above {
        let fields = read_certificate(above).map_err(unread)?;
        context.judge_issuer(&fields.subject)?;
        if context.now < fields.not_before || context.now > fields.not_after {
            let [from, to] = [fields.not_before, fields.not_after].map(text::utc);
            let wrong =
                format!("the certificate of `{}` above it is valid from {from} to {to}", name_text(&fields.subject));
            return Err(refuse(Check::IssuerCertificate, wrong));
        }
        path.push(fields);
    }
    if let Some(issuer) = path.first() {
        judge_link(&context.ca.id, found.ca.and_then(|ca| ca.path_len), &found.subject, issuer, &key)?;
    }
    judge_scope(&path, &found)?;
    judge_validity(context, &found)?;
    if context.ca.cabf() {
        // When it was signed is not known here.
        let who = format!("CA `{}`: its certificate", context.ca.id);
        cabf::judge(&who, context.ca.cabf_kind(), &found, found.not_before)?;
    }
    Ok((found, narrower))
}

/// Key and subject are those of the token, the declaration and the request.
fn judge_answer(context: &ExternalContext<'_>, returned: &Returned<'_>, found: &CertFields) -> Result<(), Refused> {
    let refuse = |wrong: String| Err(context.refuse(Check::AdoptedRequest, wrong));
    if found.spki.as_slice() != context.key.spki {
        return refuse("its certificate is for another key than the one in the token".into());
    }
    if found.subject.as_slice() != context.subject {
        let [shown, wanted] = [&found.subject[..], context.subject].map(name_text);
        let forms = if shown == wanted { ", in other string types or another form" } else { "" };
        return refuse(format!("its certificate names `{shown}`{forms}, the hierarchy declares `{wanted}`"));
    }
    let Some(csr) = returned.csr else { return refuse("no request of it is on record".into()) };
    let request = Request::parse(csr).map_err(|e| context.refuse(Check::AdoptedRequest, e))?;
    if (found.spki.as_slice(), found.subject.as_slice()) != (&request.spki, &request.subject) {
        return refuse("its certificate does not answer the newest request on record".into());
    }
    let Some(before) = returned.before else { return Ok(()) };
    let before = read_certificate(before).map_err(|e| context.refuse(Check::AdoptedRequest, e))?;
    // What it has issued names its key by this.
    match before.ski == found.ski {
        true => Ok(()),
        false => refuse("its subject key identifier is not that of the certificate before".into()),
    }
}

/// Every difference from the declaration that gives more is refused, all of them named; those that give less are returned.
fn judge_profile(
    context: &ExternalContext<'_>,
    declared: &RequestFields,
    found: &CertFields,
) -> Result<Vec<String>, Refused> {
    let mut all = Differences::default();
    let count = |count: Option<u32>| count.map_or("none".into(), |count| count.to_string());
    match (declared.ca.and_then(|ca| ca.path_len), found.ca) {
        (_, None) => all.wider("it is no CA's (basicConstraints)".into()),
        (own, Some(ca)) if own == ca.path_len => {}
        (own, Some(ca)) => {
            let words = format!("its path length is {}, declared is {}", count(ca.path_len), count(own));
            all.told(own.is_none_or(|own| ca.path_len.is_some_and(|found| found < own)), words);
        }
    }
    for (bit, name) in [(key_usage::KEY_CERT_SIGN, "keyCertSign"), (key_usage::CRL_SIGN, "cRLSign")] {
        if found.key_usage & bit == 0 {
            all.wider(format!("its keyUsage lacks {name}"));
        }
    }
    if found.key_usage & !declared.key_usage != 0 {
        let more = found.key_usage & !declared.key_usage;
        let words = "its keyUsage has digitalSignature besides".to_string();
        match more == key_usage::DIGITAL_SIGNATURE {
            true => all.told(true, words),
            false => all.wider("its keyUsage has more than keyCertSign, cRLSign and digitalSignature".into()),
        }
    }
    purposes(&mut all, &declared.eku, &found.eku);
    policies(&mut all, declared, found);
    constraints(&mut all, &declared.constraints, &found.constraints);
    for oid in declared.critical.iter().filter(|oid| !found.critical.contains(oid)) {
        let stands = found.constraints.extensions().iter().any(|(own, stands)| own == oid && *stands);
        if stands || ["2.5.29.15", "2.5.29.19"].contains(&oid.as_str()) {
            all.wider(format!("its extension {oid} is not critical"));
        }
    }
    match &found.ski {
        None => all.wider("it has no subjectKeyIdentifier".into()),
        ski if *ski != declared.ski => all.told(true, "its subjectKeyIdentifier is another than asked for".into()),
        _ => {}
    }
    if !found.san.is_empty() {
        all.wider("it has a subjectAltName, and none is declared".into());
    }
    for other in &found.others {
        let words = format!("it has the extension {} besides", escape(&other.oid));
        // Whatever limits or promises must have been read.
        let unread = ["2.5.29.19", "2.5.29.30", "2.5.29.32", "2.5.29.36", "2.5.29.54"].contains(&other.oid.as_str());
        all.told(!unread, if unread { format!("{words}, in a form that nothing here compares") } else { words });
    }
    match all.wider.is_empty() {
        true => Ok(all.narrower),
        false => Err(context.refuse(Check::AdoptedProfile, all.wider.join("; "))),
    }
}

#[derive(Default)]
struct Differences {
    wider: Vec<String>,
    narrower: Vec<String>,
}

impl Differences {
    fn wider(&mut self, words: String) {
        self.wider.push(words);
    }

    fn told(&mut self, within: bool, words: String) {
        if within { self.narrower.push(words) } else { self.wider.push(words) }
    }
}

fn purposes(all: &mut Differences, declared: &[String], found: &[String]) {
    let list = |oids: &[String]| oids.iter().map(|oid| escape(oid)).collect::<Vec<_>>().join(", ");
    match (declared, found) {
        ([], []) => {}
        ([], _) => all.told(true, format!("it is for {} alone (extKeyUsage)", list(found))),
        (_, []) => all.wider(format!("it has no extKeyUsage, so it is for everything; declared is {}", list(declared))),
        _ => {
            for oid in found.iter().filter(|oid| !declared.contains(oid)) {
                all.wider(format!("it is for {} (extKeyUsage), which is not declared", escape(oid)));
            }
            for oid in declared.iter().filter(|oid| !found.contains(oid)) {
                all.told(true, format!("it is not for {} (extKeyUsage)", escape(oid)));
            }
        }
    }
}

/// A policy that is missing would make what stands below it worthless to who asks for it, one more would promise for us.
fn policies(all: &mut Differences, declared: &RequestFields, found: &CertFields) {
    let (own, theirs) = (&declared.policies, &found.policies);
    for policy in theirs.iter().filter(|policy| !own.iter().any(|other| other.oid == policy.oid)) {
        all.wider(format!("it has the policy {}, which is not declared", escape(&policy.oid)));
    }
    for policy in own.iter().filter(|policy| !theirs.iter().any(|other| other.oid == policy.oid)) {
        all.wider(format!("it lacks the policy {}", escape(&policy.oid)));
    }
}

fn constraints(all: &mut Differences, declared: &Constraints, found: &Constraints) {
    for base in declared.permitted.iter().filter(|base| !found.permitted.contains(base)) {
        all.wider(format!("its name constraints do not have {} as permitted", base.text()));
    }
    for base in declared.excluded.iter().filter(|base| !found.excluded.contains(base)) {
        all.wider(format!("its name constraints do not exclude {}", base.text()));
    }
    for base in found.permitted.iter().filter(|base| !declared.permitted.contains(base)) {
        // A form of names that is bound only there is bound more; another subtree of a form that is bound here gives more.
        let kind = std::mem::discriminant(base);
        let bound = declared.permitted.iter().any(|own| std::mem::discriminant(own) == kind);
        all.told(!bound, format!("its name constraints permit {}, which is not declared", base.text()));
    }
    for base in found.excluded.iter().filter(|base| !declared.excluded.contains(base)) {
        all.told(true, format!("its name constraints exclude {} besides", base.text()));
    }
    for (name, own, theirs) in [
        ("requireExplicitPolicy", declared.require_explicit_policy, found.require_explicit_policy),
        ("inhibitPolicyMapping", declared.inhibit_policy_mapping, found.inhibit_policy_mapping),
        ("inhibitAnyPolicy", declared.inhibit_any_policy, found.inhibit_any_policy),
    ] {
        if own != theirs {
            let shown = |count: Option<u32>| count.map_or("none".into(), |count: u32| count.to_string());
            let within = own.is_none_or(|own| theirs.is_some_and(|theirs| theirs < own));
            all.told(within, format!("its {name} is {}, declared is {}", shown(theirs), shown(own)));
        }
    }
}

fn judge_validity(context: &ExternalContext<'_>, found: &CertFields) -> Result<(), Refused> {
    let [from, to] = [found.not_before, found.not_after].map(text::utc);
    let refuse = |wrong: String| Err(context.refuse(Check::AdoptedValidity, wrong));
    if context.now < found.not_before || context.now > found.not_after {
        return refuse(format!("its certificate is valid from {from} to {to}, and it is {}", text::utc(context.now)));
    }
    // Tools differ by the last second, which RFC 5280 includes.
    let longest = context.ca.days.map(|days| i64::from(days) * DAY);
    match longest {
        Some(longest) if found.not_after.saturating_sub(found.not_before) > longest => {
            let days = context.ca.days.unwrap_or_default();
            refuse(format!("its certificate is valid from {from} to {to}, more than the declared {days} days"))
        }
        _ => Ok(()),
    }
}
