//! A SoftHSM of one's own (a throw-away token directory and the environment that names it), and whole stations on one.

#![allow(dead_code, reason = "each test program uses a part of the harness")]

pub mod batch;
pub mod bundles;
pub mod draw;
pub mod faulty;
pub mod fido;
pub mod forged;
pub mod held;
pub mod kryoptic;
pub mod lanes;
pub mod openssl;
pub mod processes;
pub mod station;
pub mod terminal;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian and others put the module.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

/// A SoftHSM with an empty token directory; everything is removed when it is dropped.
pub struct SoftHsm {
    dir: tempfile::TempDir,
    module: PathBuf,
    env: BTreeMap<String, String>,
}

impl SoftHsm {
    pub fn new() -> SoftHsm {
        let module = softhsm().to_owned();
        let dir = tempfile::Builder::new().prefix("softhsm-").tempdir().unwrap();
        let tokens = dir.path().join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let conf = dir.path().join("softhsm2.conf");
        let text =
            format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
        std::fs::write(&conf, text).unwrap();
        let env = BTreeMap::from([("SOFTHSM2_CONF".to_owned(), conf.to_str().unwrap().to_owned())]);
        SoftHsm { dir, module, env }
    }

    /// The module's absolute path.
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// What a worker's environment must hold: `SOFTHSM2_CONF`, nothing else.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The directory that holds configuration and tokens.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Initialises a token with SoftHSM's own tool and returns the serial that SoftHSM chose.
    pub fn init(&self, label: &str, so_pin: &str, pin: &str) -> String {
        self.util(&["--init-token", "--free", "--label", label, "--so-pin", so_pin, "--pin", pin]);
        let shown = self.util(&["--show-slots"]);
        let mut serial = String::new();
        for line in shown.lines() {
            match line.trim().split_once(':') {
                Some(("Serial number", value)) => serial = value.trim().to_owned(),
                Some(("Label", value)) if value.trim() == label => return serial,
                _ => {}
            }
        }
        panic!("the token is not there after its initialising:\n{shown}");
    }

    fn util(&self, args: &[&str]) -> String {
        let output = Command::new("softhsm2-util").args(args).envs(&self.env).output().unwrap();
        assert!(output.status.success(), "softhsm2-util {}: {}", args[0], String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// SoftHSM's module.
pub fn softhsm() -> &'static Path {
    let found = MODULES.iter().map(Path::new).find(|path| path.exists());
    found.expect("SoftHSM is not installed: apt-get install softhsm2")
}

/// Writes a script that can be started at once. A process of its own writes it: were it open for writing here, a process that
/// another thread starts meanwhile would hold it open too, and the kernel starts no file that is open for writing.
pub fn script(path: &Path, text: &str) {
    let mut child = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{} is not written", path.display());
}

/// Copies a directory and what is below it.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), &target).unwrap()),
        }
    }
}

/// What an unpacked release refuses: the request and the check, in its order.
pub fn refused_in(www: &Path) -> Vec<(String, String)> {
    let refused: serde_json::Value = serde_json::from_slice(&fs::read(www.join("refused.json")).unwrap()).unwrap();
    let said = |r: &serde_json::Value, field: &str| r[field].as_str().unwrap().to_owned();
    refused.as_array().unwrap().iter().map(|r| (said(r, "request"), said(r, "check"))).collect()
}

/// The files below a directory, sorted; none when it is not there.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// The verifier of `audit-logs/`, which shares no code with the program.
pub fn verify_py(log: &Path, verifier_key: &str, root: Option<&Path>) -> station::Run {
    let mut command = Command::new("python3");
    command.arg(repository().join("audit-logs/verify.py")).arg(log).args(["--verifier-key", verifier_key]);
    if let Some(root) = root {
        command.arg("--root").arg(root);
    }
    station::Run::of(&mut command)
}

/// The checkout.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
