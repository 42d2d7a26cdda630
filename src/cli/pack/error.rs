//! Why nothing was packed.

use std::path::PathBuf;

use crate::bundle::{self, NotARequest, table};
use crate::config;
use crate::prepare;
use crate::text::escape;

/// Why nothing was packed. Nothing is left behind after any of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Hierarchy(#[from] config::Error),
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    #[error("the hierarchy knows no desk `{}`", escape(desk))]
    UnknownDesk { desk: String, known: Vec<String> },
    #[error("request `{request}` wants the profile `{}`, which the desk `{desk}` may not use", escape(profile))]
    Profile { request: String, profile: String, desk: String },
    #[error("{}, line {line}: the profile `{}` is not declared in the hierarchy", shown(path), escape(profile))]
    UnknownProfile { path: PathBuf, line: u64, profile: String },
    #[error("{}, line {line}: the desk `{desk}` may not use the profile `{profile}`", shown(path))]
    TableProfile { path: PathBuf, line: u64, profile: String, desk: String },
    #[error("cannot read {}: {cause}", shown(path))]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{} is not a regular file", shown(path))]
    NotRegular { path: PathBuf },
    #[error("{} has more than {limit} octets", shown(path))]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("there is no requests.csv and no requests.toml in {}", shown(dir))]
    NoTable { dir: PathBuf },
    #[error("there are both a requests.csv and a requests.toml in {}", shown(dir))]
    TwoTables { dir: PathBuf },
    #[error("{} is called neither .csv nor .toml", shown(path))]
    TableKind { path: PathBuf },
    #[error("{}, {cause}", shown(path))]
    Table { path: PathBuf, cause: table::Error },
    #[error("{}, {cause}", shown(path))]
    Revocations { path: PathBuf, cause: table::Error },
    #[error("the list {} {cause}", shown(path))]
    List { path: PathBuf, cause: prepare::ListError },
    #[error("{} is not text", shown(path))]
    NotText { path: PathBuf },
    #[error("{}, line {line}: request `{request}` has no file in {}", shown(table), shown(dir))]
    MissingFile { table: PathBuf, line: u64, request: String, dir: PathBuf },
    #[error("{}, line {line}: request `{request}` has several files: {}", shown(table), escape(&files.join(", ")))]
    ManyFiles { table: PathBuf, line: u64, request: String, files: Vec<String> },
    #[error("{} of {} stands in no line of {}{}", escape(file), shown(dir), shown(table), more(*others))]
    Unlisted { table: PathBuf, dir: PathBuf, file: String, others: usize },
    #[error("{} {cause}", shown(path))]
    Request { path: PathBuf, cause: NotARequest },
    #[error("{} holds no checkpoint", shown(path))]
    NoCheckpoint { path: PathBuf },
    #[error("{} is no checkpoint of an audit log", shown(path))]
    NotACheckpoint { path: PathBuf },
    #[error("{} is a checkpoint of the log `{}`; this hierarchy's is `{wanted}`", shown(path), escape(found))]
    OtherLog { path: PathBuf, wanted: String, found: String },
    #[error("{} exists already", shown(path))]
    Exists { path: PathBuf },
    #[error("cannot write {}: {cause}", shown(path))]
    Write { path: PathBuf, cause: std::io::Error },
    #[error("the key {} can be read by others (mode {mode:04o})", shown(path))]
    KeyMode { path: PathBuf, mode: u32 },
    #[error("ssh-keygen is not installed")]
    NoSshKeygen,
    #[error("cannot run ssh-keygen: {0}")]
    RunSshKeygen(std::io::Error),
    #[error("ssh-keygen did not sign with {}: {}", shown(key), escape(said))]
    NotSigned { key: PathBuf, said: String },
    #[error("what ssh-keygen wrote is no signature: {0}")]
    Armor(String),
    #[error("the key {} ({fingerprint}) is none of the desk `{desk}`'s keys in the hierarchy", shown(key))]
    NotTheDesksKey { key: PathBuf, fingerprint: String, desk: String },
    #[error("the new signature does not verify with the desk's key {fingerprint}: {cause}")]
    BadSignature { fingerprint: String, cause: ssh_key::Error },
    #[error("this machine's clock stands before 1970")]
    Clock,
    #[error("the operating system gives no random numbers")]
    Random,
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Hierarchy(e) => return e.hint(),
            Error::Bundle(e) => return e.hint(),
            Error::UnknownDesk { known, .. } if known.is_empty() => "declare it in the hierarchy as [[desk]]".into(),
            Error::UnknownDesk { known, .. } => format!("--desk is one of: {}", known.join(", ")),
            Error::Profile { .. } | Error::TableProfile { .. } => {
                "the desk's `profiles` in the hierarchy say what it may ask for".into()
            }
            Error::UnknownProfile { .. } => "the hierarchy's [[profile]] sections are what there is".into(),
            Error::Read { .. } => "look at the path and the permissions".into(),
            Error::NotRegular { .. } => "give a regular file, or take it out of the directory".into(),
            Error::TooLarge { limit, .. } if *limit == bundle::limits::LIST => {
                "have the validator split the list over several files, and give each with --validations".into()
            }
            Error::TooLarge { .. } => "split it, or take it out of the directory".into(),
            Error::NoTable { .. } | Error::TwoTables { .. } => "say which table it is: --table FILE".into(),
            Error::TableKind { .. } => "a table is CSV (.csv) or TOML (.toml)".into(),
            Error::Table { .. } => {
                format!("the columns are {}; names are separated by spaces", table::COLUMNS.join(","))
            }
            Error::Revocations { .. } => format!("the columns are {}", table::REVOCATION_COLUMNS.join(",")),
            Error::List { cause, .. } => return cause.hint(),
            Error::NotText { .. } => "ssh-keygen -Y sign writes it beside the list".into(),
            Error::MissingFile { request, .. } => format!("it is called {request}.pem, .der, .csr or .req"),
            Error::ManyFiles { .. } => "leave the one that the validator has seen".into(),
            Error::Unlisted { .. } => "add its line to the table, or take the file out of the directory".into(),
            Error::Request { cause, .. } => cause.hint(),
            Error::NoCheckpoint { .. } | Error::NotACheckpoint { .. } => {
                "--answers is the directory of the last release, or the file `checkpoint` in its log/".into()
            }
            Error::OtherLog { .. } => "this release is another station's".into(),
            Error::Exists { .. } => "nothing is written over: choose another --out".into(),
            Error::Write { .. } => "look at the directory, its free space and permissions".into(),
            Error::KeyMode { path, .. } => format!("chmod 600 {}", shown(path)),
            Error::NoSshKeygen => "apt-get install openssh-client".into(),
            Error::RunSshKeygen(_) => return None,
            Error::NotSigned { key, .. } => format!("try the key by hand: ssh-keygen -y -f {}", shown(key)),
            Error::Armor(_) | Error::BadSignature { .. } => {
                "desk keys are ssh-ed25519, ecdsa-sha2-nistp256, or their FIDO kinds".into()
            }
            Error::NotTheDesksKey { .. } => {
                "the desk's `keys` in the hierarchy must hold the public half of --key".into()
            }
            Error::Clock => "set the clock".into(),
            Error::Random => return None,
        };
        Some(hint)
    }
}

fn shown(path: &std::path::Path) -> String {
    escape(&path.display().to_string())
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    }
}
