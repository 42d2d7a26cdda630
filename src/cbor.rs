//! Deterministic CBOR (RFC 8949 §4.2.1): one encoding for one value, so that a digest names a value.
//!
//! `serde_cbor` alone accepts non-minimal integers, indefinite lengths, repeated map keys and structs written as arrays.
//! [`from_slice`] closes all of that in one stroke: what it decoded is encoded again and must equal the input.

mod canonical;

use std::io::{Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_cbor::Value;

/// An octet string inside a stored type.
pub type Bytes = serde_bytes::ByteBuf;

/// Values of so many octets are encoded without asking for more memory.
const MOST: usize = 1 << 10;

/// Why bytes are not the CBOR that was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not the CBOR that was expected: {0}")]
    Decode(String),
    #[error("CBOR is not in its deterministic encoding (RFC 8949 section 4.2.1)")]
    NotDeterministic,
    #[error("value cannot be encoded as CBOR: {0}")]
    Encode(String),
    #[error("CBOR item of {length} octets is larger than the limit of {limit}")]
    TooLarge { length: u64, limit: u64 },
    #[error("CBOR sequence ends in the middle of an item")]
    Truncated,
}

/// Encodes deterministically: shortest integers, definite lengths, map keys sorted by their encoding.
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let encode = |e: serde_cbor::Error| Error::Encode(e.to_string());
    // Most values are entries of the log with a certificate: one allocation holds them.
    let mut declared = Vec::with_capacity(MOST);
    serde_cbor::to_writer(&mut declared, value).map_err(encode)?;
    if let Some(sorted) = canonical::canonical(&declared) {
        return Ok(sorted);
    }
    // `Value` keeps maps in a BTreeMap sorted by encoded key; a struct would be written in the order of its declaration.
    let sorted: Value = serde_cbor::from_slice(&declared).map_err(encode)?;
    serde_cbor::to_vec(&sorted).map_err(encode)
}

/// Decodes exactly one value and refuses every encoding of it but the deterministic one, trailing bytes included.
pub fn from_slice<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let value: T = serde_cbor::from_slice(bytes).map_err(|e| Error::Decode(e.to_string()))?;
    if to_vec(&value)? != bytes {
        return Err(Error::NotDeterministic);
    }
    Ok(value)
}

/// Writes `bytes` as one byte string of a CBOR sequence (RFC 8742): the frame of every item in our files.
pub fn write_frame(to: &mut impl Write, bytes: &[u8]) -> std::io::Result<u64> {
    let head = frame_head(0x40, bytes.len() as u64);
    to.write_all(&head)?;
    to.write_all(bytes)?;
    Ok(head.len() as u64 + bytes.len() as u64)
}

/// Reads the next byte string of a CBOR sequence, at most `limit` octets; `None` at the end of the sequence. The length is
/// judged before anything is allocated, and only its shortest form is taken.
pub fn read_frame(from: &mut impl Read, limit: u64) -> Result<Option<Vec<u8>>, FrameError> {
    let mut first = [0];
    loop {
        match from.read(&mut first) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    let (major, info) = (first[0] & 0xe0, first[0] & 0x1f);
    let width = match (major, info) {
        (0x40, 0..=23) => 0,
        (0x40, 24..=27) => 1usize << (info - 24),
        _ => return Err(Error::Decode("a byte string was expected".into()).into()),
    };
    let mut wide = [0; 8];
    from.read_exact(&mut wide[8 - width..]).map_err(truncated)?;
    let length = if width == 0 { u64::from(info) } else { u64::from_be_bytes(wide) };
    if frame_head(0x40, length).len() != 1 + width {
        return Err(Error::NotDeterministic.into());
    }
    if length > limit {
        return Err(Error::TooLarge { length, limit }.into());
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| Error::TooLarge { length, limit })?];
    from.read_exact(&mut bytes).map_err(truncated)?;
    Ok(Some(bytes))
}

/// The encoded text string that opens each of our files, by which `check` and `show` recognise them.
pub fn magic(text: &str) -> Vec<u8> {
    let mut bytes = frame_head(0x60, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Why a frame could not be read: the medium, or what stands on it.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Cbor(#[from] Error),
}

fn truncated(e: std::io::Error) -> FrameError {
    match e.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::Truncated.into(),
        _ => FrameError::Io(e),
    }
}

fn frame_head(major: u8, length: u64) -> Vec<u8> {
    let wide = length.to_be_bytes();
    match length {
        0..=23 => vec![major | wide[7]],
        24..=0xff => vec![major | 24, wide[7]],
        0x100..=0xffff => [&[major | 25], &wide[6..]].concat(),
        0x1_0000..=0xffff_ffff => [&[major | 26], &wide[4..]].concat(),
        _ => [&[major | 27], &wide[..]].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        longer: u8,
        a: Bytes,
    }

    #[test]
    fn keys_are_sorted_and_one_encoding_is_accepted() {
        let sample = Sample { longer: 1, a: Bytes::from(vec![7]) };
        let bytes = to_vec(&sample).unwrap();
        assert_eq!(bytes, [0xa2, 0x61, b'a', 0x41, 7, 0x66, b'l', b'o', b'n', b'g', b'e', b'r', 1]);
        assert_eq!(from_slice::<Sample>(&bytes).unwrap(), sample);
    }

    #[test]
    fn other_encodings_of_the_same_value_are_refused() {
        let non_minimal = [0xa2, 0x61, b'a', 0x41, 7, 0x66, b'l', b'o', b'n', b'g', b'e', b'r', 0x18, 1];
        assert!(matches!(from_slice::<Sample>(&non_minimal), Err(Error::NotDeterministic)));
        let unsorted = [0xa2, 0x66, b'l', b'o', b'n', b'g', b'e', b'r', 1, 0x61, b'a', 0x41, 7];
        assert!(matches!(from_slice::<Sample>(&unsorted), Err(Error::NotDeterministic)));
        let trailing = [0xa2, 0x61, b'a', 0x41, 7, 0x66, b'l', b'o', b'n', b'g', b'e', b'r', 1, 0];
        assert!(matches!(from_slice::<Sample>(&trailing), Err(Error::Decode(_))));
    }

    #[test]
    fn frames_are_bounded_before_they_are_read() {
        for length in [0usize, 1, 23, 24, 255, 256, 65_535, 65_536] {
            let mut file = Vec::new();
            write_frame(&mut file, &vec![7; length]).unwrap();
            let read = read_frame(&mut file.as_slice(), 70_000).unwrap().unwrap();
            assert_eq!(read.len(), length);
            assert!(matches!(
                read_frame(&mut &file[..file.len() - 1], 70_000),
                Ok(None) | Err(FrameError::Cbor(Error::Truncated))
            ));
        }
        let huge = [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(read_frame(&mut &huge[..], 100), Err(FrameError::Cbor(Error::TooLarge { .. }))));
        assert!(matches!(read_frame(&mut &[0x58, 1, 7][..], 100), Err(FrameError::Cbor(Error::NotDeterministic))));
        assert!(matches!(read_frame(&mut &[0x01][..], 100), Err(FrameError::Cbor(Error::Decode(_)))));
    }
}
