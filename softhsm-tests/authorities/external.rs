//! CAs whose certificates an external root makes: the request out of the token, the certificate judged and adopted, what is issued under
//! it, and its renewal.

use std::fs;
use std::path::Path;

use coldroot::audit::entry::Body;
use coldroot::digest::Digest;
use coldroot::x509;

use crate::foreign::{ceremony, openssl, refuses};
use crate::harness::batch::stopped_anywhere;
use crate::harness::refused_in;
use crate::harness::station::{Station, fresh, now};
use crate::outside::{
    CEREMONY, Outside, adopt, adopted, adoptions, approved, asked, csr, declared, hierarchy, not_adopted, unpacked,
    with,
};

const DAY: i64 = 86_400;

#[test]
fn a_ca_under_an_external_root_from_its_key_to_its_leaves() {
    let outside = Outside::new();
    let station = Station::bare_of(declared(&outside));
    fs::copy(outside.path("top.pem"), station.path("top.pem")).unwrap();
    station.init().ok();
    station.carried_out(&station.planned_ceremony_of(CEREMONY));
    let plan = station.planned_ceremony_of(CEREMONY);
    let shown = station.run(&["show", plan.to_str().unwrap()]).ok();
    assert!(shown["statement"].as_str().unwrap().contains("act          csr xmpp-1 intermediate count 1\n"), "{shown}");
    station.run(&["show", plan.to_str().unwrap(), "--item", "0"]).ok();
    let release = station.carried_out(&plan);
    let key = station.verifier_key();
    station.run(&["check", release.to_str().unwrap(), "--verifier-key", &key, "--hierarchy", "hierarchy.toml"]).ok();

    // The request leaves, as openssl reads and verifies it.
    let to = station.desk("request");
    station.run(&["unpack", release.to_str().unwrap(), "--to", to.to_str().unwrap(), "--verifier-key", &key]).ok();
    fs::copy(to.join("csrs/xmpp-1.csr"), outside.path("left.csr")).unwrap();
    outside.openssl("req -in left.csr -noout -verify");
    outside.openssl("req -in left.csr -outform DER -out left.der");
    assert_eq!(fs::read(outside.path("left.der")).unwrap(), csr(&station));
    let manifest = fs::read_to_string(to.join("manifest.json")).unwrap();
    let page = fs::read_to_string(to.join("report.html")).unwrap();
    assert!(manifest.contains("csrs/xmpp-1.csr") && page.contains("csrs/xmpp-1.csr"), "{manifest}");
    outside.take(&station);
    let asked = x509::Request::parse(&csr(&station)).unwrap();
    assert!(asked.asks_for_ca && asked.san.is_none(), "{asked:?}");

    // Without its certificate the CA issues nothing, and the next command is said.
    let before = station.state();
    let bundle = station.bundle(1, 1);
    let run = station.plan(&bundle).fails(1, "CA `xmpp-1` has no certificate yet: an external issuer certifies it");
    assert!(run["hint"].as_str().unwrap().contains("coldroot adopt-certificate --ca xmpp-1"), "{run}");
    station.only_read_in(&before, &bundle);
    refuses(&station, "kind = \"crl\"\nca = \"xmpp-1\"", 1, "has no certificate yet");

    outside.certify("xmpp-1", 900);
    outside.hand_over(&station, &["xmpp-1"], "xmpp-1.pem");
    let (statement, approvals) = approved(&station, "xmpp-1.pem");
    for line in [
        "adopt-certificate: certificate of CA xmpp-1, with sha256\n             ",
        "adopt-certificate: it is the first one of this CA\n",
    ] {
        assert!(statement.contains(line), "`{line}` is missing:\n{statement}");
    }
    assert!(!statement.contains("within what is declared"), "{statement}");
    let sha256 = outside.sha256("top.pem");
    assert!(
        statement.contains(&format!("adopt-certificate: its issuer's certificate has sha256\n{:13}{sha256}\n", "")),
        "{statement}"
    );
    not_adopted(&station, &with(&adopt("xmpp-1.pem", &[]), &approvals[..1]), 1, "2 of role officer must approve");
    station.run(&with(&adopt("xmpp-1.pem", &[]), &approvals)).ok();
    station.check_log();
    // Once more is no second time.
    let before = station.bodies().len();
    station.run(&adopt("xmpp-1.pem", &[])).ok();
    assert_eq!((station.bodies().len(), adoptions(&station).len()), (before, 1));

    // Leaves and the first CRL, judged by name constraints too.
    let rows = [fresh("inside", &["chat.example.org"]), fresh("outside", &["chat.example.net"])];
    let release = station.carried_out(&station.planned(&station.pack(&station.requests("names", &rows), 1)));
    let root = outside.path("top.pem");
    let to = unpacked(&station, &release, "www", &root);
    assert_eq!(refused_in(&to), [("outside".to_owned(), "name-constraints".to_owned())]);
    assert_eq!(fs::read_to_string(to.join("root.pem")).unwrap(), fs::read_to_string(&root).unwrap());
    openssl(&to, "crl -inform DER -in crls/xmpp-1.crl -out crl.pem");
    openssl(
        &to,
        "verify -x509_strict -purpose sslserver -CAfile root.pem -untrusted intermediates.pem certs/inside.pem",
    );
    openssl(&to, "verify -crl_check -CRLfile crl.pem -CAfile root.pem -untrusted certs/inside.pem certs/inside.pem");
    let twin = outside.path("twin.pem");
    let wrong = ["check", release.to_str().unwrap(), "--verifier-key", &key, "--root", twin.to_str().unwrap()];
    station.run(&wrong).fails(4, "`root` failed");
    station.check_log();
    station.run(&["show", "audit"]).ok();
}

