//! The faulty module itself: each fault does what `softhsm-tests/faulty-module/README.md` says. A program that knows nothing of
//! coldroot asks SoftHSM through it, and prints what it was answered.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use super::harness::SoftHsm;
use super::harness::faulty::module;
use super::harness::station::PIN;

/// The program, in a process of its own; its standard input is a file with one line.
fn asked(script: &str) -> (Output, tempfile::TempDir) {
    let hsm = SoftHsm::new();
    hsm.init("faulty", "so-87654321", PIN);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("script"), script).unwrap();
    fs::write(dir.path().join("line"), "a line\n").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "module::asker", "--nocapture"])
        .envs(hsm.env())
        .env("FAULTY_MODULE", hsm.module())
        .env("FAULTY_DIR", dir.path())
        .env("ASKED", module())
        .stdin(fs::File::open(dir.path().join("line")).unwrap())
        .output()
        .unwrap();
    (output, dir)
}

/// What the program printed: question and answer.
fn answers(output: &Output) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let pair = |line: &str| line.strip_prefix("asked ")?.split_once('=').map(|(q, a)| (q.to_owned(), a.to_owned()));
    text.lines().filter_map(pair).collect()
}

#[test]
#[ignore = "run by asked() in a process of its own"]
fn asker() {
    let Ok(module) = std::env::var("ASKED") else { return };
    println!();
    let pkcs11 = Pkcs11::new(module).unwrap();
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = pkcs11.get_slots_with_initialized_token().unwrap()[0];
    say("count-low", Ok(pkcs11.get_token_info(slot).unwrap().user_pin_count_low()));
    let listed = pkcs11.get_mechanism_list(slot).unwrap().contains(&MechanismType::ECDSA);
    say("listed", Ok(listed));
    say("known", pkcs11.get_mechanism_info(slot, MechanismType::ECDSA).map(|_| true));
    let session = pkcs11.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned()))).unwrap();
    say("random", session.generate_random_vec(16).map(|octets| octets.iter().any(|octet| *octet != 0)));
    let p256 = data_encoding::HEXLOWER.decode(b"06082a8648ce3d030107").unwrap();
    let public = [Attribute::Label(b"probe".to_vec()), Attribute::EcParams(p256), Attribute::Verify(true)];
    let private = [Attribute::Label(b"probe".to_vec()), Attribute::Sign(true), Attribute::Extractable(false)];
    let made = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private);
    let Ok((public, private)) = made else { return say("made", made) };
    say("found", session.find_objects(&[Attribute::Label(b"probe".to_vec())]).map(|found| found.len()));
    let label = session.get_attributes(private, &[AttributeType::Label]).map(|of| match of.first() {
        Some(Attribute::Label(label)) => String::from_utf8_lossy(label).into_owned(),
        _ => "none".into(),
    });
    say("label", label);
    for (question, message) in [("first", [1u8; 32]), ("second", [2u8; 32])] {
        say(question, signed(&session, (public, private), &message));
    }
    say("end", session.logout());
}

/// `true`: a signature that the module itself finds good.
fn signed(session: &Session, pair: (ObjectHandle, ObjectHandle), message: &[u8]) -> Result<String, Error> {
    let signature = session.sign(&Mechanism::Ecdsa, pair.1, message)?;
    let good = session.verify(&Mechanism::Ecdsa, pair.0, message, &signature).is_ok();
    let zero = signature.iter().all(|octet| *octet == 0);
    Ok(format!(
        "{} {}",
        signature.len(),
        if good {
            "good"
        } else if zero {
            "zero"
        } else {
            "wrong"
        }
    ))
}

fn say(question: &str, answer: Result<impl std::fmt::Debug, Error>) {
    match answer {
        Ok(answer) => println!("asked {question}={}", format!("{answer:?}").trim_matches('"')),
        Err(Error::Pkcs11(rv, _)) => println!("asked {question}={rv:?}"),
        Err(other) => println!("asked {question}={other}"),
    }
}

