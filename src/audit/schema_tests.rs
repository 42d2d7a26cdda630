//! `audit-logs/schema.cddl` against the entries: an implementation of CDDL that is not ours, `verify.py` and this room must
//! say the same of every entry, right or wrong.

mod kinds;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use data_encoding::HEXLOWER;
use serde_cbor::Value;

use super::check::kind;
use super::entry::{Body, Entry};
use super::station::{Signer, genesis, scratch};
use super::{Log, check};
use kinds::{every_kind, text};

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
