//! What certificates of CAs say, and which are refused before any key is used.

mod harness;

#[path = "authorities/cross.rs"]
mod cross;
#[path = "authorities/external.rs"]
mod external;
#[path = "authorities/faults.rs"]
mod faults;
#[path = "authorities/foreign.rs"]
mod foreign;
#[path = "authorities/limits.rs"]
mod limits;
#[path = "authorities/outside.rs"]
mod outside;
#[path = "authorities/roots.rs"]
mod roots;
#[path = "authorities/signers.rs"]
mod signers;
