//! `show --diff`, and certificates beside those before them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use coldroot::cbor::Bytes;
use coldroot::config::Environment;
use coldroot::digest::Digest;
use coldroot::plan::difference::{Comparison, difference};
use coldroot::plan::{Certificate, Head, Item, Plan, PlanWriter};

use super::harness::station::{Station, fresh};

const REHEARSED: &[u8] =
    b"\x30\x24\x31\x12\x30\x10\x06\x03\x55\x04\x0a\x0c\x09REHEARSAL\x31\x0e\x30\x0c\x06\x03\x55\x04\x03\x0c\x05Roots";
const REAL: &[u8] = b"\x30\x10\x31\x0e\x30\x0c\x06\x03\x55\x04\x03\x0c\x05Roots";

fn read(path: &Path) -> Plan {
    Plan::open(path).unwrap()
}

fn compared(one: &Path, other: &Path) -> Comparison {
    difference(&mut read(one), &mut read(other), |_| Ok(())).unwrap()
}

/// The fields that make another shape.
fn more(one: &Path, other: &Path) -> Vec<String> {
    let found = compared(one, other);
    assert_eq!(found.same_shape(), found.differences.iter().all(|d| d.may));
    found.differences.into_iter().filter(|d| !d.may).map(|d| d.field).collect()
}

/// The same plan with other content.
fn rewritten(plan: &Path, name: &str, head: impl Fn(&mut Head), item: impl Fn(u64, Item) -> Vec<Item>) -> PathBuf {
    let mut from = read(plan);
    let mut writer = PlanWriter::new(from.head().kind, plan.parent().unwrap()).unwrap();
    for n in 0..from.head().items {
        for item in item(n, from.item(n).unwrap()) {
            writer.item(&item).unwrap();
        }
    }
    from.refusals().unwrap().iter().for_each(|refusal| writer.refusal(refusal).unwrap());
    let mut changed = from.head().clone();
    head(&mut changed);
    let path = plan.with_file_name(name);
    writer.finish(changed, &mut File::create(&path).unwrap()).unwrap();
    path
}

fn certificates(change: impl Fn(&mut Certificate)) -> impl Fn(u64, Item) -> Vec<Item> {
    move |_, mut item| {
        if let Item::Certificate(c) = &mut item {
            change(c);
        }
        vec![item]
    }
}

