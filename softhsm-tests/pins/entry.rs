//! Where a PIN comes from, and that nothing is tried where it does not come.

use std::fs;
use std::path::Path;
use std::process::Command;

use coldroot::audit::entry::Body;

use crate::harness::faulty::{count, hierarchy as faulty_hierarchy, mend, play};
use crate::harness::station::{COLDROOT, HIERARCHY, PIN, Run, Station};
use crate::harness::terminal::OnTerminal;

/// Without the line of the PIN file, and with these in its place.
fn with(hierarchy: &str, lines: &str) -> String {
    hierarchy.replace("pin-file = \"pin.txt\"\nso-", &format!("{lines}\nso-"))
}

/// A station with a token under this PIN, whose hierarchy has `lines` instead of a PIN file from then on.
fn station(hierarchy: &str, lines: &str, pin: &str) -> Station {
    let station = Station::new_of(hierarchy.into());
    fs::write(station.path("pin.txt"), format!("{pin}\n")).unwrap();
    let made = station.run(&["token", "init", "--token", "main"]).ok();
    let text = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let serial = format!("label = \"road\"\nserial = \"{}\"", made["serial"].as_str().unwrap());
    fs::write(station.path("hierarchy.toml"), with(&text, lines).replace("label = \"road\"", &serial)).unwrap();
    fs::remove_file(station.path("pin.txt")).unwrap();
    station.approve(Path::new("hierarchy.toml"));
    station
}

fn on_terminal(station: &Station, args: &[&str]) -> OnTerminal {
    OnTerminal::start(&station.command(args))
}

#[test]
fn p08_a_pin_is_typed_without_echo_and_the_terminal_is_given_back() {
    let station = station(&faulty_hierarchy(""), "", PIN);
    play(&station, "");
    // Given up by ^C: the terminal is as it was, and nothing was tried.
    let mut given_up = on_terminal(&station, &station.init_args());
    given_up.expect("PIN of token `main`: ");
    assert!(!given_up.echoes());
    given_up.keys("user-\x03");
    given_up.end().fails(1, "was not typed");
    assert!(given_up.echoes());
    assert_eq!(count(&station, "C_Login"), 0);
    assert!(!station.path("audit").exists());
    // What was typed before the question is not the answer. ^U and the rubout key are for those who mistype.
    let mut typed = on_terminal(&station, &station.init_args());
    let about = typed.expect("PIN of token `main`: ");
    assert!(about.contains("Road (rehearsal): token `main`, \"road\", serial "), "{about}");
    assert!(about.lines().all(|line| line.trim().len() <= 80), "{about}");
    typed.keys("wrong\x15");
    typed.line(&PIN.replace("12", "1x\x7f2"));
    typed.end().ok();
    assert!(typed.echoes());
    // Behind the question, which names the token by its serial: that may have any digits.
    let (_, answer) = typed.shown().split_once("PIN of token").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(!answer.contains("1234"), "{answer}");
    assert_eq!(count(&station, "C_Login"), 1);
    mend(&station);
    station.check_log();
}

#[test]
fn p08_the_last_try_is_taken_only_when_a_person_says_so() {
    const ASKED: &str = "To take the last try, type the token's label (not shown), or only Return: ";
    let station = station(&faulty_hierarchy(""), "", PIN);
    play(&station, "C_GetTokenInfo=flags:0x20000");
    for said in ["", "other", PIN] {
        let mut refused = on_terminal(&station, &station.init_args());
        let about = refused.expect(ASKED);
        assert!(about.contains("The next wrong PIN locks it."), "{about}");
        refused.line(said);
        refused.end().fails(1, "nobody said to take it");
        assert_eq!(count(&station, "C_Login"), 0);
        assert!(!station.path("audit").exists());
    }
    let mut taken = on_terminal(&station, &station.init_args());
    taken.expect(ASKED);
    taken.line("road");
    taken.expect("PIN of token `main`: ");
    taken.line(PIN);
    taken.end().ok();
    assert_eq!(count(&station, "C_Login"), 1);
    mend(&station);
    station.check_log();
}

#[test]
fn p08_without_a_terminal_nobody_is_asked_and_nothing_is_tried() {
    let station = station(&faulty_hierarchy(""), "", PIN);
    play(&station, "");
    // A session of its own has no terminal.
    let mut run = station.command_of("setsid", &["--wait", COLDROOT], &station.init_args());
    Run::of(&mut run).fails(1, "cannot ask for the PIN");
    assert_eq!(count(&station, "C_Login"), 0);
    assert!(!station.path("audit").exists());
}

/// `age` and `age-keygen`, as the hierarchy names them.
fn age() -> &'static str {
    assert!(Path::new("/usr/bin/age").exists(), "age is not installed: apt-get install age");
    "[programs]\nage = \"/usr/bin/age\"\n"
}

fn encrypt(station: &Station, pin: &str, args: &[&str]) {
    fs::write(station.path("clear"), pin).unwrap();
    let mut age = Command::new("/usr/bin/age");
    let run = Run::of(age.args(args).args(["-o", "pin.age", "clear"]).current_dir(station.dir()));
    assert_eq!(run.code, 0, "{run:?}");
    fs::remove_file(station.path("clear")).unwrap();
}

