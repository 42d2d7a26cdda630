//! Primes that RSA moduli share. A generator without enough entropy gives the same prime to two keys; who has both moduli has
//! both private keys, by one gcd (Heninger et al., USENIX Security 2012). That is seen by nobody who looks at one key.
//!
//! Each modulus asked for is compared with all others of its block and with the [`WINDOW`] before it: those on record, then those of
//! earlier blocks. Bernstein's trees do it for a whole block at once ("How to find smooth parts of integers"): up a tree of products goes
//! the sum of the products that leave one modulus out, which modulo one modulus is the product of the others; it is
//! multiplied with the products of the blocks before, and down the tree go the remainders. A gcd for each modulus is the last step.
//!
//! Moduli wait in unnamed files, one block of them is in memory with its tree, and one product for each block of the
//! window: for RSA-4096 some 200 MB, for RSA-2048 half of it, whatever the length of the batch.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use dashu_int::UBig;
use dashu_int::ops::Gcd;

use crate::digest::Digest;

/// With so many moduli before it each one is compared at least.
pub const WINDOW: u64 = 100_000;
/// Moduli of a block: longer ones are faster for each modulus and need more memory.
const BLOCK: u64 = 8_192;
/// A block of the record is not shorter, for a batch of a few: each costs a reading and a product.
const LEAST: u64 = 256;
/// Octets of a modulus: RSA-4096, the longest that a profile takes.
const MAX_MODULUS: usize = 512;
const SLOT: usize = MAX_MODULUS + 8;

/// The moduli to be searched.
pub struct Search {
    /// What is asked for, each modulus once: identical keys are another matter.
    asked: Spool,
    recorded: Spool,
    known: HashSet<Digest>,
}

/// What shares a prime with another key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// Digests of moduli that are asked for ([`modulus_digest`]).
    pub asked: HashSet<Digest>,
    /// The tags of keys on record.
    pub recorded: BTreeSet<u64>,
}

/// What a modulus (big-endian, without leading zeros) is called in [`Shared`].
pub fn modulus_digest(modulus: &[u8]) -> Digest {
    Digest::of(modulus)
}

impl Search {
    /// `scratch`: a directory for unnamed files, of 520 octets for each modulus.
    pub fn new(scratch: &Path) -> io::Result<Search> {
        let (asked, recorded) = (Spool::new(scratch)?, Spool::new(scratch)?);
        Ok(Search { asked, recorded, known: HashSet::new() })
    }

    /// Adds the modulus of a request, big-endian without leading zeros; one that is too long for any profile is left out.
    pub fn ask(&mut self, modulus: &[u8]) -> io::Result<()> {
        match self.known.insert(modulus_digest(modulus)) {
            true => self.asked.push(modulus, 0),
            false => Ok(()),
        }
    }

    /// Nothing is asked for: then there is nothing to look for on record either.
    pub fn is_empty(&self) -> bool {
        self.asked.count == 0
    }

    /// Adds a modulus on record, behind all that are asked for and the older ones first. One that is asked for again is left out: it
    /// shares both its primes with itself.
    pub fn record(&mut self, modulus: &[u8], tag: u64) -> io::Result<()> {
        match self.known.contains(&modulus_digest(modulus)) {
            true => Ok(()),
            false => self.recorded.push(modulus, tag),
        }
    }

    /// Searches; `tell` hears how many of how many steps are done.
    pub fn run(mut self, tell: impl FnMut(u64, u64)) -> io::Result<Shared> {
        self.known = HashSet::new();
        self.run_in(WINDOW, self.asked.count.clamp(LEAST, BLOCK), tell)
    }

    fn run_in(&mut self, window: u64, length: u64, mut tell: impl FnMut(u64, u64)) -> io::Result<Shared> {
        self.asked.flush()?;
        self.recorded.flush()?;
        let blocks = self.blocks(length);
        let first = blocks.iter().position(|block| block.asked).unwrap_or(blocks.len());
        // The blocks before each one that is asked for.
        let before = |n: usize| {
            let mut count = 0;
            let mut from = n;
            while from > 0 && count < window {
                from -= 1;
                count += blocks.get(from).map_or(0, |block| block.range.end - block.range.start);
            }
            from..n
        };
        let steps: u64 = (first..blocks.len()).map(|n| before(n).len() as u64 + 1).sum();
        let (mut done, mut shared) = (0, Shared::default());
        let mut products: BTreeMap<usize, UBig> = BTreeMap::new();
        for (n, block) in blocks.iter().enumerate().skip(first) {
            let range = before(n);
            products.retain(|block, _| range.contains(block));
            let read = self.read(block)?;
            let tree = product_tree(read.iter().map(|(modulus, _)| modulus.clone()).collect());
            let product = top(&tree);
            let mut others = all_but_one(&tree) % &product;
            for earlier in range.clone() {
                if !products.contains_key(&earlier)
                    && let Some(block) = blocks.get(earlier)
                {
                    let moduli = self.read(block)?.into_iter().map(|(modulus, _)| modulus).collect();
                    products.insert(earlier, top(&product_tree(moduli)));
                }
                if let Some(earlier) = products.get(&earlier) {
                    others = others * (earlier % &product) % &product;
                }
                done += 1;
                tell(done, steps);
            }
            let mut factors = Vec::new();
            for ((modulus, _), rest) in read.iter().zip(remainders(&tree, others)) {
                let factor = rest.gcd(modulus);
                if factor != UBig::ONE {
                    shared.asked.insert(modulus_digest(&modulus.to_be_bytes()));
                    factors.push(factor);
                }
            }
            products.insert(n, product);
            if !factors.is_empty() {
                let factors = top(&product_tree(factors));
                for block in blocks.get(range).unwrap_or_default() {
                    self.partners(block, &factors, &mut shared)?;
                }
            }
            done += 1;
            tell(done, steps);
        }
        Ok(shared)
    }

