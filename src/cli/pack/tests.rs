use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::bundle::table;

const NOW: i64 = 1_795_305_600;
const REQUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/softhsm-tests/requests");

/// A desk: its key, its hierarchy, a directory for requests.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        for key in ["desk", "other"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"])
                .arg(place.path(key))
                .status()
                .unwrap();
            assert!(made.success());
        }
        let public = |key: &str| std::fs::read_to_string(place.path(&format!("{key}.pub"))).unwrap().trim().to_string();
        let hierarchy = HIERARCHY.replace("DESK", &public("desk")).replace("OFFICER", &public("other"));
        std::fs::write(place.path("hierarchy.toml"), hierarchy).unwrap();
        std::fs::create_dir(place.path("requests")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn args(&self) -> PackArgs {
        PackArgs {
            hierarchy: self.path("hierarchy.toml"),
            desk: "desk-1".into(),
            key: self.path("desk"),
            requests: Some(self.path("requests")),
            table: None,
            validations: Vec::new(),
            revocations: None,
            sequence: 1,
            answers: None,
            release: None,
            expires_days: 14,
            out: self.path("bundle"),
        }
    }

    fn put(&self, name: &str, octets: impl AsRef<[u8]>) {
        std::fs::write(self.path("requests").join(name), octets).unwrap();
    }

    fn put_request(&self, name: &str) {
        self.put(name, std::fs::read(format!("{REQUESTS}/openssl-p256.pem")).unwrap());
    }

    fn table(&self, rows: &str) {
        self.put("requests.csv", format!("request,profile,requester,names\n{rows}"));
    }

    /// Packs, and sees that a refusal leaves nothing behind.
    fn refused(&self, args: &PackArgs) -> Error {
        let before = self.listing();
        let error = pack_at(args, NOW).unwrap_err();
        assert_eq!(self.listing(), before, "{error}");
        error
    }

    fn listing(&self) -> Vec<PathBuf> {
        let mut names: Vec<_> = std::fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        names
    }

    fn read(&self, out: &Path) -> (bundle::Head, Vec<Item>) {
        let hierarchy = Hierarchy::load(&self.path("hierarchy.toml")).unwrap();
        let unverified = bundle::open(File::open(out).unwrap()).unwrap();
        let desk = unverified.head().judge(&hierarchy, NOW + 60).unwrap();
        let (mut bundle, _) =
            unverified.verify(|_, signed, armor| sign::verify(desk, Path::new("key"), signed, armor)).unwrap();
        let items = bundle.items().unwrap().collect::<Result<_, _>>().unwrap();
        (bundle.head().clone(), items)
    }
}

const ROW: &str = "a,xmpp-server,hostmaster@example.org,chat.example.org\n";

#[test]
fn the_committed_requests_are_packed_in_the_order_of_their_table() {
    let place = Place::new();
    let args = PackArgs { requests: Some(REQUESTS.into()), ..place.args() };
    let report = pack_at(&args, NOW).unwrap();
    let octets = std::fs::read(&args.out).unwrap();
    assert_eq!((report.requests, report.octets), (18, octets.len() as u64));
    assert_eq!(report.digest, Digest::of(&octets).hex());
    assert_eq!(report.expires, "2026-12-06T00:00:00Z");
    assert!(report.signer.starts_with("SHA256:"));
    let (head, items) = place.read(&args.out);
    assert_eq!((head.desk.as_str(), head.sequence, head.count, head.answers), ("desk-1", 1, 18, Answers::default()));
    let wanted: Vec<Item> = crate::requests::embedded().unwrap().into_iter().map(Item::Request).collect();
    assert_eq!(items, wanted);
    assert_eq!(place.listing().len(), 7, "{:?}", place.listing());
}

