//! A gate in this process, between a parent that says what the fuzzer makes up and a token that remembers what it was asked.
//!
//! The token is a worker of our own that knows no PKCS #11: it tells the facts of two keys, keeps data objects in files, and
//! writes down every question. So each input is judged by what reached the token, not by what the gate said about it. Used by
//! `fuzz_targets/gate.rs`, and on the stable toolchain by `softhsm-tests/gate/corpus.rs`, which replays the kept inputs.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use coldroot::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use coldroot::approval;
use coldroot::audit::entry::{Approved, Body, End, Entry, Start, Void};
use coldroot::audit::mark::Mark;
use coldroot::audit::{merkle, note};
use coldroot::cbor::{self, Bytes};
use coldroot::config::Hierarchy;
use coldroot::digest::Digest;
use coldroot::gate::{Proven, Reply, Request};
use coldroot::plan::{self, Crl, Head, Item, KeyRef, Kind, Plan, PlanWriter};
use coldroot::token::ask::{Answer, Ask, Class, Failure, KeyFacts, Place, Signature, TokenFacts};
use coldroot::wire;
use coldroot::x509::fields::CrlFields;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

const ORIGIN: &str = "example.org/coldroot/fuzz";
const NOW: i64 = 1_795_305_600;
const RELEASE: u64 = 4;
/// Entries of the log that the mark knows at the beginning.
const BEGUN: u64 = 3;
/// A gate that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The worker's environment names the scene's directory.
const DIR: &str = "SCENE";
const PEOPLE: [&str; 3] = ["alice", "bob", "mallory"];
/// SubjectPublicKeyInfo of Ed25519 up to the key (RFC 8410 §4).
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const HIERARCHY: &str = r#"format = "coldroot-hierarchy-v0"
name = "Fuzz"
environment = "rehearsal"
origin = "example.org/coldroot/fuzz"
audit = { token = "log", key-label = "audit" }

person = [
    { id = "alice", name = "Alice", roles = ["officer"], keys = ["@alice@"] },
    { id = "bob", name = "Bob", roles = ["officer"], keys = ["@bob@"] },
    { id = "carol", name = "Carol", roles = ["operator"] },
    { id = "dave", name = "Dave", roles = ["witness"] },
]
token = [
    { id = "log", module = "/none.so", label = "log", serial = "@SERIAL@", env = { SCENE = "@DIR@" }, pin-file = "pin.txt", so-pin-file = "pin.txt" },
    { id = "main", module = "/none.so", label = "main", serial = "@SERIAL@", env = { SCENE = "@DIR@" }, pin-file = "pin.txt", so-pin-file = "pin.txt" },
]
key = [
    { id = "root-key", token = "main", label = "root", algorithm = "ecdsa-p256", backup = "none" },
    { id = "spare-key", token = "main", label = "spare", algorithm = "ecdsa-p256", backup = "none" },
]
ca = [
    { id = "root", key = "root-key", issuer = "root", profile = "root", subject = [{ O = "REHEARSAL" }, { CN = "Root" }], days = 7300, crl-days = 365, crl-urls = ["http://ca.example.org/root.crl"], issuer-urls = ["http://ca.example.org/root.cer"] },
]
profile = [{ id = "root", base = "root" }]
"#;

/// A plan, what people have signed of it, and two ways in which a log may go on: start and end, or void and end.
struct Planned {
    path: PathBuf,
    tbs: Vec<Vec<u8>>,
    /// Over the statement and over the void statement: both officers, one of them, one twice, one and a stranger, nobody.
    approvals: [Vec<Vec<String>>; 2],
    ways: [Vec<Vec<u8>>; 2],
}

pub struct Scene {
    dir: PathBuf,
    workers: PathBuf,
    hierarchy: Hierarchy,
    mark: Mark,
    verifier_key: String,
    begun: Vec<Vec<u8>>,
    plans: Vec<Planned>,
}

