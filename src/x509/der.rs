//! A strict reader of DER (X.690 §10, §11), the door that every request, certificate and CRL passes first.
//!
//! x509-parser is lenient where a signer must not be: it takes non-minimal integers, ignores bytes after the last field
//! of some structures and cannot tell an explicit FALSE from an absent one. Here one value has one encoding.

/// Nothing lawful of this trade is nested deeper.
const MAX_DEPTH: u32 = 24;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const T61_STRING: u8 = 0x14;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// The identifier octet of a context-specific constructed element.
pub(crate) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// The identifier octet of a context-specific primitive element.
pub(crate) const fn context_primitive(number: u8) -> u8 {
    0x80 | number
}

/// How bytes break the rules of DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerFault {
    #[error("ends in the middle of an element")]
    Truncated,
    #[error("a length is not in its shortest definite form")]
    Length,
    #[error("a tag number above 30 is used")]
    HighTag,
    #[error("there are bytes after the last element")]
    Trailing,
    #[error("an element has tag {found:#04x} where {wanted:#04x} belongs")]
    Unexpected { wanted: u8, found: u8 },
    #[error("an element with tag {wanted:#04x} is missing")]
    Missing { wanted: u8 },
    #[error("a BOOLEAN is neither 00 nor FF")]
    Boolean,
    #[error("a default value is written out")]
    Default,
    #[error("an INTEGER is empty, not minimal, or out of range")]
    Integer,
    #[error("a BIT STRING has wrong unused bits")]
    BitString,
    #[error("an OBJECT IDENTIFIER is malformed")]
    Oid,
    #[error("a time is not in the one form of RFC 5280 section 4.1.2.5")]
    Time,
    #[error("a string holds octets that its type does not allow")]
    Text,
    #[error("a SET is not sorted")]
    SetOrder,
    #[error("a list that must have members is empty")]
    Empty,
    #[error("elements are nested deeper than {MAX_DEPTH}")]
    Depth,
}

/// One element: its identifier octet, its contents, and the whole of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// A reader of the elements inside.
    pub fn inside(&self) -> Reader<'a> {
        Reader { rest: self.content }
    }
}

/// Reads elements one after another.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, whatever it is.
    pub fn next(&mut self) -> Result<Element<'a>, DerFault> {
        let (&tag, after_tag) = self.rest.split_first().ok_or(DerFault::Truncated)?;
        if tag & 0x1f == 0x1f {
            return Err(DerFault::HighTag);
        }
        let (&first, after_length) = after_tag.split_first().ok_or(DerFault::Truncated)?;
        let (length, after_length) = match first {
            0..=0x7f => (usize::from(first), after_length),
            0x81..=0x84 => {
                let octets = usize::from(first & 0x7f);
                let (digits, after) = after_length.split_at_checked(octets).ok_or(DerFault::Truncated)?;
                let length = digits.iter().fold(0u64, |sum, digit| sum << 8 | u64::from(*digit));
                if length < 0x80 || digits.first() == Some(&0) {
                    return Err(DerFault::Length);
                }
                (usize::try_from(length).map_err(|_| DerFault::Truncated)?, after)
            }
            _ => return Err(DerFault::Length),
        };
        let (content, rest) = after_length.split_at_checked(length).ok_or(DerFault::Truncated)?;
        let whole_length = self.rest.len() - rest.len();
        let whole = self.rest.get(..whole_length).ok_or(DerFault::Truncated)?;
        self.rest = rest;
        Ok(Element { tag, content, whole })
    }

    /// The next element, which must have this tag.
    pub fn expect(&mut self, wanted: u8) -> Result<Element<'a>, DerFault> {
        if self.is_empty() {
            return Err(DerFault::Missing { wanted });
        }
        let element = self.next()?;
        if element.tag != wanted {
            return Err(DerFault::Unexpected { wanted, found: element.tag });
        }
        Ok(element)
    }

    /// The next element if it has this tag.
    pub fn optional(&mut self, wanted: u8) -> Result<Option<Element<'a>>, DerFault> {
        if self.rest.first() == Some(&wanted) { self.next().map(Some) } else { Ok(None) }
    }

    /// Nothing may follow.
    pub fn end(&self) -> Result<(), DerFault> {
        if self.is_empty() { Ok(()) } else { Err(DerFault::Trailing) }
    }
}

/// Reads exactly one element of this tag and nothing after it.
pub(crate) fn only(bytes: &[u8], wanted: u8) -> Result<Element<'_>, DerFault> {
    let mut reader = Reader::new(bytes);
    let element = reader.expect(wanted)?;
    reader.end()?;
    Ok(element)
}