#[test]
fn requests_in_memory_are_sealed_too() {
    let place = Place::new();
    let hierarchy = Hierarchy::load(&place.path("hierarchy.toml")).unwrap();
    let out = place.path("bundle");
    let (key, answers) = (place.path("desk"), Answers::default());
    let seal = Seal {
        hierarchy: &hierarchy,
        desk: "desk-1",
        key: &key,
        sequence: 3,
        answers,
        created: NOW,
        expires_days: 1,
        out: &out,
    };
    let made = crate::requests::generate(20, 1).map(|request| Ok(Item::Request(request.unwrap())));
    assert_eq!(seal.write(made).unwrap().requests, 20);
    assert_eq!(place.read(&out).1.len(), 20);
    let foreign = |request: bundle::Request| Ok(Item::Request(bundle::Request { profile: "root".into(), ..request }));
    let foreign = crate::requests::generate(1, 1).map(|request| foreign(request.unwrap()));
    let out = place.path("second");
    assert!(matches!(Seal { out: &out, ..seal }.write(foreign), Err(Error::Profile { .. })));
    assert!(!out.exists());
}

#[test]
fn the_release_that_is_answered_stands_in_the_head() {
    let place = Place::new();
    place.put_request("a.pem");
    place.table(ROW);
    let note = "example.org/rehearsal\n7\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=\n\n\u{2014} example.org/rehearsal AAAA\n";
    std::fs::create_dir_all(place.path("release/log")).unwrap();
    std::fs::write(place.path("release/log/checkpoint"), note).unwrap();
    let args = PackArgs { answers: Some(place.path("release")), release: Some(4), sequence: 2, ..place.args() };
    pack_at(&args, NOW).unwrap();
    let head = place.read(&args.out).0;
    assert_eq!(head.answers, Answers { release: 4, checkpoint: Some(note.into()) });

    let args = |answers: &str| PackArgs {
        answers: Some(place.path(answers)),
        release: Some(4),
        out: place.path("no"),
        ..args.clone()
    };
    assert!(matches!(place.refused(&args("requests")), Error::NoCheckpoint { .. }));
    assert!(matches!(place.refused(&args("requests/a.pem")), Error::NotACheckpoint { .. }));
    std::fs::write(place.path("release/log/checkpoint"), note.replace("example.org", "example.net")).unwrap();
    assert!(matches!(place.refused(&args("release")), Error::OtherLog { .. }));
}

#[test]
fn p07_table_and_directory_must_agree() {
    let place = Place::new();
    let refused = || place.refused(&place.args());
    assert!(matches!(refused(), Error::NoTable { .. }));
    place.table(ROW);
    assert!(matches!(refused(), Error::MissingFile { line: 2, request, .. } if request == "a"));
    place.put_request("a.pem");
    place.put_request("a.csr");
    assert!(matches!(refused(), Error::ManyFiles { line: 2, files, .. } if files.len() == 2));
    std::fs::remove_file(place.path("requests/a.csr")).unwrap();
    place.put_request("b.req");
    let error = refused();
    assert!(matches!(&error, Error::Unlisted { file, others: 0, .. } if file == "b.req"), "{error}");
    assert!(error.hint().is_some());
    place.table(&format!("{ROW}{}", ROW.replace("a,", "A,")));
    assert!(matches!(refused(), Error::Table { cause: table::Error { line: 3, .. }, .. }));
    place.table(&ROW.replace("xmpp-server", "xmpp-client"));
    assert!(matches!(refused(), Error::UnknownProfile { line: 2, .. }));
    place.table(&ROW.replace("xmpp-server", "second"));
    assert!(matches!(refused(), Error::TableProfile { line: 2, .. }));
    place.put("requests.toml", "");
    assert!(matches!(refused(), Error::TwoTables { .. }));
    let args = PackArgs { table: Some(place.path("hierarchy")), ..place.args() };
    assert!(matches!(place.refused(&args), Error::TableKind { .. }));
}

#[test]
fn p07_files_that_are_no_requests_are_refused() {
    let place = Place::new();
    place.table(ROW);
    let key = std::fs::read(place.path("desk")).unwrap();
    place.put("a.pem", &key);
    let error = place.refused(&place.args());
    assert!(matches!(error, Error::Request { cause: bundle::NotARequest::PrivateKey, .. }));
    assert!(error.hint().unwrap().contains("new key"));
    place.put("a.pem", vec![b' '; MAX as usize + 1]);
    assert!(matches!(place.refused(&place.args()), Error::TooLarge { .. }));
    std::fs::remove_file(place.path("requests/a.pem")).unwrap();
    std::fs::create_dir(place.path("requests/a.pem")).unwrap();
    assert!(matches!(place.refused(&place.args()), Error::NotRegular { .. }));
}

