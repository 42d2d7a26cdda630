//! The mark: the token's own memory of the log, a private data object beside the audit key.
//!
//! A directory can be put back to what it was a week ago; the token cannot. Comparing the two is what shows it.

use serde::{Deserialize, Serialize};

use super::{Error, View};
use crate::cbor;
use crate::digest::Digest;

/// The label of a stored mark's type and version.
pub const MAGIC: &str = "coldroot-mark-v0";
/// The largest encoded mark.
pub const MAX_MARK: usize = 1024;

/// What the token remembers. Stored: a change needs a new version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub origin: String,
    /// Size and root of the last checkpoint.
    pub size: u64,
    pub root: Digest,
    /// The digest of the hierarchy file in force.
    pub hierarchy: Digest,
    /// The number of the last release.
    pub release: u64,
    /// The plan that was started and has not ended.
    pub open_plan: Option<Digest>,
    /// The number of the last change of state.
    pub changes: u64,
    /// The latest time that a witness has read from another clock, seconds since the epoch.
    pub floor: i64,
    /// The serial number of the token whose mark this is. A clone has the mark of the token that it was made from, and one that
    /// has handed the mark over names its successor: both refuse everything.
    pub token: String,
}

/// The mark as it is stored: deterministic CBOR.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Stored {
    magic: String,
    origin: String,
    size: u64,
    root: Digest,
    hierarchy: Digest,
    release: u64,
    open_plan: Option<Digest>,
    changes: u64,
    floor: i64,
    token: String,
}

/// How a log stands to the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The same entries: go on.
    Equal,
    /// The log continues the mark by so many entries (a stop before the mark was set, or unsealed entries): go on.
    Ahead { by: u64 },
    /// The log is a copy from before: so many entries are missing. Halted.
    Behind { missing: u64 },
    /// Another root at the mark's size: the log was changed. Halted.
    Fork,
}

impl Mark {
    /// The mark of a log that has not begun, in the token with this serial number.
    pub fn first(origin: &str, hierarchy: Digest, token: &str) -> Mark {
        let (size, root) = (0, super::merkle::empty_root());
        let (origin, token) = (origin.into(), token.into());
        Mark { origin, size, root, hierarchy, release: 0, open_plan: None, changes: 0, floor: 0, token }
    }

    pub fn encode(&self) -> Result<Vec<u8>, cbor::Error> {
        let mark = self.clone();
        let bytes = cbor::to_vec(&Stored {
            magic: MAGIC.to_string(),
            origin: mark.origin,
            size: mark.size,
            root: mark.root,
            hierarchy: mark.hierarchy,
            release: mark.release,
            open_plan: mark.open_plan,
            changes: mark.changes,
            floor: mark.floor,
            token: mark.token,
        })?;
        bounded(&bytes)?;
        Ok(bytes)
    }

    pub fn decode(bytes: &[u8]) -> Result<Mark, cbor::Error> {
        bounded(bytes)?;
        let Stored { magic, origin, size, root, hierarchy, release, open_plan, changes, floor, token } =
            cbor::from_slice(bytes)?;
        match magic == MAGIC {
            true => Ok(Mark { origin, size, root, hierarchy, release, open_plan, changes, floor, token }),
            false => Err(cbor::Error::Decode(format!("not a `{MAGIC}`"))),
        }
    }

    /// Compares a log, unsealed entries included, with the mark. The same origin is a precondition, not a result: a mark
    /// of another log says nothing about this one.
    pub fn compare(&self, log: &View) -> Result<Standing, Error> {
        if log.origin() != self.origin {
            return Err(Error::Origin { found: log.origin().to_string(), expected: self.origin.clone() });
        }
        let size = log.size();
        if size < self.size {
            return Ok(Standing::Behind { missing: self.size - size });
        }
        if log.root_at(self.size)? != self.root {
            return Ok(Standing::Fork);
        }
        Ok(match size - self.size {
            0 => Standing::Equal,
            by => Standing::Ahead { by },
        })
    }
}

fn bounded(bytes: &[u8]) -> Result<(), cbor::Error> {
    match bytes.len() > MAX_MARK {
        true => Err(cbor::Error::TooLarge { length: bytes.len() as u64, limit: MAX_MARK as u64 }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::station::{Signer, entry, scratch, written};
    use super::*;

    fn mark(log: &View, size: u64) -> Mark {
        let root = log.root_at(size).unwrap();
        let hierarchy = Digest([3; 32]);
        Mark { size, root, release: 4, ..Mark::first(log.origin(), hierarchy, "0a1b") }
    }

    #[test]
    fn a_mark_is_stored_deterministically_and_read_strictly() {
        let open_plan = Some(Digest([9; 32]));
        let begun = Mark::first("example.org/r", Digest([2; 32]), "0a1b");
        let mark = Mark { size: 5, root: Digest([1; 32]), release: 1, open_plan, changes: 2, floor: 70_000, ..begun };
        let bytes = mark.encode().unwrap();
        assert_eq!(Mark::decode(&bytes).unwrap(), mark);
        // Golden: what a token holds must stay readable.
        assert_eq!(Digest::of(&bytes).hex(), "ea22ae2b3cfb5fc4df3e46802354455ea1a31d5c0ef41b2ca91784914ac0baaa");
        let other = String::from_utf8_lossy(&bytes).contains(MAGIC);
        assert!(other);
        let mut changed = bytes.clone();
        let at = bytes.windows(7).position(|w| w == b"mark-v0").unwrap();
        changed[at + 6] = b'1';
        assert!(matches!(Mark::decode(&changed), Err(cbor::Error::Decode(_))));
        assert!(Mark::decode(&[bytes.clone(), vec![0]].concat()).is_err());
        assert!(Mark::decode(&bytes[..bytes.len() - 1]).is_err());
        let long = Mark { origin: "x".repeat(MAX_MARK), ..mark };
        assert!(matches!(long.encode(), Err(cbor::Error::TooLarge { .. })));
    }

    #[test]
    fn a_log_is_equal_ahead_behind_or_a_fork() {
        let dir = scratch();
        let mut log = written(dir.path(), &mut Signer::new(), &[3, 8]);
        assert_eq!(mark(&log, 8).compare(&log).unwrap(), Standing::Equal);
        assert_eq!(mark(&log, 3).compare(&log).unwrap(), Standing::Ahead { by: 5 });
        let missing = Mark { size: 11, ..mark(&log, 8) };
        assert_eq!(missing.compare(&log).unwrap(), Standing::Behind { missing: 3 });
        let fork = Mark { size: 7, ..mark(&log, 8) };
        assert_eq!(fork.compare(&log).unwrap(), Standing::Fork);
        let mut elsewhere = mark(&log, 8);
        elsewhere.origin = "example.org/other".into();
        assert!(matches!(elsewhere.compare(&log), Err(Error::Origin { .. })));
        log.append(&entry(8)).unwrap();
        assert_eq!(mark(&log, 8).compare(&log).unwrap(), Standing::Ahead { by: 1 });
        assert_eq!(mark(&log, 9).compare(&log).unwrap(), Standing::Equal);
    }
}
