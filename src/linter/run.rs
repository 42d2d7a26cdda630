//! The process that becomes a linter: it closes itself in, then gives its place to the program.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::message::Program;
use crate::sandbox;

/// Where programs, libraries and their data lie. Nothing of a person's, and nothing below `/etc` but what the loader reads.
pub(super) const SYSTEM: [&str; 7] = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime"];
/// The largest file that a linter may write into its private directory.
const MAX_WRITTEN: u64 = 16 << 20;
const MAX_OPEN_FILES: u64 = 256;

/// The command line by which the host starts this process.
pub(super) fn command_line(program: &Program, directory: &Path, file: &Path, must_be_closed: bool) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec!["linter".into(), directory.into()];
    let numbers = [
        u64::from(must_be_closed),
        u64::from(program.seconds),
        u64::from(program.memory_mb),
        program.read.len() as u64,
    ];
    line.extend(numbers.map(|number| number.to_string().into()));
    line.extend(program.read.iter().map(OsString::from));
    line.push(program.path.clone().into());
    line.extend(program.arguments.iter().map(OsString::from));
    line.push(file.into());
    line
}

/// Becomes the program that the command line names. Returns only where that cannot be done; why stands on stderr.
pub fn run_linter(line: impl Iterator<Item = OsString>) -> i32 {
    let why = match become_linter(line) {
        Ok(never) => match never {},
        Err(why) => why,
    };
    let _ = writeln!(std::io::stderr(), "{why}");
    126
}

fn become_linter(mut line: impl Iterator<Item = OsString>) -> Result<std::convert::Infallible, String> {
    let mut word = || line.next().ok_or_else(|| String::from("this role is started by coldroot, not by hand"));
    let directory = PathBuf::from(word()?);
    let mut number = || word()?.to_str().and_then(|n| n.parse::<u64>().ok()).ok_or_else(|| String::from("no number"));
    let [must_be_closed, seconds, memory_mb, count] = [number()?, number()?, number()?, number()?];
    let read = (0..count).map(|_| word().map(PathBuf::from)).collect::<Result<Vec<_>, _>>()?;
    let program = PathBuf::from(word()?);
    let arguments: Vec<OsString> = line.collect();

    let limit = |what: Resource, most: u64| {
        setrlimit(what, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(|e| format!("a limit cannot be set: {e}"))
    };
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, MAX_WRITTEN)?;
    limit(Resource::Nofile, MAX_OPEN_FILES)?;
    let mut readable: Vec<&Path> = SYSTEM.iter().map(Path::new).collect();
    readable.extend(read.iter().map(PathBuf::as_path));
    readable.push(&program);
    match sandbox::enter_program(&readable, &directory) {
        Ok(()) => {}
        Err(e) if must_be_closed == 0 => eprintln!("no sandbox: {e}"),
        Err(e) => return Err(format!("no sandbox: {e}")),
    }
    limit(Resource::Cpu, seconds)?;
    limit(Resource::As, memory_mb << 20)?;
    let failed = Command::new(&program)
        .args(arguments)
        .env_clear()
        .env("HOME", &directory)
        .env("TMPDIR", &directory)
        .env("LANG", "C.UTF-8")
        .current_dir(&directory)
        .exec();
    Err(format!("the program cannot be started: {failed}"))
}
