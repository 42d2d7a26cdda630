//! Frames of all three processes: whatever can be read is written again as it was.

#![no_main]

use coldroot::gate::{Reply, Request};
use coldroot::token::ask::{Answer, Ask};
use coldroot::wire;
use libfuzzer_sys::fuzz_target;

macro_rules! read_and_write {
    ($input:ident: $($message:ty),*) => {$(
        let mut rest = $input;
        if let Ok(message) = wire::receive::<$message>(&mut rest) {
            let mut again = Vec::new();
            wire::send(&mut again, &message).unwrap();
            assert_eq!(again, $input[..$input.len() - rest.len()]);
        }
    )*};
}

fuzz_target!(|input: &[u8]| {
    read_and_write!(input: Request, Reply, Ask, Answer);
    let _ = wire::receive_secret(&mut &*input);
});
