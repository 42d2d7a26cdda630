//! Revocations, voids, overtaking and renewals on whole stations.

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::audit::entry::Body;
use coldroot::text::utc;
use coldroot::x509;
use coldroot::x509::fields::CrlFields;
use harness::batch::killed_at;
use harness::station::{CEREMONY, HIERARCHY, Run, Station, fresh, generated, read_in};

const DAY: i64 = 86_400;

/// The newest CRL on record of a CA.
fn newest_crl(station: &Station, ca: &str) -> (Vec<u8>, CrlFields) {
    let of_ca = |body| match body {
        Body::Crl(crl) if crl.ca == ca => Some(crl.crl),
        _ => None,
    };
    let digest = station.bodies().into_iter().filter_map(of_ca).next_back().expect("a CRL is on record");
    let hex = digest.hex();
    let der = fs::read(station.path(&format!("audit/artefact/{}/{hex}", &hex[..2]))).unwrap();
    let fields = x509::read_crl(&der).unwrap();
    (der, fields)
}

fn revoke(station: &Station, serial: &str, reason: &str) -> PathBuf {
    station.carried_out(&station.planned_by(&["--revoke", serial, "--reason", reason]))
}

#[track_caller]
fn checks(station: &Station, release: &Path) {
    let key = station.verifier_key();
    let args = ["check", release.to_str().unwrap(), "--verifier-key", &key, "--hierarchy", "hierarchy.toml"];
    station.run(&args).ok();
    station.check_log();
}

