//! The outliers of a batch: what is unlike the rest comes first, because nobody reads 10,000 rows. Pure and deterministic: the
//! same batch gives the same list.
//!
//! An item is a row of traits, each a short text. A value is rare when at most one item in a hundred has it (or just one item, in a
//! small batch) while more than half of the items agree on another value. An item counts the more, the rarer its values are: one
//! point for each halving of their share.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::terminal::human_count;

/// No trait is told apart by more values than this; one that has more says nothing of the batch.
const MANY: usize = 10_000;
/// Fewer items than this have no rest to be unlike.
const FEW: u64 = 3;

/// One trait by which items are told apart.
#[derive(Clone, Copy, Debug)]
pub struct Trait {
    /// What it is about, as `show` heads it: `key`, `wildcard`.
    pub name: &'static str,
    /// What stands before its value: `with`, `of profile`, `for`.
    pub with: &'static str,
}

/// A batch as it is read. Memory: two octets for each item and trait, and at most 10,000 values of each trait.
pub struct Outliers<const N: usize> {
    traits: [Trait; N],
    values: [Values; N],
    items: Vec<(u64, [u16; N])>,
}

#[derive(Default)]
struct Values {
    number: BTreeMap<String, u16>,
    /// By number: the value, and how many items have it.
    count: Vec<(String, u64)>,
    /// There are too many.
    off: bool,
}

/// The values of one trait in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    pub name: &'static str,
    /// Each value, and how many items have it.
    pub values: Vec<(String, u64)>,
    /// Values that are left out.
    pub more: usize,
}

/// An item unlike the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Its number in the plan.
    pub item: u64,
    /// How unlike: comparable within one batch.
    pub points: u32,
    /// Why, rarest first: `the only one with a wildcard`.
    pub why: Vec<String>,
}

impl<const N: usize> Outliers<N> {
    pub fn new(traits: [Trait; N]) -> Outliers<N> {
        Outliers { traits, values: std::array::from_fn(|_| Values::default()), items: Vec::new() }
    }

    /// Takes an item. `values` stand in the order of the traits, safe for any output.
    pub fn add(&mut self, item: u64, values: [String; N]) {
        let mut row = [0; N];
        for ((at, known), value) in row.iter_mut().zip(&mut self.values).zip(values) {
            *at = known.take(value);
        }
        self.items.push((item, row));
    }

    /// Items taken.
    pub fn len(&self) -> u64 {
        self.items.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The values of each trait and how many items have them, the most frequent first, at most `most` of them.
    pub fn shape(&self, most: usize) -> Vec<Spread> {
        let all = self.traits.iter().zip(&self.values).filter(|(_, values)| !values.off);
        all.map(|(of, values)| {
            let mut count = values.count.clone();
            count.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
            let more = count.len().saturating_sub(most);
            count.truncate(most);
            Spread { name: of.name, values: count, more }
        })
        .collect()
    }

    /// The items most unlike the rest, at most `most` of them, and how many there are in all.
    pub fn find(&self, most: usize) -> (Vec<Outlier>, u64) {
        let total = self.len();
        if total < FEW {
            return (Vec::new(), 0);
        }
        // For each trait the points of each value; 0 for those that are not rare.
        let points: Vec<Vec<u32>> = self.values.iter().map(|values| values.points(total)).collect();
        let of = |row: &[u16; N]| -> u32 {
            row.iter().zip(&points).filter_map(|(value, points)| points.get(usize::from(*value))).sum()
        };
        let mut found = 0;
        // The least unlike of those kept comes first: it makes room.
        let mut kept: BTreeSet<(u32, Reverse<u64>, usize)> = BTreeSet::new();
        for (place, (item, row)) in self.items.iter().enumerate() {
            let points = of(row);
            if points == 0 {
                continue;
            }
            found += 1;
            kept.insert((points, Reverse(*item), place));
            if kept.len() > most {
                kept.pop_first();
            }
        }
        let told = kept.into_iter().rev().filter_map(|(points, Reverse(item), place)| {
            let (_, row) = self.items.get(place)?;
            Some(Outlier { item, points, why: self.why(row, total) })
        });
        (told.collect(), found)
    }

    fn why(&self, row: &[u16; N], total: u64) -> Vec<String> {
        let mut reasons: Vec<(u32, String)> = Vec::new();
        for ((of, values), number) in self.traits.iter().zip(&self.values).zip(row) {
            let place = usize::from(*number);
            let points = values.points_of(place, total);
            let (Some((value, count)), Some((usual, most))) = (values.count.get(place), values.usual()) else {
                continue;
            };
            if points == 0 {
                continue;
            }
            let Trait { with, .. } = of;
            let said = match count {
                1 => format!("the only one {with} {value}"),
                _ => format!("one of {} {with} {value}", human_count(*count)),
            };
            reasons.push((points, format!("{said}; {} {with} {usual}", human_count(most))));
        }
        // Those with more points first; the order of traits among equals.
        reasons.sort_by_key(|(points, _)| Reverse(*points));
        reasons.into_iter().map(|(_, reason)| reason).collect()
    }
}

impl Values {
    /// The number of a value, which is counted.
    fn take(&mut self, value: String) -> u16 {
        if self.off {
            return u16::MAX;
        }
        if let Some(number) = self.number.get(&value) {
            if let Some((_, count)) = self.count.get_mut(usize::from(*number)) {
                *count += 1;
            }
            return *number;
        }
        let number = self.count.len();
        if number == MANY {
            *self = Values { off: true, ..Values::default() };
            return u16::MAX;
        }
        // At most 10,000, so it fits.
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        self.number.insert(value.clone(), number);
        self.count.push((value, 1));
        number
    }

