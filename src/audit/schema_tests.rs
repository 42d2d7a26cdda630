//! `audit-logs/schema.cddl` against the entries: an implementation of CDDL that is not ours, `verify.py` and this room must
//! say the same of every entry, right or wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use data_encoding::HEXLOWER;
use serde_cbor::Value;

use super::check::kind;
use super::entry::{
    Approved, Body, CertificateAdopted, CertificateIssued, ClockCorrected, CrlAdopted, CrlIssued, CsrMade, Decision,
    End, Entry, Evidence, EvidenceKind, Genesis, HandedOver, HierarchyAdopted, KeyBackedUp, KeyDestroyed, KeyGenerated,
    KeyProven, KeyRestored, LogAdopted, PinSplit, Revoked, Sampled, ShareOf, Start, Void, WrappingKeyGenerated,
};
use super::station::{HIERARCHY, Signer, genesis, scratch};
use super::{Log, check};
use crate::algorithm::KeyAlgorithm;
use crate::cbor::Bytes;
use crate::config::Environment;
use crate::digest::Digest;
use crate::plan::{BundleRef, Count, Kind};

fn text(s: &str) -> String {
    s.to_string()
}

fn digest() -> Digest {
    Digest::of(HIERARCHY)
}

fn octets(of: &[u8]) -> Bytes {
    Bytes::from(of.to_vec())
}

fn approvals() -> Vec<Approved> {
    vec![Approved { person: text("anna"), fingerprint: text("SHA256:x"), signature: digest() }]
}

fn decision() -> Decision {
    let (operator, witness) = (text("op"), text("wit"));
    Decision {
        reason: text("why"),
        release: u64::MAX,
        change: 1,
        approvals: approvals(),
        operator,
        witness,
        witness_time: Some(-5),
    }
}

/// Every kind of entry at least once, and every field that may be null both ways.
fn every_kind() -> Vec<Body> {
    let mut all = station();
    all.extend(plans());
    all.extend(keys());
    all.extend(certificates());
    all.extend(changes());
    all
}

fn station() -> Vec<Body> {
    let (token, serial, report) = (text("audit"), text("\u{e4}\u{20ac}"), digest());
    let genesis = |environment| {
        Body::Genesis(Genesis {
            origin: text("example.org/x"),
            name: text("X"),
            environment,
            hierarchy: digest(),
            verifier_key: text("key"),
            approvals: approvals(),
            requesters: digest(),
            program: text("0"),
        })
    };
    let probe =
        |protected| Body::Probe { token: text("audit"), serial: text("1"), report: digest(), able: true, protected };
    let shares = vec![
        ShareOf { custodian: Some(text("anna")), digest: digest() },
        ShareOf { custodian: None, digest: digest() },
    ];
    let set = octets(&[0xab, 0, 1]);
    vec![
        genesis(Environment::Real),
        genesis(Environment::Rehearsal),
        Body::Open { mark_size: 1, cut: u64::MAX },
        Body::PinTry { token: token.clone() },
        Body::Login { token: token.clone(), serial: serial.clone(), module: String::new() },
        probe(None),
        probe(Some(false)),
        Body::Inventory { token: token.clone(), serial, report, right: 3, missing: 0, wrong: 24, unexpected: u64::MAX },
        Body::PinSplit(PinSplit { token: token.clone(), set: set.clone(), threshold: 255, shares }),
        Body::PinSplitDone { token, set, new_pin: true },
        Body::Failure { what: "x".repeat(300) },
        Body::CopyWritten { target: text("/media/copy"), size: 20, root: digest() },
        Body::Indexed { size: 20, digest: digest() },
    ]
}

fn plans() -> Vec<Body> {
    let (plan, bundle) = (digest(), BundleRef { desk: text("desk"), sequence: 1, digest: digest() });
    let planned = |kind, bundle, counts| Body::Planned { plan, kind, items: 3, refused: 1, bundle, counts };
    let count = Count { act: text("batch"), ca: text("ca"), detail: text("leaf"), count: 70_000 };
    let start = |witness_time| {
        let (operator, witness) = (text("op"), text("wit"));
        Body::Start(Start { plan, approvals: approvals(), operator, witness, witness_time })
    };
    let void = |witness_time| {
        let (reason, operator, witness) = (text("r"), text("op"), text("wit"));
        Body::Void(Void { plan, reason, done: 1, approvals: vec![], operator, witness, witness_time })
    };
    vec![
        Body::BundleReceived { bundle: bundle.clone(), count: 2, revocations: 0 },
        planned(Kind::Keys, None, vec![]),
        planned(Kind::Certificates, Some(bundle), vec![count.clone(), count]),
        start(None),
        start(Some(i64::MAX)),
        void(None),
        void(Some(i64::MIN)),
        Body::End(End { plan, release: 1, done: 2, refused: 3, manifest: digest() }),
        Body::ReleaseWritten { release: 1, manifest: digest(), checkpoint: digest(), target: text("/media/x") },
    ]
}

