//! Keys that are no secret: each test on a whole station. A list that cannot be used stops every certificate and no revocation.

#[path = "weak_keys/batch.rs"]
mod batch;
mod harness;

use std::fs;
use std::path::Path;
use std::process::Command;

use coldroot::audit::entry::Body;
use coldroot::digest::Digest;
use coldroot::plan::Plan;
use coldroot::weak_keys::blocklist::badkeys_hash;
use coldroot::x509::{PublicKey, Request};
use dashu_int::UBig;
use dashu_int::fast_div::ConstDivisor;
use harness::openssl::{openssl, text};
use harness::station::{COLDROOT, HIERARCHY, Row, Station, generated};

fn key(row: &Row) -> PublicKey {
    PublicKey::from_spki(&Request::parse(&row.csr).unwrap().spki).unwrap()
}

fn refusals(plan: &Path) -> Vec<(String, String)> {
    Plan::open(plan).unwrap().refusals().unwrap().into_iter().map(|r| (r.request, r.check)).collect()
}

/// A station with both forms of lists, in which no key of ours stands yet.
fn listing() -> Station {
    let lists = "[keys]\nblock-lists = [\"compromised.txt\"]\nbadkeys-lists = [\"blocklist.dat\"]\n\n[[token]]";
    let station = Station::bare_of(HIERARCHY.replacen("[[token]]", lists, 1));
    fs::write(station.path("compromised.txt"), format!("{}\n", Digest::of(b"nobody"))).unwrap();
    fs::write(station.path("blocklist.dat"), [7; 16]).unwrap();
    station.init().ok();
    for _ in ["keys", "certificates"] {
        let plan = station.planned_ceremony();
        station.carried_out(&plan);
    }
    station
}

#[test]
fn p01_a_key_of_a_block_list_gets_no_certificate_and_the_plan_names_the_list() {
    let station = listing();
    let rows = generated(4, 1);
    let text = format!("# May\n{}  # row 1\n", key(&rows[1]).digest());
    let record = [&badkeys_hash(&key(&rows[2]))[..], &[3]].concat();
    fs::write(station.path("compromised.txt"), &text).unwrap();
    fs::write(station.path("blocklist.dat"), &record).unwrap();
    let plan = station.planned(&station.pack(&station.requests("rows", &rows), 1));
    let wanted = [1, 2].map(|n: usize| (rows[n].request.clone(), "blocked-key".to_owned()));
    assert_eq!(refusals(&station.dir().join(&plan)), wanted);
    let lists = [Digest::of(text.as_bytes()), Digest::of(&record)];
    assert_eq!(Plan::open(&station.dir().join(&plan)).unwrap().head().block_lists, lists);
    let shown = Command::new(COLDROOT).arg("show").arg(station.dir().join(&plan)).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(lists.iter().all(|list| shown.contains(&list.hex())), "{shown}");
    station.carried_out(&plan);
    assert_eq!(station.leaves().len(), 2);
    let refused = station
        .bodies()
        .into_iter()
        .filter(|body| matches!(body, Body::Refused { check, .. } if check == "blocked-key"));
    assert_eq!(refused.count(), 2);
    station.check_log();
}