/// Unpacks a release into a directory of the desk and lets openssl judge one certificate, CRLs and all.
fn openssl_says(station: &Station, release: &Path, request: &str) -> String {
    let (to, key) = (station.desk("www"), station.verifier_key());
    station.run(&["unpack", release.to_str().unwrap(), "--to", to.to_str().unwrap(), "--verifier-key", &key]).ok();
    let mut verify = Command::new("openssl");
    verify.current_dir(&to).args(["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "intermediates.pem"]);
    verify.arg("-crl_check_all");
    for ca in ["root", "xmpp-1"] {
        let pem = format!("{ca}.crl.pem");
        let (crl, mut convert) = (format!("crls/{ca}.crl"), Command::new("openssl"));
        convert.current_dir(&to).args(["crl", "-inform", "DER", "-in", &crl, "-out", &pem]);
        assert_eq!(Run::of(&mut convert).code, 0);
        verify.args(["-CRLfile", &pem]);
    }
    let run = Run::of(verify.arg(format!("certs/{request}.pem")));
    format!("{} {}", run.out, run.err)
}

#[test]
fn p02_a_revocation_stands_on_the_crl_of_its_own_plan_with_its_reason() {
    let station = Station::ready();
    let release = station.carried_out(&station.planned(&station.bundle(3, 1)));
    let requests: Vec<String> = station.leaves().into_iter().map(|(request, ..)| request).collect();
    assert!(openssl_says(&station, &release, &requests[0]).contains(": OK"));
    let serial = station.serial_of(&requests[0]);

    let plan = station.planned_by(&["--revoke", &serial, "--reason", "key-compromise"]);
    let shown = station.run(&["show", plan.to_str().unwrap()]).ok();
    let statement = shown["statement"].as_str().unwrap();
    assert!(statement.contains("act          revoke xmpp-1 key-compromise count 1\n"), "{statement}");
    assert!(statement.contains("act          crl xmpp-1 number-2 count 1\n"), "{statement}");
    let release = station.carried_out(&plan);
    checks(&station, &release);
    let (der, crl) = newest_crl(&station, "xmpp-1");
    assert_eq!((crl.number, crl.revoked.len(), crl.revoked[0].reason), (2, 1, Some(1)));
    assert!(openssl_says(&station, &release, &requests[0]).contains("certificate revoked"));
    assert!(openssl_says(&station, &release, &requests[1]).contains(": OK"));
    // reasonCode is an ENUMERATED (RFC 5280 section 5.3.1): 30 0a 06 03 55 1d 15 04 03 0a 01 01.
    let reason = [0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01, 0x01];
    assert!(der.windows(reason.len()).any(|w| w == reason));

    // Another reason, and none: zero is told by absence.
    revoke(&station, &station.serial_of(&requests[1]), "unspecified");
    let (der, crl) = newest_crl(&station, "xmpp-1");
    assert_eq!(crl.revoked.iter().map(|entry| entry.reason).collect::<Vec<_>>(), [Some(1), None]);
    assert_eq!(der.windows(3).filter(|w| w == &[0x55, 0x1d, 0x15]).count(), 1, "one entry has a reason");
    // A CRL without news says the same again, under the next number.
    station.carried_out(&station.planned_by(&["--crl", "xmpp-1", "--crl", "root"]));
    let (_, again) = newest_crl(&station, "xmpp-1");
    assert_eq!((again.number, &again.revoked), (4, &crl.revoked));
}

#[test]
fn p07_a_revocation_that_is_none_is_refused_and_leaves_nothing() {
    let station = Station::ready();
    station.carried_out(&station.planned(&station.bundle(1, 1)));
    let serial = station.serial_of(&station.leaves()[0].0);
    revoke(&station, &serial, "superseded");
    let before = station.state();
    let late = utc(time_now() + 100 * DAY);
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--revoke", &serial, "--reason", "superseded"], 1, "was revoked at"),
        (&["--revoke", &serial, "--reason", "superseded", "--now", &late], 1, "was revoked at"),
        (&["--revoke", "0123456789", "--reason", "superseded"], 1, "issued no certificate"),
        (&["--revoke", "hello", "--reason", "superseded"], 2, "no serial number"),
        (&["--revoke", &serial], 2, "has a reason"),
        (&["--revoke", &serial, "--reason", "remove-from-crl"], 2, "no reason"),
        (&["--crl", "nobody"], 2, "declares no CA"),
        (&["--crl", "root", "--bundle", "x"], 2, "name one of"),
    ];
    for (args, code, text) in cases {
        let args: Vec<&str> = ["plan"].iter().chain(args).copied().collect();
        station.run(&args).fails(code, text);
        assert!(station.state() == before, "{args:?} left something behind");
    }
    let ceremony = |body: &str| {
        fs::write(
            station.path("c.toml"),
            format!("format = \"coldroot-ceremony-v0\"\ntitle = \"t\"\n[[act]]\n{body}\n"),
        )
        .unwrap();
        station.run(&["plan", "--ceremony", "c.toml"])
    };
    ceremony("kind = \"revoke\"\nca = \"xmpp-1\"\nserial = \"01\"").fails(2, "act[0].reason");
    ceremony("kind = \"revoke\"\nca = \"xmpp-1\"\nserial = \"ff\"\nreason = \"superseded\"").fails(2, "act[0].serial");
    ceremony("kind = \"revoke\"\nca = \"xmpp-1\"\nserial = \"01\"\nreason = \"hold\"").fails(2, "act[0].reason");
    let of_root = format!("kind = \"revoke\"\nca = \"root\"\nserial = \"{serial}\"\nreason = \"superseded\"");
    ceremony(&of_root).fails(1, "issued no certificate");
    assert!(station.state() == before);
}

#[test]
fn p02_a_revoked_ca_certifies_nothing_more() {
    let station = Station::ready();
    let bundle = station.bundle(1, 1);
    let of_ca = |body| match body {
        Body::Certificate(c) if c.subject_ca.as_deref() == Some("xmpp-1") => Some(c.der),
        _ => None,
    };
    let der = station.bodies().into_iter().find_map(of_ca).unwrap();
    let serial = coldroot::text::hex(&x509::read_certificate(&der).unwrap().serial);
    station.run(&["plan", "--revoke", &serial, "--reason", "key-compromise"]).fails(1, "certificate of a CA");
    let release = revoke(&station, &serial, "cessation-of-operation");
    checks(&station, &release);
    let (_, crl) = newest_crl(&station, "root");
    assert_eq!(crl.revoked.iter().map(|entry| entry.reason).collect::<Vec<_>>(), [Some(5)]);
    let before = station.state();
    station.plan(&bundle).fails(1, "is revoked and certifies nothing more");
    station.only_read_in(&before, &bundle);
    // Its last CRL can still be made.
    station.carried_out(&station.planned_by(&["--crl", "xmpp-1"]));
}

#[test]
fn p02_below_a_revoked_ca_nothing_is_certified() {
    let own_key =
        "[[key]]\nid = \"sub-key\"\ntoken = \"main\"\nlabel = \"sub\"\nalgorithm = \"ecdsa-p256\"\nbackup = \"none\"\n";
    let sub = "[[profile]]\nid = \"sub\"\nbase = \"intermediate\"\npath-len = 0\n\n[[ca]]\nid = \"sub\"\nkey = \"sub-key\"\n\
               issuer = \"xmpp-1\"\nprofile = \"sub\"\nsubject = [{ O = \"REHEARSAL\" }, { CN = \"Road Sub\" }]\ndays = 3650\n\
               crl-days = 10\ncrl-urls = [\"http://ca.example.org/sub.crl\"]\nissuer-urls = [\"http://ca.example.org/sub.cer\"]\n";
    let hierarchy = HIERARCHY
        .replace("path-len = 0", "path-len = 1")
        .replace("issuer = \"xmpp-1\"", "issuer = \"sub\"")
        .replacen("[[ca]]", &format!("{own_key}\n{sub}\n[[ca]]"), 1);
    let station = Station::bare_of(hierarchy);
    station.init().ok();
    let more =
        "\n[[act]]\nkind = \"generate-key\"\nkey = \"sub-key\"\n\n[[act]]\nkind = \"intermediate\"\nca = \"sub\"\n";
    for _ in ["keys", "certificates"] {
        station.carried_out(&station.planned_ceremony_of(&format!("{CEREMONY}{more}")));
    }
    station.carried_out(&station.planned(&station.bundle(1, 1)));
    let of_ca = |body| match body {
        Body::Certificate(c) if c.subject_ca.as_deref() == Some("xmpp-1") => Some(c.der),
        _ => None,
    };
    let der = station.bodies().into_iter().find_map(of_ca).unwrap();
    revoke(&station, &coldroot::text::hex(&x509::read_certificate(&der).unwrap().serial), "ca-compromise");
    let bundle = station.bundle(1, 2);
    let before = station.state();
    station.plan(&bundle).fails(1, "CA `xmpp-1` is revoked and certifies nothing more");
    station.only_read_in(&before, &bundle);
    // What stands below it can still be revoked.
    revoke(&station, &station.serial_of(&station.leaves()[0].0), "superseded");
}

#[test]
fn p02_an_entry_stays_on_the_crl_until_it_stood_there_behind_its_certificates_end() {
    let station = Station::ready();
    station.carried_out(&station.planned(&station.bundle(1, 1)));
    revoke(&station, &station.serial_of(&station.leaves()[0].0), "superseded");
    let crl_at = |days: i64| {
        let now = utc(time_now() + days * DAY);
        let plan = station.planned_by(&["--crl", "xmpp-1", "--now", &now]);
        let approvals = station.approve(&plan);
        let args = station.sign_args(&plan, &approvals);
        station.run(&[&args[..], &["--now", &now]].concat()).ok();
        newest_crl(&station, "xmpp-1").1.revoked.len()
    };
    // RFC 5280 section 3.3: the certificate ends after 90 days; the first CRL behind that still has it.
    assert_eq!([crl_at(80), crl_at(95), crl_at(96)], [1, 1, 0]);
    station.check_log();
}

fn time_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// `void` with these approvals.
fn void(station: &Station, plan: &Path, reason: &str, approvals: &[PathBuf], extra: &[&str]) -> Run {
    let mut args = vec!["void", "--plan", plan.to_str().unwrap(), "--reason", reason];
    args.extend(["--operator", "carol", "--witness", "dave"]);
    for approval in approvals {
        args.extend(["--approval", approval.to_str().unwrap()]);
    }
    args.extend(extra);
    station.run(&args)
}

/// The statement of a void, signed by both officers.
fn void_approvals(station: &Station, plan: &Path, reason: &str, extra: &[&str]) -> Vec<PathBuf> {
    let made = void(station, plan, reason, &[], extra).ok();
    let statement = PathBuf::from(made["statement-file"].as_str().unwrap());
    station.approve(&statement)
}

/// The answers of a release: request and check.
fn refused(station: &Station, release: &Path) -> Vec<(String, String)> {
    let (to, key) = (station.desk("answers"), station.verifier_key());
    let _ = fs::remove_dir_all(&to);
    station.run(&["unpack", release.to_str().unwrap(), "--to", to.to_str().unwrap(), "--verifier-key", &key]).ok();
    let refused: serde_json::Value = serde_json::from_slice(&fs::read(to.join("refused.json")).unwrap()).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    refused.as_array().unwrap().iter().map(|r| (text(&r["request"]), text(&r["check"]))).collect()
}

#[test]
fn p05_a_voided_bundle_is_answered_item_by_item_and_the_next_one_comes() {
    let station = Station::ready();
    let (first, second) = (station.bundle(3, 1), station.bundle(1, 2));
    let plan = station.planned(&first);
    let before = station.state();
    // No quorum, no void: the statement alone changes nothing but the file that is to be signed.
    let approvals = void_approvals(&station, &plan, "wrong names", &[]);
    assert_eq!(station.state().0, before.0);
    void(&station, &plan, "wrong names", &approvals[..1], &[]).fails(1, "2 of role officer");
    void(&station, &plan, "other words", &approvals, &[]).fails(1, "not over this text");
    void(&station, &plan, "wrong names", &station.approve(&plan), &[]).fails(1, "not over this text");
    void(&station, &plan, "", &approvals, &[]).fails(2, "one line");
    assert_eq!(station.state().0, before.0);
    let before = station.state();
    station.plan(&second).fails(1, "has no answer yet");
    station.only_read_in(&before, &second);

    let release = station.released(void(&station, &plan, "wrong names", &approvals, &[]));
    checks(&station, &release);
    assert_eq!(station.leaves().len(), 0);
    let answers = refused(&station, &release);
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|(_, check)| check == "void"));
    // It is over: neither the plan nor its bundle comes back.
    let after = station.entries();
    station.sign(&plan, &station_approvals(&plan)).fails(1, "was voided");
    void(&station, &plan, "wrong names", &approvals, &[]).fails(1, "has ended");
    assert_eq!(station.entries(), after);
    let after = station.state();
    station.plan(&first).fails(1, "answered already");
    station.only_read_in(&after, &first);
    checks(&station, &station.carried_out(&station.planned(&second)));
    assert_eq!(station.leaves().len(), 1);
}

