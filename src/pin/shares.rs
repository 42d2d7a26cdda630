//! A PIN in shares: Shamir's scheme over GF(256), each share 24 words with a check of its own.
//!
//! ```text
//! set        3 octets   the same in all shares of one PIN
//! number     1          from 1
//! threshold  1          so many shares make the PIN
//! value     16          the polynomial at `number`, for each octet of the secret
//! check      3          of SHA-256 over what stands before
//! ```
//! The check is long enough to find the one word that is wrong: of the 6,120 shares that differ in one word, one in 2,700 of
//! mistakes has another that fits by chance. A share is known by its digest. That says nothing of the PIN: the value has 128
//! bits that nobody can guess, and all but one of the shares that are needed say nothing about it.

use data_encoding::BASE32_NOPAD;
use rand_core::{Infallible, TryCryptoRng, TryRng};
use serde::{Deserialize, Serialize};
use vsss_rs::Gf256;
use zeroize::{Zeroize, Zeroizing};

use crate::cbor::Bytes;
use crate::digest::{Digest, Hasher};
use crate::secret::Secret;
use crate::text::{escape, hex, words};

/// Words of a share, and its octets.
pub const WORDS: usize = 24;
const SET: usize = 3;
const HEAD: usize = SET + 2;
const BODY: usize = HEAD + SECRET;
/// Octets of what is split: 128 bits.
const SECRET: usize = 16;
/// Characters of the PIN: Base32 (RFC 4648) without padding, which every token takes that takes letters.
pub const PIN: usize = 26;
/// So many custodians fit a room, and an entry of the log.
pub const MOST: u8 = 16;

/// One share. Not `Clone`, not `Debug`: it is a secret.
pub struct Share(Secret);

/// What the log says of the shares of one PIN. From the parent, so a claim: it can only cause a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KnownSet {
    pub set: Bytes,
    pub threshold: u8,
    /// By number, from 1.
    pub shares: Vec<KnownShare>,
    /// The token has taken the PIN; otherwise nobody knows whether it has.
    pub confirmed: bool,
}

/// Whose share it is, and what it is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KnownShare {
    pub custodian: Option<String>,
    pub digest: Digest,
}

/// Why words are no share.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    #[error("word {0} is not in the list")]
    NoWord(usize),
    #[error("word {0} does not fit the others: it is mistyped")]
    Misfit(usize),
    #[error("more than one word is mistyped, or the order is wrong")]
    Misfits,
    #[error("a share has {WORDS} words, not {0}")]
    Count(usize),
}

/// Why a share is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("this is share {number} of set {}, and the PIN is in set {}", hex(set), hex(wanted))]
    OtherSet { number: u8, set: Vec<u8>, wanted: Vec<u8> },
    #[error("{} was typed already", called(*number, custodian))]
    Doubled { number: u8, custodian: Option<String> },
    #[error("{} is not the one on record", called(*number, custodian))]
    NotOnRecord { number: u8, custodian: Option<String> },
}

/// `share 2 (carol)`.
pub fn called(number: u8, custodian: &Option<String>) -> String {
    match custodian {
        Some(custodian) => format!("share {number} ({})", escape(custodian)),
        None => format!("share {number}"),
    }
}

impl Share {
    fn octets(&self, range: std::ops::Range<usize>) -> &[u8] {
        // A share has WORDS octets, and every range is within.
        self.0.expose().get(range).unwrap_or_default()
    }

    fn octet(&self, place: usize) -> u8 {
        self.0.expose().get(place).copied().unwrap_or_default()
    }

    pub fn set(&self) -> &[u8] {
        self.octets(0..SET)
    }

    pub fn number(&self) -> u8 {
        self.octet(SET)
    }

    pub fn threshold(&self) -> u8 {
        self.octet(SET + 1)
    }

    /// What the log knows it by.
    pub fn digest(&self) -> Digest {
        digest(b"coldroot share v0", self.0.expose())
    }

    /// The words, in their order.
    pub fn words(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.expose().iter().enumerate().map(|(place, octet)| words::word(place, *octet))
    }

