//! Every file and directory that a demo leaves, given to `show` and `check` without options: each is shown or checked in earnest, or
//! named, with what it belongs to and the command that checks the whole. Of secrets no octet is shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::copy_tree;
use super::harness::station::{COLDROOT, Run};
use super::{coldroot, demo};

/// What `show` begins with, by the end of the path; the first that fits counts. `D` in front: of a directory.
const SHOWN: [(&str, &str); 53] = [
    ("D .", "An unpacked release"),
    ("D log", "Log example.org/coldroot/demo"),
    ("D audit", "Log example.org/coldroot/demo"),
    ("D station", "A station"),
    ("D release-????", "Release "),
    ("D station/token", "Tokens of SoftHSM"),
    ("D station/token/*", "A token of SoftHSM"),
    ("D station/in", "An empty directory"),
    ("D */tile*", "The tiles of a log"),
    ("D */artefact*", "The artefacts that entries of a log name"),
    ("D *", "A directory: "),
    ("manifest.json", "The manifest of an unpacked release"),
    ("refused.json", "Refused requests of a release: 4"),
    ("report.html", "A page for people"),
    ("root.pem", "Certificate"),
    ("intermediates.pem", "Certificate"),
    ("certs/*.pem", "Certificate, the first of 2"),
    ("proofs/*.tlog-proof", "Proof that an entry is on record"),
    ("crls/*.crl", "CRL"),
    ("*/tile/entries/*", "A bundle of a log's entries"),
    ("*/tile/*", "A tile of a log's hashes"),
    ("log/tile/entries/*", "A bundle of a log's entries"),
    ("log/tile/*", "A tile of a log's hashes"),
    ("audit/tail", "The tail of a log"),
    ("release-????/checkpoint", "Checkpoint"),
    ("log/checkpoint", "Checkpoint"),
    ("audit/checkpoint", "Checkpoint"),
    ("release-????/manifest.cbor", "The manifest of a release"),
    ("release-????/release.cbor", "What a release holds"),
    ("release-????/log.cbor", "The part of the log that a release brings"),
    ("*.sig", "An SSH signature"),
    ("*.plan", "coldroot-statement-v0"),
    ("*.statement", "coldroot-statement-v0"),
    ("*.bundle", "Bundle"),
    ("hierarchy.toml", "Hierarchy Demo XMPP CA"),
    ("ceremony.toml", ""),
    ("requests.csv", "The table of a desk's requests"),
    ("verifier-key", "The verifier key of a log"),
    ("pin.txt", "A PIN of a rehearsal"),
    ("so-pin.txt", "A PIN of a rehearsal"),
    ("softhsm2.conf", "SoftHSM's configuration"),
    ("*.pub", "An SSH public key"),
    ("officers/*", "A private key"),
    ("desk/desk-1", "A private key"),
    ("station/token/*", "A file of a SoftHSM token"),
    // By content: plans, signatures, CRLs, checkpoints, the hierarchy, the bundle; what is nothing else is named.
    ("artefact/*", ""),
    ("log/artefact/*", ""),
    ("csrs/*", "Certificate request"),
    ("audit/index*", "A part of a log"),
    ("audit/*.run", "A part of a log"),
    ("audit/sealed", "A part of a log"),
    ("audit/lock", "An empty file"),
    ("audit/mark", "Checkpoint"),
];

/// What `check` wants to be told first, and says so with the whole command: exit code 2.
const NEEDS: [(&str, &str); 3] = [
    ("a log or release is checked against its verifier key", "--verifier-key KEY"),
    ("a bundle is checked against the hierarchy", "--hierarchy hierarchy.toml"),
    ("a ceremony is checked against its hierarchy", "--hierarchy hierarchy.toml"),
];

/// Does a pattern fit the whole text? `*` is any text, `?` one character.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| fits(rest, &text[at..])),
        ([b'?', rest @ ..], [_, text @ ..]) => fits(rest, text),
        ([c, rest @ ..], [d, text @ ..]) => c == d && fits(rest, text),
        ([], []) => true,
        _ => false,
    }
}

