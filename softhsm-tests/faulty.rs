//! Bad days of a token, on whole stations: the faulty module stands between worker and SoftHSM and plays them.
//!
//! Each test starts from a copy of one station with an approved batch. It shows what the run says and how it ends, that
//! nothing wrong was signed, recorded or released, and that the same command ends the batch once the token is mended.

#[path = "faulty/copies.rs"]
mod copies;
mod harness;
#[path = "faulty/machine.rs"]
mod machine;
#[path = "faulty/module.rs"]
mod module;
#[path = "faulty/recovery.rs"]
mod recovery;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use coldroot::audit::entry::{Body, CertificateIssued};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use harness::faulty::{count, mend, not_asked, play};
use harness::lanes::{network, side_by_side};
use harness::station::{HIERARCHY, PIN, Run, Station};

/// Certificates of the batch; its plan has one item more, the first CRL.
const BATCH: u64 = 3;
/// Nobody wants to wait as long as for a real token.
const FEW_RETRIES: &str = "retries = 2";
/// Only the time that goes by shows a hang. What merely is slow must not look like one: a machine that others keep busy may do nothing
/// for some seconds. So the deadline is one that is long enough, and what hangs is waited for side by side.
const SHORT_DEADLINE: &str = "retries = 2\ndeadline-seconds = 12";
const LATE: &str = "did not answer within 12 s";
/// As many stations at a time: most of them wait.
const MANY: usize = 8;

/// A station with an approved batch, and the right to run: where copies cannot have networks of their own, one runs at a time.
struct Day {
    station: Station,
    plan: PathBuf,
    approvals: Vec<PathBuf>,
    _alone: Option<MutexGuard<'static, ()>>,
}

struct Base {
    station: Station,
    plan: PathBuf,
    approvals: Vec<PathBuf>,
}

impl Base {
    /// `token`: further lines of its table.
    fn new(token: &str, batch: u64) -> Base {
        let station = Station::ready_of(harness::faulty::hierarchy(token));
        let plan = station.planned(&station.bundle(batch, 1));
        let approvals = station.approve(&plan);
        Base { station, plan, approvals }
    }
}

impl Day {
    /// A copy of a station on which this script is played. Where something hangs, nobody wants to wait as long as for a
    /// real token.
    fn of(script: &str) -> Day {
        static USUAL: OnceLock<Base> = OnceLock::new();
        static SHORT: OnceLock<Base> = OnceLock::new();
        static ALONE: Mutex<()> = Mutex::new(());
        let (base, token) = match script.contains("hang") {
            true => (&SHORT, SHORT_DEADLINE),
            false => (&USUAL, FEW_RETRIES),
        };
        let base = base.get_or_init(|| Base::new(token, BATCH));
        let alone = network().is_none().then(|| ALONE.lock().unwrap_or_else(PoisonError::into_inner));
        let station = base.station.copy_apart();
        play(&station, script);
        Day { station, plan: base.plan.clone(), approvals: base.approvals.clone(), _alone: alone }
    }

    /// A station of its own.
    fn on(base: Base, script: &str) -> Day {
        play(&base.station, script);
        Day { station: base.station, plan: base.plan, approvals: base.approvals, _alone: None }
    }

    fn sign(&self) -> Run {
        self.station.sign(&self.plan, &self.approvals)
    }

    fn count(&self, function: &str) -> usize {
        count(&self.station, function)
    }

    /// The batch's certificates on record.
    fn issued(&self) -> Vec<CertificateIssued> {
        let of_batch = |body| match body {
            Body::Certificate(c) if c.subject_ca.is_none() => Some(c),
            _ => None,
        };
        self.station.bodies().into_iter().filter_map(of_batch).collect()
    }

    /// Every certificate once, the release good and in step with the log; a further run does nothing.
    #[track_caller]
    fn ended(&self) {
        self.ended_of(BATCH);
    }

    #[track_caller]
    fn ended_of(&self, batch: u64) {
        let items: Vec<u64> = self.issued().iter().map(|c| c.item).collect();
        assert_eq!(items, (0..batch).collect::<Vec<_>>());
        let key = self.station.verifier_key();
        let args = ["check", "out/release-0003", "--verifier-key", &key, "--hierarchy", "hierarchy.toml"];
        assert_eq!(self.station.run(&args).ok()["certificates"], batch);
        self.sign().fails(1, "carried out already");
    }

    /// With the token mended, the same command ends the batch.
    #[track_caller]
    fn mended(&self) {
        mend(&self.station);
        self.sign().ok();
        self.ended();
    }
}

