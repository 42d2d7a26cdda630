//! `audit-logs/schema.py`: the form of real logs' entries, as an implementation of CDDL that is not ours reads it.

use std::path::Path;
use std::process::Command;

use super::demo;
use super::harness::repository;
use super::harness::station::Run;

#[test]
fn p04_a_foreign_validator_knows_every_entry_of_the_demo() {
    for log in ["demo/station/audit", "demo/log"] {
        let mut python = Command::new("python3");
        python.arg("-B").arg(repository().join("audit-logs/schema.py")).arg(demo().join(log));
        python.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("target/judges"));
        let run = Run::of(&mut python);
        assert!(run.code == 0 && run.out.starts_with("good: ") && run.err.is_empty(), "{run:?}");
    }
}
