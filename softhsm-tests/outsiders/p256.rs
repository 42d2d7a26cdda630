//! The same verifiers over logs whose audit key is of ECDSA P-256, with notes of type 2; and the whole life of a station on one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use coldroot::audit::entry::Body;
use coldroot::audit::note::{assemble, checkpoint_text};
use coldroot::audit::{View, note};

use super::agreement::{Signer, all_accept, all_refuse, every_forgery, signed_by};
use super::harness::batch::killed_at;
use super::harness::station::{COLDROOT, HIERARCHY, Run, Station, generated};
use super::harness::{copy_tree, kryoptic, verify_py};
use super::sumdb;

const COPY: &str = "../stick/audit";

/// A hierarchy whose audit key is of P-256; `more` are further lines of its `[audit]`.
fn p256(hierarchy: &str, more: &str) -> String {
    hierarchy.replacen("[audit]\n", &format!("[audit]\nalgorithm = \"ecdsa-p256\"\n{more}"), 1)
}

#[test]
fn p04_four_verifiers_agree_on_logs_under_a_key_of_type_2_and_refuse_what_is_forged_there() {
    let dir = tempfile::tempdir().unwrap();
    for size in [1, 257] {
        let (log, signer) = signed_by(Signer::p256(), dir.path(), size);
        assert_eq!(all_accept(&log, &signer.key.to_string()).0, size);
        fs::remove_dir_all(log).unwrap();
    }
    let (log, signer) = signed_by(Signer::p256(), dir.path(), 600);
    every_forgery(&log, &signer, &Signer::p256(), &["swapped pair", "dropped tail"]);
    // An octet of the checkpoint's text, of r, of s; and the end cut off. Not of its last letter, whose spare bits Go passes over.
    let (key, path) = (signer.key.to_string(), log.join("checkpoint"));
    let whole = fs::read(&path).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 60, whole.len() - 8] {
        let mut changed = whole.clone();
        changed[at] ^= 0x04;
        fs::write(&path, changed).unwrap();
        all_refuse(&log, &key, &format!("octet {at} of the checkpoint"));
    }
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    all_refuse(&log, &key, "a cut checkpoint");
    fs::write(&path, whole).unwrap();
    all_accept(&log, &key);
}

/// With (r, s) the pair (r, n−s) is good too, and every verifier says so; no other octets are a signature for any of them.
#[test]
fn p04_four_verifiers_agree_on_what_a_signature_of_type_2_is() {
    let dir = tempfile::tempdir().unwrap();
    let (log, signer) = signed_by(Signer::p256(), dir.path(), 2);
    let (key, root) = (signer.key.to_string(), View::read(&log).unwrap().root().unwrap());
    let text = checkpoint_text(signer.key.name(), 2, &root);
    let signature = signer.signature(2, &root);
    let [r, s] = integers(&signature);
    let put = |signature: &[u8]| {
        let note = assemble(&text, &signer.key, signature);
        fs::write(log.join("checkpoint"), note).unwrap();
    };
    put(&of_integers(&r, &from_n(&s)));
    all_accept(&log, &key);
    for (what, signature) in [
        ("an octet behind it", [signature.as_slice(), &[0]].concat()),
        ("a zero more before r", of_integers(&[&[0], r.as_slice()].concat(), &s)),
        ("a length in two octets", [&[0x30, 0x81, signature[1]], &signature[2..]].concat()),
        ("r and s without DER", [r.as_slice(), &s].concat()),
        ("zero for s", of_integers(&r, &[0])),
        ("of another text", signer.signature(3, &root)),
    ] {
        put(&signature);
        all_refuse(&log, &key, what);
    }
    // A note of type 1 under the same name, by a key that nobody has asked for; alone, and under the asked key's id.
    let edwards = Signer::new(11);
    fs::write(log.join("checkpoint"), edwards.note(2, &root)).unwrap();
    all_refuse(&log, &key, "a note of type 1");
    put(&edwards.signature(2, &root));
    all_refuse(&log, &key, "a signature of type 1");
    put(&signature);
    all_accept(&log, &key);
    all_refuse(&log, &edwards.key.to_string(), "a key of type 1");
    // A key that is mistyped is none, and nothing is judged by it.
    let mut off = key.clone().into_bytes();
    let at = off.len() - 20;
    off[at] = if off[at] == b'A' { b'B' } else { b'A' };
    for key in [String::from_utf8(off).unwrap(), key.replacen("+AjBZ", "+ATBZ", 1)] {
        for (who, run) in super::agreement::verdicts(&log, &key) {
            let usage = if who == "verify.py" { 4 } else { 2 };
            assert!(run.code == usage && !run.err.contains("Traceback"), "{who}: {run:?}");
        }
    }
}