    /// The moduli of an earlier block that one of the factors found divides.
    fn partners(&self, block: &Block, factors: &UBig, shared: &mut Shared) -> io::Result<()> {
        let read = self.read(block)?;
        let tree = product_tree(read.iter().map(|(modulus, _)| modulus.clone()).collect());
        for ((modulus, tag), rest) in read.iter().zip(remainders(&tree, factors % top(&tree))) {
            if rest.gcd(modulus) == UBig::ONE {
                continue;
            }
            match block.asked {
                true => drop(shared.asked.insert(modulus_digest(&modulus.to_be_bytes()))),
                false => drop(shared.recorded.insert(*tag)),
            }
        }
        Ok(())
    }

    /// First the record, then what is asked for.
    fn blocks(&self, length: u64) -> Vec<Block> {
        let of = |count: u64, asked: bool| {
            let block = move |n: u64| Block { asked, range: n * length..count.min((n + 1) * length) };
            (0..count.div_ceil(length)).map(block)
        };
        of(self.recorded.count, false).chain(of(self.asked.count, true)).collect()
    }

    fn read(&self, block: &Block) -> io::Result<Vec<(UBig, u64)>> {
        match block.asked {
            true => self.asked.read(&block.range),
            false => self.recorded.read(&block.range),
        }
    }
}

struct Block {
    asked: bool,
    range: Range<u64>,
}

/// Moduli in an unnamed file, each in a slot with its tag.
struct Spool {
    file: File,
    waiting: Vec<u8>,
    count: u64,
}

impl Spool {
    fn new(scratch: &Path) -> io::Result<Spool> {
        Ok(Spool { file: tempfile::tempfile_in(scratch)?, waiting: Vec::new(), count: 0 })
    }

    fn push(&mut self, modulus: &[u8], tag: u64) -> io::Result<()> {
        let Some(zeros) = MAX_MODULUS.checked_sub(modulus.len()) else { return Ok(()) };
        self.waiting.resize(self.waiting.len() + zeros, 0);
        self.waiting.extend_from_slice(modulus);
        self.waiting.extend_from_slice(&tag.to_be_bytes());
        self.count += 1;
        match self.waiting.len() > 1 << 16 {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }

    fn read(&self, range: &Range<u64>) -> io::Result<Vec<(UBig, u64)>> {
        let count = range.end - range.start;
        let mut octets = vec![0; usize::try_from(count).unwrap_or(0) * SLOT];
        self.file.read_exact_at(&mut octets, range.start * SLOT as u64)?;
        let (slots, _) = octets.as_chunks::<SLOT>();
        let slot = |slot: &[u8; SLOT]| {
            let (modulus, tag) = slot.split_at(MAX_MODULUS);
            (UBig::from_be_bytes(modulus), tag.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)))
        };
        Ok(slots.iter().map(slot).collect())
    }
}

/// Level by level, the leaves first: each node is the product of two of the level before, the last of an odd number goes up alone.
fn product_tree(leaves: Vec<UBig>) -> Vec<Vec<UBig>> {
    let mut levels = vec![leaves];
    while let Some(last) = levels.last().filter(|last| last.len() > 1) {
        let next = last.chunks(2).map(|pair| pair.iter().product()).collect();
        levels.push(next);
    }
    levels
}

fn top(tree: &[Vec<UBig>]) -> UBig {
    tree.last().and_then(|level| level.first()).cloned().unwrap_or(UBig::ONE)
}

/// The sum of the products that leave one leaf out.
fn all_but_one(tree: &[Vec<UBig>]) -> UBig {
    let mut sums = vec![UBig::ONE; tree.first().map_or(0, Vec::len)];
    for level in tree.iter().take(tree.len().saturating_sub(1)) {
        let pairs = sums.chunks(2).zip(level.chunks(2));
        sums = pairs
            .map(|pair| match pair {
                ([left, right], [a, b]) => left * b + right * a,
                (alone, _) => alone.first().cloned().unwrap_or(UBig::ONE),
            })
            .collect();
    }
    sums.pop().unwrap_or(UBig::ONE)
}

/// A number below the top, modulo each leaf.
fn remainders(tree: &[Vec<UBig>], number: UBig) -> Vec<UBig> {
    let mut above = vec![number];
    for level in tree.iter().rev().skip(1) {
        above = above
            .iter()
            .zip(level.chunks(2))
            .flat_map(|(rest, pair)| pair.iter().map(move |leaf| rest % leaf))
            .collect();
    }
    above
}

#[cfg(test)]
mod tests;
