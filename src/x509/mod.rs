//! The read side of X.509: facts of requests, certificates and CRLs, proofs of possession, signatures.
//!
//! Pure functions of bytes. What is read here was written elsewhere, by `tbs` or by strangers; the two sides share only the
//! types in [`fields`], so that comparing what was meant with what was found proves something.

mod certificate;
mod constraints;
mod crl;
mod der;
mod error;
mod extensions;
pub mod fields;
mod key;
mod leaf;
mod name;
mod request;
mod slh_dsa;
mod verify;
mod weakness;

pub use certificate::{MAX_CERTIFICATE, MAX_TBS, certificate_der, read_certificate, read_tbs_certificate};
pub use crl::{MAX_CRL, read_crl, read_tbs_crl};
pub use der::DerFault;
pub use error::{Error, PathFault};
pub use key::{KeyKind, PublicKey, is_rsa};
pub use leaf::verify_leaf;
pub use name::{general_name_text, holder_names, ip_address, is_rehearsal_of, name_text};
pub use request::{MAX_REQUEST, Request};
pub use verify::{signature_of, tbs_of, verify_ca, verify_crl, verify_signature};
pub use weakness::Weakness;

#[cfg(test)]
pub(crate) mod forge;
#[cfg(test)]
mod tests;
