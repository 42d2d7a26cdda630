//! Whole ceremonies on Kryoptic: the algorithms that SoftHSM lacks, and some that both have. Certificates and CRLs are verified
//! here a second time, by other libraries than the one in the module (OpenSSL 3.5): aws-lc-rs for ML-DSA, RustCrypto's slh-dsa for
//! SLH-DSA, and for the classical ones the `openssl` of this machine, another version in another process.

mod harness;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use aws_lc_rs::signature::{ML_DSA_44, ML_DSA_65, ML_DSA_87, UnparsedPublicKey, VerificationAlgorithm};
use coldroot::algorithm::{KeyAlgorithm, PostQuantum, SignatureAlgorithm};
use coldroot::audit::Log;
use coldroot::audit::entry::Body;
use coldroot::cbor::Bytes;
use coldroot::secret::Secret;
use coldroot::token::ask::{Answer, Ask, Class, ToSign};
use coldroot::token::client::Worker;
use coldroot::x509;
use harness::kryoptic;
use harness::openssl::{openssl, openssl_accepts, text};
use harness::station::{CEREMONY, COLDROOT, HIERARCHY, PIN, Run, Station};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// Root and intermediate made with CA keys of this kind.
fn station(algorithm: &str) -> Station {
    Station::ready_of(kryoptic::hierarchy(algorithm))
}

/// Signs a batch of `n` requests; the release's directory.
fn batch(station: &Station, n: u64, sequence: u64) -> String {
    station.carried_out(&station.planned(&station.bundle(n, sequence))).to_str().unwrap().into()
}

/// Revokes the first certificate of a request: a new CRL of the issuing CA.
fn revoke(station: &Station) {
    let (request, ..) = station.leaves().swap_remove(0);
    let serial = station.serial_of(&request);
    let plan = station.planned_by(&["--revoke", &serial, "--reason", "superseded"]);
    station.carried_out(&plan);
}

/// What one signed thing of the record shows: issuer, TBS, object identifier and signature.
struct Shown {
    issuer: String,
    tbs: Vec<u8>,
    oid: String,
    signature: Vec<u8>,
}

/// Everything that the station's CAs have signed, read by x509-parser alone, and their public keys by subject.
fn record(station: &Station) -> (Vec<Shown>, BTreeMap<String, Vec<u8>>) {
    let log = Log::read(&station.path("audit")).unwrap();
    let (mut shown, mut keys) = (Vec::new(), BTreeMap::new());
    for body in station.bodies() {
        match body {
            Body::Certificate(issued) => {
                let (_, certificate) = X509Certificate::from_der(&issued.der).unwrap();
                if issued.subject_ca.is_some() {
                    let spki = certificate.public_key();
                    assert_eq!(spki.algorithm.algorithm, certificate.signature_algorithm.algorithm);
                    keys.insert(certificate.subject().to_string(), spki.subject_public_key.data.to_vec());
                }
                assert!(certificate.signature_algorithm.parameters.is_none());
                shown.push(Shown {
                    issuer: certificate.issuer().to_string(),
                    tbs: certificate.tbs_certificate.as_ref().to_vec(),
                    oid: certificate.signature_algorithm.algorithm.to_id_string(),
                    signature: certificate.signature_value.data.to_vec(),
                });
            }
            Body::Crl(issued) => {
                let der = log.artefact(&issued.crl).unwrap();
                let (_, crl) = CertificateRevocationList::from_der(&der).unwrap();
                shown.push(Shown {
                    issuer: crl.issuer().to_string(),
                    tbs: crl.tbs_cert_list.as_ref().to_vec(),
                    oid: crl.signature_algorithm.algorithm.to_id_string(),
                    signature: crl.signature_value.data.to_vec(),
                });
            }
            _ => {}
        }
    }
    (shown, keys)
}

