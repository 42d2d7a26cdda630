//! The worker process on a real SoftHSM: tokens, logins, keys, signatures, data objects, and what the process gives away.

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aws_lc_rs::{digest, signature};
use coldroot::algorithm::KeyAlgorithm;
use coldroot::cbor::Bytes;
use coldroot::secret::Secret;
use coldroot::token::Error;
use coldroot::token::ask::{Answer, Ask, Class, Failure, KeyFacts, ToSign, TokenFacts};
use coldroot::token::client::Worker;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeInfo, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use harness::SoftHsm;
use harness::station::{HIERARCHY, Station};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

const SO_PIN: &str = "so-87654321";
const PIN: &str = "user-1234";
const ID: &[u8] = &[0xc0, 0x1d, 0x00, 0x01];

fn secret(pin: &str) -> Secret {
    Secret::new(pin.as_bytes().to_vec())
}

/// A SoftHSM with one initialised token "root".
struct Bench {
    hsm: SoftHsm,
    serial: String,
}

impl Bench {
    fn new() -> Bench {
        let hsm = SoftHsm::new();
        let serial = hsm.init("root", SO_PIN, PIN);
        Bench { hsm, serial }
    }

    fn worker(&self) -> Worker {
        worker(&self.hsm)
    }

    /// A worker with the token open and the user logged in, two parallel sessions.
    fn logged_in(&self) -> Worker {
        let mut worker = self.worker();
        opened(&mut worker, &self.open());
        assert!(matches!(worker.login(&secret(PIN)).unwrap(), Answer::LoggedIn));
        worker
    }

    fn open(&self) -> Ask {
        let (label, serial) = ("root".into(), self.serial.clone());
        Ask::Open {
            module: self.hsm.module().into(),
            init_args: None,
            label,
            serial,
            slot: None,
            sessions: 2,
            keep_pin: false,
        }
    }

    /// Does something to the token that coldroot would not do, in a process of its own (see [`meddle`]).
    fn meddle(&self, what: &str) {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "meddle", "--nocapture"])
            .envs(self.hsm.env())
            .env("MEDDLE", what)
            .env("MEDDLE_MODULE", self.hsm.module())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("meddled"),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn worker(hsm: &SoftHsm) -> Worker {
    Worker::start(Path::new(env!("CARGO_BIN_EXE_coldroot")), &["worker"], hsm.env()).unwrap()
}

fn opened(worker: &mut Worker, ask: &Ask) -> TokenFacts {
    match worker.ask(ask).unwrap() {
        Answer::Opened(facts) => facts,
        other => panic!("{other:?}"),
    }
}

fn failure(answer: Result<Answer, Error>) -> Failure {
    match answer.unwrap() {
        Answer::Failed(failure) => failure,
        other => panic!("should have failed: {other:?}"),
    }
}

fn refused(answer: Result<Answer, Error>, words: &str) {
    refused_as(Class::Refused, answer, words);
}

fn refused_as(class: Class, answer: Result<Answer, Error>, words: &str) {
    let failure = failure(answer);
    assert_eq!(failure.class, class, "{}", failure.what);
    assert!(failure.what.contains(words), "{}", failure.what);
}

fn generate(algorithm: KeyAlgorithm) -> Ask {
    let (label, cka_id) = ("key".into(), Bytes::from(ID));
    Ask::GenerateKey { label, cka_id, algorithm, extractable: false, always_authenticate: false }
}

fn find() -> Ask {
    Ask::FindKey { label: "key".into(), cka_id: Bytes::from(ID), always_authenticate: false }
}

fn generated(worker: &mut Worker, ask: &Ask) -> KeyFacts {
    match worker.ask(ask).unwrap() {
        Answer::Generated(facts) => facts,
        other => panic!("{other:?}"),
    }
}

fn found(worker: &mut Worker, ask: &Ask) -> Vec<KeyFacts> {
    match worker.ask(ask).unwrap() {
        Answer::Keys(keys) => keys,
        other => panic!("{other:?}"),
    }
}

fn read(worker: &mut Worker, label: &str) -> Option<Vec<u8>> {
    match worker.ask(&Ask::ReadData { label: label.into() }).unwrap() {
        Answer::Data(data) => data.map(Bytes::into_vec),
        other => panic!("{other:?}"),
    }
}

fn write(worker: &mut Worker, label: &str, value: &[u8]) {
    let answer = worker.ask(&Ask::WriteData { label: label.into(), value: Bytes::from(value) }).unwrap();
    assert!(matches!(answer, Answer::Written), "{answer:?}");
}

// Tokens and logins

