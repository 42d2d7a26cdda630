//! Whole ceremonies as transcripts of the binary on a real SoftHSM: what the road leaves behind, and what it refuses.
//! The names begin with the number of the promise (docs/assurance.md) that a test shows.

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use coldroot::audit::entry::Body;
use coldroot::audit::note::VerifierKey;
use coldroot::config::Hierarchy;
use coldroot::digest::Digest;
use coldroot::release::{self, Trust};
use harness::station::{COLDROOT, PIN, Row, Run, Station, generated};
use harness::{copy_tree, files, repository, verify_py};
use serde_json::Value;

/// One `coldroot demo` on the requests of real software, for every test that only reads it.
fn demo() -> &'static Path {
    static DEMO: OnceLock<PathBuf> = OnceLock::new();
    DEMO.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("road-demo");
        let _ = fs::remove_dir_all(&dir);
        let requests = repository().join("softhsm-tests/requests");
        let args = ["demo", "--json", "--requests", requests.to_str().unwrap(), "--dir", dir.to_str().unwrap()];
        let demo = Run::of(Command::new(COLDROOT).args(args)).ok();
        assert_eq!((&demo["signed"], &demo["refused"], &demo["crls"]), (&14.into(), &4.into(), &2.into()));
        dir
    })
}

fn demo_key() -> String {
    fs::read_to_string(demo().join("station/verifier-key")).unwrap().trim().to_owned()
}

/// The table of the demo's requests: id and validated names, without those that are to be refused.
fn table() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(repository().join("softhsm-tests/requests/requests.csv")).unwrap();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields[0].to_owned(), fields[3].split(' ').map(str::to_owned).collect())
    };
    text.lines().skip(1).filter(|line| !line.starts_with("refused-")).map(row).collect()
}

fn openssl(args: &[&str]) -> Run {
    Run::of(Command::new("openssl").args(args).current_dir(demo()))
}

#[test]
fn p02_the_demo_leaves_the_whole_layout_and_its_manifest() {
    let dir = demo();
    let relative = |path: &PathBuf| path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
    let all = files(dir).iter().map(relative).collect::<BTreeSet<_>>();
    let left: BTreeSet<String> =
        all.into_iter().filter(|p| !p.starts_with("station/") && !p.starts_with("desk/")).collect();
    let mut named: BTreeSet<String> = table().iter().map(|(id, _)| format!("certs/{id}.pem")).collect();
    named.extend(table().iter().map(|(id, _)| format!("proofs/{id}.tlog-proof")));
    let fixed = ["root.pem", "intermediates.pem", "crls/root.crl", "crls/xmpp-1.crl", "refused.json", "report.html"];
    named.extend(fixed.map(str::to_owned));
    named.extend(["manifest.json", "log/checkpoint"].map(str::to_owned));
    let rest: Vec<_> = left.difference(&named).collect();
    assert!(named.is_subset(&left), "missing: {:?}", named.difference(&left));
    assert!(rest.iter().all(|p| p.starts_with("log/tile/") || p.starts_with("log/artefact/")), "{rest:?}");
    assert!(
        rest.iter().any(|p| p.starts_with("log/tile/entries/")) && rest.iter().any(|p| p.starts_with("log/tile/0/"))
    );

    let manifest: Value = serde_json::from_slice(&fs::read(dir.join("manifest.json")).unwrap()).unwrap();
    let mut listed = BTreeSet::from(["manifest.json".to_owned()]);
    for line in manifest.as_array().unwrap() {
        let path = line["path"].as_str().unwrap();
        let content = fs::read(dir.join(path)).unwrap();
        assert_eq!(line["size"], content.len() as u64, "{path}");
        assert_eq!(line["sha256"], Digest::of(&content).hex(), "{path}");
        assert!(listed.insert(path.to_owned()), "{path} twice");
    }
    assert_eq!(listed, left);

    let expected = [
        ("refused-name", "names-validated"),
        ("refused-rsa1024", "key-size"),
        ("refused-sha1", "signature-algorithm"),
        ("refused-signature", "proof-of-possession"),
    ];
    let expected = expected.map(|(request, check)| (request.to_owned(), check.to_owned()));
    assert_eq!(harness::refused_in(dir), expected);
    // HTML writes the slash of the key as a character reference.
    let report = fs::read_to_string(dir.join("report.html")).unwrap().replace("&#x2f;", "/");
    assert!(report.contains(&demo_key()));
}

