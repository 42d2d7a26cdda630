//! Bundles: damaged on their way, made by the wrong hand, for another place, or out of their time.

use std::fs;
use std::path::{Path, PathBuf};

use coldroot::bundle::{Answers, Item, Request, Revocation};
use coldroot::cbor::Bytes;
use coldroot::config::Environment;
use coldroot::digest::Digest;
use coldroot::text::Untrusted;

use crate::book::Book;
use crate::harness::forged::{Forged, now};
use crate::harness::station::Station;

const DAY: i64 = 86_400;

fn request(id: &str) -> Item {
    // One of fixed size: a new signature would be now 71, now 72 octets long.
    let made = coldroot::requests::embedded().unwrap().remove(5);
    Item::Request(Request { request: id.into(), ..made })
}

fn good() -> Forged {
    Forged::new().items([request("r1"), request("r2")])
}

/// A changed copy of a bundle.
fn changed(station: &Station, bundle: &Path, name: &str, edit: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut octets = fs::read(bundle).unwrap();
    edit(&mut octets);
    let path = station.desk(&format!("{name}.bundle"));
    fs::write(&path, octets).unwrap();
    path
}

fn at(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|w| w == needle).unwrap()
}

#[test]
fn p07_bundles() {
    let station = Station::ready();
    let whole = good().write(&station, "good");
    let size = fs::metadata(&whole).unwrap().len() as usize;
    let checkpoint = fs::read_to_string(station.path("audit/checkpoint")).unwrap();
    let foreign = checkpoint.replace("coldroot/demo", "coldroot/else");
    let copy = |name, edit: fn(&mut Vec<u8>)| changed(&station, &whole, name, edit);
    let named = |name| Forged::new().items([request(name)]);
    let answering =
        move |release, note: String| good().about(move |a| a.answers = Answers { release, checkpoint: Some(note) });
    let cases: Vec<(&str, i32, PathBuf)> = vec![
        ("bundle: not there", 1, station.desk("nowhere.bundle")),
        ("bundle: empty file", 1, copy("empty", |o| o.clear())),
        ("bundle: some other file", 1, copy("other", |o| *o = b"PK\x03\x04 this is a zip file".to_vec())),
        ("bundle: another version's magic", 1, copy("magic", |o| o[18] = b'9')),
        ("bundle: cut in its head", 1, copy("cut-head", |o| o.truncate(60))),
        (
            "bundle: cut in its signature",
            1,
            copy("cut-signature", |o| {
                let armor = at(o, b"BEGIN SSH");
                o.truncate(armor + 40);
            }),
        ),
        ("bundle: cut in its body", 1, copy("cut-body", |o| o.truncate(o.len() - 100))),
        ("bundle: octets behind its end", 1, copy("longer", |o| o.push(0))),
        (
            "bundle: a changed octet in its head",
            1,
            copy("flip-head", |o| {
                let desk = at(o, b"desk-1");
                o[desk + 5] ^= 3;
            }),
        ),
        (
            "bundle: a changed octet in its signature",
            1,
            copy("flip-signature", |o| {
                let armor = at(o, b"BEGIN SSH") + 120;
                o[armor] = if o[armor] == b'A' { b'B' } else { b'A' };
            }),
        ),
        (
            "bundle: a changed octet in its body",
            1,
            copy("flip-body", |o| {
                let last = o.len() - 10;
                o[last] ^= 1;
            }),
        ),
        (
            "bundle: signed by a key of nobody",
            1,
            good().signed_by("other", "coldroot-bundle-v0").write(&station, "other-key"),
        ),
        ("bundle: signed for another purpose", 1, good().signed_by("desk-1", "file").write(&station, "namespace")),
        (
            "bundle: from a desk that is not declared",
            1,
            good().about(|a| a.desk = "desk-9".into()).write(&station, "desk-9"),
        ),
        (
            "bundle: for another hierarchy",
            1,
            good().about(|a| a.hierarchy = "Street".into()).write(&station, "hierarchy"),
        ),
        (
            "bundle: for another log",
            1,
            good().about(|a| a.origin = "example.org/else".into()).write(&station, "origin"),
        ),
        (
            "bundle: of a real hierarchy at a rehearsal",
            1,
            good().about(|a| a.environment = Environment::Real).write(&station, "real"),
        ),
        (
            "bundle: expired",
            1,
            good().about(|a| (a.created, a.expires) = (now() - 3 * DAY, now() - DAY)).write(&station, "expired"),
        ),
        (
            "bundle: from the future",
            1,
            good().about(|a| (a.created, a.expires) = (now() + DAY, now() + 2 * DAY)).write(&station, "future"),
        ),
        ("bundle: a number too far", 1, good().about(|a| a.sequence = 3).write(&station, "gap")),
        (
            "bundle: answers a release that was never made",
            3,
            answering(9, checkpoint.clone()).write(&station, "release-9"),
        ),
        ("bundle: answers another log's release", 1, answering(2, foreign).write(&station, "foreign-note")),
        ("bundle: the answered checkpoint is no note", 1, answering(2, "hello\n".into()).write(&station, "no-note")),
        ("bundle: its head counts more items", 1, good().head(|h| h.count = 3).write(&station, "count")),
        (
            "bundle: its head counts revocations that are none",
            1,
            good().head(|h| h.revocations = 1).write(&station, "revocations"),
        ),
        ("bundle: another Merkle root", 1, good().head(|h| h.root = Digest([7; 32])).write(&station, "root")),
    ];
    let mut book = Book::new(&station);
    assert!(size > 500);
    for (defect, code, path) in cases {
        match path.exists() {
            true => book.refuse_bundle(defect, code, &path),
            false => book.refuse(defect, code, &["plan", "--bundle", path.to_str().unwrap()]),
        }
    }
    book.refuse("bundle: a directory", 1, &["plan", "--bundle", station.desk("").to_str().unwrap()]);
    book.refuse("bundle: a device", 1, &["plan", "--bundle", "/dev/zero"]);

    // One bundle is taken; then come those that follow it wrongly.
    let plan = station.planned(&named("one").write(&station, "one"));
    book.turn();
    let path = |name: &str| station.desk(&format!("{name}.bundle"));
    good().about(|a| a.salt = [2; 16]).write(&station, "usurper");
    named("two").about(|a| a.sequence = 2).write(&station, "two");
    book.refuse_bundle("bundle: another one under the same number", 1, &path("usurper"));
    book.refuse_bundle("bundle: the next one, while this one waits", 1, &path("two"));
    station.carried_out(&plan);
    book.turn();
    book.refuse_bundle("bundle: answered already", 1, &path("one"));
    let revocation = Item::Revoke(Revocation {
        serial: Bytes::from(vec![1, 2, 3]),
        reason: Some(4),
        requester: Untrusted::new("hostmaster@example.org"),
    });
    Forged::new().items([revocation]).about(|a| a.sequence = 9).write(&station, "late-revocation");
    book.refuse_bundle("bundle: revocations, a number too far", 1, &path("late-revocation"));
    assert!(book.close("bundles") >= 30);
}