#[test]
fn a_token_is_initialised_once_and_found_by_label_and_serial() {
    let hsm = SoftHsm::new();
    let mut worker = worker(&hsm);
    let Answer::Tokens(before) = worker.ask(&Ask::List { module: hsm.module().into(), init_args: None }).unwrap()
    else {
        panic!()
    };
    assert_eq!(before.iter().filter(|token| token.initialised).count(), 0);

    let made = worker.init_token(hsm.module(), None, "root", &secret(SO_PIN), &secret(PIN)).unwrap();
    let Answer::Opened(made) = made else { panic!("{made:?}") };
    assert_eq!((made.label.as_str(), made.initialised), ("root", true));
    assert_eq!(made.manufacturer, "SoftHSM project");
    assert!(!made.serial.is_empty());

    // The same process sees it after the second initialise, under the label and serial it was told.
    let serial = made.serial.clone();
    let module = hsm.module().into();
    let open =
        Ask::Open { module, init_args: None, label: "root".into(), serial, slot: None, sessions: 1, keep_pin: false };
    assert_eq!(opened(&mut worker, &open), made);
    assert!(matches!(worker.login(&secret(PIN)).unwrap(), Answer::LoggedIn));

    let mut second = self::worker(&hsm);
    let again = second.init_token(hsm.module(), None, "root", &secret(SO_PIN), &secret(PIN));
    refused(again, "a token with the label \"root\" is there already");
    let long = "x".repeat(33);
    refused(second.init_token(hsm.module(), None, &long, &secret(SO_PIN), &secret(PIN)), "1 to 32 octets");
    let short = failure(second.init_token(hsm.module(), None, "other", &secret(SO_PIN), &secret("1")));
    assert_eq!(short.class, Class::Pin);
    // A refusal came before C_InitToken: no token "other".
    let Answer::Tokens(after) = second.ask(&Ask::List { module: hsm.module().into(), init_args: None }).unwrap() else {
        panic!()
    };
    assert_eq!(after.iter().filter(|token| token.initialised).count(), 1);
}

#[test]
fn another_serial_label_or_module_is_refused() {
    let bench = Bench::new();
    let mut worker = bench.worker();
    let open = |label: &str, serial: &str, module: &Path| Ask::Open {
        module: module.into(),
        init_args: None,
        label: label.into(),
        serial: serial.into(),
        slot: None,
        sessions: 1,
        keep_pin: false,
    };
    let module = bench.hsm.module();
    refused(worker.ask(&open("root", "0123456789abcdef", module)), "no initialised token has the label");
    let mut worker = bench.worker();
    refused(worker.ask(&open("other", &bench.serial, module)), "no initialised token has the label");
    let mut worker = bench.worker();
    let gone = worker.ask(&open("root", &bench.serial, Path::new("/nowhere/module.so")));
    refused_as(Class::Module, gone, "cannot be loaded");
    let relative = worker.ask(&open("root", &bench.serial, Path::new("libsofthsm2.so")));
    refused_as(Class::Module, relative, "not absolute");
    // The worker is still of use.
    opened(&mut worker, &bench.open());
}

#[test]
fn a_refused_open_can_be_asked_again() {
    let bench = Bench::new();
    let mut worker = bench.worker();
    let (module, label, serial) = (bench.hsm.module().into(), "root".into(), "00".into());
    let wrong = Ask::Open { module, init_args: None, label, serial, slot: None, sessions: 2, keep_pin: false };
    refused(worker.ask(&wrong), "no initialised token has the label");
    opened(&mut worker, &bench.open());
}

#[test]
fn two_tokens_with_one_label_are_told_by_serial() {
    let bench = Bench::new();
    let out = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "root", "--so-pin", SO_PIN, "--pin", PIN])
        .envs(bench.hsm.env())
        .output()
        .unwrap();
    assert!(out.status.success());
    assert_eq!(opened(&mut bench.worker(), &bench.open()).serial, bench.serial);
}

#[test]
fn a_slot_number_counts_only_where_the_vendor_keeps_it() {
    let bench = Bench::new();
    let mut worker = bench.worker();
    let Ask::Open { module, init_args, label, serial, slot: None, sessions, keep_pin, .. } = bench.open() else {
        panic!()
    };
    let ask = Ask::Open { module, init_args, label, serial, slot: Some(0), sessions, keep_pin };
    refused(worker.ask(&ask), "names slot 0, but slots may move (profile: SoftHSM 2)");
    let facts = opened(&mut worker, &bench.open());
    assert_eq!(facts.profile, "softhsm");
}

#[test]
fn the_modules_arguments_reach_c_initialize() {
    let bench = Bench::new();
    let mut worker = bench.worker();
    let list = |text: &str| Ask::List { module: bench.hsm.module().into(), init_args: Some(text.into()) };
    // SoftHSM has no use for them, and says so.
    refused(worker.ask(&list("configdir='x'")), "CKR_ARGUMENTS_BAD");
    assert_eq!(failure(worker.ask(&list("x\0y"))).class, Class::Protocol);
    opened(&mut worker, &bench.open());
}

#[test]
fn p08_a_pin_of_a_length_that_cannot_be_right_is_not_tried() {
    let bench = Bench::new();
    let mut worker = bench.worker();
    opened(&mut worker, &bench.open());
    let short = failure(worker.login(&secret("123")));
    assert_eq!(short.class, Class::Pin);
    assert!(short.what.contains("has 3 octets, the token takes 4 to 255"), "{}", short.what);
    // SoftHSM counts every wrong PIN; this one never reached it.
    assert!(!opened(&mut bench.worker(), &bench.open()).pin_count_low);
    assert!(matches!(worker.login(&secret(PIN)).unwrap(), Answer::LoggedIn));
}

