//! The proofs beside the certificates of an unpacked release.

use std::path::Path;

use crate::audit::proof::Inclusion;
use crate::audit::view::Entries;
use crate::audit::{self, View};

use super::Error;
use super::unpack::{certificate_path, put};

/// Makes the proofs of a release's certificates, which come in the order of the log: each of its entries is read once.
pub(super) struct Proofs<'a> {
    log: &'a View,
    entries: Entries<'a>,
}

impl<'a> Proofs<'a> {
    pub(super) fn new(log: &'a View) -> Proofs<'a> {
        Proofs { log, entries: log.entries(0..log.sealed_size()) }
    }

    /// Writes `proofs/<request-id>.tlog-proof`, in folders where the certificates are.
    pub(super) fn write(&mut self, to: &Path, request: &str, index: u64, folders: bool) -> Result<(), Error> {
        let proof = Inclusion::of(self.log, index, self.octets(index)?)?;
        let path = certificate_path(&to.join("proofs"), request, "tlog-proof", folders)?;
        put(&path, proof.text().as_bytes())
    }

    fn octets(&mut self, index: u64) -> Result<Vec<u8>, Error> {
        for found in self.entries.by_ref() {
            let (at, _, octets) = found?;
            if at == index {
                return Ok(octets);
            }
        }
        // The check of a release has compared each part's index with the log.
        Err(audit::Error::OutOfRange { index, size: self.log.sealed_size() }.into())
    }
}