fn keys() -> Vec<Body> {
    let (plan, spki, signature, backup) = (digest(), digest(), digest(), digest());
    let (key, token, label) = (|| text("key"), || text("main"), || text("label"));
    let (cka_id, attributes) = (|| octets(&[1; 16]), || vec![text("CKA_SIGN=true")]);
    let generated = |algorithm| {
        Body::KeyGenerated(KeyGenerated {
            plan,
            item: 0,
            key: key(),
            token: token(),
            label: label(),
            cka_id: cka_id(),
            algorithm,
            spki: octets(&[0x30; 91]),
            attributes: attributes(),
            adopted: false,
        })
    };
    let wrapping = |check_value| {
        Body::WrappingKeyGenerated(WrappingKeyGenerated {
            plan,
            item: 1,
            key: key(),
            token: token(),
            label: label(),
            cka_id: cka_id(),
            check_value,
            attributes: vec![],
            adopted: true,
        })
    };
    let mut all: Vec<Body> = KeyAlgorithm::ALL.into_iter().map(generated).collect();
    let (item, found, adopted) = (2, true, false);
    all.extend([
        wrapping(None),
        wrapping(Some(octets(&[1, 2, 3]))),
        Body::KeyBackedUp(KeyBackedUp {
            plan,
            item,
            key: key(),
            token: token(),
            spki,
            wrapping_key: text("wrap"),
            mechanism: text("CKM_AES_KEY_WRAP_KWP"),
            backup,
            signature,
        }),
        Body::KeyRestored(KeyRestored {
            plan,
            item,
            key: key(),
            token: token(),
            spki,
            backup,
            attributes: attributes(),
            adopted,
            signature,
        }),
        Body::KeyProven(KeyProven { plan, item, key: key(), token: token(), spki, signature }),
        Body::KeyDestroyed(KeyDestroyed {
            plan,
            item,
            key: key(),
            token: token(),
            label: label(),
            cka_id: cka_id(),
            spki,
            found,
            inventory: digest(),
        }),
    ]);
    all
}

fn certificates() -> Vec<Body> {
    let plan = digest();
    let certificate = |of: Option<&str>, requester| {
        Body::Certificate(CertificateIssued {
            plan,
            item: 0,
            ca: text("ca"),
            subject_ca: of.map(text),
            request: of.is_none().then(|| text("r-1")),
            profile: text("leaf"),
            requester,
            der: octets(&[0x30, 0]),
        })
    };
    let revoked =
        |reason| Body::Revoked(Revoked { plan, item: 1, ca: text("ca"), serial: octets(&[1; 17]), reason, date: -1 });
    let (number, this_update, next_update) = (1 << 32, -1, 1);
    vec![
        certificate(None, Some(digest())),
        certificate(Some("other"), None),
        revoked(None),
        revoked(Some(255)),
        Body::Crl(CrlIssued { plan, item: 2, ca: text("ca"), number, this_update, next_update, crl: digest() }),
        Body::Csr(CsrMade { plan, item: 3, ca: text("ca"), der: octets(&[0x30, 0]) }),
        Body::Refused { plan, request: text("r-2"), check: text("names"), reason: text("no") },
    ]
}

