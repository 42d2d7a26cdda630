//! Who may approve, operate and watch: each test on a whole station. A refusal records nothing, leaves nothing, and no token is
//! asked for anything: a login would stand in the log.

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::text::utc;
use harness::fido::{Fido, TOUCHED, VERIFIED};
use harness::station::{HIERARCHY, Run, Station, now, pair};

const NAMESPACE: &str = coldroot::plan::NAMESPACE;
const DAY: i64 = 86_400;

/// A refused run: its message, its next step, and a station that is as it was.
#[track_caller]
fn refused(station: &Station, run: impl FnOnce() -> Run, code: i32, saying: &str, next: &str) {
    let before = station.state();
    let json = run().fails(code, saying);
    let hint = json["hint"].as_str().unwrap();
    assert!(hint.contains(next), "`{hint}` does not say `{next}`");
    assert!(station.state() == before, "refused ({saying}), and something was left behind");
}

fn with_people(more: &str) -> String {
    HIERARCHY.replace("@PEOPLE@", &format!("@PEOPLE@{more}"))
}

fn person(id: &str, role: &str, keys: &[String], more: &str) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    format!("\n[[person]]\nid = \"{id}\"\nname = \"{id}\"\nroles = [{role:?}]\nkeys = [{}]\n{more}\n", keys.join(", "))
}

fn statement(station: &Station, plan: &Path) -> String {
    fs::read_to_string(station.dir().join(plan).with_extension("statement")).unwrap()
}

/// Puts a signature into a file that `--approval` can name.
fn file(station: &Station, name: &str, armored: &str) -> PathBuf {
    let path = station.path(name);
    fs::write(&path, armored).unwrap();
    path
}

/// The same signature by the stock tool and a key of the test's own.
fn signed(station: &Station, plan: &Path, name: &str, key: &Path) -> PathBuf {
    let text = station.path(&format!("{name}.txt"));
    fs::write(&text, statement(station, plan)).unwrap();
    let sign =
        Run::of(Command::new("ssh-keygen").args(["-Y", "sign", "-q", "-n", NAMESPACE, "-f"]).arg(key).arg(&text));
    assert_eq!(sign.code, 0, "{sign:?}");
    text.with_extension("txt.sig")
}

fn sign_at(station: &Station, plan: &Path, approvals: &[PathBuf], time: i64) -> Run {
    let (mut args, time) = (station.sign_args(plan, approvals), utc(time));
    args.extend(["--now", &time]);
    station.run(&args)
}

fn plan_at(station: &Station, bundle: &Path, time: i64) -> PathBuf {
    let plan = station.run(&["plan", "--bundle", bundle.to_str().unwrap(), "--now", &utc(time)]).ok();
    PathBuf::from(plan["plan"].as_str().unwrap())
}

#[test]
fn p01_a_person_counts_once_whatever_the_number_of_keys_and_strangers_never() {
    let keys = tempfile::tempdir().unwrap();
    let (second, second_key) = pair(keys.path(), "second");
    let (_, stranger) = pair(keys.path(), "stranger");
    let erin = person("erin", "officer", &["@KEY alice@".into(), second], "");
    // Erin has alice's place in the roster: two keys, one person.
    let roster = ["bob", "carol", "dave"].map(|id| {
        let role = match id {
            "bob" => "officer",
            "carol" => "operator",
            _ => "witness",
        };
        person(id, role, &[format!("@KEY {id}@")], "")
    });
    let station = Station::ready_of(HIERARCHY.replace("@PEOPLE@", &format!("{erin}{}", roster.concat())));
    let plan = station.planned(&station.bundle(2, 1));
    let first = station.approve_as(&plan, "erin", "alice");
    let again = signed(&station, &plan, "erin-second", &second_key);
    let sign = |approvals: &[&PathBuf]| {
        let approvals: Vec<PathBuf> = approvals.iter().map(|path| (*path).clone()).collect();
        station.sign(&plan, &approvals)
    };
    let unmet = "2 of role officer must approve; given: erin; could still: bob";
    refused(&station, || sign(&[&first, &again]), 1, unmet, "coldroot approve");
    let stranger = signed(&station, &plan, "stranger", &stranger);
    let unknown = "is not in the roster";
    refused(&station, || sign(&[&first, &stranger]), 1, unknown, "roster");
    let bob = station.approve_as(&plan, "bob", "bob");
    // One signature that is nobody's is a reason to stop and look, even beside enough good ones.
    refused(&station, || sign(&[&first, &bob, &stranger]), 1, unknown, "roster");
    sign(&[&again, &bob]).ok();
    station.check_log();
}

