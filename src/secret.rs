//! The one type for secrets: no Debug, Display, Serialize or Clone, and zeroed when dropped.

use zeroize::Zeroizing;

/// A PIN or password. It crosses process boundaries only as a raw frame, once, from gate to worker.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; the caller's buffer must itself be zeroizing or moved in.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// The bytes, for the one call that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
