//! CKA_PARAMETER_SET: the numbers of PKCS #11 v3.2 for the parameter sets of ML-DSA and SLH-DSA.

use cryptoki::object::{KeyType, MlDsaParameterSetType as MlDsa, ParameterSetType, SlhDsaParameterSetType as SlhDsa};

use super::recipe::key_type;
use crate::algorithm::{KeyAlgorithm, PostQuantum};

pub(super) fn parameter_set(set: PostQuantum) -> ParameterSetType {
    match set {
        PostQuantum::MlDsa44 => MlDsa::ML_DSA_44.into(),
        PostQuantum::MlDsa65 => MlDsa::ML_DSA_65.into(),
        PostQuantum::MlDsa87 => MlDsa::ML_DSA_87.into(),
        PostQuantum::SlhDsaSha2_128s => SlhDsa::SHA2_128S.into(),
        PostQuantum::SlhDsaSha2_128f => SlhDsa::SHA2_128F.into(),
        PostQuantum::SlhDsaSha2_192s => SlhDsa::SHA2_192S.into(),
        PostQuantum::SlhDsaSha2_192f => SlhDsa::SHA2_192F.into(),
        PostQuantum::SlhDsaSha2_256s => SlhDsa::SHA2_256S.into(),
        PostQuantum::SlhDsaSha2_256f => SlhDsa::SHA2_256F.into(),
        PostQuantum::SlhDsaShake128s => SlhDsa::SHAKE_128S.into(),
        PostQuantum::SlhDsaShake128f => SlhDsa::SHAKE_128F.into(),
        PostQuantum::SlhDsaShake192s => SlhDsa::SHAKE_192S.into(),
        PostQuantum::SlhDsaShake192f => SlhDsa::SHAKE_192F.into(),
        PostQuantum::SlhDsaShake256s => SlhDsa::SHAKE_256S.into(),
        PostQuantum::SlhDsaShake256f => SlhDsa::SHAKE_256F.into(),
    }
}

/// The set with this number. The two families count each for itself, so the number alone says nothing.
pub(super) fn named(kind: KeyType, number: u64) -> Option<PostQuantum> {
    PostQuantum::ALL
        .into_iter()
        .find(|set| key_type(KeyAlgorithm::PostQuantum(*set)) == kind && u64::from(*parameter_set(*set)) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_one_set_of_its_family() {
        for set in PostQuantum::ALL {
            let (kind, number) = (key_type(KeyAlgorithm::PostQuantum(set)), u64::from(*parameter_set(set)));
            assert_eq!(named(kind, number), Some(set));
        }
        assert_eq!(named(KeyType::ML_DSA, 1), Some(PostQuantum::MlDsa44));
        assert_eq!(named(KeyType::SLH_DSA, 1), Some(PostQuantum::SlhDsaSha2_128s));
        assert_eq!(named(KeyType::ML_DSA, 4), None);
        assert_eq!(named(KeyType::SLH_DSA, 13), None);
        assert_eq!(named(KeyType::ML_DSA, 0), None);
    }
}
