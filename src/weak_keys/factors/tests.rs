//! The search against a gcd of every pair, over small primes, blocks and windows.

use super::*;

fn primes() -> Vec<UBig> {
    let odd = (1001u32..).step_by(2).filter(|n| (3..*n).step_by(2).take_while(|d| d * d <= *n).all(|d| n % d != 0));
    odd.take(400).map(UBig::from).collect()
}

fn search(asked: &[UBig], recorded: &[UBig], window: u64, length: u64) -> Shared {
    let dir = tempfile::tempdir().unwrap();
    let mut search = Search::new(dir.path()).unwrap();
    asked.iter().for_each(|n| search.ask(&n.to_be_bytes()).unwrap());
    recorded.iter().zip(1000..).for_each(|(n, tag)| search.record(&n.to_be_bytes(), tag).unwrap());
    let mut told = Vec::new();
    let shared = search.run_in(window, length, |done, steps| told.push((done, steps))).unwrap();
    let steps = told.len() as u64;
    assert_eq!(told, (1..=steps).map(|done| (done, steps)).collect::<Vec<_>>());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    shared
}

/// What a gcd of every pair of different moduli finds.
fn every_pair(asked: &[UBig], recorded: &[UBig]) -> Shared {
    let mut shared = Shared::default();
    let hit = |a: &UBig, b: &UBig| a != b && a.gcd(b) != UBig::ONE;
    for n in asked {
        if asked.iter().chain(recorded).any(|other| hit(n, other)) {
            shared.asked.insert(modulus_digest(&n.to_be_bytes()));
        }
    }
    for (n, tag) in recorded.iter().zip(1000..) {
        if asked.iter().any(|other| hit(n, other)) && !asked.contains(n) {
            shared.recorded.insert(tag);
        }
    }
    shared
}

#[test]
fn the_trees_find_what_a_gcd_of_every_pair_finds() {
    let primes = primes();
    // Drawn from so few primes that some meet, and all numbers the same in each run.
    let mut state = 1u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let mut hits = 0;
    for round in 0..60 {
        let mut modulus = |_| {
            let (p, q) = (draw(400), draw(399));
            &primes[p] * &primes[(p + 1 + q) % 400]
        };
        let asked: Vec<UBig> = (0..1 + round % 23).map(&mut modulus).collect();
        let mut recorded: Vec<UBig> = (0..round % 17).map(&mut modulus).collect();
        if round % 5 == 0 {
            // A renewal: the same key once more.
            recorded.push(asked[0].clone());
        }
        let wanted = every_pair(&asked, &recorded);
        hits += wanted.asked.len();
        for length in [1, 2, 3, 7, 64] {
            assert_eq!(search(&asked, &recorded, 1000, length), wanted, "round {round}, blocks of {length}");
        }
    }
    assert!(hits > 50, "{hits}");
}

#[test]
fn a_modulus_that_shares_both_primes_and_one_asked_for_twice() {
    let p = primes();
    let n = |a: usize, b: usize| &p[a] * &p[b];
    // The first shares each prime with another one, the last two are one key.
    let asked = [n(0, 1), n(0, 2), n(1, 3), n(4, 5), n(6, 7), n(6, 7)];
    let shared = search(&asked, &[], 100, 64);
    let wanted = asked[..3].iter().map(|n| modulus_digest(&n.to_be_bytes())).collect();
    assert_eq!(shared, Shared { asked: wanted, recorded: BTreeSet::new() });
    assert_eq!(search(&asked[3..], &asked[3..4], 100, 64), Shared::default());
    assert_eq!(search(&[], &asked, 100, 64), Shared::default());
}

#[test]
fn the_window_holds_so_many_before_each_block() {
    let p = primes();
    let good = |n: usize| &p[10 + 2 * n] * &p[11 + 2 * n];
    let pair = [&p[0] * &p[1], &p[0] * &p[2]];
    let with_pair = |apart: usize| -> Vec<UBig> {
        let between = (0..apart).map(good);
        std::iter::once(pair[0].clone()).chain(between).chain(std::iter::once(pair[1].clone())).collect()
    };
    // In blocks of 4 with 8 before each: the pair is found from up to 8 keys apart, always.
    for apart in 0..=8 {
        assert_eq!(search(&with_pair(apart), &[], 8, 4).asked.len(), 2, "{apart}");
    }
    assert_eq!(search(&with_pair(30), &[], 8, 4), Shared::default());
    // The record is a part of the same row.
    let recorded = [pair[0].clone(), good(20), good(21)];
    assert_eq!(search(&[pair[1].clone(), good(0)], &recorded, 3, 1).recorded, BTreeSet::from([1000]));
    assert_eq!(search(&[good(0), pair[1].clone()], &recorded, 3, 1), Shared::default());
}

#[test]
fn a_modulus_longer_than_any_profile_takes_is_left_out() {
    let p = primes();
    let long = (UBig::ONE << 4200) * &p[0];
    assert_eq!(search(&[&p[0] * &p[1], long], &[], 100, 64), Shared::default());
}