#[test]
fn p07_a_list_that_cannot_be_used_stops_certificates_and_no_revocation() {
    let station = listing();
    let rows = generated(2, 1);
    let first = station.planned(&station.pack(&station.requests("rows", &rows[..1]), 1));
    station.carried_out(&first);
    let bundle = station.pack(&station.requests("more", &rows[1..]), 2);
    let (text, data) = (station.path("compromised.txt"), station.path("blocklist.dat"));
    let good = |path: &Path| fs::read(path).unwrap();
    let (good_text, good_data) = (good(&text), good(&data));
    let before = station.state();
    let cases: [(&Path, Option<&[u8]>, &str, &str); 5] = [
        (&text, None, "cannot read the block list", "put the file there"),
        (&text, Some(b"# x\nnothing\n"), "damaged in line 2", "mend the line"),
        (&data, Some(&[7; 17]), "17 octets, which are no whole records of 16", "blocklist_sha256"),
        (&data, Some(&[[7; 16], [6; 16]].concat()), "record 1 is out of order", "blocklist_sha256"),
        (&data, Some(b""), "names no key", "compare the file"),
    ];
    for (path, content, saying, next) in cases {
        match content {
            Some(content) => fs::write(path, content).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        let json = station.plan(&bundle).fails(1, saying);
        assert!(json["hint"].as_str().unwrap().contains(next), "{json}");
        assert!(station.state() == before, "refused ({saying}), and something was left behind");
        fs::write(&text, &good_text).unwrap();
        fs::write(&data, &good_data).unwrap();
    }
    fs::remove_file(&text).unwrap();
    let serial = station.serial_of(&rows[0].request);
    let plan = station.planned_by(&["--revoke", &serial, "--reason", "superseded"]);
    station.carried_out(&plan);
    assert!(Plan::open(&station.dir().join(&plan)).unwrap().head().block_lists.is_empty());
    fs::write(&text, &good_text).unwrap();
    let plan = station.planned(&bundle);
    station.carried_out(&plan);
    assert_eq!(station.leaves().len(), 2);
    station.check_log();
}

/// The primes of an RSA key that openssl makes.
fn primes(dir: &Path) -> [UBig; 2] {
    let file = dir.join("made.der");
    openssl(&[
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-outform",
        "DER",
        "-out",
        text(&file),
    ]);
    openssl(&["rsa", "-traditional", "-inform", "DER", "-outform", "DER", "-in", text(&file), "-out", text(&file)]);
    // RFC 8017 A.1.2: version, n, e, d, p, q and what follows from them.
    let der = fs::read(&file).unwrap();
    let mut all = Vec::new();
    let read = yasna::parse_der(&der, |reader| {
        reader.read_sequence_of(|number| {
            all.push(number.read_bigint_bytes()?.0);
            Ok(())
        })
    });
    read.unwrap();
    [4, 5].map(|n: usize| UBig::from_be_bytes(&all[n]))
}

/// A request under the RSA key of these two primes.
fn request(dir: &Path, id: &str, [p, q]: [&UBig; 2]) -> Row {
    let one = UBig::ONE;
    let (e, phi) = (UBig::from(65537u32), (p - &one) * (q - &one));
    let inverse =
        |of: &UBig, modulus: &UBig| ConstDivisor::new(modulus.clone()).reduce(of.clone()).inv().unwrap().residue();
    let d = inverse(&e, &phi);
    let (dp, dq, qinv) = (&d % (p - &one), &d % (q - &one), inverse(q, p));
    let numbers = [&UBig::ZERO, &(p * q), &e, &d, p, q, &dp, &dq, &qinv].map(|n| n.to_be_bytes());
    let der = yasna::construct_der(|writer| {
        writer.write_sequence(|sequence| numbers.iter().for_each(|n| sequence.next().write_bigint_bytes(n, true)))
    });
    let (key, csr) = (dir.join("key.der"), dir.join("csr.der"));
    fs::write(&key, der).unwrap();
    let (name, san) = (format!("/CN={id}.example.org"), format!("subjectAltName=DNS:{id}.example.org"));
    let form = ["req", "-new", "-keyform", "DER", "-outform", "DER", "-key", text(&key), "-out", text(&csr)];
    let said = openssl(&[&form[..], &["-subj", &name, "-addext", &san]].concat());
    assert!(said.contains("status: 0"), "{said}");
    Row { request: id.into(), names: vec![format!("{id}.example.org")], csr: fs::read(&csr).unwrap() }
}

#[test]
fn p01_requests_that_share_a_prime_are_refused_and_a_recorded_one_is_named() {
    let station = Station::ready();
    let dir = tempfile::tempdir().unwrap();
    let [first, second, third, good, made_up] = [(); 5].map(|_| primes(dir.path()));
    let recorded = request(dir.path(), "recorded", [&first[0], &first[1]]);
    let plan = station.planned(&station.pack(&station.requests("first", &[recorded]), 1));
    station.carried_out(&plan);
    let serial = station.serial_of("recorded");
    let mut rows = generated(2, 1);
    rows.extend([
        request(dir.path(), "one", [&second[0], &second[1]]),
        request(dir.path(), "good", [&good[0], &good[1]]),
        request(dir.path(), "other", [&second[0], &third[1]]),
        request(dir.path(), "late", [&third[0], &first[1]]),
    ]);
    // A modulus made to share a factor with a good key gets that key refused only by who proves to hold it.
    let mut unproven = request(dir.path(), "unproven", [&good[0], &made_up[1]]);
    *unproven.csr.last_mut().unwrap() ^= 1;
    rows.push(unproven);
    let bundle = station.pack(&station.requests("second", &rows), 2);
    let run = station.plan(&bundle);
    assert!(run.err.contains(&format!("WARNING: certificate {serial}: its RSA key shares a prime")), "{run:?}");
    let plan = station.dir().join(run.ok()["plan"].as_str().unwrap());
    let shared = ["one", "other", "late"].map(|id| (id.to_owned(), "shared-factor".to_owned()));
    let unproven = ("unproven".to_owned(), "proof-of-possession".to_owned());
    assert_eq!(refusals(&plan), [&shared[..], &[unproven]].concat());
    let mut opened = Plan::open(&plan).unwrap();
    assert_eq!(opened.head().broken_keys, [format!("certificate {serial}")]);
    // No requester reads in a refusal whose key he could compute.
    assert!(opened.refusals().unwrap().iter().all(|r| !r.reason.contains(&serial) && !r.reason.contains("recorded")));
    let shown = Command::new(COLDROOT).arg("show").arg(&plan).output().unwrap();
    assert!(String::from_utf8(shown.stdout).unwrap().contains(&serial));
    station.carried_out(&plan);
    let issued: Vec<String> = station.leaves().into_iter().map(|(request, ..)| request).collect();
    assert_eq!(issued, ["recorded", &rows[0].request, &rows[1].request, "good"]);
    let revoke = station.planned_by(&["--revoke", &serial, "--reason", "key-compromise"]);
    station.carried_out(&revoke);
    // The good one renews: its own certificate on record is no other key.
    let again = station.planned(&station.pack(&station.requests("again", &rows[3..4]), 3));
    assert_eq!(refusals(&station.dir().join(&again)), []);
    station.check_log();
}
