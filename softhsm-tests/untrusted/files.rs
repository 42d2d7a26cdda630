//! One file of each kind, with the sample in every place that takes it. Each function writes the file and gives the arguments that show
//! it; `None` where the kind of file cannot hold the sample at all.

use std::fs;
use std::path::Path;

use coldroot::algorithm::KeyAlgorithm;
use coldroot::audit::Log;
use coldroot::audit::entry::{
    Approved, Body, CertificateIssued, CrlIssued, Decision, Entry, Evidence, EvidenceKind, Genesis, HandedOver,
    KeyGenerated, Revoked, Start, Void,
};
use coldroot::bundle::{About, Answers, BodyWriter, Item as Asked, Request, write_container};
use coldroot::cbor::{self, Bytes};
use coldroot::config::{Backup, Environment};
use coldroot::digest::Digest;
use coldroot::plan::{
    BundleRef, Certificate, GenerateKey, Head, Item, KeyRef, Kind, Level, Linted, PlanWriter, Refusal,
};
use coldroot::text::Untrusted;
use coldroot::{bundle, release, x509};
use serde::Serialize;

use super::corpus::Sample;
use super::der;
use super::harness::station::HIERARCHY;

type Args = Option<Vec<&'static str>>;
/// 2026-11-22T00:00:00Z.
const NOW: i64 = 1_795_305_600;
const ORIGIN: &str = "example.org/coldroot/demo";

fn digest() -> Digest {
    Digest::of(b"fixed")
}

fn put(dir: &Path, name: &'static str, content: &[u8]) -> Args {
    fs::write(dir.join(name), content).unwrap();
    Some(vec!["show", name])
}

pub fn certificate(dir: &Path, sample: &Sample) -> Args {
    let mut extensions = vec![der::alternative_names(&sample.bytes)];
    if sample.is_ascii() {
        extensions.extend(der::addresses(&sample.bytes));
    }
    let [issuer, subject] = [&b"issuer"[..], &sample.bytes].map(der::common_name);
    put(dir, "certificate", &der::certificate(&issuer, &subject, &extensions))
}

/// Each type of string that names have, and the sample in it, as the octets of the sample where the type knows no characters.
pub fn strings(sample: &Sample) -> Vec<(&'static str, u8, Vec<u8>)> {
    let octets = [("UTF8", der::UTF8), ("Printable", der::PRINTABLE), ("IA5", der::IA5), ("T61", der::T61)];
    let mut strings: Vec<_> = octets.map(|(name, tag)| (name, tag, sample.bytes.clone())).to_vec();
    if let Some(text) = &sample.text {
        strings.push(("BMP", der::BMP, text.encode_utf16().flat_map(u16::to_be_bytes).collect()));
        strings.push(("Universal", der::UNIVERSAL, text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect()));
    }
    strings
}

pub fn crl(dir: &Path, sample: &Sample) -> Args {
    put(dir, "crl", &der::crl(&der::common_name(&sample.bytes)))
}

pub fn request(dir: &Path, sample: &Sample) -> Args {
    put(dir, "request", &der::request(&der::common_name(&sample.bytes), &[der::alternative_names(&sample.bytes)]))
}

fn signer(text: &str) -> KeyRef {
    KeyRef {
        key: text.into(),
        token: text.into(),
        label: text.into(),
        cka_id: Bytes::from(vec![1; 16]),
        algorithm: KeyAlgorithm::EcdsaP256,
        spki: Bytes::from(der::spki()),
    }
}

fn plan_of(kind: Kind, item: &Item, text: &str) -> Vec<u8> {
    let mut writer = PlanWriter::new(kind, &std::env::temp_dir()).unwrap();
    writer.item(item).unwrap();
    writer.refusal(&Refusal { request: text.into(), check: text.into(), reason: text.into() }).unwrap();
    let head = Head {
        kind,
        name: text.into(),
        origin: text.into(),
        environment: Environment::Rehearsal,
        hierarchy: digest(),
        release_before: 2,
        sign_from: NOW,
        sign_until: NOW + 86_400,
        bundle: Some(BundleRef { desk: text.into(), sequence: 1, digest: digest() }),
        dry_run: None,
        block_lists: Vec::new(),
        broken_keys: Vec::new(),
        lints: Vec::new(),
        nonce: Bytes::from(vec![1; 16]),
        items: 0,
        refused: 0,
        counts: Vec::new(),
    };
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writer.finish(head, file.as_file_mut()).unwrap();
    fs::read(file.path()).unwrap()
}