#[test]
fn p02_openssl_agrees_with_every_leaf_chain_and_crl() {
    let scratch = tempfile::tempdir().unwrap();
    let crl = |ca: &str| {
        let (from, to) = (format!("crls/{ca}.crl"), scratch.path().join(ca).to_str().unwrap().to_owned());
        assert_eq!(openssl(&["crl", "-inform", "DER", "-in", &from, "-out", &to]).code, 0);
        to
    };
    let (root_crl, crl) = (crl("root"), crl("xmpp-1"));
    let intermediates = fs::read_to_string(demo().join("intermediates.pem")).unwrap();
    let root = fs::read_to_string(demo().join("root.pem")).unwrap();
    for (id, validated) in table() {
        let path = format!("certs/{id}.pem");
        let args =
            ["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "intermediates.pem", "-crl_check_all"];
        let crls = ["-CRLfile", &root_crl, "-CRLfile", &crl, &path];
        let run = openssl(&[&args[..], &crls[..]].concat());
        assert!(run.code == 0 && run.out.contains(": OK"), "{run:?}");
        // Leaf, then its chain: what a server is given.
        let pem = fs::read_to_string(demo().join(&path)).unwrap();
        assert_eq!(pem.matches("-----BEGIN CERTIFICATE-----").count(), 3 - usize::from(!pem.contains(&root)), "{id}");
        assert!(pem.contains(&intermediates), "{id}: its issuer is not in its file");

        let shown = openssl(&["x509", "-in", &path, "-noout", "-ext", "subjectAltName,extendedKeyUsage"]).out;
        assert!(shown.contains("TLS Web Server Authentication, TLS Web Client Authentication\n"), "{shown}");
        let names = shown.lines().find(|line| line.contains("DNS:")).expect("no dNSName").trim();
        let mut found = BTreeSet::new();
        for name in names.split(", ") {
            match (name.strip_prefix("DNS:"), name.strip_prefix("othername: SRVName::")) {
                (Some(dns), _) => assert!(validated.contains(dns) && found.insert(format!("dns {dns}")), "{name}"),
                (None, Some(srv)) => assert!(found.insert(srv.to_owned()), "{name} twice"),
                (None, None) => panic!("{id} has a name that this profile does not give: {name}"),
            }
        }
        let domains: Vec<&str> = found.iter().filter_map(|name| name.strip_prefix("dns ")).collect();
        let srv = |d: &&str| [format!("_xmpp-client.{d}"), format!("_xmpp-server.{d}")];
        let wanted: BTreeSet<String> = domains.iter().flat_map(srv).collect();
        let srvs: BTreeSet<String> = found.iter().filter(|name| !name.starts_with("dns ")).cloned().collect();
        assert_eq!(srvs, wanted, "{id}");
        assert!(!domains.is_empty());
    }
}

/// Runs verify.py once for every offset of every file named, with that octet changed; prints those it accepted.
const SWEEP: &str = r#"
import contextlib, io, sys
sys.path.insert(0, sys.argv[1])
import verify
log, key, root = sys.argv[2:5]
wrong = tried = 0
for place in sys.argv[5:]:
    name, offset = place.rsplit(":", 1)
    path = log + "/" + name
    whole = open(path, "rb").read()
    changed = bytearray(whole)
    changed[int(offset)] ^= 1 + int(offset) % 255
    open(path, "wb").write(changed)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = verify.main([log, "--verifier-key", key, "--root", root])
    tried += 1
    if code != 4 or not said.getvalue().startswith("refused: "):
        wrong += 1
        print(place, code, said.getvalue())
    open(path, "wb").write(whole)
print("tried", tried, "wrong", wrong)
sys.exit(1 if wrong else verify.main([log, "--verifier-key", key, "--root", root]))
"#;

#[test]
fn p04_the_independent_verifier_accepts_the_log_and_no_changed_octet() {
    let scratch = tempfile::tempdir().unwrap();
    let (log, root, key) = (scratch.path().join("log"), demo().join("root.pem"), demo_key());
    copy_tree(&demo().join("log"), &log);
    let good = verify_py(&log, &key, Some(&root));
    assert_eq!(good.code, 0, "{good:?}");
    assert!(good.out.contains("equal to the given one"), "{good:?}");
    // The station's own directory, with its tail, is the same log.
    let station = verify_py(&demo().join("station/audit"), &key, Some(&root));
    assert_eq!(station.code, 0, "{station:?}");

    // The entries of the log: two octets of each, at places that differ from entry to entry, and its length.
    let bundle = files(&log.join("tile/entries")).pop().unwrap();
    let name = bundle.strip_prefix(&log).unwrap().to_str().unwrap();
    let bytes = fs::read(&bundle).unwrap();
    let (mut at, mut places) = (0, Vec::new());
    while at < bytes.len() {
        let length = usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let n = places.len();
        places.extend([at + 1, at + 2 + (n * 37) % length, at + 2 + length / 2 + (n * 11) % (length / 2)]);
        at += 2 + length;
    }
    assert!(places.len() >= 3 * 40, "{} places in {} octets", places.len(), bytes.len());
    let mut places: Vec<String> = places.into_iter().map(|at| format!("{name}:{at}")).collect();
    places.extend((0..fs::read(log.join("checkpoint")).unwrap().len()).step_by(5).map(|at| format!("checkpoint:{at}")));
    let tools = repository().join("audit-logs");
    let mut sweep = Command::new("python3");
    sweep.args(["-B", "-c", SWEEP]).args([&tools, &log]).arg(&key).arg(&root).args(&places);
    let run = Run::of(&mut sweep);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains(&format!("tried {} wrong 0", places.len())), "{run:?}");

    for tile in ["tile/0", "tile/entries"] {
        let path = files(&log.join(tile)).pop().unwrap();
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let run = verify_py(&log, &key, Some(&root));
        assert!(run.code == 4 && run.err.contains("is missing"), "{tile}: {run:?}");
        fs::write(&path, whole).unwrap();
    }
    // Another CA's root, and another log's key.
    let other = Station::ready();
    let run = verify_py(&log, &key, Some(&demo().join("intermediates.pem")));
    assert_eq!(run.code, 4, "{run:?}");
    let run = verify_py(&log, &other.verifier_key(), Some(&root));
    assert_eq!(run.code, 4, "{run:?}");
}