fn wanted(relative: &str, directory: bool) -> &'static str {
    let fit = |pattern: &str| match pattern.strip_prefix("D ") {
        Some(_) if !directory => false,
        None if directory => false,
        Some(pattern) => {
            [pattern.to_string(), format!("*/{pattern}")].iter().any(|p| fits(p.as_bytes(), relative.as_bytes()))
        }
        None => [pattern.to_string(), format!("*/{pattern}")].iter().any(|p| fits(p.as_bytes(), relative.as_bytes())),
    };
    SHOWN.iter().find(|(pattern, _)| fit(pattern)).unwrap_or_else(|| panic!("no wording for {relative}")).1
}

/// Everything below a directory, and itself.
fn everything(base: &Path, relative: &Path, found: &mut Vec<PathBuf>) {
    found.push(relative.to_path_buf());
    if base.join(relative).is_dir() {
        let mut names: Vec<_> = fs::read_dir(base.join(relative)).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names.iter().for_each(|name| everything(base, &relative.join(name), found));
    }
}

/// The secrets of a demo: PINs and private keys.
fn secrets() -> Vec<String> {
    let read = |path: &str| fs::read_to_string(demo().join(path)).unwrap();
    let mut secrets: Vec<String> =
        ["station/pin.txt", "station/so-pin.txt"].map(|path| read(path).trim().to_owned()).into();
    for key in ["desk/desk-1", "station/officers/alice", "station/officers/dave"] {
        secrets.extend(read(key).lines().skip(1).filter(|line| !line.starts_with('-')).map(str::to_owned));
    }
    secrets
}

fn run(args: &[&str], path: &str) -> Run {
    let run = Run::of(Command::new(COLDROOT).args(args).arg(path).current_dir(demo()));
    let said = format!("{}{}", run.out, run.err);
    assert!(!said.contains("panicked") && !said.contains("nothing that coldroot knows"), "{args:?} {path}: {said}");
    run
}

#[test]
fn whatever_a_demo_leaves_is_recognised_by_show_and_check_without_options() {
    let mut all = Vec::new();
    everything(demo(), Path::new("."), &mut all);
    assert!(all.len() > 150, "{} paths", all.len());
    let pages = tempfile::tempdir().unwrap();
    let (mut checked, mut told, secrets) = (0, String::new(), secrets());
    for (at, path) in all.iter().enumerate() {
        let relative = path.strip_prefix(".").unwrap().to_str().unwrap();
        let name = if relative.is_empty() { "." } else { relative };
        let shown = run(&["show"], name);
        let first = shown.out.lines().next().unwrap_or_default().to_owned();
        let wanted = wanted(name, demo().join(name).is_dir());
        assert!(shown.code == 0 && first.starts_with(wanted), "show {name}: {first}, not {wanted} {}", shown.err);
        assert_eq!(run(&["show", "--json"], name).code, 0, "{name}");

        let page = pages.path().join(format!("{at}.html"));
        let paged = run(&["show", "--html", page.to_str().unwrap()], name);
        assert!(paged.code == 0 && page.is_file(), "{name}: {paged:?}");
        told.push_str(&fs::read_to_string(&page).unwrap());

        let said = run(&["check"], name);
        let json = run(&["check", "--json"], name);
        assert_eq!(json.code, said.code, "{name}: {json:?}");
        match said.code {
            2 if said.out.starts_with("NOT CHECKED") => assert_eq!(json.json()["checked"], false, "{name}"),
            0 => checked += 1,
            2 => {
                let need = |(what, how): &(&str, &str)| said.err.contains(what) && said.err.contains(how);
                assert!(NEEDS.iter().any(need), "{name}: {}", said.err);
            }
            _ => panic!("check {name}: {said:?}"),
        }
        for run in [shown, paged, said, json] {
            told.push_str(&run.out);
            told.push_str(&run.err);
        }
    }
    assert!(checked > 40, "only {checked} were checked in earnest");
    let betrayed: Vec<&String> = secrets.iter().filter(|secret| told.contains(secret.as_str())).collect();
    assert!(secrets.len() > 15 && betrayed.is_empty(), "{betrayed:?}");
}

/// A copy of the demo that may be changed.
fn copied() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(demo(), dir.path());
    dir
}

