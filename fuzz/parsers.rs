//! Each parser of what comes from outside, given any octets. What it reads must be shown without harm and, where there is a writer,
//! written again as it was. Used by `fuzz_targets/parsers.rs`, and on the stable toolchain by `softhsm-tests/untrusted/fuzzed.rs`,
//! which gives the same functions the seeds, the kept inputs and both with turned bits.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use coldroot::audit::entry::Entry;
use coldroot::audit::note::{self, Checkpoint, VerifierKey};
use coldroot::audit::proof::{Continuation, Inclusion};
use coldroot::audit::{View, about, mark::Mark, paper, tiles, withheld};
use coldroot::config::{BlockForm, BlockList, Ceremony, Environment, Hierarchy, KeyUri, LinterForm, PinForm, TokenUri};
use coldroot::digest::Digest;
use coldroot::media::Name;
use coldroot::pin::shares::Typed;
use coldroot::plan::{self, Backup, Kind, Plan, difference::difference, sample};
use coldroot::release::{self, Head, Manifest, Release};
use coldroot::text::{idn, words};
use coldroot::weak_keys::blocklist::BlockLists;
use coldroot::{approval, bundle, cbor, change, ledger, linter, pin, text, x509};

/// A parser by its name; the directory is the input's own, empty.
pub type Parser = fn(&[u8], &Path);

pub const PARSERS: [(&str, Parser); 25] = [
    ("request", request),
    ("certificate", certificate),
    ("crl", crl),
    ("key", key),
    ("bundle", bundle),
    ("validations", validations),
    ("table", table),
    ("plan", plan),
    ("backup", backup),
    ("hierarchy", hierarchy),
    ("ceremony", ceremony),
    ("uri", uri),
    ("approval", approval),
    ("note", note),
    ("entry", entry),
    ("release", release),
    ("tile", tile),
    ("name", name),
    ("typed", typed),
    ("blocklist", blocklist),
    ("run", run),
    ("index", index),
    ("pin", pinfile),
    ("linter", output),
    ("carried", carried),
];

/// The hierarchy that ceremonies and URIs are read for.
const HIERARCHY: &str = include_str!("../ceremony-scripts/hierarchy.example.toml");

/// What people are shown is ASCII.
fn shows(shown: &str) {
    assert!(shown.bytes().all(|c| c == b'\n' || (b' '..=b'~').contains(&c)), "{shown:?}");
}

/// A refusal can be told in one line; whoever prints it lets nothing else through.
fn told(refusal: &dyn std::fmt::Display) {
    shows(&text::line(&refusal.to_string()));
}

fn names(subject: &[u8], san: &[x509::fields::GeneralName]) {
    shows(&x509::name_text(subject));
    san.iter().for_each(|name| shows(&x509::general_name_text(name)));
    x509::holder_names(subject, san).iter().for_each(|name| shows(&text::escape(name)));
}

fn request(input: &[u8], _: &Path) {
    match x509::Request::parse(input) {
        Ok(request) => {
            names(&request.subject, request.san.as_deref().unwrap_or_default());
            let _ = request.verify_possession();
            key(&request.spki, Path::new(""));
        }
        Err(e) => told(&e),
    }
}

fn certificate(input: &[u8], _: &Path) {
    match x509::read_certificate(input) {
        Ok(fields) => {
            names(&fields.subject, &fields.san);
            shows(&x509::name_text(&fields.issuer));
            let tbs = x509::tbs_of(input).expect("a certificate has one");
            assert_eq!(x509::read_tbs_certificate(tbs).as_ref(), Ok(&fields));
            let _ = x509::verify_leaf(input, input, fields.not_before);
            let _ = x509::verify_ca(input, input);
        }
        Err(e) => told(&e),
    }
}

fn crl(input: &[u8], _: &Path) {
    match x509::read_crl(input) {
        Ok(fields) => {
            shows(&x509::name_text(&fields.issuer));
            let tbs = x509::tbs_of(input).expect("a CRL has one");
            assert_eq!(x509::read_tbs_crl(tbs).as_ref(), Ok(&fields));
        }
        Err(e) => told(&e),
    }
}

fn key(input: &[u8], _: &Path) {
    match x509::PublicKey::from_spki(input) {
        Ok(key) => {
            shows(&key.kind().to_string());
            assert_eq!(key.spki(), input);
            let _ = (key.weakness(), key.identifier(), key.algorithm());
        }
        Err(e) => told(&e),
    }
}

fn bundle(input: &[u8], _: &Path) {
    let unverified = match bundle::open(Cursor::new(input)) {
        Ok(unverified) => unverified,
        Err(e) => return told(&e),
    };
    let Ok((mut bundle, ())) = unverified.verify(|_, _, _| Ok::<(), bundle::Error>(())) else { return };
    let Ok(items) = bundle.items() else { return };
    for item in items {
        match item {
            Ok(bundle::Item::Validations(list)) => validations(&list.list, Path::new("")),
            Ok(item) => shows(&text::escape(&item.id())),
            Err(e) => return told(&e),
        }
    }
}