#[test]
fn p08_a_wrong_pin_is_tried_once_and_never_shown() {
    let bench = Bench::new();
    let mut worker = bench.worker();
    opened(&mut worker, &bench.open());
    let wrong = failure(worker.login(&secret("wrong-pin-4711")));
    assert_eq!(wrong.class, Class::Pin);
    assert!(wrong.what.contains("CKR_PIN_INCORRECT"), "{}", wrong.what);
    assert!(!wrong.what.contains("4711") && !worker.output().contains("4711"));
    // SoftHSM has no counter, only the flag that one wrong PIN was given; the worker did not clear it by a login.
    let Answer::Tokens(tokens) =
        bench.worker().ask(&Ask::List { module: bench.hsm.module().into(), init_args: None }).unwrap()
    else {
        panic!()
    };
    assert!(tokens.iter().any(|token| token.label == "root" && token.pin_count_low));
    let none = failure(worker.login(&secret("")));
    assert_eq!((none.class, none.what.contains("keypad")), (Class::Pin, true));
    // What needs a login is refused, and a login by a person's next try works.
    assert_eq!(failure(worker.ask(&find())).class, Class::Protocol);
    assert!(matches!(worker.login(&secret(PIN)).unwrap(), Answer::LoggedIn));
    assert_eq!(failure(worker.login(&secret(PIN))).class, Class::Protocol);
}

#[test]
fn questions_out_of_order_are_misuse_and_leave_the_worker_of_use() {
    let bench = Bench::new();
    let mut worker = bench.worker();
    for ask in [Ask::Random { length: 32 }, find(), Ask::ReadData { label: "mark".into() }] {
        assert_eq!(failure(worker.ask(&ask)).class, Class::Protocol);
    }
    assert_eq!(failure(worker.login(&secret(PIN))).class, Class::Protocol);
    assert!(matches!(worker.ask(&Ask::Login), Err(Error::NeedsPin)));
    let many = Ask::Open {
        module: bench.hsm.module().into(),
        init_args: None,
        label: "root".into(),
        serial: String::new(),
        slot: None,
        sessions: 65,
        keep_pin: false,
    };
    assert_eq!(failure(worker.ask(&many)).class, Class::Protocol);
    opened(&mut worker, &bench.open());
    assert_eq!(failure(worker.ask(&bench.open())).class, Class::Protocol);
    // Random octets need no login.
    let mut draw = || match worker.ask(&Ask::Random { length: 32 }).unwrap() {
        Answer::Random(octets) => octets.into_vec(),
        other => panic!("{other:?}"),
    };
    let (one, two) = (draw(), draw());
    assert_eq!((one.len(), two.len()), (32, 32));
    assert_ne!(one, two);
    assert_eq!(failure(worker.ask(&Ask::Random { length: 0 })).class, Class::Protocol);
    assert!(matches!(worker.ask(&Ask::Close).unwrap(), Answer::Closed));
    assert_eq!(worker.wait(Duration::from_secs(60)), Some(0));
    assert!(matches!(worker.ask(&Ask::Close), Err(Error::Gone { .. })));
}

#[test]
fn a_token_named_by_its_uri_is_found_and_a_foreign_one_is_not() {
    let station = Station::new_of(HIERARCHY.into());
    let made = station.run(&["token", "init", "--token", "main"]).ok();
    let uri = made["uri"].as_str().unwrap();
    let serial = made["serial"].as_str().unwrap();
    let maker = "manufacturer=SoftHSM%20project;model=SoftHSM%20v2";
    assert_eq!(uri, format!("pkcs11:token=road;serial={serial};{maker}"));
    let listed = station.run(&["token", "list"]).ok();
    assert!(listed.as_array().unwrap().iter().any(|token| token["uri"] == uri), "{listed}");
    // The draft named the token by its label; from now on the URI does.
    let draft = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let name = |uri: &str| {
        fs::write(station.path("hierarchy.toml"), draft.replace("label = \"road\"", &format!("uri = \"{uri}\"")))
            .unwrap();
        let _ = fs::remove_file(station.path("hierarchy.toml.alice.sig"));
        let _ = fs::remove_file(station.path("hierarchy.toml.bob.sig"));
        station.approve(Path::new("hierarchy.toml"));
    };
    for (wrong, code, said) in [
        (uri.replace("v2", "v3"), 1, "token `main` gives its model as `SoftHSM v2`"),
        (uri.replace("project", "fork"), 1, "token `main` gives its manufacturer as `SoftHSM project`"),
        (format!("{uri};library-manufacturer=Acme"), 1, "gives its library-manufacturer as `SoftHSM`"),
        (format!("{uri};library-description=Acme"), 1, "gives its library-description as `Implementation of PKCS11`"),
        (format!("{uri};library-version=1.0"), 1, "gives its library-version as `2."),
        (format!("{uri};slot-manufacturer=Acme"), 1, "gives its slot-manufacturer as `SoftHSM project`"),
        (format!("{uri};slot-description=Acme"), 1, "gives its slot-description as `SoftHSM slot ID 0x"),
        (uri.replace(serial, "00"), 1, &*format!("there are: \"road\" with the serial \"{serial}\"")),
        ("pkcs11:token=road".into(), 1, "the hierarchy gives no serial for token `main`"),
    ] {
        name(&wrong);
        station.init().fails(code, said);
        assert!(!station.path("audit").exists(), "{wrong}");
    }
    name(&format!("{uri};library-manufacturer=SoftHSM;library-description=Implementation%20of%20PKCS11"));
    station.init().ok();
    station.check_log();
}