impl Scene {
    /// `workers`: the program that becomes [`worker`] when it is started with this one argument.
    pub fn new(dir: &Path, workers: PathBuf) -> Scene {
        // A gate keeps others from its token: each scene has tokens of its own, whoever plays beside it.
        static SCENES: AtomicU32 = AtomicU32::new(0);
        let serial = format!("{:08x}{:08x}", std::process::id(), SCENES.fetch_add(1, Ordering::Relaxed));
        fs::write(dir.join("pin.txt"), "123456\n").unwrap();
        let text = HIERARCHY.replace("@SERIAL@", &serial).replace("@DIR@", dir.to_str().unwrap());
        let text = PEOPLE.iter().fold(text, |text, name| {
            text.replace(&format!("@{name}@"), &person(name).public_key().to_openssh().unwrap())
        });
        fs::write(dir.join("hierarchy.toml"), text).unwrap();
        let hierarchy = Hierarchy::load(&dir.join("hierarchy.toml")).unwrap();
        let open = |mark_size| Entry::new(NOW, Body::Open { mark_size, cut: 0 }).encode().unwrap();
        let begun: Vec<Vec<u8>> = (0..BEGUN).map(open).collect();
        let mark = Mark {
            origin: ORIGIN.into(),
            size: BEGUN,
            root: merkle::root(&Leaves::of(&begun), BEGUN).unwrap(),
            hierarchy: hierarchy.digest,
            release: RELEASE,
            open_plan: None,
            changes: 0,
            floor: 0,
            token: serial,
        };
        let verifier_key = note::VerifierKey::new(ORIGIN, [7; 32]).unwrap().to_string();
        let mut scene = Scene { dir: dir.into(), workers, hierarchy, mark, verifier_key, begun, plans: Vec::new() };
        // The good one; one after another release; one whose window is over; one that no officer has signed.
        let edits: [fn(&mut Head); 4] = [
            |_| (),
            |head| head.release_before += 1,
            |head| head.sign_until = NOW - 1,
            |head| head.nonce = Bytes::from(vec![9; 16]),
        ];
        for (n, edit) in edits.into_iter().enumerate() {
            let planned = scene.planned(n, edit);
            scene.plans.push(planned);
        }
        scene
    }

    fn planned(&self, n: usize, edit: impl Fn(&mut Head)) -> Planned {
        let tbs: Vec<Vec<u8>> = (0..5u8).map(|item| vec![0x30, u8::try_from(n).unwrap(), item]).collect();
        let mut writer = PlanWriter::new(Kind::Certificates, &self.dir).unwrap();
        for (number, tbs) in (1..).zip(&tbs) {
            let signature = SignatureAlgorithm::EcdsaSha256;
            let (issuer, aki) = (Bytes::from(vec![0x30, 0]), None);
            let (critical, others, revoked) = (vec![], vec![], vec![]);
            let (this_update, next_update) = (NOW, NOW + 86_400);
            let fields =
                CrlFields { signature, issuer, this_update, next_update, number, aki, revoked, critical, others };
            let crl = Crl { ca: "root".into(), signer: root_key(), tbs: Bytes::from(tbs.clone()), fields };
            writer.item(&Item::Crl(Box::new(crl))).unwrap();
        }
        let mut head = Head {
            kind: Kind::Certificates,
            name: self.hierarchy.name.clone(),
            origin: ORIGIN.into(),
            environment: self.hierarchy.environment,
            hierarchy: self.hierarchy.digest,
            release_before: RELEASE,
            sign_from: NOW - 60,
            sign_until: NOW + 3600,
            bundle: None,
            dry_run: None,
            block_lists: Vec::new(),
            broken_keys: Vec::new(),
            lints: Vec::new(),
            nonce: Bytes::from(vec![u8::try_from(n).unwrap(); 16]),
            items: 0,
            refused: 0,
            counts: vec![],
        };
        edit(&mut head);
        let path = self.dir.join(format!("{n}.plan"));
        let head = writer.finish(head, &mut File::create(&path).unwrap()).unwrap();
        let digest = Plan::open(&path).unwrap().digest();
        let reason = "it is not wanted any more";
        let statements = [plan::statement(&head, &digest), plan::void_statement(&head, &digest, 0, reason)];
        // Nobody has signed the last one: what is shown for it are signatures over another text.
        let signed =
            |statement: &String| if n == 3 { signed_by_groups("another text") } else { signed_by_groups(statement) };
        let approvals = [signed(&statements[0]), signed(&statements[1])];
        let recorded = |which: usize| -> Vec<Approved> {
            let one = |armored: &String| {
                let approval = approval::verify_person(&statements[which], armored, &self.hierarchy.persons).ok()?;
                let (person, fingerprint) = (approval.person, approval.fingerprint);
                Some(Approved { person, fingerprint, signature: Digest::of(armored.as_bytes()) })
            };
            approvals[which][0].iter().filter_map(one).collect()
        };
        let (operator, witness) = (|| "carol".to_owned(), || "dave".to_owned());
        let start = Start {
            plan: digest,
            approvals: recorded(0),
            operator: operator(),
            witness: witness(),
            witness_time: None,
        };
        let void = Void {
            plan: digest,
            reason: reason.into(),
            done: 0,
            approvals: recorded(1),
            operator: operator(),
            witness: witness(),
            witness_time: None,
        };
        let end =
            |done| End { plan: digest, release: RELEASE + 1, done, refused: 0, manifest: Digest::of(b"manifest") };
        let way = |bodies: [Body; 2]| bodies.map(|body| Entry::new(NOW, body).encode().unwrap()).to_vec();
        let ways = [way([Body::Start(start), Body::End(end(5))]), way([Body::Void(void), Body::End(end(0))])];
        Planned { path, tbs, approvals, ways }
    }

