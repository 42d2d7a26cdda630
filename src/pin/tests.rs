//! Descriptors, files and forms. What is typed is tested on a terminal of its own, in `softhsm-tests/pins.rs`.

use std::io::Write;
use std::os::fd::AsRawFd;

use super::*;
use crate::config::{PinEntry, Token};
use crate::token::ask::TokenFacts;

fn hierarchy(environment: &str) -> Hierarchy {
    let text = include_str!("../../ceremony-scripts/hierarchy.example.toml");
    let lines = text.lines().filter(|line| environment == "rehearsal" || !line.starts_with("pin-file"));
    let lines = lines.filter(|line| environment == "rehearsal" || !line.starts_with("so-pin-file"));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let text = text.replace("environment = \"rehearsal\"", &format!("environment = \"{environment}\""));
    match environment {
        "real" => Hierarchy::parse(&text.replace("O = \"REHEARSAL\"", "O = \"Example\"")).unwrap(),
        _ => Hierarchy::parse(&text).unwrap(),
    }
}

fn given(fd: i32, environment: &str) -> Result<Vec<u8>, String> {
    let sources = BTreeMap::from([("main".into(), PinSource::Fd(u32::try_from(fd).unwrap()))]);
    let pins = Pins::read(&sources, &hierarchy(environment));
    pins.map(|mut pins| pins.given.remove("main").unwrap().expose().to_vec()).map_err(|refusal| refusal.what)
}

fn piped(octets: &[u8], environment: &str) -> Result<Vec<u8>, String> {
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(octets).unwrap();
    drop(writer);
    given(reader.as_raw_fd(), environment)
}

#[test]
fn p08_a_pin_comes_through_a_pipe_up_to_its_line_end() {
    for environment in ["real", "rehearsal"] {
        for octets in [b"1234".as_slice(), b"1234\n", b"1234\r\n", b"1234\nrest\n"] {
            assert_eq!(piped(octets, environment).unwrap(), b"1234");
        }
        assert_eq!(piped(&[b'1'; MAX_PIN], environment).unwrap().len(), MAX_PIN);
        let long = piped(&[b'1'; MAX_PIN + 1], environment).unwrap_err();
        assert_eq!(long, "the PIN of token `main` is longer than 255 octets");
        assert!(piped(b"", environment).unwrap_err().ends_with("is empty"));
        assert!(piped(b"\n1234", environment).unwrap_err().ends_with("is empty"));
    }
}

#[test]
fn p08_nothing_is_left_in_the_pipe_for_the_programs_that_inherit_it() {
    let (mut reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"1234\nsecond line\n").unwrap();
    drop(writer);
    assert_eq!(given(reader.as_raw_fd(), "real").unwrap(), b"1234");
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}

#[test]
fn p08_a_real_pin_never_comes_from_a_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"1234\n").unwrap();
    assert!(given(file.as_raw_fd(), "real").unwrap_err().ends_with("is not a pipe"));
    assert_eq!(given(file.as_raw_fd(), "rehearsal").unwrap(), b"1234");
    let new = for_new_token("user PIN", Some(file.path().into()), &PinForm::KeyId("0001".into()));
    assert_eq!(new.ok().unwrap().expose(), b"00011234");
    assert!(given(4_000_000, "real").unwrap_err().contains("cannot read the PIN from descriptor 4000000"));
}

#[test]
fn p08_the_form_is_put_before_the_secret_and_never_twice() {
    let join = |form: &PinForm, typed: &str| {
        let pin = in_form(form, "PIN", Secret::new(typed.as_bytes().to_vec()));
        pin.map(|pin| String::from_utf8(pin.expose().to_vec()).unwrap()).map_err(|refusal| refusal.what)
    };
    let (user, id) = (PinForm::User("co1".into()), PinForm::KeyId("00aB".into()));
    assert_eq!(join(&PinForm::Plain, "co1:x").unwrap(), "co1:x");
    assert_eq!(join(&user, "x:y").unwrap(), "co1:x:y");
    assert_eq!(join(&id, "password").unwrap(), "00aBpassword");
    assert_eq!(join(&user, "co1:x").unwrap_err(), "the PIN begins with `co1:` already");
    assert_eq!(join(&id, "00ABpassword").unwrap_err(), "the PIN begins with `00aB` already");
    assert!(join(&user, &"x".repeat(252)).unwrap_err().contains("longer than 255"));
    assert_eq!(join(&user, &"x".repeat(251)).unwrap().len(), 255);
}

