//! What comes from desks and validators: each test on a whole station. A refused bundle records nothing, leaves nothing, and no
//! token is asked for anything; a refused request or revocation is answered by name and spoils only itself.

#[path = "desks/alone.rs"]
mod alone;
mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::audit::entry::Body;
use coldroot::bundle::{Answers, Item, Request, Revocation, Validations};
use coldroot::cbor::Bytes;
use coldroot::config::Environment;
use coldroot::text::{Untrusted, utc};
use harness::bundles::{Said, list_text, said, ssh_sign};
use harness::forged::Forged;
use harness::station::{HIERARCHY, PIN, Row, Run, Station, generated, now, pair};

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

#[track_caller]
fn refused(station: &Station, run: impl FnOnce() -> Run, code: i32, saying: &str, next: &str) {
    let before = station.state();
    let json = run().fails(code, saying);
    let hint = json["hint"].as_str().unwrap();
    assert!(hint.contains(next), "`{hint}` does not say `{next}`");
    assert!(station.state() == before, "refused ({saying}), and something was left behind");
}

/// The same for `plan` with a bundle that is copied in and then refused: that it was read in is on record, and nothing else.
#[track_caller]
fn refused_bundle(station: &Station, bundle: &Path, code: i32, saying: &str, next: &str) {
    let before = station.state();
    let json = station.plan(bundle).fails(code, saying);
    let hint = json["hint"].as_str().unwrap();
    assert!(hint.contains(next), "`{hint}` does not say `{next}`");
    station.only_read_in(&before, bundle);
}

/// The refusals of the newest plan, by request: the check.
fn refusals(station: &Station, plan: &Path) -> BTreeMap<String, String> {
    let mut plan = coldroot::plan::Plan::open(&station.dir().join(plan)).unwrap();
    plan.refusals().unwrap().into_iter().map(|r| (r.request, r.check)).collect()
}

fn checks<'a>(wanted: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    wanted.into_iter().map(|(request, check)| (request.to_owned(), check.to_owned())).collect()
}

/// Three validators, one of them expired; the profile wants two, whose word is 30 days old at most.
struct Validators {
    station: Station,
    keys: [PathBuf; 3],
    _dir: tempfile::TempDir,
}

impl Validators {
    fn wanting(validators: u32) -> Validators {
        let dir = tempfile::tempdir().unwrap();
        let pairs = ["val-1", "val-2", "val-old"].map(|name| pair(dir.path(), name));
        let mut text = HIERARCHY.replace(
            "issuer = \"xmpp-1\"\ndays = 90\n",
            &format!("issuer = \"xmpp-1\"\ndays = 90\nvalidators = {validators}\nvalidation-days = 30\n"),
        );
        for ((line, _), (id, more)) in
            pairs.iter().zip([("val-1", ""), ("val-2", ""), ("val-old", "expires = \"2020-02-29\"\n")])
        {
            text.push_str(&format!("\n[[validator]]\nid = \"{id}\"\nkeys = [\"{line}\"]\n{more}"));
        }
        Validators { station: Station::ready_of(text), keys: pairs.map(|(_, key)| key), _dir: dir }
    }

    fn list(&self, name: &str, validator: usize, validations: &[Said]) -> PathBuf {
        self.station.list(name, &self.keys[validator], &list_text(validations))
    }

    /// A bundle of these rows with these lists.
    fn pack(&self, requests: &Path, sequence: u64, lists: &[PathBuf]) -> PathBuf {
        let mut extra = Vec::new();
        for list in lists {
            extra.extend(["--validations", list.to_str().unwrap()]);
        }
        self.station.pack_with(requests, sequence, &extra)
    }
}

fn named(rows: Vec<Row>, ids: &[&str]) -> Vec<Row> {
    rows.into_iter().zip(ids).map(|(row, id)| Row { request: (*id).into(), ..row }).collect()
}