fn validations(input: &[u8], _: &Path) {
    match bundle::List::parse(input) {
        Ok(list) => list.validations.iter().for_each(|said| shows(&said.requester.shown())),
        Err(e) => told(&e),
    }
}

/// What the desk's tables hold.
fn table(input: &[u8], _: &Path) {
    let rows = bundle::table::csv(input).map(|rows| rows.map(|row| row.map(drop)).collect::<Vec<_>>());
    rows.into_iter().flatten().filter_map(Result::err).for_each(|e| told(&e));
    let revocations = bundle::table::revocations(input).map(|rows| rows.map(|row| row.map(drop)).collect::<Vec<_>>());
    revocations.into_iter().flatten().filter_map(Result::err).for_each(|e| told(&e));
    if let Ok(Ok(rows)) = std::str::from_utf8(input).map(bundle::table::toml) {
        rows.filter_map(Result::err).for_each(|e| told(&e));
    }
}

/// A plan that is read is the same as itself, and its statement is ASCII.
fn plan(input: &[u8], dir: &Path) {
    let path = dir.join("plan");
    fs::write(&path, input).expect("the directory is the fuzzer's own");
    match Plan::open(&path) {
        Ok(mut first) => {
            shows(&plan::statement(first.head(), &first.digest()));
            let mut again = Plan::open(&path).expect("it was read before");
            let found = difference(&mut first, &mut again, |_| Ok(())).expect("it was read before");
            assert!(found.same_shape() && found.differences.is_empty(), "{:?}", found.differences);
        }
        Err(e) => told(&e),
    }
}

fn backup(input: &[u8], _: &Path) {
    if let Some(backup) = Backup::decode(input) {
        assert_eq!(backup.encode().ok().as_deref(), Some(input));
    }
    if let Ok(mark) = Mark::decode(input) {
        assert_eq!(mark.encode().ok().as_deref(), Some(input));
    }
}

fn hierarchy(input: &[u8], _: &Path) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    match Hierarchy::parse(input) {
        Ok(hierarchy) => {
            assert!(change::difference(&hierarchy, &hierarchy).starts_with("(no field differs"));
            shows(&plan::init_statement(&hierarchy));
        }
        Err(e) => told(&e),
    }
}

fn ceremony(input: &[u8], _: &Path) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let hierarchy = Hierarchy::parse(HIERARCHY).expect("the example");
    if let Err(e) = Ceremony::parse(input, &hierarchy) {
        told(&e);
    }
}

/// A PKCS #11 URI as the hierarchy names a token or a key by it (RFC 7512).
fn uri(input: &[u8], _: &Path) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    if let Err(e) = TokenUri::parse("uri", input) {
        told(&e);
    }
    if let Err(e) = KeyUri::parse("uri", input) {
        told(&e);
    }
    let value = serde_json::Value::from(input).to_string();
    for field in ["token", "key"] {
        let table = format!("\n[[{field}]]\nid = \"fuzz\"\nuri = {value}\n");
        if let Err(e) = Hierarchy::parse(&format!("{HIERARCHY}{table}")) {
            told(&e);
        }
    }
}

fn approval(input: &[u8], _: &Path) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let persons = Hierarchy::parse(HIERARCHY).expect("the example").persons;
    let keys: Vec<String> = persons.iter().flat_map(|person| person.keys.clone()).collect();
    for refused in [
        approval::verify(plan::NAMESPACE, b"statement", input, &keys).err(),
        approval::verify_person("statement", input, &persons).err(),
    ] {
        // Nobody has signed this.
        told(&refused.expect("a forged approval"));
    }
}

/// Checkpoints, verifier keys, proofs, and the page of minutes that stands for a token's memory.
fn note(input: &[u8], _: &Path) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    if let Ok(checkpoint) = Checkpoint::parse(input) {
        assert_eq!(checkpoint.text(), input);
    }
    if let Ok(checkpoint) = note::parse(input) {
        assert!(input.starts_with(&checkpoint.text()));
    }
    if let Ok(key) = VerifierKey::parse(input) {
        assert_eq!(key.to_string(), input);
        assert!(note::open(input, &key).is_err() && paper::Marked::open(input, &key).is_err());
    }
    if let Ok(inclusion) = Inclusion::parse(input) {
        assert_eq!(inclusion.text(), input);
    }
    if let Ok(continuation) = Continuation::parse(input) {
        assert_eq!(continuation.text(), input);
    }
    let _ = (paper::read_page(input), paper::read_line(input));
}

