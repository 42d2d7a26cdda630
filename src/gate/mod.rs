//! The gate: the small process between the parent, which parses hostile input, and the workers, which hold the token.
//!
//! It asks for the PIN, reads the approved plan itself, and gives out nothing but the plan's own items. It has no X.509 and
//! no PKCS#11 module. Whatever the parent says is a claim, the station's directory included: statement, approvals, quorum,
//! window and log position are judged here again, against the hierarchy whose digest stands in the token's mark.
//!
//! What a parent that lies can still do: stop the work, leave planned items undone (they are never signed later, since the
//! plan's end moves the release on), write nonsense into its own log, and name a directory and a PKCS#11 module of its own
//! before anybody types a PIN. What it cannot do stands in `softhsm-tests/gate.rs`, an attack a test.

mod client;
mod judge;
mod keys;
mod mark;
mod message;
mod server;
mod split;

pub use client::{Error, Gate};
pub use message::{Outcome, Proven, Reply, Request};
pub use server::run_gate;
#[doc(hidden)]
pub use server::serve;

/// The most items one `Do` may name: one chunk of the order of writes.
pub const MAX_CHUNK: usize = 1024;