    /// Plays one input, and judges what the token was asked. Returns what the two tokens, log and keys, were asked.
    pub fn play(&self, input: &[u8]) -> [Vec<Ask>; 2] {
        for token in ["log", "main"] {
            let _ = fs::remove_file(self.dir.join(format!("asked-{token}")));
            let name = data_file(&self.dir, token, "coldroot log");
            fs::write(name, &self.verifier_key).unwrap();
        }
        fs::write(data_file(&self.dir, "log", "coldroot mark"), self.mark.encode().unwrap()).unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let workers = self.workers.clone();
        let gate = std::thread::spawn(move || coldroot::gate::serve(theirs, workers));
        let hello = Request::Hello { station: self.dir.clone(), now: Some(NOW), pins: Default::default() };
        let welcome = ask(&mut ours, &frame(&hello));
        assert!(matches!(welcome, Some(Reply::Welcome { .. })), "{welcome:?}");
        let mut started = false;
        for frame in (Steps { scene: self, octets: input }) {
            match ask(&mut ours, &frame) {
                Some(Reply::Started) => started = true,
                Some(Reply::Bye) | None => break,
                Some(_) => {}
            }
        }
        drop(ours);
        assert_eq!(gate.join().expect("the gate does not panic"), 0);
        let all = ["log", "main"].map(|token| asked(&self.dir, token));
        self.judge(started, &all);
        all
    }

    /// What no parent may bring about.
    fn judge(&self, started: bool, [log, main]: &[Vec<Ask>; 2]) {
        let mut last = self.mark.clone();
        let logins = |asks: &[Ask]| asks.iter().filter(|ask| matches!(ask, Ask::Login)).count();
        assert!(logins(log) <= 1 && logins(main) <= 1, "one PIN, one try");
        for ask in log {
            match ask {
                Ask::Sign { handle, algorithm, messages } => {
                    assert_eq!((*handle, *algorithm, messages.len()), (1, SignatureAlgorithm::Ed25519, 1));
                    let text = note::checkpoint_text(ORIGIN, last.size, &last.root);
                    assert_eq!(
                        &messages[0].message[..],
                        text.as_bytes(),
                        "the checkpoint of the mark and nothing else"
                    );
                }
                Ask::WriteData { label, value } => {
                    assert_eq!(label, "coldroot mark");
                    let mark = Mark::decode(value).unwrap();
                    assert_eq!((mark.hierarchy, mark.origin.as_str()), (self.hierarchy.digest, ORIGIN));
                    // A root says nothing of its size: see the gate's `sign_checkpoint`.
                    assert!(mark.size >= last.size && self.roots().contains(&mark.root), "a log that is none");
                    assert!(mark.release == last.release || mark.release == last.release + 1);
                    let good = Plan::open(&self.plans[0].path).unwrap().digest();
                    assert!(mark.open_plan.is_none_or(|plan| plan == good), "a plan that nobody approved");
                    last = mark;
                }
                other => allowed(other),
            }
        }
        for ask in main {
            match ask {
                Ask::Sign { handle, algorithm, messages } => {
                    assert!(started, "a CA key signs before a plan is started");
                    assert_eq!((*handle, *algorithm), (2, SignatureAlgorithm::EcdsaSha256));
                    for message in messages {
                        let tbs = &self.plans[0].tbs[usize::try_from(message.item).unwrap()];
                        assert_eq!(&message.message[..], &Digest::of(tbs).0[..], "a message that is not planned");
                    }
                }
                other => allowed(other),
            }
        }
    }

