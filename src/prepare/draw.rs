//! Random octets for serials, key ids and nonces.

use aws_lc_rs::hmac;

use crate::digest::Digest;

/// 32 octets from the token and 32 from the operating system, expanded: neither source is trusted alone.
pub struct Draw {
    key: hmac::Key,
    count: u64,
}

impl Draw {
    pub fn new(token: &[u8], system: &[u8]) -> Draw {
        let seed = Digest::of(&[b"coldroot draw v0".as_slice(), token, system].concat());
        Draw { key: hmac::Key::new(hmac::HMAC_SHA256, &seed.0), count: 0 }
    }

    pub(super) fn next(&mut self) -> [u8; 32] {
        self.count += 1;
        let tag = hmac::sign(&self.key, &self.count.to_be_bytes());
        let mut out = [0; 32];
        out.copy_from_slice(tag.as_ref());
        out
    }

    /// A number below `end`, which is not 0. What 64 bits prefer is not seen.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let octets = self.next();
        let number = octets.iter().take(8).fold(0u64, |sum, octet| sum << 8 | u64::from(*octet));
        usize::try_from(number % end.max(1) as u64).unwrap_or(0)
    }

    /// 16 random octets.
    pub fn id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&self.next()[..16]);
        id
    }

    /// A serial: 17 octets, the first 01 to 7f, then 16 random ones (128 bits, CA/Browser BR 7.1 asks for 64).
    pub fn serial(&mut self) -> [u8; 17] {
        loop {
            let bytes = self.next();
            let mut serial = [0; 17];
            serial.copy_from_slice(&bytes[..17]);
            serial[0] &= 0x7f;
            if serial[0] != 0 {
                return serial;
            }
        }
    }
}