const MAX: u64 = 4 * limits::ITEM;

#[test]
fn a_toml_table_packs_as_well() {
    let place = Place::new();
    place.put_request("a.pem");
    place.put(
        "requests.toml",
        "[[request]]\nid = 'a'\nprofile = 'xmpp-server'\nrequester = 'r'\nnames = ['chat.example.org']\n",
    );
    assert_eq!(pack_at(&place.args(), NOW).unwrap().requests, 1);
}

#[test]
fn desk_key_and_place_are_checked() {
    let place = Place::new();
    place.put_request("a.pem");
    place.table(ROW);
    let args = PackArgs { desk: "desk-2".into(), ..place.args() };
    let error = place.refused(&args);
    assert!(matches!(error, Error::UnknownDesk { .. }));
    assert_eq!(error.hint().unwrap(), "--desk is one of: desk-1");
    let args = PackArgs { key: place.path("other"), ..place.args() };
    assert!(matches!(place.refused(&args), Error::NotTheDesksKey { .. }));
    let args = PackArgs { key: place.path("absent"), ..place.args() };
    assert!(matches!(place.refused(&args), Error::Read { .. }));
    std::fs::write(place.path("no-key"), "text").unwrap();
    std::fs::set_permissions(place.path("no-key"), PermissionsExt::from_mode(0o600)).unwrap();
    let args = PackArgs { key: place.path("no-key"), ..place.args() };
    assert!(matches!(place.refused(&args), Error::NotSigned { said, .. } if !said.is_empty()));
    std::fs::write(place.path("bundle"), "old").unwrap();
    assert!(matches!(place.refused(&place.args()), Error::Exists { .. }));
    assert_eq!(std::fs::read(place.path("bundle")).unwrap(), b"old");
    std::fs::set_permissions(place.path("desk"), PermissionsExt::from_mode(0o640)).unwrap();
    let args = PackArgs { out: place.path("new"), ..place.args() };
    let error = place.refused(&args);
    assert!(matches!(error, Error::KeyMode { mode: 0o640, .. }));
    assert!(error.hint().unwrap().starts_with("chmod 600 "));
}

#[test]
fn the_arguments_are_what_the_examples_say() {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        pack: PackArgs,
    }
    use clap::{CommandFactory, Parser};
    Cli::command().debug_assert();
    let line = "pack --desk desk-1 --key k --requests r/ --sequence 2 --answers release-1/ --release 1 --out b";
    let args = Cli::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{e}")).pack;
    assert_eq!((args.sequence, args.release, args.expires_days), (2, Some(1), 14));
    for wrong in [
        line.replace(" --release 1", ""),
        line.replace("--sequence 2", "--sequence 0"),
        format!("{line} --expires-days 0"),
    ] {
        assert!(Cli::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
    }
}

const HIERARCHY: &str = r#"
format = "coldroot-hierarchy-v0"
name = "Rehearsal"
environment = "rehearsal"
origin = "example.org/rehearsal"

[audit]
token = "main"
key-label = "audit"

[quorum]
init = { officer = 1 }
keys = { officer = 1 }
certificates = { officer = 1 }

[[person]]
id = "alice"
name = "Alice"
roles = ["officer"]
keys = ["OFFICER"]

[[desk]]
id = "desk-1"
keys = ["DESK"]
profiles = ["xmpp-server"]

[[token]]
id = "main"
module = "/usr/lib/softhsm/libsofthsm2.so"
label = "main"

[[key]]
id = "root"
token = "main"
label = "root"
algorithm = "ecdsa-p384"
backup = "none"

[[ca]]
id = "root"
key = "root"
issuer = "root"
profile = "root"
subject = [{ O = "REHEARSAL" }, { CN = "Root" }]
days = 3650
crl-days = 365

[[profile]]
id = "root"
base = "root"

[[profile]]
id = "xmpp-server"
base = "xmpp-server"
issuer = "root"

[[profile]]
id = "second"
base = "xmpp-server"
issuer = "root"
"#;
