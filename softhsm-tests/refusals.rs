//! Bad input as transcripts: what was typed, what the binary said, and its exit code. After each the station is what it was:
//! nothing recorded, no file left behind, the token not asked.
//!
//! The transcripts stand in `refusals/*.txt`. `UPDATE_EXPECTED=1 cargo test --test refusals` writes them anew; read the
//! difference as an officer would.

mod harness;

#[path = "refusals/book.rs"]
mod book;
#[path = "refusals/bundles.rs"]
mod bundles;
#[path = "refusals/desk.rs"]
mod desk;
#[path = "refusals/hierarchies.rs"]
mod hierarchies;
#[path = "refusals/plans.rs"]
mod plans;
#[path = "refusals/tokens.rs"]
mod tokens;