fn changes() -> Vec<Body> {
    let (hierarchy, root, persons) = (digest(), digest(), vec![text("anna"), text("bob")]);
    let (number, this_update, next_update, crl) = (7, 1, 2, digest());
    let adopted = |mark_plan| {
        let (mark_size, mark_root, mark_release, size) = (30, root, 2, 20);
        Body::LogAdopted(LogAdopted {
            mark_size,
            mark_root,
            mark_release,
            mark_plan,
            mark_hierarchy: hierarchy,
            token: text("1"),
            size,
            root,
            release: 1,
            hierarchy,
            decision: decision(),
        })
    };
    let certificate = |above, replaces, differs| {
        let (ca, csr, der, not_before, not_after) = (text("ca"), digest(), octets(&[0x30, 0]), -1, 1);
        let decision = decision();
        let adopted = CertificateAdopted { ca, csr, der, above, replaces, not_before, not_after, differs, decision };
        Body::CertificateAdopted(adopted)
    };
    let evidence = |kind| {
        let (what, artefact, withheld, octets, person) = (text("w"), digest(), true, 10, text("anna"));
        Body::Evidence(Evidence { kind, what, artefact, withheld, octets, person })
    };
    let sampled = |differs| {
        let (plan, dice, persons) = (digest(), "3".repeat(25), vec![text("anna"), text("bob")]);
        Body::Sampled(Sampled { plan, items: 70, count: 70, dice, differs, persons })
    };
    let handed = |lost, plan| {
        let (token, from, to, size) = (text("audit"), text("1"), text("2"), 20);
        Body::HandedOver(HandedOver { token, from, to, lost, size, root, plan, decision: decision() })
    };
    vec![
        Body::HierarchyAdopted(HierarchyAdopted { before: hierarchy, hierarchy, decision: decision() }),
        Body::CrlAdopted(CrlAdopted {
            ca: text("ca"),
            number,
            this_update,
            next_update,
            crl,
            entries: 2,
            unknown: 1,
            decision: decision(),
        }),
        certificate(vec![], None, vec![]),
        certificate(vec![octets(&[0x30, 0])], Some(digest()), vec![text("its path length is 0, declared is 1")]),
        adopted(None),
        adopted(Some(digest())),
        handed(false, None),
        handed(true, Some(digest())),
        Body::ClockCorrected(ClockCorrected {
            from: 70_000,
            to: 60_000,
            decision: Decision { witness_time: None, ..decision() },
        }),
        Body::MediumRead { name: text("b.bundle"), digest: digest(), octets: 10 },
        Body::Step { script: digest(), number: 1, persons: persons.clone() },
        sampled(vec![]),
        sampled(vec![0, 3]),
        Body::Deviation { what: text("the lamp failed"), persons },
        evidence(EvidenceKind::HsmLog),
        evidence(EvidenceKind::Minutes),
        evidence(EvidenceKind::Photo),
        evidence(EvidenceKind::Other),
    ]
}

fn audit_logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("audit-logs")
}

/// Python, which finds `verify`, `schema` and what `softhsm-tests/run-all` has installed for them.
fn python(arguments: &[&std::ffi::OsStr], input: &str) -> Output {
    let judges = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/judges");
    let path = std::env::join_paths([audit_logs(), judges]).unwrap();
    // -B: the checkout is not written to.
    let mut run = Command::new("python3");
    run.arg("-B").args(arguments).env("PYTHONPATH", path);
    let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    run.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    run.wait_with_output().unwrap()
}

/// What verify.py and the implementation of CDDL say of each entry.
fn judged(entries: &[Vec<u8>]) -> Vec<(bool, bool)> {
    const EACH: &str = "
import sys, schema, verify
cddl = schema.Schema()
def right(entry):
    try:
        verify.parse_entry(entry)
    except verify.Refused:
        return False
    return True
for line in sys.stdin.read().split():
    entry = bytes.fromhex(line)
    print(int(right(entry)), int(cddl.fault(entry) is None))
";
    let lines: String = entries.iter().map(|entry| HEXLOWER.encode(entry) + "\n").collect();
    let out = python(&["-c".as_ref(), EACH.as_ref()], &lines);
    assert!(out.status.success(), "softhsm-tests/run-all installs cddl-verifier: {}", shown(&out));
    let said = String::from_utf8(out.stdout).unwrap();
    said.lines().map(|line| (line.starts_with('1'), line.ends_with('1'))).collect()
}

