//! A specimen of what a profile makes: its CA and a requester get throw-away keys, and then it takes the road of every certificate,
//! request, judgement, bytes, signature. Nothing of it is kept, and nobody else's key has ever signed anything of it.

use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::config::{Base, Ca, DnType, Hierarchy, NameBase, NameForm, Profile, Rule};
use crate::digest::Digest;
use crate::plan::KeyRef;
use crate::policy::{self, CaContext, IssuerFacts, KeyFacts, Known, LeafContext, NameFacts, RequestRow, Seen, Vouched};
use crate::x509::fields::{CertFields, Constraints, GeneralName, OtherExtension, Subtree};
use crate::x509::{PublicKey, TLS_FEATURE};
use crate::{tbs, text};

use super::issuers::{ca_key, key_ref};
use super::throw_away::ThrowAway;
use super::{Draw, Error, certificate_bytes, refused};

/// A certificate by throw-away keys.
pub struct Specimen {
    /// The CA that it is of, or that issues it.
    pub ca: String,
    pub fields: CertFields,
    pub der: Vec<u8>,
}

/// Makes a specimen dated `now`: for an end-entity profile of a request for each form of name that it takes, for a CA profile of the
/// first CA that has it. `None`: no CA has it.
pub fn specimen(
    hierarchy: &Hierarchy,
    profile: &Profile,
    now: i64,
    draw: &mut Draw,
) -> Result<Option<Specimen>, Error> {
    let ca = match &profile.issuer {
        Some(issuer) => hierarchy.ca(issuer),
        None => hierarchy.cas.iter().find(|ca| ca.profile == profile.id),
    };
    let Some(ca) = ca else { return Ok(None) };
    let mut chain = vec![ca];
    while let Some(above) = chain.last().filter(|ca| !ca.is_root()).and_then(|ca| hierarchy.ca(&ca.issuer)) {
        chain.push(above);
    }
    if let Some(ca) = chain.last().filter(|ca| ca.is_external()) {
        let what = "is certified by an external issuer, of which no specimen is made here";
        return Err(Error::Ca { ca: ca.id.clone(), what });
    }
    let mut seen = Seen::new(&Nobody, []);
    let mut above: Option<Issuer> = None;
    for ca in chain.into_iter().rev() {
        above = Some(certified(hierarchy, ca, above.as_ref(), now, draw, &mut seen)?);
    }
    let Some(issuer) = above else { return Ok(None) };
    if profile.base.is_ca() {
        return Ok(Some(Specimen { ca: ca.id.clone(), fields: issuer.facts.fields().clone(), der: issuer.der }));
    }
    let fields = leaf(ca, profile, &issuer, now, draw, &mut seen)?;
    let der = issuer.signs(&profile.id, &fields)?;
    Ok(Some(Specimen { ca: ca.id.clone(), fields, der }))
}

/// A CA with a throw-away key.
struct Issuer {
    facts: IssuerFacts,
    pair: ThrowAway,
    key: KeyRef,
    der: Vec<u8>,
}

impl Issuer {
    fn signs(&self, id: &str, fields: &CertFields) -> Result<Vec<u8>, Error> {
        signed(&self.pair, &self.key, id, fields)
    }
}

fn signed(pair: &ThrowAway, key: &KeyRef, id: &str, fields: &CertFields) -> Result<Vec<u8>, Error> {
    let tbs = certificate_bytes(fields, key).map_err(|r| refused(id, r))?;
    let signature = pair.sign(fields.signature, &tbs).ok_or(Error::DryRunKey)?;
    Ok(tbs::assemble(&tbs, fields.signature, &signature))
}

fn certified(
    hierarchy: &Hierarchy,
    ca: &Ca,
    above: Option<&Issuer>,
    now: i64,
    draw: &mut Draw,
    seen: &mut Seen<'_>,
) -> Result<Issuer, Error> {
    // A key elsewhere is of a kind that its request will show.
    let algorithm = hierarchy.key(&ca.key).map_or(KeyAlgorithm::EcdsaP256, |key| key.algorithm);
    let pair = ThrowAway::generate(algorithm).ok_or(Error::DryRunKey)?;
    let spki = Bytes::from(pair.spki().ok_or(Error::DryRunKey)?);
    let key = key_ref(&ca.id, "", "", &Bytes::from(Vec::new()), algorithm, &spki);
    let profile = hierarchy.profile(&ca.profile);
    let profile = profile.ok_or(Error::Ca { ca: ca.id.clone(), what: "names no declared profile" })?;
    let (subject, constraints) = (tbs::name(&ca.subject), tbs::constraints(&ca.limits));
    let issuer = above.map(|above| &above.facts);
    let context = CaContext {
        profile,
        ca,
        subject: &subject,
        constraints: &constraints,
        key: ca_key(&key),
        issuer,
        sign_from: now,
    };
    let fields = policy::ca_fields(&context, draw.serial(), seen).map_err(|r| refused(&ca.id, r))?;
    let facts = IssuerFacts::planned(&fields, issuer, ca, &subject, ca_key(&key)).map_err(|r| refused(&ca.id, r))?;
    let der = match above {
        Some(above) => above.signs(&ca.id, &fields)?,
        None => signed(&pair, &key, &ca.id, &fields)?,
    };
    Ok(Issuer { facts, pair, key, der })
}