#[test]
fn p01_a_key_on_two_persons_is_no_hierarchy() {
    let station = Station::bare();
    let path = station.path("hierarchy.toml");
    let text = fs::read_to_string(&path).unwrap();
    let line = |text: &str, of: &str| {
        let at = text.find(&format!("id = \"{of}\"")).unwrap();
        text[at..].lines().find(|line| line.starts_with("keys = ")).unwrap().to_owned()
    };
    fs::write(&path, text.replace(&line(&text, "bob"), &line(&text, "alice"))).unwrap();
    let saying = "person[1].keys[0]";
    refused_bare(&station, || station.init(), saying);
    // The desk's key is nobody's approval either.
    fs::write(&path, text.replace(&line(&text, "bob"), &line(&text, "desk-1"))).unwrap();
    refused_bare(&station, || station.init(), "desk[0].keys[0]");
    fs::write(&path, text).unwrap();
    station.init().ok();
}

/// The same for a station that has no log yet.
#[track_caller]
fn refused_bare(station: &Station, run: impl FnOnce() -> Run, saying: &str) {
    run().fails(2, saying);
    assert!(!station.path("audit").exists(), "refused ({saying}), and a log was begun");
}

#[test]
fn p01_a_quorum_of_several_roles_wants_each_of_them() {
    let hierarchy =
        HIERARCHY.replace("[[token]]", "[quorum]\ncertificates = { officer = 2, witness = 1 }\n\n[[token]]");
    let station = Station::bare_of(hierarchy);
    station.init().ok();
    let keys = station.planned_ceremony();
    station.sign(&keys, &station.approve(&keys)).ok();
    let plan = station.planned_ceremony();
    let officers = station.approve(&plan);
    refused(
        &station,
        || station.sign(&plan, &officers),
        1,
        "1 of role witness must approve; given: none; could still: dave",
        "coldroot approve",
    );
    let carol = station.approve_as(&plan, "carol", "carol");
    let dave = station.approve_as(&plan, "dave", "dave");
    let with = |more: &PathBuf| [&officers[..], std::slice::from_ref(more)].concat();
    refused(&station, || station.sign(&plan, &with(&carol)), 1, "1 of role witness", "coldroot approve");
    let one = [officers[0].clone(), dave.clone()];
    refused(
        &station,
        || station.sign(&plan, &one),
        1,
        "2 of role officer must approve; given: alice",
        "coldroot approve",
    );
    station.sign(&plan, &with(&dave)).ok();
    station.check_log();
}

#[test]
fn p09_plans_and_approvals_of_another_station_are_worth_nothing() {
    let station = Station::ready();
    // The same officers, the same keys, another hierarchy: the name differs.
    let other = station.copy();
    let path = other.path("hierarchy.toml");
    let renamed = fs::read_to_string(&path).unwrap().replace("\"Road\"", "\"Road two\"");
    fs::write(&path, &renamed).unwrap();
    let plan = station.planned(&station.bundle(1, 1));
    let approvals = station.approve(&plan);
    let before = other.state();
    // A station whose hierarchy was changed after `init` does nothing at all.
    other.plan(&other.bundle(1, 1)).fails(1, "not the one that this log was begun with");
    assert!(other.state() == before);

    let stranger = Station::ready();
    let carried: Vec<PathBuf> = [&plan, &approvals[0], &approvals[1]]
        .iter()
        .map(|path| {
            let to = stranger.path("out").join(path.file_name().unwrap());
            fs::copy(station.dir().join(path), &to).unwrap();
            to
        })
        .collect();
    refused(&stranger, || stranger.sign(&carried[0], &carried[1..]), 1, "has not made the plan", "plan");
    // Approvals by strangers for a plan of one's own.
    let own = stranger.planned(&stranger.bundle(1, 1));
    refused(&stranger, || stranger.sign(&own, &carried[1..]), 1, "is not in the roster", "roster");
    stranger.sign(&own, &stranger.approve(&own)).ok();
}

