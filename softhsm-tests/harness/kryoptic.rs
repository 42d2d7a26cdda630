//! Kryoptic, the token in software that knows ML-DSA and SLH-DSA: its module, and a station on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::station::HIERARCHY;

/// The module's absolute path: what `COLDROOT_KRYOPTIC` names, or what `softhsm-tests/build-kryoptic` makes in the directory
/// of the running test's builds. That takes minutes the first time.
pub fn module() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Some(named) = std::env::var_os("COLDROOT_KRYOPTIC").filter(|named| !named.is_empty()) {
            let named = PathBuf::from(named);
            assert!(named.is_file(), "COLDROOT_KRYOPTIC names no file: {}", named.display());
            return named;
        }
        // This test program is target/PROFILE/deps/NAME.
        let exe = std::env::current_exe().unwrap();
        let target = exe.ancestors().nth(3).unwrap().join("kryoptic");
        let built =
            Command::new(super::repository().join("softhsm-tests/build-kryoptic")).arg(target).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        PathBuf::from(String::from_utf8(built.stdout).unwrap().trim())
    })
}

/// [`HIERARCHY`] on Kryoptic, both CA keys of this kind. The station's `kryoptic.conf` is the harness's.
pub fn hierarchy(algorithm: &str) -> String {
    let algorithm = format!("algorithm = \"{algorithm}\"");
    HIERARCHY
        .replace("\"@MODULE@\"", &format!("\"{}\"", module().display()))
        .replace("SOFTHSM2_CONF = \"softhsm2.conf\"", "KRYOPTIC_CONF = \"kryoptic.conf\"")
        .replace("algorithm = \"ecdsa-p384\"", &algorithm)
        .replace("algorithm = \"ecdsa-p256\"", &algorithm)
}