fn leaf(
    ca: &Ca,
    profile: &Profile,
    issuer: &Issuer,
    now: i64,
    draw: &mut Draw,
    seen: &mut Seen<'_>,
) -> Result<CertFields, Error> {
    let asked = Asked::of(ca, profile);
    let algorithm = profile.keys.first().copied().unwrap_or(KeyAlgorithm::EcdsaP256);
    let pair = ThrowAway::generate(algorithm).ok_or(Error::DryRunKey)?;
    let spki = pair.spki().ok_or(Error::DryRunKey)?;
    let encode =
        |cause| Error::Encode { what: format!("specimen of the profile `{}`", text::escape(&profile.id)), cause };
    let issued = issuer.facts.fields();
    let like = CertFields {
        subject: Bytes::from(asked.subject.as_slice()),
        spki: Bytes::from(spki.as_slice()),
        ca: None,
        key_usage: 0,
        eku: vec![],
        ski: None,
        aki: None,
        crl_urls: vec![],
        issuer_urls: vec![],
        policies: vec![],
        constraints: Constraints::default(),
        critical: if asked.subject == [0x30, 0] { vec!["2.5.29.17".into()] } else { vec![] },
        san: asked.san,
        others: asked.extensions,
        ..issued.clone()
    };
    let info = tbs::end_entity_request(&like).map_err(encode)?;
    let signature = pair.sign(algorithm.signs_with(), &info).ok_or(Error::DryRunKey)?;
    let csr = tbs::assemble(&info, algorithm.signs_with(), &signature);
    // Nobody vouches for names that are nobody's.
    let unvouched = Profile { validators: 0, ..profile.clone() };
    let context = LeafContext { profile: &unvouched, issuer: &issuer.facts, sign_from: now };
    let row = RequestRow {
        id: "specimen",
        csr: &csr,
        validated: &asked.validated,
        requester: Digest::of(b"specimen"),
        suffixes: &[],
        vouched: &Vouched::default(),
        ceded: &[],
    };
    policy::judge_request(&context, &row, draw.serial(), seen).map_err(|r| refused(&ca.id, r))
}

/// What the specimen's request asks for.
struct Asked {
    subject: Vec<u8>,
    san: Vec<GeneralName>,
    extensions: Vec<OtherExtension>,
    /// The same names as the desk's table has them.
    validated: Vec<String>,
}

impl Asked {
    /// One name of each form that the profile takes, below a domain that the CA may certify, as far as its first permitted name says.
    fn of(ca: &Ca, profile: &Profile) -> Asked {
        let permitted = ca.limits.permitted.iter().find_map(|base| match base {
            NameBase::Plain(Subtree::Dns(name)) if !name.is_empty() => Some(name.clone()),
            _ => None,
        });
        let host = format!("specimen.{}", permitted.unwrap_or("example.org".into()));
        let (mailbox, urn, id) = (format!("juliet@{host}"), "urn:example:specimen", "specimen-1");
        let wants = |rule: Option<&Rule>| matches!(rule, Some(Rule::Taken | Rule::Needed));
        let takes = |form| wants(profile.names.get(&form));
        let mut asked = Asked { subject: vec![0x30, 0], san: vec![], extensions: vec![], validated: vec![] };
        let mut ask = |name: GeneralName, validated: String| {
            asked.san.push(name);
            asked.validated.push(validated);
        };
        if takes(NameForm::Dns) {
            ask(GeneralName::Dns(host.clone()), host.clone());
        }
        if takes(NameForm::Wildcard) {
            ask(GeneralName::Dns(format!("*.{host}")), format!("*.{host}"));
        }
        if takes(NameForm::Srv) {
            ask(GeneralName::Srv(format!("_xmpp-server.{host}")), host.clone());
        }
        match profile.base {
            Base::XmppServer if takes(NameForm::XmppAddr) => ask(GeneralName::XmppAddr(host.clone()), host.clone()),
            _ if takes(NameForm::XmppAddr) => ask(GeneralName::XmppAddr(mailbox.clone()), format!("xmpp:{mailbox}")),
            _ => {}
        }
        // An address for documentation is none of the public Internet.
        if takes(NameForm::Ip) && !(ca.cabf() && profile.names.get(&NameForm::Ip) == Some(&Rule::Taken)) {
            ask(GeneralName::Ip(Bytes::from(vec![192, 0, 2, 1])), "192.0.2.1".into());
        }
        if takes(NameForm::Mail) {
            ask(GeneralName::Email(mailbox.clone()), format!("mailto:{mailbox}"));
        }
        if takes(NameForm::Uri) {
            ask(GeneralName::Uri(urn.into()), urn.into());
        }
        if takes(NameForm::Id) {
            asked.subject = tbs::name(&[vec![(DnType::CommonName, id.into())]]);
            asked.validated.push(id.into());
        }
        if wants(profile.extensions.get(TLS_FEATURE)) {
            asked.extensions.push(OtherExtension::must_staple());
        }
        asked
    }
}

/// A memory without anything in it.
struct Nobody;

impl Known for Nobody {
    fn key(&self, _: &Digest) -> Option<KeyFacts> {
        None
    }

    fn name(&self, _: &str) -> Option<NameFacts> {
        None
    }

    fn blocked(&self, _: &PublicKey) -> Option<String> {
        None
    }

    fn serial_known(&self, _: &[u8]) -> bool {
        false
    }
}