fn station_approvals(plan: &Path) -> Vec<PathBuf> {
    ["alice", "bob"].map(|person| PathBuf::from(format!("{}.{person}.sig", plan.display()))).to_vec()
}

/// Stops `sign` of a batch when some of it is on record.
fn stopped_in_the_middle(station: &Station, plan: &Path) -> usize {
    let approvals = station.approve(plan);
    let args = station.sign_args(plan, &approvals);
    // A chunk is 256 items and one fdatasync.
    for when in 1..40 {
        let copy = station.copy();
        killed_at(&copy, &args, "fdatasync", when);
        let done = copy.leaves().len();
        if done > 0 && done < 300 {
            killed_at(station, &args, "fdatasync", when);
            return done;
        }
    }
    panic!("the batch was never stopped in its middle");
}

#[test]
fn p05_a_plan_voided_in_its_middle_keeps_what_is_on_record() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(300, 1));
    let done = stopped_in_the_middle(&station, &plan);
    assert_eq!(station.leaves().len(), done);
    // Its window has passed: it cannot go on, and the message says what can be done.
    let late = utc(time_now() + 8 * DAY);
    let late = ["--now", late.as_str()];
    let approvals = station_approvals(&plan);
    let args = station.sign_args(&plan, &approvals);
    let json = station.run(&[&args[..], &late].concat()).fails(1, "window is from");
    assert!(json["hint"].as_str().unwrap().contains("coldroot void"), "{json}");

    let approvals = void_approvals(&station, &plan, "late", &late);
    let release = station.released(void(&station, &plan, "late", &approvals, &late));
    assert_eq!(station.leaves().len(), done);
    assert_eq!(refused(&station, &release).len(), 300 - done);
    let key = station.verifier_key();
    let args = ["check", release.to_str().unwrap(), "--verifier-key", &key, "--hierarchy", "hierarchy.toml"];
    assert_eq!(station.run(&args).ok()["certificates"], done);
    station.check_log();
    // The station goes on. The CRL that the plan had promised has a number that is not used again.
    let next = station.planned_by(&["--crl", "xmpp-1", "--now", late[1]]);
    let approvals = station.approve(&next);
    let args = station.sign_args(&next, &approvals);
    station.run(&[&args[..], &late].concat()).ok();
    assert_eq!(newest_crl(&station, "xmpp-1").1.number, 2);
}

