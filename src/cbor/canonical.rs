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

/// Copies the first item of `input` and gives what is behind it.
fn item<'a>(input: &'a [u8], out: &mut Vec<u8>, depth: u8) -> Option<&'a [u8]> {
    let depth = depth.checked_sub(1)?;
    let [first, ..] = input else { return None };
    if matches!(first, 0xf4..=0xf6) {
        out.push(*first);
        return input.get(1..);
    }
    let (argument, head) = argument(input)?;
    let octets = match first >> 5 {
        2 | 3 => usize::try_from(argument).ok()?,
        0 | 1 | 4 | 5 => 0,
        _ => return None,
    };
    let (copied, mut rest) = input.split_at_checked(head.checked_add(octets)?)?;
    out.extend_from_slice(copied);
    match first >> 5 {
        4 => {
            for _ in 0..argument {
                rest = item(rest, out, depth)?;
            }
        }
        5 => rest = pairs(rest, argument, out, depth)?,
        _ => {}
    }
    Some(rest)
}

fn pairs<'a>(mut rest: &'a [u8], count: u64, out: &mut Vec<u8>, depth: u8) -> Option<&'a [u8]> {
    let start = out.len();
    let mut places = Vec::new();
    for _ in 0..count {
        let key = out.len() - start;
        rest = item(rest, out, depth)?;
        let value = out.len() - start;
        rest = item(rest, out, depth)?;
        places.push((key, value, out.len() - start));
    }
    let written = out.split_off(start);
    places.sort_by(|a, b| written.get(a.0..a.1).cmp(&written.get(b.0..b.1)));
    let mut last = None;
    for (key, value, end) in places {
        let this = written.get(key..value);
        if last.replace(this) == Some(this) {
            return None;
        }
        out.extend_from_slice(written.get(key..end)?);
    }
    Some(rest)
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