#[test]
fn p09_two_rehearsals_of_one_ceremony_have_the_same_shape_and_anything_more_is_listed() {
    let stations = [Station::ready(), Station::ready()];
    let plans = [0, 1].map(|n| stations[n].path("").join(stations[n].planned(&stations[n].bundle(3, 1))));
    let [one, other] = [&plans[0], &plans[1]];
    let [a, b] = [one.to_str().unwrap(), other.to_str().unwrap()];
    let shown = stations[0].run(&["show", "--diff", a, b, "--strict"]).ok();
    assert_eq!(shown["same-shape"], true, "{shown:#}");
    let fields: Vec<&str> =
        shown["differences"].as_array().unwrap().iter().map(|d| d["field"].as_str().unwrap()).collect();
    for field in ["nonce", "hierarchy", "bundle digest", "certificate fields serial", "certificate signer spki"] {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
    let same = stations[0].run(&["show", "--diff", a, a, "--strict"]).ok();
    assert_eq!((&same["differences"], &same["same-shape"]), (&serde_json::json!([]), &true.into()));
    assert!(same["equal"].as_u64().unwrap() > 80);

    // The real ceremony, a day later: the mark is gone, and all dates are moved.
    let day = 86_400;
    let named =
        rewritten(one, "named.plan", |_| (), certificates(|c| c.fields.issuer = Bytes::from(REHEARSED.to_vec())));
    let real = |head: &mut Head| {
        head.environment = Environment::Real;
        head.origin = "example.org/real".into();
        head.hierarchy = Digest::of(b"real");
        head.sign_from += day;
        head.sign_until += day;
    };
    let later = |n, mut item: Item| {
        match &mut item {
            Item::Certificate(c) => {
                c.fields.issuer = Bytes::from(REAL.to_vec());
                c.fields.serial = Bytes::from(vec![1, u8::try_from(n).unwrap()]);
                c.fields.not_before += day;
                c.fields.not_after += day;
                c.signer.spki = Bytes::from(b"another key".to_vec());
            }
            Item::Crl(c) => {
                c.fields.this_update += day;
                c.fields.next_update += day;
                c.signer.spki = Bytes::from(b"another key".to_vec());
            }
            _ => {}
        }
        vec![item]
    };
    let ceremony = rewritten(&named, "real.plan", real, later);
    assert_eq!(more(&named, &ceremony), [] as [&str; 0]);
    assert_eq!(compared(&named, &ceremony).moved, day);
    // Between two rehearsals no name may change.
    let unmarked =
        rewritten(&named, "unmarked.plan", |_| (), certificates(|c| c.fields.issuer = Bytes::from(REAL.to_vec())));
    assert_eq!(more(&named, &unmarked), ["certificate fields issuer"]);

    let keep = |_: &mut Head| ();
    type Change = fn(&mut Certificate);
    let changes: [(&str, Change); 8] = [
        ("certificate profile", |c| c.profile = "other".into()),
        ("certificate fields not-after", |c| c.fields.not_after += 1),
        ("certificate fields key-usage", |c| c.fields.key_usage ^= 4),
        ("certificate fields san", |c| c.fields.san.truncate(0)),
        ("certificate fields crl-urls", |c| c.fields.crl_urls.push("http://evil.example/".into())),
        ("certificate fields spki", |c| c.fields.spki = Bytes::from(b"no key".to_vec())),
        ("certificate fields ski", |c| c.fields.ski = None),
        ("certificate signer algorithm", |c| c.signer.algorithm = coldroot::algorithm::KeyAlgorithm::Ed25519),
    ];
    for (field, change) in changes {
        let changed = rewritten(one, "changed.plan", keep, certificates(change));
        let found = more(one, &changed);
        assert!(found.iter().any(|f| f == field), "{field}: {found:?}");
        let json = stations[0].run(&["show", "--diff", a, changed.to_str().unwrap(), "--strict"]);
        match field.starts_with("certificate fields") {
            // Its fields are not those of its bytes, so nothing is compared.
            true => drop(json.fails(1, "its bytes do not say what its fields say")),
            false => assert_eq!((json.code, &json.json()["same-shape"]), (4, &false.into())),
        }
    }
    let left = rewritten(one, "left.plan", keep, |n, item| if n == 1 { vec![] } else { vec![item] });
    for (from, to, what) in [(a, left.to_str().unwrap(), "first"), (left.to_str().unwrap(), a, "second")] {
        let run = stations[0].run(&["show", "--diff", from, to, "--strict"]);
        assert_eq!((run.code, &run.json()["same-shape"]), (4, &false.into()), "{run:?}");
        assert!(run.out.contains(&format!("items of the {what} plan only")), "{run:?}");
        assert_eq!(stations[0].run(&["show", "--diff", from, to]).code, 0);
    }
    // One item alone signed by another key, and one whose date alone is moved.
    let odd = rewritten(one, "odd.plan", keep, |n, mut item| {
        if let (Item::Certificate(c), 2) = (&mut item, n) {
            c.signer.spki = Bytes::from(b"another key".to_vec());
        }
        vec![item]
    });
    assert_eq!(more(one, &odd), ["signing key, which is not the one that signs in its place elsewhere"]);
    let moved = |head: &mut Head| head.sign_from += day;
    let found = more(one, &rewritten(one, "moved.plan", moved, |_, item| vec![item]));
    assert!(found.contains(&"certificate fields not-before".to_string()) && found.contains(&"sign-until".into()));
}

#[test]
fn certificates_and_crls_are_compared_field_by_field_and_a_plan_with_the_record() {
    let station = Station::ready();
    let batch = |n: u64, names: &[&str]| {
        let row = fresh(&format!("chat-{n}"), names);
        station.planned(&station.pack(&station.requests(&format!("r-{n}"), &[row]), n))
    };
    let first = batch(1, &["chat.example"]);
    let shown = station.run(&["show", first.to_str().unwrap()]).ok();
    assert_eq!(shown["beside"], serde_json::json!([{ "item": 0, "before": null }]));
    let one = station.carried_out(&first);
    let second = batch(2, &["chat.example"]);
    let path = second.to_str().unwrap();
    let shown = station.run(&["show", path]).ok();
    let differ = serde_json::json!(["serial", "public key", "subject key id"]);
    let but_for: Vec<&str> =
        shown["beside"][0]["before"]["but-for"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    let without_dates: Vec<&&str> = but_for.iter().filter(|field| !field.starts_with("valid ")).collect();
    assert_eq!(serde_json::json!(without_dates), differ);
    // The same on an officer's machine, with a copy of the log.
    let copy = station.save_audit("copy");
    let elsewhere = station.desk("");
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(super::harness::station::COLDROOT);
        super::harness::station::Run::of(command.args(args).current_dir(&elsewhere))
    };
    let plan = fs::canonicalize(station.path("").join(path)).unwrap();
    let text = run(&["show", plan.to_str().unwrap(), "--log", copy.to_str().unwrap()]);
    assert!(text.out.contains("but for:"), "{text:?}");
    let item = run(&["show", plan.to_str().unwrap(), "--log", copy.to_str().unwrap(), "--item", "0"]);
    assert!(item.out.contains("but for:"), "{item:?}");
    assert!(!run(&["show", plan.to_str().unwrap()]).out.contains("but for"));
    let other = rewritten(&plan, "other.plan", |head| head.origin = "example.org/other".into(), |_, item| vec![item]);
    let wrong = run(&["--json", "show", other.to_str().unwrap(), "--log", copy.to_str().unwrap()]);
    wrong.fails(1, "the plan is of `example.org/other`");
    station.run(&["show", "hierarchy.toml", "--log", copy.to_str().unwrap()]).fails(2, "--log belongs to plans");

    let two = station.carried_out(&second);
    let third = station.carried_out(&batch(3, &["chat.example", "talk.example"]));
    let crls = station.carried_out(&station.planned_by(&["--crl", "xmpp-1"]));
    let key = station.verifier_key();
    let [one, two, three, four] =
        [(one, "one"), (two, "two"), (third, "three"), (crls, "four")].map(|(release, name)| {
            station.run(&["unpack", release.to_str().unwrap(), "--to", name, "--verifier-key", &key]).ok();
            station.path(name)
        });
    let diff = |from: PathBuf, to: PathBuf| {
        let args = ["show", "--diff", from.to_str().unwrap(), to.to_str().unwrap(), "--strict"];
        (station.run(&args), run(&args).out)
    };
    let (run, text) = diff(one.join("certs/chat-1.pem"), two.join("certs/chat-2.pem"));
    assert_eq!(run.code, 4, "{run:?}");
    assert!(text.contains("= serial\n    from 01") || text.contains("= serial\n    from "), "{text}");
    assert!(!text.contains("= names") && text.contains("fields are equal"), "{text}");
    let (_, text) = diff(two.join("certs/chat-2.pem"), three.join("certs/chat-3.pem"));
    assert!(text.contains("= names\n    + talk.example\n"), "{text}");
    let (run, text) = diff(two.join("certs/chat-2.pem"), two.join("certs/chat-2.pem"));
    assert!(run.code == 0 && text.contains("the same, octet for octet"), "{run:?}");
    let crl = |dir: &Path| dir.join("crls/xmpp-1.crl");
    let (run, text) = diff(crl(&one), crl(&four));
    assert!(run.code == 4 && text.contains("= number\n    from 1\n    to   2\n"), "{text}");
    let mixed = station.run(&["show", "--diff", one.join("certs/chat-1.pem").to_str().unwrap(), path]);
    mixed.fails(2, "are no two of a kind");
    station.run(&["show", path, "--strict"]).fails(2, "--diff");
}