#[test]
fn p06_a_name_needs_as_many_validators_as_its_profile_says() {
    let v = Validators::wanting(2);
    let ids = ["both", "one", "twice", "other-requester", "old", "future", "nobody", "upper"];
    let rows = named(generated(8, 1), &ids);
    let of = |n: usize| said(&rows[n].names);
    let late = |n: usize, time: i64| Said { time, ..of(n) };
    let upper = Said { names: rows[7].names.iter().map(|name| name.to_ascii_uppercase()).collect(), ..of(7) };
    let first = [of(0), of(1), of(2), of(3), late(4, now() - 31 * DAY), of(5), upper.clone()];
    let stranger = Said { requester: "mallory@example.org".into(), ..of(3) };
    let second = [of(0), stranger, of(4), late(5, now() + 2 * DAY), upper];
    let lists = [v.list("first.toml", 0, &first), v.list("again.toml", 0, &[of(2)]), v.list("second.toml", 1, &second)];
    let bundle = v.pack(&v.station.requests("rows", &rows), 1, &lists);

    let checked = v.station.run(&["check", bundle.to_str().unwrap(), "--hierarchy", "hierarchy.toml"]).ok();
    let listed: Vec<_> = checked["lists"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| (l["validator"].as_str().unwrap(), l["validations"].as_u64().unwrap()))
        .collect();
    assert_eq!(listed, [("val-1", 7), ("val-1", 1), ("val-2", 5)]);
    let shown = Command::new(harness::station::COLDROOT).arg("show").arg(&bundle).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("validations:") && shown.contains("lists of validations"), "{shown}");

    let plan = v.station.planned(&bundle);
    let wanted = [
        ("one", "validated-by"),
        ("twice", "validated-by"),
        ("other-requester", "validated-by"),
        ("old", "validation-age"),
        ("future", "validation-age"),
        ("nobody", "validated-by"),
    ];
    assert_eq!(refusals(&v.station, &plan), checks(wanted));
    v.station.carried_out(&plan);
    let received = v.station.bodies().into_iter().find_map(|body| match body {
        Body::BundleReceived { count, revocations, .. } => Some((count, revocations)),
        _ => None,
    });
    assert_eq!(received, Some((8, 0)), "lists are no items");
    v.station.check_log();
}

