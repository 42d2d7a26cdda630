//! The named checks. A name stands in the code, the plan, the log, the answer to the requester and the documents: one that is
//! published is never given another meaning.

use crate::config::RuleSet;

/// One question that a request, a CA or a CRL must pass before any key is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    RequestEncoding,
    KeyEncoding,
    KeyType,
    KeySize,
    KeyQuality,
    SignatureAlgorithm,
    ProofOfPossession,
    CaRequested,
    ExtensionsRequested,
    NamesRequested,
    NameForm,
    NamesValidated,
    DeskNames,
    ValidatedBy,
    ValidationAge,
    NameHolder,
    CaKeyReuse,
    CompromisedKey,
    BlockedKey,
    SharedFactor,
    DuplicateKey,
    Profile,
    Serial,
    Validity,
    ValidityInIssuer,
    IssuerCertificate,
    IssuerKey,
    IssuerName,
    PathLength,
    CrossedCertificate,
    CaRequest,
    AdoptedCertificate,
    AdoptedRequest,
    AdoptedProfile,
    AdoptedValidity,
    NameConstraints,
    IssuerPurposes,
    IssuerPolicies,
    CrlNumber,
    CrlTimes,
    CrlEntry,
    Revocation,
    Lint,
    CabfIssuer,
    CabfWindow,
    CabfValidity,
    CabfKey,
    CabfCaName,
    CabfNames,
    CabfPurposes,
    CabfPolicies,
    CabfUrls,
    CabfExtensions,
    CabfCrl,
    CabfRevocation,
}

impl Check {
    /// All checks, in the order in which a request meets them; then those of CAs and CRLs, and those of rule sets.
    pub const ALL: [Check; 55] = [
        Check::RequestEncoding,
        Check::KeyEncoding,
        Check::KeyType,
        Check::KeySize,
        Check::KeyQuality,
        Check::SignatureAlgorithm,
        Check::ProofOfPossession,
        Check::CaRequested,
        Check::ExtensionsRequested,
        Check::NamesRequested,
        Check::NameForm,
        Check::NamesValidated,
        Check::DeskNames,
        Check::ValidatedBy,
        Check::ValidationAge,
        Check::NameHolder,
        Check::CaKeyReuse,
        Check::CompromisedKey,
        Check::BlockedKey,
        Check::SharedFactor,
        Check::DuplicateKey,
        Check::Profile,
        Check::Serial,
        Check::Validity,
        Check::ValidityInIssuer,
        Check::IssuerCertificate,
        Check::IssuerKey,
        Check::IssuerName,
        Check::PathLength,
        Check::CrossedCertificate,
        Check::CaRequest,
        Check::AdoptedCertificate,
        Check::AdoptedRequest,
        Check::AdoptedProfile,
        Check::AdoptedValidity,
        Check::NameConstraints,
        Check::IssuerPurposes,
        Check::IssuerPolicies,
        Check::CrlNumber,
        Check::CrlTimes,
        Check::CrlEntry,
        Check::Revocation,
        Check::Lint,
        Check::CabfIssuer,
        Check::CabfWindow,
        Check::CabfValidity,
        Check::CabfKey,
        Check::CabfCaName,
        Check::CabfNames,
        Check::CabfPurposes,
        Check::CabfPolicies,
        Check::CabfUrls,
        Check::CabfExtensions,
        Check::CabfCrl,
        Check::CabfRevocation,
    ];