#[test]
fn a_certificate_that_is_not_the_one_asked_for_is_not_adopted() {
    let outside = Outside::new();
    let station = asked(&outside, declared(&outside));
    outside.changed("good", "nothing", "");
    outside.openssl("ecparam -name prime256v1 -genkey -noout -out other.key");
    outside.openssl("pkey -in other.key -pubout -out other.pub");
    outside.openssl("req -new -config c.cnf -section printable -key other.key -out printable.csr");
    outside.openssl("req -new -config c.cnf -section utf8 -key other.key -out utf8.csr");
    let own = "-force_pubkey ours.pub";
    let none = "nothing";
    for (line, more, saying) in [
        (none, "-in utf8.csr", "`adopted-request` failed: CA `xmpp-1`: its certificate is for another key"),
        (none, &format!("-in printable.csr {own}") as &str, "in other string types or another form"),
        (
            none,
            "-CA twin.pem -CAkey twin.key",
            "`adopted-certificate` failed: CA `xmpp-1`: its certificate does not verify",
        ),
        (none, "-CA middle.pem -CAkey middle.key", "its certificate does not verify"),
        (none, "-sha1", "signature algorithm 1.2.840.10045.4.1 is not accepted"),
        (none, "-set_serial 0", "the serial number is not 1 to 20 octets of a positive number"),
        (none, "-days 1001", "`adopted-validity` failed"),
        (none, "-days 4001", "its validity is not inside the issuer's"),
        ("basicConstraints = critical, CA:TRUE, pathlen:1", "", "its path length is 1, declared is 0"),
        ("basicConstraints = critical, CA:TRUE", "", "its path length is none, declared is 0"),
        ("basicConstraints = critical, CA:FALSE", "", "it is no CA's (basicConstraints)"),
        ("basicConstraints = CA:TRUE, pathlen:0", "", "its extension 2.5.29.19 is not critical"),
        ("keyUsage = critical, keyCertSign", "", "its keyUsage lacks cRLSign"),
        ("keyUsage = critical, keyCertSign, cRLSign, keyEncipherment", "", "its keyUsage has more than"),
        ("keyUsage = keyCertSign, cRLSign", "", "its extension 2.5.29.15 is not critical"),
        ("nameConstraints", "", "its name constraints do not have DNS example.org as permitted"),
        (
            "nameConstraints = critical, permitted;DNS:example.org, permitted;DNS:example.net",
            "",
            "permit DNS example.net, which is not declared",
        ),
        ("nameConstraints = permitted;DNS:example.org", "", "its extension 2.5.29.30 is not critical"),
        ("extendedKeyUsage", "", "it has no extKeyUsage, so it is for everything"),
        (
            "extendedKeyUsage = serverAuth, codeSigning",
            "",
            "it is for 1.3.6.1.5.5.7.3.3 (extKeyUsage), which is not declared",
        ),
        ("certificatePolicies = 2.999.1", "", "it has the policy 2.999.1, which is not declared"),
        ("subjectAltName = DNS:ca.example.org", "", "it has a subjectAltName, and none is declared"),
        ("subjectKeyIdentifier = none", "", "it has no subjectKeyIdentifier"),
        ("1.2.3.4 = critical, ASN1:NULL", "", "critical extension 1.2.3.4 is not understood"),
    ] {
        outside.changed("wrong", line, more);
        outside.hand_over(&station, &["wrong"], "wrong.pem");
        not_adopted(&station, &adopt("wrong.pem", &[]), 1, saying);
    }
    // All that is wider is said at once.
    outside.changed("wrong", "extendedKeyUsage", "-set_serial 5");
    fs::write(outside.path("changed.cnf"), "[changed]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n").unwrap();
    outside.openssl("x509 -req -in ours.csr -CA top.pem -CAkey top.key -days 900 -extfile changed.cnf -extensions changed -out wrong.pem");
    outside.hand_over(&station, &["wrong"], "wrong.pem");
    let said =
        station.run(&adopt("wrong.pem", &[])).fails(1, "its path length is none")["error"].as_str().unwrap().to_owned();
    for words in ["lacks cRLSign", "no extKeyUsage", "do not have DNS example.org"] {
        assert!(said.contains(words), "{said}");
    }

    outside.hand_over(&station, &["good"], "good.pem");
    // What is no certificate, not strictly one, for another CA, not yet valid or no longer.
    outside.openssl("x509 -in good.pem -outform DER -out good.der");
    let good = fs::read(outside.path("good.der")).unwrap();
    fs::write(station.path("long.der"), [&good[..], &[0]].concat()).unwrap();
    not_adopted(&station, &adopt("long.der", &[]), 1, "cannot be read");
    not_adopted(&station, &adopt("hierarchy.toml", &[]), 1, "is no certificate");
    fs::write(station.path("huge.pem"), vec![b'x'; 200_000]).unwrap();
    not_adopted(&station, &adopt("huge.pem", &[]), 1, "is larger than");
    not_adopted(&station, &adopt("missing.pem", &[]), 1, "missing.pem");
    let of_root: Vec<&str> =
        adopt("good.pem", &[]).into_iter().map(|arg| if arg == "xmpp-1" { "root" } else { arg }).collect();
    not_adopted(&station, &of_root, 1, "`root` is no CA that an external issuer certifies");
    let early = coldroot::text::utc(now() + 901 * DAY);
    not_adopted(&station, &adopt("good.pem", &["--now", &early]), 1, "`adopted-validity` failed");
    // The declared issuer is the one: neither another file in its place nor another one in the chain.
    outside.hand_over(&station, &["good", "twin"], "chained.pem");
    not_adopted(&station, &adopt("chained.pem", &[]), 1, "is not the declared one of the issuer");
    fs::copy(outside.path("twin.pem"), station.path("top.pem")).unwrap();
    not_adopted(&station, &adopt("good.pem", &[]), 1, "is not the certificate that the hierarchy declares");
    fs::write(station.path("again.toml"), ceremony("kind = \"csr\"\nca = \"xmpp-1\"")).unwrap();
    let before = station.state();
    station.run(&["plan", "--ceremony", "again.toml"]).fails(1, "is not the certificate that the hierarchy declares");
    assert!(station.state() == before);
    fs::copy(outside.path("top.pem"), station.path("top.pem")).unwrap();
    // After all of this the good one is taken.
    adopted(&station, "good.pem");
    station.check_log();
}

