//! Verifier keys and notes of type 2: ECDSA P-256 with SHA-256.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

use super::super::*;

const ORIGIN: &str = "example.org/root";
/// The key whose private half is 32 octets 0x07, and a note of it by Python's `cryptography` (RFC 6979): with the smaller of the
/// two values that s may have, and with n−s.
const KEY: &str = "example.org/root+ce97ec20+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABB4YUy/UdUwC8wQdnHXOszuD/9gax85P6ILMscmLxYlup\
    GwxHE4v9A3ZajZT5uRURdMt/khuztdcepDGoYiBwKM=";
const NOTE: &str = "example.org/root\n7\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n\n\u{2014} example.org/root zpfsIDBEAiAyjiY9\
    pmqnzRNP2PbcH7XO94iAzw10ckl+IAn6SD0UkwIgHeibRLZdrAXZgDTh12UjTHJ87KmVpQlRMqZQtkzrsvw=\n";
const HIGH: &str = "example.org/root\n7\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n\n\u{2014} example.org/root zpfsIDBFAiAyjiY9\
    pmqnzRNP2PbcH7XO94iAzw10ckl+IAn6SD0UkwIhAOIXZLpJolP7Jn/LHiia3LNKag4EEXKVM8ETegyvd3JV\n";

/// The order of the curve's group (SEC 2, secp256r1).
const N: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn key() -> VerifierKey {
    VerifierKey::parse(KEY).unwrap()
}

fn spki() -> Vec<u8> {
    key().encoded()[1..].to_vec()
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: ORIGIN.into(), size: 7, root: Digest([9; 32]) }
}

/// DER of an element that is shorter than 128 octets.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
}

/// r and s, as their INTEGERs have them.
fn integers(der: &[u8]) -> [Vec<u8>; 2] {
    let r = &der[4..4 + usize::from(der[3])];
    [r.to_vec(), der[6 + r.len()..].to_vec()]
}

fn of_integers(r: &[u8], s: &[u8]) -> Vec<u8> {
    tlv(0x30, &[tlv(0x02, r), tlv(0x02, s)].concat())
}

/// A note's signature, without the key's id.
fn signature(note: &str) -> Vec<u8> {
    let line = note.lines().last().unwrap();
    BASE64.decode(line.rsplit(' ').next().unwrap().as_bytes()).unwrap()[4..].to_vec()
}

#[test]
fn the_key_of_a_public_log_and_its_note_are_read_as_others_read_them() {
    // Sigstore's log Rekor, whose checkpoint of 798,034 entries stands in the tests of several programs.
    let rekor = "rekor.sigstore.dev+c0d23d6a+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNhtmPtrWm3U1eQXBogSMdGvXwBcK5AW5i0hrZLOC96l+s\
        mGNM7nwZ4QvFK/4sueRoVj//QP22Ni4Qt9DPfkWLc=";
    let key = VerifierKey::parse(rekor).unwrap();
    assert_eq!((key.id(), key.to_string().as_str()), ([0xc0, 0xd2, 0x3d, 0x6a], rekor));
    let note = "Rekor\n798034\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n\n\u{2014} rekor.sigstore.dev wNI9ajBEAiARInWIWyCd\
        yG27CO6LPnPekyw20qO0YJfoaPaowGp/XgIgc+qEHS3+GKVClgqq20uDLet7MCoTURUCRdxwWBHHufk=\n";
    // Its signature is good; its first line is not the key's name, which a log of this program wants.
    assert_eq!(open(note, &key), Err(Error::NotACheckpoint("its origin is not the key's name")));
    assert_eq!(open(&note.replace("798034", "798035"), &key), Err(Error::BadSignature));
}

#[test]
fn a_note_of_type_2_is_the_one_that_python_signs() {
    let key = key();
    assert_eq!((key.to_string().as_str(), key.name()), (KEY, ORIGIN));
    // C2SP signed-note: the truncated SHA-256 of the key in SPKI form, without the name.
    assert_eq!(key.id(), Digest::of(&spki()).0[..4]);
    assert_eq!(VerifierKey::of_spki(ORIGIN, &spki()).as_ref(), Ok(&key));
    assert_eq!(open(NOTE, &key), Ok(checkpoint()));
    assert_eq!(assemble(&checkpoint().text(), &key, &signature(NOTE)), NOTE);
    // What is signed here is good as well, whichever s the library gives.
    let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, &[7; 32], &spki()[26..]);
    let pair = pair.unwrap();
    for size in 1..20 {
        let text = checkpoint_text(ORIGIN, size, &Digest([9; 32]));
        let signed = pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        assert_eq!(open(&assemble(&text, &key, signed.as_ref()), &key).unwrap().size, size);
    }
}

