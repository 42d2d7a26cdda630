//! What comes in: bundles, approvals, plans, releases.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::copy_tree;
use super::harness::station::{COLDROOT, Run, Station};
use super::in_namespace;

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn plan_args(bundle: impl Into<OsString>) -> Vec<OsString> {
    vec!["plan".into(), "--bundle".into(), bundle.into()]
}

#[test]
fn p07_a_bundle_comes_in_as_one_regular_file_of_a_lawful_name_or_not_at_all() {
    let station = Station::ready();
    let good = station.bundle(2, 1);
    let medium = station.medium("stick");
    let at = |name: &str| medium.join(name);
    mkfifo(&at("pipe"));
    let _socket = UnixListener::bind(at("socket")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    symlink(&good, at("link")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    fs::copy(&good, at("first")).unwrap();
    fs::hard_link(at("first"), at("second")).unwrap();
    File::create(at("vast")).unwrap().set_len(9 << 30).unwrap();
    for name in ["Monday", "monday", "-rf", ".hidden", "new\nline", "bidi\u{202e}", "b.part"] {
        fs::copy(&good, at(name)).unwrap();
    }
    let foreign = medium.join(OsString::from_vec(b"latin\xe9".to_vec()));
    fs::copy(&good, &foreign).unwrap();
    let crowd = station.medium("crowd");
    for n in 0..10_001 {
        File::create(crowd.join(n.to_string())).unwrap();
    }
    let mut cases: Vec<(&str, PathBuf, &str)> = vec![
        ("a pipe without a writer", at("pipe"), "`pipe` is not a regular file"),
        ("a socket", at("socket"), "`socket` is not a regular file"),
        ("a directory", at("directory"), "`directory` is not a regular file"),
        ("a link", at("link"), "`link` is not a regular file"),
        ("a link to nothing", at("dangling"), "`dangling` is not a regular file"),
        ("a device", "/dev/zero".into(), "`zero` is not a regular file"),
        ("a hard link", at("first"), "`first` has a second name"),
        ("a file of 9 GiB", at("vast"), "9663676416 octets, more than the limit of 8589934592"),
        ("a file that grows while it is read", "/proc/self/status".into(), "`status` changed while it was copied: 0"),
        ("two names that differ in case", at("Monday"), "`Monday` and `monday` differ in case alone"),
        ("a name that is an option", at("-rf"), "begins with `.`, `-` or a space"),
        ("a hidden name", at(".hidden"), "begins with `.`, `-` or a space"),
        ("a name with a control character", at("new\nline"), "not printable ASCII"),
        ("a name with a bidirectional character", at("bidi\u{202e}"), "`bidi\\u{202e}` is no name"),
        ("a name that is not UTF-8", foreign, "not printable ASCII"),
        ("an unfinished file", at("b.part"), "ends with `.part`"),
        ("an absent file", at("tuesday"), "`tuesday` is not on the medium"),
        ("an absent medium", "/nowhere/b".into(), "cannot open the directory /nowhere"),
        ("a crowded directory", crowd.join("7"), "more than 10000 names"),
    ];
    // The kernel says that these have 4,096 octets, and gives fewer.
    let shrinking = ["/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/uevent_seqnum", "/sys/power/state"];
    if let Some(path) = shrinking.into_iter().map(PathBuf::from).find(|path| File::open(path).is_ok()) {
        cases.push(("a file that shrinks while it is read", path, "changed while it was copied: 4096"));
    }
    let before = station.state();
    for (case, path, saying) in cases {
        station.refuses(case, station.bounded(&plan_args(path)), 1, saying, &before);
    }
    // A medium that cannot be read, and one that is pulled while it is read.
    let args = ["plan", "--bundle", good.to_str().unwrap()];
    let paths = [good.clone()];
    for (case, inject) in [("unreadable", "read:error=EIO"), ("pulled", "read:error=ENODEV:when=2+")] {
        let run = station.tampered(&[inject], &paths, &args);
        station.refuses(case, run, 1, "cannot read `requests-1-1.bundle`", &before);
    }
    // Opened once: a second time the medium gives nothing.
    let once = ["openat:error=EIO", "openat2:error=EIO:when=2+"];
    let paths = [good.clone(), good.file_name().unwrap().into()];
    station.tampered(&once, &paths, &args).ok();
}

#[test]
fn p07_a_bundle_does_not_lead_out_of_its_mount() {
    let station = Station::ready();
    let good = station.bundle(1, 1);
    let medium = station.medium("stick");
    let (covered, other) = (medium.join("covered"), station.medium("elsewhere"));
    fs::write(&covered, "").unwrap();
    let before = station.state();
    let args = ["plan", "--bundle", covered.to_str().unwrap()];
    let says = "`covered` lies on another file system than its directory";
    let mounted = format!(
        "mount -t tmpfs none {other}; cp {good} {other}/bundle; mount --bind {other}/bundle {covered}\n",
        other = other.display(),
        good = good.display(),
        covered = covered.display()
    );
    let coldroot = format!("{COLDROOT} --json --plain plan --bundle {}", covered.display());
    // With openat2, and without it, as on an old kernel: then the device numbers tell.
    let old = "strace -qq -o /dev/null --inject=openat2:error=ENOSYS";
    for (case, command) in [("mounted", coldroot.clone()), ("mounted, no openat2", format!("{old} {coldroot}"))] {
        let run = in_namespace(&format!("{mounted}exec {command}"), &station.dir()).unwrap_or_else(|| {
            // No mount of our own here: the kernel's answer, played.
            station.tampered(&["openat2:error=EXDEV"], std::slice::from_ref(&medium), &args)
        });
        station.refuses(case, run, 1, says, &before);
    }
    let run = station.tampered(
        &["openat2:error=ENOSYS"],
        &[good.parent().unwrap().into()],
        &["plan", "--bundle", good.to_str().unwrap()],
    );
    run.ok();
}

/// A body that is no sequence of items, under its true digest: judged by its signature first.
#[test]
fn p07_a_bundles_body_is_not_parsed_before_its_signature_is_good() {
    let station = Station::ready();
    let whole = fs::read(station.bundle(1, 1)).unwrap();
    let opened = coldroot::bundle::open(std::io::Cursor::new(&whole)).unwrap();
    let garbage = b"\xff this is no item \xff".as_slice();
    let mut head = opened.head().clone();
    head.body_length = garbage.len() as u64;
    head.body_digest = coldroot::digest::Digest::of(garbage);
    let head = coldroot::cbor::to_vec(&head).unwrap();
    let made = |key: &str| {
        let signed = station.desk(&format!("head-{key}"));
        fs::write(&signed, &head).unwrap();
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-Y", "sign", "-q", "-n", coldroot::bundle::NAMESPACE, "-f"]).arg(station.desk(key)).arg(&signed);
        assert_eq!(Run::of(&mut sign).code, 0);
        let signature = fs::read_to_string(signed.with_extension("sig")).unwrap();
        let mut octets = Vec::new();
        coldroot::bundle::write_container(&mut octets, &head, &signature, &mut &*garbage).unwrap();
        let path = station.desk(&format!("garbage-{key}.bundle"));
        fs::write(&path, octets).unwrap();
        path
    };
    let (stranger, desk) = (made("other"), made("desk-1"));
    station.refuses_read("a stranger's garbage", &stranger, "not signed by desk");
    station.refuses_read("the desk's garbage", &desk, "item");
}

#[test]
fn p08_approvals_are_opened_inside_the_sandbox() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(1, 1));
    let approvals = station.approve(&plan);
    let calls = station.path("calls");
    let trace =
        ["-f", "-qq", "-e", "trace=openat,openat2,landlock_restrict_self", "-o", calls.to_str().unwrap(), COLDROOT];
    let run = Run::of(&mut station.command_of("strace", &trace, &station.sign_args(&plan, &approvals)));
    assert_eq!(run.code, 0, "{run:?}");
    let calls = fs::read_to_string(calls).unwrap();
    let first = |what: &str| calls.lines().position(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what}"));
    assert!(first("landlock_restrict_self(") < first(".alice.sig"), "{calls}");
}

