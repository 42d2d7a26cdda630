//! Linters as programs: those that hang, misbehave, are absent or are others than declared, and what they can reach.

use std::fs;
use std::net::TcpListener;

use coldroot::digest::Digest;

use crate::external::{GOOD, Linter, head, statement};
use crate::harness::script;
use crate::harness::station::{Run, Station};

/// Nothing here depends on how long a second takes: what is asked never answers.
#[test]
fn a_linter_that_hangs_is_ended_with_all_that_it_has_started() {
    let linter = Linter::new(GOOD);
    let hierarchy = linter.declared("profiles = [\"xmpp-server\"]").replace("seconds = 300", "seconds = 1");
    let station = Station::ready_of(hierarchy);
    let bundle = station.bundle(2, 1);
    for body in
        ["sleep 600", "(sleep 600) & exit 0", "exec >&- 2>&-; sleep 600", "trap '' TERM HUP; while :; do :; done"]
    {
        linter.write(body);
        let before = station.state();
        station.plan(&bundle).fails(1, "gives no answer: it did not end within 1 s and was killed");
        station.only_read_in(&before, &bundle);
    }
}

/// Each is a linter that gives no answer: nothing is planned that holds certificates.
#[test]
fn a_linter_that_does_not_answer_refuses_the_plan_and_stops_no_crl() {
    let linter = Linter::new(GOOD);
    let lists = linter.path().with_file_name("lists.sh");
    let crls = format!(
        "\n[[linter]]\nid = \"lists\"\nform = \"zlint\"\njudges = \"crls\"\nprogram = \"{}\"\nseconds = 300\n",
        lists.display()
    );
    script(&lists, "#!/bin/sh\nprintf '{\"e_a\": {\"result\": \"pass\"}}'\n");
    let station = Station::ready_of(linter.declared(&crls));
    let bundle = station.bundle(2, 1);
    for (body, saying) in [
        ("exec head -c 20000000 /dev/zero > \"$HOME/big\"", "it crashed"),
        ("exec yes", "printed more than"),
        ("echo all is well", "no output of its form (line 1 column 1: no JSON)"),
        (
            "echo '{\"results\": [{\"finding_descriptions\": [{\"severity\": \"GOOD\", \"code\": \"a\"}]}]}'",
            "of a level that this form does not know",
        ),
        ("exit 1", "ends too soon"),
        ("echo \"\u{1b}[2Jgood\" >&2", "it says \\u{1b}[2Jgood"),
    ] {
        linter.write(body);
        let before = station.state();
        station.plan(&bundle).fails(1, saying);
        station.only_read_in(&before, &bundle);
    }
    fs::remove_file(linter.path()).unwrap();
    let said = Run::of(&mut station.command(&["check", "hierarchy.toml"])).out;
    assert!(said.contains("linter `script`") && said.contains("is not on this machine"), "{said}");
    let doctor = Run::of(&mut station.command(&["doctor"])).out;
    assert!(doctor.contains("linter `script`") && doctor.contains("is not on this machine"), "{doctor}");
    let before = station.state();
    station.plan(&bundle).fails(1, "is missing or cannot be read");
    station.only_read_in(&before, &bundle);

    // An emergency: the linter of CRLs has gone too.
    fs::remove_file(&lists).unwrap();
    let plan = station.planned_by(&["--crl", "xmpp-1"]);
    let lints = head(&station, &plan)["lints"].clone();
    assert!(lints[0]["not-linted"].as_str().unwrap().contains("is missing"), "{lints}");
    assert!(statement(&station, &plan).contains("lint         lists 0 linted"), "{}", statement(&station, &plan));
    assert!(statement(&station, &plan).contains("the rest not linted: the program"), "{}", statement(&station, &plan));
    station.carried_out(&plan);
    // One that is there, and finds an error, is heard.
    script(&lists, "#!/bin/sh\nprintf '{\"e_a\": {\"result\": \"error\", \"details\": \"x\"}}'\n");
    let before = station.state();
    station
        .run(&["plan", "--crl", "xmpp-1"])
        .fails(1, "check `lint` failed: the linter `lists` finds the error `e_a`: x");
    assert!(station.state() == before, "something was left behind");
    station.check_log();
}

