//! A real station on SoftHSM, with the audit key and the CA keys on two tokens, and a parent that may lie. All of these keys are of
//! one kind, so that their kind never tells one from the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use coldroot::approval;
use coldroot::audit::entry::{Approved, Body, End, Entry, Start};
use coldroot::audit::mark::Mark;
use coldroot::audit::{Log, merkle};
use coldroot::cbor::Bytes;
use coldroot::config::Hierarchy;
use coldroot::digest::Digest;
use coldroot::gate::{Error, Gate, Reply, Request};
use coldroot::ledger::Ledger;
use coldroot::plan::{self, Head, Item, KeyRef, Kind, Plan, PlanWriter};
use coldroot::secret::Secret;
use coldroot::token::ask::{Answer, Ask, KeyFacts};
use coldroot::token::client::Worker;

pub const EXE: &str = env!("CARGO_BIN_EXE_coldroot");
pub const PIN: &str = "834261907";

const CEREMONY: &str = r#"format = "coldroot-ceremony-v0"
title = "Root and intermediate"
act = [
    { kind = "generate-key", key = "root-key" },
    { kind = "generate-key", key = "xmpp-key" },
    { kind = "root", ca = "root" },
    { kind = "intermediate", ca = "xmpp-1" },
]
"#;

const HIERARCHY: &str = r#"format = "coldroot-hierarchy-v0"
name = "Gate test"
environment = "rehearsal"
origin = "example.org/coldroot/gate"
audit = { token = "log", key-label = "audit", algorithm = "ecdsa-p256" }

person = [
    { id = "alice", name = "Alice", roles = ["officer"], keys = ["@alice@", "@alice-2@"] },
    { id = "bob", name = "Bob", roles = ["officer"], keys = ["@bob@"] },
    { id = "carol", name = "Carol", roles = ["operator"], keys = ["@carol@"] },
    { id = "dave", name = "Dave", roles = ["witness"] },
    { id = "olga", name = "Olga", roles = ["officer"], keys = ["@olga@"], expires = "2020-02-29" },
]
key = [
    { id = "root-key", token = "main", label = "root", algorithm = "ecdsa-p256", backup = "none" },
    { id = "xmpp-key", token = "main", label = "xmpp-1", algorithm = "ecdsa-p256", backup = "none" },
    { id = "spare-key", token = "main", label = "spare", algorithm = "ecdsa-p256", backup = "none" },
]
ca = [
    { id = "root", key = "root-key", issuer = "root", profile = "root", subject = [{ O = "REHEARSAL" }, { CN = "Root" }], days = 7300, crl-days = 365, crl-urls = ["http://ca.example.org/root.crl"], issuer-urls = ["http://ca.example.org/root.cer"] },
    { id = "xmpp-1", key = "xmpp-key", issuer = "root", profile = "intermediate", subject = [{ O = "REHEARSAL" }, { CN = "XMPP 1" }], days = 3650, crl-days = 10, crl-urls = ["http://ca.example.org/xmpp-1.crl"], issuer-urls = ["http://ca.example.org/xmpp-1.cer"] },
]
profile = [
    { id = "root", base = "root" },
    { id = "intermediate", base = "intermediate", path-len = 0 },
]
"#;

/// The station, its true keys, and what a plan of its own holds. One for all tests, used by one at a time.
pub struct World {
    pub dir: PathBuf,
    pub station: PathBuf,
    pub hierarchy: Hierarchy,
    /// The certificate plan's items: root, intermediate and their CRLs.
    pub items: Vec<Item>,
    pub root_key: KeyRef,
    pub xmpp_key: KeyRef,
    /// The audit key as a plan would name it.
    pub audit_key: KeyRef,
    /// Directories of the two tokens; a test may make others beside them.
    tokens: Vec<PathBuf>,
}

