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
mod lint;
mod name;
pub mod pem;
mod request;
mod request_info;
mod slh_dsa;
mod verify;
mod weakness;

pub use certificate::{
    MAX_CERTIFICATE, MAX_TBS, certificate_der, certificate_ders, read_certificate, read_tbs_certificate,
};
pub use crl::{MAX_CRL, read_crl, read_tbs_crl};
pub use der::DerFault;
pub use error::{Error, PathFault};
pub use key::{KeyKind, PublicKey, is_rsa};
pub use leaf::{verify_end_entity, verify_leaf, verify_signer};
pub use lint::{Lint, lint_certificate, lint_crl};
pub use name::{general_name_text, holder_names, ip_address, is_rehearsal, is_rehearsal_of, name_text};
pub use request::{MAX_REQUEST, Request};
pub use request_info::{read_request_info, verify_request};
pub use verify::{signature_of, tbs_of, verify_anchor, verify_ca, verify_crl, verify_external, verify_signature};
pub use weakness::Weakness;

/// id-kp-serverAuth, id-kp-clientAuth and id-kp-OCSPSigning (RFC 5280 §4.2.1.12, RFC 6960 §4.2.2.2).
pub const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
pub const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
pub const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";
/// id-pe-tlsfeature (RFC 7633 §4).
pub const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";

/// Whether this is one value in DER and nothing behind it (X.690 §10).
pub fn is_der(bytes: &[u8]) -> bool {
    der::canonical(bytes).is_ok()
}

#[cfg(test)]
pub(crate) mod forge;
#[cfg(test)]
mod tests;