#[test]
fn p02_a_void_between_a_revocation_and_its_crl_names_the_crl_that_is_due() {
    let station = Station::ready();
    let rows = generated(1, 1);
    station.carried_out(&station.planned(&station.pack(&station.requests("first", &rows), 1)));
    let table = station.revocations("r.csv", &[(&station.serial_of(&rows[0].request), "superseded")]);
    // A chunk is 256 items: 255 certificates and the revocation, then the CRL.
    let requests = station.requests("second", &generated(255, 2));
    let plan = station.planned(&station.pack_with(&requests, 2, &["--revocations", table.to_str().unwrap()]));
    let approvals = station.approve(&plan);
    let args = station.sign_args(&plan, &approvals);
    let between = |when: &usize| {
        let copy = station.copy();
        killed_at(&copy, &args, "fdatasync", *when);
        let bodies = copy.bodies();
        let revoked = bodies.iter().position(|body| matches!(body, Body::Revoked(_)));
        let stopped = revoked.is_some_and(|at| !bodies[at..].iter().any(|body| matches!(body, Body::Crl(_))));
        stopped.then_some(copy)
    };
    let station = (1..40).find_map(|when| between(&when)).expect("stopped before the CRL");

    let approvals = void_approvals(&station, &plan, "late", &[]);
    let run = void(&station, &plan, "late", &approvals, &[]);
    assert_eq!(run.json()["crls-missing"], serde_json::json!(["xmpp-1"]));
    checks(&station, &station.released(run));
    assert_eq!(newest_crl(&station, "xmpp-1").1.revoked.len(), 0);
    checks(&station, &station.carried_out(&station.planned_by(&["--crl", "xmpp-1"])));
    assert_eq!(newest_crl(&station, "xmpp-1").1.revoked.len(), 1);
}