pub fn world() -> MutexGuard<'static, World> {
    static WORLD: OnceLock<Mutex<World>> = OnceLock::new();
    WORLD.get_or_init(|| Mutex::new(World::build())).lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn build() -> World {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gate");
        let _ = fs::remove_dir_all(&dir);
        let station = dir.join("station");
        for path in [&station, &dir.join("tokens"), &dir.join("people")] {
            fs::create_dir_all(path).unwrap();
        }
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            dir.join("tokens").display()
        );
        fs::write(dir.join("softhsm2.conf"), conf).unwrap();
        for name in ["alice", "alice-2", "bob", "carol", "eve", "mallory", "olga"] {
            let key = dir.join("people").join(name);
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&key).status();
            assert!(made.unwrap().success());
        }
        let mut tokens = String::new();
        for id in ["log", "main"] {
            tokens = station_with_token(&dir, &station, HIERARCHY, tokens, id);
        }
        let file = station.join("hierarchy.toml");
        fs::write(station.join("ceremony.toml"), CEREMONY).unwrap();
        let approvals = approve(&dir, &file);
        coldroot(&station, &[&["init"], strs(&approvals).as_slice()].concat());
        let mut plans = Vec::new();
        for _ in 0..2 {
            let ceremony = station.join("ceremony.toml");
            let planned = coldroot(&station, &["plan", "--ceremony", ceremony.to_str().unwrap()]);
            let path = planned["plan"].as_str().unwrap().to_string();
            let approvals = approve(&dir, Path::new(&path));
            let people = ["sign", "--plan", &path, "--operator", "carol", "--witness", "dave"];
            coldroot(&station, &[people.as_slice(), strs(&approvals).as_slice()].concat());
            plans.push(path);
        }
        let mut plan = Plan::open(Path::new(&plans[1])).unwrap();
        let items = (0..plan.head().items).map(|n| plan.item(n).unwrap()).collect();
        let hierarchy = Hierarchy::load(&file).unwrap();
        let log = Log::read(&station.join("audit")).unwrap();
        let mut ledger = Ledger::default();
        for entry in log.entries(0..log.size()) {
            let (index, entry, _) = entry.unwrap();
            ledger.add(&log, index, &entry).unwrap();
        }
        let key = |id: &str| {
            let k = &ledger.keys[id];
            let (label, cka_id, spki) = (k.label.clone(), k.cka_id.clone(), k.spki.clone());
            KeyRef { key: id.into(), token: k.token.clone(), label, cka_id, algorithm: k.algorithm, spki }
        };
        let (root_key, xmpp_key) = (key("root-key"), key("xmpp-key"));
        let [facts] = &on_token(&hierarchy, "log", "audit")[..] else { panic!("no audit key") };
        let audit_key = KeyRef {
            key: "audit".into(),
            token: "log".into(),
            label: "audit".into(),
            cka_id: facts.cka_id.clone(),
            algorithm: facts.algorithm,
            spki: facts.spki.clone(),
        };
        let tokens = fs::read_dir(dir.join("tokens")).unwrap().map(|d| d.unwrap().path()).collect();
        World { dir, station, hierarchy, items, root_key, xmpp_key, audit_key, tokens }
    }

    /// The text of the true hierarchy.
    pub fn hierarchy_text(&self) -> String {
        fs::read_to_string(self.station.join("hierarchy.toml")).unwrap()
    }

    /// A directory of the attacker's own, with a hierarchy of his own and the PINs that people would type.
    pub fn false_station(&self, name: &str, hierarchy: &str) -> PathBuf {
        let station = self.dir.join(name);
        fs::create_dir_all(&station).unwrap();
        fs::write(station.join("hierarchy.toml"), hierarchy).unwrap();
        for file in ["pin.txt", "so-pin.txt"] {
            fs::copy(self.station.join(file), station.join(file)).unwrap();
        }
        station
    }

    /// Begins another token in the same SoftHSM, under a hierarchy template; the declared tokens so far are kept.
    pub fn another_token(&self, station: &Path, template: &str, tokens: &str, id: &str) -> String {
        station_with_token(&self.dir, station, template, tokens.into(), id)
    }

    pub fn public(&self, name: &str) -> String {
        public(&self.dir, name)
    }

    pub fn gate(&self) -> Gate {
        gate_at(&self.station)
    }

    /// Gate and log, logged in to both tokens: where an honest run stands before it starts a plan.
    pub fn parent(&self) -> Parent {
        self.parent_at(None)
    }

    /// The same at another time, which a rehearsal's gate takes from its parent.
    pub fn parent_at(&self, now: Option<i64>) -> Parent {
        let mut gate = Gate::start_exe(Path::new(EXE), &self.station, now, BTreeMap::new()).unwrap();
        gate.login("log").unwrap();
        gate.login("main").unwrap();
        let mark = Mark::decode(&gate.mark().unwrap().unwrap()).unwrap();
        gate.grow_from(mark.size, mark.root);
        Parent { gate, log: Log::open(&self.station.join("audit")).unwrap(), release: mark.release }
    }

    /// What the token remembers, asked by a process that knows nothing of the one before.
    pub fn mark(&self) -> Mark {
        let mut gate = self.gate();
        gate.login("log").unwrap();
        Mark::decode(&gate.mark().unwrap().unwrap()).unwrap()
    }

    /// Every object of the two tokens: keys, mark, the log's name.
    pub fn objects(&self) -> BTreeMap<PathBuf, Digest> {
        let files = self.tokens.iter().flat_map(|dir| fs::read_dir(dir).unwrap()).map(|f| f.unwrap().path());
        let objects = files.filter(|p| p.extension().is_some_and(|e| e == "object") && !p.ends_with("token.object"));
        objects.map(|path| (path.clone(), Digest::of(&fs::read(&path).unwrap()))).collect()
    }

    /// Runs attacks; afterwards the tokens hold the same objects, octet by octet, and a new process reads the same mark.
    pub fn unchanged(&self, mut parent: Parent, attacks: impl FnOnce(&mut Parent)) {
        let (objects, mark) = (self.objects(), parent.gate.mark().unwrap().unwrap());
        attacks(&mut parent);
        assert_eq!(self.objects(), objects, "a token was changed");
        drop(parent);
        assert_eq!(self.mark(), Mark::decode(&mark).unwrap());
    }

    /// Writes a plan that follows the last release, after `edit`.
    pub fn plan(&self, parent: &Parent, kind: Kind, items: &[Item], edit: impl FnOnce(&mut Head)) -> PlanFile {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        let mut head = Head {
            kind,
            name: self.hierarchy.name.clone(),
            origin: self.hierarchy.origin.clone(),
            environment: self.hierarchy.environment,
            hierarchy: self.hierarchy.digest,
            release_before: parent.release,
            sign_from: now - 60,
            sign_until: now + 3600,
            bundle: None,
            dry_run: None,
            block_lists: Vec::new(),
            broken_keys: Vec::new(),
            lints: Vec::new(),
            nonce: Bytes::from(nonce.to_vec()),
            items: 0,
            refused: 0,
            counts: vec![],
        };
        edit(&mut head);
        let mut writer = PlanWriter::new(kind, &self.dir).unwrap();
        items.iter().for_each(|item| writer.item(item).unwrap());
        let path = self.dir.join(format!("{}.plan", coldroot::text::hex(&nonce)));
        let head = writer.finish(head, &mut fs::File::create(&path).unwrap()).unwrap();
        let digest = Plan::open(&path).unwrap().digest();
        PlanFile { statement: plan::statement(&head, &digest), path, digest }
    }

    /// SSH signatures over a text, by these keys.
    pub fn sign(&self, text: &str, names: &[&str]) -> Vec<String> {
        let one = |name: &&str| {
            let file = self.dir.join("people").join(format!("{name}.text"));
            fs::write(&file, text).unwrap();
            let signature = file.with_extension("text.sig");
            let _ = fs::remove_file(&signature);
            let mut run = Command::new("ssh-keygen");
            run.args(["-q", "-Y", "sign", "-n", plan::NAMESPACE, "-f"]).arg(self.dir.join("people").join(name));
            assert!(run.arg(&file).output().unwrap().status.success());
            fs::read_to_string(&signature).unwrap()
        };
        names.iter().map(one).collect()
    }

    /// Both officers sign; the start of the plan is recorded and sealed as an honest parent would.
    pub fn start(&self, parent: &mut Parent, plan: &PlanFile) -> Request {
        let approvals = self.sign(&plan.statement, &["alice", "bob"]);
        let index = parent.append(self.start_entry(plan, &approvals));
        parent.seal();
        parent.start(plan, &approvals, index)
    }

    /// The start entry that a parent would record for these signatures, whatever they are worth.
    pub fn start_entry(&self, plan: &PlanFile, signatures: &[String]) -> Body {
        let approvals = self.approved(&plan.statement, signatures);
        let (operator, witness) = ("carol".into(), "dave".into());
        Body::Start(Start { plan: plan.digest, approvals, operator, witness, witness_time: None })
    }

    /// Signatures as a parent would record them, whatever they are worth.
    pub fn approved(&self, statement: &str, signatures: &[String]) -> Vec<Approved> {
        let mut approvals: Vec<Approved> = Vec::new();
        for armored in signatures {
            let signature = Digest::of(armored.as_bytes());
            let (person, fingerprint) = match approval::verify_person(statement, armored, &self.hierarchy.persons) {
                Ok(a) => (a.person, a.fingerprint),
                Err(_) => ("bob".into(), "SHA256:0".into()),
            };
            if !approvals.iter().any(|a| a.person == person) {
                approvals.push(Approved { person, fingerprint, signature });
            }
        }
        approvals
    }

    /// All that has the label on a token.
    pub fn on_token(&self, token: &str, label: &str) -> Vec<KeyFacts> {
        on_token(&self.hierarchy, token, label)
    }
}