/// `coldroot check` of a release with everything that is known from elsewhere.
fn check_release(release: &Path, key: &str, hierarchy: &Path, root: &Path) -> Run {
    let mut command = Command::new(COLDROOT);
    command.args(["--json", "check", "--verifier-key", key]).arg(release);
    Run::of(command.arg("--hierarchy").arg(hierarchy).arg("--root").arg(root))
}

#[test]
fn p04_check_believes_a_release_only_whole_and_under_the_given_trust() {
    let scratch = tempfile::tempdir().unwrap();
    let release = scratch.path().join("release");
    copy_tree(&demo().join("station/out/release-0003"), &release);
    let (key, hierarchy, root) = (demo_key(), demo().join("station/hierarchy.toml"), demo().join("root.pem"));
    let good = check_release(&release, &key, &hierarchy, &root).ok();
    assert_eq!((&good["certificates"], &good["refused"], &good["cas"]), (&14.into(), &4.into(), &2.into()));
    assert_eq!(good["not-compared"], Value::Array(vec![]));
    let log = Run::of(Command::new(COLDROOT).args(["--json", "check", "--verifier-key", &key]).arg(demo().join("log")));
    assert_eq!(log.ok(), good["log"]);
    assert_eq!(good["log"]["root"].as_str().map(str::len), Some(64));

    for (name, samples) in [("release.cbor", 24), ("manifest.cbor", 16), ("log.cbor", 24), ("checkpoint", 24)] {
        let path = release.join(name);
        let whole = fs::read(&path).unwrap();
        for n in 0..samples {
            let at = n * (whole.len() - 1) / (samples - 1);
            let mut changed = whole.clone();
            changed[at] ^= 1 << (n % 8);
            fs::write(&path, changed).unwrap();
            let run = check_release(&release, &key, &hierarchy, &root);
            assert!([1, 4].contains(&run.code), "{name}, octet {at}: {run:?}");
            assert!(!run.json()["error"].as_str().unwrap().is_empty());
        }
        for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            let run = check_release(&release, &key, &hierarchy, &root);
            assert!([1, 4].contains(&run.code), "{name}, cut at {cut}: {run:?}");
        }
        fs::write(&path, whole).unwrap();
    }

    let other = Station::ready();
    assert_eq!(check_release(&release, &other.verifier_key(), &hierarchy, &root).code, 4);
    assert_eq!(check_release(&release, &key, &other.path("hierarchy.toml"), &root).code, 4);
    let out = scratch.path().join("other");
    let (from, to, known) = (other.path("out/release-0002"), out.to_str().unwrap(), other.verifier_key());
    other.run(&["unpack", from.to_str().unwrap(), "--to", to, "--verifier-key", &known]).ok();
    let run = check_release(&release, &key, &hierarchy, &out.join("root.pem"));
    assert!(run.code == 4 && run.out.contains("root"), "{run:?}");
    // A release does not become a good one by being unpacked: nothing is written.
    let mut changed = fs::read(release.join("log.cbor")).unwrap();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(release.join("log.cbor"), changed).unwrap();
    let to = scratch.path().join("unpacked");
    let mut unpack = Command::new(COLDROOT);
    unpack.args(["--json", "unpack", "--verifier-key", &key, "--to"]).arg(&to).arg(&release);
    assert_eq!(Run::of(&mut unpack).code, 4);
    assert!(!to.exists());
}

