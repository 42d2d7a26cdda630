//! The token: PKCS#11 in a worker process of its own.
//!
//! [`client`] is the gate's side: it starts a worker, asks, and holds deadlines. Everything else runs inside the worker, the
//! only process that loads a PKCS#11 module: [`run_worker`] is its whole main function. A hang or a crash of a module
//! costs a worker, never the gate or the parent.

pub mod ask;
pub mod client;
pub mod inventory;
pub mod probe;
pub mod vendor;

mod attributes;
mod backup;
mod ckr;
mod context;
mod data;
mod end;
mod fault;
mod ffi;
mod fitness;
mod keys;
mod module;
mod parameter_set;
mod pool;
mod process;
mod recipe;
mod sign;
mod spki;
mod worker;
mod wrapping;

pub use client::Error;
#[doc(hidden)]
pub use process::InProcess;
pub use process::run_worker;

use ask::{Class, Failure};

/// What a person should do about an answer [`ask::Answer::Failed`]; `None` where only the program can be mended.
pub fn hint(failure: &Failure) -> Option<String> {
    let (usual, next) = match failure.class {
        Class::Refused => {
            ("compare the hierarchy with `coldroot token list`", "once the cause is mended, run the same command again")
        }
        Class::Module => {
            ("install it, or see to `module` of the [[token]] in hierarchy.toml", "then run the same command again")
        }
        Class::Pin => (
            "check how many tries the token has left",
            "it was tried once and is not tried again by itself: run the command again yourself",
        ),
        Class::Retry | Class::Reopen | Class::Halt => {
            ("see to the token and its connection", "then run the same command again: it goes on where it stopped")
        }
        Class::Protocol => return None,
    };
    Some(format!("{}; {next}", failure.advice.as_deref().unwrap_or(usual)))
}
