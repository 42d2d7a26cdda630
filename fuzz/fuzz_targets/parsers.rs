//! One parser, named by `PARSER`, given any octets.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../parsers.rs"]
mod parsers;

static PARSER: LazyLock<parsers::Parser> = LazyLock::new(|| {
    let name = std::env::var("PARSER").expect("PARSER names one");
    let known = parsers::PARSERS.into_iter().find(|(known, _)| *known == name);
    known.unwrap_or_else(|| panic!("there is no parser {name}")).1
});
static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fuzz_target!(|input: &[u8]| PARSER(input, DIR.path()));