#[test]
fn p01_a_plan_changed_after_its_approval_is_refused_before_any_login() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(3, 1));
    let approvals = station.approve(&plan);
    let path = station.dir().join(&plan);
    let whole = fs::read(&path).unwrap();
    let before = station.state();
    for n in 0..16 {
        let mut changed = whole.clone();
        let at = n * (whole.len() - 1) / 15;
        changed[at] ^= 0x20;
        fs::write(&path, changed).unwrap();
        let run = station.sign(&plan, &approvals);
        assert_eq!(run.code, 1, "octet {at}: {run:?}");
    }
    fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    assert_eq!(station.sign(&plan, &approvals).code, 1);
    assert!(station.state() == before, "a refused run left something behind");
    fs::write(&path, whole).unwrap();
    // Three certificates, and the first CRL of their CA.
    assert_eq!(station.sign(&plan, &approvals).ok()["done"], 4);
    station.check_log();
}

#[test]
fn p01_only_a_quorum_over_this_very_plan_lets_it_start() {
    let station = Station::ready();
    let bundle = station.bundle(2, 1);
    let (older, plan) = (station.planned(&bundle), station.planned(&bundle));
    assert_ne!(older, plan);
    let others = station.approve(&older);
    let (alice, bob) = (station.approve_as(&plan, "alice", "alice"), station.approve_as(&plan, "bob", "bob"));
    let again = station.approve_as(&plan, "alice-again", "alice");
    let mallory = station.approve_as(&plan, "mallory", "mallory");
    let carol = station.approve_as(&plan, "carol", "carol");
    let before = station.state();
    let refused = |approvals: &[&PathBuf], saying: &str| {
        let approvals: Vec<PathBuf> = approvals.iter().map(|a| (*a).clone()).collect();
        station.sign(&plan, &approvals).fails(1, saying);
        assert!(station.state() == before, "refused ({saying}), and something was left behind");
    };
    refused(&[], "not approved");
    refused(&[&alice], "2 of role officer");
    refused(&[&alice, &again], "2 of role officer");
    refused(&[&alice, &carol], "2 of role officer");
    refused(&[&alice, &mallory], "not approved");
    refused(&[&alice, &bob, &mallory], "not approved");
    refused(&[&others[0], &others[1]], "not approved");
    // Whoever operates and watches is on the roster, in that role, and two persons.
    let (plan_path, alice, bob) = (plan.to_str().unwrap(), alice.to_str().unwrap(), bob.to_str().unwrap());
    for (operator, witness) in [("alice", "dave"), ("carol", "carol"), ("nobody", "dave"), ("carol", "bob")] {
        let args = ["sign", "--plan", plan_path, "--operator", operator, "--witness", witness];
        let run = station.run(&[&args[..], &["--approval", alice, "--approval", bob]].concat());
        run.fails(1, "person");
        assert!(station.state() == before);
    }
    // The later of two plans for one bundle is signed; then the older one has lost its place.
    station.sign(&plan, &[alice.into(), bob.into()]).ok();
    let before = station.state();
    station.sign(&older, &others).fails(1, "release");
    station.sign(&plan, &[alice.into(), bob.into()]).fails(1, "carried out already");
    assert!(station.state() == before);
    station.check_log();
}

#[test]
fn p01_a_plan_is_signed_within_its_window_only() {
    let station = Station::ready();
    let answer = station.plan(&station.bundle(1, 1)).ok();
    let plan = PathBuf::from(answer["plan"].as_str().unwrap());
    let approvals = station.approve(&plan);
    let before = station.state();
    let until = coldroot::text::parse_utc(answer["sign-until"].as_str().unwrap()).unwrap();
    let from = coldroot::text::parse_utc(answer["sign-from"].as_str().unwrap()).unwrap();
    assert!(from < until);
    // Before the window is before the log's last entry as well, which is looked at first.
    for (time, saying) in [(until + 1, "window"), (until + 86_400 * 400, "window"), (from - 1, "last entry")] {
        let now = coldroot::text::utc(time);
        let mut args = station.sign_args(&plan, &approvals);
        args.extend(["--now", &now]);
        station.run(&args).fails(1, saying);
        assert!(station.state() == before);
    }
    station.sign(&plan, &approvals).ok();
}