    /// The roots that the logs of this scene have.
    fn roots(&self) -> Vec<Digest> {
        let ways = self.plans.iter().flat_map(|plan| &plan.ways);
        let of = |log: Vec<Vec<u8>>| {
            let leaves = Leaves::of(&log);
            (BEGUN..=log.len() as u64).map(|size| merkle::root(&leaves, size).unwrap()).collect::<Vec<_>>()
        };
        ways.flat_map(|way| of([self.begun.as_slice(), way].concat())).collect()
    }
}

/// Nothing is made, initialised or given away.
fn allowed(ask: &Ask) {
    let harmless = matches!(
        ask,
        Ask::Open { .. }
            | Ask::Login
            | Ask::Random { .. }
            | Ask::ReadData { .. }
            | Ask::FindKey { .. }
            | Ask::FindKeysByLabel { .. }
            | Ask::List { .. }
            | Ask::Close
    );
    assert!(harmless, "the token was asked {ask:?}");
}

fn person(name: &str) -> PrivateKey {
    let pair = Ed25519Keypair::from_seed(&Digest::of(name.as_bytes()).0);
    PrivateKey::new(KeypairData::Ed25519(pair), "").unwrap()
}

fn signed_by_groups(statement: &str) -> Vec<Vec<String>> {
    let by = |name: &&str| {
        let signature = person(name).sign(plan::NAMESPACE, HashAlg::Sha512, statement.as_bytes()).unwrap();
        signature.to_pem(LineEnding::LF).unwrap()
    };
    let groups: [&[&str]; 5] = [&["alice", "bob"], &["alice"], &["alice", "alice"], &["bob", "mallory"], &[]];
    groups.iter().map(|group| group.iter().map(by).collect()).collect()
}

fn root_key() -> KeyRef {
    let KeyFacts { label, cka_id, algorithm, spki, .. } = facts("main", "root");
    KeyRef { key: "root-key".into(), token: "main".into(), label, cka_id, algorithm, spki }
}

/// The two keys that there are.
fn facts(token: &str, label: &str) -> KeyFacts {
    let (handle, algorithm, spki) = match token {
        "log" => (1, KeyAlgorithm::Ed25519, [&ED25519[..], &[7; 32]].concat()),
        _ => (2, KeyAlgorithm::EcdsaP256, vec![0x30, 0x59, 1, 2, 3]),
    };
    KeyFacts {
        handle,
        label: label.into(),
        cka_id: Bytes::from(vec![u8::try_from(handle).unwrap(); 16]),
        algorithm,
        spki: Bytes::from(spki),
        attributes: vec!["CKA_EXTRACTABLE=false".into()],
        adopted: false,
    }
}

fn frame(request: &Request) -> Vec<u8> {
    cbor::to_vec(request).unwrap()
}

/// Sends one frame; no answer when the gate has ended.
fn ask(socket: &mut UnixStream, frame: &[u8]) -> Option<Reply> {
    use std::io::Write;
    let length = u32::try_from(frame.len()).unwrap();
    socket.write_all(&length.to_be_bytes()).and_then(|()| socket.write_all(frame)).ok()?;
    match wire::receive(socket) {
        Ok(reply) => Some(reply),
        Err(wire::Error::Gone(cause)) => {
            assert!(cause.kind() == std::io::ErrorKind::UnexpectedEof || cause.raw_os_error() == Some(104), "{cause}");
            None
        }
        Err(other) => panic!("a reply that is none: {other}"),
    }
}

