//! The desk: tables, request files, bundles to be made, releases that came back.

use std::fs;

use crate::book::Book;
use crate::harness::copy_tree;
use crate::harness::station::{Station, generated};

#[test]
fn p07_tables_requests_and_releases_at_the_desk() {
    let station = Station::ready();
    let desk = |name: &str| station.desk(name).to_str().unwrap().to_owned();
    let (key, other) = (desk("desk-1"), desk("other"));
    let row = generated(1, 3).pop().unwrap();
    let names = row.names.join(" ");
    let header = "request,profile,requester,names\n";
    let good = format!("{header}r1,xmpp-server,h@example.org,{names}\n");
    let out = desk("new.bundle");
    let mut made = 0;
    let mut requests = |table: &str, files: &[(&str, &[u8])]| {
        made += 1;
        let dir = station.desk(&format!("table-{made}"));
        fs::create_dir_all(&dir).unwrap();
        if !table.is_empty() {
            fs::write(dir.join("requests.csv"), table).unwrap();
        }
        for (name, content) in files {
            fs::write(dir.join(name), content).unwrap();
        }
        dir.to_str().unwrap().to_owned()
    };
    let csr = row.csr.as_slice();
    let file: &[(&str, &[u8])] = &[("r1.der", csr)];
    let cases: Vec<(&str, String)> = vec![
        ("table: none", requests("", file)),
        ("table: no row", requests(header, &[])),
        ("table: a column that is none", requests(&good.replace("names\n", "names,note\n"), file)),
        ("table: a column is missing", requests("request,profile,names\nr1,xmpp-server,a.example\n", file)),
        ("table: a field too few", requests(&format!("{header}r1,xmpp-server,h@example.org\n"), file)),
        ("table: an id that is a path", requests(&good.replace("r1,", "../r1,"), file)),
        (
            "table: one id twice, in capitals",
            requests(&format!("{good}R1,xmpp-server,h,a.example\n"), &[("r1.der", csr), ("R1.der", csr)]),
        ),
        ("table: no requester", requests(&good.replace("h@example.org", ""), file)),
        ("table: no names", requests(&format!("{header}r1,xmpp-server,h@example.org,\n"), file)),
        (
            "table: a name with a letter that no domain name has",
            requests(&format!("{header}r1,xmpp-server,h@example.org,b\u{2603}cher.example\n"), file),
        ),
        ("table: a profile that is not declared", requests(&good.replace("xmpp-server", "web"), file)),
        ("table: a CA's profile", requests(&good.replace("xmpp-server", "intermediate"), file)),
        ("requests: a file is missing", requests(&good, &[])),
        ("requests: a file in two forms", requests(&good, &[("r1.der", csr), ("r1.csr", csr)])),
        ("requests: a file without a row", requests(&good, &[("r1.der", csr), ("r2.der", csr)])),
        (
            "requests: no request",
            requests(&good, &[("r1.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]),
        ),
        ("requests: an empty file", requests(&good, &[("r1.der", b"")])),
    ];
    let mut book = Book::new(&station);
    let pack = |dir: &str, more: &[&str]| {
        let fixed = ["pack", "--desk", "desk-1", "--requests", dir, "--out", &out];
        fixed.iter().chain(more).map(|arg| arg.to_string()).collect::<Vec<_>>()
    };
    let first = ["--key", key.as_str(), "--sequence", "1"];
    for (defect, dir) in &cases {
        let args = pack(dir, &first);
        book.refuse(defect, 1, &args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(!station.desk("new.bundle").exists(), "{defect}: a bundle was left");
    }
    let dir = requests(&good, file);
    let mut refuse = |defect: &str, more: &[&str]| {
        let args = pack(&dir, more);
        book.refuse(defect, 1, &args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(!station.desk("new.bundle").exists(), "{defect}: a bundle was left");
    };
    refuse("pack: a key that is not the desk's", &["--key", &other, "--sequence", "1"]);
    refuse("pack: no such key", &["--key", "nowhere", "--sequence", "1"]);
    let nothing = desk("table-1");
    refuse(
        "pack: the answered release has no checkpoint",
        &["--key", &key, "--sequence", "1", "--release", "2", "--answers", &nothing],
    );
    refuse("pack: no such hierarchy", &["--key", &key, "--sequence", "1", "--hierarchy", "nowhere.toml"]);

    // A release that came back changed, or to the wrong place.
    let release = station.desk("release");
    copy_tree(&station.path("out/release-0002"), &release);
    let (shown, to, verifier) = (release.to_str().unwrap(), desk("www"), station.verifier_key());
    let unpack =
        |verifier: &str| ["unpack", shown, "--to", &to, "--verifier-key", verifier].map(str::to_owned).to_vec();
    let strange = Station::ready().verifier_key();
    let mut unpacked = |defect: &str, code: i32, args: Vec<String>| {
        book.refuse(defect, code, &args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(!station.desk("www").exists(), "{defect}: something was unpacked");
    };
    unpacked("release: another log's key", 4, unpack(&strange));
    unpacked("release: no verifier key", 2, unpack("hello"));
    for name in ["release.cbor", "log.cbor", "manifest.cbor", "checkpoint"] {
        let path = release.join(name);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        // The end of the log is an artefact, whatever its length.
        let at = if name == "log.cbor" { changed.len() - 1 } else { changed.len() / 2 };
        changed[at] ^= 1;
        fs::write(&path, changed).unwrap();
        let run = station.run(&["check", shown, "--verifier-key", &verifier]);
        unpacked(&format!("release: a changed octet in {name}"), run.code, unpack(&verifier));
        fs::remove_file(&path).unwrap();
        unpacked(&format!("release: {name} is missing"), 4, unpack(&verifier));
        fs::write(&path, whole).unwrap();
    }
    assert!(book.close("desk") >= 30);
}
