//! The life of keys: the login before each signature, and what is done with a key between its making and its end.

mod harness;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use coldroot::audit::entry::{Body, KeyDestroyed, KeyProven};
use coldroot::digest::Digest;
use coldroot::plan::Plan;
use harness::faulty::{count, mend, play};
use harness::station::Station;

/// Certificates of the batch; its plan has one item more, the first CRL.
const BATCH: u64 = 3;

// Always-authenticate keys

/// The faulty module's station, whose issuing key wants a login for each signature or does not.
fn station(always: bool) -> Station {
    let hierarchy = harness::faulty::hierarchy("");
    let key = "label = \"xmpp-1\"\nalgorithm = \"ecdsa-p256\"\nbackup = \"none\"\n";
    assert!(hierarchy.contains(key));
    Station::ready_of(hierarchy.replace(key, &format!("{key}always-authenticate = {always}\n")))
}

fn batch(station: &Station) -> (PathBuf, Vec<PathBuf>) {
    let plan = station.planned(&station.bundle(BATCH, 1));
    let approvals = station.approve(&plan);
    (plan, approvals)
}

/// The batch's certificates on record.
fn issued(station: &Station) -> u64 {
    let leaf = |body: &Body| matches!(body, Body::Certificate(c) if c.subject_ca.is_none());
    station.bodies().iter().filter(|body| leaf(body)).count() as u64
}

/// With the token mended, the same command ends the batch.
#[track_caller]
fn ends(station: &Station, plan: &Path, approvals: &[PathBuf]) {
    mend(station);
    station.sign(plan, approvals).ok();
    assert_eq!(issued(station), BATCH);
    station.check_log();
}

#[test]
fn an_always_authenticate_key_has_a_login_for_each_signature() {
    let station = station(true);
    let made = station.bodies().into_iter().find_map(|body| match body {
        Body::KeyGenerated(key) if key.key == "xmpp-key" => Some(key.attributes),
        _ => None,
    });
    assert!(made.unwrap().iter().any(|line| line == "CKA_ALWAYS_AUTHENTICATE=true"));
    let (plan, approvals) = batch(&station);
    play(&station, "");
    station.sign(&plan, &approvals).ok();
    // One login of the user, and one for each certificate and the CRL; the audit key wants none.
    assert_eq!(count(&station, "C_Login") as u64, 1 + BATCH + 1);
    assert_eq!((count(&station, "C_Initialize"), issued(&station)), (1, BATCH));
    mend(&station);
    station.check_log();
}

#[test]
fn p08_a_pin_that_is_refused_before_a_signature_is_tried_once() {
    let station = station(true);
    let (plan, approvals) = batch(&station);
    play(&station, "C_Login:3=0xa0");
    station.sign(&plan, &approvals).fails(3, "logging in for one signature: CKR_PIN_INCORRECT");
    // The third login is the last one, though two sessions sign; what was signed before it goes unrecorded.
    assert_eq!((count(&station, "C_Login"), issued(&station)), (3, 0));
    assert!(!station.path("out/release-0003").exists());
    ends(&station, &plan, &approvals);
}

#[test]
fn p08_a_key_that_is_not_as_always_authenticating_as_declared_does_not_sign() {
    for (always, lie) in [(true, "00"), (false, "01")] {
        let station = station(always);
        let (plan, approvals) = batch(&station);
        play(&station, &format!("C_GetAttributeValue=attribute:0x202:{lie}:xmpp-1"));
        station.sign(&plan, &approvals).fails(3, "CKA_ALWAYS_AUTHENTICATE");
        // The checkpoints of the login and the start.
        assert_eq!((count(&station, "C_SignInit"), count(&station, "C_Login"), issued(&station)), (2, 1, 0));
        ends(&station, &plan, &approvals);
    }
}

// Proof and destruction

const PROVE: &str = "format = \"coldroot-ceremony-v0\"\ntitle = \"Proof\"\n\n[[act]]\nkind = \"key-proof\"\n\
    key = \"root-key\"\n\n[[act]]\nkind = \"key-proof\"\nkey = \"xmpp-key\"\n";
const DESTROY: &str =
    "format = \"coldroot-ceremony-v0\"\ntitle = \"End\"\n\n[[act]]\nkind = \"destroy-key\"\nkey = \"xmpp-key\"\n";