#[test]
fn p03_a_void_stopped_anywhere_is_run_again() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(2, 1));
    let approvals = void_approvals(&station, &plan, "no more", &[]);
    let mut stopped = 0;
    for (call, points) in [("fdatasync", 1..12), ("fsync", 1..40)] {
        for when in points.step_by(3) {
            let copy = station.copy();
            let mut args = vec!["void", "--plan", plan.to_str().unwrap(), "--reason", "no more"];
            args.extend(["--operator", "carol", "--witness", "dave"]);
            args.extend(approvals.iter().flat_map(|approval| ["--approval", approval.to_str().unwrap()]));
            stopped += usize::from(killed_at(&copy, &args, call, when).code == -1);
            let again = copy.run(&args);
            assert!(again.code == 0 || again.out.contains("has ended"), "{call} {when}: {again:?}");
            let voids = copy.bodies().into_iter().filter(|body| matches!(body, Body::Void(_))).count();
            let answers = copy.bodies().into_iter().filter(|body| matches!(body, Body::Refused { .. })).count();
            assert_eq!((voids, answers), (1, 2), "{call} {when}");
            checks(&copy, &copy.path("out/release-0003"));
        }
    }
    assert!(stopped > 8, "only {stopped} runs were stopped");
}

#[test]
fn p05_only_revocations_overtake_a_waiting_bundle() {
    let station = Station::ready();
    station.carried_out(&station.planned(&station.bundle(1, 1)));
    let bundle = station.bundle(2, 2);
    let waiting = station.planned(&bundle);
    let (before, third) = (station.state(), station.bundle(1, 3));
    station.plan(&third).fails(1, "has no answer yet");
    station.only_read_in(&before, &third);
    let before = station.state();
    let ceremony =
        "format = \"coldroot-ceremony-v0\"\ntitle = \"t\"\n[[act]]\nkind = \"intermediate\"\nca = \"xmpp-1\"\n";
    fs::write(station.path("other.toml"), ceremony).unwrap();
    station.run(&["plan", "--ceremony", "other.toml"]).fails(1, "has no answer yet");
    assert!(station.state() == before);

    revoke(&station, &station.serial_of(&station.leaves()[0].0), "key-compromise");
    // The one that waited is stale, and says so; its bundle is planned again, above every number ever planned.
    let after = station.entries();
    station.sign(&waiting, &station.approve(&waiting)).fails(1, "release 4 has been made since");
    assert_eq!(station.entries(), after);
    let again = station.planned(&bundle);
    checks(&station, &station.carried_out(&again));
    assert_eq!(station.leaves().len(), 3);
}

