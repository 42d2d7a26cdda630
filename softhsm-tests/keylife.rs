//! The life of keys: the login before each signature, and what is done with a key between its making and its end.

mod harness;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use coldroot::algorithm::KeyAlgorithm;
use coldroot::audit::entry::{Body, KeyBackedUp, KeyDestroyed, KeyProven, KeyRestored};
use coldroot::cbor::Bytes;
use coldroot::digest::Digest;
use coldroot::plan::Plan;
use coldroot::secret::Secret;
use coldroot::token::ask::{Answer, Ask, BackedUp, Class, KeyFacts, ToRestore, ToWrap, WrappingFacts, WrappingName};
use coldroot::token::client::Worker;
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

// Backup and restore, in the token

/// A worker on a new token of SoftHSM or Kryoptic, logged in.
struct Token {
    worker: Worker,
    _dir: tempfile::TempDir,
}

const PIN: &str = "user-1234";

impl Token {
    fn softhsm() -> Token {
        let dir = tempfile::tempdir().unwrap();
        let conf = format!("directories.tokendir = {}\nobjectstore.backend = file\n", dir.path().display());
        std::fs::write(dir.path().join("conf"), conf).unwrap();
        Token::of(harness::softhsm(), "SOFTHSM2_CONF", dir)
    }

    fn kryoptic() -> Token {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("token.sql");
        let conf = format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", store.display());
        std::fs::write(dir.path().join("conf"), conf).unwrap();
        Token::of(harness::kryoptic::module(), "KRYOPTIC_CONF", dir)
    }

    fn of(module: &Path, variable: &str, dir: tempfile::TempDir) -> Token {
        let conf = dir.path().join("conf").display().to_string();
        let env = BTreeMap::from([(variable.to_owned(), conf)]);
        let secret = |pin: &str| Secret::new(pin.as_bytes().to_vec());
        let coldroot = Path::new(env!("CARGO_BIN_EXE_coldroot"));
        let mut worker = Worker::start(coldroot, &["worker"], &env).unwrap();
        let made = worker.init_token(module, None, "life", &secret("so-87654321"), &secret(PIN)).unwrap();
        let Answer::Opened(facts) = made else { panic!("{made:?}") };
        let opened = worker.ask(&open(module, facts.serial)).unwrap();
        assert!(matches!(opened, Answer::Opened(_)), "{opened:?}");
        assert!(matches!(worker.login(&secret(PIN)).unwrap(), Answer::LoggedIn));
        Token { worker, _dir: dir }
    }

    #[track_caller]
    fn ask(&mut self, ask: &Ask) -> Answer {
        self.worker.ask(ask).unwrap()
    }

    #[track_caller]
    fn refused(&mut self, ask: &Ask, words: &str) {
        let before = self.objects();
        match self.ask(ask) {
            Answer::Failed(failure) => {
                assert_eq!(failure.class, Class::Refused, "{}", failure.what);
                assert!(failure.what.contains(words), "{}", failure.what);
            }
            other => panic!("should have failed: {other:?}"),
        }
        assert_eq!(self.objects(), before, "{words}");
    }

    fn wrapping(&mut self, label: &str) -> WrappingName {
        let cka_id = Bytes::from(label.as_bytes().to_vec());
        let ask = Ask::GenerateWrappingKey { label: label.into(), cka_id: cka_id.clone() };
        let Answer::WrappingKey(made) = self.ask(&ask) else { panic!() };
        for line in ["CKA_SENSITIVE=true", "CKA_EXTRACTABLE=false", "CKA_ENCRYPT=false", "CKA_DECRYPT=false"] {
            assert!(made.attributes.iter().any(|found| found == line), "{line} in {:?}", made.attributes);
        }
        // The same question finds it.
        let Answer::WrappingKey(again) = self.ask(&ask) else { panic!() };
        assert_eq!(again, WrappingFacts { adopted: true, ..made });
        WrappingName { label: label.into(), cka_id }
    }

    fn key(&mut self, label: &str, algorithm: KeyAlgorithm, extractable: bool) -> KeyFacts {
        let cka_id = Bytes::from(label.as_bytes().to_vec());
        let label = label.to_owned();
        let ask = Ask::GenerateKey { label, cka_id, algorithm, extractable, always_authenticate: false };
        match self.ask(&ask) {
            Answer::Generated(made) => made,
            other => panic!("{other:?}"),
        }
    }

