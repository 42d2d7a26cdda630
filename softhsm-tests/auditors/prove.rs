//! `prove`, and its proofs under `check` and `audit-logs/verify.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::harness::station::Run;
use super::harness::{files, repository};
use super::{coldroot, demo, key};

/// Both verifiers' exit codes.
fn judged(proof: &Path, certificate: Option<&Path>, key: &str) -> [Run; 2] {
    let given = certificate.map(|path| vec!["--certificate", path.to_str().unwrap()]).unwrap_or_default();
    let path = proof.to_str().unwrap();
    let ours = coldroot(&[&["check", path, "--verifier-key", key], given.as_slice()].concat());
    let mut python = Command::new("python3");
    python.arg(repository().join("audit-logs/verify.py")).args(["--proof", path, "--verifier-key", key]).args(given);
    [ours, Run::of(&mut python)]
}

#[track_caller]
fn refused(proof: &Path, certificate: Option<&Path>, key: &str) {
    for run in judged(proof, certificate, key) {
        assert!(run.code == 4 && run.out.is_empty() && !run.err.contains("panicked"), "{run:?}");
    }
}

fn proofs() -> Vec<PathBuf> {
    let proofs = files(&demo().join("proofs"));
    assert!(proofs.len() > 3, "{proofs:?}");
    proofs
}

/// The certificate beside a proof of the layout.
fn certificate(proof: &Path) -> PathBuf {
    demo().join("certs").join(proof.file_name().unwrap()).with_extension("pem")
}

#[test]
fn p04_every_certificate_of_a_release_lies_beside_a_proof_that_both_verifiers_accept() {
    assert_eq!(proofs().len(), files(&demo().join("certs")).len());
    let manifest = fs::read_to_string(demo().join("manifest.json")).unwrap();
    for proof in proofs() {
        let name = format!("proofs/{}", proof.file_name().unwrap().to_str().unwrap());
        assert!(manifest.contains(&format!("\"{name}\"")), "{name}");
    }
    for proof in proofs().iter().take(3) {
        let [ours, python] = judged(proof, Some(&certificate(proof)), &key());
        assert!(ours.code == 0 && ours.out.starts_with("The certificate is on record"), "{ours:?}");
        assert!(
            python.code == 0 && python.out.starts_with("good: ") && python.out.contains("the given one"),
            "{python:?}"
        );
        let [ours, python] = judged(proof, None, &key());
        assert!(ours.code == 0 && ours.out.contains("not compared"), "{ours:?}");
        assert!(python.code == 0 && python.out.contains("not compared"), "{python:?}");
    }
}

#[test]
fn p04_a_hostile_proof_is_refused_by_both_verifiers() {
    let all = proofs();
    let (proof, other) = (&all[0], &all[1]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proof");
    let text = fs::read_to_string(proof).unwrap();
    // Another certificate; another key under the same name, and under another.
    refused(proof, Some(&certificate(other)), &key());
    refused(proof, Some(&demo().join("root.pem")), &key());
    let (origin, rest) = key().split_once('+').map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let index = lines[2].strip_prefix("index ").unwrap().parse::<u64>().unwrap();
    let note = lines.iter().position(|line| line.is_empty()).unwrap();
    let place = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
        change(&mut lines);
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        refused(&path, Some(&certificate(proof)), &key());
    };
    let hash = "A".repeat(43) + "=";
    place(&|l| l[2] = format!("index {}", index + 1));
    place(&|l| l[2] = format!("index {}", index + (1 << 20)));
    place(&|l| l[2] = format!("index 0{index}"));
    place(&|l| drop(l.remove(3)));
    place(&|l| drop(l.remove(note - 1)));
    place(&|l| l.insert(3, hash.clone()));
    place(&|l| l.insert(note, hash.clone()));
    place(&|l| l.swap(3, 4));
    // The entry of another certificate at this place, and the checkpoint of another size.
    let others: Vec<String> = fs::read_to_string(other).unwrap().lines().map(str::to_string).collect();
    place(&|l| l[1] = others[1].clone());
    place(&|l| l[note + 2] = (l[note + 2].parse::<u64>().unwrap() - 1).to_string());
    // An earlier checkpoint of the same log, signed by the same key.
    let earlier = fs::read_to_string(demo().join("station/out/release-0002/checkpoint")).unwrap();
    place(&|l| {
        l.truncate(note + 1);
        l.extend(earlier.lines().map(str::to_string));
    });
    fs::write(&path, &text).unwrap();
    assert!(judged(&path, Some(&certificate(proof)), &key()).iter().all(|run| run.code == 0));
    let renamed = format!("{origin}2+{rest}");
    let [ours, python] = judged(&path, None, &renamed);
    assert!((ours.code, python.code) == (2, 4), "{ours:?} {python:?}");
}

