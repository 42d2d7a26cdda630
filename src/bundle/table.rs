//! The desk's table: one row for each request, as CSV or TOML, read strictly. The order of the rows is the order of the
//! bundle, and so of the serial numbers; never that of a directory.

use std::io::Read;

use serde::Deserialize;

use super::{Ids, Request, Revocation, lawful_request_id, limits};
use crate::cbor::Bytes;
use crate::config::revoked_serial;
use crate::text::{Untrusted, escape, hex, idn};
use crate::x509::fields::reason_code;

/// The columns of a CSV table; a TOML table has the same as fields of `[[request]]`, `id` for `request` and `names` as
/// an array.
pub const COLUMNS: [&str; 4] = ["request", "profile", "requester", "names"];

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The line of the table it begins on, from 1.
    pub line: u64,
    pub request: String,
    pub profile: String,
    pub requester: Untrusted,
    pub names: Vec<String>,
}

impl Row {
    /// The row with its request in DER.
    pub fn into_request(self, csr: Vec<u8>) -> Request {
        let Row { request, profile, requester, names, .. } = self;
        Request { request, profile, requester, names, csr: Bytes::from(csr) }
    }
}

/// What is wrong, and on which line.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Error {
    /// From 1.
    pub line: u64,
    pub problem: Problem,
}

