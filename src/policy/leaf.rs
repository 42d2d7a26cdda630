//! One request of a batch: a verdict, and the fields of its certificate (RFC 6120 §13.7.1).

use super::authority::lifetime;
use super::cabf;
use super::check::{Check, Refused};
use super::extensions;
use super::issuer::IssuerFacts;
use super::names::{self, Names};
use super::scope::judge_scope;
use super::seen::{Requested, Seen};
use super::vouched::Vouched;
use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::config::cabf::Kind;
use crate::config::{Base, Profile};
use crate::digest::Digest;
use crate::text::{self, idn};
use crate::x509::fields::{CertFields, Constraints, GeneralName, key_usage, names_digest};
use crate::x509::{self, Error, KeyKind, PublicKey, Request, holder_names};

/// What all requests of a batch share.
pub struct LeafContext<'a> {
    pub profile: &'a Profile,
    pub issuer: &'a IssuerFacts,
    /// notBefore, seconds since the epoch: the beginning of the plan's window.
    pub sign_from: i64,
}

/// One row of a bundle.
pub struct RequestRow<'a> {
    /// The request's id.
    pub id: &'a str,
    /// PKCS #10, DER or PEM.
    pub csr: &'a [u8],
    /// The names that the desk's table gives to the requester.
    pub validated: &'a [String],
    /// The tag of who asks.
    pub requester: Digest,
    /// The desk's suffixes; none: any name.
    pub suffixes: &'a [String],
    /// What the validators say.
    pub vouched: &'a Vouched,
    /// Names that have changed hands, as a validator says.
    pub ceded: &'a [String],
}

/// Judges one request and says what its certificate will be. Nothing of the request but its key, its validated names and the
/// TLS feature, where the profile takes it, gets in: no subject, no other extension. On refusal `seen` is unchanged.
pub fn judge_request(
    context: &LeafContext<'_>,
    row: &RequestRow<'_>,
    serial: [u8; 17],
    seen: &mut Seen<'_>,
) -> Result<CertFields, Refused> {
    let profile = context.profile;
    if profile.base.is_ca() || profile.base.is_signer() {
        return Err(Refused::new(Check::Profile, format!("profile `{}` is none for requests", profile.id)));
    }
    let request = Request::parse(row.csr).map_err(|e| Refused::new(Check::RequestEncoding, e))?;
    let key = judge_key(&request.spki, &profile.keys)?;
    judge_possession(&request)?;
    if request.asks_for_ca {
        return Err(Refused::new(Check::CaRequested, "the request asks for the certificate of a CA"));
    }
    let others = extensions::judge(&request, profile)?;
    let Names { common_name, san } = names::judge(&request, row.validated, profile)?;
    let subject = common_name.as_deref().map_or_else(|| vec![0x30, 0], subject);
    let held: Vec<String> = holder_names(&subject, &san).iter().map(|name| name.to_ascii_lowercase()).collect();
    // A device's id is no name below any domain: which ones a desk may ask for is said by its table and the validators. The same
    // text as a dNSName is one.
    judge_suffixes(&holder_names(&[0x30, 0], &san), row.suffixes)?;
    row.vouched.judge(&held, row.requester, profile, context.sign_from)?;
    seen.judge_names(&held, row.requester, row.ceded)?;
    let names = names_digest(&subject, &san);
    let asked = Requested { key: &key, reuse: profile.key_reuse, requester: row.requester, names };
    seen.judge_leaf_key(&asked)?;
    seen.judge_serial(&serial)?;
    let issuer = context.issuer;
    let not_after = lifetime(context.sign_from, Some(profile.validity), Some(issuer.fields()))?;
    let mut critical = vec!["2.5.29.15".to_owned(), "2.5.29.19".to_owned()];
    if common_name.is_none() {
        // RFC 5280 §4.2.1.6: an empty subject makes the subjectAltName critical.
        critical.insert(1, "2.5.29.17".to_owned());
    }
    let fields = CertFields {
        serial: Bytes::from(serial.to_vec()),
        signature: issuer.signature(),
        issuer: issuer.fields().subject.clone(),
        not_before: context.sign_from,
        not_after,
        subject: Bytes::from(subject),
        spki: Bytes::from(key.spki()),
        ca: None,
        key_usage: usage(profile.base, key.kind()),
        eku: profile.eku.clone(),
        san,
        // RFC 5280 §4.2.1.2 would have it, the Baseline Requirements §7.1.2.7.6 do not recommend it.
        ski: (profile.base != Base::CabfTlsDv).then(|| key.identifier()),
        aki: Some(issuer.ski().clone()),
        crl_urls: issuer.crl_urls().to_vec(),
        issuer_urls: issuer.issuer_urls().to_vec(),
        policies: profile.policies.clone(),
        constraints: Constraints::default(),
        critical,
        others,
    };
    judge_scope(issuer.path(), &fields)?;
    if issuer.cabf() {
        judge_cabf(context, &fields)?;
    }
    seen.take(&key, row.id, serial);
    seen.take_names(&held, row.id, row.requester);
    Ok(fields)
}

