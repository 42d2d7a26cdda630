//! The sample: a witness's dice, thrown once the plan's digest is fixed, draw the items that two people compare with the evidence.
//! Nobody who made the plan knew which they would be, and anybody can draw them again (docs/formats.md, "The sample").

use crate::digest::{Digest, Hasher};

/// What the hashed text begins with. Stored: entries name the dice alone, so a change needs a new version.
pub const MAGIC: &str = "coldroot-sample-v0";
/// Fewer dice than this could be tried out by who makes the plan: 25 of them are 64 bits.
pub const MIN_DICE: usize = 25;
/// More dice than this say nothing more.
pub const MAX_DICE: usize = 100;
/// No sample has more items, unless it is all of them.
pub const MAX_COUNT: u64 = 10_000;

/// Why dice draw nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("dice show 1 to 6")]
    NoDie,
    #[error("{0} dice are too few: whoever made the plan could have tried out what they draw")]
    Few(usize),
    #[error("{0} dice are more than {MAX_DICE}")]
    Many(usize),
    #[error("a sample of {count} of {items} items is none: 1 to {most} can be drawn")]
    Count { count: u64, items: u64, most: u64 },
}

impl Fault {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Fault::NoDie | Fault::Few(_) | Fault::Many(_) => {
                format!("throw {MIN_DICE} to {MAX_DICE} dice and type what they show: --dice \"35261 46152 ...\"")
            }
            Fault::Count { .. } => "leave --count out: the number is chosen by the size of the plan".into(),
        })
    }
}

/// What dice showed: digits 1 to 6, spaces between them not counted.
pub fn dice(text: &str) -> Result<String, Fault> {
    let digits: String = text.chars().filter(|c| *c != ' ').collect();
    match digits.len() {
        _ if !digits.chars().all(|c| ('1'..='6').contains(&c)) => Err(Fault::NoDie),
        thrown if thrown < MIN_DICE => Err(Fault::Few(thrown)),
        thrown if thrown > MAX_DICE => Err(Fault::Many(thrown)),
        _ => Ok(digits),
    }
}

/// How many items are drawn of so many, unless something else is said: all of up to 60; 60, which miss a fault in 5 % of the items
/// with less than 5 % chance; 150 of more than 10,000 (2 %); 300 of more than 100,000 (1 %).
pub fn usual(items: u64) -> u64 {
    match items {
        0..=60 => items,
        61..=10_000 => 60,
        10_001..=100_000 => 150,
        _ => 300,
    }
}

/// The items that are drawn, in ascending order: a public function of the plan's digest, the dice as [`dice`] gives them, how many
/// items the plan has and how many are drawn.
///
/// ```text
/// seed   SHA-256 of "coldroot-sample-v0\n", the digest in lower-case hex, "\n", the dice, "\n"
/// x(i)   the first 8 octets of SHA-256(seed, i as 8 octets), i = 0, 1, 2 …; all numbers big-endian
/// item   x(i) mod items, unless x(i) >= 2^64 - (2^64 mod items) (no item is more likely) or the item is drawn already
/// ```
pub fn draw(plan: &Digest, dice: &str, items: u64, count: u64) -> Result<Vec<u64>, Fault> {
    let most = if count == items { items } else { items.min(MAX_COUNT) };
    if count == 0 || count > most {
        return Err(Fault::Count { count, items, most });
    }
    if count == items {
        return Ok((0..items).collect());
    }
    let seed = Digest::of(format!("{MAGIC}\n{plan}\n{dice}\n").as_bytes());
    // 2^64 mod items, without 2^64.
    let rest = (u64::MAX % items + 1) % items;
    let mut drawn = std::collections::BTreeSet::new();
    // More than half of all x are taken, and of those at least one in `items` is new.
    for i in 0u64.. {
        if drawn.len() as u64 == count {
            break;
        }
        let mut hasher = Hasher::default();
        hasher.update(&seed.0);
        hasher.update(&i.to_be_bytes());
        let mut x = [0; 8];
        x.copy_from_slice(&hasher.finish().0[..8]);
        let x = u64::from_be_bytes(x);
        if rest == 0 || x <= u64::MAX - rest {
            drawn.insert(x % items);
        }
    }
    Ok(drawn.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_dice_and_no_dice_are_refused() {
        assert_eq!(dice("35261 46152"), Err(Fault::Few(10)));
        assert_eq!(dice(&"7".repeat(30)), Err(Fault::NoDie));
        assert_eq!(dice(&"1\n".repeat(30)), Err(Fault::NoDie));
        assert_eq!(dice(&"\u{661}".repeat(30)), Err(Fault::NoDie));
        assert_eq!(dice(&"6".repeat(101)), Err(Fault::Many(101)));
        assert_eq!(dice(&"12345 ".repeat(5)).unwrap(), "12345".repeat(5));
        for fault in [Fault::NoDie, Fault::Few(1), Fault::Count { count: 0, items: 5, most: 5 }] {
            assert!(fault.hint().is_some());
        }
    }

    #[test]
    fn a_sample_is_of_distinct_items_and_the_same_again_and_another_for_other_dice() {
        let (plan, thrown) = (Digest::of(b"plan"), "1".repeat(25));
        let drawn = draw(&plan, &thrown, 10_000, 60).unwrap();
        assert_eq!(drawn.len(), 60);
        assert!(drawn.windows(2).all(|two| two[0] < two[1]) && drawn.iter().all(|item| *item < 10_000));
        assert_eq!(draw(&plan, &thrown, 10_000, 60).unwrap(), drawn);
        assert_ne!(draw(&plan, &"2".repeat(25), 10_000, 60).unwrap(), drawn);
        assert_ne!(draw(&Digest::of(b"other"), &thrown, 10_000, 60).unwrap(), drawn);
        // More of the same dice: the smaller sample is part of the larger one.
        let more = draw(&plan, &thrown, 10_000, 150).unwrap();
        assert!(drawn.iter().all(|item| more.contains(item)));
        assert_eq!(draw(&plan, &thrown, 3, 3).unwrap(), [0, 1, 2]);
        for (items, count) in [(3, 4), (3, 0), (0, 0), (1 << 20, MAX_COUNT + 1)] {
            assert!(matches!(draw(&plan, &thrown, items, count), Err(Fault::Count { .. })));
        }
    }

    #[test]
    fn the_example_of_the_document_is_drawn() {
        let drawn = draw(&Digest([0xaa; 32]), "3526146152116342551163342", 10_000, 5).unwrap();
        assert_eq!(drawn, [269, 917, 1654, 7531, 8924]);
        let listed = drawn.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        assert!(include_str!("../../docs/formats.md").contains(&format!("the items\n{listed}.\n")));
    }

    #[test]
    fn no_item_is_more_likely_than_another() {
        let mut times = [0u32; 7];
        for n in 0..7_000u32 {
            let [item] = draw(&Digest::of(&n.to_be_bytes()), &"3".repeat(25), 7, 1).unwrap()[..] else { panic!() };
            times[usize::try_from(item).unwrap()] += 1;
        }
        // Six standard deviations of 29; the digests are the same in every run.
        assert!(times.iter().all(|count| (820..1180).contains(count)), "{times:?}");
    }

    #[test]
    fn a_larger_plan_has_a_larger_sample() {
        let sizes = [0, 1, 60, 61, 10_000, 10_001, 100_000, 1_000_000];
        assert_eq!(sizes.map(usual), [0, 1, 60, 60, 60, 150, 150, 300]);
    }
}