/// A plan of one certificate, with the text in every field.
pub fn plan_bytes(text: &str) -> Vec<u8> {
    let names = der::alternative_names(b"name.example");
    let der = der::certificate(&der::common_name(b"issuer"), &der::common_name(b"subject"), &[names]);
    let tbs = x509::tbs_of(&der).unwrap();
    let certificate = Certificate {
        act: "batch".into(),
        ca: text.into(),
        subject_ca: Some(text.into()),
        outside: None,
        request: Some(text.into()),
        profile: text.into(),
        requester: None,
        signer: signer(text),
        tbs: Bytes::from(tbs),
        fields: x509::read_tbs_certificate(tbs).unwrap(),
    };
    plan_of(Kind::Certificates, &Item::Certificate(Box::new(certificate)), text)
}

pub fn plan(dir: &Path, sample: &Sample) -> Args {
    put(dir, "plan", &plan_bytes(sample.text.as_ref()?))
}

pub fn key_plan(dir: &Path, sample: &Sample) -> Args {
    let text = sample.text.as_ref()?;
    let key = GenerateKey {
        key: text.clone(),
        token: text.clone(),
        label: text.clone(),
        cka_id: Bytes::from(vec![1; 16]),
        algorithm: KeyAlgorithm::EcdsaP256,
        backup: Backup::None,
    };
    put(dir, "plan", &plan_of(Kind::Keys, &Item::GenerateKey(key), text))?;
    Some(vec!["show", "plan", "--item", "0"])
}

fn frames<T: Serialize>(magic: &str, parts: &[T]) -> Vec<u8> {
    let mut out = cbor::magic(magic);
    for part in parts {
        cbor::write_frame(&mut out, &cbor::to_vec(part).unwrap()).unwrap();
    }
    out
}

fn linted(text: &str) -> Linted {
    let mut linted = Linted::new(text, Some(digest()));
    linted.count(text, Level::Warning, text, Some(text));
    linted
}

fn approved(text: &str) -> Approved {
    Approved { person: text.into(), fingerprint: text.into(), signature: digest() }
}

pub fn release(dir: &Path, sample: &Sample) -> Args {
    use release::Part;
    let text = sample.text.clone()?;
    let head = release::Head {
        name: text.clone(),
        origin: text.clone(),
        environment: Environment::Rehearsal,
        hierarchy: digest(),
        release: 3,
        kind: Kind::Certificates,
        plan: digest(),
        bundle: None,
        sign_from: NOW,
        sign_until: NOW + 86_400,
        operator: text.clone(),
        witness: text.clone(),
        approvals: vec![approved(&text)],
        items: 5,
        refused: 1,
        void: Some(text.clone()),
        block_lists: Vec::new(),
        broken_keys: vec![text.clone()],
        lints: vec![linted(&text)],
    };
    let der = Bytes::from(der::certificate(&der::common_name(b"i"), &der::common_name(b"s"), &[]));
    let serial = Bytes::from(vec![1]);
    let t = || text.clone();
    let parts = [
        Part::Ca { ca: t(), parent: t(), index: 1, der: der.clone(), above: Vec::new() },
        Part::Certificate { request: t(), ca: t(), profile: t(), index: 2, der: der.clone() },
        Part::Revoked { ca: t(), serial, reason: None, date: NOW, index: 3 },
        Part::Crl { ca: t(), number: 1, der: der.clone() },
        Part::Refused(Refusal { request: t(), check: t(), reason: t() }),
        Part::Key { key: t(), spki: der, index: 4 },
    ];
    let mut container = frames(release::RELEASE_MAGIC, &[head]);
    container.extend_from_slice(&frames("", &parts)[cbor::magic("").len()..]);
    let manifest =
        release::Manifest { origin: text, release: 3, size: container.len() as u64, digest: Digest::of(&container) };
    let path = dir.join("release");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("release.cbor"), container).unwrap();
    fs::write(path.join("manifest.cbor"), frames(release::MANIFEST_MAGIC, &[manifest])).unwrap();
    Some(vec!["show", "release"])
}

pub fn log(dir: &Path, sample: &Sample) -> Args {
    // An entry has at most 16 KiB, and the longest of those below holds the text four times.
    let text = sample.text.clone().filter(|text| text.len() < 3000)?;
    let path = dir.join("log");
    let _ = fs::remove_dir_all(&path);
    let origin = if Log::create(&path, &text).is_ok() { text.as_str() } else { ORIGIN };
    let _ = fs::remove_dir_all(&path);
    let mut log = Log::create(&path, origin).unwrap();
    for body in bodies(&text, origin) {
        log.append(&Entry::new(NOW, body)).unwrap();
    }
    log.sync().unwrap();
    Some(vec!["show", "log", "--all"])
}