#[test]
fn p04_an_older_audit_directory_halts_and_says_what_is_missing() {
    let station = Station::ready();
    let before = station.save_audit("before");
    let held = station.entries().len() as u64;
    let (first, second) = (station.bundle(2, 1), station.bundle(2, 2));
    let plan = station.planned(&first);
    let signed = station.sign(&plan, &station.approve(&plan)).ok();
    // The receipt is not sealed yet, so the mark does not know it.
    let marked = signed["log-size"].as_u64().unwrap() - 1;
    let newest = station.save_audit("newest");

    station.restore_audit(&before);
    let again = station.planned(&first);
    let approvals = station.approve(&again);
    // What was written there since, but for that a bundle was read in, which the log that the token knows need not have.
    let planned = station.entries().len() as u64 - held - 1;
    for _ in 0..3 {
        let halted = station.sign(&again, &approvals).fails(3, "older than the token's mark");
        let says = format!("{} of {marked} entries are missing", marked - held - planned);
        assert!(halted["error"].as_str().unwrap().contains(&says), "`{says}`: {halted}");
        assert!(halted["hint"].as_str().unwrap().contains("restore"));
    }
    let digest = Digest::of(&fs::read(station.dir().join(&again)).unwrap());
    assert!(!station.bodies().iter().any(|b| matches!(b, Body::Start(start) if start.plan == digest)));

    // The way out is the one that the message names.
    station.restore_audit(&newest);
    let plan = station.planned(&second);
    assert_eq!(station.sign(&plan, &station.approve(&plan)).ok()["release"], 4);
    station.check_log();
}

#[test]
fn p04_another_log_of_the_same_size_is_a_fork() {
    let station = Station::ready();
    let twin = station.copy();
    let bundle = station.bundle(2, 1);
    for one in [&station, &twin] {
        let plan = one.planned(&bundle);
        one.sign(&plan, &one.approve(&plan)).ok();
    }
    assert_eq!(station.entries().len(), twin.entries().len());
    assert_eq!(station.verifier_key(), twin.verifier_key());
    let own = station.save_audit("own");
    station.restore_audit(&twin.path("audit"));
    let second = station.bundle(1, 2);
    let plan = station.planned(&second);
    station.sign(&plan, &station.approve(&plan)).fails(3, "another root");
    station.restore_audit(&own);
    let plan = station.planned(&second);
    station.sign(&plan, &station.approve(&plan)).ok();
    station.check_log();
}

#[test]
fn p04_a_bundle_shows_that_the_directory_is_older_than_its_releases() {
    let station = Station::ready();
    let old = station.save_audit("old");
    let plan = station.planned(&station.bundle(1, 1));
    let signed = station.sign(&plan, &station.approve(&plan)).ok();
    let newest = station.save_audit("newest");
    let requests = station.requests("answering", &generated(2, 7));
    let release = signed["directory"].as_str().unwrap();
    let second = station.pack_with(&requests, 2, &["--answers", release, "--release", "3"]);

    station.restore_audit(&old);
    let before = station.state();
    let halted = station.plan(&second).fails(3, "the desk has release 3");
    assert!(halted["hint"].as_str().unwrap().contains("restore"));
    station.only_read_in(&before, &second);
    station.restore_audit(&newest);
    station.planned(&second);
}

#[test]
fn p10_a_clock_before_the_log_is_not_believed() {
    let station = Station::ready();
    let bundle = station.bundle(1, 1);
    let plan = station.planned(&bundle);
    let approvals = station.approve(&plan);
    let before = station.state();
    for args in [vec!["plan", "--bundle", bundle.to_str().unwrap()], station.sign_args(&plan, &approvals)] {
        let args: Vec<&str> = [args, vec!["--now", "2026-01-01T00:00:00Z"]].concat();
        station.run(&args).fails(1, "the log's last entry is of");
    }
    assert_eq!(station.state(), before);
}

#[test]
fn p08_a_wrong_pin_is_tried_once_and_stays_on_record() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(1, 1));
    let approvals = station.approve(&plan);
    let before = station.bodies();
    fs::write(station.path("pin.txt"), "wrong-pin\n").unwrap();
    let run = station.sign(&plan, &approvals);
    run.fails(1, "PIN");
    assert!(!run.out.contains("wrong-pin") && !run.err.contains("wrong-pin"));
    let tried = station.bodies();
    assert_eq!(tried[..before.len()], before);
    let [Body::PinTry { token }, Body::Failure { what }] = &tried[before.len()..] else { panic!("{tried:?}") };
    assert!(token == "main" && what.contains("PIN") && !what.contains("wrong-pin"), "{what}");

    fs::write(station.path("pin.txt"), format!("{PIN}\n")).unwrap();
    station.sign(&plan, &approvals).ok();
    let after = &station.bodies()[before.len()..];
    // The try in vain, sealed by the next run: its own try stands behind it, then the opening and the login.
    let next = [&after[2], &after[3], &after[4]];
    assert!(matches!(next, [Body::PinTry { .. }, Body::Open { .. }, Body::Login { .. }]), "{next:?}");
    let count = |wanted: fn(&Body) -> bool| after.iter().filter(|b| wanted(b)).count();
    assert_eq!(count(|b| matches!(b, Body::PinTry { .. })), 2);
    assert_eq!(count(|b| matches!(b, Body::Login { .. })), 1);
    station.check_log();
}

