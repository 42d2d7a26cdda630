use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::*;

struct Place {
    medium: tempfile::TempDir,
    station: tempfile::TempDir,
    dir: Dir,
}

fn place() -> Place {
    let medium = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(medium.path(), ambient_authority()).unwrap();
    Place { medium, station: tempfile::tempdir().unwrap(), dir }
}

fn name(name: &str) -> Name {
    Name::parse(name).unwrap()
}

fn listing(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn p07_hostile_names_are_refused() {
    let long = "x".repeat(201);
    let hostile = [
        "",
        ".",
        "..",
        "../x",
        "/etc/passwd",
        "a/b",
        "a\\b",
        ".hidden",
        "-rf",
        " x",
        "x ",
        "x.",
        "a\0b",
        "a\nb",
        "a\u{1b}[31m",
        "a\u{202e}gnp.exe",
        "caf\u{e9}",
        "C:x",
        "x?",
        "x.part",
        "X.PART",
        &long,
    ];
    for bad in hostile {
        let error = Name::parse(bad).unwrap_err();
        assert!(
            matches!(error, Error::Name { .. }) && error.to_string().chars().all(|c| (' '..='~').contains(&c)),
            "{bad:?}"
        );
    }
    for good in ["bundle.cbor", "Bundle 7 (copy).cbor", "a..b", "checkpoint", "0"] {
        assert_eq!(Name::parse(good).unwrap().as_str(), good);
    }
}

#[test]
fn a_file_is_copied_once_and_called_by_its_digest() {
    let p = place();
    let octets: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
    std::fs::write(p.medium.path().join("bundle"), &octets).unwrap();
    let limit = octets.len() as u64;
    for _ in 0..2 {
        let (digest, path) = copy_in(&p.dir, &name("bundle"), limit, p.station.path()).unwrap();
        assert_eq!(digest, Digest::of(&octets));
        assert_eq!(path, p.station.path().join(digest.hex()));
        assert_eq!(std::fs::read(&path).unwrap(), octets);
        assert_eq!(listing(p.station.path()), [digest.hex()]);
    }
}

#[test]
fn p07_what_is_no_bounded_regular_file_is_refused_and_nothing_is_kept() {
    let p = place();
    let at = |name: &str| p.medium.path().join(name);
    std::fs::write(at("big"), [0; 101]).unwrap();
    std::fs::write(p.station.path().with_extension("outside"), b"secret").unwrap();
    symlink(p.station.path().with_extension("outside"), at("link")).unwrap();
    symlink("big", at("near")).unwrap();
    std::fs::create_dir(at("dir")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let copy = |n: &str| copy_in(&p.dir, &name(n), 100, p.station.path()).unwrap_err();
    assert!(matches!(copy("big"), Error::TooLarge { length: 101, limit: 100, .. }));
    assert!(matches!(copy("absent"), Error::Missing { .. }));
    for special in ["link", "near", "dir", "pipe"] {
        assert!(matches!(copy(special), Error::NotRegular { .. }), "{special}");
    }
    assert!(listing(p.station.path()).is_empty());
    std::fs::remove_file(p.station.path().with_extension("outside")).unwrap();
}

/// Files of /proc say that they have 0 octets and then give some: the same as a file that grows while it is read.
#[test]
fn p07_a_file_that_changes_while_it_is_copied_is_refused() {
    let p = place();
    let proc = Dir::open_ambient_dir("/proc/self", ambient_authority()).unwrap();
    let changed = copy_in(&proc, &name("status"), 1 << 20, p.station.path());
    assert!(matches!(changed, Err(Error::Changed { before: 0, .. })), "{changed:?}");
    let grown = copy_in(&proc, &name("status"), 10, p.station.path());
    assert!(matches!(grown, Err(Error::TooLarge { limit: 10, .. })), "{grown:?}");
    assert!(listing(p.station.path()).is_empty());
}

#[test]
fn what_was_written_is_there_and_was_read_back() {
    let p = place();
    let source = p.station.path().join("source");
    std::fs::write(&source, vec![5; 300_000]).unwrap();
    let files = [
        (name("note"), Source::Octets(b"text")),
        (name("container"), Source::File(&source)),
        (name("empty"), Source::Octets(b"")),
    ];
    let written = write_out(&p.dir, &files).unwrap();
    assert_eq!(
        written.iter().map(|w| (w.name.as_str(), w.length)).collect::<Vec<_>>(),
        [("note", 4), ("container", 300_000), ("empty", 0)]
    );
    for w in &written {
        assert_eq!(Digest::of(&std::fs::read(p.medium.path().join(w.name.as_str())).unwrap()), w.digest);
    }
    assert_eq!(listing(p.medium.path()), ["container", "empty", "note"]);
    assert!(write_out(&p.dir, &[]).unwrap().is_empty());
}

#[test]
fn nothing_is_written_over_and_a_failure_leaves_nothing() {
    let p = place();
    std::fs::write(p.medium.path().join("old"), b"old").unwrap();
    std::fs::write(p.medium.path().join("half.part"), b"half").unwrap();
    symlink("/nowhere", p.medium.path().join("dangling")).unwrap();
    let before = listing(p.medium.path());
    let new = (name("new"), Source::Octets(b"new"));
    let write = |files: &[(Name, Source)]| write_out(&p.dir, files).unwrap_err();
    for taken in ["old", "half", "dangling"] {
        assert!(matches!(write(&[new.clone(), (name(taken), Source::Octets(b"x"))]), Error::Exists { .. }), "{taken}");
    }
    assert!(matches!(write(&[new.clone(), (name("NEW"), Source::Octets(b"x"))]), Error::Twice { .. }));
    // The second source cannot be read when the first file is already there as `.part`.
    let absent = p.station.path().join("absent");
    assert!(matches!(write(&[new.clone(), (name("other"), Source::File(&absent))]), Error::Read { .. }));
    let many: Vec<_> = (0..=MAX_FILES).map(|i| (name(&i.to_string()), Source::Octets(b""))).collect();
    assert!(matches!(write(&many), Error::TooMany { .. }));
    assert_eq!(listing(p.medium.path()), before);
    assert_eq!(std::fs::read(p.medium.path().join("old")).unwrap(), b"old");
}

#[test]
fn p07_a_name_that_another_case_or_a_second_name_shadows_is_refused() {
    let p = place();
    let at = |name: &str| p.medium.path().join(name);
    for name in ["bundle", "Bundle", "linked"] {
        std::fs::write(at(name), name).unwrap();
    }
    std::fs::hard_link(at("linked"), p.station.path().with_extension("second")).unwrap();
    let copy = |n: &str| copy_in(&p.dir, &name(n), 100, p.station.path()).unwrap_err();
    assert!(matches!(copy("bundle"), Error::Alike { other, .. } if other == "Bundle"));
    assert!(matches!(copy("linked"), Error::Linked { .. }));
    std::fs::remove_file(p.station.path().with_extension("second")).unwrap();
    assert!(copy_in(&p.dir, &name("linked"), 100, p.station.path()).is_ok());
    // The long s is an s to those who fold cases.
    std::fs::write(at("\u{17f}mall"), "").unwrap();
    std::fs::write(at("Small"), "").unwrap();
    assert!(copy_in(&p.dir, &name("Small"), 100, p.station.path()).is_ok(), "lower case of the long s is itself");
    std::fs::write(at("\u{212a}ey"), "").unwrap();
    std::fs::write(at("key"), "").unwrap();
    assert!(matches!(copy("key"), Error::Alike { .. }), "the Kelvin sign is a k");
}

#[test]
fn p07_a_set_is_copied_exactly_or_not_at_all() {
    let p = place();
    for name in ["a", "b"] {
        std::fs::write(p.medium.path().join(name), "same").unwrap();
    }
    let set = [(name("a"), 10), (name("b"), 10)];
    copy_set(&p.dir, &set, p.station.path()).unwrap();
    assert_eq!(listing(p.station.path()), ["a", "b"]);
    let empty = tempfile::tempdir().unwrap();
    let refused = |set: &[(Name, u64)]| copy_set(&p.dir, set, empty.path()).unwrap_err();
    assert!(matches!(refused(&set[..1]), Error::Extra { name } if name == "b"));
    assert!(
        matches!(refused(&[set[0].clone(), set[1].clone(), (name("c"), 1)]), Error::Missing { name } if name == "c")
    );
    assert!(matches!(refused(&[set[0].clone(), (name("b"), 3)]), Error::TooLarge { length: 4, limit: 3, .. }));
    assert!(listing(empty.path()).is_empty());
}

#[test]
fn a_directory_is_written_whole_compared_and_taken_away_again_after_a_failure() {
    let p = place();
    let source = p.station.path().join("source");
    std::fs::write(&source, "octets").unwrap();
    let files = [(name("one"), Source::File(&source)), (name("last"), Source::Octets(b"x"))];
    write_out_in(&p.dir, &name("made"), &files).unwrap();
    let made = p.dir.open_dir("made").unwrap();
    compare(&made, &files).unwrap();
    assert!(matches!(write_out_in(&p.dir, &name("made"), &files).unwrap_err(), Error::Exists { .. }));
    std::fs::write(&source, "Octets").unwrap();
    assert!(matches!(compare(&made, &files).unwrap_err(), Error::Other { name } if name == "one"));
    assert!(matches!(compare(&made, &files[1..]).unwrap_err(), Error::Extra { name } if name == "one"));
    std::fs::remove_file(p.medium.path().join("made/one")).unwrap();
    assert!(matches!(compare(&made, &files).unwrap_err(), Error::Missing { name } if name == "one"));
    // The same name twice is found only when the directory is there.
    let twice = [files[1].clone(), files[1].clone()];
    assert!(matches!(write_out_in(&p.dir, &name("other"), &twice).unwrap_err(), Error::Twice { .. }));
    assert_eq!(listing(p.medium.path()), ["made"]);
}
