//! What goes out: plans to the officers, releases to the desk. `strace` plays the medium's answers; where the test may mount,
//! small and sealed file systems of their own are used as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::audit::entry::Body;

use super::harness::files;
use super::harness::station::{COLDROOT, Run, Station};
use super::{in_namespace, tree};

pub const FILES: [&str; 4] = ["release.cbor", "log.cbor", "checkpoint", "manifest.cbor"];
/// What statfs says of a medium of 16 blocks of 4,096 octets, one of them free, in the words of a 64-bit little-endian machine.
const ONE_BLOCK: &str = "fstatfs:poke_exit=@arg2=\
    9408f5f50000000000100000000000001000000000000000010000000000000001000000000000000000000000000000";

/// Everything that a release on this medium touches, as strace compares it: by the path of a call's descriptor.
fn touched(medium: &Path) -> Vec<PathBuf> {
    let release = medium.join("release-0002");
    let mut paths = vec![medium.to_owned(), release.clone()];
    for name in FILES {
        paths.extend([release.join(name), release.join(format!("{name}.part"))]);
    }
    paths
}

fn receipts(station: &Station, number: u64) -> usize {
    let of = |body: &Body| matches!(body, Body::ReleaseWritten { release, .. } if *release == number);
    station.bodies().iter().filter(|body| of(body)).count()
}

fn release_2(medium: &Path) -> [&str; 4] {
    ["release", "2", "--media", medium.to_str().unwrap()]
}

#[test]
fn p02_a_medium_that_fails_at_any_call_is_called_so_and_holds_nothing() {
    let station = Station::ready();
    let medium = station.medium("stick");
    let (paths, args) = (touched(&medium), release_2(&medium));
    let mut before = station.state();
    // The call, the medium's answer, and a sentence that comes at least once.
    for (call, answer, saying) in [
        ("write", "ENOSPC", "the medium is full: `release.cbor` does not fit"),
        ("write", "EFBIG", "takes no file as large as `log.cbor`"),
        ("write", "EIO", "cannot write `checkpoint`"),
        ("mkdirat", "EROFS", "the medium is read-only"),
        ("mkdirat", "ENOENT", "the medium is gone: `release-0002` cannot be written"),
        ("openat", "ENODEV", "the medium is gone: `manifest.cbor` cannot be written"),
        ("fsync", "EIO", "cannot write `manifest.cbor`"),
        ("renameat2", "ENODEV", "the medium is gone: `checkpoint` cannot be written"),
        ("read", "EIO", "cannot read `log.cbor`"),
        ("newfstatat", "EIO", "`release-0002`"),
    ] {
        let mut said = Vec::new();
        for n in 1.. {
            let run = station.tampered(&[&format!("{call}:error={answer}:when={n}")], &paths, &args);
            if run.code == 0 {
                assert!(n > 1, "{call} never failed");
                break;
            }
            let case = format!("{call} number {n} answers {answer}");
            said.push(run.json()["error"].as_str().unwrap_or_default().to_string());
            station.refuses(&case, run, 1, "", &before);
            assert!(fs::read_dir(&medium).unwrap().next().is_none(), "{case}: left {:?}", files(&medium));
        }
        assert!(said.iter().any(|said| said.contains(saying)), "{call} {answer}: no `{saying}` in {said:?}");
        // The call that did not come any more: all went well. Undo it for the next.
        fs::remove_dir_all(&medium).unwrap();
        fs::create_dir(&medium).unwrap();
        before = station.state();
    }
}

#[test]
fn p02_a_medium_that_does_not_keep_what_it_took_is_found_out() {
    let station = Station::ready();
    let medium = station.medium("stick");
    let args = release_2(&medium);
    let before = station.state();
    for name in FILES {
        // Read back, the first octet is another one.
        let lying = [medium.join("release-0002").join(name)];
        let run = station.tampered(&["read:poke_exit=@arg2=00:when=1"], &lying, &args);
        station.refuses(name, run, 1, &format!("`{name}` reads back as"), &before);
        assert!(fs::read_dir(&medium).unwrap().next().is_none(), "{name}: left {:?}", files(&medium));
    }
    // Pulled for good behind the first name: nothing can be taken away any more, and it is said.
    let gone = ["fsync:error=EIO:when=8+", "unlinkat:error=EIO"];
    let run = station.tampered(&gone, &touched(&medium), &args);
    let said = run.fails(1, "could not be removed: release-0002/release.cbor");
    assert!(said["hint"].as_str().unwrap().contains("do not hand this medium on"));
    assert!(station.state() == before && !medium.join("release-0002/manifest.cbor").exists());
}