fn bodies(text: &str, origin: &str) -> Vec<Body> {
    let t = || text.to_string();
    let (approvals, reference) = (|| vec![approved(text)], BundleRef { desk: t(), sequence: 1, digest: digest() });
    vec![
        Body::Genesis(Genesis {
            origin: origin.into(),
            name: t(),
            environment: Environment::Rehearsal,
            hierarchy: digest(),
            verifier_key: t(),
            approvals: Vec::new(),
            requesters: digest(),
            program: t(),
        }),
        Body::PinTry { token: t() },
        Body::Login { token: t(), serial: t(), module: t() },
        Body::Inventory { token: t(), serial: t(), report: digest(), right: 1, missing: 2, wrong: 3, unexpected: 4 },
        Body::Probe { token: t(), serial: t(), report: digest(), able: false, protected: Some(false) },
        Body::BundleReceived { bundle: reference, count: 1, revocations: 0 },
        Body::Start(Start { plan: digest(), approvals: approvals(), operator: t(), witness: t(), witness_time: None }),
        Body::KeyGenerated(KeyGenerated {
            plan: digest(),
            item: 0,
            key: t(),
            token: t(),
            label: String::new(),
            cka_id: Bytes::from(vec![1]),
            algorithm: KeyAlgorithm::EcdsaP256,
            spki: Bytes::from(der::spki()),
            attributes: vec![t()],
            adopted: false,
        }),
        Body::Certificate(CertificateIssued {
            plan: digest(),
            item: 1,
            ca: t(),
            subject_ca: None,
            request: Some(t()),
            profile: t(),
            requester: None,
            der: Bytes::from(vec![1]),
        }),
        Body::Revoked(Revoked {
            plan: digest(),
            item: 2,
            ca: t(),
            serial: Bytes::from(vec![1]),
            reason: None,
            date: NOW,
        }),
        Body::Crl(CrlIssued {
            plan: digest(),
            item: 3,
            ca: t(),
            number: 1,
            this_update: NOW,
            next_update: NOW,
            crl: digest(),
        }),
        Body::Refused { plan: digest(), request: t(), check: t(), reason: t() },
        Body::Void(Void {
            plan: digest(),
            reason: t(),
            done: 0,
            approvals: approvals(),
            operator: String::new(),
            witness: String::new(),
            witness_time: None,
        }),
        Body::ReleaseWritten { release: 1, manifest: digest(), checkpoint: digest(), target: t() },
        Body::HandedOver(HandedOver {
            token: t(),
            from: t(),
            to: t(),
            lost: false,
            size: 1,
            root: digest(),
            plan: None,
            decision: decision(text),
        }),
        Body::MediumRead { name: t(), digest: digest(), octets: 1 },
        Body::CopyWritten { target: t(), size: 1, root: digest() },
        Body::Step { script: digest(), number: 1, persons: vec![t(), t()] },
        Body::Deviation { what: t(), persons: vec![t()] },
        Body::Evidence(Evidence {
            kind: EvidenceKind::Other,
            what: t(),
            artefact: digest(),
            withheld: true,
            octets: 1,
            person: t(),
        }),
        Body::Failure { what: t() },
    ]
}

fn decision(text: &str) -> Decision {
    let (operator, witness) = (text.into(), text.into());
    Decision {
        reason: text.into(),
        release: 0,
        change: 1,
        approvals: vec![approved(text)],
        operator,
        witness,
        witness_time: None,
    }
}

fn about(desk: &str, hierarchy: &str, origin: &str) -> About {
    About {
        hierarchy: hierarchy.into(),
        origin: origin.into(),
        environment: Environment::Rehearsal,
        desk: desk.into(),
        sequence: 1,
        answers: Answers::default(),
        created: NOW,
        expires: NOW + 86_400,
        salt: [1; bundle::limits::SALT],
    }
}

fn body(requester: &str, names: &[&str]) -> BodyWriter<Vec<u8>> {
    let request = Request {
        request: "req-1".into(),
        profile: "xmpp-server".into(),
        requester: Untrusted::new(requester),
        names: names.iter().map(|name| name.to_string()).collect(),
        csr: Bytes::from(vec![1]),
    };
    let mut writer = BodyWriter::new(Vec::new());
    writer.push(&Asked::Request(request)).unwrap();
    writer
}

/// A bundle whose packer writes what he likes into the head: around [`write_container`], which would refuse.
pub fn bundle(dir: &Path, sample: &Sample) -> Args {
    let text = sample.text.as_ref()?;
    let lawful = text.bytes().all(|c| c.is_ascii_graphic()) && (1..=253).contains(&text.len());
    let requester = if lawful { text } else { "requester" };
    let name = if lawful { text } else { "name.example" };
    let mut draft = body(requester, &[name]).finish(about("desk", "hierarchy", "origin")).unwrap();
    for field in [&mut draft.head.desk, &mut draft.head.hierarchy, &mut draft.head.origin] {
        field.clone_from(text);
    }
    let mut out = cbor::magic(bundle::MAGIC);
    cbor::write_frame(&mut out, &cbor::to_vec(&draft.head).unwrap()).unwrap();
    out.extend_from_slice(&cbor::to_vec(&"signature").unwrap());
    out.extend_from_slice(&draft.body);
    put(dir, "bundle", &out)
}

