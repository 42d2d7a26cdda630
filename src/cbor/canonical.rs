//! The keys of every map in their order, on the encoded octets.
//!
//! An entry of the log is encoded once when it is appended and once whenever it is decoded, so this is on every road. It
//! knows what our types are made of: integers, strings, arrays, maps, booleans, null, all in their shortest form.

/// How deep values may lie in one another.
const DEPTH: u8 = 32;

/// The deterministic encoding (RFC 8949 §4.2.1) of one encoded value; `None` where something else stands in it, or a key
/// stands twice.
pub(super) fn canonical(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(encoded.len());
    item(encoded, &mut out, DEPTH)?.is_empty().then_some(out)
}

/// Copies the first item of `input` and gives what is behind it. Each octet is copied once, however deep it lies.
fn item<'a>(input: &'a [u8], out: &mut Vec<u8>, depth: u8) -> Option<&'a [u8]> {
    let depth = depth.checked_sub(1)?;
    let (head, items, rest) = head(input)?;
    out.extend_from_slice(head);
    match head.first()? >> 5 {
        5 => pairs(rest, items / 2, out, depth),
        _ => (0..items).try_fold(rest, |rest, _| item(rest, out, depth)),
    }
}

fn pairs<'a>(input: &'a [u8], count: u64, out: &mut Vec<u8>, depth: u8) -> Option<&'a [u8]> {
    let mut rest = input;
    let mut places = Vec::new();
    for _ in 0..count {
        let (key, inside, value) = head(rest)?;
        // No type of ours has arrays or maps for keys.
        if inside > 0 {
            return None;
        }
        rest = behind(value, depth)?;
        places.push((key, value));
    }
    places.sort_by_key(|(key, _)| *key);
    let mut last = None;
    for (key, value) in places {
        if last.replace(key) == Some(key) {
            return None;
        }
        out.extend_from_slice(key);
        item(value, out, depth)?;
    }
    Some(rest)
}

/// What is behind the first item of `input`.
fn behind(input: &[u8], depth: u8) -> Option<&[u8]> {
    let depth = depth.checked_sub(1)?;
    let (_, items, rest) = head(input)?;
    (0..items).try_fold(rest, |rest, _| behind(rest, depth))
}

/// What the first item of `input` begins with, or all of it where no items stand in it; how many stand in it; and what is
/// behind.
fn head(input: &[u8]) -> Option<(&[u8], u64, &[u8])> {
    let [first, ..] = input else { return None };
    if matches!(first, 0xf4..=0xf6) {
        let (simple, rest) = input.split_at_checked(1)?;
        return Some((simple, 0, rest));
    }
    let (argument, head) = argument(input)?;
    let (octets, items) = match first >> 5 {
        0 | 1 => (0, 0),
        2 | 3 => (usize::try_from(argument).ok()?, 0),
        4 => (0, argument),
        5 => (0, argument.checked_mul(2)?),
        _ => return None,
    };
    let (taken, rest) = input.split_at_checked(head.checked_add(octets)?)?;
    Some((taken, items, rest))
}

/// The argument of the first item, in its shortest form, and the length of its head.
fn argument(input: &[u8]) -> Option<(u64, usize)> {
    let (first, rest) = input.split_first()?;
    let (width, least) = match first & 0x1f {
        short @ 0..=23 => return Some((u64::from(short), 1)),
        24 => (1, 24),
        25 => (2, 0x100),
        26 => (4, 0x1_0000),
        27 => (8, 0x1_0000_0000),
        _ => return None,
    };
    let argument = rest.get(..width)?.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet));
    (argument >= least).then_some((argument, 1 + width))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;
    use serde_cbor::Value;

    use super::super::Bytes;
    use super::*;

    #[derive(Serialize)]
    struct Sample {
        zebra: Option<u64>,
        a: Vec<Inner>,
        times: BTreeMap<i64, u64>,
        octets: Bytes,
        yes: bool,
    }

    #[derive(Serialize)]
    enum Inner {
        Nothing,
        Text(String),
        Named { second: i64, first: Bytes },
    }

    #[test]
    fn keys_come_in_the_order_that_a_whole_value_would_have() {
        for length in [0usize, 1, 23, 24, 255, 256, 65_535, 65_536] {
            let inner = vec![
                Inner::Nothing,
                Inner::Text("x".repeat(length)),
                Inner::Named { second: -(length as i64), first: vec![1; length].into() },
            ];
            let times = [(-1, 2), (5, 1 << 40), (length as i64, 7), (-70_000, 0)].into();
            let sample = Sample {
                zebra: (length % 2 == 0).then_some(length as u64),
                a: inner,
                times,
                octets: vec![9; 3].into(),
                yes: true,
            };
            let declared = serde_cbor::to_vec(&sample).unwrap();
            let value: Value = serde_cbor::from_slice(&declared).unwrap();
            let sorted = canonical(&declared).unwrap();
            assert_eq!(sorted, serde_cbor::to_vec(&value).unwrap());
            assert_eq!(canonical(&sorted).unwrap(), sorted);
            assert!((0..declared.len().min(300)).all(|end| canonical(&declared[..end]).is_none()));
        }
    }

    #[test]
    fn what_is_not_known_is_left_to_others() {
        let float = serde_cbor::to_vec(&1.5f64).unwrap();
        let twice = [0xa2, 0x01, 0x01, 0x01, 0x02];
        let deep = [0x81; 40];
        for other in [&float[..], &twice, &deep, &[0x18, 1], &[0xbf, 0xff], &[0xc0, 0x01], &[0xf7], &[1, 1], &[]] {
            assert_eq!(canonical(other), None, "{other:?}");
        }
    }
}