/// What can be wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    #[error("is not UTF-8")]
    NotUtf8,
    #[error("the column `{}` is not known", escape(.0))]
    UnknownColumn(String),
    #[error("the column `{0}` stands twice")]
    ColumnTwice(&'static str),
    #[error("the column `{0}` is missing")]
    MissingColumn(&'static str),
    #[error("has {found} fields, the first line has {wanted}")]
    Fields { wanted: u64, found: u64 },
    #[error("{}", escape(.0))]
    Toml(String),
    #[error("the field `{field}` {message}")]
    Field { field: &'static str, message: &'static str },
    #[error("the name `{}` {what}", escape(name))]
    Name { name: String, what: &'static str },
    #[error("`{request}` is the request id of line {first} (upper and lower case count as the same)")]
    Twice { request: String, first: u64 },
    #[error("the serial number {serial} stands in line {first} already")]
    SerialTwice { serial: String, first: u64 },
    #[error("the table has no row")]
    NoRows,
}

impl Problem {
    fn at(self, line: u64) -> Error {
        Error { line, problem: self }
    }
}

/// The rows of a CSV table (RFC 4180, with a header line), one at a time. `names` are separated by spaces.
pub fn csv<R: Read>(table: R) -> Result<impl Iterator<Item = Result<Row, Error>>, Error> {
    let mut reader = ::csv::ReaderBuilder::new().flexible(false).from_reader(table);
    let places = places(&mut reader, COLUMNS)?;
    let rows = reader.into_records().map(move |record| {
        let record = record.map_err(csv_error)?;
        let line = record.position().map_or(0, |p| p.line());
        let [request, profile, requester, names] = places.map(|place| record.get(place).unwrap_or_default());
        let names = names.split(' ').filter(|name| !name.is_empty()).map(str::to_string).collect();
        Ok(Row { line, request: request.into(), profile: profile.into(), requester: Untrusted::new(requester), names })
    });
    Ok(checked(rows))
}

/// Where each column stands, by the header line.
fn places<R: Read, const N: usize>(
    reader: &mut ::csv::Reader<R>,
    columns: [&'static str; N],
) -> Result<[usize; N], Error> {
    let header = reader.headers().map_err(csv_error)?;
    if header.is_empty() {
        return Err(Problem::NoRows.at(1));
    }
    let mut places = [None; N];
    for (i, column) in header.iter().enumerate() {
        let Some((place, name)) = places.iter_mut().zip(columns).find(|(_, name)| *name == column) else {
            return Err(Problem::UnknownColumn(column.to_string()).at(1));
        };
        if place.replace(i).is_some() {
            return Err(Problem::ColumnTwice(name).at(1));
        }
    }
    match places.iter().zip(columns).find(|(place, _)| place.is_none()) {
        Some((_, name)) => Err(Problem::MissingColumn(name).at(1)),
        None => Ok(places.map(Option::unwrap_or_default)),
    }
}

/// The columns of a table of revocations.
pub const REVOCATION_COLUMNS: [&str; 3] = ["serial", "reason", "requester"];

/// The rows of a table of revocations, CSV with a header line, one at a time: serial number in hex, colons allowed, and the
/// name of a reason for end entities.
pub fn revocations<R: Read>(table: R) -> Result<impl Iterator<Item = Result<Revocation, Error>>, Error> {
    let mut reader = ::csv::ReaderBuilder::new().flexible(false).from_reader(table);
    let places = places(&mut reader, REVOCATION_COLUMNS)?;
    let mut ids = Ids::default();
    let rows = reader.into_records().map(move |record| {
        let record = record.map_err(csv_error)?;
        let line = record.position().map_or(0, |p| p.line());
        let [serial, reason, requester] = places.map(|place| record.get(place).unwrap_or_default());
        let wrong = |field, message| Problem::Field { field, message }.at(line);
        let serial = revoked_serial(serial)
            .ok_or_else(|| wrong("serial", "must be 1 to 20 octets in hex, such as 01f3c9 or 01:f3:c9"))?;
        let reason = reason_code(reason).filter(|reason| reason.is_none_or(Revocation::of_end_entities));
        let reason = reason.ok_or_else(|| {
            let known = "must be unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation or \
                         privilege-withdrawn";
            wrong("reason", known)
        })?;
        if requester.is_empty() || requester.len() > limits::REQUESTER || requester.chars().any(char::is_control) {
            return Err(wrong("requester", "must be one line of 1 to 256 octets"));
        }
        match ids.insert(&hex(&serial), line) {
            Some(first) => Err(Problem::SerialTwice { serial: hex(&serial), first }.at(line)),
            None => Ok(Revocation { serial: Bytes::from(serial), reason, requester: Untrusted::new(requester) }),
        }
    });
    let mut rows = rows.peekable();
    match rows.peek() {
        None => Err(Problem::NoRows.at(1)),
        Some(_) => Ok(rows),
    }
}

fn csv_error(e: ::csv::Error) -> Error {
    let line = e.position().map_or(1, |p| p.line());
    match e.into_kind() {
        ::csv::ErrorKind::Io(e) => Problem::Read(e),
        ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Problem::Fields { wanted: expected_len, found: len }
        }
        // What is left concerns encoding (and seeking and serialising, which do not happen here).
        _ => Problem::NotUtf8,
    }
    .at(line)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlTable {
    #[serde(default)]
    request: Vec<toml::Spanned<TomlRow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlRow {
    id: String,
    profile: String,
    requester: String,
    names: Vec<String>,
}

/// The rows of a TOML table: `[[request]]` with `id`, `profile`, `requester` and `names = […]`.
pub fn toml(table: &str) -> Result<impl Iterator<Item = Result<Row, Error>>, Error> {
    let line_of = |offset: usize| 1 + table.bytes().take(offset).filter(|c| *c == b'\n').count() as u64;
    let parsed: TomlTable = ::toml::from_str(table).map_err(|e| {
        let line = e.span().map_or(1, |span| line_of(span.start));
        Problem::Toml(e.message().to_string()).at(line)
    })?;
    // One walk over the text for all rows, since counting from the start for each would be quadratic.
    let (mut line, mut at) = (1, 0);
    let rows: Vec<_> = parsed
        .request
        .into_iter()
        .map(|row| {
            let start = row.span().start;
            let between = table.as_bytes().get(at..start).unwrap_or_default();
            line += between.iter().filter(|c| **c == b'\n').count() as u64;
            at = at.max(start);
            let row = row.into_inner();
            let requester = Untrusted::new(row.requester);
            Ok(Row { line, request: row.id, profile: row.profile, requester, names: row.names })
        })
        .collect();
    Ok(checked(rows.into_iter()))
}

/// Judges row after row; at the end there must have been one. After an error nothing more comes.
fn checked(rows: impl Iterator<Item = Result<Row, Error>>) -> impl Iterator<Item = Result<Row, Error>> {
    let mut rows = rows.fuse();
    let mut ids = Ids::default();
    let (mut any, mut over) = (false, false);
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let row = match rows.next() {
            Some(row) => row.and_then(|row| judge(row, &mut ids)),
            None if any => return None,
            None => Err(Problem::NoRows.at(1)),
        };
        any = true;
        over = row.is_err();
        Some(row)
    })
}

fn judge(mut row: Row, ids: &mut Ids) -> Result<Row, Error> {
    let line = row.line;
    let wrong = |field, message| Err(Problem::Field { field, message }.at(line));
    if !lawful_request_id(&row.request) {
        return wrong("request", "must be 1 to 64 of A-Z, a-z, 0-9, `.`, `_`, `-`, and begin with a letter or digit");
    }
    if row.profile.is_empty() {
        return wrong("profile", "is empty");
    }
    if row.requester.raw().is_empty() {
        return wrong("requester", "is empty");
    }
    if row.requester.raw().len() > limits::REQUESTER || row.requester.raw().chars().any(char::is_control) {
        return wrong("requester", "must be one line of at most 256 octets");
    }
    if row.names.is_empty() {
        return wrong("names", "is empty; the validator must have found at least one name");
    }
    if row.names.len() > limits::NAMES {
        return wrong("names", "holds more than 100 names");
    }
    for name in &mut row.names {
        let canonical = idn::canonical(name).map_err(|what| Problem::Name { name: name.clone(), what }.at(row.line))?;
        if canonical.len() > limits::NAME {
            return Err(Problem::Name { name: canonical, what: "has more than 253 octets" }.at(row.line));
        }
        *name = canonical;
    }
    match ids.insert(&row.request, row.line) {
        Some(first) => Err(Problem::Twice { request: row.request, first }.at(row.line)),
        None => Ok(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "request,profile,requester,names\n";

    fn read_csv(text: &str) -> Result<Vec<Row>, Error> {
        csv(text.as_bytes())?.collect()
    }

    fn read_toml(text: &str) -> Result<Vec<Row>, Error> {
        toml(text)?.collect()
    }

    #[test]
    fn the_same_rows_from_csv_and_toml_in_the_order_of_the_table() {
        let from_csv = read_csv(
            "names,request,profile,requester\nb.example  a.example,zz,xmpp-server,\"Zed, Inc\"\nc.example,a.1,xmpp-server,a@example.org\n",
        )
        .unwrap();
        let from_toml = read_toml(
            "# desk\n[[request]]\nid = 'zz'\nprofile = 'xmpp-server'\nrequester = 'Zed, Inc'\nnames = ['b.example', 'a.example']\n\n\
             [[request]]\nid = 'a.1'\nprofile = 'xmpp-server'\nrequester = 'a@example.org'\nnames = ['c.example']\n",
        )
        .unwrap();
        let without_line = |rows: &[Row]| rows.iter().map(|r| Row { line: 0, ..r.clone() }).collect::<Vec<_>>();
        assert_eq!(without_line(&from_csv), without_line(&from_toml));
        assert_eq!(from_csv[0].names, ["b.example", "a.example"]);
        assert_eq!(from_csv.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(from_toml.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 8]);
    }

    #[test]
    fn names_are_kept_in_the_spelling_that_is_compared() {
        let rows = read_csv(&format!(
            "{HEADER}a,p,r,B\u{fc}cher.example Pump_7 xmpp:J@B\u{fc}cher.example mailto:\u{fc}@b.example\n"
        ));
        let [row] = rows.unwrap().try_into().unwrap();
        assert_eq!(
            row.names,
            ["xn--bcher-kva.example", "Pump_7", "xmpp:j@xn--bcher-kva.example", "mailto:\u{fc}@b.example"]
        );
    }

    #[test]
    fn p07_a_wrong_header_is_named() {
        let column = |text: &str| read_csv(text).unwrap_err().problem;
        assert!(matches!(column("request,profile,requester,names,note\n"), Problem::UnknownColumn(c) if c == "note"));
        assert!(matches!(column("request,profile,names\n"), Problem::MissingColumn("requester")));
        assert!(matches!(column("request,profile,requester,names,names\n"), Problem::ColumnTwice("names")));
        assert!(matches!(column(""), Problem::NoRows));
        assert!(matches!(column(HEADER), Problem::NoRows));
    }

    #[test]
    fn p07_a_wrong_row_is_named_with_its_line() {
        let cases = [
            ("a,p,r,n.example\nb,p,r\n", 3, "Fields { wanted: 4, found: 3 }"),
            ("a,p,r,n.example\nA,p,r,n.example\n", 3, "Twice { request: \"A\", first: 2 }"),
            ("../a,p,r,n.example\n", 2, "field: \"request\""),
            (".a,p,r,n.example\n", 2, "field: \"request\""),
            ("a,,r,n.example\n", 2, "field: \"profile\""),
            ("a,p,,n.example\n", 2, "field: \"requester\""),
            ("a,p,\"r\nr\",n.example\n", 2, "field: \"requester\""),
            ("a,p,r,\n", 2, "field: \"names\""),
            ("a,p,r,b\u{265a}.example\n", 2, "Name { name"),
            ("a,p,r,xmpp:a@b.example/c\n", 2, "Name { name"),
        ];
        for (rows, line, wanted) in cases {
            let error = read_csv(&format!("{HEADER}{rows}")).unwrap_err();
            assert_eq!(error.line, line, "{rows:?}");
            assert!(format!("{:?}", error.problem).contains(wanted), "{rows:?} gave {:?}", error.problem);
        }
        let latin1 = [HEADER.as_bytes(), b"a,p,caf\xe9,n.example\n"].concat();
        let error = csv(&latin1[..]).unwrap().next().unwrap().unwrap_err();
        assert!(matches!((error.line, error.problem), (2, Problem::NotUtf8)));
    }

    #[test]
    fn p07_revocations_are_read_strictly() {
        let read = |rows: &str| -> Result<Vec<Revocation>, Error> {
            revocations(format!("serial,reason,requester\n{rows}").as_bytes())?.collect()
        };
        let rows = read("01:F3:c9,superseded,a@example.org\n7f,unspecified,\"Zed, Inc\"\n").unwrap();
        let found: Vec<_> = rows.iter().map(|r| (hex(&r.serial), r.reason, r.requester.raw())).collect();
        assert_eq!(found, [("01f3c9".into(), Some(4), "a@example.org"), ("7f".into(), None, "Zed, Inc")]);
        let cases = [
            ("01f3c,superseded,r\n", 2, "serial"),
            ("ff,superseded,r\n", 2, "serial"),
            (",superseded,r\n", 2, "serial"),
            ("01,ca-compromise,r\n", 2, "reason"),
            ("01,certificate-hold,r\n", 2, "reason"),
            ("01,,r\n", 2, "reason"),
            ("01,superseded,\n", 2, "requester"),
            ("01,superseded,\"r\nr\"\n", 2, "requester"),
            ("01,superseded,r\n02,superseded\n", 3, "Fields"),
            ("01aB,superseded,r\n01:Ab,superseded,r\n", 3, "SerialTwice"),
            ("", 1, "NoRows"),
        ];
        for (rows, line, wanted) in cases {
            let error = read(rows).unwrap_err();
            assert_eq!(error.line, line, "{rows:?}");
            assert!(format!("{:?}", error.problem).contains(wanted), "{rows:?} gave {:?}", error.problem);
        }
        let wrong = revocations(&b"serial,reason\n"[..]).err().unwrap();
        assert!(matches!(wrong.problem, Problem::MissingColumn("requester")));
    }

    #[test]
    fn p07_wrong_toml_is_named_with_its_line() {
        let row = "[[request]]\nid = 'a'\nprofile = 'p'\nrequester = 'r'\nnames = ['n.example']\n";
        let error = read_toml(&format!("{row}{row}")).unwrap_err();
        assert!(matches!((error.line, error.problem), (6, Problem::Twice { first: 1, .. })));
        let error = read_toml(&format!("{row}note = 1\n")).unwrap_err();
        assert!(matches!((error.line, &error.problem), (6, Problem::Toml(m)) if m.contains("note")), "{error}");
        assert!(matches!(read_toml("").unwrap_err().problem, Problem::NoRows));
        assert!(matches!(read_toml("[[request]]\nid = 'a'\n").unwrap_err().problem, Problem::Toml(_)));
    }
}