#[test]
fn p02_a_medium_that_is_too_small_full_or_sealed_is_left_as_it_was() {
    let station = Station::ready();
    let medium = station.medium("stick");
    let args = release_2(&medium);
    let before = station.state();
    let run = station.tampered(&[ONE_BLOCK], std::slice::from_ref(&medium), &args);
    let said = run.json()["error"].as_str().unwrap_or_default().to_string();
    station.refuses("one block free", run, 1, "the medium is too small: ", &before);
    assert!(said.ends_with(" octets are needed, 4096 are free"), "{said}");
    assert!(files(&medium).is_empty());

    for (options, saying) in [
        ("size=16k", " are needed, 16384 are free"),
        // Room enough, but no more names than the directory and one file.
        ("size=4m,nr_inodes=3", "the medium is full: `log.cbor` does not fit"),
        ("ro", "the medium is read-only"),
    ] {
        let script = format!(
            "mount -t tmpfs -o {options} none {medium}; set +e\n\
             {COLDROOT} --json --plain release 2 --media {medium}; code=$?; ls -A {medium} >&2; exit $code",
            medium = medium.display()
        );
        let Some(run) = in_namespace(&script, &station.dir()) else {
            eprintln!("{options}: no mount of one's own here; the same answers are played by strace above and beside");
            continue;
        };
        assert_eq!(run.err, "", "{options}: something is left on the medium");
        station.refuses(options, run, 1, saying, &before);
    }
}

#[test]
fn p02_nothing_on_a_medium_is_written_over() {
    let station = Station::ready();
    let medium = station.medium("stick");
    let before = station.state();
    let args = release_2(&medium);
    let refuses = |case: &str, saying: &str| station.refuses(case, station.run(&args), 1, saying, &before);
    refuses_missing(&station, &before);
    fs::write(medium.join("release-0002"), "a file").unwrap();
    refuses("a file of the name", "cannot open the directory");
    fs::remove_file(medium.join("release-0002")).unwrap();
    fs::create_dir(medium.join("release-0002")).unwrap();
    refuses("an empty directory", "`release.cbor` is not on the medium");
    fs::remove_dir(medium.join("release-0002")).unwrap();

    let own = station.path("out/release-0002");
    super::harness::copy_tree(&own, &medium.join("release-0002"));
    let answer = station.run(&args).ok();
    assert_eq!((answer["written"].as_bool(), receipts(&station, 2)), (Some(false), 1), "the same: said, not written");
    let at = |name: &str| medium.join("release-0002").join(name);
    for name in FILES {
        let mut octets = fs::read(at(name)).unwrap();
        let middle = octets.len() / 2;
        octets[middle] ^= 1;
        fs::write(at(name), octets).unwrap();
        let held = tree(&medium);
        refuses("a changed octet", &format!("release-0002 is not release 2 as it was: `{name}` holds something else"));
        assert!(tree(&medium) == held, "{name}: touched");
        fs::remove_file(at(name)).unwrap();
        refuses("a file less", &format!("`{name}` is not on the medium"));
        fs::copy(own.join(name), at(name)).unwrap();
    }
    fs::write(at("fifth"), "").unwrap();
    refuses("a fifth file", "the directory holds `fifth`");
    assert_eq!(receipts(&station, 2), 1);
}

fn refuses_missing(station: &Station, before: &super::State) {
    let file = station.path("hierarchy.toml");
    for (case, path, saying) in [
        ("no such directory", Path::new("/nowhere"), "cannot open the directory /nowhere"),
        ("a file for a medium", &file, "cannot open the directory"),
    ] {
        station.refuses(case, station.run(&release_2(path)), 1, saying, before);
    }
}

#[test]
fn p02_a_medium_whose_writing_was_cut_holds_nothing_that_looks_finished() {
    let station = Station::ready();
    let medium = station.medium("stick");
    let (paths, args) = (touched(&medium), release_2(&medium));
    let (release, own) = (medium.join("release-0002"), tree(&station.path("out/release-0002")));
    let mut cuts = 0;
    for call in ["mkdirat", "openat", "write", "fsync", "renameat2", "read"] {
        for n in 1.. {
            let run = station.tampered(&[&format!("{call}:signal=KILL:when={n}")], &paths, &args);
            if run.code == 0 {
                break;
            }
            cuts += 1;
            let whole = release.exists() && tree(&release) == own;
            assert!(
                whole || !release.join("manifest.cbor").exists(),
                "{call} {n}: looks finished: {:?}",
                files(&medium)
            );
            let begun = release.exists();
            let again = station.run(&args);
            match (begun, whole) {
                (true, false) => drop(again.fails(1, "is not release 2 as it was")),
                _ => drop(again.ok()),
            }
            let _ = fs::remove_dir_all(&release);
        }
        fs::remove_dir_all(&release).unwrap();
    }
    assert!(cuts > 30, "only {cuts} cuts");
    station.run(&args).ok();
    assert!(tree(&release) == own);
    assert!(!files(&station.path("out")).iter().any(|path| path.to_str().unwrap().contains(".part")));
    station.check_log();
}