    fn backed_up(&mut self, key: &ToWrap) -> BackedUp {
        match self.ask(&Ask::BackUp(key.clone())) {
            Answer::BackedUp(made) => made,
            other => panic!("{other:?}"),
        }
    }

    fn destroy(&mut self, key: &ToWrap) {
        let (label, cka_id, spki) = (key.label.clone(), key.cka_id.clone(), key.spki.clone());
        let gone = self.ask(&Ask::DestroyKey { label, cka_id, spki });
        assert!(matches!(&gone, Answer::Destroyed(gone) if gone.found), "{gone:?}");
    }

    /// What the token holds, by way of a key that is not there.
    fn objects(&mut self) -> Vec<String> {
        let ask = Ask::DestroyKey { label: "none".into(), cka_id: vec![0].into(), spki: vec![0].into() };
        match self.ask(&ask) {
            Answer::Destroyed(gone) if !gone.found => gone.after,
            other => panic!("{other:?}"),
        }
    }
}

fn open(module: &Path, serial: String) -> Ask {
    Ask::Open {
        module: module.into(),
        label: "life".into(),
        serial,
        sessions: 2,
        keep_pin: false,
        slot: None,
        init_args: None,
    }
}

/// What a key signs to prove itself.
const TEXT: &[u8] = b"coldroot-key-proof-v0\n";

fn to_wrap(key: &KeyFacts, wrapping: &WrappingName) -> ToWrap {
    let message = match key.algorithm {
        KeyAlgorithm::Ed25519 => TEXT.to_vec(),
        _ => aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, TEXT).as_ref().to_vec(),
    };
    ToWrap {
        label: key.label.clone(),
        cka_id: key.cka_id.clone(),
        spki: key.spki.clone(),
        algorithm: key.algorithm,
        wrapping: wrapping.clone(),
        message: message.into(),
    }
}

fn to_restore(key: &ToWrap, made: &BackedUp) -> ToRestore {
    let (mechanism, wrapped) = (made.mechanism.clone(), made.wrapped.clone());
    ToRestore { key: key.clone(), always_authenticate: false, mechanism, wrapped }
}

fn verified(key: &ToWrap, signature: &[u8]) {
    coldroot::x509::verify_signature(&key.spki, key.algorithm.signs_with(), TEXT, signature).unwrap();
}

fn goes_and_comes_back(token: &mut Token, mechanism: &str, kinds: &[KeyAlgorithm]) {
    let wrapping = token.wrapping("wrap");
    for algorithm in kinds.iter().copied() {
        let made = token.key(algorithm.name(), algorithm, true);
        let key = to_wrap(&made, &wrapping);
        let backup = token.backed_up(&key);
        assert_eq!(backup.mechanism, mechanism);
        verified(&key, &backup.signature);
        let with_key = token.objects();
        // The same octets each time, and nothing of it stays in the token.
        assert_eq!(token.backed_up(&key).wrapped, backup.wrapped, "{algorithm}");
        let restore = to_restore(&key, &backup);
        let Answer::Restored(adopted) = token.ask(&Ask::Restore(restore.clone())) else { panic!() };
        assert!(adopted.adopted && token.objects() == with_key, "{algorithm}");
        token.destroy(&key);
        let restored = match token.ask(&Ask::Restore(restore)) {
            Answer::Restored(restored) => restored,
            other => panic!("{algorithm}: {other:?}"),
        };
        assert!(!restored.adopted);
        verified(&key, &restored.signature);
        for line in ["CKA_TOKEN=true", "CKA_SENSITIVE=true", "CKA_EXTRACTABLE=true", "CKA_SIGN=true", "CKA_LOCAL=false"]
        {
            assert!(restored.attributes.iter().any(|found| found == line), "{line} in {:?}", restored.attributes);
        }
        assert_eq!(token.objects(), with_key, "{algorithm}");
        // It is found, and signs, like the one that was made.
        let (label, cka_id) = (key.label.clone(), key.cka_id.clone());
        let Answer::Keys(found) = token.ask(&Ask::FindKey { label, cka_id, always_authenticate: false }) else {
            panic!()
        };
        assert_eq!((found.len(), &found[0].spki), (1, &made.spki));
    }
}

