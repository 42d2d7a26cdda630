//! The ceremony: an ordered list of acts and human steps.

use std::path::Path;

use crate::x509::fields::{REASONS, reason_code};

use super::foreign::foreign;
use super::hierarchy::{Ca, Hierarchy};
use super::line::{ascii_line, plain, plain_line};
use super::name::Rdn;
use super::parse::read_text;
use super::{Error, field, from_toml, raw};

/// The first line of every ceremony file: `format = "coldroot-ceremony-v0"`.
pub const FORMAT: &str = "coldroot-ceremony-v0";

/// The longest text of one step, in octets: more than fits on a page is no step.
const MAX_STEP: usize = 4096;

/// A reviewed script. Made only by [`Ceremony::parse`], so every CA and key in it is declared in the hierarchy.
pub struct Ceremony {
    pub title: String,
    pub acts: Vec<Act>,
}

/// One step of a ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Makes the key pair, or the wrapping key, with this id.
    GenerateKey { key: String },
    /// Issues the self-signed certificate of this CA.
    Root { ca: String },
    /// Issues the certificate of this CA under its issuer.
    Intermediate { ca: String },
    /// Issues the certificate of this CA, whose key is elsewhere, for its own request.
    Certify { ca: String, request: Outside },
    /// Issues another certificate for a CA that has one.
    Cross(Box<Cross>),
    /// Makes the request of this CA, which an external issuer certifies.
    Csr { ca: String },
    /// Issues a certificate for a key that is no CA's and no requester's.
    Signer(Box<Signer>),
    /// Issues a full CRL of this CA.
    Crl { ca: String },
    /// Revokes a certificate that this CA issued; the CA's next CRL stands in the same plan. `serial` is the content octets
    /// of the INTEGER, `reason` the reasonCode.
    Revoke { ca: String, serial: Vec<u8>, reason: Option<u8> },
    /// Has a key that is on record sign a text of the plan's own: it is there and works.
    KeyProof { key: String },
    /// Wraps a key that is on record.
    BackupKey { key: String },
    /// Brings a key that is on record back from its newest backup.
    RestoreKey { key: String },
    /// Destroys a key that is on record. `even_though`: why, though certificates of its CA are in force.
    DestroyKey { key: String, even_though: Option<String> },
    /// Something people do; the machine shows the text.
    Step { text: String },
}

/// A certificate for a CA that has one, by a CA of this hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cross {
    /// The id of what comes of it; none of a CA of the hierarchy.
    pub id: String,
    /// The CA that issues.
    pub ca: String,
    pub certificate: Outside,
    /// That of its issuer; `None` for a self-signed one.
    pub issuer_certificate: Option<Outside>,
    /// The CA of this hierarchy that is crossed.
    pub subject_ca: Option<String>,
    pub profile: String,
    pub days: u32,
    /// Dotted purposes; empty: those of the certificate.
    pub eku: Vec<String>,
}

/// A certificate for a signer of checkpoints or CRLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The id by which plan and log know it, as they know requests.
    pub id: String,
    /// The CA that issues: the profile's.
    pub ca: String,
    pub profile: String,
    pub subject: Vec<Rdn>,
    pub key: SignerKey,
}

/// Which key a signer's certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerKey {
    /// The station's audit key, as the log names it.
    Audit,
    /// A declared key that no CA has, by its id.
    Token(String),
    /// The key of a request from outside.
    Request(Outside),
}

/// A file that an act names, relative to the ceremony's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    pub path: String,
    /// What it holds; `None` where the ceremony was not read from a file.
    pub octets: Option<Vec<u8>>,
}

/// A request or certificate in PEM is no longer than this.
pub(super) const MAX_OUTSIDE: u64 = 128 << 10;

