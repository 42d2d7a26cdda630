//! What makes an RSA modulus no secret, as far as it is seen from the modulus alone. Nothing here refuses a key that was drawn at
//! random: each test either finds a factor, or sees what chance shows once in more than 2^60 keys.

use std::sync::LazyLock;

use dashu_int::UBig;
use dashu_int::fast_div::ConstDivisor;
use dashu_int::ops::{BitTest, Gcd, SquareRoot};

/// Why a well-formed RSA key is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    #[error("its modulus is divisible by {0}")]
    SmallFactor(u32),
    #[error("it was made by the flawed generator known as ROCA (CVE-2017-15361)")]
    Roca,
    #[error("its two primes lie so close together that Fermat's method finds them")]
    ClosePrimes,
    #[error("its modulus is a prime or a power of one, no product of two")]
    OnePrime,
    #[error("an octet stands 16 times in a row in its modulus")]
    Repetition,
    #[error("{0} of its modulus's {1} bits are set: it was not drawn at random")]
    Biased(u32, u32),
    #[error("its modulus is a program for the backdoor in xz (CVE-2024-3094), no key")]
    XzPayload,
}

/// Factors below this are looked for; the Baseline Requirements (6.1.6) ask for 752.
const SMALL: u32 = 1 << 16;

/// The product of the odd primes below [`SMALL`], 94,000 bits: one remainder and one gcd spare 6,541 divisions.
static PRIMORIAL: LazyLock<UBig> = LazyLock::new(|| {
    let mut factors: Vec<UBig> = odd_primes(SMALL).map(UBig::from).collect();
    while factors.len() > 1 {
        factors = factors.chunks(2).map(|pair| pair.iter().product()).collect();
    }
    factors.pop().unwrap_or(UBig::ONE)
});

