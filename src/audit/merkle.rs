//! The Merkle tree of RFC 6962 §2.1 (RFC 9162 §2.1) over SHA-256: roots, proofs, and their verification.
//!
//! Everything here is pure. A tree is seen through [`Nodes`], which gives the hash of any complete subtree, so the same
//! lines serve tiles on disk, pending entries in memory, and both together. The verifying half needs no tree at all and is
//! what the gate runs before it lets the audit key sign.

use crate::digest::{Digest, Hasher};

/// No proof over a 64-bit tree is longer than this; verification refuses longer ones unread.
pub const MAX_PROOF: usize = 64;

/// The hash of a leaf: SHA-256(0x00 ‖ bytes).
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(&[0]);
    hasher.update(bytes);
    hasher.finish()
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut bytes = [1; 65];
    let octets = left.0.iter().chain(&right.0);
    bytes.iter_mut().skip(1).zip(octets).for_each(|(to, from)| *to = *from);
    Digest::of(&bytes)
}

/// The root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

/// Hashes of complete subtrees.
pub trait Nodes {
    type Error;
    /// The hash of the subtree over the leaves `index << level .. (index + 1) << level`, all of which exist.
    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error>;
}

/// The root over the first `size` leaves.
pub fn root<N: Nodes + ?Sized>(nodes: &N, size: u64) -> Result<Digest, N::Error> {
    range(nodes, 0, size)
}