/// An entry, and a log's tail.
fn entry(input: &[u8], dir: &Path) {
    if let Ok(entry) = Entry::decode(input) {
        assert_eq!(entry.encode().ok().as_deref(), Some(input));
        let json = about::to_json(0, &entry).expect("an entry has a JSON form");
        shows(&text::ascii_json(&json.to_string()));
        let _ = about::About::new(&entry.body);
    }
    fs::write(dir.join("tail"), input).expect("the directory is the fuzzer's own");
    if let Ok(log) = View::read(dir) {
        for entry in log.entries(0..log.size()) {
            if entry.is_err() {
                break;
            }
        }
    }
}

/// A release's manifest, and its container.
fn release(input: &[u8], dir: &Path) {
    fs::write(dir.join("manifest.cbor"), input).expect("the directory is the fuzzer's own");
    match Release::open(dir) {
        Ok(release) => drop(release.parts(|_| Ok(()))),
        Err(e) => told(&e),
    }
    let mut rest = input;
    while let Ok(Some(frame)) = cbor::read_frame(&mut rest, 1 << 20) {
        let _ = cbor::from_slice::<coldroot::release::Part>(&frame);
    }
}

/// A checkpoint of one entry whose leaf hash is 32 times 7; nobody has signed it.
const CHECKPOINT: &str = "example.org/log\n1\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n\n\u{2014} example.org/log AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

/// A bundle of entries under a checkpoint (C2SP tlog-tiles).
fn tile(input: &[u8], dir: &Path) {
    let hash: &[u8] = &[7; 32];
    for (path, content) in [(tiles::tile_path(0, 0, 1), hash), (tiles::bundle_path(0, 1), input)] {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("a tile lies in directories"))
            .expect("the directory is the fuzzer's own");
        fs::write(path, content).expect("the directory is the fuzzer's own");
    }
    fs::write(dir.join("checkpoint"), CHECKPOINT).expect("the directory is the fuzzer's own");
    // No input has this hash: the bundle is taken apart, and its entry refused.
    match View::read(dir).and_then(|log| log.entry(0)) {
        Ok(entry) => panic!("{entry:?} has the hash of the tile"),
        Err(e) => told(&e),
    }
}

/// Names of files on media, of domains, persons and mailboxes.
fn name(input: &[u8], _: &Path) {
    let text = String::from_utf8_lossy(input);
    shows(&text::escape(&text));
    shows(&text::path(Path::new(&*text)));
    match Name::parse(&text) {
        Ok(name) => assert_eq!(name.as_str(), text),
        Err(e) => told(&e),
    }
    if let Some(labels) = idn::a_labels(&text) {
        assert!(labels.is_ascii(), "{labels:?}");
        let _ = idn::u_labels(&labels);
    }
    for address in [idn::jid(&text), idn::mailbox(&text)].into_iter().flatten() {
        // The local part keeps its letters.
        let spelled = address.ascii_domain();
        assert!(spelled.rsplit('@').next().is_some_and(str::is_ascii), "{spelled:?}");
        let _ = address.jid();
    }
    if let Ok(canonical) = idn::canonical(&text) {
        assert_eq!(idn::must_be_canonical(&canonical), Ok(()), "{canonical:?}");
    }
}

/// What people type: words of shares, dice, times.
fn typed(input: &[u8], _: &Path) {
    let text = String::from_utf8_lossy(input);
    let mut words_typed = Typed::new();
    for (place, line) in text.lines().enumerate() {
        let before = words_typed.count();
        if words_typed.add(line).is_err() {
            assert_eq!(words_typed.count(), before);
            let _ = (words_typed.replace(place, line), words::octet(place, line));
        }
    }
    if let Ok(share) = words_typed.share() {
        assert_eq!(share.words().count(), words_typed.count());
    }
    if let Ok(dice) = sample::dice(&text) {
        assert!(dice.bytes().all(|eyes| (b'1'..=b'6').contains(&eyes)));
    }
    if let Some(time) = text::parse_utc(&text) {
        assert_eq!(text::parse_utc(&text::utc(time)), Some(time));
    }
}

/// Lists of compromised keys, as a text and as badkeys' file.
fn blocklist(input: &[u8], dir: &Path) {
    let (path, key) = (dir.join("list"), x509::PublicKey::from_spki(KEY).expect("a key"));
    fs::write(&path, input).expect("the directory is the fuzzer's own");
    for form in [BlockForm::Spki, BlockForm::Badkeys] {
        match BlockLists::open(dir, &[BlockList { path: "list".into(), form }], dir) {
            Ok(lists) => {
                assert_eq!(lists.digests().len(), 1);
                drop(lists.find(&key));
            }
            Err(e) => told(&e),
        }
    }
}

/// Octets of a place in a run of the ledger's index, of a line of its footer, and places in a block.
const PLACE: usize = 24;
const FENCE: usize = 48;
const BLOCK: usize = 256;

