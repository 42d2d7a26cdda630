//! Shares without a token: every choice of them, every mistyped word.

use super::*;

fn split(shares: u8, threshold: u8) -> Split {
    Split::draw(&[1; 32], &[2; 32], shares, threshold).unwrap()
}

fn text(share: &Share) -> String {
    share.words().collect::<Vec<_>>().join(" ")
}

fn read(text: &str) -> Result<Share, Mistake> {
    let mut typed = Typed::new();
    typed.add(text)?;
    typed.share()
}

fn known(split: &Split, confirmed: bool) -> KnownSet {
    let share =
        |share: &Share| KnownShare { custodian: Some(format!("person-{}", share.number())), digest: share.digest() };
    let shares = split.shares.iter().map(share).collect();
    KnownSet { set: Bytes::from(split.set.clone()), threshold: split.threshold, shares, confirmed }
}

#[test]
fn any_three_of_five_make_the_pin_and_no_two_do() {
    let split = split(5, 3);
    let texts: Vec<String> = split.shares.iter().map(text).collect();
    let whole = pin(&split.shares).unwrap();
    assert_eq!(whole.len(), PIN);
    assert!(whole.expose().iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()));
    let mut choices = 0;
    for a in 0..5 {
        for b in 0..5 {
            if a == b {
                continue;
            }
            let two = [read(&texts[a]).unwrap(), read(&texts[b]).unwrap()];
            assert!(pin(&two).is_none());
            // Two, taken for enough, make something else: they say nothing.
            assert!(joined(&two).unwrap().as_slice() != joined(&split.shares[..3]).unwrap().as_slice());
            for c in 0..5 {
                if a < b && b < c {
                    let three = [a, b, c].map(|n| read(&texts[n]).unwrap());
                    assert!(pin(&three).unwrap().expose() == whole.expose());
                    choices += 1;
                }
            }
        }
    }
    assert_eq!(choices, 10);
}

#[test]
fn every_size_joins_and_both_sources_count() {
    for shares in 2..=MOST {
        for threshold in 2..=shares {
            let split = split(shares, threshold);
            assert_eq!(split.shares.len(), usize::from(shares));
            let last: Vec<Share> = split.shares.iter().rev().map(|share| read(&text(share)).unwrap()).collect();
            assert!(pin(&last).unwrap().expose() == pin(&split.shares).unwrap().expose());
        }
    }
    for (shares, threshold) in [(0, 0), (1, 1), (3, 1), (2, 3), (MOST + 1, 2)] {
        assert!(Split::draw(&[1; 32], &[2; 32], shares, threshold).is_none());
    }
    let pin_of = |token: u8, system: u8| {
        let split = Split::draw(&[token; 32], &[system; 32], 3, 2).unwrap();
        (pin(&split.shares).unwrap().expose().to_vec(), split.set)
    };
    assert_eq!(pin_of(1, 2), pin_of(1, 2));
    assert!(pin_of(1, 2).0 != pin_of(1, 3).0 && pin_of(1, 2).0 != pin_of(3, 2).0 && pin_of(1, 2).1 != pin_of(3, 2).1);
}

#[test]
fn the_coefficients_of_the_polynomial_are_uniform() {
    // Where zero is never drawn (RUSTSEC-2024-0398), the shares of many sets say what the secret is not.
    let mut seen = [0u32; 256];
    for n in 0..1_000u32 {
        let split = Split::draw(&n.to_be_bytes(), &[0], 2, 2).unwrap();
        let secret = joined(&split.shares).unwrap();
        // The share's number is 1: its value is the secret plus the coefficient.
        let share = split.shares[0].octets(HEAD..BODY);
        secret.iter().zip(share).for_each(|(s, y)| seen[usize::from(s ^ y)] += 1);
    }
    let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
    // 62.5 are expected of each.
    assert!(*least > 25 && *most < 115, "{least} to {most}");
}

