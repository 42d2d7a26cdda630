//! coldroot: an HSM-backed offline root signer.
//!
//! The rooms below are the road of a batch: media, bundle, x509, policy, tbs, plan, approval, gate, issue, audit,
//! release, media again. Dependencies point one way (see `docs/architecture.md`). The interface of this library is not
//! stable: it exists so that the binary, the tests and the benchmarks share one set of rooms.

// Nothing in the program panics on purpose; a test may.
#![cfg_attr(
    not(test),
    deny(clippy::expect_used, clippy::panic, clippy::unreachable, clippy::unwrap_used, clippy::cast_sign_loss)
)]
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod algorithm;
pub mod approval;
pub mod audit;
pub mod bundle;
pub mod cbor;
pub mod change;
pub mod cli;
pub mod config;
pub mod digest;
#[cfg(feature = "station")]
pub mod gate;
pub mod issue;
pub mod ledger;
#[cfg(feature = "station")]
pub mod linter;
pub mod media;
#[cfg(feature = "station")]
pub mod pin;
pub mod plan;
pub mod policy;
pub mod prepare;
#[cfg(feature = "station")]
pub mod refusal;
pub mod release;
pub mod report;
pub mod requests;
#[cfg(feature = "station")]
pub mod sandbox;
pub mod secret;
pub mod tbs;
pub mod text;
#[cfg(feature = "station")]
pub mod token;
pub mod weak_keys;
pub mod wire;
#[cfg(feature = "station")]
pub mod workers;
pub mod x509;