#[test]
fn p05_a_list_that_does_not_count_refuses_its_bundle() {
    let v = Validators::wanting(2);
    let station = &v.station;
    let rows = generated(1, 1);
    let good = list_text(&[said(&rows[0].names)]);
    let requests = station.requests("rows", &rows);
    let (desk, stranger, expired) = (station.desk("desk-1"), station.desk("other"), v.keys[2].clone());
    let list = |name: &str, key: &Path, text: &str| station.list(name, key, text);
    let changed = list("changed.toml", &v.keys[0], &good);
    fs::write(&changed, good.replace("hostmaster", "postmaster")).unwrap();
    let misused = list("misused.toml", &v.keys[0], &good);
    ssh_sign(&v.keys[0], coldroot::plan::NAMESPACE, &misused);
    let cases = [
        (
            list("desk.toml", &desk, &good),
            "is signed by the desk `desk-1`",
            "ssh-keygen -Y sign -n coldroot-validations-v0",
        ),
        (list("stranger.toml", &stranger, &good), "the key of no validator", "[[validator]]"),
        (list("expired.toml", &expired, &good), "`val-old`, who expired at 2020-03-01", "another validator"),
        (changed, "is not over this text", "belong together"),
        (misused, "the signature is for `coldroot-plan-v1`", "belong together"),
        (
            list("name.toml", &v.keys[0], &good.replace("\"Road\"", "\"Road two\"")),
            "is for hierarchy `Road two`",
            "for this station",
        ),
        (list("origin.toml", &v.keys[0], &good.replace("/demo", "/real")), "is for origin", "for this station"),
        (
            list("real.toml", &v.keys[0], &good.replace("\"rehearsal\"", "\"real\"")),
            "is for environment `real`",
            "for this station",
        ),
        (list("field.toml", &v.keys[0], &good.replace("dns-txt", "DNS")), "validation[0].method", "mend the list"),
        (list("toml.toml", &v.keys[0], &good.replace("names =", "nmes =")), "nmes", "mend the list"),
    ];
    let csr = Item::Request(request("r1", "xmpp-server", &rows[0]));
    for (path, saying, next) in cases {
        let out = station.desk("no.bundle");
        let args = ["--requests", requests.to_str().unwrap(), "--validations", path.to_str().unwrap()];
        refused(station, || station.pack_args(&out, 1, &args), 1, saying, next);
        assert!(!out.exists(), "{saying}: packed all the same");
        // A desk that does not look, or does not care.
        let signature = fs::read_to_string(format!("{}.sig", path.display())).unwrap();
        let item = Item::Validations(Validations { list: Bytes::from(fs::read(&path).unwrap()), signature });
        let bundle = station.bundle_of("careless", &[item.clone(), csr.clone()], |_| ());
        refused_bundle(station, &bundle, 1, saying, next);
        let check = ["check", bundle.to_str().unwrap(), "--hierarchy", "hierarchy.toml"];
        refused(station, || station.run(&check), 4, saying, next);
    }
    let path = list("good.toml", &v.keys[0], &good);
    let signature = fs::read_to_string(format!("{}.sig", path.display())).unwrap();
    let item = Item::Validations(Validations { list: Bytes::from(good.clone().into_bytes()), signature });
    let late = station.bundle_of("late", &[csr.clone(), item.clone()], |_| ());
    refused_bundle(station, &late, 1, "lists stand before everything else", "coldroot pack");
    let twice = station.bundle_of("twice", &[item.clone(), item.clone(), csr.clone()], |_| ());
    refused_bundle(station, &twice, 1, "have the same id", "coldroot pack");
    let large = list("large.toml", &v.keys[0], &format!("{good}# {}\n", "x".repeat(100_000)));
    let args = ["--requests", requests.to_str().unwrap(), "--validations", large.to_str().unwrap()];
    refused(station, || station.pack_args(&station.desk("no.bundle"), 1, &args), 1, "more than 100000 octets", "split");
    // One list that two validators have signed is two words.
    let signature = fs::read_to_string(ssh_sign(&v.keys[1], coldroot::bundle::VALIDATIONS, &path)).unwrap();
    let second = Item::Validations(Validations { list: Bytes::from(good.clone().into_bytes()), signature });
    let both = station.bundle_of("both", &[item.clone(), second, csr.clone()], |_| ());
    assert_eq!(refusals(station, &station.planned(&both)), checks([]));
    fs::remove_file(format!("{}.sig", path.display())).unwrap();
    let args = ["--requests", requests.to_str().unwrap(), "--validations", path.to_str().unwrap()];
    refused(station, || station.pack_args(&station.desk("no.bundle"), 1, &args), 1, "good.toml.sig", "path");
}

