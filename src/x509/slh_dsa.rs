//! Signatures of SLH-DSA by the crate of that name: aws-lc-rs has none.

use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use slh_dsa::signature::Verifier;
use slh_dsa::{ParameterSet, Signature, VerifyingKey};

use crate::algorithm::PostQuantum;

/// Verifies a pure signature without context (FIPS 205 §10.3). `None`: it is not one of this key over this message, or `set`
/// is no parameter set of SLH-DSA.
pub(super) fn verify(set: PostQuantum, key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    use slh_dsa as by;
    match set {
        PostQuantum::SlhDsaSha2_128s => with::<by::Sha2_128s>(key, message, signature),
        PostQuantum::SlhDsaSha2_128f => with::<by::Sha2_128f>(key, message, signature),
        PostQuantum::SlhDsaSha2_192s => with::<by::Sha2_192s>(key, message, signature),
        PostQuantum::SlhDsaSha2_192f => with::<by::Sha2_192f>(key, message, signature),
        PostQuantum::SlhDsaSha2_256s => with::<by::Sha2_256s>(key, message, signature),
        PostQuantum::SlhDsaSha2_256f => with::<by::Sha2_256f>(key, message, signature),
        PostQuantum::SlhDsaShake128s => with::<by::Shake128s>(key, message, signature),
        PostQuantum::SlhDsaShake128f => with::<by::Shake128f>(key, message, signature),
        PostQuantum::SlhDsaShake192s => with::<by::Shake192s>(key, message, signature),
        PostQuantum::SlhDsaShake192f => with::<by::Shake192f>(key, message, signature),
        PostQuantum::SlhDsaShake256s => with::<by::Shake256s>(key, message, signature),
        PostQuantum::SlhDsaShake256f => with::<by::Shake256f>(key, message, signature),
        PostQuantum::MlDsa44 | PostQuantum::MlDsa65 | PostQuantum::MlDsa87 => None,
    }
}

fn with<P: ParameterSet>(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = VerifyingKey::<P>::try_from(key).ok()?;
    let signature = Signature::<P>::try_from(signature).ok()?;
    key.verify(message, &signature).ok()
}

/// One parameter set in the form that webpki takes verification in, so that its judgement of the path is had here too.
#[derive(Debug)]
pub(super) struct Lent(pub(super) PostQuantum);

impl Lent {
    /// webpki's form of an AlgorithmIdentifier: without the header of its SEQUENCE.
    fn identifier(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(self.0.identifier_der().get(2..).unwrap_or_default())
    }
}

impl SignatureVerificationAlgorithm for Lent {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        verify(self.0, key, message, signature).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.identifier()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.identifier()
    }
}
