//! Validators' lists, tables of revocations, and bundles of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldroot::bundle::{self, Head, Item};
use coldroot::digest::Digest;
use coldroot::text::utc;

use super::forged::Forged;
use super::station::{Run, Station, now};

/// Signs a file as stock `ssh-keygen -Y sign` does; the signature's path.
pub fn ssh_sign(key: &Path, namespace: &str, file: &Path) -> PathBuf {
    let signature = PathBuf::from(format!("{}.sig", file.display()));
    let _ = fs::remove_file(&signature);
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-Y", "sign", "-q", "-n", namespace, "-f"]).arg(key).arg(file);
    let run = Run::of(&mut sign);
    assert_eq!(run.code, 0, "{run:?}");
    signature
}

/// One validation of a list.
#[derive(Clone)]
pub struct Said {
    pub names: Vec<String>,
    pub requester: String,
    pub time: i64,
    pub takes_over: bool,
}

/// These names are the usual requester's, found out an hour ago.
pub fn said(names: &[String]) -> Said {
    Said { names: names.to_vec(), requester: "hostmaster@example.org".into(), time: now() - 3600, takes_over: false }
}

/// The text of a list for the harness's usual hierarchy.
pub fn list_text(validations: &[Said]) -> String {
    let mut text = String::from(
        "format = \"coldroot-validations-v0\"\nhierarchy = \"Road\"\norigin = \"example.org/coldroot/demo\"\n\
         environment = \"rehearsal\"\n",
    );
    for said in validations {
        text.push_str(&format!(
            "\n[[validation]]\nnames = {:?}\nrequester = {:?}\nmethod = \"dns-txt\"\nevidence = \"{}\"\ntime = \"{}\"\n",
            said.names,
            said.requester,
            Digest::of(said.requester.as_bytes()).hex(),
            utc(said.time)
        ));
        if said.takes_over {
            text.push_str("takes-over = true\n");
        }
    }
    text
}

impl Station {
    /// A list with its signature beside it; its path.
    pub fn list(&self, name: &str, key: &Path, text: &str) -> PathBuf {
        let path = self.desk(name);
        fs::write(&path, text).unwrap();
        ssh_sign(key, bundle::VALIDATIONS, &path);
        path
    }

    /// `pack` with all its arguments given, but desk-1 and its key.
    pub fn pack_args(&self, out: &Path, sequence: u64, extra: &[&str]) -> Run {
        self.pack_as("desk-1", out, sequence, extra)
    }

    /// `pack` by a desk whose key file is called after it.
    pub fn pack_as(&self, desk: &str, out: &Path, sequence: u64, extra: &[&str]) -> Run {
        let (key, sequence) = (self.desk(desk), sequence.to_string());
        let args = ["pack", "--desk", desk, "--key", key.to_str().unwrap(), "--sequence", &sequence];
        self.run(&[&args[..], &["--out", out.to_str().unwrap()], extra].concat())
    }

    /// A bundle of revocations alone: (serial, reason).
    #[track_caller]
    pub fn pack_revocations(&self, rows: &[(&str, &str)], sequence: u64) -> PathBuf {
        let table = self.revocations(&format!("revocations-{sequence}.csv"), rows);
        let out = self.desk(&format!("revocations-{sequence}.bundle"));
        self.pack_args(&out, sequence, &["--revocations", table.to_str().unwrap()]).ok();
        out
    }

    /// A table of revocations.
    pub fn revocations(&self, name: &str, rows: &[(&str, &str)]) -> PathBuf {
        let row = |(serial, reason): &(&str, &str)| format!("{serial},{reason},hostmaster@example.org\n");
        let table = self.desk(name);
        let rows: String = rows.iter().map(row).collect();
        fs::write(&table, format!("serial,reason,requester\n{rows}")).unwrap();
        table
    }

    /// A signed bundle of these items, whatever they are, by desk-1.
    pub fn bundle_of(&self, name: &str, items: &[Item], edit: impl FnOnce(&mut Head) + 'static) -> PathBuf {
        Forged::new().items(items.iter().cloned()).head(edit).write(self, name)
    }
}
