//! A bundle of entries: each behind its length (u16, big-endian), as they lie in a file `tile/entries/<N>`.

use super::super::entry::MAX_ENTRY;
use super::WIDTH;

/// The largest bundle.
pub(super) const MAX: u64 = WIDTH * (2 + MAX_ENTRY as u64);
const LENGTH: usize = 2;

/// At most 256 entries in one piece of memory.
#[derive(Default)]
pub(in crate::audit) struct Bundle {
    octets: Vec<u8>,
    /// Where each entry ends.
    ends: Vec<usize>,
}

impl Bundle {
    /// Takes a file apart; `None` when it is not a whole number of entries.
    pub(super) fn parse(octets: Vec<u8>) -> Option<Bundle> {
        let (mut ends, mut at) = (Vec::with_capacity(256), 0usize);
        while at < octets.len() {
            let length = octets.get(at..)?.first_chunk::<LENGTH>()?;
            at = at.checked_add(LENGTH + usize::from(u16::from_be_bytes(*length)))?;
            ends.push(at);
        }
        (at == octets.len()).then_some(Bundle { octets, ends })
    }

    /// Entries in it.
    pub(super) fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Leaves the first `width` entries.
    pub(super) fn truncate(&mut self, width: u64) {
        self.ends.truncate(usize::try_from(width).unwrap_or(usize::MAX));
        self.octets.truncate(self.ends.last().copied().unwrap_or(0));
    }

    pub(super) fn push(&mut self, entry: &[u8]) {
        // `Entry::encode` bounds an entry to MAX_ENTRY octets, so the length always fits.
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        self.octets.extend_from_slice(&length.to_be_bytes());
        self.octets.extend_from_slice(entry);
        self.ends.push(self.octets.len());
    }

    /// What stands in the file.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The entry at `place`.
    pub(in crate::audit) fn entry(&self, place: usize) -> Option<&[u8]> {
        let start = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.octets.get(start + LENGTH..*self.ends.get(place)?)
    }

    /// The entries in their order.
    pub(in crate::audit) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).filter_map(|place| self.entry(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_together_is_taken_apart_and_nothing_else_is() {
        let entries = [vec![1; 3], vec![], vec![2; 300], vec![3; MAX_ENTRY]];
        let mut bundle = Bundle::default();
        entries.iter().for_each(|entry| bundle.push(entry));
        let octets = bundle.octets().to_vec();
        let mut read = Bundle::parse(octets.clone()).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), entries);
        assert_eq!((read.len(), read.entry(2), read.entry(4)), (4, Some(&[2; 300][..]), None));
        let borders = [0, 5, 7, 309, octets.len()];
        for end in 0..400 {
            assert_eq!(Bundle::parse(octets[..end].to_vec()).is_some(), borders.contains(&end), "{end}");
        }
        read.truncate(2);
        assert_eq!((read.octets(), read.len()), (&octets[..7], 2));
        read.truncate(9);
        assert_eq!(read.len(), 2);
    }
}
