//! Public keys: from the attributes of a PKCS#11 object to a SubjectPublicKeyInfo in DER, byte for byte.

use cryptoki::object::Attribute;

use super::parameter_set::parameter_set;
use crate::algorithm::{KeyAlgorithm, PostQuantum};

/// secp256r1 as CKA_EC_PARAMS (RFC 5480 §2.1.1.1).
pub(super) const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// secp384r1 as CKA_EC_PARAMS.
pub(super) const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// secp521r1 as CKA_EC_PARAMS.
pub(super) const P521: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
/// The curve's name as PrintableString: what most modules take at generation (PKCS #11 v3.0, section 2.3.10).
pub(super) const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";
/// The other two ways to name the curve that modules give back: RFC 8410's id-Ed25519 and the older GNU arc.
pub(super) const ED25519_OIDS: [&[u8]; 2] =
    [&[0x06, 0x03, 0x2b, 0x65, 0x70], &[0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01]];

/// 65537, the only public exponent that is made or taken.
pub(super) const EXPONENT: &[u8] = &[0x01, 0x00, 0x01];

const RSA_ENCRYPTION: &[u64] = &[1, 2, 840, 113549, 1, 1, 1];

/// The kind of an EC key by CKA_EC_PARAMS.
pub(super) fn curve(params: &[u8]) -> Option<KeyAlgorithm> {
    match params {
        P256 => Some(KeyAlgorithm::EcdsaP256),
        P384 => Some(KeyAlgorithm::EcdsaP384),
        P521 => Some(KeyAlgorithm::EcdsaP521),
        EDWARDS25519 => Some(KeyAlgorithm::Ed25519),
        other => ED25519_OIDS.contains(&other).then_some(KeyAlgorithm::Ed25519),
    }
}

/// The SubjectPublicKeyInfo of a point on a named curve (RFC 5480 §2, RFC 8410 §4). `ec_point` is CKA_EC_POINT.
pub(super) fn of_point(algorithm: KeyAlgorithm, ec_point: &[u8]) -> Result<Vec<u8>, &'static str> {
    // Everything before the point is constant, since each curve has one length of point.
    let (prefix, length, uncompressed): (&[u8], u8, bool) = match algorithm {
        KeyAlgorithm::EcdsaP256 => (
            &[
                0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
                0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
            ],
            65,
            true,
        ),
        KeyAlgorithm::EcdsaP384 => (
            &[
                0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
                0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
            ],
            97,
            true,
        ),
        KeyAlgorithm::EcdsaP521 => (
            &[
                0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00,
            ],
            133,
            true,
        ),
        KeyAlgorithm::Ed25519 => (&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], 32, false),
        _ => return Err("only a key on a curve has a point"),
    };
    let point =
        bare_point(ec_point, length).ok_or("CKA_EC_POINT has a length that fits neither of its two encodings")?;
    if uncompressed && point.first() != Some(&0x04) {
        return Err("CKA_EC_POINT is not an uncompressed point");
    }
    Ok([prefix, point].concat())
}

/// CKA_EC_POINT is a DER OCTET STRING in some modules and the bare octets in others. Both begin with 04 (the tag, or
/// "uncompressed"), so only the exact length tells them apart.
fn bare_point(ec_point: &[u8], length: u8) -> Option<&[u8]> {
    let wanted = usize::from(length);
    if ec_point.len() == wanted {
        return Some(ec_point);
    }
    let header: &[u8] = if length < 0x80 { &[0x04, length] } else { &[0x04, 0x81, length] };
    let bare = ec_point.strip_prefix(header)?;
    (bare.len() == wanted).then_some(bare)
}

/// The SubjectPublicKeyInfo of an RSA key (RFC 3279 §2.3.1, parameters NULL). Refuses another exponent than 65537 and a
/// modulus whose length is not the algorithm's.
pub(super) fn of_rsa(algorithm: KeyAlgorithm, modulus: &[u8], exponent: &[u8]) -> Result<Vec<u8>, &'static str> {
    let octets = rsa_octets(algorithm).ok_or("only an RSA key has a modulus")?;
    let modulus = strip_zeros(modulus);
    if modulus.len() != octets || modulus.first().is_none_or(|first| first & 0x80 == 0) {
        return Err("CKA_MODULUS has not the length of the key");
    }
    if modulus.last().is_none_or(|last| last & 1 == 0) {
        return Err("CKA_MODULUS is even");
    }
    if strip_zeros(exponent) != EXPONENT {
        return Err("CKA_PUBLIC_EXPONENT is not 65537");
    }
    let key = yasna::construct_der(|w| {
        w.write_sequence(|w| {
            w.next().write_bigint_bytes(modulus, true);
            w.next().write_bigint_bytes(EXPONENT, true);
        })
    });
    Ok(yasna::construct_der(|w| {
        w.write_sequence(|w| {
            w.next().write_sequence(|w| {
                w.next().write_oid(&yasna::models::ObjectIdentifier::from_slice(RSA_ENCRYPTION));
                w.next().write_null();
            });
            w.next().write_bitvec_bytes(&key, key.len() * 8);
        })
    }))
}

