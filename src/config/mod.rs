//! `hierarchy.toml` and `ceremony.toml`: strict parsing into domain types. An unknown field is an error that names its
//! path; a value that contradicts another is an error that names both.

mod authority;
pub mod cabf;
mod ceremony;
mod foreign;
mod hierarchy;
mod limits;
mod line;
mod linter;
mod name;
mod parse;
mod pin;
mod profile;
mod raw;
mod references;
mod roster;
mod rules;
mod signer;
mod token;
mod uri;

pub use ceremony::{Act, Ceremony, Cross, FORMAT as CEREMONY_FORMAT, Outside, Signer, SignerKey, revoked_serial};
pub use hierarchy::*;
pub use limits::{Limits, NameBase};
#[cfg(feature = "station")]
pub(crate) use line::plain_line;
pub use linter::{AcceptedFinding, Judges, Linter, LinterForm, is_finding};
pub use name::{DnType, Rdn};
pub use pin::{PinEntry, PinForm};
pub use profile::*;
pub use rules::RuleSet;
pub use uri::{KeyUri, TokenUri};

/// Why a hierarchy or ceremony file is not usable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}: {cause}")]
    Read { path: String, cause: std::io::Error },
    #[error("{path} is larger than {limit} octets")]
    TooLarge { path: String, limit: u64 },
    #[error("at `{field}`: {message}")]
    Field { field: String, message: String },
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Read { .. } => Some("name the station with --station DIR".into()),
            Error::TooLarge { .. } => Some("give the right file".into()),
            Error::Field { .. } => {
                Some("ceremony-scripts/hierarchy.example.toml explains each field and its values".into())
            }
        }
    }
}

pub(crate) fn field(path: impl Into<String>, message: impl Into<String>) -> Error {
    Error::Field { field: path.into(), message: message.into() }
}

/// Parses TOML strictly; the error names the path of the field (`ca[1].subject`).
pub(crate) fn from_toml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    // What is no TOML has no path yet: its line says where it is.
    let line =
        |e: &toml::de::Error| 1 + text.bytes().take(e.span().map_or(0, |s| s.start)).filter(|c| *c == b'\n').count();
    let deserializer = toml::Deserializer::parse(text).map_err(|e| field(format!("line {}", line(&e)), e.message()))?;
    serde_path_to_error::deserialize(deserializer)
        .map_err(|e| field(e.path().to_string(), e.inner().message().to_string()))
}
