//! The ceremony: an ordered list of acts and human steps.

use std::path::Path;

use super::hierarchy::Hierarchy;
use super::line::{plain, plain_line};
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
    /// Makes the key pair with this id.
    GenerateKey { key: String },
    /// Issues the self-signed certificate of this CA.
    Root { ca: String },
    /// Issues the certificate of this CA under its issuer.
    Intermediate { ca: String },
    /// Issues a full CRL of this CA.
    Crl { ca: String },
    /// Something people do; the machine shows the text.
    Step { text: String },
}

impl Ceremony {
    /// Reads and judges a ceremony file against its hierarchy.
    pub fn load(path: &Path, hierarchy: &Hierarchy) -> Result<Ceremony, Error> {
        Ceremony::parse(&read_text(path)?, hierarchy)
    }

    /// Judges the text of a ceremony file.
    pub fn parse(text: &str, hierarchy: &Hierarchy) -> Result<Ceremony, Error> {
        let raw: raw::Ceremony = from_toml(text)?;
        if raw.format != FORMAT {
            return Err(field("format", format!("this program reads `{FORMAT}`")));
        }
        plain_line("title", &raw.title, 128)?;
        let mut acts: Vec<Act> = Vec::new();
        for (i, act) in raw.act.into_iter().enumerate() {
            let act = judge(act, &format!("act[{i}]"), hierarchy)?;
            if !matches!(act, Act::Step { .. }) && acts.contains(&act) {
                return Err(field(format!("act[{i}]"), "stands twice in this ceremony"));
            }
            acts.push(act);
        }
        if acts.is_empty() {
            return Err(field("act", "a ceremony has at least one act"));
        }
        Ok(Ceremony { title: raw.title, acts })
    }
}

fn judge(act: raw::Act, at: &str, hierarchy: &Hierarchy) -> Result<Act, Error> {
    let raw::Act { kind, key, ca, text } = act;
    let only = |wanted: &str| {
        let given = [("key", key.is_some()), ("ca", ca.is_some()), ("text", text.is_some())];
        match given.iter().find(|(name, given)| *given != (*name == wanted)) {
            Some((name, true)) => Err(field(format!("{at}.{name}"), format!("does not belong to `{kind}`"))),
            Some((name, false)) => Err(field(format!("{at}.{name}"), format!("`{kind}` needs it"))),
            None => Ok(()),
        }
    };
    let known_ca = |ca: &Option<String>| -> Result<String, Error> {
        let id = ca.clone().unwrap_or_default();
        match hierarchy.ca(&id) {
            Some(_) => Ok(id),
            None => Err(field(format!("{at}.ca"), "names a CA that the hierarchy does not declare")),
        }
    };
    match kind.as_str() {
        "generate-key" => {
            only("key")?;
            let key = key.clone().unwrap_or_default();
            match hierarchy.key(&key) {
                Some(_) => Ok(Act::GenerateKey { key }),
                None => Err(field(format!("{at}.key"), "names a key that the hierarchy does not declare")),
            }
        }
        "root" | "intermediate" => {
            only("ca")?;
            let ca = known_ca(&ca)?;
            let is_root = hierarchy.ca(&ca).is_some_and(|c| c.is_root());
            match (kind.as_str(), is_root) {
                ("root", true) => Ok(Act::Root { ca }),
                ("intermediate", false) => Ok(Act::Intermediate { ca }),
                ("root", false) => Err(field(format!("{at}.ca"), "has another issuer; use `intermediate`")),
                _ => Err(field(format!("{at}.ca"), "is its own issuer; use `root`")),
            }
        }
        "crl" => {
            only("ca")?;
            Ok(Act::Crl { ca: known_ca(&ca)? })
        }
        "step" => {
            only("text")?;
            let text = text.clone().unwrap_or_default();
            if text.is_empty() || text.len() > MAX_STEP {
                return Err(field(format!("{at}.text"), format!("must have 1 to {MAX_STEP} octets")));
            }
            text.lines().try_for_each(|line| plain(&format!("{at}.text"), line))?;
            Ok(Act::Step { text })
        }
        _ => Err(field(format!("{at}.kind"), "must be generate-key, root, intermediate, crl or step")),
    }
}
