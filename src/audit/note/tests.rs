//! Verifier keys and notes of type 1, and what notes of all types share.

use super::*;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

mod p256;

fn pair() -> (Ed25519KeyPair, VerifierKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let key = VerifierKey::new("example.org/root", pair.public_key().as_ref().try_into().unwrap()).unwrap();
    (pair, key)
}

fn signed(text: &str) -> String {
    let (pair, key) = pair();
    assemble(text, &key, pair.sign(text.as_bytes()).as_ref())
}

#[test]
fn the_verifier_key_of_the_go_checksum_database_is_read() {
    // golang.org/x/mod/sumdb: the well-known key of sum.golang.org.
    let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    let key = VerifierKey::parse(text).unwrap();
    assert_eq!(key.id(), [0x03, 0x3d, 0xe0, 0xae]);
    assert_eq!(key.to_string(), text);
    for bad in [
        "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "sum.golang.org+033DE0AE+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "sum.golang.org",
        "+033de0ae+AAAA",
        "",
    ] {
        assert_eq!(VerifierKey::parse(bad), Err(Error::VerifierKey), "{bad}");
    }
}

#[test]
fn a_note_is_verified_and_any_changed_byte_is_refused() {
    let (_, key) = pair();
    let note = signed(&checkpoint_text("example.org/root", 7, &Digest([9; 32])));
    let checkpoint = open(&note, &key).unwrap();
    assert_eq!(checkpoint, Checkpoint { origin: "example.org/root".into(), size: 7, root: Digest([9; 32]) });
    for at in 0..note.len() {
        for flip in [1u8, 0x20] {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= flip;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(open(&changed, &key).is_err(), "octet {at}");
            }
        }
        assert!(note.is_char_boundary(at).then(|| open(&note[..at], &key)).is_none_or(|r| r.is_err()));
    }
}

#[test]
fn other_signatures_are_passed_over_and_doubles_refused() {
    let (_, key) = pair();
    let note = signed(&checkpoint_text("example.org/root", 7, &Digest([9; 32])));
    let witnessed = format!("{note}{DASH}witness.example AAAAAAEC\n");
    assert!(open(&witnessed, &key).is_ok());
    let last = note.lines().last().unwrap();
    assert_eq!(open(&format!("{note}{last}\n"), &key), Err(Error::TwoSignatures));
    let stranger = VerifierKey::new("example.org/root", [3; 32]).unwrap();
    assert_eq!(open(&note, &stranger), Err(Error::NoSignature));
}

#[test]
fn texts_that_this_program_does_not_write_are_refused_even_when_signed() {
    let (_, key) = pair();
    let root = BASE64.encode(&[9; 32]);
    for text in [
        format!("example.org/root\n07\n{root}\n"),
        format!("example.org/root\n+7\n{root}\n"),
        format!("example.org/root\n7\n{root}\nextension\n"),
        format!("example.org/root\n99999999999999999999\n{root}\n"),
        format!("example.org/root\n{}\n{root}\n", MAX_SIZE + 1),
        format!("other.example\n7\n{root}\n"),
        format!("example.org/root\r\n7\n{root}\n"),
        "example.org/root\n7\nAAAA\n".to_string(),
    ] {
        assert!(matches!(open(&signed(&text), &key), Err(Error::NotACheckpoint(_))), "{text}");
    }
}