    /// The stable name, and whatever people should know of the check: the question, where it comes from, what to mend.
    fn card(self) -> [&'static str; 4] {
        match self {
            Check::RequestEncoding => [
                "request-encoding",
                "Is it one PKCS #10 request in strict DER, version 1, with at most one extensionRequest?",
                "RFC 2986 section 4; X.690 section 10",
                "make the request again with an unmodified tool such as openssl, certtool, keytool or prosodyctl",
            ],
            Check::KeyEncoding => [
                "key-encoding",
                "Is the public key encoded exactly, and its point on its curve or its modulus odd?",
                "RFC 3279 section 2.3; RFC 5480 section 2; RFC 8410 section 4",
                "make a new key and a new request with an unmodified tool",
            ],
            Check::KeyType => [
                "key-type",
                "Does the profile accept this kind of key?",
                "the profile's `keys`",
                "make a new key of one of the accepted kinds",
            ],
            Check::KeySize => [
                "key-size",
                "Does the profile accept this size of key?",
                "the profile's `keys`; NIST SP 800-57 part 1 section 5.6",
                "make a new key of one of the accepted sizes",
            ],
            Check::KeyQuality => [
                "key-quality",
                "Is the RSA exponent 65537, and the modulus free of the weaknesses that it alone shows?",
                "CA/Browser Forum Baseline Requirements 6.1.1.3 and 6.1.6; CVE-2017-15361",
                "make a new key with an up-to-date tool and its default exponent; never use the old key again",
            ],
            Check::SignatureAlgorithm => [
                "signature-algorithm",
                "Is the request signed by an algorithm that proves anything, and that belongs to its key?",
                "RFC 4055; RFC 5758; RFC 8410",
                "sign the request with SHA-256, SHA-384 or SHA-512 (openssl req -sha256)",
            ],
            Check::ProofOfPossession => [
                "proof-of-possession",
                "Does the request's signature verify under the key in it?",
                "RFC 2986 section 3; RFC 4211 section 4",
                "sign the request with the private half of the key in it, and send the file unchanged",
            ],
            Check::CaRequested => [
                "ca-requested",
                "Does the request ask for the certificate of an end entity, and not of a CA?",
                "RFC 5280 sections 4.2.1.3 and 4.2.1.9; CA certificates never come from a desk",
                "leave basicConstraints CA:TRUE, keyCertSign and cRLSign out of the request",
            ],
            Check::ExtensionsRequested => [
                "extensions-requested",
                "Does the request ask for no extension that the profile refuses, and for those that it needs?",
                "the profile's `extensions`; RFC 7633 section 4",
                "make the request with the extensions that the profile wants, and no others",
            ],
            Check::NamesRequested => [
                "names-requested",
                "Does the request ask for at least one name, one of each form that the profile needs, and not for too many?",
                "RFC 6120 section 13.7.1.2; RFC 9525; IEEE 802.1AR section 8.6",
                "ask for domain names in subjectAltName as dNSName, for JIDs there as xmppAddr, for a device's id in commonName or serialNumber",
            ],
            Check::NameForm => [
                "name-form",
                "Is every name asked for lawful, domain names in A-labels, and of a form that the profile knows?",
                "RFC 1034 section 3.5; RFC 5890 section 2.3; RFC 6120 section 13.7.1; RFC 7622; RFC 8141; RFC 9598; CA/Browser Forum Baseline Requirements 7.1.2.7.12",
                "ask only for names of the profile's forms: host names in ASCII (xn--... for international names), a wildcard only as the whole first label; the operator's manual lists the forms",
            ],
            Check::NamesValidated => [
                "names-validated",
                "Is every name asked for among those that the validator found to be the requester's?",
                "the desk's table of names",
                "have the missing names validated, or leave them out of the request",
            ],
            Check::DeskNames => [
                "desk-names",
                "Is every name asked for equal to one of the desk's suffixes, or below one?",
                "the desk's `suffixes`",
                "ask at the desk that is responsible for the name",
            ],
            Check::ValidatedBy => [
                "validated-by",
                "Do as many validators as the profile wants vouch for each name, for this requester?",
                "the profile's `validators`; the validators' lists in the bundle",
                "have the names validated, and pack the validators' lists with the bundle",
            ],
            Check::ValidationAge => [
                "validation-age",
                "Are that many of the validations neither too old nor dated in the future?",
                "the profile's `validation-days`",
                "have the names validated again",
            ],
            Check::CaKeyReuse => [
                "ca-key-reuse",
                "Is the key none of a CA?",
                "RFC 5280 section 4.2.1.9; one key serves one purpose",
                "make a new key for this request",
            ],
            Check::NameHolder => [
                "name-holder",
                "Does nobody else hold a valid certificate with one of these names?",
                "the ledger; the batch",
                "have the holder's certificate revoked, wait until it expires, or have a validator say that the name has changed hands",
            ],
            Check::CompromisedKey => [
                "compromised-key",
                "Was no certificate with this key revoked because the key is compromised?",
                "CA/Browser Forum Baseline Requirements 6.1.1.3; the ledger",
                "make a new key; never use the old one again",
            ],
            Check::BlockedKey => [
                "blocked-key",
                "Does the key stand in none of the station's lists of compromised keys?",
                "CA/Browser Forum Baseline Requirements 6.1.1.3; the hierarchy's `[keys]`",
                "make a new key with an up-to-date tool; never use the old key again",
            ],
            Check::SharedFactor => [
                "shared-factor",
                "Does the RSA key share no prime with another of the batch, of the last 100,000 on record, or of a CA?",
                "Heninger et al., USENIX Security 2012; the ledger; the batch",
                "make a new key on a machine that has been up for a while, with an up-to-date tool; never use the old key again",
            ],
            Check::DuplicateKey => [
                "duplicate-key",
                "Is the key new, or does its holder ask again for the same names, and does it stand only once in this batch?",
                "the profile's `key-reuse`; the ledger; the batch",
                "make a new key, or renew with the same requester and the same names",
            ],
            Check::Profile => [
                "profile",
                "Is the profile made for what is asked?",
                "the hierarchy",
                "use a profile whose base fits the act",
            ],
            Check::Serial => [
                "serial",
                "Is the serial number 17 octets, positive, and new?",
                "RFC 5280 section 4.1.2.2; CA/Browser Forum Baseline Requirements 7.1",
                "plan again: serial numbers are drawn anew",
            ],
            Check::Validity => [
                "validity",
                "Are the dates times of the years 1950 to 9999?",
                "RFC 5280 section 4.1.2.5",
                "declare fewer days",
            ],
            Check::ValidityInIssuer => [
                "validity-in-issuer",
                "Does the certificate begin and end inside the validity of its issuer?",
                "RFC 5280 section 6.1.3; the shell model",
                "declare fewer days, or renew the issuing CA first",
            ],
            Check::IssuerCertificate => [
                "issuer-certificate",
                "Does the issuer's certificate verify up to its root: signature, CA bit, key usage, path length, validity?",
                "RFC 5280 section 6.1",
                "give the issuing CA's own certificate and those above it",
            ],
            Check::IssuerKey => [
                "issuer-key",
                "Is the key in the issuer's certificate the one that will sign?",
                "the token's public key object",
                "give the certificate that belongs to the key, or name the right key in the hierarchy",
            ],
            Check::IssuerName => [
                "issuer-name",
                "Is the subject of the CA's certificate the declared one, and not its issuer's?",
                "RFC 5280 section 4.1.2.4; the hierarchy",
                "declare a name of its own for each CA, and give the certificate that has it",
            ],
            Check::PathLength => [
                "path-length",
                "Does the issuer's path length leave room for this CA?",
                "RFC 5280 section 4.2.1.9",
                "declare a path-len smaller than the issuer's",
            ],
            Check::CrossedCertificate => [
                "crossed-certificate",
                "Is the certificate to be crossed a CA's, valid, verified under its issuer, and wholly understood?",
                "RFC 5280 sections 3.2 and 6.1",
                "give the CA's certificate as it is in use, and its issuer's beside it unless it is self-signed",
            ],
            Check::CaRequest => [
                "ca-request",
                "Does the request of a CA or a signer outside have exactly the subject that is declared?",
                "RFC 2986 section 4; the hierarchy",
                "make the request anew with the declared subject, in the same string types, or declare the subject that it has",
            ],
            Check::AdoptedCertificate => [
                "adopted-certificate",
                "Is the certificate by an external issuer in strict DER, its serial number lawful, and does it verify up to the last one above it?",
                "RFC 5280 sections 4.1.2.2 and 6.1; X.690 section 10",
                "have the external issuer make it again, with SHA-256 or better, and give the certificates above it behind it in one PEM file",
            ],
            Check::AdoptedRequest => [
                "adopted-request",
                "Does the certificate by an external issuer answer the newest request on record, with its key and its subject octet for octet?",
                "RFC 2986 section 3; the ledger; the hierarchy",
                "send the newest request of this CA to its issuer, and have it certified with the subject as it stands there",
            ],
            Check::AdoptedProfile => [
                "adopted-profile",
                "Does the certificate by an external issuer say no more than is declared of its CA: extensions, limits, purposes and policies?",
                "RFC 5280 section 4.2; the hierarchy",
                "have the external issuer certify what the request asks for, or declare what it grants",
            ],
            Check::AdoptedValidity => [
                "adopted-validity",
                "Is the certificate by an external issuer valid now, and for no longer than is declared?",
                "RFC 5280 section 4.1.2.5; the hierarchy's `days`",
                "have the external issuer certify for fewer days, or declare more; compare the station's clock with another one",
            ],
            Check::NameConstraints => [
                "name-constraints",
                "Do all its names lie within the name constraints of every CA above it, and those that it makes itself too?",
                "RFC 5280 sections 4.2.1.10 and 6.1.4",
                "ask for names that the issuing CA may certify, or ask at a CA that may",
            ],
            Check::IssuerPurposes => [
                "issuer-purposes",
                "Is it for no purpose that a CA above it is not for?",
                "RFC 5280 section 4.2.1.12; CA/Browser Forum Baseline Requirements 7.1.2.10.6",
                "declare `eku` of each CA with every purpose of what stands below it",
            ],
            Check::IssuerPolicies => [
                "issuer-policies",
                "Are its policies among those of its issuer, and is there one where a CA above it wants one?",
                "RFC 5280 sections 4.2.1.4, 4.2.1.11, 4.2.1.14 and 6.1.3",
                "declare in the issuing CA's profile every policy of what stands below it",
            ],
            Check::CrlNumber => [
                "crl-number",
                "Is the CRL number greater than the last one of this CA?",
                "RFC 5280 section 5.2.3",
                "plan again from the current ledger",
            ],
            Check::CrlTimes => [
                "crl-times",
                "Is thisUpdate inside the issuer's validity, and nextUpdate after it?",
                "RFC 5280 section 5.1.2",
                "declare more crl-days, or renew the CA",
            ],
            Check::CrlEntry => [
                "crl-entry",
                "Does every entry have a lawful serial, a date not after thisUpdate and a lasting reason, and stand once?",
                "RFC 5280 section 5.3.1",
                "revoke with one of the reasons 1 to 5, 9 or 10, or with none",
            ],
            Check::Revocation => [
                "revocation",
                "Is the certificate one that this asker may have revoked: on record, valid, not revoked, and asked for once?",
                "RFC 5280 section 5.3.1; the ledger; the desk",
                "compare the serial number with the certificate; the station itself revokes CAs and other desks' certificates",
            ],
            Check::Lint => [
                "lint",
                "Do the bytes that would be signed, read back, say what was decided, and is nothing in them that RFC 5280 or a linter of the hierarchy forbids?",
                "RFC 5280 sections 4 and 5; CA/Browser Forum Baseline Requirements 4.3.1.2; the hierarchy's `[[linter]]`",
                "have the profile or the CA mended in the hierarchy, or the finding accepted there with a reason and an end",
            ],
            Check::CabfIssuer => [
                "cabf-issuer",
                "Is it no root that issues the certificate of an end entity?",
                "CA/Browser Forum Baseline Requirements 6.1.7",
                "let a CA below the root issue it",
            ],
            Check::CabfWindow => [
                "cabf-window",
                "Is it signed within 48 hours of its notBefore, the certificate of a CA within 24?",
                "CA/Browser Forum Baseline Requirements 7.1.2.1.1, 7.1.2.7 and 7.1.2.10.1",
                "declare fewer `window-hours` in the profile",
            ],
            Check::CabfValidity => [
                "cabf-validity",
                "Is a server's certificate valid for at most 398 days, 200 if it is signed from 2026-03-15 on, 100 from 2027-03-15 on, 47 from 2029-03-15 on; and a root's for 2922 to 9132?",
                "CA/Browser Forum Baseline Requirements 6.3.2 (ballot SC-081) and 7.1.2.1.1",
                "declare as many `days` as the date allows",
            ],
            Check::CabfKey => [
                "cabf-key",
                "Is the key RSA of 2048 bits or more, or ECDSA on P-256, P-384 or P-521, and used for what it can do?",
                "CA/Browser Forum Baseline Requirements 6.1.5, 7.1.2.7.11 and 7.1.3",
                "make a new key of one of these kinds",
            ],
            Check::CabfCaName => [
                "cabf-ca-name",
                "Has the subject of a CA C, O and CN, in the order DC, C, ST, L, O, CN, each alone and once, and no OU?",
                "CA/Browser Forum Baseline Requirements 7.1.2.10.2 and 7.1.4",
                "declare such a `subject`",
            ],
            Check::CabfNames => [
                "cabf-names",
                "Are all names of a server domain names and addresses of the public Internet, its commonName one of them?",
                "CA/Browser Forum Baseline Requirements 1.6.1, 7.1.2.7.2, 7.1.2.7.12 and 7.1.4.3",
                "ask for public domain names only: no otherName, no reserved address, no internal name",
            ],
            Check::CabfPurposes => [
                "cabf-purposes",
                "Has a server serverAuth and nothing that it may not have, a CA above it too; a root none, another CA no serverAuth?",
                "CA/Browser Forum Baseline Requirements 7.1.2.1.2, 7.1.2.2.5, 7.1.2.3.3, 7.1.2.7.10 and 7.1.2.10.6",
                "declare other `eku` in the profile or in the CA's limits",
            ],
            Check::CabfPolicies => [
                "cabf-policies",
                "Is 2.23.140.1.2.1 the only reserved policy of a server; has a CA above it one of them or anyPolicy alone, another CA none of them?",
                "CA/Browser Forum Baseline Requirements 7.1.2.2.6, 7.1.2.3.2, 7.1.2.7.9, 7.1.2.10.5 and 7.1.6.1",
                "declare other `policies` in the profile",
            ],
            Check::CabfUrls => [
                "cabf-urls",
                "Does it name its issuer's CRL (unless it is a root's, or short-lived), a server's its issuer's certificate too, each over http?",
                "CA/Browser Forum Baseline Requirements 7.1.2.7.7, 7.1.2.10.3 and 7.1.2.11.2",
                "declare http:// URLs in `crl-urls` and `issuer-urls` of the issuing CA",
            ],
            Check::CabfExtensions => [
                "cabf-extensions",
                "Is it no precertificate, and does it claim no SCT?",
                "CA/Browser Forum Baseline Requirements 7.1.2.9 and 7.1.2.11.3; RFC 6962 section 3",
                "leave the extension out: no CT log is asked here",
            ],
            Check::CabfCrl => [
                "cabf-crl",
                "Is nextUpdate of a CRL that tells of servers at most 10 days after thisUpdate, of another at most 365?",
                "CA/Browser Forum Baseline Requirements 7.2",
                "declare fewer `crl-days`",
            ],
            Check::CabfRevocation => [
                "cabf-revocation",
                "Has the revocation of a CA's certificate a reason?",
                "CA/Browser Forum Baseline Requirements 7.2.2",
                "say the reason",
            ],
        }
    }