#[test]
fn a_fault_changes_the_answer_that_it_names_and_no_other() {
    let usual = answers(&asked("").0);
    let expected = [
        ("count-low", "false"),
        ("listed", "true"),
        ("known", "true"),
        ("random", "true"),
        ("found", "2"),
        ("label", "probe"),
        ("first", "64 good"),
        ("second", "64 good"),
        ("end", "()"),
    ];
    assert_eq!(usual, expected.iter().map(|(q, a)| (q.to_string(), a.to_string())).collect());
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("C_Sign=flip:3", &[("first", "64 wrong"), ("second", "64 wrong")]),
        ("once C_Sign=garble", &[("first", "64 wrong")]),
        ("signature:2=swap", &[("second", "64 wrong")]),
        ("signature:1=swap", &[("first", "64 wrong")]),
        ("signature:1=zero", &[("first", "64 zero")]),
        ("signature:2=nothing", &[("second", "64 zero")]),
        ("C_Sign=length:63", &[("first", "63 wrong"), ("second", "63 wrong")]),
        ("signature:every:2=garble", &[("second", "64 wrong")]),
        ("C_SignInit:2-9=0x30", &[("second", "DeviceError")]),
        ("C_SignInit:random:100:7=0x30", &[("first", "DeviceError"), ("second", "DeviceError")]),
        ("C_SignInit:random:0:7=0x30", &[]),
        ("later C_SignInit=0x30", &[]),
        ("C_GenerateRandom=zero", &[("random", "false")]),
        ("C_GetTokenInfo=flags:0x10000", &[("count-low", "true")]),
        ("C_GetTokenInfo=flags:0x10000\nC_GetTokenInfo=no-flags:0x10000", &[("count-low", "true")]),
        ("C_GetAttributeValue=shorten:0x3:2", &[("label", "pr")]),
        ("C_GetAttributeValue=shorten:0x3:2:another", &[]),
        ("C_GetAttributeValue=unavailable:0x3:probe", &[("label", "none")]),
        ("C_FindObjects=double", &[("found", "4")]),
        ("C_FindObjects=stranger", &[("found", "3")]),
        ("C_FindObjects=no-objects", &[("found", "0")]),
        ("C_FindObjectsInit=refuse-attribute:0x1,0x3:0x12", &[("found", "AttributeTypeInvalid")]),
        ("C_FindObjectsInit=refuse-attribute:0x3:0x12:00", &[]),
        ("C_FindObjectsInit=need-attribute:0x0:0xd0", &[("found", "TemplateIncomplete")]),
        ("C_SignInit:2=lose-session", &[("second", "SessionHandleInvalid"), ("end", "SessionHandleInvalid")]),
        ("C_Logout=after:0x30", &[("end", "DeviceError")]),
        ("C_SignInit=sleep:10\n*:5=sleep:10", &[]),
    ];
    for (script, changed) in cases {
        let mut wanted = usual.clone();
        wanted.extend(changed.iter().map(|(q, a)| (q.to_string(), a.to_string())));
        let (output, _dir) = asked(script);
        assert_eq!(answers(&output), wanted, "{script}: {output:?}");
    }
    let (output, _dir) = asked("*=no-mechanism:0x1041");
    let answers = self::answers(&output);
    assert_eq!(
        (&*answers["listed"], &*answers["known"], &*answers["first"]),
        ("false", "MechanismInvalid", "MechanismInvalid")
    );
    let (output, _dir) = asked("C_GenerateKeyPair=refuse-attribute:0x162:0xd1:00");
    assert_eq!(self::answers(&output)["made"], format!("{:?}", RvError::TemplateInconsistent));
}

#[test]
fn a_fault_that_ends_the_process_ends_it_there() {
    let signal = |output: &Output| output.status.signal();
    for (deed, ended) in [
        ("crash", Some(libc::SIGABRT)),
        ("segv", Some(libc::SIGSEGV)),
        ("kill:worker", Some(libc::SIGKILL)),
        ("exit:0", None),
    ] {
        let (output, _dir) = asked(&format!("signature:2={deed}"));
        let (here, answers) = (answers(&output), signal(&output));
        assert_eq!(
            (answers, here.get("first").map(String::as_str), here.get("second")),
            (ended, Some("64 good"), None),
            "{deed}: {output:?}"
        );
        // The real module has signed, and nobody hears of it.
        let (output, _dir) = asked(&format!("signature:1=after:{deed}"));
        assert_eq!((signal(&output), self::answers(&output).get("first")), (ended, None), "{deed}: {output:?}");
    }
}

#[test]
fn a_module_reads_prints_forks_and_closes_what_is_not_its_own() {
    let noted = |dir: &Path, file: &str| fs::read_to_string(dir.join(file)).unwrap_or_default();
    let (output, dir) = asked("C_Login=read-stdin");
    assert_eq!(noted(dir.path(), "stdin"), "Ok(1)\n", "{output:?}");
    let (output, _dir) = asked("C_Login=print:\\e[2J a:b\\x21\\n");
    for stream in [&output.stdout, &output.stderr] {
        assert!(stream.windows(9).any(|octets| octets == b"\x1b[2J a:b!"), "{output:?}");
    }
    let (output, _dir) = asked("C_Login=flood:70000");
    assert!(output.stderr.windows(70_000).any(|octets| octets.iter().all(|octet| *octet == b'x')));
    // The child holds the pipes that are waited for, so it is a short one.
    let (output, dir) = asked("C_Login=fork:1");
    assert!(noted(dir.path(), "forked").trim().parse::<u32>().is_ok(), "{output:?}");
    // SoftHSM opens its files again for each change; a session object needs none of them.
    let (output, dir) = asked("signature:2=after:close-fds");
    assert_eq!(answers(&output)["second"], "64 good", "{output:?}");
    assert!(noted(dir.path(), "calls").contains("C_Sign\n"));
}

#[test]
fn a_line_that_is_none_is_said() {
    for line in [
        "C_Sing=hang",
        "C_Sign=flags:0x1",
        "C_Sign:0x=hang",
        "C_Sign=hank",
        "C_Sign:every:0=hang",
        "C_GetTokenInfo=swap",
    ] {
        let (output, _dir) = asked(line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(&format!("not a line of a script: {line}")), "{said}");
    }
}