#[test]
fn p05_a_bundle_is_taken_once_in_order_and_from_its_desk_only() {
    let station = Station::ready();
    let rows = station.requests("first", &generated(2, 1));
    let (first, third) = (station.pack(&rows, 1), station.bundle(1, 3));
    let stranger = resigned(&station, &first, "other", coldroot::bundle::NAMESPACE);
    let misused = resigned(&station, &first, "desk-1", "coldroot-plan-v1");
    // The same desk and key, for a hierarchy of another name.
    let hierarchy = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    fs::write(station.desk("elsewhere.toml"), hierarchy.replace("\"Road\"", "\"Road two\"")).unwrap();
    let elsewhere_rows = station.requests("elsewhere", &generated(1, 4));
    let elsewhere_toml = station.desk("elsewhere.toml");
    let extra = ["--hierarchy", elsewhere_toml.to_str().unwrap()];
    let elsewhere = station.pack_with(&elsewhere_rows, 1, &extra);
    // Each leaves in the log that it was read in, and nothing else.
    let refused = |bundle: &Path, more: &[&str], saying: &str| {
        let before = station.state();
        station.run(&[&["plan", "--bundle", bundle.to_str().unwrap()], more].concat()).fails(1, saying);
        station.only_read_in(&before, bundle);
    };
    refused(&third, &[], "out of order");
    refused(&stranger, &[], "not signed by desk");
    refused(&misused, &[], "not signed by desk");
    refused(&elsewhere, &[], "hierarchy");
    let whole = fs::read(&first).unwrap();
    let late = coldroot::text::utc(time_now() + 15 * 86_400);
    // A clock that has run ahead shows itself so; put right, it is not bound by what was read in meanwhile.
    refused(&first, &["--now", &late], "expire");
    let changed_path = station.desk("changed.bundle");
    for n in 0..24 {
        let mut changed = whole.clone();
        let at = n * (whole.len() - 1) / 23;
        changed[at] ^= 0x01;
        fs::write(&changed_path, changed).unwrap();
        let before = station.state();
        let run = station.plan(&changed_path);
        assert_eq!(run.code, 1, "octet {at}: {run:?}");
        station.only_read_in(&before, &changed_path);
    }
    for cut in [0, 8, whole.len() / 2, whole.len() - 1] {
        fs::write(&changed_path, &whole[..cut]).unwrap();
        let before = station.state();
        assert_eq!(station.plan(&changed_path).code, 1, "cut at {cut}");
        station.only_read_in(&before, &changed_path);
    }

    // Not carried out: the same bundle may be planned again. Another one under its number may not.
    station.planned(&first);
    let plan = station.planned(&first);
    let usurper_rows = station.requests("usurper", &generated(1, 5));
    let usurper = station.pack(&usurper_rows, 1);
    refused(&usurper, &[], "another bundle");
    station.sign(&plan, &station.approve(&plan)).ok();
    refused(&first, &[], "answered already");
    refused(&usurper, &[], "another bundle");
    refused(&third, &[], "number 2 is expected");
    let bundles = station.bodies().into_iter().filter(|b| matches!(b, Body::BundleReceived { .. })).count();
    assert_eq!(bundles, 1);
    station.check_log();
}

/// The same bundle under a signature that `pack` would not make.
fn resigned(station: &Station, bundle: &Path, key: &str, namespace: &str) -> PathBuf {
    let whole = fs::read(bundle).unwrap();
    let opened = coldroot::bundle::open(std::io::Cursor::new(&whole)).unwrap();
    let (opened, ()) = opened.verify(|_, _, _| Ok::<(), ()>(())).unwrap();
    let head = station.desk(&format!("head-{key}"));
    fs::write(&head, opened.head_bytes()).unwrap();
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-Y", "sign", "-q", "-n", namespace, "-f"]).arg(station.desk(key)).arg(&head);
    assert_eq!(Run::of(&mut sign).code, 0);
    let signature = fs::read_to_string(head.with_extension("sig")).unwrap();
    let mut made = Vec::new();
    let body = &whole[whole.len() - usize::try_from(opened.head().body_length).unwrap()..];
    coldroot::bundle::write_container(&mut made, opened.head_bytes(), &signature, &mut &*body).unwrap();
    let path = station.desk(&format!("{key}-{namespace}.bundle"));
    fs::write(&path, made).unwrap();
    path
}