/// A plan on disk.
pub struct PlanFile {
    pub path: PathBuf,
    pub digest: Digest,
    pub statement: String,
}

/// The parent's end: what a compromised one holds.
pub struct Parent {
    pub gate: Gate,
    pub log: Log,
    /// The last release.
    pub release: u64,
}

impl Parent {
    pub fn append(&mut self, body: Body) -> u64 {
        self.log.append(&Entry::new(1_795_305_600, body)).unwrap()
    }

    pub fn seal(&mut self) {
        self.log.checkpoint(&mut self.gate).unwrap();
    }

    /// The octets of an entry and its proof in the tree of `size` entries.
    pub fn proof(&self, index: u64, size: u64) -> (Bytes, Vec<Digest>) {
        let (_, _, bytes) = self.log.entries(index..index + 1).next().unwrap().unwrap();
        (Bytes::from(bytes), self.log.inclusion_proof(index, size).unwrap())
    }

    pub fn start(&self, plan: &PlanFile, approvals: &[String], index: u64) -> Request {
        let (entry, inclusion) = self.proof(index, self.log.size());
        Request::Start { plan: plan.path.clone(), approvals: approvals.to_vec(), entry, index, inclusion }
    }

    pub fn end(&self, index: u64) -> Request {
        let (entry, inclusion) = self.proof(index, self.log.size());
        Request::End { entry, index, inclusion }
    }

