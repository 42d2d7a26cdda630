//! A log compared with what somebody has kept of it: another copy, a checkpoint, a size and a root on paper.

use super::mark::Standing;
use super::{Error, View};
use crate::digest::Digest;

/// How a log stands to the log of `size` entries under `root`.
pub fn point(log: &View, size: u64, root: &Digest) -> Result<Standing, Error> {
    if log.size() < size {
        return Ok(Standing::Behind { missing: size - log.size() });
    }
    if log.root_at(size)? != *root {
        return Ok(Standing::Fork);
    }
    Ok(match log.size() - size {
        0 => Standing::Equal,
        by => Standing::Ahead { by },
    })
}

/// How a log stands to another copy, unsealed entries of both included; with a fork, the first entry that differs.
///
/// Reads a few tiles of each, not their entries.
pub fn copy(log: &View, other: &View) -> Result<(Standing, Option<u64>), Error> {
    let common = log.size().min(other.size());
    if log.root_at(common)? != other.root_at(common)? {
        return Ok((Standing::Fork, Some(first_difference(log, other, common)?)));
    }
    Ok((point(log, other.size(), &other.root()?)?, None))
}

/// The roots of the first `n` entries are equal up to the entry that differs, and never again.
fn first_difference(log: &View, other: &View, common: u64) -> Result<u64, Error> {
    let (mut equal, mut unequal) = (0, common);
    while unequal - equal > 1 {
        let middle = equal + (unequal - equal) / 2;
        match log.root_at(middle)? == other.root_at(middle)? {
            true => equal = middle,
            false => unequal = middle,
        }
    }
    Ok(equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::{Body, Entry};
    use crate::audit::station::{Signer, genesis, scratch};
    use crate::audit::{Log, View};

    /// A log whose entries behind the genesis say these words, all but the last `unsealed` under its checkpoint.
    fn log(words: &[&str], unsealed: usize) -> (tempfile::TempDir, View) {
        let (dir, mut signer) = (scratch(), Signer::new());
        let path = dir.path().join("audit");
        let mut log = Log::create(&path, signer.origin()).unwrap();
        log.append(&genesis(&signer)).unwrap();
        let (sealed, rest) = words.split_at(words.len() - unsealed);
        let entry = |what: &&str| Entry::new(0, Body::Failure { what: (*what).into() });
        for what in sealed {
            log.append(&entry(what)).unwrap();
        }
        log.checkpoint(&mut signer).unwrap();
        for what in rest {
            log.append(&entry(what)).unwrap();
        }
        log.sync().unwrap();
        drop(log);
        (dir, Log::read(&path).unwrap())
    }

    #[test]
    fn copies_are_the_same_ahead_behind_or_forks_with_the_entry_named() {
        let words: Vec<String> = (0..600).map(|n| n.to_string()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (_a, whole) = log(&words, 3);
        let (_b, same) = log(&words, 0);
        let (_c, shorter) = log(&words[..400], 0);
        assert_eq!(copy(&whole, &same).unwrap(), (Standing::Equal, None));
        assert_eq!(copy(&whole, &shorter).unwrap(), (Standing::Ahead { by: 200 }, None));
        assert_eq!(copy(&shorter, &whole).unwrap(), (Standing::Behind { missing: 200 }, None));
        for at in [0, 1, 254, 255, 256, 399] {
            let mut other = words[..400].to_vec();
            other[at] = "another";
            let (_d, forked) = log(&other, 0);
            // Entry 0 is the genesis.
            assert_eq!(copy(&whole, &forked).unwrap(), (Standing::Fork, Some(at as u64 + 1)));
            assert_eq!(copy(&forked, &whole).unwrap(), (Standing::Fork, Some(at as u64 + 1)));
            let root = forked.root_at(at as u64 + 2).unwrap();
            assert_eq!(point(&whole, at as u64 + 2, &root).unwrap(), Standing::Fork);
            assert!(matches!(
                point(&whole, at as u64 + 1, &forked.root_at(at as u64 + 1).unwrap()).unwrap(),
                Standing::Ahead { .. }
            ));
        }
        assert_eq!(point(&whole, 0, &Digest::of(&[])).unwrap(), Standing::Ahead { by: 601 });
        assert_eq!(point(&whole, 602, &Digest::of(&[])).unwrap(), Standing::Behind { missing: 1 });
    }
}