#[test]
fn p01_who_has_left_the_roster_neither_approves_nor_operates() {
    let keys = tempfile::tempdir().unwrap();
    let [(frank, frank_key), (olga, _)] = ["frank", "olga"].map(|name| pair(keys.path(), name));
    let begin = now();
    let last_day = &utc(begin + 10 * DAY)[..10];
    let expires = format!("expires = \"{last_day}\"");
    let people = [person("frank", "officer", &[frank], &expires), person("olga", "operator", &[olga], &expires)];
    let station = Station::ready_of(with_people(&people.concat()));
    let behind = coldroot::text::parse_utc(&format!("{last_day}T00:00:00Z")).unwrap() + DAY;

    // Planned on the last day, approved then, signed after it: the plan's own time decides, here and for every later check.
    let first = station.bundle(2, 1);
    let plan = plan_at(&station, &first, behind - 60);
    let approvals = [station.approve_as(&plan, "alice", "alice"), signed(&station, &plan, "frank", &frank_key)];
    let release = sign_at(&station, &plan, &approvals, behind + DAY).ok();
    let late = utc(behind + 300 * DAY);
    let (directory, key) = (release["directory"].as_str().unwrap(), station.verifier_key());
    let check = ["check", directory, "--verifier-key", &key, "--hierarchy", "hierarchy.toml", "--now", &late];
    assert_eq!(station.run(&check).ok()["certificates"], 2);

    // One second after the last day.
    let second = station.pack_with(&station.requests("second", &harness::station::generated(2, 2)), 2, &[]);
    let plan = plan_at(&station, &second, behind + DAY + 1);
    let alice = station.approve_as(&plan, "alice", "alice");
    let frank = signed(&station, &plan, "frank-again", &frank_key);
    let at = behind + DAY + 60;
    let saying = format!("given: alice; could still: bob; frank does not count, expired at {}", utc(behind));
    refused(&station, || sign_at(&station, &plan, &[alice.clone(), frank.clone()], at), 1, &saying, "coldroot approve");
    let bob = station.approve_as(&plan, "bob", "bob");
    let approvals = [alice.clone(), bob.clone(), frank.clone()];
    // Who does not count does not stand in the way, and does not stand in the record.
    let olga = |operator: &str| {
        let mut args = station.sign_args(&plan, &approvals);
        *args.iter_mut().find(|arg| **arg == "carol").unwrap() = operator;
        let time = utc(at);
        args.extend(["--now", &time]);
        station.run(&args)
    };
    refused(&station, || olga("olga"), 1, "the roster's person `olga` expired at", "name one of: carol");
    olga("carol").ok();
    let started = station.bodies().into_iter().rev().find_map(|body| match body {
        coldroot::audit::entry::Body::Start(start) => Some(start),
        _ => None,
    });
    let persons: Vec<String> = started.unwrap().approvals.into_iter().map(|a| a.person).collect();
    assert_eq!(persons, ["alice", "bob"]);
    station.check_log();
}

#[test]
fn p01_a_void_and_init_are_approved_by_the_roster_of_their_own_day() {
    let keys = tempfile::tempdir().unwrap();
    let (frank, frank_key) = pair(keys.path(), "frank");
    let begin = now();
    let expires = format!("expires = \"{}\"", &utc(begin + 10 * DAY)[..10]);
    let hierarchy = with_people(&person("frank", "officer", &[frank], &expires));
    let bare = Station::bare_of(hierarchy.clone());
    fs::copy(&frank_key, bare.path("officers/frank")).unwrap();
    bare.approve_as(Path::new("hierarchy.toml"), "frank", "frank");
    let args = ["init", "--approval", "hierarchy.toml.alice.sig", "--approval", "hierarchy.toml.frank.sig"];
    let late = utc(begin + 12 * DAY);
    bare.run(&[&args[..], &["--now", &late]].concat()).fails(1, "frank does not count, expired at");
    assert!(!bare.path("audit").exists());
    bare.run(&args).ok();

    let station = Station::ready_of(hierarchy);
    fs::copy(&frank_key, station.path("officers/frank")).unwrap();
    let plan = station.planned(&station.bundle(1, 1));
    let void = |approvals: &[PathBuf], time: i64| {
        let time = utc(time);
        let mut args = vec!["void", "--plan", plan.to_str().unwrap(), "--reason", "the officers withdrew"];
        args.extend(["--operator", "carol", "--witness", "dave", "--now", &time]);
        for approval in approvals {
            args.extend(["--approval", approval.to_str().unwrap()]);
        }
        station.run(&args)
    };
    let text = void(&[], now()).ok();
    let text = Path::new(text["statement-file"].as_str().unwrap());
    let approvals = [station.approve_as(text, "alice", "alice"), station.approve_as(text, "frank", "frank")];
    refused(&station, || void(&approvals, begin + 12 * DAY), 1, "frank does not count, expired at", "coldroot approve");
    let release = void(&approvals, begin + 9 * DAY).ok();
    let (directory, key) = (release["directory"].as_str().unwrap(), station.verifier_key());
    let late = utc(begin + 300 * DAY);
    station.run(&["check", directory, "--verifier-key", &key, "--hierarchy", "hierarchy.toml", "--now", &late]).ok();
    station.check_log();
}