/// Walks one whole element and everything inside it that is not opaque (OCTET STRING, primitive context tags), and refuses
/// whatever is not the one DER encoding of its value.
pub(crate) fn canonical(bytes: &[u8]) -> Result<(), DerFault> {
    let mut reader = Reader::new(bytes);
    let element = reader.next()?;
    reader.end()?;
    walk(&element, 0)
}

fn walk(element: &Element<'_>, depth: u32) -> Result<(), DerFault> {
    if depth > MAX_DEPTH {
        return Err(DerFault::Depth);
    }
    match element.tag {
        BOOLEAN => boolean(element).map(|_| ()),
        INTEGER | ENUMERATED => minimal(element.content),
        BIT_STRING => bits(element).map(|_| ()),
        OID => oid(element).map(|_| ()),
        0x05 if !element.content.is_empty() => Err(DerFault::Length),
        UTF8_STRING => std::str::from_utf8(element.content).map(|_| ()).map_err(|_| DerFault::Text),
        IA5_STRING if !element.content.is_ascii() => Err(DerFault::Text),
        UTC_TIME | GENERALIZED_TIME => time(element).map(|_| ()),
        // SEQUENCE and SET are always constructed; strings are never (X.690 §10.2).
        0x10 | 0x11 => Err(DerFault::Unexpected { wanted: element.tag | 0x20, found: element.tag }),
        SEQUENCE | SET | 0xa0..=0xbf => {
            let mut reader = element.inside();
            let mut before: &[u8] = &[];
            while !reader.is_empty() {
                let inner = reader.next()?;
                if element.tag == SET && inner.whole < before {
                    return Err(DerFault::SetOrder);
                }
                before = inner.whole;
                walk(&inner, depth + 1)?;
            }
            Ok(())
        }
        0x20..=0x3f => Err(DerFault::Unexpected { wanted: element.tag & !0x20, found: element.tag }),
        _ => Ok(()),
    }
}

fn minimal(content: &[u8]) -> Result<(), DerFault> {
    match content {
        [] => Err(DerFault::Integer),
        [0, second, ..] if *second < 0x80 => Err(DerFault::Integer),
        [0xff, second, ..] if *second >= 0x80 => Err(DerFault::Integer),
        _ => Ok(()),
    }
}

pub(crate) fn boolean(element: &Element<'_>) -> Result<bool, DerFault> {
    match element.content {
        [0x00] => Ok(false),
        [0xff] => Ok(true),
        _ => Err(DerFault::Boolean),
    }
}

/// The contents of a minimal INTEGER that is not negative.
pub(crate) fn unsigned<'a>(element: &Element<'a>) -> Result<&'a [u8], DerFault> {
    minimal(element.content)?;
    match element.content.first() {
        Some(first) if *first < 0x80 => Ok(element.content),
        _ => Err(DerFault::Integer),
    }
}

/// An INTEGER that is not negative and fits 64 bits.
pub(crate) fn unsigned_64(element: &Element<'_>) -> Result<u64, DerFault> {
    let content = unsigned(element)?;
    if content.len() > 9 || (content.len() == 9 && content.first() != Some(&0)) {
        return Err(DerFault::Integer);
    }
    Ok(content.iter().fold(0u64, |sum, octet| sum << 8 | u64::from(*octet)))
}

/// The unused bits and the octets of a BIT STRING.
pub(crate) fn bits<'a>(element: &Element<'a>) -> Result<(u8, &'a [u8]), DerFault> {
    let (&unused, octets) = element.content.split_first().ok_or(DerFault::BitString)?;
    let padding = match octets.last() {
        Some(last) if unused < 8 => last & ((1u8 << unused) - 1),
        None if unused == 0 => 0,
        _ => return Err(DerFault::BitString),
    };
    if padding != 0 { Err(DerFault::BitString) } else { Ok((unused, octets)) }
}

/// The octets of a BIT STRING without unused bits.
pub(crate) fn whole_bits<'a>(element: &Element<'a>) -> Result<&'a [u8], DerFault> {
    match bits(element)? {
        (0, octets) => Ok(octets),
        _ => Err(DerFault::BitString),
    }
}

/// An OBJECT IDENTIFIER in dotted decimal.
pub(crate) fn oid(element: &Element<'_>) -> Result<String, DerFault> {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc: Option<u64> = None;
    for octet in element.content {
        let so_far = match arc {
            None if *octet == 0x80 => return Err(DerFault::Oid),
            None => 0,
            Some(value) => value,
        };
        if so_far > u64::MAX >> 7 {
            return Err(DerFault::Oid);
        }
        let value = so_far << 7 | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            if arcs.is_empty() {
                let top = (value / 40).min(2);
                arcs.extend([top, value - 40 * top]);
            } else {
                arcs.push(value);
            }
            arc = None;
        } else {
            arc = Some(value);
        }
    }
    if arcs.is_empty() || arc.is_some() || arcs.len() > 32 {
        return Err(DerFault::Oid);
    }
    Ok(arcs.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
}