// Keys and signatures

#[test]
fn every_kind_of_key_is_made_read_back_and_signs() {
    let bench = Bench::new();
    let mut worker = bench.logged_in();
    let kinds = [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::EcdsaP521,
        KeyAlgorithm::Rsa2048,
        KeyAlgorithm::Rsa3072,
        KeyAlgorithm::Rsa4096,
        KeyAlgorithm::Ed25519,
        KeyAlgorithm::Rsa2048Pss,
        KeyAlgorithm::Rsa4096Pss,
    ];
    for (number, algorithm) in (1u8..).zip(kinds) {
        let (label, cka_id) = (algorithm.name().to_owned(), Bytes::from(vec![number; 16]));
        let ask = Ask::GenerateKey {
            label: label.clone(),
            cka_id: cka_id.clone(),
            algorithm,
            extractable: false,
            always_authenticate: false,
        };
        let made = generated(&mut worker, &ask);
        assert_eq!((made.algorithm, made.adopted, made.label.as_str()), (algorithm, false, label.as_str()));
        assert_eq!((made.handle, &made.cka_id), (u64::from(number), &cka_id));
        expect_attributes(&made);
        // Found again, it does not say by which padding it signs.
        let shown = KeyFacts { algorithm: algorithm.shown(), ..made.clone() };
        let again = found(&mut worker, &Ask::FindKey { label: label.clone(), cka_id, always_authenticate: false });
        assert_eq!(again, std::slice::from_ref(&shown));
        assert_eq!(found(&mut worker, &Ask::FindKeysByLabel { label }), std::slice::from_ref(&shown));
        sign_and_verify(&mut worker, &made, 200);
    }
}

fn expect_attributes(made: &KeyFacts) {
    let private = [
        "CKA_TOKEN=true",
        "CKA_PRIVATE=true",
        "CKA_SENSITIVE=true",
        "CKA_ALWAYS_SENSITIVE=true",
        "CKA_EXTRACTABLE=false",
        "CKA_NEVER_EXTRACTABLE=true",
        "CKA_LOCAL=true",
        "CKA_SIGN=true",
        "CKA_SIGN_RECOVER=false",
        "CKA_DECRYPT=false",
        "CKA_UNWRAP=false",
        "CKA_DERIVE=false",
        "CKA_ALWAYS_AUTHENTICATE=false",
        "CKA_MODIFIABLE=false",
        "CKA_COPYABLE=false",
    ];
    let public = [
        "public CKA_TOKEN=true",
        "public CKA_PRIVATE=false",
        "public CKA_LOCAL=true",
        "public CKA_VERIFY=true",
        "public CKA_VERIFY_RECOVER=false",
        "public CKA_ENCRYPT=false",
        "public CKA_WRAP=false",
        "public CKA_DERIVE=false",
        "public CKA_MODIFIABLE=false",
        "public CKA_COPYABLE=false",
        "profile=softhsm",
    ];
    assert!(made.attributes[0].starts_with("CKA_KEY_TYPE="), "{:?}", made.attributes);
    assert_eq!(made.attributes[1..16], private, "{:?}", made.attributes);
    let at = made.attributes.iter().position(|line| line == "public CKA_TOKEN=true").unwrap();
    assert_eq!(made.attributes[at..], public);
    let kind = made.attributes[16..at].join(" ");
    let wanted = match made.algorithm.shown() {
        KeyAlgorithm::EcdsaP256 => "CKA_EC_PARAMS=06082a8648ce3d030107",
        KeyAlgorithm::EcdsaP384 => "CKA_EC_PARAMS=06052b81040022",
        KeyAlgorithm::EcdsaP521 => "CKA_EC_PARAMS=06052b81040023",
        KeyAlgorithm::Ed25519 => "CKA_EC_PARAMS=130c656477617264733235353139",
        KeyAlgorithm::Rsa2048 => "CKA_MODULUS_BITS=2048 public CKA_PUBLIC_EXPONENT=010001",
        KeyAlgorithm::Rsa3072 => "CKA_MODULUS_BITS=3072 public CKA_PUBLIC_EXPONENT=010001",
        KeyAlgorithm::Rsa4096 => "CKA_MODULUS_BITS=4096 public CKA_PUBLIC_EXPONENT=010001",
        other => panic!("{other} is no key of SoftHSM"),
    };
    assert!(kind.ends_with(wanted), "{kind}");
}

