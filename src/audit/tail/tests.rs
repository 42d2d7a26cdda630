use super::*;

fn header() -> Header {
    Header { base: 5, root: Digest([1; 32]), origin: "example.org/t".into() }
}

fn entries() -> Vec<Vec<u8>> {
    vec![vec![1; 40], vec![2; 300], vec![3; 7]]
}

#[test]
fn a_tail_is_read_back_from_file_and_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tail");
    Tail::create(&path, &header(), &entries()).unwrap();
    let mut tail = Tail::open(&path, true).unwrap().unwrap();
    assert_eq!((tail.header(), tail.end(), tail.torn()), (&header(), 8, 0));
    assert_eq!(tail.append(&[9; 16]).unwrap(), 8);
    assert_eq!(tail.entry(8).unwrap(), vec![9; 16]);
    assert_eq!(tail.entry(6).unwrap(), vec![2; 300]);
    tail.sync().unwrap();
    assert_eq!(tail.append(&[4; 16]).unwrap(), 9);
    assert!(matches!(tail.entry(10), Err(Error::OutOfRange { .. })));
    assert!(matches!(tail.entry(4), Err(Error::OutOfRange { .. })));
    drop(tail);
    // What was not synced was in memory only.
    let tail = Tail::open(&path, false).unwrap().unwrap();
    assert_eq!((tail.end(), tail.entry(8).unwrap()), (9, vec![9; 16]));
    assert!(Tail::open(&dir.path().join("none"), false).unwrap().is_none());
}

#[test]
fn a_tail_cut_at_any_octet_keeps_its_whole_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tail");
    Tail::create(&path, &header(), &entries()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let start = header().encode().len();
    let ends = [start, start + 76, start + 76 + 336, start + 76 + 336 + 43];
    for length in 0..=whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        if length < start {
            assert!(matches!(Tail::open(&path, true), Err(Error::TailHeader)));
            continue;
        }
        let mut tail = Tail::open(&path, true).unwrap().unwrap();
        let kept = ends.iter().filter(|end| **end <= length).count() - 1;
        assert_eq!(tail.end(), 5 + kept as u64);
        assert_eq!(tail.torn(), (length - ends[kept]) as u64);
        tail.cut().unwrap();
        tail.append(&[8; 9]).unwrap();
        tail.sync().unwrap();
        let again = Tail::open(&path, false).unwrap().unwrap();
        assert_eq!((again.end(), again.torn()), (6 + kept as u64, 0));
    }
}

#[test]
fn a_changed_octet_before_the_last_record_halts_and_in_it_is_a_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tail");
    Tail::create(&path, &header(), &entries()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let start = header().encode().len();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x04;
        std::fs::write(&path, &bytes).unwrap();
        let found = Tail::open(&path, false);
        if at < start {
            assert!(matches!(found, Err(Error::TailHeader)), "octet {at}");
        } else if at < start + 76 + 336 {
            assert!(matches!(found, Err(Error::TailDamaged { index: 5 | 6, .. })), "octet {at}");
        } else {
            assert_eq!(found.unwrap().unwrap().torn(), 43, "octet {at}");
        }
    }
    // Blocks that never reached the disk read as zeros.
    let mut bytes = whole.clone();
    bytes[start + 76..].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(Tail::open(&path, false).unwrap().unwrap().end(), 6);
}

/// What was appended and not flushed: any of its sectors may be missing, and those behind it there.
#[test]
fn sectors_that_never_arrived_are_a_cut_wherever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tail");
    let entries: Vec<Vec<u8>> = (1..40).map(|n| vec![n; 37 * usize::from(n)]).collect();
    for flushed in 0..24 {
        let (before, after) = entries.split_at(flushed);
        Tail::create(&path, &header(), before).unwrap();
        let length = std::fs::metadata(&path).unwrap().len() as usize;
        let mut tail = Tail::open(&path, true).unwrap().unwrap();
        for entry in after {
            tail.append(entry).unwrap();
        }
        tail.sync().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for sector in length / 512..whole.len() / 512 {
            let mut bytes = whole.clone();
            bytes[(sector * 512).max(length)..(sector + 1) * 512].fill(0);
            std::fs::write(&path, &bytes).unwrap();
            let mut tail = Tail::open(&path, true).unwrap().unwrap();
            assert!(tail.end() >= 5 + flushed as u64, "sector {sector}: what was flushed is there");
            tail.cut().unwrap();
            assert_eq!(Tail::open(&path, false).unwrap().unwrap().torn(), 0);
        }
        // An octet that changed is no sector that is missing.
        let mut bytes = whole;
        bytes[length + 10] ^= 4;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(Tail::open(&path, false), Err(Error::TailDamaged { .. })));
    }
}

/// A tail of 8,192 octets or so in which the record number `n` begins so many octets before a border, and its size.
fn with_record_before_a_border(path: &Path, before: usize, size: usize) -> (Vec<u8>, usize) {
    let start = header().encode().len();
    let first = 512 * 3 - before - start - LENGTH - DIGEST;
    let entries = [vec![1; first], vec![0xa7; size], vec![3; 700], vec![4; 40]];
    Tail::create(path, &header(), &entries).unwrap();
    (std::fs::read(path).unwrap(), 512 * 3 - before)
}

/// The third octet of a short record's length is a zero too: that it reads as one says nothing.
#[test]
fn a_changed_bit_in_a_short_record_before_a_border_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tail");
    for before in 1..=5 {
        // Not a power of two: no flipped bit makes it 0.
        let size = 131;
        let (whole, at) = with_record_before_a_border(&path, before, size);
        for octet in 0..LENGTH + size + DIGEST {
            let mut bytes = whole.clone();
            bytes[at + octet] ^= 1 << (octet % 8);
            std::fs::write(&path, &bytes).unwrap();
            let found = Tail::open(&path, false);
            assert!(matches!(found, Err(Error::TailDamaged { index: 6, .. })), "{before} before, octet {octet}");
        }
    }
}

#[test]
fn a_sector_that_holds_but_the_edge_of_a_record_is_missed_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tail");
    for before in 1..=5 {
        // A long record begins in it; or the one before ends in it, with the record behind it at its end.
        for size in [256, 300, 1_000, MAX_ENTRY] {
            let (mut bytes, at) = with_record_before_a_border(&path, before, size);
            bytes[at..512 * 3].fill(0);
            std::fs::write(&path, &bytes).unwrap();
            let tail = Tail::open(&path, false).unwrap().unwrap();
            // The first two octets of a length are zeros: nothing is missing.
            assert_eq!((tail.end(), tail.torn() > 0), if before < 3 { (9, false) } else { (6, true) });
            let (mut bytes, _) = with_record_before_a_border(&path, before, 131);
            bytes[512 * 2..512 * 3].fill(0);
            std::fs::write(&path, &bytes).unwrap();
            let tail = Tail::open(&path, false).unwrap().unwrap();
            assert_eq!((tail.end(), tail.torn() > 0), (5, true), "{before}");
        }
    }
}