#[test]
fn the_other_s_is_taken_and_says_the_same() {
    let (low, high) = (integers(&signature(NOTE)), integers(&signature(HIGH)));
    assert_eq!(low[0], high[0]);
    assert_ne!(low[1], high[1]);
    assert_eq!(open(HIGH, &key()), open(NOTE, &key()));
    // Both at once are two signatures by one key.
    let both = format!("{NOTE}{}\n", HIGH.lines().last().unwrap());
    assert_eq!(open(&both, &key()), Err(Error::TwoSignatures));
}

#[test]
fn any_changed_byte_of_a_note_of_type_2_is_refused() {
    for note in [NOTE, HIGH] {
        for at in 0..note.len() {
            for flip in [1u8, 0x20] {
                let mut bytes = note.as_bytes().to_vec();
                bytes[at] ^= flip;
                if let Ok(changed) = String::from_utf8(bytes) {
                    assert!(open(&changed, &key()).is_err(), "octet {at}");
                }
            }
            assert!(note.is_char_boundary(at).then(|| open(&note[..at], &key())).is_none_or(|r| r.is_err()));
        }
    }
}

#[test]
fn a_signature_has_one_encoding() {
    let (text, der) = (checkpoint().text(), signature(NOTE));
    let [r, s] = integers(&der);
    assert_eq!(of_integers(&r, &s), der);
    let zero_before = |n: &[u8]| [&[0], n].concat();
    // The same modulo n, in 33 octets.
    let mut carry = 0;
    let mut s_and_n: Vec<u8> = (0..32)
        .rev()
        .map(|at| {
            let sum = u16::from(s[at]) + u16::from(N[at]) + carry;
            carry = sum >> 8;
            sum.to_le_bytes()[0]
        })
        .collect();
    assert_eq!(carry, 1);
    s_and_n.push(1);
    s_and_n.reverse();
    let hostile = [
        ("r and s without DER", [r.as_slice(), &s].concat()),
        ("an octet behind it", [der.as_slice(), &[0]].concat()),
        ("an octet behind s, inside", tlv(0x30, &[&der[2..], &[0]].concat())),
        ("a third INTEGER", tlv(0x30, &[&der[2..], &tlv(0x02, &[1])].concat())),
        ("an octet short", der[..der.len() - 1].to_vec()),
        ("a length in two octets", [&[0x30, 0x81, der[1]], &der[2..]].concat()),
        ("an indefinite length", [&[0x30, 0x80], &der[2..], &[0, 0]].concat()),
        ("a SET", tlv(0x31, &der[2..])),
        ("a zero before r", of_integers(&zero_before(&r), &s)),
        ("a zero before s", of_integers(&r, &zero_before(&s))),
        ("s and n", of_integers(&r, &s_and_n)),
        ("n for s", of_integers(&r, &zero_before(&N))),
        ("zero for r", of_integers(&[0], &s)),
        ("zero for s", of_integers(&r, &[0])),
        ("nothing for s", of_integers(&r, &[])),
        ("one for both", of_integers(&[1], &[1])),
        ("s for both", of_integers(&s, &s)),
        ("a negative s", of_integers(&r, &[&[0x80 | s[0]], &s[1..]].concat())),
        ("nothing in it", tlv(0x30, &[])),
        ("zeros", vec![0; 64]),
    ];
    for (what, signature) in hostile {
        assert_eq!(open(&assemble(&text, &key(), &signature), &key()), Err(Error::BadSignature), "{what}");
    }
    // A line that has the key's id, and nothing behind it.
    assert_eq!(open(&assemble(&text, &key(), &[]), &key()), Err(Error::SignatureLine));
}

