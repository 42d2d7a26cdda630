//! A station made with the binary, verb by verb, and the same station again from a copy.
//!
//! Every command runs with the station as its working directory, and the token's configuration is named relative to it:
//! a copied station is a whole second one, with a token of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coldroot::audit::Log;
use coldroot::audit::entry::{Body, Entry};
use coldroot::digest::Digest;
use serde_json::Value;

use super::copy_tree;

/// The binary under test.
pub const COLDROOT: &str = env!("CARGO_BIN_EXE_coldroot");
pub const PIN: &str = "user-1234";
const PEOPLE: [(&str, &str); 4] =
    [("alice", "officer"), ("bob", "officer"), ("carol", "operator"), ("dave", "witness")];

/// What a run of the binary came to.
#[derive(Clone, Debug)]
pub struct Run {
    /// The exit code; -1 after a signal.
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn of(command: &mut Command) -> Run {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the binary prints UTF-8");
        Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The `--json` result.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        self.json()
    }

    /// Asserts exit code and message; every refusal says what to do next.
    #[track_caller]
    pub fn fails(&self, code: i32, saying: &str) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        let json = self.json();
        let what = json["error"].as_str().unwrap_or_default();
        assert!(what.contains(saying), "`{what}` does not say `{saying}`");
        assert_eq!(json["exit"], code);
        assert!(json["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "no next step: {json}");
        json
    }
}

/// A rehearsal's station with its desk and officers.
pub struct Station {
    root: tempfile::TempDir,
    hierarchy: String,
    /// Goes before the binary: `unshare -n`, where copies of one token are to run at the same time.
    under: &'static [&'static str],
}

/// Seconds since the epoch.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("coldroot-station-").tempdir().unwrap()
}

impl Station {
    /// Token initialised, hierarchy written and approved; `init` not yet run.
    pub fn bare() -> Station {
        Station::bare_of(HIERARCHY.into())
    }

    /// The same with a hierarchy of the test's own, made from [`HIERARCHY`]: `@PEOPLE@` stands for the roster, `@KEY alice@` for
    /// one person's key.
    pub fn bare_of(hierarchy: String) -> Station {
        let station = Station::new_of(hierarchy);
        station.token_init();
        station.approve(Path::new("hierarchy.toml"));
        station
    }

    /// Initialises the token `main` and writes its serial where the hierarchy has `@SERIAL@`.
    pub fn token_init(&self) {
        let made = self.run(&["token", "init", "--token", "main"]).ok();
        self.write_hierarchy(&format!("serial = \"{}\"", made["serial"].as_str().unwrap()));
    }

    /// The same before its token is initialised.
    pub fn new_of(hierarchy: String) -> Station {
        let station = Station { root: scratch(), hierarchy, under: &[] };
        station.make_new();
        station
    }

    /// Root and intermediate made: releases 1 and 2 are out.
    pub fn ready() -> Station {
        Station::ready_of(HIERARCHY.into())
    }

    /// The same with a hierarchy of the test's own.
    pub fn ready_of(hierarchy: String) -> Station {
        let station = Station::bare_of(hierarchy);
        station.init().ok();
        for _ in ["keys", "certificates"] {
            let plan = station.planned_ceremony();
            station.sign(&plan, &station.approve(&plan)).ok();
        }
        station
    }

    /// A second station as this one stands, its token included: the two may not run at the same time, since a gate holds
    /// its token by label and serial.
    pub fn copy(&self) -> Station {
        let station = Station { root: scratch(), hierarchy: self.hierarchy.clone(), under: self.under };
        copy_tree(self.root.path(), station.root.path());
        station
    }

    /// The same with a network of its own where that may be: copies of one station may run side by side then.
    pub fn copy_apart(&self) -> Station {
        self.copy().apart()
    }

    pub fn apart(self) -> Station {
        Station { under: super::lanes::network().unwrap_or_default(), ..self }
    }