    pub fn end_entry(&mut self, plan: Digest, release: u64) -> u64 {
        self.append(Body::End(End { plan, release, done: 0, refused: 0, manifest: Digest::default() }))
    }

    /// Records the end of a plan and has it closed.
    pub fn finish(&mut self, plan: &PlanFile) {
        let index = self.end_entry(plan.digest, self.release + 1);
        self.seal();
        let end = self.end(index);
        assert!(matches!(self.gate.ask(&end).unwrap(), Reply::Ended));
        self.release += 1;
    }

    pub fn ask(&mut self, request: Request) -> Reply {
        self.gate.ask(&request).unwrap()
    }

    /// The request must be refused; why.
    pub fn refused(&mut self, request: Request) -> String {
        refused(&mut self.gate, request)
    }

    /// The start must be refused, and no item can be had after it.
    pub fn not_started(&mut self, request: Request, why: &str) {
        let what = self.refused(request);
        assert!(what.contains(why), "{what}");
        assert_eq!(self.refused(Request::Do { items: vec![0] }), "no plan is open");
    }
}

/// The request must be refused; why.
pub fn refused(gate: &mut Gate, request: Request) -> String {
    match gate.ask(&request) {
        Err(Error::Refused { what, .. }) => what,
        Ok(reply) => panic!("{request:?} was answered: {reply:?}"),
        Err(other) => panic!("{request:?}: {other}"),
    }
}

