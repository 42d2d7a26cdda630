//! What keeps other gates from a token.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use crate::config::Token;
use crate::digest::Digest;
use crate::refusal::Refusal;
use crate::token::ask::TokenFacts;

/// One gate at a time for each token: the kernel holds the name as long as this process lives. A copy may have its original's
/// label and serial.
pub fn hold(declared: &Token, token: &TokenFacts) -> Result<UnixListener, Refusal> {
    let copy = declared.same_keys_as.as_ref().map(|_| format!(" {}", declared.id)).unwrap_or_default();
    let name = Digest::of(format!("{} {}{copy}", token.label, token.serial).as_bytes());
    let address = SocketAddr::from_abstract_name(format!("coldroot {name}"));
    let address = address.map_err(|e| Refusal::halt(e.to_string()))?;
    // A gate whose parent was killed needs a moment to log out.
    for _ in 0..50 {
        match UnixListener::bind_addr(&address) {
            Ok(held) => return Ok(held),
            Err(e) if e.kind() == ErrorKind::AddrInUse => std::thread::sleep(Duration::from_millis(100)),
            Err(e) => return Err(Refusal::halt(format!("cannot keep other processes from the token: {e}"))),
        }
    }
    let what = format!("another coldroot process is logged in to token `{}`", crate::text::escape(&token.label));
    Err(Refusal::no(what, "let it end, then run this again"))
}
