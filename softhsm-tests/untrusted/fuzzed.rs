//! The fuzzer's parsers on the stable toolchain: files made here, what a fuzzer has kept, and both with turned bits.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use coldroot::audit::View;
use coldroot::cbor;
use coldroot::digest::Digest;
use coldroot::ledger::Ledger;
use coldroot::release::LogFile;

use super::corpus::{Sample, corpus};
use super::files;
use super::harness::draw::Draw;
use super::harness::{files as files_in, repository};

#[path = "../../fuzz/parsers.rs"]
mod parsers;
use parsers::PARSERS;

/// Samples in the seeds: one of each kind of text, and short ones, since a seed is what a fuzzer begins with.
const SAMPLES: [&str; 6] = ["empty", "title", "override", "homoglyph-domain", "formula", "c1-octets"];
/// Turned copies of each seed.
const TURNED: usize = 60;
/// Octets of a seed and of a kept input.
const LARGEST: u64 = 32 << 10;

type Made = Option<Vec<&'static str>>;

/// The content of the file that is made for a sample; `inside`: of a directory, the file in it.
fn content(make: impl Fn(&Path, &Sample) -> Made, sample: &Sample, inside: &[&str]) -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let Some(args) = make(dir.path(), sample) else { return Vec::new() };
    let file = args.iter().skip(1).map(|arg| dir.path().join(arg)).find(|path| path.exists());
    let Some(file) = file else { return Vec::new() };
    if file.is_file() {
        return vec![fs::read(file).unwrap()];
    }
    inside.iter().filter_map(|name| fs::read(file.join(name)).ok()).collect()
}

/// What each parser begins with, made by code: the same files that go through every output.
fn seeds(parser: &str) -> Vec<Vec<u8>> {
    let of = |make: fn(&Path, &Sample) -> Made, inside: &[&str]| -> Vec<Vec<u8>> {
        let chosen = corpus().into_iter().filter(|sample| SAMPLES.contains(&sample.name.as_str()));
        chosen.flat_map(|sample| content(make, &sample, inside)).collect()
    };
    let text = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    match parser {
        "request" => of(files::request, &[]),
        "certificate" => of(files::certificate, &[]),
        "crl" => of(files::crl, &[]),
        "key" => vec![super::der::spki()],
        "bundle" => of(files::bundle, &[]),
        "validations" => text(&[LIST]),
        "table" => text(&[
            "request,profile,requester,names\nr-1,xmpp-server,hostmaster@example.org,chat.example talk.example\n",
            "serial,reason\n0102,superseded\n",
            "[[request]]\nrequest = \"r-1\"\nprofile = \"device\"\nrequester = \"x\"\nnames = [\"a.example\"]\n",
        ]),
        "plan" => [of(files::plan, &[]), of(files::key_plan, &[])].concat(),
        "hierarchy" => {
            let example = include_str!("../../ceremony-scripts/hierarchy.example.toml");
            [text(&[example]), of(files::hierarchy_name, &[]), of(files::hierarchy_value, &[])].concat()
        }
        "ceremony" => [of(files::ceremony, &[]), of(files::ceremony_title, &[])].concat(),
        "uri" => text(&[
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;serial=01;model=1.0",
            "pkcs11:object=my-key;type=private;id=%69%95%3E%5C",
            "pkcs11:library-manufacturer=Snake%20Oil;library-version=3.1;slot-id=7?module-path=/x&pin-value=1",
        ]),
        "approval" => of(files::signature, &[]),
        "note" => text(&NOTES),
        "entry" => of(files::log, &["tail"]),
        "release" => of(files::release, &["manifest.cbor"]),
        "backup" => vec![[&b"\x74coldroot-backup-v0"[..], &[0x41, 0xa0]].concat()],
        "tile" => {
            let of_log = of(files::log, &["tail"]);
            // A bundle's entries have their length before them (C2SP tlog-tiles).
            let bundled = |entry: &[u8]| [&u16::try_from(entry.len()).unwrap().to_be_bytes()[..], entry].concat();
            of_log.iter().map(|tail| bundled(&tail[..tail.len().min(300)])).collect()
        }
        "name" => {
            let short = corpus().into_iter().map(|sample| sample.bytes).filter(|bytes| bytes.len() < 300);
            [
                text(&["release-0003", "x.plan", "juliet@xn--mller-kva.example", "_xmpp-server.a.example"]),
                short.collect(),
            ]
            .concat()
        }
        "typed" => {
            text(&["topmost Istanbul topmost Istanbul", "35261 46152 11634 25511 63342", "2026-11-22T00:00:00Z"])
        }
        "blocklist" => vec![
            b"# keys\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n".to_vec(),
            (0..64).collect(),
        ],
        "run" => vec![(0..240).collect(), vec![1; 24], vec![7; 72]],
        "index" => {
            let dir = tempfile::tempdir().unwrap();
            let made = corpus().iter().find_map(|sample| files::log(dir.path(), sample)).unwrap();
            let log = made.iter().skip(1).map(|arg| dir.path().join(arg)).find(|path| path.exists()).unwrap();
            let log = View::read(&log).unwrap();
            let digest = Ledger::open(&log).unwrap_or_default().store(&log).unwrap();
            let stored = files_in(&log.dir().join("index")).into_iter().map(|path| fs::read(path).unwrap());
            vec![stored.into_iter().find(|octets| Digest::of(octets) == digest).unwrap()]
        }
        "pin" => text(&["123456\n", "user:123456", "0001password\r\nrest", ""]),
        "linter" => text(&[
            r#"{"results":[{"finding_descriptions":[{"severity":"ERROR","code":"pkix.a","message":null}]}]}"#,
            r#"{"e_a":{"result":"error","details":"why"},"w_d":{"result":"warn"},"n_c":{"result":"NA"}}"#,
        ]),
        "carried" => {
            let piece = |path: &str, offset, content: &[u8]| {
                let file = LogFile { path: path.into(), offset, content: content.to_vec().into() };
                let (mut frame, octets) = (Vec::new(), cbor::to_vec(&file).unwrap());
                cbor::write_frame(&mut frame, &octets).unwrap();
                frame
            };
            let two = [piece("tile/0/000.p/1", 0, &[7; 32]), piece("tile/0/000.p/1", 32, &[8; 32])].concat();
            vec![
                two,
                piece("artefact/00/00", 0, b"x"),
                piece("tile/../../x", 0, b"x"),
                b"\x74coldroot-withheld-v0".to_vec(),
            ]
        }
        other => panic!("no seeds for {other}"),
    }
}

