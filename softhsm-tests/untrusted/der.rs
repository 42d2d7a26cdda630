//! Certificates, CRLs and requests with hostile text, from fixed octets: nobody verifies their signatures.

pub const ECDSA_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
const TIMES: &[u8] = b"\x17\x0d261122000000Z\x17\x0d270220000000Z";
/// P-256 with its base point as the public key: the private key is 1.
const SPKI: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                    4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
const XMPP_ADDR: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x05";
const DNS_SRV: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x07";

pub const UTF8: u8 = 0x0c;
pub const PRINTABLE: u8 = 0x13;
pub const T61: u8 = 0x14;
pub const IA5: u8 = 0x16;
pub const UNIVERSAL: u8 = 0x1c;
pub const BMP: u8 = 0x1e;

pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let octets: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    let length = match length {
        0..=0x7f => vec![length as u8],
        _ => [&[0x80 | octets.len() as u8][..], &octets].concat(),
    };
    [&[tag][..], &length, content].concat()
}

pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub fn spki() -> Vec<u8> {
    data_encoding::HEXLOWER.decode(SPKI.as_bytes()).unwrap()
}

/// One attribute of a name, 2.5.4.`kind`.
pub fn attribute(kind: u8, tag: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x31, &seq(&[&[0x06, 0x03, 0x55, 0x04, kind], &tlv(tag, value)]))
}

pub fn name(attributes: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &attributes.concat())
}

pub fn common_name(value: &[u8]) -> Vec<u8> {
    name(&[attribute(3, UTF8, value)])
}

pub fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    seq(&[&tlv(0x06, oid), &tlv(0x04, value)])
}

fn other_name(oid: &[u8], tag: u8, text: &[u8]) -> Vec<u8> {
    tlv(0xa0, &[oid, &tlv(0xa0, &tlv(tag, text))].concat())
}

pub fn xmpp_addr(text: &[u8]) -> Vec<u8> {
    other_name(XMPP_ADDR, UTF8, text)
}

pub fn srv(text: &[u8]) -> Vec<u8> {
    other_name(DNS_SRV, IA5, text)
}

/// subjectAltName: xmppAddr, and where the text is ASCII every form that takes IA5String.
pub fn alternative_names(text: &[u8]) -> Vec<u8> {
    let mut names = xmpp_addr(text);
    if text.is_ascii() {
        names.extend([tlv(0x82, text), tlv(0x81, text), tlv(0x86, text), srv(text)].concat());
    }
    extension(b"\x55\x1d\x11", &tlv(0x30, &names))
}

/// CRL distribution point, issuer's address, CPS.
pub fn addresses(text: &[u8]) -> Vec<Vec<u8>> {
    let uri = tlv(0x86, text);
    let point = seq(&[&tlv(0xa0, &tlv(0xa0, &uri))]);
    let access = seq(&[b"\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02", &uri]);
    let qualifier = seq(&[b"\x06\x08\x2b\x06\x01\x05\x05\x07\x02\x01", &tlv(IA5, text)]);
    let policy = seq(&[b"\x06\x03\x2a\x03\x04", &seq(&[&qualifier])]);
    vec![
        extension(b"\x55\x1d\x1f", &seq(&[&point])),
        extension(b"\x2b\x06\x01\x05\x05\x07\x01\x01", &seq(&[&access])),
        extension(b"\x55\x1d\x20", &seq(&[&policy])),
    ]
}

fn signed(tbs: &[u8]) -> Vec<u8> {
    seq(&[tbs, ECDSA_SHA256, &tlv(0x03, b"\x00\x30\x06\x02\x01\x01\x02\x01\x01")])
}

pub fn certificate(issuer: &[u8], subject: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let extensions = match extensions {
        [] => Vec::new(),
        some => tlv(0xa3, &tlv(0x30, &some.concat())),
    };
    let head = b"\xa0\x03\x02\x01\x02\x02\x01\x01";
    signed(&seq(&[head, ECDSA_SHA256, issuer, &tlv(0x30, TIMES), subject, &spki(), &extensions]))
}

pub fn crl(issuer: &[u8]) -> Vec<u8> {
    let identifier = extension(b"\x55\x1d\x23", b"\x30\x04\x80\x02\x01\x02");
    let number = extension(b"\x55\x1d\x14", b"\x02\x01\x07");
    let extensions = tlv(0xa0, &seq(&[&identifier, &number]));
    signed(&seq(&[b"\x02\x01\x01", ECDSA_SHA256, issuer, TIMES, &extensions]))
}

/// CertificationRequestInfo for this key.
pub fn request_info(subject: &[u8], spki: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let attribute =
        seq(&[b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e", &tlv(0x31, &tlv(0x30, &extensions.concat()))]);
    let attributes = if extensions.is_empty() { Vec::new() } else { attribute };
    seq(&[b"\x02\x01\x00", subject, spki, &tlv(0xa0, &attributes)])
}

pub fn request(subject: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    signed(&request_info(subject, &spki(), extensions))
}
