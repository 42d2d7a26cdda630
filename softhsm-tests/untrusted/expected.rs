//! Expected outputs: one file for each door, one part for each sample.

use std::fs;
use std::path::PathBuf;

pub struct Expected {
    path: PathBuf,
    found: String,
}

impl Expected {
    pub fn new(kind: &str) -> Expected {
        let path = super::harness::repository().join(format!("softhsm-tests/untrusted/expected/{kind}.txt"));
        Expected { path, found: String::new() }
    }

    pub fn add(&mut self, name: &str, text: &str) {
        self.found.push_str(&format!("=== {name}\n{text}"));
    }

    /// Compares, octet for octet; with `UPDATE_EXPECTED` set it writes the file instead.
    pub fn finish(self) {
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            return fs::write(&self.path, &self.found).unwrap();
        }
        let expected = fs::read_to_string(&self.path).unwrap_or_default();
        if expected == self.found {
            return;
        }
        let differs = expected.lines().zip(self.found.lines()).position(|(a, b)| a != b);
        let at = differs.unwrap_or_else(|| expected.lines().count().min(self.found.lines().count()));
        let [old, new] = [&expected, &self.found].map(|text| text.lines().nth(at).unwrap_or("(end)"));
        let part = self.found.lines().take(at + 1).filter_map(|line| line.strip_prefix("=== ")).last();
        panic!(
            "{}, line {}, in `{}`:\n- {old}\n+ {new}\nif that is meant: UPDATE_EXPECTED=1 cargo test --test untrusted",
            self.path.display(),
            at + 1,
            part.unwrap_or_default()
        );
    }
}
