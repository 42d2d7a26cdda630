//! Frames between the three processes: a length (u32, big-endian) and one deterministic CBOR value, or raw octets.

use std::io::{Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::cbor;
use crate::secret::Secret;

/// The largest frame: a chunk of 1,024 signatures of RSA-4096 with room to spare.
pub const MAX_FRAME: u32 = 4 << 20;

/// Why a message did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the other process has gone: {0}")]
    Gone(#[from] std::io::Error),
    #[error("a frame of {0} octets is larger than the limit")]
    TooLarge(u32),
    #[error("a message is malformed: {0}")]
    Malformed(#[from] cbor::Error),
}

/// Writes one message.
pub fn send<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), Error> {
    send_raw(to, &cbor::to_vec(message)?)
}

/// Reads one message.
pub fn receive<T: Serialize + DeserializeOwned>(from: &mut impl Read) -> Result<T, Error> {
    Ok(cbor::from_slice(&receive_raw(from)?)?)
}

/// Writes a secret as a raw frame; no copy of it is made here.
pub fn send_secret(to: &mut impl Write, secret: &Secret) -> Result<(), Error> {
    send_raw(to, secret.expose())
}

/// Reads a secret; the buffer it arrives in is the one that is zeroed at the end.
pub fn receive_secret(from: &mut impl Read) -> Result<Secret, Error> {
    let mut bytes = receive_raw(from)?;
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}

fn send_raw(to: &mut impl Write, bytes: &[u8]) -> Result<(), Error> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if length > MAX_FRAME {
        return Err(Error::TooLarge(length));
    }
    to.write_all(&length.to_be_bytes())?;
    to.write_all(bytes)?;
    to.flush()?;
    Ok(())
}

fn receive_raw(from: &mut impl Read) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_FRAME {
        return Err(Error::TooLarge(length));
    }
    let mut bytes = Zeroizing::new(vec![0; length as usize]);
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