/// Signs `count` messages over the parallel sessions and verifies each with aws-lc-rs under the reported SPKI.
fn sign_and_verify(worker: &mut Worker, key: &KeyFacts, count: u64) {
    type Verifier = &'static dyn signature::VerificationAlgorithm;
    let (hash, verifier): (Option<&digest::Algorithm>, Verifier) = match key.algorithm {
        KeyAlgorithm::EcdsaP256 => (Some(&digest::SHA256), &signature::ECDSA_P256_SHA256_ASN1),
        KeyAlgorithm::EcdsaP384 => (Some(&digest::SHA384), &signature::ECDSA_P384_SHA384_ASN1),
        KeyAlgorithm::EcdsaP521 => (Some(&digest::SHA512), &signature::ECDSA_P521_SHA512_ASN1),
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 => {
            (Some(&digest::SHA256), &signature::RSA_PKCS1_2048_8192_SHA256)
        }
        KeyAlgorithm::Rsa4096 => (Some(&digest::SHA512), &signature::RSA_PKCS1_2048_8192_SHA512),
        KeyAlgorithm::Ed25519 => (None, &signature::ED25519),
        KeyAlgorithm::Rsa2048Pss => (Some(&digest::SHA256), &signature::RSA_PSS_2048_8192_SHA256),
        KeyAlgorithm::Rsa4096Pss => (Some(&digest::SHA512), &signature::RSA_PSS_2048_8192_SHA512),
        other => panic!("{other} is no key of SoftHSM"),
    };
    let text = |item: u64| format!("message number {item}").into_bytes();
    let messages: Vec<ToSign> = (0..count)
        .map(|item| {
            let message = match hash {
                Some(hash) => digest::digest(hash, &text(item)).as_ref().to_vec(),
                None => text(item),
            };
            ToSign { item: 1000 + item, message: message.into() }
        })
        .collect();
    let ask = Ask::Sign { handle: key.handle, algorithm: key.algorithm.signs_with(), messages };
    let Answer::Signatures(signatures) = worker.ask(&ask).unwrap() else { panic!("{}", key.algorithm) };
    let items: Vec<u64> = signatures.iter().map(|signature| signature.item).collect();
    assert_eq!(items, (1000..1000 + count).collect::<Vec<_>>());

    let (rest, parsed) = SubjectPublicKeyInfo::from_der(&key.spki).unwrap();
    assert!(rest.is_empty());
    let bare = signature::UnparsedPublicKey::new(verifier, parsed.subject_public_key.data.to_vec());
    for signature in &signatures {
        bare.verify(&text(signature.item - 1000), &signature.value).expect("the signature of the item at its place");
    }
    assert!(bare.verify(b"another message", &signatures[0].value).is_err());
}

#[test]
fn ed25519_signs_the_longest_message_in_one_piece() {
    let bench = Bench::new();
    let mut worker = bench.logged_in();
    let key = generated(&mut worker, &generate(KeyAlgorithm::Ed25519));
    let algorithm = key.algorithm.signs_with();
    let longest = vec![0x5a; algorithm.longest_message().unwrap()];
    let mut ask = |message: Vec<u8>| {
        let messages = vec![ToSign { item: 1, message: message.into() }];
        worker.ask(&Ask::Sign { handle: key.handle, algorithm, messages })
    };
    let Answer::Signatures(signatures) = ask(longest.clone()).unwrap() else { panic!() };
    let bare = signature::UnparsedPublicKey::new(&signature::ED25519, &key.spki[12..]);
    bare.verify(&longest, &signatures[0].value).unwrap();
    let longer = [longest, vec![0]].concat();
    assert_eq!(failure(ask(longer)).class, Class::Protocol);
}

#[test]
fn p01_a_question_for_a_signature_must_fit_the_key() {
    let bench = Bench::new();
    let mut worker = bench.logged_in();
    let key = generated(&mut worker, &generate(KeyAlgorithm::EcdsaP256));
    let algorithm = key.algorithm.signs_with();
    let mut ask = |handle, algorithm, length: usize| {
        let messages = vec![ToSign { item: 1, message: vec![7; length].into() }];
        worker.ask(&Ask::Sign { handle, algorithm, messages })
    };
    for (handle, algorithm, length) in [
        (key.handle + 1, algorithm, 32),
        (0, algorithm, 32),
        (key.handle, KeyAlgorithm::Rsa2048.signs_with(), 32),
        (key.handle, KeyAlgorithm::EcdsaP384.signs_with(), 48),
        (key.handle, algorithm, 31),
        (key.handle, algorithm, 48),
    ] {
        assert_eq!(failure(ask(handle, algorithm, length)).class, Class::Protocol);
    }
    assert!(matches!(ask(key.handle, algorithm, 32).unwrap(), Answer::Signatures(one) if one.len() == 1));
    let none = worker.ask(&Ask::Sign { handle: key.handle, algorithm, messages: vec![] }).unwrap();
    assert!(matches!(none, Answer::Signatures(none) if none.is_empty()));
}

