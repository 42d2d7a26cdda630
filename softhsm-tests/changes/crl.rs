//! A CRL of one of the station's CAs that was signed elsewhere.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use coldroot::audit::entry::Body;
use coldroot::text::hex;
use coldroot::x509;

use super::harness::station::{Run, Station, now};
use super::{approved, mark, refused, stopped_anywhere, with};

fn adopt<'a>(file: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    let people = ["--operator", "carol", "--witness", "dave", "--reason", "its log was lost"];
    ["adopt-crl", file].iter().chain(&people).chain(extra).copied().collect()
}

/// The newest CRL of the CA for servers on record, DER.
fn newest(station: &Station) -> Vec<u8> {
    let crl = |body| match body {
        Body::Crl(crl) if crl.ca == "xmpp-1" => Some(crl.crl.hex()),
        _ => None,
    };
    let hex = station.bodies().into_iter().filter_map(crl).next_back().unwrap();
    fs::read(station.path(&format!("audit/artefact/{}/{hex}", &hex[..2]))).unwrap()
}

/// A station, and the CRL that the same keys have signed elsewhere: number 2, with one certificate that this station has never
/// heard of. Its serial, in hex.
fn lost() -> (Station, String) {
    let station = Station::ready();
    let elsewhere = station.copy();
    elsewhere.carried_out(&elsewhere.planned(&elsewhere.bundle(2, 1)));
    let serial = elsewhere.serial_of(&elsewhere.leaves()[0].0);
    // The CRL is younger than all that this station has on record, by more than a second.
    while now() < station.entries().last().unwrap().time + 2 {
        sleep(Duration::from_millis(100));
    }
    elsewhere.carried_out(&elsewhere.planned_by(&["--revoke", &serial, "--reason", "superseded"]));
    fs::write(station.path("lost.crl"), newest(&elsewhere)).unwrap();
    (station, serial)
}

#[test]
fn p04_a_crl_from_elsewhere_is_adopted_and_gone_on_with() {
    let (station, serial) = lost();
    let (statement, approvals) = approved(&station, &adopt("lost.crl", &[]), &["alice", "bob"]);
    for line in ["adopt-crl: CRL 2 of CA xmpp-1\n", "adopt-crl: it has 1 entries, 1 of certificates unknown here\n"] {
        assert!(statement.contains(line), "`{line}` is missing:\n{statement}");
    }
    refused(&station, &with(&adopt("lost.crl", &[]), &approvals[..1]), 1, "2 of role officer must approve");
    station.run(&with(&adopt("lost.crl", &[]), &approvals)).ok();
    assert_eq!(mark(&station).changes, 1);
    station.check_log();
    // The next one has a greater number, and still says so.
    station.carried_out(&station.planned_by(&["--crl", "xmpp-1"]));
    let next = x509::read_crl(&newest(&station)).unwrap();
    let serials: Vec<String> = next.revoked.iter().map(|on| hex(&on.serial)).collect();
    assert_eq!((next.number, serials), (3, vec![serial]));
    station.check_log();
    let key = station.verifier_key();
    station.run(&["check", "out/release-0003", "--verifier-key", &key, "--hierarchy", "hierarchy.toml"]).ok();
    refused(&station, &adopt("out/release-0003/manifest.cbor", &[]), 1, "is nothing that coldroot knows");
}