#[test]
fn p07_approvals_come_in_as_bounded_copies() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(1, 1));
    let approvals = station.approve(&plan);
    let medium = station.medium("stick");
    let at = |name: &str| medium.join(name);
    mkfifo(&at("pipe.sig"));
    symlink(station.dir().join(&approvals[0]), at("link.sig")).unwrap();
    fs::copy(station.dir().join(&approvals[0]), at("first.sig")).unwrap();
    fs::hard_link(at("first.sig"), at("second.sig")).unwrap();
    fs::write(at("vast.sig"), [b'x'; 8193]).unwrap();
    fs::write(at("binary.sig"), [0xff; 100]).unwrap();
    fs::write(at("words.sig"), "I approve").unwrap();
    let before = station.state();
    for (case, path, saying) in [
        ("a pipe", at("pipe.sig"), "`pipe.sig` is not a regular file"),
        ("a link", at("link.sig"), "`link.sig` is not a regular file"),
        ("a device", "/dev/zero".into(), "`zero` is not a regular file"),
        ("a hard link", at("first.sig"), "`first.sig` has a second name"),
        ("too large", at("vast.sig"), "8193 octets, more than the limit of 8192"),
        ("not text", at("binary.sig"), "is no SSH signature: it is not text"),
        ("words", at("words.sig"), "not approved"),
        ("absent", at("absent.sig"), "`absent.sig` is not on the medium"),
    ] {
        let mine = [path, approvals[1].clone()];
        station.refuses(case, station.bounded(&station.sign_args(&plan, &mine)), 1, saying, &before);
    }
    station.refuses(
        "a pipe as plan",
        station.bounded(&station.sign_args(&at("pipe.sig"), &approvals)),
        1,
        "no regular file",
        &before,
    );

    // What lies on a medium under the plan's name is judged; what has another name is not looked at.
    let name = plan.file_name().unwrap().to_str().unwrap();
    let carry = |medium: &Path, person: &str, from: &Path| {
        fs::copy(station.dir().join(from), medium.join(format!("{name}.{person}.sig"))).unwrap();
    };
    let sign = |medium: &Path| {
        let mut args = station.sign_args(&plan, &[]);
        args.extend(["--media", medium.to_str().unwrap()]);
        station.bounded(&args)
    };
    let one = station.medium("one");
    carry(&one, "alice", &approvals[0]);
    fs::write(one.join("other.plan.eve.sig"), "not of this plan").unwrap();
    mkfifo(&one.join("plan.sig"));
    station.refuses("one of two", sign(&one), 1, "given: alice; could still: bob", &before);
    carry(&one, "ALICE", &approvals[0]);
    station.refuses("two of one name", sign(&one), 1, "differ in case alone", &before);
    let bidi = station.medium("bidi");
    carry(&bidi, "al\u{202e}ice", &approvals[0]);
    station.refuses("a hidden character", sign(&bidi), 1, "al\\u{202e}ice.sig` is no name", &before);
    station.refuses("no medium", sign(Path::new("/nowhere")), 1, "cannot open the directory /nowhere", &before);

    let both = station.medium("both");
    carry(&both, "alice", &approvals[0]);
    carry(&both, "bob", &approvals[1]);
    let signed = sign(&both).ok();
    assert_eq!(signed["on-medium"], both.join("release-0003").to_str().unwrap());
    let key = station.verifier_key();
    let carried = both.join("release-0003");
    station.run(&["check", carried.to_str().unwrap(), "--verifier-key", &key, "--hierarchy", "hierarchy.toml"]).ok();
    assert!(super::tree(&carried) == super::tree(&station.path("out/release-0003")));
    let receipts = station
        .bodies()
        .into_iter()
        .filter(|b| matches!(b, coldroot::audit::entry::Body::ReleaseWritten { release: 3, .. }));
    assert_eq!(receipts.count(), 2, "one for out/, one for the medium");
    assert!(super::files(&station.path("in")).is_empty());
    station.check_log();
}