/// A run of the ledger's index: the input's octets are its places under a footer that fits them, and the whole file.
fn run(input: &[u8], dir: &Path) {
    let path = dir.join("run");
    let whole = input.len() - input.len() % PLACE;
    let mut file = input[..whole].to_vec();
    for block in input[..whole].chunks(BLOCK * PLACE) {
        file.extend(&block[..16]);
        file.extend(Digest::of(block).0);
    }
    fs::write(&path, &file).expect("the directory is the fuzzer's own");
    let places = ledger::read_run(&path, (whole / PLACE) as u64, &Digest::of(&file[whole..]));
    let written = places.expect("its blocks have their digests").expect("its footer has its digest");
    assert_eq!(written, &input[..whole]);
    fs::write(&path, input).expect("the directory is the fuzzer's own");
    for records in 0..4 {
        let footer = input.len().saturating_sub(FENCE * usize::from(records > 0));
        match ledger::read_run(&path, records, &Digest::of(&input[footer..])) {
            Ok(_) => {}
            Err(e) => told(&e),
        }
    }
}

/// The manifest of the ledger's index.
fn index(input: &[u8], _: &Path) {
    if let Some(again) = ledger::read_manifest(input) {
        assert_eq!(again, input);
    }
}

/// A PIN file, in every form that a token wants.
fn pinfile(input: &[u8], dir: &Path) {
    let path = dir.join("pin");
    fs::write(&path, input).expect("the directory is the fuzzer's own");
    for form in [PinForm::Plain, PinForm::User("user".into()), PinForm::KeyId("0001".into())] {
        match pin::for_new_token("PIN", Some(path.clone()), &form) {
            Ok(pin) => assert!(pin.expose().starts_with(form.prefix().as_bytes()) && !pin.expose().contains(&b'\n')),
            Err(e) => told(&e.what),
        }
    }
}

/// What a linter prints.
fn output(input: &[u8], _: &Path) {
    for form in [LinterForm::Pkilint, LinterForm::Zlint] {
        match linter::findings(form, input) {
            Ok(findings) => findings.iter().for_each(|finding| {
                shows(&finding.id);
                finding.said.iter().for_each(|said| shows(&text::escape(said)));
            }),
            Err(what) => shows(&what),
        }
    }
}

/// The log that a release carries, and the file that public copies leave out.
fn carried(input: &[u8], dir: &Path) {
    let withheld = withheld::open(&mut &*input).expect("octets can be read");
    assert!(!withheld || input.len() as u64 >= withheld::head_length());
    let container = [cbor::magic(release::RELEASE_MAGIC), framed(cbor::to_vec(&head()))].concat();
    let manifest = Manifest {
        origin: head().origin,
        release: head().release,
        size: container.len() as u64,
        digest: Digest::of(&container),
    };
    let manifest = [cbor::magic(release::MANIFEST_MAGIC), framed(cbor::to_vec(&manifest))].concat();
    let log = [cbor::magic(release::LOG_MAGIC), input.to_vec()].concat();
    let files = [
        ("release.cbor", container),
        ("manifest.cbor", manifest),
        ("checkpoint", CHECKPOINT.into()),
        ("log.cbor", log),
    ];
    let from = dir.join("release");
    fs::create_dir_all(&from).expect("the directory is the fuzzer's own");
    for (name, content) in files {
        fs::write(from.join(name), content).expect("the directory is the fuzzer's own");
    }
    match release::private_log(&from) {
        Ok((_private, log)) => {
            let inside = fs::read_dir(&log).expect("it was made").map(|entry| entry.expect("it was made").file_name());
            let lawful = ["checkpoint", "tile", "artefact"];
            inside.for_each(|name| assert!(lawful.iter().any(|lawful| name == *lawful), "{name:?}"));
        }
        Err(e) => told(&e),
    }
}

fn framed(octets: Result<Vec<u8>, cbor::Error>) -> Vec<u8> {
    let mut frame = Vec::new();
    cbor::write_frame(&mut frame, &octets.expect("it can be written")).expect("memory takes it");
    frame
}

fn head() -> Head {
    Head {
        name: "Fuzz".into(),
        origin: "example.org/log".into(),
        environment: Environment::Rehearsal,
        hierarchy: Digest([1; 32]),
        release: 1,
        kind: Kind::Certificates,
        plan: Digest([2; 32]),
        bundle: None,
        sign_from: 0,
        sign_until: 1,
        operator: "olga".into(),
        witness: "wim".into(),
        approvals: Vec::new(),
        items: 0,
        refused: 0,
        void: None,
        block_lists: Vec::new(),
        broken_keys: Vec::new(),
        lints: Vec::new(),
    }
}

/// P-256 with its base point.
const KEY: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6,
    0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98,
    0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b,
    0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];
