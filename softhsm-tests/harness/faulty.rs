//! The module that plays faults (`softhsm-tests/faulty-module/README.md`), and its script and log on a station.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::station::{HIERARCHY, Station};

/// The station's directory for the script and the list of calls.
const DIR: &str = "faulty";

/// The module's absolute path. `cargo test` builds every example; `cargo test --test NAME` does not, and then it is
/// built here.
pub fn module() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // This test program is target/PROFILE/deps/NAME.
        let exe = std::env::current_exe().unwrap();
        let profile = exe.ancestors().nth(2).unwrap();
        let module = profile.join("examples/libfaulty.so");
        if !is_newer(&module, &super::repository().join("softhsm-tests/faulty-module")) {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let name = match profile.file_name().unwrap().to_str().unwrap() {
                "debug" => "dev",
                other => other,
            };
            let target = profile.parent().unwrap();
            let built = Command::new(cargo)
                .args(["build", "--quiet", "--offline", "--locked", "--example", "faulty", "--profile", name])
                .arg("--target-dir")
                .arg(target)
                .current_dir(super::repository())
                .status();
            assert!(built.unwrap().success(), "cargo build --example faulty");
        }
        module
    })
}

fn is_newer(file: &Path, sources: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    let Some(built) = time(file) else { return false };
    super::files(sources).iter().filter_map(|source| time(source)).all(|changed| changed <= built)
}

/// [`HIERARCHY`] with the faulty module between worker and SoftHSM; `more` are further lines of its `[[token]]`.
pub fn hierarchy(more: &str) -> String {
    let env = format!("FAULTY_MODULE = \"@MODULE@\", FAULTY_DIR = \"{DIR}\", SOFTHSM2_CONF = \"softhsm2.conf\"");
    HIERARCHY
        .replace("\"@MODULE@\"", &format!("\"{}\"", module().display()))
        .replace("SOFTHSM2_CONF = \"softhsm2.conf\"", &env)
        .replace("sessions = 2", &format!("sessions = 2\n{more}"))
}

/// From now on these rules are played; the list of calls begins anew.
pub fn play(station: &Station, script: &str) {
    mend(station);
    fs::create_dir(station.path(DIR)).unwrap();
    fs::write(station.path(DIR).join("script"), script).unwrap();
}

/// From now on nothing goes wrong and nothing is listed.
pub fn mend(station: &Station) {
    let dir = station.path(DIR);
    if dir.exists() {
        fs::remove_dir_all(dir).unwrap();
    }
}

/// The calls since [`play`], of all workers, in their order.
pub fn calls(station: &Station) -> Vec<String> {
    let text = fs::read_to_string(station.path(DIR).join("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// How often a function was called since [`play`].
pub fn count(station: &Station, function: &str) -> usize {
    calls(station).iter().filter(|call| *call == function).count()
}

/// How many processes have loaded the module since [`play`].
pub fn processes(station: &Station) -> usize {
    fs::read(station.path(DIR).join("processes")).map_or(0, |octets| octets.len())
}

/// Asserts that since [`play`] no PIN was tried, no signature was asked for, and nothing on the token was changed.
#[track_caller]
pub fn not_asked(station: &Station) {
    let asks =
        ["C_Login", "C_SignInit", "C_Sign", "C_GenerateKeyPair", "C_CreateObject", "C_DestroyObject", "C_InitToken"];
    let asked: Vec<String> = calls(station).into_iter().filter(|call| asks.contains(&call.as_str())).collect();
    assert!(asked.is_empty(), "the token was asked: {asked:?}");
}
