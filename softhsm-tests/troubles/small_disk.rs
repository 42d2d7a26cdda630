//! A disk of a station's own, which can be filled.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::copy_tree;
use crate::harness::station::{Run, Station};

const PAGE: usize = 4096;
/// Enough for 200 batches: each release holds the whole log. Memory is taken as it fills.
const SIZE: &str = "2g";
/// Set where this program has started itself anew.
const INNER: &str = "COLDROOT_TEST_MOUNTS";

/// Runs a test that mounts file systems. Where that is not allowed, the program runs it once more as root of a user namespace;
/// where that is not allowed either, the test fails and says so.
pub fn with_mounts(test: &str, body: impl FnOnce()) {
    let tried = tempfile::tempdir().unwrap();
    let allowed = mounted(tried.path()).code == 0;
    if allowed {
        unmounted(tried.path());
        return body();
    }
    let needs = "this test mounts a tmpfs: run it as root, or where `unshare -r -m` is allowed";
    assert!(std::env::var_os(INNER).is_none(), "{needs}");
    let mut again = Command::new("unshare");
    again.args(["-r", "-m"]).arg(std::env::current_exe().unwrap()).args([
        "--exact",
        test,
        "--include-ignored",
        "--nocapture",
    ]);
    let status = again.env(INNER, "1").status().unwrap();
    assert!(status.success(), "{needs}, or see above");
}

fn mounted(at: &std::path::Path) -> Run {
    Run::of(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs"]).arg(at))
}

fn unmounted(at: &std::path::Path) {
    let run = Run::of(Command::new("umount").arg("-l").arg(at));
    assert_eq!(run.code, 0, "{run:?}");
}

pub struct SmallDisk {
    at: tempfile::TempDir,
    /// What is not on it: the token, which is a device of its own.
    beside: tempfile::TempDir,
}

impl SmallDisk {
    pub fn new() -> SmallDisk {
        let at = tempfile::Builder::new().prefix("coldroot-disk-").tempdir().unwrap();
        let run = mounted(at.path());
        assert_eq!(run.code, 0, "{run:?}");
        SmallDisk { at, beside: tempfile::tempdir().unwrap() }
    }

    /// Moves a station onto the disk, but for its token.
    pub fn hold(&self, station: Station) -> Station {
        let root = tempfile::tempdir_in(self.at.path()).unwrap();
        copy_tree(station.root(), root.path());
        let (token, beside) = (root.path().join("station/token"), self.beside.path().join("token"));
        copy_tree(&token, &beside);
        fs::remove_dir_all(&token).unwrap();
        std::os::unix::fs::symlink(beside, token).unwrap();
        Station::found(root)
    }

    fn ballast(&self) -> PathBuf {
        self.at.path().join("ballast")
    }

    /// Fills the disk up, but for so many pages.
    pub fn fill(&self, pages: usize) {
        self.empty();
        let stat = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(self.at.path()).output().unwrap();
        let text = String::from_utf8(stat.stdout).unwrap();
        let (blocks, size) = text.trim().split_once(' ').unwrap();
        let room = blocks.parse::<usize>().unwrap() * size.parse::<usize>().unwrap();
        let run = Run::of(
            Command::new("fallocate").arg("-l").arg((room - pages * PAGE).max(1).to_string()).arg(self.ballast()),
        );
        assert_eq!(run.code, 0, "{run:?}");
    }

    pub fn empty(&self) {
        let _ = fs::remove_file(self.ballast());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmounted(self.at.path());
    }
}
