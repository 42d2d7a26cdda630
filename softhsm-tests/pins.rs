//! PINs: typed on a real terminal, decrypted by `age`, in the forms that modules want, at a keypad; and split among custodians.

mod harness;

#[path = "pins/entry.rs"]
mod entry;
#[path = "pins/split.rs"]
mod split;