#[test]
fn a_narrower_certificate_is_adopted_and_its_differences_are_signed() {
    let outside = Outside::new();
    let station = asked(&outside, declared(&outside));
    fs::write(
        outside.path("changed.cnf"),
        "[changed]\nbasicConstraints = critical, CA:TRUE, pathlen:0\nkeyUsage = critical, keyCertSign, cRLSign, digitalSignature\n\
         nameConstraints = critical, permitted;DNS:example.org, excluded;DNS:secret.example.org\nextendedKeyUsage = serverAuth\n\
         subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n1.2.3.4 = ASN1:NULL\n",
    )
    .unwrap();
    outside.openssl("x509 -req -in ours.csr -CA top.pem -CAkey top.key -days 900 -extfile changed.cnf -extensions changed -out ours.pem");
    outside.hand_over(&station, &["ours"], "ours.pem");
    let statement = adopted(&station, "ours.pem");
    for words in [
        "its keyUsage has digitalSignature besides",
        "its name constraints exclude DNS secret.example.org besides",
        "it is not for 1.3.6.1.5.5.7.3.2 (extKeyUsage)",
        "it has the extension 1.2.3.4 besides",
    ] {
        assert!(
            statement.contains(&format!("adopt-certificate: within what is declared: {words}\n")),
            "{words}:\n{statement}"
        );
    }
    // A leaf for clients would lie outside of it now.
    let rows = [fresh("a", &["chat.example.org"])];
    let release = station.carried_out(&station.planned(&station.pack(&station.requests("names", &rows), 1)));
    let to = unpacked(&station, &release, "www", &outside.path("top.pem"));
    assert_eq!(refused_in(&to), [("a".to_owned(), "issuer-purposes".to_owned())]);
    station.check_log();
}

