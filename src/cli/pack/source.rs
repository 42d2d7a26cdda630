//! Where the items come from: a table and a directory with one file for each of its rows, validators' lists, a table of
//! revocations.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Error;
use crate::bundle::{Request, Revocation, Validations, limits, request_der, table};
use crate::cbor::Bytes;
use crate::config::{Desk, Hierarchy};
use crate::prepare;

/// What a request's file may be called after its id.
const KINDS: [&str; 4] = ["pem", "der", "csr", "req"];
/// PEM is a third longer than DER, and readable text may stand in front.
const MAX_REQUEST_FILE: u64 = 4 * limits::ITEM;
/// A TOML table is held in memory as a whole; a larger one is CSV.
const MAX_TOML: u64 = 64 << 20;
const MAX_CSV: u64 = 1 << 30;

/// The request files of a directory by their ids, as far as no row has asked for them yet. Files of other kinds (the
/// table, notes) are not looked at.
pub struct Files {
    dir: PathBuf,
    by_id: BTreeMap<String, Vec<&'static str>>,
}

impl Files {
    pub fn list(dir: &Path) -> Result<Files, Error> {
        let read = |cause| Error::Read { path: dir.to_path_buf(), cause };
        let mut by_id: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        for entry in std::fs::read_dir(dir).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            // An id is ASCII, so a name that is not even UTF-8 is shown, and found to stand in no line of the table.
            let name = name.to_string_lossy();
            let Some((id, kind)) = name.rsplit_once('.') else { continue };
            if let Some(kind) = KINDS.into_iter().find(|known| *known == kind) {
                by_id.entry(id.to_string()).or_default().push(kind);
            }
        }
        Ok(Files { dir: dir.to_path_buf(), by_id })
    }

    /// The request of a row in DER.
    fn take(&mut self, row: &table::Row, table: &Path) -> Result<Vec<u8>, Error> {
        let kinds = self.by_id.remove(&row.request).unwrap_or_default();
        let (request, line, table) = (row.request.clone(), row.line, table.to_path_buf());
        match kinds.as_slice() {
            [] => Err(Error::MissingFile { table, line, request, dir: self.dir.clone() }),
            [kind] => {
                let path = self.dir.join(format!("{request}.{kind}"));
                let octets = read_bounded(&path, MAX_REQUEST_FILE)?;
                request_der(&octets).map_err(|cause| Error::Request { path, cause })
            }
            kinds => {
                let files = kinds.iter().map(|kind| format!("{request}.{kind}")).collect();
                Err(Error::ManyFiles { table, line, request, files })
            }
        }
    }

    /// At the end of the table every file must have had its row.
    fn must_be_done(&self, table: &Path) -> Result<(), Error> {
        let Some((id, kinds)) = self.by_id.iter().next() else { return Ok(()) };
        let file = format!("{id}.{}", kinds.first().copied().unwrap_or_default());
        Err(Error::Unlisted { table: table.to_path_buf(), dir: self.dir.clone(), file, others: self.by_id.len() - 1 })
    }
}

/// The given table, or the one of the directory.
pub fn table_path(given: Option<&Path>, dir: &Path) -> Result<PathBuf, Error> {
    if let Some(path) = given {
        return Ok(path.to_path_buf());
    }
    let (csv, toml) = (dir.join("requests.csv"), dir.join("requests.toml"));
    match (csv.exists(), toml.exists()) {
        (true, false) => Ok(csv),
        (false, true) => Ok(toml),
        (false, false) => Err(Error::NoTable { dir: dir.to_path_buf() }),
        (true, true) => Err(Error::TwoTables { dir: dir.to_path_buf() }),
    }
}