#[test]
fn keys_go_and_come_back_on_softhsm() {
    let mut token = Token::softhsm();
    goes_and_comes_back(&mut token, "CKM_AES_KEY_WRAP_PAD", &[KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa3072]);
    // It has no encoding for the private keys of this curve.
    let edwards = token.key("edwards", KeyAlgorithm::Ed25519, true);
    let wrapping = WrappingName { label: "wrap".into(), cka_id: Bytes::from(b"wrap".to_vec()) };
    token.refused(&Ask::BackUp(to_wrap(&edwards, &wrapping)), "CKR_KEY_NOT_WRAPPABLE");
}

#[test]
fn keys_go_and_come_back_on_kryoptic() {
    let kinds = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa3072];
    goes_and_comes_back(&mut Token::kryoptic(), "CKM_AES_KEY_WRAP_KWP", &kinds);
}

fn keeps_what_it_should(mut token: Token) {
    let (wrapping, other) = (token.wrapping("wrap"), token.wrapping("other"));
    let made = token.key("one", KeyAlgorithm::EcdsaP256, true);
    let key = to_wrap(&made, &wrapping);
    let backup = token.backed_up(&key);
    let second = token.key("two", KeyAlgorithm::EcdsaP256, true);
    let second = to_wrap(&second, &wrapping);
    let of_second = token.backed_up(&second);
    // A key that is not extractable never leaves, whatever the gate would allow.
    let kept = token.key("kept", KeyAlgorithm::EcdsaP256, false);
    token.refused(&Ask::BackUp(to_wrap(&kept, &wrapping)), "wrapping a key: CKR_KEY_");
    let missing = WrappingName { label: "none".into(), cka_id: vec![1].into() };
    token.refused(&Ask::BackUp(ToWrap { wrapping: missing, ..key.clone() }), "holds no wrapping key");
    token.refused(&Ask::BackUp(ToWrap { spki: second.spki.clone(), ..key.clone() }), "is another one");
    token.destroy(&key);
    let good = to_restore(&key, &backup);
    // Any one bit, the first, one in the middle and the last.
    for at in [0, backup.wrapped.len() / 2, backup.wrapped.len() - 1] {
        let mut wrapped = backup.wrapped.to_vec();
        wrapped[at] ^= 1;
        token.refused(
            &Ask::Restore(ToRestore { wrapped: wrapped.into(), ..good.clone() }),
            "is damaged, or another key has wrapped it",
        );
    }
    let under_other = ToWrap { wrapping: other, ..key.clone() };
    token.refused(
        &Ask::Restore(ToRestore { key: under_other, ..good.clone() }),
        "is damaged, or another key has wrapped it",
    );
    let foreign = ToRestore { wrapped: of_second.wrapped, ..good.clone() };
    token.refused(&Ask::Restore(foreign), "the wrapped key is not the one with CKA_ID");
    token.refused(&Ask::Restore(ToRestore { mechanism: "CKM_RSA_PKCS".into(), ..good.clone() }), "CKM_RSA_PKCS");
    // Another pair has taken its label, or its name altogether.
    let taken = token.key("one", KeyAlgorithm::EcdsaP256, true);
    token.refused(&Ask::Restore(good.clone()), "is another one");
    token.destroy(&to_wrap(&taken, &wrapping));
    assert!(matches!(token.ask(&Ask::Restore(good)), Answer::Restored(_)));
}

#[test]
fn p08_only_the_right_backup_brings_a_key_back_on_softhsm() {
    keeps_what_it_should(Token::softhsm());
}

#[test]
fn p08_only_the_right_backup_brings_a_key_back_on_kryoptic() {
    keeps_what_it_should(Token::kryoptic());
}

// Backup and restore, as acts of a station

const WRAPPING: &str = "format = \"coldroot-ceremony-v0\"\ntitle = \"Wrapping\"\n\n[[act]]\nkind = \"generate-key\"\n\
    key = \"wrap-1\"\n";
const BACK_UP: &str =
    "format = \"coldroot-ceremony-v0\"\ntitle = \"Backup\"\n\n[[act]]\nkind = \"backup-key\"\nkey = \"xmpp-key\"\n";