#[test]
fn a_certificate_is_renewed_for_the_same_key_and_the_first_one_stays_on_record() {
    let outside = Outside::new();
    let station = asked(&outside, declared(&outside));
    outside.certify("first", 500);
    outside.hand_over(&station, &["first"], "first.pem");
    adopted(&station, "first.pem");
    station.carried_out(&station.planned(&station.bundle(1, 1)));
    // Another request, which is an act of its own.
    station.carried_out(&station.planned_ceremony_of(&ceremony("kind = \"csr\"\nca = \"xmpp-1\"")));
    outside.take(&station);
    outside.certify("second", 900);
    outside.changed("other-id", "nothing", "");
    outside.hand_over(&station, &["other-id"], "other-id.pem");
    not_adopted(
        &station,
        &adopt("other-id.pem", &[]),
        1,
        "its subject key identifier is not that of the certificate before",
    );
    outside.hand_over(&station, &["second"], "second.pem");
    let statement = adopted(&station, "second.pem");
    let first = outside.sha256("first.pem");
    assert!(
        statement.contains(&format!("adopt-certificate: it comes in place of the one with sha256\n{:13}{first}\n", "")),
        "{statement}"
    );
    let made = adoptions(&station);
    assert_eq!((made.len(), made[0].replaces, made[1].replaces.map(|before| before.hex())), (2, None, Some(first)));
    station.check_log();

    let release = station.carried_out(&station.planned(&station.bundle(1, 2)));
    let to = unpacked(&station, &release, "www", &outside.path("top.pem"));
    let (second, chain) = (outside.sha256("second.pem"), fs::read_to_string(to.join("intermediates.pem")).unwrap());
    let newest = x509::certificate_ders(chain.as_bytes()).unwrap();
    assert_eq!(newest.iter().map(|der| Digest::of(der).hex()).collect::<Vec<_>>(), [second]);
    // What was issued before verifies under either.
    assert_eq!(station.leaves().len(), 2);
    for (.., der) in station.leaves() {
        fs::write(to.join("leaf.der"), &der).unwrap();
        openssl(&to, "x509 -inform DER -in leaf.der -out leaf.pem");
        openssl(&to, "verify -x509_strict -CAfile root.pem -untrusted intermediates.pem leaf.pem");
    }
    station.check_log();
}

