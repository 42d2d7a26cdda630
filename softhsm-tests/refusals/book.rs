//! The book of transcripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coldroot::audit::entry::{Body, Entry};
use coldroot::digest::Digest;

use crate::harness::station::{COLDROOT, Station, read_in};
use crate::harness::{files, repository};

/// The transcripts of one chapter, on one station.
pub struct Book<'s> {
    station: &'s Station,
    before: State,
    text: String,
    /// Cases so far.
    pub cases: usize,
}

/// What a refusal must leave as it is.
#[derive(PartialEq)]
struct State {
    entries: Vec<Entry>,
    /// Names and contents below the station, the token's objects among them.
    files: Vec<(PathBuf, Digest)>,
}

impl State {
    fn of(station: &Station) -> State {
        let content = |path: PathBuf| {
            let digest = Digest::of(&fs::read(&path).unwrap());
            (path, digest)
        };
        let entries = if station.path("audit").exists() { station.entries() } else { Vec::new() };
        State { entries, files: files(&station.dir()).into_iter().filter(|path| path.is_file()).map(content).collect() }
    }
}

impl<'s> Book<'s> {
    pub fn new(station: &'s Station) -> Book<'s> {
        Book { station, before: State::of(station), text: String::new(), cases: 0 }
    }

    /// Takes the station as it is now for what must stay.
    pub fn turn(&mut self) {
        self.before = State::of(self.station);
    }

    /// Types a command that must be refused with this exit code, and leave everything as it is.
    #[track_caller]
    pub fn refuse(&mut self, defect: &str, code: i32, args: &[&str]) {
        self.said(defect, code, args);
        let now = State::of(self.station);
        assert!(now.entries == self.before.entries, "{defect}: recorded something");
        let names = |state: &State| state.files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
        assert_eq!(names(&now), names(&self.before), "{defect}: left something behind");
        assert!(now == self.before, "{defect}: a file changed");
    }

    /// The same for `plan` with a bundle that is copied in and then refused: that it was read in is on record, and nothing else.
    #[track_caller]
    pub fn refuse_bundle(&mut self, defect: &str, code: i32, bundle: &Path) {
        self.said(defect, code, &["plan", "--bundle", bundle.to_str().unwrap()]);
        let now = State::of(self.station);
        let (new, same) = now.entries.split_last().unwrap();
        assert_eq!(new.body, read_in(bundle), "{defect}");
        assert!(same == self.before.entries.as_slice(), "{defect}: recorded more than that it was read in");
        let tail = self.station.path("audit/tail");
        let others = |state: &State| state.files.iter().filter(|(path, _)| *path != tail).cloned().collect::<Vec<_>>();
        assert_eq!(others(&now), others(&self.before), "{defect}: left something behind, or a file changed");
        self.before = now;
    }

    /// The same where the token comes into it: what was tried is on record, but nothing is issued, ended or written out.
    #[track_caller]
    pub fn refuse_at_token(&mut self, defect: &str, code: i32, args: &[&str]) {
        self.said(defect, code, args);
        let now = State::of(self.station);
        let issued = |state: &State| state.entries.iter().filter(|entry| is_issued(&entry.body)).count();
        assert_eq!(issued(&now), issued(&self.before), "{defect}: something was issued");
        let out = self.station.path("out");
        let written =
            |state: &State| state.files.iter().filter(|(path, _)| path.starts_with(&out)).cloned().collect::<Vec<_>>();
        assert_eq!(written(&now), written(&self.before), "{defect}: something was written out");
        self.before = now;
    }

    /// Types a command, and writes down what it says.
    #[track_caller]
    fn said(&mut self, defect: &str, code: i32, args: &[&str]) {
        let mut command = Command::new(COLDROOT);
        let output = command.args(args).current_dir(self.station.dir()).stdin(Stdio::null()).output().unwrap();
        let said = format!("{}{}", text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(code), "{defect}: {said}");
        assert!(said.contains("  next: "), "{defect}: no next step: {said}");
        self.cases += 1;
        let typed = args.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" ");
        self.text.push_str(&format!("# {defect}\n$ coldroot {typed}\n{said}exit {code}\n\n"));
    }

    /// Compares the chapter with what the repository holds.
    pub fn close(self, chapter: &str) -> usize {
        let text = settled(&self.text, &[self.station.desk("").as_path(), self.station.dir().as_path()]);
        let path = repository().join(format!("softhsm-tests/refusals/{chapter}.txt"));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        for (n, (found, wanted)) in text.split("\n\n").zip(expected.split("\n\n")).enumerate() {
            assert_eq!(found, wanted, "case {n} of {chapter}; UPDATE_EXPECTED=1 writes the transcripts anew");
        }
        assert_eq!(text, expected, "{chapter}; UPDATE_EXPECTED=1 writes the transcripts anew");
        self.cases
    }
}

fn text(octets: Vec<u8>) -> String {
    let text = String::from_utf8(octets).expect("the binary prints UTF-8");
    assert!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "not printable ASCII: {text:?}");
    text
}

fn quoted(arg: &str) -> String {
    match arg.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:~+".contains(c)) && !arg.is_empty() {
        true => arg.to_owned(),
        false => format!("{arg:?}"),
    }
}

fn is_issued(body: &Body) -> bool {
    matches!(
        body,
        Body::KeyGenerated(_)
            | Body::WrappingKeyGenerated(_)
            | Body::KeyBackedUp(_)
            | Body::KeyRestored(_)
            | Body::KeyProven(_)
            | Body::KeyDestroyed(_)
            | Body::Certificate(_)
            | Body::Revoked(_)
            | Body::Crl(_)
            | Body::Csr(_)
            | Body::Refused { .. }
            | Body::End(_)
    )
}

/// The text without what changes from run to run: directories, digests, times, fingerprints.
fn settled(text: &str, dirs: &[&Path]) -> String {
    let mut text = text.to_owned();
    for (dir, name) in dirs.iter().zip(["~desk/", "~station"]) {
        text = text.replace(dir.to_str().unwrap(), name);
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let boundary = !out.ends_with(|c: char| c.is_ascii_alphanumeric());
        let run = |part: fn(char) -> bool| rest.chars().take_while(|c| part(*c)).count();
        let hex = run(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        let ends = |n: usize| !rest[n..].starts_with(|c: char| c.is_ascii_alphanumeric());
        let time = rest.as_bytes().get(..20).is_some_and(|t| t[4] == b'-' && t[10] == b'T' && t[19] == b'Z');
        let taken = if boundary && time {
            out.push_str("TIME");
            20
        } else if let Some(fingerprint) = rest.strip_prefix("SHA256:") {
            out.push_str("SHA256:FINGERPRINT");
            7 + fingerprint.chars().take_while(|c| c.is_ascii_alphanumeric() || "+/".contains(*c)).count()
        } else if out.ends_with("artefact/") {
            out.push_str("HH");
            2
        } else if out.ends_with("+HEX+") {
            out.push_str("KEY");
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c)).count()
        } else if boundary && hex >= 8 && ends(hex) {
            out.push_str("HEX");
            hex
        } else {
            out.push(first);
            1
        };
        rest = &rest[taken..];
    }
    out
}
