//! The named checks: a verdict for each item, and what its certificate or CRL will say.
//!
//! A pure judge: time and serial numbers are passed in, nothing is read or written. Every check of [`Check`] comes
//! before any private key is used; what fails gets a [`Refused`] with a sentence that tells the requester what to mend.

mod alone;
mod authority;
mod cabf;
mod check;
mod client;
mod cross;
mod device;
mod extensions;
mod external;
mod issuer;
mod leaf;
mod lint;
mod names;
mod revocation;
mod scope;
mod seen;
mod server;
mod signer;
mod vouched;

pub use alone::{judge_key_alone, judge_request_alone};
pub use authority::{CaContext, CrlContext, ca_fields, crl_fields};
pub use check::{Check, Refused};
pub use cross::{CrossContext, cross_fields};
pub use external::{ExternalContext, Returned, judge_adopted, request_fields};
pub use issuer::{CaKey, IssuerFacts};
pub use leaf::{LeafContext, RequestRow, judge_request};
pub use lint::{lint_tbs_certificate, lint_tbs_crl};
pub use names::MAX_NAMES;
pub use revocation::{Asker, IssuedFacts, judge_revocation};
pub use seen::{KeyFacts, Known, NameFacts, Requested, Seen};
pub use signer::{SignerContext, signer_fields};
pub use vouched::{TooMany, Validation, Vouched};

#[cfg(test)]
mod tests;
