//! Profiles: data that inherits from the built-in ones (`builtin.toml`) or from other declared ones.

mod fields;
mod validity;

pub(in crate::config) use fields::object_identifier;
pub use validity::Validity;

use std::collections::BTreeMap;

use crate::algorithm::KeyAlgorithm;
use crate::x509::TLS_FEATURE;
use crate::x509::fields::{OtherExtension, Policy};

use super::line::{id, show};
use super::{Error, field, from_toml, raw};

/// What a certificate of this kind looks like.
#[derive(Clone, Debug)]
pub struct Profile {
    pub id: String,
    pub base: Base,
    /// The ids that it inherits from, the built-in one last.
    pub inherits: Vec<String>,
    /// The CA that issues end-entity certificates of this profile; `None` for CA profiles.
    pub issuer: Option<String>,
    /// Validity of end-entity certificates; a CA's stands with the CA.
    pub validity: Validity,
    /// Length of a plan's window.
    pub window_hours: u32,
    pub path_len: Option<u32>,
    /// What becomes of a requested name of each form; a form that does not stand here is refused.
    pub names: BTreeMap<NameForm, Rule>,
    /// What becomes of requested extensions, by dotted identifier; others as `other_extensions` says.
    pub extensions: BTreeMap<String, Rule>,
    pub other_extensions: Rule,
    /// Whether the first name is the subject's commonName too; otherwise the subject is empty.
    pub common_name: bool,
    /// extKeyUsage, dotted.
    pub eku: Vec<String>,
    /// Extensions that every certificate gets, none critical; the TLS feature of must-staple is one.
    pub added: Vec<OtherExtension>,
    pub policies: Vec<Policy>,
    /// The kinds of requested keys that are accepted.
    pub keys: Vec<KeyAlgorithm>,
    pub key_reuse: KeyReuse,
    /// How many validators must vouch for each name; 0: the desk's table is enough.
    pub validators: u32,
    /// How old a validation may be, in days.
    pub validation_days: u32,
}

/// What becomes of something that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Left out, unjudged.
    Ignored,
    /// Judged and put in.
    Taken,
    /// The same, and a request without it is refused.
    Needed,
    /// A request with it is refused.
    Refused,
}

impl Rule {
    pub fn name(self) -> &'static str {
        match self {
            Rule::Ignored => "ignored",
            Rule::Taken => "taken",
            Rule::Needed => "needed",
            Rule::Refused => "refused",
        }
    }

    fn parse(name: &str) -> Option<Rule> {
        [Rule::Ignored, Rule::Taken, Rule::Needed, Rule::Refused].into_iter().find(|rule| rule.name() == name)
    }
}

/// A form of requested name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameForm {
    /// A dNSName that is no wildcard.
    Dns,
    Wildcard,
    /// SRVName (RFC 4985).
    Srv,
    /// A domain or a JID as xmppAddr (RFC 6120 §13.7.1.4).
    XmppAddr,
    Ip,
    /// rfc822Name, or SmtpUTF8Mailbox (RFC 9598).
    Mail,
    Uri,
    /// commonName or serialNumber of the subject.
    Id,
}

impl NameForm {
    const ALL: [NameForm; 8] = [
        NameForm::Dns,
        NameForm::Wildcard,
        NameForm::Srv,
        NameForm::XmppAddr,
        NameForm::Ip,
        NameForm::Mail,
        NameForm::Uri,
        NameForm::Id,
    ];

    pub fn name(self) -> &'static str {
        match self {
            NameForm::Dns => "dns",
            NameForm::Wildcard => "wildcard",
            NameForm::Srv => "srv",
            NameForm::XmppAddr => "xmpp-addr",
            NameForm::Ip => "ip",
            NameForm::Mail => "mail",
            NameForm::Uri => "uri",
            NameForm::Id => "id",
        }
    }
}

/// Whether a key that was certified may be certified again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyReuse {
    Never,
    /// For the same requester and the same names: a renewal.
    SameRequester,
}

/// The built-in profile that a declared one starts from, in the end: it says how names are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    Root,
    Intermediate,
    XmppServer,
    XmppClient,
    TlsServer,
    TlsClient,
    Device,
    CabfTlsDv,
    /// The station's audit key, which signs checkpoints.
    AuditSigner,
    /// A key that signs CRLs and is no CA's.
    CrlSigner,
}

impl Base {
    pub const ALL: [Base; 10] = [
        Base::Root,
        Base::Intermediate,
        Base::XmppServer,
        Base::XmppClient,
        Base::TlsServer,
        Base::TlsClient,
        Base::Device,
        Base::CabfTlsDv,
        Base::AuditSigner,
        Base::CrlSigner,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Base::Root => "root",
            Base::Intermediate => "intermediate",
            Base::XmppServer => "xmpp-server",
            Base::XmppClient => "xmpp-client",
            Base::TlsServer => "tls-server",
            Base::TlsClient => "tls-client",
            Base::Device => "device",
            Base::CabfTlsDv => "cabf-tls-dv",
            Base::AuditSigner => "audit-signer",
            Base::CrlSigner => "crl-signer",
        }
    }

    pub fn is_ca(self) -> bool {
        matches!(self, Base::Root | Base::Intermediate)
    }

    /// Whether its certificates are for keys that are no CA's and no requester's: an act of a ceremony makes them.
    pub fn is_signer(self) -> bool {
        matches!(self, Base::AuditSigner | Base::CrlSigner)
    }

    /// Whether its certificates are for domain names.
    pub fn is_server(self) -> bool {
        matches!(self, Base::XmppServer | Base::TlsServer | Base::CabfTlsDv)
    }

    fn parse(name: &str) -> Option<Base> {
        Base::ALL.into_iter().find(|base| base.name() == name)
    }
}

