//! Why a request, certificate or CRL cannot be read or does not verify.

use super::der::DerFault;

/// Causes of the `x509` room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the {part} has {length} octets, more than the limit of {limit}")]
    TooLarge { part: &'static str, length: usize, limit: usize },
    #[error("the PEM armour is damaged: {0}")]
    Pem(&'static str),
    #[error("the PEM armour is damaged: the block is no {0}")]
    PemLabel(&'static str),
    #[error("cannot read the {part} as DER: {fault}")]
    Der { part: &'static str, fault: DerFault },
    #[error("a second reader refuses the {part}: {cause}")]
    Parser { part: &'static str, cause: String },
    #[error("two readers of the {part} disagree about its {field}")]
    Disagree { part: &'static str, field: &'static str },
    #[error("the {part} has an unsupported version")]
    Version { part: &'static str },
    #[error("the {part} lacks its {field}")]
    Missing { part: &'static str, field: &'static str },
    #[error("the {part} has more than {limit} {what}")]
    TooMany { part: &'static str, what: &'static str, limit: usize },
    #[error("extension {oid} stands twice")]
    ExtensionTwice { oid: String },
    #[error("the request has more than one extensionRequest attribute or value")]
    ExtensionRequests,
    #[error("the serial number is not 1 to 20 octets of a positive number")]
    Serial,
    #[error("signature algorithm {oid} is not accepted")]
    SignatureAlgorithm { oid: String },
    #[error("the algorithm inside the signed part is not the one outside")]
    AlgorithmMismatch,
    #[error("{key} cannot make a signature by {signature}")]
    AlgorithmOfKey { key: String, signature: &'static str },
    #[error("public keys of algorithm {oid} are not accepted")]
    KeyAlgorithm { oid: String },
    #[error("the public key is malformed: {0}")]
    Key(&'static str),
    #[error("the signature does not verify")]
    Signature,
    #[error("{0}")]
    Path(#[from] PathFault),
    #[error("rustls-webpki refuses it: {0}")]
    Webpki(webpki::Error),
}

/// How a certificate or CRL does not follow from its issuer's certificate (RFC 5280 §6.1, §6.3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    #[error("its issuer name is not the issuer's subject, octet for octet")]
    IssuerName,
    #[error("its authority key identifier is not the issuer's subject key identifier")]
    KeyIdentifier,
    #[error("the issuer's certificate is no CA certificate")]
    NotCa,
    #[error("the issuer's certificate lacks {0}")]
    KeyUsage(&'static str),
    #[error("the issuer's path length constraint of {0} leaves no room for another CA")]
    PathLength(u32),
    #[error("the certificate is no CA certificate")]
    SubjectNotCa,
    #[error("critical extension {0} is not understood")]
    Critical(String),
    #[error("its validity is not inside the issuer's")]
    Validity,
    #[error("by its issuer's name constraints, {0}")]
    NameConstraints(String),
    #[error("the certificate is a CA's where an end entity's belongs")]
    LeafIsCa,
    #[error("it is no signer's: it has purposes, alternative names or another key usage")]
    NotSigner,
    #[error("its purposes are not serverAuth, clientAuth or both")]
    Purposes,
    #[error("rustls-webpki refuses it for {usage}: {cause}")]
    Webpki { usage: &'static str, cause: String },
}

impl Error {
    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Error::TooLarge { .. } | Error::TooMany { .. } => "make a smaller one",
            Error::Pem(_) | Error::PemLabel(_) => "send the file as the tool wrote it, with one BEGIN and one END line",
            Error::Der { .. } | Error::Parser { .. } | Error::Disagree { .. } | Error::ExtensionTwice { .. } => {
                "make it again with an unmodified tool such as openssl, certtool or keytool"
            }
            Error::Version { .. } | Error::Missing { .. } | Error::ExtensionRequests | Error::Serial => {
                "make it again with an unmodified tool such as openssl, certtool or keytool"
            }
            Error::SignatureAlgorithm { .. } | Error::AlgorithmMismatch | Error::AlgorithmOfKey { .. } => {
                "sign with ECDSA, RSA PKCS#1 v1.5 (both with SHA-256, SHA-384 or SHA-512) or Ed25519"
            }
            Error::KeyAlgorithm { .. } | Error::Key(_) => "make a new key of an accepted kind",
            Error::Signature => "check that the file was not changed after it was signed, and by which key",
            Error::Path(_) | Error::Webpki(_) => {
                "compare the certificate with its issuer's; one of them is not the right one"
            }
        };
        Some(text.into())
    }
}

/// Names the part in which a fault of DER was found.
pub(crate) fn in_part(part: &'static str) -> impl Fn(DerFault) -> Error {
    move |fault| Error::Der { part, fault }
}