    /// The stable name in kebab-case.
    pub fn name(self) -> &'static str {
        let [name, ..] = self.card();
        name
    }

    /// What the check asks; the answer of a good item is yes.
    pub fn question(self) -> &'static str {
        let [_, question, ..] = self.card();
        question
    }

    /// Where the check comes from.
    pub fn source(self) -> &'static str {
        let [_, _, source, _] = self.card();
        source
    }

    /// What the requester or the operator should do when it fails.
    pub fn mend(self) -> &'static str {
        let [.., mend] = self.card();
        mend
    }

    /// The rule sets that it belongs to, whose documents its source names; none: it is about what this hierarchy, desk and station say themselves.
    pub fn rule_sets(self) -> &'static [RuleSet] {
        let [_, _, source, _] = self.card();
        match (source.contains("RFC 5280"), source.contains("Baseline Requirements")) {
            (false, false) => &[],
            (true, false) => &[RuleSet::Rfc5280],
            (false, true) => &[RuleSet::CabfTls],
            (true, true) => &[RuleSet::Rfc5280, RuleSet::CabfTls],
        }
    }

    /// The check of this name.
    pub fn named(name: &str) -> Option<Check> {
        Check::ALL.into_iter().find(|check| check.name() == name)
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A failed check: which, and a sentence for the requester, safe for any output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{check}: {reason}")]
pub struct Refused {
    pub check: Check,
    pub reason: String,
}

impl Refused {
    /// `wrong` says what is wrong, one clause with untrusted text already escaped; the check adds what to mend.
    pub(crate) fn new(check: Check, wrong: impl std::fmt::Display) -> Refused {
        Refused { check, reason: format!("{wrong}; {}", check.mend()) }
    }

    /// What a person should do about it.
    pub fn hint(&self) -> Option<String> {
        Some(self.check.mend().into())
    }

    /// The entry of a plan for the request with this id.
    pub fn for_request(self, request: &str) -> crate::plan::Refusal {
        crate::plan::Refusal { request: request.into(), check: self.check.name().into(), reason: self.reason }
    }
}
