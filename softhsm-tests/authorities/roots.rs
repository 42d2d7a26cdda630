//! A station with a root of its own and a CA under an external one: a release is good by both roots and by neither alone.

use std::fs;

use crate::foreign::{ceremony, certified};
use crate::outside::{Outside, adopted, asked, declared};

#[test]
fn each_ca_leads_to_one_of_the_roots_that_are_given() {
    let outside = Outside::new();
    let station = asked(&outside, declared(&outside));
    outside.certify("ours", 900);
    outside.hand_over(&station, &["ours"], "ours.pem");
    adopted(&station, "ours.pem");
    let own = ceremony("kind = \"generate-key\"\nkey = \"root-key\"\n\n[[act]]\nkind = \"root\"\nca = \"root\"");
    station.carried_out(&station.planned_ceremony_of(&own));
    let release = station.carried_out(&station.planned_ceremony_of(&own));
    let own = station.path("own.der");
    fs::write(&own, certified(&station, "root")).unwrap();

    let key = station.verifier_key();
    let path = |name: &str| outside.path(name).to_str().unwrap().to_owned();
    let (own, top, twin) = (own.to_str().unwrap().to_owned(), path("top.pem"), path("twin.pem"));
    let with = |verb: &[&str], roots: &[&String]| {
        let given = roots.iter().flat_map(|root| ["--root", root]);
        let args = [verb, &["--verifier-key", &key]].concat();
        station.run(&args.into_iter().chain(given).collect::<Vec<_>>())
    };
    let check = ["check", release.to_str().unwrap()];
    with(&check, &[&own]).fails(4, "CA `xmpp-1`: the last certificate above it is neither the root given nor by it");
    with(&check, &[&top]).fails(4, "the root `root` of this release is not the one given");
    with(&check, &[&top, &twin]).fails(4, "the root `root` of this release is not one of those given");
    with(&check, &[&own, &twin]).fails(4, "the last certificate above it is none of the roots given nor by one");
    let to = station.desk("www");
    let unpack = ["unpack", release.to_str().unwrap(), "--to", to.to_str().unwrap()];
    with(&unpack, &[&own]).fails(4, "neither the root given nor by it");
    assert!(!to.exists(), "something was written");
    with(&unpack, &[&own, &top]).ok();
    let good = with(&check, &[&top, &own]).ok();
    assert!(good["compared"].to_string().contains("2 of 2 roots"), "{good}");
    // One to which nothing leads is told.
    let good = with(&check, &[&twin, &own, &top]).ok();
    assert!(good["compared"].to_string().contains("2 of 3 roots"), "{good}");
    let told = format!("the root with SHA-256 {} (no CA of this release leads to it)", outside.sha256("twin.pem"));
    assert!(good["not-compared"].to_string().contains(&told), "{good}");
}