#[test]
fn p06_a_name_changes_hands_by_a_validators_newer_word_alone() {
    let v = Validators::wanting(0);
    let station = &v.station;
    let rows = named(generated(1, 1), &["old-owner"]);
    let names = rows[0].names.clone();
    station.carried_out(&station.planned(&station.pack(&station.requests_by("old", "a@example.org", &rows), 1)));
    let ask = |n: u64, lists: &[PathBuf]| {
        let id = format!("new-{n}");
        let row = fresh_row(&id, &names);
        let requests = station.requests_by(&format!("new-{n}"), "b@example.org", &[row]);
        let plan = station.planned(&v.pack(&requests, n, lists));
        let refused = refusals(station, &plan).remove(&id);
        station.carried_out(&plan);
        refused
    };
    let word =
        |time: i64, takes_over: bool| Said { requester: "b@example.org".into(), time, takes_over, ..said(&names) };
    let held = now() - HOUR;
    assert_eq!(ask(2, &[]).as_deref(), Some("name-holder"));
    assert_eq!(ask(3, &[v.list("plain.toml", 0, &[word(now(), false)])]).as_deref(), Some("name-holder"));
    // Older than the certificate that stands in the way: an old list, packed again.
    assert_eq!(ask(4, &[v.list("older.toml", 0, &[word(held, true)])]).as_deref(), Some("name-holder"));
    let for_another = Said { requester: "c@example.org".into(), ..word(now(), true) };
    assert_eq!(ask(5, &[v.list("another.toml", 0, &[for_another])]).as_deref(), Some("name-holder"));
    assert_eq!(ask(6, &[v.list("good.toml", 0, &[word(now(), true)])]), None);
    // It is theirs from now on, though the old certificate is still good: they renew without another word, the old holder
    // does not.
    assert_eq!(ask(7, &[]), None);
    let again = station.requests_by("again", "a@example.org", &[fresh_row("again", &names)]);
    let plan = station.planned(&station.pack(&again, 8));
    assert_eq!(refusals(station, &plan).remove("again").as_deref(), Some("name-holder"));
    station.check_log();
}

/// A request for these names with a new key.
fn fresh_row(id: &str, names: &[String]) -> Row {
    Row { request: id.into(), names: names.to_vec(), csr: csr(names, &[]) }
}

/// PKCS #10 by openssl, with further extensions.
fn csr(names: &[String], more: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let san: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    let san = format!("subjectAltName={}", san.join(","));
    let mut req = Command::new("openssl");
    req.current_dir(dir.path()).args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    req.args(["-keyout", "key.pem", "-subj", "/CN=x", "-outform", "DER", "-out", "request.der", "-addext", &san]);
    for extension in more {
        req.args(["-addext", extension]);
    }
    let run = Run::of(&mut req);
    assert_eq!(run.code, 0, "{run:?}");
    fs::read(dir.path().join("request.der")).unwrap()
}

fn request(id: &str, profile: &str, row: &Row) -> Request {
    Request {
        request: id.into(),
        profile: profile.into(),
        requester: Untrusted::new("hostmaster@example.org"),
        names: row.names.clone(),
        csr: Bytes::from(row.csr.clone()),
    }
}

fn revocation(serial: Vec<u8>, reason: Option<u8>) -> Item {
    Item::Revoke(Revocation { serial: Bytes::from(serial), reason, requester: Untrusted::new("a@example.org") })
}

/// Serial numbers of the CA certificates on record.
fn ca_serials(station: &Station) -> Vec<Vec<u8>> {
    let of_ca = |body| match body {
        Body::Certificate(c) if c.subject_ca.is_some() => Some(c.der),
        _ => None,
    };
    let ders = station.bodies().into_iter().filter_map(of_ca);
    ders.map(|der| coldroot::x509::read_certificate(&der).unwrap().serial.to_vec()).collect()
}

