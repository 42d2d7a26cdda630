//! Keys of requests: RSA in three sizes with one exponent and no weakness that can be seen from outside; ML-DSA where it is listed.

use x509_parser::num_bigint::BigUint;

use super::*;
use crate::algorithm::PostQuantum;

/// An RSA SubjectPublicKeyInfo. Nobody holds such a key: what is refused here is refused before a signature is looked at.
fn rsa_spki(bits: usize, exponent: &[u8]) -> Vec<u8> {
    let mut modulus = vec![0xb5; bits.div_ceil(8)];
    modulus[0] = 1 << ((bits - 1) % 8);
    rsa_spki_of(&modulus, exponent)
}

fn rsa_spki_of(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if modulus[0] & 0x80 != 0 { &[0] } else { &[] };
    let modulus = [sign, modulus].concat();
    let key = seq(&[tlv(0x02, &modulus), tlv(0x02, exponent)]);
    let algorithm = tlv(0x30, b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00");
    seq(&[algorithm, tlv(0x03, &[&[0], key.as_slice()].concat())])
}

#[test]
fn rsa_keys_have_one_of_three_sizes_and_one_exponent() {
    let world = World::new();
    let rsa = [KeyAlgorithm::Rsa2048, KeyAlgorithm::Rsa3072, KeyAlgorithm::Rsa4096];
    let all = Profile { keys: rsa.to_vec(), ..profile(Base::TlsServer, None) };
    let signer = Key::p256();
    let check = |spki: Vec<u8>| {
        let csr = Csr { spki, ..Csr::new(&signer, &[dns("a.example")]) }.sign(&signer);
        world.judge_by(&all, &csr, &["a.example"]).unwrap_err().check
    };
    const USUAL: &[u8] = &[1, 0, 1];
    // The lawful sizes go on to the next checks, which made-up moduli and a signature by another kind of key do not pass.
    for bits in [2048, 3072, 4096] {
        let next = check(rsa_spki(bits, USUAL));
        assert!(matches!(next, Check::KeyQuality | Check::SignatureAlgorithm), "{bits}: {next}");
    }
    // The last one has 64 kbit, and more octets than a key may have at all.
    for bits in [512, 1024, 2040, 2047, 2049, 2056, 3071, 3073, 4095, 4097, 8192, 16_384, 32_000, 65_536] {
        assert_eq!(check(rsa_spki(bits, USUAL)), Check::KeySize, "{bits}");
    }
    // 3, 17, 65539, and one of 64 bits; then even ones, 1, and one of 4,096 bits.
    for lawful in [&[3][..], &[17], &[1, 0, 3], &[0x7f, 255, 255, 255, 255, 255, 255, 255]] {
        assert_eq!(check(rsa_spki(2048, lawful)), Check::KeyQuality, "{lawful:?}");
    }
    for broken in [&[2][..], &[1, 0, 0], &[1], &[0], &[0x7f; 512]] {
        assert_eq!(check(rsa_spki(2048, broken)), Check::KeyEncoding, "{broken:?}");
    }
    // A profile that names one size takes that one alone.
    let one = Profile { keys: vec![KeyAlgorithm::Rsa4096], ..all.clone() };
    let key = Key::rsa_2048();
    let refused = world.judge_by(&one, &request(&key, &[dns("a.example")]), &["a.example"]).unwrap_err();
    assert!(refused.check == Check::KeySize && refused.reason.contains("(accepted: rsa-4096)"), "{refused}");
    assert!(world.judge_by(&all, &request(&key, &[dns("a.example")]), &["a.example"]).is_ok());
}

#[test]
fn a_post_quantum_key_is_taken_where_it_is_listed_and_only_signs() {
    let world = World::new();
    let key = Key::ml_dsa_65();
    let asked = request(&key, &[dns("a.example")]);
    let usual = profile(Base::XmppServer, None);
    let refused = world.judge_by(&usual, &asked, &["a.example"]).unwrap_err();
    assert!(refused.check == Check::KeyType && refused.reason.contains("an ML-DSA-65 key"), "{refused}");
    let listed = Profile { keys: vec![KeyAlgorithm::PostQuantum(PostQuantum::MlDsa65)], ..usual };
    let fields = world.judge_by(&listed, &asked, &["a.example"]).unwrap();
    assert_eq!((fields.spki.as_slice(), fields.key_usage), (key.spki().as_slice(), key_usage::DIGITAL_SIGNATURE));
    let bytes = tbs::certificate(&fields).unwrap();
    assert_eq!(x509::read_tbs_certificate(&bytes).unwrap(), fields);
}

#[test]
fn weak_moduli_of_a_lawful_size_are_refused_by_their_weakness() {
    let world = World::new();
    let signer = Key::p256();
    let reason = |modulus: &BigUint| {
        assert_eq!(modulus.bits(), 2048);
        let spki = rsa_spki_of(&modulus.to_bytes_be(), &[1, 0, 1]);
        let csr = Csr { spki, ..Csr::new(&signer, &[dns("a.example")]) }.sign(&signer);
        let refused = world.judge(&csr, &["a.example"]).unwrap_err();
        assert_eq!(refused.check, Check::KeyQuality);
        refused.reason
    };
    let small = |modulus: &BigUint| {
        let key = x509::PublicKey::from_spki(&rsa_spki_of(&modulus.to_bytes_be(), &[1, 0, 1])).unwrap();
        matches!(key.weakness(), Some(x509::Weakness::SmallFactor(_)))
    };
    let next = |from: BigUint, step: &BigUint| {
        let mut number = from;
        while small(&number) {
            number += step;
        }
        number
    };
    let drawn =
        |digests: u8| BigUint::from_bytes_be(&(0..digests).flat_map(|n| Digest::of(&[n]).0).collect::<Vec<_>>());
    // Two factors that lie close together: Fermat's method.
    let two = BigUint::from(2u32);
    let p = next((BigUint::from(3u32) << 1022) | drawn(4) | BigUint::from(1u32), &two);
    let q = next(&p + 100u32, &two);
    assert!(reason(&(&p * &q)).contains("close together"));
    // A number that is 65537 modulo each of the first primes: ROCA.
    let odd = (3u32..=167).filter(|n| (2..*n).all(|d| n % d != 0));
    let even = odd.fold(BigUint::from(2u32), |m, prime| m * prime);
    let start = &even * (((BigUint::from(3u32) << 2046) | drawn(8)) / &even) + 65537u32;
    assert!(reason(&next(start, &even)).contains("ROCA"));
    // A third of its bits: as of primes that are polynomials.
    let mask = BigUint::from_bytes_be(&[0x92, 0x49, 0x24].repeat(86));
    let sparse = (BigUint::from(3u32) << 2046) | (drawn(8) & mask);
    assert!(reason(&next(sparse | BigUint::from(1u32), &two)).contains("not drawn at random"));
    let text = (BigUint::from(3u32) << 2046) + (drawn(7) << 144) + BigUint::from(1u32);
    assert!(reason(&next(text, &two)).contains("16 times in a row"));
    assert!(reason(&((BigUint::from(1u32) << 2047) + 1u32)).contains("divisible by 3"));
}

#[test]
fn a_key_of_a_block_list_is_refused_of_a_request_and_of_a_ca() {
    let mut world = World::new();
    let key = Key::p256();
    let asked = request(&key, &[dns("a.example")]);
    assert!(world.judge(&asked, &["a.example"]).is_ok());
    world.ledger.blocked.push(x509::PublicKey::from_spki(&key.spki()).unwrap().digest());
    let refused = world.judge(&asked, &["a.example"]).unwrap_err();
    assert_eq!(refused.check, Check::BlockedKey);
    assert!(refused.reason.contains("compromised keys `a\\u{a}list`"), "{refused}");
    let (issuer, declared) = (world.root_facts(), ca("other", "root", 30));
    let mut seen = Seen::new(&world.ledger, []);
    let profile = profile(Base::Intermediate, Some(0));
    let refused = certify(&declared, &key, Some(&issuer), profile, FROM, 3, &mut seen).unwrap_err();
    assert_eq!(refused.check, Check::BlockedKey);
}