#[test]
fn p04_what_was_changed_in_an_unpacked_release_is_named_by_its_manifest() {
    let check = |dir: &tempfile::TempDir| {
        let [of_file, of_dir] = ["manifest.json", "."]
            .map(|path| Run::of(Command::new(COLDROOT).args(["check", path]).current_dir(dir.path())));
        assert_eq!((of_file.code, of_dir.code), (4, 4), "{of_file:?} {of_dir:?}");
        of_file.err
    };
    let dir = copied();
    fs::write(dir.path().join("root.pem"), "x").unwrap();
    assert!(check(&dir).contains("root.pem: 1 octets, not "));
    let dir = copied();
    let crl = dir.path().join("crls/root.crl");
    let mut octets = fs::read(&crl).unwrap();
    *octets.last_mut().unwrap() ^= 1;
    fs::write(&crl, octets).unwrap();
    assert!(check(&dir).contains("crls/root.crl: its SHA-256 is "));
    let dir = copied();
    fs::remove_file(dir.path().join("refused.json")).unwrap();
    assert!(check(&dir).contains("refused.json: it is not there"));
    let dir = copied();
    fs::copy(dir.path().join("root.pem"), dir.path().join("certs/alien.pem")).unwrap();
    assert!(check(&dir).contains("certs/alien.pem: the manifest does not have it"));
    let dir = copied();
    let manifest = dir.path().join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap().replacen("root.pem", "../root.pem", 1);
    fs::write(&manifest, text).unwrap();
    assert!(check(&dir).contains("../root.pem: no path below the directory"));
}

#[test]
fn what_lies_beside_a_signature_a_statement_and_an_artefact_is_compared() {
    let dir = copied();
    let out = dir.path().join("station/out");
    let of = |ending: &str| {
        let all = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<PathBuf> = all.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
        all.sort();
        all
    };
    let check = |path: &Path| Run::of(Command::new(COLDROOT).arg("check").arg(path).current_dir(dir.path()));
    let (statement, signature) = (of(".statement").remove(0), of(".plan.alice.sig").remove(0));
    let good = check(&signature);
    assert!(good.code == 0 && good.out.contains("person `alice`"), "{good:?}");
    assert!(check(&statement).out.starts_with("The statement is the one of the plan beside it"));
    // Another plan's signature, another plan's statement.
    fs::copy(&of(".plan.alice.sig")[1], &signature).unwrap();
    fs::copy(&of(".statement")[1], &statement).unwrap();
    let bad = check(&signature);
    assert!(bad.code == 4 && bad.err.contains("is no signature over "), "{bad:?}");
    let bad = check(&statement);
    assert!(bad.code == 4 && bad.err.contains("is not what the plan beside it says"), "{bad:?}");
    let artefacts = dir.path().join("station/audit/artefact");
    let mut all = Vec::new();
    everything(&artefacts, Path::new(""), &mut all);
    let nameless = all.iter().map(|path| artefacts.join(path)).find(|path| fs::metadata(path).unwrap().len() == 32);
    let nameless = nameless.expect("the key of the tags has 32 octets");
    assert!(check(&nameless).out.starts_with("The artefact is the one that its name says"));
    fs::write(&nameless, "y".repeat(32)).unwrap();
    assert_eq!(check(&nameless).code, 4);
}

#[test]
fn certificates_are_checked_as_far_as_their_issuers_are_at_hand() {
    let leaf = "certs/keytool-ec.pem";
    let starts = |args: &[&str], code: i32, said: &str| {
        let run = coldroot(args);
        assert!(run.code == code && (run.out.starts_with(said) || run.err.contains(said)), "{args:?}: {run:?}");
    };
    starts(&["check", "root.pem"], 0, "1 of 1 certificate is signed by an issuer at hand");
    starts(&["check", leaf], 0, "1 of 2 certificates are signed by an issuer at hand");
    starts(&["check", leaf, "--root", "root.pem"], 0, "2 of 2 certificates are signed by an issuer at hand");
    starts(&["check", "intermediates.pem"], 2, "NOT CHECKED");
    starts(&["check", "crls/root.crl"], 2, "NOT CHECKED");
    starts(&["check", "crls/root.crl", "--root", "root.pem"], 0, "The CRL is signed by the given CA");
    starts(&["check", "crls/xmpp-1.crl", "--root", "root.pem"], 4, "the CRL is not good");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("changed.pem");
    let pem = fs::read_to_string(demo().join("root.pem")).unwrap();
    let der = coldroot::x509::pem::blocks(&pem).next().unwrap().content.unwrap();
    let mut der = der;
    *der.last_mut().unwrap() ^= 1;
    fs::write(&path, der).unwrap();
    starts(&["check", path.to_str().unwrap()], 4, "signature");
}