#[test]
fn p07_an_officer_approves_a_plan_that_was_read_once() {
    let station = Station::ready();
    let plan = station.planned(&station.bundle(1, 1));
    let medium = station.medium("stick");
    let at = |name: &str| medium.join(name);
    fs::copy(station.dir().join(&plan), at("good.plan")).unwrap();
    symlink("good.plan", at("link.plan")).unwrap();
    mkfifo(&at("pipe.plan"));
    fs::copy(station.dir().join(&plan), at("done.plan")).unwrap();
    fs::write(at("done.plan.alice.sig"), "older").unwrap();
    let before = station.state();
    let approve = |name: &str| {
        let path = at(name);
        let args = ["approve", path.to_str().unwrap(), "--person", "alice", "--key", "officers/alice"];
        station.bounded(&args)
    };
    station.refuses("a pipe", approve("pipe.plan"), 1, "no regular file", &before);
    station.refuses("a link", approve("link.plan"), 1, "`link.plan` is not a regular file", &before);
    station.refuses(
        "approved before",
        approve("done.plan"),
        1,
        "`done.plan.alice.sig` is on the medium already",
        &before,
    );
    assert_eq!(fs::read(at("done.plan.alice.sig")).unwrap(), b"older");
    let path = at("good.plan");
    let args = ["approve", path.to_str().unwrap(), "--person", "alice", "--key", "officers/alice"];
    let run = station.tampered(&["openat:error=EROFS"], &["good.plan.alice.sig.part".into()], &args);
    station.refuses("a sealed medium", run, 1, "the medium is read-only", &before);
    assert!(!at("good.plan.alice.sig").exists());
    // Opened to see what it is, and once more to copy it: a third time the medium gives nothing.
    let once = ["openat:error=EIO:when=2+", "openat2:error=EIO:when=2+"];
    station.tampered(&once, &[at("good.plan"), "good.plan".into()], &args).ok();
    assert!(at("good.plan.alice.sig").exists());
}