#[test]
fn p05_an_overtaken_bundle_that_can_be_planned_no_more_is_voided() {
    let station = Station::ready();
    let bundle = station.bundle(2, 1);
    let waiting = station.planned(&bundle);
    let of_ca = |body| match body {
        Body::Certificate(c) if c.subject_ca.as_deref() == Some("xmpp-1") => Some(c.der),
        _ => None,
    };
    let der = station.bodies().into_iter().find_map(of_ca).unwrap();
    let serial = coldroot::text::hex(&x509::read_certificate(&der).unwrap().serial);
    let idle = station.planned_by(&["--crl", "root"]);
    revoke(&station, &serial, "cessation-of-operation");

    // Stale, and neither now nor after its expiry is there another plan: each refusal names the only way on.
    let before = station.state().0;
    let late = utc(time_now() + 400 * DAY);
    let path = bundle.to_str().unwrap();
    station.sign(&waiting, &station.approve(&waiting)).fails(1, "release 3 has been made since");
    for (args, saying) in [(&[][..], "is revoked and certifies nothing more"), (&["--now", &late], "expired at")] {
        let json = station.run(&[&["plan", "--bundle", path][..], args].concat()).fails(1, saying);
        assert!(json["hint"].as_str().unwrap().contains("coldroot void --plan out/plan-"), "{json}");
    }
    // A plan for which nothing waits is left as it is.
    void(&station, &idle, "no more", &[], &[]).fails(1, "never starts");
    // That the bundle was read in twice is on record, and nothing else.
    let bodies: Vec<Body> = station.entries()[before.len()..].iter().map(|entry| entry.body.clone()).collect();
    assert_eq!(bodies, [read_in(&bundle), read_in(&bundle)]);

    let approvals = void_approvals(&station, &waiting, "its CA is revoked", &[]);
    let release = station.released(void(&station, &waiting, "its CA is revoked", &approvals, &[]));
    checks(&station, &release);
    assert_eq!((refused(&station, &release).len(), station.leaves().len()), (2, 0));
    station.plan(&bundle).fails(1, "answered already");
    // Nobody waits any more: whatever is planned now is signed.
    checks(&station, &station.carried_out(&station.planned_by(&["--crl", "root"])));
}