/// Which C_DestroyObject is that of the private half and of the public one: the older marks of login, start and open plan go
/// before.
const PRIVATE: u32 = 4;
const PUBLIC: u32 = 5;

fn although(ceremony: &str) -> String {
    format!("{ceremony}even-though = \"it was stolen\"\n")
}

/// A copy of a station with a root, an issuing CA and a batch of it, and the right to run: copies share their token's serial.
fn issuing() -> (Station, MutexGuard<'static, Station>) {
    static BASE: OnceLock<Mutex<Station>> = OnceLock::new();
    let base = BASE.get_or_init(|| {
        let station = Station::ready_of(harness::faulty::hierarchy(""));
        let plan = station.planned(&station.bundle(BATCH, 1));
        station.carried_out(&plan);
        Mutex::new(station)
    });
    let base = base.lock().unwrap_or_else(PoisonError::into_inner);
    (base.copy(), base)
}

fn approved(station: &Station, ceremony: &str) -> (PathBuf, Vec<PathBuf>) {
    let plan = station.planned_ceremony_of(ceremony);
    let approvals = station.approve(&plan);
    (plan, approvals)
}

fn proofs(station: &Station) -> Vec<KeyProven> {
    let proof = |body| if let Body::KeyProven(proof) = body { Some(proof) } else { None };
    station.bodies().into_iter().filter_map(proof).collect()
}

fn destroyed(station: &Station) -> Vec<KeyDestroyed> {
    let end = |body| if let Body::KeyDestroyed(end) = body { Some(end) } else { None };
    station.bodies().into_iter().filter_map(end).collect()
}

/// What stands on record for acts on keys; a refused act adds nothing.
fn acts(station: &Station) -> usize {
    proofs(station).len() + destroyed(station).len()
}

#[track_caller]
fn release_is_good(station: &Station, release: u64, key_acts: u64) {
    let key = station.verifier_key();
    let directory = format!("out/release-{release:04}");
    let args = ["check", &directory, "--verifier-key", &key, "--hierarchy", "hierarchy.toml"];
    assert_eq!(station.run(&args).ok()["key-acts"], key_acts);
    station.check_log();
}

fn artefact(station: &Station, digest: &Digest) -> Vec<u8> {
    std::fs::read(station.path("audit").join(coldroot::audit::artefact::path(digest))).unwrap()
}

#[test]
fn a_key_proves_itself_by_a_text_that_is_no_certificate() {
    let (station, _alone) = issuing();
    let (plan, approvals) = approved(&station, PROVE);
    let mut file = Plan::open(&station.dir().join(&plan)).unwrap();
    let statement = coldroot::plan::statement(file.head(), &file.digest());
    assert!(statement.contains("act          key-proof root-key ecdsa-p384 count 1\n"), "{statement}");
    station.sign(&plan, &approvals).ok();
    let proofs = proofs(&station);
    assert_eq!(proofs.iter().map(|proof| proof.key.as_str()).collect::<Vec<_>>(), ["root-key", "xmpp-key"]);
    for (n, proof) in (0..).zip(&proofs) {
        let item = file.item(n).unwrap();
        let (key, text, algorithm) = item.to_sign().unwrap();
        let signature = artefact(&station, &proof.signature);
        coldroot::x509::verify_signature(&key.spki, algorithm, text, &signature).unwrap();
        let shown = String::from_utf8(text.to_vec()).unwrap();
        assert!(shown.starts_with("coldroot-key-proof-v0\n") && shown.contains(&proof.spki.to_string()), "{shown}");
    }
    release_is_good(&station, 4, 2);
    station.sign(&plan, &approvals).fails(1, "carried out already");
}

#[test]
fn p01_another_key_under_the_same_name_proves_nothing() {
    // The base point of P-256: a lawful key, and not the planned one.
    let point = "0441046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let cases = [
        (format!("C_GetAttributeValue=attribute:0x181:{point}:xmpp-1"), "its public half is not the planned one", 1),
        ("signature:3=garble".to_owned(), "is not what was planned", 0),
    ];
    for (script, said, proven) in cases {
        let (station, _alone) = issuing();
        let (plan, approvals) = approved(&station, PROVE);
        play(&station, &script);
        station.sign(&plan, &approvals).fails(3, said);
        // What was proven before it stays on record; nothing of the other key does.
        assert_eq!(acts(&station), proven, "{script}");
        assert!(!station.path("out/release-0004").exists());
        mend(&station);
        station.sign(&plan, &approvals).ok();
        assert_eq!(acts(&station), 2);
        release_is_good(&station, 4, 2);
    }
}

