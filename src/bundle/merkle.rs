//! The Merkle root of RFC 6962 §2.1 over leaves that arrive one by one.

use crate::digest::{Digest, Hasher};

/// A root in the making: one digest for each complete subtree, the largest first, so a million leaves need twenty.
#[derive(Default)]
pub struct MerkleRoot {
    subtrees: Vec<Digest>,
    leaves: u64,
}

impl MerkleRoot {
    /// Adds a leaf: its octets, not their digest.
    pub fn push(&mut self, leaf: &[u8]) {
        let mut hasher = Hasher::default();
        hasher.update(&[0]);
        hasher.update(leaf);
        let mut node = hasher.finish();
        // Each trailing one of the old count is a complete subtree that has just found its right neighbour.
        for _ in 0..self.leaves.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                node = parent(left, node);
            }
        }
        self.subtrees.push(node);
        self.leaves += 1;
    }

    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root; of no leaves the digest of nothing.
    pub fn finish(mut self) -> Digest {
        let Some(mut root) = self.subtrees.pop() else { return Digest::of(&[]) };
        while let Some(left) = self.subtrees.pop() {
            root = parent(left, root);
        }
        root
    }
}

fn parent(left: Digest, right: Digest) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(&[1]);
    hasher.update(&left.0);
    hasher.update(&right.0);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962 §2.1, word by word.
    fn by_definition(leaves: &[Vec<u8>]) -> Digest {
        match leaves {
            [] => Digest::of(&[]),
            [leaf] => Digest::of(&[&[0][..], leaf].concat()),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                parent(by_definition(&leaves[..split]), by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_streamed_root_is_the_defined_one() {
        let leaves: Vec<Vec<u8>> = (0..70u8).map(|i| vec![i; usize::from(i)]).collect();
        for n in 0..=leaves.len() {
            let mut root = MerkleRoot::default();
            leaves[..n].iter().for_each(|leaf| root.push(leaf));
            assert_eq!(root.leaves(), n as u64);
            assert_eq!(root.finish(), by_definition(&leaves[..n]), "{n} leaves");
        }
    }

    /// The roots of the reference implementation's test inputs (Certificate Transparency, eight leaves).
    #[test]
    fn known_answers() {
        let leaves =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let mut root = MerkleRoot::default();
        for leaf in leaves {
            root.push(&data_encoding::HEXLOWER.decode(leaf.as_bytes()).unwrap());
        }
        assert_eq!(root.finish().hex(), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }
}