/// The attributes of a public key object for this SubjectPublicKeyInfo, in each of the forms that modules take. What they say
/// must make the same SubjectPublicKeyInfo again.
pub(super) fn attributes(algorithm: KeyAlgorithm, spki: &[u8]) -> Result<Vec<Vec<Attribute>>, &'static str> {
    let other = "it is not the public key of its algorithm";
    let tail = |octets: usize| spki.len().checked_sub(octets).and_then(|at| spki.get(at..)).ok_or(other);
    if let Some(octets) = rsa_octets(algorithm) {
        // The modulus stands before the exponent, an INTEGER of five octets.
        let exponent = EXPONENT.len() + 2;
        let modulus = tail(octets + exponent)?.get(..octets).ok_or(other)?;
        let parts = vec![Attribute::Modulus(modulus.to_vec()), Attribute::PublicExponent(EXPONENT.to_vec())];
        return if of_rsa(algorithm, modulus, EXPONENT)? == spki { Ok(vec![parts]) } else { Err(other) };
    }
    if let KeyAlgorithm::PostQuantum(set) = algorithm {
        let value = tail(set.key_octets())?;
        let parts = vec![Attribute::ParameterSet(parameter_set(set)), Attribute::Value(value.to_vec())];
        return if of_post_quantum(set, value)? == spki { Ok(vec![parts]) } else { Err(other) };
    }
    let (params, length): (&[u8], u8) = match algorithm {
        KeyAlgorithm::EcdsaP256 => (P256, 65),
        KeyAlgorithm::EcdsaP384 => (P384, 97),
        KeyAlgorithm::EcdsaP521 => (P521, 133),
        _ => (EDWARDS25519, 32),
    };
    let bare = tail(usize::from(length))?;
    if of_point(algorithm, bare)? != spki {
        return Err(other);
    }
    let header: &[u8] = if length < 0x80 { &[0x04, length] } else { &[0x04, 0x81, length] };
    let form = |point: Vec<u8>| vec![Attribute::EcParams(params.to_vec()), Attribute::EcPoint(point)];
    Ok(vec![form([header, bare].concat()), form(bare.to_vec())])
}

/// The length of an RSA modulus, and of its signatures, in octets.
pub(super) fn rsa_octets(algorithm: KeyAlgorithm) -> Option<usize> {
    match algorithm.shown() {
        KeyAlgorithm::Rsa2048 => Some(256),
        KeyAlgorithm::Rsa3072 => Some(384),
        KeyAlgorithm::Rsa4096 => Some(512),
        _ => None,
    }
}

/// The SubjectPublicKeyInfo of an ML-DSA or SLH-DSA key (RFC 9881 §4, RFC 9909 §4): the octets of CKA_VALUE, bare.
pub(super) fn of_post_quantum(set: PostQuantum, value: &[u8]) -> Result<Vec<u8>, &'static str> {
    if value.len() != set.key_octets() {
        return Err("CKA_VALUE has not the length of its parameter set");
    }
    Ok(yasna::construct_der(|w| {
        w.write_sequence(|w| {
            w.next().write_der(set.identifier_der());
            w.next().write_bitvec_bytes(value, value.len() * 8);
        })
    }))
}

