//! `coldroot pack`: the desk makes a bundle of requests and revocations.

mod error;
mod sign;
mod source;

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::bundle::{self, About, Answers, BodyWriter, Item, limits};
use crate::config::{Desk, Hierarchy};
use crate::digest::Digest;
use crate::text::utc;

pub use error::Error;

/// Packs certificate requests and revocations into a signed bundle for the station.
///
/// The table says which requests go in, in which order, and which names the validator found to belong to whom. Each
/// request is one file of DIR called after its id: ID.pem, ID.der, ID.csr or ID.req. Lists of validators, each with its
/// signature beside it in LIST.sig, go in as they are. The bundle is signed by ssh-keygen with a key of the desk; nothing
/// is ever written over.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  coldroot pack --hierarchy hierarchy.toml --desk desk-1 --key ~/.ssh/desk-1 \\
      --requests requests/ --sequence 1 --out bundle-1.cbor
  coldroot pack --hierarchy hierarchy.toml --desk desk-1 --key ~/.ssh/desk-1.pub \\
      --requests requests/ --table week-7.toml --sequence 2 \\
      --answers release-1/ --release 1 --out bundle-2.cbor
  coldroot pack --desk desk-1 --key ~/.ssh/desk-1 --requests requests/ \\
      --validations list-1.toml --validations list-2.toml \\
      --revocations revoked.csv --sequence 3 --out bundle-3.cbor

A --key that ends with .pub is one of the ssh-agent's.")]
pub struct PackArgs {
    /// The hierarchy file of the station that the bundle is for
    #[arg(long, value_name = "FILE", default_value = "hierarchy.toml")]
    pub hierarchy: PathBuf,
    /// This desk's id in the hierarchy
    #[arg(long, value_name = "ID")]
    pub desk: String,
    /// The desk's SSH key
    #[arg(long, value_name = "SSHKEY")]
    pub key: PathBuf,
    /// The directory with the request files
    #[arg(long, value_name = "DIR", required_unless_present = "revocations")]
    pub requests: Option<PathBuf>,
    /// The table, CSV or TOML [default: requests.csv or requests.toml in DIR]
    #[arg(long, value_name = "FILE", requires = "requests")]
    pub table: Option<PathBuf>,
    /// A validator's list, at most 100,000 octets, with its signature in LIST.sig; give several
    #[arg(long, value_name = "LIST", requires = "requests")]
    pub validations: Vec<PathBuf>,
    /// What to revoke, CSV: serial (hex), reason, requester
    #[arg(long, value_name = "FILE")]
    pub revocations: Option<PathBuf>,
    /// The number of this bundle: one more than this desk's last one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub sequence: u64,
    /// The last release that was received: its directory, or its checkpoint
    #[arg(long, value_name = "PATH", requires = "release")]
    pub answers: Option<PathBuf>,
    /// The number of that release
    #[arg(long, value_name = "N", requires = "answers", value_parser = clap::value_parser!(u64).range(1..))]
    pub release: Option<u64>,
    /// How long the station may take to process the bundle
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub expires_days: u32,
    /// The bundle, a new file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackReport {
    pub out: PathBuf,
    /// SHA-256 of the file, in hex.
    pub digest: String,
    pub octets: u64,
    pub desk: String,
    pub sequence: u64,
    pub requests: u64,
    pub revocations: u64,
    /// Validators' lists.
    pub lists: u64,
    pub created: String,
    pub expires: String,
    /// Of the key that signed, as `ssh-keygen -l` prints it.
    pub signer: String,
}

/// Everything of a bundle but its items, for callers that have them in memory.
pub struct Seal<'a> {
    pub hierarchy: &'a Hierarchy,
    pub desk: &'a str,
    pub key: &'a Path,
    pub sequence: u64,
    pub answers: Answers,
    /// Seconds since the epoch.
    pub created: i64,
    pub expires_days: u32,
    pub out: &'a Path,
}

/// Runs the verb with this machine's clock.
pub fn pack(args: &PackArgs) -> Result<PackReport, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_secs()).ok());
    pack_at(args, now.ok_or(Error::Clock)?)
}

/// Runs the verb at a given time, seconds since the epoch.
pub fn pack_at(args: &PackArgs, now: i64) -> Result<PackReport, Error> {
    let hierarchy = Hierarchy::load(&args.hierarchy)?;
    let answers = answers(args, &hierarchy)?;
    let seal = Seal {
        hierarchy: &hierarchy,
        desk: &args.desk,
        key: &args.key,
        sequence: args.sequence,
        answers,
        created: now,
        expires_days: args.expires_days,
        out: &args.out,
    };
    seal.desk()?;
    seal.must_be_new()?;
    sign::check_key(&args.key)?;
    let lists = source::lists(&args.validations, &hierarchy, now)?;
    let mut items: Items = Box::new(lists.into_iter().map(|list| Ok(Item::Validations(list))));
    if let Some(dir) = &args.requests {
        let (files, table) = (source::Files::list(dir)?, source::table_path(args.table.as_deref(), dir)?);
        let requests = source::requests(table, files, &hierarchy, seal.desk()?)?;
        items = Box::new(items.chain(requests.map(|request| request.map(Item::Request))));
    }
    if let Some(path) = &args.revocations {
        items = Box::new(items.chain(source::revocations(path)?.map(|revocation| revocation.map(Item::Revoke))));
    }
    seal.write(items)
}