const RESTORE: &str =
    "format = \"coldroot-ceremony-v0\"\ntitle = \"Restore\"\n\n[[act]]\nkind = \"restore-key\"\nkey = \"xmpp-key\"\n";

/// The same hierarchy, whose issuing key is wrapped.
fn wrapped(hierarchy: &str) -> String {
    let key = "label = \"xmpp-1\"\nalgorithm = \"ecdsa-p256\"\nbackup = \"none\"\n";
    assert!(hierarchy.contains(key));
    let wrapped = key.replace("\"none\"", "\"wrap\"\nwrapped-by = \"wrap-1\"")
        + "\n[[wrapping-key]]\nid = \"wrap-1\"\ntoken = \"main\"\nlabel = \"wrap\"\n";
    hierarchy.replace(key, &wrapped)
}

fn with_backup(hierarchy: &str) -> Station {
    let station = Station::ready_of(wrapped(hierarchy));
    [WRAPPING, BACK_UP].into_iter().for_each(|ceremony| done(&station, ceremony));
    station
}

/// A copy of a station whose issuing key has a backup, and the right to run.
fn backed_up() -> (Station, MutexGuard<'static, Station>) {
    static BASE: OnceLock<Mutex<Station>> = OnceLock::new();
    let base = BASE.get_or_init(|| Mutex::new(with_backup(&harness::faulty::hierarchy(""))));
    let base = base.lock().unwrap_or_else(PoisonError::into_inner);
    (base.copy(), base)
}

fn restored(station: &Station) -> Vec<KeyRestored> {
    let back = |body| if let Body::KeyRestored(back) = body { Some(back) } else { None };
    station.bodies().into_iter().filter_map(back).collect()
}

fn backup(station: &Station) -> KeyBackedUp {
    let made = |body| if let Body::KeyBackedUp(made) = body { Some(made) } else { None };
    station.bodies().into_iter().find_map(made).unwrap()
}

#[track_caller]
fn done(station: &Station, ceremony: &str) {
    let (plan, approvals) = approved(station, ceremony);
    station.sign(&plan, &approvals).ok();
}

#[test]
fn a_key_is_backed_up_destroyed_restored_and_signs_a_crl() {
    let (station, _alone) = backed_up();
    lives_again(&station, "CKM_AES_KEY_WRAP_PAD");
}

#[test]
fn a_key_is_backed_up_destroyed_restored_and_signs_a_crl_on_kryoptic() {
    lives_again(&with_backup(&harness::kryoptic::hierarchy("ecdsa-p256")), "CKM_AES_KEY_WRAP_KWP");
}

fn lives_again(station: &Station, mechanism: &str) {
    let made = backup(station);
    // The file for people is the artefact; a public copy has it not.
    let file = std::fs::read(station.path("out/backup-0004/xmpp-key.kwp")).unwrap();
    assert_eq!((Digest::of(&file), made.mechanism.as_str()), (made.backup, mechanism));
    let read = coldroot::plan::Backup::decode(&file).unwrap();
    assert_eq!((read.key.as_str(), read.wrapping.key.as_str(), read.spki), ("xmpp-key", "wrap-1", made.spki));
    release_is_good(station, 4, 1);
    let log = std::fs::read(station.path("out/release-0004/log.cbor")).unwrap();
    let holds = |octets: &[u8]| log.windows(octets.len()).any(|window| window == octets);
    assert!(!holds(&read.wrapped) && holds(&artefact(station, &made.signature)));
    done(station, DESTROY);
    station.run(&["plan", "--crl", "xmpp-1"]).fails(1, "has no key");
    done(station, RESTORE);
    let back = restored(station);
    assert_eq!((back.len(), back[0].adopted, back[0].backup), (1, false, made.backup));
    release_is_good(station, 6, 1);
    let plan = station.planned_by(&["--crl", "xmpp-1"]);
    station.carried_out(&plan);
    release_is_good(station, 7, 0);
    // And a batch, and another proof.
    let plan = station.planned(&station.bundle(BATCH, 1));
    station.carried_out(&plan);
    done(station, PROVE);
    station.check_log();
}