#[derive(serde::Deserialize)]
struct Builtin {
    profile: Vec<raw::Profile>,
}

impl Profile {
    /// A built-in profile as it is.
    #[cfg(test)]
    pub(crate) fn builtin(base: Base) -> Profile {
        let declared = format!("[[profile]]\nid = '{0}'\nbase = '{0}'", base.name());
        let declared: Builtin = from_toml(&declared).unwrap();
        all(declared.profile).unwrap().remove(0)
    }
}

/// All declared profiles, each with what it inherits. A profile's place is its own even where what is wrong was inherited, but
/// the one it is inherited from is judged first.
pub(super) fn all(declared: Vec<raw::Profile>) -> Result<Vec<Profile>, Error> {
    let builtin: Builtin = from_toml(include_str!("builtin.toml"))?;
    let mut judged: Vec<Option<Profile>> = declared.iter().map(|_| None).collect();
    for start in 0..declared.len() {
        for n in chain(&declared, start)?.into_iter().rev() {
            let (Some(own), Some(place)) = (declared.get(n), judged.get_mut(n)) else { continue };
            if place.is_none() {
                *place = Some(profile(own, &declared, &builtin.profile, &format!("profile[{n}]"))?);
            }
        }
    }
    Ok(judged.into_iter().flatten().collect())
}

/// The declared profile that a `base` names: one's own id means the built-in profile of that name.
fn parent(declared: &[raw::Profile], n: usize) -> Option<usize> {
    let own = declared.get(n)?;
    declared.iter().position(|other| other.id == own.base).filter(|_| own.base != own.id)
}

/// A declared profile and those above it.
fn chain(declared: &[raw::Profile], n: usize) -> Result<Vec<usize>, Error> {
    let mut chain = vec![n];
    while let Some(next) = chain.last().and_then(|n| parent(declared, *n)) {
        if chain.contains(&next) {
            return Err(field(format!("profile[{n}].base"), "runs in a circle and reaches no built-in profile"));
        }
        chain.push(next);
    }
    Ok(chain)
}

