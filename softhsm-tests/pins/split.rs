//! A PIN in shares: made, typed back, set, and joined again at the login; and what every stop in between leaves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::Command;

use coldroot::audit::entry::{Body, PinSplit};
use coldroot::secret::Secret;
use coldroot::text::{hex, words};
use coldroot::token::ask::{Answer, Ask, Class};
use coldroot::token::client::Worker;

use crate::harness::faulty::{calls, count, hierarchy as faulty_hierarchy, mend, play};
use crate::harness::station::{COLDROOT, HIERARCHY, PIN, Run, Station};
use crate::harness::terminal::OnTerminal;
use crate::harness::{files, softhsm};

const SPLIT: [&str; 7] = ["token", "split-pin", "main", "--shares", "5", "--threshold", "3"];

fn in_shares(hierarchy: &str) -> String {
    hierarchy.replace("pin-file = \"pin.txt\"\nso-", "pin-file = \"pin.txt\"\npin = \"shares\"\nso-")
}

/// A station with a root, whose token's PIN may be split.
fn ready() -> Station {
    Station::ready_of(in_shares(&faulty_hierarchy("")))
}

/// A split whose shares are typed back by `echo`, a shell filter from standard input to standard output. The shares as they were
/// shown lie in `shares.txt` of the station.
fn split_by(station: &Station, args: &[&str], echo: &str) -> Run {
    let path = station.path("loop");
    if !path.exists() {
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    }
    assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
    let _ = fs::remove_file(station.path("shares.txt"));
    // Opened for both directions, the pipe has no end: what is written comes back.
    let shell = format!(
        r#""$0" --shares-fd 3 "$@" --shares-to 4 3<>loop 4> >(tee shares.txt | {echo} > loop); code=$?; wait $!; exit $code"#
    );
    Run::of(&mut station.command_of("bash", &["-c", &shell, COLDROOT], args))
}

fn split(station: &Station) -> Run {
    split_by(station, &SPLIT, "cat")
}

/// The shares of the last split, as they were shown.
fn shown(station: &Station) -> Vec<String> {
    fs::read_to_string(station.path("shares.txt")).unwrap().lines().map(str::to_owned).collect()
}

/// An act that wants a login: the arguments of `sign` for a CRL that was planned and approved.
fn act(station: &Station) -> Vec<String> {
    let plan = station.planned_by(&["--crl", "root"]);
    let approvals = station.approve(&plan);
    station.sign_args(&plan, &approvals).into_iter().map(str::to_owned).collect()
}

fn run(station: &Station, act: &[String]) -> Run {
    station.run(&act.iter().map(String::as_str).collect::<Vec<_>>())
}