fn time_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[test]
fn p06_one_bad_request_spoils_only_itself() {
    let station = Station::ready();
    let mut rows = generated(4, 1);
    // A signature that does not verify, octets that are no request, a name that is not validated, and a key used twice.
    let last = rows[0].csr.len() - 1;
    rows[0].csr[last] ^= 1;
    rows[2].names = vec!["validated.example.org".into()];
    rows.push(Row { request: "twice".into(), names: rows[1].names.clone(), csr: rows[1].csr.clone() });
    rows.extend(generated(1, 2).into_iter().map(|row| Row { request: "good".into(), ..row }));
    let bad: BTreeSet<String> = [0, 2].map(|n| rows[n].request.clone()).into();
    let good: BTreeSet<String> = [1, 3, 5].map(|n| rows[n].request.clone()).into();
    let requests = station.requests("mixed", &rows);
    let answer = station.plan(&station.pack(&requests, 1)).ok();
    let plan = PathBuf::from(answer["plan"].as_str().unwrap());
    station.sign(&plan, &station.approve(&plan)).ok();
    let (mut issued, mut refused) = (Vec::new(), Vec::new());
    for body in station.bodies() {
        match body {
            Body::Certificate(c) => issued.extend(c.request),
            Body::Refused { request, check, reason, .. } => {
                assert!(!check.is_empty() && reason.contains("; "), "{request}: no advice in `{reason}`");
                refused.push(request);
            }
            _ => {}
        }
    }
    let all: BTreeSet<String> = issued.iter().chain(&refused).cloned().collect();
    assert_eq!(issued.len() + refused.len(), rows.len(), "issued {issued:?}, refused {refused:?}");
    assert_eq!(all.len(), rows.len());
    assert!(bad.iter().all(|id| refused.contains(id)), "{refused:?}");
    assert!(good.iter().all(|id| issued.contains(id)), "{issued:?}");
    station.check_log();
}

#[test]
fn p01_check_counts_the_approvals_on_record() {
    let station = Station::ready();
    let key = VerifierKey::parse(&station.verifier_key()).unwrap();
    let own = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let judge = |hierarchy: &Hierarchy| {
        let trust = Trust { verifier_key: &key, hierarchy: Some(hierarchy), roots: &[], now: 0 };
        release::check(&station.path("out/release-0002"), &trust).map(|_| ())
    };
    judge(&Hierarchy::parse(&own).unwrap()).unwrap();
    // The same file in the eyes of a reader who asks for three persons, or whose officer has another key.
    let eve = fs::read_to_string(station.path("officers/mallory.pub")).unwrap();
    let bob = fs::read_to_string(station.path("officers/bob.pub")).unwrap();
    let third = own.replacen("roles = [\"operator\"]", "roles = [\"operator\", \"officer\"]", 1);
    let third = third.replacen("[[token]]", "[quorum]\ncertificates = { officer = 3 }\n\n[[token]]", 1);
    for text in [third, own.replace(bob.trim(), eve.trim())] {
        let mut other = Hierarchy::parse(&text).unwrap();
        other.digest = Digest::of(own.as_bytes());
        let refused = judge(&other).unwrap_err();
        assert!(matches!(refused, release::Error::Check { check: "approvals", .. }), "{refused}");
    }
}

#[test]
fn p04_unpacking_never_goes_back_and_touches_nothing_else() {
    let station = Station::ready();
    let key = station.verifier_key();
    let unpack = |n: u64, to: &str| {
        let release = format!("out/release-{n:04}");
        station.run(&["unpack", &release, "--to", to, "--verifier-key", &key, "--hierarchy", "hierarchy.toml"])
    };
    unpack(2, "www").ok();
    let newest = fs::read(station.path("www/log/checkpoint")).unwrap();
    unpack(1, "www").fails(1, "newer release");
    unpack(2, "www").ok();
    assert_eq!(fs::read(station.path("www/log/checkpoint")).unwrap(), newest);
    // A directory `log` of somebody else.
    fs::create_dir_all(station.path("var/log")).unwrap();
    fs::write(station.path("var/log/precious.txt"), "mine").unwrap();
    unpack(2, "var").fails(1, "not an audit log");
    assert_eq!(files(&station.path("var")).len(), 1);
    // Stopped between taking the old log away and putting the new one in: nothing is lost.
    fs::rename(station.path("www/log"), station.path("www/log.old")).unwrap();
    unpack(1, "www").fails(1, "newer release");
    assert_eq!(fs::read(station.path("www/log/checkpoint")).unwrap(), newest);
}