#[test]
fn a_whole_pair_is_adopted_by_the_next_process() {
    let bench = Bench::new();
    let made = generated(&mut bench.logged_in(), &generate(KeyAlgorithm::EcdsaP384));
    let mut worker = bench.logged_in();
    let adopted = generated(&mut worker, &generate(KeyAlgorithm::EcdsaP384));
    assert_eq!(adopted, KeyFacts { adopted: true, ..made.clone() });
    sign_and_verify(&mut worker, &adopted, 3);
    // A pair that is not what the plan says is neither adopted nor removed.
    refused(worker.ask(&generate(KeyAlgorithm::Rsa2048)), "CKA_KEY_TYPE=");
    refused(worker.ask(&generate(KeyAlgorithm::EcdsaP256)), "CKA_EC_PARAMS=06052b81040022 where ecdsa-p256");
    let mut extractable = generate(KeyAlgorithm::EcdsaP384);
    if let Ask::GenerateKey { extractable, .. } = &mut extractable {
        *extractable = true;
    }
    refused(worker.ask(&extractable), "CKA_EXTRACTABLE=false where true");
    assert_eq!(found(&mut worker, &find()), [made]);
    // The label is taken: another CKA_ID under it would make it ambiguous.
    let (label, cka_id) = ("key".into(), Bytes::from(vec![9; 4]));
    let other = Ask::GenerateKey {
        label,
        cka_id,
        algorithm: KeyAlgorithm::EcdsaP256,
        extractable: false,
        always_authenticate: false,
    };
    refused(worker.ask(&other), "under another CKA_ID");
    let renamed = Ask::FindKey { label: "another".into(), cka_id: Bytes::from(ID), always_authenticate: false };
    refused(worker.ask(&renamed), "has the label \"key\", not \"another\"");
}

#[test]
fn an_extractable_key_says_so() {
    let bench = Bench::new();
    let mut worker = bench.logged_in();
    let (label, cka_id) = ("key".into(), Bytes::from(ID));
    let ask = Ask::GenerateKey {
        label,
        cka_id,
        algorithm: KeyAlgorithm::EcdsaP256,
        extractable: true,
        always_authenticate: false,
    };
    let made = generated(&mut worker, &ask);
    for line in
        ["CKA_EXTRACTABLE=true", "CKA_NEVER_EXTRACTABLE=false", "CKA_SENSITIVE=true", "CKA_ALWAYS_SENSITIVE=true"]
    {
        assert!(made.attributes.iter().any(|found| found == line), "{line} in {:?}", made.attributes);
    }
    assert_eq!(found(&mut worker, &find()), [made]);
}

#[test]
fn half_a_pair_is_refused_and_at_generation_removed() {
    for (meddling, half, lost) in [("lose-public", "private", "public"), ("lose-private", "public", "private")] {
        let bench = Bench::new();
        let old = generated(&mut bench.logged_in(), &generate(KeyAlgorithm::EcdsaP256));
        bench.meddle(meddling);
        let mut worker = bench.logged_in();
        refused(worker.ask(&find()), &format!("has lost its {lost} half"));
        let listed = found(&mut worker, &Ask::FindKeysByLabel { label: "key".into() });
        match lost {
            "public" => assert!(listed.len() == 1 && listed[0].handle == 0 && listed[0].spki.is_empty()),
            _ => assert!(listed.len() == 1 && listed[0].handle == 0 && listed[0].spki == old.spki),
        }
        let new = generated(&mut worker, &generate(KeyAlgorithm::EcdsaP256));
        assert!(!new.adopted && new.spki != old.spki);
        assert_eq!(new.attributes.last().unwrap(), &format!("removed-half={half}"));
        sign_and_verify(&mut worker, &new, 3);
        assert_eq!(found(&mut worker, &find()).len(), 1);
    }
}

#[test]
fn a_doubled_key_is_refused_everywhere() {
    let bench = Bench::new();
    let key = generated(&mut bench.logged_in(), &generate(KeyAlgorithm::EcdsaP256));
    bench.meddle("double");
    let mut worker = bench.logged_in();
    refused(worker.ask(&find()), "the private key with CKA_ID c01d0001 is there 2 times");
    refused(worker.ask(&generate(KeyAlgorithm::EcdsaP256)), "is there 2 times");
    let listed = found(&mut worker, &Ask::FindKeysByLabel { label: "key".into() });
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|key| key.handle == 0));
    assert!(listed.iter().any(|listed| listed.spki == key.spki));
}

#[test]
fn a_key_doubled_after_it_was_found_does_not_sign() {
    let bench = Bench::new();
    let mut worker = bench.logged_in();
    let key = generated(&mut worker, &generate(KeyAlgorithm::EcdsaP256));
    bench.meddle("double");
    let messages = vec![ToSign { item: 1, message: vec![7; 32].into() }];
    refused(worker.ask(&Ask::Sign { handle: key.handle, algorithm: key.algorithm.signs_with(), messages }), "2 times");
}

#[test]
fn p08_a_key_that_can_do_more_than_sign_is_refused() {
    for (meddling, words) in [
        ("make-decrypting", "CKA_DECRYPT=true where false"),
        ("make-deriving", "CKA_DERIVE=true where false"),
        ("make-readable", "CKA_SENSITIVE=false where true"),
    ] {
        let bench = Bench::new();
        bench.meddle(meddling);
        let mut worker = bench.logged_in();
        refused(worker.ask(&find()), words);
        refused(worker.ask(&generate(KeyAlgorithm::Rsa2048)), words);
        let listed = found(&mut worker, &Ask::FindKeysByLabel { label: "key".into() });
        assert_eq!(listed.iter().map(|key| key.handle).collect::<Vec<_>>(), [0]);
    }
}