#[test]
fn what_is_no_p256_key_of_type_2_is_no_verifier_key() {
    let good = spki();
    let with_id = |octets: &[u8], hashed: &[u8]| {
        let id = HEXLOWER.encode(&Digest::of(hashed).0[..4]);
        format!("{ORIGIN}+{id}+{}", BASE64.encode(octets))
    };
    // Each with the id that such a key would have.
    let of_type_2 = |spki: &[u8]| with_id(&[&[TYPE_ECDSA], spki].concat(), spki);
    assert_eq!(of_type_2(&good), KEY);
    let mut off = good.clone();
    off[90] ^= 1;
    let identifier = &good[2..23];
    let compressed = [&[0x30, 0x39], identifier, &[0x03, 0x22, 0x00, 0x03], &good[27..59]].concat();
    let infinity = [&[0x30, 0x19], identifier, &[0x03, 0x02, 0x00, 0x00]].concat();
    let edwards = [SPKI_ED25519.as_slice(), &[3; 32]].concat();
    let other_curve = |key: &str| BASE64.decode(key.as_bytes()).unwrap()[1..].to_vec();
    let p384 = other_curve(
        "AjB2MBAGByqGSM49AgEGBSuBBAAiA2IABOhrmV41Dk0xKpWmt9XYzc20aC9YiAChzWyXLh3LKlrDjZAEaVGwPMs7F5qJ/aiLG0hbnywfRLDdQc5uPDppC7+\
         qvsHh/0rvskYf3aZim+y9Q890wT2MGhYlYSJD8ARhSA==",
    );
    let secp256k1 = other_curve(
        "AjBWMBAGByqGSM49AgEGBSuBBAAKA0IABPAda5AYq0Id1BBATLhpByBlUiv4VzQAjxBc84WgI6gPDrop0PDFQI7WgZhNxSWYKr78zZ9/8B3SbaSZnPP2opU=",
    );
    let hostile = [
        ("not on the curve", off),
        ("zeros for a point", [SPKI_P256.as_slice(), &[0; 64]].concat()),
        ("coordinates beyond the field", [SPKI_P256.as_slice(), &[0xff; 64]].concat()),
        ("compressed", compressed),
        ("the point at infinity", infinity),
        ("of hybrid form", [&good[..26], &[0x07], &good[27..]].concat()),
        ("P-384", p384),
        ("secp256k1", secp256k1),
        ("Ed25519", edwards.clone()),
        ("32 octets", vec![3; 32]),
        ("the point alone", good[26..].to_vec()),
        ("an octet behind it", [good.as_slice(), &[0]].concat()),
        ("an octet short", good[..90].to_vec()),
        ("a length in two octets", [&[0x30, 0x81, 0x59], &good[2..]].concat()),
        ("a bit that is unused", [&good[..25], &[0x01], &good[26..]].concat()),
        ("nothing", Vec::new()),
    ];
    for (what, spki) in &hostile {
        assert_eq!(VerifierKey::parse(&of_type_2(spki)), Err(Error::VerifierKey), "{what}");
        // Of a token, Ed25519 is taken too: as a key of its own type.
        assert_eq!(VerifierKey::of_spki(ORIGIN, spki).is_ok(), *what == "Ed25519", "{what}");
    }
    let named = |kind: u8, key: &[u8]| [ORIGIN.as_bytes(), b"\n", &[kind], key].concat();
    let typed = |kind: u8, key: &[u8]| [&[kind], key].concat();
    for (what, text) in [
        ("the id as a key of type 1 has it", with_id(&typed(2, &good), &named(2, &good))),
        ("type 1", with_id(&typed(1, &good), &named(1, &good))),
        ("type 1 with the id of type 2", with_id(&typed(1, &good), &good)),
        ("an Ed25519 key as type 1, in SPKI form", with_id(&typed(1, &edwards), &named(1, &edwards))),
        ("an Ed25519 key as type 1 with the id of type 2", with_id(&typed(1, &edwards[12..]), &edwards[12..])),
        ("type 4", with_id(&typed(4, &good), &good)),
        ("type 5", with_id(&typed(5, &good), &good)),
        ("no type", with_id(&good, &good)),
        ("capital letters in its id", KEY.replace("ce97ec20", "CE97EC20")),
        ("a space in its name", KEY.replace("example.org/root", "example.org/r oot")),
        ("no padding", KEY.trim_end_matches('=').into()),
    ] {
        assert_eq!(VerifierKey::parse(&text), Err(Error::VerifierKey), "{what}");
    }
    // The id does not depend on the name: the same key may be another log's, and no note of this one is that log's.
    let other = VerifierKey::parse(&KEY.replace(ORIGIN, "example.org/other")).unwrap();
    assert_eq!(other.id(), key().id());
    assert_eq!(open(NOTE, &other), Err(Error::NoSignature));
    let renamed = NOTE.replace("\u{2014} example.org/root", "\u{2014} example.org/other");
    assert_eq!(open(&renamed, &other), Err(Error::NotACheckpoint("its origin is not the key's name")));
}

/// A log has one key, and which kind it is of is not for a note to choose.
#[test]
fn a_note_of_one_type_is_none_of_the_other() {
    let (text, key) = (checkpoint().text(), key());
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let edwards = VerifierKey::new(ORIGIN, pair.public_key().as_ref().try_into().unwrap()).unwrap();
    let by_edwards = pair.sign(text.as_bytes());
    let theirs = assemble(&text, &edwards, by_edwards.as_ref());
    assert!(open(&theirs, &edwards).is_ok());
    assert_eq!(open(&theirs, &key), Err(Error::NoSignature));
    assert_eq!(open(NOTE, &edwards), Err(Error::NoSignature));
    // Under the other's id, the other's rule judges it.
    assert_eq!(open(&assemble(&text, &key, by_edwards.as_ref()), &key), Err(Error::BadSignature));
    assert_eq!(open(&assemble(&text, &edwards, &signature(NOTE)), &edwards), Err(Error::BadSignature));
    // Side by side, each key finds its own.
    let both = format!("{NOTE}{}\n", theirs.lines().last().unwrap());
    assert_eq!((open(&both, &key), open(&both, &edwards)), (Ok(checkpoint()), Ok(checkpoint())));
}