pub fn gate_at(station: &Path) -> Gate {
    Gate::start_exe(Path::new(EXE), station, None, BTreeMap::new()).unwrap()
}

/// A root that no log has.
pub fn nonsense() -> Digest {
    merkle::leaf_hash(b"nonsense")
}

/// Runs the real program on a station, which must do it; its JSON answer.
pub fn coldroot(station: &Path, args: &[&str]) -> serde_json::Value {
    let run = Command::new(EXE).args(["--json", "--plain", "--station"]).arg(station).args(args).output().unwrap();
    assert!(run.status.success(), "{args:?}: {}", String::from_utf8_lossy(&run.stdout));
    serde_json::from_slice(&run.stdout).unwrap()
}

/// `--approval` options with both officers' signatures.
fn approve(dir: &Path, path: &Path) -> Vec<String> {
    let one = |person: &str| {
        let key = dir.join("people").join(person);
        let mut run = Command::new(EXE);
        run.arg("approve").arg(path).args(["--person", person, "--key"]).arg(key);
        assert!(run.output().unwrap().status.success());
        [String::from("--approval"), format!("{}.{person}.sig", path.display())]
    };
    ["alice", "bob"].into_iter().flat_map(one).collect()
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn public(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join("people").join(format!("{name}.pub"))).unwrap().trim().into()
}

/// Writes the hierarchy with one token more, has the program initialise that token, and writes its serial in. Returns the
/// tokens declared by then.
fn station_with_token(dir: &Path, station: &Path, template: &str, tokens: String, id: &str) -> String {
    let modules = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    let module = modules.iter().find(|m| Path::new(m).exists()).expect("apt-get install softhsm2");
    for (file, pin) in [("pin.txt", PIN), ("so-pin.txt", "7152839046")] {
        fs::write(station.join(file), pin).unwrap();
    }
    let declare = |serial: &str| {
        let conf = dir.join("softhsm2.conf");
        // Declared, and made by the one test that needs it.
        let standby = match id {
            "log" => format!("standby = {:?}\n", super::handover::STANDBY),
            _ => String::new(),
        };
        let token = format!(
            "[[token]]\nid = \"{id}\"\nmodule = \"{module}\"\nlabel = \"gate {id}\"\n{serial}{standby}env = {{ SOFTHSM2_CONF = \"{}\" }}\n\
             pin-file = \"pin.txt\"\nso-pin-file = \"so-pin.txt\"\n",
            conf.display()
        );
        let people = ["alice", "alice-2", "bob", "carol", "eve", "mallory", "olga"];
        let text =
            people.iter().fold(template.to_string(), |t, name| t.replace(&format!("@{name}@"), &public(dir, name)));
        // The keys' own token is declared last; until then the first one stands in for it.
        let draft = if tokens.is_empty() { text.replace("\"main\"", &format!("\"{id}\"")) } else { text };
        fs::write(station.join("hierarchy.toml"), format!("{draft}{tokens}{token}")).unwrap();
        format!("{tokens}{token}")
    };
    declare("");
    let made = coldroot(station, &["token", "init", "--token", id]);
    declare(&format!("serial = \"{}\"\n", made["serial"].as_str().unwrap()))
}

fn on_token(hierarchy: &Hierarchy, token: &str, label: &str) -> Vec<KeyFacts> {
    let token = hierarchy.token(token).unwrap();
    let mut worker = Worker::start(Path::new(EXE), &["worker"], &token.env).unwrap();
    let (module, serial) = (token.module.clone(), token.serial.clone().unwrap());
    let open = Ask::Open {
        module,
        init_args: None,
        label: token.label.clone(),
        serial,
        slot: None,
        sessions: 1,
        keep_pin: false,
    };
    assert!(matches!(worker.ask(&open).unwrap(), Answer::Opened(_)));
    assert!(matches!(worker.login(&Secret::new(PIN.into())).unwrap(), Answer::LoggedIn));
    match worker.ask(&Ask::FindKeysByLabel { label: label.into() }).unwrap() {
        Answer::Keys(keys) => keys,
        other => panic!("{other:?}"),
    }
}