#[test]
fn p08_a_key_that_is_not_declared_so_is_not_backed_up() {
    let (station, _alone) = backed_up();
    let before = station.state();
    let cases = [
        (BACK_UP.replace("xmpp-key", "root-key"), "never leaves its token"),
        (RESTORE.replace("xmpp-key", "root-key"), "never leaves its token"),
    ];
    for (ceremony, said) in cases {
        std::fs::write(station.path("ceremony.toml"), ceremony).unwrap();
        station.run(&["plan", "--ceremony", "ceremony.toml"]).fails(1, said);
        assert_eq!(station.state(), before);
    }
}

#[test]
fn p08_a_backup_that_was_changed_restores_nothing() {
    let (station, _alone) = backed_up();
    done(&station, DESTROY);
    let path = station.path("audit").join(coldroot::audit::artefact::path(&backup(&station).backup));
    let file = std::fs::read(&path).unwrap();
    let (plan, approvals) = approved(&station, RESTORE);
    let mut changed = file.clone();
    *changed.last_mut().unwrap() ^= 1;
    for (octets, said) in [(Some(changed), "was changed"), (None, "cannot be read")] {
        match octets {
            Some(octets) => std::fs::write(&path, octets).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        play(&station, "");
        let run = station.sign(&plan, &approvals).fails(3, said);
        assert!(run["hint"].as_str().unwrap().contains("put it back"), "{run}");
        assert_eq!((restored(&station).len(), count(&station, "C_UnwrapKey")), (0, 0), "{said}");
        mend(&station);
    }
    // The file that people kept is the artefact.
    std::fs::copy(station.path("out/backup-0004/xmpp-key.kwp"), &path).unwrap();
    station.sign(&plan, &approvals).ok();
    assert_eq!(restored(&station).len(), 1);
    station.check_log();
}

#[test]
fn p02_a_backup_that_does_not_come_back_is_not_recorded() {
    let (station, _alone) = backed_up();
    let backups = |station: &Station| station.bodies().iter().filter(|b| matches!(b, Body::KeyBackedUp(_))).count();
    for (script, said) in
        [("C_UnwrapKey=0x110", "is damaged"), ("C_WrapKey=0x69", "CKR_KEY_NOT_WRAPPABLE"), ("signature:3=garble", "")]
    {
        let station = station.copy();
        let (plan, approvals) = approved(&station, BACK_UP);
        play(&station, script);
        station.sign(&plan, &approvals).fails(3, said);
        assert_eq!(backups(&station), 1, "{script}");
        assert!(!station.path("out/backup-0005").exists(), "{script}");
        mend(&station);
        station.sign(&plan, &approvals).ok();
        assert_eq!(backups(&station), 2, "{script}");
        station.check_log();
    }
}

#[test]
fn p03_a_restore_that_is_stopped_ends_with_one_whole_pair() {
    let (station, _alone) = backed_up();
    done(&station, DESTROY);
    let (plan, approvals) = approved(&station, RESTORE);
    // C_UnwrapKey for the proof and for good; of C_CreateObject the marks of login, start and open plan come first, then the
    // passing public half and the one that stays.
    for call in ["C_UnwrapKey:1", "C_UnwrapKey:2", "C_CreateObject:4", "C_CreateObject:5"] {
        for (fault, restarts) in [("crash", true), ("after:crash", true), ("after:kill:all", false)] {
            let station = station.copy();
            play(&station, &format!("once {call}={fault}"));
            let run = station.sign(&plan, &approvals);
            if restarts {
                run.ok();
            } else {
                assert_ne!(run.code, 0, "{call}={fault}: {run:?}");
                assert_eq!(restored(&station), [], "{call}={fault}");
                station.sign(&plan, &approvals).ok();
            }
            let back = restored(&station);
            let whole = call == "C_CreateObject:5" && fault.starts_with("after");
            let half =
                (call == "C_UnwrapKey:2" && fault.starts_with("after")) || (call == "C_CreateObject:5" && !whole);
            assert_eq!((back.len(), back[0].adopted), (1, whole), "{call}={fault}");
            assert_eq!(back[0].attributes.iter().any(|line| line == "removed-half=private"), half, "{call}={fault}");
            mend(&station);
            release_is_good(&station, 6, 1);
            let crl = station.planned_by(&["--crl", "xmpp-1"]);
            station.carried_out(&crl);
        }
    }
}
