//! What is unlike the rest of a batch, and what dice draw of it.

use std::fs;

use coldroot::audit::entry::Body;
use coldroot::digest::Digest;
use serde_json::{Value, json};

use super::harness::station::{COLDROOT, Run, Station, fresh, generated};
use super::harness::verify_py;

const DICE: &str = "35261 46152 11634 25511 63342";

#[test]
fn the_one_item_unlike_the_rest_comes_first() {
    let station = Station::ready();
    let mut rows = generated(12, 1);
    rows.insert(5, fresh("odd", &["odd.test", "two.odd.test"]));
    let plan = station.planned(&station.pack(&station.requests("r", &rows), 1));
    let shown = station.run(&["show", plan.to_str().unwrap()]).ok();
    let batch = &shown["batch"];
    assert_eq!((&batch["certificates"], &batch["unlike"]), (&json!(13), &json!(1)), "{batch:#}");
    assert_eq!(batch["items"][0]["item"], 5);
    let why = batch["items"][0]["why"].as_array().unwrap();
    assert!(why.contains(&json!("the only one under .test; 12 under .org")), "{why:?}");
    assert!(batch["shape"]["profile"]["values"][0] == json!(["xmpp-server", 13]), "{batch:#}");
    let args = ["show", plan.to_str().unwrap(), "--rows", "3", "--plain"];
    let text = Run::of(std::process::Command::new(COLDROOT).args(args).current_dir(station.dir())).out;
    let (first, table) = (text.find("Unlike the rest, 1 of 13").unwrap(), text.find("\nitem  what").unwrap());
    assert!(first < table && text.contains("the only one under .test; 12 under .org"), "{text}");
    assert_eq!(station.run(&["show", plan.to_str().unwrap()]).ok(), shown);
}

/// The same drawing again, from the document, by Python.
fn drawn_again(plan: &str, dice: &str, items: u64, count: u64) -> Vec<u64> {
    let path = super::harness::repository().join("audit-logs");
    let script =
        format!("import verify; print(sorted(verify.draw(bytes.fromhex('{plan}'), '{dice}', {items}, {count})))");
    let run = Run::of(std::process::Command::new("python3").args(["-B", "-c", &script]).env("PYTHONPATH", path));
    assert_eq!(run.code, 0, "{run:?}");
    serde_json::from_str(&run.out).unwrap()
}

#[test]
fn dice_draw_the_same_items_by_a_second_implementation() {
    let (plan, dice) = (Digest::of(b"any"), DICE.replace(' ', ""));
    for (items, count) in [(1, 1), (61, 60), (10_000, 60), (99_991, 150), (2_000_000, 300), (5, 5)] {
        let ours = coldroot::plan::sample::draw(&plan, &dice, items, count).unwrap();
        assert_eq!(ours, drawn_again(&plan.hex(), &dice, items, count), "{count} of {items}");
    }
}