/// Every pair of these, the first with all of the second.
fn each_of<'a>(first: &[&'a str], second: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    first.iter().flat_map(|one| second.iter().map(move |other| (*one, *other))).collect()
}

#[test]
fn a_module_that_plays_nothing_is_the_real_one_and_its_calls_are_listed() {
    let day = Day::of("");
    day.sign().ok();
    assert_eq!((day.count("C_Initialize"), day.count("C_Login"), day.count("C_Finalize")), (1, 1, 1));
    // The length of each signature is known, so the module is not asked for it first.
    assert_eq!(day.count("C_Sign"), day.count("C_SignInit"));
    assert!(day.count("C_SignInit") as u64 > BATCH);
    day.ended();
}

#[test]
fn a_module_that_wants_more_room_for_a_signature_is_asked_how_much() {
    let day = Day::of("C_Sign:4=0x150");
    day.sign().ok();
    // CKR_BUFFER_TOO_SMALL, the length, the signature.
    assert_eq!(day.count("C_Sign"), 2 + day.count("C_SignInit"));
    day.ended();
}

#[test]
fn p02_a_wrong_signature_is_not_recorded_and_nothing_leaves() {
    // The first two signatures are the checkpoints of the login and the start.
    let day = Day::of("C_Sign:3=garble");
    let said = day.sign().fails(3, "is not what was planned");
    assert!(said["hint"].as_str().unwrap().contains("nothing of this item was recorded"), "{said}");
    assert_eq!(day.issued(), []);
    assert!(!day.station.path("out/release-0003").exists());
    day.mended();
}

#[test]
fn p02_a_crl_with_a_wrong_signature_is_not_recorded_and_nothing_leaves() {
    let day = Day::of("C_Sign:3=garble");
    let plan = day.station.planned_by(&["--crl", "xmpp-1"]);
    let approvals = day.station.approve(&plan);
    let before = crls(&day.station);
    day.station.sign(&plan, &approvals).fails(3, "is not what was planned");
    assert_eq!(crls(&day.station), before);
    assert!(!day.station.path("out/release-0003").exists());
    mend(&day.station);
    day.station.sign(&plan, &approvals).ok();
    assert_eq!(crls(&day.station), before + 1);
    day.station.check_log();
}

fn crls(station: &Station) -> usize {
    station.bodies().iter().filter(|body| matches!(body, Body::Crl(_))).count()
}

// Errors, hangs and crashes

/// Return values that say that token, module or session is in trouble: each time another worker may help.
const TROUBLE: [(&str, &str); 6] = [
    ("0x6", "CKR_FUNCTION_FAILED"),
    ("0x30", "CKR_DEVICE_ERROR"),
    ("0x82", "CKR_OBJECT_HANDLE_INVALID"),
    ("0xb3", "CKR_SESSION_HANDLE_INVALID"),
    ("0x101", "CKR_USER_NOT_LOGGED_IN"),
    ("0x80000001", "CKR 0x80000001"),
];

#[test]
fn p03_an_error_of_the_device_costs_a_worker_and_the_run_goes_on() {
    for (value, name) in TROUBLE {
        let day = Day::of(&format!("once C_Sign:4={value}"));
        let run = day.sign();
        assert!(run.err.contains(&format!("signing: {name}")), "{run:?}");
        run.ok();
        // The new worker logs in with the PIN that was right a moment ago; nobody is asked again.
        let workers = day.count("C_Initialize");
        assert_eq!(workers, day.count("C_Login"), "{name}");
        // What may go over in a moment is asked of the same worker, and the session that failed has an operation open: where
        // it comes to sign again before the other one does, that costs a worker too.
        let fewest = if name == "CKR_FUNCTION_FAILED" { 1 } else { 2 };
        assert!((fewest..=2).contains(&workers), "{name}: {workers}");
        day.ended();
    }
}

#[test]
fn p03_an_answer_that_is_lost_does_no_harm() {
    // The signature was made and nobody has it; the mark was written and nobody knows.
    for script in ["once C_Sign:4=after:0x30", "once C_CreateObject:2=after:0x30", "once C_DestroyObject:2=after:0x30"]
    {
        let day = Day::of(script);
        day.sign().ok();
        assert_eq!(day.count("C_Initialize"), 2, "{script}");
        day.ended();
    }
}