type Items<'a> = Box<dyn Iterator<Item = Result<Item, Error>> + 'a>;

impl Seal<'_> {
    /// Writes the bundle: body into a file without a name, head signed and the signature verified, then the whole into
    /// a temporary file beside `out`, fsync, and the name, which must still be free. After an error nothing is left.
    pub fn write(&self, items: impl Iterator<Item = Result<Item, Error>>) -> Result<PackReport, Error> {
        let desk = self.desk()?;
        self.must_be_new()?;
        let dir = match self.out.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let failed = |cause| Error::Write { path: self.out.to_path_buf(), cause };
        let body = tempfile::tempfile_in(dir).map_err(failed)?;
        let mut body = BodyWriter::new(std::io::BufWriter::new(body));
        for item in items {
            let item = item?;
            if let Item::Request(request) = &item
                && !desk.profiles.contains(&request.profile)
            {
                return Err(Error::Profile {
                    request: request.request.clone(),
                    profile: request.profile.clone(),
                    desk: desk.id.clone(),
                });
            }
            body.push(&item)?;
        }
        let draft = body.finish(self.about()?)?;
        draft.head.judge_limits(desk)?;
        let signature = sign::sign(self.key, &draft.head_bytes)?;
        let signer = sign::verify(desk, self.key, &draft.head_bytes, &signature)?;

        let mut body = draft.body.into_inner().map_err(|e| failed(e.into_error()))?;
        body.rewind().map_err(failed)?;
        let mut whole = tempfile::Builder::new().prefix(".packing-").tempfile_in(dir).map_err(failed)?;
        let mut buffered = std::io::BufWriter::new(whole.as_file_mut());
        let digest: Digest = bundle::write_container(&mut buffered, &draft.head_bytes, &signature, &mut body)?;
        buffered.flush().map_err(failed)?;
        drop(buffered);
        whole.as_file().sync_all().map_err(failed)?;
        let octets = whole.as_file().metadata().map_err(failed)?.len();
        whole.persist_noclobber(self.out).map_err(|e| match e.error.kind() {
            std::io::ErrorKind::AlreadyExists => Error::Exists { path: self.out.to_path_buf() },
            _ => failed(e.error),
        })?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(PackReport {
            out: self.out.to_path_buf(),
            digest: digest.hex(),
            octets,
            desk: desk.id.clone(),
            sequence: self.sequence,
            requests: draft.head.items().saturating_sub(draft.head.revocations),
            revocations: draft.head.revocations,
            lists: draft.head.lists,
            created: utc(draft.head.created),
            expires: utc(draft.head.expires),
            signer,
        })
    }

    fn desk(&self) -> Result<&Desk, Error> {
        self.hierarchy.desk(self.desk).ok_or_else(|| Error::UnknownDesk {
            desk: self.desk.to_string(),
            known: self.hierarchy.desks.iter().map(|d| d.id.clone()).collect(),
        })
    }

    fn must_be_new(&self) -> Result<(), Error> {
        match self.out.symlink_metadata() {
            Ok(_) => Err(Error::Exists { path: self.out.to_path_buf() }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(Error::Write { path: self.out.to_path_buf(), cause }),
        }
    }

    fn about(&self) -> Result<About, Error> {
        let mut salt = [0; limits::SALT];
        getrandom::fill(&mut salt).map_err(|_| Error::Random)?;
        Ok(About {
            hierarchy: self.hierarchy.name.clone(),
            origin: self.hierarchy.origin.clone(),
            environment: self.hierarchy.environment,
            desk: self.desk.to_string(),
            sequence: self.sequence,
            answers: self.answers.clone(),
            created: self.created,
            expires: self.created.saturating_add(i64::from(self.expires_days) * 86_400),
            salt,
        })
    }
}

/// The release that the desk has received last, with its checkpoint, which must be of this station's log.
fn answers(args: &PackArgs, hierarchy: &Hierarchy) -> Result<Answers, Error> {
    let (Some(path), Some(release)) = (&args.answers, args.release) else { return Ok(Answers::default()) };
    let candidates = match path.is_dir() {
        true => vec![path.join("log").join("checkpoint"), path.join("checkpoint")],
        false => vec![path.clone()],
    };
    let found = candidates.iter().find(|path| path.is_file());
    let Some(path) = found else { return Err(Error::NoCheckpoint { path: path.clone() }) };
    let octets = source::read_bounded(path, limits::CHECKPOINT as u64)?;
    let no_note = || Error::NotACheckpoint { path: path.clone() };
    let note = String::from_utf8(octets).map_err(|_| no_note())?;
    // The three lines that every checkpoint begins with (C2SP tlog-checkpoint): origin, size, root hash; the signature
    // stands behind an empty line. The station compares all of it with its log.
    let mut lines = note.lines();
    let origin = lines.next().unwrap_or_default();
    let size = lines.next().is_some_and(|size| size.parse::<u64>().is_ok());
    if !size || !note.contains("\n\n\u{2014} ") {
        return Err(no_note());
    }
    if origin != hierarchy.origin {
        return Err(Error::OtherLog {
            path: path.clone(),
            wanted: hierarchy.origin.clone(),
            found: origin.to_string(),
        });
    }
    Ok(Answers { release, checkpoint: Some(note) })
}

#[cfg(test)]
mod tests;