    /// The same station under another hierarchy, made from [`HIERARCHY`] like its own.
    pub fn with(self, hierarchy: String) -> Station {
        let station = Station { hierarchy, ..self };
        station.write_hierarchy("");
        station
    }

    /// A station whose directory was made by the test.
    pub fn found(root: tempfile::TempDir) -> Station {
        Station { root, hierarchy: String::new(), under: &[] }
    }

    /// What holds the station, its desk, and what a test puts beside them.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Leaves everything where it lies, for a person to look at.
    pub fn keep(mut self) -> PathBuf {
        self.root.disable_cleanup(true);
        self.root.path().to_path_buf()
    }

    fn make_new(&self) {
        for dir in [self.dir(), self.desk(""), self.path("token"), self.path("officers")] {
            fs::create_dir_all(dir).unwrap();
        }
        let conf = "directories.tokendir = token\nobjectstore.backend = file\nlog.level = ERROR\n";
        fs::write(self.path("softhsm2.conf"), conf).unwrap();
        let conf = "[[slots]]\nslot = 0\ndbtype = \"sqlite\"\ndbargs = \"token/kryoptic.sql\"\n";
        fs::write(self.path("kryoptic.conf"), conf).unwrap();
        fs::write(self.path("pin.txt"), format!("{PIN}\n")).unwrap();
        fs::write(self.path("so-pin.txt"), "so-87654321\n").unwrap();
        for (person, _) in PEOPLE {
            ssh_key(&self.path("officers").join(person));
        }
        ssh_key(&self.path("officers/mallory"));
        ssh_key(&self.desk("desk-1"));
        ssh_key(&self.desk("other"));
        ssh_key(&self.desk("desk-2"));
        self.write_hierarchy("");
    }

    fn write_hierarchy(&self, serial: &str) {
        let public = |path: PathBuf| fs::read_to_string(path).unwrap().trim().to_owned();
        let people: String = PEOPLE
            .iter()
            .map(|(id, role)| {
                let key = public(self.path(&format!("officers/{id}.pub")));
                format!("\n[[person]]\nid = \"{id}\"\nname = \"{id}\"\nroles = [\"{role}\"]\nkeys = [\"{key}\"]\n")
            })
            .collect();
        let text = self
            .hierarchy
            .replace("@MODULE@", super::softhsm().to_str().unwrap())
            .replace("@SERIAL@", serial)
            .replace("@DESK@", &public(self.desk("desk-1.pub")))
            .replace("@DESK 2@", &public(self.desk("desk-2.pub")))
            .replace("@PEOPLE@", &people);
        let text = PEOPLE.iter().fold(text, |text, (id, _)| {
            text.replace(&format!("@KEY {id}@"), &public(self.path(&format!("officers/{id}.pub"))))
        });
        fs::write(self.path("hierarchy.toml"), text).unwrap();
    }