/// Judges everything on record, and that a changed signature fails: `by` takes key, TBS and signature. The counts of
/// certificates and CRLs are those of a station with a batch of `n` and one revocation.
fn judged(station: &Station, n: usize, oid: &str, by: impl Fn(&[u8], &[u8], &[u8]) -> bool) {
    let (shown, keys) = record(station);
    // Root, intermediate, leaves; the root's CRL, the issuing CA's first, and the one that tells of the revocation.
    assert_eq!((shown.len(), keys.len()), (2 + n + 3, 2));
    for signed in &shown {
        let key = &keys[&signed.issuer];
        assert_eq!(signed.oid, oid);
        assert!(by(key, &signed.tbs, &signed.signature), "{oid} by {}", signed.issuer);
        let mut flipped = signed.signature.clone();
        flipped[signed.signature.len() / 2] ^= 1;
        assert!(!by(key, &signed.tbs, &flipped));
    }
}

/// The log is good for the program, and for the verifier in Python as far as its `cryptography` reaches: what it cannot verify it
/// refuses by name, and with the option for that it says what it has left out.
fn check_log(station: &Station, title: &str) {
    let key = station.verifier_key();
    station.run(&["check", "audit", "--verifier-key", &key]).ok();
    let verify = |more: &[&str]| {
        let script = harness::repository().join("audit-logs/verify.py");
        let mut command = Command::new("python3");
        Run::of(command.arg(script).arg(station.path("audit")).args(["--verifier-key", &key]).args(more))
    };
    let run = verify(&[]);
    if run.code == 0 {
        assert!(!title.starts_with("SLH-DSA") && !run.err.contains("NOT VERIFIED"), "{run:?}");
        return;
    }
    let left_out = format!("signatures by {}, which this Python cannot verify", title.to_lowercase());
    assert!(title.contains("-DSA-") && run.code == 4 && run.err.contains(&left_out), "{run:?}");
    let run = verify(&["--allow-unverified"]);
    assert!(run.code == 0 && run.err.contains(&left_out) && run.out.contains("NOT VERIFIED"), "{run:?}");
}

/// `check` of log and release, the verifier in Python, and what `show` calls the algorithm.
fn checked(station: &Station, release: &str, title: &str) {
    check_log(station, title);
    let key = station.verifier_key();
    station.run(&["check", release, "--verifier-key", &key, "--hierarchy", "hierarchy.toml"]).ok();
    station.run(&["unpack", release, "--to", "www", "--verifier-key", &key, "--hierarchy", "hierarchy.toml"]).ok();
    for shown in ["www/root.pem", "www/crls/xmpp-1.crl"] {
        let shown = station.run(&["show", shown]).ok();
        assert_eq!(shown["signature"], title, "{shown}");
    }
}

/// A whole ceremony under ML-DSA.
fn ml_dsa(set: &str, oid: &str, verifier: &'static dyn VerificationAlgorithm) {
    let station = station(&set.to_lowercase());
    let release = batch(&station, 3, 1);
    checked(&station, &release, set);
    revoke(&station);
    judged(&station, 3, oid, |key, tbs, signature| {
        UnparsedPublicKey::new(verifier, key).verify(tbs, signature).is_ok()
    });
    check_log(&station, set);
}

#[test]
fn ml_dsa_44_signs_roots_intermediates_leaves_and_crls() {
    ml_dsa("ML-DSA-44", "2.16.840.1.101.3.4.3.17", &ML_DSA_44);
}

#[test]
fn ml_dsa_65_signs_roots_intermediates_leaves_and_crls() {
    ml_dsa("ML-DSA-65", "2.16.840.1.101.3.4.3.18", &ML_DSA_65);
}

#[test]
fn ml_dsa_87_signs_roots_intermediates_leaves_and_crls() {
    ml_dsa("ML-DSA-87", "2.16.840.1.101.3.4.3.19", &ML_DSA_87);
}

fn slh_dsa<P: slh_dsa::ParameterSet>(key: &[u8], tbs: &[u8], signature: &[u8]) -> bool {
    use slh_dsa::signature::Verifier;
    let (key, signature) =
        (slh_dsa::VerifyingKey::<P>::try_from(key).unwrap(), slh_dsa::Signature::<P>::try_from(signature).unwrap());
    key.verify(tbs, &signature).is_ok()
}

