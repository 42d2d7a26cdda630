//! The binary: the hidden roles of its own processes, and the verbs.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    // The roles are not verbs: they speak frames on standard input and are started by this program alone.
    #[cfg(feature = "station")]
    match std::env::args_os().nth(1).as_deref().and_then(|role| role.to_str()) {
        Some("gate") => std::process::exit(coldroot::gate::run_gate()),
        Some("lint-host") => std::process::exit(coldroot::linter::run_host()),
        Some("linter") => std::process::exit(coldroot::linter::run_linter(std::env::args_os().skip(2))),
        Some("worker") => std::process::exit(coldroot::token::run_worker()),
        _ => {}
    }
    coldroot::cli::run()
}