#[test]
fn p02_a_plan_goes_out_to_the_officers_and_its_release_to_the_desk() {
    let station = Station::ready();
    let bundle = station.bundle(2, 1);
    let plan = |medium: &Path, inject: &[&str], paths: &[PathBuf]| {
        let args = ["plan", "--bundle", bundle.to_str().unwrap(), "--media", medium.to_str().unwrap()];
        station.tampered(inject, paths, &args)
    };
    let medium = station.medium("stick");
    let at_medium = [medium.clone()];
    let before = station.state();
    station.refuses("no medium", plan(Path::new("/nowhere"), &[], &[]), 1, "cannot open the directory", &before);
    plan(&medium, &[ONE_BLOCK], &at_medium).fails(1, ", 4096 are free");
    station.only_read_in(&before, &bundle);
    assert!(files(&medium).is_empty());
    // What happens when the plan is on record does not undo it.
    let run = plan(&medium, &["openat:error=EIO:when=2+"], &at_medium);
    let said = run.fails(3, "the plan is on record and lies in out/, but not on the medium");
    assert!(said["hint"].as_str().unwrap().contains("cp "));
    assert!(files(&medium).is_empty());

    let planned = plan(&medium, &[], &[]).ok();
    let path = PathBuf::from(planned["plan"].as_str().unwrap());
    let name = path.file_name().unwrap().to_str().unwrap();
    let carried = medium.join(name);
    assert_eq!(fs::read(&carried).unwrap(), fs::read(station.dir().join(&path)).unwrap());
    assert_eq!(
        fs::read_to_string(carried.with_extension("statement")).unwrap(),
        planned["statement"].as_str().unwrap()
    );
    for person in ["alice", "bob"] {
        station.approve_as(&carried, person, person);
    }

    // The release's name is taken: refused before any login.
    let sign = |medium: &Path, inject: &[&str], paths: &[PathBuf]| {
        let mut args = station.sign_args(&path, &[]);
        args.extend(["--media", medium.to_str().unwrap()]);
        station.tampered(inject, paths, &args)
    };
    fs::create_dir(medium.join("release-0003")).unwrap();
    let before = station.state();
    station.refuses("taken", sign(&medium, &[], &[]), 1, "`release-0003` is on the medium already", &before);
    fs::remove_dir(medium.join("release-0003")).unwrap();
    // The medium is full when the release is written: it lies in out/, and the message says how it goes on.
    let full = [medium.join("release-0003/log.cbor.part")];
    let run = sign(&medium, &["write:error=ENOSPC"], &full);
    let said = run.fails(3, "release 3 lies in out/, but not on the medium: the medium is full: `log.cbor`");
    assert!(said["hint"].as_str().unwrap().contains("release 3 --media"), "{said}");
    assert!(!medium.join("release-0003").exists());
    assert_eq!(receipts(&station, 3), 1);
    let again: Run = sign(&medium, &[], &[]);
    assert!(again.fails(1, "carried out already")["hint"].as_str().unwrap().contains("release 3"));
    let other = station.medium("another");
    station.run(&["release", "3", "--media", other.to_str().unwrap()]).ok();
    assert!(tree(&other.join("release-0003")) == tree(&station.path("out/release-0003")));
    assert_eq!(receipts(&station, 3), 2);
    station.check_log();
}

/// The death of a process shows no missing flush: the kernel writes on. So the order of the calls itself is the transcript.
#[test]
fn p02_the_order_of_writes_on_a_medium_is_the_law() {
    let station = Station::ready();
    let medium = station.medium("stick");
    let trace = station.desk("trace");
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-y", "-o", trace.to_str().unwrap(), "-e", "trace=mkdirat,fsync,renameat2,fadvise64"]);
    for path in touched(&medium) {
        strace.arg("-P").arg(path);
    }
    strace.arg(COLDROOT).args(["--json", "--plain"]).args(release_2(&medium)).current_dir(station.dir());
    Run::of(&mut strace).ok();
    // fsync(5</…/stick/release-0002/log.cbor>) = 0 and renameat2(4<…>, "log.cbor.part", 4<…>, "log.cbor", …) = 0
    let text = fs::read_to_string(&trace).unwrap();
    let call = |line: &str| {
        let (name, rest) = line.split_once('(').unwrap();
        let file = match rest.rsplit('"').nth(1).filter(|_| rest.contains('"')) {
            Some(named) => named,
            None => rest.split(['<', '>']).nth(1).unwrap().rsplit('/').next().unwrap(),
        };
        format!("{name} {file}")
    };
    let calls: Vec<String> = text.lines().map(call).collect();
    let mut law = vec!["mkdirat release-0002".to_string(), "fsync stick".into()];
    law.extend(FILES.map(|name| format!("fsync {name}.part")));
    for name in FILES {
        if name == "manifest.cbor" {
            law.push("fsync release-0002".into());
        }
        law.extend([format!("renameat2 {name}"), format!("fsync {name}")]);
    }
    law.push("fsync release-0002".into());
    law.extend(FILES.map(|name| format!("fadvise64 {name}")));
    assert_eq!(calls, law);
    let advice = text.lines().filter(|line| line.starts_with("fadvise64"));
    assert!(advice.into_iter().all(|line| line.contains("POSIX_FADV_DONTNEED")), "{text}");
}