/// PATH(index, D[size]) of RFC 6962 §2.1.1, for `index < size`.
pub fn inclusion_proof<N: Nodes + ?Sized>(nodes: &N, index: u64, size: u64) -> Result<Vec<Digest>, N::Error> {
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// PROOF(old, D[new]) of RFC 6962 §2.1.2, for `old <= new`; empty for `old == 0` and `old == new`.
pub fn consistency_proof<N: Nodes + ?Sized>(nodes: &N, old: u64, new: u64) -> Result<Vec<Digest>, N::Error> {
    if old == 0 || old >= new {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    // The verifier knows the old root; only when the last subtree is not the whole old tree must it be told.
    if start != 0 {
        proof.push(range(nodes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Does `proof` show that `leaf` is the leaf at `index` of the tree of `size` leaves with `root`? RFC 9162 §2.1.3.2.
pub fn verify_inclusion(leaf: &Digest, index: u64, size: u64, root: &Digest, proof: &[Digest]) -> bool {
    if index >= size || proof.len() > MAX_PROOF {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for other in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(other, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, other);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Does `proof` show that the tree of `new` leaves with `new_root` continues the tree of `old` leaves with `old_root`?
/// RFC 9162 §2.1.4.2. Every tree continues the empty one: for `old == 0` the proof must be empty and no root is compared.
pub fn verify_consistency(old: u64, old_root: &Digest, new: u64, new_root: &Digest, proof: &[Digest]) -> bool {
    if old > new || proof.len() > MAX_PROOF {
        return false;
    }
    if old == 0 {
        return proof.is_empty();
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    // A complete old tree is itself a node of the new one, and is not repeated in the proof.
    let mut path = proof.iter();
    let first = match old.is_power_of_two() {
        true => Some(old_root),
        false => path.next(),
    };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut from_old, mut from_new) = (*first, *first);
    for other in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            from_old = node_hash(other, &from_old);
            from_new = node_hash(other, &from_new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node_hash(&from_new, other);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == *old_root && from_new == *new_root
}

/// A root computed leaf by leaf: one hash per level is kept.
#[derive(Clone, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, largest first: one for each 1 in the binary form of `size`.
    peaks: Vec<Digest>,
}

impl Frontier {
    pub fn push(&mut self, leaf: Digest) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Adds the root of 256 leaves, where a multiple of 256 stand before it.
    pub(super) fn push_tile(&mut self, root: Digest) {
        let mut hash = root;
        for _ in 0..(self.size >> 8).trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 256;
    }

    pub fn root(&self) -> Digest {
        fold(&self.peaks)
    }
}

/// MTH(D[start:end]) where `start` is a multiple of the smallest power of two that is not below `end - start`: the only
/// ranges that proofs are made of.
fn range<N: Nodes + ?Sized>(nodes: &N, start: u64, end: u64) -> Result<Digest, N::Error> {
    let length = end - start;
    let mut at = start;
    let mut peaks = Vec::new();
    for level in (0..u64::BITS).rev().filter(|level| (length >> level) & 1 == 1) {
        peaks.push(nodes.node(level, at >> level)?);
        at += 1 << level;
    }
    Ok(fold(&peaks))
}

fn fold(peaks: &[Digest]) -> Digest {
    let right_to_left = peaks.iter().rev().copied();
    right_to_left.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
}

/// The largest power of two below `n`, for `n >= 2`.
fn split(n: u64) -> u64 {
    1 << (u64::BITS - 1 - (n - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves of the RFC 6962 test vectors of certificate-transparency and the roots of their prefixes.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    struct Leaves(Vec<Digest>);

    impl Nodes for Leaves {
        type Error = ();
        fn node(&self, level: u32, index: u64) -> Result<Digest, ()> {
            let range = (index << level) as usize..((index + 1) << level) as usize;
            self.0.get(range).map(mth).ok_or(())
        }
    }

    /// MTH exactly as RFC 6962 §2.1 writes it.
    fn mth(leaves: &[Digest]) -> Digest {
        match leaves.len() {
            0 => Digest::of(b""),
            1 => leaves[0],
            n => {
                let k = (1..).map(|i| 1 << i).take_while(|k| *k < n).last().unwrap_or(1);
                node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
            }
        }
    }

    /// PATH exactly as RFC 6962 §2.1.1 writes it.
    fn path(m: usize, leaves: &[Digest]) -> Vec<Digest> {
        let n = leaves.len();
        if n == 1 {
            return vec![];
        }
        let k = (1..).map(|i| 1 << i).take_while(|k| *k < n).last().unwrap_or(1);
        let (mut proof, other) = match m < k {
            true => (path(m, &leaves[..k]), mth(&leaves[k..])),
            false => (path(m - k, &leaves[k..]), mth(&leaves[..k])),
        };
        proof.push(other);
        proof
    }

    fn known() -> Leaves {
        Leaves(LEAVES.iter().map(|hex| leaf_hash(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap())).collect())
    }

    fn hex(proof: &[Digest]) -> Vec<String> {
        proof.iter().map(Digest::hex).collect()
    }

    #[test]
    fn roots_are_those_of_the_rfc_6962_vectors() {
        let leaves = known();
        let mut frontier = Frontier::default();
        for (size, want) in ROOTS.iter().enumerate() {
            assert_eq!(root(&leaves, size as u64).unwrap().hex(), *want);
            assert_eq!(frontier.root().hex(), *want);
            if let Some(leaf) = leaves.0.get(size) {
                frontier.push(*leaf);
            }
        }
    }

    #[test]
    fn proofs_are_those_of_the_rfc_6962_vectors() {
        let leaves = known();
        assert_eq!(
            hex(&inclusion_proof(&leaves, 5, 8).unwrap()),
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
        assert_eq!(
            hex(&consistency_proof(&leaves, 6, 8).unwrap()),
            [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
    }

    #[test]
    fn proofs_equal_brute_force_and_verify_for_sizes_to_300() {
        let leaves = Leaves((0..300u32).map(|i| leaf_hash(&i.to_be_bytes())).collect());
        let roots: Vec<Digest> = (0..=300).map(|n| mth(&leaves.0[..n])).collect();
        for size in 1..=300usize {
            assert_eq!(root(&leaves, size as u64).unwrap(), roots[size]);
            // Every index for small trees; for large ones those around the edges of subtrees.
            for index in (0..size).filter(|i| size < 70 || i % 16 < 2 || size - i < 4) {
                let proof = inclusion_proof(&leaves, index as u64, size as u64).unwrap();
                assert_eq!(proof, path(index, &leaves.0[..size]));
                let verify = |leaf, i: usize, n: usize, proof: &[Digest]| {
                    verify_inclusion(leaf, i as u64, n as u64, &roots[size], proof)
                };
                assert!(verify(&leaves.0[index], index, size, &proof));
                assert!(!verify(&leaves.0[(index + 1) % 300], index, size, &proof));
                assert!(!verify(&leaves.0[index], index ^ 1, size, &proof) || size == 1);
                let longer: Vec<Digest> = proof.iter().copied().chain([empty_root()]).collect();
                assert!(!verify(&leaves.0[index], index, size, &longer));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verify(&leaves.0[index], index, size, shorter));
                }
            }
            for old in (0..=size).filter(|o| size < 70 || o % 16 < 2 || size - o < 4) {
                let proof = consistency_proof(&leaves, old as u64, size as u64).unwrap();
                let verify = |old_root, proof: &[Digest]| {
                    verify_consistency(old as u64, old_root, size as u64, &roots[size], proof)
                };
                assert!(verify(&roots[old], &proof), "{old} {size}");
                if old == 0 {
                    continue;
                }
                assert!(!verify(&roots[old - 1], &proof));
                for at in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[at].0[7] ^= 1;
                    assert!(!verify(&roots[old], &changed));
                }
                let longer: Vec<Digest> = proof.iter().copied().chain([empty_root()]).collect();
                assert!(!verify(&roots[old], &longer));
            }
        }
    }

    #[test]
    fn nonsense_is_refused_without_overflow() {
        let d = empty_root();
        assert!(!verify_inclusion(&d, 0, 0, &d, &[]));
        assert!(!verify_inclusion(&d, u64::MAX - 1, u64::MAX, &d, &[d; 64]));
        assert!(!verify_inclusion(&d, 0, u64::MAX, &d, &[d; 65]));
        assert!(!verify_consistency(2, &d, 1, &d, &[]));
        assert!(!verify_consistency(3, &d, u64::MAX, &d, &[]));
        assert!(!verify_consistency(1, &d, u64::MAX, &d, &[d; 65]));
        assert!(verify_consistency(0, &d, 7, &d, &[]));
        assert!(!verify_consistency(0, &d, 7, &d, &[d]));
    }
}