#[test]
fn p08_a_private_key_cannot_be_read_nor_changed() {
    let bench = Bench::new();
    generated(&mut bench.logged_in(), &generate(KeyAlgorithm::EcdsaP256));
    bench.meddle("expect-closed");
}

// Data objects

#[test]
fn a_data_object_is_rewritten_and_the_newest_counts() {
    let bench = Bench::new();
    let mut worker = bench.logged_in();
    assert_eq!(read(&mut worker, "mark"), None);
    for value in [b"one".as_slice(), b"two", b"", &[0xff; 4096]] {
        write(&mut worker, "mark", value);
        assert_eq!(read(&mut worker, "mark").as_deref(), Some(value));
    }
    assert_eq!(read(&mut worker, "other"), None);
    // One object is left, of generation 4; an interruption then leaves a newer one beside it, whose generation is lower in
    // its last octet, so that neither creation order nor a comparison of octets would find it.
    drop(worker);
    bench.meddle("interrupt-write");
    let mut worker = bench.logged_in();
    assert_eq!(read(&mut worker, "mark").as_deref(), Some(b"newer".as_slice()));
    write(&mut worker, "mark", b"last");
    assert_eq!(read(&mut worker, "mark").as_deref(), Some(b"last".as_slice()));
    drop(worker);
    bench.meddle("expect-one-mark");
    let mut worker = bench.logged_in();
    let large = Ask::WriteData { label: "mark".into(), value: vec![0; 17 << 10].into() };
    assert_eq!(failure(worker.ask(&large)).class, Class::Protocol);
    drop(worker);
    bench.meddle("foreign-data");
    refused(bench.logged_in().ask(&Ask::ReadData { label: "mark".into() }), "was not written by this program");
}

// The process

