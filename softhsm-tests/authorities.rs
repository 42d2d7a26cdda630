//! What certificates of CAs say, and which are refused before any key is used.

mod harness;

#[path = "authorities/limits.rs"]
mod limits;