#[test]
fn p04_what_is_no_crl_of_this_station_is_refused() {
    let (station, _) = lost();
    let lost = fs::read(station.path("lost.crl")).unwrap();
    refused(&station, &adopt("hierarchy.toml", &[]), 1, "is no CRL");
    let mut damaged = lost.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(station.path("damaged.crl"), damaged).unwrap();
    refused(&station, &adopt("damaged.crl", &[]), 1, "the CRL is not one of CA `xmpp-1`");
    let before = coldroot::text::utc(x509::read_crl(&lost).unwrap().this_update - 1);
    refused(&station, &adopt("lost.crl", &["--now", &before]), 1, "the CRL is of ");
    // Another issuer, and kinds of CRLs that are not whole.
    for (name, extensions, saying) in [
        ("other", "crlNumber_only", "the CRL's issuer is none of the CAs on record"),
        ("part", "part", "one part of a CRL that was partitioned"),
        ("delta", "delta", "a delta CRL"),
    ] {
        let file = by_openssl(&station, name, extensions);
        refused(&station, &adopt(&file, &[]), 1, saying);
    }
    // What asks to be understood, and is not: something unknown, and something known out of its place. The signature is asked for last.
    for (name, oid, value) in [("unknown", "060b2b06010401868d1f010203", "0500"), ("misplaced", "0603551d13", "3000")] {
        let [oid, value] = [oid, value].map(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap());
        let der = extended(&lost, &[&oid[..], &[1, 1, 0xff], &element(4, &value)].concat());
        let file = format!("{name}.crl");
        fs::write(station.path(&file), &der).unwrap();
        let oid = x509::read_crl(&der).unwrap().critical[0].clone();
        assert!(["1.3.6.1.4.1.99999.1.2.3", "2.5.29.19"].contains(&oid.as_str()), "{oid}");
        let saying = format!("the CRL of CA `xmpp-1` has the critical extension {oid}, which nobody here understands");
        refused(&station, &adopt(&file, &[]), 1, &saying);
    }
    // One of the station's own brings nothing.
    station.carried_out(&station.planned_by(&["--crl", "xmpp-1"]));
    fs::write(station.path("own.crl"), newest(&station)).unwrap();
    refused(&station, &adopt("own.crl", &[]), 1, "CRL 1 of CA `xmpp-1` brings nothing");
}

/// A DER element of this tag.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match u16::try_from(content.len()).unwrap() {
        short @ 0..=0x7f => vec![short as u8],
        one @ 0x80..=0xff => vec![0x81, one as u8],
        two => [&[0x82][..], &two.to_be_bytes()].concat(),
    };
    [&[tag][..], &length, content].concat()
}

/// The content of the DER element at the beginning, and what is behind it.
fn inside(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, head) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        0x81 => (usize::from(der[2]), 3),
        _ => (usize::from(u16::from_be_bytes([der[2], der[3]])), 4),
    };
    der[head..].split_at(length)
}

/// A CRL with another extension behind those that it has.
fn extended(crl: &[u8], extension: &[u8]) -> Vec<u8> {
    let (whole, _) = inside(crl);
    let (tbs, signature) = inside(whole);
    // The extensions are what stands last.
    let mut at = tbs;
    while at[0] != 0xa0 {
        at = inside(at).1;
    }
    let before = &tbs[..tbs.len() - at.len()];
    let list = [inside(inside(at).0).0, &element(0x30, extension)].concat();
    let tbs = [before, &element(0xa0, &element(0x30, &list))].concat();
    element(0x30, &[&element(0x30, &tbs), signature].concat())
}

/// The revocation that must be made here first takes the number that the CRL from elsewhere has.
#[test]
fn p04_a_number_that_was_used_up_here_does_not_keep_a_revocation_out() {
    let station = Station::ready();
    station.carried_out(&station.planned(&station.bundle(2, 1)));
    let elsewhere = station.copy();
    let known = elsewhere.serial_of(&elsewhere.leaves()[0].0);
    elsewhere.carried_out(&elsewhere.planned(&elsewhere.bundle(1, 2)));
    let unknown = elsewhere.serial_of(&elsewhere.leaves()[2].0);
    elsewhere.carried_out(&elsewhere.planned_by(&[
        "--revoke",
        &known,
        "--revoke",
        &unknown,
        "--reason",
        "cessation-of-operation",
    ]));
    fs::write(station.path("lost.crl"), newest(&elsewhere)).unwrap();
    let refused = station.run(&adopt("lost.crl", &[])).fails(1, "name certificates that are on record and not revoked");
    // As it stands there.
    let command = refused["hint"].as_str().unwrap().split("coldroot ").nth(1).unwrap();
    let command: Vec<&str> = command.split(' ').collect();
    assert_eq!(command[2..], ["plan", "--revoke", &known, "--reason", "cessation-of-operation"]);
    let plan = station.run(&command).ok();
    station.carried_out(std::path::Path::new(plan["plan"].as_str().unwrap()));
    assert_eq!(x509::read_crl(&newest(&station)).unwrap().number, 2);
    let (statement, approvals) = approved(&station, &adopt("lost.crl", &[]), &["alice", "bob"]);
    for line in ["adopt-crl: CRL 2 of CA xmpp-1\n", "adopt-crl: it has 2 entries, 1 of certificates unknown here\n"] {
        assert!(statement.contains(line), "`{line}` is missing:\n{statement}");
    }
    station.run(&with(&adopt("lost.crl", &[]), &approvals)).ok();
    station.carried_out(&station.planned_by(&["--crl", "xmpp-1"]));
    let next = x509::read_crl(&newest(&station)).unwrap();
    let mut serials: Vec<String> = next.revoked.iter().map(|on| hex(&on.serial)).collect();
    serials.sort();
    let mut both = [known, unknown];
    both.sort();
    assert_eq!((next.number, serials), (3, both.to_vec()));
    station.check_log();
}

