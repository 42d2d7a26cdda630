//! The entry of a certificate, read where it lies.
//!
//! A log of ten million entries is checked at about the speed of its hashing only if most entries are not taken apart and put
//! together again. Nearly all of them are certificates, whose encoding is fixed: this reader knows that one encoding and
//! copies nothing. What it does not know goes to [`super::Entry::decode`]; a test changes entries octet by octet and
//! compares the two.

use crate::digest::Digest;

/// What the order of entries asks of a certificate's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::audit) struct Glance<'a> {
    pub time: i64,
    pub plan: Digest,
    pub item: u64,
    pub der: &'a [u8],
}

/// Reads the deterministic encoding of a certificate's entry; `None` for whatever else it is.
pub(in crate::audit) fn glance(entry: &[u8]) -> Option<Glance<'_>> {
    let mut at = Cursor(entry);
    // {"v": 0, "body": {"certificate": {…}}, "time": …}, the shorter key first.
    at.skip(b"\xa3\x61v\x00\x64body\xa1\x6bcertificate\xa8\x62ca")?;
    at.text()?;
    at.skip(b"\x63der")?;
    let der = at.octets()?;
    at.skip(b"\x64item")?;
    let item = at.head(0x00)?;
    at.skip(b"\x64plan")?;
    let plan = Digest(at.octets()?.try_into().ok()?);
    at.skip(b"\x67profile")?;
    at.text()?;
    at.skip(b"\x67request")?;
    at.unless_null(Cursor::text)?;
    at.skip(b"\x69requester")?;
    at.unless_null(|at| at.octets().filter(|tag| tag.len() == 32).map(drop))?;
    at.skip(b"\x6asubject-ca")?;
    at.unless_null(Cursor::text)?;
    at.skip(b"\x64time")?;
    let time = match at.0 {
        [0x20..=0x3b, ..] => -1 - i64::try_from(at.head(0x20)?).ok()?,
        _ => i64::try_from(at.head(0x00)?).ok()?,
    };
    at.0.is_empty().then_some(Glance { time, plan, item, der })
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn skip(&mut self, known: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(known)?;
        Some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// The argument of an item of this major type, in its shortest form (RFC 8949 §4.2.1).
    fn head(&mut self, major: u8) -> Option<u64> {
        let [first] = self.take(1)? else { return None };
        let (width, least) = match first.checked_sub(major)? {
            short @ 0..=23 => return Some(u64::from(short)),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return None,
        };
        let argument = self.take(width)?.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet));
        (argument >= least).then_some(argument)
    }

    fn octets(&mut self) -> Option<&'a [u8]> {
        let length = self.head(0x40)?;
        self.take(usize::try_from(length).ok()?)
    }

    fn text(&mut self) -> Option<()> {
        let length = self.head(0x60)?;
        std::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok().map(drop)
    }

    fn unless_null(&mut self, read: impl FnOnce(&mut Cursor<'a>) -> Option<()>) -> Option<()> {
        match self.0 {
            [0xf6, rest @ ..] => {
                self.0 = rest;
                Some(())
            }
            _ => read(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Body, CertificateIssued, Entry};
    use super::*;

    fn entries() -> Vec<Entry> {
        let issued = |item: u64, length: usize, of_ca: bool| CertificateIssued {
            plan: Digest([3; 32]),
            item,
            ca: "web".into(),
            subject_ca: of_ca.then(|| "intermediate with a rather long name".into()),
            request: (!of_ca).then(|| "r-1".into()),
            profile: "leaf".into(),
            requester: (!of_ca).then_some(Digest([7; 32])),
            der: vec![0x30; length].into(),
        };
        let sizes = [
            (0, 0, true),
            (23, 23, false),
            (24, 24, true),
            (256, 255, false),
            (70_000, 256, true),
            (1 << 40, 700, false),
        ];
        let entry = |(item, length, of_ca)| {
            let time = if of_ca { 1_800_000_000 } else { -5 };
            Entry::new(time, Body::Certificate(issued(item, length, of_ca)))
        };
        sizes.into_iter().map(entry).collect()
    }

    /// What `glance` takes, `decode` takes too, and reads the same.
    fn agree(bytes: &[u8]) -> bool {
        let Some(glance) = glance(bytes) else { return false };
        let entry = Entry::decode(bytes).unwrap();
        let Body::Certificate(issued) = entry.body else { panic!("{bytes:?}") };
        assert_eq!(glance, Glance { time: entry.time, plan: issued.plan, item: issued.item, der: &issued.der });
        true
    }

    #[test]
    fn an_entry_is_read_where_it_lies_as_it_is_decoded() {
        for entry in entries() {
            let bytes = entry.encode().unwrap();
            assert!(agree(&bytes));
            for at in 0..bytes.len() {
                for change in [0x01, 0x02, 0x20, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] ^= change;
                    agree(&changed);
                }
                agree(&bytes[..at]);
                let mut longer = bytes.clone();
                longer.insert(at, bytes[at]);
                agree(&longer);
            }
            agree(&[&bytes[..], &[0]].concat());
        }
        let other = Entry::new(0, Body::PinTry { token: "hsm".into() }).encode().unwrap();
        assert_eq!(glance(&other), None);
        let later = Entry { v: 1, ..entries().remove(0) }.encode().unwrap();
        assert_eq!(glance(&later), None);
    }
}