/// What a profile says itself, then what those above it say.
fn inherited(own: &raw::Profile, above: &raw::Profile) -> raw::Profile {
    let maps = |own: &BTreeMap<String, String>, above: &BTreeMap<String, String>| {
        above.iter().chain(own).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let (own_, above_) = (own.clone(), above.clone());
    // Two ways to say one thing: whichever a profile uses itself stands.
    let timed = own.days.is_some() || own.validity.is_some();
    raw::Profile {
        id: own_.id,
        base: above_.base,
        issuer: own_.issuer.or(above_.issuer),
        days: own_.days.or(above_.days.filter(|_| !timed)),
        validity: own_.validity.or(above_.validity.filter(|_| !timed)),
        window_hours: own_.window_hours.or(above_.window_hours),
        path_len: own_.path_len.or(above_.path_len),
        names: maps(&own.names, &above.names),
        extensions: maps(&own.extensions, &above.extensions),
        common_name: own_.common_name.or(above_.common_name),
        eku: own_.eku.or(above_.eku),
        must_staple: own_.must_staple.or(above_.must_staple),
        added_extensions: own_.added_extensions.or(above_.added_extensions),
        policies: own_.policies.or(above_.policies),
        keys: own_.keys.or(above_.keys),
        key_reuse: own_.key_reuse.or(above_.key_reuse),
        validators: own_.validators.or(above_.validators),
        validation_days: own_.validation_days.or(above_.validation_days),
    }
}

fn profile(
    own: &raw::Profile,
    declared: &[raw::Profile],
    builtin: &[raw::Profile],
    at: &str,
) -> Result<Profile, Error> {
    id(&own.id, at)?;
    let mut merged = own.clone();
    let mut inherits = Vec::new();
    while let Some(above) = declared.iter().find(|other| other.id == merged.base && other.id != merged.id) {
        // The chain is no circle: `all` has walked it.
        inherits.push(above.id.clone());
        merged = raw::Profile { id: above.id.clone(), ..inherited(&merged, above) };
    }
    let Some(built) = builtin.iter().find(|built| built.id == merged.base) else {
        let known = Base::ALL.map(Base::name).join(", ");
        return Err(field(format!("{at}.base"), format!("is the id of no other profile, nor one of {known}")));
    };
    let base = Base::parse(&built.base).ok_or_else(|| field(format!("{at}.base"), "is no built-in profile"))?;
    fields_of_base(&merged, built, base, at)?;
    let merged = inherited(&merged, built);
    inherits.push(format!("the built-in {}", base.name()));
    Ok(Profile { inherits, ..judged(merged, own.id.clone(), base, at)? })
}

/// What a profile may say depends on what it is for.
fn fields_of_base(p: &raw::Profile, built: &raw::Profile, base: Base, at: &str) -> Result<(), Error> {
    let (leaf, ca) = ("belongs to end-entity profiles; a CA has its own days, key and names", "belongs to CA profiles");
    let servers = "belongs to profiles based on xmpp-server, tls-server, xmpp-client or cabf-tls-dv";
    let named = base.is_server() || base == Base::XmppClient;
    let asked = !base.is_ca() && !base.is_signer();
    let leaf = if base.is_signer() { "belongs to profiles for requests; a signer is named by its act" } else { leaf };
    for (name, stands, fits, message) in [
        ("path-len", p.path_len.is_some(), base.is_ca(), ca),
        ("days", p.days.is_some(), !base.is_ca(), leaf),
        ("validity", p.validity.is_some(), asked, leaf),
        ("names", !p.names.is_empty(), asked, leaf),
        ("extensions", !p.extensions.is_empty(), asked, leaf),
        ("eku", p.eku.is_some(), asked, leaf),
        ("must-staple", p.must_staple.is_some(), base.is_server(), "belongs to profiles of servers"),
        ("added-extensions", p.added_extensions.is_some(), asked, leaf),
        ("keys", p.keys.is_some(), !base.is_ca(), leaf),
        ("key-reuse", p.key_reuse.is_some(), asked, leaf),
        ("validators", p.validators.is_some(), asked, leaf),
        ("validation-days", p.validation_days.is_some(), asked, leaf),
        ("common-name", p.common_name.is_some(), named, servers),
    ] {
        if stands && !fits {
            return Err(field(format!("{at}.{name}"), message));
        }
    }
    match p.names.keys().find(|form| !built.names.contains_key(*form)) {
        None => Ok(()),
        Some(form) => {
            let known: Vec<&str> = built.names.keys().map(String::as_str).collect();
            let message = format!("is no form of name that `{}` knows: {}", base.name(), known.join(", "));
            Err(field(format!("{at}.names.{}", show(form)), message))
        }
    }
}

/// The longest validity of an end entity.
const MAX_DAYS: u32 = 3_650;

fn judged(p: raw::Profile, id: String, base: Base, at: &str) -> Result<Profile, Error> {
    let range = |name: &str, value: u32, least: u32, most: u32| match (least..=most).contains(&value) {
        true => Ok(value),
        false => Err(field(format!("{at}.{name}"), format!("must be {least} to {most}"))),
    };
    let key_reuse = match p.key_reuse.as_deref() {
        None | Some("same-requester") => KeyReuse::SameRequester,
        Some("never") => KeyReuse::Never,
        Some(_) => return Err(field(format!("{at}.key-reuse"), "must be `same-requester` or `never`")),
    };
    let path_len = p.path_len.map(|length| range("path-len", length, 0, 255)).transpose()?;
    if p.keys.as_ref().is_some_and(Vec::is_empty) {
        return Err(field(format!("{at}.keys"), "is empty, so every request would be refused"));
    }
    let validity = match (p.days, p.validity.as_deref()) {
        (days, None) => Validity::days(range("days", days.unwrap_or(90), 1, MAX_DAYS)?),
        (None, Some(text)) => {
            Validity::parse(text).filter(|validity| *validity <= Validity::days(MAX_DAYS)).ok_or_else(|| {
                field(format!("{at}.validity"), "must be hours or days such as \"36h\" or \"90d\", at most 3650 days")
            })?
        }
        (Some(_), Some(_)) => return Err(field(format!("{at}.validity"), "stands beside `days`; one of the two")),
    };
    let (extensions, other_extensions) = fields::extensions(&p.extensions, at)?;
    let profile = Profile {
        id,
        base,
        inherits: Vec::new(),
        issuer: p.issuer,
        validity,
        window_hours: range("window-hours", p.window_hours.unwrap_or(7 * 24), 1, 31 * 24)?,
        path_len,
        names: fields::names(&p.names, base, at)?,
        extensions,
        other_extensions,
        common_name: p.common_name.unwrap_or(false),
        eku: fields::purposes(p.eku, base, at)?,
        added: fields::added(p.must_staple.unwrap_or(false), p.added_extensions.unwrap_or_default(), at)?,
        policies: fields::policies(p.policies.unwrap_or_default(), &format!("{at}.policies"))?,
        keys: fields::leaf_keys(p.keys, at)?,
        key_reuse,
        validators: p.validators.unwrap_or(0),
        validation_days: range("validation-days", p.validation_days.unwrap_or(200), 1, 3_650)?,
    };
    let staples = profile.added.iter().any(|extension| extension.oid == TLS_FEATURE);
    if staples && profile.extensions.contains_key(TLS_FEATURE) {
        let message = "contradicts `must-staple`, by which every certificate has the extension";
        return Err(field(format!("{at}.extensions.tls-feature"), message));
    }
    Ok(profile)
}