#[test]
fn p03_the_adoption_of_a_certificate_stopped_anywhere_is_made_once() {
    let outside = Outside::new();
    let station = asked(&outside, declared(&outside));
    outside.certify("ours", 900);
    outside.hand_over(&station, &["ours"], "ours.pem");
    let (_, approvals) = approved(&station, "ours.pem");
    let args = with(&adopt("ours.pem", &[]), &approvals);
    let calls = ["fdatasync", "?rename,?renameat,?renameat2"];
    let stops = stopped_anywhere(&station, &args, &calls, |copy, stop, again| {
        again.ok();
        assert_eq!(adoptions(&copy).len(), 1, "{stop}");
        copy.check_log();
    });
    assert!(stops > 4, "only {stops} stops");
}

#[test]
fn p03_a_request_stopped_anywhere_is_made_once() {
    let outside = Outside::new();
    let station = Station::bare_of(declared(&outside));
    fs::copy(outside.path("top.pem"), station.path("top.pem")).unwrap();
    station.init().ok();
    station.carried_out(&station.planned_ceremony_of(CEREMONY));
    let plan = station.planned_ceremony_of(CEREMONY);
    let approvals = station.approve(&plan);
    let args = station.sign_args(&plan, &approvals);
    let stops = stopped_anywhere(&station, &args, &["fdatasync"], |copy, stop, again| {
        assert!(again.code == 0 || again.out.contains("was carried out already"), "{stop}: {again:?}");
        let made = copy.bodies().into_iter().filter(|body| matches!(body, Body::Csr(_))).count();
        assert_eq!(made, 1, "{stop}");
        copy.check_log();
    });
    assert!(stops > 4, "only {stops} stops");
}

/// The issuer is not declared and no root: it comes with the certificate, and the quorum signs its SHA-256.
#[test]
fn an_issuer_that_is_not_declared_comes_with_the_certificate() {
    let outside = Outside::new();
    let station = asked(&outside, hierarchy(""));
    outside.changed("ours", "nothing", "-CA middle.pem -CAkey middle.key");
    outside.hand_over(&station, &["ours"], "alone.pem");
    not_adopted(&station, &adopt("alone.pem", &[]), 1, "is neither declared nor in the file");
    outside.hand_over(&station, &["ours", "top"], "gap.pem");
    not_adopted(&station, &adopt("gap.pem", &[]), 1, "its certificate does not verify");
    // More than one entry of the log can hold.
    fs::write(outside.path("long.cnf"), format!("[long]\nnsComment = \"{}\"\n", "x".repeat(30_000))).unwrap();
    outside.openssl("x509 -req -in middle.csr -CA top.pem -CAkey top.key -days 900 -extfile long.cnf -extensions long -out long.pem");
    outside.hand_over(&station, &["ours", "long", "long"], "long.pem");
    not_adopted(&station, &adopt("long.pem", &[]), 1, "octets together, more than 49152");
    outside.hand_over(&station, &["ours", "middle", "top"], "chain.pem");
    let statement = adopted(&station, "chain.pem");
    for (whose, name) in [("its issuer's certificate", "middle.pem"), ("that one's issuer's", "top.pem")] {
        assert!(
            statement.contains(&format!("adopt-certificate: {whose} has sha256\n{:13}{}\n", "", outside.sha256(name))),
            "{statement}"
        );
    }
    let release = station.carried_out(&station.planned(&station.bundle(2, 1)));
    let to = unpacked(&station, &release, "www", &outside.path("top.pem"));
    let chain = x509::certificate_ders(&fs::read(to.join("intermediates.pem")).unwrap()).unwrap();
    assert_eq!(chain.len(), 2);
    let leaf = fs::read_dir(to.join("certs")).unwrap().next().unwrap().unwrap().path();
    // The leaf's own file has the chain behind it.
    openssl(&to, &format!("verify -x509_strict -CAfile root.pem -untrusted {0} {0}", leaf.display()));
    let key = station.verifier_key();
    let root = outside.path("twin.pem");
    let args = ["check", release.to_str().unwrap(), "--verifier-key", &key, "--root", root.to_str().unwrap()];
    station.run(&args).fails(4, "`root` failed");
    station.check_log();
}