    /// The station's directory.
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("station")
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir().join(relative)
    }

    pub fn desk(&self, relative: &str) -> PathBuf {
        self.root.path().join("desk").join(relative)
    }

    /// A command of the binary with `--json`, in the station.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_of(COLDROOT, &[], args)
    }

    /// The same under another program (`strace …`).
    pub fn command_of(&self, program: &str, before: &[&str], args: &[&str]) -> Command {
        let whole = [self.under, &[program], before].concat();
        let mut command = Command::new(whole[0]);
        command.args(&whole[1..]).args(["--json", "--plain"]).args(args).current_dir(self.dir());
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(&mut self.command(args))
    }

    pub fn init_args(&self) -> [&'static str; 5] {
        ["init", "--approval", "hierarchy.toml.alice.sig", "--approval", "hierarchy.toml.bob.sig"]
    }

    pub fn init(&self) -> Run {
        self.run(&self.init_args())
    }

    /// Writes `rows` and their requests into a directory of the desk: (request id, names, DER).
    pub fn requests(&self, name: &str, rows: &[Row]) -> PathBuf {
        self.requests_by(name, "hostmaster@example.org", rows)
    }

    /// The same for another requester.
    pub fn requests_by(&self, name: &str, requester: &str, rows: &[Row]) -> PathBuf {
        let dir = self.desk(name);
        fs::create_dir_all(&dir).unwrap();
        let mut table = String::from("request,profile,requester,names\n");
        for row in rows {
            fs::write(dir.join(format!("{}.der", row.request)), &row.csr).unwrap();
            table.push_str(&format!("{},xmpp-server,{requester},{}\n", row.request, row.names.join(" ")));
        }
        fs::write(dir.join("requests.csv"), table).unwrap();
        dir
    }

    /// Packs a bundle of the desk with that number; `extra` are further arguments. Returns its path.
    pub fn pack_with(&self, requests: &Path, sequence: u64, extra: &[&str]) -> PathBuf {
        let out = self.desk(&format!("{}-{sequence}.bundle", requests.file_name().unwrap().to_str().unwrap()));
        let key = self.desk("desk-1");
        let (requests, shown, key) = (requests.to_str().unwrap(), out.to_str().unwrap(), key.to_str().unwrap());
        let sequence = sequence.to_string();
        let mut args = vec!["pack", "--desk", "desk-1", "--key", key, "--requests", requests];
        args.extend(["--sequence", &sequence, "--out", shown]);
        args.extend(extra);
        self.run(&args).ok();
        out
    }

    pub fn pack(&self, requests: &Path, sequence: u64) -> PathBuf {
        self.pack_with(requests, sequence, &[])
    }

    /// A bundle of `n` generated requests.
    pub fn bundle(&self, n: u64, sequence: u64) -> PathBuf {
        let requests = self.requests(&format!("requests-{sequence}"), &generated(n, sequence));
        self.pack(&requests, sequence)
    }

    pub fn plan(&self, bundle: &Path) -> Run {
        self.run(&["plan", "--bundle", bundle.to_str().unwrap()])
    }

    /// The plan of a bundle that is to be accepted, by its path.
    #[track_caller]
    pub fn planned(&self, bundle: &Path) -> PathBuf {
        PathBuf::from(self.plan(bundle).ok()["plan"].as_str().unwrap())
    }

    /// One person's signature file.
    pub fn approve_as(&self, what: &Path, person: &str, key: &str) -> PathBuf {
        let key = format!("officers/{key}");
        let made = self.run(&["approve", what.to_str().unwrap(), "--person", person, "--key", &key]).ok();
        PathBuf::from(made["signature"].as_str().unwrap())
    }

    /// Both officers sign.
    pub fn approve(&self, what: &Path) -> Vec<PathBuf> {
        ["alice", "bob"].map(|person| self.approve_as(what, person, person)).to_vec()
    }

    /// Both officers sign the hierarchy as it stands now, in place of another one that they have signed.
    pub fn approve_again(&self) {
        for person in ["alice", "bob"] {
            fs::remove_file(self.path(&format!("hierarchy.toml.{person}.sig"))).unwrap();
        }
        self.approve(Path::new("hierarchy.toml"));
    }

    /// The next plan of the station's ceremony.
    #[track_caller]
    pub fn planned_ceremony(&self) -> PathBuf {
        self.planned_ceremony_of(CEREMONY)
    }

    /// The next plan of a ceremony with this text.
    #[track_caller]
    pub fn planned_ceremony_of(&self, text: &str) -> PathBuf {
        fs::write(self.path("ceremony.toml"), text).unwrap();
        PathBuf::from(self.run(&["plan", "--ceremony", "ceremony.toml"]).ok()["plan"].as_str().unwrap())
    }

    pub fn sign_args<'a>(&self, plan: &'a Path, approvals: &'a [PathBuf]) -> Vec<&'a str> {
        let mut args = vec!["sign", "--operator", "carol", "--witness", "dave", "--plan", plan.to_str().unwrap()];
        for approval in approvals {
            args.extend(["--approval", approval.to_str().unwrap()]);
        }
        args
    }

    pub fn sign(&self, plan: &Path, approvals: &[PathBuf]) -> Run {
        self.run(&self.sign_args(plan, approvals))
    }

    /// Approves and signs a plan; the path of its release.
    #[track_caller]
    pub fn carried_out(&self, plan: &Path) -> PathBuf {
        self.released(self.sign(plan, &self.approve(plan)))
    }

    /// The same with approvals that were given before.
    #[track_caller]
    pub fn carried_out_with(&self, plan: &Path, approvals: &[String]) -> PathBuf {
        let approvals: Vec<PathBuf> = approvals.iter().map(PathBuf::from).collect();
        self.released(self.sign(plan, &approvals))
    }

    #[track_caller]
    pub fn released(&self, run: Run) -> PathBuf {
        self.dir().join(run.ok()["directory"].as_str().unwrap())
    }

    /// The plan that these arguments of `plan` make.
    #[track_caller]
    pub fn planned_by(&self, args: &[&str]) -> PathBuf {
        let args: Vec<&str> = ["plan"].iter().chain(args).copied().collect();
        PathBuf::from(self.run(&args).ok()["plan"].as_str().unwrap())
    }

    /// The certificates on record that answer requests: request, CA, DER.
    pub fn leaves(&self) -> Vec<(String, String, Vec<u8>)> {
        let leaf = |body| match body {
            Body::Certificate(c) => Some((c.request?, c.ca, c.der.into_vec())),
            _ => None,
        };
        self.bodies().into_iter().filter_map(leaf).collect()
    }

    /// The serial number of the newest certificate for this request, in hex.
    pub fn serial_of(&self, request: &str) -> String {
        let leaves = self.leaves();
        let (.., der) = leaves.iter().rev().find(|(id, ..)| id == request).unwrap();
        coldroot::text::hex(&coldroot::x509::read_certificate(der).unwrap().serial)
    }

    pub fn verifier_key(&self) -> String {
        fs::read_to_string(self.path("verifier-key")).unwrap().trim().to_owned()
    }

    /// Every entry of the station's log, sealed or not.
    pub fn entries(&self) -> Vec<Entry> {
        let log = Log::read(&self.path("audit")).unwrap();
        log.entries(0..log.size()).map(|entry| entry.unwrap().1).collect()
    }

    pub fn bodies(&self) -> Vec<Body> {
        self.entries().into_iter().map(|entry| entry.body).collect()
    }

    /// What a refused run may not change: the log, and the names of the files that are handed on.
    pub fn state(&self) -> (Vec<Entry>, Vec<PathBuf>) {
        let mut files = super::files(&self.path("out"));
        files.extend(super::files(&self.path("in")));
        files.extend(super::files(&self.path("audit/artefact")));
        (self.entries(), files)
    }

    /// What a refused bundle leaves: that it was read in, and nothing else.
    #[track_caller]
    pub fn only_read_in(&self, before: &(Vec<Entry>, Vec<PathBuf>), bundle: &Path) {
        let (mut entries, files) = self.state();
        let last = entries.pop().map(|entry| entry.body);
        assert_eq!(last, Some(read_in(bundle)));
        assert!((entries, files) == *before, "more was recorded or left behind than that it was read in");
    }

    pub fn save_audit(&self, name: &str) -> PathBuf {
        let to = self.root.path().join(name);
        copy_tree(&self.path("audit"), &to);
        to
    }

    pub fn restore_audit(&self, from: &Path) {
        let _ = fs::remove_dir_all(self.path("audit"));
        copy_tree(from, &self.path("audit"));
    }

    /// The log is good for the program and for the independent verifier.
    #[track_caller]
    pub fn check_log(&self) {
        let key = self.verifier_key();
        self.run(&["check", "audit", "--verifier-key", &key]).ok();
        let run = super::verify_py(&self.path("audit"), &key, None);
        assert_eq!(run.code, 0, "{run:?}");
    }
}