/// Where a plan has certificates no linter may be absent, whatever stands first in it.
#[test]
fn an_absent_linter_of_crls_refuses_a_plan_with_certificates_in_any_order() {
    let linter = Linter::new(GOOD);
    let lists = linter.path().with_file_name("lists.sh");
    let more = format!(
        "\n[[linter]]\nid = \"lists\"\nform = \"zlint\"\njudges = \"crls\"\nprogram = \"{}\"\nseconds = 300\n",
        lists.display()
    );
    script(&lists, "#!/bin/sh\nprintf '{\"e_a\": {\"result\": \"pass\"}}'\n");
    let second = "[[key]]\nid = \"second-key\"\ntoken = \"main\"\nlabel = \"second\"\nalgorithm = \"ecdsa-p256\"\nbackup = \"none\"\n\n\
                  [[ca]]\nid = \"second\"\nkey = \"second-key\"\nissuer = \"root\"\nprofile = \"intermediate\"\n\
                  subject = [{ O = \"REHEARSAL\" }, { CN = \"Second\" }]\ndays = 365\ncrl-days = 10\n\n[[profile]]\n";
    let station = Station::ready_of(linter.declared(&more).replacen("[[profile]]\n", second, 1));
    fs::remove_file(&lists).unwrap();
    let acts = ["[[act]]\nkind = \"crl\"\nca = \"root\"\n", "[[act]]\nkind = \"intermediate\"\nca = \"second\"\n"];
    for [first, last] in [acts, [acts[1], acts[0]]] {
        let text = format!(
            "format = \"coldroot-ceremony-v0\"\ntitle = \"Second\"\n\n[[act]]\nkind = \"generate-key\"\nkey = \"second-key\"\n\n{first}\n{last}"
        );
        fs::write(station.path("second.toml"), text).unwrap();
        let before = station.state();
        let saying = "the linter `lists` gives no answer: the program";
        station.run(&["plan", "--ceremony", "second.toml"]).fails(1, saying);
        assert!(station.state() == before, "something was left behind");
    }
}

#[test]
fn another_program_than_declared_is_not_started() {
    let linter = Linter::new(GOOD);
    let station = linter.station(&format!("sha256 = \"{}\"", Digest::of(&fs::read(linter.path()).unwrap()).hex()));
    let bundle = station.bundle(1, 1);
    linter.write(&format!("{GOOD} # changed"));
    let before = station.state();
    station.plan(&bundle).fails(1, "is another than declared");
    station.only_read_in(&before, &bundle);
    linter.write(GOOD);
    station.planned(&bundle);
}

/// What it tries to reach is out of reach; each success would be a finding.
#[test]
fn p08_a_linter_reaches_neither_the_station_nor_the_network() {
    let linter = Linter::new(GOOD);
    let station = linter.station("");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let beside = linter.path().with_file_name("beside");
    let dir = station.dir().canonicalize().unwrap();
    let tries = [
        ("station-read", format!("cat '{}/hierarchy.toml'", dir.display())),
        ("station-listed", format!("ls '{}/audit'", dir.display())),
        ("station-written", format!("echo x > '{}/in/x'", dir.display())),
        ("written-beside", format!("echo x > '{}'", beside.display())),
        ("passwords-read", "cat /etc/passwd".into()),
        ("processes-seen", "cat /proc/1/status".into()),
        ("network", format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'")),
        ("session-left", "setsid -f true && setsid true".into()),
        (
            "environment",
            "env | grep -v -e '^HOME=' -e '^TMPDIR=' -e '^LANG=' -e '^PWD=' -e '^OLDPWD=' -e '^SHLVL=' -e '^_='".into(),
        ),
        ("input", "test -n \"$(cat)\"".into()),
        // And what it may: its own directory, which is the control of this test.
        ("own-directory", "cp \"$2\" \"$HOME/copy\" && cmp \"$2\" \"$HOME/copy\"".into()),
    ];
    let mut body = String::from("first=1; printf '{\"results\": [{\"finding_descriptions\": ['\n");
    for (name, does) in tries {
        body += &format!(
            "if ({does}) >/dev/null 2>&1; then [ $first = 1 ] || printf ','; first=0; printf '{{\"severity\": \"WARNING\", \"code\": \"{name}\"}}'; fi\n"
        );
    }
    linter.write(&format!("{body}printf ']}}]}}'"));
    let plan = station.planned(&station.bundle(1, 1));
    let found = head(&station, &plan)["lints"][0]["found"].clone();
    let names: Vec<&str> = found.as_array().unwrap().iter().map(|f| f["finding"].as_str().unwrap()).collect();
    assert_eq!(names, ["own-directory"]);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody connected");
    assert!(!beside.exists() && !dir.join("in/x").exists());
}