    /// The value that most items have; the first one in the batch among equals.
    fn usual(&self) -> Option<(&str, u64)> {
        let best = self.count.iter().rev().max_by_key(|(_, count)| *count)?;
        Some((&best.0, best.1))
    }

    fn points(&self, total: u64) -> Vec<u32> {
        (0..self.count.len()).map(|place| self.points_of(place, total)).collect()
    }

    fn points_of(&self, place: usize, total: u64) -> u32 {
        let (Some((_, count)), Some((_, most))) = (self.count.get(place), self.usual()) else { return 0 };
        let rare = *count <= (total / 100).max(1) && most > total / 2;
        if rare { (total / count).ilog2().max(1) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAITS: [Trait; 3] = [
        Trait { name: "key", with: "with" },
        Trait { name: "wildcard", with: "with" },
        Trait { name: "requester", with: "by a requester of" },
    ];

    fn batch(total: u64, of: impl Fn(u64) -> [&'static str; 2]) -> Outliers<3> {
        let mut batch = Outliers::new(TRAITS);
        for n in 0..total {
            let [key, wildcard] = of(n);
            batch.add(n, [key.into(), wildcard.into(), n.to_string()]);
        }
        batch
    }

    #[test]
    fn the_one_unlike_the_rest_comes_first_with_its_reason() {
        let batch = batch(10_000, |n| match n {
            7 => ["P-256", "a wildcard"],
            100 | 200 | 9_999 => ["P-521", "no wildcard"],
            _ => ["P-256", "no wildcard"],
        });
        let (found, all) = batch.find(2);
        assert_eq!((all, found.iter().map(|o| o.item).collect::<Vec<_>>()), (4, vec![7, 100]));
        assert_eq!(found[0].why, ["the only one with a wildcard; 9,999 with no wildcard"]);
        assert_eq!(found[1].why, ["one of 3 with P-521; 9,997 with P-256"]);
        let (found, _) = batch.find(10);
        assert_eq!(found.iter().map(|o| o.item).collect::<Vec<_>>(), [7, 100, 200, 9_999]);
        // Each item has its own requester: that says nothing.
        let shape = batch.shape(1);
        assert_eq!(shape[0], Spread { name: "key", values: vec![("P-256".into(), 9_997)], more: 1 });
        assert_eq!(shape[2].more, 9_999);
    }

    #[test]
    fn rare_twice_counts_more_and_what_is_common_not_at_all() {
        let twice = batch(50, |n| if n == 40 { ["P-521", "a wildcard"] } else { ["P-256", "no wildcard"] });
        let (found, all) = twice.find(5);
        assert_eq!((all, found[0].item, found[0].why.len(), found[0].points), (1, 40, 2, 10));
        let halves = batch(1_000, |n| if n % 2 == 0 { ["P-256", "no wildcard"] } else { ["P-384", "no wildcard"] });
        assert_eq!(halves.find(5), (vec![], 0));
        // Two of 100 are more than one in a hundred.
        let two = batch(100, |n| if n < 2 { ["P-384", "no wildcard"] } else { ["P-256", "no wildcard"] });
        assert_eq!(two.find(5).1, 0);
        let pair = batch(2, |n| if n == 0 { ["P-384", "no wildcard"] } else { ["P-256", "no wildcard"] });
        assert_eq!(pair.find(5), (vec![], 0));
    }

    #[test]
    fn a_trait_with_too_many_values_says_nothing() {
        let many = batch(10_001, |_| ["P-256", "no wildcard"]);
        assert_eq!(many.find(5), (vec![], 0));
        assert_eq!(many.shape(3).len(), 2);
    }
}
