//! ML-DSA (FIPS 204) and SLH-DSA (FIPS 205): what differs between their parameter sets, in one table.

/// A parameter set. Key and signature of a set name each other: a public key of RFC 9881 or RFC 9909 has the AlgorithmIdentifier
/// that its signatures have, without parameters, in SubjectPublicKeyInfo and certificate alike.
///
/// Only the pure mode is meant: the prehash modes have identifiers of their own, which RFC 9881 §8.3 and RFC 9909 §8 keep out
/// of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PostQuantum {
    MlDsa44,
    MlDsa65,
    MlDsa87,
    SlhDsaSha2_128s,
    SlhDsaSha2_128f,
    SlhDsaSha2_192s,
    SlhDsaSha2_192f,
    SlhDsaSha2_256s,
    SlhDsaSha2_256f,
    SlhDsaShake128s,
    SlhDsaShake128f,
    SlhDsaShake192s,
    SlhDsaShake192f,
    SlhDsaShake256s,
    SlhDsaShake256f,
}

struct Row {
    name: &'static str,
    title: &'static str,
    oid: &'static str,
    identifier: [u8; 13],
    key_octets: usize,
    signature_octets: usize,
}

/// All signature algorithms of NIST's Computer Security Objects Register differ in their last arc alone.
macro_rules! row {
    ($arc:literal, $name:literal, $title:literal, $key:literal, $signature:literal) => {
        &Row {
            name: $name,
            title: $title,
            oid: concat!("2.16.840.1.101.3.4.3.", $arc),
            identifier: [0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, $arc],
            key_octets: $key,
            signature_octets: $signature,
        }
    };
}

impl PostQuantum {
    pub const ALL: [PostQuantum; 15] = [
        PostQuantum::MlDsa44,
        PostQuantum::MlDsa65,
        PostQuantum::MlDsa87,
        PostQuantum::SlhDsaSha2_128s,
        PostQuantum::SlhDsaSha2_128f,
        PostQuantum::SlhDsaSha2_192s,
        PostQuantum::SlhDsaSha2_192f,
        PostQuantum::SlhDsaSha2_256s,
        PostQuantum::SlhDsaSha2_256f,
        PostQuantum::SlhDsaShake128s,
        PostQuantum::SlhDsaShake128f,
        PostQuantum::SlhDsaShake192s,
        PostQuantum::SlhDsaShake192f,
        PostQuantum::SlhDsaShake256s,
        PostQuantum::SlhDsaShake256f,
    ];

    /// FIPS 204 table 2, FIPS 205 table 2; object identifiers of RFC 9881 §2 and RFC 9909 §3.
    fn row(self) -> &'static Row {
        match self {
            PostQuantum::MlDsa44 => row!(17, "ml-dsa-44", "ML-DSA-44", 1312, 2420),
            PostQuantum::MlDsa65 => row!(18, "ml-dsa-65", "ML-DSA-65", 1952, 3309),
            PostQuantum::MlDsa87 => row!(19, "ml-dsa-87", "ML-DSA-87", 2592, 4627),
            PostQuantum::SlhDsaSha2_128s => row!(20, "slh-dsa-sha2-128s", "SLH-DSA-SHA2-128s", 32, 7856),
            PostQuantum::SlhDsaSha2_128f => row!(21, "slh-dsa-sha2-128f", "SLH-DSA-SHA2-128f", 32, 17088),
            PostQuantum::SlhDsaSha2_192s => row!(22, "slh-dsa-sha2-192s", "SLH-DSA-SHA2-192s", 48, 16224),
            PostQuantum::SlhDsaSha2_192f => row!(23, "slh-dsa-sha2-192f", "SLH-DSA-SHA2-192f", 48, 35664),
            PostQuantum::SlhDsaSha2_256s => row!(24, "slh-dsa-sha2-256s", "SLH-DSA-SHA2-256s", 64, 29792),
            PostQuantum::SlhDsaSha2_256f => row!(25, "slh-dsa-sha2-256f", "SLH-DSA-SHA2-256f", 64, 49856),
            PostQuantum::SlhDsaShake128s => row!(26, "slh-dsa-shake-128s", "SLH-DSA-SHAKE-128s", 32, 7856),
            PostQuantum::SlhDsaShake128f => row!(27, "slh-dsa-shake-128f", "SLH-DSA-SHAKE-128f", 32, 17088),
            PostQuantum::SlhDsaShake192s => row!(28, "slh-dsa-shake-192s", "SLH-DSA-SHAKE-192s", 48, 16224),
            PostQuantum::SlhDsaShake192f => row!(29, "slh-dsa-shake-192f", "SLH-DSA-SHAKE-192f", 48, 35664),
            PostQuantum::SlhDsaShake256s => row!(30, "slh-dsa-shake-256s", "SLH-DSA-SHAKE-256s", 64, 29792),
            PostQuantum::SlhDsaShake256f => row!(31, "slh-dsa-shake-256f", "SLH-DSA-SHAKE-256f", 64, 49856),
        }
    }

    /// The name in hierarchies, plans and the log, of a key and of its signatures.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The name people read, as the standard writes it.
    pub fn title(self) -> &'static str {
        self.row().title
    }

    /// The dotted object identifier.
    pub fn oid(self) -> &'static str {
        self.row().oid
    }

    /// The DER of the whole AlgorithmIdentifier: parameters absent.
    pub fn identifier_der(self) -> &'static [u8] {
        &self.row().identifier
    }

    /// Octets of a public key: the contents of the BIT STRING in its SubjectPublicKeyInfo.
    pub fn key_octets(self) -> usize {
        self.row().key_octets
    }

    /// Octets of a signature.
    pub fn signature_octets(self) -> usize {
        self.row().signature_octets
    }

    /// False: ML-DSA.
    pub fn is_slh_dsa(self) -> bool {
        !matches!(self, PostQuantum::MlDsa44 | PostQuantum::MlDsa65 | PostQuantum::MlDsa87)
    }
}
