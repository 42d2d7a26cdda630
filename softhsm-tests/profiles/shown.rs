//! `show --profile`: a profile as a table, and a specimen.

use std::fs;
use std::process::Command;

use coldroot::config::Hierarchy;

use super::harness::station::COLDROOT;
use super::openssl;

const EXAMPLE: &str = include_str!("../../ceremony-scripts/hierarchy.example.toml");

/// More profiles of the servers' CA: every base of end entities.
const MORE: &str = r#"
[[profile]]
id = "people"
base = "xmpp-client"
issuer = "servers-1"

[[profile]]
id = "mail"
base = "tls-client"
issuer = "servers-1"
validity = "36h"
validators = 1

[[profile]]
id = "stapled"
base = "tls-server"
issuer = "servers-1"
extensions = { tls-feature = "needed", other = "refused" }
added-extensions = [{ oid = "1.3.6.1.4.1.32473.9", der = "0500" }]

[[profile]]
id = "unused"
base = "intermediate"

[[validator]]
id = "registry"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILlMg+hpccDHXdtBMaTN4PUF1R5vPvNj44MxiEW1ureW"]
"#;

struct Said {
    code: i32,
    out: String,
    err: String,
}

/// Runs in a directory that holds the hierarchy and nothing else.
fn show(dir: &tempfile::TempDir, args: &[&str]) -> Said {
    let mut command = Command::new(COLDROOT);
    command.current_dir(dir.path()).args(["show", "hierarchy.toml"]).args(args).env("NO_COLOR", "1");
    let run = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: run.status.code().unwrap(), out: text(run.stdout), err: text(run.stderr) }
}

fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hierarchy.toml"), format!("{EXAMPLE}{MORE}")).unwrap();
    dir
}

#[test]
fn a_profile_is_a_table_and_a_specimen_of_it_that_others_read() {
    let dir = place();
    let text = fs::read_to_string(dir.path().join("hierarchy.toml")).unwrap();
    let h = Hierarchy::parse(&text).unwrap();
    for profile in &h.profiles {
        let id = profile.id.as_str();
        let said = show(&dir, &["--profile", id]);
        assert_eq!(said.code, 0, "{id}: {}", said.err);
        for line in said.out.lines() {
            assert!(line.chars().count() <= 80, "{id}: {line}");
        }
        let json = show(&dir, &["--profile", id, "--json"]);
        let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert!(json["profile"]["inherits from"].as_str().unwrap().ends_with(profile.base.name()), "{json:#}");
        if id == "unused" {
            assert!(said.out.contains("No CA has it") && json["specimen"].is_null(), "{}", said.out);
            assert_eq!(show(&dir, &["--profile", id, "--pem"]).code, 1);
            continue;
        }
        assert!(said.out.contains("A specimen, by throw-away keys: it certifies nothing."), "{}", said.out);
        assert!(json["specimen"]["pem"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----\n"), "{json:#}");
        let pem = show(&dir, &["--profile", id, "--pem"]);
        let file = dir.path().join("specimen.pem");
        fs::write(&file, &pem.out).unwrap();
        let read = openssl(&["x509", "-in", file.to_str().unwrap(), "-noout", "-text"]);
        assert!(read.contains("Signature Algorithm"), "{id}: {read}");
        assert_eq!(read.contains("CA:TRUE"), profile.base.is_ca(), "{id}: {read}");
        fs::remove_file(file).unwrap();
    }
    let said = |id: &str| show(&dir, &["--profile", id]).out;
    for (id, parts) in [
        ("xmpp-server", &["_xmpp-server.specimen.example.org", "names ignored", "the built-in xmpp-server"][..]),
        ("people", &["juliet@specimen.example.org", "xmpp-addr"]),
        ("mail", &["36 hours", "urn:example:specimen", "1 of the validators within 200 days", "CN, the id"]),
        ("stapled", &["TLS feature: needed", "all others: refused", "1.3.6.1.4.1.32473.9 0500", "tls-server, then"]),
        ("device", &["ecdsa-p256, ed25519", "CN=specimen-1"]),
        ("root", &["root: rfc5280", "path length"]),
        ("intermediate", &["http://ca.example.org/cps", "yes, path length 0"]),
    ] {
        let out = said(id);
        for part in parts {
            assert!(out.contains(part), "{id}: `{part}` is not in\n{out}");
        }
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["hierarchy.toml"], "nothing else is there, and nothing was needed");
}

#[test]
fn a_profile_that_is_none_is_refused_and_one_that_cannot_be_issued_says_why() {
    let dir = place();
    let said = show(&dir, &["--profile", "a\u{1b}[31m"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("has no profile") && said.err.contains("xmpp-server, tls-server"), "{}", said.err);
    assert!(!said.err.contains('\u{1b}'), "{}", said.err);
    let said = show(&dir, &["--pem"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    // A name constraint leaves no room for the specimen's own names.
    let path = dir.path().join("hierarchy.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("{ dns = \"localhost\" }", "{ dns = \"\" }")).unwrap();
    let said = show(&dir, &["--profile", "xmpp-server"]);
    assert!(
        said.code == 0 && said.out.contains("There is no specimen") && said.out.contains("name-constraints"),
        "{}",
        said.out
    );
    let said = show(&dir, &["--profile", "xmpp-server", "--pem"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
}
