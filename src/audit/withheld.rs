//! Artefacts that public copies leave out and nobody can guess by their digest: `coldroot-withheld-v0`.
//!
//! ```text
//! magic     the CBOR text "coldroot-withheld-v0" (21 octets)
//! salt      32 random octets
//! content   the file, to the end
//! ```
//!
//! An entry names the SHA-256 of the whole. Without the salt, somebody who suspects what the content is (a form with a few
//! blanks, a photograph that went round) would hash his guess and compare.

use std::io::{self, Read};

use crate::cbor;

/// What such a file begins with, as CBOR text.
pub const MAGIC: &str = "coldroot-withheld-v0";
/// Octets of the salt.
pub const SALT: usize = 32;

/// What stands before the content.
pub fn head(salt: &[u8; SALT]) -> Vec<u8> {
    [cbor::magic(MAGIC).as_slice(), salt].concat()
}

/// Octets before the content.
pub fn head_length() -> u64 {
    (cbor::magic(MAGIC).len() + SALT) as u64
}

/// Reads what stands before the content, after which `from` gives the content. `false`: it is no such file.
///
/// # Errors
/// What reading meets.
pub fn open(from: &mut impl Read) -> io::Result<bool> {
    let mut start = Vec::new();
    from.take(head_length()).read_to_end(&mut start)?;
    Ok(start.len() as u64 == head_length() && start.starts_with(&cbor::magic(MAGIC)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_gives_its_content_and_nothing_else_is_one() {
        let whole = [head(&[7; SALT]).as_slice(), b"minutes"].concat();
        let mut from = whole.as_slice();
        assert!(open(&mut from).unwrap());
        assert_eq!(from, b"minutes");
        assert_eq!(head_length(), 53);
        for other in [&whole[..52], &whole[1..], b""] {
            assert!(!open(&mut &other[..]).unwrap());
        }
    }
}