/// The entry that says that this file was copied in.
pub fn read_in(file: &Path) -> Body {
    let (name, octets) = (file.file_name().unwrap().to_str().unwrap(), fs::read(file).unwrap());
    Body::MediumRead { name: name.into(), digest: Digest::of(&octets), octets: octets.len() as u64 }
}

/// A request for the desk's table.
pub struct Row {
    pub request: String,
    pub names: Vec<String>,
    pub csr: Vec<u8>,
}

/// A request for these names under a new key, by openssl.
pub fn fresh(request: &str, names: &[&str]) -> Row {
    let san: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    let san = format!("subjectAltName={}", san.join(","));
    let subject = format!("/CN={}", names[0]);
    let args =
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null"];
    let more = ["-outform", "DER", "-subj", &subject, "-addext", &san];
    let output = Command::new("openssl").args(args).args(more).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = names.iter().map(|name| name.to_string()).collect();
    Row { request: request.into(), names, csr: output.stdout }
}

/// `n` requests, others for another seed.
pub fn generated(n: u64, seed: u64) -> Vec<Row> {
    let row = |request: coldroot::bundle::Request| Row {
        request: request.request,
        names: request.names,
        csr: request.csr.to_vec(),
    };
    coldroot::requests::generate(n, seed).map(|request| row(request.unwrap())).collect()
}