#[test]
fn p04_a_certificate_on_record_is_revoked_here_first() {
    let station = Station::ready();
    station.carried_out(&station.planned(&station.bundle(2, 1)));
    let elsewhere = station.copy();
    let serial = elsewhere.serial_of(&elsewhere.leaves()[0].0);
    elsewhere.carried_out(&elsewhere.planned_by(&["--revoke", &serial, "--reason", "superseded"]));
    elsewhere.carried_out(&elsewhere.planned_by(&["--crl", "xmpp-1"]));
    fs::write(station.path("lost.crl"), newest(&elsewhere)).unwrap();
    refused(&station, &adopt("lost.crl", &[]), 1, "name certificates that are on record and not revoked");
    station.carried_out(&station.planned_by(&["--revoke", &serial, "--reason", "superseded"]));
    let (statement, approvals) = approved(&station, &adopt("lost.crl", &[]), &["alice", "bob"]);
    assert!(statement.contains("it has 1 entries, 0 of certificates unknown here"), "{statement}");
    station.run(&with(&adopt("lost.crl", &[]), &approvals)).ok();
    station.carried_out(&station.planned_by(&["--crl", "xmpp-1"]));
    assert_eq!(x509::read_crl(&newest(&station)).unwrap().number, 4);
    station.check_log();
}

#[test]
fn p03_the_adoption_of_a_crl_stopped_anywhere_is_made_once() {
    let (station, _) = lost();
    let (_, approvals) = approved(&station, &adopt("lost.crl", &[]), &["alice", "bob"]);
    let args = with(&adopt("lost.crl", &[]), &approvals);
    stopped_anywhere(&station, &args, |copy, point, again| {
        assert_eq!(again.code, 0, "{point}: {again:?}");
        let made = copy.bodies().into_iter().filter(|body| matches!(body, Body::CrlAdopted(_))).count();
        assert_eq!((made, mark(&copy).changes), (1, 1), "{point}");
        copy.check_log();
    });
}

/// A CRL of another CA, with the extensions of this section.
fn by_openssl(station: &Station, name: &str, section: &str) -> String {
    let config = "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\ncrlnumber = crlnumber\ndefault_md = sha256\ndefault_crl_days = 30\n\
        [crlNumber_only]\nauthorityKeyIdentifier = keyid\n\
        [part]\nauthorityKeyIdentifier = keyid\nissuingDistributionPoint = critical, @idp\n\
        [idp]\nonlyuser = TRUE\n\
        [delta]\nauthorityKeyIdentifier = keyid\n2.5.29.27 = critical, DER:020101\n\
        [req]\ndistinguished_name = dn\nx509_extensions = v3\n[dn]\n[v3]\nsubjectKeyIdentifier = hash\nbasicConstraints = critical, CA:TRUE\n";
    let dir = station.desk(&format!("crl-{name}"));
    fs::create_dir_all(&dir).unwrap();
    for (file, text) in [("ca.cnf", config), ("index.txt", ""), ("crlnumber", "05\n")] {
        fs::write(dir.join(file), text).unwrap();
    }
    let openssl = |args: &str| {
        let run = Run::of(Command::new("openssl").current_dir(&dir).args(args.split(' ')));
        assert_eq!(run.code, 0, "{args}: {run:?}");
    };
    openssl(
        "req -x509 -config ca.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out ca.pem -days 30 -subj /CN=Other",
    );
    openssl(&format!("ca -config ca.cnf -gencrl -keyfile key.pem -cert ca.pem -crlexts {section} -out crl.pem"));
    openssl("crl -in crl.pem -outform DER -out crl.der");
    let file = format!("{name}.crl");
    fs::copy(dir.join("crl.der"), station.path(&file)).unwrap();
    file
}