/// Hashes of a log's subtrees.
struct Leaves(Vec<Digest>);

impl Leaves {
    fn of(entries: &[Vec<u8>]) -> Leaves {
        Leaves(entries.iter().map(|entry| merkle::leaf_hash(entry)).collect())
    }
}

impl merkle::Nodes for Leaves {
    type Error = std::convert::Infallible;

    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error> {
        let at = usize::try_from(index << level).unwrap();
        let mut row = self.0[at..at + (1 << level)].to_vec();
        while row.len() > 1 {
            row = row.chunks(2).map(|pair| merkle::node_hash(&pair[0], &pair[1])).collect();
        }
        Ok(row[0])
    }
}

/// The input, read as what a parent sends: each frame is made from true parts of the scene, chosen by an octet or two, so that a
/// change of the input is another order, another part in the wrong place, or a bit in the middle of a frame.
struct Steps<'a> {
    scene: &'a Scene,
    octets: &'a [u8],
}

impl Steps<'_> {
    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.octets.split_first()?;
        self.octets = rest;
        Some(*first)
    }

    /// One of so many.
    fn of(&mut self, most: usize) -> Option<usize> {
        Some(usize::from(self.octet()?) % most)
    }

    /// A log: plan and way.
    fn log(&mut self) -> Option<Vec<Vec<u8>>> {
        let plan = self.of(self.scene.plans.len())?;
        let way = self.of(2)?;
        Some([self.scene.begun.as_slice(), &self.scene.plans[plan].ways[way]].concat())
    }

    /// An entry of a log with its proof.
    fn proven(&mut self) -> Option<Proven> {
        let log = self.log()?;
        let size = 1 + self.of(log.len())?;
        let index = self.of(size)?;
        let inclusion = merkle::inclusion_proof(&Leaves::of(&log), index as u64, size as u64).unwrap();
        Some(Proven { entry: Bytes::from(log[index].clone()), index: index as u64, inclusion })
    }

    fn plan(&mut self, statement: usize) -> Option<(PathBuf, Vec<String>)> {
        let plan = self.of(self.scene.plans.len())?;
        let group = self.of(5)?;
        let plan = &self.scene.plans[plan];
        Some((plan.path.clone(), plan.approvals[statement][group].clone()))
    }

    fn request(&mut self) -> Option<Request> {
        let token = |n: usize| ["log", "main", "other"][n].to_owned();
        Some(match self.of(13)? {
            0 | 1 => Request::Login { token: token(self.of(3)?) },
            2 => Request::Mark,
            3 | 4 => {
                let log = self.log()?;
                let size = 1 + self.of(log.len())?;
                let old = self.of(size + 1)?;
                let leaves = Leaves::of(&log);
                let consistency = match old {
                    0 => Vec::new(),
                    old => merkle::consistency_proof(&leaves, old as u64, size as u64).unwrap(),
                };
                let root = merkle::root(&leaves, size as u64).unwrap();
                Request::SignCheckpoint { size: size as u64, root, consistency }
            }
            5 => {
                let (plan, approvals) = self.plan(0)?;
                let Proven { entry, index, inclusion } = self.proven()?;
                Request::Start { plan, approvals, entry, index, inclusion }
            }
            6 | 7 => {
                let count = self.of(8)?;
                let items = (0..count).map_while(|_| self.octet()).map(u64::from).collect();
                Request::Do { items }
            }
            8 => {
                let Proven { entry, index, inclusion } = self.proven()?;
                Request::End { entry, index, inclusion }
            }
            9 => {
                let (plan, approvals) = self.plan(1)?;
                Request::Void { plan, approvals, void: self.proven()?, end: self.proven()? }
            }
            10 => Request::Random { length: 100 * u32::from(self.octet()?) },
            11 => Request::Init { approvals: self.plan(0)?.1 },
            _ => match self.of(4)? {
                0 => Request::ListTokens { token: token(self.of(3)?) },
                1 => Request::InitToken { token: token(self.of(3)?) },
                2 => Request::Hello { station: "/".into(), now: None, pins: Default::default() },
                _ => Request::Bye,
            },
        })
    }
}