fn odd_primes(below: u32) -> impl Iterator<Item = u32> {
    (3..below).step_by(2).filter(|n| (3..*n).step_by(2).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}

/// `modulus`: big-endian, odd, without leading zeros.
pub(super) fn weakness(modulus: &[u8]) -> Option<Weakness> {
    let n = UBig::from_be_bytes(modulus);
    // The cheap ones first: the last costs milliseconds.
    small_factor(&n)
        .or_else(|| repetition(modulus))
        .or_else(|| xz_payload(modulus))
        .or_else(|| biased(modulus))
        .or_else(|| roca(&n))
        .or_else(|| close_primes(&n))
        .or_else(|| one_prime(&n))
}

fn small_factor(n: &UBig) -> Option<Weakness> {
    let common = (&*PRIMORIAL % n).gcd(n);
    match common == UBig::ONE {
        true => None,
        false => odd_primes(SMALL).find(|p| &common % *p == 0).map(Weakness::SmallFactor),
    }
}

/// A modulus drawn at random shows this once in 2^112.
fn repetition(modulus: &[u8]) -> Option<Weakness> {
    let same = |run: &[u8]| run.iter().all(|octet| Some(octet) == run.first());
    modulus.windows(16).any(same).then_some(Weakness::Repetition)
}

/// The condition by which the backdoor knows its own: a·b + c ≤ 3 modulo 2^64, of the first 16 octets as they are encoded.
/// Chance: once in 2^62.
fn xz_payload(modulus: &[u8]) -> Option<Weakness> {
    let zero = modulus.first().filter(|first| **first >= 0x80).map(|_| 0);
    let mut octets = zero.into_iter().chain(modulus.iter().copied());
    let mut number = |length: usize| {
        let part: Vec<u8> = octets.by_ref().take(length).collect();
        part.iter().rev().fold(0u64, |sum, octet| sum << 8 | u64::from(*octet))
    };
    let (a, b, c) = (number(4), number(4), number(8));
    (a.wrapping_mul(b).wrapping_add(c) <= 3).then_some(Weakness::XzPayload)
}

/// Zeros or ones in excess by a fifth of the bits: for 1,024 bits more than 6 standard deviations on a side, for 2,048, the
/// least that a profile takes, more than 9. Primes that are polynomials of few terms (CompleteFTP, CVE-2022-2560) give
/// such a modulus, and so does a text that somebody wants to read in his.
fn biased(modulus: &[u8]) -> Option<Weakness> {
    let set: u32 = modulus.iter().map(|octet| octet.count_ones()).sum();
    let leading = modulus.first().map_or(0, |first| first.leading_zeros());
    let bits = u32::try_from(modulus.len()).unwrap_or(u32::MAX / 8) * 8 - leading;
    (bits >= 1024 && (2 * set).abs_diff(bits) * 5 > bits).then_some(Weakness::Biased(set, bits))
}

/// Moduli of the flawed library are powers of 65537 modulo the product of the primes up to 167 (Nemec et al., CCS 2017, §3.3).
fn roca(n: &UBig) -> Option<Weakness> {
    // The fast filter: a power modulo each of the primes. One good modulus in 2^27 passes it.
    let is_power = |prime: u32| {
        let (residue, mut power) = (n % prime, 1);
        (0..prime).any(|_| {
            power = power * (65537 % prime) % prime;
            power == residue
        })
    };
    if !odd_primes(168).all(is_power) {
        return None;
    }
    // Then the discrete logarithm: the group's order is smooth, so it is looked for in each of its parts.
    const PARTS: [u32; 13] = [16, 81, 25, 7, 11, 13, 17, 23, 29, 37, 41, 53, 83];
    let order: UBig = PARTS.iter().map(|part| UBig::from(*part)).product();
    let primes = ConstDivisor::new(odd_primes(168).map(UBig::from).product::<UBig>());
    let (generator, element) = (primes.reduce(65537u32), primes.reduce(n.clone()));
    let in_group = element.pow(&order).residue() == UBig::ONE
        && PARTS.iter().all(|part| {
            let rest = &order / UBig::from(*part);
            let (step, wanted) = (generator.pow(&rest), element.pow(&rest));
            let mut power = primes.reduce(1u32);
            (0..*part).any(|_| {
                power = &power * &step;
                power == wanted
            })
        });
    in_group.then_some(Weakness::Roca)
}

/// Steps of Fermat's method: primes chosen at random need some 2^500 of them, the faulty generators seen in the wild
/// (CVE-2022-26320) fewer than a hundred.
const FERMAT_STEPS: u64 = 10_000;

fn close_primes(n: &UBig) -> Option<Weakness> {
    // Most numbers are no squares modulo one of these: it spares nearly all square roots, and a step is an addition.
    const SIEVE: [u64; 9] = [64, 63, 65, 11, 17, 19, 23, 29, 31];
    let is_square = |rest: u64, modulus: u64| (0..modulus).any(|root| root * root % modulus == rest);
    let squares = SIEVE.map(|m| (0..m).filter(|rest| is_square(*rest, m)).fold(0u128, |set, rest| set | 1 << rest));
    let product: u64 = SIEVE.iter().product();
    let residue = |number: &UBig| number % product;
    // The root itself for a square; the next number if n is none.
    let root = n.sqrt();
    let first = if &root * &root == *n { root } else { root + 1u8 };
    let (mut a, mut rest) = (residue(&first), residue(&(&first * &first - n)));
    for step in 0..FERMAT_STEPS {
        if SIEVE.iter().zip(squares).all(|(m, set)| set >> (rest % m) & 1 == 1) {
            let a = &first + step;
            let rest = &a * &a - n;
            let root = rest.sqrt();
            if &root * &root == rest {
                return Some(Weakness::ClosePrimes);
            }
        }
        // (a + 1)² − n = a² − n + 2a + 1; the product of the moduli has 41 bits.
        rest = (rest + 2 * a + 1) % product;
        a = (a + 1) % product;
    }
    None
}

/// Fermat's little theorem: 2^n is 2 modulo every prime of which n is itself, or a power. In a product of two primes drawn at
/// random the gcd is 1, and where it is not, it is a factor.
fn one_prime(n: &UBig) -> Option<Weakness> {
    if n.bit_len() < 3 {
        return Some(Weakness::OnePrime);
    }
    let power = ConstDivisor::new(n.clone()).reduce(2u8).pow(n).residue();
    // Below n, so this is 2^n − 2 without a sign.
    let rest = (power + n - UBig::from(2u8)) % n;
    (rest.gcd(n) != UBig::ONE).then_some(Weakness::OnePrime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn number(text: &str) -> UBig {
        UBig::from_str_radix(text, 10).unwrap()
    }

    fn judge(n: &UBig) -> Option<Weakness> {
        weakness(&n.to_be_bytes())
    }

    fn mersenne(exponent: usize) -> UBig {
        (UBig::ONE << exponent) - UBig::ONE
    }

    /// Two primes far apart: 2^127 - 1 is one, and so is the other, which has no pattern.
    fn good() -> UBig {
        mersenne(127) * number("100000000000000000039")
    }

    #[test]
    fn a_good_modulus_shows_no_weakness() {
        assert_eq!(judge(&good()), None);
    }

    #[test]
    fn small_factors_are_found() {
        assert_eq!(judge(&(good() * 3u32)), Some(Weakness::SmallFactor(3)));
        assert_eq!(judge(&(good() * 65521u32)), Some(Weakness::SmallFactor(65521)));
        // The next prime is none of them.
        assert_eq!(judge(&(good() * 65537u32)), None);
    }

    #[test]
    fn close_primes_and_squares_are_found() {
        let near = number("100000000000000000039") * number("100000000000000000129");
        assert_eq!(judge(&near), Some(Weakness::ClosePrimes));
        let same = number("100000000000000000039") * number("100000000000000000039");
        assert_eq!(judge(&same), Some(Weakness::ClosePrimes));
        // (a - b)(a + b), where a is b²/2a behind the root: 4,096 steps, and 16,384.
        let apart = |bits: usize| {
            let (a, b) = ((UBig::ONE << 667) + 1u8, UBig::ONE << bits);
            &a * &a - &b * &b
        };
        assert_eq!(close_primes(&apart(340)), Some(Weakness::ClosePrimes));
        assert_eq!(close_primes(&apart(341)), None);
    }

    #[test]
    fn primes_and_their_powers_are_found() {
        let prime = mersenne(521);
        assert_eq!(one_prime(&prime), Some(Weakness::OnePrime));
        assert_eq!(one_prime(&prime.pow(3)), Some(Weakness::OnePrime));
        assert_eq!(judge(&number("100000000000000000039").pow(3)), Some(Weakness::OnePrime));
        assert_eq!(one_prime(&UBig::ONE), Some(Weakness::OnePrime));
    }

    #[test]
    fn roca_is_a_power_of_its_generator_and_not_only_modulo_each_prime() {
        assert_eq!(judge(&UBig::from(65537u32).pow(63)), Some(Weakness::Roca));
        // Powers modulo each prime, with exponents of which one is out of step: no power modulo all of them.
        let (mut n, mut modulus) = (UBig::ONE, UBig::ONE);
        for prime in odd_primes(168) {
            let exponent = if prime == 167 { 2 } else { 1 };
            let wanted = UBig::from(65537u64.pow(exponent)) % prime;
            while &n % prime != wanted {
                n += &modulus;
            }
            modulus *= prime;
        }
        assert_eq!(roca(&n), None);
        assert_eq!(roca(&UBig::from(65537u32)), Some(Weakness::Roca));
    }

    #[test]
    fn what_chance_does_not_make_is_found() {
        let mut octets: Vec<u8> = (0..8u8).flat_map(|n| Digest::of(&[n]).0).collect();
        octets[0] |= 0x80;
        assert_eq!((repetition(&octets), biased(&octets), xz_payload(&octets)), (None, None, None));
        let mut run = octets.clone();
        run[100..115].fill(0x41);
        run[99] = 0x40;
        run[115] = 0x42;
        assert_eq!(repetition(&run), None);
        run[115] = 0x41;
        assert_eq!(repetition(&run), Some(Weakness::Repetition));
        let mut sparse = octets.clone();
        sparse.iter_mut().for_each(|octet| *octet &= 0x77);
        sparse[0] |= 0x80;
        assert!(matches!(biased(&sparse), Some(Weakness::Biased(set, 2048)) if set < 820));
        let dense: Vec<u8> = octets.iter().map(|octet| octet | 0x88).collect();
        assert!(matches!(biased(&dense), Some(Weakness::Biased(..))));
        // 2 · 3 − 5 = 1, in little-endian parts of 4, 4 and 8 octets.
        let mut payload = octets;
        payload[..4].copy_from_slice(&2u32.to_le_bytes());
        payload[4..8].copy_from_slice(&3u32.to_le_bytes());
        payload[8..16].copy_from_slice(&(-5i64).to_le_bytes());
        assert_eq!(xz_payload(&payload), Some(Weakness::XzPayload));
        payload[0] = 4;
        assert_eq!(xz_payload(&payload), None);
    }
}