#[test]
fn p03_a_hang_and_a_crash_cost_a_worker_and_the_run_goes_on() {
    let calls = ["C_Sign:4", "C_SignInit:1", "C_FindObjectsInit:2", "C_CreateObject:1", "C_GetAttributeValue:3"];
    side_by_side(MANY, &each_of(&["hang", "crash"], &calls), |(fault, call)| {
        let day = Day::of(&format!("once {call}={fault}"));
        let run = day.sign();
        let said = if *fault == "hang" { LATE } else { "the worker has gone" };
        assert!(run.err.contains(said), "{call}={fault}: {run:?}");
        run.ok();
        assert_eq!(day.count("C_Initialize"), 2, "{call}={fault}");
        day.ended();
    });
}

#[test]
fn a_module_that_hangs_or_crashes_at_the_end_spoils_nothing() {
    let scripts = ["C_Finalize=hang", "C_CloseSession=hang", "C_Finalize=crash", "C_Logout=0x30"];
    side_by_side(MANY, &scripts, |script| {
        let day = Day::of(script);
        day.sign().ok();
        assert_eq!(day.count("C_Login"), 1, "{script}");
        day.ended();
    });
}

#[test]
fn a_token_that_fails_again_and_again_halts_the_run() {
    let cases = [("hang", LATE), ("0x30", "signing: CKR_DEVICE_ERROR"), ("crash", "the worker has gone")];
    side_by_side(MANY, &cases, |(fault, why)| {
        // A new worker signs the items first, on either session; the checkpoints are signed by the first worker.
        let day = Day::of(&format!("once C_Sign:4={fault}\nlater C_Sign={fault}"));
        let json = day.sign().fails(3, "token `main` failed 3 times in a row: ");
        assert!(json["error"].as_str().unwrap().contains(why), "{json}");
        assert!(json["hint"].as_str().unwrap().contains("run the same command again"), "{json}");
        assert_eq!((day.issued().len(), day.count("C_Login")), (0, 3), "{fault}");
        assert!(!day.station.path("out/release-0003").exists());
        day.mended();
    });
}

#[test]
fn a_refusal_of_the_token_is_not_asked_again() {
    for (value, name) in [
        ("0x70", "CKR_MECHANISM_INVALID"),
        ("0x68", "CKR_KEY_FUNCTION_NOT_PERMITTED"),
        ("0x54", "CKR_FUNCTION_NOT_SUPPORTED"),
    ] {
        let day = Day::of(&format!("C_SignInit:3={value}"));
        day.sign().fails(3, name);
        assert_eq!((day.issued().len(), day.count("C_Initialize")), (0, 1), "{name}");
        day.mended();
    }
}

#[test]
fn a_checkpoint_with_a_wrong_signature_is_not_kept() {
    for call in [1, 2] {
        let day = Day::of(&format!("C_Sign:{call}=garble"));
        let run = day.sign();
        assert_eq!(run.code, 3, "{run:?}");
        run.fails(3, "checkpoint");
        assert_eq!(day.issued(), []);
        day.mended();
    }
}

// PINs

/// Nobody knows whether the token has counted this try, so it is not made again by itself.
#[test]
fn p08_a_login_without_an_answer_is_not_tried_again() {
    side_by_side(MANY, &["hang", "crash"], |fault| {
        let day = Day::of(&format!("C_Login={fault}"));
        day.sign().fails(3, "token `main` does not answer");
        assert_eq!((day.count("C_Login"), day.count("C_SignInit")), (1, 0), "{fault}");
        day.mended();
    });
}

#[test]
fn p08_a_pin_that_is_refused_is_tried_once_and_the_try_is_on_record() {
    for (value, name) in [("0xa0", "CKR_PIN_INCORRECT"), ("0xa3", "CKR_PIN_EXPIRED"), ("0xa4", "CKR_PIN_LOCKED")] {
        let day = Day::of(&format!("C_Login={value}"));
        let before = day.station.bodies();
        let json = day.sign().fails(1, name);
        assert!(json["hint"].as_str().unwrap().contains("tried once"), "{json}");
        assert_eq!((day.count("C_Login"), day.count("C_SignInit"), day.count("C_CreateObject")), (1, 0, 0));
        let after = day.station.bodies();
        let [Body::PinTry { .. }, Body::Failure { what }] = &after[before.len()..] else { panic!("{after:?}") };
        assert!(what.contains(name), "{what}");
        day.mended();
    }
}

#[test]
fn p08_a_pin_that_stops_being_right_is_not_tried_again() {
    let day = Day::of("once C_Sign:4=crash\nlater C_Login=0xa0");
    day.sign().fails(3, "CKR_PIN_INCORRECT");
    assert_eq!(day.count("C_Login"), 2);
    day.mended();
}

