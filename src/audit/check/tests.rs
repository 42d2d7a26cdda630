use super::super::order::tests::{PLAN, certificate, end, planned, refused, start};
use super::super::station::{HIERARCHY, Signer, entry, scratch, written};
use super::super::{Log, entry::Entry};
use super::*;
use std::fs;

fn append(log: &mut Log, bodies: Vec<Body>) {
    bodies.into_iter().for_each(|body| {
        log.append(&Entry::new(0, body)).unwrap();
    });
}

/// Every file of a log, sorted.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn a_good_log_is_counted() {
    let dir = scratch();
    let mut signer = Signer::new();
    let mut log = written(dir.path(), &mut signer, &[300]);
    let plan = log.put_artefact(b"a plan").unwrap();
    append(&mut log, vec![planned(plan, 2), start(plan), certificate(plan, 0, 1), refused(plan), end(plan, 1, 1)]);
    log.checkpoint(&mut signer).unwrap();
    append(&mut log, vec![start(PLAN)]);
    drop(log);
    let audit = dir.path().join("audit");
    // The last append was not synced, so it is not there.
    let report = check(&audit, signer.key()).unwrap();
    assert_eq!((report.size, report.unsealed, report.root), (305, 0, signer.sealed.1));
    assert_eq!((report.artefacts, report.absent, report.open_plan), (2, 1, None));
    assert_eq!(report.counts.get("failure"), Some(&299));
    assert_eq!(report.counts.get("certificate"), Some(&1));
    fs::remove_dir_all(audit.join("artefact")).unwrap();
    let finding = check(&audit, signer.key()).unwrap_err();
    assert!(matches!((finding.entry, finding.cause), (Some(0), Cause::Log(Error::ArtefactMissing { .. }))));
    fs::remove_file(audit.join("tail")).unwrap();
    let report = check(&audit, signer.key()).unwrap();
    assert_eq!((report.artefacts, report.absent), (0, 3));
}

#[test]
fn one_changed_byte_anywhere_is_found() {
    let dir = scratch();
    let mut signer = Signer::new();
    let mut log = written(dir.path(), &mut signer, &[259]);
    log.append(&entry(259)).unwrap();
    log.append(&entry(260)).unwrap();
    log.sync().unwrap();
    drop(log);
    let audit = dir.path().join("audit");
    assert_eq!(check(&audit, signer.key()).unwrap().unsealed, 2);
    for path in files(&audit) {
        let whole = fs::read(&path).unwrap();
        // Every octet of the small files, a sample (with both ends) of the full tiles.
        let step = if whole.len() > 2000 { 331 } else { 1 };
        for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(check(&audit, signer.key()).is_err(), "{path:?} octet {at}");
        }
        fs::write(&path, &whole).unwrap();
    }
    check(&audit, signer.key()).unwrap();
}

#[test]
fn a_changed_entry_is_named_by_its_index() {
    let dir = scratch();
    let mut signer = Signer::new();
    drop(written(dir.path(), &mut signer, &[300]));
    let audit = dir.path().join("audit");
    let bundle = audit.join("tile/entries/000");
    let mut bytes = fs::read(&bundle).unwrap();
    let first = 2 + usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    bytes[first + 20] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    let finding = check(&audit, signer.key()).unwrap_err();
    assert!(matches!((finding.entry, &finding.cause), (Some(1), Cause::Log(Error::EntryDiffers { index: 1 }))));
    assert!(finding.hint().is_some());
}

#[test]
fn order_and_serials_are_judged_over_the_whole_log() {
    let judged = |bodies: Vec<Body>| {
        let dir = scratch();
        let mut signer = Signer::new();
        let mut log = written(dir.path(), &mut signer, &[1]);
        assert_eq!(log.put_artefact(HIERARCHY).unwrap(), Digest::of(HIERARCHY));
        let plan = log.put_artefact(b"a plan").unwrap();
        append(&mut log, vec![planned(plan, 9), start(plan)]);
        append(&mut log, bodies);
        log.checkpoint(&mut signer).unwrap();
        check(&dir.path().join("audit"), signer.key())
    };
    let plan = Digest::of(b"a plan");
    let twice = judged(vec![certificate(plan, 0, 1), certificate(plan, 1, 2), certificate(plan, 2, 1)]).unwrap_err();
    assert!(matches!((twice.entry, twice.cause), (Some(5), Cause::SerialTwice(3))));
    let order = judged(vec![certificate(plan, 3, 1), certificate(plan, 1, 2)]).unwrap_err();
    assert!(matches!((order.entry, order.cause), (Some(4), Cause::Order(Broken::ItemOrder { item: 1, last: 3 }))));
    let good = judged(vec![certificate(plan, 3, 1), certificate(plan, 4, 2)]).unwrap();
    assert_eq!(good.open_plan, Some(plan));
}

#[test]
fn another_key_is_no_key() {
    let dir = scratch();
    let mut signer = Signer::new();
    drop(written(dir.path(), &mut signer, &[3]));
    let other = VerifierKey::new(signer.origin(), [3; 32]).unwrap();
    let finding = check(&dir.path().join("audit"), &other).unwrap_err();
    assert!(matches!(finding.cause, Cause::Checkpoint(note::Error::NoSignature)));
}