/// The requests in the order of the table, one at a time.
pub fn requests<'a>(
    path: PathBuf,
    mut files: Files,
    hierarchy: &'a Hierarchy,
    desk: &'a Desk,
) -> Result<impl Iterator<Item = Result<Request, Error>> + 'a, Error> {
    let mut rows = rows(&path)?;
    let mut request = move |row: Option<Result<table::Row, table::Error>>| {
        let Some(row) = row else { return files.must_be_done(&path).map(|()| None) };
        let row = row.map_err(|cause| Error::Table { path: path.clone(), cause })?;
        let (line, profile) = (row.line, row.profile.clone());
        if hierarchy.profile(&profile).is_none() {
            return Err(Error::UnknownProfile { path: path.clone(), line, profile });
        }
        if !desk.profiles.contains(&profile) {
            return Err(Error::TableProfile { path: path.clone(), line, profile, desk: desk.id.clone() });
        }
        let csr = files.take(&row, &path)?;
        Ok(Some(row.into_request(csr)))
    };
    Ok(std::iter::from_fn(move || request(rows.next()).transpose()))
}

type Rows = Box<dyn Iterator<Item = Result<table::Row, table::Error>>>;

fn rows(path: &Path) -> Result<Rows, Error> {
    let wrong = |cause| Error::Table { path: path.to_path_buf(), cause };
    match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => Ok(Box::new(table::csv(open_bounded(path, MAX_CSV)?).map_err(wrong)?)),
        Some("toml") => {
            let text = String::from_utf8(read_bounded(path, MAX_TOML)?);
            let text = text.map_err(|_| wrong(table::Error { line: 1, problem: table::Problem::NotUtf8 }))?;
            Ok(Box::new(table::toml(&text).map_err(wrong)?.collect::<Vec<_>>().into_iter()))
        }
        _ => Err(Error::TableKind { path: path.to_path_buf() }),
    }
}

/// The validators' lists with their signatures, each judged as the station will: a list that would have the whole bundle
/// refused there is refused here.
pub fn lists(paths: &[PathBuf], hierarchy: &Hierarchy, now: i64) -> Result<Vec<Validations>, Error> {
    let mut lists = Vec::new();
    for path in paths {
        let list = Bytes::from(read_bounded(path, limits::LIST)?);
        let mut signature = path.clone().into_os_string();
        signature.push(".sig");
        let signature = PathBuf::from(signature);
        let armored = String::from_utf8(read_bounded(&signature, limits::SIGNATURE)?);
        let armored = armored.map_err(|_| Error::NotText { path: signature })?;
        let validations = Validations { list, signature: armored };
        prepare::verify_list(hierarchy, &validations, now)
            .map_err(|cause| Error::List { path: path.clone(), cause })?;
        lists.push(validations);
    }
    Ok(lists)
}

/// The rows of a table of revocations, one at a time.
pub fn revocations(path: &Path) -> Result<impl Iterator<Item = Result<Revocation, Error>>, Error> {
    let wrong = |path: &Path, cause| Error::Revocations { path: path.to_path_buf(), cause };
    let rows = table::revocations(open_bounded(path, MAX_CSV)?).map_err(|cause| wrong(path, cause))?;
    let path = path.to_path_buf();
    Ok(rows.map(move |row| row.map_err(|cause| wrong(&path, cause))))
}

/// Opens a regular file that is not larger than `limit` octets.
fn open_bounded(path: &Path, limit: u64) -> Result<std::io::Take<File>, Error> {
    let read = |cause| Error::Read { path: path.to_path_buf(), cause };
    // Looked at before it is opened: opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(read)?.is_file() {
        return Err(Error::NotRegular { path: path.to_path_buf() });
    }
    let file = File::open(path).map_err(read)?;
    if file.metadata().map_err(read)?.len() > limit {
        return Err(Error::TooLarge { path: path.to_path_buf(), limit });
    }
    Ok(file.take(limit))
}

/// Reads a regular file of at most `limit` octets.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut octets = Vec::new();
    let read = open_bounded(path, limit)?.read_to_end(&mut octets);
    read.map_err(|cause| Error::Read { path: path.to_path_buf(), cause })?;
    Ok(octets)
}
