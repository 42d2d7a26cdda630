//! The examples of docs/formats.md are read by the program, and its numbers are the code's.

use std::fs;
use std::path::Path;
use std::process::Command;

use coldroot::{bundle, cbor, plan, release};

use crate::harness::forged::Forged;
use crate::harness::station::{HIERARCHY, Station};
use crate::{COLDROOT, block, checkout, harness, read};

/// What the examples of a page of formats are: read back by the program, and about each other.
fn judge_examples(page: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = |info: &str, name: &str| {
        let hex: String = block(page, info).split_whitespace().collect();
        let path = dir.path().join(name);
        fs::write(&path, data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap();
        path
    };
    let opened = plan::Plan::open(&file("hex plan", "plan")).unwrap();
    assert_eq!(plan::statement(opened.head(), &opened.digest()), block(page, "text statement"));

    let unverified = bundle::open(fs::File::open(file("hex bundle", "bundle")).unwrap()).unwrap();
    let (mut read_back, ()) = unverified
        .verify(|_, octets, signature| {
            // The signer is whoever the signature names: it must be over these octets, under the namespace of the page.
            let signature: ssh_key::SshSig = signature.parse().unwrap();
            let signer = ssh_key::PublicKey::from(signature.public_key().clone());
            signer.verify("coldroot-bundle-v0", octets, &signature)
        })
        .unwrap();
    let items: Vec<_> = read_back.items().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(items.iter().map(bundle::Item::id).collect::<Vec<_>>(), ["r1"]);
    let list = bundle::List::parse(block(page, "toml").as_bytes()).unwrap();
    let head = read_back.head();
    assert_eq!((&list.hierarchy, &list.origin), (&head.hierarchy, &head.origin));
    assert!(list.validations[0].takes_over);

    file("hex release", "release.cbor");
    file("hex manifest", "manifest.cbor");
    let opened_release = release::Release::open(dir.path()).unwrap();
    assert_eq!(opened_release.head.plan, opened.digest());
    let mut keys = 0;
    opened_release
        .parts(|part| {
            keys += u32::from(matches!(part, release::Part::Key { .. }));
            Ok(())
        })
        .unwrap();
    assert_eq!(keys, 1);
    assert!(block(page, "text checkpoint").starts_with("example.org/log\n"));
}

const ANEW: &str = "cargo test --test docs write_the_examples_anew -- --ignored";

#[test]
fn the_examples_of_the_formats_are_read_by_the_program() {
    println!("after a change of a format write them anew: {ANEW}");
    judge_examples(&read("docs/formats.md"));
}

#[test]
fn the_examples_of_the_formats_can_be_made_anew() {
    judge_examples(&with_new_examples(&read("docs/formats.md")));
}

/// Writes the examples of docs/formats.md and the sample log anew; run by hand after a change of a format.
#[test]
#[ignore = "changes the checkout"]
fn write_the_examples_anew() {
    let page = with_new_examples(&read("docs/formats.md"));
    fs::write(checkout().join("docs/formats.md"), page).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (demo, sample) = (dir.path().join("demo"), checkout().join("audit-logs/sample"));
    let made = Command::new(COLDROOT).args(["demo", "--requests", "3", "--dir"]).arg(&demo).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::remove_dir_all(sample.join("log")).unwrap();
    harness::copy_tree(&demo.join("log"), &sample.join("log"));
    fs::copy(demo.join("root.pem"), sample.join("root.pem")).unwrap();
    fs::copy(demo.join("station/verifier-key"), sample.join("verifier-key")).unwrap();
}

/// The page with the files of a new small rehearsal in its blocks: one key made, and a bundle with one request.
fn with_new_examples(page: &str) -> String {
    let hierarchy = HIERARCHY
        .replace("\"Road\"", "\"Example\"")
        .replace("example.org/coldroot/demo", "example.org/log")
        .replace("id = \"xmpp-server\"", "id = \"leaf\"")
        .replace("[\"xmpp-server\"]", "[\"leaf\"]")
        .replace("algorithm = \"ecdsa-p384\"", "algorithm = \"ecdsa-p256\"")
        .replace("desk-1\"", "desk\"");
    let station = Station::bare_of(hierarchy);
    station.init().ok();
    let act = "\n[[act]]\nkind = \"generate-key\"\nkey = \"root-key\"\n";
    let plan = station.planned_ceremony_of(&format!("format = \"coldroot-ceremony-v0\"\ntitle = \"One key\"\n{act}"));
    let release = station.carried_out(&plan);
    let mut request = coldroot::requests::generate(1, 1).next().unwrap().unwrap();
    let csr = coldroot::requests::embedded().unwrap().remove(0);
    (request.request, request.profile, request.csr) = ("r1".into(), "leaf".into(), csr.csr);
    (request.requester, request.names) = (coldroot::text::Untrusted::new("Bea"), vec!["a.example".into()]);
    let about = |about: &mut bundle::About| {
        (about.hierarchy, about.origin) = ("Example".into(), "example.org/log".into());
        about.desk = "desk".into();
    };
    let made = Forged::new().about(about).items([bundle::Item::Request(request)]).write(&station, "example");

    let plan = station.dir().join(plan);
    let statement = fs::read_to_string(plan.with_extension("statement")).unwrap();
    let checkpoint = fs::read_to_string(release.join("checkpoint")).unwrap();
    let hex = |path: &Path| {
        let hex = data_encoding::HEXLOWER.encode(&fs::read(path).unwrap());
        hex.as_bytes().chunks(96).map(|line| format!("{}\n", std::str::from_utf8(line).unwrap())).collect::<String>()
    };
    let blocks = [
        ("hex bundle", hex(&made)),
        ("hex plan", hex(&plan)),
        ("text statement", statement),
        ("hex release", hex(&release.join("release.cbor"))),
        ("hex manifest", hex(&release.join("manifest.cbor"))),
        ("text checkpoint", checkpoint),
    ];
    blocks.iter().fold(page.to_string(), |page, (info, body)| {
        let old = format!("```{info}\n{}```", block(&page, info));
        assert!(page.contains(&old), "no block `{info}`");
        page.replacen(&old, &format!("```{info}\n{body}```"), 1)
    })
}

#[test]
fn the_page_of_formats_names_the_magics_and_limits_of_the_code() {
    let page = read("docs/formats.md");
    let magics = [
        plan::MAGIC,
        bundle::MAGIC,
        release::RELEASE_MAGIC,
        release::LOG_MAGIC,
        release::MANIFEST_MAGIC,
        bundle::VALIDATIONS,
        plan::NAMESPACE,
    ];
    assert!(magics.iter().all(|magic| page.contains(&format!("`{magic}`"))));
    let hex = data_encoding::HEXLOWER.encode(&cbor::magic(plan::MAGIC));
    assert!(page.contains(&format!("{} {}", &hex[..2], &hex[2..])), "{hex}");
    let grouped = |n: u64| {
        let digits = n.to_string();
        let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
        groups.join(",")
    };
    let limits = [bundle::limits::COUNT, bundle::limits::ITEM, bundle::limits::HEAD, bundle::limits::SIGNATURE];
    let lists = [bundle::limits::LIST, bundle::limits::LISTS];
    let approval = coldroot::approval::MAX_SIGNATURE as u64;
    for limit in limits.into_iter().chain(lists).chain([plan::MAX_ITEMS, approval]) {
        assert!(page.contains(&grouped(limit)), "the limit {} is not on the page", grouped(limit));
    }
}