/// A lawful bundle whose desk has signed for another namespace.
pub fn signature(dir: &Path, sample: &Sample) -> Args {
    fs::write(dir.join("hierarchy.toml"), hierarchy("Road", "title")).unwrap();
    let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let signed = [string(b"ssh-ed25519"), string(&[7; 64])].concat();
    let blob = [
        b"SSHSIG\0\0\0\x01".to_vec(),
        string(&key_blob(1)),
        string(&sample.bytes),
        string(b""),
        string(b"sha512"),
        string(&signed),
    ];
    let base64 = data_encoding::BASE64.encode(&blob.concat());
    let lines: Vec<&str> = base64.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let armored = format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"));
    let draft = body("requester", &["name.example"]).finish(about("desk-1", "Road", ORIGIN)).unwrap();
    let mut out = Vec::new();
    write_container(&mut out, &draft.head_bytes, &armored, &mut draft.body.as_slice()).ok()?;
    put(dir, "signed", &out)?;
    Some(vec!["check", "signed", "--hierarchy", "hierarchy.toml", "--now", "2026-11-22T01:00:00Z"])
}

pub fn statement_text(sample: &Sample) -> String {
    format!("coldroot-statement-v0\nhierarchy    {}\n", sample.text.as_deref().unwrap_or_default())
}

pub fn statement(dir: &Path, sample: &Sample) -> Args {
    put(dir, "statement", &[b"coldroot-statement-v0\nhierarchy    ", &sample.bytes[..], b"\n"].concat())
}

pub fn ceremony_text(sample: &Sample) -> String {
    format!("format = \"coldroot-ceremony-v0\"\n# {}\n", sample.text.as_deref().unwrap_or_default())
}

pub fn ceremony(dir: &Path, sample: &Sample) -> Args {
    put(dir, "ceremony", &[b"format = \"coldroot-ceremony-v0\"\n# ", &sample.bytes[..], b"\n"].concat())
}

/// As a basic string of TOML, which can name every character.
fn toml(text: &str) -> String {
    let character = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        _ => format!("\\U{:08x}", u32::from(c)),
    };
    format!("\"{}\"", text.chars().map(character).collect::<String>())
}

fn key_blob(n: u8) -> Vec<u8> {
    [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], &[n; 32]].concat()
}

fn hierarchy(name: &str, person: &str) -> String {
    let key = |n: u8| format!("ssh-ed25519 {}", data_encoding::BASE64.encode(&key_blob(n)));
    let person = |n: u8, role: &str| {
        let (key, name) = (key(n), toml(person));
        format!("\n[[person]]\nid = \"p{n}\"\nname = {name}\nroles = [\"{role}\"]\nkeys = [\"{key}\"]\n")
    };
    let people = [person(2, "officer"), person(3, "officer"), person(4, "operator"), person(5, "witness")].concat();
    HIERARCHY
        .replace("@MODULE@", "/usr/lib/softhsm/libsofthsm2.so")
        .replace("@SERIAL@", "")
        .replace("@DESK@", &key(1))
        .replace("name = \"Road\"", &format!("name = {}", toml(name)))
        .replace("@PEOPLE@", &people)
}

pub fn hierarchy_name(dir: &Path, sample: &Sample) -> Args {
    put(dir, "hierarchy.toml", hierarchy(sample.text.as_ref()?, "person").as_bytes())
}

pub fn hierarchy_field(dir: &Path, sample: &Sample) -> Args {
    let text = sample.text.as_ref()?;
    // A field that is not known, and then a value that no field has.
    put(dir, "hierarchy.toml", format!("format = \"coldroot-hierarchy-v0\"\n{} = 1\n", toml(text)).as_bytes())
}

pub fn hierarchy_value(dir: &Path, sample: &Sample) -> Args {
    let wanted = format!("roles = [{}]", toml(sample.text.as_ref()?));
    put(dir, "hierarchy.toml", hierarchy("Road", "person").replace("roles = [\"witness\"]", &wanted).as_bytes())
}

pub fn ceremony_title(dir: &Path, sample: &Sample) -> Args {
    fs::write(dir.join("hierarchy.toml"), hierarchy("Road", "person")).unwrap();
    let title = toml(sample.text.as_ref()?);
    let act = "[[act]]\nkind = \"generate-key\"\nkey = \"root-key\"\n";
    put(dir, "ceremony.toml", format!("format = \"coldroot-ceremony-v0\"\ntitle = {title}\n\n{act}").as_bytes())?;
    Some(vec!["check", "ceremony.toml", "--hierarchy", "hierarchy.toml"])
}