fn facts(keypad: bool) -> TokenFacts {
    TokenFacts {
        label: "road\u{1b}[2J".into(),
        serial: "0001".into(),
        manufacturer: String::new(),
        model: String::new(),
        module: String::new(),
        profile: String::new(),
        place: Default::default(),
        initialised: true,
        keypad,
        longest_pin: 0,
        pin_count_low: true,
        pin_final_try: false,
        pin_locked: false,
    }
}

fn none() -> Pins {
    Pins::read(&BTreeMap::new(), &hierarchy("rehearsal")).unwrap_or_else(|_| panic!("nothing was given"))
}

#[test]
fn p08_shares_come_by_descriptors_in_rehearsals_alone() {
    let source = BTreeMap::from([("main".into(), PinSource::Shares { from: 0, to: None })]);
    let refused = Pins::read(&source, &hierarchy("real")).map(|_| ()).unwrap_err();
    assert!(refused.what.contains("belong to rehearsals"), "{}", refused.what);
}

#[test]
fn p08_a_keypad_is_asked_only_where_there_is_one() {
    let hierarchy = hierarchy("real");
    let token = Token { pin: PinEntry::Keypad, ..hierarchy.tokens[0].clone() };
    let wanted = |keypad| {
        let facts = &facts(keypad);
        let wanted = Wanted { hierarchy: &hierarchy, station: Path::new("/"), token: &token, facts };
        wanted.fetch(&mut none()).map(|fetched| fetched.pin.len()).map_err(|refusal| refusal.what)
    };
    assert_eq!(wanted(true).unwrap(), 0);
    assert!(wanted(false).unwrap_err().contains("no keypad of its own"));
    let facts = facts(true);
    let wanted = Wanted { hierarchy: &hierarchy, station: Path::new("/"), token: &token, facts: &facts };
    let mut both = none();
    both.given.insert("main".into(), Secret::new(b"1234".to_vec()));
    assert!(wanted.fetch(&mut both).map(|_| ()).unwrap_err().what.contains("--pin-fd brings one"));
    let about = wanted.about();
    assert!(about.starts_with("Example XMPP Trust (real): token `main`, \"road\\u{1b}[2J\", serial 0001."), "{about}");
    assert!(about.ends_with("A wrong PIN was tried since the last right one."), "{about}");
}

#[test]
fn p08_a_form_that_the_modules_profile_does_not_want_is_refused_before_a_try() {
    let hierarchy = hierarchy("real");
    let judged = |profile: &str, pin_form: PinForm| {
        let token = Token { pin_form, ..hierarchy.tokens[0].clone() };
        let facts = TokenFacts { profile: profile.into(), ..facts(false) };
        let wanted = Wanted { hierarchy: &hierarchy, station: Path::new("/"), token: &token, facts: &facts };
        wanted.judge(&none()).map_err(|refusal| refusal.what)
    };
    let (user, id) = (|| PinForm::User("co1".into()), || PinForm::KeyId("0001".into()));
    assert!(judged("cloudhsm", user()).is_ok() && judged("yubihsm2", id()).is_ok());
    assert!(judged("cloudhsm", PinForm::Plain).unwrap_err().contains("wants its PIN as user-password"));
    assert!(
        judged("yubihsm2", user())
            .unwrap_err()
            .contains("wants its PIN as key-id, and the hierarchy says user-password")
    );
    // Where no profile knows, the hierarchy does.
    assert!(judged("", user()).is_ok() && judged("softhsm", id()).is_ok());
}
