//! Tokens: modules that are none, tokens that are not there, and tokens on a bad day.

use std::fs;

use crate::book::Book;
use crate::harness::faulty::{hierarchy, mend, module, not_asked, play};
use crate::harness::station::{PIN, Station};
use crate::harness::{files, softhsm};

#[test]
fn p07_modules_and_tokens_before_a_login() {
    let station = Station::bare();
    let good = fs::read_to_string(station.path("hierarchy.toml")).unwrap();
    let serial = good.lines().find(|line| line.starts_with("serial = ")).unwrap().to_owned();
    let module = format!("module = \"{}\"", softhsm().display());
    let label = "label = \"road\"\n";
    let named = format!("{label}{serial}\n");
    let uri = |text: &str| format!("uri = \"pkcs11:{text}\"\n");
    let same = String::new();
    let check = "check hierarchy.toml";
    let edits = [
        ("token: its module is not there", "token list", module.clone(), "module = \"/nowhere/libnone.so\"".to_owned()),
        ("token: its module is no library", "token list", module, "module = \"/etc/passwd\"".to_owned()),
        ("token: initialised already", "token init --token main", same.clone(), same.clone()),
        ("token: not declared", "token init --token safe", same.clone(), same),
        ("token: a URI with a PIN in it", check, named.clone(), uri("token=road?pin-value=1234")),
        ("token: a URI with a slot", check, named.clone(), uri("token=road;slot-id=0")),
        ("token: a URI with a module of its own", check, named.clone(), uri("token=road?module-path=/tmp/x.so")),
        ("token: a URI of a key", check, named.clone(), uri("token=road;object=root")),
        ("token: a URI with an attribute that is none", check, named, uri("token=road;colour=red")),
        ("token: label and URI both", check, label.to_owned(), format!("{label}{}", uri("token=road"))),
    ];
    let mut book = Book::new(&station);
    for (defect, args, from, to) in &edits {
        fs::write(station.path("hierarchy.toml"), good.replacen(from.as_str(), to, 1)).unwrap();
        book.turn();
        let code = if args.starts_with("check") { 2 } else { 1 };
        book.refuse(defect, code, &args.split(' ').collect::<Vec<_>>());
    }
    // Approved, and still the token is another one: nothing is made on it.
    for (defect, from, to) in [
        ("token: another serial", serial.as_str(), "serial = \"0123456789abcdef\""),
        ("token: another label", label, "label = \"street\"\n"),
        ("token: no serial yet", serial.as_str(), ""),
    ] {
        fs::write(station.path("hierarchy.toml"), good.replacen(from, to, 1)).unwrap();
        for person in ["alice", "bob"] {
            let _ = fs::remove_file(station.path(&format!("hierarchy.toml.{person}.sig")));
        }
        station.approve(std::path::Path::new("hierarchy.toml"));
        book.turn();
        book.refuse(defect, 1, &station.init_args());
    }
    assert!(book.close("tokens") >= 13);
}

#[test]
fn p08_tokens_on_a_bad_day() {
    assert!(module().exists());
    let station = Station::ready_of(hierarchy("retries = 2"));
    let plan = station.planned(&station.bundle(2, 1));
    let approvals = station.approve(&plan);
    let args = station.sign_args(&plan, &approvals);
    let mut book = Book::new(&station);
    let mut day = |defect: &str, code: i32, script: &str| {
        play(&station, script);
        book.turn();
        book.refuse_at_token(defect, code, &args);
    };
    // Before a try: the token is not asked.
    day("token: its PIN is locked", 1, "C_GetTokenInfo=flags:0x40000");
    not_asked(&station);
    play(&station, "C_GetTokenInfo=flags:0x20000");
    book.turn();
    book.refuse_at_token("token: the next wrong PIN locks it", 1, &args);
    not_asked(&station);
    fs::write(station.path("pin.txt"), "0000-wrong\n").unwrap();
    mend(&station);
    book.turn();
    book.refuse_at_token("token: a wrong PIN", 1, &args);
    fs::write(station.path("pin.txt"), format!("{PIN}\n")).unwrap();
    let mut day = |defect: &str, code: i32, script: &str| {
        play(&station, script);
        book.turn();
        book.refuse_at_token(defect, code, &args);
    };
    day("token: CKR_PIN_EXPIRED", 1, "C_Login=0xA3");
    day("token: a login that fails in the device", 3, "C_Login=0x30");
    day("token: a key that can leave it", 3, "C_GetAttributeValue=attribute:0x162:01:xmpp-1");
    day("token: CKR_KEY_FUNCTION_NOT_PERMITTED", 1, "C_SignInit=0x68");
    day("token: CKR_DEVICE_ERROR, three times", 3, "C_Sign=0x30");
    day("token: wrong signatures", 3, "C_Sign=garble");
    // Gone, with everything on it.
    mend(&station);
    let away = station.desk("token-away");
    fs::rename(station.path("token"), &away).unwrap();
    fs::create_dir(station.path("token")).unwrap();
    book.turn();
    book.refuse_at_token("token: it was taken out", 1, &args);
    fs::remove_dir_all(station.path("token")).unwrap();
    fs::rename(&away, station.path("token")).unwrap();
    assert!(!files(&station.path("token")).is_empty());
    assert!(book.close("bad-days") >= 10);
    // And then it works, and each certificate exists once.
    station.sign(&plan, &approvals).ok();
    assert_eq!(station.leaves().len(), 2);
    station.check_log();
}