#[test]
fn p06_a_key_is_renewed_by_its_requester_for_the_same_names_only() {
    let station = Station::ready();
    let rows = generated(2, 7);
    station.carried_out(&station.planned(&station.pack(&station.requests("first", &rows), 1)));
    let first = station.leaves();
    // The same requests again: a renewal. A new key for the same names as well.
    let names: Vec<&str> = rows[0].names.iter().map(String::as_str).collect();
    let mut again = generated(2, 7);
    again[0].request = "renewed".into();
    again.push(fresh("new-key", &names));
    station.carried_out(&station.planned(&station.pack(&station.requests("second", &again), 2)));
    assert_eq!(station.leaves().len(), first.len() + 3);

    // The same key for other names, and the same names for another requester: refused with reasons.
    let stranger = station.requests_by("third", "somebody@example.net", &[fresh("taken", &names)]);
    let json = station.plan(&station.pack(&stranger, 3)).ok();
    assert_eq!((&json["items"], &json["refused"]), (&0.into(), &1.into()));
    let release = station.carried_out(Path::new(json["plan"].as_str().unwrap()));
    assert_eq!(refused(&station, &release), [("taken".to_owned(), "name-holder".to_owned())]);

    // Once the last of the holder's certificates is revoked, the name is free.
    for request in ["renewed", "new-key"] {
        revoke(&station, &station.serial_of(request), "superseded");
    }
    // The newest are revoked; the first one is good, and its requester's.
    let grabbed = station.requests_by("fourth", "somebody@example.net", &[fresh("grabbed", &names)]);
    let json = station.plan(&station.pack(&grabbed, 4)).ok();
    let release = station.carried_out(Path::new(json["plan"].as_str().unwrap()));
    assert_eq!(refused(&station, &release), [("grabbed".to_owned(), "name-holder".to_owned())]);
    // A compromised key takes all its certificates with it, and is never certified again.
    let twice = &first[1].0;
    revoke(&station, &station.serial_of(twice), "key-compromise");
    let (_, crl) = newest_crl(&station, "xmpp-1");
    let serial = |(.., der): &(String, String, Vec<u8>)| x509::read_certificate(der).unwrap().serial;
    let of_key: Vec<_> = station.leaves().iter().filter(|(id, ..)| id == twice).map(serial).collect();
    let lost: Vec<_> = crl.revoked.iter().filter(|e| e.reason == Some(1)).map(|e| e.serial.clone()).collect();
    assert_eq!((lost.len(), lost.iter().collect::<BTreeSet<_>>()), (2, of_key.iter().collect()));
    let mut stolen = generated(2, 7).pop().unwrap();
    stolen.request = "stolen".into();
    let json = station.plan(&station.pack(&station.requests("fifth", &[stolen]), 5)).ok();
    let release = station.carried_out(Path::new(json["plan"].as_str().unwrap()));
    assert_eq!(refused(&station, &release), [("stolen".to_owned(), "compromised-key".to_owned())]);
    revoke(&station, &station.serial_of(&first[0].0), "superseded");
    let freed = station.requests_by("sixth", "somebody@example.net", &[fresh("freed", &names)]);
    checks(&station, &station.carried_out(&station.planned(&station.pack(&freed, 6))));
    assert!(station.leaves().iter().any(|(request, ..)| request == "freed"));
}

#[test]
fn p06_a_bundle_that_calls_a_key_compromised_gets_no_certificate_for_it() {
    let station = Station::ready();
    let rows = generated(2, 7);
    station.carried_out(&station.planned(&station.pack(&station.requests("first", &rows), 1)));
    // The requests stand before the revocations: a renewal of the stolen key, and one of the other.
    let serial = station.serial_of(&rows[0].request);
    let table = station.revocations("stolen.csv", &[(&serial, "key-compromise")]);
    let requests = station.requests("again", &rows);
    let bundle = station.pack_with(&requests, 2, &["--revocations", table.to_str().unwrap()]);
    let release = station.carried_out(&station.planned(&bundle));
    checks(&station, &release);
    assert_eq!(refused(&station, &release), [(rows[0].request.clone(), "compromised-key".to_owned())]);
    assert_eq!((station.leaves().len(), newest_crl(&station, "xmpp-1").1.revoked.len()), (3, 1));
}
