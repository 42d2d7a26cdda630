use super::*;
use std::collections::BTreeSet;

#[test]
fn a_message_too_long_to_be_signed_whole_is_refused_before_anything_is_asked() {
    let most = SignatureAlgorithm::Ed25519.longest_message().unwrap();
    let tbs = vec![0x30; most + 1];
    let [ml_dsa, slh_dsa] = [PostQuantum::MlDsa65, PostQuantum::SlhDsaShake128s].map(SignatureAlgorithm::PostQuantum);
    for whole in [SignatureAlgorithm::Ed25519, ml_dsa, slh_dsa] {
        assert_eq!(whole.message(&tbs[..most]).unwrap(), &tbs[..most]);
        assert_eq!(whole.message(&tbs), Err(TooLong { octets: 3_145_729, algorithm: whole.name() }));
    }
    assert_eq!(SignatureAlgorithm::RsaPssSha384.message(&tbs).unwrap().len(), 48);
    assert_eq!(SignatureAlgorithm::EcdsaSha512.message(&tbs).unwrap().len(), 64);
}

#[test]
fn every_name_is_read_as_what_was_written() {
    for algorithm in KeyAlgorithm::ALL {
        let stored = crate::cbor::to_vec(&algorithm).unwrap();
        assert_eq!(crate::cbor::from_slice::<KeyAlgorithm>(&stored).unwrap(), algorithm);
        assert_eq!(algorithm.signs_with(), algorithm.shown().signs_with().with_the_padding_of(algorithm));
    }
    for algorithm in SignatureAlgorithm::all() {
        let stored = crate::cbor::to_vec(&algorithm).unwrap();
        assert_eq!(crate::cbor::from_slice::<SignatureAlgorithm>(&stored).unwrap(), algorithm);
        assert_eq!(SignatureAlgorithm::from_identifier_der(algorithm.identifier_der()), Some(algorithm));
    }
    let names: BTreeSet<&str> = KeyAlgorithm::ALL.into_iter().map(KeyAlgorithm::name).collect();
    assert_eq!(names.len(), KeyAlgorithm::ALL.len());
    let tokens: BTreeSet<&str> = SignatureAlgorithm::all().map(SignatureAlgorithm::token).collect();
    assert_eq!(tokens.len(), SignatureAlgorithm::all().count());
    let unknown = toml::from_str::<std::collections::BTreeMap<String, KeyAlgorithm>>("a = \"rsa-1024\"");
    assert!(unknown.unwrap_err().to_string().contains("unknown algorithm `rsa-1024`, expected one of `ecdsa-p256`"));
}

impl SignatureAlgorithm {
    fn with_the_padding_of(self, key: KeyAlgorithm) -> SignatureAlgorithm {
        match (self, key == key.shown()) {
            (SignatureAlgorithm::RsaSha256, false) => SignatureAlgorithm::RsaPssSha256,
            (SignatureAlgorithm::RsaSha512, false) => SignatureAlgorithm::RsaPssSha512,
            (other, _) => other,
        }
    }
}

#[test]
fn identifiers_are_those_of_other_libraries() {
    use pki_types::alg_id;
    let theirs = [
        (SignatureAlgorithm::RsaPssSha256, alg_id::RSA_PSS_SHA256),
        (SignatureAlgorithm::RsaPssSha384, alg_id::RSA_PSS_SHA384),
        (SignatureAlgorithm::RsaPssSha512, alg_id::RSA_PSS_SHA512),
        (SignatureAlgorithm::RsaSha256, alg_id::RSA_PKCS1_SHA256),
        (SignatureAlgorithm::EcdsaSha512, alg_id::ECDSA_SHA512),
        (SignatureAlgorithm::PostQuantum(PostQuantum::MlDsa44), alg_id::ML_DSA_44),
        (SignatureAlgorithm::PostQuantum(PostQuantum::MlDsa65), alg_id::ML_DSA_65),
        (SignatureAlgorithm::PostQuantum(PostQuantum::MlDsa87), alg_id::ML_DSA_87),
    ];
    for (ours, theirs) in theirs {
        // Theirs leave the outer SEQUENCE out.
        assert_eq!(&ours.identifier_der()[2..], theirs.as_ref(), "{}", ours.name());
        assert_eq!(usize::from(ours.identifier_der()[1]), theirs.as_ref().len());
    }
}

#[test]
fn an_identifier_holds_its_object_identifier() {
    for algorithm in SignatureAlgorithm::all() {
        let arcs: Vec<u64> = algorithm.oid().split('.').map(|arc| arc.parse().unwrap()).collect();
        let oid = yasna::construct_der(|w| w.write_oid(&yasna::models::ObjectIdentifier::from_slice(&arcs)));
        assert_eq!(algorithm.identifier_der()[2..].get(..oid.len()), Some(oid.as_slice()), "{}", algorithm.name());
    }
}