#[test]
fn a_key_with_certificates_in_force_is_not_destroyed_without_a_reason() {
    let (station, _alone) = issuing();
    let before = station.state();
    std::fs::write(station.path("ceremony.toml"), DESTROY).unwrap();
    let said = station.run(&["plan", "--ceremony", "ceremony.toml"]).fails(1, "has 3 certificates in force");
    assert!(said["hint"].as_str().unwrap().contains("even-though"), "{said}");
    assert_eq!(station.state(), before);
}

#[test]
fn a_destroyed_key_is_gone_from_the_token_and_signs_no_more() {
    let (station, _alone) = issuing();
    let (plan, approvals) = approved(&station, &although(DESTROY));
    let file = Plan::open(&station.dir().join(&plan)).unwrap();
    let statement = coldroot::plan::statement(file.head(), &file.digest());
    let line = "act          destroy-key xmpp-key although 3 certificates are in force: it was stolen count 1\n";
    assert!(statement.contains(line), "{statement}");
    station.sign(&plan, &approvals).ok();
    let ends = destroyed(&station);
    assert_eq!((ends.len(), ends[0].found, ends[0].label.as_str()), (1, true, "xmpp-1"));
    let inventory = String::from_utf8(artefact(&station, &ends[0].inventory)).unwrap();
    let of = |when: &str| inventory.lines().filter(|line| line.starts_with(when) && line.ends_with(" xmpp-1")).count();
    assert_eq!((of("before "), of("after ")), (2, 0), "{inventory}");
    assert!(inventory.lines().any(|line| line.starts_with("after ") && line.ends_with(" root")), "{inventory}");
    release_is_good(&station, 4, 1);
    // What needs the key is refused when it is planned.
    station.run(&["plan", "--crl", "xmpp-1"]).fails(1, "has no key");
    for ceremony in [PROVE.to_owned(), although(DESTROY)] {
        std::fs::write(station.path("ceremony.toml"), ceremony).unwrap();
        station.run(&["plan", "--ceremony", "ceremony.toml"]).fails(1, "was destroyed");
    }
    // The other key is as it was.
    let plan = station.planned_by(&["--crl", "root"]);
    station.carried_out(&plan);
    station.check_log();
}

#[test]
fn p03_a_destruction_that_is_stopped_ends_once() {
    let reason = although(DESTROY);
    for call in PRIVATE..=PUBLIC {
        for (fault, restarts) in
            [("crash", true), ("after:crash", true), ("kill:all", false), ("after:kill:all", false)]
        {
            let (station, _alone) = issuing();
            let (plan, approvals) = approved(&station, &reason);
            play(&station, &format!("once C_DestroyObject:{call}={fault}"));
            let run = station.sign(&plan, &approvals);
            if restarts {
                run.ok();
            } else {
                assert_ne!(run.code, 0, "{run:?}");
                assert_eq!(destroyed(&station), [], "{call} {fault}");
                station.sign(&plan, &approvals).ok();
            }
            let ends = destroyed(&station);
            // Gone already where the last call was done and nobody heard of it.
            assert_eq!(
                (ends.len(), ends[0].found),
                (1, call == PRIVATE || !fault.starts_with("after")),
                "{call} {fault}"
            );
            mend(&station);
            release_is_good(&station, 4, 1);
        }
    }
}

#[test]
fn p08_half_a_pair_or_another_pair_is_not_destroyed() {
    let reason = although(DESTROY);
    let point = "0441046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let cases = [
        (format!("C_GetAttributeValue=attribute:0x181:{point}:xmpp-1"), "its public half is not the planned one"),
        // CKR_ACTION_PROHIBITED: CKA_DESTROYABLE is false.
        (format!("C_DestroyObject:{PRIVATE}=0x1b"), "CKR_ACTION_PROHIBITED"),
    ];
    for (script, said) in cases {
        let (station, _alone) = issuing();
        let (plan, approvals) = approved(&station, &reason);
        play(&station, &script);
        station.sign(&plan, &approvals).fails(3, said);
        assert_eq!(acts(&station), 0, "{script}");
        mend(&station);
        station.sign(&plan, &approvals).ok();
        // It was still there.
        assert!(destroyed(&station)[0].found, "{script}");
        release_is_good(&station, 4, 1);
    }
}