#[test]
fn p04_a_proof_with_any_octet_changed_is_refused_by_verify_py() {
    // In one process of Python: a start for each octet would take minutes. The binary's own test does the same with its reader.
    let script = "import sys; sys.path.insert(0, sys.argv[1]); import verify\n\
        data, key = open(sys.argv[2], 'rb').read(), verify.VerifierKey(sys.argv[3])\n\
        verify.verify_proof(data, key)\n\
        for at in range(len(data)):\n\
        \tchanged = bytearray(data); changed[at] ^= 1\n\
        \ttry:\n\
        \t\tverify.verify_proof(bytes(changed), key)\n\
        \texcept verify.Refused: continue\n\
        \tsys.exit('octet %d' % at)\n\
        print(len(data))";
    let mut python = Command::new("python3");
    python.args(["-B", "-c", script]).arg(repository().join("audit-logs")).arg(&proofs()[0]).arg(key());
    let run = Run::of(&mut python);
    assert!(run.code == 0 && run.out.trim().parse::<u64>().unwrap() > 1000, "{run:?}");
}

#[test]
fn a_certificate_is_found_by_file_request_serial_and_number_in_log_and_release() {
    let dir = tempfile::tempdir().unwrap();
    let proof = &proofs()[0];
    let on_record = coldroot(&["check", proof.to_str().unwrap(), "--verifier-key", &key(), "--json"]).ok();
    let (entry, fields) = (&on_record["entry"], &on_record["entry"]["fields"]);
    let (serial, number) = (fields["read-from-der"]["serial"].as_str().unwrap(), entry["index"].to_string());
    let certificate = certificate(proof);
    let wanted = [
        ["--certificate", certificate.to_str().unwrap()],
        ["--request", fields["request"].as_str().unwrap()],
        ["--serial", serial],
        ["--entry", &number],
    ];
    for (n, log) in ["log", "station/audit", "station/out/release-0003"].iter().enumerate() {
        for wanted in &wanted {
            let to = dir.path().join(format!("{n}{}", wanted[0]));
            coldroot(&[&["prove", log, "--json", "--to", to.to_str().unwrap()], &wanted[..]].concat()).ok();
            assert_eq!(fs::read(&to).unwrap(), fs::read(proof).unwrap(), "{log} {wanted:?}");
        }
    }
    let to = dir.path().join("new");
    let prove =
        |wanted: &[&str]| coldroot(&[&["prove", "log", "--json", "--to", to.to_str().unwrap()], wanted].concat());
    prove(&["--request", "nobody"]).fails(4, "not on record");
    prove(&["--certificate", "manifest.json"]).fails(1, "nothing that coldroot knows");
    prove(&["--entry", "999999"]).fails(4, "not on record");
    // The receipt of the last release is under no checkpoint yet.
    let size = coldroot(&["show", "station/audit", "--json"]).ok()["size"].as_u64().unwrap();
    let args = ["prove", "station/audit", "--json", "--to", to.to_str().unwrap(), "--entry", &(size - 1).to_string()];
    coldroot(&args).fails(1, "no checkpoint covers it yet");
    assert!(!to.exists());
    fs::write(&to, "mine").unwrap();
    prove(&["--entry", "0"]).fails(1, "is there already");
    assert_eq!(fs::read_to_string(&to).unwrap(), "mine");
}