/// A Time as RFC 5280 §4.1.2.5 wants it (seconds, `Z`, no fractions), in seconds since the epoch.
pub(crate) fn time(element: &Element<'_>) -> Result<i64, DerFault> {
    let digits = element.content.strip_suffix(b"Z").ok_or(DerFault::Time)?;
    let years = match element.tag {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        found => return Err(DerFault::Unexpected { wanted: UTC_TIME, found }),
    };
    if digits.len() != years + 10 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DerFault::Time);
    }
    let number = |from: usize, to: usize| -> Result<u8, DerFault> {
        let part = digits.get(from..to).ok_or(DerFault::Time)?;
        Ok(part.iter().fold(0u8, |sum, digit| sum * 10 + (digit - b'0')))
    };
    let year = match years {
        2 => match i32::from(number(0, 2)?) {
            year @ 50.. => 1900 + year,
            year => 2000 + year,
        },
        _ => i32::from(number(0, 2)?) * 100 + i32::from(number(2, 4)?),
    };
    let at = |part: usize| number(years + 2 * part, years + 2 * part + 2);
    let month = time::Month::try_from(at(0)?).map_err(|_| DerFault::Time)?;
    let date = time::Date::from_calendar_date(year, month, at(1)?).map_err(|_| DerFault::Time)?;
    let clock = time::Time::from_hms(at(2)?, at(3)?, at(4)?).map_err(|_| DerFault::Time)?;
    Ok(time::PrimitiveDateTime::new(date, clock).assume_utc().unix_timestamp())
}

/// A Time of a certificate or CRL: UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5).
pub(crate) fn profile_time(element: &Element<'_>) -> Result<i64, DerFault> {
    const FROM_2050: i64 = 2_524_608_000;
    let seconds = time(element)?;
    if (element.tag == GENERALIZED_TIME) != (seconds >= FROM_2050) {
        return Err(DerFault::Time);
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_encoding() {
        for (bad, fault) in [
            (&b"\x30\x81\x02\x05\x00"[..], DerFault::Length),
            (b"\x30\x80\x05\x00\x00\x00", DerFault::Length),
            (b"\x30\x02\x05\x00\x00", DerFault::Trailing),
            (b"\x30\x03\x05\x00", DerFault::Truncated),
            (b"\x02\x02\x00\x01", DerFault::Integer),
            (b"\x02\x02\xff\x80", DerFault::Integer),
            (b"\x02\x00", DerFault::Integer),
            (b"\x01\x01\x01", DerFault::Boolean),
            (b"\x03\x02\x01\x01", DerFault::BitString),
            (b"\x03\x01\x01", DerFault::BitString),
            (b"\x06\x02\x80\x01", DerFault::Oid),
            (b"\x06\x02\x2a\x86", DerFault::Oid),
            (b"\x1f\x20\x00", DerFault::HighTag),
            (b"\x31\x06\x02\x01\x02\x02\x01\x01", DerFault::SetOrder),
            (b"\x0c\x01\xff", DerFault::Text),
            (b"\x16\x01\x80", DerFault::Text),
            (b"\x17\x0b2611220102Z", DerFault::Time),
            (b"\x2c\x03\x0c\x01a", DerFault::Unexpected { wanted: 0x0c, found: 0x2c }),
        ] {
            assert_eq!(canonical(bad), Err(fault), "{bad:02x?}");
        }
        let mut deep = vec![0x05, 0x00];
        for _ in 0..40 {
            deep.splice(0..0, [SEQUENCE, u8::try_from(deep.len()).unwrap()]);
        }
        assert_eq!(canonical(&deep), Err(DerFault::Depth));
        assert_eq!(canonical(b"\x31\x06\x02\x01\x01\x02\x01\x02"), Ok(()));
    }

    #[test]
    fn identifiers_and_times_are_read() {
        assert_eq!(oid(&only(b"\x06\x03\x55\x1d\x11", OID).unwrap()), Ok("2.5.29.17".into()));
        assert_eq!(oid(&only(b"\x06\x03\x88\x37\x03", OID).unwrap()), Ok("2.999.3".into()));
        let utc = only(b"\x17\x0d261122000000Z", UTC_TIME).unwrap();
        assert_eq!(profile_time(&utc), Ok(1_795_305_600));
        let early = only(b"\x18\x0f20261122000000Z", GENERALIZED_TIME).unwrap();
        assert_eq!(time(&early), Ok(1_795_305_600));
        assert_eq!(profile_time(&early), Err(DerFault::Time));
        let end = only(b"\x18\x0f99991231235959Z", GENERALIZED_TIME).unwrap();
        assert_eq!(profile_time(&end), Ok(253_402_300_799));
    }
}
