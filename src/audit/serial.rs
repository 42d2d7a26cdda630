//! Issuer and serial number of a certificate: what makes it one certificate and no other (RFC 5280 §4.1.2.2).
//!
//! A walk over the outer DER only. What the certificate says is the matter of `x509`; here it matters that no number is
//! used twice.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;

/// The issuer Name (whole DER) and the content octets of serialNumber; `None` when the outer structure is not that of a
/// certificate.
pub(super) fn issuer_and_serial(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, trailing) = element(der, SEQUENCE)?;
    let (tbs, _) = element(certificate.content, SEQUENCE)?;
    let rest = element(tbs.content, VERSION).map_or(tbs.content, |(_, rest)| rest);
    let (serial, rest) = element(rest, INTEGER)?;
    let (_signature, rest) = element(rest, SEQUENCE)?;
    let (issuer, _) = element(rest, SEQUENCE)?;
    trailing.is_empty().then_some((issuer.whole, serial.content))
}

struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
}

/// The first element of `input`, if it has this tag, and what follows it. Definite lengths of up to three octets.
fn element(input: &[u8], tag: u8) -> Option<(Element<'_>, &[u8])> {
    let (head, length) = match input {
        [t, short @ 0..=0x7f, ..] if *t == tag => (2, usize::from(*short)),
        [t, 0x81, a, ..] if *t == tag => (3, usize::from(*a)),
        [t, 0x82, a, b, ..] if *t == tag => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        [t, 0x83, a, b, c, ..] if *t == tag => (5, u32::from_be_bytes([0, *a, *b, *c]) as usize),
        _ => return None,
    };
    let (whole, rest) = input.split_at_checked(head + length)?;
    Some((Element { whole, content: whole.get(head..)? }, rest))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The outside of a certificate: version 3, this serial, an issuer and nothing behind it.
    pub(crate) fn shell(issuer: u8, serial: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
        let tbs = [
            wrap(VERSION, &wrap(INTEGER, &[2])),
            wrap(INTEGER, serial),
            wrap(SEQUENCE, &[]),
            wrap(SEQUENCE, &[issuer; 3]),
        ]
        .concat();
        wrap(SEQUENCE, &wrap(SEQUENCE, &tbs))
    }

    #[test]
    fn issuer_and_serial_are_found_and_torn_der_is_refused() {
        let der = shell(7, &[1, 2, 3]);
        assert_eq!(issuer_and_serial(&der), Some((&[0x30, 3, 7, 7, 7][..], &[1, 2, 3][..])));
        for length in 0..der.len() {
            assert_eq!(issuer_and_serial(&der[..length]), None);
        }
        assert_eq!(issuer_and_serial(&[der, vec![0]].concat()), None);
    }
}