#[test]
fn slh_dsa_signs_roots_intermediates_leaves_and_crls() {
    let station = station("slh-dsa-sha2-128f");
    let release = batch(&station, 2, 1);
    checked(&station, &release, "SLH-DSA-SHA2-128f");
    revoke(&station);
    judged(&station, 2, "2.16.840.1.101.3.4.3.21", slh_dsa::<slh_dsa::Sha2_128f>);
    check_log(&station, "SLH-DSA-SHA2-128f");
}

/// 70 signatures of 49,856 octets are more than one message between the processes holds, and each certificate is longer than
/// most logs' entries.
#[test]
fn signatures_too_large_for_one_message_come_in_several() {
    let hierarchy = kryoptic::hierarchy("ecdsa-p256");
    let issuing = "label = \"xmpp-1\"\nalgorithm = \"ecdsa-p256\"";
    assert!(hierarchy.contains(issuing));
    let station =
        Station::ready_of(hierarchy.replace(issuing, "label = \"xmpp-1\"\nalgorithm = \"slh-dsa-sha2-256f\""));
    batch(&station, 70, 1);
    let leaves = station.leaves();
    assert_eq!(leaves.len(), 70);
    assert!(leaves.iter().all(|(.., der)| der.len() > 50_000));
    let issuing = station.bodies().into_iter().find_map(|body| match body {
        Body::KeyGenerated(key) if key.key == "xmpp-key" => Some(key.spki),
        _ => None,
    });
    let key = issuing.unwrap();
    for (_, _, der) in leaves.iter().step_by(23) {
        let (_, certificate) = X509Certificate::from_der(der).unwrap();
        let (tbs, signature) = (certificate.tbs_certificate.as_ref(), &certificate.signature_value.data);
        assert!(slh_dsa::<slh_dsa::Sha2_256f>(&key[key.len() - 64..], tbs, signature));
    }
    check_log(&station, "SLH-DSA-SHA2-256f");
}

#[test]
fn the_algorithms_that_other_tokens_have_are_accepted_by_openssl() {
    for (algorithm, title) in
        [("rsa-3072-pss", "RSA-PSS with SHA-256"), ("ed25519", "Ed25519"), ("ecdsa-p521", "ECDSA with SHA-512")]
    {
        let station = station(algorithm);
        let release = batch(&station, 2, 1);
        checked(&station, &release, title);
        std::fs::remove_dir_all(station.path("www")).unwrap();
        openssl_accepts(&station, &release);
    }
}

/// The same on SoftHSM, with the longer key and its longer digest.
#[test]
fn rsa_pss_of_softhsm_is_accepted_by_openssl_with_every_parameter_as_declared() {
    let hierarchy = HIERARCHY
        .replace("algorithm = \"ecdsa-p384\"", "algorithm = \"rsa-4096-pss\"")
        .replace("algorithm = \"ecdsa-p256\"", "algorithm = \"rsa-3072-pss\"");
    let station = Station::ready_of(hierarchy);
    let release = batch(&station, 2, 1);
    station.check_log();
    openssl_accepts(&station, &release);
    for (shown, title) in [("www/root.pem", "RSA-PSS with SHA-512"), ("www/crls/xmpp-1.crl", "RSA-PSS with SHA-256")] {
        assert_eq!(station.run(&["show", shown]).ok()["signature"], title);
    }
    let root = openssl(&["x509", "-in", text(&station.path("www/root.pem")), "-noout", "-text"]);
    for said in [
        "Public Key Algorithm: rsaEncryption",
        "Hash Algorithm: sha512",
        "Mask Algorithm: mgf1 with sha512",
        "Salt Length: 0x40",
        "Trailer Field: 0x01",
    ] {
        assert!(root.contains(said), "{said}: {root}");
    }
}

/// SoftHSM has no ML-DSA: that is said when keys are planned, and nothing of the ceremony is done.
#[test]
fn a_token_without_the_algorithm_makes_no_key_of_it() {
    let station = Station::bare_of(HIERARCHY.replace("algorithm = \"ecdsa-p384\"", "algorithm = \"ml-dsa-65\""));
    station.init().ok();
    std::fs::write(station.path("ceremony.toml"), CEREMONY).unwrap();
    let (_, files) = station.state();
    station.run(&["plan", "--ceremony", "ceremony.toml"]).fails(1, "not fit for ml-dsa-65 keys");
    assert_eq!(station.state().1, files, "a plan or an artefact was left behind");
    let done = |body: &Body| matches!(body, Body::Planned { .. } | Body::KeyGenerated(_) | Body::Certificate(_));
    assert!(!station.bodies().iter().any(done));
    station.check_log();
}

