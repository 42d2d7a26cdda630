//! Lists as they should be, and each way in which one is not.

use super::*;
use crate::x509::forge::Key;

fn key(key: &Key) -> PublicKey {
    PublicKey::from_spki(&key.spki()).unwrap()
}

/// A station of one list with this content.
fn list(form: BlockForm, content: &[u8]) -> Result<BlockLists, Error> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("list"), content).unwrap();
    let opened = BlockLists::open(dir.path(), &[BlockList { path: "list".into(), form }], dir.path());
    // Nothing is left beside it, and what was read stays read.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    std::fs::write(dir.path().join("list"), b"something else").unwrap();
    opened
}

fn records(hashes: &mut Vec<[u8; HASH]>) -> Vec<u8> {
    hashes.sort();
    hashes.iter().flat_map(|hash| [&hash[..], &[7]].concat()).collect()
}

#[test]
fn a_text_names_keys_by_their_spki_among_comments() {
    let (blocked, free) = (key(&Key::p256()), key(&Key::p256()));
    let digest = blocked.digest();
    let upper = digest.hex().to_uppercase();
    for line in [format!("{digest}"), format!("  {digest}  # from the incident of May\r\n"), upper] {
        let text = format!("# compromised keys\n\n{}\n{line}", Digest::of(b"another"));
        let lists = list(BlockForm::Spki, text.as_bytes()).unwrap();
        assert_eq!(lists.find(&blocked).unwrap(), Some(Path::new("list")));
        assert_eq!(lists.find(&free).unwrap(), None);
        assert_eq!(lists.digests(), [Digest::of(text.as_bytes())]);
    }
}

#[test]
fn a_damaged_text_is_refused_with_its_line() {
    let good = Digest::of(b"a").hex();
    let long = format!("# {}", "x".repeat(MAX_LINE));
    for (bad, wanted) in [(&good[1..], 2), ("no digest", 2), ("\u{e4}", 2), (&long, 2), ("blocklist-v1", 2)] {
        let refused = list(BlockForm::Spki, format!("{good}\n{bad}\n{good}\n").as_bytes()).unwrap_err();
        assert!(matches!(refused, Error::Line { line, .. } if line == wanted), "{refused}");
    }
    let two = format!("{good} {good}\n");
    assert!(matches!(list(BlockForm::Spki, two.as_bytes()), Err(Error::Line { line: 1, .. })));
    assert!(matches!(list(BlockForm::Spki, b"# none\n"), Err(Error::Empty { .. })));
    assert!(matches!(list(BlockForm::Spki, b""), Err(Error::Empty { .. })));
    let dir = tempfile::tempdir().unwrap();
    File::create(dir.path().join("list")).unwrap().set_len(MAX_TEXT + 1).unwrap();
    let lists = [BlockList { path: "list".into(), form: BlockForm::Spki }];
    assert!(matches!(BlockLists::open(dir.path(), &lists, dir.path()), Err(Error::TooLarge { .. })));
}

#[test]
fn badkeys_own_form_finds_each_kind_of_key() {
    let keys = [Key::rsa_2048(), Key::p256(), Key::p384(), Key::ed25519(), Key::ml_dsa_65()].map(|pair| key(&pair));
    let mut hashes: Vec<[u8; HASH]> = keys.iter().map(badkeys_hash).collect();
    hashes.extend((0..1000u32).map(|n| <[u8; HASH]>::try_from(&Digest::of(&n.to_be_bytes()).0[..HASH]).unwrap()));
    // A key may come from two lists.
    hashes.push(hashes[0]);
    let content = records(&mut hashes);
    let lists = list(BlockForm::Badkeys, &content).unwrap();
    for key in &keys {
        assert_eq!(lists.find(key).unwrap(), Some(Path::new("list")), "{}", key.kind());
    }
    for other in [Key::rsa_2048(), Key::p256(), Key::p384(), Key::ed25519(), Key::ml_dsa_65()] {
        assert_eq!(lists.find(&key(&other)).unwrap(), None);
    }
    assert_eq!(lists.digests(), [Digest::of(&content)]);
    // The first and the last record are found too, and nothing before or behind them.
    let Keys::Badkeys(file, count) = &lists.0[0].keys else { panic!() };
    assert!(search(file, *count, &hashes[0]).unwrap() && search(file, *count, hashes.last().unwrap()).unwrap());
    assert!(!search(file, *count, &[0; HASH]).unwrap() && !search(file, *count, &[255; HASH]).unwrap());
}

/// What badkeys 0.0.21 itself makes of keys that RFCs print: `_checkkey` of its `checks.py` on RFC 8410 section 10.1 and on the P-256
/// key of RFC 6979 A.2.5.
#[test]
fn a_key_is_hashed_as_badkeys_does() {
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    let edwards = hex("302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
    let p256 = hex(
        "3059301306072a8648ce3d020106082a8648ce3d0301070342000460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
    );
    for (spki, wanted) in [(edwards, "e744c0791320c3285460eddb523f14"), (p256, "10985c901b9bc6c098258f3ae43e4f")] {
        let key = PublicKey::from_spki(&spki).unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(&badkeys_hash(&key)), wanted);
    }
}

#[test]
fn a_damaged_list_of_badkeys_is_refused() {
    let mut hashes = vec![[1; HASH], [2; HASH], [3; HASH]];
    let good = records(&mut hashes);
    assert!(list(BlockForm::Badkeys, &good).is_ok());
    assert!(matches!(list(BlockForm::Badkeys, &good[..47]), Err(Error::Cut { octets: 47, .. })));
    assert!(matches!(list(BlockForm::Badkeys, &[]), Err(Error::Empty { .. })));
    let swapped = [&good[..16], &good[32..], &good[16..32]].concat();
    assert!(matches!(list(BlockForm::Badkeys, &swapped), Err(Error::Unsorted { record: 2, .. })));
    // As it comes over the net, still packed, or as a text of the other form: of no order.
    let text = format!("{}\n{}\n# padding", Digest::of(b"b"), Digest::of(b"a"));
    assert!(list(BlockForm::Badkeys, text.as_bytes()).is_err());
    let dir = tempfile::tempdir().unwrap();
    for form in [BlockForm::Spki, BlockForm::Badkeys] {
        let missing = BlockLists::open(dir.path(), &[BlockList { path: "list".into(), form }], dir.path());
        assert!(matches!(missing, Err(Error::Read { .. })));
        let directory = BlockLists::open(dir.path(), &[BlockList { path: ".".into(), form }], dir.path());
        assert!(matches!(directory, Err(Error::Read { .. })));
    }
}