#[test]
fn p01_a_window_that_has_passed_is_not_opened_again_by_approvals() {
    let station = Station::ready();
    // The bundle is made by the machine's clock, so it is there before the clock is read.
    let bundle = station.bundle(1, 1);
    let begin = now();
    let plan = plan_at(&station, &bundle, begin);
    let approvals = station.approve(&plan);
    let late = begin + 8 * DAY;
    refused(&station, || sign_at(&station, &plan, &approvals, late), 1, "the plan's window is from", "coldroot plan");
    // The way out: the same bundle planned again. The old approvals are for another plan.
    let again = plan_at(&station, &station.desk("requests-1-1.bundle"), late);
    refused(&station, || sign_at(&station, &again, &approvals, late), 1, "not over this text", "beside this plan");
    let fresh = station.approve(&again);
    sign_at(&station, &again, &fresh, late + 60).ok();
}

#[test]
fn p01_a_fido_key_says_that_its_user_was_there_and_who_that_was() {
    let (ed, ecdsa) = (Fido::ed25519(), Fido::ecdsa());
    let (strict_ed, strict_ecdsa) = (Fido::ed25519(), Fido::ecdsa());
    let people = [
        person("frank", "officer", &[ed.line(), ecdsa.line()], ""),
        person("erin", "officer", &[strict_ed.line(), strict_ecdsa.line()], "user-verification = true"),
    ];
    let station = Station::ready_of(with_people(&people.concat()));
    let plan = station.planned(&station.bundle(1, 1));
    let text = statement(&station, &plan);
    let made = |key: &Fido, flags: u8, name: &str| file(&station, name, &key.sign(NAMESPACE, text.as_bytes(), flags));
    let alice = station.approve_as(&plan, "alice", "alice");
    let with = |other: PathBuf| station.sign(&plan, &[alice.clone(), other]);

    // The stock tool takes each of these signatures, so nothing else than this program looks at the flags.
    fs::write(station.path("statement"), &text).unwrap();
    for (key, flags) in [(&ed, TOUCHED), (&ecdsa, TOUCHED), (&strict_ed, VERIFIED), (&ecdsa, 0), (&ed, 0)] {
        fs::write(station.path("signers"), format!("frank {}\n", key.line())).unwrap();
        let signature = made(key, flags, "stock.sig");
        let mut verify = Command::new("ssh-keygen");
        verify.args(["-Y", "verify", "-f", "signers", "-I", "frank", "-n", NAMESPACE, "-s"]).arg(&signature);
        verify.current_dir(station.dir());
        let output = verify.stdin(fs::File::open(station.path("statement")).unwrap()).output().unwrap();
        assert!(output.status.success(), "flags {flags}: {}", String::from_utf8_lossy(&output.stderr));
    }

    for (key, name) in [(&ed, "ed"), (&ecdsa, "ecdsa")] {
        for flags in [0, 0x04] {
            let absent = made(key, flags, &format!("absent-{name}-{flags}.sig"));
            refused(&station, || with(absent.clone()), 1, "without its user being present", "touch");
        }
    }
    for (key, name) in [(&strict_ed, "ed"), (&strict_ecdsa, "ecdsa")] {
        let touched = made(key, TOUCHED, &format!("touched-{name}.sig"));
        let saying = "of `erin` signed without verifying its user";
        refused(&station, || with(touched.clone()), 1, saying, "verify-required");
        let absent = made(key, 0, &format!("strict-absent-{name}.sig"));
        refused(&station, || with(absent.clone()), 1, "without its user being present", "touch");
    }
    // The flags are under the signature: they cannot be changed afterwards.
    let armored = ed.sign(NAMESPACE, text.as_bytes(), 0);
    let body: String = armored.lines().filter(|line| !line.starts_with('-')).collect();
    let mut blob = data_encoding::BASE64.decode(body.as_bytes()).unwrap();
    let flags = blob.len() - 5;
    blob[flags] = VERIFIED;
    let forged = format!(
        "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
        data_encoding::BASE64
            .encode(&blob)
            .as_bytes()
            .chunks(70)
            .map(|l| std::str::from_utf8(l).unwrap())
            .collect::<Vec<_>>()
            .join("\n")
    );
    let forged = file(&station, "forged.sig", &forged);
    refused(&station, || with(forged.clone()), 1, "is not over this text", "sign the statement");

    let good = [made(&ecdsa, TOUCHED, "frank.sig"), made(&strict_ed, VERIFIED, "erin.sig")];
    station.sign(&plan, &good).ok();
    station.check_log();
    let next = station.planned(&station.bundle(1, 2));
    let text = statement(&station, &next);
    let good = [(&ed, "frank-2.sig"), (&strict_ecdsa, "erin-2.sig")]
        .map(|(key, name)| file(&station, name, &key.sign(NAMESPACE, text.as_bytes(), VERIFIED)));
    station.sign(&next, &good).ok();
}