#[test]
fn p04_a_log_is_proven_to_continue_an_earlier_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (to, older) = (dir.path().join("continued"), "station/out/release-0001/checkpoint");
    let to = to.to_str().unwrap();
    coldroot(&["prove", "log", "--consistency", older, "--to", to, "--json"]).ok();
    let check = |older: &str| coldroot(&["check", to, "--verifier-key", &key(), "--against", older, "--json"]);
    let said = check(older).ok();
    assert!(said["old"].as_u64().unwrap() < said["size"].as_u64().unwrap());
    check("station/out/release-0002/checkpoint").fails(4, "it begins at");
    let forged = said["old"].to_string() + " " + &"ab".repeat(32);
    check(&forged).fails(4, "do not lead from the older checkpoint");
    coldroot(&["check", to, "--verifier-key", &key(), "--json"]).fails(2, "earlier checkpoint");
    // The release before holds too few entries for the newest checkpoint.
    let to = dir.path().join("none");
    let to = to.to_str().unwrap();
    let newest = ["prove", "station/out/release-0002", "--consistency", "log/checkpoint", "--to", to, "--json"];
    coldroot(&newest).fails(4, "this log has");
    assert!(!Path::new(to).exists());
}

/// What `prove` says to type is typed by somebody who has the proof, his certificate and the key, and no other file of ours but `verify.py`.
#[test]
fn p04_a_hostmaster_checks_his_certificate_with_verify_py_alone() {
    let dir = tempfile::tempdir().unwrap();
    let put = |from: PathBuf, name: &str| assert!(fs::copy(from, dir.path().join(name)).unwrap() > 0);
    put(repository().join("audit-logs/verify.py"), "verify.py");
    put(certificate(&proofs()[0]), "chat.pem");
    put(demo().join("root.pem"), "root.pem");
    fs::write(dir.path().join("verifier-key"), key() + "\n").unwrap();
    let there = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (pem, to) = (there("chat.pem"), there("chat.tlog-proof"));
    let said = coldroot(&["prove", "log", "--certificate", &pem, "--to", &to]);
    let line = said.out.lines().map(str::trim).find(|line| line.starts_with("python3 verify.py ")).unwrap().to_string();
    let typed = |line: &str| {
        let mut shell = Command::new("sh");
        Run::of(
            shell.args(["-c", line]).current_dir(dir.path()).env_clear().env("PATH", std::env::var("PATH").unwrap()),
        )
    };
    let run = typed(&line);
    assert!(run.code == 0 && run.out.contains("(the given one)"), "{line}: {run:?}");
    let run = typed(&(line.clone() + " --root root.pem"));
    assert!(run.code == 0 && run.out.contains("it leads to one that was given"), "{run:?}");
    let run = typed(&(line.clone() + " --root root.pem --json"));
    let json: Value = serde_json::from_str(&run.out).unwrap();
    assert!(json["ok"] == true && json["root-compared"] == true, "{json}");
    // A root that it does not lead to; its own CAs missing; a key file that is none, and one of another log.
    let other = super::harness::repository().join("audit-logs/sample");
    let root = files(&other).into_iter().find(|path| path.extension().is_some_and(|e| e == "pem")).unwrap();
    put(root, "other.pem");
    let leaf = fs::read_to_string(dir.path().join("chat.pem")).unwrap();
    let end = "-----END CERTIFICATE-----\n";
    fs::write(dir.path().join("leaf.pem"), leaf.split_inclusive(end).next().unwrap()).unwrap();
    fs::write(dir.path().join("typo"), key().replace('+', "2+")).unwrap();
    let hostile = [
        (line.clone() + " --root other.pem", 4, "does not lead to a root"),
        (line.replace(&pem, "leaf.pem") + " --root root.pem", 4, "put its CAs behind it"),
        (line.replace(&pem, "root.pem"), 4, "another entry"),
        (line.replace("verifier-key verifier-key", "verifier-key typo"), 4, "verifier key"),
        (line.replace("verifier-key verifier-key", "verifier-key nowhere"), 2, "nowhere"),
        (line.replace(&format!(" --certificate {pem}"), " --root root.pem"), 2, "of a --certificate"),
    ];
    for (line, code, saying) in hostile {
        let run = typed(&line);
        assert!(run.code == code && run.out.is_empty() && run.err.contains(saying), "{line}: {run:?}");
    }
}