#[test]
fn a_request_that_its_issuer_could_not_certify_is_not_signed_and_no_key_is_made() {
    let outside = Outside::new();
    for (change, saying) in [
        (("days = 1000", "days = 4100"), "`validity-in-issuer` failed"),
        (("path-len = 0", "path-len = 3"), "`path-length` failed"),
        (("issuer-sha256 = \"", "issuer-sha256 = \"00"), "issuer-sha256"),
    ] {
        let text = declared(&outside);
        assert!(text.contains(change.0), "{}", change.0);
        let station = Station::new_of(text.replace(change.0, change.1));
        fs::copy(outside.path("top.pem"), station.path("top.pem")).unwrap();
        if saying == "issuer-sha256" {
            station.run(&["check", "hierarchy.toml"]).fails(2, "ca[1].issuer-sha256");
            continue;
        }
        station.token_init();
        station.approve(Path::new("hierarchy.toml"));
        station.init().ok();
        let before = station.state();
        fs::write(station.path("ceremony.toml"), CEREMONY).unwrap();
        station.run(&["plan", "--ceremony", "ceremony.toml"]).fails(1, saying);
        assert!(station.state() == before, "{saying}: something was left behind");
    }
}

/// The external CA certifies one of this station's: its key is made in a ceremony whose dry run has a twin for what is outside.
#[test]
fn a_ca_below_one_under_an_external_root_is_certified_here() {
    let outside = Outside::new();
    let below = "[[key]]\nid = \"sub-key\"\ntoken = \"main\"\nlabel = \"sub\"\nalgorithm = \"ecdsa-p256\"\nbackup = \"none\"\n\n\
        [[ca]]\nid = \"sub\"\nkey = \"sub-key\"\nissuer = \"xmpp-1\"\nprofile = \"last\"\nsubject = [{ O = \"REHEARSAL\" }, { CN = \"Road Sub\" }]\n\
        days = 300\ncrl-days = 10\n\n[ca.limits]\neku = [\"server-auth\", \"client-auth\"]\n\n\
        [[profile]]\nid = \"last\"\nbase = \"intermediate\"\npath-len = 0\n\n[[profile]]";
    let text = declared(&outside).replacen("[[profile]]", below, 1).replace(
        "id = \"intermediate\"\nbase = \"intermediate\"\npath-len = 0",
        "id = \"intermediate\"\nbase = \"intermediate\"\npath-len = 1",
    );
    let station = asked(&outside, text);
    let ceremony_below =
        ceremony("kind = \"generate-key\"\nkey = \"sub-key\"\n\n[[act]]\nkind = \"intermediate\"\nca = \"sub\"");
    fs::write(station.path("below.toml"), &ceremony_below).unwrap();
    let before = station.state();
    station.run(&["plan", "--ceremony", "below.toml"]).fails(1, "CA `xmpp-1` has no certificate yet");
    assert!(station.state() == before);
    outside.certify("ours", 900);
    outside.hand_over(&station, &["ours"], "ours.pem");
    adopted(&station, "ours.pem");
    for _ in ["key", "certificate"] {
        station.carried_out(&station.planned_ceremony_of(&ceremony_below));
    }
    let release = station.path("out/release-0004");
    let to = unpacked(&station, &release, "www", &outside.path("top.pem"));
    fs::write(to.join("sub.der"), crate::foreign::certified(&station, "sub")).unwrap();
    openssl(&to, "x509 -inform DER -in sub.der -out sub.pem");
    openssl(&to, "verify -x509_strict -CAfile root.pem -untrusted intermediates.pem sub.pem");
    station.check_log();
}

#[test]
fn only_a_ca_with_an_external_issuer_makes_a_request() {
    let outside = Outside::new();
    let station = asked(&outside, declared(&outside));
    refuses(&station, "kind = \"csr\"\nca = \"root\"", 2, "is not certified by an external issuer");
    refuses(&station, "kind = \"intermediate\"\nca = \"xmpp-1\"", 2, "use `csr`, then `coldroot adopt-certificate`");
    refuses(&station, "kind = \"csr\"\nca = \"xmpp-1\"\nkey = \"xmpp-key\"", 2, "act[0].key");
    refuses(&station, "kind = \"csr\"\nca = \"nobody\"", 2, "act[0].ca");
}
