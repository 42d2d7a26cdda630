//! A signature that a token gives counts in its one encoding: what some verifiers would let pass, ours do not.

use super::*;
use crate::x509::forge::tlv;

type Edit = fn(&[u8]) -> Vec<u8>;

/// The order of P-256's group (SEC 2 section 2.4.2).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// a - b of numbers of one length, the highest octet first.
fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let (mut difference, mut borrow) = (vec![0; a.len()], 0);
    for (n, place) in difference.iter_mut().enumerate().rev() {
        let octet = i16::from(a[n]) - i16::from(b[n]) - borrow;
        borrow = i16::from(octet < 0);
        *place = octet.rem_euclid(256) as u8;
    }
    difference
}

/// An INTEGER with these octets as they are.
fn integer(octets: &[u8]) -> Vec<u8> {
    tlv(0x02, octets)
}

/// Minimal and positive.
fn number(octets: &[u8]) -> Vec<u8> {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let octets = &octets[zeros..];
    integer(&[&[0][..octets[0] as usize >> 7], octets].concat())
}

fn pair(r: Vec<u8>, s: Vec<u8>) -> Vec<u8> {
    tlv(0x30, &[r, s].concat())
}

/// r and s of an ECDSA-Sig-Value, 32 octets each.
fn halves(signature: &[u8]) -> [Vec<u8>; 2] {
    let r = &signature[4..4 + signature[3] as usize];
    let s = &signature[4 + r.len() + 2..];
    [r, s].map(|half| {
        let half = &half[half.len().saturating_sub(32)..];
        [vec![0; 32 - half.len()], half.to_vec()].concat()
    })
}

#[test]
fn a_good_signature_in_another_encoding_is_none() {
    let (root_key, ca_key, leaf_key) = (Key::p256(), Key::p256(), Key::p256());
    let top = root(&root_key);
    let middle = intermediate(&ca_key, &top);
    let end = leaf(&leaf_key, &middle, ca_key.algorithm());
    let crl_fields = list(&middle, ca_key.algorithm());
    let top_tbs = certificate(&top).unwrap();
    let top_der = assemble(&top_tbs, top.signature, &root_key.sign(&top_tbs));
    let middle_tbs = certificate(&middle).unwrap();
    let middle_signature = root_key.sign(&middle_tbs);
    let middle_der = assemble(&middle_tbs, middle.signature, &middle_signature);
    // Under the name of a CA, of an end entity, and of a CRL: aws-lc-rs and rustls-webpki.
    let judge = |edit: &dyn Fn(&[u8]) -> Vec<u8>| {
        let signed = |tbs: &[u8], algorithm, key: &Key| assemble(tbs, algorithm, &edit(&key.sign(tbs)));
        let end_tbs = certificate(&end).unwrap();
        let crl_tbs = crl(&crl_fields).unwrap();
        [
            verify_ca(&signed(&middle_tbs, middle.signature, &root_key), &top_der).is_ok(),
            verify_leaf(&signed(&end_tbs, end.signature, &ca_key), &middle_der, FROM + DAY).is_ok(),
            verify_crl(&signed(&crl_tbs, crl_fields.signature, &ca_key), &middle_der).is_ok(),
        ]
    };
    assert_eq!(judge(&|good| good.to_vec()), [true; 3]);
    assert_eq!(
        judge(&|good| {
            let [r, s] = halves(good);
            pair(number(&r), number(&s))
        }),
        [true; 3]
    );
    // Neither FIPS 186-5 nor RFC 3279 prefers one of s and n - s, and tokens give either.
    assert_eq!(
        judge(&|good| {
            let [r, s] = halves(good);
            pair(number(&r), number(&minus(&ORDER, &s)))
        }),
        [true; 3]
    );
    let edits: [(&str, Edit); 11] = [
        ("a long length", |good| [&[0x30, 0x81, good[1]], &good[2..]].concat()),
        ("an indefinite length", |good| [&[0x30, 0x80], &good[2..], &[0, 0]].concat()),
        ("a padded r", |good| {
            let [r, s] = halves(good);
            pair(integer(&[&[0, 0][..], &r].concat()), number(&s))
        }),
        ("a padded s", |good| {
            let [r, s] = halves(good);
            pair(number(&r), integer(&[&[0, 0][..], &s].concat()))
        }),
        ("r + n", |good| {
            let [r, s] = halves(good);
            pair(plus_order(&r), number(&s))
        }),
        ("s + n", |good| {
            let [r, s] = halves(good);
            pair(number(&r), plus_order(&s))
        }),
        ("-s", |good| {
            let [r, s] = halves(good);
            pair(number(&r), integer(&minus(&[0; 33], &[&[0][..], &s].concat())))
        }),
        ("a third number", |good| {
            let [r, s] = halves(good);
            pair(number(&r), [number(&s), number(&[1])].concat())
        }),
        ("an octet behind", |good| [good, &[0]].concat()),
        ("as the token gives it", |good| halves(good).concat()),
        ("nothing", |_| vec![]),
    ];
    for (what, edit) in edits {
        assert_eq!(judge(&edit), [false; 3], "{what}");
    }
}

/// The same residue, one order further.
fn plus_order(octets: &[u8]) -> Vec<u8> {
    let negative = minus(&[0; 33], &[&[0][..], &ORDER].concat());
    integer(&minus(&[&[0][..], octets].concat(), &negative))
}

/// RSA's signature has as many octets as the modulus (RFC 8017 section 8.2.2), Ed25519's s is below the order (RFC 8032 section 5.1.7).
#[test]
fn a_good_signature_of_another_length_or_above_the_order_is_none() {
    let lengths: [Edit; 3] = [|good| [&[0], good].concat(), |good| [good, &[0]].concat(), |good| good[1..].to_vec()];
    // L = 2^252 + 27742317777372353535851937790883648493, the lowest octet first.
    const L: [u8; 16] =
        [0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14];
    let above: Edit = |good| {
        let (mut sum, mut carry) = (good.to_vec(), 0);
        for (n, octet) in sum[32..].iter_mut().enumerate() {
            let one = u16::from(*octet) + u16::from(L.get(n).copied().unwrap_or(u8::from(n == 31) << 4)) + carry;
            (*octet, carry) = (one as u8, one >> 8);
        }
        sum
    };
    for (key, edits) in
        [(Key::rsa_2048(), &lengths[..]), (Key::ed25519(), &[lengths[0], lengths[1], lengths[2], above])]
    {
        let top = root(&key);
        let tbs = certificate(&top).unwrap();
        let judge = |signature: &[u8]| {
            verify_ca(&assemble(&tbs, top.signature, signature), &assemble(&tbs, top.signature, signature))
        };
        let good = key.sign(&tbs);
        assert_eq!(judge(&good).unwrap(), top);
        for (n, edit) in edits.iter().enumerate() {
            assert_eq!(judge(&edit(&good)), Err(Unreadable::Signature), "{n}");
        }
    }
}