/// What the Baseline Requirements say of a server's certificate.
fn judge_cabf(context: &LeafContext<'_>, fields: &CertFields) -> Result<(), Refused> {
    if context.issuer.is_root() {
        let wrong = format!("its issuer `{}` is a root", context.issuer.ca());
        return Err(Refused::new(Check::CabfIssuer, wrong));
    }
    let signed_until = context.sign_from + i64::from(context.profile.window_hours) * 3_600;
    cabf::judge("the certificate", Kind::Server, fields, signed_until)?;
    let one_of_san =
        |name: &GeneralName| matches!(name, GeneralName::Dns(name) if subject(name) == fields.subject.as_slice());
    match fields.subject.as_slice() == [0x30, 0] || fields.san.iter().any(one_of_san) {
        true => Ok(()),
        false => {
            let wrong = format!("its subject `{}` is none of its names", x509::name_text(&fields.subject));
            Err(Refused::new(Check::CabfNames, wrong))
        }
    }
}

/// Everybody signs; a server with an RSA key also lets old clients encrypt to it (RFC 5246 §7.4.2), which browsers no longer do.
/// A client never needs to.
fn usage(base: Base, key: KeyKind) -> u16 {
    let encipher = base.is_server() && base != Base::CabfTlsDv && matches!(key, KeyKind::Rsa { .. });
    key_usage::DIGITAL_SIGNATURE | if encipher { key_usage::KEY_ENCIPHERMENT } else { 0 }
}

/// A key whose encoding, kind, size and quality the profile accepts.
pub(super) fn judge_key(spki: &[u8], accepted: &[KeyAlgorithm]) -> Result<PublicKey, Refused> {
    let names = || accepted.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    let key = PublicKey::from_spki(spki).map_err(|e| match e {
        Error::KeyAlgorithm { .. } => Refused::new(Check::KeyType, format!("{e} (accepted: {})", names())),
        Error::TooLarge { .. } => Refused::new(Check::KeySize, format!("{e} (accepted: {})", names())),
        other => Refused::new(Check::KeyEncoding, other),
    })?;
    if !key.algorithm().is_some_and(|kind| accepted.contains(&kind)) {
        let rsa = [KeyAlgorithm::Rsa2048, KeyAlgorithm::Rsa3072, KeyAlgorithm::Rsa4096];
        let wrong_size = matches!(key.kind(), KeyKind::Rsa { .. }) && accepted.iter().any(|kind| rsa.contains(kind));
        let check = if wrong_size { Check::KeySize } else { Check::KeyType };
        return Err(Refused::new(check, format!("the request has {} (accepted: {})", key.kind(), names())));
    }
    judge_quality(&key)?;
    Ok(key)
}

/// Exponent and modulus of an RSA key.
pub(super) fn judge_quality(key: &PublicKey) -> Result<(), Refused> {
    if let KeyKind::Rsa { exponent, .. } = key.kind()
        && exponent != 65537
    {
        return Err(Refused::new(
            Check::KeyQuality,
            format!("the RSA key has the public exponent {exponent}, not 65537"),
        ));
    }
    match key.weakness() {
        Some(weakness) => Err(Refused::new(Check::KeyQuality, format!("the key is no secret: {weakness}"))),
        None => Ok(()),
    }
}

/// Names that the desk may ask for: with suffixes domain names, and JIDs and mailboxes at them, so that an address or a URI is no way
/// around them.
fn judge_suffixes(names: &[String], suffixes: &[String]) -> Result<(), Refused> {
    let below =
        |name: &str, suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let domain = |name: &str| name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-.*".contains(&c));
    let ours = |name: &str| {
        let at = [idn::JID, idn::MAILBOX].into_iter().find_map(|scheme| name.strip_prefix(scheme)?.rsplit_once('@'));
        let name = at.map_or(name, |(_, domain)| domain);
        domain(name) && suffixes.iter().any(|suffix| below(name, suffix))
    };
    match names.iter().find(|name| !suffixes.is_empty() && !ours(name)) {
        None => Ok(()),
        Some(name) => {
            let wrong =
                format!("the desk may not ask for `{}`, only below {}", text::escape(name), suffixes.join(", "));
            Err(Refused::new(Check::DeskNames, wrong))
        }
    }
}

pub(super) fn judge_possession(request: &Request) -> Result<(), Refused> {
    request.verify_possession().map_err(|e| match e {
        Error::SignatureAlgorithm { .. } | Error::AlgorithmOfKey { .. } => Refused::new(Check::SignatureAlgorithm, e),
        other => Refused::new(Check::ProofOfPossession, other),
    })
}

/// A Name of one commonName in UTF8String. [`names::MAX_COMMON_NAME`] keeps every length in one octet.
fn subject(name: &str) -> Vec<u8> {
    let wrap = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
        [&[tag, length], content].concat()
    };
    let attribute = [b"\x06\x03\x55\x04\x03".to_vec(), wrap(0x0c, name.as_bytes())].concat();
    wrap(0x30, &wrap(0x31, &wrap(0x30, &attribute)))
}
