//! The `openssl` program as a judge.

use std::path::Path;
use std::process::Command;

use super::station::Station;

/// Unpacks a release and has OpenSSL verify each leaf with the CRLs.
pub fn openssl_accepts(station: &Station, release: &str) {
    let key = station.verifier_key();
    station.run(&["unpack", release, "--to", "www", "--verifier-key", &key, "--hierarchy", "hierarchy.toml"]).ok();
    let www = station.path("www");
    let mut crls = Vec::new();
    for crl in super::files(&www.join("crls")) {
        let pem = crl.with_extension("pem");
        assert!(openssl(&["crl", "-inform", "DER", "-in", text(&crl), "-out", text(&pem)]).contains("status: 0"));
        crls.push(pem);
    }
    let (root, intermediates) = (www.join("root.pem"), www.join("intermediates.pem"));
    for leaf in super::files(&www.join("certs")) {
        let mut args = vec![
            "verify",
            "-x509_strict",
            "-crl_check_all",
            "-CAfile",
            text(&root),
            "-untrusted",
            text(&intermediates),
        ];
        for crl in &crls {
            args.extend(["-CRLfile", text(crl)]);
        }
        args.push(text(&leaf));
        let said = openssl(&args);
        assert!(said.contains(": OK"), "{said}");
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What it prints, and `status: N`.
pub fn openssl(args: &[&str]) -> String {
    let run = Command::new("openssl").args(args).output().unwrap();
    let said = [run.stdout, run.stderr].concat();
    format!("{}{}", String::from_utf8_lossy(&said), run.status.to_string().replace("exit ", ""))
}
