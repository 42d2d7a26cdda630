//! Which requested extensions are refused, needed and taken, and which are added.

use super::*;
use crate::config::Rule;
use crate::x509::TLS_FEATURE;
use crate::x509::fields::OtherExtension;

const STAPLE: &[u8] = b"\x30\x03\x02\x01\x05";

/// A request for `a.example` with the TLS feature extension, of this value.
fn asking(key: &Key, value: Option<&[u8]>) -> Vec<u8> {
    let oid = b"\x2b\x06\x01\x05\x05\x07\x01\x18";
    let mut extensions = vec![san(&[dns("a.example")])];
    extensions.extend(value.map(|value| extension(oid, value)));
    Csr { attributes: vec![extension_request(&extensions)], ..Csr::new(key, &[]) }.sign(key)
}

#[test]
fn the_tls_feature_is_taken_needed_or_refused_by_the_profile() {
    let world = World::new();
    let key = Key::p256();
    let judge = |rule: Rule, value: Option<&[u8]>| {
        let mut profile = profile(Base::TlsServer, None);
        profile.extensions.insert(TLS_FEATURE.into(), rule);
        world.judge_by(&profile, &asking(&key, value), &["a.example"]).map(|f| f.others).map_err(|r| r.check)
    };
    let staple = vec![OtherExtension::must_staple()];
    assert_eq!(judge(Rule::Ignored, Some(STAPLE)), Ok(vec![]));
    assert_eq!(judge(Rule::Taken, Some(STAPLE)), Ok(staple.clone()));
    assert_eq!(judge(Rule::Taken, None), Ok(vec![]));
    assert_eq!(judge(Rule::Needed, Some(STAPLE)), Ok(staple));
    assert_eq!(judge(Rule::Needed, None), Err(Check::ExtensionsRequested));
    assert_eq!(judge(Rule::Refused, Some(STAPLE)), Err(Check::ExtensionsRequested));
    // More than status_request is for no profile to give.
    assert_eq!(judge(Rule::Taken, Some(b"\x30\x06\x02\x01\x05\x02\x01\x11")), Err(Check::ExtensionsRequested));
}

#[test]
fn other_extensions_are_ignored_or_refused_and_what_the_profile_adds_is_written() {
    let world = World::new();
    let key = Key::p256();
    let csr = asking(&key, Some(STAPLE));
    let strict = Profile { other_extensions: Rule::Refused, ..profile(Base::TlsServer, None) };
    let refused = world.judge_by(&strict, &csr, &["a.example"]).unwrap_err();
    assert_eq!(refused.check, Check::ExtensionsRequested);
    assert!(refused.reason.contains(TLS_FEATURE), "{}", refused.reason);
    assert!(world.judge_by(&strict, &asking(&key, None), &["a.example"]).is_ok());

    let own = OtherExtension { oid: "1.3.6.1.4.1.32473.9".into(), value: Bytes::from(&b"\x05\x00"[..]) };
    let added = vec![own.clone(), OtherExtension::must_staple()];
    let adding = Profile { added: added.clone(), ..profile(Base::TlsServer, None) };
    let fields = world.judge_by(&adding, &csr, &["a.example"]).unwrap();
    assert_eq!(fields.others, added);
    let bytes = tbs::certificate(&fields).unwrap();
    assert_eq!(x509::read_tbs_certificate(&bytes).unwrap(), fields);
    let der = signed(&fields, &world.issuing_key);
    assert_eq!(x509::verify_leaf(&der, &world.issuing_der, FROM).unwrap(), fields);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("leaf.der"), &der).unwrap();
    let (_, said) = openssl(dir.path(), "x509 -inform DER -in leaf.der -noout -text");
    for part in ["TLS Feature", "status_request", "1.3.6.1.4.1.32473.9", "CA:FALSE", "Subject Key Identifier"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