#[test]
fn p06_a_desk_asks_for_its_own_names_and_profiles_and_never_for_a_ca() {
    let second = "\n[[profile]]\nid = \"not-mine\"\nbase = \"xmpp-server\"\nissuer = \"xmpp-1\"\n\n[[desk]]\n";
    let text = HIERARCHY.replace(
        "profiles = [\"xmpp-server\"]\n",
        "profiles = [\"xmpp-server\"]\nsuffixes = [\"mine.example\", \"also.example\"]\n",
    );
    let station = Station::ready_of(text.replacen("\n[[desk]]\n", second, 1));
    let row = |names: &[&str], more: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        Row { request: String::new(), csr: csr(&names, more), names }
    };
    let cas = ca_serials(&station);
    assert_eq!(cas.len(), 2);
    let leaf = |id: &str, names: &[&str]| Item::Request(request(id, "xmpp-server", &row(names, &[])));
    let with = |id: &str, extension: &str| {
        Item::Request(request(id, "xmpp-server", &row(&[&format!("{id}.mine.example")], &[extension])))
    };
    let of_profile = |id: &str, profile: &str| Item::Request(request(id, profile, &row(&["p.mine.example"], &[])));
    let items = [
        leaf("itself", &["mine.example"]),
        leaf("below", &["a.b.mine.example", "*.also.example"]),
        leaf("beside", &["notmine.example"]),
        leaf("one-of-two", &["two.mine.example", "elsewhere.example"]),
        leaf("above", &["example"]),
        with("ca-true", "basicConstraints=critical,CA:TRUE"),
        with("cert-sign", "keyUsage=digitalSignature,keyCertSign"),
        with("ca-false", "basicConstraints=CA:FALSE"),
        of_profile("ca-profile", "intermediate"),
        of_profile("other-profile", "not-mine"),
        of_profile("no-profile", "no-such"),
        revocation(cas[0].clone(), Some(4)),
        revocation(cas[1].clone(), None),
        revocation(vec![1; 17], None),
    ];
    let plan = station.planned(&station.bundle_of("items", &items, |_| ()));
    let hex = |serial: &[u8]| coldroot::text::hex(serial);
    let (root, intermediate, unknown) = (hex(&cas[0]), hex(&cas[1]), hex(&[1; 17]));
    let wanted = [
        ("beside", "desk-names"),
        ("one-of-two", "desk-names"),
        ("above", "desk-names"),
        ("ca-true", "ca-requested"),
        ("cert-sign", "ca-requested"),
        ("ca-profile", "profile"),
        ("other-profile", "profile"),
        ("no-profile", "profile"),
        (root.as_str(), "revocation"),
        (intermediate.as_str(), "revocation"),
        (unknown.as_str(), "revocation"),
    ];
    assert_eq!(refusals(&station, &plan), checks(wanted));
    station.carried_out(&plan);
    let issued: Vec<String> = station.leaves().into_iter().map(|(request, ..)| request).collect();
    assert_eq!(issued, ["itself", "below", "ca-false"]);
    station.check_log();
}

#[test]
fn p05_a_desk_brings_no_more_than_its_limits() {
    let limits = "profiles = [\"xmpp-server\"]\nmax-items = 4\nmax-items-per-day = 6\nmax-revocations = 1\n\
                  max-revocations-per-day = 1\n";
    let station = Station::ready_of(HIERARCHY.replace("profiles = [\"xmpp-server\"]\n", limits));
    let too_many = station.requests("five", &generated(5, 9));
    let args = ["--requests", too_many.to_str().unwrap()];
    let saying = "holds 5 items; desk `desk-1` may bring 4 at once";
    refused(&station, || station.pack_args(&station.desk("five.bundle"), 1, &args), 1, saying, "split it");
    assert!(!station.desk("five.bundle").exists());
    let items = |rows: &[Row]| -> Vec<Item> {
        rows.iter().map(|row| Item::Request(request(&row.request, "xmpp-server", row))).collect()
    };
    let five = station.bundle_of("five", &items(&generated(5, 9)), |_| ());
    refused_bundle(&station, &five, 1, saying, "split it");

    let first = station.bundle(4, 1);
    station.planned(&first);
    // The same bundle planned again is not counted again.
    station.carried_out(&station.planned(&first));
    let serials: Vec<String> = station.leaves().into_iter().map(|(request, ..)| station.serial_of(&request)).collect();
    let second = station.bundle(3, 2);
    let saying = "with this bundle's 3 items desk `desk-1` brings 7 in 24 hours; it may bring 6";
    refused_bundle(&station, &second, 1, saying, "a day after");
    // The way out that the message names; a smaller bundle is the other one.
    let rows = [(serials[0].as_str(), "superseded"), (serials[1].as_str(), "superseded")];
    let table = station.revocations("two.csv", &rows);
    let args = ["--revocations", table.to_str().unwrap()];
    let saying = "holds 2 revocations; desk `desk-1` may bring 1 at once";
    refused(&station, || station.pack_args(&station.desk("two.bundle"), 2, &args), 1, saying, "split it");
    let one = station.pack_revocations(&rows[..1], 2);
    station.carried_out(&station.planned(&one));
    let another = station.pack_revocations(&rows[1..], 3);
    let saying = "with this bundle's 1 revocations desk `desk-1` brings 2 in 24 hours; it may bring 1";
    refused_bundle(&station, &another, 1, saying, "a day after");
    let tomorrow = utc(now() + DAY + HOUR);
    station.run(&["plan", "--bundle", another.to_str().unwrap(), "--now", &tomorrow]).ok();
}

