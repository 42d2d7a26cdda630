//! What auditors and hostmasters do with a log: look into it, write it out, prove that a certificate is on record, compare copies.

mod harness;

#[path = "auditors/against.rs"]
mod against;
#[path = "auditors/export.rs"]
mod export;
#[path = "auditors/prove.rs"]
mod prove;
#[path = "auditors/recognised.rs"]
mod recognised;
#[path = "auditors/sheets.rs"]
mod sheets;
#[path = "auditors/show.rs"]
mod show;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use harness::station::{COLDROOT, Run};

/// One `coldroot demo` of its embedded requests, for every test that only reads it.
fn demo() -> &'static Path {
    static DEMO: OnceLock<PathBuf> = OnceLock::new();
    DEMO.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("auditors");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Run::of(Command::new(COLDROOT).args(["demo", "--json", "--dir"]).arg(dir.join("demo"))).ok();
        dir.join("demo")
    })
}

/// Runs the binary in the demo's directory.
fn coldroot(args: &[&str]) -> Run {
    Run::of(Command::new(COLDROOT).args(args).current_dir(demo()))
}

fn key() -> String {
    fs::read_to_string(demo().join("station/verifier-key")).unwrap().trim().to_owned()
}
