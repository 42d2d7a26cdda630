//! Punycode (RFC 3492), decoding only. Our own: thirty lines of arithmetic, where a crate for IDNA brings the tables of ICU. What it
//! yields is shown escaped and used for nothing else, so no mapping and no validity rule of IDNA is needed.

/// The characters of an A-label without its `xn--`; `None` when it is no Punycode, or encodes nothing beyond ASCII.
pub(super) fn decode(label: &str) -> Option<String> {
    // RFC 3492 §5.
    const INITIAL_N: u32 = 128;
    const INITIAL_BIAS: u32 = 72;
    let (basic, digits) = label.rsplit_once('-').unwrap_or(("", label));
    if !label.is_ascii() || digits.is_empty() {
        return None;
    }
    let mut out: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (INITIAL_N, 0u32, INITIAL_BIAS);
    let mut digits = digits.bytes();
    // One turn for each character that is put in (RFC 3492 §6.2).
    while let Some(first) = digits.next() {
        let (old, mut weight, mut k, mut digit) = (i, 1u32, 36u32, value(first)?);
        loop {
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let threshold = k.saturating_sub(bias).clamp(1, 26);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(36 - threshold)?;
            k += 36;
            digit = value(digits.next()?)?;
        }
        // A label has 63 octets; whoever passes more has a mistake, not a name.
        let length = u32::try_from(out.len()).ok()?.checked_add(1)?;
        bias = adapt(i - old, length, old == 0);
        n = n.checked_add(i / length)?;
        i %= length;
        // Within the text: the remainder of a division by one more than its length.
        out.insert(usize::try_from(i).ok()?, char::from_u32(n)?);
        i += 1;
    }
    Some(out.into_iter().collect())
}

fn value(digit: u8) -> Option<u32> {
    match digit {
        b'a'..=b'z' => Some(u32::from(digit - b'a')),
        b'A'..=b'Z' => Some(u32::from(digit - b'A')),
        b'0'..=b'9' => Some(u32::from(digit - b'0') + 26),
        _ => None,
    }
}

/// RFC 3492 §6.1.
fn adapt(delta: u32, length: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / length;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_rfc_3492_decode() {
        for (label, text) in [
            ("ihqwcrb4cv8a8dqg056pqjye", "\u{4ed6}\u{4eec}\u{4e3a}\u{4ec0}\u{4e48}\u{4e0d}\u{8bf4}\u{4e2d}\u{6587}"),
            (
                "4dbcagdahymbxekheh6e0a7fei0b",
                "\u{5dc}\u{5de}\u{5d4}\u{5d4}\u{5dd}\u{5e4}\u{5e9}\u{5d5}\u{5d8}\u{5dc}\u{5d0}\u{5de}\u{5d3}\u{5d1}\u{5e8}\u{5d9}\u{5dd}\u{5e2}\u{5d1}\u{5e8}\u{5d9}\u{5ea}",
            ),
            (
                "Hello-Another-Way--fc4qua05auwb3674vfr0b",
                "Hello-Another-Way-\u{305d}\u{308c}\u{305e}\u{308c}\u{306e}\u{5834}\u{6240}",
            ),
            ("mller-kva", "m\u{fc}ller"),
            ("80ak6aa92e", "\u{430}\u{440}\u{440}\u{4cf}\u{435}"),
        ] {
            assert_eq!(decode(label).as_deref(), Some(text), "{label}");
        }
    }

    #[test]
    fn what_is_no_punycode_is_told_apart() {
        for bad in ["", "-", "abc-", "99999999", "a_b", "\u{fc}-kva", "abc-\u{fc}"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