#[test]
fn p02_a_release_that_lies_there_gets_its_receipt_only_after_a_check() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(1, 1));
    let approvals = station.approve(&plan);
    fs::create_dir_all(station.path("out/release-0003")).unwrap();
    station.sign(&plan, &approvals).fails(3, "not the release on record");
    assert!(!station.bodies().iter().any(|b| matches!(b, Body::ReleaseWritten { release: 3, .. })));
    fs::remove_dir(station.path("out/release-0003")).unwrap();
    station.sign(&plan, &approvals).ok();
    station.check_log();
}

#[test]
fn p07_what_is_shown_on_a_terminal_is_ascii() {
    let station = Station::bare();
    let hostile = "a\u{1b}[31m\u{202e}\u{9b}b";
    fs::write(station.path("evil.statement"), format!("coldroot-statement-v0\n{hostile}\n")).unwrap();
    fs::write(station.path("evil.ceremony"), format!("format = \"coldroot-ceremony-v0\"\n# {hostile}\n")).unwrap();
    fs::write(station.path("evil.toml"), "format = \"coldroot-hierarchy-v0\"\n\"na\\u001b[31me\" = 1\n").unwrap();
    for args in [vec!["show", "evil.statement"], vec!["show", "evil.ceremony"], vec!["check", "evil.toml"]] {
        for more in [vec![], vec!["--json"]] {
            let run = Run::of(Command::new(COLDROOT).args(&args).args(more).current_dir(station.dir()));
            let said = format!("{}{}", run.out, run.err);
            assert!(said.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{said:?}");
            assert!(said.contains("1b"), "{said}");
        }
    }
    Run::of(Command::new(COLDROOT).args(["--json", "show", "/dev/zero"])).fails(1, "no regular file");
}

#[test]
fn p07_hostile_files_get_an_answer_from_every_verb() {
    let station = Station::ready();
    let deep = [vec![0x9f; 70_000], vec![0xff; 70_000]].concat();
    let text = "format = \"coldroot-hierarchy-v0\"\nname = \"\u{202e}x\"\n".as_bytes().to_vec();
    let wide =
        [coldroot::cbor::magic(coldroot::bundle::MAGIC), vec![0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]];
    let seq = [vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff], vec![0; 64]].concat();
    for (n, content) in [vec![], vec![0], deep, text, wide.concat(), seq].into_iter().enumerate() {
        let path = station.desk(&format!("hostile-{n}"));
        fs::write(&path, content).unwrap();
        let (before, hostile) = (station.state(), path.clone());
        let path = path.to_str().unwrap();
        for args in [
            &["show", path][..],
            &["check", path],
            &["plan", "--bundle", path],
            &["plan", "--ceremony", path],
            &["approve", path, "--person", "alice", "--key", "officers/alice"],
            &["sign", "--plan", path, "--operator", "carol", "--witness", "dave"],
        ] {
            let run = station.run(args);
            assert!(!run.err.contains("panicked"), "{args:?}: {run:?}");
            let json = run.json();
            if json["kind"] == "empty file" {
                // Programs lock such files: it is said what they are, and `check` has nothing to check.
                let code = if args[0] == "show" { 0 } else { 2 };
                assert!(n == 0 && run.code == code, "{args:?}: {run:?}");
                continue;
            }
            assert!([1, 2, 4].contains(&run.code), "{args:?}: {run:?}");
            assert!(json["error"].as_str().unwrap().is_ascii(), "unescaped: {json}");
        }
        station.only_read_in(&before, &hostile);
    }
}

#[test]
fn p04_a_station_begins_once() {
    let station = Station::ready();
    let before = station.state();
    let key = station.verifier_key();
    station.init().fails(1, "initialised");
    // Not even in an empty directory: the token knows.
    let audit = station.save_audit("kept");
    fs::remove_dir_all(station.path("audit")).unwrap();
    station.init().fails(1, "initialised");
    assert!(!station.path("audit").exists());
    station.restore_audit(&audit);
    assert!(station.state() == before && station.verifier_key() == key);

    let bare = Station::bare();
    bare.run(&["init"]).fails(1, "no approval");
    bare.run(&["init", "--approval", "hierarchy.toml.alice.sig"]).fails(1, "2 of role officer");
    bare.run(&["token", "init", "--token", "main"]).fails(1, "serial");
    assert!(!bare.path("audit").exists() && !bare.path("verifier-key").exists());
    bare.init().ok();
    bare.check_log();
}