const LIST: &str = "format = \"coldroot-validations-v0\"\nhierarchy = \"Road\"\norigin = \"example.org/x\"\n\
    environment = \"rehearsal\"\n\n[[validation]]\nnames = [\"chat.example\"]\nrequester = \"r\"\nmethod = \"dns-txt\"\n\
    evidence = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\ntime = \"2026-11-22T00:00:00Z\"\n";
const NOTES: [&str; 4] = [
    "example.org/log\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    "example.org/log\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u{2014} example.org/log AAAAAAAA\n",
    "old 3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nexample.org/log\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    "Minutes of example.org/log, release 3, log size 41\n\n 1 topmost  2 Istanbul\n\n",
];

/// Of one input with two bits turned, an octet less, one more, or a part of it twice.
fn turned(draw: &mut Draw, input: &[u8]) -> Vec<u8> {
    let mut octets = input.to_vec();
    if octets.is_empty() {
        return vec![u8::try_from(draw.below(256)).unwrap()];
    }
    match draw.below(6) {
        0 => drop(octets.remove(draw.below(input.len()))),
        1 => octets.insert(draw.below(input.len()), u8::try_from(draw.below(256)).unwrap()),
        2 => octets.truncate(draw.below(input.len())),
        3 => {
            let (from, to) = (draw.below(input.len()), draw.below(input.len()));
            let part = octets[from.min(to)..from.max(to)].to_vec();
            octets.splice(from..from, part);
        }
        _ => (0..2).for_each(|_| octets[draw.below(input.len())] ^= 1 << draw.below(8)),
    }
    octets
}

#[test]
fn p07_no_parser_panics_on_seeds_on_what_a_fuzzer_has_kept_nor_on_either_with_turned_bits() {
    let mut draw = Draw(7);
    for (name, parser) in PARSERS {
        let kept = repository().join("fuzz/corpus").join(name);
        let kept: Vec<Vec<u8>> = if kept.exists() {
            files_in(&kept).iter().map(|path| fs::read(path).unwrap()).collect()
        } else {
            Vec::new()
        };
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} begins with nothing");
        let given: Vec<Vec<u8>> = seeds.into_iter().chain(kept).filter(|input| input.len() as u64 <= LARGEST).collect();
        let dir = tempfile::tempdir().unwrap();
        for input in &given {
            let all = (0..TURNED).map(|_| turned(&mut draw, input));
            for octets in std::iter::once(input.clone()).chain(all) {
                let run = catch_unwind(AssertUnwindSafe(|| parser(&octets, dir.path())));
                assert!(run.is_ok(), "{name}: {}", data_encoding::HEXLOWER.encode(&octets));
            }
        }
    }
}

/// `softhsm-tests/fuzz-all` has the seeds written where `SEEDS` says.
#[test]
#[ignore = "writes the seeds for the fuzzer"]
fn write_the_seeds() {
    let Some(to) = std::env::var_os("SEEDS") else { return };
    for (name, _) in PARSERS {
        let dir = Path::new(&to).join(name);
        fs::create_dir_all(&dir).unwrap();
        for (n, seed) in seeds(name).into_iter().enumerate() {
            fs::write(dir.join(format!("seed-{n}")), seed).unwrap();
        }
    }
}
