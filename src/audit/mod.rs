//! The append-only record: entries, tiles, checkpoints, artefacts, proofs, mark.
//!
//! `audit/` holds `checkpoint` (a signed note), `tail` (entries since then), `tile/…` (C2SP tlog-tiles) and
//! `artefact/ab/<sha256>`. The format is described byte by byte in `audit-logs/FORMAT.md`, where a verifier that shares
//! no code with this room also lives.

pub mod about;
pub mod against;
pub mod artefact;
pub mod changed;
pub mod check;
pub mod copy;
pub(crate) mod durable;
pub mod entry;
mod error;
pub mod log;
pub mod mark;
pub mod merkle;
pub mod named;
pub mod note;
mod order;
pub mod paper;
pub mod proof;
mod serial;
mod sheaf;
mod tail;
pub mod tiles;
pub mod view;
pub mod withheld;

#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
pub(crate) mod station;

pub use error::Error;
pub use log::{Log, Sealer};
pub use tail::MAGIC as TAIL_MAGIC;
pub use view::View;