#[test]
fn p05_revocations_come_from_a_desk_with_or_without_requests() {
    let station = Station::ready();
    station.carried_out(&station.planned(&station.bundle(3, 1)));
    let serials: Vec<String> = station.leaves().into_iter().map(|(request, ..)| station.serial_of(&request)).collect();
    // As openssl prints it: capitals and colons.
    let colons = serials[0]
        .to_ascii_uppercase()
        .as_bytes()
        .chunks(2)
        .map(|c| std::str::from_utf8(c).unwrap())
        .collect::<Vec<_>>()
        .join(":");
    let alone = station.pack_revocations(&[(&colons, "key-compromise")], 2);
    let shown = station.run(&["show", alone.to_str().unwrap()]).ok();
    assert_eq!((&shown["count"], &shown["revocations"]), (&1.into(), &1.into()));
    station.carried_out(&station.planned(&alone));
    let requests = station.requests("more", &generated(1, 7));
    let table = station.revocations("more.csv", &[(&serials[1], "unspecified"), (&serials[0], "superseded")]);
    let out = station.desk("both.bundle");
    let args = ["--requests", requests.to_str().unwrap(), "--revocations", table.to_str().unwrap()];
    let packed = station.pack_args(&out, 3, &args).ok();
    assert_eq!((&packed["requests"], &packed["revocations"]), (&1.into(), &2.into()));
    let plan = station.planned(&out);
    // Revoked already: refused by itself.
    assert_eq!(refusals(&station, &plan), checks([(serials[0].as_str(), "revocation")]));
    station.carried_out(&plan);
    let revoked = station.bodies().into_iter().filter_map(|body| match body {
        Body::Revoked(revoked) => Some((coldroot::text::hex(&revoked.serial), revoked.reason)),
        _ => None,
    });
    assert_eq!(revoked.collect::<Vec<_>>(), [(serials[0].clone(), Some(1)), (serials[1].clone(), None)]);
    for (row, saying) in [
        ("zz,superseded,r\n", "`serial` must be"),
        ("01,ca-compromise,r\n", "`reason` must be"),
        ("01,superseded,\n", "`requester` must be"),
        ("01,superseded,r\n01,superseded,r\n", "stands in line 2 already"),
        ("", "no row"),
    ] {
        fs::write(station.desk("bad.csv"), format!("serial,reason,requester\n{row}")).unwrap();
        let (out, table) = (station.desk("bad.bundle"), station.desk("bad.csv"));
        let args = ["--revocations", table.to_str().unwrap()];
        refused(&station, || station.pack_args(&out, 4, &args), 1, saying, "serial,reason,requester");
        assert!(!out.exists());
    }
    let args = ["pack", "--desk", "desk-1", "--key", "k", "--sequence", "4", "--out", "o"];
    assert_eq!(station.run(&args).code, 2, "a bundle of nothing");
    station.check_log();
}