#[test]
fn p01_a_plan_of_which_a_sampled_item_differs_is_not_signed_but_voided() {
    let station = Station::ready();
    let bundle = station.bundle(6, 1);
    let plan = station.planned(&bundle);
    let path = plan.to_str().unwrap();
    let sample = |more: &[&str]| station.run(&[&["sample", path, "--dice", DICE][..], more].concat());
    let record = |more: &[&str]| station.run(&[&["record", "sample", path, "--dice", DICE][..], more].concat());
    let both = ["--person", "carol", "--person", "dave"];

    let bundle = bundle.to_str().unwrap();
    let shown = sample(&["--count", "2", "--bundle", bundle]).ok();
    let drawn: Vec<u64> = serde_json::from_value(shown["drawn"].clone()).unwrap();
    let digest = Digest::of(&fs::read(station.path("").join(path)).unwrap());
    assert_eq!(drawn, drawn_again(&digest.hex(), &DICE.replace(' ', ""), 7, 2));
    assert_eq!(shown["items"].as_array().unwrap().len(), 2);
    for item in shown["items"].as_array().unwrap() {
        // The batch is the CA's first one, so its seventh item is the CRL.
        let certificate = ["for", "names", "spki-sha256", "requester"].iter().all(|field| item[field] != Value::Null);
        assert!((certificate || item["item"] == 6) && drawn.contains(&item["item"].as_u64().unwrap()), "{item:#}");
    }
    assert_eq!(sample(&[]).ok()["drawn"], json!([0, 1, 2, 3, 4, 5, 6]));

    // Nothing of this is on record.
    let before = station.state();
    let other = (0..7).find(|n| !drawn.contains(n)).unwrap().to_string();
    let few = ["sample", path, "--dice", "123456"];
    station.run(&few).fails(2, "6 dice are too few");
    station.run(&["sample", path, "--dice", &"7".repeat(25)]).fails(2, "dice show 1 to 6");
    sample(&["--count", "0"]).fails(2, "a sample of 0 of 7 items is none");
    sample(&["--count", "8"]).fails(2, "1 to 7 can be drawn");
    sample(&["--bundle", station.bundle(1, 2).to_str().unwrap()]).fails(1, "does not answer the bundle");
    record(&["--agreed", "--person", "carol"]).fails(2, "two persons compare a sample");
    record(&["--agreed", "--person", "carol", "--person", "carol"]).fails(1, "named twice");
    record(&["--agreed", "--person", "carol", "--person", "mallory"]).fails(1, "is no person of the roster");
    record(&both).fails(2, "--agreed");
    record(&[&both[..], &["--agreed", "--differs", "1"]].concat()).fails(2, "--differs");
    record(&[&both[..], &["--count", "2", "--differs", &other]].concat()).fails(1, "have not drawn item");
    let foreign = station.path("out/foreign.plan");
    let mut octets = fs::read(station.path("").join(path)).unwrap();
    let last = octets.len() - 1;
    octets[last] ^= 1;
    fs::write(&foreign, octets).unwrap();
    let foreign = foreign.to_str().unwrap();
    let run = station.run(&[&["record", "sample", foreign, "--dice", DICE, "--agreed"][..], &both].concat());
    assert!(run.code == 1, "{run:?}");
    fs::remove_file(foreign).unwrap();
    assert!(station.state() == before, "something was left behind");

    // Agreed, then one that differs: the plan is not signed any more, whatever comes behind it.
    record(&[&both[..], &["--count", "2", "--agreed"]].concat()).ok();
    record(&[&both[..], &["--count", "2", "--agreed"]].concat()).fails(1, "on record already");
    let said = record(&[&both[..], &["--differs", "4", "--differs", "1"]].concat()).ok();
    record(&[&both[..], &["--agreed"]].concat()).ok();
    let [.., Body::Sampled(differs), Body::Sampled(_)] = &station.bodies()[..] else { panic!() };
    assert_eq!((differs.differs.as_slice(), differs.count, differs.dice.len()), (&[1, 4][..], 7, 25));
    let approvals = station.approve(&plan);
    let before = station.state();
    station.sign(&plan, &approvals).fails(1, &format!("entry {} of the log says that items", said["entry"]));
    assert!(station.state() == before, "refused, and something was recorded");

    let args = ["void", "--plan", path, "--reason", "items differ", "--operator", "carol", "--witness", "dave"];
    let statement = station.run(&args).ok()["statement-file"].as_str().unwrap().to_owned();
    let signed = station.approve(std::path::Path::new(&statement));
    let approvals = signed.iter().flat_map(|file| ["--approval", file.to_str().unwrap()]);
    station.run(&args.iter().copied().chain(approvals).collect::<Vec<_>>()).ok();
    assert!(station.leaves().is_empty());
    station.check_log();
    let verified = verify_py(&station.path("audit"), &station.verifier_key(), None);
    assert_eq!(verified.code, 0, "{verified:?}");
    record(&[&both[..], &["--agreed"]].concat()).fails(1, "this plan has ended");
}