/// A pair outside of any station: the public line, and the path of the private half.
pub fn pair(dir: &Path, name: &str) -> (String, PathBuf) {
    let path = dir.join(name);
    ssh_key(&path);
    (fs::read_to_string(dir.join(format!("{name}.pub"))).unwrap().trim().to_owned(), path)
}

/// Makes a pair for the stock `ssh-keygen`, without a passphrase.
pub fn ssh_key(path: &Path) {
    let run = Run::of(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(path));
    assert_eq!(run.code, 0, "{run:?}");
}

pub const CEREMONY: &str = r#"format = "coldroot-ceremony-v0"
title = "Root and intermediate"

[[act]]
kind = "generate-key"
key = "root-key"

[[act]]
kind = "generate-key"
key = "xmpp-key"

[[act]]
kind = "root"
ca = "root"

[[act]]
kind = "intermediate"
ca = "xmpp-1"
"#;

pub const HIERARCHY: &str = r#"format = "coldroot-hierarchy-v0"
name = "Road"
environment = "rehearsal"
origin = "example.org/coldroot/demo"

[audit]
token = "main"
key-label = "audit"

[[token]]
id = "main"
module = "@MODULE@"
label = "road"
@SERIAL@
env = { SOFTHSM2_CONF = "softhsm2.conf" }
pin-file = "pin.txt"
so-pin-file = "so-pin.txt"
sessions = 2

[[key]]
id = "root-key"
token = "main"
label = "root"
algorithm = "ecdsa-p384"
backup = "none"

[[key]]
id = "xmpp-key"
token = "main"
label = "xmpp-1"
algorithm = "ecdsa-p256"
backup = "none"

[[ca]]
id = "root"
key = "root-key"
issuer = "root"
profile = "root"
subject = [{ O = "REHEARSAL" }, { CN = "Road Root" }]
days = 7300
crl-days = 365
crl-urls = ["http://ca.example.org/root.crl"]
issuer-urls = ["http://ca.example.org/root.cer"]

[[ca]]
id = "xmpp-1"
key = "xmpp-key"
issuer = "root"
profile = "intermediate"
subject = [{ O = "REHEARSAL" }, { CN = "Road XMPP 1" }]
days = 3650
crl-days = 10
crl-urls = ["http://ca.example.org/xmpp-1.crl"]
issuer-urls = ["http://ca.example.org/xmpp-1.cer"]

[[profile]]
id = "root"
base = "root"

[[profile]]
id = "intermediate"
base = "intermediate"
path-len = 0

[[profile]]
id = "xmpp-server"
base = "xmpp-server"
issuer = "xmpp-1"
days = 90

[[desk]]
id = "desk-1"
keys = ["@DESK@"]
profiles = ["xmpp-server"]
@PEOPLE@"#;