impl Act {
    /// The files that the act names.
    pub fn outside(&self) -> Vec<&Outside> {
        match self {
            Act::Certify { request, .. } => vec![request],
            Act::Signer(signer) => match &signer.key {
                SignerKey::Request(request) => vec![request],
                SignerKey::Audit | SignerKey::Token(_) => Vec::new(),
            },
            Act::Cross(cross) => {
                [Some(&cross.certificate), cross.issuer_certificate.as_ref()].into_iter().flatten().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The key on record that the act is about, for acts on such keys.
    pub fn on_key(&self) -> Option<&str> {
        match self {
            Act::KeyProof { key } | Act::BackupKey { key } | Act::RestoreKey { key } | Act::DestroyKey { key, .. } => {
                Some(key)
            }
            _ => None,
        }
    }
}

impl Ceremony {
    /// Reads and judges a ceremony file against its hierarchy.
    pub fn load(path: &Path, hierarchy: &Hierarchy) -> Result<Ceremony, Error> {
        let dir = path.parent().unwrap_or(Path::new(""));
        Ceremony::judged(&read_text(path)?, hierarchy, Some(dir))
    }

    /// Judges the text of a ceremony file; the files that it names are not read.
    pub fn parse(text: &str, hierarchy: &Hierarchy) -> Result<Ceremony, Error> {
        Ceremony::judged(text, hierarchy, None)
    }

    fn judged(text: &str, hierarchy: &Hierarchy, dir: Option<&Path>) -> Result<Ceremony, Error> {
        let raw: raw::Ceremony = from_toml(text)?;
        if raw.format != FORMAT {
            return Err(field("format", format!("this program reads `{FORMAT}`")));
        }
        plain_line("title", &raw.title, 128)?;
        let acts = raw.act.into_iter().enumerate();
        let acts =
            acts.map(|(i, act)| judge(act, &format!("act[{i}]"), hierarchy, dir)).collect::<Result<Vec<_>, _>>()?;
        Ceremony::of(&raw.title, acts, hierarchy)
    }

    /// A ceremony that no file holds: each act stands once, and its CAs are declared.
    pub fn of(title: &str, acts: Vec<Act>, hierarchy: &Hierarchy) -> Result<Ceremony, Error> {
        for (i, act) in acts.iter().enumerate() {
            let ca = match act {
                Act::Crl { ca } | Act::Revoke { ca, .. } | Act::Root { ca } | Act::Intermediate { ca } => Some(ca),
                Act::Certify { ca, .. } | Act::Csr { ca } => Some(ca),
                Act::Cross(cross) => Some(&cross.ca),
                Act::Signer(signer) => Some(&signer.ca),
                _ => None,
            };
            if ca.is_some_and(|ca| hierarchy.ca(ca).is_none()) {
                return Err(field(format!("act[{i}].ca"), "names a CA that the hierarchy does not declare"));
            }
            if !matches!(act, Act::Step { .. }) && acts.iter().take(i).any(|other| other == act) {
                return Err(field(format!("act[{i}]"), "stands twice in this ceremony"));
            }
        }
        check_acts_on_keys(&acts)?;
        if acts.is_empty() {
            return Err(field("act", "a ceremony has at least one act"));
        }
        Ok(Ceremony { title: title.into(), acts })
    }
}

/// Acts on keys that exist are planned by the public halves on record, before anything else that the ceremony would make; so
/// they stand alone, each key once.
fn check_acts_on_keys(acts: &[Act]) -> Result<(), Error> {
    let Some(first) = acts.iter().find_map(Act::on_key) else { return Ok(()) };
    for (i, act) in acts.iter().enumerate() {
        let at = format!("act[{i}]");
        match act.on_key() {
            None if !matches!(act, Act::Step { .. }) => {
                let message = format!("stands beside an act on the key `{first}`, which needs a ceremony of its own");
                return Err(field(at, message));
            }
            Some(key) if acts.iter().take(i).any(|other| other.on_key() == Some(key)) => {
                return Err(field(format!("{at}.key"), "has an act in this ceremony already"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn judge(act: raw::Act, at: &str, hierarchy: &Hierarchy, dir: Option<&Path>) -> Result<Act, Error> {
    let foreign = foreign(&act, at, hierarchy, dir)?;
    let only = |wanted: &[&str]| only(&act, wanted, at);
    let kind = act.kind.as_str();
    if act.even_though.is_some() && kind != "destroy-key" {
        return Err(field(format!("{at}.even-though"), format!("does not belong to `{kind}`")));
    }
    let ca = || match hierarchy.ca(act.ca.as_deref().unwrap_or_default()) {
        Some(ca) => Ok(ca),
        None => Err(field(format!("{at}.ca"), "names a CA that the hierarchy does not declare")),
    };
    match kind {
        "generate-key" | "key-proof" | "backup-key" | "restore-key" | "destroy-key" => {
            only(&["key"])?;
            on_key(&act, at, hierarchy)
        }
        "signer" => {
            only(if act.key.is_some() { &["key"] } else { &[] })?;
            foreign.ok_or_else(|| field(at, "is no signer"))
        }
        "cross-certificate" => {
            only(&["ca"])?;
            foreign.ok_or_else(|| field(at, "is no cross-certificate"))
        }
        "intermediate" if foreign.is_some() => {
            only(&["ca"])?;
            foreign.ok_or_else(|| field(at, "has no request"))
        }
        "root" | "intermediate" => {
            only(&["ca"])?;
            certified(kind, ca()?, at)
        }
        "csr" => {
            only(&["ca"])?;
            match ca()? {
                ca if ca.is_external() => Ok(Act::Csr { ca: ca.id.clone() }),
                _ => Err(field(format!("{at}.ca"), "is not certified by an external issuer (`issuer = \"external\"`)")),
            }
        }
        "crl" => {
            only(&["ca"])?;
            Ok(Act::Crl { ca: ca()?.id.clone() })
        }
        "revoke" => {
            only(&["ca", "serial", "reason"])?;
            let (serial, reason) = revocation(&act, at)?;
            Ok(Act::Revoke { ca: ca()?.id.clone(), serial, reason })
        }
        "step" => {
            only(&["text"])?;
            let text = act.text.unwrap_or_default();
            if text.is_empty() || text.len() > MAX_STEP {
                return Err(field(format!("{at}.text"), format!("must have 1 to {MAX_STEP} octets")));
            }
            text.lines().try_for_each(|line| plain(&format!("{at}.text"), line))?;
            Ok(Act::Step { text })
        }
        _ => Err(field(
            format!("{at}.kind"),
            "must be generate-key, root, intermediate, cross-certificate, csr, signer, revoke, crl, key-proof, backup-key, restore-key, destroy-key or step",
        )),
    }
}

/// The act has these fields and no others.
fn only(act: &raw::Act, wanted: &[&str], at: &str) -> Result<(), Error> {
    let given = [
        ("key", act.key.is_some()),
        ("ca", act.ca.is_some()),
        ("serial", act.serial.is_some()),
        ("reason", act.reason.is_some()),
        ("text", act.text.is_some()),
    ];
    match given.iter().find(|(name, given)| *given != wanted.contains(name)) {
        Some((name, true)) => Err(field(format!("{at}.{name}"), format!("does not belong to `{}`", act.kind))),
        Some((name, false)) => Err(field(format!("{at}.{name}"), format!("`{}` needs it", act.kind))),
        None => Ok(()),
    }
}

fn on_key(act: &raw::Act, at: &str, hierarchy: &Hierarchy) -> Result<Act, Error> {
    let key = act.key.clone().unwrap_or_default();
    let wraps = act.kind == "generate-key" && hierarchy.wrapping_key(&key).is_some();
    if hierarchy.key(&key).is_none() && !wraps {
        return Err(field(format!("{at}.key"), "names a key that the hierarchy does not declare"));
    }
    if let Some(reason) = &act.even_though {
        ascii_line(&format!("{at}.even-though"), reason, 128)?;
    }
    Ok(match act.kind.as_str() {
        "generate-key" => Act::GenerateKey { key },
        "key-proof" => Act::KeyProof { key },
        "backup-key" => Act::BackupKey { key },
        "restore-key" => Act::RestoreKey { key },
        _ => Act::DestroyKey { key, even_though: act.even_though.clone() },
    })
}

/// `root` or `intermediate`, for a CA whose key this station has.
fn certified(kind: &str, ca: &Ca, at: &str) -> Result<Act, Error> {
    match (kind, ca.is_root()) {
        _ if ca.key_is_elsewhere() => {
            Err(field(format!("{at}.request"), "is missing: the CA's key is elsewhere, so it brings a request"))
        }
        _ if ca.is_external() => {
            let message = "is certified by an external issuer; use `csr`, then `coldroot adopt-certificate`";
            Err(field(format!("{at}.ca"), message))
        }
        ("root", true) => Ok(Act::Root { ca: ca.id.clone() }),
        ("intermediate", false) => Ok(Act::Intermediate { ca: ca.id.clone() }),
        ("root", false) => Err(field(format!("{at}.ca"), "has another issuer; use `intermediate`")),
        _ => Err(field(format!("{at}.ca"), "is its own issuer; use `root`")),
    }
}

/// Serial number and reason of a revocation.
fn revocation(act: &raw::Act, at: &str) -> Result<(Vec<u8>, Option<u8>), Error> {
    let serial = revoked_serial(act.serial.as_deref().unwrap_or_default())
        .ok_or_else(|| field(format!("{at}.serial"), "is no serial number in hex, such as 01f3c9 or 01:f3:c9"))?;
    let reason = reason_code(act.reason.as_deref().unwrap_or_default()).ok_or_else(|| {
        let known: Vec<&str> = REASONS.iter().map(|(_, name)| *name).collect();
        field(format!("{at}.reason"), format!("must be unspecified, {}", known.join(", ")))
    })?;
    Ok((serial, reason))
}

/// A serial number as tools print it, in hex with or without colons: its content octets, of which there are 1 to 20
/// (RFC 5280 §4.1.2.2).
pub fn revoked_serial(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let octets = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    let lawful = (1..=20).contains(&octets.len()) && octets.first().is_some_and(|first| *first < 0x80);
    lawful.then_some(octets)
}
