//! The documents say what the program does: their commands exist and are typed, the examples of the formats are read back, and
//! what is made from the code is the code's.

#[path = "docs/fences.rs"]
mod fences;
#[path = "docs/first_hour.rs"]
mod first_hour;
#[path = "docs/followed.rs"]
mod followed;
#[path = "docs/formats.rs"]
mod formats;
#[path = "docs/generated.rs"]
mod generated;
mod harness;
#[path = "docs/named.rs"]
mod named;
#[path = "docs/officer.rs"]
mod officer;
#[path = "docs/typed.rs"]
mod typed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const COLDROOT: &str = env!("CARGO_BIN_EXE_coldroot");

fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(checkout().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The fenced blocks of a document: what stands behind the opening fence, and the lines.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(info), None) => open = Some((info.to_string(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, body))) => *body += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn block(text: &str, info: &str) -> String {
    let mut found = blocks(text).into_iter().filter(|(i, _)| i == info).map(|(_, body)| body);
    let one = found.next().unwrap_or_else(|| panic!("no block `{info}`"));
    assert!(found.next().is_none(), "two blocks `{info}`");
    one
}

/// Commands of a block, continued lines joined, with the exit code that a comment `(exit N)` announces.
fn commands(body: &str) -> Vec<(String, i32)> {
    let joined = body.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let code = |line: &str| line.split_once("(exit ").and_then(|(_, rest)| rest.chars().next()?.to_digit(10));
    lines.map(|line| (line.to_string(), code(line).map_or(0, |c| i32::try_from(c).unwrap()))).collect()
}

/// Runs commands one after the other in one shell, and stops at the first whose exit code is not the announced one.
fn run(commands: &[(String, i32)], directory: &Path, set: &[(&str, &str)]) {
    let mut script = String::new();
    for (line, wanted) in commands {
        let quoted = line.replace('\'', "'\\''");
        script += &format!("{line}\n");
        script += &format!("code=$?; [ $code -eq {wanted} ] || {{ echo \"exit $code:\" '{quoted}'; exit 99; }}\n");
    }
    let path = format!("{}:{}", Path::new(COLDROOT).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(&script).current_dir(directory).env("PATH", path).stdin(std::process::Stdio::null());
    let out = bash.envs(set.iter().copied()).output().unwrap();
    let (said, erred) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{said}\n{erred}");
}

fn softhsm() -> Option<&'static str> {
    let known = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    known.into_iter().find(|path| Path::new(path).exists())
}
