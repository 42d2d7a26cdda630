//! A parent that says anything, in any order, to the gate.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../scene.rs"]
mod scene;
use scene::Scene;

static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
static SCENE: LazyLock<Scene> = LazyLock::new(|| Scene::new(DIR.path(), "/proc/self/exe".into()));

fuzz_target!(
    init: {
        // The gate starts its workers from this very program.
        if std::env::args().nth(1).as_deref() == Some("worker") {
            scene::worker();
            std::process::exit(0);
        }
    },
    |input: &[u8]| {
        SCENE.play(input);
    }
);