#[test]
fn p08_a_locked_pin_and_a_last_try_are_not_tried_at_all() {
    for (flags, said) in [("0x40000", "is locked"), ("0x20000", "the next wrong PIN locks token `main`")] {
        let day = Day::of(&format!("C_GetTokenInfo=flags:{flags}"));
        day.sign().fails(1, said);
        not_asked(&day.station);
        day.mended();
    }
    // A low count is a warning of the token's and stops nothing: the next try is the right one.
    let day = Day::of("C_GetTokenInfo=flags:0x10000");
    day.sign().ok();
    day.ended();
}

// Keys

#[test]
fn p08_a_key_whose_attributes_are_not_as_declared_does_not_sign() {
    let cases = [("0x162:01", "CKA_EXTRACTABLE"), ("0x103:00", "CKA_SENSITIVE"), ("0x105:01", "CKA_DECRYPT")];
    for (lie, said) in cases {
        let day = Day::of(&format!("C_GetAttributeValue=attribute:{lie}:xmpp-1"));
        let signatures = |day: &Day| day.count("C_SignInit");
        day.sign().fails(3, said);
        // The checkpoints of the login and the start; no item.
        assert_eq!((signatures(&day), day.issued().len()), (2, 0), "{lie}");
        day.mended();
    }
}

#[test]
fn p08_a_key_that_does_not_say_whether_it_can_leave_does_not_sign() {
    for silence in ["unavailable:0x162:xmpp-1", "shorten:0x162:0:xmpp-1"] {
        let day = Day::of(&format!("C_GetAttributeValue={silence}"));
        day.sign().fails(3, "CKA_EXTRACTABLE is unavailable");
        assert_eq!((day.count("C_SignInit"), day.issued().len()), (2, 0), "{silence}");
        day.mended();
    }
}

#[test]
fn p01_a_key_with_another_public_half_does_not_sign() {
    // The base point of P-256 as an uncompressed point in its OCTET STRING: a lawful key, and not the planned one.
    let point = "0441046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let day = Day::of(&format!("C_GetAttributeValue=attribute:0x181:{point}:xmpp-1"));
    day.sign().fails(3, "its public half is not the planned one");
    assert_eq!((day.count("C_SignInit"), day.issued().len()), (2, 0));
    day.mended();
}

// The module, the token and its objects are not what the hierarchy says. Here SoftHSM itself is changed.

/// Does something to the token that coldroot would not do, in a process of its own: PKCS#11 modules do not like two users
/// in one process.
fn meddle(day: &Day, what: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "meddler", "--nocapture"])
        .env("MEDDLE", what)
        .env("SOFTHSM2_CONF", "softhsm2.conf")
        .current_dir(day.station.dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("meddled"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "run by meddle() in a process of its own"]
fn meddler() {
    let Ok(what) = std::env::var("MEDDLE") else { return };
    let pkcs11 = Pkcs11::new(harness::softhsm()).unwrap();
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = pkcs11.get_slots_with_initialized_token().unwrap()[0];
    let session = pkcs11.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned()))).unwrap();
    let label = Attribute::Label(b"xmpp-1".to_vec());
    let all = |class| session.find_objects(&[Attribute::Class(class), label.clone()]).unwrap();
    let (public, private) = (all(ObjectClass::PUBLIC_KEY), all(ObjectClass::PRIVATE_KEY));
    match what.as_str() {
        "remove the private half" => session.destroy_object(private[0]).unwrap(),
        "remove the public half" => session.destroy_object(public[0]).unwrap(),
        "remove the pair" => [private[0], public[0]].iter().for_each(|half| session.destroy_object(*half).unwrap()),
        "double the public half" => {
            let kinds = [AttributeType::Id, AttributeType::EcParams, AttributeType::EcPoint];
            let mut template = session.get_attributes(public[0], &kinds).unwrap();
            template.extend([Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(KeyType::EC)]);
            template.extend([Attribute::Token(true), Attribute::Verify(true), label]);
            session.create_object(&template).unwrap();
        }
        other => panic!("{other}"),
    }
    println!("meddled");
}