/// A hierarchy with two desks.
fn two_desks() -> String {
    let second = "\n[[desk]]\nid = \"desk-2\"\nkeys = [\"@DESK 2@\"]\nprofiles = [\"xmpp-server\"]\n@PEOPLE@";
    HIERARCHY.replace("@PEOPLE@", second)
}

#[test]
fn p05_two_desks_have_numbers_of_their_own_and_wait_for_each_other() {
    let station = Station::ready_of(two_desks());
    let pack = |desk: &str, sequence: u64, seed: u64| {
        let requests = station.requests(&format!("{desk}-{sequence}"), &generated(1, seed));
        let out = station.desk(&format!("{desk}-{sequence}.bundle"));
        station.pack_as(desk, &out, sequence, &["--requests", requests.to_str().unwrap()]).ok();
        out
    };
    let (one, two) = (pack("desk-1", 1, 1), pack("desk-2", 1, 2));
    let (one_next, two_third) = (pack("desk-1", 2, 3), pack("desk-2", 3, 4));
    let plan = station.planned(&one);
    let waits = "bundle 1 of desk `desk-1` was received and has no answer yet";
    refused_bundle(&station, &two, 1, waits, "coldroot void");
    refused_bundle(&station, &one_next, 1, waits, "coldroot void");
    station.carried_out(&plan);
    // The other desk's first bundle answers no release, though there are three: it has received none.
    let plan = station.planned(&two);
    // The other way out: nobody waits for ever.
    let mut void = vec!["void", "--plan", plan.to_str().unwrap(), "--reason", "the desk withdrew it"];
    void.extend(["--operator", "carol", "--witness", "dave"]);
    let text = station.run(&void).ok();
    let approvals = station.approve(Path::new(text["statement-file"].as_str().unwrap()));
    for approval in &approvals {
        void.extend(["--approval", approval.to_str().unwrap()]);
    }
    station.run(&void).ok();
    refused_bundle(&station, &two, 1, "bundle 1 of desk `desk-2` was answered already", "next number");
    refused_bundle(&station, &two_third, 1, "number 2 is expected", "bring bundle 2 first");
    // One desk's key does not sign for the other.
    let row = &generated(1, 5)[0];
    let items = [Item::Request(request("r", "xmpp-server", row))];
    let by_another = Forged::new().items(items.iter().cloned()).head(|head| head.sequence = 2);
    let forged = by_another.signed_by("desk-2", coldroot::bundle::NAMESPACE).write(&station, "forged");
    refused_bundle(&station, &forged, 1, "not signed by desk `desk-1`", "its own key");
    let unknown = station.bundle_of("unknown", &items, |head| head.desk = "desk-9".into());
    refused_bundle(&station, &unknown, 1, "knows no desk `desk-9`", "hierarchy.toml");
    station.carried_out(&station.planned(&one_next));
    station.carried_out(&station.planned(&pack("desk-2", 2, 6)));
    station.check_log();
}

#[test]
fn p05_a_bundle_for_elsewhere_or_another_time_is_not_taken() {
    let station = Station::ready();
    let items = [Item::Request(request("r", "xmpp-server", &generated(1, 1)[0]))];
    let of = |name: &str, edit: fn(&mut coldroot::bundle::Head)| station.bundle_of(name, &items, edit);
    let cases = [
        (
            of("real", |h| h.environment = Environment::Real),
            "for environment `real`; here it is `rehearsal`",
            "coldroot show",
        ),
        (of("name", |h| h.hierarchy = "Road two".into()), "for hierarchy `Road two`", "coldroot show"),
        (
            of("origin", |h| h.origin = "example.org/coldroot/other".into()),
            "for origin `example.org/coldroot/other`",
            "coldroot show",
        ),
        (
            of("future", |h| (h.created, h.expires) = (h.created + HOUR, h.expires + DAY)),
            "after what this machine's clock says",
            "clock",
        ),
        (
            of("past", |h| (h.created, h.expires) = (h.created - 9 * DAY, h.created - DAY)),
            "the bundle expired at",
            "coldroot pack",
        ),
    ];
    for (path, saying, next) in &cases {
        refused_bundle(&station, path, 1, saying, next);
        let check = ["check", path.to_str().unwrap(), "--hierarchy", "hierarchy.toml"];
        refused(&station, || station.run(&check), 4, saying, next);
    }
    // The way out of a bundle from the future is the right time.
    let later = utc(now() + 2 * HOUR);
    station.run(&["plan", "--bundle", cases[3].0.to_str().unwrap(), "--now", &later]).ok();
}

