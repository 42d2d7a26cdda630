//! Hostile, broken and lost media: what comes in is bounded and exact, what goes out is whole or not there, and a lost
//! release is written again byte for byte. Each refusal is a transcript of the binary, and each leaves nothing behind.

mod harness;
#[path = "media/incoming.rs"]
mod incoming;
#[path = "media/lost.rs"]
mod lost;
#[path = "media/outgoing.rs"]
mod outgoing;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::files;
use harness::station::{COLDROOT, Run, Station};

/// A run that hangs is a failure, not a hanging test: pipes without a writer, devices without an end.
const PATIENCE: &str = "120";

impl Station {
    /// An empty directory that plays a mounted medium.
    fn medium(&self, name: &str) -> PathBuf {
        let path = self.desk(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn bounded<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        Run::of(self.command_of("timeout", &[PATIENCE, COLDROOT], &[]).args(args))
    }

    /// The same under strace, which plays the medium: `inject` are its injections, on calls that touch one of `paths`.
    fn tampered(&self, inject: &[&str], paths: &[PathBuf], args: &[&str]) -> Run {
        let mut strace = Command::new("timeout");
        strace.args([PATIENCE, "strace", "-qq", "-o", "/dev/null"]).current_dir(self.dir());
        for path in paths {
            strace.arg("-P").arg(path);
        }
        for inject in inject {
            strace.arg(format!("--inject={inject}"));
        }
        strace.arg(COLDROOT).args(["--json", "--plain"]).args(args);
        Run::of(&mut strace)
    }

    /// A refusal: exit code, sentence, a next step, and nothing recorded or left behind.
    #[track_caller]
    fn refuses(&self, case: &str, run: Run, code: i32, saying: &str, before: &State) {
        eprintln!("{case}: exit {}: {}", run.code, run.out.lines().nth(1).unwrap_or_default().trim());
        run.fails(code, saying);
        assert!(self.state() == *before, "{case}: something was recorded or left behind");
    }

    /// The same where the bundle was copied in whole before it was judged: that stands on record.
    #[track_caller]
    fn refuses_read(&self, case: &str, bundle: &Path, saying: &str) {
        let before = self.state();
        let run = self.plan(bundle);
        eprintln!("{case}: exit {}: {}", run.code, run.out.lines().nth(1).unwrap_or_default().trim());
        run.fails(1, saying);
        self.only_read_in(&before, bundle);
    }
}

type State = (Vec<coldroot::audit::entry::Entry>, Vec<PathBuf>);

/// Names and contents of everything below a directory.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files(dir).into_iter().map(|path| (path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

/// Runs a shell script as root of a user and mount namespace of its own; `None` where that is not allowed (a container
/// without the right, a kernel that forbids it).
fn in_namespace(script: &str, directory: &Path) -> Option<Run> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "timeout", PATIENCE, "sh", "-ec", script]).current_dir(directory);
        Run::of(&mut command)
    };
    let allowed = unshare("mount -t tmpfs none .").code == 0;
    allowed.then(|| unshare(script))
}