#[test]
fn a_mistyped_word_is_named_by_its_place() {
    let split = split(5, 3);
    let right = text(&split.shares[1]);
    assert_eq!(read(&right).unwrap().digest(), split.shares[1].digest());
    assert_eq!(read(&right.to_uppercase()).unwrap().digest(), split.shares[1].digest());
    let words: Vec<&str> = right.split(' ').collect();
    let with = |place: usize, word: &str| {
        let mut changed = words.clone();
        changed[place] = word;
        read(&changed.join(" ")).map(|_| ()).unwrap_err()
    };
    for (place, right) in words.iter().enumerate() {
        // A word of no list, and one of the other places' list.
        assert_eq!(with(place, "coldroot"), Mistake::NoWord(place + 1));
        let neighbours = words::word(place + 1, 7);
        assert_eq!(with(place, neighbours), Mistake::NoWord(place + 1));
        // Another word of the right list.
        let octet = words::octet(place, right).unwrap();
        for other in [1, 100, 255] {
            assert_eq!(with(place, words::word(place, octet ^ other)), Mistake::Misfit(place + 1));
        }
        // The right one in its place mends it.
        let mut typed = Typed::new();
        let mut changed = words.clone();
        changed[place] = words::word(place, octet ^ 1);
        typed.add(&changed.join(" ")).unwrap();
        assert_eq!(typed.replace(place + 1, "coldroot"), Err(Mistake::NoWord(place + 1)));
        typed.replace(place + 1, right).unwrap();
        assert_eq!(typed.share().unwrap().digest(), split.shares[1].digest());
    }
    let swapped = |a: usize, b: usize| {
        let mut changed = words.clone();
        changed.swap(a, b);
        read(&changed.join(" ")).map(|_| ()).unwrap_err()
    };
    assert_eq!(swapped(6, 7), Mistake::NoWord(7));
    assert_eq!(swapped(6, 8), Mistake::Misfits);
    assert_eq!(read(&words[..23].join(" ")).map(|_| ()).unwrap_err(), Mistake::Count(23));
    assert_eq!(read(&format!("{right} {}", words[0])).map(|_| ()).unwrap_err(), Mistake::Count(25));
    assert_eq!(read("").map(|_| ()).unwrap_err(), Mistake::Count(0));
}

#[test]
fn a_share_of_another_set_a_doubled_and_an_unknown_one_are_refused_by_name() {
    let split = split(5, 3);
    let other = Split::draw(&[3; 32], &[2; 32], 5, 3).unwrap();
    let (sets, number) = ([known(&split, true)], 2);
    let [first, second, foreign] =
        [&split.shares[0], &split.shares[1], &other.shares[1]].map(|s| read(&text(s)).unwrap());
    assert_eq!(first.judge(&sets, &[]).unwrap(), &sets[0]);
    let wrong = foreign.judge(&sets, &[]).unwrap_err();
    assert_eq!(wrong, Wrong::OtherSet { number, set: other.set.clone(), wanted: split.set.clone() });
    assert!(wrong.to_string().contains(&hex(&other.set)) && wrong.to_string().contains("share 2"));
    let typed = [first, second];
    let wrong = split.shares[1].judge(&sets, &typed).unwrap_err();
    assert_eq!(wrong, Wrong::Doubled { number, custodian: Some("person-2".into()) });
    assert_eq!(wrong.to_string(), "share 2 (person-2) was typed already");
    // A log that lies about a digest, or about how many are needed, costs a refusal and no more.
    let mut lying = sets.clone();
    lying[0].shares[1].digest = Digest::of(b"x");
    let not_on_record = Wrong::NotOnRecord { number, custodian: Some("person-2".into()) };
    assert_eq!(split.shares[1].judge(&lying, &[]).unwrap_err(), not_on_record);
    let mut lying = sets.clone();
    lying[0].threshold = 2;
    assert_eq!(split.shares[1].judge(&lying, &[]).unwrap_err(), not_on_record);
    lying[0].shares.truncate(1);
    assert_eq!(split.shares[1].judge(&lying, &[]).unwrap_err(), Wrong::NotOnRecord { number, custodian: None });
    assert!(matches!(split.shares[1].judge(&[], &[]), Err(Wrong::OtherSet { .. })));
    // Before it is known whether a new set counts, either may begin; then they do not mix.
    let both = [known(&split, true), known(&other, false)];
    assert_eq!(other.shares[1].judge(&both, &[]).unwrap().set, other.set);
    let begun = [read(&text(&split.shares[0])).unwrap()];
    assert!(matches!(other.shares[1].judge(&both, &begun), Err(Wrong::OtherSet { .. })));
}
