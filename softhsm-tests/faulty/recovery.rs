//! Recovery, call by call: what is asked again, of whom, how often, and when nobody is asked any more.

use std::process::Stdio;
use std::time::Duration;

use super::harness::faulty::calls;
use super::harness::lanes::side_by_side;
use super::{Base, Body, Day, LATE, MANY, Run, each_of};

/// Signatures that a run asks for when nothing goes wrong.
fn usual_signatures() -> usize {
    let day = Day::of("");
    day.sign().ok();
    day.count("C_SignInit")
}

#[test]
fn p03_what_fails_for_a_moment_is_asked_again_of_the_same_worker() {
    for value in ["0x1", "0x6", "0x50", "0xb1", "0x201"] {
        let day = Day::of(&format!("once C_SignInit:3={value}"));
        let run = day.sign();
        assert!(run.err.contains("asking again in 0.2 s (failure 1 of 3)"), "{run:?}");
        run.ok();
        assert_eq!((day.count("C_Initialize"), day.count("C_Login")), (1, 1), "{value}");
        day.ended();
    }
}

#[test]
fn p03_what_was_signed_before_a_failure_is_not_asked_for_again() {
    let usual = usual_signatures();
    for (script, more) in [("once C_SignInit:5=0x6", 1), ("once C_SignInit:5=0x30", 1)] {
        let day = Day::of(script);
        day.sign().ok();
        // The one that failed, and no other.
        assert_eq!(day.count("C_SignInit"), usual + more, "{script}");
        day.ended();
    }
}

/// A worker that was replaced stands in the log, for those who were not there to read the terminal.
#[test]
fn p03_trouble_that_was_met_is_on_record() {
    let failures = |day: &Day| -> Vec<String> {
        let of = |body| match body {
            Body::Failure { what } => Some(what),
            _ => None,
        };
        day.station.bodies().into_iter().filter_map(of).collect()
    };
    for (script, action) in [
        ("once C_SignInit:4=0x30", "reopened"),
        ("once C_SignInit:4=0x6", "asked-again"),
        // While the token was opened for the login; at the first checkpoint; at the last one.
        ("once C_OpenSession=0x30", "reopened"),
        ("once C_SignInit:1=0x30", "reopened"),
        ("once C_SignInit:7=0x30", "reopened"),
    ] {
        let day = Day::of(script);
        day.sign().ok();
        let told = failures(&day);
        let [what] = told.as_slice() else { panic!("{script}: {told:?}") };
        assert!(what.starts_with("token `main`: ") && what.ends_with(&format!("; {action} (1 time)")), "{what}");
        day.ended();
    }
    let day = Day::of("");
    day.sign().ok();
    assert_eq!(failures(&day), Vec::<String>::new());
}

/// Opening a token asks for no PIN, so it is tried again at any time.
#[test]
fn p03_a_token_that_does_not_open_at_once_is_opened_again() {
    let calls = ["C_Initialize", "C_GetInfo", "C_GetSlotList", "C_OpenSession"];
    side_by_side(MANY, &each_of(&["hang", "crash", "0x30", "0xe0"], &calls), |(fault, call)| {
        let day = Day::of(&format!("once {call}={fault}"));
        let run = day.sign();
        assert!(run.err.contains("starting a new worker in 0.2 s (failure 1 of 3)"), "{call}={fault}: {run:?}");
        run.ok();
        assert_eq!(day.count("C_Login"), 1, "{call}={fault}");
        day.ended();
    });
}

/// It is missing while a new worker looks for it: it was there a moment ago, so that is trouble and no refusal.
#[test]
fn p03_a_token_that_was_pulled_is_waited_for() {
    for (later, said) in [
        ("C_GetSlotList=0xe0", "token `main` failed 3 times in a row: listing the slots: CKR_TOKEN_NOT_PRESENT"),
        ("C_GetTokenInfo=serial:another", "no initialised token has the label"),
    ] {
        let day = Day::of(&format!("once C_SignInit:3=0x32\nlater {later}"));
        day.sign().fails(3, said);
        assert_eq!((day.issued().len(), day.count("C_Login")), (0, 1), "{later}");
        day.mended();
    }
}

/// The login of a new worker has a PIN that was right in this run, so it is safe to try again; each new worker looks at the
/// counters first.
#[test]
fn p08_a_login_that_hangs_while_recovering_is_tried_a_bounded_number_of_times() {
    side_by_side(MANY, &["hang", "crash", "0x30"], |fault| {
        let day = Day::of(&format!("once C_SignInit:3=0xb3\nlater C_Login={fault}"));
        day.sign().fails(3, "token `main` failed 3 times in a row");
        assert_eq!((day.count("C_Login"), day.issued().len()), (3, 0), "{fault}");
        let calls = calls(&day.station);
        let read = calls.iter().filter(|call| *call == "C_GetTokenInfo" || *call == "C_Login").cloned();
        let read: Vec<String> = read.collect();
        for (n, _) in read.iter().enumerate().filter(|(_, call)| *call == "C_Login") {
            assert_eq!(read[n - 1], "C_GetTokenInfo", "a login without a look at the counters: {read:?}");
        }
        day.mended();
    });
}