fn shown(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// The fields of each kind in the schema, with their types as the table of FORMAT.md names them.
fn schema() -> BTreeMap<String, Vec<(String, String)>> {
    let file = std::fs::read_to_string(audit_logs().join("schema.cddl")).unwrap();
    let lines: Vec<&str> = file.lines().map(|line| line.split(';').next().unwrap().trim()).collect();
    let file = lines.join(" ");
    let body = file.split("body = ").nth(1).unwrap().split("digest = ").next().unwrap();
    let kinds: Vec<&str> =
        body.split('/').map(|one| one.trim().trim_matches(['{', '}']).split_once(':').unwrap().0.trim()).collect();
    let mut all = BTreeMap::new();
    for kind in kinds {
        let rule = file.split(&format!(" {kind} = {{")).nth(1).unwrap_or_else(|| panic!("no rule {kind}"));
        let fields = rule.split('}').next().unwrap().split(',').map(str::trim).filter(|field| !field.is_empty());
        let fields = fields.map(|field| {
            let (name, of) = field.split_once(':').unwrap();
            (name.to_string(), letter(of.trim()))
        });
        assert!(all.insert(kind.to_string(), fields.collect()).is_none(), "{kind} twice");
    }
    all
}

fn letter(of: &str) -> String {
    if let Some(of) = of.strip_suffix(" / null") {
        return letter(of) + "?";
    }
    if let Some(of) = of.strip_prefix("[* ").and_then(|of| of.strip_suffix(']')) {
        return format!("[{}]", letter(of));
    }
    let letter = match of {
        "tstr" | "key-algorithm" => "t",
        "bstr" | "share-set" => "b",
        "digest" => "d",
        "u64" | "u8" => "u",
        "i64" => "i",
        "bool" => "y",
        _ if of.starts_with('"') => "t",
        other => other,
    };
    letter.to_string()
}

#[test]
fn p04_schema_table_and_verifier_name_the_same_kinds_and_fields() {
    let schema = schema();
    let named: BTreeSet<&str> = every_kind().iter().map(kind).collect();
    assert_eq!(named, schema.keys().map(String::as_str).collect(), "what this program knows, and the schema");

    let format = std::fs::read_to_string(audit_logs().join("FORMAT.md")).unwrap();
    let table = format.split("| kind | fields |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut rows = BTreeMap::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let (kind, fields) = row.trim_matches(['|', ' ']).split_once('|').unwrap();
        // What stands in brackets says more about a field; the first word behind its name is the type.
        let mut depth = 0;
        let plain = fields.chars().filter(|c| {
            depth += i32::from(*c == '(');
            let inside = depth > 0;
            depth -= i32::from(*c == ')');
            !inside && *c != '†'
        });
        let fields = plain.collect::<String>();
        let fields = fields.split(',').map(|field| {
            let (name, of) = field.trim().strip_prefix('`').unwrap().split_once('`').unwrap();
            let of = of.trim();
            (name.to_string(), of.strip_prefix('[').map_or(of.into(), |of| format!("[{of}")))
        });
        rows.insert(kind.trim().trim_matches('`').to_string(), fields.collect::<Vec<_>>());
    }
    assert_eq!(rows, schema, "FORMAT.md, section 6, and schema.cddl");

    const FIELDS: &str = "import verify\nfor kind, body in verify.BODIES.items(): print(kind, *body.fields)";
    let out = python(&["-c".as_ref(), FIELDS.as_ref()], "");
    assert!(out.status.success(), "{}", shown(&out));
    let said = String::from_utf8(out.stdout).unwrap();
    let bodies: BTreeMap<&str, Vec<&str>> = said
        .lines()
        .map(|line| {
            let mut words = line.split(' ');
            (words.next().unwrap(), words.collect())
        })
        .collect();
    let names: BTreeMap<&str, Vec<&str>> = schema
        .iter()
        .map(|(kind, fields)| (kind.as_str(), fields.iter().map(|(name, _)| name.as_str()).collect()))
        .collect();
    assert_eq!(bodies, names, "verify.py and schema.cddl");
}

/// An entry, its kind, and what was done to it.
struct Changed {
    bytes: Vec<u8>,
    what: String,
    /// No judge may take it, whatever the others say.
    wrong: bool,
}

/// Everything that goes wrong with one value: replaced by one of each type, and what is in it likewise. Maps of the same keys,
/// such as an approval, are taken apart once: `known` holds them.
fn changed(value: &Value, what: &str, known: &mut BTreeSet<Vec<Value>>, all: &mut Vec<(Value, String, bool)>) {
    let digest = |length| Value::Bytes(vec![7; length]);
    let others = [
        Value::Null,
        Value::Bool(true),
        Value::Integer(0),
        Value::Integer(-1),
        Value::Integer(256),
        Value::Integer(u64::MAX.into()),
        Value::Text(text("real")),
        digest(31),
        digest(32),
        digest(33),
        Value::Array(vec![]),
        Value::Array(vec![Value::Integer(1)]),
        Value::Map(BTreeMap::new()),
    ];
    let length = |v: &Value| if let Value::Bytes(b) = v { b.len() } else { 0 };
    for other in others {
        // A digest of another length is wrong wherever a digest stands; so is another type.
        let of_digest = length(value) == 32 && matches!(other, Value::Bytes(_)) && length(&other) != 32;
        all.push((other, format!("{what} replaced"), of_digest));
    }
    match value {
        Value::Map(map) if known.insert(map.keys().cloned().collect()) => {
            for key in map.keys() {
                let mut less = map.clone();
                less.remove(key);
                all.push((Value::Map(less), format!("{what}.{key:?} missing"), true));
            }
            let mut more = map.clone();
            more.insert(Value::Text(text("x")), Value::Integer(1));
            all.push((Value::Map(more), format!("{what} with a field more"), true));
            for (key, inner) in map {
                let mut within = Vec::new();
                changed(inner, &format!("{what}.{key:?}"), known, &mut within);
                for (inner, what, wrong) in within {
                    let mut map = map.clone();
                    map.insert(key.clone(), inner);
                    all.push((Value::Map(map), what, wrong));
                }
            }
        }
        Value::Array(list) => {
            if let Some((first, rest)) = list.split_first() {
                let mut within = Vec::new();
                changed(first, &format!("{what}[0]"), known, &mut within);
                for (inner, what, wrong) in within {
                    all.push((Value::Array([&[inner], rest].concat()), what, wrong));
                }
            }
        }
        _ => {}
    }
}

#[test]
fn p04_a_foreign_validator_takes_every_kind_of_entry_and_refuses_every_changed_one() {
    let bodies = every_kind();
    let whole: Vec<Vec<u8>> = bodies.iter().map(|body| Entry::new(70_000, body.clone()).encode().unwrap()).collect();
    for (body, verdicts) in bodies.iter().zip(judged(&whole)) {
        assert_eq!(verdicts, (true, true), "{body:?}");
    }
    let mut all = Vec::new();
    let (mut before, mut known) = (BTreeSet::new(), BTreeSet::new());
    for (body, bytes) in bodies.iter().zip(&whole) {
        // One of each kind is taken apart.
        if !before.insert(kind(body)) {
            continue;
        }
        let mut found = Vec::new();
        // Entry and list of bodies are of the same keys each time.
        known.retain(|keys: &Vec<Value>| keys.len() != 1 && !keys.contains(&Value::Text(text("body"))));
        changed(&serde_cbor::from_slice(bytes).unwrap(), kind(body), &mut known, &mut found);
        all.extend(found.into_iter().map(|(value, what, wrong)| Changed {
            bytes: serde_cbor::to_vec(&value).unwrap(),
            what,
            wrong,
        }));
    }
    assert!(all.len() > 2500, "{}", all.len());
    let verdicts = judged(&all.iter().map(|one| one.bytes.clone()).collect::<Vec<_>>());
    assert_eq!(verdicts.len(), all.len());
    for (one, (verifier, cddl)) in all.iter().zip(verdicts) {
        let ours = Entry::decode(&one.bytes).is_ok();
        assert_eq!((ours, verifier, cddl), (ours, ours, ours), "program, verify.py, schema: {}", one.what);
        assert!(!(ours && one.wrong), "{}", one.what);
    }
}

#[test]
fn p04_the_entries_of_a_log_are_compared_with_the_schema_by_one_command() {
    let dir = scratch();
    let mut signer = Signer::new();
    let audit = dir.path().join("audit");
    let mut log = Log::create(&audit, signer.origin()).unwrap();
    log.append(&genesis(&signer)).unwrap();
    let bodies: Vec<Body> = every_kind().into_iter().filter(|body| kind(body) != "genesis").collect();
    for _ in 0..4 {
        for body in &bodies {
            log.append(&Entry::new(1, body.clone())).unwrap();
        }
    }
    log.checkpoint(&mut signer).unwrap();
    log.append(&Entry::new(1, Body::Failure { what: text("last") })).unwrap();
    log.sync().unwrap();
    assert!(log.size() > 257);
    let script = audit_logs().join("schema.py");
    let run = || python(&[script.as_os_str(), audit.as_os_str()], "");
    let out = run();
    let good = format!("good: {} entries have the form of schema.cddl\n", log.size());
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stdout).as_ref()), (Some(0), good.as_str()));
    // The bundle is not verified here; an entry that is none is named.
    let bundle = audit.join("tile/entries/000");
    let mut bytes = std::fs::read(&bundle).unwrap();
    let first = 2 + usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    bytes[first + 3] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    let out = run();
    assert_eq!(out.status.code(), Some(4));
    assert!(shown(&out).starts_with("refused: entry 1: "), "{}", shown(&out));
    let out = python(&[script.as_os_str(), dir.path().as_os_str()], "");
    assert!(out.status.code() == Some(4) && shown(&out).contains("there is no log"), "{}", shown(&out));
    assert!(check::check(&audit, signer.key()).is_err());
}
