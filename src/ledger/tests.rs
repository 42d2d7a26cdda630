//! The stored index against a fold that forgets nothing: at many sizes, after every cut, with every kind of damage.

mod model;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::audit::durable::fault;
use crate::audit::entry::{Body, Entry};
use crate::audit::station::{Signer, scratch};
use crate::audit::{Log, View};
use model::{Model, World};

/// The index is stored and sealed, as a run does it at its end.
fn seal(log: &mut Log, ledger: &mut Ledger, signer: &mut Signer) -> Result<(), Error> {
    log.sync()?;
    let (size, digest) = (ledger.size(), ledger.store(log)?);
    log.append(&Entry::new(0, Body::Indexed { size, digest }))?;
    ledger.follow(log)?;
    log.checkpoint(signer)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

/// A log of this many batches, indexed after each, with its model.
fn written(dir: &Path, seed: u64, batches: u64) -> (Log, Signer, Model) {
    let mut world = World::new(dir, seed);
    let mut ledger = Ledger::default();
    for _ in 0..batches {
        world.batch();
        ledger.follow(&world.log).unwrap();
        seal(&mut world.log, &mut ledger, &mut world.signer).unwrap();
    }
    let World { log, signer, model, .. } = world;
    (log, signer, model)
}

fn files(index: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(index).unwrap().map(|item| item.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_index_answers_as_a_fold_of_everything_does() {
    for seed in [1, 2] {
        let dir = scratch();
        let mut world = World::new(dir.path(), seed);
        let mut running = Ledger::default();
        for batch in 0..6 {
            world.batch();
            running.follow(&world.log).unwrap();
            world.model.compare(&running, &world.log);
            // Some are stored, some only folded.
            if batch % 3 != 1 {
                seal(&mut world.log, &mut running, &mut world.signer).unwrap();
                assert!(running.places.stored.len() <= 4, "{}", running.places.stored.len());
            }
            let opened = Ledger::open(&world.log).unwrap();
            assert_eq!((opened.size(), opened.indexed()), (running.size(), running.indexed()));
            assert_eq!(opened.state, running.state);
            world.model.compare(&opened, &world.log);
            let mut folded = Ledger::default();
            folded.follow(&world.log).unwrap();
            assert_eq!(folded.state, running.state);
            world.model.compare(&folded, &world.log);
        }
        let size = running.indexed();
        let read = Log::read(world.log.dir()).unwrap();
        world.model.compare(&Ledger::open(&read).unwrap(), &read);
        let mut earlier = Ledger::default();
        earlier.follow_to(&read, size - 100, |_, _| {}).unwrap();
        assert_eq!(Ledger::open_at(&read, size - 100).unwrap().state, earlier.state);
    }
}

#[test]
fn p03_an_index_cut_at_any_change_of_the_disk_is_the_old_one_or_the_new_one() {
    let dir = scratch();
    let (log, first, _) = written(dir.path(), 4, 2);
    drop(log);
    let mut cuts = 0;
    for steps in 0.. {
        let again = scratch();
        let audit = again.path().join("audit");
        copy(&dir.path().join("audit"), &audit);
        let mut signer = Signer::new();
        signer.sealed = first.sealed;
        let mut world = World::resume(&audit, 4, signer);
        let mut ledger = Ledger::open(&world.log).unwrap();
        let before = ledger.indexed();
        assert!(before > 0);
        world.batch();
        ledger.follow(&world.log).unwrap();
        world.log.sync().unwrap();
        fault::after(Some(steps));
        let done = seal(&mut world.log, &mut ledger, &mut world.signer);
        fault::after(None);
        let World { log, mut signer, model, .. } = world;
        drop(log);
        let mut log = Log::open(&audit).unwrap();
        let mut opened = Ledger::open(&log).unwrap();
        assert!(opened.indexed() == before || opened.indexed() == ledger.indexed(), "after {steps}");
        model.compare(&opened, &log);
        seal(&mut log, &mut opened, &mut signer).unwrap();
        assert_eq!(Ledger::open(&log).unwrap().indexed(), opened.indexed());
        // Nothing is left of the one that was cut: at most the last two indices lie there.
        assert!(files(&audit.join("index")).iter().all(|path| path.extension().is_none_or(|e| e != "tmp")));
        assert!(files(&audit.join("index")).len() <= 8);
        if done.is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 15, "{cuts}");
}

/// What is asked of it is answered rightly or not at all.
fn never_believed(model: &Model, log: &View) -> bool {
    match Ledger::open(log) {
        Ok(ledger) => model.agrees_or_fails(&ledger, log),
        Err(e) => panic!("an index is never needed: {e}"),
    }
}

#[test]
fn p04_a_changed_octet_of_the_index_is_noticed() {
    let dir = scratch();
    let (log, _, model) = written(dir.path(), 5, 2);
    let index = log.dir().join("index");
    drop(log);
    let view = Log::read(&dir.path().join("audit")).unwrap();
    let (mut refused, mut folded) = (0, 0);
    for path in files(&index) {
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 23 + 1).chain([whole.len() - 1]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            match never_believed(&model, &view) {
                true => folded += 1,
                false => refused += 1,
            }
        }
        for bytes in [&whole[..whole.len() - 1], &[]] {
            fs::write(&path, bytes).unwrap();
            assert!(never_believed(&model, &view));
        }
        fs::remove_file(&path).unwrap();
        assert!(never_believed(&model, &view));
        fs::write(&path, &whole).unwrap();
    }
    assert!(refused > 5 && folded > 5, "{refused} {folded}");
    fs::remove_dir_all(&index).unwrap();
    assert_eq!(Ledger::open(&view).unwrap().indexed(), 0);
    assert!(never_believed(&model, &view));
}

#[test]
fn p04_an_index_of_another_time_or_log_hides_nothing() {
    let dir = scratch();
    let (log, first, _) = written(dir.path(), 6, 2);
    drop(log);
    let audit = dir.path().join("audit");
    let old = dir.path().join("old");
    copy(&audit, &old);
    let mut world = World::resume(&audit, 6, first);
    let mut ledger = Ledger::open(&world.log).unwrap();
    let before = ledger.indexed();
    for _ in 0..2 {
        world.batch();
        ledger.follow(&world.log).unwrap();
        seal(&mut world.log, &mut ledger, &mut world.signer).unwrap();
    }
    let model = world.model;
    drop(world.log);
    let index = |of: &Path| of.join("index");
    // A newer one says nothing of an older log.
    let newer = dir.path().join("newer");
    copy(&old, &newer);
    fs::remove_dir_all(index(&newer)).unwrap();
    copy(&index(&audit), &index(&newer));
    assert_ne!(Ledger::open(&Log::read(&newer).unwrap()).unwrap().indexed(), ledger.indexed());
    // An older one is good, and the rest is folded.
    fs::remove_dir_all(index(&audit)).unwrap();
    copy(&index(&old), &index(&audit));
    let view = Log::read(&audit).unwrap();
    let opened = Ledger::open(&view).unwrap();
    assert_eq!(opened.indexed(), before);
    model.compare(&opened, &view);
    // Another log's is not used.
    let other = scratch();
    let (log, ..) = written(other.path(), 7, 3);
    fs::remove_dir_all(index(&audit)).unwrap();
    copy(&index(log.dir()), &index(&audit));
    assert_eq!(Ledger::open(&view).unwrap().indexed(), 0);
    assert!(never_believed(&model, &view));
}

#[test]
fn p04_whoever_changes_index_and_log_entry_together_is_noticed_by_the_root() {
    let dir = scratch();
    let (log, _, model) = written(dir.path(), 8, 4);
    let (audit, ledger) = (log.dir().to_path_buf(), Ledger::open(&log).unwrap());
    let size = ledger.indexed();
    assert!(size > 256 && log.sealed_size() > size);
    drop(log);
    // A manifest that names no run hides every serial number; an entry that vouches for it, in bundle and tile.
    let hostile = Ledger { state: ledger.state.clone(), size, ..Ledger::default() };
    let manifest = index::tests::manifest(&hostile, Log::read(&audit).unwrap().origin());
    fs::write(audit.join(format!("index/{size}.manifest")), &manifest).unwrap();
    let entry = Entry::new(0, Body::Indexed { size, digest: Digest::of(&manifest) }).encode().unwrap();
    let view = Log::read(&audit).unwrap();
    let n = size / 256;
    let name = |level: &str| {
        let full = audit.join(format!("tile/{level}/{n:03}"));
        let width = view.sealed_size() - n * 256;
        if full.is_file() { full } else { audit.join(format!("tile/{level}/{n:03}.p/{width}")) }
    };
    let mut bundle = Vec::new();
    for (index, _, bytes) in view.entries(n * 256..(n * 256 + 256).min(view.sealed_size())).map(Result::unwrap) {
        let bytes = if index == size { entry.clone() } else { bytes };
        bundle.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        bundle.extend_from_slice(&bytes);
    }
    fs::write(name("entries"), bundle).unwrap();
    let mut tile = fs::read(name("0")).unwrap();
    let at = (size % 256) as usize * 32;
    tile[at..at + 32].copy_from_slice(&crate::audit::merkle::leaf_hash(&entry).0);
    fs::write(name("0"), tile).unwrap();
    match Log::read(&audit) {
        // The right edge of the tree is compared at once.
        Err(e) => assert!(e.halted(), "{e}"),
        Ok(view) => {
            assert!(view.entry(size).is_err());
            let opened = Ledger::open(&view);
            assert!(opened.is_err() || never_believed(&model, &view));
        }
    }
}

#[test]
fn a_serial_number_that_stands_twice_ends_the_fold() {
    let dir = scratch();
    let mut world = World::new(dir.path(), 9);
    world.batch();
    let mut ledger = Ledger::default();
    ledger.follow(&world.log).unwrap();
    seal(&mut world.log, &mut ledger, &mut world.signer).unwrap();
    let serial = world.repeat_a_serial();
    // Behind the index it is found when it is looked up, and at the latest when it is to be stored.
    let mut opened = Ledger::open(&world.log).unwrap();
    assert!(matches!(opened.issued(&world.log, &serial), Err(Error::Entry { .. })));
    world.log.sync().unwrap();
    assert!(matches!(opened.store(&world.log), Err(Error::Entry { .. })));
}
