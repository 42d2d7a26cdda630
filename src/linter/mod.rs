//! Programs of others that judge copies of what will be signed: linters.
//!
//! ```text
//! parent  (its sandbox closed)     number of a linter, DER  ──►  host  (started before that)
//!         reads what was printed   ◄──  its output, bounded       │ private directory, deadline, process group
//!                                                                 └─ this program, inside its own sandbox ─ exec ─► the linter
//! ```
//! A linter sees copies whose signature a throw-away key made: never a PIN, a real key, or a file of the station. What it prints is
//! untrusted, and is read by the parent, which has given up what it could do harm with.

mod client;
mod host;
mod message;
mod output;
mod run;

pub use client::Host;
pub use host::run_host;
pub use output::findings;
pub use run::run_linter;

/// What a linter may print for one file: pkilint's is a few kB.
const MAX_OUTPUT: usize = 1 << 20;
/// The largest file that a linter is given.
pub const MAX_FILE: usize = 2 << 20;