/// The INTEGERs of a signature, which is shorter than 128 octets.
fn integers(der: &[u8]) -> [Vec<u8>; 2] {
    let r = &der[4..4 + usize::from(der[3])];
    [r.to_vec(), der[6 + r.len()..].to_vec()]
}

fn of_integers(r: &[u8], s: &[u8]) -> Vec<u8> {
    let tlv = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
    tlv(0x30, &[tlv(0x02, r), tlv(0x02, s)].concat())
}

/// n−s as an INTEGER's octets, n the order of P-256 (SEC 2, secp256r1).
fn from_n(s: &[u8]) -> Vec<u8> {
    let n = b"\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
    let mut padded = [0; 33];
    padded[33 - s.len()..].copy_from_slice(s);
    let mut borrow = 0;
    let mut difference: Vec<u8> = (0..32)
        .rev()
        .map(|at| {
            let rest = i16::from(n[at]) - i16::from(padded[at + 1]) - borrow;
            borrow = i16::from(rest < 0);
            rest.to_le_bytes()[0]
        })
        .collect();
    assert_eq!(borrow, 0);
    difference.reverse();
    let first = difference.iter().position(|octet| *octet != 0).unwrap();
    let octets = difference.split_off(first);
    if octets[0] < 0x80 { octets } else { [&[0], octets.as_slice()].concat() }
}

/// What the four say of the log of a release.
#[track_caller]
fn judged(station: &Station, release: u64) -> u64 {
    let log = station.desk(&format!("log-{release}"));
    copy_tree(&super::unpack(station, release).join("log"), &log);
    let size = all_accept(&log, &station.verifier_key()).0;
    fs::remove_dir_all(station.path("www")).unwrap();
    size
}

#[track_caller]
fn approved(station: &Station, args: &[&str]) {
    let file = PathBuf::from(station.run(args).ok()["statement-file"].as_str().unwrap());
    let approvals = station.approve(&file);
    let given: Vec<&str> = approvals.iter().flat_map(|a| ["--approval", a.to_str().unwrap()]).collect();
    station.run(&[args, &given].concat()).ok();
}

#[test]
fn p04_a_station_with_an_audit_key_of_p256_lives_a_whole_life() {
    let station = Station::bare_of(p256(HIERARCHY, &format!("copy = \"{COPY}\"\n")));
    fs::create_dir_all(station.path(COPY)).unwrap();
    station.run(&["init"]).fails(1, "act          init main ecdsa-p256 audit\n");
    // Stopped behind the making of the key, the next run goes on with that one.
    assert_eq!(killed_at(&station, &station.init_args(), "fdatasync", 1).code, -1);
    let begun = Run::of(Command::new(COLDROOT).arg("--plain").args(station.init_args()).current_dir(station.dir()));
    assert!(begun.code == 0 && begun.out.contains("adopted from the token"), "{begun:?}");
    let key = station.verifier_key();
    assert!(key.starts_with("example.org/coldroot/demo+") && key.contains("+AjBZMBMG"), "{key}");
    for _ in ["keys", "certificates"] {
        station.carried_out(&station.planned_ceremony());
    }
    station.carried_out(&station.planned(&station.bundle(3, 1)));
    let sizes = [1, 2, 3].map(|release| judged(&station, release));
    assert!(sizes.is_sorted(), "{sizes:?}");

    // The next bundle carries the checkpoint that it answers; one that this log has not signed is refused.
    let answer = |name: &str, release: &str| {
        let requests = station.requests(name, &generated(2, 7));
        station.pack_with(&requests, 2, &["--answers", release, "--release", "3"])
    };
    let stranger = Station::bare_of(p256(HIERARCHY, ""));
    stranger.init().ok();
    assert_ne!(stranger.verifier_key(), key);
    let foreign = station.desk("foreign");
    copy_tree(&station.path("out/release-0003"), &foreign);
    fs::copy(stranger.path("audit/checkpoint"), foreign.join("checkpoint")).unwrap();
    let before = station.state();
    let forged = answer("forged", foreign.to_str().unwrap());
    station
        .plan(&forged)
        .fails(1, "the checkpoint that the bundle answers is not of this log: no signature by this key");
    station.only_read_in(&before, &forged);
    station.carried_out(&station.planned(&answer("answering", "out/release-0003")));
    station.check_log();

    // Releases, and one written again: the same octets, its checkpoint's signature too.
    let check = |path: &str, more: &[&str]| station.run(&[&["check", path, "--verifier-key", &key], more].concat());
    for n in 1..=4 {
        check(&format!("out/release-000{n}"), &["--hierarchy", "hierarchy.toml"]).ok();
    }
    let (release, kept) = (station.path("out/release-0003"), station.desk("kept"));
    copy_tree(&release, &kept);
    fs::remove_dir_all(&release).unwrap();
    station.run(&["release", "3"]).ok();
    for file in ["checkpoint", "manifest.cbor", "log.cbor", "release.cbor"] {
        assert_eq!(fs::read(release.join(file)).unwrap(), fs::read(kept.join(file)).unwrap(), "{file}");
    }

    // Proofs: of a certificate, and that the log continues an earlier checkpoint.
    let (request, ..) = station.leaves().remove(0);
    station.run(&["prove", "audit", "--request", &request, "--to", "one.tlog-proof"]).ok();
    check("one.tlog-proof", &[]).ok();
    let mut python = Command::new("python3");
    python
        .arg(super::harness::repository().join("audit-logs/verify.py"))
        .arg("--proof")
        .arg(station.path("one.tlog-proof"));
    let python = Run::of(python.args(["--verifier-key", &key]));
    assert!(python.code == 0 && python.out.starts_with("good: "), "{python:?}");
    station.run(&["prove", "audit", "--consistency", "out/release-0001/checkpoint", "--to", "continued"]).ok();
    check("continued", &["--against", "out/release-0001/checkpoint"]).ok();
    let other = station.run(&["check", "one.tlog-proof", "--verifier-key", &stranger.verifier_key()]);
    other.fails(4, "no signature by this key");
    for kept in ["out/release-0002/checkpoint", COPY, "../desk/log-2"] {
        check("audit", &["--against", kept]).ok();
    }
    check("audit", &["--against", stranger.path("audit/checkpoint").to_str().unwrap()]).fails(4, "does not verify");
    let inventory = station.run(&["token", "inventory"]).ok();
    let lines = inventory[0]["lines"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["what"] == "ecdsa-p256 audit key pair" && line["status"] == "right"));
    lost_and_found(&station);
}