impl Iterator for Steps<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        match self.octet()? {
            // A frame of the input's own.
            0xff => {
                let length = usize::from(self.octet()?).min(self.octets.len());
                let (own, rest) = self.octets.split_at(length);
                self.octets = rest;
                Some(own.to_vec())
            }
            // A lawful one with a bit turned.
            0xfe => {
                let at = usize::from(self.octet()?) << 8 | usize::from(self.octet()?);
                let mut octets = frame(&self.request()?);
                let bits = 8 * octets.len();
                octets[at % bits / 8] ^= 1 << (at % 8);
                Some(octets)
            }
            first => {
                // The octet chooses the request itself.
                let whole = self.octets;
                let with_first: Vec<u8> = [&[first], whole].concat();
                let mut inner = Steps { scene: self.scene, octets: &with_first };
                let request = inner.request();
                let used = with_first.len() - inner.octets.len();
                self.octets = &whole[used - 1..];
                Some(frame(&request?))
            }
        }
    }
}

fn data_file(dir: &Path, token: &str, label: &str) -> PathBuf {
    dir.join(format!("data-{token}-{}", label.replace(' ', "-")))
}

/// What a token was asked, in order.
fn asked(dir: &Path, token: &str) -> Vec<Ask> {
    let Ok(mut file) = File::open(dir.join(format!("asked-{token}"))) else { return Vec::new() };
    std::iter::from_fn(|| wire::receive(&mut file).ok()).collect()
}

/// The token: reads questions on standard input until they end.
pub fn worker() {
    let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
    let mut socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let mut token = String::new();
    while let Ok(ask) = wire::receive::<Ask>(&mut socket) {
        if let Ask::Open { label, .. } = &ask {
            token.clone_from(label);
        }
        let mut log = OpenOptions::new().create(true).append(true).open(dir.join(format!("asked-{token}"))).unwrap();
        wire::send(&mut log, &ask).unwrap();
        let closing = matches!(ask, Ask::Close);
        if matches!(ask, Ask::Login) {
            drop(wire::receive_secret(&mut socket).unwrap());
        }
        if wire::send(&mut socket, &answer(&dir, &token, ask)).is_err() || closing {
            break;
        }
    }
}

fn answer(dir: &Path, token: &str, ask: Ask) -> Answer {
    match ask {
        Ask::Open { label, serial, .. } => Answer::Opened(TokenFacts {
            label,
            serial,
            manufacturer: String::new(),
            model: String::new(),
            module: String::new(),
            profile: String::new(),
            place: Box::<Place>::default(),
            initialised: true,
            keypad: false,
            longest_pin: 0,
            pin_count_low: false,
            pin_final_try: false,
            pin_locked: false,
        }),
        Ask::Login => Answer::LoggedIn,
        Ask::Random { length } => Answer::Random(Bytes::from(vec![0; length as usize])),
        Ask::ReadData { label } => Answer::Data(fs::read(data_file(dir, token, &label)).ok().map(Bytes::from)),
        Ask::WriteData { label, value } => {
            fs::write(data_file(dir, token, &label), &value[..]).unwrap();
            Answer::Written
        }
        Ask::FindKey { label, .. } => Answer::Keys(vec![facts(token, &label)]),
        Ask::FindKeysByLabel { label } => Answer::Keys(vec![facts(token, &label)]),
        Ask::Sign { messages, .. } => Answer::Signatures(
            messages.into_iter().map(|m| Signature { item: m.item, value: Bytes::from(vec![1; 64]) }).collect(),
        ),
        Ask::List { .. } => Answer::Tokens(Vec::new()),
        Ask::Close => Answer::Closed,
        other => Answer::Failed(Failure { class: Class::Refused, what: format!("{other:?}"), advice: None }),
    }
}