#[test]
fn p08_a_pin_is_decrypted_by_age_with_an_identity() {
    let hierarchy = faulty_hierarchy("").replace("[audit]", &format!("{}\n[audit]", age()));
    let station = station(&hierarchy, "pin-age = \"pin.age\"\npin-age-identity = \"identity\"", PIN);
    let identity = Run::of(Command::new("/usr/bin/age-keygen").current_dir(station.dir()));
    fs::write(station.path("identity"), &identity.out).unwrap();
    let recipient = identity.out.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    play(&station, "");
    // No file, another one's file, a damaged one: nothing is tried.
    station.init().fails(1, "there is no such file");
    let other = Run::of(&mut Command::new("/usr/bin/age-keygen")).out;
    let other = other.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    encrypt(&station, PIN, &["-r", other]);
    station.init().fails(1, "age did not decrypt");
    encrypt(&station, PIN, &["-r", recipient]);
    let whole = fs::read(station.path("pin.age")).unwrap();
    fs::write(station.path("pin.age"), &whole[..whole.len() - 1]).unwrap();
    station.init().fails(1, "age did not decrypt");
    encrypt(&station, "", &["-r", recipient]);
    station.init().fails(1, "is empty");
    assert_eq!(count(&station, "C_Login"), 0);
    assert!(!station.path("audit").exists());
    fs::write(station.path("pin.age"), &whole).unwrap();
    let run = station.init();
    assert!(!run.err.contains(PIN) && !run.out.contains(PIN));
    run.ok();
    mend(&station);
    station.check_log();
}

#[test]
fn p08_age_asks_for_its_passphrase_on_the_terminal() {
    let hierarchy = HIERARCHY.replace("[audit]", &format!("{}\n[audit]", age()));
    let station = station(&hierarchy, "pin-age = \"pin.age\"", PIN);
    fs::write(station.path("clear"), PIN).unwrap();
    let mut command = Command::new("/usr/bin/age");
    let mut age = OnTerminal::start(command.args(["-p", "-o", "pin.age", "clear"]).current_dir(station.dir()));
    age.expect("assphrase");
    age.line("correct horse");
    age.expect("onfirm");
    age.line("correct horse");
    assert_eq!(age.end().code, 0);
    fs::remove_file(station.path("clear")).unwrap();
    let mut wrong = on_terminal(&station, &station.init_args());
    wrong.expect("assphrase");
    wrong.line("battery staple");
    wrong.end().fails(1, "incorrect passphrase");
    assert!(!station.path("audit").exists());
    let mut right = on_terminal(&station, &station.init_args());
    right.expect("assphrase");
    right.line("correct horse");
    right.end().ok();
    assert!(!right.shown().contains(PIN));
    station.check_log();
}

#[test]
fn p08_the_forms_of_other_modules_are_put_together() {
    for (form, pin) in [
        ("pin-form = \"user-password\"\npin-user = \"co1\"", "co1:user-1234"),
        ("pin-form = \"key-id\"\npin-key-id = \"0001\"", "0001user-1234"),
    ] {
        // The token's PIN is the whole of it; people give the password alone.
        let lines = format!("{form}\npin-file = \"pin.txt\"");
        let station = station(&faulty_hierarchy(""), &lines, pin);
        play(&station, "");
        fs::write(station.path("pin.txt"), format!("{pin}\n")).unwrap();
        station.init().fails(1, "already");
        assert_eq!(count(&station, "C_Login"), 0);
        assert!(!station.path("audit").exists());
        fs::write(station.path("pin.txt"), format!("{PIN}\n")).unwrap();
        station.init().ok();
    }
}

#[test]
fn p08_a_keypad_that_is_none_is_never_tried() {
    let station = station(&faulty_hierarchy(""), "pin = \"keypad\"", PIN);
    play(&station, "");
    station.init().fails(1, "no keypad of its own");
    assert_eq!(count(&station, "C_Login"), 0);
    // With the flag the token is asked, once, with no PIN at all; SoftHSM, which has no keypad, does not take it.
    play(&station, "C_GetTokenInfo=flags:0x100\n");
    let run = station.init();
    assert!(run.err.contains("keypad now"), "{run:?}");
    run.fails(1, "CKR_ARGUMENTS_BAD");
    assert_eq!(count(&station, "C_Login"), 1);
    let mut given =
        station.command_of("bash", &["-c", r#""$0" --pin-fd 3 "$@" 3< <(echo 1234)"#, COLDROOT], &station.init_args());
    Run::of(&mut given).fails(1, "--pin-fd brings one");
    assert_eq!(count(&station, "C_Login"), 1);
    assert!(!station.path("audit").exists());
}

#[test]
fn p08_a_descriptor_is_read_before_the_log_knows_of_a_try() {
    let station = Station::ready();
    let before = station.entries();
    let run = |shell: &str| {
        let mut run = station.command_of("bash", &["-c", shell, COLDROOT], &["plan", "--crl", "root"]);
        Run::of(&mut run)
    };
    for (shell, said) in [
        (r#""$0" --pin-fd 9 "$@""#, "cannot read the PIN from descriptor 9"),
        (r#""$0" --pin-fd 3 "$@" 3< <(true)"#, "is empty"),
        (r#""$0" --pin-fd 3 "$@" 3< <(head -c 300 /dev/zero)"#, "longer than 255"),
    ] {
        run(shell).fails(1, said);
        assert!(station.entries() == before, "{shell}");
    }
    assert!(!before.iter().any(|entry| matches!(entry.body, Body::Failure { .. })));
}