#[test]
fn p08_a_worker_has_only_the_environment_it_was_given_and_no_terminal() {
    let bench = Bench::new();
    let mut worker = bench.worker();
    worker.ask(&Ask::List { module: bench.hsm.module().into(), init_args: None }).unwrap();
    let proc = format!("/proc/{}", worker.id().unwrap());
    let stat = std::fs::read_to_string(format!("{proc}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let id = worker.id().unwrap().to_string();
    // pgrp, session, tty_nr (proc(5)).
    assert_eq!(fields[2..5], [id.as_str(), id.as_str(), "0"]);
    let limits = std::fs::read_to_string(format!("{proc}/limits"));
    // The process is not dumpable: whoever may not trace everything cannot look into it at all.
    match std::fs::read(format!("{proc}/environ")) {
        Ok(environ) => {
            let (name, value) = bench.hsm.env().iter().next().unwrap();
            assert_eq!(String::from_utf8(environ).unwrap(), format!("{name}={value}\0"));
            assert_eq!(std::fs::read_link(format!("{proc}/fd/0")).unwrap(), Path::new("/dev/null"));
            let core = limits.unwrap().lines().find(|line| line.starts_with("Max core")).unwrap().to_owned();
            assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"]);
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
}

#[test]
fn p08_a_child_inherits_nothing_but_its_socket() {
    let env = BTreeMap::from([("ONLY".to_owned(), "this".to_owned())]);
    let output = |program: &str, args: &[&str]| {
        let mut worker = Worker::start(Path::new(program), args, &env).unwrap();
        match worker.ask(&Ask::Random { length: 1 }) {
            Err(Error::Gone { output }) => output,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(output("/usr/bin/env", &[]), "ONLY=this");
    // What whoever started this test left open reaches every child; a worker that runs meanwhile must add nothing.
    let open = |output: Vec<u8>| String::from_utf8(output).unwrap().trim_end().to_owned();
    let before = open(Command::new("/bin/ls").arg("/proc/self/fd").output().unwrap().stdout);
    let _running = Worker::start(Path::new("/bin/sleep"), &["60"], &env).unwrap();
    let plain = open(Command::new("/bin/ls").arg("/proc/self/fd").output().unwrap().stdout);
    assert_eq!(plain, before);
    assert_eq!(output("/bin/ls", &["/proc/self/fd"]), before);
    let link = output("/usr/bin/readlink", &["/proc/self/fd/0"]);
    assert!(link.starts_with("socket:"), "{link}");
}

#[test]
fn a_worker_that_dies_is_gone_with_its_last_words_escaped() {
    let script = "echo first; printf 'module \\033[31mbroke' >&2; exit 3";
    let mut worker = Worker::start(Path::new("/bin/sh"), &["-c", script], &BTreeMap::new()).unwrap();
    let error = worker.ask(&Ask::Random { length: 1 }).unwrap_err();
    let Error::Gone { output } = &error else { panic!("{error}") };
    assert!(output.contains("module \\u{1b}[31mbroke"), "{output}");
    assert!(error.to_string().starts_with("the worker has gone, its last words: "));
    assert!(error.hint().is_some());
    assert!(matches!(worker.ask(&Ask::Close), Err(Error::Gone { .. })));
}

#[test]
fn a_worker_started_by_hand_says_so() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_coldroot")).arg("worker").stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not by hand"));
}

#[test]
fn a_worker_ends_when_the_gate_goes_away() {
    let bench = Bench::new();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_coldroot"))
        .arg("worker")
        .env_clear()
        .envs(bench.hsm.env())
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    let mut socket = ours;
    coldroot::wire::send(&mut socket, &bench.open()).unwrap();
    assert!(matches!(coldroot::wire::receive::<Answer>(&mut socket).unwrap(), Answer::Opened(_)));
    // Bytes that are no question are answered; then the socket closes.
    coldroot::wire::send(&mut socket, &"hello").unwrap();
    let answer: Answer = coldroot::wire::receive(&mut socket).unwrap();
    assert!(matches!(answer, Answer::Failed(Failure { class: Class::Protocol, .. })));
    drop(socket);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

// What coldroot itself never does, in a process of its own: a module keeps its state per process.

#[test]
#[ignore = "run by the other tests, as a process of its own"]
fn meddle() {
    let Ok(what) = std::env::var("MEDDLE") else { return };
    let pkcs11 = Pkcs11::new(std::env::var("MEDDLE_MODULE").unwrap()).unwrap();
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = pkcs11.get_slots_with_initialized_token().unwrap()[0];
    let session = pkcs11.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned()))).unwrap();
    match what.as_str() {
        "lose-public" => session.destroy_object(key_object(&session, ObjectClass::PUBLIC_KEY)).unwrap(),
        "lose-private" => session.destroy_object(key_object(&session, ObjectClass::PRIVATE_KEY)).unwrap(),
        "double" => {
            let curve = Attribute::EcParams(vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
            make_pair(&session, &Mechanism::EccKeyPairGen, vec![curve], vec![]);
        }
        "make-decrypting" => make_rsa(&session, vec![Attribute::Decrypt(true)]),
        "make-deriving" => make_rsa(&session, vec![Attribute::Decrypt(false), Attribute::Derive(true)]),
        "make-readable" => make_rsa(&session, vec![Attribute::Sensitive(false), Attribute::Decrypt(false)]),
        "expect-closed" => expect_closed(&session),
        "interrupt-write" => {
            assert_eq!(data_objects(&session), [4]);
            make_data(&session, &[&256u64.to_be_bytes(), b"newer".as_slice()].concat());
            assert_eq!(data_objects(&session), [4, 256]);
        }
        "expect-one-mark" => assert_eq!(data_objects(&session), [257]),
        "foreign-data" => make_data(&session, b"short"),
        other => panic!("{other}"),
    }
    println!("meddled");
}

fn key_object(session: &Session, class: ObjectClass) -> ObjectHandle {
    let found = session.find_objects(&[Attribute::Class(class), Attribute::Id(ID.to_vec())]).unwrap();
    assert_eq!(found.len(), 1);
    found[0]
}

fn make_pair(session: &Session, mechanism: &Mechanism, public: Vec<Attribute>, private: Vec<Attribute>) {
    let common = vec![Attribute::Token(true), Attribute::Id(ID.to_vec()), Attribute::Label(b"key".to_vec())];
    let public = [common.clone(), vec![Attribute::Verify(true)], public].concat();
    let mut template = [common, vec![Attribute::Private(true), Attribute::Sign(true)], private].concat();
    for usual in [Attribute::Sensitive(true), Attribute::Unwrap(false)] {
        if template.iter().all(|stated| stated.attribute_type() != usual.attribute_type()) {
            template.push(usual);
        }
    }
    session.generate_key_pair(mechanism, &public, &template).unwrap();
}

fn make_rsa(session: &Session, private: Vec<Attribute>) {
    let public = vec![Attribute::ModulusBits(2048.into()), Attribute::PublicExponent(vec![1, 0, 1])];
    make_pair(session, &Mechanism::RsaPkcsKeyPairGen, public, private);
}

fn expect_closed(session: &Session) {
    let key = key_object(session, ObjectClass::PRIVATE_KEY);
    assert!(session.get_attributes(key, &[AttributeType::Value]).unwrap().is_empty());
    let info = session.get_attribute_info(key, &[AttributeType::Value]).unwrap();
    assert!(matches!(info[0], AttributeInfo::Sensitive), "{info:?}");
    for change in [Attribute::Extractable(true), Attribute::Sensitive(false), Attribute::Decrypt(true)] {
        assert!(session.update_attributes(key, std::slice::from_ref(&change)).is_err(), "{change:?}");
    }
    assert!(session.copy_object(key, &[Attribute::Extractable(true)]).is_err());
}

fn make_data(session: &Session, value: &[u8]) {
    let mut template = data_template();
    template.push(Attribute::Value(value.to_vec()));
    session.create_object(&template).unwrap();
}

/// The generations of all objects "mark", smallest first.
fn data_objects(session: &Session) -> Vec<u64> {
    let mut generations: Vec<u64> = session
        .find_objects(&data_template())
        .unwrap()
        .into_iter()
        .map(|object| match session.get_attributes(object, &[AttributeType::Value]).unwrap().remove(0) {
            Attribute::Value(value) => u64::from_be_bytes(*value.first_chunk().unwrap()),
            other => panic!("{other:?}"),
        })
        .collect();
    generations.sort_unstable();
    generations
}

fn data_template() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Application(b"coldroot".to_vec()),
        Attribute::Label(b"mark".to_vec()),
    ]
}
