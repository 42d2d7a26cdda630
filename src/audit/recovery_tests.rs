//! Stops and damage: the world ends before any one change of the disk, files are cut, lost, changed or exchanged.

use std::fs;
use std::path::{Path, PathBuf};

use super::check::check;
use super::durable::fault;
use super::station::{Signer, entry, genesis, scratch, written};
use super::{Error, Log};

/// Checkpoints on both sides of a full tile.
const SIZES: [u64; 4] = [1, 4, 257, 520];

/// Brings a log to the last of `SIZES` from wherever it is.
fn run(audit: &Path, signer: &mut Signer) -> Result<(), Error> {
    let mut log = match Log::open(audit) {
        Err(Error::NotALog(_)) => Log::create(audit, signer.origin())?,
        other => other?,
    };
    assert!(log.size() >= signer.sealed.0, "the mark is ahead of the log");
    log.put_artefact(super::station::HIERARCHY)?;
    for size in SIZES {
        while log.size() < size {
            match log.size() {
                0 => log.append(&genesis(signer))?,
                index => log.append(&entry(index))?,
            };
        }
        log.sync()?;
        if log.sealed_size() < size {
            log.checkpoint(signer)?;
        }
    }
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

#[test]
fn p03_a_log_stopped_at_any_change_of_the_disk_ends_the_same() {
    let reference = scratch();
    let mut signer = Signer::new();
    run(&reference.path().join("audit"), &mut signer).unwrap();
    let want = signer.sealed;
    let mut stops = 0;
    for steps in 0.. {
        let dir = scratch();
        let audit = dir.path().join("audit");
        let mut signer = Signer::new();
        fault::after(Some(steps));
        let stopped = run(&audit, &mut signer);
        fault::after(None);
        if let Ok(()) = stopped {
            break;
        }
        stops += 1;
        if let Ok(view) = Log::read(&audit) {
            assert!(view.size() >= signer.sealed.0);
            assert_eq!(view.root_at(signer.sealed.0).unwrap(), signer.sealed.1);
        }
        // Stopped a second time, at the same distance into the recovery.
        fault::after(Some(steps % 9));
        let _again = run(&audit, &mut signer);
        fault::after(None);
        run(&audit, &mut signer).unwrap_or_else(|e| panic!("stopped after {steps}: {e}"));
        assert_eq!(signer.sealed, want);
        let report = check(&audit, signer.key()).unwrap();
        assert_eq!((report.size, report.root, report.unsealed), (want.0, want.1, 0));
    }
    assert!(stops > 60, "{stops}");
}

#[test]
fn p03_a_tail_cut_at_any_octet_opens_and_reports_what_was_cut() {
    let dir = scratch();
    let audit = dir.path().join("audit");
    let mut signer = Signer::new();
    let mut log = written(dir.path(), &mut signer, &[3]);
    let tail = audit.join("tail");
    let mut ends = vec![fs::metadata(&tail).unwrap().len()];
    for index in 3..6 {
        log.append(&entry(index)).unwrap();
        log.sync().unwrap();
        ends.push(fs::metadata(&tail).unwrap().len());
    }
    drop(log);
    let whole = fs::read(&tail).unwrap();
    for length in ends[0]..=ends[3] {
        fs::write(&tail, &whole[..length as usize]).unwrap();
        let kept = ends.iter().filter(|end| **end <= length).count() - 1;
        let mut log = Log::open(&audit).unwrap();
        assert_eq!((log.size(), log.cut()), (3 + kept as u64, length - ends[kept]));
        log.append(&entry(log.size())).unwrap();
        log.sync().unwrap();
        let size = log.size();
        drop(log);
        assert_eq!((Log::read(&audit).unwrap().size(), Log::read(&audit).unwrap().cut()), (size, 0));
    }
    fs::write(&tail, &whole[..ends[0] as usize - 1]).unwrap();
    assert!(matches!(Log::open(&audit), Err(Error::TailHeader)));
}

#[test]
fn p04_a_changed_octet_in_the_tail_halts() {
    let dir = scratch();
    let audit = dir.path().join("audit");
    let mut log = written(dir.path(), &mut Signer::new(), &[3]);
    let start = fs::metadata(audit.join("tail")).unwrap().len() as usize;
    for index in 3..6 {
        log.append(&entry(index)).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let whole = fs::read(audit.join("tail")).unwrap();
    let last = 4 + entry(5).encode().unwrap().len() + 32;
    for at in start..whole.len() - last {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(audit.join("tail"), bytes).unwrap();
        let error = Log::open(&audit).err().unwrap();
        assert!(matches!(error, Error::TailDamaged { index: 3 | 4, .. }) && error.halted(), "octet {at}: {error}");
    }
}

/// A log of 300 entries stopped behind its checkpoint (260 before), before the rotation: the tail still holds the last 40.
fn stopped_before_the_rotation(dir: &Path) -> (PathBuf, Signer) {
    let audit = dir.join("audit");
    for steps in 0.. {
        let mut signer = Signer::new();
        let mut log = written(dir, &mut signer, &[260]);
        for index in 260..300 {
            log.append(&entry(index)).unwrap();
        }
        log.sync().unwrap();
        fault::after(Some(steps));
        let stopped = log.checkpoint(&mut signer);
        fault::after(None);
        let error = stopped.expect_err("the checkpoint ended before it could be stopped behind its renaming");
        if fs::read_to_string(audit.join("checkpoint")).unwrap().contains("\n300\n") {
            assert!(error.halted());
            assert!(matches!(log.append(&entry(300)), Err(Error::Stopped)));
            assert!(matches!(log.checkpoint(&mut signer), Err(Error::Stopped)));
            return (audit, signer);
        }
        drop(log);
        fs::remove_dir_all(&audit).unwrap();
    }
    unreachable!("the loop has no end of its own")
}

#[test]
fn tiles_that_the_tail_can_give_are_made_again() {
    let dir = scratch();
    let (audit, mut signer) = stopped_before_the_rotation(dir.path());
    for path in ["tile/0/001.p/44", "tile/entries/001.p/44"] {
        fs::remove_file(audit.join(path)).unwrap();
    }
    assert!(matches!(Log::read(&audit), Err(Error::TileMissing { .. })));
    let mut log = Log::open(&audit).unwrap();
    assert_eq!((log.size(), log.sealed_size()), (300, 300));
    assert_eq!(fs::metadata(audit.join("tail")).unwrap().len(), 16 + 8 + 32 + 2 + 21 + 32);
    log.checkpoint(&mut signer).unwrap();
    assert_eq!(signer.sealed.0, 300);
    drop(log);
    assert_eq!(check(&audit, signer.key()).unwrap().size, 300);
}

#[test]
fn p04_tiles_that_nothing_can_give_again_halt() {
    let dir = scratch();
    let (audit, signer) = stopped_before_the_rotation(dir.path());
    drop(Log::open(&audit).unwrap());
    for path in ["tile/0/001.p/44", "tile/entries/001.p/44", "tile/1/000.p/1"] {
        let bytes = fs::read(audit.join(path)).unwrap();
        fs::remove_file(audit.join(path)).unwrap();
        assert!(matches!(Log::open(&audit), Err(Error::TileMissing { path: p }) if p == path), "{path}");
        let mut changed = bytes.clone();
        changed[9] ^= 1;
        fs::write(audit.join(path), changed).unwrap();
        let error = Log::open(&audit).err().unwrap();
        assert!(matches!(error, Error::RootDiffers { size: 300 } | Error::EntryDiffers { .. }) && error.halted());
        fs::write(audit.join(path), bytes).unwrap();
    }
    check(&audit, signer.key()).unwrap();
}

#[test]
fn p04_a_lost_tile_away_from_the_edge_is_found_by_the_check() {
    let dir = scratch();
    let audit = dir.path().join("audit");
    let mut signer = Signer::new();
    drop(written(dir.path(), &mut signer, &[600]));
    for path in ["tile/0/001", "tile/entries/001"] {
        let bytes = fs::read(audit.join(path)).unwrap();
        fs::remove_file(audit.join(path)).unwrap();
        drop(Log::open(&audit).unwrap());
        assert!(check(&audit, signer.key()).is_err(), "{path}");
        fs::write(audit.join(path), bytes).unwrap();
    }
    check(&audit, signer.key()).unwrap();
}

#[test]
fn p04_a_tile_that_disagrees_with_the_tail_halts_and_is_not_overwritten() {
    let dir = scratch();
    let (audit, _) = stopped_before_the_rotation(dir.path());
    let path = audit.join("tile/0/001.p/44");
    let mut bytes = fs::read(&path).unwrap();
    bytes[43 * 32] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(Log::open(&audit), Err(Error::TileDiffers { .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn p04_files_of_different_times_or_logs_do_not_pass_for_one() {
    let dir = scratch();
    let audit = dir.path().join("audit");
    let mut signer = Signer::new();
    let mut log = written(dir.path(), &mut signer, &[260]);
    let old = dir.path().join("old");
    copy(&audit, &old);
    for index in 260..300 {
        log.append(&entry(index)).unwrap();
    }
    log.checkpoint(&mut signer).unwrap();
    drop(log);
    let new = dir.path().join("new");
    copy(&audit, &new);

    // An old checkpoint in a new log.
    fs::copy(old.join("checkpoint"), audit.join("checkpoint")).unwrap();
    assert!(matches!(Log::open(&audit), Err(Error::TailAhead { base: 300, size: 260 })));
    // An old tail in a new log repeats or continues what the tiles hold: the same entries, so it is the same log.
    fs::copy(new.join("checkpoint"), audit.join("checkpoint")).unwrap();
    fs::copy(old.join("tail"), audit.join("tail")).unwrap();
    assert_eq!(Log::open(&audit).unwrap().size(), 300);
    // A whole old copy is a whole log: only the signer's memory tells.
    let mut log = Log::open(&old).unwrap();
    assert!(matches!(log.checkpoint(&mut signer), Err(Error::Behind { size: 260, sealed: 300 })));
    drop(log);
    // Written on from there with other entries, it is a fork.
    let mut log = Log::open(&old).unwrap();
    for index in 260..310 {
        log.append(&entry(index + 1)).unwrap();
    }
    assert!(matches!(log.checkpoint(&mut signer), Err(Error::Fork { size: 300 })));
    log.sync().unwrap();
    drop(log);
    // Its tail does not fit the true log.
    fs::copy(old.join("tail"), audit.join("tail")).unwrap();
    assert!(matches!(Log::open(&audit), Err(Error::RootDiffers { size: 300 })));
    assert!(matches!(Log::read(&audit), Err(Error::TailDiffers { index: 260 })));
}

#[test]
fn a_signer_that_refuses_changes_nothing() {
    let dir = scratch();
    let mut signer = Signer::new();
    let mut log = written(dir.path(), &mut signer, &[5]);
    log.append(&entry(5)).unwrap();
    signer.fail_sign = true;
    let error = log.checkpoint(&mut signer).unwrap_err();
    assert!(matches!(error, Error::Sealer(_)) && !error.halted());
    assert_eq!((log.size(), log.sealed_size()), (6, 5));
    signer.fail_sign = false;
    log.checkpoint(&mut signer).unwrap();
    assert_eq!(log.sealed_size(), 6);
}