/// The directory comes back from the copy; and once every newer copy is lost, what is left is adopted.
fn lost_and_found(station: &Station) {
    let old = station.save_audit("old");
    station.carried_out(&station.planned(&station.bundle(2, 3)));
    fs::remove_dir_all(station.path("audit")).unwrap();
    fs::remove_file(station.path("verifier-key")).unwrap();
    let key = View::read(&station.path(COPY)).unwrap().genesis().unwrap().verifier_key;
    station.run(&["restore", COPY, "--verifier-key", &key]).ok();
    assert_eq!(station.verifier_key(), key);
    station.carried_out(&station.planned_by(&["--crl", "xmpp-1"]));
    station.check_log();
    assert_eq!(verify_py(&station.path(COPY), &key, None).code, 0);

    station.restore_audit(&old);
    fs::remove_dir_all(station.path(COPY)).unwrap();
    fs::create_dir(station.path(COPY)).unwrap();
    let plan = station.planned_by(&["--crl", "root"]);
    station.sign(&plan, &station.approve(&plan)).fails(3, "older than the token's mark");
    approved(station, &["adopt-log", "--reason", "disk and copy burnt", "--operator", "carol", "--witness", "dave"]);
    assert_eq!(station.bodies().iter().filter(|b| matches!(b, Body::LogAdopted(_))).count(), 1);
    station.carried_out(&station.planned_by(&["--crl", "root", "--crl", "xmpp-1"]));
    all_accept(&station.path("audit"), &key);
    station.check_log();
}

/// On Kryoptic, whose public keys are written in another way.
#[test]
fn p04_kryoptic_signs_notes_of_type_2() {
    let station = Station::bare_of(p256(&kryoptic::hierarchy("ecdsa-p256"), ""));
    station.init().ok();
    station.carried_out(&station.planned_ceremony());
    let (key, audit) = (station.verifier_key(), station.path("audit"));
    assert!(key.contains("+AjBZMBMG"), "{key}");
    all_accept(&audit, &key);
    let go = Run::of(
        Command::new(sumdb::program()).args(["-key", &key, "-older"]).arg(audit.join("checkpoint")).arg(&audit),
    );
    assert!(go.code == 0 && go.out.contains("continues the checkpoint"), "{go:?}");
    let text = fs::read_to_string(audit.join("checkpoint")).unwrap();
    assert!(note::open(&text, &note::VerifierKey::parse(&key).unwrap()).is_ok());
}