    fn new(set: &[u8], threshold: u8, number: u8, value: &[u8]) -> Share {
        let mut octets = Vec::with_capacity(WORDS);
        octets.extend_from_slice(set);
        octets.extend([number, threshold]);
        octets.extend_from_slice(value);
        octets.extend(check(&octets));
        Share(Secret::new(octets))
    }

    /// Judges it against what is on record, and against what was typed before. `at_first`: the sets that may begin.
    pub fn judge<'k>(&self, at_first: &'k [KnownSet], before: &[Share]) -> Result<&'k KnownSet, Wrong> {
        let number = self.number();
        let wanted = match before.first() {
            Some(first) => at_first.iter().find(|known| known.set == first.set()),
            // What the token has taken for certain comes before what it may have taken.
            None => at_first.iter().find(|known| known.set == self.set()).or(at_first.first()),
        };
        let other = |wanted: &[u8]| Wrong::OtherSet { number, set: self.set().into(), wanted: wanted.into() };
        let known = wanted.ok_or_else(|| other(&[]))?;
        if known.set != self.set() {
            return Err(other(&known.set));
        }
        let on_record = known.shares.get(usize::from(number).wrapping_sub(1));
        let custodian = on_record.and_then(|share| share.custodian.clone());
        if before.iter().any(|share| share.number() == number) {
            return Err(Wrong::Doubled { number, custodian });
        }
        match on_record.is_some_and(|share| share.digest == self.digest()) && known.threshold == self.threshold() {
            true => Ok(known),
            false => Err(Wrong::NotOnRecord { number, custodian }),
        }
    }
}

/// Words as they are typed, each of them an octet at once.
#[derive(Default)]
pub struct Typed(Zeroizing<Vec<u8>>);

impl Typed {
    pub fn new() -> Typed {
        Typed(Zeroizing::new(Vec::with_capacity(WORDS)))
    }

    /// How many words there are so far.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Takes the next words, all of them or none.
    pub fn add(&mut self, line: &str) -> Result<(), Mistake> {
        let before = self.0.len();
        let total = before + line.split_ascii_whitespace().count();
        if total > WORDS {
            return Err(Mistake::Count(total));
        }
        for (place, word) in (before..).zip(line.split_ascii_whitespace()) {
            match words::octet(place, word) {
                Some(octet) => self.0.push(octet),
                None => {
                    self.0.truncate(before);
                    return Err(Mistake::NoWord(place + 1));
                }
            }
        }
        Ok(())
    }

    /// Another word in the place of one, counted from 1.
    pub fn replace(&mut self, position: usize, word: &str) -> Result<(), Mistake> {
        let place = position.wrapping_sub(1);
        match (words::octet(place, word.trim()), self.0.get_mut(place)) {
            (Some(octet), Some(held)) => {
                *held = octet;
                Ok(())
            }
            _ => Err(Mistake::NoWord(position)),
        }
    }

    /// The share, if its check fits.
    pub fn share(&self) -> Result<Share, Mistake> {
        if self.0.len() != WORDS {
            return Err(Mistake::Count(self.0.len()));
        }
        let mut octets = Vec::with_capacity(WORDS);
        octets.extend_from_slice(&self.0);
        let mut octets = Zeroizing::new(octets);
        if fits(&octets) {
            return Ok(Share(Secret::new(std::mem::take(&mut *octets))));
        }
        let mut misfit = None;
        for place in 0..WORDS {
            // Another word in this place, and everything would fit.
            let Some(typed) = octets.get(place).copied() else { break };
            let mended = (0..=u8::MAX).any(|octet| {
                octets.get_mut(place).is_some_and(|held| {
                    *held = octet;
                    true
                }) && fits(&octets)
            });
            octets.get_mut(place).into_iter().for_each(|held| *held = typed);
            match (mended, misfit) {
                (true, None) => misfit = Some(place + 1),
                (true, Some(_)) => return Err(Mistake::Misfits),
                (false, _) => {}
            }
        }
        Err(misfit.map_or(Mistake::Misfits, Mistake::Misfit))
    }
}

fn fits(octets: &[u8]) -> bool {
    octets.split_at_checked(BODY).is_some_and(|(body, rest)| check(body) == rest)
}