/// Every parameter set on its own: made, found again as what it is, and signing what other libraries verify.
#[test]
fn every_parameter_set_is_made_found_again_and_signs() {
    let station = Station::bare_of(kryoptic::hierarchy("ecdsa-p256"));
    let env = [("KRYOPTIC_CONF".to_owned(), station.path("kryoptic.conf").to_str().unwrap().to_owned())].into();
    // The configuration names the token's file relative to the station.
    let conf = std::fs::read_to_string(station.path("kryoptic.conf")).unwrap();
    let there = station.path("token").to_str().unwrap().to_owned();
    std::fs::write(station.path("kryoptic.conf"), conf.replace("\"token/", &format!("\"{there}/"))).unwrap();
    let mut worker = Worker::start(Path::new(COLDROOT), &["worker"], &env).unwrap();
    let listed = worker.ask(&Ask::List { module: kryoptic::module().into(), init_args: None }).unwrap();
    let Answer::Tokens(tokens) = listed else { panic!("{listed:?}") };
    let open = Ask::Open {
        module: kryoptic::module().into(),
        init_args: None,
        label: "road".into(),
        serial: tokens[0].serial.clone(),
        slot: None,
        sessions: 2,
        keep_pin: false,
    };
    assert!(matches!(worker.ask(&open).unwrap(), Answer::Opened(_)));
    assert!(matches!(worker.login(&Secret::new(PIN.as_bytes().to_vec())).unwrap(), Answer::LoggedIn));
    for (number, set) in (1u8..).zip(PostQuantum::ALL) {
        let (algorithm, signs) = (KeyAlgorithm::PostQuantum(set), SignatureAlgorithm::PostQuantum(set));
        let (label, cka_id) = (set.name().to_owned(), Bytes::from(vec![number; 16]));
        let ask = Ask::GenerateKey {
            label: label.clone(),
            cka_id: cka_id.clone(),
            algorithm,
            extractable: false,
            always_authenticate: false,
        };
        let Answer::Generated(made) = worker.ask(&ask).unwrap() else { panic!("{set:?}") };
        assert_eq!((made.algorithm, made.adopted), (algorithm, false));
        let find = Ask::FindKey { label, cka_id, always_authenticate: false };
        assert!(matches!(worker.ask(&find).unwrap(), Answer::Keys(keys) if keys == [made.clone()]), "{set:?}");
        let message = b"the whole message goes into the token".to_vec();
        let to_sign = ToSign { item: 1, message: Bytes::from(message.clone()) };
        let sign = |algorithm, messages| Ask::Sign { handle: made.handle, algorithm, messages };
        let Answer::Signatures(signed) = worker.ask(&sign(signs, vec![to_sign])).unwrap() else { panic!("{set:?}") };
        x509::verify_signature(&made.spki, signs, &message, &signed[0].value).unwrap();
        if set == PostQuantum::MlDsa44 {
            // What this module takes in one piece is less than what the frames do: its profile knows, and the module is not asked.
            let long = |octets| vec![ToSign { item: 2, message: Bytes::from(vec![0; octets]) }];
            assert!(
                matches!(worker.ask(&sign(signs, long(1 << 20))).unwrap(), Answer::Signatures(one) if one.len() == 1)
            );
            let refused = worker.ask(&sign(signs, long((1 << 20) + 1))).unwrap();
            assert!(
                matches!(&refused, Answer::Failed(f) if f.class == Class::Refused && f.what.contains("1048577")),
                "{refused:?}"
            );
        }
        // A key of one set is never asked for a signature of another.
        let other = SignatureAlgorithm::PostQuantum(PostQuantum::ALL[usize::from(number) % PostQuantum::ALL.len()]);
        assert!(matches!(worker.ask(&sign(other, vec![])).unwrap(), Answer::Failed(f) if f.class == Class::Protocol));
    }
}
