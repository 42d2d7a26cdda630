//! A request's file: DER as it is, or the DER inside PEM (RFC 7468). What the request says is judged at the station.

use super::limits;

/// Why a file is not taken as a certificate request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARequest {
    #[error("is empty")]
    Empty,
    #[error("is larger than a request may be")]
    TooLarge,
    #[error("holds a private key")]
    PrivateKey,
    #[error("is neither DER nor PEM with the label CERTIFICATE REQUEST")]
    NoBlock,
    #[error("holds more than one PEM block")]
    ManyBlocks,
    #[error("holds a PEM block that does not end")]
    Unended,
    #[error("holds a PEM block that is not base64")]
    Base64,
    #[error("is not the DER of a PKCS#10 certificate request")]
    NotDer,
}

impl NotARequest {
    /// What a person should do about it.
    pub fn hint(&self) -> String {
        match self {
            NotARequest::PrivateKey => {
                "a private key has left its machine: tell the requester to make a new key and a new request".into()
            }
            _ => "ask the requester for the file that `openssl req -new` or the like has written".into(),
        }
    }
}

/// `NEW CERTIFICATE REQUEST` is what keytool and certtool write.
const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

/// The DER of the one request that a file holds. Text around a PEM block is allowed (RFC 7468 §2): certtool and
/// `openssl req -text` write the readable form in front.
pub fn request_der(file: &[u8]) -> Result<Vec<u8>, NotARequest> {
    let der = match file {
        [] => return Err(NotARequest::Empty),
        [0x30, ..] => file.to_vec(),
        _ => from_pem(file)?,
    };
    if der.len() as u64 > limits::ITEM {
        return Err(NotARequest::TooLarge);
    }
    match looks_like_pkcs10(&der) {
        true => Ok(der),
        false => Err(NotARequest::NotDer),
    }
}

fn from_pem(file: &[u8]) -> Result<Vec<u8>, NotARequest> {
    // The text around a block may be in any encoding; the armor itself is ASCII.
    let text = String::from_utf8_lossy(file);
    let mut label = None;
    let mut base64 = String::new();
    let mut ended = false;
    for line in text.lines().map(str::trim_end) {
        if let Some(name) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) {
            if name.ends_with("PRIVATE KEY") {
                return Err(NotARequest::PrivateKey);
            }
            if label.is_some() {
                return Err(NotARequest::ManyBlocks);
            }
            label = Some(*LABELS.iter().find(|known| **known == name).ok_or(NotARequest::NoBlock)?);
        } else if let Some(label) = label.filter(|_| !ended) {
            match line.strip_prefix("-----END ").and_then(|rest| rest.strip_suffix("-----")) {
                Some(name) if name == label => ended = true,
                Some(_) => return Err(NotARequest::Unended),
                None => base64.push_str(line.trim_start()),
            }
        }
    }
    match (label, ended) {
        (None, _) => Err(NotARequest::NoBlock),
        (_, false) => Err(NotARequest::Unended),
        (_, true) => data_encoding::BASE64.decode(base64.as_bytes()).map_err(|_| NotARequest::Base64),
    }
}

/// One SEQUENCE that fills the file, and in it a SEQUENCE that begins with an INTEGER, the version (RFC 2986 §4.1). A
/// version 3 certificate begins with `[0]` there, a key with the INTEGER itself.
fn looks_like_pkcs10(der: &[u8]) -> bool {
    let whole = |(value, rest): (_, &[u8])| rest.is_empty().then_some(value);
    let Some(request) = inside(0x30, der).and_then(whole) else { return false };
    let Some((info, _)) = inside(0x30, request) else { return false };
    matches!(inside(0x02, info), Some(([_], _)))
}

/// The content of the first element, which must have this tag, and what follows the element (X.690 §8.1.3, §10.1).
fn inside(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let value = octets.iter().fold(0, |value, octet| value << 8 | usize::from(*octet));
            let shortest = value >= 0x80 && octets.first() != Some(&0);
            (shortest.then_some(value)?, rest)
        }
        _ => return None,
    };
    (first == tag).then(|| rest.split_at_checked(length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &[u8] = include_bytes!("../../softhsm-tests/requests/openssl-p256.pem");
    const DER: &[u8] = include_bytes!("../../softhsm-tests/requests/openssl-p384.der");

    fn with(before: &str, label: &str, body: &str, after: &str) -> Result<Vec<u8>, NotARequest> {
        request_der(format!("{before}-----BEGIN {label}-----\n{body}\n-----END {label}-----\n{after}").as_bytes())
    }

    #[test]
    fn der_and_both_labels_of_pem_are_read() {
        assert_eq!(request_der(DER).unwrap(), DER);
        let base64 = data_encoding::BASE64.encode(DER);
        assert_eq!(with("", "CERTIFICATE REQUEST", &base64, "").unwrap(), DER);
        assert_eq!(with("Subject: caf\u{e9}\n", "NEW CERTIFICATE REQUEST", &base64, "bye").unwrap(), DER);
        let der = request_der(PEM).unwrap();
        let windows = String::from_utf8(PEM.to_vec()).unwrap().replace('\n', "\r\n");
        assert_eq!(request_der(windows.as_bytes()).unwrap(), der);
    }

    #[test]
    fn p07_other_files_are_refused_by_cause() {
        let base64 = data_encoding::BASE64.encode(DER);
        let pem = with("", "CERTIFICATE REQUEST", &base64, "");
        assert!(pem.is_ok());
        assert_eq!(request_der(b""), Err(NotARequest::Empty));
        assert_eq!(request_der(b"hello"), Err(NotARequest::NoBlock));
        assert_eq!(with("", "CERTIFICATE", &base64, ""), Err(NotARequest::NoBlock));
        assert_eq!(with("", "EC PRIVATE KEY", &base64, ""), Err(NotARequest::PrivateKey));
        let key_after = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
        assert_eq!(with("", "CERTIFICATE REQUEST", &base64, key_after), Err(NotARequest::PrivateKey));
        assert_eq!(request_der(&[PEM, PEM].concat()), Err(NotARequest::ManyBlocks));
        assert_eq!(request_der(&PEM[..PEM.len() / 2]), Err(NotARequest::Unended));
        assert_eq!(with("", "CERTIFICATE REQUEST", "MII*", ""), Err(NotARequest::Base64));
        assert_eq!(with("", "CERTIFICATE REQUEST", "MAA=", ""), Err(NotARequest::NotDer));
        assert_eq!(request_der(&[DER, &[0]].concat()), Err(NotARequest::NotDer));
        assert_eq!(request_der(&DER[..DER.len() - 1]), Err(NotARequest::NotDer));
        assert_eq!(request_der(&[0x30, 0x80, 0, 0]), Err(NotARequest::NotDer));
        let mut large = vec![0x30, 0x83, 2, 0, 0];
        large.resize(0x2_0005, 0);
        assert_eq!(request_der(&large), Err(NotARequest::TooLarge));
    }
}