#[test]
fn p08_no_login_is_tried_where_the_token_has_counted_a_wrong_pin_meanwhile() {
    for (flags, said) in [
        ("0x10000", "its PIN counter is low now"),
        ("0x20000", "one try at its PIN is left"),
        ("0x40000", "its PIN is locked now"),
    ] {
        let day = Day::of(&format!("once C_SignInit:3=crash\nlater C_GetTokenInfo=flags:{flags}"));
        let run = day.sign();
        assert!(run.fails(3, said)["error"].as_str().unwrap().contains("no login is tried"));
        assert_eq!((day.count("C_Login"), day.issued().len()), (1, 0), "{flags}");
        day.mended();
    }
    // A counter that was low before, and confirmed then, says nothing new.
    let day = Day::of("once C_SignInit:3=crash\nC_GetTokenInfo=flags:0x10000");
    day.sign().ok();
    day.ended();
}

/// After a login without an answer the person who decides about the next try is told what the token's counters say.
#[test]
fn p08_a_first_login_without_an_answer_tells_what_the_counters_say() {
    for (later, said) in [
        ("", "the token's PIN counter is not low"),
        ("later C_GetTokenInfo=flags:0x10000", "the token's PIN counter is low"),
        ("later C_GetTokenInfo=flags:0x20000", "the token says that one try is left"),
        ("later C_GetTokenInfo=flags:0x40000", "the PIN is locked now"),
        ("later C_Initialize=0x30", "the token's PIN counter cannot be read"),
    ] {
        let day = Day::of(&format!("C_Login=crash\n{later}"));
        day.sign().fails(3, said);
        assert_eq!((day.count("C_Login"), day.count("C_SignInit")), (1, 0), "{said}");
        day.mended();
    }
}

#[test]
fn a_token_that_cannot_be_written_halts_at_once() {
    for (value, name) in [("0xe2", "CKR_TOKEN_WRITE_PROTECTED"), ("0x1b6", "CKR_FIPS_SELF_TEST_FAILED")] {
        let day = Day::of(&format!("C_CreateObject={value}"));
        day.sign().fails(3, name);
        assert_eq!((day.count("C_Initialize"), day.count("C_CreateObject"), day.issued().len()), (1, 1, 0), "{name}");
        day.mended();
    }
}

/// The bound counts failures in a row, not those of the whole run; and a question that no worker survives becomes smaller.
#[test]
fn p03_a_long_batch_goes_on_through_any_number_of_single_failures() {
    for (rule, batch) in [("C_SignInit:every:10=crash", 60), ("C_SignInit:every:5=0x30", 60)] {
        let base = Base::new("retries = 5", batch);
        let day = Day::on(base, rule);
        day.sign().ok();
        assert!(day.count("C_Initialize") > 5, "{rule}");
        day.ended_of(batch);
    }
}

/// Deadlines are one for each kind: the rest keeps its own.
#[test]
fn a_hang_costs_the_deadline_of_its_kind() {
    let base = Base::new("retries = 2\ndeadlines = { sign = 12, sign-each-ms = 0, data = 14 }", 3);
    let day = Day::on(base, "once C_SignInit:3=hang\nonce C_FindObjectsInit:1=hang");
    let run = day.sign();
    for said in [LATE, "did not answer within 14 s"] {
        assert!(run.err.contains(said), "{run:?}");
    }
    run.ok();
    day.ended();
}

/// Several processes sign for one token, each with a login of its own.
#[test]
fn p03_processes_of_one_token_share_a_batch() {
    let base = Base::new("retries = 2\nprocesses = 3", 40);
    let day = Day::on(base, "");
    day.sign().ok();
    assert_eq!((day.count("C_Initialize"), day.count("C_Login"), day.count("C_Finalize")), (3, 3, 3));
    day.ended_of(40);
}

#[test]
fn p03_a_process_that_dies_for_good_is_left_out_and_the_others_end_the_batch() {
    let base = Base::new("retries = 0\nprocesses = 2", 40);
    // Without retries. Both sessions of the first process stop at their first item, so that it does not do everything itself.
    let day = Day::on(base, "C_SignInit:3-4=wait:crashed\nlater C_SignInit=crash");
    let mut sign = day.station.command(&day.station.sign_args(&day.plan, &day.approvals));
    let mut sign = sign.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The checkpoints of the login and the start, and one of three calls more than those that wait.
    while day.count("C_SignInit") < 5 {
        assert!(sign.try_wait().unwrap().is_none(), "it ended before a process died");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::write(day.station.path("faulty/crashed"), "").unwrap();
    let output = sign.wait_with_output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    let run = Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
    assert!(run.err.contains("token `main` is left out from here on, the others go on"), "{run:?}");
    run.ok();
    day.ended_of(40);
}