#[test]
fn p07_a_release_is_read_from_a_medium_exactly_or_not_at_all() {
    let station = Station::ready();
    let key = station.verifier_key();
    type Spoil = fn(&Path);
    let spoilt: [(&str, Spoil, &str); 12] = [
        ("a fifth file", |r| fs::write(r.join("fifth"), "").unwrap(), "the directory holds `fifth`"),
        ("a hidden file", |r| fs::write(r.join(".DS_Store"), "").unwrap(), "the directory holds `.DS_Store`"),
        ("a name with an escape", |r| fs::write(r.join("\u{1b}[2J"), "").unwrap(), "the directory holds `\\u{1b}[2J`"),
        ("a directory inside", |r| fs::create_dir(r.join("log")).unwrap(), "the directory holds `log`"),
        ("a second case", |r| fs::write(r.join("Checkpoint"), "").unwrap(), "the directory holds `Checkpoint`"),
        ("no checkpoint", |r| fs::remove_file(r.join("checkpoint")).unwrap(), "`checkpoint` is not on the medium"),
        ("an unfinished copy", |r| fs::rename(r.join("log.cbor"), r.join("log.cbor.part")).unwrap(), "`log.cbor.part`"),
        (
            "a link",
            |r| {
                fs::rename(r.join("checkpoint"), r.with_extension("note")).unwrap();
                symlink(r.with_extension("note"), r.join("checkpoint")).unwrap();
            },
            "`checkpoint` is not a regular file",
        ),
        (
            "a pipe",
            |r| {
                fs::remove_file(r.join("release.cbor")).unwrap();
                mkfifo(&r.join("release.cbor"));
            },
            "`release.cbor` is not a regular file",
        ),
        (
            "a hard link",
            |r| fs::hard_link(r.join("log.cbor"), r.with_extension("log")).unwrap(),
            "`log.cbor` has a second name",
        ),
        (
            "a vast manifest",
            |r| File::options().write(true).open(r.join("manifest.cbor")).unwrap().set_len(1 << 40).unwrap(),
            "more than the limit of 65536",
        ),
        (
            "a changed octet",
            |r| {
                let mut octets = fs::read(r.join("release.cbor")).unwrap();
                let last = octets.len() - 1;
                octets[last] ^= 1;
                fs::write(r.join("release.cbor"), octets).unwrap();
            },
            "is not what it should be",
        ),
    ];
    let before = station.state();
    for (n, (case, spoil, saying)) in spoilt.into_iter().enumerate() {
        let release = station.desk(&format!("stick-{n}/release-0002"));
        copy_tree(&station.path("out/release-0002"), &release);
        spoil(&release);
        let (path, www) = (release.to_str().unwrap(), station.desk(&format!("www-{n}")));
        let check = station.bounded(&["check", path, "--verifier-key", &key]);
        station.refuses(case, check, 4, saying, &before);
        let unpack = station.bounded(&["unpack", path, "--verifier-key", &key, "--to", www.to_str().unwrap()]);
        station.refuses(case, unpack, 4, saying, &before);
        assert!(!www.exists(), "{case}: something was unpacked");
    }
}