/// Big integers of PKCS #11 have no sign; some modules lead with zeros all the same.
pub(super) fn strip_zeros(mut octets: &[u8]) -> &[u8] {
    while let Some(rest) = octets.strip_prefix(&[0]) {
        octets = rest;
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_of_a_point_give_the_same_key() {
        for (algorithm, length) in
            [(KeyAlgorithm::EcdsaP256, 65u8), (KeyAlgorithm::EcdsaP384, 97), (KeyAlgorithm::Ed25519, 32)]
        {
            let mut bare = vec![0x04];
            bare.resize(usize::from(length), 0x11);
            let wrapped = [&[0x04, length], bare.as_slice()].concat();
            let spki = of_point(algorithm, &bare).unwrap();
            assert_eq!(spki, of_point(algorithm, &wrapped).unwrap());
            // The outer SEQUENCE and the BIT STRING say their own lengths; both must be the real ones.
            assert_eq!(usize::from(spki[1]), spki.len() - 2);
            assert_eq!(usize::from(spki[spki.len() - bare.len() - 2]), bare.len() + 1);
            assert!(of_point(algorithm, &wrapped[..wrapped.len() - 1]).is_err());
            assert!(of_point(algorithm, &[]).is_err());
        }
    }

    #[test]
    fn the_long_point_of_p521_has_long_lengths() {
        let mut bare = vec![0x04];
        bare.resize(133, 0x11);
        let wrapped = [&[0x04, 0x81, 133], bare.as_slice()].concat();
        let spki = of_point(KeyAlgorithm::EcdsaP521, &bare).unwrap();
        assert_eq!(spki, of_point(KeyAlgorithm::EcdsaP521, &wrapped).unwrap());
        // 30 81 length, and 03 81 length 00 before the point.
        assert_eq!(usize::from(spki[2]), spki.len() - 3);
        assert_eq!(usize::from(spki[spki.len() - bare.len() - 2]), bare.len() + 1);
        assert!(of_point(KeyAlgorithm::EcdsaP521, &[&[0x04, 133], bare.as_slice()].concat()).is_err());
    }

    #[test]
    fn a_point_that_looks_like_an_octet_string_is_told_by_its_length() {
        // A bare P-256 point whose X begins with 41: it could be read as OCTET STRING of 65 octets.
        let mut bare = vec![0x04, 65];
        bare.resize(65, 0x22);
        assert!(of_point(KeyAlgorithm::EcdsaP256, &bare).unwrap().ends_with(&bare));
    }

    #[test]
    fn a_compressed_point_is_refused() {
        let mut point = vec![0x02];
        point.resize(65, 1);
        assert_eq!(of_point(KeyAlgorithm::EcdsaP256, &point), Err("CKA_EC_POINT is not an uncompressed point"));
    }

    #[test]
    fn an_rsa_key_has_its_exact_length_and_exponent() {
        let mut modulus = vec![0xff; 256];
        let spki = of_rsa(KeyAlgorithm::Rsa2048, &modulus, &[0, 1, 0, 1]).unwrap();
        // RFC 3279's encoding of an RSA-2048 key: 294 octets with this prefix.
        assert_eq!(spki.len(), 294);
        let prefix = [
            0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
            0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00, 0xff,
        ];
        assert!(spki.starts_with(&prefix));
        assert!(spki.ends_with(&[0x02, 0x03, 0x01, 0x00, 0x01]));
        let padded = [&[0], modulus.as_slice()].concat();
        assert_eq!(of_rsa(KeyAlgorithm::Rsa2048, &padded, EXPONENT).unwrap(), spki);
        assert!(of_rsa(KeyAlgorithm::Rsa2048, &modulus, &[3]).is_err());
        assert!(of_rsa(KeyAlgorithm::Rsa3072, &modulus, EXPONENT).is_err());
        modulus[0] = 0x7f;
        assert!(of_rsa(KeyAlgorithm::Rsa2048, &modulus, EXPONENT).is_err());
        assert!(of_rsa(KeyAlgorithm::Rsa2048, &[], EXPONENT).is_err());
    }

    #[test]
    fn a_post_quantum_key_is_its_octets_behind_its_identifier() {
        for set in PostQuantum::ALL {
            let value = vec![0xa5; set.key_octets()];
            let spki = of_post_quantum(set, &value).unwrap();
            let key = crate::x509::PublicKey::from_spki(&spki).unwrap();
            assert_eq!(key.algorithm(), Some(KeyAlgorithm::PostQuantum(set)));
            assert!(spki.ends_with(&value));
            assert!(of_post_quantum(set, &value[1..]).is_err());
            assert!(of_post_quantum(set, &[]).is_err());
        }
        // RFC 9881 §4 and RFC 9909 §4: no parameters, and nothing around the octets but the BIT STRING.
        let spki = of_post_quantum(PostQuantum::SlhDsaSha2_128s, &[7; 32]).unwrap();
        let head = b"\x30\x30\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x14\x03\x21\x00";
        assert_eq!(spki, [head.as_slice(), &[7; 32]].concat());
    }

    #[test]
    fn curves_are_known_by_every_name_that_modules_use() {
        assert_eq!(curve(P256), Some(KeyAlgorithm::EcdsaP256));
        assert_eq!(curve(P521), Some(KeyAlgorithm::EcdsaP521));
        assert_eq!(curve(&[0x06, 0x03, 0x2b, 0x65, 0x70]), Some(KeyAlgorithm::Ed25519));
        assert_eq!(curve(EDWARDS25519), Some(KeyAlgorithm::Ed25519));
        assert_eq!(curve(&[0x06, 0x03, 0x2b, 0x65, 0x71]), None);
    }
}
