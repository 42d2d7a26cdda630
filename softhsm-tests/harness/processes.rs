//! What a run leaves behind on the machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A gate logs out before it goes, and a module may take its time with that. Longer than anything takes on a busy machine; it
/// only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Processes that work in this directory: number and command line. Those of other people are not seen.
pub fn in_directory(dir: &Path) -> Vec<(u32, String)> {
    let dir = fs::canonicalize(dir).unwrap();
    let process = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let here = fs::read_link(entry.path().join("cwd")).ok()? == dir;
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        here.then(|| (number, String::from_utf8_lossy(&command).replace('\0', " ")))
    };
    fs::read_dir("/proc").unwrap().filter_map(|entry| process(entry.unwrap())).collect()
}

/// Waits until nothing works in the directory any more.
#[track_caller]
pub fn assert_gone(dir: &Path) {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = in_directory(dir);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "still there: {left:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