#[test]
fn p09_a_rehearsals_bundle_is_nothing_to_a_real_station() {
    let station = Station::bare();
    let path = station.path("hierarchy.toml");
    let rehearsal = fs::read_to_string(&path).unwrap();
    let real: String = rehearsal
        .lines()
        .filter(|line| !line.starts_with("pin-file") && !line.starts_with("so-pin-file"))
        .map(|line| format!("{}\n", line.replace("{ O = \"REHEARSAL\" }, ", "")))
        .collect();
    fs::write(&path, real.replace("environment = \"rehearsal\"", "environment = \"real\"")).unwrap();
    for person in ["alice", "bob"] {
        fs::remove_file(station.path(&format!("hierarchy.toml.{person}.sig"))).unwrap();
    }
    station.approve(Path::new("hierarchy.toml"));
    // The PIN comes by a pipe: a real hierarchy has no PIN file.
    let line = format!(
        "{} --json --plain {} --pin-fd 3 3< <(echo {PIN})",
        harness::station::COLDROOT,
        station.init_args().join(" ")
    );
    Run::of(Command::new("bash").args(["-c", &line]).current_dir(station.dir())).ok();
    let items = [Item::Request(request("r", "xmpp-server", &generated(1, 1)[0]))];
    let rehearsed = station.bundle_of("rehearsed", &items, |_| ());
    refused_bundle(&station, &rehearsed, 1, "for environment `rehearsal`; here it is `real`", "coldroot show");
}

#[test]
fn p04_what_a_bundle_answers_must_be_of_this_log_and_of_that_release() {
    let station = Station::ready();
    let twin = station.copy();
    for one in [&station, &twin] {
        one.carried_out(&one.planned(&one.bundle(1, 1)));
    }
    let items = [Item::Request(request("r", "xmpp-server", &generated(1, 4)[0]))];
    let checkpoint = |of: &Station, release: u64| {
        fs::read_to_string(of.path(&format!("out/release-{release:04}/checkpoint"))).unwrap()
    };
    let answering = |name: &str, release: u64, checkpoint: String| {
        let answers = Answers { release, checkpoint: Some(checkpoint) };
        station.bundle_of(name, &items, |head| (head.sequence, head.answers) = (2, answers))
    };
    // A log of the same name under another key; then the same key, and another history.
    let stranger = Station::ready();
    let foreign = answering("foreign", 2, checkpoint(&stranger, 2));
    refused_bundle(&station, &foreign, 1, "not of this log", "last release of this station");
    let fork = answering("fork", 3, checkpoint(&twin, 3));
    refused_bundle(&station, &fork, 3, "another root at", "restore");
    let ahead = answering("ahead", 9, checkpoint(&station, 3));
    refused_bundle(&station, &ahead, 3, "the desk has release 9", "restore");
    let mixed = answering("mixed", 3, checkpoint(&station, 2));
    refused_bundle(&station, &mixed, 1, "which is an earlier release's", "--answers");
    let damaged = answering("damaged", 3, checkpoint(&station, 3).replacen('\n', " \n", 1));
    refused_bundle(&station, &damaged, 1, "not of this log", "last release of this station");
    // The last but one is true as well: the desk may not have the last one yet.
    station.planned(&answering("earlier", 2, checkpoint(&station, 2)));
    station.check_log();
}
