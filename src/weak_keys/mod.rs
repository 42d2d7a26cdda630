//! Keys that look good and are no secret: what other people found out, and what only many keys together show.

pub mod blocklist;
pub mod factors;

pub use blocklist::{BlockLists, Error};
pub use factors::{Search, Shared, modulus_digest};