#[test]
fn p01_a_key_that_is_missing_or_doubled_does_not_sign() {
    for (what, said) in [
        ("remove the pair", "the token holds 0 such pairs, not one"),
        ("remove the private half", "has lost its private half"),
        ("remove the public half", "has lost its public half"),
        ("double the public half", "the public key with CKA_ID"),
    ] {
        let day = Day::of("");
        let token = day.station.desk("token");
        harness::copy_tree(&day.station.path("token"), &token);
        meddle(&day, what);
        day.sign().fails(3, said);
        // The checkpoints of the login and the start, and nothing for the batch.
        assert_eq!((day.count("C_SignInit"), day.issued().len()), (2, 0), "{what}");
        // The right token is back, with the mark of before the start: the log is ahead of it and consistent.
        fs::remove_dir_all(day.station.path("token")).unwrap();
        harness::copy_tree(&token, &day.station.path("token"));
        day.mended();
    }
}

#[test]
fn a_token_that_is_not_there_costs_no_pin() {
    let day = Day::of("");
    let (token, away) = (day.station.path("token"), day.station.desk("token"));
    fs::rename(&token, &away).unwrap();
    fs::create_dir(&token).unwrap();
    day.sign().fails(1, "no initialised token has the label \"road\"");
    not_asked(&day.station);
    assert_eq!(day.issued(), []);
    fs::remove_dir(&token).unwrap();
    fs::rename(&away, &token).unwrap();
    day.mended();
}

#[test]
fn two_tokens_of_one_name_cost_no_pin() {
    let day = Day::of("");
    let hierarchy = fs::read_to_string(day.station.path("hierarchy.toml")).unwrap();
    let serial = hierarchy.lines().find_map(|line| line.strip_prefix("serial = \"")?.strip_suffix('"')).unwrap();
    let second = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "road", "--so-pin", "so-87654321", "--pin", PIN])
        .env("SOFTHSM2_CONF", "softhsm2.conf")
        .current_dir(day.station.dir())
        .output();
    assert!(second.unwrap().status.success());
    play(&day.station, &format!("C_GetTokenInfo=serial:{serial}"));
    day.sign().fails(1, &format!("2 tokens have the label \"road\" and the serial \"{serial}\""));
    not_asked(&day.station);
    // With serials of their own they are told apart.
    day.mended();
}

#[test]
fn a_module_that_is_not_there_or_does_not_start_costs_no_pin() {
    let day = Day::of("C_Initialize=0x5");
    day.sign().fails(3, "initialising the module: CKR_GENERAL_ERROR");
    not_asked(&day.station);
    day.mended();
    drop(day);
    // The module's file goes away between two runs.
    let dir = tempfile::tempdir().unwrap();
    let module = dir.path().join("module.so");
    std::os::unix::fs::symlink(harness::softhsm(), &module).unwrap();
    let station = Station::bare_of(HIERARCHY.replace("@MODULE@", module.to_str().unwrap()));
    fs::remove_file(&module).unwrap();
    station.init().fails(1, "cannot be loaded");
    assert!(!station.path("audit").exists());
    std::os::unix::fs::symlink(harness::softhsm(), &module).unwrap();
    station.init().ok();
}

// Making keys

/// A station before its key plan is signed: what is planned is two keys.
fn before_keys(script: &str) -> (Station, PathBuf, Vec<PathBuf>) {
    let station = Station::bare_of(harness::faulty::hierarchy(SHORT_DEADLINE));
    station.init().ok();
    let plan = station.planned_ceremony();
    let approvals = station.approve(&plan);
    play(&station, script);
    (station, plan, approvals)
}

fn keys_made(station: &Station) -> usize {
    station.bodies().iter().filter(|body| matches!(body, Body::KeyGenerated(_))).count()
}

#[test]
fn p03_a_key_whose_making_was_not_answered_is_adopted_and_not_made_again() {
    side_by_side(MANY, &["hang", "crash", "after:0x30"], |fault| {
        let (station, plan, approvals) = before_keys(&format!("once C_GenerateKeyPair={fault}"));
        station.sign(&plan, &approvals).ok();
        let made = if *fault == "after:0x30" { 2 } else { 3 };
        assert_eq!((keys_made(&station), count(&station, "C_GenerateKeyPair")), (2, made), "{fault}");
        station.check_log();
    });
}

#[test]
fn p08_a_key_that_was_made_otherwise_than_asked_is_destroyed_and_not_recorded() {
    let (station, plan, approvals) = before_keys("C_GetAttributeValue=attribute:0x162:01:root");
    let said = station.sign(&plan, &approvals).fails(3, "it was destroyed");
    assert!(said["error"].as_str().unwrap().contains("CKA_EXTRACTABLE=true"), "{said}");
    assert_eq!((keys_made(&station), count(&station, "C_DestroyObject") > 1), (0, true));
    mend(&station);
    station.sign(&plan, &approvals).ok();
    assert_eq!(keys_made(&station), 2);
    station.check_log();
}