fn check(body: &[u8]) -> [u8; WORDS - BODY] {
    let Digest([a, b, c, ..]) = digest(b"coldroot share check v0", body);
    [a, b, c]
}

fn digest(domain: &[u8], octets: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(domain);
    hasher.update(octets);
    hasher.finish()
}

/// A new PIN in shares, none of them shown yet.
pub struct Split {
    pub set: Vec<u8>,
    pub threshold: u8,
    pub shares: Vec<Share>,
}

impl Split {
    /// Draws a secret and splits it. `token` and `system` are 32 random octets each: neither source is trusted alone. `None`:
    /// the parameters make no sense, or the shares do not join again.
    pub fn draw(token: &[u8], system: &[u8], shares: u8, threshold: u8) -> Option<Split> {
        if threshold < 2 || threshold > shares || shares > MOST {
            return None;
        }
        let mut draw = Draw::new(token, system);
        let mut secret = Zeroizing::new(vec![0; SECRET]);
        let Ok(()) = draw.try_fill_bytes(&mut secret);
        let mut set = vec![0; SET];
        let Ok(()) = draw.try_fill_bytes(&mut set);
        let values = Gf256::split_bytes(threshold.into(), shares.into(), secret.as_slice(), &mut draw).ok()?;
        let made: Vec<Share> = values
            .into_iter()
            .map(Zeroizing::new)
            .filter_map(|value| {
                let (number, value) = value.split_first()?;
                Some(Share::new(&set, threshold, *number, value))
            })
            .collect();
        // Any of them must make the secret again; the first and the last ones are all of them between them, or overlap.
        let needed = usize::from(threshold);
        let same = |some: &[Share]| joined(some).is_some_and(|joined| *joined == *secret);
        let (first, last) = (made.get(..needed)?, made.get(made.len().checked_sub(needed)?..)?);
        (made.len() == usize::from(shares) && same(first) && same(last)).then_some(Split {
            set,
            threshold,
            shares: made,
        })
    }
}

/// The PIN of as many shares as it needs, which were judged.
pub fn pin(shares: &[Share]) -> Option<Secret> {
    let needed = usize::from(shares.first()?.threshold());
    let secret = joined(shares.get(..needed)?)?;
    let mut pin = vec![0; PIN];
    BASE32_NOPAD.encode_mut(&secret, &mut pin);
    Some(Secret::new(pin))
}

fn joined(shares: &[Share]) -> Option<Zeroizing<Vec<u8>>> {
    let point = |share: &Share| {
        let mut point = Vec::with_capacity(1 + SECRET);
        point.push(share.number());
        point.extend_from_slice(share.octets(HEAD..BODY));
        point
    };
    let mut points: Vec<Vec<u8>> = shares.iter().map(point).collect();
    let secret = Gf256::combine_bytes(&points).ok().map(Zeroizing::new);
    points.iter_mut().for_each(Zeroize::zeroize);
    secret.filter(|secret| secret.len() == SECRET)
}

/// Random octets from two sources: HMAC-SHA-256 over a counter.
struct Draw {
    key: aws_lc_rs::hmac::Key,
    count: u64,
}

impl Draw {
    fn new(token: &[u8], system: &[u8]) -> Draw {
        let mut hasher = Hasher::default();
        hasher.update(b"coldroot PIN split v0");
        hasher.update(token);
        hasher.update(system);
        let mut seed = hasher.finish();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &seed.0);
        seed.0.zeroize();
        Draw { key, count: 0 }
    }
}

impl TryRng for Draw {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut octets = [0; 4];
        self.try_fill_bytes(&mut octets)?;
        Ok(u32::from_le_bytes(octets))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut octets = [0; 8];
        self.try_fill_bytes(&mut octets)?;
        Ok(u64::from_le_bytes(octets))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for part in to.chunks_mut(32) {
            self.count += 1;
            let tag = aws_lc_rs::hmac::sign(&self.key, &self.count.to_be_bytes());
            part.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }
}

impl TryCryptoRng for Draw {}

#[cfg(test)]
mod tests;