fn run_on_terminal(station: &Station, act: &[String]) -> OnTerminal {
    OnTerminal::start(&station.command(&act.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn run_in_shell(station: &Station, shell: &str, act: &[String]) -> Run {
    let act: Vec<&str> = act.iter().map(String::as_str).collect();
    Run::of(&mut station.command_of("bash", &["-c", shell, COLDROOT], &act))
}

/// Logs in with these shares.
fn log_in(station: &Station, act: &[String], shares: &[&str]) -> Run {
    fs::write(station.path("typed.txt"), shares.iter().map(|share| format!("{share}\n")).collect::<String>()).unwrap();
    run_in_shell(station, r#""$0" --shares-fd 3 "$@" 3< typed.txt"#, act)
}

fn splits(station: &Station) -> Vec<PinSplit> {
    station
        .bodies()
        .into_iter()
        .filter_map(|body| if let Body::PinSplit(split) = body { Some(split) } else { None })
        .collect()
}

/// What became of each split, as far as anybody knows.
fn outcomes(station: &Station) -> Vec<bool> {
    let outcome = |body| if let Body::PinSplitDone { new_pin, .. } = body { Some(new_pin) } else { None };
    station.bodies().into_iter().filter_map(outcome).collect()
}

/// Whether SoftHSM itself takes this PIN.
fn opens(station: &Station, pin: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("softhsm2.conf");
    let store = station.path("token");
    let text = format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", store.display());
    fs::write(&conf, text).unwrap();
    let env = BTreeMap::from([("SOFTHSM2_CONF".to_owned(), conf.to_str().unwrap().to_owned())]);
    let mut worker = Worker::start(Path::new(COLDROOT), &["worker"], &env).unwrap();
    let hierarchy = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let serial =
        hierarchy.lines().find_map(|line| line.strip_prefix("serial = ")).unwrap().trim_matches('"').to_owned();
    let ask = Ask::Open {
        module: softhsm().into(),
        init_args: None,
        label: "road".into(),
        serial,
        slot: None,
        sessions: 1,
        keep_pin: false,
    };
    assert!(matches!(worker.ask(&ask).unwrap(), Answer::Opened(_)));
    match worker.login(&Secret::new(pin.as_bytes().to_vec())).unwrap() {
        Answer::LoggedIn => true,
        Answer::Failed(failure) => {
            assert_eq!(failure.class, Class::Pin, "{}", failure.what);
            false
        }
        _ => panic!(),
    }
}

/// The other word of a place that follows this one in the list.
fn next_word(place: usize, word: &str) -> &'static str {
    words::word(place, words::octet(place, word).unwrap().wrapping_add(1))
}

#[test]
fn p08_a_pin_in_three_of_five_shares_opens_the_token_with_any_three() {
    let station = ready();
    let people = ["alice", "bob", "carol", "dave"];
    let mut args = ["token", "split-pin", "main", "--shares", "4", "--threshold", "3"].to_vec();
    people.iter().for_each(|person| args.extend(["--custodian", person]));
    // With names, and then once more without them: what was in shares is put into others.
    let four = split_by(&station, &args, "cat").ok();
    assert_eq!((&four["threshold"], &four["shares"][1]["custodian"]), (&3.into(), &"bob".into()));
    let old = shown(&station);
    assert_eq!(old.len(), 4);
    assert!(!opens(&station, PIN), "the PIN from before opens nothing any more");
    let first = &splits(&station)[0];
    assert_eq!(first.shares.iter().map(|s| s.custodian.clone().unwrap()).collect::<Vec<_>>(), people);
    log_in(&station, &act(&station), &[&old[3], &old[0], &old[1]]).ok();

    fs::write(station.path("typed.txt"), old[..3].join("\n") + "\n").unwrap();
    let shell = r#"cat typed.txt > loop & "$0" --shares-fd 3 "$@" --shares-to 4 3<>loop 4> >(tee shares.txt > loop); code=$?; wait; exit $code"#;
    Run::of(&mut station.command_of("bash", &["-c", shell, COLDROOT], &SPLIT)).ok();
    let five = shown(&station);
    assert_eq!(five.len(), 5);
    play(&station, "");
    for (n, choice) in [[0, 1, 2], [2, 4, 0], [4, 3, 1]].iter().enumerate() {
        log_in(&station, &act(&station), &choice.map(|n| five[n].as_str())).ok();
        assert_eq!(count(&station, "C_Login"), n + 1);
    }
    mend(&station);
    // Neither a file nor a pipe brings the PIN any more; without shares nobody is asked.
    let act = act(&station);
    run(&station, &act).fails(1, "cannot ask for the shares");
    let given = run_in_shell(&station, r#""$0" --pin-fd 3 "$@" 3< <(echo 1234)"#, &act);
    given.fails(1, "is in shares, and --pin-fd brings one");
    assert_eq!(outcomes(&station), [true, true]);
    station.check_log();
    // The shares are nowhere on record; their digests are.
    let on_record = splits(&station);
    assert_eq!((on_record.len(), on_record[1].shares.len(), on_record[1].threshold), (2, 5, 3));
    for file in files(&station.path("audit")) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        for share in old.iter().chain(&five) {
            assert!(!text.contains(&share[..40]), "{}", file.display());
        }
    }
}

#[test]
fn p08_shares_that_do_not_belong_are_refused_by_name_and_nothing_is_tried() {
    let station = ready();
    split(&station).ok();
    let old = shown(&station);
    let old_set = hex(&splits(&station)[0].set);
    fs::write(station.path("typed.txt"), old[..3].join("\n") + "\n").unwrap();
    let shell = r#"cat typed.txt > loop & "$0" --shares-fd 3 "$@" --shares-to 4 3<>loop 4> >(tee shares.txt > loop); code=$?; wait; exit $code"#;
    Run::of(&mut station.command_of("bash", &["-c", shell, COLDROOT], &SPLIT)).ok();
    let five = shown(&station);
    let set = hex(&splits(&station)[1].set);
    let with = |n: usize, place: usize, word: &str| {
        let mut words: Vec<&str> = five[n].split(' ').collect();
        words[place] = word;
        words.join(" ")
    };
    let twelfth = five[1].split(' ').nth(11).unwrap();
    let (unknown, other) = (with(1, 11, "twelfth"), with(1, 11, next_word(11, twelfth)));
    let short = five[1].rsplit_once(' ').unwrap().0.to_owned();
    let cases: [(&[&str], String); 8] = [
        (&[&five[0], &five[1]], "brings no further share".into()),
        (&[], "brings no further share".into()),
        (&[&five[0], &unknown, &five[2]], "word 12 is not in the list".into()),
        (&[&five[0], &other, &five[2]], "word 12 does not fit the others: it is mistyped".into()),
        (&[&five[0], &short, &five[2]], "a share has 24 words, not 23".into()),
        (&[&five[0], &old[1], &five[2]], format!("this is share 2 of set {old_set}, and the PIN is in set {set}")),
        (&[&five[0], &five[1], &five[1]], "share 2 was typed already".into()),
        (&[&old[0], &old[1], &old[2]], format!("this is share 1 of set {old_set}, and the PIN is in set {set}")),
    ];
    let act = act(&station);
    play(&station, "");
    for (shares, said) in &cases {
        log_in(&station, &act, shares).fails(1, said);
    }
    assert_eq!(count(&station, "C_Login"), 0, "{:?}", calls(&station));
    log_in(&station, &act, &[&five[4], &five[1], &five[2]]).ok();
    assert_eq!(count(&station, "C_Login"), 1);
    mend(&station);
    station.check_log();
}

#[test]
fn p08_what_cannot_be_split_is_refused_before_anything_happens() {
    let plain = Station::ready_of(faulty_hierarchy(""));
    let before = plain.entries();
    plain.run(&SPLIT).fails(1, "does not say that the PIN of token `main` is in shares");
    assert!(plain.entries() == before);

    let bare = Station::bare_of(in_shares(HIERARCHY));
    bare.run(&SPLIT).fails(1, "this station has no log yet");
    assert!(!bare.path("audit").exists());

    let station = ready();
    let before = station.entries();
    let refused = |args: &[&str], said: &str| {
        let args: Vec<&str> = SPLIT[..3].iter().chain(args).copied().collect();
        station.run(&args).fails(2, said);
        assert!(station.entries() == before, "{args:?}");
    };
    play(&station, "");
    refused(&["--shares", "1", "--threshold", "1"], "no quorum");
    refused(&["--shares", "3", "--threshold", "1"], "no quorum");
    refused(&["--shares", "3", "--threshold", "4"], "no quorum");
    refused(&["--shares", "17", "--threshold", "3"], "no quorum");
    refused(&["--shares", "2", "--threshold", "2", "--custodian", "alice"], "different custodians");
    refused(
        &["--shares", "2", "--threshold", "2", "--custodian", "alice", "--custodian", "alice"],
        "different custodians",
    );
    refused(&["--shares", "2", "--threshold", "2", "--custodian", "alice", "--custodian", "zoe"], "no person `zoe`");
    refused(&["--shares", "2", "--threshold", "2", "--shares-to", "4"], "--shares-to needs --shares-fd");
    assert_eq!(count(&station, "C_Login"), 0);
    // Without a terminal there is nobody to show a share to: the token keeps its PIN.
    station.run(&SPLIT).fails(1, "cannot ask for the shares");
    assert_eq!((count(&station, "C_SetPIN"), outcomes(&station)), (0, vec![false]));
    assert!(opens(&station, PIN));
}

/// What stops it and by what, the exit code and what is said, whether the token has the new PIN then, and what the log knows at once.
type Stop = (&'static str, &'static str, i32, &'static str, bool, &'static [bool]);

#[test]
fn p08_no_stop_leaves_a_token_whose_pin_nobody_has() {
    let made = ready();
    let stops: [Stop; 9] = [
        ("typed back wrong", "sed -u 's/^[^ ]*/x/'", 1, "word 1 is not in the list", false, &[false]),
        ("another share typed back", "sed -u '1h;2g'", 1, "this is not share 2, which was just shown", false, &[false]),
        ("the token says no", "C_SetPIN=0xa1", 1, "CKR_PIN_INVALID", false, &[false]),
        ("the module crashes before", "C_SetPIN=crash", 3, "does not answer", false, &[]),
        ("the module crashes behind it", "C_SetPIN=after:crash", 3, "does not answer", true, &[]),
        ("the answer is lost", "C_SetPIN=after:0x30", 3, "CKR_DEVICE_ERROR", true, &[]),
        ("everything is killed before", "C_SetPIN=kill:all", -1, "", false, &[]),
        ("everything is killed behind it", "C_SetPIN=after:kill:all", -1, "", true, &[]),
        ("the new PIN does not open it", "later C_Login=0xa0", 3, "does not open with it", true, &[]),
    ];
    for (what, stop, code, said, new_pin, known) in stops {
        let station = made.copy();
        let (echo, script) = if stop.starts_with("sed") { (stop, "") } else { ("cat", stop) };
        play(&station, script);
        let stopped = split_by(&station, &SPLIT, echo);
        match code {
            // bash says 128 and the signal's number.
            -1 => assert_eq!(stopped.code, 137, "{what}: {stopped:?}"),
            _ => drop(stopped.fails(code, said)),
        }
        let tried = usize::from(script.contains("C_SetPIN") || script.contains("C_Login"));
        assert_eq!(count(&station, "C_SetPIN"), tried, "{what}");
        mend(&station);
        assert_eq!(splits(&station).len(), 1, "{what}: recorded before anybody saw a share");
        assert_eq!(outcomes(&station), known, "{what}");
        assert_eq!(opens(&station, PIN), !new_pin, "{what}");
        // The PIN that the token has is in somebody's hands, and the next login settles which one it is.
        let shares = shown(&station);
        match new_pin {
            true => log_in(&station, &act(&station), &[&shares[1], &shares[2], &shares[3]]).ok(),
            false => run(&station, &act(&station)).ok(),
        };
        assert_eq!(outcomes(&station), [new_pin], "{what}");
        station.check_log();
        // And it can be done again.
        if !new_pin {
            split(&station).ok();
            assert!(!opens(&station, PIN));
            let again = shown(&station);
            log_in(&station, &act(&station), &[&again[0], &again[1], &again[4]]).ok();
            assert_eq!(outcomes(&station), [false, true], "{what}");
        }
    }
}

#[test]
fn p08_in_doubt_the_wrong_pin_costs_one_try_and_the_right_one_is_found() {
    let station = ready();
    play(&station, "C_SetPIN=crash");
    split(&station).fails(3, "does not answer");
    mend(&station);
    let shares = shown(&station);
    // The shares of a PIN that was not set: one try, refused; then the one from before.
    let planned = act(&station);
    log_in(&station, &planned, &[&shares[0], &shares[1], &shares[2]]).fails(1, "CKR_PIN_INCORRECT");
    assert!(outcomes(&station).is_empty());
    run(&station, &planned).ok();
    assert_eq!(outcomes(&station), [false]);
    // From now on those shares belong nowhere, and are not asked for.
    run(&station, &act(&station)).ok();
    station.check_log();
}

// On a real terminal

/// The words on the screen, and which share they are, from the text between the head of a share and its end.
fn on_screen(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let words: Vec<&str> = words.chunks(2).map(|pair| pair[1]).collect();
    assert_eq!(words.len(), 24, "{text}");
    words.join(" ")
}

fn lines_of(share: &str) -> Vec<String> {
    let words: Vec<&str> = share.split(' ').collect();
    words.chunks(6).map(|line| line.join(" ")).collect()
}

/// The second line of a share with another ninth word.
fn with_ninth(line: &str, word: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    words[2] = word;
    words.join(" ")
}

fn type_share(terminal: &mut OnTerminal, share: &str) {
    for line in lines_of(share) {
        terminal.expect(": ");
        terminal.line(&line);
    }
}

#[test]
fn p08_custodians_see_their_shares_one_by_one_and_type_them_at_the_terminal() {
    let station = ready();
    play(&station, "");
    let args = [&SPLIT[..3], &["--shares", "3", "--threshold", "2"]].concat();
    let named = [&args[..], &["--custodian", "alice", "--custodian", "bob", "--custodian", "carol"]].concat();
    let mut terminal = OnTerminal::start(&station.command(&named));
    let mut shares = Vec::new();
    for (number, person) in [(1, "alice"), (2, "bob"), (3, "carol")] {
        let show = |terminal: &mut OnTerminal| {
            // A screen of its own, empty, scrollback included.
            terminal.expect("\x1b[?1049h\x1b[H\x1b[2J\x1b[3J");
            let head = terminal.expect("words:\r\n\r\n");
            assert!(head.contains(&format!("share {number} ({person}) of 3")), "{head}");
            assert!(head.contains("Any 2 shares open the token"), "{head}");
            assert!(head.lines().all(|line| line.trim().len() <= 80), "{head}");
            let share = on_screen(&terminal.expect("\r\nEnter clears"));
            terminal.expect(": ");
            terminal.line("");
            terminal.expect("\x1b[H\x1b[2J\x1b[3J\x1b[?1049l");
            share
        };
        let share = show(&mut terminal);
        if number == 2 {
            // Once more; then another custodian's, a line with a word of no list, and one with another word of the list.
            terminal.expect("words 1 to 6: ");
            terminal.line("again");
            assert_eq!(show(&mut terminal), share);
            let first: &String = &shares[0];
            type_share(&mut terminal, first);
            terminal.expect("this is not share 2 (bob), which was just shown");
            let lines = lines_of(&share);
            terminal.expect("words 1 to 6: ");
            terminal.line(&lines[0]);
            terminal.expect("words 7 to 12: ");
            terminal.line(&with_ninth(&lines[1], "nineth"));
            terminal.expect("word 9 is not in the list");
            terminal.expect("words 7 to 12: ");
            let ninth = lines[1].split(' ').nth(2).unwrap();
            terminal.line(&with_ninth(&lines[1], next_word(8, ninth)));
            for line in &lines[2..] {
                terminal.expect(": ");
                terminal.line(line);
            }
            terminal.expect("Word 9 alone: ");
            terminal.line(ninth);
        } else {
            type_share(&mut terminal, &share);
        }
        shares.push(share);
    }
    terminal.expect("All 3 shares were typed back");
    let run = terminal.end();
    assert!(terminal.echoes());
    for share in &shares {
        let (out, err) = (&run.out, &run.err);
        assert!(!out.contains(&share[..30]) && !err.contains(&share[..30]));
    }
    run.ok();
    assert_eq!((count(&station, "C_SetPIN"), outcomes(&station)), (1, vec![true]));
    assert!(!opens(&station, PIN));

    // The login asks for them, and says of each what it is.
    let logins = count(&station, "C_Login");
    let mut login = run_on_terminal(&station, &act(&station));
    login.expect("Share, the 1.");
    type_share(&mut login, &shares[2]);
    login.expect("share 3 (carol) is right");
    login.expect("Share, the 2. of 2");
    type_share(&mut login, &shares[2]);
    login.expect("share 3 (carol) was typed already");
    type_share(&mut login, &shares[0]);
    login.expect("share 1 (alice) is right");
    login.end().ok();
    assert_eq!(count(&station, "C_Login"), logins + 1);
    for word in shares[0].split(' ').take(3) {
        assert!(!login.shown().contains(word), "{word} was shown");
    }
    // Given up between two shares: nothing is tried.
    let mut given_up = run_on_terminal(&station, &act(&station));
    given_up.expect("Share, the 1.");
    type_share(&mut given_up, &shares[2]);
    given_up.expect("is right");
    given_up.keys("\x03");
    given_up.end().fails(1, "was not typed");
    assert!(given_up.echoes());
    assert_eq!(count(&station, "C_Login"), logins + 1);
    mend(&station);
    station.check_log();
}

#[test]
fn p08_a_split_given_up_at_the_terminal_keeps_the_pin_and_clears_the_screen() {
    let station = ready();
    play(&station, "");
    let mut terminal = OnTerminal::start(&station.command(&SPLIT));
    terminal.expect("words:\r\n\r\n");
    terminal.expect("Enter clears");
    terminal.keys("\x03");
    terminal.expect("\x1b[H\x1b[2J\x1b[3J\x1b[?1049l");
    terminal.end().fails(1, "was not typed");
    assert!(terminal.echoes());
    assert_eq!((count(&station, "C_SetPIN"), outcomes(&station)), (0, vec![false]));
    mend(&station);
    assert!(opens(&station, PIN));
    station.check_log();
}

#[test]
fn p08_in_doubt_a_pipe_brings_the_pin_from_before() {
    let station = ready();
    play(&station, "C_SetPIN=crash");
    split(&station).fails(3, "does not answer");
    mend(&station);
    let planned = act(&station);
    // The rehearsal's file would be read without a question; a pipe brings the PIN from before as well.
    fs::write(station.path("pin.txt"), "\n").unwrap();
    run(&station, &planned).fails(1, "is empty");
    assert!(outcomes(&station).is_empty());
    run_in_shell(&station, &format!(r#""$0" --pin-fd 3 "$@" 3< <(echo {PIN})"#), &planned).ok();
    assert_eq!(outcomes(&station), [false]);
}
